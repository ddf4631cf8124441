//! The files of an image, where its engine has them on this host: in the layers of an overlay, or in one directory.
//!
//! Layers are put together as the kernel's overlay file system does it (Documentation/filesystems/overlayfs.rst, 6.18): the
//! topmost that has a name decides, directories of the same name are one, and what hides a name of a lower layer is a character
//! device 0/0 or an attribute of the directory. Nothing is followed out of a layer.

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, fgetxattr, openat2, readlinkat, statat};
use rustix::io::Errno;

/// Something in an image. The path is absolute, as the container sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A regular file.
    File {
        /// Its path.
        path: Vec<u8>,
        /// Its size.
        bytes: u64,
        /// A number that all names of the same file share; none if this is its only one.
        shared: Option<u64>,
    },
    /// A symbolic link.
    Link {
        /// Its path.
        path: Vec<u8>,
        /// What it leads to.
        target: Vec<u8>,
    },
}

/// Why an image cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The engine has removed it, or it is not to be read.
    #[error("cannot read {} of the image: {source}", path.display())]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A layer that takes the files of a directory from elsewhere in the layers below.
    #[error("{} is a directory that was renamed within the image's layers: its files cannot be found", path.display())]
    Redirected {
        /// Which.
        path: PathBuf,
    },
    /// It has more files than this program keeps.
    #[error("the image has more than {MOST_ENTRIES} files")]
    TooLarge,
}

/// What is looked at of one image: several times what the largest have.
const MOST_ENTRIES: usize = 5_000_000;

/// Where the overlay writes down what became of a directory: by root, and by others.
const PREFIXES: [&str; 2] = ["trusted.overlay.", "user.overlay."];

/// One layer, or the only directory.
struct Layer<'a> {
    path: &'a Path,
    root: OwnedFd,
}

/// What the layers above say of a name in a directory.
#[derive(Default)]
struct Name {
    /// Those that have a directory there, the topmost first.
    layers: Vec<usize>,
    /// Those below have no say.
    is_decided: bool,
}

/// What a layer has by a name.
enum Entry {
    Directory,
    Found(Found),
    /// What hides the name, and what is no file to look into.
    Other,
}

/// Calls `found` for each regular file and each link. The topmost layer is the first.
pub fn read(layers: &[PathBuf], mut found: impl FnMut(Found)) -> Result<(), ImageError> {
    let layers = layers.iter().map(|path| Layer::open(path)).collect::<Result<Vec<_>, _>>()?;
    let mut entries = 0;
    let mut pending = vec![(Vec::new(), (0..layers.len()).collect::<Vec<_>>())];
    while let Some((directory, parts)) = pending.pop() {
        let mut names: BTreeMap<Vec<u8>, Name> = BTreeMap::new();
        for index in parts {
            let layer = &layers[index];
            let opened = layer.directory(&directory)?;
            let unreadable = |error| layer.unreadable(&directory, error);
            for entry in Dir::read_from(&opened).map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                let name = entry.file_name();
                if matches!(name.to_bytes(), b"." | b"..") {
                    continue;
                }
                entries += 1;
                if entries > MOST_ENTRIES {
                    return Err(ImageError::TooLarge);
                }
                let known = names.entry(name.to_bytes().to_vec()).or_default();
                if known.is_decided {
                    continue;
                }
                let path = [&directory, &b"/"[..], name.to_bytes()].concat();
                match layer.look(&opened, name, path)? {
                    Entry::Directory => {
                        known.layers.push(index);
                        continue;
                    }
                    // Where a layer above has a directory, this is neither to be seen, nor is what lies below it.
                    Entry::Found(it) if known.layers.is_empty() => found(it),
                    Entry::Found(_) | Entry::Other => {}
                }
                known.is_decided = true;
            }
            if layers.len() > 1 && layer.is_opaque(&opened, &directory)? {
                break;
            }
        }
        for (name, known) in names {
            if !known.layers.is_empty() {
                pending.push(([&directory, &b"/"[..], &name].concat(), known.layers));
            }
        }
    }
    Ok(())
}

