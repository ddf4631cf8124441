//! Which executable a program image runs, for the processes that live or ended lately.
//!
//! The kernel names an image by process and exec number. Only an exec's event says which executable that is; a forked
//! child starts with the exec number of the thread that made it and runs the same executable. So an image is looked up
//! in its process's execs, and else in the image that the process was made from. The table is bounded: those that
//! ended first are forgotten first, then those that were met first.

use std::collections::VecDeque;
use std::sync::Arc;

use event::{ExecId, ProcessId, Text};
use rustc_hash::FxHashMap;

use crate::claim::{Claim, Rank};

/// How many programs of one process are remembered, newest last: between two snapshots of the counts it may run several.
const PROGRAMS_PER_PROCESS: usize = 16;

/// How many makers a look-up goes back when their execs were not known at the time of the fork.
const MAX_MAKERS: usize = 64;

#[derive(Clone, Debug)]
pub(crate) struct Images {
    max_processes: usize,
    max_text_bytes: usize,
    entries: FxHashMap<ProcessId, Entry>,
    /// Those that ended, in this order: who is forgotten next.
    ended: VecDeque<ProcessId>,
    /// After them, those that live, by their arrival; among these are some that have ended or were forgotten since.
    arrived: VecDeque<(u64, ProcessId)>,
    arrivals: u64,
    text_bytes: usize,
    forgot_living: bool,
}

#[derive(Clone, Debug)]
struct Entry {
    arrival: u64,
    living: bool,
    /// The image it was made from.
    maker: Option<Claim<ExecId>>,
    /// What that image ran, if it was known when the process was made: the maker may be forgotten before it.
    inherited: Option<Arc<Text>>,
    programs: VecDeque<(u32, Arc<Text>)>,
}

impl Images {
    pub(crate) fn new(max_processes: usize, max_text_bytes: usize) -> Images {
        Images {
            max_processes,
            max_text_bytes,
            entries: FxHashMap::default(),
            ended: VecDeque::new(),
            arrived: VecDeque::new(),
            arrivals: 0,
            text_bytes: 0,
            forgot_living: false,
        }
    }

    /// Whether a living process was ever forgotten, so that one that is not here may be no new one.
    pub(crate) fn forgot_living(&self) -> bool {
        self.forgot_living
    }

    /// Takes a process in; says whether it was not here.
    pub(crate) fn meet(&mut self, process: ProcessId) -> bool {
        if self.entries.contains_key(&process) {
            return false;
        }
        let arrival = self.arrivals;
        self.arrivals += 1;
        self.entries
            .insert(process, Entry { arrival, living: true, maker: None, inherited: None, programs: VecDeque::new() });
        self.arrived.push_back((arrival, process));
        if self.arrived.len() > 2 * self.max_processes {
            self.arrived.retain(|(arrival, process)| is_living(&self.entries, *process, *arrival));
        }
        self.forget_the_surplus();
        true
    }

    /// A process was made by a thread that ran this image.
    pub(crate) fn made(&mut self, process: ProcessId, maker: ExecId, boot_ns: u64) {
        let inherited = self.executable(maker);
        if let Some(entry) = self.entries.get_mut(&process) {
            Claim { rank: Rank::Created, boot_ns, value: maker }.offer(&mut entry.maker);
            if entry.maker.as_ref().is_some_and(|claim| claim.value == maker) {
                entry.inherited = inherited;
            }
        }
    }

    /// An image runs this executable.
    pub(crate) fn ran(&mut self, image: ExecId, executable: &Text) {
        let Some(entry) = self.entries.get_mut(&image.process) else { return };
        if entry.programs.iter().any(|(exec, _)| *exec == image.exec) {
            return;
        }
        self.text_bytes += executable.as_bytes().len();
        let at = entry.programs.partition_point(|(exec, _)| *exec < image.exec);
        entry.programs.insert(at, (image.exec, Arc::new(executable.clone())));
        if entry.programs.len() > PROGRAMS_PER_PROCESS
            && let Some((_, oldest)) = entry.programs.pop_front()
        {
            self.text_bytes -= oldest.as_bytes().len();
        }
        self.forget_the_surplus();
    }

