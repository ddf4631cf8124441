//! The sections that are tables, and those at the end of the page.

use std::collections::BTreeSet;

use event::{Phase, Text};

use super::super::units::{bytes, count, counted, duration};
use super::super::{
    arguments, calls, checks, files as file_lists, network as network_lists, privileged as privileged_lists,
    resources as used, scripts as script_list, terminals as session_list,
};
use super::Section;
use super::markup::{Cell, code, escaped, table};
use crate::{AttachState, Report, ego};

pub(super) fn calls(report: &Report, _all: bool) -> Option<Section> {
    let groups = calls::groups(report);
    let entries = groups.iter().fold(0u64, |sum, group| sum.saturating_add(group.total()));
    let kinds = groups.iter().map(|group| group.uses.len() as u64).sum();
    let mut body = String::new();
    for group in &groups {
        let title = format!("in {}, {}", group.phase, group.arch);
        let about = format!(
            "{}, {}",
            counted(group.uses.len() as u64, "call", "calls"),
            counted(group.total(), "entry", "entries")
        );
        body += &heading(&title, &about);
        let rows: Vec<Vec<Cell>> = group
            .uses
            .iter()
            .map(|used| {
                vec![
                    number(used.count),
                    Cell::Code(calls::name(used)),
                    Cell::Words(calls::failures(&used.failures)),
                    Cell::Code(calls::first_program(used)),
                ]
            })
            .collect();
        body += &table(&format!("system calls {title}"), &["Count", "Call", "Failed", "First by"], &rows);
    }
    Some(Section {
        id: "system-calls",
        title: "System calls",
        figure: count(kinds),
        unit: if kinds == 1 { "system call" } else { "system calls" },
        about: if groups.is_empty() {
            "None were recorded".to_owned()
        } else {
            format!("entered {} in all", counted(entries, "time", "times"))
        },
        body,
    })
}

pub(super) fn arguments(report: &Report, _all: bool) -> Option<Section> {
    let groups = arguments::groups(report);
    let calls: usize = groups.iter().map(|group| group.lines.len()).sum();
    let mut body = String::new();
    for group in groups {
        let title = format!("in {}", group.phase);
        body += &heading(&title, arguments::ABOUT);
        let rows: Vec<Vec<Cell>> = group
            .lines
            .into_iter()
            .map(|line| vec![Cell::Code(line.call), number(line.position.into()), Cell::Words(line.values)])
            .collect();
        body += &table(&format!("arguments {title}"), &["Call", "Argument", "Values"], &rows);
    }
    (calls > 0).then(|| Section {
        id: "arguments",
        title: "Arguments",
        figure: count(calls as u64),
        unit: if calls == 1 { "call looked at" } else { "calls looked at" },
        about: "What calls were passed".to_owned(),
        body,
    })
}

pub(super) fn capabilities(report: &Report, _all: bool) -> Option<Section> {
    let groups = checks::groups(report);
    let held = |group: &&checks::Group<'_>| group.meaning == behaviour::CheckMeaning::Used;
    let mut used: Vec<_> =
        groups.iter().filter(held).flat_map(|group| group.uses.iter().map(|used| used.capability)).collect();
    used.sort();
    used.dedup();
    let mut body = String::new();
    for group in &groups {
        let title = format!("in {}, {}", group.phase, group.meaning.name());
        body += &heading(&title, checks::about(group.meaning));
        let rows: Vec<Vec<Cell>> = group
            .uses
            .iter()
            .map(|used| {
                vec![
                    number(used.count),
                    Cell::Code(used.capability.to_string()),
                    Cell::Words(checks::remarks(group, used)),
                    Cell::Code(checks::first_call(used)),
                    Cell::Code(checks::first_program(used)),
                ]
            })
            .collect();
        let titles = ["Count", "Capability", "Remarks", "First in", "First by"];
        body += &table(&format!("capabilities {title}"), &titles, &rows);
    }
    Some(Section {
        id: "capabilities",
        title: "Capabilities",
        figure: count(used.len() as u64),
        unit: if used.len() == 1 { "capability used" } else { "capabilities used" },
        about: if groups.is_empty() { "No check of any was recorded" } else { "What the kernel asked for" }.to_owned(),
        body,
    })
}

