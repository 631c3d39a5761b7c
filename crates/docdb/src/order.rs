//! The total order of values: first by type, then by value.
//!
//! null < numbers < string < object < array < binData < ObjectId < bool < date < timestamp < regex. Numbers of all types
//! are one: int64 against double is exact, NaN is the smallest and equal to itself, -0 equals 0. Strings are ordered by
//! their bytes, objects by the order of their fields (type of the value, name, value), arrays by element.
//! Decimal128 counts as the nearest double; the SDKs cannot send one.

use std::cmp::Ordering;

use bson::{Bson, Document};

/// The place of a value's type among the types. Values of one rank compare by value; a range operator of a query meets
/// values of its own rank only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names of BSON's types")]
pub enum Rank {
    MinKey = 0x10,
    /// Also what an empty array sorts by.
    Undefined = 0x18,
    Null = 0x20,
    Number = 0x28,
    /// String and symbol.
    String = 0x30,
    Object = 0x38,
    Array = 0x40,
    Binary = 0x48,
    ObjectId = 0x50,
    Boolean = 0x58,
    DateTime = 0x60,
    Timestamp = 0x68,
    Regex = 0x70,
    DbPointer = 0x78,
    Code = 0x80,
    CodeWithScope = 0x88,
    MaxKey = 0x90,
}

/// The rank of a value's type.
#[must_use]
pub const fn rank(value: &Bson) -> Rank {
    match value {
        Bson::MinKey => Rank::MinKey,
        Bson::Undefined => Rank::Undefined,
        Bson::Null => Rank::Null,
        Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_) => Rank::Number,
        Bson::String(_) | Bson::Symbol(_) => Rank::String,
        Bson::Document(_) => Rank::Object,
        Bson::Array(_) => Rank::Array,
        Bson::Binary(_) => Rank::Binary,
        Bson::ObjectId(_) => Rank::ObjectId,
        Bson::Boolean(_) => Rank::Boolean,
        Bson::DateTime(_) => Rank::DateTime,
        Bson::Timestamp(_) => Rank::Timestamp,
        Bson::RegularExpression(_) => Rank::Regex,
        Bson::DbPointer(_) => Rank::DbPointer,
        Bson::JavaScriptCode(_) => Rank::Code,
        Bson::JavaScriptCodeWithScope(_) => Rank::CodeWithScope,
        Bson::MaxKey => Rank::MaxKey,
    }
}

/// A number of any of BSON's types, without loss for int32, int64 and double.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// An int32 or int64.
    Integer(i64),
    /// A double, or the double nearest to a Decimal128.
    Double(f64),
}

impl Number {
    /// The number that `value` is, if it is one.
    #[must_use]
    pub fn of(value: &Bson) -> Option<Self> {
        match value {
            Bson::Int32(number) => Some(Self::Integer(i64::from(*number))),
            Bson::Int64(number) => Some(Self::Integer(*number)),
            Bson::Double(number) => Some(Self::Double(*number)),
            Bson::Decimal128(number) => Some(Self::Double(number.to_string().parse().unwrap_or(f64::NAN))),
            _ => None,
        }
    }

    /// As a double, rounded where an int64 beyond 2^53 has no double of its own.
    #[must_use]
    pub const fn to_f64(self) -> f64 {
        match self {
            Self::Integer(number) => number as f64,
            Self::Double(number) => number,
        }
    }

    /// As an integer, if it is one in the range of int64.
    #[must_use]
    pub fn to_i64_exact(self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(number),
            // 2^63 is the first double above the range; -2^63 is in it.
            Self::Double(number)
                if number.fract() == 0.0
                    && (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number) =>
            {
                Some(number as i64)
            }
            Self::Double(_) => None,
        }
    }

    /// The order of two numbers, exact across types; NaN is equal to itself and below all others.
    #[must_use]
    pub fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => left.cmp(&right),
            (Self::Double(left), Self::Double(right)) => doubles(left, right),
            (Self::Integer(left), Self::Double(right)) => integer_with_double(left, right),
            (Self::Double(left), Self::Integer(right)) => integer_with_double(right, left).reverse(),
        }
    }
}

fn doubles(left: f64, right: f64) -> Ordering {
    left.partial_cmp(&right)
        .unwrap_or_else(|| right.is_nan().cmp(&left.is_nan()))
}

