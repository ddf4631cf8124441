//! Whether this kernel's compiler put `cap_capable` into the functions beside it, where a program on it is not called.
//!
//! This thread makes the kernel ask something by other functions first, so that the kernel side knows it; then it sets its own
//! capabilities and securebits to what they are. A check that is not seen is compiled in.

use std::sync::atomic::{Ordering, fence};

use libbpf_rs::Object;
use rustix::thread::{capabilities, capabilities_secure_bits, set_capabilities, set_capabilities_secure_bits};

use super::layout::ask;
use crate::bpf::types::inlined;
use crate::kernel::boot_ns;
use crate::load::{LoadError, map};
use crate::mapped::Mapped;

/// Tells the kernel side which functions have it in them.
pub(super) fn learn(object: &Object) -> Result<(), LoadError> {
    let mapped = |source| LoadError::Map { map: ".data.inlined", source };
    let shared: Mapped<inlined> = Mapped::map(&map(object, ".data.inlined")?, 1).map_err(mapped)?;
    let at = shared.at(0);
    let seen = || {
        fence(Ordering::SeqCst);
        // SAFETY: inside the mapping, and aligned.
        unsafe { (&raw const (*shared.at(0)).seen).read_volatile() }
    };
    let trigger = boot_ns() | 1;
    // SAFETY: as above; the kernel only reads it, and clears it.
    unsafe { (&raw mut (*at).trigger).write_volatile(trigger) };
    fence(Ordering::SeqCst);
    ask(trigger);
    // Without the first nothing can be said of the others.
    if seen() > 0 {
        let before = seen();
        let _ = capabilities(None).and_then(|own| set_capabilities(None, own));
        let in_capset = seen() == before;
        let before = seen();
        let _ = capabilities_secure_bits().and_then(set_capabilities_secure_bits);
        let in_prctl = seen() == before;
        // SAFETY: as above.
        unsafe {
            (&raw mut (*at).in_capset).write_volatile(in_capset.into());
            (&raw mut (*at).in_prctl).write_volatile(in_prctl.into());
        }
    }
    // SAFETY: as above.
    unsafe {
        (&raw mut (*at).trigger).write_volatile(0);
        (&raw mut (*at).task).write_volatile(0);
    }
    Ok(())
}
