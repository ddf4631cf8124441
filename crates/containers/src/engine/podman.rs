//! Podman's own HTTP API (libpod), which says more than its imitation of Docker's.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::docker::{
    GraphDriver, HostConfig, NetworkSettings, command, layers, malformed, published_ports, security_of,
};
use super::host_config::{Mount, settings_of};
use super::metadata::{Metadata, Pod, Role, Source};
use super::{QueryError, http1, time};
use crate::path::Engine;

/// What Podman says of one container.
pub(super) async fn inspect(socket: &Path, id: &str, limit: Duration) -> Result<Metadata, QueryError> {
    let body = http1::get(socket, &format!("/v4.0.0/libpod/containers/{id}/json"), limit).await?;
    let metadata = parse_inspect(&body).map_err(|reason| malformed(socket, reason))?;
    Ok(metadata.said_by(Source::Podman))
}

/// Every container, with what the list says.
pub(super) async fn list(socket: &Path, limit: Duration) -> Result<Vec<Metadata>, QueryError> {
    let body = http1::get(socket, "/v4.0.0/libpod/containers/json?all=true", limit).await?;
    let listed = parse_list(&body).map_err(|reason| malformed(socket, reason))?;
    Ok(listed.into_iter().map(|metadata| metadata.said_by(Source::Podman)).collect())
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
    image_digest: Option<String>,
    image_name: Option<String>,
    pod: Option<String>,
    name: Option<String>,
    app_armor_profile: Option<String>,
    process_label: Option<String>,
    bounding_caps: Option<Vec<String>>,
    is_infra: Option<bool>,
    #[serde(rename = "OCIRuntime")]
    oci_runtime: Option<String>,
    host_config: Option<HostConfig>,
    config: Option<Config>,
    network_settings: Option<NetworkSettings>,
    mounts: Option<Vec<Mount>>,
    graph_driver: Option<GraphDriver>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RunState {
    pid: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    user: Option<String>,
}

/// The answer to `/libpod/containers/{id}/json`.
pub fn parse_inspect(body: &[u8]) -> Result<Metadata, String> {
    let inspected: Inspected = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if inspected.id.is_empty() {
        return Err("the container has no id".into());
    }
    let config = inspected.config.unwrap_or_default();
    let labels = config.labels.unwrap_or_default();
    let host = inspected.host_config.unwrap_or_default();
    let mut security = security_of(&host);
    security.apparmor = inspected.app_armor_profile.filter(|profile| !profile.is_empty());
    security.selinux = inspected.process_label.filter(|label| !label.is_empty());
    security.user = config.user;
    security.capabilities = inspected.bounding_caps;
    let kubernetes = Pod::named_in(&labels).or_else(|| Pod::named_in(&config.annotations.unwrap_or_default()));
    let libpod = inspected.pod.filter(|pod| !pod.is_empty()).map(|uid| Pod { uid: Some(uid), ..Pod::default() });
    Ok(Metadata {
        name: inspected.name.filter(|name| !name.is_empty()),
        image: inspected.image_name.filter(|image| !image.is_empty()),
        image_id: inspected.image.filter(|image| !image.is_empty()),
        image_digest: inspected.image_digest.filter(|digest| !digest.is_empty()),
        command: command(inspected.path, inspected.args),
        created: inspected.created.as_deref().and_then(time::checked),
        pid: inspected.state.and_then(|state| state.pid).filter(|&pid| pid != 0),
        published_ports: published_ports(inspected.network_settings),
        settings: Some(settings_of(host.limits, inspected.mounts, false)),
        layers: layers(inspected.graph_driver),
        runtime: inspected.oci_runtime.filter(|runtime| !runtime.is_empty()),
        role: if inspected.is_infra == Some(true) { Role::PodSandbox } else { Role::Workload },
        pod: kubernetes.or(libpod),
        labels,
        security,
        ..Metadata::new(Engine::Podman, &inspected.id)
    })
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
    command: Option<Vec<String>>,
    created: Option<String>,
    pid: Option<u32>,
    pod: Option<String>,
    pod_name: Option<String>,
    is_infra: Option<bool>,
}

/// The answer to `/libpod/containers/json`.
pub fn parse_list(body: &[u8]) -> Result<Vec<Metadata>, String> {
    // An empty list is `null` with some versions.
    let listed: Option<Vec<Listed>> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let with_id = listed.unwrap_or_default().into_iter().filter(|container| !container.id.is_empty());
    Ok(with_id
        .map(|container| {
            let pod = container.pod.filter(|pod| !pod.is_empty()).map(|uid| Pod {
                uid: Some(uid),
                name: container.pod_name.filter(|name| !name.is_empty()),
                ..Pod::default()
            });
            Metadata {
                name: container.names.and_then(|names| names.into_iter().find(|name| !name.is_empty())),
                image: container.image.filter(|image| !image.is_empty()),
                image_id: container.image_id.filter(|image| !image.is_empty()),
                command: container.command.filter(|command| !command.is_empty()),
                created: container.created.as_deref().and_then(time::checked),
                pid: container.pid.filter(|&pid| pid != 0),
                role: if container.is_infra == Some(true) { Role::PodSandbox } else { Role::Workload },
                pod,
                labels: container.labels.unwrap_or_default(),
                ..Metadata::new(Engine::Podman, &container.id)
            }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Role, parse_inspect, parse_list};
    use crate::engine::Seccomp;

    /// As Podman 4.3 answers, without the fields that are not read.
    const INSPECTED: &str = r#"{"Id":"4fdbf1fc7f46","Created":"2026-11-23T00:12:04.094187754Z","Path":"sleep","Args":["1000"],
        "State":{"Pid":10446},"Image":"a3385f2c","ImageDigest":"sha256:0eff","ImageName":"localhost/rfbox:1","Pod":"cd12","Name":"pweb",
        "AppArmorProfile":"","BoundingCaps":["CAP_CHOWN"],"IsInfra":false,"OCIRuntime":"crun",
        "HostConfig":{"SecurityOpt":["no-new-privileges"],"CapAdd":[],"CapDrop":["CAP_MKNOD"],"Privileged":false,"Runtime":"oci"},
        "Config":{"User":"","Labels":{"a":"b"},"Entrypoint":""}}"#;

    #[test]
    fn every_field_of_an_inspected_container_is_read() {
        let metadata = parse_inspect(INSPECTED.as_bytes()).expect("it is valid");

        assert_eq!((metadata.name.as_deref(), metadata.pid), (Some("pweb"), Some(10446)));
        assert_eq!(metadata.image.as_deref(), Some("localhost/rfbox:1"));
        assert_eq!(metadata.image_digest.as_deref(), Some("sha256:0eff"));
        assert_eq!(metadata.runtime.as_deref(), Some("crun"));
        assert_eq!(metadata.pod.and_then(|pod| pod.uid).as_deref(), Some("cd12"));
        assert_eq!(metadata.security.capabilities.as_deref(), Some(&["CAP_CHOWN".to_owned()][..]));
        assert_eq!(metadata.security.capabilities_dropped.as_deref(), Some(&["CAP_MKNOD".to_owned()][..]));
        assert_eq!(metadata.security.no_new_privileges, Some(true));
        assert_eq!(metadata.security.seccomp, Some(Seccomp::EngineDefault));
    }

    #[test]
    fn the_list_tells_an_infra_container_and_its_pod() {
        let body = br#"[{"Id":"ab","Names":["cd-infra"],"Command":null,"Created":"2026-11-23T00:11:40Z","IsInfra":true,"Pod":"cd",
            "PodName":"shop","Pid":0}]"#;

        let listed = parse_list(body).expect("it is valid");

        assert_eq!((listed[0].role, listed[0].pid), (Role::PodSandbox, None));
        assert_eq!(listed[0].pod.as_ref().and_then(|pod| pod.name.as_deref()), Some("shop"));
        assert_eq!(parse_list(b"null"), Ok(vec![]));
    }

    #[test]
    fn an_empty_name_is_none() {
        let name = |names: &str| {
            let listed = parse_list(format!(r#"[{{"Id":"ab","Names":{names}}}]"#).as_bytes()).expect("it is valid");
            listed[0].name.clone()
        };

        assert_eq!((name(r#"[""]"#), name(r#"["","web"]"#)), (None, Some("web".to_owned())));
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), cut in 0..INSPECTED.len()) {
            for body in [&bytes[..], &INSPECTED.as_bytes()[..cut]] {
                let _ = (parse_inspect(body), parse_list(body));
            }
        }
    }
}
