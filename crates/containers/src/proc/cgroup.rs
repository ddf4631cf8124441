//! `/proc/PID/cgroup`, as of cgroup v1, v2 and both at once.

use super::{ParseError, lines, number};

/// One line: the process's cgroup in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupLine {
    /// The hierarchy's number; 0 is v2.
    pub hierarchy: u32,
    /// The controllers of a v1 hierarchy; none with v2 or a hierarchy that has only a name.
    pub controllers: Vec<String>,
    /// The name of a v1 hierarchy that has one, such as `systemd`.
    pub name: Option<String>,
    /// The path below the hierarchy's root, as the reader's cgroup namespace shows it.
    pub path: Vec<u8>,
    /// Whether the cgroup was removed (the task is a zombie that was left in it).
    pub is_deleted: bool,
}

/// Reads all lines.
pub fn parse_cgroup(bytes: &[u8]) -> Result<Vec<CgroupLine>, ParseError> {
    lines(bytes).map(|(at, line)| parse_line(at, line)).collect()
}

fn parse_line(at: usize, line: &[u8]) -> Result<CgroupLine, ParseError> {
    let wrong = |field| ParseError { line: at, field };
    // Neither controllers nor hierarchy names can have a colon; the path can.
    let mut fields = line.splitn(3, |&byte| byte == b':');
    let hierarchy = fields.next().and_then(number).ok_or(wrong("hierarchy number"))?;
    let listed = fields.next().ok_or(wrong("list of controllers"))?;
    let listed = std::str::from_utf8(listed).map_err(|_| wrong("list of controllers"))?;
    let path = fields.next().filter(|path| path.starts_with(b"/")).ok_or(wrong("path"))?;
    let (path, is_deleted) = match path.strip_suffix(b" (deleted)") {
        Some(path) => (path, true),
        None => (path, false),
    };
    let mut controllers = Vec::new();
    let mut name = None;
    for entry in listed.split(',').filter(|entry| !entry.is_empty()) {
        match entry.strip_prefix("name=") {
            Some(given) => name = Some(given.to_owned()),
            None => controllers.push(entry.to_owned()),
        }
    }
    Ok(CgroupLine { hierarchy, controllers, name, path: path.to_vec(), is_deleted })
}

/// The path in the hierarchy that has this controller, or in v2 if none is asked for.
pub fn path_in<'a>(lines: &'a [CgroupLine], controller: Option<&str>) -> Option<&'a [u8]> {
    let found = match controller {
        Some(wanted) => lines.iter().find(|line| line.controllers.iter().any(|has| has == wanted)),
        None => lines.iter().find(|line| line.hierarchy == 0),
    };
    found.map(|line| line.path.as_slice())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{CgroupLine, parse_cgroup, path_in};

    #[test]
    fn a_hybrid_host_has_v1_lines_and_the_v2_line() {
        let lines = parse_cgroup(b"9:name=systemd:/\n8:pids:/docker/ab\n3:cpu,cpuacct:/docker/ab\n0::/docker/ab\n");

        let lines = lines.expect("all lines are valid");
        assert_eq!(lines[0].name.as_deref(), Some("systemd"));
        assert_eq!(lines[2].controllers, ["cpu", "cpuacct"]);
        assert_eq!(path_in(&lines, Some("pids")), Some(&b"/docker/ab"[..]));
        assert_eq!(path_in(&lines, None), Some(&b"/docker/ab"[..]));
        assert_eq!(path_in(&lines, Some("memory")), None);
    }

    #[test]
    fn a_v2_host_has_one_line() {
        let lines = parse_cgroup(b"0::/user.slice/user-1000.slice/session-3.scope\n");

        let path = b"/user.slice/user-1000.slice/session-3.scope".to_vec();
        let line = CgroupLine { hierarchy: 0, controllers: vec![], name: None, path, is_deleted: false };
        assert_eq!(lines, Ok(vec![line]));
    }

    #[test]
    fn a_removed_cgroup_keeps_its_path() {
        let lines = parse_cgroup(b"0::/docker/ab (deleted)\n").expect("the line is valid");

        assert_eq!((lines[0].path.as_slice(), lines[0].is_deleted), (&b"/docker/ab"[..], true));
    }

    #[test]
    fn a_path_may_have_colons_and_any_bytes() {
        let lines = parse_cgroup(b"4:memory:/a:b\xff:c\n").expect("the line is valid");

        assert_eq!(lines[0].path, b"/a:b\xff:c");
    }

    #[test]
    fn a_wrong_line_is_named() {
        assert_eq!(
            parse_cgroup(b"0::/\nx::/\n").map_err(|e| e.to_string()),
            Err("line 2 has no valid hierarchy number".into())
        );
        assert_eq!(parse_cgroup(b"0:\n").map_err(|e| e.field), Err("path"));
        assert_eq!(parse_cgroup(b"0::docker\n").map_err(|e| e.field), Err("path"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_cgroup(&bytes);
        }
    }
}
