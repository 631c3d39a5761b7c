//! Conversions between types: `$convert`, `$toInt` and its like, `$type`.

use bson::{Bson, DateTime, oid::ObjectId};

use super::{
    Value,
    date::{millis, parse_utc},
    text::number_text,
    time::iso_text,
    value::{fail, integer, is_number, made, null, nullish, truth, type_of},
};
use crate::{
    Error,
    error::{Result, code},
    order::Number,
};

/// A type to convert to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Double,
    String,
    ObjectId,
    Bool,
    Date,
    Int,
    Long,
}

impl Target {
    fn parse(value: &Value<'_>) -> Result<Self> {
        let name = match value.as_deref() {
            Some(Bson::String(name)) => name.as_str(),
            Some(number) if is_number(number) => match integer(number) {
                Some(1) => "double",
                Some(2) => "string",
                Some(7) => "objectId",
                Some(8) => "bool",
                Some(9) => "date",
                Some(16) => "int",
                Some(18) => "long",
                _ => "",
            },
            _ => "",
        };
        Ok(match name {
            "double" | "decimal" => Self::Double,
            "string" => Self::String,
            "objectId" => Self::ObjectId,
            "bool" => Self::Bool,
            "date" => Self::Date,
            "int" => Self::Int,
            "long" => Self::Long,
            _ => {
                return fail(
                    code::BAD_VALUE,
                    "$convert's 'to' must name a type that can be converted to",
                );
            }
        })
    }
}

