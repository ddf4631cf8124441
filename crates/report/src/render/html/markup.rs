//! Markup from texts: what is not ours reaches the page through [`escaped`] alone.

use event::is_unsafe_on_a_terminal;

use super::super::units::counted;

/// A table shows so many rows at first, and the rest when asked: a page of ten thousand rows would be slow to open.
const FIRST_ROWS: usize = 200;
/// Tables from this length on get a box to filter them by.
const LONG: usize = 12;

/// Text as it stands in markup, also within a quoted attribute. Characters that hide or reorder text are written out, as on
/// a terminal.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // The last two are no characters: a file of XML must not have them.
            c if is_unsafe_on_a_terminal(c) || matches!(c, '\u{fffe}' | '\u{ffff}') => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// Text as code, or nothing if it is empty.
pub fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<code>{}</code>", escaped(text)) }
}

/// One cell of a table; no text in it is markup.
pub enum Cell {
    /// Shown so, sorted by its value.
    Number(u64, String),
    /// Plain words.
    Words(String),
    /// A name, a path, a command.
    Code(String),
}

impl Cell {
    fn markup(&self) -> String {
        match self {
            Cell::Number(value, shown) => {
                format!("<td class=\"number\" data-value=\"{value}\">{}</td>", escaped(shown))
            }
            Cell::Words(words) => format!("<td>{}</td>", escaped(words)),
            Cell::Code(text) => format!("<td class=\"name\">{}</td>", code(text)),
        }
    }
}

/// A table that can be sorted. `name` says what it is, and is unique on the page; `titles` stand above the columns.
/// A column without any text is left out.
pub fn table(name: &str, titles: &[&str], rows: &[Vec<Cell>]) -> String {
    let has_text = |at: &usize| {
        rows.iter().filter_map(|row| row.get(*at)).any(|cell| match cell {
            Cell::Number(_, shown) => !shown.is_empty(),
            Cell::Words(text) | Cell::Code(text) => !text.is_empty(),
        })
    };
    let columns: Vec<usize> = (0..titles.len()).filter(has_text).collect();
    let name = escaped(name);
    let (first, rest) = rows.split_at(rows.len().min(FIRST_ROWS));
    let long = if rows.len() >= LONG { " long" } else { "" };
    let mut out = format!("<div class=\"list{long}\">\n");
    if !rest.is_empty() {
        let all = counted(rows.len() as u64, "row", "rows");
        out += &format!(
            "<label class=\"show-all\"><input type=\"checkbox\" aria-label=\"show all rows of {name}\"> Show all {all}, not \
             only the first {FIRST_ROWS}</label>\n"
        );
    }
    out += &format!("<div class=\"box\" tabindex=\"0\" role=\"region\" aria-label=\"{name}\">\n<table>\n<thead><tr>");
    for &at in &columns {
        let class = match rows.first().and_then(|row| row.get(at)) {
            Some(Cell::Number(..)) => " class=\"number\"",
            Some(Cell::Words(_) | Cell::Code(_)) | None => "",
        };
        out += &format!("<th scope=\"col\"{class}>{}</th>", escaped(titles[at]));
    }
    out += "</tr></thead>\n";
    for (rows, class) in [(first, ""), (rest, " class=\"rest\"")] {
        if rows.is_empty() {
            continue;
        }
        out += &format!("<tbody{class}>\n");
        for row in rows {
            out += "<tr>";
            for &at in &columns {
                out += &row.get(at).map(Cell::markup).unwrap_or_default();
            }
            out += "</tr>\n";
        }
        out += "</tbody>\n";
    }
    out + "</table>\n</div>\n</div>\n"
}

#[cfg(test)]
mod tests {
    use super::{Cell, FIRST_ROWS, code, escaped, table};

    #[test]
    fn text_cannot_become_markup_or_leave_an_attribute() {
        assert_eq!(escaped("<a b=\"c\" d='e'>&amp;"), "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;amp;");
        assert_eq!(code("</code>"), "<code>&lt;/code&gt;</code>");
        assert_eq!(escaped("a\u{202e}b\u{1b}\n"), "a\\u{202e}b\\u{1b}\\n");
    }

    #[test]
    fn every_row_is_there_and_the_first_ones_are_apart() {
        let rows: Vec<Vec<Cell>> = (0..1000).map(|at| vec![Cell::Number(at, format!("row {at}."))]).collect();

        let markup = table("numbers", &["N"], &rows);

        assert!((0..1000).all(|at| markup.contains(&format!(">row {at}.<"))));
        let (first, _) = markup.split_once("<tbody class=\"rest\">").expect("the rest");
        assert_eq!(first.matches("<tr><td").count(), FIRST_ROWS);
    }

    #[test]
    fn a_column_without_text_is_left_out() {
        let rows = [vec![Cell::Words(String::new()), Cell::Words("a".to_owned())]];

        let markup = table("two", &["ONE", "TWO"], &rows);

        assert!(!markup.contains("ONE") && markup.contains("TWO"), "{markup}");
    }
}
