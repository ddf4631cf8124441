//! A rule with its macros and lists put in, as a person reads it.

use std::fmt::Write as _;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::arena::{Id, Node};
use super::{Rule, RuleSet};
use crate::eval::Check;

/// How much of a condition is shown, in bytes: shared parts are shown wherever they stand.
const MAX_SHOWN: usize = 256 << 10;

impl RuleSet {
    /// The condition of a rule without macros and lists, one comparison on each line; none if it cannot be used.
    pub fn condition(&self, rule: &Rule) -> Option<String> {
        let mut out = String::new();
        self.write(rule.condition?, 0, &mut out);
        if out.len() > MAX_SHOWN {
            let end = (0..=MAX_SHOWN).rev().find(|at| out.is_char_boundary(*at)).unwrap_or(0);
            out.truncate(end);
            out.push_str("\n…\n");
        }
        Some(out)
    }

    /// The fields that the condition of a rule names, each once, in the order of their names.
    pub fn fields(&self, rule: &Rule) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = Vec::new();
        for check in rule.condition.map(|id| self.checks(id)).unwrap_or_default() {
            check.fields(&mut |field| names.push(&field.name));
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Every comparison of a condition, once.
    pub(super) fn checks(&self, id: Id) -> Vec<Arc<Check>> {
        let mut seen: FxHashSet<Id> = FxHashSet::default();
        let mut left = vec![id];
        let mut checks = Vec::new();
        while let Some(id) = left.pop() {
            if !seen.insert(id) {
                continue;
            }
            match self.arena.node(id) {
                Node::Const(_) => {}
                Node::Check(check) => checks.push(check.clone()),
                Node::Not(inner) => left.push(*inner),
                Node::All(parts) | Node::Any(parts) => left.extend(parts.iter()),
            }
        }
        checks
    }

    fn write(&self, id: Id, depth: usize, out: &mut String) {
        if out.len() > MAX_SHOWN {
            return;
        }
        let indent = "  ".repeat(depth);
        match self.arena.node(id) {
            Node::Const(value) => {
                let _ = writeln!(out, "{indent}{value}");
            }
            Node::Check(check) => {
                let _ = writeln!(out, "{indent}{}", check.shown);
            }
            Node::Not(inner) => self.group("not (", [*inner].as_slice(), depth, out),
            Node::All(parts) => self.group("all of (", parts, depth, out),
            Node::Any(parts) => self.group("any of (", parts, depth, out),
        }
    }

    fn group(&self, begin: &str, parts: &[Id], depth: usize, out: &mut String) {
        let indent = "  ".repeat(depth);
        // A single comparison stands on the line of its `not`.
        if let ([only], "not (") = (parts, begin)
            && let Node::Check(check) = self.arena.node(*only)
        {
            let _ = writeln!(out, "{indent}not {}", check.shown);
            return;
        }
        let _ = writeln!(out, "{indent}{begin}");
        for part in parts {
            self.write(*part, depth + 1, out);
        }
        let _ = writeln!(out, "{indent})");
    }
}
