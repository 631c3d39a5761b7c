//! Key bytes: a value as bytes whose order is the order of the values, for the keys of indexes and of `_id`.
//!
//! A key opens with the rank of the type. Numbers are the nearest double, made comparable as bytes, and the distance from
//! it: int32, int64 and double of one value share a key, and int64 beyond 2^53 stay exact. Keys of several fields stand
//! behind each other, because none is the prefix of another; a descending field has all its bits inverted.

use bson::{Bson, Document};

use crate::order::{Number, Rank, rank};

/// The direction of a field in an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From small to great.
    Ascending,
    /// From great to small.
    Descending,
}

/// Appends the key of `value`.
pub fn push(out: &mut Vec<u8>, value: &Bson, direction: Direction) {
    let start = out.len();
    push_value(out, value);
    if direction == Direction::Descending {
        for byte in &mut out[start..] {
            *byte = !*byte;
        }
    }
}

/// The key of one value, ascending.
#[must_use]
pub fn of(value: &Bson) -> Vec<u8> {
    let mut out = Vec::new();
    push(&mut out, value, Direction::Ascending);
    out
}

fn push_value(out: &mut Vec<u8>, value: &Bson) {
    out.push(rank(value) as u8);
    push_payload(out, value);
}

fn push_payload(out: &mut Vec<u8>, value: &Bson) {
    match value {
        Bson::String(text) | Bson::Symbol(text) | Bson::JavaScriptCode(text) => {
            push_bytes(out, text.as_bytes())
        }
        Bson::Document(document) => push_document(out, document),
        Bson::Array(elements) => {
            for element in elements {
                out.push(MORE);
                push_value(out, element);
            }
            out.push(END);
        }
        Bson::Binary(binary) => {
            // The format holds lengths in 31 bits.
            out.extend_from_slice(&(binary.bytes.len() as u32).to_be_bytes());
            out.push(u8::from(binary.subtype));
            out.extend_from_slice(&binary.bytes);
        }
        Bson::ObjectId(id) => out.extend_from_slice(&id.bytes()),
        Bson::Boolean(flag) => out.push(u8::from(*flag)),
        Bson::DateTime(time) => push_integer(out, time.timestamp_millis()),
        Bson::Timestamp(timestamp) => {
            out.extend_from_slice(&timestamp.time.to_be_bytes());
            out.extend_from_slice(&timestamp.increment.to_be_bytes());
        }
        Bson::RegularExpression(regex) => {
            push_bytes(out, regex.pattern.as_str().as_bytes());
            push_bytes(out, regex.options.as_str().as_bytes());
        }
        Bson::DbPointer(pointer) => push_bytes(out, format!("{pointer:?}").as_bytes()),
        Bson::JavaScriptCodeWithScope(code) => {
            push_bytes(out, code.code.as_bytes());
            push_document(out, &code.scope);
        }
        Bson::Undefined | Bson::Null | Bson::MinKey | Bson::MaxKey => {}
        Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_) => {
            if let Some(number) = Number::of(value) {
                push_number(out, number);
            }
        }
    }
}

const MORE: u8 = 1;
const END: u8 = 0;

fn push_document(out: &mut Vec<u8>, document: &Document) {
    for (name, value) in document {
        out.push(MORE);
        out.push(rank(value) as u8);
        push_bytes(out, name.as_bytes());
        push_payload(out, value);
    }
    out.push(END);
}

/// Zero bytes are escaped, so that the end, two zeros, is below every continuation.
fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    for &byte in bytes {
        out.push(byte);
        if byte == 0 {
            out.push(0xff);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

/// If `key` is the ascending key of one string, number or ObjectId, and not the beginning of several keys: of the types that
/// an `_id` has.
#[must_use]
pub fn is_of_one_value(key: &[u8]) -> bool {
    const STRING: u8 = Rank::String as u8;
    const NUMBER: u8 = Rank::Number as u8;
    const OBJECT_ID: u8 = Rank::ObjectId as u8;
    match key {
        // In a text a zero byte is escaped.
        [STRING, text @ ..] => text.ends_with(&[0, 0]),
        [NUMBER, number @ ..] => number.len() == size_of::<u64>() + size_of::<i16>(),
        [OBJECT_ID, id @ ..] => id.len() == 12,
        _ => false,
    }
}

/// What the keys of all strings with this beginning begin with.
#[must_use]
pub fn string_prefix(prefix: &str) -> Vec<u8> {
    let mut out = vec![Rank::String as u8];
    push_bytes(&mut out, prefix.as_bytes());
    out.truncate(out.len() - 2);
    out
}

fn push_integer(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(&(number ^ i64::MIN).to_be_bytes());
}

fn push_number(out: &mut Vec<u8>, number: Number) {
    let near = number.to_f64();
    let distance = match number {
        Number::Integer(number) => i128::from(number) - near as i128,
        Number::Double(_) => 0,
    };
    let bits = if near.is_nan() {
        0
    } else {
        // -0 is 0.
        let bits = (near + 0.0).to_bits();
        if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
    };
    out.extend_from_slice(&bits.to_be_bytes());
    // A double near 2^63 is at most 1024 from the integers that round to it.
    out.extend_from_slice(&((distance as i16) ^ i16::MIN).to_be_bytes());
}

/// The bytes below every key of `rank`, and above every key of the ranks before it.
#[must_use]
pub const fn rank_start(rank: Rank) -> u8 {
    rank as u8
}

/// The bytes above every key of `rank`, and below every key of the ranks behind it.
#[must_use]
pub const fn rank_end(rank: Rank) -> u8 {
    rank as u8 + 1
}

#[cfg(test)]
mod tests;
