//! The network of a report: `behaviour.network`, as a stranger reads it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::reports::{Report, list, number};

/// One entry of `behaviour.network.flows`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// `in` or `out`.
    pub direction: String,
    /// `tcp`, `udp`, `unix-stream` …
    pub protocol: String,
    /// The other end.
    pub address: String,
    /// The port of whoever did not begin it.
    pub port: u64,
    /// The container's own address.
    pub local_address: String,
    /// How many came about.
    pub connections: u64,
    /// How many did not, by errno.
    pub failures: BTreeMap<String, u64>,
    /// Bytes sent and received.
    pub bytes: (u64, u64),
    /// Packets sent and received.
    pub packets: (u64, u64),
    /// How the connections ended.
    pub ends: BTreeMap<String, u64>,
    /// For how many of them it was measured how long it took.
    pub timed: u64,
    /// The names that were looked up.
    pub names: Vec<String>,
    /// The names that a TLS server was asked for.
    pub server_names: Vec<String>,
    /// Who is at the other end.
    pub other_ends: Vec<OtherEnd>,
}

/// One entry of a flow's `other_ends`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtherEnd {
    /// Its run: slot and generation.
    pub run: (u64, u64),
    /// The container's name, else its id; empty if the report does not say.
    pub name: String,
    /// The address and port of the same end there.
    pub there: (String, u64),
    /// How many connections.
    pub connections: u64,
}

/// The flows of one phase.
pub fn flows(report: &Report, phase: &str) -> Result<Vec<Flow>> {
    let all = list(&network(report)?["flows"]).iter().filter(|flow| flow["phase"] == phase);
    all.map(|flow| parse(flow).with_context(|| format!("the flow {flow}"))).collect()
}

/// The only flow of `main` of this direction, protocol and port.
pub fn flow(report: &Report, direction: &str, protocol: &str, port: u16) -> Result<Flow> {
    let mut found = flows(report, "main")?;
    let all = format!("{found:#?}");
    found.retain(|flow| {
        (flow.direction.as_str(), flow.protocol.as_str(), flow.port) == (direction, protocol, port.into())
    });
    match found.len() {
        1 => Ok(found.remove(0)),
        count => bail!("{count} flows {direction} by {protocol} and port {port}, not one, in {all}"),
    }
}

/// Where `main` can be reached: protocol, address and port, and how often each.
pub fn listeners(report: &Report) -> Result<BTreeMap<(String, String, u64), u64>> {
    let all = list(&network(report)?["listeners"]).iter().filter(|listener| listener["phase"] == "main");
    all.map(|listener| {
        let port = listener["port"].as_u64().context("no port")?;
        Ok(((text(&listener["protocol"]), text(&listener["address"]), port), number(&listener["count"])?))
    })
    .collect()
}

/// How many sockets of this family and type `main` made.
pub fn sockets(report: &Report, family: &str, socket_type: &str) -> Result<u64> {
    let of_it = list(&network(report)?["sockets"]).iter().filter(|socket| {
        let made = socket["errno"].is_null() && socket["phase"] == "main";
        made && socket["family"] == family && socket["socket_type"] == socket_type
    });
    of_it.map(|socket| number(&socket["count"])).sum()
}

/// A lookup of `main`: its codes, addresses, aliases and servers.
pub fn lookup(report: &Report, name: &str, record_type: &str) -> Result<Lookup> {
    let all = list(&network(report)?["lookups"]);
    let is_it = |one: &&Value| one["phase"] == "main" && one["name"] == name && one["record_type"] == record_type;
    let found: Vec<_> = all.iter().filter(is_it).collect();
    let [one] = found[..] else { bail!("{} lookups of {name} {record_type}, in {all:#?}", found.len()) };
    Ok(Lookup {
        codes: list(&one["codes"]).iter().filter_map(Value::as_u64).collect(),
        addresses: texts(&one["addresses"]).into_iter().collect(),
        aliases: texts(&one["aliases"]).into_iter().collect(),
        servers: texts(&one["servers"]).into_iter().collect(),
    })
}

/// One entry of `behaviour.network.lookups`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lookup {
    /// The codes of the answers.
    pub codes: BTreeSet<u64>,
    /// The addresses.
    pub addresses: BTreeSet<String>,
    /// What it is another name of.
    pub aliases: BTreeSet<String>,
    /// Who was asked.
    pub servers: BTreeSet<String>,
}

/// What went through each interface: bytes received and sent, packets received and sent.
pub fn interfaces(report: &Report) -> Result<BTreeMap<String, [u64; 4]>> {
    let all = list(&network(report)?["interfaces"]).iter();
    all.map(|one| {
        let fields = ["received_bytes", "sent_bytes", "received_packets", "sent_packets"];
        let [received, sent, packets_received, packets_sent] = fields.map(|field| number(&one[field]));
        Ok((text(&one["name"]), [received?, sent?, packets_received?, packets_sent?]))
    })
    .collect()
}

/// The run of a report's container: slot and generation.
pub fn run_of(report: &Report) -> Result<(u64, u64)> {
    run(&report.json["container"]["run"])
}

fn run(run: &Value) -> Result<(u64, u64)> {
    let part = |name: &str| run[name].as_u64().with_context(|| format!("no {name} in the run {run}"));
    Ok((part("slot")?, part("generation")?))
}

/// An error unless nothing of the network is missing.
pub fn must_be_whole(report: &Report) -> Result<()> {
    ensure!(report.json["sections"]["network"] == true, "the network is not complete: {}", report.json["reasons"]);
    report.must_be_exact_except(&[])
}

fn network(report: &Report) -> Result<&Value> {
    let network = &report.json["behaviour"]["network"];
    ensure!(network.is_object(), "{} has no network", report.path.display());
    Ok(network)
}

fn parse(flow: &Value) -> Result<Flow> {
    let sum_of = |field: &str| number(&flow[field]).with_context(|| field.to_owned());
    let failures = list(&flow["failures"]).iter().map(|one| Ok((text(&one["errno"]), number(&one["count"])?)));
    let other_ends = list(&flow["other_ends"]).iter().map(|one| {
        let name = one["name"].as_str().or(one["container"].as_str()).unwrap_or_default().to_owned();
        let there = (text(&one["address_there"]), one["port_there"].as_u64().context("no port there")?);
        Ok(OtherEnd { run: run(&one["run"])?, name, there, connections: number(&one["connections"])? })
    });
    let ends = flow["ends"].as_object().into_iter().flatten();
    let timed = &flow["connect_time"];
    Ok(Flow {
        direction: text(&flow["direction"]),
        protocol: text(&flow["protocol"]),
        address: text(&flow["address"]),
        port: flow["port"].as_u64().context("no port")?,
        local_address: text(&flow["local_address"]),
        connections: sum_of("connections")?,
        failures: failures.collect::<Result<_>>()?,
        bytes: (sum_of("sent_bytes")?, sum_of("received_bytes")?),
        packets: (sum_of("sent_packets")?, sum_of("received_packets")?),
        ends: ends.map(|(end, count)| Ok((end.clone(), count.as_u64().context("a count")?))).collect::<Result<_>>()?,
        timed: if timed.is_null() { 0 } else { number(&timed["count"])? },
        names: texts(&flow["names"]),
        server_names: texts(&flow["server_names"]),
        other_ends: other_ends.collect::<Result<_>>()?,
    })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    list(value).iter().map(text).collect()
}
