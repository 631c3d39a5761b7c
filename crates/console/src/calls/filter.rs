//! Which calls somebody wants to see, as the address says it, and what is found of them.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{
    recorder::{Call, LogLine, LooseLine, Recorder, RunningCall, Told},
    timeline::{SLICE, SLICES, Timeline},
    web::{self, Fields},
};

/// Calls that are shown at once.
pub(super) const ROWS: usize = 50;
/// Lines that are shown at once.
const LINES: usize = 80;
/// Lines of one call among them.
const LINES_OF_CALL: usize = 40;
/// Notes that are shown.
const NOTES: usize = 10;
/// Windows of time to choose from, in minutes.
pub(super) const WINDOWS: [i64; 5] = [15, 60, 360, 1440, 10_080];
const MINUTE: i64 = 60_000;

/// What is shown of the calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum View {
    #[default]
    Calls,
    /// What they printed.
    Logs,
}

/// Which calls are wanted; an empty text is any.
#[derive(Clone, Debug, Default)]
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
    /// Whether what is shown stays as it is, whatever happens.
    pub(super) paused: bool,
}

/// What was found.
pub(super) struct Found {
    pub(super) timeline: Timeline,
    /// Those of the page, the newest first; in the view of logs, those that printed something.
    pub(super) calls: Vec<Arc<Call>>,
    /// Of the view of logs: the lines of each of them, and whether there are more.
    pub(super) lines: Vec<Lines>,
    /// Of the view of logs: what was printed outside of calls while those of the page ended, the newest first.
    pub(super) loose: Vec<Arc<LooseLine>>,
    /// Those that have not ended, the newest first.
    pub(super) running: Vec<Arc<RunningCall>>,
    /// What was told that stands with no call of the page, the newest first.
    pub(super) notes: Vec<Arc<Told>>,
    /// How many there are, and how many of them stand on the pages before.
    pub(super) count: usize,
    pub(super) skipped: usize,
    /// How many are known that nobody filtered.
    pub(super) known: usize,
}

/// Lines of one call.
pub(super) struct Lines {
    pub(super) call: Arc<Call>,
    /// Their places among all that it printed, the newest first.
    pub(super) shown: Vec<usize>,
    pub(super) more: usize,
}

