//! The process tree, as lists within lists that fold.

use super::super::tree::{self, Line};
use super::super::units::{count, counted};
use super::Section;
use super::markup::{code, escaped};
use crate::Report;

/// Deeper processes are drawn at this depth: browsers nest no more than 512 elements, and a screen shows fewer.
const MAX_DEPTH: usize = 30;
/// A tree of more lines opens with its first level only.
const MANY_LINES: usize = 300;

pub(super) fn processes(report: &Report, all: bool) -> Option<Section> {
    let tree = &report.behaviour.processes;
    let about = [
        counted(tree.total, "process", "processes"),
        counted(tree.total_threads, "thread", "threads"),
        counted(tree.total_execs, "program start", "program starts"),
    ];
    Some(Section {
        id: "processes",
        title: "Processes",
        figure: count(tree.total),
        unit: if tree.total == 1 { "process" } else { "processes" },
        about: about.join(", "),
        body: drawn(&tree::lines(&tree.processes, all)),
    })
}

/// A process: its line, and those of its later programs.
struct Node<'a> {
    line: &'a Line,
    later: Vec<&'a Line>,
    depth: usize,
}

fn drawn(lines: &[Line]) -> String {
    let mut nodes: Vec<Node<'_>> = Vec::new();
    for line in lines {
        match nodes.last_mut().filter(|_| line.is_later) {
            Some(node) => node.later.push(line),
            None => nodes.push(Node { line, later: Vec::new(), depth: line.depth.min(MAX_DEPTH) }),
        }
    }
    if nodes.is_empty() {
        return String::new();
    }
    let opens_all = lines.len() <= MANY_LINES;
    let mut out =
        String::from("<div class=\"box tree\" tabindex=\"0\" role=\"region\" aria-label=\"process tree\">\n<ul>\n");
    // Lists of children that are not closed yet: their depths are 1, 2 … in this order.
    let mut open = 0;
    for (at, node) in nodes.iter().enumerate() {
        while open > node.depth {
            out += "</ul></details></li>\n";
            open -= 1;
        }
        let row = row(node);
        if nodes.get(at + 1).is_some_and(|next| next.depth > node.depth) {
            let state = if opens_all || node.depth == 0 { " open" } else { "" };
            out += &format!("<li><details{state}><summary>{row}</summary><ul>\n");
            open += 1;
        } else {
            out += &format!("<li><div class=\"leaf\">{row}</div></li>\n");
        }
    }
    out + &"</ul></details></li>\n".repeat(open) + "</ul>\n</div>\n"
}

fn row(node: &Node<'_>) -> String {
    let line = node.line;
    let deeper = line.depth - node.depth;
    let mut out = format!("<span class=\"pid\">{}</span> {}", escaped(&line.pid), code(&line.words));
    let mut about: Vec<String> = Vec::new();
    if deeper > 0 {
        about.push(counted(deeper as u64, "level deeper", "levels deeper"));
    }
    about.extend([&line.phase, &line.ran].into_iter().filter(|text| !text.is_empty()).map(|text| escaped(text)));
    out += &format!(" <span class=\"faint\">{}</span>", about.join(" · "));
    match line.end.as_str() {
        "" => {}
        "-" => out += " <span class=\"end runs\">still running</span>",
        "0" => out += " <span class=\"end\">exit 0</span>",
        end if end.bytes().all(|byte| byte.is_ascii_digit()) => {
            out += &format!(" <span class=\"end failed\">exit {end}</span>");
        }
        end => out += &format!(" <span class=\"end failed\">{}</span>", escaped(end)),
    }
    for later in &node.later {
        out += &format!(" <span class=\"later\">→ {}</span>", code(&later.words));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Line, MAX_DEPTH, drawn};

    fn line(depth: usize) -> Line {
        Line { words: format!("process at {depth}"), depth, ..Line::default() }
    }

    fn closes_what_it_opens(markup: &str) -> bool {
        ["ul", "li", "details", "summary", "div", "span", "code"].iter().all(|name| {
            let opened = markup.matches(&format!("<{name}>")).count() + markup.matches(&format!("<{name} ")).count();
            opened == markup.matches(&format!("</{name}>")).count()
        })
    }

    #[test]
    fn a_parent_folds_its_children() {
        let markup = drawn(&[line(0), line(1), line(2), line(1), line(0)]);

        assert!(closes_what_it_opens(&markup), "{markup}");
        assert_eq!(markup.matches("<details").count(), 2);
    }

    #[test]
    fn a_later_program_is_in_the_row_of_its_process() {
        let later = Line { words: "next".to_owned(), is_later: true, ..Line::default() };

        let markup = drawn(&[line(0), later]);

        assert_eq!(markup.matches("<li>").count(), 1, "{markup}");
        assert!(markup.contains("→ <code>next</code>"), "{markup}");
    }

    #[test]
    fn a_chain_of_thousands_is_nested_no_deeper_than_browsers_do() {
        let chain: Vec<Line> = (0..4096).map(line).collect();

        let markup = drawn(&chain);

        assert!(closes_what_it_opens(&markup));
        assert_eq!(markup.matches("<details").count(), MAX_DEPTH);
        assert!(markup.contains("4,065 levels deeper"), "{markup}");
        assert!((0..4096).all(|depth| markup.contains(&format!("<code>process at {depth}</code>"))));
    }
}
