//! `ringfence watch`.

mod line;
mod output;
mod words;

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use agent::{ActionCall, ActionCalls, Recording, Settings, Watcher};
use anyhow::Context as _;
use behaviour::Redaction;
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use containers::engine::Sockets;
use event::{Arch, Payload, SyscallNames, Text};
use rules::{Condition, Subject};

use crate::exit;
use crate::observe::{ObserveArgs, explain};
use crate::signals::Signals;
use crate::streams;
pub(crate) use line::describe;
use output::Output;

/// Show what containers do while they do it, one line for each event.
///
/// Without a name every container is watched. A condition says which events are shown: it begins with a field's name,
/// `not` or a parenthesis, and is best put into quotes. `ringfence fields` prints the names that it can have. Nothing
/// is kept. Ends with Ctrl-C, after --for or --max-events, or when nobody reads any more.
///
/// Needs the same privileges as `ringfence record`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ringfence watch                                      all that happens in any container
  ringfence watch web --kind exec,exit                 programs of one container, as they begin and end
  ringfence watch web --calls connect,ptrace --kind action
  ringfence watch 'exec.argv contains -c and not process.name in (nginx, sh)'
  ringfence watch --image 'nginx:*' 'exit.signal > 0' --for 1h
  ringfence watch web --format json | jq -r .exec.cwd   what a condition calls exec.cwd")]
pub(crate) struct WatchArgs {
    /// Containers by name, id or beginning of the id (at least 4 characters); then a condition.
    #[arg(value_name = "NAME|ID|CONDITION")]
    words: Vec<String>,

    #[command(flatten)]
    observe: ObserveArgs,

    /// Only these kinds of events.
    #[arg(long, value_name = "KIND,…", value_delimiter = ',', value_parser = PossibleValuesParser::new(Payload::KINDS))]
    kind: Vec<String>,

    /// Also these system calls, whatever becomes of them: of all that a program makes alike the first. And what each program is
    /// when it begins.
    #[arg(long, value_name = "CALL,…", value_delimiter = ',', value_parser = call_name)]
    calls: Vec<String>,

    /// How to show them [default: text on a terminal, else json].
    #[arg(long, value_enum)]
    format: Option<Format>,

    /// Stop after this many events.
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_events: Option<u64>,

    /// Do not say when it begins.
    #[arg(long, short)]
    quiet: bool,
}

/// How events are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people: one line each, cut at the width of the terminal.
    Text,
    /// One JSON object per line, in which .exec.cwd is the field exec.cwd.
    Json,
    /// The fields that every event has, and the others as JSON.
    Csv,
}

/// Which events are shown.
struct Filter {
    kinds: Vec<String>,
    condition: Option<Condition>,
}

impl Filter {
    fn new(kinds: &[String], condition: Option<&str>, calls: &[String]) -> anyhow::Result<Filter> {
        let condition = condition.map(Condition::parse).transpose()?;
        let names = |asked: &str| {
            let is_of_it = |name: &str| name.strip_prefix(asked).is_some_and(|rest| rest.starts_with('.'));
            kinds.iter().any(|kind| kind == asked)
                || condition.iter().flat_map(Condition::fields).any(|field| is_of_it(&field.name))
        };
        // Calls are counted and become no events unless they are asked for: silence would look like an answer.
        anyhow::ensure!(
            !names("syscall"),
            "system calls are counted, not watched: `ringfence record --trace-syscalls` prints each of them, and --calls \
             watches some, each as an `action`"
        );
        for kind in ["action", "image"] {
            anyhow::ensure!(
                !calls.is_empty() || !names(kind),
                "the kind {kind} is only told with --calls, which says which system calls are looked at"
            );
        }
        Ok(Filter { kinds: kinds.to_vec(), condition })
    }

    fn wants(&self, subject: &Subject<'_>) -> bool {
        (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == subject.event.kind))
            && self.condition.as_ref().is_none_or(|condition| condition.matches(subject))
    }
}

/// A system call that some program on this machine may make.
fn call_name(name: &str) -> Result<String, String> {
    let names = SyscallNames::builtin();
    let known = Arch::ALL.into_iter().any(|arch| names.number(arch, name).is_some());
    if known { Ok(name.to_owned()) } else { Err("no system call has this name".into()) }
}

/// How long it looks for nothing but events.
const STEP: Duration = Duration::from_millis(200);

