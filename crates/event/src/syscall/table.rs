//! Tables of system calls as text: the built-in one and those that a user brings.

use crate::{Arch, SyscallNames};

/// Why a name or a table of names was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyscallTableError {
    /// A line that is no entry.
    #[error("line {line}: {text:?} is neither `NUMBER NAME` nor `NUMBER ABI NAME ENTRY`")]
    Line {
        /// Which line, from 1.
        line: usize,
        /// Its beginning.
        text: String,
    },
    /// An entry that cannot be taken.
    #[error("line {line}")]
    Entry {
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        source: Box<SyscallTableError>,
    },
    /// Something that cannot be the name of a system call.
    #[error("{name:?} is no name of a system call: it needs 1 to 64 of a-z, 0-9 and _, and no digit first")]
    Name {
        /// Its beginning.
        name: String,
    },
    /// The name stands for another number.
    #[error("{name} cannot be number {number} of {arch}: it is number {taken}")]
    Taken {
        /// The table.
        arch: Arch,
        /// The name.
        name: String,
        /// The number it was to stand for.
        number: u32,
        /// The number it stands for.
        taken: u32,
    },
    /// More names than are kept.
    #[error("more than {} new names; no kernel has so many", SyscallNames::MAX_LEARNT)]
    TooMany,
    /// A table of the kernel's, but of another architecture.
    #[error("no line is for {arch}: its ABI column has none of {}", abis(*arch).join(", "))]
    OtherArch {
        /// The table that was asked for.
        arch: Arch,
    },
}

impl SyscallNames {
    /// Learns the names of a table; says how many were news. If one line is refused, nothing is learnt.
    ///
    /// A line is `NUMBER NAME`, or a line of the kernel's own tables (`syscall_64.tbl`, `syscall_32.tbl`,
    /// `syscall.tbl`): `NUMBER ABI NAME [ENTRY …]`, of which those of another ABI are passed over. Words are apart by
    /// spaces or tabs; numbers are decimal; `#` starts a comment; empty lines mean nothing.
    pub fn extend(&mut self, arch: Arch, table: &str) -> Result<usize, SyscallTableError> {
        let mut names = self.clone();
        let (mut entries, mut passed_over, mut news) = (0_usize, 0_usize, 0_usize);
        for (at, text) in table.lines().enumerate() {
            let line = at + 1;
            let mut words = text.split('#').next().unwrap_or_default().split_ascii_whitespace();
            let Some(number) = words.next() else { continue };
            let (name, abi) = match (words.next(), words.next()) {
                (Some(name), None) => (name, None),
                (Some(abi), Some(name)) => (name, Some(abi)),
                (None, _) => return Err(SyscallTableError::Line { line, text: excerpt(text) }),
            };
            let number = decimal(number).ok_or_else(|| SyscallTableError::Line { line, text: excerpt(text) })?;
            if abi.is_some_and(|abi| !abis(arch).contains(&abi)) {
                passed_over += 1;
                continue;
            }
            let entry = |source| SyscallTableError::Entry { line, source: Box::new(source) };
            news += usize::from(names.extend_one(arch, number, name).map_err(entry)?);
            entries += 1;
        }
        if entries == 0 && passed_over > 0 {
            return Err(SyscallTableError::OtherArch { arch });
        }
        *self = names;
        Ok(news)
    }
}

/// Every call that is built in.
pub(super) fn builtin() -> impl Iterator<Item = (Arch, u32, &'static str)> {
    let mut lines = include_str!("../../data/syscalls.csv").lines().filter(|line| !line.starts_with('#'));
    let columns: Vec<Option<Arch>> = lines
        .next()
        .unwrap_or_default()
        .split(',')
        .skip(1)
        .map(|column| Arch::ALL.into_iter().find(|arch| arch.name() == column))
        .collect();
    lines.flat_map(move |line| {
        let (name, numbers) = line.split_once(',').unwrap_or((line, ""));
        let cells = columns.clone().into_iter().zip(numbers.split(','));
        cells.filter_map(move |(arch, number)| Some((arch?, decimal(number)?, name)))
    })
}

/// Whether a system call can be called so.
pub(super) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit())
}

