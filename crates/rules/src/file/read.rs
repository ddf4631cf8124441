//! From the YAML of rule files to definitions, entry by entry. What is wrong with one entry leaves out that entry alone.

use super::Priority;
use super::define::{Change, Definitions, Exception, RuleDefinition, Several, Written};
use super::problem::{Joined, Problem, Severity, Sources, Spot};
use super::yaml::{Content, Yaml, parse};
use crate::similar::similar;

mod requirements;

/// How many problems are told.
const MAX_PROBLEMS: usize = 500;

/// What was found to be wrong.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    found: Vec<Problem>,
    /// How many more there were.
    more: usize,
}

impl Problems {
    /// Adds one; it is only put together if it will be told.
    pub(crate) fn add(&mut self, problem: impl FnOnce() -> Problem) {
        if self.found.len() < MAX_PROBLEMS {
            self.found.push(problem());
        } else {
            self.more += 1;
        }
    }

    pub(crate) fn finish(mut self, sources: Sources<'_>) -> Vec<Problem> {
        if self.more > 0 {
            let message = format!("{} more problems are not told", self.more);
            self.found.push(sources.of_file(Severity::Error, 0, message));
        }
        self.found
    }
}

/// What is wrong with an entry, and where.
struct Wrong {
    message: String,
    spot: Spot,
}

fn wrong<T>(spot: &Spot, message: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { message: message.into(), spot: spot.clone() })
}

/// Reads all files in their order.
pub(crate) fn read(sources: Sources<'_>, problems: &mut Problems) -> Definitions {
    let mut definitions = Definitions::default();
    for (number, (_, text)) in sources.0.iter().enumerate() {
        let documents = match parse(number, text) {
            Ok(documents) => documents,
            Err(error) => {
                problems.add(|| sources.at(Severity::Error, &error.spot, error.message));
                continue;
            }
        };
        for document in documents.iter().filter(|document| !document.is_null()) {
            let Content::List(entries) = &document.content else {
                let message = "a rule file is a list: each entry begins with `- rule:`, `- macro:` or `- list:`";
                problems.add(|| sources.at(Severity::Error, &document.spot, message));
                continue;
            };
            for entry in entries.iter().filter(|entry| !entry.is_null()) {
                Reader { sources, problems, definitions: &mut definitions }.entry(entry);
            }
        }
    }
    definitions
}

struct Reader<'r, 'f> {
    sources: Sources<'f>,
    problems: &'r mut Problems,
    definitions: &'r mut Definitions,
}

/// An entry, whose keys are looked up by name.
struct Entry<'y> {
    keys: &'y [(Yaml, Yaml)],
    spot: &'y Spot,
}

impl<'y> Entry<'y> {
    fn get(&self, key: &str) -> Option<&'y Yaml> {
        self.keys.iter().find(|(known, _)| known.text() == Some(key)).map(|(_, value)| value)
    }

    /// A text that must not be empty.
    fn text(&self, key: &str) -> Result<Option<Written>, Wrong> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.text() {
            Some(text) if !text.is_empty() && !value.is_null() => {
                Ok(Some(Written { text: text.to_owned(), spot: value.spot.clone() }))
            }
            Some(_) => wrong(&value.spot, format!("{key} is empty")),
            None => wrong(&value.spot, format!("{key} must be a text")),
        }
    }

    fn needed(&self, key: &str) -> Result<Written, Wrong> {
        match self.text(key)? {
            Some(written) => Ok(written),
            None => wrong(self.spot, format!("{key} is missing")),
        }
    }

    fn joined(&self, key: &str) -> Result<Option<Joined>, Wrong> {
        Ok(self.text(key)?.map(|written| Joined::new(&written.text, &written.spot)))
    }

    fn bool(&self, key: &str) -> Result<Option<bool>, Wrong> {
        let Some(written) = self.text(key)? else { return Ok(None) };
        match written.text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Ok(Some(true)),
            "false" | "no" | "off" | "n" => Ok(Some(false)),
            _ => wrong(&written.spot, format!("{key} is true or false")),
        }
    }

    /// A list of texts.
    fn texts(&self, key: &str) -> Result<Option<Vec<Written>>, Wrong> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let Content::List(items) = &value.content else {
            return wrong(&value.spot, format!("{key} must be a list"));
        };
        let text = |item: &Yaml| match item.text() {
            Some(text) => Ok(Written { text: text.to_owned(), spot: item.spot.clone() }),
            None => wrong(&item.spot, format!("{key} must be a list of texts")),
        };
        items.iter().map(text).collect::<Result<_, _>>().map(Some)
    }

    fn priority(&self) -> Result<Option<Priority>, Wrong> {
        let Some(written) = self.text("priority")? else { return Ok(None) };
        match Priority::from_name(written.text.trim()) {
            Some(priority) => Ok(Some(priority)),
            None => {
                let names = Priority::ALL.map(Priority::name);
                let meant = similar(&written.text.to_lowercase(), names.into_iter());
                let help = match meant {
                    Some(meant) => format!("did you mean {meant}?"),
                    None => format!("it is one of {}", names.join(", ")),
                };
                wrong(&written.spot, format!("{} is no priority; {help}", written.text))
            }
        }
    }

    fn tags(&self) -> Result<Option<Vec<String>>, Wrong> {
        let tags = self.texts("tags")?;
        Ok(tags.map(|tags| tags.into_iter().map(|tag| tag.text).collect()))
    }
}

