//! Tasks that move between cgroups, are born in another one, and cgroups that empty and fill again.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::cgroups::{self, Cgroup};
use e2e::command::{Background, command, must};
use e2e::machine::{alone, unique_name};
use e2e::recorder::{Recorder, View};
use e2e::reports::Report;
use e2e::{need, sealed};

const THREADS: u64 = 8;
const LIMIT: Duration = Duration::from_secs(20);

/// The program with eight threads that each make as many calls as they are told.
struct Mover {
    process: Background,
    answers: BufReader<std::process::ChildStdout>,
}

impl Mover {
    fn start() -> Result<Mover> {
        let mut mover = command(sealed::on_host("mover")?, [THREADS.to_string()]);
        let mut process = Background::spawn(mover.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let answers = BufReader::new(process.child().stdout.take().context("no pipe")?);
        let mut mover = Mover { process, answers };
        mover.expect("ready")?;
        Ok(mover)
    }

    fn pid(&self) -> u32 {
        self.process.pid().as_raw_nonzero().get().unsigned_abs()
    }

    /// Tells each thread to make so many calls.
    fn begin(&mut self, calls: u64) -> Result<()> {
        let input = self.process.child().stdin.as_mut().context("no pipe")?;
        writeln!(input, "{calls}")?;
        Ok(())
    }

    /// Lets each thread make so many calls, and waits until all did.
    fn make(&mut self, calls: u64) -> Result<()> {
        self.begin(calls)?;
        self.expect("done")
    }

    fn expect(&mut self, word: &str) -> Result<()> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        ensure!(line.trim_end() == word, "the program says {line:?}, not {word:?}");
        Ok(())
    }

    fn end(mut self) -> Result<()> {
        drop(self.process.child().stdin.take());
        ensure!(self.process.wait(LIMIT)?.success(), "the program failed");
        Ok(())
    }
}

/// Calls of getppid in all phases: which phase a cgroup without a container has is not what these tests are about.
fn calls(report: &Report) -> Result<u64> {
    Ok(report.syscalls()?.iter().filter(|entry| entry.name == "getppid").map(|entry| entry.count).sum())
}

#[test]
#[ignore = "needs root"]
fn eight_threads_are_counted_in_cgroups_that_were_there_already() -> Result<()> {
    need!("gcc");
    let _alone = alone()?;
    let (first, second) = (Cgroup::create(&unique_name("rf-e2e-a"))?, Cgroup::create(&unique_name("rf-e2e-b"))?);
    let recorder = Recorder::start(&["--cgroup", first.path(), "--cgroup", second.path()])?;

    eight_threads_move(recorder, first, second)
}

#[test]
#[ignore = "needs root"]
fn eight_threads_are_counted_in_cgroups_that_were_named_before_they_were_made() -> Result<()> {
    need!("gcc");
    let _alone = alone()?;
    let (first, second) = (unique_name("rf-e2e-a"), unique_name("rf-e2e-b"));
    let recorder = Recorder::start(&["--cgroup", &format!("/{first}"), "--cgroup", &format!("/{second}")])?;

    eight_threads_move(recorder, Cgroup::create(&first)?, Cgroup::create(&second)?)
}

