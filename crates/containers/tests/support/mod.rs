//! Starts engines for a test, and stops them when it ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use containers::engine::Sockets;
use containers::path::Engine;

/// Runs a command to its end and gives what it printed, trimmed; it must succeed.
pub(crate) fn output(program: &str, args: &[&str]) -> String {
    finish(Command::new(program).args(args).stdin(Stdio::null()), program, args)
}

fn finish(command: &mut Command, program: &str, args: &[&str]) -> String {
    // A file, not a pipe: containers inherit it and would keep a pipe open.
    let (out, err) = (tempfile::NamedTempFile::new().expect("a file"), tempfile::NamedTempFile::new().expect("a file"));
    command.stdout(out.reopen().expect("a file")).stderr(err.reopen().expect("a file"));
    let status = command.status().unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = |file: &tempfile::NamedTempFile| fs::read_to_string(file.path()).unwrap_or_default().trim().to_owned();
    assert!(status.success(), "{program} {args:?}: {status}\n{}\n{}", text(&out), text(&err));
    text(&out)
}

/// A directory for one test, with a root file system of busybox.
pub(crate) struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Place {
        let directory = tempfile::Builder::new().prefix("rf-").tempdir().expect("a temporary directory");
        let rootfs = directory.path().join("bundle/rootfs");
        for name in ["bin", "proc", "sys", "dev", "etc", "tmp"] {
            fs::create_dir_all(rootfs.join(name)).expect("directories");
        }
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
        fs::copy(busybox.expect("install busybox-static"), rootfs.join("bin/busybox")).expect("a copy");
        for name in ["sh", "sleep"] {
            std::os::unix::fs::symlink("busybox", rootfs.join("bin").join(name)).expect("a link");
        }
        Place { directory }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.path().join("bundle/rootfs")
    }

    /// An OCI bundle that sleeps, without the raised limits that some machines refuse.
    pub(crate) fn bundle(&self) -> PathBuf {
        let bundle = self.path().join("bundle");
        output("runc", &["spec", "--bundle", bundle.to_str().expect("plain text")]);
        let path = bundle.join("config.json");
        let mut spec: serde_json::Value = serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
        spec["process"]["terminal"] = false.into();
        spec["process"]["args"] = serde_json::json!(["sleep", "1000"]);
        spec["process"]["rlimits"] = serde_json::json!([]);
        fs::write(&path, spec.to_string()).expect("a file");
        bundle
    }

    fn archive(&self) -> PathBuf {
        let archive = self.path().join("rootfs.tar");
        let rootfs = self.rootfs();
        output("tar", &["-C", rootfs.to_str().expect("text"), "-cf", archive.to_str().expect("text"), "."]);
        archive
    }
}

