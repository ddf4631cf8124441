//! Cases in which it is easy to be wrong, each a test.

mod cgroups;
mod containers;
mod engines;
mod ringfence_itself;
mod sessions;
mod tasks;
