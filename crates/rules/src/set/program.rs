//! The rules that one kind of event wakes, ready to be asked.
//!
//! Most of it is never asked. What several rules have in common is asked once for an event. Comparisons of one text with
//! fixed ones are answered together, by one look into a [`Table`]. A rule that can only match if one of these holds is not
//! looked at unless it does. And of what is left the parts that decide soonest come first.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::answers::Answers;
use super::arena::{Arena, Id, Node};
use super::bits::Bits;
use super::table::{Table, bytes_in_table};
use super::weight::Weight;
use crate::eval::Check;
use crate::falco::{Cache, Direct};
use crate::subject::Subject;

/// How many steps all programs may have together.
pub(super) const MAX_STEPS: usize = 4_000_000;
/// How much all tables may take together, in bytes, about. What finds no room is asked without one.
pub(super) const MAX_TABLE_BYTES: usize = 32 << 20;
/// Fewer comparisons of one field are quicker one by one.
const MIN_IN_TABLE: usize = 3;
/// A rule does not wait for more comparisons than this.
const MAX_WAITS: usize = 32;
/// A rule does not wait for what holds in more than this share of events.
const MOST_SHARE: f32 = 0.6;

/// One condition, or a part of one.
#[derive(Debug)]
enum Step {
    Const(bool),
    All(Box<[u32]>),
    Any(Box<[u32]>),
    Not(u32),
    Check(Arc<Check>),
    /// A comparison that is answered with all others of a table.
    InTable(u32),
}

/// The rules that one kind of event can match.
#[derive(Debug, Default)]
pub(super) struct Program {
    /// Each part with the place at which its answer is kept; none if it is asked once at most.
    steps: Vec<(Step, Option<u32>)>,
    /// The number of a rule, and its condition.
    pub(super) roots: Vec<(u32, u32)>,
    tables: Vec<Table>,
    /// The tables that rules wait for.
    first: Vec<u32>,
    /// The roots that wait for nothing.
    awake: Bits,
    answers: usize,
    table_bytes: usize,
}

/// What is known while one event is looked at.
#[derive(Debug, Default)]
pub(super) struct State {
    answers: Answers,
    /// The roots that are to be asked.
    awake: Bits,
    cache: Cache,
}

impl Program {
    /// Puts the conditions together; none if they are more than so many steps.
    pub(super) fn new(arena: &Arena, roots: &[(u32, Id)], room: Room) -> Option<Program> {
        let mut building = Building {
            arena,
            program: Program::default(),
            weights: Vec::new(),
            places: FxHashMap::default(),
            max_steps: room.steps,
        };
        for (rule, id) in roots {
            let at = building.place(*id)?;
            building.program.roots.push((*rule, at));
        }
        let Building { mut program, weights, .. } = building;
        program.tabulate(&weights, room.table_bytes)?;
        program.share();
        Some(program)
    }

    /// What it takes.
    pub(super) fn takes(&self) -> Room {
        Room { steps: self.steps.len(), table_bytes: self.table_bytes }
    }

    /// Begins with an event.
    pub(super) fn begin(&self, subject: &Subject<'_>) -> State {
        let answers = Answers::unknown(self.answers);
        let mut state = State { answers, awake: self.awake.clone(), cache: Cache::of(subject.payload) };
        for table in &self.first {
            self.look(*table, subject, &mut state);
        }
        state
    }

    /// The next root from this one on that matches.
    pub(super) fn next(&self, from: usize, subject: &Subject<'_>, state: &mut State) -> Option<usize> {
        let mut from = from;
        loop {
            let at = state.awake.next(from)?;
            let (_, root) = self.roots.get(at)?;
            if self.holds(*root, subject, state) {
                return Some(at);
            }
            from = at + 1;
        }
    }

    fn holds(&self, at: u32, subject: &Subject<'_>, state: &mut State) -> bool {
        let (step, kept) = &self.steps[at as usize];
        if let Some(known) = kept.and_then(|kept| state.answers.get(kept)) {
            return known;
        }
        let answer = match step {
            Step::Const(value) => *value,
            Step::All(parts) => parts.iter().all(|part| self.holds(*part, subject, state)),
            Step::Any(parts) => parts.iter().any(|part| self.holds(*part, subject, state)),
            Step::Not(inner) => !self.holds(*inner, subject, state),
            Step::Check(check) => check.holds(subject, &state.cache),
            Step::InTable(table) => {
                self.look(*table, subject, state);
                return kept.and_then(|kept| state.answers.get(kept)) == Some(true);
            }
        };
        if let Some(kept) = kept {
            state.answers.keep(*kept, answer);
        }
        answer
    }

