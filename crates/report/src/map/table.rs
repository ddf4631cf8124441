//! The map on a terminal: who, whom, through what, and how much.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use event::Text;

use super::label::{about, service};
use super::{Edge, EdgeKind, Map, NodeKind, Translation};
use crate::TableOptions;
use crate::render::{Column, Fit, Style, address_and_port, bytes, count, counted, lay_out, wrap};

/// Without `all`, so many lines; the rest is counted.
const MOST_LINES: usize = 60;
/// Fewer columns than this are not a terminal that anybody reads on.
const MIN_WIDTH: usize = 40;

/// The map for a terminal: the most traffic first, files at the end. No line is wider than the terminal, and text that a
/// container chose is made harmless.
pub fn table(map: &Map, options: &TableOptions) -> String {
    let width = options.width.max(MIN_WIDTH);
    let names: BTreeMap<&Text, String> = map.nodes.iter().map(|node| (&node.id, name_of(map, node))).collect();
    let mut out = String::new();
    let paragraph = |out: &mut String, text: &str, style: Style| {
        for line in wrap(text, width) {
            out.push_str(&style.paint(&line, options.colour));
            out.push('\n');
        }
    };

    let containers = map.nodes.iter().filter(|node| node.kind == NodeKind::Container).count() as u64;
    let flows = map.edges.iter().filter(|edge| edge.kind == EdgeKind::Flow);
    let connections = flows.fold(0u64, |sum, edge| sum.saturating_add(edge.connections));
    let head = [
        counted(containers, "container", "containers"),
        counted(map.edges.len() as u64, "edge", "edges"),
        counted(connections, "connection", "connections"),
    ];
    paragraph(&mut out, &head.join(", "), Style::Title);

    let mut edges: Vec<&Edge> = map.edges.iter().collect();
    edges.sort_by_key(|edge| {
        let traffic = edge.sent_bytes.saturating_add(edge.received_bytes);
        (edge.kind, Reverse(traffic), Reverse(edge.connections))
    });
    let shown = if options.all { edges.len() } else { edges.len().min(MOST_LINES) };
    if shown > 0 {
        out.push('\n');
        let column = |title, fit, style| Column { title, fit, style };
        let columns = [
            column("FROM", Fit::CutEnd, Style::Title),
            column("TO", Fit::CutEnd, Style::Title),
            column("THROUGH", Fit::CutFront, Style::Plain),
            column("COUNT", Fit::Right, Style::Plain),
            column("SENT", Fit::Right, Style::Plain),
            column("RECEIVED", Fit::Right, Style::Plain),
            column("SEEN AS", Fit::CutEnd, Style::Faint),
        ];
        let rows: Vec<Vec<String>> = edges[..shown]
            .iter()
            .map(|edge| {
                let sizes = match edge.kind {
                    EdgeKind::Flow => [bytes(edge.sent_bytes), bytes(edge.received_bytes)],
                    EdgeKind::File => [bytes(edge.sent_bytes), String::new()],
                };
                let [sent, received] = sizes;
                let [from, to] = [&edge.from, &edge.to].map(|id| names.get(id).cloned().unwrap_or_default());
                vec![from, to, service(edge), count(edge.connections), sent, received, edge.seen.name().to_owned()]
            })
            .collect();
        let mut lines = lay_out(&columns, &rows, width, options.colour).into_iter();
        for line in lines.by_ref().take(1) {
            out.push_str(&line);
            out.push('\n');
        }
        for (line, edge) in lines.zip(&edges) {
            out.push_str(&line);
            out.push('\n');
            let remarks = remarks(edge);
            if !remarks.is_empty() {
                for line in wrap(&remarks, width - 4) {
                    out.push_str("    ");
                    out.push_str(&Style::Faint.paint(&line, options.colour));
                    out.push('\n');
                }
            }
        }
    }
    if shown < edges.len() {
        let more = counted((edges.len() - shown) as u64, "more edge", "more edges");
        paragraph(&mut out, &format!("… {more}: --all shows them"), Style::Faint);
    }

    let talks: BTreeSet<&Text> = map.edges.iter().flat_map(|edge| [&edge.from, &edge.to]).collect();
    let alone = map.nodes.iter().filter(|node| !talks.contains(&node.id)).map(|node| names[&node.id].clone());
    let alone: Vec<String> = alone.collect();
    let unsure: Vec<String> =
        map.nodes.iter().filter(|node| !node.complete).map(|node| names[&node.id].clone()).collect();
    for (text, list, style) in [("Talked to nobody", alone, Style::Plain), ("Not all is known of", unsure, Style::Bad)]
    {
        if !list.is_empty() {
            out.push('\n');
            paragraph(&mut out, &format!("{text}: {}", list.join(", ")), style);
        }
    }
    out
}

/// What a node is called; with its pod, and its host if there are several.
fn name_of(map: &Map, node: &super::Node) -> String {
    let (mut name, _) = about(node);
    if let Some(pod) = &node.pod {
        name = format!("{}/{name}", pod.shown());
    }
    if node.kind == NodeKind::Host {
        return if name == "host" { name } else { format!("host {name}") };
    }
    let hosts: BTreeSet<&Text> = map.nodes.iter().filter_map(|node| node.host.as_ref()).collect();
    match &node.host {
        Some(host) if hosts.len() > 1 => format!("{name} on {}", host.shown()),
        _ => name,
    }
}

/// What the columns leave open.
fn remarks(edge: &Edge) -> String {
    let mut parts: Vec<String> = Vec::new();
    if edge.failures > 0 {
        parts.push(format!("{} failed", count(edge.failures)));
    }
    parts.extend(edge.translated.iter().take(3).map(translation));
    if edge.translated.len() > 3 {
        parts.push(format!("{} more addresses", count(edge.translated.len() as u64 - 3)));
    }
    let sides = [&edge.client, &edge.server];
    if sides.iter().any(|side| side.is_some_and(|figures| figures.shared_out)) {
        parts.push("shared out from a sum".to_owned());
    }
    if let (true, Some(client), Some(server)) = (edge.differs, edge.client, edge.server) {
        let [there, back] = [server.received_bytes, client.received_bytes].map(bytes);
        parts.push(format!("of that {there} and {back} arrived"));
    }
    let files: Vec<String> = edge.files.iter().take(3).map(|file| file.shown().into_owned()).collect();
    if !files.is_empty() {
        let more = edge.connections.saturating_sub(files.len() as u64);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        parts.push(format!("{}{more}", files.join(", ")));
    }
    parts.join("; ")
}

fn translation(one: &Translation) -> String {
    let asked = address_and_port(&one.asked_address, one.asked_port);
    match one.reached_address.as_bytes() {
        b"" => format!("asked {asked}, is port {}", one.reached_port),
        _ => format!("asked {asked}, is {}", address_and_port(&one.reached_address, one.reached_port)),
    }
}
