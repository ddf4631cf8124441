//! Where the paths of one run lead: through which links, and into which mounts.

use std::collections::{BTreeMap, BTreeSet};

use behaviour::{PathUse, Place};
use event::{Phase, Text};
use report::Report;

/// Directories that engines mount something into in each container: nothing below them is in the root file system.
const MADE_UP: [&[u8]; 3] = [b"/dev", b"/proc", b"/sys"];
/// Files that engines mount into each container.
const OF_ENGINES: [&[u8]; 5] =
    [b"/etc/hostname", b"/etc/hosts", b"/etc/resolv.conf", b"/run/.containerenv", b"/.dockerenv"];
/// Links that images have: Filesystem Hierarchy Standard 3.0, 5.9 and 5.13.
const CUSTOMARY_LINKS: [(&[u8], &[u8]); 2] = [(b"/var/run", b"/run"), (b"/var/lock", b"/run/lock")];
/// Links of links are followed so often.
const MAX_LINKS: usize = 8;

/// The mounts and links of one run, as far as they are known.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// By phase and number, whether a mount is the root file system.
    is_root: BTreeMap<(Phase, u32), bool>,
    /// Where something is mounted beside the root file system.
    points: BTreeSet<Vec<u8>>,
    /// Directories that are links, as uses of files showed: the name, and where it leads.
    links: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Places {
    pub(crate) fn of(run: &Report) -> Places {
        let mut places = Places::default();
        for mount in &run.behaviour.files.mounts {
            places.is_root.insert((mount.phase, mount.mount), mount.place == Place::Root);
            // Until the workload starts, the runtime sees them elsewhere.
            if mount.phase != Phase::RuntimeInit
                && mount.place != Place::Root
                && mount.point.as_bytes().starts_with(b"/")
            {
                places.points.insert(mount.point.as_bytes().to_vec());
            }
        }
        let given = run.container.settings.as_ref().and_then(|settings| settings.mounts.as_ref());
        for mount in given.into_iter().flatten() {
            places.points.insert(tidied(mount.destination.as_bytes()));
        }
        for point in MADE_UP.iter().chain(&OF_ENGINES) {
            places.points.insert(point.to_vec());
        }
        let told = |used: &&PathUse| used.phase != Phase::RuntimeInit && !used.unreachable && !used.path_truncated;
        let found: BTreeSet<&[u8]> =
            run.behaviour.files.paths.iter().filter(told).map(|used| used.path.as_bytes()).collect();
        // What the kernel found begins with no link.
        let has_below = |folder: &[u8]| {
            let first = [folder, b"/"].concat();
            found.range(first.as_slice()..).next().is_some_and(|path| path.starts_with(&first))
        };
        for used in run.behaviour.files.paths.iter().filter(told).filter(|used| !used.argument_truncated) {
            if let Some((link, target)) = link(used.argument.as_bytes(), used.path.as_bytes(), has_below) {
                places.links.insert(link, target);
            }
        }
        places.assume_links(run);
        places
    }

    /// Names alone do not show a link. If something is mounted where these lead by custom, and nothing was found in a real directory
    /// of that name, they are taken to be links.
    fn assume_links(&mut self, run: &Report) {
        for (link, target) in CUSTOMARY_LINKS {
            let is_directory = run.behaviour.files.paths.iter().any(|used| {
                used.phase != Phase::RuntimeInit && !used.unreachable && is_below(used.path.as_bytes(), link)
            });
            let has_mount = self
                .points
                .iter()
                .any(|point| (point == target || is_below(point, target)) && !OF_ENGINES.contains(&point.as_slice()));
            if has_mount && !is_directory {
                self.links.entry(link.to_vec()).or_insert_with(|| target.to_vec());
            }
        }
    }

    /// The path that a name leads to, as far as links are known.
    pub(crate) fn resolve(&self, name: &[u8]) -> Vec<u8> {
        let mut path = tidied(name);
        for _ in 0..MAX_LINKS {
            let Some(next) = self.follow(&path) else { break };
            path = next;
        }
        path
    }

    /// Where the path itself leads, if it is known to be a link.
    pub(crate) fn target(&self, path: &[u8]) -> Option<&[u8]> {
        self.links.get(path).map(Vec::as_slice)
    }

    /// One link further: of the directories of the path, the longest that is a link.
    fn follow(&self, path: &[u8]) -> Option<Vec<u8>> {
        let heads = ancestors(path).into_iter();
        let (link, target) = heads.rev().find_map(|head| self.links.get(head).map(|target| (head, target)))?;
        let mut next = target.clone();
        next.extend_from_slice(&path[link.len()..]);
        (next != path).then_some(next)
    }

    /// Whether a used path lies in the root file system: the kernel said through which mount it was reached.
    pub(super) fn is_of_root(&self, used: &PathUse) -> bool {
        match self.is_root.get(&(used.phase, used.mount)) {
            Some(&is_root) => is_root,
            None => self.is_path_of_root(used.path.as_bytes()),
        }
    }

    /// Whether a path lies in the root file system, by what is mounted where.
    pub(super) fn is_path_of_root(&self, path: &[u8]) -> bool {
        self.point_of(path).is_none()
    }

    /// The mount that a path lies in, by its point; none if that is the root file system.
    pub(super) fn point_of(&self, path: &[u8]) -> Option<&[u8]> {
        let mut points = ancestors(path);
        points.push(path);
        points.into_iter().rev().find_map(|point| self.points.get(point)).map(Vec::as_slice)
    }
}

