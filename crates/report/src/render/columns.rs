//! Columns of text that fit a terminal.

use super::style::Style;
use super::width::{cut, cut_front, width};

/// No flexible column is made narrower than this while another can give way.
const NARROW: usize = 10;
const GAP: usize = 2;

/// How one column behaves.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// What stands above it.
    pub title: &'static str,
    /// What it does with its room.
    pub fit: Fit,
    /// How its cells stand out.
    pub style: Style,
}

/// What a column does with its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Numbers: at the right, never cut before the others.
    Right,
    /// At the left, never cut before the others.
    Left,
    /// At the left, cut at the end if room is short.
    CutEnd,
    /// At the left, cut at the front if room is short.
    CutFront,
}

/// Lays rows out in columns, the titles first; no line is wider than asked. Columns without any text are left out.
pub fn lay_out(columns: &[Column], rows: &[Vec<String>], line_width: usize, colour: bool) -> Vec<String> {
    let used: Vec<usize> = (0..columns.len())
        .filter(|&at| rows.iter().any(|row| row.get(at).is_some_and(|cell| !cell.is_empty())))
        .collect();
    let natural = used.iter().map(|&at| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| width(cell));
        cells.chain([width(columns[at].title)]).max().unwrap_or(0)
    });
    let mut widths: Vec<usize> = natural.collect();
    shrink(&used, columns, &mut widths, line_width);

    let titles: Vec<String> = columns.iter().map(|column| column.title.to_owned()).collect();
    let line = |row: &[String], style: Option<Style>| {
        let mut out = String::new();
        let mut room = line_width;
        for (position, (&at, &column_width)) in used.iter().zip(&widths).enumerate() {
            let gap = if position == 0 { 0 } else { GAP };
            if room <= gap {
                break;
            }
            room -= gap;
            let column = columns[at];
            let column_width = column_width.min(room);
            let cell = row.get(at).map_or("", String::as_str);
            let text =
                if column.fit == Fit::CutFront { cut_front(cell, column_width) } else { cut(cell, column_width) };
            let text = text.trim_end_matches(' ');
            let pad = " ".repeat(column_width - width(text));
            let painted = style.unwrap_or(column.style).paint(text, colour);
            out.push_str(&" ".repeat(gap));
            out.push_str(&if column.fit == Fit::Right { pad + &painted } else { painted + &pad });
            room -= column_width;
        }
        out.truncate(out.trim_end_matches(' ').len());
        out
    };
    let head = titles.iter().any(|title| !title.is_empty()).then(|| line(&titles, Some(Style::Faint)));
    head.into_iter().chain(rows.iter().map(|row| line(row, None))).collect()
}

/// Takes room from the widest flexible column, again and again, until the line fits or none can give way.
fn shrink(used: &[usize], columns: &[Column], widths: &mut [usize], line_width: usize) {
    loop {
        let total = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
        let Some(excess) = total.checked_sub(line_width).filter(|&excess| excess > 0) else { return };
        let mut flexible: Vec<usize> = (0..widths.len())
            .filter(|&position| matches!(columns[used[position]].fit, Fit::CutEnd | Fit::CutFront))
            .filter(|&position| widths[position] > NARROW)
            .collect();
        flexible.sort_by_key(|&position| std::cmp::Reverse(widths[position]));
        let Some(&widest) = flexible.first() else { return };
        let next = flexible.get(1).map_or(NARROW, |&position| widths[position]);
        let step = (widths[widest] - next).max(1).min(excess);
        widths[widest] -= step;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Column, Fit, lay_out};
    use crate::render::style::Style;
    use crate::render::width::width;

    const COLUMNS: [Column; 3] = [
        Column { title: "COUNT", fit: Fit::Right, style: Style::Plain },
        Column { title: "CALL", fit: Fit::Left, style: Style::Title },
        Column { title: "BY", fit: Fit::CutFront, style: Style::Plain },
    ];

    fn rows(rows: &[[&str; 3]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(|&cell| cell.to_owned()).collect()).collect()
    }

    #[test]
    fn numbers_stand_at_the_right() {
        let lines = lay_out(&COLUMNS, &rows(&[["1", "read", "/bin/a"], ["12,000", "write", ""]]), 80, false);

        assert_eq!(lines, [" COUNT  CALL   BY", "     1  read   /bin/a", "12,000  write"]);
    }

    #[test]
    fn only_a_flexible_column_gives_way() {
        let lines = lay_out(&COLUMNS, &rows(&[["1", "read", "/usr/local/bin/program"]]), 26, false);

        assert_eq!(lines[1], "    1  read  …/bin/program");
    }

    #[test]
    fn a_column_without_text_is_left_out() {
        let lines = lay_out(&COLUMNS, &rows(&[["", "read", "/bin/a"]]), 80, false);

        assert_eq!(lines, ["CALL  BY", "read  /bin/a"]);
    }

    proptest! {
        #[test]
        fn no_line_is_too_wide(cells in prop::collection::vec(["\\PC{0,30}", "\\PC{0,30}", "\\PC{0,30}"], 0..5), columns in 0usize..60) {
            let rows: Vec<Vec<String>> = cells.into_iter().map(|row| row.to_vec()).collect();
            for line in lay_out(&COLUMNS, &rows, columns, false) {
                prop_assert!(width(&line) <= columns, "{line:?}");
            }
        }
    }
}