/// The keys that an entry may have, by what it defines.
const RULE_KEYS: [&str; 13] = [
    "rule",
    "desc",
    "condition",
    "output",
    "priority",
    "tags",
    "exceptions",
    "enabled",
    "source",
    "warn_evttypes",
    "skip-if-unknown-filter",
    "append",
    "override",
];
const MACRO_KEYS: [&str; 4] = ["macro", "condition", "append", "override"];
const LIST_KEYS: [&str; 4] = ["list", "items", "append", "override"];

/// What can be added to, and what can be replaced.
const APPENDABLE: [&str; 5] = ["condition", "output", "desc", "tags", "exceptions"];
const REPLACEABLE: [&str; 9] = [
    "condition",
    "output",
    "desc",
    "priority",
    "tags",
    "exceptions",
    "enabled",
    "warn_evttypes",
    "skip-if-unknown-filter",
];

/// Which keys of an entry are added, and which replace.
#[derive(Default)]
struct Override {
    append: Vec<String>,
    replace: Vec<String>,
}

impl Reader<'_, '_> {
    fn entry(&mut self, entry: &Yaml) {
        let Content::Map(keys) = &entry.content else {
            let message = "expected an entry such as `- rule: NAME` with its keys";
            self.problems.add(|| self.sources.at(Severity::Error, &entry.spot, message));
            return;
        };
        let found = Entry { keys, spot: keys.first().map_or(&entry.spot, |(key, _)| &key.spot) };
        let result = if let Some(value) = found.get("required_engine_version") {
            self.engine_version(value)
        } else if let Some(value) = found.get("required_plugin_versions") {
            self.plugin_versions(value)
        } else if found.get("list").is_some() {
            self.keys(&found, &LIST_KEYS);
            self.list(&found)
        } else if found.get("macro").is_some() {
            self.keys(&found, &MACRO_KEYS);
            self.add_macro(&found)
        } else if found.get("rule").is_some() {
            self.keys(&found, &RULE_KEYS);
            self.rule(&found)
        } else {
            let key = keys.first().and_then(|(key, _)| key.text()).unwrap_or_default();
            let names = ["rule", "macro", "list", "required_engine_version", "required_plugin_versions"];
            let help = match similar(key, names.into_iter()) {
                Some(meant) => format!("did you mean {meant}?"),
                None => "it is left out".to_owned(),
            };
            self.warn(found.spot, format!("{key} begins no entry that is known; {help}"));
            Ok(())
        };
        if let Err(error) = result {
            let name = ["rule", "macro", "list"]
                .into_iter()
                .find_map(|key| found.get(key).and_then(Yaml::text).map(|name| format!("{key} {name}")));
            let sources = self.sources;
            self.problems.add(|| {
                let problem = sources.at(Severity::Error, &error.spot, error.message);
                match name {
                    Some(name) => problem.about(&name),
                    None => problem,
                }
            });
        }
    }

    fn warn(&mut self, spot: &Spot, message: String) {
        let sources = self.sources;
        self.problems.add(|| sources.at(Severity::Warning, spot, message));
    }

    /// A key that nobody knows is a slip more often than not.
    fn keys(&mut self, entry: &Entry<'_>, known: &[&str]) {
        for (key, _) in entry.keys {
            let name = key.text().unwrap_or_default();
            if !known.contains(&name) {
                let help = match similar(name, known.iter().copied()) {
                    Some(meant) => format!("; did you mean {meant}?"),
                    None => String::new(),
                };
                self.warn(&key.spot, format!("the key {name} is not known and left out{help}"));
            }
        }
    }

    /// `append: true`, which later versions of Falco write as `override`.
    fn is_appended(&mut self, entry: &Entry<'_>, to: &Override) -> Result<bool, Wrong> {
        let is_appended = entry.bool("append")?.unwrap_or(false);
        if is_appended && !(to.append.is_empty() && to.replace.is_empty()) {
            return wrong(entry.spot, "append and override cannot stand together; write override alone");
        }
        Ok(is_appended)
    }

