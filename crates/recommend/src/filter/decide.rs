//! What a filter decides on one call.

use std::collections::BTreeSet;

use event::Arch;

use super::diagram::{Diagram, Function, TooMany};
use super::host::{has_short_arguments, through};
use super::{Circumstances, Condition, Decision, Filter, FilterRule, Host, Operator};

/// What Docker's profiles make rules depend on, as it is in one container.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct World {
    pub(crate) capabilities: BTreeSet<String>,
    pub(crate) kernel: (u32, u32),
}

/// What is decided on one call.
#[derive(Clone, Debug)]
pub(crate) struct Decided {
    pub(crate) function: Function,
    /// In words: the conditions and what follows.
    pub(crate) text: String,
    /// Whether no rule is about it.
    pub(crate) is_default: bool,
    /// Whether rules overlap and differ.
    pub(crate) is_ambiguous: bool,
}

/// A rule for one call: what must hold of its arguments, and what follows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Case {
    decision: Decision,
    conditions: Vec<Condition>,
}

impl Filter {
    /// What is decided on a call of a table for each of these lists of arguments, where the container has no capability and the
    /// kernel is older than any that a rule depends on. None if rules contradict each other, or there are too many.
    pub fn decisions(&self, arch: Arch, name: &str, arguments: &[[u64; 6]]) -> Option<Vec<Decision>> {
        let host = Host::of(arch);
        if !self.tables(host).contains(&arch) {
            return Some(vec![Decision::KillThread; arguments.len()]);
        }
        let mut diagram = Diagram::default();
        let decided = Decider::new(self, host, arch).decide(name, &World::default(), &mut diagram).ok()?;
        if decided.is_ambiguous {
            return None;
        }
        arguments.iter().map(|arguments| diagram.of(decided.function, *arguments)).collect()
    }
}

/// Decides on the calls of one table on one host.
pub(crate) struct Decider<'f> {
    filter: &'f Filter,
    host: Host,
    arch: Arch,
}

