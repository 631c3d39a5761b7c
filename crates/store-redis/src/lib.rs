//! The store on a Valkey or Redis server, or several: behind Sentinels, or in a Cluster. Several nodes may share it.
//!
//! Whatever is decided from what is there already is one step of the server's, by a script. What ends by WeChat's time, which a test
//! may step, or by what a caller says, is kept until the caller has it dropped; what machine time alone ends, the server lets
//! go by itself. A change whose answer was lost is asked for again (`link`), and not made twice: it has a name.
//!
//! How much of what was answered outlives the *server* is the server's to say (`survey`).

mod link;
mod names;
mod pushes;
mod script;
mod settings;
mod survey;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use clock::Timestamp;
use opendata::SessionKey;
use redis::{Cmd, cmd};
use seal::KeyRing;
use secrecy::{ExposeSecret as _, SecretString};
use store::{
    AccessToken, BoxFuture, Keys, Revocations, Session, Sessions, Store, StoreError, Ticks, Tokens,
    WRONG_CLOCK, record,
};

use crate::{
    link::Link,
    names::{Names, SHARES, Share},
    script::Script,
};
pub use crate::{
    settings::{PREFIX, Settings, SettingsError},
    survey::{Durability, Survey},
};

/// How long a claim of a tick is known: far longer than any node can be late.
const CLAIM_KEPT: Duration = Duration::from_secs(32 * 24 * 3600);
/// How many entries one step drops at most, since nobody else is served meanwhile.
const AT_ONCE: usize = 500;

/// Puts a session in place of the one that was read, unless that has changed since.
static REPLACE_SESSION: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
         redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
         redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
         return 1",
    )
});

/// Drops sessions that were not seen since.
static SWEEP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local old = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[2])
         for _, openid in ipairs(old) do
           redis.call('HDEL', KEYS[1], openid)
           redis.call('ZREM', KEYS[2], openid)
         end
         return #old",
    )
});

/// Keeps what is given unless something is kept, and gives what is kept then.
static KEEP_FIRST: LazyLock<Script> =
    LazyLock::new(|| Script::new("redis.call('SETNX', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])"));

/// Drops a field if it has this value.
static DROP_VALUE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end",
    )
});

/// Claims a fetch, unless another claim holds: the claim's number, how long it holds.
static BEGIN_FETCH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) == ARGV[1] then return 1 end
         return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0",
    )
});

/// Ends the claim of this number.
static END_FETCH: LazyLock<Script> = LazyLock::new(|| {
    Script::new("if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end")
});

/// Claims a tick: its moment, now, how far ahead a wrong clock is, the claim's name, how long it is known.
static CLAIM_TICK: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local claim = redis.call('GET', KEYS[1])
         if claim then
           local last, by = string.match(claim, '^(%d+) (.*)$')
           if by == ARGV[4] then return 1 end
           last = tonumber(last)
           if tonumber(ARGV[1]) <= last and last - tonumber(ARGV[2]) <= tonumber(ARGV[3]) then return 0 end
         end
         redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[4], 'PX', ARGV[5])
         return 1",
    )
});

/// A store on a server. Clones share the connection.
#[derive(Clone, Debug)]
pub struct Redis(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    link: Link,
    names: Names,
    takes: pushes::Takes,
    /// What the names of this handle's changes begin with.
    handle: String,
    changes: AtomicU64,
}

impl Redis {
    /// The store on the server of these settings. It is connected to when something is asked.
    ///
    /// # Errors
    /// The settings lead to no server.
    pub fn new(settings: &Settings) -> Result<Self, SettingsError> {
        Ok(Self(Arc::new(Inner {
            link: Link::new(settings)?,
            names: Names::new(&settings.prefix),
            takes: pushes::Takes::default(),
            handle: format!("{:016x}", rand::random::<u64>()),
            changes: AtomicU64::new(0),
        })))
    }

    /// How the server is called in messages: its URL, without a password.
    #[must_use]
    pub fn place(&self) -> &str {
        self.0.link.place()
    }
}

impl Inner {
    /// A name for a change, by which the server knows it if it is asked for again.
    fn name_change(&self) -> String {
        let number = self.changes.fetch_add(1, Ordering::Relaxed);
        format!("{}-{number:x}", self.handle)
    }

