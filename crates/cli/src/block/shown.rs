//! What `block` and `policy` show.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use ::enforce::{
    Contained, Deed, Denial, Details, EnforceError, Enforcer, Follower, Place, Reason, Status, Taint, Told,
    are_contents_held,
};
use event::Text;
use jiff::tz::TimeZone;
use report::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::tainted::{StrictLine, TaintLine};
use super::{Format, counted, short};

/// What policies and containers are called.
#[derive(Default)]
pub(crate) struct Names {
    policies: BTreeMap<u32, String>,
    containers: Vec<(Place, String, Option<String>)>,
    /// Where policies that waited are strict or were, each with its number, the newest first: what a container did is told after
    /// it has ended, too.
    taints: Vec<(u32, Taint)>,
    contained: Option<Contained>,
}

/// So many of them are remembered.
const MOST_TAINTS: usize = 1024;

impl Names {
    /// Of the containers in which policies that waited are strict; others are not asked for.
    pub(crate) fn of_tainted(enforcer: &Enforcer, policies: &[Status]) -> anyhow::Result<Names> {
        let mut names = Names::default();
        if policies.iter().any(|status| !status.taints.is_empty()) {
            let running = enforcer.cgroups(policies)?.into_iter();
            names.containers = running.map(|(cgroup, id, name)| (Place::Cgroup(cgroup), id, name)).collect();
        }
        Ok(names)
    }

    /// Takes in what is told before the next look.
    pub(crate) fn hear(&mut self, told: &Told) {
        if let Told::Tainted(tainted) = told {
            self.remember(tainted.policy, tainted.taint());
        }
    }

    fn remember(&mut self, policy: u32, taint: Taint) {
        self.taints.retain(|(number, known)| (*number, known.cgroup_id) != (policy, taint.cgroup_id));
        self.taints.insert(0, (policy, taint));
        self.taints.truncate(MOST_TAINTS);
    }

    pub(super) fn taint(&self, policy: u32, cgroup_id: u64) -> Option<&Taint> {
        let found = self.taints.iter().find(|(number, taint)| *number == policy && taint.cgroup_id == cgroup_id);
        found.map(|(_, taint)| taint)
    }

    pub(super) fn in_cgroup(&self, cgroup_id: u64) -> Option<(&str, Option<&str>)> {
        let found = self.containers.iter().find(|(place, ..)| *place == Place::Cgroup(cgroup_id));
        found.map(|(_, id, name)| (id.as_str(), name.as_deref()))
    }

    pub(crate) fn renew(&mut self, enforcer: &Enforcer, follower: &Follower) -> anyhow::Result<()> {
        let policies = enforcer.policies()?;
        self.policies = policies
            .iter()
            .map(|status| (status.number, status.policy.name.clone().unwrap_or_else(|| status.policy.what())))
            .collect();
        for status in policies {
            for taint in status.taints {
                self.remember(status.number, taint);
            }
        }
        self.contained = follower.contained();
        self.containers =
            follower.places().map(|(place, id, name)| (place, id.to_owned(), name.map(str::to_owned))).collect();
        Ok(())
    }

    /// Why it was denied: of a content the guards know the file alone.
    pub(super) fn reason(&self, denial: &Denial) -> Reason {
        self.contained.as_ref().map_or(denial.reason, |contained| contained.reason(denial))
    }

    fn container(&self, denial: &Denial) -> Option<(&str, Option<&str>)> {
        let found = self.containers.iter().find(|(place, ..)| match place {
            Place::Cgroup(id) => *id == denial.cgroup_id,
            Place::Namespace(namespace) => *namespace == denial.mount_ns,
        });
        found.map(|(_, id, name)| (id.as_str(), name.as_deref()))
    }

    pub(super) fn policy(&self, number: u32) -> &str {
        self.policies.get(&number).map_or("", String::as_str)
    }
}

