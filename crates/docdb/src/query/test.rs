//! The conditions on one value.

use std::cmp::Ordering;

use bson::{Bson, spec::ElementType};

use super::{Condition, Node, Predicate, Scope};
use crate::{
    error::Result,
    geo,
    order::{Number, Rank, compare, rank},
    path::Element,
    regex::Pattern,
};

/// A condition on one value.
#[derive(Clone, Debug)]
pub enum Test {
    /// `$eq`, `$lt`, `$lte`, `$gt`, `$gte`
    Compare(Comparison, Bson),
    /// `$in`: values in their order, each once, and patterns.
    In(Vec<Bson>, Vec<Pattern>),
    /// `$exists: true`
    Exists,
    /// `$type`
    Type(Types),
    /// `$regex`
    Regex(Box<Pattern>),
    /// `$mod`: divisor and remainder
    Mod(i64, i64),
    /// `$size`
    Size(usize),
    /// `$elemMatch`
    ElemMatch(Box<ElemMatch>),
    /// `$bitsAllSet` and its like
    Bits(Bits),
    /// `$geoWithin`
    GeoWithin(Box<geo::Within>),
    /// `$geoIntersects`
    GeoIntersects(Box<geo::Intersects>),
    /// `$all: []`
    Never,
}

/// `$elemMatch`: one element has to meet all of it.
#[derive(Clone, Debug)]
pub struct ElemMatch(pub(super) Condition);

impl ElemMatch {
    /// What the element itself has to meet, or what its fields have to.
    pub(crate) const fn parts(&self) -> (Option<&Predicate>, Option<&Node>) {
        match &self.0 {
            Condition::Value(predicate) => (Some(predicate), None),
            Condition::Fields(node) => (None, Some(node)),
        }
    }
}

/// How a value has to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the operators")]
pub enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub(super) const fn allows(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }

    const fn allows_equality(self) -> bool {
        self.allows(Ordering::Equal)
    }
}

/// The types that `$type` names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Types(u32);

impl Types {
    /// Adds a type.
    pub const fn add(&mut self, element_type: ElementType) {
        self.0 |= Self::bit(element_type);
    }

    /// If `value` is of one of the types.
    #[must_use]
    pub fn contains(self, value: &Bson) -> bool {
        self.0 & Self::bit(value.element_type()) != 0
    }

    const fn bit(element_type: ElementType) -> u32 {
        match element_type {
            ElementType::MinKey => 1 << 31,
            ElementType::MaxKey => 1 << 30,
            other => 1 << (other as u8),
        }
    }
}

/// `$bitsAllSet`, `$bitsAllClear`, `$bitsAnySet`, `$bitsAnyClear`
#[derive(Clone, Debug)]
pub struct Bits {
    /// Positions from the lowest bit on.
    pub(super) positions: Vec<u32>,
    /// All of them, or any.
    pub(super) all: bool,
    /// Set, or clear.
    pub(super) set: bool,
}

impl Bits {
    fn meets(&self, value: &Bson) -> bool {
        let met = |bit: bool| bit == self.set;
        let check = |bit: &dyn Fn(u32) -> bool| {
            if self.all {
                self.positions.iter().all(|&position| met(bit(position)))
            } else {
                self.positions.iter().any(|&position| met(bit(position)))
            }
        };
        if let Bson::Binary(binary) = value {
            return check(&|position| {
                binary
                    .bytes
                    .get(position as usize / 8)
                    .is_some_and(|byte| byte >> (position % 8) & 1 == 1)
            });
        }
        // The sign goes on without end.
        Number::of(value)
            .and_then(Number::to_i64_exact)
            .is_some_and(|number| check(&|position| number >> position.min(63) & 1 == 1))
    }
}

