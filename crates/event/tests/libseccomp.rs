//! The built-in names beside those of the libseccomp that is on this machine.

use std::process::Command;
use std::thread;

use event::{Arch, Syscall, SyscallNames};

const X32_BIT: u32 = 1 << 30;

/// What `scmp_sys_resolver` (package `seccomp`) answers; none if it is not installed.
fn resolve(arch: Arch, question: &str) -> Option<String> {
    let output = Command::new("scmp_sys_resolver").args(["-a", arch.name(), question]).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn name_there(arch: Arch, number: u32) -> Option<String> {
    let marked = if arch == Arch::X32 { number | X32_BIT } else { number };
    resolve(arch, &marked.to_string()).filter(|answer| answer != "UNKNOWN")
}

/// A negative number says that the name is unknown or that the call is also served by another one.
fn number_there(arch: Arch, name: &str) -> Option<u32> {
    let number: i64 = resolve(arch, name)?.parse().ok()?;
    u32::try_from(number).ok().map(|number| if arch == Arch::X32 { number & !X32_BIT } else { number })
}

/// The newest number: from 403 on all tables give a new call the same one (x32 has calls of its own from 512 on).
fn newest(names: &SyscallNames) -> u32 {
    names.all(Arch::Aarch64).map(|(number, _)| number).max().unwrap_or(0)
}

#[test]
fn every_name_that_libseccomp_knows_is_ours() {
    if resolve(Arch::X86_64, "read").is_none() {
        println!("skipped: no scmp_sys_resolver");
        return;
    }
    let names = SyscallNames::builtin();

    thread::scope(|scope| {
        for arch in Arch::ALL {
            let names = &names;
            scope.spawn(move || {
                let mut agreed = 0;
                for number in (0..600).chain(0x0f_0000..0x0f_0008) {
                    let ours = names.lookup(Syscall { arch, number });
                    match name_there(arch, number) {
                        Some(theirs) if ours.is_none() && (newest(names) + 1..512).contains(&number) => {
                            println!("{arch} {number} {theirs} is newer than our table: run tools/syscall-tables");
                        }
                        Some(theirs) => {
                            assert_eq!(ours, Some(theirs.as_str()), "{arch} {number}");
                            agreed += 1;
                        }
                        None => {}
                    }
                }
                for (number, name) in names.all(arch) {
                    if let Some(theirs) = number_there(arch, name) {
                        assert_eq!(number, theirs, "{arch} {name}");
                    }
                }
                assert!(agreed > 280, "{arch}: libseccomp knew only {agreed} of our numbers");
            });
        }
    });
}
