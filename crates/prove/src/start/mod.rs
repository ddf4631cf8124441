//! Starting a workload as its users do: by the command line of an engine, or of a runtime.

mod bundle;
mod engine;
mod wait;

use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use event::Text;
use recommend::Recommendation;

pub use bundle::BundleStarter;
pub use engine::{Client, EngineCommand, EngineStarter};

use crate::proof::Workload;

/// Where the probe is mounted: a place that every container has, and that is none of the image.
const PROBE_INSIDE: &str = "/dev/ringfence-probe";
/// How long a command of an engine or runtime may take.
const STEP: Duration = Duration::from_secs(120);
/// How long an engine may take to make a container: it may have to fetch the image.
const CREATE: Duration = Duration::from_secs(1800);
/// What is kept of what a workload says.
const SAYS_BYTES: usize = 2000;

/// How a workload is started.
#[derive(Clone, Debug)]
pub enum Starter {
    /// By an engine, from an image.
    Engine(EngineStarter),
    /// By a runtime, from a bundle.
    Bundle(BundleStarter),
}

/// One start.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// What the container is called: no other has this name.
    pub name: &'a str,
    /// What it runs under, and the file that holds its seccomp profile; none for what the engine gives everybody.
    pub under: Option<(&'a Recommendation, &'a Path)>,
    /// What it runs.
    pub entry: Entry<'a>,
}

/// What a container runs.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// The workload.
    Workload,
    /// This program of ours in its place.
    Probe(&'a Path),
}

/// How long to wait, and for what.
#[derive(Clone, Debug)]
pub struct Patience {
    /// A shell command on the host that tells whether the workload works. It is tried until it succeeds; then the container is
    /// stopped.
    pub check: Option<String>,
    /// The status with which one that ends by itself ends if it works. A check decides without it.
    pub status: i32,
    /// How long the check is tried.
    pub ready: Duration,
    /// Without a check: after this time the container is stopped, if it has not ended.
    pub run: Duration,
    /// How long a container may take to stop before it is killed.
    pub stop: Duration,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It could not be started.
    NotStarted,
    /// By itself, with this status.
    Ended(i32),
    /// With this status, when it was stopped.
    Stopped(i32),
}

/// What came of one start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The id that reports have for it; the name if there is none.
    pub id: String,
    /// Its first process, if that is known, and when that was made: between these, in nanoseconds since boot.
    pub first: Option<FirstProcess>,
    /// How it ended.
    pub exit: Exit,
    /// What the check came to, if there is one: why it failed.
    pub check: Option<Result<(), String>>,
    /// The end of what it said, or why it could not be started.
    pub says: String,
}

/// What tells a container whose engine has no id for it in the kernel's sight: crun makes no cgroup on hosts with both versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstProcess {
    /// Its pid on the host.
    pub pid: u32,
    /// It was made after this, in nanoseconds since boot.
    pub after_ns: u64,
    /// And before this.
    pub before_ns: u64,
}

/// Nanoseconds since boot.
fn boot_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Why nothing could be started at all.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The engine's or runtime's program.
    #[error("cannot run {program}: is it installed, and in PATH?")]
    Program {
        /// What was to be run.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// The bundle.
    #[error("cannot use the bundle {path}")]
    Bundle {
        /// Its folder.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// A path or a word that is no text.
    #[error("{0} is not UTF-8, which the engine takes only")]
    NotText(String),
    /// What is recommended has no form that the engine takes.
    #[error("what is recommended cannot be given to the engine")]
    Target(#[from] recommend::TargetError),
    /// Somebody ended us.
    #[error("it was stopped before it was done")]
    Stopped,
}

impl Starter {
    /// Starts it once, waits for what is waited for, and leaves nothing of it behind.
    pub fn run(&self, order: &Order<'_>, patience: &Patience, stop: &AtomicBool) -> Result<Outcome, StartError> {
        match self {
            Starter::Engine(engine) => engine.run(order, patience, stop),
            Starter::Bundle(bundle) => bundle.run(order, patience, stop),
        }
    }
}

/// The image's id now; none of a bundle, and of an image that is not there yet.
pub(crate) fn image_id(starter: &Starter) -> Option<Text> {
    match starter {
        Starter::Engine(engine) => engine.image_id(),
        Starter::Bundle(_) => None,
    }
}

/// What is started, as far as its engine and runtime say.
pub fn describe_workload(starter: &Starter) -> Workload {
    match starter {
        Starter::Engine(engine) => engine.describe(),
        Starter::Bundle(bundle) => bundle.describe(),
    }
}

/// The program that these words name, with the arguments among them.
fn command_of(words: &[String], usual: &str) -> Command {
    let mut words = words.iter();
    let mut command = Command::new(words.next().map_or(usual, String::as_str));
    command.args(words);
    command
}

/// The first line in which a runtime says its version: `runc version 1.1.5`.
fn version_of(program: &mut Command) -> Option<Text> {
    let said = crate::command::finish(program.arg("--version"), STEP).ok()?;
    said.stdout.lines().next()?.split_whitespace().last().map(Text::from)
}

/// The end of a text, from the beginning of a character on.
fn end_of_text(text: &str) -> String {
    let from = text.len().saturating_sub(SAYS_BYTES);
    let from = (from..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
    text[from..].trim_end().to_owned()
}
