//! Which values of one field a condition can be met by, as intervals of key bytes.

use bson::Bson;

use crate::{
    geo::cells::Cell,
    key,
    order::{Number, Rank, rank},
    query::{Comparison, Test},
    regex::Pattern,
};

/// More pairs of intervals are not compared.
const MOST_PAIRS: usize = 100_000;

/// Intervals of ascending key bytes, in their order and apart from one another: from the first (inclusive) to the second
/// (exclusive), an empty second being the end of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) intervals: Vec<(Vec<u8>, Vec<u8>)>,
    /// Every interval is one value.
    pub(super) points: bool,
    /// Whatever has an entry in the intervals meets the condition.
    pub(super) exact: bool,
}

/// The bytes above everything that begins with `bytes`; empty where there are none.
pub(super) fn successor(mut bytes: Vec<u8>) -> Vec<u8> {
    while let Some(last) = bytes.pop() {
        if last < u8::MAX {
            bytes.push(last + 1);
            break;
        }
    }
    bytes
}

impl Bounds {
    pub(super) const NOTHING: Self = Self {
        intervals: Vec::new(),
        points: true,
        exact: true,
    };

    pub(super) fn everything() -> Self {
        Self {
            intervals: vec![(Vec::new(), Vec::new())],
            points: false,
            exact: false,
        }
    }

    pub(super) fn is_everything(&self) -> bool {
        matches!(self.intervals.as_slice(), [(start, end)] if start.is_empty() && end.is_empty())
    }

    fn point(value: &Bson) -> Self {
        let key = key::of(value);
        Self {
            intervals: vec![(key.clone(), successor(key))],
            points: true,
            exact: true,
        }
    }

    fn between(start: Vec<u8>, end: Vec<u8>) -> Self {
        Self {
            intervals: vec![(start, end)],
            points: false,
            exact: true,
        }
    }

    const fn inexact(mut self) -> Self {
        self.exact = false;
        self
    }

    fn whole(rank: Rank) -> Self {
        Self::between(vec![key::rank_start(rank)], vec![key::rank_end(rank)])
    }

    /// If a document without the field could be meant.
    pub(super) fn holds_null(&self) -> bool {
        let null = key::of(&Bson::Null);
        self.intervals
            .iter()
            .any(|(start, end)| *start <= null && (end.is_empty() || null < *end))
    }

    pub(super) fn union(self, other: Self) -> Self {
        let mut all = self.intervals;
        all.extend(other.intervals);
        all.sort_unstable();
        let mut intervals: Vec<(Vec<u8>, Vec<u8>)> = Vec::with_capacity(all.len());
        for (start, end) in all {
            match intervals.last_mut() {
                Some(last) if last.1.is_empty() || start < last.1 => {
                    if !last.1.is_empty() && (end.is_empty() || end > last.1) {
                        last.1 = end;
                    }
                }
                _ => intervals.push((start, end)),
            }
        }
        Self {
            intervals,
            points: self.points && other.points,
            exact: self.exact && other.exact,
        }
    }

    pub(super) fn intersection(&self, other: &Self) -> Self {
        // Of two long lists one is enough: each holds what both hold.
        if self.intervals.len().saturating_mul(other.intervals.len()) > MOST_PAIRS {
            let shorter = if self.intervals.len() <= other.intervals.len() {
                self
            } else {
                other
            };
            return shorter.clone().inexact();
        }
        let mut intervals = Vec::new();
        for left in &self.intervals {
            for right in &other.intervals {
                let start = left.0.clone().max(right.0.clone());
                let end = match (left.1.is_empty(), right.1.is_empty()) {
                    (true, _) => right.1.clone(),
                    (_, true) => left.1.clone(),
                    _ => left.1.clone().min(right.1.clone()),
                };
                if end.is_empty() || start < end {
                    intervals.push((start, end));
                }
            }
        }
        Self {
            intervals,
            points: self.points || other.points,
            exact: self.exact && other.exact,
        }
    }

