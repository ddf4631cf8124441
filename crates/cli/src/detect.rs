//! `ringfence detect`.

mod evidence;
mod normal;
mod office;
mod ruleset;
pub(crate) mod state;

use std::cell::RefCell;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ::report::{Timestamp, count, counted};
use agent::{Place, Recording, Settings, Watch};
use alerts::{AllowedFact, Baseline, Limits, Rate};
use anyhow::Context as _;
use behaviour::{Behaviour, Redaction};
use clap::Args;
use containers::engine::Sockets;
use event::{Payload, SyscallNames};
use jiff::tz::TimeZone;
use rules::{Priority, Subject};
use sinks::{Sinks, Spec};

use crate::exit;
use crate::observe::{ObserveArgs, explain};
use crate::report::{load_all, wants_colour};
use crate::signals::Signals;
use crate::{streams, units};
use evidence::{Evidence, EvidenceArgs};
use normal::{Comparison, container};
use office::{Office, Witness};
use ruleset::Rules;
use state::State;

/// Look for what should not happen in containers, by rules and by what is not in their baselines.
///
/// Without a name every container is watched. The rules that come with ringfence are on; more of them, in Falco's language, come from
/// files. A baseline says what is normal: reports of earlier runs, or what is learnt first. Each thing that is found is one alert,
/// however often it happens: what is the same again is counted, and told once a minute and at the end. Ends with Ctrl-C or after
/// --for.
///
/// Exit codes: 0 nothing was found and nothing is missing; 1 something was found, or events or alerts were lost; 2 not done.
///
/// Needs the same privileges as `ringfence record`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ringfence detect                                   every container, by the rules that come with it
  ringfence detect web --rules my-rules/ --for 1h
  ringfence detect web --baseline web-*.json         also what no report of `web` shows
  ringfence detect --baseline auto=30m               also what was not seen in the first half hour
  ringfence detect --sink syslog --sink 'webhook:http://127.0.0.1:8080/alerts'
  ringfence detect --sink file:/var/log/ringfence.ndjson,size=50M,keep=10
  ringfence detect --sink 'exec:[\"/usr/local/bin/notify\",\"--from\",\"ringfence\"]'
  ringfence detect --priority warning --format json | jq -r .output
  ringfence allow 8d0c21f7b3aa                       that was right: do not tell it again

Sinks (--sink, as often as wanted; standard output without any):
  stdout[:text|json]                             standard output
  file:PATH[,size=10M][,keep=5][,form=text]      a file that is begun anew when it is large; JSON lines
  syslog                                         syslog (RFC 5424) at /dev/log
  syslog:unix:PATH, syslog:udp:HOST:PORT, syslog:tcp:HOST:PORT   elsewhere; [,form=json]
  webhook:http://HOST[:PORT]/PATH[,spool=16M]    a POST of JSON for each alert; what it misses waits on disk
  alertmanager:http://HOST[:PORT][,spool=16M]    Alertmanager, version 2 of its API
  unix:PATH                                      a unix socket, JSON lines
  exec:/PROGRAM or exec:[\"/PROGRAM\",\"ARG\"][,time=10s]   a program for each alert, which it gets as JSON on its input
  none                                           nowhere but the state folder")]
pub(crate) struct DetectArgs {
    /// Containers by name, id or beginning of the id (at least 4 characters).
    #[arg(value_name = "NAME|ID")]
    targets: Vec<String>,

    #[command(flatten)]
    observe: ObserveArgs,

    /// Rules from this file, or from all .yaml files of this folder.
    #[arg(long, value_name = "FILE|DIR")]
    rules: Vec<PathBuf>,

    /// Without the rules that come with ringfence.
    #[arg(long)]
    no_shipped_rules: bool,

    /// What is normal: reports or merged files, or containers' names, as `ringfence report` takes them; or `auto`, `auto=30m`: what
    /// is seen in that time first (ten minutes).
    #[arg(long, value_name = "REPORT…|auto[=DURATION]", num_args = 1..)]
    baseline: Vec<OsString>,

    /// Where alerts go: see below.
    #[arg(long, value_name = "KIND:…", value_parser = sink)]
    sink: Vec<Spec>,

    /// Only alerts that matter at least so much: emergency, alert, critical, error, warning, notice, informational, debug.
    #[arg(long, value_name = "PRIORITY", default_value = "debug", value_parser = priority)]
    priority: Priority,

    /// So many different alerts of one rule in one container are told at once, and so many more in this time.
    #[arg(long, value_name = "N/DURATION", default_value = "20/1m", value_parser = rate)]
    rate: Rate,

    #[command(flatten)]
    evidence: EvidenceArgs,

    /// How they are shown on standard output [default: text on a terminal, else json].
    #[arg(long, value_enum)]
    format: Option<Format>,

    /// The folder for the last alerts, for what was allowed, and for what sinks could not take.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,

    /// Do not say what is looked for.
    #[arg(long, short)]
    quiet: bool,

    /// Print the JSON Schema of alerts instead.
    #[arg(long)]
    schema: bool,
}

/// How alerts are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people: a head, and lines below it.
    Text,
    /// One JSON object per line.
    Json,
}

