//! A recommendation on a terminal.

mod hardening;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;

use event::{Phase, SyscallNames, Text, constants};
use report::{Column, Fit, Style, TableOptions, count, counted, lay_out, wrap};

use crate::seccomp::{AllowReason, AllowedCall, LeftOutReason, PassedValue, ValueReason};
use crate::{Recommendation, Seccomp, Source};

/// Fewer columns than this are not a terminal that anybody reads on.
const MIN_WIDTH: usize = 40;
const INDENT: usize = 2;
/// Without `all`, so many lines of calls that were observed; the rest is counted.
const CALL_LINES: usize = 15;

/// The recommendation for a terminal: text that a container chose is made harmless, and no line is wider than it.
pub fn table(recommendation: &Recommendation, options: &TableOptions) -> String {
    let mut page = Page { width: options.width.max(MIN_WIDTH), colour: options.colour, out: String::new() };
    page.head(recommendation);
    page.calls(recommendation, options.all);
    page.capabilities(recommendation);
    page.hardening(&recommendation.hardening, options.all);
    page.changes(recommendation);
    page.score(recommendation, options.all);
    if !recommendation.notes.is_empty() {
        page.section("NOTES", "");
        for note in &recommendation.notes {
            page.wrapped(INDENT, &note.shown(), Style::Plain);
        }
    }
    page.out
}

struct Page {
    width: usize,
    colour: bool,
    out: String,
}

impl Page {
    fn line(&mut self, indent: usize, text: &str) {
        if !text.is_empty() {
            self.out.push_str(&" ".repeat(indent));
            self.out.push_str(text);
        }
        self.out.push('\n');
    }

    fn wrapped(&mut self, indent: usize, text: &str, style: Style) {
        for line in wrap(text, self.width - indent) {
            let painted = style.paint(&line, self.colour);
            self.line(indent, &painted);
        }
    }

    /// A title, which is ours and short, and what it is about.
    fn section(&mut self, title: &str, about: &str) {
        self.line(0, "");
        self.titled(title, about);
    }

    fn titled(&mut self, title: &str, about: &str) {
        let text = if about.is_empty() { title.to_owned() } else { format!("{title}  {about}") };
        let mut lines = wrap(&text, self.width).into_iter();
        let first = lines.next().unwrap_or_default();
        let rest = first.strip_prefix(title).unwrap_or_default().to_owned();
        let painted = Style::Title.paint(title, self.colour) + &rest;
        self.line(0, &painted);
        for line in lines {
            self.line(0, &line);
        }
    }

    fn rows(&mut self, columns: &[Column], rows: &[Vec<String>]) {
        for line in lay_out(columns, rows, self.width - INDENT, self.colour) {
            self.line(INDENT, &line);
        }
    }

    fn head(&mut self, recommendation: &Recommendation) {
        let sources = &recommendation.sources;
        let mut names: Vec<String> = sources.iter().map(name).collect();
        names.sort();
        names.dedup();
        let images = sources.iter().filter_map(|source| source.image.as_ref());
        let image = images.min().map(|image| format!(" ({})", image.shown())).unwrap_or_default();
        self.titled("RECOMMENDATION", &format!("for {}{image}", names.join(", ")));

        let begin = sources.iter().map(|source| source.begin).min();
        let end = sources.iter().map(|source| source.end).max();
        let when = begin.zip(end).map(|(begin, end)| format!(", {} to {}", begin.readable(), end.readable()));
        let runs = counted(sources.len() as u64, "run", "runs");
        self.wrapped(INDENT, &format!("from {runs}{}", when.unwrap_or_default()), Style::Plain);
        let runtimes: Vec<&str> = recommendation.runtimes.iter().map(|runtime| runtime.name()).collect();
        let setting = if recommendation.no_new_privileges { "with" } else { "without" };
        self.wrapped(INDENT, &format!("for {} {setting} no_new_privileges", runtimes.join(" or ")), Style::Plain);
        if !recommendation.nested.is_empty() {
            let mut inside: Vec<String> = recommendation.nested.iter().map(name).collect();
            inside.sort();
            self.wrapped(INDENT, &format!("with what runs inside of it: {}", inside.join(", ")), Style::Plain);
        }
        for reason in &recommendation.incomplete {
            self.wrapped(INDENT, &format!("incomplete: {}", reason.shown()), Style::Bad);
        }
    }

