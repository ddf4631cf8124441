//! Text of a given width: how many columns of a terminal it takes, cutting it, and breaking it into lines.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How many columns of a terminal a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text, or as much of its beginning as fits, with `…` in place of the rest.
pub fn cut(text: &str, columns: usize) -> String {
    if head(text, columns).len() == text.len() {
        return text.to_owned();
    }
    match columns.checked_sub(1) {
        Some(columns) => head(text, columns).to_owned() + "…",
        None => String::new(),
    }
}

/// The text, or as much of its end as fits, with `…` in place of the rest: of a path the end says more.
pub(crate) fn cut_front(text: &str, columns: usize) -> String {
    if head(text, columns).len() == text.len() {
        return text.to_owned();
    }
    let Some(columns) = columns.checked_sub(1) else { return String::new() };
    let mut used = 0;
    let mut starts: Vec<usize> = vec![text.len()];
    for (at, c) in text.char_indices().rev().take(most_chars(columns)) {
        used += c.width().unwrap_or(0);
        if used > columns {
            break;
        }
        starts.push(at);
    }
    let start = starts.into_iter().rev().find(|&start| width(&text[start..]) <= columns).unwrap_or(text.len());
    format!("…{}", &text[start..])
}

/// As much of the beginning as fits.
fn head(text: &str, columns: usize) -> &str {
    let mut used = 0;
    let mut ends: Vec<usize> = vec![0];
    for (at, c) in text.char_indices().take(most_chars(columns)) {
        used += c.width().unwrap_or(0);
        if used > columns {
            break;
        }
        ends.push(at + c.len_utf8());
    }
    // A sequence can be wider than its characters one by one.
    let end = ends.into_iter().rev().find(|&end| width(&text[..end]) <= columns).unwrap_or(0);
    &text[..end]
}

/// No more characters than this are shown in so many columns, however many of them take no room: one text of megabytes
/// must not cost minutes.
fn most_chars(columns: usize) -> usize {
    columns.saturating_mul(8)
}

/// No character takes more columns: U+17D8 takes so many.
const WIDEST: usize = 3;

/// The text in lines that fit, broken at spaces where there are some, else anywhere.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(WIDEST);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let mut word = word;
        let gap = usize::from(!line.is_empty());
        if !line.is_empty() && fits(&line, gap, word, columns) {
            line.push(' ');
            line.push_str(word);
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        loop {
            let first = head(word, columns).len();
            if first == word.len() {
                break;
            }
            let (first, rest) = word.split_at(if first == 0 { first_char_end(word) } else { first });
            lines.push(first.to_owned());
            word = rest;
        }
        line.push_str(word);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    for line in &mut lines {
        line.truncate(line.trim_end_matches(' ').len());
    }
    lines
}

fn fits(line: &str, gap: usize, word: &str, columns: usize) -> bool {
    let room = columns.saturating_sub(width(line) + gap);
    head(word, room).len() == word.len()
}

fn first_char_end(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{cut, cut_front, width, wrap};

    #[test]
    fn a_text_that_fits_is_left_alone() {
        assert_eq!((cut("abc", 3), cut_front("abc", 3)), ("abc".into(), "abc".into()));
    }

    #[test]
    fn what_does_not_fit_is_marked() {
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut_front("/usr/bin/env", 6), "…n/env");
    }

    #[test]
    fn a_wide_character_takes_two_columns() {
        assert_eq!(cut("日本語", 4), "日…");
    }

    #[test]
    fn lines_break_at_spaces_and_in_long_words() {
        assert_eq!(wrap("aa bb ccccccc d", 5), ["aa bb", "ccccc", "cc d"]);
    }

    #[test]
    fn a_text_of_megabytes_costs_no_minutes() {
        let long = "a".repeat(4 << 20);
        let marks = "\u{301}".repeat(1 << 20);

        assert_eq!(wrap(&long, 64).len(), (4 << 20) / 64);
        assert!(wrap(&marks, 64).len() <= (1 << 20) / 64 / 8 + 1);
        assert_eq!((width(&cut(&long, 9)), width(&cut_front(&long, 9))), (9, 9));
    }

    proptest! {
        #[test]
        fn a_cut_text_never_is_too_wide(text in "\\PC{0,30}", columns in 0usize..20) {
            prop_assert!(width(&cut(&text, columns)) <= columns);
            prop_assert!(width(&cut_front(&text, columns)) <= columns);
        }

        #[test]
        fn wrapping_loses_nothing_but_spaces(text in "\\PC{0,60}", columns in 3usize..20) {
            let lines = wrap(&text, columns);
            let without_spaces = |text: &str| text.replace(' ', "");
            prop_assert_eq!(without_spaces(&lines.concat()), without_spaces(&text));
            for line in lines {
                prop_assert!(width(&line) <= columns, "{line:?}");
            }
        }
    }
}
