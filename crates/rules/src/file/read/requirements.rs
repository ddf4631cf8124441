//! What a rule file requires: the version of Falco's engine, and plug-ins.

use super::{Content, Entry, Reader, Severity, Wrong, Yaml, wrong};

/// The version of Falco's rule engine whose rules are understood here.
const ENGINE: [u64; 3] = [0, 57, 0];

/// The plug-in whose fields are ringfence's own, and the version that has them.
const CONTAINER: (&str, [u64; 3]) = ("container", [0, 4, 0]);

impl Reader<'_, '_> {
    pub(super) fn engine_version(&mut self, value: &Yaml) -> Result<(), Wrong> {
        let text = value.text().unwrap_or_default();
        // A number alone is the minor version.
        let asked = match text.parse::<u64>() {
            Ok(minor) => Some([0, minor, 0]),
            Err(_) => version(text),
        };
        let Some(asked) = asked else {
            return wrong(&value.spot, format!("{text} is no version: write it as 0.57.0"));
        };
        if !satisfies(ENGINE, asked) {
            return wrong(
                &value.spot,
                format!(
                    "the file is for version {} of the rule engine, and {} is understood here",
                    shown(asked),
                    shown(ENGINE)
                ),
            );
        }
        Ok(())
    }

    pub(super) fn plugin_versions(&mut self, value: &Yaml) -> Result<(), Wrong> {
        let Content::List(plugins) = &value.content else {
            return wrong(&value.spot, "required_plugin_versions must be a list");
        };
        for plugin in plugins {
            let Content::Map(keys) = &plugin.content else {
                return wrong(&plugin.spot, "a plug-in has name and version");
            };
            let entry = Entry { keys, spot: &plugin.spot };
            let mut alternatives = vec![(entry.needed("name")?, entry.needed("version")?)];
            if let Some(Content::List(others)) = entry.get("alternatives").map(|others| &others.content) {
                for other in others {
                    let Content::Map(keys) = &other.content else {
                        return wrong(&other.spot, "an alternative has name and version");
                    };
                    let entry = Entry { keys, spot: &other.spot };
                    alternatives.push((entry.needed("name")?, entry.needed("version")?));
                }
            }
            let mut answered = false;
            for (name, asked) in &alternatives {
                let Some(version) = version(&asked.text) else {
                    return wrong(&asked.spot, format!("{} is no version: write it as 0.4.0", asked.text));
                };
                answered |= name.text == CONTAINER.0 && satisfies(CONTAINER.1, version);
            }
            let (name, asked) = &alternatives[0];
            let (severity, message) = if answered {
                let message = format!(
                    "the plug-in {} {} is answered by ringfence's own fields of containers",
                    name.text, asked.text
                );
                (Severity::Note, message)
            } else {
                let message = format!(
                    "the plug-in {} {} is not there: rules that need its fields are inactive",
                    name.text, asked.text
                );
                (Severity::Warning, message)
            };
            let sources = self.sources;
            self.problems.add(|| sources.at(severity, &name.spot, message));
        }
        Ok(())
    }
}

fn version(text: &str) -> Option<[u64; 3]> {
    let mut parts = text.trim().split('.').map(|part| part.parse::<u64>().ok());
    let version = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(version)
}

/// Whether a version has all that another has: the first number says that nothing fits any more.
fn satisfies(is: [u64; 3], asked: [u64; 3]) -> bool {
    is[0] == asked[0] && is >= asked
}

fn shown([major, minor, patch]: [u64; 3]) -> String {
    format!("{major}.{minor}.{patch}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_what_those_before_had() {
        assert!(satisfies([0, 57, 0], [0, 57, 0]) && satisfies([0, 57, 0], [0, 31, 5]));
        assert!(!satisfies([0, 57, 0], [0, 57, 1]) && !satisfies([0, 57, 0], [1, 0, 0]));
        assert_eq!(version("0.57.0"), Some([0, 57, 0]));
        for wrong in ["", "0.57", "0.57.0.1", "a.b.c", "0.-1.0"] {
            assert_eq!(version(wrong), None, "{wrong}");
        }
    }
}
