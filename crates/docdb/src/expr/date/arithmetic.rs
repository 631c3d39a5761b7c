//! `$dateAdd`, `$dateSubtract`, `$dateDiff` and `$dateTrunc`.

use bson::{Bson, DateTime};

use super::{required_millis, slot};
use crate::{
    Error,
    error::{Result, code},
    expr::{
        Value,
        time::{Civil, DAY, days_from_civil, days_in_month},
        value::{fail, integer, made, null, nullish, type_of},
        zone::Zone,
    },
};

/// A unit of time; months and milliseconds are what can be counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// So many months.
    Months(i64),
    Week,
    Day,
    /// So many milliseconds, of less than a day: the clock counts, not the calendar.
    Millis(i64),
}

impl Unit {
    fn parse(value: &Value<'_>, operator: &str) -> Result<Self> {
        let Some(Bson::String(name)) = value.as_deref() else {
            return fail(
                5_439_013,
                format!(
                    "{operator} requires 'unit' to be a string, but got {}",
                    type_of(value)
                ),
            );
        };
        Ok(match name.as_str() {
            "year" => Self::Months(12),
            "quarter" => Self::Months(3),
            "month" => Self::Months(1),
            "week" => Self::Week,
            "day" => Self::Day,
            "hour" => Self::Millis(3_600_000),
            "minute" => Self::Millis(60_000),
            "second" => Self::Millis(1000),
            "millisecond" => Self::Millis(1),
            other => {
                return fail(
                    code::FAILED_TO_PARSE,
                    format!("{operator}: unknown time unit value: {other}"),
                );
            }
        })
    }
}

/// Slots: startDate, unit, amount, timezone.
pub(in crate::expr) fn add(values: Vec<Option<Value<'_>>>) -> Result<Value<'_>> {
    moved(&values, "$dateAdd", 1)
}

/// Slots as of `$dateAdd`.
pub(in crate::expr) fn subtract(values: Vec<Option<Value<'_>>>) -> Result<Value<'_>> {
    moved(&values, "$dateSubtract", -1)
}

fn moved<'a>(values: &[Option<Value<'_>>], operator: &str, sign: i64) -> Result<Value<'a>> {
    let at = |at: usize| slot(values, at).unwrap_or(&None);
    if nullish(at(0)) || nullish(at(1)) || nullish(at(2)) {
        return null();
    }
    let Some(zone) = Zone::of(slot(values, 3))? else {
        return null();
    };
    let start = required_millis(at(0))?;
    let unit = Unit::parse(at(1), operator)?;
    let amount = at(2)
        .as_deref()
        .and_then(integer)
        .and_then(|amount| amount.checked_mul(sign))
        .ok_or_else(|| {
            Error::new(
                5_166_405,
                format!("{operator} expects integer amount of time units"),
            )
        })?;
    plus(start, unit, amount, &zone).map_or_else(
        || fail(5_166_406, format!("{operator} overflowed")),
        |millis| made(DateTime::from_millis(millis)),
    )
}

/// A time some units later.
fn plus(start: i64, unit: Unit, amount: i64, zone: &Zone) -> Option<i64> {
    // Beyond, the calendar's arithmetic would leave int64.
    const MOST_DAYS: i64 = 1 << 40;
    let days = |count: i64| {
        let count = Some(count).filter(|count| count.abs() < MOST_DAYS)?;
        let local = zone.local(start).checked_add(count.checked_mul(DAY)?)?;
        Some(zone.instant(local))
    };
    match unit {
        Unit::Millis(length) => start.checked_add(amount.checked_mul(length)?),
        Unit::Day => days(amount),
        Unit::Week => days(amount.checked_mul(7)?),
        Unit::Months(length) => {
            let months = amount
                .checked_mul(length)
                .filter(|months| months.abs() < MOST_DAYS / 32)?;
            let local = zone.local(start);
            let at = Civil::new(local);
            let month = at.month + months;
            // The 31st of a month that has none is its last day.
            let day = at.day.min(days_in_month(at.year, month));
            let moved = days_from_civil(at.year, month, day).checked_mul(DAY)?;
            Some(zone.instant(moved.checked_add(local.rem_euclid(DAY))?))
        }
    }
}

