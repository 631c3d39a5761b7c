//! Strings. Places are counted in bytes or in code points, as the operator's name says; case is that of ASCII.

use std::borrow::Cow;

use bson::Bson;

use super::{
    MAX_DOCUMENT_BYTES, Value,
    time::iso_text,
    value::{fail, int32, is_number, made, null, nullish, type_of},
};
use crate::{
    Error,
    error::{Result, code},
    order::Number,
};

/// A string as it is: nothing is turned into one.
pub(super) fn string<'v>(value: &'v Value<'_>) -> Option<&'v str> {
    match value.as_deref() {
        Some(Bson::String(text) | Bson::Symbol(text)) => Some(text),
        _ => None,
    }
}

/// What string operators take for a string: nothing for null, the text of a number or a date.
fn coerced<'v>(value: &'v Value<'_>, operator: &str) -> Result<Cow<'v, str>> {
    match value.as_deref() {
        None | Some(Bson::Null | Bson::Undefined) => Ok(Cow::Borrowed("")),
        Some(Bson::String(text) | Bson::Symbol(text) | Bson::JavaScriptCode(text)) => Ok(Cow::Borrowed(text)),
        Some(Bson::DateTime(time)) => Ok(Cow::Owned(iso_text(time.timestamp_millis()))),
        Some(Bson::Double(number)) if number.is_finite() => Ok(Cow::Owned(six_digits(*number))),
        Some(number) if is_number(number) => Ok(Cow::Owned(number_text(number))),
        Some(_) => fail(
            16007,
            format!(
                "can't convert from BSON type {} to String in {operator}",
                type_of(value)
            ),
        ),
    }
}

/// The text of a number, as MongoDB writes it.
pub(super) fn number_text(number: &Bson) -> String {
    match Number::of(number) {
        Some(Number::Integer(number)) => number.to_string(),
        Some(Number::Double(number)) if number.is_nan() => "NaN".to_owned(),
        Some(Number::Double(number)) if number.is_infinite() => {
            if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
        }
        Some(Number::Double(number)) => double_text(number),
        None => String::new(),
    }
}

