//! Rules that were loaded, and which of them an event matches.

mod answers;
mod arena;
mod assume;
mod bits;
mod expand;
mod explain;
mod load;
mod output;
mod plain;
mod program;
mod table;
mod wakes;
mod weight;

use std::fmt;

use event::Payload;
use serde::Serialize;

use arena::{Arena, Id};
use output::Template;
use program::{Program, State};

use crate::falco::{Call, Direct};
use crate::file::{Priority, Problem};
use crate::subject::Subject;

pub use output::Part;
pub use wakes::CallsWanted;

/// How rules are loaded and asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Give only the first rule that matches, in the order of the files, as Falco does unless it is told otherwise.
    pub first_match_only: bool,
    /// Leave out rules that matter less than this.
    pub least_priority: Option<Priority>,
}

/// Whether a rule is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Status {
    /// It is.
    Active,
    /// Its file says that it is not enabled, or it matters less than was asked for.
    Disabled,
    /// It asks for what is not provided.
    NotProvided {
        /// What that is, and why.
        reason: String,
    },
    /// Something is wrong with it.
    Wrong {
        /// What that is.
        reason: String,
    },
}

/// A rule.
#[derive(Debug)]
pub struct Rule {
    name: String,
    desc: String,
    priority: Priority,
    tags: Vec<String>,
    source: String,
    file: String,
    line: usize,
    status: Status,
    output: String,
    template: Template,
    condition: Option<Id>,
    kinds: Vec<&'static str>,
    calls: Vec<CallsWanted>,
    wakes_for_any_call: bool,
}

impl Rule {
    /// The name, unique among the rules.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is about.
    pub fn desc(&self) -> &str {
        &self.desc
    }

    /// How much a match matters.
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// Its tags, in the order in which they were written.
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// Where its events come from: `syscall` of all that are asked.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The file that it is from.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line of that file on which it was defined last.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Whether it is asked.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Its template as it was written.
    pub fn template(&self) -> &str {
        &self.output
    }

    /// What it says of an event, safe on a terminal.
    pub fn output(&self, subject: &Subject<'_>) -> String {
        self.template.text(subject)
    }

    /// The fields that it says with their values, each once.
    pub fn parts(&self, subject: &Subject<'_>) -> Vec<Part> {
        self.template.parts(subject)
    }

    /// The kinds of events that it can match, beside single system calls.
    pub fn kinds(&self) -> &[&'static str] {
        &self.kinds
    }

    /// The system calls that it can match.
    pub fn calls(&self) -> &[CallsWanted] {
        &self.calls
    }

    /// Whether it names no event, so that it is asked about every one that comes.
    pub fn wakes_for_any_call(&self) -> bool {
        self.wakes_for_any_call
    }
}

/// Rules that were loaded together.
pub struct RuleSet {
    rules: Vec<Rule>,
    arena: Arena,
    programs: Vec<Program>,
    /// By the number of a kind: the place of its program.
    by_kind: Vec<Option<u32>>,
    /// By the number of a call, likewise; of those that no rule names, the last.
    by_call: Vec<Option<u32>>,
    other_call: Option<u32>,
    calls: Vec<CallsWanted>,
    first_match_only: bool,
    directs: Vec<Direct>,
}

impl fmt::Debug for RuleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuleSet").field("rules", &self.rules.len()).finish_non_exhaustive()
    }
}

impl RuleSet {
    /// Loads files together, in this order: name and text of each. What is wrong is told; all else is loaded.
    pub fn load(files: &[(String, String)], options: &Options) -> (RuleSet, Vec<Problem>) {
        load::load(files, options)
    }

    /// All rules, those that are not asked among them, in the order in which they were defined first.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule with this name.
    pub fn find(&self, name: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.name == name)
    }

    /// The rules that are asked.
    pub fn active(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| rule.status == Status::Active)
    }

    /// The system calls that rules name, with whether those that fail are wanted too, by name.
    ///
    /// Beside these, rules look at `exec`, and at all other events that come anyway.
    pub fn calls(&self) -> &[CallsWanted] {
        &self.calls
    }

    /// Whether a rule asks for the environment of programs.
    pub fn needs_environment(&self) -> bool {
        self.directs.contains(&Direct::ProcEnv)
    }

    /// Whether any rule can match such an event: if not, nothing around it need be looked up.
    pub fn wakes(&self, payload: &Payload) -> bool {
        self.program(payload).is_some()
    }

    /// The rules that match, in the order in which they were defined first.
    pub fn matching<'r, 's>(&'r self, subject: &'s Subject<'s>) -> Matches<'r, 's> {
        let program = self.program(subject.payload);
        let state = program.map(|program| program.begin(subject)).unwrap_or_default();
        Matches { set: self, program, subject, state, next: 0 }
    }

    fn program(&self, payload: &Payload) -> Option<&Program> {
        let at = match payload {
            Payload::Action(action) => match Call::of(action.syscall) {
                Some(call) => self.by_call.get(call.number).copied().flatten(),
                None => self.other_call,
            },
            other => self.by_kind.get(other.kind_number()).copied().flatten(),
        };
        self.programs.get(at? as usize)
    }
}

/// The rules that match an event.
pub struct Matches<'r, 's> {
    set: &'r RuleSet,
    program: Option<&'r Program>,
    subject: &'s Subject<'s>,
    state: State,
    next: usize,
}

impl fmt::Debug for Matches<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Matches").finish_non_exhaustive()
    }
}

impl<'r> Iterator for Matches<'r, '_> {
    type Item = &'r Rule;

    fn next(&mut self) -> Option<&'r Rule> {
        let program = self.program?;
        let at = program.next(self.next, self.subject, &mut self.state)?;
        self.next = if self.set.first_match_only { program.roots.len() } else { at + 1 };
        let (rule, _) = program.roots.get(at)?;
        self.set.rules.get(*rule as usize)
    }
}
