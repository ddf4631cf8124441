use std::collections::{BTreeMap, BTreeSet};

use event::{Arch, ArgumentSeen, Phase, SyscallNames, Total};

use crate::record::{self, DecodeError};
use crate::bpf::types::argument_record;
use crate::testing::Bench;

#[test]
fn every_call_is_known_by_its_name_and_has_one_number_at_both_ends() {
    let names = SyscallNames::builtin();
    for entry in super::ENTRIES {
        assert!(Arch::ALL.iter().any(|&arch| names.number(arch, entry.name).is_some()), "{}", entry.name);
        let returns = super::SENSOR.calls.iter().filter(|call| call.name == entry.name);
        assert_eq!(returns.map(|call| call.number).collect::<Vec<_>>(), [entry.number], "{}", entry.name);
        assert_ne!(entry.number, 0, "{}", entry.name);
    }
}

#[test]
fn what_has_no_meaning_is_refused() {
    let mut record = argument_record::default();
    record.key.value = 40;
    let decoded = super::seen(record::bytes(&record));
    assert!(matches!(decoded, Ok(Total::Argument(ArgumentSeen { value: Some(40), others: false, .. }))), "{decoded:?}");

    record.key.is_list = 1;
    record.others = 1;
    let decoded = super::seen(record::bytes(&record));
    assert!(matches!(decoded, Ok(Total::Argument(ArgumentSeen { value: None, others: true, .. }))), "{decoded:?}");

    record.key.table = 9;
    assert_eq!(super::seen(record::bytes(&record)), Err(DecodeError::UnknownTable(9)));
    record.key.table = 0;
    record.position = 256;
    assert_eq!(super::seen(record::bytes(&record)), Err(DecodeError::UnknownValue(255)));
    assert_eq!(super::decode(0, &[0; 512]), Err(DecodeError::UnknownKind(0)));
}

/// The values in `main` of each call of the machine's own table, and whether there were more.
type Passed = BTreeMap<String, (BTreeSet<u32>, bool)>;

fn passed(bench: &Bench) -> Passed {
    let all = bench.kernel.read_sets(&[bench.run]).expect("the sets can be read").remove(&bench.run);
    let mut passed = Passed::new();
    for kept in all.unwrap_or_default() {
        let Total::Argument(seen) = kept.total else { continue };
        if kept.phase == Phase::Main && seen.syscall.arch == Arch::NATIVE {
            let name = SyscallNames::builtin().name(seen.syscall).into_owned();
            let (values, others) = passed.entry(name).or_default();
            values.extend(seen.value);
            *others |= seen.others;
        }
    }
    passed
}

/// Python, whose own calls are of no interest here; `call(name, arguments...)` makes one.
fn python(bench: &Bench, script: &str) {
    let names = SyscallNames::builtin();
    let numbers: Vec<String> = super::ENTRIES
        .iter()
        .filter_map(|entry| names.number(Arch::NATIVE, entry.name).map(|number| format!("'{}': {number}", entry.name)))
        .collect();
    let numbers = numbers.join(", ");
    let begin = format!(
        "import ctypes\nlibc = ctypes.CDLL(None)\nNUMBERS = {{{numbers}}}\ndef call(name, *args):\n    return libc.syscall(ctypes.c_long(NUMBERS[name]), *map(ctypes.c_long, args))\n"
    );
    let status = bench.run("/usr/bin/env", &["python3", "-c", &(begin + script)]);
    assert!(status.success(), "python3 runs the script");
}

fn exactly(values: &[u32]) -> Option<(BTreeSet<u32>, bool)> {
    Some((values.iter().copied().collect(), false))
}

/// Whatever became of the call, and however often it was made.
const KNOWN: &str = "
for again in range(3):
    call('socket', 1, 1, 0)
    call('socket', 2, 0x80001, 0)
    call('socket', 4711, 1, 0)
    call('personality', 0xffffffff)
    call('unshare', 0)
    call('unshare', 0x200)
    call('setns', -1, 0x40000000)
    call('keyctl', 99)
    call('bpf', 77, 0, 0)
    call('pkey_mprotect', 0, 0, 0x1000007, -1)
    call('clone', 0x80000000 | 0x20000000 | 17 | 0x10000, 0)
