//! Falco's public rules, unmodified: each is fired by a real action in a real container, and quiet about what is nearly the same.
//!
//! Servers and tools that the images of these tests do not have are played by a small program under their names
//! (`programs/deeds.c`); all else is busybox.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::bundle::Bundle;
use e2e::command::{command, finish, must_within};
use e2e::engines::{Engine, Podman, Wish};
use e2e::machine::{alone, unique_name};
use e2e::netns::Netns;
use e2e::overlay::Overlay;
use e2e::rootfs;
use e2e::runtime::Runtime;
use e2e::sealed::LIMIT;
use e2e::watching::Watching;
use e2e::workloads::BUSYBOX_IMAGE;
use e2e::{need, skip};
use serde_json::{Value, json};

const STABLE: &str = "falco_rules.yaml";
const INCUBATING: &str = "falco-incubating_rules.yaml";

/// A rule, what fires it in a container, what its alert says of that, and what is nearly the same and does not fire it.
///
/// Where an alert needs what only `/proc` has, the parent outside of the container or the names of users, the container lives for
/// seconds: of one that is gone at once they may not be found.
struct Case {
    rule: &'static str,
    fires: &'static str,
    fields: &'static [(&'static str, &'static str)],
    quiet: &'static str,
    /// What the container has beside the usual where the rule fires.
    capability: &'static str,
    /// The rules that are right to fire too.
    also: &'static [&'static str],
}

const fn case(
    rule: &'static str,
    fires: &'static str,
    fields: &'static [(&'static str, &'static str)],
    quiet: &'static str,
) -> Case {
    Case { rule, fires, fields, quiet, capability: "", also: &[] }
}

impl Case {
    const fn capable(mut self, capability: &'static str) -> Case {
        self.capability = capability;
        self
    }

    const fn beside(mut self, also: &'static [&'static str]) -> Case {
        self.also = also;
        self
    }
}

