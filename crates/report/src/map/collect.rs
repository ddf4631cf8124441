//! What the reports say, ordered: hosts, containers, and what each container did with each peer.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use behaviour::{FlowUse, OtherEnd, Place};
use event::{Device, Direction, FileAccess, FileType, Phase, Protocol, RunId, Text};

use crate::{Kind, PublishedPort, Report};

/// All that the map is made from.
pub(super) struct Ground {
    pub(super) hosts: Vec<HostPart>,
    pub(super) containers: Vec<ContainerPart>,
    /// In an order that does not depend on that of the reports.
    pub(super) flows: Vec<Flow>,
}

/// One boot of one host.
#[derive(Default)]
pub(super) struct HostPart {
    pub(super) name: Option<Text>,
    pub(super) namespaces: BTreeSet<u32>,
    pub(super) addresses: BTreeSet<Address>,
}

/// One container, of which there may be several reports.
pub(super) struct ContainerPart {
    pub(super) host: usize,
    pub(super) id: Option<Text>,
    pub(super) name: Text,
    pub(super) image: Option<Text>,
    pub(super) pod: Option<Text>,
    pub(super) is_pod_sandbox: bool,
    pub(super) complete: bool,
    pub(super) addresses: BTreeSet<Address>,
    pub(super) namespaces: BTreeSet<u32>,
    pub(super) listeners: BTreeSet<Listener>,
    pub(super) published: BTreeSet<PublishedPort>,
    pub(super) files: BTreeMap<(Device, u64, u32), FilePart>,
    /// When it was there, in nanoseconds since boot: engines give the address of one that ended to the next.
    pub(super) windows: Vec<(u64, u64)>,
}

/// An address of IP in one form; IPv4 in IPv6 is IPv4.
pub(super) type Address = IpAddr;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Listener {
    pub(super) protocol: Protocol,
    pub(super) address: Text,
    pub(super) port: u32,
    pub(super) namespace: u32,
    pub(super) socket: (Device, u64),
}

/// What went between a container and one peer over one port, in all phases and runs.
pub(super) struct Flow {
    pub(super) owner: usize,
    pub(super) direction: Direction,
    pub(super) protocol: Protocol,
    pub(super) address: Text,
    pub(super) port: u32,
    pub(super) socket: (Device, u64),
    pub(super) locals: BTreeSet<Text>,
    pub(super) namespaces: BTreeSet<u32>,
    pub(super) connections: u64,
    pub(super) failures: u64,
    pub(super) sent_bytes: u64,
    pub(super) received_bytes: u64,
    pub(super) names: BTreeSet<Text>,
    /// When it was first and last used, in nanoseconds since boot; none if the first use is not known.
    pub(super) used: Option<(u64, u64)>,
    /// By container, what it calls the end that was asked, and how many connections.
    pub(super) ends: BTreeMap<(usize, Text, u32), u64>,
}

/// How a container used a file that others may have, too.
#[derive(Default)]
pub(super) struct FilePart {
    pub(super) path: Text,
    pub(super) host_path: Text,
    pub(super) writes: bool,
    pub(super) reads: bool,
    pub(super) read_bytes: u64,
    pub(super) written_bytes: u64,
}

const WRITES: [FileAccess; 4] =
    [FileAccess::OpenedToWrite, FileAccess::Created, FileAccess::Written, FileAccess::Truncated];
const READS: [FileAccess; 4] =
    [FileAccess::OpenedToRead, FileAccess::Read, FileAccess::Executed, FileAccess::MappedToExecute];

/// The address, if it is one of IP.
pub(super) fn ip(text: &Text) -> Option<Address> {
    let ip: IpAddr = std::str::from_utf8(text.as_bytes()).ok()?.parse().ok()?;
    Some(ip.to_canonical())
}

/// A run by the beginning of its recording and of its window.
type RunOnly = (Option<u64>, u64, RunId);
/// A boot: by its id, else by the host's name.
type HostKey = (Option<Text>, Option<Text>);
/// A recording: a boot and a moment; without one the container's run says nothing.
type RunKey = (usize, Option<u64>, RunId);

fn host_key(report: &Report) -> HostKey {
    match &report.host.boot_id {
        Some(boot) => (Some(boot.clone()), None),
        None => (None, report.host.hostname.clone()),
    }
}

