//! What is recorded and what is written: names, prefixes, images, labels, process trees, event files.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use e2e::command::{Background, command};
use e2e::engines::{Docker, Engine, Wish};
use e2e::machine::{alone, unique_name};
use e2e::programs::program;
use e2e::recorder::{Recorder, record_command};
use e2e::sealed::{self, LIMIT};
use e2e::workloads::BUSYBOX_IMAGE;
use e2e::{need, rootfs};
use serde_json::Value;

#[test]
#[ignore = "needs root"]
fn docker_containers_are_chosen_by_name_prefix_image_and_label() -> Result<()> {
    need!("gcc", "dockerd", "docker", "ip", "busybox");
    let _alone = alone()?;
    let docker = Docker::start()?;
    docker.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    docker.docker(&["tag", BUSYBOX_IMAGE, "ringfence.test/other:2"])?;
    let folder = tempfile::tempdir()?;
    std::fs::copy(program("exact")?, folder.path().join("exact"))?;
    let gate = e2e::gate::Gate::new()?;

    // Two that differ in all that they can be chosen by; the one that runs already can be chosen by its id's beginning.
    let run = |name: &str, image: &str, label: &str, args: &[String]| {
        let mounts = [(folder.path(), "/programs"), (gate.folder(), e2e::gate::INSIDE)];
        docker.run(&Wish { name, image, args, mounts: &mounts, more: &["--label", label] })
    };
    let exact: Vec<String> = ["/programs/exact", "getppid", "4"].map(str::to_owned).into();
    for choice in ["name", "image", "label", "prefix"] {
        let (wanted, other) = (unique_name("rf-e2e-wanted"), unique_name("rf-e2e-other"));
        let first = (choice == "prefix")
            .then(|| run(&wanted, "ringfence.test/other:2", "team=red", &gate.command_line(&exact)))
            .transpose()?;
        let args = match (choice, &first) {
            ("image", _) => vec!["--image".to_owned(), "*/other:*".into()],
            ("label", _) => vec!["--label".to_owned(), "team=red".into()],
            (_, Some(started)) => vec![started.id[..12].to_owned()],
            _ => vec![wanted.clone()],
        };
        let recorder = Recorder::start_beside(&docker.socket(), "docker.sock", &args)?;
        run(&other, BUSYBOX_IMAGE, "team=blue", &exact)?;
        let started = match first {
            Some(started) => {
                gate.open()?;
                started
            }
            None => run(&wanted, "ringfence.test/other:2", "team=red", &exact)?,
        };
        for name in [&other, &wanted] {
            docker.docker(&["wait", name])?;
            docker.remove(name)?;
        }
        let recording = recorder.stop().with_context(|| format!("chosen by {choice}"))?;

        let report = recording.only().with_context(|| format!("chosen by {choice}"))?;
        ensure!(report.is_of(&started.id), "chosen by {choice}: another container's report");
        assert_eq!(report.count("main", "getppid")?, 4, "chosen by {choice}");
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_process_tree_in_no_container_is_followed_and_nothing_else() -> Result<()> {
    need!("gcc");
    let _alone = alone()?;
    let folder = tempfile::tempdir()?;
    let flag = folder.path().join("go");
    let exact = sealed::on_host("exact")?;
    let script = format!(
        "while [ ! -e {0} ]; do sleep 0.05; done; {exact} unknown 6; ({exact} unknown 7 & wait)",
        flag.display()
    );
    let mut tree = Background::spawn(&mut command("/bin/sh", ["-c", &script]))?;
    let pid = tree.pid().as_raw_nonzero().to_string();
    let recorder = Recorder::start(&["--pid", &pid])?;

    Background::spawn(&mut command(&exact, ["unknown", "100"]))?.wait(LIMIT)?;
    std::fs::write(&flag, "")?;
    tree.wait(LIMIT)?;
    let recording = recorder.stop()?;

    let report = recording.only()?;
    ensure!(!report.from_start(), "it ran already");
    report.must_be_exact_except(&["observed-late"])?;
    let calls: u64 = report.syscalls()?.iter().filter(|entry| entry.number == 999).map(|entry| entry.count).sum();
    assert_eq!(calls, 13);
    assert_eq!(report.container("kind"), "process-tree");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_process_tree_is_not_over_while_one_that_only_sleeps_is_left() -> Result<()> {
    need!("gcc");
    let _alone = alone()?;
    let folder = tempfile::tempdir()?;
    let flag = folder.path().join("go");
    let exact = sealed::on_host("exact")?;
    // One that is busy until it is told to end, and one that makes no call for seconds.
    let busy = format!("while [ ! -e {} ]; do sleep 0.05; done", flag.display());
    let silent = format!("sleep 4; exec {exact} unknown 7");
    let script = format!("sh -c '{busy}' & sh -c '{silent}' & wait");
    let mut tree = Background::spawn(&mut command("sh", ["-c", &script]))?;
    std::thread::sleep(std::time::Duration::from_millis(500));

    let pid = tree.pid().as_raw_nonzero().to_string();
    let recorder = Recorder::start(&["--pid", &pid])?;
    std::fs::write(&flag, "")?;
    tree.wait(LIMIT)?;
    let recording = recorder.stop()?;

    let report = recording.only()?;
    let calls: u64 = report.syscalls()?.iter().filter(|entry| entry.number == 999).map(|entry| entry.count).sum();
    assert_eq!(calls, 7);
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn the_events_of_a_recording_are_those_that_its_report_counts() -> Result<()> {
    need!("gcc");
    let _alone = alone()?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("events.ndjson");
    let args = ["--events".to_owned(), file.display().to_string()];

    let forks = sealed::on_host("vforks")?;
    let recording = record_command(&args, &[forks, "25".into(), sealed::on_host("short_life")?], LIMIT)?;

    let report = recording.only()?;
    report.must_be_complete()?;
    let mut kinds = BTreeMap::<String, u64>::new();
    for line in std::fs::read_to_string(&file)?.lines() {
        let event: Value = serde_json::from_str(line).with_context(|| format!("{line:?}"))?;
        let kind = event["payload"]["kind"].as_str().with_context(|| format!("no kind: {line}"))?;
        *kinds.entry(kind.to_owned()).or_default() += 1;
    }
    assert_eq!(kinds.get("exec").copied(), Some(report.tree_total("total_execs")?));
    assert_eq!(kinds.get("exec").copied(), Some(26));
    assert_eq!(kinds.get("exit").copied(), Some(26));
    assert_eq!(kinds.get("fork").copied(), Some(25));
    ensure!(!kinds.contains_key("syscall"), "one event per call was not asked for");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn events_as_csv_have_one_line_each() -> Result<()> {
    need!("gcc");
    let _alone = alone()?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("events.csv");
    let args = ["--events".to_owned(), file.display().to_string()];

    let recording = record_command(&args, &[sealed::on_host("forks")?, "25".into(), "1".into()], LIMIT)?;

    recording.only()?.must_be_complete()?;
    let text = std::fs::read_to_string(&file)?;
    let header: Vec<&str> = text.lines().next().context("no header")?.split(',').collect();
    let kind = header.iter().position(|column| *column == "kind").context("no column kind")?;
    let of_kind = |wanted: &str| text.lines().skip(1).filter(|line| line.split(',').nth(kind) == Some(wanted)).count();
    assert_eq!((of_kind("fork"), of_kind("exit"), of_kind("exec")), (25, 26, 1));
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn the_stream_of_calls_has_one_event_per_call_and_obeys_its_filters() -> Result<()> {
    need!("gcc");
    let _alone = alone()?;
    let folder = tempfile::tempdir()?;
    let exact = sealed::on_host("exact")?;
    let cases: [(&[&str], &[&str], usize); 4] = [
        (&["--syscall", "getppid"], &["getppid", "50"], 50),
        (&["--syscall", "read", "--failed"], &["half", "50"], 25),
        (&["--comm", "nobody"], &["getppid", "50"], 0),
        (&["--syscall", "getppid", "--max-events", "10"], &["getppid", "50"], 10),
    ];
    for (at, (filters, arguments, expected)) in cases.into_iter().enumerate() {
        let file = folder.path().join(format!("{at}.ndjson"));
        let mut args = vec!["--trace-syscalls".to_owned(), "--events".into(), file.display().to_string()];
        args.extend(filters.iter().map(|filter| (*filter).to_owned()));
        let command: Vec<&str> = std::iter::once(exact.as_str()).chain(arguments.iter().copied()).collect();
        let recording = record_command(&args, &command, LIMIT)?;
        ensure!(recording.status.success(), "{filters:?}: {}: {}", recording.status, recording.stderr);

        let text = std::fs::read_to_string(&file)?;
        let calls = text.lines().filter(|line| line.contains("\"kind\":\"syscall\"")).count();
        assert_eq!(calls, expected, "{filters:?}");
    }
    Ok(())
}
