//! Options for a unit of systemd: a drop-in for a plain service. systemd.exec(5), as of version 249.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use event::{Arch, PrivilegedOperation as Operation, Text};

use super::settings::Settings;
use super::{Output, quoting};
use crate::access_control::{AccessControl, FileNeed};
use crate::{Profile, Recommendation};

const ENOSYS: u32 = 38;
/// Where PrivateTmp= puts folders of the service's own.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];
/// What ProtectSystem= leaves writable.
const OF_THE_KERNEL: [&str; 3] = ["/dev", "/proc", "/sys"];
/// What PrivateDevices= leaves.
const PSEUDO_DEVICES: [&str; 9] = [
    "/dev/full",
    "/dev/mqueue",
    "/dev/null",
    "/dev/ptmx",
    "/dev/pts",
    "/dev/random",
    "/dev/tty",
    "/dev/urandom",
    "/dev/zero",
];

/// The drop-in.
pub(super) fn options(recommendation: &Recommendation, profile: &Profile, settings: &Settings) -> Output {
    let used = &recommendation.access_control;
    let mut unit = Unit { text: String::new() };
    unit.comment(
        "A drop-in: /etc/systemd/system/NAME.service.d/ringfence.conf, for a plain service, not for a container.",
    );
    for note in &settings.notes {
        unit.comment(note);
    }
    unit.text.push_str("[Service]\n");
    calls(&mut unit, profile, recommendation);
    let capabilities: Vec<String> = settings.capabilities.iter().map(|one| one.name().into_owned()).collect();
    unit.set("CapabilityBoundingSet", &capabilities.join(" "));
    if let Some(user) = settings.user {
        unit.set("User", &user.uid.to_string());
        unit.set("Group", &user.gid.to_string());
        unit.set("AmbientCapabilities", &capabilities.join(" "));
    }
    if settings.no_new_privileges {
        unit.set("NoNewPrivileges", "yes");
    }
    files(&mut unit, used, &capabilities);
    kernel(&mut unit, used, profile, &capabilities);
    sockets(&mut unit, used);
    namespaces(&mut unit, used);
    limits(&mut unit, settings);
    Output::of(unit.text)
}

struct Unit {
    text: String,
}

impl Unit {
    fn set(&mut self, key: &str, value: &str) {
        let _ = writeln!(self.text, "{key}={value}");
    }

    fn comment(&mut self, text: &str) {
        let _ = writeln!(self.text, "{}", quoting::comment(text));
    }

    /// An option that takes something away, if nothing of it was seen.
    fn unless(&mut self, is_used: bool, key: &str, value: &str) {
        if !is_used {
            self.set(key, value);
        }
    }
}

/// The filter. Its default is EPERM; what programs try first and go on without is answered ENOSYS.
fn calls(unit: &mut Unit, profile: &Profile, recommendation: &Recommendation) {
    let of = |is_wanted: &dyn Fn(&crate::Rule) -> bool| -> Vec<&str> {
        let rules = profile.syscalls.iter().filter(|rule| is_wanted(rule));
        let names: BTreeSet<&str> = rules.flat_map(|rule| &rule.names).map(String::as_str).collect();
        names.into_iter().collect()
    };
    let allowed = of(&|rule| rule.action == "SCMP_ACT_ALLOW");
    let mut unknown = of(&|rule| rule.action == "SCMP_ACT_ERRNO" && rule.errno_ret == Some(ENOSYS));
    // A call that is allowed with some arguments only is allowed with all here.
    unknown.retain(|name| allowed.binary_search(name).is_err());
    unit.comment("Conditions on arguments cannot be said here: a call is allowed with all of them.");
    unit.set("SystemCallFilter", &allowed.join(" "));
    if !unknown.is_empty() {
        let unknown: Vec<String> = unknown.iter().map(|name| format!("{name}:ENOSYS")).collect();
        unit.set("SystemCallFilter", &format!("~{}", unknown.join(" ")));
    }
    unit.set("SystemCallErrorNumber", "EPERM");
    let tables: Vec<&str> = recommendation.seccomp.architectures.iter().map(|&arch| architecture(arch)).collect();
    unit.set("SystemCallArchitectures", &tables.join(" "));
}

/// The names of ConditionArchitecture=.
fn architecture(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "x86-64",
        Arch::X86 => "x86",
        Arch::X32 => "x32",
        Arch::Aarch64 => "arm64",
        Arch::Arm => "arm",
    }
}