/// The day that weeks begin with: 0 is Monday.
fn week_start(value: Option<&Value<'_>>) -> Result<Option<i64>> {
    let Some(value) = value else { return Ok(Some(6)) };
    if nullish(value) {
        return Ok(None);
    }
    let names = [
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
    ];
    let Some(Bson::String(name)) = value.as_deref() else {
        return fail(
            5_439_015,
            format!("'startOfWeek' must be a string, but got {}", type_of(value)),
        );
    };
    let name = name.to_ascii_lowercase();
    names
        .iter()
        .position(|day| *day == name || name.len() == 3 && day.starts_with(&name))
        .map_or_else(
            || {
                fail(
                    code::FAILED_TO_PARSE,
                    format!("unknown day of week value: {name}"),
                )
            },
            |day| Ok(Some(day as i64)),
        )
}

/// Slots: startDate, endDate, unit, timezone, startOfWeek.
pub(in crate::expr) fn difference(values: Vec<Option<Value<'_>>>) -> Result<Value<'_>> {
    let at = |at: usize| slot(&values, at).unwrap_or(&None);
    if nullish(at(0)) || nullish(at(1)) || nullish(at(2)) {
        return null();
    }
    let (Some(zone), Some(week_start)) = (Zone::of(slot(&values, 3))?, week_start(slot(&values, 4))?) else {
        return null();
    };
    let (start, end) = (required_millis(at(0))?, required_millis(at(1))?);
    let unit = Unit::parse(at(2), "$dateDiff")?;
    let count = match unit {
        // Units of the clock are counted in UTC; their borders are the same in every zone of whole minutes.
        Unit::Millis(length) => end.div_euclid(length).checked_sub(start.div_euclid(length)),
        Unit::Day => Some(zone.local(end).div_euclid(DAY) - zone.local(start).div_euclid(DAY)),
        Unit::Week => {
            // 1970-01-01 was a Thursday.
            let week = |millis: i64| (zone.local(millis).div_euclid(DAY) + 3 - week_start).div_euclid(7);
            Some(week(end) - week(start))
        }
        Unit::Months(length) => {
            let months = |millis: i64| {
                let at = zone.civil(millis);
                (at.year * 12 + at.month - 1).div_euclid(length)
            };
            Some(months(end) - months(start))
        }
    };
    count.map_or_else(|| fail(5_166_308, "$dateDiff overflowed"), made)
}

/// Slots: date, unit, binSize, timezone, startOfWeek.
pub(in crate::expr) fn truncate(values: Vec<Option<Value<'_>>>) -> Result<Value<'_>> {
    let at = |at: usize| slot(&values, at).unwrap_or(&None);
    if nullish(at(0)) || nullish(at(1)) || slot(&values, 2).is_some_and(nullish) {
        return null();
    }
    let (Some(zone), Some(week_start)) = (Zone::of(slot(&values, 3))?, week_start(slot(&values, 4))?) else {
        return null();
    };
    let millis = required_millis(at(0))?;
    let unit = Unit::parse(at(1), "$dateTrunc")?;
    let bin = match slot(&values, 2) {
        None => 1,
        Some(bin) => bin
            .as_deref()
            .and_then(integer)
            .filter(|bin| (1..=100_000_000_000).contains(bin))
            .ok_or_else(|| {
                Error::new(
                    5_439_017,
                    "$dateTrunc requires 'binSize' to be a positive whole number",
                )
            })?,
    };
    let local = zone.local(millis);
    // Bins are counted from 2000-01-01, weeks from the first start of a week then.
    let reference = days_from_civil(2000, 1, 1);
    let down = |value: i64, length: i64| value.div_euclid(length) * length;
    let start = match unit {
        Unit::Millis(length) => length.checked_mul(bin).map(|length| {
            let reference = reference * DAY;
            zone.instant(reference + down(local - reference, length))
        }),
        Unit::Day => Some(zone.instant((reference + down(local.div_euclid(DAY) - reference, bin)) * DAY)),
        Unit::Week => {
            // 2000-01-01 was a Saturday.
            let first = reference + (week_start - 5).rem_euclid(7);
            bin.checked_mul(7)
                .map(|length| zone.instant((first + down(local.div_euclid(DAY) - first, length)) * DAY))
        }
        Unit::Months(length) => length.checked_mul(bin).map(|length| {
            let at = Civil::new(local);
            let months = down((at.year - 2000) * 12 + at.month - 1, length);
            zone.instant(days_from_civil(2000, 1 + months, 1) * DAY)
        }),
    };
    start.map_or_else(
        || fail(code::OVERFLOW, "$dateTrunc overflowed"),
        |millis| made(DateTime::from_millis(millis)),
    )
}