impl Layer<'_> {
    fn open(path: &Path) -> Result<Layer<'_>, ImageError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty());
        let root = root.map_err(|error| ImageError::Read { path: path.to_owned(), source: error.into() })?;
        Ok(Layer { path, root })
    }

    fn directory(&self, path: &[u8]) -> Result<OwnedFd, ImageError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let below = if path.is_empty() { b"." } else { &path[1..] };
        openat2(&self.root, below, flags, Mode::empty(), resolve).map_err(|error| self.unreadable(path, error))
    }

    fn look(&self, directory: &OwnedFd, name: &CStr, path: Vec<u8>) -> Result<Entry, ImageError> {
        let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| self.unreadable(&path, error))?;
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Entry::Directory,
            FileType::RegularFile => Entry::Found(Found::File {
                path,
                bytes: u64::try_from(stat.st_size).unwrap_or(0),
                shared: (stat.st_nlink > 1).then_some(stat.st_ino),
            }),
            FileType::Symlink => {
                let target = readlinkat(directory, name, Vec::new()).map_err(|error| self.unreadable(&path, error))?;
                Entry::Found(Found::Link { path, target: target.into_bytes() })
            }
            _ => Entry::Other,
        })
    }

    /// Whether nothing of the directory is to be seen that layers below have.
    fn is_opaque(&self, directory: &OwnedFd, path: &[u8]) -> Result<bool, ImageError> {
        let has = |name: &str, wanted: &[u8]| {
            PREFIXES.iter().any(|prefix| {
                let mut value = [0; 1];
                let length = fgetxattr(directory, format!("{prefix}{name}"), &mut value[..]);
                // One that is longer than the room for it is there, too.
                length == Err(Errno::RANGE) && wanted.is_empty()
                    || length.is_ok_and(|length| wanted.is_empty() || value[..length] == *wanted)
            })
        };
        if has("redirect", b"") {
            return Err(ImageError::Redirected { path: self.shown(path) });
        }
        Ok(has("opaque", b"y"))
    }

    fn unreadable(&self, path: &[u8], error: Errno) -> ImageError {
        ImageError::Read { path: self.shown(path), source: error.into() }
    }

    fn shown(&self, path: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(path.strip_prefix(b"/").unwrap_or(path)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fs::{XattrFlags, mknodat, setxattr};
    use tempfile::TempDir;

    use super::*;

    /// Everything that is found below these layers, in the order of its paths.
    fn all(layers: &[&Path]) -> Result<Vec<String>, ImageError> {
        let layers: Vec<PathBuf> = layers.iter().map(|&layer| layer.to_owned()).collect();
        let mut list = Vec::new();
        read(&layers, |found| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            list.push(match found {
                Found::File { path, bytes, .. } => format!("{} {bytes}", text(&path)),
                Found::Link { path, target } => format!("{} -> {}", text(&path), text(&target)),
            });
        })?;
        list.sort();
        Ok(list)
    }

    fn layer(files: &[(&str, &str)]) -> TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
            fs::write(path, text).expect("a file");
        }
        folder
    }

    #[test]
    fn the_topmost_layer_decides_and_directories_are_put_together() {
        let top = layer(&[("etc/passwd", "new"), ("was-directory", "file"), ("was-file/inside", "x")]);
        let bottom =
            layer(&[("etc/passwd", "old one"), ("etc/hosts", "h"), ("was-directory/lost", "x"), ("was-file", "x")]);
        let deepest = layer(&[("was-file/not-seen", "x"), ("etc/deep/er", "four")]);
        symlink("/etc", bottom.path().join("link")).expect("a link");
        symlink("/", top.path().join("etc/up")).expect("a link");

        let found = all(&[top.path(), bottom.path(), deepest.path()]).expect("it can be read");

        assert_eq!(
            found,
            [
                "/etc/deep/er 4",
                "/etc/hosts 1",
                "/etc/passwd 3",
                "/etc/up -> /",
                "/link -> /etc",
                "/was-directory 4",
                "/was-file/inside 1",
            ]
        );
    }

    #[test]
    fn what_a_layer_hides_is_not_found() {
        let top = layer(&[("opaque/own", "1"), ("other/own", "1")]);
        let bottom = layer(&[("gone", "1"), ("opaque/hidden", "1"), ("other/shown", "1")]);
        let whiteout = mknodat(rustix::fs::CWD, top.path().join("gone"), FileType::CharacterDevice, Mode::empty(), 0);
        let opaque = setxattr(top.path().join("opaque"), "user.overlay.opaque", b"y", XattrFlags::empty());
        if whiteout.and(opaque).is_err() {
            println!("skipped: this file system, or this user, cannot make what hides a file");
            return;
        }

        let found = all(&[top.path(), bottom.path()]).expect("it can be read");

        assert_eq!(found, ["/opaque/own 1", "/other/own 1", "/other/shown 1"]);
    }

    #[test]
    fn names_of_one_file_share_a_number() {
        let only = layer(&[("a", "12"), ("c", "3")]);
        fs::hard_link(only.path().join("a"), only.path().join("b")).expect("a link");
        let mut shared = BTreeMap::new();

        let it = |found| {
            if let Found::File { path, shared: number, .. } = found {
                shared.insert(String::from_utf8(path).expect("UTF-8"), number);
            }
        };
        read(&[only.path().to_owned()], it).expect("it can be read");

        assert!(shared["/a"].is_some() && shared["/a"] == shared["/b"] && shared["/c"].is_none(), "{shared:?}");
    }

    #[test]
    fn a_layer_that_is_gone_is_named() {
        let error = all(&[Path::new("/nowhere/at/all")]).expect_err("it is not there");

        assert!(error.to_string().starts_with("cannot read /nowhere/at/all of the image: No such file"), "{error}");
    }
}
