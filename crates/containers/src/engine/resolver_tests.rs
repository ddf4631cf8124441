//! Against engines that this test plays itself: honest, slow, cut short, endless, and talking nonsense.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::{Engine, QueryError, ResolveError, Resolver, Sockets, Source};
use crate::engine::{Role, containerd, cri};

const A: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const LIMIT: Duration = Duration::from_millis(400);

fn sockets() -> Sockets {
    Sockets { limit: LIMIT, ..Sockets::none() }
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn chunked(body: &str) -> Vec<u8> {
    let chunks: String = body
        .as_bytes()
        .chunks(7)
        .map(|part| format!("{:x}\r\n{}\r\n", part.len(), String::from_utf8_lossy(part)))
        .collect();
    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n").into_bytes()
}

fn missing() -> Vec<u8> {
    let body = r#"{"message":"No such container"}"#;
    format!("HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Answers each connection by its target, until the test's process ends.
fn http_engine(directory: &Path, name: &str, answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> PathBuf {
    let socket = directory.join(name);
    let listener = UnixListener::bind(&socket).expect("a socket");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
                request.push(byte[0]);
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            // The client may go away first.
            let _ = stream.write_all(&answer(request.split(' ').nth(1).unwrap_or_default()));
        }
    });
    socket
}

fn docker(target: &str) -> Vec<u8> {
    let inspected = format!(
        r#"{{"Id":"{A}","Name":"/web","Image":"sha256:bf06","Config":{{"Image":"nginx:1","Labels":{{"a":"b"}}}}}}"#
    );
    match target {
        "/version" => ok(r#"{"Version":"26.1.0","Components":[{"Name":"Engine"}]}"#),
        "/containers/json?all=1" => ok(&format!(r#"[{{"Id":"{A}","Names":["/web"],"Image":"nginx:1"}}]"#)),
        "/images/sha256:bf06/json" => ok(r#"{"RepoDigests":["nginx@sha256:bb"]}"#),
        // Docker also answers to names.
        _ if target == format!("/containers/{A}/json") || target == "/containers/web/json" => chunked(&inspected),
        _ => missing(),
    }
}

/// What a gRPC engine says to a method: a message, or a status.
type Said = Result<Vec<u8>, u32>;

/// Answers every call, given its method, namespace header and message.
fn grpc_engine(directory: &Path, name: &str, answer: fn(&str, &str, &[u8]) -> Said) -> PathBuf {
    let socket = directory.join(name);
    let listener = UnixListener::bind(&socket).expect("a socket");
    listener.set_nonblocking(true).expect("a mode");
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = tokio::net::UnixListener::from_std(listener).expect("a listener");
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer));
            }
        });
    });
    socket
}

async fn serve(stream: tokio::net::UnixStream, answer: fn(&str, &str, &[u8]) -> Said) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let method = request.uri().path().to_owned();
        let namespace = request
            .headers()
            .get("containerd-namespace")
            .and_then(|name| name.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        tokio::spawn(async move {
            let mut body = request.into_body();
            let mut message = Vec::new();
            while let Some(Ok(chunk)) = body.data().await {
                message.extend_from_slice(&chunk);
            }
            let said = answer(&method, &namespace, message.get(5..).unwrap_or_default());
            let response = http::Response::builder().status(200).header("content-type", "application/grpc");
            let Ok(mut stream) = respond.send_response(response.body(()).expect("a response"), false) else { return };
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", said.as_ref().map_or_else(|code| *code, |_| 0).into());
            if let Ok(message) = said {
                let length = u32::try_from(message.len()).expect("it is short").to_be_bytes();
                let _ = stream.send_data([&[0][..], &length, &message].concat().into(), false);
            }
            let _ = stream.send_trailers(trailers);
        });
    }
}

fn cri_engine(method: &str, _: &str, message: &[u8]) -> Said {
    let asks_for = |id: &str| message.windows(id.len()).any(|part| part == id.as_bytes());
    match method.rsplit('/').next() {
        Some("Version") => Ok(cri::tests::version()),
        Some("ContainerStatus") if asks_for(A) => Ok(cri::tests::container(A)),
        Some("PodSandboxStatus") if asks_for("sandbox") => Ok(cri::tests::sandbox("sandbox")),
        Some("ContainerStatus" | "PodSandboxStatus") => Err(5),
        _ => Err(12),
    }
}

fn containerd_engine(method: &str, namespace: &str, message: &[u8]) -> Said {
    let asks_for = |id: &str| message.windows(id.len()).any(|part| part == id.as_bytes());
    match (method, namespace) {
        ("/containerd.services.version.v1.Version/Version", _) => Ok(containerd::tests::text("1.7.24")),
        ("/containerd.services.namespaces.v1.Namespaces/List", _) => {
            Ok(containerd::tests::namespaces(&["moby", "default"]))
        }
        ("/containerd.services.containers.v1.Containers/Get", "default") if asks_for("redis") => {
            Ok(containerd::tests::container("redis", &[]))
        }
        ("/containerd.services.containers.v1.Containers/Get", _) => Err(5),
        _ => Err(12),
    }
}

