//! Arrays.

use std::{borrow::Cow, cmp::Ordering};

use bson::{Bson, Document};

use super::{
    FieldPath, Value,
    value::{Meter, fail, int32, integer, is_number, made, null, nullish, type_of},
};
use crate::{
    Error,
    error::{Result, code},
    order,
};

fn array<'v>(value: &'v Value<'_>) -> Option<&'v [Bson]> {
    match value.as_deref() {
        Some(Bson::Array(elements)) => Some(elements),
        _ => None,
    }
}

/// An element of an array, borrowed where the array is.
fn element(value: Value<'_>, at: usize) -> Value<'_> {
    match value? {
        Cow::Borrowed(Bson::Array(elements)) => elements.get(at).map(Cow::Borrowed),
        Cow::Owned(Bson::Array(mut elements)) if at < elements.len() => {
            Some(Cow::Owned(elements.swap_remove(at)))
        }
        _ => None,
    }
}

/// The place that a number names, from the end where it is negative.
fn place(number: i64, length: usize) -> Option<usize> {
    let at = if number < 0 {
        number.checked_add(length as i64)?
    } else {
        number
    };
    usize::try_from(at).ok().filter(|at| *at < length)
}

pub(super) fn element_at(mut values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let at = values.pop().flatten();
    let value = values.pop().flatten();
    if nullish(&value) || nullish(&at) {
        return null();
    }
    let Some(elements) = array(&value) else {
        return fail(
            28689,
            format!(
                "$arrayElemAt's first argument must be an array, but is {}",
                type_of(&value)
            ),
        );
    };
    let Some(number) = at.as_deref().filter(|at| is_number(at)) else {
        return fail(
            28690,
            format!(
                "$arrayElemAt's second argument must be a numeric value, but is {}",
                type_of(&at)
            ),
        );
    };
    let Some(at) = int32(number) else {
        return fail(
            28691,
            "$arrayElemAt's second argument must be representable as a 32-bit integer",
        );
    };
    Ok(place(i64::from(at), elements.len()).and_then(|at| element(value, at)))
}

pub(super) fn first(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    end(values, "$first", |_| 0)
}

pub(super) fn last(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    end(values, "$last", |length| length.saturating_sub(1))
}

fn end<'a>(mut values: Vec<Value<'a>>, operator: &str, at: fn(usize) -> usize) -> Result<Value<'a>> {
    let value = values.pop().flatten();
    if nullish(&value) {
        return null();
    }
    let Some(elements) = array(&value) else {
        return fail(
            28689,
            format!(
                "{operator}'s argument must be an array, but is {}",
                type_of(&value)
            ),
        );
    };
    let at = at(elements.len());
    Ok(element(value, at))
}

pub(super) fn size(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let value = values.first().unwrap_or(&None);
    array(value).map_or_else(
        || {
            fail(
                17124,
                format!(
                    "The argument to $size must be an array, but was of type: {}",
                    type_of(value)
                ),
            )
        },
        |elements| made(elements.len() as i32),
    )
}

pub(super) fn is_array(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    made(values.first().is_some_and(|value| array(value).is_some()))
}

pub(super) fn contains(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let [wanted, within] = values.as_slice() else {
        return null();
    };
    let Some(elements) = array(within) else {
        return fail(
            40081,
            format!(
                "$in requires an array as a second argument, found: {}",
                type_of(within)
            ),
        );
    };
    let wanted = wanted.as_deref();
    made(
        elements
            .iter()
            .any(|element| order::compare_option(Some(element), wanted).is_eq()),
    )
}

pub(super) fn concat(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let mut all = Vec::new();
    let mut meter = Meter::default();
    for value in values {
        match value {
            None => return null(),
            Some(value) => match &*value {
                Bson::Null | Bson::Undefined => return null(),
                Bson::Array(elements) => {
                    for element in elements {
                        meter.add(element, "$concatArrays")?;
                    }
                    match value {
                        Cow::Owned(Bson::Array(mut elements)) => all.append(&mut elements),
                        _ => all.extend_from_slice(elements_of(&value)),
                    }
                }
                _ => {
                    return fail(
                        28664,
                        format!(
                            "$concatArrays only supports arrays, not {}",
                            type_of(&Some(value))
                        ),
                    );
                }
            },
        }
    }
    made(all)
}

