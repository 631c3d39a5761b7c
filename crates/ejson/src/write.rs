//! From BSON to text.

mod raw;

use std::io::Write as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bson::{Bson, Document, RawBsonRef, raw::RawBinaryRef, raw::RawRegexRef};

use crate::raw::Malformed;

/// How numbers and dates are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Every type by its name: what the SDKs send and read.
    Canonical,
    /// Plain numbers, dates as text: for people.
    Relaxed,
}

/// Appends a document from its bytes.
pub(crate) fn raw_document(out: &mut Vec<u8>, document: &[u8], style: Style) -> Result<(), Malformed> {
    out.reserve(document.len() * 2);
    raw::Writer::<false> { out, style }.document(document, 0)
}

/// Appends what the document's text reads within a literal.
pub(crate) fn raw_document_within(out: &mut Vec<u8>, document: &[u8], style: Style) -> Result<(), Malformed> {
    out.reserve(document.len() * 2);
    raw::Writer::<true> { out, style }.document(document, 0)
}

pub(crate) fn document(out: &mut Vec<u8>, document: &Document, style: Style) {
    out.push(b'{');
    for (at, (name, member)) in document.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        json::write_string(out, name);
        out.push(b':');
        value(out, member, style);
    }
    out.push(b'}');
}

pub(crate) fn value(out: &mut Vec<u8>, bson: &Bson, style: Style) {
    let leaf = match bson {
        Bson::Document(inner) => return document(out, inner, style),
        Bson::Array(elements) => {
            out.push(b'[');
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                value(out, element, style);
            }
            out.push(b']');
            return;
        }
        Bson::JavaScriptCodeWithScope(code) => {
            out.extend_from_slice(b"{\"$code\":");
            json::write_string(out, &code.code);
            out.extend_from_slice(b",\"$scope\":");
            document(out, &code.scope, style);
            out.push(b'}');
            return;
        }
        Bson::DbPointer(_) => return pointer(out, bson),
        Bson::Double(number) => RawBsonRef::Double(*number),
        Bson::String(text) => RawBsonRef::String(text),
        Bson::Boolean(flag) => RawBsonRef::Boolean(*flag),
        Bson::Null => RawBsonRef::Null,
        Bson::RegularExpression(regex) => RawBsonRef::RegularExpression(RawRegexRef {
            pattern: &regex.pattern,
            options: &regex.options,
        }),
        Bson::JavaScriptCode(code) => RawBsonRef::JavaScriptCode(code),
        Bson::Int32(number) => RawBsonRef::Int32(*number),
        Bson::Int64(number) => RawBsonRef::Int64(*number),
        Bson::Timestamp(timestamp) => RawBsonRef::Timestamp(*timestamp),
        Bson::Binary(binary) => RawBsonRef::Binary(RawBinaryRef {
            subtype: binary.subtype,
            bytes: &binary.bytes,
        }),
        Bson::ObjectId(id) => RawBsonRef::ObjectId(*id),
        Bson::DateTime(time) => RawBsonRef::DateTime(*time),
        Bson::Symbol(text) => RawBsonRef::Symbol(text),
        Bson::Decimal128(number) => RawBsonRef::Decimal128(*number),
        Bson::Undefined => RawBsonRef::Undefined,
        Bson::MaxKey => RawBsonRef::MaxKey,
        Bson::MinKey => RawBsonRef::MinKey,
    };
    scalar(out, leaf, style);
}

