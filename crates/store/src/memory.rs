//! A store that ends with its process: for `dev`, `exec` and tests.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future::ready,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use clock::Timestamp;
use opendata::SessionKey;
use seal::KeyRing;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    AccessToken, Arrival, Attempt, AttemptEnd, BoxFuture, Claims, DeadBounds, DeadPage, DroppedLetters,
    Ended, FetchClaims, Intake, Keys, KnownPush, LetterSize, Mailbox, Owner, PageBounds, Revocations,
    Session, Sessions, Store, StoreError, StoredPush, Ticks, Tokens,
};

/// A store in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    claims: Claims,
    fetches: FetchClaims,
}

#[derive(Debug, Default)]
struct State {
    sessions: HashMap<String, Session>,
    tokens: HashMap<String, AccessToken>,
    key_ring: Option<KeyRing>,
    pushes: Pushes,
    timers_seen: Option<SystemTime>,
    revoked: HashMap<String, Timestamp>,
}

#[derive(Debug, Default)]
struct Pushes {
    /// The number or turn that was given last.
    last: u64,
    open: BTreeMap<u64, StoredPush>,
    /// The turn and number of each open push that is no dead letter, by lane.
    lanes: HashMap<String, BTreeSet<(u64, u64)>>,
    dead: BTreeSet<u64>,
    known: HashMap<String, PushOfKey>,
}

/// What became of the push of a key.
#[derive(Debug)]
enum PushOfKey {
    Open(u64),
    Done { answer: Option<String>, at: SystemTime },
}

impl Pushes {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn take(&mut self, arrival: Arrival<'_>, now: SystemTime) -> Intake {
        if let Some(known) = self.find(arrival.key) {
            return Intake::Known(known);
        }
        let id = self.next();
        let push = StoredPush::new(id, arrival, now);
        self.enter(&push);
        self.open.insert(id, push);
        self.known.insert(arrival.key.to_owned(), PushOfKey::Open(id));
        Intake::New(id)
    }

    fn find(&self, key: &str) -> Option<KnownPush> {
        match self.known.get(key)? {
            PushOfKey::Done { answer, .. } => Some(KnownPush::Done {
                answer: answer.clone(),
            }),
            PushOfKey::Open(id) => Some(KnownPush::Open(Box::new(self.open.get(id)?.clone()))),
        }
    }

    /// Puts a push at its place in its lane.
    fn enter(&mut self, push: &StoredPush) {
        let lane = self.lanes.entry(push.lane.clone()).or_default();
        lane.insert((push.turn, push.id));
    }

    fn leave(&mut self, push: &StoredPush) {
        if let Some(lane) = self.lanes.get_mut(&push.lane) {
            lane.remove(&(push.turn, push.id));
            if lane.is_empty() {
                self.lanes.remove(&push.lane);
            }
        }
    }

    fn first(&self, lane: &str) -> Option<&StoredPush> {
        let (_, id) = self.lanes.get(lane)?.first()?;
        self.open.get(id)
    }

    fn begin(&mut self, id: u64, owner: &Owner, now: SystemTime, term: Duration) -> Option<Attempt> {
        let lane = &self.open.get(&id)?.lane;
        if self.first(lane)?.id != id {
            return None;
        }
        self.open.get_mut(&id)?.begin(owner, now, term)
    }

    fn end(&mut self, attempt: &Attempt, ended: Ended, now: SystemTime) -> bool {
        let Some(push) = self.open.get_mut(&attempt.push) else {
            return false;
        };
        match push.end(attempt, ended, now) {
            AttemptEnd::Lost => return false,
            AttemptEnd::Done { answer } => self.close(attempt.push, answer, now),
            AttemptEnd::Open if push.death().is_some() => {
                let push = push.clone();
                self.leave(&push);
                self.dead.insert(push.id);
            }
            AttemptEnd::Open => {}
        }
        true
    }

    fn revive(&mut self, id: u64, afresh: bool, now: SystemTime) -> Option<StoredPush> {
        if !self.dead.contains(&id) {
            return None;
        }
        let turn = self.next();
        let push = self.open.get_mut(&id)?;
        push.revive(turn, afresh, now);
        let push = push.clone();
        self.dead.remove(&id);
        self.enter(&push);
        Some(push)
    }

