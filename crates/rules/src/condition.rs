//! A condition, ready to be asked.

use crate::error::{ConditionError, Issue};
use crate::eval::Node;
use crate::falco::Cache;
use crate::fields::Field;
use crate::parser::{Dialect, parse};
use crate::resolve::resolve;
use crate::{MAX_BYTES, Subject};

/// A condition about an event, its container and its process.
///
/// Comparisons with a field that is unset are false, those with `!=` too; `not` is true of what is not true. So
/// `container.name != web` asks for events of containers that have another name, and `not container.name = web` also
/// for those of containers without one.
#[derive(Clone, Debug)]
pub struct Condition {
    root: Node,
}

impl Condition {
    /// Reads a condition; names, types and values must be right.
    pub fn parse(text: &str) -> Result<Condition, ConditionError> {
        if text.len() > MAX_BYTES {
            let issue = Issue::new(MAX_BYTES..MAX_BYTES, format!("the condition is longer than {MAX_BYTES} bytes"));
            return Err(ConditionError::new(text, issue));
        }
        let root = parse(text, Dialect::Condition).and_then(|expression| resolve(&expression));
        root.map(|root| Condition { root }).map_err(|issue| ConditionError::new(text, issue))
    }

    /// Whether it is true of this subject.
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        self.root.holds(subject, &Cache::default())
    }

    /// The fields that it names, some perhaps more than once.
    pub fn fields(&self) -> Vec<&'static Field> {
        let mut fields = Vec::new();
        self.root.fields(&mut |field| fields.push(field));
        fields
    }
}
