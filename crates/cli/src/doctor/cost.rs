//! What recording costs on this machine: memory of the maps, and time of each system call.

use containers::cgroupfs::{Layout, Sandbox};
use rustix::thread::sched_getaffinity;
use sensors::Kernel;
use serde::Serialize;

use super::child::Child;

/// Rounds of each kind; one takes 2 ms.
const ROUNDS: usize = 40;

/// Memory and time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Cost {
    /// Of all maps, in bytes.
    pub(super) map_bytes: u64,
    /// Of one call of getppid; none if it could not be measured.
    pub(super) getppid: Option<CallCost>,
    /// Why it could not be measured.
    pub(super) not_measured: Option<String>,
}

/// Nanoseconds of one call.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct CallCost {
    /// Before the sensors were attached.
    pub(super) untraced: Spread,
    /// With them, outside of every container.
    pub(super) outside: Spread,
    /// With them, in a container.
    pub(super) inside: Spread,
}

/// The rounds of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) min_ns: f64,
    pub(super) median_ns: f64,
    pub(super) rounds: usize,
}

/// A process that measures outside of every container, before the sensors are attached and after.
pub(super) struct Outside {
    child: Child,
    cpu: usize,
    untraced: Vec<u64>,
}

impl Outside {
    pub(super) fn before() -> Result<Outside, String> {
        let failed = |error: std::io::Error| format!("no process to measure with: {error}");
        let cpu = first_cpu();
        let mut child = Child::measuring(cpu).map_err(failed)?;
        child.go().map_err(failed)?;
        child.measure().map_err(failed)?; // to warm up
        let untraced = (0..ROUNDS).map(|_| child.measure()).collect::<Result<_, _>>().map_err(failed)?;
        Ok(Outside { child, cpu, untraced })
    }

    /// Measures inside and outside by turns, with the sensors attached.
    fn with_sensors(mut self, kernel: &Kernel, layout: &Layout, name: &str) -> Result<CallCost, String> {
        let failed = |error: std::io::Error| format!("a process to measure with failed: {error}");
        let sandbox = Sandbox::create(layout.identity(), name).map_err(|error| super::canary::causes(&error))?;
        let run = kernel.run_of_cgroup(sandbox.id().0).ok_or("the kernel side did not see the cgroup that was made")?;
        kernel.name(run);
        let mut inner = Child::measuring(self.cpu).map_err(failed)?;
        sandbox.add(inner.pid()).map_err(|error| super::canary::causes(&error))?;
        inner.go().map_err(failed)?;
        inner.measure().map_err(failed)?;
        let (mut inside, mut outside) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            inside.push(inner.measure().map_err(failed)?);
            outside.push(self.child.measure().map_err(failed)?);
        }
        inner.wait().map_err(failed)?;
        // That it could not be removed changes nothing of what was measured.
        let _ = sandbox.remove(std::time::Duration::from_secs(1));
        Ok(CallCost { untraced: spread(self.untraced), outside: spread(outside), inside: spread(inside) })
    }
}

pub(super) fn measure(kernel: &Kernel, layout: &Layout, name: &str, outside: Result<Outside, String>) -> Cost {
    let measured = outside.and_then(|outside| outside.with_sensors(kernel, layout, name));
    let (getppid, not_measured) = match measured {
        Ok(cost) => (Some(cost), None),
        Err(why) => (None, Some(why)),
    };
    Cost { map_bytes: kernel.map_bytes(), getppid, not_measured }
}

/// A processor that this program may run on.
fn first_cpu() -> usize {
    let allowed = sched_getaffinity(None).unwrap_or_else(|_| rustix::thread::CpuSet::new());
    (0..rustix::thread::CpuSet::MAX_CPU).find(|&cpu| allowed.is_set(cpu)).unwrap_or(0)
}

/// Of picoseconds.
fn spread(mut rounds: Vec<u64>) -> Spread {
    rounds.sort_unstable();
    let at = |index: usize| rounds.get(index).copied().unwrap_or_default() as f64 / 1_000.0;
    Spread { min_ns: at(0), median_ns: at(rounds.len() / 2), rounds: rounds.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_and_the_middle_of_the_rounds_are_kept() {
        assert_eq!(spread(vec![5_000, 1_500, 9_000]), Spread { min_ns: 1.5, median_ns: 5.0, rounds: 3 });
        assert_eq!(spread(Vec::new()).rounds, 0);
    }
}
