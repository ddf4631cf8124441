//! The map in Graphviz's language: <https://graphviz.org/doc/info/lang.html>.

use std::collections::BTreeMap;

use event::Text;

use super::label::{self, links};
use super::{Map, NodeKind};

pub(super) fn dot(map: &Map) -> String {
    let mut out = String::from(
        "digraph ringfence {\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n  \
         edge [fontname=\"sans-serif\", fontsize=10];\n",
    );
    let mut pods: BTreeMap<(Option<&Text>, &Text), Vec<usize>> = BTreeMap::new();
    for (at, node) in map.nodes.iter().enumerate() {
        match &node.pod {
            Some(pod) => pods.entry((node.host.as_ref(), pod)).or_default().push(at),
            None => out += &line(map, at, "  "),
        }
    }
    for (number, ((_, pod), members)) in pods.into_iter().enumerate() {
        out += &format!("  subgraph cluster_{number} {{\n    label={};\n", quoted(&[&pod.shown()]));
        for at in members {
            out += &line(map, at, "    ");
        }
        out += "  }\n";
    }
    for link in links(map) {
        let lines = link.lines();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let style = match () {
            () if link.is_of_files() => ", style=dashed",
            () if link.is_failed() => ", style=dotted",
            () => "",
        };
        out += &format!("  n{} -> n{} [label={}{style}];\n", link.from, link.to, quoted(&lines));
    }
    out + "}\n"
}

fn line(map: &Map, at: usize, indent: &str) -> String {
    let node = &map.nodes[at];
    let (name, second) = label::about(node);
    let style = match node.kind {
        NodeKind::Container => "",
        NodeKind::Host => ", style=bold",
        NodeKind::Outside => ", shape=ellipse, style=solid",
    };
    format!("{indent}n{at} [label={}{style}];\n", quoted(&[&name, &second]))
}

/// Lines as one string. Graphviz reads escapes behind a backslash and the entities of HTML.
fn quoted(lines: &[&str]) -> String {
    let mut out = String::from("\"");
    for (at, line) in lines.iter().filter(|line| !line.is_empty()).enumerate() {
        if at > 0 {
            out += "\\n";
        }
        for c in line.chars() {
            match c {
                '"' => out += "\\\"",
                '\\' => out += "\\\\",
                '&' => out += "&amp;",
                c => out.push(c),
            }
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_text_cannot_end_its_string() {
        assert_eq!(quoted(&["a\"]; b -> c [x=\"", "\\"]), r#""a\"]; b -> c [x=\"\n\\""#);
        assert_eq!(quoted(&["&lt;", ""]), "\"&amp;lt;\"");
    }
}
