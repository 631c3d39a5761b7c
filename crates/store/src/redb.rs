//! The store on disk: one redb file. Every method is one transaction, committed to the disk before it is answered,
//! and run on a thread where waiting for the disk holds nobody up; those that change pushes share transactions.

mod pushes;

use std::{
    fs::{File, OpenOptions, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use ::redb::{
    Builder, Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
    TableError, WriteTransaction, backends::FileBackend,
};
use clock::Timestamp;
use opendata::SessionKey;
use seal::{KeyRing, RootKey};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::{AccessToken, Bounds, BoxFuture, Ended, Pushed, Session, Store, StoreError, Taken, record};

/// The format of the file that this version writes, and the latest that it reads.
const FORMAT: u64 = 1;

/// `format`: the file's format. `last_push`: the number of the push that was taken last. `timers_seen`: milliseconds since
/// the epoch.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const TIMERS_SEEN: &str = "timers_seen";
/// `key_ring`: root keys in base64, newest first, one a line.
const KEYS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("keys");
/// By openid.
const SESSIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("sessions");
/// By appid.
const TOKENS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("access_tokens");

/// Memory for pages of the file; redb's own default is a gigabyte.
const CACHE_BYTES: usize = 8 << 20;

/// A store in a file. Clones share it.
#[derive(Clone, Debug)]
pub struct Redb(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    database: Database,
    changes: pushes::Changes,
}

impl Redb {
    /// Opens the file, or makes it with mode 0600. A file that others could read is closed to them.
    ///
    /// # Errors
    /// The file cannot be opened, is in use, is no store, or was written by a later version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let inner = Inner {
            path: path.to_owned(),
            database: open_database(path)?,
            changes: pushes::Changes::default(),
        };
        inner.settle_format()?;
        Ok(Self(Arc::new(inner)))
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

fn open_database(path: &Path) -> Result<Database, StoreError> {
    let not_opened = |cause| StoreError::Open {
        path: path.to_owned(),
        cause,
    };
    let is_new = !path.exists();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(not_opened)?;
    if file.metadata().map_err(not_opened)?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))
            .map_err(not_opened)?;
    }

    let refused = |error: DatabaseError| match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => StoreError::InUse {
            path: path.to_owned(),
        },
        DatabaseError::Storage(redb::StorageError::Io(cause))
            if cause.kind() != io::ErrorKind::InvalidData =>
        {
            StoreError::Open {
                path: path.to_owned(),
                cause,
            }
        }
        other => StoreError::NoStore {
            path: path.to_owned(),
            cause: Box::new(other.into()),
        },
    };
    let backend = FileBackend::new(file).map_err(refused)?;
    let database = Builder::new()
        .set_cache_size(CACHE_BYTES)
        .create_with_backend(backend)
        .map_err(refused)?;
    if is_new {
        // The file's name must survive a power cut as its content does.
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(not_opened)?;
    }
    Ok(database)
}

impl Inner {
    fn failed(&self, error: impl Into<redb::Error>) -> StoreError {
        StoreError::Failed {
            path: self.path.clone(),
            cause: Box::new(error.into()),
        }
    }

    /// Marks a new file with its format, and refuses a later one.
    fn settle_format(&self) -> Result<(), StoreError> {
        let found = self.read(|transaction| {
            let table = match transaction.open_table(META) {
                Ok(table) => table,
                Err(TableError::TableDoesNotExist(_)) => return Ok(None),
                Err(error) => return Err(self.failed(error)),
            };
            let format = table.get("format").map_err(|error| self.failed(error))?;
            let format = format.map(|format| format.value());
            // The tables for pushes came later, within the first format.
            let has_pushes = match transaction.open_table(pushes::OPEN) {
                Ok(_) => true,
                Err(TableError::TableDoesNotExist(_)) => false,
                Err(error) => return Err(self.failed(error)),
            };
            Ok(format.filter(|format| has_pushes || *format > FORMAT))
        })?;
        match found {
            Some(FORMAT) => Ok(()),
            Some(found) if found > FORMAT => Err(StoreError::Newer {
                path: self.path.clone(),
                found,
                known: FORMAT,
            }),
            // Nothing, or not all, as there is no format before the first.
            _ => self.write(|transaction| {
                let mut meta = transaction.open_table(META).map_err(|error| self.failed(error))?;
                meta.insert("format", FORMAT)
                    .map_err(|error| self.failed(error))?;
                // Reading transactions take for granted that the tables exist.
                for table in [KEYS, SESSIONS, TOKENS, pushes::KNOWN] {
                    transaction
                        .open_table(table)
                        .map_err(|error| self.failed(error))?;
                }
                transaction
                    .open_table(pushes::OPEN)
                    .map_err(|error| self.failed(error))?;
                Ok(())
            }),
        }
    }