pub(crate) fn run(args: &WatchArgs) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::catch().context("cannot catch signals")?;
    let (names, condition) = words::split(&args.words);
    let filter = Filter::new(&args.kind, condition.as_deref(), &args.calls)?;
    let is_terminal = std::io::stdout().is_terminal();
    let format = args.format.unwrap_or(if is_terminal { Format::Text } else { Format::Json });
    let output = Output::new(format).context("cannot write to standard output")?;
    let mut recording = Recording::start(Settings {
        targets: args.observe.targets(&names),
        ring_bytes: args.observe.buffer,
        events: None,
        names: SyscallNames::builtin(),
        trace: None,
        file_bytes: false,
        terminal_bytes: 0,
        actions: actions(&args.calls),
        redaction: Redaction::default(),
        watch: Some(watcher(filter, output, args.max_events)),
        sockets: Sockets::usual(Path::new("/")),
        as_old_kernel: args.observe.as_old_kernel,
        save: None,
    })
    .map_err(explain)?;
    if !args.quiet {
        eprintln!("watching{}", args.observe.ends_when());
    }
    let began = Instant::now();
    let mut losses = Losses::default();
    while signals.take().is_none() {
        let left = args.observe.duration.map(|duration| duration.saturating_sub(began.elapsed()));
        if left.is_some_and(|left| left.is_zero()) || recording.is_over()? {
            break;
        }
        if streams::is_reader_gone() {
            return Ok(ExitCode::SUCCESS);
        }
        recording.step(left.map_or(STEP, |left| left.min(STEP)))?;
        losses.look(&recording);
    }
    let ended = recording.finish()?;
    if ended.lost_events > 0 {
        eprintln!("ringfence: {} events were lost and not shown: a larger --buffer loses fewer", ended.lost_events);
    }
    if ended.not_recorded > 0 {
        eprintln!("ringfence: {} containers were not watched: no slot was free for them", ended.not_recorded);
    }
    let is_whole = ended.lost_events == 0 && ended.not_recorded == 0;
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(exit::FINDINGS) })
}

fn actions(calls: &[String]) -> Option<ActionCalls> {
    let call = |name: &String| ActionCall { name: name.clone(), also_failed: true };
    (!calls.is_empty()).then(|| ActionCalls { calls: calls.iter().map(call).collect(), environment: false })
}

fn watcher(filter: Filter, mut output: Output, max_events: Option<u64>) -> Watcher {
    let mut left = max_events.unwrap_or(u64::MAX);
    Box::new(move |subject: &Subject<'_>| {
        if filter.wants(subject) {
            output.write(subject)?;
            left -= 1;
        }
        Ok(left > 0)
    })
}

/// Says once, while it watches, that events are lost.
#[derive(Default)]
struct Losses {
    looked: Option<Instant>,
    said: bool,
}

impl Losses {
    fn look(&mut self, recording: &Recording) {
        if self.said || self.looked.is_some_and(|looked| looked.elapsed() < Duration::from_secs(1)) {
            return;
        }
        self.looked = Some(Instant::now());
        if recording.lost_events() > 0 {
            self.said = true;
            eprintln!("ringfence: events are being lost; how many is said at the end");
        }
    }
}

/// A name that somebody chose, for a terminal.
fn shown(name: &str) -> String {
    Text::from(name).shown().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_refused_with_what_prints_them() {
        for (kinds, condition) in [(vec!["syscall".to_owned()], None), (vec![], Some("syscall.number = 1"))] {
            let error = Filter::new(&kinds, condition, &[]).err().expect("refused");
            assert!(error.to_string().contains("record --trace-syscalls"), "{error}");
        }
    }

    #[test]
    fn actions_are_refused_unless_calls_are_named() {
        let open = ["open".to_owned()];
        for (kinds, condition) in [
            (vec!["action".to_owned()], None),
            (vec!["image".to_owned()], None),
            (vec![], Some("action.result < 0")),
            (vec![], Some("image.upper_layer = true")),
        ] {
            let error = Filter::new(&kinds, condition, &[]).err().expect("refused");
            assert!(error.to_string().contains("only told with --calls"), "{error}");
            assert!(Filter::new(&kinds, condition, &open).is_ok(), "{kinds:?} {condition:?}");
        }
    }

    #[test]
    fn a_call_has_a_name_that_some_table_knows() {
        assert_eq!(call_name("connect"), Ok("connect".into()));
        assert!(call_name("conect").is_err());
    }

    #[test]
    fn every_kind_that_can_be_asked_for_is_one() {
        assert!(Payload::KINDS.contains(&"exec") && Payload::KINDS.contains(&"syscall"));
    }
}
