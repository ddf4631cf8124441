//! OCI bundles: a folder with a root file system and a `config.json` that the test writes itself.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Everything that a container of the tests may need; a test that wants fewer says so.
const CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// A bundle that is being written.
#[derive(Debug)]
pub struct Bundle {
    folder: TempDir,
    config: Value,
}

impl Bundle {
    /// A bundle that runs `args` on this root file system, in namespaces of its own except the network's: what it
    /// listens on is reached through the host's loopback.
    pub fn new<S: AsRef<str>>(root: &Path, args: &[S]) -> Result<Bundle> {
        let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
        let config = json!({
            "ociVersion": "1.0.2",
            "process": {
                "terminal": false,
                "user": {"uid": 0, "gid": 0},
                "args": args,
                "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp"],
                "cwd": "/",
                "capabilities": {
                    "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES,
                },
                "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 4096, "soft": 4096}],
            },
            "root": {"path": root, "readonly": false},
            "hostname": "tested",
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                    "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
                {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
                    "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
                {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"]},
            ],
            "linux": {
                "namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}],
            },
        });
        let folder = tempfile::Builder::new().prefix("ringfence-bundle").tempdir()?;
        Ok(Bundle { folder, config })
    }

    /// The bundle's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file beside the config.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes one file or folder of the host visible in the container.
    pub fn bind(mut self, source: &Path, destination: &str) -> Bundle {
        let mount = json!({"destination": destination, "type": "bind", "source": source, "options": ["rbind", "rw"]});
        self.list(&["mounts"]).push(mount);
        self
    }

    /// Makes one of our programs visible in the container, at this path.
    pub fn with_program(self, name: &str, destination: &str) -> Result<Bundle> {
        let program = crate::programs::program(name)?;
        Ok(self.bind(&program, destination))
    }

    /// Adds a hook (`createRuntime`, `createContainer`, `startContainer`, `poststart`, `poststop`).
    pub fn with_hook(mut self, kind: &str, path: &str, args: &[&str]) -> Bundle {
        self.list(&["hooks", kind]).push(json!({"path": path, "args": args}));
        self
    }

    /// Gives the container a user namespace in which root is this user of the host.
    pub fn with_user_namespace(mut self, host_uid: u32) -> Bundle {
        self.list(&["linux", "namespaces"]).push(json!({"type": "user"}));
        let mapping = json!({"containerID": 0, "hostID": host_uid, "size": 65536});
        self.config["linux"]["uidMappings"] = json!([mapping]);
        self.config["linux"]["gidMappings"] = json!([mapping]);
        self
    }

    /// Chooses the cgroup, from the root of each hierarchy.
    pub fn with_cgroup(mut self, path: &str) -> Bundle {
        self.config["linux"]["cgroupsPath"] = json!(path);
        self
    }

    /// Joins a namespace of a running process instead of making one.
    pub fn join_namespace(mut self, kind: &str, path: &str) -> Bundle {
        let namespaces = self.list(&["linux", "namespaces"]);
        namespaces.retain(|namespace| namespace["type"] != kind);
        namespaces.push(json!({"type": kind, "path": path}));
        self
    }

    /// Any other change.
    pub fn change(mut self, change: impl FnOnce(&mut Value)) -> Bundle {
        change(&mut self.config);
        self
    }

    /// Writes `config.json`.
    pub fn write(&self) -> Result<()> {
        std::fs::write(self.file("config.json"), serde_json::to_vec_pretty(&self.config)?)?;
        Ok(())
    }

    fn list(&mut self, path: &[&str]) -> &mut Vec<Value> {
        let value = path.iter().fold(&mut self.config, |value, name| &mut value[*name]);
        if !value.is_array() {
            *value = json!([]);
        }
        value.as_array_mut().expect("an array since the line before")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wish_is_in_the_config() {
        let bundle = Bundle::new(Path::new("/root-of-it"), &["/bin/true"])
            .expect("a folder")
            .with_hook("createRuntime", "/bin/echo", &["echo", "hook"])
            .with_user_namespace(100_000)
            .with_cgroup("/some/where")
            .join_namespace("pid", "/proc/1/ns/pid");

        bundle.write().expect("a file");
        let text = std::fs::read(bundle.file("config.json")).expect("the file");
        let config: Value = serde_json::from_slice(&text).expect("JSON");

        assert_eq!(config["hooks"]["createRuntime"][0]["args"][1], "hook");
        assert_eq!(config["linux"]["uidMappings"][0]["hostID"], 100_000);
        assert_eq!(config["linux"]["cgroupsPath"], "/some/where");
        let namespaces = config["linux"]["namespaces"].as_array().expect("a list");
        assert_eq!(namespaces.iter().filter(|namespace| namespace["type"] == "pid").count(), 1);
        assert!(namespaces.iter().any(|namespace| namespace["type"] == "user"));
    }
}