macro_rules! targets {
    ($($name:ident $target:ident;)*) => {
        $(pub(super) fn $name(values: Vec<Value<'_>>) -> Result<Value<'_>> {
            let value = values.first().unwrap_or(&None);
            if nullish(value) {
                return null();
            }
            converted(value, Target::$target).and_then(made)
        })*
    };
}

targets! {
    to_double Double;
    to_string String;
    to_object_id ObjectId;
    to_bool Bool;
    to_date Date;
    to_int Int;
    to_long Long;
}

/// Slots: input, to, onError, onNull.
pub(super) fn convert(mut values: Vec<Option<Value<'_>>>) -> Result<Value<'_>> {
    let on_null = values.pop().flatten();
    let on_error = values.pop().flatten();
    let to = values.pop().flatten().flatten();
    let input = values.pop().flatten().flatten();
    // A target in a document: { type: "string" }.
    let to = match to.as_deref() {
        Some(Bson::Document(document)) => document.get("type").cloned().map(std::borrow::Cow::Owned),
        _ => to,
    };
    if nullish(&input) {
        return on_null.map_or_else(null, Ok);
    }
    if nullish(&to) {
        return null();
    }
    match (converted(&input, Target::parse(&to)?), on_error) {
        (Err(_), Some(on_error)) => Ok(on_error),
        (converted, _) => converted.and_then(made),
    }
}

fn refused(value: &Value<'_>, target: &str) -> Error {
    Error::new(
        code::CONVERSION_FAILURE,
        format!(
            "Unsupported conversion from {} to {target} in $convert with no onError value",
            type_of(value)
        ),
    )
}

fn failed(text: &str, target: &str) -> Error {
    Error::new(
        code::CONVERSION_FAILURE,
        format!("Failed to parse '{text}' as {target} in $convert with no onError value"),
    )
}

fn converted(value: &Value<'_>, target: Target) -> Result<Bson> {
    let Some(bson) = value.as_deref() else {
        return Ok(Bson::Null);
    };
    match target {
        Target::Bool => Ok(Bson::Boolean(truth(bson))),
        Target::String => Ok(Bson::String(match bson {
            Bson::String(text) => text.clone(),
            Bson::Boolean(flag) => flag.to_string(),
            Bson::ObjectId(id) => id.to_hex(),
            Bson::DateTime(time) => iso_text(time.timestamp_millis()),
            number if is_number(number) => number_text(number),
            _ => return Err(refused(value, "string")),
        })),
        Target::ObjectId => match bson {
            Bson::ObjectId(id) => Ok(Bson::ObjectId(*id)),
            Bson::String(text) => ObjectId::parse_str(text)
                .map(Bson::ObjectId)
                .map_err(|_| failed(text, "ObjectId")),
            _ => Err(refused(value, "objectId")),
        },
        Target::Date => match bson {
            Bson::String(text) => parse_utc(text).map(|millis| DateTime::from_millis(millis).into()),
            Bson::Int64(millis) => Ok(DateTime::from_millis(*millis).into()),
            Bson::Double(number) => whole(*number, "date").map(|millis| DateTime::from_millis(millis).into()),
            other => millis(other)
                .map(|millis| DateTime::from_millis(millis).into())
                .ok_or_else(|| refused(value, "date")),
        },
        Target::Double => match bson {
            Bson::Boolean(flag) => Ok(Bson::Double(f64::from(u8::from(*flag)))),
            Bson::DateTime(time) => Ok(Bson::Double(time.timestamp_millis() as f64)),
            Bson::String(text) => double_of(text)
                .map(Bson::Double)
                .ok_or_else(|| failed(text, "double")),
            number => Number::of(number)
                .map(|number| Bson::Double(number.to_f64()))
                .ok_or_else(|| refused(value, "double")),
        },
        Target::Int => {
            let number = integer_of(value, bson, "int")?;
            i32::try_from(number).map(Bson::Int32).map_err(|_| {
                Error::new(
                    code::CONVERSION_FAILURE,
                    format!(
                        "Conversion would overflow target type in $convert with no onError value: {number}"
                    ),
                )
            })
        }
        Target::Long => integer_of(value, bson, "long").map(Bson::Int64),
    }
}

fn integer_of(value: &Value<'_>, bson: &Bson, target: &str) -> Result<i64> {
    match bson {
        Bson::Int32(number) => Ok(i64::from(*number)),
        Bson::Int64(number) => Ok(*number),
        Bson::Boolean(flag) => Ok(i64::from(*flag)),
        Bson::Double(number) => whole(*number, target),
        Bson::DateTime(time) if target == "long" => Ok(time.timestamp_millis()),
        Bson::String(text) if !text.starts_with('+') || text.len() > 1 => {
            text.parse().map_err(|_| failed(text, target))
        }
        Bson::Decimal128(_) => whole(Number::of(bson).map_or(f64::NAN, Number::to_f64), target),
        _ => Err(refused(value, target)),
    }
}

/// A double cut to an integer.
fn whole(number: f64, target: &str) -> Result<i64> {
    if !number.is_finite() {
        return fail(
            code::CONVERSION_FAILURE,
            format!("Attempt to convert NaN or infinity value to {target} in $convert with no onError value"),
        );
    }
    Number::Double(number.trunc()).to_i64_exact().map_or_else(
        || {
            fail(
                code::CONVERSION_FAILURE,
                format!("Conversion would overflow target type in $convert with no onError value: {number}"),
            )
        },
        Ok,
    )
}

fn double_of(text: &str) -> Option<f64> {
    // Rust would take a leading or trailing point as C does; blanks neither takes.
    text.parse().ok()
}

pub(super) fn type_operator(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    made(type_of(values.first().unwrap_or(&None)))
}

pub(super) fn is_number_operator(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    made(values.first().and_then(Option::as_deref).is_some_and(is_number))
}

pub(super) fn bson_size(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    match values.first().and_then(Option::as_deref) {
        None | Some(Bson::Null | Bson::Undefined) => null(),
        Some(Bson::Document(document)) => match document.to_vec() {
            Ok(bytes) => made(bytes.len() as i32),
            Err(error) => fail(code::BSON_OBJECT_TOO_LARGE, error.to_string()),
        },
        Some(_) => fail(
            31393,
            format!(
                "$bsonSize requires a document input, found: {}",
                type_of(values.first().unwrap_or(&None))
            ),
        ),
    }
}

pub(super) fn binary_size(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    match values.first().and_then(Option::as_deref) {
        None | Some(Bson::Null | Bson::Undefined) => null(),
        Some(Bson::String(text)) => made(text.len() as i32),
        Some(Bson::Binary(binary)) => made(binary.bytes.len() as i32),
        Some(_) => fail(
            51276,
            format!(
                "$binarySize requires a string or BinData argument, found: {}",
                type_of(values.first().unwrap_or(&None))
            ),
        ),
    }
}