/// In, between, out, in again; the counts are those of the time inside.
fn eight_threads_move(recorder: Recorder, first: Cgroup, second: Cgroup) -> Result<()> {
    let mut mover = Mover::start()?;
    mover.make(100_003)?;
    first.take(mover.pid())?;
    mover.make(1000)?;
    second.take(mover.pid())?;
    mover.make(500)?;
    cgroups::take_out(mover.pid())?;
    mover.make(30_011)?;
    first.take(mover.pid())?;
    mover.make(7)?;
    cgroups::take_out(mover.pid())?;
    mover.end()?;
    let names = [first.path(), second.path()].map(|path| path.trim_start_matches('/').to_owned());
    first.remove()?;
    second.remove()?;
    let recording = recorder.stop()?;

    assert_eq!(calls(recording.of(&names[0])?)?, THREADS * 1007);
    assert_eq!(calls(recording.of(&names[1])?)?, THREADS * 500);
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_move_in_the_middle_of_a_storm_loses_no_call_and_counts_none_twice() -> Result<()> {
    need!("gcc");
    let _alone = alone()?;
    let (first, second) = (unique_name("rf-e2e-a"), unique_name("rf-e2e-b"));
    let recorder = Recorder::start(&["--cgroup", &format!("/{first}"), "--cgroup", &format!("/{second}")])?;
    let (first, second) = (Cgroup::create(&first)?, Cgroup::create(&second)?);
    let mut mover = Mover::start()?;

    first.take(mover.pid())?;
    mover.begin(200_000)?;
    for _ in 0..20 {
        second.take(mover.pid())?;
        first.take(mover.pid())?;
    }
    mover.expect("done")?;
    mover.end()?;
    let names = [first.path(), second.path()].map(|path| path.trim_start_matches('/').to_owned());
    first.remove()?;
    second.remove()?;
    let recording = recorder.stop()?;

    let both = calls(recording.of(&names[0])?)? + calls(recording.of(&names[1])?)?;
    assert_eq!(both, THREADS * 200_000);
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_reading_in_the_middle_of_a_storm_is_never_above_the_truth() -> Result<()> {
    need!("gcc");
    let _alone = alone()?;
    let name = unique_name("rf-e2e");
    let path = format!("/{name}");
    let mut mover = Mover::start()?;
    let recorder = Recorder::start(&["--cgroup", &path])?;
    let cgroup = Cgroup::create(&name)?;
    cgroup.take(mover.pid())?;
    mover.make(1000)?;
    let before = THREADS * 1000;

    // Ended while all threads call: what is in the report was made, and what was made before the end is in it.
    mover.begin(2_000_000)?;
    let recording = recorder.stop()?;
    let report = recording.of(&name)?;
    let seen = calls(report)?;
    mover.expect("done")?;
    assert!((before..=before + THREADS * 2_000_000).contains(&seen), "{seen}");

    // A new recording begins anew.
    let recorder = Recorder::start(&["--cgroup", cgroup.path()])?;
    mover.make(10)?;
    cgroups::take_out(mover.pid())?;
    mover.end()?;
    let recording = recorder.stop()?;
    assert_eq!(calls(recording.of(&name)?)?, THREADS * 10);
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_child_that_is_born_in_a_cgroup_is_counted_there() -> Result<()> {
    need!("gcc");
    let _alone = alone()?;
    if !View::Version2.is_possible()? {
        e2e::skip!("no cgroup version 2 hierarchy");
    }
    let name = unique_name("rf-e2e");
    // Being born in a cgroup exists in version 2 alone.
    let recorder = Recorder::start_in(View::Version2, &["--cgroup", &format!("/{name}")])?;
    let cgroup = Cgroup::create(&name)?;
    let folder = cgroup.version2_folder()?.context("no folder")?;

    must(&mut command(sealed::on_host("into_cgroup")?, [folder.display().to_string(), "4321".into()]))?;
    cgroup.remove()?;
    let recording = recorder.stop()?;

    let report = recording.only()?;
    assert_eq!(calls(report)?, 4321);
    assert_eq!(report.tree_total("total")?, 1, "only the child was in it");
    Ok(())
}

#[test]
#[ignore = "needs root"]
fn a_cgroup_that_empties_and_fills_again_is_the_same_run() -> Result<()> {
    need!("gcc");
    let _alone = alone()?;
    let cgroup = Cgroup::create(&unique_name("rf-e2e"))?;
    let recorder = Recorder::start(&["--cgroup", cgroup.path()])?;

    for calls in ["10", "20", "40"] {
        let mut enter = command(sealed::on_host("enter")?, cgroup.procs_files());
        must(enter.args(["--", &sealed::on_host("exact")?, "getppid", calls]))?;
        cgroup.wait_until_empty(LIMIT)?;
    }
    cgroup.remove()?;
    let recording = recorder.stop()?;

    assert_eq!(calls(recording.only()?)?, 70);
    Ok(())
}
