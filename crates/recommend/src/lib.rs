//! The least permission that a workload needs, derived from reports of what it did.
//!
//! [`recommend`] takes reports of one workload and gives a [`Recommendation`]: the system calls and capabilities that
//! it needs, each with the evidence. [`Profile`] and [`Target`] are the forms that runtimes, engines and others take.
//! Pure: the same reports and options give the same bytes, in whatever order the reports are. What the answer would be
//! wrong or incomplete for is refused ([`Refusal`]).

mod access_control;
mod amend;
mod at_start;
mod capabilities;
mod capability_table;
mod changes;
mod default_profile;
mod diff;
mod filter;
mod hardening;
mod names;
mod permissions;
mod presence;
mod present;
mod programs;
mod refusal;
mod render;
mod runtime;
mod saturation;
mod score;
mod seccomp;
mod source;
mod table;
mod targets;
mod written;

pub use access_control::{AccessControl, FileNeed, LinkNeed, OperationNeed, SocketNeed};
pub use amend::{Missing, MissingPermission};
pub use at_start::AtStart;
pub use capabilities::{CapabilityAdvice, CapabilityEvidence, CapabilityLeftOut, CapabilityNeed};
pub use changes::{CapabilityRemoved, Changes, FilterNow};
pub use diff::{
    Change, Changed, Compared, DIFF_VERSION, Diff, DiffError, Direction, Subject, SubjectError, diff,
    table as diff_table,
};
pub use filter::{Decision, Filter, MAX_PROFILE_BYTES, ProfileError};
pub use hardening::{
    Access, Advice, DeviceAdvice, DeviceNeed, EgressNeed, EngineSocket, Evidence, Hardening, IngressNeed, LimitAdvice,
    Medium, MountAction, MountAdvice, NamespaceAdvice, NetworkNeeds, Peer, PortAdvice, ReadOnlyRoot, SystemPath,
    SystemPathKind, SystemPaths, UlimitAdvice, UnusedDevice, UserAdvice, UserIds, Verdict, WritableDirectory,
};
pub use presence::{PRESENCE_VERSION, PermissionPresence, Presence, table as presence_table};
pub use programs::{Programs, RunPrograms, Script, programs};
pub use refusal::Refusal;
pub use render::table;
pub use runtime::Runtime;
pub use saturation::{
    CurvePoint, Estimate, NewPermission, RunAdds, SATURATION_VERSION, Saturation, saturation, table as saturation_table,
};
pub use score::{EscapeLine, EscapeState, Score};
pub use seccomp::{
    AllowReason, AllowedCall, AnyArgument, AnyReason, Argument, Condition, LeftOutCall, LeftOutReason, PassedValue,
    Profile, Rule, Seccomp, ValueReason,
};
pub use source::Source;
pub use targets::{Beside, Output, Target, TargetError};
pub use written::{RunWritten, Written, WrittenPlace, written};

use behaviour::CheckMeaning;
use event::{Phase, Text};
use report::{FormatVersion, Report};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use source::Runs;

/// The version of the recommendation's format that this program writes.
pub const RECOMMENDATION_VERSION: u32 = 1;

/// What the reports leave open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The runtime that will start the workload; none for the one that the reports name, and for all that are known if they
    /// name none.
    pub runtime: Option<Runtime>,
    /// Whether it will be started with no_new_privileges; none for as it was recorded.
    pub no_new_privileges: Option<bool>,
    /// Also allow what sessions from outside did (`docker exec`).
    pub exec: bool,
    /// Also allow the calls that another libc or kernel uses in the place of those that were seen.
    pub siblings: bool,
    /// Allow calls whose danger is in an argument only with what was passed.
    pub arguments: bool,
    /// Take reports that miss something.
    pub allow_incomplete: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            runtime: None,
            no_new_privileges: None,
            exec: true,
            siblings: true,
            arguments: true,
            allow_incomplete: false,
        }
    }
}

