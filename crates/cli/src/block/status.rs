//! The policies that are in force, and what they have come to.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use ::enforce::{EnforceError, Enforcer, Status, are_contents_held};
use event::Text;
use schemars::JsonSchema;
use serde::Serialize;

use super::counted;
use super::line::{Shown, container};
use super::names::Names;
use super::tainted::StrictLine;

/// What is blocked, and how, for people.
pub(crate) fn text(
    enforcer: &Enforcer,
    check: &Result<(), EnforceError>,
    policies: &[Status],
    shown: &Shown,
) -> anyhow::Result<String> {
    let names = Names::of_tainted(enforcer, policies)?;
    let step = enforcer.climb().step;
    let mut text = format!("step {step}: {}\n", step.guarantee());
    match check {
        Ok(()) => text.push_str("a process of our own was blocked so just now\n"),
        Err(error) => {
            let _ = writeln!(text, "NOT SEEN TO BLOCK: {}", Text::from(causes(error).as_str()).shown());
        }
    }
    let _ = writeln!(text, "pinned in {}", enforcer.folder().display());
    if enforcer.skipped() > 0 {
        let _ = writeln!(
            text,
            "the kernel skipped the guards {} times: what was done then was not denied",
            enforcer.skipped()
        );
    }
    if enforcer.cgroups_lost() > 0 {
        let _ = writeln!(text, "{} cgroups are not under their policies: the map was full", enforcer.cgroups_lost());
    }
    if policies.is_empty() {
        text.push_str("no policy\n");
    }
    for status in policies {
        text.push_str(&policy_text(status, shown, &names));
    }
    Ok(text)
}

/// One policy, in two lines, and one for each container in which it waited and is strict.
pub(crate) fn policy_text(status: &Status, shown: &Shown, names: &Names) -> String {
    let policy = &status.policy;
    let name = policy.name.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
    let what = format!("policy {}{name}: {} in {}{}", status.number, policy.what(), policy.whom(), policy.when());
    let mut facts = vec![
        mode(status).to_owned(),
        match status.cgroups {
            1 => "1 cgroup".to_owned(),
            count => format!("{count} cgroups"),
        },
        counted(status),
    ];
    if !policy.after.is_empty() {
        facts.insert(2, format!("waits in {} of them", status.waiting));
    }
    match status.left {
        Some(Duration::ZERO) => facts.push("its time is over".into()),
        Some(left) => facts.push(format!("for {}s", left.as_secs())),
        None => {}
    }
    facts.push(match needs_agent(status) {
        true => "containers that come are held to it while `ringfence block` runs".to_owned(),
        false => "needs no process".to_owned(),
    });
    if !status.policy.hash.is_empty() {
        facts.push(match are_contents_held() {
            true => "contents are looked at by a ringfence that runs".to_owned(),
            false => "contents are NOT looked at: no `ringfence block` or `ringfence enforce` runs".to_owned(),
        });
    }
    let mut text = format!("{}\n  {}\n", Text::from(what.as_str()).shown(), facts.join("; "));
    for taint in &status.taints {
        let there = container(names.in_cgroup(taint.cgroup_id), taint.cgroup_id);
        let _ = writeln!(text, "  in {there} after {}", shown.taint_text(taint));
    }
    text
}

/// Whether it denies, and whether somebody has switched that.
pub(crate) fn mode(status: &Status) -> &'static str {
    match (status.policy.audit, status.is_switched) {
        (false, false) => "denies",
        (true, false) => "only counts",
        (false, true) => "denies (it was switched: it was to count only)",
        (true, true) => "only counts (it was switched: it was to deny)",
    }
}

/// Whether what it is about can only be told by asking engines: a container by its name alone may come again under another id.
fn needs_agent(status: &Status) -> bool {
    !status
        .policy
        .containers
        .iter()
        .all(|target| matches!(target, ::enforce::Target::Container(name) if name.len() == 64))
}

/// An error with its causes.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            let _ = write!(text, ": {said}");
        }
        next = cause.source();
    }
    text
}

/// What is blocked, and how, for programs.
#[derive(Serialize, JsonSchema)]
pub(crate) struct StatusDocument<'a> {
    schema_version: report::FormatVersion<1>,
    /// `lsm`, `fmod_ret` or `kill`; none if nothing is in place.
    step: Option<&'static str>,
    /// Why the process that was to be blocked just now was not, or could not be tried; none if it was.
    not_blocked: Option<String>,
    /// How often the kernel skipped a guard.
    skipped: u64,
    /// Cgroups that were to be under a policy and found no room.
    cgroups_lost: u64,
    policies: Vec<PolicyDocument<'a>>,
}

/// A policy and what it has come to.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PolicyDocument<'a> {
    number: u32,
    /// `audit` says what it does now.
    policy: &'a ::enforce::Policy,
    /// Whether it was put in force denying and only counts now (`ringfence policy complain`), or the other way round.
    switched: bool,
    /// How many seconds it is still in force; none if it has no end.
    seconds_left: Option<u64>,
    /// Also those where it waits.
    cgroups: usize,
    /// In how many of them it waits still.
    waiting: usize,
    /// Where it waited and is strict.
    strict: Vec<StrictLine<'a>>,
    denied: u64,
    audited: u64,
    failed: u64,
    untold: u64,
    by_reason: BTreeMap<&'static str, u64>,
    /// Whether containers that come later are held to it only while `ringfence block` runs.
    needs_agent: bool,
    /// Of one that names contents: whether somebody looks at them now, without whom they are not denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    contents_held: Option<bool>,
}

impl<'a> PolicyDocument<'a> {
    pub(crate) fn of(status: &'a Status, shown: &Shown, names: &'a Names) -> PolicyDocument<'a> {
        let tally = &status.tally;
        PolicyDocument {
            number: status.number,
            policy: &status.policy,
            switched: status.is_switched,
            seconds_left: status.left.map(|left| left.as_secs()),
            cgroups: status.cgroups,
            waiting: status.waiting,
            strict: status.taints.iter().map(|taint| StrictLine::of(taint, shown, names)).collect(),
            denied: tally.denied,
            audited: tally.audited,
            failed: tally.failed,
            untold: tally.untold,
            by_reason: tally.by_reason.iter().map(|(reason, count)| (reason.name(), *count)).collect(),
            needs_agent: needs_agent(status),
            contents_held: (!status.policy.hash.is_empty()).then(are_contents_held),
        }
    }
}

pub(crate) fn json(
    enforcer: Option<&Enforcer>,
    policies: &[Status],
    not_blocked: Option<&EnforceError>,
    shown: &Shown,
) -> anyhow::Result<String> {
    let names = enforcer.map_or_else(|| Ok(Names::default()), |enforcer| Names::of_tainted(enforcer, policies))?;
    let document = StatusDocument {
        schema_version: report::FormatVersion,
        step: enforcer.map(|enforcer| enforcer.climb().step.name()),
        not_blocked: not_blocked.map(|error| causes(error)),
        skipped: enforcer.map_or(0, Enforcer::skipped),
        cgroups_lost: enforcer.map_or(0, Enforcer::cgroups_lost),
        policies: policies.iter().map(|status| PolicyDocument::of(status, shown, &names)).collect(),
    };
    Ok(report::json(&document))
}

#[cfg(test)]
mod tests {
    use super::super::line::tests::check_schema;
    use super::*;

    #[test]
    fn the_schema_that_is_checked_in_is_that_of_the_type() {
        let status = schemars::schema_for!(StatusDocument<'static>);
        check_schema("block-status-1.json", "ringfence block status, version 1", status);
    }
}
