//! What Falco has and ringfence does not, so that its rules are refused with a reason.

use super::TABLE;

/// The classes of Falco's fields, but for `container`, which both have.
const CLASSES: [&str; 19] = [
    "evt",
    "evtin",
    "fd",
    "fdlist",
    "fs",
    "group",
    "gen_event",
    "jevt",
    "json",
    "k8s",
    "ka",
    "mesos",
    "proc",
    "span",
    "syscall",
    "syslog",
    "thread",
    "tracers",
    "user",
];

const READ: &str = "what is read and written is not looked at";
const TIMING: &str = "calls are looked at when they return, not between their beginning and their end";
const SECOND: &str = "no second look is taken at the file";
const TABLES: &str = "nobody counts what a process has open, or its threads and children";
const PROBES: &str = "health checks are not told apart from other programs";
const AUDIT: &str = "it is of the audit events of Kubernetes, and only system calls are looked at";
const PLUGIN: &str = "it is of a source of events that only Falco has";
const SERVICE: &str = "names of services are not looked up";
const OBJECTS: &str = "it would have to be asked of the Kubernetes API";

/// Fields of Falco's that are not here, and why.
const ABSENT: &[(&str, &str)] = &[
    ("container.cni.json", OBJECTS),
    ("container.healthcheck", PROBES),
    ("container.liveness_probe", PROBES),
    ("container.readiness_probe", PROBES),
    ("container.user", "the engine's setting is not passed on; user.name is who really does it"),
    ("evt.abspath", "fs.path.name says it"),
    ("evt.around", TIMING),
    ("evt.asynctype", PLUGIN),
    ("evt.buffer", READ),
    ("evt.buflen", READ),
    ("evt.buflen.in", READ),
    ("evt.buflen.out", READ),
    ("evt.category", "name the calls with evt.type"),
    ("evt.cpu", "the CPU is not recorded"),
    ("evt.deltatime", TIMING),
    ("evt.info", "evt.args says it"),
    ("evt.io_dir", READ),
    ("evt.is_async", PLUGIN),
    ("evt.is_io", READ),
    ("evt.is_io_read", READ),
    ("evt.is_io_write", READ),
    ("evt.is_syslog", READ),
    ("evt.is_wait", TIMING),
    ("evt.latency", TIMING),
    ("evt.pluginname", PLUGIN),
    ("evt.wait_latency", TIMING),
    ("fd.cproto", SERVICE),
    ("fd.dev", SECOND),
    ("fd.dev.major", SECOND),
    ("fd.dev.minor", SECOND),
    ("fd.ino", SECOND),
    ("fd.lproto", SERVICE),
    ("fd.proto", SERVICE),
    ("fd.rproto", SERVICE),
    ("fd.sproto", SERVICE),
    ("fd.types", TABLES),
    ("fd.uid", "fd.num and thread.tid say it"),
    ("k8s.deployment.name", OBJECTS),
    ("k8s.pod.ip", OBJECTS),
    ("k8s.pod.label", OBJECTS),
    ("k8s.pod.labels", OBJECTS),
    ("k8s.rc.name", OBJECTS),
    ("k8s.rs.name", OBJECTS),
    ("k8s.svc.name", OBJECTS),
    ("proc.aenv", "the environment of ancestors is not kept"),
    ("proc.exe_ino.ctime_duration_pidns_start", "the start of a pid namespace is not recorded"),
    ("proc.fdlimit", TABLES),
    ("proc.fdopencount", TABLES),
    ("proc.fdusage", TABLES),
    ("proc.is_container_healthcheck", PROBES),
    ("proc.is_container_liveness_probe", PROBES),
    ("proc.is_container_readiness_probe", PROBES),
    ("proc.is_exe_lower_layer", "only the upper layer is told from the others"),
    ("proc.is_exe_writable", "whether a file could be written is not asked"),
    ("proc.loginshellid", "shells are not told apart from other ancestors"),
    ("proc.nchilds", TABLES),
    ("proc.nthreads", TABLES),
    ("proc.pidns_init_start_ts", "the start of a pid namespace is not recorded"),
    ("proc.stdin.name", TABLES),
    ("proc.stdin.type", TABLES),
    ("proc.stdout.name", TABLES),
    ("proc.stdout.type", TABLES),
    ("proc.vmrss", "memory is measured for containers, not for processes"),
    ("proc.vmsize", "memory is measured for containers, not for processes"),
    ("thread.cpu", "CPU time is measured for containers, not for threads"),
    ("thread.exectime", "CPU time is measured for containers, not for threads"),
    ("thread.totexectime", "CPU time is measured for containers, not for threads"),
    ("thread.vtid", "only processes have their number in their own namespace recorded"),
    ("user.homedir", "only the names of users are looked up"),
    ("user.shell", "only the names of users are looked up"),
];