    fn calls(&mut self, recommendation: &Recommendation, all: bool) {
        let seccomp = &recommendation.seccomp;
        let mut known: Vec<&str> = Vec::new();
        let names = SyscallNames::builtin();
        for &arch in &seccomp.architectures {
            known.extend(names.all(arch).map(|(_, name)| name));
        }
        known.sort_unstable();
        known.dedup();
        let tables: Vec<&str> = seccomp.architectures.iter().map(|arch| arch.name()).collect();
        let allowed = count(seccomp.allowed.len() as u64);
        let about = format!("{allowed} of the {} of {} are allowed", known.len(), tables.join(" and "));
        self.section("SYSTEM CALLS", &about);

        let column = |title, fit, style| Column { title, fit, style };
        let columns = [
            column("OBSERVED", Fit::Left, Style::Label),
            column("PHASE", Fit::Left, Style::Plain),
            column("COUNT", Fit::Right, Style::Plain),
            column("RUNS", Fit::Right, Style::Plain),
            column("FIRST BY", Fit::CutFront, Style::Faint),
        ];
        let mut rows = Vec::new();
        for call in &seccomp.allowed {
            rows.extend(
                call.reasons.iter().filter_map(|reason| observed(call, reason, seccomp.architectures.len() > 1)),
            );
        }
        rows.sort();
        let shown = if all { rows.len() } else { rows.len().min(CALL_LINES) };
        let more = rows.len() - shown;
        let rows: Vec<Vec<String>> = rows.into_iter().take(shown).map(|(_, row)| row).collect();
        self.rows(&columns, &rows);
        if more > 0 {
            self.wrapped(
                INDENT,
                &format!("… {}: --all shows them", counted(more as u64, "more", "more")),
                Style::Faint,
            );
        }

        let mut groups = BTreeMap::<(u8, String), Vec<&str>>::new();
        for call in &seccomp.allowed {
            let group = match call.reasons.first() {
                Some(AllowReason::Runtime { .. }) => (0, "for the runtime itself".to_owned()),
                Some(AllowReason::Always { .. }) => (1, "always".to_owned()),
                Some(AllowReason::Portability { .. }) => (2, "what others use in place of these".to_owned()),
                Some(AllowReason::Denied { .. }) => (3, "denied under the last recommendation".to_owned()),
                Some(AllowReason::Observed { .. }) | None => continue,
            };
            groups.entry(group).or_default().push(&call.name);
        }
        for ((_, title), names) in groups {
            self.wrapped(INDENT, &format!("{title} ({}): {}", names.len(), names.join(", ")), Style::Plain);
        }
        self.conditions(seccomp);
        for call in &seccomp.left_out {
            let why = match &call.reason {
                LeftOutReason::RefusedWhileRecorded { errnos } => {
                    let errnos: Vec<String> = errnos.iter().map(ToString::to_string).collect();
                    format!("it was refused while recorded ({}), and so it stays", errnos.join(", "))
                }
                LeftOutReason::TakenOver { by, .. } => {
                    format!(
                        "answered with ENOSYS, so that programs go on with {}, which is filtered",
                        Text::from(by.as_str()).shown()
                    )
                }
                LeftOutReason::RingNotUsed => "a ring was set up, but nothing was asked for through it".to_owned(),
            };
            self.wrapped(INDENT, &format!("left out: {}: {why}", Text::from(call.name.as_str()).shown()), Style::Plain);
        }
    }

