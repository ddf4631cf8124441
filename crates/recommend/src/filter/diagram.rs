//! Decisions as functions of a call's arguments, in the one form that each has: decision diagrams over the arguments' bits.
//!
//! Two functions are the same if and only if they are the same node (R. E. Bryant, *IEEE Transactions on Computers* C-35, 1986).

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Condition, Decision, Operator};

/// No function needs more nodes than this; one that does is not compared.
const MAX_NODES: usize = 100_000;
const BITS: u16 = 64;

/// A function of the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Function(u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Node {
    /// Of a condition.
    Truth(bool),
    /// Of a rule.
    Leaf(Decision),
    /// By a bit, the most significant of the first argument being 0.
    Branch { bit: u16, zero: Function, one: Function },
}

/// More conditions than can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

/// Functions that share their parts.
#[derive(Debug, Default)]
pub(crate) struct Diagram {
    nodes: Vec<Node>,
    known: HashMap<Node, Function>,
    chosen: HashMap<(Function, Function, Function), Function>,
}

/// Where two functions differ: what each decides, and arguments for which they do.
pub(crate) type Difference = BTreeMap<(Decision, Decision), [u64; 6]>;

impl Diagram {
    /// The same decision for all arguments.
    pub(crate) fn always(&mut self, decision: Decision) -> Result<Function, TooMany> {
        self.node(Node::Leaf(decision))
    }

    /// One decision where all conditions hold, and a function elsewhere.
    pub(crate) fn rule(
        &mut self,
        conditions: &[Condition],
        is_short: bool,
        decision: Decision,
        elsewhere: Function,
    ) -> Result<Function, TooMany> {
        let all = self.all(conditions.iter(), is_short)?;
        let decided = self.always(decision)?;
        self.choose(all, decided, elsewhere)
    }

    /// A function where all conditions hold, and one decision elsewhere.
    pub(crate) fn within(
        &mut self,
        conditions: &[Condition],
        is_short: bool,
        function: Function,
        elsewhere: Decision,
    ) -> Result<Function, TooMany> {
        let all = self.all(conditions.iter(), is_short)?;
        let elsewhere = self.always(elsewhere)?;
        self.choose(all, function, elsewhere)
    }

    /// Whether some arguments fulfil the conditions of both.
    pub(crate) fn overlap(&mut self, one: &[Condition], other: &[Condition], is_short: bool) -> Result<bool, TooMany> {
        let no = self.node(Node::Truth(false))?;
        Ok(self.all(one.iter().chain(other), is_short)? != no)
    }

