//! The Kubernetes container runtime interface (`runtime.v1`): containerd's CRI service, CRI-O, k3s.

mod messages;

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use super::grpc::Call;
use super::metadata::{Metadata, Pod, Role, Source};
use super::{QueryError, oci, time};
use crate::path::Engine;

use messages::{
    ContainerStatus, ContainerStatusResponse, Info, ListContainersResponse, ListPodSandboxResponse, ListRequest,
    ListedContainer, ListedSandbox, PodSandboxStatus, PodSandboxStatusResponse, StatusRequest, VersionRequest,
    VersionResponse,
};

fn call<'a>(socket: &'a Path, method: &'a str, limit: Duration) -> Call<'a> {
    Call { socket, method, header: None, limit }
}

/// What the runtime says of one container, or of a pod's sandbox.
pub(super) async fn inspect(socket: &Path, id: &str, limit: Duration) -> Result<Metadata, QueryError> {
    let malformed = |reason| QueryError::Malformed { path: socket.into(), reason };
    let request = StatusRequest { id: id.to_owned(), verbose: true };
    let answer = call(socket, "/runtime.v1.RuntimeService/ContainerStatus", limit).send(&request).await;
    let mut metadata = match answer {
        Ok(answer) => container_of(answer).map_err(malformed)?,
        Err(QueryError::Unknown) => {
            let answer = call(socket, "/runtime.v1.RuntimeService/PodSandboxStatus", limit).send(&request).await?;
            sandbox_of(answer).map_err(malformed)?
        }
        Err(error) => return Err(error),
    };
    let (engine, version) = version(socket, limit).await?;
    metadata.engine = engine;
    metadata.engine_version = Some(version);
    Ok(metadata.said_by(Source::Cri))
}

/// Every container and sandbox, with what the lists say.
pub(super) async fn list(socket: &Path, limit: Duration) -> Result<Vec<Metadata>, QueryError> {
    let (engine, version) = version(socket, limit).await?;
    let containers: ListContainersResponse =
        call(socket, "/runtime.v1.RuntimeService/ListContainers", limit).send(&ListRequest {}).await?;
    let sandboxes: ListPodSandboxResponse =
        call(socket, "/runtime.v1.RuntimeService/ListPodSandbox", limit).send(&ListRequest {}).await?;
    let (mut containers, mut sandboxes) = (containers.containers, sandboxes.sandboxes);
    hand_down(&mut sandboxes, &mut containers);
    let containers = containers.into_iter().map(|listed| ContainerStatus {
        id: listed.id,
        name: listed.name,
        created_ns: listed.created_ns,
        image: listed.image,
        image_ref: listed.image_ref,
        labels: listed.labels,
    });
    let sandboxes = sandboxes.into_iter().map(|listed| PodSandboxStatus {
        id: listed.id,
        name: listed.name,
        created_ns: listed.created_ns,
        labels: listed.labels,
        runtime_handler: listed.runtime_handler,
    });
    let all = containers.map(container_metadata).chain(sandboxes.map(sandbox_metadata));
    let with_id = all.filter(|metadata| !metadata.id.is_empty());
    Ok(with_id
        .map(|mut metadata| {
            metadata.engine = engine;
            metadata.engine_version = Some(version.clone());
            metadata.said_by(Source::Cri)
        })
        .collect())
}

/// What begins so among a pod's annotations is meant for ringfence.
const OWN: &str = "ringfence.";

