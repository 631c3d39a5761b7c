//! `GET /readyz`: whether the next call and the next login would be served, for whoever decides where to send them.
//!
//! [`CHECKS`] is the list of what must be well. Anybody may ask, so the answer says which of them is not, and the log says
//! why, once.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::StatusCode;
use runtime::{FailedStart, LoadReport};
use tcb::codes;
use wechat::LastAttempt;
use wording::Wording;

use crate::{
    Inner,
    failure::Failure,
    reply::{self, HttpReply},
};

/// One thing that must be well.
struct Check {
    /// What anybody is told when it is not.
    text: &'static str,
    /// Looks whether it is; if not, gives the cause for the log.
    look: for<'a> fn(&'a Inner) -> Look<'a>,
}

type Look<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// What must be well; the first that is not is told.
const CHECKS: [Check; 7] = [
    Check {
        text: "not ready yet: functions are being loaded",
        look: |inner| Box::pin(async { functions_are_known(inner) }),
    },
    Check {
        text: "not ready: no function can run",
        look: |inner| Box::pin(async { some_function_can_run(inner) }),
    },
    Check {
        text: "not ready: no process can be started",
        look: |inner| Box::pin(async { processes_start(inner.runtime.failed_start(), Instant::now()) }),
    },
    Check {
        text: "not ready: the store does not work",
        look: |inner| Box::pin(store_works(inner)),
    },
    Check {
        text: "not ready: the database does not work",
        look: |inner| Box::pin(database_works(inner)),
    },
    Check {
        text: "not ready: files cannot be kept",
        look: |inner| Box::pin(files_are_kept(inner)),
    },
    Check {
        text: "not ready: WeChat does not answer",
        look: |inner| Box::pin(async { wechat_answers(inner.wechat.last_attempt(), Instant::now()) }),
    },
];

/// How long a check may take: what stalls for so long is not well.
const WITHIN: Duration = Duration::from_secs(2);

/// How long a failure counts that shows itself only where somebody asks: a request to WeChat, the start of a process. Whoever is
/// not ready is asked nothing, and would never find out that all is well again: after this the next one may try.
const FAILURE_COUNTS: Duration = Duration::from_secs(30);

/// How long a look at the place of files counts: it writes to the disk, or asks another server, and anybody can have it done.
const FILES_COUNT: Duration = Duration::from_secs(2);

/// What is remembered of it.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    /// How the place of files was, and when that was looked at.
    files: tokio::sync::Mutex<Option<(Instant, Result<(), String>)>>,
    /// No function that was loaded can run, though there are some.
    none_can_run: AtomicBool,
    /// What was last said to be wrong.
    said: Mutex<Option<&'static str>>,
}

impl Readiness {
    /// Takes what became of the functions.
    pub(crate) fn loaded(&self, reports: &[LoadReport]) {
        let none = !reports.is_empty() && reports.iter().all(|report| report.problem.is_some());
        self.none_can_run.store(none, Ordering::Relaxed);
    }

    /// Whether this is another text than the last.
    fn is_news(&self, text: Option<&'static str>) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *said, text) != text
    }
}

/// Answers 200 when all is well.
///
/// # Errors
/// 503 when not, with what it is.
pub(crate) async fn answer(inner: &Arc<Inner>) -> Result<HttpReply, Failure> {
    for Check { text, look } in CHECKS {
        let found = tokio::time::timeout(WITHIN, look(inner)).await;
        let found = found.unwrap_or_else(|_| Err(format!("no answer within {} s", WITHIN.as_secs())));
        if let Err(cause) = found {
            let failure = Failure::new(StatusCode::SERVICE_UNAVAILABLE, codes::SYS_ERR, text);
            return Err(match inner.readiness.is_news(Some(text)) {
                true => failure.because(Wording::as_is(format_args!("{text}: {cause}"))),
                false => failure,
            });
        }
    }
    inner.readiness.is_news(None);
    Ok(reply::json(Bytes::from_static(b"{\"status\":\"ready\"}")))
}

fn functions_are_known(inner: &Inner) -> Result<(), String> {
    match inner.calls.sites().ready() {
        true => Ok(()),
        false => Err("dependencies are installed, and workers prepared, first".to_owned()),
    }
}

fn some_function_can_run(inner: &Inner) -> Result<(), String> {
    match inner.readiness.none_can_run.load(Ordering::Relaxed) {
        false => Ok(()),
        true => Err("each has a problem, which was told when it was loaded".to_owned()),
    }
}

/// A failed start counts for a while, unless one succeeded since.
fn processes_start(failed: Option<FailedStart>, now: Instant) -> Result<(), String> {
    match failed {
        Some(FailedStart { at, why }) if now.saturating_duration_since(at) < FAILURE_COUNTS => Err(why),
        _ => Ok(()),
    }
}

async fn store_works(inner: &Inner) -> Result<(), String> {
    let checked = inner.store.check().await;
    checked.map_err(|error| error.report().to_string())
}

async fn database_works(inner: &Inner) -> Result<(), String> {
    let checked = inner.database.database.health().await;
    checked.map_err(|error| error.to_string())
}

async fn files_are_kept(inner: &Inner) -> Result<(), String> {
    let mut looked = inner.readiness.files.lock().await;
    if let Some((at, found)) = &*looked
        && at.elapsed() < FILES_COUNT
    {
        return found.clone();
    }
    let found = inner.cloud.files().check().await;
    *looked = Some((Instant::now(), found.clone()));
    found
}

/// An attempt without an answer counts for a while, unless one was answered since.
fn wechat_answers(last: Option<LastAttempt>, now: Instant) -> Result<(), String> {
    let Some(LastAttempt { at, answered: false }) = last else {
        return Ok(());
    };
    let ago = now.saturating_duration_since(at);
    match ago < FAILURE_COUNTS {
        true => Err(format!(
            "WeChat gave no answer {} s ago, and was asked nothing since",
            ago.as_secs()
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_failed_is_given_another_chance_after_a_while() {
        let at = Instant::now();
        let answers = |answered, later| wechat_answers(Some(LastAttempt { at, answered }), at + later);
        assert!(wechat_answers(None, at).is_ok() && answers(true, Duration::ZERO).is_ok());
        let cause = answers(false, Duration::from_secs(3)).unwrap_err();
        assert!(cause.contains("no answer 3 s ago"), "{cause}");
        assert!(answers(false, FAILURE_COUNTS).is_ok());

        let why = "no room for another process".to_owned();
        let starts = |later| {
            let why = why.clone();
            processes_start(Some(FailedStart { at, why }), at + later)
        };
        assert!(processes_start(None, at).is_ok());
        assert_eq!(starts(Duration::from_secs(3)), Err(why.clone()));
        assert!(starts(FAILURE_COUNTS).is_ok());
    }

    #[test]
    fn what_is_wrong_is_said_once() {
        let readiness = Readiness::default();
        assert!(readiness.is_news(Some("a")) && !readiness.is_news(Some("a")));
        assert!(readiness.is_news(Some("b")) && readiness.is_news(None) && readiness.is_news(Some("b")));
    }
}
