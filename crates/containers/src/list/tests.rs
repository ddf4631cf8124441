use std::os::unix::fs::symlink;
use std::path::Path;

use super::{Census, Engine, Metadata, describe, running};
use crate::cgroupfs::{Layout, cgroup_id};
use crate::engine::{Resolver, Sockets};
use crate::proc::{Proc, SeccompMode};

const A: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const B: &str = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";
const HOST: u32 = 4026531841;

/// A host with cgroup v2 at `cgroup`, processes at `proc`.
struct Host {
    tree: tempfile::TempDir,
}

struct Fake<'a> {
    pid: u32,
    inside: u32,
    start: u64,
    cgroup: &'a str,
    mount: u32,
    root: &'a str,
}

impl Host {
    fn new() -> Host {
        let host = Host { tree: tempfile::tempdir().expect("a temporary directory") };
        for directory in ["cgroup", "roots/host", "roots/a", "roots/b", "proc/self"] {
            std::fs::create_dir_all(host.at(directory)).expect("directories");
        }
        let mounts = format!("30 23 0:26 / {} rw - cgroup2 cgroup2 rw\n", host.at("cgroup").display());
        std::fs::write(host.at("proc/self/mountinfo"), mounts).expect("a file");
        std::fs::write(host.at("proc/self/cgroup"), "0::/\n").expect("a file");
        host.add(Fake { pid: 1, inside: 1, start: 0, cgroup: "/init.scope", mount: HOST, root: "host" });
        host
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.tree.path().join(path)
    }

    fn add(&self, fake: Fake<'_>) {
        let Fake { pid, inside, start, cgroup, mount, root } = fake;
        std::fs::create_dir_all(self.at(&format!("cgroup{cgroup}"))).expect("directories");
        std::fs::create_dir_all(self.at(&format!("proc/{pid}/ns"))).expect("directories");
        let file =
            |name: &str, text: String| std::fs::write(self.at(&format!("proc/{pid}/{name}")), text).expect("a file");
        file("stat", format!("{pid} (app) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {start} 1 1\n"));
        file("cgroup", format!("0::{cgroup}\n"));
        let ids = if inside == pid { format!("{pid}") } else { format!("{pid}\t{inside}") };
        file(
            "status",
            format!(
                "Name:\tapp\nTgid:\t{pid}\nUid:\t0\t0\t0\t0\nNStgid:\t{ids}\nCapEff:\t00000000a80425fb\nNoNewPrivs:\t1\nSeccomp:\t2\n"
            ),
        );
        let link = |target: &Path, name: &str| symlink(target, self.at(&format!("proc/{pid}/{name}"))).expect("a link");
        link(Path::new(&format!("mnt:[{mount}]")), "ns/mnt");
        link(&self.at(&format!("roots/{root}")), "root");
    }

    fn census(&self) -> Census {
        let proc = Proc::new(self.at("proc"));
        let layout = Layout::detect(&proc).expect("it has a cgroup mount");
        running(&proc, &layout).expect("it can be read")
    }
}

fn shown(census: &Census) -> Vec<(Engine, &str, u32, Vec<u32>)> {
    let pids = |container: &super::Running| container.processes.iter().map(|process| process.pid).collect();
    census.containers.iter().map(|one| (one.engine, one.id.as_str(), one.init.pid, pids(one))).collect()
}

#[test]
fn processes_of_one_container_are_one_entry_with_its_cgroup_and_confinement() {
    let host = Host::new();
    let cgroup = format!("/docker/{A}");
    host.add(Fake { pid: 50, inside: 9, start: 5, cgroup: &format!("{cgroup}/init.scope"), mount: 7, root: "a" });
    host.add(Fake { pid: 60, inside: 1, start: 5, cgroup: &cgroup, mount: 7, root: "a" });

    let census = host.census();

    assert_eq!(shown(&census), [(Engine::Docker, A, 60, vec![50, 60])]);
    let found = &census.containers[0];
    let path = found.cgroup.as_ref().expect("it has a cgroup");
    assert_eq!(path.path.as_bytes(), cgroup.as_bytes());
    assert_eq!(path.id, cgroup_id(&host.at(&format!("cgroup{cgroup}"))).expect("it is there"));
    assert_eq!(found.confinement.seccomp, Some(SeccompMode::Filter));
    assert_eq!((found.confinement.capabilities.0, found.confinement.no_new_privileges), (0xa80425fb, Some(true)));
    assert_eq!((found.init.pid_inside, found.init.start_ns), (1, 50_000_000));
}