impl Options {
    /// The phases whose needs are the workload's.
    fn phases(&self) -> &'static [Phase] {
        if self.exec { &[Phase::Main, Phase::Exec] } else { &[Phase::Main] }
    }
}

/// The least permission that a workload needs, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recommendation {
    /// The version of this format.
    pub schema_version: FormatVersion<RECOMMENDATION_VERSION>,
    /// The version of the program that wrote it.
    pub ringfence_version: Text,
    /// The runs that it is derived from.
    pub sources: Vec<Source>,
    /// The containers that were made inside of these: they run under the same filter, and what they did is in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nested: Vec<Source>,
    /// What these do not show, in sentences; not empty only if that was allowed, and then something may be denied that the
    /// workload needs.
    pub incomplete: Vec<Text>,
    /// The runtimes that it is for.
    pub runtimes: Vec<Runtime>,
    /// Whether it is for no_new_privileges.
    pub no_new_privileges: bool,
    /// Whether sessions from outside (`docker exec`) may do what they were seen to do.
    pub exec: bool,
    /// The system calls.
    pub seccomp: Seccomp,
    /// The capabilities.
    pub capabilities: CapabilityAdvice,
    /// The rest of the hardening.
    #[serde(default)]
    pub hardening: Hardening,
    /// What it used of files, sockets and namespaces.
    #[serde(default)]
    pub access_control: AccessControl,
    /// What is taken away from what the workload can do now.
    #[serde(default)]
    pub changes: Changes,
    /// Which known ways out of a container are open now, and which after.
    #[serde(default)]
    pub score: Score,
    /// What whoever takes it should know, in sentences.
    pub notes: Vec<Text>,
}

impl Recommendation {
    /// As JSON for people and programs, safe for a terminal.
    pub fn to_json(&self) -> String {
        report::json(self)
    }

    /// Reads one. Never panics, whatever the bytes are; one that would let nothing start is refused.
    pub fn parse(bytes: &[u8]) -> Result<Recommendation, ReadError> {
        let read: Recommendation = serde_json::from_slice(bytes).map_err(|error| {
            // It quotes what it does not know.
            ReadError::Json(Text::from(error.to_string().as_str()).shown().into_owned())
        })?;
        let names: Vec<&str> = read.seccomp.allowed.iter().map(|call| call.name.as_str()).collect();
        if !names.iter().any(|name| matches!(*name, "execve" | "execveat")) {
            return Err(ReadError::NoExec);
        }
        if read.seccomp.architectures.is_empty() {
            return Err(ReadError::NoArchitecture);
        }
        let all = event::SyscallNames::builtin();
        let knows = |name: &str| read.seccomp.architectures.iter().any(|&arch| all.number(arch, name).is_some());
        if let Some(unknown) = names.iter().find(|name| !knows(name)) {
            return Err(ReadError::Unknown(Text::from(*unknown)));
        }
        if !names.is_sorted_by(|one, next| one < next) {
            return Err(ReadError::Order);
        }
        Ok(read)
    }

    /// The JSON Schema (draft 2020-12) of the format, as it is checked in under `docs/schema`.
    pub fn schema() -> String {
        let mut schema = schemars::schema_for!(Recommendation);
        schema.insert("title".into(), format!("ringfence recommendation, version {RECOMMENDATION_VERSION}").into());
        report::json(&schema)
    }
}

/// Why something is no recommendation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It is not JSON, or not of this format.
    #[error("{0}: write it with `ringfence recommend --format json`")]
    Json(String),
    /// Nothing could be started under it.
    #[error("it does not allow execve: nothing could be started under it")]
    NoExec,
    /// It says of no table of system calls that it is used.
    #[error("it has no architecture: nothing would be allowed")]
    NoArchitecture,
    /// A call that no table of its architectures has.
    #[error("it allows the system call {}, which its architectures do not have", .0.shown())]
    Unknown(Text),
    /// Calls are listed twice, or in another order than they are written in.
    #[error("its calls are not in order, each once: it was not written by `ringfence recommend`, or changed by hand")]
    Order,
}

