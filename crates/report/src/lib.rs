//! The report of one container: what it did, over which window, and how much of it is missing.
//!
//! Pure: nothing here reads a file, a clock or the kernel, and the same report gives the same bytes in every format.
//! Files are written and found by `store`.
//!
//! **Stability.** The format has a version, [`SCHEMA_VERSION`]. Within one version, fields are only added, and a reader
//! skips those that it does not know; a new value in a closed list, a changed unit or a changed meaning raises it.

mod completeness;
mod container;
mod cost;
mod health;
mod host;
mod json;
mod map;
mod merged;
mod read;
mod render;
mod rings;
mod runs;
mod schema;
mod settings;
mod time;
mod untouched;
mod window;

pub use completeness::{Counts, Reason, ReasonCode};
pub use container::{Cgroup, Container, Kind, Metadata, MetadataState, Parent, Pod, PublishedPort};
pub use cost::{Cost, ProgramCost};
pub use health::{AttachState, Loss, SensorHealth, Stage};
pub use host::{Buffers, CgroupLayout, Host, HostNetwork, Software};
pub use json::{json, json_line};
pub use map::{Edge, EdgeKind, Figures, MAP_VERSION, Map, Node, NodeKind, Seen, Translation, ego, map_table, svg};
pub use merged::{MAX_MERGED_BYTES, MERGED_VERSION, MergeError, Merged, MergedFormat, called_apart};
pub use read::{MAX_BYTES, ParseError, Summary, parse_reports};
pub use render::{
    Cell, Column, Fit, Page, PageSection, PageStyle, Style, TableOptions, address_and_port, bytes, code, count,
    counted, csv, cut, duration, escaped, html, html_table, lay_out, markdown, markdown_text, program_line, quoted,
    short_id, signal_name, table, width, wrap,
};
pub use runs::{Mismatch, Runs, Workload, called};
pub use schema::{FormatVersion, schema};
pub use settings::{GivenDevice, GivenMount, GivenUlimit, Settings};
pub use time::Timestamp;
pub use untouched::{Image, ImageFile, ImagePlace, Untellable, Untouched, UntouchedPart};
pub use window::{InitExit, Moment, ObservedFrom, RuntimeInit, Window};

use std::collections::BTreeMap;

use behaviour::Behaviour;
use event::Text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the format that this program writes, and the newest that it reads.
pub const SCHEMA_VERSION: u32 = 1;

/// What one run of one container did while it was observed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The version of this format.
    pub schema_version: FormatVersion<SCHEMA_VERSION>,
    /// The version of the program that wrote the report.
    pub ringfence_version: Text,
    /// Whether everything is here that the container did from its start to the end of the window.
    pub complete: bool,
    /// The same for each part of `behaviour`: a reason that names one sensor concerns that sensor's part alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sections: BTreeMap<Text, bool>,
    /// Why it is not complete; empty if it is.
    pub reasons: Vec<Reason>,
    /// Whether the counts are exact.
    pub counts: Counts,
    /// Who did it.
    pub container: Container,
    /// When it was observed.
    pub window: Window,
    /// Where it was observed.
    pub host: Host,
    /// What was observed but is not here, per place where it was lost and sensor; empty if nothing was lost.
    pub losses: Vec<Loss>,
    /// What observed it.
    pub sensors: Vec<SensorHealth>,
    /// What observing cost.
    pub cost: Cost,
    /// What it did.
    pub behaviour: Behaviour,
    /// What of its image it did not touch; none unless it was looked up later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untouched: Option<Untouched>,
}
