//! What counting adds to a single system call, beside what programs that do nothing add on the same hooks.
//!
//! One process makes the call in short rounds, and is never replaced: only what is attached changes, and which cgroup it
//! is in. Blocks of rounds follow one another in a rotating order, so that each kind sees the machine at every hour.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::cgroups::{Cgroup, take_out};
use e2e::machine::unique_name;
use e2e::recorder::Recorder;
use e2e::watching::Watching;

use super::Settings;
use crate::measure::empty::{EmptyPrograms, Hooks};
use crate::measure::hooks;
use crate::measure::looping::{Call, Clock, Loop};
use crate::measure::spread::Spread;
use crate::outcome::{Findings, Table, short};

/// Rounds between attaching and detaching.
const ROUNDS: u32 = 5;
/// What is moved is told to user space a moment later.
const SETTLE: Duration = Duration::from_millis(60);
/// Allowed for a task outside of every container if 1.15x is less.
const OUTSIDE_NS: f64 = 5.0;

/// What is attached while the loop runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    Nothing,
    EmptyEnter,
    EmptyBoth,
    Outside,
    Inside,
    Actions,
}

/// The calls that public rules look at.
const CALLS: &str = "open,openat,openat2,creat,connect,accept,accept4,listen,bind,sendto,sendmsg,recvfrom,recvmsg,socket,dup,dup2,\
                     dup3,ptrace,init_module,finit_module,symlink,symlinkat,link,linkat,rename,renameat,renameat2,unlink,\
                     unlinkat,rmdir,mkdir,mkdirat,chmod,fchmod,fchmodat,setuid,setresuid,setns,unshare,clone,mount,umount2,\
                     pivot_root,chroot,bpf,userfaultfd,memfd_create,keyctl,execve,execveat";

const VARIANTS: [(Variant, &str); 6] = [
    (Variant::Nothing, "nothing attached"),
    (Variant::EmptyEnter, "empty program on sys_enter"),
    (Variant::EmptyBoth, "empty programs on sys_enter and sys_exit"),
    (Variant::Outside, "recording, task outside"),
    (Variant::Inside, "recording, task inside"),
    (Variant::Actions, "watching with the calls of public rules, task inside"),
];

/// The rounds of each variant, block by block.
#[derive(Debug, Default)]
struct Blocks {
    rounds: [Vec<Vec<f64>>; VARIANTS.len()],
    discarded: usize,
}

impl Blocks {
    fn of(&self, variant: Variant) -> &[Vec<f64>] {
        &self.rounds[variant as usize]
    }

    fn spread(&self, variant: Variant) -> Result<Spread> {
        Spread::of(&self.of(variant).concat())
    }

    /// Runs one block; it is thrown away if anything else was attached meanwhile.
    fn run(&mut self, variant: Variant, looping: &mut Loop) -> Result<()> {
        let expected = match variant {
            Variant::Nothing => hooks::NONE,
            Variant::EmptyEnter => [1, 0],
            _ => hooks::BOTH,
        };
        match hooks::undisturbed(expected, || looping.rounds(ROUNDS))? {
            Some(rounds) => self.rounds[variant as usize].push(rounds),
            None => self.discarded += 1,
        }
        Ok(())
    }
}

/// Item `getppid`.
pub(crate) fn getppid(settings: Settings) -> Result<Findings> {
    both_thread_counts(Call::Getppid, settings, 1.20)
}

/// Item `eagain`.
pub(crate) fn eagain(settings: Settings) -> Result<Findings> {
    both_thread_counts(Call::Eagain, settings, 1.30)
}

/// Item `open`: unlike the others it is judged by what it takes with nothing attached.
pub(crate) fn open(settings: Settings) -> Result<Findings> {
    let mut findings = Findings::default();
    let blocks = measure(Call::Open, 1, settings.choose(48, 6))?;
    findings.tables.push(table("open and close of one file", &blocks)?);
    let nothing = blocks.spread(Variant::Nothing)?.p25;
    let inside = blocks.spread(Variant::Inside)?.p25;
    findings.at_most(
        "open and close inside, as times what they take with nothing attached",
        inside / nothing,
        1.4,
        "x",
    );
    Ok(findings)
}

