//! A report as Markdown.

use super::checks;
use super::tree::{self, Line};
use super::units::{bytes, count, counted, duration};
use super::width::width;
use super::{arguments, calls};
use super::{facts, files, network, privileged, resources, scripts, terminals};
use crate::Report;

const PROCESS_LINES: usize = 40;

/// The report as Markdown (with the tables that GitHub and most others know). Text that a container chose shows as
/// text, whatever it holds. Without `all` only the beginning of a long process tree is there; calls always all are.
pub fn markdown(report: &Report, all: bool) -> String {
    let mut out = format!("# {}\n\n", escaped(&facts::title(report)));
    for fact in facts::facts(report, all) {
        out += &format!("- **{}**: {}\n", fact.label, escaped(fact.lines.first().map_or("", String::as_str)));
        for line in fact.lines.iter().skip(1) {
            out += &format!("  - {}\n", escaped(line.strip_prefix("- ").unwrap_or(line)));
        }
    }
    processes(report, all, &mut out);
    system_calls(report, &mut out);
    arguments(report, &mut out);
    capabilities(report, &mut out);
    privileged(report, &mut out);
    files(report, all, &mut out);
    network(report, all, &mut out);
    resources(report, &mut out);
    scripts(report, &mut out);
    terminals(report, &mut out);
    health(report, &mut out);
    out
}

fn processes(report: &Report, all: bool, out: &mut String) {
    let tree = &report.behaviour.processes;
    let about = [
        counted(tree.total, "process", "processes"),
        counted(tree.total_threads, "thread", "threads"),
        counted(tree.total_execs, "program start", "program starts"),
    ];
    *out += &format!("\n## Processes\n\n{}\n", about.join(", "));
    let lines = tree::lines(&tree.processes, all);
    let shown = if all { lines.len() } else { lines.len().min(PROCESS_LINES) };
    if shown > 0 {
        let pids = lines[..shown].iter().map(|line| width(&line.pid)).max().unwrap_or(0);
        let text: Vec<String> = lines[..shown].iter().map(|line| tree_line(line, pids)).collect();
        *out += &fenced(&text.join("\n"));
    }
    if lines.len() > shown {
        let more = counted((lines.len() - shown) as u64, "more line is", "more lines are");
        *out += &format!("\n{more} in the report.\n");
    }
}

fn tree_line(line: &Line, pids: usize) -> String {
    let mut text = format!("{}{}  {}", " ".repeat(pids - width(&line.pid)), line.pid, line.command);
    let mut about: Vec<String> = Vec::new();
    if !line.phase.is_empty() {
        about.push(line.phase.clone());
    }
    if !line.ran.is_empty() {
        about.push(line.ran.clone());
    }
    if !line.end.is_empty() && line.end != "-" {
        about.push(format!("exit {}", line.end));
    }
    if !about.is_empty() {
        text += &format!("  [{}]", about.join(", "));
    }
    text
}

fn system_calls(report: &Report, out: &mut String) {
    let groups = calls::groups(report);
    if groups.is_empty() {
        *out += "\n## System calls\n\nNone were recorded.\n";
    }
    for group in groups {
        let about =
            [counted(group.uses.len() as u64, "call", "calls"), counted(group.total(), "entry", "entries")].join(", ");
        *out += &format!("\n## System calls in {}, {}\n\n{about}\n\n", group.phase, group.arch);
        *out += "| count | call | failed | first by |\n|---:|---|---|---|\n";
        for used in &group.uses {
            *out += &format!(
                "| {} | {} | {} | {} |\n",
                count(used.count),
                code(&calls::name(used)),
                escaped(&calls::failures(&used.failures)),
                code(&calls::first_program(used)),
            );
        }
    }
}

fn files(report: &Report, all: bool, out: &mut String) {
    let lists = files::lists(report, all);
    if lists.is_empty() {
        return;
    }
    *out += &format!("\n## Files\n\n{}\n", files::about(report));
    for list in lists {
        let [first, path, what, by] = list.columns.map(str::to_lowercase);
        *out += &format!("\n### {}\n\n| {first} | {path} | {what} | {by} |\n|---:|---|---|---|\n", list.title);
        for [first, path, what, by] in list.rows.iter().map(|row| &row.cells) {
            *out += &format!("| {} | {} | {} | {} |\n", escaped(first), code(path), escaped(what), code(by));
        }
    }
}

