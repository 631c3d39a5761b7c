//! The pushes on the server. What is decided there stands in `pushes.lua`; here are the questions, and how their answers are read.
//!
//! Pushes that come in are numbered in the order in which they came, whoever waits for them: they stand in a queue, and one task
//! sends all that stand there at once.

use std::{
    collections::HashMap,
    str::FromStr,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use redis::cmd;
use store::{
    Arrival, Attempt, BoxFuture, DeadBounds, DeadPage, Death, DroppedLetters, Ended, Intake, KnownPush,
    Lease, LetterSize, Mailbox, Owner, PageBounds, PushState, StoreError, StoredPush,
    record::{millis, time},
};
use tokio::sync::oneshot;

use crate::{
    AT_ONCE, Inner, Redis,
    script::{Invocation, Script},
};

static PUSHES: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("pushes.lua")));

/// Pushes that one step takes in at most, and bytes of their packets: nobody else is served meanwhile.
const MOST_TAKEN: usize = 64;
const MOST_TAKEN_BYTES: usize = 1 << 20;

/// Pushes that wait to be taken in.
#[derive(Debug, Default)]
pub(crate) struct Takes(Mutex<WaitingTakes>);

#[derive(Debug, Default)]
struct WaitingTakes {
    takes: std::collections::VecDeque<Take>,
    /// Whether somebody sends them already.
    busy: bool,
}

#[derive(Debug)]
struct Take {
    name: String,
    lane: String,
    key: String,
    packet: String,
    now: SystemTime,
    answer: oneshot::Sender<Result<Intake, StoreError>>,
}

impl Takes {
    fn waiting(&self) -> MutexGuard<'_, WaitingTakes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a push; whether there is nobody yet to send it.
    fn add(&self, take: Take) -> bool {
        let mut waiting = self.waiting();
        waiting.takes.push_back(take);
        !std::mem::replace(&mut waiting.busy, true)
    }

    /// Those to send next; without any, nobody is busy any more.
    fn next(&self) -> Vec<Take> {
        let mut waiting = self.waiting();
        let (mut next, mut bytes) = (Vec::new(), 0);
        while let Some(take) = waiting.takes.front() {
            bytes += take.packet.len();
            let is_full = next.len() >= MOST_TAKEN || bytes > MOST_TAKEN_BYTES;
            if is_full && !next.is_empty() {
                break;
            }
            next.extend(waiting.takes.pop_front());
        }
        waiting.busy = !next.is_empty();
        next
    }
}

impl Inner {
    /// A step of the script, at this moment.
    fn step(&self, what: &str, now: SystemTime) -> Invocation<'static> {
        PUSHES.keys(&[&self.names.pushes]).arg(what).arg(millis(now))
    }

    /// A step for which it does not matter when it is.
    fn step_at_any_time(&self, what: &str) -> Invocation<'static> {
        self.step(what, SystemTime::UNIX_EPOCH)
    }

    /// Sends what waits until nothing does.
    async fn take_all(&self) {
        loop {
            let takes = self.takes.next();
            if takes.is_empty() {
                return;
            }
            let mut step = self.step_at_any_time("take");
            for take in &takes {
                step = step
                    .arg(&take.name)
                    .arg(&take.lane)
                    .arg(&take.key)
                    .arg(&take.packet)
                    .arg(millis(take.now));
            }
            let taken = self.link.run::<Vec<Vec<String>>>(&step).await;
            match taken.map_err(Arc::new) {
                Ok(mut taken) => {
                    taken.resize_with(takes.len(), Vec::new);
                    for (take, taken) in takes.into_iter().zip(taken) {
                        // Whoever asked may have gone.
                        let _ = take.answer.send(intake(&taken));
                    }
                }
                Err(error) => {
                    for take in takes {
                        let _ = take.answer.send(Err(StoreError::Shared(Arc::clone(&error))));
                    }
                }
            }
        }
    }

    /// The size of each dead letter, the newest first.
    async fn letters(&self) -> Result<Vec<LetterSize>, StoreError> {
        let command = cmd("HGETALL").arg(self.names.push("letters")).take();
        let letters: Vec<(u64, String)> = self.link.ask(&command).await?;
        let mut sizes = Vec::with_capacity(letters.len());
        for (id, size) in letters {
            let (bytes, died_at) = size.split_once(' ').unwrap_or_default();
            sizes.push(LetterSize {
                id,
                bytes: number(bytes)?,
                died_at: time(number(died_at)?),
            });
        }
        sizes.sort_unstable_by_key(|letter| std::cmp::Reverse(letter.id));
        Ok(sizes)
    }

    async fn dead_pushes(&self, bounds: PageBounds) -> Result<DeadPage, StoreError> {
        let (ids, mut page) = bounds.pick(self.letters().await?.into_iter());
        if !ids.is_empty() {
            let step = self.step_at_any_time("letters").arg(ids);
            let letters: Vec<Vec<String>> = self.link.run(&step).await?;
            page.letters = letters
                .iter()
                .map(|letter| push(letter))
                .collect::<Result<_, _>>()?;
        }
        Ok(page)
    }

    async fn drop_dead(&self, bounds: DeadBounds) -> Result<DroppedLetters, StoreError> {
        loop {
            let (going, dropped) = bounds.judge(self.letters().await?.into_iter());
            if going.is_empty() {
                return Ok(dropped);
            }
            let mut all_went = true;
            for some in going.chunks(AT_ONCE) {
                all_went &= self
                    .link
                    .run::<bool>(&self.step_at_any_time("drop").arg(some))
                    .await?;
            }
            if all_went {
                return Ok(dropped);
            }
            // Somebody else dropped or revived some of them meanwhile: what is left is judged anew.
        }
    }

    async fn forget(&self, done_before: SystemTime) -> Result<usize, StoreError> {
        let mut forgotten = 0;
        loop {
            let step = self
                .step_at_any_time("forget")
                .arg(millis(done_before))
                .arg(AT_ONCE);
            let some: usize = self.link.run(&step).await?;
            forgotten += some;
            if some < AT_ONCE {
                return Ok(forgotten);
            }
        }
    }
}

