//! A store that ends with its process: for `dev`, `exec` and tests.

use std::{
    collections::{BTreeMap, HashMap},
    future::ready,
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use clock::Timestamp;
use opendata::SessionKey;
use seal::KeyRing;
use secrecy::{ExposeSecret, SecretString};

use crate::{AccessToken, Bounds, BoxFuture, Ended, Pushed, Session, Store, StoreError, Taken};

/// A store in memory.
#[derive(Debug, Default)]
pub struct Memory(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    sessions: HashMap<String, Session>,
    tokens: HashMap<String, AccessToken>,
    key_ring: Option<KeyRing>,
    last_push: u64,
    open_pushes: BTreeMap<u64, Pushed>,
    known_pushes: HashMap<String, Known>,
    timers_seen: Option<SystemTime>,
}

/// What became of the push of a key.
#[derive(Debug)]
enum Known {
    Open(u64),
    Done { answer: Option<String>, at: SystemTime },
}

impl State {
    fn take_push(&mut self, key: &str, packet: &str, now: SystemTime) -> Taken {
        match self.known_pushes.get(key) {
            Some(Known::Done { answer, .. }) => {
                return Taken::Done {
                    answer: answer.clone(),
                };
            }
            Some(Known::Open(id)) => {
                if let Some(push) = self.open_pushes.get(id) {
                    return Taken::Open(push.clone());
                }
            }
            None => {}
        }
        self.last_push += 1;
        let id = self.last_push;
        self.open_pushes.insert(id, Pushed::new(id, key, packet, now));
        self.known_pushes.insert(key.to_owned(), Known::Open(id));
        Taken::New(id)
    }

    fn close_push(&mut self, id: u64, answer: Option<String>, at: SystemTime) {
        if let Some(push) = self.open_pushes.remove(&id) {
            self.known_pushes.insert(push.key, Known::Done { answer, at });
        }
    }

    fn sweep_pushes(&mut self, bounds: Bounds) -> usize {
        let before = self.known_pushes.len();
        let open = &mut self.open_pushes;
        self.known_pushes.retain(|_, known| match known {
            Known::Done { at, .. } => *at >= bounds.done_before,
            Known::Open(id) => {
                let death = open.get(id).and_then(|push| push.dead.as_ref());
                let keep = death.is_none_or(|death| death.at >= bounds.dead_before);
                if !keep {
                    open.remove(id);
                }
                keep
            }
        });
        before - self.known_pushes.len()
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer that is there already.
fn now<'a, T: Send + 'a>(answer: T) -> BoxFuture<'a, Result<T, StoreError>> {
    Box::pin(ready(Ok(answer)))
}

impl Store for Memory {
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

    fn key_ring(&self) -> BoxFuture<'_, Result<KeyRing, StoreError>> {
        now(self
            .state()
            .key_ring
            .get_or_insert_with(KeyRing::generate)
            .clone())
    }

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

    fn take_push<'a>(
        &'a self,
        key: &'a str,
        packet: &'a str,
        at: SystemTime,
    ) -> BoxFuture<'a, Result<Taken, StoreError>> {
        now(self.state().take_push(key, packet, at))
    }

    fn begin_push(&self, id: u64) -> BoxFuture<'_, Result<Option<u32>, StoreError>> {
        now(self.state().open_pushes.get_mut(&id).and_then(Pushed::begin))
    }

    fn end_push(&self, id: u64, ended: Ended, at: SystemTime) -> BoxFuture<'_, Result<(), StoreError>> {
        let mut state = self.state();
        let error = match ended {
            Ended::Done { answer } => {
                state.close_push(id, answer, at);
                return now(());
            }
            Ended::Failed => None,
            Ended::Dead { error } => Some(error),
        };
        if let Some(push) = state.open_pushes.get_mut(&id) {
            push.fail(error, at);
        }
        now(())
    }

    fn revive_push(&self, id: u64, afresh: bool) -> BoxFuture<'_, Result<Option<Pushed>, StoreError>> {
        let mut state = self.state();
        let push = state.open_pushes.get_mut(&id);
        now(push.and_then(|push| push.revive(afresh).then(|| push.clone())))
    }

    fn dismiss_push(&self, id: u64, at: SystemTime) -> BoxFuture<'_, Result<bool, StoreError>> {
        let mut state = self.state();
        let dead = state.open_pushes.get(&id).is_some_and(|push| push.dead.is_some());
        if dead {
            state.close_push(id, None, at);
        }
        now(dead)
    }

    fn open_pushes(&self) -> BoxFuture<'_, Result<Vec<Pushed>, StoreError>> {
        now(self.state().open_pushes.values().cloned().collect())
    }

    fn sweep_pushes(&self, bounds: Bounds) -> BoxFuture<'_, Result<usize, StoreError>> {
        now(self.state().sweep_pushes(bounds))
    }

    fn timers_seen(&self) -> BoxFuture<'_, Result<Option<SystemTime>, StoreError>> {
        now(self.state().timers_seen)
    }

    fn put_timers_seen(&self, seen: SystemTime) -> BoxFuture<'_, Result<(), StoreError>> {
        self.state().timers_seen = Some(seen);
        now(())
    }
}
