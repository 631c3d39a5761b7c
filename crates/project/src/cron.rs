//! When a timer fires. A timer's `config` has seven fields (WeChat's document "定时触发器"): second, minute, hour, day, month,
//! weekday and year, with `,` `-` `*` `/` and the English abbreviations of months and weekdays.
//!
//! The grammar is read here, and strictly: WeChat does not take what other crons take besides (`?`, `L`, `7` for Sunday,
//! a step wider than its field), or gives it another meaning. croner finds the next moment. Where both a day and a
//! weekday are given, either of them suffices, as the document says. Where clocks are put forward, a timer of the lost
//! hour fires right after it; where they are put back, a timer with a fixed hour fires once.

mod mend;

use std::ops::RangeInclusive;

use croner::parser::{CronParser, Seconds, Year};
use jiff::{Timestamp, tz::TimeZone};
use wording::{Wording, wording};

/// The moments at which a timer fires, to the second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron(croner::Cron);

/// Why a text is no cron expression, and the mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {mend}")]
pub struct BadCron {
    /// What is wrong.
    pub what: Wording,
    /// What to write instead.
    pub mend: Wording,
}

impl BadCron {
    fn new(what: Wording, mend: Wording) -> Self {
        Self { what, mend }
    }
}

/// One of the seven fields.
struct Field {
    name_en: &'static str,
    /// What the platform's documents call it.
    name_zh: &'static str,
    range: RangeInclusive<u16>,
    /// Other ways to write its values, from the first on.
    names: &'static [&'static str],
}

const FIELDS: [Field; 7] = [
    Field::new("second", "秒", 0..=59, &[]),
    Field::new("minute", "分钟", 0..=59, &[]),
    Field::new("hour", "小时", 0..=23, &[]),
    Field::new("day", "日", 1..=31, &[]),
    Field::new(
        "month",
        "月",
        1..=12,
        &[
            "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
        ],
    ),
    Field::new(
        "weekday",
        "星期",
        0..=6,
        &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    ),
    Field::new("year", "年", 1970..=2099, &[]),
];

/// The form of a whole expression, for a mend.
fn form() -> Wording {
    wording!(
        "write second, minute, hour, day, month, weekday and year, such as \"0 0 2 1 * * *\"",
        "依次写秒、分钟、小时、日、月、星期、年，例如 \"0 0 2 1 * * *\""
    )
}

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    /// It has not seven fields, one of them is not as the document says, or no moment is meant by it (a 30th of February).
    pub fn parse(text: &str) -> Result<Self, BadCron> {
        Self::strict(text).map_err(|bad| match mend::of(text) {
            Some(mend) => BadCron { mend, ..bad },
            None => bad,
        })
    }

    /// Whether [`Cron::parse`] takes a text.
    fn is_taken(text: &str) -> bool {
        Self::strict(text).is_ok()
    }

    /// As [`Cron::parse`], with a mend that only knows the field at fault.
    fn strict(text: &str) -> Result<Self, BadCron> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        if fields.len() != FIELDS.len() {
            let count = fields.len();
            let what = wording!(
                "it has {count} of seven fields: the second comes first, the year last",
                "应有七个字段，这里有 {count} 个：第一个是秒，最后一个是年"
            );
            return Err(BadCron::new(what, form()));
        }
        let mut normal = Vec::with_capacity(FIELDS.len());
        for (field, text) in FIELDS.iter().zip(fields) {
            normal.push(field.normalize(text)?);
        }
        let cron = CronParser::builder()
            .seconds(Seconds::Required)
            .year(Year::Required)
            .build()
            .parse(&normal.join(" "))
            .map(Self)
            .map_err(|error| BadCron::new(Wording::as_is(error), form()))?;
        if cron.next_after(Timestamp::UNIX_EPOCH, &TimeZone::UTC).is_none() {
            return Err(BadCron::new(
                wording!("there is no such day in any year", "任何一年都没有这一天"),
                wording!(
                    "look at the day, the month and the year",
                    "请检查日、月、年三个字段"
                ),
            ));
        }
        Ok(cron)
    }

    /// The first moment after `after`, in the clock time of `zone`; `None` if there is none any more.
    #[must_use]
    pub fn next_after(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let after = after.to_zoned(zone.clone());
        Some(self.0.find_next_occurrence(&after, false).ok()?.timestamp())
    }

    /// The last moment up to `until`, which may be `until` itself; `None` if there was none.
    #[must_use]
    pub fn last_until(&self, until: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let until = until.to_zoned(zone.clone());
        Some(self.0.find_previous_occurrence(&until, true).ok()?.timestamp())
    }
}

