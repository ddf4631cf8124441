//! `container.*` and `k8s.*`: where it happens.

use super::{Argument, Direct, Look, NOT_AVAILABLE, Visit, number, text, truth};
use crate::context::ContainerMount;

/// How many characters of an id are shown.
const SHORT: usize = 12;

pub(super) fn pick(direct: Direct, look: Look<'_, '_>, visit: &mut Visit<'_>) -> bool {
    let container = &look.subject.container;
    let facts = &look.subject.context.container;
    let label = |name: &str| facts.labels.and_then(|labels| labels.get(name)).map(String::as_bytes);
    match direct {
        Direct::ContainerId => text(visit, Some(container.id.map_or(NOT_AVAILABLE, |id| short(id).as_bytes()))),
        Direct::ContainerFullId => text(visit, container.id),
        Direct::ContainerName => text(visit, container.name),
        Direct::ContainerImage => text(visit, container.image),
        Direct::ContainerType => text(visit, container.engine),
        Direct::ContainerImageId => text(visit, facts.image_id),
        Direct::ContainerImageRepository => text(visit, container.image.map(|image| Image::of(image).repository)),
        Direct::ContainerImageTag => text(visit, container.image.and_then(|image| Image::of(image).tag)),
        Direct::ContainerImageDigest => {
            text(visit, facts.image_digest.or_else(|| container.image.and_then(|image| Image::of(image).digest)))
        }
        Direct::ContainerPrivileged => truth(visit, facts.privileged),
        Direct::ContainerMounts => {
            text(visit, facts.mounts.map(|mounts| mounts.iter().map(whole).collect::<Vec<_>>().join(",")))
        }
        Direct::ContainerMount
        | Direct::ContainerMountDest
        | Direct::ContainerMountSource
        | Direct::ContainerMountMode
        | Direct::ContainerMountRdwr
        | Direct::ContainerMountPropagation => mount(direct, look, visit),
        Direct::ContainerStartTs => number(visit, facts.start),
        Direct::ContainerDuration => {
            number(visit, facts.start.map(|start| look.subject.event.wall_time.saturating_sub(start)))
        }
        Direct::ContainerLabel => match look.argument {
            Argument::Name(name, _) => text(visit, std::str::from_utf8(name).ok().and_then(label)),
            _ => true,
        },
        Direct::ContainerLabels => text(
            visit,
            facts.labels.map(|labels| {
                labels.iter().map(|(name, value)| format!("{name}:{value}")).collect::<Vec<_>>().join(", ")
            }),
        ),
        Direct::ContainerHostPid => truth(visit, facts.host_pid),
        Direct::ContainerHostNetwork => truth(visit, facts.host_network),
        Direct::ContainerHostIpc => truth(visit, facts.host_ipc),
        Direct::ContainerIp => text(visit, facts.address),
        Direct::K8sNsName => text(visit, label("io.kubernetes.pod.namespace")),
        Direct::K8sPodName => text(visit, label("io.kubernetes.pod.name")),
        Direct::K8sPodUid | Direct::K8sPodId => text(visit, label("io.kubernetes.pod.uid")),
        _ => false,
    }
}

/// The beginning of an id.
pub(super) fn short(id: &str) -> &str {
    id.get(..SHORT).unwrap_or(id)
}

/// The parts of an image's name.
struct Image<'i> {
    repository: &'i str,
    tag: Option<&'i str>,
    digest: Option<&'i str>,
}

impl<'i> Image<'i> {
    fn of(image: &'i str) -> Image<'i> {
        let (name, digest) = match image.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (image, None),
        };
        // A colon before a slash belongs to the registry's port.
        match name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
            Some((repository, tag)) => Image { repository, tag: Some(tag), digest },
            None => Image { repository: name, tag: None, digest },
        }
    }
}

fn mount(direct: Direct, look: Look<'_, '_>, visit: &mut Visit<'_>) -> bool {
    let key = |mount: &ContainerMount| match direct {
        Direct::ContainerMountSource => mount.destination.as_bytes().to_vec(),
        _ => mount.source.as_bytes().to_vec(),
    };
    let mounts = look.subject.context.container.mounts.unwrap_or_default();
    let found = match look.argument {
        Argument::None => None,
        Argument::Number(at) => mounts.get(*at),
        Argument::Name(_, Some(pattern)) => mounts.iter().find(|mount| pattern.matches(&key(mount))),
        Argument::Name(name, None) => mounts.iter().find(|mount| key(mount) == *name),
    };
    let value = found.map(|mount| match direct {
        Direct::ContainerMountDest => mount.destination.clone(),
        Direct::ContainerMountSource => mount.source.clone(),
        Direct::ContainerMountMode => mount.mode.clone(),
        Direct::ContainerMountRdwr => mount.is_writable.to_string(),
        Direct::ContainerMountPropagation => mount.propagation.clone(),
        _ => whole(mount),
    });
    match value {
        Some(value) => text(visit, Some(value)),
        None => text(visit, Some(NOT_AVAILABLE)),
    }
}

fn whole(mount: &ContainerMount) -> String {
    let ContainerMount { source, destination, mode, is_writable, propagation } = mount;
    format!("{source}:{destination}:{mode}:{is_writable}:{propagation}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_taken_apart() {
        for (image, repository, tag, digest) in [
            ("nginx", "nginx", None, None),
            ("nginx:1.27", "nginx", Some("1.27"), None),
            ("localhost:5000/a/b", "localhost:5000/a/b", None, None),
            ("localhost:5000/a/b:c@sha256:00", "localhost:5000/a/b", Some("c"), Some("sha256:00")),
        ] {
            let parts = Image::of(image);
            assert_eq!((parts.repository, parts.tag, parts.digest), (repository, tag, digest), "{image}");
        }
    }
}
