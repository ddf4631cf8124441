//! The time line: alerts among what the container did.

use event::Phase;
use report::Timestamp;

use crate::{Alert, Incident, Recorded};

/// Something on the time line.
pub(super) enum Entry<'i> {
    Alert(&'i Alert),
    Event(&'i Recorded),
}

impl Entry<'_> {
    pub(super) fn time(&self) -> Timestamp {
        match self {
            Entry::Alert(alert) => alert.time,
            Entry::Event(event) => event.time,
        }
    }
}

/// Everything in the order of time; an alert stands behind the event that it is about.
pub(super) fn entries(incident: &Incident) -> Vec<Entry<'_>> {
    let events = incident.events.iter().map(Entry::Event);
    let mut entries: Vec<Entry<'_>> = events.chain(incident.alerts.iter().map(Entry::Alert)).collect();
    entries.sort_by_key(Entry::time);
    entries
}

/// What kind of event it is, in a short word.
pub(super) fn kind(event: &Recorded) -> String {
    let kind = event.kind.shown();
    kind.strip_prefix("container_").unwrap_or(&kind).to_owned()
}

/// Whether an event tells little by itself: how containers are set up and programs are loaded, what is counted once for each kind.
pub(super) fn is_minor(event: &Recorded) -> bool {
    // The runtime sets the container up: that is not the container's doing.
    if event.phase == Phase::RuntimeInit {
        return true;
    }
    match event.kind.shown().as_ref() {
        "file" => {
            let file = &event.event["file"];
            let path = file["path"].as_str().unwrap_or_default();
            let accesses = file["accesses"].as_array().map(Vec::as_slice).unwrap_or_default();
            let changes = ["opened-to-write", "created", "truncated", "written", "mode-changed", "owner-changed"];
            let is_change = accesses.iter().any(|access| changes.iter().any(|change| access == change));
            !is_change && behaviour::secret(path.as_bytes()).is_none()
        }
        "name" => event.event["name"]["errno"].is_string() || event.event["name"]["operation"] == "run-script",
        "exit" => event.event["exit"]["last_thread"] == false,
        "fork" | "mount" | "directory" | "capability" | "confinement" | "socket" | "peer" | "terminal" | "image" => {
            true
        }
        _ => false,
    }
}