/// The stable ones that need neither an engine nor a terminal.
const STABLE_CASES: [Case; 25] = [
    case(
        "Directory traversal monitored file read",
        "exec /bin/cat /srv/app/../../etc/passwd",
        &[("fd.name", "/etc/passwd"), ("fd.nameraw", "/srv/app/../../etc/passwd"), ("proc.name", "cat")],
        "exec /bin/cat /etc/passwd",
    ),
    // An open that fails counts, too.
    case(
        "Directory traversal monitored file read",
        "exec /bin/cat /srv/app/../../etc/none",
        &[("fd.nameraw", "/srv/app/../../etc/none"), ("proc.name", "cat")],
        "exec /bin/cat /srv/app/../../srv/none",
    ),
    case(
        "Read sensitive file trusted after startup",
        "/usr/sbin/nginx read-late /etc/shadow",
        &[("fd.name", "/etc/shadow"), ("proc.name", "nginx"), ("proc.exepath", "/usr/sbin/nginx")],
        "/usr/sbin/nginx read /etc/shadow",
    )
    .beside(&["Read sensitive file untrusted"]),
    case(
        "Read sensitive file untrusted",
        "/bin/cat /etc/shadow",
        &[("fd.name", "/etc/shadow"), ("proc.cmdline", "cat /etc/shadow"), ("user.name", "root")],
        "/bin/cat /etc/passwd; /bin/ls -l /etc/shadow",
    ),
    case(
        "Run shell untrusted",
        "/usr/sbin/nginx shell",
        &[("proc.pname", "nginx"), ("proc.pexepath", "/usr/sbin/nginx"), ("proc.cmdline", "sh -c :")],
        "/bin/deeds shell",
    ),
    case(
        "System user interactive",
        "sleep 1; /usr/sbin/sshd as 33 /bin/id; sleep 2",
        &[("user.name", "www-data"), ("user.uid", "33"), ("proc.name", "id"), ("proc.pname", "sshd")],
        "sleep 1; /bin/deeds as 33 /bin/id; /usr/sbin/sshd as 1000 /bin/id; sleep 2",
    ),
    case(
        "Contact K8S API Server From Container",
        "/bin/deeds name-server 10.96.0.1; /bin/nslookup kubernetes.default.svc.cluster.local; /bin/deeds meet 10.96.0.1 443",
        &[("fd.rport", "443"), ("proc.cmdline", "deeds meet 10.96.0.1 443")],
        "/bin/deeds name-server 10.96.0.1; /bin/nslookup db.default.svc.cluster.local; /bin/deeds meet 10.96.0.1 443",
    ),
    case(
        "Netcat Remote Code Execution in Container",
        "/bin/nc 127.0.0.1 1 -e /bin/sh",
        &[("proc.name", "nc"), ("proc.cmdline", "nc 127.0.0.1 1 -e /bin/sh")],
        "/bin/nc 127.0.0.1 1",
    ),
    case(
        "Search Private Keys or Passwords",
        "/bin/find / -name id_rsa",
        &[("proc.cmdline", "find / -name id_rsa"), ("proc.pname", "sh")],
        "/bin/find / -name index.html",
    ),
    case(
        "Clear Log Activities",
        "echo x > /var/log/auth.log",
        &[("fd.name", "/var/log/auth.log"), ("proc.name", "sh")],
        "echo x >> /var/log/auth.log; echo x > /var/auth",
    ),
    case(
        "Remove Bulk Data from Disk",
        "/bin/shred -u /opt/x",
        &[("proc.cmdline", "shred -u /opt/x")],
        "/bin/rm /opt/x",
    ),
    case(
        "Create Symlink Over Sensitive Files",
        "/bin/ln -s /etc/shadow /opt/y",
        &[("evt.arg.target", "/etc/shadow"), ("evt.arg.linkpath", "/opt/y"), ("proc.name", "ln")],
        "/bin/ln -s /etc/passwd /opt/y",
    ),
    case(
        "Create Hardlink Over Sensitive Files",
        "/bin/ln /etc/shadow /opt/y",
        &[("evt.arg.oldpath", "/etc/shadow"), ("evt.arg.newpath", "/opt/y"), ("proc.name", "ln")],
        "/bin/ln /etc/passwd /opt/y",
    ),
    case(
        "Packet socket created in container",
        "/bin/arping -c 1 -w 1 -I lo 127.0.0.1",
        &[("proc.name", "arping"), ("evt.type", "socket")],
        "/bin/deeds meet 127.0.0.1 18083",
    ),
    case(
        "Redirect STDOUT/STDIN to Network Connection in Container",
        "/bin/deeds wire 18081",
        &[("fd.rport", "18081"), ("evt.type", "dup2"), ("proc.name", "deeds")],
        "/bin/deeds meet 127.0.0.1 18082; /bin/cat 0< /etc/passwd",
    ),
    case(
        "Linux Kernel Module Injection Detected",
        "/bin/deeds module",
        &[("evt.type", "init_module"), ("proc.cmdline", "deeds module")],
        "/bin/deeds module",
    )
    .capable("CAP_SYS_MODULE"),
    case(
        "Detect release_agent File Container Escapes",
        "echo x > /opt/release_agent",
        &[("fd.name", "/opt/release_agent"), ("proc.name", "sh")],
        "echo x > /opt/release_agent",
    )
    .capable("CAP_SYS_ADMIN"),
    case("PTRACE attached to process", "/bin/deeds take-over", &[("proc.name", "deeds")], "/bin/deeds peek"),
    case("PTRACE anti-debug attempt", "/bin/deeds traced", &[("proc.name", "deeds")], "/bin/deeds peek"),
    case(
        "Find AWS Credentials",
        "/bin/grep -r aws_secret_access_key /srv",
        &[("proc.name", "grep"), ("proc.cwd", "/")],
        "/bin/grep -r colour /srv",
    ),
    case(
        "Find AWS Credentials",
        "/bin/find /root -path */.aws/credentials",
        &[("proc.name", "find")],
        "/bin/find /root -path */.aws/config",
    ),
    case(
        "Execution from /dev/shm",
        "/bin/cp /bin/busybox /dev/shm/true; /dev/shm/true",
        &[("proc.exepath", "/dev/shm/true"), ("proc.name", "true")],
        "/bin/cp /bin/busybox /tmp/true; /tmp/true",
    ),
    case(
        "Drop and execute new binary in container",
        "/bin/cp /bin/busybox /opt/true; /opt/true",
        &[("proc.exepath", "/opt/true"), ("proc.pname", "sh")],
        "/bin/cp /bin/busybox /opt/true; /bin/true",
    ),
    case(
        "Disallowed SSH Connection Non Standard Port",
        "/usr/bin/ssh meet 203.0.113.9 443",
        &[("fd.rport", "443"), ("fd.l4proto", "tcp"), ("proc.exepath", "/usr/bin/ssh")],
        "/usr/bin/ssh meet 203.0.113.9 22; /usr/bin/ssh meet 127.0.0.1 443; /bin/deeds meet 203.0.113.9 443",
    ),
    case(
        "Fileless execution via memfd_create",
        "/bin/deeds memory",
        &[("proc.pname", "sh"), ("proc.exepath", "memfd:deed")],
        "/bin/cp /bin/busybox /dev/null; /bin/true",
    ),
];

