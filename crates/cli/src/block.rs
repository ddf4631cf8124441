//! `ringfence block`.

mod denial;
pub(crate) mod line;
pub(crate) mod names;
pub(crate) mod status;
mod tainted;
mod via;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ::enforce::{
    After, Applied, Denial, EnforceError, Enforcer, FileRule, Follower, Hash, Notice, Peer, Policy, Port, Program,
    Status, Step, Target, Told,
};
use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};
use event::{Capability, Text};

use crate::signals::Signals;
use crate::streams::print;
use crate::{exit, policy_file, privilege, units};
use line::Shown;
use names::Names;
use status::causes;
use via::Via;

/// Block programs, files, connections and other deeds in containers.
///
/// What is blocked fails in the containers that are named, and works in all others and on the host. The block is tried
/// first, on a process of our own, and how it is done on this kernel is said: the call fails with EPERM (by BPF LSM, else by
/// fmod_ret), or the process is killed before the first instruction of the program. Where only that can be had, only programs can
/// be blocked, and the rest is refused.
///
/// The block stays when this program ends, however it ends, until its time is over, `ringfence policy remove` takes it away, or the
/// machine stops. While this program runs it prints each denial, holds containers to the policy that are made anew, and has the block
/// tried again each minute.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ringfence block --container web --exec whoami           no whoami in the container web
  ringfence block --image 'php:*' --exec sh --exec bash    no shell, in all containers of these images
  ringfence block --image '*' --hash sha256:$(sha256sum miner | cut -d' ' -f1)   this program, under whatever name
  ringfence block --container web --exec /usr/bin/curl --audit   count who would be blocked
  ringfence block --container web --file /etc/shadow:r --file /etc/cron.d:w   nobody reads it, nobody writes there
  ringfence block --container web --connect 169.254.169.254 --connect '*:25'   no cloud metadata, no mail
  ringfence block --label tier=web --listen 4444 --ptrace --module   no listener there, no tracing, no modules
  ringfence block --container web --capability net_raw --mount       nobody uses it, nobody mounts
  ringfence block --container web --later --exec whoami   also if it is yet to come
  ringfence block --container web --exec sh --after network   no shell once something there has read from the network
  ringfence block --ptrace --capability net_raw --via docker --out web.json   flags for the next start, without guards
  ringfence block --status                                what is blocked, and how")]
pub(crate) struct BlockArgs {
    #[command(flatten)]
    whom: Whom,

    /// A program that may not run: its name, wherever it lies, or its whole path in the container.
    #[arg(long, value_name = "PROGRAM")]
    exec: Vec<Program>,

    /// A program that may not run, by its content, whatever it is called: copies and renamed ones, too. Held while this program, or
    /// `ringfence enforce`, runs.
    #[arg(long, value_name = "sha256:HEX")]
    hash: Vec<Hash>,

    /// Only programs that came with the container's image may run: none that was written since, lies in a volume or in memory, or
    /// was changed.
    #[arg(long)]
    image_binaries_only: bool,

    /// A file that nobody may read (`:r`), write (`:w`) or either: its whole path in the container; of a folder all below it, too.
    /// Writing is also making, removing, moving and changing its mode or owner.
    #[arg(long, value_name = "PATH[:r|w|rw]")]
    file: Vec<FileRule>,

    /// Whom nobody may connect or send to: an address, a network or `*`, and a port of it if not all are meant; IPv6 with a port
    /// in brackets, `[2001:db8::/32]:443`.
    #[arg(long, value_name = "CIDR[:PORT]")]
    connect: Vec<Peer>,

    /// A port that nobody may listen on, or `*`.
    #[arg(long, value_name = "PORT")]
    listen: Vec<Port>,

    /// A capability that nobody may use, such as `net_raw`.
    #[arg(long, value_name = "NAME", value_parser = ::enforce::capability)]
    capability: Vec<Capability>,

    /// Nobody may mount, unmount or move mounts.
    #[arg(long)]
    mount: bool,

    /// Nobody may trace another process, or read or write its memory.
    #[arg(long)]
    ptrace: bool,

    /// Nobody may load a module into the kernel, or have one loaded.
    #[arg(long)]
    module: bool,

