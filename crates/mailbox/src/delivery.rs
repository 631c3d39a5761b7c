//! From the store to the function: each push in its turn, until it is dealt with or given up.

use std::{
    ops::ControlFlow,
    pin::pin,
    sync::{Arc, Weak},
    time::{Duration, SystemTime},
};

use function::FunctionName;
use push::{Format, Packet, PushReply, Verdict};
use store::{Attempt, BoxFuture, Ended, KnownPush, PushState, Store, StoreError, StoredPush};
use wording::{Wording, wording};

use crate::{
    ATTEMPTS, FunctionAnswer, Inner, MOST_BEGUN, MOST_OPEN, count, kind_of, machine_time,
    table::{Item, Outcome},
};

/// How much of a failure is kept with a dead letter, in characters.
const KEPT_OF_ERROR: usize = 2000;

/// Walks along the lanes that nobody walks along, now and then, as long as the mailbox is there: what was open when an
/// earlier process ended, and what a node left that died.
pub(crate) async fn look(mailbox: Weak<Inner>) {
    let mut told = false;
    while let Some(inner) = mailbox.upgrade().filter(|inner| !inner.closing()) {
        match inner.store.free_lanes(machine_time(), MOST_OPEN).await {
            Ok(lanes) => {
                told = false;
                for lane in lanes {
                    if inner.table.visit(&lane) {
                        tokio::spawn(walk(Arc::clone(&inner), lane));
                    }
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    let error = error.report();
                    let text = wording!(
                        "the pushes that are still open could not be read: {error}",
                        "无法读取尚未处理的推送：{error}"
                    );
                    inner.note(None, None, &text);
                }
            }
        }
        let span = inner.pace.look;
        drop(inner);
        tokio::time::sleep(span).await;
    }
}

/// Delivers what stands in a lane, one after another, until it is empty or the service ends. Only one may walk along a lane:
/// the one that the table told to.
pub(crate) async fn walk(inner: Arc<Inner>, lane: String) {
    let walk = Walk {
        inner: &inner,
        lane: &lane,
    };
    while walk.step().await.is_continue() {}
}

struct Walk<'a> {
    inner: &'a Arc<Inner>,
    lane: &'a str,
}

/// How an attempt ended.
enum Tried {
    Done(PushReply),
    /// With what the function itself wants WeChat to be told, if anything.
    Failed {
        reply: Option<PushReply>,
        error: String,
    },
    /// There was no free worker.
    Busy(String),
}

