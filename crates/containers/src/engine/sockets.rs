//! Where engines listen, and where runtimes keep their state.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::bundle::directories;
use super::file::read_file;
use crate::path::Engine;

/// Where to ask. Each list is in the order of asking: the system's own first, then those of single users, so that no
/// user can answer for a container of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sockets {
    /// Docker's sockets (Podman may be behind them).
    pub docker: Vec<PathBuf>,
    /// Podman's sockets.
    pub podman: Vec<PathBuf>,
    /// Sockets of the Kubernetes runtime interface.
    pub cri: Vec<PathBuf>,
    /// containerd's sockets.
    pub containerd: Vec<PathBuf>,
    /// Directories with one subdirectory per container, in which a runtime keeps its state, and on whose behalf.
    pub runtimes: Vec<(PathBuf, Engine)>,
    /// The same, but with one subdirectory per namespace of containerd in between.
    pub tasks: Vec<PathBuf>,
    /// Podman's storage directories.
    pub podman_storage: Vec<PathBuf>,
    /// How long one question may take.
    pub limit: Duration,
}

impl Sockets {
    /// Nobody to ask.
    pub fn none() -> Sockets {
        Sockets {
            docker: Vec::new(),
            podman: Vec::new(),
            cri: Vec::new(),
            containerd: Vec::new(),
            runtimes: Vec::new(),
            tasks: Vec::new(),
            podman_storage: Vec::new(),
            limit: Duration::from_secs(2),
        }
    }

    /// The usual places below `root` (`/`, but for tests), those of the users who are logged in included.
    pub fn usual(root: &Path) -> Sockets {
        let at = |path: &str| root.join(path);
        let all = |paths: &[&str]| paths.iter().map(|path| at(path)).collect::<Vec<_>>();
        let mut sockets = Sockets {
            docker: all(&["run/docker.sock"]),
            podman: all(&["run/podman/podman.sock"]),
            cri: all(&[
                "run/containerd/containerd.sock",
                "run/crio/crio.sock",
                "run/k3s/containerd/containerd.sock",
                "run/k0s/containerd.sock",
                "run/cri-dockerd.sock",
                "var/snap/microk8s/common/run/containerd.sock",
            ]),
            containerd: all(&[
                "run/containerd/containerd.sock",
                "run/docker/containerd/containerd.sock",
                "run/k3s/containerd/containerd.sock",
                "run/k0s/containerd.sock",
                "var/snap/microk8s/common/run/containerd.sock",
            ]),
            runtimes: vec![
                (at("run/runc"), Engine::Runc),
                (at("run/crun"), Engine::Crun),
                (at("run/youki"), Engine::Youki),
                (at("run/docker/runtime-runc/moby"), Engine::Docker),
                (at("run/docker/runtime-crun/moby"), Engine::Docker),
            ],
            // runc's own state has the pid, so it comes before the bundles.
            tasks: all(&[
                "run/containerd/runc",
                "run/containerd/io.containerd.runtime.v2.task",
                "run/docker/containerd/daemon/io.containerd.runtime.v2.task",
                "run/k3s/containerd/io.containerd.runtime.v2.task",
            ]),
            podman_storage: all(&["var/lib/containers/storage"]),
            ..Sockets::none()
        };
        sockets.add_users(root);
        sockets
    }