#[test]
fn a_nested_container_is_an_entry_of_its_own_and_names_the_outer_one() {
    let host = Host::new();
    host.add(Fake { pid: 50, inside: 1, start: 5, cgroup: &format!("/docker/{A}"), mount: 7, root: "a" });
    host.add(Fake { pid: 60, inside: 1, start: 6, cgroup: &format!("/docker/{A}/docker/{B}"), mount: 8, root: "b" });

    let census = host.census();

    assert_eq!(shown(&census), [(Engine::Docker, A, 50, vec![50]), (Engine::Docker, B, 60, vec![60])]);
    assert_eq!(census.containers[1].inside.as_deref(), Some(A));
}

#[test]
fn a_bare_container_is_told_by_its_root_and_called_by_its_cgroup() {
    let host = Host::new();
    host.add(Fake { pid: 50, inside: 1, start: 5, cgroup: "/web", mount: 7, root: "a" });

    let census = host.census();

    assert_eq!(shown(&census), [(Engine::Unknown, "web", 50, vec![50])]);
    assert!(census.containers[0].cgroup.is_some());
}

#[test]
fn a_container_without_a_cgroup_of_its_own_is_called_by_its_mount_namespace() {
    let host = Host::new();
    let session = "/user.slice/session-3.scope";
    host.add(Fake { pid: 40, inside: 40, start: 4, cgroup: session, mount: HOST, root: "host" });
    host.add(Fake { pid: 50, inside: 1, start: 5, cgroup: session, mount: 7, root: "a" });
    host.add(Fake { pid: 51, inside: 2, start: 6, cgroup: session, mount: 7, root: "a" });
    host.add(Fake { pid: 60, inside: 1, start: 7, cgroup: session, mount: 8, root: "b" });

    let census = host.census();

    let expected = [(Engine::Unknown, "mnt:7", 50, vec![50, 51]), (Engine::Unknown, "mnt:8", 60, vec![60])];
    assert_eq!(shown(&census), expected);
    assert_eq!(census.containers[0].cgroup, None);
}

#[test]
fn a_service_with_private_mounts_or_a_chroot_is_no_container() {
    let host = Host::new();
    host.add(Fake { pid: 40, inside: 40, start: 4, cgroup: "/system.slice/a.service", mount: 9, root: "host" });
    host.add(Fake { pid: 41, inside: 41, start: 4, cgroup: "/system.slice/b.service", mount: HOST, root: "a" });

    assert_eq!(shown(&host.census()), []);
}

#[test]
fn the_process_that_watches_a_container_is_not_in_it() {
    let host = Host::new();
    let conmon = format!("/machine.slice/libpod-conmon-{A}.scope");
    host.add(Fake { pid: 40, inside: 40, start: 4, cgroup: &conmon, mount: HOST, root: "host" });

    assert_eq!(shown(&host.census()), []);
}

#[test]
fn what_engines_know_is_found_by_id_or_by_first_process() {
    let host = Host::new();
    host.add(Fake { pid: 50, inside: 1, start: 5, cgroup: &format!("/docker/{A}"), mount: 7, root: "a" });
    host.add(Fake { pid: 60, inside: 1, start: 6, cgroup: "/init.scope", mount: 8, root: "b" });
    let docker = Metadata { name: Some("web".into()), ..Metadata::new(Engine::Docker, A) };
    let podman = Metadata { name: Some("db".into()), pid: Some(60), ..Metadata::new(Engine::Podman, B) };
    let other = Metadata { pid: Some(61), ..Metadata::new(Engine::Crun, "mnt:8") };

    let mut census = host.census();
    describe(&mut census.containers, &[other, docker, podman]);

    assert_eq!(shown(&census), [(Engine::Docker, A, 50, vec![50]), (Engine::Podman, B, 60, vec![60])]);
    let names: Vec<_> =
        census.containers.iter().map(|one| one.metadata.as_ref().and_then(|it| it.name.as_deref())).collect();
    assert_eq!(names, [Some("web"), Some("db")]);
}

#[test]
fn this_host_can_be_looked_at() {
    let proc = Proc::default();
    let layout = Layout::detect(&proc).expect("cgroups are mounted where the tests run");

    let mut census = running(&proc, &layout).expect("/proc can be read");
    let listing = Resolver::new(Sockets::none()).list().expect("nobody is asked");
    describe(&mut census.containers, &listing.containers);

    assert!(census.containers.iter().all(|container| !container.processes.is_empty() && !container.id.is_empty()));
}