/// The incubating ones, likewise.
const INCUBATING_CASES: [Case; 30] = [
    case(
        "Modify Shell Configuration File",
        "/bin/cp /etc/passwd /root/.bashrc",
        &[("fd.name", "/root/.bashrc"), ("proc.name", "cp")],
        "/bin/cp /etc/passwd /root/bashrc; /bin/cat /root/.bashrc",
    ),
    case(
        "Schedule Cron Jobs",
        "/bin/cp /etc/passwd /etc/cron.d/x",
        &[("fd.name", "/etc/cron.d/x"), ("proc.name", "cp")],
        "/bin/cp /etc/passwd /etc/crew; /bin/cat /etc/cron.d/y",
    ),
    case("Schedule Cron Jobs", "/bin/crontab -l", &[("proc.cmdline", "crontab -l")], "/bin/deeds crontab"),
    case(
        "Read ssh information",
        "/bin/cat /root/.ssh/id",
        &[("fd.name", "/root/.ssh/id"), ("proc.name", "cat")],
        "/bin/cp /etc/passwd /root/.ssh/known_hosts; /usr/bin/ssh read /root/.ssh/id",
    ),
    case(
        "Read ssh information",
        "/bin/ls /home/app/.ssh/more",
        &[("fd.name", "/home/app/.ssh/more"), ("proc.name", "ls")],
        "/bin/ls /home/app",
    ),
    case(
        "DB program spawned process",
        "/usr/bin/postgres shell",
        &[("proc.name", "sh"), ("proc.pname", "postgres")],
        "/bin/deeds shell",
    ),
    case(
        "Change thread namespace",
        "/bin/deeds enter",
        &[("evt.type", "setns"), ("proc.name", "deeds")],
        "/bin/ls -l /proc/self/ns",
    ),
    case(
        "Change namespace privileges via unshare",
        "/bin/unshare -m /bin/true",
        &[("proc.name", "unshare"), ("evt.res", "EPERM")],
        "/bin/ls -l /proc/self/ns",
    ),
    case("Launch Excessively Capable Container", "true", &[("proc.name", "sh"), ("proc.cmdline", "sh /work")], "true")
        .capable("CAP_SYS_PTRACE"),
    case(
        "System procs network activity",
        "/usr/bin/tail meet 203.0.113.9 80",
        &[("fd.lport", "80"), ("proc.name", "tail")],
        "/bin/deeds meet 203.0.113.9 80; /usr/bin/tail meet 127.0.0.1 80",
    ),
    case(
        "Program run with disallowed http proxy env",
        "http_proxy=http://127.0.0.1:1 /bin/wget -q http://a",
        &[("proc.cmdline", "wget -q http://a")],
        "/bin/wget -q http://127.0.0.1:1",
    )
    .beside(&["Launch Ingress Remote File Copy Tools in Container"]),
    case(
        "Unexpected UDP Traffic",
        "/bin/deeds tell 203.0.113.9 4000",
        &[("fd.rport", "4000"), ("fd.l4proto", "udp")],
        "/bin/deeds tell 203.0.113.9 53",
    ),
    // The user is the one that it became: the rule leaves out those who become themselves.
    case(
        "Non sudo setuid",
        "sleep 1; /bin/deeds as 1000 /bin/id; sleep 2",
        &[("user.name", "app"), ("proc.name", "deeds")],
        "sleep 1; /bin/deeds as 33 /bin/id; sleep 2",
    ),
    case(
        "Create files below dev",
        "/bin/touch /dev/x",
        &[("fd.name", "/dev/x"), ("proc.name", "touch")],
        "/bin/touch /opt/x; echo x > /dev/null",
    ),
    case(
        "Contact EC2 Instance Metadata Service From Container",
        "/bin/deeds meet 169.254.169.254 80",
        &[("fd.rport", "80"), ("proc.name", "deeds")],
        "/bin/deeds meet 203.0.113.9 80",
    )
    .beside(&["Contact cloud metadata service from container"]),
    case(
        "Contact cloud metadata service from container",
        "/bin/deeds meet 169.254.169.254 8080",
        &[("fd.rport", "8080")],
        "/bin/deeds meet 203.0.113.9 8080",
    )
    .beside(&["Contact EC2 Instance Metadata Service From Container"]),
    case(
        "Launch Package Management Process in Container",
        "/bin/dpkg -i /opt/x",
        &[("proc.cmdline", "dpkg -i /opt/x")],
        "/bin/dpkg-deb -I /opt/x",
    ),
    case(
        "Launch Suspicious Network Tool in Container",
        "/bin/telnet 127.0.0.1 1",
        &[("proc.cmdline", "telnet 127.0.0.1 1")],
        "/bin/ping -c 1 127.0.0.1",
    ),
    case(
        "Delete or rename shell history",
        "/bin/rm /root/.ash_history",
        &[("proc.cmdline", "rm /root/.ash_history")],
        "/bin/rm /opt/x",
    ),
    case(
        "Delete or rename shell history",
        "/bin/mv /root/.ash_history /root/x",
        &[("proc.name", "mv")],
        "/bin/mv /opt/x /root/.ash_history",
    ),
    case(
        "Delete or rename shell history",
        "echo > /root/.ash_history",
        &[("fd.name", "/root/.ash_history")],
        "echo >> /root/.ash_history",
    ),
    case("Set Setuid or Setgid bit", "/bin/chmod u+s /opt/x", &[("proc.name", "chmod")], "/bin/chmod 755 /opt/x"),
    case(
        "Launch Remote File Copy Tools in Container",
        "/usr/bin/scp a b",
        &[("proc.cmdline", "scp a b")],
        "/bin/cp /opt/x /opt/y",
    ),
    case(
        "Launch Ingress Remote File Copy Tools in Container",
        "/bin/wget -q http://127.0.0.1:1",
        &[("proc.name", "wget")],
        "/bin/ping -c 1 127.0.0.1",
    ),
    case(
        "Read environment variable from /proc files",
        "/bin/cat /proc/1/environ",
        &[("fd.name", "/proc/1/environ"), ("proc.name", "cat")],
        "/bin/cat /proc/1/status",
    ),
    case(
        "Exfiltrating Artifacts via Kubernetes Control Plane",
        "sleep 2; exec /bin/tar cf - /opt",
        &[("fd.name", "/opt/x"), ("proc.name", "tar"), ("proc.pname", "runc")],
        "sleep 1; /bin/tar cf - /opt",
    ),
    case(
        "Adding ssh keys to authorized_keys",
        "/bin/cp /etc/passwd /root/.ssh/authorized_keys",
        &[("fd.name", "/root/.ssh/authorized_keys"), ("proc.name", "cp")],
        "/bin/cp /etc/passwd /root/.ssh/known_hosts",
    ),
    case(
        "Potential Local Privilege Escalation via Environment Variables Misuse",
        "GLIBC_TUNABLES=glibc.malloc.check=1 /bin/true",
        &[("proc.name", "true")],
        "TUNABLES=1 /bin/true",
    ),
    case(
        "Backdoored library loaded into SSHD (CVE-2024-3094)",
        "/usr/sbin/sshd read /opt/liblzma.so.5.6.1",
        &[("fd.name", "/opt/liblzma.so.5.6.1"), ("proc.name", "sshd")],
        "/usr/sbin/sshd read /opt/liblzma.so.5.4.1; /bin/deeds read /opt/liblzma.so.5.6.1",
    ),
    case(
        "BPF Program Not Profiled",
        "/bin/deeds load",
        &[("evt.type", "bpf"), ("proc.name", "deeds")],
        "/bin/deeds map",
    ),
];

