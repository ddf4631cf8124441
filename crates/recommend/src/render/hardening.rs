//! The rest of the hardening, what changes, and the score, on a terminal.

use event::Text;
use report::{Column, Fit, Style, counted};

use super::{INDENT, Page};
use crate::{Access, Advice, EscapeState, Evidence, Hardening, LimitAdvice, MountAction, Recommendation, Verdict};

impl Page {
    pub(super) fn hardening(&mut self, hardening: &Hardening, all: bool) {
        let mut rows = Vec::new();
        rows.push(row("no new privileges", &hardening.no_new_privileges));
        rows.push(row("not privileged", &hardening.unprivileged));
        rows.push(row("read-only root", &hardening.read_only_root.advice));
        rows.push(row("user", &hardening.user.advice));
        rows.push(limit("tasks", &hardening.pids, |amount| amount.to_string()));
        rows.push(limit("memory", &hardening.memory, |bytes| format!("{} MiB", bytes >> 20)));
        rows.push(limit("CPU", &hardening.cpu, |thousandths| {
            format!("{}.{}", thousandths / 1000, thousandths % 1000 / 100)
        }));
        for one in &hardening.ulimits {
            rows.push(row(&format!("ulimit {}", one.name.shown()), &one.advice));
        }
        rows.push(row("devices", &hardening.devices.advice));
        rows.push(row("/proc and /sys", &hardening.system_paths.advice));
        for one in &hardening.host_namespaces {
            rows.push(row(&format!("own {} namespace", one.namespace.shown()), &one.advice));
        }
        rows.push(row("network policy", &hardening.network.advice));
        let applied = rows.iter().filter(|row| row[1] == Verdict::Apply.name()).count();
        let about = format!("{applied} of {} to apply; why in full, and what was seen: --format json", rows.len());
        self.section("HARDENING", &about);
        let column = |title, fit, style| Column { title, fit, style };
        let columns = [
            column("SETTING", Fit::Left, Style::Label),
            column("ADVICE", Fit::Left, Style::Plain),
            column("NOW", Fit::Left, Style::Plain),
            column("TO", Fit::Left, Style::Plain),
            column("WHY", Fit::CutEnd, Style::Faint),
        ];
        self.rows(&columns, &rows);
        self.writable(hardening);
        self.devices(hardening);
        self.mounts(hardening, all);
        for port in &hardening.ports {
            let address = port.port.host_address.shown();
            let address = if address.contains(':') { format!("[{address}]") } else { address.into_owned() };
            let (number, protocol) = (port.port.host_port, port.port.protocol.name());
            let where_to = format!("{address}:{number} to {protocol} {}", port.port.port);
            let what = match port.advice.verdict {
                Verdict::Apply => "publish it no more",
                Verdict::Needed => "keep it",
                Verdict::Unknown => "not known",
            };
            self.item(&format!("port {where_to}: {what}"), &port.advice);
        }
        for socket in &hardening.engine_sockets {
            let text = format!("{} of {}: {}", socket.path.shown(), socket.engine.shown(), socket.meaning.shown());
            self.wrapped(INDENT, &text, Style::Bad);
        }
        if let Some(user) = hardening.user.user {
            let what = match hardening.user.advice.verdict {
                Verdict::Apply => "start it as",
                Verdict::Needed | Verdict::Unknown => "it goes on as",
            };
            self.wrapped(INDENT, &format!("user: {what} {}:{}", user.uid, user.gid), Style::Plain);
        }
        if all {
            self.network(hardening);
        }
    }

    fn writable(&mut self, hardening: &Hardening) {
        for directory in &hardening.read_only_root.writable {
            let reasons: Vec<_> = directory.reasons.iter().map(|reason| reason.shown()).collect();
            let text = format!(
                "writable: {} as a {}: {}",
                directory.path.shown(),
                directory.medium.name(),
                reasons.join("; ")
            );
            self.wrapped(INDENT, &text, Style::Plain);
        }
    }

    fn devices(&mut self, hardening: &Hardening) {
        for device in &hardening.devices.needed {
            let mut uses = Vec::new();
            for (is_done, what) in [(device.read, "read"), (device.write, "written"), (device.make, "made")] {
                if is_done {
                    uses.push(what);
                }
            }
            self.wrapped(INDENT, &format!("device {}: {}", device.path.shown(), uses.join(", ")), Style::Plain);
        }
        for device in &hardening.devices.unused {
            let text = format!("device {}: given and not opened: leave it out", device.path.shown());
            self.wrapped(INDENT, &text, Style::Plain);
        }
        for path in &hardening.system_paths.needed {
            self.wrapped(INDENT, &format!("needs {} as it is on the host", path.path.shown()), Style::Plain);
        }
    }

    fn mounts(&mut self, hardening: &Hardening, all: bool) {
        for mount in &hardening.mounts {
            let what = match mount.action {
                MountAction::Drop => "leave it out",
                MountAction::ReadOnly if mount.read_only => "it stays read-only",
                MountAction::ReadOnly => "mount it read-only",
                MountAction::Keep => "keep it",
            };
            if all || mount.action != MountAction::Keep || mount.access != Access::Write {
                let text = format!("{} {}: {what}", mount.kind.shown(), mount.destination.shown());
                self.item(&text, &mount.advice);
            }
        }
    }