    /// Leaves of a push its key and answer.
    fn close(&mut self, id: u64, answer: Option<String>, at: SystemTime) {
        if let Some(push) = self.open.remove(&id) {
            self.leave(&push);
            self.dead.remove(&id);
            self.known.insert(push.key, PushOfKey::Done { answer, at });
        }
    }

    /// The dead letters, the newest first.
    fn letters(&self) -> impl Iterator<Item = LetterSize> {
        let letters = self.dead.iter().rev().filter_map(|id| self.open.get(id));
        letters.filter_map(LetterSize::of)
    }

    fn page(&self, bounds: PageBounds) -> DeadPage {
        let (ids, mut page) = bounds.pick(self.letters());
        page.letters
            .extend(ids.iter().filter_map(|id| self.open.get(id).cloned()));
        page
    }

    fn drop_dead(&mut self, bounds: DeadBounds) -> DroppedLetters {
        let (going, dropped) = bounds.judge(self.letters());
        for id in going {
            self.dead.remove(&id);
            if let Some(push) = self.open.remove(&id) {
                self.known.remove(&push.key);
            }
        }
        dropped
    }
}

impl Memory {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// No change below can panic halfway, so a panic elsewhere leaves nothing half done.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer that is there already.
fn now<'a, T: Send + 'a>(answer: T) -> BoxFuture<'a, Result<T, StoreError>> {
    Box::pin(ready(Ok(answer)))
}

impl Store for Memory {
    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        now(())
    }
}

impl Sessions for Memory {
    fn session<'a>(&'a self, openid: &'a str) -> BoxFuture<'a, Result<Option<Session>, StoreError>> {
        now(self.state().sessions.get(openid).cloned())
    }

    fn put_session<'a>(
        &'a self,
        openid: &'a str,
        key: SessionKey,
        at: Timestamp,
    ) -> BoxFuture<'a, Result<Session, StoreError>> {
        let mut state = self.state();
        let session = Session::after_login(state.sessions.remove(openid), key, at);
        state.sessions.insert(openid.to_owned(), session.clone());
        now(session)
    }

    fn touch<'a>(&'a self, openid: &'a str, at: Timestamp) -> BoxFuture<'a, Result<(), StoreError>> {
        if let Some(session) = self
            .state()
            .sessions
            .get_mut(openid)
            .filter(|session| session.is_stale(at))
        {
            session.seen_at = at;
        }
        now(())
    }

    fn sweep(&self, unseen_since: Timestamp) -> BoxFuture<'_, Result<usize, StoreError>> {
        let sessions = &mut self.state().sessions;
        let before = sessions.len();
        sessions.retain(|_, session| session.seen_at >= unseen_since);
        now(before - sessions.len())
    }
}

impl Keys for Memory {
    fn key_ring(&self) -> BoxFuture<'_, Result<KeyRing, StoreError>> {
        now(self
            .state()
            .key_ring
            .get_or_insert_with(KeyRing::generate)
            .clone())
    }
}

impl Tokens for Memory {
    fn access_token<'a>(&'a self, appid: &'a str) -> BoxFuture<'a, Result<Option<AccessToken>, StoreError>> {
        now(self.state().tokens.get(appid).cloned())
    }

    fn put_access_token<'a>(
        &'a self,
        appid: &'a str,
        token: AccessToken,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.state().tokens.insert(appid.to_owned(), token);
        now(())
    }

    fn drop_access_token<'a>(
        &'a self,
        appid: &'a str,
        refused: &'a SecretString,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.state()
            .tokens
            .retain(|of, kept| of != appid || kept.token.expose_secret() != refused.expose_secret());
        now(())
    }

    fn begin_fetch<'a>(
        &'a self,
        appid: &'a str,
        term: Duration,
    ) -> BoxFuture<'a, Result<Option<u64>, StoreError>> {
        now(self.0.fetches.begin(appid, term))
    }

    fn end_fetch<'a>(&'a self, appid: &'a str, claim: u64) -> BoxFuture<'a, Result<(), StoreError>> {
        self.0.fetches.end(appid, claim);
        now(())
    }
}