    /// A process is gone: it is forgotten before those that live.
    pub(crate) fn ended(&mut self, process: ProcessId) {
        if let Some(entry) = self.entries.get_mut(&process)
            && entry.living
        {
            entry.living = false;
            self.ended.push_back(process);
        }
    }

    /// The executable that an image runs; none if it is not known.
    pub(crate) fn executable(&self, image: ExecId) -> Option<Arc<Text>> {
        let mut image = image;
        for _ in 0..MAX_MAKERS {
            let entry = self.entries.get(&image.process)?;
            if let Some((_, executable)) = entry.programs.iter().find(|(exec, _)| *exec == image.exec) {
                return Some(Arc::clone(executable));
            }
            let maker = entry.maker.as_ref().map(|claim| claim.value).filter(|maker| maker.exec == image.exec)?;
            if let Some(inherited) = &entry.inherited {
                return Some(Arc::clone(inherited));
            }
            image = maker;
        }
        None
    }

    /// The executable that a process was created with; none if it is not known.
    pub(crate) fn inherited(&self, process: ProcessId) -> Option<Arc<Text>> {
        let entry = self.entries.get(&process)?;
        entry.inherited.clone().or_else(|| self.executable(entry.maker.as_ref()?.value))
    }

    /// The executable that a process ran last, as far as it is known.
    pub(crate) fn newest(&self, process: ProcessId) -> Option<Arc<Text>> {
        let newest = self.entries.get(&process)?.programs.back().map(|(_, executable)| Arc::clone(executable));
        newest.or_else(|| self.inherited(process))
    }

    /// The process that made this one.
    pub(crate) fn maker(&self, process: ProcessId) -> Option<ProcessId> {
        self.entries.get(&process)?.maker.as_ref().map(|claim| claim.value.process)
    }

    fn forget_the_surplus(&mut self) {
        while self.entries.len() > self.max_processes || self.text_bytes > self.max_text_bytes {
            let Some(process) = self.ended.pop_front().or_else(|| self.oldest_living()) else { return };
            if let Some(entry) = self.entries.remove(&process) {
                self.forgot_living |= entry.living;
                self.text_bytes -= entry.programs.iter().map(|(_, text)| text.as_bytes().len()).sum::<usize>();
            }
        }
    }

    fn oldest_living(&mut self) -> Option<ProcessId> {
        while let Some((arrival, process)) = self.arrived.pop_front() {
            if is_living(&self.entries, process, arrival) {
                return Some(process);
            }
        }
        None
    }
}

