//! `/proc/PID/status`: credentials and confinement.

use serde::{Deserialize, Serialize};

use super::{ParseError, lines, number};

/// Whether and how seccomp confines a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeccompMode {
    /// No system call is refused.
    Disabled,
    /// Only read, write, exit and sigreturn.
    Strict,
    /// Filter programs decide.
    Filter,
}

impl SeccompMode {
    /// The name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            SeccompMode::Disabled => "disabled",
            SeccompMode::Strict => "strict",
            SeccompMode::Filter => "filter",
        }
    }
}

/// What this crate wants of the file. What a kernel does not print (built without it, or too old) is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The thread's name, with the kernel's escapes for newline and backslash undone.
    pub name: Vec<u8>,
    /// The process.
    pub tgid: u32,
    /// The process's parent; 0 if outside the reader's pid namespace.
    pub ppid: u32,
    /// Real, effective, saved and file-system user id, as the reader's user namespace numbers them.
    pub uid: [u32; 4],
    /// The same of the group.
    pub gid: [u32; 4],
    /// The process's id in each pid namespace, the reader's first, its own last.
    pub nstgid: Vec<u32>,
    /// The thread's id in each pid namespace.
    pub nspid: Vec<u32>,
    /// Inheritable capabilities, one bit each.
    pub cap_inheritable: u64,
    /// Permitted capabilities.
    pub cap_permitted: u64,
    /// Effective capabilities.
    pub cap_effective: u64,
    /// The capability bounding set.
    pub cap_bounding: u64,
    /// Ambient capabilities.
    pub cap_ambient: u64,
    /// Whether exec can no longer give privileges.
    pub no_new_privileges: Option<bool>,
    /// Whether and how seccomp confines it.
    pub seccomp: Option<SeccompMode>,
    /// How many seccomp filters are stacked (since 5.9).
    pub seccomp_filters: Option<u32>,
}

impl Status {
    /// The process's id in its own pid namespace.
    pub fn pid_inside(&self) -> u32 {
        self.nstgid.last().copied().unwrap_or(self.tgid)
    }
}

/// Reads the file. Lines that are not known are skipped; a known one that is not as expected is an error.
pub fn parse_status(bytes: &[u8]) -> Result<Status, ParseError> {
    let mut status = Status::default();
    let mut has_tgid = false;
    for (at, line) in lines(bytes) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let (key, text) = (&line[..colon], &line[colon + 1..]);
        let value = text.trim_ascii();
        let wrong = |field| ParseError { line: at, field };
        match key {
            // Spaces at its ends are the program's own.
            b"Name" => status.name = unescape(text.strip_prefix(b"\t").unwrap_or(text)),
            b"Tgid" => {
                status.tgid = number(value).ok_or(wrong("Tgid"))?;
                has_tgid = true;
            }
            b"PPid" => status.ppid = number(value).ok_or(wrong("PPid"))?,
            b"Uid" => status.uid = four(value).ok_or(wrong("Uid"))?,
            b"Gid" => status.gid = four(value).ok_or(wrong("Gid"))?,
            b"NStgid" => status.nstgid = numbers(value).ok_or(wrong("NStgid"))?,
            b"NSpid" => status.nspid = numbers(value).ok_or(wrong("NSpid"))?,
            b"CapInh" => status.cap_inheritable = mask(value).ok_or(wrong("CapInh"))?,
            b"CapPrm" => status.cap_permitted = mask(value).ok_or(wrong("CapPrm"))?,
            b"CapEff" => status.cap_effective = mask(value).ok_or(wrong("CapEff"))?,
            b"CapBnd" => status.cap_bounding = mask(value).ok_or(wrong("CapBnd"))?,
            b"CapAmb" => status.cap_ambient = mask(value).ok_or(wrong("CapAmb"))?,
            b"NoNewPrivs" => status.no_new_privileges = Some(number::<u32>(value).ok_or(wrong("NoNewPrivs"))? != 0),
            b"Seccomp" => {
                status.seccomp = Some(match value {
                    b"0" => SeccompMode::Disabled,
                    b"1" => SeccompMode::Strict,
                    b"2" => SeccompMode::Filter,
                    _ => return Err(wrong("Seccomp")),
                })
            }
            b"Seccomp_filters" => status.seccomp_filters = Some(number(value).ok_or(wrong("Seccomp_filters"))?),
            _ => {}
        }
    }
    if !has_tgid {
        return Err(ParseError { line: 1, field: "Tgid (the file is cut short)" });
    }
    Ok(status)
}

