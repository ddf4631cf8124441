//! Whether a task can lose the CPU in the middle of a tracepoint's programs.
//!
//! It can from Linux 7.0 on (`include/linux/tracepoint.h`), and then the kernel skips that program for every other task
//! on that CPU until the first one goes on (`kernel/trace/bpf_trace.c`, `__bpf_trace_run`).

use libbpf_rs::btf::{Btf, types::Struct};
use libbpf_rs::{MapCore as _, MapFlags, ObjectBuilder};

use crate::kernel::boot_ns;
use crate::objects;

/// Tries it. `false` too if it cannot be tried: programs that are skipped are counted in any case.
pub(crate) fn of_tracepoints(btf: &Btf<'_>) -> bool {
    // Preemption inside tracepoints came after tracepoints that may fault (6.13).
    btf.type_by_name::<Struct<'_>>("tracepoint_ext").is_some() && answer().is_ok_and(|answer| answer == 2)
}

fn answer() -> libbpf_rs::Result<u64> {
    let mut open = ObjectBuilder::default().open_memory(&objects::PREEMPTION.unpack())?;
    // A number that nobody else hands to a system call just now: an address of our own, and the time.
    let here = 0_u8;
    let trigger = std::ptr::from_ref(&here).addr() as u64 ^ boot_ns().rotate_left(24);
    for mut map in open.maps_mut().filter(|map| map.name().to_string_lossy().ends_with(".rodata")) {
        map.set_initial_value(&trigger.to_ne_bytes())?;
    }
    let object = open.load()?;
    let mut programs = object.progs_mut();
    let _link = programs.next().expect("the object has one program").attach()?;
    // SAFETY: getppid takes no arguments, and ignores this one.
    unsafe { libc::syscall(libc::SYS_getppid, trigger) };
    let variables = object.maps().find(|map| map.name().to_string_lossy().ends_with(".bss"));
    let value = variables.expect("the object has variables").lookup(&0_u32.to_ne_bytes(), MapFlags::ANY)?;
    Ok(value.and_then(|value| value.first_chunk().copied()).map_or(0, u64::from_ne_bytes))
}