/// The shortest text that gives the double again, with an exponent where C's `%g` has one.
fn double_text(number: f64) -> String {
    let scientific = format!("{number:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..17).contains(&exponent) {
        return format!("{number}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// A double as C's `%g` writes it, with six digits: string operators write numbers so.
fn six_digits(number: f64) -> String {
    let scientific = format!("{number:.5e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.split_once('.') {
        Some(_) => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        None => text.to_owned(),
    };
    if (-4..6).contains(&exponent) {
        let places = usize::try_from(5 - exponent).unwrap_or(0);
        return trimmed(&format!("{number:.places$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs())
}

/// A string that was made, if it fits into a document.
fn text<'a>(text: String, operator: &str) -> Result<Value<'a>> {
    check_length(text.len(), operator)?;
    made(text)
}

fn check_length(bytes: usize, operator: &str) -> Result<()> {
    if bytes > MAX_DOCUMENT_BYTES {
        return fail(
            code::BSON_OBJECT_TOO_LARGE,
            format!("the string that {operator} builds is larger than {MAX_DOCUMENT_BYTES} bytes"),
        );
    }
    Ok(())
}

pub(super) fn concat(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let mut all = String::new();
    for value in &values {
        if nullish(value) {
            return null();
        }
        let Some(part) = string(value) else {
            return fail(
                16702,
                format!("$concat only supports strings, not {}", type_of(value)),
            );
        };
        check_length(all.len() + part.len(), "$concat")?;
        all.push_str(part);
    }
    made(all)
}

pub(super) fn to_upper(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    made(coerced(values.first().unwrap_or(&None), "$toUpper")?.to_ascii_uppercase())
}

pub(super) fn to_lower(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    made(coerced(values.first().unwrap_or(&None), "$toLower")?.to_ascii_lowercase())
}

pub(super) fn compare_ignoring_case(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let [left, right] = values.as_slice() else {
        return null();
    };
    let left = coerced(left, "$strcasecmp")?.to_ascii_uppercase();
    let right = coerced(right, "$strcasecmp")?.to_ascii_uppercase();
    made(left.as_bytes().cmp(right.as_bytes()) as i32)
}

pub(super) fn length_in_bytes(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    length(&values, "$strLenBytes", 34473, str::len)
}

pub(super) fn length_in_code_points(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    length(&values, "$strLenCP", 34471, |text| text.chars().count())
}

fn length<'a>(values: &[Value<'_>], operator: &str, code: i32, of: fn(&str) -> usize) -> Result<Value<'a>> {
    let value = values.first().unwrap_or(&None);
    match string(value) {
        Some(text) => made(of(text) as i32),
        None => fail(
            code,
            format!("{operator} requires a string argument, found: {}", type_of(value)),
        ),
    }
}

pub(super) fn substring_of_bytes(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let [value, start, length] = values.as_slice() else {
        return null();
    };
    let value = coerced(value, "$substrBytes")?;
    let number = |value: &Value<'_>, code, what| {
        // Beyond int64, and what is no whole number, is cut as C does.
        match value.as_deref().and_then(Number::of) {
            Some(Number::Integer(number)) => Ok(number),
            Some(Number::Double(number)) if number.abs() >= 9_223_372_036_854_775_808.0 => {
                fail(31109, format!("Can't coerce out of range value {number} to long"))
            }
            Some(Number::Double(number)) => Ok(number as i64),
            None => fail(
                code,
                format!(
                    "$substrBytes: {what} must be a numeric type (is BSON type {})",
                    type_of(value)
                ),
            ),
        }
    };
    let start = number(start, 16034, "starting index")?;
    let length = number(length, 16035, "length")?;
    let Ok(start) = usize::try_from(start) else {
        return fail(
            50752,
            format!("$substrBytes: starting index must be non-negative (got: {start})"),
        );
    };
    if start >= value.len() {
        if start == value.len() || value.is_empty() || start > value.len() {
            return made("");
        }
    } else if !value.is_char_boundary(start) {
        return fail(
            28656,
            "$substrBytes: Invalid range, starting index is a UTF-8 continuation byte.",
        );
    }
    // A negative length is the rest.
    let end = usize::try_from(length).map_or(value.len(), |length| {
        start.saturating_add(length).min(value.len())
    });
    if !value.is_char_boundary(end) {
        return fail(
            28657,
            "$substrBytes: Invalid range, ending index is in the middle of a UTF-8 character.",
        );
    }
    made(value.get(start..end).unwrap_or_default())
}

pub(super) fn substring_of_code_points(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let [value, start, length] = values.as_slice() else {
        return null();
    };
    let value = coerced(value, "$substrCP")?;
    let number = |value: &Value<'_>, codes: [i32; 3], what| {
        let Some(number) = value.as_deref().filter(|value| is_number(value)) else {
            return fail(
                codes[0],
                format!(
                    "$substrCP: {what} must be a numeric type (is BSON type {})",
                    type_of(value)
                ),
            );
        };
        int32(number).ok_or_else(|| {
            Error::new(
                codes[1],
                format!("$substrCP: {what} cannot be represented as a 32-bit integral value"),
            )
        })
    };
    let start = number(start, [34450, 34451, 34455], "starting index")?;
    let length = number(length, [34452, 34453, 34454], "length")?;
    let (Ok(length), start) = (usize::try_from(length), start) else {
        return fail(34454, "$substrCP: length must be a nonnegative integer.");
    };
    let Ok(start) = usize::try_from(start) else {
        return fail(
            34455,
            "$substrCP: the starting index must be nonnegative integer.",
        );
    };
    made(value.chars().skip(start).take(length).collect::<String>())
}

pub(super) fn index_of_bytes(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    index_of(&values, "$indexOfBytes", [40091, 40092], false)
}

pub(super) fn index_of_code_points(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    index_of(&values, "$indexOfCP", [40093, 40094], true)
}

fn index_of<'a>(values: &[Value<'_>], operator: &str, codes: [i32; 2], points: bool) -> Result<Value<'a>> {
    let (Some(text), Some(wanted)) = (values.first(), values.get(1)) else {
        return null();
    };
    if nullish(text) {
        return null();
    }
    let Some(text) = string(text) else {
        return fail(
            codes[0],
            format!(
                "{operator} requires a string as the first argument, found: {}",
                type_of(text)
            ),
        );
    };
    let Some(wanted) = string(wanted) else {
        return fail(
            codes[1],
            format!(
                "{operator} requires a string as the second argument, found: {}",
                type_of(wanted)
            ),
        );
    };
    let mut bounds = [0, if points { text.chars().count() } else { text.len() }];
    let end_of_text = bounds[1];
    for (at, bound) in values.iter().skip(2).enumerate().take(2) {
        let what = if at == 0 { "starting" } else { "ending" };
        let Some(number) = bound.as_deref().and_then(int32) else {
            return fail(
                40096,
                format!(
                    "{operator} requires an integral {what} index, found a value of type: {}",
                    type_of(bound)
                ),
            );
        };
        let Ok(number) = usize::try_from(number) else {
            return fail(
                40097,
                format!("{operator} requires a nonnegative {what} index, found: {number}"),
            );
        };
        bounds[at] = number;
    }
    let [start, end] = [bounds[0], bounds[1].min(end_of_text)];
    if start > end_of_text || end < start {
        return made(-1);
    }
    made(if points {
        if text.is_empty() && wanted.is_empty() {
            return made(0);
        }
        // Here, unlike among bytes, what is found need only begin before the end.
        text.char_indices()
            .take(end)
            .enumerate()
            .skip(start)
            .find(|(_, (offset, _))| text[*offset..].starts_with(wanted))
            .map_or(-1, |(at, _)| at as i32)
    } else {
        find_bytes(
            text.as_bytes().get(start..end).unwrap_or_default(),
            wanted.as_bytes(),
        )
        .map_or(-1, |at| (at + start) as i32)
    })
}

