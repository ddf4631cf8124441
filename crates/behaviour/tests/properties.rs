//! What holds for every sequence of events and every snapshot.

mod support;

use behaviour::{
    Behaviour, Builder, Capabilities, CapabilityUse, FailureCount, FirstCheck, FirstUse, Limits, NamedCall,
    OperationUse, Privileged, ProcessTree, Resources, SyscallUse, Syscalls,
};
use event::{
    Arch, BlockDirection, CallTally, Capability, CapabilityAudit, CapabilityCheck, CapabilityNamespace, CgroupUsage,
    CpuUsage, Credentials, DeviceUsage, Errno, Event, Exit, FailureTally, Fork, Ids, Kept, MemoryUsage, Outcome,
    Payload, Phase, PrivilegedOperation, PrivilegedUse, Resource, ResourceTotal, RunId, Syscall, SyscallNames, Tally,
    TaskId, Text, Total, Verdict,
};
use proptest::prelude::*;
use support::{entered, event, exec, exit, fork, image, process, program, thread};

const SMALL: Limits =
    Limits { processes: 3, programs: 3, text_bytes: 120, images: 3, image_text_bytes: 40, file_text_bytes: 60 };

fn phase() -> impl Strategy<Value = Phase> {
    prop::sample::select(&Phase::ALL[..])
}

fn errno() -> impl Strategy<Value = Errno> {
    (1..4_u16).prop_map(Errno)
}

fn syscall() -> impl Strategy<Value = Syscall> {
    (prop::sample::select(vec![Arch::X86_64, Arch::X86]), prop_oneof![0..3_u32, 4000..4002_u32])
        .prop_map(|(arch, number)| Syscall { arch, number })
}

/// A few checks, so that many are alike.
fn check() -> impl Strategy<Value = CapabilityCheck> {
    let alike = (
        prop::sample::select(vec![0, 21, 63]),
        prop::sample::select(vec![Verdict::Used, Verdict::Denied]),
        prop::sample::select(vec![CapabilityAudit::Yes, CapabilityAudit::Unknown]),
        prop::sample::select(vec![CapabilityNamespace::Initial, CapabilityNamespace::Workload]),
        prop::sample::select(vec![Credentials::Own, Credentials::Other]),
    );
    (alike, prop::option::of(syscall()), 0..9_u64).prop_map(
        |((number, verdict, audit, namespace, credentials), syscall, count)| CapabilityCheck {
            capability: Capability::new(number).expect("in a set"),
            verdict,
            audit,
            namespace,
            credentials,
            syscall,
            count,
        },
    )
}

fn capabilities() -> impl Strategy<Value = Capabilities> {
    let name = prop_oneof![Just("named"), Just("called")];
    let first = (0..3_u64, 0..3_u32, "[ab]?", prop::option::of((syscall(), name)));
    let first = first.prop_map(|(boot_ns, pid, comm, call)| FirstCheck {
        by: FirstUse { boot_ns, image: image(pid, 0), comm: comm.as_str().into(), executable: "".into() },
        syscall: call.map(|(syscall, name)| NamedCall { syscall, name: name.into() }),
    });
    let count = prop_oneof![0..9_u64, (u64::MAX - 3)..=u64::MAX];
    let one = (phase(), check(), count, first, 0..9_u64).prop_map(|(phase, check, count, first, last_boot_ns)| {
        CapabilityUse {
            phase,
            capability: check.capability,
            verdict: check.verdict,
            audit: check.audit,
            namespace: check.namespace,
            credentials: check.credentials,
            count,
            first,
            last_boot_ns,
        }
    });
    prop::collection::vec(one, 0..8).prop_map(|uses| Capabilities { uses })
}

/// A few operations, so that many are alike.
fn operation() -> impl Strategy<Value = PrivilegedUse> {
    let ids = || prop::option::of((0..2_u32).prop_map(|uid| Ids { uid, ..Ids::default() }));
    let what = (
        prop::sample::select(vec![PrivilegedOperation::Mount, PrivilegedOperation::Setuid, PrivilegedOperation::Kill]),
        prop::option::of(errno()),
        prop::collection::vec("[ab]", 0..2),
        "[ab]?",
    );
    let target = prop::option::of(("[ab]?", prop::option::of(0..2_u32)));
    (what, ids(), ids(), target, 0..9_u64, any::<bool>()).prop_map(
        |((operation, errno, details, object), before, after, target, count, others)| PrivilegedUse {
            operation,
            outcome: Outcome::of(errno),
            errno,
            details: details.iter().map(|word| word.as_str().into()).collect(),
            object: object.as_str().into(),
            source: "".into(),
            type_name: "".into(),
            truncated: false,
            before,
            after,
            target: target.as_ref().map(|_| process(3)),
            target_comm: target.as_ref().map(|(comm, _)| comm.as_str().into()).unwrap_or_default(),
            target_run: target.and_then(|(_, slot)| slot.map(|slot| RunId { slot, generation: 0 })),
            others,
            count,
        },
    )
}