    /// Answers all comparisons of a table.
    fn look(&self, table: u32, subject: &Subject<'_>, state: &mut State) {
        let table = &self.tables[table as usize];
        let State { answers, awake, cache } = state;
        answers.keep_all_as_no(table.answers.clone());
        table.look(subject, cache, |row| {
            row.holds.iter().for_each(|(block, which)| answers.turn_to_yes(*block, *which));
            awake.add(&row.wakes);
        });
    }

    /// Puts comparisons into tables, and finds out which rules can wait for them; none if they are too much for that.
    fn tabulate(&mut self, weights: &[Weight], max_bytes: usize) -> Option<()> {
        let tables = self.groups(max_bytes);
        let mut waits: Vec<Option<Waits>> = Vec::with_capacity(self.steps.len());
        for (at, (step, _)) in self.steps.iter().enumerate() {
            let of = |part: &u32| waits[*part as usize].as_ref();
            let found = match step {
                Step::InTable(table) if tables[*table as usize].is_at_hand => {
                    Some(Waits { steps: [at as u32].into_iter().collect(), share: weights[at].share })
                }
                Step::All(parts) => {
                    parts.iter().filter_map(of).min_by(|one, other| one.share.total_cmp(&other.share)).cloned()
                }
                Step::Any(parts) => Waits::of_any(parts.iter().map(of)),
                _ => None,
            };
            waits.push(found);
        }
        let mut wakes: FxHashMap<u32, Bits> = FxHashMap::default();
        for (number, (_, root)) in self.roots.iter().enumerate() {
            match waits[*root as usize].as_ref().filter(|waits| waits.share <= MOST_SHARE) {
                Some(waits) => waits.steps.iter().for_each(|step| wakes.entry(*step).or_default().set(number)),
                None => self.awake.set(number),
            }
        }
        for (number, group) in tables.into_iter().enumerate() {
            let begin = self.answers;
            let checks: Vec<(Arc<Check>, u32, Bits)> = group
                .checks
                .into_iter()
                .enumerate()
                .map(|(nth, (step, check))| {
                    let answer = (begin + nth) as u32;
                    self.steps[step as usize].1 = Some(answer);
                    (check, answer, wakes.remove(&step).unwrap_or_default())
                })
                .collect();
            self.answers += checks.len();
            if checks.iter().any(|(_, _, wakes)| !wakes.is_empty()) {
                self.first.push(number as u32);
            }
            self.tables.push(Table::new(&checks, begin..self.answers)?);
        }
        Some(())
    }

    /// Finds the comparisons that go into one table, as long as there is room.
    fn groups(&mut self, max_bytes: usize) -> Vec<Group> {
        let mut by_field: FxHashMap<(&str, String), Vec<u32>> = FxHashMap::default();
        for (at, (step, _)) in self.steps.iter().enumerate() {
            if let Step::Check(check) = step
                && bytes_in_table(check, self.roots.len()).is_some()
            {
                let argument = format!("{:?}", check.left.argument);
                by_field.entry((&check.left.field.name, argument)).or_default().push(at as u32);
            }
        }
        let mut all: Vec<Vec<u32>> = by_field.into_values().filter(|steps| steps.len() >= MIN_IN_TABLE).collect();
        all.sort_unstable();
        let mut groups = Vec::new();
        for steps in all {
            let mut checks = Vec::new();
            let mut bytes = 0;
            for step in steps {
                if let Step::Check(check) = &self.steps[step as usize].0 {
                    bytes += bytes_in_table(check, self.roots.len()).unwrap_or_default();
                    checks.push((step, check.clone()));
                }
            }
            if self.table_bytes + bytes > max_bytes {
                continue;
            }
            self.table_bytes += bytes;
            for (step, _) in &checks {
                self.steps[*step as usize].0 = Step::InTable(groups.len() as u32);
            }
            let is_at_hand = checks.first().and_then(|(_, check)| check.left.plain).is_some_and(is_at_hand);
            groups.push(Group { checks, is_at_hand });
        }
        groups
    }