fn integer_with_double(left: i64, right: f64) -> Ordering {
    if right.is_nan() {
        return Ordering::Greater;
    }
    let near = left as f64;
    match doubles(near, right) {
        // What rounding moved is visible in integers; every double of this size is one.
        Ordering::Equal => i128::from(left).cmp(&(right as i128)),
        order => order,
    }
}

/// The total order of two values.
#[must_use]
pub fn compare(left: &Bson, right: &Bson) -> Ordering {
    rank(left).cmp(&rank(right)).then_with(|| same_rank(left, right))
}

/// The order of values that may be missing: missing is below everything, as in expressions.
#[must_use]
pub fn compare_option(left: Option<&Bson>, right: Option<&Bson>) -> Ordering {
    match (left, right) {
        (Some(left), Some(right)) => compare(left, right),
        (left, right) => left.is_some().cmp(&right.is_some()),
    }
}

/// If two values are the same in the total order: 1 and 1.0 are, `{a, b}` and `{b, a}` are not.
#[must_use]
pub fn equal(left: &Bson, right: &Bson) -> bool {
    compare(left, right) == Ordering::Equal
}

/// The order of two documents, by the order of their fields.
#[must_use]
pub fn compare_documents(left: &Document, right: &Document) -> Ordering {
    let mut rest = right.iter();
    for (left_name, left_value) in left {
        let Some((right_name, right_value)) = rest.next() else {
            return Ordering::Greater;
        };
        let order = rank(left_value)
            .cmp(&rank(right_value))
            .then_with(|| left_name.as_bytes().cmp(right_name.as_bytes()))
            .then_with(|| same_rank(left_value, right_value));
        if order != Ordering::Equal {
            return order;
        }
    }
    if rest.next().is_some() {
        Ordering::Less
    } else {
        Ordering::Equal
    }
}

fn same_rank(left: &Bson, right: &Bson) -> Ordering {
    match (left, right) {
        (Bson::Int32(left), Bson::Int32(right)) => left.cmp(right),
        (Bson::String(left) | Bson::Symbol(left), Bson::String(right) | Bson::Symbol(right)) => {
            left.as_bytes().cmp(right.as_bytes())
        }
        (Bson::Document(left), Bson::Document(right)) => compare_documents(left, right),
        (Bson::Array(left), Bson::Array(right)) => {
            for (left, right) in left.iter().zip(right) {
                let order = compare(left, right);
                if order != Ordering::Equal {
                    return order;
                }
            }
            left.len().cmp(&right.len())
        }
        (Bson::Binary(left), Bson::Binary(right)) => left
            .bytes
            .len()
            .cmp(&right.bytes.len())
            .then_with(|| u8::from(left.subtype).cmp(&u8::from(right.subtype)))
            .then_with(|| left.bytes.cmp(&right.bytes)),
        (Bson::ObjectId(left), Bson::ObjectId(right)) => left.cmp(right),
        (Bson::Boolean(left), Bson::Boolean(right)) => left.cmp(right),
        (Bson::DateTime(left), Bson::DateTime(right)) => left.cmp(right),
        (Bson::Timestamp(left), Bson::Timestamp(right)) => {
            (left.time, left.increment).cmp(&(right.time, right.increment))
        }
        (Bson::RegularExpression(left), Bson::RegularExpression(right)) => {
            let parts = |regex: &bson::Regex| (regex.pattern.to_string(), regex.options.to_string());
            parts(left).cmp(&parts(right))
        }
        (Bson::DbPointer(left), Bson::DbPointer(right)) => format!("{left:?}").cmp(&format!("{right:?}")),
        (Bson::JavaScriptCode(left), Bson::JavaScriptCode(right)) => left.as_bytes().cmp(right.as_bytes()),
        (Bson::JavaScriptCodeWithScope(left), Bson::JavaScriptCodeWithScope(right)) => left
            .code
            .as_bytes()
            .cmp(right.code.as_bytes())
            .then_with(|| compare_documents(&left.scope, &right.scope)),
        _ => match (Number::of(left), Number::of(right)) {
            (Some(left), Some(right)) => left.compare(right),
            // MinKey, MaxKey, null, undefined: one value each.
            _ => Ordering::Equal,
        },
    }
}
