//! What several events say of one thing: the better witness wins, whatever order they come in.

/// A value, and how good the witness is: lower ranks first, then earlier times; equal witnesses by value, so that the
/// order of arrival never shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claim<T> {
    pub(crate) rank: Rank,
    pub(crate) boot_ns: u64,
    pub(crate) value: T,
}

/// How directly a witness saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// It is the event in which the thing came about.
    Created,
    /// It saw the thing come in from outside, or found it there.
    Found,
    /// It saw the thing later.
    Seen,
}

impl<T: Ord> Claim<T> {
    /// Takes the claim if it is the better one.
    pub(crate) fn offer(self, known: &mut Option<Claim<T>>) {
        if known.as_ref().is_none_or(|known| self < *known) {
            *known = Some(self);
        }
    }
}
