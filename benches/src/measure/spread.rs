//! Many measurements of one thing, and what is said of them.

use serde::Serialize;

/// Lowest, quarter, middle and highest of many measurements.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) count: usize,
    pub(crate) min: f64,
    pub(crate) p25: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of at least one measurement.
    pub(crate) fn of(measurements: &[f64]) -> anyhow::Result<Spread> {
        anyhow::ensure!(!measurements.is_empty(), "nothing was measured");
        let mut sorted = measurements.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
        Ok(Spread { count: sorted.len(), min: at(0.0), p25: at(0.25), median: at(0.5), max: at(1.0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_measurements_does_not_matter() {
        let spread = Spread::of(&[5.0, 1.0, 4.0, 2.0, 3.0]).expect("five of them");

        assert_eq!(spread, Spread { count: 5, min: 1.0, p25: 2.0, median: 3.0, max: 5.0 });
    }

    #[test]
    fn one_measurement_is_all_of_its_spread() {
        let spread = Spread::of(&[7.0]).expect("one");

        assert_eq!((spread.min, spread.p25, spread.max), (7.0, 7.0, 7.0));
    }

    #[test]
    fn no_measurement_is_an_error() {
        assert!(Spread::of(&[]).is_err());
    }
}
