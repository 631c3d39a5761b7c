//! Sets of values: what one condition lets through, as ranges in the total order of values.

use std::{borrow::Cow, cmp::Ordering};

use bson::{Bson, DateTime};
use docdb::order::{Number, Rank, compare, rank};

use crate::formula::Condition;

/// A place between two values of the total order.
#[derive(Clone, Debug)]
enum Cut<'a> {
    BeforeRank(Rank),
    Before(Cow<'a, Bson>),
    After(Cow<'a, Bson>),
    AfterRank(Rank),
}

impl Cut<'_> {
    fn rank(&self) -> Rank {
        match self {
            Self::BeforeRank(rank) | Self::AfterRank(rank) => *rank,
            Self::Before(value) | Self::After(value) => rank(value),
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        let within = |cut: &Self| match cut {
            Self::BeforeRank(_) => 0,
            Self::Before(_) | Self::After(_) => 1,
            Self::AfterRank(_) => 2,
        };
        let after = |cut: &Self| matches!(cut, Self::After(_));
        let by_rank = self.rank().cmp(&other.rank());
        by_rank
            .then_with(|| within(self).cmp(&within(other)))
            .then_with(|| match (self, other) {
                (Self::Before(left) | Self::After(left), Self::Before(right) | Self::After(right)) => {
                    compare(left, right).then_with(|| after(self).cmp(&after(other)))
                }
                _ => Ordering::Equal,
            })
    }
}

/// From the one cut to the other.
#[derive(Clone, Debug)]
struct Span<'a> {
    from: Cut<'a>,
    to: Cut<'a>,
}

/// A set of values: spans in their order, none of which touch.
#[derive(Clone, Debug)]
pub(crate) struct ValueSet<'a>(Vec<Span<'a>>);

impl<'a> ValueSet<'a> {
    pub(crate) const fn empty() -> Self {
        Self(Vec::new())
    }

    /// Every value.
    pub(crate) fn all() -> Self {
        Self(vec![Span {
            from: Cut::BeforeRank(Rank::MinKey),
            to: Cut::AfterRank(Rank::MaxKey),
        }])
    }

    /// What a condition lets through. A field that is not there is null.
    pub(crate) fn of(condition: &'a Condition) -> Self {
        match condition {
            Condition::Equal(value) => Self::one(value),
            Condition::In(values) => values
                .iter()
                .fold(Self::empty(), |set, value| set.union(Self::one(value))),
            Condition::Order {
                ordered,
                value,
                dates,
            } => {
                let set = Self::ordered(*ordered, Cow::Borrowed(value));
                match date_of(value).filter(|_| *dates) {
                    Some(date) => set.union(Self::ordered(*ordered, Cow::Owned(date))),
                    None => set,
                }
            }
        }
    }

    fn one(value: &'a Bson) -> Self {
        Self(vec![Span {
            from: Cut::Before(Cow::Borrowed(value)),
            to: Cut::After(Cow::Borrowed(value)),
        }])
    }

    /// The values of one type from or up to a value.
    fn ordered(comparison: Ordered, value: Cow<'a, Bson>) -> Self {
        let rank = rank(&value);
        // NaN is the least number in the order, and neither less nor greater than any to a query.
        if is_nan(&value) {
            return match comparison {
                Ordered::GreaterOrEqual | Ordered::LessOrEqual => Self(vec![Span {
                    from: Cut::Before(value.clone()),
                    to: Cut::After(value),
                }]),
                Ordered::Greater | Ordered::Less => Self::empty(),
            };
        }
        let least = match rank {
            Rank::Number => Cut::After(Cow::Owned(Bson::Double(f64::NAN))),
            rank => Cut::BeforeRank(rank),
        };
        let (from, to) = match comparison {
            Ordered::Greater => (Cut::After(value), Cut::AfterRank(rank)),
            Ordered::GreaterOrEqual => (Cut::Before(value), Cut::AfterRank(rank)),
            Ordered::Less => (least, Cut::Before(value)),
            Ordered::LessOrEqual => (least, Cut::After(value)),
        };
        match from.order(&to) {
            Ordering::Less => Self(vec![Span { from, to }]),
            _ => Self::empty(),
        }
    }

    /// The values that are in either.
    pub(crate) fn union(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self.0.sort_by(|left, right| left.from.order(&right.from));
        let mut spans: Vec<Span<'a>> = Vec::with_capacity(self.0.len());
        for span in self.0 {
            match spans.last_mut() {
                Some(last) if span.from.order(&last.to).is_le() => {
                    if span.to.order(&last.to).is_gt() {
                        last.to = span.to;
                    }
                }
                _ => spans.push(span),
            }
        }
        Self(spans)
    }

    /// The values that are in both.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let mut spans = Vec::new();
        for left in &self.0 {
            for right in &other.0 {
                let from = match left.from.order(&right.from) {
                    Ordering::Less => &right.from,
                    _ => &left.from,
                };
                let to = match left.to.order(&right.to) {
                    Ordering::Greater => &right.to,
                    _ => &left.to,
                };
                if from.order(to).is_lt() {
                    spans.push(Span {
                        from: from.clone(),
                        to: to.clone(),
                    });
                }
            }
        }
        Self(spans)
    }

    /// Whether all its values are in the other.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        self.0.iter().all(|span| {
            other
                .0
                .iter()
                .any(|around| around.from.order(&span.from).is_le() && around.to.order(&span.to).is_ge())
        })
    }

    /// Whether the value is in it.
    pub(crate) fn contains(&self, value: &Bson) -> bool {
        let (before, after) = (
            Cut::Before(Cow::Borrowed(value)),
            Cut::After(Cow::Borrowed(value)),
        );
        self.0
            .iter()
            .any(|span| span.from.order(&before).is_le() && span.to.order(&after).is_ge())
    }
}

/// A comparison by order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ordered {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// The date of so many milliseconds.
pub(crate) fn date_of(value: &Bson) -> Option<Bson> {
    let milliseconds = Number::of(value)?.to_i64_exact()?;
    Some(Bson::DateTime(DateTime::from_millis(milliseconds)))
}

fn is_nan(value: &Bson) -> bool {
    matches!(Number::of(value), Some(Number::Double(number)) if number.is_nan())
}