    pub(super) fn of(test: &Test) -> Self {
        match test {
            Test::Compare(comparison, value) => Self::of_comparison(*comparison, value),
            Test::In(values, patterns) => {
                let mut bounds = Self::NOTHING;
                for value in values {
                    bounds.extend(Self::equal(value));
                }
                for pattern in patterns {
                    bounds.extend(Self::of_pattern(pattern));
                }
                bounds.union(Self::NOTHING)
            }
            Test::Regex(pattern) => Self::of_pattern(pattern),
            Test::Never => Self::NOTHING,
            _ => Self::everything(),
        }
    }

    /// What has one of the cells, lies in one, or holds one.
    pub(super) fn of_cells(cells: &[Cell]) -> Self {
        let mut bounds = Self {
            points: false,
            exact: false,
            ..Self::NOTHING
        };
        for cell in cells {
            let prefix = cell.prefix().to_vec();
            bounds.intervals.push((prefix.clone(), successor(prefix)));
            for above in cell.above() {
                let key = above.key();
                bounds.intervals.push((key.clone(), successor(key)));
            }
        }
        bounds.union(Self {
            points: false,
            ..Self::NOTHING
        })
    }

    /// Adds intervals without bringing them in order.
    fn extend(&mut self, other: Self) {
        self.intervals.extend(other.intervals);
        self.points &= other.points;
        self.exact &= other.exact;
    }

    /// A field that is not there.
    pub(super) fn missing() -> Self {
        Self::point(&Bson::Null).inexact()
    }

    fn equal(value: &Bson) -> Self {
        match value {
            // A missing field has an entry for null; an empty array on the way too, and it does not equal null.
            Bson::Null | Bson::Undefined => Self::point(&Bson::Undefined)
                .union(Self::point(&Bson::Null))
                .inexact(),
            // The whole array has no entry of its own, but its first element has one.
            Bson::Array(elements) => {
                let first = elements.first().unwrap_or(&Bson::Undefined);
                Self::point(value).union(Self::point(first)).inexact()
            }
            _ => Self::point(value),
        }
    }

    fn of_comparison(comparison: Comparison, value: &Bson) -> Self {
        if comparison == Comparison::Equal {
            return Self::equal(value);
        }
        let or_equal = matches!(comparison, Comparison::LessOrEqual | Comparison::GreaterOrEqual);
        let rank = rank(value);
        match rank {
            Rank::Null | Rank::Undefined if or_equal => return Self::equal(value),
            Rank::Null | Rank::Undefined => return Self::NOTHING,
            Rank::MinKey | Rank::MaxKey | Rank::Array => return Self::everything(),
            Rank::Number if Number::of(value).is_some_and(|number| number.to_f64().is_nan()) => {
                return if or_equal {
                    Self::point(value)
                } else {
                    Self::NOTHING
                };
            }
            _ => {}
        }
        let key = key::of(value);
        // NaN is the smallest number, but not less than any.
        let start = if rank == Rank::Number {
            key::of(&Bson::Double(f64::NEG_INFINITY))
        } else {
            vec![key::rank_start(rank)]
        };
        let end = vec![key::rank_end(rank)];
        match comparison {
            Comparison::Less => Self::between(start, key),
            Comparison::LessOrEqual => Self::between(start, successor(key)),
            Comparison::Greater => Self::between(successor(key), end),
            Comparison::GreaterOrEqual => Self::between(key, end),
            Comparison::Equal => Self::point(value),
        }
    }

    fn of_pattern(pattern: &Pattern) -> Self {
        let text = match pattern.prefix() {
            Some(prefix) => {
                let start = key::string_prefix(&prefix);
                Self::between(start.clone(), successor(start))
            }
            None => Self::whole(Rank::String),
        };
        // A stored pattern equals itself.
        text.union(Self::whole(Rank::Regex)).inexact()
    }

    /// The intervals as they stand in an index of the other direction.
    pub(super) fn inverted(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let invert = |bytes: &[u8]| bytes.iter().map(|byte| !byte).collect::<Vec<u8>>();
        self.intervals
            .iter()
            .rev()
            .map(|(start, end)| {
                let from = if end.is_empty() {
                    Vec::new()
                } else {
                    successor(invert(end))
                };
                let to = if start.is_empty() {
                    Vec::new()
                } else {
                    successor(invert(start))
                };
                (from, to)
            })
            .collect()
    }
}
