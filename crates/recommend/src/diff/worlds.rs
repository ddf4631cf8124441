//! The circumstances that rules of Docker's profiles depend on, and how to say which of them make a difference.

use std::collections::BTreeSet;

use event::Text;

use crate::filter::World;

/// So many capabilities, and no more, are tried in each combination.
const MAX_CAPABILITIES: usize = 8;
const MAX_KERNELS: usize = 16;

/// Every combination of some capabilities, on kernels between some versions.
pub(super) struct Worlds {
    capabilities: Vec<String>,
    /// The first version of each range; the first range begins with the first kernel.
    kernels: Vec<(u32, u32)>,
}

/// One combination: a bit for each capability, and the range of kernels.
pub(super) type Place = (u32, usize);

impl Worlds {
    /// None if there are too many.
    pub(super) fn of(capabilities: BTreeSet<String>, kernels: BTreeSet<(u32, u32)>) -> Option<Worlds> {
        if capabilities.len() > MAX_CAPABILITIES || kernels.len() > MAX_KERNELS {
            return None;
        }
        let mut all = BTreeSet::from([(0, 0)]);
        all.extend(kernels);
        Some(Worlds { capabilities: capabilities.into_iter().collect(), kernels: all.into_iter().collect() })
    }

    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        let kernels = self.kernels.len();
        (0..1_u32 << self.capabilities.len()).flat_map(move |bits| (0..kernels).map(move |kernel| (bits, kernel)))
    }

    pub(super) fn world(&self, (bits, kernel): Place) -> World {
        let has = |at: &usize| bits >> at & 1 == 1;
        let capabilities = (0..self.capabilities.len()).filter(has).map(|at| self.capabilities[at].clone()).collect();
        World { capabilities, kernel: self.kernels[kernel] }
    }

    /// When a combination is one of these, in words; nothing if always.
    pub(super) fn when(&self, places: &BTreeSet<Place>) -> Vec<Text> {
        if places.len() == self.places().count() {
            return Vec::new();
        }
        let mut cases = Vec::new();
        let mut left = places.clone();
        while let Some(&place) = left.first() {
            let case = self.widest(place, places);
            left.retain(|one| !case.holds(*one));
            cases.push(self.in_words(&case).as_str().into());
        }
        cases
    }

    /// As many as can be said at once, this one among them.
    fn widest(&self, place: Place, places: &BTreeSet<Place>) -> Case {
        let is_within = |case: &Case| self.places().filter(|one| case.holds(*one)).all(|one| places.contains(&one));
        let mut case =
            Case { bits: place.0, matters: (1 << self.capabilities.len()) - 1, first: place.1, last: place.1 };
        for at in 0..self.capabilities.len() {
            let wider = Case { matters: case.matters & !(1 << at), ..case };
            if is_within(&wider) {
                case = wider;
            }
        }
        while case.first > 0 && is_within(&Case { first: case.first - 1, ..case }) {
            case.first -= 1;
        }
        while case.last + 1 < self.kernels.len() && is_within(&Case { last: case.last + 1, ..case }) {
            case.last += 1;
        }
        case
    }

    fn in_words(&self, case: &Case) -> String {
        let mut parts = Vec::new();
        for (word, wanted) in [("with", 1), ("without", 0)] {
            let names: Vec<&str> = (0..self.capabilities.len())
                .filter(|at| case.matters >> at & 1 == 1 && case.bits >> at & 1 == wanted)
                .map(|at| self.capabilities[at].as_str())
                .collect();
            if !names.is_empty() {
                parts.push(format!("{word} {}", names.join(if wanted == 1 { " and " } else { " or " })));
            }
        }
        let version = |at: usize| format!("{}.{}", self.kernels[at].0, self.kernels[at].1);
        if case.first > 0 {
            parts.push(format!("from Linux {}", version(case.first)));
        }
        if case.last + 1 < self.kernels.len() {
            parts.push(format!("before Linux {}", version(case.last + 1)));
        }
        parts.join(", ")
    }
}

#[derive(Clone, Copy)]
struct Case {
    bits: u32,
    matters: u32,
    first: usize,
    last: usize,
}

impl Case {
    fn holds(&self, (bits, kernel): Place) -> bool {
        (bits ^ self.bits) & self.matters == 0 && (self.first..=self.last).contains(&kernel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worlds() -> Worlds {
        let names = ["CAP_A", "CAP_B"].map(str::to_owned);
        Worlds::of(names.into(), BTreeSet::from([(4, 8)])).expect("few")
    }

    fn when(is: impl Fn(&World) -> bool) -> Vec<String> {
        let worlds = worlds();
        let places = worlds.places().filter(|&place| is(&worlds.world(place))).collect();
        worlds.when(&places).iter().map(|case| case.shown().into_owned()).collect()
    }

    #[test]
    fn what_makes_no_difference_is_not_said() {
        let has = |world: &World, name: &str| world.capabilities.contains(name);
        assert_eq!(when(|_| true), [""; 0]);
        assert_eq!(when(|world| has(world, "CAP_A")), ["with CAP_A"]);
        assert_eq!(when(|world| !has(world, "CAP_A") && !has(world, "CAP_B")), ["without CAP_A or CAP_B"]);
        assert_eq!(when(|world| has(world, "CAP_A") || has(world, "CAP_B")), ["with CAP_A", "with CAP_B"]);
        assert_eq!(when(|world| world.kernel >= (4, 8)), ["from Linux 4.8"]);
        assert_eq!(when(|world| has(world, "CAP_B") && world.kernel < (4, 8)), ["with CAP_B, before Linux 4.8"]);
    }
}
