//! Containers that live short, lie about themselves, come again, or come in pods.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::bundle::Bundle;
use e2e::machine::{alone, unique_name};
use e2e::recorder::Recorder;
use e2e::reports::{list, number};
use e2e::runtime::Runtime;
use e2e::{need, sealed};

const LIMIT: Duration = Duration::from_secs(30);

#[test]
#[ignore = "needs root"]
fn a_container_of_less_than_ten_milliseconds_is_recorded_whole() -> Result<()> {
    need!("gcc", "runc", "crun", "busybox");
    let _alone = alone()?;
    for runtime in ["runc", "crun"] {
        let id = unique_name("rf-e2e");
        let recording = sealed::record_one(runtime, &["short_life"], &["/bin/short_life"], &id)?;

        let report = recording.of(&id)?;
        report.must_be_complete()?;
        ensure!(report.from_start(), "{runtime}: its start was not seen");
        assert_eq!(report.count("main", "execve")?, 1, "{runtime}");
        assert_eq!(report.count("main", "exit_group")?, 1, "{runtime}");
        let lived = report.processes().iter().find_map(|process| {
            let program =
                list(&process["programs"]).iter().find(|program| program["executable"] == "/bin/short_life")?;
            Some(number(&process["ended_boot_ns"]).ok()? - number(&program["boot_ns"]).ok()?)
        });
        let lived = lived.with_context(|| format!("{runtime}: no program /bin/short_life"))?;
        ensure!(lived < 10_000_000, "{runtime}: it lived {lived} ns, which proves nothing");
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_workload_that_calls_itself_runc_is_still_the_workload() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    for name in ["runc", "runc:[2:INIT]", "crun", "conmon"] {
        let id = unique_name("rf-e2e");
        let recording = sealed::record_one("runc", &["rename"], &["/bin/rename", name, "500"], &id)?;

        let report = recording.of(&id)?;
        report.must_be_complete()?;
        let entry = report.entry("main", e2e::reports::NATIVE, "getppid")?.context("no getppid in main")?;
        assert_eq!(entry.count, 500, "{name}");
        assert_eq!(entry.first_comm.as_deref(), Some(name));
        assert_eq!(entry.first_executable.as_deref(), Some("/bin/rename"));
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn two_hundred_containers_one_after_another_are_never_mixed_up() -> Result<()> {
    need!("gcc", "crun", "busybox");
    let _alone = alone()?;
    let overlay = sealed::root_with(&["exact"])?;
    let runtime = Runtime::new("crun")?;
    let recorder = Recorder::start(&["--all"])?;
    let mut runs = Vec::new();

    for calls in 1..=220_u64 {
        let calls = calls * 7 % 97 + 1;
        let id = unique_name("rf-e2e");
        let bundle = Bundle::new(&overlay.root(), &["/bin/exact", "unknown", &calls.to_string()])?;
        runtime.run(&bundle, &id, LIMIT)?;
        runs.push((id, calls));
    }
    let recording = recorder.stop()?;

    for (id, calls) in runs {
        let report = recording.of(&id)?;
        report.must_be_complete()?;
        assert_eq!(report.count("main", "nr 999")?, calls, "{id}");
        assert_eq!(report.count("main", "execve")?, 1, "{id}");
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_container_that_runs_again_under_its_id_has_a_report_for_each_run() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    let overlay = sealed::root_with(&["exact"])?;
    let runtime = Runtime::new("runc")?;
    let id = unique_name("rf-e2e");
    let recorder = Recorder::start(&[id.as_str()])?;

    for calls in ["10", "20", "30"] {
        runtime.run(&Bundle::new(&overlay.root(), &["/bin/exact", "unknown", calls])?, &id, LIMIT)?;
    }
    let recording = recorder.stop()?;

    let mut counts = Vec::new();
    for report in recording.all_of(&id) {
        report.must_be_complete()?;
        counts.push(report.count("main", "nr 999")?);
    }
    counts.sort_unstable();
    assert_eq!(counts, [10, 20, 30]);
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn only_the_named_container_is_recorded() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    let overlay = sealed::root_with(&["exact"])?;
    let runtime = Runtime::new("runc")?;
    let (wanted, other) = (unique_name("rf-e2e-wanted"), unique_name("rf-e2e-other"));
    let recorder = Recorder::start(&[wanted.as_str()])?;

    for id in [&other, &wanted] {
        runtime.run(&Bundle::new(&overlay.root(), &["/bin/exact", "unknown", "5"])?, id, LIMIT)?;
    }
    let recording = recorder.stop()?;

    ensure!(recording.only()?.is_of(&wanted), "the only report is not about the wanted container");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn user_ids_are_told_inside_and_outside_of_a_user_namespace() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    let overlay = sealed::root_with(&["exact"])?;
    let bundle = Bundle::new(&overlay.root(), &["/bin/exact", "unknown", "9"])?.with_user_namespace(100_000);
    open_to_all(&[bundle.folder(), overlay.root().parent().context("a parent")?, &overlay.root()])?;
    let id = unique_name("rf-e2e");
    let recorder = Recorder::start(&["--all"])?;

    Runtime::new("runc")?.run(&bundle, &id, LIMIT)?;
    let recording = recorder.stop()?;

    let report = recording.of(&id)?;
    report.must_be_complete()?;
    assert_eq!(report.count("main", "nr 999")?, 9);
    let programs = report.programs();
    let program = programs.iter().find(|program| program["executable"] == "/bin/exact").context("no program")?;
    assert_eq!((program["uid"].as_u64(), program["gid"].as_u64()), (Some(100_000), Some(100_000)));
    assert_eq!((program["uid_inside"].as_u64(), program["gid_inside"].as_u64()), (Some(0), Some(0)));
    assert_eq!(program["pid_inside"].as_u64(), Some(1));
    let own = std::fs::read_link("/proc/self/ns/user")?.display().to_string();
    let named = program["user_namespace"].as_u64().context("no user namespace")?;
    assert!(!own.contains(&named.to_string()), "{named} is the host's");
    Ok(())
}

fn open_to_all(folders: &[&std::path::Path]) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    for folder in folders {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_pod_is_a_pause_container_and_its_containers_and_not_its_parent() -> Result<()> {
    need!("gcc", "runc", "busybox");
    let _alone = alone()?;
    let overlay = sealed::root_with(&["exact"])?;
    let runtime = Runtime::new("runc")?;
    let uid = format!("{:08x}-0000-4000-8000-00000000aaaa", std::process::id());
    let parent = format!("/kubepods/burstable/pod{uid}");
    let [pause_id, work_id] = ["a", "b"].map(|digit| format!("{:08x}{}", std::process::id(), digit.repeat(56)));
    let pause = Bundle::new(&overlay.root(), &["/bin/sleep", "60"])?
        .with_cgroup(&format!("{parent}/{pause_id}"))
        .change(|config| config["annotations"]["io.kubernetes.cri.container-type"] = "sandbox".into());
    let recorder = Recorder::start(&["--all"])?;

    let pause = runtime.create(&pause, &pause_id)?;
    pause.start()?;
    let work = Bundle::new(&overlay.root(), &["/bin/exact", "unknown", "31"])?
        .with_cgroup(&format!("{parent}/{work_id}"))
        .join_namespace("ipc", &format!("/proc/{}/ns/ipc", pause.pid()))
        .change(|config| config["annotations"]["io.kubernetes.cri.container-type"] = "container".into());
    runtime.run(&work, &work_id, LIMIT)?;
    pause.delete()?;
    let recording = recorder.stop()?;

    assert_eq!(recording.of(&work_id)?.count("main", "nr 999")?, 31);
    recording.of(&work_id)?.must_be_complete()?;
    assert_eq!(recording.of(&pause_id)?.count("main", "nr 999")?, 0);
    assert_eq!(recording.of(&work_id)?.json["container"]["pod"]["uid"], uid.as_str());
    ensure!(recording.all_of(&format!("pod{uid}")).is_empty(), "the pod's parent cgroup is no container");
    for folder in e2e::cgroups::hierarchies()? {
        let _ = std::fs::remove_dir(folder.0.join(parent.trim_start_matches('/')));
    }
    Ok(())
}
