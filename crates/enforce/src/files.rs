//! Which files in a container a policy means: looked up in its own root, as its processes would.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, open, openat2};
use sensors::guard::Access;

use crate::place::above;
use crate::{FileRule, Program};

/// Where programs lie if nobody says otherwise.
const USUAL: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// Programs that are many: an argument says which.
const MANY: [&str; 4] = ["busybox", "busybox.static", "toybox", "coreutils"];
/// The longest environment that is looked at for a PATH.
const MAX_FOLDERS: usize = 64;

/// What a policy means in one container.
#[derive(Debug, Default)]
pub(crate) struct Meant {
    /// Files that may not run, under whatever name.
    pub(crate) denied: Vec<OwnedFd>,
    /// Files that are many programs.
    pub(crate) many: Vec<OwnedFd>,
    /// The paths of the first, as the kernel sees them.
    pub(crate) paths: BTreeSet<Vec<u8>>,
    /// Of programs that are named by a path and are links to something else: their names.
    pub(crate) names: BTreeSet<String>,
}

/// What rules for files mean in one container.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// The files and folders, each with what is denied of it.
    pub(crate) trees: Vec<(OwnedFd, Access)>,
    /// The folders above them.
    pub(crate) folders: Vec<OwnedFd>,
    /// The paths of both, as the kernel sees them.
    pub(crate) paths: BTreeMap<Vec<u8>, Access>,
    pub(crate) above: BTreeSet<Vec<u8>>,
}

/// A file, so far as `stat` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Stat {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

impl Stat {
    pub(crate) fn of(file: BorrowedFd<'_>) -> io::Result<Stat> {
        let stat = rustix::fs::fstat(file)?;
        Ok(Stat { device: stat.st_dev, inode: stat.st_ino })
    }
}

/// Looks up what the programs mean in the root of this process. What is not there means nothing there.
pub(crate) fn look_up(pid: u32, programs: &[Program]) -> io::Result<Meant> {
    let (root, inside) = root_of(pid)?;
    let folders = folders(pid);
    let many = many_in(&root, &folders)?;
    let mut meant = Meant::default();
    for program in programs {
        let files: Vec<OwnedFd> = match program.is_path() {
            true => find(&root, Path::new(program.as_str())).into_iter().collect(),
            false => all(&root, &folders, program.name()).collect(),
        };
        for file in files {
            let path = inside(path_seen(&file)?);
            let is_itself = path.rsplit(|&byte| byte == b'/').next() == Some(program.name().as_bytes());
            if is_itself && !many.contains(&Stat::of(file.as_fd())?) {
                if program.is_path() {
                    meant.paths.insert(path);
                }
                meant.denied.push(file);
            } else {
                meant.names.insert(program.name().to_owned());
                meant.many.push(file);
            }
        }
        if program.is_path()
            && let Some(path) = through_folder(&root, Path::new(program.as_str()))
        {
            meant.paths.insert(inside(path));
        }
    }
    Ok(meant)
}

/// The root of this process, and what makes a path in it of one that is seen from outside.
pub(crate) fn root_of(pid: u32) -> io::Result<(OwnedFd, impl Fn(Vec<u8>) -> Vec<u8>)> {
    let root =
        open(format!("/proc/{pid}/root").as_str(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    // Not empty where the container has changed its root and not its mounts.
    let above = match path_seen(&root)? {
        path if path == b"/" => Vec::new(),
        path => path,
    };
    let inside = move |path: Vec<u8>| path.strip_prefix(above.as_slice()).map_or_else(|| path.clone(), <[u8]>::to_vec);
    Ok((root, inside))
}

/// Whether the root of this process is ours.
pub(crate) fn has_our_root(pid: u32) -> io::Result<bool> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let own = open("/", flags, Mode::empty())?;
    let root = open(format!("/proc/{pid}/root").as_str(), flags, Mode::empty())?;
    Ok(Stat::of(own.as_fd())? == Stat::of(root.as_fd())?)
}

/// The folders in which programs lie that are called by their names.
pub(crate) fn folders(pid: u32) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = USUAL.iter().map(PathBuf::from).collect();
    for folder in path_of(pid) {
        if !folders.contains(&folder) && folders.len() < MAX_FOLDERS {
            folders.push(folder);
        }
    }
    folders
}