fn numbers(value: &[u8]) -> Option<Vec<u32>> {
    value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).map(number).collect()
}

fn four(value: &[u8]) -> Option<[u32; 4]> {
    numbers(value)?.try_into().ok()
}

fn mask(value: &[u8]) -> Option<u64> {
    let digits =
        std::str::from_utf8(value).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u64::from_str_radix(digits, 16).ok()
}

/// The kernel writes a newline as `\n` and a backslash as `\\` in the name.
fn unescape(value: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&first, tail)) = rest.split_first() {
        (rest, _) = match (first, tail.first()) {
            (b'\\', Some(b'n')) => (&tail[1..], name.push(b'\n')),
            (b'\\', Some(b'\\')) => (&tail[1..], name.push(b'\\')),
            _ => (tail, name.push(first)),
        };
    }
    name
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{SeccompMode, parse_status};

    const IN_A_CONTAINER: &[u8] = b"Name:\tsh\\n\\\\x\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t4242\nNgid:\t0\nPid:\t4243\nPPid:\t4200\n\
        Uid:\t100000\t100000\t100000\t100000\nGid:\t0\t1\t2\t3\nNStgid:\t4242\t1\nNSpid:\t4243\t7\nCapInh:\t0000000000000000\n\
        CapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\nCapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000001\n\
        NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\nvoluntary_ctxt_switches:\t1\n";

    #[test]
    fn every_field_is_read() {
        let status = parse_status(IN_A_CONTAINER).expect("the file is valid");

        assert_eq!(status.name, b"sh\n\\x");
        assert_eq!((status.tgid, status.ppid, status.pid_inside()), (4242, 4200, 1));
        assert_eq!((status.nstgid, status.nspid), (vec![4242, 1], vec![4243, 7]));
        assert_eq!((status.uid, status.gid), ([100000; 4], [0, 1, 2, 3]));
        assert_eq!(status.cap_permitted, 0xa80425fb);
        assert_eq!((status.cap_effective, status.cap_bounding), (0xa80425fb, 0x1ffffffffff));
        assert_eq!((status.cap_inheritable, status.cap_ambient), (0, 1));
        assert_eq!(status.no_new_privileges, Some(true));
        assert_eq!((status.seccomp, status.seccomp_filters), (Some(SeccompMode::Filter), Some(3)));
    }

    #[test]
    fn a_name_keeps_its_spaces() {
        let status = parse_status(b"Name:\t \tsh \nTgid:\t1\n").expect("the file is valid");

        assert_eq!(status.name, b" \tsh ");
    }

    #[test]
    fn a_number_has_no_sign() {
        assert_eq!(parse_status(b"Tgid:\t+1\n").map_err(|error| error.field), Err("Tgid"));
        assert_eq!(parse_status(b"Tgid:\t1\nCapEff:\t+ff\n").map_err(|error| error.field), Err("CapEff"));
    }

    #[test]
    fn what_an_old_kernel_does_not_print_is_none() {
        let status = parse_status(b"Tgid:\t1\n").expect("the file is valid");

        assert_eq!((status.seccomp, status.seccomp_filters, status.no_new_privileges), (None, None, None));
        assert_eq!(status.pid_inside(), 1);
    }

    #[test]
    fn a_file_cut_short_is_an_error() {
        assert!(parse_status(b"Name:\tsh\n").is_err());
        assert!(parse_status(b"").is_err());
    }

    #[test]
    fn a_line_with_a_wrong_value_is_named() {
        let error = parse_status(b"Tgid:\t1\nUid:\t0\t0\t0\n").expect_err("three ids are not four");

        assert_eq!((error.line, error.field), (2, "Uid"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_status(&bytes);
        }

        #[test]
        fn no_value_makes_it_panic(key in "(Name|Tgid|Uid|NSpid|CapEff|Seccomp|NoNewPrivs)", value in "[\\PC\n]{0,20}") {
            let _ = parse_status(format!("{key}:\t{value}").as_bytes());
        }
    }
}
