//! What `docker run` takes, and those that take nearly the same: podman and nerdctl.

use super::settings::{Settings, Writable};
use super::{Output, line, quoting, short_name};
use crate::hardening::Medium;

/// The arguments of the filter and the capabilities, in pairs of an option and its value; the profile is in this file.
fn permissions(settings: &Settings, profile: &str) -> Vec<String> {
    let mut flags = vec!["--security-opt".to_owned(), format!("seccomp={profile}")];
    if settings.no_new_privileges {
        flags.extend(["--security-opt".to_owned(), "no-new-privileges".to_owned()]);
    }
    flags.extend(["--cap-drop".to_owned(), "ALL".to_owned()]);
    for &capability in &settings.capabilities {
        flags.extend(["--cap-add".to_owned(), short_name(capability)]);
    }
    flags
}

/// Arguments for `docker run`.
pub(super) fn docker(settings: Settings, profile: &str) -> Output {
    let mut flags = permissions(&settings, profile);
    if let Some(writable) = &settings.read_only {
        flags.push("--read-only".to_owned());
        for one in writable {
            flags.extend(mount(one));
        }
    }
    flags.extend(limits(&settings));
    line(flags, settings.notes)
}

/// Arguments for `podman run`.
pub(super) fn podman(settings: Settings, profile: &str) -> Output {
    let mut flags = permissions(&settings, profile);
    if let Some(writable) = &settings.read_only {
        // Podman's own tmpfs on /run, /tmp and /var/tmp stay: without them podman 5 makes /dev/shm read-only, too.
        flags.push("--read-only".to_owned());
        for one in writable {
            flags.extend(podman_mount(one));
        }
    }
    flags.extend(limits(&settings));
    line(flags, settings.notes)
}

/// Arguments for `nerdctl run`.
pub(super) fn nerdctl(settings: Settings, profile: &str) -> Output {
    docker(settings, profile)
}

fn mount(one: &Writable) -> [String; 2] {
    match one.medium {
        Medium::Tmpfs => ["--tmpfs".to_owned(), format!("{}:{}", one.path, one.options().join(","))],
        Medium::Volume => ["--mount".to_owned(), volume(one)],
    }
}

/// A volume that gets what the image has there, as docker and podman write mounts. It has no name: one with a name would be shared by all
/// containers, and go on with the files of the image that filled it.
fn volume(one: &Writable) -> String {
    format!("type=volume,{}", quoting::csv(&format!("target={}", one.path)))
}

/// Podman's tmpfs has no owner: what root does not own must be open to all.
pub(super) fn podman_tmpfs(one: &Writable) -> String {
    let mut options = one.options();
    if one.owner.is_some() {
        options.retain(|option| !["uid=", "gid=", "mode="].iter().any(|name| option.starts_with(name)));
        options.push("mode=1777".to_owned());
    }
    format!("{}:{}", one.path, options.join(","))
}

fn podman_mount(one: &Writable) -> [String; 2] {
    match one.medium {
        Medium::Tmpfs => ["--tmpfs".to_owned(), podman_tmpfs(one)],
        Medium::Volume => ["--mount".to_owned(), volume(one)],
    }
}

/// Thousandths of a CPU as a decimal number.
pub(super) fn cpus(milli: u64) -> String {
    format!("{}.{:03}", milli / 1000, milli % 1000)
}

fn limits(settings: &Settings) -> Vec<String> {
    let mut flags = Vec::new();
    let mut flag = |name: &str, value: String| flags.extend([name.to_owned(), value]);
    if let Some(user) = settings.user {
        flag("--user", format!("{}:{}", user.uid, user.gid));
    }
    if let Some(pids) = settings.pids {
        flag("--pids-limit", pids.to_string());
    }
    if let Some(bytes) = settings.memory_bytes {
        flag("--memory", bytes.to_string());
    }
    if let Some(milli) = settings.cpu_milli {
        flag("--cpus", cpus(milli));
    }
    for (name, limit) in &settings.ulimits {
        flag("--ulimit", format!("{name}={limit}:{limit}"));
    }
    for device in &settings.devices {
        flag("--device", format!("{}:{}:{}", device.host_path, device.path, device.access));
    }
    flags
}