/// The kubelet writes a pod's labels and annotations to its sandbox alone: its containers get the labels, and both those annotations
/// that are meant for ringfence, as labels. What is said nearer to the container counts.
fn hand_down(sandboxes: &mut [ListedSandbox], containers: &mut [ListedContainer]) {
    for sandbox in sandboxes.iter_mut() {
        let own = sandbox.annotations.iter().filter(|(key, _)| key.starts_with(OWN));
        for (key, value) in own {
            sandbox.labels.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    let of_pods: HashMap<&str, &HashMap<String, String>> =
        sandboxes.iter().map(|sandbox| (sandbox.id.as_str(), &sandbox.labels)).collect();
    for container in containers {
        for (key, value) in of_pods.get(container.sandbox_id.as_str()).into_iter().copied().flatten() {
            container.labels.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
}

/// The engine behind the socket, and its version.
pub(super) async fn version(socket: &Path, limit: Duration) -> Result<(Engine, String), QueryError> {
    let answer: VersionResponse =
        call(socket, "/runtime.v1.RuntimeService/Version", limit).send(&VersionRequest {}).await?;
    let engine = if answer.runtime_name == "cri-o" { Engine::CriO } else { Engine::Cri };
    Ok((engine, format!("{} {}", answer.runtime_name, answer.runtime_version)))
}

/// The message that answers `ContainerStatus`.
pub fn parse_container_status(message: &[u8]) -> Result<Metadata, String> {
    container_of(prost::Message::decode(message).map_err(|error: prost::DecodeError| error.to_string())?)
}

/// The message that answers `PodSandboxStatus`.
pub fn parse_sandbox_status(message: &[u8]) -> Result<Metadata, String> {
    sandbox_of(prost::Message::decode(message).map_err(|error: prost::DecodeError| error.to_string())?)
}

fn container_of(answer: ContainerStatusResponse) -> Result<Metadata, String> {
    let status = answer.status.filter(|status| !status.id.is_empty()).ok_or("the container has no status")?;
    let mut metadata = container_metadata(status);
    add_info(&mut metadata, &answer.info);
    Ok(metadata)
}

fn sandbox_of(answer: PodSandboxStatusResponse) -> Result<Metadata, String> {
    let status = answer.status.filter(|status| !status.id.is_empty()).ok_or("the sandbox has no status")?;
    let mut metadata = sandbox_metadata(status);
    add_info(&mut metadata, &answer.info);
    Ok(metadata)
}

fn container_metadata(status: ContainerStatus) -> Metadata {
    let labels = status.labels.into_iter().collect();
    let (image_id, image_digest) = image_of(status.image_ref);
    let name = status.name.map(|name| name.name).filter(|name| !name.is_empty());
    Metadata {
        image: status.image.map(|image| image.image).filter(|image| !image.is_empty()),
        image_id,
        image_digest,
        created: time::rfc3339(status.created_ns),
        pod: Pod::named_in(&labels).map(|pod| Pod { container: pod.container.or(name.clone()), ..pod }),
        name,
        labels,
        ..Metadata::new(Engine::Cri, &status.id)
    }
}

fn sandbox_metadata(status: PodSandboxStatus) -> Metadata {
    let pod = status.name.map(|name| Pod {
        name: Some(name.name).filter(|name| !name.is_empty()),
        namespace: Some(name.namespace).filter(|namespace| !namespace.is_empty()),
        uid: Some(name.uid).filter(|uid| !uid.is_empty()),
        container: None,
    });
    Metadata {
        name: pod.as_ref().and_then(|pod| pod.name.clone()),
        role: Role::PodSandbox,
        runtime: Some(status.runtime_handler).filter(|handler| !handler.is_empty()),
        created: time::rfc3339(status.created_ns),
        labels: status.labels.into_iter().collect(),
        pod,
        ..Metadata::new(Engine::Cri, &status.id)
    }
}

/// A reference is `repository@digest` where the image came from a registry, else its id.
fn image_of(image_ref: String) -> (Option<String>, Option<String>) {
    match image_ref.split_once('@') {
        Some((_, digest)) => (None, Some(digest.to_owned()).filter(|digest| !digest.is_empty())),
        None => (Some(image_ref).filter(|id| !id.is_empty()), None),
    }
}

/// What it says is free-form: what cannot be read is left out.
fn add_info(metadata: &mut Metadata, info: &HashMap<String, String>) {
    let Some(info) = info.get("info").and_then(|text| serde_json::from_str::<Info<'_>>(text).ok()) else { return };
    metadata.pid = info.pid.filter(|&pid| pid != 0);
    metadata.runtime = metadata.runtime.take().or(info.runtime_type.filter(|runtime| !runtime.is_empty()));
    if let Some(spec) = info.runtime_spec.and_then(|spec| oci::parse_spec(spec.get().as_bytes()).ok()) {
        metadata.command = spec.command;
        metadata.security = spec.security;
        metadata.settings = Some(spec.settings);
    }
    metadata.security.privileged = info.privileged;
    if let Some(asked) = info.config.and_then(|config| config.linux).and_then(|linux| linux.security_context) {
        metadata.security.privileged = info.privileged.or(asked.privileged);
        if let Some(capabilities) = asked.capabilities {
            let names = |list: Option<Vec<String>>| super::metadata::capability_names(&list.unwrap_or_default());
            metadata.security.capabilities_added = Some(names(capabilities.add_capabilities));
            metadata.security.capabilities_dropped = Some(names(capabilities.drop_capabilities));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use prost::Message;

    use super::messages::{
        ContainerName, ContainerStatus, ContainerStatusResponse, ImageSpec, PodName, PodSandboxStatus,
        PodSandboxStatusResponse, VersionResponse,
    };
    use super::{parse_container_status, parse_sandbox_status};
    use crate::engine::{Role, Seccomp};

    fn words(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    /// As CRI-O and containerd answer.
    pub(in crate::engine) fn container(id: &str) -> Vec<u8> {
        let info = r#"{"pid":77,"runtimeType":"io.containerd.runc.v2","config":{"linux":{"security_context":{"privileged":false,
            "capabilities":{"add_capabilities":["NET_ADMIN"]}}}},"runtimeSpec":{"ociVersion":"1.1.0",
            "process":{"args":["nginx"],"noNewPrivileges":true},"linux":{}}}"#;
        let status = ContainerStatus {
            id: id.into(),
            name: Some(ContainerName { name: "nginx".into() }),
            created_ns: 1_795_392_670_000_000_000,
            image: Some(ImageSpec { image: "docker.io/library/nginx:1".into() }),
            image_ref: "docker.io/library/nginx@sha256:bb".into(),
            labels: words(&[("io.kubernetes.pod.name", "web-0"), ("io.kubernetes.pod.namespace", "shop")]),
        };
        ContainerStatusResponse { status: Some(status), info: words(&[("info", info)]) }.encode_to_vec()
    }

    pub(in crate::engine) fn sandbox(id: &str) -> Vec<u8> {
        let name = PodName { name: "web-0".into(), uid: "6f2d".into(), namespace: "shop".into() };
        let status = PodSandboxStatus { id: id.into(), name: Some(name), ..PodSandboxStatus::default() };
        PodSandboxStatusResponse { status: Some(status), info: HashMap::new() }.encode_to_vec()
    }

    pub(in crate::engine) fn version() -> Vec<u8> {
        VersionResponse { runtime_name: "cri-o".into(), runtime_version: "1.29.1".into() }.encode_to_vec()
    }

    #[test]
    fn a_containers_status_gives_names_image_and_settings() {
        let metadata = parse_container_status(&container("ab")).expect("it is valid");

        assert_eq!((metadata.id.as_str(), metadata.name.as_deref(), metadata.pid), ("ab", Some("nginx"), Some(77)));
        assert_eq!(metadata.image.as_deref(), Some("docker.io/library/nginx:1"));
        assert_eq!(metadata.image_digest.as_deref(), Some("sha256:bb"));
        assert_eq!(metadata.created.as_deref(), Some("2026-11-23T00:11:10Z"));
        assert_eq!(metadata.command.as_deref(), Some(&["nginx".to_owned()][..]));
        assert_eq!(metadata.runtime.as_deref(), Some("io.containerd.runc.v2"));
        let pod = metadata.pod.expect("it is in a pod");
        assert_eq!((pod.name.as_deref(), pod.namespace.as_deref()), (Some("web-0"), Some("shop")));
        assert_eq!(pod.container.as_deref(), Some("nginx"));
        assert_eq!(metadata.security.privileged, Some(false));
        assert_eq!(metadata.security.no_new_privileges, Some(true));
        assert_eq!(metadata.security.seccomp, Some(Seccomp::Unconfined));
        assert_eq!(metadata.security.capabilities_added.as_deref(), Some(&["CAP_NET_ADMIN".to_owned()][..]));
    }

    #[test]
    fn a_sandbox_is_told_from_a_workload() {
        let metadata = parse_sandbox_status(&sandbox("cd")).expect("it is valid");

        assert_eq!((metadata.role, metadata.name.as_deref()), (Role::PodSandbox, Some("web-0")));
        assert_eq!(metadata.pod.and_then(|pod| pod.uid).as_deref(), Some("6f2d"));
    }

    #[test]
    fn a_pods_labels_and_the_annotations_for_ringfence_are_those_of_its_containers() {
        let sandbox = |id: &str, labels, annotations| super::ListedSandbox {
            id: id.into(),
            labels: words(labels),
            annotations: words(annotations),
            ..super::ListedSandbox::default()
        };
        let container = |sandbox_id: &str, labels| super::ListedContainer {
            sandbox_id: sandbox_id.into(),
            labels: words(labels),
            ..super::ListedContainer::default()
        };
        let mut sandboxes = [
            sandbox(
                "a",
                &[("tier", "front"), ("io.kubernetes.pod.name", "web-0")],
                &[("ringfence.level", "baseline"), ("note", "x")],
            ),
            sandbox("b", &[("ringfence.level", "restricted")], &[("ringfence.level", "privileged")]),
        ];
        let mut containers = [container("a", &[("tier", "own")]), container("b", &[]), container("c", &[])];

        super::hand_down(&mut sandboxes, &mut containers);
        let level = |labels: &HashMap<String, String>| labels.get("ringfence.level").cloned();
        assert_eq!(level(&sandboxes[0].labels).as_deref(), Some("baseline"));
        assert_eq!(
            containers[0].labels,
            words(&[("tier", "own"), ("io.kubernetes.pod.name", "web-0"), ("ringfence.level", "baseline")])
        );
        assert_eq!(level(&containers[1].labels).as_deref(), Some("restricted"));
        assert!(containers[2].labels.is_empty());
    }

    #[test]
    fn an_empty_digest_is_none() {
        assert_eq!(super::image_of("nginx@".to_owned()), (None, None));
        assert_eq!(super::image_of("nginx@sha256:bb".to_owned()), (None, Some("sha256:bb".to_owned())));
    }

    #[test]
    fn an_answer_without_a_status_is_refused() {
        assert!(parse_container_status(b"").is_err());
        assert!(parse_sandbox_status(b"").is_err());
    }

    proptest! {
        #[test]
        fn no_message_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), cut in 0..300_usize) {
            let whole = container("ab");
            for message in [&bytes[..], &whole[..cut.min(whole.len())]] {
                let _ = (parse_container_status(message), parse_sandbox_status(message));
            }
        }
    }
}
