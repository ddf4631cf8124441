//! Connections between containers: each report names the other, whatever network is between them, and both count the same.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::bundle::Bundle;
use e2e::command::{command, must, wait_until};
use e2e::engines::{Docker, Engine, Podman};
use e2e::flows::{Flow, flow, lookup, must_be_whole, run_of};
use e2e::machine::{alone, unique_name};
use e2e::netns::Netns;
use e2e::programs::program;
use e2e::recorder::{Recorder, Recording};
use e2e::rootfs::{busybox, debian};
use e2e::runtime::Runtime;
use e2e::{need, sealed};

const PORT: u16 = 7000;
const TIMES: u64 = 30;
const SENT: u64 = 40_000;
const REPLIED: u64 = 500;
const STEP: Duration = Duration::from_secs(60);

/// The command line of a server (at this address of its own) or a client (of this address).
fn words(program: &str, side: &str, address: &str, port: u16) -> Vec<String> {
    let bytes = if side == "serve" { REPLIED } else { SENT };
    [program, side, "stream", address, &port.to_string(), &TIMES.to_string(), &bytes.to_string()]
        .map(str::to_owned)
        .into()
}

/// What the flow of one container must say: the other end, who that is, and what the client calls the end that it connected to
/// or, in the client's own, the server does.
struct Wanted<'a> {
    of: &'a str,
    direction: &'a str,
    protocol: &'a str,
    address: &'a str,
    port: u16,
    there: (&'a str, u16),
    other: &'a str,
}

impl Wanted<'_> {
    fn check(&self, recording: &Recording) -> Result<Flow> {
        let report = recording.of(self.of)?;
        must_be_whole(report)?;
        let flow = flow(report, self.direction, self.protocol, self.port)?;
        let (sent, replied) = (TIMES * SENT, TIMES * REPLIED);
        let bytes = if self.direction == "out" { (sent, replied) } else { (replied, sent) };
        ensure!(flow.bytes == bytes, "bytes are {:?}, really {bytes:?}: {flow:#?}", flow.bytes);
        ensure!(flow.connections == TIMES, "{} of {TIMES} connections: {flow:#?}", flow.connections);
        ensure!(flow.address == self.address, "the other end is {}: {flow:#?}", self.address);
        let [end] = &flow.other_ends[..] else { anyhow::bail!("not one container at the other end: {flow:#?}") };
        let other = run_of(recording.of(self.other)?)?;
        ensure!(end.run == other, "the other is {}, run {other:?}: {flow:#?}", self.other);
        ensure!(end.name == self.other, "the other is {}: {flow:#?}", self.other);
        ensure!(end.connections == TIMES, "{flow:#?}");
        let (address, port) = self.there;
        ensure!(end.there == (address.to_owned(), port.into()), "it is {:?} there: {flow:#?}", self.there);
        Ok(flow)
    }
}

/// A server and a client of bare runc, each in its network. Returns the recording and both ids.
fn record_two(server: (&Netns, &str), client: (&Netns, &str, u16)) -> Result<(Recording, String, String)> {
    let overlay = sealed::root_with(&["network"])?;
    let [server_id, client_id] = ["server", "client"].map(|name| unique_name(&format!("rf-{name}")));
    let bundle = |netns: &Netns, args: &[String]| -> Result<Bundle> {
        Ok(Bundle::new(&overlay.root(), args)?.join_namespace("network", &netns.path()))
    };
    let serves = bundle(server.0, &words("/bin/network", "serve", server.1, PORT))?;
    let asks = bundle(client.0, &words("/bin/network", "client", client.1, client.2))?;
    let recorder = Recorder::start(&["--all"])?;
    let runtime = Runtime::new("runc")?;

    let server = runtime.create(&serves, &server_id)?;
    server.start()?;
    wait_until("the server listens", STEP, || Ok(server.stdout().contains("ready")))?;
    let client = runtime.create(&asks, &client_id)?;
    client.start()?;
    client.wait(STEP)?;
    server.wait(STEP)?;

    let said = client.stdout() + &client.stderr() + &server.stdout();
    let right = format!("client {} {} 0\n", TIMES * SENT, TIMES * REPLIED);
    ensure!(said.starts_with(&right), "it was to be {right}: {said}");
    client.delete()?;
    server.delete()?;
    Ok((recorder.stop()?, server_id, client_id))
}

