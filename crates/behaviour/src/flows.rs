//! What is known of one run's network so far.
//!
//! The same fact comes as an event, and again and again out of the kernel's sets: figures replace and never fall. Memory is
//! bounded by those sets, of which each container has so many entries, and by how many messages the kernel side tells.

use std::collections::{BTreeMap, BTreeSet};

use event::{
    Device, Direction, DnsMessage, Errno, Event, FlowUsed, ListenUsed, Payload, PeerFound, Phase, Protocol, RunId,
    SocketFamily, SocketType, SocketUsed, Text, TlsHello, Traffic,
};

use crate::first::First;
use crate::images::Images;
use crate::lists::merged;
use crate::network::together;
use crate::syscalls::failures_in_order;
use crate::{FlowUse, InterfaceUse, ListenerUse, LookupUse, Network, OtherEnd, SocketUse};

/// A container may make, and rename, as many as it likes.
const MAX_INTERFACES: usize = 256;

#[derive(Clone, Debug, Default)]
pub(crate) struct Flows {
    sockets: BTreeMap<SocketKey, Counted>,
    listeners: BTreeMap<ListenerKey, Counted>,
    flows: BTreeMap<FlowKey, Flow>,
    pairs: BTreeMap<(PeerKey, RunId), Pair>,
    lookups: BTreeMap<(Phase, Text, Text), Lookup>,
    server_names: BTreeMap<(Phase, Text, u32), BTreeSet<Text>>,
    interfaces: Vec<InterfaceUse>,
}

type SocketKey = (Phase, SocketFamily, SocketType, u32, Option<Errno>);
/// The last two tell unix sockets with the same name apart.
type ListenerKey = (Phase, Protocol, Text, u32, u32, (Device, u64));
type FlowKey = (PeerKey, Option<Errno>, (Device, u64));
/// What a flow goes by in reports.
type PeerKey = (Phase, Direction, Protocol, Text, u32);

#[derive(Clone, Debug)]
struct Counted {
    count: u64,
    first: First,
    last_boot_ns: u64,
}

impl Counted {
    fn new(event: &Event) -> Counted {
        Counted { count: 0, first: First::new(event.boot_ns, &event.task), last_boot_ns: 0 }
    }

    fn count(&mut self, count: u64, event: &Event, boot_ns: u64, images: &Images) {
        if count > self.count {
            self.count = count;
            self.last_boot_ns = self.last_boot_ns.max(boot_ns);
        }
        if event.boot_ns < self.first.boot_ns {
            self.first = First::new(event.boot_ns, &event.task);
        }
        self.first.resolve(images);
    }
}

#[derive(Clone, Debug)]
struct Flow {
    used: FlowUsed,
    first: First,
    last_boot_ns: u64,
    /// What went over connections that were open at the newest snapshot, and its time.
    open: Traffic,
    open_boot_ns: u64,
    /// When those began, and by which thread: a walk may come to one twice.
    open_since: BTreeSet<(u64, u32)>,
    /// The most that both together have come to.
    total: Traffic,
}

#[derive(Clone, Debug)]
struct Pair {
    address_there: Text,
    port_there: u32,
    count: u64,
}

#[derive(Clone, Debug)]
struct Lookup {
    codes: BTreeSet<u32>,
    addresses: BTreeSet<Text>,
    aliases: BTreeSet<Text>,
    servers: BTreeSet<Text>,
    first: First,
}

impl Flows {
    /// Takes in an event, or an entry of a set as it was at this time. False: it is none of the network's.
    pub(crate) fn observe(&mut self, event: &Event, boot_ns: u64, images: &Images) -> bool {
        match &event.payload {
            Payload::Socket(used) => self.socket(used, event, boot_ns, images),
            Payload::Listen(used) => self.listener(used, event, boot_ns, images),
            Payload::Flow(used) => self.flow(used, event, boot_ns, images),
            Payload::Peer(found) => self.peer(found, event),
            Payload::Dns(message) => self.lookup(message, event, images),
            Payload::Tls(hello) => self.hello(hello, event),
            _ => return false,
        }
        true
    }

    /// Takes in what had gone over a connection at this time that was open then.
    pub(crate) fn open(&mut self, event: &Event, boot_ns: u64) {
        let Payload::Flow(used) = &event.payload else { return };
        // A connection whose flow is not there was made between the two readings: the next has both.
        if let Some(flow) = self.flows.get_mut(&flow_key(event.phase, used)) {
            flow.restart(boot_ns);
            if flow.open_since.insert((event.boot_ns, event.task.tid)) {
                flow.open = flow.open.plus(used.traffic);
                flow.add_up(boot_ns);
            }
        }
    }