    fn overrides(&self, entry: &Entry<'_>, appendable: &[&str], replaceable: &[&str]) -> Result<Override, Wrong> {
        let mut found = Override::default();
        let Some(value) = entry.get("override") else { return Ok(found) };
        let Content::Map(keys) = &value.content else {
            return wrong(&value.spot, "override must say for each key whether to append or to replace");
        };
        for (key, how) in keys {
            let name = key.text().unwrap_or_default();
            let (list, known) = match how.text() {
                Some("append") => (&mut found.append, appendable),
                Some("replace") => (&mut found.replace, replaceable),
                _ => return wrong(&how.spot, format!("override of {name} is append or replace")),
            };
            if !known.contains(&name) {
                let can_be_replaced = replaceable.contains(&name);
                let help = if can_be_replaced { "it can be replaced" } else { "it stays as it was" };
                return wrong(&key.spot, format!("{name} cannot be overridden so; {help}"));
            }
            if entry.get(name).is_none() {
                return wrong(&key.spot, format!("override names {name}, which this entry does not have"));
            }
            list.push(name.to_owned());
        }
        Ok(found)
    }

    fn list(&mut self, entry: &Entry<'_>) -> Result<(), Wrong> {
        let name = entry.needed("list")?;
        if name.text.contains(|c: char| c.is_whitespace() || "()\"'=,".contains(c)) {
            return wrong(&name.spot, format!("{} is no name for a list", name.text));
        }
        let Some(items) = entry.texts("items")? else { return wrong(entry.spot, "items are missing") };
        let to = self.overrides(entry, &["items"], &["items"])?;
        let is_appended = self.is_appended(entry, &to)? || !to.append.is_empty();
        if !is_appended {
            self.definitions.list(&name.text, items);
        } else if !self.definitions.append_to_list(&name.text, items) {
            return wrong(&name.spot, format!("there is no list {} before this to append to", name.text));
        }
        Ok(())
    }

    fn add_macro(&mut self, entry: &Entry<'_>) -> Result<(), Wrong> {
        let name = entry.needed("macro")?;
        let is_name = name.text.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name {
            return wrong(&name.spot, format!("{} is no name for a macro: it has letters, digits and _", name.text));
        }
        let Some(condition) = entry.joined("condition")? else { return wrong(entry.spot, "condition is missing") };
        let to = self.overrides(entry, &["condition"], &["condition"])?;
        let is_appended = self.is_appended(entry, &to)? || !to.append.is_empty();
        if !is_appended {
            self.definitions.add_macro(&name.text, condition);
        } else if !self.definitions.append_to_macro(&name.text, &condition) {
            return wrong(&name.spot, format!("there is no macro {} before this to append to", name.text));
        }
        Ok(())
    }

    fn rule(&mut self, entry: &Entry<'_>) -> Result<(), Wrong> {
        let name = entry.needed("rule")?;
        let to = self.overrides(entry, &APPENDABLE, &REPLACEABLE)?;
        let is_appended = self.is_appended(entry, &to)?;
        if !to.append.is_empty() || !to.replace.is_empty() {
            return self.overridden(entry, &name, &to);
        }
        if is_appended {
            let change = Change {
                condition: entry.joined("condition")?,
                exceptions: exceptions(entry, true)?,
                ..Change::default()
            };
            if change.condition.is_none() && change.exceptions.is_none() {
                return wrong(entry.spot, "a rule that is appended has a condition or exceptions");
            }
            return self.append(&name, change);
        }
        let is_whole = ["condition", "output", "desc", "priority"].iter().any(|key| entry.get(key).is_some());
        if !is_whole {
            let Some(enabled) = entry.bool("enabled")? else {
                return wrong(entry.spot, "a rule has condition, output, desc and priority; or enabled alone");
            };
            let Some(rule) = self.definitions.rule_mut(&name.text) else {
                return wrong(&name.spot, format!("there is no rule {} before this to enable or disable", name.text));
            };
            rule.enabled = enabled;
            return Ok(());
        }
        self.whole(entry, &name)
    }

    fn whole(&mut self, entry: &Entry<'_>, name: &Written) -> Result<(), Wrong> {
        let condition = entry.needed("condition")?;
        let output = entry.needed("output")?;
        let desc = entry.needed("desc")?.text;
        let Some(priority) = entry.priority()? else { return wrong(entry.spot, "priority is missing") };
        let source = entry.text("source")?;
        if let (Some(known), Some(source)) = (self.definitions.rule(&name.text), &source)
            && known.source != source.text
        {
            return wrong(&source.spot, format!("the rule {} was defined for the source {}", name.text, known.source));
        }
        let exceptions = exceptions(entry, false)?.unwrap_or_default();
        self.definitions.add_rule(RuleDefinition {
            name: name.text.clone(),
            desc: desc.trim().to_owned(),
            condition: Joined::new(&condition.text, &condition.spot),
            output: Joined::new(output.text.trim(), &output.spot),
            priority,
            tags: entry.tags()?.unwrap_or_default(),
            exceptions,
            enabled: entry.bool("enabled")?.unwrap_or(true),
            source: source.map_or_else(|| "syscall".to_owned(), |source| source.text),
            warns_of_no_events: entry.bool("warn_evttypes")?.unwrap_or(true),
            skips_unknown_fields: entry.bool("skip-if-unknown-filter")?.unwrap_or(false),
            spot: entry.spot.clone(),
        });
        Ok(())
    }

