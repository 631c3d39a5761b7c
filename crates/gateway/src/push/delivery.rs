//! From the store to the function: each push in its turn, until it is dealt with or given up.

use std::fmt::Display;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use calls::{Caller, FailureKind};
use function::FunctionName;
use push::{Format, Packet, Reply, Verdict};
use store::{BoxFuture, Ended, Pushed, Store, StoreError, Taken};
use tcb::Event;

use super::table::{Item, Outcome, Stored};
use super::{ATTEMPTS, BACK_OFF, MOST_BEGUN, Pushes, count, kind_of, machine_time};
use crate::{Inner, Note, ids};

/// How long to wait for a store that failed.
const STORE_AGAIN: Duration = Duration::from_secs(1);
/// How much of a failure is kept with a dead letter, in characters.
const KEPT_OF_ERROR: usize = 2000;

/// Has the store take an item in, and says how it stands with it. That is when WeChat may be told that we have it.
pub(super) async fn store(inner: Arc<Inner>, item: Arc<Item>) {
    let Some(pushes) = &inner.push else { return };
    match taken(&inner, &item).await {
        Ok(Known::Open { stored, is_new }) => {
            count(match is_new {
                true => &pushes.counts.taken,
                false => &pushes.counts.duplicates,
            });
            item.stage.send_modify(|stage| stage.stored = Some(stored));
        }
        Ok(Known::Done(reply)) => {
            count(&pushes.counts.duplicates);
            pushes.table.end(&item, Outcome::Answer(reply));
        }
        Err(error) => {
            note(
                &inner,
                &item,
                &format_args!("a push could not be kept, and was not taken: {error}"),
            );
            pushes.table.end(&item, Outcome::Failed);
        }
    }
}

/// How the store knows a push.
enum Known {
    Open { stored: Stored, is_new: bool },
    Done(Reply),
}

async fn taken(inner: &Inner, item: &Item) -> Result<Known, StoreError> {
    let now = machine_time();
    let mut taken = inner
        .store
        .take_push(&item.key, item.packet.as_json(), now)
        .await?;
    if let Taken::Open(push) = &taken
        && push.dead.is_some()
    {
        taken = match inner.store.revive_push(push.id, false).await? {
            Some(push) => Taken::Open(push),
            // The operator was faster, one way or the other.
            None => {
                inner
                    .store
                    .take_push(&item.key, item.packet.as_json(), now)
                    .await?
            }
        };
    }
    Ok(match taken {
        Taken::New(id) => Known::Open {
            stored: Stored {
                id,
                attempts: 0,
                earlier: 0,
                failures: 0,
            },
            is_new: true,
        },
        Taken::Open(push) => Known::Open {
            stored: stored(&push),
            is_new: false,
        },
        Taken::Done { answer } => Known::Done(answer.map_or(Reply::Success, Reply::Object)),
    })
}

fn stored(push: &Pushed) -> Stored {
    Stored {
        id: push.id,
        attempts: push.attempts,
        earlier: push.earlier,
        failures: push.failures,
    }
}

/// Enters what was open when the last process ended, once.
pub(crate) async fn recover(inner: &Arc<Inner>) {
    let Some(pushes) = &inner.push else { return };
    if pushes.recovered.swap(true, Ordering::Relaxed) {
        return;
    }
    let open = match inner.store.open_pushes().await {
        Ok(open) => open,
        Err(error) => {
            inner.journal.note(&Note {
                request_id: &ids::request_id(),
                openid: None,
                text: &format_args!("the pushes that are still open could not be read: {error}"),
            });
            return;
        }
    };
    for push in open.into_iter().filter(|push| push.dead.is_none()) {
        resume(inner, pushes, &push).await;
    }
}

/// Puts a push of the store's in its lane.
pub(super) async fn resume(inner: &Arc<Inner>, pushes: &Pushes, push: &Pushed) {
    let appid = pushes.receiver.settings().appid.as_str();
    let Ok(packet) = Packet::parse(appid, Format::Json, push.packet.as_bytes()) else {
        tracing::error!(
            id = push.id,
            "the store holds a push that is no packet; it is left there"
        );
        return;
    };
    // Nothing that is in the store already is too much.
    while let Some(entered) = pushes.table.enter(push.key.clone(), packet.clone(), usize::MAX) {
        if entered.is_new {
            let stored = Some(stored(push));
            entered.item.stage.send_modify(|stage| stage.stored = stored);
            if let Some(lane) = entered.lane {
                tokio::spawn(walk(Arc::clone(inner), lane));
            }
            return;
        }
        // A duplicate that came in this moment, about which the store was asked before.
        let _ = entered.item.stage.subscribe().wait_for(|stage| stage.over).await;
    }
}

