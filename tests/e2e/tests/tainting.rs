//! A policy that is strict in a container only after something there has read from the network.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::blocking::{Blocking, Clean, run, status};
use e2e::bundle::Bundle;
use e2e::command::wait_until;
use e2e::machine::{alone, unique_name};
use e2e::runtime::{Container, Runtime};
use e2e::{host_bpf, need, rootfs};
use serde_json::Value;

const STEP: Duration = Duration::from_secs(60);

/// Sends a word to whoever connects; gives the port.
fn sender() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = (&stream).write_all(b"sent\n");
        }
    });
    Ok(port)
}

/// Whether `id` runs there.
fn id_runs(container: &Container<'_>) -> Result<bool> {
    let finished = container.exec(&["/bin/sh", "-c", "exec /bin/id -u"])?;
    ensure!(!finished.status.success() || finished.stdout().trim() == "0", "id said {}", finished.stdout());
    Ok(finished.status.success())
}

fn read_from(container: &Container<'_>, port: u16) -> Result<()> {
    let finished = container.exec(&["/bin/sh", "-c", &format!("nc 127.0.0.1 {port} </dev/null")])?;
    ensure!(finished.stdout() == "sent\n", "it read {:?}: {}", finished.stdout(), finished.stderr());
    Ok(())
}

fn policy() -> Result<Value> {
    status()?["policies"].as_array().and_then(|policies| policies.first().cloned()).context("no policy")
}

#[test]
#[ignore = "needs root"]
fn a_policy_is_strict_after_the_first_read_from_the_network_and_not_before() -> Result<()> {
    need!("runc", "busybox");
    let _alone = alone()?;
    let _clean = Clean::start()?;
    let port = sender()?;
    let runtime = Runtime::new("runc")?;
    let (here, elsewhere) = (unique_name("rf-here"), unique_name("rf-elsewhere"));
    let root = rootfs::busybox()?;
    let bundle = Bundle::new(&root.folder, &["/bin/sleep", "1000"])?;
    let start = |name: &str| -> Result<Container<'_>> {
        let container = runtime.create(&bundle, name)?;
        container.start()?;
        Ok(container)
    };
    let (container, other) = (start(&here)?, start(&elsewhere)?);

    // Given a policy that waits in both, what it denies works.
    let named = ["--container", here.as_str(), "--container", elsewhere.as_str()];
    let rest = ["--exec", "id", "--after", "network", "--format", "json"];
    let blocking = Blocking::start(None, &[&named[..], &rest].concat())?;
    ensure!(blocking.said().contains("after a read from the network"), "{}", blocking.said());
    ensure!(id_runs(&container)? && id_runs(&other)?, "id does not run before anything was read");
    ensure!(policy()?["waiting"] == 2 && policy()?["denied"] == 0, "{}", policy()?);

    // When one of them reads, it is denied there alone.
    read_from(&container, port)?;
    ensure!(!id_runs(&container)?, "id runs after a read from the network");
    ensure!(id_runs(&other)?, "id does not run in the other container");
    let lines = blocking.expect_denials(2)?;
    let (tainted, denied) = (&lines[0], &lines[1]);
    ensure!(tainted["action"] == "tainted" && tainted["cause"] == "network", "{tainted}");
    ensure!(tainted["process"]["comm"] == "nc" && tainted["container"]["id"] == here, "{tainted}");
    ensure!(tainted["policy"]["number"] == 0, "{tainted}");
    ensure!(denied["deed"] == "exec" && denied["tainted"]["cause"] == "network", "{denied}");
    ensure!(denied["tainted"]["pid"] == tainted["process"]["pid"], "{denied}");
    let known = policy()?;
    ensure!(known["waiting"] == 1 && known["cgroups"] == 2, "{known}");
    ensure!(known["strict"][0]["container"]["id"] == here, "{known}");
    let listed = run(None, &["policy", "list"])?.stdout();
    ensure!(listed.contains(&format!("  in {here} after network, by pid ")), "{listed}");

    // Once is enough, and it is told once.
    read_from(&container, port)?;
    blocking.expect_denials(2)?;

    // Another policy for the same container does not change that, nor does its removal.
    let second = run(None, &["block", "--once", "--container", &here, "--exec", "whoami"])?;
    ensure!(second.status.success(), "{}", second.stderr());
    ensure!(!id_runs(&container)?, "id runs under a second policy");
    ensure!(run(None, &["policy", "remove", "1"])?.status.success(), "the second cannot be removed");
    ensure!(!id_runs(&container)?, "id runs after a second policy was removed");

    // It stays when ringfence is killed; a container that is made anew begins anew.
    blocking.kill()?;
    ensure!(!id_runs(&container)?, "id runs with no ringfence there");
    container.delete()?;
    let again = start(&here)?;
    if std::fs::read_to_string(format!("/proc/{}/cgroup", again.pid()))?.contains(here.as_str()) {
        ensure!(id_runs(&again)?, "id does not run in the container that was made anew");
        ensure!(policy()?["strict"] == Value::Array(Vec::new()), "{}", policy()?);
        read_from(&again, port)?;
        ensure!(!id_runs(&again)?, "id runs in the container that was made anew, after a read");
    }

    // A process that finds it in force tells who made it strict.
    let listed = run(None, &["policy", "list"])?.stdout();
    ensure!(listed.contains(&format!("  in {here} after network, by pid ")), "{listed}");
    let removed = run(None, &["policy", "remove", "0"])?;
    ensure!(removed.status.success(), "{}", removed.stderr());
    ensure!(id_runs(&again)?, "id does not run after the policy was removed");
    ensure!(!std::path::Path::new("/sys/fs/bpf/ringfence").exists(), "something stays pinned");

    // A new policy knows nothing of what was read under another.
    let audit = ["--container", here.as_str(), "--exec", "id", "--after", "network", "--audit", "--for", "20s"];
    let audit = Blocking::start(None, &[&audit[..], &["--format", "json"]].concat())?;
    ensure!(id_runs(&again)? && policy()?["audited"] == 0, "{}", policy()?);
    read_from(&again, port)?;
    ensure!(id_runs(&again)? && policy()?["audited"] == 1, "{}", policy()?);
    ensure!(audit.expect_denials(2)?[1]["action"] == "audited", "{}", audit.shown());
    wait_until("its time is over", STEP, || Ok(!std::path::Path::new("/sys/fs/bpf/ringfence").exists()))?;
    audit.wait()?;
    Ok(())
}

