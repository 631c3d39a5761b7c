//! What to write instead of a cron expression that WeChat does not take. People come from other crons, with `?`, `L`, `7` for
//! Sunday, `*/90` minutes or `22-2` hours: what they mean can mostly be said in the document's grammar. Whatever is proposed
//! here has been read by [`Cron::parse`](super::Cron::parse) first, so that no mend is refused in its turn.

use wording::{Wording, wording};

use super::{Cron, FIELDS, Field, number};

/// The places of some fields in an expression.
const HOUR: usize = 2;
const DAY: usize = 3;
const WEEKDAY: usize = 5;
const YEAR: usize = 6;
/// How many values the fields before the day have: from there on, they count on.
const UNITS: [u16; 3] = [60, 60, 24];
/// More proposals than these confuse.
const MOST: usize = 2;

/// Shorthands of other crons.
const SHORTHANDS: [(&str, &str); 7] = [
    ("@hourly", "0 0 * * * * *"),
    ("@daily", "0 0 0 * * * *"),
    ("@midnight", "0 0 0 * * * *"),
    ("@weekly", "0 0 0 * * SUN *"),
    ("@monthly", "0 0 0 1 * * *"),
    ("@yearly", "0 0 0 1 1 * *"),
    ("@annually", "0 0 0 1 1 * *"),
];

/// An expression that may have been meant.
#[derive(Clone, Debug)]
struct Proposal {
    fields: Vec<String>,
    /// When it is what was meant, or what else is to be done; the empty text if there is nothing to say.
    note: Wording,
}

/// The mend for a text that is no expression: `write "…"`; `None` if nobody can tell what was meant.
pub(super) fn of(text: &str) -> Option<Wording> {
    let mut proposals: Vec<Wording> = Vec::new();
    for read in readings(text) {
        for Proposal { fields, note } in read.repaired() {
            let expression = fields.join(" ");
            let is_new = proposals.iter().all(|known| !known.en.contains(&expression));
            if proposals.len() < MOST && is_new && Cron::is_taken(&expression) {
                proposals.push(wording!("\"{expression}\"{note}", "\"{expression}\"{note}"; note));
            }
        }
    }
    let all = proposals
        .into_iter()
        .reduce(|some, one| wording!("{some}, or {one}", "{some}，或 {one}"; some, one))?;
    Some(wording!("write {all}", "请写 {all}"; all))
}

/// The text with seven fields, in each way that it can be meant.
fn readings(text: &str) -> Vec<Proposal> {
    let shorthand = SHORTHANDS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text.trim()));
    let fields: Vec<&str> = shorthand
        .map_or(text, |(_, expression)| expression)
        .split_whitespace()
        .collect();
    let reading = |before: &[&str], after: &[&str], note: Wording| Proposal {
        fields: [before, &fields, after]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect(),
        note,
    };
    match fields.len() {
        5 => vec![reading(&["0"], &["*"], Wording::default())],
        // Whoever writes `?` comes from a cron whose first field is the second.
        6 if fields.contains(&"?") => vec![reading(&[], &["*"], Wording::default())],
        6 => vec![
            reading(
                &[],
                &["*"],
                wording!(" if the first field is the second", "（第一个字段是秒时）"),
            ),
            reading(
                &["0"],
                &[],
                wording!(" if it is the minute", "（第一个字段是分钟时）"),
            ),
        ],
        7 => vec![reading(&[], &[], Wording::default())],
        _ => Vec::new(),
    }
}

impl Proposal {
    /// Each field as the document has it; more than one proposal where none says exactly what was meant.
    fn repaired(mut self) -> Vec<Self> {
        for (place, field) in FIELDS.iter().enumerate() {
            if let Some(text) = self.fields.get_mut(place) {
                *text = text
                    .split(',')
                    .map(|part| self::part(place, field, part))
                    .collect::<Vec<_>>()
                    .join(",");
            }
        }
        if self
            .fields
            .get(DAY)
            .is_some_and(|day| day.eq_ignore_ascii_case("L"))
        {
            self.fields[DAY] = "28-31".to_owned();
            let note = &self.note;
            self.note = wording!(
                "{note}, and let the function return unless tomorrow is the 1st",
                "{note}，并让云函数在次日不是 1 号时直接返回"; note
            );
        }
        self.with_steps_carried(0)
    }

