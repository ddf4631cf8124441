//! Who talks to whom: whose the other end is, that nothing is counted twice, and how it is drawn.

mod fixtures;

use std::collections::BTreeMap;
use std::path::Path;

use behaviour::{Files, FlowUse, ListenerUse, MountUse, Network, OtherEnd, PathUse, Place};
use event::{Device, Direction, FileAccess, FileType, Phase, Protocol, RunId, Text, Traffic, is_unsafe_on_a_terminal};
use proptest::prelude::*;
use report::{
    Edge, EdgeKind, HostNetwork, Kind, Map, NodeKind, Pod, PublishedPort, Report, TableOptions, ego, map_table, svg,
};

const HOST_NAMESPACE: u32 = 1;
const HOST_ADDRESS: &str = "192.0.2.10";
const GATEWAY: &str = "172.17.0.1";

fn text(text: &str) -> Text {
    Text::from(text)
}

/// A container of the bridge: its name says its id, its number its address, run and namespace.
fn container(name: &str, number: u32) -> Report {
    let (_, mut report) = fixtures::all().remove(0);
    report.container.name = Some(text(name));
    report.container.id = Some(text(&format!("{name:x<64}")));
    report.container.image = Some(text(&format!("{name}:1")));
    report.container.run = RunId { slot: number, generation: 0 };
    report.container.published_ports = Vec::new();
    report.host.network = Some(HostNetwork {
        namespace: HOST_NAMESPACE,
        addresses: ["127.0.0.1", GATEWAY, HOST_ADDRESS].map(text).to_vec(),
    });
    report.behaviour.network = Network::default();
    report.behaviour.files = Files::default();
    report.finish()
}

fn address(number: u32) -> String {
    format!("172.17.{}.{}", number / 200, number % 200 + 2)
}

fn namespace(number: u32) -> u32 {
    1000 + number
}

fn number(report: &Report) -> u32 {
    report.container.run.slot
}

fn flow(
    report: &mut Report,
    direction: Direction,
    peer: &str,
    port: u32,
    connections: u64,
    bytes: (u64, u64),
) -> usize {
    let number = number(report);
    report.behaviour.network.flows.push(FlowUse {
        phase: Phase::Main,
        direction,
        protocol: Protocol::Tcp,
        address: text(peer),
        port,
        local_address: text(&address(number)),
        local_port: if direction == Direction::In { port } else { 40_000 },
        namespace: namespace(number),
        device: Device::default(),
        inode: 0,
        connections,
        failures: Vec::new(),
        traffic: Traffic { sent_bytes: bytes.0, received_bytes: bytes.1, ..Traffic::default() },
        ends: BTreeMap::new(),
        connect_time: None,
        names: Vec::new(),
        server_names: Vec::new(),
        other_ends: Vec::new(),
        first: None,
        last_boot_ns: 0,
    });
    report.behaviour.network.flows.len() - 1
}

fn listen(report: &mut Report, at: &str, port: u32) {
    let namespace = namespace(number(report));
    report.behaviour.network.listeners.push(ListenerUse {
        phase: Phase::Main,
        protocol: Protocol::Tcp,
        address: text(at),
        port,
        namespace,
        device: Device::default(),
        inode: 0,
        count: 1,
        first: None,
    });
}

/// Both sides of connections on one bridge, as two reports have them.
fn connect(from: &mut Report, to: &mut Report, port: u32, connections: u64, bytes: (u64, u64)) {
    let (client, server) = (address(number(from)), address(number(to)));
    flow(from, Direction::Out, &server, port, connections, bytes);
    flow(to, Direction::In, &client, port, connections, (bytes.1, bytes.0));
}

fn seen_by_kernel(report: &mut Report, at: usize, other: &Report, there: (&str, u32), connections: u64) {
    report.behaviour.network.flows[at].other_ends.push(OtherEnd {
        run: other.container.run,
        container: other.container.id.clone(),
        name: other.container.name.clone(),
        address_there: text(there.0),
        port_there: there.1,
        connections,
    });
}

fn name<'a>(map: &'a Map, id: &Text) -> &'a Text {
    &map.nodes.iter().find(|node| node.id == *id).expect("every edge has its nodes").name
}