impl Mailbox for Redis {
    fn take_push<'a>(
        &'a self,
        arrival: Arrival<'a>,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Intake, StoreError>> {
        let (answer, answered) = oneshot::channel();
        let first = self.0.takes.add(Take {
            name: self.0.name_change(),
            lane: arrival.lane.to_owned(),
            key: arrival.key.to_owned(),
            packet: arrival.packet.to_owned(),
            now,
            answer,
        });
        if first {
            let inner = Arc::clone(&self.0);
            tokio::spawn(async move { inner.take_all().await });
        }
        Box::pin(async { answered.await.unwrap_or(Err(StoreError::Closed)) })
    }

    fn find_push<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<KnownPush>, StoreError>> {
        Box::pin(async move {
            let step = self.0.step_at_any_time("find").arg(key);
            let found: Vec<String> = self.0.link.run(&step).await?;
            known(&found)
        })
    }

    fn first_push<'a>(&'a self, lane: &'a str) -> BoxFuture<'a, Result<Option<StoredPush>, StoreError>> {
        Box::pin(async move {
            let step = self.0.step_at_any_time("first").arg(lane);
            let first: Option<Vec<String>> = self.0.link.run(&step).await?;
            first.as_deref().map(push).transpose()
        })
    }

    fn begin_push<'a>(
        &'a self,
        id: u64,
        owner: &'a Owner,
        now: SystemTime,
        term: Duration,
    ) -> BoxFuture<'a, Result<Option<Attempt>, StoreError>> {
        Box::pin(async move {
            let step = self.0.step("begin", now).arg(self.0.name_change());
            let step = step.arg(id).arg(owner.as_str()).arg(millis(now + term));
            let number: Option<u32> = self.0.link.run(&step).await?;
            Ok(number.map(|number| Attempt {
                push: id,
                number,
                owner: owner.clone(),
            }))
        })
    }

    fn renew_push<'a>(
        &'a self,
        attempt: &'a Attempt,
        now: SystemTime,
        term: Duration,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let step = of_attempt(self.0.step("renew", now), attempt).arg(millis(now + term));
            self.0.link.run(&step).await
        })
    }

    fn end_push<'a>(
        &'a self,
        attempt: &'a Attempt,
        ended: Ended,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let step = self.0.step("finish", now).arg(self.0.name_change());
            let step = of_attempt(step, attempt);
            let step = match ended {
                Ended::Done { answer: None } => step.arg("done").arg(""),
                Ended::Done { answer: Some(answer) } => step.arg("answered").arg(answer),
                Ended::Failed { due } => step.arg("failed").arg(millis(due)),
                Ended::Deferred { due } => step.arg("deferred").arg(millis(due)),
                Ended::Dead { error } => step.arg("dead").arg(error),
            };
            self.0.link.run(&step).await
        })
    }

    fn revive_push(
        &self,
        id: u64,
        afresh: bool,
        now: SystemTime,
    ) -> BoxFuture<'_, Result<Option<StoredPush>, StoreError>> {
        Box::pin(async move {
            let step = self.0.step("revive", now).arg(self.0.name_change());
            let step = step.arg(id).arg(u8::from(afresh));
            let revived: Option<Vec<String>> = self.0.link.run(&step).await?;
            revived.as_deref().map(push).transpose()
        })
    }

    fn dismiss_push(&self, id: u64, now: SystemTime) -> BoxFuture<'_, Result<bool, StoreError>> {
        Box::pin(async move { self.0.link.run(&self.0.step("dismiss", now).arg(id)).await })
    }

    fn free_lanes(&self, now: SystemTime, most: usize) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
        Box::pin(async move {
            let mut command = cmd("ZRANGEBYSCORE");
            command
                .arg(self.0.names.push("due"))
                .arg("-inf")
                .arg(millis(now))
                .arg("LIMIT")
                .arg(0)
                .arg(i64::try_from(most).unwrap_or(i64::MAX));
            self.0.link.ask(&command).await
        })
    }

    fn dead_pushes(&self, page: PageBounds) -> BoxFuture<'_, Result<DeadPage, StoreError>> {
        Box::pin(self.0.dead_pushes(page))
    }

    fn drop_dead_pushes(&self, bounds: DeadBounds) -> BoxFuture<'_, Result<DroppedLetters, StoreError>> {
        Box::pin(self.0.drop_dead(bounds))
    }

    fn forget_pushes(&self, done_before: SystemTime) -> BoxFuture<'_, Result<usize, StoreError>> {
        Box::pin(self.0.forget(done_before))
    }
}