#[test]
#[ignore = "needs root"]
fn two_containers_on_one_cable_name_each_other() -> Result<()> {
    need!("gcc", "runc", "ip", "busybox");
    let _alone = alone()?;
    for (one, other, bits) in [("10.99.0.1", "10.99.0.2", 24), ("fd99::1", "fd99::2", 64)] {
        let (left, right) = (Netns::new()?, Netns::new()?);
        left.connect(&format!("{one}/{bits}"), &right, &format!("{other}/{bits}"))?;

        let (recording, server, client) = record_two((&right, other), (&left, other, PORT))?;

        let wanted = Wanted {
            of: &client,
            direction: "out",
            protocol: "tcp",
            address: other,
            port: PORT,
            there: (other, PORT),
            other: &server,
        };
        wanted.check(&recording)?;
        let (of, other) = (&*server, &*client);
        Wanted { of, direction: "in", address: one, other, ..wanted }.check(&recording)?;
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn two_containers_name_each_other_through_a_published_port() -> Result<()> {
    need!("gcc", "runc", "ip", "nsenter", "iptables", "sysctl", "busybox");
    let _alone = alone()?;
    // As engines do it: the client knows an address of the host, and the server is told the client's.
    let (left, router, right) = (Netns::new()?, Netns::new()?, Netns::new()?);
    left.connect("10.99.1.2/24", &router, "10.99.1.1/24")?;
    right.connect("10.99.2.2/24", &router, "10.99.2.1/24")?;
    right.ip("route add default via 10.99.2.1")?;
    must(&mut router.command("sysctl -q -w net.ipv4.ip_forward=1"))?;
    must(&mut router.command(&format!(
        "iptables -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 10.99.2.2:{PORT}"
    )))?;

    let (recording, server, client) = record_two((&right, "0.0.0.0"), (&left, "10.99.1.1", 8080))?;

    let wanted = Wanted {
        of: &client,
        direction: "out",
        protocol: "tcp",
        address: "10.99.1.1",
        port: 8080,
        there: ("10.99.2.2", PORT),
        other: &server,
    };
    wanted.check(&recording)?;
    let wanted = Wanted {
        of: &server,
        direction: "in",
        address: "10.99.1.2",
        port: PORT,
        there: ("10.99.1.1", 8080),
        other: &client,
        ..wanted
    };
    wanted.check(&recording)?;
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn two_containers_that_share_a_network_name_each_other_over_its_loopback() -> Result<()> {
    need!("gcc", "runc", "ip", "busybox");
    let _alone = alone()?;
    let netns = Netns::new()?;

    let (recording, server, client) = record_two((&netns, "127.0.0.1"), (&netns, "127.0.0.1", PORT))?;

    check_loopback(&recording, &server, &client)
}

/// Both reports of a server and a client that met on 127.0.0.1.
fn check_loopback(recording: &Recording, server: &str, client: &str) -> Result<()> {
    let address = "127.0.0.1";
    let out = Wanted {
        of: client,
        direction: "out",
        protocol: "tcp",
        address,
        port: PORT,
        there: (address, PORT),
        other: server,
    };
    out.check(recording)?;
    Wanted { of: server, direction: "in", other: client, ..out }.check(recording)?;
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn two_containers_with_one_socket_file_name_each_other() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    let overlay = sealed::root_with(&["network"])?;
    let shared = tempfile::Builder::new().prefix("ringfence-network").tempdir()?;
    let [server_id, client_id] = ["server", "client"].map(|name| unique_name(&format!("rf-{name}")));
    // The server has it at another place than the client.
    let bundle = |words: Vec<String>, place: &str| -> Result<Bundle> {
        Ok(Bundle::new(&overlay.root(), &words)?.bind(shared.path(), place))
    };
    let serves = bundle(words("/bin/network", "serve", "/run/socket", 0), "/run")?;
    let asks = bundle(words("/bin/network", "client", "/var/socket", 0), "/var")?;
    let recorder = Recorder::start(&["--all"])?;
    let runtime = Runtime::new("runc")?;

    let server = runtime.create(&serves, &server_id)?;
    server.start()?;
    wait_until("the server listens", STEP, || Ok(server.stdout().contains("ready")))?;
    let client = runtime.create(&asks, &client_id)?;
    client.start()?;
    client.wait(STEP)?;
    server.wait(STEP)?;
    client.delete()?;
    server.delete()?;
    let recording = recorder.stop()?;

    // The kernel keeps the path by which it was bound, whoever connects.
    let out = Wanted {
        of: &client_id,
        direction: "out",
        protocol: "unix-stream",
        address: "/run/socket",
        port: 0,
        there: ("/run/socket", 0),
        other: &server_id,
    };
    out.check(&recording)?;
    Wanted { of: &server_id, direction: "in", other: &client_id, ..out }.check(&recording)?;
    Ok(())
}

/// The folder of our program, mounted into containers of engines as `/programs`.
fn programs() -> Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new().prefix("ringfence-network").tempdir()?;
    std::fs::copy(program("network")?, folder.path().join("network"))?;
    Ok(folder)
}

/// Records what `run` starts with a docker of our own.
fn record_docker(docker: &Docker, run: impl FnOnce() -> Result<()>) -> Result<Recording> {
    let recorder = Recorder::start_beside(&docker.socket(), "docker.sock", &["--all"])?;
    run()?;
    recorder.stop()
}

/// `docker run` in the background, with the programs; waits for a word of it.
fn start(docker: &Docker, name: &str, more: &[&str], folder: &Path, image: &str, args: &[String]) -> Result<()> {
    let volume = format!("{}:/programs", folder.display());
    let mut line = vec!["run", "--detach", "--name", name, "--volume", &volume];
    line.extend(more);
    line.push(image);
    line.extend(args.iter().map(String::as_str));
    docker.docker(&line)?;
    let is_there = || {
        let said = docker.try_docker(&["logs", name])?;
        Ok(["ready", "client"].iter().any(|word| said.stdout().contains(word)))
    };
    wait_until(&format!("{name} begins: {:?}", docker.try_docker(&["logs", name])?.stderr()), STEP, is_there)
}

/// Waits for the end of both and removes them.
fn finish_both(docker: &Docker, names: [&str; 2]) -> Result<()> {
    for name in names {
        let status = docker.docker(&["wait", name])?;
        ensure!(status.trim() == "0", "{name} ended with {status}: {}", docker.try_docker(&["logs", name])?.stderr());
    }
    names.iter().try_for_each(|name| docker.remove(name))
}

#[test]
#[ignore = "needs root"]
fn containers_of_docker_in_one_network_namespace_name_each_other() -> Result<()> {
    need!("gcc", "dockerd", "docker", "ip", "busybox");
    let _alone = alone()?;
    let docker = Docker::start()?;
    docker.import(&busybox()?, "small")?;
    let folder = programs()?;
    let serves = words("/programs/network", "serve", "127.0.0.1", PORT);
    let asks = words("/programs/network", "client", "127.0.0.1", PORT);
    for (server_network, client_network) in [("none", "container:rf-server"), ("host", "host")] {
        let recording = record_docker(&docker, || {
            start(&docker, "rf-server", &["--network", server_network], folder.path(), "small", &serves)?;
            start(&docker, "rf-client", &["--network", client_network], folder.path(), "small", &asks)?;
            finish_both(&docker, ["rf-client", "rf-server"])
        })?;

        check_loopback(&recording, "rf-server", "rf-client").with_context(|| client_network.to_owned())?;
    }
    Ok(())
}

/// Connects by the server's name, as the C library resolves it.
const ASKING: &str = "
import socket
for _ in range(TIMES):
    with socket.create_connection((\"shop\", PORT)) as server:
        server.sendall(bytes(SENT)); server.shutdown(socket.SHUT_WR)
        received = 0
        while part := server.recv(1 << 16): received += len(part)
        assert received == REPLIED, received
print(\"client\")
";

/// The bridge of a network, which an engine that is ended leaves behind.
struct Bridge;

impl Bridge {
    const NAME: &str = "rf-network0";
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = must(&mut command("ip", ["link", "delete", Bridge::NAME]));
    }
}

#[test]
#[ignore = "needs root"]
fn containers_of_a_docker_network_are_found_by_the_name_that_docker_gave_them() -> Result<()> {
    need!("gcc", "dockerd", "docker", "ip", "iptables", "mmdebstrap");
    let _alone = alone()?;
    // Goes after the engine.
    let _bridge = Bridge;
    let docker = Docker::start()?;
    docker.import(&debian()?, "debian")?;
    let name = format!("com.docker.network.bridge.name={}", Bridge::NAME);
    docker.docker(&["network", "create", "--subnet", "10.99.7.0/24", "--opt", &name, "rf-network"])?;
    let folder = programs()?;
    let numbers = [("TIMES", TIMES), ("PORT", PORT.into()), ("SENT", SENT), ("REPLIED", REPLIED)];
    let asking = numbers.iter().fold(ASKING.to_owned(), |text, (name, value)| text.replace(name, &value.to_string()));
    let asks = ["python3".to_owned(), "-c".into(), asking];
    let serves = words("/programs/network", "serve", "0.0.0.0", PORT);

    let recording = record_docker(&docker, || {
        let network = ["--network", "rf-network", "--network-alias", "shop", "--ip", "10.99.7.80"];
        start(&docker, "rf-server", &network, folder.path(), "debian", &serves)?;
        let network = ["--network", "rf-network", "--ip", "10.99.7.9"];
        start(&docker, "rf-client", &network, folder.path(), "debian", &asks)?;
        finish_both(&docker, ["rf-client", "rf-server"])
    })?;

    let client = recording.of("rf-client")?;
    let out = Wanted {
        of: "rf-client",
        direction: "out",
        protocol: "tcp",
        address: "10.99.7.80",
        port: PORT,
        there: ("10.99.7.80", PORT),
        other: "rf-server",
    };
    let flow = out.check(&recording)?;
    ensure!(flow.names == ["shop"], "{flow:#?}");
    let lookup = lookup(client, "shop", "A")?;
    ensure!(lookup.addresses == ["10.99.7.80".to_owned()].into(), "{lookup:#?}");
    ensure!(lookup.servers == ["127.0.0.11".to_owned()].into() && lookup.codes == [0].into(), "{lookup:#?}");
    let back = Wanted { of: "rf-server", direction: "in", address: "10.99.7.9", other: "rf-client", ..out };
    back.check(&recording)?;
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn containers_of_podman_in_one_network_namespace_name_each_other() -> Result<()> {
    need!("gcc", "podman", "runc", "busybox");
    let _alone = alone()?;
    let podman = Podman::new("runc")?;
    podman.import(&busybox()?, "small")?;
    let folder = programs()?;
    let volume = format!("{}:/programs", folder.path().display());
    let [server, client] = ["server", "client"].map(|name| unique_name(&format!("rf-{name}")));
    let run = |name: &str, network: &str, side: &str| -> Result<()> {
        let words = words("/programs/network", side, "127.0.0.1", PORT);
        let mut line = vec!["run", "--detach", "--name", name, "--network", network, "--volume", &volume];
        line.extend(["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096", "small"]);
        line.extend(words.iter().map(String::as_str));
        podman.podman(&line)?;
        Ok(())
    };
    let recorder = Recorder::start(&["--all"])?;

    run(&server, "none", "serve")?;
    wait_until("the server listens", STEP, || Ok(podman.try_podman(&["logs", &server])?.stdout().contains("ready")))?;
    run(&client, &format!("container:{server}"), "client")?;
    podman.podman(&["wait", &client, &server])?;
    let ids = [&server, &client].map(|name| podman.podman(&["inspect", "--format", "{{.Id}}", name]));
    let [server_id, client_id] = ids.map(|id| id.map(|id| id.trim().to_owned()));
    podman.remove(&client)?;
    podman.remove(&server)?;
    let recording = recorder.stop()?;

    // Podman's own storage is not where ringfence looks for names, so they go by their ids.
    check_loopback(&recording, &server_id?, &client_id?)
}