/// `from → to protocol port: connections, sent / received, seen`.
fn told(map: &Map) -> Vec<String> {
    let line = |edge: &Edge| {
        format!(
            "{} → {} {} {}: {}, {}/{}, {}",
            name(map, &edge.from),
            name(map, &edge.to),
            edge.protocol.map_or("file", Protocol::name),
            if edge.path.is_empty() { edge.port.to_string() } else { edge.path.to_string() },
            edge.connections,
            edge.sent_bytes,
            edge.received_bytes,
            edge.seen.name()
        )
    };
    map.edges.iter().map(line).collect()
}

#[test]
fn both_sides_of_connections_are_one_edge() {
    let (mut web, mut db) = (container("web", 1), container("db", 2));
    connect(&mut web, &mut db, 5432, 4, (100, 2000));

    let map = Map::of(&[web, db]);

    assert_eq!(told(&map), ["web → db tcp 5432: 4, 100/2000, both-reports"]);
    assert!(!map.edges[0].differs && map.edges[0].client.is_some() && map.edges[0].server.is_some());
}

#[test]
fn each_direction_is_as_its_sender_has_it_and_a_difference_is_told() {
    let (mut web, mut db) = (container("web", 1), container("db", 2));
    flow(&mut web, Direction::Out, &address(2), 5432, 4, (100, 1900));
    flow(&mut db, Direction::In, &address(1), 5432, 3, (2000, 90));

    let map = Map::of(&[web, db]);

    assert_eq!(told(&map), ["web → db tcp 5432: 4, 100/2000, both-reports"]);
    assert!(map.edges[0].differs);
}

#[test]
fn a_listener_is_found_by_its_address_alone() {
    let (mut web, mut db) = (container("web", 1), container("db", 2));
    flow(&mut web, Direction::Out, &address(2), 5432, 1, (1, 2));
    listen(&mut db, &address(2), 5432);

    assert_eq!(told(&Map::of(&[web, db])), ["web → db tcp 5432: 1, 1/2, listener"]);
}

#[test]
fn what_the_kernel_saw_comes_before_addresses_and_both_addresses_are_told() {
    let (mut web, mut db) = (container("web", 1), container("db", 2));
    let out = flow(&mut web, Direction::Out, "10.96.0.1", 80, 3, (30, 60));
    seen_by_kernel(&mut web, out, &db.clone(), (&address(2), 8080), 2);
    let into = flow(&mut db, Direction::In, &address(1), 8080, 3, (60, 30));
    seen_by_kernel(&mut db, into, &web.clone(), ("10.96.0.1", 80), 2);

    let map = Map::of(&[web, db]);

    assert_eq!(told(&map), ["web → db tcp 8080: 3, 30/60, kernel"]);
    let translated = &map.edges[0].translated[0];
    assert_eq!((&translated.asked_address, translated.asked_port), (&text("10.96.0.1"), 80));
    assert_eq!((&translated.reached_address, translated.reached_port), (&text(&address(2)), 8080));
}

#[test]
fn a_sum_for_several_containers_is_shared_out_without_a_rest() {
    let (mut web, mut one, mut two) = (container("web", 1), container("one", 2), container("two", 3));
    let out = flow(&mut web, Direction::Out, "10.96.0.1", 80, 3, (100, 1000));
    seen_by_kernel(&mut web, out, &one.clone(), (&address(2), 80), 1);
    seen_by_kernel(&mut web, out, &two.clone(), (&address(3), 80), 2);
    flow(&mut one, Direction::In, &address(1), 80, 1, (900, 10));
    flow(&mut two, Direction::In, &address(1), 80, 2, (100, 90));

    let map = Map::of(&[web, one, two]);

    // Of what is shared out the other side knows better.
    assert_eq!(told(&map), ["web → one tcp 80: 1, 10/900, kernel", "web → two tcp 80: 2, 90/100, kernel"]);
    let clients: Vec<_> = map.edges.iter().map(|edge| edge.client.expect("a report")).collect();
    assert!(clients.iter().all(|client| client.shared_out));
    assert_eq!(clients.iter().map(|client| client.sent_bytes).sum::<u64>(), 100);
}

#[test]
fn a_container_that_the_kernel_saw_is_told_although_it_has_no_report() {
    let (mut web, mut db) = (container("web", 1), container("db", 2));
    let hidden = container("hidden", 3);
    for report in [&mut web, &mut db] {
        let out = flow(report, Direction::Out, "10.96.0.1", 80, 3, (30, 60));
        seen_by_kernel(report, out, &hidden, ("172.17.0.5", 8080), 3);
    }

    let map = Map::of(&[web, db]);

    assert_eq!(told(&map), ["db → hidden tcp 8080: 3, 30/60, kernel", "web → hidden tcp 8080: 3, 30/60, kernel"]);
    assert_eq!((map.nodes.len(), map.nodes[1].complete), (3, false));
}

