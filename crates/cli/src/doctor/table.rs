//! The diagnosis for a terminal: labels at the left, what was found at the right, broken into lines that fit.

use report::{Style, wrap};

use super::Diagnosis;
use super::canary::{Program, ProgramState};
use super::cost::Spread;
use super::engines::SocketState;
use super::hooks::{Answer, Hook};
use super::machine::{Machine, Reading};
use super::verdict::Grade;

const LABEL: usize = 28;
const INDENT: usize = 2;
/// Where a terminal leaves less for the text, lines are longer than it.
const LEAST_TEXT: usize = 24;

pub(super) fn table(diagnosis: &Diagnosis, width: usize, colour: bool) -> String {
    let mut page = Page { width, colour, text: String::new() };
    verdicts(&mut page, diagnosis);
    machine(&mut page, &diagnosis.machine);
    cgroups(&mut page, diagnosis);
    sensors(&mut page, diagnosis);
    hooks(&mut page, &diagnosis.hooks);
    engines(&mut page, diagnosis);
    cost(&mut page, diagnosis);
    page.text
}

struct Page {
    width: usize,
    colour: bool,
    text: String,
}

impl Page {
    fn section(&mut self, title: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(&Style::Title.paint(title, self.colour));
        self.text.push('\n');
    }

    /// `text` is safe for a terminal; labels are ours, of plain letters.
    fn item(&mut self, label: &str, style: Style, text: &str) {
        let room = self.width.saturating_sub(INDENT + LABEL).max(LEAST_TEXT);
        let mut label = label;
        for line in wrap(text, room) {
            let padded = format!("{label:LABEL$}");
            let line = format!("{:INDENT$}{padded}{}", "", style.paint(&line, self.colour));
            self.text.push_str(line.trim_end());
            self.text.push('\n');
            label = "";
        }
    }
}

fn verdicts(page: &mut Page, diagnosis: &Diagnosis) {
    page.section("verdict");
    for verdict in &diagnosis.verdicts {
        let style = if verdict.grade == Grade::Works { Style::Good } else { Style::Bad };
        page.item(verdict.feature, style, verdict.grade.name());
        for why in &verdict.why {
            page.item("", Style::Plain, &event::Text::from(why.as_str()).shown());
        }
    }
}

fn machine(page: &mut Page, machine: &Machine) {
    page.section("machine");
    page.item("kernel", Style::Plain, &format!("{} {}", machine.kernel_release.shown(), machine.architecture.shown()));
    let who = if machine.in_user_namespace {
        format!("{} of a user namespace", machine.uid)
    } else {
        machine.uid.to_string()
    };
    page.item("user", Style::Plain, &who);
    for privilege in &machine.capabilities {
        let (style, has) = match (privilege.has, privilege.needed) {
            (true, _) => (Style::Plain, "yes"),
            (false, true) => (Style::Bad, "missing"),
            (false, false) => (Style::Plain, "missing"),
        };
        page.item(&privilege.name.name(), style, &format!("{has}: {}", privilege.purpose));
    }
    let btf = if machine.btf { "yes" } else { "missing: no program can be loaded" };
    page.item("BTF", if machine.btf { Style::Plain } else { Style::Bad }, btf);
    page.item("lockdown", Style::Plain, &reading(&machine.lockdown));
    let lsms = match machine.lsms.value() {
        Some(list) if list.split(',').any(|name| name == "bpf") => list,
        Some(list) => format!("{list}; `bpf` is not among them: programs on security hooks would never be called"),
        None => reading(&machine.lsms),
    };
    page.item("LSMs", Style::Plain, &lsms);
    for mount in &machine.mounts {
        let text = match &mount.mounted_at {
            Some(at) => at.shown().into_owned(),
            None => format!("not mounted; this costs: {}", mount.cost),
        };
        page.item(mount.name, Style::Plain, &text);
    }
    if let Some(cost) = machine.pid_namespace.cost {
        page.item("inner pid namespace", Style::Bad, cost);
    }
}

fn reading(reading: &Reading) -> String {
    match reading {
        Reading::Known { value } => value.shown().into_owned(),
        Reading::Absent => "this kernel does not have it".into(),
        Reading::Unknown { reason } => format!("not known: {}", event::Text::from(reason.as_str()).shown()),
    }
}

fn cgroups(page: &mut Page, diagnosis: &Diagnosis) {
    page.section("cgroups");
    let cgroups = match &diagnosis.cgroups {
        Ok(cgroups) => cgroups,
        Err(why) => return page.item("layout", Style::Bad, &event::Text::from(why.as_str()).shown()),
    };
    page.item("layout", Style::Plain, cgroups.mode);
    for hierarchy in &cgroups.hierarchies {
        let name = hierarchy.name.as_ref().map(|name| format!("name={}", name.shown()));
        let controllers = hierarchy.controllers.join(",");
        let what = match (controllers.as_str(), name) {
            ("", None) => "no controllers".to_owned(),
            ("", Some(name)) => name,
            (controllers, None) => controllers.to_owned(),
            (controllers, Some(name)) => format!("{controllers},{name}"),
        };
        let part = if hierarchy.partly_mounted { ", only a part of it" } else { "" };
        let label = format!("v{} #{}", hierarchy.version, hierarchy.number);
        let text = format!("{what}, at {}{part}", hierarchy.mounted_at.shown());
        if hierarchy.identifies {
            page.item(&label, Style::Good, &format!("{text}; it tells containers apart, because {}", cgroups.why));
        } else {
            page.item(&label, Style::Plain, &text);
        }
    }
}

