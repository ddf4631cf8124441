//! What one component of a cgroup path means, given those above it.

use super::Engine;

/// What a component says of the cgroup that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It is a container's.
    Container { engine: Engine, id: String, pod: Option<String> },
    /// It holds a pod's containers, or pods.
    Pod { pod: Option<String> },
    /// It holds an engine's containers.
    EngineParent(Engine),
    /// It holds the process that watches a container.
    Monitor,
    /// Nothing known.
    Nothing,
}

/// `above` are the components since the innermost container (else since the root), `inside` is that container's engine.
pub(super) fn meaning(above: &[&[u8]], inside: Option<Engine>, component: &[u8]) -> Meaning {
    let Ok(name) = std::str::from_utf8(component) else {
        return Meaning::Nothing;
    };
    let parent = above.last().copied().unwrap_or_default();
    let grandparent = above.len().checked_sub(2).map_or(&b""[..], |at| above[at]);
    pod_parent(parent, name)
        .or_else(|| monitor(above, inside, parent, name))
        .or_else(|| named_by_unit(name))
        .or_else(|| named_by_parent(above, grandparent, parent, name))
        .or_else(|| engine_parent(above, parent, name))
        .or_else(|| any_hex_id(name))
        .unwrap_or(Meaning::Nothing)
}

fn container(engine: Engine, id: &str) -> Option<Meaning> {
    is_id(id).then(|| Meaning::Container { engine, id: id.to_owned(), pod: None })
}

/// Prefixes of scopes and of plain directories that stand before a container's id, the longest first where one begins
/// another.
const ID_PREFIXES: [(&str, Engine); 13] = [
    ("docker-", Engine::Docker),
    ("cri-containerd-", Engine::Cri),
    ("containerd-", Engine::Containerd),
    ("nerdctl-", Engine::Containerd),
    ("crio-", Engine::CriO),
    ("libpod-payload-", Engine::Podman),
    ("libpod-", Engine::Podman),
    ("buildkit-", Engine::Buildkit),
    ("kata_", Engine::Kata),
    ("buildah-buildah", Engine::Buildah),
    ("runc-", Engine::Runc),
    ("crun-", Engine::Crun),
    ("youki-", Engine::Youki),
];

/// Names that carry engine and id in themselves.
fn named_by_unit(name: &str) -> Option<Meaning> {
    if let Some(rest) = name.strip_prefix("lxc.payload.") {
        return container(Engine::Lxc, rest);
    }
    if let Some(machine) = name
        .strip_prefix("systemd-nspawn@")
        .and_then(|rest| rest.strip_suffix(".service"))
        .or_else(|| name.strip_prefix("machine-").and_then(|rest| rest.strip_suffix(".scope")))
    {
        return machine_of_systemd(machine);
    }
    if let Some(found) = slice_prefix_id(name) {
        return Some(found);
    }
    let (stem, is_scope) = match name.strip_suffix(".scope") {
        Some(stem) => (stem, true),
        None => (name, false),
    };
    let (prefix, engine) = *ID_PREFIXES.iter().find(|(prefix, _)| stem.starts_with(prefix))?;
    let id = &stem[prefix.len()..];
    match engine {
        Engine::Buildah => digits(id).then(|| container(engine, &stem["buildah-".len()..]))?,
        // A bare runtime's id is any name, and only systemd's driver puts the runtime before it.
        Engine::Runc | Engine::Crun | Engine::Youki if is_scope => match id.strip_prefix("buildah-") {
            Some(build) => container(Engine::Buildah, build),
            None => container(engine, id),
        },
        Engine::Runc | Engine::Crun | Engine::Youki => None,
        Engine::Docker if is_buildkit_id(id) => container(Engine::Buildkit, id),
        Engine::Buildkit => (is_buildkit_id(id) || is_hex_id(id)).then(|| container(engine, id))?,
        _ => is_hex_id(id).then(|| container(engine, id))?,
    }
}

/// `kubepods-burstable-pod<uid>.slice:cri-containerd:<id>`: a systemd name taken literally by the cgroupfs driver.
fn slice_prefix_id(name: &str) -> Option<Meaning> {
    let (rest, id) = name.rsplit_once(':')?;
    let (slice, prefix) = rest.rsplit_once(':')?;
    let (_, engine) = *ID_PREFIXES.iter().find(|(known, _)| known.trim_end_matches('-') == prefix)?;
    if !is_hex_id(id) {
        return None;
    }
    let pod = match pod_parent(b"", slice) {
        Some(Meaning::Pod { pod }) => pod,
        _ => None,
    };
    Some(Meaning::Container { engine, id: id.to_owned(), pod })
}

/// systemd-machined's scopes also hold virtual machines, which are no containers.
fn machine_of_systemd(escaped: &str) -> Option<Meaning> {
    let name = unescape_unit(escaped)?;
    if name.starts_with("qemu-") {
        return None;
    }
    if name.starts_with("lxc-") {
        return container(Engine::Lxc, &name);
    }
    container(Engine::Nspawn, &name)
}