pub(super) fn files(report: &Report, all: bool) -> Option<Section> {
    let lists = file_lists::lists(report, all);
    if lists.is_empty() {
        return None;
    }
    let mut body = String::new();
    for list in &lists {
        body += &heading(list.title, &counted(list.rows.len() as u64, "line", "lines"));
        let rows: Vec<Vec<Cell>> = list
            .rows
            .iter()
            .map(|row| {
                let [first, path, what, by] = row.cells.clone();
                vec![Cell::Number(row.value, first), Cell::Code(path), Cell::Words(what), Cell::Code(by)]
            })
            .collect();
        let titles = list.columns.map(in_lower_case);
        body += &table(list.title, &titles.each_ref().map(String::as_str), &rows);
    }
    let paths = report.behaviour.files.paths.len() as u64;
    Some(Section {
        id: "files",
        title: "Files",
        figure: count(paths),
        unit: if paths == 1 { "path" } else { "paths" },
        about: file_lists::about(report),
        body,
    })
}

pub(super) fn network(report: &Report, all: bool) -> Option<Section> {
    let lists = network_lists::lists(report, all);
    if lists.is_empty() {
        return None;
    }
    let mut body = String::new();
    if let Some(drawing) = ego(report) {
        body += &heading("Map", "whom it talked to: what began elsewhere comes from the left");
        body += &format!(
            "<div class=\"box drawing\" tabindex=\"0\" role=\"region\" aria-label=\"map of peers\">\n{drawing}</div>\n"
        );
    }
    for list in &lists {
        body += &heading(list.title, list.about);
        let rows: Vec<Vec<Cell>> = list
            .rows
            .iter()
            .map(|row| {
                let cells = list.columns.iter().zip(&row.cells).map(|((_, kind), cell)| match kind {
                    network_lists::Kind::Number => Cell::Number(cell.number, cell.shown.clone()),
                    network_lists::Kind::Name | network_lists::Kind::Path => Cell::Code(cell.shown.clone()),
                    network_lists::Kind::Words => Cell::Words(cell.shown.clone()),
                });
                cells.chain([Cell::Words(row.more.join("; "))]).collect()
            })
            .collect();
        let titles: Vec<String> =
            list.columns.iter().map(|(title, _)| in_lower_case(title)).chain(["More".to_owned()]).collect();
        let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
        body += &table(&format!("network: {}", list.title), &titles, &rows);
    }
    let peers: BTreeSet<&Text> = report.behaviour.network.flows.iter().map(|flow| &flow.address).collect();
    Some(Section {
        id: "network",
        title: "Network",
        figure: count(peers.len() as u64),
        unit: if peers.len() == 1 { "peer" } else { "peers" },
        about: network_lists::about(report),
        body,
    })
}

pub(super) fn privileged(report: &Report, _all: bool) -> Option<Section> {
    let lists = privileged_lists::lists(report);
    if lists.is_empty() {
        return None;
    }
    let mut body = String::new();
    for list in &lists {
        body += &heading(&list.title, list.about);
        let rows: Vec<Vec<Cell>> = list
            .rows
            .iter()
            .map(|row| {
                let [first, second, third, by] = row.cells.clone();
                vec![Cell::Number(row.value, first), Cell::Code(second), Cell::Words(third), Cell::Code(by)]
            })
            .collect();
        let titles = list.columns.map(in_lower_case);
        body += &table(&list.title, &titles.each_ref().map(String::as_str), &rows);
    }
    let operations = &report.behaviour.privileged.operations;
    let own = operations.iter().filter(|used| used.phase != Phase::RuntimeInit);
    let names: BTreeSet<&str> = own.map(|used| used.operation.name()).collect();
    Some(Section {
        id: "privileged",
        title: "Privileged operations",
        figure: count(names.len() as u64),
        unit: if names.len() == 1 { "privileged operation" } else { "privileged operations" },
        about: "What concerns more than its own processes and files, and the rights that its programs ran with"
            .to_owned(),
        body,
    })
}