/// The programs there that are many.
pub(crate) fn many_in(root: &OwnedFd, folders: &[PathBuf]) -> io::Result<BTreeSet<Stat>> {
    MANY.iter().flat_map(|name| all(root, folders, name)).map(|file| Stat::of(file.as_fd())).collect()
}

fn all(root: &OwnedFd, folders: &[PathBuf], name: &str) -> impl Iterator<Item = OwnedFd> {
    folders.iter().filter_map(move |folder| find(root, &folder.join(name)))
}

/// Looks up what these rules mean in the root of this process. What is not there yet is told by its path.
pub(crate) fn look_up_places(pid: u32, rules: &[FileRule]) -> io::Result<Places> {
    let (root, inside) = root_of(pid)?;
    let mut places = Places::default();
    for rule in rules {
        let path = Path::new(rule.path());
        let mut paths: Vec<Vec<u8>> = through_folder(&root, path).map(&inside).into_iter().collect();
        if let Some(file) = find_any(&root, path) {
            paths.push(inside(path_seen(&file)?));
            // Engines mask files with it: it is told by that path alone, as it has others.
            if !is_null_device(&file)? {
                places.trees.push((file, rule.access()));
            }
        }
        for path in paths {
            if rule.access().read || rule.access().write {
                places.above.extend(above(&path).map(<[u8]>::to_vec));
            }
            let known = places.paths.entry(path).or_insert(rule.access());
            *known = known.with(rule.access());
        }
    }
    places.folders =
        places.above.iter().filter_map(|path| find_any(&root, Path::new(OsStr::from_bytes(path)))).collect();
    Ok(places)
}

/// Whether it is `/dev/null`, under whatever name.
fn is_null_device(file: &OwnedFd) -> io::Result<bool> {
    let stat = rustix::fs::fstat(file)?;
    let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
    Ok(kind == rustix::fs::FileType::CharacterDevice && stat.st_rdev == rustix::fs::makedev(1, 3))
}

/// What lies at a path in this root, through all links.
pub(crate) fn find_any(root: &OwnedFd, path: &Path) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS).ok()
}

/// A file by its path in this root, through all links.
pub(crate) fn find(root: &OwnedFd, path: &Path) -> Option<OwnedFd> {
    let file = find_any(root, path)?;
    let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&file).ok()?.st_mode);
    (kind == rustix::fs::FileType::RegularFile).then_some(file)
}

/// The path by which the kernel sees a file that may not be there yet: its folder through all links, and its name.
fn through_folder(root: &OwnedFd, path: &Path) -> Option<Vec<u8>> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder =
        openat2(root, path.parent()?, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
            .ok()?;
    let mut seen = path_seen(&folder).ok()?;
    if seen != b"/" {
        seen.push(b'/');
    }
    seen.extend_from_slice(path.file_name()?.as_bytes());
    Some(seen)
}

/// The path of an open file below the root of its own mount namespace.
pub(crate) fn path_seen(file: &OwnedFd) -> io::Result<Vec<u8>> {
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(rustix::fs::readlinkat(CWD, link.as_str(), Vec::new())?.into_bytes())
}

/// The folders in which a process looks for programs.
fn path_of(pid: u32) -> Vec<PathBuf> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let path = environment.split(|&byte| byte == 0).find_map(|variable| variable.strip_prefix(b"PATH="));
    let folders = path.unwrap_or_default().split(|&byte| byte == b':').filter(|folder| folder.starts_with(b"/"));
    folders.map(|folder| PathBuf::from(OsStr::from_bytes(folder))).collect()
}