/// A denial, as a line of JSON.
#[derive(Serialize, JsonSchema)]
pub(crate) struct DenialLine<'a> {
    schema_version: report::FormatVersion<1>,
    time: Timestamp,
    /// `refused`: the call failed with EPERM. `killed`: before the first instruction of the program. `audited`: it was only
    /// counted. `failed`: it ran, as the kernel sent no signal.
    action: &'static str,
    /// What it was: `exec`, `file`, `connect`, `listen`, `capability`, `mount`, `ptrace` or `module`.
    deed: &'static str,
    /// Of programs `path`, `file`, `hash`, `not_hashed` (its content could not be told), `name`, `called`, `applet`, `loader`, `mapped`, `not_of_image` or `not_listed`; of files `path`,
    /// `file`, or `not_listed` where only what is listed may be written; of connections `address`; of listeners `port`, or `unbound` if the kernel was to choose the port; of others `kind`,
    /// as all of the kind are denied.
    reason: &'static str,
    policy: PolicyLine<'a>,
    container: Option<ContainerLine<'a>>,
    process: ProcessLine<'a>,
    /// Of `exec`: what was to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<ProgramLine<'a>>,
    /// Of `file`: which one.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<FileLine<'a>>,
    /// Of `connect`: the other side.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<PeerLine>,
    /// Of `listen`; 0 if the kernel was to choose.
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// Of `capability`: its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    capability: Option<String>,
    /// Of `mount`: where.
    #[serde(skip_serializing_if = "Option::is_none")]
    mount: Option<MountLine<'a>>,
    /// Of `ptrace`: the process that was to be traced; of one that asked to be traced, who was to trace it.
    #[serde(skip_serializing_if = "Option::is_none")]
    traced: Option<TracedLine>,
    /// Of `module`: what was to be loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<ModuleLine<'a>>,
    /// Of a policy that waited for something: by what it became strict in the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    tainted: Option<TaintLine<'a>>,
}

#[derive(Serialize, JsonSchema)]
struct FileLine<'a> {
    /// As the container sees it.
    path: &'a Text,
    /// Whether the beginning of the path is missing.
    is_path_cut: bool,
    /// What was to be done: `read`, `write`, `read and write`, `make`, `remove`, `move`, `link`, `cut` or `change` (mode or owner).
    act: &'static str,
    /// Both 0 where there is no file yet.
    device: u32,
    #[serde(with = "event::decimal")]
    #[schemars(with = "String")]
    inode: u64,
}

#[derive(Serialize, JsonSchema)]
struct PeerLine {
    /// An IPv4 address that is mapped into IPv6 stands as IPv4.
    address: String,
    port: u16,
}

#[derive(Serialize, JsonSchema)]
struct MountLine<'a> {
    /// The place, as the container sees it.
    path: &'a Text,
    /// Whether the beginning of the path is missing.
    is_path_cut: bool,
    /// The type of the file system, so far as the caller named one.
    kind: &'a Text,
}

#[derive(Serialize, JsonSchema)]
struct TracedLine {
    pid: u32,
}