fn of_attempt<'a>(step: Invocation<'a>, attempt: &Attempt) -> Invocation<'a> {
    let Attempt { push, number, owner } = attempt;
    step.arg(*push).arg(*number).arg(owner.as_str())
}

fn unreadable(why: impl Into<store::Cause>) -> StoreError {
    StoreError::Unreadable {
        what: "message push",
        cause: why.into(),
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, StoreError> {
    text.parse()
        .map_err(|_| unreadable("a number is missing or is none"))
}

/// What the script says of a push that was taken in, or found.
fn intake(told: &[String]) -> Result<Intake, StoreError> {
    match told {
        [kind, id] if kind == "new" => Ok(Intake::New(number(id)?)),
        told => known(told)?
            .map(Intake::Known)
            .ok_or_else(|| unreadable("the script's answer is missing")),
    }
}

fn known(told: &[String]) -> Result<Option<KnownPush>, StoreError> {
    let (kind, rest) = told
        .split_first()
        .ok_or_else(|| unreadable("the script's answer is empty"))?;
    match kind.as_str() {
        "none" => Ok(None),
        "done" => Ok(Some(KnownPush::Done {
            answer: rest.first().cloned(),
        })),
        _ => Ok(Some(KnownPush::Open(Box::new(push(rest)?)))),
    }
}

/// The push of its number and the fields of its hash, one after another.
fn push(told: &[String]) -> Result<StoredPush, StoreError> {
    let (id, fields) = told.split_first().ok_or_else(|| unreadable("it is empty"))?;
    let fields: HashMap<&str, &String> = fields
        .chunks_exact(2)
        .map(|pair| (pair[0].as_str(), &pair[1]))
        .collect();
    let text = |name: &str| {
        let text = fields.get(name).map(|text| text.to_string());
        text.ok_or_else(|| unreadable(format!("the field {name} is missing")))
    };
    let moment = |name| Ok::<_, StoreError>(time(number(&text(name)?)?));
    let state = match text("state")?.as_str() {
        "waiting" => PushState::Waiting { due: moment("due")? },
        "running" => PushState::Running(Lease {
            owner: Owner::new(text("owner")?),
            until: moment("due")?,
        }),
        "dead" => PushState::Dead(Death {
            error: text("error")?,
            at: moment("died_at")?,
        }),
        _ => return Err(unreadable("its state is none that is known")),
    };
    Ok(StoredPush {
        id: number(id)?,
        turn: number(&text("turn")?)?,
        lane: text("lane")?,
        key: text("key")?,
        packet: text("packet")?,
        taken_at: moment("taken_at")?,
        attempts: number(&text("attempts")?)?,
        earlier: number(&text("earlier")?)?,
        failures: number(&text("failures")?)?,
        state,
    })
}
