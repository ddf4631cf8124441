//! Which hierarchies there are, and which of them says what a container is.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::path::{Kind, classify};
use crate::proc::{CgroupLine, Mount, Proc, ReadError};

/// The version of a hierarchy's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy per controller or set of controllers.
    V1,
    /// The unified hierarchy.
    V2,
}

/// How this host uses cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Only v1.
    V1,
    /// Only v2.
    V2,
    /// Both are mounted.
    Hybrid,
}

impl Mode {
    /// The name, as in reports.
    pub fn name(self) -> &'static str {
        match self {
            Mode::V1 => "v1",
            Mode::V2 => "v2",
            Mode::Hybrid => "hybrid",
        }
    }
}

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its version.
    pub version: Version,
    /// The number that the kernel gives it (`/proc/PID/cgroup`, the `root` of the cgroup tracepoints); 0 is v2.
    pub number: u32,
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// The cgroup that is mounted there: `/`, unless this program sees only a part of the hierarchy.
    pub mounted: Vec<u8>,
    /// The controllers of a v1 hierarchy; of v2 those that its root offers.
    pub controllers: Vec<String>,
    /// The name of a v1 hierarchy that has one.
    pub name: Option<String>,
}

impl Hierarchy {
    /// Whether it has the controller.
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|has| has == controller)
    }

    /// The directory of the cgroup with this path, if it lies in the part that is mounted.
    pub fn directory(&self, path: &[u8]) -> Option<PathBuf> {
        let below = if self.mounted == b"/" {
            path
        } else {
            let rest = path.strip_prefix(self.mounted.as_slice())?;
            (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)?
        };
        let below = Path::new(OsStr::from_bytes(below.strip_prefix(b"/").unwrap_or(below)));
        let is_plain = below.components().all(|part| matches!(part, Component::Normal(_)));
        is_plain.then(|| self.mount_point.join(below))
    }

    /// The path of this hierarchy among a process's cgroups.
    pub fn path_of<'a>(&self, lines: &'a [CgroupLine]) -> Option<&'a [u8]> {
        lines.iter().find(|line| line.hierarchy == self.number).map(|line| line.path.as_slice())
    }

    /// The controller by which the kernel side finds a task's cgroup in it; none with v2, or if it has only a name.
    pub fn identity_controller(&self) -> Option<&str> {
        match self.version {
            Version::V1 => self.controllers.first().map(String::as_str),
            Version::V2 => None,
        }
    }
}

/// Why the layout could not be told.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// `/proc` could not be read.
    #[error("cannot tell how cgroups are mounted")]
    Proc(#[from] ReadError),
    /// None is mounted.
    #[error("no cgroup hierarchy is mounted: mount one, as with `mount -t cgroup2 none /sys/fs/cgroup`")]
    None,
}

/// The cgroup hierarchies that this program can see.
#[derive(Clone, Debug)]
pub struct Layout {
    hierarchies: Vec<Hierarchy>,
    identity: usize,
}

/// The hierarchy that has the first of these is chosen. (`devices` is in v1 only.)
const IDENTITY_CONTROLLERS: [&str; 3] = ["pids", "memory", "devices"];

impl Layout {
    /// Reads it from the mounts of this process.
    pub fn detect(proc: &Proc) -> Result<Layout, LayoutError> {
        let mounts = proc.own_mountinfo()?;
        let own = proc.own_cgroup()?;
        let hierarchies = hierarchies(&mounts, &own, |mount_point| {
            // The file is missing below the root of v2 only if the mount is no cgroup root; then nothing is offered.
            fs::read_to_string(mount_point.join("cgroup.controllers")).unwrap_or_default()
        });
        Layout::of(hierarchies, has_containers)
    }

    /// The layout of these hierarchies, each of which can be asked for containers.
    pub(super) fn of(
        hierarchies: Vec<Hierarchy>,
        has_containers: impl Fn(&Hierarchy) -> bool,
    ) -> Result<Layout, LayoutError> {
        let of_version = |version| hierarchies.iter().position(|hierarchy| hierarchy.version == version);
        let unified = of_version(Version::V2);
        // What v1 does not use is offered in v2 (often `hugetlb`), which says nothing: it is the controllers that
        // every runtime uses that count.
        let with_controllers = IDENTITY_CONTROLLERS
            .iter()
            .find_map(|controller| hierarchies.iter().position(|hierarchy| hierarchy.has(controller)));
        let identity = match (unified, with_controllers) {
            // On a hybrid host runc makes each container's cgroup in v2 too, but crun does not: v2 counts only if it
            // has containers where v1 has none.
            (Some(v2), Some(v1)) if v1 != v2 => {
                if has_containers(&hierarchies[v2]) && !has_containers(&hierarchies[v1]) { v2 } else { v1 }
            }
            (_, Some(any)) => any,
            (Some(v2), None) => v2,
            (None, None) => {
                hierarchies.iter().position(|hierarchy| !hierarchy.controllers.is_empty()).ok_or(LayoutError::None)?
            }
        };
        Ok(Layout { hierarchies, identity })
    }

