//! `ringfence detect` on real containers: what it finds, once each, what it leaves alone, and where it says so.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::bundle::Bundle;
use e2e::command::{command, finish};
use e2e::engines::{Docker, Engine, Wish};
use e2e::machine::{alone, unique_name};
use e2e::need;
use e2e::overlay::Overlay;
use e2e::recorder::{Recorder, ringfence};
use e2e::rootfs;
use e2e::runtime::Runtime;
use e2e::sealed::{LIMIT, root_with};
use e2e::watching::{Watched, Watching};
use e2e::workloads::BUSYBOX_IMAGE;
use serde_json::Value;

const SECOND: Duration = Duration::from_secs(1);

/// What an ordinary workload does here: it writes files with names that were made up, and reads some. It lives long enough to be
/// asked about: who is gone by then has no baseline.
const WORK: &str = "sleep 1; i=0; while [ $i -lt 4 ]; do i=$((i+1)); f=$(mktemp); echo $i > $f; cat $f /etc/passwd > /tmp/log-$i; \
                    ls / > /dev/null; mkdir -p /tmp/d-$$; done";

/// A root with a script at `/work`, and accounts.
fn root(script: &str) -> Result<Overlay> {
    let overlay = root_with(&[])?;
    std::fs::write(overlay.root().join("work"), script)?;
    for (name, text) in [("passwd", "root:x:0:0::/:/bin/sh\n"), ("shadow", "root:!:1::::::\n")] {
        std::fs::write(overlay.root().join("etc").join(name), text)?;
    }
    Ok(overlay)
}

/// Rules of this test's own, in the place of those that come with ringfence.
const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/rules/sample.yaml");

/// `ringfence detect` by the rules of this test.
fn detect(args: &[&str]) -> Result<Watching> {
    Watching::detect(&[&["--no-shipped-rules", "--rules", RULES], args].concat())
}

/// Runs a shell in a bare container from its creation to its end.
fn contain(id: &str, script: &str) -> Result<()> {
    let overlay = root(script)?;
    Runtime::new("runc")?.run(&Bundle::new(&overlay.root(), &["/bin/sh", "/work"])?, id, LIMIT)
}

/// The same where the runtime keeps its state at the usual place: there its bundle, and so the command, is found.
fn contain_known(id: &str, script: &str) -> Result<()> {
    let overlay = root(script)?;
    let bundle = Bundle::new(&overlay.root(), &["/bin/sh", "/work"])?;
    bundle.write()?;
    let ended = finish(command("runc", ["run", id]).current_dir(bundle.folder()), LIMIT)?;
    ensure!(ended.status.success(), "{}", ended.stderr());
    Ok(())
}

/// The alerts of a container that were told for the first time.
fn told(watched: &Watched, id: &str) -> Result<Vec<Value>> {
    let of_it = |alert: &Value| alert["container"]["id"] == id || alert["container"]["name"] == id;
    Ok(watched.events()?.into_iter().filter(|alert| of_it(alert) && alert["state"] == "new").collect())
}

fn rules(alerts: &[Value]) -> BTreeSet<&str> {
    alerts.iter().filter_map(|alert| alert["rule"].as_str()).collect()
}

/// The count that was told of an alert last.
fn last_count(watched: &Watched, id: &Value) -> Result<Option<String>> {
    let last = watched.events()?.into_iter().rfind(|alert| alert["id"] == *id);
    Ok(last.and_then(|alert| alert["count"].as_str().map(str::to_owned)))
}

