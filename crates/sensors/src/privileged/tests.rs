use super::*;

#[test]
fn operations_are_numbered_as_the_kernel_side_does() {
    let number = |operation: PrivilegedOperation| {
        let at = PrivilegedOperation::ALL.iter().position(|one| *one == operation).expect("it is one of all");
        at as u32 + 1
    };

    assert_eq!(PrivilegedOperation::ALL.len() as u32 + 1, privileged_operation::PRIVILEGED_OPERATIONS.0);
    for (operation, theirs) in [
        (PrivilegedOperation::Mount, privileged_operation::PRIVILEGED_MOUNT),
        (PrivilegedOperation::Kill, privileged_operation::PRIVILEGED_KILL),
        (PrivilegedOperation::Setuid, privileged_operation::PRIVILEGED_SETUID),
        (PrivilegedOperation::ExecMemfd, privileged_operation::PRIVILEGED_EXEC_MEMFD),
        (PrivilegedOperation::IoUringRequest, privileged_operation::PRIVILEGED_IO_URING_REQUEST),
    ] {
        assert_eq!(number(operation), theirs.0);
    }
}

#[test]
fn a_call_is_numbered_as_the_operation_of_its_name() {
    for call in CALLS {
        let operation = PrivilegedOperation::ALL[usize::from(call.number) - 1];
        // Numbers of a 32-bit program's newer calls, and those that differ only in the architecture or by a key.
        let plain = call.name.trim_end_matches("32").trim_end_matches("64");
        let plain = if call.name == "mmap2" { "mmap" } else { plain };
        let plain = if call.name == "pkey_mprotect" { "mprotect" } else { plain };
        assert_eq!(operation.name(), plain, "{}", call.name);
    }
}

#[test]
fn every_call_is_known_by_its_name() {
    let names = event::SyscallNames::builtin();
    for Call { name, .. } in CALLS {
        let known = [event::Arch::X86_64, event::Arch::X86, event::Arch::Aarch64, event::Arch::Arm]
            .iter()
            .any(|&arch| names.number(arch, name).is_some());
        assert!(known, "{name}");
    }
}

#[test]
fn what_has_no_meaning_is_refused() {
    assert_eq!(decode(9, &[0; 2000]), Err(DecodeError::UnknownKind(9)));
    let mut sample = privileged_sample::default();
    assert_eq!(decode_operation(record::bytes(&sample)), Err(DecodeError::UnknownValue(0)));
    sample.key.operation = 200;
    assert_eq!(decode_operation(record::bytes(&sample)), Err(DecodeError::UnknownValue(200)));
    let mut state = confinement_sample::default();
    state.key.seccomp = 9;
    assert_eq!(decode_confinement(record::bytes(&state)), Err(DecodeError::UnknownValue(9)));
    assert!(matches!(decode_confinement(&[0; 8]), Err(DecodeError::TooShort { .. })));
}

#[test]
fn a_length_beyond_its_text_is_cut() {
    let mut sample = privileged_sample::default();
    sample.key.operation = 1;
    sample.state.lengths = [u32::MAX; 3];

    let used = decode_operation(record::bytes(&sample)).expect("a record");

    assert_eq!(used.object.as_bytes().len(), 264);
}

mod kernel {
    use std::collections::BTreeMap;

    use event::{CapabilitySet, Phase, Total};

    use super::super::*;
    use crate::testing::Bench;

    /// The entries of the set, without what came before the programs that a test runs.
    fn operations(bench: &Bench) -> Vec<PrivilegedUse> {
        let kept = bench.kernel.read_sets(&[bench.run]).expect("the sets can be read");
        kept.into_values()
            .flatten()
            .filter(|kept| kept.phase != Phase::RuntimeInit)
            .filter_map(|kept| match kept.total {
                Total::Told(event) => match event.payload {
                    Payload::Privileged(used) => Some(used),
                    _ => None,
                },
                _ => None,
            })
            .collect()
    }

    fn of(uses: &[PrivilegedUse], operation: PrivilegedOperation) -> Vec<(Vec<String>, Outcome, u64)> {
        let words = |used: &PrivilegedUse| used.details.iter().map(ToString::to_string).collect();
        uses.iter()
            .filter(|used| used.operation == operation)
            .map(|used| (words(used), used.outcome, used.count))
            .collect()
    }

    #[test]
    #[ignore = "needs root and a kernel with BTF"]
    fn operations_are_a_set_with_what_was_passed_and_what_became_of_it() {
        let bench = Bench::new();

        bench.run("/usr/bin/unshare", &["-m", "-u", "/bin/sh", "-c", "mount -t tmpfs nothing /mnt && umount /mnt"]);
        bench.run("/usr/sbin/chroot", &["/nowhere-at-all", "/bin/true"]);
        bench.run("/usr/sbin/chroot", &["/nowhere-at-all", "/bin/true"]);
        let uses = operations(&bench);

        let both = ["CLONE_NEWNS".to_owned(), "CLONE_NEWUTS".to_owned()].to_vec();
        assert_eq!(of(&uses, PrivilegedOperation::Unshare), [(both, Outcome::Allowed, 1)]);
        let chroots: Vec<_> = uses.iter().filter(|used| used.operation == PrivilegedOperation::Chroot).collect();
        assert_eq!(chroots.len(), 1, "{chroots:?}");
        assert_eq!((chroots[0].object.clone(), chroots[0].errno, chroots[0].count), ("/nowhere-at-all".into(), Some(Errno(2)), 2));
        assert_eq!(chroots[0].outcome, Outcome::Failed);
        let mounted = uses.iter().find(|used| used.operation == PrivilegedOperation::Mount && used.object == "/mnt".into());
        let mounted = mounted.unwrap_or_else(|| panic!("{uses:#?}"));
        assert_eq!((mounted.source.clone(), mounted.type_name.clone()), ("nothing".into(), "tmpfs".into()));
        assert_eq!((mounted.outcome, mounted.truncated, mounted.others), (Outcome::Allowed, false, false));
        let told: Vec<Payload> = bench.payloads();
        let told = told.iter().filter(|payload| matches!(payload, Payload::Privileged(used) if used.object == "/mnt".into()));
        assert_eq!(told.count(), 2, "the mount and the unmount, once each");
    }