pub(super) fn scripts(report: &Report, _all: bool) -> Option<Section> {
    let rows = script_list::rows(report);
    if rows.is_empty() {
        return None;
    }
    let number = rows.len() as u64;
    let cells: Vec<Vec<Cell>> = rows
        .into_iter()
        .map(|row| {
            let [shown, script, interpreter, phase] = row.cells;
            vec![Cell::Number(row.value, shown), Cell::Code(script), Cell::Code(interpreter), Cell::Words(phase)]
        })
        .collect();
    let titles = script_list::COLUMNS.map(in_lower_case);
    Some(Section {
        id: "scripts",
        title: "Scripts",
        figure: count(number),
        unit: if number == 1 { "script" } else { "scripts" },
        about: script_list::about(report),
        body: table("scripts", &titles.each_ref().map(String::as_str), &cells),
    })
}

pub(super) fn terminals(report: &Report, _all: bool) -> Option<Section> {
    let rows = session_list::rows(report);
    if rows.is_empty() {
        return None;
    }
    let number = rows.len() as u64;
    let cells: Vec<Vec<Cell>> = rows
        .into_iter()
        .map(|row| {
            let [shown, terminal, phase, by] = row.cells;
            vec![Cell::Number(row.value, shown), Cell::Code(terminal), Cell::Words(phase), Cell::Code(by)]
        })
        .collect();
    let titles = session_list::COLUMNS.map(in_lower_case);
    Some(Section {
        id: "terminals",
        title: "Terminals",
        figure: count(number),
        unit: if number == 1 { "terminal session" } else { "terminal sessions" },
        about: session_list::about(report),
        body: table("terminals", &titles.each_ref().map(String::as_str), &cells) + &transcripts(report),
    })
}

/// What was typed and shown, behind a line that opens it.
fn transcripts(report: &Report) -> String {
    let mut out = String::new();
    for transcript in session_list::transcripts(report) {
        out += &format!("<details class=\"transcript\"><summary>{}</summary>\n<pre>", escaped(&transcript.title));
        transcript.lines.iter().for_each(|line| out += &format!("{}\n", escaped(line)));
        out += "</pre>\n";
        if !transcript.notes.is_empty() {
            out += &format!("<p>{}.</p>\n", escaped(&transcript.notes.join("; ")));
        }
        out += "</details>\n";
    }
    out
}

pub(super) fn resources(report: &Report, _all: bool) -> Option<Section> {
    let (rows, absent) = (used::rows(report), used::absent(report));
    if rows.is_empty() && absent.is_empty() {
        return None;
    }
    let mut body = String::new();
    let has_rows = !rows.is_empty();
    let cells: Vec<Vec<Cell>> = rows.into_iter().map(|row| row.into_iter().map(Cell::Words).collect()).collect();
    let titles = used::COLUMNS.map(in_lower_case);
    if has_rows {
        body += &table("resources", &titles.each_ref().map(String::as_str), &cells);
    }
    if !absent.is_empty() {
        body += &heading("Not known", "");
        let cells: Vec<Vec<Cell>> = absent.into_iter().map(|row| row.into_iter().map(Cell::Words).collect()).collect();
        body += &table("resources that are not known", &["Resource", "Why"], &cells);
    }
    let cpu_time = report.behaviour.resources.cpu.usage_ns;
    Some(Section {
        id: "resources",
        title: "Resources",
        figure: cpu_time.map(duration).unwrap_or_default(),
        unit: "CPU time",
        about: used::about(report),
        body,
    })
}

