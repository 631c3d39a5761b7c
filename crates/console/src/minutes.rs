//! Counts by function and minute: how many calls, how many failed, how long they ran. What the charts show.

use std::{collections::BTreeMap, time::Duration};

/// Minutes that are shown.
pub(crate) const MINUTES: u64 = 15;
/// Functions that are counted apart.
const FUNCTIONS: usize = 200;
/// Steps of a doubling of the time: a quantile is at most 19 % more than it was.
const STEPS: u32 = 4;
/// Two to the power of 27 microseconds are 134 seconds: longer than a call can take.
const BINS: usize = 27 * STEPS as usize;

/// The counts of all functions.
#[derive(Debug, Default)]
pub(crate) struct Minutes {
    functions: BTreeMap<String, Vec<Bucket>>,
}

/// One minute of one function.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    minute: u64,
    pub(crate) calls: u64,
    pub(crate) errors: u64,
    /// Calls by how long they ran, on a logarithmic scale.
    times: Vec<u32>,
}

impl Minutes {
    pub(crate) fn add(&mut self, minute: u64, function: &str, failed: bool, ran: Duration) {
        if !self.functions.contains_key(function) {
            if self.functions.len() == FUNCTIONS {
                return;
            }
            self.functions.insert(function.to_owned(), Vec::new());
        }
        let Some(buckets) = self.functions.get_mut(function) else {
            return;
        };
        if buckets.last().is_none_or(|last| last.minute != minute) {
            buckets.retain(|bucket| bucket.minute + MINUTES > minute);
            buckets.push(Bucket {
                minute,
                calls: 0,
                errors: 0,
                times: vec![0; BINS],
            });
        }
        if let Some(last) = buckets.last_mut() {
            last.calls += 1;
            last.errors += u64::from(failed);
            last.times[bin(ran)] += 1;
        }
    }

    /// Each function that was called in the last minutes, with what there is of them: the last is minute `now`.
    pub(crate) fn last(&self, now: u64) -> Vec<(&str, Vec<Option<&Bucket>>)> {
        let window = |buckets: &'_ [Bucket]| -> Vec<Option<usize>> {
            (0..MINUTES)
                .map(|back| now.checked_sub(MINUTES - 1 - back))
                .map(|minute| buckets.iter().position(|bucket| Some(bucket.minute) == minute))
                .collect()
        };
        let all = self.functions.iter().map(|(name, buckets)| {
            let window = window(buckets).into_iter().map(|at| at.map(|at| &buckets[at]));
            (name.as_str(), window.collect::<Vec<_>>())
        });
        all.filter(|(_, window)| window.iter().any(Option::is_some))
            .collect()
    }
}

impl Bucket {
    /// The time within which a share `q` of the calls ran.
    pub(crate) fn quantile(&self, q: f64) -> Duration {
        let wanted = (self.calls as f64 * q).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (at, count) in self.times.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return upper(at);
            }
        }
        upper(BINS - 1)
    }
}

fn bin(ran: Duration) -> usize {
    let micros = ran.as_micros().max(1) as f64;
    ((micros.log2() * f64::from(STEPS)) as usize).min(BINS - 1)
}

fn upper(bin: usize) -> Duration {
    let micros = 2_f64.powf((bin + 1) as f64 / f64::from(STEPS));
    Duration::from_micros(micros as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_near_above_what_was() {
        let mut minutes = Minutes::default();
        for millis in 1..=100 {
            minutes.add(7, "login", millis > 98, Duration::from_millis(millis));
        }
        let all = minutes.last(8);
        let bucket = all[0].1[MINUTES as usize - 2].unwrap_or_else(|| panic!("minute 7 is there"));
        assert_eq!((bucket.calls, bucket.errors), (100, 2));
        for (q, millis) in [(0.5, 50.0), (0.99, 99.0)] {
            let found = bucket.quantile(q).as_secs_f64() * 1000.0;
            assert!(found >= millis * 0.99 && found <= millis * 1.2, "{q}: {found}");
        }
    }

    #[test]
    fn old_minutes_and_too_many_functions_go() {
        let mut minutes = Minutes::default();
        for minute in 0..100 {
            minutes.add(minute, "login", false, Duration::ZERO);
        }
        assert_eq!(minutes.functions["login"].len(), MINUTES as usize);
        assert!(minutes.last(200).is_empty());
        for name in 0..2 * FUNCTIONS {
            minutes.add(100, &name.to_string(), false, Duration::from_secs(1000));
        }
        assert_eq!(minutes.functions.len(), FUNCTIONS);
    }
}
