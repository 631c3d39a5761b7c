//! How many calls there were when, how many failed, and how long they ran: counted in slices of time, and drawn.
//!
//! The recorder counts every call of this run in slices of 15 seconds, however many there are. Any other window, or one that only some
//! calls belong to, is counted from the calls that are kept.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::Arc,
    time::Duration,
};

use jiff::{Timestamp, tz::TimeZone};
use maud::{Markup, html};

use crate::{lang::Lang, layout::span, recorder::Call};

/// Slices of a window, at most.
pub(crate) const SLICES: usize = 60;
/// Milliseconds of a slice that the recorder counts.
pub(crate) const SLICE: i64 = 15_000;
/// Functions that are counted apart.
const FUNCTIONS: usize = 200;
/// Steps of a doubling of the time: a quantile is within 5 % of what it was.
const STEPS: u32 = 8;
/// Two to the power of 29 microseconds are 536 seconds: longer than a call takes that nobody debugs.
const BINS: usize = 29 * STEPS as usize;
/// The drawing's size, in its own units.
const WIDE: f64 = 1200.0;
const HIGH: f64 = 100.0;
/// Times below the axis.
const TICKS: i64 = 5;
const DAY: i64 = 86_400_000;

/// One slice of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slice {
    calls: u64,
    failed: u64,
    /// Calls by how long they ran, on a logarithmic scale; empty where there were none.
    times: Vec<u32>,
    /// The shortest and the longest time that one ran.
    least: Duration,
    most: Duration,
}

/// A time within which a share of the calls ran.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Quantile {
    time: Duration,
    /// Whether a call ran just so long; else it is near that.
    exact: bool,
}

/// The last slices of a function, or of all, with their numbers. A copy shares what was counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rate(VecDeque<(i64, Arc<Slice>)>);

/// The last slices, of all calls and of each function.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    all: Rate,
    functions: BTreeMap<String, Rate>,
}

/// A window of time, cut into slices.
#[derive(Debug)]
pub(crate) struct Timeline {
    /// Its beginning, in milliseconds since 1970, and how long a slice is.
    from: i64,
    step: i64,
    slices: Vec<Slice>,
}

impl Slice {
    fn add(&mut self, failed: bool, ran: Duration) {
        self.reach(ran, ran);
        self.calls += 1;
        self.failed += u64::from(failed);
        self.times.resize(BINS, 0);
        self.times[bin(ran)] += 1;
    }

    fn reach(&mut self, least: Duration, most: Duration) {
        if self.calls == 0 || least < self.least {
            self.least = least;
        }
        self.most = self.most.max(most);
    }

    fn merge(&mut self, other: &Self) {
        if other.calls == 0 {
            return;
        }
        self.reach(other.least, other.most);
        self.calls += other.calls;
        self.failed += other.failed;
        self.times.resize(BINS.max(self.times.len()), 0);
        for (mine, theirs) in self.times.iter_mut().zip(&other.times) {
            *mine += theirs;
        }
    }

    /// The time within which a share `q` of the calls ran.
    fn quantile(&self, q: f64) -> Quantile {
        let wanted = (self.calls as f64 * q).ceil().max(1.0) as u64;
        let exact = |time| Quantile { time, exact: true };
        if wanted >= self.calls {
            return exact(self.most);
        }
        if wanted == 1 || self.least == self.most {
            return exact(self.least);
        }
        let mut seen = 0;
        let bin = self.times.iter().position(|count| {
            seen += u64::from(*count);
            seen >= wanted
        });
        // No call is shown as shorter or longer than any was.
        let time = middle(bin.unwrap_or(BINS - 1)).clamp(self.least, self.most);
        Quantile { time, exact: false }
    }
}

impl fmt::Display for Quantile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = if self.exact { "" } else { "≈ " };
        write!(f, "{about}{}", span(self.time))
    }
}

fn bin(ran: Duration) -> usize {
    let micros = ran.as_micros().max(1) as f64;
    ((micros.log2() * f64::from(STEPS)) as usize).min(BINS - 1)
}

fn middle(bin: usize) -> Duration {
    let micros = 2_f64.powf((bin as f64 + 0.5) / f64::from(STEPS));
    Duration::from_micros(micros as u64)
}

impl Rates {
    /// Counts a call that ended `at` milliseconds since 1970.
    pub(crate) fn add(&mut self, at: i64, function: &str, failed: bool, ran: Duration) {
        self.all.add(at, failed, ran);
        if !self.functions.contains_key(function) {
            if self.functions.len() == FUNCTIONS {
                return;
            }
            self.functions.insert(function.to_owned(), Rate::default());
        }
        if let Some(rate) = self.functions.get_mut(function) {
            rate.add(at, failed, ran);
        }
    }

