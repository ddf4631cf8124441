//! What of its image a container did not touch: files that no program of it opened, ran or changed.

use std::collections::{HashMap, HashSet};
use std::fmt;

use behaviour::{MountUse, Place};
use event::{Outcome, Phase, PrivilegedOperation, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Report;

/// What of its image a container did not touch. `record` does not look at images: `ringfence report --untouched` adds this to
/// a report.
///
/// Files are regular ones. To look at a file's attributes, such as stat(2) does, is not to touch it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Untouched {
    /// Files of the image, each name of a file with several.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub files: u64,
    /// Their size, each file once.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub bytes: u64,
    /// What was not touched: each directory of which nothing was, as one, and else each file. The largest first.
    pub parts: Vec<UntouchedPart>,
}

/// A file that was not touched, or a directory without any file that was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UntouchedPart {
    /// Where it is in the image.
    pub path: Text,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// How many files that is.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub files: u64,
    /// Their size, each file once.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub bytes: u64,
}

/// What there is in an image. Paths are absolute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Its regular files.
    pub files: Vec<ImageFile>,
    /// Its symbolic links, by their paths: what they lead to.
    pub links: HashMap<Vec<u8>, Vec<u8>>,
}

/// A regular file of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFile {
    /// Its path.
    pub path: Vec<u8>,
    /// Its size.
    pub bytes: u64,
    /// A number that all names of the same file share; none if this is its only one.
    pub shared: Option<u64>,
}

/// Why it cannot be said what a container did not touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untellable(String);

impl fmt::Display for Untellable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Untellable {}

/// By which the same path leads to another file than that of the image.
const CHANGES_OF_PATHS: [PrivilegedOperation; 8] = [
    PrivilegedOperation::Chroot,
    PrivilegedOperation::PivotRoot,
    PrivilegedOperation::Mount,
    PrivilegedOperation::Fsmount,
    PrivilegedOperation::MoveMount,
    PrivilegedOperation::OpenTree,
    PrivilegedOperation::Umount,
    PrivilegedOperation::Umount2,
];

/// Links that one path leads through: as many as the kernel follows (MAXSYMLINKS, include/linux/namei.h, 6.18).
const MOST_LINKS: usize = 40;

impl Untouched {
    /// Files that were not touched.
    pub fn untouched_files(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.files))
    }

    /// Their size.
    pub fn untouched_bytes(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.bytes))
    }
}

/// Where the files of a report's image lie on its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImagePlace {
    /// The layers of an overlay, the topmost first.
    Layers(Vec<Text>),
    /// One directory, in which the container may have made files, too.
    Directory(Text),
}

impl Report {
    /// Where the files of its image lie on its host; none if that is not known.
    pub fn image_place(&self) -> Option<ImagePlace> {
        let roots = || self.roots();
        let layers = roots().find(|mount| !mount.layers.is_empty());
        layers.map(|mount| ImagePlace::Layers(mount.layers.clone())).or_else(|| {
            // An overlay whose layers are not known is gone when its container is, and shows what that made.
            let mut others = roots().filter(|mount| mount.fs_type.as_bytes() != b"overlay");
            others.find_map(|mount| mount.host_path.clone()).map(ImagePlace::Directory)
        })
    }

    /// What is mounted as the root of the container's programs; the runtime has that of the host first.
    fn roots(&self) -> impl Iterator<Item = &MountUse> {
        let mounts = self.behaviour.files.mounts.iter();
        mounts.filter(|mount| mount.place == Place::Root && mount.phase != Phase::RuntimeInit)
    }

    /// Whether it can be said of a file that the container did not touch it.
    pub fn check_untouched(&self) -> Result<(), Untellable> {
        for section in ["files", "privileged"] {
            if self.sections.get(&Text::from(section)) != Some(&true) {
                return Err(self.not_complete(section));
            }
        }
        let operations = &self.behaviour.privileged.operations;
        let change = operations.iter().find(|used| {
            used.phase != Phase::RuntimeInit
                && used.outcome == Outcome::Allowed
                && CHANGES_OF_PATHS.contains(&used.operation)
        });
        match change {
            Some(change) => Err(Untellable(format!(
                "a program of the container called {}: its paths may lead elsewhere than those of the image",
                change.operation.name()
            ))),
            None => Ok(()),
        }
    }

    fn not_complete(&self, section: &str) -> Untellable {
        let concerns = |sensor: &Option<Text>| sensor.as_ref().is_none_or(|it| it.as_bytes() == section.as_bytes());
        let reasons: Vec<_> = self.reasons.iter().filter(|reason| concerns(&reason.sensor)).collect();
        let said: Vec<_> = reasons.iter().map(|reason| reason.text.shown().into_owned()).collect();
        Untellable(format!("the section `{section}` of the report is not complete: {}", said.join("; ")))
    }

