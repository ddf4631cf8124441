//! From a run to its report.

use std::net::IpAddr;

use behaviour::{Behaviour, MountUse, Place, Redaction};
use containers::engine::{Role, Seccomp, State as Asked, other_kernel};
use containers::path::{Engine, Kind as PathKind};
use containers::proc::Proc;
use event::{Phase, Protocol, Text};
use report::{
    Cgroup, Container, Cost, Counts, FormatVersion, GivenDevice, GivenMount, GivenUlimit, Host, HostNetwork, InitExit,
    Kind, Loss, Metadata, MetadataState, ObservedFrom, Parent, Pod, ProgramCost, PublishedPort, Reason, ReasonCode,
    Report, RuntimeInit, SensorHealth, Settings, Stage, Window,
};
use sensors::{Kernel, Slot, State as ProgramState};

use crate::clock::Clock;
use crate::host_paths::of_image;
use crate::losses::CommonLosses;
use crate::run::Run;
use crate::usage::Usage;

/// What is the same in every report of a recording.
pub(crate) struct Common {
    pub(crate) host: Host,
    pub(crate) clock: Clock,
    /// When the recording began, in nanoseconds since boot.
    pub(crate) began_ns: u64,
    pub(crate) sensors: Vec<SensorHealth>,
    pub(crate) redaction: Redaction,
}

/// Everything that one report is made of.
pub(crate) struct Parts<'a> {
    pub(crate) run: &'a Run,
    /// All slots that it consists of.
    pub(crate) slots: Vec<&'a Slot>,
    pub(crate) behaviour: Behaviour,
    pub(crate) parent: Option<Parent>,
    pub(crate) losses: CommonLosses,
    pub(crate) undecoded: u64,
    pub(crate) end_boot_ns: u64,
    pub(crate) ended: bool,
}

pub(crate) fn report(common: &Common, kernel: &Kernel, mut parts: Parts<'_>) -> Report {
    let run = parts.run;
    parts.behaviour.terminals.redact(&common.redaction);
    let mut host = common.host.clone();
    host.network = host_network(&Proc::default());
    if let Some(known) = run.known() {
        name_layers(&mut parts.behaviour.files.mounts, known.layers.as_deref().unwrap_or_default());
        host.engine = Some(report::Software {
            name: known.engine.name().into(),
            version: known.engine_version.clone().map(Text::from),
        });
        host.runtime = known.runtime.clone().map(|name| report::Software { name: name.into(), version: None });
    }
    Report {
        schema_version: FormatVersion,
        ringfence_version: env!("CARGO_PKG_VERSION").into(),
        complete: false,
        sections: Default::default(),
        reasons: behind_another_kernel(&run.kind, host.runtime.as_ref()).into_iter().collect(),
        counts: Counts::Exact,
        container: container(run, parts.parent.clone()),
        window: window(common.clock, common.began_ns, &parts),
        host,
        losses: losses(&parts),
        sensors: common.sensors.clone(),
        cost: cost(kernel),
        behaviour: parts.behaviour,
        untouched: None,
    }
    .finish()
}

/// A container may be over before anybody could look at its mounts: its engine still says what its root is made of.
fn name_layers(mounts: &mut [MountUse], lower: &[String]) {
    let is_root = |mount: &&mut MountUse| {
        mount.place == Place::Root && mount.phase != Phase::RuntimeInit && mount.fs_type.as_bytes() == b"overlay"
    };
    let mut roots: Vec<&mut MountUse> = mounts.iter_mut().filter(is_root).collect();
    // Of several file systems it is not known which is the container's.
    let Some(device) = roots.first().map(|root| root.device) else { return };
    if roots.iter().any(|root| root.device != device || !root.layers.is_empty()) {
        return;
    }
    let layers = of_image(lower);
    roots.iter_mut().for_each(|root| root.layers.clone_from(&layers));
}

/// A report lists no more addresses of its host.
const MOST_ADDRESSES: usize = 1024;

/// What belongs to the host itself: bridges come and go with the networks of containers, so it is read for each report.
fn host_network(proc: &Proc) -> Option<HostNetwork> {
    let (namespace, mut addresses) = proc.outside_network().ok()?;
    // Each end of each link has one of its own, which says nothing: thousands of them on a host with many containers.
    addresses.retain(|address| !matches!(address, IpAddr::V6(one) if one.is_unicast_link_local()));
    addresses.truncate(MOST_ADDRESSES);
    Some(HostNetwork { namespace, addresses: addresses.iter().map(|address| address.to_string().into()).collect() })
}

