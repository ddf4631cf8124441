//! A program that may not run in one container: it fails there, and works in all others and on the host.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::blocking::{Blocking, Clean, Place, run, status};
use e2e::bundle::Bundle;
use e2e::command::{Finished, command, finish, wait_until};
use e2e::engines::{Containerd, Docker, Engine, Podman, Wish};
use e2e::machine::{alone, find_program, unique_name};
use e2e::overlay::Overlay;
use e2e::recorder::binary;
use e2e::runtime::{Container, Runtime};
use e2e::workloads::BUSYBOX_IMAGE;
use e2e::{need, rootfs};

const STEP: Duration = Duration::from_secs(60);

/// A container that sleeps, in which `whoami` is a link to busybox, as in images of busybox.
const SLEEPS: [&str; 3] = ["/bin/sh", "-c", "ln -sf busybox /bin/whoami; exec sleep 1000"];

fn words(args: &[&str]) -> Vec<String> {
    args.iter().map(|arg| (*arg).to_owned()).collect()
}

fn works(finished: &Finished, where_it_is: &str) -> Result<()> {
    ensure!(finished.status.success(), "whoami fails in {where_it_is}: {} {}", finished.status, finished.stderr());
    ensure!(finished.stdout().trim() == "root", "whoami in {where_it_is} says {}", finished.stdout());
    Ok(())
}

fn fails(finished: &Finished, where_it_is: &str) -> Result<()> {
    ensure!(!finished.status.success(), "whoami works in {where_it_is}: {}", finished.stdout());
    ensure!(finished.stdout().is_empty(), "whoami in {where_it_is} said {}", finished.stdout());
    Ok(())
}

/// What the tests do with the containers of one engine.
struct Tested<'a> {
    engine: &'a dyn Engine,
    place: Place,
    exec: &'a dyn Fn(&str, &[&str]) -> Result<Finished>,
    /// Makes a container that does not run yet, with this command.
    create: &'a dyn Fn(&str, &[&str]) -> Result<()>,
    /// Starts it, to its end; how its first program ended.
    start: &'a dyn Fn(&str) -> Result<Finished>,
    restart: &'a dyn Fn(&str) -> Result<()>,
}

