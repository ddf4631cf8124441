//! The standard streams.

use std::io::{self, Write as _};

use anyhow::Context as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Writes it to standard output at once. A reader who has seen enough, or a disk that is full, is an error of whoever runs us, and no
/// fault of ours as with `println!`.
pub(crate) fn print(output: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(output.as_ref()).and_then(|()| out.flush()).context("cannot write to standard output")
}

/// Whether the program at the other end of a pipe has ended: waiting for the next event would find out late.
pub(crate) fn is_reader_gone() -> bool {
    let stdout = std::io::stdout();
    let mut ends = [PollFd::new(&stdout, PollFlags::empty())];
    poll(&mut ends, Some(&Timespec::default())).is_ok() && ends[0].revents().contains(PollFlags::ERR)
}
