//! System calls and their names.
//!
//! The names are those of libseccomp, because seccomp profiles are written with them: `pread64`, not `pread`;
//! `newfstatat`, not `fstatat`. Its tables for all of [`Arch`] are built in (`data/syscalls.csv`, written by
//! `tools/syscall-tables`). A number that is newer than they are gets its name from the running kernel or from a file
//! of the user's; such a name never replaces a built-in one.

mod table;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use table::SyscallTableError;

use crate::Arch;

/// One entry of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Syscall {
    /// The table.
    pub arch: Arch,
    /// The number in it; of x32 without bit 30.
    pub number: u32,
}

/// What system calls are called: libseccomp's tables, and names learnt later.
#[derive(Clone, Debug, Default)]
pub struct SyscallNames {
    learnt: BTreeMap<Syscall, String>,
}

impl SyscallNames {
    /// How many names can be learnt; more are refused, so that no input makes this grow without end.
    pub const MAX_LEARNT: usize = 4096;

    /// The built-in names alone.
    pub fn builtin() -> SyscallNames {
        SyscallNames::default()
    }

    /// The name of a call, if anybody has one.
    pub fn lookup(&self, syscall: Syscall) -> Option<&str> {
        match BUILTIN.names.get(&syscall) {
            Some(name) => Some(name),
            None => self.learnt.get(&syscall).map(String::as_str),
        }
    }

    /// The name of a call, or `nr 471` if nobody has one.
    pub fn name(&self, syscall: Syscall) -> Cow<'_, str> {
        match self.lookup(syscall) {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(format!("nr {}", syscall.number)),
        }
    }

    /// The number that a name has in a table; none if the table has no such call.
    pub fn number(&self, arch: Arch, name: &str) -> Option<u32> {
        let builtin = BUILTIN.numbers.get(&(arch, name)).copied();
        builtin.or_else(|| self.of(arch).find(|(_, learnt)| *learnt == name).map(|(number, _)| number))
    }

    /// Every call of a table that has a name, by number.
    pub fn all(&self, arch: Arch) -> impl Iterator<Item = (u32, &str)> {
        let mut calls: Vec<(u32, &str)> = self.of(arch).collect();
        calls.extend(
            BUILTIN.names.iter().filter(|(syscall, _)| syscall.arch == arch).map(|(s, name)| (s.number, *name)),
        );
        calls.sort_unstable();
        calls.into_iter()
    }

    /// Learns one name; says whether it was news (it is not if the number has a name).
    ///
    /// Of x32 the number may have bit 30 or not. A name that another number of the table has already is refused: a
    /// profile that allows the name would allow the wrong call.
    pub fn extend_one(&mut self, arch: Arch, number: u32, name: &str) -> Result<bool, SyscallTableError> {
        let number = if arch == Arch::X32 { number & !X32_BIT } else { number };
        let syscall = Syscall { arch, number };
        if !table::is_name(name) {
            return Err(SyscallTableError::Name { name: table::excerpt(name) });
        }
        if self.lookup(syscall).is_some() {
            return Ok(false);
        }
        if let Some(taken) = self.number(arch, name) {
            return Err(SyscallTableError::Taken { arch, name: name.to_owned(), number, taken });
        }
        if self.learnt.len() >= SyscallNames::MAX_LEARNT {
            return Err(SyscallTableError::TooMany);
        }
        self.learnt.insert(syscall, name.to_owned());
        Ok(true)
    }

    fn of(&self, arch: Arch) -> impl Iterator<Item = (u32, &str)> {
        let table = Syscall { arch, number: 0 }..=Syscall { arch, number: u32::MAX };
        self.learnt.range(table).map(|(syscall, name)| (syscall.number, name.as_str()))
    }
}

/// What marks the number of an x32 call on its way into the kernel (`__X32_SYSCALL_BIT`).
const X32_BIT: u32 = 1 << 30;

struct Builtin {
    names: HashMap<Syscall, &'static str>,
    numbers: HashMap<(Arch, &'static str), u32>,
}

static BUILTIN: LazyLock<Builtin> = LazyLock::new(|| {
    let mut builtin = Builtin { names: HashMap::new(), numbers: HashMap::new() };
    for (arch, number, name) in table::builtin() {
        builtin.names.insert(Syscall { arch, number }, name);
        builtin.numbers.insert((arch, name), number);
    }
    builtin
});

#[cfg(test)]
mod tests {
    use super::*;

