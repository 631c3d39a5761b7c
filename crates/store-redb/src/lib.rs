//! The store on disk: one redb file. Every method is one transaction, committed to the disk before it is answered,
//! and run on a thread where waiting for the disk holds nobody up; those that change pushes share transactions. One process
//! at a time has the file; handles within it are clones.
//!
//! An error of the disk ends nothing: the database is opened again, and what is asked afterwards is tried again
//! (`guarded`). What is a store, and what is refused as something else, `file` says.

mod form;
mod pushes;
#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    future::ready,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use clock::Timestamp;
use datafile::{DataFile, Failure, FileError, WorkError, Wrote};
use opendata::SessionKey;
use redb::{ReadTransaction, ReadableTable as _, TableDefinition, TableError, WriteTransaction};
use seal::KeyRing;
use secrecy::{ExposeSecret, SecretString};
use store::{
    AccessToken, Arrival, Attempt, BoxFuture, Claims, DeadBounds, DeadPage, DroppedLetters, Ended,
    FetchClaims, Intake, Keys, KnownPush, Mailbox, Owner, PageBounds, Revocations, Session, Sessions, Store,
    StoreError, StoredPush, Ticks, Tokens, record,
};
use zeroize::Zeroizing;

use crate::form::FORM;

/// Numbers. `format`: the file's format, which `datafile` keeps. `last_push`: the number or turn of a push that was given last. `timers_seen`:
/// milliseconds since the epoch.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const TIMERS_SEEN: &str = "timers_seen";
/// `key_ring`: the key ring's record.
const KEYS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("keys");
/// By openid.
const SESSIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("sessions");
/// By appid.
const TOKENS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("access_tokens");

/// By id of the login; when it would have ended, in milliseconds. Made when the first is ended.
const REVOKED: TableDefinition<'_, &str, u64> = TableDefinition::new("revoked_logins");

/// A store in a file. Clones share it.
#[derive(Clone, Debug)]
pub struct Redb(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: DataFile,
    changes: pushes::Changes,
    /// The nodes that began attempts through this opening of the file. Whoever else left a lease in it has died: only one
    /// process has the file.
    owners: Mutex<HashSet<Owner>>,
    claims: Claims,
    fetches: FetchClaims,
}

impl Redb {
    /// Opens the file, or makes it with mode 0600. A store that others could read is closed to them.
    ///
    /// # Errors
    /// The file cannot be opened, is in use, is not a store, is damaged, or was written by a later version.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        DataFile::open(path, &FORM, form::bring_up).map(Self::new)
    }

    fn new(file: DataFile) -> Self {
        Self(Arc::new(Inner {
            file,
            changes: pushes::Changes::default(),
            owners: Mutex::default(),
            claims: Claims::default(),
            fetches: FetchClaims::default(),
        }))
    }

    /// Runs `work` where it may block. It runs to its end even if nobody waits for the answer any more.
    fn run<'a, T, W>(&self, work: W) -> BoxFuture<'a, Result<T, StoreError>>
    where
        T: Send + 'static,
        W: FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            match tokio::task::spawn_blocking(move || work(&inner)).await {
                Ok(answer) => answer,
                Err(ended) => match ended.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => Err(StoreError::Closed),
                },
            }
        })
    }
}

/// What work within a transaction gives.
type Work<T> = Result<T, WorkError<StoreError>>;

fn told(failure: Failure<StoreError>) -> StoreError {
    failure.into_own(|error| StoreError::Backend(error.into()))
}

impl Inner {
    fn read<T>(&self, work: impl FnOnce(&ReadTransaction) -> Work<T>) -> Result<T, StoreError> {
        self.file.read(work).map_err(told)
    }

    /// Returns when the change is on the disk.
    fn write<T>(&self, work: impl FnOnce(&WriteTransaction) -> Work<Wrote<T>>) -> Result<T, StoreError> {
        self.file.write(work).map_err(told)
    }

