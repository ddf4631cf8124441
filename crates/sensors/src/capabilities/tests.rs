use std::collections::BTreeMap;
use std::process::Command;

use event::{
    Arch, CapabilityAudit as Audit, CapabilityCheck, CapabilityNamespace as Namespace, Credentials, Event,
    Payload, Phase, SyscallNames, Total, Verdict,
};

use crate::State;
use crate::record::DecodeError;
use crate::testing::{Bench, count_of};

/// What the set has of the checks in `main` of the task's own credentials, by all but namespace; with the first's system call.
type Checks = BTreeMap<(String, Verdict, Audit, Namespace), (u64, Option<String>)>;

/// The entries of this sensor's set: others are kept in the same form.
fn kept(bench: &Bench) -> Vec<Event> {
    let all = bench.kernel.read_sets(&[bench.run]).expect("the sets can be read").remove(&bench.run);
    let told = all.unwrap_or_default().into_iter().filter_map(|kept| match kept.total {
        Total::Told(event) => Some(*event),
        _ => None,
    });
    told.filter(|event| check_of(event).is_some()).collect()
}

fn check_of(event: &Event) -> Option<&CapabilityCheck> {
    match &event.payload {
        Payload::Capability(check) => Some(check),
        _ => None,
    }
}

fn checks(bench: &Bench) -> Checks {
    let mut checks = Checks::new();
    for event in kept(bench).iter().filter(|event| event.phase == Phase::Main) {
        let Some(check) = check_of(event).filter(|check| check.credentials == Credentials::Own) else { continue };
        let name = check.syscall.map(|call| SyscallNames::builtin().name(call).into_owned());
        let key = (check.capability.to_string(), check.verdict, check.audit, check.namespace);
        checks.insert(key, (check.count, name));
    }
    checks
}

fn observes(bench: &Bench) -> bool {
    let mut programs = bench.kernel.programs().iter().filter(|program| program.sensor == "capabilities");
    programs.any(|program| program.state == State::Attached)
}

/// Runs a script of bash; `None`, with a note, where this kernel has no hook for the sensor.
fn after(script: &str) -> Option<(Bench, Checks)> {
    let bench = Bench::new();
    if !observes(&bench) {
        eprintln!("skipped: this kernel shows no capability checks: {:?}", bench.kernel.programs());
        return None;
    }
    bench.run("/bin/bash", &["-c", script]);
    let checks = checks(&bench);
    Some((bench, checks))
}

fn audited(capability: &str, verdict: Verdict) -> (String, Verdict, Audit, Namespace) {
    (capability.to_owned(), verdict, Audit::Yes, Namespace::Initial)
}

