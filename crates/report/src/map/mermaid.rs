//! The map as a flowchart of Mermaid: <https://mermaid.js.org/syntax/flowchart.html>.

use std::collections::BTreeMap;

use event::Text;

use super::label::{self, links};
use super::{Map, NodeKind};

pub(super) fn mermaid(map: &Map) -> String {
    let mut out = String::from("flowchart LR\n");
    let mut pods: BTreeMap<(Option<&Text>, &Text), Vec<usize>> = BTreeMap::new();
    for (at, node) in map.nodes.iter().enumerate() {
        match &node.pod {
            Some(pod) => pods.entry((node.host.as_ref(), pod)).or_default().push(at),
            None => out += &line(map, at, "  "),
        }
    }
    for (number, ((_, pod), members)) in pods.into_iter().enumerate() {
        out += &format!("  subgraph p{number} [{}]\n", quoted(&[&pod.shown()]));
        for at in members {
            out += &line(map, at, "    ");
        }
        out += "  end\n";
    }
    for link in links(map) {
        let lines = link.lines();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let arrow = if link.is_of_files() || link.is_failed() { "-.->" } else { "-->" };
        out += &format!("  n{} {arrow}|{}| n{}\n", link.from, quoted(&lines), link.to);
    }
    out
}

fn line(map: &Map, at: usize, indent: &str) -> String {
    let node = &map.nodes[at];
    let (name, second) = label::about(node);
    let text = quoted(&[&name, &second]);
    match node.kind {
        NodeKind::Container => format!("{indent}n{at}[{text}]\n"),
        NodeKind::Host => format!("{indent}n{at}[[{text}]]\n"),
        NodeKind::Outside => format!("{indent}n{at}([{text}])\n"),
    }
}

/// Lines as one string. Every character that could mean something to Mermaid, to its Markdown or to the page around it
/// stands as its number.
fn quoted(lines: &[&str]) -> String {
    let mut out = String::from("\"");
    for (at, line) in lines.iter().filter(|line| !line.is_empty()).enumerate() {
        if at > 0 {
            out += "<br/>";
        }
        for c in line.chars() {
            match c {
                c if c.is_alphanumeric() || " -./:,+→←…".contains(c) => out.push(c),
                c => out += &format!("#{};", u32::from(c)),
            }
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_text_cannot_end_its_string_or_become_markup() {
        assert_eq!(quoted(&["a\"] --> b", ""]), "\"a#34;#93; --#62; b\"");
        assert_eq!(quoted(&["%%{x}", "<b>`#"]), "\"#37;#37;#123;x#125;<br/>#60;b#62;#96;#35;\"");
    }
}
