//! Opens of files that are to run, each of which waits until it is answered (fanotify). When this program ends, however it does, the
//! kernel lets all go on.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marked {
    /// The whole file system, wherever it is mounted.
    FileSystem,
    /// This mount of it alone.
    Mount,
    /// This file alone.
    File,
}

/// A file that a process has opened to run it. The process waits until [`ExecOpen::answer`]; if that is never called, it may go on when
/// this is dropped.
#[derive(Debug)]
pub struct ExecOpen<'a> {
    /// The file.
    pub file: OwnedFd,
    /// The process.
    pub pid: u32,
    group: BorrowedFd<'a>,
    is_answered: bool,
}

impl ExecOpen<'_> {
    /// Lets the process run the file, or fail with EPERM.
    pub fn answer(mut self, may_run: bool) -> io::Result<()> {
        self.is_answered = true;
        respond(self.group, &self.file, may_run)
    }
}

impl Drop for ExecOpen<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            let _ = respond(self.group, &self.file, true);
        }
    }
}

fn respond(group: BorrowedFd<'_>, file: &OwnedFd, may_run: bool) -> io::Result<()> {
    // struct fanotify_response of include/uapi/linux/fanotify.h
    let verdict = if may_run { libc::FAN_ALLOW } else { libc::FAN_DENY };
    let mut answer = file.as_raw_fd().to_ne_bytes().to_vec();
    answer.extend(verdict.to_ne_bytes());
    rustix::io::write(group, &answer)?;
    Ok(())
}

/// Waits for opens of files that are to run.
#[derive(Debug)]
pub struct ExecOpens {
    group: OwnedFd,
}

/// So many are taken at once: as many descriptors are open then.
const BATCH: usize = 32;
/// The kernel's struct fanotify_event_metadata, and where its fields lie.
const EVENT_BYTES: usize = 24;
const VERSION: usize = 4;
const DESCRIPTOR: usize = 16;
const PID: usize = 20;

impl ExecOpens {
    /// None is looked at yet.
    pub fn new() -> io::Result<ExecOpens> {
        let flags = libc::FAN_CLOEXEC | libc::FAN_CLASS_CONTENT | libc::FAN_NONBLOCK | libc::FAN_UNLIMITED_QUEUE;
        let opened = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_LARGEFILE;
        // SAFETY: two numbers; the descriptor that comes back is ours alone.
        let group = unsafe {
            let fd = libc::fanotify_init(flags, opened.unsigned_abs());
            (fd >= 0).then(|| OwnedFd::from_raw_fd(fd))
        };
        group.map(|group| ExecOpens { group }).ok_or_else(io::Error::last_os_error)
    }

    /// Looks at what is run there, from now on.
    pub fn watch(&self, file: BorrowedFd<'_>, marked: Marked) -> io::Result<()> {
        let kind = match marked {
            Marked::FileSystem => libc::FAN_MARK_FILESYSTEM,
            Marked::Mount => libc::FAN_MARK_MOUNT,
            Marked::File => libc::FAN_MARK_INODE,
        };
        // By its path, as a descriptor that only names a file is not taken.
        let path = format!("/proc/self/fd/{}\0", file.as_raw_fd());
        let path = CStr::from_bytes_with_nul(path.as_bytes()).map_err(io::Error::other)?;
        // SAFETY: an open descriptor, numbers, and a text that ends in a zero byte and lives through the call.
        let failed = unsafe {
            libc::fanotify_mark(
                self.group.as_raw_fd(),
                libc::FAN_MARK_ADD | kind,
                libc::FAN_OPEN_EXEC_PERM,
                libc::AT_FDCWD,
                path.as_ptr(),
            )
        };
        if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Waits for opens, at most this long, and gives those that are there.
    pub fn take(&self, timeout: Duration) -> io::Result<Vec<ExecOpen<'_>>> {
        let limit = Timespec::try_from(timeout).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&self.group, PollFlags::IN)], Some(&limit)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut bytes = [0; BATCH * EVENT_BYTES];
        let count = match rustix::io::read(&self.group, &mut bytes) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => 0,
            other => other?,
        };
        let mut rest = &bytes[..count];
        let mut opens = Vec::new();
        while let Some((event, after)) = next(rest) {
            rest = after;
            if let Some((descriptor, pid)) = event {
                // SAFETY: the kernel opened it for us with this event, and nobody else has it.
                let file = unsafe { OwnedFd::from_raw_fd(descriptor) };
                opens.push(ExecOpen { file, pid, group: self.group.as_fd(), is_answered: false });
            }
        }
        Ok(opens)
    }
}

/// A descriptor and a process.
type Event = (i32, u32);

/// The first event, if it has a descriptor, and what is behind it. What is no event ends it all.
fn next(bytes: &[u8]) -> Option<(Option<Event>, &[u8])> {
    let number = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(i32::from_ne_bytes);
    let length = usize::try_from(number(0)?).ok().filter(|length| *length >= EVENT_BYTES)?;
    if bytes.get(VERSION) != Some(&libc::FANOTIFY_METADATA_VERSION) {
        return None;
    }
    let event = number(DESCRIPTOR).filter(|descriptor| *descriptor >= 0);
    let event = event.zip(number(PID).map(i32::unsigned_abs));
    Some((event, bytes.get(length..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(descriptor: i32, pid: i32) -> Vec<u8> {
        let mut bytes = vec![0; EVENT_BYTES];
        bytes[..4].copy_from_slice(&(EVENT_BYTES as u32).to_ne_bytes());
        bytes[VERSION] = libc::FANOTIFY_METADATA_VERSION;
        bytes[DESCRIPTOR..PID].copy_from_slice(&descriptor.to_ne_bytes());
        bytes[PID..].copy_from_slice(&pid.to_ne_bytes());
        bytes
    }

    #[test]
    fn each_event_has_a_descriptor_and_a_process() {
        let bytes = [event(7, 1234), event(-1, 5)].concat();

        let (first, rest) = next(&bytes).expect("an event");
        assert_eq!(first, Some((7, 1234)));
        let (second, rest) = next(rest).expect("another");
        // A queue that ran over tells of no file.
        assert_eq!((second, rest.len()), (None, 0));
        assert_eq!(next(rest), None);
    }

    #[test]
    fn the_fields_lie_where_the_kernel_has_them() {
        use libc::fanotify_event_metadata as raw;
        use std::mem::offset_of;

        assert_eq!(size_of::<raw>(), EVENT_BYTES);
        assert_eq!((offset_of!(raw, vers), offset_of!(raw, fd), offset_of!(raw, pid)), (VERSION, DESCRIPTOR, PID));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100), cut in 0..24_usize) {
            let _ = next(&bytes);
            let _ = next(&event(1, 2)[..cut]);
        }
    }
}
