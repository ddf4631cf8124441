//! What user space can know about containers beside the kernel: names, paths and engines.
//!
//! The kernel says *that* something is a container; this crate says *which*. It reads `/proc` and the cgroup file
//! systems, and asks the container engines through their unix sockets. It loads nothing into the kernel and watches
//! nothing. Every parser is a pure function over bytes, so it can be fuzzed; every reader takes the root of the tree it
//! reads, has a limit for its size, and never trusts what it reads.
//!
//! - [`path`]: which container a cgroup path belongs to, by name alone;
//! - [`proc`]: what `/proc` says of a process;
//! - [`cgroupfs`]: the cgroup hierarchies of this host, their cgroups, and cgroups of our own;
//! - [`engine`]: names, images, labels and security settings, from the engines;
//! - [`list`]: what runs now;
//! - [`image`]: the files of an image, by its layers;
//! - [`accounts`]: what a container calls its users, groups and addresses.

pub mod accounts;
pub mod cgroupfs;
pub mod engine;
pub mod image;
pub mod list;
pub mod path;
pub mod proc;