/// Delivers what stands in a lane, one after another, until it is empty.
pub(super) async fn walk(inner: Arc<Inner>, lane: String) {
    let Some(pushes) = &inner.push else { return };
    while let Some(item) = pushes.table.first(&lane) {
        if deliver(&inner, pushes, &item).await.is_break() {
            // The service ends. What stands here is in the store.
            return;
        }
        pushes.table.advance(&lane);
    }
}

/// How one attempt ended.
enum Tried {
    Done(Reply),
    /// With what the function itself wants WeChat to be told, if anything.
    Failed {
        reply: Option<Reply>,
        error: String,
    },
    /// There was no free worker.
    Busy(String),
    /// It was not begun: somebody else has dealt with the push.
    Superfluous,
}

/// What follows an attempt.
enum Next {
    Nothing,
    /// Another one, after so long. WeChat is answered this meanwhile.
    Another(Reply, Duration),
}

/// Sees a push through. Breaks when the service ends.
async fn deliver(inner: &Arc<Inner>, pushes: &Pushes, item: &Item) -> ControlFlow<()> {
    let mut stage = item.stage.subscribe();
    let settled = stage.wait_for(|stage| stage.stored.is_some() || stage.over).await;
    let stored = settled
        .ok()
        .filter(|stage| !stage.over)
        .and_then(|stage| stage.stored);
    let Some(stored) = stored else {
        return ControlFlow::Continue(());
    };
    let mut delivery = Delivery {
        inner,
        pushes,
        item,
        stored,
    };
    loop {
        match delivery.attempt().await? {
            Next::Nothing => return ControlFlow::Continue(()),
            Next::Another(reply, span) => rest(item, reply, span).await,
        }
    }
}

/// A push in its turn.
struct Delivery<'a> {
    inner: &'a Arc<Inner>,
    pushes: &'a Pushes,
    item: &'a Item,
    stored: Stored,
}

impl Delivery<'_> {
    /// Makes an attempt and keeps what it came to.
    async fn attempt(&mut self) -> ControlFlow<(), Next> {
        let target = self.pushes.target(&self.item.packet);
        let slots = target.as_ref().map(|function| self.pushes.slots(function));
        let _slot = match &slots {
            Some(slots) => slots.acquire().await.ok(),
            None => None,
        };
        let _open = self.pushes.gate.read().await;
        if self.pushes.closing() {
            return ControlFlow::Break(());
        }
        let tried = self.attempt_at(target.as_ref()).await?;
        if self.pushes.closing() && !matches!(tried, Tried::Done(_)) {
            // The end of the service may have been what failed it.
            return ControlFlow::Break(());
        }
        self.settle(tried).await
    }

    async fn attempt_at(&mut self, target: Option<&FunctionName>) -> ControlFlow<(), Tried> {
        let Stored { id, failures, .. } = self.stored;
        let failed = |error| ControlFlow::Continue(Tried::Failed { reply: None, error });
        if self.is_last() {
            return failed(format!(
                "{MOST_BEGUN} attempts were begun, of which {failures} failed; the others ended with the process, or found no free worker"
            ));
        }
        match self.persist(|store| store.begin_push(id)).await? {
            Some(attempt) => self.stored.attempts = attempt,
            None => return ControlFlow::Continue(Tried::Superfluous),
        }
        let packet = &self.item.packet;
        match target {
            Some(function) => {
                let tried = call_function(self.inner, packet, function.as_str(), self.stored.attempts).await;
                ControlFlow::Continue(tried)
            }
            None => failed(format!("no route takes the kind {} any more", kind_of(packet))),
        }
    }

    /// Keeps what an attempt came to, and tells those who wait if it was the last one.
    async fn settle(&mut self, tried: Tried) -> ControlFlow<(), Next> {
        let (reply, error) = match tried {
            Tried::Done(reply) => {
                let answer = match &reply {
                    Reply::Object(object) => Some(object.clone()),
                    Reply::Success => None,
                };
                self.keep(Ended::Done { answer }).await?;
                count(&self.pushes.counts.done);
                return self.over(Outcome::Answer(reply));
            }
            Tried::Superfluous => return self.over(Outcome::Answer(Reply::Success)),
            Tried::Busy(_) if !self.is_last() => {
                return ControlFlow::Continue(Next::Another(Reply::Success, BACK_OFF[0]));
            }
            Tried::Busy(error) => (None, error),
            Tried::Failed { reply, error } => (reply, error),
        };
        count(&self.pushes.counts.failed);
        self.stored.failures += 1;
        if self.stored.failures < ATTEMPTS && !self.is_last() {
            self.keep(Ended::Failed).await?;
            let span = back_off(self.stored.failures);
            return ControlFlow::Continue(Next::Another(reply.unwrap_or(Reply::Success), span));
        }
        let error: String = error.chars().take(KEPT_OF_ERROR).collect();
        self.keep(Ended::Dead { error: error.clone() }).await?;
        count(&self.pushes.counts.dead);
        self.tell_dead(&error);
        self.over(reply.map_or(Outcome::Failed, Outcome::Answer))
    }

    /// Whether so many attempts were begun that there is no further one.
    fn is_last(&self) -> bool {
        self.stored.attempts - self.stored.earlier >= MOST_BEGUN
    }

    fn over(&self, outcome: Outcome) -> ControlFlow<(), Next> {
        self.pushes.table.end(self.item, outcome);
        ControlFlow::Continue(Next::Nothing)
    }

    async fn keep(&self, ended: Ended) -> ControlFlow<()> {
        let id = self.stored.id;
        self.persist(|store| store.end_push(id, ended.clone(), machine_time()))
            .await
    }

    /// Asks the store for as long as it fails: what happened must be kept, or it would happen again. Breaks when the service
    /// ends.
    async fn persist<'s, T>(
        &'s self,
        ask: impl Fn(&'s dyn Store) -> BoxFuture<'s, Result<T, StoreError>>,
    ) -> ControlFlow<(), T> {
        loop {
            match ask(&*self.inner.store).await {
                Ok(answer) => return ControlFlow::Continue(answer),
                Err(_) if self.pushes.closing() => return ControlFlow::Break(()),
                Err(error) => {
                    let text = format!("how it stands with a push could not be kept: {error}");
                    note(self.inner, self.item, &text);
                    tokio::time::sleep(STORE_AGAIN).await;
                }
            }
        }
    }

    fn tell_dead(&self, error: &str) {
        let Stored { id, attempts, .. } = self.stored;
        let text = format!(
            "a push of the kind {} was given up after {attempts} attempts, and is a dead letter ({}); on the operator's listener \
             POST /operator/push/dead/{id}/replay sends it through again",
            kind_of(&self.item.packet),
            error.lines().next().unwrap_or_default(),
        );
        note(self.inner, self.item, &text);
    }
}