fn network(report: &Report, all: bool, out: &mut String) {
    let lists = network::lists(report, all);
    if lists.is_empty() {
        return;
    }
    *out += &format!("\n## Network\n\n{}\n", network::about(report));
    for list in lists {
        let titles: Vec<String> = list.columns.iter().map(|(title, _)| title.to_lowercase()).collect();
        let marks = list.columns.iter().map(|(_, kind)| if *kind == network::Kind::Number { "---:|" } else { "---|" });
        *out += &format!("\n### {}\n\n{}\n\n", list.title, escaped(list.about));
        *out += &format!("| {} | more |\n|{}---|\n", titles.join(" | "), marks.collect::<String>());
        for row in &list.rows {
            let cells = list.columns.iter().zip(&row.cells).map(|((_, kind), cell)| match kind {
                network::Kind::Number | network::Kind::Words => escaped(&cell.shown),
                network::Kind::Name | network::Kind::Path => code(&cell.shown),
            });
            let cells: Vec<String> = cells.collect();
            *out += &format!("| {} | {} |\n", cells.join(" | "), escaped(&row.more.join("; ")));
        }
    }
}

fn scripts(report: &Report, out: &mut String) {
    let rows = scripts::rows(report);
    if rows.is_empty() {
        return;
    }
    let titles = scripts::COLUMNS.map(str::to_lowercase).join(" | ");
    *out += &format!("\n## Scripts\n\n{}\n\n| {titles} |\n|---:|---|---|---|\n", scripts::about(report));
    for [number, script, interpreter, phase] in rows.iter().map(|row| &row.cells) {
        *out += &format!("| {number} | {} | {} | {phase} |\n", code(script), code(interpreter));
    }
}

fn terminals(report: &Report, out: &mut String) {
    let rows = terminals::rows(report);
    if rows.is_empty() {
        return;
    }
    let titles = terminals::COLUMNS.map(str::to_lowercase).join(" | ");
    *out += &format!("\n## Terminals\n\n{}\n\n| {titles} |\n|---:|---|---|---|\n", terminals::about(report));
    for [number, terminal, phase, by] in rows.iter().map(|row| &row.cells) {
        *out += &format!("| {number} | {} | {phase} | {} |\n", code(terminal), code(by));
    }
    for transcript in terminals::transcripts(report) {
        *out += &format!("\n### {}\n\n", escaped(&transcript.title));
        // Indented, as the text may have any number of backticks.
        transcript.lines.iter().for_each(|line| *out += &format!("    {line}\n"));
        if !transcript.notes.is_empty() {
            *out += &format!("\n{}.\n", escaped(&transcript.notes.join("; ")));
        }
    }
}

fn resources(report: &Report, out: &mut String) {
    let (rows, absent) = (resources::rows(report), resources::absent(report));
    if rows.is_empty() && absent.is_empty() {
        return;
    }
    let titles = resources::COLUMNS.map(str::to_lowercase).join(" | ");
    *out += &format!("\n## Resources\n\n{}\n", escaped(&resources::about(report)));
    if !rows.is_empty() {
        *out += &format!("\n| {titles} |\n|---|---|---:|---|\n");
    }
    for cells in rows {
        *out += &format!("| {} |\n", cells.map(|cell| escaped(&cell)).join(" | "));
    }
    if !absent.is_empty() {
        *out += "\n### Not known\n\n| resource | why |\n|---|---|\n";
    }
    for cells in absent {
        *out += &format!("| {} |\n", cells.map(|cell| escaped(&cell)).join(" | "));
    }
}

fn arguments(report: &Report, out: &mut String) {
    for group in arguments::groups(report) {
        *out += &format!("\n## Arguments in {}\n\n{}\n\n", group.phase, escaped(arguments::ABOUT));
        *out += "| call | argument | values |\n|---|---:|---|\n";
        for line in group.lines {
            *out += &format!("| {} | {} | {} |\n", code(&line.call), line.position, escaped(&line.values));
        }
    }
}

fn capabilities(report: &Report, out: &mut String) {
    let groups = checks::groups(report);
    if groups.is_empty() {
        *out += "\n## Capabilities\n\nNo check of any was recorded.\n";
    }
    for group in groups {
        let (name, about) = (group.meaning.name(), checks::about(group.meaning));
        *out += &format!("\n## Capabilities in {}, {name}\n\n{}\n\n", group.phase, escaped(about));
        *out += "| count | capability | remarks | first in | first by |\n|---:|---|---|---|---|\n";
        for used in &group.uses {
            *out += &format!(
                "| {} | {} | {} | {} | {} |\n",
                count(used.count),
                code(&used.capability.to_string()),
                escaped(&checks::remarks(&group, used)),
                code(&checks::first_call(used)),
                code(&checks::first_program(used)),
            );
        }
    }
}

