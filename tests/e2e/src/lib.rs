//! End-to-end tests: the built `ringfence`, real containers, and oracles that know the truth by other means.
//!
//! This crate links nothing of ringfence: it runs the program that `RINGFENCE_BIN` names (else the one in `target/`),
//! and reads its reports as plain JSON. What it compares them with are `strace` ([`strace`]) and programs that make
//! exactly N of a call ([`programs`]).
//!
//! Tests that need root are ignored by default: `cargo test -p e2e -- --ignored`. Each can run alone; those that run
//! containers take the machine for themselves one at a time ([`machine`]). What a machine does not have is printed as
//! `skipped: <why>`.

pub mod against_strace;
pub mod blocking;
pub mod bundle;
pub mod cgroups;
pub mod collecting;
pub mod command;
pub mod compare;
pub mod consumers;
pub mod engines;
pub mod flows;
pub mod gate;
pub mod host_bpf;
pub mod machine;
pub mod netns;
pub mod overlay;
pub mod programs;
pub mod proven;
pub mod recommended;
pub mod recorder;
pub mod reports;
pub mod rootfs;
pub mod runtime;
pub mod sealed;
pub mod strace;
pub mod strace_log;
pub mod text;
pub mod watching;
pub mod workloads;
