//! Comparisons, and the operators that look at the truth of their arguments.

use std::cmp::Ordering;

use bson::Bson;

use super::{
    Value,
    value::{fail, made, truth, type_of},
};
use crate::{error::Result, order};

/// `$eq` to `$lte`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Comparison {
    pub(super) fn of(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
        }
    }
}

pub(super) fn cmp(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let order = match values.as_slice() {
        [left, right] => order::compare_option(left.as_deref(), right.as_deref()),
        _ => Ordering::Equal,
    };
    made(order as i32)
}

pub(super) fn not(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    made(!values.iter().flatten().any(|value| truth(value)))
}

pub(super) fn all_elements_true(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let elements = elements(&values, "$allElementsTrue", 17040)?;
    made(elements.iter().all(truth))
}

pub(super) fn any_element_true(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let elements = elements(&values, "$anyElementTrue", 17041)?;
    made(elements.iter().any(truth))
}

fn elements<'v>(values: &'v [Value<'_>], operator: &str, code: i32) -> Result<&'v [Bson]> {
    match values.first() {
        Some(Some(value)) if let Bson::Array(elements) = &**value => Ok(elements),
        Some(other) => fail(
            code,
            format!(
                "{operator}'s argument must be an array, but is {}",
                type_of(other)
            ),
        ),
        None => Ok(&[]),
    }
}
