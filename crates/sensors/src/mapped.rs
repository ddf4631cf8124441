//! Memory that is shared with the kernel.

use std::os::fd::AsFd as _;
use std::ptr::NonNull;

use libbpf_rs::MapHandle;

/// The start of a map's memory, as values of `T`: the kernel changes them at any time.
pub(crate) struct Mapped<T> {
    base: NonNull<T>,
    count: usize,
}

// SAFETY: the mapping belongs to this value alone; what is in it is accessed by volatile or atomic operations only.
unsafe impl<T> Send for Mapped<T> {}
// SAFETY: as above; each value is written by the kernel at any time, so that no reader relies on another being quiet.
unsafe impl<T> Sync for Mapped<T> {}

impl<T> Mapped<T> {
    /// Maps so many values.
    pub(crate) fn map(map: &MapHandle, count: usize) -> rustix::io::Result<Mapped<T>> {
        use rustix::mm::{MapFlags, ProtFlags, mmap};

        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses.
        let base = unsafe { mmap(std::ptr::null_mut(), bytes::<T>(count), access, MapFlags::SHARED, map.as_fd(), 0)? };
        NonNull::new(base.cast()).map(|base| Mapped { base, count }).ok_or(rustix::io::Errno::NOMEM)
    }

    /// Where a value is. It stays there for as long as the mapping.
    pub(crate) fn at(&self, index: usize) -> *mut T {
        assert!(index < self.count, "{index} is outside the table of {}", self.count);
        // SAFETY: the index was checked against the size that was mapped.
        unsafe { self.base.as_ptr().add(index) }
    }

    /// How many values there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: mapped in `map` with this very length, and nothing borrows from it.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), bytes::<T>(self.count)) };
    }
}

fn bytes<T>(count: usize) -> usize {
    (count * size_of::<T>()).next_multiple_of(rustix::param::page_size())
}
