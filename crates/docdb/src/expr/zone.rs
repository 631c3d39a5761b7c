//! Time zones: a name of the tz database, which is in the program, or an offset such as `+08:00`.

use std::sync::LazyLock;

use jiff::{
    Timestamp, civil,
    tz::{TimeZone, TimeZoneDatabase},
};

use super::{
    Value,
    time::Civil,
    value::{fail, nullish, type_of},
};
use crate::error::Result;

static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A time zone.
#[derive(Clone, Debug)]
pub(super) enum Zone {
    Utc,
    /// Seconds east of UTC.
    Fixed(i64),
    Named(TimeZone),
}

impl Zone {
    /// Finds a zone by its name, as written in the tz database, or by an offset: `+hh`, `+hhmm`, `+hh:mm`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        if matches!(text, "UTC" | "GMT") {
            return Ok(Self::Utc);
        }
        if let Some(seconds) = offset(text) {
            return Ok(if seconds == 0 {
                Self::Utc
            } else {
                Self::Fixed(seconds)
            });
        }
        match DATABASE.get(text) {
            // The library does not look at case; MongoDB does.
            Ok(zone) if zone.iana_name() == Some(text) => Ok(Self::Named(zone)),
            _ => fail(40485, format!("unrecognized time zone identifier: \"{text}\"")),
        }
    }

    /// The zone of a `timezone` argument; `None` where it is null.
    pub(super) fn of(argument: Option<&Value<'_>>) -> Result<Option<Self>> {
        let Some(value) = argument else {
            return Ok(Some(Self::Utc));
        };
        if nullish(value) {
            return Ok(None);
        }
        match value.as_deref() {
            Some(bson::Bson::String(text)) => Self::parse(text).map(Some),
            _ => fail(
                40517,
                format!("timezone must evaluate to a string, found {}", type_of(value)),
            ),
        }
    }

    pub(super) const fn is_utc(&self) -> bool {
        matches!(self, Self::Utc)
    }

    /// Seconds east of UTC at a time.
    pub(super) fn offset_at(&self, millis: i64) -> i64 {
        match self {
            Self::Utc => 0,
            Self::Fixed(seconds) => *seconds,
            Self::Named(zone) => {
                // Beyond the years that the library holds, the rules of its last year stand.
                let at = Timestamp::from_millisecond(millis).unwrap_or(if millis < 0 {
                    Timestamp::MIN
                } else {
                    Timestamp::MAX
                });
                i64::from(zone.to_offset(at).seconds())
            }
        }
    }

    /// A time taken apart in this zone.
    pub(super) fn civil(&self, millis: i64) -> Civil {
        Civil::new(self.local(millis))
    }

    /// The local milliseconds of a time.
    pub(super) fn local(&self, millis: i64) -> i64 {
        millis.saturating_add(self.offset_at(millis) * 1000)
    }

    /// The time of local milliseconds; what the clocks skip is moved on, what they repeat is the first.
    pub(super) fn instant(&self, local: i64) -> i64 {
        let near = local.saturating_sub(self.offset_at(local) * 1000);
        let Self::Named(zone) = self else {
            return near;
        };
        let at = Civil::new(local);
        let date = civil::DateTime::new(
            i16::try_from(at.year).unwrap_or(i16::MAX),
            at.month as i8,
            at.day as i8,
            at.hour() as i8,
            at.minute() as i8,
            at.second() as i8,
            at.millisecond() as i32 * 1_000_000,
        );
        date.ok()
            .and_then(|date| zone.to_ambiguous_timestamp(date).compatible().ok())
            .map_or(near, Timestamp::as_millisecond)
    }
}

/// The seconds of `+hh`, `+hhmm`, `+hh:mm`.
pub(super) fn offset(text: &str) -> Option<i64> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = match text.get(1..)?.split_once(':') {
        Some((hours, minutes)) if hours.len() == 2 && minutes.len() == 2 => format!("{hours}{minutes}"),
        Some(_) => return None,
        None => text.get(1..)?.to_owned(),
    };
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let hours: i64 = digits.get(..2)?.parse().ok()?;
    let minutes: i64 = digits
        .get(2..)
        .filter(|minutes| !minutes.is_empty())
        .map_or(Some(0), |minutes| minutes.parse().ok())?;
    Some(sign * (hours * 3600 + minutes * 60))
}