impl Field {
    const fn new(
        name_en: &'static str,
        name_zh: &'static str,
        range: RangeInclusive<u16>,
        names: &'static [&'static str],
    ) -> Self {
        Self {
            name_en,
            name_zh,
            range,
            names,
        }
    }

    /// The field in the form that the search knows: numbers only, each step with its range.
    fn normalize(&self, text: &str) -> Result<String, BadCron> {
        let parts = text.split(',').map(|part| self.part(part));
        Ok(parts.collect::<Result<Vec<_>, _>>()?.join(","))
    }

    fn part(&self, part: &str) -> Result<String, BadCron> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(self.step(step)?)),
            None => (part, None),
        };
        let range = if range == "*" {
            range.to_owned()
        } else if let Some((first, last)) = range.split_once('-') {
            let (first, last) = (self.value(first)?, self.value(last)?);
            if first > last {
                return Err(BadCron::new(
                    wording!("{range:?} ends before it begins", "{range:?} 的终点在起点之前"),
                    wording!(
                        "write two ranges with a comma between them",
                        "请写成两段，中间用逗号隔开"
                    ),
                ));
            }
            format!("{first}-{last}")
        } else {
            let first = self.value(range)?;
            match step {
                // The document's `1/10`: from there to the field's end.
                Some(_) => format!("{first}-{}", self.range.end()),
                None => first.to_string(),
            }
        };
        Ok(match step {
            Some(step) => format!("{range}/{step}"),
            None => range,
        })
    }

    fn widest_step(&self) -> u16 {
        self.range.end() - self.range.start()
    }

    fn step(&self, text: &str) -> Result<u16, BadCron> {
        let widest = self.widest_step();
        let step = number(text).filter(|step| (1..=widest).contains(step));
        step.ok_or_else(|| {
            let Self { name_en, name_zh, .. } = self;
            BadCron::new(
                wording!(
                    "\"/{text}\" is no step of the {name_en}",
                    "\"/{text}\" 不能用作“{name_zh}”的步长"
                ),
                wording!(
                    "write a number from 1 to {widest}: what is further apart needs the next field",
                    "请写 1 到 {widest} 的数；间隔更大时要用下一个字段"
                ),
            )
        })
    }

    fn value(&self, text: &str) -> Result<u16, BadCron> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let value = match named {
            // There are twelve names at the most.
            Some(place) => u16::try_from(place).ok().map(|place| self.range.start() + place),
            None => number(text).filter(|value| self.range.contains(value)),
        };
        value.ok_or_else(|| {
            let names = match self.names {
                [first, .., last] => wording!(", {first} to {last}", "、{first} 到 {last}"),
                _ => Wording::default(),
            };
            let Self { name_en, name_zh, .. } = self;
            let (first, last) = (self.range.start(), self.range.end());
            BadCron::new(
                wording!("{text:?} is no {name_en}", "{text:?} 不能用作“{name_zh}”"),
                wording!("write {first} to {last}{names}, or *", "请写 {first} 到 {last}{names}，或 *"; names),
            )
        })
    }
}

