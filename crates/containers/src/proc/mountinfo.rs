//! `/proc/PID/mountinfo`: what is mounted where.

use super::{ParseError, lines, number};

/// One mount. Paths have the kernel's octal escapes undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The mount's number.
    pub id: u32,
    /// The number of the mount that it stands on.
    pub parent: u32,
    /// Major and minor number of its device.
    pub device: (u32, u32),
    /// The directory within the file system that is mounted.
    pub root: Vec<u8>,
    /// Where it is mounted, from the process's root.
    pub mount_point: Vec<u8>,
    /// Options of this mount, such as `ro`.
    pub options: Vec<u8>,
    /// The type of the file system.
    pub fs_type: Vec<u8>,
    /// What was mounted: a device, or any word.
    pub source: Vec<u8>,
    /// Options of the file system; with cgroup v1 its controllers.
    pub super_options: Vec<u8>,
}

impl Mount {
    /// Whether one of the file system's options is this word.
    pub fn has_super_option(&self, word: &str) -> bool {
        self.super_options.split(|&byte| byte == b',').any(|option| option == word.as_bytes())
    }

    /// Of an overlay the directories that it shows but does not write to, the topmost first, as they were passed to mount(2);
    /// empty if they are not known, or for another file system.
    ///
    /// Layers that hold only data of other layers' files are none that can be looked into: then it is empty, too.
    pub fn lower_directories(&self) -> Vec<Vec<u8>> {
        if self.fs_type != b"overlay" {
            return Vec::new();
        }
        // The kernel writes a comma within a value as an escape: seq_show_option() (include/linux/seq_file.h, 6.18).
        let mut directories = Vec::new();
        for option in self.super_options.split(|&byte| byte == b',') {
            // One by one, or all of them, by how they were passed: ovl_show_options() (fs/overlayfs/params.c, 6.18).
            if let Some(one) = option.strip_prefix(b"lowerdir+=") {
                directories.push(unescape(one));
            } else if let Some(all) = option.strip_prefix(b"lowerdir=") {
                directories.extend(split_at_colons(&unescape(all)));
            } else if option.starts_with(b"datadir+=") {
                return Vec::new();
            }
        }
        if directories.iter().any(Vec::is_empty) { Vec::new() } else { directories }
    }
}

/// Reads all lines.
pub fn parse_mountinfo(bytes: &[u8]) -> Result<Vec<Mount>, ParseError> {
    lines(bytes).map(|(at, line)| parse_line(line).map_err(|field| ParseError { line: at, field })).collect()
}

/// What the process sees as `/`: the topmost mount there.
pub fn root_mount(mounts: &[Mount]) -> Option<&Mount> {
    mounts.iter().rev().find(|mount| mount.mount_point == b"/")
}

fn parse_line(line: &[u8]) -> Result<Mount, &'static str> {
    let mut fields = line.split(|&byte| byte == b' ');
    let id = fields.next().and_then(number).ok_or("mount number")?;
    let parent = fields.next().and_then(number).ok_or("parent")?;
    let device = fields.next().and_then(device).ok_or("device")?;
    let root = unescape(fields.next().ok_or("root")?);
    let mount_point = unescape(fields.next().ok_or("mount point")?);
    let options = fields.next().ok_or("options")?.to_vec();
    // Any number of optional fields, ended by a lone dash.
    fields.find(|field| *field == b"-").ok_or("separator")?;
    let fs_type = unescape(fields.next().ok_or("type")?);
    let source = unescape(fields.next().ok_or("source")?);
    let super_options = fields.next().ok_or("file system options")?.to_vec();
    Ok(Mount { id, parent, device, root, mount_point, options, fs_type, source, super_options })
}

fn device(field: &[u8]) -> Option<(u32, u32)> {
    let colon = field.iter().position(|&byte| byte == b':')?;
    Some((number(&field[..colon])?, number(&field[colon + 1..])?))
}