fn both_thread_counts(call: Call, settings: Settings, inside_limit: f64) -> Result<Findings> {
    let mut findings = Findings::default();
    for threads in [1, 2] {
        if threads as usize > crate::host::cpus() {
            findings.notes.push(format!("{threads} threads: not measured, there are fewer CPUs"));
            continue;
        }
        let blocks = measure(call, threads, settings.choose(48, 6))?;
        judge(&mut findings, call, threads, &blocks, inside_limit)?;
    }
    Ok(findings)
}

fn measure(call: Call, threads: u32, wanted: usize) -> Result<Blocks> {
    hooks::wait_until_free()?;
    let mut blocks = Blocks::default();
    let mut looping = Loop::start(call, threads, Clock::Cpu)?;
    take_out(looping.pid())?;
    let is_short = |blocks: &Blocks| VARIANTS.iter().any(|(variant, _)| blocks.of(*variant).len() < wanted);
    for turn in 0.. {
        if !is_short(&blocks) {
            break;
        }
        ensure!(
            turn < wanted * 6,
            "other programs come and go on sys_enter and sys_exit all the time: try again later"
        );
        hooks::wait_until_free()?;
        for step in 0..5 {
            match (turn + step) % 5 {
                0 => blocks.run(Variant::Nothing, &mut looping)?,
                1 => with_empty(Hooks::Enter, Variant::EmptyEnter, &mut blocks, &mut looping)?,
                2 => with_empty(Hooks::Both, Variant::EmptyBoth, &mut blocks, &mut looping)?,
                3 => with_actions(&mut blocks, &mut looping)?,
                _ => recorded(call, &mut blocks, &mut looping)?,
            }
        }
    }
    Ok(blocks)
}

fn with_empty(hooks: Hooks, variant: Variant, blocks: &mut Blocks, looping: &mut Loop) -> Result<()> {
    let attached = EmptyPrograms::attach(hooks)?;
    blocks.run(variant, looping)?;
    attached.detach()
}

/// Inside, while single calls are looked at.
fn with_actions(blocks: &mut Blocks, looping: &mut Loop) -> Result<()> {
    let name = unique_name("ringfence-bench");
    let watching = Watching::start(&["--cgroup", &format!("/{name}"), "--calls", CALLS, "--kind", "action,image"])?;
    let cgroup = Cgroup::create(&name)?;
    cgroup.take(looping.pid())?;
    sleep(SETTLE);
    blocks.run(Variant::Actions, looping)?;
    take_out(looping.pid())?;
    let watched = watching.stop()?;
    ensure!(watched.status.success(), "{}", watched.stderr);
    Ok(())
}

/// First outside, as a task that never was in a container, then inside; what was made inside must have been counted.
fn recorded(call: Call, blocks: &mut Blocks, looping: &mut Loop) -> Result<()> {
    let name = unique_name("ringfence-bench");
    let recorder = Recorder::start(&["--cgroup".to_owned(), format!("/{name}")])?;
    let cgroup = Cgroup::create(&name)?;
    blocks.run(Variant::Outside, looping)?;
    cgroup.take(looping.pid())?;
    sleep(SETTLE);
    let before = looping.made;
    blocks.run(Variant::Inside, looping)?;
    let made = looping.made - before;
    take_out(looping.pid())?;
    let recording = recorder.stop()?;
    let counted: u64 = recording
        .only()?
        .syscalls()?
        .iter()
        .filter(|entry| entry.name == call.syscall())
        .map(
            |entry| if call == Call::Eagain { entry.failures.get("EAGAIN").copied().unwrap_or(0) } else { entry.count },
        )
        .sum();
    ensure!(counted == made, "{made} calls were made inside, but {counted} are in the report");
    Ok(())
}