fn sensors(page: &mut Page, diagnosis: &Diagnosis) {
    page.section("sensors");
    if let Some(why) = &diagnosis.sensors.failure {
        page.item("not loaded", Style::Bad, &event::Text::from(why.as_str()).shown());
    }
    if let Some(why) = &diagnosis.sensors.traced_failure {
        let text = format!("with an event for each call: {}", event::Text::from(why.as_str()).shown());
        page.item("not loaded", Style::Bad, &text);
    }
    for line in &diagnosis.sensors.log {
        page.item("", Style::Faint, &event::Text::from(line.as_str()).shown());
    }
    if let Some(why) = &diagnosis.sensors.untried {
        page.item("not put to the test", Style::Bad, &event::Text::from(why.as_str()).shown());
    }
    let mut sensor = "";
    for program in &diagnosis.sensors.programs {
        let label = if program.sensor == sensor { "" } else { program.sensor };
        sensor = program.sensor;
        let style = match program.state {
            ProgramState::Works => Style::Good,
            ProgramState::Attached => Style::Plain,
            _ => Style::Bad,
        };
        page.item(label, style, &program_text(program));
    }
}

fn program_text(program: &Program) -> String {
    let state = match program.state {
        ProgramState::Works => "works",
        ProgramState::Attached => "attached, not tried",
        ProgramState::Wrong => "attached, and wrong",
        ProgramState::Unsupported => "this kernel has no such hook",
        ProgramState::Failed => "could not be attached",
    };
    let mut text = format!("{} {}: {state}", program.hook, program.name);
    if let Some(runs) = program.runs {
        text.push_str(&format!(", called {runs} times"));
    }
    for check in &program.checks {
        text.push_str(&format!(", {}: {} of {}", check.what, check.seen, check.expected));
    }
    if let Some(reason) = program.reason.as_ref().filter(|_| program.checks.is_empty()) {
        text.push_str(&format!(", {}", event::Text::from(reason.as_str()).shown()));
    }
    text
}

fn hooks(page: &mut Page, hooks: &[Hook]) {
    page.section("what this kernel takes, tried one by one");
    // The same reason for all of them is said once.
    if let Some(first) = hooks.first().filter(|_| hooks.iter().all(|hook| hook.result == Answer::NotTried)) {
        return page.item("nothing was tried", Style::Plain, &reason(first));
    }
    for hook in hooks {
        let text = match hook.result {
            Answer::Works => format!("works ({})", hook.tried_on),
            Answer::NeverCalled => format!("{}; this costs: {}", reason(hook), hook.cost),
            Answer::Refused => {
                let errno = hook.errno.map_or_else(|| reason(hook), |errno| errno.to_string());
                format!("refused at {}: {errno}; this costs: {}", hook.step.unwrap_or("load"), hook.cost)
            }
            Answer::NotTried => format!("not tried: {}", reason(hook)),
        };
        let style = match hook.result {
            Answer::Works => Style::Good,
            Answer::NeverCalled | Answer::Refused if hook.used => Style::Bad,
            _ => Style::Plain,
        };
        page.item(hook.kind, style, &text);
    }
}

fn reason(hook: &Hook) -> String {
    hook.reason.as_ref().map(|reason| reason.shown().into_owned()).unwrap_or_default()
}

fn engines(page: &mut Page, diagnosis: &Diagnosis) {
    page.section("engines");
    let engines = &diagnosis.engines;
    for socket in engines.with(SocketState::Answers) {
        let version = socket.version.as_ref().map(|version| version.shown().into_owned()).unwrap_or_default();
        let text = format!("{version}, by the {} at {}", socket.interface, socket.path.shown());
        page.item(socket.engine.unwrap_or("unknown"), Style::Good, &text);
    }
    for socket in engines.with(SocketState::Fails) {
        let reason = socket.reason.as_ref().map(|reason| reason.shown().into_owned()).unwrap_or_default();
        page.item(socket.interface, Style::Bad, &reason);
    }
    let mut absent: Vec<String> = engines.with(SocketState::Absent).map(|it| it.path.shown().into_owned()).collect();
    // Some sockets are asked in two ways.
    absent.sort();
    absent.dedup();
    if !absent.is_empty() {
        page.item("not there", Style::Faint, &absent.join(" "));
    }
    let folders: Vec<_> = engines.state_folders.iter().map(|folder| folder.shown()).collect();
    if !folders.is_empty() {
        page.item("state of runtimes", Style::Plain, &folders.join(" "));
    }
}

fn cost(page: &mut Page, diagnosis: &Diagnosis) {
    let Some(cost) = &diagnosis.cost else { return };
    page.section("cost");
    let mebibytes = cost.map_bytes as f64 / f64::from(1 << 20);
    page.item("memory of the maps", Style::Plain, &format!("{mebibytes:.1} MiB"));
    if let Some(why) = &cost.not_measured {
        page.item("a system call", Style::Plain, &format!("not measured: {}", event::Text::from(why.as_str()).shown()));
    }
    if let Some(calls) = &cost.getppid {
        let text = |spread: &Spread| {
            format!("{:.0} ns, median {:.0} ns, {} rounds", spread.min_ns, spread.median_ns, spread.rounds)
        };
        page.item("getppid, untraced", Style::Plain, &text(&calls.untraced));
        page.item("getppid, outside", Style::Plain, &text(&calls.outside));
        page.item("getppid, in a container", Style::Plain, &text(&calls.inside));
    }
}

#[cfg(test)]
mod tests;
