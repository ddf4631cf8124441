//! What a recommendation sets, in the form that every target starts from: only what is to be applied and can be written.

use event::{Capability, Text};

use super::quoting;
use crate::Recommendation;
use crate::hardening::{Advice, DeviceNeed, LimitAdvice, Medium, MountAction, UserIds, Verdict, WritableDirectory};

/// The settings.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    /// What the workload is called: safe in every format.
    pub(super) name: String,
    /// Its image, as its engine names it; none if it is not known or cannot be written.
    pub(super) image: Option<String>,
    pub(super) no_new_privileges: bool,
    pub(super) capabilities: Vec<Capability>,
    /// The root file system is read-only, but for these.
    pub(super) read_only: Option<Vec<Writable>>,
    pub(super) user: Option<UserIds>,
    pub(super) pids: Option<u64>,
    pub(super) memory_bytes: Option<u64>,
    /// In thousandths of one CPU.
    pub(super) cpu_milli: Option<u64>,
    /// Name and limit.
    pub(super) ulimits: Vec<(String, u64)>,
    pub(super) devices: Vec<DeviceUse>,
    /// What is to be done elsewhere, or is not known: sentences that are safe to show.
    pub(super) notes: Vec<String>,
}

/// A directory that stays writable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Writable {
    pub(super) path: String,
    pub(super) medium: Medium,
    /// Octal digits.
    pub(super) mode: String,
    /// Whom a tmpfs there belongs to.
    pub(super) owner: Option<UserIds>,
    /// The image has files there that were used.
    pub(super) has_image_files: bool,
}

impl Writable {
    /// The options of a tmpfs there, as mount(8) takes them.
    pub(super) fn options(&self) -> Vec<String> {
        // Engines add `noexec` if nothing is said, and whether a script was run from there is not recorded.
        let mut options: Vec<String> = ["rw", "nosuid", "nodev", "exec"].map(str::to_owned).to_vec();
        options.push(format!("mode={}", self.mode));
        if let Some(owner) = self.owner {
            options.extend([format!("uid={}", owner.uid), format!("gid={}", owner.gid)]);
        }
        options
    }

    /// The name of a volume of a pod for it.
    pub(super) fn volume(&self, name: &str) -> String {
        quoting::label(&format!("{name}-{}", self.path), 63)
    }
}

/// A device that the workload needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeviceUse {
    pub(super) path: String,
    pub(super) host_path: String,
    /// Of `r`, `w` and `m`.
    pub(super) access: String,
}

impl Settings {
    pub(super) fn of(recommendation: &Recommendation) -> Settings {
        let hardening = &recommendation.hardening;
        let source = recommendation.sources.first();
        let name = source.and_then(|source| source.name.as_ref().or(source.command.first()));
        let name = name.map(|name| name.shown().into_owned()).unwrap_or_default();
        let image = source.and_then(|source| source.image.as_ref());
        let mut settings = Settings {
            name: quoting::label(name.rsplit('/').next().unwrap_or(&name), 63),
            image: image.and_then(quoting::writable).map(str::to_owned),
            no_new_privileges: recommendation.no_new_privileges,
            capabilities: recommendation.capabilities.add.iter().map(|need| need.capability).collect(),
            ..Settings::default()
        };
        settings.pids = settings.limit("a limit of processes", &hardening.pids);
        settings.memory_bytes = settings.limit("a limit of memory", &hardening.memory);
        settings.cpu_milli = settings.limit("a limit of CPU time", &hardening.cpu);
        settings.root(recommendation);
        // Whom it is started as already is left alone: naming the user would take supplementary groups away.
        let user = &hardening.user.advice;
        if settings.applies("another user than root", user) && user.now != Some(true) {
            settings.user = hardening.user.user;
        }
        for limit in &hardening.ulimits {
            let known = quoting::writable(&limit.name).filter(|name| quoting::is_shell_word(name));
            if let (Verdict::Apply, Some(name), Some(value)) = (limit.advice.verdict, known, limit.recommended) {
                settings.ulimits.push((name.to_owned(), value));
            }
        }
        for device in &hardening.devices.needed {
            settings.device(device);
        }
        settings.elsewhere(recommendation);
        settings
    }

    /// Whether a setting is to be made; why not, if that is not known.
    fn applies(&mut self, what: &str, advice: &Advice) -> bool {
        match advice.verdict {
            Verdict::Apply => true,
            verdict => {
                let why: Vec<_> = advice.reasons.iter().map(|reason| reason.shown()).collect();
                if !why.is_empty() {
                    let how = if verdict == Verdict::Needed { "not set" } else { "not known" };
                    self.notes.push(format!("{what}: {how}: {}", why.join("; ")));
                }
                false
            }
        }
    }