    /// A number in the table `meta`.
    fn meta(&self, key: &str) -> Result<Option<u64>, StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(META)?;
            let number = table.get(key)?;
            Ok(number.map(|number| number.value()))
        })
    }

    /// What `parse` makes of a record, if it is there.
    fn get<T>(
        &self,
        table: TableDefinition<'_, &str, &[u8]>,
        key: &str,
        parse: impl FnOnce(&[u8]) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(table)?;
            let record = table.get(key)?;
            let parsed = record.map(|record| parse(record.value())).transpose();
            parsed.map_err(WorkError::Own)
        })
    }

    /// Lets `change` decide from the record that is there, if any, what is there from then on.
    fn change<T>(
        &self,
        table: TableDefinition<'_, &str, &[u8]>,
        key: &str,
        change: impl FnOnce(Option<&[u8]>) -> Result<(Change, T), StoreError>,
    ) -> Result<T, StoreError> {
        self.write(|transaction| {
            let mut table = transaction.open_table(table)?;
            let (change, answer) = {
                let record = table.get(key)?;
                change(record.as_ref().map(|record| record.value())).map_err(WorkError::Own)?
            };
            match change {
                Change::Keep => return Ok(Wrote::Unchanged(answer)),
                Change::Put(record) => drop(table.insert(key, record.as_slice())?),
                Change::Remove => drop(table.remove(key)?),
            }
            Ok(Wrote::Changed(answer))
        })
    }

    fn sweep(&self, unseen_since: Timestamp) -> Result<usize, StoreError> {
        self.write(|transaction| {
            let mut table = transaction.open_table(SESSIONS)?;
            let mut dropped = 0;
            table.retain(|_, bytes| {
                // A record that cannot be read is left for the one who looks into it.
                let keep = record::to_session(bytes).map_or(true, |session| session.seen_at >= unseen_since);
                dropped += usize::from(!keep);
                keep
            })?;
            Ok(Wrote::Changed(dropped))
        })
    }

    fn key_ring(&self) -> Result<KeyRing, StoreError> {
        const NAME: &str = "key_ring";
        if let Some(ring) = self.get(KEYS, NAME, record::to_key_ring)? {
            return Ok(ring);
        }
        self.change(KEYS, NAME, |record| match record {
            // Somebody was faster.
            Some(record) => Ok((Change::Keep, record::to_key_ring(record)?)),
            None => {
                let ring = KeyRing::generate();
                Ok((Change::Put(record::of_key_ring(&ring)), ring))
            }
        })
    }
}

/// What becomes of a record.
enum Change {
    Keep,
    Put(Zeroizing<Vec<u8>>),
    Remove,
}

impl Store for Redb {
    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.run(|inner| {
            inner
                .file
                .check()
                .map_err(|error| StoreError::Backend(error.into()))
        })
    }
}

impl Sessions for Redb {
    fn session<'a>(&'a self, openid: &'a str) -> BoxFuture<'a, Result<Option<Session>, StoreError>> {
        let openid = openid.to_owned();
        self.run(move |inner| inner.get(SESSIONS, &openid, record::to_session))
    }

    fn put_session<'a>(
        &'a self,
        openid: &'a str,
        key: SessionKey,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Session, StoreError>> {
        let openid = openid.to_owned();
        self.run(move |inner| {
            inner.change(SESSIONS, &openid, |record| {
                // A record that cannot be read must not keep its user from logging in.
                let before = record.and_then(|record| record::to_session(record).ok());
                let session = Session::after_login(before, key, now);
                Ok((Change::Put(record::of_session(&session)?), session))
            })
        })
    }

    fn touch<'a>(&'a self, openid: &'a str, now: Timestamp) -> BoxFuture<'a, Result<(), StoreError>> {
        let openid = openid.to_owned();
        self.run(move |inner| {
            let session = inner.get(SESSIONS, &openid, record::to_session)?;
            if !session.is_some_and(|session| session.is_stale(now)) {
                return Ok(());
            }
            inner.change(SESSIONS, &openid, |record| {
                let session = record.map(record::to_session).transpose()?;
                let change = match session.filter(|session| session.is_stale(now)) {
                    Some(session) => Change::Put(record::of_session(&Session {
                        seen_at: now,
                        ..session
                    })?),
                    None => Change::Keep,
                };
                Ok((change, ()))
            })
        })
    }

