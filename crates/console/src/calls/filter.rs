//! Which calls somebody wants to see, as the address says it, and what is found of them.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{
    recorder::{Call, LogLine, Recorder, RunningCall},
    timeline::{SLICE, SLICES, Timeline},
    web::{self, Fields},
};

/// Calls that are shown at once.
pub(super) const ROWS: usize = 50;
/// Lines that are shown at once.
const LINES: usize = 80;
/// Lines of one call among them.
const LINES_OF_CALL: usize = 40;
/// Windows of time to choose from, in minutes.
pub(super) const WINDOWS: [i64; 5] = [15, 60, 360, 1440, 10_080];
const MINUTE: i64 = 60_000;

/// What is shown of the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Calls,
    /// What they printed.
    Logs,
}

/// Which calls are wanted; an empty text is any.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub(super) view: View,
    pub(super) function: String,
    pub(super) openid: String,
    pub(super) status: String,
    /// What stands somewhere in it.
    pub(super) text: String,
    /// The window of the timeline, in minutes; else it is chosen.
    pub(super) window: Option<i64>,
    /// From when to when they ended, in milliseconds since 1970.
    pub(super) zoom: Option<(i64, i64)>,
    /// Older ones than this call.
    pub(super) before: String,
}

/// What was found.
pub(super) struct Found {
    pub(super) timeline: Timeline,
    /// Those of the page, the newest first; in the view of logs, those whose lines are shown.
    pub(super) calls: Vec<Arc<Call>>,
    /// Of the view of logs: the lines of each of them, and whether there are more.
    pub(super) lines: Vec<Lines>,
    /// How many there are, and how many of them stand on the pages before.
    pub(super) count: usize,
    pub(super) skipped: usize,
    /// How many are known that nobody filtered.
    pub(super) known: usize,
}

/// Lines of one call.
pub(super) struct Lines {
    pub(super) call: Arc<Call>,
    /// The newest first.
    pub(super) lines: Vec<LogLine>,
    pub(super) more: usize,
}

impl Filter {
    pub(crate) fn of(fields: &Fields) -> Self {
        let number = |name: &str| fields.get(name).parse::<i64>().ok();
        let zoom = number("from").zip(number("to"));
        Self {
            view: match fields.get("view") {
                "logs" => View::Logs,
                _ => View::Calls,
            },
            function: fields.get("function").to_owned(),
            openid: fields.get("user").trim().to_owned(),
            status: fields.get("status").to_owned(),
            text: fields.get("q").trim().to_owned(),
            window: number("window").filter(|window| WINDOWS.contains(window)),
            // What is no time of ours is none at all.
            zoom: zoom.filter(|(from, to)| *from >= 0 && from < to && *to < 1 << 48),
            before: fields.get("before").to_owned(),
        }
    }

    /// The address of a page with this filter, and these fields besides.
    pub(super) fn link(&self, path: &str, more: &[(&str, &str)]) -> String {
        let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
        let (window, from, to) = (
            number(self.window),
            number(self.zoom.map(|(from, _)| from)),
            number(self.zoom.map(|(_, to)| to)),
        );
        let view = match self.view {
            View::Calls => "",
            View::Logs => "logs",
        };
        let mut fields = vec![
            ("view", view),
            ("function", self.function.as_str()),
            ("user", &self.openid),
            ("status", &self.status),
            ("q", &self.text),
            ("window", &window),
            ("from", &from),
            ("to", &to),
        ];
        fields.extend(more);
        web::link(path, &fields)
    }

    fn is_of(&self, function: &str, openid: Option<&str>) -> bool {
        let any_or = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
        any_or(&self.function, function) && any_or(&self.openid, openid.unwrap_or_default())
    }

    fn takes(&self, call: &Call) -> bool {
        let at = call.at.as_millisecond();
        self.is_of(&call.function, call.openid.as_deref())
            && match self.status.as_str() {
                "ok" => !call.failed(),
                "failed" => call.failed(),
                _ => true,
            }
            && self.zoom.is_none_or(|(from, to)| (from..to).contains(&at))
            && self.is_in(call)
    }

    /// Whether the text stands somewhere in the call.
    fn is_in(&self, call: &Call) -> bool {
        if self.text.is_empty() {
            return true;
        }
        let has = |text: &str| contains(text, &self.text);
        has(&call.request_id)
            || has(&call.function)
            || has(&call.source)
            || call.openid.as_deref().is_some_and(has)
            || call.http.as_deref().is_some_and(has)
            || call
                .error
                .as_ref()
                .is_some_and(|(code, text)| has(text) || has(&code.to_string()))
            || call.logs.iter().any(|line| has(&line.text))
            || call.notes.iter().any(|note| has(note))
            || call.warnings.iter().any(|(field, text)| has(field) || has(text))
            || call
                .cloud_calls
                .iter()
                .any(|made| has(&made.what) || has(&made.text))
            || call
                .exchange
                .as_ref()
                .is_some_and(|both| has(&both.request) || has(&both.answer))
    }

