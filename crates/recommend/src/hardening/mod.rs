//! The rest of the hardening: what else the workload can do without, besides system calls and capabilities.
//!
//! Each part of a [`Hardening`] is one setting with its [`Advice`]. A part of a report that is absent means that nothing
//! is known, never that nothing is needed.

mod advice;
mod devices;
mod limits;
mod mounts;
mod namespaces;
mod network;
pub(crate) mod paths;
mod privileges;
mod read_only;
mod seen;
mod system_paths;
mod types;
mod user;

pub use advice::{Advice, Evidence, Verdict};
pub use types::{
    Access, DeviceAdvice, DeviceNeed, EgressNeed, EngineSocket, Hardening, IngressNeed, LimitAdvice, Medium,
    MountAction, MountAdvice, NamespaceAdvice, NetworkNeeds, Peer, PortAdvice, ReadOnlyRoot, SystemPath,
    SystemPathKind, SystemPaths, UlimitAdvice, UnusedDevice, UserAdvice, UserIds, WritableDirectory,
};

pub(crate) use read_only::{CHANGES, SHARED, joined, topmost};
use seen::Seen;

use crate::Options;
use crate::source::Runs;

/// Derives it from the runs.
pub(crate) fn hardening(runs: &Runs<'_>, options: &Options) -> Hardening {
    let seen = Seen::new(runs, options);
    let devices = devices::devices(&seen);
    let system_paths = system_paths::system_paths(&seen);
    Hardening {
        no_new_privileges: privileges::no_new_privileges(&seen),
        unprivileged: privileges::unprivileged(&seen, &devices, &system_paths),
        read_only_root: read_only::read_only_root(&seen),
        user: user::user(&seen),
        pids: limits::pids(&seen),
        memory: limits::memory(&seen),
        cpu: limits::cpu(&seen),
        ulimits: limits::ulimits(&seen),
        devices,
        system_paths,
        host_namespaces: namespaces::host_namespaces(&seen),
        mounts: mounts::mounts(&seen),
        ports: network::ports(&seen),
        engine_sockets: mounts::engine_sockets(&seen),
        network: network::network(&seen),
    }
}