pub(super) fn losses(report: &Report, _all: bool) -> Option<Section> {
    let rows: Vec<Vec<Cell>> = report
        .losses
        .iter()
        .map(|loss| {
            let knob = loss.knob.as_ref().map(|knob| knob.shown().into_owned()).unwrap_or_default();
            vec![
                number(loss.count),
                Cell::Code(loss.sensor.shown().into_owned()),
                Cell::Words(loss.stage.name().to_owned()),
                Cell::Code(knob),
            ]
        })
        .collect();
    let is_empty = rows.is_empty();
    Some(Section {
        id: "lost",
        title: "Lost",
        figure: count(report.losses.iter().fold(0, |sum, loss| sum.saturating_add(loss.count))),
        unit: "lost",
        about: if is_empty { "Nothing" } else { "What is not in this report" }.to_owned(),
        body: if is_empty {
            String::new()
        } else {
            table("losses", &["Count", "Sensor", "Where", "What helps"], &rows)
        },
    })
}

pub(super) fn sensors(report: &Report, _all: bool) -> Option<Section> {
    let attached = report.sensors.iter().filter(|sensor| sensor.state == AttachState::Attached).count();
    let about = match report.sensors.len() {
        0 => "none".to_owned(),
        all if all == attached => "all attached".to_owned(),
        all => format!("{attached} of {all} attached"),
    };
    let mut body = String::from("<ul class=\"sensors\">\n");
    for sensor in &report.sensors {
        let class = if sensor.state == AttachState::Attached { "attached" } else { "not-attached" };
        let hooks: Vec<String> = sensor.hooks.iter().map(|hook| code(&hook.shown())).collect();
        let because =
            sensor.reason.as_ref().map(|reason| format!("<div>{}</div>", escaped(&reason.shown()))).unwrap_or_default();
        body += &format!(
            "<li><b>{}</b> <span class=\"{class}\">{}</span> <span class=\"hooks\">{}</span>{because}</li>\n",
            escaped(&sensor.name.shown()),
            sensor.state.name(),
            hooks.join(" "),
        );
    }
    body += "</ul>\n";
    Some(Section {
        id: "sensors",
        title: "Sensors",
        figure: String::new(),
        unit: "",
        about,
        body: if report.sensors.is_empty() { String::new() } else { body },
    })
}

pub(super) fn cost(report: &Report, _all: bool) -> Option<Section> {
    let cost = &report.cost;
    let used = format!(
        "Of the whole recording, all containers together: CPU {} user + {} system, memory {} + {} in kernel maps",
        duration(cost.cpu_user_ns),
        duration(cost.cpu_system_ns),
        bytes(cost.rss_bytes),
        bytes(cost.kernel_map_bytes),
    );
    let rows: Vec<Vec<Cell>> = cost
        .programs
        .iter()
        .map(|program| {
            vec![
                Cell::Code(program.name.shown().into_owned()),
                number(program.runs),
                Cell::Number(program.ns_per_run, format!("{} ns", count(program.ns_per_run))),
            ]
        })
        .collect();
    let body = if rows.is_empty() { String::new() } else { table("programs", &["Program", "Runs", "Per run"], &rows) };
    Some(Section { id: "cost", title: "Cost", figure: String::new(), unit: "", about: used, body })
}

fn number(value: u64) -> Cell {
    Cell::Number(value, count(value))
}

/// The heading of one table of a section.
fn heading(title: &str, about: &str) -> String {
    format!("<h3>{} <small>{}</small></h3>\n", escaped(title), escaped(about))
}

/// `FIRST BY` as `First by`.
fn in_lower_case(title: &str) -> String {
    let mut chars = title.chars();
    chars.next().map(|first| format!("{first}{}", chars.as_str().to_lowercase())).unwrap_or_default()
}