/// The directory that a passed name shows to be a link, and where it leads: what is left of both when their equal tails are taken off,
/// or so much of these that it is no directory by what else was found.
fn link(argument: &[u8], path: &[u8], is_directory: impl Fn(&[u8]) -> bool) -> Option<(Vec<u8>, Vec<u8>)> {
    if !argument.starts_with(b"/") || !path.starts_with(b"/") {
        return None;
    }
    let argument = tidied(argument);
    let (mut from, mut to) = (argument.as_slice(), path);
    let mut heads = vec![(from, to)];
    while from != to && name(from) == name(to) && !trimmed_parent(from).is_empty() && !trimmed_parent(to).is_empty() {
        (from, to) = (trimmed_parent(from), trimmed_parent(to));
        heads.push((from, to));
    }
    (from, to) = heads.into_iter().rev().find(|(from, _)| !is_directory(from))?;
    // `/proc/self` leads elsewhere for each process.
    let is_link = from != to && from.len() > 1 && to.len() > 1 && !from.starts_with(b"/proc/");
    is_link.then(|| (from.to_vec(), to.to_vec()))
}

/// The last part of a path.
pub(crate) fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
}

/// The directory that a path lies in; of `/` itself `/`.
pub(crate) fn parent(path: &[u8]) -> &[u8] {
    match trimmed_parent(path) {
        b"" => b"/",
        parent => parent,
    }
}

fn trimmed_parent(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
    &path[..end]
}

/// The directories above a path, from the first below `/` on.
pub(crate) fn ancestors(path: &[u8]) -> Vec<&[u8]> {
    let slashes = path.iter().enumerate().filter(|&(at, &byte)| byte == b'/' && at > 0);
    slashes.map(|(at, _)| &path[..at]).collect()
}

/// Whether a path lies below a directory.
pub(crate) fn is_below(path: &[u8], directory: &[u8]) -> bool {
    match path.strip_prefix(directory) {
        Some(rest) => directory == b"/" || rest.first() == Some(&b'/'),
        None => false,
    }
}

/// The path without empty parts, `.` and `..`, from `/` on.
pub(crate) fn tidied(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let mut tidy = Vec::with_capacity(path.len());
    for part in &parts {
        tidy.push(b'/');
        tidy.extend_from_slice(part);
    }
    if tidy.is_empty() { b"/".to_vec() } else { tidy }
}

/// The path as text.
pub(super) fn text(path: &[u8]) -> Text {
    Text::new(path)
}

/// The path, safe to stand in a sentence.
pub(super) fn shown(path: &[u8]) -> String {
    Text::new(path).shown().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_what_differs_between_the_name_and_where_it_led() {
        let found = |argument: &str, path: &str| {
            link(argument.as_bytes(), path.as_bytes(), |folder| folder == b"/usr/lib")
                .map(|(from, to)| (String::from_utf8(from).expect("text"), String::from_utf8(to).expect("text")))
        };

        assert_eq!(found("/var/run/pg/lock", "/run/pg/lock"), Some(("/var/run".into(), "/run".into())));
        assert_eq!(found("/lib/x.so", "/usr/lib/x.so"), Some(("/lib".into(), "/usr/lib".into())));
        assert_eq!(
            found("/etc/alternatives/awk", "/usr/bin/mawk").map(|pair| pair.0),
            Some("/etc/alternatives/awk".into())
        );
        // The folder above has other files.
        assert_eq!(found("/usr/lib/ssl/x.cnf", "/etc/ssl/x.cnf"), Some(("/usr/lib/ssl".into(), "/etc/ssl".into())));
        assert_eq!(found("/usr/lib", "/etc"), None);
        assert_eq!(found("/proc/self/stat", "/proc/12/stat"), None);
        assert_eq!(found("x", "/a/x"), None);
        assert_eq!(found("/a/../b/x", "/b/x"), None);
    }

    #[test]
    fn names_are_followed_and_told_from_what_is_mounted() {
        let mut places = Places::default();
        places.links.insert(b"/var/run".to_vec(), b"/run".to_vec());
        places.points.insert(b"/run/pg".to_vec());

        assert_eq!(places.resolve(b"/var/run/pg/./lock"), b"/run/pg/lock");
        assert_eq!(places.point_of(b"/run/pg/lock"), Some(&b"/run/pg"[..]));
        assert!(places.is_path_of_root(b"/run/pgx/lock") && places.is_path_of_root(b"/"));
        assert!(!places.is_path_of_root(b"/run/pg"));
        // A link into itself does not hang.
        places.links.insert(b"/a".to_vec(), b"/a/a".to_vec());
        assert!(places.resolve(b"/a/x").starts_with(b"/a/a"));
    }

    #[test]
    fn paths_are_taken_apart_at_slashes() {
        assert_eq!((parent(b"/a/b"), parent(b"/a"), parent(b"/")), (&b"/a"[..], &b"/"[..], &b"/"[..]));
        assert_eq!(tidied(b"/a//b/../c/."), b"/a/c");
        assert_eq!(tidied(b"/../.."), b"/");
        assert!(
            is_below(b"/a/b", b"/a") && is_below(b"/a", b"/") && !is_below(b"/ab", b"/a") && !is_below(b"/a", b"/a")
        );
        assert_eq!(ancestors(b"/a/b/c"), [&b"/a"[..], b"/a/b"]);
    }
}
