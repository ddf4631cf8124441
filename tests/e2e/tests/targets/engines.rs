//! Targets that a container is started by: it does its work under them, and misses what is taken away.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::bundle::Bundle;
use e2e::command::{Finished, command, finish};
use e2e::consumers::{Written, newer, target};
use e2e::engines::{Containerd, Docker, Engine, Podman};
use e2e::machine::{alone, unique_name};
use e2e::overlay::Overlay;
use e2e::programs::program;
use e2e::recommended::{Recommended, Setting, Started};
use e2e::recorder::Recorder;
use e2e::reports::{NATIVE, Report};
use e2e::runtime::Runtime;
use e2e::workloads::{self, BUSYBOX_IMAGE};
use e2e::{need, rootfs};
use serde_json::Value;
use tempfile::TempDir;

const STEP: Duration = Duration::from_secs(120);
/// Needs CAP_CHOWN, and two directories that can be written.
const SCRIPT: &str = "echo x > /tmp/a && chown 5:5 /tmp/a && rm /tmp/a && echo y > /run/b && cat /run/b && echo worked";
const SAYS: &str = "y\nworked\n";

/// Runs the script with a target's words, and then with words that lack something, each of which must be missed.
fn works_and_misses(written: &Written, profile: &Path, run: impl Fn(&[&str]) -> Result<Finished>) -> Result<()> {
    let words = written.words();
    let confined = run(&words)?;
    let says = confined.stdout();
    ensure!(confined.status.success() && says == SAYS, "{words:?}: {says:?}: {}: {}", confined.stderr(), written.notes);

    let less = without_chown(profile)?;
    let profile = profile.display().to_string();
    let calls: Vec<String> = words.iter().map(|word| word.replace(&profile, &less)).collect();
    let calls: Vec<&str> = calls.iter().map(String::as_str).collect();
    let capability = match without(&words, "--cap-add", "CHOWN") {
        Ok(fewer) => fewer,
        // ctr takes away by name.
        Err(_) => [&words[..], &["--cap-drop", "CAP_CHOWN"]].concat(),
    };
    let writable =
        without(&words, "--tmpfs", "/tmp").or_else(|_| without(&words, "--mount", "type=tmpfs,src=tmpfs,dst=/tmp"))?;
    for (what, words) in [("chown(2)", calls), ("CAP_CHOWN", capability), ("a writable /tmp", writable)] {
        let missed = run(&words)?;
        ensure!(missed.stdout() != SAYS, "it works without {what}: {words:?}");
    }
    Ok(())
}

/// The words without this option and its value.
fn without<'w>(words: &[&'w str], option: &str, value: &str) -> Result<Vec<&'w str>> {
    let at = words.windows(2).position(|pair| pair[0] == option && pair[1].starts_with(value));
    let at = at.with_context(|| format!("{option} {value} is not in {words:?}"))?;
    Ok([&words[..at], &words[at + 2..]].concat())
}

/// The path of a profile beside this one that changes no owner.
fn without_chown(profile: &Path) -> Result<String> {
    let mut json: Value = serde_json::from_slice(&std::fs::read(profile)?)?;
    let mut found = 0;
    for rule in json["syscalls"].as_array_mut().context("rules")? {
        if rule["action"] == "SCMP_ACT_ALLOW" {
            let names = rule["names"].as_array_mut().context("names")?;
            let before = names.len();
            names.retain(|name| !["chown", "fchownat", "lchown"].contains(&name.as_str().unwrap_or_default()));
            found += before - names.len();
        }
    }
    ensure!(found > 0, "chown(2) is not allowed anyway");
    let path = profile.with_extension("less.json");
    std::fs::write(&path, json.to_string())?;
    Ok(path.display().to_string())
}

fn docker_run(docker: &Docker, name: &str, flags: &[&str]) -> Result<Finished> {
    let mut args = vec!["run", "--name", name, "--network", "none"];
    args.extend(flags);
    args.extend([BUSYBOX_IMAGE, "/bin/sh", "-c", SCRIPT]);
    docker.try_docker(&args)
}

