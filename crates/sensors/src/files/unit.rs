//! What needs no kernel.

use super::*;

fn name_record(sample: name_sample, texts: &[&[u8]]) -> Vec<u8> {
    [record::bytes(&sample), &texts.concat()].concat()
}

fn name(sample: name_sample, texts: &[&[u8]]) -> NameUsed {
    decode_name(&name_record(sample, texts)).expect("a record")
}

#[test]
fn a_name_stands_behind_the_directory_that_it_starts_from() {
    let sample = name_sample { has_base: 1, base_bytes: 5, argument_bytes: 3, ..Default::default() };

    let used = name(sample, &[b"\x04home", b"a/b"]);

    assert_eq!((used.path, used.second_path), (Text::from("/home/a/b"), Text::default()));
}

#[test]
fn an_absolute_name_is_as_it_was_passed() {
    let sample = name_sample { argument_bytes: 5, errno: 2, ..Default::default() };

    let used = name(sample, &[b"/a/.."]);

    assert_eq!((used.path, used.errno), (Text::from("/a/.."), Some(Errno(2))));
}

#[test]
fn a_rename_has_two_names_and_a_symbolic_link_says_what_it_says() {
    let rename = name_sample {
        operation: 2,
        argument_bytes: 2,
        has_second_base: 1,
        second_base_bytes: 2,
        second_argument_bytes: 1,
        ..Default::default()
    };
    let used = name(rename, &[b"/a", b"\x01d", b"b"]);
    assert_eq!((used.path, used.second_path), (Text::from("/a"), Text::from("/d/b")));

    let link = name_sample { operation: 4, has_base: 1, base_bytes: 2, argument_bytes: 4, ..rename };
    let used = name(link, &[b"\x01d", b"../x", b"\x01d", b"b"]);
    assert_eq!((used.path, used.second_path), (Text::from("../x"), Text::from("/d/b")));
}

#[test]
fn an_unknown_operation_is_refused() {
    let record = name_record(name_sample { operation: 99, ..Default::default() }, &[]);

    assert_eq!(decode_name(&record), Err(DecodeError::UnknownKind(99)));
}

#[test]
fn a_device_has_twenty_bits_of_minor() {
    assert_eq!(Device::from_kernel(8 << 20 | 17), Device { major: 8, minor: 17 });
}

#[test]
fn accesses_are_numbered_as_the_kernel_side_does() {
    use crate::bpf::types::file_access;

    let mut seen = [0; 16];
    seen[file_access::ACCESS_EXECUTED.0 as usize] = 1;
    seen[file_access::ACCESS_OPENED_TO_READ.0 as usize] = 1;
    assert_eq!(accesses(&seen).iter().collect::<Vec<_>>(), [FileAccess::OpenedToRead, FileAccess::Executed]);
    assert_eq!(FileAccess::ALL.len(), file_access::ACCESSES.0 as usize);
}

#[test]
fn operations_are_numbered_as_the_kernel_side_does() {
    use crate::bpf::types::name_operation;

    assert_eq!(operation(name_operation::NAME_RENAMED.0), Ok(NameOperation::Rename));
    assert_eq!(operation(name_operation::NAME_RUN_AS_SCRIPT.0), Ok(NameOperation::RunScript));
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
fn the_number_of_different_ones_is_estimated_within_its_error() {
    // The same hash as any good one: what counts is that the bits are independent.
    let mut state = 1u64;
    for wanted in [0u64, 1, 10, 100, 1_000, 100_000] {
        let mut registers = [0u8; 256];
        for _ in 0..wanted {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut hash = state;
            hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            hash ^= hash >> 31;
            let register = &mut registers[(hash & 255) as usize];
            *register = (*register).max((hash >> 8 | 1 << 56).trailing_zeros() as u8 + 1);
        }
        let found = distinct(&registers);
        // Four standard errors.
        assert!(found.abs_diff(wanted) as f64 <= wanted as f64 * 0.26, "{found}, not {wanted}");
    }
}

#[test]
fn a_kind_that_it_does_not_write_is_refused() {
    assert!(matches!(decode(99, &[0; 512]), Err(DecodeError::UnknownKind(99))));
    assert!(matches!(decode(files_kind::FILES_FILE.0 as u8, &[0; 8]), Err(DecodeError::TooShort { .. })));
    assert!(matches!(mount_uses(&[0; 8]), Err(DecodeError::TooShort { .. })));
    assert!(matches!(mount_uses(&[0; 512]), Ok(Total::Mount(_))));
}

#[test]
fn what_lies_outside_of_the_root_says_so() {
    let flags = file_flag::FILE_UNREACHABLE.0;
    let sample = name_sample { has_base: 1, base_bytes: 2, argument_bytes: 1, flags, ..Default::default() };

    assert_eq!(name(sample, &[b"\x01d", b"x"]).path, Text::from("(unreachable)/d/x"));
}