/// Digits and nothing else: no sign, no space.
fn number(text: &str) -> Option<u16> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn shanghai() -> TimeZone {
        TimeZone::get("Asia/Shanghai").unwrap()
    }

    /// A moment as Shanghai's clocks show it.
    fn at(text: &str) -> Timestamp {
        let civil: jiff::civil::DateTime = text.parse().unwrap();
        civil.to_zoned(shanghai()).unwrap().timestamp()
    }

    #[track_caller]
    fn fires(cron: &str, after: &str, expected: &[&str]) {
        let cron = Cron::parse(cron).unwrap();
        let mut after = at(after);
        for expected in expected {
            let next = cron.next_after(after, &shanghai()).unwrap();
            assert_eq!(next, at(expected), "{cron:?} after {after}");
            assert_eq!(cron.last_until(next, &shanghai()), Some(next));
            after = next;
        }
    }

    #[test]
    fn the_documents_examples() {
        fires(
            "*/5 * * * * * *",
            "2026-11-21T15:00:01",
            &["2026-11-21T15:00:05", "2026-11-21T15:00:10"],
        );
        fires(
            "0 0 2 1 * * *",
            "2026-11-21T15:00:00",
            &["2026-12-01T02:00:00", "2027-01-01T02:00:00"],
        );
        // The 21st is a Saturday.
        fires(
            "0 15 10 * * MON-FRI *",
            "2026-11-20T10:15:00",
            &["2026-11-23T10:15:00", "2026-11-24T10:15:00"],
        );
        fires(
            "0 0 10,14,16 * * * *",
            "2026-11-21T12:00:00",
            &[
                "2026-11-21T14:00:00",
                "2026-11-21T16:00:00",
                "2026-11-22T10:00:00",
            ],
        );
        fires(
            "0 */30 9-17 * * * *",
            "2026-11-21T17:00:00",
            &["2026-11-21T17:30:00", "2026-11-22T09:00:00"],
        );
        fires(
            "0 0 12 * * WED *",
            "2026-11-21T12:00:00",
            &["2026-11-25T12:00:00"],
        );
        // "1/10: the 11th, 21st, 31st minute, and so on".
        fires(
            "0 1/10 * * * * *",
            "2026-11-21T12:01:00",
            &[
                "2026-11-21T12:11:00",
                "2026-11-21T12:21:00",
                "2026-11-21T12:31:00",
                "2026-11-21T12:41:00",
                "2026-11-21T12:51:00",
                "2026-11-21T13:01:00",
            ],
        );
    }

    #[test]
    fn a_day_and_a_weekday_are_either_or() {
        fires(
            "0 0 0 1 * sun *",
            "2026-11-21T00:00:00",
            &[
                "2026-11-22T00:00:00",
                "2026-11-29T00:00:00",
                "2026-12-01T00:00:00",
                "2026-12-06T00:00:00",
            ],
        );
    }

    #[test]
    fn calendars_have_their_ways() {
        fires("0 0 0 29 2 * *", "2096-03-01T00:00:00", &[]);
        fires(
            "0 0 0 29 FEB * *",
            "2026-11-21T00:00:00",
            &["2028-02-29T00:00:00", "2032-02-29T00:00:00"],
        );
        fires(
            "0 0 0 31 * * *",
            "2026-11-21T00:00:00",
            &[
                "2026-12-31T00:00:00",
                "2027-01-31T00:00:00",
                "2027-03-31T00:00:00",
            ],
        );
        fires(
            "59 59 23 31 12 * *",
            "2026-11-21T00:00:00",
            &["2026-12-31T23:59:59", "2027-12-31T23:59:59"],
        );
        fires(
            "0 0 0 1 1 * 2028,2030-2031",
            "2026-11-21T00:00:00",
            &[
                "2028-01-01T00:00:00",
                "2030-01-01T00:00:00",
                "2031-01-01T00:00:00",
            ],
        );
        fires(
            "0 0 8 * jan-Mar/2 * *",
            "2026-11-21T00:00:00",
            &["2027-01-01T08:00:00"],
        );
    }

    #[test]
    fn what_is_over_fires_no_more() {
        let cron = Cron::parse("0 0 0 * * * 2020").unwrap();
        assert_eq!(cron.next_after(at("2026-11-21T00:00:00"), &shanghai()), None);
        assert_eq!(
            cron.last_until(at("2026-11-21T00:00:00"), &shanghai()),
            Some(at("2020-12-31T00:00:00"))
        );
        let cron = Cron::parse("0 0 0 * * * 2030").unwrap();
        assert_eq!(cron.last_until(at("2026-11-21T00:00:00"), &shanghai()), None);
    }

    #[test]
    fn a_clock_that_is_put_forward_or_back_loses_and_doubles_nothing() {
        let zone = TimeZone::get("America/New_York").unwrap();
        let utc = |text: &str| text.parse::<Timestamp>().unwrap();
        let daily = Cron::parse("0 30 2 * * * *").unwrap();
        // On 2026-03-08 there is no half past two.
        let next = daily.next_after(utc("2026-03-07T12:00:00Z"), &zone).unwrap();
        assert!(
            (utc("2026-03-08T07:00:00Z")..=utc("2026-03-08T07:30:00Z")).contains(&next),
            "{next}"
        );
        // On 2026-11-01 there are two half past ones.
        let daily = Cron::parse("0 30 1 * * * *").unwrap();
        let first = daily.next_after(utc("2026-10-31T12:00:00Z"), &zone).unwrap();
        assert_eq!(first, utc("2026-11-01T05:30:00Z"));
        assert_eq!(daily.next_after(first, &zone), Some(utc("2026-11-02T06:30:00Z")));
        let each_hour = Cron::parse("0 30 * * * * *").unwrap();
        assert_eq!(
            each_hour.next_after(first, &zone),
            Some(utc("2026-11-01T06:30:00Z"))
        );
    }

    #[test]
    fn what_is_no_cron_names_its_cause_and_mend() {
        for (text, what, mend) in [
            ("", "0 of seven", "such as"),
            ("0 2 * * *", "5 of seven", "\"0 0 2 * * * *\""),
            ("0 0 2 * * *", "6 of seven", "\"0 0 2 * * * *\""),
            ("0 0 2 1 * * * *", "8 of seven", "such as"),
            ("61 * * * * * *", "\"61\" is no second", "0 to 59"),
            ("0 0 25 * * * *", "\"25\" is no hour", "0 to 23"),
            ("0 0 0 32 * * *", "\"32\" is no day", "1 to 31"),
            ("0 0 0 * 13 * *", "\"13\" is no month", "JAN to DEC"),
            ("0 0 0 * * 8 *", "\"8\" is no weekday", "SUN to SAT"),
            ("0 0 0 * * * 2100", "\"2100\" is no year", "1970 to 2099"),
            ("0 0 0 ? * * *", "\"?\" is no day", "write \"0 0 0 * * * *\""),
            ("0 0 0 L * * *", "\"L\"", "28-31"),
            ("0 0 0 * * FRI#1 *", "\"FRI#1\"", "SUN to SAT"),
            ("0 0 0 * * FRI-MON *", "ends before it begins", "0-1,5-6"),
            (
                "0 */90 * * * * *",
                "\"/90\" is no step of the minute",
                "every 120 minutes",
            ),
            ("0 */x * * * * *", "\"/x\"", "1 to 59"),
            ("0 /5 * * * * *", "\"\" is no minute", "*/5"),
            ("0 1,,2 * * * * *", "\"\" is no minute", "0 to 59"),
            ("0 +1 * * * * *", "\"+1\"", "0 to 59"),
            ("0 1-2-3 * * * * *", "\"2-3\"", "0 to 59"),
            ("0 99999 * * * * *", "\"99999\"", "0 to 59"),
            ("0 0 0 30 2 * *", "no such day", "28 2"),
            ("@reboot", "1 of seven", "such as"),
        ] {
            let bad = Cron::parse(text).unwrap_err();
            assert!(
                bad.what.en.contains(what) && bad.mend.en.contains(mend),
                "{text}: {bad}"
            );
        }
    }

    fn any_field(field: &'static Field) -> impl Strategy<Value = String> {
        let (first, last) = (*field.range.start(), *field.range.end());
        let step = 1..=last - first;
        prop_oneof![
            3 => Just("*".to_owned()),
            1 => step.clone().prop_map(|step| format!("*/{step}")),
            2 => (first..=last).prop_map(|value| value.to_string()),
            1 => (first..=last, step).prop_map(|(value, step)| format!("{value}/{step}")),
            1 => (first..=last, first..=last).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
            1 => (first..=last, first..=last).prop_map(|(a, b)| format!("{a},{b}")),
        ]
    }

    /// Whether the field's text holds a value: the grammar, told a second time and plainly.
    fn holds(field: &Field, text: &str, value: u16) -> bool {
        text.split(',').any(|part| {
            let (range, step) = part.split_once('/').unwrap_or((part, "1"));
            let (first, last) = match range.split_once('-') {
                _ if range == "*" => (*field.range.start(), *field.range.end()),
                Some((first, last)) => (first.parse().unwrap(), last.parse().unwrap()),
                None if part.contains('/') => (range.parse().unwrap(), *field.range.end()),
                None => (range.parse().unwrap(), range.parse().unwrap()),
            };
            (first..=last).contains(&value) && (value - first).is_multiple_of(step.parse().unwrap())
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The next moment is one that the fields mean, and no second in the minutes before it is.
        #[test]
        fn the_next_moment_is_the_first_that_the_fields_mean(
            fields in [0, 1, 2, 3, 4, 5].map(|place| any_field(&FIELDS[place])),
            after in 1_700_000_000_i64..1_800_000_000,
        ) {
            let text = format!("{} *", fields.join(" "));
            let Ok(cron) = Cron::parse(&text) else { return Ok(()) };
            let meant = |moment: Timestamp| {
                let clock = moment.to_zoned(shanghai()).datetime();
                let of = |number: i8| u16::try_from(number).unwrap();
                let values = [
                    of(clock.second()), of(clock.minute()), of(clock.hour()), of(clock.day()), of(clock.month()),
                    of(clock.weekday().to_sunday_zero_offset()),
                ];
                let held = |place: usize| holds(&FIELDS[place], &fields[place], values[place]);
                let day = match (fields[3].as_str(), fields[5].as_str()) {
                    ("*", "*") => true,
                    ("*", _) => held(5),
                    (_, "*") => held(3),
                    _ => held(3) || held(5),
                };
                held(0) && held(1) && held(2) && day && held(4)
            };
            let after = Timestamp::from_second(after).unwrap();
            let next = cron.next_after(after, &shanghai()).unwrap();
            prop_assert!(meant(next), "{} gives {}", text, next);
            let mut second = next.as_second() - 1;
            while second > after.as_second() && second > next.as_second() - 4000 {
                prop_assert!(!meant(Timestamp::from_second(second).unwrap()), "{}: {} is left out", text, second);
                second -= 1;
            }
            prop_assert_eq!(cron.last_until(next, &shanghai()), Some(next));
        }

        /// Whatever the text, there is an answer.
        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,40}") {
            let _ = Cron::parse(&text);
        }
    }
}
