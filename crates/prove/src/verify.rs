//! Starting a workload under a recommendation, and what that comes to.

use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use event::{Arch, Capability, Text};
use recommend::{Profile, Recommendation};
use report::{FormatVersion, Timestamp};
use tempfile::TempDir;

use crate::control::{dangerous, needed, without_call, without_capability};
use crate::expected::Expected;
use crate::judge::{Judged, Seen, denials};
use crate::observe::{Kept, ObserveError, observe};
use crate::probe;
use crate::proof::{
    CapabilityTrial, Denial, FailedStart, NeededControl, Proof, RefusedControl, SettingResult, Verdict, digest,
    rate_below,
};
use crate::start::{Entry, Exit, Order, Outcome, Patience, StartError, Starter, describe_workload, image_id};

/// How often it is started without the recommendation.
const PLAIN_STARTS: u32 = 2;
/// After so many failures one after the other more starts say nothing new.
const HOPELESS: u32 = 3;
/// So many failed starts are listed for each setting.
const LISTED_FAILURES: usize = 5;

/// What is to be proved, and how.
pub struct Plan<'a> {
    /// The recommendation.
    pub recommendation: &'a Recommendation,
    /// How the workload is started.
    pub starter: &'a Starter,
    /// How long to wait, and for what.
    pub patience: &'a Patience,
    /// How often, for each setting.
    pub runs: u32,
    /// The settings of no_new_privileges.
    pub settings: &'a [bool],
    /// How often it is started without each capability; 0 not to try that.
    pub minimise: u32,
    /// Ends it early.
    pub stop: &'a AtomicBool,
    /// Is told what is done.
    pub progress: &'a (dyn Fn(&str) + Sync),
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// Nothing could be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Nothing could be recorded.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// A file of ours.
    #[error("cannot write the profile, or the probe")]
    Write(#[source] io::Error),
    /// It does not work even without the recommendation.
    #[error("the workload does not work without the recommendation: {why}{}", said(says))]
    DoesNotWork {
        /// What happens instead.
        why: String,
        /// The end of what it says.
        says: String,
    },
    /// There is no report of it.
    #[error("what container {container} did was not observed")]
    NotObserved {
        /// Its id.
        container: String,
    },
    /// What it is made of is more than one container.
    #[error(
        "container {container} made others inside of it, which run under its filter, too: record it with `ringfence record --all` \
         and give all reports to `ringfence recommend`"
    )]
    Nested {
        /// Its id.
        container: String,
    },
    /// It does not end in the same way twice.
    #[error("without the recommendation the workload {one}, and then {other}: say with --check what counts as working")]
    Unsteady {
        /// Once.
        one: String,
        /// And then.
        other: String,
    },
}

/// No other start has this name for its container, whoever makes it: also in another pid namespace, by the same engine.
pub(crate) fn container_name(what: &str, number: u32) -> String {
    static CHANCE: OnceLock<u64> = OnceLock::new();
    let chance = CHANCE.get_or_init(|| RandomState::new().build_hasher().finish());
    format!("ringfence-{what}-{chance:016x}-{number}")
}

/// Nothing more is started when somebody wants it to end.
pub(crate) fn not_told_to_stop(stop: &AtomicBool) -> Result<(), StartError> {
    if stop.load(Ordering::Relaxed) { Err(StartError::Stopped) } else { Ok(()) }
}

fn said(says: &str) -> String {
    if says.is_empty() { String::new() } else { format!("; it says: {says}") }
}

/// Everything that was started.
#[derive(Default)]
struct Trials {
    plain: Vec<Outcome>,
    expected: Option<Expected>,
    settings: Vec<(bool, Vec<Outcome>)>,
    /// And the start that missed the call.
    needed: Option<(NeededControl, Option<Outcome>)>,
    probed: Option<Result<Outcome, String>>,
    capabilities: Vec<CapabilityTrial>,
}

