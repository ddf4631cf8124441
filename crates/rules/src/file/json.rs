//! YAML read for what is otherwise written in JSON: other files than rules, within the same bounds.

use serde_json::{Map, Number, Value};

use crate::file::problem::{Problem, Severity, Sources};
use crate::file::yaml::{Content, Yaml, YamlError, parse};

/// The one document of a YAML file as JSON. What stands without quotes is `null`, `true`, `false` or a number if JSON writes it so (or
/// the core schema of YAML 1.2 does, with a capital), and text otherwise. The name is for messages.
pub fn yaml_to_json(name: &str, text: &str) -> Result<Value, Box<Problem>> {
    let files = [(name.to_owned(), text.to_owned())];
    let sources = Sources(&files);
    let problem = |error: YamlError| Box::new(sources.at(Severity::Error, &error.spot, error.message));
    let documents = parse(0, text).map_err(problem)?;
    match documents.as_slice() {
        [] => Err(Box::new(sources.of_file(Severity::Error, 0, "there is nothing in it"))),
        [one] => value(one).map_err(problem),
        [_, second, ..] => {
            Err(Box::new(sources.at(Severity::Error, &second.spot, "a second document begins here: one is read")))
        }
    }
}

fn value(yaml: &Yaml) -> Result<Value, YamlError> {
    Ok(match &yaml.content {
        Content::Scalar { text, is_plain: false } => Value::String(text.clone()),
        Content::Scalar { text, is_plain: true } => plain(text),
        Content::List(items) => Value::Array(items.iter().map(value).collect::<Result<_, _>>()?),
        Content::Map(entries) => {
            let mut map = Map::new();
            for (key, entry) in entries {
                let Some(name) = key.text() else {
                    return Err(YamlError { message: "a key is text".into(), spot: key.spot.clone() });
                };
                map.insert(name.to_owned(), value(entry)?);
            }
            Value::Object(map)
        }
    })
}

fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        text => text.parse::<Number>().map_or_else(|_| Value::String(text.to_owned()), Value::Number),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_stands_without_quotes_is_what_json_would_write_so() {
        let read = yaml_to_json("a.yaml", "a: 1\nb: \"1\"\nc: [true, 'true', yes, ~]\nd: {e: /bin/sh}\nf: 007\n");

        let expected = json!({"a": 1, "b": "1", "c": [true, "true", "yes", null], "d": {"e": "/bin/sh"}, "f": "007"});
        assert_eq!(read, Ok(expected));
    }

    #[test]
    fn what_is_wrong_is_shown_with_its_line() {
        let said = |text| yaml_to_json("a.yaml", text).expect_err("it is wrong").to_string();

        assert!(said("a: 1\nb: 2\na: 3\n").starts_with("a.yaml:3:1: error: a is here twice"));
        assert!(said("a: 1\n---\nb: 2\n").contains("second document"));
        assert!(said("").contains("nothing"));
        assert!(said("? [a]\n: 1\n").contains("a key is text"));
        assert!(said("a: [1\n").contains("no YAML"));
        assert!(said(&"[".repeat(50)).contains("in one another"));
    }
}
