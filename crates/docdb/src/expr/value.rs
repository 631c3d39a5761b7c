//! What values are, to expressions: their truth, the names of their types, their size.

use std::borrow::Cow;

use bson::{Bson, Document};

use super::{MAX_DEPTH, MAX_VALUE_BYTES, Value};
use crate::{
    Error,
    error::{Result, code},
    order::Number,
};

/// If a value counts as true: all but false, null, undefined and the number 0.
#[must_use]
pub fn truth(value: &Bson) -> bool {
    match value {
        Bson::Boolean(flag) => *flag,
        Bson::Null | Bson::Undefined => false,
        Bson::Int32(number) => *number != 0,
        Bson::Int64(number) => *number != 0,
        Bson::Double(number) => *number != 0.0,
        Bson::Decimal128(_) => Number::of(value).is_none_or(|number| number.to_f64() != 0.0),
        _ => true,
    }
}

/// The name of a value's type, as `$type` gives it.
#[must_use]
pub const fn type_name(value: &Bson) -> &'static str {
    match value {
        Bson::Double(_) => "double",
        Bson::String(_) => "string",
        Bson::Array(_) => "array",
        Bson::Document(_) => "object",
        Bson::Boolean(_) => "bool",
        Bson::Null => "null",
        Bson::RegularExpression(_) => "regex",
        Bson::JavaScriptCode(_) => "javascript",
        Bson::JavaScriptCodeWithScope(_) => "javascriptWithScope",
        Bson::Int32(_) => "int",
        Bson::Int64(_) => "long",
        Bson::Timestamp(_) => "timestamp",
        Bson::Binary(_) => "binData",
        Bson::ObjectId(_) => "objectId",
        Bson::DateTime(_) => "date",
        Bson::Symbol(_) => "symbol",
        Bson::Decimal128(_) => "decimal",
        Bson::Undefined => "undefined",
        Bson::MaxKey => "maxKey",
        Bson::MinKey => "minKey",
        Bson::DbPointer(_) => "dbPointer",
    }
}

/// The name of the type, `missing` for no value.
pub(super) fn type_of(value: &Value<'_>) -> &'static str {
    value.as_ref().map_or("missing", |value| type_name(value))
}

/// If a value is missing, null or undefined: most operators then give null.
pub(super) fn nullish(value: &Value<'_>) -> bool {
    value
        .as_ref()
        .is_none_or(|value| matches!(**value, Bson::Null | Bson::Undefined))
}

/// A value that was made.
#[expect(
    clippy::unnecessary_wraps,
    reason = "it is the last line of functions that may fail"
)]
pub(super) fn made<'a>(value: impl Into<Bson>) -> Result<Value<'a>> {
    Ok(Some(Cow::Owned(value.into())))
}

/// Null.
pub(super) const fn null<'a>() -> Result<Value<'a>> {
    Ok(Some(Cow::Owned(Bson::Null)))
}

/// An error with its number.
pub(super) fn fail<T>(code: i32, message: impl Into<String>) -> Result<T> {
    Err(Error::new(code, message))
}

/// The integer that a number is, if it is one within int32 or int64.
pub(super) fn integer(value: &Bson) -> Option<i64> {
    Number::of(value)?.to_i64_exact()
}

/// The integer that a number is, if it is one within int32.
pub(super) fn int32(value: &Bson) -> Option<i32> {
    integer(value).and_then(|number| i32::try_from(number).ok())
}

/// If a value is a number of any type.
pub(super) const fn is_number(value: &Bson) -> bool {
    matches!(
        value,
        Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_)
    )
}

/// Numbers as a double; nothing else is one.
pub(super) fn double(value: &Bson) -> Option<f64> {
    Number::of(value).map(Number::to_f64)
}

/// About how many bytes of memory a value takes.
#[must_use]
pub fn value_size(value: &Bson) -> usize {
    std::mem::size_of::<Bson>() + behind(value)
}

/// The bytes behind a value, outside of its own place.
fn behind(value: &Bson) -> usize {
    match value {
        Bson::String(text) | Bson::Symbol(text) | Bson::JavaScriptCode(text) => text.len(),
        Bson::Array(elements) => elements.iter().map(value_size).sum(),
        Bson::Document(document) => document_size(document),
        Bson::Binary(binary) => binary.bytes.len(),
        Bson::RegularExpression(regex) => regex.pattern.as_str().len() + regex.options.as_str().len(),
        Bson::JavaScriptCodeWithScope(code) => code.code.len() + document_size(&code.scope),
        _ => 0,
    }
}

/// About how many bytes of memory the fields of a document take.
#[must_use]
pub fn document_size(document: &Document) -> usize {
    // A field's name, its hash and its place in the table.
    const FIELD: usize = 48;
    document
        .iter()
        .map(|(name, value)| FIELD + name.len() + value_size(value))
        .sum()
}

/// If a value nests no deeper than `levels` containers.
#[must_use]
pub fn depth_within(value: &Bson, levels: usize) -> bool {
    match value {
        Bson::Array(elements) => {
            levels > 0 && elements.iter().all(|element| depth_within(element, levels - 1))
        }
        Bson::Document(document) => {
            levels > 0 && document.values().all(|element| depth_within(element, levels - 1))
        }
        _ => true,
    }
}

/// Refuses a value that nests too deep.
pub(super) fn check_depth(value: &Bson) -> Result<()> {
    if depth_within(value, MAX_DEPTH) {
        return Ok(());
    }
    fail(
        code::OVERFLOW,
        format!("BSONObj exceeds maximum nested object depth: {MAX_DEPTH}"),
    )
}

/// Counts the bytes of a value under construction.
#[derive(Default)]
pub(super) struct Meter {
    bytes: usize,
}

impl Meter {
    /// Counts a part; refuses what makes the whole too large. `operator` is what builds it.
    pub(super) fn add(&mut self, part: &Bson, operator: &str) -> Result<()> {
        self.add_bytes(value_size(part), operator)
    }

    /// Counts bytes.
    pub(super) fn add_bytes(&mut self, bytes: usize, operator: &str) -> Result<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > MAX_VALUE_BYTES {
            return fail(
                code::EXCEEDED_MEMORY_LIMIT,
                format!("{operator} exceeded its memory limit: a value of more than {MAX_VALUE_BYTES} bytes"),
            );
        }
        Ok(())
    }
}
