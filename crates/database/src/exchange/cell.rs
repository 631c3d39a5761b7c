//! A cell of CSV: what it holds as a value, and how a value is written into one.

use bson::{Bson, DateTime, RawBsonRef};
use ejson::Style;

/// What a cell holds; `None` where it is empty.
pub(super) fn read(text: &str) -> Option<Bson> {
    let guess = match text.as_bytes().first()? {
        b't' | b'f' => text.parse().ok().map(Bson::Boolean),
        b'{' | b'[' => ejson::read(text.as_bytes()).ok(),
        b'-' | b'0'..=b'9' => number(text).or_else(|| time(text)),
        _ => None,
    };
    Some(guess.unwrap_or_else(|| Bson::String(text.to_owned())))
}

/// A number, if it is written as a program would write it: then the text can be had again from it.
fn number(text: &str) -> Option<Bson> {
    if let Ok(whole) = text.parse::<i64>() {
        let same = whole.to_string() == text;
        return same.then(|| i32::try_from(whole).map_or(Bson::Int64(whole), Bson::Int32));
    }
    let number: f64 = text.parse().ok()?;
    (number.is_finite() && format!("{number:?}") == text).then_some(Bson::Double(number))
}

/// A time in UTC as JavaScript and this program write it: `2018-08-31T17:30:00.882Z`, or with fewer digits of the second.
fn time(text: &str) -> Option<Bson> {
    let (whole, fraction) = text.strip_suffix('Z')?.split_at_checked(19)?;
    let shape = whole
        .bytes()
        .map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
    if !shape.eq(*b"0000-00-00T00:00:00") {
        return None;
    }
    let digits = |text: &str| matches!(text.len(), 1..=3) && text.bytes().all(|byte| byte.is_ascii_digit());
    if !fraction.is_empty() && !fraction.strip_prefix('.').is_some_and(digits) {
        return None;
    }
    DateTime::parse_rfc3339_str(text).ok().map(Bson::DateTime)
}

/// Writes a value; null is an empty cell.
///
/// # Errors
/// Where the value is no BSON.
pub(super) fn write(out: &mut Vec<u8>, value: RawBsonRef<'_>) -> Result<(), bson::error::Error> {
    match value {
        RawBsonRef::Null | RawBsonRef::Undefined => {}
        RawBsonRef::String(text) => out.extend_from_slice(text.as_bytes()),
        RawBsonRef::DateTime(time) => match time.try_to_rfc3339_string() {
            // Years of four digits alone are read as times again.
            Ok(text) if text.as_bytes().get(4) == Some(&b'-') => out.extend_from_slice(text.as_bytes()),
            _ => in_json(out, value)?,
        },
        _ => in_json(out, value)?,
    }
    Ok(())
}

fn in_json(out: &mut Vec<u8>, value: RawBsonRef<'_>) -> Result<(), bson::error::Error> {
    ejson::write(out, &Bson::try_from(value)?, Style::Relaxed);
    Ok(())
}
