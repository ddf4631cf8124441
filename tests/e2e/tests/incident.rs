//! Evidence of processes in real containers, and `ringfence incident`.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::bundle::Bundle;
use e2e::collecting::{Collecting, objects};
use e2e::command::{command, must};
use e2e::machine::{alone, unique_name};
use e2e::need;
use e2e::programs::program;
use e2e::recorder::ringfence;
use e2e::runtime::Runtime;
use e2e::sealed::root_with;
use e2e::text::unsafe_on_a_terminal;
use serde_json::Value;

/// What the programs do last.
const MARK: &str = "file.path = /tmp/alert";
/// Programs that end at once.
const AGAIN: &str = "exec.argv intersects (again) and exec.executable endswith evidence";
const LIMIT: Duration = Duration::from_secs(60);

fn sha256sum(path: &Path) -> Result<String> {
    let output = must(&mut command("sha256sum", [path]))?;
    Ok(output.get(..64).context("a hash")?.to_owned())
}

/// Runs a script of busybox's shell in a container that lives until the incident is as wanted, and gives what it is then.
fn incident_of(condition: &str, script: &str, is_so: impl Fn(&Value) -> bool) -> Result<(Value, Collecting)> {
    let id = unique_name("rf-e2e-incident");
    let overlay = root_with(&["evidence"])?;
    let bundle = Bundle::new(&overlay.root(), &["/bin/sh", "-c", script])?;
    let runtime = Runtime::new("runc")?;
    let collecting = Collecting::start(condition)?;
    let container = runtime.create(&bundle, &id)?;
    container.start()?;
    let incident = collecting.wait_for("there is evidence", is_so)?;
    assert_eq!(incident["container"]["id"], id.as_str());
    drop(container);
    Ok((incident, collecting))
}

fn has_process(incident: &Value) -> bool {
    incident["processes"].as_array().is_some_and(|all| !all.is_empty())
}

fn file<'i>(incident: &'i Value, path: &str) -> Option<&'i Value> {
    incident["files"].as_array()?.iter().find(|file| file["path"] == path)
}

#[test]
#[ignore = "needs root"]
fn a_program_that_deleted_itself_is_kept_whole() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    let known = sha256sum(&program("evidence")?)?;

    let script = "cp /bin/evidence /tmp/dropped; exec /tmp/dropped deleted";
    let (incident, collecting) = incident_of(MARK, script, has_process)?;

    let process = &incident["processes"][0];
    assert_eq!(process["source"], "process");
    let executable = &process["executable"];
    assert_eq!((&executable["path"], &executable["deleted"]), (&"/tmp/dropped".into(), &true.into()));
    assert_eq!((&executable["from_memory"], &executable["sha256"]), (&false.into(), &known.as_str().into()));
    assert_eq!(process["told"]["argv"], serde_json::json!(["/tmp/dropped", "deleted"]));
    assert_eq!(process["pid_inside"], 1);
    // The one who made it is outside, and nobody else is above it.
    let tree = process["tree"].as_array().context("a tree")?;
    let relations: Vec<&Value> = tree.iter().map(|it| &it["relation"]).collect();
    assert_eq!(relations.last(), Some(&&Value::from("itself")));
    assert_eq!(relations.iter().filter(|it| **it == "outside").count(), 1, "{tree:?}");
    let folder = collecting.stop()?;
    let kept = objects(&folder.folder(), &incident)?;
    let (_, content) = kept.iter().find(|(name, _)| *name == known).context("it is not there")?;
    ensure!(*content == std::fs::read(program("evidence")?)?, "it is not the same");
    for entry in walk(&folder.folder())? {
        let mode = std::os::unix::fs::MetadataExt::mode(&entry.metadata()?);
        ensure!(entry.is_dir() || mode & 0o177 == 0, "{} has mode {mode:o}", entry.display());
    }
    Ok(())
}

fn walk(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(walk(&path)?);
        }
        found.push(path);
    }
    Ok(found)
}

