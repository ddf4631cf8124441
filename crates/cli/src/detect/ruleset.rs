//! The rules: which are loaded, which are active, and what alerts they make.

use std::path::PathBuf;

use ::report::{Timestamp, counted};
use agent::{ActionCall, ActionCalls};
use alerts::{Alert, Container, Origin};
use event::{Payload, Text};
use rules::{Options, Priority, RuleSet, Severity, Status, Subject};

use super::process_of;
use crate::rules::shipped::shipped;

/// Rules that were loaded.
pub(super) struct Rules {
    set: RuleSet,
    problems: Vec<String>,
}

impl Rules {
    /// Loads the shipped rules if they are wanted, then these files and folders in their order, then exceptions.
    pub(super) fn load(
        with_shipped: bool,
        paths: &[PathBuf],
        exceptions: Option<(PathBuf, String)>,
        least: Priority,
    ) -> anyhow::Result<Rules> {
        let mut files: Vec<(String, String)> = Vec::new();
        if with_shipped {
            files.extend(shipped());
        }
        files.extend(crate::rules::files::read(paths)?);
        if let Some((path, text)) = exceptions {
            files.push((path.display().to_string(), text));
        }
        let options = Options { least_priority: Some(least), ..Options::default() };
        let (set, found) = RuleSet::load(&files, &options);
        // Files of a set are only right together: with one that is wrong, something would silently not be looked for.
        let errors: Vec<String> = found
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .map(|problem| problem.to_string())
            .collect();
        let is_left_out = |rule: &rules::Rule| matches!(rule.status(), Status::Wrong { .. });
        let is_wrong = set.rules().iter().any(is_left_out) || (!errors.is_empty() && set.rules().is_empty());
        anyhow::ensure!(
            !is_wrong,
            "the rules have errors; `ringfence rules check` lists all of them\n{}",
            errors.iter().take(5).map(String::as_str).collect::<Vec<_>>().join("\n")
        );
        Ok(Rules { set, problems: errors })
    }

    /// How many rules are active, which are not and why, and what they look at: a sentence a line.
    pub(super) fn sentences(&self) -> Vec<String> {
        let active = self.set.active().count();
        let mut said = vec![counted(active as u64, "rule is active", "rules are active")];
        let mut disabled = 0_u64;
        for rule in self.set.rules() {
            let name = Text::from(rule.name());
            match rule.status() {
                Status::Active => {}
                Status::Disabled => disabled += 1,
                Status::NotProvided { reason } | Status::Wrong { reason } => {
                    said.push(format!("not active: {}: {}", name.shown(), Text::from(reason.as_str()).shown()));
                }
            }
        }
        if disabled > 0 {
            said.push(format!("not active: {}, not enabled or of lower priority", counted(disabled, "rule", "rules")));
        }
        said.extend(self.problems.iter().cloned());
        let mut kinds: Vec<&str> = self.set.active().flat_map(|rule| rule.kinds().iter().copied()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let calls: Vec<&str> = self.set.calls().iter().map(|call| call.name).collect();
        let list = |what: &str, names: &[&str]| match names.is_empty() {
            true => None,
            false => Some(format!("{what} {}", names.join(", "))),
        };
        let looks: Vec<String> =
            [list("the events", &kinds), list("the system calls", &calls)].into_iter().flatten().collect();
        if !looks.is_empty() {
            said.push(format!("they look at {}", looks.join(" and ")));
        }
        said
    }

    /// Whether any is active.
    pub(super) fn has_active(&self) -> bool {
        self.set.active().next().is_some()
    }

    /// Whether any can match such an event.
    pub(super) fn wakes(&self, payload: &Payload) -> bool {
        self.set.wakes(payload)
    }

    /// The system calls that the kernel side must tell of.
    pub(super) fn actions(&self) -> Option<ActionCalls> {
        let call =
            |wanted: &rules::CallsWanted| ActionCall { name: wanted.name.to_owned(), also_failed: wanted.failures };
        let is_any = self.has_active();
        is_any.then(|| ActionCalls {
            calls: self.set.calls().iter().map(call).collect(),
            environment: self.set.needs_environment(),
        })
    }

    /// The alerts that an event makes.
    pub(super) fn alerts(&self, subject: &Subject<'_>, container: impl Fn() -> Container, mut then: impl FnMut(Alert)) {
        for rule in self.set.matching(subject) {
            let text = |escaped: &str| Text::parse(escaped).unwrap_or_else(|| Text::from(escaped));
            let output = text(&rule.output(subject));
            let mut alert = Alert::new(Origin::Rule, rule.name(), rule.priority(), output, container());
            alert.tags = rule.tags().iter().map(|tag| Text::from(tag.as_str())).collect();
            let parts = rule.parts(subject).into_iter();
            alert.fields =
                parts.map(|part| (Text::from(part.field.as_str()), part.value.as_deref().map(text))).collect();
            alert.process = Some(process_of(subject));
            then(alert.sealed(Timestamp::from_unix_ns(subject.event.wall_time)));
        }
    }
}