#[derive(Serialize, JsonSchema)]
struct ModuleLine<'a> {
    /// The file, as the container sees it; empty if it was to be loaded from memory, or by the kernel itself.
    path: &'a Text,
    /// The name that the kernel itself wanted to load.
    name: &'a Text,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct PolicyLine<'a> {
    pub(super) number: u32,
    pub(super) name: &'a str,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct ContainerLine<'a> {
    pub(super) id: &'a str,
    pub(super) name: Option<&'a str>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct ProcessLine<'a> {
    pub(super) pid: u32,
    pub(super) pid_inside: u32,
    pub(super) tid: u32,
    pub(super) uid: u32,
    pub(super) comm: &'a Text,
    pub(super) parent: ParentLine<'a>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct ParentLine<'a> {
    pub(super) pid: u32,
    pub(super) comm: &'a Text,
}

#[derive(Serialize, JsonSchema)]
struct ProgramLine<'a> {
    /// As the container sees it.
    path: &'a Text,
    /// Whether the beginning of the path is missing.
    is_path_cut: bool,
    /// What the caller named it by.
    called: &'a Text,
    device: u32,
    #[serde(with = "event::decimal")]
    #[schemars(with = "String")]
    inode: u64,
}

/// How denials are shown.
pub(crate) struct Shown {
    format: Format,
    zone: TimeZone,
    ahead_ns: u64,
}

impl Shown {
    pub(crate) fn new(format: Format) -> Shown {
        let ahead_ns = now_ns(rustix::time::ClockId::Realtime).saturating_sub(now_ns(rustix::time::ClockId::Boottime));
        Shown { format, zone: TimeZone::system(), ahead_ns }
    }

    pub(crate) fn line(&self, told: &Told, names: &Names) -> String {
        match (self.format, told) {
            (Format::Text, Told::Denial(denial)) => self.text(denial, names),
            (Format::Json, Told::Denial(denial)) => report::json_line(&self.json(denial, names)),
            (Format::Text, Told::Tainted(tainted)) => self.tainted_text(tainted, names),
            (Format::Json, Told::Tainted(tainted)) => report::json_line(&self.tainted_json(tainted, names)),
        }
    }

    pub(super) fn timestamp(&self, boot_ns: u64) -> Timestamp {
        Timestamp::from_unix_ns(self.ahead_ns + boot_ns)
    }

    pub(super) fn clock(&self, boot_ns: u64) -> String {
        let at = i128::from(self.ahead_ns + boot_ns);
        let time = jiff::Timestamp::from_nanosecond(at).map(|time| time.to_zoned(self.zone.clone()));
        time.map_or_else(|_| "-".to_owned(), |time| time.strftime("%H:%M:%S%.3f").to_string())
    }

    fn json<'a>(&self, denial: &'a Denial, names: &'a Names) -> DenialLine<'a> {
        DenialLine {
            schema_version: report::FormatVersion,
            time: self.timestamp(denial.boot_ns),
            action: denial.action.name(),
            deed: denial.deed.name(),
            reason: denial.reason.name(),
            policy: PolicyLine { number: denial.policy, name: names.policy(denial.policy) },
            container: names.container(denial).map(|(id, name)| ContainerLine { id, name }),
            process: ProcessLine {
                pid: denial.pid,
                pid_inside: denial.pid_inside,
                tid: denial.tid,
                uid: denial.uid,
                comm: &denial.comm,
                parent: ParentLine { pid: denial.ppid, comm: &denial.parent_comm },
            },
            program: (denial.deed == Deed::Exec).then_some(ProgramLine {
                path: &denial.path,
                is_path_cut: denial.is_path_cut,
                called: &denial.called,
                device: denial.file.device,
                inode: denial.file.inode,
            }),
            file: match denial.details {
                Details::File(act) => Some(FileLine {
                    path: &denial.path,
                    is_path_cut: denial.is_path_cut,
                    act: act.name(),
                    device: denial.file.device,
                    inode: denial.file.inode,
                }),
                _ => None,
            },
            peer: match denial.details {
                Details::Peer(peer) => Some(PeerLine { address: peer.ip().to_string(), port: peer.port() }),
                _ => None,
            },
            port: match denial.details {
                Details::Port(port) => Some(port),
                _ => None,
            },
            capability: match denial.details {
                Details::Capability(number) => Some(capability(number)),
                _ => None,
            },
            mount: (denial.deed == Deed::Mount).then_some(MountLine {
                path: &denial.path,
                is_path_cut: denial.is_path_cut,
                kind: &denial.called,
            }),
            traced: match denial.details {
                Details::Process(pid) => Some(TracedLine { pid }),
                _ => None,
            },
            module: (denial.deed == Deed::Module).then_some(ModuleLine { path: &denial.path, name: &denial.called }),
            tainted: names.taint(denial.policy, denial.cgroup_id).map(|taint| TaintLine::of(taint, self)),
        }
    }

    fn text(&self, denial: &Denial, names: &Names) -> String {
        let since = names.taint(denial.policy, denial.cgroup_id);
        let since = since.map(|taint| format!(", after {}", self.taint_text(taint))).unwrap_or_default();
        format!(
            "{} {:<8} {}  {}  by pid {} ({} inside) of {} (pid {}), uid {}  policy {}: {}{since}",
            self.clock(denial.boot_ns),
            denial.action.name(),
            container(names.container(denial), denial.cgroup_id),
            what(denial),
            denial.pid,
            denial.pid_inside,
            report::quoted(&denial.parent_comm),
            denial.ppid,
            denial.uid,
            denial.policy,
            denial.reason.name(),
        )
    }
}

/// A container, shown as people say it.
pub(super) fn container(known: Option<(&str, Option<&str>)>, cgroup_id: u64) -> String {
    let said = match known {
        Some((id, Some(name))) => format!("{name} ({})", short(id)),
        Some((id, None)) => short(id).to_owned(),
        None => format!("cgroup {cgroup_id}"),
    };
    Text::from(said.as_str()).shown().into_owned()
}

/// The deed, in a few words.
fn what(denial: &Denial) -> String {
    let path = report::quoted(&denial.path);
    let called = report::quoted(&denial.called);
    let comm = report::quoted(&denial.comm);
    match denial.details {
        Details::File(act) => return format!("{} {path} ({comm})", act.name()),
        Details::Peer(peer) => return format!("connect {peer} ({comm})"),
        Details::Port(0) => return format!("listen on any port ({comm})"),
        Details::Port(port) => return format!("listen {port} ({comm})"),
        Details::Capability(number) => return format!("{} ({comm})", capability(number)),
        Details::Process(pid) => return format!("ptrace pid {pid} ({comm})"),
        Details::Nothing => {}
    }
    match denial.deed {
        Deed::Mount if denial.called.is_empty() => format!("mount {path} ({comm})"),
        Deed::Mount => format!("mount {called} at {path} ({comm})"),
        Deed::Module if !denial.called.is_empty() => format!("module {called} ({comm})"),
        Deed::Module if denial.path.is_empty() => format!("module from memory ({comm})"),
        Deed::Module => format!("module {path} ({comm})"),
        _ if denial.called.is_empty() || denial.called == denial.path => path.to_string(),
        _ => format!("{path}, called {called}"),
    }
}

fn capability(number: u32) -> String {
    let known = u8::try_from(number).ok().and_then(event::Capability::new);
    known.map_or_else(|| format!("CAP_{number}"), |known| known.to_string())
}

fn now_ns(clock: rustix::time::ClockId) -> u64 {
    let now = rustix::time::clock_gettime(clock);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

/// What is blocked, and how, for people.
pub(crate) fn status_text(
    enforcer: &Enforcer,
    check: &Result<(), EnforceError>,
    policies: &[Status],
    shown: &Shown,
) -> anyhow::Result<String> {
    let names = Names::of_tainted(enforcer, policies)?;
    let step = enforcer.climb().step;
    let mut text = format!("step {step}: {}\n", step.guarantee());
    match check {
        Ok(()) => text.push_str("a process of our own was blocked so just now\n"),
        Err(error) => {
            let _ = writeln!(text, "NOT BLOCKED: {}", Text::from(causes(error).as_str()).shown());
        }
    }
    let _ = writeln!(text, "pinned in {}", enforcer.folder().display());
    if enforcer.skipped() > 0 {
        let _ = writeln!(
            text,
            "the kernel skipped the guards {} times: what was done then was not denied",
            enforcer.skipped()
        );
    }
    if enforcer.cgroups_lost() > 0 {
        let _ = writeln!(text, "{} cgroups are not under their policies: the map was full", enforcer.cgroups_lost());
    }
    if policies.is_empty() {
        text.push_str("no policy\n");
    }
    for status in policies {
        text.push_str(&policy_text(status, shown, &names));
    }
    Ok(text)
}

/// One policy, in two lines, and one for each container in which it waited and is strict.
pub(crate) fn policy_text(status: &Status, shown: &Shown, names: &Names) -> String {
    let policy = &status.policy;
    let name = policy.name.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
    let what = format!("policy {}{name}: {} in {}{}", status.number, policy.what(), policy.whom(), policy.when());
    let mut facts = vec![
        mode(status).to_owned(),
        match status.cgroups {
            1 => "1 cgroup".to_owned(),
            count => format!("{count} cgroups"),
        },
        counted(status),
    ];
    if !policy.after.is_empty() {
        facts.insert(2, format!("waits in {} of them", status.waiting));
    }
    match status.left {
        Some(Duration::ZERO) => facts.push("its time is over".into()),
        Some(left) => facts.push(format!("for {}s", left.as_secs())),
        None => {}
    }
    facts.push(match needs_agent(status) {
        true => "containers that come are held to it while `ringfence block` runs".to_owned(),
        false => "needs no process".to_owned(),
    });
    if !status.policy.hash.is_empty() {
        facts.push(match are_contents_held() {
            true => "contents are looked at by a ringfence that runs".to_owned(),
            false => "contents are NOT looked at: no `ringfence block` or `ringfence enforce` runs".to_owned(),
        });
    }
    let mut text = format!("{}\n  {}\n", Text::from(what.as_str()).shown(), facts.join("; "));
    for taint in &status.taints {
        let there = container(names.in_cgroup(taint.cgroup_id), taint.cgroup_id);
        let _ = writeln!(text, "  in {there} after {}", shown.taint_text(taint));
    }
    text
}

/// Whether it denies, and whether somebody has switched that.
pub(crate) fn mode(status: &Status) -> &'static str {
    match (status.policy.audit, status.is_switched) {
        (false, false) => "denies",
        (true, false) => "only counts",
        (false, true) => "denies (it was switched: it was to count only)",
        (true, true) => "only counts (it was switched: it was to deny)",
    }
}

/// Whether what it is about can only be told by asking engines: a container by its name alone may come again under another id.
fn needs_agent(status: &Status) -> bool {
    !status
        .policy
        .containers
        .iter()
        .all(|target| matches!(target, ::enforce::Target::Container(name) if name.len() == 64))
}

/// An error with its causes.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            let _ = write!(text, ": {said}");
        }
        next = cause.source();
    }
    text
}

