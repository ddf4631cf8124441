//! The head of a report: who, when, where, and how much of it is there.

use event::Text;

use super::network::address_and_port;
use super::signal;
use super::style::Style;
use super::units::duration;
use crate::{Container, Counts, Host, InitExit, Kind, Metadata, MetadataState, ObservedFrom, Report, Software, Window};

/// One line of the head, or a few.
pub(super) struct Fact {
    pub(super) label: &'static str,
    /// Safe for a terminal; each is to start on a line of its own.
    pub(super) lines: Vec<String>,
    /// How the first line stands out.
    pub(super) style: Style,
}

fn fact(label: &'static str, lines: Vec<String>) -> Fact {
    Fact { label, lines, style: Style::Plain }
}

/// What a report is about, in a few words.
pub(super) fn title(report: &Report) -> String {
    let container = &report.container;
    let name = container.name.as_ref().filter(|name| !name.is_empty()).map(|name| name.shown().into_owned());
    let id = || container.id.as_ref().filter(|id| !id.is_empty()).map(short_id);
    let cgroup = || container.cgroup.as_ref().map(|cgroup| cgroup.path.shown().into_owned());
    let run = || format!("run {}.{}", container.run.slot, container.run.generation);
    name.or_else(id).or_else(cgroup).unwrap_or_else(run)
}

/// The head, with `all` in every detail.
pub(super) fn facts(report: &Report, all: bool) -> Vec<Fact> {
    let container = &report.container;
    let mut facts = vec![fact("container", vec![identity(container)])];
    if let Some(image) = image(container, all) {
        facts.push(fact("image", vec![image]));
    }
    if let Some(pod) = &container.pod {
        let parts = [&pod.namespace, &pod.name].into_iter().flatten().map(|part| part.shown().into_owned());
        facts.push(fact("pod", vec![parts.collect::<Vec<_>>().join("/")]));
    }
    if let Some(parent) = &container.parent {
        let outer = parent.id.as_ref().map_or_else(|| "a container without a known id".to_owned(), short_id);
        facts.push(fact("inside", vec![format!("{outer} (run {}.{})", parent.run.slot, parent.run.generation)]));
    }
    if let Some(cgroup) = container.cgroup.as_ref().filter(|_| all || container.id.is_none()) {
        facts.push(fact("cgroup", vec![cgroup.path.shown().into_owned()]));
    }
    if !container.command.is_empty() {
        facts.push(fact("command", vec![command_line(&container.command)]));
    }
    if !container.published_ports.is_empty() {
        let ports = container.published_ports.iter().map(|one| {
            let host = address_and_port(&one.host_address, one.host_port);
            format!("{} {host} → {}", one.protocol.name(), one.port)
        });
        facts.push(fact("ports", vec![ports.collect::<Vec<_>>().join(", ")]));
    }
    if all && !container.security_options.is_empty() {
        facts.push(fact("security", vec![command_line(&container.security_options)]));
    }
    if all && !container.labels.is_empty() {
        let labels = container.labels.iter().map(|(name, value)| format!("{}={}", name.shown(), quoted(value)));
        facts.push(fact("labels", labels.collect()));
    }
    facts.extend(metadata(&container.metadata, all));
    facts.push(fact("observed", window(&report.window)));
    facts.push(fact("host", vec![host(&report.host)]));
    facts.push(completeness(report));
    facts
}

fn identity(container: &Container) -> String {
    let kind = match container.kind {
        Kind::Container => "container",
        Kind::Sandbox => "ringfence's own sandbox",
        Kind::PodSandbox => "pause container of a pod",
        Kind::Build => "step of an image build",
        Kind::ProcessTree => "process tree, in no container",
        Kind::NamespaceOnly => "container without a cgroup of its own",
    };
    let mut parts = vec![match &container.engine {
        Some(engine) => format!("{} {kind}", engine.shown()),
        None => kind.to_owned(),
    }];
    parts.extend(container.id.as_ref().map(short_id));
    parts.join(", ")
}