fn judge(findings: &mut Findings, call: Call, threads: u32, blocks: &Blocks, inside_limit: f64) -> Result<()> {
    let which =
        format!("{}, {threads} {}", call.mode(), if threads == 1 { "thread" } else { "threads on as many CPUs" });
    let nothing = blocks.spread(Variant::Nothing)?.p25;
    let empty = blocks.spread(Variant::EmptyBoth)?.p25 - nothing;
    findings.tables.push(table(&which, blocks)?);
    let inside = blocks.spread(Variant::Inside)?.p25 - nothing;
    let outside = blocks.spread(Variant::Outside)?.p25 - nothing;
    let by_block = by_block(blocks)?;
    findings.check(
        format!("{which}: inside adds, as times what empty programs on the same hooks add"),
        format!(
            "{}x (by block {} {} {} {})",
            short(inside / empty),
            short(by_block.min),
            short(by_block.p25),
            short(by_block.median),
            short(by_block.max)
        ),
        format!("<= {inside_limit:.2}x"),
        inside / empty <= inside_limit,
    );
    if call == Call::Getppid {
        findings.check(
            format!("{which}: outside adds to what empty programs add"),
            format!("{} ns ({}x)", short(outside - empty), short(outside / empty)),
            format!("<= {OUTSIDE_NS} ns or 1.15x"),
            outside - empty <= OUTSIDE_NS || outside / empty <= 1.15,
        );
    }
    if blocks.discarded > 0 {
        let discarded = blocks.discarded;
        findings.notes.push(format!("{which}: {discarded} blocks were thrown away: another program was on the hooks"));
    }
    Ok(())
}

fn table(which: &str, blocks: &Blocks) -> Result<Table> {
    let nothing = blocks.spread(Variant::Nothing)?.p25;
    let empty = blocks.spread(Variant::EmptyBoth)?.p25 - nothing;
    let mut table = Table::new(
        format!(
            "{which}: nanoseconds of CPU time per call, rounds of 5 ms in blocks of {ROUNDS}; ratios and differences are \
             of the 25th percentiles."
        ),
        ["rounds", "min", "25 %", "median", "max", "x nothing", "adds", "x empty"],
    );
    for (variant, label) in VARIANTS {
        let Spread { count, min, p25, median, max } = blocks.spread(variant)?;
        let adds = p25 - nothing;
        table.row(label, [count as f64, min, p25, median, max, p25 / nothing, adds, adds / empty]);
    }
    Ok(table)
}

/// The same ratio in each turn, from the 25th percentiles of its blocks.
fn by_block(blocks: &Blocks) -> Result<Spread> {
    let low = |block: &[f64]| Spread::of(block).map(|spread| spread.p25);
    let mut ratios = Vec::new();
    let turns = blocks.of(Variant::Nothing).iter().zip(blocks.of(Variant::EmptyBoth)).zip(blocks.of(Variant::Inside));
    for ((nothing, empty), inside) in turns {
        let nothing = low(nothing)?;
        ratios.push((low(inside)? - nothing) / (low(empty)? - nothing));
    }
    Spread::of(&ratios)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(nothing: f64, empty: f64, outside: f64, inside: f64) -> Blocks {
        let rounds = [nothing, nothing + 1.0, empty, outside, inside, inside].map(|ns| vec![vec![ns; 4]; 3]);
        Blocks { rounds, discarded: 0 }
    }

    fn results(call: Call, blocks: &Blocks, limit: f64) -> Vec<bool> {
        let mut findings = Findings::default();
        judge(&mut findings, call, 1, blocks, limit).expect("enough blocks");
        findings.checks.iter().map(|check| check.met).collect()
    }

    #[test]
    fn inside_is_judged_by_what_is_added() {
        assert_eq!(results(Call::Eagain, &blocks(100.0, 150.0, 150.0, 165.0), 1.3), [true]);
        assert_eq!(results(Call::Eagain, &blocks(100.0, 150.0, 150.0, 166.0), 1.3), [false]);
    }

    #[test]
    fn outside_may_add_five_nanoseconds_or_a_share() {
        assert_eq!(results(Call::Getppid, &blocks(100.0, 120.0, 125.0, 120.0), 1.2), [true, true]);
        assert_eq!(results(Call::Getppid, &blocks(100.0, 120.0, 126.0, 120.0), 1.2), [true, false]);
        assert_eq!(results(Call::Getppid, &blocks(100.0, 200.0, 215.0, 200.0), 1.2), [true, true]);
    }
}