/// An engine, what it was seen to do with the script, and the folder that the report is in.
fn recorded_by_docker() -> Result<(Docker, Report, TempDir)> {
    let docker = Docker::start()?;
    docker.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let recorder = Recorder::start_beside(&docker.socket(), "docker.sock", &["--all"])?;
    let name = unique_name("rf-e2e");
    let plain = docker_run(&docker, &name, &[])?;
    ensure!(plain.stdout() == SAYS, "without any target: {}", plain.stderr());
    let recording = recorder.stop()?;
    let report = recording.of(&name)?.clone();
    // The recording's folder ends with it.
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("report.json");
    std::fs::copy(&report.path, &path)?;
    Ok((docker, Report { path, ..report }, folder))
}

#[test]
#[ignore = "needs root"]
fn docker_takes_the_flags_and_misses_what_is_taken_away() -> Result<()> {
    need!("dockerd", "runc", "busybox");
    let _alone = alone()?;
    let (docker, report, _folder) = recorded_by_docker()?;
    let out = report.path.with_file_name("profile.json");
    let written = target(&report.path, "docker", &["--out".as_ref(), out.as_os_str()])?;
    works_and_misses(&written, &out, |flags| docker_run(&docker, &unique_name("rf-e2e"), flags))
}

/// Docker before version 23 does not pass the default's errno on: this profile has none, and the answer is yet ENOSYS.
#[test]
#[ignore = "needs root"]
fn docker_gives_enosys_by_a_profile_without_any_errno() -> Result<()> {
    need!("dockerd", "runc", "busybox", "gcc");
    let _alone = alone()?;
    let numbers = if NATIVE == "x86_64" { ["165", "425", "400"] } else { ["40", "425", "400"] };
    let (docker, report, _folder) = recorded_by_docker()?;
    let work = tempfile::tempdir()?;
    std::fs::copy(program("errnos")?, work.path().join("errnos"))?;
    let out = work.path().join("profile.json");
    target(&report.path, "docker", &["--oci-min".as_ref(), "1.0".as_ref(), "--out".as_ref(), out.as_os_str()])?;
    let profile = std::fs::read_to_string(&out)?;
    ensure!(!profile.contains("rrnoRet"), "{profile}");

    let mount = format!("{}:/work", work.path().display());
    let seccomp = format!("seccomp={}", out.display());
    let mut args = vec!["run", "--network", "none", "--volume", &mount, "--security-opt", &seccomp, BUSYBOX_IMAGE];
    args.push("/work/errnos");
    args.extend(numbers);
    let says = docker.docker(&args)?;

    let expected: String =
        numbers.iter().zip([1, 38, 38]).map(|(number, errno)| format!("{number} {errno}\n")).collect();
    ensure!(says == expected, "{says:?}, not {expected:?}");
    Ok(())
}