impl Mailbox for Memory {
    fn take_push<'a>(
        &'a self,
        arrival: Arrival<'a>,
        at: SystemTime,
    ) -> BoxFuture<'a, Result<Intake, StoreError>> {
        now(self.state().pushes.take(arrival, at))
    }

    fn find_push<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<KnownPush>, StoreError>> {
        now(self.state().pushes.find(key))
    }

    fn first_push<'a>(&'a self, lane: &'a str) -> BoxFuture<'a, Result<Option<StoredPush>, StoreError>> {
        now(self.state().pushes.first(lane).cloned())
    }

    fn begin_push<'a>(
        &'a self,
        id: u64,
        owner: &'a Owner,
        at: SystemTime,
        term: Duration,
    ) -> BoxFuture<'a, Result<Option<Attempt>, StoreError>> {
        now(self.state().pushes.begin(id, owner, at, term))
    }

    fn renew_push<'a>(
        &'a self,
        attempt: &'a Attempt,
        at: SystemTime,
        term: Duration,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        let mut state = self.state();
        let push = state.pushes.open.get_mut(&attempt.push);
        now(push.is_some_and(|push| push.renew(attempt, at, term)))
    }

    fn end_push<'a>(
        &'a self,
        attempt: &'a Attempt,
        ended: Ended,
        at: SystemTime,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        now(self.state().pushes.end(attempt, ended, at))
    }

    fn revive_push(
        &self,
        id: u64,
        afresh: bool,
        at: SystemTime,
    ) -> BoxFuture<'_, Result<Option<StoredPush>, StoreError>> {
        now(self.state().pushes.revive(id, afresh, at))
    }

    fn dismiss_push(&self, id: u64, at: SystemTime) -> BoxFuture<'_, Result<bool, StoreError>> {
        let pushes = &mut self.state().pushes;
        let is_dead = pushes.dead.contains(&id);
        if is_dead {
            pushes.close(id, None, at);
        }
        now(is_dead)
    }

    fn free_lanes(&self, at: SystemTime, most: usize) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
        let state = self.state();
        let pushes = &state.pushes;
        let free = pushes
            .lanes
            .keys()
            .filter(|lane| pushes.first(lane).is_some_and(|push| push.is_due(at)));
        now(free.take(most).cloned().collect())
    }

    fn dead_pushes(&self, page: PageBounds) -> BoxFuture<'_, Result<DeadPage, StoreError>> {
        now(self.state().pushes.page(page))
    }

    fn drop_dead_pushes(&self, bounds: DeadBounds) -> BoxFuture<'_, Result<DroppedLetters, StoreError>> {
        now(self.state().pushes.drop_dead(bounds))
    }

    fn forget_pushes(&self, done_before: SystemTime) -> BoxFuture<'_, Result<usize, StoreError>> {
        let known = &mut self.state().pushes.known;
        let before = known.len();
        known.retain(|_, known| !matches!(known, PushOfKey::Done { at, .. } if *at < done_before));
        now(before - known.len())
    }
}

impl Ticks for Memory {
    fn claim_tick<'a>(
        &'a self,
        timer: &'a str,
        at: SystemTime,
        machine_time: SystemTime,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        now(self.0.claims.claim(timer, at, machine_time))
    }

    fn timers_seen(&self) -> BoxFuture<'_, Result<Option<SystemTime>, StoreError>> {
        now(self.state().timers_seen)
    }

    fn put_timers_seen(&self, seen: SystemTime) -> BoxFuture<'_, Result<(), StoreError>> {
        self.state().timers_seen = Some(seen);
        now(())
    }
}

impl Revocations for Memory {
    fn revoke<'a>(&'a self, login: &'a str, until: Timestamp) -> BoxFuture<'a, Result<(), StoreError>> {
        self.state().revoked.insert(login.to_owned(), until);
        now(())
    }

    fn is_revoked<'a>(&'a self, login: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        now(self.state().revoked.contains_key(login))
    }

    fn revoked_from(&self, until: Timestamp) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
        let state = self.state();
        let revoked = state.revoked.iter().filter(|(_, ends)| **ends >= until);
        now(revoked.map(|(login, _)| login.clone()).collect())
    }

    fn forget_revoked(&self, at: Timestamp) -> BoxFuture<'_, Result<usize, StoreError>> {
        let revoked = &mut self.state().revoked;
        let before = revoked.len();
        revoked.retain(|_, until| *until >= at);
        now(before - revoked.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Memory;

    crate::hold_to_contract!({
        let store = Memory::new();
        ((), move || Arc::new(store.clone()))
    });
}