    /// What of this image the container did not touch.
    pub fn untouched(&self, image: &Image) -> Result<Untouched, Untellable> {
        self.check_untouched()?;
        let touched = Touched::of(self, image);
        Ok(untouched(image, &touched))
    }
}

/// Files that something was done with.
struct Touched<'a> {
    paths: HashSet<&'a [u8]>,
    resolved: HashSet<Vec<u8>>,
    shared: HashSet<u64>,
}

impl<'a> Touched<'a> {
    fn of(report: &'a Report, image: &Image) -> Touched<'a> {
        let files = &report.behaviour.files;
        let mut touched = Touched {
            // The kernel resolved them. What the runtime used is the host's until it has changed its root.
            paths: files
                .paths
                .iter()
                .filter(|used| !used.unreachable)
                .filter(|used| used.phase != Phase::RuntimeInit || report.roots().any(|root| root.mount == used.mount))
                .map(|used| used.path.as_bytes())
                .collect(),
            resolved: HashSet::new(),
            shared: HashSet::new(),
        };
        for used in &files.names {
            for name in [&used.path, &used.second_path] {
                if used.phase != Phase::RuntimeInit && used.errno.is_none() && name.as_bytes().starts_with(b"/") {
                    touched.resolved.insert(resolve(name.as_bytes(), &image.links));
                }
            }
        }
        let by_name = image.files.iter().filter(|file| touched.has_path(&file.path));
        touched.shared = by_name.filter_map(|file| file.shared).collect();
        touched
    }

    fn has_path(&self, path: &[u8]) -> bool {
        self.paths.contains(path) || self.resolved.contains(path)
    }

    fn has(&self, file: &ImageFile) -> bool {
        self.has_path(&file.path) || file.shared.is_some_and(|number| self.shared.contains(&number))
    }
}

/// Without links, `.` and `..`, but for the last part: what is done to a name is done to a link, not to what it leads to.
fn resolve(path: &[u8], links: &HashMap<Vec<u8>, Vec<u8>>) -> Vec<u8> {
    let parts = |path: &[u8]| path.split(|&byte| byte == b'/').rev().map(<[u8]>::to_vec).collect::<Vec<_>>();
    let mut left = parts(path);
    let mut found: Vec<u8> = Vec::new();
    let mut followed = 0;
    while let Some(part) = left.pop() {
        match part.as_slice() {
            b"" | b"." => {}
            b".." => found.truncate(found.iter().rposition(|&byte| byte == b'/').unwrap_or(0)),
            _ => {
                let above = found.len();
                found.push(b'/');
                found.extend_from_slice(&part);
                if let Some(target) = links.get(&found).filter(|_| !left.is_empty() && followed < MOST_LINKS) {
                    followed += 1;
                    found.truncate(if target.starts_with(b"/") { 0 } else { above });
                    left.extend(parts(target));
                }
            }
        }
    }
    found
}

/// What is below a directory.
#[derive(Default)]
struct Below {
    files: u64,
    touched: u64,
}

fn untouched(image: &Image, touched: &Touched<'_>) -> Untouched {
    let mut directories: HashMap<&[u8], Below> = HashMap::new();
    for file in &image.files {
        let is_touched = touched.has(file);
        for above in above(&file.path) {
            let below = directories.entry(above).or_default();
            below.files += 1;
            below.touched += u64::from(is_touched);
        }
    }
    let mut sizes = Sizes::default();
    let mut parts: HashMap<&[u8], UntouchedPart> = HashMap::new();
    let mut found = Untouched { files: image.files.len() as u64, ..Untouched::default() };
    for file in &image.files {
        let bytes = sizes.of(file);
        found.bytes = found.bytes.saturating_add(bytes);
        if touched.has(file) {
            continue;
        }
        // From the root down: the first that has nothing that was touched.
        let whole = above(&file.path).find(|directory| directories.get(directory).is_some_and(|it| it.touched == 0));
        let path = whole.unwrap_or(&file.path);
        let part = parts.entry(path).or_insert_with(|| UntouchedPart {
            path: Text::new(if path.is_empty() { b"/" } else { path }),
            is_directory: whole.is_some(),
            files: 0,
            bytes: 0,
        });
        part.files += 1;
        part.bytes = part.bytes.saturating_add(bytes);
    }
    found.parts = parts.into_values().collect();
    found.parts.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.path.cmp(&b.path)));
    found
}

/// Counts each file once, however many names it has.
#[derive(Default)]
struct Sizes {
    counted: HashSet<u64>,
}

impl Sizes {
    fn of(&mut self, file: &ImageFile) -> u64 {
        let is_new = file.shared.is_none_or(|number| self.counted.insert(number));
        if is_new { file.bytes } else { 0 }
    }
}

/// The directories that a path leads through, from the root down; the root is empty.
fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[..at])
}
