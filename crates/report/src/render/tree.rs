//! The process tree, as lines.

use std::collections::HashMap;

use behaviour::Process;
use event::{Exec, Phase, ProcessId};

use super::facts::command_line;
use super::signal;
use super::units::{count, duration};

/// Processes at this depth and deeper are drawn at one depth: a chain of thousands would need more columns than any terminal has.
const MAX_DEPTH: usize = 9;

/// One line: a process, or a later program of the process above it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// The process's own pid in its container, else the host's.
    pub(super) pid: String,
    /// Branches of the tree and the command line; safe for a terminal.
    pub(super) command: String,
    /// The command line alone; safe for a terminal.
    pub(super) words: String,
    /// How many ancestors are above it, however deep it is drawn.
    pub(super) depth: usize,
    /// Whether it is a later program of the process above it.
    pub(super) is_later: bool,
    /// The phase it was created in, if that is not `main`.
    pub(super) phase: String,
    /// How long it lived.
    pub(super) ran: String,
    /// How it ended.
    pub(super) end: String,
}

/// The tree from its roots down, parents before children, siblings by their start. Unless `all` is asked for, siblings
/// that did the same and had no children share a line, at the place of the first.
pub(super) fn lines(processes: &[Process], all: bool) -> Vec<Line> {
    let tree = Tree::new(processes);
    let mut lines = Vec::new();
    let mut drawn = vec![false; processes.len()];
    // A report from elsewhere may have a circle of parents: what no root leads to is drawn from its first process on.
    for start in tree.roots.iter().copied().chain(0..processes.len()) {
        if !drawn[start] {
            tree.draw(start, all, &mut drawn, &mut lines);
        }
    }
    lines
}

struct Tree<'a> {
    processes: &'a [Process],
    children: Vec<Vec<usize>>,
    roots: Vec<usize>,
}

/// A process whose turn it is.
struct Next {
    at: usize,
    /// How many processes the line stands for.
    times: u64,
    depth: usize,
    is_last: bool,
    /// The branches left of it.
    indent: String,
}

