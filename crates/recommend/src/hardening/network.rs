//! Whom the workload talks to, who talks to it, and which of its published ports that needs.

use std::collections::{BTreeMap, BTreeSet};

use behaviour::FlowUse;
use event::{Direction, Phase, Protocol, Text};
use report::{PublishedPort, counted};

use super::namespaces::{is_loopback, is_only_with};
use super::seen::{Seen, Tally, program_of};
use super::{Advice, EgressNeed, IngressNeed, NetworkNeeds, Peer, PortAdvice};

const DNS_PORT: u32 = 53;

/// Who came or was gone to over one protocol and port.
#[derive(Default)]
struct Exchange {
    listened: bool,
    peers: BTreeMap<Text, Parts>,
    tally: Tally,
}

/// What is known of one peer.
#[derive(Default)]
struct Parts {
    names: BTreeSet<Text>,
    containers: BTreeSet<Text>,
    phases: BTreeSet<Phase>,
}

pub(super) fn network(seen: &Seen<'_>) -> NetworkNeeds {
    let mut ingress = BTreeMap::<(Protocol, u32), Exchange>::new();
    let mut egress = BTreeMap::<(Protocol, u32), Exchange>::new();
    let mut unlisted = 0_u64;
    let mut without_answer = 0_u64;
    for (number, run) in seen.own.iter().chain(seen.nested).enumerate() {
        for used in run.behaviour.network.listeners.iter().filter(|used| seen.counts(used.phase)) {
            if is_ip(used.protocol) && !is_loopback(&used.address) {
                let one = ingress.entry((used.protocol, used.port)).or_default();
                one.listened = true;
                one.tally.add(number, "listened", &used.address, used.phase, program_of(&used.first), used.count);
            }
        }
        for used in run.behaviour.network.flows.iter().filter(|used| seen.counts(used.phase) && is_ip(used.protocol)) {
            let is_dns = used.direction == Direction::Out && used.port == DNS_PORT;
            // Docker's own name server is at a loopback address, and asks those of the host.
            if is_only_with(run, &used.other_ends) || (is_loopback(&used.address) && !is_dns) {
                continue;
            }
            if used.connections == 0 {
                without_answer += 1;
                continue;
            }
            if used.address.as_bytes() == b"*" {
                unlisted += 1;
            }
            let (all, what) = match used.direction {
                Direction::In => (&mut ingress, "was reached"),
                Direction::Out => (&mut egress, "connected"),
            };
            let one = all.entry((used.protocol, used.port)).or_default();
            one.tally.add(number, what, &used.address, used.phase, program_of(&used.first), used.connections);
            one.add_peer(used);
        }
    }

    let mut advice = Advice::apply(
        None,
        &format!(
            "it was reached on {} and connected to {}",
            counted(ingress.len() as u64, "port", "ports"),
            counted(egress.len() as u64, "port", "ports")
        ),
        "a connection to anybody else gets no answer",
    );
    if without_answer > 0 {
        let peers = counted(without_answer, "peer", "peers");
        advice = advice.because(format!(
            "{peers} that no connection to came about are left out: what is tried there again gets no answer"
        ));
    }
    if unlisted > 0 {
        advice = Advice::unknown(None, "there were more peers than a report lists, and who they are is not known");
    }
    NetworkNeeds {
        advice: seen.judge(&["network"], advice),
        ingress: ingress
            .into_iter()
            .map(|((protocol, port), one)| IngressNeed {
                protocol,
                port,
                listened: one.listened,
                peers: one.peers.into_iter().map(peer).collect(),
                evidence: one.tally.few(10).0,
            })
            .collect(),
        egress: egress
            .into_iter()
            .map(|((protocol, port), one)| EgressNeed {
                protocol,
                port,
                peers: one.peers.into_iter().map(peer).collect(),
                dns: port == DNS_PORT && matches!(protocol, Protocol::Udp | Protocol::Tcp),
                evidence: one.tally.few(10).0,
            })
            .collect(),
    }
}

impl Exchange {
    fn add_peer(&mut self, used: &FlowUse) {
        let peer = self.peers.entry(used.address.clone()).or_default();
        peer.names.extend(used.names.iter().chain(&used.server_names).cloned());
        let containers = used.other_ends.iter().filter_map(|end| end.name.as_ref().or(end.container.as_ref()));
        peer.containers.extend(containers.cloned());
        peer.phases.insert(used.phase);
    }
}

fn peer((address, parts): (Text, Parts)) -> Peer {
    Peer {
        address,
        names: parts.names.into_iter().collect(),
        containers: parts.containers.into_iter().collect(),
        phases: parts.phases.into_iter().collect(),
    }
}

/// Whether a network policy can be about it.
fn is_ip(protocol: Protocol) -> bool {
    matches!(
        protocol,
        Protocol::Tcp | Protocol::Udp | Protocol::Sctp | Protocol::Mptcp | Protocol::Icmp | Protocol::Raw
    )
}

/// The ports that are published, and whether somebody listened there.
pub(super) fn ports(seen: &Seen<'_>) -> Vec<PortAdvice> {
    let published: BTreeSet<PublishedPort> =
        seen.own.iter().flat_map(|run| &run.container.published_ports).cloned().collect();
    let advice = |port: PublishedPort| {
        let mut listened = Tally::default();
        let mut connections = 0_u64;
        for (number, run) in seen.own.iter().enumerate() {
            // A TCP port that MPTCP listens on takes TCP, too.
            let is_one = |protocol: Protocol, number: u32| {
                let is_same =
                    protocol == port.protocol || (protocol, port.protocol) == (Protocol::Mptcp, Protocol::Tcp);
                is_same && number == port.port
            };
            let network = &run.behaviour.network;
            for used in
                network.listeners.iter().filter(|used| seen.counts(used.phase) && is_one(used.protocol, used.port))
            {
                listened.add(number, "listened", &used.address, used.phase, program_of(&used.first), used.count);
            }
            let flows = network.flows.iter().filter(|used| seen.counts(used.phase) && used.direction == Direction::In);
            for used in flows.filter(|used| is_one(used.protocol, used.port) && !is_loopback(&used.address)) {
                connections = connections.saturating_add(used.connections);
            }
        }
        let is_listened = !listened.is_empty();
        let advice = if is_listened {
            let reason = match connections {
                0 => "it listens there; nobody came while it was recorded",
                _ => "it listens there, and was reached",
            };
            Advice::needed(Some(true), reason, listened.evidence())
        } else if connections > 0 {
            Advice::needed(Some(true), "it was reached there", Vec::new())
        } else {
            Advice::apply(Some(false), "nothing listened there", "whoever connects to the host's port gets no answer")
        };
        PortAdvice { port, listened: is_listened, connections, advice: seen.judge(&["network"], advice) }
    };
    published.into_iter().map(advice).collect()
}
