//! Waiting for a container: until it ends, or the check succeeds, or the time is over.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Patience, StartError, end_of_text};
use crate::command::{GLANCE, finish};

/// How often the check is tried.
const CHECK_EVERY: Duration = Duration::from_millis(100);

/// What was waited for.
pub(super) struct Waited {
    /// It ended by itself.
    pub(super) ended: bool,
    /// What the check came to, if there is one.
    pub(super) check: Option<Result<(), String>>,
}

/// Waits as long as it pays to. `has_ended` says whether the container has; `environment` is for the check.
pub(super) fn wait(
    patience: &Patience,
    stop: &AtomicBool,
    environment: &[(&str, String)],
    mut has_ended: impl FnMut() -> Result<bool, StartError>,
) -> Result<Waited, StartError> {
    let began = Instant::now();
    let mut tried: Option<Instant> = None;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(StartError::Stopped);
        }
        let ended = has_ended()?;
        match &patience.check {
            None if ended || began.elapsed() >= patience.run => return Ok(Waited { ended, check: None }),
            // One that has ended changes no more: the last try decides.
            Some(check) if ended || tried.is_none_or(|at| at.elapsed() >= CHECK_EVERY) => {
                let result = try_check(check, environment, patience.ready);
                if result.is_ok() || ended || began.elapsed() >= patience.ready {
                    return Ok(Waited { ended, check: Some(result) });
                }
                tried = Some(Instant::now());
            }
            None | Some(_) => {}
        }
        sleep(GLANCE);
    }
}

fn try_check(check: &str, environment: &[(&str, String)], limit: Duration) -> Result<(), String> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", check]).envs(environment.iter().map(|(name, value)| (name, value)));
    let ended = finish(&mut shell, limit).map_err(|error| format!("the check: {error}"))?;
    if ended.status.success() {
        return Ok(());
    }
    let says = end_of_text(&(ended.stdout + &ended.stderr));
    Err(format!("the check ended with {}{}{says}", ended.status, if says.is_empty() { "" } else { ": " }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience(check: Option<&str>) -> Patience {
        let short = Duration::from_millis(300);
        Patience { check: check.map(str::to_owned), status: 0, ready: short, run: short, stop: short }
    }

    fn waited(check: Option<&str>, ended: bool) -> Waited {
        let environment = [("RINGFENCE_CONTAINER", "web".to_owned())];
        wait(&patience(check), &AtomicBool::new(false), &environment, || Ok(ended)).expect("nobody stops it")
    }

    #[test]
    fn without_a_check_its_end_or_the_time_decides() {
        assert!(waited(None, true).ended);
        assert!(!waited(None, false).ended);
    }

    #[test]
    fn a_check_is_tried_until_it_succeeds_or_the_time_is_over_and_once_more_at_the_end() {
        let passes = waited(Some("test $RINGFENCE_CONTAINER = web"), false);
        assert!(!passes.ended && passes.check == Some(Ok(())));

        let fails = waited(Some("echo no; false"), false).check.expect("there is one").expect_err("it fails");
        assert!(fails.ends_with(": no"), "{fails}");

        let at_end = waited(Some("false"), true);
        assert!(at_end.ended && at_end.check.expect("there is one").is_err());
    }

    #[test]
    fn whoever_is_told_to_stop_does_not_wait() {
        let stopped = wait(&patience(None), &AtomicBool::new(true), &[], || Ok(false));

        assert!(matches!(stopped, Err(StartError::Stopped)));
    }
}
