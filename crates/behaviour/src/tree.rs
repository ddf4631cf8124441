//! The process tree as it grows, within its bounds.

use std::sync::Arc;

use event::{Exec, ExecId, Exit, Phase, ProcessId, Text};
use rustc_hash::FxHashMap;

use crate::claim::{Claim, Rank};
use crate::images::Images;
use crate::{Limits, Process, ProcessTree, Program};

#[derive(Clone, Debug)]
pub(crate) struct Tree {
    limits: Limits,
    kept: FxHashMap<ProcessId, Kept>,
    kept_all: bool,
    kept_programs: usize,
    text_bytes: usize,
    total: u64,
    /// Beside the first thread of each process.
    other_threads: u64,
    total_execs: u64,
}

#[derive(Clone, Debug)]
struct Kept {
    phase: Option<Claim<Phase>>,
    pid_inside: Option<Claim<u32>>,
    parent: Option<Claim<ProcessId>>,
    /// By exec number. A vector: most processes run one program, and a map's node has room for eleven.
    programs: Vec<Program>,
    /// What it was created with, kept here because the images are forgotten.
    inherited: Option<Arc<Text>>,
    threads: u32,
    ended: Option<End>,
}

/// The later end wins: a process has one, and a record that says otherwise must not depend on the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct End {
    boot_ns: u64,
    signal: u8,
    status: u8,
}

impl Tree {
    pub(crate) fn new(limits: Limits) -> Tree {
        Tree {
            limits,
            kept: FxHashMap::default(),
            kept_all: true,
            kept_programs: 0,
            text_bytes: 0,
            total: 0,
            other_threads: 0,
            total_execs: 0,
        }
    }

    pub(crate) fn keeps(&self, process: ProcessId) -> bool {
        self.kept.contains_key(&process)
    }

    /// Counts a new process, and keeps it if there is room.
    pub(crate) fn add(&mut self, process: ProcessId) {
        self.total = self.total.saturating_add(1);
        if self.kept.len() < self.limits.processes {
            let new = Kept {
                phase: None,
                pid_inside: None,
                parent: None,
                programs: Vec::new(),
                inherited: None,
                threads: 0,
                ended: None,
            };
            self.kept.insert(process, new);
        } else {
            self.kept_all = false;
        }
    }

    pub(crate) fn phase(&mut self, process: ProcessId, rank: Rank, boot_ns: u64, value: Phase) {
        if let Some(kept) = self.kept.get_mut(&process) {
            Claim { rank, boot_ns, value }.offer(&mut kept.phase);
        }
    }

    pub(crate) fn parent(&mut self, process: ProcessId, rank: Rank, boot_ns: u64, value: ProcessId) {
        if let Some(kept) = self.kept.get_mut(&process) {
            Claim { rank, boot_ns, value }.offer(&mut kept.parent);
        }
    }

    pub(crate) fn parent_of(&self, process: ProcessId) -> Option<ProcessId> {
        self.kept.get(&process)?.parent.as_ref().map(|claim| claim.value)
    }

    /// 0 is no pid: the kernel could not say.
    pub(crate) fn pid_inside(&mut self, process: ProcessId, rank: Rank, boot_ns: u64, value: u32) {
        if value != 0
            && let Some(kept) = self.kept.get_mut(&process)
        {
            Claim { rank, boot_ns, value }.offer(&mut kept.pid_inside);
        }
    }

    /// Keeps what the process was created with, if the images know it by now.
    pub(crate) fn inherited(&mut self, process: ProcessId, images: &Images) {
        if let Some(kept) = self.kept.get_mut(&process)
            && kept.inherited.is_none()
        {
            kept.inherited = images.inherited(process);
        }
    }

    pub(crate) fn threads(&mut self, process: ProcessId, more: u32) {
        self.other_threads = self.other_threads.saturating_add(u64::from(more));
        if let Some(kept) = self.kept.get_mut(&process) {
            kept.threads = kept.threads.saturating_add(more);
        }
    }