fn privileged() -> impl Strategy<Value = Privileged> {
    let count = prop_oneof![0..9_u64, (u64::MAX - 3)..=u64::MAX];
    let one = (phase(), operation(), count, (0..3_u64, 0..3_u32), 0..9_u64).prop_map(
        |(phase, used, count, (boot_ns, pid), last_boot_ns)| OperationUse {
            phase,
            operation: used.operation,
            outcome: used.outcome,
            errno: used.errno,
            details: used.details,
            object: used.object,
            source: used.source,
            type_name: used.type_name,
            truncated: used.truncated,
            before: used.before,
            after: used.after,
            has_target: used.target.is_some(),
            target_comm: used.target_comm,
            target_run: used.target_run,
            others: used.others,
            count,
            first: FirstUse { boot_ns, image: image(pid, 0), comm: "".into(), executable: "".into() },
            last_boot_ns,
        },
    );
    prop::collection::vec(one, 0..8).prop_map(|operations| Privileged { operations, ..Privileged::default() })
}

/// Some figures there, some not.
fn reading() -> impl Strategy<Value = (CgroupUsage, u64, bool)> {
    let figure = || prop::option::of(0..9_u64);
    let absent =
        prop::collection::btree_map(prop::sample::select(&Resource::ALL[..]), "[ab]".prop_map(Text::from), 0..3);
    let device = prop::option::of((0..3_u32, 0..9_u64));
    (figure(), figure(), figure(), device, absent, 0..5_u64, any::<bool>()).prop_map(
        |(usage_ns, peak_bytes, limit_bytes, device, absent, at, at_end)| {
            let device = device.map(|(minor, read_bytes)| DeviceUsage {
                device: event::Device { major: 8, minor },
                read_bytes,
                ..DeviceUsage::default()
            });
            let usage = CgroupUsage {
                cpu: CpuUsage { usage_ns, ..CpuUsage::default() },
                memory: MemoryUsage { peak_bytes, limit_bytes, ..MemoryUsage::default() },
                devices: Some(device.into_iter().collect()),
                absent,
                ..CgroupUsage::default()
            };
            (usage, at, at_end)
        },
    )
}

fn resources() -> impl Strategy<Value = Resources> {
    prop::collection::vec(reading(), 0..3).prop_map(|readings| {
        let mut builder = Builder::new(SMALL);
        for (usage, at, at_end) in &readings {
            builder.measure(usage, *at, *at_end);
            let ns = usage.cpu.usage_ns.unwrap_or(0);
            let direction = if *at_end { BlockDirection::Read } else { BlockDirection::Write };
            for total in [
                ResourceTotal::EndedDelays { tasks: *at, ns },
                ResourceTotal::LivingDelay { ns },
                ResourceTotal::Blocks { direction, bucket: ns as u8, requests: *at, bytes: ns, ns },
            ] {
                let run = RunId { slot: 1, generation: 0 };
                builder.keep(&Kept { run, phase: Phase::Main, total: Total::Resource(total) }, *at);
            }
        }
        builder.freeze().resources
    })
}

fn key(one: &CapabilityUse) -> impl Ord + std::fmt::Debug + use<> {
    (one.phase, one.capability, one.verdict, one.audit, one.namespace, one.credentials)
}

/// Any event, sense or not: processes that make themselves, that end twice, that are 0.
fn any_event() -> impl Strategy<Value = Event> {
    let exits = (any::<u8>(), any::<u8>(), any::<bool>())
        .prop_map(|(status, signal, last_thread)| Payload::Exit(Exit { status, signal, last_thread, run_time_ns: 0 }));
    let forks = (0..6_u32, 0..6_u32, 0..6_u32).prop_map(|(child, child_tid, parent)| {
        let (child, parent) = (process(child), process(parent));
        Payload::Fork(Fork { child, child_tid, child_tid_inside: child_tid, parent })
    });
    let execs = ("[a-z]{0,30}", 0..6_u32).prop_map(|(path, parent)| Payload::Exec(program(&path, process(parent))));
    let enters = (0..6_u32).prop_map(|pid| entered(0, image(0, 0), process(pid)).payload);
    let checks = check().prop_map(Payload::Capability);
    let operations = operation().prop_map(Payload::Privileged);
    let payload = prop_oneof![exits, forks, execs, enters, checks, operations];
    let when = prop_oneof![0..5_u64, Just(u64::MAX)];
    (when, 0..6_u32, prop_oneof![0..3_u32, Just(u32::MAX)], phase(), payload).prop_map(
        |(at, pid, number, phase, payload)| {
            let mut event = event(at, image(pid, number), payload);
            event.phase = phase;
            event
        },
    )
}