impl<'a> Tree<'a> {
    fn new(processes: &'a [Process]) -> Tree<'a> {
        let mut by_id: HashMap<ProcessId, usize> = HashMap::with_capacity(processes.len());
        for (at, process) in processes.iter().enumerate() {
            by_id.entry(process.id).or_insert(at);
        }
        let mut children = vec![Vec::new(); processes.len()];
        let mut roots = Vec::new();
        for (at, process) in processes.iter().enumerate() {
            match process.parent.and_then(|parent| by_id.get(&parent)).filter(|&&parent| parent != at) {
                Some(&parent) => children[parent].push(at),
                None => roots.push(at),
            }
        }
        Tree { processes, children, roots }
    }

    fn draw(&self, start: usize, all: bool, drawn: &mut [bool], lines: &mut Vec<Line>) {
        drawn[start] = true;
        let mut stack = vec![Next { at: start, times: 1, depth: 0, is_last: true, indent: String::new() }];
        while let Some(next) = stack.pop() {
            self.draw_one(&next, lines);

            let mut children: Vec<usize> = self.children[next.at].clone();
            children.retain(|&child| !std::mem::replace(&mut drawn[child], true));
            let children =
                if all { children.into_iter().map(|child| (child, 1)).collect() } else { self.folded(children) };
            let indent = match next.depth {
                0 => String::new(),
                MAX_DEPTH.. => next.indent,
                _ => next.indent + if next.is_last { "   " } else { "│  " },
            };
            for (position, &(at, times)) in children.iter().enumerate().rev() {
                let is_last = position + 1 == children.len();
                stack.push(Next { at, times, depth: next.depth + 1, is_last, indent: indent.clone() });
            }
        }
    }

    /// Siblings, those that did the same and had no children as one: each with the number that it stands for.
    fn folded(&self, siblings: Vec<usize>) -> Vec<(usize, u64)> {
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut out: Vec<(usize, u64)> = Vec::new();
        for at in siblings {
            let process = &self.processes[at];
            if self.children[at].is_empty() && process.programs.len() < 2 {
                let deed = format!("{}\n{}\n{}", first_line(process), process.phase, ending(process));
                let place = *places.entry(deed).or_insert(out.len());
                if let Some((_, times)) = out.get_mut(place) {
                    *times += 1;
                    continue;
                }
            }
            out.push((at, 1));
        }
        out
    }

    fn draw_one(&self, next: &Next, lines: &mut Vec<Line>) {
        let process = &self.processes[next.at];
        let (branch, below) = match (next.depth, next.is_last) {
            (0, _) => ("", ""),
            // Deeper than it is drawn: a child of the line above it.
            (MAX_DEPTH.., true) => ("└┄ ", "   "),
            (MAX_DEPTH.., false) => ("├┄ ", "│  "),
            (_, true) => ("└─ ", "   "),
            (_, false) => ("├─ ", "│  "),
        };
        let mut line = Line {
            words: first_line(process),
            depth: next.depth,
            phase: if process.phase == Phase::Main { String::new() } else { process.phase.name().to_owned() },
            end: ending(process),
            ..Line::default()
        };
        if next.times == 1 {
            line.pid = process.pid_inside.unwrap_or(process.id.pid).to_string();
            line.ran = lifetime(process).map(duration).unwrap_or_default();
        } else {
            line.words += &format!(" (×{})", count(next.times));
        }
        line.command = format!("{}{branch}{}", next.indent, line.words);
        lines.push(line);
        for program in process.programs.iter().skip(1) {
            let words = program_line(&program.detail);
            let command = format!("{}{below}→ {words}", next.indent);
            lines.push(Line { command, words, depth: next.depth, is_later: true, ..Line::default() });
        }
    }
}

/// The first program, or where the process came from, and how many threads it had.
fn first_line(process: &Process) -> String {
    let program = match (process.programs.first(), &process.inherited) {
        (Some(program), _) => program_line(&program.detail),
        (None, Some(executable)) => format!("(fork of {})", last_part(&executable.shown())),
        (None, None) => "(program not known)".to_owned(),
    };
    match process.threads {
        0 => program,
        1 => format!("{program} (+1 thread)"),
        threads => format!("{program} (+{} threads)", count(threads.into())),
    }
}

/// The command line, and the executable where its first word does not tell. Safe for a terminal.
pub fn program_line(exec: &Exec) -> String {
    if exec.argv.is_empty() {
        return exec.executable.shown().into_owned();
    }
    let mut line = command_line(&exec.argv);
    if exec.argv_truncated {
        line.push_str(" …");
    }
    let says = exec.argv[0].shown();
    if last_part(&says) != last_part(&exec.executable.shown()) {
        line = format!("{line} ({})", exec.executable.shown());
    }
    line
}

/// The last part of a path; of a login shell's name without the dash before it.
fn last_part(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.strip_prefix('-').unwrap_or(name)
}

fn lifetime(process: &Process) -> Option<u64> {
    process.ended_boot_ns?.checked_sub(process.id.start_ns)
}

fn ending(process: &Process) -> String {
    match (process.signal, process.status, process.ended_boot_ns) {
        (Some(signal), _, _) => signal::name(signal),
        (None, Some(status), _) => status.to_string(),
        (None, None, Some(_)) => "ended".to_owned(),
        (None, None, None) => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use behaviour::Process;
    use event::{Phase, ProcessId};

    use super::lines;

    fn process(pid: u32, parent: Option<u32>, executable: &str) -> Process {
        let id = |pid| ProcessId { pid, start_ns: u64::from(pid) };
        Process {
            id: id(pid),
            pid_inside: None,
            parent: parent.map(id),
            phase: Phase::Main,
            programs: Vec::new(),
            inherited: Some(executable.into()),
            threads: 0,
            ended_boot_ns: None,
            status: None,
            signal: None,
        }
    }

    fn drawn(processes: &[Process], all: bool) -> Vec<String> {
        lines(processes, all).into_iter().map(|line| format!("{:>2} {}", line.pid, line.command)).collect()
    }

    #[test]
    fn equal_siblings_share_a_line_unless_all_is_asked_for() {
        let processes = [
            process(1, None, "/sh"),
            process(2, Some(1), "/a"),
            process(3, Some(1), "/b"),
            process(4, Some(1), "/a"),
            process(5, Some(1), "/b"),
            process(6, Some(5), "/a"),
        ];

        let short = drawn(&processes, false);
        let long = drawn(&processes, true);

        assert_eq!(
            short,
            [
                " 1 (fork of sh)",
                "   ├─ (fork of a) (×2)",
                " 3 ├─ (fork of b)",
                " 5 └─ (fork of b)",
                " 6    └─ (fork of a)"
            ]
        );
        assert_eq!(long.len(), processes.len());
    }

    #[test]
    fn a_circle_of_parents_is_drawn_once() {
        let processes = [process(1, Some(2), "/a"), process(2, Some(1), "/b"), process(3, Some(3), "/c")];

        assert_eq!(drawn(&processes, true), [" 3 (fork of c)", " 1 (fork of a)", " 2 └─ (fork of b)"]);
    }

    #[test]
    fn a_long_chain_takes_bounded_room() {
        let processes: Vec<Process> = (1..=4096).map(|pid| process(pid, pid.checked_sub(1), "/a")).collect();

        let lines = drawn(&processes, false);

        assert_eq!(lines.len(), processes.len());
        assert!(lines.iter().all(|line| line.chars().count() < 60), "{:?}", lines.last());
    }

    #[test]
    fn the_same_process_twice_is_no_endless_loop() {
        let processes = [process(1, None, "/a"), process(1, None, "/a"), process(2, Some(1), "/b")];

        assert_eq!(drawn(&processes, true).len(), 3);
    }
}