fn files(unit: &mut Unit, used: &AccessControl, capabilities: &[String]) {
    let is_below = |file: &FileNeed, folder: &str| below(&file.path, folder);
    let any = |folders: &[&str]| used.files.iter().any(|file| folders.iter().any(|folder| is_below(file, folder)));
    // A socket there may be how others reach the service: a folder of its own would hide it.
    let shares_temporary =
        used.files.iter().any(|file| file.socket && TEMPORARY.iter().any(|folder| is_below(file, folder)));
    // Nor would what others put there be seen.
    let shares_temporary = shares_temporary || finds_temporary(used);
    unit.unless(shares_temporary, "PrivateTmp", "yes");

    let mut writable = BTreeSet::new();
    let mut unsaid = Vec::new();
    let mut is_root = false;
    let hidden = |path: &Text| {
        let temporary = TEMPORARY.iter().filter(|_| !shares_temporary);
        OF_THE_KERNEL.iter().chain(temporary).any(|folder| below(path, folder))
    };
    for file in used.files.iter().filter(|file| (file.write || file.named) && !hidden(&file.path)) {
        let place = if file.any_below {
            file.path.clone()
        } else if file.named {
            parent(&file.path)
        } else {
            file.path.clone()
        };
        is_root |= place.as_bytes() == b"/";
        match quoting::writable(&place) {
            Some(_) => {
                writable.insert(place);
            }
            None => unsaid.push(place.shown().into_owned()),
        }
    }
    if is_root || !unsaid.is_empty() {
        let why = if is_root { "it makes names in /".to_owned() } else { format!("it writes {}", unsaid.join(", ")) };
        unit.comment(&format!("ProtectSystem: not set: {why}"));
    } else {
        unit.set("ProtectSystem", "strict");
        for path in outermost(&writable) {
            if let Some(path) = quoting::writable(path) {
                // A dash: one that is not there is left out.
                unit.set("ReadWritePaths", &quoting::unit(&format!("-{path}")));
            }
        }
    }
    unit.unless(any(&["/home", "/root", "/run/user"]), "ProtectHome", "yes");
    let makes_devices = capabilities.iter().any(|name| name == "CAP_MKNOD" || name == "CAP_SYS_RAWIO");
    unit.unless(has_device(used) || makes_devices, "PrivateDevices", "yes");
}

/// Whether it used something in a temporary directory that it did not make, or something in such a directory there.
fn finds_temporary(used: &AccessControl) -> bool {
    let made: BTreeSet<&Text> = used.files.iter().filter(|file| file.named).map(|file| &file.path).collect();
    let is_temporary = |path: &Text| TEMPORARY.iter().any(|folder| path.as_bytes() == folder.as_bytes());
    let mut inside = used.files.iter().filter(|file| TEMPORARY.iter().any(|folder| below(&file.path, folder)));
    inside.any(|file| {
        let mut path = file.path.clone();
        while !is_temporary(&path) {
            if !made.contains(&path) {
                return true;
            }
            path = parent(&path);
        }
        // Of files that are not listed one by one it is not known who made them.
        file.any_below
    })
}

/// Whether it used a device that not every service has.
fn has_device(used: &AccessControl) -> bool {
    used.files.iter().any(|file| file.device && !PSEUDO_DEVICES.iter().any(|device| below(&file.path, device)))
}

fn kernel(unit: &mut Unit, used: &AccessControl, profile: &Profile, capabilities: &[String]) {
    let has = |name: &str| capabilities.iter().any(|capability| capability == name);
    let written = |folders: &[&str]| {
        used.files.iter().any(|file| file.write && folders.iter().any(|folder| below(&file.path, folder)))
    };
    let touched =
        |paths: &[&str]| used.files.iter().any(|file| paths.iter().any(|path| file.path.as_bytes() == path.as_bytes()));
    let allows = |calls: &[&str]| {
        let rules = profile.syscalls.iter().filter(|rule| rule.action == "SCMP_ACT_ALLOW");
        rules.flat_map(|rule| &rule.names).any(|name| calls.contains(&name.as_str()))
    };
    let modules = [Operation::InitModule, Operation::FinitModule, Operation::DeleteModule];
    let clock = [
        Operation::Settimeofday,
        Operation::ClockSettime,
        Operation::ClockAdjtime,
        Operation::Adjtimex,
        Operation::Stime,
    ];
    let tunables = ["/proc/sys", "/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/acpi", "/proc/fs"];
    unit.unless(written(&tunables), "ProtectKernelTunables", "yes");
    unit.unless(used.did(&modules) || has("CAP_SYS_MODULE"), "ProtectKernelModules", "yes");
    unit.unless(
        used.did(&[Operation::Syslog]) || touched(&["/dev/kmsg", "/proc/kmsg"]) || has("CAP_SYSLOG"),
        "ProtectKernelLogs",
        "yes",
    );
    unit.unless(written(&["/sys/fs/cgroup"]), "ProtectControlGroups", "yes");
    // It also closes all devices but the clock's, and these calls, which also read the clock.
    let sets_clock = used.did(&clock) || has("CAP_SYS_TIME") || has("CAP_WAKE_ALARM");
    let reads_clock = allows(&["adjtimex", "clock_adjtime", "clock_adjtime64"]);
    unit.unless(sets_clock || reads_clock || has_device(used), "ProtectClock", "yes");
    unit.unless(used.did(&[Operation::Sethostname, Operation::Setdomainname]), "ProtectHostname", "yes");
    // Whose process a path below /proc is of is not known: the list of all is what tells.
    unit.unless(touched(&["/proc"]) || has("CAP_SYS_PTRACE"), "ProtectProc", "invisible");
    let is_process = |path: &[u8]| {
        path.get(6).is_some_and(|byte| byte.is_ascii_digit() || *byte == b's' && path.starts_with(b"/proc/self"))
    };
    let system =
        used.files.iter().any(|file| file.path.as_bytes().starts_with(b"/proc/") && !is_process(file.path.as_bytes()));
    unit.unless(system, "ProcSubset", "pid");
    unit.unless(used.did(&[Operation::Mmap, Operation::Mprotect]), "MemoryDenyWriteExecute", "yes");
    unit.unless(allows(&["personality"]), "LockPersonality", "yes");
    unit.unless(allows(&["sched_setscheduler", "sched_setparam", "sched_setattr"]), "RestrictRealtime", "yes");
}