    /// Finds the parts that are asked from more than one place.
    fn share(&mut self) {
        let mut uses = vec![0_u32; self.steps.len()];
        let mut count = |at: u32| uses[at as usize] += 1;
        for (step, _) in &self.steps {
            match step {
                Step::All(parts) | Step::Any(parts) => parts.iter().for_each(|part| count(*part)),
                Step::Not(inner) => count(*inner),
                Step::Const(_) | Step::Check(_) | Step::InTable(_) => {}
            }
        }
        self.roots.iter().for_each(|(_, at)| count(*at));
        for (uses, (_, kept)) in uses.iter().zip(&mut self.steps) {
            if *uses > 1 && kept.is_none() {
                *kept = Some(self.answers as u32);
                self.answers += 1;
            }
        }
    }
}

/// How much a program may take, or does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) steps: usize,
    pub(super) table_bytes: usize,
}

/// Comparisons of one field.
struct Group {
    checks: Vec<(u32, Arc<Check>)>,
    /// Whether the field is there as it is, so that it may be looked at for every event.
    is_at_hand: bool,
}

/// Comparisons of which one must hold.
#[derive(Clone, Debug)]
struct Waits {
    steps: SmallVec<[u32; 4]>,
    share: f32,
}

impl Waits {
    /// Of parts of which one must hold: none if one of them waits for nothing, or all for too much.
    fn of_any<'w>(parts: impl Iterator<Item = Option<&'w Waits>>) -> Option<Waits> {
        let mut whole = Waits { steps: SmallVec::new(), share: 0.0 };
        for part in parts {
            let part = part?;
            if whole.steps.len() + part.steps.len() > MAX_WAITS {
                return None;
            }
            whole.steps.extend_from_slice(&part.steps);
            whole.share += part.share;
        }
        Some(whole)
    }
}

fn is_at_hand(direct: Direct) -> bool {
    matches!(
        direct,
        Direct::ProcName
            | Direct::ProcPname
            | Direct::ProcExe
            | Direct::ProcExepath
            | Direct::ProcArgs
            | Direct::ProcCmdline
            | Direct::FdName
            | Direct::FdDirectory
            | Direct::FdFilename
    )
}

struct Building<'b> {
    arena: &'b Arena,
    program: Program,
    weights: Vec<Weight>,
    places: FxHashMap<Id, u32>,
    max_steps: usize,
}

impl Building<'_> {
    fn place(&mut self, id: Id) -> Option<u32> {
        if let Some(known) = self.places.get(&id) {
            return Some(*known);
        }
        let (step, weight) = match self.arena.node(id) {
            Node::Const(value) => (Step::Const(*value), Weight::of_constant(*value)),
            Node::Check(check) => (Step::Check(check.clone()), Weight::of_check(check)),
            Node::Not(inner) => {
                let inner = self.place(*inner)?;
                (Step::Not(inner), self.weights[inner as usize].not())
            }
            Node::All(parts) => {
                let (parts, weight) = self.parts(true, parts)?;
                (Step::All(parts), weight)
            }
            Node::Any(parts) => {
                let (parts, weight) = self.parts(false, parts)?;
                (Step::Any(parts), weight)
            }
        };
        if self.program.steps.len() >= self.max_steps {
            return None;
        }
        let at = self.program.steps.len() as u32;
        self.program.steps.push((step, None));
        self.weights.push(weight);
        self.places.insert(id, at);
        Some(at)
    }

    /// Parts in the order in which they are best asked.
    fn parts(&mut self, of_all: bool, parts: &[Id]) -> Option<(Box<[u32]>, Weight)> {
        let mut places = parts.iter().map(|part| self.place(*part)).collect::<Option<Vec<u32>>>()?;
        let weight = |at: &u32| self.weights[*at as usize];
        places.sort_by(|one, other| weight(one).rank(of_all).total_cmp(&weight(other).rank(of_all)));
        let whole = Weight::of_parts(of_all, places.iter().map(weight));
        Some((places.into(), whole))
    }
}