/// Starts the workload, with and without the recommendation, and says what that shows.
pub fn verify(plan: &Plan<'_>, version: &str) -> Result<Proof, ProveError> {
    let begin = now();
    let image_before = image_id(plan.starter);
    let folder = tempfile::Builder::new().prefix("ringfence-proof").tempdir().map_err(ProveError::Write)?;
    let (tried, kept) =
        observe(plan.stop, || Work { plan, folder: &folder, number: 0 }.all(), |report| Some(Seen::of(report)))?;
    let trials = tried?;
    let expected = trials.expected.unwrap_or(Expected { ended: true, status: Some(0) });

    let plain: Vec<&Seen> = trials.plain.iter().filter_map(|outcome| kept.of(outcome)).collect();
    let left_out: BTreeSet<String> =
        plan.recommendation.seccomp.left_out.iter().map(|call| call.name.clone()).collect();
    let settings: Vec<SettingResult> = trials
        .settings
        .iter()
        .map(|(setting, outcomes)| setting_result(*setting, outcomes, expected, &kept, &plain, &left_out))
        .collect();
    let refused = refused_control(plan.recommendation, trials.probed.as_ref(), &kept);
    let host = rustix::system::uname();
    let text = |value: &std::ffi::CStr| Text::new(value.to_bytes());
    let mut proof = Proof {
        schema_version: FormatVersion,
        ringfence_version: version.into(),
        verdict: Verdict::Proved,
        reasons: Vec::new(),
        recommendation_sha256: digest(plan.recommendation),
        // After the starts: an image that had to be fetched is there now.
        workload: describe_workload(plan.starter),
        kernel_release: text(host.release()),
        architecture: text(host.machine()),
        begin,
        end: now(),
        incomplete: plan.recommendation.incomplete.clone(),
        check: plan.patience.check.as_deref().map(Text::from),
        expected: expected.words().into(),
        settings,
        needed: trials.needed.map(|(control, missed)| missed_for_that(control, missed.as_ref(), &kept)),
        refused,
        capabilities: trials.capabilities,
    };
    let plain_gap = plain.len() < trials.plain.len() || plain.iter().any(|seen| seen.gap.is_some());
    let recommended = plan.recommendation.no_new_privileges;
    let image_changed = image_before.is_some() && image_before != proof.workload.image_id;
    judge(&mut proof, recommended, plain_gap, kept.not_recorded, image_changed);
    Ok(proof)
}

fn setting_result(
    no_new_privileges: bool,
    outcomes: &[Outcome],
    expected: Expected,
    kept: &Kept<Seen>,
    plain: &[&Seen],
    left_out: &BTreeSet<String>,
) -> SettingResult {
    let judged: Vec<(Result<(), String>, Option<&Seen>)> =
        outcomes.iter().map(|outcome| (expected.check(outcome), kept.of(outcome))).collect();
    let starts = u32::try_from(outcomes.len()).unwrap_or(u32::MAX);
    let worked = judged.iter().filter(|(result, _)| result.is_ok()).count() as u32;
    let failed = (1..).zip(outcomes.iter().zip(&judged)).filter_map(|(number, (outcome, (result, _)))| {
        let why = result.as_ref().err()?;
        Some(FailedStart { number, why: why.as_str().into(), says: outcome.says.as_str().into() })
    });
    let starts_of: Vec<Judged<'_>> =
        judged.iter().map(|(result, seen)| Judged { worked: result.is_ok(), seen: *seen }).collect();
    SettingResult {
        no_new_privileges,
        starts,
        worked,
        not_observed: outcomes
            .iter()
            .zip(&judged)
            .filter(|(outcome, (_, seen))| kept.has_inner(outcome) || seen.is_none_or(|seen| seen.gap.is_some()))
            .count() as u32,
        failures_below: rate_below(starts, starts - worked),
        failed: failed.take(LISTED_FAILURES).collect(),
        denials: denials(&starts_of, plain, left_out),
    }
}

/// That a start failed without a call says something only if that call was refused there.
fn missed_for_that(mut control: NeededControl, outcome: Option<&Outcome>, kept: &Kept<Seen>) -> NeededControl {
    let was_refused = |call: &Text| {
        let call = call.shown();
        outcome.and_then(|outcome| kept.of(outcome)).is_some_and(|seen| seen.refused(&call))
    };
    if let Some(call) = control.missed.take_if(|call| !was_refused(call)) {
        control.not_missed.push(call);
        control.how = None;
    }
    control
}

fn refused_control(
    recommendation: &Recommendation,
    probed: Option<&Result<Outcome, String>>,
    kept: &Kept<Seen>,
) -> RefusedControl {
    let (tried, allowed) = dangerous(recommendation);
    let allowed = allowed.into_iter().map(Text::from).collect();
    let not_tried = |why: String| RefusedControl { allowed, not_tried: Some(why.into()), ..RefusedControl::default() };
    let outcome = match probed {
        None => return not_tried("starts failed anyway".to_owned()),
        Some(Err(why)) => return not_tried(why.clone()),
        Some(Ok(outcome)) => outcome,
    };
    let Some(seen) = kept.of(outcome) else {
        return not_tried(format!("its container was not observed{}", said(&outcome.says)));
    };
    let (refused, others): (Vec<&str>, Vec<&str>) =
        tried.iter().map(|(name, _)| *name).partition(|name| seen.refused(name) && !seen.entered(name));
    let entered: Vec<&str> = others.iter().copied().filter(|name| seen.entered(name)).collect();
    if entered.len() < others.len() {
        return not_tried(format!("the program that makes the calls did not get to its end{}", said(&outcome.says)));
    }
    let texts = |names: Vec<&str>| names.into_iter().map(Text::from).collect();
    let (_, allowed) = dangerous(recommendation);
    RefusedControl { refused: texts(refused), entered: texts(entered), allowed: texts(allowed), not_tried: None }
}