    /// What was counted of one function, or of all where none is named.
    pub(crate) fn of(&self, function: &str) -> Rate {
        match function {
            "" => self.all.clone(),
            name => self.functions.get(name).cloned().unwrap_or_default(),
        }
    }
}

impl Rate {
    fn add(&mut self, at: i64, failed: bool, ran: Duration) {
        let slices = &mut self.0;
        let at = at.div_euclid(SLICE);
        if slices.back().is_none_or(|(last, _)| *last != at) {
            slices.push_back((at, Arc::default()));
            if slices.len() > SLICES {
                slices.pop_front();
            }
        }
        if let Some((_, last)) = slices.back_mut() {
            // Copied where somebody looks at it.
            Arc::make_mut(last).add(failed, ran);
        }
    }
}

impl Timeline {
    /// An empty one from `from` to `to`, in milliseconds since 1970. All of that is in it, whether or not it can be parted evenly.
    pub(crate) fn new(from: i64, to: i64) -> Self {
        let (wide, most) = ((to - from).max(1), SLICES as i64);
        let step = (wide + most - 1) / most;
        let count = (wide + step - 1) / step;
        Self {
            from,
            step,
            slices: vec![Slice::default(); count as usize],
        }
    }

    /// The last `wide` milliseconds; its slices begin at whole numbers of them, as those do that the recorder counts.
    pub(crate) fn latest(now: i64, wide: i64) -> Self {
        let step = wide / SLICES as i64;
        let end = (now.div_euclid(step) + 1) * step;
        Self::new(end - wide, end)
    }

    /// How long it is, in milliseconds.
    pub(crate) fn width(&self) -> i64 {
        self.step * self.slices.len() as i64
    }

    fn at(&mut self, at: i64) -> Option<&mut Slice> {
        let slice = usize::try_from((at - self.from).div_euclid(self.step)).ok()?;
        self.slices.get_mut(slice)
    }

    /// Counts a call.
    pub(crate) fn add(&mut self, call: &Call) {
        if let Some(slice) = self.at(call.at.as_millisecond()) {
            slice.add(call.failed(), call.ran);
        }
    }

    /// Takes a slice that the recorder counted where it has more calls than were counted here: not all of them are kept. The other way
    /// round there are calls of another run.
    pub(crate) fn take_larger(&mut self, rate: Rate) {
        for (at, counted) in rate.0 {
            if let Some(slice) = self.at(at * SLICE)
                && slice.calls < counted.calls
            {
                *slice = Arc::unwrap_or_clone(counted);
            }
        }
    }

    /// As it is drawn. What a slice holds is told by `console.js` to whoever points at it, from `data-slices`.
    pub(crate) fn drawn(&self, lang: Lang, zoomed: bool) -> Markup {
        let mut all = Slice::default();
        self.slices.iter().for_each(|slice| all.merge(slice));
        let most = self
            .slices
            .iter()
            .map(|slice| slice.calls)
            .max()
            .unwrap_or(0)
            .max(1);
        let quantiles = |q| -> Vec<(usize, f64)> {
            let called = self.slices.iter().enumerate();
            let called = called.filter(|(_, slice)| slice.calls > 0);
            called
                .map(|(at, slice)| (at, slice.quantile(q).time.as_secs_f64()))
                .collect()
        };
        let (slow, usual) = (quantiles(0.99), quantiles(0.5));
        let wide = self.wide();
        let slowest = slow.iter().map(|(_, time)| *time).fold(1e-6, f64::max);
        html! {
            section #timeline .timeline tabindex="0" role="group" aria-label=(lang.t("Calls over time: arrow keys tell of each slice, Enter shows its calls", "调用时间线：方向键查看每一段，回车只看该段的调用"))
                data-from=(self.from) data-step=(self.step) data-slices=(self.told()) data-times=(self.times())
                data-names=(lang.t("calls|failed|p50|p99", "调用|失败|p50|p99")) {
                div .head {
                dl .facts {
                    div { dt { (lang.t("calls", "调用")) } dd { (all.calls) } }
                    div { dt { (lang.t("failed", "失败")) } dd .(if all.failed > 0 { "bad" } else { "" }) {
                        (all.failed)
                        @if all.failed > 0 { " (" (format_args!("{:.1}", all.failed as f64 * 100.0 / all.calls as f64)) " %)" }
                    } }
                    @if all.calls > 0 {
                        div { dt .p50 { "p50" } dd { (all.quantile(0.5)) } }
                        div { dt .p99 { "p99" } dd { (all.quantile(0.99)) } }
                    }
                }
                    @if zoomed { button .small type="button" data-set="from=&to=" { (lang.t("Show all times", "取消时间范围")) } }
                    output .told aria-live="polite" {}
                }
                div .plot {
                    span .scale { (most) }
                    svg viewBox={ "0 0 " (WIDE) " " (HIGH) } preserveAspectRatio="none" aria-hidden="true" {
                        path .count d=(self.bars(most, |slice| (slice.failed, slice.calls))) {}
                        path .fails d=(self.bars(most, |slice| (0, slice.failed))) {}
                        rect .pointed y="0" height=(HIGH) width=(format_args!("{wide:.1}")) x=(-WIDE) {}
                    }
                }
                div .plot.times {
                    span .scale { (span(Duration::from_secs_f64(slowest))) }
                    svg viewBox={ "0 0 " (WIDE) " " (HIGH) } preserveAspectRatio="none" aria-hidden="true" {
                        path .p99 d=(points(&slow, wide, slowest)) {}
                        path .p50 d=(points(&usual, wide, slowest)) {}
                    }
                }
                (self.axis())
            }
        }
    }

