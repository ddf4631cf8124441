//! The map in its final form: nodes and edges with names, in an order that depends on nothing but what is in them.

use std::collections::{BTreeMap, BTreeSet};

use event::Text;

use super::collect::Ground;
use super::files::Files;
use super::resolve::{Edges, Found, Key, Outside, Who};
use super::{Edge, EdgeKind, Figures, Map, Node, NodeKind, Seen};
use crate::FormatVersion;

/// A node lists no more addresses than this.
const MOST_ADDRESSES: usize = 64;

pub(super) fn map(ground: &Ground, edges: Edges, files: Files) -> Map {
    let mut addresses: BTreeMap<&Who, BTreeSet<&Text>> = BTreeMap::new();
    for (key, found) in &edges {
        for who in [&key.from, &key.to] {
            addresses.entry(who).or_default().extend(&found.addresses);
        }
    }
    let mut used: BTreeSet<Who> = edges.keys().flat_map(|key| [key.from.clone(), key.to.clone()]).collect();
    used.extend(files.keys().flat_map(|&(writer, reader, _)| [Who::Container(writer), Who::Container(reader)]));
    // A pause container does nothing but hold namespaces: it is there only if it did more.
    let is_shown = |at: &usize| !ground.containers[*at].is_pod_sandbox;
    used.extend((0..ground.containers.len()).filter(is_shown).map(Who::Container));

    let mut nodes: Vec<(Who, Node)> = used
        .into_iter()
        .map(|who| {
            let seen = addresses.get(&who);
            let node = node(ground, &who, seen);
            (who, node)
        })
        .collect();
    nodes.sort_by(|(who, one), (other_who, other)| {
        let key = |node: &Node| (node.kind, node.host.clone(), node.name.clone(), node.id.clone());
        (key(one), who).cmp(&(key(other), other_who))
    });
    let mut taken: BTreeSet<Text> = BTreeSet::new();
    for (_, node) in &mut nodes {
        let mut number = 2;
        let first = node.id.clone();
        while !taken.insert(node.id.clone()) {
            node.id = Text::new([first.as_bytes(), format!("#{number}").as_bytes()].concat());
            number += 1;
        }
    }
    let ids: BTreeMap<&Who, &Text> = nodes.iter().map(|(who, node)| (who, &node.id)).collect();

    let flows = edges.iter().map(|(key, found)| flow(key, found, ids[&key.from], ids[&key.to]));
    let files = files.into_iter().map(|((writer, reader, host_path), handed)| Edge {
        from: ids[&Who::Container(writer)].clone(),
        to: ids[&Who::Container(reader)].clone(),
        kind: EdgeKind::File,
        protocol: None,
        port: 0,
        path: host_path,
        connections: handed.total,
        failures: 0,
        sent_bytes: handed.written_bytes.max(handed.read_bytes),
        received_bytes: 0,
        client: None,
        server: None,
        differs: false,
        translated: Vec::new(),
        seen: Seen::BothReports,
        files: handed.files.into_iter().collect(),
    });
    let mut edges: Vec<Edge> = flows.chain(files).collect();
    let places: BTreeMap<&Text, usize> = nodes.iter().enumerate().map(|(at, (_, node))| (&node.id, at)).collect();
    edges.sort_by_key(|edge| {
        (places[&edge.from], places[&edge.to], edge.kind, edge.protocol, edge.port, edge.path.clone())
    });
    Map { schema_version: FormatVersion, nodes: nodes.into_iter().map(|(_, node)| node).collect(), edges }
}

