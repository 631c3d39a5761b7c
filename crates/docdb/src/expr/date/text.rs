//! `$dateToString` and `$dateFromString`.

use std::fmt::Write as _;

use bson::{Bson, DateTime};

use super::{required_millis, slot};
use crate::{
    Error,
    error::{Result, code},
    expr::{
        Value,
        time::{Parts, is_weekday, month_name, month_number},
        value::{fail, made, null, nullish, type_of},
        zone::{self, Zone},
    },
};

const FORMAT: &str = "%Y-%m-%dT%H:%M:%S.%LZ";
/// With a zone that is not UTC, the text does not end in Z.
const ZONED_FORMAT: &str = "%Y-%m-%dT%H:%M:%S.%L";

/// Slots: date, format, timezone, onNull.
pub(in crate::expr) fn to_string(mut values: Vec<Option<Value<'_>>>) -> Result<Value<'_>> {
    let on_null = values.pop().flatten();
    let format = match slot(&values, 1) {
        None => None,
        Some(format) if nullish(format) => return null(),
        Some(format) => match format.as_deref() {
            Some(Bson::String(format)) => {
                check_format(format, "dGHjLmMSwuUVYzZbB%")?;
                Some(format.clone())
            }
            _ => {
                return fail(
                    18533,
                    format!(
                        "$dateToString requires that 'format' be a string, found: {}",
                        type_of(format)
                    ),
                );
            }
        },
    };
    let Some(zone) = Zone::of(slot(&values, 2))? else {
        return null();
    };
    let date = slot(&values, 0).unwrap_or(&None);
    if nullish(date) {
        return on_null.map_or_else(null, Ok);
    }
    let millis = required_millis(date)?;
    let format = format.unwrap_or_else(|| if zone.is_utc() { FORMAT } else { ZONED_FORMAT }.to_owned());
    made(formatted(&format, millis, &zone)?)
}

/// Refuses specifiers that are not among `known`.
pub(in crate::expr) fn check_format(format: &str, known: &str) -> Result<()> {
    let mut chars = format.chars();
    while let Some(char) = chars.next() {
        if char == '%' {
            match chars.next() {
                None => return fail(18535, "Unmatched '%' at end of format string"),
                Some(specifier) if known.contains(specifier) => {}
                Some(specifier) => {
                    return fail(
                        18536,
                        format!("Invalid format character '%{specifier}' in format string"),
                    );
                }
            }
        }
    }
    Ok(())
}

fn formatted(format: &str, millis: i64, zone: &Zone) -> Result<String> {
    let at = zone.civil(millis);
    let mut out = String::with_capacity(format.len() + 16);
    let mut chars = format.chars();
    while let Some(char) = chars.next() {
        if char != '%' {
            out.push(char);
            continue;
        }
        let four_digits = |year: i64| {
            if (0..=9999).contains(&year) {
                Ok(year)
            } else {
                fail(
                    18537,
                    format!("$dateToString is only defined on year 0-9999, tried to use year {year}"),
                )
            }
        };
        // Writing to a string does not fail.
        let _ = match chars.next() {
            Some('d') => write!(out, "{:02}", at.day),
            Some('m') => write!(out, "{:02}", at.month),
            Some('b') => write!(out, "{}", month_name(at.month).get(..3).unwrap_or_default()),
            Some('B') => write!(out, "{}", month_name(at.month)),
            Some('Y') => write!(out, "{:04}", four_digits(at.year)?),
            Some('G') => write!(out, "{:04}", four_digits(at.iso_year())?),
            Some('H') => write!(out, "{:02}", at.hour()),
            Some('M') => write!(out, "{:02}", at.minute()),
            Some('S') => write!(out, "{:02}", at.second()),
            Some('L') => write!(out, "{:03}", at.millisecond()),
            Some('j') => write!(out, "{:03}", at.day_of_year()),
            Some('w') => write!(out, "{}", at.day_of_week()),
            Some('u') => write!(out, "{}", at.iso_day_of_week()),
            Some('U') => write!(out, "{:02}", at.week()),
            Some('V') => write!(out, "{:02}", at.iso_week()),
            Some('z') => {
                let minutes = zone.offset_at(millis) / 60;
                let sign = if minutes < 0 { '-' } else { '+' };
                write!(out, "{sign}{:02}{:02}", minutes.abs() / 60, minutes.abs() % 60)
            }
            Some('Z') => write!(out, "{}", zone.offset_at(millis) / 60),
            Some(other) => write!(out, "{other}"),
            None => Ok(()),
        };
    }
    Ok(out)
}

/// Slots: dateString, format, timezone, onNull, onError.
pub(in crate::expr) fn from_string(mut values: Vec<Option<Value<'_>>>) -> Result<Value<'_>> {
    let on_error = values.pop().flatten();
    let on_null = values.pop().flatten();
    let Some(zone) = Zone::of(slot(&values, 2))? else {
        return null();
    };
    let format = match slot(&values, 1) {
        None => None,
        Some(format) if nullish(format) => Some(None),
        Some(format) => match format.as_deref() {
            Some(Bson::String(format)) => {
                check_format(format, "dGHjLmMSuVYzZbB%")?;
                Some(Some(format.as_str()))
            }
            _ => {
                return fail(
                    40684,
                    format!(
                        "$dateFromString requires that 'format' be a string, found: {}",
                        type_of(format)
                    ),
                );
            }
        },
    };
    let text = slot(&values, 0).unwrap_or(&None);
    if nullish(text) {
        return on_null.map_or_else(null, Ok);
    }
    let parsed = match (text.as_deref(), format) {
        (Some(Bson::String(_)), Some(None)) => return null(),
        (Some(Bson::String(text)), format) => parse(text, format.flatten(), &zone),
        _ => fail(
            code::CONVERSION_FAILURE,
            format!(
                "$dateFromString requires that 'dateString' be a string, found: {}",
                type_of(text)
            ),
        ),
    };
    match (parsed, on_error) {
        (Ok(millis), _) => made(DateTime::from_millis(millis)),
        (Err(_), Some(on_error)) => Ok(on_error),
        (Err(error), None) => Err(error),
    }
}

fn refused(text: &str, why: &str) -> Error {
    Error::new(
        code::CONVERSION_FAILURE,
        format!("Error parsing date string '{text}'; {why}"),
    )
}

fn parse(text: &str, format: Option<&str>, zone: &Zone) -> Result<i64> {
    let parts = match format {
        Some(format) => by_format(text, format),
        None => freely(text),
    };
    let parts = parts.ok_or_else(|| refused(text, "unexpected characters"))?;
    let local = parts
        .local()
        .ok_or_else(|| refused(text, "the date is incomplete or does not exist"))?;
    match parts.offset {
        None => Ok(zone.instant(local)),
        Some(_) if !zone.is_utc() => Err(Error::new(
            code::CONVERSION_FAILURE,
            format!(
                "you cannot pass in a date/time string with time zone information ('{text}') together with a timezone argument"
            ),
        )),
        Some(offset) => Ok(local - offset * 1000),
    }
}

/// The time that a text says, in UTC where it names no zone: what `$toDate` takes.
pub(in crate::expr) fn parse_utc(text: &str) -> Result<i64> {
    parse(text, None, &Zone::Utc)
}

/// Takes digits from the front, at least one and at most `most`.
fn digits(text: &mut &str, most: usize) -> Option<i64> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let number = text
        .get(..count)
        .filter(|digits| !digits.is_empty())?
        .parse()
        .ok()?;
    *text = text.get(count..)?;
    Some(number)
}

fn by_format(text: &str, format: &str) -> Option<Parts> {
    let mut rest = text;
    let mut parts = Parts::default();
    let mut chars = format.chars();
    while let Some(char) = chars.next() {
        if char != '%' {
            rest = rest.strip_prefix(char)?;
            continue;
        }
        match chars.next()? {
            'd' => parts.day = Some(digits(&mut rest, 2)?),
            'm' => parts.month = Some(digits(&mut rest, 2)?),
            'Y' => parts.year = Some(exactly_four(&mut rest)?),
            'G' => parts.iso_year = Some(exactly_four(&mut rest)?),
            'V' => parts.iso_week = Some(digits(&mut rest, 2)?),
            'u' => parts.iso_day = Some(digits(&mut rest, 1)?),
            'j' => parts.day_of_year = Some(digits(&mut rest, 3)?),
            'H' => parts.hour = digits(&mut rest, 2)?,
            'M' => parts.minute = digits(&mut rest, 2)?,
            'S' => parts.second = digits(&mut rest, 2)?,
            'L' => parts.millisecond = digits(&mut rest, 3)?,
            'b' | 'B' => parts.month = Some(month(&mut rest)?),
            'z' => {
                let length = if rest.get(3..4) == Some(":") { 6 } else { 5 };
                let taken = rest.get(..length)?;
                parts.offset = Some(zone::offset(taken)?);
                rest = rest.get(length..)?;
            }
            'Z' => {
                let sign = if rest.starts_with('-') { -1 } else { 1 };
                rest = rest.strip_prefix(['+', '-'])?;
                parts.offset = Some(sign * digits(&mut rest, 4)? * 60);
            }
            '%' => rest = rest.strip_prefix('%')?,
            _ => return None,
        }
    }
    rest.is_empty().then_some(parts)
}

fn exactly_four(rest: &mut &str) -> Option<i64> {
    let before = rest.len();
    let year = digits(rest, 4)?;
    (before - rest.len() == 4).then_some(year)
}

fn month(rest: &mut &str) -> Option<i64> {
    let length = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
    let month = month_number(rest.get(..length)?)?;
    *rest = rest.get(length..)?;
    Some(month)
}

/// A text without a format: ISO 8601, and the common ways to write a date in English.
fn freely(text: &str) -> Option<Parts> {
    let mut parts = Parts::default();
    let mut rest = text.trim();
    let mut timed = false;
    // Whatever stands in a text takes at least one character, so this ends.
    while !rest.is_empty() {
        let before = rest.len();
        rest = rest.trim_start_matches([' ', ',', '\t']);
        if rest.is_empty() {
            break;
        }
        let first = rest.chars().next()?;
        if first.is_ascii_alphabetic() {
            word(&mut rest, &mut parts)?;
        } else if timed && matches!(first, '+' | '-') {
            let length = rest
                .bytes()
                .skip(1)
                .take_while(|byte| byte.is_ascii_digit() || *byte == b':')
                .count()
                + 1;
            if parts.offset.replace(zone::offset(rest.get(..length)?)?).is_some() {
                return None;
            }
            rest = rest.get(length..)?;
        } else if first.is_ascii_digit() {
            timed |= number(&mut rest, &mut parts, timed)?;
        } else {
            return None;
        }
        if rest.len() == before {
            return None;
        }
    }
    // A time alone is no date.
    parts.year?;
    parts.month.get_or_insert(1);
    parts.day.get_or_insert(1);
    Some(parts)
}

fn word(rest: &mut &str, parts: &mut Parts) -> Option<()> {
    let length = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
    let word = rest.get(..length)?.to_ascii_lowercase();
    *rest = rest.get(length..)?;
    let offset = match word.as_str() {
        "z" | "utc" | "gmt" => Some(0),
        "est" => Some(-5),
        "edt" => Some(-4),
        "cst" => Some(-6),
        "cdt" => Some(-5),
        "mst" => Some(-7),
        "mdt" => Some(-6),
        "pst" => Some(-8),
        "pdt" => Some(-7),
        "bst" => Some(1),
        "cet" => Some(1),
        "cest" => Some(2),
        _ => None,
    };
    if let Some(offset) = offset {
        return parts.offset.replace(offset * 3600).is_none().then_some(());
    }
    match word.as_str() {
        "t" | "st" | "nd" | "rd" | "th" | "of" => {}
        "am" if parts.hour <= 12 => parts.hour %= 12,
        "pm" if parts.hour <= 12 => parts.hour = parts.hour % 12 + 12,
        _ if is_weekday(&word) => {}
        _ => {
            if parts.month.replace(month_number(&word)?).is_some() {
                return None;
            }
        }
    }
    *rest = rest.strip_prefix('.').unwrap_or(rest);
    Some(())
}

/// A run that begins with digits: a date, a time, a day, or a year. Says if it was a time.
fn number(rest: &mut &str, parts: &mut Parts, timed: bool) -> Option<bool> {
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    let after = rest.get(length..)?.chars().next();
    if after == Some(':') && length <= 2 {
        return time(rest, parts).map(|()| true);
    }
    let first_digits = rest.get(..length)?;
    match (length, after) {
        (4, Some(separator @ ('-' | '/'))) if parts.year.is_none() => {
            parts.year = Some(digits(rest, 4)?);
            *rest = rest.strip_prefix(separator)?;
            if let Some(week) = rest.strip_prefix('W') {
                *rest = week;
                parts.iso_year = parts.year;
                parts.iso_week = Some(digits(rest, 2)?);
                if let Some(day) = rest.strip_prefix('-') {
                    *rest = day;
                    parts.iso_day = Some(digits(rest, 1)?);
                }
                return Some(false);
            }
            if rest.bytes().take_while(u8::is_ascii_digit).count() == 3 {
                // The day of the year.
                parts.day_of_year = Some(digits(rest, 3)? - 1).filter(|day| *day >= 0);
                return parts.day_of_year.map(|_| false);
            }
            parts.month = Some(digits(rest, 2)?);
            if let Some(behind) = rest.strip_prefix(separator) {
                *rest = behind;
                parts.day = Some(digits(rest, 2)?);
            }
        }
        // American: month first. With dashes and points the day is first.
        (1 | 2, Some(separator @ ('/' | '-' | '.'))) if parts.year.is_none() && parts.month.is_none() => {
            let one = digits(rest, 2)?;
            *rest = rest.strip_prefix(separator)?;
            let two = digits(rest, 2)?;
            *rest = rest.strip_prefix(separator)?;
            parts.year = Some(exactly_four(rest)?);
            let (month, day) = if separator == '/' { (one, two) } else { (two, one) };
            parts.month = Some(month);
            parts.day = Some(day);
        }
        (8, _) if parts.year.is_none() => {
            parts.year = first_digits.get(..4)?.parse().ok();
            parts.month = first_digits.get(4..6)?.parse().ok();
            parts.day = first_digits.get(6..)?.parse().ok();
            *rest = rest.get(8..)?;
        }
        (6, _) if !timed && parts.year.is_some() => {
            parts.hour = first_digits.get(..2)?.parse().ok()?;
            parts.minute = first_digits.get(2..4)?.parse().ok()?;
            parts.second = first_digits.get(4..)?.parse().ok()?;
            *rest = rest.get(6..)?;
            return Some(true);
        }
        (4, _) if parts.year.is_none() => parts.year = Some(digits(rest, 4)?),
        (1 | 2, _) if parts.day.is_none() => parts.day = Some(digits(rest, 2)?),
        _ => return None,
    }
    Some(false)
}

fn time(rest: &mut &str, parts: &mut Parts) -> Option<()> {
    parts.hour = digits(rest, 2)?;
    *rest = rest.strip_prefix(':')?;
    parts.minute = digits(rest, 2)?;
    if let Some(behind) = rest.strip_prefix(':') {
        *rest = behind;
        parts.second = digits(rest, 2)?;
        if let Some(behind) = rest.strip_prefix(['.', ',']) {
            let length = behind.bytes().take_while(u8::is_ascii_digit).count();
            let fraction = behind.get(..length)?;
            // The first three digits, filled up with zeros.
            parts.millisecond = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
            *rest = behind.get(length..)?;
        }
    }
    Some(())
}