/// How long to wait after so many attempts that failed.
fn back_off(failures: u32) -> Duration {
    match failures {
        0 | 1 => BACK_OFF[0],
        _ => BACK_OFF[1],
    }
}

/// Tells those who wait what the attempt came to, and waits for the time of the next one, or until a duplicate comes.
async fn rest(item: &Item, reply: Reply, span: Duration) {
    let mut hurry = pin!(item.hurry.notified());
    // From here on, and so before anybody can know that it rests.
    hurry.as_mut().enable();
    item.stage.send_modify(|stage| {
        stage.ended += 1;
        stage.outcome = Some(Outcome::Answer(reply));
        stage.resting = true;
    });
    let _ = tokio::time::timeout(span, hurry).await;
    item.stage.send_modify(|stage| stage.resting = false);
}

/// Calls the function, which gets the packet alone, and judges what it gives.
async fn call_function(inner: &Arc<Inner>, packet: &Packet, function: &str, attempt: u32) -> Tried {
    let request_id = ids::request_id();
    let openid = packet.user();
    let failed = |error: String| Tried::Failed { reply: None, error };
    let caller = Caller::push(openid, attempt);
    let event = Event::Push(packet.as_json());
    let reply = match inner
        .calls
        .call(function, caller, &request_id, event)
        .await
        .result
    {
        Ok(reply) => reply,
        Err(failure) => match failure.kind {
            FailureKind::Busy => return Tried::Busy(failure.text.into_owned()),
            FailureKind::NotFound => return failed(format!("there is no function {function:?}")),
            _ => return failed(failure.text.into_owned()),
        },
    };
    let result = reply.json.as_deref().unwrap_or_default();
    let Verdict { reply, error, remark } = Verdict::of(packet, &String::from_utf8_lossy(result));
    if let Some(remark) = remark {
        inner.journal.note(&Note {
            request_id: &request_id,
            openid,
            text: &format_args!("{function}, for a push of the kind {}: {remark}", kind_of(packet)),
        });
    }
    match error {
        None => Tried::Done(reply),
        Some(code) => Tried::Failed {
            error: format!("the function answered with the error code {code}"),
            reply: matches!(reply, Reply::Object(_)).then_some(reply),
        },
    }
}

fn note(inner: &Inner, item: &Item, text: &dyn Display) {
    inner.journal.note(&Note {
        request_id: &ids::request_id(),
        openid: item.packet.user(),
        text: &text,
    });
}
