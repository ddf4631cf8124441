//! What is kept of an alert: who did it, what it did before and after, and the files that show it.
//!
//! A [`Collector`] gets every event of the containers that are watched ([`Collector::note`]) and every alert
//! ([`Collector::alert`]). The events stay in memory, bounded ([`Rings`]). An alert wakes a thread that reads `/proc`
//! and keeps files, so that the caller never waits for either; if it has too much to do, the alert is told that there is no
//! evidence for it. Alerts of one container that come close after each other are one [`Incident`] ([`Grouping`]), a folder in
//! [`Incidents`].
//!
//! Nothing that a container does can make the thread read anything but the process that was meant and files that this
//! process could reach itself: processes are held by their directory in `/proc` ([`containers::proc::Held`]), and paths are
//! resolved inside the process's root.

mod capture;
mod collector;
mod content_hash;
mod evidence;
mod family;
mod grouping;
mod incident;
mod missing;
mod noted;
mod read;
mod render;
mod rings;
mod store;
#[cfg(test)]
mod testing;
mod worker;

pub use collector::{AlertView, Collector, Evidence, Settings, Skipped, Summary};
pub use content_hash::{ContentHash, ParseContentHashError};
pub use grouping::{GROUP_WITHIN, Grouping, MAX_ALERTS, MAX_SPAN};
pub use incident::{
    Alert, Container, Descriptor, DescriptorKind, Executable, FileKind, INCIDENT_VERSION, Incident, KeptFile, Library,
    Missing, Namespaces, Peer, Process, Recorded, Relation, Relative, Rights, SocketEnds, Source, Told,
};
pub use read::{MAX_BYTES, ParseError};
pub use render::{html, text};
pub use rings::{Bounds, Cost, Rings, Since};
pub use store::{Found, Incidents, IncidentsError, Listing, Quota};
