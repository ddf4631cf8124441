//! What is defined: lists, macros and rules, in the order in which they came, with what later ones changed.

use std::collections::HashMap;

use super::Priority;
use super::problem::{Joined, Spot};

/// A value as it was written.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) text: String,
    pub(crate) spot: Spot,
}

/// One value, or a list of them.
#[derive(Clone, Debug)]
pub(crate) enum Several {
    One(Written),
    Many(Vec<Several>, Spot),
}

impl Several {
    pub(crate) fn spot(&self) -> &Spot {
        match self {
            Several::One(written) => &written.spot,
            Several::Many(_, spot) => spot,
        }
    }
}

/// When something was defined first, and when it was changed last: what a macro or list refers to must have come before
/// its last change.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Age {
    pub(crate) first: usize,
    pub(crate) last: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct ListDefinition {
    pub(crate) items: Vec<Written>,
    pub(crate) age: Age,
}

#[derive(Clone, Debug)]
pub(crate) struct MacroDefinition {
    pub(crate) condition: Joined,
    pub(crate) age: Age,
}

#[derive(Clone, Debug)]
pub(crate) struct Exception {
    pub(crate) name: String,
    pub(crate) fields: Option<Several>,
    pub(crate) comps: Option<Several>,
    pub(crate) values: Vec<Several>,
    pub(crate) spot: Spot,
}

#[derive(Clone, Debug)]
pub(crate) struct RuleDefinition {
    pub(crate) name: String,
    pub(crate) desc: String,
    pub(crate) condition: Joined,
    pub(crate) output: Joined,
    pub(crate) priority: Priority,
    pub(crate) tags: Vec<String>,
    pub(crate) exceptions: Vec<Exception>,
    pub(crate) enabled: bool,
    pub(crate) source: String,
    pub(crate) warns_of_no_events: bool,
    pub(crate) skips_unknown_fields: bool,
    pub(crate) spot: Spot,
}

/// What an entry changes of a rule that was defined before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Change {
    pub(crate) desc: Option<String>,
    pub(crate) condition: Option<Joined>,
    pub(crate) output: Option<Joined>,
    pub(crate) tags: Option<Vec<String>>,
    pub(crate) exceptions: Option<Vec<Exception>>,
    pub(crate) priority: Option<Priority>,
    pub(crate) enabled: Option<bool>,
    pub(crate) warns_of_no_events: Option<bool>,
    pub(crate) skips_unknown_fields: Option<bool>,
}

/// All that is defined.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    pub(crate) lists: HashMap<String, ListDefinition>,
    pub(crate) macros: HashMap<String, MacroDefinition>,
    /// In the order in which they were defined first.
    pub(crate) rules: Vec<RuleDefinition>,
    by_name: HashMap<String, usize>,
    entries: usize,
}

impl Definitions {
    fn next(&mut self) -> usize {
        self.entries += 1;
        self.entries
    }

    /// What is defined again keeps its place and is new otherwise.
    pub(crate) fn list(&mut self, name: &str, items: Vec<Written>) {
        let last = self.next();
        let first = self.lists.get(name).map_or(last, |list| list.age.first);
        self.lists.insert(name.to_owned(), ListDefinition { items, age: Age { first, last } });
    }

    /// Whether there was one.
    pub(crate) fn append_to_list(&mut self, name: &str, items: Vec<Written>) -> bool {
        let last = self.next();
        let Some(list) = self.lists.get_mut(name) else { return false };
        list.items.extend(items);
        list.age.last = last;
        true
    }

    pub(crate) fn add_macro(&mut self, name: &str, condition: Joined) {
        let last = self.next();
        let first = self.macros.get(name).map_or(last, |it| it.age.first);
        self.macros.insert(name.to_owned(), MacroDefinition { condition, age: Age { first, last } });
    }

    /// Whether there was one.
    pub(crate) fn append_to_macro(&mut self, name: &str, condition: &Joined) -> bool {
        let last = self.next();
        let Some(it) = self.macros.get_mut(name) else { return false };
        it.condition.append(condition);
        it.age.last = last;
        true
    }

    pub(crate) fn rule(&self, name: &str) -> Option<&RuleDefinition> {
        self.by_name.get(name).and_then(|at| self.rules.get(*at))
    }

    pub(crate) fn rule_mut(&mut self, name: &str) -> Option<&mut RuleDefinition> {
        self.next();
        self.by_name.get(name).and_then(|at| self.rules.get_mut(*at))
    }

    pub(crate) fn add_rule(&mut self, rule: RuleDefinition) {
        self.next();
        match self.by_name.get(&rule.name).and_then(|at| self.rules.get_mut(*at)) {
            Some(known) => *known = rule,
            None => {
                self.by_name.insert(rule.name.clone(), self.rules.len());
                self.rules.push(rule);
            }
        }
    }
}

impl RuleDefinition {
    /// Adds to what there is; the error says what cannot be added.
    pub(crate) fn append(&mut self, change: Change) -> Result<(), (String, Spot)> {
        if let Some(condition) = &change.condition {
            self.condition.append(condition);
        }
        if let Some(output) = &change.output {
            self.output.append(output);
        }
        if let Some(desc) = &change.desc {
            self.desc.push(' ');
            self.desc.push_str(desc);
        }
        for tag in change.tags.into_iter().flatten() {
            if !self.tags.contains(&tag) {
                self.tags.push(tag);
            }
        }
        for exception in change.exceptions.into_iter().flatten() {
            self.append_exception(exception)?;
        }
        Ok(())
    }

    fn append_exception(&mut self, exception: Exception) -> Result<(), (String, Spot)> {
        let wrong = |message: &str| Err((format!("exception {}: {message}", exception.name), exception.spot.clone()));
        match self.exceptions.iter_mut().find(|known| known.name == exception.name) {
            Some(known) => {
                if exception.fields.is_some() || exception.comps.is_some() {
                    return wrong("only values can be added to one that there is");
                }
                known.values.extend(exception.values);
            }
            None => {
                if exception.fields.is_none() {
                    return wrong("fields are missing, as the rule has no exception of this name");
                }
                if exception.values.is_empty() {
                    return wrong("values are missing");
                }
                self.exceptions.push(exception);
            }
        }
        Ok(())
    }

    /// Puts this in the place of what there is.
    pub(crate) fn replace(&mut self, change: Change) {
        fn put<T>(place: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *place = value;
            }
        }
        put(&mut self.condition, change.condition);
        put(&mut self.output, change.output);
        put(&mut self.desc, change.desc);
        put(&mut self.tags, change.tags);
        put(&mut self.exceptions, change.exceptions);
        put(&mut self.priority, change.priority);
        put(&mut self.enabled, change.enabled);
        put(&mut self.warns_of_no_events, change.warns_of_no_events);
        put(&mut self.skips_unknown_fields, change.skips_unknown_fields);
    }
}
