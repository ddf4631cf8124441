//! `ringfence record`.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use agent::{EventFormat, LaunchError, Progress, Recording, Settings, Watcher};
use anyhow::Context as _;
use behaviour::Redaction;
use clap::Args;
use containers::engine::Sockets;
use event::{Arch, SyscallNames};

use crate::observe::{ObserveArgs, explain};
use crate::signals::Signals;
use crate::{exit, trace, units};

/// The command could not be recorded because of us, in the manner of `docker run`.
const OWN_FAILURE: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Record what containers, or one command, do; write a report of each.
///
/// Without a name every container is recorded. A name may be of a container that does not exist yet. Ends with Ctrl-C,
/// after --for, or with the command; a report of each container is written when it ends, or then.
///
/// Needs root, or the capabilities CAP_BPF, CAP_PERFMON and CAP_SYS_RESOURCE, and write access to the cgroup tree for a
/// command of its own.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ringfence record -- curl -sI http://localhost    record one command; no container engine is needed
  ringfence record --all                           every container, until Ctrl-C
  ringfence record web db --for 5m                 two containers by name, for five minutes
  ringfence record --image 'nginx:*' --out reports every container of an image")]
pub(crate) struct RecordArgs {
    /// Containers by name, id or beginning of the id (at least 4 characters).
    #[arg(value_name = "NAME|ID")]
    names: Vec<String>,

    #[command(flatten)]
    observe: ObserveArgs,

    /// The folder for the reports [default: /var/lib/ringfence/reports as root, else ~/.local/state/ringfence/reports].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Also write every event to this file; its name ends with .ndjson or .csv.
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,

    /// Count the bytes read and written for each file, not only for each mount: each read and write costs a little more.
    #[arg(long)]
    file_bytes: bool,

    /// Also keep what is typed and shown on terminals, so many bytes for each container and phase [64K if no size is given].
    ///
    /// Nothing is kept that the terminal did not show: of passwords only the number of bytes. What looks like a secret is taken
    /// out, by a built-in list of patterns and by those of --redact. It is in the report, never among the events.
    #[arg(long, value_name = "SIZE", num_args = 0..=1, require_equals = true, default_missing_value = "64K",
          value_parser = units::terminal_bytes)]
    terminal: Option<u32>,

    /// Take what matches this regular expression out of what was typed and shown: its first group, or all of it.
    #[arg(long, requires = "terminal", value_name = "REGEX")]
    redact: Vec<String>,

    /// Names for system calls newer than this program: lines of `NUMBER NAME`, or the kernel's own syscall_64.tbl.
    #[arg(long, value_name = "FILE")]
    syscall_table: Option<PathBuf>,

    /// Print each system call as it returns: arguments, result, duration. On standard error if a command is run.
    #[arg(long)]
    trace_syscalls: bool,

    /// Trace only threads with this name.
    #[arg(long, requires = "trace_syscalls", value_name = "NAME")]
    pub(crate) comm: Option<String>,

    /// Trace only this user's calls.
    #[arg(long, requires = "trace_syscalls", value_name = "UID")]
    pub(crate) uid: Option<u32>,

    /// Trace only these calls, by name or number.
    #[arg(long, requires = "trace_syscalls", value_name = "NAME,…", value_delimiter = ',')]
    pub(crate) syscall: Vec<String>,

    /// Trace only calls that fail.
    #[arg(long, requires = "trace_syscalls")]
    pub(crate) failed: bool,

    /// Stop after this many traced calls.
    #[arg(long, requires = "trace_syscalls", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_events: Option<u64>,

    /// Do not show progress.
    #[arg(long, short)]
    quiet: bool,

    /// The command to record, and its arguments.
    #[arg(last = true, value_name = "COMMAND", conflicts_with_all = ["names", "all", "image", "label", "cgroup", "pid"])]
    command: Vec<OsString>,
}

pub(crate) fn run(args: RecordArgs) -> anyhow::Result<ExitCode> {
    let of_command = !args.command.is_empty();
    match record(args) {
        Ok(code) => Ok(code),
        Err(error) if of_command => {
            exit::print(&error);
            let code = match error.chain().find_map(|cause| cause.downcast_ref::<LaunchError>()) {
                Some(LaunchError::NotFound(_)) => NOT_FOUND,
                Some(LaunchError::NotExecutable(_) | LaunchError::Exec { .. }) => NOT_EXECUTABLE,
                _ => OWN_FAILURE,
            };
            Ok(ExitCode::from(code))
        }
        Err(error) => Err(error),
    }
}