    fn limit(&mut self, what: &str, limit: &LimitAdvice) -> Option<u64> {
        if self.applies(what, &limit.advice) { limit.recommended } else { None }
    }

    fn root(&mut self, recommendation: &Recommendation) {
        let root = &recommendation.hardening.read_only_root;
        if !self.applies("a read-only root file system", &root.advice) {
            return;
        }
        let mut writable = Vec::new();
        for directory in &root.writable {
            match Writable::of(directory) {
                Some(one) => writable.push(one),
                None => {
                    let path = directory.path.shown();
                    self.notes.push(format!(
                        "a read-only root file system: not set: {path} must stay writable, and no format can name it"
                    ));
                    return;
                }
            }
        }
        self.read_only = Some(writable);
    }

    fn device(&mut self, device: &DeviceNeed) {
        let Some(host_path) = &device.host_path else {
            let path = device.path.shown();
            self.notes.push(format!("the device {path} is needed: give it; which of the host's it is is not known"));
            return;
        };
        let plain = |path: &Text| {
            quoting::writable(path)
                .filter(|path| quoting::is_shell_word(path) && !path.contains(':'))
                .map(str::to_owned)
        };
        let (Some(path), Some(host_path)) = (plain(&device.path), plain(host_path)) else {
            self.notes.push(format!("the device {} is needed, and no format can name it", device.path.shown()));
            return;
        };
        let mut access = String::new();
        for (letter, is_needed) in [('r', device.read), ('w', device.write), ('m', device.make)] {
            if is_needed {
                access.push(letter);
            }
        }
        if !access.is_empty() {
            self.devices.push(DeviceUse { path, host_path, access });
        }
    }

    /// What is taken away where the container is described now: a target adds, it cannot take away.
    fn elsewhere(&mut self, recommendation: &Recommendation) {
        let hardening = &recommendation.hardening;
        let apply = |advice: &Advice| advice.verdict == Verdict::Apply && advice.now != Some(true);
        let notes = &mut self.notes;
        if apply(&hardening.no_new_privileges) && !recommendation.no_new_privileges {
            notes.push("no_new_privileges can be set: recommend again with --no-new-privileges yes".to_owned());
        }
        if apply(&hardening.unprivileged) {
            notes.push("take away: privileged".to_owned());
        }
        for device in &hardening.devices.unused {
            notes.push(format!("take away: the device {}", device.path.shown()));
        }
        for namespace in hardening.host_namespaces.iter().filter(|one| apply(&one.advice)) {
            notes.push(format!("take away: the host's {} namespace", namespace.namespace.shown()));
        }
        for mount in hardening.mounts.iter().filter(|one| apply(&one.advice)) {
            let destination = mount.destination.shown();
            match mount.action {
                MountAction::Drop => notes.push(format!("take away: the mount {destination}")),
                MountAction::ReadOnly => notes.push(format!("mount read-only: {destination}")),
                MountAction::Keep => {}
            }
        }
        for port in hardening.ports.iter().filter(|one| apply(&one.advice)) {
            let (host, protocol) = (port.port.host_port, port.port.protocol.name());
            notes.push(format!("take away: the published port {host}/{protocol}"));
        }
        for socket in hardening.engine_sockets.iter().filter(|one| apply(&one.advice)) {
            notes.push(format!("take away: the engine's socket {}", socket.path.shown()));
        }
    }
}

impl Writable {
    fn of(directory: &WritableDirectory) -> Option<Writable> {
        // Commas and colons end a path in the options of every engine.
        let path = quoting::writable(&directory.path)
            .filter(|path| path.starts_with('/') && !path.contains([',', ':', '\\', '"']))?;
        let mode = quoting::writable(&directory.mode).filter(|mode| mode.chars().all(|c| c.is_digit(8)));
        let owner = directory.writers.iter().find(|one| one.uid != 0).copied();
        let mode =
            mode.map_or_else(|| if directory.writers.len() > 1 { "1777" } else { "755" }.to_owned(), str::to_owned);
        let is_open = mode.ends_with('7');
        Some(Writable {
            path: path.to_owned(),
            medium: directory.medium,
            owner: owner.filter(|_| !is_open),
            mode,
            has_image_files: directory.image_files_used,
        })
    }
}
