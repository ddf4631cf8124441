//! The boundary to the kernel: loads the BPF programs, reads what they wrote, and gives out [`event::Event`]s.
//!
//! The only crate that links libbpf and the only one with `unsafe`. A sensor is one folder here, `src/<name>/`, with
//! its `<name>.bpf.c`, its decoder and its tests, and one word in the list below; all of them are one BPF object, so
//! that each hook is shared and each loss is counted in one place.
//!
//! Nothing here decides what a container is called or what becomes of an event.

mod counts;
mod kernel;
mod load;
mod mapped;
mod perf;
mod preemption;
pub mod probe;
mod record;
mod ring;
mod slots;
mod tasks;
#[cfg(test)]
mod testing;

pub use counts::ReadError;
pub use kernel::{Adopted, Kernel, MapError, ProgramCost};
pub use load::{CallFilter, Hierarchy, LoadError, Options, ProgramState, State};
pub use record::DecodeError;
pub use ring::{Batch, Ring};
pub use slots::{Slot, SlotLosses, Watch};

use event::Payload;

/// One program of a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// The name of its function in C.
    pub(crate) name: &'static str,
    /// What it is attached to.
    pub(crate) hook: &'static str,
    /// Whether it runs after every other sensor on its hook instead of before.
    pub(crate) last: bool,
    /// Whether it is needed only while each system call is an event.
    pub(crate) only_traced: bool,
}

impl Program {
    pub(crate) const fn on(hook: &'static str, name: &'static str) -> Program {
        Program { name, hook, last: false, only_traced: false }
    }
}

/// What the registry knows of a sensor.
pub(crate) struct Sensor {
    /// The name of its folder.
    pub(crate) name: &'static str,
    /// Its programs, in the order in which they are attached.
    pub(crate) programs: &'static [Program],
    /// Turns one of its samples into what was done.
    pub(crate) decode: fn(kind: u8, record: &[u8]) -> Result<Payload, DecodeError>,
}

macro_rules! sensors {
    ($($name:ident),* $(,)?) => {
        $(mod $name;)*

        /// Every sensor, by the number that the kernel side writes into its samples.
        pub(crate) const SENSORS: &[Sensor] = &[$(Sensor {
            name: stringify!($name),
            programs: $name::PROGRAMS,
            decode: $name::decode,
        }),*];
    };
}

// In alphabetical order, which is that of the numbers. The programs are attached in this order.
sensors! {
    identity,
    process,
    syscalls,
}

/// The names of all sensors.
pub fn sensor_names() -> impl Iterator<Item = &'static str> {
    SENSORS.iter().map(|sensor| sensor.name)
}

/// One record of the ring as an event. For fuzzing: whatever the bytes are, it must not panic.
#[doc(hidden)]
pub fn decode_record(record: &[u8]) -> Result<event::Event, DecodeError> {
    ring::decode(record)
}

/// The C side: structs, constants and the object itself.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::undocumented_unsafe_blocks, clippy::unwrap_used, dead_code)]
#[allow(non_camel_case_types, non_upper_case_globals, non_snake_case, unused)]
mod bpf {
    include!(concat!(env!("OUT_DIR"), "/ringfence.skel.rs"));
}