/// Applets of busybox that the small image has no name for.
const APPLETS: [&str; 13] = [
    "arping", "crontab", "dpkg", "dpkg-deb", "find", "nc", "nslookup", "ping", "shred", "tar", "telnet", "unshare",
    "wget",
];

/// The names under which a program of ours does what servers and tools do.
const PLAYED: [&str; 7] = [
    "/bin/deeds",
    "/usr/bin/postgres",
    "/usr/bin/scp",
    "/usr/bin/ssh",
    "/usr/bin/tail",
    "/usr/sbin/nginx",
    "/usr/sbin/sshd",
];

/// A file of the public rules; none if the folder of test data is not there.
fn public(name: &str) -> Option<PathBuf> {
    Some(PathBuf::from(std::env::var_os("RINGFENCE_TEST_DATA")?).join("falco-rules").join(name))
}

/// A network that leads nowhere, with addresses that rules ask for.
fn network() -> Result<Netns> {
    let network = Netns::new()?;
    for address in ["10.96.0.1", "169.254.169.254", "203.0.113.9"] {
        network.ip(&format!("address add {address}/32 dev lo"))?;
    }
    Ok(network)
}

/// A root file system with what is read, written and run here.
fn root() -> Result<Overlay> {
    let overlay = Overlay::above(&rootfs::busybox()?.folder)?;
    let root = overlay.root();
    for folder in ["etc/cron.d", "home/app/.ssh/more", "opt", "root/.ssh", "srv/app", "usr/bin", "usr/sbin", "var/log"]
    {
        std::fs::create_dir_all(root.join(folder))?;
    }
    for (name, text) in [
        ("etc/passwd", "root:x:0:0::/:/bin/sh\nwww-data:x:33:33::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n"),
        ("etc/shadow", "root:!:1::::::\n"),
        ("etc/resolv.conf", "nameserver 127.0.0.1\n"),
        ("etc/cron.d/y", "x\n"),
        ("opt/x", "x\n"),
        ("opt/liblzma.so.5.4.1", "x\n"),
        ("opt/liblzma.so.5.6.1", "x\n"),
        ("root/.ash_history", "x\n"),
        ("root/.bashrc", "x\n"),
        ("root/.ssh/id", "x\n"),
        ("var/log/auth.log", "x\n"),
    ] {
        std::fs::write(root.join(name), text)?;
    }
    for applet in APPLETS {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(applet))?;
    }
    Ok(overlay)
}

