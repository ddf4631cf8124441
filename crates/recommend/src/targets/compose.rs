//! A file that docker compose merges into another: `docker compose -f compose.yaml -f this.yaml up`.

use super::containers::cpus;
use super::settings::Settings;
use super::yaml::{Entry, Yaml, pair, texts};
use super::{Output, short_name};
use crate::hardening::Medium;

/// The override file.
pub(super) fn file(settings: Settings, profile: &str) -> Output {
    let mut service = Vec::new();
    let mut options = vec![format!("seccomp={}", escaped(profile))];
    if settings.no_new_privileges {
        options.push("no-new-privileges:true".to_owned());
    }
    service.push(pair("security_opt", texts(options)));
    service.push(pair("cap_drop", texts(["ALL"])));
    if !settings.capabilities.is_empty() {
        service.push(pair("cap_add", texts(settings.capabilities.iter().map(|&capability| short_name(capability)))));
    }
    if let Some(writable) = &settings.read_only {
        service.push(pair("read_only", true));
        let of = |medium: Medium| writable.iter().filter(move |one| one.medium == medium);
        let tmpfs: Vec<String> =
            of(Medium::Tmpfs).map(|one| escaped(&format!("{}:{}", one.path, one.options().join(",")))).collect();
        if !tmpfs.is_empty() {
            service.push(pair("tmpfs", texts(tmpfs)));
        }
        let volumes: Vec<String> = of(Medium::Volume).map(|one| escaped(&one.path)).collect();
        if !volumes.is_empty() {
            service.push(pair("volumes", texts(volumes)));
        }
    }
    if let Some(user) = settings.user {
        service.push(pair("user", format!("{}:{}", user.uid, user.gid)));
    }
    if let Some(pids) = settings.pids {
        service.push(pair("pids_limit", pids));
    }
    if let Some(bytes) = settings.memory_bytes {
        service.push(pair("mem_limit", format!("{bytes}b")));
    }
    if let Some(milli) = settings.cpu_milli {
        // A text: a number with a point is read as a float, which need not be the same.
        service.push(pair("cpus", cpus(milli)));
    }
    if !settings.ulimits.is_empty() {
        let limits = settings.ulimits.iter();
        let limits = limits.map(|(name, limit)| pair(name, vec![pair("soft", *limit), pair("hard", *limit)]));
        service.push(pair("ulimits", limits.collect::<Vec<_>>()));
    }
    if !settings.devices.is_empty() {
        let devices = settings.devices.iter();
        let devices = devices.map(|one| escaped(&format!("{}:{}:{}", one.host_path, one.path, one.access)));
        service.push(pair("devices", texts(devices)));
    }
    let mut document = vec![
        Entry::Comment("Merge it into your compose file: docker compose -f compose.yaml -f THIS up".to_owned()),
        Entry::Comment(format!("The service is called {} here: give it the name that yours has.", settings.name)),
    ];
    document.extend(settings.notes.into_iter().map(Entry::Comment));
    document.push(pair("services", vec![Entry::Pair(settings.name, service.into())]));
    Output::of(Yaml::document(document))
}

/// Compose puts variables of the environment in where a `$` is.
fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}
