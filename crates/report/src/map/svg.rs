//! The map as a drawing.

use std::collections::{BTreeMap, BTreeSet};

use event::Text;

use super::label::{self, Link, links, service};
use super::layout::{Box, Line, Route, layout};
use super::{Edge, Map, NodeKind};
use crate::Report;
use crate::render::{bytes, count, counted, cut, escaped, width};

/// What makes it look as it does, in a file of its own and within the HTML report.
const STYLE: &str = include_str!("map.css");

/// A drawing has no more boxes than this; those with the least traffic are counted below it.
const MOST_BOXES: usize = 160;
/// And no more lines.
const MOST_LINKS: usize = 500;
/// Around all of it.
const MARGIN: f64 = 16.0;
/// How wide a character of the two sizes of text is: of fonts with a fixed width none that is usual has wider ones
/// (0.6 and 0.62 of their size).
const NAME_WIDTH: f64 = 7.45;
const SMALL_WIDTH: f64 = 6.5;
const NAME_HEIGHT: f64 = 16.0;
const SMALL_HEIGHT: f64 = 13.5;
/// Between text and the edge of its box.
const PAD: f64 = 10.0;
/// No name or second line is wider, in columns of a terminal.
const WIDEST: usize = 34;
/// Lines arrive so far apart, if the box is to have room for them.
const LINE_STEP: f64 = 7.0;
/// A box grows no higher than this for its lines.
const HIGHEST: f64 = 260.0;
/// Boxes without lines stand in rows no wider than this.
const ROW_WIDTH: f64 = 1100.0;
/// A label's text and the line below it.
const LABEL_GAP: f64 = 4.0;

/// One box: a container, a host, somebody outside.
struct Member {
    node: usize,
    /// What stands in it: the name, then smaller lines.
    name: String,
    small: Vec<String>,
    width: f64,
    height: f64,
    /// Below the upper edge of its unit.
    top: f64,
}

/// What the layout moves as one: one box, or all boxes of a pod.
struct Unit {
    pod: Option<String>,
    members: Vec<Member>,
    width: f64,
    height: f64,
}

impl Unit {
    /// How far within it its boxes are, on the left and on the right.
    fn inset(&self) -> f64 {
        if self.pod.is_some() { PAD } else { 0.0 }
    }
}

/// The map as an SVG file: light or dark as the reader's system is, with all details of a line shown where the pointer
/// rests on it. No text of a container can become markup.
pub fn svg(map: &Map) -> String {
    let (drawing, ..) = drawn(map, None, true);
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{drawing}")
}

/// What one report says of its container's peers, as a drawing for a page that has the style of maps; none if it has no
/// peers.
pub fn ego(report: &Report) -> Option<String> {
    let map = Map::of(std::slice::from_ref(report));
    let middle = map.nodes.iter().position(|node| node.kind == NodeKind::Container)?;
    (map.nodes.len() > 1).then(|| drawn(&map, Some(middle), false).0)
}