    /// The width of a slice in the drawing.
    fn wide(&self) -> f64 {
        WIDE / self.slices.len() as f64
    }

    /// Bars from one height to another.
    fn bars(&self, most: u64, of: impl Fn(&Slice) -> (u64, u64)) -> String {
        let (wide, mut path) = (self.wide(), String::new());
        for (at, slice) in self.slices.iter().enumerate() {
            let (low, high) = of(slice);
            if high > low {
                let y = |count: u64| HIGH - count as f64 * (HIGH - 4.0) / most as f64;
                let (x, top, bottom) = (at as f64 * wide + 2.0, y(high).min(y(low) - 2.0), y(low));
                path += &format!("M{x:.1} {bottom:.1}V{top:.1}h{:.1}V{bottom:.1}z", wide - 4.0);
            }
        }
        path
    }

    /// `calls,failed,p50,p99` of each slice, the times as they are shown; a slice without calls is empty.
    fn told(&self) -> String {
        let slice = |slice: &Slice| match slice.calls {
            0 => String::new(),
            calls => format!(
                "{calls},{},{},{}",
                slice.failed,
                slice.quantile(0.5),
                slice.quantile(0.99)
            ),
        };
        self.slices.iter().map(slice).collect::<Vec<_>>().join(";")
    }

    /// Where each slice begins, and where the last one ends, where this machine is.
    fn times(&self) -> String {
        let times = (0..=self.slices.len() as i64).map(|number| self.time(self.step * number));
        times.collect::<Vec<_>>().join(";")
    }

    /// The time so many milliseconds after the beginning: as exact as a slice is long, and with the day where that is not today alone.
    fn time(&self, after: i64) -> String {
        let zoned = |at: i64| {
            let at = Timestamp::from_millisecond(at).unwrap_or_default();
            at.to_zoned(TimeZone::system())
        };
        let format = match self.step {
            ..1000 => "%T%.3f",
            1000..60_000 => "%T",
            _ => "%H:%M",
        };
        let today = zoned(self.from).date() == Timestamp::now().to_zoned(TimeZone::system()).date();
        let day = if today && self.width() <= DAY {
            ""
        } else {
            "%m-%d "
        };
        zoned(self.from + after)
            .strftime(&format!("{day}{format}"))
            .to_string()
    }

    fn axis(&self) -> Markup {
        let tick = |number: i64| self.time(self.width() * number / (TICKS - 1));
        html! { div .axis aria-hidden="true" { @for number in 0..TICKS { span { (tick(number)) } } } }
    }
}