fn image(container: &Container, all: bool) -> Option<String> {
    let digest = container.image_digest.as_ref().map(|digest| {
        let shown = digest.shown();
        match shown.split_once(':') {
            Some((algorithm, hex)) if !all && is_long_hex(hex) => format!("{algorithm}:{}…", &hex[..12]),
            _ => shown.into_owned(),
        }
    });
    let image = container.image.as_ref().map(|image| image.shown().into_owned());
    let parts: Vec<String> = image.into_iter().chain(digest).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn metadata(metadata: &Metadata, all: bool) -> Vec<Fact> {
    let because = metadata.reason.as_ref().map(|reason| format!(": {}", reason.shown())).unwrap_or_default();
    let mut facts = Vec::new();
    match metadata.state {
        MetadataState::Known => {}
        MetadataState::Pending => {
            facts.push(fact("names", vec![format!("the engine had not answered yet{because}")]));
        }
        MetadataState::Failed => facts.push(fact("names", vec![format!("the engine was no help{because}")])),
    }
    if all && !metadata.sources.is_empty() {
        let sources =
            metadata.sources.iter().map(|(field, source)| format!("{} from {}", field.shown(), source.shown()));
        facts.push(fact("sources", vec![sources.collect::<Vec<_>>().join(", ")]));
    }
    facts
}

fn window(window: &Window) -> Vec<String> {
    let from = match window.observed_from {
        ObservedFrom::Start => "from its start",
        ObservedFrom::Attach => "from the middle of its life",
    };
    let until = match (window.ended, window.exit) {
        (true, Some(exit)) => format!("until it {}", ending(exit)),
        (true, None) => "until it ended".to_owned(),
        (false, _) => "and still running then".to_owned(),
    };
    let lasted = duration(window.end.boot_ns.saturating_sub(window.begin.boot_ns));
    let mut lines = vec![
        format!("{from}, for {lasted}, {until}"),
        format!("{} to {}", window.begin.wall.readable(), window.end.wall.readable()),
    ];
    if !window.runtime_init.observed {
        let because = window.runtime_init.reason.as_ref().map(|reason| format!(": {}", reason.shown()));
        lines.push(format!("runtime-init: not observed{}", because.unwrap_or_default()));
    }
    lines
}

fn ending(exit: InitExit) -> String {
    match (exit.status, exit.signal) {
        (_, Some(signal)) => format!("was ended by {}", signal::name(signal)),
        (Some(status), None) => format!("ended with status {status}"),
        (None, None) => "ended".to_owned(),
    }
}

fn host(host: &Host) -> String {
    let mut parts = vec![format!("Linux {} {}", host.kernel_release.shown(), host.architecture.shown())];
    parts.extend([&host.engine, &host.runtime].into_iter().flatten().map(software));
    parts.push(format!("cgroup {}", host.cgroup_layout.name()));
    if let Some(hostname) = &host.hostname {
        parts.insert(0, hostname.shown().into_owned());
    }
    parts.join(", ")
}

fn software(software: &Software) -> String {
    match &software.version {
        Some(version) => format!("{} {}", software.name.shown(), version.shown()),
        None => software.name.shown().into_owned(),
    }
}

fn completeness(report: &Report) -> Fact {
    let counts = match report.counts {
        Counts::Exact => "counts are exact",
        Counts::AtLeast => "counts may be too low, as threads ran while they were read",
    };
    let whole: Vec<_> =
        report.sections.iter().filter(|(_, complete)| **complete).map(|(section, _)| section.shown()).collect();
    let (answer, style) = match whole.as_slice() {
        _ if report.complete => ("yes".to_owned(), Style::Good),
        [] => ("NO".to_owned(), Style::Bad),
        parts => (format!("NO, only {}", parts.join(", ")), Style::Bad),
    };
    let reasons = report.reasons.iter().map(|reason| format!("- {}", reason.text.shown()));
    Fact { label: "complete", lines: std::iter::once(format!("{answer}; {counts}")).chain(reasons).collect(), style }
}

/// The first 12 digits of a long hexadecimal id, as engines themselves shorten it; any other id in full. Safe for a terminal.
pub fn short_id(id: &Text) -> String {
    let shown = id.shown();
    if is_long_hex(&shown) { shown[..12].to_owned() } else { shown.into_owned() }
}

fn is_long_hex(text: &str) -> bool {
    text.len() > 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Arguments as one line, quoted as a shell would want them.
pub(super) fn command_line(arguments: &[Text]) -> String {
    arguments.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// One argument, safe for a terminal, quoted if a shell would want it.
pub fn quoted(argument: &Text) -> String {
    let shown = argument.shown();
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=@%+,~".contains(c);
    if !shown.is_empty() && shown.chars().all(is_plain) {
        shown.into_owned()
    } else {
        format!("'{}'", shown.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::command_line;

    #[test]
    fn arguments_are_quoted_as_a_shell_wants_them() {
        let arguments = ["sh", "-c", "it's $HOME", "", "a\nb"].map(Into::into);

        assert_eq!(command_line(&arguments), r"sh -c 'it'\''s $HOME' '' 'a\nb'");
    }
}
