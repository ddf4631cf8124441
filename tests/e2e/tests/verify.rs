//! Proofs: what is recommended is proved, what is missing is told, and what proves nothing says so.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::bundle::Bundle;
use e2e::command::{Finished, command, finish, must_within};
use e2e::engines::{Docker, Engine, Podman};
use e2e::machine::{alone, free_port, unique_name};
use e2e::overlay::Overlay;
use e2e::programs::program;
use e2e::recorder::{beside, ringfence};
use e2e::reports::list;
use e2e::runtime::Runtime;
use e2e::workloads::{self, BUSYBOX_IMAGE, DEBIAN_IMAGE, Workload};
use e2e::{need, rootfs};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(400);

fn read(path: &Path) -> Result<Value> {
    let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is no JSON", path.display()))
}

/// Runs `ringfence ARGS`, which must end with this code.
fn run(code: i32, args: &[&str]) -> Result<Finished> {
    let finished = ringfence(args, LIMIT)?;
    ensure!(
        finished.status.code() == Some(code),
        "{args:?} ended with {}: {}{}",
        finished.status,
        finished.stdout(),
        finished.stderr()
    );
    Ok(finished)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// A proof that proves something: every start worked, nothing was denied, and both controls did what they must.
fn must_prove(proof: &Value, starts: u64, settings: usize) -> Result<()> {
    ensure!(proof["verdict"] == "proved", "{proof:#}");
    ensure!(list(&proof["settings"]).len() == settings, "{proof:#}");
    for setting in list(&proof["settings"]) {
        ensure!(setting["starts"] == starts && setting["worked"] == starts, "{setting:#}");
        ensure!(setting["not_observed"] == 0 && setting["denials"].is_null(), "{setting:#}");
    }
    ensure!(proof["needed"]["missed"].is_string(), "{:#}", proof["needed"]);
    let refused = list(&proof["refused"]["refused"]);
    for call in ["bpf", "mount", "ptrace", "unshare"] {
        ensure!(refused.contains(&json!(call)), "{call}: {:#}", proof["refused"]);
    }
    Ok(())
}

/// A bundle of a workload that ends by itself.
fn bundle(workload: &Workload, overlay: &Overlay) -> Result<Bundle> {
    let bundle = Bundle::new(&overlay.root(), &workload.args)?.bind(workload.folder(), workloads::INSIDE);
    bundle.write()?;
    Ok(bundle)
}

#[test]
#[ignore = "needs root"]
fn a_bundle_is_hardened_and_proved_with_both_settings_on_both_runtimes() -> Result<()> {
    need!("runc", "crun", "busybox", "mmdebstrap");
    let _alone = alone()?;
    for name in ["runc", "crun"] {
        let runtime = Runtime::new(name)?;
        let workload = Workload::new("python3")?;
        let overlay = Overlay::above(&workload.rootfs()?.folder)?;
        let bundle = bundle(&workload, &overlay)?;
        let before = std::fs::read(bundle.file("config.json"))?;
        let out = tempfile::tempdir()?;
        let (words, folder) = (runtime.words(), text(bundle.folder()));
        let start = ["--engine", name, "--client", &words, "--bundle", &folder];

        run(0, &[&["harden", "--runs", "4", "--starts", "2", "--out", &text(out.path())][..], &start].concat())
            .with_context(|| name)?;

        must_prove(&read(&out.path().join("proof.json"))?, 4, 1).with_context(|| name)?;
        ensure!(std::fs::read(bundle.file("config.json"))? == before, "{name}: the bundle was changed");
        // The folder holds what it says: the profile is that of the recommendation, and the reports give it again.
        let recommendation = read(&out.path().join("recommendation.json"))?;
        ensure!(recommendation["no_new_privileges"] == true, "nothing gains rights: {recommendation:#}");
        let at = |file: &str| text(&out.path().join(file));
        let again = run(
            0,
            &[
                "recommend",
                &at("report-1.json"),
                &at("report-2.json"),
                "--no-new-privileges",
                "yes",
                "--target",
                "seccomp",
            ],
        )?;
        ensure!(serde_json::from_slice::<Value>(&again.stdout)? == read(&out.path().join("seccomp.json"))?, "{name}");

        // Without the setting the runtime needs more, and both work.
        let without = run(
            0,
            &["recommend", &at("report-1.json"), &at("report-2.json"), "--no-new-privileges", "no", "--format", "json"],
        )?;
        std::fs::write(out.path().join("without.json"), &without.stdout)?;
        let proof = at("proof-2.json");
        let more = ["verify", &at("without.json"), "--runs", "3", "--no-new-privileges", "both", "--out", &proof];
        run(0, &[&more[..], &start].concat()).with_context(|| name)?;
        must_prove(&read(Path::new(&proof))?, 3, 2).with_context(|| name)?;
    }
    Ok(())
}

/// Takes calls out of a recommendation.
fn without(recommendation: &Path, calls: &[&str], to: &Path) -> Result<()> {
    let mut less = read(recommendation)?;
    let allowed = less["seccomp"]["allowed"].as_array_mut().context("calls")?;
    let before = allowed.len();
    allowed.retain(|call| !calls.iter().any(|name| call["name"] == *name));
    ensure!(allowed.len() < before, "none of {calls:?} is allowed anyway");
    Ok(std::fs::write(to, less.to_string())?)
}

#[test]
#[ignore = "needs root"]
fn what_a_recommendation_lacks_is_told_with_its_program_and_its_harm_and_is_added() -> Result<()> {
    need!("runc", "busybox");
    let _alone = alone()?;
    let runtime = Runtime::new("runc")?;
    let overlay = Overlay::above(&rootfs::busybox()?.folder)?;
    // The directory that is not made harms nobody; without a new process nothing goes on.
    let script = "mkdir /tmp/d; ls / > /tmp/list || exit 3; cat /tmp/list > /dev/null; (exit 0)";
    let bundle = Bundle::new(&overlay.root(), &["/bin/sh", "-c", script])?;
    bundle.write()?;
    let out = tempfile::tempdir()?;
    let (words, folder) = (runtime.words(), text(bundle.folder()));
    let start = ["--engine", "runc", "--client", &words, "--bundle", &folder];
    run(0, &[&["harden", "--runs", "2", "--out", &text(out.path())][..], &start].concat())?;
    let whole = out.path().join("recommendation.json");
    let at = |file: &str| text(&out.path().join(file));

    without(&whole, &["mkdir", "mkdirat"], &out.path().join("harmless.json"))?;
    let more = ["--runs", "2", "--out", &at("proof.json"), "--amended", &at("amended.json")];
    let said = run(1, &[&["verify", &at("harmless.json")][..], &more, &start].concat())?;
    ensure!(said.stdout().starts_with("WORKS, WITH DENIALS\n"), "{}", said.stdout());
    let proof = read(Path::new(&at("proof.json")))?;
    ensure!(proof["verdict"] == "works-with-denials", "{proof:#}");
    let denials = list(&proof["settings"][0]["denials"]);
    ensure!(denials.len() == 1, "{denials:#?}");
    let expected = json!({"denied": "call", "call": denials[0]["call"], "phase": "main", "program": "/bin/busybox",
        "count": "2", "starts": 2, "failed_starts": 0});
    ensure!(
        denials[0] == expected && denials[0]["call"].as_str().is_some_and(|call| call.starts_with("mkdir")),
        "{denials:#?}"
    );

    // What was denied is in the amended one, which is proved; and its proof is of it alone.
    run(0, &[&["verify", &at("amended.json"), "--runs", "2", "--out", &at("proof-2.json")][..], &start].concat())?;
    let amended = read(Path::new(&at("proof-2.json")))?;
    must_prove(&amended, 2, 1)?;
    ensure!(amended["recommendation_sha256"] != proof["recommendation_sha256"], "{amended:#}");

    without(&whole, &["clone", "clone3", "fork", "vfork"], &out.path().join("harmful.json"))?;
    let said = run(1, &[&["verify", &at("harmful.json")][..], &more, &start].concat())?;
    ensure!(said.stdout().starts_with("FAILED\n"), "{}", said.stdout());
    let proof = read(Path::new(&at("proof.json")))?;
    let denials = list(&proof["settings"][0]["denials"]);
    ensure!(proof["verdict"] == "failed" && denials.iter().any(|one| one["failed_starts"] == 2), "{proof:#}");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_capability_that_is_used_and_not_needed_is_told_apart_from_one_that_is() -> Result<()> {
    need!("runc", "busybox");
    let _alone = alone()?;
    let runtime = Runtime::new("runc")?;
    let overlay = Overlay::above(&rootfs::busybox()?.folder)?;
    // Nobody looks whether the owner is changed; the signal to another user's process must arrive.
    let script = "echo x > /tmp/x; chown 7:7 /tmp/x; touch /tmp/y; chown 8 /tmp/y && rm /tmp/y; \
                  mknod /tmp/n c 1 3 || exit 4";
    let bundle = Bundle::new(&overlay.root(), &["/bin/sh", "-c", script])?;
    bundle.write()?;
    let out = tempfile::tempdir()?;
    let (words, folder) = (runtime.words(), text(bundle.folder()));
    let start = ["--engine", "runc", "--client", &words, "--bundle", &folder];
    run(0, &[&["harden", "--runs", "2", "--out", &text(out.path())][..], &start].concat())?;

    let at = |file: &str| text(&out.path().join(file));
    let more = ["--runs", "1", "--minimise=2", "--out", &at("proof.json")];
    run(0, &[&["verify", &at("recommendation.json")][..], &more, &start].concat())?;

    let proof = read(Path::new(&at("proof.json")))?;
    let of = |name: &str| list(&proof["capabilities"]).iter().find(|one| one["capability"] == name);
    let (chown, mknod) = (of("CAP_CHOWN").context("chown")?, of("CAP_MKNOD").context("mknod")?);
    ensure!(chown["failed"] == 0 && chown["starts"] == 2, "{chown:#}");
    ensure!(mknod["failed"] == 1 && mknod["how"].as_str().is_some_and(|how| how.contains("status 4")), "{mknod:#}");
    Ok(())
}

/// What a user does: harden an image, paste the flags.
#[test]
#[ignore = "needs root"]
fn docker_runs_a_server_with_what_harden_wrote_for_its_image() -> Result<()> {
    need!("dockerd", "runc", "mmdebstrap", "busybox");
    let _alone = alone()?;
    let docker = Docker::start()?;
    docker.import(&rootfs::debian()?, DEBIAN_IMAGE)?;
    let (work, out, port) = (tempfile::tempdir()?, tempfile::tempdir()?, free_port()?);
    let config = format!(
        "daemon off;\npid /tmp/nginx.pid;\nerror_log /tmp/error.log;\nevents {{ }}\n\
         http {{ access_log /tmp/access.log; server {{ listen 127.0.0.1:{port}; location = / {{ return 200 hello; }} }} }}\n"
    );
    std::fs::write(work.path().join("nginx.conf"), config)?;
    let options = format!("--network host --volume {}:/work", work.path().display());
    let check =
        format!("test \"$(busybox wget -qO- http://127.0.0.1:{port}/)\" = hello && test -d /proc/$RINGFENCE_PID");
    let client = docker.words();
    let args = [
        "harden",
        DEBIAN_IMAGE,
        "--engine",
        "docker",
        "--client",
        &client,
        "--run-options",
        &options,
        "--check",
        &check,
        "--starts",
        "2",
        "--runs",
        "3",
        "--out",
        &text(out.path()),
        "--",
        "/usr/sbin/nginx",
        "-c",
        "/work/nginx.conf",
    ];
    run(0, &args)?;
    let proof = read(&out.path().join("proof.json"))?;
    must_prove(&proof, 3, 1)?;
    ensure!(proof["workload"]["engine"]["name"] == "docker" && proof["workload"]["image_id"].is_string(), "{proof:#}");
    ensure!(proof["check"] == check.as_str(), "{proof:#}");
    ensure!(docker.docker(&["ps", "--all", "--quiet"])?.is_empty(), "containers are left behind");

    let name = unique_name("rf-e2e");
    let flags = std::fs::read_to_string(out.path().join("flags"))?;
    let pasted = format!(
        "{client} run --detach --name {name} {options} {} {DEBIAN_IMAGE} /usr/sbin/nginx -c /work/nginx.conf",
        flags.trim()
    );
    must_within(&mut command("sh", ["-c", &pasted]), LIMIT)?;
    let asked =
        format!("for i in $(seq 100); do busybox wget -qO- http://127.0.0.1:{port}/ && exit; sleep 0.1; done; exit 1");
    ensure!(must_within(&mut command("sh", ["-c", &asked]), LIMIT)? == "hello");
    let status = std::fs::read_to_string(format!(
        "/proc/{}/status",
        docker.docker(&["inspect", "--format", "{{.State.Pid}}", &name])?.trim()
    ))?;
    ensure!(status.contains("Seccomp:\t2") && status.contains("NoNewPrivs:\t1"), "{status}");

    // Another one like it: same image, command and volumes.
    let at = |file: &str| text(&out.path().join(file));
    std::fs::write(
        work.path().join("nginx.conf"),
        std::fs::read_to_string(work.path().join("nginx.conf"))?.replace(&port.to_string(), &free_port()?.to_string()),
    )?;
    let args =
        ["verify", &at("recommendation.json"), "--client", &client, "--container", &name, "--runs", "1", "--for", "2s"];
    let finished = ringfence(&args, LIMIT)?;
    ensure!(finished.status.code().is_some_and(|code| code < 2), "{}{}", finished.stdout(), finished.stderr());
    ensure!(finished.stdout().contains("it works if it runs until it is stopped"), "{}", finished.stdout());
    docker.remove(&name)
}

/// As it was recorded, and without any other option.
#[test]
#[ignore = "needs root"]
fn a_recommendation_is_proved_at_once_by_the_engine_that_was_recorded() -> Result<()> {
    need!("dockerd", "runc", "busybox");
    let _alone = alone()?;
    let docker = Docker::start()?;
    docker.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let out = tempfile::tempdir()?;
    let usual = || beside(&docker.socket(), "docker.sock");
    let (mut harden, folder) = (usual()?, text(out.path()));
    harden.args(["harden", BUSYBOX_IMAGE, "--starts", "1", "--runs", "1", "--out", &folder]);
    must_within(harden.args(["--", "sh", "-c", "ls / > /dev/null"]), LIMIT)?;

    let mut prove = usual()?;
    let said = must_within(prove.args(["recommend", &format!("{folder}/report-1.json"), "--prove=2"]), LIMIT)?;

    ensure!(said.starts_with("RECOMMENDATION") && said.contains("\nPROVED\n"), "{said}");
    ensure!(docker.docker(&["ps", "--all", "--quiet"])?.is_empty(), "containers are left behind");

    // Half of the starts are of another image that has the name by then.
    docker.import(&rootfs::busybox()?, "ringfence.test/other:1")?;
    let moves = format!("{} tag ringfence.test/other:1 {BUSYBOX_IMAGE}", docker.words());
    let mut verify = usual()?;
    verify.args(["verify", &format!("{folder}/recommendation.json"), "--runs", "1", "--check", &moves]);
    let finished = finish(&mut verify, LIMIT)?;
    ensure!(finished.stdout().contains("the image's name stood for another image in the end"), "{}", finished.stdout());
    ensure!(finished.status.code() == Some(1), "{}", finished.status);
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn podman_runs_a_threaded_program_with_what_harden_wrote() -> Result<()> {
    need!("podman", "runc", "gcc", "busybox");
    let _alone = alone()?;
    let podman = Podman::new("runc")?;
    podman.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let (work, out) = (tempfile::tempdir()?, tempfile::tempdir()?);
    std::fs::copy(program("workload")?, work.path().join("workload"))?;
    let options = format!(
        "--network host --ulimit nofile=4096:4096 --ulimit nproc=4096:4096 --volume {}:/work",
        work.path().display()
    );
    let client = podman.words();
    let args = [
        "harden",
        BUSYBOX_IMAGE,
        "--engine",
        "podman",
        "--client",
        &client,
        "--run-options",
        &options,
        "--starts",
        "2",
        "--runs",
        "3",
        "--out",
        &text(out.path()),
        "--",
        "/work/workload",
        "/tmp",
    ];
    run(0, &args)?;

    must_prove(&read(&out.path().join("proof.json"))?, 3, 1)?;
    let flags = std::fs::read_to_string(out.path().join("flags"))?;
    let pasted = format!("{client} run --rm {options} {} {BUSYBOX_IMAGE} /work/workload /tmp", flags.trim());
    must_within(&mut command("sh", ["-c", &pasted]), LIMIT)?;
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn what_cannot_be_proved_is_refused_with_the_reason() -> Result<()> {
    need!("runc", "busybox");
    let _alone = alone()?;
    let runtime = Runtime::new("runc")?;
    let overlay = Overlay::above(&rootfs::busybox()?.folder)?;
    let bundle = Bundle::new(&overlay.root(), &["/bin/sh", "-c", "ls / > /dev/null"])?;
    bundle.write()?;
    let out = tempfile::tempdir()?;
    let (words, folder) = (runtime.words(), text(bundle.folder()));
    let start = ["--engine", "runc", "--client", &words, "--bundle", &folder];
    run(0, &[&["harden", "--runs", "1", "--starts", "1", "--out", &text(out.path())][..], &start].concat())?;
    let whole = out.path().join("recommendation.json");
    let refused = |args: &[&str], why: &str| -> Result<()> {
        let said = run(2, &[args, &start].concat())?.stderr();
        ensure!(said.contains(why), "{said}");
        Ok(())
    };
    let at = |file: &str| text(&out.path().join(file));

    refused(&["verify", &at("recommendation.json"), "--check", "echo broken; false", "--ready", "1s"], "broken")?;
    without(&whole, &["execve", "execveat"], &out.path().join("less.json"))?;
    refused(&["verify", &at("less.json")], "does not allow execve")?;
    std::fs::write(out.path().join("cut.json"), &std::fs::read(&whole)?[..200])?;
    refused(&["verify", &at("cut.json")], "is no recommendation that can be proved")?;
    refused(&["verify", &at("report-1.json")], "is no recommendation that can be proved")?;
    let nowhere = OsString::from("/nowhere/at/all");
    let said = run(
        2,
        &["verify", &at("recommendation.json"), "--engine", "runc", "--bundle", nowhere.to_str().context("text")?],
    )?;
    ensure!(said.stderr().contains("cannot use the bundle /nowhere/at/all"), "{}", said.stderr());
    Ok(())
}
