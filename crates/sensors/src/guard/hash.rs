//! The numbers that the kernel side makes of names and paths (`bpf/hash.h`, `bpf/guard_what.h`).

/// The key of SipHash-1-3, drawn when the guards were loaded.
#[derive(Clone, Copy)]
pub(super) struct HashKey(pub(super) [u64; 2]);

impl HashKey {
    /// A file's name; of a longer one than there can be, its beginning.
    pub(super) fn of_name(self, name: &[u8]) -> u64 {
        let name = &name[..name.len().min(LONGEST_NAME)];
        let mut hash = Hash::begin(self);
        for chunk in name.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            hash.add(u64::from_ne_bytes(word));
        }
        hash.add(name.len() as u64);
        hash.end()
    }

    /// A path, by its names from the last to the first.
    pub(super) fn of_path(self, path: &[u8]) -> u64 {
        let names = path.split(|&byte| byte == b'/').rev().filter(|name| !name.is_empty());
        names.fold(self.with(0, 0), |hash, name| self.with(hash, self.of_name(name)))
    }

    /// One number more behind those that made another.
    fn with(self, before: u64, number: u64) -> u64 {
        let mut hash = Hash::begin(self);
        hash.add(before);
        hash.add(number);
        hash.end()
    }
}

/// The end of a name, by which the kernel side finds out at first whether it can be one of those that are meant: its last eight
/// bytes; fewer stand behind zeros.
pub(super) fn end_of(name: &[u8]) -> u64 {
    let name = &name[..name.len().min(LONGEST_NAME)];
    let end = &name[name.len().saturating_sub(8)..];
    let mut word = [0; 8];
    word[8 - end.len()..].copy_from_slice(end);
    u64::from_ne_bytes(word)
}

/// The longest name that a file can have.
const LONGEST_NAME: usize = 255;

struct Hash([u64; 4]);

impl Hash {
    fn begin(HashKey([k0, k1]): HashKey) -> Hash {
        Hash([
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ])
    }

    fn round(&mut self) {
        let [v0, v1, v2, v3] = &mut self.0;
        *v0 = v0.wrapping_add(*v1);
        *v1 = v1.rotate_left(13) ^ *v0;
        *v0 = v0.rotate_left(32);
        *v2 = v2.wrapping_add(*v3);
        *v3 = v3.rotate_left(16) ^ *v2;
        *v0 = v0.wrapping_add(*v3);
        *v3 = v3.rotate_left(21) ^ *v0;
        *v2 = v2.wrapping_add(*v1);
        *v1 = v1.rotate_left(17) ^ *v2;
        *v2 = v2.rotate_left(32);
    }

    fn add(&mut self, word: u64) {
        self.0[3] ^= word;
        self.round();
        self.0[0] ^= word;
    }

    fn end(mut self) -> u64 {
        self.0[2] ^= 0xff;
        self.round();
        self.round();
        self.round();
        match self.0.iter().fold(0, |all, word| all ^ word) {
            0 => 1,
            number => number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: HashKey = HashKey([3, 5]);

    #[test]
    fn slashes_that_name_nothing_change_no_path() {
        assert_eq!(KEY.of_path(b"/usr/bin/id"), KEY.of_path(b"//usr/bin//id/"));
        assert_ne!(KEY.of_path(b"/usr/bin/id"), KEY.of_path(b"/bin/id"));
    }

    #[test]
    fn an_end_is_the_last_eight_bytes_or_all_there_are() {
        let bytes = |name: &[u8]| end_of(name).to_ne_bytes();

        assert_eq!(bytes(b"whoami"), *b"\0\0whoami");
        assert_eq!(bytes(b"busybox.static"), *b"x.static");
        assert_eq!(bytes(b"12345678"), *b"12345678");
        assert_eq!(end_of(b""), 0);
        assert_eq!(bytes(&[b"x".repeat(247), b"12345678and what no name has".to_vec()].concat()), *b"12345678");
    }

    #[test]
    fn a_name_is_no_path_and_its_end_counts() {
        assert_ne!(KEY.of_name(b"id"), KEY.of_path(b"/id"));
        assert_ne!(KEY.of_name(b"id"), KEY.of_name(b"id\0"));
        assert_ne!(KEY.of_name(b"id"), HashKey([3, 6]).of_name(b"id"));
    }
}