    /// Every hierarchy, v1 first in the order in which they are mounted.
    pub fn hierarchies(&self) -> &[Hierarchy] {
        &self.hierarchies
    }

    /// The hierarchy whose cgroups name the containers.
    pub fn identity(&self) -> &Hierarchy {
        &self.hierarchies[self.identity]
    }

    /// How this host uses cgroups.
    pub fn mode(&self) -> Mode {
        let has = |version| self.hierarchies.iter().any(|hierarchy| hierarchy.version == version);
        match (has(Version::V1), has(Version::V2)) {
            (true, true) => Mode::Hybrid,
            (true, false) => Mode::V1,
            _ => Mode::V2,
        }
    }
}

/// The hierarchies among the mounts, each once (the first mount that shows all of it, else the first).
fn hierarchies(mounts: &[Mount], own: &[CgroupLine], offered: impl Fn(&Path) -> String) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for mount in mounts {
        let Some(hierarchy) = hierarchy(mount, own, &offered) else { continue };
        match found.iter_mut().find(|known| known.number == hierarchy.number) {
            Some(known) if known.mounted != b"/" && hierarchy.mounted == b"/" => *known = hierarchy,
            Some(_) => {}
            None => found.push(hierarchy),
        }
    }
    found.sort_by_key(|hierarchy| hierarchy.version == Version::V2);
    found
}

fn hierarchy(mount: &Mount, own: &[CgroupLine], offered: impl Fn(&Path) -> String) -> Option<Hierarchy> {
    let mount_point = PathBuf::from(OsStr::from_bytes(&mount.mount_point));
    let mounted = mount.root.clone();
    match mount.fs_type.as_slice() {
        b"cgroup2" => {
            let controllers = offered(&mount_point).split_ascii_whitespace().map(str::to_owned).collect();
            Some(Hierarchy { version: Version::V2, number: 0, mount_point, mounted, controllers, name: None })
        }
        b"cgroup" => {
            // The options hold the controllers among other words; the line of this process says which are which.
            let line = own.iter().filter(|line| line.hierarchy != 0).find(|line| {
                let is_named = line.name.as_ref().is_some_and(|name| mount.has_super_option(&format!("name={name}")));
                is_named || line.controllers.iter().any(|controller| mount.has_super_option(controller))
            })?;
            Some(Hierarchy {
                version: Version::V1,
                number: line.hierarchy,
                mount_point,
                mounted,
                controllers: line.controllers.clone(),
                name: line.name.clone(),
            })
        }
        _ => None,
    }
}

