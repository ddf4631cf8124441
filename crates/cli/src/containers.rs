//! `ringfence containers`.

mod table;

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use ::containers::cgroupfs::Layout;
use ::containers::engine::{Metadata, Pod, Resolver, Role, Sockets};
use ::containers::list::{Running, RunningProcess, describe, running};
use ::containers::proc::{Namespaces, Proc};
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use event::{Capability, CapabilitySet, Text};
use report::Timestamp;
use serde::Serialize;

use crate::report::{terminal_width, wants_colour};

/// Show the containers that run now.
///
/// Every container that has a process is shown, whoever made it: told by its cgroup or by its namespaces, named by the
/// engine or the runtime where one answers. Confinement is what the kernel says of the first process, not what was asked
/// for. As an ordinary user you see less; what could not be seen is said.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ringfence containers                 one line each
  ringfence containers --processes     with their processes
  ringfence containers --format json   everything, for programs")]
pub(crate) struct ContainersArgs {
    /// Show the processes of each container, too.
    #[arg(long, short)]
    processes: bool,

    /// How to show them.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a terminal.
    Table,
    /// One document, described in docs/containers.md.
    Json,
}

/// What is shown; in JSON exactly this.
#[derive(Debug, Serialize)]
struct Listing {
    schema_version: u32,
    containers: Vec<Container>,
    not_seen: NotSeen,
}

