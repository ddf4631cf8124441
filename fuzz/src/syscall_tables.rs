//! Tables of system calls that a user brings.

use event::{Arch, Syscall, SyscallNames};

use crate::laws::assert_harmless;

/// A table is learnt as a whole or not at all, never changes a name, and a name stands for one number.
pub fn check(bytes: &[u8]) {
    let Ok(table) = std::str::from_utf8(bytes) else { return };
    for arch in Arch::ALL {
        check_for(arch, table);
    }
}

fn check_for(arch: Arch, table: &str) {
    let builtin = SyscallNames::builtin();
    let mut names = builtin.clone();
    let news = match names.extend(arch, table) {
        Ok(news) => news,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            assert_harmless(&format!("{error}: {cause}"), "");
            assert!(names.all(arch).eq(builtin.all(arch)), "a refused table was learnt");
            return;
        }
    };

    let all =
        |names: &SyscallNames| names.all(arch).map(|(number, name)| (number, name.to_owned())).collect::<Vec<_>>();
    let (known, learnt) = (all(&builtin), all(&names));
    assert_eq!(learnt.len(), known.len() + news);
    if news == 0 {
        return;
    }
    let other = Arch::ALL.into_iter().find(|other| *other != arch).unwrap_or(arch);
    assert!(names.all(other).eq(builtin.all(other)), "a table of {arch} changed that of {other}");
    for (number, name) in &known {
        assert_eq!(names.lookup(Syscall { arch, number: *number }), Some(name.as_str()));
    }
    for (number, name) in &learnt {
        assert_eq!(names.number(arch, name), Some(*number), "{name} stands for two numbers");
    }
    assert_eq!(names.clone().extend(arch, table), Ok(0), "the same table is news again");

    let written: String = learnt.iter().map(|(number, name)| format!("{number} {name}\n")).collect();
    let mut read = builtin.clone();
    assert_eq!(read.extend(arch, &written), Ok(news));
    assert_eq!(all(&read), learnt);
}
