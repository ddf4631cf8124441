//! What drawings say of all that goes from one node to another, in few words.

use std::collections::BTreeMap;

use event::Text;

use super::{Edge, EdgeKind, Map, Node, NodeKind};
use crate::render::{bytes, count, counted, cut, cut_front, short_id, width};

/// A label names so many ports.
const MOST_SERVICES: usize = 3;
/// A line of a label is no wider, in columns of a terminal.
pub(super) const WIDEST: usize = 30;

/// All edges from one node to another, as one line of a drawing.
pub(super) struct Link<'a> {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) edges: Vec<&'a Edge>,
}

/// The links in the order of their nodes; those of files are apart.
pub(super) fn links(map: &Map) -> Vec<Link<'_>> {
    let places: BTreeMap<&Text, usize> = map.nodes.iter().enumerate().map(|(at, node)| (&node.id, at)).collect();
    let mut links: BTreeMap<(usize, usize, EdgeKind), Vec<&Edge>> = BTreeMap::new();
    for edge in &map.edges {
        let (Some(&from), Some(&to)) = (places.get(&edge.from), places.get(&edge.to)) else { continue };
        links.entry((from, to, edge.kind)).or_default().push(edge);
    }
    links.into_iter().map(|((from, to, _), edges)| Link { from, to, edges }).collect()
}

impl Link<'_> {
    pub(super) fn is_of_files(&self) -> bool {
        self.edges.iter().all(|edge| edge.kind == EdgeKind::File)
    }

    /// Nothing went over it: all that was tried failed.
    pub(super) fn is_failed(&self) -> bool {
        !self.is_of_files() && self.sum(|edge| edge.connections) == 0 && self.sum(|edge| edge.failures) > 0
    }

    pub(super) fn sum(&self, of: fn(&Edge) -> u64) -> u64 {
        self.edges.iter().fold(0, |sum, edge| sum.saturating_add(of(edge)))
    }

    /// The ports with the most traffic, and how much it is: safe for a terminal, each no wider than a label.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut edges = self.edges.clone();
        edges.sort_by_key(|edge| std::cmp::Reverse(edge.sent_bytes.saturating_add(edge.received_bytes)));
        let mut services: Vec<String> = Vec::new();
        for edge in &edges {
            let name = in_short(edge);
            if !services.contains(&name) {
                services.push(name);
            }
        }
        let more = services.len().saturating_sub(MOST_SERVICES);
        services.truncate(MOST_SERVICES);
        let mut first = together(&services);
        if more > 0 {
            first += &format!(" +{more}");
        }
        let mut second: Vec<String> = Vec::new();
        if self.is_of_files() {
            second.push(counted(self.sum(|edge| edge.connections), "file", "files"));
            let written = self.sum(|edge| edge.sent_bytes);
            if written > 0 {
                second.push(bytes(written));
            }
        } else if !self.is_failed() {
            second.push(format!("→ {}", bytes(self.sum(|edge| edge.sent_bytes))));
            second.push(format!("← {}", bytes(self.sum(|edge| edge.received_bytes))));
        }
        let failures = self.sum(|edge| edge.failures);
        if failures > 0 {
            second.push(format!("{} failed", count(failures)));
        }
        vec![cut(&first, WIDEST), cut(&second.join(" "), WIDEST)]
    }
}

/// `tcp 80, 443` of `tcp 80` and `tcp 443`.
fn together(services: &[String]) -> String {
    let mut out = String::new();
    let mut protocol = "";
    for name in services {
        let (this, rest) = name.split_once(' ').unwrap_or((name, ""));
        if out.is_empty() {
            out = name.clone();
        } else if this == protocol && !rest.is_empty() {
            out += &format!(", {rest}");
        } else {
            out += &format!(", {name}");
        }
        protocol = this;
    }
    out
}

/// As [`service`], and no wider than a label: of a path the end says more.
fn in_short(edge: &Edge) -> String {
    let whole = service(edge);
    match whole.split_once(' ') {
        Some((kind, path)) if !edge.path.is_empty() => {
            format!("{kind} {}", cut_front(path, WIDEST.saturating_sub(width(kind) + 1)))
        }
        _ => whole,
    }
}

/// The name of an engine's volume, by where it is on the host: `…/volumes/NAME/_data` (Docker and Podman).
fn volume(host_path: &Text) -> Option<Text> {
    let below = host_path.as_bytes().strip_suffix(b"/_data")?;
    let (_, name) = std::str::from_utf8(below).ok()?.rsplit_once("/volumes/")?;
    (!name.is_empty() && !name.contains('/')).then(|| name.into())
}

/// `tcp 80`, `unix-stream /run/a.sock`, `volume NAME`, `files /srv/data`; safe for a terminal.
pub(super) fn service(edge: &Edge) -> String {
    match edge.protocol {
        None => match volume(&edge.path) {
            Some(name) => format!("volume {}", name.shown()),
            None => format!("files {}", edge.path.shown()),
        },
        Some(protocol) if edge.path.is_empty() && edge.port == 0 => protocol.name().to_owned(),
        Some(protocol) if edge.path.is_empty() => format!("{} {}", protocol.name(), edge.port),
        Some(protocol) => format!("{} {}", protocol.name(), edge.path.shown()),
    }
}

/// What a node is called, and a second line about it that may be empty: both safe for a terminal.
pub(super) fn about(node: &Node) -> (String, String) {
    let name = if node.kind == NodeKind::Container && node.container.as_ref() == Some(&node.name) {
        short_id(&node.name)
    } else {
        node.name.shown().into_owned()
    };
    let shown = |text: &Text| text.shown().into_owned();
    let second = match node.kind {
        NodeKind::Container => match (&node.image, &node.container) {
            (Some(image), _) => shown(image),
            (None, Some(id)) if *id != node.name => short_id(id),
            (None, _) => String::new(),
        },
        NodeKind::Host => "host".to_owned(),
        NodeKind::Outside => match node.addresses.as_slice() {
            [] => String::new(),
            [only] if *only == node.name => "outside".to_owned(),
            [first, ..] if node.total_addresses > 1 => format!("{} …", first.shown()),
            [first, ..] => shown(first),
        },
    };
    (name, second)
}

#[cfg(test)]
mod tests {
    use event::Text;

    use super::{together, volume};

    #[test]
    fn a_volume_is_known_by_its_folder() {
        let name = |path: &str| volume(&Text::from(path)).map(|name| name.to_string());

        assert_eq!(name("/var/lib/docker/volumes/data/_data").as_deref(), Some("data"));
        assert_eq!(name("/home/u/.local/share/containers/storage/volumes/v/_data").as_deref(), Some("v"));
        assert_eq!([name("/srv/_data"), name("/volumes/a/b/_data"), name("/volumes/a")], [None, None, None]);
    }

    #[test]
    fn ports_of_one_protocol_stand_together() {
        let services = ["tcp 80", "tcp 443", "udp 53", "icmp"].map(str::to_owned);

        assert_eq!(together(&services), "tcp 80, 443, udp 53, icmp");
    }
}
