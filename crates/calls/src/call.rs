//! Making a call: look the function up, write what it gets, run it, tell how it ended.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use function::TIMEOUT_SECONDS;
use runtime::{CallError, CallOutcome, Frame, FunctionCall, FunctionReply, InvocationId, Runtime};
use tcb::Event;
use wording::{Wording, wording};

use crate::{
    CallFailure, CallRecord, Caller, Exchange, Invocation, Invocations, Journal, Note, RedeemedFields, Site,
    Sites, ids, shown,
};

/// Calls functions. Clones share everything.
#[derive(Clone)]
pub struct Calls(Arc<Inner>);

struct Inner {
    appid: String,
    sites: Sites,
    invocations: Arc<Invocations>,
    runtime: Runtime,
    journal: Arc<dyn Journal>,
}

/// A call with all that the function gets written.
pub struct PreparedCall {
    calls: Calls,
    site: Arc<Site>,
    caller: Caller,
    request_id: String,
    token: String,
    frame: Frame,
    parent: Option<InvocationId>,
    /// The event for a person to read, if anybody will.
    event: Option<String>,
    redeemed: RedeemedFields,
    warnings: Vec<(String, Wording)>,
}

/// A call that is over, and was told to the journal.
#[derive(Debug)]
pub struct FinishedCall {
    /// What the function returned, or why there is nothing.
    pub result: Result<FunctionReply, CallFailure>,
    /// Fields of `data` that are not as the caller may expect: the name as a JSON string literal, and why.
    pub warnings: Vec<(String, Wording)>,
}

impl Calls {
    /// Calls of the functions that `runtime` runs, which know this Mini Program by `appid`. Calls are entered in `invocations`
    /// while they run. No function is known before some are [put](Sites::put).
    #[must_use]
    pub fn new(
        appid: String,
        runtime: Runtime,
        invocations: Arc<Invocations>,
        journal: Arc<dyn Journal>,
    ) -> Self {
        Self(Arc::new(Inner {
            appid,
            sites: Sites::default(),
            invocations,
            runtime,
            journal,
        }))
    }

    /// The appid of the Mini Program whose functions these are.
    #[must_use]
    pub fn appid(&self) -> &str {
        &self.0.appid
    }

    /// Which functions there are.
    #[must_use]
    pub fn sites(&self) -> &Sites {
        &self.0.sites
    }

    /// The calls that run now.
    #[must_use]
    pub fn invocations(&self) -> &Invocations {
        &self.0.invocations
    }

    /// Who is told.
    #[must_use]
    pub fn journal(&self) -> &dyn Journal {
        &*self.0.journal
    }

    /// The function of this name. If there is none, the operator is told which there are.
    ///
    /// # Errors
    /// There is no such function.
    pub fn find(&self, name: &str, request_id: &str, openid: Option<&str>) -> Result<Arc<Site>, CallFailure> {
        self.0.sites.get(name).ok_or_else(|| {
            let names = self.0.sites.names();
            self.0.journal.note(&Note {
                request_id,
                openid,
                text: &wording!(
                    "there is no function {name:?}; there are: {names}",
                    "没有云函数 {name:?}；现有：{names}"
                ),
            });
            CallFailure::no_function()
        })
    }

    /// The same, where functions may be about to be loaded: one that was made a moment ago is waited for.
    ///
    /// # Errors
    /// There is no such function.
    pub async fn find_soon(
        &self,
        name: &str,
        request_id: &str,
        openid: Option<&str>,
    ) -> Result<Arc<Site>, CallFailure> {
        if self.0.sites.get(name).is_none() {
            self.0.runtime.changes_loaded().await;
        }
        self.find(name, request_id, openid)
    }