    fn sweep(&self, unseen_since: Timestamp) -> BoxFuture<'_, Result<usize, StoreError>> {
        self.run(move |inner| inner.sweep(unseen_since))
    }
}

impl Keys for Redb {
    fn key_ring(&self) -> BoxFuture<'_, Result<KeyRing, StoreError>> {
        self.run(Inner::key_ring)
    }
}

impl Tokens for Redb {
    fn access_token<'a>(&'a self, appid: &'a str) -> BoxFuture<'a, Result<Option<AccessToken>, StoreError>> {
        let appid = appid.to_owned();
        self.run(move |inner| inner.get(TOKENS, &appid, record::to_token))
    }

    fn put_access_token<'a>(
        &'a self,
        appid: &'a str,
        token: AccessToken,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let appid = appid.to_owned();
        self.run(move |inner| {
            inner.change(TOKENS, &appid, |_| {
                Ok((Change::Put(record::of_token(&token)?), ()))
            })
        })
    }

    fn drop_access_token<'a>(
        &'a self,
        appid: &'a str,
        refused: &'a SecretString,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let (appid, refused) = (appid.to_owned(), refused.clone());
        self.run(move |inner| {
            inner.change(TOKENS, &appid, |record| {
                let kept = record.map(record::to_token).transpose()?;
                let is_refused =
                    kept.is_some_and(|kept| kept.token.expose_secret() == refused.expose_secret());
                Ok((if is_refused { Change::Remove } else { Change::Keep }, ()))
            })
        })
    }

    /// In memory, as claims of ticks are.
    fn begin_fetch<'a>(
        &'a self,
        appid: &'a str,
        term: Duration,
    ) -> BoxFuture<'a, Result<Option<u64>, StoreError>> {
        Box::pin(ready(Ok(self.0.fetches.begin(appid, term))))
    }

    fn end_fetch<'a>(&'a self, appid: &'a str, claim: u64) -> BoxFuture<'a, Result<(), StoreError>> {
        self.0.fetches.end(appid, claim);
        Box::pin(ready(Ok(())))
    }
}

impl Revocations for Redb {
    fn revoke<'a>(&'a self, login: &'a str, until: Timestamp) -> BoxFuture<'a, Result<(), StoreError>> {
        let login = login.to_owned();
        self.run(move |inner| {
            inner.write(|transaction| {
                let mut table = transaction.open_table(REVOKED)?;
                table.insert(login.as_str(), until.millis())?;
                Ok(Wrote::Changed(()))
            })
        })
    }

    fn is_revoked<'a>(&'a self, login: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        let login = login.to_owned();
        self.run(move |inner| {
            inner.read(|transaction| {
                match transaction.open_table(REVOKED) {
                    Ok(table) => Ok(table.get(login.as_str())?.is_some()),
                    // Nobody has logged out yet since this file was made.
                    Err(TableError::TableDoesNotExist(_)) => Ok(false),
                    Err(error) => Err(error.into()),
                }
            })
        })
    }

    fn revoked_from(&self, until: Timestamp) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
        self.run(move |inner| {
            inner.read(|transaction| {
                let table = match transaction.open_table(REVOKED) {
                    Ok(table) => table,
                    Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                    Err(error) => return Err(error.into()),
                };
                let mut revoked = Vec::new();
                for entry in table.iter()? {
                    let (login, ends) = entry?;
                    if ends.value() >= until.millis() {
                        revoked.push(login.value().to_owned());
                    }
                }
                Ok(revoked)
            })
        })
    }

    fn forget_revoked(&self, now: Timestamp) -> BoxFuture<'_, Result<usize, StoreError>> {
        self.run(move |inner| {
            inner.write(|transaction| {
                let mut table = transaction.open_table(REVOKED)?;
                let mut forgotten = 0;
                table.retain(|_, until| {
                    let keep = until >= now.millis();
                    forgotten += usize::from(!keep);
                    keep
                })?;
                Ok(match forgotten {
                    0 => Wrote::Unchanged(0),
                    forgotten => Wrote::Changed(forgotten),
                })
            })
        })
    }
}

