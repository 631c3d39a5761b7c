//! Timers: functions that are called by the clock, as `triggers` of their `config.json` say.
//!
//! The time is the *machine's*, not WeChat's: a timer is no expiry of WeChat's, and a test that steps WeChat's clock by a
//! month to see a session end would otherwise set off a month of jobs. A timer call has no user, its event is the
//! timer's alone, and cloud calls may be made (WeChat's document "定时触发器").
//!
//! Where the documents are silent, these are choices. A tick that finds the one before still running runs beside it, as two
//! users' calls do. A tick that fails is not repeated: the next one comes. Of several ticks of one timer that came due
//! together, because the process had no time for them, the last is run. A tick for which nobody was awake within
//! [`GRACE`] is missed; `[timers] missed` says what becomes of it, also of a timer that was added meanwhile. Moments of the
//! past are never repeated when the machine's clock is set back, unless by more than [`SET_BACK`]: then it was wrong before.
//! Of several processes that share a store, one fires each tick: the one that claims it first. A tick whose process dies
//! before it has fired is not fired; one that cannot be claimed within [`GRACE`], because the store fails, is left out.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use calls::Caller;
use function::FunctionName;
use jiff::{SignedDuration, Timestamp as Moment, Unit};
use project::{Missed, Project, Trigger};
use tcb::Event;
use tokio::{sync::watch, task::JoinSet};
use wording::wording;

use crate::{Gateway, Inner, Note, call, failure::Failure, ids, listen::DRAIN};

/// How late a tick may be and still count as on time.
const GRACE: SignedDuration = SignedDuration::from_secs(60);
/// How far the machine's clock may be set back before what it showed until then is forgotten.
const SET_BACK: SignedDuration = SignedDuration::from_hours(1);
/// How often the machine's clock is looked at, whatever it said when the next tick was waited for: it may be set, and it
/// goes on while the machine sleeps.
const LOOK: Duration = Duration::from_secs(20);
/// How long to wait before a store that failed is asked again whose a tick is.
const CLAIM_AGAIN: Duration = Duration::from_secs(1);

/// What fires when, as the project was loaded last.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    settings: project::TimersSection,
    timers: Vec<(FunctionName, Trigger)>,
    /// What stands in a function's files and never fires, with the reason: it is not told as absent.
    faults: Vec<(FunctionName, String)>,
}

/// The plan in force; who fires is told of a new one.
#[derive(Debug)]
pub(crate) struct Plans(watch::Sender<Arc<Plan>>);

impl Default for Plans {
    fn default() -> Self {
        Self(watch::Sender::new(Arc::default()))
    }
}

impl Plans {
    pub(crate) fn put(&self, project: &Project) {
        let timers = project.functions.values().flat_map(|listed| {
            let triggers = listed.triggers.iter().cloned();
            triggers.map(|trigger| (listed.function.name.clone(), trigger))
        });
        let faults = project.functions.values().flat_map(|listed| {
            let faults = listed.trigger_faults.iter();
            faults.map(|fault| (listed.function.name.clone(), fault.to_string()))
        });
        self.0.send_replace(Arc::new(Plan {
            settings: project.settings.timers.clone(),
            timers: timers.collect(),
            faults: faults.collect(),
        }));
    }
}

/// A tick that has come.
#[derive(Debug, PartialEq)]
struct Due<'a> {
    function: &'a FunctionName,
    trigger: &'a str,
    at: Moment,
    missed: bool,
}

