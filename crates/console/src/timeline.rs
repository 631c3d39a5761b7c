//! How many calls there were when, how many failed, and how long they ran: counted in slices of time, and drawn.
//!
//! The recorder counts every call in slices of 15 seconds, however many there are. Any other window, or one that only some calls
//! belong to, is counted from the calls that are kept.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use jiff::{Timestamp, tz::TimeZone};
use maud::{Markup, html};

use crate::{
    lang::Lang,
    layout::span,
    recorder::{Call, beginning},
};

/// Slices of a window.
pub(crate) const SLICES: usize = 60;
/// Milliseconds of a slice that the recorder counts.
pub(crate) const SLICE: i64 = 15_000;
/// Functions that are counted apart.
const FUNCTIONS: usize = 200;
/// Steps of a doubling of the time: a quantile is within 5 % of what it was.
const STEPS: u32 = 8;
/// Two to the power of 27 microseconds are 134 seconds: longer than a call can take.
const BINS: usize = 27 * STEPS as usize;
/// The drawing's size, in its own units.
const WIDE: f64 = 1200.0;
const HIGH: f64 = 100.0;
/// Times below the axis.
const TICKS: i64 = 6;

/// One slice of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slice {
    calls: u64,
    failed: u64,
    /// Calls by how long they ran, on a logarithmic scale; empty where there were none.
    times: Vec<u32>,
}

/// The last slices of each function.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    functions: BTreeMap<String, VecDeque<(i64, Slice)>>,
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
        self.calls += 1;
        self.failed += u64::from(failed);
        self.times.resize(BINS, 0);
        self.times[bin(ran)] += 1;
    }

    fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.failed += other.failed;
        self.times.resize(BINS.max(self.times.len()), 0);
        for (mine, theirs) in self.times.iter_mut().zip(&other.times) {
            *mine += theirs;
        }
    }

    /// The time within which a share `q` of the calls ran.
    fn quantile(&self, q: f64) -> Duration {
        let wanted = (self.calls as f64 * q).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (at, count) in self.times.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return middle(at);
            }
        }
        middle(BINS - 1)
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
        if !self.functions.contains_key(function) {
            if self.functions.len() == FUNCTIONS {
                return;
            }
            self.functions.insert(function.to_owned(), VecDeque::new());
        }
        let Some(slices) = self.functions.get_mut(function) else {
            return;
        };
        let at = at.div_euclid(SLICE);
        if slices.back().is_none_or(|(last, _)| *last != at) {
            slices.push_back((at, Slice::default()));
            if slices.len() > SLICES {
                slices.pop_front();
            }
        }
        if let Some((_, last)) = slices.back_mut() {
            last.add(failed, ran);
        }
    }
}

impl Timeline {
    /// An empty one from `from` to `to`, in milliseconds since 1970.
    pub(crate) fn new(from: i64, to: i64) -> Self {
        let step = ((to - from) / SLICES as i64).max(1);
        Self {
            from,
            step,
            slices: vec![Slice::default(); SLICES],
        }
    }

    /// The slices that the recorder counts, up to now.
    pub(crate) fn latest(now: i64) -> Self {
        let end = (now.div_euclid(SLICE) + 1) * SLICE;
        Self::new(end - SLICE * SLICES as i64, end)
    }

