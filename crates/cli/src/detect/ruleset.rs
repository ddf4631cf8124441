//! The rules: which are loaded, which are active, and what alerts they make.

use std::path::{Path, PathBuf};

use ::report::{Timestamp, counted};
use agent::{ActionCall, ActionCalls};
use alerts::{Alert, Container, Origin};
use anyhow::Context as _;
use event::{Payload, Text};
use rules::{Options, Priority, RuleSet, Severity, Status, Subject};

use super::process_of;

/// The rules that come with the program: the files in `rules/`.
const SHIPPED: &[(&str, &str)] = &[("rules/containers.yaml", include_str!("../../../../rules/containers.yaml"))];

/// How much of a folder of rules is read.
const MOST_FILES: usize = 256;

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
            files.extend(SHIPPED.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())));
        }
        for path in paths {
            for path in files_of(path)? {
                files.push((path.display().to_string(), read(&path)?));
            }
        }
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

/// The file, or the rule files of a folder in the order of their names.
fn files_of(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let cannot = || format!("cannot read rules from {}", path.display());
    if !std::fs::metadata(path).with_context(cannot)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).with_context(cannot)? {
        let file = entry.with_context(cannot)?.path();
        let is_rules = file.extension().is_some_and(|end| end == "yaml" || end == "yml");
        if is_rules && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    anyhow::ensure!(!files.is_empty(), "there is no file in {} whose name ends with .yaml or .yml", path.display());
    anyhow::ensure!(files.len() <= MOST_FILES, "{} has more than {MOST_FILES} rule files", path.display());
    Ok(files)
}

fn read(path: &Path) -> anyhow::Result<String> {
    use std::io::Read as _;
    let cannot = || format!("cannot read rules from {}", path.display());
    let file = std::fs::File::open(path).with_context(cannot)?;
    let mut bytes = Vec::new();
    file.take(rules::MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).with_context(cannot)?;
    String::from_utf8(bytes).with_context(|| format!("{} is no text", path.display()))
}