/// Classes of which nothing is here, and why.
const ABSENT_CLASSES: &[(&str, &str)] = &[
    ("evtin", TIMING),
    ("fdlist", "poll and its like are not looked into"),
    ("gen_event", PLUGIN),
    ("jevt", PLUGIN),
    ("json", PLUGIN),
    ("ka", AUDIT),
    ("mesos", OBJECTS),
    ("span", TIMING),
    ("syslog", READ),
    ("tracers", TIMING),
];

/// What says the same, or nearly so, of an event of any kind.
const NEAREST: [(&str, &str); 22] = [
    ("container.full_id", "container.id"),
    ("container.image.repository", "container.image"),
    ("container.image.tag", "container.image"),
    ("container.type", "container.engine"),
    ("evt.rawtime", "event.wall_time"),
    ("evt.time", "event.wall_time"),
    ("evt.type", "event.kind"),
    ("group.gid", "exec.gid"),
    ("proc.args", "exec.argv"),
    ("proc.cmdline", "exec.argv"),
    ("proc.cwd", "exec.cwd"),
    ("proc.exe", "exec.argv[0]"),
    ("proc.exepath", "process.executable"),
    ("proc.name", "process.name"),
    ("proc.pexepath", "process.parent.executable"),
    ("proc.pid", "process.pid"),
    ("proc.pname", "process.parent.executable"),
    ("proc.ppid", "process.parent.pid"),
    ("proc.vpid", "exec.pid_inside"),
    ("thread.tid", "process.tid"),
    ("user.loginuid", "exec.uid"),
    ("user.uid", "exec.uid"),
];

/// What stands before a list in other languages: `= anyof (…)`.
const MODIFIERS: [&str; 2] = ["allof", "anyof"];

/// Whether Falco has a field with this name, or one like it.
pub(crate) fn has_field(name: &str) -> bool {
    let is_its =
        |name: &str| TABLE.iter().any(|entry| entry.name == name) || ABSENT.iter().any(|(absent, _)| *absent == name);
    match name.split_once('.') {
        Some(("container", rest)) => is_its(name) && !matches!(rest, "id" | "name" | "image"),
        Some((class, _)) => CLASSES.contains(&class),
        None => false,
    }
}

/// Why a field of Falco's is not here; none if it is, or if Falco has none either.
pub(crate) fn why_absent(name: &str) -> Option<&'static str> {
    let by_name = ABSENT.iter().find(|(absent, _)| *absent == name);
    let class = name.split_once('.').map_or(name, |(class, _)| class);
    by_name.or_else(|| ABSENT_CLASSES.iter().find(|(absent, _)| *absent == class)).map(|(_, why)| *why)
}

/// The field of ours that is nearest to one of Falco's.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    NEAREST.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours)
}

pub(crate) fn is_modifier(name: &str) -> bool {
    MODIFIERS.contains(&name)
}

/// Events of Falco's that are not here, and why.
const ABSENT_EVENTS: &[(&str, &str)] = &[
    ("asyncevent", PLUGIN),
    ("container", "the life of a container is told as event.kind"),
    ("cpu_hotplug", "the host's CPUs are not watched"),
    ("drop", "losses are counted and told apart from rules"),
    ("group_added", "accounts are looked up when a rule needs them"),
    ("group_deleted", "accounts are looked up when a rule needs them"),
    ("infra", PLUGIN),
    ("k8s", PLUGIN),
    ("mesos", PLUGIN),
    ("notification", PLUGIN),
    ("page_fault", "page faults are counted, not looked at one by one"),
    ("pluginevent", PLUGIN),
    ("procinfo", "processes are followed without it"),
    ("signaldeliver", "signals are seen where they end a process, as exit.signal"),
    ("switch", "the scheduler is not watched"),
    ("syscall", "a call without a name cannot be asked for"),
    ("sysdigevent", PLUGIN),
    ("tracer", TIMING),
    ("user_added", "accounts are looked up when a rule needs them"),
    ("user_deleted", "accounts are looked up when a rule needs them"),
];

/// Why an event of Falco's is not here.
pub(crate) fn why_absent_event(name: &str) -> Option<&'static str> {
    ABSENT_EVENTS.iter().find(|(absent, _)| *absent == name).map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::falco::Call;
    use crate::registry;

    #[test]
    fn the_nearest_field_is_one_that_there_is() {
        for (theirs, ours) in NEAREST {
            assert!(has_field(theirs), "{theirs}");
            let name = ours.split('[').next().expect("a name");
            assert!(registry().find(name).is_some(), "{ours}");
        }
    }

    #[test]
    fn what_is_called_falcos_is_not_also_ours() {
        for field in registry().all().iter().filter(|field| !field.name.starts_with("syscall.")) {
            assert!(!has_field(&field.name), "{}: the message would be wrong", field.name);
        }
    }

    #[test]
    fn what_is_called_absent_is_not_there() {
        for (name, _) in ABSENT {
            assert!(TABLE.iter().all(|entry| entry.name != *name), "{name}");
        }
        for (name, _) in ABSENT_EVENTS {
            assert!(Call::named(name).is_none(), "{name}");
        }
    }
}
