//! Which known ways out of a container are open now, and which after.

mod terms;

use std::sync::LazyLock;

use event::Text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::present::Present;
use crate::source::Runs;
use crate::table::rows;
use crate::{CapabilityAdvice, Hardening, Seccomp};
use terms::{Facts, Term};

/// The known ways out of a container and into the kernel, against what is open now and after. Each figure is a count of lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Score {
    /// Open now, and closed by the recommendation.
    pub closed: u32,
    /// Closed already now.
    pub closed_before: u32,
    /// Closed after; whether they are open now is not known.
    pub closed_unknown_before: u32,
    /// Open now and after, as far as its system calls, capabilities and settings say.
    pub open: u32,
    /// Closed now, and opened by the recommendation, because what it allows is wider in that.
    pub opened: u32,
    /// Open after; whether they are open now is not known.
    pub open_unknown_before: u32,
    /// What is known does not say whether they are open after.
    pub unknown: u32,
    /// Each of them, in the order of the table.
    pub lines: Vec<EscapeLine>,
}

/// One known way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EscapeLine {
    /// Its number or name: `CVE-2022-0185`, `docker-socket` …
    pub id: Text,
    /// What it is, in a few words.
    pub what: Text,
    /// Where it is described.
    pub source: Text,
    /// What it needs, in words.
    pub needs: Text,
    /// Whether it is open now.
    pub now: EscapeState,
    /// Whether it is open after.
    pub after: EscapeState,
    /// What closes it after, in sentences; empty if it is not closed.
    pub by: Vec<Text>,
}

/// Whether a way is open. Whether the kernel has the fault at all is not asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EscapeState {
    /// All that it needs of the container's settings is there.
    Open,
    /// Something that it needs is not there.
    Closed,
    /// What is known does not say.
    #[default]
    Unknown,
}

impl Score {
    /// Takes in that more is allowed than before: what closed a line may do so no more.
    pub(crate) fn amend(&mut self, seccomp: &Seccomp, capabilities: &CapabilityAdvice) {
        for line in &mut self.lines {
            let Some(escape) = ESCAPES.iter().find(|escape| escape.id.as_bytes() == line.id.as_bytes()) else {
                continue;
            };
            let opened: Vec<Text> = escape
                .needs
                .iter()
                .filter(|terms| terms.iter().any(|term| term.is_allowed(seccomp, capabilities)))
                .map(|terms| closed_by(terms))
                .collect();
            if line.after == EscapeState::Closed {
                line.by.retain(|by| !opened.contains(by));
                if line.by.is_empty() {
                    let is_unknown = line.now == EscapeState::Unknown;
                    line.after = if is_unknown { EscapeState::Unknown } else { EscapeState::Open };
                }
            }
        }
        *self = Score::of(std::mem::take(&mut self.lines));
    }

    /// The lines, counted.
    fn of(lines: Vec<EscapeLine>) -> Score {
        let mut score = Score::default();
        for line in &lines {
            let figure = match (line.now, line.after) {
                (EscapeState::Open, EscapeState::Closed) => &mut score.closed,
                (EscapeState::Closed, EscapeState::Closed) => &mut score.closed_before,
                (EscapeState::Unknown, EscapeState::Closed) => &mut score.closed_unknown_before,
                (EscapeState::Open, EscapeState::Open) => &mut score.open,
                (EscapeState::Closed, EscapeState::Open) => &mut score.opened,
                (EscapeState::Unknown, EscapeState::Open) => &mut score.open_unknown_before,
                (_, EscapeState::Unknown) => &mut score.unknown,
            };
            *figure += 1;
        }
        Score { lines, ..score }
    }

    /// What whoever takes the recommendation should know of it.
    pub(crate) fn note(&self) -> Option<Text> {
        let opened =
            self.lines.iter().filter(|line| (line.now, line.after) == (EscapeState::Closed, EscapeState::Open));
        let ids: Vec<&str> = opened.filter_map(|line| std::str::from_utf8(line.id.as_bytes()).ok()).collect();
        let note =
            format!("the recommendation lets through what is refused now, and opens a way for: {}", ids.join(", "));
        (!ids.is_empty()).then(|| note.as_str().into())
    }
}

