//! Whose the other end of each flow is. Both sides of a connection become one edge.

use core::net::Ipv4Addr;
use std::collections::{BTreeMap, BTreeSet};

use event::{Direction, Protocol, Text};

use super::collect::{Address, Flow, Ground, ip};
use super::{Figures, Seen, Translation};

/// Somebody at the end of an edge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    Container(usize),
    /// A process of this host, in no container that there is a report of.
    Host(usize),
    Outside(Outside),
}

/// Somebody who is not on any of the hosts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outside {
    /// Known by a name that was looked up.
    Name(Text),
    Address(Text),
    /// Several names or addresses as one; the smallest, and how many they are.
    Names(Text, usize),
    Addresses(Text, usize),
    /// Peers that the reports do not list.
    Others,
    /// Peers whose address is not known.
    Unknown,
}

/// What makes two flows one edge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) from: Who,
    pub(super) to: Who,
    pub(super) protocol: Protocol,
    pub(super) port: u32,
    /// Of a unix socket.
    pub(super) path: Text,
}

/// What is known of an edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) client: Option<Figures>,
    pub(super) server: Option<Figures>,
    pub(super) failures: u64,
    pub(super) translated: BTreeSet<Translation>,
    pub(super) seen: Seen,
    /// The addresses and names of whoever is outside.
    pub(super) addresses: BTreeSet<Text>,
}

pub(super) type Edges = BTreeMap<Key, Found>;

/// Every flow of every container, each in exactly one edge, or shared out among several without a rest.
pub(super) fn edges(ground: &Ground) -> Edges {
    let mut answers: BTreeMap<Service, Vec<&Flow>> = BTreeMap::new();
    for flow in ground.flows.iter().filter(|flow| flow.direction == Direction::In) {
        answers.entry((flow.owner, flow.protocol, flow.port)).or_default().push(flow);
    }
    let mut resolver = Resolver { ground, answers, edges: BTreeMap::new(), asked: BTreeMap::new() };
    let of = |direction| ground.flows.iter().filter(move |flow| flow.direction == direction);
    of(Direction::Out).for_each(|flow| resolver.ask(flow));
    of(Direction::In).for_each(|flow| resolver.answer(flow));
    resolver.edges
}

/// A container, a protocol, and the container's port.
type Service = (usize, Protocol, u32);

/// A flow of whoever began it, how many connections of it are meant, and how its other end was found.
type Asked<'a> = (&'a Flow, u64, Seen);

struct Resolver<'a> {
    ground: &'a Ground,
    /// What began elsewhere.
    answers: BTreeMap<Service, Vec<&'a Flow>>,
    edges: Edges,
    /// The edges to each container, with the flows of whoever began them.
    asked: BTreeMap<Service, BTreeMap<Key, Vec<Asked<'a>>>>,
}

/// A part of a flow: whose its other end is, and how many connections go there.
struct Part {
    who: Who,
    connections: u64,
    seen: Seen,
    /// The port of whoever was asked, as it has it itself.
    port: u32,
    translated: Option<Translation>,
}

/// Docker itself answers here, inside of each namespace, whoever asks for a name of a network that its user defined
/// (libnetwork's resolver).
const DOCKER_RESOLVER: Address = Address::V4(Ipv4Addr::new(127, 0, 0, 11));
const DNS_PORT: u32 = 53;

impl<'a> Resolver<'a> {
    /// A flow that the container began.
    fn ask(&mut self, flow: &'a Flow) {
        let parts = self.parts_of_asking(flow);
        self.book(flow, parts, |flow, who| (Who::Container(flow.owner), who));
    }

    /// A flow that the other end began.
    fn answer(&mut self, flow: &'a Flow) {
        let parts = self.parts_of_answering(flow);
        self.book(flow, parts, |flow, who| (who, Who::Container(flow.owner)));
    }