    /// Takes in the interfaces of the container's network namespace, as they were at one time.
    pub(crate) fn interfaces(&mut self, interfaces: Vec<InterfaceUse>) {
        let known = std::mem::take(&mut self.interfaces);
        let is_known =
            |one: &InterfaceUse| known.iter().any(|it| (&it.name, it.namespace) == (&one.name, one.namespace));
        let mut room = MAX_INTERFACES.saturating_sub(known.len());
        let mut interfaces = interfaces;
        interfaces.retain(|one| {
            let is_kept = is_known(one) || room > 0;
            room = room.saturating_sub(usize::from(is_kept && !is_known(one)));
            is_kept
        });
        self.interfaces = merged(known, interfaces, |one| (one.name.clone(), one.namespace), InterfaceUse::merge);
    }

    fn socket(&mut self, used: &SocketUsed, event: &Event, boot_ns: u64, images: &Images) {
        let key = (event.phase, used.family, used.socket_type, used.protocol, used.errno);
        let entry = self.sockets.entry(key).or_insert_with(|| Counted::new(event));
        entry.count(used.count, event, boot_ns, images);
    }

    fn listener(&mut self, used: &ListenUsed, event: &Event, boot_ns: u64, images: &Images) {
        let file = (used.device, used.inode);
        let key = (event.phase, used.protocol, used.address.clone(), used.port, used.namespace, file);
        let entry = self.listeners.entry(key).or_insert_with(|| Counted::new(event));
        entry.count(used.count, event, boot_ns, images);
    }

    fn flow(&mut self, used: &FlowUsed, event: &Event, boot_ns: u64, images: &Images) {
        let flow = self.flows.entry(flow_key(event.phase, used)).or_insert_with(|| Flow {
            used: used.clone(),
            first: First::new(event.boot_ns, &event.task),
            last_boot_ns: boot_ns,
            open: Traffic::default(),
            open_boot_ns: 0,
            open_since: BTreeSet::new(),
            total: used.traffic,
        });
        flow.restart(boot_ns);
        if used.connections > flow.used.connections {
            flow.last_boot_ns = flow.last_boot_ns.max(boot_ns);
        }
        // The newer has more connections, or as many and more of everything else.
        if (used.connections, used.connect_time.map(|it| it.count))
            >= (flow.used.connections, flow.used.connect_time.map(|it| it.count))
        {
            flow.used.connect_time = used.connect_time;
        }
        flow.used.connections = flow.used.connections.max(used.connections);
        flow.used.traffic = flow.used.traffic.max(used.traffic);
        for (known, new) in flow.used.ends.iter_mut().zip(&used.ends) {
            *known = (*known).max(*new);
        }
        flow.add_up(boot_ns);
        flow.first.resolve(images);
    }

    fn peer(&mut self, found: &PeerFound, event: &Event) {
        let key = (event.phase, found.direction, found.protocol, found.address.clone(), found.port);
        let pair = self.pairs.entry((key, found.peer)).or_insert_with(|| Pair {
            address_there: found.address_there.clone(),
            port_there: found.port_there,
            count: 0,
        });
        pair.count = pair.count.max(found.count);
    }

    fn lookup(&mut self, message: &DnsMessage, event: &Event, images: &Images) {
        // What others ask of the container is not what it looks up; and what is no message has no type.
        if message.direction == Direction::In || message.record_type.as_bytes().is_empty() {
            return;
        }
        let key = (event.phase, message.name.clone(), message.record_type.clone());
        let lookup = self.lookups.entry(key).or_insert_with(|| Lookup {
            codes: BTreeSet::new(),
            addresses: BTreeSet::new(),
            aliases: BTreeSet::new(),
            servers: BTreeSet::new(),
            first: First::new(event.boot_ns, &event.task),
        });
        if message.is_answer {
            lookup.codes.insert(message.code);
            lookup.addresses.extend(message.addresses.iter().cloned());
            lookup.aliases.extend(message.aliases.iter().cloned());
        }
        lookup.servers.insert(message.server.clone());
        if event.boot_ns < lookup.first.boot_ns {
            lookup.first = First::new(event.boot_ns, &event.task);
        }
        lookup.first.resolve(images);
    }

    fn hello(&mut self, hello: &TlsHello, event: &Event) {
        if !hello.server_name.as_bytes().is_empty() {
            let key = (event.phase, hello.address.clone(), hello.port);
            self.server_names.entry(key).or_default().insert(hello.server_name.clone());
        }
    }

    pub(crate) fn freeze(&self, images: &Images) -> Network {
        let network = Network {
            sockets: self.sockets.iter().map(|(key, entry)| socket_use(*key, entry, images)).collect(),
            listeners: self.listeners.iter().map(|(key, entry)| listener_use(key, entry, images)).collect(),
            flows: self.flows.iter().map(|(key, flow)| flow_use(key, flow, images)).collect(),
            lookups: self.lookups.iter().map(|(key, lookup)| lookup_use(key, lookup, images)).collect(),
            interfaces: self.interfaces.clone(),
        };
        // What the kernel keeps apart and reports do not is put together.
        let mut network = network.merge(Network::default());
        let names = self.names();
        for flow in &mut network.flows {
            let key = (flow.phase, flow.direction, flow.protocol, flow.address.clone(), flow.port);
            flow.other_ends = self.other_ends(&key);
            if flow.direction == Direction::Out {
                flow.names = names.get(&flow.address).into_iter().flatten().map(|&name| name.clone()).collect();
            }
            if let Some(asked_for) = self.server_names.get(&(flow.phase, flow.address.clone(), flow.port))
                && flow.direction == Direction::Out
                && flow.protocol == Protocol::Tcp
            {
                flow.server_names = together(flow.server_names.split_off(0), asked_for.iter().cloned().collect());
            }
        }
        network
    }

