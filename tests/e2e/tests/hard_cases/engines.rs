//! Hard cases that only an engine makes. The call that is counted is one that the engines' seccomp profiles allow: what
//! they deny is never entered.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::command::{is_gone, wait_until};
use e2e::engines::{Containerd, Docker, Engine, Podman, Wish};
use e2e::machine::{alone, unique_name};
use e2e::need;
use e2e::programs::program;
use e2e::recorder::Recorder;
use e2e::rootfs;
use e2e::workloads::BUSYBOX_IMAGE;

const LIMIT: Duration = Duration::from_secs(30);

/// A folder with the program that makes exactly N calls, to be mounted at `/programs`.
fn programs() -> Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new().prefix("ringfence-programs").tempdir()?;
    std::fs::copy(program("exact")?, folder.path().join("exact"))?;
    Ok(folder)
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn docker() -> Result<Docker> {
    let docker = Docker::start()?;
    docker.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    Ok(docker)
}

#[test]
#[ignore = "needs root"]
fn docker_gives_a_container_its_name_image_labels_and_command() -> Result<()> {
    need!("gcc", "dockerd", "docker", "ip", "busybox");
    let _alone = alone()?;
    let (docker, programs) = (docker()?, programs()?);
    let name = unique_name("rf-e2e");
    let recorder = Recorder::start_beside(&docker.socket(), "docker.sock", &["--all"])?;

    let args = words("/programs/exact getppid 5");
    let mounts = [(programs.path(), "/programs")];
    let more = ["--label", "team=blue"];
    let started = docker.run(&Wish { name: &name, image: BUSYBOX_IMAGE, args: &args, mounts: &mounts, more: &more })?;
    docker.docker(&["wait", &name])?;
    docker.remove(&name)?;
    let recording = recorder.stop()?;

    let report = recording.of(&started.id)?;
    report.must_be_complete()?;
    assert_eq!(report.container("engine"), "docker");
    assert_eq!(report.container("name"), name);
    assert_eq!(report.container("image"), BUSYBOX_IMAGE);
    assert_eq!(report.json["container"]["labels"]["team"], "blue");
    let command: Vec<_> = e2e::reports::list(&report.json["container"]["command"]).to_vec();
    assert_eq!(command, ["/programs/exact", "getppid", "5"]);
    assert_eq!(report.count("main", "getppid")?, 5);
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn containerd_gives_a_container_its_name_and_image() -> Result<()> {
    need!("gcc", "containerd", "ctr", "busybox");
    let _alone = alone()?;
    let (containerd, programs) = (Containerd::start()?, programs()?);
    containerd.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let name = unique_name("rf-e2e");
    let recorder = Recorder::start_beside(&containerd.socket(), "containerd/containerd.sock", &["--all"])?;

    let args = words("/programs/exact getppid 5");
    let mounts = [(programs.path(), "/programs")];
    let started =
        containerd.run(&Wish { name: &name, image: BUSYBOX_IMAGE, args: &args, mounts: &mounts, more: &[] })?;
    wait_until("the container ends", LIMIT, || Ok(is_gone(started.pid)))?;
    containerd.remove(&name)?;
    let recording = recorder.stop()?;

    let report = recording.of(&name)?;
    report.must_be_complete()?;
    assert_eq!(report.container("engine"), "containerd");
    assert_eq!(report.container("image"), BUSYBOX_IMAGE);
    assert_eq!(report.count("main", "getppid")?, 5);
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn an_init_of_the_engine_is_part_of_main() -> Result<()> {
    need!("gcc", "dockerd", "docker", "docker-init", "ip", "busybox");
    let _alone = alone()?;
    let (docker, programs) = (docker()?, programs()?);
    let name = unique_name("rf-e2e");
    let recorder = Recorder::start(&["--all"])?;

    let args = words("/programs/exact getppid 40");
    let mounts = [(programs.path(), "/programs")];
    let started =
        docker.run(&Wish { name: &name, image: BUSYBOX_IMAGE, args: &args, mounts: &mounts, more: &["--init"] })?;
    docker.docker(&["wait", &name])?;
    docker.remove(&name)?;
    let recording = recorder.stop()?;

    let report = recording.of(&started.id)?;
    report.must_be_complete()?;
    assert_eq!(report.count("main", "getppid")?, 40);
    assert_eq!(report.count("main", "execve")?, 2, "the init's and the workload's");
    let executables: Vec<_> = report.programs().iter().filter_map(|program| program["executable"].as_str()).collect();
    ensure!(executables.contains(&"/sbin/docker-init"), "{executables:?}");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn docker_exec_is_the_phase_exec() -> Result<()> {
    need!("gcc", "dockerd", "docker", "ip", "busybox");
    let _alone = alone()?;
    let (docker, programs) = (docker()?, programs()?);
    let name = unique_name("rf-e2e");
    let recorder = Recorder::start_beside(&docker.socket(), "docker.sock", &[name.as_str()])?;

    let args = words("/bin/sleep 60");
    let mounts = [(programs.path(), "/programs")];
    let started = docker.run(&Wish { name: &name, image: BUSYBOX_IMAGE, args: &args, mounts: &mounts, more: &[] })?;
    docker.docker(&["exec", &name, "/programs/exact", "getppid", "19"])?;
    docker.remove(&name)?;
    let recording = recorder.stop()?;

    let report = recording.of(&started.id)?;
    report.must_be_complete()?;
    assert_eq!((report.count("exec", "getppid")?, report.count("main", "getppid")?), (19, 0));
    assert_eq!((report.count("exec", "execve")?, report.count("main", "execve")?), (1, 1));
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_restarted_docker_container_has_a_report_for_each_run() -> Result<()> {
    need!("gcc", "dockerd", "docker", "ip", "busybox");
    let _alone = alone()?;
    let (docker, programs) = (docker()?, programs()?);
    let name = unique_name("rf-e2e");
    let recorder = Recorder::start(&["--all"])?;

    let args = words("/programs/exact getppid 6");
    let mounts = [(programs.path(), "/programs")];
    let started = docker.run(&Wish { name: &name, image: BUSYBOX_IMAGE, args: &args, mounts: &mounts, more: &[] })?;
    docker.docker(&["wait", &name])?;
    docker.docker(&["start", &name])?;
    docker.docker(&["wait", &name])?;
    docker.remove(&name)?;
    let recording = recorder.stop()?;

    let reports = recording.all_of(&started.id);
    assert_eq!(reports.len(), 2);
    for report in reports {
        report.must_be_complete()?;
        assert_eq!(report.count("main", "getppid")?, 6);
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_pod_of_podman_is_its_containers_and_no_conmon() -> Result<()> {
    need!("gcc", "podman", "runc", "busybox");
    let _alone = alone()?;
    let (podman, programs) = (Podman::new("runc")?, programs()?);
    podman.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let (pod, name) = (unique_name("rf-e2e-pod"), unique_name("rf-e2e"));
    let recorder = Recorder::start(&["--all"])?;

    podman.podman(&["pod", "create", "--infra=false", "--name", &pod])?;
    let volume = format!("{}:/programs", programs.path().display());
    let limits = ["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"];
    let mut run = vec!["run", "--network", "host", "--pod", &pod, "--name", &name, "--volume", &volume];
    run.extend(limits);
    run.extend([BUSYBOX_IMAGE, "/programs/exact", "getppid", "8"]);
    podman.podman(&run)?;
    let id = podman.podman(&["inspect", "--format", "{{.Id}}", &name])?;
    podman.podman(&["pod", "rm", "--force", &pod])?;
    let recording = recorder.stop()?;

    let report = recording.of(id.trim())?;
    report.must_be_complete()?;
    assert_eq!(report.count("main", "getppid")?, 8);
    assert_eq!(report.container("engine"), "podman");
    let conmon = recording.reports.iter().find(|report| report.cgroup_path().contains("conmon"));
    ensure!(conmon.is_none(), "conmon is no container: {:?}", conmon.map(|report| report.cgroup_path().to_owned()));
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_container_inside_a_container_has_a_report_that_names_its_parent() -> Result<()> {
    need!("gcc", "dockerd", "docker", "runc", "ip", "busybox");
    let _alone = alone()?;
    let docker = docker()?;
    let inner = tempfile::Builder::new().prefix("ringfence-inner").tempdir()?;
    let inner_id = unique_name("rf-inner");
    inner_bundle(inner.path(), &inner_id)?;
    let name = unique_name("rf-e2e");
    let recorder = Recorder::start(&["--all"])?;

    let script = format!("runc --root /inner/state run --bundle /inner {inner_id}");
    let args = ["/bin/sh".to_owned(), "-c".into(), script];
    let mounts = [(inner.path(), "/inner"), (std::path::Path::new("/sys/fs/cgroup"), "/sys/fs/cgroup")];
    let more = [
        ["--cap-add", "ALL"],
        ["--cap-drop", "SYS_RESOURCE"],
        ["--security-opt", "seccomp=unconfined"],
        ["--security-opt", "systempaths=unconfined"],
        // The host's runc, with the libraries that it needs.
        ["--volume", "/usr:/usr:ro"],
        ["--volume", "/lib:/lib:ro"],
        ["--volume", "/lib64:/lib64:ro"],
    ]
    .concat();
    let started = docker.run(&Wish { name: &name, image: BUSYBOX_IMAGE, args: &args, mounts: &mounts, more: &more })?;
    let status = docker.docker(&["wait", &name])?;
    let said = docker.try_docker(&["logs", &name])?;
    docker.remove(&name)?;
    let recording = recorder.stop()?;

    ensure!(status.trim() == "0", "the inner container: {}{}", said.stdout(), said.stderr());
    let outer = recording.of(&started.id)?;
    let inner = recording.of(&inner_id)?;
    // The shell outside asks once, for its variable PPID.
    assert_eq!((inner.count("main", "getppid")?, outer.count("main", "getppid")?), (12, 1));
    assert_eq!(inner.json["container"]["parent"]["run"], outer.json["container"]["run"]);
    Ok(())
}

/// A bundle that a container can run.
fn inner_bundle(folder: &std::path::Path, id: &str) -> Result<()> {
    let root = folder.join("rootfs");
    for place in ["bin", "proc", "dev", "tmp"] {
        std::fs::create_dir_all(root.join(place))?;
    }
    std::fs::copy(program("exact")?, root.join("bin/exact"))?;
    let bundle = e2e::bundle::Bundle::new(std::path::Path::new("rootfs"), &["/bin/exact", "getppid", "12"])?;
    let bundle = bundle.change(|config| {
        config["mounts"] = serde_json::json!([{"destination": "/proc", "type": "proc", "source": "proc"}]);
        config["process"].as_object_mut().map(|process| process.remove("rlimits"));
    });
    bundle.write()?;
    std::fs::copy(bundle.file("config.json"), folder.join("config.json"))
        .with_context(|| format!("the bundle of {id}"))?;
    Ok(())
}