#[test]
#[ignore = "needs root"]
fn a_program_in_a_memfd_is_known_as_such_and_kept_whole() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    let known = sha256sum(&program("evidence")?)?;

    let (incident, collecting) = incident_of(MARK, "/bin/evidence memfd; :", has_process)?;

    let executable = &incident["processes"][0]["executable"];
    assert_eq!((&executable["path"], &executable["from_memory"]), (&"/memfd:dropped".into(), &true.into()));
    assert_eq!(executable["sha256"], known.as_str());
    let folder = collecting.stop()?;
    ensure!(objects(&folder.folder(), &incident)?.iter().any(|(name, _)| *name == known), "it is not there");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_shell_on_a_socket_shows_both_ends_and_its_tree() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let peer = listener.local_addr()?;

    let script = format!("/bin/evidence shell {}; :", peer.port());
    let (incident, collecting) = incident_of(MARK, &script, has_process)?;
    let (_socket, remote) = listener.accept()?;

    let process = &incident["processes"][0];
    assert_eq!(process["argv"][0], "sh");
    let descriptors = process["descriptors"].as_array().context("descriptors")?;
    for number in 0..3 {
        let it = descriptors.iter().find(|it| it["number"] == number).with_context(|| format!("no {number}"))?;
        assert_eq!(it["kind"], "socket");
        assert_eq!(it["socket"]["local"], remote.to_string());
        assert_eq!(it["socket"]["remote"], peer.to_string());
        assert_eq!(it["socket"]["state"], "established");
    }
    let tree = process["tree"].as_array().context("a tree")?;
    ensure!(tree.iter().any(|it| it["relation"] == "ancestor" && it["argv"][0] == "/bin/sh"), "{tree:?}");
    let peers = incident["peers"].as_array().context("peers")?;
    ensure!(peers.iter().any(|it| it["port"] == peer.port() && it["address"] == "127.0.0.1"), "{peers:?}");

    // The page and the text tell the same.
    let folder = collecting.stop()?;
    let dir = folder.folder();
    let dir = dir.to_str().context("a path")?;
    let alert = &folder.alerts[0];
    assert_eq!(alert["evidence"], incident["id"]);
    let id = alert["id"].as_str().context("an id")?;
    let text = ringfence(&["incident", "show", "--dir", dir, id], LIMIT)?.stdout();
    let html = ringfence(&["incident", "show", "--html", "--dir", dir, id], LIMIT)?.stdout();
    for shown in [&text, &html] {
        ensure!(unsafe_on_a_terminal(shown.as_bytes()).is_none(), "{shown:?}");
        ensure!(shown.contains(&format!("tcp {remote} – {peer} (established)")), "{shown}");
    }
    ensure!(html.contains("default-src 'none'") && !html.contains("src="), "{html}");
    let list = ringfence(&["incident", "list", "--dir", dir], LIMIT)?.stdout();
    assert_eq!(list.lines().count(), 2, "{list}");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn of_a_process_that_ends_at_once_there_is_what_the_events_told_and_its_file() -> Result<()> {
    const ROUNDS: usize = 20;
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    let known = sha256sum(&program("evidence")?)?;

    let script = format!("for i in $(seq {ROUNDS}); do /bin/evidence again $i; done; exec sleep 100");
    let all = |incident: &Value| incident["processes"].as_array().is_some_and(|all| all.len() == ROUNDS);
    let (incident, collecting) = incident_of(AGAIN, &script, all)?;

    let processes = incident["processes"].as_array().context("processes")?;
    for process in processes {
        assert_eq!(process["told"]["argv"][1], "again");
        let is_gone = process["source"] == "events";
        let missing = process["missing"].as_array().context("a list")?;
        ensure!(!is_gone || missing.iter().any(|it| it["what"] == "everything but the events"), "{process:#}");
    }
    let gone: Vec<&Value> = processes.iter().filter(|it| it["source"] == "events").collect();
    ensure!(!gone.is_empty(), "each was still there");
    let tree = gone[0]["tree"].as_array().context("a tree")?;
    ensure!(tree.len() >= 2 && tree.iter().all(|it| it["source"] == "events"), "{tree:?}");
    let program = file(&incident, "/bin/evidence").context("its program")?;
    assert_eq!(program["sha256"], known.as_str());
    let note = |it: &Value| it["note"].as_str().is_some_and(|note| note.contains("after the process had ended"));
    let files = incident["files"].as_array().context("files")?;
    ensure!(files.iter().any(note), "{files:?}");
    collecting.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_process_that_has_become_another_program_is_told_and_the_first_one_is_kept() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    let known = sha256sum(&program("evidence")?)?;

    let script = "cp /bin/evidence /tmp/first; exec /tmp/first become";
    let (incident, collecting) = incident_of("exec.executable = /tmp/first", script, has_process)?;

    let process = &incident["processes"][0];
    assert_eq!((&process["executable_then"], &process["source"]), (&"/tmp/first".into(), &"process".into()));
    let first = file(&incident, "/tmp/first").context("no /tmp/first")?;
    assert_eq!(first["sha256"], known.as_str());
    if process["executable"]["path"] != "/tmp/first" {
        let missing = process["missing"].as_array().context("a list")?;
        ensure!(missing.iter().any(|it| it["what"] == "program of that moment"), "{process:#}");
    }
    collecting.stop()?;
    Ok(())
}