/// The workload makes its system calls where nothing here sees them; what is seen is the runtime's own.
fn behind_another_kernel(kind: &PathKind, runtime: Option<&report::Software>) -> Option<Reason> {
    let by_path = match kind {
        PathKind::Container(identity) if identity.engine == Engine::Kata => Some("Kata Containers"),
        _ => None,
    };
    let name = |software: &report::Software| std::str::from_utf8(software.name.as_bytes()).ok().and_then(other_kernel);
    let what = runtime.and_then(name).or(by_path)?;
    let text = format!("the workload runs behind another kernel ({what}): what it does there is not in this report");
    Some(Reason { code: ReasonCode::WorkloadNotVisible, sensor: None, text: text.into() })
}

/// How each sensor fared.
pub(crate) fn sensors(kernel: &Kernel) -> Vec<SensorHealth> {
    kernel
        .sensors()
        .iter()
        .map(|&name| {
            let programs: Vec<_> = kernel.programs().iter().filter(|program| program.sensor == name).collect();
            let failed = reasons(programs.iter().filter_map(|program| match &program.state {
                ProgramState::Failed(why) => Some(why.as_str()),
                _ => None,
            }));
            let unsupported = reasons(programs.iter().filter_map(|program| match &program.state {
                ProgramState::Unsupported(why) => Some(why.as_str()),
                _ => None,
            }));
            let failed = failed.map(|why| (report::AttachState::Failed, why));
            let unsupported = unsupported.map(|why| (report::AttachState::Unsupported, why));
            let attached = |hook: &&&sensors::ProgramState| hook.state == ProgramState::Attached;
            let (state, reason) = match failed.or(unsupported) {
                Some((state, why)) => (state, Some(Text::from(why))),
                None => (report::AttachState::Attached, None),
            };
            SensorHealth {
                name: name.into(),
                state,
                hooks: programs.iter().filter(attached).map(|program| program.hook.into()).collect(),
                reason,
            }
        })
        .collect()
}

/// Several reasons as one, each said once; none if there is none.
fn reasons<'a>(each: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut said: Vec<&str> = Vec::new();
    each.for_each(|why| {
        if !said.contains(&why) {
            said.push(why);
        }
    });
    (!said.is_empty()).then(|| said.join("; "))
}

fn container(run: &Run, parent: Option<Parent>) -> Container {
    let mut container = Container {
        run: run.id(),
        kind: kind(run),
        engine: run.engine_by_path().map(|engine| engine.name().into()),
        id: run.id_of_its_own().map(Text::from),
        name: None,
        image: None,
        image_digest: None,
        labels: Default::default(),
        command: Vec::new(),
        security_options: Vec::new(),
        published_ports: Vec::new(),
        settings: None,
        pod: run.kind.container().and_then(|identity| identity.pod.clone()).map(|uid| Pod {
            namespace: None,
            name: None,
            uid: Some(uid.into()),
        }),
        parent,
        cgroup: (run.slot.cgroup_id != 0)
            .then(|| Cgroup { path: Text::new(run.slot.path.clone()), id: run.slot.cgroup_id }),
        metadata: Metadata { state: MetadataState::Pending, reason: None, sources: Default::default() },
    };
    if container.id.is_some() {
        container.metadata.sources.insert("id".into(), "cgroup path".into());
        if container.engine.is_some() {
            container.metadata.sources.insert("engine".into(), "cgroup path".into());
        }
    }
    match &run.metadata {
        Some(Asked::Known(known)) => describe(&mut container, known),
        Some(Asked::Failed { reason, .. }) => {
            container.metadata.state = MetadataState::Failed;
            container.metadata.reason = Some(reason.as_str().into());
        }
        Some(Asked::Pending { reason, .. }) => {
            let reason = reason.as_deref().unwrap_or("no engine had answered when the report was written");
            container.metadata.reason = Some(reason.into());
        }
        // Nobody but us knows it, and all that there is to know is here.
        None if container.kind == Kind::Sandbox => container.metadata.state = MetadataState::Known,
        None => {
            container.metadata.state = MetadataState::Failed;
            container.metadata.reason = Some("nothing says which engine made it".into());
        }
    }
    container
}

fn describe(container: &mut Container, known: &containers::engine::Metadata) {
    container.engine = Some(known.engine.name().into());
    container.id = Some(known.id.as_str().into());
    container.name = known.name.clone().map(Text::from);
    container.image = known.image.clone().map(Text::from);
    container.image_digest = known.image_digest.clone().map(Text::from);
    container.labels = known.labels.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect();
    container.command = known.command.iter().flatten().map(|word| word.as_str().into()).collect();
    container.security_options = security(&known.security);
    container.published_ports = known.published_ports.iter().flatten().filter_map(published).collect();
    container.settings = known.settings.as_ref().map(settings);
    if let Some(pod) = &known.pod {
        container.pod = Some(Pod {
            namespace: pod.namespace.clone().map(Text::from),
            name: pod.name.clone().map(Text::from),
            uid: pod.uid.clone().map(Text::from),
        });
    }
    if known.role == Role::PodSandbox {
        container.kind = Kind::PodSandbox;
    }
    container.metadata.state = MetadataState::Known;
    for (field, source) in &known.sources {
        container.metadata.sources.insert(field.as_str().into(), source.name().into());
    }
}

