//! The tables in `data/`, read once.

use std::sync::LazyLock;

use crate::Runtime;
use crate::table::rows;

/// What a runtime itself needs under a filter.
#[derive(Debug)]
pub(super) struct BaseSet {
    pub(super) runtime: Runtime,
    /// The version that it was found on, or `any`.
    pub(super) version: &'static str,
    /// Only with this setting of no_new_privileges; none for both.
    pub(super) no_new_privileges: Option<bool>,
    /// In which starts it shows.
    pub(super) when: &'static str,
    pub(super) calls: Vec<&'static str>,
}

impl BaseSet {
    pub(super) fn applies(&self, runtimes: &[Runtime], no_new_privileges: bool) -> bool {
        runtimes.contains(&self.runtime) && self.no_new_privileges.is_none_or(|only| only == no_new_privileges)
    }
}

/// Calls that stand in for each other.
#[derive(Debug)]
pub(super) struct Family {
    /// Whether all are allowed whatever was seen.
    pub(super) always: bool,
    pub(super) calls: Vec<&'static str>,
    pub(super) why: &'static str,
}

pub(super) static BASE_SETS: LazyLock<Vec<BaseSet>> = LazyLock::new(|| {
    rows(include_str!("../../data/base-sets.csv"))
        .map(|[runtime, version, no_new_privileges, _source, when, calls]| BaseSet {
            runtime: Runtime::ALL.into_iter().find(|known| known.name() == runtime).expect("a runtime that we know"),
            version,
            no_new_privileges: match no_new_privileges {
                "yes" => Some(true),
                "no" => Some(false),
                other => {
                    assert_eq!(other, "any", "no_new_privileges is yes, no or any");
                    None
                }
            },
            when,
            calls: calls.split(' ').collect(),
        })
        .collect()
});

pub(super) static FAMILIES: LazyLock<Vec<Family>> = LazyLock::new(|| {
    rows(include_str!("../../data/families.csv"))
        .map(|[when, calls, why]| Family {
            always: match when {
                "always" => true,
                other => {
                    assert_eq!(other, "any", "a family is for `always` or for `any` of it");
                    false
                }
            },
            calls: calls.split(' ').collect(),
            why,
        })
        .collect()
});

/// Names only: since when, and who does without it, is for readers of the table.
pub(super) static PROBED: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| rows(include_str!("../../data/probed.csv")).map(|[call, _since, _who]| call).collect());

#[cfg(test)]
mod tests {
    use event::{Arch, SyscallNames};

    use super::*;

    #[test]
    fn every_call_of_every_table_has_a_name_in_some_table_of_system_calls() {
        let names = SyscallNames::builtin();
        let calls = BASE_SETS.iter().flat_map(|set| &set.calls);
        let calls = calls.chain(FAMILIES.iter().flat_map(|family| &family.calls)).chain(&*PROBED);
        let mut seen = 0;
        for call in calls {
            assert!(Arch::ALL.iter().any(|&arch| names.number(arch, call).is_some()), "{call} is no system call");
            seen += 1;
        }
        assert!(seen > 200, "{seen} calls were read");
    }

    #[test]
    fn each_runtime_has_a_set_for_both_settings_and_it_starts_a_program() {
        for runtime in Runtime::ALL {
            for setting in [true, false] {
                let sets = BASE_SETS.iter().filter(|set| set.applies(&[runtime], setting));
                let calls: Vec<&str> = sets.flat_map(|set| set.calls.clone()).collect();
                assert!(calls.contains(&"execve") && calls.contains(&"close"), "{runtime:?} {setting}: {calls:?}");
            }
        }
    }

    #[test]
    fn a_family_has_several_calls_or_is_always_there() {
        for family in &*FAMILIES {
            assert!(family.always || family.calls.len() > 1, "{family:?}");
            assert!(!family.why.is_empty(), "{family:?}");
        }
    }
}