    /// Shares a flow out among its parts without a rest.
    fn book(&mut self, flow: &'a Flow, parts: Vec<Part>, ends: fn(&Flow, Who) -> (Who, Who)) {
        let shared_out = parts.len() > 1;
        let keys: Vec<Key> = parts
            .iter()
            .map(|part| {
                let (from, to) = ends(flow, part.who.clone());
                let is_asking_unix = flow.protocol.is_unix() && flow.direction == Direction::Out;
                let path = if is_asking_unix { flow.address.clone() } else { Text::default() };
                let key = Key { from, to, protocol: flow.protocol, port: part.port, path };
                self.with_the_path_of_its_socket(flow, key)
            })
            .collect();
        let shares = self.shares_by_the_other_side(flow, &keys).unwrap_or_else(|| shares(flow, &parts));
        for ((part, key), (sent_bytes, received_bytes, failures)) in parts.into_iter().zip(keys).zip(shares) {
            if let (Direction::Out, Who::Container(to)) = (flow.direction, &key.to) {
                let there = self.asked.entry((*to, key.protocol, key.port)).or_default();
                there.entry(key.clone()).or_default().push((flow, part.connections, part.seen));
            }
            let found = self.edges.entry(key).or_insert_with(|| Found::new(part.seen));
            let side = if flow.direction == Direction::Out { &mut found.client } else { &mut found.server };
            let figures = side.get_or_insert_default();
            figures.connections = figures.connections.saturating_add(part.connections);
            figures.sent_bytes = figures.sent_bytes.saturating_add(sent_bytes);
            figures.received_bytes = figures.received_bytes.saturating_add(received_bytes);
            figures.shared_out |= shared_out;
            found.failures = found.failures.saturating_add(failures);
            found.seen = found.seen.min(part.seen);
            found.translated.extend(part.translated);
            found.addresses.insert(flow.address.clone());
        }
    }

    /// What the parts of an answering flow have, as all who asked but the last counted it themselves; none if one of them
    /// did not, or they counted more than there is.
    fn shares_by_the_other_side(&self, flow: &Flow, keys: &[Key]) -> Option<Vec<(u64, u64, u64)>> {
        let (_, askers) = keys.split_last().filter(|(_, askers)| !askers.is_empty())?;
        if flow.direction == Direction::Out {
            return None;
        }
        let mut rest = (flow.sent_bytes, flow.received_bytes);
        let mut shares = Vec::new();
        for key in askers {
            let found = self.edges.get(key)?;
            let asked = found.client.filter(|figures| !figures.shared_out)?;
            let answered = found.server.unwrap_or_default();
            let sent = asked.received_bytes.checked_sub(answered.sent_bytes)?;
            let received = asked.sent_bytes.checked_sub(answered.received_bytes)?;
            rest = (rest.0.checked_sub(sent)?, rest.1.checked_sub(received)?);
            shares.push((sent, received, 0));
        }
        shares.push((rest.0, rest.1, flow.failures));
        Some(shares)
    }