fn privileged(report: &Report, out: &mut String) {
    for list in privileged::lists(report) {
        let [first, second, third, by] = list.columns.map(str::to_lowercase);
        *out += &format!("\n## {}\n\n{}\n\n", list.title, escaped(list.about));
        *out += &format!("| {first} | {second} | {third} | {by} |\n|---:|---|---|---|\n");
        for [first, second, third, by] in list.rows.iter().map(|row| &row.cells) {
            *out += &format!("| {} | {} | {} | {} |\n", escaped(first), code(second), code(third), code(by));
        }
    }
}

fn health(report: &Report, out: &mut String) {
    *out += "\n## Lost\n\n";
    if report.losses.is_empty() {
        *out += "Nothing.\n";
    } else {
        *out += "| count | sensor | where | what helps |\n|---:|---|---|---|\n";
    }
    for loss in &report.losses {
        let knob = loss.knob.as_ref().map(|knob| code(&knob.shown())).unwrap_or_default();
        *out +=
            &format!("| {} | {} | {} | {knob} |\n", count(loss.count), code(&loss.sensor.shown()), loss.stage.name());
    }

    *out += "\n## Sensors\n\n";
    for sensor in &report.sensors {
        let hooks: Vec<String> = sensor.hooks.iter().map(|hook| code(&hook.shown())).collect();
        let because =
            sensor.reason.as_ref().map(|reason| format!("; {}", escaped(&reason.shown()))).unwrap_or_default();
        let line = format!("- {}: {} {}", code(&sensor.name.shown()), sensor.state.name(), hooks.join(" "));
        *out += &format!("{}{because}\n", line.trim_end());
    }

    let cost = &report.cost;
    *out += &format!(
        "\n## Cost\n\nOf the whole recording, all containers together: CPU {} user + {} system, memory {} + {} in kernel maps.\n",
        duration(cost.cpu_user_ns),
        duration(cost.cpu_system_ns),
        bytes(cost.rss_bytes),
        bytes(cost.kernel_map_bytes),
    );
    if !cost.programs.is_empty() {
        *out += "\n| program | runs | per run |\n|---|---:|---:|\n";
    }
    for program in &cost.programs {
        *out += &format!(
            "| {} | {} | {} ns |\n",
            code(&program.name.shown()),
            count(program.runs),
            count(program.ns_per_run)
        );
    }
}

/// Text that Markdown leaves as it is, within a line; the input has no control characters.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let within_a_word = before.is_alphanumeric() && rest.peek().is_some_and(|next| next.is_alphanumeric());
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // So that an address in a name becomes no link, and a name no mention.
            ':' if rest.peek() == Some(&'/') => out.push_str("&#58;"),
            '@' => out.push_str("&#64;"),
            '_' if within_a_word => out.push(c),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
        before = c;
    }
    out
}

/// Text as code within a line, also within a table; the input has no control characters.
fn code(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let fence = "`".repeat(longest_run_of_backticks(text) + 1);
    let pad = if text.starts_with([' ', '`']) || text.ends_with([' ', '`']) { " " } else { "" };
    format!("{fence}{pad}{}{pad}{fence}", text.replace('|', "\\|"))
}

/// Lines as a block of code.
fn fenced(text: &str) -> String {
    let fence = "`".repeat(longest_run_of_backticks(text).max(2) + 1);
    format!("\n{fence}text\n{text}\n{fence}\n")
}

fn longest_run_of_backticks(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{code, escaped, fenced};

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escaped("a|b <b> *x* [y](z) `c`"), r"a\|b &lt;b&gt; \*x\* \[y\](z) \`c\`");
        assert_eq!(escaped("on_exec _x_ @you"), r"on_exec \_x\_ &#64;you");
        assert_eq!(escaped("https://x.example"), "https&#58;//x.example");
    }

    #[test]
    fn code_holds_backticks_and_bars() {
        assert_eq!(code("read"), "`read`");
        assert_eq!(code("a``b|c"), "```a``b\\|c```");
        assert_eq!(code("`x"), "`` `x ``");
    }

    #[test]
    fn a_block_cannot_be_closed_from_inside() {
        assert_eq!(fenced("````"), "\n`````text\n````\n`````\n");
    }
}
