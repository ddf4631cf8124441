//! What must hold for every byte that ringfence reads and did not write.
//!
//! One module per fuzz target, each with a function `check(bytes)` that panics if a law is broken. Here they are plain
//! functions, so that `cargo test` can try them on `seeds/` without a fuzzer; `targets/` hands them to one.

pub mod cgroup_paths;
pub mod conditions;
pub mod dns;
pub mod engine_grpc;
pub mod engine_http;
pub mod engine_json;
pub mod incidents;
pub mod json;
pub mod policies;
pub mod proc_files;
pub mod profiles;
pub mod recommendations;
pub mod reports;
pub mod ring_records;
pub mod rule_files;
pub mod syscall_tables;
pub mod texts;
pub mod tls;

mod laws;