/// The lives of processes as the kernel would report them, in any order: each is made once by an earlier one.
fn lives_in_any_order() -> impl Strategy<Value = Vec<Event>> {
    let life = (any::<prop::sample::Index>(), 0..3_u32, 0..3_u32, any::<Option<u8>>(), phase());
    prop::collection::vec(life, 1..8).prop_flat_map(|lives| {
        let (mut events, mut execs_of) = (Vec::new(), vec![4_u32]);
        for (at, (maker, execs, threads, status, phase)) in lives.into_iter().enumerate() {
            let maker = maker.index(execs_of.len());
            let (start, child) = (100 * at as u64, at as u32 + 2);
            let maker = image(maker as u32 + 1, execs_of[maker]);
            let mut life = vec![fork(start, maker, process(child))];
            life.extend((0..threads).map(|tid| thread(start + 1, image(child, maker.exec), 1000 + tid)));
            for number in 1..=execs {
                let image = image(child, maker.exec + number);
                life.push(exec(
                    start + 10 + u64::from(number),
                    image,
                    &format!("/bin/{child}/{number}"),
                    maker.process,
                ));
            }
            life.extend(status.map(|status| exit(start + 50, image(child, maker.exec + execs), status, 0)));
            life.iter_mut().for_each(|event| event.phase = phase);
            events.extend(life);
            execs_of.push(maker.exec + execs);
        }
        Just(events).prop_shuffle()
    })
}

/// The same fact, as it is read from the kernel.
fn kept(event: &Event) -> Kept {
    Kept { run: event.run, phase: event.phase, total: Total::Told(Box::new(event.clone())) }
}

fn tally() -> impl Strategy<Value = Tally> {
    let first = prop::option::of(
        (0..9_u64, 0..6_u32, 0..3_u32)
            .prop_map(|(at, pid, number)| (at, TaskId { image: image(pid, number), tid: pid, comm: "comm".into() })),
    );
    let call = (phase(), syscall(), 0..9_u64, first.clone()).prop_map(|(phase, syscall, count, first)| CallTally {
        phase,
        syscall,
        count,
        first,
    });
    let failure = (phase(), syscall(), errno(), any::<bool>(), 0..9_u64, first.clone()).prop_map(
        |(phase, syscall, errno, refused, count, first)| FailureTally { phase, syscall, errno, refused, count, first },
    );
    (prop::collection::vec(call, 0..8), prop::collection::vec(failure, 0..8), any::<bool>())
        .prop_map(|(calls, failures, at_least)| Tally { calls, failures, at_least })
}

fn syscalls() -> impl Strategy<Value = Syscalls> {
    let first = prop::option::of((0..3_u64, 0..3_u32, "[ab]?").prop_map(|(boot_ns, pid, comm)| FirstUse {
        boot_ns,
        image: image(pid, 0),
        comm: comm.as_str().into(),
        executable: "".into(),
    }));
    let count = || prop_oneof![0..9_u64, (u64::MAX - 3)..=u64::MAX];
    let failure = (errno(), count()).prop_map(|(errno, count)| FailureCount { errno, count });
    let name = prop_oneof![Just(None), Just(Some("named")), Just(Some("called"))];
    let refusals = (count(), first.clone());
    let one = (phase(), syscall(), name, count(), first, 0..9_u64, refusals, prop::collection::vec(failure, 0..4));
    let one = one.prop_map(|(phase, syscall, name, count, first, last_boot_ns, (refused, first_refused), failures)| {
        let name = name.map_or_else(|| format!("nr {}", syscall.number), str::to_owned);
        SyscallUse { phase, syscall, name, count, first, last_boot_ns, refused, first_refused, failures }
    });
    prop::collection::vec(one, 0..6).prop_map(|uses| Syscalls { uses })
}

fn tree(events: &[Event]) -> ProcessTree {
    let mut builder = Builder::new(Limits::default());
    events.iter().for_each(|event| builder.observe(event));
    builder.freeze().processes
}

