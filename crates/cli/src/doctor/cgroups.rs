//! How this host uses cgroups, and which hierarchy tells containers apart.

use std::os::unix::ffi::OsStrExt as _;

use containers::cgroupfs::{Hierarchy, Layout, Version};
use event::Text;
use serde::Serialize;

/// The layout.
#[derive(Debug, Serialize)]
pub(super) struct Cgroups {
    pub(super) mode: &'static str,
    pub(super) hierarchies: Vec<Described>,
    /// Why the one that is marked tells containers apart.
    pub(super) why: &'static str,
}

/// One hierarchy.
#[derive(Debug, Serialize)]
pub(super) struct Described {
    pub(super) version: u8,
    pub(super) number: u32,
    pub(super) controllers: Vec<String>,
    pub(super) name: Option<Text>,
    pub(super) mounted_at: Text,
    /// Whether only a part of it is mounted here.
    pub(super) partly_mounted: bool,
    /// Whether its cgroups tell containers apart.
    pub(super) identifies: bool,
}

pub(super) fn describe(layout: &Layout) -> Cgroups {
    let identity = layout.identity();
    let hierarchies = layout
        .hierarchies()
        .iter()
        .map(|hierarchy| Described {
            version: if hierarchy.version == Version::V2 { 2 } else { 1 },
            number: hierarchy.number,
            controllers: hierarchy.controllers.clone(),
            name: hierarchy.name.as_deref().map(Text::from),
            mounted_at: Text::new(hierarchy.mount_point.as_os_str().as_bytes()),
            partly_mounted: hierarchy.mounted != b"/",
            identifies: hierarchy.number == identity.number,
        })
        .collect();
    Cgroups { mode: layout.mode().name(), hierarchies, why: why(layout.hierarchies(), identity) }
}

fn why(all: &[Hierarchy], identity: &Hierarchy) -> &'static str {
    let has_v1_controllers = all.iter().any(|it| it.version == Version::V1 && !it.controllers.is_empty());
    match identity.version {
        Version::V2 if !has_v1_controllers => "it is the only hierarchy with controllers",
        Version::V2 if identity.has("pids") || identity.has("memory") => {
            "it has the controllers that every runtime uses"
        }
        Version::V2 => "containers are made in it and not in version 1",
        Version::V1 if identity.has("pids") => "it has the pids controller, in which every runtime makes a cgroup",
        Version::V1 if identity.has("memory") => "it has the memory controller, and none has pids",
        Version::V1 if identity.has("devices") => "it has the devices controller, and none has pids or memory",
        Version::V1 => "it is the first with a controller, and none has pids, memory or devices",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hierarchy(version: Version, number: u32, controllers: &[&str]) -> Hierarchy {
        Hierarchy {
            version,
            number,
            mount_point: "/sys/fs/cgroup".into(),
            mounted: b"/".to_vec(),
            controllers: controllers.iter().map(|&name| name.to_owned()).collect(),
            name: None,
        }
    }

    #[test]
    fn the_reason_is_that_of_the_choice() {
        let (empty, full) = (hierarchy(Version::V2, 0, &[]), hierarchy(Version::V2, 0, &["cpu", "pids"]));
        let (pids, memory) = (hierarchy(Version::V1, 8, &["pids"]), hierarchy(Version::V1, 4, &["memory"]));

        assert!(why(std::slice::from_ref(&empty), &empty).contains("only hierarchy"));
        assert!(why(&[pids.clone(), empty.clone()], &empty).contains("not in version 1"));
        assert!(why(&[memory.clone(), full.clone()], &full).contains("every runtime uses"));
        assert!(why(&[pids.clone(), empty.clone()], &pids).contains("pids controller"));
        assert!(why(&[memory.clone(), empty], &memory).contains("none has pids"));
    }
}
