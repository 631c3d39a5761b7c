//! Arrays as sets: order and repetition do not count. Results are in the order of values.

use bson::Bson;

use super::{
    Value,
    value::{Meter, fail, made, null, nullish, type_of},
};
use crate::{
    error::Result,
    order::{compare, equal},
};

/// The distinct elements, in order.
fn set(elements: &[Bson]) -> Vec<&Bson> {
    let mut set: Vec<&Bson> = elements.iter().collect();
    set.sort_by(|left, right| compare(left, right));
    set.dedup_by(|left, right| equal(left, right));
    set
}

fn has(set: &[&Bson], value: &Bson) -> bool {
    set.binary_search_by(|element| compare(element, value)).is_ok()
}

fn array<'v>(value: &'v Value<'_>, code: i32, operator: &str) -> Result<&'v [Bson]> {
    match value.as_deref() {
        Some(Bson::Array(elements)) => Ok(elements),
        _ => fail(
            code,
            format!(
                "All operands of {operator} must be arrays. One argument is of type: {}",
                type_of(value)
            ),
        ),
    }
}

fn owned<'a>(set: Vec<&Bson>) -> Result<Value<'a>> {
    made(set.into_iter().cloned().collect::<Vec<Bson>>())
}

pub(super) fn union(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let mut all: Vec<&Bson> = Vec::new();
    let mut meter = Meter::default();
    for value in &values {
        if nullish(value) {
            return null();
        }
        for element in array(value, 17043, "$setUnion")? {
            meter.add(element, "$setUnion")?;
            all.push(element);
        }
    }
    all.sort_by(|left, right| compare(left, right));
    all.dedup_by(|left, right| equal(left, right));
    owned(all)
}

pub(super) fn intersection(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let mut kept: Option<Vec<&Bson>> = None;
    for value in &values {
        if nullish(value) {
            return null();
        }
        let next = set(array(value, 17047, "$setIntersection")?);
        kept = Some(match kept {
            None => next,
            Some(kept) => kept.into_iter().filter(|element| has(&next, element)).collect(),
        });
    }
    owned(kept.unwrap_or_default())
}

pub(super) fn difference(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let [from, without] = values.as_slice() else {
        return null();
    };
    if nullish(from) || nullish(without) {
        return null();
    }
    let elements = array(from, 17048, "$setDifference")?;
    let mut seen: Vec<&Bson> = set(array(without, 17049, "$setDifference")?);
    // The order of the first argument stays.
    let mut kept = Vec::new();
    for element in elements {
        if let Err(at) = seen.binary_search_by(|met| compare(met, element)) {
            seen.insert(at, element);
            kept.push(element);
        }
    }
    owned(kept)
}

pub(super) fn equals(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let mut sets = Vec::with_capacity(values.len());
    for value in &values {
        sets.push(set(array(value, 17044, "$setEquals")?));
    }
    let same = sets.windows(2).all(|pair| match pair {
        [left, right] => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        _ => true,
    });
    made(same)
}

pub(super) fn is_subset(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let [part, whole] = values.as_slice() else {
        return null();
    };
    let part = array(part, 17046, "$setIsSubset")?;
    let whole = set(array(whole, 17042, "$setIsSubset")?);
    made(part.iter().all(|element| has(&whole, element)))
}