impl Lines {
    /// The lines with their places.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &LogLine)> {
        self.shown.iter().map(|place| (*place, &self.call.logs[*place]))
    }
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
            paused: fields.get("paused") == "1",
        }
    }

    /// The address at which a call stands beside the list.
    pub(crate) fn of_call(&self, request_id: &str) -> String {
        self.link("/calls", &[("before", &self.before), ("call", request_id)])
    }

    /// The same with everything that it printed.
    pub(crate) fn of_whole_call(&self, request_id: &str) -> String {
        let more = [
            ("before", self.before.as_str()),
            ("call", request_id),
            ("all", "1"),
        ];
        self.link("/calls", &more)
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
            ("paused", if self.paused { "1" } else { "" }),
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
            || call.notes.iter().any(|note| has(&note.en) || has(&note.zh))
            || call
                .warnings
                .iter()
                .any(|(field, text)| has(field) || has(&text.en) || has(&text.zh))
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
    fn takes_running(&self, call: &RunningCall) -> bool {
        self.before.is_empty()
            && self.zoom.is_none()
            && self.status.is_empty()
            && self.is_of(&call.function, call.openid.as_deref())
            && (self.text.is_empty()
                || contains(&call.request_id, &self.text)
                || call.lines.iter().any(|line| self.takes_text(&line.text)))
    }

    /// Whether a line is wanted that belongs to no call: it has neither a user nor a result.
    fn takes_loose(&self, line: &LooseLine) -> bool {
        let at = line.at.as_millisecond();
        self.status.is_empty()
            && self.is_of(&line.function, None)
            && self.zoom.is_none_or(|(from, to)| (from..to).contains(&at))
            && self.takes_text(&line.text)
    }

    /// Whether a note is wanted that stands with no call: it has neither a function nor a result.
    fn takes_note(&self, note: &Told) -> bool {
        let any = [&self.before, &self.function, &self.status];
        any.iter().all(|text| text.is_empty())
            && self.zoom.is_none()
            && (self.openid.is_empty() || note.openid.as_ref() == Some(&self.openid))
            && (self.takes_text(&note.text.en) || self.takes_text(&note.text.zh))
    }

    fn takes_text(&self, text: &str) -> bool {
        self.text.is_empty() || contains(text, &self.text)
    }

    /// What there is among all calls, the oldest first. It takes its time where there are many.
    pub(super) fn find(&self, all: &[Arc<Call>], recorder: &Recorder, now: i64) -> Found {
        let matching: Vec<&Arc<Call>> = all.iter().rev().filter(|call| self.takes(call)).collect();
        let timeline = self.timeline(&matching, recorder, now);
        let printed = |call: &&Arc<Call>| self.view == View::Calls || !call.logs.is_empty();
        let matching: Vec<&Arc<Call>> = matching.into_iter().filter(printed).collect();
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
            loose: Vec::new(),
            running: recorder.running(|call| self.takes_running(call)),
            notes: Vec::new(),
            count: matching.len(),
            skipped,
            known: all.len(),
        };
        let page = &matching[skipped..];
        match self.view {
            View::Calls => found.calls = page.iter().take(ROWS).map(|call| Arc::clone(call)).collect(),
            View::Logs => {
                self.lines(page, &mut found);
                // Those after the last call of the page before, and those from the last call of this page on.
                let newest = skipped.checked_sub(1).map(|last| matching[last].at);
                let more = page.get(found.calls.len()).is_some();
                let oldest = found.calls.last().filter(|_| more).map(|call| call.at);
                found.loose = recorder.loose(|line| {
                    newest.is_none_or(|newest| line.at < newest)
                        && oldest.is_none_or(|oldest| line.at >= oldest)
                        && self.takes_loose(line)
                });
            }
        }
        found.notes = recorder.notes(NOTES, |note| {
            self.takes_note(note) && !found.calls.iter().any(|call| call.concerns(note))
        });
        found
    }

    fn lines(&self, page: &[&Arc<Call>], found: &mut Found) {
        let mut room = LINES;
        for call in page {
            if room == 0 {
                return;
            }
            found.calls.push(Arc::clone(call));
            // Where what is sought stands elsewhere in the call, all its lines are shown.
            let places = || 0..call.logs.len();
            let wanted = |place: &usize| self.takes_text(&call.logs[*place].text);
            let mut lines: Vec<usize> = places().filter(wanted).collect();
            if lines.is_empty() {
                lines = places().collect();
            }
            let shown = lines.len().min(LINES_OF_CALL).min(room);
            room -= shown;
            found.lines.push(Lines {
                call: Arc::clone(call),
                more: lines.len() - shown,
                shown: lines.into_iter().rev().take(shown).collect(),
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
        // The recorder counted all of this run, also those that are not kept any more.
        let counted = minutes * MINUTE == SLICE * SLICES as i64
            && [&self.openid, &self.status, &self.text]
                .iter()
                .all(|text| text.is_empty());
        let mut timeline = Timeline::latest(now, minutes * MINUTE);
        matching.iter().for_each(|call| timeline.add(call));
        if counted {
            timeline.take_larger(recorder.rate(&self.function));
        }
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
    after(call.printed_from(), line.at)
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
        let lines: usize = found.lines.iter().map(|of| of.shown.len()).sum();
        assert_eq!((lines, found.lines[0].more), (LINES, 1000 - LINES_OF_CALL));
        assert_eq!(found.lines[0].lines().next().unwrap().1.text, "line 999");
        let found = filter("view=logs&q=line+12").find(&all, &recorder, 300_000);
        assert_eq!((found.lines.len(), found.lines[0].shown.len()), (1, 11));
    }

    #[test]
    fn calls_that_print_nothing_fill_no_page_of_logs() {
        let mut all = calls(2000);
        for call in &mut all[100..] {
            let mut silent = Call::clone(call);
            silent.logs.clear();
            *call = Arc::new(silent);
        }
        let found = filter("view=logs").find(&all, &Recorder::default(), 2_000_000);
        assert_eq!(
            (found.count, found.calls.len(), ids(&found)[0]),
            (100, LINES, "id-99")
        );
        let calls: usize = filter("").find(&all, &Recorder::default(), 2_000_000).count;
        assert_eq!(calls, 2000);
    }

    #[test]
    fn what_was_printed_between_calls_stands_once_on_the_page_of_its_time() {
        let (recorder, began) = (Recorder::default(), Timestamp::now());
        for text in ["first", "second"] {
            gateway::Journal::line(
                &recorder,
                &gateway::PrintedLine {
                    function: "even",
                    request_id: None,
                    openid: None,
                    level: Level::Log,
                    at: Duration::ZERO,
                    text,
                },
            );
        }
        // Long before, and long after.
        let at = |second: i64| began + jiff::SignedDuration::from_secs(second);
        let moved = |(number, call): (i64, &Arc<Call>)| {
            let mut call = Call::clone(call);
            call.at = at(if number < 100 { number - 1000 } else { number });
            Arc::new(call)
        };
        let all: Vec<Arc<Call>> = (0..).zip(&calls(200)).map(moved).collect();
        let now = at(300).as_millisecond();
        let loose = |query: &str| {
            let found = filter(query).find(&all, &recorder, now);
            let loose = found.loose.iter().map(|line| line.text.clone());
            (loose.collect::<Vec<_>>(), found)
        };
        let (first, found) = loose("view=logs");
        assert!(first.is_empty(), "{first:?}");
        let last = &found.calls.last().unwrap().request_id;
        let (second, found) = loose(&format!("view=logs&before={last}"));
        assert_eq!(second, ["second", "first"]);
        let last = &found.calls.last().unwrap().request_id;
        assert!(loose(&format!("view=logs&before={last}")).0.is_empty());
        for (query, count) in [
            ("function=even", 2),
            ("function=odd", 0),
            ("status=ok", 0),
            ("user=x", 0),
            ("q=FIRST", 1),
        ] {
            let query = format!("view=logs&before={}&{query}", all[110].request_id);
            assert_eq!(loose(&query).0.len(), count, "{query}");
        }
    }

    #[test]
    fn a_note_stands_with_no_call_of_the_page_and_only_where_it_may_be_wanted() {
        let (recorder, all) = (Recorder::default(), calls(60));
        for (request_id, openid, text) in [
            ("id-59", None, "of the newest call"),
            ("id-1", Some("o-alice"), "of a call that is not on the page"),
            ("", None, "of nothing"),
        ] {
            gateway::Journal::note(
                &recorder,
                &gateway::Note {
                    request_id,
                    openid,
                    text: &wording::Wording::as_is(text),
                },
            );
        }
        for (query, texts) in [
            ("", &["of nothing", "of a call that is not on the page"][..]),
            ("user=o-alice", &["of a call that is not on the page"]),
            ("q=NOTHING", &["of nothing"]),
            ("function=even", &[]),
            ("status=failed", &[]),
            ("before=id-30", &[]),
        ] {
            let found = filter(query).find(&all, &recorder, 60_000);
            let notes: Vec<&str> = found.notes.iter().map(|note| note.text.en.as_str()).collect();
            let expected: Vec<&str> = texts.to_vec();
            // Of a user's calls none is on the page.
            assert_eq!(notes, expected, "{query}");
        }
    }

    #[test]
    fn an_address_says_all_that_is_chosen() {
        let query = "view=logs&function=a%26b&user=o&status=ok&q=x&window=60&from=1&to=2&paused=1";
        let filter = filter(&format!("{query}&before=id-1"));
        assert_eq!(filter.link("/calls", &[]), format!("/calls?{query}"));
        assert_eq!(
            filter.of_call("id-2"),
            format!("/calls?{query}&before=id-1&call=id-2")
        );
        let whole = filter.of_whole_call("id-2");
        assert_eq!(whole, format!("/calls?{query}&before=id-1&call=id-2&all=1"));
        assert_eq!(Filter::default().of_call("id-2"), "/calls?call=id-2");
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