/// What must never be smaller in `after` than in `before`.
fn has_fallen(before: &Behaviour, after: &Behaviour) -> bool {
    let totals = |tree: &ProcessTree| [tree.total, tree.total_threads, tree.total_execs, tree.processes.len() as u64];
    let of = |one: &SyscallUse| {
        after.syscalls.uses.iter().find(|u| (u.phase, u.syscall) == (one.phase, one.syscall)).cloned()
    };
    totals(&before.processes).iter().zip(totals(&after.processes)).any(|(before, after)| *before > after)
        || before.syscalls.uses.iter().any(|one| {
            let Some(now) = of(one) else { return true };
            let failures_fell = one.failures.iter().any(|failure| {
                now.failures.iter().find(|f| f.errno == failure.errno).is_none_or(|f| f.count < failure.count)
            });
            one.count > now.count || failures_fell
        })
        || before.capabilities.uses.iter().any(|one| {
            let now = after.capabilities.uses.iter().find(|now| key(now) == key(one));
            now.is_none_or(|now| now.count < one.count || now.first.by.boot_ns > one.first.by.boot_ns)
        })
}

proptest! {
    #[test]
    fn nothing_panics_or_falls_and_the_bounds_hold(
        steps in prop::collection::vec(prop_oneof![3 => any_event().prop_map(Ok), 1 => tally().prop_map(Err)], 0..40),
    ) {
        let (mut builder, names) = (Builder::new(SMALL), SyscallNames::builtin());
        let mut before = builder.freeze();
        for (at, step) in steps.iter().enumerate() {
            match step {
                Ok(event) => builder.observe(event),
                Err(tally) => builder.count(tally, at as u64, &names),
            }
            let after = builder.freeze();
            prop_assert!(!has_fallen(&before, &after), "{before:?} -> {after:?}");
            let programs: usize = after.processes.processes.iter().map(|process| process.programs.len()).sum();
            prop_assert!(after.processes.processes.len() <= SMALL.processes && programs <= SMALL.programs);
            prop_assert!(after.processes.total >= after.processes.processes.len() as u64);
            before = after;
        }
    }

    #[test]
    fn any_events_give_distinct_processes_in_order_each_counted_once(events in prop::collection::vec(any_event(), 0..30)) {
        let tree = tree(&events);

        let places: Vec<_> = tree.processes.iter().map(|process| (process.id.start_ns, process.id.pid)).collect();
        prop_assert!(places.windows(2).all(|pair| pair[0] < pair[1]));
        prop_assert_eq!(tree.total, tree.processes.len() as u64);
        let execs = events.iter().filter(|event| matches!(event.payload, Payload::Exec(_))).count();
        prop_assert_eq!(tree.total_execs, execs as u64);
    }

    #[test]
    fn the_order_of_events_makes_no_difference(
        (one, other) in lives_in_any_order().prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle())),
    ) {
        prop_assert_eq!(tree(&one), tree(&other));
        prop_assert!(tree(&one).kept_all);
    }

    #[test]
    fn totals_do_not_depend_on_the_bounds(events in lives_in_any_order().prop_map(|mut events| {
        events.sort_by_key(|event| event.boot_ns);
        events
    })) {
        let mut builder = Builder::new(SMALL);
        events.iter().for_each(|event| builder.observe(event));

        let (small, whole) = (builder.freeze().processes, tree(&events));

        prop_assert_eq!(
            (small.total, small.total_threads, small.total_execs),
            (whole.total, whole.total_threads, whole.total_execs)
        );
        prop_assert_eq!(small.kept_all, small.processes == whole.processes);
    }

    #[test]
    fn the_order_of_snapshots_makes_no_difference_to_counts_and_first_uses(
        (one, other) in prop::collection::vec(tally(), 0..5)
            .prop_flat_map(|tallies| (Just(tallies.clone()), Just(tallies).prop_shuffle())),
    ) {
        let counted = |tallies: &[Tally]| {
            let mut builder = Builder::new(Limits::default());
            tallies.iter().for_each(|tally| builder.count(tally, 7, &SyscallNames::builtin()));
            let uses = builder.freeze().syscalls.uses.into_iter();
            uses.map(|one| (one.phase, one.syscall, one.count, one.first.map(|first| first.boot_ns), one.failures)).collect::<Vec<_>>()
        };
        prop_assert_eq!(counted(&one), counted(&other));
    }

    #[test]
    fn merging_calls_is_commutative_and_associative(a in syscalls(), b in syscalls(), c in syscalls()) {
        prop_assert_eq!(a.clone().merge(b.clone()), b.clone().merge(a.clone()));
        prop_assert_eq!(a.clone().merge(b.clone()).merge(c.clone()), a.clone().merge(b.clone().merge(c)));
        let merged = a.clone().merge(b);
        prop_assert_eq!(merged.clone().merge(Syscalls::default()), merged.clone());
        let keys: Vec<_> = merged.uses.iter().map(|one| (one.phase, one.syscall)).collect();
        prop_assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
        prop_assert!(a.uses.iter().all(|one| keys.contains(&(one.phase, one.syscall))));
    }

    #[test]
    fn merging_resources_is_commutative_and_associative(a in resources(), b in resources(), c in resources()) {
        let merged = a.clone().merge(b.clone());
        prop_assert_eq!(&merged, &b.clone().merge(a.clone()));
        prop_assert_eq!(merged.merge(c.clone()), a.clone().merge(b.merge(c)));
        prop_assert_eq!(a.clone().merge(Resources::default()), a.clone());
        let json = serde_json::to_string(&a).expect("it has a form");
        prop_assert_eq!(serde_json::from_str::<Resources>(&json).expect("it is read again"), a);
    }

    #[test]
    fn merging_capabilities_is_commutative_and_associative(
        a in capabilities(), b in capabilities(), c in capabilities(),
    ) {
        prop_assert_eq!(a.clone().merge(b.clone()), b.clone().merge(a.clone()));
        prop_assert_eq!(a.clone().merge(b.clone()).merge(c.clone()), a.clone().merge(b.clone().merge(c)));
        let merged = a.clone().merge(b);
        prop_assert_eq!(merged.clone().merge(Capabilities::default()), merged.clone());
        let keys: Vec<_> = merged.uses.iter().map(key).collect();
        prop_assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
        prop_assert!(a.uses.iter().all(|one| keys.contains(&key(one))));
    }

    #[test]
    fn merging_privileged_operations_is_commutative_and_associative(
        a in privileged(), b in privileged(), c in privileged(),
    ) {
        prop_assert_eq!(a.clone().merge(b.clone()), b.clone().merge(a.clone()));
        prop_assert_eq!(a.clone().merge(b.clone()).merge(c.clone()), a.clone().merge(b.clone().merge(c)));
        let merged = a.clone().merge(b.clone());
        prop_assert_eq!(merged.clone().merge(Privileged::default()), merged.clone());
        let sum = |all: &Privileged| all.operations.iter().fold(0_u64, |sum, one| sum.saturating_add(one.count));
        prop_assert_eq!(sum(&merged), sum(&a).saturating_add(sum(&b)));
    }

    #[test]
    fn an_operation_told_and_kept_any_number_of_times_is_one(
        uses in prop::collection::vec((0..9_u64, phase(), operation()), 0..20),
        again in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..20),
    ) {
        let events: Vec<Event> = uses.into_iter().map(|(at, phase, used)| {
            Event { phase, ..event(at, image(2, 0), Payload::Privileged(used)) }
        }).collect();
        let mut once = Builder::new(Limits::default());
        events.iter().for_each(|event| once.observe(event));
        let mut often = once.clone();
        for (which, is_kept) in again.iter().filter(|_| !events.is_empty()) {
            match is_kept {
                true => often.keep(&kept(which.get(&events)), 100),
                false => often.observe(which.get(&events)),
            }
        }
        prop_assert_eq!(once.freeze(), often.freeze());
    }

    #[test]
    fn a_check_told_and_kept_any_number_of_times_is_one(
        checks in prop::collection::vec((0..9_u64, phase(), check()), 0..20),
        again in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..20),
    ) {
        let events: Vec<Event> = checks.into_iter().map(|(at, phase, check)| {
            Event { phase, ..event(at, image(2, 0), Payload::Capability(check)) }
        }).collect();
        let mut once = Builder::new(Limits::default());
        events.iter().for_each(|event| once.observe(event));
        let mut often = once.clone();
        for (which, is_kept) in again.iter().filter(|_| !events.is_empty()) {
            match is_kept {
                true => often.keep(&kept(which.get(&events)), 100),
                false => often.observe(which.get(&events)),
            }
        }
        prop_assert_eq!(once.freeze(), often.freeze());
    }

    #[test]
    fn merged_trees_have_every_process_in_order(one in lives_in_any_order(), other in lives_in_any_order()) {
        let (one, other) = (tree(&one), tree(&other));

        let merged = one.clone().merge(other.clone());

        prop_assert_eq!(merged.processes.len(), one.processes.len() + other.processes.len());
        prop_assert!(merged.processes.is_sorted_by_key(|process| (process.id.start_ns, process.id.pid)));
        prop_assert_eq!(merged.total, one.total + other.total);
        prop_assert_eq!(ProcessTree::default().merge(one.clone()), one);
    }
}
