//! Where on the stack it is written who asks for a capability.
//!
//! From the tracepoint to whoever called `cap_capable` every frame has one size, given by the compiler, so that the return
//! addresses lie at the same distance from the program's context each time. That distance is learnt from one check of our
//! own: the kernel side unwinds the stack, which is slow, and copies it; here each address is looked for in the copy. One that
//! is there more than once may be left over from an earlier call, and then nothing is learnt from this check.

use std::sync::atomic::{Ordering, fence};

use libbpf_rs::Object;

use crate::bpf::types::{caller_kind, callers, stack, stack_layout, stack_step};
use crate::kernel::boot_ns;
use crate::load::{LoadError, map};
use crate::mapped::Mapped;

/// What is left over on the stack differs from check to check.
const ATTEMPTS: u32 = 16;

/// Learns the layout, if this kernel lets it be learnt; else the kernel side unwinds the stack at each check.
pub(super) fn learn(object: &Object, callers: &callers) -> Result<(), LoadError> {
    let shared = shared(object)?;
    let at = shared.at(0);
    for attempt in 0..ATTEMPTS {
        let trigger = boot_ns().rotate_left(attempt) | 1;
        // SAFETY: inside the mapping, and aligned.
        unsafe {
            (&raw mut (*at).learning.filled).write_volatile(0);
            (&raw mut (*at).learning.trigger).write_volatile(trigger);
        }
        fence(Ordering::SeqCst);
        ask(trigger);
        // SAFETY: as above.
        let learning = unsafe {
            (&raw mut (*at).learning.trigger).write_volatile(0);
            (&raw const (*at).learning).read_volatile()
        };
        if learning.filled == 0 {
            continue;
        }
        if let Some(layout) = layout(&learning.frames, &learning.words, callers) {
            set(&shared, layout);
            return Ok(());
        }
    }
    Ok(())
}

fn shared(object: &Object) -> Result<Mapped<stack>, LoadError> {
    let mapped = |source| LoadError::Map { map: ".data.stack", source };
    Mapped::map(&map(object, ".data.stack")?, 1).map_err(mapped)
}

fn set(shared: &Mapped<stack>, layout: stack_layout) {
    let at = shared.at(0);
    // The length comes last: until then the kernel side does not look at the rest.
    // SAFETY: inside the mapping, and aligned; the kernel only reads it.
    unsafe { (&raw mut (*at).layout).write_volatile(stack_layout { bytes: 0, ..layout }) };
    fence(Ordering::SeqCst);
    // SAFETY: as above.
    unsafe { (&raw mut (*at).layout.bytes).write_volatile(layout.bytes) };
}

/// Has the kernel side unwind the stack at each check.
#[cfg(test)]
pub(super) fn forget(object: &Object) {
    set(&shared(object).expect("the object has the map"), stack_layout::default());
}

/// Makes the kernel ask whether this thread has `CAP_SYS_ADMIN`, and changes nothing: a host name has no length of -1
/// (kernel/sys.c, `sethostname`).
pub(super) fn ask(trigger: u64) {
    // SAFETY: the length is refused before the pointer is looked at.
    unsafe { libc::syscall(libc::SYS_sethostname, trigger, -1_i64) };
}

