//! The fields as a page for people.

use std::fmt::Write as _;

use event::Payload;

use super::{Field, registry};

/// Fields as a table in Markdown.
pub fn markdown_table<'f>(fields: impl Iterator<Item = &'f Field>) -> String {
    let mut table = String::new();
    self::table(&mut table, fields);
    table.trim_start().to_owned()
}

/// The whole registry as a page in Markdown; in the tree it is `docs/fields.md`.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Fields\n\n\
         The names that conditions know ([how they are written](watch.md#conditions)). This page is generated from the types \
         of the program; `ringfence fields` prints the same. In the JSON of `ringfence watch`, `exec.argv` is at `.exec.argv`.\n\n\
         What is not known of an event, or belongs to another kind of event, is *unset*: no comparison with it is true.\n\n\
         ## Of every event\n",
    );
    table(&mut page, registry().common().iter());
    for kind in Payload::KINDS {
        let _ = write!(page, "\n## `{kind}`\n");
        if registry().of_kind(kind).next().is_some() {
            table(&mut page, registry().of_kind(kind));
        } else {
            page.push_str("\nNo more than every event has.\n");
        }
    }
    page.push_str(
        "\n## For rule files alone\n\nFalco's names, which only [rule files](rules.md) know: they ask for more than one event says. \
         The `container.id`, `container.name` and `container.image` of rule files are these.\n",
    );
    table(&mut page, registry().for_rules().iter());
    page
}

fn table<'f>(page: &mut String, fields: impl Iterator<Item = &'f Field>) {
    page.push_str("\n| field | type | what it is | for example |\n|---|---|---|---|\n");
    for field in fields {
        let values: Vec<String> = field.values.iter().map(|value| format!("`{value}`")).collect();
        let values = if values.is_empty() { String::new() } else { format!(" One of {}.", values.join(", ")) };
        let _ = writeln!(
            page,
            "| `{}` | {} | {}{} | `{}` |",
            field.name,
            field.type_name(),
            field.doc.replace('|', "\\|"),
            values,
            field.example.replace('|', "\\|")
        );
    }
}