fn find_bytes(text: &[u8], wanted: &[u8]) -> Option<usize> {
    if wanted.is_empty() {
        return Some(0);
    }
    text.windows(wanted.len()).position(|window| window == wanted)
}

pub(super) fn split(values: Vec<Value<'_>>) -> Result<Value<'_>> {
    let [value, delimiter] = values.as_slice() else {
        return null();
    };
    if nullish(value) || nullish(delimiter) {
        return null();
    }
    let Some(value) = string(value) else {
        return fail(
            40085,
            format!(
                "$split requires an expression that evaluates to a string as a first argument, found: {}",
                type_of(value)
            ),
        );
    };
    let Some(delimiter) = string(delimiter) else {
        return fail(
            40086,
            format!(
                "$split requires an expression that evaluates to a string as a second argument, found: {}",
                type_of(delimiter)
            ),
        );
    };
    if delimiter.is_empty() {
        return fail(40087, "$split requires a non-empty separator");
    }
    let mut meter = super::Meter::default();
    let mut parts = Vec::new();
    for part in value.split(delimiter) {
        meter.add_bytes(size_of::<Bson>() + part.len(), "$split")?;
        parts.push(Bson::String(part.to_owned()));
    }
    made(parts)
}

pub(super) fn trim(values: Vec<Option<Value<'_>>>) -> Result<Value<'_>> {
    trimmed(&values, "$trim", true, true)
}

pub(super) fn trim_left(values: Vec<Option<Value<'_>>>) -> Result<Value<'_>> {
    trimmed(&values, "$ltrim", true, false)
}

pub(super) fn trim_right(values: Vec<Option<Value<'_>>>) -> Result<Value<'_>> {
    trimmed(&values, "$rtrim", false, true)
}

/// What `$trim` removes by default.
const WHITESPACE: &[char] = &[
    '\0', ' ', '\t', '\n', '\u{b}', '\u{c}', '\r', '\u{a0}', '\u{1680}', '\u{2000}', '\u{2001}', '\u{2002}',
    '\u{2003}', '\u{2004}', '\u{2005}', '\u{2006}', '\u{2007}', '\u{2008}', '\u{2009}', '\u{200a}',
];

fn trimmed<'a>(values: &[Option<Value<'_>>], operator: &str, left: bool, right: bool) -> Result<Value<'a>> {
    let input = values.first().and_then(Option::as_ref).unwrap_or(&None);
    let chars = values.get(1).and_then(Option::as_ref);
    if nullish(input) {
        return null();
    }
    let Some(mut text) = string(input) else {
        return fail(
            50699,
            format!(
                "{operator} requires its input to be a string, got {}",
                type_of(input)
            ),
        );
    };
    let chars: Vec<char> = match chars {
        None => WHITESPACE.to_vec(),
        Some(chars) if nullish(chars) => return null(),
        Some(chars) => match string(chars) {
            Some(chars) => chars.chars().collect(),
            None => {
                return fail(
                    50700,
                    format!(
                        "{operator} requires 'chars' to be a string, got {}",
                        type_of(chars)
                    ),
                );
            }
        },
    };
    if left {
        text = text.trim_start_matches(chars.as_slice());
    }
    if right {
        text = text.trim_end_matches(chars.as_slice());
    }
    made(text)
}

pub(super) fn replace_one(values: Vec<Option<Value<'_>>>) -> Result<Value<'_>> {
    replaced(&values, "$replaceOne", |text, find, by| {
        Ok(text.replacen(find, by, 1))
    })
}

pub(super) fn replace_all(values: Vec<Option<Value<'_>>>) -> Result<Value<'_>> {
    replaced(&values, "$replaceAll", |text, find, by| {
        let count = text.matches(find).count();
        check_length(
            text.len().saturating_add(count.saturating_mul(by.len())),
            "$replaceAll",
        )?;
        Ok(text.replace(find, by))
    })
}

fn replaced<'a>(
    values: &[Option<Value<'_>>],
    operator: &str,
    replace: fn(&str, &str, &str) -> Result<String>,
) -> Result<Value<'a>> {
    let mut parts = [""; 3];
    let mut any_null = false;
    for (at, what) in ["input", "find", "replacement"].into_iter().enumerate() {
        let value = values.get(at).and_then(Option::as_ref).unwrap_or(&None);
        if nullish(value) {
            any_null = true;
        } else if let Some(part) = string(value) {
            parts[at] = part;
        } else {
            return fail(
                [51746, 51745, 51744][at],
                format!(
                    "{operator} requires that '{what}' be a string, found: {}",
                    type_of(value)
                ),
            );
        }
    }
    if any_null {
        return null();
    }
    text(replace(parts[0], parts[1], parts[2])?, operator)
}
