//! Docker's HTTP API (and Podman's imitation of it).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::host_config::{Limits, Mount, settings_of};
use super::metadata::{Metadata, Pod, PublishedPort, Role, Seccomp, Security, Source, capability_names};
use super::{QueryError, http1, time};
use crate::path::Engine;

/// What Docker says of one container.
pub(super) async fn inspect(socket: &Path, id: &str, limit: Duration) -> Result<Metadata, QueryError> {
    let body = http1::get(socket, &format!("/containers/{id}/json"), limit).await?;
    let mut metadata = parse_inspect(&body).map_err(|reason| malformed(socket, reason))?;
    if let Some(image_id) = &metadata.image_id
        && image_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b':')
    {
        // The image can be gone while its container still runs; then there is just no digest.
        if let Ok(body) = http1::get(socket, &format!("/images/{image_id}/json"), limit).await {
            let digests = parse_image(&body).map_err(|reason| malformed(socket, reason))?;
            metadata.image_digest = digest_of(metadata.image.as_deref().unwrap_or_default(), &digests);
        }
    }
    Ok(metadata.said_by(Source::Docker))
}

/// Every container, with what the list says.
pub(super) async fn list(socket: &Path, limit: Duration) -> Result<Vec<Metadata>, QueryError> {
    let body = http1::get(socket, "/containers/json?all=1", limit).await?;
    let listed = parse_list(&body).map_err(|reason| malformed(socket, reason))?;
    Ok(listed.into_iter().map(|metadata| metadata.said_by(Source::Docker)).collect())
}

/// The engine behind the socket, and its version.
pub(super) async fn version(socket: &Path, limit: Duration) -> Result<(Engine, String), QueryError> {
    let body = http1::get(socket, "/version", limit).await?;
    parse_version(&body).map_err(|reason| malformed(socket, reason))
}

