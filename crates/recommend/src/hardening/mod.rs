//! The rest of the hardening: what else the workload can do without, besides system calls and capabilities.
//!
//! Each part of a [`Hardening`] is one setting with its [`Advice`]. A part of a report that is absent means that nothing
//! is known, never that nothing is needed.

mod advice;
mod types;

pub use advice::{Advice, Evidence, Verdict};
pub use types::{
    Access, DeviceAdvice, DeviceNeed, EgressNeed, EngineSocket, Hardening, IngressNeed, LimitAdvice, Medium,
    MountAction, MountAdvice, NamespaceAdvice, NetworkNeeds, Peer, PortAdvice, ReadOnlyRoot, SystemPath,
    SystemPathKind, SystemPaths, UlimitAdvice, UnusedDevice, UserAdvice, UserIds, WritableDirectory,
};
