//! A `.container` file of podman's Quadlet: podman-systemd.unit(5), as of podman 5.

use std::fmt::Write as _;

use super::containers::{cpus, podman_tmpfs};
use super::settings::Settings;
use super::{Output, TargetError, quoting};
use crate::hardening::Medium;

/// The file.
pub(super) fn file(settings: Settings, profile: &str) -> Result<Output, TargetError> {
    let cannot = |without| TargetError::Path {
        target: "quadlet",
        path: event::Text::from(profile).shown().into_owned(),
        without,
    };
    if profile.contains('\\') {
        return Err(cannot("a backslash"));
    }
    if profile.contains(char::is_whitespace) {
        return Err(cannot("spaces"));
    }
    let mut text = String::new();
    let mut notes = vec![
        "A drop-in: put it beside NAME.container as NAME.container.d/ringfence.conf, or take its lines over."
            .to_owned(),
    ];
    notes.extend(settings.notes.iter().cloned());
    for note in &notes {
        let _ = writeln!(text, "{}", quoting::comment(note));
    }
    text.push_str("[Container]\n");
    keys(&settings, profile, |name, value| {
        let _ = writeln!(text, "{name}={}", value.replace('%', "%%"));
    });
    Ok(Output::of(text))
}

fn keys(settings: &Settings, profile: &str, mut key: impl FnMut(&str, String)) {
    key("SeccompProfile", profile.to_owned());
    if settings.no_new_privileges {
        key("NoNewPrivileges", "true".to_owned());
    }
    key("DropCapability", "all".to_owned());
    for capability in &settings.capabilities {
        key("AddCapability", capability.name().into_owned());
    }
    let mut rest = Vec::new();
    if let Some(writable) = &settings.read_only {
        key("ReadOnly", "true".to_owned());
        for one in writable {
            match one.medium {
                Medium::Tmpfs => key("Tmpfs", podman_tmpfs(one)),
                Medium::Volume => key("Volume", one.path.clone()),
            }
        }
    }
    if let Some(user) = settings.user {
        key("User", user.uid.to_string());
        key("Group", user.gid.to_string());
    }
    if let Some(pids) = settings.pids {
        key("PidsLimit", pids.to_string());
    }
    for (name, limit) in &settings.ulimits {
        key("Ulimit", format!("{name}={limit}:{limit}"));
    }
    for device in &settings.devices {
        key("AddDevice", format!("{}:{}:{}", device.host_path, device.path, device.access));
    }
    // Quadlet has a key for memory from podman 5.6 on only.
    if let Some(bytes) = settings.memory_bytes {
        rest.push(format!("--memory={bytes}"));
    }
    if let Some(milli) = settings.cpu_milli {
        rest.push(format!("--cpus={}", cpus(milli)));
    }
    if !rest.is_empty() {
        key("PodmanArgs", rest.join(" "));
    }
}
