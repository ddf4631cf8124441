//! Each of Falco's incubating rules with an event that it matches and one, nearly the same, that it does not.

mod support;

use event::{FileType, Protocol};
use rules::{Options, RuleSet};
use support::{O_CREAT, O_RDWR, O_TRUNC, O_WRONLY, Scene, end, public, socket, texts};

/// The rule's name, what it matches, and what it does not.
type Pair = (&'static str, Scene, Scene);

fn udp(port: u32) -> Scene {
    Scene::call("app", "connect").with(|action| {
        action.address = Some(end("203.0.113.9", port));
        action.file = Some(socket(5, Protocol::Udp, Some(end("172.17.0.2", 40_000)), None));
    })
}

/// A datagram over a socket without an end of its own.
fn sent(address: &str, port: u32) -> Scene {
    udp(port).with(|action| {
        let sent = Scene::call("app", "sendto");
        let event::Payload::Action(other) = sent.event.payload else { unreachable!("made above") };
        action.syscall = other.syscall;
        action.address = Some(end(address, port));
        action.result = 5;
    })
}

fn named(call: &str, path: &str, second: &str) -> Scene {
    Scene::call("rm x", call).with(|action| {
        action.path = path.into();
        action.second_path = second.into();
    })
}

fn mode(mode: u64) -> Scene {
    Scene::call("chmod x", "fchmodat").with(|action| action.args = [0, 0, mode, 0, 0, 0])
}

fn started(words: &str) -> Scene {
    Scene::exec(words).program(|exec| exec.pid_inside = 1)
}

fn becoming(uid: u64) -> Scene {
    Scene::call("app", "setuid").user(1000, "app").with(|action| action.args = [uid, 0, 0, 0, 0, 0])
}

fn pairs() -> Vec<Pair> {
    let files = [
        ("Modify Shell Configuration File", "vi", "/root/.bashrc", O_WRONLY, "/root/bashrc", O_WRONLY),
        ("Schedule Cron Jobs", "sed", "/etc/cron.d/x", O_RDWR, "/etc/cron.d/x", 0),
        ("Read ssh information", "cat", "/root/.ssh/id_rsa", 0, "/root/.sshd", O_WRONLY),
        ("Create files below dev", "touch", "/dev/x", O_WRONLY | O_CREAT, "/dev/null", O_WRONLY | O_CREAT),
        ("Read environment variable from /proc files", "cat", "/proc/1/environ", 0, "/proc/1/status", 0),
        (
            "Adding ssh keys to authorized_keys",
            "tee",
            "/root/.ssh/authorized_keys",
            O_WRONLY,
            "/root/.ssh/authorized_keys",
            0,
        ),
        (
            "Delete or rename shell history",
            "sh",
            "/root/.bash_history",
            O_WRONLY | O_TRUNC,
            "/root/.bash_history",
            O_WRONLY,
        ),
        (
            "Backdoored library loaded into SSHD (CVE-2024-3094)",
            "sshd",
            "/lib/liblzma.so.5.6.1",
            0,
            "/lib/liblzma.so.5.4.1",
            0,
        ),
    ];
    let mut pairs: Vec<Pair> = files
        .into_iter()
        .map(|(rule, words, path, flags, other, other_flags)| {
            (rule, Scene::open(words, path, flags), Scene::open(words, other, other_flags))
        })
        .collect();
    let execs = [
        ("Launch Package Management Process in Container", "apt-get install x", "aptly x"),
        ("Launch Suspicious Network Tool in Container", "nmap 10.0.0.1", "curl 10.0.0.1"),
        ("Launch Remote File Copy Tools in Container", "rsync a b", "cp a b"),
        ("Launch Ingress Remote File Copy Tools in Container", "curl -o x http://a", "curl http://a"),
        ("Schedule Cron Jobs", "crontab -e", "cron"),
    ];
    pairs.extend(execs.map(|(rule, fires, quiet)| (rule, Scene::exec(fires), Scene::exec(quiet))));
    let environment = |words: &str, variable: &str| {
        let variable = variable.to_owned();
        Scene::exec(words).image(move |image| image.environment = texts(&["PATH=/bin", &variable]))
    };
    pairs.extend([
        (
            "DB program spawned process",
            Scene::exec("sh -c id").only_below(&["postgres -D x"]),
            Scene::exec("postgres x").only_below(&["postgres -D x"]),
        ),
        ("Change thread namespace", Scene::call("x", "setns"), Scene::call("runc init", "setns")),
        (
            "Change namespace privileges via unshare",
            Scene::call("x", "unshare"),
            Scene::call("x", "unshare").capable(&["CAP_SYS_ADMIN"]),
        ),
        (
            "Launch Privileged Container",
            started("sh").change(|scene| scene.privileged = true),
            Scene::exec("sh").change(|scene| scene.privileged = true),
        ),
        (
            "Launch Excessively Capable Container",
            started("sh").capable(&["CAP_SYS_PTRACE"]),
            started("sh").capable(&["CAP_CHOWN"]),
        ),
        (
            "System procs network activity",
            Scene::connect("sleep 1", "203.0.113.9", 80),
            Scene::connect("curl x", "203.0.113.9", 80),
        ),
        (
            "Program run with disallowed http proxy env",
            environment("curl x", "http_proxy=http://a"),
            environment("curl x", "HTTPS=1"),
        ),
        ("Unexpected UDP Traffic", udp(4000), udp(53)),
        ("Non sudo setuid", becoming(5), becoming(5).user(1000, "root")),
        (
            "Contact EC2 Instance Metadata Service From Container",
            Scene::connect("curl x", "169.254.169.254", 80),
            Scene::connect("curl x", "169.254.169.253", 80),
        ),
        (
            "Contact cloud metadata service from container",
            sent("169.254.169.254", 53),
            Scene::connect("curl x", "169.254.169.254", 80).with(|action| action.result = -111),
        ),
        (
            "Delete or rename shell history",
            named("unlinkat", "/root/.bash_history", ""),
            named("unlinkat", "/root/notes", ""),
        ),
        (
            "Delete or rename shell history",
            named("rename", "/root/.zsh_history", "/tmp/x"),
            named("rename", "/tmp/x", "/root/.zsh_history"),
        ),
        ("Set Setuid or Setgid bit", mode(0o4755), mode(0o755)),
        (
            "Network Connection outside Local Subnet",
            Scene::connect("app", "203.0.113.9", 80).change(|scene| {
                scene.labels.insert("io.kubernetes.pod.namespace".into(), "shop".into());
            }),
            Scene::connect("app", "10.0.0.9", 80).change(|scene| {
                scene.labels.insert("io.kubernetes.pod.namespace".into(), "shop".into());
            }),
        ),
        (
            "Mount Launched in Privileged Container",
            Scene::exec("mount /dev/sda1 /mnt").change(|scene| scene.privileged = true),
            Scene::exec("mount -l").change(|scene| scene.privileged = true),
        ),
        (
            "Exfiltrating Artifacts via Kubernetes Control Plane",
            Scene::open("tar cf - /srv", "/srv/x", 0).only_below(&["runc"]),
            Scene::open("tar cf - /srv", "/srv/x", 0).only_below(&["bash"]),
        ),
        (
            "Potential Local Privilege Escalation via Environment Variables Misuse",
            environment("su", "GLIBC_TUNABLES=x"),
            environment("su", "TUNABLES=x"),
        ),
        (
            "BPF Program Not Profiled",
            Scene::call("x", "bpf").with(|action| action.args = [5, 0, 0, 0, 0, 0]),
            Scene::call("x", "bpf").with(|action| action.args = [1, 0, 0, 0, 0, 0]),
        ),
        (
            "Read ssh information",
            Scene::open("ls", "/home/a/.ssh/x", 0).with(|action| {
                action.file.as_mut().expect("a file").file_type = FileType::Directory;
            }),
            Scene::open("ssh a", "/home/a/.ssh/x", 0),
        ),
    ]);
    pairs
}

/// Rules that are never true of what happens in a container.
const OF_HOSTS: [&str; 2] = ["User mgmt binaries", "Launch Suspicious Network Tool on Host"];

#[test]
fn every_incubating_rule_matches_what_it_is_for_and_not_what_is_nearly_so() {
    let Some(mut files) = public(&["falco-incubating_rules.yaml"]) else { return };
    // Without a namespace in it the rule that reads this list is off.
    files.push(("own.yaml".into(), "- list: namespace_scope_network_only_subnet\n  items: [shop]\n".into()));
    let (set, _) = RuleSet::load(&files, &Options::default());
    let pairs = pairs();

    for (rule, fires, quiet) in &pairs {
        let matching = fires.matching(&set);
        assert!(matching.iter().any(|name| name == rule), "{rule} is quiet; {matching:?} match");
        let matching = quiet.matching(&set);
        assert!(!matching.iter().any(|name| name == rule), "{rule} fires where it should not");
    }
    for rule in set.rules().iter().filter(|rule| !OF_HOSTS.contains(&rule.name())) {
        assert!(pairs.iter().any(|(name, ..)| *name == rule.name()), "{} has no events here", rule.name());
    }
    for rule in OF_HOSTS {
        let fires = Scene::exec("useradd x").matching(&set);
        assert!(!fires.iter().any(|name| name == rule), "{rule}");
    }
}
