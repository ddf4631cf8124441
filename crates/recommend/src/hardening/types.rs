//! The settings.

use event::{FileType, Phase, Protocol, Text};
use report::PublishedPort;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Advice, Evidence};

/// What else the workload can do without.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Hardening {
    /// Start it so that no program gains rights (`no-new-privileges`).
    pub no_new_privileges: Advice,
    /// Start it without `--privileged`.
    pub unprivileged: Advice,
    /// Its root file system can be read-only, with these directories left writable.
    pub read_only_root: ReadOnlyRoot,
    /// It can run as somebody else than root.
    pub user: UserAdvice,
    /// How many processes and threads it may have.
    pub pids: LimitAdvice,
    /// How much memory it may have, in bytes.
    pub memory: LimitAdvice,
    /// How much CPU time it may have, in thousandths of one CPU.
    pub cpu: LimitAdvice,
    /// Limits of its processes (`ulimit`), by name.
    pub ulimits: Vec<UlimitAdvice>,
    /// The devices.
    pub devices: DeviceAdvice,
    /// The paths of `/proc` and `/sys` that engines hide or make read-only.
    pub system_paths: SystemPaths,
    /// The namespaces that it shares with the host, by name. The verdict is about giving it its own.
    pub host_namespaces: Vec<NamespaceAdvice>,
    /// What is mounted into it besides what every container has, by destination.
    pub mounts: Vec<MountAdvice>,
    /// The ports that are published, in order. The verdict is about publishing them no more.
    pub ports: Vec<PortAdvice>,
    /// The sockets of engines that it can reach: each is root on the host.
    pub engine_sockets: Vec<EngineSocket>,
    /// Whom it talks to and who talks to it.
    pub network: NetworkNeeds,
}

/// Whether the root file system can be read-only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ReadOnlyRoot {
    /// About making it read-only, with all of `writable` made writable.
    pub advice: Advice,
    /// The directories that must stay writable, by path. None of them lies below another or below a mount that is there.
    pub writable: Vec<WritableDirectory>,
}

/// A directory of the root file system that is written to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WritableDirectory {
    /// Its path.
    pub path: Text,
    /// What to mount there.
    pub medium: Medium,
    /// Why this, in sentences.
    pub reasons: Vec<Text>,
    /// What would fail if that were wrong, in a sentence.
    pub breaks: Text,
    /// The ids that write there, as the first user namespace numbers them, root first. A tmpfs must belong to the first that is
    /// not root, or be open to all.
    pub writers: Vec<UserIds>,
    /// The mode for a tmpfs, in octal digits: `1777` if several write there.
    pub mode: Text,
    /// Bytes written below it in the run that wrote most; 0 also if that is not known.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub written_bytes: u64,
    /// Whether programs were run, or libraries loaded, from below it. Of scripts that is not recorded, so if not it must not be mounted
    /// `noexec` either.
    pub executed: bool,
    /// Whether files of the image below it were used, which a tmpfs hides.
    pub image_files_used: bool,
    /// What was written, the first few by path.
    pub evidence: Vec<Evidence>,
    /// How many more there are.
    pub more: u32,
}

/// What to mount at a directory that must stay writable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Medium {
    /// Memory: empty at each start.
    Tmpfs,
    /// A volume without a name: it gets what the image has there, and keeps what is written as long as the container is there.
    Volume,
}

impl Medium {
    /// The name, as in recommendations.
    pub fn name(self) -> &'static str {
        match self {
            Medium::Tmpfs => "tmpfs",
            Medium::Volume => "volume",
        }
    }
}

/// Whether the workload can run as somebody else than root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UserAdvice {
    /// About starting it as `user`.
    pub advice: Advice,
    /// Whom to start it as, if the verdict is to apply. With another verdict whom it goes on as, and so could be tried as; none if
    /// there is nobody.
    pub user: Option<UserIds>,
    /// The ids that its programs ran with, as the first user namespace numbers them.
    pub seen: Vec<UserIds>,
}

/// A user and a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct UserIds {
    /// The user's id.
    pub uid: u32,
    /// The group's id.
    pub gid: u32,
}

/// A limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LimitAdvice {
    /// About setting it to `recommended`.
    pub advice: Advice,
    /// The limit that there is now; none if there is none, or if it is not known.
    #[serde(skip_serializing_if = "Option::is_none", with = "event::optional_decimal")]
    #[schemars(with = "Option<event::decimal::Digits>")]
    pub now: Option<u64>,
    /// The most that was seen in one run.
    #[serde(skip_serializing_if = "Option::is_none", with = "event::optional_decimal")]
    #[schemars(with = "Option<event::decimal::Digits>")]
    pub peak: Option<u64>,
    /// The limit to set: the most that was seen, and the margin; none if nothing is recommended.
    #[serde(skip_serializing_if = "Option::is_none", with = "event::optional_decimal")]
    #[schemars(with = "Option<event::decimal::Digits>")]
    pub recommended: Option<u64>,
    /// The margin, in words.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub margin: Text,
}

/// A limit of each process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UlimitAdvice {
    /// Its name, as `docker run --ulimit` takes it: `core`, `nofile`.
    pub name: Text,
    /// About setting it to `recommended`.
    pub advice: Advice,
    /// What to set both the soft and the hard limit to; none if nothing is recommended.
    #[serde(skip_serializing_if = "Option::is_none", with = "event::optional_decimal")]
    #[schemars(with = "Option<event::decimal::Digits>")]
    pub recommended: Option<u64>,
}