/// Whether this is the process that arrived then, and it has not ended.
fn is_living(entries: &FxHashMap<ProcessId, Entry>, process: ProcessId, arrival: u64) -> bool {
    entries.get(&process).is_some_and(|entry| entry.living && entry.arrival == arrival)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32) -> ProcessId {
        ProcessId { pid, start_ns: u64::from(pid) * 10 }
    }

    fn image(pid: u32, exec: u32) -> ExecId {
        ExecId { process: process(pid), exec }
    }

    fn met(images: &mut Images, pids: impl IntoIterator<Item = u32>) {
        pids.into_iter().for_each(|pid| {
            images.meet(process(pid));
        });
    }

    fn shown(images: &Images, image: ExecId) -> Option<String> {
        images.executable(image).map(|executable| executable.to_string())
    }

    #[test]
    fn a_child_runs_its_makers_image_until_it_executes() {
        let mut images = Images::new(10, 1000);
        met(&mut images, [1, 2]);

        images.ran(image(1, 3), &"/bin/sh".into());
        images.ran(image(1, 4), &"/bin/bash".into());
        images.made(process(2), image(1, 3), 5);
        images.ran(image(2, 4), &"/bin/true".into());

        assert_eq!(shown(&images, image(1, 4)), Some("/bin/bash".into()));
        assert_eq!(shown(&images, image(2, 3)), Some("/bin/sh".into()));
        assert_eq!(shown(&images, image(2, 4)), Some("/bin/true".into()));
        assert_eq!(shown(&images, image(2, 5)), None);
        let newest = |pid| images.newest(process(pid)).map(|executable| executable.to_string());
        assert_eq!((newest(1), newest(2), newest(3)), (Some("/bin/bash".into()), Some("/bin/true".into()), None));
        assert_eq!((images.maker(process(2)), images.maker(process(1))), (Some(process(1)), None));
    }

    #[test]
    fn an_exec_that_comes_after_the_forks_is_found_through_all_of_them() {
        let mut images = Images::new(10, 1000);
        met(&mut images, [1, 2, 3]);

        images.made(process(3), image(2, 7), 6);
        images.made(process(2), image(1, 7), 5);
        images.ran(image(1, 7), &"/bin/sh".into());

        assert_eq!(shown(&images, image(3, 7)), Some("/bin/sh".into()));
        assert_eq!(images.inherited(process(3)).map(|text| text.to_string()), Some("/bin/sh".into()));
    }

    #[test]
    fn what_was_inherited_is_known_after_the_maker_is_forgotten() {
        let mut images = Images::new(2, 1000);
        met(&mut images, [1]);
        images.ran(image(1, 3), &"/bin/sh".into());
        met(&mut images, [2]);
        images.made(process(2), image(1, 3), 5);
        images.ended(process(1));

        met(&mut images, [3]);

        assert_eq!(shown(&images, image(1, 3)), None);
        assert_eq!(shown(&images, image(2, 3)), Some("/bin/sh".into()));
        assert!(!images.forgot_living());
    }

    #[test]
    fn processes_that_made_each_other_end_the_look_up() {
        let mut images = Images::new(10, 1000);
        met(&mut images, [1, 2]);

        images.made(process(1), image(2, 0), 1);
        images.made(process(2), image(1, 0), 1);

        assert_eq!(images.executable(image(1, 0)), None);
    }

    #[test]
    fn an_image_runs_one_executable_and_is_charged_once() {
        let mut images = Images::new(10, 1000);
        met(&mut images, [1]);

        images.ran(image(1, 3), &"/bin/sh".into());
        images.ran(image(1, 3), &"/bin/other".into());

        assert_eq!(shown(&images, image(1, 3)), Some("/bin/sh".into()));
        assert_eq!((images.text_bytes, images.entries[&process(1)].programs.len()), (7, 1));
    }

    #[test]
    fn those_that_ended_first_are_forgotten_first_and_then_those_that_came_first() {
        let mut images = Images::new(4, 1000);
        met(&mut images, [1, 2, 3, 4]);
        for pid in [3, 2] {
            images.ended(process(pid));
        }
        // One that is met again after it was forgotten is the last that came.
        met(&mut images, [5, 6, 3]);

        let mut kept = Vec::new();
        for pid in [7, 8, 9, 10] {
            met(&mut images, [pid]);
            let mut pids: Vec<u32> = images.entries.keys().map(|process| process.pid).collect();
            pids.sort_unstable();
            kept.push(pids);
        }

        assert_eq!(kept, [[3, 5, 6, 7], [3, 6, 7, 8], [3, 7, 8, 9], [7, 8, 9, 10]]);
        assert!(images.forgot_living());
    }

    #[test]
    fn no_more_is_remembered_of_those_that_ended_than_of_those_that_are_kept() {
        let mut images = Images::new(4, 1000);
        met(&mut images, [0]);
        for pid in 1..1000 {
            met(&mut images, [pid]);
            images.ended(process(pid));
        }

        assert!(images.arrived.len() <= 8 && images.ended.len() == 3, "{images:?}");
        assert!(images.entries.contains_key(&process(0)) && !images.forgot_living());
    }

    #[test]
    fn processes_programs_and_text_are_bounded() {
        let mut images = Images::new(4, 100);
        for pid in 0..100 {
            met(&mut images, [pid]);
            for exec in 0..40 {
                images.ran(image(pid, exec), &"x".into());
            }
        }
        assert_eq!(images.entries.len(), 4);
        assert_eq!(images.text_bytes, 4 * PROGRAMS_PER_PROCESS);
        assert!(images.arrived.len() <= 8 && images.ended.is_empty());
        assert_eq!(shown(&images, image(99, 39)), Some("x".into()));
        assert!(images.forgot_living());

        images.ran(image(99, 40), &"y".repeat(99).into());

        assert!(images.text_bytes <= 100);
        images.ran(image(99, 41), &"y".repeat(101).into());
        assert_eq!((images.text_bytes, images.entries.len()), (0, 0));
    }
}