fn flow(key: &Key, found: &Found, from: &Text, to: &Text) -> Edge {
    let (client, server) = (found.client, found.server);
    // A sum that was shared out is a guess: the other side's own figure is better.
    let exact = |figures: Option<Figures>| figures.filter(|figures| !figures.shared_out);
    let sender_first = |sender: Option<u64>, receiver: Option<u64>, guess: Option<u64>, last: Option<u64>| {
        sender.or(receiver).or(guess).or(last).unwrap_or(0)
    };
    let sent = |figures: Option<Figures>| figures.map(|figures| figures.sent_bytes);
    let received = |figures: Option<Figures>| figures.map(|figures| figures.received_bytes);
    let differs = match (exact(client), exact(server)) {
        (Some(client), Some(server)) => {
            (client.sent_bytes, client.received_bytes) != (server.received_bytes, server.sent_bytes)
        }
        _ => false,
    };
    Edge {
        from: from.clone(),
        to: to.clone(),
        kind: EdgeKind::Flow,
        protocol: Some(key.protocol),
        port: key.port,
        path: key.path.clone(),
        connections: exact(client).or(exact(server)).or(client).or(server).map_or(0, |figures| figures.connections),
        failures: found.failures,
        sent_bytes: sender_first(sent(exact(client)), received(exact(server)), sent(client), received(server)),
        received_bytes: sender_first(sent(exact(server)), received(exact(client)), received(client), sent(server)),
        client,
        server,
        differs,
        translated: found.translated.iter().cloned().collect(),
        seen: found.seen,
        files: Vec::new(),
    }
}

fn node(ground: &Ground, who: &Who, seen: Option<&BTreeSet<&Text>>) -> Node {
    let outside = |id: String, name: Text| Node {
        id: joined("outside/", &Text::from(id)),
        kind: NodeKind::Outside,
        name,
        container: None,
        image: None,
        pod: None,
        host: None,
        addresses: seen.into_iter().flatten().take(MOST_ADDRESSES).map(|&text| text.clone()).collect(),
        total_addresses: seen.map_or(0, |seen| seen.len() as u64),
        complete: true,
    };
    match who {
        Who::Container(at) => {
            let container = &ground.containers[*at];
            Node {
                id: joined("container/", container.id.as_ref().unwrap_or(&container.name)),
                kind: NodeKind::Container,
                name: container.name.clone(),
                container: container.id.clone(),
                image: container.image.clone(),
                pod: container.pod.clone(),
                host: ground.hosts[container.host].name.clone(),
                addresses: container.addresses.iter().take(MOST_ADDRESSES).map(|ip| ip.to_string().into()).collect(),
                total_addresses: container.addresses.len() as u64,
                complete: container.complete,
            }
        }
        Who::Host(at) => {
            let host = &ground.hosts[*at];
            let name = host.name.clone().unwrap_or_else(|| "host".into());
            Node {
                id: joined("host/", &name),
                kind: NodeKind::Host,
                host: host.name.clone(),
                addresses: host.addresses.iter().take(MOST_ADDRESSES).map(|ip| ip.to_string().into()).collect(),
                total_addresses: host.addresses.len() as u64,
                ..outside(String::new(), name)
            }
        }
        Who::Outside(Outside::Name(name)) => {
            Node { id: joined("outside/", name), ..outside(String::new(), name.clone()) }
        }
        Who::Outside(Outside::Address(address)) => {
            Node { id: joined("outside/", address), ..outside(String::new(), address.clone()) }
        }
        Who::Outside(Outside::Names(first, number)) => Node {
            id: Text::new([b"outside/", first.as_bytes(), format!("+{}", number - 1).as_bytes()].concat()),
            ..outside(String::new(), format!("{number} names").into())
        },
        Who::Outside(Outside::Addresses(first, number)) => Node {
            id: Text::new([b"outside/", first.as_bytes(), format!("+{}", number - 1).as_bytes()].concat()),
            ..outside(String::new(), format!("{number} addresses").into())
        },
        Who::Outside(Outside::Others) => {
            Node { addresses: Vec::new(), total_addresses: 0, ..outside("*".to_owned(), "all others".into()) }
        }
        Who::Outside(Outside::Unknown) => {
            Node { addresses: Vec::new(), total_addresses: 0, ..outside("?".to_owned(), "not known".into()) }
        }
    }
}

fn joined(kind: &str, rest: &Text) -> Text {
    Text::new([kind.as_bytes(), rest.as_bytes()].concat())
}
