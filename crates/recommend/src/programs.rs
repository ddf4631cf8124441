//! The programs that a workload runs: a list of all that may run, so that nothing else does.
//!
//! What the runtime ran to set the container up is not in it. A script is listed beside its interpreter, as the kernel runs both.

use std::collections::{BTreeMap, BTreeSet};

use event::{Exec, FileAccess, Phase, Text};
use report::{Report, Workload};

use crate::refusal::{self, Refusal};
use crate::source::{Runs, who};

/// Programs that are many by the names of their files: an argument says which.
const MANY: [&[u8]; 5] = [b"busybox", b"busybox.static", b"toybox", b"coreutils", b"box"];
/// So many arguments are looked at for the name that picks one.
const ARGUMENTS: usize = 8;

/// A script that was run by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Script {
    /// Its whole path, as far as the call says.
    pub path: Text,
    /// What the caller passed.
    pub called: Text,
}

/// What some runs of a workload ran.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Programs {
    /// The programs by their paths, interpreters of scripts included.
    pub programs: BTreeSet<Text>,
    /// The scripts that were run by their names.
    pub scripts: BTreeSet<Script>,
    /// What was picked of programs that are many.
    pub applets: BTreeSet<Text>,
    /// What ran and cannot be listed, as it has no path that would find it again: it lay in memory, or was deleted.
    pub unlistable: BTreeSet<Text>,
    /// The runs, in the order in which they began: how each fares under what the others ran.
    pub runs: Vec<RunPrograms>,
    /// What the reports do not show, in sentences; not empty only if that was allowed.
    pub incomplete: Vec<Text>,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunPrograms {
    /// What people call the container.
    pub name: Text,
    /// How often it ran a program.
    pub execs: u64,
    /// How many of these would have been denied if only what the other runs ran might have run.
    pub denied: u64,
    /// What these were.
    pub denied_programs: BTreeSet<Text>,
}

/// What an exec needs to be listed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    Program(Text),
    Script(Script),
    Applet(Text),
    /// Cannot be listed.
    None(Text),
}

/// The programs of these runs of one workload.
pub fn programs(reports: &[Report], allow_incomplete: bool) -> Result<Programs, Refusal> {
    let runs = Runs::of(reports);
    if Workload::of_all(&runs.own)?.is_none() {
        return Err(Refusal::NoReport);
    }
    let mut found = Programs::default();
    for run in &runs.own {
        refusal::is_visible(run)?;
    }
    let missing: Vec<String> = runs
        .all()
        .flat_map(|run| {
            refusal::missing_in(run, &["processes"], &["identity", "process"])
                .into_iter()
                .map(|reason| format!("{}: {reason}", who(run)))
        })
        .collect();
    if !missing.is_empty() && !allow_incomplete {
        return Err(Refusal::Incomplete { reasons: missing });
    }
    found.incomplete = missing.iter().map(|reason| Text::from(reason.as_str())).collect();

    let mut own: Vec<(&Report, Vec<BTreeSet<Need>>)> = runs.own.iter().map(|run| (*run, execs(run))).collect();
    own.sort_by_key(|(run, _)| run.window.begin.wall);
    if let Some((run, _)) = own.iter().find(|(_, execs)| execs.is_empty()) {
        return Err(Refusal::NoProgram { who: who(run) });
    }
    let nested: Vec<BTreeSet<Need>> = runs.nested.iter().flat_map(|run| execs(run)).collect();
    // In how many runs something was needed; what containers inside of these needed, is always listed.
    let mut in_runs = BTreeMap::<&Need, usize>::new();
    for (_, execs) in &own {
        for need in execs.iter().flatten().collect::<BTreeSet<_>>() {
            *in_runs.entry(need).or_default() += 1;
        }
    }
    let of_nested: BTreeSet<&Need> = nested.iter().flatten().collect();
    for (run, execs) in &own {
        let is_denied =
            |need: &Need| matches!(need, Need::None(_)) || (in_runs.get(need) == Some(&1) && !of_nested.contains(need));
        let denied: Vec<&BTreeSet<Need>> = execs.iter().filter(|needs| needs.iter().any(is_denied)).collect();
        found.runs.push(RunPrograms {
            name: who(run).as_str().into(),
            execs: execs.len() as u64,
            denied: denied.len() as u64,
            denied_programs: denied
                .iter()
                .flat_map(|needs| needs.iter().filter(|need| is_denied(need)))
                .map(Need::text)
                .collect(),
        });
    }
    for need in in_runs.into_keys().chain(of_nested) {
        match need.clone() {
            Need::Program(path) => found.programs.insert(path),
            Need::Script(script) => found.scripts.insert(script),
            Need::Applet(name) => found.applets.insert(name),
            Need::None(what) => found.unlistable.insert(what),
        };
    }
    Ok(found)
}