/// Where the guards are pinned, one map of theirs.
fn pinned(map: &str) -> Result<PathBuf> {
    let folder = std::fs::read_dir("/sys/fs/bpf/ringfence")?.next().context("nothing is pinned")??;
    Ok(folder.path().join("maps").join(map))
}

#[test]
#[ignore = "needs root"]
fn where_a_policy_finds_no_room_to_wait_it_is_strict_at_once_and_says_so() -> Result<()> {
    need!("runc", "busybox", "bpftool");
    let _alone = alone()?;
    let _clean = Clean::start()?;
    let runtime = Runtime::new("runc")?;
    let here = unique_name("rf-here");
    let root = rootfs::busybox()?;
    let bundle = Bundle::new(&root.folder, &["/bin/sleep", "1000"])?;
    let args = ["--container", &here, "--later", "--exec", "id", "--after", "network", "--format", "json"];
    let blocking = Blocking::start(None, &args)?;

    host_bpf::fill(&pinned("waiting_policies")?)?;
    let container = runtime.create(&bundle, &here)?;
    container.start()?;

    // A canary finds no room either, so that nobody knows whether another would wait.
    let finished = run(None, &["block", "--status", "--format", "json"])?;
    ensure!(finished.status.code() == Some(1), "it ends with {}", finished.status);
    let known: Value = serde_json::from_str(&finished.stdout())?;
    let why = known["not_blocked"].as_str().unwrap_or_default();
    ensure!(why.starts_with("it cannot be tried whether anything is blocked: the map waiting_policies "), "{why}");
    // Told by the cgroup's name alone, which is not that of the container everywhere.
    if std::fs::read_to_string(format!("/proc/{}/cgroup", container.pid()))?.contains(here.as_str()) {
        ensure!(!id_runs(&container)?, "id runs, and nothing waits");
        let lines = blocking.expect_denials(2)?;
        ensure!(lines[0]["action"] == "tainted" && lines[0]["cause"] == "no_room", "{}", lines[0]);
        ensure!(lines[1]["deed"] == "exec" && lines[1]["tainted"]["cause"] == "no_room", "{}", lines[1]);
        let policy = &known["policies"][0];
        ensure!(policy["waiting"] == 0 && policy["strict"][0]["after"]["cause"] == "no_room", "{policy}");
    }
    blocking.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn what_cannot_be_seen_is_refused_and_all_is_taken_away_at_once() -> Result<()> {
    let _alone = alone()?;
    let _clean = Clean::start()?;
    let block = |more: &[&str]| {
        let args = ["block", "--once", "--container", "rf-there-is-none", "--later", "--exec", "id"];
        run(None, &[&args[..], more].concat())
    };
    let refused = block(&["--step", "kill", "--after", "/srv/uploads"])?;
    ensure!(refused.status.code() == Some(3), "it ends with {}: {}", refused.status, refused.stderr());
    ensure!(refused.stderr().contains("a read of a file cannot be seen at the step kill"), "{}", refused.stderr());
    ensure!(!std::path::Path::new("/sys/fs/bpf/ringfence").exists(), "something stays pinned");
    for wrong in ["srv", "/", "/a/../b"] {
        let said = block(&["--after", wrong])?;
        ensure!(said.status.code() == Some(2), "{wrong} ends with {}: {}", said.status, said.stderr());
    }
    let done = block(&["--after", "network"])?;
    ensure!(done.status.success(), "{}", done.stderr());
    let removed = run(None, &["policy", "remove", "--all"])?;
    ensure!(removed.status.success(), "{}", removed.stderr());
    ensure!(!std::path::Path::new("/sys/fs/bpf/ringfence").exists(), "something stays pinned");
    Ok(())
}