/// glibc goes on from what is denied there as it does from what a kernel lacks.
#[test]
#[ignore = "needs root"]
fn runc_and_crun_run_a_workload_by_a_profile_without_any_errno() -> Result<()> {
    need!("runc", "crun", "gcc", "mmdebstrap", "busybox");
    let _alone = alone()?;
    for runtime in ["runc", "crun"] {
        let started = Started::new("python3", Setting { runtime, no_new_privileges: false, uid: 0 })?;
        let runs = started.runs(None, 2)?;
        let reports = runs.reports()?;
        let mut recommended = Recommended::from(&reports)?;
        // Without the families: threads are then made by the clone(2) or clone3(2) that was seen, whichever is tried first.
        let more = ["--oci-min", "1.0", "--without-siblings"];
        let mut words: Vec<&std::ffi::OsStr> = more.iter().map(AsRef::as_ref).collect();
        words.push(reports[1].path.as_os_str());
        let written = target(&reports[0].path, "seccomp", &words)?;
        ensure!(!written.text.contains("rrnoRet") && written.text.contains("SCMP_ACT_TRACE"), "{}", written.text);
        recommended.profile = serde_json::from_str(&written.text)?;
        started.must_work(&recommended, 3).with_context(|| runtime)?;
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn podman_takes_the_flags_and_misses_what_is_taken_away() -> Result<()> {
    need!("podman", "runc", "busybox");
    let _alone = alone()?;
    let podman = Podman::new("runc")?;
    podman.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let run = |name: &str, flags: &[&str]| {
        let mut args = vec!["run", "--name", name, "--network", "none"];
        // Its own default is more than a user without CAP_SYS_RESOURCE may set.
        args.extend(["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"]);
        args.extend(flags);
        args.extend([BUSYBOX_IMAGE, "/bin/sh", "-c", SCRIPT]);
        podman.try_podman(&args)
    };
    let recorder = Recorder::start(&["--all"])?;
    let name = unique_name("rf-e2e");
    let plain = run(&name, &[])?;
    ensure!(plain.stdout() == SAYS, "without any target: {}", plain.stderr());
    let recording = recorder.stop()?;
    let id = podman.podman(&["inspect", "--format", "{{.Id}}", &name])?;
    let report = recording.of(id.trim())?;
    let out = recording.folder().join("profile.json");
    let written = target(&report.path, "podman", &["--out".as_ref(), out.as_os_str()])?;
    works_and_misses(&written, &out, |flags| {
        // Where something is taken away, podman's own tmpfs at /tmp must not stand in for it.
        let own: &[&str] = if flags == written.words() { &[] } else { &["--read-only-tmpfs=false"] };
        run(&unique_name("rf-e2e"), &[flags, own].concat())
    })
}

#[test]
#[ignore = "needs root"]
fn ctr_takes_the_flags_and_misses_what_is_taken_away() -> Result<()> {
    need!("containerd", "ctr", "runc", "busybox");
    let _alone = alone()?;
    let containerd = Containerd::start()?;
    containerd.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let run = |name: &str, flags: &[&str]| {
        let mut args = vec!["run", "--rm"];
        args.extend(flags);
        args.extend([BUSYBOX_IMAGE, name, "/bin/sh", "-c", SCRIPT]);
        containerd.try_ctr(&args)
    };
    let recorder = Recorder::start(&["--all"])?;
    let name = unique_name("rf-e2e");
    let plain = run(&name, &[])?;
    ensure!(plain.stdout() == SAYS, "without any target: {}", plain.stderr());
    let recording = recorder.stop()?;
    let report = recording.of(&name)?;
    let out = recording.folder().join("profile.json");
    let written = target(&report.path, "ctr", &["--out".as_ref(), out.as_os_str()])?;
    ensure!(written.words().contains(&"--read-only"), "{written:?}");
    works_and_misses(&written, &out, |flags| run(&unique_name("rf-e2e"), flags))
}

/// The file as a user merges it, with the compose of this release and of the next.
#[test]
#[ignore = "needs root"]
fn compose_merges_the_file_and_misses_what_is_taken_away() -> Result<()> {
    need!("dockerd", "runc", "busybox", "docker-compose", "mmdebstrap");
    let _alone = alone()?;
    let (docker, report, _folder) = recorded_by_docker()?;
    // A name that compose would take for a variable.
    let out = report.path.with_file_name("pro$file.json");
    let written = target(&report.path, "compose", &["--out".as_ref(), out.as_os_str()])?;
    let service = written.text.lines().skip_while(|line| *line != "services:").nth(1).context("a service")?.trim();
    let folder = report.path.parent().context("a folder")?;
    let base = format!(
        "services:\n  {service}\n    image: {BUSYBOX_IMAGE}\n    network_mode: none\n    command: [/bin/sh, -c, {}]\n",
        Value::from(SCRIPT)
    );
    std::fs::write(folder.join("base.yaml"), base)?;
    std::fs::write(folder.join("hardened.yaml"), &written.text)?;
    let without_tmp = written.text.replace("      - \"/tmp:", "      - \"/elsewhere:");
    let without_chown = written.text.replace("      - CHOWN\n", "      - AUDIT_WRITE\n");
    ensure!(without_tmp != written.text && without_chown != written.text, "{}", written.text);
    std::fs::write(folder.join("without-tmp.yaml"), without_tmp)?;
    std::fs::write(folder.join("without-chown.yaml"), without_chown)?;

    for compose in ["docker-compose".into(), newer("/usr/bin/docker-compose")?] {
        for (file, works) in [("hardened.yaml", true), ("without-tmp.yaml", false), ("without-chown.yaml", false)] {
            let run = |more: &[&str]| {
                let project = "rf-compose";
                let mut run = command(&compose, ["-p", project, "-f", "base.yaml", "-f", file]);
                run.args(more).current_dir(folder).env("DOCKER_HOST", format!("unix://{}", docker.socket().display()));
                finish(&mut run, STEP)
            };
            let up = run(&["up", "--abort-on-container-exit", "--exit-code-from", service.trim_end_matches(':')])?;
            let says = up.stdout() + &up.stderr();
            let down = run(&["down", "--volumes"])?;
            ensure!(down.status.success(), "{}", down.stderr());
            // Release 1 of compose does not end with the container's status.
            ensure!(says.contains("worked") == works, "{compose:?} {file}: {says}\n{}", written.text);
        }
    }
    Ok(())
}

/// The config.json of the bundle, as the runtimes take it.
#[test]
#[ignore = "needs root"]
fn runc_and_crun_take_the_changed_config_and_miss_what_is_taken_away() -> Result<()> {
    need!("runc", "crun", "busybox");
    let _alone = alone()?;
    for name in ["runc", "crun"] {
        let overlay = Overlay::above(&rootfs::busybox()?.folder)?;
        let runtime = Runtime::new(name)?;
        let bundle = || Bundle::new(&overlay.root(), &["/bin/sh", "-c", SCRIPT]);
        let id = unique_name("rf-e2e");
        let recorder = Recorder::start(&["--all"])?;
        runtime.run(&bundle()?, &id, workloads::LIMIT)?;
        let recording = recorder.stop()?;
        let report = recording.of(&id)?;

        let plain = bundle()?;
        plain.write()?;
        let config = plain.file("config.json");
        let more = ["--config".as_ref(), config.as_os_str(), "--out".as_ref(), config.as_os_str()];
        let written = target(&report.path, "oci", &more)?;
        ensure!(written.text.is_empty(), "{}", written.text);
        let changed: Value = serde_json::from_slice(&std::fs::read(&config)?)?;
        ensure!(changed["root"]["readonly"] == true, "{changed:#}: {}", written.notes);
        ensure!(changed["process"]["args"][2] == SCRIPT, "the rest stays: {changed:#}");

        let run = |config: Value| -> Result<String> {
            let bundle = bundle()?.change(|there| *there = config);
            let container = runtime.create(&bundle, &unique_name("rf-e2e"))?;
            container.start()?;
            container.wait(workloads::LIMIT)?;
            let says = container.stdout();
            container.delete()?;
            Ok(says)
        };
        ensure!(run(changed.clone())? == SAYS, "{name} does not run under {changed:#}");
        let mut capability = changed.clone();
        for set in ["bounding", "effective", "permitted"] {
            let set = capability["process"]["capabilities"][set].as_array_mut().context("a set")?;
            set.retain(|capability| capability != "CAP_CHOWN");
        }
        ensure!(run(capability)? != SAYS, "{name}: it works without CAP_CHOWN");
        let mut mount = changed.clone();
        mount["mounts"].as_array_mut().context("mounts")?.retain(|mount| mount["destination"] != "/run");
        ensure!(run(mount)? != SAYS, "{name}: it works without a writable /run: {changed:#}");
    }
    Ok(())
}