";

fn known_values_are_kept(bench: &Bench) {
    python(bench, KNOWN);
    let passed = passed(bench);

    assert_eq!(passed.get("socket").cloned(), exactly(&[1, 2, 4711]));
    assert_eq!(passed.get("personality").cloned(), exactly(&[u32::MAX]));
    assert_eq!(passed.get("unshare").cloned(), exactly(&[0, 0x200]));
    assert_eq!(passed.get("setns").cloned(), exactly(&[0x4000_0000]));
    assert_eq!(passed.get("keyctl").cloned(), exactly(&[99]));
    assert_eq!(passed.get("bpf").cloned(), exactly(&[77]));
    assert_eq!(passed.get("pkey_mprotect").cloned(), exactly(&[7]));
    // The signal at the child's end is none of it.
    assert!(passed["clone"].0.contains(&0xa001_0000), "{passed:#x?}");
    assert!(passed["mmap"].0.iter().all(|value| *value < 8), "{passed:#x?}");
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn each_call_has_the_values_that_it_was_passed() {
    let mut bench = Bench::new();
    known_values_are_kept(&bench);
    let passed = passed(&bench);

    // Each call that was counted has a value, and no other has.
    let tally = bench.final_counts();
    let counted = tally.calls.iter().filter(|call| call.phase == Phase::Main && call.count > 0);
    let names = SyscallNames::builtin();
    let counted: BTreeSet<String> = counted
        .map(|call| names.name(call.syscall).into_owned())
        .filter(|name| super::ENTRIES.iter().any(|entry| entry.name == name))
        .collect();
    assert_eq!(passed.keys().cloned().collect::<BTreeSet<_>>(), counted);
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn each_call_has_the_values_that_it_was_passed_on_old_kernels_too() {
    known_values_are_kept(&Bench::with(|options| options.as_old_kernel = true));
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn the_next_container_in_a_slot_has_its_own_values() {
    let mut bench = Bench::new();
    python(&bench, "call('socket', 1, 1, 0); call('socket', 2, 1, 0)");
    assert_eq!(passed(&bench).get("socket").cloned(), exactly(&[1, 2]));

    bench.renew();
    assert_eq!(passed(&bench), Passed::new());
    python(&bench, "call('socket', 1, 1, 0); call('socket', 10, 1, 0)");

    assert_eq!(passed(&bench).get("socket").cloned(), exactly(&[1, 10]));
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn beyond_the_limit_it_is_kept_that_there_were_more() {
    let bench = Bench::new();

    python(&bench, "for value in range(32): call('socket', value, 1, 0)\nfor value in range(33): call('keyctl', 100 + value)");
    let passed = passed(&bench);

    assert_eq!(passed["socket"], ((0..32).collect(), false));
    assert_eq!(passed["keyctl"], ((100..132).collect(), true));
}

#[test]
#[ignore = "needs root and a kernel with BTF"]
fn a_container_has_no_more_values_than_its_share() {
    let bench = Bench::new();
    let max = crate::bpf::types::argument_limit::MAX_VALUES_OF_SLOT.0 as usize;

    python(&bench, "for name in NUMBERS:\n    if name not in ('clone', 'unshare', 'mmap', 'mprotect', 'pkey_mprotect'):\n        for value in range(100): call(name, 50000 + value, 50000 + value, 50000 + value)\ncall('unshare', 1)");
    let passed = passed(&bench);

    let kept: usize = passed.values().map(|(values, _)| values.len()).sum();
    assert_eq!(kept, max);
    for (name, (values, others)) in &passed {
        assert!(values.len() <= 32, "{name}");
        assert!(values.len() < 32 || *others, "{name}");
    }
    assert!(passed["unshare"].1, "the last call found no room at all: {passed:?}");
    assert!(bench.kernel.slot(bench.run).is_some_and(|slot| slot.losses.entries.iter().all(|&lost| lost == 0)));
}
