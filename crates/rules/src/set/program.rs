//! The rules that one kind of event wakes, ready to be asked.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::arena::{Arena, Id, Node};
use crate::eval::Check;
use crate::falco::Cache;
use crate::subject::Subject;

/// How many steps all programs may have together.
pub(super) const MAX_STEPS: usize = 4_000_000;

/// One condition, or a part of one.
#[derive(Debug)]
enum Step {
    Const(bool),
    All(Box<[u32]>),
    Any(Box<[u32]>),
    Not(u32),
    Check(Arc<Check>),
}

/// The rules that one kind of event can match.
#[derive(Debug, Default)]
pub(super) struct Program {
    /// Each part with the place at which its answer is kept; none if it is asked once at most.
    steps: Vec<(Step, Option<u32>)>,
    /// The number of a rule, and its condition.
    pub(super) roots: Vec<(u32, u32)>,
    shared: u32,
}

/// What is known while one event is looked at.
#[derive(Debug, Default)]
pub(super) struct State {
    answers: SmallVec<[u8; 256]>,
    cache: Cache,
}

const UNKNOWN: u8 = 0;
const NO: u8 = 1;
const YES: u8 = 2;

impl Program {
    /// Puts the conditions together; none if they are more than so many steps.
    pub(super) fn new(arena: &Arena, roots: &[(u32, Id)], max_steps: usize) -> Option<Program> {
        let mut building = Building { arena, program: Program::default(), places: FxHashMap::default(), max_steps };
        for (rule, id) in roots {
            let at = building.place(*id)?;
            building.program.roots.push((*rule, at));
        }
        let mut program = building.program;
        program.share();
        Some(program)
    }

    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    pub(super) fn state(&self) -> State {
        let mut state = State::default();
        state.answers.resize(self.shared as usize, UNKNOWN);
        state
    }

    /// Finds the parts that are asked from more than one place.
    fn share(&mut self) {
        let mut uses = vec![0_u32; self.steps.len()];
        let mut count = |at: u32| uses[at as usize] += 1;
        for (step, _) in &self.steps {
            match step {
                Step::All(parts) | Step::Any(parts) => parts.iter().for_each(|part| count(*part)),
                Step::Not(inner) => count(*inner),
                Step::Const(_) | Step::Check(_) => {}
            }
        }
        self.roots.iter().for_each(|(_, at)| count(*at));
        for (uses, (_, kept)) in uses.iter().zip(&mut self.steps) {
            if *uses > 1 {
                *kept = Some(self.shared);
                self.shared += 1;
            }
        }
    }

    pub(super) fn holds(&self, at: u32, subject: &Subject<'_>, state: &mut State) -> bool {
        let (step, kept) = &self.steps[at as usize];
        if let Some(kept) = kept {
            match state.answers[*kept as usize] {
                UNKNOWN => {}
                answer => return answer == YES,
            }
        }
        let answer = match step {
            Step::Const(value) => *value,
            Step::All(parts) => parts.iter().all(|part| self.holds(*part, subject, state)),
            Step::Any(parts) => parts.iter().any(|part| self.holds(*part, subject, state)),
            Step::Not(inner) => !self.holds(*inner, subject, state),
            Step::Check(check) => check.holds(subject, &state.cache),
        };
        if let Some(kept) = kept {
            state.answers[*kept as usize] = if answer { YES } else { NO };
        }
        answer
    }
}

struct Building<'b> {
    arena: &'b Arena,
    program: Program,
    places: FxHashMap<Id, u32>,
    max_steps: usize,
}

impl Building<'_> {
    fn place(&mut self, id: Id) -> Option<u32> {
        if let Some(known) = self.places.get(&id) {
            return Some(*known);
        }
        let all = |building: &mut Self, parts: &[Id]| {
            parts.iter().map(|part| building.place(*part)).collect::<Option<Box<[u32]>>>()
        };
        let step = match self.arena.node(id) {
            Node::Const(value) => Step::Const(*value),
            Node::Check(check) => Step::Check(check.clone()),
            Node::Not(inner) => Step::Not(self.place(*inner)?),
            Node::All(parts) => Step::All(all(self, parts)?),
            Node::Any(parts) => Step::Any(all(self, parts)?),
        };
        if self.program.steps.len() >= self.max_steps {
            return None;
        }
        let at = self.program.steps.len() as u32;
        self.program.steps.push((step, None));
        self.places.insert(id, at);
        Some(at)
    }
}
