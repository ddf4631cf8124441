//! `ringfence record`.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use agent::{EventFormat, LaunchError, Progress, Recording, Settings, StartError, Target};
use anyhow::Context as _;
use clap::Args;
use containers::engine::Sockets;
use event::{Arch, SyscallNames};

use crate::signals::Signals;
use crate::{exit, privilege, trace, units};

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

    /// Every container (the default if nothing is named).
    #[arg(long)]
    all: bool,

    /// Containers of this image; `*` stands for anything.
    #[arg(long, value_name = "PATTERN")]
    image: Vec<String>,

    /// Containers with this label.
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    label: Vec<(String, String)>,

    /// The cgroup with this path (as in /proc/PID/cgroup), also before it exists.
    #[arg(long, value_name = "PATH")]
    cgroup: Vec<String>,

    /// A process that is in no container, with its children.
    #[arg(long, value_name = "PID")]
    pid: Vec<u32>,

    /// Stop after this time: 500ms, 30s, 5m, 2h.
    #[arg(long = "for", value_name = "DURATION", value_parser = units::duration)]
    duration: Option<Duration>,

    /// The folder for the reports [default: /var/lib/ringfence/reports as root, else ~/.local/state/ringfence/reports].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Also write every event to this file; its name ends with .ndjson or .csv.
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,

    /// The size of the kernel's ring buffer: a power of two, such as 8M.
    #[arg(long, value_name = "SIZE", default_value = "8M", value_parser = units::ring_bytes)]
    buffer: u32,

    /// Count the bytes read and written for each file, not only for each mount: each read and write costs a little more.
    #[arg(long)]
    file_bytes: bool,

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

    /// Behave as on a kernel before 5.17.
    #[arg(long, hide = true)]
    as_old_kernel: bool,

    /// The command to record, and its arguments.
    #[arg(last = true, value_name = "COMMAND", conflicts_with_all = ["names", "all", "image", "label", "cgroup", "pid"])]
    command: Vec<OsString>,
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is no label: write KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
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
        eprintln!("recording{}", ends_when(&args));
    }
    let quiet = args.quiet || args.trace_syscalls || !std::io::stderr().is_terminal();
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
        if args.duration.is_some_and(|duration| began.elapsed() >= duration) || recording.is_over()? {
            break;
        }
        let left = args.duration.map_or(Duration::MAX, |duration| duration.saturating_sub(began.elapsed()));
        let patience = if args.command.is_empty() { Duration::from_millis(200) } else { Duration::from_millis(10) };
        recording.step(left.min(patience))?;
        line.show(&recording.progress());
    }
    line.clear();
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

fn settings(args: &RecordArgs) -> anyhow::Result<Settings> {
    let mut targets: Vec<Target> = args.names.iter().cloned().map(Target::Name).collect();
    targets.extend(args.image.iter().cloned().map(Target::Image));
    targets.extend(args.label.iter().cloned().map(|(key, value)| Target::Label(key, value)));
    targets.extend(args.cgroup.iter().map(|path| Target::Cgroup(path.clone().into_bytes())));
    targets.extend(args.pid.iter().copied().map(Target::Pid));
    if args.all || targets.is_empty() {
        targets = vec![Target::All];
    }
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
    let watch = args.trace_syscalls.then(|| trace::printer(names.clone(), !args.command.is_empty(), args.max_events));
    let folder = store::Folder::open(args.out.as_deref())?;
    Ok(Settings {
        targets,
        ring_bytes: args.buffer,
        events,
        names,
        trace,
        file_bytes: args.file_bytes,
        watch,
        sockets: Sockets::usual(Path::new("/")),
        as_old_kernel: args.as_old_kernel,
        save: Box::new(move |report| Ok(folder.write(report)?)),
    })
}

/// What is missing, in the words of somebody who can do something about it.
fn explain(error: StartError) -> anyhow::Error {
    let missing = privilege::missing();
    if missing.is_empty() {
        return error.into();
    }
    anyhow::Error::from(error).context(format!(
        "recording needs {}, which this process does not have: run it as root with these capabilities, as with `sudo \
         ringfence record …`",
        missing.join(" and ")
    ))
}

fn ends_when(args: &RecordArgs) -> String {
    match (args.duration, args.command.is_empty()) {
        (Some(duration), _) => format!(" for {duration:?}; Ctrl-C ends it now"),
        (None, true) => "; Ctrl-C ends it".into(),
        (None, false) => String::new(),
    }
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