/// A file of the host that no container may make us read.
fn secret() -> Result<tempfile::NamedTempFile> {
    let mut secret = tempfile::Builder::new().prefix("ringfence-secret").tempfile_in("/var/tmp")?;
    secret.write_all(b"of the host alone\n")?;
    Ok(secret)
}

fn nothing_of_the_host(folder: &Path, incident: &Value) -> Result<()> {
    let of_host = std::fs::read("/etc/passwd")?;
    for (name, content) in objects(folder, incident)? {
        let has = |text: &[u8]| content.windows(text.len()).any(|window| window == text);
        ensure!(!has(b"of the host alone"), "{name} is the secret");
        ensure!(content != of_host, "{name} is the host's /etc/passwd");
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn what_was_put_in_the_place_of_a_file_leads_nowhere() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    let secret = secret()?;

    let script = format!("exec /bin/evidence swap {}", secret.path().display());
    let (incident, collecting) = incident_of(MARK, &script, has_process)?;

    let folder = collecting.stop()?;
    nothing_of_the_host(&folder.folder(), &incident)?;
    let note = |path: &str| -> Result<String> {
        let file = file(&incident, path).with_context(|| format!("no {path}"))?;
        ensure!(file["sha256"].is_null() || path == "/tmp/dir/passwd", "{file}");
        Ok(file["note"].as_str().unwrap_or_default().to_owned())
    };
    ensure!(note("/tmp/link")?.contains("a symbolic link"), "{}", note("/tmp/link")?);
    ensure!(note("/tmp/up")?.contains("a symbolic link"), "{}", note("/tmp/up")?);
    ensure!(note("/tmp/pipe")?.contains("a named pipe"), "{}", note("/tmp/pipe")?);
    // A link on the way is followed inside of the container: it is the container's own file, and another than was written.
    ensure!(note("/tmp/dir/passwd")?.contains("another file has its name"), "{}", note("/tmp/dir/passwd")?);
    let kept = file(&incident, "/tmp/kept").context("no /tmp/kept")?;
    let expected = tempfile::NamedTempFile::new()?;
    std::fs::write(expected.path(), "what the container wrote\n")?;
    assert_eq!(kept["sha256"], sha256sum(expected.path())?);
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn files_that_change_while_they_are_kept_lead_nowhere_and_nothing_waits() -> Result<()> {
    const ROUNDS: usize = 50;
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    let secret = secret()?;
    let began = Instant::now();

    let script = format!(
        "/bin/evidence race {} & sleep 1; for i in $(seq {ROUNDS}); do /bin/evidence again $i; done; wait",
        secret.path().display()
    );
    let all = |incident: &Value| incident["processes"].as_array().is_some_and(|all| all.len() == ROUNDS);
    let (incident, collecting) = incident_of(AGAIN, &script, all)?;

    let folder = collecting.stop()?;
    ensure!(!folder.said.contains("not finished in time"), "{}", folder.said);
    ensure!(began.elapsed() < LIMIT, "it took {:?}", began.elapsed());
    nothing_of_the_host(&folder.folder(), &incident)?;
    ensure!(file(&incident, "/tmp/raced").or(file(&incident, "/tmp/mine")).is_some(), "it was not even tried");
    Ok(())
}