    /// Block nothing in a container until something in it has read this: `network`, any socket of the network, or a file by its
    /// whole path in the container; of a folder anything below it. What a container read before that is not known.
    #[arg(long, value_name = "network|PATH")]
    after: Vec<After>,

    /// Take the policy from this file (docs/blocking.md says what stands in it) instead.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["container", "image", "label", "exec", "hash", "image_binaries_only", "file", "connect", "listen", "capability", "mount", "ptrace", "module", "after", "audit"])]
    policy: Option<PathBuf>,

    /// Deny nothing: count what would be denied, and say by whom.
    #[arg(long)]
    audit: bool,

    /// How long it is in force; without it until it is removed.
    #[arg(long = "for", value_name = "DURATION", value_parser = units::duration)]
    limit: Option<Duration>,

    /// Do not fail if no container matches yet: those that come are blocked.
    #[arg(long)]
    later: bool,

    /// Put the block in force, and end.
    #[arg(long)]
    once: bool,

    /// Use this step, or refuse. Without it: the best that works.
    #[arg(long, value_enum)]
    step: Option<StepName>,

    /// How denials are shown.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Block nothing: print what an engine can deny by itself at a container's next start.
    #[arg(long, value_enum, value_name = "BY", conflicts_with_all = ["container", "image", "label", "after", "policy", "audit", "limit", "later", "once", "step", "format"])]
    via: Option<Via>,

    /// With --via: the file that the profile is written to; an older one is replaced.
    #[arg(long, value_name = "FILE", requires = "via")]
    out: Option<PathBuf>,

    /// Show what is blocked on this machine, how, and what it has come to.
    #[arg(long, conflicts_with_all = ["container", "image", "label", "exec", "hash", "image_binaries_only", "file", "connect", "listen", "capability", "mount", "ptrace", "module", "after", "policy", "audit", "limit", "later", "once", "step", "via"])]
    status: bool,
}

/// Which containers.
#[derive(Args)]
pub(crate) struct Whom {
    /// A container by name, id or beginning of the id (at least 4 characters).
    #[arg(long, value_name = "NAME|ID")]
    container: Vec<String>,

    /// Containers whose image matches; `*` stands for anything.
    #[arg(long, value_name = "PATTERN")]
    image: Vec<String>,

    /// Containers with this label.
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
}

impl Whom {
    pub(crate) fn is_empty(&self) -> bool {
        self.container.is_empty() && self.image.is_empty() && self.label.is_empty()
    }