fn sink(text: &str) -> Result<Spec, String> {
    Spec::parse(text).map_err(|error| error.to_string())
}

fn priority(text: &str) -> Result<Priority, String> {
    let names = Priority::ALL.map(Priority::name).join(", ");
    Priority::from_name(text).ok_or_else(|| format!("it is one of {names}"))
}

fn rate(text: &str) -> Result<Rate, String> {
    let wrong = || format!("`{text}`: write a number, a slash and a duration, such as 20/1m");
    let (number, time) = text.split_once('/').ok_or_else(wrong)?;
    let burst = number.parse().ok().filter(|burst| (1..=1_000_000).contains(burst)).ok_or_else(wrong)?;
    let per = units::duration(time)?;
    let per_ns = u64::try_from(per.as_nanos()).ok().filter(|per_ns| *per_ns > 0).ok_or_else(wrong)?;
    Ok(Rate { burst, per_ns })
}

/// How long it looks for nothing but events.
const STEP: Duration = Duration::from_millis(200);
/// How often what containers have done is compared with baselines, beside the events.
const COMPARE_EVERY: Duration = Duration::from_secs(2);
/// How long it is learnt, if nobody says.
const LEARN: Duration = Duration::from_secs(600);
/// How long sinks have at the end.
const LAST_PATIENCE: Duration = Duration::from_secs(3);

pub(crate) fn run(args: &DetectArgs) -> anyhow::Result<ExitCode> {
    if args.schema {
        crate::streams::print(alerts::Alert::schema())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut signals = Signals::catch().context("cannot catch signals")?;
    let state = State::at(args.state.as_deref())?;
    let exceptions = state.exceptions()?.map(|text| (state.exceptions_path(), text));
    let rules = Rules::load(!args.no_shipped_rules, &args.rules, exceptions, args.priority)?;
    let comparison = comparison(args, &state)?;
    anyhow::ensure!(
        rules.has_active() || comparison.is_some(),
        "there is nothing to look for: no rule is active, and there is no --baseline"
    );
    state.make()?;
    let evidence = args.evidence.start()?;
    let witness = evidence.as_ref().map(Evidence::witness);
    let office = Rc::new(RefCell::new(office(args, &state, witness)?));
    if !args.quiet {
        rules.sentences().iter().for_each(|said| say(said));
    }
    let actions = rules.actions();
    let detector = Detector {
        rules,
        comparison,
        office: Rc::clone(&office),
        evidence: evidence.as_ref().map(Evidence::share),
        is_quiet: args.quiet,
    };
    let shows = args.sink.is_empty() || args.sink.iter().any(Spec::is_stdout);
    let mut recording = Recording::start(Settings {
        targets: args.observe.targets(&args.targets),
        ring_bytes: args.observe.buffer,
        events: None,
        names: SyscallNames::builtin(),
        trace: None,
        file_bytes: false,
        terminal_bytes: 0,
        actions,
        redaction: Redaction::default(),
        watch: Some(Box::new(detector)),
        sockets: Sockets::usual(Path::new("/")),
        as_old_kernel: args.observe.as_old_kernel,
        save: None,
    })
    .map_err(explain)?;
    if !args.quiet {
        eprintln!("detecting{}", args.observe.ends_when());
    }
    let began = Instant::now();
    let mut has_said_losses = false;
    while signals.take().is_none() {
        let left = args.observe.duration.map(|duration| duration.saturating_sub(began.elapsed()));
        if left.is_some_and(|left| left.is_zero()) || recording.is_over()? || (shows && streams::is_reader_gone()) {
            break;
        }
        recording.step(left.map_or(STEP, |left| left.min(STEP)))?;
        office.borrow_mut().look(now()).iter().for_each(|said| say(said));
        evidence.iter().flat_map(|evidence| evidence.look(now())).for_each(|said| say(&said));
        if !has_said_losses && recording.lost_events() > 0 {
            has_said_losses = true;
            say("events are being lost, so something may not be found; how many is said at the end");
        }
    }
    let ended = recording.finish()?;
    let Some(office) = Rc::into_inner(office) else { anyhow::bail!("somebody still watches") };
    let (counts, said, not_arrived) = office.into_inner().finish(now(), LAST_PATIENCE);
    said.iter().for_each(|said| say(said));
    let (sentences, without_evidence) = evidence.map(Evidence::finish).transpose()?.unwrap_or_default();
    sentences.iter().for_each(|said| say(said));
    if !args.quiet {
        say(&format!(
            "{}, {} told, {} the same as one that was told, {} suppressed, {} not delivered",
            counted(counts.made, "alert", "alerts"),
            count(counts.emitted),
            count(counts.grouped),
            count(counts.suppressed),
            count(not_arrived),
        ));
    }
    if ended.lost_events > 0 {
        say(&format!("{} events were lost and not looked at: a larger --buffer loses fewer", count(ended.lost_events)));
    }
    if ended.not_recorded > 0 {
        say(&format!("{} containers were not watched: no slot was free for them", count(ended.not_recorded)));
    }
    let is_clean = counts.made == 0
        && not_arrived == 0
        && without_evidence == 0
        && ended.lost_events == 0
        && ended.not_recorded == 0;
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::from(exit::FINDINGS) })
}

