//! YAML with comments, in block style. Text that could mean something else is between double quotes, with escapes that
//! YAML 1.1 and 1.2 read alike.

use std::fmt::Write as _;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Yaml {
    /// Keys in this order.
    Map(Vec<Entry>),
    List(Vec<Yaml>),
    Text(String),
    Number(u64),
    Bool(bool),
}

/// A line, or more, of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Pair(String, Yaml),
    Comment(String),
}

/// A key and its value.
pub(super) fn pair(key: &str, value: impl Into<Yaml>) -> Entry {
    Entry::Pair(key.to_owned(), value.into())
}

/// A list of texts.
pub(super) fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Yaml {
    Yaml::List(texts.into_iter().map(|text| Yaml::Text(text.into())).collect())
}

impl From<&str> for Yaml {
    fn from(text: &str) -> Yaml {
        Yaml::Text(text.to_owned())
    }
}

impl From<String> for Yaml {
    fn from(text: String) -> Yaml {
        Yaml::Text(text)
    }
}

impl From<u64> for Yaml {
    fn from(number: u64) -> Yaml {
        Yaml::Number(number)
    }
}

impl From<bool> for Yaml {
    fn from(is: bool) -> Yaml {
        Yaml::Bool(is)
    }
}

impl From<Vec<Entry>> for Yaml {
    fn from(entries: Vec<Entry>) -> Yaml {
        Yaml::Map(entries)
    }
}

impl Yaml {
    /// A document.
    pub(super) fn document(entries: Vec<Entry>) -> String {
        let mut out = String::new();
        map(&mut out, 0, &entries);
        out
    }

    fn is_block(&self) -> bool {
        match self {
            Yaml::Map(entries) => entries.iter().any(|entry| matches!(entry, Entry::Pair(..))),
            Yaml::List(items) => !items.is_empty(),
            _ => false,
        }
    }
}

fn map(out: &mut String, indent: usize, entries: &[Entry]) {
    for entry in entries {
        match entry {
            Entry::Comment(text) => {
                let _ = writeln!(out, "{:indent$}{}", "", super::quoting::comment(text));
            }
            Entry::Pair(key, value) => {
                let _ = write!(out, "{:indent$}{}:", "", scalar(key));
                after_key(out, indent + 2, value);
            }
        }
    }
}

fn after_key(out: &mut String, indent: usize, value: &Yaml) {
    if value.is_block() {
        out.push('\n');
        match value {
            Yaml::Map(entries) => map(out, indent, entries),
            Yaml::List(items) => list(out, indent, items),
            _ => {}
        }
    } else {
        let _ = writeln!(out, " {}", inline(value));
        // Comments of a map without keys are still said.
        if let Yaml::Map(entries) = value {
            map(out, indent, entries);
        }
    }
}

fn list(out: &mut String, indent: usize, items: &[Yaml]) {
    for item in items {
        let _ = write!(out, "{:indent$}-", "");
        match item {
            Yaml::Map(entries) if item.is_block() => {
                let mut block = String::new();
                map(&mut block, indent + 2, entries);
                match entries.first() {
                    // The first key stands behind the dash.
                    Some(Entry::Pair(..)) => out.push_str(&block[indent + 1..]),
                    _ => {
                        out.push('\n');
                        out.push_str(&block);
                    }
                }
            }
            Yaml::List(_) if item.is_block() => {
                out.push('\n');
                after_key(out, indent + 2, item);
            }
            _ => {
                let _ = writeln!(out, " {}", inline(item));
            }
        }
    }
}

fn inline(value: &Yaml) -> String {
    match value {
        Yaml::Map(_) => "{}".to_owned(),
        Yaml::List(_) => "[]".to_owned(),
        Yaml::Text(text) => scalar(text),
        Yaml::Number(number) => number.to_string(),
        Yaml::Bool(is) => is.to_string(),
    }
}

/// Words that some reader of YAML takes for something else than text.
const RESERVED: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "y", "n", "null"];

fn scalar(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_./-".contains(c))
        && !RESERVED.contains(&text.to_ascii_lowercase().as_str());
    if is_plain {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            ' '..='~' => quoted.push(c),
            c if c.is_alphanumeric() => quoted.push(c),
            c if (c as u32) < 0x100 => {
                let _ = write!(quoted, "\\x{:02x}", c as u32);
            }
            c if (c as u32) < 0x1_0000 => {
                let _ = write!(quoted, "\\u{:04x}", c as u32);
            }
            c => {
                let _ = write!(quoted, "\\U{:08x}", c as u32);
            }
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_in_block_style_with_its_comments() {
        let document = Yaml::document(vec![
            Entry::Comment("a\nb".to_owned()),
            pair("kind", "Pod"),
            pair("empty", Yaml::List(Vec::new())),
            pair("none", Yaml::Map(vec![Entry::Comment("nothing".to_owned())])),
            pair("list", Yaml::List(vec![Yaml::Map(vec![pair("name", "a"), pair("yes", "no")]), "x: y".into()])),
            pair("nested", Yaml::Map(vec![pair("number", 3), pair("is", true), pair("names", texts(["1", "/a b"]))])),
        ]);

        let expected = "# a b\nkind: Pod\nempty: []\nnone: {}\n  # nothing\nlist:\n  - name: a\n    \"yes\": \"no\"\n  - \"x: y\"\n\
                        nested:\n  number: 3\n  is: true\n  names:\n    - \"1\"\n    - \"/a b\"\n";
        assert_eq!(document, expected);
    }
}