/// What a container is known by on its host: its id, else that it is this run of this recording.
fn container_key(report: &Report, host: usize) -> (usize, Option<Text>, Option<RunOnly>) {
    let container = &report.container;
    match container.id.as_ref().filter(|id| !id.is_empty()) {
        Some(id) => (host, Some(id.clone()), None),
        None => {
            let began = report.window.recording.map(|moment| moment.boot_ns);
            (host, None, Some((began, report.window.begin.boot_ns, container.run)))
        }
    }
}

impl Ground {
    pub(super) fn of(reports: &[Report]) -> Ground {
        // The order in which reports came must not matter: not even between two that are the same but for a detail.
        let mut ordered: Vec<(&Report, HostKey)> = reports.iter().map(|report| (report, host_key(report))).collect();
        ordered.sort_by_cached_key(|(report, host)| {
            let began = report.window.recording.map(|moment| moment.boot_ns);
            let run = (report.container.id.clone(), began, report.container.run, report.window.begin.boot_ns);
            (host.clone(), run, report.window.end.boot_ns, crate::json_line(report))
        });
        // Of one run the last report has all that earlier ones have.
        let same_run = |one: &(&Report, HostKey), other: &(&Report, HostKey)| {
            let key = |(report, host): &(&Report, HostKey)| {
                let began = report.window.recording.map(|moment| moment.boot_ns);
                (host.clone(), report.container.id.clone(), began, report.container.run, report.window.begin.boot_ns)
            };
            key(one) == key(other)
        };
        let mut kept: Vec<(&Report, HostKey)> = Vec::new();
        for one in ordered {
            match kept.last_mut().filter(|last| same_run(last, &one)) {
                Some(last) => *last = one,
                None => kept.push(one),
            }
        }

        let hosts: BTreeSet<&HostKey> = kept.iter().map(|(_, host)| host).collect();
        let hosts: BTreeMap<&HostKey, usize> = hosts.into_iter().enumerate().map(|(at, key)| (key, at)).collect();
        let mut ground = Ground { hosts: Vec::new(), containers: Vec::new(), flows: Vec::new() };
        ground.hosts.resize_with(hosts.len(), HostPart::default);

        let mut by_key = BTreeMap::new();
        let mut by_run: BTreeMap<RunKey, usize> = BTreeMap::new();
        let mut by_id: BTreeMap<(usize, Text), usize> = BTreeMap::new();
        let mut owners = Vec::new();
        for (report, host) in &kept {
            let host = hosts[host];
            ground.hosts[host].add(report);
            let at = *by_key.entry(container_key(report, host)).or_insert_with(|| {
                ground.containers.push(ContainerPart::new(report, host));
                ground.containers.len() - 1
            });
            ground.containers[at].add(report);
            if let Some(began) = report.window.recording {
                by_run.insert((host, Some(began.boot_ns), report.container.run), at);
            }
            if let Some(id) = report.container.id.clone().filter(|id| !id.is_empty()) {
                by_id.insert((host, id), at);
            }
            owners.push((at, host));
        }

        let mut flows: BTreeMap<_, Flow> = BTreeMap::new();
        for ((report, _), &(owner, host)) in kept.iter().zip(&owners) {
            let began = report.window.recording.map(|moment| moment.boot_ns);
            for used in &report.behaviour.network.flows {
                // The TCP connections that it is made of are there as well.
                if used.protocol == Protocol::Mptcp {
                    continue;
                }
                let socket = (used.device, used.inode);
                let key = (owner, used.direction, used.protocol, used.address.clone(), used.port, socket);
                let flow = flows.entry(key).or_insert_with(|| Flow::new(owner, used));
                flow.add(used);
                for end in &used.other_ends {
                    let id = end.container.clone().filter(|id| !id.is_empty());
                    let by_its_id = id.as_ref().and_then(|id| by_id.get(&(host, id.clone())));
                    let by_its_run = || by_run.get(&(host, Some(began?), end.run));
                    let other = match by_its_id.or_else(by_its_run) {
                        Some(known) => *known,
                        // A run without a recording may be anybody's.
                        None if id.is_none() && began.is_none() => continue,
                        None => {
                            ground.containers.push(ContainerPart::without_report(end, host));
                            let at = ground.containers.len() - 1;
                            if let Some(began) = began {
                                by_run.insert((host, Some(began), end.run), at);
                            }
                            by_id.extend(id.map(|id| ((host, id), at)));
                            at
                        }
                    };
                    let key = (other, end.address_there.clone(), end.port_there);
                    let sum = flow.ends.entry(key).or_default();
                    *sum = sum.saturating_add(end.connections);
                }
            }
        }
        ground.flows = flows.into_values().collect();
        ground.share_addresses_of_hosts();
        ground
    }

