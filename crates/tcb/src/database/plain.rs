//! Values as SDKs before 2.1 wrote them: plain JSON, `{"$date":ms}`, `{"$date":{"offset":ms}}` for the server's time.

use std::io::Write;

use bson::{Bson, DateTime, Document, RawArray, RawBsonRef, RawDocument};
use serde_json::Value;

/// What a plain JSON value stands for. A server date stays a document, as [`server_dates`](super::request::server_dates)
/// fills them all in.
pub(super) fn read(value: Value) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(flag) => Bson::Boolean(flag),
        Value::Number(number) => match number.as_i64() {
            Some(number) => i32::try_from(number).map_or(Bson::Int64(number), Bson::Int32),
            None => number.as_f64().map_or(Bson::Null, Bson::Double),
        },
        Value::String(text) => Bson::String(text),
        Value::Array(values) => Bson::Array(values.into_iter().map(read).collect()),
        Value::Object(members) => {
            if members.len() == 1
                && let Some(date) = members.get("$date")
                && let Some(milliseconds) = date.as_i64().or_else(|| date.as_f64().map(|date| date as i64))
            {
                return Bson::DateTime(DateTime::from_millis(milliseconds));
            }
            Bson::Document(
                members
                    .into_iter()
                    .map(|(name, value)| (name, read(value)))
                    .collect(),
            )
        }
    }
}

/// Appends a document as plain JSON. What JSON cannot hold becomes what JavaScript makes of it: `null` for NaN and infinities,
/// the hex digits of an ObjectId, and nothing more than its type's name for what no SDK can have written.
pub fn write_document(out: &mut Vec<u8>, document: &RawDocument) {
    out.push(b'{');
    let mut first = true;
    for (name, value) in document.iter().flatten() {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        json::write_string(out, name.as_str());
        out.push(b':');
        write(out, value);
    }
    out.push(b'}');
}

fn write_array(out: &mut Vec<u8>, array: &RawArray) {
    out.push(b'[');
    let mut first = true;
    for value in array.into_iter().flatten() {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        write(out, value);
    }
    out.push(b']');
}

fn write(out: &mut Vec<u8>, value: RawBsonRef<'_>) {
    // Writing to a Vec cannot fail.
    let _ = match value {
        RawBsonRef::Document(document) => return write_document(out, document),
        RawBsonRef::Array(array) => return write_array(out, array),
        RawBsonRef::String(text) | RawBsonRef::Symbol(text) | RawBsonRef::JavaScriptCode(text) => {
            return json::write_string(out, text);
        }
        RawBsonRef::Boolean(flag) => write!(out, "{flag}"),
        RawBsonRef::Int32(number) => write!(out, "{number}"),
        RawBsonRef::Int64(number) => write!(out, "{number}"),
        RawBsonRef::Double(number) if number.is_finite() => write!(out, "{number:?}"),
        RawBsonRef::DateTime(date) => write!(out, r#"{{"$date":{}}}"#, date.timestamp_millis()),
        RawBsonRef::ObjectId(id) => write!(out, r#""{}""#, id.to_hex()),
        RawBsonRef::RegularExpression(regex) => {
            out.extend_from_slice(br#"{"$regex":"#);
            json::write_string(out, regex.pattern.as_str());
            out.extend_from_slice(br#","$options":"#);
            json::write_string(out, regex.options.as_str());
            out.push(b'}');
            return;
        }
        _ => write!(out, "null"),
    };
}

/// Appends one value of a document as plain JSON: an `_id`.
pub fn write_value(out: &mut Vec<u8>, value: &Bson) {
    let _ = match value {
        Bson::String(text) => return json::write_string(out, text),
        Bson::Int32(number) => write!(out, "{number}"),
        Bson::Int64(number) => write!(out, "{number}"),
        Bson::Double(number) if number.is_finite() => write!(out, "{number:?}"),
        Bson::ObjectId(id) => write!(out, r#""{}""#, id.to_hex()),
        Bson::Boolean(flag) => write!(out, "{flag}"),
        Bson::DateTime(date) => write!(out, r#"{{"$date":{}}}"#, date.timestamp_millis()),
        Bson::Document(document) => {
            let raw = bson::RawDocumentBuf::try_from(document).unwrap_or_default();
            return write_document(out, &raw);
        }
        _ => write!(out, "null"),
    };
}

/// Whether a document is `{<name>: …}` and nothing more.
pub(super) fn sole<'a>(document: &'a Document, name: &str) -> Option<&'a Bson> {
    if document.len() == 1 {
        document.get(name)
    } else {
        None
    }
}
