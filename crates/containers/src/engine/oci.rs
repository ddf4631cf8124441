//! The OCI runtime specification of a container (`config.json`): what the runtime was really told.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::metadata::{Metadata, Pod, Role, Seccomp, Security};
use super::settings::{GivenMount, Settings};
use crate::path::Engine;

/// What this crate wants of a specification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    /// The command with its arguments.
    pub command: Option<Vec<String>>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Security settings.
    pub security: Security,
    /// The path of the cgroup that the runtime was told to use; with systemd `slice:prefix:name`.
    pub cgroups_path: Option<String>,
    /// What else it was made with.
    pub settings: Settings,
}

impl Spec {
    /// The same as metadata. The annotations are its labels: a bundle has no others.
    pub(super) fn into_metadata(self, engine: Engine, id: &str) -> Metadata {
        let annotation = |keys: &[&str]| {
            keys.iter().filter_map(|&key| self.annotations.get(key)).find(|text| !text.is_empty()).cloned()
        };
        let kind = annotation(&["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"]);
        Metadata {
            role: if kind.as_deref() == Some("sandbox") { Role::PodSandbox } else { Role::Workload },
            image: annotation(&[
                "io.kubernetes.cri.image-name",
                "io.kubernetes.cri-o.ImageName",
                "org.opencontainers.image.ref.name",
            ]),
            pod: Pod::named_in(&self.annotations),
            command: self.command,
            labels: self.annotations,
            security: self.security,
            settings: Some(self.settings),
            ..Metadata::new(engine, id)
        }
    }
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(rename = "ociVersion")]
    _oci_version: String,
    process: Option<Process>,
    root: Option<Root>,
    annotations: Option<BTreeMap<String, String>>,
    mounts: Option<Vec<Mount>>,
    #[serde(borrow)]
    linux: Option<Linux<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    args: Option<Vec<String>>,
    user: Option<User>,
    capabilities: Option<Capabilities>,
    #[serde(default)]
    no_new_privileges: bool,
    apparmor_profile: Option<String>,
    selinux_label: Option<String>,
}

#[derive(Deserialize)]
struct User {
    uid: Option<u32>,
}

#[derive(Deserialize)]
struct Capabilities {
    bounding: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Root {
    #[serde(default)]
    readonly: bool,
}

#[derive(Deserialize)]
struct Mount {
    destination: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    source: Option<String>,
    options: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Namespace {
    #[serde(rename = "type")]
    kind: String,
    path: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Linux<'a> {
    cgroups_path: Option<String>,
    namespaces: Option<Vec<Namespace>>,
    masked_paths: Option<Vec<String>>,
    readonly_paths: Option<Vec<String>>,
    #[serde(borrow)]
    seccomp: Option<&'a RawValue>,
}

/// Reads a specification.
pub fn parse_spec(bytes: &[u8]) -> Result<Spec, String> {
    let raw: Raw<'_> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let mut security = Security { read_only_root: raw.root.map(|root| root.readonly), ..Security::default() };
    let mut settings = Settings { mounts: Some(mounts(raw.mounts)), ..Settings::default() };
    let mut cgroups_path = None;
    if let Some(linux) = raw.linux {
        security.seccomp = Some(match linux.seccomp.map(RawValue::get) {
            None | Some("null") => Seccomp::Unconfined,
            Some(profile) => Seccomp::Profile(profile.to_owned()),
        });
        settings.namespaces = Some(shared_namespaces(&linux.namespaces.unwrap_or_default()));
        settings.masked_paths = Some(linux.masked_paths.unwrap_or_default());
        settings.read_only_paths = Some(linux.readonly_paths.unwrap_or_default());
        cgroups_path = linux.cgroups_path.filter(|path| !path.is_empty());
    }
    let mut command = None;
    if let Some(process) = raw.process {
        security.no_new_privileges = Some(process.no_new_privileges);
        security.apparmor = process.apparmor_profile.filter(|profile| !profile.is_empty());
        security.selinux = process.selinux_label.filter(|label| !label.is_empty());
        security.user = process.user.and_then(|user| user.uid).map(|uid| uid.to_string());
        // No list means that the process gets none at all.
        security.capabilities = Some(process.capabilities.and_then(|all| all.bounding).unwrap_or_default());
        command = process.args.filter(|args| !args.is_empty());
    }
    Ok(Spec { command, annotations: raw.annotations.unwrap_or_default(), security, cgroups_path, settings })
}

/// What is mounted from the host. The file systems that the kernel makes up are in each container.
fn mounts(mounts: Option<Vec<Mount>>) -> Vec<GivenMount> {
    let bound = mounts.into_iter().flatten().filter_map(|mount| {
        let options = mount.options.unwrap_or_default();
        let has = |wanted: &str| options.iter().any(|option| option == wanted);
        let is_bind = mount.kind.as_deref() == Some("bind") || has("bind") || has("rbind");
        is_bind.then(|| GivenMount {
            destination: mount.destination,
            kind: "bind".to_owned(),
            source: mount.source.unwrap_or_default(),
            read_only: has("ro"),
        })
    });
    let mut mounts: Vec<GivenMount> = bound.collect();
    mounts.sort();
    mounts
}

/// A namespace that is in no list is the one of whoever starts the runtime, as a rule the host's.
fn shared_namespaces(listed: &[Namespace]) -> BTreeMap<String, String> {
    let kinds = [
        ("cgroup", "cgroup"),
        ("ipc", "ipc"),
        ("mount", "mount"),
        ("net", "network"),
        ("pid", "pid"),
        ("user", "user"),
        ("uts", "uts"),
    ];
    let said = kinds.into_iter().filter_map(|(name, kind)| {
        let mode = match listed.iter().find(|one| one.kind == kind) {
            None => "host",
            Some(Namespace { path: Some(path), .. }) if !path.is_empty() => path,
            Some(_) => return None,
        };
        Some((name.to_owned(), mode.to_owned()))
    });
    said.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{GivenMount, parse_spec};
    use crate::engine::{Role, Seccomp};
    use crate::path::Engine;

    const SPEC: &str = r#"{"ociVersion":"1.0.2-dev","process":{"terminal":false,"user":{"uid":5,"gid":0},"args":["sleep","1000"],
        "capabilities":{"bounding":["CAP_KILL"],"effective":["CAP_KILL"]},"noNewPrivileges":true,"apparmorProfile":"tight"},
        "root":{"path":"rootfs","readonly":true},"annotations":{"io.kubernetes.cri.container-type":"sandbox",
        "io.kubernetes.cri.sandbox-name":"web-0","io.kubernetes.cri.image-name":"nginx:1"},
        "linux":{"cgroupsPath":"/ringfence/x","seccomp":{"defaultAction":"SCMP_ACT_ERRNO"}}}"#;

