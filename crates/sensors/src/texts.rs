//! What follows the fixed part of a sample: texts, and paths as `bpf/path.h` writes them.

use crate::record::DecodeError;

/// The texts behind the fixed part, one after the other.
pub(crate) struct Texts<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Texts<'a> {
    /// Those behind a fixed part of this type.
    pub(crate) fn behind<T>(bytes: &'a [u8]) -> Texts<'a> {
        Texts { bytes, at: size_of::<T>() }
    }

    /// The next text, of this length.
    pub(crate) fn next(&mut self, length: u32) -> Result<&'a [u8], DecodeError> {
        let end = self.at.saturating_add(length as usize);
        let too_short = DecodeError::TooShort { got: self.bytes.len(), needed: end };
        let text = self.bytes.get(self.at..end).ok_or(too_short)?;
        self.at = end;
        Ok(text)
    }
}

/// A path from its names, which come leaf first, each after a byte with its length. A missing head shows as `…`.
pub(crate) fn path(names: &[u8], cut: bool) -> Vec<u8> {
    let mut parts = Vec::new();
    let mut rest = names;
    while let Some((&length, after)) = rest.split_first() {
        let (name, tail) = after.split_at(usize::from(length).min(after.len()));
        parts.push(name);
        rest = tail;
    }
    if parts.is_empty() {
        return b"/".to_vec();
    }
    let mut path = if cut { "…".as_bytes().to_vec() } else { Vec::new() };
    for name in parts.iter().rev() {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_whose_head_is_missing_says_so() {
        assert_eq!(path(b"\x01b\x01a", true), "…/a/b".as_bytes());
    }

    #[test]
    fn names_come_leaf_first_and_paths_root_first() {
        assert_eq!(path(b"\x02sh\x03bin", false), b"/bin/sh");
        assert_eq!(path(b"", false), b"/");
    }
}
