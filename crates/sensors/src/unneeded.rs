//! Memory that only loading needed, given back.
//!
//! A recording may run for months beside workloads that need the memory. What is given back here comes again by itself when it is
//! used: the allocator asks for more, and pages of the program's file are read anew.

use rustix::mm::{Advice, madvise};

/// Gives back what loading took: the types of the kernel and the objects with the programs (many MB, which the allocator keeps for
/// another time), and the code that loads them.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it has no conditions.
    unsafe {
        libc::malloc_trim(0);
    }
    for (from, to) in unchanged(&std::fs::read_to_string("/proc/self/maps").unwrap_or_default()) {
        release(from, to);
    }
}

/// Lets go of the whole pages between two addresses, which must be of constants or of code of this program.
fn release(from: usize, to: usize) {
    let page = rustix::param::page_size();
    let (from, to) = (from.next_multiple_of(page), to / page * page);
    if from < to {
        let start = std::ptr::with_exposed_provenance_mut(from);
        // SAFETY: pages of the program's file that nothing ever writes to: the next access reads the same from the file.
        let _ = unsafe { madvise(start, to - from, Advice::LinuxDontNeed) };
    }
}

/// What is sure to be as it is in its file, in the text of `/proc/PID/maps`: the code, and what lies at the beginning of a file and cannot
/// be written, which of a program are its constants and what its start and its panics need. Other parts that cannot be written
/// may have been before: addresses were put into them.
fn unchanged(maps: &str) -> impl Iterator<Item = (usize, usize)> {
    maps.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (from, to) = fields.next()?.split_once('-')?;
        let (access, offset, inode) = (fields.next()?, fields.next()?, fields.nth(1)?);
        let address = |text| usize::from_str_radix(text, 16).ok();
        let is_unchanged = access == "r-xp" || (access == "r--p" && address(offset)? == 0);
        (is_unchanged && inode != "0").then_some((address(from)?, address(to)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_and_what_a_file_begins_with_are_as_in_the_file() {
        let maps = "\
5566a0000000-5566a0010000 r--p 00000000 fe:00 100                        /usr/bin/ringfence
5566a0010000-5566a0800000 r-xp 00010000 fe:00 100                        /usr/bin/ringfence
5566a0800000-5566a0900000 rw-p 00800000 fe:00 100                        /usr/bin/ringfence
5566a0900000-5566a0a00000 rwxp 00800000 fe:00 100                        /usr/bin/ringfence
5566a0a00000-5566a0b00000 r--p 00900000 fe:00 100                        /usr/bin/ringfence
7ffd1cdcb000-7ffd1cdec000 rw-p 00000000 00:00 0                          [stack]
7ffd1cdf5000-7ffd1cdf7000 r-xp 00000000 00:00 0                          [vdso]
nonsense
";
        let expected = [(0x5566_a000_0000, 0x5566_a001_0000), (0x5566_a001_0000, 0x5566_a080_0000)];
        assert_eq!(unchanged(maps).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_was_given_back_is_as_it_was() {
        static OBJECT: [u8; 40_000] = {
            let mut bytes = [0; 40_000];
            let mut at = 0;
            while at < bytes.len() {
                bytes[at] = (at % 251) as u8;
                at += 1;
            }
            bytes
        };

        let from = OBJECT.as_ptr().addr();
        release(from, from + OBJECT.len());
        give_back();

        assert!(OBJECT.iter().enumerate().all(|(at, &byte)| byte == (at % 251) as u8));
    }
}
