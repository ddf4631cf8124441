//! Rules as a page.

use std::fmt::Write as _;

use event::Text;
use report::markdown_text;
use rules::Rule;

use super::list::{status, wakes};

/// A list, and a section for each rule.
pub(super) fn page(rules: &[&Rule]) -> String {
    let mut page = String::from(
        "# Rules\n\nWhat `ringfence rules list --format markdown` prints. How rules are written stands in [rules](rules.md), what becomes of \
         what they find in [detecting](detecting.md). A macro is replaced, and an exception added, in a file of one's own that \
         `--rules` names: [as there](rules.md).\n\n| rule | priority | |\n|---|---|---|\n",
    );
    for rule in rules {
        let _ = writeln!(page, "| {} | {} | {} |", marked(rule.name()), rule.priority(), tags(rule));
    }
    for rule in rules {
        let _ = writeln!(page, "\n## {}\n\n{}\n", marked(rule.name()), marked(&one_line(rule.desc())));
        let state = match status(rule) {
            "active" => String::new(),
            other => format!(" It is {other}."),
        };
        let _ = writeln!(page, "Looked at: {}.{state}", wakes(rule));
    }
    page
}

fn tags(rule: &Rule) -> String {
    rule.tags().iter().map(|tag| marked(tag)).collect::<Vec<_>>().join(", ")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Text of a rule file, so that it is nothing but text in Markdown.
fn marked(text: &str) -> String {
    markdown_text(&Text::from(text).shown())
}