impl Need {
    fn text(&self) -> Text {
        match self {
            Need::Program(text) | Need::Applet(text) | Need::None(text) => text.clone(),
            Need::Script(script) if script.called == script.path => script.path.clone(),
            Need::Script(script) => {
                let mut text = script.path.clone();
                text.push(b", called ");
                text.push(script.called.as_bytes());
                text
            }
        }
    }
}

/// What each exec of the workload and of sessions in it needs.
fn execs(run: &Report) -> Vec<BTreeSet<Need>> {
    let counts = |phase: Phase| matches!(phase, Phase::Main | Phase::Exec);
    let files = run.behaviour.files.paths.iter();
    let executed: BTreeSet<&Text> = files
        .filter(|used| counts(used.phase) && used.accesses.has(FileAccess::Executed))
        .map(|used| &used.path)
        .collect();
    let mut all = Vec::new();
    for process in &run.behaviour.processes.processes {
        // A process that the runtime made becomes the workload: by then it is in other mounts than the runtime's own program.
        let before = process.programs.first().map(|program| program.detail.mount_namespace);
        for program in &process.programs {
            let exec = &program.detail;
            if counts(process.phase) || Some(exec.mount_namespace) != before || executed.contains(&exec.executable) {
                all.push(needs(exec));
            }
        }
    }
    all
}

fn needs(exec: &Exec) -> BTreeSet<Need> {
    let path = exec.executable.as_bytes();
    if exec.path_truncated || !path.starts_with(b"/") || path == b"/" || path.ends_with(b" (deleted)") {
        return BTreeSet::from([Need::None(exec.executable.clone())]);
    }
    let mut needs = BTreeSet::from([Need::Program(exec.executable.clone())]);
    if !exec.interpreter.is_empty() {
        needs.insert(script(exec));
    }
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    if MANY.contains(&name) {
        needs.extend(applet(&exec.argv).map(|name| Need::Applet(Text::new(name))));
    }
    needs
}

fn script(exec: &Exec) -> Need {
    let called = exec.argument.as_bytes();
    // By a descriptor, which is another file each time.
    if called.is_empty() || called.starts_with(b"/dev/fd/") || called.starts_with(b"/proc/self/fd/") {
        return Need::None(exec.argument.clone());
    }
    let whole = if called.starts_with(b"/") { called.to_vec() } else { [exec.cwd.as_bytes(), b"/", called].concat() };
    let mut names: Vec<&[u8]> = Vec::new();
    for name in whole.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => {}
            // As if no folder before it were a link: the text alone cannot tell.
            b".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    let path = Text::new([b"/", names.join(&b'/').as_slice()].concat());
    Need::Script(Script { path, called: exec.argument.clone() })
}

/// The name by which a program of many picks what it is, told as the guards tell it; none if none is picked.
fn applet(argv: &[Text]) -> Option<&[u8]> {
    let names = argv.iter().take(ARGUMENTS).map(|argument| last_name(argument.as_bytes()));
    names.into_iter().find(|name| !MANY.contains(name))
}

fn last_name(argument: &[u8]) -> &[u8] {
    let is_option = argument.starts_with(b"--");
    // A shell that logs in has this before its name.
    let argument = argument.strip_prefix(b"-").unwrap_or(argument);
    argument.rsplit(|&byte| byte == b'/' || (byte == b'=' && is_option)).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_many_is_told_by_the_first_argument_that_is_not_its_own_name() {
        let picked = |argv: &[&str]| {
            let argv: Vec<Text> = argv.iter().map(|&text| text.into()).collect();
            applet(&argv).map(|name| String::from_utf8_lossy(name).into_owned())
        };

        assert_eq!(picked(&["sh", "-c", "true"]).as_deref(), Some("sh"));
        assert_eq!(picked(&["-sh"]).as_deref(), Some("sh"));
        assert_eq!(picked(&["/bin/busybox", "wget", "x"]).as_deref(), Some("wget"));
        assert_eq!(picked(&["/usr/bin/coreutils", "--coreutils-prog-shebang=ls"]).as_deref(), Some("ls"));
        assert_eq!(picked(&["busybox"]), None);
    }
}
