//! Names, images, labels and security settings of containers, from the engines that made them.
//!
//! A [`Resolver`] is given an id, and asks whoever may know it through unix sockets: Docker and Podman by HTTP,
//! Kubernetes runtimes and containerd by gRPC; and it reads what runtimes leave on disk (the OCI bundle). It only ever
//! asks; nothing here changes an engine's state. Every answer is bounded in size and time, and parsed by a pure
//! function over bytes. What is learnt says from whom ([`Metadata::sources`]).
//!
//! The calls block, each up to the time limit in [`Sockets`]; they must not be made from inside an async runtime.

mod backfill;
mod bundle;
mod containerd;
mod cri;
mod docker;
mod error;
mod file;
mod grpc;
mod host_config;
mod http1;
mod metadata;
mod oci;
mod podman;
mod resolver;
mod runtime;
mod settings;
mod sockets;
mod time;

pub use backfill::{Backfill, State, Want};
pub use error::{QueryError, ResolveError, Tried};
pub use metadata::{Metadata, Pod, PublishedPort, Role, Seccomp, Security, Source};
pub use resolver::{EngineStatus, Listing, Resolver};
pub use runtime::other_kernel;
pub use settings::{GivenDevice, GivenMount, GivenUlimit, Settings};
pub use sockets::Sockets;

/// The parsers of everything that an engine or a file says, for fuzzing: none of them may panic on any bytes.
pub mod parse {
    pub use super::bundle::{parse_crun_status, parse_podman_storage, parse_runc_state};
    pub use super::containerd::parse_container as parse_containerd_container;
    pub use super::cri::{parse_container_status, parse_sandbox_status};
    pub use super::docker::{parse_image, parse_inspect, parse_list, parse_version};
    pub use super::grpc::parse_message;
    pub use super::http1::{Response, parse_response};
    pub use super::oci::{Spec, parse_spec};
    pub use super::podman::{parse_inspect as parse_podman_inspect, parse_list as parse_podman_list};
}