#[test]
fn multipath_tcp_is_told_as_the_connections_that_it_is_made_of() {
    let (mut web, mut db) = (container("web", 1), container("db", 2));
    connect(&mut web, &mut db, 80, 1, (10, 20));
    for report in [&mut web, &mut db] {
        let mut above = report.behaviour.network.flows[0].clone();
        above.protocol = Protocol::Mptcp;
        report.behaviour.network.flows.push(above);
    }

    assert_eq!(told(&Map::of(&[web, db])), ["web → db tcp 80: 1, 10/20, both-reports"]);
}

#[test]
fn a_published_port_leads_to_its_container_and_is_not_counted_again_as_the_gateways() {
    let (mut web, mut db) = (container("web", 1), container("db", 2));
    db.container.published_ports =
        vec![PublishedPort { protocol: Protocol::Tcp, host_address: text("0.0.0.0"), host_port: 8080, port: 80 }];
    flow(&mut web, Direction::Out, HOST_ADDRESS, 8080, 5, (50, 500));
    // The engine's proxy forwards them, and two more of the host's own.
    flow(&mut db, Direction::In, GATEWAY, 80, 7, (700, 70));

    let map = Map::of(&[web, db]);

    let expected = ["web → db tcp 80: 5, 50/500, published-port", "node-1 → db tcp 80: 2, 20/200, host"];
    assert_eq!(told(&map), expected);
    assert_eq!((map.edges[0].translated[0].asked_port, map.edges[0].translated[0].reached_port), (8080, 80));
}

#[test]
fn loopback_is_within_one_network_namespace() {
    let (mut app, mut cache, mut other) = (container("app", 1), container("cache", 2), container("other", 3));
    for report in [&mut app, &mut cache, &mut other] {
        report.container.pod = Some(Pod { namespace: Some(text("shop")), name: Some(text("cart")), uid: None });
    }
    other.container.pod = None;
    let out = flow(&mut app, Direction::Out, "127.0.0.1", 6379, 2, (20, 40));
    app.behaviour.network.flows[out].local_address = text("127.0.0.1");
    let into = flow(&mut cache, Direction::In, "127.0.0.1", 6379, 2, (40, 20));
    cache.behaviour.network.flows[into].local_address = text("127.0.0.1");
    cache.behaviour.network.flows[into].namespace = namespace(1);
    listen(&mut cache, "127.0.0.1", 6379);
    cache.behaviour.network.listeners[0].namespace = namespace(1);
    // The same port in another namespace.
    listen(&mut other, "0.0.0.0", 6379);

    assert_eq!(told(&Map::of(&[app, cache, other])), ["app → cache tcp 6379: 2, 20/40, both-reports"]);
}

#[test]
fn loopback_where_nobody_else_listens_is_the_container_itself() {
    let mut app = container("app", 1);
    flow(&mut app, Direction::Out, "127.0.0.1", 80, 0, (0, 0));

    assert_eq!(told(&Map::of(&[app])), ["app → app tcp 80: 0, 0/0, address"]);
}

#[test]
fn loopback_in_the_hosts_namespace_is_the_host() {
    let mut agent = container("agent", 1);
    let out = flow(&mut agent, Direction::Out, "127.0.0.1", 9090, 1, (1, 1));
    agent.behaviour.network.flows[out].namespace = HOST_NAMESPACE;

    let map = Map::of(&[agent]);

    assert_eq!(told(&map), ["agent → node-1 tcp 9090: 1, 1/1, host"]);
    assert_eq!(map.nodes[1].kind, NodeKind::Host);
}

#[test]
fn an_address_that_two_containers_had_is_of_the_one_that_was_there() {
    let (mut web, mut early, mut late) = (container("web", 1), container("early", 2), container("late", 2));
    (early.window.begin.boot_ns, early.window.end.boot_ns) = (100, 200);
    (late.window.begin.boot_ns, late.window.end.boot_ns) = (300, 400);
    for report in [&mut early, &mut late] {
        listen(report, &address(2), 80);
    }
    let at = flow(&mut web, Direction::Out, &address(2), 80, 1, (1, 2));
    let flow = &mut web.behaviour.network.flows[at];
    flow.first = fixtures::all()[0].1.behaviour.network.flows[0].first.clone();
    flow.first.as_mut().expect("it has one").boot_ns = 350;
    flow.last_boot_ns = 350;

    assert_eq!(told(&Map::of(&[web, early, late])), ["web → late tcp 80: 1, 1/2, listener"]);
}

