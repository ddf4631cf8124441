//! The settings in what Docker and Podman answer to `inspect`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::settings::{GivenDevice, GivenMount, GivenUlimit, Settings};

/// The part of a `HostConfig` that is read here.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Limits {
    pids_limit: Option<i64>,
    memory: Option<i64>,
    nano_cpus: Option<i64>,
    cpu_quota: Option<i64>,
    cpu_period: Option<i64>,
    shm_size: Option<i64>,
    pid_mode: Option<String>,
    ipc_mode: Option<String>,
    #[serde(rename = "UTSMode")]
    uts_mode: Option<String>,
    userns_mode: Option<String>,
    network_mode: Option<String>,
    cgroupns_mode: Option<String>,
    /// What Podman calls the same.
    cgroup_mode: Option<String>,
    devices: Option<Vec<Device>>,
    tmpfs: Option<BTreeMap<String, String>>,
    ulimits: Option<Vec<Ulimit>>,
    masked_paths: Option<Vec<String>>,
    readonly_paths: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Device {
    path_on_host: Option<String>,
    path_in_container: Option<String>,
    cgroup_permissions: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ulimit {
    name: Option<String>,
    soft: Option<i64>,
    hard: Option<i64>,
}

/// One of the `Mounts` beside the `HostConfig`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Mount {
    #[serde(rename = "Type")]
    kind: Option<String>,
    name: Option<String>,
    source: Option<String>,
    destination: Option<String>,
    #[serde(rename = "RW")]
    rw: Option<bool>,
}

/// The settings that these say. `lists_paths`: whether the engine writes down its default lists of hidden and read-only paths;
/// Podman says neither.
pub(super) fn settings_of(limits: Limits, mounts: Option<Vec<Mount>>, lists_paths: bool) -> Settings {
    let amount = |value: Option<i64>| value.map(|value| u64::try_from(value).unwrap_or(0));
    let quota = limits.cpu_quota.zip(limits.cpu_period).filter(|&(quota, period)| quota > 0 && period > 0);
    let nano_cpus = amount(limits.nano_cpus).filter(|&nano| nano > 0);
    let of_quota = quota.map(|(quota, period)| quota.unsigned_abs().saturating_mul(1000) / period.unsigned_abs());
    let modes = [
        ("pid", limits.pid_mode),
        ("ipc", limits.ipc_mode),
        ("uts", limits.uts_mode),
        ("user", limits.userns_mode),
        ("net", limits.network_mode),
        ("cgroup", limits.cgroupns_mode.filter(|mode| !mode.is_empty()).or(limits.cgroup_mode)),
    ];
    let mut given: Vec<GivenMount> = mounts.into_iter().flatten().filter_map(mount).collect();
    for (destination, options) in limits.tmpfs.into_iter().flatten() {
        let read_only = options.split(',').any(|option| option == "ro");
        given.push(GivenMount { destination, kind: "tmpfs".to_owned(), source: String::new(), read_only });
    }
    given.sort();
    given.dedup_by(|next, kept| next.destination == kept.destination);
    Settings {
        pids_limit: amount(limits.pids_limit),
        memory_bytes: amount(limits.memory),
        cpu_thousandths: nano_cpus.map(|nano| nano / 1_000_000).or(of_quota).or(amount(limits.nano_cpus)),
        shm_bytes: amount(limits.shm_size),
        namespaces: Some(
            modes
                .into_iter()
                .filter_map(|(name, mode)| Some((name.to_owned(), mode.filter(|mode| !mode.is_empty())?)))
                .collect(),
        ),
        devices: Some(limits.devices.into_iter().flatten().filter_map(device).collect()),
        mounts: Some(given),
        ulimits: Some(limits.ulimits.into_iter().flatten().filter_map(ulimit).collect()),
        masked_paths: if lists_paths { Some(limits.masked_paths.unwrap_or_default()) } else { None },
        read_only_paths: if lists_paths { Some(limits.readonly_paths.unwrap_or_default()) } else { None },
    }
}

fn device(device: Device) -> Option<GivenDevice> {
    let path = device.path_in_container.filter(|path| !path.is_empty())?;
    Some(GivenDevice {
        host_path: device.path_on_host.unwrap_or_default(),
        permissions: device.cgroup_permissions.unwrap_or_default(),
        path,
    })
}

fn mount(mount: Mount) -> Option<GivenMount> {
    let destination = mount.destination.filter(|path| !path.is_empty())?;
    let kind = mount.kind.unwrap_or_default();
    // The source of a volume is a folder of the engine's.
    let name = mount.name.filter(|name| !name.is_empty());
    let source = name.filter(|_| kind == "volume").or(mount.source).unwrap_or_default();
    Some(GivenMount { destination, kind, source, read_only: mount.rw == Some(false) })
}

