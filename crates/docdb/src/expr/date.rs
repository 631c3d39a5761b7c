//! Dates: their parts, their text, and arithmetic with them, each in a time zone.

mod arithmetic;
mod text;

use bson::{Bson, Document};

use super::{
    Value,
    time::{Civil, DAY, days_from_civil, iso_year_start},
    value::{double, fail, integer, made, null, nullish, type_of},
    zone::Zone,
};
use crate::error::{Result, code};

pub(super) use self::{
    arithmetic::{add, difference, subtract, truncate},
    text::{check_format, from_string, parse_utc, to_string},
};

/// The milliseconds of what counts as a date: a date, a timestamp, an ObjectId.
pub(super) fn millis(value: &Bson) -> Option<i64> {
    match value {
        Bson::DateTime(time) => Some(time.timestamp_millis()),
        Bson::Timestamp(timestamp) => Some(i64::from(timestamp.time) * 1000),
        Bson::ObjectId(id) => Some(id.timestamp().timestamp_millis()),
        _ => None,
    }
}

fn required_millis(value: &Value<'_>) -> Result<i64> {
    value.as_deref().and_then(millis).map_or_else(
        || {
            fail(
                16006,
                format!("can't convert from BSON type {} to Date", type_of(value)),
            )
        },
        Ok,
    )
}

fn slot<'v, 'a>(values: &'v [Option<Value<'a>>], at: usize) -> Option<&'v Value<'a>> {
    values.get(at).and_then(Option::as_ref)
}

macro_rules! parts {
    ($($name:ident $of:expr;)*) => {
        $(pub(super) fn $name(values: Vec<Option<Value<'_>>>) -> Result<Value<'_>> {
            part(&values, $of)
        })*
    };
}

parts! {
    year |at| Bson::Int32(at.year as i32);
    month |at| Bson::Int32(at.month as i32);
    day_of_month |at| Bson::Int32(at.day as i32);
    day_of_week |at| Bson::Int32(at.day_of_week() as i32);
    day_of_year |at| Bson::Int32(at.day_of_year() as i32);
    hour |at| Bson::Int32(at.hour() as i32);
    minute |at| Bson::Int32(at.minute() as i32);
    second |at| Bson::Int32(at.second() as i32);
    millisecond |at| Bson::Int32(at.millisecond() as i32);
    week |at| Bson::Int32(at.week() as i32);
    iso_week |at| Bson::Int32(at.iso_week() as i32);
    iso_week_year |at| Bson::Int64(at.iso_year());
    iso_day_of_week |at| Bson::Int32(at.iso_day_of_week() as i32);
}

fn part<'a>(values: &[Option<Value<'_>>], of: fn(&Civil) -> Bson) -> Result<Value<'a>> {
    let date = slot(values, 0).unwrap_or(&None);
    if nullish(date) {
        return null();
    }
    let millis = required_millis(date)?;
    match Zone::of(slot(values, 1))? {
        None => null(),
        Some(zone) => made(of(&zone.civil(millis))),
    }
}

pub(super) fn to_parts(values: Vec<Option<Value<'_>>>) -> Result<Value<'_>> {
    let date = slot(&values, 0).unwrap_or(&None);
    let Some(zone) = Zone::of(slot(&values, 1))? else {
        return null();
    };
    let iso = match slot(&values, 2).map(|iso| (iso, nullish(iso))) {
        Some((_, true)) => return null(),
        Some((iso, false)) => match iso.as_deref() {
            Some(Bson::Boolean(iso)) => *iso,
            _ => {
                return fail(
                    40521,
                    format!("iso8601 must evaluate to a bool, found {}", type_of(iso)),
                );
            }
        },
        None => false,
    };
    if nullish(date) {
        return null();
    }
    let at = zone.civil(required_millis(date)?);
    let mut parts = Document::new();
    let fields = if iso {
        [
            ("isoWeekYear", at.iso_year()),
            ("isoWeek", at.iso_week()),
            ("isoDayOfWeek", at.iso_day_of_week()),
        ]
    } else {
        [("year", at.year), ("month", at.month), ("day", at.day)]
    };
    let time = [
        ("hour", at.hour()),
        ("minute", at.minute()),
        ("second", at.second()),
        ("millisecond", at.millisecond()),
    ];
    for (name, value) in fields.into_iter().chain(time) {
        parts.insert(name, value as i32);
    }
    made(parts)
}

/// The slots of `$dateFromParts`.
pub(super) const PARTS: [&str; 11] = [
    "year",
    "isoWeekYear",
    "month",
    "isoWeek",
    "day",
    "isoDayOfWeek",
    "hour",
    "minute",
    "second",
    "millisecond",
    "timezone",
];

pub(super) fn from_parts(values: Vec<Option<Value<'_>>>) -> Result<Value<'_>> {
    let Some(zone) = Zone::of(slot(&values, 10))? else {
        return null();
    };
    let mut numbers = [0_i64; 10];
    for (at, name) in PARTS.iter().enumerate().take(10) {
        let default = i64::from((2..6).contains(&at));
        numbers[at] = match slot(&values, at) {
            None => default,
            Some(value) if nullish(value) => return null(),
            Some(value) => part_number(value, name, at)?,
        };
    }
    let [
        year,
        iso_year,
        month,
        week,
        day,
        iso_day,
        hour,
        minute,
        second,
        millisecond,
    ] = numbers;
    let days = if slot(&values, 1).is_some() {
        iso_year_start(iso_year) + (week - 1) * 7 + iso_day - 1
    } else {
        days_from_civil(year, month, 1) + day - 1
    };
    let local = second
        .checked_mul(1000)
        .and_then(|millis| millis.checked_add(millisecond))
        .and_then(|millis| millis.checked_add(days * DAY + (hour * 60 + minute) * 60_000));
    match local {
        Some(local) => made(bson::DateTime::from_millis(zone.instant(local))),
        None => fail(code::OVERFLOW, "$dateFromParts: the date is out of range"),
    }
}

fn part_number(value: &Value<'_>, name: &str, at: usize) -> Result<i64> {
    let Some(number) = value.as_deref().and_then(integer) else {
        return fail(
            40515,
            format!(
                "'{name}' must evaluate to an integer, found {} with value {}",
                type_of(value),
                shown(value)
            ),
        );
    };
    match at {
        0 | 1 if !(1..=9999).contains(&number) => fail(
            if at == 0 { 40523 } else { 31095 },
            format!("'{name}' must evaluate to an integer in the range 1 to 9999, found {number}"),
        ),
        2..8 if !(-32_768..=32_767).contains(&number) => fail(
            31034,
            format!(
                "'{name}' must evaluate to a value in the range [-32768, 32767]; value {number} is not in range"
            ),
        ),
        _ => Ok(number),
    }
}

fn shown(value: &Value<'_>) -> String {
    value
        .as_deref()
        .and_then(double)
        .map_or_else(String::new, |number| number.to_string())
}