/// The layout that these return addresses, the innermost first, have in these words of the stack; none if any of them is not
/// there exactly once and in order, or is not of the function that it should be of.
fn layout(frames: &[u64], words: &[u64], callers: &callers) -> Option<stack_layout> {
    let kinds: Vec<Option<caller_kind>> = frames.iter().map(|&address| kind_of(address, callers)).collect();
    let runs = kinds.iter().position(|kind| *kind == Some(caller_kind::CALLER_RUNS_PROGRAMS))?;
    let checks = kinds.iter().position(|kind| *kind == Some(caller_kind::CALLER_CHECKS))?;
    if checks <= runs || kinds.get(checks + 1)? != &Some(caller_kind::CALLER_HANDS_ON) {
        return None;
    }
    // The context is in the frame of the function that runs the programs: what that one returns to is the first above it.
    let wanted = frames.get(runs + 1..=checks + 2)?;
    let places: Vec<usize> = wanted.iter().map(|&address| only_place(address, words)).collect::<Option<_>>()?;
    if !places.is_sorted() {
        return None;
    }
    let (&[caller_at, asking_at], steps) = places.split_last_chunk().map(|(steps, last)| (last, steps))?;
    let mut layout = stack_layout {
        bytes: (asking_at as u64 + 1) * size_of::<u64>() as u64,
        steps: steps.len() as u64,
        caller_at: caller_at as u64,
        handing_on: frames[checks + 1],
        asking_at: asking_at as u64,
        ..stack_layout::default()
    };
    if steps.len() > layout.step.len() {
        return None;
    }
    for ((step, &at), &address) in layout.step.iter_mut().zip(steps).zip(wanted) {
        *step = stack_step { address, at: at as u64 };
    }
    Some(layout)
}

fn kind_of(address: u64, callers: &callers) -> Option<caller_kind> {
    let known = callers.list.iter().find(|caller| address > caller.begin && address <= caller.end)?;
    u32::try_from(known.kind).ok().map(caller_kind)
}

fn only_place(address: u64, words: &[u64]) -> Option<usize> {
    let mut places = words.iter().enumerate().filter(|&(_, &word)| word == address).map(|(at, _)| at);
    let place = places.next()?;
    places.next().is_none().then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::types::caller;

    const RUNS: u64 = 0x1080;
    const TRACES: u64 = 0x7777;
    const CHECKS: u64 = 0x2080;
    const HANDS_ON: u64 = 0x3080;
    const ASKS: u64 = 0x4080;
    const FRAMES: [u64; 7] = [0x9999, RUNS, TRACES, CHECKS, HANDS_ON, ASKS, 0x8888];

    fn known() -> callers {
        let mut callers = callers::default();
        let kinds = [
            caller_kind::CALLER_RUNS_PROGRAMS,
            caller_kind::CALLER_CHECKS,
            caller_kind::CALLER_HANDS_ON,
            caller_kind::CALLER_AUDITS,
        ];
        for (place, (kind, begin)) in callers.list.iter_mut().zip(kinds.into_iter().zip((0x1000..).step_by(0x1000))) {
            *place = caller { begin, end: begin + 0x100, kind: u64::from(kind.0) };
        }
        callers
    }

    #[test]
    fn each_frame_is_where_its_address_lies() {
        let words = [0, 5, TRACES, 0, CHECKS, 1, 2, HANDS_ON, 3, ASKS, 0x8888, RUNS];

        let layout = layout(&FRAMES, &words, &known()).expect("all are there");

        assert_eq!((layout.bytes, layout.steps), (80, 2));
        assert_eq!([layout.step[0].at, layout.step[1].at], [2, 4]);
        assert_eq!([layout.step[0].address, layout.step[1].address], [TRACES, CHECKS]);
        assert_eq!((layout.caller_at, layout.handing_on, layout.asking_at), (7, HANDS_ON, 9));
    }

    #[test]
    fn what_is_there_twice_or_out_of_order_or_not_at_all_teaches_nothing() {
        for words in [
            [TRACES, CHECKS, HANDS_ON, ASKS, ASKS],
            [TRACES, CHECKS, HANDS_ON, CHECKS, ASKS],
            [CHECKS, TRACES, HANDS_ON, ASKS, 0],
            [TRACES, CHECKS, HANDS_ON, 0, 0],
        ] {
            assert!(layout(&FRAMES, &words, &known()).is_none(), "{words:?}");
        }
    }

    #[test]
    fn without_the_addresses_of_functions_nothing_is_learnt() {
        let words = [TRACES, CHECKS, HANDS_ON, ASKS];

        assert!(layout(&FRAMES, &words, &callers::default()).is_none());
        assert!(layout(&[], &words, &known()).is_none());
    }
}