    /// Where all conditions hold.
    fn all<'c>(
        &mut self,
        conditions: impl Iterator<Item = &'c Condition>,
        is_short: bool,
    ) -> Result<Function, TooMany> {
        let no = self.node(Node::Truth(false))?;
        let mut all = self.node(Node::Truth(true))?;
        for condition in conditions {
            let holds = self.condition(condition, is_short)?;
            all = self.choose(holds, all, no)?;
        }
        Ok(all)
    }

    fn condition(&mut self, condition: &Condition, is_short: bool) -> Result<Function, TooMany> {
        let bits = if is_short { BITS / 2 } else { BITS };
        let (yes, no) = (self.node(Node::Truth(true))?, self.node(Node::Truth(false))?);
        let Condition { index, operator, value, value_two } = *condition;
        // What is decided where all bits are those of the value, where the argument is less, and where it is greater.
        let (equal, less, greater) = match operator {
            Operator::Equal | Operator::MaskedEqual => (yes, no, no),
            Operator::NotEqual => (no, yes, yes),
            Operator::Less => (no, yes, no),
            Operator::LessOrEqual => (yes, yes, no),
            Operator::GreaterOrEqual => (yes, no, yes),
            Operator::Greater => (no, no, yes),
        };
        let (mask, value) = match operator {
            Operator::MaskedEqual => (value, value_two),
            _ => (u64::MAX, value),
        };
        let mut function = equal;
        for place in (0..bits).filter(|place| mask >> place & 1 == 1) {
            let bit = u16::from(index) * BITS + (BITS - 1 - place);
            function = if value >> place & 1 == 1 {
                self.branch(bit, less, function)?
            } else {
                self.branch(bit, function, greater)?
            };
        }
        Ok(function)
    }

    /// One function where another holds, a third where it does not.
    fn choose(&mut self, holds: Function, yes: Function, no: Function) -> Result<Function, TooMany> {
        match self.nodes[holds.0 as usize] {
            Node::Truth(true) => return Ok(yes),
            Node::Truth(false) => return Ok(no),
            _ if yes == no => return Ok(yes),
            _ => {}
        }
        if let Some(&known) = self.chosen.get(&(holds, yes, no)) {
            return Ok(known);
        }
        let bit = [holds, yes, no].into_iter().filter_map(|function| self.bit(function)).min().unwrap_or(0);
        let [zeros, ones] = [false, true].map(|side| [holds, yes, no].map(|function| self.side(function, bit, side)));
        let zero = self.choose(zeros[0], zeros[1], zeros[2])?;
        let one = self.choose(ones[0], ones[1], ones[2])?;
        let chosen = self.branch(bit, zero, one)?;
        self.chosen.insert((holds, yes, no), chosen);
        Ok(chosen)
    }

    /// Where two functions of decisions differ.
    pub(crate) fn difference(&self, before: Function, after: Function) -> Difference {
        let (mut found, mut seen) = (Difference::new(), HashSet::new());
        self.search(before, after, [0; 6], &mut found, &mut seen);
        found
    }

    fn search(
        &self,
        before: Function,
        after: Function,
        arguments: [u64; 6],
        found: &mut Difference,
        seen: &mut HashSet<(Function, Function)>,
    ) {
        if before == after || !seen.insert((before, after)) {
            return;
        }
        if let (Node::Leaf(was), Node::Leaf(is)) = (self.nodes[before.0 as usize], self.nodes[after.0 as usize]) {
            found.entry((was, is)).or_insert(arguments);
            return;
        }
        let Some(bit) = [before, after].into_iter().filter_map(|function| self.bit(function)).min() else { return };
        for side in [false, true] {
            let mut arguments = arguments;
            if side {
                arguments[usize::from(bit / BITS)] |= 1 << (BITS - 1 - bit % BITS);
            }
            self.search(self.side(before, bit, side), self.side(after, bit, side), arguments, found, seen);
        }
    }

    /// The one decision, if it is the same for all arguments.
    pub(crate) fn constant(&self, function: Function) -> Option<Decision> {
        match self.nodes[function.0 as usize] {
            Node::Leaf(decision) => Some(decision),
            Node::Truth(_) | Node::Branch { .. } => None,
        }
    }

    /// What is decided for some arguments.
    pub(crate) fn of(&self, mut function: Function, arguments: [u64; 6]) -> Option<Decision> {
        loop {
            match self.nodes[function.0 as usize] {
                Node::Leaf(decision) => return Some(decision),
                Node::Truth(_) => return None,
                Node::Branch { bit, .. } => {
                    let is_one = arguments[usize::from(bit / BITS)] >> (BITS - 1 - bit % BITS) & 1 == 1;
                    function = self.side(function, bit, is_one);
                }
            }
        }
    }

    fn bit(&self, function: Function) -> Option<u16> {
        match self.nodes[function.0 as usize] {
            Node::Branch { bit, .. } => Some(bit),
            Node::Truth(_) | Node::Leaf(_) => None,
        }
    }

    fn side(&self, function: Function, at: u16, side: bool) -> Function {
        match self.nodes[function.0 as usize] {
            Node::Branch { bit, zero, one } if bit == at => {
                if side {
                    one
                } else {
                    zero
                }
            }
            _ => function,
        }
    }

    fn branch(&mut self, bit: u16, zero: Function, one: Function) -> Result<Function, TooMany> {
        if zero == one { Ok(zero) } else { self.node(Node::Branch { bit, zero, one }) }
    }

    fn node(&mut self, node: Node) -> Result<Function, TooMany> {
        if let Some(&known) = self.known.get(&node) {
            return Ok(known);
        }
        if self.nodes.len() >= MAX_NODES {
            return Err(TooMany);
        }
        let function = Function(u32::try_from(self.nodes.len()).map_err(|_| TooMany)?);
        self.nodes.push(node);
        self.known.insert(node, function);
        Ok(function)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holds(condition: &Condition, arguments: &[u64; 6]) -> bool {
        let argument = arguments[usize::from(condition.index)];
        match condition.operator {
            Operator::NotEqual => argument != condition.value,
            Operator::Less => argument < condition.value,
            Operator::LessOrEqual => argument <= condition.value,
            Operator::Equal => argument == condition.value,
            Operator::GreaterOrEqual => argument >= condition.value,
            Operator::Greater => argument > condition.value,
            Operator::MaskedEqual => argument & condition.value == condition.value_two & condition.value,
        }
    }

    fn condition() -> impl Strategy<Value = Condition> {
        let operators = [
            Operator::NotEqual,
            Operator::Less,
            Operator::LessOrEqual,
            Operator::Equal,
            Operator::GreaterOrEqual,
            Operator::Greater,
            Operator::MaskedEqual,
        ];
        (0_u8..3, prop::sample::select(operators.to_vec()), 0_u64..8, 0_u64..8).prop_map(
            |(index, operator, value, value_two)| {
                let high = if value % 2 == 1 { 1 << 40 } else { 0 };
                Condition { index, operator, value: value | high, value_two: value_two | high }
            },
        )
    }

    proptest! {
        #[test]
        fn a_function_is_what_its_rules_are_one_after_another(
            rules in prop::collection::vec(prop::collection::vec(condition(), 1..3), 1..4),
            low in prop::array::uniform6(0_u64..9),
            high in any::<bool>(),
        ) {
            let arguments = low.map(|low| if high { low | 1 << 40 } else { low });
            let mut diagram = Diagram::default();
            let mut function = diagram.always(Decision::Errno(1)).expect("small");
            let mut expected = Decision::Errno(1);
            for (at, conditions) in rules.iter().enumerate() {
                let decision = if at % 2 == 0 { Decision::Allow } else { Decision::Trap };
                function = diagram.rule(conditions, false, decision, function).expect("small");
                if conditions.iter().all(|condition| holds(condition, &arguments)) {
                    expected = decision;
                }
            }
            prop_assert_eq!(diagram.of(function, arguments), Some(expected));
        }

        /// The example that is given for a difference is one, and without an example there is none.
        #[test]
        fn a_difference_comes_with_arguments_for_which_it_is_true(
            one in prop::collection::vec(condition(), 1..3),
            other in prop::collection::vec(condition(), 1..3),
        ) {
            let mut diagram = Diagram::default();
            let no = diagram.always(Decision::Errno(1)).expect("small");
            let before = diagram.rule(&one, false, Decision::Allow, no).expect("small");
            let after = diagram.rule(&other, false, Decision::Allow, no).expect("small");
            let difference = diagram.difference(before, after);
            prop_assert_eq!(difference.is_empty(), before == after);
            for ((was, is), arguments) in difference {
                prop_assert_eq!((diagram.of(before, arguments), diagram.of(after, arguments)), (Some(was), Some(is)));
            }
        }
    }

    #[test]
    fn the_same_in_other_words_is_the_same_node() {
        let mut diagram = Diagram::default();
        let no = diagram.always(Decision::Errno(1)).expect("small");
        let arg = |operator, value| Condition { index: 0, operator, value, value_two: 0 };
        let one = diagram.rule(&[arg(Operator::Less, 2)], false, Decision::Allow, no).expect("small");
        let zero = diagram.rule(&[arg(Operator::Equal, 0)], false, Decision::Allow, no).expect("small");
        let both = diagram.rule(&[arg(Operator::Equal, 1)], false, Decision::Allow, zero).expect("small");
        let mask = Condition { index: 0, operator: Operator::MaskedEqual, value: !1, value_two: 0 };
        let masked = diagram.rule(&[mask], false, Decision::Allow, no).expect("small");
        assert_eq!(one, both);
        assert_eq!(one, masked);
    }
}
