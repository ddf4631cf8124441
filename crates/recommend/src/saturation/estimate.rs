//! The estimate of what is still unseen.
//!
//! It is Chao2 (A. Chao, "Estimating the population size for capture-recapture data with unequal catchability", Biometrics
//! 43, 1987), which takes each run as one sample and counts what was seen in exactly one run and in exactly two. What
//! further runs may add is extrapolated from it as R. K. Colwell et al. do ("Models and estimators linking
//! individual-based and sample-based rarefaction, extrapolation and comparison of assemblages", Journal of Plant Ecology 5,
//! 2012).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// So likely is it that the interval is too high, and so likely that it is too low.
const TAIL: f64 = 0.05;
/// The same in standard deviations of the normal distribution.
const NORMAL_TAIL: f64 = 1.645;
/// From so many on, counts are as good as normally distributed.
const LARGE: f64 = 200.0;

/// What is expected to be unseen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// How many permissions more the workload would show if it were run without end. A lower bound: what is rarer than the runs
    /// can tell is not in it.
    pub unseen: f64,
    /// How many more runs the next two are about: as many as there were.
    pub more_runs: u32,
    /// How many permissions that many more runs are expected to add.
    pub expected: f64,
    /// With a probability of 90 % they add no fewer.
    pub least: u32,
    /// With a probability of 90 % they add no more; if new ones come independently of each other, which those of one feature do
    /// not.
    pub most: u32,
}

impl Estimate {
    /// From how many things were seen in one of so many runs only, and in two; for so many runs more.
    pub fn of(runs: u32, in_one_run: u32, in_two_runs: u32, more_runs: u32) -> Estimate {
        let (samples, once, twice) = (f64::from(runs.max(1)), f64::from(in_one_run), f64::from(in_two_runs));
        let weight = (samples - 1.0) / samples;
        // The form that is right with nothing seen twice, and nearly the same otherwise.
        let unseen = weight * once * (once - 1.0).max(0.0) / (2.0 * (twice + 1.0));
        let more = f64::from(more_runs);
        let expected = if unseen > 0.0 {
            unseen * (1.0 - (1.0 - once / (samples * unseen + once)).powf(more))
        } else {
            // One thing that was seen once: the chance of the next run is that of a run so far (Good and Turing).
            (once / samples * more).min(once)
        };
        let ratio = if once > 0.0 { expected / once } else { more / samples };
        let (least, most) = interval(in_one_run, ratio);
        Estimate { unseen, more_runs, expected, least, most }
    }
}

/// How many things may turn up where this many did before, if `ratio` times as many are expected: between these bounds with 90 %.
///
/// Of two Poisson counts one given their sum is binomial: that is exact, and right for small numbers.
fn interval(before: u32, ratio: f64) -> (u32, u32) {
    let share = ratio / (1.0 + ratio);
    let expected = f64::from(before) * ratio;
    if before == 0 {
        // Each more of a row without an end is `share` as likely.
        return (0, if share > 0.0 { (TAIL.ln() / share.ln()).ceil() as u32 - 1 } else { 0 });
    }
    if expected + f64::from(before) > LARGE {
        let spread = NORMAL_TAIL * (expected * (1.0 + ratio)).sqrt();
        return ((expected - spread).max(0.0).floor() as u32, (expected + spread).ceil() as u32);
    }
    // The least that is not too few to be likely, the most that is not too many.
    let least = (0..).find(|&after| below(before + after, after, share) > TAIL).unwrap_or(0);
    let most = (least..).find(|&after| 1.0 - below(before + after + 1, after, share) < TAIL).unwrap_or(least);
    (least, most)
}

/// The probability that no more than `most` of `trials` succeed.
fn below(trials: u32, most: u32, share: f64) -> f64 {
    if share <= 0.0 {
        return 1.0;
    }
    let mut term = (1.0 - share).powf(f64::from(trials));
    let mut sum = term;
    for hit in 1..=most.min(trials) {
        term *= f64::from(trials - hit + 1) / f64::from(hit) * share / (1.0 - share);
        sum += term;
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimator_gives_what_its_formula_gives_by_hand() {
        // m = 5, Q1 = 4, Q2 = 2: 4/5 * 4*3 / (2*3).
        let estimate = Estimate::of(5, 4, 2, 5);
        assert!((estimate.unseen - 1.6).abs() < 1e-9, "{estimate:?}");
        // 1.6 * (1 - (1 - 4 / (5 * 1.6 + 4))^5)
        let expected = 1.6 * (1.0 - (1.0 - 4.0 / 12.0_f64).powi(5));
        assert!((estimate.expected - expected).abs() < 1e-9, "{estimate:?}");
    }

    #[test]
    fn nothing_rare_means_nothing_is_expected_but_something_is_possible() {
        let estimate = Estimate::of(10, 0, 3, 10);
        assert_eq!((estimate.unseen, estimate.expected, estimate.least), (0.0, 0.0, 0));
        assert!((1..=5).contains(&estimate.most), "{estimate:?}");
        assert!(Estimate::of(10, 0, 3, 1).most <= estimate.most);
    }

    #[test]
    fn the_binomial_is_summed_right() {
        assert!((below(10, 3, 0.5) - 176.0 / 1024.0).abs() < 1e-12);
        assert!((below(4, 4, 0.3) - 1.0).abs() < 1e-12 && (below(5, 2, 0.0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn bounds_hold_what_is_expected() {
        for before in 0..40 {
            for ratio in [0.01, 0.2, 0.5, 1.0] {
                let (least, most) = interval(before, ratio);
                let expected = f64::from(before) * ratio;
                assert!(
                    f64::from(least) <= expected + 1e-9 && expected.floor() <= f64::from(most),
                    "{before} {ratio}: {least} {most}"
                );
            }
        }
    }
}