    fn overridden(&mut self, entry: &Entry<'_>, name: &Written, to: &Override) -> Result<(), Wrong> {
        for (key, _) in entry.keys {
            let text = key.text().unwrap_or_default();
            let can_be = APPENDABLE.contains(&text) || REPLACEABLE.contains(&text);
            if can_be && !to.append.iter().chain(&to.replace).any(|known| known == text) {
                return wrong(&key.spot, format!("{text} is here, and override does not say what to do with it"));
            }
        }
        let change = |keys: &[String], is_appended: bool| {
            let has = |key: &str| keys.iter().any(|known| known == key);
            Ok::<_, Wrong>(Change {
                desc: if has("desc") { entry.text("desc")?.map(|it| it.text) } else { None },
                condition: if has("condition") { entry.joined("condition")? } else { None },
                output: if has("output") { entry.joined("output")? } else { None },
                tags: if has("tags") { entry.tags()? } else { None },
                exceptions: if has("exceptions") { exceptions(entry, is_appended)? } else { None },
                priority: if has("priority") { entry.priority()? } else { None },
                enabled: if has("enabled") { entry.bool("enabled")? } else { None },
                warns_of_no_events: if has("warn_evttypes") { entry.bool("warn_evttypes")? } else { None },
                skips_unknown_fields: if has("skip-if-unknown-filter") {
                    entry.bool("skip-if-unknown-filter")?
                } else {
                    None
                },
            })
        };
        let (append, replace) = (change(&to.append, true)?, change(&to.replace, false)?);
        if !to.append.is_empty() {
            self.append(name, append)?;
        }
        if !to.replace.is_empty() {
            let Some(rule) = self.definitions.rule_mut(&name.text) else {
                return wrong(&name.spot, format!("there is no rule {} before this to override", name.text));
            };
            rule.replace(replace);
        }
        Ok(())
    }

    fn append(&mut self, name: &Written, change: Change) -> Result<(), Wrong> {
        let Some(rule) = self.definitions.rule_mut(&name.text) else {
            return wrong(&name.spot, format!("there is no rule {} before this to append to", name.text));
        };
        rule.append(change).map_err(|(message, spot)| Wrong { message, spot })
    }
}

fn exceptions(entry: &Entry<'_>, is_appended: bool) -> Result<Option<Vec<Exception>>, Wrong> {
    let Some(value) = entry.get("exceptions") else { return Ok(None) };
    if value.is_null() {
        return Ok(Some(Vec::new()));
    }
    let Content::List(items) = &value.content else { return wrong(&value.spot, "exceptions must be a list") };
    let mut found: Vec<Exception> = Vec::new();
    for item in items {
        let Content::Map(keys) = &item.content else {
            return wrong(&item.spot, "an exception has name, fields, comps and values");
        };
        let inner = Entry { keys, spot: keys.first().map_or(&item.spot, |(key, _)| &key.spot) };
        let name = inner.needed("name")?;
        if found.iter().any(|known| known.name == name.text) {
            return wrong(&name.spot, format!("the exception {} is here twice", name.text));
        }
        let fields = inner.get("fields").map(several).transpose()?;
        if fields.is_none() && !is_appended {
            return wrong(inner.spot, format!("exception {}: fields are missing", name.text));
        }
        let values = match inner.get("values") {
            None => Vec::new(),
            Some(values) => match &values.content {
                Content::List(values) => values.iter().map(several).collect::<Result<_, _>>()?,
                _ => return wrong(&values.spot, format!("exception {}: values must be a list", name.text)),
            },
        };
        let comps = inner.get("comps").map(several).transpose()?;
        found.push(Exception { name: name.text, fields, comps, values, spot: inner.spot.clone() });
    }
    Ok(Some(found))
}

fn several(yaml: &Yaml) -> Result<Several, Wrong> {
    match &yaml.content {
        Content::Scalar { text, .. } if text.is_empty() => wrong(&yaml.spot, "a value is empty"),
        Content::Scalar { text, .. } => Ok(Several::One(Written { text: text.clone(), spot: yaml.spot.clone() })),
        Content::List(items) => {
            Ok(Several::Many(items.iter().map(several).collect::<Result<_, _>>()?, yaml.spot.clone()))
        }
        Content::Map(_) => wrong(&yaml.spot, "expected a value or a list of values"),
    }
}
