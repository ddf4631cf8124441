//! The containers as a table or, where that does not fit, as one short paragraph each.

use event::Text;
use report::{Column, Fit, Style, Timestamp, lay_out};

use super::{Container, Process};

/// A terminal narrower than this gets paragraphs.
const TABLE_WIDTH: usize = 120;
const INDENT: usize = 4;

const COLUMNS: [Column; 10] = [
    column("NAME", Fit::CutEnd, Style::Title),
    column("ENGINE", Fit::Left, Style::Plain),
    column("IMAGE", Fit::CutFront, Style::Plain),
    column("ID", Fit::Left, Style::Faint),
    column("PID", Fit::Right, Style::Plain),
    column("AGE", Fit::Right, Style::Plain),
    column("SECCOMP", Fit::Left, Style::Plain),
    column("CAPS", Fit::Left, Style::Plain),
    column("NNP", Fit::Left, Style::Plain),
    column("CGROUP", Fit::CutFront, Style::Faint),
];

const PROCESS_COLUMNS: [Column; 3] = [
    column("PID", Fit::Right, Style::Plain),
    column("INSIDE", Fit::Right, Style::Plain),
    column("COMMAND", Fit::CutEnd, Style::Plain),
];

const FACT_COLUMNS: [Column; 2] = [column("", Fit::Left, Style::Label), column("", Fit::CutEnd, Style::Plain)];

const fn column(title: &'static str, fit: Fit, style: Style) -> Column {
    Column { title, fit, style }
}

/// No line is wider than asked, and nothing in it is a command to a terminal.
pub(super) fn table(containers: &[Container], now: Timestamp, width: usize, colour: bool) -> String {
    if containers.is_empty() {
        return "no container runs\n".into();
    }
    let mut lines = Vec::new();
    if width >= TABLE_WIDTH {
        let rows: Vec<Vec<String>> = containers.iter().map(|container| row(container, now)).collect();
        let mut laid_out = lay_out(&COLUMNS, &rows, width, colour).into_iter();
        lines.extend(laid_out.next());
        for (container, line) in containers.iter().zip(laid_out) {
            lines.push(line);
            lines.extend(processes(container, width, colour));
        }
    } else {
        for container in containers {
            lines.extend(paragraph(container, now, width, colour));
            lines.extend(processes(container, width, colour));
        }
    }
    lines.join("\n") + "\n"
}

fn row(container: &Container, now: Timestamp) -> Vec<String> {
    vec![
        name(container),
        container.engine.into(),
        shown(container.image.as_ref()),
        short_id(&container.id),
        container.init.pid.to_string(),
        age(container.since, now),
        seccomp(container),
        container.capabilities.summary.clone(),
        yes_or_no(container.no_new_privileges).into(),
        container.cgroup.as_ref().map_or("-".into(), |cgroup| cgroup.path.shown().into_owned()),
    ]
}

fn paragraph(container: &Container, now: Timestamp, width: usize, colour: bool) -> Vec<String> {
    let title = |text: String| lay_out(&[column("", Fit::CutEnd, Style::Title)], &[vec![text]], width, colour);
    let fact = |label: &str, value: String| vec![label.to_owned(), value];
    let mut facts = Vec::new();
    if let Some(image) = &container.image {
        facts.push(fact("image", image.shown().into_owned()));
    }
    facts.push(fact(
        "id",
        format!("{}, pid {}, for {}", short_id(&container.id), container.init.pid, age(container.since, now)),
    ));
    facts.push(fact(
        "confined",
        format!(
            "seccomp {}, capabilities {}, no_new_privileges {}",
            seccomp(container),
            container.capabilities.summary,
            yes_or_no(container.no_new_privileges)
        ),
    ));
    if let Some(cgroup) = &container.cgroup {
        facts.push(fact("cgroup", cgroup.path.shown().into_owned()));
    }
    let room = width.saturating_sub(INDENT);
    let indented = lay_out(&FACT_COLUMNS, &facts, room, colour).into_iter().map(indent);
    title(format!("{} ({})", name(container), container.engine)).into_iter().chain(indented).collect()
}