    pub(crate) fn targets(&self) -> Vec<Target> {
        let named = self.container.iter().cloned().map(Target::Container);
        let of_images = self.image.iter().cloned().map(Target::Image);
        let labelled = self.label.iter().cloned().map(|(key, value)| Target::Label(key, value));
        named.chain(of_images).chain(labelled).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people: one line each.
    Text,
    /// One JSON object per line, described in docs/schema.
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StepName {
    /// BPF LSM.
    Lsm,
    /// The results of the kernel's security functions.
    #[value(name = "fmod_ret")]
    FmodRet,
    /// SIGKILL at the end of the exec.
    Kill,
}

impl From<StepName> for Step {
    fn from(name: StepName) -> Step {
        match name {
            StepName::Lsm => Step::Lsm,
            StepName::FmodRet => Step::FmodRet,
            StepName::Kill => Step::Kill,
        }
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is no label: write KEY=VALUE")),
    }
}

/// How often containers are looked at that no event told of.
const LOOK: Duration = Duration::from_millis(250);
/// How often the block is tried again.
const CHECK: Duration = Duration::from_secs(60);
/// How long to wait for denials before signals are looked at.
const WAIT: Duration = Duration::from_millis(50);

pub(crate) fn run(args: &BlockArgs) -> anyhow::Result<ExitCode> {
    refused(decided(args))
}

/// A refusal has an exit code of its own.
pub(crate) fn refused(result: anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    match result {
        Err(error) if error.downcast_ref::<EnforceError>().is_some_and(EnforceError::is_refusal) => {
            exit::print(&error);
            Ok(ExitCode::from(exit::REFUSED))
        }
        other => other,
    }
}

fn decided(args: &BlockArgs) -> anyhow::Result<ExitCode> {
    if args.status {
        return status(args.format);
    }
    if let Some(via) = args.via {
        return via::run(via, &args.denied()?, args.out.as_deref());
    }
    let policy = args.policy()?;
    policy.check().map_err(EnforceError::Policy)?;
    put_in_force(&Force {
        policy: &policy,
        only: args.step.map(Step::from),
        limit: args.limit,
        later: args.later,
        once: args.once,
        format: args.format,
    })
}

/// How a policy is put in force.
pub(crate) struct Force<'a> {
    pub(crate) policy: &'a Policy,
    /// At this step alone.
    pub(crate) only: Option<Step>,
    pub(crate) limit: Option<Duration>,
    /// Also if no container matches yet.
    pub(crate) later: bool,
    /// Without following the containers.
    pub(crate) once: bool,
    pub(crate) format: Format,
}

/// Puts a policy in force, says how, and shows what it denies.
pub(crate) fn put_in_force(force: &Force<'_>) -> anyhow::Result<ExitCode> {
    let policy = force.policy;
    let signals = Signals::catch().context("cannot catch signals")?;
    let enforcer = Enforcer::start(force.only).map_err(explain)?;
    let step = enforcer.climb().step;
    if let Some(only) = force.only {
        ensure!(step == only, "guards are in place at the step {step}, not {only}: remove their policies first");
    }
    let applied = match enforcer.apply(policy, force.limit, force.later) {
        Ok(applied) => applied,
        Err(error) => {
            // Guards that deny nothing are not left behind.
            enforcer.end_if_unused()?;
            return Err(error.into());
        }
    };
    say(policy, &applied, force.limit);
    follow(force.format, force.once, enforcer, Follower::new(), Some(applied.number), signals)
}

impl BlockArgs {
    fn policy(&self) -> anyhow::Result<Policy> {
        if let Some(path) = &self.policy {
            return policy_file::read(path);
        }
        ensure!(!self.whom.is_empty(), "say which containers: --container, --image, --label, or --policy with a file");
        self.denied()
    }

