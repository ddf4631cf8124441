//! Against real engines, each started by the test with its own storage, state and socket, so that one that is already
//! there is not touched. Run as root with `cargo test -p containers --test engines -- --ignored`.

mod support;

use containers::cgroupfs::Layout;
use containers::engine::{Metadata, Resolver, Seccomp, Sockets, Source};
use containers::list::{Running, describe, running};
use containers::path::Engine;
use containers::proc::{Proc, SeccompMode};
use support::{Crun, Daemon, Place, Runc};

/// The container whose first process this is, as the census and the resolver have it.
fn seen(sockets: &Sockets, pid: u32) -> (Running, Metadata) {
    let proc = Proc::default();
    let layout = Layout::detect(&proc).expect("cgroups are mounted");
    let mut census = running(&proc, &layout).expect("/proc can be read");
    let resolver = Resolver::new(sockets.clone());
    let listing = resolver.list().expect("it can ask");
    assert!(listing.failed.is_empty(), "{:?}", listing.failed);
    describe(&mut census.containers, &listing.containers);
    let found = census.containers.into_iter().find(|container| container.init.pid == pid);
    let container = found.unwrap_or_else(|| panic!("no container has the first process {pid}"));
    let metadata = resolver.resolve(&container.id, container.engine, Some(pid)).expect("the engine knows it");
    (container, metadata)
}

#[test]
#[ignore = "needs root and docker"]
fn docker_containers_are_found_and_described() {
    let place = Place::new();
    let docker = Daemon::docker(&place);
    docker.import_image("rfbox:1");
    let id = docker.client(&[
        "run",
        "-d",
        "--name",
        "web",
        "--network",
        "none",
        "--label",
        "tier=front",
        "--security-opt",
        "no-new-privileges",
        "--cap-drop",
        "ALL",
        "--cap-add",
        "NET_BIND_SERVICE",
        "--pids-limit",
        "50",
        "--tmpfs",
        "/scratch",
        "rfbox:1",
        "sleep",
        "1000",
    ]);
    let pid = docker.client(&["inspect", "-f", "{{.State.Pid}}", "web"]).parse().expect("it runs");

    let (container, metadata) = seen(&docker.sockets(), pid);

    assert_eq!((container.engine, container.id.as_str()), (Engine::Docker, id.as_str()));
    assert_eq!(container.cgroup.expect("it has a cgroup").path.escaped(), format!("/docker/{id}"));
    assert_eq!(container.confinement.seccomp, Some(SeccompMode::Filter));
    assert_eq!((container.confinement.capabilities.0, container.confinement.no_new_privileges), (1 << 10, Some(true)));
    assert_eq!(container.processes.len(), 1);
    assert_eq!(container.metadata.and_then(|known| known.name).as_deref(), Some("web"));
    assert_eq!((metadata.engine, metadata.name.as_deref()), (Engine::Docker, Some("web")));
    assert_eq!((metadata.image.as_deref(), metadata.pid), (Some("rfbox:1"), Some(pid)));
    assert_eq!(metadata.command.as_deref(), Some(&["sleep", "1000"].map(String::from)[..]));
    assert_eq!(metadata.labels.get("tier").map(String::as_str), Some("front"));
    assert!(metadata.engine_version.is_some() && metadata.created.is_some());
    let settings = metadata.settings.expect("Docker says what it was told");
    assert_eq!((settings.pids_limit, settings.memory_bytes), (Some(50), Some(0)));
    assert!(settings.masked_paths.is_some_and(|paths| paths.iter().any(|path| path == "/proc/kcore")));
    let mounts = settings.mounts.expect("mounts");
    assert_eq!(
        mounts.iter().map(|one| (one.destination.as_str(), one.kind.as_str())).collect::<Vec<_>>(),
        [("/scratch", "tmpfs")]
    );
    let security = metadata.security;
    assert_eq!((security.no_new_privileges, security.privileged), (Some(true), Some(false)));
    assert_eq!(security.seccomp, Some(Seccomp::EngineDefault));
    assert_eq!(security.capabilities.as_deref(), Some(&["CAP_NET_BIND_SERVICE".to_owned()][..]));
    assert_eq!(metadata.sources.get("security.capabilities"), Some(&Source::Bundle), "Docker does not say");
}

#[test]
#[ignore = "needs root and podman"]
fn podman_containers_are_found_by_api_and_without_it() {
    let place = Place::new();
    let podman = Daemon::podman(&place);
    podman.import_image("localhost/rfbox:1");
    let id = podman.client(&[
        "--runtime",
        "runc",
        "run",
        "-d",
        "--name",
        "pweb",
        "--network",
        "none",
        "--ulimit",
        "nofile=1024:1024",
        "--ulimit",
        "nproc=1024:1024",
        "--label",
        "a=b",
        "--security-opt",
        "seccomp=unconfined",
        "localhost/rfbox:1",
        "sleep",
        "1000",
    ]);
    let pid = podman.client(&["inspect", "-f", "{{.State.Pid}}", "pweb"]).parse().expect("it runs");

    let (container, by_api) = seen(&podman.sockets(), pid);
    let without_api = Sockets { podman: vec![], ..podman.sockets() };
    let (_, from_disk) = seen(&without_api, pid);

    assert_eq!((container.engine, container.id.as_str()), (Engine::Podman, id.as_str()));
    assert_eq!(container.cgroup.expect("it has a cgroup").path.escaped(), format!("/libpod_parent/libpod-{id}"));
    assert_eq!(container.confinement.seccomp, Some(SeccompMode::Disabled));
    assert_eq!((by_api.engine, by_api.name.as_deref(), by_api.pid), (Engine::Podman, Some("pweb"), Some(pid)));
    assert_eq!(
        (by_api.image.as_deref(), by_api.security.seccomp),
        (Some("localhost/rfbox:1"), Some(Seccomp::Unconfined))
    );
    let settings = by_api.settings.expect("Podman says what it was told");
    let files = settings.ulimits.iter().flatten().find(|limit| limit.name == "nofile");
    assert_eq!(files.map(|limit| (limit.soft, limit.hard)), Some((1024, 1024)));
    assert_eq!((settings.mounts, settings.devices), (Some(Vec::new()), Some(Vec::new())));
    assert!(by_api.image_digest.is_some_and(|digest| digest.starts_with("sha256:")));
    assert_eq!(by_api.labels.get("a").map(String::as_str), Some("b"));
    assert_eq!((from_disk.engine, from_disk.name.as_deref()), (Engine::Podman, Some("pweb")));
    assert_eq!(from_disk.sources.get("name"), Some(&Source::PodmanStorage));
    assert_eq!(from_disk.command.as_deref(), Some(&["sleep", "1000"].map(String::from)[..]));
}

