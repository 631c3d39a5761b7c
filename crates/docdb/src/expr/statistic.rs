//! Sums, averages, extremes and deviations: one at a time for `$group`, over the arguments for expressions.

use std::cmp::Ordering;

use bson::Bson;

use super::{
    Value,
    number::Width,
    value::{made, nullish},
};
use crate::{
    error::Result,
    order::{self, Number},
};

/// A sum as MongoDB keeps it: exact over integers, compensated over doubles, so that 0.1 + 0.2 + 0.3 is 0.6.
#[derive(Clone, Copy, Debug)]
pub struct Sum {
    width: Width,
    whole: i128,
    high: f64,
    low: f64,
    /// The plain sum of what is not finite.
    special: f64,
}

impl Default for Sum {
    fn default() -> Self {
        Self {
            width: Width::Int32,
            whole: 0,
            // The sum of nothing but -0 is -0.
            high: -0.0,
            low: 0.0,
            special: 0.0,
        }
    }
}

impl Sum {
    /// Adds a number; whatever is none is left out.
    pub fn add(&mut self, value: &Bson) {
        match Number::of(value) {
            None => {}
            Some(Number::Integer(number)) => {
                self.width = self.width.max(Width::of(value));
                self.whole += i128::from(number);
            }
            Some(Number::Double(number)) => {
                self.width = Width::Double;
                self.add_double(number);
            }
        }
    }

    fn add_double(&mut self, number: f64) {
        if !number.is_finite() {
            self.special += number;
            return;
        }
        // Knuth's two-sum: what rounding takes from `high` is kept in `low`.
        let sum = self.high + number;
        let part = sum - self.high;
        let lost = (self.high - (sum - part)) + (number - part);
        self.high = sum;
        self.low += lost;
    }

    /// The sum as a double.
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        if self.special != 0.0 || self.special.is_nan() {
            return self.special;
        }
        if self.whole == 0 {
            // Adding 0 would turn -0 into 0.
            return if self.low == 0.0 {
                self.high
            } else {
                self.high + self.low
            };
        }
        let mut sum = *self;
        // Two doubles hold every sum of integers below 2^106 exactly.
        let high = self.whole as f64;
        sum.add_double(high);
        sum.add_double((self.whole - high as i128) as f64);
        sum.high + sum.low
    }

    /// The sum in the widest type that was added.
    #[must_use]
    pub fn total(&self) -> Bson {
        match self.width {
            Width::Double => {
                let total = self.to_f64();
                Bson::Double(if self.whole == 0 && total == 0.0 && self.low == 0.0 {
                    total + 0.0
                } else {
                    total
                })
            }
            width => super::number::integer_of(self.whole, width),
        }
    }
}

/// An average: of doubles, unlike the sum of integers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Average {
    sum: Sum,
    count: u64,
}

impl Average {
    /// Adds a number; whatever is none is left out.
    pub fn add(&mut self, value: &Bson) {
        if let Some(number) = Number::of(value) {
            self.sum.add_double(number.to_f64());
            self.count += 1;
        }
    }

    /// The average; null of nothing.
    #[must_use]
    pub fn total(&self) -> Bson {
        if self.count == 0 {
            return Bson::Null;
        }
        Bson::Double(self.sum.to_f64() / self.count as f64)
    }
}

/// A running mean and variance (Welford).
#[derive(Clone, Copy, Debug, Default)]
pub struct Deviation {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Deviation {
    /// Adds a number; whatever is none is left out.
    pub fn add(&mut self, value: &Bson) {
        let Some(number) = Number::of(value).map(Number::to_f64) else {
            return;
        };
        self.count += 1;
        let delta = number - self.mean;
        self.mean += delta / self.count as f64;
        self.squares += delta * (number - self.mean);
    }