fn ulimit(ulimit: Ulimit) -> Option<GivenUlimit> {
    let name = ulimit.name.filter(|name| !name.is_empty())?.to_ascii_lowercase();
    let name = name.strip_prefix("rlimit_").map(str::to_owned).unwrap_or(name);
    Some(GivenUlimit { name, soft: ulimit.soft?, hard: ulimit.hard? })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Docker 20.10 answers to `--pids-limit 50 -m 64m --cpus 1.5 --pid host --network host --device /dev/fuse:/dev/f:rw
    /// -v data:/data -v /srv:/srv:ro --tmpfs /run:ro --ulimit nofile=10:20`, without what is not read.
    const HOST_CONFIG: &str = r#"{"PidsLimit":50,"Memory":67108864,"NanoCpus":1500000000,"CpuQuota":0,"CpuPeriod":0,"ShmSize":67108864,
        "PidMode":"host","IpcMode":"private","UTSMode":"","UsernsMode":"","NetworkMode":"host","CgroupnsMode":"private",
        "Devices":[{"PathOnHost":"/dev/fuse","PathInContainer":"/dev/f","CgroupPermissions":"rw"}],"Tmpfs":{"/run":"ro"},
        "Ulimits":[{"Name":"nofile","Hard":20,"Soft":10}],"MaskedPaths":["/proc/kcore"],"ReadonlyPaths":["/proc/sys"]}"#;
    const MOUNTS: &str = r#"[{"Type":"volume","Name":"data","Source":"/var/lib/docker/volumes/data/_data","Destination":"/data","RW":true},
        {"Type":"bind","Source":"/srv","Destination":"/srv","Mode":"ro","RW":false}]"#;

    fn read(limits: &str, mounts: Option<&str>, lists_paths: bool) -> Settings {
        let mounts = mounts.map(|text| serde_json::from_str(text).expect("mounts"));
        settings_of(serde_json::from_str(limits).expect("a host config"), mounts, lists_paths)
    }

    #[test]
    fn what_a_container_was_made_with_is_read() {
        let settings = read(HOST_CONFIG, Some(MOUNTS), true);

        let limits = (settings.pids_limit, settings.memory_bytes, settings.cpu_thousandths, settings.shm_bytes);
        assert_eq!(limits, (Some(50), Some(64 << 20), Some(1500), Some(64 << 20)));
        let namespaces: Vec<_> = settings.namespaces.iter().flatten().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(namespaces, [("cgroup", "private"), ("ipc", "private"), ("net", "host"), ("pid", "host")]);
        let devices = settings.devices.expect("devices");
        let device = GivenDevice { path: "/dev/f".into(), host_path: "/dev/fuse".into(), permissions: "rw".into() };
        assert_eq!(devices, [device]);
        let mounts = settings.mounts.expect("mounts");
        let told: Vec<_> = mounts
            .iter()
            .map(|one| (one.destination.as_str(), one.kind.as_str(), one.source.as_str(), one.read_only))
            .collect();
        let expected =
            [("/data", "volume", "data", false), ("/run", "tmpfs", "", true), ("/srv", "bind", "/srv", true)];
        assert_eq!(told, expected);
        assert_eq!(settings.ulimits, Some(vec![GivenUlimit { name: "nofile".into(), soft: 10, hard: 20 }]));
        assert_eq!(settings.masked_paths, Some(vec!["/proc/kcore".into()]));
    }

    #[test]
    fn no_limit_is_said_as_zero_and_what_is_not_said_is_none() {
        let settings = read(r#"{"PidsLimit":-1,"Memory":0,"NanoCpus":0,"MaskedPaths":null}"#, None, true);

        assert_eq!((settings.pids_limit, settings.memory_bytes, settings.cpu_thousandths), (Some(0), Some(0), Some(0)));
        assert_eq!((settings.shm_bytes, settings.masked_paths), (None, Some(Vec::new())));
        let quota = read(r#"{"NanoCpus":0,"CpuQuota":50000,"CpuPeriod":100000}"#, None, false);
        assert_eq!((quota.cpu_thousandths, quota.masked_paths), (Some(500), None));
        let podman =
            read(r#"{"Ulimits":[{"Name":"RLIMIT_NOFILE","Soft":-1,"Hard":-1}],"CgroupMode":"host"}"#, None, false);
        assert_eq!(podman.ulimits, Some(vec![GivenUlimit { name: "nofile".into(), soft: -1, hard: -1 }]));
        assert_eq!(podman.namespaces, Some(BTreeMap::from([("cgroup".into(), "host".into())])));
    }
}
