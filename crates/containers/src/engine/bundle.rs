//! What runtimes and Podman leave on disk: the state of a container, which leads to its OCI bundle.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::docker::malformed;
use super::file::read_file;
use super::metadata::{Metadata, Source};
use super::{QueryError, Sockets, oci, time};
use crate::path::{Engine, is_hex_id, is_valid_id};

/// The most directories of one root that are looked into.
const MAX_DIRECTORIES: usize = 10_000;

/// What a runtime keeps of a running container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeState {
    /// The bundle's directory, if it says.
    pub bundle: Option<String>,
    /// The first process.
    pub pid: Option<u32>,
    /// When it was made (RFC 3339).
    pub created: Option<String>,
}

/// The `state.json` of runc (and of youki, which has the bundle at the top).
pub fn parse_runc_state(bytes: &[u8]) -> Result<RuntimeState, String> {
    #[derive(Deserialize)]
    struct Config {
        labels: Option<Vec<String>>,
    }
    #[derive(Deserialize)]
    struct State {
        init_process_pid: Option<u32>,
        pid: Option<u32>,
        created: Option<String>,
        bundle: Option<String>,
        config: Option<Config>,
    }
    let state: State = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let labels = state.config.and_then(|config| config.labels).unwrap_or_default();
    let labelled = labels.iter().find_map(|label| label.strip_prefix("bundle=").map(str::to_owned));
    Ok(RuntimeState {
        bundle: labelled.or(state.bundle),
        pid: state.init_process_pid.or(state.pid).filter(|&pid| pid != 0),
        created: state.created.as_deref().and_then(time::checked),
    })
}

/// The `status` file of crun.
pub fn parse_crun_status(bytes: &[u8]) -> Result<RuntimeState, String> {
    #[derive(Deserialize)]
    struct Status {
        pid: Option<u32>,
        bundle: Option<String>,
        created: Option<String>,
    }
    let status: Status = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    Ok(RuntimeState {
        bundle: status.bundle,
        pid: status.pid.filter(|&pid| pid != 0),
        created: status.created.as_deref().and_then(time::checked),
    })
}

/// The `containers.json` of Podman's storage.
pub fn parse_podman_storage(bytes: &[u8]) -> Result<Vec<Metadata>, String> {
    #[derive(Deserialize)]
    struct Stored {
        id: String,
        names: Option<Vec<String>>,
        image: Option<String>,
        created: Option<String>,
        metadata: Option<String>,
    }
    #[derive(Deserialize)]
    struct Inner {
        #[serde(rename = "image-name")]
        image_name: Option<String>,
        name: Option<String>,
    }
    let stored: Vec<Stored> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let with_id = stored.into_iter().filter(|container| is_valid_id(&container.id));
    Ok(with_id
        .map(|container| {
            let inner = container.metadata.and_then(|text| serde_json::from_str::<Inner>(&text).ok());
            let (image, name) = inner.map_or((None, None), |inner| (inner.image_name, inner.name));
            Metadata {
                name: name.into_iter().chain(container.names.into_iter().flatten()).find(|name| !name.is_empty()),
                image: image.filter(|image| !image.is_empty()),
                image_id: container.image.filter(|image| !image.is_empty()),
                created: container.created.as_deref().and_then(time::checked),
                ..Metadata::new(Engine::Podman, &container.id)
            }
        })
        .collect())
}

/// What a runtime's state and the bundle say of a container. Names of bare containers are unique only within one root:
/// where several have it, the one with this first process is meant.
pub(super) fn inspect(sockets: &Sockets, id: &str, pid: Option<u32>) -> Result<Metadata, QueryError> {
    let roots = sockets.runtime_roots();
    let mut first: Option<Metadata> = None;
    let mut wrong = None;
    for (root, engine) in &roots {
        match at(&root.join(id), *engine, id) {
            Ok(metadata) if pid.is_none() || metadata.pid == pid => return Ok(metadata),
            Ok(metadata) => first = first.or(Some(metadata)),
            Err(error) if error.is_absent() => {}
            Err(error) => wrong = wrong.or(Some(error)),
        }
    }
    if let Some(metadata) = first {
        return Ok(metadata);
    }
    Err(wrong.unwrap_or_else(|| match roots.iter().find(|(root, _)| !root.is_dir()) {
        // If a runtime keeps state here at all, it is this container that is missing.
        Some((path, _)) if roots.iter().all(|(root, _)| !root.is_dir()) => QueryError::Absent { path: path.clone() },
        _ => QueryError::Unknown,
    }))
}

