//! Names for the users, groups and addresses of a container, from the files in its own root.
//!
//! The container may have written these files itself: what they say is a name to be shown, never a right. No link in them
//! leads out of the root, and nothing but a regular file of a bounded size is read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use crate::proc::Proc;

/// No larger file is read.
const MAX_BYTES: u64 = 1 << 20;
/// No more entries of one file are kept.
const MAX_ENTRIES: usize = 4096;

/// What a container calls its users, groups and the addresses that it knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    users: BTreeMap<u32, Vec<u8>>,
    groups: BTreeMap<u32, Vec<u8>>,
    hosts: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
    user_map: Vec<Range>,
    group_map: Vec<Range>,
}

/// A line of `/proc/PID/uid_map`: so many ids from `inside` on are those from `outside` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    inside: u32,
    outside: u32,
    length: u32,
}

impl Accounts {
    /// Of the container that this process is in. What cannot be read is empty.
    pub fn of_process(proc: &Proc, pid: u32) -> Accounts {
        let root = proc.root().join(pid.to_string()).join("root");
        let read = |name: &str| read_below(&root, name).unwrap_or_default();
        let map = |name: &str| {
            let path = proc.root().join(pid.to_string()).join(name);
            parse_map(&std::fs::read_to_string(path).unwrap_or_default())
        };
        Accounts {
            users: parse_numbered(&read("etc/passwd")),
            groups: parse_numbered(&read("etc/group")),
            hosts: parse_hosts(&read("etc/hosts")),
            user_map: map("uid_map"),
            group_map: map("gid_map"),
        }
    }

    /// The name of a user, by the number that the first user namespace has for it.
    pub fn user(&self, uid: u32) -> Option<&[u8]> {
        self.users.get(&inside(&self.user_map, uid)?).map(Vec::as_slice)
    }

    /// The name of a group, likewise.
    pub fn group(&self, gid: u32) -> Option<&[u8]> {
        self.groups.get(&inside(&self.group_map, gid)?).map(Vec::as_slice)
    }