    /// A container in its host's network namespace has the host's addresses.
    fn share_addresses_of_hosts(&mut self) {
        for container in &mut self.containers {
            let host = &self.hosts[container.host];
            if container.namespaces.iter().any(|namespace| host.namespaces.contains(namespace)) {
                container.addresses.extend(&host.addresses);
            }
        }
    }

    /// Whether the container was there while the flow was used.
    pub(super) fn was_there(&self, container: usize, flow: &Flow) -> bool {
        let windows = &self.containers[container].windows;
        let Some((first, last)) = flow.used else { return true };
        windows.is_empty() || windows.iter().any(|&(begin, end)| begin <= last && first <= end)
    }

    /// Whether the container is in its host's network namespace.
    pub(super) fn is_on_host(&self, container: usize) -> bool {
        let container = &self.containers[container];
        let host = &self.hosts[container.host];
        container.namespaces.iter().any(|namespace| host.namespaces.contains(namespace))
    }
}

impl HostPart {
    fn add(&mut self, report: &Report) {
        self.name = self.name.take().or_else(|| report.host.hostname.clone());
        if let Some(network) = &report.host.network {
            self.namespaces.insert(network.namespace);
            self.addresses.extend(network.addresses.iter().filter_map(ip).filter(|ip| !ip.is_loopback()));
        }
    }
}

impl ContainerPart {
    fn new(report: &Report, host: usize) -> ContainerPart {
        let container = &report.container;
        let has_text = |text: &&Text| !text.is_empty();
        let cgroup = container.cgroup.as_ref().map(|cgroup| &cgroup.path);
        let known = [container.name.as_ref(), container.id.as_ref(), cgroup];
        let run = || Text::from(format!("run {}.{}", container.run.slot, container.run.generation));
        let pod = container.pod.as_ref().and_then(|pod| {
            let names: Vec<&Text> = [&pod.namespace, &pod.name].into_iter().flatten().filter(has_text).collect();
            match names.as_slice() {
                [] => pod.uid.clone(),
                names => Some(Text::new(names.iter().map(|name| name.as_bytes()).collect::<Vec<_>>().join(&b'/'))),
            }
        });
        ContainerPart {
            host,
            id: container.id.clone().filter(|id| !id.is_empty()),
            name: known.into_iter().flatten().find(has_text).cloned().unwrap_or_else(run),
            image: container.image.clone(),
            pod,
            is_pod_sandbox: container.kind == Kind::PodSandbox,
            complete: true,
            addresses: BTreeSet::new(),
            namespaces: BTreeSet::new(),
            listeners: BTreeSet::new(),
            published: BTreeSet::new(),
            files: BTreeMap::new(),
            windows: Vec::new(),
        }
    }

    /// One that the kernel saw at the other end, and that there is no report of.
    fn without_report(end: &OtherEnd, host: usize) -> ContainerPart {
        let id = end.container.clone().filter(|id| !id.is_empty());
        let run = || Text::from(format!("run {}.{}", end.run.slot, end.run.generation));
        let name = end.name.clone().filter(|name| !name.is_empty());
        ContainerPart {
            host,
            name: name.or_else(|| id.clone()).unwrap_or_else(run),
            id,
            image: None,
            pod: None,
            is_pod_sandbox: false,
            complete: false,
            addresses: BTreeSet::new(),
            namespaces: BTreeSet::new(),
            listeners: BTreeSet::new(),
            published: BTreeSet::new(),
            files: BTreeMap::new(),
            windows: Vec::new(),
        }
    }