/// What is blocked, and how, for programs.
#[derive(Serialize, JsonSchema)]
pub(crate) struct StatusDocument<'a> {
    schema_version: report::FormatVersion<1>,
    /// `lsm`, `fmod_ret` or `kill`; none if nothing is in place.
    step: Option<&'static str>,
    /// Why the process that was to be blocked just now was not; none if it was.
    not_blocked: Option<String>,
    /// How often the kernel skipped a guard.
    skipped: u64,
    /// Cgroups that were to be under a policy and found no room.
    cgroups_lost: u64,
    policies: Vec<PolicyDocument<'a>>,
}

/// A policy and what it has come to.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PolicyDocument<'a> {
    number: u32,
    /// `audit` says what it does now.
    policy: &'a ::enforce::Policy,
    /// Whether it was put in force denying and only counts now (`ringfence policy complain`), or the other way round.
    switched: bool,
    /// How many seconds it is still in force; none if it has no end.
    seconds_left: Option<u64>,
    /// Also those where it waits.
    cgroups: usize,
    /// In how many of them it waits still.
    waiting: usize,
    /// Where it waited and is strict.
    strict: Vec<StrictLine<'a>>,
    denied: u64,
    audited: u64,
    failed: u64,
    untold: u64,
    by_reason: BTreeMap<&'static str, u64>,
    /// Whether containers that come later are held to it only while `ringfence block` runs.
    needs_agent: bool,
    /// Of one that names contents: whether somebody looks at them now, without whom they are not denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    contents_held: Option<bool>,
}