fn elements_of(value: &Bson) -> &[Bson] {
    match value {
        Bson::Array(elements) => elements,
        _ => &[],
    }
}

pub(super) fn reverse(mut values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let value = values.pop().flatten();
    if nullish(&value) {
        return null();
    }
    match value.map(Cow::into_owned) {
        Some(Bson::Array(mut elements)) => {
            elements.reverse();
            made(elements)
        }
        other => fail(
            34435,
            format!(
                "The argument to $reverseArray must be an array, but was of type: {}",
                type_of(&other.map(Cow::Owned))
            ),
        ),
    }
}

pub(super) fn slice(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    if values.iter().any(nullish) {
        return null();
    }
    let Some(elements) = values.first().and_then(array) else {
        return fail(
            28724,
            format!(
                "First argument to $slice must be an array, but is of type: {}",
                type_of(values.first().unwrap_or(&None))
            ),
        );
    };
    let mut numbers = [0_i32; 2];
    for (at, value) in values.iter().skip(1).enumerate().take(2) {
        let which = ["Second", "Third"][at];
        let Some(number) = value.as_deref().filter(|value| is_number(value)) else {
            return fail(
                [28725, 28727][at],
                format!(
                    "{which} argument to $slice must be a numeric value, but is of type: {}",
                    type_of(value)
                ),
            );
        };
        numbers[at] = int32(number).ok_or_else(|| {
            Error::new(
                [28726, 28728][at],
                format!("{which} argument to $slice can't be represented as a 32-bit integer"),
            )
        })?;
    }
    let length = elements.len();
    let from_end = |number: i32| length.saturating_sub(number.unsigned_abs() as usize);
    let [first, second] = numbers;
    let (start, count) = if values.len() > 2 {
        if second <= 0 {
            return fail(
                28729,
                format!("Third argument to $slice must be positive: {second}"),
            );
        }
        let start = if first < 0 {
            from_end(first)
        } else {
            (first as usize).min(length)
        };
        (start, second as usize)
    } else if first < 0 {
        (from_end(first), length)
    } else {
        (0, first as usize)
    };
    let end = start.saturating_add(count).min(length);
    made(elements[start..end].to_vec())
}

pub(super) fn index_of(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let (Some(within), Some(wanted)) = (values.first(), values.get(1)) else {
        return null();
    };
    if nullish(within) {
        return null();
    }
    let Some(elements) = array(within) else {
        return fail(
            40090,
            format!(
                "$indexOfArray requires an array as a first argument, found: {}",
                type_of(within)
            ),
        );
    };
    let mut bounds = [0, elements.len()];
    for (at, bound) in values.iter().skip(2).enumerate().take(2) {
        let what = ["starting", "ending"][at];
        let Some(number) = bound.as_deref().and_then(int32) else {
            return fail(
                9_711_600,
                format!(
                    "$indexOfArray requires an integral {what} index, found a value of type: {}",
                    type_of(bound)
                ),
            );
        };
        bounds[at] = usize::try_from(number).map_err(|_| {
            Error::new(
                9_711_601,
                format!("$indexOfArray requires a nonnegative {what} index, found: {number}"),
            )
        })?;
    }
    let [start, end] = [bounds[0], bounds[1].min(elements.len())];
    let found = elements.get(start..end).and_then(|part| {
        part.iter()
            .position(|element| order::compare_option(Some(element), wanted.as_deref()).is_eq())
    });
    made(found.map_or(-1, |at| (at + start) as i32))
}