    fn add(&mut self, report: &Report) {
        self.windows.push((report.window.begin.boot_ns, report.window.end.boot_ns));
        let is_whole = |section: &str| report.sections.get(&Text::from(section)) == Some(&true);
        self.complete &= is_whole("network") && is_whole("files");
        self.published.extend(report.container.published_ports.iter().cloned());
        let network = &report.behaviour.network;
        for one in &network.listeners {
            self.namespaces.insert(one.namespace);
            self.addresses.extend(ip(&one.address).filter(is_own));
            self.listeners.insert(Listener {
                // Whoever listens for Multipath TCP takes TCP as well.
                protocol: if one.protocol == Protocol::Mptcp { Protocol::Tcp } else { one.protocol },
                address: one.address.clone(),
                port: one.port,
                namespace: one.namespace,
                socket: (one.device, one.inode),
            });
        }
        for flow in &network.flows {
            self.namespaces.insert(flow.namespace);
            self.addresses.extend(ip(&flow.local_address).filter(is_own));
        }
        self.namespaces.extend(network.interfaces.iter().map(|interface| interface.namespace));
        self.namespaces.remove(&0);
        self.add_files(report);
    }

    fn add_files(&mut self, report: &Report) {
        let files = &report.behaviour.files;
        let shared = |path: &behaviour::PathUse| {
            let of_mount = |mount: &&behaviour::MountUse| mount.mount == path.mount && mount.phase == path.phase;
            files.mounts.iter().find(of_mount).filter(|mount| matches!(mount.place, Place::Volume | Place::Bind))
        };
        // What the runtime does before the workload begins says nothing of the workload.
        for path in files.paths.iter().filter(|path| path.inode != 0 && path.phase != Phase::RuntimeInit) {
            // A socket's name is in the flows, and a directory is no message.
            if !matches!(path.file_type, FileType::Regular | FileType::NamedPipe | FileType::Other) {
                continue;
            }
            let Some(mount) = shared(path) else { continue };
            let part = self.files.entry((path.device, path.inode, path.inode_generation)).or_default();
            if part.path.is_empty() || path.path < part.path {
                part.path = path.path.clone();
            }
            let host_path = mount.host_path.as_ref().unwrap_or(&mount.root);
            if part.host_path.is_empty() || *host_path < part.host_path {
                part.host_path = host_path.clone();
            }
            part.writes |= path.accesses.has_any(&WRITES);
            part.reads |= path.accesses.has_any(&READS);
            part.read_bytes = part.read_bytes.saturating_add(path.read_bytes);
            part.written_bytes = part.written_bytes.saturating_add(path.written_bytes);
        }
    }
}

/// Whether an address tells whose it is: everybody has those of loopback.
fn is_own(address: &Address) -> bool {
    !address.is_loopback() && !address.is_unspecified()
}

impl Flow {
    fn new(owner: usize, used: &FlowUse) -> Flow {
        Flow {
            owner,
            direction: used.direction,
            protocol: used.protocol,
            address: used.address.clone(),
            port: used.port,
            socket: (used.device, used.inode),
            locals: BTreeSet::new(),
            namespaces: BTreeSet::new(),
            connections: 0,
            failures: 0,
            sent_bytes: 0,
            received_bytes: 0,
            names: BTreeSet::new(),
            used: used.first.as_ref().map(|first| (first.boot_ns, used.last_boot_ns.max(first.boot_ns))),
            ends: BTreeMap::new(),
        }
    }

    fn add(&mut self, used: &FlowUse) {
        self.used = self
            .used
            .zip(used.first.as_ref())
            .map(|((first, last), used_first)| (first.min(used_first.boot_ns), last.max(used.last_boot_ns)));
        self.locals.insert(used.local_address.clone());
        self.namespaces.insert(used.namespace);
        self.connections = self.connections.saturating_add(used.connections);
        self.failures = used.failures.iter().fold(self.failures, |sum, failure| sum.saturating_add(failure.count));
        self.sent_bytes = self.sent_bytes.saturating_add(used.traffic.sent_bytes);
        self.received_bytes = self.received_bytes.saturating_add(used.traffic.received_bytes);
        self.names.extend(used.names.iter().chain(&used.server_names).filter(|name| !name.is_empty()).cloned());
    }
}
