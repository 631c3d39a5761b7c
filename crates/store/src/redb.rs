//! The store on disk: one redb file. Every method is one transaction, committed to the disk before it is answered,
//! and run on a thread where waiting for the disk holds nobody up.

use std::{
    fs::{File, OpenOptions, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
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

use crate::{AccessToken, BoxFuture, Session, Store, StoreError, record};

/// The format of the file that this version writes, and the latest that it reads.
const FORMAT: u64 = 1;

/// `format`: the file's format.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
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
    let not_opened = |source| StoreError::Open {
        path: path.to_owned(),
        source,
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
        DatabaseError::Storage(redb::StorageError::Io(source))
            if source.kind() != io::ErrorKind::InvalidData =>
        {
            StoreError::Open {
                path: path.to_owned(),
                source,
            }
        }
        other => StoreError::NoStore {
            path: path.to_owned(),
            source: Box::new(other.into()),
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
            source: Box::new(error.into()),
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
            Ok(format.map(|format| format.value()))
        })?;
        match found {
            Some(FORMAT) => Ok(()),
            Some(found) if found > FORMAT => Err(StoreError::Newer {
                path: self.path.clone(),
                found,
                known: FORMAT,
            }),
            // Nothing, as there is no format before the first.
            _ => self.write(|transaction| {
                let mut meta = transaction.open_table(META).map_err(|error| self.failed(error))?;
                meta.insert("format", FORMAT)
                    .map_err(|error| self.failed(error))?;
                // Reading transactions take for granted that the tables exist.
                for table in [KEYS, SESSIONS, TOKENS] {
                    transaction
                        .open_table(table)
                        .map_err(|error| self.failed(error))?;
                }
                Ok(())
            }),
        }
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
    let unreadable = |source: Box<dyn std::error::Error + Send + Sync>| StoreError::Unreadable {
        what: "key ring",
        source,
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
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{
        env,
        fs::{self, metadata},
        io::{BufRead, BufReader, Write},
        process::{Command, Stdio},
        time::Duration,
    };

    use super::*;
    use crate::tests::key;

    const START: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn mode(path: &Path) -> u32 {
        metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn refusal(path: &Path) -> String {
        Redb::open(path).unwrap_err().to_string()
    }

    #[tokio::test]
    async fn everything_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.redb");
        let store = Redb::open(&path).unwrap();
        store.put_session("alice", key(1), START).await.unwrap();
        store.put_session("alice", key(2), START).await.unwrap();
        let token = AccessToken {
            token: "T".into(),
            expires_at: START,
        };
        store.put_access_token("wx1", token).await.unwrap();
        let ring = store.key_ring().await.unwrap();
        drop(store);

        let store = Redb::open(&path).unwrap();
        let session = store.session("alice").await.unwrap().unwrap();
        assert_eq!((session.key, session.previous.unwrap().key), (key(2), key(1)));
        assert_eq!(
            store
                .access_token("wx1")
                .await
                .unwrap()
                .unwrap()
                .token
                .expose_secret(),
            "T"
        );
        assert_eq!(
            *store.key_ring().await.unwrap().keys()[0].to_base64(),
            *ring.keys()[0].to_base64()
        );
    }

    #[test]
    fn the_file_is_its_owner_s_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.redb");
        drop(Redb::open(&path).unwrap());
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        drop(Redb::open(&path).unwrap());
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn what_cannot_be_opened_is_refused_with_the_mend() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.redb");
        let missing = refusal(&dir.path().join("no/store.redb"));
        assert!(
            missing.contains("no/store.redb") && missing.contains("create its folder"),
            "{missing}"
        );

        let open = Redb::open(&path).unwrap();
        let in_use = refusal(&path);
        assert!(
            in_use.contains("store.redb is in use") && in_use.contains("stop the other"),
            "{in_use}"
        );
        drop(open);
        assert!(Redb::open(&path).is_ok());

        let other = dir.path().join("notes.txt");
        fs::write(&other, "something else\n".repeat(1000)).unwrap();
        let no_store = refusal(&other);
        assert!(
            no_store.contains("is no store") && no_store.contains("move it away"),
            "{no_store}"
        );
        assert_eq!(
            fs::read_to_string(&other).unwrap(),
            "something else\n".repeat(1000)
        );
    }

    #[test]
    fn a_later_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.redb");
        let store = Redb::open(&path).unwrap();
        store
            .0
            .write(|transaction| {
                let mut meta = transaction.open_table(META).unwrap();
                meta.insert("format", FORMAT + 1).unwrap();
                Ok(())
            })
            .unwrap();
        drop(store);
        let newer = refusal(&path);
        assert!(newer.contains("format 2") && newer.contains("up to 1"), "{newer}");
    }

    /// A record that somebody damaged is told without quoting it, and mended by the next login.
    #[tokio::test]
    async fn a_damaged_record_does_not_lock_its_user_out() {
        let dir = tempfile::tempdir().unwrap();
        let store = Redb::open(&dir.path().join("store.redb")).unwrap();
        for damaged in [
            &b"{\"key\":\"5h0rt\",\"login_at\":1,\"seen_at\":1}"[..],
            b"{\"key\":5}",
            b"\xff",
        ] {
            store
                .0
                .change(SESSIONS, "alice", |_| {
                    Ok((Change::Put(Zeroizing::new(damaged.to_vec())), ()))
                })
                .unwrap();
            let error = store.session("alice").await.unwrap_err().to_string();
            assert!(
                error.contains("a session that cannot be read") && !error.contains("5h0rt"),
                "{error}"
            );
            assert_eq!(store.sweep(START).await.unwrap(), 0);
            store.put_session("alice", key(1), START).await.unwrap();
            assert_eq!(store.session("alice").await.unwrap().unwrap().key, key(1));
        }
    }

    /// Noting a use within the hour must not write: it would cost a wait for the disk at each call.
    #[tokio::test]
    async fn a_use_within_the_hour_writes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Redb::open(&dir.path().join("store.redb")).unwrap();
        store.put_session("alice", key(1), START).await.unwrap();
        // Only one transaction can write, so a write would wait for this one for ever.
        let writing = store.0.begin().unwrap();
        let touched = store.touch("alice", START + Duration::from_secs(60));
        tokio::time::timeout(Duration::from_secs(10), touched)
            .await
            .unwrap()
            .unwrap();
        let reads = store.session("alice");
        tokio::time::timeout(Duration::from_secs(10), reads)
            .await
            .unwrap()
            .unwrap();
        drop(writing);
    }

    const CHILD: &str = "YUNQIAO_STORE_TEST_CHILD";

    /// What the child of the next test does: it logs users in and says so after each answer, until it is killed.
    #[test]
    #[ignore = "a part of nothing_answered_is_lost_by_a_kill, which runs it in a process of its own"]
    fn write_until_killed() {
        let Some(path) = env::var_os(CHILD) else { return };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = Redb::open(Path::new(&path)).unwrap();
        let ring = runtime.block_on(store.key_ring()).unwrap();
        let mut out = std::io::stdout();
        writeln!(out, "ring {}", *ring.keys()[0].to_base64()).unwrap();
        for number in 0_u64.. {
            let user = format!("user{}", number % 7);
            let key = SessionKey::from_bytes(u128::from(number).to_be_bytes());
            runtime
                .block_on(store.put_session(&user, key, Timestamp::from_secs(number)))
                .unwrap();
            writeln!(out, "put {number}").unwrap();
            out.flush().unwrap();
        }
    }

    #[tokio::test]
    async fn nothing_answered_is_lost_by_a_kill() {
        const ROUNDS: u64 = 12;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.redb");
        let mut ring_of_all = None;
        let mut answers = 0;
        for round in 0..ROUNDS {
            let mut child = Command::new(env::current_exe().unwrap())
                .args([
                    "--exact",
                    "redb::tests::write_until_killed",
                    "--ignored",
                    "--nocapture",
                    "--test-threads=1",
                ])
                .env(CHILD, &path)
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let mut ring = None;
            let mut last = None;
            let mut note = |line: String| {
                // The test harness writes to the same stream, at times before ours on one line.
                if let Some((_, text)) = line.split_once("ring ") {
                    ring = Some(text.to_owned());
                } else if let Some((_, number)) = line.split_once("put ") {
                    last = Some(number.parse::<u64>().unwrap());
                }
                last
            };
            // Some answers first, and then a moment that falls anywhere within the next writes.
            for line in lines.by_ref() {
                if note(line.unwrap()) >= Some(round) {
                    break;
                }
            }
            std::thread::sleep(Duration::from_micros(round * 7919 % 5000));
            child.kill().unwrap();
            child.wait().unwrap();
            for line in lines {
                note(line.unwrap());
            }

            let last = last.unwrap();
            answers += last + 1;
            let store = Redb::open(&path).unwrap();
            let kept = *ring_of_all.get_or_insert_with(|| ring.clone()) == ring;
            assert!(kept && ring.is_some(), "the key ring is the same in every round");
            assert_eq!(
                *store.key_ring().await.unwrap().keys()[0].to_base64(),
                ring.unwrap()
            );
            for number in last.saturating_sub(6)..=last {
                let session = store
                    .session(&format!("user{}", number % 7))
                    .await
                    .unwrap()
                    .unwrap();
                let key_of = |number: u64| SessionKey::from_bytes(u128::from(number).to_be_bytes());
                // The write after the last answer may have reached the disk, or not.
                let next = number + 7 == last + 1 && session.key == key_of(number + 7);
                assert!(
                    next || session.key == key_of(number),
                    "round {round}: {number} of {last} is lost"
                );
            }
        }
        assert!(answers > ROUNDS, "the children did work: {answers}");
    }
}