#[test]
fn the_gateway_is_the_host() {
    let mut web = container("web", 1);
    flow(&mut web, Direction::Out, GATEWAY, 53, 1, (1, 1));

    assert_eq!(told(&Map::of(&[web])), ["web → node-1 tcp 53: 1, 1/1, host"]);
}

#[test]
fn a_unix_socket_is_told_by_its_inode_and_an_abstract_one_by_its_namespace() {
    let (mut web, mut db, mut other) = (container("web", 1), container("db", 2), container("other", 3));
    let unix = |report: &mut Report, direction, path: &str, inode| {
        let bytes = if direction == Direction::Out { (7, 9) } else { (9, 7) };
        let at = flow(report, direction, path, 0, 1, bytes);
        let flow = &mut report.behaviour.network.flows[at];
        (flow.protocol, flow.inode, flow.local_address) = (Protocol::UnixStream, inode, Text::default());
    };
    let bind = |report: &mut Report, path: &str, inode| {
        listen(report, path, 0);
        let listener = report.behaviour.network.listeners.last_mut().expect("just pushed");
        (listener.protocol, listener.inode) = (Protocol::UnixStream, inode);
    };
    // The same socket under two paths of a volume.
    unix(&mut web, Direction::Out, "/shared/db.sock", 77);
    unix(&mut db, Direction::In, "", 77);
    bind(&mut db, "/run/db.sock", 77);
    bind(&mut other, "/shared/db.sock", 78);
    unix(&mut web, Direction::Out, "@bus", 0);
    bind(&mut other, "@bus", 0);
    unix(&mut web, Direction::Out, "/dev/log", 5);

    let map = Map::of(&[web, db, other]);

    let expected = [
        "web → db unix-stream /shared/db.sock: 1, 7/9, both-reports",
        "web → node-1 unix-stream /dev/log: 1, 7/9, host",
        "web → node-1 unix-stream @bus: 1, 7/9, host",
    ];
    assert_eq!(told(&map), expected);
    assert!(map.edges[0].server.is_some() && !map.edges[0].differs, "{:?}", map.edges[0]);
}

#[test]
fn an_address_outside_has_the_name_that_it_was_looked_up_by() {
    let mut web = container("web", 1);
    let out = flow(&mut web, Direction::Out, "203.0.113.7", 443, 1, (1, 1));
    web.behaviour.network.flows[out].names = vec![text("api.example.org")];
    let again = flow(&mut web, Direction::Out, "203.0.113.8", 443, 2, (1, 1));
    web.behaviour.network.flows[again].names = vec![text("api.example.org")];

    let map = Map::of(&[web]);

    assert_eq!(told(&map), ["web → api.example.org tcp 443: 3, 2/2, outside"]);
    assert_eq!(map.nodes[1].addresses, [text("203.0.113.7"), text("203.0.113.8")]);
}

#[test]
fn many_clients_are_one_node_and_nothing_of_them_is_lost() {
    let mut web = container("web", 1);
    for client in 0..200 {
        flow(&mut web, Direction::In, &format!("203.0.113.{client}"), 443, 1, (10, 1));
    }

    let map = Map::of(&[web]);

    assert_eq!(told(&map), ["200 addresses → web tcp 443: 200, 200/2000, outside"]);
    assert_eq!((map.nodes[1].total_addresses, map.nodes[1].addresses.len()), (200, 64));
}

#[test]
fn one_that_restarted_is_one_node() {
    let (mut web, mut again, mut db) = (container("web", 1), container("web", 1), container("db", 2));
    again.container.run.generation = 1;
    again.window.begin.boot_ns += 1;
    connect(&mut web, &mut db, 5432, 1, (1, 2));
    flow(&mut again, Direction::Out, &address(2), 5432, 2, (10, 20));
    db.behaviour.network.flows[0].connections = 3;

    let map = Map::of(&[web, again, db]);

    assert_eq!(map.nodes.len(), 2);
    assert_eq!(told(&map), ["web → db tcp 5432: 3, 11/2, both-reports"]);
}

#[test]
fn a_report_that_is_given_twice_counts_once() {
    let (mut web, mut db) = (container("web", 1), container("db", 2));
    connect(&mut web, &mut db, 5432, 4, (100, 2000));

    assert_eq!(Map::of(&[web.clone(), db.clone(), web.clone()]), Map::of(&[web, db]));
}