/// The pid in the state that a bare runtime prints.
pub(crate) fn state_pid(runtime: &str, root: &str, name: &str) -> u32 {
    let state: serde_json::Value =
        serde_json::from_str(&output(runtime, &["--root", root, "state", name])).expect("JSON");
    state["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).expect("it runs")
}

/// A bare container of runc.
pub(crate) struct Runc {
    pub(crate) root: PathBuf,
    pub(crate) name: String,
    pub(crate) pid: u32,
}

impl Runc {
    pub(crate) fn start(place: &Place) -> Runc {
        let (bundle, root) = (place.bundle(), place.path().join("runc"));
        let name = format!("rf-runc-{}", std::process::id());
        let root_text = root.to_str().expect("plain text");
        output("runc", &["--root", root_text, "run", "-d", "--bundle", bundle.to_str().expect("plain text"), &name]);
        let pid = state_pid("runc", root_text, &name);
        Runc { root, name, pid }
    }
}

impl Drop for Runc {
    fn drop(&mut self) {
        let root = self.root.to_str().unwrap_or_default();
        let _ = Command::new("runc").args(["--root", root, "delete", "-f", &self.name]).status();
    }
}

/// A bare container of crun.
pub(crate) struct Crun {
    pub(crate) root: PathBuf,
    pub(crate) name: String,
    pub(crate) pid: u32,
}

impl Crun {
    pub(crate) fn start(place: &Place, options: &[&str]) -> Crun {
        let (bundle, root) = (place.bundle(), place.path().join("crun"));
        let name = format!("rf-crun-{}-{}", std::process::id(), options.len());
        let root_text = root.to_str().expect("plain text");
        // crun refuses a host that has both versions of cgroups if v2 offers a controller: so it is not shown v2.
        let script = "umount /sys/fs/cgroup/unified 2>/dev/null; exec crun --root \"$@\"";
        let mut args = vec!["-m", "--propagation", "private", "sh", "-c", script, "crun", root_text];
        args.extend(options);
        args.extend(["run", "-d", "--bundle", bundle.to_str().expect("plain text"), &name]);
        output("unshare", &args);
        let pid = state_pid("crun", root_text, &name);
        Crun { root, name, pid }
    }
}

impl Drop for Crun {
    fn drop(&mut self) {
        let root = self.root.to_str().unwrap_or_default();
        let _ = Command::new("crun").args(["--root", root, "delete", "-f", &self.name]).status();
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Docker,
    Podman,
    Containerd,
}

/// A running engine of the test's own.
pub(crate) struct Daemon {
    kind: Kind,
    child: Child,
    place: PathBuf,
    archive: PathBuf,
    socket: PathBuf,
    bridge: Option<String>,
}

impl Daemon {
    pub(crate) fn docker(place: &Place) -> Daemon {
        // Without a bridge of its own it would change that of another daemon.
        let bridge = format!("rf{}", std::process::id());
        output("ip", &["link", "add", &bridge, "type", "bridge"]);
        output("ip", &["address", "add", "172.31.251.1/24", "dev", &bridge]);
        let socket = place.path().join("docker.sock");
        let at = |name: &str| place.path().join(name).display().to_string();
        let mut command = Command::new("dockerd");
        command
            .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
            .args(["--host", &format!("unix://{}", socket.display()), "--storage-driver", "vfs"])
            .args(["--bridge", &bridge, "--iptables=false", "--ip-masq=false"]);
        Daemon::start(Kind::Docker, command, place, socket, Some(bridge))
    }

    pub(crate) fn podman(place: &Place) -> Daemon {
        let socket = place.path().join("podman.sock");
        let mut command = Command::new("podman");
        command.args(podman_options(place.path()));
        command.args(["system", "service", "--time=0", &format!("unix://{}", socket.display())]);
        Daemon::start(Kind::Podman, command, place, socket, None)
    }

    pub(crate) fn containerd(place: &Place) -> Daemon {
        let socket = place.path().join("containerd.sock");
        let at = |name: &str| place.path().join(name).display().to_string();
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\n[grpc]\naddress = {:?}\n[plugins.\"io.containerd.internal.v1.opt\"]\npath = {:?}\n\
             [plugins.\"io.containerd.grpc.v1.cri\"]\nrestrict_oom_score_adj = true\n",
            at("root"),
            at("state"),
            socket.display().to_string(),
            at("opt"),
        );
        fs::write(place.path().join("config.toml"), config).expect("a file");
        let mut command = Command::new("containerd");
        command.args(["--config", &at("config.toml")]);
        Daemon::start(Kind::Containerd, command, place, socket, None)
    }

    fn start(kind: Kind, mut command: Command, place: &Place, socket: PathBuf, bridge: Option<String>) -> Daemon {
        let log = fs::File::create(place.path().join("log")).expect("a file");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program()));
        let mut daemon = Daemon { kind, child, place: place.path().into(), archive: place.archive(), socket, bridge };
        let end = Instant::now() + Duration::from_secs(60);
        while !daemon.answers() {
            let log = || fs::read_to_string(place.path().join("log")).unwrap_or_default();
            assert!(matches!(daemon.child.try_wait(), Ok(None)), "the engine ended:\n{}", log());
            assert!(Instant::now() < end, "the engine does not answer:\n{}", log());
            thread::sleep(Duration::from_millis(100));
        }
        daemon
    }

    /// Whether all of its interfaces answer: containerd offers its own before the Kubernetes one.
    fn answers(&self) -> bool {
        let resolver = containers::engine::Resolver::new(self.sockets());
        resolver.reachable().is_ok_and(|all| !all.is_empty() && all.iter().all(|status| status.answer.is_ok()))
    }

    /// Only where this one is.
    pub(crate) fn sockets(&self) -> Sockets {
        let (socket, place) = (vec![self.socket.clone()], &self.place);
        match self.kind {
            Kind::Docker => {
                let runtimes = vec![(place.join("exec/runtime-runc/moby"), Engine::Docker)];
                Sockets { docker: socket, runtimes, ..Sockets::none() }
            }
            Kind::Podman => Sockets { podman: socket, podman_storage: vec![place.join("storage")], ..Sockets::none() },
            Kind::Containerd => {
                let tasks = vec![place.join("state/io.containerd.runtime.v2.task")];
                Sockets { cri: socket.clone(), containerd: socket, tasks, ..Sockets::none() }
            }
        }
    }

    /// Runs the engine's client.
    pub(crate) fn client(&self, args: &[&str]) -> String {
        let socket = self.socket.display().to_string();
        let (program, options) = match self.kind {
            Kind::Docker => ("docker", vec!["--host".to_owned(), format!("unix://{socket}")]),
            Kind::Podman => ("podman", podman_options(&self.place)),
            Kind::Containerd => ("ctr", vec!["--address".to_owned(), socket]),
        };
        let mut command = Command::new(program);
        finish(command.args(options).args(args).stdin(Stdio::null()), program, args)
    }

    pub(crate) fn import_image(&self, name: &str) {
        self.client(&["import", self.archive.to_str().expect("plain text"), name]);
    }

    fn remove_containers(&self) {
        let lines = |args: &[&str]| self.client(args).lines().map(str::to_owned).collect::<Vec<_>>();
        match self.kind {
            Kind::Docker | Kind::Podman => {
                for id in lines(&["ps", "-aq"]) {
                    self.client(&["rm", "-f", &id]);
                }
            }
            Kind::Containerd => {
                for id in lines(&["task", "ls", "-q"]) {
                    self.client(&["task", "kill", "--signal", "SIGKILL", &id]);
                    thread::sleep(Duration::from_millis(300));
                    self.client(&["task", "delete", "--force", &id]);
                }
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !thread::panicking() || self.answers() {
            self.remove_containers();
        }
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
        if let Some(bridge) = &self.bridge {
            let _ = Command::new("ip").args(["link", "delete", bridge]).status();
        }
        // What podman and docker mounted for their containers.
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let place = self.place.display().to_string();
        for point in
            mounts.lines().rev().filter_map(|line| line.split(' ').nth(4)).filter(|point| point.starts_with(&place))
        {
            let _ = Command::new("umount").arg(point).status();
        }
    }
}

fn podman_options(place: &Path) -> Vec<String> {
    let at = |name: &str| place.join(name).display().to_string();
    let plain = ["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"].map(String::from);
    ["--root".to_owned(), at("storage"), "--runroot".to_owned(), at("run"), "--tmpdir".to_owned(), at("tmp")]
        .into_iter()
        .chain(plain)
        .collect()
}