/// What Podman's storage says of a container.
pub(super) fn inspect_podman(sockets: &Sockets, id: &str) -> Result<Metadata, QueryError> {
    let mut last = QueryError::Unknown;
    for storage in &sockets.podman_storage {
        for directory in container_directories(storage) {
            let path = directory.join("containers.json");
            let stored =
                match read_file(&path).and_then(|b| parse_podman_storage(&b).map_err(|why| malformed(&path, why))) {
                    Ok(stored) => stored,
                    Err(error) => {
                        last = if error.is_absent() { last } else { error };
                        continue;
                    }
                };
            let Some(found) = stored.into_iter().find(|container| container.id == id) else { continue };
            let mut metadata = found.said_by(Source::PodmanStorage);
            let bundle = directory.join(id).join("userdata");
            if let Ok(spec) = bundle_metadata(&bundle, Engine::Podman, id) {
                metadata.fill_from(spec, Source::Bundle);
            }
            return Ok(metadata);
        }
    }
    Err(last)
}

/// Every container that runtimes and Podman's storage know.
pub(super) fn list(sockets: &Sockets) -> Vec<Metadata> {
    let mut found = Vec::new();
    for storage in &sockets.podman_storage {
        for directory in container_directories(storage) {
            let stored =
                read_file(&directory.join("containers.json")).ok().and_then(|bytes| parse_podman_storage(&bytes).ok());
            found.extend(stored.into_iter().flatten().map(|metadata| metadata.said_by(Source::PodmanStorage)));
        }
    }
    for (root, engine) in sockets.runtime_roots() {
        for directory in directories(&root) {
            let id = directory.file_name().and_then(|name| name.to_str()).filter(|id| is_valid_id(id));
            found.extend(id.and_then(|id| at(&directory, engine, id).ok()));
        }
    }
    found
}

/// The state in one directory, by whichever runtime: runc and youki `state.json`, crun `status`; a containerd task's
/// directory is the bundle itself.
fn at(directory: &Path, engine: Engine, id: &str) -> Result<Metadata, QueryError> {
    type Parse = fn(&[u8]) -> Result<RuntimeState, String>;
    let files: [(&str, Parse); 2] = [("state.json", parse_runc_state), ("status", parse_crun_status)];
    for (name, parse) in files {
        let path = directory.join(name);
        let state = match read_file(&path) {
            Ok(bytes) => parse(&bytes).map_err(|reason| malformed(&path, reason))?,
            Err(error) if error.is_absent() => continue,
            Err(error) => return Err(error),
        };
        // A bundle may be removed once its container runs.
        let spec = state.bundle.as_ref().and_then(|bundle| bundle_metadata(Path::new(bundle), engine, id).ok());
        let metadata = spec.unwrap_or_else(|| Metadata { bundle: state.bundle, ..Metadata::new(engine, id) });
        let is_bare = matches!(metadata.engine, Engine::Runc | Engine::Crun | Engine::Youki);
        let metadata = Metadata {
            pid: state.pid,
            created: state.created,
            runtime: matches!(engine, Engine::Runc | Engine::Crun | Engine::Youki).then(|| engine.name().to_owned()),
            // Without an engine, the id is the name that somebody gave.
            name: (is_bare && !is_hex_id(id)).then(|| id.to_owned()),
            ..metadata
        };
        return Ok(metadata.said_by(Source::Bundle));
    }
    bundle_metadata(directory, engine, id).map(|metadata| metadata.said_by(Source::Bundle))
}

fn bundle_metadata(bundle: &Path, engine: Engine, id: &str) -> Result<Metadata, QueryError> {
    let path = bundle.join("config.json");
    let spec = oci::parse_spec(&read_file(&path)?).map_err(|reason| malformed(&path, reason))?;
    // A bare runtime's root also holds what engines run with it; they sign their bundles.
    let engine = match spec.annotations.get("io.container.manager").map(String::as_str) {
        Some("libpod") => Engine::Podman,
        Some("cri-o") => Engine::CriO,
        _ if id.starts_with("buildah-buildah") => Engine::Buildah,
        _ => engine,
    };
    Ok(Metadata { bundle: Some(bundle.to_string_lossy().into_owned()), ..spec.into_metadata(engine, id) })
}