fn record(args: RecordArgs) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::catch().context("cannot catch signals")?;
    let settings = settings(&args)?;
    let mut recording = Recording::start(settings).map_err(explain)?;
    if !args.command.is_empty() {
        recording.launch(&args.command)?;
    }
    if !args.quiet {
        let ends_when = args.observe.ends_when();
        let of_command = !args.command.is_empty() && args.observe.duration.is_none();
        eprintln!("recording{}", if of_command { "" } else { &ends_when });
    }
    let quiet = args.quiet || args.trace_syscalls || !std::io::stderr().is_terminal();
    let patience = if args.command.is_empty() { Duration::from_millis(200) } else { Duration::from_millis(10) };
    run_until_over(&mut recording, &mut signals, args.observe.duration, patience, quiet)?;
    let ended = recording.finish()?;
    if !args.quiet {
        for path in &ended.reports {
            eprintln!("report: {}", path.display());
        }
        if ended.reports.is_empty() {
            eprintln!("no container was observed: no report was written");
        }
    }
    if ended.not_recorded > 0 {
        eprintln!("ringfence: {} containers were not recorded: no slot was free for them", ended.not_recorded);
    }
    Ok(match ended.command {
        Some(status) => command_code(status),
        None if ended.with_gaps > 0 || ended.not_recorded > 0 => ExitCode::from(exit::FINDINGS),
        None => ExitCode::SUCCESS,
    })
}

/// Takes in what happens until a signal comes, the time is over, or there is nothing more to record.
pub(crate) fn run_until_over(
    recording: &mut Recording,
    signals: &mut Signals,
    duration: Option<Duration>,
    patience: Duration,
    quiet: bool,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut line = ProgressLine::new(quiet);
    // The first signal is the command's business, if there is one; the next ends the recording without it.
    let mut handed_on = false;
    loop {
        if let Some(signal) = signals.take() {
            if handed_on || !recording.hand_on(signal.number, signal.from_terminal) {
                break;
            }
            handed_on = true;
        }
        if duration.is_some_and(|duration| began.elapsed() >= duration) || recording.is_over()? {
            break;
        }
        let left = duration.map_or(Duration::MAX, |duration| duration.saturating_sub(began.elapsed()));
        recording.step(left.min(patience))?;
        line.show(&recording.progress());
    }
    line.clear();
    Ok(())
}

fn settings(args: &RecordArgs) -> anyhow::Result<Settings> {
    let events = args
        .events
        .as_ref()
        .map(|path| {
            let format = EventFormat::of(path).with_context(|| {
                format!("cannot tell how to write {}: let its name end with .ndjson or .csv", path.display())
            })?;
            Ok::<_, anyhow::Error>((path.clone(), format))
        })
        .transpose()?;
    let mut names = SyscallNames::builtin();
    if let Some(path) = &args.syscall_table {
        let table =
            std::fs::read_to_string(path).with_context(|| format!("cannot read the table {}", path.display()))?;
        names.extend(Arch::NATIVE, &table).with_context(|| format!("the table {} is wrong", path.display()))?;
    }
    let trace = args.trace_syscalls.then(|| trace::filter(args, &names)).transpose()?;
    let printer = || trace::printer(names.clone(), !args.command.is_empty(), args.max_events);
    let watch = args.trace_syscalls.then(|| Box::new(printer()) as Watcher);
    let folder = store::Folder::open(args.out.as_deref())?;
    Ok(Settings {
        targets: args.observe.targets(&args.names),
        ring_bytes: args.observe.buffer,
        events,
        names,
        trace,
        file_bytes: args.file_bytes,
        terminal_bytes: args.terminal.unwrap_or(0),
        actions: None,
        redaction: redaction(&args.redact)?,
        watch,
        sockets: Sockets::usual(Path::new("/")),
        as_old_kernel: args.observe.as_old_kernel,
        save: Some(Box::new(move |report| Ok(folder.write(report)?))),
    })
}

fn redaction(patterns: &[String]) -> anyhow::Result<Redaction> {
    patterns.iter().try_fold(Redaction::default(), |redaction, pattern| {
        redaction
            .and(pattern)
            .with_context(|| format!("--redact {pattern}: this is no regular expression that can be used"))
    })
}

fn command_code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    ExitCode::from(u8::try_from(code).unwrap_or(OWN_FAILURE))
}

/// One line on a terminal that is written over and over.
struct ProgressLine {
    quiet: bool,
    shown: bool,
    last: Instant,
    events: u64,
}

impl ProgressLine {
    fn new(quiet: bool) -> ProgressLine {
        ProgressLine { quiet, shown: false, last: Instant::now(), events: 0 }
    }

    fn show(&mut self, progress: &Progress) {
        let elapsed = self.last.elapsed();
        if self.quiet || elapsed < Duration::from_millis(500) {
            return;
        }
        let rate = (progress.events - self.events) as f64 / elapsed.as_secs_f64();
        eprint!(
            "\r\x1b[K{} containers, {} programs started, {rate:.0} events/s, {} lost, {} reports",
            progress.containers, progress.execs, progress.lost, progress.reports
        );
        let _ = std::io::stderr().flush();
        self.shown = true;
        self.last = Instant::now();
        self.events = progress.events;
    }

    fn clear(&mut self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}
