//! The two clocks: the kernel counts from boot, people read dates.

use report::{Moment, Timestamp};

/// Nanoseconds since boot.
pub(crate) fn boot_ns() -> u64 {
    nanoseconds(rustix::time::ClockId::Boottime)
}

/// How far the wall clock is ahead of the boot clock: taken once, so that equal times give equal dates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    ahead_ns: u64,
}

impl Clock {
    /// Compares the clocks now.
    pub(crate) fn now() -> Clock {
        Clock { ahead_ns: nanoseconds(rustix::time::ClockId::Realtime).saturating_sub(boot_ns()) }
    }

    /// The moment on both clocks.
    pub(crate) fn at(self, boot_ns: u64) -> Moment {
        Moment { boot_ns, wall: Timestamp::from_unix_ns(self.ahead_ns.saturating_add(boot_ns)) }
    }
}

fn nanoseconds(clock: rustix::time::ClockId) -> u64 {
    let now = rustix::time::clock_gettime(clock);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
