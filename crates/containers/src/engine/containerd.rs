//! containerd's own API. It has no names of its own: an id is all that `ctr` gives; `nerdctl` and the CRI service put
//! names into labels.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use super::grpc::Call;
use super::metadata::{Metadata, Pod, Role, Source};
use super::{QueryError, oci, time};
use crate::path::Engine;

#[derive(Clone, PartialEq, prost::Message)]
struct Empty {}

#[derive(Clone, PartialEq, prost::Message)]
struct VersionResponse {
    #[prost(string, tag = "1")]
    version: String,
}

/// `ListNamespacesRequest` and `GetImageRequest` have a text first, too.
#[derive(Clone, PartialEq, prost::Message)]
struct ByText {
    #[prost(string, tag = "1")]
    text: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ListNamespacesResponse {
    #[prost(message, repeated, tag = "1")]
    namespaces: Vec<ByText>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct GetContainerResponse {
    #[prost(message, optional, tag = "1")]
    container: Option<Container>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ListContainersResponse {
    #[prost(message, repeated, tag = "1")]
    containers: Vec<Container>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Container {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(map = "string, string", tag = "2")]
    labels: HashMap<String, String>,
    #[prost(string, tag = "3")]
    image: String,
    #[prost(message, optional, tag = "4")]
    runtime: Option<ByText>,
    #[prost(message, optional, tag = "5")]
    spec: Option<Any>,
    #[prost(message, optional, tag = "8")]
    created_at: Option<Timestamp>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct GetImageResponse {
    #[prost(message, optional, tag = "1")]
    image: Option<Image>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Image {
    #[prost(message, optional, tag = "3")]
    target: Option<Descriptor>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Descriptor {
    #[prost(string, tag = "2")]
    digest: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct GetTaskResponse {
    #[prost(message, optional, tag = "1")]
    process: Option<Process>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Process {
    #[prost(uint32, tag = "3")]
    pid: u32,
}

/// No host has more; what is beyond is not asked.
const MAX_NAMESPACES: usize = 256;

fn call<'a>(socket: &'a Path, method: &'a str, namespace: Option<&'a str>, limit: Duration) -> Call<'a> {
    Call { socket, method, header: namespace.map(|name| ("containerd-namespace", name)), limit }
}

/// What containerd says of one container, in whatever namespace it is.
pub(super) async fn inspect(socket: &Path, id: &str, limit: Duration) -> Result<Metadata, QueryError> {
    for namespace in namespaces(socket, limit).await? {
        let get = call(socket, "/containerd.services.containers.v1.Containers/Get", Some(&namespace), limit);
        let answer: GetContainerResponse = match get.send(&ByText { text: id.to_owned() }).await {
            Err(QueryError::Unknown) => continue,
            other => other?,
        };
        let malformed = |reason: &str| QueryError::Malformed { path: socket.into(), reason: reason.to_owned() };
        let container = answer.container.filter(|found| !found.id.is_empty());
        let mut metadata = metadata_of(container.ok_or(malformed("the container is missing"))?, &namespace);
        // Neither an image that is gone nor a container that does not run makes the rest less true.
        if let Some(name) = &metadata.image {
            let get = call(socket, "/containerd.services.images.v1.Images/Get", Some(&namespace), limit);
            let answer: Result<GetImageResponse, _> = get.send(&ByText { text: name.clone() }).await;
            let target = answer.ok().and_then(|answer| answer.image).and_then(|image| image.target);
            metadata.image_digest = target.map(|target| target.digest).filter(|digest| !digest.is_empty());
        }
        let get = call(socket, "/containerd.services.tasks.v1.Tasks/Get", Some(&namespace), limit);
        let answer: Result<GetTaskResponse, _> = get.send(&ByText { text: id.to_owned() }).await;
        metadata.pid = answer.ok().and_then(|task| task.process).map(|process| process.pid).filter(|&pid| pid != 0);
        metadata.engine_version = Some(version(socket, limit).await?);
        return Ok(metadata.said_by(Source::Containerd));
    }
    Err(QueryError::Unknown)
}

/// Every container of every namespace.
pub(super) async fn list(socket: &Path, limit: Duration) -> Result<Vec<Metadata>, QueryError> {
    let mut found = Vec::new();
    for namespace in namespaces(socket, limit).await? {
        let list = call(socket, "/containerd.services.containers.v1.Containers/List", Some(&namespace), limit);
        let answer: ListContainersResponse = list.send(&Empty {}).await?;
        let with_id = answer.containers.into_iter().filter(|container| !container.id.is_empty());
        found.extend(with_id.map(|container| metadata_of(container, &namespace).said_by(Source::Containerd)));
    }
    Ok(found)
}

/// containerd's version.
pub(super) async fn version(socket: &Path, limit: Duration) -> Result<String, QueryError> {
    let answer: VersionResponse =
        call(socket, "/containerd.services.version.v1.Version/Version", None, limit).send(&Empty {}).await?;
    Ok(answer.version)
}

async fn namespaces(socket: &Path, limit: Duration) -> Result<Vec<String>, QueryError> {
    let answer: ListNamespacesResponse =
        call(socket, "/containerd.services.namespaces.v1.Namespaces/List", None, limit).send(&Empty {}).await?;
    Ok(answer.namespaces.into_iter().map(|namespace| namespace.text).take(MAX_NAMESPACES).collect())
}

/// The message that answers `Get`, of a container in this namespace.
pub fn parse_container(message: &[u8], namespace: &str) -> Result<Metadata, String> {
    let answer: GetContainerResponse =
        prost::Message::decode(message).map_err(|error: prost::DecodeError| error.to_string())?;
    let container = answer.container.filter(|found| !found.id.is_empty()).ok_or("the container is missing")?;
    Ok(metadata_of(container, namespace))
}

fn metadata_of(container: Container, namespace: &str) -> Metadata {
    let engine = match namespace {
        "moby" => Engine::Docker,
        "k8s.io" => Engine::Cri,
        "buildkit" => Engine::Buildkit,
        _ => Engine::Containerd,
    };
    let labels: std::collections::BTreeMap<_, _> = container.labels.into_iter().collect();
    let spec = container.spec.and_then(|spec| oci::parse_spec(&spec.value).ok()).unwrap_or_default();
    let from_spec = spec.into_metadata(engine, &container.id);
    let is_sandbox = labels.get("io.cri-containerd.kind").is_some_and(|kind| kind == "sandbox");
    let pod = Pod::named_in(&labels).or(from_spec.pod);
    let named = labels.get("nerdctl/name").filter(|name| !name.is_empty()).cloned();
    let named = named.or_else(|| pod.as_ref().and_then(|pod| pod.container.clone()));
    // With ctr the id is the name that somebody gave.
    let own = (engine == Engine::Containerd && !crate::path::is_hex_id(&container.id)).then(|| container.id.clone());
    Metadata {
        name: named.or(own),
        namespace: Some(namespace.to_owned()),
        role: if is_sandbox { Role::PodSandbox } else { from_spec.role },
        runtime: container.runtime.map(|runtime| runtime.text).filter(|runtime| !runtime.is_empty()),
        image: Some(container.image).filter(|image| !image.is_empty()).or(from_spec.image),
        created: container.created_at.and_then(|at| time::rfc3339(at.seconds.saturating_mul(1_000_000_000))),
        command: from_spec.command,
        security: from_spec.security,
        settings: from_spec.settings,
        pod,
        labels,
        ..Metadata::new(engine, &container.id)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::{Any, ByText, Container, GetContainerResponse, ListNamespacesResponse, Timestamp, parse_container};
    use crate::engine::Role;
    use crate::path::Engine;

    pub(in crate::engine) fn namespaces(names: &[&str]) -> Vec<u8> {
        let namespaces = names.iter().map(|name| ByText { text: (*name).into() }).collect();
        ListNamespacesResponse { namespaces }.encode_to_vec()
    }

    pub(in crate::engine) fn text(text: &str) -> Vec<u8> {
        ByText { text: text.into() }.encode_to_vec()
    }

    pub(in crate::engine) fn container(id: &str, labels: &[(&str, &str)]) -> Vec<u8> {
        let spec = br#"{"ociVersion":"1.0.2","process":{"args":["sleep"],"noNewPrivileges":true},"linux":{}}"#;
        let container = Container {
            id: id.into(),
            labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            image: "docker.io/library/busybox:1".into(),
            runtime: Some(ByText { text: "io.containerd.runc.v2".into() }),
            spec: Some(Any { value: spec.to_vec() }),
            created_at: Some(Timestamp { seconds: 1_795_392_670 }),
        };
        GetContainerResponse { container: Some(container) }.encode_to_vec()
    }

    #[test]
    fn a_container_of_ctr_is_named_by_its_id() {
        let metadata = parse_container(&container("redis", &[]), "default").expect("it is valid");

        assert_eq!((metadata.engine, metadata.name.as_deref()), (Engine::Containerd, Some("redis")));
        assert_eq!(metadata.namespace.as_deref(), Some("default"));
        assert_eq!(metadata.image.as_deref(), Some("docker.io/library/busybox:1"));
        assert_eq!(metadata.runtime.as_deref(), Some("io.containerd.runc.v2"));
        assert_eq!(metadata.created.as_deref(), Some("2026-11-23T00:11:10Z"));
        assert_eq!(metadata.command.as_deref(), Some(&["sleep".to_owned()][..]));
        assert_eq!(metadata.security.no_new_privileges, Some(true));
    }

    #[test]
    fn labels_name_what_nerdctl_and_the_kubelet_made() {
        let id = "a".repeat(64);
        let nerdctl = parse_container(&container(&id, &[("nerdctl/name", "web")]), "default").expect("it is valid");
        let labels = [("io.kubernetes.pod.name", "web-0"), ("io.kubernetes.container.name", "nginx")];
        let kubelet = parse_container(&container(&id, &labels), "k8s.io").expect("it is valid");
        let pause =
            parse_container(&container(&id, &[("io.cri-containerd.kind", "sandbox")]), "k8s.io").expect("it is valid");
        let docker = parse_container(&container(&id, &[]), "moby").expect("it is valid");

        let unnamed = parse_container(&container(&id, &[("nerdctl/name", "")]), "default").expect("it is valid");

        assert_eq!((nerdctl.name.as_deref(), unnamed.name), (Some("web"), None));
        assert_eq!((kubelet.engine, kubelet.name.as_deref()), (Engine::Cri, Some("nginx")));
        assert_eq!(kubelet.pod.and_then(|pod| pod.name).as_deref(), Some("web-0"));
        assert_eq!(pause.role, Role::PodSandbox);
        assert_eq!((docker.engine, docker.name), (Engine::Docker, None));
    }

    proptest! {
        #[test]
        fn no_message_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), cut in 0..300_usize) {
            let whole = container("redis", &[]);
            for message in [&bytes[..], &whole[..cut.min(whole.len())]] {
                let _ = parse_container(message, "default");
            }
        }
    }
}
