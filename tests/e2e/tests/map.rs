//! The map of containers that really talk: on a bridge, through a published port, over loopback in a shared namespace, and
//! through a volume. What is expected follows from what was run: so many requests for a page of so many bytes.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::command::poll;
use e2e::engines::{Docker, Engine};
use e2e::machine::{alone, free_port, unique_name};
use e2e::recorder::{Recorder, ringfence};
use e2e::reports::{list, number};
use e2e::workloads::BUSYBOX_IMAGE;
use e2e::{need, rootfs};
use serde_json::Value;

const PAGE_BYTES: u64 = 100_000;
/// No answer of the server's has longer heads.
const HEAD_BYTES: u64 = 1_000;
/// The bridge's address, as the engine of the tests has it.
const GATEWAY: &str = "172.31.251.1";
const STEP: Duration = Duration::from_secs(60);

/// What asks for the page so many times.
fn requests(times: usize, address: &str, port: u16) -> String {
    format!("for i in $(seq {times}); do wget -q -O /dev/null http://{address}:{port}/page || exit 1; done")
}

/// The edges from one to another, each by the names of its containers.
fn edges<'a>(map: &'a Value, from: &str, to: &str) -> Vec<&'a Value> {
    let nodes = list(&map["nodes"]);
    let name =
        |id: &Value| nodes.iter().find(|node| node["id"] == *id).map_or("", |node| node["name"].as_str().unwrap_or(""));
    list(&map["edges"]).iter().filter(|edge| name(&edge["from"]) == from && name(&edge["to"]) == to).collect()
}

fn only<'a>(map: &'a Value, from: &str, to: &str) -> Result<&'a Value> {
    let edges = edges(map, from, to);
    ensure!(edges.len() == 1, "{from} → {to}: {edges:?} in {map:#}");
    Ok(edges[0])
}

/// That the edge stands for so many requests, and both sides have counted the same.
fn is_of_requests(edge: &Value, times: u64) -> Result<()> {
    let answered = PAGE_BYTES * times..(PAGE_BYTES + HEAD_BYTES) * times;
    ensure!(number(&edge["connections"])? == times, "{edge:#}");
    ensure!(answered.contains(&number(&edge["received_bytes"])?), "{edge:#}");
    ensure!(edge["port"] == 80 && edge["protocol"] == "tcp" && edge["differs"].is_null(), "{edge:#}");
    Ok(())
}

fn map(folder: &Path, format: &str) -> Result<String> {
    let folder = folder.to_str().context("a path in UTF-8")?;
    let finished = ringfence(&["map", "--dir", folder, "--format", format], STEP)?;
    ensure!(finished.status.success(), "{}", finished.stderr());
    Ok(String::from_utf8(finished.stdout)?)
}

