//! `ringfence rules explain`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use event::Text;
use rules::{Options, Rule, RuleSet, Status, similar_name};

use super::files;
use super::list::{status, wakes};
use crate::streams::print;

/// Explain one rule: its condition with macros and lists put in, the fields that it asks for, and what wakes it.
#[derive(Args)]
#[command(after_help = "\
Examples:
  ringfence rules explain 'Terminal shell in container' falco_rules.yaml")]
pub(crate) struct ExplainArgs {
    /// The rule's name.
    rule: String,

    /// Rule files, or folders of files whose names end with .yaml or .yml; without any those that come with ringfence.
    #[arg(value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
}

pub(crate) fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let (set, problems) = RuleSet::load(&files::read_or_shipped(&args.paths)?, &Options::default());
    let shown = |text: &str| Text::from(text).shown().into_owned();
    let Some(rule) = set.find(&args.rule) else {
        files::tell(&problems);
        let meant = similar_name(&args.rule, set.rules().iter().map(Rule::name));
        let meant = meant.map(|name| format!("; did you mean {}?", shown(name))).unwrap_or_default();
        bail!("there is no rule {}{meant}", shown(&args.rule));
    };
    print(text(&set, rule))?;
    Ok(ExitCode::SUCCESS)
}

fn text(set: &RuleSet, rule: &Rule) -> String {
    let shown = |text: &str| Text::from(text).shown().into_owned();
    let mut out = String::new();
    let _ = writeln!(out, "{}", shown(rule.name()));
    let _ = writeln!(out, "  {}:{}", shown(rule.file()), rule.line());
    let _ = writeln!(out, "  priority {}, {}", rule.priority(), status(rule));
    if let Status::NotProvided { reason } | Status::Wrong { reason } = rule.status() {
        let _ = writeln!(out, "  because {}", shown(reason));
    }
    if !rule.tags().is_empty() {
        let tags: Vec<String> = rule.tags().iter().map(|tag| shown(tag)).collect();
        let _ = writeln!(out, "  tags {}", tags.join(", "));
    }
    let _ = writeln!(out, "\n{}", shown(rule.desc()));
    if let Some(condition) = set.condition(rule) {
        let _ = write!(out, "\nCondition, with macros and lists put in:\n\n{}", indented(&condition));
        let _ = writeln!(out, "\nFields: {}", set.fields(rule).join(", "));
    }
    if *rule.status() == Status::Active {
        let _ = writeln!(out, "Wakes for: {}", wakes(rule));
        let failing: Vec<&str> = rule.calls().iter().filter(|call| call.failures).map(|call| call.name).collect();
        if !failing.is_empty() {
            let _ = writeln!(out, "Also when they fail: {}", failing.join(", "));
        }
    }
    let _ = writeln!(out, "Output: {}", shown(rule.template()));
    out
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}