#[test]
#[ignore = "needs root and containerd"]
fn containers_of_containerd_are_found_and_described() {
    let place = Place::new();
    let containerd = Daemon::containerd(&place);
    let rootfs = place.rootfs();
    containerd.client(&[
        "run",
        "-d",
        "--no-pivot",
        "--rootfs",
        rootfs.to_str().expect("plain text"),
        "redis",
        "/bin/sleep",
        "1000",
    ]);
    let tasks = containerd.client(&["task", "ls"]);
    let line = tasks.lines().find(|line| line.starts_with("redis")).expect("it runs");
    let pid = line.split_whitespace().nth(1).and_then(|pid| pid.parse().ok()).expect("it has a pid");

    let (container, metadata) = seen(&containerd.sockets(), pid);

    assert_eq!((container.engine, container.id.as_str()), (Engine::Containerd, "redis"));
    assert_eq!(container.cgroup.expect("it has a cgroup").path.escaped(), "/default/redis");
    assert_eq!((metadata.engine, metadata.namespace.as_deref()), (Engine::Containerd, Some("default")));
    assert_eq!((metadata.pid, metadata.runtime.as_deref()), (Some(pid), Some("io.containerd.runc.v2")));
    assert_eq!(metadata.sources.get("pid"), Some(&Source::Containerd));
    assert_eq!(metadata.command.as_deref(), Some(&["/bin/sleep", "1000"].map(String::from)[..]));
    assert_eq!(metadata.security.seccomp, Some(Seccomp::Unconfined), "ctr has no default profile");
}

#[test]
#[ignore = "needs root and containerd"]
fn the_kubernetes_interface_of_containerd_answers() {
    let place = Place::new();
    let containerd = Daemon::containerd(&place);

    let statuses = Resolver::new(containerd.sockets()).reachable().expect("it can ask");

    let told: Vec<_> =
        statuses.iter().map(|status| (status.source, status.answer.as_ref().map(|(engine, _)| *engine).ok())).collect();
    assert_eq!(
        told,
        [(Source::Cri, Some(Engine::Cri)), (Source::Containerd, Some(Engine::Containerd))],
        "{statuses:?}"
    );
}

#[test]
#[ignore = "needs root and runc"]
fn bare_runc_containers_are_found_by_structure_and_described_by_their_bundle() {
    let place = Place::new();
    let runc = Runc::start(&place);
    let name = runc.name.as_str();
    let sockets = Sockets { runtimes: vec![(runc.root.clone(), Engine::Runc)], ..Sockets::none() };

    let (container, metadata) = seen(&sockets, runc.pid);

    assert_eq!((container.engine, container.id.as_str()), (Engine::Runc, name));
    assert_eq!(container.cgroup.expect("it has a cgroup").path.escaped(), format!("/{name}"));
    assert_eq!(
        (metadata.name.as_deref(), metadata.bundle.as_deref()),
        (Some(name), place.path().join("bundle").to_str())
    );
    assert_eq!(metadata.command.as_deref(), Some(&["sleep", "1000"].map(String::from)[..]));
}

#[test]
#[ignore = "needs root and crun"]
fn a_crun_container_without_a_cgroup_of_its_own_is_found_by_its_mount_namespace() {
    let place = Place::new();
    let crun = Crun::start(&place, &["--cgroup-manager=disabled"]);
    let sockets = Sockets { runtimes: vec![(crun.root.clone(), Engine::Crun)], ..Sockets::none() };

    let (container, metadata) = seen(&sockets, crun.pid);

    assert_eq!((container.engine, container.id.as_str()), (Engine::Crun, crun.name.as_str()));
    assert_eq!(container.cgroup, None);
    assert_eq!((metadata.runtime.as_deref(), metadata.pid), (Some("crun"), Some(crun.pid)));
}

#[test]
#[ignore = "needs root and crun"]
fn a_crun_container_that_is_in_v1_only_is_found_by_its_cgroup() {
    let place = Place::new();
    let crun = Crun::start(&place, &[]);
    let sockets = Sockets { runtimes: vec![(crun.root.clone(), Engine::Crun)], ..Sockets::none() };

    let (container, _) = seen(&sockets, crun.pid);

    assert_eq!(container.cgroup.expect("it has a cgroup").path.escaped(), format!("/{}", crun.name));
}
