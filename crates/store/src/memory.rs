//! A store that ends with its process: for `dev`, `exec` and tests.

use std::{
    collections::HashMap,
    future::ready,
    sync::{Mutex, MutexGuard, PoisonError},
};

use clock::Timestamp;
use opendata::SessionKey;
use seal::KeyRing;
use secrecy::{ExposeSecret, SecretString};

use crate::{AccessToken, BoxFuture, Session, Store, StoreError};

/// A store in memory.
#[derive(Debug, Default)]
pub struct Memory(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    sessions: HashMap<String, Session>,
    tokens: HashMap<String, AccessToken>,
    key_ring: Option<KeyRing>,
}

impl Memory {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Every change below is one statement, so a panic elsewhere leaves nothing half done.
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
}