/// The drawing, and how wide and high it is.
fn drawn(map: &Map, middle: Option<usize>, has_style: bool) -> (String, f64, f64) {
    let (links, left_out) = most_important(map, middle);
    let units = units(map, &links, &left_out);
    let mut unit_of: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    for (at, unit) in units.iter().enumerate() {
        for (position, member) in unit.members.iter().enumerate() {
            unit_of.insert(member.node, (at, position));
        }
    }
    let between: Vec<&Link<'_>> = links.iter().filter(|link| unit_of[&link.from].0 != unit_of[&link.to].0).collect();
    let linked: BTreeSet<usize> =
        between.iter().flat_map(|link| [unit_of[&link.from].0, unit_of[&link.to].0]).collect();
    let placed: Vec<usize> = linked.iter().copied().collect();
    let position: BTreeMap<usize, usize> = placed.iter().enumerate().map(|(at, &unit)| (unit, at)).collect();

    let boxes: Vec<Box> =
        placed.iter().map(|&unit| Box { width: units[unit].width, height: units[unit].height }).collect();
    let mut lines: Vec<Line> = between.iter().map(|link| line(link, &units, &unit_of, &position)).collect();
    // Where lines meet a box is known only when it is known from where they come: the first layout says that.
    let first = layout(&boxes, &lines);
    spread(&mut lines, &between, &units, &unit_of, &first.routes);
    let found = layout(&boxes, &lines);

    let mut corners: Vec<(f64, f64)> = vec![(0.0, 0.0); units.len()];
    for (&unit, &corner) in placed.iter().zip(&found.boxes) {
        corners[unit] = corner;
    }
    let (mut wide, mut high) = (found.width, found.height);
    let (mut x, mut y, mut row) = (0.0, if placed.is_empty() { 0.0 } else { high + 28.0 }, 0.0_f64);
    for (at, unit) in units.iter().enumerate().filter(|(at, _)| !linked.contains(at)) {
        if x > 0.0 && x + unit.width > found.width.max(ROW_WIDTH) {
            (x, y) = (0.0, y + row + 18.0);
            row = 0.0;
        }
        corners[at] = (x, y);
        row = row.max(unit.height);
        (wide, high) = (wide.max(x + unit.width), y + row);
        x += unit.width + 18.0;
    }
    let more = left_out.len();
    let note = (more > 0).then(|| format!("and {} with less traffic", counted(more as u64, "other", "others")));
    if let Some(note) = &note {
        wide = wide.max(width(note) as f64 * NAME_WIDTH);
        high += 28.0;
    }

    let (wide, high) = (wide + 2.0 * MARGIN, high + 2.0 * MARGIN);
    let containers = map.nodes.iter().filter(|node| node.kind == NodeKind::Container).count() as u64;
    let about = format!("map of {}", counted(containers, "container", "containers"));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"map\" width=\"{wide:.0}\" height=\"{high:.0}\" \
         viewBox=\"{} {} {wide:.0} {high:.0}\" role=\"img\" aria-label=\"{about}\">\n",
        -MARGIN, -MARGIN,
    );
    if has_style {
        // The background of an SVG file itself is not the reader's to choose in every program.
        out += &format!("<style>{STYLE}.map .map-back {{ fill: var(--map-page); stroke: none; }}\n</style>\n");
        out += &format!(
            "<rect class=\"map-back\" x=\"{}\" y=\"{}\" width=\"{wide:.0}\" height=\"{high:.0}\"/>\n",
            -MARGIN, -MARGIN
        );
    }
    for (link, route) in between.iter().zip(&found.routes) {
        out += &link_markup(map, link, route, [link.from, link.to].map(|node| units[unit_of[&node].0].inset()));
    }
    for (unit, &(x, y)) in units.iter().zip(&corners) {
        out += &unit_markup(map, unit, x, y, middle);
    }
    if let Some(note) = note {
        out +=
            &format!("<text class=\"map-small\" x=\"0\" y=\"{:.1}\">{}</text>\n", high - 2.0 * MARGIN, escaped(&note));
    }
    (out + "</svg>\n", wide, high)
}

/// The links between the nodes with the most traffic, and the nodes that are left out.
fn most_important(map: &Map, middle: Option<usize>) -> (Vec<Link<'_>>, BTreeSet<usize>) {
    let all = links(map);
    let mut traffic: Vec<(bool, u64, u64)> = vec![(false, 0, 0); map.nodes.len()];
    let sum = |link: &Link<'_>| {
        let bytes = link.sum(|edge| edge.sent_bytes).saturating_add(link.sum(|edge| edge.received_bytes));
        (bytes, link.sum(|edge| edge.connections))
    };
    for link in &all {
        let (bytes, connections) = sum(link);
        for at in [link.from, link.to] {
            traffic[at].1 = traffic[at].1.saturating_add(bytes);
            traffic[at].2 = traffic[at].2.saturating_add(connections);
        }
    }
    if let Some(middle) = middle {
        traffic[middle].0 = true;
    }
    let mut nodes: Vec<usize> = (0..map.nodes.len()).collect();
    nodes.sort_by_key(|&at| std::cmp::Reverse(traffic[at]));
    let left_out: BTreeSet<usize> = nodes.into_iter().skip(MOST_BOXES).collect();
    let mut links: Vec<Link<'_>> = all;
    links.retain(|link| !left_out.contains(&link.from) && !left_out.contains(&link.to));
    links.sort_by_key(|link| std::cmp::Reverse(sum(link)));
    links.truncate(MOST_LINKS);
    links.sort_by_key(|link| (link.from, link.to, link.is_of_files()));
    (links, left_out)
}