/// `overlay-containers`, `vfs-containers` and so on: one per storage driver.
fn container_directories(storage: &Path) -> Vec<PathBuf> {
    let is_one = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().ends_with("-containers"));
    directories(storage).into_iter().filter(is_one).collect()
}

pub(super) fn directories(root: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root) else { return Vec::new() };
    let directories = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.map(|entry| entry.path()).take(MAX_DIRECTORIES).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::{inspect, inspect_podman, list, parse_crun_status, parse_podman_storage, parse_runc_state};
    use crate::engine::{QueryError, Seccomp, Sockets, Source};
    use crate::path::Engine;

    /// As runc 1.1 and crun 1.8 write them, without what is not read.
    const RUNC: &str = r#"{"id":"rfrunc","init_process_pid":5971,"created":"2026-11-23T00:11:11.240467621Z",
        "config":{"rootfs":"/b/rootfs","labels":["a=b","bundle=/b"]}}"#;
    const CRUN: &str = r#"{"pid":10379,"cgroup-path":"/rfcrun","bundle":"/b","created":"2026-11-23T00:12:03.877516Z"}"#;
    const STORED: &str = r#"[{"id":"879b","names":["pweb"],"image":"a338","created":"2026-11-23T00:11:40.798127698Z",
        "metadata":"{\"image-name\":\"localhost/rfbox:1\",\"name\":\"pweb\"}"},{"id":"../../etc","names":[]}]"#;
    const SPEC: &str = r#"{"ociVersion":"1.0.0","process":{"args":["sleep"],"noNewPrivileges":true},"linux":{}}"#;

    fn write(path: &Path, text: &str) {
        std::fs::create_dir_all(path.parent().expect("it has a parent")).expect("directories");
        std::fs::write(path, text).expect("a file");
    }

    #[test]
    fn the_state_of_each_runtime_gives_bundle_and_pid() {
        let (runc, crun) = (parse_runc_state(RUNC.as_bytes()), parse_crun_status(CRUN.as_bytes()));

        let (runc, crun) = (runc.expect("it is valid"), crun.expect("it is valid"));
        assert_eq!((runc.bundle.as_deref(), runc.pid), (Some("/b"), Some(5971)));
        assert_eq!((crun.bundle.as_deref(), crun.pid), (Some("/b"), Some(10379)));
        let youki = parse_runc_state(br#"{"bundle":"/y","pid":7}"#).expect("it is valid");
        assert_eq!((youki.bundle.as_deref(), youki.pid), (Some("/y"), Some(7)));
    }

    #[test]
    fn a_bare_container_is_found_by_its_state_and_described_by_its_bundle() {
        let tree = tempfile::tempdir().expect("a temporary directory");
        let bundle = tree.path().join("bundle");
        write(&bundle.join("config.json"), SPEC);
        write(&tree.path().join("crun/web/status"), &CRUN.replace("/b", &bundle.to_string_lossy()));
        let sockets = Sockets { runtimes: vec![(tree.path().join("crun"), Engine::Crun)], ..Sockets::none() };

        let metadata = inspect(&sockets, "web", None).expect("it is known");

        assert_eq!((metadata.engine, metadata.name.as_deref(), metadata.pid), (Engine::Crun, Some("web"), Some(10379)));
        assert_eq!(metadata.security.no_new_privileges, Some(true));
        assert_eq!(metadata.security.seccomp, Some(Seccomp::Unconfined));
        assert_eq!(metadata.sources.get("command"), Some(&Source::Bundle));
        assert!(matches!(inspect(&sockets, "other", None), Err(QueryError::Unknown)));
        assert_eq!(list(&sockets).len(), 1);
    }

    #[test]
    fn of_two_bare_containers_of_one_name_the_process_tells_which() {
        let tree = tempfile::tempdir().expect("a temporary directory");
        write(&tree.path().join("runc/web/state.json"), RUNC);
        write(&tree.path().join("crun/web/status"), CRUN);
        let runtimes = vec![(tree.path().join("runc"), Engine::Runc), (tree.path().join("crun"), Engine::Crun)];
        let sockets = Sockets { runtimes, ..Sockets::none() };

        let engine = |pid| inspect(&sockets, "web", pid).expect("it is known").engine;

        assert_eq!(
            (engine(Some(5971)), engine(Some(10379)), engine(Some(1))),
            (Engine::Runc, Engine::Crun, Engine::Runc)
        );
    }

    #[test]
    fn a_bundle_that_podman_signed_is_podmans() {
        let tree = tempfile::tempdir().expect("a temporary directory");
        let spec = SPEC.replace("\"linux\"", r#""annotations":{"io.container.manager":"libpod"},"linux""#);
        write(&tree.path().join("b/config.json"), &spec);
        write(&tree.path().join("crun/web/status"), &CRUN.replace("/b", &tree.path().join("b").to_string_lossy()));
        let sockets = Sockets { runtimes: vec![(tree.path().join("crun"), Engine::Crun)], ..Sockets::none() };

        let metadata = inspect(&sockets, "web", None).expect("it is known");

        assert_eq!((metadata.engine, metadata.runtime.as_deref()), (Engine::Podman, Some("crun")));
    }

    #[test]
    fn where_no_runtime_keeps_state_the_source_is_absent() {
        let sockets = Sockets { runtimes: vec![("/nonexistent/runc".into(), Engine::Runc)], ..Sockets::none() };

        assert!(inspect(&sockets, "web", None).expect_err("nothing is there").is_absent());
    }

    #[test]
    fn a_bundle_that_was_removed_leaves_what_the_state_says() {
        let tree = tempfile::tempdir().expect("a temporary directory");
        write(&tree.path().join("web/state.json"), &RUNC.replace("/b", "/nonexistent"));
        let sockets = Sockets { runtimes: vec![(tree.path().into(), Engine::Runc)], ..Sockets::none() };

        let metadata = inspect(&sockets, "web", None).expect("it is known");

        assert_eq!((metadata.pid, metadata.command), (Some(5971), None));
    }

    #[test]
    fn a_task_of_containerd_is_its_own_bundle() {
        let tree = tempfile::tempdir().expect("a temporary directory");
        write(&tree.path().join("web/config.json"), SPEC);
        let sockets = Sockets { runtimes: vec![(tree.path().into(), Engine::Containerd)], ..Sockets::none() };

        assert_eq!(inspect(&sockets, "web", None).expect("it is known").command, Some(vec!["sleep".to_owned()]));
    }

    #[test]
    fn podmans_storage_names_a_container_and_an_id_cannot_lead_elsewhere() {
        let tree = tempfile::tempdir().expect("a temporary directory");
        let containers = tree.path().join("overlay-containers");
        write(&containers.join("containers.json"), STORED);
        write(&containers.join("879b/userdata/config.json"), SPEC);
        let sockets = Sockets { podman_storage: vec![tree.path().into()], ..Sockets::none() };

        let metadata = inspect_podman(&sockets, "879b").expect("it is known");

        assert_eq!((metadata.name.as_deref(), metadata.image.as_deref()), (Some("pweb"), Some("localhost/rfbox:1")));
        assert_eq!(metadata.sources.get("name"), Some(&Source::PodmanStorage));
        assert_eq!(metadata.sources.get("command"), Some(&Source::Bundle));
        assert_eq!(parse_podman_storage(STORED.as_bytes()).expect("it is valid").len(), 1);
    }

    #[test]
    fn an_empty_name_in_podmans_storage_is_none() {
        let stored = |names: &str| {
            let text = format!(r#"[{{"id":"879b","names":{names},"metadata":"{{\"name\":\"\"}}"}}]"#);
            parse_podman_storage(text.as_bytes()).expect("it is valid").remove(0).name
        };

        assert_eq!((stored(r#"[""]"#), stored(r#"["web"]"#)), (None, Some("web".to_owned())));
    }

    #[test]
    fn a_state_that_is_garbage_is_said_to_be() {
        let tree = tempfile::tempdir().expect("a temporary directory");
        write(&tree.path().join("web/state.json"), "{");
        let sockets = Sockets { runtimes: vec![(tree.path().into(), Engine::Runc)], ..Sockets::none() };

        assert!(matches!(inspect(&sockets, "web", None), Err(QueryError::Malformed { .. })));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), cut in 0..RUNC.len()) {
            for bytes in [&bytes[..], &RUNC.as_bytes()[..cut]] {
                let _ = (parse_runc_state(bytes), parse_crun_status(bytes), parse_podman_storage(bytes));
            }
        }
    }
}
