//! What two filters decide, call by call.

use std::collections::{BTreeMap, BTreeSet};

use event::{Arch, SyscallNames, Text};

use super::worlds::{Place, Worlds};
use super::{Change, Changed, DiffError, Direction, Found};
use crate::filter::{Decided, Decider, Decision, Diagram, Filter, Host};

pub(super) fn compare(before: &Filter, after: &Filter, found: &mut Found) -> Result<(), DiffError> {
    if before.default != after.default {
        let change = plain(Changed::Default, "calls that no rule is about", before.default, after.default);
        found.push(change, None);
    }
    let mentioned = |host: &Host| before.mentions(*host) || after.mentions(*host);
    let mut hosts: Vec<Host> = Host::ALL.into_iter().filter(mentioned).collect();
    if hosts.is_empty() {
        hosts = Host::ALL.to_vec();
    }
    for &host in &hosts {
        let (of_before, of_after) = (before.tables(host), after.tables(host));
        for &arch in of_before.symmetric_difference(&of_after) {
            let is_new = of_after.contains(&arch);
            let (filtered, not) = ("filtered", "every call kills the thread");
            let change = Change {
                what: Changed::Architecture,
                name: arch.name().into(),
                architectures: Vec::new(),
                when: Vec::new(),
                before: if is_new { not } else { filtered }.into(),
                after: if is_new { filtered } else { not }.into(),
                example: None,
                directions: vec![if is_new { Direction::Added } else { Direction::Removed }],
            };
            found.push(change, None);
        }
        for &arch in of_before.intersection(&of_after) {
            let names = SyscallNames::builtin();
            let pair = Pair { before: Decider::new(before, host, arch), after: Decider::new(after, host, arch) };
            for (_, name) in names.all(arch) {
                pair.compare(name, Some(arch), found)?;
            }
        }
    }
    let unknown: BTreeSet<&str> =
        before.names().union(&after.names()).copied().filter(|name| !is_known(name)).collect();
    for &name in &unknown {
        for &host in &hosts {
            let native = host.tables()[0];
            let pair = Pair { before: Decider::new(before, host, native), after: Decider::new(after, host, native) };
            pair.compare(name, None, found)?;
        }
    }
    let others: Vec<&str> = before.other_tables().symmetric_difference(&after.other_tables()).copied().collect();
    for name in others {
        let is_new = after.other_tables().contains(name);
        let (was, is) = if is_new { ("not listed", "listed") } else { ("listed", "not listed") };
        let mut change = plain(Changed::Architecture, name, Decision::Allow, Decision::Allow);
        (change.before, change.after) = (was.into(), is.into());
        change.directions = vec![if is_new { Direction::Added } else { Direction::Removed }];
        found.push(change, None);
    }
    if !before.other_tables().is_empty() || !after.other_tables().is_empty() {
        found.note(
            "ringfence has the tables of x86_64, x86, x32, aarch64 and arm: what is decided elsewhere was not compared",
        );
    }
    Ok(())
}

fn is_known(name: &str) -> bool {
    let names = SyscallNames::builtin();
    Arch::ALL.iter().any(|&arch| names.number(arch, name).is_some())
}

fn plain(what: Changed, name: &str, before: Decision, after: Decision) -> Change {
    Change {
        what,
        name: name.into(),
        architectures: Vec::new(),
        when: Vec::new(),
        before: before.to_string().as_str().into(),
        after: after.to_string().as_str().into(),
        example: None,
        directions: vec![direction(before, after)],
    }
}

fn direction(before: Decision, after: Decision) -> Direction {
    match before.leave().cmp(&after.leave()) {
        std::cmp::Ordering::Less => Direction::Added,
        std::cmp::Ordering::Equal => Direction::Changed,
        std::cmp::Ordering::Greater => Direction::Removed,
    }
}

/// Two filters on one host and one table.
struct Pair<'f> {
    before: Decider<'f>,
    after: Decider<'f>,
}

impl Pair<'_> {
    fn compare(&self, name: &str, arch: Option<Arch>, found: &mut Found) -> Result<(), DiffError> {
        let (mut capabilities, mut kernels) = self.before.depends_on(name);
        let more = self.after.depends_on(name);
        capabilities.extend(more.0);
        kernels.extend(more.1);
        let too_many = || DiffError::TooManyCircumstances { name: name.to_owned() };
        let worlds = Worlds::of(capabilities, kernels).ok_or_else(too_many)?;
        let mut different = BTreeMap::<(String, String, Option<Text>, Vec<Direction>), BTreeSet<Place>>::new();
        for place in worlds.places() {
            let world = worlds.world(place);
            let mut diagram = Diagram::default();
            let complex = |_| DiffError::TooManyConditions { name: name.to_owned() };
            let before = self.before.decide(name, &world, &mut diagram).map_err(complex)?;
            let after = self.after.decide(name, &world, &mut diagram).map_err(complex)?;
            note_ambiguous(name, [&before, &after], found);
            // What is decided on calls that no rule is about is told once.
            if before.function == after.function || before.is_default && after.is_default {
                continue;
            }
            let difference = diagram.difference(before.function, after.function);
            let directions: BTreeSet<Direction> =
                difference.keys().map(|&(before, after)| direction(before, after)).collect();
            let is_whole = [&before, &after].iter().all(|side| diagram.constant(side.function).is_some());
            let example = difference
                .iter()
                .min_by_key(|(pair, _)| direction(pair.0, pair.1))
                .filter(|_| !is_whole)
                .map(|((was, is), arguments)| example(*was, *is, arguments, &before.text, &after.text));
            let key = (before.text, after.text, example, directions.into_iter().collect());
            different.entry(key).or_default().insert(place);
        }
        for ((before, after, example, directions), places) in different {
            let change = Change {
                what: Changed::SystemCall,
                name: name.into(),
                architectures: Vec::new(),
                when: worlds.when(&places),
                before: before.as_str().into(),
                after: after.as_str().into(),
                example,
                directions,
            };
            found.push(change, arch);
        }
        if arch.is_none() {
            found.note(&format!("no table of ringfence's has a call {name}: it is compared by its name"));
        }
        Ok(())
    }
}

pub(super) fn note_ambiguous(name: &str, sides: [&Decided; 2], found: &mut Found) {
    if sides.iter().any(|side| side.is_ambiguous) {
        found.note(&format!(
            "rules for {name} contradict each other: which counts is the runtime's choice, and here it is the stricter"
        ));
    }
}

/// `arg0=0x10000000: EPERM, then allowed`, with those arguments that a condition is about.
fn example(was: Decision, is: Decision, arguments: &[u64; 6], before: &str, after: &str) -> Text {
    let mut parts = Vec::new();
    for (index, argument) in arguments.iter().enumerate() {
        let name = format!("arg{index}");
        if before.contains(&name) || after.contains(&name) {
            parts.push(format!("{name}={argument:#x}"));
        }
    }
    format!("{}: {was}, then {is}", parts.join(" ")).as_str().into()
}