    /// How long it is, in milliseconds.
    pub(crate) fn width(&self) -> i64 {
        self.step * SLICES as i64
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

    /// Counts what the recorder counted of one function, or of all where none is named.
    pub(crate) fn add_rates(&mut self, rates: &Rates, function: &str) {
        let wanted = |name: &&String| function.is_empty() || *name == function;
        let names: Vec<&String> = rates.functions.keys().filter(wanted).collect();
        for (at, counted) in names.into_iter().flat_map(|name| &rates.functions[name]) {
            if let Some(slice) = self.at(at * SLICE) {
                slice.merge(counted);
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
        let quantiles = |q| {
            move |(at, slice): (usize, &Slice)| {
                (slice.calls > 0).then(|| (at, slice.quantile(q).as_secs_f64()))
            }
        };
        let slow: Vec<(usize, f64)> = self
            .slices
            .iter()
            .enumerate()
            .filter_map(quantiles(0.99))
            .collect();
        let usual: Vec<(usize, f64)> = self
            .slices
            .iter()
            .enumerate()
            .filter_map(quantiles(0.5))
            .collect();
        let slowest = slow.iter().map(|(_, time)| *time).fold(1e-6, f64::max);
        html! {
            section .timeline tabindex="0" role="group" aria-label=(lang.t("Calls over time: arrow keys tell of each slice, Enter shows its calls", "调用时间线：方向键查看每一段，回车只看该段的调用"))
                data-from=(self.from) data-step=(self.step) data-slices=(self.told())
                data-names=(lang.t("calls|failed|p50|p99", "调用|失败|p50|p99")) {
                dl .facts {
                    div { dt { (lang.t("calls", "调用")) } dd { (all.calls) } }
                    div { dt { (lang.t("failed", "失败")) } dd .(if all.failed > 0 { "bad" } else { "" }) {
                        (all.failed)
                        @if all.failed > 0 { " (" (format_args!("{:.1}", all.failed as f64 * 100.0 / all.calls as f64)) " %)" }
                    } }
                    @if all.calls > 0 {
                        div { dt .p50 { "p50" } dd { (span(all.quantile(0.5))) } }
                        div { dt .p99 { "p99" } dd { (span(all.quantile(0.99))) } }
                    }
                    @if zoomed { button .small type="button" data-set="from=&to=" { (lang.t("Show all times", "取消时间范围")) } }
                    output .told aria-live="polite" {}
                }
                div .plot {
                    span .scale { (most) }
                    svg viewBox={ "0 0 " (WIDE) " " (HIGH) } preserveAspectRatio="none" aria-hidden="true" {
                        path .count d=(self.bars(most, |slice| (slice.failed, slice.calls))) {}
                        path .fails d=(self.bars(most, |slice| (0, slice.failed))) {}
                        rect .pointed y="0" height=(HIGH) width=(WIDE / SLICES as f64) x="-100" {}
                    }
                }
                div .plot.times {
                    span .scale { (span(Duration::from_secs_f64(slowest))) }
                    svg viewBox={ "0 0 " (WIDE) " " (HIGH) } preserveAspectRatio="none" aria-hidden="true" {
                        path .p99 d=(points(&slow, slowest)) {}
                        path .p50 d=(points(&usual, slowest)) {}
                    }
                }
                (self.axis())
            }
        }
    }

    /// Bars from one height to another.
    fn bars(&self, most: u64, of: impl Fn(&Slice) -> (u64, u64)) -> String {
        let (wide, mut path) = (WIDE / SLICES as f64, String::new());
        for (at, slice) in self.slices.iter().enumerate() {
            let (low, high) = of(slice);
            if high > low {
                let y = |count: u64| HIGH - count as f64 * (HIGH - 4.0) / most as f64;
                let (x, top, bottom) = (at as f64 * wide + 2.0, y(high).min(y(low) - 2.0), y(low));
                path += &format!("M{x} {bottom:.1}V{top:.1}h{}V{bottom:.1}z", wide - 4.0);
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
                span(slice.quantile(0.5)),
                span(slice.quantile(0.99))
            ),
        };
        self.slices.iter().map(slice).collect::<Vec<_>>().join(";")
    }

    fn axis(&self) -> Markup {
        let whole = self.width();
        // In milliseconds: as exact as the step between two ticks is.
        let format = match whole {
            ..=120_000 => "%T%.3f",
            120_001..=3_600_000 => "%T",
            3_600_001..=86_400_000 => "%H:%M",
            _ => "%m-%d %H:%M",
        };
        let tick = |number: i64| {
            let at =
                Timestamp::from_millisecond(self.from + whole * number / (TICKS - 1)).unwrap_or_default();
            let text = at.to_zoned(TimeZone::system()).strftime(format).to_string();
            beginning(&text, 12).to_owned()
        };
        html! { div .axis aria-hidden="true" { @for number in 0..TICKS { span { (tick(number)) } } } }
    }
}

/// A line through points, and a short stroke for one that stands alone.
fn points(all: &[(usize, f64)], most: f64) -> String {
    let (wide, mut path) = (WIDE / SLICES as f64, String::new());
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

    #[test]
    fn quantiles_are_near_what_was() {
        let mut rates = Rates::default();
        for millis in 1..=100 {
            rates.add(7 * SLICE, "login", millis > 98, Duration::from_millis(millis));
        }
        let mut timeline = Timeline::latest(7 * SLICE + 1);
        timeline.add_rates(&rates, "");
        let slice = &timeline.slices[SLICES - 1];
        assert_eq!((slice.calls, slice.failed), (100, 2));
        for (q, millis) in [(0.5, 50.0), (0.99, 99.0)] {
            let found = slice.quantile(q).as_secs_f64() * 1000.0;
            assert!((millis * 0.95..millis * 1.06).contains(&found), "{q}: {found}");
        }
    }

    #[test]
    fn old_slices_and_too_many_functions_go() {
        let mut rates = Rates::default();
        for slice in 0..200 {
            rates.add(slice * SLICE, "login", false, Duration::ZERO);
        }
        assert_eq!(rates.functions["login"].len(), SLICES);
        for name in 0..2 * FUNCTIONS {
            rates.add(200 * SLICE, &name.to_string(), false, Duration::from_secs(1000));
        }
        assert_eq!(rates.functions.len(), FUNCTIONS);
        let mut timeline = Timeline::latest(200 * SLICE);
        timeline.add_rates(&rates, "login");
        let calls: u64 = timeline.slices.iter().map(|slice| slice.calls).sum();
        assert_eq!(
            calls,
            SLICES as u64 - 1,
            "of one function, without its oldest slice"
        );
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