impl<'f> Decider<'f> {
    pub(crate) fn new(filter: &'f Filter, host: Host, arch: Arch) -> Decider<'f> {
        Decider { filter, host, arch }
    }

    /// The rules that are about a call in some container on this host, with the number in the first argument for those that are
    /// about a call which goes through this one.
    fn rules(&self, name: &str) -> Vec<(&'f FilterRule, Option<u64>)> {
        let host = self.host.go_name();
        let here = |rule: &&FilterRule| {
            let (includes, excludes) = (&rule.includes.architectures, &rule.excludes.architectures);
            (includes.is_empty() || includes.contains(host)) && !excludes.contains(host)
        };
        let is_gate = self.arch == Arch::X86 && matches!(name, "socketcall" | "ipc");
        let mut rules = Vec::new();
        for rule in self.filter.rules.iter().filter(here) {
            if rule.names.contains(name) {
                rules.push((rule, None));
            }
            if is_gate {
                let through = rule.names.iter().filter_map(|other| through(other));
                rules.extend(through.filter(|(call, _)| *call == name).map(|(_, number)| (rule, Some(number))));
            }
        }
        rules
    }

    /// The capabilities and kernels that decisions on a call depend on.
    pub(crate) fn depends_on(&self, name: &str) -> (BTreeSet<String>, BTreeSet<(u32, u32)>) {
        let (mut capabilities, mut kernels) = (BTreeSet::new(), BTreeSet::new());
        for (rule, _) in self.rules(name) {
            for part in [&rule.includes, &rule.excludes] {
                capabilities.extend(part.capabilities.iter().cloned());
                kernels.extend(part.kernel);
            }
        }
        (capabilities, kernels)
    }

    /// What is decided on a call in a world.
    pub(crate) fn decide(&self, name: &str, world: &World, diagram: &mut Diagram) -> Result<Decided, TooMany> {
        let default = self.filter.default;
        let mut cases = BTreeSet::<Case>::new();
        let mut is_default = true;
        for (rule, number) in self.rules(name).into_iter().filter(|(rule, _)| is_in_force(rule, world)) {
            is_default = false;
            // Runtimes skip such a rule, as libseccomp would refuse it.
            if rule.decision == default {
                continue;
            }
            let mut add = |conditions: Vec<Condition>| {
                let always = |one: &Condition| one.operator == Operator::MaskedEqual && self.masked(one.value) == 0;
                let mut conditions: Vec<Condition> = conditions.into_iter().filter(|one| !always(one)).collect();
                if let Some(value) = number {
                    // libseccomp replaces what the rule says of the first argument, and leaves the others as they are.
                    conditions.retain(|one| one.index != 0);
                    conditions.push(Condition { index: 0, operator: Operator::Equal, value, value_two: 0 });
                }
                conditions.sort();
                cases.insert(Case { decision: rule.decision, conditions });
            };
            if compares_one_twice(&rule.conditions) {
                rule.conditions.iter().for_each(|condition| add(vec![*condition]));
            } else {
                add(rule.conditions.clone());
            }
        }
        // In the order of decisions the strictest comes first.
        if let Some(first) = cases.iter().find(|case| case.conditions.is_empty()) {
            let decision = first.decision;
            let all = cases.iter().filter(|case| case.conditions.is_empty());
            let is_ambiguous = all.count() > 1;
            let function = diagram.always(decision)?;
            return Ok(Decided { function, text: decision.to_string(), is_default, is_ambiguous });
        }
        let is_short = has_short_arguments(self.arch);
        let mut function = diagram.always(default)?;
        for case in cases.iter().rev() {
            function = diagram.rule(&case.conditions, is_short, case.decision, function)?;
        }
        let mut is_ambiguous = false;
        let listed: Vec<&Case> = cases.iter().collect();
        for (at, one) in listed.iter().enumerate() {
            for other in listed[at + 1..].iter().filter(|other| other.decision != one.decision) {
                is_ambiguous |= diagram.overlap(&one.conditions, &other.conditions, is_short)?;
            }
        }
        let text = match diagram.constant(function) {
            Some(decision) => decision.to_string(),
            None => in_words(&cases, default),
        };
        Ok(Decided { function, text, is_default, is_ambiguous })
    }

    fn masked(&self, mask: u64) -> u64 {
        if has_short_arguments(self.arch) { mask & u64::from(u32::MAX) } else { mask }
    }
}

/// As runtimes look for it: then each condition is a rule of its own.
fn compares_one_twice(conditions: &[Condition]) -> bool {
    let indexes: BTreeSet<u8> = conditions.iter().map(|condition| condition.index).collect();
    indexes.len() < conditions.len()
}

fn is_in_force(rule: &FilterRule, world: &World) -> bool {
    let FilterRule { includes, excludes, .. } = rule;
    let is_old = |part: &Circumstances| part.kernel.is_some_and(|least| world.kernel < least);
    let is_new = |part: &Circumstances| part.kernel.is_some_and(|least| world.kernel >= least);
    includes.capabilities.is_subset(&world.capabilities)
        && !is_old(includes)
        && excludes.capabilities.is_disjoint(&world.capabilities)
        && !is_new(excludes)
}

/// `allowed if arg0 < 0x26 or arg0 == 0x27, else EPERM`.
fn in_words(cases: &BTreeSet<Case>, default: Decision) -> String {
    let mut parts = Vec::new();
    let decisions: BTreeSet<Decision> = cases.iter().map(|case| case.decision).collect();
    for decision in decisions {
        let each = cases.iter().filter(|case| case.decision == decision).map(|case| {
            let conditions: Vec<String> = case.conditions.iter().map(Condition::to_string).collect();
            conditions.join(" and ")
        });
        parts.push(format!("{decision} if {}", each.collect::<Vec<_>>().join(" or ")));
    }
    format!("{}, else {default}", parts.join("; "))
}