/// Undoes `\ooo`, as the kernel writes space, tab, newline, backslash and `#`.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        match (first, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    bytes
}

/// The parts between colons; a backslash keeps its next byte from being one.
fn split_at_colons(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = vec![Vec::new()];
    let mut rest = bytes.iter();
    while let Some(&byte) = rest.next() {
        let last = parts.len() - 1;
        match byte {
            b':' => parts.push(Vec::new()),
            b'\\' => parts[last].extend(rest.next()),
            _ => parts[last].push(byte),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{parse_mountinfo, root_mount};

    const LINES: &[u8] = b"27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard\n\
        41 31 0:38 /../.. /sys/fs/cgroup/unified rw,relatime shared:3 master:4 - cgroup2 cgroup2 rw,nsdelegate\n\
        50 27 0:40 / /with\\040space\\134 rw - tmpfs none rw\n\
        60 27 0:41 /merged / rw - overlay overlay rw,lowerdir=/l\n";

    #[test]
    fn optional_fields_do_not_shift_the_others() {
        let mounts = parse_mountinfo(LINES).expect("all lines are valid");

        assert_eq!((mounts[0].id, mounts[0].parent, mounts[0].device), (27, 1, (254, 0)));
        assert_eq!((mounts[0].fs_type.as_slice(), mounts[0].source.as_slice()), (&b"ext4"[..], &b"/dev/vda"[..]));
        assert_eq!((mounts[1].fs_type.as_slice(), mounts[1].root.as_slice()), (&b"cgroup2"[..], &b"/../.."[..]));
        assert!(mounts[1].has_super_option("nsdelegate") && !mounts[1].has_super_option("ns"));
    }

    #[test]
    fn escaped_bytes_are_undone() {
        let mounts = parse_mountinfo(LINES).expect("all lines are valid");

        assert_eq!(mounts[2].mount_point, b"/with space\\");
    }

    #[test]
    fn the_root_is_the_topmost_mount_on_it() {
        let mounts = parse_mountinfo(LINES).expect("all lines are valid");

        assert_eq!(root_mount(&mounts).map(|mount| mount.id), Some(60));
    }

    #[test]
    fn the_lower_directories_of_an_overlay_are_known_however_they_were_passed() {
        let lower = |kind: &str, options: &str| {
            let line = format!("60 27 0:41 / / rw - {kind} {kind} rw,{options}\n");
            let mounts = parse_mountinfo(line.as_bytes()).expect("a valid line");
            let found = mounts[0].lower_directories().into_iter();
            found.map(|it| String::from_utf8(it).expect("UTF-8")).collect::<Vec<_>>()
        };

        assert_eq!(lower("overlay", "lowerdir=/l/A:/l/B,upperdir=/u,workdir=/w"), ["/l/A", "/l/B"]);
        assert_eq!(lower("overlay", "lowerdir+=/l/A,lowerdir+=/with:colon,xino=off"), ["/l/A", "/with:colon"]);
        assert_eq!(lower("overlay", r"lowerdir=/a\134:b\054c\040d:/e,userxattr"), ["/a:b,c d", "/e"]);
        assert_eq!(lower("overlay", "lowerdir=/l/A::/data"), [""; 0]);
        assert_eq!(lower("overlay", "lowerdir+=/l/A,datadir+=/data"), [""; 0]);
        assert_eq!(lower("overlay", "upperdir=/u"), [""; 0]);
        assert_eq!(lower("ext4", "lowerdir=/l/A"), [""; 0]);
    }

    #[test]
    fn a_line_without_the_separator_is_an_error() {
        let error = parse_mountinfo(b"27 1 254:0 / / rw ext4 /dev/vda rw\n").expect_err("no dash");

        assert_eq!(error.field, "separator");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in "[0-9: /\\\\a-z\n-]{0,200}") {
            let _ = parse_mountinfo(bytes.as_bytes());
        }
    }
}
