//! A content that may not run in one container: under whatever name, and where each way that goes on is the one that is written down.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::blocking::{Blocking, Clean, Place, run, status};
use e2e::bundle::Bundle;
use e2e::command::{Finished, command, finish, must};
use e2e::engines::{Docker, Engine, Podman, Wish};
use e2e::machine::{alone, find_program, unique_name};
use e2e::overlay::Overlay;
use e2e::runtime::Runtime;
use e2e::workloads::BUSYBOX_IMAGE;
use e2e::{need, rootfs};

const STEP: Duration = Duration::from_secs(60);
const LOOKING: &str = "held back until their contents are known";

/// A program that is no other: busybox with something behind its end. Gives its content.
fn write_probe(path: &Path) -> Result<String> {
    let mut program = std::fs::read(find_program("busybox").context("no busybox")?)?;
    program.extend_from_slice(b"probe");
    std::fs::write(path, program)?;
    must(command("chmod", ["755"]).arg(path))?;
    hash_of(path)
}

fn hash_of(path: &Path) -> Result<String> {
    let said = must(command("sha256sum", [] as [&str; 0]).arg(path))?;
    Ok(format!("sha256:{}", said.split_whitespace().next().context("no hash")?))
}

fn works(said: &Finished) -> bool {
    said.stdout().trim() == "works"
}

/// Each way to run it: what it is, the command, and whether it runs all the same at the step `kill`.
const WAYS: [(&str, &str, bool); 13] = [
    ("its path", "exec -a echo /usr/bin/probe works", false),
    ("a copy", "cp /usr/bin/probe /root/copy; exec -a echo /root/copy works", false),
    ("renamed", "mv /root/copy /root/renamed; exec -a echo /root/renamed works", false),
    ("a hard link", "ln /usr/bin/probe /root/hard; exec -a echo /root/hard works", false),
    ("a symbolic link", "ln -s /usr/bin/probe /root/soft; exec -a echo /root/soft works", false),
    ("in a tmpfs", "cp /usr/bin/probe /tmp/copy; exec -a echo /tmp/copy works", false),
    ("in a volume", "cp /usr/bin/probe /volume/copy; exec -a echo /volume/copy works", false),
    (
        "a file that is gone",
        "cp /usr/bin/probe /root/gone; exec 7</root/gone; rm /root/gone; exec -a echo /proc/self/fd/7 works",
        false,
    ),
    ("a script", "exec /usr/bin/script", true),
    ("by its loader", "exec /lib64/ld-linux-x86-64.so.2 /usr/bin/dynamic works", true),
    ("a script handed to its interpreter", "exec sh /usr/bin/script", true),
    (
        "a memfd",
        "exec perl -e 'my $fd = syscall(319, my $name = \"m\", 0); open my $o, \">&=\", $fd; \
         open my $i, \"<\", \"/usr/bin/probe\"; local $/; syswrite $o, <$i>; exec {\"/proc/self/fd/$fd\"} \"echo\", \"works\"'",
        true,
    ),
    (
        "with something behind its end",
        "cp /usr/bin/probe /root/longer; echo >>/root/longer; exec -a echo /root/longer works",
        true,
    ),
];