    pub(crate) fn executed(&mut self, image: ExecId, boot_ns: u64, exec: &Exec) {
        self.total_execs = self.total_execs.saturating_add(1);
        self.run(image, Some(boot_ns), exec);
    }

    /// Keeps a program if there is room; one that was only found running makes room for the exec that started it.
    pub(crate) fn run(&mut self, image: ExecId, boot_ns: Option<u64>, exec: &Exec) {
        let Some(kept) = self.kept.get_mut(&image.process) else {
            self.kept_all = false;
            return;
        };
        if let Ok(at) = kept.programs.binary_search_by_key(&image.exec, |program| program.exec) {
            let known = &kept.programs[at];
            match (known.boot_ns, boot_ns) {
                (_, None) => return,
                (None, Some(_)) => {}
                (Some(before), Some(now)) => {
                    self.kept_all = false;
                    if before <= now {
                        return;
                    }
                }
            }
            self.text_bytes -= text_bytes(&known.detail);
            self.kept_programs -= 1;
            kept.programs.remove(at);
        }
        let room = self.limits.text_bytes - self.text_bytes;
        let whole = text_bytes(exec);
        let without_arguments = || Exec { argv: Vec::new(), argv_truncated: true, ..exec.clone() };
        let detail = if whole <= room { exec.clone() } else { without_arguments() };
        let size = text_bytes(&detail);
        self.kept_all &= whole <= room;
        if size > room || self.kept_programs >= self.limits.programs {
            self.kept_all = false;
            return;
        }
        self.text_bytes += size;
        self.kept_programs += 1;
        if kept.programs.is_empty() {
            kept.programs.reserve_exact(1);
        }
        let at = kept.programs.partition_point(|program| program.exec < image.exec);
        kept.programs.insert(at, Program { exec: image.exec, boot_ns, detail });
    }

    pub(crate) fn ended(&mut self, process: ProcessId, boot_ns: u64, exit: &Exit) {
        if let Some(kept) = self.kept.get_mut(&process) {
            let end = End { boot_ns, signal: exit.signal, status: exit.status };
            kept.ended = kept.ended.max(Some(end));
        }
    }

    pub(crate) fn freeze(&self, images: &Images) -> ProcessTree {
        let mut processes: Vec<Process> = self.kept.iter().map(|(id, kept)| kept.freeze(*id, images)).collect();
        processes.sort_unstable_by_key(Process::place);
        ProcessTree {
            processes,
            kept_all: self.kept_all,
            total: self.total,
            total_threads: self.total.saturating_add(self.other_threads),
            total_execs: self.total_execs,
        }
    }
}

impl Kept {
    fn freeze(&self, id: ProcessId, images: &Images) -> Process {
        let inherited =
            || self.inherited.clone().or_else(|| images.inherited(id)).map(|executable| (*executable).clone());
        Process {
            id,
            pid_inside: self.pid_inside.as_ref().map(|claim| claim.value),
            parent: self.parent.as_ref().map(|claim| claim.value),
            phase: self.phase.as_ref().map_or(Phase::Main, |claim| claim.value),
            programs: self.programs.clone(),
            inherited: if self.programs.is_empty() { inherited() } else { None },
            threads: self.threads,
            ended_boot_ns: self.ended.map(|end| end.boot_ns),
            status: self.ended.filter(|end| end.signal == 0).map(|end| end.status),
            signal: self.ended.map(|end| end.signal).filter(|signal| *signal != 0),
        }
    }
}

/// What the texts of a program take in memory.
fn text_bytes(exec: &Exec) -> usize {
    let paths = [&exec.executable, &exec.argument, &exec.interpreter, &exec.cwd].into_iter();
    let paths: usize = paths.map(|text| text.as_bytes().len()).sum();
    paths + exec.argv.iter().map(|text| text.as_bytes().len() + size_of_val(text)).sum::<usize>()
}