fn published(port: &containers::engine::PublishedPort) -> Option<PublishedPort> {
    let protocol =
        [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].into_iter().find(|one| one.name() == port.protocol)?;
    Some(PublishedPort {
        protocol,
        host_address: port.host_address.as_str().into(),
        host_port: port.host_port.into(),
        port: port.port.into(),
    })
}

fn settings(known: &containers::engine::Settings) -> Settings {
    let texts = |list: &Vec<String>| list.iter().map(|one| one.as_str().into()).collect();
    let device = |one: &containers::engine::GivenDevice| GivenDevice {
        path: one.path.as_str().into(),
        host_path: one.host_path.as_str().into(),
        permissions: one.permissions.as_str().into(),
    };
    let mount = |one: &containers::engine::GivenMount| GivenMount {
        destination: one.destination.as_str().into(),
        kind: one.kind.as_str().into(),
        source: one.source.as_str().into(),
        read_only: one.read_only,
    };
    let ulimit = |one: &containers::engine::GivenUlimit| GivenUlimit {
        name: one.name.as_str().into(),
        soft: one.soft,
        hard: one.hard,
    };
    let words = known.namespaces.as_ref();
    Settings {
        pids_limit: known.pids_limit,
        memory_bytes: known.memory_bytes,
        cpu_thousandths: known.cpu_thousandths,
        shm_bytes: known.shm_bytes,
        namespaces: words
            .map(|all| all.iter().map(|(name, mode)| (name.as_str().into(), mode.as_str().into())).collect()),
        devices: known.devices.as_ref().map(|all| all.iter().map(device).collect()),
        mounts: known.mounts.as_ref().map(|all| all.iter().map(mount).collect()),
        ulimits: known.ulimits.as_ref().map(|all| all.iter().map(ulimit).collect()),
        masked_paths: known.masked_paths.as_ref().map(texts),
        read_only_paths: known.read_only_paths.as_ref().map(texts),
    }
}

/// The settings as `docker inspect` words them; what is not known is left out.
fn security(settings: &containers::engine::Security) -> Vec<Text> {
    let mut options = Vec::new();
    let mut flag = |name: &str, value: Option<bool>| {
        if let Some(value) = value {
            options.push(format!("{name}={value}"));
        }
    };
    flag("privileged", settings.privileged);
    flag("no-new-privileges", settings.no_new_privileges);
    flag("read-only", settings.read_only_root);
    match &settings.seccomp {
        Some(Seccomp::Unconfined) => options.push("seccomp=unconfined".into()),
        Some(Seccomp::EngineDefault) => options.push("seccomp=default".into()),
        Some(Seccomp::Profile(profile)) => options.push(format!("seccomp={profile}")),
        None => {}
    }
    for (name, value) in [("apparmor", &settings.apparmor), ("label", &settings.selinux), ("user", &settings.user)] {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            options.push(format!("{name}={value}"));
        }
    }
    for (name, list) in [
        ("cap-add", &settings.capabilities_added),
        ("cap-drop", &settings.capabilities_dropped),
        ("cap", &settings.capabilities),
    ] {
        options.extend(list.iter().flatten().map(|capability| format!("{name}={capability}")));
    }
    options.into_iter().map(Text::from).collect()
}

fn kind(run: &Run) -> Kind {
    match &run.kind {
        PathKind::Container(identity) if identity.engine == Engine::Ringfence => Kind::Sandbox,
        PathKind::Container(identity) if matches!(identity.engine, Engine::Buildkit | Engine::Buildah) => Kind::Build,
        _ if run.slot.no_cgroup && run.slot.mount_ns == 0 => Kind::ProcessTree,
        _ if run.slot.no_cgroup => Kind::NamespaceOnly,
        _ => Kind::Container,
    }
}