#[test]
#[ignore = "needs root"]
fn every_way_to_run_a_content_is_as_the_table_says() -> Result<()> {
    need!("runc", "busybox", "mmdebstrap");
    let _alone = alone()?;
    let _clean = Clean::start()?;
    let runtime = Runtime::new("runc")?;
    let (root, volume) = (Overlay::above(&rootfs::debian()?.folder)?, tempfile::tempdir()?);
    let hash = write_probe(&root.root().join("usr/bin/probe"))?;
    let dynamic = root.root().join("usr/bin/dynamic");
    std::fs::copy(root.root().join("usr/bin/echo"), &dynamic)?;
    let of_dynamic = hash_of(&dynamic)?;
    let script = root.root().join("usr/bin/script");
    std::fs::write(&script, "#!/bin/sh\necho works\n")?;
    must(command("chmod", ["755"]).arg(&script))?;
    let of_script = hash_of(&script)?;
    let sleeps = ["/bin/sleep", "1000"];
    let bundle = Bundle::new(&root.root(), &sleeps)?.bind(volume.path(), "/volume");
    let here = unique_name("rf-here");
    let container = runtime.create(&bundle, &here)?;
    container.start()?;
    let bash = |script: &str| container.exec(&["/bin/bash", "-c", script]);
    for (what, script, _) in WAYS {
        let said = bash(script)?;
        ensure!(works(&said), "{what} does not work without a block: {} {}", said.stdout(), said.stderr());
    }
    bash("rm -f /root/* /tmp/* /volume/*")?;

    let hashes = ["--hash", &hash, "--hash", &of_script, "--hash", &of_dynamic];
    let args = [&["--container", &here, "--format", "json"], &hashes[..]].concat();
    let blocking = Blocking::start(None, &args)?;
    blocking.wait_for(LOOKING)?;
    let is_kill = status()?["step"] == "kill";
    let mut expected = 0;
    for (what, script, runs) in WAYS {
        let runs = runs && (is_kill || what != "a script");
        let said = bash(script)?;
        ensure!(works(&said) == runs, "{what}: {} {}", said.stdout(), said.stderr());
        if !runs {
            expected += 1;
            let denials = blocking.expect_denials(expected).with_context(|| what.to_owned())?;
            ensure!(denials[expected - 1]["reason"] == "hash", "{what}: {}", denials[expected - 1]);
        }
    }
    // Also echo itself, which is the same.
    ensure!(!works(&bash("exec /usr/bin/echo works")?), "the program of the image runs");
    expected += 1;
    blocking.expect_denials(expected)?;
    // On the host it runs, also from the volume that both have.
    let outside = volume.path().join("copy");
    let said = finish(command("bash", ["-c", "exec -a echo \"$0\" works"]).arg(&outside), STEP)?;
    ensure!(works(&said), "it does not run on the host: {}", said.stderr());
    // What was it and is another now.
    let said = bash("cp /bin/true /root/renamed; /root/renamed && echo works")?;
    ensure!(works(&said), "what is another file now is denied: {}", said.stderr());
    // Too large to be hashed: denied where a policy names contents.
    let said = bash("cp /bin/true /root/large; truncate -s 300M /root/large; /root/large && echo works")?;
    ensure!(!works(&said), "what cannot be hashed runs");
    let denials = blocking.expect_denials(expected + 1)?;
    ensure!(denials[expected]["reason"] == "not_hashed", "{}", denials[expected]);

    // Who starts programs all the time is not held up, and nothing waits for ever when ringfence is killed.
    let many = bash("for i in $(seq 200); do /bin/true; done; echo works")?;
    ensure!(works(&many), "{}", many.stderr());
    let of_now = status()?;
    ensure!(of_now["policies"][0]["contents_held"] == true, "{of_now}");
    let storm = "for i in $(seq 400); do /bin/true; done; echo works";
    std::thread::scope(|scope| -> Result<()> {
        let running = scope.spawn(|| bash(storm));
        std::thread::sleep(Duration::from_millis(300));
        blocking.kill()?;
        let said = running.join().map_err(|_| anyhow::anyhow!("it panicked"))??;
        ensure!(works(&said), "a process waits for a ringfence that is gone: {}", said.stderr());
        Ok(())
    })?;
    let of_now = status()?;
    ensure!(of_now["policies"][0]["contents_held"] == false, "{of_now}");
    let listed = run(None, &["policy", "list"])?.stdout();
    ensure!(listed.contains("contents are NOT looked at"), "{listed}");
    // What was found by its content stays denied, and what is new is not.
    ensure!(!works(&bash("exec -a echo /usr/bin/probe works")?), "what was found runs again");
    ensure!(works(&bash("cp /usr/bin/probe /root/new; exec -a echo /root/new works")?), "say so in docs/blocking.md");
    Ok(())
}

struct Tested<'a> {
    engine: &'a dyn Engine,
    place: Place,
    exec: &'a dyn Fn(&str, &str) -> Result<Finished>,
}

fn in_an_engine(tested: &Tested<'_>) -> Result<()> {
    let _clean = Clean::start()?;
    let (here, elsewhere) = (unique_name("rf-here"), unique_name("rf-elsewhere"));
    let volume = tempfile::tempdir()?;
    let hash = write_probe(&volume.path().join("probe"))?;
    let args = ["/bin/sleep".to_owned(), "1000".to_owned()];
    for name in [&here, &elsewhere] {
        let wish = Wish {
            name,
            image: BUSYBOX_IMAGE,
            args: &args,
            mounts: &[(volume.path(), "/volume")],
            more: &["--tmpfs", "/tmp:exec"],
        };
        tested.engine.run(&wish)?;
    }
    let blocking = Blocking::start(Some(&tested.place), &["--container", &here, "--hash", &hash, "--format", "json"])?;
    blocking.wait_for(LOOKING)?;
    for (count, place) in ["/root/copy", "/tmp/copy", "/volume/probe"].iter().enumerate() {
        let script = format!("[ -e {place} ] || cp /volume/probe {place}; exec -a echo {place} works");
        ensure!(!works(&(tested.exec)(&here, &script)?), "{place} runs in the container");
        ensure!(works(&(tested.exec)(&elsewhere, &script)?), "{place} does not run in the other container");
        let denials = blocking.expect_denials(count + 1)?;
        ensure!(denials[count]["reason"] == "hash" && denials[count]["program"]["path"] == *place, "{denials:?}");
    }
    for name in [&here, &elsewhere] {
        tested.engine.remove(name)?;
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_content_does_not_run_in_one_container_of_docker() -> Result<()> {
    need!("dockerd", "docker", "ip", "busybox");
    let _alone = alone()?;
    let docker = Docker::start()?;
    docker.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    in_an_engine(&Tested {
        engine: &docker,
        place: (docker.socket(), "docker.sock"),
        exec: &|name, script| docker.try_docker(&["exec", name, "/bin/sh", "-c", script]),
    })
}

#[test]
#[ignore = "needs root"]
fn a_content_does_not_run_in_one_container_of_podman() -> Result<()> {
    need!("podman", "runc", "busybox");
    let _alone = alone()?;
    let podman = Podman::new("runc")?;
    podman.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let (socket, _service) = (podman.socket(), podman.serve()?);
    in_an_engine(&Tested {
        engine: &podman,
        place: (socket.clone(), "podman/podman.sock"),
        exec: &|name, script| podman.try_podman(&["exec", name, "/bin/sh", "-c", script]),
    })
}