impl Mailbox for Redb {
    fn take_push<'a>(
        &'a self,
        arrival: Arrival<'a>,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Intake, StoreError>> {
        let Arrival { lane, key, packet } = arrival;
        let (lane, key, packet) = (lane.to_owned(), key.to_owned(), packet.to_owned());
        self.change_pushes(move |pushes| {
            let arrival = Arrival {
                lane: &lane,
                key: &key,
                packet: &packet,
            };
            pushes.take(arrival, now)
        })
    }

    fn find_push<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<KnownPush>, StoreError>> {
        let key = key.to_owned();
        self.run(move |inner| inner.find_push(&key))
    }

    fn first_push<'a>(&'a self, lane: &'a str) -> BoxFuture<'a, Result<Option<StoredPush>, StoreError>> {
        let lane = lane.to_owned();
        self.run(move |inner| inner.first_push(&lane))
    }

    fn begin_push<'a>(
        &'a self,
        id: u64,
        owner: &'a Owner,
        now: SystemTime,
        term: Duration,
    ) -> BoxFuture<'a, Result<Option<Attempt>, StoreError>> {
        let owner = owner.clone();
        self.change_pushes(move |pushes| pushes.begin(id, &owner, now, term))
    }

    fn renew_push<'a>(
        &'a self,
        attempt: &'a Attempt,
        now: SystemTime,
        term: Duration,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        let attempt = attempt.clone();
        self.change_pushes(move |pushes| pushes.renew(&attempt, now, term))
    }

    fn end_push<'a>(
        &'a self,
        attempt: &'a Attempt,
        ended: Ended,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        let attempt = attempt.clone();
        self.change_pushes(move |pushes| pushes.end(&attempt, ended, now))
    }

    fn revive_push(
        &self,
        id: u64,
        afresh: bool,
        now: SystemTime,
    ) -> BoxFuture<'_, Result<Option<StoredPush>, StoreError>> {
        self.change_pushes(move |pushes| pushes.revive(id, afresh, now))
    }

    fn dismiss_push(&self, id: u64, now: SystemTime) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.change_pushes(move |pushes| pushes.dismiss(id, now))
    }

    fn free_lanes(&self, now: SystemTime, most: usize) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
        self.run(move |inner| inner.free_lanes(now, most))
    }

    fn dead_pushes(&self, page: PageBounds) -> BoxFuture<'_, Result<DeadPage, StoreError>> {
        self.run(move |inner| inner.dead_pushes(page))
    }

    fn drop_dead_pushes(&self, bounds: DeadBounds) -> BoxFuture<'_, Result<DroppedLetters, StoreError>> {
        self.change_pushes(move |pushes| pushes.drop_dead(bounds))
    }

    fn forget_pushes(&self, done_before: SystemTime) -> BoxFuture<'_, Result<usize, StoreError>> {
        self.change_pushes(move |pushes| pushes.forget(done_before))
    }
}

impl Ticks for Redb {
    /// In memory: every handle is in this process, and a process that starts later looks at what was
    /// [seen](Ticks::timers_seen). So a timer needs no disk to fire.
    fn claim_tick<'a>(
        &'a self,
        timer: &'a str,
        at: SystemTime,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<bool, StoreError>> {
        let claimed = self.0.claims.claim(timer, at, now);
        Box::pin(ready(Ok(claimed)))
    }

    fn timers_seen(&self) -> BoxFuture<'_, Result<Option<SystemTime>, StoreError>> {
        self.run(|inner| Ok(inner.meta(TIMERS_SEEN)?.map(record::time)))
    }

    fn put_timers_seen(&self, seen: SystemTime) -> BoxFuture<'_, Result<(), StoreError>> {
        self.run(move |inner| {
            inner.write(|transaction| {
                let mut meta = transaction.open_table(META)?;
                meta.insert(TIMERS_SEEN, record::millis(seen))?;
                Ok(Wrote::Changed(()))
            })
        })
    }
}
