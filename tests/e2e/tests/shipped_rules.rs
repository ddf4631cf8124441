//! The rules that come with ringfence: each is fired by a real action in a real container, and is quiet about what is nearly the
//! same.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::bundle::Bundle;
use e2e::command::must_within;
use e2e::engines::{Docker, Engine, Wish};
use e2e::machine::{alone, unique_name};
use e2e::need;
use e2e::overlay::Overlay;
use e2e::rootfs;
use e2e::runtime::Runtime;
use e2e::sealed::LIMIT;
use e2e::watching::{Watched, Watching};
use e2e::workloads::BUSYBOX_IMAGE;
use serde_json::{Value, json};

/// A rule, what fires it in a container, and what is nearly the same and does not.
struct Case {
    rule: &'static str,
    fires: &'static str,
    quiet: &'static str,
}

const fn case(rule: &'static str, fires: &'static str, quiet: &'static str) -> Case {
    Case { rule, fires, quiet }
}

/// All but those that need an engine.
const CASES: [Case; 23] = [
    case(
        "Program that is not of the image",
        "cp /bin/busybox /opt/true; /opt/true",
        "cp /bin/busybox /opt/true; /bin/true",
    ),
    case("Program run from memory", "/bin/deeds memory", "cp /bin/busybox /dev/null; true"),
    case("Program run from a place for data", "cp /bin/busybox /tmp/true; /tmp/true", "cd /tmp; /bin/true"),
    case("Miner", "/bin/true -o stratum+tcp://pool:3333", "/bin/true -o tcp://pool:3333"),
    case(
        "Write to a system program or library",
        "echo x > /usr/bin/x",
        "echo x > /usr/share/x; cat /bin/busybox > /dev/null",
    ),
    case(
        "Write to a file that decides who may do what",
        "echo x >> /etc/passwd",
        "cat /etc/passwd; echo x > /etc/motd",
    ),
    case("Write to what is run later", "echo x > /etc/crontab", "echo x > /etc/motd; cat /etc/crontab || true"),
    case("Package manager", "/usr/bin/dpkg -i nothing || true", "/usr/bin/dpkg --version || true"),
    case("Log removed or emptied", "rm /var/log/x", "echo x >> /var/log/x; rm /tmp/log"),
    case("Reverse shell", "/bin/deeds wire 18081", "/bin/deeds meet 127.0.0.1 18082; cat 0< /etc/passwd"),
    case("Cloud metadata service", "/bin/deeds meet 169.254.169.254 80", "/bin/deeds meet 127.0.0.1 80"),
    case("Engine's socket", "/bin/deeds meet-through /tmp/docker.sock", "/bin/deeds meet-through /tmp/app.sock"),
    case("Kubelet", "/bin/deeds meet 127.0.0.1 10250", "/bin/deeds meet 127.0.0.1 10251"),
    case("Pool of a miner", "/bin/deeds meet 127.0.0.1 3333", "/bin/deeds meet 127.0.0.1 3334"),
    case("Shell of a server", "/usr/sbin/nginx shell", "/bin/deeds shell; /usr/bin/postgres locales"),
    case(
        "Script from the network",
        "/bin/sh -c 'wget -q -O - http://127.0.0.1:1/x | sh'",
        "/bin/sh -c 'wget -q -O /tmp/x http://127.0.0.1:1/x || true'; /bin/sh -c 'echo true | sh'",
    ),
    case(
        "Decoded and run",
        "/bin/sh -c 'echo dHJ1ZQ== | base64 -d | sh'",
        "/bin/sh -c 'echo dHJ1ZQ== | base64 -d > /tmp/x'",
    ),
    case("Secrets read", "cat /etc/shadow", "cat /etc/passwd; ls -l /etc/shadow"),
    case("Escape by the kernel's helpers", "echo x > /tmp/release_agent", "cat /proc/sys/kernel/core_pattern"),
    case("Mount in a container", "/bin/deeds mount", "cat /proc/mounts"),
    case("Namespace of others entered", "/bin/deeds enter", "ls -l /proc/self/ns"),
    case("Process taken over", "/bin/deeds take-over", "/bin/deeds traced"),
    case("Kernel module", "/bin/deeds module", "cat /proc/modules || true"),
];

/// What every container of this test has.
const PREPARE: &str = "ip link set lo up; ip addr add 169.254.169.254/32 dev lo";

/// Runs a script in a bare container with a network of its own.
fn contain(id: &str, script: &str) -> Result<()> {
    let overlay = Overlay::above(&rootfs::busybox()?.folder)?;
    let root = overlay.root();
    for folder in ["etc", "opt", "tmp", "usr/bin", "usr/sbin", "usr/share", "var/log"] {
        std::fs::create_dir_all(root.join(folder))?;
    }
    for (name, text) in [
        ("etc/passwd", "root:x:0:0::/:/bin/sh\n"),
        ("etc/shadow", "root:!:1::::::\n"),
        ("var/log/x", "x\n"),
        ("tmp/log", "x\n"),
        ("work", &format!("{PREPARE}\n{script}\n")),
    ] {
        std::fs::write(root.join(name), text)?;
    }
    let bundle = Bundle::new(&root, &["/bin/sh", "/work"])?
        .with_program("deeds", "/bin/deeds")?
        .with_program("deeds", "/usr/sbin/nginx")?
        .with_program("deeds", "/usr/bin/dpkg")?
        .with_program("deeds", "/usr/bin/postgres")?
        .change(|config| {
            if let Some(namespaces) = config["linux"]["namespaces"].as_array_mut() {
                namespaces.push(json!({"type": "network"}));
            }
            for set in ["bounding", "effective", "permitted"] {
                if let Some(capabilities) = config["process"]["capabilities"][set].as_array_mut() {
                    capabilities.push("CAP_NET_ADMIN".into());
                }
            }
        });
    Runtime::new("runc")?.run(&bundle, id, LIMIT)
}

