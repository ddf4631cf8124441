//! The standard streams.

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Whether the program at the other end of a pipe has ended: waiting for the next event would find out late.
pub(crate) fn is_reader_gone() -> bool {
    let stdout = std::io::stdout();
    let mut ends = [PollFd::new(&stdout, PollFlags::empty())];
    poll(&mut ends, Some(&Timespec::default())).is_ok() && ends[0].revents().contains(PollFlags::ERR)
}
