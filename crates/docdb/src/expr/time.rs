//! The calendar: milliseconds since 1970 as year, month, day, week, and back. Every int64 has a date here, far outside
//! of what a calendar library holds.

/// Milliseconds of a day.
pub(super) const DAY: i64 = 86_400_000;

/// The days from 1970-01-01 to a date of the Gregorian calendar; the month may be any number.
pub(super) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year + (month - 1).div_euclid(12);
    let month = (month - 1).rem_euclid(12) + 1;
    // Years that begin in March, so that the leap day is the last (Howard Hinnant's algorithm).
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468 + day - 1
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The Monday of week 1 of an ISO year, in days since 1970.
pub(super) fn iso_year_start(year: i64) -> i64 {
    // Week 1 holds January 4th.
    let fourth = days_from_civil(year, 1, 4);
    fourth - (weekday(fourth) + 6) % 7
}

/// 0 is Sunday.
fn weekday(days: i64) -> i64 {
    (days + 4).rem_euclid(7)
}

/// How many days a month has.
pub(super) fn days_in_month(year: i64, month: i64) -> i64 {
    days_from_civil(year, month + 1, 1) - days_from_civil(year, month, 1)
}

/// A point of time taken apart, in the zone whose offset was added.
#[derive(Clone, Copy, Debug)]
pub(super) struct Civil {
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
    days: i64,
    millis_of_day: i64,
}

impl Civil {
    /// Takes local milliseconds apart.
    pub(super) fn new(local: i64) -> Self {
        let days = local.div_euclid(DAY);
        let (year, month, day) = civil_from_days(days);
        Self {
            year,
            month,
            day,
            days,
            millis_of_day: local.rem_euclid(DAY),
        }
    }

    pub(super) const fn hour(&self) -> i64 {
        self.millis_of_day / 3_600_000
    }

    pub(super) const fn minute(&self) -> i64 {
        self.millis_of_day / 60_000 % 60
    }

    pub(super) const fn second(&self) -> i64 {
        self.millis_of_day / 1000 % 60
    }

    pub(super) const fn millisecond(&self) -> i64 {
        self.millis_of_day % 1000
    }

    /// 1 is Sunday.
    pub(super) fn day_of_week(&self) -> i64 {
        weekday(self.days) + 1
    }

    /// 1 is Monday.
    pub(super) fn iso_day_of_week(&self) -> i64 {
        (weekday(self.days) + 6) % 7 + 1
    }

    pub(super) fn day_of_year(&self) -> i64 {
        self.days - days_from_civil(self.year, 1, 1) + 1
    }

    /// Weeks begin on Sunday; the days before the first Sunday are week 0.
    pub(super) fn week(&self) -> i64 {
        (self.day_of_year() + 6 - weekday(self.days)) / 7
    }

    pub(super) fn iso_year(&self) -> i64 {
        if self.days < iso_year_start(self.year) {
            self.year - 1
        } else if self.days >= iso_year_start(self.year + 1) {
            self.year + 1
        } else {
            self.year
        }
    }

    pub(super) fn iso_week(&self) -> i64 {
        (self.days - iso_year_start(self.iso_year())) / 7 + 1
    }
}

/// A time in UTC, as MongoDB writes it: `2024-06-15T12:00:00.000Z`.
pub(super) fn iso_text(millis: i64) -> String {
    let at = Civil::new(millis);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        at.year,
        at.month,
        at.day,
        at.hour(),
        at.minute(),
        at.second(),
        at.millisecond()
    )
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

/// The English name of a month.
pub(super) fn month_name(month: i64) -> &'static str {
    usize::try_from(month - 1)
        .ok()
        .and_then(|at| MONTHS.get(at))
        .copied()
        .unwrap_or_default()
}

/// The number of a month, by its English name or the first three letters of it.
pub(super) fn month_number(name: &str) -> Option<i64> {
    let at = MONTHS.iter().position(|month| {
        month.eq_ignore_ascii_case(name)
            || name.len() == 3 && month.as_bytes()[..3].eq_ignore_ascii_case(name.as_bytes())
    })?;
    Some(at as i64 + 1)
}

/// If a word names a day of the week, whole or by three letters.
pub(super) fn is_weekday(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.len() >= 3 && WEEKDAYS.iter().any(|day| day.starts_with(&name))
}

/// A point of time under construction from a text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Parts {
    pub(super) year: Option<i64>,
    pub(super) month: Option<i64>,
    pub(super) day: Option<i64>,
    pub(super) day_of_year: Option<i64>,
    pub(super) iso_year: Option<i64>,
    pub(super) iso_week: Option<i64>,
    pub(super) iso_day: Option<i64>,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    pub(super) millisecond: i64,
    /// Seconds east of UTC, where the text says.
    pub(super) offset: Option<i64>,
}

impl Parts {
    /// The local milliseconds, if the parts are complete and a date.
    pub(super) fn local(&self) -> Option<i64> {
        let within = |value: i64, range: std::ops::RangeInclusive<i64>| range.contains(&value);
        if !within(self.hour, 0..=24) || !within(self.minute, 0..=59) || !within(self.second, 0..=59) {
            return None;
        }
        let days = if let Some(year) = self.iso_year {
            let (week, day) = (self.iso_week?, self.iso_day.unwrap_or(1));
            if !within(week, 1..=53) || !within(day, 1..=7) {
                return None;
            }
            iso_year_start(year) + (week - 1) * 7 + day - 1
        } else if let Some(day) = self.day_of_year {
            // As MongoDB does, whose first day of the year is 0 here.
            days_from_civil(self.year?, 1, 1) + day
        } else {
            let (year, month, day) = (self.year?, self.month?, self.day?);
            if !within(month, 1..=12) || !within(day, 1..=days_in_month(year, month)) {
                return None;
            }
            days_from_civil(year, month, day)
        };
        let seconds = (self.hour * 60 + self.minute) * 60 + self.second;
        Some(days * DAY + seconds * 1000 + self.millisecond)
    }
}