/// A line of the table: all of `needs` are necessary, of each any of its terms.
#[derive(Debug)]
struct Escape {
    id: &'static str,
    needs: Vec<Vec<Term>>,
    source: &'static str,
    what: &'static str,
}

static ESCAPES: LazyLock<Vec<Escape>> = LazyLock::new(|| {
    rows(include_str!("../../data/escapes.csv"))
        .map(|[id, needs, source, what]| Escape {
            id,
            needs: needs.split(' ').map(|need| need.split('|').map(Term::parse).collect()).collect(),
            source,
            what,
        })
        .collect()
});

pub(crate) fn score(
    runs: &Runs<'_>,
    present: &Present<'_>,
    seccomp: &Seccomp,
    capabilities: &CapabilityAdvice,
    hardening: &Hardening,
    no_new_privileges: bool,
) -> Score {
    let facts = Facts { runs, present, seccomp, capabilities, hardening, no_new_privileges };
    Score::of(ESCAPES.iter().map(|escape| line(escape, &facts)).collect())
}

fn line(escape: &Escape, facts: &Facts<'_>) -> EscapeLine {
    let now = all(escape, |term| facts.now(term));
    let after = all(escape, |term| facts.after(term));
    let closed = escape.needs.iter().filter(|terms| one_of(terms, |term| facts.after(term)) == EscapeState::Closed);
    let by = closed.map(|terms| closed_by(terms));
    let needs = escape.needs.iter().map(|terms| {
        let words: Vec<String> = terms.iter().map(|term| term.need()).collect();
        words.join(" or ")
    });
    EscapeLine {
        id: escape.id.into(),
        what: escape.what.into(),
        source: escape.source.into(),
        needs: Text::from(needs.collect::<Vec<_>>().join("; ").as_str()),
        now,
        after,
        by: by.collect(),
    }
}

/// What closes a need: none of its terms is there.
fn closed_by(terms: &[Term]) -> Text {
    let words: Vec<String> = terms.iter().map(|term| term.closed()).collect();
    Text::from(words.join(", and ").as_str())
}

/// Open if all that it needs is there; closed if one of them is not.
fn all(escape: &Escape, state: impl Fn(Term) -> EscapeState) -> EscapeState {
    let states: Vec<EscapeState> = escape.needs.iter().map(|terms| one_of(terms, &state)).collect();
    if states.contains(&EscapeState::Closed) {
        EscapeState::Closed
    } else if states.contains(&EscapeState::Unknown) {
        EscapeState::Unknown
    } else {
        EscapeState::Open
    }
}

/// Open if one of them is there; closed if none is.
fn one_of(terms: &[Term], state: impl Fn(Term) -> EscapeState) -> EscapeState {
    let states: Vec<EscapeState> = terms.iter().map(|&term| state(term)).collect();
    if states.contains(&EscapeState::Open) {
        EscapeState::Open
    } else if states.contains(&EscapeState::Unknown) {
        EscapeState::Unknown
    } else {
        EscapeState::Closed
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use event::{Arch, SyscallNames};

    use super::*;

    #[test]
    fn each_way_is_told_once_with_its_source_and_needs_what_exists() {
        let names = SyscallNames::builtin();
        let ids: BTreeSet<&str> = ESCAPES.iter().map(|escape| escape.id).collect();

        assert_eq!(ids.len(), ESCAPES.len());
        assert!(ESCAPES.len() >= 20, "{}", ESCAPES.len());
        for escape in &*ESCAPES {
            assert!(escape.source.starts_with("https://") && !escape.what.is_empty(), "{escape:?}");
            assert!(!escape.id.starts_with("CVE-") || escape.source.ends_with(escape.id), "{escape:?}");
            for term in escape.needs.iter().flatten() {
                if let Term::Call(call) = term {
                    assert!(Arch::ALL.iter().any(|&arch| names.number(arch, call).is_some()), "{call} is no call");
                }
            }
        }
    }
}
