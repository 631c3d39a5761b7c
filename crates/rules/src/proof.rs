//! The proof that what a query finds lies within what a rule lets through: nothing may meet the query and the negation of the rule.
//!
//! Both are conditions on fields. A field of a document has values: one, or, where it is a list, each element and the list itself.
//! A condition that holds has a value that meets it; of one that does not hold, no value meets it. So there is no
//! such document where all that the one lets through is ruled out by the others. That is exact, and lists make it
//! weak: `{status: 'open'}` finds `['open', 'deleted']`, which `doc.status != 'deleted'` does not let through. Where the proof
//! needs a field to have one value, the query is let through with that as a further condition, which lists do not meet.

use crate::{
    formula::{Atom, Formula},
    set::ValueSet,
};

/// Conditions and values, and pieces of large ones, that are looked at before the proof of a request is given up: some tens of milliseconds.
/// A query comes from a client, and the cases of its `or`s multiply.
pub(crate) const MOST_LOOKED_AT: usize = 1_000_000;
/// The same while others wait, and for whom anybody may be, as often as they like: a millisecond or so.
pub(crate) const MOST_AT_ONCE: usize = 50_000;

/// What came of a proof.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Nothing meets all of them, provided that these fields are no lists.
    Done(Vec<String>),
    /// Something may.
    Failed,
    /// There are too many cases.
    TooMany,
}

/// Proves that no document meets both, with so much that is `left` to be looked at.
pub(crate) fn excludes(facts: &Formula, negated: &Formula, left: &mut usize) -> Proof {
    // Lists are allowed for first: a field that need not be of one value is not held to it.
    for one_value in [false, true] {
        let mut search = Search {
            left,
            one_value,
            scalars: Vec::new(),
        };
        if search.refutes(vec![negated, facts], Vec::new(), Vec::new()) {
            return Proof::Done(search.scalars);
        }
        if *left == 0 {
            return Proof::TooMany;
        }
    }
    Proof::Failed
}

struct Search<'l> {
    /// At zero it is given up.
    left: &'l mut usize,
    /// Whether fields are taken to have one value each.
    one_value: bool,
    scalars: Vec<String>,
}

impl Search<'_> {
    /// Whether so much may still be looked at.
    fn looks_at(&mut self, many: usize) -> bool {
        *self.left = self.left.saturating_sub(many);
        *self.left > 0
    }

    /// Whether nothing meets `atoms`, all that is pending, and one case of each choice.
    fn refutes<'f>(
        &mut self,
        mut pending: Vec<&'f Formula>,
        mut choices: Vec<&'f [Formula]>,
        mut atoms: Vec<&'f Atom>,
    ) -> bool {
        if !self.looks_at(1 + atoms.len() + choices.len()) {
            return false;
        }
        while let Some(formula) = pending.pop() {
            match formula {
                Formula::True | Formula::Unknown => {}
                Formula::False => return true,
                Formula::All(parts) => pending.extend(parts),
                Formula::Any(parts) => choices.push(parts),
                Formula::Atom(atom) => {
                    atoms.push(atom);
                    if *self.left == 0 {
                        return false;
                    }
                    if self.conflicts(&atoms, &atom.path) {
                        return true;
                    }
                }
            }
        }
        // The one with the fewest cases first.
        let fewest = choices.iter().enumerate().min_by_key(|(_, cases)| cases.len());
        let Some(at) = fewest.map(|(at, _)| at) else {
            return false;
        };
        let cases = choices.swap_remove(at);
        cases
            .iter()
            .all(|case| self.refutes(vec![case], choices.clone(), atoms.clone()))
    }

    /// Whether no values of this field meet all that is asked of them.
    fn conflicts(&mut self, atoms: &[&Atom], path: &str) -> bool {
        let of_path = || atoms.iter().filter(|atom| atom.path == path);
        let cost: usize = of_path().map(|atom| atom.condition.cost()).sum();
        if !self.looks_at(atoms.len() + cost) {
            return false;
        }
        let others = of_path().filter(|atom| !atom.holds);
        let ruled_out = ValueSet::of_any(others.map(|atom| &atom.condition));
        let mut common = self.one_value.then(ValueSet::all);
        for atom in of_path().filter(|atom| atom.holds) {
            let wanted = ValueSet::of(&atom.condition);
            if wanted.is_within(&ruled_out) {
                return true;
            }
            common = common.map(|common| common.intersection(&wanted));
        }
        let conflict = common.is_some_and(|common| common.is_within(&ruled_out));
        if conflict && !self.scalars.iter().any(|known| known == path) {
            self.scalars.push(path.to_owned());
        }
        conflict
    }
}
