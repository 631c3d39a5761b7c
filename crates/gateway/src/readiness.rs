//! `GET /readyz`: whether the next call and the next login would be served, for whoever decides where to send them.
//!
//! Three things must be well: a function that can run, the store, and WeChat as far as it was asked. Anybody may ask, so
//! the answer says which of them is not, and the log says why, once.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::StatusCode;
use runtime::LoadReport;
use tcb::codes;
use wechat::LastAttempt;

use crate::{
    Inner,
    failure::Failure,
    reply::{self, HttpReply},
};

/// How long a failed attempt to reach WeChat counts. Whoever is not ready is asked nothing, and would never find out that
/// WeChat is back: after this the next login may try.
const FAILURE_COUNTS: Duration = Duration::from_secs(30);

/// How long the store may take to say that it is well: a disk that stalls for so long is not.
const STORE_WITHIN: Duration = Duration::from_secs(2);
const STORE: &str = "not ready: the store does not work";

/// What is remembered of it.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    /// No function that was loaded can run, though there are some.
    none_can_run: AtomicBool,
    /// What was last said to be wrong.
    said: Mutex<Option<&'static str>>,
}

/// Something that is not ready.
struct Unready {
    /// For anybody.
    text: &'static str,
    /// For the log.
    cause: String,
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
    match judge(inner).await {
        Ok(()) => {
            inner.readiness.is_news(None);
            Ok(reply::json(Bytes::from_static(b"{\"status\":\"ready\"}")))
        }
        Err(Unready { text, cause }) => {
            let failure = Failure::new(StatusCode::SERVICE_UNAVAILABLE, codes::SYS_ERR, text);
            Err(match inner.readiness.is_news(Some(text)) {
                true => failure.because(cause),
                false => failure,
            })
        }
    }
}

async fn judge(inner: &Inner) -> Result<(), Unready> {
    let unready = |text, cause: String| Err(Unready { text, cause });
    if !inner.calls.sites().ready() {
        let text = "not ready yet: functions are being loaded";
        return unready(text, text.to_owned());
    }
    if inner.readiness.none_can_run.load(Ordering::Relaxed) {
        let text = "not ready: no function can run";
        return unready(text, text.to_owned());
    }
    let store = tokio::time::timeout(STORE_WITHIN, inner.store.check()).await;
    match store {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return unready(STORE, format!("{STORE}: {}", error.report())),
        Err(_) => {
            let seconds = STORE_WITHIN.as_secs();
            return unready(STORE, format!("{STORE}: it did not answer within {seconds} s"));
        }
    }
    if let Some(ago) = unanswered(inner.wechat.last_attempt(), Instant::now()) {
        let cause = format!(
            "not ready: WeChat gave no answer {} s ago, and was asked nothing since",
            ago.as_secs()
        );
        return unready("not ready: WeChat does not answer", cause);
    }
    Ok(())
}

/// How long ago WeChat did not answer, where that counts.
fn unanswered(last: Option<LastAttempt>, now: Instant) -> Option<Duration> {
    let LastAttempt { at, answered } = last?;
    let ago = now.saturating_duration_since(at);
    (!answered && ago < FAILURE_COUNTS).then_some(ago)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wechat_is_given_another_chance_after_a_while() {
        let at = Instant::now();
        let judged = |answered, later| unanswered(Some(LastAttempt { at, answered }), at + later);
        assert_eq!(unanswered(None, at), None);
        assert_eq!(judged(true, Duration::ZERO), None);
        assert_eq!(
            judged(false, Duration::from_secs(3)),
            Some(Duration::from_secs(3))
        );
        assert_eq!(judged(false, FAILURE_COUNTS), None);
    }

    #[test]
    fn what_is_wrong_is_said_once() {
        let readiness = Readiness::default();
        assert!(readiness.is_news(Some("a")) && !readiness.is_news(Some("a")));
        assert!(readiness.is_news(Some("b")) && readiness.is_news(None) && readiness.is_news(Some("b")));
    }
}