impl<'a> PolicyDocument<'a> {
    pub(crate) fn of(status: &'a Status, shown: &Shown, names: &'a Names) -> PolicyDocument<'a> {
        let tally = &status.tally;
        PolicyDocument {
            number: status.number,
            policy: &status.policy,
            switched: status.is_switched,
            seconds_left: status.left.map(|left| left.as_secs()),
            cgroups: status.cgroups,
            waiting: status.waiting,
            strict: status.taints.iter().map(|taint| StrictLine::of(taint, shown, names)).collect(),
            denied: tally.denied,
            audited: tally.audited,
            failed: tally.failed,
            untold: tally.untold,
            by_reason: tally.by_reason.iter().map(|(reason, count)| (reason.name(), *count)).collect(),
            needs_agent: needs_agent(status),
            contents_held: (!status.policy.hash.is_empty()).then(are_contents_held),
        }
    }
}

pub(crate) fn status_json(
    enforcer: Option<&Enforcer>,
    policies: &[Status],
    not_blocked: Option<&EnforceError>,
    shown: &Shown,
) -> anyhow::Result<String> {
    let names = enforcer.map_or_else(|| Ok(Names::default()), |enforcer| Names::of_tainted(enforcer, policies))?;
    let document = StatusDocument {
        schema_version: report::FormatVersion,
        step: enforcer.map(|enforcer| enforcer.climb().step.name()),
        not_blocked: not_blocked.map(|error| causes(error)),
        skipped: enforcer.map_or(0, Enforcer::skipped),
        cgroups_lost: enforcer.map_or(0, Enforcer::cgroups_lost),
        policies: policies.iter().map(|status| PolicyDocument::of(status, shown, &names)).collect(),
    };
    Ok(report::json(&document))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ::enforce::{Action, Cause, FileAct, FileKey, Tainted};

    use super::super::tainted::TaintedLine;

    use super::*;

    fn denial() -> Denial {
        Denial {
            boot_ns: 5_000_000_000,
            policy: 3,
            deed: Deed::Exec,
            details: Details::Nothing,
            reason: Reason::Name,
            action: Action::Killed,
            cgroup_id: 77,
            mount_ns: 9,
            pid: 1234,
            pid_inside: 12,
            tid: 1234,
            ppid: 1200,
            uid: 0,
            comm: Text::from("whoami"),
            parent_comm: Text::from("s\x1b[2Jh"),
            called: Text::from("/tmp/l\x07ink"),
            path: Text::from("/usr/bin/whoami"),
            is_path_cut: false,
            file: FileKey { device: 27, inode: 1 << 60 },
        }
    }

    fn names() -> Names {
        let containers = vec![(Place::Cgroup(77), "ab".repeat(32), Some("web".to_owned()))];
        Names {
            policies: BTreeMap::from([(3, "no whoami".to_owned())]),
            containers,
            taints: Vec::new(),
            contained: None,
        }
    }

    fn shown(format: Format) -> Shown {
        Shown { format, zone: TimeZone::UTC, ahead_ns: 0 }
    }

    #[test]
    fn a_denial_is_one_line_and_no_text_of_it_reaches_a_terminal_raw() {
        let line = shown(Format::Text).line(&Told::Denial(denial()), &names());

        assert_eq!(
            line,
            "00:00:05.000 killed   web (abababababab)  /usr/bin/whoami, called '/tmp/l\\u{7}ink'  by pid 1234 (12 inside) of \
             's\\u{1b}[2Jh' (pid 1200), uid 0  policy 3: name"
        );
    }

    #[test]
    fn a_denial_in_json_names_container_policy_process_and_program() {
        let line = shown(Format::Json).line(&Told::Denial(denial()), &names());
        let value: serde_json::Value = serde_json::from_str(&line).expect("it is JSON");

        assert_eq!(value["container"]["name"], "web");
        assert_eq!(value["policy"]["name"], "no whoami");
        assert_eq!(value["program"]["inode"], "1152921504606846976");
        assert_eq!(value["process"]["parent"]["pid"], 1200);
        assert!(!line.contains('\x1b'), "{line}");
    }

    #[test]
    fn each_kind_of_deed_says_what_it_was_about() {
        let line = |deed, details, path: &str, called: &str| {
            let (path, called) = (Text::from(path), Text::from(called));
            let denial = Denial { deed, details, path, called, comm: Text::from("n\x1bc"), ..denial() };
            let told = Told::Denial(denial.clone());
            assert!(!shown(Format::Text).line(&told, &names()).contains('\x1b'));
            let json = shown(Format::Json).line(&told, &names());
            let value: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
            assert_eq!(value["deed"], deed.name());
            (what(&denial), value)
        };
        let peer = Details::Peer("[2001:db8::1]:443".parse().expect("an address"));

        let (text, json) = line(Deed::Connect, peer, "", "");
        assert_eq!(text, "connect [2001:db8::1]:443 ('n\\u{1b}c')");
        assert_eq!((&json["peer"]["address"], &json["peer"]["port"]), (&"2001:db8::1".into(), &443.into()));
        let (text, json) = line(Deed::File, Details::File(FileAct::Move), "/etc/x", "");
        assert_eq!((text.as_str(), &json["file"]["act"]), ("move /etc/x ('n\\u{1b}c')", &"move".into()));
        let (text, json) = line(Deed::Listen, Details::Port(80), "", "");
        assert_eq!((text.as_str(), &json["port"]), ("listen 80 ('n\\u{1b}c')", &80.into()));
        let (text, json) = line(Deed::Capability, Details::Capability(13), "", "");
        assert_eq!((text.as_str(), &json["capability"]), ("CAP_NET_RAW ('n\\u{1b}c')", &"CAP_NET_RAW".into()));
        let (text, json) = line(Deed::Ptrace, Details::Process(7), "", "");
        assert_eq!((text.as_str(), &json["traced"]["pid"]), ("ptrace pid 7 ('n\\u{1b}c')", &7.into()));
        let (text, json) = line(Deed::Mount, Details::Nothing, "/mnt", "tmpfs");
        assert_eq!((text.as_str(), &json["mount"]["path"]), ("mount tmpfs at /mnt ('n\\u{1b}c')", &"/mnt".into()));
        let (text, json) = line(Deed::Module, Details::Nothing, "/x.ko", "");
        assert_eq!((text.as_str(), &json["module"]["path"]), ("module /x.ko ('n\\u{1b}c')", &"/x.ko".into()));
        assert!(json.get("program").is_none() && json.get("peer").is_none());
    }

    fn tainted(cause: Cause, path: &str) -> Told {
        Told::Tainted(Tainted {
            boot_ns: 4_000_000_000,
            policy: 3,
            cause,
            cgroup_id: 77,
            pid: 1200,
            pid_inside: 9,
            tid: 1201,
            ppid: 1,
            uid: 0,
            comm: Text::from("ng\x1binx"),
            parent_comm: Text::from("init"),
            path: Text::from(path),
            is_path_cut: false,
        })
    }

    #[test]
    fn what_makes_a_policy_strict_is_one_line() {
        let line = |cause, path, format| shown(format).line(&tainted(cause, path), &names());

        assert_eq!(
            line(Cause::Network, "", Format::Text),
            "00:00:04.000 tainted  web (abababababab)  'ng\\u{1b}inx'  by pid 1200 (9 inside) of init (pid 1), uid 0  policy 3: network"
        );
        assert_eq!(
            line(Cause::File, "/srv/a\x07", Format::Text),
            "00:00:04.000 tainted  web (abababababab)  read '/srv/a\\u{7}' ('ng\\u{1b}inx')  by pid 1200 (9 inside) of init (pid 1), uid 0  policy 3: file"
        );
        let json: serde_json::Value =
            serde_json::from_str(&line(Cause::File, "/srv/a", Format::Json)).expect("it is JSON");
        assert_eq!((&json["action"], &json["cause"]), (&"tainted".into(), &"file".into()));
        assert_eq!((&json["file"]["path"], &json["container"]["name"]), (&"/srv/a".into(), &"web".into()));
    }

    #[test]
    fn a_denial_says_what_had_been_read_before_if_its_policy_waited_for_that() {
        let mut names = names();
        names.hear(&tainted(Cause::Network, ""));
        let told = Told::Denial(denial());

        let text = shown(Format::Text).line(&told, &names);
        let said = "  policy 3: name, after network, by pid 1200 ('ng\\u{1b}inx') at 00:00:04.000";
        assert!(text.ends_with(said), "{text}");
        let json: serde_json::Value =
            serde_json::from_str(&shown(Format::Json).line(&told, &names)).expect("it is JSON");
        assert_eq!((&json["tainted"]["cause"], &json["tainted"]["pid"]), (&"network".into(), &1200.into()));
        let elsewhere = Told::Denial(Denial { cgroup_id: 78, ..denial() });
        assert!(!shown(Format::Text).line(&elsewhere, &names).contains("after network"));
    }

    fn check_schema(name: &str, title: &str, mut schema: schemars::Schema) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema").join(name);
        schema.insert("title".into(), title.into());
        let actual = report::json(&schema);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &actual).expect("the schema can be written");
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(actual == expected, "{} differs from the types: UPDATE=1 writes it anew", path.display());
    }

    #[test]
    fn the_schemas_that_are_checked_in_are_those_of_the_types() {
        let denial = schemars::schema_for!(DenialLine<'static>);
        check_schema("denial-1.json", "ringfence denial, version 1", denial);
        let tainted = schemars::schema_for!(TaintedLine<'static>);
        check_schema("tainted-1.json", "ringfence tainted container, version 1", tainted);
        let status = schemars::schema_for!(StatusDocument<'static>);
        check_schema("block-status-1.json", "ringfence block status, version 1", status);
    }
}
