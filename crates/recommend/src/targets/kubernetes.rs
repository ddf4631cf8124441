//! A pod for Kubernetes, with what the workload's container is to have.

use super::settings::{Settings, Writable};
use super::yaml::{Entry, Yaml, pair, texts};
use super::{Output, TargetError, short_name};
use crate::hardening::Medium;

/// Where the kubelet looks for profiles, unless it is told another folder.
const PROFILES: &str = "/var/lib/kubelet/seccomp/";

/// The pod.
pub(super) fn pod(settings: Settings, profile: &str) -> Result<Output, TargetError> {
    let mut comments = vec![
        "The container's securityContext and what belongs to it: take them over into your pod, deployment or job."
            .into(),
    ];
    let localhost = match profile.strip_prefix(PROFILES) {
        Some(inside) => inside,
        None => {
            let file = profile.rsplit('/').next().unwrap_or(profile);
            comments.push(format!("Put the seccomp profile on each node as {PROFILES}{file}"));
            file
        }
    };
    if localhost.is_empty() || localhost.split('/').any(|part| part == "..") {
        let path = event::Text::from(profile).shown().into_owned();
        return Err(TargetError::Path { target: "kubernetes", path, without: "`..`, with a name" });
    }

    let mut context = Vec::new();
    let has_admin = settings.capabilities.iter().any(|capability| capability.name() == "CAP_SYS_ADMIN");
    if settings.no_new_privileges && has_admin {
        comments.push("Kubernetes refuses allowPrivilegeEscalation: false beside CAP_SYS_ADMIN".to_owned());
    } else if settings.no_new_privileges {
        context.push(pair("allowPrivilegeEscalation", false));
    }
    let mut capabilities = vec![pair("drop", texts(["ALL"]))];
    if !settings.capabilities.is_empty() {
        let names = settings.capabilities.iter().map(|&capability| short_name(capability));
        capabilities.push(pair("add", texts(names)));
    }
    context.push(pair("capabilities", capabilities));
    let writable = root(&settings, &mut comments);
    if writable.is_some() {
        context.push(pair("readOnlyRootFilesystem", true));
    }
    if let Some(user) = settings.user {
        context.push(pair("runAsNonRoot", user.uid != 0));
        context.push(pair("runAsUser", u64::from(user.uid)));
        context.push(pair("runAsGroup", u64::from(user.gid)));
    }
    context.push(pair("seccompProfile", vec![pair("type", "Localhost"), pair("localhostProfile", localhost)]));

    let mut container = vec![pair("name", settings.name.as_str())];
    let image = settings.image.clone().unwrap_or_else(|| settings.name.clone());
    container.push(pair("image", image));
    container.push(pair("securityContext", context));
    let mut limits = Vec::new();
    if let Some(bytes) = settings.memory_bytes {
        limits.push(pair("memory", bytes.to_string()));
    }
    if let Some(milli) = settings.cpu_milli {
        limits.push(pair("cpu", format!("{milli}m")));
    }
    if !limits.is_empty() {
        container.push(pair("resources", vec![pair("limits", limits)]));
    }
    let writable = writable.unwrap_or_default();
    let mut spec = Vec::new();
    if !writable.is_empty() {
        let mounts =
            writable.iter().map(|one| Yaml::Map(vec![pair("name", volume(one)), pair("mountPath", one.path.as_str())]));
        container.push(pair("volumeMounts", Yaml::List(mounts.collect())));
    }
    spec.push(pair("containers", Yaml::List(vec![container.into()])));
    if !writable.is_empty() {
        spec.push(pair("volumes", Yaml::List(writable.iter().map(empty_dir).collect())));
    }
    let cannot = [
        (settings.pids.map(|pids| format!("a limit of {pids} processes: set podPidsLimit of the kubelet")), "pids"),
        ((!settings.ulimits.is_empty()).then(|| "ulimits".to_owned()), "ulimits"),
        ((!settings.devices.is_empty()).then(|| "devices: they need a device plugin".to_owned()), "devices"),
    ];
    comments.extend(cannot.into_iter().filter_map(|(what, _)| Some(format!("A pod cannot say: {}", what?))));
    comments.extend(settings.notes);
    let mut document: Vec<Entry> = comments.into_iter().map(Entry::Comment).collect();
    document.extend([
        pair("apiVersion", "v1"),
        pair("kind", "Pod"),
        pair("metadata", vec![pair("name", settings.name)]),
        pair("spec", spec),
    ]);
    Ok(Output::of(Yaml::document(document)))
}

/// The directories that stay writable, if the root file system can be read-only here: a volume of a pod is empty.
fn root(settings: &Settings, comments: &mut Vec<String>) -> Option<Vec<Writable>> {
    let writable = settings.read_only.as_ref()?;
    if let Some(one) = writable.iter().find(|one| one.medium == Medium::Volume && one.has_image_files) {
        comments.push(format!(
            "readOnlyRootFilesystem: not set: {} must be writable and keep the image's files, and a pod's volumes are empty",
            one.path
        ));
        return None;
    }
    for one in writable.iter().filter(|one| one.medium == Medium::Volume) {
        comments.push(format!("{} lasts as long as the pod: give it a PersistentVolumeClaim to keep it", one.path));
    }
    Some(writable.clone())
}

fn volume(one: &Writable) -> String {
    one.volume("writable")
}

fn empty_dir(one: &Writable) -> Yaml {
    let kind = match one.medium {
        Medium::Tmpfs => vec![pair("medium", "Memory")],
        Medium::Volume => Vec::new(),
    };
    Yaml::Map(vec![pair("name", volume(one)), pair("emptyDir", kind)])
}
