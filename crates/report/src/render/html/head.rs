//! The top of the page: who, whether anything is missing, the facts, and the way to the sections.

use super::super::facts::{self, Fact};
use super::Section;
use super::markup::escaped;
use crate::Report;

/// The head; the title is markup.
pub(super) fn head(report: &Report, all: bool, title: &str, sections: &[Section]) -> String {
    let (complete, facts): (Vec<Fact>, Vec<Fact>) =
        facts::facts(report, all).into_iter().partition(|fact| fact.label == "complete");
    let mut out = format!("<header>\n<p class=\"brand\">ringfence report</p>\n<h1>{title}</h1>\n");
    for fact in &complete {
        out += &completeness(report.complete, fact);
    }
    out += &list(facts.iter().map(|fact| (fact.label, fact.lines.as_slice())));
    out + &ways(sections)
}

/// A list of facts: what each is, and its lines.
pub(super) fn list<'f>(facts: impl Iterator<Item = (&'f str, &'f [String])>) -> String {
    let mut out = "<dl>\n".to_owned();
    for (label, lines) in facts {
        let lines: Vec<String> = lines.iter().map(|line| format!("<div>{}</div>", escaped(line))).collect();
        out += &format!("<dt>{}</dt><dd>{}</dd>\n", escaped(label), lines.concat());
    }
    out + "</dl>\n"
}

/// The figures, the end of the head, and the way to the sections.
pub(super) fn ways(sections: &[Section]) -> String {
    let mut out = "<ul class=\"figures\">\n".to_owned();
    for section in sections.iter().filter(|section| !section.figure.is_empty()) {
        let (id, figure, unit) = (section.id, escaped(&section.figure), escaped(section.unit));
        out += &format!("<li><a href=\"#{id}\"><b>{figure}</b> {unit}</a></li>\n");
    }
    out += "</ul>\n</header>\n<nav aria-label=\"Sections\">\n";
    for section in sections {
        out += &format!("<a href=\"#{}\">{}</a>\n", section.id, section.title);
    }
    out + "</nav>\n"
}

/// The answer, and each reason against it.
fn completeness(complete: bool, fact: &Fact) -> String {
    let class = if complete { "whole" } else { "gaps" };
    let mut lines = fact.lines.iter();
    let answer = lines.next().map_or("", String::as_str);
    let mut out =
        format!("<div class=\"complete {class}\" role=\"note\">\n<p><b>complete:</b> {}</p>\n", escaped(answer));
    let reasons: Vec<String> =
        lines.map(|line| format!("<li>{}</li>\n", escaped(line.strip_prefix("- ").unwrap_or(line)))).collect();
    if !reasons.is_empty() {
        out += &format!("<ul>\n{}</ul>\n", reasons.concat());
    }
    out + "</div>\n"
}