fn units(map: &Map, links: &[Link<'_>], left_out: &BTreeSet<usize>) -> Vec<Unit> {
    let mut pods: BTreeMap<(Option<&Text>, &Text), usize> = BTreeMap::new();
    let mut units: Vec<Unit> = Vec::new();
    for at in (0..map.nodes.len()).filter(|at| !left_out.contains(at)) {
        let member = member(map, at, links);
        let node = &map.nodes[at];
        let unit = match &node.pod {
            Some(pod) => *pods.entry((node.host.as_ref(), pod)).or_insert_with(|| {
                let name = cut(&format!("pod {}", pod.shown()), WIDEST);
                units.push(Unit { pod: Some(name), members: Vec::new(), width: 0.0, height: 0.0 });
                units.len() - 1
            }),
            None => {
                units.push(Unit { pod: None, members: Vec::new(), width: 0.0, height: 0.0 });
                units.len() - 1
            }
        };
        units[unit].members.push(member);
    }
    for unit in &mut units {
        let inset = unit.inset();
        let title = unit.pod.as_deref().map_or(0.0, |name| width(name) as f64 * SMALL_WIDTH);
        let widest = unit.members.iter().map(|member| member.width).fold(title, f64::max);
        let mut y = if unit.pod.is_some() { NAME_HEIGHT + 6.0 } else { 0.0 };
        for (at, member) in unit.members.iter_mut().enumerate() {
            y += if at > 0 { 8.0 } else { 0.0 };
            member.top = y;
            member.width = widest;
            y += member.height;
        }
        (unit.width, unit.height) = ((widest + 2.0 * inset).round(), (y + inset).round());
    }
    units
}

fn member(map: &Map, at: usize, links: &[Link<'_>]) -> Member {
    let node = &map.nodes[at];
    let (name, second) = label::about(node);
    let mut small: Vec<String> = Vec::new();
    if !second.is_empty() {
        small.push(cut(&second, WIDEST));
    }
    // What stays in the same pod, or within the container, needs no line.
    let stays = |link: &&Link<'_>| {
        let (from, to) = (&map.nodes[link.from], &map.nodes[link.to]);
        link.from == at && (link.to == at || (from.pod.is_some() && (&from.pod, &from.host) == (&to.pod, &to.host)))
    };
    for link in links.iter().filter(stays) {
        let to = if link.to == at { "itself".to_owned() } else { label::about(&map.nodes[link.to]).0 };
        let parts = link.lines();
        small.push(cut(&format!("↳ {to}: {}", parts.join(" ")), WIDEST + 14));
    }
    let name = cut(&name, WIDEST);
    let widths = small.iter().map(|line| width(line) as f64 * SMALL_WIDTH);
    let text_width = widths.fold(width(&name) as f64 * NAME_WIDTH, f64::max);
    let text_height = NAME_HEIGHT + small.len() as f64 * SMALL_HEIGHT;
    let arriving = links.iter().filter(|link| link.to == at && link.from != at).count();
    let leaving = links.iter().filter(|link| link.from == at && link.to != at).count();
    let for_lines = (LINE_STEP * (arriving.max(leaving) + 1) as f64).min(HIGHEST);
    Member {
        node: at,
        name,
        small,
        width: (text_width + 2.0 * PAD).max(70.0).round(),
        height: (text_height + 1.2 * PAD).max(for_lines).round(),
        top: 0.0,
    }
}

fn line(
    link: &Link<'_>,
    units: &[Unit],
    unit_of: &BTreeMap<usize, (usize, usize)>,
    position: &BTreeMap<usize, usize>,
) -> Line {
    let lines = link.lines();
    let widest = lines.iter().map(|line| width(line)).max().unwrap_or(0) as f64 * SMALL_WIDTH;
    let shown = lines.iter().filter(|line| !line.is_empty()).count() as f64;
    let middle = |node: usize| {
        let (unit, at) = unit_of[&node];
        let member = &units[unit].members[at];
        (position[&unit], member.top + member.height / 2.0)
    };
    let ((from, from_y), (to, to_y)) = (middle(link.from), middle(link.to));
    let label = Box { width: (widest + 16.0).round(), height: shown * SMALL_HEIGHT + LABEL_GAP };
    Line { from, to, from_y, to_y, label }
}

/// How far down a line comes from, which one it is, and whether it begins there.
type Meeting = (f64, usize, bool);

/// Lines that meet the same side of a box meet it one below the other, in the order of where they come from.
fn spread(
    lines: &mut [Line],
    links: &[&Link<'_>],
    units: &[Unit],
    unit_of: &BTreeMap<usize, (usize, usize)>,
    routes: &[Route],
) {
    // By node and side.
    let mut sides: BTreeMap<(usize, bool), Vec<Meeting>> = BTreeMap::new();
    for (at, (link, route)) in links.iter().zip(routes).enumerate() {
        let (Some(first), Some(last)) = (route.pieces.get(1), route.pieces.len().checked_sub(2)) else { continue };
        let last = route.pieces[last];
        let (left, right) = if route.turned { (link.to, link.from) } else { (link.from, link.to) };
        sides.entry((left, true)).or_default().push((first.2, at, !route.turned));
        sides.entry((right, false)).or_default().push((last.2, at, route.turned));
    }
    for ((node, _), mut meeting) in sides {
        meeting.sort_by(|(one, at, _), (other, other_at, _)| one.total_cmp(other).then(at.cmp(other_at)));
        let (unit, position) = unit_of[&node];
        let member = &units[unit].members[position];
        let step = (member.height / (meeting.len() + 1) as f64).min(14.0);
        let first = member.top + member.height / 2.0 - step * (meeting.len() - 1) as f64 / 2.0;
        for (number, (_, at, begins)) in meeting.into_iter().enumerate() {
            let y = first + step * number as f64;
            if begins { lines[at].from_y = y } else { lines[at].to_y = y }
        }
    }
}

/// `insets`: how far within what the layout moved the two boxes are.
fn link_markup(map: &Map, link: &Link<'_>, route: &Route, insets: [f64; 2]) -> String {
    let class = match () {
        () if link.is_of_files() => "map-link map-file",
        () if link.is_failed() => "map-link map-failed",
        () => "map-link",
    };
    let mut out = format!("<g class=\"{class}\"><title>{}</title>", escaped(&details(map, link)));
    let mut pieces = route.pieces.clone();
    let [left_inset, right_inset] = if route.turned { [insets[1], insets[0]] } else { insets };
    if let Some(first) = pieces.first_mut() {
        first.0 -= left_inset;
    }
    if let Some(last) = pieces.last_mut() {
        last.1 += right_inset;
    }
    let mut path = String::new();
    let mut end: Option<(f64, f64)> = None;
    for &(left, right, y) in &pieces {
        match end {
            None => path += &format!("M{left:.1} {y:.1}"),
            Some((x, before)) => {
                let half = (left - x) / 2.0;
                path += &format!("C{:.1} {before:.1} {:.1} {y:.1} {left:.1} {y:.1}", x + half, left - half);
            }
        }
        if right > left {
            path += &format!("H{right:.1}");
        }
        end = Some((right, y));
    }
    out += &format!("<path d=\"{path}\"/>");
    // The head of the arrow, at the box that is asked.
    let (first, last) = (pieces.first(), pieces.last());
    let head = if route.turned { first.map(|&(x, _, y)| (x, y, 8.0)) } else { last.map(|&(_, x, y)| (x, y, -8.0)) };
    if let Some((x, y, back)) = head {
        let (behind, above, below) = (x + back, y - 4.0, y + 4.0);
        out += &format!("<polygon points=\"{x:.1},{y:.1} {behind:.1},{above:.1} {behind:.1},{below:.1}\"/>");
    }
    let lines = link.lines();
    let shown: Vec<&String> = lines.iter().filter(|line| !line.is_empty()).collect();
    let (x, bottom) = route.label;
    for (at, line) in shown.iter().enumerate() {
        let y = bottom - LABEL_GAP - (shown.len() - 1 - at) as f64 * SMALL_HEIGHT;
        out += &format!(
            "<text class=\"map-small\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{}</text>",
            escaped(line)
        );
    }
    out + "</g>\n"
}

/// Everything that went over a line, one edge after the other.
fn details(map: &Map, link: &Link<'_>) -> String {
    const MOST: usize = 12;
    let names = [link.from, link.to].map(|at| label::about(&map.nodes[at]).0);
    let told = link.edges.iter().take(MOST).map(|edge| detail(edge));
    let mut out = format!("{} → {}: {}", names[0], names[1], told.collect::<Vec<_>>().join("; "));
    if let Some(more @ 1..) = link.edges.len().checked_sub(MOST) {
        out += &format!("; and {more} more");
    }
    out
}

fn detail(edge: &Edge) -> String {
    if edge.protocol.is_none() {
        return format!("{}, {}", service(edge), counted(edge.connections, "file", "files"));
    }
    let failed = if edge.failures > 0 { format!(", {} failed", count(edge.failures)) } else { String::new() };
    format!(
        "{}, {}{failed}, → {}, ← {}, seen as {}",
        service(edge),
        counted(edge.connections, "connection", "connections"),
        bytes(edge.sent_bytes),
        bytes(edge.received_bytes),
        edge.seen.name()
    )
}

fn unit_markup(map: &Map, unit: &Unit, x: f64, y: f64, middle: Option<usize>) -> String {
    let mut out = String::new();
    let inset = unit.inset();
    if let Some(pod) = &unit.pod {
        out += &format!(
            "<g class=\"map-pod\"><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"9\"/>\
             <text class=\"map-small\" x=\"{:.1}\" y=\"{:.1}\">{}</text></g>\n",
            unit.width,
            unit.height,
            x + PAD,
            y + 15.0,
            escaped(pod)
        );
    }
    for member in &unit.members {
        let node = &map.nodes[member.node];
        let mut class = match node.kind {
            NodeKind::Container => "map-container",
            NodeKind::Host => "map-host",
            NodeKind::Outside => "map-outside",
        }
        .to_owned();
        if !node.complete {
            class += " map-gap";
        }
        if middle == Some(member.node) {
            class += " map-middle";
        }
        let (left, top) = (x + inset, y + member.top);
        let id = escaped(&node.id.shown());
        let gap = if node.complete { "" } else { " (not all is known)" };
        let round = if node.kind == NodeKind::Outside { 14 } else { 5 };
        out += &format!(
            "<g class=\"{class}\"><title>{id}{gap}</title>\
             <rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"{round}\"/>",
            member.width, member.height
        );
        let text_height = NAME_HEIGHT + member.small.len() as f64 * SMALL_HEIGHT;
        let mut baseline = top + (member.height - text_height) / 2.0 + 12.0;
        let text_x = left + PAD;
        out +=
            &format!("<text class=\"map-name\" x=\"{text_x:.1}\" y=\"{baseline:.1}\">{}</text>", escaped(&member.name));
        baseline += NAME_HEIGHT - SMALL_HEIGHT;
        for line in &member.small {
            baseline += SMALL_HEIGHT;
            out += &format!("<text class=\"map-small\" x=\"{text_x:.1}\" y=\"{baseline:.1}\">{}</text>", escaped(line));
        }
        out += "</g>\n";
    }
    out
}
