//! What is left of a condition when it is known which event it is asked about: often nothing, and the rule sleeps.

use rustc_hash::FxHashMap;

use super::arena::{Arena, Id, Node, TooMuch};
use crate::eval::{Check, Test};
use crate::falco::{Call, Direct, Role, Scope};
use crate::operator::Operator;
use crate::pick::Value;

/// What is known of an event before it comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Assume {
    /// Its kind.
    pub(super) kind: &'static str,
    /// Which call it is; none if it is one that no rule names.
    pub(super) call: Option<&'static Call>,
    /// Whether it failed.
    pub(super) failed: Option<bool>,
}

/// What is already known of each part.
pub(super) type Memo = FxHashMap<Id, Id>;

/// What is left of a condition.
pub(super) fn specialise(arena: &mut Arena, id: Id, assume: &Assume, memo: &mut Memo) -> Result<Id, TooMuch> {
    if let Some(known) = memo.get(&id) {
        return Ok(*known);
    }
    let left = match arena.node(id).clone() {
        Node::Const(_) => id,
        Node::Check(check) => match decide(&check, assume) {
            Some(value) => arena.constant(value)?,
            None => id,
        },
        Node::Not(inner) => {
            let inner = specialise(arena, inner, assume, memo)?;
            arena.not(inner)?
        }
        Node::All(parts) => join(arena, true, &parts, assume, memo)?,
        Node::Any(parts) => join(arena, false, &parts, assume, memo)?,
    };
    memo.insert(id, left);
    Ok(left)
}

fn join(arena: &mut Arena, of_all: bool, parts: &[Id], assume: &Assume, memo: &mut Memo) -> Result<Id, TooMuch> {
    let mut left = Vec::with_capacity(parts.len());
    for part in parts {
        let part = specialise(arena, *part, assume, memo)?;
        // The rest does not matter.
        if arena.truth(part) == Some(!of_all) {
            return Ok(part);
        }
        left.push(part);
    }
    arena.join(of_all, left)
}

/// Whether a comparison is true or false of every such event.
fn decide(check: &Check, assume: &Assume) -> Option<bool> {
    if !check.left.transformers.is_empty() || matches!(check.test, Test::Field(..)) {
        return None;
    }
    let unset = Some(false);
    let field = check.left.field;
    if let Some(kind) = field.kind() {
        return if kind == assume.kind { None } else { unset };
    }
    let Some((direct, scope)) = field.direct() else {
        return (field.name == "event.kind").then(|| check.test.holds(Value::Text(assume.kind.as_bytes())));
    };
    let is_action = assume.kind == "action";
    match scope {
        Scope::Any => return None,
        Scope::Call if !has_call(assume.kind) => return unset,
        Scope::Action | Scope::Open if !is_action => return unset,
        // A call that no rule names may still be one that opens.
        Scope::Open if assume.call.is_some_and(|call| call.role != Role::Open) => return unset,
        _ => {}
    }
    match direct {
        Direct::EvtType | Direct::SyscallType => match assume.call {
            Some(call) => Some(check.test.holds(Value::Text(call.name.as_bytes()))),
            // It is none of those that any test of this field holds of.
            None => Some(check.test.holds(Value::Text(b"\0"))),
        },
        Direct::EvtArg | Direct::EvtRawarg => match assume.call {
            Some(call) if call.argument(&check.left.argument).is_none() => unset,
            _ => None,
        },
        _ => assume.failed.and_then(|failed| of_result(direct, &check.test, failed, assume)),
    }
}

/// Kinds of events that are system calls for rules.
fn has_call(kind: &str) -> bool {
    matches!(kind, "action" | "exec" | "fork" | "exit")
}

/// A test of what a call returned, when it is known whether it failed.
fn of_result(direct: Direct, test: &Test, failed: bool, assume: &Assume) -> Option<bool> {
    let opens = assume.call.is_some_and(|call| call.role == Role::Open);
    match direct {
        Direct::EvtFailed => Some(test.holds(Value::Bool(failed))),
        Direct::EvtRes if !failed => Some(test.holds(Value::Text(b"SUCCESS"))),
        Direct::EvtRes => match test {
            Test::Is(name) if name == b"SUCCESS" => Some(false),
            _ => None,
        },
        Direct::FdNum if failed && opens => Some(test.holds(Value::Number(-1))),
        Direct::EvtRawres if failed => below_zero(test),
        Direct::EvtRawres | Direct::FdNum if !failed => not_below_zero(test),
        _ => None,
    }
}

/// A test of a number from -4095 to -1.
fn below_zero(test: &Test) -> Option<bool> {
    match test {
        Test::Number(Operator::AtLeast, wanted) if *wanted >= 0 => Some(false),
        Test::Number(Operator::Greater, wanted) if *wanted >= -1 => Some(false),
        Test::Number(Operator::Equal, wanted) if *wanted >= 0 => Some(false),
        Test::Number(Operator::Less, wanted) if *wanted >= 0 => Some(true),
        Test::Number(Operator::AtMost, wanted) if *wanted >= -1 => Some(true),
        Test::Numbers(wanted) if wanted.iter().all(|wanted| *wanted >= 0) => Some(false),
        _ => None,
    }
}

/// A test of a number that is 0 or more.
fn not_below_zero(test: &Test) -> Option<bool> {
    match test {
        Test::Number(Operator::AtLeast, wanted) if *wanted <= 0 => Some(true),
        Test::Number(Operator::Greater, wanted) if *wanted < 0 => Some(true),
        Test::Number(Operator::Equal, wanted) if *wanted < 0 => Some(false),
        Test::Number(Operator::Less, wanted) if *wanted <= 0 => Some(false),
        Test::Number(Operator::AtMost, wanted) if *wanted < 0 => Some(false),
        Test::Numbers(wanted) if wanted.iter().all(|wanted| *wanted < 0) => Some(false),
        _ => None,
    }
}