impl Walk<'_> {
    /// Does what is next: an attempt, or waiting. Breaks when there is nothing to walk to, or the service ends.
    async fn step(&self) -> ControlFlow<()> {
        let first = self.persist(|store| store.first_push(self.lane)).await?;
        self.settle_elsewhere(first.as_ref()).await?;
        let Some(push) = first else {
            return match self.inner.table.leave(self.lane) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            };
        };
        let now = machine_time();
        if push.lease(now).is_some() {
            // Another node's, which may die. Whoever took in what stands here is told by what the store says later.
            self.rest(self.inner.pace.poll).await;
            return self.go_on();
        }
        let item = self.inner.table.find(&push.key);
        let hurry = item.as_ref().is_some_and(|item| item.take_hurry());
        if let (PushState::Waiting { due }, false) = (&push.state, hurry)
            && let Some(span) = self.until(*due, now)
        {
            self.rest(span).await;
            return self.go_on();
        }
        if let Some(item) = &item {
            item.stage
                .send_if_modified(|stage| std::mem::take(&mut stage.resting));
        }
        self.attempt(push, item.as_deref()).await
    }

    fn go_on(&self) -> ControlFlow<()> {
        match self.inner.closing() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// How long it is until then, if it is still to come. No longer than any push rests: the clock may have been set back.
    fn until(&self, due: SystemTime, now: SystemTime) -> Option<Duration> {
        let span = due.duration_since(now).ok().filter(|span| !span.is_zero())?;
        Some(span.min(self.inner.pace.back_off[1]))
    }

    /// Waits, or until somebody has reason to go on at once.
    async fn rest(&self, span: Duration) {
        let waking = self.inner.table.waking(self.lane);
        let _ = tokio::time::timeout(span, waking.notified()).await;
    }

    /// Ends the items that another node has dealt with: those that were before what is first now.
    async fn settle_elsewhere(&self, first: Option<&StoredPush>) -> ControlFlow<()> {
        for item in self.inner.table.before(self.lane, first.map(|push| push.turn)) {
            let outcome = match self.persist(|store| store.find_push(&item.key)).await? {
                Some(KnownPush::Open(push)) if push.death().is_none() => {
                    // It was revived meanwhile, or came in after this was asked what is first.
                    item.put_turn(push.turn);
                    continue;
                }
                Some(KnownPush::Done { answer }) => {
                    Outcome::Answer(answer.map_or(PushReply::Success, PushReply::Object))
                }
                // A dead letter, or not even that any more.
                Some(KnownPush::Open(_)) | None => Outcome::Failed,
            };
            self.inner.table.end(&item, outcome);
        }
        ControlFlow::Continue(())
    }

    /// Makes an attempt and keeps what it came to.
    async fn attempt(&self, push: StoredPush, item: Option<&Item>) -> ControlFlow<()> {
        let inner = self.inner;
        let packet = Packet::parse(&inner.appid, Format::Json, push.packet.as_bytes());
        let target = packet.as_ref().ok().and_then(|packet| inner.target(packet));
        let slots = target.as_ref().map(|function| inner.slots(function));
        let _slot = match &slots {
            Some(slots) => slots.acquire().await.ok(),
            None => None,
        };
        let _open = inner.gate.read().await;
        self.go_on()?;
        let begun = self
            .persist(|store| store.begin_push(push.id, &inner.owner, machine_time(), inner.pace.lease))
            .await?;
        let Some(attempt) = begun else {
            // Another node was faster.
            return ControlFlow::Continue(());
        };
        let delivery = Delivery {
            walk: self,
            push: &push,
            packet: packet.as_ref().ok(),
            item,
            attempt,
        };
        let tried = match &packet {
            Ok(packet) => delivery.try_it(packet, target.as_ref()).await,
            Err(error) => {
                // There is nothing to try again.
                let error = format!("what the store holds is no packet: {error}");
                return delivery.give_up(None, error).await;
            }
        };
        if inner.closing() && !matches!(tried, Tried::Done(_)) {
            // The end of the service may have been what failed it: it is left to another node, or the next process.
            let due = machine_time();
            delivery.keep(Ended::Deferred { due }).await?;
            return ControlFlow::Break(());
        }
        delivery.settle(tried).await
    }

    /// Asks the store for as long as it fails: what happened must be kept, or it would happen again. Breaks when the service
    /// ends.
    async fn persist<'s, T>(
        &'s self,
        ask: impl Fn(&'s dyn Store) -> BoxFuture<'s, Result<T, StoreError>>,
    ) -> ControlFlow<(), T> {
        let mut told = false;
        loop {
            match ask(&*self.inner.store).await {
                Ok(answer) => return ControlFlow::Continue(answer),
                Err(_) if self.inner.closing() => return ControlFlow::Break(()),
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        let error = error.report();
                        let text = wording!(
                            "how it stands with a push could not be kept, and is tried again: {error}",
                            "无法保存一条推送的状态，将重试：{error}"
                        );
                        self.inner.note(None, None, &text);
                    }
                    tokio::time::sleep(self.inner.pace.store_again).await;
                }
            }
        }
    }
}

/// An attempt that was begun.
struct Delivery<'a> {
    walk: &'a Walk<'a>,
    push: &'a StoredPush,
    /// What the store holds of it, if that is one.
    packet: Option<&'a Packet>,
    /// The push as it was taken in here, if it was.
    item: Option<&'a Item>,
    attempt: Attempt,
}

