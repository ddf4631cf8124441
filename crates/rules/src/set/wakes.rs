//! Which events each rule can match, and the programs that ask them.

use std::collections::{BTreeMap, BTreeSet};

use event::Payload;
use rustc_hash::FxHashMap;
use serde::Serialize;

use super::arena::{Arena, Id, Node, TooMuch};
use super::assume::{Assume, Memo, specialise};
use super::program::{MAX_STEPS, MAX_TABLE_BYTES, Program, Room};
use crate::eval::Test;
use crate::falco::{Call, Direct};
use crate::pick::Value;

/// How many parts of conditions are looked at for all events together.
const MAX_WORK: usize = 40_000_000;

/// A system call that rules look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct CallsWanted {
    /// Its name.
    pub name: &'static str,
    /// Whether a rule can match when it fails.
    pub failures: bool,
}

/// What wakes the rules.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    pub(super) programs: Vec<Program>,
    pub(super) by_kind: Vec<Option<u32>>,
    pub(super) by_call: Vec<Option<u32>>,
    pub(super) other_call: Option<u32>,
    /// By what is asked: the place of the program.
    known: FxHashMap<Box<[(u32, Id)]>, u32>,
    /// By the number of a rule.
    pub(super) of_rules: BTreeMap<u32, OfRule>,
}

/// What wakes one rule.
#[derive(Debug, Default)]
pub(super) struct OfRule {
    pub(super) kinds: Vec<&'static str>,
    pub(super) calls: Vec<CallsWanted>,
    pub(super) any_call: bool,
}

/// What is known of events of a kind before they come; none if rules do not look at them.
fn assumed(kind: &'static str) -> Option<Assume> {
    let call = match kind {
        "action" | "image" => return None,
        "exec" => Call::named("execve"),
        "fork" => Call::named("clone"),
        "exit" => Call::named("procexit"),
        _ => None,
    };
    Some(Assume { kind, call, failed: None })
}

/// Finds out what wakes each of these rules: their numbers and conditions, in their order.
pub(super) fn wakes(arena: &mut Arena, rules: &[(u32, Id)]) -> Result<Wakes, String> {
    let much = |much: TooMuch| much.message();
    let named = named_calls(arena);
    let assumptions = Payload::KINDS.len() + named.len() * 2 + 1;
    if arena.len().saturating_mul(assumptions) > MAX_WORK {
        return Err("the rules are too large together".into());
    }
    let mut wakes = Wakes { by_call: vec![None; Call::all().len()], ..Wakes::default() };
    for kind in Payload::KINDS {
        let mut place = None;
        if let Some(assume) = assumed(kind) {
            let left = all(arena, rules, &assume).map_err(much)?;
            for (rule, _) in &left {
                wakes.of_rules.entry(*rule).or_default().kinds.push(kind);
            }
            place = wakes.add(arena, &left)?;
        }
        wakes.by_kind.push(place);
    }
    let other = Assume { kind: "action", call: None, failed: None };
    let left = all(arena, rules, &other).map_err(much)?;
    for (rule, _) in &left {
        wakes.of_rules.entry(*rule).or_default().any_call = true;
    }
    wakes.other_call = wakes.add(arena, &left)?;
    wakes.by_call.fill(wakes.other_call);
    for call in named {
        let assume = Assume { kind: "action", call: Some(call), failed: None };
        let left = all(arena, rules, &assume).map_err(much)?;
        let failing = all(arena, &left, &Assume { failed: Some(true), ..assume }).map_err(much)?;
        let failing: BTreeSet<u32> = failing.iter().map(|(rule, _)| *rule).collect();
        for (rule, _) in &left {
            let of_rule = wakes.of_rules.entry(*rule).or_default();
            // A rule that names no call asks for none; what is told as an event of another kind need not be asked for.
            if !of_rule.any_call && !is_told_otherwise(call.name) {
                of_rule.calls.push(CallsWanted { name: call.name, failures: failing.contains(rule) });
            }
        }
        wakes.by_call[call.number] = wakes.add(arena, &left)?;
    }
    Ok(wakes)
}

impl Wakes {
    /// The calls that any rule names.
    pub(super) fn calls(&self) -> Vec<CallsWanted> {
        let mut calls: BTreeMap<&'static str, bool> = BTreeMap::new();
        for wanted in self.of_rules.values().flat_map(|of_rule| &of_rule.calls) {
            *calls.entry(wanted.name).or_default() |= wanted.failures;
        }
        calls.into_iter().map(|(name, failures)| CallsWanted { name, failures }).collect()
    }

    /// The place of the program for these rules; none if there are none.
    fn add(&mut self, arena: &Arena, roots: &[(u32, Id)]) -> Result<Option<u32>, String> {
        if roots.is_empty() {
            return Ok(None);
        }
        // Several calls may wake the same rules: all that open, for example.
        if let Some(known) = self.known.get(roots) {
            return Ok(Some(*known));
        }
        let mut room = Room { steps: MAX_STEPS, table_bytes: MAX_TABLE_BYTES };
        for taken in self.programs.iter().map(Program::takes) {
            room.steps = room.steps.saturating_sub(taken.steps);
            room.table_bytes = room.table_bytes.saturating_sub(taken.table_bytes);
        }
        let program = Program::new(arena, roots, room).ok_or("the rules are too large together")?;
        let at = self.programs.len() as u32;
        self.programs.push(program);
        self.known.insert(roots.into(), at);
        Ok(Some(at))
    }
}

/// Calls that are told as events of their own kind: a program that begins, a process that is made or ends.
fn is_told_otherwise(call: &str) -> bool {
    matches!(call, "execve" | "execveat" | "clone" | "clone3" | "fork" | "vfork" | "procexit")
}

/// The rules that can match, with what is left of their conditions.
fn all(arena: &mut Arena, rules: &[(u32, Id)], assume: &Assume) -> Result<Vec<(u32, Id)>, TooMuch> {
    let mut memo = Memo::default();
    let mut left = Vec::new();
    for (rule, condition) in rules {
        let id = specialise(arena, *condition, assume, &mut memo)?;
        if arena.truth(id) != Some(false) {
            left.push((*rule, id));
        }
    }
    Ok(left)
}

/// The calls that a condition names.
fn named_calls(arena: &Arena) -> Vec<&'static Call> {
    let mut named: BTreeSet<&'static str> = BTreeSet::new();
    for id in 0..arena.len() {
        let Node::Check(check) = arena.node(Id(id as u32)) else { continue };
        if !matches!(check.left.field.direct(), Some((Direct::EvtType | Direct::SyscallType, _))) {
            continue;
        }
        match &check.test {
            Test::Exists | Test::Never => {}
            Test::Is(name) | Test::IsNot(name) => {
                named.extend(std::str::from_utf8(name).ok().and_then(Call::named).map(|call| call.name));
            }
            test => {
                let fits = |call: &&Call| test.holds(Value::Text(call.name.as_bytes()));
                named.extend(Call::all().iter().filter(fits).map(|call| call.name));
            }
        }
    }
    named.into_iter().filter_map(Call::named).collect()
}