pub(super) fn zip(values: Vec<Option<Value<'_>>>) -> Result<Value<'_>> {
    let longest = matches!(
        values.get(1).and_then(Option::as_ref).and_then(Option::as_deref),
        Some(Bson::Boolean(true))
    );
    let Some(Some(Bson::Array(inputs))) = values
        .first()
        .map(|inputs| inputs.as_ref().and_then(Option::as_deref))
    else {
        return null();
    };
    let defaults = values
        .get(2)
        .and_then(Option::as_ref)
        .and_then(Option::as_deref)
        .map_or(&[][..], elements_of);
    let mut arrays = Vec::with_capacity(inputs.len());
    for input in inputs {
        match input {
            Bson::Null | Bson::Undefined => return null(),
            Bson::Array(elements) => arrays.push(elements),
            other => {
                return fail(
                    34468,
                    format!(
                        "$zip found a non-array expression in input: {}",
                        super::type_name(other)
                    ),
                );
            }
        }
    }
    let lengths = arrays.iter().map(|elements| elements.len());
    let rows = if longest { lengths.max() } else { lengths.min() }.unwrap_or(0);
    let mut meter = Meter::default();
    let mut zipped = Vec::with_capacity(rows);
    for row in 0..rows {
        let mut tuple = Vec::with_capacity(arrays.len());
        for (at, elements) in arrays.iter().enumerate() {
            let value = elements
                .get(row)
                .or_else(|| defaults.get(at))
                .unwrap_or(&Bson::Null);
            meter.add(value, "$zip")?;
            tuple.push(value.clone());
        }
        zipped.push(Bson::Array(tuple));
    }
    made(zipped)
}

/// How `$sortArray`, `$topN` and a `$push` with `$sort` order elements.
#[derive(Clone, Debug)]
pub(super) enum ElementOrder {
    /// By the whole element.
    Whole(bool),
    /// By fields; true is ascending.
    Fields(Vec<(FieldPath, bool)>),
}

impl ElementOrder {
    /// Parses `1`, `-1`, or a document of fields.
    pub(super) fn parse(value: &Bson, operator: &str) -> Result<Self> {
        let direction = |value: &Bson| match integer(value) {
            Some(1) => Ok(true),
            Some(-1) => Ok(false),
            _ => fail(
                code::BAD_VALUE,
                format!("{operator}: a sort direction must be 1 or -1"),
            ),
        };
        match value {
            Bson::Document(fields) if !fields.is_empty() => {
                let fields = fields
                    .iter()
                    .map(|(name, value)| Ok((FieldPath::parse(name)?, direction(value)?)));
                Ok(Self::Fields(fields.collect::<Result<_>>()?))
            }
            Bson::Document(_) => fail(
                code::BAD_VALUE,
                format!("{operator}: the sort pattern must not be empty"),
            ),
            value => Ok(Self::Whole(direction(value)?)),
        }
    }

    /// The order of two elements.
    pub(super) fn compare(&self, left: &Bson, right: &Bson) -> Ordering {
        let directed = |order: Ordering, ascending: bool| if ascending { order } else { order.reverse() };
        match self {
            Self::Whole(ascending) => directed(order::compare(left, right), *ascending),
            Self::Fields(fields) => fields
                .iter()
                .map(|(path, ascending)| {
                    let (left, right) = (path.get_in(left), path.get_in(right));
                    directed(
                        sort_key(&left, *ascending).cmp_with(&sort_key(&right, *ascending)),
                        *ascending,
                    )
                })
                .find(|order| order.is_ne())
                .unwrap_or(Ordering::Equal),
        }
    }
}

/// The value that stands for an array when sorted by: its least element, or its greatest when descending.
struct SortKey<'v>(Option<&'v Bson>, bool);

fn sort_key<'v>(value: &'v Value<'_>, ascending: bool) -> SortKey<'v> {
    match value.as_deref() {
        Some(Bson::Array(elements)) => {
            let extreme = if ascending {
                elements.iter().min_by(|left, right| order::compare(left, right))
            } else {
                elements.iter().max_by(|left, right| order::compare(left, right))
            };
            SortKey(extreme, elements.is_empty())
        }
        Some(value) => SortKey(Some(value), false),
        None => SortKey(Some(&Bson::Null), false),
    }
}

impl SortKey<'_> {
    fn cmp_with(&self, other: &Self) -> Ordering {
        other
            .1
            .cmp(&self.1)
            .then_with(|| order::compare_option(self.0, other.0))
    }
}

pub(super) fn sort<'a>(value: Value<'a>, order: &ElementOrder) -> Result<Value<'a>> {
    if nullish(&value) {
        return null();
    }
    match value.map(Cow::into_owned) {
        Some(Bson::Array(mut elements)) => {
            elements.sort_by(|left, right| order.compare(left, right));
            made(elements)
        }
        other => fail(
            2_942_504,
            format!(
                "The input argument to $sortArray must be an array, but was of type: {}",
                type_of(&other.map(Cow::Owned))
            ),
        ),
    }
}

