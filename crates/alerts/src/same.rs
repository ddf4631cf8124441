//! What counts as the same: a name without what differs each time.
//!
//! A number in the name of a file that is written, a process id in a path, a name that `mktemp` made up and the port of a client
//! say nothing new. Each is replaced by a `*`, and two names are the same if what is left is. It looks at the text alone: no
//! list is kept of what was seen, so the same name always becomes the same.

use event::Text;

/// A word of so many letters and digits may be made up.
const RANDOM_LENGTH: usize = 6;
/// From so many hexadecimal digits on, a word with digits and letters is a number or digest.
const HEX_LENGTH: usize = 8;
/// Directories in which programs are temporary, too.
const TEMPORARY: [&[u8]; 4] = [b"/tmp", b"/var/tmp", b"/dev/shm", b"/run"];

/// Fields of rules whose values differ each time: process ids, times, numbers of events and descriptors, whole argument lists.
pub fn is_volatile(field: &str) -> bool {
    const EXACT: [&str; 34] = [
        "evt.args",
        "evt.arg",
        "evt.rawres",
        "evt.num",
        "evt.latency",
        "evt.cpu",
        "evt.info",
        "evt.res",
        "evt.buffer",
        "proc.pid",
        "proc.ppid",
        "proc.vpid",
        "proc.pvpid",
        "proc.sid",
        "proc.vpgid",
        "proc.pgid",
        "proc.duration",
        "proc.ppid.duration",
        "proc.pid.ts",
        "proc.ppid.ts",
        "proc.exe_ino.ctime",
        "proc.exe_ino.mtime",
        "proc.exe_ino.ctime_duration_proc_start",
        "proc.exe_ino.ctime_duration_pidns_start",
        "proc.exe_ino",
        "fd.num",
        "fd.cport",
        "fd.uid",
        "fd.lport",
        "container.id",
        "container.full_id",
        "container.start_ts",
        "container.duration",
        "process.start",
    ];
    let starts = ["evt.time", "evt.datetime", "evt.rawtime", "evt.reltime", "evt.abspath", "thread.", "event.time"];
    let name = field.split('[').next().unwrap_or(field);
    EXACT.contains(&name)
        || starts.iter().any(|start| name.starts_with(start) && name != "evt.abspath")
        || name.ends_with(".pid")
        || name.ends_with(".tid")
        || name.ends_with("_time")
}

/// A value of any field: paths and words without what is made up, ends of connections without the port of the client.
pub fn same_text(value: &Text) -> Text {
    if let Some(ends) = same_connection(value.as_bytes()) {
        return Text::new(ends);
    }
    let mut same = Vec::with_capacity(value.as_bytes().len());
    for (at, word) in value.as_bytes().split(|&byte| byte == b' ').enumerate() {
        if at > 0 {
            same.push(b' ');
        }
        // A number by itself may be what matters: a port, a user.
        if word.first() == Some(&b'/') { same.extend(folded_path(word, Fold::Random)) } else { same.extend(word) }
    }
    Text::new(same)
}

/// `10.0.0.2:51334->10.0.0.3:80` without the first port.
fn same_connection(value: &[u8]) -> Option<Vec<u8>> {
    let at = value.windows(2).position(|pair| pair == b"->")?;
    let (client, server) = (&value[..at], &value[at + 2..]);
    let colon = client.iter().rposition(|&byte| byte == b':')?;
    let has_port = !client[colon + 1..].is_empty() && client[colon + 1..].iter().all(u8::is_ascii_digit);
    has_port.then(|| [&client[..colon], b":*->", server].concat())
}

/// The path of a file that is written: without numbers and what is made up.
pub(crate) fn same_file(path: &Text) -> Text {
    Text::new(folded_path(path.as_bytes(), Fold::Numbers))
}

/// The path of a program: exact, but in directories for what is temporary.
pub(crate) fn same_program(path: &Text) -> Text {
    let bytes = path.as_bytes();
    let is_below = |directory: &&[u8]| bytes.strip_prefix(*directory).is_some_and(|rest| rest.first() == Some(&b'/'));
    if TEMPORARY.iter().any(is_below) {
        Text::new(folded_path(bytes, Fold::Random))
    } else {
        Text::new(folded_path(bytes, Fold::ProcessIds))
    }
}

/// A path that is only read, or that something is done to: without process ids and what is made up.
pub(crate) fn same_place(path: &Text) -> Text {
    Text::new(folded_path(path.as_bytes(), Fold::Random))
}