impl Plan {
    /// The timer of a function that has this name, or its only one; why there is none, and the mend.
    fn named<'a>(&'a self, function: &str, wanted: Option<&'a str>) -> Result<&'a str, String> {
        let timers = self.timers.iter().filter(|(of, _)| of.as_str() == function);
        let names: Vec<&str> = timers.map(|(_, trigger)| trigger.name.as_str()).collect();
        let faults = self.faults.iter().filter(|(of, _)| of.as_str() == function);
        let faults: Vec<&str> = faults.map(|(_, fault)| fault.as_str()).collect();
        match (wanted, names.as_slice(), faults.as_slice()) {
            (_, [], []) => Err(format!(
                "{function} has no timer: give it one as `triggers` in its config.json"
            )),
            (_, [], faults) => Err(format!(
                "{function} has no timer that fires: {}",
                faults.join("; ")
            )),
            (Some(wanted), names, _) if names.contains(&wanted) => Ok(wanted),
            (Some(wanted), names, faults) => {
                let mut why = format!("{function} has no timer {wanted:?}; it has: {}", names.join(", "));
                for fault in faults {
                    why = format!("{why}; {fault}");
                }
                Err(why)
            }
            (None, [only], _) => Ok(*only),
            (None, names, _) => Err(format!(
                "{function} has several timers, name one of them: {}",
                names.join(", ")
            )),
        }
    }

    /// The last tick of each timer after `seen`, up to `now`.
    fn due(&self, seen: Moment, now: Moment) -> impl Iterator<Item = Due<'_>> {
        self.timers.iter().filter_map(move |(function, trigger)| {
            let at = trigger.cron.last_until(now, &self.settings.zone)?;
            (at > seen).then(|| Due {
                function,
                trigger: &trigger.name,
                at,
                missed: now.duration_since(at) > GRACE,
            })
        })
    }

    /// How long nothing comes.
    fn quiet(&self, now: Moment) -> Duration {
        let next = self.timers.iter().filter_map(|(_, trigger)| {
            let next = trigger.cron.next_after(now, &self.settings.zone)?;
            Duration::try_from(next.duration_since(now)).ok()
        });
        next.min().unwrap_or(LOOK).min(LOOK)
    }

    fn makes_up(&self) -> bool {
        self.settings.missed == Missed::RunOnce
    }
}

/// What is remembered to be over after the machine's clock shows `now`.
fn over(seen: Moment, now: Moment) -> Moment {
    if seen.duration_since(now) > SET_BACK {
        now
    } else {
        seen.max(now)
    }
}