/// Derives the recommendation from reports of one workload: one run or several.
///
/// Of several reports of the same run the longest counts. Reports of containers that were made inside of the workload's are added
/// to it, all their phases.
pub fn recommend(reports: &[Report], options: &Options, version: &str) -> Result<Recommendation, Refusal> {
    let runs = Runs::of(reports);
    let incomplete = refusal::check(&runs, options)?;
    let runtimes = match options.runtime {
        Some(runtime) => vec![runtime],
        None => runtime::of(&runs.own),
    };
    let no_new_privileges = options.no_new_privileges.unwrap_or_else(|| source::had_no_new_privileges(&runs.own));
    let seccomp = seccomp::seccomp(&runs, options, &runtimes, no_new_privileges)?;
    let capabilities = capabilities::advice(&runs, options);
    let hardening = hardening::hardening(&runs, options);
    let present = present::Present::of(&runs);
    let changes = changes::changes(&runs, &present, &seccomp, &capabilities);
    let score = score::score(&runs, &present, &seccomp, &capabilities, &hardening, no_new_privileges);
    let mut notes = notes(&runs.own, options, no_new_privileges, &seccomp);
    notes.extend(score.note());
    Ok(Recommendation {
        schema_version: FormatVersion,
        ringfence_version: version.into(),
        sources: runs.own.iter().map(|run| Source::of(run)).collect(),
        nested: runs.nested.iter().map(|run| Source::of(run)).collect(),
        incomplete,
        notes,
        runtimes,
        no_new_privileges,
        exec: options.exec,
        seccomp,
        capabilities,
        hardening,
        access_control: access_control::access_control(&runs, options),
        changes,
        score,
    })
}

/// What the lists do not say by themselves.
fn notes(runs: &[&Report], options: &Options, no_new_privileges: bool, seccomp: &Seccomp) -> Vec<Text> {
    let mut notes = Vec::new();
    let of_phases = |phase: &Phase| options.phases().contains(phase);
    if seccomp.allows("io_uring_enter") {
        notes.push(
            "io_uring is allowed because a ring was entered: what is asked for through a ring passes the seccomp filter unseen"
                .to_owned(),
        );
    }
    if seccomp.left_out.iter().any(|call| matches!(call.reason, LeftOutReason::TakenOver { made: true, .. })) {
        notes.push(
            "clone3 is answered with ENOSYS, so that clone is used, whose flags the filter sees: a program fails that makes clone3 by itself and has no other way"
                .to_owned(),
        );
    }
    if no_new_privileges && !source::had_no_new_privileges(runs) {
        let operations = runs.iter().flat_map(|run| &run.behaviour.privileged.operations);
        let gained = |one: &&behaviour::OperationUse| {
            of_phases(&one.phase) && one.operation == event::PrivilegedOperation::ExecElevated
        };
        notes.extend(operations.filter(gained).map(|one| {
            let program = if one.object.is_empty() { &one.first.executable } else { &one.object };
            format!("{} gained rights when it was run: no_new_privileges takes them from it", program.shown())
        }));
    }
    if !options.exec && runs.iter().any(|run| run.behaviour.syscalls.uses.iter().any(|used| used.phase == Phase::Exec))
    {
        notes.push("sessions from outside (docker exec) were recorded and are left out: they may fail".to_owned());
    }
    let denied = |run: &&&Report| {
        let checks = &run.behaviour.capabilities.uses;
        checks.iter().any(|used| of_phases(&used.phase) && used.meaning() == CheckMeaning::Denied)
    };
    if runs.iter().any(|run| denied(&run)) {
        notes.push(
            "capabilities were asked for that the workload did not have; what it would have done with them is not known"
                .to_owned(),
        );
    }
    notes.sort();
    notes.dedup();
    notes.into_iter().map(|note| Text::from(note.as_str())).collect()
}