    /// Whether a call that has not ended is wanted.
    pub(super) fn takes_running(&self, call: &RunningCall) -> bool {
        self.before.is_empty()
            && self.zoom.is_none()
            && self.status.is_empty()
            && self.is_of(&call.function, call.openid.as_deref())
            && (self.text.is_empty()
                || contains(&call.request_id, &self.text)
                || call.lines.iter().any(|line| self.takes_text(&line.text)))
    }

    /// Whether a line is wanted that belongs to no call.
    pub(super) fn takes_loose(&self, function: &str, text: &str) -> bool {
        self.before.is_empty() && self.zoom.is_none() && self.is_of(function, None) && self.takes_text(text)
    }

    fn takes_text(&self, text: &str) -> bool {
        self.text.is_empty() || contains(text, &self.text)
    }

    /// What there is among all calls, the oldest first. It takes its time where there are many.
    pub(super) fn find(&self, all: &[Arc<Call>], recorder: &Recorder, now: i64) -> Found {
        let matching: Vec<&Arc<Call>> = all.iter().rev().filter(|call| self.takes(call)).collect();
        let timeline = self.timeline(&matching, recorder, now);
        let skipped = match self.before.as_str() {
            "" => 0,
            id => matching
                .iter()
                .position(|call| call.request_id == id)
                .map_or(0, |at| at + 1),
        };
        let mut found = Found {
            timeline,
            calls: Vec::new(),
            lines: Vec::new(),
            count: matching.len(),
            skipped,
            known: all.len(),
        };
        let page = matching.into_iter().skip(skipped);
        match self.view {
            View::Calls => found.calls = page.take(ROWS).cloned().collect(),
            View::Logs => self.lines(page, &mut found),
        }
        found
    }

    fn lines<'a>(&self, page: impl Iterator<Item = &'a Arc<Call>>, found: &mut Found) {
        let mut room = LINES;
        for call in page {
            if room == 0 {
                return;
            }
            found.calls.push(Arc::clone(call));
            // Where what is sought stands elsewhere in the call, all its lines are shown.
            let mut lines: Vec<&LogLine> = call
                .logs
                .iter()
                .filter(|line| self.takes_text(&line.text))
                .collect();
            if lines.is_empty() {
                lines = call.logs.iter().collect();
            }
            if lines.is_empty() {
                continue;
            }
            let shown = lines.len().min(LINES_OF_CALL).min(room);
            room -= shown;
            found.lines.push(Lines {
                call: Arc::clone(call),
                more: lines.len() - shown,
                lines: lines.into_iter().rev().take(shown).cloned().collect(),
            });
        }
    }

    fn timeline(&self, matching: &[&Arc<Call>], recorder: &Recorder, now: i64) -> Timeline {
        if let Some((from, to)) = self.zoom {
            let mut timeline = Timeline::new(from, to);
            matching.iter().for_each(|call| timeline.add(call));
            return timeline;
        }
        let newest = matching.first().map_or(now, |call| call.at.as_millisecond());
        let minutes = self.window.unwrap_or_else(|| {
            let holds = |minutes: &i64| now - newest < minutes * MINUTE;
            WINDOWS.into_iter().find(holds).unwrap_or(WINDOWS[0])
        });
        // The recorder counted them all, also those that are not kept any more.
        let counted = minutes * MINUTE == SLICE * SLICES as i64
            && [&self.openid, &self.status, &self.text]
                .iter()
                .all(|text| text.is_empty());
        if counted {
            let mut timeline = Timeline::latest(now);
            recorder.count_in(&mut timeline, &self.function);
            let before = matching.iter().filter(|call| call.at < recorder.began());
            before.for_each(|call| timeline.add(call));
            return timeline;
        }
        let step = minutes * MINUTE / SLICES as i64;
        let end = (now.div_euclid(step) + 1) * step;
        let mut timeline = Timeline::new(end - minutes * MINUTE, end);
        matching.iter().for_each(|call| timeline.add(call));
        timeline
    }
}

/// Whether the text has `wanted` in it, however ASCII letters are written.
fn contains(text: &str, wanted: &str) -> bool {
    let (text, wanted) = (text.as_bytes(), wanted.as_bytes());
    let Some(first) = wanted.first() else { return true };
    let is_first = |byte: &u8| byte.eq_ignore_ascii_case(first);
    let mut at = 0;
    while let Some(found) = text[at..].iter().position(is_first) {
        let start = at + found;
        match text.get(start..start + wanted.len()) {
            None => return false,
            Some(part) if part.eq_ignore_ascii_case(wanted) => return true,
            Some(_) => at = start + 1,
        }
    }
    false
}

/// When a line was printed.
pub(super) fn printed_at(call: &Call, line: &LogLine) -> Timestamp {
    after(call.ran_from(), line.at)
}

