//! `/proc/PID/stat`: when a process started, and whose child it is.

use super::{ParseError, number};

/// How many ticks the times in the file have per second: the kernel's `USER_HZ`, 100 on every architecture that
/// ringfence knows.
pub const TICKS_PER_SECOND: u64 = 100;

/// What this crate wants of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The thread's id.
    pub pid: u32,
    /// The thread's name.
    pub comm: Vec<u8>,
    /// The letter of its state: `R`, `S`, `Z` …
    pub state: u8,
    /// The process's parent; 0 if outside the reader's pid namespace.
    pub ppid: u32,
    /// When it started, in ticks since boot: together with the pid it names the process for as long as the machine runs.
    pub start_ticks: u64,
    /// Where the program's code and its stack begin in memory: another pair as soon as it is replaced. None while it is being
    /// replaced, and of processes that the reader may not look into.
    pub image: Option<(u64, u64)>,
}

impl Stat {
    /// When it started, in nanoseconds since boot, to the tick below.
    pub fn start_ns(&self) -> u64 {
        self.start_ticks.saturating_mul(1_000_000_000 / TICKS_PER_SECOND)
    }

    /// Whether it has ended and only waits to be reaped.
    pub fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// Reads the file. The name stands in brackets and may itself have brackets, spaces and newlines.
pub fn parse_stat(bytes: &[u8]) -> Result<Stat, ParseError> {
    let wrong = |field| ParseError { line: 1, field };
    let open = bytes.iter().position(|&byte| byte == b'(').ok_or(wrong("name"))?;
    let close = bytes.iter().rposition(|&byte| byte == b')').filter(|&close| close > open).ok_or(wrong("name"))?;
    let pid = number(bytes[..open].trim_ascii()).ok_or(wrong("pid"))?;
    let mut fields = bytes[close + 1..].split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let state = fields.next().and_then(|field| field.first()).copied().ok_or(wrong("state"))?;
    let ppid = fields.next().and_then(number).ok_or(wrong("parent"))?;
    // proc_pid_stat(5) counts from 1: state is 3, the parent 4, the start 22, the code 26, the stack 28.
    let start_ticks = fields.nth(17).and_then(number).ok_or(wrong("start time"))?;
    let code: Option<u64> = fields.nth(3).and_then(number);
    let stack: Option<u64> = fields.nth(1).and_then(number);
    // Set last of what exec sets (fs/binfmt_elf.c, 6.18, load_elf_binary); 1 stands for what may not be known.
    let image = code.filter(|&code| code > 1).zip(stack);
    Ok(Stat { pid, comm: bytes[open + 1..close].to_vec(), state, ppid, start_ticks, image })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::parse_stat;

    const TAIL: &str = "S 41 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 10 11 12\n";

    #[test]
    fn the_start_is_the_22nd_field() {
        let stat = parse_stat(format!("42 (sh) {TAIL}").as_bytes()).expect("the file is valid");

        assert_eq!((stat.pid, stat.ppid, stat.state, stat.start_ticks), (42, 41, b'S', 987654));
        assert_eq!(stat.start_ns(), 9_876_540_000_000);
        assert!(!stat.is_dead());
    }

    #[test]
    fn a_program_that_is_being_replaced_has_no_image() {
        let image = |tail: &str| {
            let text = format!("42 (sh) {} {tail}", TAIL.trim_end());
            parse_stat(text.as_bytes()).expect("the file is valid").image
        };
        assert_eq!(image("4096 8192 140000 0\n"), Some((4096, 140000)));
        assert_eq!(image("0 0 140000 0\n"), None);
        assert_eq!(image("1 1 0 0\n"), None);
        assert_eq!(image("\n"), None);
    }

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let stat = parse_stat(format!("42 (a) R 1 (\n) {TAIL}").as_bytes()).expect("the file is valid");

        assert_eq!(stat.comm, b"a) R 1 (\n");
        assert_eq!(stat.start_ticks, 987654);
    }

    #[test]
    fn a_file_cut_short_is_an_error() {
        assert!(parse_stat(b"42 (sh) S 41 42").is_err());
        assert!(parse_stat(b"42 )(").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_stat(&bytes);
        }
    }
}