    /// The record of a user's session.
    async fn session(&self, share: &Share, openid: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let command = cmd("HGET").arg(&share.sessions).arg(openid).take();
        self.link.ask(&command).await
    }

    /// Lets `change` decide from the session's record what is there from then on; `None` leaves it.
    async fn change_session(
        &self,
        openid: &str,
        change: impl Fn(Option<&[u8]>) -> Result<Option<Session>, StoreError>,
    ) -> Result<Option<Session>, StoreError> {
        let share = self.names.share_of(openid);
        loop {
            let before = self.session(&share, openid).await?;
            let Some(session) = change(before.as_deref())? else {
                return Ok(None);
            };
            let replace = REPLACE_SESSION
                .keys(&[&share.sessions, &share.seen])
                .arg(openid)
                .arg(before.as_deref().unwrap_or_default())
                .arg(record::of_session(&session)?.as_slice())
                .arg(session.seen_at.millis());
            if self.link.run(&replace).await? {
                return Ok(Some(session));
            }
        }
    }

    async fn sweep(&self, unseen_since: Timestamp) -> Result<usize, StoreError> {
        let mut dropped = 0;
        for number in 0..SHARES {
            let share = self.names.share(number);
            loop {
                let step = SWEEP
                    .keys(&[&share.sessions, &share.seen])
                    .arg(unseen_since.millis())
                    .arg(AT_ONCE);
                let some: usize = self.link.run(&step).await?;
                dropped += some;
                if some < AT_ONCE {
                    break;
                }
            }
        }
        Ok(dropped)
    }

    async fn access_token(&self, appid: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let command = cmd("HGET").arg(&self.names.tokens).arg(appid).take();
        self.link.ask(&command).await
    }

    async fn key_ring(&self) -> Result<KeyRing, StoreError> {
        let kept: Option<Vec<u8>> = self.link.ask(&get(&self.names.key_ring)).await?;
        let kept = match kept {
            Some(kept) => kept,
            None => {
                let ring = record::of_key_ring(&KeyRing::generate());
                let keep = KEEP_FIRST.keys(&[&self.names.key_ring]).arg(ring.as_slice());
                self.link.run(&keep).await?
            }
        };
        record::to_key_ring(&kept)
    }
}

fn get(key: &str) -> Cmd {
    cmd("GET").arg(key).take()
}

impl Store for Redis {
    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            let write = cmd("SET")
                .arg(&self.0.names.check)
                .arg("")
                .arg("PX")
                .arg(1000)
                .take();
            self.0.link.ask(&write).await
        })
    }
}

impl Sessions for Redis {
    fn session<'a>(&'a self, openid: &'a str) -> BoxFuture<'a, Result<Option<Session>, StoreError>> {
        Box::pin(async move {
            let share = self.0.names.share_of(openid);
            let kept = self.0.session(&share, openid).await?;
            kept.as_deref().map(record::to_session).transpose()
        })
    }

    fn put_session<'a>(
        &'a self,
        openid: &'a str,
        key: SessionKey,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Session, StoreError>> {
        Box::pin(async move {
            let after = |before: Option<&[u8]>| {
                // A record that cannot be read must not keep its user from logging in.
                let before = before.and_then(|record| record::to_session(record).ok());
                Session::after_login(before, key.clone(), now)
            };
            let put = self.0.change_session(openid, |before| Ok(Some(after(before))));
            Ok(put.await?.unwrap_or_else(|| after(None)))
        })
    }

    fn touch<'a>(&'a self, openid: &'a str, now: Timestamp) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let touched = self.0.change_session(openid, |before| {
                let session = before.map(record::to_session).transpose()?;
                let stale = session.filter(|session| session.is_stale(now));
                Ok(stale.map(|session| Session {
                    seen_at: now,
                    ..session
                }))
            });
            touched.await.map(drop)
        })
    }

    fn sweep(&self, unseen_since: Timestamp) -> BoxFuture<'_, Result<usize, StoreError>> {
        Box::pin(self.0.sweep(unseen_since))
    }
}

impl Keys for Redis {
    fn key_ring(&self) -> BoxFuture<'_, Result<KeyRing, StoreError>> {
        Box::pin(self.0.key_ring())
    }
}

