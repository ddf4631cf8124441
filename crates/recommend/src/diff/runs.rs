//! What runs did, beside what other runs did or what a filter lets through.

use std::collections::{BTreeMap, BTreeSet};

use behaviour::CheckMeaning;
use event::{Arch, Phase, SyscallNames, Text};
use report::{Report, Runs};

use super::filters::note_ambiguous;
use super::worlds::{Place, Worlds};
use super::{Change, Changed, DiffError, Direction, Found};
use crate::Recommendation;
use crate::filter::{Condition, Decider, Decision, Diagram, Filter, Host, Operator, has_short_arguments};

/// What some runs did.
#[derive(Default)]
struct Done {
    calls: BTreeSet<(Arch, String)>,
    /// With which arguments, of calls of which that is known: each a condition that its calls fulfilled.
    passed: BTreeMap<(Arch, String), Vec<Condition>>,
    /// Calls of which some were made with arguments that are not known.
    unknown: BTreeSet<(Arch, String)>,
    capabilities: BTreeSet<String>,
    programs: BTreeSet<Text>,
    images: BTreeSet<Text>,
}

impl Done {
    /// Of runs `main` and `exec`; of containers inside of them all.
    fn of(reports: &[Report], found: &mut Found) -> Result<Done, DiffError> {
        let runs = Runs::of(reports);
        if runs.own.is_empty() {
            return Err(DiffError::NoReport);
        }
        let names = SyscallNames::builtin();
        let mut done = Done::default();
        for (run, is_nested) in runs.each() {
            let counts = |phase: Phase| is_nested || matches!(phase, Phase::Main | Phase::Exec);
            let behaviour = &run.behaviour;
            let made = behaviour.syscalls.uses.iter().filter(|used| counts(used.phase) && used.count > 0);
            done.calls.extend(made.map(|used| (used.syscall.arch, names.name(used.syscall).into_owned())));
            let is_whole = run.sections.get(&Text::from("arguments")).copied().unwrap_or(false);
            for used in behaviour.syscalls.uses.iter().filter(|used| counts(used.phase) && used.count > 0) {
                let call = (used.syscall.arch, names.name(used.syscall).into_owned());
                let mut of_call = behaviour.arguments.uses.iter();
                let passed = of_call.find(|one| (one.phase, one.syscall) == (used.phase, used.syscall));
                match passed.filter(|one| is_whole && !one.others && !one.values.is_empty()) {
                    Some(passed) => {
                        let condition = |value: u32| Condition {
                            index: passed.position,
                            operator: Operator::MaskedEqual,
                            value: passed.mask.into(),
                            value_two: value.into(),
                        };
                        let conditions = passed.values.iter().map(|one| condition(one.value));
                        done.passed.entry(call).or_default().extend(conditions);
                    }
                    None => {
                        done.unknown.insert(call);
                    }
                }
            }
            let checks = behaviour.capabilities.uses.iter();
            let used = checks.filter(|used| counts(used.phase) && used.meaning() == CheckMeaning::Used);
            done.capabilities.extend(used.map(|used| used.capability.to_string()));
            for process in behaviour.processes.processes.iter().filter(|process| counts(process.phase)) {
                let programs = process.programs.iter().map(|program| program.detail.executable.clone());
                done.programs.extend(programs.filter(|executable| !executable.is_empty()));
            }
            if !is_nested {
                done.images.extend(run.container.image_digest.clone().or_else(|| run.container.image.clone()));
            }
            if !run.complete {
                found.note(&format!(
                    "{}: its report misses something: what it lacks here may yet have been done",
                    report::called(run)
                ));
            }
            if !behaviour.processes.kept_all {
                found.note(&format!("{}: its report does not list all programs", report::called(run)));
            }
        }
        Ok(done)
    }
}

pub(super) fn compare(before: &[Report], after: &[Report], found: &mut Found) -> Result<(), DiffError> {
    let (before, after) = (Done::of(before, found)?, Done::of(after, found)?);
    if before.images != after.images {
        found.note("the images are not the same");
    }
    for (arch, name) in before.calls.symmetric_difference(&after.calls) {
        let is_new = after.calls.contains(&(*arch, name.clone()));
        found.push(used(name, is_new), Some(*arch));
    }
    found.sets(Changed::Capability, &before.capabilities, &after.capabilities, ("not used", "used"));
    let escaped = |programs: &BTreeSet<Text>| programs.iter().map(|program| program.shown().into_owned()).collect();
    found.sets(Changed::Program, &escaped(&before.programs), &escaped(&after.programs), ("not run", "run"));
    Ok(())
}