#[test]
fn docker_says_all_it_knows_and_who_said_it() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let resolver = Resolver::new(Sockets { docker: vec![http_engine(directory.path(), "d", docker)], ..sockets() });

    let metadata = resolver.resolve(A, Engine::Docker, None).expect("it is known");

    assert_eq!((metadata.engine, metadata.engine_version.as_deref()), (Engine::Docker, Some("26.1.0")));
    assert_eq!((metadata.name.as_deref(), metadata.image.as_deref()), (Some("web"), Some("nginx:1")));
    assert_eq!(metadata.image_digest.as_deref(), Some("sha256:bb"));
    assert_eq!(metadata.sources.get("image_digest"), Some(&Source::Docker));
    assert_eq!(metadata.sources.get("engine_version"), Some(&Source::Docker));
}

#[test]
fn a_wrong_hint_costs_nothing_but_time() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let resolver = Resolver::new(Sockets { docker: vec![http_engine(directory.path(), "d", docker)], ..sockets() });

    assert_eq!(resolver.resolve(A, Engine::CriO, None).expect("it is known").name.as_deref(), Some("web"));
}

#[test]
fn the_container_that_docker_calls_by_the_same_name_is_not_taken_for_a_bare_one() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let resolver = Resolver::new(Sockets { docker: vec![http_engine(directory.path(), "d", docker)], ..sockets() });

    let error = resolver.resolve("web", Engine::Runc, None).expect_err("`web` is a name, not an id");

    assert!(error.to_string().contains("docker API: no such container"), "{error}");
}

#[test]
fn an_id_that_leads_elsewhere_is_never_asked_for() {
    let resolver = Resolver::new(sockets());

    for id in ["", "../version", "a/json", "a?b", "a b", "a\r\nX: y"] {
        assert!(matches!(resolver.resolve(id, Engine::Docker, None), Err(ResolveError::Id { .. })), "{id:?}");
    }
}

#[test]
fn podman_behind_dockers_socket_is_called_by_its_name() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let podman = |target: &str| match target {
        "/version" => ok(r#"{"Version":"4.3.1","Components":[{"Name":"Podman Engine"}]}"#),
        _ => docker(target),
    };
    let resolver = Resolver::new(Sockets { docker: vec![http_engine(directory.path(), "d", podman)], ..sockets() });

    assert_eq!(resolver.resolve(A, Engine::Unknown, None).expect("it is known").engine, Engine::Podman);
    assert_eq!(resolver.list().expect("it lists").containers[0].engine, Engine::Podman);
}

#[test]
fn the_kubernetes_interface_names_containers_and_sandboxes() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let resolver = Resolver::new(Sockets { cri: vec![grpc_engine(directory.path(), "c", cri_engine)], ..sockets() });

    let container = resolver.resolve(A, Engine::Cri, None).expect("it is known");
    let sandbox = resolver.resolve("sandbox", Engine::Cri, None).expect("it is known");

    assert_eq!((container.engine, container.engine_version.as_deref()), (Engine::CriO, Some("cri-o 1.29.1")));
    assert_eq!((container.name.as_deref(), container.role), (Some("nginx"), Role::Workload));
    assert_eq!(container.sources.get("pod"), Some(&Source::Cri));
    assert_eq!(sandbox.role, Role::PodSandbox);
}

#[test]
fn containerd_is_asked_in_each_of_its_namespaces() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let socket = grpc_engine(directory.path(), "c", containerd_engine);
    // The same socket, as on a host whose containerd has no Kubernetes service.
    let resolver = Resolver::new(Sockets { cri: vec![socket.clone()], containerd: vec![socket], ..sockets() });

    let metadata = resolver.resolve("redis", Engine::Containerd, None).expect("it is known");

    assert_eq!((metadata.engine, metadata.namespace.as_deref()), (Engine::Containerd, Some("default")));
    assert_eq!(metadata.engine_version.as_deref(), Some("1.7.24"));
    let error = resolver.resolve("other", Engine::Unknown, None).expect_err("nobody knows it").to_string();
    assert!(error.contains("does not offer") && error.contains("containerd API: no such container"), "{error}");
}

#[test]
fn an_engine_that_hangs_is_given_up_in_time_and_left_alone_for_a_while() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let hangs = http_engine(directory.path(), "h", |_| {
        thread::sleep(Duration::from_secs(60));
        Vec::new()
    });
    let works = http_engine(directory.path(), "d", docker);
    let resolver = Resolver::new(Sockets { docker: vec![hangs, works], ..sockets() });

    let start = Instant::now();
    assert!(resolver.resolve(A, Engine::Docker, None).is_ok());
    let first = start.elapsed();
    let start = Instant::now();
    assert!(resolver.resolve(A, Engine::Docker, None).is_ok());
    let second = start.elapsed();

    assert!(first >= LIMIT && first < LIMIT * 8, "{first:?}");
    assert!(second < LIMIT, "{second:?}");
}