/// A name that is looked up: without what is made up, but for its last two parts.
pub(crate) fn same_host(name: &Text) -> Text {
    let lower = name.as_bytes().to_ascii_lowercase();
    for reverse in [&b".in-addr.arpa"[..], b".ip6.arpa"] {
        if lower.ends_with(reverse) {
            return Text::new([b"*", reverse].concat());
        }
    }
    let labels: Vec<&[u8]> = lower.split(|&byte| byte == b'.').collect();
    let kept = labels.len().saturating_sub(2);
    let folded: Vec<Vec<u8>> = labels
        .iter()
        .enumerate()
        .map(|(at, label)| if at < kept { folded_name(label, Fold::Random) } else { label.to_vec() })
        .collect();
    Text::new(folded.join(&b'.'))
}

/// How much of a name is folded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fold {
    /// The numbers below `/proc` alone.
    ProcessIds,
    /// Also what is made up, and long numbers.
    Random,
    /// Also every number.
    Numbers,
}

/// Each part of a path, without empty ones, `.` and `..`.
fn folded_path(path: &[u8], fold: Fold) -> Vec<u8> {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    let is_absolute = path.first() == Some(&b'/');
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if is_absolute || parts.last().is_some_and(|last| last != b"..") => drop(parts.pop()),
            part => {
                let of_process = parts.first().is_some_and(|first| first == b"proc");
                let is_number = part.iter().all(u8::is_ascii_digit);
                parts.push(match fold {
                    _ if of_process && is_number => b"*".to_vec(),
                    Fold::ProcessIds => part.to_vec(),
                    fold => folded_name(part, fold),
                });
            }
        }
    }
    let joined = parts.join(&b'/');
    if is_absolute { [&b"/"[..], &joined].concat() } else { joined }
}

/// One part of a path.
fn folded_name(name: &[u8], fold: Fold) -> Vec<u8> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric();
    let mut folded = Vec::with_capacity(name.len());
    let mut rest = name;
    if let Some(behind) = behind_temporary_prefix(rest) {
        folded.extend(b"tmp*");
        rest = behind;
    }
    while !rest.is_empty() {
        if is_uuid(rest) {
            folded.push(b'*');
            rest = &rest[36..];
            continue;
        }
        let length = rest.iter().position(|byte| !is_word(byte)).unwrap_or(rest.len());
        if length == 0 {
            folded.push(rest[0]);
            rest = &rest[1..];
            continue;
        }
        let word = &rest[..length];
        match word {
            _ if is_random(word) || is_hex_number(word) => folded.push(b'*'),
            _ => fold_numbers(word, if fold == Fold::Numbers { 1 } else { 4 }, &mut folded),
        }
        rest = &rest[length..];
    }
    folded
}

/// What comes behind `tmp`, and what was made up for it: mktemp(1) and Python's `tempfile` begin so.
fn behind_temporary_prefix(name: &[u8]) -> Option<&[u8]> {
    let behind = name.strip_prefix(b"tmp").or_else(|| name.strip_prefix(b".tmp"))?;
    let behind = behind.strip_prefix(b".").or_else(|| behind.strip_prefix(b"-")).unwrap_or(behind);
    let made_up = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let length = behind.iter().position(|byte| !made_up(byte)).unwrap_or(behind.len());
    (length >= RANDOM_LENGTH).then(|| &behind[length..])
}

/// Whether a word of letters and digits is none that people write: not letters with a number behind, in words of on average three
/// letters, of which only the first is large, or all.
fn is_random(word: &[u8]) -> bool {
    let digits = word.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let letters = &word[..word.len() - digits];
    if word.len() < RANDOM_LENGTH || letters.is_empty() {
        return false;
    }
    if !letters.iter().all(u8::is_ascii_alphabetic) {
        return true;
    }
    // A word begins with each large letter, and where it all begins.
    let large = letters.iter().filter(|byte| byte.is_ascii_uppercase()).count();
    let words = large + usize::from(letters[0].is_ascii_lowercase());
    letters.len() < 3 * words && large < letters.len()
}

fn is_hex_number(word: &[u8]) -> bool {
    word.len() >= HEX_LENGTH
        && word.iter().all(u8::is_ascii_hexdigit)
        && word.iter().any(u8::is_ascii_digit)
        && word.iter().any(u8::is_ascii_alphabetic)
}

