//! The network of one container: what went where against a program that knows how much it sent, listeners against ss, and
//! names against those who asked for them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e::bundle::Bundle;
use e2e::command::{command, finish, must, wait_until};
use e2e::flows::{Flow, flow, flows, interfaces, listeners, lookup, must_be_whole, sockets};
use e2e::machine::{alone, free_port, unique_name};
use e2e::netns::Netns;
use e2e::overlay::Overlay;
use e2e::recorder::{Recorder, record_command};
use e2e::reports::Report;
use e2e::rootfs::debian;
use e2e::runtime::Runtime;
use e2e::{need, sealed};

/// One run of the program `network`: what the two sides exchange.
struct Exchange<'a> {
    /// As the program takes it.
    kind: &'a str,
    address: &'a str,
    /// As the report has it.
    protocol: &'a str,
    times: u64,
    sent: u64,
    replied: u64,
}

/// Runs a command in ringfence's sandbox.
fn recorded(command: &[&str]) -> Result<(Report, String)> {
    let none: [&str; 0] = [];
    let recording = record_command(&none, command, sealed::LIMIT)?;
    ensure!(recording.status.success(), "ended with {}: {}", recording.status, recording.stderr);
    let report = recording.only()?.clone();
    must_be_whole(&report)?;
    Ok((report, recording.stdout))
}

/// Records both sides in one container, and compares both flows with what the program says.
fn exchange(exchange: &Exchange<'_>) -> Result<Report> {
    let _alone = alone()?;
    let is_unix = exchange.protocol.starts_with("unix");
    let port = if is_unix { 0 } else { free_port()? };
    let [times, sent, replied] = [exchange.times, exchange.sent, exchange.replied].map(|it| it.to_string());
    let program = sealed::on_host("network")?;
    let words = [&*program, "both", exchange.kind, exchange.address, &port.to_string(), &times, &sent, &replied]
        .map(String::from);

    let (report, said) = recorded(&words.each_ref().map(String::as_str))?;

    let (sent, replied) = (exchange.times * exchange.sent, exchange.times * exchange.replied);
    for line in [format!("client {sent} {replied} 0"), format!("server {replied} {sent} 0")] {
        ensure!(said.lines().any(|it| it == line), "not {line:?}: {said}");
    }
    let out = flow(&report, "out", exchange.protocol, port)?;
    let back = flow(&report, "in", exchange.protocol, port)?;
    let connections = if exchange.kind == "datagram" { 1 } else { exchange.times };
    // Of one family's address in the form of the other, the report tells the address itself.
    let address = exchange.address.strip_prefix("::ffff:").unwrap_or(exchange.address);
    for (flow, bytes) in [(&out, (sent, replied)), (&back, (replied, sent))] {
        ensure!(flow.bytes == bytes, "bytes are {:?}, really {bytes:?}: {flow:#?}", flow.bytes);
        ensure!(flow.connections == connections, "{} of {connections} connections: {flow:#?}", flow.connections);
        ensure!(flow.address == address, "{flow:#?}");
        ensure!(flow.failures.is_empty(), "{flow:#?}");
        if exchange.protocol != "tcp" {
            let packets = (exchange.times, exchange.times);
            ensure!(flow.packets == packets, "packets are {:?}, really {packets:?}: {flow:#?}", flow.packets);
        }
    }
    if exchange.protocol == "tcp" {
        let [here, there] =
            if exchange.kind == "reset" { ["reset-here", "reset-by-peer"] } else { ["closed-here", "closed-by-peer"] };
        ensure!(out.ends == ends(here, exchange.times), "{out:#?}");
        ensure!(back.ends == ends(there, exchange.times), "{back:#?}");
        ensure!(out.timed == exchange.times, "{} of {} were timed: {out:#?}", out.timed, exchange.times);
    }
    let listeners = listeners(&report)?;
    let listener = ((exchange.protocol.to_owned(), address.to_owned(), port.into()), 1);
    ensure!(listeners == [listener].into(), "{listeners:#?}");
    Ok(report)
}

fn ends(end: &str, count: u64) -> BTreeMap<String, u64> {
    [(end.to_owned(), count)].into()
}