    fn call(arch: Arch, number: u32) -> Syscall {
        Syscall { arch, number }
    }

    #[test]
    fn names_are_those_of_libseccomp_and_belong_to_a_table() {
        let names = SyscallNames::builtin();

        assert_eq!(names.lookup(call(Arch::X86_64, 17)), Some("pread64"));
        assert_eq!(names.lookup(call(Arch::X86_64, 262)), Some("newfstatat"));
        assert_eq!(names.lookup(call(Arch::X86, 3)), Some("read"));
        assert_eq!(names.lookup(call(Arch::X86, 359)), Some("socket"));
        assert_eq!(names.lookup(call(Arch::X32, 512)), Some("rt_sigaction"));
        assert_eq!(names.lookup(call(Arch::Aarch64, 63)), Some("read"));
        assert_eq!(names.lookup(call(Arch::Arm, 0x0f_0002)), Some("cacheflush"));
        assert_eq!(names.number(Arch::Aarch64, "open"), None);
    }

    #[test]
    fn every_builtin_name_round_trips() {
        let names = SyscallNames::builtin();

        for arch in Arch::ALL {
            let mut calls = 0;
            for (number, name) in names.all(arch) {
                assert_eq!(names.number(arch, name), Some(number), "{arch} {name}");
                assert_eq!(names.lookup(call(arch, number)), Some(name), "{arch} {number}");
                assert!(table::is_name(name), "{arch} {name}");
                calls += 1;
            }
            assert!(calls > 300, "{arch} has only {calls} calls");
        }
    }

    #[test]
    fn a_number_without_a_name_is_shown_as_a_number() {
        let names = SyscallNames::builtin();

        assert_eq!(names.lookup(call(Arch::X86_64, 4000)), None);
        assert_eq!(names.name(call(Arch::X86_64, 4000)), "nr 4000");
        assert_eq!(names.name(call(Arch::X86_64, 0)), "read");
    }

    #[test]
    fn a_learnt_name_never_replaces_a_known_one() {
        let mut names = SyscallNames::builtin();

        assert_eq!(names.extend_one(Arch::X86_64, 0, "sys_read"), Ok(false));
        assert_eq!(names.extend_one(Arch::X86_64, 4000, "first"), Ok(true));
        assert_eq!(names.extend_one(Arch::X86_64, 4000, "second"), Ok(false));

        assert_eq!(names.name(call(Arch::X86_64, 0)), "read");
        assert_eq!(names.number(Arch::X86_64, "sys_read"), None);
        assert_eq!(names.name(call(Arch::X86_64, 4000)), "first");
        assert_eq!(names.number(Arch::X86_64, "first"), Some(4000));
        assert_eq!(names.number(Arch::X86, "first"), None);
        assert!(names.all(Arch::X86_64).any(|learnt| learnt == (4000, "first")));
    }

    #[test]
    fn a_name_never_stands_for_two_numbers() {
        let mut names = SyscallNames::builtin();

        let builtin = names.extend_one(Arch::X86_64, 4000, "read");
        names.extend_one(Arch::X86_64, 4001, "mine").expect("a new name");
        let learnt = names.extend_one(Arch::X86_64, 4002, "mine");

        let taken = |number, name: &str, taken| {
            Err(SyscallTableError::Taken { arch: Arch::X86_64, name: name.to_owned(), number, taken })
        };
        assert_eq!(builtin, taken(4000, "read", 0));
        assert_eq!(learnt, taken(4002, "mine", 4001));
    }

    #[test]
    fn an_x32_number_is_kept_without_its_mark() {
        let mut names = SyscallNames::builtin();

        assert_eq!(names.extend_one(Arch::X32, X32_BIT | 4000, "mine"), Ok(true));
        assert_eq!(names.extend_one(Arch::X32, X32_BIT, "not_read"), Ok(false));

        assert_eq!(names.lookup(call(Arch::X32, 4000)), Some("mine"));
    }

    #[test]
    fn what_can_be_learnt_is_bounded() {
        let mut names = SyscallNames::builtin();
        for number in 0..SyscallNames::MAX_LEARNT as u32 {
            names.extend_one(Arch::Arm, 100_000 + number, &format!("call_{number}")).expect("below the bound");
        }

        let above = names.extend_one(Arch::Arm, 200_000, "one_more");

        assert_eq!(above, Err(SyscallTableError::TooMany));
    }
}
