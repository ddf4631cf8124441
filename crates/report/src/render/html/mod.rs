//! A report as one HTML file: nothing is loaded from elsewhere, and no text in it can become markup or script.
//!
//! A section is a function of the report that gives a [`Section`]; [`SECTIONS`] is their order on the page.

mod head;
mod markup;
mod page;
mod sections;
mod tree;

use super::facts;
use crate::Report;
pub use markup::{Cell, code, escaped, table as html_table};
pub use page::{Page, PageSection, PageStyle};

const STYLE: &str = concat!(include_str!("page.css"), include_str!("../../map/map.css"));
const SCRIPT: &str = include_str!("page.js");

/// What a browser lets the page do: use this one style and this one script, known by their SHA-256, and load nothing.
/// So even markup that got past the escaping could neither run nor call home.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; \
    style-src 'sha256-7xViP+7j2mdc4vzZtopGxb+LC8QnM7goyptomO+wiAY='; \
    script-src 'sha256-NL3s7vslMStX3zmrN6TgFRkx/QIqYvgwgw1jPgqGRlA='";

/// A part of the page with a heading of its own.
type Section = PageSection;

/// The sections in the order of the page; one of which the report has nothing is left out.
const SECTIONS: [fn(&Report, bool) -> Option<Section>; 13] = [
    tree::processes,
    sections::calls,
    sections::arguments,
    sections::capabilities,
    sections::files,
    sections::network,
    sections::privileged,
    sections::resources,
    sections::scripts,
    sections::terminals,
    sections::losses,
    sections::sensors,
    sections::cost,
];

/// The report as one HTML file, for any browser: light or dark as the reader's system is, readable on a phone and on paper.
/// Without its script it is whole; the script sorts and filters tables.
///
/// Text that a container chose shows as text, whatever it holds. Without `all`, siblings in the process tree that did the
/// same share a line, and files that only the runtime used are left out.
pub fn html(report: &Report, all: bool) -> String {
    let title = escaped(&facts::title(report));
    let sections: Vec<Section> = SECTIONS.iter().filter_map(|section| section(report, all)).collect();
    let head = head::head(report, all, &title, &sections);
    let footer =
        format!("Written by ringfence {}, schema version {}", report.ringfence_version.shown(), crate::SCHEMA_VERSION);
    page::document(POLICY, &[STYLE], &title, &head, &sections, &footer)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::{POLICY, SCRIPT, STYLE};

    /// As `sha256sum` has it, in the base 64 of a policy.
    fn hash(text: &str) -> String {
        let mut child =
            Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sha256sum");
        child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        let hex = String::from_utf8(output.stdout).expect("text");
        let bits: String = hex[..64].chars().map(|c| format!("{:04b}", c.to_digit(16).expect("hex"))).collect();
        let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
        let digits = bits.as_bytes().chunks(6).map(|six| {
            let six = format!("{:0<6}", std::str::from_utf8(six).expect("digits"));
            alphabet[usize::from_str_radix(&six, 2).expect("bits")]
        });
        format!("'sha256-{}='", digits.collect::<String>())
    }

    #[test]
    fn the_policy_allows_this_style_and_this_script_and_no_other() {
        let expected = format!(
            "default-src 'none'; base-uri 'none'; form-action 'none'; style-src {}; script-src {}",
            hash(STYLE),
            hash(SCRIPT)
        );

        assert_eq!(POLICY, expected);
    }
}
