//! The boundary to the kernel: loads the BPF programs, reads what they wrote, and gives out [`event::Event`]s.
//!
//! The only crate that links libbpf and the only one with `unsafe`. A sensor is one folder here, `src/<name>/`, with
//! its `<name>.bpf.c`, its decoder and its tests, and one word in the list below; all of them are one BPF object, so
//! that each hook is shared and each loss is counted in one place.
//!
//! Guards deny what sensors see: an object of their own, `src/guard_<name>/`, which goes on without this program
//! ([`guard`]).
//!
//! Nothing here decides what a container is called or what becomes of an event.

mod attach;
mod configure;
mod counts;
pub mod exec_opens;
pub mod guard;
mod kernel;
mod kernel_types;
mod libbpf_log;
mod load;
mod mapped;
mod objects;
mod perf;
mod preemption;
pub mod probe;
mod record;
mod ring;
mod sets;
mod slots;
mod tasks;
#[cfg(test)]
mod testing;
mod texts;
mod unneeded;

pub use counts::ReadError;
pub use kernel::{Adopted, Kernel, MapError, ProgramCost};
pub use load::{ActionCall, ActionCalls, CallFilter, Hierarchy, LoadError, Options, ProgramState, State};
pub use record::DecodeError;
pub use ring::{Batch, Ring};
pub use slots::{Slot, SlotLosses, Watch};

use event::{Payload, Total};

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
    /// The program, before it in the list, whose work it does where that one cannot.
    pub(crate) instead_of: Option<&'static str>,
    /// The program, before it in the list, without which it is of no use.
    pub(crate) only_with: Option<&'static str>,
    /// The hook without which this kernel has nothing that it could see.
    pub(crate) only_where: Option<&'static str>,
}

impl Program {
    pub(crate) const fn on(hook: &'static str, name: &'static str) -> Program {
        Program { name, hook, last: false, only_traced: false, instead_of: None, only_with: None, only_where: None }
    }
}

/// A set that a sensor keeps in a map of the kernel, and the program that walks over it.
///
/// The walk writes one record for each entry, which begins as a sample does: a header, the key, and then whatever else is
/// known.
#[derive(Clone, Copy)]
pub(crate) struct Set {
    /// The name of the map.
    pub(crate) map: &'static str,
    /// The name of the program, on `iter/bpf_map_elem`.
    pub(crate) walk: &'static str,
    /// The length of each of its records.
    pub(crate) record_bytes: usize,
    /// Turns one of its records into what it says.
    pub(crate) decode: fn(record: &[u8]) -> Result<Total, DecodeError>,
}

/// A system call whose return a sensor handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call<'name> {
    /// Its name.
    pub(crate) name: &'name str,
    /// What the sensor calls it by; not 0.
    pub(crate) number: u8,
    /// Whether it is handled when it fails, too.
    pub(crate) also_failed: bool,
}

/// A system call whose beginning a sensor handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its name.
    pub(crate) name: &'static str,
    /// What the sensor calls it by, at both ends if it handles both; not 0.
    pub(crate) number: u8,
}

/// What the registry knows of a sensor.
#[derive(Clone, Copy)]
pub(crate) struct Sensor {
    /// The name of its folder.
    pub(crate) name: &'static str,
    /// Its programs, in the order in which they are attached.
    pub(crate) programs: &'static [Program],
    /// What it keeps in the kernel.
    pub(crate) sets: &'static [Set],
    /// The system calls whose return it handles.
    pub(crate) calls: &'static [Call<'static>],
    /// The system calls whose beginning it handles.
    pub(crate) entries: &'static [Entry],
    /// Those whose return it handles only with some options.
    pub(crate) calls_asked: fn(&Options) -> Vec<Call<'_>>,
    /// Whether it observes with these options: else none of its programs is loaded.
    pub(crate) is_asked: fn(&Options) -> bool,
    /// Turns one of its samples into what was done.
    pub(crate) decode: fn(kind: u8, record: &[u8]) -> Result<Payload, DecodeError>,
}

impl Sensor {
    pub(crate) const fn new(
        programs: &'static [Program],
        decode: fn(kind: u8, record: &[u8]) -> Result<Payload, DecodeError>,
    ) -> Sensor {
        Sensor {
            name: "",
            programs,
            sets: &[],
            calls: &[],
            entries: &[],
            calls_asked: |_| Vec::new(),
            is_asked: |_| true,
            decode,
        }
    }
}

macro_rules! sensors {
    ($($name:ident),* $(,)?) => {
        $(mod $name;)*

        /// Every sensor, by the number that the kernel side writes into its samples.
        pub(crate) const SENSORS: &[Sensor] = &[$(Sensor { name: stringify!($name), ..$name::SENSOR }),*];
    };
}

// In alphabetical order, which is that of the numbers. The programs are attached in this order, but those of identity first.
sensors! {
    actions,
    arguments,
    capabilities,
    files,
    identity,
    network,
    privileged,
    process,
    resources,
    syscalls,
    terminal,
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

/// One record of a walk over a set as what it says, for every set there is. For fuzzing, as above.
#[doc(hidden)]
pub fn decode_kept(record: &[u8]) -> Vec<Result<event::Kept, DecodeError>> {
    SENSORS.iter().flat_map(|sensor| sensor.sets).map(|set| sets::decode(set, record)).collect()
}

/// A message of DNS over UDP, and those at the beginning of a connection, as questions to or answers of this server. For
/// fuzzing, as above.
#[doc(hidden)]
pub fn parse_dns(bytes: &[u8], server: &event::Text) -> (Option<event::DnsMessage>, Vec<event::DnsMessage>) {
    let message = |it: network::dns::Dns| it.message(event::Direction::Out, server.clone());
    (network::dns::parse(bytes).map(message), network::dns::parse_tcp(bytes).into_iter().map(message).collect())
}

/// The beginning of a TLS connection to this address and port, and whether more of it was sent. For fuzzing, as above.
#[doc(hidden)]
pub fn parse_tls(bytes: &[u8], address: &event::Text, port: u32) -> Option<(event::TlsHello, bool)> {
    let hello = network::tls::server_name(bytes)?;
    let is_cut = hello.is_cut;
    Some((hello.sent_to(address.clone(), port), is_cut))
}

/// The C side: structs, constants and the object itself.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::undocumented_unsafe_blocks, clippy::unwrap_used, dead_code)]
#[allow(non_camel_case_types, non_upper_case_globals, non_snake_case, unused)]
mod bpf {
    include!(concat!(env!("OUT_DIR"), "/ringfence.skel.rs"));
}

/// The C side of the guards.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::undocumented_unsafe_blocks, clippy::unwrap_used, dead_code)]
#[allow(non_camel_case_types, non_upper_case_globals, non_snake_case, unused)]
mod guard_bpf {
    include!(concat!(env!("OUT_DIR"), "/guards.skel.rs"));
}