#[test]
fn a_socket_that_nobody_accepts_on_is_given_up_in_time() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let socket = directory.path().join("s");
    let _listener = UnixListener::bind(&socket).expect("a socket");
    let resolver = Resolver::new(Sockets { containerd: vec![socket], ..sockets() });

    let error = resolver.resolve(A, Engine::Containerd, None).expect_err("it never answers");

    assert!(error.to_string().contains("did not answer within"), "{error}");
}

/// The one error that asking an engine with this answer gives.
fn error_of(answer: fn(&str) -> Vec<u8>) -> QueryError {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let socket = http_engine(directory.path(), "d", answer);
    let limit = Duration::from_secs(20);
    let resolver = Resolver::new(Sockets { docker: vec![socket], limit, ..Sockets::none() });
    match resolver.resolve(A, Engine::Docker, None) {
        Err(ResolveError::Unknown { mut tried, .. }) => tried.remove(0).error,
        other => panic!("it was believed: {other:?}"),
    }
}

#[test]
fn an_answer_that_is_cut_short_endless_or_nonsense_is_refused_for_what_it_is() {
    let cut = |target: &str| {
        let mut answer = docker(target);
        answer.truncate(answer.len() - 9);
        answer
    };
    assert!(matches!(error_of(cut), QueryError::Malformed { .. }));
    let endless = |_: &str| {
        let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        answer.resize(40 * 1024 * 1024, b' ');
        answer
    };
    assert!(matches!(error_of(endless), QueryError::TooLong { .. }));
    assert!(matches!(error_of(|_| b"\xff\0garbage\r\n\r\n".to_vec()), QueryError::Malformed { .. }));
    assert!(matches!(error_of(|_| ok("[]")), QueryError::Malformed { .. }));
    assert!(matches!(error_of(|_| ok(&"[".repeat(100_000))), QueryError::Malformed { .. }));
    assert!(matches!(error_of(|_| Vec::new()), QueryError::Malformed { .. }));
    assert!(matches!(error_of(|_| missing()), QueryError::Unknown));
    let failing = |_: &str| b"HTTP/1.1 500 Oops\r\nContent-Length: 18\r\n\r\n{\"message\":\"busy\"}".to_vec();
    let error = error_of(failing).to_string();
    assert!(error.ends_with("refused: status 500, busy"), "{error}");
}

#[test]
fn a_grpc_socket_that_speaks_something_else_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let socket = http_engine(directory.path(), "d", docker);
    let resolver = Resolver::new(Sockets { cri: vec![socket], ..sockets() });

    match resolver.resolve(A, Engine::Cri, None) {
        Err(ResolveError::Unknown { tried, .. }) => {
            assert!(!matches!(tried[0].error, QueryError::Absent { .. } | QueryError::Unknown), "{:?}", tried[0]);
        }
        other => panic!("it was believed: {other:?}"),
    }
}

#[test]
fn who_is_reachable_is_told_for_every_socket() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let docker = vec![http_engine(directory.path(), "d", docker), directory.path().join("absent")];
    let cri = vec![grpc_engine(directory.path(), "c", cri_engine)];
    let containerd = vec![grpc_engine(directory.path(), "n", containerd_engine)];
    let resolver = Resolver::new(Sockets { docker, cri, containerd, ..sockets() });

    let statuses = resolver.reachable().expect("it can ask");

    let told: Vec<_> = statuses.iter().map(|status| status.answer.as_ref().ok().cloned()).collect();
    let expected = [
        Some((Engine::Docker, "26.1.0".to_owned())),
        None,
        Some((Engine::CriO, "cri-o 1.29.1".to_owned())),
        Some((Engine::Containerd, "1.7.24".to_owned())),
    ];
    assert_eq!(told, expected);
    assert!(statuses[1].answer.as_ref().is_err_and(QueryError::is_absent));
}

#[test]
fn a_container_in_several_lists_is_listed_once_and_a_broken_engine_is_named() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let broken = http_engine(directory.path(), "b", |_| ok("{}"));
    let works = http_engine(directory.path(), "d", docker);
    let state = directory.path().join("runc").join(A);
    std::fs::create_dir_all(&state).expect("directories");
    std::fs::write(state.join("state.json"), r#"{"init_process_pid":77}"#).expect("a file");
    let runtimes = vec![(directory.path().join("runc"), Engine::Docker)];
    let resolver = Resolver::new(Sockets { docker: vec![broken, works], runtimes, ..sockets() });

    let listing = resolver.list().expect("it can ask");

    assert_eq!(listing.containers.len(), 1);
    assert_eq!((listing.containers[0].name.as_deref(), listing.containers[0].pid), (Some("web"), Some(77)));
    assert_eq!(listing.containers[0].sources.get("pid"), Some(&Source::Bundle));
    assert_eq!(listing.failed.len(), 1);
}