#[test]
fn containers_of_two_hosts_are_never_taken_for_one_another() {
    let (mut web, mut db) = (container("web", 1), container("db", 2));
    connect(&mut web, &mut db, 5432, 4, (100, 2000));
    db.host.boot_id = Some(text("another"));
    db.host.hostname = Some(text("node-2"));

    let told = told(&Map::of(&[web, db]));

    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|line| line.ends_with("outside")), "{told:?}");
}

#[test]
fn a_pause_container_that_does_nothing_is_not_drawn() {
    let mut pause = container("pause", 1);
    pause.container.kind = Kind::PodSandbox;

    assert_eq!(Map::of(&[pause, container("web", 2)]).nodes.len(), 1);
}

fn uses_file(report: &mut Report, place: Place, inode: u64, path: &str, accesses: &[FileAccess]) {
    let files = &mut report.behaviour.files;
    files.mounts = vec![MountUse {
        phase: Phase::Main,
        mount: 5,
        point: text("/data"),
        place,
        fs_type: text("ext4"),
        device: Device { major: 8, minor: 1 },
        root: text("/v"),
        source: text("/dev/sda1"),
        host_path: Some(text("/var/lib/docker/volumes/data/_data")),
        layers: Vec::new(),
        read_only: false,
        read_bytes: 0,
        written_bytes: 0,
    }];
    files.paths.push(PathUse {
        phase: Phase::Main,
        path: text(path),
        file_type: FileType::Regular,
        accesses: accesses.iter().copied().collect(),
        opens: 1,
        read_bytes: 0,
        written_bytes: 0,
        first: None,
        argument: Text::default(),
        last_boot_ns: 0,
        mount: 5,
        device: Device { major: 8, minor: 1 },
        inode,
        inode_generation: 0,
        path_truncated: false,
        argument_truncated: false,
        deleted: false,
        unreachable: false,
    });
}

#[test]
fn a_file_that_one_writes_and_another_reads_is_an_edge() {
    let (mut writer, mut reader) = (container("writer", 1), container("reader", 2));
    let (written, read) = ([FileAccess::Created, FileAccess::Written], [FileAccess::OpenedToRead]);
    uses_file(&mut writer, Place::Volume, 7, "/data/a", &written);
    uses_file(&mut reader, Place::Volume, 7, "/in/a", &read);
    uses_file(&mut writer, Place::Volume, 8, "/data/mine", &written);
    uses_file(&mut reader, Place::Volume, 9, "/in/mine", &read);

    let map = Map::of(&[reader, writer]);

    let expected = "writer → reader file /var/lib/docker/volumes/data/_data: 1, 0/0, both-reports";
    assert_eq!(told(&map), [expected]);
    assert_eq!((map.edges[0].kind, map.edges[0].files.as_slice()), (EdgeKind::File, &[text("/data/a")][..]));
}

#[test]
fn what_the_runtime_wrote_is_no_edge() {
    let (mut writer, mut reader) = (container("writer", 1), container("reader", 2));
    uses_file(&mut writer, Place::Bind, 7, "/run/exec.fifo", &[FileAccess::Written]);
    uses_file(&mut reader, Place::Bind, 7, "/run/exec.fifo", &[FileAccess::Read]);
    writer.behaviour.files.mounts[0].phase = Phase::RuntimeInit;
    writer.behaviour.files.paths[0].phase = Phase::RuntimeInit;

    assert!(Map::of(&[reader, writer]).edges.is_empty());
}

#[test]
fn a_file_with_the_inode_number_of_one_that_was_deleted_is_no_edge() {
    let (mut writer, mut reader) = (container("writer", 1), container("reader", 2));
    uses_file(&mut writer, Place::Volume, 7, "/data/a", &[FileAccess::Written]);
    uses_file(&mut reader, Place::Volume, 7, "/in/b", &[FileAccess::Read]);
    reader.behaviour.files.paths[0].inode_generation = 1;

    assert!(Map::of(&[reader, writer]).edges.is_empty());
}

#[test]
fn files_of_an_image_and_files_that_both_only_read_are_no_edges() {
    for (place, access) in [(Place::Root, FileAccess::Written), (Place::Volume, FileAccess::Read)] {
        let (mut one, mut other) = (container("one", 1), container("other", 2));
        uses_file(&mut one, place, 7, "/usr/lib/libc.so.6", &[access]);
        uses_file(&mut other, place, 7, "/usr/lib/libc.so.6", &[FileAccess::Read]);

        assert_eq!(told(&Map::of(&[one, other])), [""; 0]);
    }
}