pub(super) fn first_n(values: Vec<Option<Value<'_>>>) -> Result<Value<'_>> {
    counted(values, "$firstN", |elements, count| elements.truncate(count))
}

pub(super) fn last_n(values: Vec<Option<Value<'_>>>) -> Result<Value<'_>> {
    counted(values, "$lastN", |elements, count| {
        elements.drain(..elements.len().saturating_sub(count));
    })
}

pub(super) fn min_n(values: Vec<Option<Value<'_>>>) -> Result<Value<'_>> {
    counted(values, "$minN", |elements, count| {
        elements.retain(|element| !matches!(element, Bson::Null | Bson::Undefined));
        elements.sort_by(order::compare);
        elements.truncate(count);
    })
}

pub(super) fn max_n(values: Vec<Option<Value<'_>>>) -> Result<Value<'_>> {
    counted(values, "$maxN", |elements, count| {
        elements.retain(|element| !matches!(element, Bson::Null | Bson::Undefined));
        elements.sort_by(|left, right| order::compare(right, left));
        elements.truncate(count);
    })
}

fn counted<'a>(
    mut values: Vec<Option<Value<'a>>>,
    operator: &str,
    keep: fn(&mut Vec<Bson>, usize),
) -> Result<Value<'a>> {
    let input = values.pop().flatten().flatten();
    let count = values.pop().flatten().flatten();
    let count = count
        .as_deref()
        .and_then(integer)
        .filter(|count| *count > 0)
        .ok_or_else(|| Error::new(5_787_908, format!("'n' must be a positive integer in {operator}")))?;
    match input.map(Cow::into_owned) {
        Some(Bson::Array(mut elements)) => {
            keep(&mut elements, usize::try_from(count).unwrap_or(usize::MAX));
            made(elements)
        }
        other => fail(
            5_788_200,
            format!(
                "{operator} requires 'input' to be an array, found: {}",
                type_of(&other.map(Cow::Owned))
            ),
        ),
    }
}

pub(super) fn to_object(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let value = values.first().unwrap_or(&None);
    if nullish(value) {
        return null();
    }
    let Some(elements) = array(value) else {
        return fail(
            40386,
            format!(
                "$arrayToObject requires an array input, found: {}",
                type_of(value)
            ),
        );
    };
    let mut document = Document::new();
    let pairs = matches!(elements.first(), Some(Bson::Array(_)));
    for element in elements {
        let (name, value) = if pairs { pair(element)? } else { named(element)? };
        if name.contains('\0') {
            return fail(4_940_401, "Key field cannot contain an embedded null byte");
        }
        document.insert(name, value.clone());
    }
    made(document)
}

fn pair(element: &Bson) -> Result<(&str, &Bson)> {
    let Bson::Array(pair) = element else {
        return fail(
            40396,
            format!(
                "$arrayToObject requires a consistent input format. Elements must all be arrays or all be objects. Array was detected, now found: {}",
                super::type_name(element)
            ),
        );
    };
    match pair.as_slice() {
        [Bson::String(name), value] => Ok((name, value)),
        [name, _] => fail(
            40395,
            format!(
                "$arrayToObject requires an array of key-value pairs, where the key must be of type string. Found key type: {}",
                super::type_name(name)
            ),
        ),
        _ => fail(
            40397,
            format!(
                "$arrayToObject requires an array of size 2 arrays, found array of size: {}",
                pair.len()
            ),
        ),
    }
}

fn named(element: &Bson) -> Result<(&str, &Bson)> {
    let document = match element {
        Bson::Document(document) => document,
        Bson::Array(_) => {
            return fail(
                40391,
                "$arrayToObject requires a consistent input format. Elements must all be arrays or all be objects. Object was detected, now found: array",
            );
        }
        other => {
            return fail(
                40398,
                format!(
                    "Unrecognised input type format for $arrayToObject: {}",
                    super::type_name(other)
                ),
            );
        }
    };
    if document.len() != 2 {
        return fail(
            40392,
            format!(
                "$arrayToObject requires an object keys of 'k' and 'v'. Found incorrect number of keys:{}",
                document.len()
            ),
        );
    }
    match (document.get("k"), document.get("v")) {
        (Some(Bson::String(name)), Some(value)) => Ok((name, value)),
        (Some(name), Some(_)) => fail(
            40394,
            format!(
                "$arrayToObject requires an object with keys 'k' and 'v', where the value of 'k' must be of type string. Found type: {}",
                super::type_name(name)
            ),
        ),
        _ => fail(40393, "$arrayToObject requires an object with keys 'k' and 'v'."),
    }
}
