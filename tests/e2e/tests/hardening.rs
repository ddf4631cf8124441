//! The rest of the hardening: a container is recorded, and started again with all that is recommended for it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::command::poll;
use e2e::engines::{Docker, Engine};
use e2e::machine::{alone, free_port, unique_name};
use e2e::recorder::{Recorder, ringfence};
use e2e::reports::list;
use e2e::workloads::BUSYBOX_IMAGE;
use e2e::{need, rootfs};
use serde_json::Value;

const STEP: Duration = Duration::from_secs(60);
/// The image of the test: that of busybox, with two directories that user 1000 may write to, one with a file.
const IMAGE: &str = "ringfence.test/hardening:1";
const USER: &str = "1000:1000";
/// Reads a file of the image and one that is mounted; writes into two directories of the image and one that is mounted; opens a
/// device; serves a page until somebody has put a file there.
const SCRIPT: &str = "set -e
cat /srv/app/seed > /srv/app/state
echo scratch > /tmp/scratch
head -c 4 /dev/given > /dev/null
echo done > /data/out
busybox httpd -f -p 8080 -h /www &
until [ -e /data/stop ]; do sleep 0.2; done
kill $!
cat /srv/app/state";

/// Three directories of the host, of which the workload uses two.
struct Host {
    folder: tempfile::TempDir,
}

impl Host {
    fn new() -> Result<Host> {
        let folder = tempfile::tempdir()?;
        for name in ["data", "www", "unused"] {
            let path = folder.path().join(name);
            std::fs::create_dir(&path)?;
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777))?;
        }
        std::fs::write(folder.path().join("www/page"), "hello")?;
        Ok(Host { folder })
    }

    fn at(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// As `docker run --volume` takes it.
    fn volume(&self, name: &str, options: &str) -> String {
        format!("{}:/{name}{options}", self.at(name).display())
    }
}

fn make_image(docker: &Docker) -> Result<()> {
    docker.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let name = unique_name("rf-e2e");
    let script =
        "mkdir -p /srv/app && echo seed > /srv/app/seed && busybox chown -R 1000:1000 /srv/app && chmod 1777 /tmp";
    docker.docker(&["run", "--name", &name, BUSYBOX_IMAGE, "/bin/sh", "-c", script])?;
    docker.docker(&["commit", &name, IMAGE])?;
    docker.remove(&name)?;
    Ok(())
}

/// Starts the workload, asks it for its page, lets it end, and says with which status and what it said.
fn run(docker: &Docker, host: &Host, port: u16, flags: &[String]) -> Result<(String, String, String)> {
    for name in ["out", "stop"] {
        let _ = std::fs::remove_file(host.at("data").join(name));
    }
    let name = unique_name("rf-e2e");
    let mut args = vec!["run", "--detach", "--name", &name];
    args.extend(flags.iter().map(String::as_str));
    args.extend([IMAGE, "/bin/sh", "-c", SCRIPT]);
    docker.docker(&args)?;
    let is_up =
        || Ok(host.at("data").join("out").exists() && std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let served = poll(Duration::from_secs(10), is_up)?;
    std::fs::write(host.at("data").join("stop"), "")?;
    let status = docker.docker(&["wait", &name])?.trim().to_owned();
    let says = docker.try_docker(&["logs", &name])?;
    let says = format!("{}{}", says.stdout(), says.stderr());
    docker.remove(&name)?;
    let status = if served || status != "0" { status } else { "nothing was served".to_owned() };
    Ok((name, status, says))
}

fn recommendation(report: &Path) -> Result<Value> {
    let args: [&std::ffi::OsStr; 4] = ["recommend".as_ref(), report.as_os_str(), "--format".as_ref(), "json".as_ref()];
    let finished = ringfence(&args, STEP)?;
    ensure!(finished.status.success(), "{}", finished.stderr());
    Ok(serde_json::from_str(&finished.stdout())?)
}

/// The entry of a list that has this value.
fn entry<'a>(entries: &'a Value, key: &str, value: &str) -> Result<&'a Value> {
    list(entries).iter().find(|one| one[key] == value).with_context(|| format!("{key} {value} in {entries:#}"))
}

/// What is recommended, as flags of `docker run`.
fn flags(hardening: &Value, host: &Host) -> Result<Vec<String>> {
    let mut flags: Vec<String> = ["--cap-drop", "ALL"].map(str::to_owned).to_vec();
    let mut add = |more: &[&str]| flags.extend(more.iter().map(|&flag| flag.to_owned()));
    let applies = |advice: &Value| advice["verdict"] == "apply";
    if applies(&hardening["no_new_privileges"]) {
        add(&["--security-opt", "no-new-privileges"]);
    }
    let root = &hardening["read_only_root"];
    ensure!(applies(&root["advice"]), "{root:#}");
    add(&["--read-only"]);
    for directory in list(&root["writable"]) {
        let path = directory["path"].as_str().context("a path")?;
        let writer = &list(&directory["writers"])[0];
        if directory["medium"] == "tmpfs" {
            let mode = directory["mode"].as_str().context("a mode")?;
            add(&["--tmpfs", &format!("{path}:exec,mode={mode},uid={},gid={}", writer["uid"], writer["gid"])]);
        } else {
            add(&["--mount", &format!("type=volume,target={path}")]);
        }
    }
    let user = &hardening["user"];
    ensure!(applies(&user["advice"]), "{user:#}");
    add(&["--user", &format!("{}:{}", user["user"]["uid"], user["user"]["gid"])]);
    for (limit, flag) in [("pids", "--pids-limit"), ("memory", "--memory")] {
        let limit = &hardening[limit];
        if applies(&limit["advice"]) {
            add(&[flag, limit["recommended"].as_str().context("a limit")?]);
        }
    }
    for device in list(&hardening["devices"]["needed"]) {
        let (path, of_host) =
            (device["path"].as_str().context("a path")?, device["host_path"].as_str().context("a path")?);
        let read = if device["read"] == true { "r" } else { "" };
        let write = if device["write"] == true { "w" } else { "" };
        add(&["--device", &format!("{of_host}:{path}:{read}{write}")]);
    }
    for mount in list(&hardening["mounts"]) {
        let name = mount["destination"].as_str().and_then(|path| path.strip_prefix('/')).context("a destination")?;
        match mount["action"].as_str() {
            Some("read-only") => add(&["--volume", &host.volume(name, ":ro")]),
            _ => add(&["--volume", &host.volume(name, "")]),
        }
    }
    for port in list(&hardening["ports"]).iter().filter(|port| port["advice"]["verdict"] != "apply") {
        let port = &port["port"];
        if port["host_address"] == "0.0.0.0" {
            add(&["--publish", &format!("{}:{}", port["host_port"], port["port"])]);
        }
    }
    Ok(flags)
}