/// So many containers as a shop might have them: clients, a proxy, services with a database each, logs through a volume,
/// a pod.
fn shop(containers: usize) -> Vec<Report> {
    let mut reports: Vec<Report> = Vec::new();
    let mut proxy = container("proxy", 0);
    proxy.container.image = Some(text("registry.example/edge/nginx:1.27.3-bookworm"));
    for client in 0..40 {
        flow(&mut proxy, Direction::In, &format!("203.0.113.{client}"), 443, 30 + client, (80_000, 4_000));
    }
    let services = (containers.saturating_sub(2) / 2).max(1);
    let mut log = container("log-collector", 1);
    let mut last_db: Option<Report> = None;
    for at in 0..services {
        let number = 2 + 2 * at as u32;
        let mut service = container(&format!("service-{at}"), number);
        connect(&mut proxy, &mut service, 8080, 100 + at as u64, (50_000, 900_000 << at.min(12)));
        connect(&mut service, &mut log, 514, 1, (90_000 * (at as u64 + 1), 0));
        let mut db = container(&format!("db-{at}"), number + 1);
        connect(&mut service, &mut db, 5432, 12, (9_000, 700_000));
        if let Some(other) = last_db.as_mut().filter(|_| at % 2 == 1) {
            connect(&mut service, other, 5432, 2, (500, 9_000));
        }
        if at % 4 == 3 {
            let out = flow(&mut service, Direction::Out, "198.51.100.7", 443, 3, (4_000, 80_000));
            service.behaviour.network.flows[out].names = vec![text("api.payments.example")];
            flow(&mut service, Direction::Out, GATEWAY, 53, 9, (600, 1_200));
        }
        if at % 5 == 1 {
            uses_file(&mut db, Place::Volume, 70, "/data/dump.sql", &[FileAccess::Written]);
            uses_file(&mut log, Place::Volume, 70, "/dumps/dump.sql", &[FileAccess::Read]);
        }
        if at % 3 == 2 {
            for report in [&mut service, &mut db] {
                report.container.pod =
                    Some(Pod { namespace: Some(text("shop")), name: Some(text(&format!("cart-{at}"))), uid: None });
            }
        }
        reports.extend(last_db.replace(db));
        reports.push(service);
    }
    reports.extend(last_db);
    let mut alone = container("cron", 150);
    alone.sections.insert(text("network"), false);
    reports.extend([proxy, log, alone]);
    reports.truncate(containers.max(3));
    reports
}

fn assert_is(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, actual).expect("the golden file can be written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(actual == expected, "{} differs; it is now:\n{actual}", path.display());
}

#[test]
fn maps_are_as_agreed() {
    let small = Map::of(&shop(5));
    assert_is("map.json", &small.to_json());
    assert_is("map.dot", &small.to_dot());
    assert_is("map.mermaid", &small.to_mermaid());
    assert_is("map.txt", &map_table(&small, &TableOptions::default()));
    assert_is("map.svg", &svg(&small));
    assert_is("map.10.svg", &svg(&Map::of(&shop(10))));
    assert_is("map.30.svg", &svg(&Map::of(&shop(30))));
    assert_is("map.30.txt", &map_table(&Map::of(&shop(30)), &TableOptions { width: 120, ..TableOptions::default() }));
}

#[test]
fn the_schema_that_is_checked_in_is_the_one_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema/map-1.json");
    let actual = Map::schema();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &actual).expect("the schema can be written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(actual == expected, "{} differs from the types: UPDATE=1 writes it anew", path.display());
}