/// A container of this test that runs a script.
fn bundle(network: &Netns, overlay: &Overlay, script: &str, capability: &str) -> Result<Bundle> {
    std::fs::write(overlay.root().join("work"), format!("{script}\n:\n"))?;
    let mut bundle = Bundle::new(&overlay.root(), &["/bin/sh", "/work"])?.join_namespace("network", &network.path());
    for path in PLAYED {
        bundle = bundle.with_program("deeds", path)?;
    }
    Ok(bundle.change(|config| {
        if let Some(mounts) = config["mounts"].as_array_mut() {
            for options in mounts.iter_mut().filter_map(|mount| mount["options"].as_array_mut()) {
                options.retain(|option| option != "noexec");
            }
            mounts.push(json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                "options": ["newinstance", "ptmxmode=0666"]}));
        }
        for set in ["bounding", "effective", "permitted"] {
            if let Some(capabilities) = config["process"]["capabilities"][set].as_array_mut() {
                capabilities.extend((!capability.is_empty()).then(|| capability.into()));
            }
        }
    }))
}

/// Runs a script in a container whose first process is a child of the runtime, as engines have it.
fn contain(network: &Netns, id: &str, script: &str, capability: &str) -> Result<()> {
    let overlay = root()?;
    let bundle = bundle(network, &overlay, script, capability)?;
    bundle.write()?;
    let runtime = Runtime::new("runc")?;
    let run = format!("exec {} run --bundle {} {id}", runtime.words(), bundle.folder().display());
    let ended = finish(&mut command("sh", ["-c", &run]), LIMIT)?;
    // A script may end with any code; what the runtime says itself is in this form.
    ensure!(!ended.stderr().contains("ERRO") && !ended.stderr().contains("level=error"), "{id}: {}", ended.stderr());
    Ok(())
}