#[test]
fn a_kind_or_a_value_without_a_meaning_is_refused() {
    let values = size_of::<crate::bpf::types::sample_header>() + 8;
    for (at, wrong) in [(0, 64), (2, 2), (3, 3), (4, 4), (5, 2)] {
        let mut record = [0; size_of::<crate::bpf::types::capability_sample>()];
        assert!(super::decode(0, &record).is_ok());
        record[values + at] = wrong;
        assert_eq!(super::decode(0, &record), Err(DecodeError::UnknownValue(wrong)), "byte {at}");
    }
    assert_eq!(super::decode(1, &[0; 512]), Err(DecodeError::UnknownKind(1)));
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn a_check_has_its_answer_its_count_its_program_and_its_call() {
    let file = std::env::temp_dir().join(format!("ringfence-capability-{}", std::process::id()));
    let script = format!(
        "touch {0}; for i in 1 2 3 4 5; do chown 3:3 {0}; done; setpriv --reuid 65534 --clear-groups chown 4:4 {0}",
        file.display()
    );
    let Some((bench, checks)) = after(&script) else { return };
    let _ = std::fs::remove_file(&file);

    // Owner and group are asked for one by one.
    assert_eq!(checks.get(&audited("CAP_CHOWN", Verdict::Used)), Some(&(10, Some("fchownat".into()))), "{checks:#?}");
    assert_eq!(checks.get(&audited("CAP_CHOWN", Verdict::Denied)), Some(&(1, Some("fchownat".into()))), "{checks:#?}");
    let first = kept(&bench).into_iter().find(|event| {
        check_of(event).is_some_and(|check| check.capability.to_string() == "CAP_CHOWN" && check.verdict == Verdict::Used)
    });
    assert_eq!(first.expect("it is there").task.comm, "chown".into());
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn each_way_of_a_check_is_one_event_and_one_entry_of_the_set() {
    let Some((bench, _)) = after("for i in 1 2 3 4; do chown 0 /dev/null; done") else { return };

    let told = bench.events();
    let kept = kept(&bench);

    assert_eq!(told.iter().filter(|event| check_of(event).is_some()).count(), kept.len());
    for event in &kept {
        let check = check_of(event).expect("no other is listed");
        let alike = |other: &&Event| {
            let first = check_of(other).is_some_and(|first| CapabilityCheck { count: check.count, ..first.clone() } == *check);
            first && (other.boot_ns, other.phase, &other.task) == (event.boot_ns, event.phase, &event.task)
        };
        let first = told.iter().find(alike).and_then(check_of).expect("it was told");
        assert_eq!(first.count, 1);
    }
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn what_is_asked_silently_is_told_apart_from_what_is_audited() {
    // Every program start asks for memory, and who opens that file whether it may see addresses.
    let Some((_, checks)) = after("/bin/true; head -c 1 /proc/kallsyms > /dev/null; chroot / /bin/true") else { return };

    assert!(checks.keys().all(|(.., audit, _)| *audit != Audit::Unknown), "{checks:#?}");
    let is = |capability: &str, audit| checks.contains_key(&(capability.into(), Verdict::Used, audit, Namespace::Initial));
    assert!(is("CAP_SYS_ADMIN", Audit::No) && !is("CAP_SYS_ADMIN", Audit::Yes), "{checks:#?}");
    assert!(is("CAP_SYS_CHROOT", Audit::Yes) && !is("CAP_SYS_CHROOT", Audit::No), "{checks:#?}");
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn unwinding_the_stack_says_the_same_as_looking_where_the_addresses_lie() {
    let script = "/bin/true; chroot / /bin/true; chown 0 /dev/null; unshare -U -r true; kill -0 1; true";
    let of = |unwind: bool| {
        let bench = Bench::new();
        if unwind {
            super::layout::forget(bench.kernel.object());
        }
        bench.run("/bin/bash", &["-c", script]);
        checks(&bench)
    };

    assert_eq!(of(true), of(false));
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn checks_for_a_user_namespace_that_the_workload_made_are_told_apart() {
    let Some((_, checks)) = after("unshare -U -r -m mount -t tmpfs none /mnt") else { return };

    let of = |namespace| {
        let found = checks.iter().filter(|((capability, verdict, audit, at), _)| {
            capability == "CAP_SYS_ADMIN" && *verdict == Verdict::Used && *audit == Audit::Yes && *at == namespace
        });
        found.map(|(_, (count, _))| count).sum::<u64>()
    };
    assert!(of(Namespace::Workload) > 0, "{checks:#?}");
    assert_eq!(of(Namespace::Initial), 0, "{checks:#?}");
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn the_credentials_of_who_mounted_an_overlay_are_not_the_tasks() {
    let folder = std::env::temp_dir().join(format!("ringfence-overlay-{}", std::process::id()));
    let at = |name: &str| folder.join(name);
    std::fs::create_dir(&folder).expect("a folder");
    for name in ["lower", "upper", "work", "merged"] {
        std::fs::create_dir(at(name)).expect("a folder");
    }
    std::fs::write(at("lower").join("file"), "x").expect("a file");
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        at("lower").display(),
        at("upper").display(),
        at("work").display()
    );
    let mounted = Command::new("mount").args(["-t", "overlay", "overlay", "-o", &options]).arg(at("merged")).status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("skipped: overlayfs cannot be mounted here");
        std::fs::remove_dir_all(&folder).expect("the folder is ours");
        return;
    }
    let script = format!(
        "setpriv --reuid 0 --bounding-set -all --inh-caps -all --clear-groups sh -c 'echo y > {}; :'",
        at("merged").join("file").display()
    );
    let seen = after(&script);
    let unmounted = Command::new("umount").arg(at("merged")).status().expect("umount runs");
    assert!(unmounted.success());
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
    let Some((bench, checks)) = seen else { return };

    let others: Vec<String> = kept(&bench)
        .iter()
        .filter_map(check_of)
        .filter(|check| check.credentials == Credentials::Other && check.verdict == Verdict::Used)
        .map(|check| check.capability.to_string())
        .collect();
    // To copy a file up, the file system sets its owner, its times and its attributes.
    assert!(others.iter().any(|capability| capability != "CAP_SYS_ADMIN"), "{others:?} {checks:#?}");
    for capability in others.iter().filter(|capability| *capability == "CAP_FOWNER" || *capability == "CAP_CHOWN") {
        assert!(!checks.contains_key(&audited(capability, Verdict::Used)), "{capability}: {checks:#?}");
    }
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn a_copy_of_the_tasks_own_credentials_is_its_own() {
    // access(2) asks with a copy that has the real user's rights.
    let file = std::env::temp_dir().join(format!("ringfence-access-{}", std::process::id()));
    std::fs::write(&file, "").expect("a file");
    let script = format!(
        "chmod 000 {0}; chown 3 {0}; perl -MPOSIX -e 'exit !POSIX::access(\"{0}\", 2)' || exit 9",
        file.display()
    );
    let seen = after(&script);
    let _ = std::fs::remove_file(&file);
    let Some((_, checks)) = seen else { return };

    let of_access = |call: &Option<String>| call.as_deref() == Some("access");
    assert!(checks.iter().any(|((name, ..), (_, call))| name == "CAP_DAC_OVERRIDE" && of_access(call)), "{checks:#?}");
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn everything_is_the_same_as_on_an_old_kernel_too() {
    let of = |old: bool| {
        let bench = Bench::with(|options| options.as_old_kernel = old);
        bench.run("/bin/bash", &["-c", "for i in 1 2 3; do chown 0 /dev/null; done; chroot / /bin/true"]);
        checks(&bench)
    };

    assert_eq!(of(true), of(false));
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn nothing_is_left_of_a_run_that_was_released() {
    let Some((mut bench, checks)) = after("chown 0 /dev/null") else { return };
    assert!(!checks.is_empty());
    let last = bench.run;
    bench.final_counts();

    bench.renew();

    assert_eq!(bench.kernel.read_sets(&[last]).expect("the sets can be read").remove(&last), None);
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn without_the_tracepoint_the_function_is_used_or_the_sensor_is_left_out_by_name_and_the_others_observe() {
    let mut bench = Bench::with(|options| options.without_hooks = vec!["tp_btf/cap_capable".into()]);

    bench.run("/bin/bash", &["-c", "chown 0 /dev/null; chown 0 /dev/null"]);
    let checks = checks(&bench);
    let tally = bench.final_counts();
    let payloads = bench.payloads();

    let programs: Vec<_> =
        bench.kernel.programs().iter().filter(|program| program.sensor == "capabilities").cloned().collect();
    match programs.as_slice() {
        [function, beside @ ..] if function.hook == "fexit/cap_capable" => {
            assert_eq!(function.state, State::Attached);
            assert!(beside.len() == 2 && beside.iter().all(|it| it.state == State::Attached), "{beside:?}");
            assert_eq!(checks.get(&audited("CAP_CHOWN", Verdict::Used)).map(|(count, _)| *count), Some(2), "{checks:#?}");
        }
        [tracepoint, function] => {
            assert_eq!(tracepoint.state, State::Unsupported("this kernel has no tracepoint cap_capable".into()));
            let State::Unsupported(why) = &function.state else { panic!("{function:?}") };
            assert!(why.starts_with("the kernel refuses fexit/cap_capable: "), "{why}");
            assert!(checks.is_empty());
        }
        _ => panic!("{programs:?}"),
    }
    assert_eq!(count_of(&tally, Phase::Main, Arch::NATIVE, "execve"), 3);
    assert_eq!(payloads.iter().filter(|payload| payload.kind() == "exec").count(), 3);
}
