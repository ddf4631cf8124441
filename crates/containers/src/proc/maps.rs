//! `/proc/PID/maps`: the files that a process has in its memory.

use super::{ParseError, lines, number};

/// A file that is mapped, by one of its mappings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MappedFile {
    /// Its path, from the reader's root where it can be reached from there, without the mark of a deleted file.
    pub path: Vec<u8>,
    /// The device of its file system: major and minor number.
    pub device: (u32, u32),
    /// Its inode number there.
    pub inode: u64,
    /// Whether it has no name any more.
    pub is_deleted: bool,
    /// Whether what is mapped can be executed.
    pub is_executable: bool,
}

/// What the kernel writes behind the path of a file that has no name any more (fs/d_path.c, 6.18, `d_path`).
const DELETED: &[u8] = b" (deleted)";

/// Reads the file: fs/proc/task_mmu.c (6.18), `show_map_vma`. Mappings of no file are left out; the others come in the order of
/// the addresses, each as often as it is mapped.
pub fn parse_maps(bytes: &[u8]) -> Result<Vec<MappedFile>, ParseError> {
    let all = lines(bytes).map(|(line, text)| mapping(line, text));
    all.filter_map(Result::transpose).collect()
}

fn mapping(line: usize, text: &[u8]) -> Result<Option<MappedFile>, ParseError> {
    let wrong = |field| ParseError { line, field };
    let mut fields = text.splitn(6, |&byte| byte == b' ');
    let addresses = fields.next().unwrap_or_default();
    if !addresses.contains(&b'-') {
        return Err(wrong("range of addresses"));
    }
    let permissions = fields.next().filter(|it| it.len() == 4).ok_or(wrong("permissions"))?;
    let _offset = fields.next().ok_or(wrong("offset"))?;
    let device = fields.next().and_then(device).ok_or(wrong("device"))?;
    let inode: u64 = fields.next().and_then(number).ok_or(wrong("inode"))?;
    if inode == 0 {
        return Ok(None);
    }
    // Blanks fill the line up to a column; a path begins with a slash.
    let path = fields.next().unwrap_or_default().trim_ascii_start();
    let (path, is_deleted) = match path.strip_suffix(DELETED) {
        Some(path) => (path, true),
        None => (path, false),
    };
    Ok(Some(MappedFile { path: unescaped(path), device, inode, is_deleted, is_executable: permissions[2] == b'x' }))
}

/// `08:01`, in hexadecimal.
fn device(text: &[u8]) -> Option<(u32, u32)> {
    let (major, minor) = std::str::from_utf8(text).ok()?.split_once(':')?;
    let hexadecimal = |digits: &str| {
        let is_plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_plain.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
    };
    Some((hexadecimal(major)?, hexadecimal(minor)?))
}

/// Of a path only newlines are escaped.
fn unescaped(path: &[u8]) -> Vec<u8> {
    const NEWLINE: &[u8] = b"\\012";
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, behind @ ..] = rest {
        if let Some(behind) = rest.strip_prefix(NEWLINE) {
            out.push(b'\n');
            rest = behind;
        } else {
            out.push(*first);
            rest = behind;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::parse_maps;

    const FILE: &str = "\
55d0c0a00000-55d0c0a21000 r-xp 00002000 08:01 131090                     /usr/bin/cat file
7f0000000000-7f0000001000 rw-p 00000000 00:00 0
7f0000001000-7f0000002000 r--p 00000000 fd:1f 18446744073709551615       /tmp/a\\012b (deleted)
7f0000002000-7f0000003000 rw-s 00000000 00:01 2052                       /memfd:x (deleted)
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]
";

    #[test]
    fn only_files_are_told_with_all_of_their_name() {
        let files = parse_maps(FILE.as_bytes()).expect("the file is valid");

        let [program, gone, memory] = &files[..] else { panic!("{files:?}") };
        assert_eq!(
            (program.path.as_slice(), program.device, program.inode),
            (&b"/usr/bin/cat file"[..], (8, 1), 131090)
        );
        assert!(program.is_executable && !program.is_deleted);
        assert_eq!((gone.path.as_slice(), gone.device, gone.inode), (&b"/tmp/a\nb"[..], (0xfd, 0x1f), u64::MAX));
        assert!(gone.is_deleted && !gone.is_executable);
        assert_eq!((memory.path.as_slice(), memory.is_deleted), (&b"/memfd:x"[..], true));
    }

    #[test]
    fn a_line_cut_short_is_an_error() {
        let error = parse_maps(b"55d0c0a00000-55d0c0a21000 r-xp 00002000 08:01").expect_err("it has no inode");

        assert_eq!((error.line, error.field), (1, "inode"));
        assert_eq!(parse_maps(b"x r-xp 0 0:0 1 /").map_err(|error| error.field), Err("range of addresses"));
        assert_eq!(parse_maps(b"1-2 r-xp 0 +1:0 1 /").map_err(|error| error.field), Err("device"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_maps(&bytes);
        }
    }
}
