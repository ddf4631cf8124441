//! What `ctr run` takes. ctr adds to a set of its own and takes from it by name; it sets no_new_privileges by itself.

use super::containers::cpus;
use super::settings::Settings;
use super::{Output, line};
use crate::hardening::Medium;

/// The capabilities that containerd gives by itself: containerd 1.6, `oci/spec.go`, `defaultUnixCaps`.
const DEFAULT: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// Arguments for `ctr run`.
pub(super) fn flags(mut settings: Settings, profile: &str) -> Output {
    let mut flags = vec!["--seccomp".to_owned(), "--seccomp-profile".to_owned(), profile.to_owned()];
    if !settings.no_new_privileges {
        flags.push("--allow-new-privs".to_owned());
    }
    let needed: Vec<String> = settings.capabilities.iter().map(|capability| capability.name().into_owned()).collect();
    for name in DEFAULT.iter().filter(|name| !needed.iter().any(|needed| needed == *name)) {
        flags.extend(["--cap-drop".to_owned(), (*name).to_owned()]);
    }
    for name in needed.iter().filter(|needed| !DEFAULT.contains(&needed.as_str())) {
        flags.extend(["--cap-add".to_owned(), name.clone()]);
    }
    if let Some(writable) = settings.read_only.take() {
        match writable.iter().find(|one| one.medium == Medium::Volume && one.has_image_files) {
            Some(one) => settings.notes.push(format!(
                "a read-only root file system: not set: {} must keep the image's files, and ctr has no volumes",
                one.path
            )),
            None => {
                flags.push("--read-only".to_owned());
                for one in &writable {
                    // ctr cuts a mount at commas and its options at colons.
                    let options = one.options().join(":");
                    flags.extend([
                        "--mount".to_owned(),
                        format!("type=tmpfs,src=tmpfs,dst={},options={options}", one.path),
                    ]);
                    if one.medium == Medium::Volume {
                        settings.notes.push(format!("{} is empty at each start: ctr has no volumes", one.path));
                    }
                }
            }
        }
    }
    if let Some(bytes) = settings.memory_bytes {
        flags.extend(["--memory-limit".to_owned(), bytes.to_string()]);
    }
    if let Some(milli) = settings.cpu_milli {
        flags.extend(["--cpus".to_owned(), cpus(milli)]);
    }
    for device in &settings.devices {
        flags.extend(["--device".to_owned(), device.host_path.clone()]);
        if device.host_path != device.path {
            settings.notes.push(format!("ctr gives the device {} under the host's path", device.path));
        }
    }
    let cannot = [
        (settings.user.is_some(), "a user"),
        (settings.pids.is_some(), "a limit of processes"),
        (!settings.ulimits.is_empty(), "ulimits"),
    ];
    for (_, what) in cannot.iter().filter(|(is_set, _)| *is_set) {
        settings.notes.push(format!("ctr 1.6 has no option for {what}"));
    }
    line(flags, settings.notes)
}