    /// The names of an address.
    pub fn hosts(&self, address: &[u8]) -> &[Vec<u8>] {
        self.hosts.get(address).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Without a map, as one number is another nowhere.
fn inside(map: &[Range], outside: u32) -> Option<u32> {
    if map.is_empty() {
        return Some(outside);
    }
    let of = |range: &Range| {
        let at = outside.checked_sub(range.outside).filter(|at| *at < range.length)?;
        range.inside.checked_add(at)
    };
    map.iter().find_map(of)
}

/// The bytes of a regular file below a directory, as a process sees it whose root that is.
fn read_below(root: &Path, name: &str) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::PATH;
    let directory = rustix::fs::open(root, flags, Mode::empty()).ok()?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = File::from(openat2(&directory, name, flags, Mode::empty(), resolve).ok()?);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// passwd(5) and group(5): name, password, number. The first with a number counts.
fn parse_numbered(bytes: &[u8]) -> BTreeMap<u32, Vec<u8>> {
    let mut found = BTreeMap::new();
    for line in bytes.split(|&byte| byte == b'\n') {
        let mut fields = line.split(|&byte| byte == b':');
        let (Some(name), Some(number)) = (fields.next(), fields.nth(1)) else { continue };
        let number = std::str::from_utf8(number).ok().and_then(|digits| digits.parse().ok());
        if let Some(number) = number.filter(|_| !name.is_empty() && found.len() < MAX_ENTRIES) {
            found.entry(number).or_insert_with(|| name.to_vec());
        }
    }
    found
}

/// hosts(5).
fn parse_hosts(bytes: &[u8]) -> BTreeMap<Vec<u8>, Vec<Vec<u8>>> {
    let mut found = BTreeMap::<Vec<u8>, Vec<Vec<u8>>>::new();
    let mut entries = 0;
    for line in bytes.split(|&byte| byte == b'\n') {
        let line = line.split(|&byte| byte == b'#').next().unwrap_or_default();
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let Some(address) = words.next() else { continue };
        for name in words {
            if entries == MAX_ENTRIES {
                return found;
            }
            entries += 1;
            found.entry(address.to_vec()).or_default().push(name.to_vec());
        }
    }
    found
}

fn parse_map(text: &str) -> Vec<Range> {
    text.lines()
        .take(340) // the kernel has no more
        .filter_map(|line| {
            let mut numbers = line.split_ascii_whitespace().map(|word| word.parse().ok());
            Some(Range { inside: numbers.next()??, outside: numbers.next()??, length: numbers.next()?? })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree(pid: u32) -> (tempfile::TempDir, Proc) {
        let tree = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir_all(tree.path().join(format!("{pid}/root/etc"))).expect("folders");
        let proc = Proc::new(tree.path());
        (tree, proc)
    }

    #[test]
    fn names_are_those_of_the_container_s_own_files() {
        let (tree, proc) = tree(7);
        let etc = tree.path().join("7/root/etc");
        std::fs::write(
            etc.join("passwd"),
            "root:x:0:0::/root:/bin/sh\nweb:x:33:33::/:/x\nbad line\nagain:x:33:1::/:\n",
        )
        .expect("a file");
        std::fs::write(etc.join("group"), "www:x:33:\n").expect("a file");
        std::fs::write(etc.join("hosts"), "10.0.0.9 db db.example # it\n::1 localhost\n").expect("a file");
        std::fs::write(tree.path().join("7/uid_map"), "         0     100000      65536\n").expect("a file");

        let accounts = Accounts::of_process(&proc, 7);

        assert_eq!(accounts.user(100_033), Some(&b"web"[..]));
        assert_eq!((accounts.user(33), accounts.user(165_536)), (None, None));
        assert_eq!(accounts.group(33), Some(&b"www"[..]), "it has no map");
        assert_eq!(accounts.hosts(b"10.0.0.9"), [b"db".to_vec(), b"db.example".to_vec()]);
        assert_eq!(accounts.hosts(b"1.1.1.1"), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn a_link_leads_nowhere_outside_of_the_root_and_nothing_but_a_file_is_read() {
        let (tree, proc) = tree(7);
        let secret = tree.path().join("secret");
        std::fs::write(&secret, "outside:x:0:0::/:/x\n").expect("a file");
        let etc = tree.path().join("7/root/etc");
        symlink(&secret, etc.join("passwd")).expect("a link");
        symlink("../../../secret", etc.join("group")).expect("a link");
        rustix::fs::mkfifoat(rustix::fs::CWD, etc.join("hosts"), Mode::RUSR).expect("a fifo");

        let accounts = Accounts::of_process(&proc, 7);

        assert_eq!((accounts.user(0), accounts.group(0)), (None, None));
        assert!(accounts.hosts.is_empty());
        // A link within the root is followed.
        std::fs::write(etc.join("real"), "inside:x:0:0::/:/x\n").expect("a file");
        std::fs::remove_file(etc.join("passwd")).expect("the link");
        symlink("/etc/real", etc.join("passwd")).expect("a link");
        assert_eq!(Accounts::of_process(&proc, 7).user(0), Some(&b"inside"[..]));
    }

    #[test]
    fn hostile_files_are_bounded() {
        let many: String = (0..10_000).map(|number| format!("u{number}:x:{number}:0::/:\n")).collect();
        assert_eq!(parse_numbered(many.as_bytes()).len(), MAX_ENTRIES);
        let many: String = (0..10_000).map(|number| format!("10.0.0.1 h{number}\n")).collect();
        assert_eq!(parse_hosts(many.as_bytes()).values().map(Vec::len).sum::<usize>(), MAX_ENTRIES);
        assert!(parse_numbered(b":::\n\xff:\xff:\xff\n").is_empty());
    }
}
