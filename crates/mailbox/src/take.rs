//! Taking a push in, and waiting for what it comes to, as long as WeChat waits.

use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use push::{Packet, PushReply};
use store::{Arrival, Intake, KnownPush, PushState, StoreError, StoredPush};
use tokio::sync::watch;
use wording::{Wording, wording};

use crate::{
    Inner, MOST_OPEN, Mailbox, count, delivery, kind_of, machine_time,
    table::{Entered, Item, Outcome, Stage},
};

/// Why a push was not taken. Whoever sent it should send it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotTaken {
    /// [`MOST_OPEN`] pushes wait already.
    #[error("{MOST_OPEN} pushes are waiting for their functions; a further one was not taken")]
    TooMany,
    /// The store did not take it in time, or the push was given up. The operator was told why.
    #[error("the push was not taken, or was given up")]
    Failed,
}

impl NotTaken {
    /// The same, for the log.
    #[must_use]
    pub fn wording(self) -> Wording {
        match self {
            Self::TooMany => wording!(
                "{MOST_OPEN} pushes are waiting for their functions; a further one was not taken",
                "已有 {MOST_OPEN} 条推送在等待云函数，不再接收新的推送"
            ),
            Self::Failed => wording!(
                "the push was not taken, or was given up",
                "推送没有被接收，或已放弃"
            ),
        }
    }
}

impl Mailbox {
    /// Takes a packet in, and waits `within` for what its next attempt comes to: what WeChat is to be told. A packet that no
    /// route takes is acknowledged. `request_id` is that of the request that brought it.
    ///
    /// # Errors
    /// There are too many, the store does not have it, or it was given up.
    pub async fn take(
        &self,
        request_id: &str,
        packet: Packet,
        within: Duration,
    ) -> Result<PushReply, NotTaken> {
        let inner = &self.0;
        if inner.target(&packet).is_none() {
            inner.tell_unrouted(request_id, &packet);
            return Ok(PushReply::Success);
        }
        let key = packet.key().to_string();
        let Some(Entered { item, is_new }) = inner.table.enter(key, &packet, MOST_OPEN) else {
            inner.note(Some(request_id), None, &NotTaken::TooMany.wording());
            return Err(NotTaken::TooMany);
        };
        let mut stage = item.stage.subscribe();
        let ended = stage.borrow().ended;
        if is_new {
            // Whatever becomes of the request, the push takes its course.
            tokio::spawn(keep(Arc::clone(inner), Arc::clone(&item), packet));
        } else {
            count(&inner.counts.duplicates);
            if stage.borrow().resting {
                item.hurry();
                inner.table.wake(&item.lane);
            }
        }
        match tokio::time::timeout(within, outcome(&mut stage, ended)).await {
            Ok(Outcome::Answer(reply)) => Ok(reply),
            Ok(Outcome::Failed) => Err(NotTaken::Failed),
            Err(_) if stage.borrow().stored => Ok(PushReply::Success),
            // The store has not said that it has it: WeChat keeps it, and sends it again.
            Err(_) => Err(NotTaken::Failed),
        }
    }
}

/// What the next attempt comes to.
async fn outcome(stage: &mut watch::Receiver<Stage>, ended: u32) -> Outcome {
    match stage.wait_for(|stage| stage.over || stage.ended > ended).await {
        Ok(stage) => stage.outcome.clone().unwrap_or(Outcome::Failed),
        Err(_) => Outcome::Failed,
    }
}

/// Has the store take an item in, and somebody walk along its lane. That is when WeChat may be told that we have it.
async fn keep(inner: Arc<Inner>, item: Arc<Item>, packet: Packet) {
    let asked = ask_store(&inner, &item, &packet).await;
    drop(packet);
    let (turn, counter) = match asked {
        Ok(InStore::New(turn)) => (turn, &inner.counts.taken),
        Ok(InStore::Open(push)) => {
            if matches!(push.state, PushState::Waiting { .. }) {
                // A duplicate: the next attempt is due now.
                item.hurry();
            }
            (push.turn, &inner.counts.duplicates)
        }
        Ok(InStore::Done(reply)) => {
            count(&inner.counts.duplicates);
            return inner.table.end(&item, Outcome::Answer(reply));
        }
        Err(error) => {
            let error = error.report();
            let text = wording!(
                "a push could not be kept, and was not taken: {error}",
                "无法保存一条推送，未予接收：{error}"
            );
            inner.note(None, item.openid.as_deref(), &text);
            return inner.table.end(&item, Outcome::Failed);
        }
    };
    count(counter);
    item.put_turn(turn);
    if inner.table.join(&item) {
        delivery::walk(inner, item.lane.clone()).await;
    }
}

/// How the store knows a push.
enum InStore {
    New(u64),
    Open(Box<StoredPush>),
    Done(PushReply),
}

async fn ask_store(inner: &Inner, item: &Item, packet: &Packet) -> Result<InStore, StoreError> {
    let now = machine_time();
    let arrival = Arrival {
        lane: &item.lane,
        key: &item.key,
        packet: packet.as_json(),
    };
    let mut taken = inner.store.take_push(arrival, now).await?;
    if let Intake::Known(KnownPush::Open(push)) = &taken
        && push.death().is_some()
    {
        taken = match inner.store.revive_push(push.id, false, now).await? {
            Some(push) => Intake::Known(KnownPush::Open(Box::new(push))),
            // The operator was faster, one way or the other.
            None => inner.store.take_push(arrival, now).await?,
        };
    }
    Ok(match taken {
        Intake::New(id) => InStore::New(id),
        Intake::Known(KnownPush::Open(push)) => InStore::Open(push),
        Intake::Known(KnownPush::Done { answer }) => {
            InStore::Done(answer.map_or(PushReply::Success, PushReply::Object))
        }
    })
}

impl Inner {
    /// Notes once for each kind that no route takes it; where there are no routes, once in all.
    fn tell_unrouted(&self, request_id: &str, packet: &Packet) {
        count(&self.counts.unrouted);
        let kind = kind_of(packet);
        let no_routes = self
            .routes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty();
        if no_routes {
            if !self.told_of_none.swap(true, Ordering::Relaxed) {
                let text = wording!(
                    "message pushes arrive ({kind} was the first) and no function takes any: name functions for them in \
                     [push.routes] of yunqiao.toml",
                    "收到了消息推送（第一条是 {kind}），但没有云函数接收：请在 yunqiao.toml 的 [push.routes] 中指定云函数"
                );
                self.note(Some(request_id), packet.user(), &text);
            }
            return;
        }
        let mut told = self.unrouted.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < 1000 && told.insert(kind.clone()) {
            let text = wording!(
                "no route takes pushes of the kind {kind}: they are acknowledged, and that is all; name a function for them \
                 in [push.routes] of yunqiao.toml: \"{kind}\" = \"…\"",
                "没有云函数接收 {kind} 类型的推送：只会应答。请在 yunqiao.toml 的 [push.routes] 中指定：\"{kind}\" = \"…\""
            );
            self.note(Some(request_id), packet.user(), &text);
        }
    }
}