/// What is neither a document nor an array, nor holds one.
fn scalar(out: &mut Vec<u8>, value: RawBsonRef<'_>, style: Style) {
    match value {
        RawBsonRef::Null => out.extend_from_slice(b"null"),
        RawBsonRef::Boolean(true) => out.extend_from_slice(b"true"),
        RawBsonRef::Boolean(false) => out.extend_from_slice(b"false"),
        RawBsonRef::String(text) => json::write_string(out, text),
        RawBsonRef::Int32(number) => integer_of(out, b"{\"$numberInt\":\"", i64::from(number), style),
        RawBsonRef::Int64(number) => integer_of(out, b"{\"$numberLong\":\"", number, style),
        RawBsonRef::Double(number) => {
            if style == Style::Relaxed && number.is_finite() {
                double(out, number);
            } else {
                out.extend_from_slice(b"{\"$numberDouble\":\"");
                double(out, number);
                out.extend_from_slice(b"\"}");
            }
        }
        RawBsonRef::DateTime(time) => {
            let millis = time.timestamp_millis();
            if style == Style::Relaxed && date_has_text(millis) {
                out.extend_from_slice(b"{\"$date\":\"");
                date(out, millis);
                out.extend_from_slice(b"\"}");
            } else {
                out.extend_from_slice(b"{\"$date\":{\"$numberLong\":\"");
                integer(out, millis);
                out.extend_from_slice(b"\"}}");
            }
        }
        RawBsonRef::ObjectId(id) => {
            out.extend_from_slice(b"{\"$oid\":\"");
            hex(out, &id.bytes());
            out.extend_from_slice(b"\"}");
        }
        RawBsonRef::Binary(binary) => {
            out.extend_from_slice(b"{\"$binary\":{\"base64\":\"");
            out.extend_from_slice(BASE64_STANDARD.encode(binary.bytes).as_bytes());
            out.extend_from_slice(b"\",\"subType\":\"");
            hex(out, &[u8::from(binary.subtype)]);
            out.extend_from_slice(b"\"}}");
        }
        RawBsonRef::RegularExpression(regex) => {
            out.extend_from_slice(b"{\"$regularExpression\":{\"pattern\":");
            json::write_string(out, regex.pattern.as_str());
            out.extend_from_slice(b",\"options\":");
            json::write_string(out, regex.options.as_str());
            out.extend_from_slice(b"}}");
        }
        RawBsonRef::Timestamp(timestamp) => {
            out.extend_from_slice(b"{\"$timestamp\":{\"t\":");
            integer(out, i64::from(timestamp.time));
            out.extend_from_slice(b",\"i\":");
            integer(out, i64::from(timestamp.increment));
            out.extend_from_slice(b"}}");
        }
        RawBsonRef::Decimal128(number) => {
            out.extend_from_slice(b"{\"$numberDecimal\":");
            json::write_string(out, &number.to_string());
            out.push(b'}');
        }
        RawBsonRef::JavaScriptCode(code) => {
            out.extend_from_slice(b"{\"$code\":");
            json::write_string(out, code);
            out.push(b'}');
        }
        RawBsonRef::Symbol(text) => {
            out.extend_from_slice(b"{\"$symbol\":");
            json::write_string(out, text);
            out.push(b'}');
        }
        RawBsonRef::Undefined => out.extend_from_slice(b"{\"$undefined\":true}"),
        RawBsonRef::MinKey => out.extend_from_slice(b"{\"$minKey\":1}"),
        RawBsonRef::MaxKey => out.extend_from_slice(b"{\"$maxKey\":1}"),
        // These hold values, and are written where they are met.
        RawBsonRef::Document(_)
        | RawBsonRef::Array(_)
        | RawBsonRef::JavaScriptCodeWithScope(_)
        | RawBsonRef::DbPointer(_) => {}
    }
}

/// The parts of this outdated type are private to `bson`; its text form shows them: `DbPointer(namespace, id)`.
fn pointer(out: &mut Vec<u8>, value: &Bson) {
    let text = value.to_string();
    let parts = text
        .strip_prefix("DbPointer(")
        .and_then(|text| text.strip_suffix(')'))
        .and_then(|text| text.rsplit_once(", "))
        .unwrap_or_default();
    out.extend_from_slice(b"{\"$dbPointer\":{\"$ref\":");
    json::write_string(out, parts.0);
    out.extend_from_slice(b",\"$id\":{\"$oid\":");
    json::write_string(out, parts.1);
    out.extend_from_slice(b"}}}");
}

fn integer_of(out: &mut Vec<u8>, open: &[u8], number: i64, style: Style) {
    if style == Style::Relaxed {
        return integer(out, number);
    }
    out.extend_from_slice(open);
    integer(out, number);
    out.extend_from_slice(b"\"}");
}

fn integer(out: &mut Vec<u8>, number: i64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

/// The shortest text that reads back as the same double.
fn double(out: &mut Vec<u8>, number: f64) {
    if number.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if number.is_infinite() {
        out.extend_from_slice(if number > 0.0 { b"Infinity" } else { b"-Infinity" });
    } else if number.fract() == 0.0 && number.abs() < 1e15 && (number != 0.0 || number.is_sign_positive()) {
        // Most doubles that JavaScript sends are whole.
        integer(out, number as i64);
        out.extend_from_slice(b".0");
    } else {
        // Writing to memory cannot fail.
        let _ = write!(out, "{number:?}");
    }
}

/// Whether a date has a text in the relaxed form: the years 1970 to 9999, as the specification says.
fn date_has_text(millis: i64) -> bool {
    (0..=253_402_300_799_999).contains(&millis)
}

/// A date that has a text: `2023-11-14T22:13:20.5Z`, a fraction where there is one and no longer than it need be.
fn date(out: &mut Vec<u8>, millis: i64) {
    let millis = millis.unsigned_abs();
    let (days, rest) = (millis / 86_400_000, millis % 86_400_000);
    // Years that begin in March, in eras of 400, as their last day is the one that may be missing.
    let day = days + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = era * 400 + year + next;
    digits::<4>(out, year);
    for (mark, part) in [
        (b'-', month),
        (b'-', day),
        (b'T', rest / 3_600_000),
        (b':', rest / 60_000 % 60),
        (b':', rest / 1000 % 60),
    ] {
        out.push(mark);
        digits::<2>(out, part);
    }
    if rest % 1000 > 0 {
        out.push(b'.');
        digits::<3>(out, rest % 1000);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    out.push(b'Z');
}

/// A number in as many digits.
fn digits<const N: usize>(out: &mut Vec<u8>, mut number: u64) {
    let mut text = [b'0'; N];
    for digit in text.iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&text);
}

fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(base16ct::lower::encode_string(bytes).as_bytes());
}