impl Gateway {
    /// Fires the functions' timers until `stop` resolves, then lets those under way end, for a while. To be called after
    /// [`load`](Self::load); what a later one adds or takes away counts from then on.
    pub async fn fire_timers(self, stop: impl Future<Output = ()>) {
        let inner = &self.0;
        let mut plans = inner.timers.0.subscribe();
        let mut plan = Arc::clone(&plans.borrow_and_update());
        let mut seen = Moment::now();
        if plan.makes_up() {
            let before = seen_before(inner).await;
            keep(inner, seen).await;
            // The first start ever misses nothing.
            seen = before.unwrap_or(seen).min(seen);
        }
        let mut running = JoinSet::new();
        tokio::pin!(stop);
        loop {
            let now = Moment::now();
            let mut due = plan.due(seen, now).peekable();
            if due.peek().is_some() && plan.makes_up() {
                // First, so that what is cut off is not taken for missed.
                keep(inner, now).await;
            }
            for due in due {
                set_off(inner, &due, plan.makes_up(), &mut running);
            }
            seen = over(seen, now);
            if plans.has_changed().unwrap_or(false) {
                plan = Arc::clone(&plans.borrow_and_update());
                continue;
            }
            tokio::select! {
                () = &mut stop => break,
                _ = plans.changed() => plans.mark_changed(),
                () = tokio::time::sleep(plan.quiet(now)) => {}
                Some(_) = running.join_next() => {}
            }
        }
        let ended = async { while running.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(DRAIN, ended).await;
    }
}

/// Runs a tick, or tells that it is left out.
fn set_off(inner: &Arc<Inner>, due: &Due<'_>, makes_up: bool, running: &mut JoinSet<()>) {
    let Due {
        function,
        trigger,
        at,
        missed,
    } = *due;
    let (inner, name, trigger) = (Arc::clone(inner), function.to_string(), trigger.to_owned());
    running.spawn(async move {
        if !claim(&inner, &name, &trigger, at).await {
            return;
        }
        let request_id = ids::request_id();
        if missed {
            let becomes = match makes_up {
                true => wording!("it is made up for now", "现在补上"),
                false => wording!(
                    "it is left out, as [timers] missed = \"skip\" says",
                    "按 [timers] missed = \"skip\" 跳过"
                ),
            };
            inner.journal.note(&Note {
                request_id: &request_id,
                openid: None,
                text: &wording!(
                    "{name} was to be called by its timer {trigger:?} at {at}, when nobody was awake: {becomes}",
                    "{name} 的定时触发器 {trigger:?} 应在 {at} 触发，当时服务未运行：{becomes}";
                    becomes
                ),
            });
            if !makes_up {
                return;
            }
        }
        // How it ended, the journal is told.
        let _ = fire(&inner, &name, &trigger, at, &request_id).await;
    });
}

/// Whether a tick is this process's to fire. Asks a store that fails again, for a while.
async fn claim(inner: &Inner, name: &str, trigger: &str, at: Moment) -> bool {
    let timer = format!("{name}/{trigger}");
    let began = Instant::now();
    loop {
        match inner
            .store
            .claim_tick(&timer, at.into(), Moment::now().into())
            .await
        {
            Ok(ours) => return ours,
            Err(error) if began.elapsed() > GRACE.unsigned_abs() => {
                let error = error.report();
                inner.journal.note(&Note {
                    request_id: &ids::request_id(),
                    openid: None,
                    text: &wording!(
                        "{name} was to be called by its timer {trigger:?} at {at}, and is not: whether another process does \
                         cannot be known, {error}",
                        "{name} 的定时触发器 {trigger:?} 应在 {at} 触发，但没有触发：无法得知别的进程是否已触发，{error}"
                    ),
                });
                return false;
            }
            Err(_) => tokio::time::sleep(CLAIM_AGAIN).await,
        }
    }
}

/// Calls a function as its timer does, for the tick at `at`, and gives the body that a client would be answered.
async fn fire(
    inner: &Arc<Inner>,
    name: &str,
    trigger: &str,
    at: Moment,
    request_id: &str,
) -> Result<bytes::Bytes, Failure> {
    let event = Event::Timer {
        name: trigger,
        at: &at.to_string(),
    };
    let finished = inner.calls.call(name, Caller::timer(), request_id, event).await;
    call::answer(finished, request_id)
}

/// Fires one timer of a function now: that of the name, or the only one.
///
/// # Errors
/// No such function, no such timer, several and none named; else as any call.
pub(crate) async fn fire_now(
    inner: &Arc<Inner>,
    name: &str,
    wanted: Option<&str>,
    request_id: &str,
) -> Result<bytes::Bytes, Failure> {
    inner.calls.find_soon(name, request_id, None).await?;
    let plan = Arc::clone(&inner.timers.0.borrow());
    let trigger = plan.named(name, wanted).map_err(Failure::malformed)?;
    // As a tick is: a whole second.
    let now = Moment::now();
    let at = now.round(Unit::Second).unwrap_or(now);
    fire(inner, name, trigger, at, request_id).await
}

/// Up to when ticks were seen to by whoever fired them before.
async fn seen_before(inner: &Inner) -> Option<Moment> {
    let seen = inner.store.timers_seen().await.unwrap_or_else(|error| {
        tracing::warn!(error = %error.report(), "missed ticks of timers cannot be made up for");
        None
    });
    Moment::try_from(seen?).ok()
}

async fn keep(inner: &Inner, seen: Moment) {
    if let Err(error) = inner.store.put_timers_seen(seen.into()).await {
        tracing::warn!(error = %error.report(), "after a restart, ticks of timers will be taken for missed that were not");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use project::Cron;

    use super::*;

    fn plan(timers: &[(&str, &str)]) -> Plan {
        let timers = timers.iter().map(|(name, cron)| {
            let trigger = Trigger {
                name: (*name).to_owned(),
                cron: Cron::parse(cron).unwrap(),
            };
            ("f".parse().unwrap(), trigger)
        });
        Plan {
            settings: project::TimersSection::default(),
            timers: timers.collect(),
            faults: vec![("g".parse().unwrap(), "line 3: never fires — mend it".to_owned())],
        }
    }

    #[test]
    fn what_never_fires_is_not_told_as_absent() {
        let one = plan(&[("daily", "0 0 2 * * * *")]);
        assert_eq!(one.named("f", None), Ok("daily"));
        assert_eq!(one.named("f", Some("daily")), Ok("daily"));
        let told = |function, wanted| one.named(function, wanted).unwrap_err();
        assert_eq!(
            told("f", Some("weekly")),
            "f has no timer \"weekly\"; it has: daily"
        );
        assert_eq!(
            told("g", None),
            "g has no timer that fires: line 3: never fires — mend it"
        );
        assert!(told("h", None).contains("give it one"));
    }

    /// A moment as the clocks of UTC+8 show it.
    fn at(time: &str) -> Moment {
        format!("2026-11-21T{time}+08:00").parse().unwrap()
    }

    fn due(plan: &Plan, seen: &str, now: &str) -> Vec<(String, Moment, bool)> {
        let due = plan.due(at(seen), at(now));
        due.map(|due| (due.trigger.to_owned(), due.at, due.missed))
            .collect()
    }

    #[test]
    fn each_tick_is_due_once() {
        let plan = plan(&[("each", "* * * * * * *"), ("hourly", "0 0 * * * * *")]);
        let each = |time| ("each".to_owned(), at(time), false);
        let hourly = |time| ("hourly".to_owned(), at(time), false);
        assert_eq!(due(&plan, "12:59:58.5", "12:59:58.9"), []);
        assert_eq!(due(&plan, "12:59:58.9", "12:59:59"), [each("12:59:59")]);
        assert_eq!(
            due(&plan, "12:59:59", "13:00:00.001"),
            [each("13:00:00"), hourly("13:00:00")]
        );
        assert_eq!(due(&plan, "13:00:00.001", "13:00:00.002"), []);
        assert_eq!(plan.quiet(at("13:00:00.25")), Duration::from_millis(750));
    }

    #[test]
    fn of_ticks_that_came_together_the_last_one_counts_and_a_late_one_is_missed() {
        let plan = plan(&[("each", "* * * * * * *"), ("hourly", "0 0 * * * * *")]);
        assert_eq!(
            due(&plan, "09:30:00", "13:01:00.5"),
            [
                ("each".to_owned(), at("13:01:00"), false),
                ("hourly".to_owned(), at("13:00:00"), true)
            ]
        );
        assert!(!due(&plan, "09:30:00", "13:01:00")[1].2);
    }

    #[test]
    fn the_clock_is_looked_at_though_nothing_comes() {
        assert_eq!(plan(&[]).quiet(at("13:00:00")), LOOK);
        assert_eq!(plan(&[("once", "0 0 0 1 1 * 2020")]).quiet(at("13:00:00")), LOOK);
        assert_eq!(plan(&[("daily", "0 0 2 * * * *")]).quiet(at("13:00:00")), LOOK);
    }

    #[test]
    fn a_clock_that_is_set_back_repeats_nothing_unless_it_was_wrong() {
        assert_eq!(over(at("13:00:00"), at("13:00:01")), at("13:00:01"));
        assert_eq!(over(at("13:00:00"), at("12:30:00")), at("13:00:00"));
        assert_eq!(over(at("13:00:00"), at("11:30:00")), at("11:30:00"));
    }

    #[test]
    fn a_moment_is_told_as_the_documents_tell_it() {
        assert_eq!(at("02:00:00").to_string(), "2026-11-20T18:00:00Z");
    }
}