fn window(clock: Clock, began_ns: u64, parts: &Parts<'_>) -> Window {
    let slot = &parts.run.slot;
    let unobserved = if slot.attached {
        Some("the container ran already when the recording began")
    } else if slot.no_cgroup {
        Some("the container has no cgroup of its own: it is known only from its first program on")
    } else {
        None
    };
    Window {
        observed_from: if slot.attached { ObservedFrom::Attach } else { ObservedFrom::Start },
        runtime_init: RuntimeInit { observed: unobserved.is_none(), reason: unobserved.map(Text::from) },
        begin: clock.at(slot.created_ns),
        end: clock.at(parts.end_boot_ns),
        ended: parts.ended,
        recording: Some(clock.at(began_ns)),
        exit: parts.run.init_exit.as_ref().map(|exit| InitExit {
            status: (exit.signal == 0).then_some(exit.status),
            signal: (exit.signal != 0).then_some(exit.signal),
        }),
    }
}

fn losses(parts: &Parts<'_>) -> Vec<Loss> {
    let mut losses = Vec::new();
    let mut lost = |stage, sensor: &str, count: u64, knob: Option<&str>| {
        losses.push(Loss { stage, sensor: sensor.into(), count, knob: knob.map(Text::from) });
    };
    for slot in &parts.slots {
        for (sensor, &count) in sensors::sensor_names().zip(&slot.losses.samples) {
            lost(Stage::KernelRing, sensor, count, Some("--buffer"));
        }
        for (sensor, &count) in sensors::sensor_names().zip(&slot.losses.entries) {
            lost(Stage::KernelMap, sensor, count, None);
        }
    }
    let before = parts.run.lost_before;
    lost(Stage::Decode, "identity", parts.undecoded - before.undecoded.min(parts.undecoded), None);
    lost(
        Stage::KernelRing,
        "identity",
        parts.losses.without_slot.saturating_sub(before.without_slot),
        Some("--buffer"),
    );
    lost(Stage::Recursion, "identity", parts.losses.missed.saturating_sub(before.missed), None);
    let missed_checks = parts.losses.missed_checks.saturating_sub(before.missed_checks);
    lost(Stage::Recursion, "capabilities", missed_checks, None);
    losses
}

fn cost(kernel: &Kernel) -> Cost {
    let usage = Usage::now();
    Cost {
        cpu_user_ns: usage.cpu_user_ns,
        cpu_system_ns: usage.cpu_system_ns,
        rss_bytes: usage.rss_bytes,
        kernel_map_bytes: kernel.map_bytes(),
        programs: kernel
            .program_costs()
            .into_iter()
            .filter(|cost| cost.runs > 0)
            .map(|cost| ProgramCost::new(cost.name, cost.runs, cost.run_time_ns))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use containers::path::classify;

    use super::*;

    fn runtime(name: &str) -> report::Software {
        report::Software { name: name.into(), version: None }
    }

    #[test]
    fn what_an_engine_says_of_layers_is_taken_for_the_one_root_that_nobody_could_look_at() {
        let root = |device| MountUse {
            phase: Phase::Main,
            mount: 7,
            point: "/".into(),
            place: Place::Root,
            fs_type: "overlay".into(),
            device: event::Device { major: 0, minor: device },
            root: "/".into(),
            source: "overlay".into(),
            host_path: None,
            layers: Vec::new(),
            read_only: false,
            read_bytes: 0,
            written_bytes: 0,
        };
        let lower = ["/nowhere/1-init/diff", "/nowhere/2/diff"].map(String::from);
        let named = |mut mounts: Vec<MountUse>| {
            name_layers(&mut mounts, &lower);
            mounts.into_iter().map(|mount| mount.layers.len()).collect::<Vec<_>>()
        };

        let runtimes = MountUse { phase: Phase::RuntimeInit, ..root(40) };
        let seen = MountUse { layers: vec!["/seen/1".into(), "/seen/2".into()], ..root(41) };
        assert_eq!(named(vec![runtimes, root(41), MountUse { phase: Phase::Exec, ..root(41) }]), [0, 1, 1]);
        assert_eq!(named(vec![root(41), root(42)]), [0, 0]);
        assert_eq!(named(vec![seen]), [2]);
        assert_eq!(named(vec![MountUse { fs_type: "ext4".into(), ..root(41) }]), [0]);
    }

    #[test]
    fn a_workload_behind_another_kernel_is_told_by_its_runtime_or_its_cgroup() {
        let plain = classify(b"/docker/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
        let kata = classify(b"/kata_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");

        assert_eq!(behind_another_kernel(&plain, Some(&runtime("runc"))), None);
        assert_eq!(behind_another_kernel(&plain, None), None);
        let reason = behind_another_kernel(&plain, Some(&runtime("runsc"))).expect("gVisor has its own kernel");
        assert_eq!(reason.code, ReasonCode::WorkloadNotVisible);
        assert!(reason.text.escaped().contains("gVisor"), "{:?}", reason.text);
        assert!(behind_another_kernel(&kata, None).is_some(), "{kata:?}");
    }
}