/// What may be missing from the list.
#[derive(Debug, Default, Serialize)]
struct NotSeen {
    /// Processes that could not be read for lack of privilege.
    unreadable_processes: usize,
    /// Engines that are here and did not answer.
    engines: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Container {
    engine: &'static str,
    id: Text,
    name: Option<Text>,
    image: Option<Text>,
    image_digest: Option<Text>,
    role: Role,
    pod: Option<Pod>,
    inside: Option<Text>,
    cgroup: Option<Cgroup>,
    since: Timestamp,
    init: Process,
    uid: u32,
    seccomp: Seccomp,
    capabilities: Capabilities,
    no_new_privileges: Option<bool>,
    namespaces: Namespaces,
    /// Which source each name came from.
    sources: BTreeMap<String, &'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    processes: Option<Vec<Process>>,
}

#[derive(Debug, Serialize)]
struct Cgroup {
    path: Text,
    #[serde(with = "event::decimal")]
    id: u64,
}

#[derive(Debug, Serialize)]
struct Seccomp {
    mode: Option<&'static str>,
    filters: Option<u32>,
}

#[derive(Debug, Serialize)]
struct Capabilities {
    /// `all`, `none`, a few names, or how many.
    summary: String,
    effective: CapabilitySet,
    bounding: CapabilitySet,
}

#[derive(Debug, Serialize)]
struct Process {
    pid: u32,
    pid_inside: u32,
    comm: Text,
    /// The arguments; empty if they could not be read.
    command: Vec<Text>,
    is_command_truncated: bool,
}

pub(crate) fn run(args: &ContainersArgs) -> anyhow::Result<ExitCode> {
    let listing = list(args.processes)?;
    let output = match args.format {
        Format::Table => {
            let now = Timestamp::from_unix_ns(realtime_ns());
            table::table(&listing.containers, now, terminal_width(), wants_colour())
        }
        Format::Json => serde_json::to_string_pretty(&listing).context("cannot write JSON")? + "\n",
    };
    let mut out = io::stdout().lock();
    out.write_all(output.as_bytes()).and_then(|()| out.flush()).context("cannot write to standard output")?;
    for note in listing.not_seen.notes(rustix::process::geteuid().is_root()) {
        eprintln!("ringfence: {}", Text::from(note.as_str()));
    }
    Ok(ExitCode::SUCCESS)
}

impl NotSeen {
    fn notes(&self, is_root: bool) -> Vec<String> {
        let why = if is_root { "they have privileges that ringfence lacks" } else { "try with sudo" };
        let processes = (self.unreadable_processes > 0).then(|| {
            format!("not seen: {} processes and the containers that they may be in: {why}", self.unreadable_processes)
        });
        let engines = self.engines.iter().map(|engine| format!("some names may be missing: {engine}"));
        processes.into_iter().chain(engines).collect()
    }
}

fn list(with_processes: bool) -> anyhow::Result<Listing> {
    let proc = Proc::default();
    let layout = Layout::detect(&proc).context("cannot tell containers apart")?;
    let mut census = running(&proc, &layout).context("cannot list the processes")?;
    let known = Resolver::new(Sockets::usual(Path::new("/"))).list()?;
    describe(&mut census.containers, &known.containers);
    let last = last_capability();
    // From one reading of both clocks, so that all agree.
    let booted_ns = realtime_ns().saturating_sub(boot_ns());
    let containers = census
        .containers
        .into_iter()
        .map(|running| container(running, booted_ns, last, with_processes, |pid| proc.cmdline(pid).ok()))
        .collect();
    let engines = known.failed.iter().map(|tried| format!("{}: {}", tried.source.name(), tried.error)).collect();
    Ok(Listing {
        schema_version: 1,
        containers,
        not_seen: NotSeen { unreadable_processes: census.unreadable, engines },
    })
}

fn container(
    running: Running,
    booted_ns: u64,
    last: Capability,
    with_processes: bool,
    cmdline: impl Fn(u32) -> Option<::containers::proc::Cmdline>,
) -> Container {
    let process = |known: &RunningProcess| {
        let command = cmdline(known.pid).unwrap_or_default();
        Process {
            pid: known.pid,
            pid_inside: known.pid_inside,
            comm: known.comm.clone(),
            command: command.args.into_iter().map(Text::new).collect(),
            is_command_truncated: command.is_truncated,
        }
    };
    let confinement = &running.confinement;
    let known = running.metadata.as_deref();
    let text = |field: fn(&Metadata) -> Option<&String>| known.and_then(field).map(|text| text.as_str().into());
    let pod = known.and_then(|known| known.pod.clone()).or_else(|| {
        let uid = running.pod.clone()?;
        Some(Pod { uid: Some(uid), ..Pod::default() })
    });
    Container {
        engine: running.engine.name(),
        id: running.id.as_str().into(),
        name: text(|known| known.name.as_ref()),
        image: text(|known| known.image.as_ref()),
        image_digest: text(|known| known.image_digest.as_ref()),
        role: known.map(|known| known.role).unwrap_or_default(),
        pod,
        inside: running.inside.as_deref().map(Text::from),
        cgroup: running.cgroup.as_ref().map(|cgroup| Cgroup { path: cgroup.path.clone(), id: cgroup.id.0 }),
        since: Timestamp::from_unix_ns(booted_ns.saturating_add(running.init.start_ns)),
        init: process(&running.init),
        uid: confinement.uid,
        seccomp: Seccomp { mode: confinement.seccomp.map(|mode| mode.name()), filters: confinement.seccomp_filters },
        capabilities: Capabilities {
            summary: summary(confinement.capabilities, last),
            effective: confinement.capabilities,
            bounding: confinement.bounding,
        },
        no_new_privileges: confinement.no_new_privileges,
        namespaces: running.namespaces,
        sources: known
            .map(|known| known.sources.iter().map(|(field, source)| (field.clone(), source.name())).collect())
            .unwrap_or_default(),
        processes: with_processes.then(|| running.processes.iter().map(process).collect()),
    }
}

/// The most names that are spelled out.
const FEW: usize = 2;

fn summary(set: CapabilitySet, last: Capability) -> String {
    let count = set.iter().count();
    if set.is_empty() {
        "none".into()
    } else if set.is_full(last) {
        "all".into()
    } else if count <= FEW {
        let names = set.iter().map(|capability| capability.name().trim_start_matches("CAP_").to_owned());
        names.collect::<Vec<_>>().join(",")
    } else {
        count.to_string()
    }
}

/// The kernel's newest capability.
pub(crate) fn last_capability() -> Capability {
    let number = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").ok();
    number.and_then(|number| Capability::new(number.trim().parse().ok()?)).unwrap_or(Capability::LAST_NAMED)
}

fn realtime_ns() -> u64 {
    nanoseconds(rustix::time::ClockId::Realtime)
}

fn boot_ns() -> u64 {
    nanoseconds(rustix::time::ClockId::Boottime)
}

fn nanoseconds(clock: rustix::time::ClockId) -> u64 {
    let now = rustix::time::clock_gettime(clock);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use ::containers::cgroupfs::CgroupId;
    use ::containers::list::{Confinement, RunningCgroup};
    use ::containers::path::Engine;
    use ::containers::proc::{Cmdline, SeccompMode};

    use super::*;

    /// A container whose owner chose all that can be chosen.
    pub(super) fn hostile(processes: bool) -> Container {
        let init = RunningProcess { pid: 4321, pid_inside: 1, start_ns: 5_000_000_000, comm: Text::from("s\x1b[2Jh") };
        let running = Running {
            engine: Engine::Docker,
            id: "0123456789abcdef".repeat(4),
            pod: Some("6f1d".into()),
            inside: None,
            cgroup: Some(RunningCgroup { id: CgroupId(u64::MAX - 1), path: Text::from("/docker/\x07evil") }),
            init: init.clone(),
            namespaces: Namespaces::default(),
            confinement: Confinement {
                seccomp: Some(SeccompMode::Filter),
                seccomp_filters: Some(2),
                capabilities: CapabilitySet(0xa804_25fb),
                bounding: CapabilitySet(0xa804_25fb),
                no_new_privileges: Some(true),
                uid: 0,
            },
            processes: vec![init],
            metadata: None,
        };
        let mut container = container(running, 1_700_000_000_000_000_000, Capability::LAST_NAMED, processes, |_| {
            Some(Cmdline { args: vec![b"sh".to_vec(), b"\x1b]0;x\xff".to_vec()], is_truncated: false })
        });
        container.name = Some(Text::from("web\u{202e}"));
        container.image = Some(Text::from("registry.example/shop/web:1.2.3"));
        container
    }

    #[test]
    fn json_has_64_bit_ids_as_strings_and_bytes_exactly() {
        let json = serde_json::to_value(hostile(true)).expect("JSON");

        assert_eq!(json["cgroup"]["id"], "18446744073709551614");
        assert_eq!(json["since"], "2023-11-14T22:13:25.000000000Z");
        assert_eq!(json["processes"][0]["command"][1], "\u{1b}]0;x\\xff");
        assert_eq!(json["capabilities"]["effective"][0], "CAP_CHOWN");
        assert_eq!((&json["seccomp"]["mode"], &json["seccomp"]["filters"]), (&"filter".into(), &2.into()));
        assert_eq!(json["pod"]["uid"], "6f1d");
    }

    #[test]
    fn processes_are_left_out_unless_asked_for() {
        let json = serde_json::to_value(hostile(false)).expect("JSON");

        assert!(json.get("processes").is_none());
    }

    #[test]
    fn capabilities_are_all_none_a_few_names_or_a_number() {
        let of = |bits| summary(CapabilitySet(bits), Capability::LAST_NAMED);

        assert_eq!((of(0), of(0x1ff_ffff_ffff), of(0xa804_25fb)), ("none".into(), "all".into(), "14".into()));
        assert_eq!(of(1 | 1 << 10), "CHOWN,NET_BIND_SERVICE");
    }

    #[test]
    fn what_could_not_be_seen_is_said() {
        let not_seen = NotSeen { unreadable_processes: 3, engines: vec!["docker API: cannot use /x".into()] };

        let notes = not_seen.notes(false);

        assert!(notes[0].contains("3 processes") && notes[1].ends_with("docker API: cannot use /x"), "{notes:?}");
        assert!(NotSeen::default().notes(true).is_empty());
    }
}
