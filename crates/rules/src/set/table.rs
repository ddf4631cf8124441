//! Many comparisons of one text with fixed ones, answered together.

use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::answers::BLOCK;
use super::bits::Bits;
use crate::eval::{Check, Operand, Test};
use crate::falco::{Cache, Direct, Quick, quick};
use crate::pick::Value;
use crate::subject::Subject;

/// What an entry of a table takes beside its text, about, in bytes.
const ENTRY_BYTES: usize = 128;
/// What each byte takes of a text that is looked for within others.
const BYTES_WITHIN: usize = 64;
/// Texts that are longer together than this, in bytes, are looked for more slowly and with less memory.
const MAX_QUICK_BYTES: usize = 4 << 10;

/// Which comparisons hold of each text, of those with one field.
#[derive(Debug)]
pub(super) struct Table {
    field: Operand,
    direct: Direct,
    exact: FxHashMap<Box<[u8]>, Row>,
    /// In the order of their bytes, so that all that a text begins with stand before it in one chain.
    prefixes: Vec<Prefix>,
    /// What is looked for within a text, and what holds if it is there.
    within: Option<(AhoCorasick, Vec<Row>)>,
    /// Where the answers of its comparisons are kept.
    pub(super) answers: Range<usize>,
}

/// What holds of a text.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// The answers that are yes: blocks, and which of each.
    pub(super) holds: SmallVec<[(usize, u64); 2]>,
    /// The rules that wait for one of them.
    pub(super) wakes: Bits,
}

#[derive(Debug)]
struct Prefix {
    /// Its first bytes as a number, which is quicker to compare.
    head: u64,
    text: Box<[u8]>,
    /// The longest other one that this one begins with.
    above: Option<u32>,
    row: Row,
}

/// Whether a comparison can be a part of a table; its texts may take so many bytes there, if there are so many rules.
pub(super) fn bytes_in_table(check: &Check, rules: usize) -> Option<usize> {
    check.left.plain.filter(|_| !check.of_every)?;
    let of_entry = ENTRY_BYTES + rules / 8;
    match &check.test {
        Test::Is(text) | Test::StartsWith(text) => Some(text.len() + of_entry),
        // An empty one is everywhere: also in an empty text, where there is no place for it.
        Test::Contains(text) if text.needle().is_empty() => None,
        Test::Contains(text) => Some(text.needle().len() * BYTES_WITHIN + of_entry),
        Test::OneOf(texts) => Some(texts.iter().map(|text| text.len() + of_entry).sum()),
        _ => None,
    }
}

impl Table {
    /// A table of these comparisons, all with one field: each with the place of its answer and the rules that wait for it. None if they
    /// are too much for it.
    pub(super) fn new(checks: &[(Arc<Check>, u32, Bits)], answers: Range<usize>) -> Option<Table> {
        let field = checks.first()?.0.left.clone();
        let direct = field.plain?;
        let mut exact: FxHashMap<Box<[u8]>, Row> = FxHashMap::default();
        let mut beginnings: FxHashMap<Box<[u8]>, Row> = FxHashMap::default();
        let (mut needles, mut of_needles): (Vec<Vec<u8>>, Vec<Row>) = Default::default();
        for (check, answer, wakes) in checks {
            match &check.test {
                Test::Is(text) => exact.entry(text.as_slice().into()).or_default().add(*answer, wakes),
                Test::OneOf(texts) => {
                    texts.iter().for_each(|text| exact.entry(text.as_slice().into()).or_default().add(*answer, wakes));
                }
                Test::StartsWith(text) => beginnings.entry(text.as_slice().into()).or_default().add(*answer, wakes),
                Test::Contains(text) => {
                    needles.push(text.needle().to_vec());
                    let mut row = Row::default();
                    row.add(*answer, wakes);
                    of_needles.push(row);
                }
                _ => return None,
            }
        }
        let within = if needles.is_empty() { None } else { Some((automaton(&needles)?, of_needles)) };
        let mut sorted: Vec<(Box<[u8]>, Row)> = beginnings.into_iter().collect();
        sorted.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let mut prefixes: Vec<Prefix> = Vec::with_capacity(sorted.len());
        for (text, row) in sorted {
            let mut above = prefixes.len().checked_sub(1).map(|last| last as u32);
            while let Some(at) = above.filter(|at| !text.starts_with(&prefixes[*at as usize].text)) {
                above = prefixes[at as usize].above;
            }
            prefixes.push(Prefix { head: head(&text), text, above, row });
        }
        Some(Table { field, direct, exact, prefixes, within, answers })
    }

    /// Shows what holds of the event.
    pub(super) fn look(&self, subject: &Subject<'_>, cache: &Cache, mut visit: impl FnMut(&Row)) {
        match quick(self.direct, &self.field.argument, subject, cache) {
            Quick::Text(text) => self.rows(text, &mut visit),
            Quick::Unset => {}
            Quick::Other => self.field.pick(subject, cache, &mut |value| {
                if let Value::Text(text) = value {
                    self.rows(text, &mut visit);
                }
            }),
        }
    }

    fn rows(&self, text: &[u8], visit: &mut impl FnMut(&Row)) {
        if !self.exact.is_empty()
            && let Some(row) = self.exact.get(text)
        {
            visit(row);
        }
        if let Some((within, rows)) = &self.within {
            for found in within.find_overlapping_iter(text) {
                rows.get(found.pattern().as_usize()).into_iter().for_each(&mut *visit);
            }
        }
        if self.prefixes.is_empty() {
            return;
        }
        // Whatever stands between a beginning of the text and the text begins like that, too.
        let first = head(text);
        let is_before = |prefix: &Prefix| prefix.head < first || (prefix.head == first && *prefix.text <= *text);
        let after = self.prefixes.partition_point(is_before);
        let mut next = after.checked_sub(1).map(|at| at as u32);
        let mut is_beginning = false;
        while let Some(prefix) = next.and_then(|at| self.prefixes.get(at as usize)) {
            // What one begins with that the text begins with is a beginning of the text.
            is_beginning = is_beginning || text.starts_with(&prefix.text);
            if is_beginning {
                visit(&prefix.row);
            }
            next = prefix.above;
        }
    }
}

/// What finds all of these texts within another; none if they are too many.
fn automaton(texts: &[Vec<u8>]) -> Option<AhoCorasick> {
    let bytes: usize = texts.iter().map(Vec::len).sum();
    let kind = (bytes > MAX_QUICK_BYTES).then_some(AhoCorasickKind::ContiguousNFA);
    AhoCorasick::builder().kind(kind).build(texts).ok()
}

/// The first bytes of a text as a number: where two differ, they are in the order of the texts.
fn head(text: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let length = text.len().min(bytes.len());
    bytes[..length].copy_from_slice(&text[..length]);
    u64::from_be_bytes(bytes)
}

impl Row {
    fn add(&mut self, answer: u32, wakes: &Bits) {
        let (block, which) = (answer as usize / BLOCK, 1 << (answer as usize % BLOCK));
        match self.holds.iter_mut().find(|(known, _)| *known == block) {
            Some((_, known)) => *known |= which,
            None => self.holds.push((block, which)),
        }
        self.wakes.add(wakes);
    }
}
