//! What somebody may have meant.

/// The most that is compared: longer words are no slips of the finger.
const MAX_CHARS: usize = 64;

/// The candidate that differs least, if that is little.
pub fn similar<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let length = word.chars().count();
    if length == 0 || length > MAX_CHARS {
        return None;
    }
    let most = (length / 3).max(1);
    let with_distance = candidates.map(|candidate| (distance(word, candidate), candidate));
    // Of equals the first by name: candidates come in any order.
    with_distance.filter(|(distance, _)| *distance <= most).min().map(|(_, it)| it)
}

/// How many characters are to be added, left out, changed, or swapped with their neighbour.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, &a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &b) in to.iter().enumerate() {
            let mut best = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a == to[j - 1] && from[i - 1] == b {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        for (from, to, expected) in [("", "", 0), ("a", "", 1), ("name", "nmae", 1), ("kitten", "sitting", 3)] {
            assert_eq!(distance(from, to), expected, "{from} {to}");
        }
    }

    #[test]
    fn what_differs_much_is_not_meant() {
        let names = ["container.name", "process.name"];

        assert_eq!(similar("container.nmae", names.into_iter()), Some("container.name"));
        assert_eq!(similar("proces.name", names.into_iter()), Some("process.name"));
        assert_eq!(similar("fd.sport", names.into_iter()), None);
        assert_eq!([similar("i", ["b", "a"].into_iter()), similar("i", ["a", "b"].into_iter())], [Some("a"); 2]);
        assert_eq!(similar(&"x".repeat(1000), names.into_iter()), None);
    }
}
