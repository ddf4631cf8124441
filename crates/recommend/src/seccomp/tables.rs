//! The tables in `data/`, read once.

use std::sync::LazyLock;

use event::{Arch, constants};

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

/// How an argument is filtered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// It must be one of some values.
    Values,
    /// Flags that never were set must not be.
    Bits,
}

/// An argument that is filtered.
#[derive(Debug)]
pub(super) struct Filtered {
    /// The calls: what they are passed is the same.
    pub(super) calls: Vec<&'static str>,
    pub(super) argument: u8,
    pub(super) how: How,
    /// The bits that count.
    pub(super) mask: u32,
    /// The value with which the call does all that it does with others.
    pub(super) any: Option<u32>,
    /// The tables whose call is passed something else there.
    pub(super) not_on: Vec<Arch>,
}

impl Filtered {
    /// The bits of what was passed that are told: of flags all.
    pub(super) fn kept_mask(&self) -> u32 {
        match self.how {
            How::Values => self.mask,
            How::Bits => u32::MAX,
        }
    }
}

/// Values that are allowed though no run showed them.
#[derive(Debug)]
pub(super) struct ArgumentValues {
    pub(super) call: &'static str,
    /// The value that must have been passed.
    pub(super) only_if: Option<u32>,
    pub(super) values: Vec<u32>,
    pub(super) why: &'static str,
}

/// Values that a runtime passes under a filter.
#[derive(Debug)]
pub(super) struct RuntimeValues {
    pub(super) runtime: Runtime,
    pub(super) version: &'static str,
    pub(super) call: &'static str,
    pub(super) values: Vec<u32>,
}

pub(super) static ARGUMENTS: LazyLock<Vec<Filtered>> = LazyLock::new(|| {
    rows(include_str!("../../data/arguments.csv"))
        .map(|[calls, argument, how, mask, any, not_on, _why]| {
            let calls: Vec<&str> = calls.split(' ').collect();
            Filtered {
                argument: argument.parse().expect("a position"),
                how: match how {
                    "values" => How::Values,
                    other => {
                        assert_eq!(other, "bits", "an argument is filtered by `values` or by `bits`");
                        How::Bits
                    }
                },
                mask: value_of(calls[0], mask),
                any: (!any.is_empty()).then(|| value_of(calls[0], any)),
                not_on: not_on.split(' ').filter(|name| !name.is_empty()).map(arch).collect(),
                calls,
            }
        })
        .collect()
});

pub(super) static ARGUMENT_VALUES: LazyLock<Vec<ArgumentValues>> = LazyLock::new(|| {
    rows(include_str!("../../data/argument-values.csv"))
        .map(|[call, only_if, values, why]| ArgumentValues {
            call,
            only_if: (!only_if.is_empty()).then(|| value_of(call, only_if)),
            values: values.split(' ').map(|value| value_of(call, value)).collect(),
            why,
        })
        .collect()
});

pub(super) static RUNTIME_ARGUMENTS: LazyLock<Vec<RuntimeValues>> = LazyLock::new(|| {
    rows(include_str!("../../data/runtime-arguments.csv"))
        .map(|[runtime, version, _source, call, values]| RuntimeValues {
            runtime: runtime_of(runtime),
            version,
            call,
            values: values.split(' ').map(|value| value_of(call, value)).collect(),
        })
        .collect()
});

fn value_of(call: &str, words: &str) -> u32 {
    constants::number(call, words).unwrap_or_else(|| panic!("{words} of {call} is no value that has a name"))
}

fn arch(name: &str) -> Arch {
    Arch::ALL.into_iter().find(|arch| arch.name() == name).expect("a table that we know")
}

fn runtime_of(name: &str) -> Runtime {
    Runtime::ALL.into_iter().find(|known| known.name() == name).expect("a runtime that we know")
}

pub(super) static BASE_SETS: LazyLock<Vec<BaseSet>> = LazyLock::new(|| {
    rows(include_str!("../../data/base-sets.csv"))
        .map(|[runtime, version, no_new_privileges, _source, when, calls]| BaseSet {
            runtime: runtime_of(runtime),
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
    fn every_filtered_argument_is_one_that_is_recorded_and_each_value_is_of_one() {
        let names = SyscallNames::builtin();
        let first = |call: &&str| ARGUMENTS.iter().any(|filtered| filtered.calls[0] == *call);
        for filtered in &*ARGUMENTS {
            for call in &filtered.calls {
                assert!(Arch::ALL.iter().any(|&arch| names.number(arch, call).is_some()), "{call} is no system call");
                let same = ARGUMENTS.iter().filter(|other| other.calls.contains(call)).count();
                assert_eq!(same, 1, "{call} stands twice");
            }
            assert!(filtered.argument < 6 && filtered.mask != 0, "{filtered:?}");
        }
        for line in &*ARGUMENT_VALUES {
            assert!(first(&line.call) && !line.values.is_empty() && !line.why.is_empty(), "{line:?}");
        }
        for line in &*RUNTIME_ARGUMENTS {
            assert!(first(&line.call) && !line.values.is_empty() && !line.version.is_empty(), "{line:?}");
        }
    }

    #[test]
    fn nothing_that_is_dangerous_is_allowed_by_a_table() {
        let allowed = |call, words| {
            let value = value_of(call, words);
            ARGUMENT_VALUES.iter().any(|line| line.call == call && line.values.contains(&value))
                || RUNTIME_ARGUMENTS.iter().any(|line| line.call == call && line.values.contains(&value))
        };
        for (call, words) in [
            ("ioctl", "TIOCSTI"),
            ("ioctl", "TIOCLINUX"),
            ("ioctl", "TIOCSETD"),
            ("prctl", "PR_SET_MM"),
            ("prctl", "PR_SET_PTRACER"),
            ("prctl", "PR_SET_SYSCALL_USER_DISPATCH"),
            ("socket", "AF_VSOCK"),
            ("socket", "AF_PACKET"),
            ("socket", "AF_NETLINK"),
            ("personality", "ADDR_NO_RANDOMIZE"),
            ("personality", "READ_IMPLIES_EXEC"),
            ("madvise", "MADV_HWPOISON"),
            ("madvise", "MADV_MERGEABLE"),
            ("mprotect", "PROT_EXEC"),
            ("mmap", "PROT_WRITE|PROT_EXEC"),
            ("fcntl", "F_SETSIG"),
        ] {
            assert!(!allowed(call, words), "{call} {words}");
        }
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
