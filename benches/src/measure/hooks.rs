//! Who is on the hooks of the system calls: a stranger's program there would be measured as ours.

use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::command::{command, must, wait_until};
use serde_json::Value;

/// How long strangers are waited for.
const PATIENCE: Duration = Duration::from_secs(900);

/// Nobody, as [`undisturbed`] expects it.
pub(crate) const NONE: [usize; 2] = [0, 0];
/// One program on both: empty ones, or ours.
pub(crate) const BOTH: [usize; 2] = [1, 1];

/// How many programs are attached to sys_enter and to sys_exit, by whomever.
pub(crate) fn attached() -> Result<[usize; 2]> {
    let text = must(&mut command("bpftool", ["--json", "link", "list"]))?;
    let links: Value = serde_json::from_str(&text).context("bpftool's JSON")?;
    Ok(["sys_enter", "sys_exit"].map(|hook| count(&links, hook)))
}

fn count(links: &Value, hook: &str) -> usize {
    links.as_array().map_or(0, |links| links.iter().filter(|link| link["tp_name"] == hook).count())
}

/// Takes a measurement while so many programs are attached; none if there were more or fewer before or after it.
pub(crate) fn undisturbed<T>(expected: [usize; 2], measure: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
    let was_alone = attached()? == expected;
    let measured = measure()?;
    Ok((was_alone && attached()? == expected).then_some(measured))
}

/// Waits until nobody is on the hooks.
pub(crate) fn wait_until_free() -> Result<()> {
    let mut said = false;
    wait_until("no other program is attached to sys_enter or sys_exit", PATIENCE, || {
        let is_free = attached()? == NONE;
        if !is_free && !said {
            said = true;
            eprintln!("waiting: another program is attached to sys_enter or sys_exit");
        }
        Ok(is_free)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_to_the_hook_are_counted() {
        let links = serde_json::json!([
            {"id": 1, "type": "iter", "prog_id": 5, "target_name": "task"},
            {"id": 2, "type": "raw_tracepoint", "prog_id": 6, "tp_name": "sys_enter"},
            {"id": 3, "type": "raw_tracepoint", "prog_id": 7, "tp_name": "sys_exit"},
        ]);

        assert_eq!((count(&links, "sys_enter"), count(&links, "sched_process_fork")), (1, 0));
    }
}