    /// Writes all that the function gets: its environment and its event. Nothing of the event's size is kept but the frame.
    #[must_use]
    pub fn prepare(
        &self,
        site: Arc<Site>,
        caller: Caller,
        request_id: &str,
        mut event: Event<'_>,
    ) -> PreparedCall {
        let mut frame = Frame::new();
        let token = ids::api_token();
        let user = caller.user.as_ref();
        site.environment.write(
            &tcb::CallVariables {
                request_id,
                source: caller.source.as_str(),
                user: user.map(|user| tcb::UserVariables {
                    openid: &user.openid,
                    unionid: user.unionid.as_deref(),
                }),
                web: caller.web.as_ref().map(|web| tcb::WebVariables {
                    uid: &web.uid,
                    login_type: web.login_type,
                    custom_user_id: web.custom_user_id.as_deref(),
                    is_anonymous: web.is_anonymous,
                }),
                client_ip: caller.client_ip,
                api_token: &token,
                open_data: &event.open_data(),
                trigger: caller.trigger,
                attempt: caller.attempt,
                most: caller.http.as_ref().map(|line| line.most),
            },
            frame.head(),
        );
        event.write(&self.0.appid, caller.openid(), frame.event());
        let keeps = self.0.journal.keeps_exchanges();
        PreparedCall {
            calls: self.clone(),
            site,
            caller,
            request_id: request_id.to_owned(),
            token,
            event: keeps.then(|| shown("application/json", frame.event_bytes())),
            frame,
            parent: None,
            redeemed: RedeemedFields::default(),
            warnings: event.take_warnings(),
        }
    }

    /// Looks the function up, and calls it with an event that needs nothing else.
    pub async fn call(&self, name: &str, caller: Caller, request_id: &str, event: Event<'_>) -> FinishedCall {
        let call = match self.find_soon(name, request_id, caller.openid()).await {
            Ok(site) => self.prepare(site, caller, request_id, event),
            Err(failure) => return failure.into(),
        };
        call.run().await
    }
}

impl From<CallFailure> for FinishedCall {
    fn from(failure: CallFailure) -> Self {
        Self {
            result: Err(failure),
            warnings: Vec::new(),
        }
    }
}

/// A call under way. Whoever asked drives it, which spares each call a task, and two turns of the scheduler; one that is
/// dropped before its end becomes a task of its own.
struct CallUnderWay(Option<Pin<Box<dyn Future<Output = FinishedCall> + Send>>>);

impl Future for CallUnderWay {
    type Output = FinishedCall;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<FinishedCall> {
        // The call is taken out while it is polled, so that one that panicked is not polled again.
        let polled = self.0.take().map(|mut call| {
            let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context)));
            (call, polled)
        });
        match polled {
            Some((_, Ok(Poll::Ready(finished)))) => Poll::Ready(finished),
            Some((call, Ok(Poll::Pending))) => {
                self.0 = Some(call);
                Poll::Pending
            }
            // The panic's own text has been written.
            Some((_, Err(_))) | None => {
                tracing::error!("a call broke off before its end");
                Poll::Ready(CallFailure::internal().into())
            }
        }
    }
}

impl Drop for CallUnderWay {
    fn drop(&mut self) {
        let Some(call) = self.0.take() else { return };
        // Without a runtime the process is at its end, and so are the functions.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            drop(runtime.spawn(call));
        }
    }
}

impl PreparedCall {
    /// Says what became of the cloudIDs that were exchanged for it.
    #[must_use]
    pub fn redeemed(self, redeemed: RedeemedFields) -> Self {
        Self { redeemed, ..self }
    }

    /// Makes it from inside another call: it waits for no worker that a call above it holds, and ends with that one.
    #[must_use]
    pub fn inside(self, parent: InvocationId) -> Self {
        Self {
            parent: Some(parent),
            ..self
        }
    }

    /// Makes the call. When whoever asked goes away, the function runs on as on the platform, may still make its cloud calls,
    /// and its end is still told to the journal.
    pub async fn run(self) -> FinishedCall {
        CallUnderWay(Some(Box::pin(self.make()))).await
    }

