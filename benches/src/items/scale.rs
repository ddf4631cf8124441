//! Whether the cost of one event depends on how many cgroups are watched beside it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::cgroups::take_out;
use e2e::machine::unique_name;
use e2e::recorder::Recorder;

use super::Settings;
use crate::measure::hooks;
use crate::measure::looping::{Call, Clock, Loop};
use crate::measure::process::user_ns;
use crate::measure::sandbox::{MadeCgroup, Sandboxes};
use crate::measure::spread::Spread;
use crate::measure::storm::{Extent, Storm, events_of};
use crate::outcome::{Findings, Table};

const IDLE: [usize; 3] = [1, 100, 1_000];
const ROUNDS: u32 = 10;
const LIMIT: Duration = Duration::from_secs(120);
/// The cost with the most cgroups may be so many times that with one; the rest is the machine's noise.
const FLAT: f64 = 1.10;

/// What was measured with one number of idle cgroups.
#[derive(Debug, Default)]
struct Costs {
    call_ns: Vec<f64>,
    storm_us: Vec<f64>,
    /// The kernel counts this one in ticks, too coarse for one block.
    user_ns: u64,
    events: u64,
}

/// Item `scale`.
pub(crate) fn scale(settings: Settings) -> Result<Findings> {
    let mut findings = Findings::default();
    let mut costs: [Costs; IDLE.len()] = Default::default();
    let mut looping = Loop::start(Call::Getppid, 1, Clock::Cpu)?;
    take_out(looping.pid())?;
    let mut discarded = 0;
    let wanted = settings.choose(20, 4);
    for turn in 0.. {
        if costs.iter().all(|costs| costs.call_ns.len() >= wanted * ROUNDS as usize) {
            break;
        }
        ensure!(
            turn < wanted * 6,
            "other programs come and go on sys_enter and sys_exit all the time: try again later"
        );
        for step in 0..IDLE.len() {
            let which = (turn + step) % IDLE.len();
            discarded +=
                usize::from(!one(IDLE[which], &mut costs[which], &mut looping, settings.choose(5_000, 2_000))?);
        }
    }
    let mut table = Table::new(
        "A task inside a container, with other containers that do nothing: CPU time of a getppid; wall time of a \
         fork + exec + exit; and ringfence's own CPU time in user mode, that for looking after the idle ones included, \
         divided by the events.",
        ["rounds", "ns min", "ns 25 %", "ns median", "us per cycle, min", "us per cycle, 25 %", "us user per event"],
    );
    let mut low = Vec::new();
    for (idle, costs) in IDLE.iter().zip(&costs) {
        let (call, storm) = (Spread::of(&costs.call_ns)?, Spread::of(&costs.storm_us)?);
        let user = costs.user_ns as f64 / 1000.0 / costs.events.max(1) as f64;
        let cells = [call.count as f64, call.min, call.p25, call.median, storm.min, storm.p25, user];
        table.row(format!("{idle} idle"), cells);
        low.push((call.p25, storm.p25));
    }
    findings.tables.push(table);
    let (one, most) = (low[0], low[IDLE.len() - 1]);
    let what = |kind: &str| format!("{kind} with {} idle containers, as times that with one", IDLE[IDLE.len() - 1]);
    findings.at_most(what("a call"), most.0 / one.0, FLAT, "x");
    findings.at_most(what("a fork + exec + exit"), most.1 / one.1, FLAT, "x");
    if discarded > 0 {
        findings.notes.push(format!("{discarded} blocks were thrown away: another program was on the hooks"));
    }
    Ok(findings)
}

/// One block; false if it was thrown away.
fn one(idle: usize, costs: &mut Costs, looping: &mut Loop, cycles: u64) -> Result<bool> {
    hooks::wait_until_free()?;
    let recorder = Recorder::start(&["--all"])?;
    let sandboxes = Sandboxes::new()?;
    let idle: Vec<MadeCgroup> = (0..idle).map(|_| sandboxes.make(&unique_name("idle"))).collect::<Result<_>>()?;
    let busy = sandboxes.make(&unique_name("busy"))?;
    busy.take(looping.pid())?;
    let storm = Storm::prepare(Extent::Cycles(cycles))?;
    busy.take(storm.pid())?;
    sleep(Duration::from_millis(300));
    let before = user_ns(recorder.pid())?;
    let (mut rounds, mut per_cycle) = (Vec::new(), 0.0);
    let measured = hooks::undisturbed(hooks::BOTH, || {
        rounds = looping.rounds(ROUNDS)?;
        let began = Instant::now();
        let made = storm.run(LIMIT)?;
        per_cycle = began.elapsed().as_secs_f64() * 1e6 / made as f64;
        Ok(made)
    })?;
    // What is in the ring is read within a few milliseconds.
    sleep(Duration::from_millis(200));
    let user = user_ns(recorder.pid())?.saturating_sub(before);
    take_out(looping.pid())?;
    drop(idle);
    drop(busy);
    recorder.stop()?;
    let Some(made) = measured else { return Ok(false) };
    costs.call_ns.extend(rounds);
    costs.storm_us.push(per_cycle);
    costs.user_ns += user;
    costs.events += events_of(made);
    Ok(true)
}