#[test]
#[ignore = "needs root"]
fn each_rule_is_fired_by_a_real_action_and_told_once() -> Result<()> {
    need!("runc", "busybox", "gcc");
    let _alone = alone()?;
    let state = tempfile::tempdir()?;
    let (id, quiet) = (unique_name("rf-e2e-detect"), unique_name("rf-e2e-quiet"));
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port().to_string();
    let watching = detect(&["--state", &state.path().display().to_string()])?;

    contain(&quiet, WORK)?;
    // As a shell that somebody has elsewhere: its connection in the place of its streams. nc -e does that.
    let script = format!(
        "for i in 1 2 3; do echo evil > /etc/evil; done; ln -s /etc/shadow /tmp/s; nc 127.0.0.1 {port} -e /bin/cat < /dev/null; true"
    );
    let accepted = std::thread::spawn(move || {
        if let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.write_all(b"hello\n");
        }
    });
    contain(&id, &script)?;
    let _ = accepted.join();

    watching.wait_for("Connection on standard streams")?;
    let watched = watching.stop()?;
    assert_eq!(watched.status.code(), Some(1), "{}", watched.stderr);
    let alerts = told(&watched, &id)?;
    for rule in
        ["File below /etc opened to be written", "Link made to a file with secrets", "Connection on standard streams"]
    {
        let of_rule = alerts.iter().filter(|alert| alert["rule"] == rule).count();
        assert!(of_rule >= 1, "{rule}: {:?}", rules(&alerts));
    }
    let written: Vec<&Value> =
        alerts.iter().filter(|alert| alert["rule"] == "File below /etc opened to be written").collect();
    assert_eq!(written.len(), 1, "{written:?}");
    assert_eq!(written[0]["fields"]["fd.name"], "/etc/evil");
    assert_eq!(written[0]["process"]["name"], "sh");
    assert_eq!(told(&watched, &quiet)?, Vec::<Value>::new());
    for said in ["rules are active", "they look at", "0 suppressed"] {
        assert!(watched.stderr.contains(said), "{said}: {}", watched.stderr);
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_baseline_is_quiet_about_the_same_again_and_tells_each_step_of_an_attack_once() -> Result<()> {
    need!("runc", "busybox");
    let _alone = alone()?;
    let state = tempfile::tempdir()?;
    let state_path = state.path().display().to_string();
    let id = unique_name("rf-e2e-base");
    let recorder = Recorder::start(&["--all"])?;
    contain_known(&id, WORK)?;
    std::thread::sleep(SECOND);
    let recording = recorder.stop()?;
    let report = recording.of(&id)?.path.display().to_string();

    // The same again, and once more with an attack in the middle.
    let arguments = ["--no-shipped-rules", "--state", &state_path, "--baseline", &report];
    let watching = Watching::detect(&arguments)?;
    let (same, attacked) = (unique_name("rf-e2e-same"), unique_name("rf-e2e-attacked"));
    contain_known(&same, WORK)?;
    let attack = "for i in 1 2 3; do cp /bin/busybox /tmp/miner; chmod 755 /tmp/miner; /tmp/miner true; cat /etc/shadow; \
                  echo x > /etc/evil; done > /dev/null; (nc -l -p 4444 & sleep 0.3; kill $!); mkdir /root; echo k > /root/.profile";
    contain_known(&attacked, &format!("{WORK}; {attack}"))?;
    watching.wait_for("/root/.profile")?;
    let watched = watching.stop()?;

    assert_eq!(told(&watched, &same)?, Vec::<Value>::new(), "{}", watched.stderr);
    let alerts = told(&watched, &attacked)?;
    let ids: BTreeSet<String> = alerts.iter().map(|alert| alert["id"].to_string()).collect();
    assert_eq!(ids.len(), alerts.len(), "no alert comes twice as a new one");
    let one = |kind: &str, key: &str, value: &str| {
        let found: Vec<&Value> =
            alerts.iter().filter(|alert| alert["fact"]["kind"] == kind && alert["fact"][key] == value).collect();
        ensure!(found.len() == 1, "{kind} {value}: {found:?} of {:#?}", alerts);
        Ok(found[0].clone())
    };
    let miner = one("program", "path", "/tmp/miner")?;
    one("write", "path", "/tmp/miner")?;
    one("write", "path", "/etc/evil")?;
    one("write", "path", "/root/.profile")?;
    one("sensitive", "path", "/etc/shadow")?;
    one("listener", "port", "4444").or_else(|_| {
        alerts
            .iter()
            .find(|alert| alert["fact"]["kind"] == "listener" && alert["fact"]["port"] == 4444)
            .cloned()
            .context("no listener")
    })?;
    assert_eq!(last_count(&watched, &miner["id"])?.as_deref(), Some("3"));
    assert!(alerts.iter().all(|alert| alert["origin"] == "baseline"), "{:?}", rules(&alerts));

    // What is allowed is not told again, and all else is.
    let miner_id = miner["id"].as_str().context("an id")?;
    let allowed = ringfence(&["allow", miner_id, "--state", &state_path], LIMIT)?;
    ensure!(allowed.status.success(), "{}", allowed.stderr());
    assert!(allowed.stderr().contains("it is normal from now on that it ran"), "{}", allowed.stderr());
    let watching = Watching::detect(&arguments)?;
    contain_known(&attacked, &format!("{WORK}; {attack}"))?;
    watching.wait_for("/root/.profile")?;
    let watched = watching.stop()?;
    let alerts = told(&watched, &attacked)?;
    assert!(alerts.iter().any(|alert| alert["fact"]["path"] == "/etc/evil"));
    assert!(!alerts.iter().any(|alert| alert["id"] == miner_id), "{alerts:#?}");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn many_different_alerts_of_one_rule_are_limited_and_the_others_counted() -> Result<()> {
    need!("runc", "busybox");
    let _alone = alone()?;
    let state = tempfile::tempdir()?;
    let id = unique_name("rf-e2e-many");
    let arguments = ["--rate", "5/1h", "--state", &state.path().display().to_string()];
    let watching = detect(&arguments)?;
    // Names that are not the same without their numbers.
    contain(&id, "for n in a b c d e f g h i j k l; do echo x > /etc/file-$n; done")?;
    watching.wait_for("/etc/file-e")?;
    std::thread::sleep(SECOND * 2);
    let watched = watching.stop()?;

    let alerts = told(&watched, &id)?;
    assert_eq!(alerts.len(), 5, "{alerts:#?}");
    let suppressed: u64 = watched
        .events()?
        .iter()
        .filter_map(|alert| alert["suppressed"].as_str().and_then(|digits| digits.parse::<u64>().ok()))
        .sum();
    assert_eq!(suppressed, 7);
    assert!(
        watched.stderr.contains("12 alerts, 5 told, 0 the same as one that was told, 7 suppressed"),
        "{}",
        watched.stderr
    );
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_rule_alert_that_is_allowed_is_not_told_again_and_others_of_the_rule_are() -> Result<()> {
    need!("runc", "busybox");
    let _alone = alone()?;
    let state = tempfile::tempdir()?;
    let state_path = state.path().display().to_string();
    let id = unique_name("rf-e2e-allow");
    let once = |script: &str, last: &str| {
        let watching = detect(&["--state", &state_path])?;
        contain(&id, script)?;
        watching.wait_for(last)?;
        told(&watching.stop()?, &id)
    };
    let alerts = once("echo x > /etc/known", "/etc/known")?;
    assert_eq!(alerts.len(), 1, "{alerts:#?}");
    let alert_id = alerts[0]["id"].as_str().context("an id")?;

    let allowed = ringfence(&["allow", &alert_id[..6], "--as", "rule", "--state", &state_path], LIMIT)?;
    ensure!(allowed.status.success(), "{}", allowed.stderr());
    assert!(allowed.stderr().contains("fd.name = /etc/known"), "{}", allowed.stderr());

    let alerts = once("echo x > /etc/known; echo x > /etc/unknown", "/etc/unknown")?;
    let names: Vec<&Value> = alerts.iter().map(|alert| &alert["fields"]["fd.name"]).collect();
    assert_eq!(names, ["/etc/unknown"]);

    let refused = ringfence(&["allow", "ffffffffffff", "--state", &state_path], LIMIT)?;
    assert_eq!(refused.status.code(), Some(2));
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_dead_sink_delays_nothing_and_what_it_missed_is_said_and_waits_on_disk() -> Result<()> {
    need!("runc", "busybox");
    let _alone = alone()?;
    let state = tempfile::tempdir()?;
    let id = unique_name("rf-e2e-dead");
    // One that takes connections and never answers.
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let webhook = format!("webhook:http://{}/", listener.local_addr()?);
    let arguments = [
        "--state",
        &state.path().display().to_string(),
        "--sink",
        "stdout",
        "--sink",
        &webhook,
        "--sink",
        "unix:/nowhere",
    ];
    let watching = detect(&arguments)?;
    let began = Instant::now();
    contain(&id, "echo x > /etc/one")?;
    watching.wait_for("/etc/one")?;
    ensure!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());
    let watched = watching.stop()?;

    assert_eq!(told(&watched, &id)?.len(), 1);
    assert!(watched.stderr.contains("the sink unix:/nowhere: alerts: 0 sent"), "{}", watched.stderr);
    assert_eq!(watched.status.code(), Some(1));
    let kept = std::fs::read_to_string(state.path().join("alerts.ndjson"))?;
    assert_eq!(kept.lines().count(), 1);
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn in_a_docker_container_alerts_name_it_and_what_was_learnt_is_normal() -> Result<()> {
    need!("dockerd", "docker", "ip", "busybox");
    let _alone = alone()?;
    let state = tempfile::tempdir()?;
    let docker = Docker::start()?;
    docker.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let name = unique_name("rf-e2e-detected");
    let state_path = state.path().display().to_string();
    let arguments = [&name, "--no-shipped-rules", "--rules", RULES, "--state", &state_path, "--baseline", "auto=6s"];
    let watching = Watching::detect_beside(&docker.socket(), "docker.sock", &arguments)?;
    let script = "n=0; while [ $n -lt 60 ]; do n=$((n+1)); echo $n > /tmp/count; cat /tmp/count > /dev/null; sleep 0.2; \
                  if [ $n = 50 ]; then mkdir -p /etc; echo x > /etc/evil; fi; done";
    let args = ["/bin/sh", "-c", script].map(String::from);
    docker.run(&Wish { name: &name, image: BUSYBOX_IMAGE, args: &args, mounts: &[], more: &[] })?;
    docker.docker(&["wait", &name])?;
    docker.remove(&name)?;
    watching.wait_for("new file written")?;
    let watched = watching.stop()?;

    let alerts = told(&watched, &name)?;
    let by_rule: Vec<&Value> = alerts.iter().filter(|alert| alert["origin"] == "rule").collect();
    assert_eq!(by_rule.len(), 1, "{alerts:#?}");
    assert_eq!(by_rule[0]["container"]["engine"], "docker");
    assert_eq!(by_rule[0]["container"]["image"], BUSYBOX_IMAGE);
    let written: Vec<&Value> = alerts.iter().filter(|alert| alert["fact"]["kind"] == "write").collect();
    assert!(written.len() == 1 && written[0]["fact"]["path"] == "/etc/evil", "{alerts:#?}");
    assert!(!alerts.iter().any(|alert| alert["fact"]["path"] == "/tmp/count"), "{alerts:#?}");
    for said in ["learning for 6.0 s what is normal in", "learnt what is normal in", "is expected to show about"] {
        assert!(watched.stderr.contains(said), "{said}: {}", watched.stderr);
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn nothing_to_look_for_and_rules_with_errors_are_refused() -> Result<()> {
    let state = tempfile::tempdir()?;
    let state_path = state.path().display().to_string();
    let nothing = ringfence(&["detect", "--no-shipped-rules", "--state", &state_path], LIMIT)?;
    assert_eq!(nothing.status.code(), Some(2));
    assert!(nothing.stderr().contains("nothing to look for"), "{}", nothing.stderr());
    let wrong = state.path().join("wrong.yaml");
    std::fs::write(&wrong, "- rule: x\n  desc: d\n  condition: proc.nmae = sh\n  output: o\n  priority: NOTICE\n")?;
    let wrong = ringfence(&["detect", "--rules", &wrong.display().to_string(), "--state", &state_path], LIMIT)?;
    assert_eq!(wrong.status.code(), Some(2));
    assert!(wrong.stderr().contains("wrong.yaml") && wrong.stderr().contains("proc.nmae"), "{}", wrong.stderr());
    assert!(Path::new(&state_path).join("alerts.ndjson").metadata().is_err(), "nothing was begun");
    Ok(())
}