    /// Rootless engines keep all below `/run/user/UID` and the user's home.
    fn add_users(&mut self, root: &Path) {
        let homes = homes(root);
        let mut users = directories(&root.join("run/user"));
        users.sort();
        for run in users {
            self.docker.push(run.join("docker.sock"));
            self.podman.push(run.join("podman/podman.sock"));
            self.containerd.push(run.join("containerd/containerd.sock"));
            self.runtimes.push((run.join("crun"), Engine::Crun));
            self.runtimes.push((run.join("runc"), Engine::Runc));
            self.runtimes.push((run.join("docker/runtime-runc/moby"), Engine::Docker));
            let uid = run.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<u32>().ok());
            if let Some((_, home)) = homes.iter().find(|(of, _)| Some(*of) == uid) {
                self.podman_storage.push(home.join(".local/share/containers/storage"));
            }
        }
    }

    /// The directories with one subdirectory per container, those that containerd has made until now included.
    pub(super) fn runtime_roots(&self) -> Vec<(PathBuf, Engine)> {
        let of_namespace = |namespace: PathBuf| {
            let engine = match namespace.file_name().and_then(|name| name.to_str()) {
                Some("moby") => Engine::Docker,
                Some("k8s.io") => Engine::Cri,
                _ => Engine::Containerd,
            };
            (namespace, engine)
        };
        let of_tasks = self.tasks.iter().flat_map(|tasks| directories(tasks)).map(of_namespace);
        self.runtimes.iter().cloned().chain(of_tasks).collect()
    }

    /// Keeps only what is there now; what an engine makes later is not seen.
    pub fn existing(mut self) -> Sockets {
        let is_there = |path: &PathBuf| fs::symlink_metadata(path).is_ok();
        for list in [
            &mut self.docker,
            &mut self.podman,
            &mut self.cri,
            &mut self.containerd,
            &mut self.tasks,
            &mut self.podman_storage,
        ] {
            list.retain(is_there);
        }
        self.runtimes.retain(|(path, _)| is_there(path));
        self
    }
}

/// The home directories in `/etc/passwd`.
fn homes(root: &Path) -> Vec<(u32, PathBuf)> {
    let bytes = read_file(&root.join("etc/passwd")).unwrap_or_default();
    String::from_utf8_lossy(&bytes)
        .lines()
        .filter_map(|line| {
            let fields: Vec<_> = line.split(':').collect();
            let home = Path::new(*fields.get(5)?);
            let below = home.strip_prefix("/").ok().filter(|below| !below.as_os_str().is_empty())?;
            Some((fields.get(2)?.parse().ok()?, root.join(below)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Sockets;
    use crate::path::Engine;

    #[test]
    fn users_come_after_the_system_with_their_homes() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let at = |path: &str| root.path().join(path);
        std::fs::create_dir_all(at("run/user/1000")).expect("directories");
        std::fs::create_dir_all(at("etc")).expect("directories");
        std::fs::write(at("etc/passwd"), "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbad\n")
            .expect("a file");

        let sockets = Sockets::usual(root.path());

        assert_eq!(sockets.docker, [at("run/docker.sock"), at("run/user/1000/docker.sock")]);
        assert_eq!(sockets.podman, [at("run/podman/podman.sock"), at("run/user/1000/podman/podman.sock")]);
        let storages = [at("var/lib/containers/storage"), at("home/ann/.local/share/containers/storage")];
        assert_eq!(sockets.podman_storage, storages);
        assert!(sockets.runtimes.contains(&(at("run/user/1000/crun"), Engine::Crun)));
    }

    #[test]
    fn each_namespace_of_containerd_is_a_place_of_its_engine() {
        let root = tempfile::tempdir().expect("a temporary directory");
        for namespace in ["moby", "k8s.io", "default"] {
            std::fs::create_dir_all(root.path().join("run/containerd/runc").join(namespace)).expect("directories");
        }

        let roots = Sockets::usual(root.path()).runtime_roots();

        let engine = |name: &str| {
            let place = root.path().join("run/containerd/runc").join(name);
            roots.iter().find(|(root, _)| *root == place).map(|(_, engine)| *engine)
        };
        assert_eq!(engine("moby"), Some(Engine::Docker));
        assert_eq!(engine("k8s.io"), Some(Engine::Cri));
        assert_eq!(engine("default"), Some(Engine::Containerd));
    }

    #[test]
    fn what_is_not_there_can_be_left_out() {
        let root = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir_all(root.path().join("run/crun")).expect("directories");

        let sockets = Sockets::usual(root.path()).existing();

        assert_eq!(sockets.runtimes, [(root.path().join("run/crun"), Engine::Crun)]);
        assert!(sockets.docker.is_empty() && sockets.podman_storage.is_empty());
    }
}