/// Containers that do anything with anybody, as no kernel would report it: all that must hold whatever is in reports.
fn any_reports() -> impl Strategy<Value = Vec<Report>> {
    let peers = prop_oneof![
        (0u32..5).prop_map(address),
        Just("127.0.0.1".to_owned()),
        Just(GATEWAY.to_owned()),
        Just(HOST_ADDRESS.to_owned()),
        Just("*".to_owned()),
        Just(String::new()),
        (0u32..9).prop_map(|at| format!("203.0.113.{at}")),
        Just("/run/a.sock".to_owned()),
        Just("@abstract".to_owned()),
    ];
    let ends = prop::collection::vec((0u32..5, 0u64..4, 0u32..3), 0..3);
    let flows = (0u32..5, any::<bool>(), peers, 0u32..3, 0u64..5, 0u64..1000, any::<bool>(), ends);
    (1u32..6, prop::collection::vec(flows, 0..40), any::<bool>()).prop_map(|(containers, flows, published)| {
        let mut reports: Vec<Report> = (0..containers).map(|at| container(&format!("c{at}"), at)).collect();
        let others = reports.clone();
        for (owner, is_in, peer, port, connections, bytes, listens, ends) in flows {
            let report = &mut reports[owner as usize % containers as usize];
            let direction = if is_in { Direction::In } else { Direction::Out };
            let at = flow(report, direction, &peer, port, connections, (bytes, bytes * 7 % 501));
            if peer.starts_with(['/', '@']) {
                report.behaviour.network.flows[at].protocol = Protocol::UnixStream;
                report.behaviour.network.flows[at].inode = u64::from(port);
            }
            for (other, connections, port) in ends {
                let other = &others[other as usize % containers as usize];
                seen_by_kernel(report, at, other, (&address(other.container.run.slot), port), connections);
            }
            if listens {
                listen(report, "0.0.0.0", port);
            }
        }
        if published {
            reports[0].container.published_ports =
                vec![PublishedPort { protocol: Protocol::Tcp, host_address: text("0.0.0.0"), host_port: 1, port: 2 }];
        }
        reports
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_byte_and_connection_of_every_flow_is_in_the_map_once(reports in any_reports()) {
        let map = Map::of(&reports);
        let flows = |direction| {
            reports.iter().flat_map(|report| &report.behaviour.network.flows).filter(move |flow| flow.direction == direction)
        };
        for (direction, side) in [
            (Direction::Out, map.edges.iter().filter_map(|edge| edge.client).collect::<Vec<_>>()),
            (Direction::In, map.edges.iter().filter_map(|edge| edge.server).collect()),
        ] {
            prop_assert_eq!(
                flows(direction).map(|flow| flow.traffic.sent_bytes).sum::<u64>(),
                side.iter().map(|figures| figures.sent_bytes).sum::<u64>()
            );
            prop_assert_eq!(
                flows(direction).map(|flow| flow.traffic.received_bytes).sum::<u64>(),
                side.iter().map(|figures| figures.received_bytes).sum::<u64>()
            );
        }
        // What the kernel saw may be more than was counted; otherwise connections, too, are all there.
        if reports.iter().all(|report| report.behaviour.network.flows.iter().all(|flow| flow.other_ends.is_empty())) {
            let booked: u64 = map.edges.iter().filter_map(|edge| edge.client).map(|figures| figures.connections).sum();
            prop_assert_eq!(flows(Direction::Out).map(|flow| flow.connections).sum::<u64>(), booked);
        }
        let ids: Vec<&Text> = map.nodes.iter().map(|node| &node.id).collect();
        for (at, id) in ids.iter().enumerate() {
            prop_assert!(!ids[at + 1..].contains(id), "{id} is there twice");
        }
        prop_assert!(map.edges.iter().all(|edge| ids.contains(&&edge.from) && ids.contains(&&edge.to)));
    }

    #[test]
    fn the_order_of_the_reports_makes_no_difference(reports in any_reports(), seed in any::<u64>()) {
        let mut shuffled = reports.clone();
        let mut state = seed;
        for at in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.swap(at, (state >> 33) as usize % (at + 1));
        }
        for report in &mut shuffled {
            report.behaviour.network.flows.reverse();
        }
        let (one, other) = (Map::of(&reports), Map::of(&shuffled));
        prop_assert_eq!(&one, &other);
        prop_assert_eq!(svg(&one), svg(&other));
    }
}

fn with_text(mut reports: Vec<Report>, text: &Text) -> Vec<Report> {
    for (at, report) in reports.iter_mut().enumerate() {
        let container = &mut report.container;
        (container.name, container.image) = (Some(text.clone()), Some(text.clone()));
        container.id = Some(Text::new([text.as_bytes(), &[b'0' + (at % 10) as u8]].concat()));
        if let Some(pod) = &mut container.pod {
            pod.name = Some(text.clone());
        }
        report.host.hostname = Some(text.clone());
        for flow in &mut report.behaviour.network.flows {
            if !flow.address.as_bytes().starts_with(b"172") {
                flow.address = text.clone();
            }
            flow.names = vec![text.clone()];
        }
        for path in &mut report.behaviour.files.paths {
            path.path = text.clone();
        }
        for mount in &mut report.behaviour.files.mounts {
            mount.host_path = Some(text.clone());
        }
    }
    reports
}

/// A reader of XML as strict as it needs to be: elements of ours alone, closed in their order; no text is markup.
fn assert_is_our_drawing(drawing: &str) {
    const NAMES: [&str; 9] = ["svg", "style", "g", "title", "path", "polygon", "rect", "text", "?xml"];
    const ATTRIBUTES: [&str; 21] = [
        "xmlns",
        "class",
        "width",
        "height",
        "viewBox",
        "role",
        "aria-label",
        "d",
        "points",
        "x",
        "y",
        "rx",
        "text-anchor",
        "version",
        "encoding",
        "/",
        "?",
        "",
        "x1",
        "y1",
        "fill",
    ];
    let mut open: Vec<String> = Vec::new();
    for tag in drawing.split('<').skip(1) {
        let (tag, after) = tag.split_once('>').expect("a tag ends");
        assert!(!after.contains('>') || tag == "style", "{after}");
        let outside: String = tag.split('"').step_by(2).collect();
        let mut words = outside.split_whitespace();
        let name = words.next().expect("a name");
        let bare = name.trim_start_matches('/').trim_end_matches('/');
        assert!(NAMES.contains(&bare), "<{tag}>");
        assert!(words.all(|word| ATTRIBUTES.contains(&word.trim_end_matches(['=', '/', '?']))), "<{tag}>");
        if let Some(closed) = name.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(closed), "<{tag}>");
        } else if !tag.ends_with('/') && !tag.starts_with('?') {
            open.push(bare.to_owned());
        }
    }
    assert_eq!(open, [""; 0]);
    let illegal = |c: &char| matches!(c, '\u{fffe}' | '\u{ffff}');
    assert_eq!(drawing.chars().find(illegal), None);
}