/// The alerts of a container.
fn alerts<'a>(events: &'a [Value], id: &str) -> Vec<&'a Value> {
    events.iter().filter(|alert| alert["container"]["id"] == id || alert["container"]["name"] == id).collect()
}

fn fired<'a>(events: &'a [Value], id: &str) -> BTreeSet<&'a str> {
    alerts(events, id).into_iter().filter_map(|alert| alert["rule"].as_str()).collect()
}

/// What is wrong with what was told of a case.
fn judge(case: &Case, events: &[Value], id: &str, quiet_id: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let also: BTreeSet<&str> = case.also.iter().copied().collect();
    let loud = fired(events, id);
    let expected: BTreeSet<&str> = also.iter().copied().chain([case.rule]).collect();
    if loud != expected {
        wrong.push(format!("{}: {:?} fires {loud:?}", case.rule, case.fires));
    }
    for (field, value) in case.fields {
        let has = |alert: &&Value| alert["rule"] == case.rule && alert["fields"][field] == **value;
        if !alerts(events, id).iter().any(has) {
            let fields: Vec<&Value> = alerts(events, id)
                .iter()
                .filter(|alert| alert["rule"] == case.rule)
                .map(|alert| &alert["fields"])
                .collect();
            wrong.push(format!("{}: {field} is nowhere {value}: {fields:?}", case.rule));
        }
    }
    let quiet = fired(events, quiet_id);
    if !quiet.is_subset(&also) || quiet.contains(case.rule) {
        wrong.push(format!("{}: {:?} fires {quiet:?}", case.rule, case.quiet));
    }
    wrong
}

