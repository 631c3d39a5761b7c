//! WeChat's time, in which every expiry that WeChat decides is measured.
//!
//! A login code lives five minutes, a cloudID three hundred seconds, an access_token two hours, a customer-service
//! window two days. Tests and `/sim/clock` want those to pass at once, so everything that judges one of them asks a
//! [`Clock`] and never the machine. Machine time (deadlines, back-off, TC3 timestamps) is another matter and is not
//! kept here: it is never stepped.
//!
//! WeChat's own timestamps are whole seconds; a [`Timestamp`] keeps milliseconds, so that "299.9 s is still valid" can
//! be said.

use std::{
    fmt,
    ops::{Add, Sub},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

/// A moment of WeChat's time: milliseconds since the Unix epoch.
///
/// Arithmetic saturates at both ends: a moment that came from outside (a watermark may claim any number) must not be
/// able to panic or to wrap round into the valid range.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From whole seconds since the epoch, as WeChat writes them.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// From milliseconds since the epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Whole seconds since the epoch, the fraction cut off: what WeChat would write.
    #[must_use]
    pub const fn secs(self) -> u64 {
        self.0 / 1000
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is before.
    #[must_use]
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Debug for Timestamp {
    /// Seconds with the milliseconds as fraction: `1477314187.000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)))
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The hand that everything judging WeChat's expiries looks at. Clones share it: advance one and all have advanced.
///
/// It can only go forward, as the one it stands for.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    base: Base,
    /// Milliseconds that were added by [`Clock::advance`].
    advanced: AtomicU64,
}

#[derive(Debug)]
enum Base {
    Machine,
    Fixed(Timestamp),
}

impl Clock {
    /// The machine's time, plus whatever [`advance`](Self::advance) added.
    #[must_use]
    pub fn system() -> Self {
        Self::on(Base::Machine)
    }

    /// Stands still at `at` until it is advanced.
    #[must_use]
    pub fn fixed(at: Timestamp) -> Self {
        Self::on(Base::Fixed(at))
    }

    fn on(base: Base) -> Self {
        Self(Arc::new(Inner {
            base,
            advanced: AtomicU64::new(0),
        }))
    }

    /// The moment it shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.base() + Duration::from_millis(self.0.advanced.load(Ordering::SeqCst))
    }

    /// By how much it was stepped, all steps together.
    #[must_use]
    pub fn ahead(&self) -> Duration {
        Duration::from_millis(self.0.advanced.load(Ordering::SeqCst))
    }

    /// Steps it forward by `span` (whole milliseconds count) for everyone who shares it, and tells what it shows now.
    #[expect(clippy::must_use_candidate, reason = "it is called for what it does")]
    pub fn advance(&self, span: Duration) -> Timestamp {
        let step = millis(span);
        let before = self
            .0
            .advanced
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |sum| {
                Some(sum.saturating_add(step))
            })
            .unwrap_or_else(|unchanged| unchanged);
        self.base() + Duration::from_millis(before.saturating_add(step))
    }

    #[expect(clippy::disallowed_methods, reason = "this is where WeChat's time comes from")]
    fn base(&self) -> Timestamp {
        match self.0.base {
            // A machine whose clock stands before 1970 has lost its battery; the epoch is as good an answer as any.
            Base::Machine => Timestamp(0) + SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default(),
            Base::Fixed(at) => at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_477_314_187_000);

    #[test]
    fn a_fixed_clock_stands_until_it_is_advanced_and_clones_follow() {
        let clock = Clock::fixed(START);
        let shared = clock.clone();
        assert_eq!(clock.now(), START);
        assert_eq!(
            clock.advance(Duration::from_secs(301)),
            START + Duration::from_secs(301)
        );
        assert_eq!(shared.now().saturating_since(START), Duration::from_secs(301));
        assert_eq!(
            shared.advance(Duration::from_millis(1)).millis(),
            START.millis() + 301_001
        );
    }

    #[test]
    fn the_system_clock_shows_the_machines_time_plus_the_steps() {
        let clock = Clock::system();
        #[expect(clippy::disallowed_methods, reason = "what the clock is compared with")]
        let machine = || Timestamp(0) + SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let before = machine();
        let shown = clock.now();
        assert!(before <= shown && shown <= machine(), "{before:?} {shown:?}");

        let hour = Duration::from_secs(3600);
        let stepped = clock.advance(hour);
        assert!(
            before + hour <= stepped && stepped <= machine() + hour,
            "{before:?} {stepped:?}"
        );
        assert!(stepped <= clock.now());
    }

    #[test]
    fn steps_from_several_threads_all_count() {
        let clock = Clock::fixed(START);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        clock.advance(Duration::from_millis(3));
                    }
                });
            }
        });
        assert_eq!(clock.now().saturating_since(START), Duration::from_millis(12_000));
    }

    #[test]
    fn arithmetic_saturates() {
        let end = Timestamp::from_millis(u64::MAX);
        assert_eq!(Timestamp::from_secs(u64::MAX), end);
        assert_eq!(end + Duration::MAX, end);
        assert_eq!(START - Duration::MAX, Timestamp::from_secs(0));
        assert_eq!(START.saturating_since(end), Duration::ZERO);
        let clock = Clock::fixed(START);
        assert_eq!(clock.advance(Duration::MAX), end);
        assert_eq!(clock.advance(Duration::MAX), end);
    }

    #[test]
    fn seconds_are_cut_off_and_debug_shows_the_fraction() {
        let moment = Timestamp::from_millis(1_477_314_187_999);
        assert_eq!(moment.secs(), 1_477_314_187);
        assert_eq!(format!("{moment:?}"), "1477314187.999");
        assert_eq!(format!("{:?}", Timestamp::from_secs(7)), "7.000");
    }
}