    /// A step that is wider than its field is one of the next: `*/120` minutes are `*/2` hours. Where it is between two of
    /// them, both are proposed.
    fn with_steps_carried(mut self, from: usize) -> Vec<Self> {
        let wide = |(place, field): (usize, &Field)| {
            let (range, step) = self.fields.get(place)?.split_once('/')?;
            let step = number(step).filter(|step| *step > field.widest_step())?;
            Some((place, range.to_owned(), step))
        };
        let Some((place, range, step)) = FIELDS.iter().enumerate().skip(from).find_map(wide) else {
            return self.with_a_day_that_exists();
        };
        let first = match range.as_str() {
            "*" => FIELDS[place].range.start().to_string(),
            _ => range.split('-').next().unwrap_or_default().to_owned(),
        };
        let Some(unit) = UNITS.get(place) else {
            // Once in the next larger unit is the nearest; a year has none.
            self.fields[place] = if place == YEAR { "*".to_owned() } else { first };
            return self.with_steps_carried(place + 1);
        };
        self.fields[place] = first;
        let whole = [step / unit, step.div_ceil(*unit)];
        let is_exact = whole[0] == whole[1];
        let proposals = whole
            .into_iter()
            .take(if is_exact { 1 } else { 2 })
            .filter_map(|steps| {
                let mut proposal = self.clone();
                let next = proposal.fields.get_mut(place + 1)?;
                if steps > 1 {
                    if next.contains('/') {
                        return None;
                    }
                    *next = format!("{next}/{steps}");
                }
                if !is_exact {
                    let (every, note) = (steps * unit, &proposal.note);
                    let Field { name_en, name_zh, .. } = FIELDS[place];
                    proposal.note = wording!(
                        " for every {every} {name_en}s{note}",
                        "（每 {every} {name_zh}一次）{note}"; note
                    );
                }
                Some(proposal.with_steps_carried(place + 1))
            });
        proposals.flatten().collect()
    }

    /// The 30th of February is the 28th.
    fn with_a_day_that_exists(mut self) -> Vec<Self> {
        for last in ["30", "28"] {
            if Cron::is_taken(&self.fields.join(" ")) {
                break;
            }
            let day = self.fields.get(DAY).and_then(|day| number(day));
            if day.is_some_and(|day| (29..=31).contains(&day)) {
                self.fields[DAY] = last.to_owned();
            }
        }
        vec![self]
    }
}

/// One of the parts between commas, as the document has it as far as that can be told.
fn part(place: usize, field: &Field, part: &str) -> String {
    let (range, step) = match part.split_once('/') {
        Some((range, step)) => match number(step) {
            None => return part.to_owned(),
            step => (range, step),
        },
        None => (part, None),
    };
    let range = match range {
        "?" => "*".to_owned(),
        // `/5` is `*/5`.
        "" if step.is_some() => "*".to_owned(),
        range => match range.split_once('-') {
            Some((first, last)) => self::range(place, field, first, last, step),
            None => value(place, field, range),
        },
    };
    match step {
        // A range that goes over the end was written out.
        _ if range.contains(',') => range,
        Some(0) | None => range,
        Some(step) => format!("{range}/{step}"),
    }
}

/// A range that ends before it begins goes over the end of its field: `22-2` hours.
fn range(place: usize, field: &Field, first: &str, last: &str, step: Option<u16>) -> String {
    let first = value(place, field, first);
    let sunday = place == WEEKDAY && last == "7";
    let last = if sunday {
        "7".to_owned()
    } else {
        value(place, field, last)
    };
    let whole = format!("{first}-{last}");
    let (Ok(from), Ok(to)) = (
        field.value(&first),
        if sunday { Ok(7) } else { field.value(&last) },
    ) else {
        return whole;
    };
    if from <= to && !sunday {
        return whole;
    }
    if place == YEAR {
        return format!("{to}-{from}");
    }
    let (start, end) = (*field.range.start(), *field.range.end());
    let count = end - start + 1;
    let length = if sunday { 7 - from } else { count - from + to };
    let step = usize::from(step.unwrap_or(1).max(1));
    let mut values: Vec<u16> = (0..=length)
        .step_by(step)
        .map(|on| start + (from - start + on) % count)
        .collect();
    values.sort_unstable();
    values.dedup();
    ranges(&values, start..=end)
}

/// Values as the document writes them: `0-8,10-23`, or `*` for all.
fn ranges(values: &[u16], all: std::ops::RangeInclusive<u16>) -> String {
    if values.len() == all.count() {
        return "*".to_owned();
    }
    let runs = values.chunk_by(|a, b| a + 1 == *b);
    let written = runs.map(|run| match run {
        [one] => one.to_string(),
        [first, .., last] => format!("{first}-{last}"),
        [] => String::new(),
    });
    written.collect::<Vec<_>>().join(",")
}