/// The whole task: running already or started later, killed, restarted, removed.
fn the_task(tested: &Tested<'_>) -> Result<()> {
    let _clean = Clean::start()?;
    let place = Some(&tested.place);
    let (here, elsewhere, later) = (unique_name("rf-here"), unique_name("rf-elsewhere"), unique_name("rf-later"));
    for name in [&here, &elsewhere] {
        tested.engine.run(&Wish { name, image: BUSYBOX_IMAGE, args: &words(&SLEEPS), mounts: &[], more: &[] })?;
        wait_until("whoami is there", STEP, || Ok((tested.exec)(name, &["whoami"])?.status.success()))?;
    }

    let blocking =
        Blocking::start(place, &["--container", &here, "--exec", "whoami", "--format", "json"]).context("block")?;
    fails(&(tested.exec)(&here, &["whoami"])?, "the container")?;
    fails(&(tested.exec)(&here, &["/bin/busybox", "whoami"])?, "the container, as an applet")?;
    works(&(tested.exec)(&elsewhere, &["whoami"])?, "the other container")?;
    works(&finish(&mut command("whoami", [] as [&str; 0]), STEP)?, "the host")?;
    let id = (tested.exec)(&here, &["id", "-u"])?;
    ensure!(id.stdout().trim() == "0", "id fails in the container: {}", id.stderr());
    let denials = blocking.expect_denials(2)?;
    for denial in &denials {
        ensure!(denial["container"]["name"] == here || denial["container"]["id"] == here, "of another: {denial}");
        ensure!(denial["action"] == "killed" || denial["action"] == "refused", "{denial}");
        ensure!(denial["policy"]["name"] == "whoami" && denial["process"]["uid"] == 0, "{denial}");
    }

    // One that is made later is under its policy before its first program begins.
    let second = Blocking::start(place, &["--container", &later, "--later", "--exec", "whoami"]).context("later")?;
    (tested.create)(&later, &["/bin/busybox", "whoami"])?;
    // The engine has told of it by now, or is asked.
    std::thread::sleep(Duration::from_secs(1));
    fails(&(tested.start)(&later)?, "the container that came later")?;
    second.kill()?;

    // It stays when ringfence is killed, and the container that comes again under another cgroup is blocked too.
    blocking.kill()?;
    fails(&(tested.exec)(&here, &["whoami"])?, "the container, with no ringfence there")?;
    (tested.restart)(&here)?;
    fails(&(tested.exec)(&here, &["/bin/busybox", "whoami"])?, "the container that was started again")?;

    let status = status()?;
    let policies = status["policies"].as_array().context("no policies")?;
    ensure!(policies.len() == 2, "not two policies: {status}");
    ensure!(policies[0]["denied"].as_u64() >= Some(4), "too few were counted: {status}");
    let removed = run(None, &["policy", "remove", "0", "1"])?;
    ensure!(removed.status.success(), "policy remove: {}", removed.stderr());
    works(&(tested.exec)(&here, &["/bin/busybox", "whoami"])?, "the container, afterwards")?;
    ensure!(!std::path::Path::new("/sys/fs/bpf/ringfence").exists(), "something stays pinned");
    for name in [&here, &elsewhere, &later] {
        tested.engine.remove(name)?;
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn whoami_fails_in_one_container_of_docker() -> Result<()> {
    need!("dockerd", "docker", "ip", "busybox");
    let _alone = alone()?;
    let docker = Docker::start()?;
    docker.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    the_task(&Tested {
        engine: &docker,
        place: (docker.socket(), "docker.sock"),
        exec: &|name, args| docker.try_docker(&[&["exec", name], args].concat()),
        create: &|name, args| {
            let create = ["create", "--network", "host", "--name", name, BUSYBOX_IMAGE];
            docker.docker(&[&create, args].concat()).map(|_| ())
        },
        start: &|name| docker.try_docker(&["start", "--attach", name]),
        restart: &|name| docker.docker(&["restart", "--time", "0", name]).map(|_| ()),
    })
}

#[test]
#[ignore = "needs root"]
fn nothing_but_what_came_with_the_image_runs() -> Result<()> {
    need!("dockerd", "docker", "ip", "busybox", "runc");
    let _alone = alone()?;
    let _clean = Clean::start()?;
    let docker = Docker::start()?;
    docker.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let here = unique_name("rf-here");
    let place = (docker.socket(), "docker.sock");
    let args = words(&["/bin/sleep", "1000"]);
    let volume = tempfile::tempdir()?;
    std::fs::copy(find_program("busybox").context("no busybox")?, volume.path().join("busybox"))?;
    let more = ["--tmpfs", "/tmp:exec"];
    docker.run(&Wish {
        name: &here,
        image: BUSYBOX_IMAGE,
        args: &args,
        mounts: &[(volume.path(), "/volume")],
        more: &more,
    })?;
    let exec = |script: &str| docker.try_docker(&["exec", &here, "/bin/sh", "-c", script]);
    exec("cp /bin/busybox /root/busybox; cp /bin/busybox /tmp/busybox")?;
    let strangers = ["/root/busybox", "/tmp/busybox", "/volume/busybox"];
    for stranger in strangers {
        works(&exec(&format!("exec {stranger} whoami"))?, "the container, before")?;
    }

    let all = ["--container", here.as_str(), "--image-binaries-only", "--format", "json"];
    let blocking = Blocking::start(Some(&place), &all)?;
    for stranger in strangers {
        fails(&exec(&format!("exec {stranger} whoami"))?, stranger)?;
    }
    works(&exec("exec /bin/busybox whoami")?, "the container, by a program of the image")?;
    let denials = blocking.expect_denials(3)?;
    for (denial, stranger) in denials.iter().zip(strangers) {
        ensure!(denial["reason"] == "not_of_image" && denial["program"]["path"] == stranger, "{denial}");
    }
    // One that is started anew is set up by its runtime, and its own program runs.
    docker.docker(&["restart", "--time", "0", &here])?;
    works(&exec("exec /bin/busybox whoami")?, "the container that was started again")?;
    fails(&exec("exec /root/busybox whoami")?, "the container that was started again")?;

    // Where nobody can tell what came with an image it is refused.
    let runtime = Runtime::new("runc")?;
    let bundle = Bundle::new(&rootfs::busybox()?.folder, &["/bin/sleep", "1000"])?;
    let name = unique_name("rf-plain");
    let plain = bare(&runtime, &bundle, &name)?;
    let refused = run(None, &["block", "--once", "--container", plain.id(), "--image-binaries-only"])?;
    ensure!(refused.status.code() == Some(3), "it ends with {}: {}", refused.status, refused.stderr());
    ensure!(refused.stderr().contains("no overlay"), "{}", refused.stderr());
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_folder_of_policies_is_put_in_force_once_and_for_all_or_not_at_all() -> Result<()> {
    need!("runc", "busybox", "ldd", "whoami");
    let _alone = alone()?;
    let _clean = Clean::start()?;
    let runtime = Runtime::new("runc")?;
    let here = unique_name("rf-here");
    let root = with_whoami()?;
    let bundle = Bundle::new(&root.root(), &["/bin/sleep", "1000"])?;
    let folder = tempfile::tempdir()?;
    let policy = |name: &str, json: &str| std::fs::write(folder.path().join(name), json);
    let shown = folder.path().display().to_string();
    policy("a.json", &format!(r#"{{"schema_version":1,"containers":[{{"container":"{here}"}}],"exec":["whoami"]}}"#))?;
    policy("b.json", r#"{"schema_version":1,"containers":[],"exec":["whoami"]}"#)?;
    let refused = run(None, &["enforce", "--once", "--policy", &shown])?;
    ensure!(refused.status.code() == Some(3), "it ends with {}: {}", refused.status, refused.stderr());
    ensure!(refused.stderr().contains("b.json"), "{}", refused.stderr());
    ensure!(status()?["step"].is_null(), "something is in place");

    std::fs::remove_file(folder.path().join("b.json"))?;
    for _ in 0..2 {
        let done = run(None, &["enforce", "--once", "--policy", &shown])?;
        ensure!(done.status.success(), "enforce: {}", done.stderr());
    }
    ensure!(status()?["policies"].as_array().map(Vec::len) == Some(1), "{}", status()?);
    let container = bare(&runtime, &bundle, &here)?;
    if std::fs::read_to_string(format!("/proc/{}/cgroup", container.pid()))?.contains(here.as_str()) {
        fails(&container.exec(&["whoami"])?, "the container that came with no ringfence there")?;
    }
    let tested = run(None, &["policy", "test", &folder.path().join("a.json").display().to_string()])?;
    ensure!(tested.status.success() && tested.stdout().contains(&here), "{} {}", tested.stdout(), tested.stderr());
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn whoami_fails_in_one_container_of_podman() -> Result<()> {
    need!("podman", "runc", "busybox");
    let _alone = alone()?;
    let podman = Podman::new("runc")?;
    podman.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let (socket, _service) = (podman.socket(), podman.serve()?);
    the_task(&Tested {
        engine: &podman,
        place: (socket.clone(), "podman/podman.sock"),
        exec: &|name, args| podman.try_podman(&[&["exec", name], args].concat()),
        create: &|name, args| {
            let limits = ["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"];
            let create = [&["create", "--network", "host", "--name", name], &limits[..], &[BUSYBOX_IMAGE]].concat();
            podman.podman(&[&create, args].concat()).map(|_| ())
        },
        start: &|name| podman.try_podman(&["start", "--attach", name]),
        restart: &|name| podman.podman(&["restart", "--time", "0", name]).map(|_| ()),
    })
}

#[test]
#[ignore = "needs root"]
fn whoami_fails_in_one_container_of_containerd() -> Result<()> {
    need!("containerd", "ctr", "busybox");
    let _alone = alone()?;
    let containerd = Containerd::start()?;
    containerd.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let count = std::cell::Cell::new(0);
    the_task(&Tested {
        engine: &containerd,
        place: (containerd.socket(), "containerd/containerd.sock"),
        exec: &|name, args| {
            count.set(count.get() + 1);
            let id = format!("e{}", count.get());
            containerd.try_ctr(&[&["tasks", "exec", "--exec-id", &id, name], args].concat())
        },
        create: &|name, args| {
            containerd.ctr(&[&["containers", "create", "--net-host", BUSYBOX_IMAGE, name], args].concat()).map(|_| ())
        },
        start: &|name| containerd.try_ctr(&["tasks", "start", name]),
        restart: &|name| {
            containerd.try_ctr(&["tasks", "kill", "--signal", "KILL", name])?;
            wait_until("the task can be deleted", STEP, || {
                Ok(containerd.try_ctr(&["tasks", "delete", name])?.status.success())
            })?;
            containerd.ctr(&["tasks", "start", "--detach", name]).map(|_| ())
        },
    })
}

/// A container of a bare runtime, with a whoami of its own: a copy of the host's.
fn bare<'a>(runtime: &'a Runtime, bundle: &'a Bundle, id: &str) -> Result<Container<'a>> {
    let container = runtime.create(bundle, id)?;
    container.start()?;
    Ok(container)
}

/// A root file system with busybox and the host's whoami, with all that it needs.
fn with_whoami() -> Result<Overlay> {
    let overlay = Overlay::above(&rootfs::busybox()?.folder)?;
    let root = overlay.root();
    let listed = finish(&mut command("ldd", ["/usr/bin/whoami"]), STEP)?.stdout();
    let files = listed.split_whitespace().filter(|word| word.starts_with('/')).chain(["/usr/bin/whoami"]);
    for file in files {
        let to = root.join(file.trim_start_matches('/'));
        std::fs::create_dir_all(to.parent().context("no folder")?)?;
        std::fs::copy(file, &to).with_context(|| format!("copy {file}"))?;
    }
    Ok(overlay)
}

fn loader() -> Result<String> {
    let listed = finish(&mut command("ldd", ["/usr/bin/whoami"]), STEP)?.stdout();
    let found = listed.split_whitespace().find(|word| word.starts_with('/') && word.contains("/ld-"));
    found.map(str::to_owned).context("no loader")
}

fn with_admin(bundle: Bundle) -> Bundle {
    bundle.change(|config| {
        for set in ["bounding", "effective", "permitted"] {
            if let Some(names) = config["process"]["capabilities"][set].as_array_mut() {
                names.push("CAP_SYS_ADMIN".into());
            }
        }
    })
}

/// Each way to run it: what it is, the command, and whether it runs all the same where the step is `kill`.
fn ways(loader: &str) -> Vec<(&'static str, String, bool)> {
    let way = |what, script: &str, runs| (what, script.to_owned(), runs);
    vec![
        way("by its path", "exec /usr/bin/whoami", false),
        way("through a link", "ln -sf /usr/bin/whoami /tmp/link; exec /tmp/link", false),
        way("with ..", "exec /usr/bin/../../usr/bin/./whoami", false),
        way("through /proc/self/root", "exec /proc/self/root/usr/bin/whoami", false),
        way("through a descriptor", "exec 7</usr/bin/whoami; exec /proc/self/fd/7", false),
        way("by a hard link", "ln -f /usr/bin/whoami /usr/bin/hard; exec /usr/bin/hard", false),
        way(
            "through a bind mount",
            "umount /tmp/bound 2>/dev/null; : >/tmp/bound; mount -o bind /usr/bin/whoami /tmp/bound; exec /tmp/bound",
            false,
        ),
        way(
            "in another root",
            "mkdir -p /tmp/r; umount -l /tmp/r 2>/dev/null; mount -o rbind / /tmp/r; exec chroot /tmp/r /usr/bin/whoami",
            false,
        ),
        way("in other mounts", "exec unshare -m /usr/bin/whoami", false),
        way("as an applet", "exec /bin/busybox whoami", false),
        way("by its first argument", "exec -a whoami /bin/busybox", false),
        way("as a login shell", "exec -a -whoami /bin/busybox", false),
        way("by a long first argument", "exec -a ////////////////////////whoami /bin/busybox", false),
        way(
            "as a script",
            "rm -f /tmp/whoami; printf '#!/bin/sh\necho root\n' >/tmp/whoami; chmod +x /tmp/whoami; exec /tmp/whoami",
            false,
        ),
        way("by its loader", &format!("exec {loader} /usr/bin/whoami"), false),
        way("by its loader, by a link", &format!("ln -sf /usr/bin/whoami /tmp/l; exec {loader} /tmp/l"), true),
        way(
            "replaced",
            "cp /usr/bin/whoami /usr/bin/new; mv /usr/bin/new /usr/bin/whoami; exec /usr/bin/whoami",
            false,
        ),
    ]
}

/// What runs all the same, at each step: `docs/blocking.md` says so.
const NOT_CAUGHT: [(&str, &str); 3] = [
    ("a copy", "cp /usr/bin/whoami /tmp/copy; exec /tmp/copy"),
    ("an applet of the shell that runs", "whoami"),
    ("a copy of busybox by its argument", "cp /bin/busybox /tmp/b; exec -a whoami /tmp/b"),
];

fn in_bare_containers(program: &'static str) -> Result<()> {
    let _alone = alone()?;
    let _clean = Clean::start()?;
    let runtime = Runtime::new(program)?;
    let (here, elsewhere) = (unique_name("rf-here"), unique_name("rf-elsewhere"));
    let (root, other_root) = (with_whoami()?, with_whoami()?);
    let sleeps = ["/bin/sleep", "1000"];
    let bundle = with_admin(Bundle::new(&root.root(), &sleeps)?);
    let other_bundle = with_admin(Bundle::new(&other_root.root(), &sleeps)?);
    let container = bare(&runtime, &bundle, &here)?;
    let other = bare(&runtime, &other_bundle, &elsewhere)?;
    works(&container.exec(&["whoami"])?, "the container, before")?;

    for (what, script, _) in ways(&loader()?) {
        let finished = container.exec(&["/bin/sh", "-c", &script])?;
        ensure!(finished.stdout().trim() == "root", "{what} does not work without a block: {}", finished.stderr());
    }
    let blocking = Blocking::start(None, &["--container", &here, "--exec", "whoami", "--format", "json"])?;
    let is_kill = status()?["step"] == "kill";
    let mut expected = 0;
    for (what, script, runs_if_killing) in ways(&loader()?) {
        let finished = container.exec(&["/bin/sh", "-c", &script])?;
        if runs_if_killing && is_kill {
            ensure!(finished.stdout().trim() == "root", "{what}: {} {}", finished.stdout(), finished.stderr());
        } else {
            fails(&finished, what)?;
            expected += 1;
            blocking.expect_denials(expected).with_context(|| what.to_owned())?;
        }
    }
    for (what, script) in NOT_CAUGHT {
        let finished = container.exec(&["/bin/sh", "-c", script])?;
        ensure!(finished.stdout().trim() == "root", "{what} is caught: say so in docs/blocking.md");
    }
    works(&other.exec(&["whoami"])?, "the other container")?;
    works(&finish(&mut command("whoami", [] as [&str; 0]), STEP)?, "the host")?;
    blocking.expect_denials(expected)?;

    // Killed, and the container made anew under the same name.
    blocking.kill()?;
    container.delete()?;
    // The numbers of its namespaces are free, and one of many gets them: nobody outside is blocked for that.
    let others = "for i in $(seq 64); do unshare --mount sh -c 'whoami; sleep 1' & done; wait";
    let said = finish(&mut command("sh", ["-c", others]), STEP)?;
    ensure!(said.stdout().lines().filter(|line| *line == "root").count() == 64, "{} {}", said.stdout(), said.stderr());
    let again = bare(&runtime, &bundle, &here)?;
    let has_cgroup = std::fs::read_to_string(format!("/proc/{}/cgroup", again.pid()))?.contains(here.as_str());
    if has_cgroup {
        fails(&again.exec(&["whoami"])?, "the container that was made anew")?;
    }
    let said = run(None, &["policy", "remove", "0"])?;
    ensure!(said.status.success(), "{}", said.stderr());
    works(&again.exec(&["whoami"])?, "the container, afterwards")?;
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn every_way_to_run_it_in_a_container_of_runc_is_as_the_table_says() -> Result<()> {
    need!("runc", "busybox", "ldd", "whoami");
    in_bare_containers("runc")
}

#[test]
#[ignore = "needs root"]
fn every_way_to_run_it_in_a_container_of_crun_is_as_the_table_says() -> Result<()> {
    need!("crun", "busybox", "ldd", "whoami");
    in_bare_containers("crun")
}

/// Around the ends of the parts in which the kernel side reads names and texts, up to the longest that a file can have.
const LENGTHS: [usize; 15] = [1, 7, 8, 9, 55, 56, 57, 60, 63, 64, 65, 128, 192, 254, 255];

#[test]
#[ignore = "needs root"]
fn names_and_links_of_every_length_are_told_to_their_last_byte() -> Result<()> {
    need!("runc", "busybox", "ldd", "whoami");
    let _alone = alone()?;
    let _clean = Clean::start()?;
    let runtime = Runtime::new("runc")?;
    let here = unique_name("rf-here");
    let root = with_whoami()?;
    let bundle = Bundle::new(&root.root(), &["/bin/sleep", "1000"])?;
    let container = bare(&runtime, &bundle, &here)?;
    let named = |last: char| LENGTHS.map(|length| format!("{}{last}", "n".repeat(length - 1)));
    let (denied, others) = (named('d'), named('o'));

    let mut args = vec!["--container", &here];
    args.extend(denied.iter().flat_map(|name| ["--exec", name]));
    let blocking = Blocking::start(None, &[&args[..], &["--format", "json"]].concat())?;
    let runs = "mkdir -p /tmp/files /tmp/links; for name; do cp /usr/bin/whoami /tmp/files/$name; \
        ln -s /usr/bin/whoami /tmp/links/$name; \
        for folder in files links; do [ \"$(/tmp/$folder/$name)\" != root ] || echo $folder/$name; done; done";
    let in_container = |names: &[String]| -> Result<String> {
        let names = names.iter().map(String::as_str);
        let command: Vec<&str> = ["/bin/sh", "-c", runs, "sh"].into_iter().chain(names).collect();
        Ok(container.exec(&command)?.stdout())
    };
    let ran = in_container(&denied)?;
    ensure!(ran.is_empty(), "these ran: {ran}");
    let all: String = others.iter().map(|name| format!("files/{name}\nlinks/{name}\n")).collect();
    let ran = in_container(&others)?;
    ensure!(ran.trim() == all.trim(), "only these ran: {ran}");
    let denials = blocking.expect_denials(2 * LENGTHS.len())?;
    for (denial, name) in denials.iter().step_by(2).zip(&denied) {
        ensure!(denial["program"]["path"] == format!("/tmp/files/{name}"), "another was denied: {denial}");
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn an_audit_counts_and_denies_nothing_and_time_ends_a_policy_without_ringfence() -> Result<()> {
    need!("runc", "busybox", "ldd", "whoami");
    let _alone = alone()?;
    let _clean = Clean::start()?;
    let runtime = Runtime::new("runc")?;
    let here = unique_name("rf-here");
    let root = with_whoami()?;
    let bundle = Bundle::new(&root.root(), &["/bin/sleep", "1000"])?;
    let container = bare(&runtime, &bundle, &here)?;

    let path = ["--container", &here, "--exec", "/usr/bin/whoami"];
    let audit = Blocking::start(None, &[&path[..], &["--audit", "--format", "json"]].concat())?;
    works(&container.exec(&["whoami"])?, "the container, audited")?;
    let denials = audit.expect_denials(1)?;
    ensure!(denials[0]["action"] == "audited" && denials[0]["program"]["path"] == "/usr/bin/whoami", "{denials:?}");
    let said = audit.stop()?;
    ensure!(said.contains("1 would have been denied"), "{said}");
    let removed = run(None, &["policy", "remove", "0"])?;
    ensure!(removed.status.success(), "{}", removed.stderr());

    let limited = Blocking::start(None, &[&path[..], &["--for", "15s"]].concat())?;
    fails(&container.exec(&["whoami"])?, "the container")?;
    limited.kill()?;
    fails(&container.exec(&["whoami"])?, "the container, with no ringfence there")?;
    std::thread::sleep(Duration::from_secs(15));
    works(&container.exec(&["whoami"])?, "the container, after its time")?;
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_policy_that_only_counts_hides_none_that_denies() -> Result<()> {
    need!("runc", "busybox", "ldd", "whoami");
    let _alone = alone()?;
    let _clean = Clean::start()?;
    let runtime = Runtime::new("runc")?;
    let here = unique_name("rf-here");
    let root = with_whoami()?;
    let bundle = Bundle::new(&root.root(), &["/bin/sleep", "1000"])?;
    let container = bare(&runtime, &bundle, &here)?;

    // Names are looked at first.
    let counts = ["block", "--once", "--container", &here, "--exec", "whoami", "--audit"];
    let counts = run(None, &counts)?;
    ensure!(counts.status.success(), "{}", counts.stderr());
    let denies = Blocking::start(None, &["--container", &here, "--exec", "/usr/bin/whoami", "--format", "json"])?;
    fails(&container.exec(&["whoami"])?, "the container, where another policy only counts")?;
    let denials = denies.expect_denials(1)?;
    ensure!(denials[0]["action"] != "audited" && denials[0]["reason"] == "path", "{denials:?}");
    ensure!(denials[0]["policy"]["number"] == 1, "{denials:?}");
    let counted = |number: usize| -> Result<(Option<u64>, Option<u64>)> {
        let status = status()?;
        let policy = &status["policies"][number];
        Ok((policy["denied"].as_u64(), policy["audited"].as_u64()))
    };
    ensure!(counted(0)? == (Some(0), Some(1)) && counted(1)? == (Some(1), Some(0)), "{}", status()?);
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_file_of_a_volume_stays_denied_in_one_container_when_another_ends() -> Result<()> {
    need!("runc", "busybox", "whoami");
    let _alone = alone()?;
    let _clean = Clean::start()?;
    let runtime = Runtime::new("runc")?;
    let (root, volume) = (with_whoami()?, tempfile::tempdir()?);
    std::fs::copy(find_program("whoami").context("whoami")?, volume.path().join("tool"))?;
    std::fs::hard_link(volume.path().join("tool"), volume.path().join("linked"))?;
    let bundle =
        || Ok::<_, anyhow::Error>(Bundle::new(&root.root(), &["/bin/sleep", "1000"])?.bind(volume.path(), "/vol"));
    let (first_bundle, second_bundle) = (bundle()?, bundle()?);
    let (first, second) = (unique_name("rf-first"), unique_name("rf-second"));
    let ends = bare(&runtime, &first_bundle, &first)?;
    let stays = bare(&runtime, &second_bundle, &second)?;
    works(&stays.exec(&["/vol/linked"])?, "the container, before")?;
    let blocking = Blocking::start(None, &["--container", &first, "--container", &second, "--exec", "/vol/tool"])?;
    let is_denied = || Ok(!stays.exec(&["/vol/linked"])?.status.success());
    wait_until("the file is denied under its other name", STEP, is_denied)?;

    ends.delete()?;

    blocking.wait_for(&format!("{first} has ended"))?;
    for _ in 0..3 {
        fails(&stays.exec(&["/vol/linked"])?, "the container that is left")?;
        std::thread::sleep(Duration::from_millis(300));
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn who_takes_everything_away_ends_all_that_go_on() -> Result<()> {
    let _alone = alone()?;
    let _clean = Clean::start()?;
    let (first, second) = (unique_name("rf-first"), unique_name("rf-second"));
    let programs = Blocking::start(None, &["--container", &first, "--later", "--exec", "whoami"])?;
    let hash = format!("sha256:{}", "0".repeat(64));
    let contents = Blocking::start(None, &["--container", &second, "--later", "--hash", &hash])?;

    let removed = run(None, &["policy", "remove", "--all"])?;

    ensure!(removed.status.success(), "{}", removed.stderr());
    // Those that come now are others: nobody who went on before has to do with them.
    let again = Blocking::start(None, &["--container", &first, "--later", "--exec", "whoami"])?;
    for ended in [programs, contents] {
        let said = ended.wait()?;
        ensure!(said.ends_with("the guards were taken away: nothing is blocked any more\n"), "{said}");
    }
    ensure!(again.stop()?.contains("policy 0 stays in force"), "it did not go on");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn who_reads_what_is_in_force_may_have_seen_enough() -> Result<()> {
    let _alone = alone()?;
    let _clean = Clean::start()?;
    for asked in ["block --status", "block --status --format json", "policy list", "policy list --format json"] {
        let pipe = format!("(\"$0\" {asked}; echo \"ended with $?\" >&2) | true");
        let said = finish(command("sh", ["-c", &pipe]).arg(binary()?), Duration::from_secs(60))?;
        ensure!(said.stderr() == "ended with 0\n", "{asked}: {}", said.stderr());
    }
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn what_matches_nothing_or_the_host_is_refused_and_leaves_nothing() -> Result<()> {
    let _alone = alone()?;
    let _clean = Clean::start()?;
    for (args, why) in [
        (&["--container", "rf-there-is-none", "--exec", "id"][..], "no container matches"),
        (&["--container", "docker", "--exec", "id"], "a cgroup of the host"),
        (&["--container", "system.slice", "--later", "--exec", "id"], "a cgroup of the host"),
        (&["--container", "../x", "--exec", "id"], "no name or id"),
        (
            &["--container", "rf-there-is-none", "--later", "--step", "kill", "--exec", "id", "--connect", "*:25"],
            "connecting cannot be denied at the step kill",
        ),
        (&["--container", "rf-there-is-none", "--later", "--step", "kill", "--file", "/etc"], "only running a program"),
    ] {
        let refused = run(None, &[&["block", "--once"][..], args].concat())?;
        ensure!(refused.status.code() == Some(3), "{args:?} ends with {}: {}", refused.status, refused.stderr());
        ensure!(refused.stderr().contains(why), "{args:?} says: {}", refused.stderr());
    }
    for args in [
        &["--container", "x"][..],
        &["--exec", "id"],
        &["--container", "x", "--exec", "../id"],
        &["--container", "x", "--file", "etc"],
    ] {
        let wrong = run(None, &[&["block", "--once"][..], args].concat())?;
        ensure!(wrong.status.code() == Some(2), "{args:?} ends with {}", wrong.status);
    }
    ensure!(!std::path::Path::new("/sys/fs/bpf/ringfence").exists(), "something stays pinned");
    let listed = run(None, &["policy", "list"])?;
    ensure!(listed.stdout().contains("no policy is in force"), "{}", listed.stdout());
    ensure!(run(None, &["policy", "remove", "0"])?.status.code() == Some(2), "a policy that is not there was removed");
    Ok(())
}