/// Every statement is one of ours, and strings end where ours end.
fn assert_is_our_dot(dot: &str) {
    for line in dot.lines() {
        let mut in_string = false;
        let mut bare = String::new();
        let mut rest = line.chars();
        while let Some(c) = rest.next() {
            match c {
                '\\' if in_string => drop(rest.next()),
                '"' => in_string = !in_string,
                c if !in_string => bare.push(c),
                _ => {}
            }
        }
        assert!(!in_string, "{line}");
        let is_ours = |c: char| c.is_ascii_alphanumeric() || " _=[]{};,->".contains(c);
        assert!(bare.chars().all(is_ours), "{line}");
    }
}

fn assert_harmless(reports: Vec<Report>) {
    let map = Map::of(&reports);
    let drawing = svg(&map);
    assert_is_our_drawing(&drawing);
    assert_is_our_dot(&map.to_dot());
    for line in map.to_mermaid().lines().skip(1) {
        let outside: String = line.split('"').step_by(2).collect();
        assert!(outside.chars().all(|c| c.is_ascii_alphanumeric() || " []()|->.".contains(c)), "{line}");
        assert!(!line.contains(['%', '`', '\\', '{']), "{line}");
    }
    for options in [40, 57, 120].map(|width| TableOptions { width, ..TableOptions::default() }) {
        for line in map_table(&map, &options).lines() {
            assert!(unicode_width::UnicodeWidthStr::width(line) <= options.width, "{line}");
        }
    }
    let own = reports.first().and_then(ego).unwrap_or_default();
    for output in
        [drawing, map.to_dot(), map.to_mermaid(), map.to_json(), own, map_table(&map, &TableOptions::default())]
    {
        let found = output.chars().find(|&c| is_unsafe_on_a_terminal(c) && c != '\n');
        assert_eq!(found, None, "{output}");
    }
}

#[test]
fn hostile_names_stay_names() {
    for bytes in [
        &b"\"]; evil -> you [label=\""[..],
        b"</text></g><script>alert(1)</script>",
        b"\"'><&lt;]]>",
        b"a\" b=\"c\\",
        b"%%{init: {}}%% `x` **y** <br/> #quot; end",
        "\u{fffe}\u{ffff}\u{202e}\u{1b}[2J\n\r\0".as_bytes(),
        b"\xff\xfe",
        &b"a".repeat(5000),
        b"",
    ] {
        assert_harmless(with_text(shop(8), &Text::new(bytes)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_name_stays_a_name(bytes in prop::collection::vec(any::<u8>(), 0..40), chars in any::<String>()) {
        assert_harmless(with_text(shop(8), &Text::new(bytes)));
        assert_harmless(with_text(shop(8), &Text::from(chars)));
    }
}