fn sockets(unit: &mut Unit, used: &AccessControl) {
    let families: BTreeSet<String> = used.sockets.iter().map(|one| one.family.name().to_ascii_uppercase()).collect();
    if families.iter().any(|name| name.starts_with(|c: char| c.is_ascii_digit())) {
        unit.comment("RestrictAddressFamilies: not set: it uses a family without a name");
    } else if families.is_empty() {
        unit.set("RestrictAddressFamilies", "none");
    } else {
        let families: Vec<String> = families.iter().map(|name| format!("AF_{name}")).collect();
        unit.set("RestrictAddressFamilies", &families.join(" "));
    }
}

/// The flags of namespaces and systemd's names for them.
const NAMESPACES: [(&str, &str); 7] = [
    ("CLONE_NEWCGROUP", "cgroup"),
    ("CLONE_NEWIPC", "ipc"),
    ("CLONE_NEWNET", "net"),
    ("CLONE_NEWNS", "mnt"),
    ("CLONE_NEWPID", "pid"),
    ("CLONE_NEWUSER", "user"),
    ("CLONE_NEWUTS", "uts"),
];

fn namespaces(unit: &mut Unit, used: &AccessControl) {
    let calls = [Operation::Unshare, Operation::Clone, Operation::Clone3, Operation::Setns];
    let mut names = BTreeSet::new();
    let mut is_any = false;
    for one in used.operations.iter().filter(|one| calls.contains(&one.operation)) {
        let flags = one.details.iter().filter(|flag| flag.as_bytes().starts_with(b"CLONE_NEW"));
        let known: Vec<_> =
            flags.map(|flag| NAMESPACES.iter().find(|(name, _)| name.as_bytes() == flag.as_bytes())).collect();
        // setns(2) without a type, and clone3(2), of which the flags cannot be told, need all of them.
        is_any |= known.contains(&None) || (known.is_empty() && one.operation == Operation::Setns);
        names.extend(known.into_iter().flatten().map(|(_, name)| *name));
    }
    if is_any {
        unit.comment("RestrictNamespaces: not set: it enters namespaces of any kind");
    } else if names.is_empty() {
        unit.set("RestrictNamespaces", "yes");
    } else {
        unit.set("RestrictNamespaces", &names.into_iter().collect::<Vec<_>>().join(" "));
    }
}

fn limits(unit: &mut Unit, settings: &Settings) {
    if let Some(pids) = settings.pids {
        unit.set("TasksMax", &pids.to_string());
    }
    if let Some(bytes) = settings.memory_bytes {
        unit.set("MemoryMax", &bytes.to_string());
    }
    if let Some(milli) = settings.cpu_milli {
        unit.set("CPUQuota", &format!("{}.{}%", milli / 10, milli % 10));
    }
    for (name, limit) in &settings.ulimits {
        unit.set(&format!("Limit{}", name.to_ascii_uppercase()), &limit.to_string());
    }
}

fn below(path: &Text, folder: &str) -> bool {
    path.as_bytes().strip_prefix(folder.as_bytes()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

fn parent(path: &Text) -> Text {
    let bytes = path.as_bytes();
    match bytes.iter().rposition(|&byte| byte == b'/') {
        None | Some(0) => "/".into(),
        Some(at) => Text::new(&bytes[..at]),
    }
}

/// Those that lie below none of the others.
fn outermost(paths: &BTreeSet<Text>) -> Vec<&Text> {
    let mut kept: Vec<&Text> = Vec::new();
    for path in paths {
        let is_covered = kept
            .iter()
            .any(|outer| path.as_bytes().strip_prefix(outer.as_bytes()).is_some_and(|rest| rest.starts_with(b"/")));
        if !is_covered {
            kept.push(path);
        }
    }
    kept
}
