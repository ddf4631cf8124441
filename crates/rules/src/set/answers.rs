//! What is already known of the parts of conditions while one event is looked at: nothing, yes or no, in two bits each.

use std::ops::Range;

use smallvec::SmallVec;

/// How many answers are kept together.
pub(super) const BLOCK: usize = 64;

/// Answers, each at its place.
#[derive(Debug, Default)]
pub(super) struct Answers(SmallVec<[Block; 8]>);

#[derive(Clone, Copy, Debug, Default)]
struct Block {
    known: u64,
    yes: u64,
}

impl Answers {
    /// So many of which nothing is known.
    pub(super) fn unknown(count: usize) -> Answers {
        Answers(SmallVec::from_elem(Block::default(), count.div_ceil(BLOCK)))
    }

    /// One answer, if it is known.
    #[inline]
    pub(super) fn get(&self, at: u32) -> Option<bool> {
        let block = self.0[at as usize / BLOCK];
        let which = at as usize % BLOCK;
        (block.known >> which & 1 == 1).then_some(block.yes >> which & 1 == 1)
    }

    /// Keeps an answer that was not known.
    #[inline]
    pub(super) fn keep(&mut self, at: u32, answer: bool) {
        let block = &mut self.0[at as usize / BLOCK];
        let which = at as usize % BLOCK;
        block.known |= 1 << which;
        block.yes |= u64::from(answer) << which;
    }

    /// All answers of this range, which are not known yet, are no.
    pub(super) fn keep_all_as_no(&mut self, range: Range<usize>) {
        let mut at = range.start;
        while at < range.end {
            let (block, first) = (at / BLOCK, at % BLOCK);
            let count = (BLOCK - first).min(range.end - at);
            self.0[block].known |= (u64::MAX >> (BLOCK - count)) << first;
            at += count;
        }
    }

    /// These of a block are yes after all.
    #[inline]
    pub(super) fn turn_to_yes(&mut self, block: usize, which: u64) {
        self.0[block].yes |= which;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_unknown_until_it_is_kept() {
        let mut answers = Answers::unknown(130);

        answers.keep(3, true);
        answers.keep(129, false);
        answers.keep_all_as_no(60..128);
        answers.turn_to_yes(1, 1 << 5);

        let found: Vec<Option<bool>> = [2, 3, 59, 60, 64, 69, 127, 128, 129].map(|at| answers.get(at)).to_vec();
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(found, [None, yes, None, no, no, yes, no, None, no]);
    }
}