    /// What arguments must be: what was passed; and what is allowed besides, as a number.
    fn conditions(&mut self, seccomp: &Seccomp) {
        let shown = |text: &str| Text::from(text).shown().into_owned();
        for condition in &seccomp.conditions {
            let is_observed = |one: &&PassedValue| {
                let by = |it: &ValueReason| matches!(it, ValueReason::Observed { .. } | ValueReason::ObservedByClone3);
                one.reasons.iter().any(by)
            };
            let seen: Vec<String> =
                condition.evidence.iter().filter(is_observed).map(|one| shown(&one.words)).collect();
            let (observed, others) = (seen.len(), (condition.evidence.len() - seen.len()) as u64);
            let seen = if seen.is_empty() { "nothing was passed".to_owned() } else { seen.join(", ") };
            let more = if others > 0 {
                format!("; and {}", counted(others, "usual one", "usual ones"))
            } else {
                String::new()
            };
            let name = shown(&condition.name);
            let line = if condition.values == [0] {
                let refused = constants::words(&condition.name, condition.mask);
                format!("only if: {name}: argument {} without {refused}; seen: {seen}{more}", condition.argument)
            } else if observed == 0 {
                let usual = counted(others, "usual value", "usual values");
                format!("only if: {name}: argument {} is one of {usual}", condition.argument)
            } else {
                format!("only if: {name}: argument {} is {seen}{more}", condition.argument)
            };
            self.wrapped(INDENT, &line, Style::Plain);
        }
        let mut alike = BTreeMap::<&str, Vec<String>>::new();
        for one in &seccomp.any_argument {
            alike.entry(one.because.shown()).or_default().push(shown(&one.name));
        }
        for (why, names) in alike {
            self.wrapped(INDENT, &format!("with any argument: {}: {why}", names.join(", ")), Style::Plain);
        }
    }

    fn capabilities(&mut self, recommendation: &Recommendation) {
        let advice = &recommendation.capabilities;
        let now = advice.now.0.count_ones();
        let about = match advice.add.len() {
            0 => format!("drop all; it could have {now} now"),
            add => format!("drop all, add {add}; it could have {now} now"),
        };
        self.section("CAPABILITIES", &about);
        let column = |title, fit, style| Column { title, fit, style };
        let columns = [
            column("ADD", Fit::Left, Style::Label),
            column("PHASE", Fit::Left, Style::Plain),
            column("COUNT", Fit::Right, Style::Plain),
            column("RUNS", Fit::Right, Style::Plain),
            column("FIRST IN", Fit::Left, Style::Plain),
            column("BY", Fit::CutFront, Style::Faint),
        ];
        let mut rows = Vec::new();
        for need in &advice.add {
            for one in &need.evidence {
                rows.push(vec![
                    need.capability.to_string(),
                    one.phase.name().to_owned(),
                    count(one.count),
                    one.runs.to_string(),
                    one.syscall.as_ref().map(|call| call.shown().into_owned()).unwrap_or_default(),
                    one.program.shown().into_owned(),
                ]);
            }
        }
        if !rows.is_empty() {
            self.rows(&columns, &rows);
        }
        for need in &advice.add {
            for way in &need.smaller {
                self.wrapped(INDENT, &format!("without {}: {}", need.capability, way.shown()), Style::Plain);
            }
        }
        let mut alike = BTreeMap::<Vec<Cow<'_, str>>, Vec<String>>::new();
        for one in &advice.left_out {
            let reasons = one.reasons.iter().map(|reason| reason.shown()).collect();
            alike.entry(reasons).or_default().push(one.capability.to_string());
        }
        for (reasons, names) in alike {
            self.wrapped(INDENT, &format!("left out: {}: {}", names.join(", "), reasons.join("; ")), Style::Plain);
        }
    }
}

/// Where a line stands among the others: the workload's own calls come first, of these the most frequent.
type Rank = (bool, Phase, Reverse<u64>);

/// The line that says how often a call was made; none if the reason is another.
fn observed(call: &AllowedCall, reason: &AllowReason, with_arch: bool) -> Option<(Rank, Vec<String>)> {
    let AllowReason::Observed { nested, phase, arch, count: made, runs, program } = reason else { return None };
    let name = Text::from(call.name.as_str()).shown().into_owned();
    let name = if with_arch { format!("{name} ({arch})") } else { name };
    let place = if *nested { format!("nested {phase}") } else { phase.name().to_owned() };
    let cells = vec![name, place, count(*made), runs.to_string(), program.shown().into_owned()];
    Some(((*nested, *phase, Reverse(*made)), cells))
}

/// What to call a run.
fn name(source: &Source) -> String {
    match (&source.name, &source.id) {
        (Some(name), _) => name.shown().into_owned(),
        (None, Some(id)) => report::short_id(id),
        (None, None) => {
            source.command.first().map_or_else(|| "a run".to_owned(), |program| program.shown().into_owned())
        }
    }
}