    fn network(&mut self, hardening: &Hardening) {
        let network = &hardening.network;
        for need in &network.ingress {
            let text = format!("from {} to {} {}", peers(&need.peers), need.protocol.name(), need.port);
            self.wrapped(INDENT, &text, Style::Plain);
        }
        for need in &network.egress {
            let text = format!("to {} {} of {}", need.protocol.name(), need.port, peers(&need.peers));
            self.wrapped(INDENT, &text, Style::Plain);
        }
    }

    /// A line, with the reasons behind it.
    fn item(&mut self, text: &str, advice: &Advice) {
        self.wrapped(INDENT, &format!("{text}: {}", reasons(advice)), Style::Plain);
    }

    pub(super) fn changes(&mut self, recommendation: &Recommendation) {
        let changes = &recommendation.changes;
        let (calls, capabilities) = (changes.calls_now, changes.capabilities_now);
        let now = |now: Option<u32>| now.map_or_else(|| "an unknown number of".to_owned(), |now| now.to_string());
        self.section("CHANGES", &format!("now: {}", changes.filter_reason.shown()));
        let text = format!(
            "{} system calls are open now, {} after; {} capabilities now, {} after",
            now(calls),
            changes.calls_after,
            now(capabilities),
            changes.capabilities_after
        );
        self.wrapped(INDENT, &text, Style::Plain);
        if !changes.calls_opened.is_empty() {
            let names: Vec<_> = changes.calls_opened.iter().map(Text::shown).collect();
            self.wrapped(INDENT, &format!("open after and not now: {}", names.join(", ")), Style::Bad);
        }
    }

    pub(super) fn score(&mut self, recommendation: &Recommendation, all: bool) {
        let score = &recommendation.score;
        if score.lines.is_empty() {
            return;
        }
        let about = format!("of {} known ways out of a container or into the kernel", score.lines.len());
        self.section("ESCAPES", &about);
        let figures = [
            (score.closed, "closed by this", EscapeState::Open, EscapeState::Closed),
            (
                score.closed_unknown_before,
                "closed after this; not known whether now",
                EscapeState::Unknown,
                EscapeState::Closed,
            ),
            (score.closed_before, "closed already", EscapeState::Closed, EscapeState::Closed),
            (score.opened, "opened by this", EscapeState::Closed, EscapeState::Open),
            (score.open, "open still", EscapeState::Open, EscapeState::Open),
            (
                score.open_unknown_before,
                "open after this; not known whether now",
                EscapeState::Unknown,
                EscapeState::Open,
            ),
        ];
        for (count, what, now, after) in figures.into_iter().filter(|figure| figure.0 > 0) {
            let lines = score.lines.iter().filter(|line| (line.now, line.after) == (now, after));
            let ids: Vec<_> = lines.map(|line| line.id.shown()).collect();
            let style =
                if (now, after) == (EscapeState::Closed, EscapeState::Open) { Style::Bad } else { Style::Plain };
            self.wrapped(INDENT, &format!("{count} {what}: {}", ids.join(", ")), style);
        }
        if score.unknown > 0 {
            self.wrapped(INDENT, &format!("{} not known", score.unknown), Style::Plain);
        }
        if all {
            for line in &score.lines {
                let by: Vec<_> = line.by.iter().map(Text::shown).collect();
                let by = if by.is_empty() { String::new() } else { format!(": {}", by.join("; ")) };
                let text = format!("{}: {}{by}", line.id.shown(), line.what.shown());
                self.wrapped(INDENT, &text, Style::Faint);
            }
        }
    }
}

fn row(setting: &str, advice: &Advice) -> Vec<String> {
    let now = match advice.now {
        Some(true) => "set",
        Some(false) => "not set",
        None => "",
    };
    vec![setting.to_owned(), advice.verdict.name().to_owned(), now.to_owned(), String::new(), reasons(advice)]
}

fn limit(setting: &str, limit: &LimitAdvice, shown: impl Fn(u64) -> String) -> Vec<String> {
    let mut row = row(setting, &limit.advice);
    row[2] = limit.now.map(&shown).unwrap_or_default();
    row[3] = limit.recommended.map(shown).unwrap_or_default();
    row
}

/// The reasons, and the first thing that they rest on if they are against it.
fn reasons(advice: &Advice) -> String {
    let reasons: Vec<_> = advice.reasons.iter().map(|reason| reason.shown()).collect();
    let seen = advice.evidence.first().filter(|_| advice.verdict == Verdict::Needed).map(first).unwrap_or_default();
    format!("{}{seen}", reasons.join("; "))
}

fn first(evidence: &Evidence) -> String {
    let path = if evidence.path.is_empty() { String::new() } else { format!(" {}", evidence.path.shown()) };
    let times = counted(evidence.count, "time", "times");
    format!(" ({}{path}, {times}, first by {})", evidence.what.shown(), evidence.program.shown())
}

fn peers(peers: &[crate::Peer]) -> String {
    let name = |peer: &crate::Peer| {
        let known = peer.containers.first().or(peer.names.first()).unwrap_or(&peer.address);
        known.shown().into_owned()
    };
    match peers.is_empty() {
        true => "nobody".to_owned(),
        false => peers.iter().map(name).collect::<Vec<_>>().join(", "),
    }
}