impl Delivery<'_> {
    async fn try_it(&self, packet: &Packet, target: Option<&FunctionName>) -> Tried {
        let failed = |error| Tried::Failed { reply: None, error };
        if self.begun() > MOST_BEGUN {
            return failed(format!(
                "{MOST_BEGUN} attempts were begun, of which {} failed; the others ended with the process, or found no free worker",
                self.push.failures
            ));
        }
        let Some(function) = target else {
            return failed(format!("no route takes the kind {} any more", kind_of(packet)));
        };
        let inner = self.walk.inner;
        let mut call = pin!(inner.functions.call(function, packet, self.attempt.number));
        let called = loop {
            match tokio::time::timeout(inner.pace.renew, &mut call).await {
                Ok(called) => break called,
                Err(_) => self.renew().await,
            }
        };
        match called {
            FunctionAnswer::Returned { request_id, json } => self.judge(packet, function, &request_id, &json),
            FunctionAnswer::Busy(error) => Tried::Busy(error),
            FunctionAnswer::Failed(error) => failed(error),
        }
    }

    /// Keeps the lane while the attempt runs. What cannot be renewed is lost only when another node takes it, and that is seen at
    /// the end.
    async fn renew(&self) {
        let inner = self.walk.inner;
        let renewed = inner
            .store
            .renew_push(&self.attempt, machine_time(), inner.pace.lease);
        if let Err(error) = renewed.await {
            tracing::warn!(error = %error.report(), push = self.push.id, "the lane of a push could not be kept");
        }
    }

    /// Judges what the function returned.
    fn judge(&self, packet: &Packet, function: &FunctionName, request_id: &str, json: &str) -> Tried {
        let Verdict { reply, error, remark } = Verdict::of(packet, json);
        if let Some(remark) = remark {
            let (kind, remark) = (kind_of(packet), remark.wording());
            let text = wording!(
                "{function}, for a push of the kind {kind}: {remark}",
                "{function} 处理 {kind} 类型的推送：{remark}";
                remark
            );
            self.walk.inner.note(Some(request_id), packet.user(), &text);
        }
        match error {
            None => Tried::Done(reply),
            Some(code) => Tried::Failed {
                error: format!("the function answered with the error code {code}"),
                reply: matches!(reply, PushReply::Object(_)).then_some(reply),
            },
        }
    }

    /// Keeps what the attempt came to, and tells those who wait.
    async fn settle(&self, tried: Tried) -> ControlFlow<()> {
        let inner = self.walk.inner;
        let [short, long] = inner.pace.back_off;
        let is_last = self.begun() >= MOST_BEGUN;
        match tried {
            Tried::Done(reply) => {
                let answer = match &reply {
                    PushReply::Object(object) => Some(object.clone()),
                    PushReply::Success => None,
                };
                if self.keep(Ended::Done { answer }).await? {
                    count(&inner.counts.done);
                    self.over(Outcome::Answer(reply));
                }
                ControlFlow::Continue(())
            }
            Tried::Busy(_) if !is_last => {
                let due = machine_time() + short;
                self.wait(Ended::Deferred { due }, PushReply::Success).await
            }
            Tried::Busy(error) => {
                count(&inner.counts.failed);
                self.give_up(None, error).await
            }
            Tried::Failed { reply, error } => {
                count(&inner.counts.failed);
                let failures = self.push.failures + 1;
                if failures >= ATTEMPTS || is_last {
                    return self.give_up(reply, error).await;
                }
                let due = machine_time() + if failures == 1 { short } else { long };
                self.wait(Ended::Failed { due }, reply.unwrap_or(PushReply::Success))
                    .await
            }
        }
    }

    /// How many attempts count, with this one.
    fn begun(&self) -> u32 {
        self.attempt.number.saturating_sub(self.push.earlier)
    }

    /// There will be another attempt; WeChat is answered this meanwhile.
    async fn wait(&self, ended: Ended, reply: PushReply) -> ControlFlow<()> {
        if self.keep(ended).await?
            && let Some(item) = self.item
        {
            item.rest(reply);
        }
        ControlFlow::Continue(())
    }

    /// There will be none.
    async fn give_up(&self, reply: Option<PushReply>, error: String) -> ControlFlow<()> {
        let inner = self.walk.inner;
        let error: String = error.chars().take(KEPT_OF_ERROR).collect();
        if !self.keep(Ended::Dead { error: error.clone() }).await? {
            return ControlFlow::Continue(());
        }
        count(&inner.counts.dead);
        inner.letter_came((self.push.packet.len() + error.len()) as u64);
        let kind = match self.packet.map(kind_of) {
            Some(kind) => wording!(" of the kind {kind}", "（类型 {kind}）"),
            None => Wording::default(),
        };
        let (attempts, id) = (self.attempt.number, self.push.id);
        let why = error.lines().next().unwrap_or_default();
        let text = wording!(
            "a push{kind} was given up after {attempts} attempts, and is a dead letter ({why}); on the operator's listener \
             POST /operator/push/dead/{id}/replay sends it through again",
            "一条推送{kind}尝试 {attempts} 次后已放弃，成为死信（{why}）；在运维端口 POST /operator/push/dead/{id}/replay 可重新处理";
            kind
        );
        inner.note(None, self.packet.and_then(Packet::user), &text);
        self.over(reply.map_or(Outcome::Failed, Outcome::Answer));
        ControlFlow::Continue(())
    }

    fn over(&self, outcome: Outcome) {
        if let Some(item) = self.item {
            self.walk.inner.table.end(item, outcome);
        }
    }

    /// Whether the store took it. It does not if another node began the next attempt, because it took this process for dead.
    async fn keep(&self, ended: Ended) -> ControlFlow<(), bool> {
        let attempt = &self.attempt;
        let kept = self
            .walk
            .persist(|store| store.end_push(attempt, ended.clone(), machine_time()))
            .await?;
        if !kept {
            let (number, push) = (attempt.number, attempt.push);
            let text = wording!(
                "attempt {number} for the push {push} took longer than its lane could be kept, and another node has taken it over: what \
                 this attempt came to does not count",
                "推送 {push} 的第 {number} 次尝试用时过长，已由另一个节点接手：这次尝试的结果不算"
            );
            self.walk.inner.note(None, None, &text);
        }
        ControlFlow::Continue(kept)
    }
}
