//! Accumulators that keep several values: the first, the last, the least and the greatest of them.

use std::{
    borrow::Cow,
    cmp::Ordering,
    collections::{BinaryHeap, VecDeque},
};

use bson::{Bson, Document};

use super::{Accumulator, Operator};
use crate::{
    Context, Error,
    error::Result,
    expr::{Expression, Value, Variables, value_size},
    key::{self, Direction},
    order::Number,
    sort::Sort,
};

/// Which values of a ranking are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The first ones.
    Least,
    /// The last ones.
    Greatest,
}

/// Parses `$firstN`, `$lastN`, `$minN`, `$maxN`, `$top`, `$topN`, `$bottom` and `$bottomN`.
pub(super) fn parse(name: &str, argument: &Bson, variables: &[String]) -> Result<Accumulator> {
    let Bson::Document(arguments) = argument else {
        return Err(Error::new(
            5_787_900,
            format!("specification must be an object; found {name}: {argument}"),
        ));
    };
    let by_key = name.starts_with("$top") || name.starts_with("$bottom");
    let counted = name.ends_with('N');
    let input_name = if by_key { "output" } else { "input" };
    for field in arguments.keys() {
        let known = field == input_name || field == "n" && counted || field == "sortBy" && by_key;
        if !known {
            return Err(Error::new(
                if by_key { 5_788_002 } else { 5_787_901 },
                format!("Unknown argument for {name} operator: {field}"),
            ));
        }
    }
    let require = |field: &str, code: i32| {
        arguments
            .get(field)
            .ok_or_else(|| Error::new(code, format!("{name} requires a '{field}' argument")))
    };
    let count = if counted {
        let count = require("n", if by_key { 5_788_003 } else { 5_787_906 })?;
        let count = Expression::parse_with(count, variables)?;
        if let Some(constant) = count.constant() {
            positive(constant)?;
        }
        Some(count)
    } else {
        None
    };
    let input = require(input_name, if by_key { 5_788_004 } else { 5_787_907 })?;
    let keys = if by_key {
        match require("sortBy", 5_788_005)? {
            Bson::Document(keys) => Some(Sort::parse(keys)?),
            other => {
                return Err(Error::new(
                    10065,
                    format!("{name}: expected an object (sortBy), found {other}"),
                ));
            }
        }
    } else {
        None
    };
    let operator = match (name, count) {
        ("$firstN", Some(count)) => Operator::Several { count, last: false },
        ("$lastN", Some(count)) => Operator::Several { count, last: true },
        (_, count) => Operator::Ranked {
            count,
            side: if name == "$maxN" || name.starts_with("$bottom") {
                Side::Greatest
            } else {
                Side::Least
            },
            keys,
        },
    };
    Ok(Accumulator {
        operator,
        input: Expression::parse_with(input, variables)?,
    })
}

fn positive(value: &Bson) -> Result<usize> {
    Number::of(value)
        .and_then(Number::to_i64_exact)
        .filter(|count| *count > 0)
        .and_then(|count| usize::try_from(count).ok())
        .ok_or_else(|| {
            Error::new(
                7_548_606,
                format!("'n' must be a positive integer, found {value}"),
            )
        })
}

/// The `n` of a group, from its `_id`.
pub(super) fn count(
    expression: &Expression,
    group: &Bson,
    variables: &Variables,
    context: &Context,
) -> Result<usize> {
    let none = Document::new();
    let document = match group {
        Bson::Document(document) => document,
        _ => &none,
    };
    let value = expression.evaluate(document, variables, context)?;
    positive(value.as_deref().unwrap_or(&Bson::Null))
}

/// Keeps the first or the last `count` values.
pub(super) fn keep_end(kept: &mut VecDeque<Bson>, count: usize, last: bool, value: Bson) -> usize {
    if kept.len() < count {
        let bytes = value_size(&value);
        kept.push_back(value);
        return bytes;
    }
    if last {
        kept.pop_front();
        let bytes = super::behind(&value);
        kept.push_back(value);
        return bytes;
    }
    0
}

/// The least or the greatest values by a key; of equal ones, those that came first.
#[derive(Clone, Debug)]
pub struct Ranked {
    count: usize,
    side: Side,
    next: u64,
    /// The worst of the kept is on top.
    heap: BinaryHeap<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// Key bytes, inverted where the greatest are wanted, and the place among the input.
    key: (Vec<u8>, u64),
    value: Bson,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

impl Ranked {
    pub(super) const fn new(count: usize, side: Side) -> Self {
        Self {
            count,
            side,
            next: 0,
            heap: BinaryHeap::new(),
        }
    }

    /// Looks at a value; gives the bytes by which it grew.
    pub(super) fn add(
        &mut self,
        keys: Option<&Sort>,
        document: &Document,
        value: Value<'_>,
        context: &Context,
    ) -> Result<usize> {
        let mut bytes = Vec::new();
        match keys {
            Some(keys) => {
                bytes = keys.key(document, context)?;
                if self.side == Side::Greatest {
                    bytes.iter_mut().for_each(|byte| *byte = !*byte);
                }
            }
            None => {
                // `$minN` and `$maxN` leave out what `$min` and `$max` do.
                let Some(value) = value
                    .as_deref()
                    .filter(|value| !matches!(value, Bson::Null | Bson::Undefined))
                else {
                    return Ok(0);
                };
                let direction = match self.side {
                    Side::Least => Direction::Ascending,
                    Side::Greatest => Direction::Descending,
                };
                key::push(&mut bytes, value, direction);
            }
        }
        self.next += 1;
        // Of equal keys `$bottom` wants the last.
        let place = if self.side == Side::Greatest && keys.is_some() {
            u64::MAX - self.next
        } else {
            self.next
        };
        let key = (bytes, place);
        if self.heap.len() >= self.count && self.heap.peek().is_some_and(|worst| worst.key <= key) {
            return Ok(0);
        }
        let value = value.map_or(Bson::Null, Cow::into_owned);
        let grown = value_size(&value) + key.0.len() + std::mem::size_of::<Entry>();
        self.heap.push(Entry { key, value });
        if self.heap.len() > self.count {
            self.heap.pop();
        }
        Ok(grown)
    }

    /// The kept values: those of `$minN` and `$maxN` from the best on, those by a key in the order of that key.
    pub(super) fn finish(self) -> Vec<Bson> {
        self.heap
            .into_sorted_vec()
            .into_iter()
            .map(|entry| entry.value)
            .collect()
    }

    /// As [`Ranked::finish`], in the order of the key.
    pub(super) fn finish_by_key(self) -> Vec<Bson> {
        let side = self.side;
        let mut values = self.finish();
        if side == Side::Greatest {
            values.reverse();
        }
        values
    }
}