/// A sentence on standard error.
fn say(sentence: &str) {
    eprintln!("ringfence: {sentence}");
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ns(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// The desk and all sinks, opened.
fn office(args: &DetectArgs, state: &State, witness: Option<Witness>) -> anyhow::Result<Office> {
    let is_terminal = io::stdout().is_terminal();
    let mut specs = args.sink.clone();
    if specs.is_empty() || args.format.is_some() && !specs.iter().any(Spec::is_stdout) {
        let text = match args.format {
            None => "stdout",
            Some(Format::Text) => "stdout:text",
            Some(Format::Json) => "stdout:json",
        };
        specs.push(Spec::parse(text)?);
    }
    // What is kept for `allow` is a sink like others.
    specs.push(Spec::parse(&state.sink())?);
    let mut sinks = Sinks::default();
    for spec in specs {
        let (zone, has_colour) = (TimeZone::system(), wants_colour());
        let paint = Box::new(move |alert: &alerts::Alert| alerts::lines(alert, &time(alert, &zone), has_colour));
        spec.open(&mut sinks, paint, is_terminal, state.path())?;
    }
    let limits = Limits { rate: args.rate, ..Limits::default() };
    Ok(Office::new(limits, sinks, args.priority, witness))
}

/// The local time of day.
fn time(alert: &alerts::Alert, zone: &TimeZone) -> String {
    let at = jiff::Timestamp::from_nanosecond(i128::from(alert.last_seen.unix_ns()));
    let zoned = at.map(|time| time.to_zoned(zone.clone()));
    zoned.map_or_else(|_| "--:--:--.---".into(), |zoned| zoned.strftime("%H:%M:%S.%3f").to_string())
}

/// What is normal, if anybody says.
fn comparison(args: &DetectArgs, state: &State) -> anyhow::Result<Option<Comparison>> {
    if args.baseline.is_empty() {
        return Ok(None);
    }
    let mut learning = None;
    let mut reports = Vec::new();
    for name in &args.baseline {
        match name.to_str().map(|name| (name, name.strip_prefix("auto="))) {
            Some(("auto", _)) => learning = Some(LEARN),
            Some((_, Some(time))) => learning = Some(units::duration(time).map_err(anyhow::Error::msg)?),
            _ => reports.extend(load_all(name, None).with_context(|| {
                // Whoever writes `--baseline auto=1h web` means a container to be watched.
                let name = event::Text::new(name.as_encoded_bytes());
                format!("--baseline {}: containers to watch are named before --baseline", name.shown())
            })?),
        }
    }
    let allowed: Vec<AllowedFact> = state.allowed()?.allowed;
    let baseline = Baseline::of(&reports, allowed);
    if !args.quiet {
        for normal in baseline.normal() {
            let gaps = if normal.is_incomplete { "; not all is in its reports, so more may be normal" } else { "" };
            say(&format!(
                "baseline of {}: {} in {}{gaps}",
                normal::workload_name(&normal.workload, &alerts::Container::default()),
                counted(normal.len() as u64, "thing is normal", "things are normal"),
                counted(normal.runs as u64, "run", "runs"),
            ));
        }
        if !baseline.allowed().is_empty() {
            let many = counted(baseline.allowed().len() as u64, "thing is", "things are");
            say(&format!("{many} allowed beside it in {}", state.allowed_path().display()));
        }
    }
    let learning_ns = learning.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    Ok(Some(Comparison::new(baseline, learning_ns)))
}

/// Looks at everything that happens.
struct Detector {
    rules: Rules,
    comparison: Option<Comparison>,
    office: Rc<RefCell<Office>>,
    evidence: Option<Evidence>,
    is_quiet: bool,
}

impl Detector {
    fn say(&mut self) {
        let said = self.comparison.as_mut().map(Comparison::sentences).unwrap_or_default();
        if !self.is_quiet {
            said.iter().for_each(|said| say(said));
        }
    }
}

impl Drop for Detector {
    fn drop(&mut self) {
        if let Some(comparison) = &mut self.comparison {
            comparison.end();
        }
        self.say();
    }
}

impl Watch for Detector {
    fn event(&mut self, subject: &Subject<'_>, place: &Place<'_>) -> io::Result<bool> {
        if let Some(evidence) = &self.evidence {
            evidence.note(place.run, subject);
        }
        let mut office = self.office.borrow_mut();
        let suspect = (process_of(subject).id, place.run);
        self.rules.alerts(
            subject,
            || container(place),
            |alert| {
                office.take(alert, Some(suspect));
            },
        );
        if let Some(comparison) = &mut self.comparison {
            comparison.event(subject, place, &mut office);
            drop(office);
            self.say();
        }
        Ok(true)
    }

    fn looks_at(&self, payload: &Payload) -> bool {
        self.comparison.is_some() || self.evidence.is_some() || self.rules.wakes(payload)
    }

    fn behaviour(&mut self, behaviour: &Behaviour, place: &Place<'_>, boot_ns: u64, is_last: bool) -> io::Result<()> {
        if let Some(comparison) = &mut self.comparison {
            comparison.behaviour(behaviour, place, boot_ns, is_last, &mut self.office.borrow_mut());
        }
        self.say();
        Ok(())
    }

    fn behaviour_every(&self) -> Option<Duration> {
        self.comparison.as_ref().map(|_| COMPARE_EVERY)
    }

    fn wants_context(&self) -> bool {
        self.rules.has_active()
    }
}

/// What alerts say of the process that an event is of.
fn process_of(subject: &Subject<'_>) -> alerts::Process {
    let process = &subject.process;
    let exec = match subject.payload {
        Payload::Exec(exec) => Some(exec),
        _ => subject.context.exec,
    };
    alerts::Process {
        id: event::ProcessId { pid: process.pid, start_ns: process.start },
        name: process.name.clone(),
        executable: process.executable.cloned(),
        argv: exec.map(|exec| exec.argv.clone()).unwrap_or_default(),
        parent: process.parent.and_then(|parent| parent.executable).cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_and_a_time() {
        assert_eq!(rate("5/1h"), Ok(Rate { burst: 5, per_ns: 3_600_000_000_000 }));
        for wrong in ["5", "0/1m", "x/1m", "5/0s", "5/day"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_rules_that_come_with_it_are_all_active() {
        let rules = Rules::load(true, &[], None, Priority::Debug).expect("they are right");

        let said = rules.sentences();

        assert!(said[0].ends_with("rules are active"), "{said:?}");
        assert!(!said.iter().any(|said| said.contains("not active")), "{said:?}");
        assert!(rules.actions().is_some_and(|actions| actions.calls.iter().any(|call| call.name == "openat")));
    }
}