/// As much of a text as an error message shows.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Digits only: no sign, no spaces.
fn decimal(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// What the ABI column of the kernel's tables says where a line is for this architecture
/// (`arch/*/entry/syscalls/*.tbl`; for arm64 `scripts/syscall.tbl` and `arch/arm64/kernel/Makefile.syscalls`, 6.12).
fn abis(arch: Arch) -> &'static [&'static str] {
    match arch {
        Arch::X86_64 => &["common", "64"],
        Arch::X86 => &["i386"],
        Arch::X32 => &["common", "x32"],
        Arch::Aarch64 => &["common", "64", "renameat", "rlimit", "memfd_secret"],
        Arch::Arm => &["common", "eabi"],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Syscall;

    fn learnt(arch: Arch, table: &str) -> Result<Vec<(u32, String)>, SyscallTableError> {
        let mut names = SyscallNames::builtin();
        names.extend(arch, table)?;
        Ok(names.all(arch).filter(|(number, _)| *number >= 4000).map(|(n, name)| (n, name.to_owned())).collect())
    }

    #[test]
    fn every_column_and_cell_of_the_builtin_table_is_read() {
        let lines = || include_str!("../../data/syscalls.csv").lines().filter(|line| !line.starts_with('#'));

        let cells = lines().skip(1).flat_map(|line| line.split(',').skip(1)).filter(|cell| !cell.is_empty()).count();

        assert_eq!(lines().next(), Some("name,x86_64,x86,x32,aarch64,arm"));
        assert_eq!(builtin().count(), cells);
    }

    #[test]
    fn numbers_and_names_are_read_with_comments() {
        let table = "# mine\n\n4000 first\n\t4001\tsecond # new\r\n0 read\n";

        let result = learnt(Arch::X86_64, table);

        assert_eq!(result, Ok(vec![(4000, "first".to_owned()), (4001, "second".to_owned())]));
    }

    #[test]
    fn of_the_kernels_table_the_lines_of_the_right_abi_are_read() {
        let table = "# <number> <abi> <name> <entry point> [<compat entry point> [noreturn]]\n\
                     0\tcommon\tread\tsys_read\n4000\tcommon\tboth\tsys_both\n4001\t64\twide\tsys_wide\n\
                     4002\tx32\tnarrow\tcompat_sys_narrow\n4003\tcommon\tgone\n4004\t64\tlast\tsys_last\t-\tnoreturn\n";

        let x86_64: Vec<u32> = learnt(Arch::X86_64, table).expect("a table").into_iter().map(|(n, _)| n).collect();
        let x32: Vec<u32> = learnt(Arch::X32, table).expect("a table").into_iter().map(|(n, _)| n).collect();

        assert_eq!(x86_64, [4000, 4001, 4003, 4004]);
        assert_eq!(x32, [4000, 4002, 4003]);
    }

    #[test]
    fn a_table_of_another_architecture_is_refused() {
        let table = "4000 i386 first sys_first\n";

        assert_eq!(learnt(Arch::X86_64, table), Err(SyscallTableError::OtherArch { arch: Arch::X86_64 }));
        assert!(learnt(Arch::X86, table).is_ok());
    }

    #[test]
    fn a_bad_line_is_named_and_nothing_is_learnt() {
        for (bad, line) in [("read", 2), ("x 4001", 2), ("4001", 2), ("+4001 plus", 2), ("99999999999 big", 2)] {
            let mut names = SyscallNames::builtin();

            let result = names.extend(Arch::X86_64, &format!("4000 good\n{bad}\n"));

            assert_eq!(result, Err(SyscallTableError::Line { line, text: bad.to_owned() }));
            assert_eq!(names.lookup(Syscall { arch: Arch::X86_64, number: 4000 }), None);
        }
        let source = Box::new(SyscallTableError::Name { name: "\u{1b}[2J".to_owned() });
        assert_eq!(learnt(Arch::X86_64, "4000 \u{1b}[2J\n"), Err(SyscallTableError::Entry { line: 1, source }));
    }

    #[test]
    fn an_error_says_what_and_where() {
        let error = learnt(Arch::X86_64, "4000 read").expect_err("taken");

        let cause = std::error::Error::source(&error).expect("a cause").to_string();
        assert_eq!(
            (error.to_string(), cause),
            ("line 1".into(), "read cannot be number 4000 of x86_64: it is number 0".into())
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(table in "([0-9]{0,11}[ \t#]?[a-z0-9_\\PC]{0,8}[ \n]?){0,16}") {
            let _ = learnt(Arch::X86_64, &table);
        }
    }
}
