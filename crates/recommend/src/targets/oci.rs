//! The `config.json` of an OCI bundle, with what is recommended put in.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::settings::{Settings, Writable};
use super::{Output, TargetError};
use crate::Profile;
use crate::hardening::Medium;

/// The period of CPU quotas, in microseconds, as engines set it.
const CPU_PERIOD_US: u64 = 100_000;

/// The changed file.
pub(super) fn config(mut settings: Settings, profile: &Profile, config: &str) -> Result<Output, TargetError> {
    let broken = |why: String| TargetError::Config(why);
    let mut config: Value = serde_json::from_str(config).map_err(|error| broken(error.to_string()))?;
    if !config["process"].is_object() || !config["root"].is_object() {
        return Err(broken("it has no `process` and no `root`".to_owned()));
    }
    permissions(&mut config, &settings)?;
    at(&mut config, &["linux"])?
        .insert("seccomp".to_owned(), serde_json::to_value(profile).map_err(|error| broken(error.to_string()))?);
    if let Some(user) = settings.user {
        let place = at(&mut config, &["process", "user"])?;
        place.insert("uid".to_owned(), user.uid.into());
        place.insert("gid".to_owned(), user.gid.into());
    }
    if let Some(writable) = settings.read_only.take() {
        match writable.iter().find(|one| one.medium == Medium::Volume && one.has_image_files) {
            Some(one) => settings.notes.push(format!(
                "a read-only root file system: not set: {} must keep the image's files, and a bundle has no volumes",
                one.path
            )),
            None => {
                at(&mut config, &["root"])?.insert("readonly".to_owned(), true.into());
                for one in &writable {
                    if mount(list(at(&mut config, &[])?, "mounts")?, one) && one.medium == Medium::Volume {
                        settings.notes.push(format!("{} is empty at each start: a bundle has no volumes", one.path));
                    }
                }
            }
        }
    }
    for (name, limit) in &settings.ulimits {
        let kind = format!("RLIMIT_{}", name.to_ascii_uppercase());
        let limits = list(at(&mut config, &["process"])?, "rlimits")?;
        limits.retain(|one| one["type"] != kind.as_str());
        limits.push(json!({"type": kind, "soft": limit, "hard": limit}));
    }
    if let Some(pids) = settings.pids {
        at(&mut config, &["linux", "resources", "pids"])?.insert("limit".to_owned(), pids.into());
    }
    if let Some(bytes) = settings.memory_bytes {
        at(&mut config, &["linux", "resources", "memory"])?.insert("limit".to_owned(), bytes.into());
    }
    if let Some(milli) = settings.cpu_milli {
        let cpu = at(&mut config, &["linux", "resources", "cpu"])?;
        cpu.insert("period".to_owned(), CPU_PERIOD_US.into());
        cpu.insert("quota".to_owned(), (milli * CPU_PERIOD_US / 1000).into());
    }
    for device in &settings.devices {
        settings.notes.push(format!(
            "the device {} is needed: a bundle names devices by numbers, which are not known here",
            device.path
        ));
    }
    Ok(Output { notes: settings.notes, ..Output::of(report::json(&config)) })
}

/// The capability sets and no_new_privileges. Sets that the bundle keeps small stay so.
fn permissions(config: &mut Value, settings: &Settings) -> Result<(), TargetError> {
    let needed: BTreeSet<String> = settings.capabilities.iter().map(|one| one.name().into_owned()).collect();
    let process = at(config, &["process"])?;
    if settings.no_new_privileges {
        process.insert("noNewPrivileges".to_owned(), true.into());
    }
    let sets = at(config, &["process", "capabilities"])?;
    for name in ["bounding", "effective", "permitted"] {
        sets.insert(name.to_owned(), json!(needed));
    }
    for name in ["inheritable", "ambient"] {
        if sets.contains_key(name) {
            list(sets, name)?.retain(|one| one.as_str().is_some_and(|one| needed.contains(one)));
        }
    }
    Ok(())
}

/// Adds a tmpfs, unless something is mounted there already; whether it did. Mounts are made in their order: what lies below it comes after it.
fn mount(mounts: &mut Vec<Value>, one: &Writable) -> bool {
    if mounts.iter().any(|there| there["destination"] == one.path.as_str()) {
        return false;
    }
    let options: Vec<String> = one.options().into_iter().filter(|option| option != "rw").collect();
    let is_below = |there: &Value| {
        let rest = there["destination"].as_str().and_then(|path| path.strip_prefix(one.path.as_str()));
        rest.is_some_and(|rest| rest.starts_with('/'))
    };
    let at = mounts.iter().position(is_below).unwrap_or(mounts.len());
    mounts.insert(at, json!({"destination": one.path, "type": "tmpfs", "source": "tmpfs", "options": options}));
    true
}

/// The object at a path of names, made where it is missing.
fn at<'v>(value: &'v mut Value, path: &[&str]) -> Result<&'v mut Map<String, Value>, TargetError> {
    let mut value = value;
    for (depth, name) in path.iter().enumerate() {
        let object = value.as_object_mut().ok_or_else(|| not_an_object(&path[..depth]))?;
        value = object.entry(*name).or_insert_with(|| json!({}));
        if value.is_null() {
            *value = json!({});
        }
    }
    value.as_object_mut().ok_or_else(|| not_an_object(path))
}

fn list<'v>(object: &'v mut Map<String, Value>, name: &str) -> Result<&'v mut Vec<Value>, TargetError> {
    let value = object.entry(name).or_insert_with(|| json!([]));
    if value.is_null() {
        *value = json!([]);
    }
    value.as_array_mut().ok_or_else(|| TargetError::Config(format!("`{name}` is no list")))
}

fn not_an_object(path: &[&str]) -> TargetError {
    TargetError::Config(format!("`{}` is no object", path.join(".")))
}