    /// What is denied, in whichever containers.
    fn denied(&self) -> anyhow::Result<Policy> {
        let policy = Policy {
            schema_version: Policy::SCHEMA_VERSION,
            name: None,
            containers: self.whom.targets(),
            exec: self.exec.clone(),
            hash: self.hash.clone(),
            image_binaries_only: self.image_binaries_only,
            only: None,
            file: self.file.clone(),
            connect: self.connect.clone(),
            listen: self.listen.clone(),
            capability: self.capability.clone(),
            mount: self.mount,
            ptrace: self.ptrace,
            module: self.module,
            after: self.after.clone(),
            audit: self.audit,
        };
        ensure!(
            !policy.deeds().is_empty(),
            "say what is blocked: --exec PROGRAM, --hash, --image-binaries-only, --file, --connect, --listen, --capability, --mount, --ptrace or --module"
        );
        Ok(policy)
    }
}

/// What is missing, in the words of somebody who can do something about it.
pub(crate) fn explain(error: EnforceError) -> anyhow::Error {
    let missing = privilege::missing();
    if missing.is_empty() || error.is_refusal() && rustix::process::geteuid().is_root() {
        return error.into();
    }
    anyhow::Error::from(error).context(format!(
        "blocking needs {}, which this process does not have: run it as root, as with `sudo ringfence block …`",
        missing.join(" and ")
    ))
}

fn say(policy: &Policy, applied: &Applied, limit: Option<Duration>) {
    let number = applied.number;
    let verb = if policy.audit { "only counted" } else { "blocked" };
    note(&format!("policy {number}: {} {verb} in {}{}", policy.what(), policy.whom(), policy.when()));
    note(&format!("step {}: {}", applied.climb.step, applied.climb.step.guarantee()));
    for (step, why) in &applied.climb.refused {
        note(&format!("  not {step}: {why}"));
    }
    note("a process of our own was blocked so");
    let how = if policy.after.is_empty() { "in force in" } else { "waits in" };
    match applied.running.as_slice() {
        [] => note("no container matches yet"),
        ids => note(&format!("{how} {}", ids.iter().map(|id| short(id)).collect::<Vec<_>>().join(", "))),
    }
    match limit {
        Some(limit) => note(&format!("for {limit:?}, or until `ringfence policy remove {number}`")),
        None => note(&format!("until `ringfence policy remove {number}`")),
    }
}

pub(crate) fn note(line: &str) {
    eprintln!("ringfence: {}", Text::from(line).shown());
}

/// An id as people say it.
pub(crate) fn short(id: &str) -> &str {
    let is_drawn = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_drawn { &id[..12] } else { id }
}

/// Shows denials and follows containers, until a signal, or until the policy is over.
pub(crate) fn follow(
    format: Format,
    once: bool,
    enforcer: Enforcer,
    mut follower: Follower,
    number: Option<u32>,
    mut signals: Signals,
) -> anyhow::Result<ExitCode> {
    let mut names = Names::default();
    let shown = Shown::new(format);
    let (wake, woken) = mpsc::sync_channel(1);
    if !once {
        ::enforce::wake_on_events(&wake);
    }
    let mut denials = enforcer.denials()?;
    let mut look = Instant::now();
    let mut check = Instant::now() + CHECK;
    let mut out = std::io::stdout();
    let mut tell = |read: Vec<_>, names: &mut Names| -> anyhow::Result<()> {
        for told in read {
            let told = match told {
                Ok(told) => told,
                Err(error) => {
                    note(&format!("a denial cannot be read: {error}"));
                    continue;
                }
            };
            if !Enforcer::is_of_canary(&told) {
                names.hear(&told);
                let told = match told {
                    Told::Denial(denial) => Told::Denial(Denial { reason: names.reason(&denial), ..denial }),
                    tainted => tainted,
                };
                writeln!(out, "{}", shown.line(&told, names)).and_then(|()| out.flush())?;
            }
        }
        Ok(())
    };
    let mut lost = 0;
    let mut looks_at_contents = false;
    loop {
        if woken.try_recv().is_ok() || Instant::now() >= look {
            if enforcer.is_over()? {
                tell(denials.poll(Duration::ZERO)?, &mut names)?;
                match number.map(|number| (number, enforcer.policy(number))) {
                    // It was the last one.
                    Some((number, Err(EnforceError::NoPolicy(_)))) => note(&format!("policy {number} was removed")),
                    _ => note(&EnforceError::Gone.to_string()),
                }
                return Ok(ExitCode::SUCCESS);
            }
            for notice in follower.look(&enforcer)? {
                tell_notice(&notice);
            }
            names.renew(&enforcer, &follower)?;
            report_lost(&enforcer, &mut lost);
            let is_looking = follower.contained().is_some();
            if is_looking && !std::mem::replace(&mut looks_at_contents, is_looking) {
                note("programs are held back until their contents are known, where policies name contents");
            }
            look = Instant::now() + LOOK;
        }
        if once {
            if follower.contained().is_some() {
                note(
                    "contents are looked at only while `ringfence block` or `ringfence enforce` runs: nothing is held by them now",
                );
            }
            // Nobody reads on: what was denied meanwhile is counted, and told to whoever looks next.
            return Ok(if follower.has_mislabelled() { ExitCode::from(exit::ERROR) } else { ExitCode::SUCCESS });
        }
        if Instant::now() >= check {
            match enforcer.check() {
                // Told at the next look.
                Err(EnforceError::Gone) => {}
                // The guards are as they were, and containers must be followed on.
                Err(EnforceError::Canary(error)) if !error.is_of_guards() => {
                    note(&causes(&EnforceError::Canary(error)));
                }
                checked => checked?,
            }
            check = Instant::now() + CHECK;
        }
        tell(denials.poll(WAIT)?, &mut names)?;
        if let Some(number) = number {
            match enforcer.policy(number) {
                Ok(status) if status.is_over() => {
                    tell(denials.poll(Duration::ZERO)?, &mut names)?;
                    let status = enforcer.remove(number)?;
                    note(&format!("policy {number} is over: {}", counted(&status)));
                    enforcer.end_if_unused()?;
                    return Ok(ExitCode::SUCCESS);
                }
                Ok(_) => {}
                Err(EnforceError::NoPolicy(_)) => {
                    note(&format!("policy {number} was removed"));
                    return Ok(ExitCode::SUCCESS);
                }
                Err(error) => return Err(error.into()),
            }
        }
        if signals.take().is_some() {
            tell(denials.poll(Duration::ZERO)?, &mut names)?;
            for status in
                enforcer.policies()?.iter().filter(|status| number.is_none_or(|number| number == status.number))
            {
                note(&format!(
                    "policy {0} stays in force ({1}); `ringfence policy remove {0}` ends it",
                    status.number,
                    counted(status)
                ));
            }
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn report_lost(enforcer: &Enforcer, told: &mut u64) {
    let lost = enforcer.cgroups_lost();
    if lost > *told {
        note(&format!("{} cgroups are not under their policies: the map of cgroups is full", lost - *told));
        *told = lost;
    }
}

/// A container, as people say it.
fn called(id: &str, name: Option<&str>) -> String {
    name.filter(|name| *name != id).map_or_else(|| short(id).to_owned(), |name| format!("{name} ({})", short(id)))
}

fn tell_notice(notice: &Notice) {
    match notice {
        Notice::InForce { policy, id, name, late, by_namespace } => {
            let who = called(id, name.as_deref());
            let since = match late {
                None => "since before its first instruction".to_owned(),
                Some(late) => format!("since {late:.1?} after its start"),
            };
            let how = if *by_namespace { "; it has no cgroup of its own and is told by its namespaces" } else { "" };
            note(&format!("policy {policy} is in force in {who} {since}{how}"));
        }
        Notice::NotInForce { policy, id } => note(&format!(
            "policy {policy} is not in force in {}, which has no cgroup of its own: a policy cannot wait there",
            short(id)
        )),
        Notice::Mislabelled { id, name, label, value } => note(&format!(
            "error: {} has the label {}={value}, which is none of {}: nothing is denied there for it",
            called(id, name.as_deref()),
            label.key,
            label.values.join(", ")
        )),
        Notice::Switched { policy, audit: true } => {
            note(&format!("policy {policy} denies nothing from now on: it only counts"))
        }
        Notice::Switched { policy, audit: false } => note(&format!("policy {policy} denies from now on")),
        Notice::Contents(why) => note(&format!("error: {why}")),
        Notice::Ended { policy, id } => note(&format!("{} has ended (policy {policy})", short(id))),
        Notice::Unseen { policy, id, why } => {
            note(&format!("policy {policy} knows the files of {} by name and path alone: {why}", short(id)))
        }
    }
}

/// What a policy has come to, in a few words.
pub(crate) fn counted(status: &Status) -> String {
    let tally = &status.tally;
    let audit = status.policy.audit;
    let mut parts = Vec::new();
    // Of one that was switched there may be both.
    if !audit || tally.denied > 0 {
        parts.push(format!("{} denied", tally.denied));
    }
    if audit || tally.audited > 0 {
        parts.push(format!("{} would have been denied", tally.audited));
    }
    if tally.failed > 0 {
        parts.push(format!("{} RAN, as the kernel sent no signal", tally.failed));
    }
    if tally.untold > 0 {
        parts.push(format!("{} times without an event of its own", tally.untold));
    }
    parts.join(", ")
}

fn status(format: Format) -> anyhow::Result<ExitCode> {
    let found = Enforcer::find().map_err(explain)?;
    let Some(enforcer) = found else {
        match format {
            Format::Text => print("nothing is blocked\n")?,
            Format::Json => print(status::json(None, &[], None, &Shown::new(format))?)?,
        }
        return Ok(ExitCode::SUCCESS);
    };
    let check = enforcer.check();
    let policies = enforcer.policies()?;
    let shown = Shown::new(format);
    match format {
        Format::Text => print(status::text(&enforcer, &check, &policies, &shown)?)?,
        Format::Json => {
            print(status::json(Some(&enforcer), &policies, check.as_ref().err(), &shown)?)?;
        }
    }
    Ok(if check.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(exit::FINDINGS) })
}