impl Test {
    /// If what a path names meets the condition: `value` itself or, where it is an array, one of its elements.
    pub(super) fn meets(&self, value: Option<&Bson>, outer: Element, scope: &Scope<'_>) -> Result<bool> {
        scope.context.spend_if_strict(1)?;
        let Some(value) = value else {
            return Ok(self.meets_missing());
        };
        if let Bson::Array(elements) = value {
            scope.context.spend_if_strict(elements.len() as u64 / 4)?;
            let of_elements = !matches!(
                self,
                Self::Size(_) | Self::Exists | Self::ElemMatch(_) | Self::Never
            );
            if of_elements {
                for (at, element) in elements.iter().enumerate() {
                    if self.meets_itself(element, scope)? {
                        scope.element.set(outer.or(Some(at)));
                        return Ok(true);
                    }
                }
            } else if let Self::ElemMatch(condition) = self {
                for (at, element) in elements.iter().enumerate() {
                    if condition.0.matches(element, scope)? {
                        scope.element.set(outer.or(Some(at)));
                        return Ok(true);
                    }
                }
                return Ok(false);
            }
        }
        let met = self.meets_itself(value, scope)?;
        if met && outer.is_some() {
            scope.element.set(outer);
        }
        Ok(met)
    }

    /// If a field that is not there meets the condition: where null does by equality.
    pub(super) fn meets_missing(&self) -> bool {
        match self {
            Self::Compare(comparison, operand) => match operand {
                Bson::Null | Bson::Undefined => comparison.allows_equality(),
                Bson::MinKey | Bson::MaxKey => *comparison != Comparison::Equal,
                _ => false,
            },
            Self::In(values, _) => values.first().is_some_and(|value| *value == Bson::Null),
            _ => false,
        }
    }

    /// If `value` meets the condition, its elements left alone.
    pub(super) fn meets_itself(&self, value: &Bson, scope: &Scope<'_>) -> Result<bool> {
        if matches!(self, Self::GeoWithin(_) | Self::GeoIntersects(_)) {
            const OF_A_SHAPE: u64 = 20;
            scope.context.spend_if_strict(OF_A_SHAPE)?;
        }
        Ok(match self {
            Self::Compare(comparison, operand) => meets_comparison(*comparison, operand, value),
            Self::In(values, patterns) => {
                if values
                    .binary_search_by(|candidate| compare(candidate, value))
                    .is_ok()
                {
                    return Ok(true);
                }
                if matches!(value, Bson::Undefined) {
                    return Ok(self.meets_missing());
                }
                for pattern in patterns {
                    if meets_pattern(pattern, value, scope)? {
                        return Ok(true);
                    }
                }
                false
            }
            Self::Exists => true,
            Self::Type(types) => types.contains(value),
            Self::Regex(pattern) => meets_pattern(pattern, value, scope)?,
            Self::Mod(divisor, remainder) => {
                let truncated = match Number::of(value) {
                    Some(Number::Integer(number)) => Some(number),
                    Some(Number::Double(number)) => Number::Double(number.trunc()).to_i64_exact(),
                    None => None,
                };
                truncated.is_some_and(|number| number.wrapping_rem(*divisor) == *remainder)
            }
            Self::Size(size) => matches!(value, Bson::Array(elements) if elements.len() == *size),
            Self::ElemMatch(condition) => {
                let Bson::Array(elements) = value else {
                    return Ok(false);
                };
                for element in elements {
                    if condition.0.matches(element, scope)? {
                        return Ok(true);
                    }
                }
                false
            }
            Self::Bits(bits) => bits.meets(value),
            Self::GeoWithin(within) => within.contains(value),
            Self::GeoIntersects(intersects) => intersects.meets(value),
            Self::Never => false,
        })
    }
}

fn meets_comparison(comparison: Comparison, operand: &Bson, value: &Bson) -> bool {
    if rank(operand) != rank(value) {
        return match (rank(operand), rank(value)) {
            (Rank::Null, Rank::Undefined) | (Rank::Undefined, Rank::Null) => comparison.allows_equality(),
            (Rank::MinKey | Rank::MaxKey, _) => comparison != Comparison::Equal,
            _ => false,
        };
    }
    if is_nan(operand) || is_nan(value) {
        return is_nan(operand) && is_nan(value) && comparison.allows_equality();
    }
    comparison.allows(compare(value, operand))
}

fn is_nan(value: &Bson) -> bool {
    matches!(value, Bson::Double(number) if number.is_nan())
        || matches!(value, Bson::Decimal128(_))
            && Number::of(value).is_some_and(|number| number.to_f64().is_nan())
}

fn meets_pattern(pattern: &Pattern, value: &Bson, scope: &Scope<'_>) -> Result<bool> {
    match value {
        Bson::String(text) | Bson::Symbol(text) => pattern.matches_in(text, scope.context),
        Bson::RegularExpression(regex) => Ok(pattern.is(regex)),
        _ => Ok(false),
    }
}