fn used(name: &str, is_new: bool) -> Change {
    let (was, is) = if is_new { ("not made", "made") } else { ("made", "not made") };
    Change {
        what: Changed::SystemCall,
        name: name.into(),
        architectures: Vec::new(),
        when: Vec::new(),
        before: was.into(),
        after: is.into(),
        example: None,
        directions: vec![if is_new { Direction::Added } else { Direction::Removed }],
    }
}

/// What these runs did and a filter does not let through.
pub(super) fn lacks(reports: &[Report], filter: &Filter, found: &mut Found) -> Result<(), DiffError> {
    let done = Done::of(reports, found)?;
    for (arch, name) in &done.calls {
        let host = Host::of(*arch);
        if !filter.tables(host).contains(arch) {
            let mut change = used(name, false);
            change.after = "the table is not listed: kills the thread".into();
            found.push(change, Some(*arch));
            continue;
        }
        let decider = Decider::new(filter, host, *arch);
        let (capabilities, kernels) = decider.depends_on(name);
        let too_many = || DiffError::TooManyCircumstances { name: name.clone() };
        let worlds = Worlds::of(capabilities, kernels).ok_or_else(too_many)?;
        let mut denied = BTreeMap::<(String, Direction), BTreeSet<Place>>::new();
        for place in worlds.places() {
            let mut diagram = Diagram::default();
            let complex = |_| DiffError::TooManyConditions { name: name.clone() };
            let decided = decider.decide(name, &worlds.world(place), &mut diagram).map_err(complex)?;
            note_ambiguous(name, [&decided, &decided], found);
            let is_short = has_short_arguments(*arch);
            let passes = |condition: &Condition, diagram: &mut Diagram| {
                let within = diagram.within(&[*condition], is_short, decided.function, Decision::Allow);
                within.map(|within| diagram.constant(within).is_some_and(Decision::lets_through))
            };
            let mut is_enough = !done.unknown.contains(&(*arch, name.clone()));
            for condition in done.passed.get(&(*arch, name.clone())).into_iter().flatten() {
                is_enough = is_enough && passes(condition, &mut diagram).map_err(complex)?;
            }
            let direction = match diagram.constant(decided.function) {
                _ if is_enough => continue,
                Some(decision) if decision.lets_through() => continue,
                Some(_) => Direction::Removed,
                // It was, or may have been, made with others.
                None => Direction::Changed,
            };
            denied.entry((decided.text, direction)).or_default().insert(place);
        }
        for ((after, direction), places) in denied {
            let mut change = used(name, false);
            change.after = after.as_str().into();
            change.when = worlds.when(&places);
            change.directions = vec![direction];
            found.push(change, Some(*arch));
        }
    }
    let names = SyscallNames::builtin();
    let arches: BTreeSet<Arch> = done.calls.iter().map(|(arch, _)| *arch).collect();
    for arch in arches {
        let mut more = 0_u64;
        let host = Host::of(arch);
        let decider = Decider::new(filter, host, arch);
        for (_, name) in names.all(arch).filter(|(_, name)| !done.calls.contains(&(arch, (*name).to_owned()))) {
            let mut diagram = Diagram::default();
            let complex = |_| DiffError::TooManyConditions { name: name.to_owned() };
            let decided = decider.decide(name, &crate::filter::World::default(), &mut diagram).map_err(complex)?;
            more += u64::from(diagram.constant(decided.function).is_none_or(|decision| decision.lets_through()));
        }
        if more > 0 && filter.tables(host).contains(&arch) {
            let calls = report::counted(more, "call", "calls");
            found.note(&format!(
                "of {arch} {calls} more than were made get through, some with conditions: no difference"
            ));
        }
    }
    Ok(())
}

/// Capabilities that these runs used and a recommendation does not add.
pub(super) fn lacks_capabilities(reports: &[Report], recommendation: &Recommendation, found: &mut Found) {
    let Ok(done) = Done::of(reports, found) else { return };
    let added: BTreeSet<String> =
        recommendation.capabilities.add.iter().map(|need| need.capability.to_string()).collect();
    let lacking: BTreeSet<String> = done.capabilities.difference(&added).cloned().collect();
    found.sets(Changed::Capability, &lacking, &BTreeSet::new(), ("dropped", "used"));
}
