//! The reports of the containers that were started here, among those of all that are recorded.

use std::collections::{BTreeSet, VecDeque};

use report::Report;

/// A container may end before its engine says its id: so many reports of others are kept until then.
const MOST_OTHERS: usize = 64;

/// Reports, told apart by the id that the engine gave: it is in the name of the cgroup, and needs no answer of an engine.
#[derive(Debug, Default)]
pub(super) struct Kept {
    ids: BTreeSet<Vec<u8>>,
    ours: Vec<Report>,
    others: VecDeque<Report>,
}

impl Kept {
    pub(super) fn keep(&mut self, report: &Report) {
        if self.is_ours(report) {
            self.ours.push(report.clone());
            return;
        }
        if self.others.len() >= MOST_OTHERS {
            self.others.pop_front();
        }
        self.others.push_back(report.clone());
    }

    /// A container of ours has this id.
    pub(super) fn expect(&mut self, id: &str) {
        self.ids.insert(id.as_bytes().to_vec());
        for report in std::mem::take(&mut self.others) {
            self.keep(&report);
        }
    }

    /// The report of a container, and those of containers inside of it.
    pub(super) fn of(&self, id: &str) -> Vec<Report> {
        let is_it = |report: &&Report| ids(report).any(|one| one == id.as_bytes());
        self.ours.iter().filter(is_it).cloned().collect()
    }

    /// Whether its own report has come.
    pub(super) fn has(&self, id: &str) -> bool {
        self.ours.iter().any(|report| report.container.id.as_ref().is_some_and(|its| its.as_bytes() == id.as_bytes()))
    }

    fn is_ours(&self, report: &Report) -> bool {
        ids(report).any(|id| self.ids.contains(id))
    }
}

/// Its own id, and that of the container that it was made inside of.
fn ids(report: &Report) -> impl Iterator<Item = &[u8]> {
    let container = &report.container;
    let parent = container.parent.as_ref().and_then(|parent| parent.id.as_ref());
    container.id.iter().chain(parent).map(|id| id.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(id: &str, parent: Option<&str>) -> Report {
        let bytes = include_bytes!("../../../report/tests/reports/1-docker.json");
        let mut report = Report::parse(bytes).expect("a kept report");
        report.container.id = Some(id.into());
        report.container.parent = parent.map(|id| report::Parent { run: report.container.run, id: Some(id.into()) });
        report
    }

    #[test]
    fn a_report_that_comes_before_the_id_is_found_and_others_are_forgotten() {
        let mut kept = Kept::default();
        kept.keep(&report("a", None));
        for at in 0..MOST_OTHERS {
            assert!(!kept.has("a"));
            kept.keep(&report(&format!("other-{at}"), None));
        }
        kept.expect("a");
        assert!(!kept.has("a"), "too many came after it");

        kept.keep(&report("b", None));
        kept.expect("b");
        kept.keep(&report("inside", Some("b")));
        kept.keep(&report("c", Some("another")));
        assert!(kept.has("b") && !kept.has("c"));
        assert_eq!(kept.of("b").len(), 2);
        assert_eq!(kept.ours.len(), 2);
    }
}