/// Does all cases under rules, and says what is wrong; `more` does what they do not, and says what is wrong with that.
fn all(
    rules: &[&str],
    cases: &[&Case],
    last: (&str, &str),
    more: impl FnOnce(&Netns, &str) -> Result<Vec<(&'static str, String, bool)>>,
) -> Result<()> {
    let _alone = alone()?;
    let (state, network) = (tempfile::tempdir()?, network()?);
    let state = state.path().display().to_string();
    let mut arguments = vec!["--no-shipped-rules", "--state", &state];
    rules.iter().for_each(|file| arguments.extend(["--rules", file]));
    let watching = Watching::detect(&arguments)?;
    let prefix = unique_name("rf-e2e-public");
    for (number, case) in cases.iter().enumerate() {
        contain(&network, &format!("{prefix}-{number}"), case.fires, case.capability)
            .with_context(|| format!("{}: fires", case.rule))?;
        contain(&network, &format!("{prefix}-{number}-quiet"), case.quiet, "")
            .with_context(|| format!("{}: quiet", case.rule))?;
    }
    let others = more(&network, &prefix)?;
    contain(&network, &format!("{prefix}-last"), last.0, "")?;
    watching.wait_for(&format!("{prefix}-last"))?;
    let watched = watching.stop()?;
    ensure!(!watched.stderr.contains("lost"), "{}", watched.stderr);
    let events = watched.events()?;

    let mut wrong: Vec<String> = cases
        .iter()
        .enumerate()
        .flat_map(|(number, case)| {
            judge(case, &events, &format!("{prefix}-{number}"), &format!("{prefix}-{number}-quiet"))
        })
        .collect();
    for (rule, id, fires) in others {
        let expected = if fires { BTreeSet::from([rule]) } else { BTreeSet::new() };
        if fired(&events, &id) != expected {
            wrong.push(format!("{rule}: in {id} {:?} fire", fired(&events, &id)));
        }
    }
    ensure!(fired(&events, &format!("{prefix}-last")).contains(last.1), "the last alert");
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Comes into two containers from outside: with a terminal, and without.
fn come_in(network: &Netns, prefix: &str) -> Result<Vec<(&'static str, String, bool)>> {
    let runtime = Runtime::new("runc")?;
    let mut ids = Vec::new();
    for with_terminal in [true, false] {
        let overlay = root()?;
        let bundle = bundle(network, &overlay, "sleep 60", "")?;
        let id = format!("{prefix}-terminal-{with_terminal}");
        let container = runtime.create(&bundle, &id)?;
        container.start()?;
        if with_terminal {
            let come_in = format!("{} exec --tty {id} /bin/sh -c true", runtime.words());
            let mut script = Command::new("script");
            script.args(["--quiet", "--return", "--command", &come_in, "/dev/null"]).stdin(Stdio::null());
            must_within(&mut script, LIMIT)?;
        } else {
            container.exec(&["/bin/sh", "-c", "true"])?;
        }
        container.delete()?;
        ids.push(("Terminal shell in container", id, with_terminal));
    }
    Ok(ids)
}

#[test]
#[ignore = "needs root"]
fn each_stable_rule_is_fired_by_a_real_action_and_quiet_about_what_is_nearly_the_same() -> Result<()> {
    need!("runc", "busybox", "gcc", "ip", "script");
    let Some(file) = public(STABLE) else { skip!("RINGFENCE_TEST_DATA is not set") };
    let cases: Vec<&Case> = STABLE_CASES.iter().collect();

    all(&[&file.display().to_string()], &cases, ("cat /etc/shadow", "Read sensitive file untrusted"), come_in)
}

/// Connects to an address that is not local, in two containers of which one is a pod's in a namespace that is watched. Runtimes
/// keep their state at the usual place: there annotations are found.
fn leave_the_subnet(network: &Netns, prefix: &str) -> Result<Vec<(&'static str, String, bool)>> {
    let mut ids = Vec::new();
    for (namespace, address, fires) in
        [("shop", "203.0.113.9", true), ("shop", "10.96.0.1", false), ("other", "203.0.113.9", false)]
    {
        let overlay = root()?;
        let id = format!("{prefix}-{namespace}-{address}");
        let script = format!("sleep 1; /bin/deeds tell {address} 80; sleep 1");
        let bundle = bundle(network, &overlay, &script, "")?
            .change(|config| config["annotations"] = json!({"io.kubernetes.pod.namespace": namespace}));
        bundle.write()?;
        let ended = finish(command("runc", ["run", &id]).current_dir(bundle.folder()), LIMIT)?;
        ensure!(ended.status.success(), "{}", ended.stderr());
        ids.push(("Network Connection outside Local Subnet", id, fires));
    }
    Ok(ids)
}

#[test]
#[ignore = "needs root"]
fn each_incubating_rule_is_fired_by_a_real_action_and_quiet_about_what_is_nearly_the_same() -> Result<()> {
    need!("runc", "busybox", "gcc", "ip");
    let Some(file) = public(INCUBATING) else { skip!("RINGFENCE_TEST_DATA is not set") };
    let folder = tempfile::tempdir()?;
    // Without a namespace in it the rule that reads this list is off.
    let own = folder.path().join("own.yaml");
    std::fs::write(&own, "- list: namespace_scope_network_only_subnet\n  items: [shop]\n")?;
    let cases: Vec<&Case> = INCUBATING_CASES.iter().collect();

    all(
        &[&file.display().to_string(), &own.display().to_string()],
        &cases,
        ("chmod u+s /opt/x", "Set Setuid or Setgid bit"),
        leave_the_subnet,
    )
}

/// Of containers with all privileges; podman makes such ones also where it has not every capability itself.
const PRIVILEGED: [&str; 3] = [
    "Debugfs Launched in Privileged Container",
    "Launch Privileged Container",
    "Mount Launched in Privileged Container",
];

#[test]
#[ignore = "needs root"]
fn rules_about_privileged_containers_are_fired_in_those_of_podman() -> Result<()> {
    need!("podman", "runc", "busybox", "gcc");
    let (Some(stable), Some(incubating)) = (public(STABLE), public(INCUBATING)) else {
        skip!("RINGFENCE_TEST_DATA is not set")
    };
    let _alone = alone()?;
    let state = tempfile::tempdir()?;
    let podman = Podman::new("runc")?;
    podman.import(&rootfs::busybox()?, BUSYBOX_IMAGE)?;
    let (socket, _service) = (podman.socket(), podman.serve()?);
    let files = [stable, incubating].map(|file| file.display().to_string());
    let state = state.path().display().to_string();
    let arguments = ["--no-shipped-rules", "--state", &state, "--rules", &files[0], "--rules", &files[1]];
    let watching = Watching::detect_beside(&socket, "podman/podman.sock", &arguments)?;
    let script = "sleep 2; ln -s /bin/busybox /bin/debugfs; mkdir /mnt; /bin/debugfs -R ls; /bin/mount -t tmpfs none /mnt; \
                  /bin/mount -l; sleep 1";
    let args = ["/bin/sh", "-c", script].map(String::from);
    let name = unique_name("rf-e2e-public");
    for (kind, more) in [("plain", vec![]), ("privileged", vec!["--privileged"])] {
        let name = format!("{name}-{kind}");
        podman.run(&Wish { name: &name, image: BUSYBOX_IMAGE, args: &args, mounts: &[], more: &more })?;
        podman.podman(&["wait", &name])?;
        podman.remove(&name)?;
    }
    watching.wait_for(PRIVILEGED[2])?;
    std::thread::sleep(Duration::from_secs(1));
    let events = watching.stop()?.events()?;

    let of = |kind: &str| -> BTreeSet<&str> {
        let all = fired(&events, &format!("{name}-{kind}"));
        all.into_iter().filter(|rule| PRIVILEGED.contains(rule)).collect()
    };
    assert_eq!(of("privileged"), BTreeSet::from(PRIVILEGED));
    assert_eq!(of("plain"), BTreeSet::new());
    Ok(())
}

/// Rules that are never true of what happens in a container.
const OF_HOSTS: [&str; 2] = ["User mgmt binaries", "Launch Suspicious Network Tool on Host"];

#[test]
fn every_stable_and_incubating_rule_has_its_case() -> Result<()> {
    let (Some(stable), Some(incubating)) = (public(STABLE), public(INCUBATING)) else {
        skip!("RINGFENCE_TEST_DATA is not set")
    };
    let mut rules = BTreeSet::new();
    for file in [stable, incubating] {
        let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        rules.extend(text.lines().filter_map(|line| line.strip_prefix("- rule: ")).map(str::to_owned));
    }

    let tried: BTreeSet<String> = STABLE_CASES
        .iter()
        .chain(&INCUBATING_CASES)
        .map(|case| case.rule)
        .chain(["Terminal shell in container", "Network Connection outside Local Subnet"])
        .chain(PRIVILEGED)
        .chain(OF_HOSTS)
        .map(str::to_owned)
        .collect();
    assert_eq!(rules, tried);
    assert_eq!(rules.len(), 25 + 31);
    Ok(())
}