#[test]
#[ignore = "needs root"]
fn containers_that_talk_are_on_the_map_once() -> Result<()> {
    need!("dockerd", "docker", "ip", "busybox");
    let _alone = alone()?;
    let docker = Docker::start()?;
    docker.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let page = tempfile::tempdir()?;
    std::fs::write(page.path().join("page"), vec![b'x'; usize::try_from(PAGE_BYTES)?])?;
    let port = free_port()?;
    let [web, shop, proxied, side, lost, writer, reader] =
        ["web", "shop", "proxied", "side", "lost", "writer", "reader"].map(unique_name);
    let volume = unique_name("rf-volume");
    let data = format!("{volume}:/data");
    let run = |name: &str, more: &[&str], script: &str| {
        let args = [&["run", "--name", name], more, &[BUSYBOX_IMAGE, "/bin/sh", "-c", script]].concat();
        docker.docker(&args).with_context(|| format!("run {name}"))
    };

    let recorder = Recorder::start_beside(&docker.socket(), "docker.sock", &["--all"])?;
    let www = format!("{}:/www", page.path().display());
    run(
        &web,
        &["--detach", "--volume", &www, "--publish", &format!("{port}:80")],
        "exec busybox httpd -f -p 80 -h /www",
    )?;
    let format = "{{.NetworkSettings.IPAddress}}";
    let address = docker.docker(&["inspect", "--format", format, &web])?.trim().to_owned();
    ensure!(poll(STEP, || Ok(std::net::TcpStream::connect((address.as_str(), 80)).is_ok()))?, "no server at {address}");
    run(&shop, &[], &requests(5, &address, 80))?;
    run(&proxied, &[], &requests(3, GATEWAY, port))?;
    run(&side, &["--network", &format!("container:{web}")], &requests(2, "127.0.0.1", 80))?;
    run(&lost, &[], &format!("! wget -q -O /dev/null http://{GATEWAY}:1/"))?;
    run(&writer, &["--volume", &data], "echo hello > /data/note")?;
    run(&reader, &["--volume", &data], "cat /data/note")?;
    docker.docker(&["rm", "--force", &web])?;
    let recording = recorder.stop()?;

    let text = map(recording.folder(), "json")?;
    let map_of_all: Value = serde_json::from_str(&text)?;
    is_of_requests(only(&map_of_all, &shop, &web)?, 5)?;
    is_of_requests(only(&map_of_all, &side, &web)?, 2)?;
    let through_the_proxy = only(&map_of_all, &proxied, &web)?;
    is_of_requests(through_the_proxy, 3)?;
    let translated = &list(&through_the_proxy["translated"])[0];
    ensure!(translated["asked_port"] == port && translated["asked_address"] == GATEWAY, "{through_the_proxy:#}");
    ensure!(translated["reached_port"] == 80, "{through_the_proxy:#}");
    // The engine's proxy has both ends of it, but it is no container: what the host itself asked for is apart.
    ensure!(
        through_the_proxy["client"]["sent_bytes"] == through_the_proxy["server"]["received_bytes"],
        "{through_the_proxy:#}"
    );

    // No connection of the server's is there twice: all others are those that found out whether it was there.
    let into: Vec<&Value> =
        list(&map_of_all["edges"]).iter().filter(|edge| edge["port"] == 80 && edge["server"].is_object()).collect();
    let mut counted = 0;
    for edge in &into {
        counted += number(&edge["server"]["connections"])?;
    }
    let report = recording.of(&web)?;
    let mut taken = 0;
    for flow in list(&report.json["behaviour"]["network"]["flows"]) {
        if flow["direction"] == "in" && flow["port"] == 80 {
            taken += number(&flow["connections"])?;
        }
    }
    ensure!(counted == taken && taken >= 10, "{counted} on the map, {taken} in the report: {into:#?}");

    let refused = list(&map_of_all["edges"]).iter().find(|edge| edge["port"] == 1).context("the refused attempt")?;
    ensure!(refused["seen"] == "host" && number(&refused["failures"])? == 1, "{refused:#}");
    let handed = only(&map_of_all, &writer, &reader)?;
    ensure!(handed["kind"] == "file" && handed["files"][0] == "/data/note", "{handed:#}");
    ensure!(handed["path"].as_str().is_some_and(|path| path.contains(&volume)), "{handed:#}");

    ensure!(map(recording.folder(), "json")? == text, "the same reports, another map");
    for format in ["table", "dot", "mermaid", "svg"] {
        let drawn = map(recording.folder(), format)?;
        // A name may be cut on a terminal.
        let has = |name: &String| drawn.contains(name.get(..8).unwrap_or(name));
        ensure!([&web, &shop, &reader].into_iter().all(has), "{format}: {drawn}");
        println!("{format}:\n{drawn}");
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_map_of_what_happens_now_keeps_no_report() -> Result<()> {
    let _alone = alone()?;
    let before = std::fs::read_dir("/var/lib/ringfence/reports").map(Iterator::count).unwrap_or(0);

    let finished = ringfence(&["map", "--for", "1s", "--format", "json"], STEP)?;

    // 1: containers that ran already are not complete.
    ensure!(matches!(finished.status.code(), Some(0 | 1)), "{}", finished.stderr());
    let map: Value = serde_json::from_slice(&finished.stdout)?;
    ensure!(map["schema_version"] == 1, "{map:#}");
    let after = std::fs::read_dir("/var/lib/ringfence/reports").map(Iterator::count).unwrap_or(0);
    ensure!(before == after, "{before} reports before, {after} after");
    Ok(())
}
