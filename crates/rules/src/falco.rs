//! What Falco has and ringfence does not, so that its rules are refused with a reason.

/// The classes of Falco's fields, but for `container`, which both have.
const CLASSES: [&str; 18] = [
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
    "syslog",
    "thread",
    "tracers",
    "user",
];

/// Fields of the class that both have.
const CONTAINER: [&str; 24] = [
    "cni.json",
    "duration",
    "full_id",
    "healthcheck",
    "host_ipc",
    "host_network",
    "host_pid",
    "image.digest",
    "image.id",
    "image.repository",
    "image.tag",
    "ip",
    "label",
    "labels",
    "liveness_probe",
    "mount",
    "mount.dest",
    "mount.source",
    "mounts",
    "privileged",
    "readiness_probe",
    "start_ts",
    "type",
    "user",
];

/// What says the same, or nearly so, here.
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

const TRANSFORMERS: [&str; 6] = ["b64", "basename", "len", "tolower", "toupper", "val"];

/// What stands before a list in Falco: `= anyof (…)`.
const MODIFIERS: [&str; 2] = ["allof", "anyof"];

/// Whether Falco has a field with this name, or one like it.
pub(crate) fn has_field(name: &str) -> bool {
    match name.split_once('.') {
        Some(("container", rest)) => CONTAINER.contains(&rest),
        Some((class, _)) => CLASSES.contains(&class),
        None => false,
    }
}

/// The field of ours that is nearest to one of Falco's.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    NEAREST.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours)
}

pub(crate) fn is_transformer(name: &str) -> bool {
    TRANSFORMERS.contains(&name)
}

pub(crate) fn is_modifier(name: &str) -> bool {
    MODIFIERS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
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
        for field in registry().all() {
            assert!(!has_field(&field.name), "{}: the message would be wrong", field.name);
        }
    }
}
