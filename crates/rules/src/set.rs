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

impl<'a> Span<'a> {
    fn one(value: &'a Bson) -> Self {
        Self {
            from: Cut::Before(Cow::Borrowed(value)),
            to: Cut::After(Cow::Borrowed(value)),
        }
    }

    /// The values of one type from or up to a value.
    fn ordered(comparison: Ordered, value: Cow<'a, Bson>) -> Option<Self> {
        let rank = rank(&value);
        // NaN is the least number in the order, and neither less nor greater than any to a query.
        if is_nan(&value) {
            return match comparison {
                Ordered::GreaterOrEqual | Ordered::LessOrEqual => Some(Self {
                    from: Cut::Before(value.clone()),
                    to: Cut::After(value),
                }),
                Ordered::Greater | Ordered::Less => None,
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
        from.order(&to).is_lt().then_some(Self { from, to })
    }
}

/// A set of values: spans in their order, none of which touch.
#[derive(Clone, Debug)]
pub(crate) struct ValueSet<'a>(Vec<Span<'a>>);

impl<'a> ValueSet<'a> {
    /// Every value.
    pub(crate) fn all() -> Self {
        Self(vec![Span {
            from: Cut::BeforeRank(Rank::MinKey),
            to: Cut::AfterRank(Rank::MaxKey),
        }])
    }

    /// What a condition lets through. A field that is not there is null.
    pub(crate) fn of(condition: &'a Condition) -> Self {
        Self::of_any(std::iter::once(condition))
    }

    /// What any of the conditions lets through.
    pub(crate) fn of_any(conditions: impl Iterator<Item = &'a Condition>) -> Self {
        let mut spans = Vec::new();
        for condition in conditions {
            match condition {
                Condition::Equal(value) => spans.push(Span::one(value)),
                Condition::In(values) => spans.extend(values.iter().map(Span::one)),
                Condition::Order {
                    ordered,
                    value,
                    dates,
                } => {
                    spans.extend(Span::ordered(*ordered, Cow::Borrowed(value)));
                    let date = date_of(value).filter(|_| *dates);
                    spans.extend(date.and_then(|date| Span::ordered(*ordered, Cow::Owned(date))));
                }
            }
        }
        Self::joined(spans)
    }

    /// The values that are in any of the spans.
    fn joined(mut all: Vec<Span<'a>>) -> Self {
        all.sort_by(|left, right| left.from.order(&right.from));
        let mut spans: Vec<Span<'a>> = Vec::with_capacity(all.len());
        for span in all {
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
        let (mut lefts, mut rights) = (self.0.iter().peekable(), other.0.iter().peekable());
        while let (Some(left), Some(right)) = (lefts.peek(), rights.peek()) {
            let from = match left.from.order(&right.from) {
                Ordering::Less => &right.from,
                _ => &left.from,
            };
            let ends = left.to.order(&right.to);
            let to = match ends {
                Ordering::Greater => &right.to,
                _ => &left.to,
            };
            if from.order(to).is_lt() {
                spans.push(Span {
                    from: from.clone(),
                    to: to.clone(),
                });
            }
            match ends {
                Ordering::Greater => rights.next(),
                _ => lefts.next(),
            };
        }
        Self(spans)
    }

    /// Whether all its values are in the other.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        self.0.iter().all(|span| other.covers(&span.from, &span.to))
    }

    /// Whether one of its spans has all between the two.
    fn covers(&self, from: &Cut<'_>, to: &Cut<'_>) -> bool {
        let behind = self.0.partition_point(|span| span.from.order(from).is_le());
        let around = behind.checked_sub(1).and_then(|at| self.0.get(at));
        around.is_some_and(|span| span.to.order(to).is_ge())
    }

    /// Whether the value is in it.
    pub(crate) fn contains(&self, value: &Bson) -> bool {
        self.covers(
            &Cut::Before(Cow::Borrowed(value)),
            &Cut::After(Cow::Borrowed(value)),
        )
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
