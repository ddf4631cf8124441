//! An incident as one page for a browser: everything that is known, in the looks of a report. Nothing is loaded from elsewhere, and no
//! text in it can become markup or script.

use report::{Cell, Page, PageSection, PageStyle, code, counted, escaped, html_table};

use super::{facts, line, time_of_day};
use crate::{INCIDENT_VERSION, Incident, Process, Relation};

const STYLE: &str = include_str!("incident.css");
/// Of the style above; a test has `sha256sum` say the same.
const STYLE_HASH: &str = "'sha256-ehsGss4FSzpT3jy/TW+UC0DHQdqqUmk+F0HoliHZfBk='";

/// The page.
pub fn html(incident: &Incident) -> String {
    let title = format!("Incident in {}", facts::called(&incident.container));
    let sections = [
        alerts(incident),
        timeline(incident),
        processes(incident),
        peers(incident),
        files(incident),
        missing(incident),
    ];
    let page = Page {
        brand: "ringfence incident",
        title: &title,
        facts: facts::of_incident(incident),
        sections: sections.into_iter().flatten().collect(),
        footer: format!(
            "Written by ringfence {}, incident version {INCIDENT_VERSION}; times are UTC",
            incident.ringfence_version.shown()
        ),
        style: PageStyle { sheet: STYLE, hash: STYLE_HASH },
    };
    page.html()
}

fn alerts(incident: &Incident) -> Option<PageSection> {
    let alert = |it: &crate::Alert| {
        format!(
            "<div class=\"alert\">\n<p><b>{}</b> {} · {} · <span class=\"pid\">{}</span></p>\n<p>{}</p>\n</div>\n",
            escaped(&it.rule.shown()),
            escaped(&it.priority.shown()),
            escaped(&time_of_day(it.time)),
            escaped(&it.id.shown()),
            escaped(&it.output.shown())
        )
    };
    Some(PageSection {
        id: "alerts",
        title: "Alerts",
        figure: facts::figure(incident.alerts.len()),
        unit: "alerts",
        about: "What the rules said, in the order in which it happened.".to_owned(),
        body: incident.alerts.iter().map(alert).collect(),
    })
}

fn timeline(incident: &Incident) -> Option<PageSection> {
    let item = |entry: &line::Entry<'_>| {
        let (class, kind, who, what) = match entry {
            line::Entry::Alert(alert) => (
                " class=\"alerted\"",
                "ALERT".to_owned(),
                format!("[{}]", alert.process.pid),
                escaped(&alert.rule.shown()),
            ),
            line::Entry::Event(event) => (
                if line::is_minor(event) { " class=\"minor\"" } else { "" },
                line::kind(event),
                format!("{}[{}]", event.name.shown(), event.process.pid),
                code(&event.text.shown()),
            ),
        };
        format!(
            "<li{class}><time>{}</time><span>{}</span><span>{}</span><span>{what}</span></li>\n",
            escaped(&time_of_day(entry.time())),
            escaped(&kind),
            escaped(&who)
        )
    };
    let entries = line::entries(incident);
    Some(PageSection {
        id: "timeline",
        title: "What happened",
        figure: facts::figure(incident.events.len()),
        unit: "events",
        about:
            "What the container did before and after, with the alerts among it. What tells little by itself is faint."
                .to_owned(),
        body: format!("<ol class=\"line\">\n{}</ol>\n", entries.iter().map(item).collect::<String>()),
    })
}

fn processes(incident: &Incident) -> Option<PageSection> {
    if incident.processes.is_empty() {
        return None;
    }
    Some(PageSection {
        id: "processes",
        title: "Processes",
        figure: facts::figure(incident.processes.len()),
        unit: "processes",
        about: "Who did what the alerts are about, as it was when they came.".to_owned(),
        body: incident.processes.iter().enumerate().map(|(at, it)| process(at, it)).collect(),
    })
}

fn process(at: usize, process: &Process) -> String {
    let mut out = format!("<div class=\"process\">\n<h3>{}</h3>\n<dl>\n", escaped(&facts::title(process)));
    for (label, lines) in facts::of_process(process) {
        let lines: String = lines.iter().map(|line| format!("<div>{}</div>", escaped(line))).collect();
        out += &format!("<dt>{}</dt><dd>{lines}</dd>\n", escaped(label));
    }
    out += "</dl>\n";
    if !process.tree.is_empty() {
        let row = |(depth, it): &(usize, &crate::Relative)| {
            let class = if it.relation == Relation::Itself { "leaf itself" } else { "leaf" };
            let pad = "<ul><li>".repeat(*depth);
            let end = "</li></ul>".repeat(*depth);
            format!("<li>{pad}<div class=\"{class}\">{}</div>{end}</li>\n", code(&facts::relative(it)))
        };
        let rows: String = facts::tree(&process.tree).iter().map(row).collect();
        out += &format!(
            "<div class=\"box tree\" tabindex=\"0\" role=\"region\" aria-label=\"process tree {at}\">\n<ul>\n{rows}</ul>\n</div>\n"
        );
    }
    let words = |text: String| Cell::Words(text);
    let descriptors: Vec<Vec<Cell>> = process
        .descriptors
        .iter()
        .map(|it| {
            let [number, access, target] = facts::descriptor(it);
            vec![Cell::Number(it.number.into(), number), words(access), Cell::Code(target)]
        })
        .collect();
    out += &folded(
        &format!("descriptors {at}"),
        "descriptor",
        "descriptors",
        &["FD", "ACCESS", "WHAT"],
        &descriptors,
        true,
    );
    let libraries: Vec<Vec<Cell>> = process
        .libraries
        .iter()
        .map(|it| {
            let deleted = if it.deleted { "deleted" } else { "" };
            let executable = if it.executable { "executable" } else { "" };
            let inode = Cell::Number(it.inode, it.inode.to_string());
            vec![
                Cell::Code(it.path.shown().into_owned()),
                inode,
                words(it.device.to_string()),
                words(executable.into()),
                words(deleted.into()),
            ]
        })
        .collect();
    out += &folded(
        &format!("files in memory {at}"),
        "file in its memory",
        "files in its memory",
        &["PATH", "INODE", "DEVICE", "MAPPED", "STATE"],
        &libraries,
        false,
    );
    let environment: Vec<Vec<Cell>> =
        process.environment.iter().flatten().map(|it| vec![Cell::Code(it.shown().into_owned())]).collect();
    out += &folded(&format!("environment {at}"), "variable", "variables", &["VARIABLE"], &environment, false);
    out += &gaps(&format!("not known {at}"), &process.missing);
    out + "</div>\n"
}

