//! A `NetworkPolicy` for Kubernetes: who may come in on which ports, and what may be gone out to.

use core::net::IpAddr;
use std::collections::BTreeSet;

use event::Protocol;

use super::settings::Settings;
use super::yaml::{Entry, Yaml, pair, texts};
use super::{Output, TargetError};
use crate::Recommendation;
use crate::hardening::{EgressNeed, Peer, Verdict};

/// The policy.
pub(super) fn policy(recommendation: &Recommendation, settings: &Settings) -> Result<Output, TargetError> {
    let network = &recommendation.hardening.network;
    if network.advice.verdict != Verdict::Apply {
        let why: Vec<_> = network.advice.reasons.iter().map(|reason| reason.shown()).collect();
        let why = if why.is_empty() { "the reports do not say".to_owned() } else { why.join("; ") };
        return Err(TargetError::Unknown { what: "whom it talks to", why });
    }
    let mut comments = vec![
        "Give podSelector the labels of your pods.".to_owned(),
        "Addresses are those that were recorded: in place of those of pods put a podSelector, of services their pods'."
            .to_owned(),
    ];
    let mut ingress = Vec::new();
    for need in &network.ingress {
        let about = format!("{} {}", need.protocol.name(), need.port);
        let peers: Vec<String> = need.peers.iter().map(who).collect();
        let Some(protocol) = protocol(need.protocol) else {
            comments.push(format!("in: {about}: a policy has no word for this protocol"));
            continue;
        };
        let mut rule = Vec::new();
        if !peers.is_empty() {
            rule.push(Entry::Comment(format!("came from {}", peers.join(", "))));
        }
        rule.push(pair("ports", Yaml::List(vec![port(protocol, need.port)])));
        ingress.push(rule.into());
    }
    let mut egress = Vec::new();
    if network.egress.iter().any(|need| need.dns) {
        egress.push(Yaml::Map(vec![
            Entry::Comment("names are looked up".to_owned()),
            pair("ports", Yaml::List(vec![port("UDP", 53), port("TCP", 53)])),
        ]));
    }
    for need in network.egress.iter().filter(|need| !need.dns) {
        match protocol(need.protocol) {
            Some(protocol) => egress.push(out(need, protocol)),
            None => comments.push(format!(
                "out: {} {}: a policy has no word for this protocol",
                need.protocol.name(),
                need.port
            )),
        }
    }
    let mut document: Vec<Entry> = comments.into_iter().map(Entry::Comment).collect();
    document.extend([
        pair("apiVersion", "networking.k8s.io/v1"),
        pair("kind", "NetworkPolicy"),
        pair("metadata", vec![pair("name", settings.name.as_str())]),
        pair(
            "spec",
            vec![
                pair("podSelector", vec![pair("matchLabels", vec![pair("app", settings.name.as_str())])]),
                pair("policyTypes", texts(["Ingress", "Egress"])),
                pair("ingress", Yaml::List(ingress)),
                pair("egress", Yaml::List(egress)),
            ],
        ),
    ]);
    Ok(Output::of(Yaml::document(document)))
}

/// What may be gone out to over one port.
fn out(need: &EgressNeed, protocol: &'static str) -> Yaml {
    let mut rule = Vec::new();
    let mut blocks = Vec::new();
    let mut is_open = need.peers.is_empty();
    for peer in &need.peers {
        let address = std::str::from_utf8(peer.address.as_bytes()).ok().and_then(|text| text.parse::<IpAddr>().ok());
        match address.map(|address| address.to_canonical()) {
            Some(address) => {
                let bits = if address.is_ipv4() { 32 } else { 128 };
                blocks.push(Yaml::Map(vec![pair("ipBlock", vec![pair("cidr", format!("{address}/{bits}"))])]));
                let names = who(peer);
                if names != address.to_string() {
                    rule.push(Entry::Comment(names));
                }
            }
            // More peers than are listed: the port alone can be said.
            None => is_open = true,
        }
    }
    if is_open {
        rule.push(Entry::Comment("to more peers than are listed".to_owned()));
    } else {
        rule.push(pair("to", Yaml::List(blocks)));
    }
    rule.push(pair("ports", Yaml::List(vec![port(protocol, need.port)])));
    rule.into()
}

/// A peer in a comment.
fn who(peer: &Peer) -> String {
    let names: BTreeSet<_> = peer.containers.iter().chain(&peer.names).map(|name| name.shown()).collect();
    let names: Vec<_> = names.into_iter().collect();
    let address = peer.address.shown();
    if names.is_empty() { address.into_owned() } else { format!("{address} is {}", names.join(", ")) }
}

fn port(protocol: &'static str, number: u32) -> Yaml {
    let mut port = vec![pair("protocol", protocol)];
    if number > 0 {
        port.push(pair("port", u64::from(number)));
    }
    port.into()
}

fn protocol(protocol: Protocol) -> Option<&'static str> {
    match protocol {
        Protocol::Tcp | Protocol::Mptcp => Some("TCP"),
        Protocol::Udp => Some("UDP"),
        Protocol::Sctp => Some("SCTP"),
        _ => None,
    }
}