    /// A unix socket may have one path where it was bound and another where it was asked for: the edge has the latter.
    fn with_the_path_of_its_socket(&self, flow: &Flow, key: Key) -> Key {
        if !flow.protocol.is_unix() || flow.direction == Direction::Out {
            return key;
        }
        let there = self.asked.get(&(flow.owner, key.protocol, key.port)).into_iter().flatten();
        let mut there = there.filter(|(asked, _)| asked.from == key.from);
        let has_socket = |(_, flows): &(&Key, &Vec<Asked<'_>>)| flows.iter().any(|(one, ..)| one.socket == flow.socket);
        match there.clone().find(has_socket).or_else(|| there.next()) {
            Some((asked, _)) => asked.clone(),
            None => {
                let own = &self.ground.containers[flow.owner].listeners;
                let bound = own.iter().find(|one| one.protocol == flow.protocol && one.socket == flow.socket);
                Key { path: bound.map_or(&flow.address, |one| &one.address).clone(), ..key }
            }
        }
    }

    fn parts_of_asking(&self, flow: &Flow) -> Vec<Part> {
        let seen_by_kernel = |(&(other, ref address, port), &connections): (&(usize, Text, u32), &u64)| {
            let port = if flow.protocol.is_unix() || port == 0 { flow.port } else { port };
            let differs = !flow.protocol.is_unix()
                && !address.is_empty()
                && (ip(address), port) != (ip(&flow.address), flow.port);
            Part {
                who: Who::Container(other),
                connections,
                seen: Seen::Kernel,
                port,
                translated: differs.then(|| flow.translated_to(address.clone(), port)),
            }
        };
        let mut parts: Vec<Part> = flow.ends.iter().map(seen_by_kernel).collect();
        let mut known = parts.iter().fold(0u64, |sum, part| sum.saturating_add(part.connections));
        if let [only] = parts.as_mut_slice() {
            // The kernel need not have had both ends of all, and all others went to the same address and port.
            only.connections = flow.connections;
            known = flow.connections;
        }
        if parts.is_empty() || known < flow.connections {
            let rest = Part { connections: flow.connections.saturating_sub(known), ..self.whom(flow) };
            match parts.iter_mut().find(|part| part.who == rest.who && part.port == rest.port) {
                Some(part) => part.connections = part.connections.saturating_add(rest.connections),
                None => parts.push(rest),
            }
        }
        parts
    }

    /// Whom a container asked, without the kernel's help.
    fn whom(&self, flow: &Flow) -> Part {
        let part = |who, seen| Part { who, connections: flow.connections, seen, port: flow.port, translated: None };
        let host = self.ground.containers[flow.owner].host;
        if flow.protocol.is_unix() {
            return match self.owner_of_socket(flow) {
                Some((other, seen)) => part(Who::Container(other), seen),
                None => part(Who::Host(host), Seen::Host),
            };
        }
        let Some(address) = ip(&flow.address) else {
            return part(Who::Outside(flow.outside()), Seen::Outside);
        };
        if let Some((other, seen)) = self.container_at(flow, address) {
            return part(Who::Container(other), seen);
        }
        let in_host = flow.namespaces.iter().any(|namespace| self.ground.hosts[host].namespaces.contains(namespace));
        let is_host = self.ground.hosts[host].addresses.contains(&address) || (address.is_loopback() && in_host);
        if let Some((other, port)) = self.published_at(flow, host, address, is_host) {
            let inside = self.own_address(other);
            let translated = Some(flow.translated_to(inside, port));
            return Part { port, translated, ..part(Who::Container(other), Seen::PublishedPort) };
        }
        if is_host || (address == DOCKER_RESOLVER && flow.port == DNS_PORT) {
            return part(Who::Host(host), Seen::Host);
        }
        if address.is_loopback() || address.is_unspecified() {
            // Nobody listened in its own namespace.
            return part(Who::Container(flow.owner), Seen::Address);
        }
        part(Who::Outside(flow.outside()), Seen::Outside)
    }

    /// The one container that can be reached at an address and port.
    fn container_at(&self, flow: &Flow, address: Address) -> Option<(usize, Seen)> {
        let ground = self.ground;
        let host = ground.containers[flow.owner].host;
        let shares_namespace =
            |other: usize| ground.containers[other].namespaces.iter().any(|one| flow.namespaces.contains(one));
        let own = &ground.containers[flow.owner];
        let is_loopback = address.is_loopback() || address.is_unspecified();
        // Its own address leads back to its own namespace, whoever else may have the same one.
        let is_near = is_loopback || own.addresses.contains(&address);
        let can_be = |other: &usize| {
            let container = &ground.containers[*other];
            container.host == host
                && ground.was_there(*other, flow)
                && if is_near { shares_namespace(*other) } else { container.addresses.contains(&address) }
        };
        let there: Vec<usize> = (0..ground.containers.len()).filter(can_be).collect();

        let has_flow = |other: &&usize| {
            let answers = self.answers.get(&(**other, flow.protocol, flow.port));
            answers.into_iter().flatten().any(|answer| {
                ip_in(&answer.locals, address)
                    && ip(&answer.address).is_some_and(|from| from.is_loopback() || own.addresses.contains(&from))
            })
        };
        let listens = |other: &&usize| {
            ground.containers[**other].listeners.iter().any(|one| {
                one.protocol == flow.protocol
                    && one.port == flow.port
                    && ip(&one.address)
                        .is_some_and(|at| at.is_unspecified() || at == address || (is_loopback && at.is_loopback()))
                    && (!is_near || flow.namespaces.contains(&one.namespace))
            })
        };
        let only = |found: Vec<&usize>| if let [one] = found.as_slice() { Some(**one) } else { None };
        if let Some(one) = only(there.iter().filter(has_flow).collect()) {
            return Some((one, Seen::BothReports));
        }
        if let Some(one) = only(there.iter().filter(listens).collect()) {
            return Some((one, Seen::Listener));
        }
        if is_near && is_loopback {
            return None;
        }
        // Nobody listens, but the address says where it would be; that of a pod is every container's in it.
        let mut owners: Vec<usize> = there.into_iter().filter(|other| !ground.is_on_host(*other)).collect();
        owners.sort_by_key(|other| !ground.containers[*other].is_pod_sandbox);
        let first = *owners.first()?;
        let together = |other: &usize| {
            let namespaces = &ground.containers[*other].namespaces;
            namespaces.iter().any(|one| ground.containers[first].namespaces.contains(one))
        };
        owners.iter().all(together).then_some((first, Seen::Address))
    }

    /// The container that has bound the unix socket which a flow goes to.
    fn owner_of_socket(&self, flow: &Flow) -> Option<(usize, Seen)> {
        let host = self.ground.containers[flow.owner].host;
        let is_abstract = flow.address.as_bytes().starts_with(b"@");
        let binds = |other: &usize| {
            let container = &self.ground.containers[*other];
            container.host == host
                && self.ground.was_there(*other, flow)
                && container.listeners.iter().any(|one| {
                    one.protocol == flow.protocol
                        && if is_abstract {
                            one.address == flow.address && flow.namespaces.contains(&one.namespace)
                        } else {
                            one.socket.1 != 0 && one.socket == flow.socket
                        }
                })
        };
        let there: Vec<usize> = (0..self.ground.containers.len()).filter(binds).collect();
        // Two that bound the same name, one after the other: nobody can tell which it was.
        if let [one] = there.as_slice() { Some((*one, Seen::Listener)) } else { None }
    }

    /// The one container that the engine forwards this address and port of the host to, and its own port.
    fn published_at(&self, flow: &Flow, host: usize, address: Address, is_host: bool) -> Option<(usize, u32)> {
        let forwards = |other: usize| {
            let container = &self.ground.containers[other];
            let was_there = self.ground.was_there(other, flow);
            let here = container.published.iter().filter(move |one| {
                let at = ip(&one.host_address);
                let is_this = at == Some(address);
                let is_all = is_host && at.is_some_and(|at| at.is_unspecified() && at.is_ipv4() == address.is_ipv4());
                container.host == host
                    && was_there
                    && one.protocol == flow.protocol
                    && one.host_port == flow.port
                    && (is_all || (is_this && !address.is_unspecified()))
            });
            here.map(move |one| (other, one.port))
        };
        let there: BTreeSet<(usize, u32)> = (0..self.ground.containers.len()).flat_map(forwards).collect();
        // Two containers that had the port one after the other: nobody can tell which it was.
        if there.len() == 1 { there.into_iter().next() } else { None }
    }

    /// A container's address, if it has one.
    fn own_address(&self, container: usize) -> Text {
        let addresses = &self.ground.containers[container].addresses;
        if addresses.len() == 1 { addresses.iter().map(|one| one.to_string().into()).next() } else { None }
            .unwrap_or_default()
    }

    fn parts_of_answering(&self, flow: &Flow) -> Vec<Part> {
        let part = |who, connections, seen| Part { who, connections, seen, port: flow.port, translated: None };
        let others: BTreeSet<usize> = flow.ends.keys().map(|(other, ..)| *other).collect();
        if let (Some(&only), 1, true) = (others.first(), others.len(), self.is_of_one(flow)) {
            // The kernel need not have had both ends of all, and all others came from the same address.
            return vec![part(Who::Container(only), flow.connections, Seen::Kernel)];
        }
        let mut left = flow.connections;
        let mut parts: Vec<Part> = Vec::new();
        let mut take = |parts: &mut Vec<Part>, client: usize, wanted: u64, seen| {
            let given = wanted.min(left);
            left -= given;
            match parts.iter_mut().find(|part| part.who == Who::Container(client)) {
                Some(part) => part.connections += given,
                None => parts.push(part(Who::Container(client), given, seen)),
            }
        };
        for (&(other, ..), &connections) in &flow.ends {
            take(&mut parts, other, connections, Seen::Kernel);
        }

        // Those that asked for this container and port, as far as they are not told by the kernel yet.
        let mut askers: BTreeMap<usize, (u64, Seen)> = BTreeMap::new();
        let there = self.asked.get(&(flow.owner, flow.protocol, flow.port));
        for (key, asked) in there.into_iter().flatten() {
            let Who::Container(client) = key.from else { continue };
            let fitting = asked.iter().filter(|(asking, _, seen)| self.can_be_the_same(asking, *seen, flow));
            let answered = self.edges.get(key).and_then(|found| found.server).map_or(0, |figures| figures.connections);
            let wanted = fitting.clone().fold(0u64, |sum, (_, connections, _)| sum.saturating_add(*connections));
            if let Some(seen) = fitting.map(|(.., seen)| *seen).min() {
                let entry = askers.entry(client).or_insert((0, seen));
                entry.0 = entry.0.saturating_add(wanted.saturating_sub(answered));
                entry.1 = entry.1.min(seen);
            }
        }
        let alone = askers.len() == 1 && !self.is_gateway(flow);
        for (client, (wanted, seen)) in askers {
            let told = parts.iter().find(|part| part.who == Who::Container(client)).map_or(0, |part| part.connections);
            let seen = if seen == Seen::Listener || seen == Seen::Address { Seen::BothReports } else { seen };
            // Only one can have come from there: what the two sides counted differently is one of them being wrong.
            let wanted = if alone { u64::MAX } else { wanted.saturating_sub(told) };
            take(&mut parts, client, wanted, seen);
        }
        parts.retain(|part| part.connections > 0 || flow.connections == 0);
        if parts.is_empty() || left > 0 {
            let (who, seen) = self.who_came(flow);
            match parts.iter_mut().find(|part| part.who == who) {
                Some(part) => part.connections = part.connections.saturating_add(left),
                None => parts.push(part(who, left, seen)),
            }
        }
        parts
    }

    /// Whether an answering flow can have connections of an asking one.
    fn can_be_the_same(&self, asking: &Flow, seen: Seen, answer: &Flow) -> bool {
        if answer.protocol.is_unix() {
            return asking.protocol == answer.protocol
                && (asking.socket == answer.socket || answer.socket.1 == 0 || asking.socket.1 == 0);
        }
        let Some(from) = ip(&answer.address) else { return false };
        if !self.ground.was_there(asking.owner, answer) {
            return false;
        }
        if from.is_loopback() {
            return asking.namespaces.iter().any(|one| answer.namespaces.contains(one));
        }
        self.ground.containers[asking.owner].addresses.contains(&from)
            // What is forwarded comes from the address of a proxy of the engine's, or of the bridge.
            || (seen == Seen::PublishedPort && self.is_gateway(answer))
    }

    /// Whether only one container can have the address that a flow comes from.
    fn is_of_one(&self, flow: &Flow) -> bool {
        let host = &self.ground.hosts[self.ground.containers[flow.owner].host];
        let from = ip(&flow.address).filter(|from| !from.is_loopback());
        from.is_some_and(|from| !host.addresses.is_empty() && !host.addresses.contains(&from))
    }

    /// Whether a flow comes from an address of the host's, which others can come from too.
    fn is_gateway(&self, flow: &Flow) -> bool {
        let host = &self.ground.hosts[self.ground.containers[flow.owner].host];
        ip(&flow.address).is_some_and(|from| host.addresses.contains(&from))
    }

    /// Who began a flow of which nobody else's report knows.
    fn who_came(&self, flow: &Flow) -> (Who, Seen) {
        let ground = self.ground;
        let host = ground.containers[flow.owner].host;
        if flow.protocol.is_unix() {
            return (Who::Host(host), Seen::Host);
        }
        let Some(from) = ip(&flow.address) else { return (Who::Outside(flow.outside()), Seen::Outside) };
        let in_host = flow.namespaces.iter().any(|namespace| ground.hosts[host].namespaces.contains(namespace));
        if from.is_loopback() {
            return if in_host { (Who::Host(host), Seen::Host) } else { (Who::Container(flow.owner), Seen::Address) };
        }
        if ground.hosts[host].addresses.contains(&from) {
            return (Who::Host(host), Seen::Host);
        }
        let has_it = |other: &usize| {
            ground.containers[*other].host == host && ground.containers[*other].addresses.contains(&from)
        };
        let there: Vec<usize> = (0..ground.containers.len()).filter(has_it).collect();
        match there.as_slice() {
            [one] => (Who::Container(*one), Seen::Address),
            _ => (Who::Outside(flow.outside()), Seen::Outside),
        }
    }
}

/// What each part has of sent and received bytes and of failures, by its connections; what does not divide goes to the last.
fn shares(flow: &Flow, parts: &[Part]) -> Vec<(u64, u64, u64)> {
    let total: u128 = parts.iter().map(|part| u128::from(part.connections)).sum();
    let mut rest = (flow.sent_bytes, flow.received_bytes, flow.failures);
    let last = parts.len().saturating_sub(1);
    let share = |(at, part): (usize, &Part)| {
        // Rounded down, so that the sum of the shares never exceeds the whole.
        let of = |all: u64| match u128::from(all) * u128::from(part.connections) {
            product if total > 0 => u64::try_from(product / total).unwrap_or(all),
            _ => 0,
        };
        let share = if at == last { rest } else { (of(flow.sent_bytes), of(flow.received_bytes), of(flow.failures)) };
        rest = (rest.0 - share.0, rest.1 - share.1, rest.2 - share.2);
        share
    };
    parts.iter().enumerate().map(share).collect()
}

impl Found {
    fn new(seen: Seen) -> Found {
        Found { client: None, server: None, failures: 0, translated: BTreeSet::new(), seen, addresses: BTreeSet::new() }
    }
}

impl Flow {
    fn translated_to(&self, address: Text, port: u32) -> Translation {
        Translation {
            asked_address: self.address.clone(),
            asked_port: self.port,
            reached_address: address,
            reached_port: port,
        }
    }

    fn outside(&self) -> Outside {
        match (self.address.as_bytes(), self.names.first()) {
            (b"*", _) => Outside::Others,
            (_, Some(name)) => Outside::Name(name.clone()),
            (b"", None) => Outside::Unknown,
            (_, None) => Outside::Address(self.address.clone()),
        }
    }
}

fn ip_in(texts: &BTreeSet<Text>, address: Address) -> bool {
    texts.iter().any(|text| ip(text) == Some(address))
}