/// The devices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DeviceAdvice {
    /// About giving it `needed` and no other.
    pub advice: Advice,
    /// Those that were used and that a container does not have by itself, by path.
    pub needed: Vec<DeviceNeed>,
    /// Those that every container has, and that were used, by path.
    pub usual: Vec<DeviceNeed>,
    /// Those that its engine was told to give it and that were not used, by path.
    pub unused: Vec<UnusedDevice>,
}

/// A device that was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceNeed {
    /// Its path in the container.
    pub path: Text,
    /// Its path on the host, if its engine said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_path: Option<Text>,
    /// A character or a block device.
    pub file_type: FileType,
    /// Whether it was opened to be read.
    pub read: bool,
    /// Whether it was opened to be written.
    pub write: bool,
    /// Whether its node was made by the workload (mknod).
    pub make: bool,
    /// How it was used.
    pub evidence: Vec<Evidence>,
}

/// A device that was given and not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnusedDevice {
    /// Its path in the container.
    pub path: Text,
    /// Its path on the host.
    pub host_path: Text,
}

/// The paths of `/proc` and `/sys` that engines hide or make read-only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SystemPaths {
    /// About leaving them as engines have them by default.
    pub advice: Advice,
    /// Those that were used in a way that this default forbids, by path.
    pub needed: Vec<SystemPath>,
}

/// Such a path that was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SystemPath {
    /// The path of the engine's list that it lies at or below.
    pub path: Text,
    /// What the engine does with it by default.
    pub kind: SystemPathKind,
    /// How it was used.
    pub evidence: Vec<Evidence>,
}

/// What engines do with a path of `/proc` or `/sys`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SystemPathKind {
    /// They hide it.
    Masked,
    /// It cannot be written.
    ReadOnly,
}

/// A namespace that is shared with the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamespaceAdvice {
    /// Which: `cgroup`, `ipc`, `mount`, `net`, `pid` or `uts`; or `unknown`.
    pub namespace: Text,
    /// About giving it its own.
    pub advice: Advice,
}

/// Something that is mounted into the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MountAdvice {
    /// Where, in the container.
    pub destination: Text,
    /// What: a path of the host, or the name of a volume; none if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Text>,
    /// `bind`, `volume` or `tmpfs`.
    pub kind: Text,
    /// Whether it is read-only now.
    pub read_only: bool,
    /// What was done there.
    pub access: Access,
    /// What to do with it.
    pub action: MountAction,
    /// About doing that.
    pub advice: Advice,
}

/// What was done with files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Nothing.
    #[default]
    None,
    /// They were looked at, read or run.
    Read,
    /// They were written, made, removed or changed.
    Write,
}

/// What to do with a mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MountAction {
    /// Leave it as it is.
    #[default]
    Keep,
    /// Mount it read-only.
    ReadOnly,
    /// Mount it no more: in recommendations of early versions. Looking at files is not recorded, so that nothing shows that nobody does.
    Drop,
}

/// A port that is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PortAdvice {
    /// The port.
    pub port: PublishedPort,
    /// Whether the workload listened on it.
    pub listened: bool,
    /// How many connections to it were accepted; of UDP, how many peers sent to it.
    #[serde(with = "event::decimal")]
    #[schemars(with = "event::decimal::Digits")]
    pub connections: u64,
    /// About publishing it no more.
    pub advice: Advice,
}

/// The socket of a container engine, within reach of the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EngineSocket {
    /// Its path in the container.
    pub path: Text,
    /// Whose it is: `docker`, `containerd`, `cri-o`, `podman`.
    pub engine: Text,
    /// Whether it was connected to.
    pub connected: bool,
    /// What that means, in a sentence.
    pub meaning: Text,
    /// About taking it away.
    pub advice: Advice,
}

/// Whom the workload talks to, and who talks to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NetworkNeeds {
    /// About allowing `ingress` and `egress` and nothing else.
    pub advice: Advice,
    /// What comes in, by protocol and port.
    pub ingress: Vec<IngressNeed>,
    /// What goes out, by protocol and port.
    pub egress: Vec<EgressNeed>,
}

/// A port that the workload is reached on over IP, from elsewhere than itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IngressNeed {
    /// The protocol.
    pub protocol: Protocol,
    /// The container's port.
    pub port: u32,
    /// Whether it listened there; if not, only who came is known.
    pub listened: bool,
    /// Who came, as far as is known; empty if nobody came.
    pub peers: Vec<Peer>,
    /// In what.
    pub evidence: Vec<Evidence>,
}

/// Something that the workload connects or sends to over IP, elsewhere than itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EgressNeed {
    /// The protocol.
    pub protocol: Protocol,
    /// The peer's port; 0 if the protocol has none.
    pub port: u32,
    /// The peers.
    pub peers: Vec<Peer>,
    /// Whether it is asked for names (DNS).
    pub dns: bool,
    /// In what.
    pub evidence: Vec<Evidence>,
}

/// The other end of connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Peer {
    /// Its IP address; `*` stands for peers that are not listed one by one.
    pub address: Text,
    /// The names that it was looked up or asked for by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<Text>,
    /// The names of the containers that the kernel saw there, or their ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<Text>,
    /// In which phases.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<Phase>,
}
