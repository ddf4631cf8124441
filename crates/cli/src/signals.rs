//! Signals that end a recording.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::origin::WithOrigin;
use signal_hook::low_level::siginfo::Cause;

/// A signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caught {
    /// Its number.
    pub(crate) number: i32,
    /// Whether a terminal sent it: then every process of the foreground has got it.
    pub(crate) from_terminal: bool,
}

/// The signals that were caught and not yet looked at.
pub(crate) struct Signals(SignalsInfo<WithOrigin>);

impl Signals {
    /// From now on SIGINT, SIGTERM and SIGHUP end nothing by themselves.
    pub(crate) fn catch() -> std::io::Result<Signals> {
        SignalsInfo::new([SIGINT, SIGTERM, SIGHUP]).map(Signals)
    }

    /// One that arrived, if any did.
    pub(crate) fn take(&mut self) -> Option<Caught> {
        self.0
            .pending()
            .next()
            .map(|origin| Caught { number: origin.signal, from_terminal: matches!(origin.cause, Cause::Kernel) })
    }
}