    #[test]
    fn every_field_of_a_specification_is_read() {
        let spec = parse_spec(SPEC.as_bytes()).expect("it is valid");

        assert_eq!(spec.command.as_deref(), Some(&["sleep", "1000"].map(String::from)[..]));
        assert_eq!(spec.cgroups_path.as_deref(), Some("/ringfence/x"));
        let security = &spec.security;
        assert_eq!((security.no_new_privileges, security.read_only_root), (Some(true), Some(true)));
        assert_eq!(security.seccomp, Some(Seccomp::Profile(r#"{"defaultAction":"SCMP_ACT_ERRNO"}"#.into())));
        assert_eq!((security.apparmor.as_deref(), security.user.as_deref()), (Some("tight"), Some("5")));
        assert_eq!(security.capabilities.as_deref(), Some(&["CAP_KILL".to_owned()][..]));
        let metadata = spec.into_metadata(Engine::Cri, "ab");
        assert_eq!((metadata.role, metadata.image.as_deref()), (Role::PodSandbox, Some("nginx:1")));
        assert_eq!(metadata.pod.and_then(|pod| pod.name).as_deref(), Some("web-0"));
    }

    #[test]
    fn mounts_of_the_host_and_shared_namespaces_are_read() {
        let spec = br#"{"ociVersion":"1.0.0","mounts":[{"destination":"/proc","type":"proc","source":"proc"},
            {"destination":"/data","type":"bind","source":"/srv","options":["rbind","ro"]}],
            "linux":{"namespaces":[{"type":"mount"},{"type":"pid","path":""},{"type":"network","path":"/run/netns/x"},
            {"type":"uts"},{"type":"user"},{"type":"cgroup"}],"maskedPaths":["/proc/kcore"]}}"#;

        let settings = parse_spec(spec).expect("it is valid").settings;

        let given =
            GivenMount { destination: "/data".into(), kind: "bind".into(), source: "/srv".into(), read_only: true };
        assert_eq!(settings.mounts, Some(vec![given]));
        let shared = [("ipc", "host"), ("net", "/run/netns/x")].map(|(name, mode)| (name.to_owned(), mode.to_owned()));
        assert_eq!(settings.namespaces, Some(shared.into()));
        assert_eq!(settings.masked_paths, Some(vec!["/proc/kcore".to_owned()]));
        assert_eq!((settings.read_only_paths, settings.devices), (Some(vec![]), None));
    }

    #[test]
    fn no_filter_and_no_capabilities_are_said_as_such() {
        let spec = parse_spec(br#"{"ociVersion":"1.0.0","process":{},"linux":{}}"#).expect("it is valid");

        assert_eq!(spec.security.seccomp, Some(Seccomp::Unconfined));
        assert_eq!(spec.security.capabilities, Some(vec![]));
        assert_eq!(spec.security.no_new_privileges, Some(false));
    }

    #[test]
    fn an_empty_annotation_names_no_image() {
        let spec = br#"{"ociVersion":"1.0.0","annotations":{"io.kubernetes.cri.image-name":""}}"#;

        assert_eq!(parse_spec(spec).expect("it is valid").into_metadata(Engine::Cri, "ab").image, None);
    }

    #[test]
    fn any_other_json_is_no_specification() {
        assert!(parse_spec(b"{}").is_err());
        assert!(parse_spec(b"[]").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), cut in 0..SPEC.len()) {
            let _ = parse_spec(&bytes);
            prop_assert!(parse_spec(&SPEC.as_bytes()[..cut]).is_err());
        }
    }
}