pub(super) fn malformed(socket: &Path, reason: String) -> QueryError {
    QueryError::Malformed { path: socket.into(), reason }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    created: Option<String>,
    path: Option<String>,
    args: Option<Vec<String>>,
    state: Option<RunState>,
    image: Option<String>,
    name: Option<String>,
    app_armor_profile: Option<String>,
    process_label: Option<String>,
    host_config: Option<HostConfig>,
    config: Option<Config>,
    network_settings: Option<NetworkSettings>,
    mounts: Option<Vec<Mount>>,
    graph_driver: Option<GraphDriver>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NetworkSettings {
    /// By `80/tcp`; null of a port that is exposed and not published.
    ports: Option<BTreeMap<String, Option<Vec<Binding>>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Binding {
    host_ip: Option<String>,
    host_port: Option<String>,
}

/// Where the driver of the engine's storage has the container's files.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GraphDriver {
    data: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RunState {
    pid: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HostConfig {
    security_opt: Option<Vec<String>>,
    privileged: Option<bool>,
    cap_add: Option<Vec<String>>,
    cap_drop: Option<Vec<String>>,
    readonly_rootfs: Option<bool>,
    runtime: Option<String>,
    #[serde(flatten)]
    pub(super) limits: Limits,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    image: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    user: Option<String>,
}

/// The answer to `/containers/{id}/json`.
pub fn parse_inspect(body: &[u8]) -> Result<Metadata, String> {
    let inspected: Inspected = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if inspected.id.is_empty() {
        return Err("the container has no id".into());
    }
    let host = inspected.host_config.unwrap_or_default();
    let config = inspected.config.unwrap_or_default();
    let labels = config.labels.unwrap_or_default();
    let mut security = security_of(&host);
    security.apparmor = inspected.app_armor_profile.filter(|profile| !profile.is_empty());
    security.selinux = inspected.process_label.filter(|label| !label.is_empty());
    security.user = config.user;
    Ok(Metadata {
        name: inspected.name.and_then(|name| plain_name(&name)),
        image: config.image.filter(|image| !image.is_empty()),
        image_id: inspected.image.filter(|image| !image.is_empty()),
        command: command(inspected.path, inspected.args),
        created: inspected.created.as_deref().and_then(time::checked),
        pid: inspected.state.and_then(|state| state.pid).filter(|&pid| pid != 0),
        published_ports: published_ports(inspected.network_settings),
        layers: layers(inspected.graph_driver),
        runtime: host.runtime.filter(|runtime| !runtime.is_empty()),
        settings: Some(settings_of(host.limits, inspected.mounts, true)),
        role: role_of(&labels),
        pod: Pod::named_in(&labels),
        labels,
        security,
        ..Metadata::new(Engine::Docker, &inspected.id)
    })
}

/// The security settings in a `HostConfig`.
pub(super) fn security_of(host: &HostConfig) -> Security {
    let mut security = Security {
        privileged: host.privileged,
        read_only_root: host.readonly_rootfs,
        capabilities_added: Some(capability_names(host.cap_add.as_deref().unwrap_or_default())),
        capabilities_dropped: Some(capability_names(host.cap_drop.as_deref().unwrap_or_default())),
        no_new_privileges: Some(false),
        // What a privileged container gets, and any other, if nothing was asked for.
        seccomp: Some(if host.privileged == Some(true) { Seccomp::Unconfined } else { Seccomp::EngineDefault }),
        ..Security::default()
    };
    for option in host.security_opt.iter().flatten() {
        // Old clients wrote a colon.
        let (key, value) = option.split_once(['=', ':']).unwrap_or((option, "true"));
        match key {
            "no-new-privileges" => security.no_new_privileges = Some(value != "false"),
            "seccomp" => {
                security.seccomp = Some(match value {
                    "unconfined" => Seccomp::Unconfined,
                    "builtin" => Seccomp::EngineDefault,
                    profile => Seccomp::Profile(profile.to_owned()),
                })
            }
            _ => {}
        }
    }
    security
}

pub(super) fn command(path: Option<String>, args: Option<Vec<String>>) -> Option<Vec<String>> {
    let path = path.filter(|path| !path.is_empty())?;
    Some(std::iter::once(path).chain(args.unwrap_or_default()).collect())
}

/// What is forwarded: of each port with a binding, every binding that has a port of the host.
pub(super) fn published_ports(settings: Option<NetworkSettings>) -> Option<Vec<PublishedPort>> {
    let mut published = Vec::new();
    for (key, bindings) in settings.and_then(|settings| settings.ports)? {
        let Some((port, protocol)) = key.split_once('/') else { continue };
        let Ok(port) = port.parse() else { continue };
        for binding in bindings.into_iter().flatten() {
            let Some(host_port) = binding.host_port.and_then(|port| port.parse().ok()) else { continue };
            // Podman leaves the address empty where Docker writes 0.0.0.0.
            let host_address = binding.host_ip.filter(|ip| !ip.is_empty()).unwrap_or_else(|| "0.0.0.0".to_owned());
            published.push(PublishedPort { protocol: protocol.to_owned(), host_address, host_port, port });
        }
    }
    published.sort();
    published.dedup();
    (!published.is_empty()).then_some(published)
}

/// The lower directories of a container's overlay: `overlay2` of Docker and `overlay` of Podman tell them as mount(2) takes them.
pub(super) fn layers(driver: Option<GraphDriver>) -> Option<Vec<String>> {
    let data = driver.and_then(|driver| driver.data)?;
    let all = data.get("LowerDir").and_then(serde_json::Value::as_str).filter(|all| !all.is_empty())?;
    Some(all.split(':').map(str::to_owned).collect())
}

/// Docker writes names with a slash in front.
fn plain_name(name: &str) -> Option<String> {
    let name = name.trim_start_matches('/');
    (!name.is_empty()).then(|| name.to_owned())
}

fn role_of(labels: &BTreeMap<String, String>) -> Role {
    // How the kubelet's Docker shim, and its successor, mark a pause container.
    match labels.get("io.kubernetes.docker.type").map(String::as_str) {
        Some("podsandbox") => Role::PodSandbox,
        _ => Role::Workload,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    names: Option<Vec<String>>,
    image: Option<String>,
    #[serde(rename = "ImageID")]
    image_id: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    created: Option<i64>,
}

/// The answer to `/containers/json`.
pub fn parse_list(body: &[u8]) -> Result<Vec<Metadata>, String> {
    let listed: Vec<Listed> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let with_id = listed.into_iter().filter(|container| !container.id.is_empty());
    Ok(with_id
        .map(|container| {
            let labels = container.labels.unwrap_or_default();
            // A container has further names through links (`/other/alias`); its own has one slash.
            let names = container.names.unwrap_or_default();
            let own = names.iter().find(|name| name.matches('/').count() <= 1).or(names.first());
            Metadata {
                name: own.and_then(|name| plain_name(name)),
                image: container.image.filter(|image| !image.is_empty()),
                image_id: container.image_id.filter(|image| !image.is_empty()),
                created: container.created.and_then(|seconds| time::rfc3339(seconds.saturating_mul(1_000_000_000))),
                role: role_of(&labels),
                pod: Pod::named_in(&labels),
                labels,
                ..Metadata::new(Engine::Docker, &container.id)
            }
        })
        .collect())
}

/// The digests in the answer to `/images/{id}/json`, as `repository@digest`.
pub fn parse_image(body: &[u8]) -> Result<Vec<String>, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Image {
        repo_digests: Option<Vec<String>>,
    }
    let image: Image = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    Ok(image.repo_digests.unwrap_or_default())
}

/// The digest of the repository that the image was named by, else the first.
pub(super) fn digest_of(image: &str, digests: &[String]) -> Option<String> {
    let split =
        |digest: &str| digest.split_once('@').map(|(repository, hash)| (repository.to_owned(), hash.to_owned()));
    let all: Vec<_> = digests.iter().filter_map(|digest| split(digest)).filter(|(_, hash)| !hash.is_empty()).collect();
    let named = all.iter().find(|(repository, _)| {
        image.strip_prefix(repository.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '@']))
    });
    named.or(all.first()).map(|(_, hash)| hash.clone())
}

/// The answer to `/version`: whose it is (Podman answers there too), and its version.
pub fn parse_version(body: &[u8]) -> Result<(Engine, String), String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Component {
        name: String,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Version {
        version: String,
        components: Option<Vec<Component>>,
    }
    let version: Version = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let is_podman = version.components.iter().flatten().any(|component| component.name == "Podman Engine");
    Ok((if is_podman { Engine::Podman } else { Engine::Docker }, version.version))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Engine, Seccomp, digest_of, parse_image, parse_inspect, parse_list, parse_version};

    /// As Docker 20.10 answers, without the fields that are not read.
    const INSPECTED: &str = r#"{"Id":"bef9820aa4ea","Created":"2026-11-23T00:11:10.132205687Z","Path":"sh","Args":["-c","sleep 1000"],
        "State":{"Status":"running","Pid":5827},"Image":"sha256:bf06","Name":"/web","AppArmorProfile":"docker-default","ProcessLabel":"",
        "HostConfig":{"SecurityOpt":["no-new-privileges"],"Privileged":false,"CapAdd":["NET_BIND_SERVICE"],"CapDrop":["all"],
        "ReadonlyRootfs":true,"Runtime":"runc"},"Config":{"User":"65534","Image":"rfbox:1","Labels":{"tier":"front"}}}"#;

    fn with_options(host_config: &str) -> super::Security {
        let body = format!(r#"{{"Id":"ab","HostConfig":{host_config}}}"#);
        parse_inspect(body.as_bytes()).expect("it is valid").security
    }

    #[test]
    fn every_field_of_an_inspected_container_is_read() {
        let metadata = parse_inspect(INSPECTED.as_bytes()).expect("it is valid");

        assert_eq!((metadata.engine, metadata.id.as_str(), metadata.pid), (Engine::Docker, "bef9820aa4ea", Some(5827)));
        assert_eq!((metadata.name.as_deref(), metadata.image.as_deref()), (Some("web"), Some("rfbox:1")));
        assert_eq!(metadata.image_id.as_deref(), Some("sha256:bf06"));
        assert_eq!(metadata.command.as_deref(), Some(&["sh", "-c", "sleep 1000"].map(String::from)[..]));
        assert_eq!(metadata.labels.get("tier").map(String::as_str), Some("front"));
        assert_eq!(metadata.created.as_deref(), Some("2026-11-23T00:11:10.132205687Z"));
        let security = metadata.security;
        assert_eq!((security.no_new_privileges, security.privileged), (Some(true), Some(false)));
        assert_eq!(security.capabilities_added.as_deref(), Some(&["CAP_NET_BIND_SERVICE".to_owned()][..]));
        assert_eq!(security.capabilities_dropped.as_deref(), Some(&["ALL".to_owned()][..]));
        assert_eq!(
            (security.seccomp, security.apparmor.as_deref()),
            (Some(Seccomp::EngineDefault), Some("docker-default"))
        );
        assert_eq!((security.read_only_root, security.user.as_deref()), (Some(true), Some("65534")));
        assert_eq!((security.selinux, metadata.runtime.as_deref()), (None, Some("runc")));
    }

    #[test]
    fn the_layers_of_an_overlay_are_told_and_of_no_other_driver() {
        let layers = |driver: &str| {
            let body = format!(r#"{{"Id":"ab","GraphDriver":{driver}}}"#);
            parse_inspect(body.as_bytes()).expect("it is valid").layers
        };

        let overlay = r#"{"Name":"overlay2","Data":{"LowerDir":"/d/1-init/diff:/d/2/diff","UpperDir":"/d/1/diff"}}"#;
        assert_eq!(layers(overlay).as_deref(), Some(&["/d/1-init/diff", "/d/2/diff"].map(String::from)[..]));
        for other in [r#"{"Name":"vfs","Data":null}"#, r#"{"Name":"x","Data":{"LowerDir":7}}"#, "null"] {
            assert_eq!(layers(other), None);
        }
    }

    #[test]
    fn ports_that_are_published_are_told_and_those_that_are_only_exposed_are_not() {
        // As Docker 20.10 answers to `-p 8080:80 -p 127.0.0.1:5353:53/udp` with `EXPOSE 443`.
        let body = br#"{"Id":"ab","NetworkSettings":{"Ports":{"443/tcp":null,
            "53/udp":[{"HostIp":"127.0.0.1","HostPort":"5353"}],
            "80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"},{"HostIp":"::","HostPort":"8080"}],
            "x":[{"HostIp":"","HostPort":"1"}],"81/tcp":[{"HostIp":"","HostPort":"99999"}]}}}"#;

        let ports = parse_inspect(body).expect("it is valid").published_ports.expect("there are some");

        let told: Vec<_> = ports
            .iter()
            .map(|one| (one.protocol.as_str(), one.host_address.as_str(), one.host_port, one.port))
            .collect();
        let expected = [("tcp", "0.0.0.0", 8080, 80), ("tcp", "::", 8080, 80), ("udp", "127.0.0.1", 5353, 53)];
        assert_eq!(told, expected);
        assert_eq!(parse_inspect(br#"{"Id":"ab"}"#).expect("it is valid").published_ports, None);
    }

    #[test]
    fn seccomp_is_told_in_all_its_spellings() {
        let seccomp = |options: &str| with_options(&format!(r#"{{"SecurityOpt":{options}}}"#)).seccomp;

        assert_eq!(seccomp("null"), Some(Seccomp::EngineDefault));
        assert_eq!(seccomp(r#"["seccomp=unconfined"]"#), Some(Seccomp::Unconfined));
        assert_eq!(seccomp(r#"["seccomp:unconfined"]"#), Some(Seccomp::Unconfined));
        let profile = r#"["seccomp={\"defaultAction\":\"SCMP_ACT_ERRNO\"}"]"#;
        assert_eq!(seccomp(profile), Some(Seccomp::Profile(r#"{"defaultAction":"SCMP_ACT_ERRNO"}"#.into())));
        assert_eq!(with_options(r#"{"Privileged":true}"#).seccomp, Some(Seccomp::Unconfined));
        assert_eq!(with_options(r#"{"SecurityOpt":["no-new-privileges=false"]}"#).no_new_privileges, Some(false));
        assert_eq!(with_options(r#"{"SecurityOpt":["no-new-privileges:true"]}"#).no_new_privileges, Some(true));
    }

    #[test]
    fn the_list_takes_the_containers_own_name() {
        let body =
            br#"[{"Id":"ab","Names":["/other/db","/web"],"Image":"rfbox:1","ImageID":"sha256:bf","Created":1795392670,
            "Labels":{"io.kubernetes.pod.name":"web-0","io.kubernetes.docker.type":"podsandbox"}},{"Id":""}]"#;

        let listed = parse_list(body).expect("it is valid");

        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].name.as_deref(), listed[0].role), (Some("web"), super::Role::PodSandbox));
        assert_eq!(listed[0].created.as_deref(), Some("2026-11-23T00:11:10Z"));
        assert_eq!(listed[0].pod.as_ref().and_then(|pod| pod.name.as_deref()), Some("web-0"));
    }

    #[test]
    fn the_digest_is_that_of_the_repository_in_use() {
        let body = br#"{"RepoDigests":["mirror/nginx@sha256:aa","nginx@sha256:bb"]}"#;
        let digests = parse_image(body).expect("it is valid");

        assert_eq!(digest_of("nginx:1.27", &digests).as_deref(), Some("sha256:bb"));
        assert_eq!(digest_of("nginx-other", &digests).as_deref(), Some("sha256:aa"));
        assert_eq!(digest_of("nginx", &[]), None);
        assert_eq!(digest_of("nginx", &["nginx@".to_owned()]), None);
    }

    #[test]
    fn podman_behind_dockers_socket_is_known() {
        let docker = br#"{"Version":"20.10.24","Components":[{"Name":"Engine"}]}"#;
        let podman = br#"{"Version":"4.3.1","Components":[{"Name":"Podman Engine"}]}"#;

        assert_eq!(parse_version(docker), Ok((Engine::Docker, "20.10.24".into())));
        assert_eq!(parse_version(podman), Ok((Engine::Podman, "4.3.1".into())));
        assert!(parse_version(b"{}").is_err());
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), cut in 0..INSPECTED.len()) {
            for body in [&bytes[..], &INSPECTED.as_bytes()[..cut]] {
                let _ = (parse_inspect(body), parse_list(body), parse_image(body), parse_version(body));
            }
        }
    }
}