fn processes(container: &Container, width: usize, colour: bool) -> Vec<String> {
    let rows: Vec<Vec<String>> = container
        .processes
        .iter()
        .flatten()
        .map(|process| vec![process.pid.to_string(), process.pid_inside.to_string(), command(process)])
        .collect();
    if rows.is_empty() {
        return Vec::new();
    }
    lay_out(&PROCESS_COLUMNS, &rows, width.saturating_sub(INDENT), colour).into_iter().map(indent).collect()
}

fn indent(line: String) -> String {
    format!("{:INDENT$}{line}", "")
}

/// The name or, as most engines have none for a bare container, the id.
fn name(container: &Container) -> String {
    match &container.name {
        Some(name) if !name.is_empty() => name.shown().into_owned(),
        _ => short_id(&container.id),
    }
}

/// An id of hexadecimal digits is cut as engines do; a name is not.
fn short_id(id: &Text) -> String {
    let shown = id.shown();
    let is_hex = shown.len() == 64 && shown.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex { shown[..12].to_owned() } else { shown.into_owned() }
}

fn shown(text: Option<&Text>) -> String {
    text.map(|text| text.shown().into_owned()).unwrap_or_default()
}

fn command(process: &Process) -> String {
    if process.command.is_empty() {
        return format!("[{}]", process.comm.shown());
    }
    process.command.iter().map(Text::shown).collect::<Vec<_>>().join(" ")
}

fn seccomp(container: &Container) -> String {
    match (container.seccomp.mode, container.seccomp.filters) {
        (None, _) => "?".into(),
        (Some(mode), Some(filters)) if filters > 1 => format!("{mode} x{filters}"),
        (Some(mode), _) => mode.into(),
    }
}

fn yes_or_no(value: Option<bool>) -> &'static str {
    match value {
        Some(true) => "yes",
        Some(false) => "no",
        None => "?",
    }
}

/// The largest unit of which there are at least two.
fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.unix_ns().saturating_sub(since.unix_ns()) / 1_000_000_000;
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let found = units.into_iter().find(|(length, _)| seconds >= 2 * length);
    found.map_or_else(|| format!("{seconds}s"), |(length, unit)| format!("{}{unit}", seconds / length))
}

#[cfg(test)]
mod tests {
    use super::super::tests::hostile;
    use super::*;

    const NOW: u64 = 1_700_000_400_000_000_000;

    fn shown_at(width: usize, processes: bool) -> String {
        table(&[hostile(processes)], Timestamp::from_unix_ns(NOW), width, false)
    }

    #[test]
    fn a_wide_terminal_gets_one_line_for_each_container() {
        let table = shown_at(160, false);

        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("NAME") && lines[0].ends_with("CGROUP"), "{table}");
        for cell in
            ["docker", "registry.example/shop/web:1.2.3", "0123456789ab  ", "4321", "6m", "filter x2", "14", "yes"]
        {
            assert!(lines[1].contains(cell), "{cell}: {table}");
        }
    }

    #[test]
    fn no_width_is_exceeded_and_no_control_character_gets_out() {
        for width in [20, 60, 80, 119, 120, 200] {
            let table = shown_at(width, true);

            for line in table.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
                assert!(!line.chars().any(event::is_unsafe_on_a_terminal), "{line:?}");
            }
        }
    }

    #[test]
    fn processes_stand_beneath_their_container() {
        let table = shown_at(160, true);

        let process = table.lines().nth(3).expect("title, container, title, process");
        assert!(process.starts_with("    4321       1  sh \\u{1b}]0;x\\xff"), "{table}");
    }

    #[test]
    fn no_container_is_said() {
        assert_eq!(table(&[], Timestamp::from_unix_ns(NOW), 80, false), "no container runs\n");
    }

    #[test]
    fn an_age_has_the_largest_unit_of_which_there_are_two() {
        let of = |seconds: u64| age(Timestamp::from_unix_ns(0), Timestamp::from_unix_ns(seconds * 1_000_000_000));

        assert_eq!(
            [of(0), of(119), of(120), of(7_199), of(7_200), of(172_800)],
            ["0s", "119s", "2m", "119m", "2h", "2d"]
        );
    }
}
