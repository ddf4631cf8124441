//! What each capability is for, and how a workload can do without it.

use std::sync::LazyLock;

use event::Capability;

use crate::table::rows;

/// What is known of a capability.
#[derive(Debug)]
pub(crate) struct About {
    capability: Capability,
    /// How to do without.
    pub(crate) smaller: Option<&'static str>,
    /// What fails without it.
    pub(crate) fails: &'static str,
}

static TABLE: LazyLock<Vec<About>> = LazyLock::new(|| {
    rows(include_str!("../data/capabilities.csv"))
        .map(|[capability, smaller, fails]| About {
            capability: capability.parse().expect("a capability that we know"),
            smaller: (smaller != "none").then_some(smaller),
            fails,
        })
        .collect()
});

/// What is known of this one; none if it is newer than the table.
pub(crate) fn about(capability: Capability) -> Option<&'static About> {
    TABLE.iter().find(|about| about.capability == capability)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capability_that_has_a_name_is_in_the_table_once() {
        for number in 0..=Capability::LAST_NAMED.number() {
            let capability = Capability::new(number).expect("a capability");
            assert_eq!(TABLE.iter().filter(|about| about.capability == capability).count(), 1, "{capability}");
            assert!(about(capability).is_some_and(|about| !about.fails.is_empty()));
        }
    }
}