/// Names that mean something only below a directory of an engine.
fn named_by_parent(above: &[&[u8]], grandparent: &[u8], parent: &[u8], name: &str) -> Option<Meaning> {
    let is_in_pod = matches!(pod_parent(grandparent, std::str::from_utf8(parent).ok()?), Some(Meaning::Pod { .. }));
    match parent {
        b"docker" | b"ecs" if is_hex_id(name) => container(Engine::Docker, name),
        b"buildkit" if is_buildkit_id(name) || is_hex_id(name) => container(Engine::Buildkit, name),
        b"lxc" | b"lxc.payload" if above.len() == 1 => container(Engine::Lxc, name),
        b"ringfence" => container(Engine::Ringfence, name),
        b"k8s.io" if above.len() == 1 => container(Engine::Cri, name),
        // containerd's default is /<its namespace>/<id>; `default` is what ctr and nerdctl use when not told.
        b"default" if above.len() == 1 => container(Engine::Containerd, name),
        _ if grandparent == b"ecs" && is_hex_id(name) => container(Engine::Docker, name),
        _ if is_in_pod && is_hex_id(name) => container(Engine::Cri, name),
        _ => None,
    }
}

/// Cgroups of pods and of groups of pods.
fn pod_parent(parent: &[u8], name: &str) -> Option<Meaning> {
    let group = Some(Meaning::Pod { pod: None });
    let (stem, is_slice) = match name.strip_suffix(".slice") {
        Some(stem) => (stem, true),
        None => (name, false),
    };
    if let Some(at) = stem.find("libpod_pod_") {
        let id = &stem[at + "libpod_pod_".len()..];
        return is_hex_id(id).then(|| Meaning::Pod { pod: Some(id.to_owned()) });
    }
    if parent == b"libpod_parent" && is_hex_id(name) {
        return Some(Meaning::Pod { pod: Some(name.to_owned()) });
    }
    if is_slice {
        // `kubelet-` is in front where the whole node is in a slice of its own, as with kind.
        let (_, rest) =
            stem.rsplit_once("kubepods").filter(|(before, _)| before.is_empty() || before.ends_with('-'))?;
        let rest = rest.strip_prefix("-burstable").or_else(|| rest.strip_prefix("-besteffort")).unwrap_or(rest);
        if rest.is_empty() {
            return group;
        }
        return Some(Meaning::Pod { pod: Some(pod_uid(rest.strip_prefix("-pod")?)?) });
    }
    match name {
        "kubepods" => group,
        "burstable" | "besteffort" if parent == b"kubepods" => group,
        _ if matches!(parent, b"kubepods" | b"burstable" | b"besteffort") => {
            Some(Meaning::Pod { pod: Some(pod_uid(name.strip_prefix("pod")?)?) })
        }
        _ => None,
    }
}

/// Cgroups of the processes that engines leave beside their containers.
fn monitor(above: &[&[u8]], inside: Option<Engine>, parent: &[u8], name: &str) -> Option<Meaning> {
    let is_monitor = name.starts_with("libpod-conmon-")
        || name.starts_with("crio-conmon-")
        || name.starts_with("lxc.monitor.")
        || (parent == b"lxc.monitor" && above.len() == 1)
        || (name == "conmon" && (parent == b"libpod_parent" || parent.starts_with(b"libpod_pod_")))
        || parent == b"kata_overhead"
        || (inside == Some(Engine::Nspawn) && above.is_empty() && name == "supervisor");
    is_monitor.then_some(Meaning::Monitor)
}

/// Directories that engines make for all of their containers.
fn engine_parent(above: &[&[u8]], parent: &[u8], name: &str) -> Option<Meaning> {
    let engine = match name {
        "buildkit" => Engine::Buildkit,
        "libpod_parent" => Engine::Podman,
        "docker" if above.is_empty() => Engine::Docker,
        "k8s.io" if above.is_empty() => Engine::Cri,
        "lxc" | "lxc.payload" if above.is_empty() => Engine::Lxc,
        "ringfence" if above.is_empty() => Engine::Ringfence,
        "ecs" if above.is_empty() => Engine::Docker,
        _ if parent == b"ecs" && above.len() == 1 => Engine::Docker,
        _ => return None,
    };
    Some(Meaning::EngineParent(engine))
}

/// The net under the table: 64 hexadecimal digits are an engine's id, whoever made it.
fn any_hex_id(name: &str) -> Option<Meaning> {
    // Units that are named after a container but hold none of its tasks: health checks, mounts of its layers.
    if [".service", ".timer", ".mount", ".socket", ".slice"].iter().any(|unit| name.ends_with(unit)) {
        return None;
    }
    let id = name.split(|c: char| !c.is_ascii_alphanumeric()).find(|word| is_hex_id(word))?;
    container(Engine::Unknown, id)
}

/// Exactly 64 lower-case hexadecimal digits.
pub(crate) fn is_hex_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// BuildKit's ids: 25 digits and lower-case letters.
fn is_buildkit_id(text: &str) -> bool {
    text.len() == 25 && text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A name that runtimes accept as a container's id.
pub(super) fn is_id(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && !text.bytes().all(|byte| byte == b'.')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.+-:@".contains(&byte))
}

/// A pod's uid as the API server writes it. Pods from files have 32 digits without dashes; systemd turns dashes into
/// underscores.
fn pod_uid(text: &str) -> Option<String> {
    let uid = text.replace('_', "-");
    let is_word = uid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    ((1..=64).contains(&uid.len()) && is_word).then_some(uid)
}

/// Undoes systemd's `\xHH`; none if the result is no plain text. (That `-` stands for `/` does not apply to machines.)
fn unescape_unit(escaped: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match (first, tail) {
            (b'\\', [b'x', high, low, after @ ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                bytes.push(u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?);
                rest = after;
            }
            (b'\\', _) => return None,
            _ => bytes.push(first),
        }
    }
    String::from_utf8(bytes).ok()
}