/// A table behind its count.
fn folded(name: &str, one: &str, many: &str, titles: &[&str], rows: &[Vec<Cell>], open: bool) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let open = if open && rows.len() <= 40 { " open" } else { "" };
    let count = counted(rows.len() as u64, one, many);
    format!(
        "<details class=\"more\"{open}>\n<summary>{count}</summary>\n{}</details>\n",
        html_table(name, titles, rows)
    )
}

fn gaps(name: &str, missing: &[crate::Missing]) -> String {
    let row = |it: &crate::Missing| {
        vec![Cell::Words(it.what.shown().into_owned()), Cell::Words(it.reason.shown().into_owned())]
    };
    let rows: Vec<Vec<Cell>> = missing.iter().map(row).collect();
    folded(name, "thing that is not known", "things that are not known", &["WHAT", "WHY"], &rows, true)
}

fn peers(incident: &Incident) -> Option<PageSection> {
    if incident.peers.is_empty() {
        return None;
    }
    let row = |peer: &crate::Peer| {
        let [way, address, names, failed] = facts::peer(peer);
        let pid = Cell::Number(peer.process.pid.into(), peer.process.pid.to_string());
        vec![
            Cell::Words(time_of_day(peer.first)),
            Cell::Words(way),
            Cell::Code(address),
            Cell::Code(names),
            pid,
            Cell::Words(failed),
        ]
    };
    let rows: Vec<Vec<Cell>> = incident.peers.iter().map(row).collect();
    Some(PageSection {
        id: "peers",
        title: "Peers",
        figure: facts::figure(incident.peers.len()),
        unit: "peers",
        about: "With whom the container spoke, or tried to, as far as the events tell.".to_owned(),
        body: html_table("peers", &["FIRST", "WAY", "ADDRESS", "NAMES", "PROCESS", "OUTCOME"], &rows),
    })
}

fn files(incident: &Incident) -> Option<PageSection> {
    if incident.files.is_empty() {
        return None;
    }
    let row = |it: &crate::KeptFile| {
        let (size, shown) =
            it.file.as_ref().map_or((0, String::new()), |file| (file.size_bytes, report::bytes(file.size_bytes)));
        let note = it.note.as_ref().map(|note| note.shown().into_owned()).unwrap_or_default();
        vec![
            Cell::Words(facts::kind(it).into()),
            Cell::Code(it.path.shown().into_owned()),
            Cell::Number(size, shown),
            Cell::Code(it.sha256.map(|hash| hash.to_string()).unwrap_or_default()),
            Cell::Number(it.process.pid.into(), it.process.pid.to_string()),
            Cell::Words(note),
        ]
    };
    let rows: Vec<Vec<Cell>> = incident.files.iter().map(row).collect();
    let kept = incident.files.iter().filter(|file| file.sha256.is_some()).count();
    Some(PageSection {
        id: "files",
        title: "Files",
        figure: facts::figure(kept),
        unit: "files kept",
        about:
            "They lie beside the incident, in the folder objects, under their SHA-256; nothing there can be executed."
                .to_owned(),
        body: html_table("files", &["WHY", "PATH", "SIZE", "SHA-256", "PROCESS", "NOTE"], &rows),
    })
}

fn missing(incident: &Incident) -> Option<PageSection> {
    if incident.missing.is_empty() {
        return None;
    }
    Some(PageSection {
        id: "missing",
        title: "Missing",
        figure: String::new(),
        unit: "",
        about: "What there is no evidence of, and why.".to_owned(),
        body: gaps("missing", &incident.missing),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::{STYLE, STYLE_HASH};

    #[test]
    fn the_policy_allows_this_style_and_no_other() {
        let mut child =
            Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sha256sum");
        child.stdin.take().expect("piped").write_all(STYLE.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        let hex = String::from_utf8(output.stdout).expect("text");
        let bits: String = hex[..64].chars().map(|c| format!("{:04b}", c.to_digit(16).expect("hex"))).collect();
        let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
        let digits = bits.as_bytes().chunks(6).map(|six| {
            let six = format!("{:0<6}", std::str::from_utf8(six).expect("digits"));
            alphabet[usize::from_str_radix(&six, 2).expect("bits")]
        });

        assert_eq!(STYLE_HASH, format!("'sha256-{}='", digits.collect::<String>()));
    }
}