/// Whether an engine has made a container's or a pod's cgroup in it.
fn has_containers(hierarchy: &Hierarchy) -> bool {
    let is_one = |kind: Kind| matches!(kind, Kind::Container(_) | Kind::Inside(_) | Kind::PodParent { .. });
    match super::walk(hierarchy) {
        Ok(walked) => walked.cgroups.iter().any(|cgroup| is_one(classify(&cgroup.path))),
        // Not readable: then it cannot be told from either.
        Err(io::Error { .. }) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Hierarchy, Layout, Mode, Version, hierarchies};
    use crate::proc::{Proc, parse_cgroup, parse_mountinfo};

    const V1_MOUNTS: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
        32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
        35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
        39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
        40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n";
    const V1_OWN: &str = "9:name=systemd:/\n8:pids:/\n4:memory:/a\n1:cpu,cpuacct:/\n";
    const V2_MOUNT: &str = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    fn found(mounts: &str, own: &str, offered: &str) -> Vec<Hierarchy> {
        let mounts = parse_mountinfo(mounts.as_bytes()).expect("valid mounts");
        let own = parse_cgroup(own.as_bytes()).expect("valid cgroups");
        hierarchies(&mounts, &own, |_| offered.to_owned())
    }

    fn layout(mounts: &str, own: &str, offered: &str, with_containers: &[u32]) -> Layout {
        Layout::of(found(mounts, own, offered), |hierarchy| with_containers.contains(&hierarchy.number))
            .expect("a hierarchy is mounted")
    }

    #[test]
    fn each_v1_mount_gets_its_number_controllers_and_name() {
        let found = found(V1_MOUNTS, V1_OWN, "");

        let shown: Vec<_> = found.iter().map(|h| (h.number, h.controllers.join(","), h.name.as_deref())).collect();
        let expected = [(1, "cpu,cpuacct", None), (4, "memory", None), (8, "pids", None), (9, "", Some("systemd"))];
        assert_eq!(shown, expected.map(|(number, controllers, name)| (number, controllers.to_owned(), name)));
    }

    #[test]
    fn on_v1_pids_names_the_containers() {
        let layout = layout(V1_MOUNTS, V1_OWN, "", &[]);

        assert_eq!((layout.mode(), layout.identity().number), (Mode::V1, 8));
        assert_eq!(layout.identity().identity_controller(), Some("pids"));
    }

    #[test]
    fn without_pids_memory_names_the_containers() {
        let mounts: String =
            V1_MOUNTS.lines().filter(|line| !line.contains("pids")).map(|l| format!("{l}\n")).collect();

        assert_eq!(layout(&mounts, V1_OWN, "", &[]).identity().number, 4);
    }

    #[test]
    fn without_all_three_another_controller_does_and_never_a_mere_name() {
        let mounts: String = V1_MOUNTS
            .lines()
            .filter(|l| l.contains("cpu") || l.contains("systemd"))
            .map(|l| format!("{l}\n"))
            .collect();

        assert_eq!(layout(&mounts, V1_OWN, "", &[]).identity().number, 1);
    }

    #[test]
    fn v2_alone_names_the_containers_even_without_controllers() {
        let layout = layout("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/\n", "", &[]);

        assert_eq!((layout.mode(), layout.identity().version), (Mode::V2, Version::V2));
        assert_eq!(layout.identity().identity_controller(), None);
    }

    #[test]
    fn on_a_hybrid_host_an_empty_v2_tree_names_nothing() {
        let mounts = format!("{V1_MOUNTS}{V2_MOUNT}");
        let own = format!("{V1_OWN}0::/\n");

        let empty = layout(&mounts, &own, "", &[]);
        assert_eq!((empty.mode(), empty.identity().number), (Mode::Hybrid, 8));
        assert_eq!(layout(&mounts, &own, "", &[0, 8]).identity().number, 8, "mirrored containers are in v1 too");
        assert_eq!(layout(&mounts, &own, "", &[0]).identity().number, 0, "containers only in v2");
        assert_eq!(layout(&mounts, &own, "hugetlb\n", &[]).identity().number, 8, "v2 has only what v1 left over");
    }

    #[test]
    fn v2_names_the_containers_if_it_has_the_controllers() {
        let named = "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n";

        let layout = layout(&format!("{named}{V2_MOUNT}"), "1:name=systemd:/\n0::/\n", "cpu memory pids\n", &[]);

        assert_eq!((layout.mode(), layout.identity().number), (Mode::Hybrid, 0));
    }

    #[test]
    fn a_mount_of_a_part_gives_way_to_one_of_the_whole() {
        let part = V2_MOUNT.replace(" / /sys/fs/cgroup/unified", " /docker/ab /mnt");

        let found = found(&format!("{part}{V2_MOUNT}{part}"), "0::/\n", "");

        assert_eq!(found.len(), 1);
        assert_eq!(found[0].mounted, b"/");
    }

    #[test]
    fn paths_map_to_directories_of_the_part_that_is_mounted() {
        let whole = &found(V2_MOUNT, "0::/\n", "")[0];
        let part = Hierarchy { mounted: b"/docker/ab".to_vec(), ..whole.clone() };
        let mount = &whole.mount_point;

        assert_eq!(whole.directory(b"/docker/ab"), Some(mount.join("docker/ab")));
        assert_eq!(whole.directory(b"/"), Some(mount.clone()));
        assert_eq!(whole.directory(b"/../x"), None);
        assert_eq!(part.directory(b"/docker/ab/x"), Some(mount.join("x")));
        assert_eq!(part.directory(b"/docker/abc"), None);
    }

    #[test]
    fn no_hierarchy_is_an_error_that_says_what_to_do() {
        let error = Layout::of(Vec::new(), |_| false).expect_err("nothing is mounted");

        assert!(error.to_string().contains("mount -t cgroup2"));
    }

    #[test]
    fn this_host_has_a_layout() {
        let layout = Layout::detect(&Proc::default()).expect("cgroups are mounted where the tests run");

        assert!(layout.identity().mount_point.is_dir());
    }
}