impl Tokens for Redis {
    fn access_token<'a>(&'a self, appid: &'a str) -> BoxFuture<'a, Result<Option<AccessToken>, StoreError>> {
        Box::pin(async move {
            let kept = self.0.access_token(appid).await?;
            kept.as_deref().map(record::to_token).transpose()
        })
    }

    fn put_access_token<'a>(
        &'a self,
        appid: &'a str,
        token: AccessToken,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let record = record::of_token(&token)?;
            let mut command = cmd("HSET");
            command
                .arg(&self.0.names.tokens)
                .arg(appid)
                .arg(record.as_slice());
            self.0.link.ask(&command).await
        })
    }

    fn drop_access_token<'a>(
        &'a self,
        appid: &'a str,
        refused: &'a SecretString,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let Some(kept) = self.0.access_token(appid).await? else {
                return Ok(());
            };
            if record::to_token(&kept)?.token.expose_secret() != refused.expose_secret() {
                return Ok(());
            }
            let drop = DROP_VALUE.keys(&[&self.0.names.tokens]).arg(appid).arg(kept);
            self.0.link.run(&drop).await
        })
    }

    fn begin_fetch<'a>(
        &'a self,
        appid: &'a str,
        term: Duration,
    ) -> BoxFuture<'a, Result<Option<u64>, StoreError>> {
        Box::pin(async move {
            let claim = rand::random();
            let begin = BEGIN_FETCH
                .keys(&[&self.0.names.fetch(appid)])
                .arg(claim)
                .arg(term.as_millis() as u64);
            let won: bool = self.0.link.run(&begin).await?;
            Ok(won.then_some(claim))
        })
    }

    fn end_fetch<'a>(&'a self, appid: &'a str, claim: u64) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let end = END_FETCH.keys(&[&self.0.names.fetch(appid)]).arg(claim);
            self.0.link.run(&end).await
        })
    }
}

impl Ticks for Redis {
    fn claim_tick<'a>(
        &'a self,
        timer: &'a str,
        at: SystemTime,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let claim = CLAIM_TICK
                .keys(&[&self.0.names.tick(timer)])
                .arg(record::millis(at))
                .arg(record::millis(now))
                .arg(WRONG_CLOCK.as_millis() as u64)
                .arg(self.0.name_change())
                .arg(CLAIM_KEPT.as_millis() as u64);
            self.0.link.run(&claim).await
        })
    }

    fn timers_seen(&self) -> BoxFuture<'_, Result<Option<SystemTime>, StoreError>> {
        Box::pin(async {
            let seen: Option<u64> = self.0.link.ask(&get(&self.0.names.timers_seen)).await?;
            Ok(seen.map(record::time))
        })
    }

    fn put_timers_seen(&self, seen: SystemTime) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let mut command = cmd("SET");
            command.arg(&self.0.names.timers_seen).arg(record::millis(seen));
            self.0.link.ask(&command).await
        })
    }
}

impl Revocations for Redis {
    fn revoke<'a>(&'a self, login: &'a str, until: Timestamp) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut command = cmd("ZADD");
            command.arg(&self.0.names.revoked).arg(until.millis()).arg(login);
            self.0.link.ask(&command).await
        })
    }

    fn is_revoked<'a>(&'a self, login: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let command = cmd("ZSCORE").arg(&self.0.names.revoked).arg(login).take();
            let until: Option<f64> = self.0.link.ask(&command).await?;
            Ok(until.is_some())
        })
    }

    fn revoked_from(&self, until: Timestamp) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
        Box::pin(async move {
            let mut command = cmd("ZRANGEBYSCORE");
            command.arg(&self.0.names.revoked).arg(until.millis()).arg("+inf");
            self.0.link.ask(&command).await
        })
    }

    fn forget_revoked(&self, now: Timestamp) -> BoxFuture<'_, Result<usize, StoreError>> {
        Box::pin(async move {
            let mut command = cmd("ZREMRANGEBYSCORE");
            command
                .arg(&self.0.names.revoked)
                .arg("-inf")
                .arg(format!("({}", now.millis()));
            self.0.link.ask(&command).await
        })
    }
}