/// What it all shows.
fn judge(proof: &mut Proof, recommended: bool, plain_gap: bool, not_recorded: u64, image_changed: bool) {
    let mut failed = Vec::new();
    let mut worthless = Vec::new();
    let mut denied = Vec::new();
    for setting in &proof.settings {
        let with = if setting.no_new_privileges { "with" } else { "without" };
        if setting.worked < setting.starts {
            let count = setting.starts - setting.worked;
            failed.push(format!("{count} of {} starts {with} no_new_privileges failed", setting.starts));
        }
        if setting.not_observed > 0 {
            let count = setting.not_observed;
            worthless.push(format!(
                "{count} of {} starts {with} no_new_privileges could not be observed whole: something may have been denied",
                setting.starts
            ));
        }
        if setting.starts == 0 {
            worthless.push(format!("nothing was started {with} no_new_privileges"));
        }
        if setting.denials.iter().any(Denial::is_harmless) {
            denied.push(format!(
                "something was denied {with} no_new_privileges that is not denied without the recommendation"
            ));
        }
    }
    if !proof.settings.iter().any(|setting| setting.no_new_privileges == recommended) {
        let with = if recommended { "with" } else { "without" };
        worthless.push(format!("it is recommended {with} no_new_privileges, and was not started so"));
    }
    if !proof.incomplete.is_empty() {
        worthless.push("the recommendation is derived from reports that miss something".to_owned());
    }
    if proof.workload.engine.is_some() && proof.workload.image_id.is_none() {
        worthless.push("the engine does not say which image it was".to_owned());
    }
    if image_changed {
        worthless
            .push("the image's name stood for another image in the end: not all starts were of the same".to_owned());
    }
    if plain_gap || not_recorded > 0 {
        worthless.push("what is denied without the recommendation could not be observed whole".to_owned());
    }
    match &proof.needed {
        Some(control) if control.missed.is_none() => worthless.push(
            "calls that the workload makes were taken away and nothing failed: the check does not notice what is missing"
                .to_owned(),
        ),
        None if failed.is_empty() => worthless.push("nothing was taken away".to_owned()),
        _ => {}
    }
    if !proof.refused.entered.is_empty() {
        worthless.push("calls that are not allowed were not refused: another filter was loaded".to_owned());
    }
    if let Some(why) = proof.refused.not_tried.as_ref().filter(|_| failed.is_empty()) {
        worthless.push(format!("it was not tried whether calls that are not allowed are refused: {}", why.shown()));
    }
    proof.verdict = match () {
        () if !failed.is_empty() => Verdict::Failed,
        () if !worthless.is_empty() => Verdict::Worthless,
        () if !denied.is_empty() => Verdict::WorksWithDenials,
        () => Verdict::Proved,
    };
    proof.reasons = [failed, worthless, denied].concat().into_iter().map(Text::from).collect();
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ns(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// The starts, one after the other.
struct Work<'a> {
    plan: &'a Plan<'a>,
    folder: &'a TempDir,
    number: u32,
}

impl Work<'_> {
    fn all(mut self) -> Result<Trials, ProveError> {
        let plan = self.plan;
        let mut trials = Trials::default();
        for number in 1..=PLAIN_STARTS {
            (plan.progress)(&format!("without the recommendation, {number} of {PLAIN_STARTS}"));
            trials.plain.push(self.start(None, Entry::Workload)?);
        }
        let expected = Expected::of(&trials.plain, plan.patience)?;
        trials.expected = Some(expected);
        for &setting in plan.settings {
            let recommendation = Recommendation { no_new_privileges: setting, ..plan.recommendation.clone() };
            let outcomes = self.setting(&recommendation, expected)?;
            trials.settings.push((setting, outcomes));
        }
        let works = |outcome: &Outcome| expected.check(outcome).is_ok();
        // The controls are of the setting that is recommended, if it was tried.
        let mut working: Vec<&(bool, Vec<Outcome>)> =
            trials.settings.iter().filter(|(_, outcomes)| outcomes.iter().any(works)).collect();
        working.sort_by_key(|(setting, _)| *setting != plan.recommendation.no_new_privileges);
        let Some((setting, _)) = working.first() else {
            return Ok(trials);
        };
        let recommendation = Recommendation { no_new_privileges: *setting, ..plan.recommendation.clone() };
        trials.needed = Some(self.needed(&recommendation, expected)?);
        trials.probed = Some(self.probe(&recommendation)?);
        if plan.minimise > 0 {
            for need in &recommendation.capabilities.add {
                trials.capabilities.push(self.without(&recommendation, need.capability, expected)?);
            }
        }
        Ok(trials)
    }

    /// All starts with one setting; fewer if it is hopeless.
    fn setting(&mut self, recommendation: &Recommendation, expected: Expected) -> Result<Vec<Outcome>, ProveError> {
        let profile = self.profile(recommendation)?;
        let with = if recommendation.no_new_privileges { "with" } else { "without" };
        let (mut outcomes, mut failed) = (Vec::new(), 0);
        for number in 1..=self.plan.runs {
            (self.plan.progress)(&format!("{number} of {}, {with} no_new_privileges", self.plan.runs));
            let outcome = self.start(Some((recommendation, &profile)), Entry::Workload)?;
            failed = if expected.check(&outcome).is_ok() { 0 } else { failed + 1 };
            outcomes.push(outcome);
            if failed >= HOPELESS {
                break;
            }
        }
        Ok(outcomes)
    }

    /// Takes one call after another away, until one is missed.
    fn needed(
        &mut self,
        recommendation: &Recommendation,
        expected: Expected,
    ) -> Result<(NeededControl, Option<Outcome>), ProveError> {
        let mut control = NeededControl { missed: None, how: None, not_missed: Vec::new() };
        for call in needed(recommendation) {
            (self.plan.progress)(&format!("without the call {call}, which must be missed"));
            let less = without_call(recommendation, &call);
            let profile = self.profile(&less)?;
            let outcome = self.start(Some((&less, &profile)), Entry::Workload)?;
            match expected.check(&outcome) {
                // One that does not start is missed by its runtime: that says nothing of the check.
                Err(how) if outcome.exit != Exit::NotStarted => {
                    (control.missed, control.how) = (Some(call.into()), Some(how.into()));
                    return Ok((control, Some(outcome)));
                }
                _ => control.not_missed.push(call.into()),
            }
        }
        Ok((control, None))
    }

    /// Makes calls that are not allowed.
    fn probe(&mut self, recommendation: &Recommendation) -> Result<Result<Outcome, String>, ProveError> {
        let (refused, _) = dangerous(recommendation);
        let numbers: Vec<u32> = refused.iter().map(|(_, number)| *number).collect();
        let Some(program) = probe::program(Arch::NATIVE, &numbers) else {
            return Ok(Err("there is no program for it on this architecture".to_owned()));
        };
        (self.plan.progress)("calls that must be refused");
        let path = self.folder.path().join("probe");
        std::fs::write(&path, program).map_err(ProveError::Write)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).map_err(ProveError::Write)?;
        let profile = self.profile(recommendation)?;
        Ok(Ok(self.start(Some((recommendation, &profile)), Entry::Probe(&path))?))
    }

    /// Starts it without one capability.
    fn without(
        &mut self,
        recommendation: &Recommendation,
        capability: Capability,
        expected: Expected,
    ) -> Result<CapabilityTrial, ProveError> {
        let less = without_capability(recommendation, capability);
        let profile = self.profile(&less)?;
        let mut trial = CapabilityTrial { capability, starts: 0, failed: 0, how: None };
        for number in 1..=self.plan.minimise {
            (self.plan.progress)(&format!("without {capability}, {number} of {}", self.plan.minimise));
            let outcome = self.start(Some((&less, &profile)), Entry::Workload)?;
            trial.starts += 1;
            if let Err(how) = expected.check(&outcome) {
                trial.failed += 1;
                trial.how = Some(how.into());
                break;
            }
        }
        Ok(trial)
    }

    fn profile(&mut self, recommendation: &Recommendation) -> Result<PathBuf, ProveError> {
        self.number += 1;
        let path = self.folder.path().join(format!("profile-{}.json", self.number));
        std::fs::write(&path, Profile::new(&recommendation.seccomp).to_json()).map_err(ProveError::Write)?;
        Ok(path)
    }

    fn start(&mut self, under: Option<(&Recommendation, &PathBuf)>, entry: Entry<'_>) -> Result<Outcome, ProveError> {
        not_told_to_stop(self.plan.stop)?;
        self.number += 1;
        let name = container_name("tried", self.number);
        let under = under.map(|(recommendation, profile)| (recommendation, profile.as_path()));
        let order = Order { name: &name, under, entry };
        Ok(self.plan.starter.run(&order, self.plan.patience, self.plan.stop)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_missed_only_where_it_was_refused() {
        let control = NeededControl { missed: Some("read".into()), how: Some("it fails".into()), not_missed: vec![] };

        let nobody = Kept::default();
        let control = missed_for_that(
            control,
            Some(&Outcome { id: "1".into(), first: None, exit: Exit::Ended(1), check: None, says: String::new() }),
            &nobody,
        );

        assert_eq!((control.missed, control.how, control.not_missed), (None, None, vec!["read".into()]));
    }
}