/// The rules that fired in a container.
fn fired<'a>(events: &'a [Value], id: &str) -> BTreeSet<&'a str> {
    let of_it = |alert: &&Value| alert["container"]["id"] == id || alert["container"]["name"] == id;
    events.iter().filter(of_it).filter_map(|alert| alert["rule"].as_str()).collect()
}

fn settled(watching: Watching, last: &str) -> Result<Watched> {
    watching.wait_for(last)?;
    let watched = watching.stop()?;
    ensure!(watched.stderr.contains("0 lost") || !watched.stderr.contains("lost"), "{}", watched.stderr);
    Ok(watched)
}

#[test]
#[ignore = "needs root"]
fn each_rule_is_fired_by_what_it_is_about_and_quiet_about_what_is_nearly_the_same() -> Result<()> {
    need!("runc", "busybox", "gcc");
    let _alone = alone()?;
    let state = tempfile::tempdir()?;
    let watching = Watching::detect(&["--state", &state.path().display().to_string()])?;
    let prefix = unique_name("rf-e2e-rule");
    for (number, case) in CASES.iter().enumerate() {
        contain(&format!("{prefix}-{number}"), case.fires).with_context(|| format!("{}: fires", case.rule))?;
        contain(&format!("{prefix}-{number}-quiet"), case.quiet).with_context(|| format!("{}: quiet", case.rule))?;
    }
    contain(&format!("{prefix}-last"), "cat /etc/shadow")?;
    let events = settled(watching, &format!("{prefix}-last"))?.events()?;

    let mut wrong = Vec::new();
    for (number, case) in CASES.iter().enumerate() {
        let loud = fired(&events, &format!("{prefix}-{number}"));
        if !loud.contains(case.rule) {
            wrong.push(format!("{} was not fired: {loud:?}", case.rule));
        }
        let quiet = fired(&events, &format!("{prefix}-{number}-quiet"));
        if !quiet.is_empty() {
            wrong.push(format!("what is nearly {}: {quiet:?}", case.rule));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn rules_about_what_an_engine_knows_are_fired_in_its_containers() -> Result<()> {
    need!("dockerd", "docker", "ip", "busybox", "script");
    let _alone = alone()?;
    let state = tempfile::tempdir()?;
    let docker = Docker::start()?;
    docker.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let arguments = ["--state", &state.path().display().to_string()];
    let watching = Watching::detect_beside(&docker.socket(), "docker.sock", &arguments)?;
    let args = ["/bin/sh", "-c", "sleep 3"].map(String::from);
    let name = unique_name("rf-e2e-shipped");
    let mut is_privileged = true;
    for (with, more) in
        [("plain", vec![]), ("privileged", vec!["--privileged"]), ("host", vec!["--volume", "/etc:/host:ro"])]
    {
        let name = format!("{name}-{with}");
        if let Err(error) =
            docker.run(&Wish { name: &name, image: BUSYBOX_IMAGE, args: &args, mounts: &[], more: &more })
        {
            // On a machine that has not every capability itself there are no such containers.
            ensure!(with == "privileged" && format!("{error:#}").contains("unable to apply caps"), "{error:#}");
            is_privileged = false;
            docker.remove(&name)?;
            continue;
        }
        if with == "plain" {
            // Without a terminal, and with one.
            docker.docker(&["exec", &name, "sh", "-c", "true"])?;
            let come_in = format!("{} exec --interactive --tty {name} sh -c true", docker.words());
            let mut script = Command::new("script");
            script.args(["--quiet", "--return", "--command", &come_in, "/dev/null"]);
            must_within(&mut script, LIMIT)?;
        }
        docker.docker(&["wait", &name])?;
        docker.remove(&name)?;
    }
    watching.wait_for("Container with a part of the host")?;
    std::thread::sleep(Duration::from_secs(1));
    let events = watching.stop()?.events()?;

    assert_eq!(fired(&events, &format!("{name}-plain")), BTreeSet::from(["Shell at a terminal"]));
    if is_privileged {
        assert_eq!(fired(&events, &format!("{name}-privileged")), BTreeSet::from(["Privileged container"]));
    }
    assert_eq!(fired(&events, &format!("{name}-host")), BTreeSet::from(["Container with a part of the host"]));
    Ok(())
}

#[test]
fn every_rule_has_its_case() -> Result<()> {
    let mut rules = BTreeSet::new();
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules"))? {
        let text = std::fs::read_to_string(file?.path())?;
        rules.extend(text.lines().filter_map(|line| line.strip_prefix("- rule: ")).map(str::to_owned));
    }

    let with_engine = ["Shell at a terminal", "Privileged container", "Container with a part of the host"];
    let tried: BTreeSet<&str> = CASES.iter().map(|case| case.rule).chain(with_engine).collect();
    let rules: BTreeSet<&str> = rules.iter().map(String::as_str).collect();
    assert_eq!(rules, tried);
    Ok(())
}