#[test]
#[ignore = "needs root"]
fn docker_runs_a_workload_with_all_that_is_recommended_and_no_more() -> Result<()> {
    need!("dockerd", "docker", "busybox");
    let _alone = alone()?;
    let docker = Docker::start()?;
    make_image(&docker)?;
    let host = Host::new()?;
    let (port, other) = (free_port()?, free_port()?);
    let (published, unused) = (format!("{port}:8080"), format!("{other}:9090"));
    let volumes = ["data", "www", "unused"].map(|name| host.volume(name, ""));
    let wide: Vec<String> = [
        "--user",
        USER,
        "--device",
        "/dev/zero:/dev/given",
        "--device",
        "/dev/full:/dev/other",
        "--publish",
        &published,
        "--publish",
        &unused,
        "--volume",
        &volumes[0],
        "--volume",
        &volumes[1],
        "--volume",
        &volumes[2],
    ]
    .map(str::to_owned)
    .to_vec();

    let recorder = Recorder::start_beside(&docker.socket(), "docker.sock", &["--all"])?;
    let (name, status, says) = run(&docker, &host, port, &wide)?;
    let recording = recorder.stop()?;
    ensure!((status.as_str(), says.trim()) == ("0", "seed"), "{status}: {says}");
    let report = recording.of(&name)?;
    report.must_be_complete()?;

    let recommended = recommendation(&report.path)?;
    let hardening = &recommended["hardening"];
    let writable = &hardening["read_only_root"]["writable"];
    ensure!(list(writable).len() == 2, "{writable:#}");
    ensure!(entry(writable, "path", "/tmp")?["medium"] == "tmpfs", "{writable:#}");
    ensure!(entry(writable, "path", "/srv/app")?["medium"] == "volume", "the image has a file there: {writable:#}");
    let devices = &hardening["devices"];
    ensure!(list(&devices["needed"]).len() == 1, "{devices:#}");
    let given = entry(&devices["needed"], "path", "/dev/given")?;
    ensure!(given["host_path"] == "/dev/zero" && given["read"] == true && given["write"] == false, "{given:#}");
    ensure!(entry(&devices["unused"], "path", "/dev/other")?["host_path"] == "/dev/full", "{devices:#}");
    let mounts = &hardening["mounts"];
    for (path, action) in [("/data", "keep"), ("/www", "read-only"), ("/unused", "keep")] {
        ensure!(entry(mounts, "destination", path)?["action"] == action, "{path}: {mounts:#}");
    }
    for one in list(&hardening["ports"]) {
        let verdict = if one["port"]["port"] == 8080 { "needed" } else { "apply" };
        ensure!(one["advice"]["verdict"] == verdict, "{one:#}");
    }
    ensure!(hardening["user"]["user"]["uid"] == 1000 && hardening["user"]["advice"]["now"] == true, "{hardening:#}");
    ensure!(hardening["system_paths"]["advice"]["now"] == true, "docker says what it hides: {hardening:#}");
    ensure!(list(&hardening["engine_sockets"]).is_empty(), "{hardening:#}");
    ensure!(recommended["changes"]["filter"] == "engine-default", "{:#}", recommended["changes"]);
    let score = &recommended["score"];
    let socket = entry(&score["lines"], "id", "engine-socket")?;
    ensure!(socket["now"] == "closed", "{socket:#}");
    let opened: Vec<&Value> = list(&score["lines"])
        .iter()
        .filter(|line| line["now"] == "closed" && line["after"] == "open")
        .map(|line| &line["id"])
        .collect();
    ensure!(opened.is_empty() && score["opened"] == 0, "open after and not before: {opened:?}");

    let tight = flags(hardening, &host)?;
    for _ in 0..3 {
        let (_, status, says) = run(&docker, &host, port, &tight)?;
        ensure!((status.as_str(), says.trim()) == ("0", "seed"), "{tight:?}: {status}: {says}");
    }

    // Each is what decides: with one of them away, or the other way round, it fails.
    let without = |flag: &str| -> Vec<String> {
        let mut fewer = tight.clone();
        let at = fewer.iter().position(|one| one.starts_with(flag)).unwrap_or(fewer.len() - 1);
        fewer.drain(at - 1..=at);
        fewer
    };
    for flag in ["/tmp:", "/dev/zero:", "type=volume"] {
        let (_, status, says) = run(&docker, &host, port, &without(flag))?;
        ensure!(status != "0", "it works without {flag}: {says}");
    }
    Ok(())
}