    /// The standard deviation, of a sample or of the whole population; null where there are too few numbers.
    #[must_use]
    pub fn total(&self, sample: bool) -> Bson {
        let divisor = if sample {
            self.count.saturating_sub(1)
        } else {
            self.count
        };
        if divisor == 0 {
            return Bson::Null;
        }
        if self.squares.is_nan() || self.mean.is_infinite() {
            return if sample || self.count > 1 {
                Bson::Double(f64::NAN)
            } else {
                Bson::Null
            };
        }
        Bson::Double((self.squares / divisor as f64).sqrt())
    }
}

/// What `$sum` and its like look at: the elements of a single argument that is an array, else the arguments.
fn each(values: &[Value<'_>], mut visit: impl FnMut(&Bson)) {
    match values {
        [Some(value)] => match &**value {
            Bson::Array(elements) => elements.iter().for_each(visit),
            value => visit(value),
        },
        _ => values.iter().flatten().for_each(|value| visit(value)),
    }
}

pub(super) fn sum(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let mut sum = Sum::default();
    each(&values, |value| sum.add(value));
    made(sum.total())
}

pub(super) fn avg(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let mut average = Average::default();
    each(&values, |value| average.add(value));
    made(average.total())
}

pub(super) fn min(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    extreme(&values, Ordering::Less)
}

pub(super) fn max(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    extreme(&values, Ordering::Greater)
}

fn extreme<'a>(values: &[Value<'a>], wanted: Ordering) -> Result<Value<'a>> {
    let mut best: Option<Bson> = None;
    each(values, |value| {
        let better = best
            .as_ref()
            .is_none_or(|best| order::compare(value, best) == wanted);
        if better && !matches!(value, Bson::Null | Bson::Undefined) {
            best = Some(value.clone());
        }
    });
    made(best.unwrap_or(Bson::Null))
}

pub(super) fn deviation_population(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    deviation(&values, false)
}

pub(super) fn deviation_sample(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    deviation(&values, true)
}

fn deviation<'a>(values: &[Value<'_>], sample: bool) -> Result<Value<'a>> {
    let mut deviation = Deviation::default();
    each(values, |value| deviation.add(value));
    made(deviation.total(sample))
}

/// The value at the fractions `wanted` of sorted numbers, as `$percentile` with `approximate` gives it: one of them.
pub(crate) fn percentile(sorted: &[f64], fraction: f64) -> Option<f64> {
    let rank = (fraction * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

pub(super) fn median(values: Vec<Option<Value<'_>>>) -> Result<Value<'_>> {
    let sorted = numbers(values.first());
    made(percentile(&sorted, 0.5).map_or(Bson::Null, Bson::Double))
}

pub(super) fn percentiles(values: Vec<Option<Value<'_>>>) -> Result<Value<'_>> {
    let sorted = numbers(values.first());
    let wanted = values.get(1).and_then(Option::as_ref).and_then(Option::as_deref);
    let Some(Bson::Array(wanted)) = wanted else {
        return super::value::fail(
            7_750_300,
            "$percentile's 'p' must be an array of numbers from 0 to 1",
        );
    };
    let found = wanted.iter().map(|fraction| {
        let fraction = Number::of(fraction)
            .map(Number::to_f64)
            .filter(|fraction| (0.0..=1.0).contains(fraction));
        fraction.map_or_else(
            || super::value::fail(7_750_303, "$percentile's 'p' must hold numbers from 0 to 1"),
            |fraction| Ok(percentile(&sorted, fraction).map_or(Bson::Null, Bson::Double)),
        )
    });
    made(found.collect::<Result<Vec<_>>>()?)
}

fn numbers(value: Option<&Option<Value<'_>>>) -> Vec<f64> {
    let value = value.and_then(Option::as_ref).cloned().flatten();
    let mut numbers = Vec::new();
    if !nullish(&value) {
        each(&[value], |value| {
            numbers.extend(Number::of(value).map(Number::to_f64))
        });
    }
    numbers.sort_by(f64::total_cmp);
    numbers
}