/// A line through points of slices that are so wide, and a short stroke for one that stands alone.
fn points(all: &[(usize, f64)], wide: f64, most: f64) -> String {
    let mut path = String::new();
    let mut before = None;
    for (at, time) in all {
        let (x, y) = (*at as f64 * wide, HIGH - 6.0 - time / most * (HIGH - 12.0));
        let pen = if before == at.checked_sub(1) && before.is_some() {
            'L'
        } else {
            'M'
        };
        path += &format!("{pen}{:.1} {y:.1}h{:.1}", x + 4.0, wide - 8.0);
        before = Some(*at);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As wide as what the recorder counts.
    fn latest(now: i64) -> Timeline {
        Timeline::latest(now, SLICE * SLICES as i64)
    }

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn quantiles_are_near_what_was() {
        let mut rates = Rates::default();
        for time in 1..=200 {
            rates.add(7 * SLICE, "login", time > 196, millis(time));
        }
        let mut timeline = latest(7 * SLICE + 1);
        timeline.take_larger(rates.of(""));
        let slice = &timeline.slices[SLICES - 1];
        assert_eq!((slice.calls, slice.failed), (200, 4));
        for (q, is) in [(0.5, 100.0), (0.99, 198.0)] {
            let found = slice.quantile(q);
            let time = found.time.as_secs_f64() * 1000.0;
            assert!(
                (is * 0.95..is * 1.06).contains(&time) && !found.exact,
                "{q}: {found}"
            );
            assert!(found.to_string().starts_with("≈ "), "{found}");
        }
    }

    #[test]
    fn no_quantile_is_beyond_what_was() {
        for times in [
            &[130][..],
            &[3, 130],
            &[98, 100, 102, 130],
            &[200_000],
            &[290_000, 300_000, 3_600_000],
            &[0, 0, 0],
        ] {
            let mut slice = Slice::default();
            times.iter().for_each(|time| slice.add(false, millis(*time)));
            let mut merged = Slice::default();
            merged.merge(&Slice::default());
            merged.merge(&slice);
            let last = times.last().copied().unwrap_or_default();
            assert_eq!(merged.quantile(0.99).to_string(), span(millis(last)), "{times:?}");
            let half = merged.quantile(0.5).time;
            assert!(
                half >= millis(times[0]) && half <= millis(last),
                "{times:?} {half:?}"
            );
        }
    }

    #[test]
    fn every_call_of_a_window_is_in_a_slice() {
        for wide in [1, 2, 59, 60, 61, 119, 120, 1000, 3_600_001, 604_800_000] {
            let mut timeline = Timeline::new(5, 5 + wide);
            assert!(
                timeline.slices.len() <= SLICES && timeline.width() >= wide,
                "{wide}"
            );
            assert!(
                timeline.width() - timeline.step < wide,
                "{wide}: the last slice is empty"
            );
            for at in [0, wide / 2, wide - 1] {
                assert!(timeline.at(5 + at).is_some(), "{at} of {wide}");
            }
            let times = timeline.times();
            assert_eq!(times.split(';').count(), timeline.slices.len() + 1, "{times}");
        }
    }

    #[test]
    fn old_slices_and_too_many_functions_go() {
        let mut rates = Rates::default();
        for slice in 0..200 {
            rates.add(slice * SLICE, "login", false, Duration::ZERO);
        }
        assert_eq!(rates.functions["login"].0.len(), SLICES);
        for name in 0..2 * FUNCTIONS {
            rates.add(200 * SLICE, &name.to_string(), false, Duration::from_secs(1000));
        }
        assert_eq!(rates.functions.len(), FUNCTIONS);
        let count = |function: &str| {
            let mut timeline = latest(200 * SLICE);
            timeline.take_larger(rates.of(function));
            timeline.slices.iter().map(|slice| slice.calls).sum::<u64>()
        };
        // Of one function without its oldest slice; of all also those that are not counted apart.
        assert_eq!(count("login"), SLICES as u64 - 1);
        assert_eq!(count(""), (SLICES - 1 + 2 * FUNCTIONS) as u64);
    }

    #[test]
    fn what_is_kept_and_what_was_counted_make_one_picture() {
        let call = |at: i64| {
            let at = Timestamp::from_millisecond(at).unwrap_or_default();
            Call::new(at.to_string(), "login".to_owned(), at)
        };
        let mut rates = Rates::default();
        (0..5).for_each(|_| rates.add(SLICE, "login", false, Duration::ZERO));
        rates.add(2 * SLICE, "login", false, Duration::ZERO);
        let mut timeline = latest(2 * SLICE);
        // Of the first slice not all are kept; in the second stands one of another run beside ours.
        for at in [SLICE, SLICE + 1, 2 * SLICE, 2 * SLICE + 1] {
            timeline.add(&call(at));
        }
        timeline.take_larger(rates.of("login"));
        let counts: Vec<u64> = timeline.slices.iter().map(|slice| slice.calls).collect();
        assert_eq!(counts[SLICES - 2..], [5, 2]);
    }

    #[test]
    fn a_full_one_is_small() {
        let mut timeline = Timeline::new(0, 3_600_000);
        for slice in &mut timeline.slices {
            for millis in 0..300 {
                slice.add(millis % 7 == 0, Duration::from_micros(millis * 977));
            }
        }
        let drawn = timeline.drawn(Lang::En, true).into_string();
        assert!(drawn.len() < 16_000, "{}", drawn.len());
    }
}
