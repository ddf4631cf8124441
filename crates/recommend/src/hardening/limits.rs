//! Limits of tasks, memory and CPU time, each the most that was seen and a margin; and limits of each process.

use event::{Phase, Resource, Text};
use report::{Report, counted, duration};

use super::seen::{Seen, Tally, sentence};
use super::{Advice, LimitAdvice, UlimitAdvice, Verdict};

/// Tasks: twice the most that was seen, as servers make more with load; and never fewer than 32 more, because a session from outside
/// (`docker exec`) starts with the runtime's own threads in the same cgroup: runc has about ten of them.
const TASKS_FACTOR: u64 = 2;
const TASKS_MORE: u64 = 32;
/// A peak that is the highest of readings once a second can have been higher in between: it counts twice.
const SAMPLED_FACTOR: u64 = 2;
/// Memory: half as much again. The most that was in use includes pages of files, which the kernel takes back before it ends a
/// process, so that the peak without a limit is an upper bound of what the same work needs.
const MEMORY_FACTOR_PERCENT: u64 = 150;
/// And never less than 16 MiB more: what a runtime takes in the cgroup while it starts a container or a session (runc: about 10 MiB).
const MEMORY_MORE: u64 = 16 << 20;
/// In whole MiB.
const MEMORY_STEP: u64 = 1 << 20;
/// CPU time: twice the most that was used in a second: less makes it slow, and starting is when most is used.
const CPU_FACTOR: u64 = 2;
/// In tenths of a CPU, and never less than one.
const CPU_STEP: u64 = 100;
/// What a workload uses at most is not seen while it starts: so long one run must have been observed.
const LEAST_OBSERVED_NS: u64 = 600 * 1_000_000_000;
/// The signals that dump core: signal(7), Linux 6.18 (`include/linux/signal.h`, `SIG_KERNEL_COREDUMP_MASK`).
const DUMPS_CORE: [u8; 10] = [3, 4, 5, 6, 7, 8, 11, 24, 25, 31];

pub(super) fn pids(seen: &Seen<'_>) -> LimitAdvice {
    let now = seen.agreed(|run| {
        let of_engine =
            run.container.settings.as_ref().and_then(|settings| settings.pids_limit).filter(|&limit| limit > 0);
        run.behaviour.resources.tasks.limit.or(of_engine)
    });
    let (peak, sampled) = match peak(seen, Resource::Tasks, |run| run.behaviour.resources.tasks.peak) {
        Ok(peak) => peak,
        Err(advice) => return LimitAdvice { advice, now, ..LimitAdvice::default() },
    };
    let seen_peak = if sampled { peak.saturating_mul(SAMPLED_FACTOR) } else { peak };
    let wanted = seen_peak.saturating_mul(TASKS_FACTOR).max(seen_peak.saturating_add(TASKS_MORE));
    let margin = margin(&format!("{TASKS_FACTOR} times, and at least {TASKS_MORE} more"), sampled);
    let reason = format!("at most {} were there at a time", counted(peak, "task", "tasks"));
    limit(seen, now, peak, wanted, &margin, &reason, "a fork or a new thread beyond the limit fails with EAGAIN")
}

pub(super) fn memory(seen: &Seen<'_>) -> LimitAdvice {
    let now = seen.agreed(|run| {
        let of_engine =
            run.container.settings.as_ref().and_then(|settings| settings.memory_bytes).filter(|&limit| limit > 0);
        run.behaviour.resources.memory.limit_bytes.or(of_engine)
    });
    let (peak, sampled) = match peak(seen, Resource::Memory, |run| run.behaviour.resources.memory.peak_bytes) {
        Ok(peak) => peak,
        Err(advice) => return LimitAdvice { advice, now, ..LimitAdvice::default() },
    };
    let was_short = |run: &&Report| {
        let memory = &run.behaviour.resources.memory;
        [memory.limit_hits, memory.oom_events, memory.oom_kills].into_iter().flatten().any(|count| count > 0)
    };
    if seen.own.iter().copied().any(|run| was_short(&run)) {
        let reason = "its limit was reached while recorded: how much it would take without is not known";
        return LimitAdvice {
            advice: Advice::unknown(now.map(|_| true), reason),
            now,
            peak: Some(peak),
            ..LimitAdvice::default()
        };
    }
    let seen_peak = if sampled { peak.saturating_mul(SAMPLED_FACTOR) } else { peak };
    let wanted = (seen_peak / 100).saturating_mul(MEMORY_FACTOR_PERCENT).max(seen_peak.saturating_add(MEMORY_MORE));
    let wanted = rounded(wanted, MEMORY_STEP);
    let margin = margin("half as much again, and at least 16 MiB more, in whole MiB", sampled);
    let reason = format!("at most {} MiB were in use, pages of files included", peak.div_ceil(MEMORY_STEP));
    limit(seen, now, peak, wanted, &margin, &reason, "a process is killed when nothing can be taken back any more")
}