/// A value that is written otherwise elsewhere: `SUNDAY`, `24`, `15W`.
fn value(place: usize, field: &Field, text: &str) -> String {
    let upper = text.to_ascii_uppercase();
    let whole_word = upper.len() > 3 && upper.bytes().all(|byte| byte.is_ascii_alphabetic());
    if let Some(short) = upper
        .get(..3)
        .filter(|short| whole_word && field.names.contains(short))
    {
        return short.to_owned();
    }
    match (place, upper.as_str()) {
        (0 | 1, "60") | (HOUR, "24") | (WEEKDAY, "7") => "0".to_owned(),
        // The last day of a week is Saturday where `L` is known.
        (WEEKDAY, "L") => "6".to_owned(),
        (DAY | 4, "0") => "1".to_owned(),
        (DAY, day) => day
            .strip_suffix('W')
            .filter(|day| number(day).is_some())
            .unwrap_or(text)
            .to_owned(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    #[test]
    fn what_people_write_is_proposed_as_the_document_has_it() {
        for (text, mend) in [
            ("0 0/30 * * * ?", "write \"0 0/30 * * * * *\""),
            ("0 0 12 ? * WED *", "write \"0 0 12 * * WED *\""),
            ("0 0 9 * * 7 *", "write \"0 0 9 * * 0 *\""),
            ("0 0 9 * * 1-7 *", "write \"0 0 9 * * * *\""),
            ("0 0 9 * * 5-7 *", "write \"0 0 9 * * 0,5-6 *\""),
            ("0 0 9 * * FRI-MON *", "write \"0 0 9 * * 0-1,5-6 *\""),
            ("0 0 9 * * L *", "write \"0 0 9 * * 6 *\""),
            (
                "0 0 2 L * * *",
                "write \"0 0 2 28-31 * * *\", and let the function return unless tomorrow is the 1st",
            ),
            (
                "0 */90 * * * * *",
                "write \"0 0 * * * * *\" for every 60 minutes, or \"0 0 */2 * * * *\" for every 120 minutes",
            ),
            ("0 */120 * * * * *", "write \"0 0 */2 * * * *\""),
            ("*/3600 * * * * * *", "write \"0 0 * * * * *\""),
            ("0 */60 9-17 * * * *", "write \"0 0 9-17 * * * *\""),
            ("0 0 10-8 * * * *", "write \"0 0 0-8,10-23 * * * *\""),
            ("0 0 22-2/2 * * * *", "write \"0 0 0,2,22 * * * *\""),
            ("0 2 * * *", "write \"0 0 2 * * * *\""),
            ("*/5 * * * *", "write \"0 */5 * * * * *\""),
            (
                "0 0 2 * * *",
                "write \"0 0 2 * * * *\" if the first field is the second, or \"0 0 0 2 * * *\" if it is the minute",
            ),
            (
                "30 7 * * * 1",
                "write \"30 7 * * * 1 *\" if the first field is the second",
            ),
            ("0 0 24 * * * *", "write \"0 0 0 * * * *\""),
            ("0 60 * * * * *", "write \"0 0 * * * * *\""),
            ("0 0 0 0 * * *", "write \"0 0 0 1 * * *\""),
            ("0 0 0 15W * * *", "write \"0 0 0 15 * * *\""),
            ("0 0 0 * january sunday *", "write \"0 0 0 * JAN SUN *\""),
            ("0 0 0 30 2 * *", "write \"0 0 0 28 2 * *\""),
            ("0 0 0 31 4 * *", "write \"0 0 0 30 4 * *\""),
            ("0 0 0 */31 * * *", "write \"0 0 0 1 * * *\""),
            ("0 0 0 1 1 * 2030-2026", "write \"0 0 0 1 1 * 2026-2030\""),
            ("0 /5 * * * * *", "write \"0 */5 * * * * *\""),
            ("0 */0 * * * * *", "write \"0 * * * * * *\""),
            ("@daily", "write \"0 0 0 * * * *\""),
            ("@Weekly", "write \"0 0 0 * * SUN *\""),
        ] {
            assert_eq!(of(text).map(|mend| mend.en).as_deref(), Some(mend), "{text}");
        }
        for text in [
            "",
            "daily",
            "0 0 0 * * FRI#1 *",
            "0 0 25 * * * *",
            "0 1-2-3 * * * * *",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    fn field() -> impl Strategy<Value = String> {
        const PARTS: &[&str] = &[
            "*", "?", "L", "LW", "7", "0", "60", "24", "*/90", "*/60", "0/30", "10-8", "5-7", "SUN",
            "friday", "15W", "FRI#1", "*/0", "31", "2100", "22-2/5", "1-70000", "-", "/", "1/99999", "é",
        ];
        vec(select(PARTS), 1..3).prop_map(|parts| parts.join(","))
    }

    proptest! {
        /// No mend is refused in its turn.
        #[test]
        fn every_mend_is_taken(fields in vec(field(), 4..9)) {
            let text = fields.join(" ");
            if let Err(bad) = Cron::parse(&text) {
                for mend in [&bad.mend.en, &bad.mend.zh] {
                    for quoted in mend.split('"').skip(1).step_by(2) {
                        prop_assert!(Cron::parse(quoted).is_ok(), "{text}: {mend}");
                    }
                }
            }
        }
    }
}