#[test]
#[ignore = "needs root"]
fn transfers_by_tcp_are_counted_to_the_byte() -> Result<()> {
    need!("gcc");
    for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
        exchange(&Exchange { kind: "stream", address, protocol: "tcp", times: 3, sent: 10_000_003, replied: 70_001 })?;
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_thousand_short_connections_are_a_thousand() -> Result<()> {
    need!("gcc");
    let report = exchange(&Exchange {
        kind: "stream",
        address: "127.0.0.1",
        protocol: "tcp",
        times: 1000,
        sent: 1,
        replied: 0,
    })?;

    // One listens.
    let made = sockets(&report, "inet", "stream")?;
    ensure!(made == 1001, "{made} sockets were made, really 1001");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn connections_that_are_broken_off_are_told_as_that() -> Result<()> {
    need!("gcc");
    exchange(&Exchange { kind: "reset", address: "127.0.0.1", protocol: "tcp", times: 20, sent: 1000, replied: 0 })?;
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn messages_of_udp_are_counted_each() -> Result<()> {
    need!("gcc");
    for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
        exchange(&Exchange { kind: "datagram", address, protocol: "udp", times: 500, sent: 1200, replied: 7 })?;
    }
    Ok(())
}

/// A path and an abstract name.
fn with_both_names(check: impl Fn(&str) -> Result<()>) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("ringfence-network").tempdir()?;
    let path = folder.path().join("socket").display().to_string();
    let name = format!("@{}", unique_name("ringfence"));
    [path, name].iter().try_for_each(|address| check(address).with_context(|| address.clone()))
}

#[test]
#[ignore = "needs root"]
fn unix_sockets_with_connections_are_counted_by_the_name_that_was_connected_to() -> Result<()> {
    need!("gcc");
    with_both_names(|address| {
        exchange(&Exchange { kind: "stream", address, protocol: "unix-stream", times: 20, sent: 1000, replied: 300 })?;
        Ok(())
    })
}

#[test]
#[ignore = "needs root"]
fn messages_of_unix_sockets_are_counted_each() -> Result<()> {
    need!("gcc");
    with_both_names(|address| {
        exchange(&Exchange {
            kind: "seqpacket",
            address,
            protocol: "unix-seqpacket",
            times: 20,
            sent: 1000,
            replied: 7,
        })?;
        exchange(&Exchange { kind: "datagram", address, protocol: "unix-datagram", times: 50, sent: 100, replied: 7 })?;
        Ok(())
    })
}

/// Records a client that reaches nobody, and returns its only flow.
fn unreached(address: &str, port: u16, times: u64) -> Result<Flow> {
    let program = sealed::on_host("network")?;
    let (port, times) = (port.to_string(), times.to_string());

    let (report, said) = recorded(&[&program, "client", "stream", address, &port, &times, "10"])?;

    ensure!(said.starts_with(&format!("client 0 0 {times} ")), "it was not to be reached: {said}");
    let mut flows = flows(&report, "main")?;
    ensure!(flows.len() == 1, "not one flow: {flows:#?}");
    Ok(flows.remove(0))
}

#[test]
#[ignore = "needs root"]
fn connections_that_are_refused_are_counted_as_that() -> Result<()> {
    need!("gcc");
    let _alone = alone()?;
    for (address, port, protocol, errno) in [
        ("127.0.0.1", free_port()?, "tcp", "ECONNREFUSED"),
        ("::1", free_port()?, "tcp", "ECONNREFUSED"),
        ("@ringfence-nobody-listens", 0, "unix-stream", "ECONNREFUSED"),
        ("/tmp/ringfence-nobody-listens", 0, "unix-stream", "ENOENT"),
    ] {
        let flow = unreached(address, port, 40)?;

        let wanted = Flow {
            direction: "out".into(),
            protocol: protocol.into(),
            address: address.into(),
            port: port.into(),
            failures: ends(errno, 40),
            ..Flow::default()
        };
        ensure!(Flow { local_address: String::new(), packets: (0, 0), ..flow.clone() } == wanted, "{flow:#?}");
    }
    Ok(())
}

/// Runs one command in a container of runc, in this network, from before its creation until its end.
fn record_in(netns: &Netns, overlay: &Overlay, args: &[&str]) -> Result<(Report, String)> {
    let id = unique_name("rf-e2e");
    let bundle = Bundle::new(&overlay.root(), args)?.join_namespace("network", &netns.path());
    let recorder = Recorder::start(&["--all"])?;
    let runtime = Runtime::new("runc")?;
    let container = runtime.create(&bundle, &id)?;
    container.start()?;
    container.wait(sealed::LIMIT)?;
    let said = container.stdout() + &container.stderr();
    container.delete()?;
    let report = recorder.stop()?.of(&id)?.clone();
    must_be_whole(&report)?;
    Ok((report, said))
}

#[test]
#[ignore = "needs root"]
fn a_connection_that_nobody_answers_times_out() -> Result<()> {
    need!("gcc", "runc", "ip", "nsenter", "iptables", "busybox");
    let _alone = alone()?;
    let netns = Netns::new()?;
    must(&mut netns.command("iptables -A INPUT -p tcp --dport 7000 -j DROP"))?;
    must(&mut netns.command("sysctl -q -w net.ipv4.tcp_syn_retries=1"))?;

    let overlay = sealed::root_with(&["network"])?;
    let (report, said) =
        record_in(&netns, &overlay, &["/bin/network", "client", "stream", "127.0.0.1", "7000", "2", "10"])?;

    ensure!(said == "client 0 0 2 110\n", "it was to time out: {said}");
    let flow = flow(&report, "out", "tcp", 7000)?;
    ensure!(flow.failures == ends("ETIMEDOUT", 2), "{flow:#?}");
    ensure!((flow.connections, flow.bytes, flow.timed) == (0, (0, 0), 0), "{flow:#?}");

    // Nobody is left to whom the call could say what became of it.
    let given_up = "/bin/busybox timeout -s KILL 1 /bin/network client stream 127.0.0.1 7000 1 10; true";
    let (report, _) = record_in(&netns, &overlay, &["/bin/sh", "-c", given_up])?;
    let flow = e2e::flows::flow(&report, "out", "tcp", 7000)?;
    ensure!((&flow.failures, flow.connections) == (&ends("ECANCELED", 1), 0), "{flow:#?}");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_network_without_a_way_out_is_unreachable() -> Result<()> {
    need!("gcc", "runc", "ip", "busybox");
    let _alone = alone()?;

    let overlay = sealed::root_with(&["network"])?;
    let args = ["/bin/network", "client", "stream", "192.0.2.1", "7000", "3", "10"];
    let (report, said) = record_in(&Netns::new()?, &overlay, &args)?;

    ensure!(said == "client 0 0 3 101\n", "it was to be unreachable: {said}");
    let flow = flow(&report, "out", "tcp", 7000)?;
    ensure!((&flow.failures, flow.connections) == (&ends("ENETUNREACH", 3), 0), "{flow:#?}");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn listeners_are_those_that_ss_shows() -> Result<()> {
    need!("gcc", "runc", "ip", "nsenter", "ss", "busybox");
    let _alone = alone()?;
    let netns = Netns::new()?;
    let overlay = sealed::root_with(&["network"])?;
    let id = unique_name("rf-e2e");
    let name = format!("@{id}");
    let args = "stream 0.0.0.0 7001 stream :: 7002 stream 127.0.0.1 7003 stream ::1 7004 datagram 0.0.0.0 7005 \
                datagram :: 7006 datagram 127.0.0.1 7007 stream /tmp/listening 0 seqpacket /tmp/packets 0 \
                datagram /tmp/messages 0";
    let args: Vec<&str> = ["/bin/network", "listen"].into_iter().chain(args.split(' ')).collect();
    let bundle = Bundle::new(&overlay.root(), &[&args[..], &["stream", &name, "0"]].concat())?
        .join_namespace("network", &netns.path());
    let recorder = Recorder::start(&["--all"])?;
    let runtime = Runtime::new("runc")?;
    let container = runtime.create(&bundle, &id)?;
    container.start()?;
    wait_until("it listens", Duration::from_secs(20), || Ok(container.stdout().contains("ready")))?;

    let shown = must(&mut netns.command("ss --no-header --listening --numeric --tcp --udp --unix"))?;
    container.signal(rustix::process::Signal::TERM)?;
    container.wait(sealed::LIMIT)?;
    container.delete()?;
    let recording = recorder.stop()?;

    let wanted: BTreeSet<_> = shown.lines().map(listener_of_line).collect::<Result<_>>()?;
    ensure!(wanted.len() == 11, "ss shows {shown}");
    let found = listeners(recording.of(&id)?)?;
    ensure!(found.keys().cloned().collect::<BTreeSet<_>>() == wanted, "found {found:#?}, ss shows {shown}");
    ensure!(found.values().all(|times| *times == 1), "{found:#?}");
    Ok(())
}

/// `tcp LISTEN 0 128 0.0.0.0:7001 0.0.0.0:*` of ss, as reports say it.
fn listener_of_line(line: &str) -> Result<(String, String, u64)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [kind, _, _, _, local, ..] = words[..] else { bail!("no line of ss: {line}") };
    let protocol = match kind {
        "tcp" | "udp" => kind,
        "u_str" => "unix-stream",
        "u_dgr" => "unix-datagram",
        "u_seq" => "unix-seqpacket",
        _ => bail!("no kind of socket: {line}"),
    };
    if protocol.starts_with("unix") {
        return Ok((protocol.into(), local.into(), 0));
    }
    let (address, port) = local.rsplit_once(':').with_context(|| format!("no port: {line}"))?;
    let address = match address.trim_start_matches('[').trim_end_matches(']') {
        // Of both families.
        "*" => "::",
        address => address,
    };
    Ok((protocol.into(), address.into(), port.parse()?))
}

#[test]
#[ignore = "needs root"]
fn a_file_from_a_web_server_is_counted_to_the_byte() -> Result<()> {
    need!("curl", "python3");
    let _alone = alone()?;
    let folder = tempfile::Builder::new().prefix("ringfence-network").tempdir()?;
    std::fs::write(folder.path().join("file"), vec![b'x'; 12_345_678])?;
    let port = free_port()?;
    let mut server = command("python3", ["-m", "http.server", "--bind", "127.0.0.1", &port.to_string(), "--directory"]);
    server.arg(folder.path()).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let _server = e2e::command::Background::spawn(&mut server)?;
    let listens = || Ok(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    wait_until("the server listens", Duration::from_secs(20), listens)?;

    let url = format!("http://127.0.0.1:{port}/file");
    let format = "%{size_header} %{size_download} %{size_request} %{local_port}";
    let (report, said) = recorded(&["curl", "--silent", "--output", "/dev/null", "--write-out", format, &url])?;

    let sizes: Vec<u64> = said.split_whitespace().map(str::parse).collect::<Result<_, _>>().context(said.clone())?;
    let [headers, body, request, _] = sizes[..] else { bail!("curl says {said}") };
    ensure!(body == 12_345_678, "curl says {said}");
    let flow = flow(&report, "out", "tcp", port)?;
    ensure!(flow.bytes == (request, headers + body), "really {request}, {}: {flow:#?}", headers + body);
    ensure!((flow.connections, flow.timed) == (1, 1), "{flow:#?}");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_server_is_named_as_its_client_asked_for_it() -> Result<()> {
    need!("openssl");
    let _alone = alone()?;
    let server = TcpListener::bind("127.0.0.1:0")?;
    let port = server.local_addr()?.port();
    let heard = std::thread::spawn(move || -> Result<usize> {
        let (mut client, _) = server.accept()?;
        let mut hello = [0; 4096];
        let heard = client.read(&mut hello)?;
        // It speaks no TLS.
        client.write_all(b"no\n")?;
        Ok(heard)
    });

    let address = format!("127.0.0.1:{port}");
    let line = ["openssl", "s_client", "-connect", &address, "-servername", "shop.example.org", "-alpn", "h2,http/1.1"];
    let none: [&str; 0] = [];
    let recording = record_command(&none, &line, sealed::LIMIT)?;

    let heard = heard.join().map_err(|_| anyhow::anyhow!("the server failed"))??;
    ensure!(heard > 100, "the server heard {heard} bytes");
    let flow = flow(recording.only()?, "out", "tcp", port)?;
    ensure!(flow.server_names == ["shop.example.org"], "{flow:#?}");
    ensure!(flow.bytes.0 >= heard as u64, "{heard} bytes were heard: {flow:#?}");
    Ok(())
}

/// Answers for a zone `test` on 127.0.0.1, by UDP and by TCP; whoever asks for `big` by UDP is told to ask by TCP.
const NAME_SERVER: &str = r#"
import socket, struct, threading
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind(("127.0.0.1", 53))
tcp = socket.socket(); tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); tcp.bind(("127.0.0.1", 53)); tcp.listen()
def name(text): return b"".join(bytes([len(part)]) + part.encode() for part in text.split(".")) + b"\0"
def record(owner, kind, data): return name(owner) + struct.pack(">HHIH", kind, 1, 60, len(data)) + data
def answer(q, stream):
    end = q.index(0, 12) + 5
    asked, kind = q[12:end], q[end - 3]
    records, code, cut = [], 0, 0
    if asked.startswith(b"\3www"):
        records = [record("www.test", 5, name("web.test")), record("web.test", 5, name("host.test"))]
        records += [record("host.test", 1, bytes([192, 0, 2, n])) for n in (7, 8)] if kind == 1 else []
    elif asked.startswith(b"\3big") and not stream: cut = 2
    elif asked.startswith(b"\3big"): records = [record("big.test", 1, bytes([192, 0, 2, n])) for n in range(1, 60)] if kind == 1 else []
    else: code = 3
    return q[:2] + bytes([0x81 | cut, 0x80 | code]) + struct.pack(">HHHH", 1, len(records), 0, 0) + q[12:end] + b"".join(records)
def streams():
    while True:
        c, _ = tcp.accept()
        while head := c.recv(2, socket.MSG_WAITALL):
            a = answer(c.recv(struct.unpack(">H", head)[0], socket.MSG_WAITALL), True)
            c.sendall(struct.pack(">H", len(a)) + a)
threading.Thread(target=streams, daemon=True).start()
print("ready", flush=True)
while True:
    q, client = udp.recvfrom(4096)
    udp.sendto(answer(q, False), client)
"#;

/// Asks by the C library, and says what it was told.
const ASKING: &str = r#"
import socket
for name in ["www.test", "nowhere.test", "big.test"]:
    try: found = sorted({it[4][0] for it in socket.getaddrinfo(name, 80, socket.AF_INET)})
    except socket.gaierror: found = []
    print(name, *found)
"#;

#[test]
#[ignore = "needs root"]
fn names_are_told_with_what_they_were_answered() -> Result<()> {
    need!("runc", "ip", "nsenter", "python3", "mmdebstrap");
    let _alone = alone()?;
    let netns = Netns::new()?;
    let overlay = Overlay::above(&debian()?.folder)?;
    std::fs::write(overlay.root().join("etc/resolv.conf"), "nameserver 127.0.0.1\n")?;
    std::fs::write(overlay.root().join("ask.py"), ASKING)?;
    let folder = tempfile::Builder::new().prefix("ringfence-network").tempdir()?;
    let (script, log) = (folder.path().join("server.py"), folder.path().join("log"));
    std::fs::write(&script, NAME_SERVER)?;
    let mut server = netns.command("python3");
    server.arg(&script).stdout(std::fs::File::create(&log)?);
    let _server = e2e::command::Background::spawn(&mut server)?;
    let is_ready = || Ok(std::fs::read_to_string(&log)?.contains("ready"));
    wait_until("the name server is ready", Duration::from_secs(20), is_ready)?;

    let (report, said) = record_in(&netns, &overlay, &["/usr/bin/python3", "/ask.py"])?;

    let many: BTreeSet<String> = (1..60).map(|n| format!("192.0.2.{n}")).collect();
    let told: BTreeMap<&str, BTreeSet<String>> = said
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.map(str::to_owned).collect()))
        })
        .collect();
    let two: BTreeSet<String> = ["192.0.2.7", "192.0.2.8"].map(str::to_owned).into();
    let right = [("www.test", two.clone()), ("nowhere.test", BTreeSet::new()), ("big.test", many)];
    ensure!(told == BTreeMap::from(right), "the container was told {said}");

    let servers = BTreeSet::from(["127.0.0.1".to_owned()]);
    let www = lookup(&report, "www.test", "A")?;
    ensure!(www.addresses == two && www.codes == [0].into() && www.servers == servers, "{www:#?}");
    ensure!(www.aliases == ["web.test", "host.test"].map(str::to_owned).into(), "{www:#?}");
    let nowhere = lookup(&report, "nowhere.test", "A")?;
    ensure!(nowhere.codes == [3].into() && nowhere.addresses.is_empty() && nowhere.servers == servers, "{nowhere:#?}");
    // Of a long answer the beginning is read: whole records, none that was not there, and not none.
    let big = lookup(&report, "big.test", "A")?;
    ensure!(!big.addresses.is_empty() && big.addresses.is_subset(&told["big.test"]), "big: {big:#?}");
    let stream = flow(&report, "out", "tcp", 53)?;
    ensure!((stream.connections, stream.address.as_str()) == (1, "127.0.0.1"), "{stream:#?}");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn what_is_made_by_ping_is_icmp() -> Result<()> {
    need!("runc", "ip", "busybox");
    let _alone = alone()?;
    let overlay = sealed::root_with(&[])?;
    let applets = finish(&mut command("busybox", ["--list"]), Duration::from_secs(5))?.stdout();
    if !applets.lines().any(|applet| applet == "ping") {
        e2e::skip!("busybox has no ping");
    }

    let args = ["/bin/busybox", "ping", "-c", "3", "-s", "56", "127.0.0.1"];
    let (report, said) = record_in(&Netns::new()?, &overlay, &args)?;

    ensure!(said.contains("3 packets transmitted, 3 packets received"), "{said}");
    let flow = flow(&report, "out", "icmp", 0)?;
    // 56 bytes and the head of ICMP. What a raw socket receives has the head of IP before it, and its own questions too.
    ensure!((flow.bytes.0, flow.packets.0) == (3 * 64, 3), "{flow:#?}");
    ensure!(flow.address == "127.0.0.1", "{flow:#?}");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn interfaces_have_the_counters_of_the_kernel() -> Result<()> {
    need!("gcc", "runc", "ip", "nsenter", "sysctl", "busybox");
    let _alone = alone()?;
    let (left, right) = (Netns::new()?, Netns::new()?);
    for netns in [&left, &right] {
        // Nothing goes over the cable but what the test sends.
        must(&mut netns.command("sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1"))?;
    }
    left.connect("10.99.0.1/24", &right, "10.99.0.2/24")?;
    let overlay = sealed::root_with(&["network"])?;
    let id = unique_name("rf-e2e");
    let script = "/bin/network serve stream 10.99.0.2 7000 3 5000; exec sleep 60";
    let bundle = Bundle::new(&overlay.root(), &["/bin/sh", "-c", script])?.join_namespace("network", &right.path());
    let recorder = Recorder::start(&["--all"])?;
    let runtime = Runtime::new("runc")?;
    let container = runtime.create(&bundle, &id)?;
    container.start()?;
    wait_until("it listens", Duration::from_secs(20), || Ok(container.stdout().contains("ready")))?;

    let client = sealed::on_host("network")?;
    must(&mut left.command(&format!("{client} client stream 10.99.0.2 7000 3 100000")))?;
    wait_until("the server is done", Duration::from_secs(20), || Ok(container.stdout().contains("server ")))?;
    // The last acknowledgements.
    std::thread::sleep(Duration::from_millis(300));
    // They can be read while the container runs.
    let recording = recorder.stop()?;
    let shown = must(&mut right.command("cat /proc/net/dev"))?;
    container.signal(rustix::process::Signal::KILL)?;
    container.delete()?;

    let wanted: BTreeMap<String, [u64; 4]> = shown.lines().skip(2).map(counters_of_line).collect::<Result<_>>()?;
    let found = interfaces(recording.of(&id)?)?;
    ensure!(wanted.values().any(|[received, ..]| *received > 300_000), "nothing went over it: {shown}");
    ensure!(found == wanted, "found {found:?}, really {wanted:?}");
    Ok(())
}

/// `eth0: bytes packets errs drop fifo frame compressed multicast` of what was received, and then of what was sent.
fn counters_of_line(line: &str) -> Result<(String, [u64; 4])> {
    let (name, numbers) = line.split_once(':').with_context(|| format!("no line of /proc/net/dev: {line}"))?;
    let numbers: Vec<u64> = numbers.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    ensure!(numbers.len() == 16, "{line}");
    Ok((name.trim().to_owned(), [numbers[0], numbers[8], numbers[1], numbers[9]]))
}