pub(super) fn after(since: Timestamp, time: Duration) -> Timestamp {
    let time = jiff::SignedDuration::try_from(time).unwrap_or_default();
    since.saturating_add(time).unwrap_or(since)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use runtime::Level;

    use super::*;

    fn filter(query: &str) -> Filter {
        Filter::of(&Fields::parse(query.as_bytes()))
    }

    /// One call a second.
    fn calls(count: i64) -> Vec<Arc<Call>> {
        let call = |second: i64| {
            let mut call = Call::new(
                format!("id-{second}"),
                if second % 2 == 0 { "even" } else { "odd" }.to_owned(),
                Timestamp::from_second(second).unwrap(),
            );
            call.error = (second % 10 == 0).then(|| (-504_002, format!("Error: {second}")));
            call.logs.push(LogLine {
                level: Level::Log,
                at: Duration::ZERO,
                text: format!("订单 {second} Paid"),
            });
            Arc::new(call)
        };
        (0..count).map(call).collect()
    }

    fn ids(found: &Found) -> Vec<&str> {
        found.calls.iter().map(|call| call.request_id.as_str()).collect()
    }

    #[test]
    fn texts_are_found_however_they_are_written() {
        for (text, wanted, is) in [
            ("Order PAID", "paid", true),
            ("ppaid", "paid", true),
            ("pai", "paid", false),
            ("订单", "单", true),
            ("", "x", false),
            ("x", "", true),
        ] {
            assert_eq!(contains(text, wanted), is, "{text:?} {wanted:?}");
        }
    }

    #[test]
    fn a_filter_finds_by_every_part_and_pages_go_on_where_the_last_one_ended() {
        let (all, recorder) = (calls(200), Recorder::default());
        let now = 200_000;
        for (query, count, first) in [
            ("", 200, "id-199"),
            ("function=even", 100, "id-198"),
            ("status=failed", 20, "id-190"),
            ("status=ok&function=odd", 100, "id-199"),
            ("q=ID-17", 11, "id-179"),
            ("q=%E8%AE%A2%E5%8D%95%207%20paid", 1, "id-7"),
            ("q=-504002", 20, "id-190"),
            ("from=10000&to=12000", 2, "id-11"),
            ("user=nobody", 0, ""),
            ("from=2&to=1", 200, "id-199"),
            ("from=-9223372036854775808&to=9223372036854775807", 200, "id-199"),
        ] {
            let found = filter(query).find(&all, &recorder, now);
            assert_eq!(found.count, count, "{query}");
            assert_eq!(ids(&found).first().copied().unwrap_or_default(), first, "{query}");
        }
        let (mut seen, mut query) = (Vec::new(), "function=even".to_owned());
        loop {
            let filter = filter(&query);
            let found = filter.find(&all, &recorder, now);
            assert_eq!(found.skipped, seen.len());
            let Some(last) = found.calls.last() else { break };
            seen.extend(found.calls.iter().map(|call| call.request_id.clone()));
            let next = filter.link("", &[("before", &last.request_id)]);
            query = next.trim_start_matches('?').to_owned();
        }
        let all: Vec<String> = (0..100)
            .rev()
            .map(|number| format!("id-{}", number * 2))
            .collect();
        assert_eq!(seen, all);
    }

    #[test]
    fn logs_are_found_by_line_and_are_bounded() {
        let mut all = calls(300);
        let mut talker = Call::clone(&all[299]);
        talker.logs = (0..1000)
            .map(|number| LogLine {
                level: Level::Log,
                at: Duration::from_millis(number),
                text: format!("line {number}"),
            })
            .collect();
        all[299] = Arc::new(talker);
        let recorder = Recorder::default();
        let found = filter("view=logs").find(&all, &recorder, 300_000);
        let lines: usize = found.lines.iter().map(|of| of.lines.len()).sum();
        assert_eq!((lines, found.lines[0].more), (LINES, 1000 - LINES_OF_CALL));
        assert_eq!(found.lines[0].lines[0].text, "line 999");
        let found = filter("view=logs&q=line+12").find(&all, &recorder, 300_000);
        assert_eq!((found.lines.len(), found.lines[0].lines.len()), (1, 11));
    }

    #[test]
    fn the_window_is_as_wide_as_it_has_to_be() {
        let (all, recorder) = (calls(200), Recorder::default());
        for (query, now, minutes) in [
            ("", 200_000, 15),
            ("window=60", 200_000, 60),
            ("window=7", 200_000, 15),
            ("status=ok", 200_000, 15),
            ("", 3_000_000, 60),
            ("", 90_000_000, 10_080),
            ("", 9_000_000_000, 15),
            ("from=0&to=60000", 200_000, 1),
        ] {
            let found = filter(query).find(&all, &recorder, now);
            let timeline = &found.timeline;
            assert_eq!(timeline.width(), minutes * MINUTE, "{query} {now}");
        }
    }
}