fn is_uuid(text: &[u8]) -> bool {
    text.len() >= 36
        && text[..36].iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Numbers of at least so many digits become a `*`.
fn fold_numbers(word: &[u8], least: usize, folded: &mut Vec<u8>) {
    let mut rest = word;
    while !rest.is_empty() {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let others = rest[digits..].iter().take_while(|byte| !byte.is_ascii_digit()).count();
        if digits >= least {
            folded.push(b'*');
        } else {
            folded.extend(&rest[..digits]);
        }
        folded.extend(&rest[digits..digits + others]);
        rest = &rest[digits + others..];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(path: &str) -> String {
        same_file(&path.into()).escaped().into_owned()
    }

    #[test]
    fn what_is_made_up_and_numbers_are_folded_in_what_is_written() {
        for (path, expected) in [
            ("/tmp/tmp.Xq3ZbKw0aP", "/tmp/tmp*"),
            ("/tmp/tmpabcdefgh/x", "/tmp/tmp*/x"),
            ("/tmp/tmp8_qz1k3a.c", "/tmp/tmp*.c"),
            ("/tmp/ccLJzCzB.o", "/tmp/*.o"),
            ("/tmp/ccjjBWsq.s", "/tmp/*.s"),
            ("/data/temp-17.rdb", "/data/temp-*.rdb"),
            ("/var/lib/x/0b1c2d3e-0000-1111-2222-333344445555.json", "/var/lib/x/*.json"),
            ("/proc/4711/oom_score_adj", "/proc/*/oom_score_adj"),
            ("/proc/4711/task/4712/comm", "/proc/*/task/*/comm"),
            ("/var/log/app-20261129.log", "/var/log/app-*.log"),
            ("/cache/9f86d081884c7d65", "/cache/*"),
            // Names that people chose stay.
            ("/etc/passwd", "/etc/passwd"),
            ("/etc/cron.d/backup", "/etc/cron.d/backup"),
            ("/root/.ssh/authorized_keys", "/root/.ssh/authorized_keys"),
            ("/usr/local/bin/README", "/usr/local/bin/README"),
            ("/srv/MyFileName.txt", "/srv/MyFileName.txt"),
            ("/srv/tmpl.html", "/srv/tmpl.html"),
            ("/a/./b/../c", "/a/c"),
            ("relative/name", "relative/name"),
            ("/", "/"),
        ] {
            assert_eq!(file(path), expected, "{path}");
        }
    }

    #[test]
    fn programs_are_exact_outside_of_temporary_directories() {
        let program = |path: &str| same_program(&path.into()).escaped().into_owned();

        assert_eq!(program("/usr/bin/python3.11"), "/usr/bin/python3.11");
        assert_eq!(program("/opt/9f86d081884c7d65"), "/opt/9f86d081884c7d65");
        assert_eq!(program("/tmp/go-build1234567/b001/exe/main"), "/tmp/go-build*/b001/exe/main");
        assert_eq!(program("/tmp/xmrig"), "/tmp/xmrig");
        assert_eq!(program("/proc/77/root/bin/sh"), "/proc/*/root/bin/sh");
    }

    #[test]
    fn of_a_name_that_is_looked_up_the_domain_stays() {
        let host = |name: &str| same_host(&name.into()).escaped().into_owned();

        assert_eq!(host("Example.ORG"), "example.org");
        assert_eq!(host("a8Xk2Lq9.example.org"), "*.example.org");
        assert_eq!(host("xk29dk2q.org"), "xk29dk2q.org");
        assert_eq!(host("7.0.0.10.in-addr.arpa"), "*.in-addr.arpa");
    }

    #[test]
    fn a_connection_is_the_same_from_any_port_of_the_client() {
        let same = |text: &str| same_text(&text.into()).escaped().into_owned();

        assert_eq!(same("10.0.0.2:51334->10.0.0.3:80"), "10.0.0.2:*->10.0.0.3:80");
        assert_eq!(same("cat /tmp/tmp.Xq3ZbKw0aP -n 80"), "cat /tmp/tmp* -n 80");
        assert_eq!(same("a->b"), "a->b");
    }

    #[test]
    fn process_ids_and_times_are_volatile_and_names_are_not() {
        for name in ["proc.pid", "evt.time", "evt.time.iso8601", "thread.tid", "fd.num", "container.id", "evt.arg[1]"] {
            assert!(is_volatile(name), "{name}");
        }
        for name in ["proc.name", "proc.cmdline", "fd.name", "fd.sport", "user.name", "container.image.repository"] {
            assert!(!is_volatile(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn names_of_mkstemp_are_nearly_all_the_same(names in proptest::collection::vec("[A-Za-z0-9]{10}", 200)) {
            let folded = names.iter().filter(|name| file(&format!("/x/app.{name}")) == "/x/app.*").count();
            prop_assert!(folded >= 185, "{folded} of 200");
        }

        #[test]
        fn folding_again_changes_nothing_and_no_bytes_make_it_panic(path in proptest::collection::vec(any::<u8>(), 0..80)) {
            let path = Text::new(path);
            for fold in [same_file, same_program, same_place, same_host, same_text] {
                let once = fold(&path);
                prop_assert_eq!(&fold(&once), &once);
            }
        }
    }
}