pub(super) fn cpu(seen: &Seen<'_>) -> LimitAdvice {
    let now = seen.agreed(|run| {
        let of_engine =
            run.container.settings.as_ref().and_then(|settings| settings.cpu_thousandths).filter(|&limit| limit > 0);
        run.behaviour.resources.cpu.limit_ns_per_second.map(|ns| ns / 1_000_000).or(of_engine)
    });
    let was_short =
        seen.own.iter().any(|run| run.behaviour.resources.cpu.throttled_periods.is_some_and(|count| count > 0));
    let peak = peak(seen, Resource::CpuTime, |run| run.behaviour.resources.cpu_peak_ns_per_second);
    let (peak, _) = match peak {
        Ok(peak) => peak,
        Err(advice) => return LimitAdvice { advice, now, ..LimitAdvice::default() },
    };
    let peak = peak.div_ceil(1_000_000);
    if was_short {
        let reason = "its limit held it back while recorded: how much it would take without is not known";
        return LimitAdvice {
            advice: Advice::unknown(now.map(|_| true), reason),
            now,
            peak: Some(peak),
            ..LimitAdvice::default()
        };
    }
    let wanted = rounded(peak.saturating_mul(CPU_FACTOR), CPU_STEP).max(CPU_STEP);
    let margin = "2 times, in tenths of a CPU";
    let reason = format!("at most {}.{:03} CPUs were used over a second", peak / 1000, peak % 1000);
    limit(seen, now, peak, wanted, margin, &reason, "it gets slower when it needs more")
}

pub(super) fn ulimits(seen: &Seen<'_>) -> Vec<UlimitAdvice> {
    let mut dumps = Tally::default();
    for (number, run) in seen.own.iter().enumerate() {
        // The workload's first process was made by the runtime.
        let is_own = |phase: Phase| phase != Phase::Exec || seen.counts(phase);
        for process in run.behaviour.processes.processes.iter().filter(|process| is_own(process.phase)) {
            if let Some(signal) = process.signal.filter(|signal| DUMPS_CORE.contains(signal)) {
                let program = process.executable().cloned().unwrap_or_default();
                dumps.add(number, &format!("ended by signal {signal}"), &Text::default(), process.phase, program, 1);
            }
        }
    }
    let soft = |name: &'static str| {
        seen.agreed(move |run| {
            let given = run.container.settings.as_ref()?.ulimits.as_ref()?;
            given.iter().find(|one| one.name.as_bytes() == name.as_bytes()).map(|one| one.soft)
        })
    };
    let now = soft("core").map(|soft| soft == 0);
    let core = if dumps.is_empty() {
        let reason = "no process was ended by a signal that dumps core; whether a program raises the limit itself, which a hard limit of 0 would refuse, is not recorded";
        Advice::unknown(now, reason)
    } else {
        Advice::needed(
            now,
            "processes were ended by signals that dump core, and somebody may want the file",
            dumps.evidence(),
        )
    };
    let core = seen.judge(&["processes"], core);
    let files = Advice::unknown(None, "how many files a process had open at a time is not recorded");
    vec![
        UlimitAdvice { name: "core".into(), advice: core, recommended: None },
        UlimitAdvice { name: "nofile".into(), advice: files, recommended: None },
    ]
}

/// The highest of all runs, and whether it is but the highest of readings; or why there is none.
fn peak(seen: &Seen<'_>, what: Resource, of: impl Fn(&Report) -> Option<u64>) -> Result<(u64, bool), Advice> {
    let window = |run: &&Report| run.window.end.boot_ns.saturating_sub(run.window.begin.boot_ns);
    let observed = seen.own.iter().map(window).max().unwrap_or(0);
    if !seen.own.is_empty() && observed < LEAST_OBSERVED_NS {
        let reason = format!(
            "no run was observed for longer than {}: what it uses at most is not known before {}",
            duration(observed),
            duration(LEAST_OBSERVED_NS)
        );
        return Err(Advice::unknown(None, &reason));
    }
    let mut highest = 0;
    let mut sampled = false;
    for run in seen.own {
        let resources = &run.behaviour.resources;
        let Some(peak) = of(run).filter(|&peak| peak > 0) else {
            let reason = match resources.absent.get(&what) {
                Some(why) => format!("the most that it used is not known: {}", why.shown()),
                None => "the most that it used is not known".to_owned(),
            };
            return Err(Advice::unknown(None, &reason));
        };
        highest = highest.max(peak);
        sampled |= resources.sampled.contains(&what);
    }
    if seen.own.is_empty() { Err(Advice::unknown(None, "there is no run")) } else { Ok((highest, sampled)) }
}

/// A limit, which is never above the one that there is.
fn limit(
    seen: &Seen<'_>,
    now: Option<u64>,
    peak: u64,
    wanted: u64,
    margin: &str,
    reason: &str,
    breaks: &str,
) -> LimitAdvice {
    let tight = now.filter(|&now| now <= wanted);
    let mut advice = Advice::apply(Some(tight.is_some()), reason, breaks);
    if tight.is_some() {
        advice = advice.because("the limit that there is is as tight already");
    }
    if seen.own.iter().any(|run| !run.behaviour.resources.read_at_end) {
        advice = advice.because("the last moments of a run are not in it");
    }
    let advice = seen.judge(&["resources"], advice);
    let recommended = (advice.verdict == Verdict::Apply).then(|| tight.unwrap_or(wanted));
    LimitAdvice { advice, now, peak: Some(peak), recommended, margin: sentence(margin) }
}

fn margin(margin: &str, sampled: bool) -> String {
    if sampled {
        format!("{margin}, of twice the highest reading: this kernel keeps no peak, and readings are a second apart")
    } else {
        margin.to_owned()
    }
}

fn rounded(amount: u64, step: u64) -> u64 {
    amount.div_ceil(step).saturating_mul(step)
}
