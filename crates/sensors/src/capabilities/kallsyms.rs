//! Which functions of the running kernel ask for capabilities, and where they are.

use std::io::{self, BufReader};

use crate::bpf::types::{caller_kind, callers};

/// The functions that ask `security_capable` or `cap_capable` themselves, or may have been compiled into one that does
/// (all of Linux 5.10 to 6.18 outside of security modules: kernel/capability.c, kernel/ksyms_common.c, kernel/kallsyms.c,
/// security/commoncap.c). Those that ask by one of these are told by it.
const CALLERS: [(&str, caller_kind); 21] = [
    // kernel/trace/bpf_trace.c: the tracepoint has five arguments.
    ("bpf_trace_run5", caller_kind::CALLER_RUNS_PROGRAMS),
    ("cap_capable", caller_kind::CALLER_CHECKS),
    ("security_capable", caller_kind::CALLER_HANDS_ON),
    ("ns_capable_common", caller_kind::CALLER_HANDS_ON),
    ("capable", caller_kind::CALLER_AUDITS),
    ("ns_capable", caller_kind::CALLER_AUDITS),
    ("ns_capable_setid", caller_kind::CALLER_AUDITS),
    ("file_ns_capable", caller_kind::CALLER_AUDITS),
    ("capable_wrt_inode_uidgid", caller_kind::CALLER_AUDITS),
    ("has_capability", caller_kind::CALLER_AUDITS),
    ("has_ns_capability", caller_kind::CALLER_AUDITS),
    ("cap_capset", caller_kind::CALLER_AUDITS),
    ("cap_task_prctl", caller_kind::CALLER_AUDITS),
    ("cap_mmap_addr", caller_kind::CALLER_AUDITS),
    ("ns_capable_noaudit", caller_kind::CALLER_IS_SILENT),
    ("has_capability_noaudit", caller_kind::CALLER_IS_SILENT),
    ("has_ns_capability_noaudit", caller_kind::CALLER_IS_SILENT),
    ("ptracer_capable", caller_kind::CALLER_IS_SILENT),
    // Its last step is to go to cap_capable: then only who called it can be seen.
    ("cap_vm_enough_memory", caller_kind::CALLER_IS_SILENT),
    ("security_vm_enough_memory_mm", caller_kind::CALLER_IS_SILENT),
    ("kallsyms_show_value", caller_kind::CALLER_IS_SILENT),
];

/// Tells the kernel side where the functions are that ask for capabilities. Without their addresses it says of each check
/// that it does not know whether it is audited.
pub(crate) fn find_callers() -> callers {
    let mut callers = callers::default();
    // What cannot be read is not known.
    if let Ok(symbols) = std::fs::File::open("/proc/kallsyms") {
        let found = places(BufReader::with_capacity(1 << 16, symbols)).unwrap_or_default();
        for (place, (begin, end, kind)) in callers.list.iter_mut().zip(found) {
            (place.begin, place.end, place.kind) = (begin, end, u64::from(kind.0));
        }
    }
    callers
}

/// Where the functions of [`CALLERS`] begin and end.
///
/// A line is `ADDRESS TYPE NAME`, of a module with ` [MODULE]` behind it; the kernel's own come first, by address. A function
/// may be in several parts, named `NAME.cold`, `NAME.part.0` and the like. It ends where the next symbol begins.
fn places(symbols: impl io::BufRead) -> io::Result<Vec<(u64, u64, caller_kind)>> {
    let mut found: Vec<(u64, u64, caller_kind)> = Vec::new();
    for line in symbols.lines() {
        let line = line?;
        let mut fields = line.split_ascii_whitespace();
        let address = fields.next().and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let (Some(address), Some(name), None) = (address, fields.nth(1), fields.next()) else { continue };
        if let Some(last) = found.last_mut().filter(|last| last.1 == 0 && address > last.0) {
            last.1 = address;
        }
        let whole = name.split('.').next().unwrap_or_default();
        let known = CALLERS.iter().find(|(known, _)| *known == whole);
        // All addresses are 0 for those who may not see them.
        if let Some((_, kind)) = known.filter(|_| address != 0) {
            found.push((address, 0, *kind));
        }
    }
    found.retain(|(_, end, _)| *end != 0);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_ends_where_the_next_symbol_begins_and_may_be_in_parts() {
        let symbols = "ffffffff81000100 t capable.cold\nffffffff81000110 t other.cold\n\
                       ffffffff81366150 T capable\nffffffff81366150 T alias\nffffffff813661b0 T __pfx_ns_capable_noaudit\n\
                       ffffffff813661c0 T ns_capable_noaudit\nffffffff81366220 T next\n\
                       ffffffffc0000000 t capable\t[module]\nffffffffc0000010 t end\t[module]\n";

        let found = places(symbols.as_bytes()).expect("memory can be read");

        let (audits, silent) = (caller_kind::CALLER_AUDITS, caller_kind::CALLER_IS_SILENT);
        assert_eq!(
            found,
            [
                (0xffff_ffff_8100_0100, 0xffff_ffff_8100_0110, audits),
                (0xffff_ffff_8136_6150, 0xffff_ffff_8136_61b0, audits),
                (0xffff_ffff_8136_61c0, 0xffff_ffff_8136_6220, silent),
            ]
        );
    }

    #[test]
    fn addresses_that_are_hidden_are_none() {
        let symbols = "0000000000000000 T capable\n0000000000000000 T ns_capable\nno line of it\n";

        assert_eq!(places(symbols.as_bytes()).expect("memory can be read"), []);
    }

    #[test]
    fn there_is_room_for_each_function_in_two_parts() {
        assert!(callers::default().list.len() >= 2 * CALLERS.len());
    }
}