    /// Address -> the names that it was an answer for.
    fn names(&self) -> BTreeMap<&Text, BTreeSet<&Text>> {
        let mut names = BTreeMap::<&Text, BTreeSet<&Text>>::new();
        for ((_, name, _), lookup) in &self.lookups {
            for address in &lookup.addresses {
                names.entry(address).or_default().insert(name);
            }
        }
        names
    }

    /// Shows every name that was answered with this address.
    pub(crate) fn names_of(&self, address: &Text, mut visit: impl FnMut(&Text)) {
        let of_it = self.lookups.iter().filter(|(_, lookup)| lookup.addresses.contains(address));
        of_it.for_each(|((_, name, _), _)| visit(name));
    }

    fn other_ends(&self, key: &PeerKey) -> Vec<OtherEnd> {
        let least = RunId { slot: 0, generation: 0 };
        let from = (key.clone(), least);
        let pairs = self.pairs.range(from..).take_while(|((of, _), _)| of == key);
        pairs
            .map(|((_, run), pair)| OtherEnd {
                run: *run,
                container: None,
                name: None,
                address_there: pair.address_there.clone(),
                port_there: pair.port_there,
                connections: pair.count,
            })
            .collect()
    }
}

impl Flow {
    /// What was open at another time does not count any more: it is open still, and comes again, or is in the flow.
    fn restart(&mut self, boot_ns: u64) {
        if self.open_boot_ns != boot_ns {
            self.open = Traffic::default();
            self.open_since.clear();
            self.open_boot_ns = boot_ns;
        }
    }

    fn add_up(&mut self, boot_ns: u64) {
        let total = self.total.max(self.used.traffic.plus(self.open));
        if total != self.total {
            self.total = total;
            self.last_boot_ns = self.last_boot_ns.max(boot_ns);
        }
    }
}

fn flow_key(phase: Phase, used: &FlowUsed) -> FlowKey {
    let peer = (phase, used.direction, used.protocol, used.address.clone(), used.port);
    (peer, used.errno, (used.device, used.inode))
}

fn socket_use(key: SocketKey, entry: &Counted, images: &Images) -> SocketUse {
    let (phase, family, socket_type, protocol, errno) = key;
    SocketUse {
        phase,
        family,
        socket_type,
        protocol,
        errno,
        count: entry.count,
        first: Some(entry.first.freeze(images)),
        last_boot_ns: entry.last_boot_ns,
    }
}

fn listener_use(key: &ListenerKey, entry: &Counted, images: &Images) -> ListenerUse {
    let (phase, protocol, address, port, namespace, (device, inode)) = key.clone();
    ListenerUse {
        phase,
        protocol,
        address,
        port,
        namespace,
        device,
        inode,
        count: entry.count,
        first: Some(entry.first.freeze(images)),
    }
}

fn flow_use(key: &FlowKey, flow: &Flow, images: &Images) -> FlowUse {
    let ((phase, direction, protocol, address, port), errno, (device, inode)) = key.clone();
    let used = &flow.used;
    let ends = event::ConnectionEnd::ALL.into_iter().zip(used.ends.iter().copied());
    FlowUse {
        phase,
        direction,
        protocol,
        address,
        port,
        local_address: used.local_address.clone(),
        local_port: used.local_port,
        namespace: used.namespace,
        device,
        inode,
        connections: if errno.is_none() { used.connections } else { 0 },
        failures: failures_in_order(errno.map(|errno| (errno, used.connections))),
        traffic: flow.total,
        ends: ends.filter(|&(_, count)| count > 0).collect(),
        connect_time: used.connect_time,
        names: Vec::new(),
        server_names: Vec::new(),
        other_ends: Vec::new(),
        first: Some(flow.first.freeze(images)),
        last_boot_ns: flow.last_boot_ns,
    }
}

fn lookup_use(key: &(Phase, Text, Text), lookup: &Lookup, images: &Images) -> LookupUse {
    let (phase, name, record_type) = key.clone();
    LookupUse {
        phase,
        name,
        record_type,
        codes: lookup.codes.iter().copied().collect(),
        addresses: lookup.addresses.iter().cloned().collect(),
        aliases: lookup.aliases.iter().cloned().collect(),
        servers: lookup.servers.iter().cloned().collect(),
        first: Some(lookup.first.freeze(images)),
    }
}