    async fn make(self) -> FinishedCall {
        let name = self.site.name.clone();
        let call = match self.parent {
            Some(parent) => FunctionCall::nested(name, self.frame, parent),
            None => FunctionCall::new(name, self.frame),
        };
        let inner = &self.calls.0;
        let entered = inner.invocations.enter(
            self.token,
            Invocation::new(call.id(), self.request_id, self.site, self.caller),
        );
        let CallOutcome {
            result,
            logs,
            waited,
            ran,
        } = inner.runtime.invoke(call).await;
        let invocation = entered.leave();
        if let Err(CallError::TimedOut { after }) = &result
            && let Some(longer) = longer_than(*after)
        {
            let name = invocation.site.name.as_str();
            inner.journal.note(&Note {
                request_id: &invocation.request_id,
                openid: invocation.caller.who(),
                text: &wording!(
                    "[functions.{name}] timeout = \"{longer}s\" in yunqiao.toml gives {name} longer, as its timeout in WeChat's console does",
                    "在 yunqiao.toml 里写 [functions.{name}] timeout = \"{longer}s\" 可以让 {name} 运行更久，与云开发控制台里的超时时间相当"
                ),
            });
        }
        let result = result.map_err(CallFailure::from);
        invocation.end(result.is_err());
        let error = result.as_ref().err();
        let made = invocation.take_calls();
        let exchange = self.event.map(|event| Exchange {
            request: event,
            answer: match &result {
                Ok(FunctionReply { json: Some(json) }) => shown("application/json", json),
                _ => String::new(),
            },
        });
        inner.journal.call(&CallRecord {
            request_id: &invocation.request_id,
            function: invocation.site.name.as_str(),
            source: invocation.caller.source.as_str(),
            openid: invocation.caller.who(),
            attempt: invocation.caller.attempt,
            push: invocation.caller.push.as_deref(),
            http: invocation.caller.http.as_ref(),
            status: error.map_or(200, |failure| failure.kind.status()),
            error: error.map(|failure| (failure.code.into(), failure.text.as_ref())),
            redeemed: &self.redeemed,
            waited,
            ran,
            logs: &logs,
            exchange: exchange.as_ref(),
            cloud_calls: &made.first,
            more_cloud_calls: made.more,
            warnings: &self.warnings,
        });
        FinishedCall {
            result,
            warnings: self.warnings,
        }
    }
}

/// Seconds that a function may be given which did not end in that time; `None` where it cannot have more.
fn longer_than(time: Duration) -> Option<u64> {
    let most = *TIMEOUT_SECONDS.end();
    let longer = time.as_secs().saturating_mul(2).clamp(10.min(most), most);
    (Duration::from_secs(longer) > time).then_some(longer)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::sync::oneshot;

    use super::*;

    fn under_way(call: impl Future<Output = FinishedCall> + Send + 'static) -> CallUnderWay {
        CallUnderWay(Some(Box::pin(call)))
    }

    #[test]
    fn whoever_was_too_slow_may_be_given_longer() {
        for (time, longer) in [
            (1, Some(10)),
            (3, Some(10)),
            (20, Some(40)),
            (200, Some(300)),
            (300, None),
        ] {
            assert_eq!(longer_than(Duration::from_secs(time)), longer, "{time}");
        }
    }

    #[tokio::test]
    async fn a_call_that_nobody_waits_for_any_more_runs_on() {
        let (go, gone) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let mut call = under_way(async move {
            gone.await.unwrap();
            tell.send("ended").unwrap();
            CallFailure::no_function().into()
        });
        let begun = Pin::new(&mut call).poll(&mut Context::from_waker(std::task::Waker::noop()));
        assert!(begun.is_pending());
        drop(call);
        go.send(()).unwrap();
        assert_eq!(told.await, Ok("ended"));
    }

    #[tokio::test]
    async fn a_call_that_breaks_off_is_answered_and_not_driven_again() {
        let (tell, told) = oneshot::channel::<()>();
        let finished = under_way(async move {
            let _tell = tell;
            panic!("as asked for")
        })
        .await;
        let failure = finished.result.unwrap_err();
        assert_eq!(failure.code, CallFailure::internal().code);
        assert!(told.await.is_err(), "nothing of it is left");
    }
}
