//! Privileged operations by phase and outcome, states that programs ran in, and files that reach the machine.

use behaviour::{ConfinementUse, FirstUse, OperationUse, sensitive_name};
use event::{Capability, CapabilitySet, Ids, Outcome, Phase, SeccompMode, Text, UserNamespace};

use super::units::count;
use crate::Report;

/// One list: its title, what that means, what stands above its columns, and its rows. All of it is safe for a terminal.
pub(super) struct List {
    pub(super) title: String,
    pub(super) about: &'static str,
    pub(super) columns: [&'static str; 4],
    pub(super) rows: Vec<Row>,
}

/// One row of a list.
pub(super) struct Row {
    /// What the first cell shows.
    pub(super) value: u64,
    pub(super) cells: [String; 4],
}

/// A row that begins with a count.
fn row(value: u64, rest: [String; 3]) -> Row {
    let [second, third, by] = rest;
    Row { value, cells: [count(value), second, third, by] }
}

/// What the workload did comes first, as with system calls.
const ORDER: [Phase; 3] = [Phase::Main, Phase::Exec, Phase::RuntimeInit];

/// The lists that have rows.
pub(super) fn lists(report: &Report) -> Vec<List> {
    let mut lists = Vec::new();
    for phase in ORDER {
        lists.extend(Outcome::ALL.map(|outcome| operations(report, phase, outcome)));
    }
    lists.push(reaching_files(report));
    lists.push(entered(report));
    lists.extend(ORDER.map(|phase| confinement(report, phase)));
    lists.retain(|list| !list.rows.is_empty());
    lists
}

fn operations(report: &Report, phase: Phase, outcome: Outcome) -> List {
    let uses = report.behaviour.privileged.operations.iter();
    let uses = uses.filter(|used| used.phase == phase && used.outcome == outcome);
    List {
        title: format!("Privileged in {phase}, {}", outcome.name()),
        about: match outcome {
            Outcome::Allowed => "done, needed or not",
            Outcome::Denied => "refused with EPERM or EACCES",
            Outcome::Failed => "for another reason than a lack of rights, or before that was asked",
        },
        columns: ["COUNT", "OPERATION", "WHAT", "FIRST BY"],
        rows: uses
            .map(|used| row(used.count, [used.operation.name().to_owned(), what(used), program(&used.first)]))
            .collect(),
    }
}

/// What was passed, whom it concerned, and how it failed.
fn what(used: &OperationUse) -> String {
    if used.others {
        let errno = used.errno.map(|errno| format!(": {errno}")).unwrap_or_default();
        return format!("(others){errno}");
    }
    let mut parts: Vec<String> = Vec::new();
    if !used.source.is_empty() {
        parts.push(format!("{} →", used.source.shown()));
    }
    parts.extend([&used.object].into_iter().filter(|text| !text.is_empty()).map(|text| text.shown().into_owned()));
    if !used.type_name.is_empty() {
        parts.push(format!("({})", used.type_name.shown()));
    }
    if used.truncated {
        parts.push("(not whole)".to_owned());
    }
    if !used.details.is_empty() {
        parts.push(used.details.iter().map(|word| word.shown().into_owned()).collect::<Vec<_>>().join("|"));
    }
    match (used.before, used.after) {
        (Some(before), Some(after)) if before == after => parts.push(format!("{}, as before", ids(after))),
        (Some(before), Some(after)) => parts.push(format!("{} → {}", ids(before), ids(after))),
        (None, Some(after)) => parts.push(format!("→ {}", ids(after))),
        (_, None) => {}
    }
    if used.has_target {
        let place = match used.target_run {
            Some(run) => format!("in run {}.{}", run.slot, run.generation),
            None => "in no container".to_owned(),
        };
        parts.push(format!("of {} {place}", used.target_comm.shown()));
    }
    let text = parts.join(" ");
    match used.errno {
        Some(errno) if text.is_empty() => errno.to_string(),
        Some(errno) => format!("{text}: {errno}"),
        None => text,
    }
}

/// Real, effective and saved ids as one number where they are alike.
fn ids(ids: Ids) -> String {
    let three = |[real, effective, saved]: [u32; 3]| {
        if real == effective && effective == saved { real.to_string() } else { format!("{real}/{effective}/{saved}") }
    };
    format!("uid {} gid {}", three([ids.uid, ids.euid, ids.suid]), three([ids.gid, ids.egid, ids.sgid]))
}

fn reaching_files(report: &Report) -> List {
    let files = &report.behaviour.files;
    let used = files.paths.iter().filter_map(|path| {
        let what = files.sensitive(path)?;
        let by = path.first.as_ref().map(program).unwrap_or_default();
        Some(row(path.opens, [path.path.shown().into_owned(), in_phase(what, path.phase), by]))
    });
    let refused = files.names.iter().filter_map(|name| {
        let what = format!("{}: {}", sensitive_name(name)?, name.errno?);
        let by = name.first.as_ref().map(program).unwrap_or_default();
        Some(row(name.count, [name.path.shown().into_owned(), in_phase(&what, name.phase), by]))
    });
    List {
        title: "Files that reach the machine".to_owned(),
        about: "written sysctls, cgroups and kernel objects; devices that were opened",
        columns: ["OPENS", "PATH", "WHAT", "FIRST BY"],
        rows: used.chain(refused).collect(),
    }
}

fn in_phase(what: &str, phase: Phase) -> String {
    if phase == Phase::Main { what.to_owned() } else { format!("{what} ({phase})") }
}

fn entered(report: &Report) -> List {
    let rows = report.behaviour.privileged.entered.iter().map(|entered| {
        let way = format!("into its {}", entered.way.name());
        row(entered.count, ["entered".to_owned(), way, program(&entered.first)])
    });
    List {
        title: "Entered from outside".to_owned(),
        about: "processes that came in after the workload had started, and who moved the first",
        columns: ["COUNT", "WHAT", "HOW", "FIRST BY"],
        rows: rows.collect(),
    }
}

fn confinement(report: &Report, phase: Phase) -> List {
    let states = report.behaviour.privileged.confinement.iter().filter(|state| state.phase == phase);
    List {
        title: format!("Rights in {phase}"),
        about: "each state that programs started in, or changed to",
        columns: ["SEEN", "STATE", "CAPABILITIES", "FIRST BY"],
        rows: states
            .map(|state| {
                let (rules, sets) =
                    if state.others { ("(others)".to_owned(), String::new()) } else { (rules(state), sets(state)) };
                row(state.count, [rules, sets, program(&state.first)])
            })
            .collect(),
    }
}

fn rules(state: &ConfinementUse) -> String {
    let mut parts = vec![ids(state.ids)];
    parts.push(match state.seccomp {
        SeccompMode::Disabled => "no seccomp".to_owned(),
        mode => format!("seccomp {}", mode.name()),
    });
    if state.no_new_privileges {
        parts.push("no new privileges".to_owned());
    }
    match state.user_namespace {
        UserNamespace::Initial => {}
        UserNamespace::Container => parts.push("container's user namespace".to_owned()),
        UserNamespace::Workload => parts.push("user namespace of its own".to_owned()),
    }
    if !state.host_namespaces.is_empty() {
        let names: Vec<_> = state.host_namespaces.iter().map(|name| name.shown()).collect();
        parts.push(format!("host's namespaces: {}", names.join(" ")));
    }
    parts.join(", ")
}

/// The effective set, and of the others those that add something.
fn sets(state: &ConfinementUse) -> String {
    let mut parts = vec![set(state.effective)];
    for (name, other, like) in [
        ("permitted", state.permitted, state.effective),
        ("bounding", state.bounding, state.permitted),
        ("inheritable", state.inheritable, CapabilitySet::default()),
        ("ambient", state.ambient, CapabilitySet::default()),
    ] {
        if other != like {
            parts.push(format!("{name} {}", set(other)));
        }
    }
    parts.join("; ")
}

fn set(set: CapabilitySet) -> String {
    let full = CapabilitySet::full(Capability::LAST_NAMED);
    if set.is_empty() {
        return "none".to_owned();
    }
    let missing: CapabilitySet = full.iter().filter(|capability| !set.contains(*capability)).collect();
    let names = |set: CapabilitySet| {
        let names = set.iter().map(|capability| capability.name().trim_start_matches("CAP_").to_owned());
        names.collect::<Vec<_>>().join(" ")
    };
    match missing.iter().count() {
        0 => "all".to_owned(),
        // Shorter than what there is.
        1..=8 => format!("all but {}", names(missing)),
        _ => names(set),
    }
}

/// The program: its executable, else its name.
fn program(first: &FirstUse) -> String {
    let text: &Text = if first.executable.is_empty() { &first.comm } else { &first.executable };
    text.shown().into_owned()
}