    #[test]
    #[ignore = "needs root and a kernel with BTF"]
    fn a_change_of_ids_has_a_before_and_an_after() {
        let bench = Bench::new();

        // In a child, so that the ids of before are those that it was made with.
        bench.run("/bin/sh", &["-c", "/usr/bin/setpriv --reuid 65534 --clear-groups /bin/true; true"]);
        let uses = operations(&bench);

        let changed = uses.iter().find(|used| used.operation == PrivilegedOperation::Setresuid);
        let changed = changed.unwrap_or_else(|| panic!("{uses:#?}"));
        let ids = |ids: Option<Ids>| ids.map(|ids| [ids.uid, ids.euid, ids.suid]);
        assert_eq!((ids(changed.before), ids(changed.after)), (Some([0; 3]), Some([65_534; 3])));
    }

    #[test]
    #[ignore = "needs root and a kernel with BTF"]
    fn only_signals_that_leave_the_container_are_told_and_they_name_their_target() {
        let bench = Bench::new();
        let pid = std::process::id();

        bench.run("/bin/sh", &["-c", &format!("kill -0 $$; kill -URG {pid}; sh -c 'kill -URG $PPID'; /bin/true")]);
        let uses = operations(&bench);

        let signals: Vec<_> = uses.iter().filter(|used| used.operation == PrivilegedOperation::Kill).collect();
        assert_eq!(signals.len(), 1, "{signals:#?}");
        assert_eq!(signals[0].target.map(|target| target.pid), Some(pid));
        assert_eq!((signals[0].target_run, signals[0].outcome), (None, Outcome::Allowed));
        assert_eq!(of(&uses, PrivilegedOperation::Kill)[0].0, ["SIGURG"]);
    }

    #[test]
    #[ignore = "needs root and a kernel with BTF"]
    fn states_are_those_that_proc_shows() {
        let bench = Bench::new();

        let args = ["--no-new-privs", "--reuid", "65534", "--bounding-set", "-sys_admin", "/bin/cat", "/proc/self/status"];
        bench.run("/usr/bin/setpriv", &args);
        let output = std::process::Command::new("/usr/bin/setpriv").args(args).output().expect("setpriv runs");
        let status = String::from_utf8(output.stdout).expect("text");
        let set = |name| CapabilitySet::from_status(&status, name).expect("a set");
        let states: Vec<Confinement> = bench
            .payloads()
            .into_iter()
            .filter_map(|payload| match payload {
                Payload::Confinement(state) => Some(state),
                _ => None,
            })
            .collect();

        // The newest of its states: those before are of setpriv itself.
        let last = states.iter().rfind(|state| state.no_new_privileges && state.ids.uid == 65_534);
        let last = last.unwrap_or_else(|| panic!("{states:#?}"));
        assert_eq!(last.effective, set("CapEff"));
        assert_eq!(last.permitted, set("CapPrm"));
        assert_eq!(last.inheritable, set("CapInh"));
        assert_eq!(last.bounding, set("CapBnd"));
        assert_eq!(last.ambient, set("CapAmb"));
        assert_eq!((last.seccomp, last.user_namespace), (SeccompMode::Disabled, UserNamespace::Initial));
    }

    #[test]
    #[ignore = "needs root and a kernel with BTF"]
    fn a_container_that_varies_what_it_passes_is_counted_exactly_and_bounded() {
        let bench = Bench::new();

        let script = "import os\nfor i in range(700):\n try: os.chroot('/nowhere/%d' % i)\n except OSError: pass";
        let status = bench.run("/usr/bin/env", &["python3", "-c", script]);
        assert!(status.success());
        let uses = operations(&bench);

        let chroots: Vec<_> = uses.iter().filter(|used| used.operation == PrivilegedOperation::Chroot).collect();
        assert_eq!(chroots.iter().map(|used| used.count).sum::<u64>(), 700);
        let rest: Vec<_> = chroots.iter().filter(|used| used.others).collect();
        assert_eq!(rest.len(), 1);
        assert_eq!((rest[0].object.clone(), rest[0].errno), (Text::default(), Some(Errno(2))));
        assert!(chroots.len() <= 513 && rest[0].count >= 700 - 512, "{} entries", chroots.len());
        let by_errno: BTreeMap<_, _> = chroots.iter().map(|used| (used.errno, ())).collect();
        assert_eq!(by_errno.len(), 1);
    }
}