    /// A number of the table of such.
    fn meta(&self, key: &str) -> Result<Option<u64>, StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(META).map_err(|error| self.failed(error))?;
            let number = table.get(key).map_err(|error| self.failed(error))?;
            Ok(number.map(|number| number.value()))
        })
    }

    fn read<T>(&self, work: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        work(&self.database.begin_read().map_err(|error| self.failed(error))?)
    }

    fn begin(&self) -> Result<WriteTransaction, StoreError> {
        self.database.begin_write().map_err(|error| self.failed(error))
    }

    /// Returns when the transaction is on the disk, which is redb's default durability.
    fn commit(&self, transaction: WriteTransaction) -> Result<(), StoreError> {
        transaction.commit().map_err(|error| self.failed(error))
    }

    fn write<T>(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = self.begin()?;
        let answer = work(&transaction)?;
        self.commit(transaction)?;
        Ok(answer)
    }

    /// What `parse` makes of a record, if it is there.
    fn get<T>(
        &self,
        table: TableDefinition<'_, &str, &[u8]>,
        key: &str,
        parse: impl FnOnce(&[u8]) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        self.read(|transaction| {
            let table = transaction
                .open_table(table)
                .map_err(|error| self.failed(error))?;
            let record = table.get(key).map_err(|error| self.failed(error))?;
            record.map(|record| parse(record.value())).transpose()
        })
    }

    /// Lets `change` decide from the record that is there, if any, what is there from then on.
    fn change<T>(
        &self,
        table: TableDefinition<'_, &str, &[u8]>,
        key: &str,
        change: impl FnOnce(Option<&[u8]>) -> Result<(Change, T), StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = self.begin()?;
        let answer = {
            let mut table = transaction
                .open_table(table)
                .map_err(|error| self.failed(error))?;
            let (change, answer) = {
                let record = table.get(key).map_err(|error| self.failed(error))?;
                change(record.as_ref().map(|record| record.value()))?
            };
            match change {
                // The transaction ends here, and there is nothing to wait for the disk for.
                Change::Keep => return Ok(answer),
                Change::Put(record) => drop(
                    table
                        .insert(key, record.as_slice())
                        .map_err(|error| self.failed(error))?,
                ),
                Change::Remove => drop(table.remove(key).map_err(|error| self.failed(error))?),
            }
            answer
        };
        self.commit(transaction)?;
        Ok(answer)
    }

    fn sweep(&self, unseen_since: Timestamp) -> Result<usize, StoreError> {
        self.write(|transaction| {
            let mut table = transaction
                .open_table(SESSIONS)
                .map_err(|error| self.failed(error))?;
            let mut dropped = 0;
            table
                .retain(|_, bytes| {
                    // A record that cannot be read is left for the one who looks into it.
                    let keep =
                        record::to_session(bytes).map_or(true, |session| session.seen_at >= unseen_since);
                    dropped += usize::from(!keep);
                    keep
                })
                .map_err(|error| self.failed(error))?;
            Ok(dropped)
        })
    }

    fn key_ring(&self) -> Result<KeyRing, StoreError> {
        const NAME: &str = "key_ring";
        if let Some(ring) = self.get(KEYS, NAME, read_ring)? {
            return Ok(ring);
        }
        self.change(KEYS, NAME, |record| match record {
            // Somebody was faster.
            Some(record) => Ok((Change::Keep, read_ring(record)?)),
            None => {
                let ring = KeyRing::generate();
                Ok((Change::Put(write_ring(&ring)), ring))
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

fn write_ring(ring: &KeyRing) -> Zeroizing<Vec<u8>> {
    let mut record = Zeroizing::new(Vec::with_capacity(64 * ring.keys().len()));
    for key in ring.keys() {
        record.extend_from_slice(key.to_base64().as_bytes());
        record.push(b'\n');
    }
    record
}

fn read_ring(record: &[u8]) -> Result<KeyRing, StoreError> {
    let unreadable = |cause: Box<dyn std::error::Error + Send + Sync>| StoreError::Unreadable {
        what: "key ring",
        cause,
    };
    let text = std::str::from_utf8(record).map_err(|error| unreadable(error.into()))?;
    let keys = text
        .lines()
        .map(RootKey::from_base64)
        .collect::<Result<Vec<_>, _>>();
    KeyRing::new(keys.map_err(|error| unreadable(error.into()))?).map_err(|error| unreadable(error.into()))
}

impl Store for Redb {
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

    fn key_ring(&self) -> BoxFuture<'_, Result<KeyRing, StoreError>> {
        self.run(Inner::key_ring)
    }

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

    fn take_push<'a>(
        &'a self,
        key: &'a str,
        packet: &'a str,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Taken, StoreError>> {
        let (key, packet) = (key.to_owned(), packet.to_owned());
        self.change_pushes(move |pushes| pushes.take(&key, &packet, now))
    }

    fn begin_push(&self, id: u64) -> BoxFuture<'_, Result<Option<u32>, StoreError>> {
        self.change_pushes(move |pushes| pushes.begin(id))
    }

    fn end_push(&self, id: u64, ended: Ended, now: SystemTime) -> BoxFuture<'_, Result<(), StoreError>> {
        self.change_pushes(move |pushes| pushes.end(id, ended, now))
    }

    fn revive_push(&self, id: u64, afresh: bool) -> BoxFuture<'_, Result<Option<Pushed>, StoreError>> {
        self.change_pushes(move |pushes| pushes.revive(id, afresh))
    }

    fn dismiss_push(&self, id: u64, now: SystemTime) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.change_pushes(move |pushes| pushes.dismiss(id, now))
    }

    fn open_pushes(&self) -> BoxFuture<'_, Result<Vec<Pushed>, StoreError>> {
        self.run(Inner::open_pushes)
    }

    fn sweep_pushes(&self, bounds: Bounds) -> BoxFuture<'_, Result<usize, StoreError>> {
        self.change_pushes(move |pushes| pushes.sweep(bounds))
    }

    fn timers_seen(&self) -> BoxFuture<'_, Result<Option<SystemTime>, StoreError>> {
        self.run(|inner| Ok(inner.meta(TIMERS_SEEN)?.map(record::time)))
    }

    fn put_timers_seen(&self, seen: SystemTime) -> BoxFuture<'_, Result<(), StoreError>> {
        self.run(move |inner| {
            inner.write(|transaction| {
                let mut meta = transaction
                    .open_table(META)
                    .map_err(|error| inner.failed(error))?;
                meta.insert(TIMERS_SEEN, record::millis(seen))
                    .map_err(|error| inner.failed(error))?;
                Ok(())
            })
        })
    }
}

#[cfg(test)]
mod tests;
