//! The index: what there is, by path. What was looked up lately is in memory, so that whoever asks for it again waits for no disk.

use std::{
    collections::HashSet,
    fmt,
    num::NonZeroUsize,
    ops::Bound,
    path::Path,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, UNIX_EPOCH},
};

use datafile::{
    Cause, DataFile, Failure, FileError, FileSettings, Form, Redo, RedoError, RedoStep, RedoSteps, WorkError,
    Wrote,
};
use files::CloudPath;
use lru::LruCache;
use redb::{ReadableTable, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::allocated;
use crate::{Blob, ListBounds, ListEntry, MayReplace, Removal, Usage};

/// Format 1 had no journal, or one of pages: an older program, which knows no journal, would lose what the journal has.
static FORM: Form = Form {
    noun: "the index of files",
    setting: "[storage] folder in yunqiao.toml",
    loss: "with a new one, no file that was uploaded is found again",
    format: 2,
    cache: 4 << 20,
    replay: Some(replay),
};

/// By path: a [`Record`] as JSON.
const FILES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("files");
/// `files` and `bytes`: how much there is.
const USAGE: TableDefinition<'_, &str, u64> = TableDefinition::new("usage");
/// Their numbers in the index's journal.
const IN_FILES: u8 = 0;
const IN_USAGE: u8 = 1;

/// The number under which a content lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ContentId(u128);

impl ContentId {
    pub(super) fn new() -> Self {
        Self(rand::random())
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for ContentId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Self)
    }
}

/// A file, and where its content lies.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) blob: Blob,
    pub(super) content: ContentId,
}

#[derive(Serialize, Deserialize)]
struct Record<'a> {
    content: &'a str,
    size: u64,
    etag: &'a str,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    owner: String,
    /// Milliseconds since the epoch.
    modified: u64,
}

impl Entry {
    /// Whether the entry is small enough to be kept in memory: its owner and its type are whatever somebody said.
    fn is_small(&self) -> bool {
        self.blob.owner.len() + self.blob.content_type.as_ref().map_or(0, String::len) < 512
    }

    fn write(&self) -> Vec<u8> {
        let content = self.content.to_string();
        let since = self.blob.modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let record = Record {
            content: &content,
            size: self.blob.size,
            etag: &self.blob.etag,
            content_type: self.blob.content_type.clone(),
            owner: self.blob.owner.clone(),
            modified: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        };
        // A record has nothing in it that JSON has not.
        serde_json::to_vec(&record).unwrap_or_default()
    }

    fn read(path: &str, bytes: &[u8]) -> Result<Self, FileError> {
        let unreadable = |cause: Cause| FileError::Failed {
            form: &FORM,
            place: format!("of {path:?}"),
            cause,
        };
        let record: Record<'_> = serde_json::from_slice(bytes).map_err(|error| unreadable(error.into()))?;
        Ok(Self {
            content: record
                .content
                .parse()
                .map_err(|_| unreadable("it names no content".into()))?,
            blob: Blob {
                path: path
                    .parse()
                    .map_err(|error: files::CloudPathError| unreadable(error.into()))?,
                size: record.size,
                etag: record.etag.to_owned(),
                content_type: record.content_type,
                owner: record.owner,
                modified: UNIX_EPOCH + Duration::from_millis(record.modified),
            },
        })
    }
}

type Work<T> = Result<T, WorkError<FileError>>;

/// Does once more what the journal has of a commit.
fn replay(transaction: &redb::WriteTransaction, steps: RedoSteps<'_>) -> Result<(), WorkError<RedoError>> {
    let text = |key| std::str::from_utf8(key).map_err(|_| RedoError);
    let mut table = transaction.open_table(FILES)?;
    let mut usage = transaction.open_table(USAGE)?;
    for step in steps {
        match step? {
            RedoStep::Put {
                table: IN_FILES,
                key,
                value,
            } => drop(table.insert(text(key)?, value)?),
            RedoStep::Remove { table: IN_FILES, key } => drop(table.remove(text(key)?)?),
            RedoStep::Put {
                table: IN_USAGE,
                key,
                value,
            } => {
                let number = value.try_into().map_err(|_| RedoError)?;
                usage.insert(text(key)?, u64::from_le_bytes(number))?;
            }
            _ => return Err(RedoError.into()),
        }
    }
    Ok(())
}

/// The index of one folder. Every change is on the disk when it is answered. Files that are entered while the disk is busy share
/// one commit.
#[derive(Debug)]
pub(super) struct Index {
    file: DataFile,
    /// Who writes: whoever has it enters all that wait.
    writer: Mutex<()>,
    waiting: Mutex<Vec<Arc<PendingEntry>>>,
    recent: Mutex<RecentEntries>,
}

/// How many entries are kept in memory, of 2 KB each at most.
const RECENT: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// What was looked up lately.
#[derive(Debug)]
struct RecentEntries {
    entries: LruCache<CloudPath, Entry>,
    /// How often the index has changed. Whoever read it before a change has nothing to say after it.
    changes: u64,
}

/// A file that is to be entered.
struct PendingEntry {
    entry: Entry,
    /// What decides by the file that is there whether it is.
    may: Option<MayReplace>,
    /// Set when that is decided, and on the disk.
    done: OnceLock<PutOutcome>,
}

impl fmt::Debug for PendingEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingEntry")
            .field("entry", &self.entry)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

/// What became of a file that was to be entered.
#[derive(Clone, Copy, Debug)]
pub(super) enum PutOutcome {
    /// It is; with the content of the file that was there.
    Done(Option<ContentId>),
    /// It may not take the place of the file that is there.
    Refused,
}

impl Index {
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        Self::open_with(path, &allocated::settings(&FORM))
    }

    /// The same on a disk of the caller's.
    fn open_with(path: &Path, settings: &FileSettings) -> Result<Self, FileError> {
        let bring_up = |transaction: &WriteTransaction, _: Option<u64>| -> Result<(), Cause> {
            transaction.open_table(FILES)?;
            transaction.open_table(USAGE)?;
            Ok(())
        };
        let file = DataFile::open_with(path, &FORM, &bring_up, settings)?;
        Ok(Self {
            file,
            writer: Mutex::default(),
            waiting: Mutex::default(),
            recent: Mutex::new(RecentEntries {
                entries: LruCache::new(RECENT),
                changes: 0,
            }),
        })
    }

    /// Whether files that were uploaded last may not be in it.
    pub(super) const fn may_lack_the_last(&self) -> bool {
        !self.file.was_closed()
    }

    pub(super) fn check(&self) -> Result<(), FileError> {
        self.file.check()
    }

    fn read<T>(&self, work: impl FnOnce(&redb::ReadTransaction) -> Work<T>) -> Result<T, FileError> {
        self.file.read(work).map_err(own)
    }

    /// What is known of a file without a look at the disk.
    pub(super) fn recent(&self, path: &CloudPath) -> Option<Entry> {
        lock(&self.recent).entries.get(path).cloned()
    }

    pub(super) fn look(&self, path: &CloudPath) -> Result<Option<Entry>, FileError> {
        let changes = {
            let mut recent = lock(&self.recent);
            if let Some(entry) = recent.entries.get(path) {
                return Ok(Some(entry.clone()));
            }
            recent.changes
        };
        let found = self.read(|transaction| {
            let table = transaction.open_table(FILES)?;
            let record = table.get(path.as_str())?;
            let entry = record.map(|record| Entry::read(path.as_str(), record.value()));
            entry.transpose().map_err(WorkError::Own)
        })?;
        if let Some(entry) = found.as_ref().filter(|entry| entry.is_small()) {
            let mut recent = lock(&self.recent);
            if recent.changes == changes {
                recent.entries.put(path.clone(), entry.clone());
            }
        }
        Ok(found)
    }

    /// Forgets what was known of files that were changed, or may have been: before anybody is told that they were.
    fn forget<'a>(&self, paths: impl Iterator<Item = &'a CloudPath>) {
        let mut recent = lock(&self.recent);
        recent.changes += 1;
        for path in paths {
            recent.entries.pop(path);
        }
    }

    /// Enters a file, if `may` allows it of the one that is there.
    pub(super) fn put(&self, entry: Entry, may: Option<MayReplace>) -> Result<PutOutcome, FileError> {
        let own = Arc::new(PendingEntry {
            entry,
            may,
            done: OnceLock::new(),
        });
        lock(&self.waiting).push(Arc::clone(&own));
        let _writer = lock(&self.writer);
        // Somebody may have entered it with theirs.
        if let Some(put) = own.done.get() {
            return Ok(*put);
        }
        let mut all = std::mem::take(&mut *lock(&self.waiting));
        // It was one of those with which somebody else failed.
        if !all.iter().any(|other| Arc::ptr_eq(other, &own)) {
            all.push(Arc::clone(&own));
        }
        let entered = match self.enter(&all) {
            // An error is of one file: each is tried by itself, by whoever waits for it.
            Err(_) if all.len() > 1 => {
                all = vec![Arc::clone(&own)];
                self.enter(&all)?
            }
            entered => entered?,
        };
        for (entering, put) in all.iter().zip(entered) {
            // Whoever writes is alone, so nobody else sets it.
            let _ = entering.done.set(put);
        }
        // It was among them.
        Ok(own.done.get().copied().unwrap_or(PutOutcome::Refused))
    }

    fn enter(&self, all: &[Arc<PendingEntry>]) -> Result<Vec<PutOutcome>, FileError> {
        let written = self.file.write(|transaction| {
            let mut table = transaction.open_table(FILES)?;
            let mut usage = transaction.open_table(USAGE)?;
            let mut done = Vec::with_capacity(all.len());
            let mut now = self::usage(&usage)?;
            let mut redo = Redo::default();
            for entering in all {
                let entry = &entering.entry;
                let path = entry.blob.path.as_str();
                if let Some(may) = &entering.may {
                    let there = table.get(path)?;
                    let there = there.map(|record| Entry::read(path, record.value()));
                    // One that cannot be read is nobody's to replace who has to be asked.
                    let there = there.transpose().map_err(WorkError::Own)?;
                    let again = there.as_ref().is_some_and(|there| there.content == entry.content);
                    if !again && !may(there.as_ref().map(|there| &there.blob)) {
                        done.push(PutOutcome::Refused);
                        continue;
                    }
                }
                let record = entry.write();
                redo.put(IN_FILES, path.as_bytes(), &record);
                let before = table.insert(path, record.as_slice())?;
                // One that cannot be read is written over all the same.
                let before = before.and_then(|record| Entry::read(path, record.value()).ok());
                if let Some(before) = &before {
                    now.without(before);
                }
                now.files += 1;
                now.bytes += entry.blob.size;
                // One that is entered a second time, after an error, stands in its own place.
                let content = before.map(|before| before.content);
                done.push(PutOutcome::Done(
                    content.filter(|content| *content != entry.content),
                ));
            }
            if done.iter().all(|put| matches!(put, PutOutcome::Refused)) {
                return Ok(Wrote::Unchanged(done));
            }
            keep_usage(&mut usage, now, &mut redo)?;
            Ok(Wrote::Journaled(done, redo))
        });
        self.forget(all.iter().map(|entering| &entering.entry.blob.path));
        written.map_err(own)
    }

    /// Removes files; answers the content of each that there was.
    pub(super) fn remove(&self, paths: &[CloudPath]) -> Result<Vec<Option<ContentId>>, FileError> {
        let written = self.file.write(|transaction| {
            let mut table = transaction.open_table(FILES)?;
            let mut removed = Vec::with_capacity(paths.len());
            let mut redo = Redo::default();
            for path in paths {
                redo.remove(IN_FILES, path.as_str().as_bytes());
                let record = table.remove(path.as_str())?;
                removed.push(record.and_then(|record| Entry::read(path.as_str(), record.value()).ok()));
            }
            if removed.iter().all(Option::is_none) {
                return Ok(Wrote::Unchanged(vec![None; paths.len()]));
            }
            uncount(transaction, removed.iter().flatten(), &mut redo)?;
            let contents = removed.into_iter().map(|entry| Some(entry?.content));
            Ok(Wrote::Journaled(contents.collect(), redo))
        });
        self.forget(paths.iter());
        written.map_err(own)
    }

    /// Removes a file if it is still this one; its content is to go then.
    pub(super) fn remove_this(&self, blob: &Blob) -> Result<(Removal, Option<ContentId>), FileError> {
        let path = &blob.path;
        let written = self.file.write(|transaction| {
            let mut table = transaction.open_table(FILES)?;
            let record = table.get(path.as_str())?;
            let entry = record.map(|record| Entry::read(path.as_str(), record.value()));
            let Some(entry) = entry.transpose().map_err(WorkError::Own)? else {
                return Ok(Wrote::Unchanged((Removal::Missing, None)));
            };
            if entry.blob != *blob {
                return Ok(Wrote::Unchanged((Removal::Changed, None)));
            }
            let mut redo = Redo::default();
            redo.remove(IN_FILES, path.as_str().as_bytes());
            table.remove(path.as_str())?;
            uncount(transaction, [&entry], &mut redo)?;
            Ok(Wrote::Journaled((Removal::Done, Some(entry.content)), redo))
        });
        self.forget(std::iter::once(path));
        written.map_err(own)
    }

    pub(super) fn list(&self, bounds: &ListBounds<'_>) -> Result<Vec<ListEntry>, FileError> {
        self.read(|transaction| {
            let table = transaction.open_table(FILES)?;
            let mut entries = Vec::new();
            let mut from = match bounds.after {
                Some(after) if after >= bounds.prefix => match after.ends_with('/') && bounds.folders {
                    // After a folder comes what is behind everything in it.
                    true => Bound::Included(behind(after)),
                    false => Bound::Excluded(after.to_owned()),
                },
                _ => Bound::Included(bounds.prefix.to_owned()),
            };
            while entries.len() < bounds.most {
                let start = from.as_ref().map(String::as_str);
                let Some(row) = table.range::<&str>((start, Bound::Unbounded))?.next() else {
                    break;
                };
                let (key, record) = row?;
                let Some(rest) = key.value().strip_prefix(bounds.prefix) else {
                    break;
                };
                match rest.find('/').filter(|_| bounds.folders) {
                    Some(end) => {
                        let folder = format!("{}{}", bounds.prefix, &rest[..=end]);
                        from = Bound::Included(behind(&folder));
                        entries.push(ListEntry::Folder(folder));
                    }
                    None => {
                        let entry = Entry::read(key.value(), record.value()).map_err(WorkError::Own)?;
                        from = Bound::Excluded(key.value().to_owned());
                        entries.push(ListEntry::File(entry.blob));
                    }
                }
            }
            Ok(entries)
        })
    }

    pub(super) fn usage(&self) -> Result<Usage, FileError> {
        self.read(|transaction| Ok(usage(&transaction.open_table(USAGE)?)?))
    }

    /// All contents that an entry names.
    pub(super) fn contents(&self) -> Result<HashSet<ContentId>, FileError> {
        self.read(|transaction| {
            let table = transaction.open_table(FILES)?;
            let mut contents = HashSet::new();
            for row in table.iter()? {
                let (path, record) = row?;
                let entry = Entry::read(path.value(), record.value()).map_err(WorkError::Own)?;
                contents.insert(entry.content);
            }
            Ok(contents)
        })
    }
}

fn own(failure: Failure<FileError>) -> FileError {
    failure.into_own(|error| error)
}

/// The first path behind all that begin with a folder's name.
fn behind(folder: &str) -> String {
    // `0` follows `/`.
    format!("{}0", folder.trim_end_matches('/'))
}

impl Usage {
    fn without(&mut self, entry: &Entry) {
        self.files = self.files.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(entry.blob.size);
    }
}

fn usage(table: &impl ReadableTable<&'static str, u64>) -> Result<Usage, redb::StorageError> {
    let number = |name| Ok::<_, redb::StorageError>(table.get(name)?.map_or(0, |number| number.value()));
    Ok(Usage {
        files: number("files")?,
        bytes: number("bytes")?,
    })
}

/// Files that are removed count no more.
fn uncount<'a>(
    transaction: &redb::WriteTransaction,
    removed: impl IntoIterator<Item = &'a Entry>,
    redo: &mut Redo,
) -> Work<()> {
    let mut table = transaction.open_table(USAGE)?;
    let mut now = usage(&table)?;
    removed.into_iter().for_each(|entry| now.without(entry));
    keep_usage(&mut table, now, redo)?;
    Ok(())
}

fn keep_usage(
    table: &mut redb::Table<'_, &'static str, u64>,
    now: Usage,
    redo: &mut Redo,
) -> Result<(), redb::StorageError> {
    for (name, number) in [("files", now.files), ("bytes", now.bytes)] {
        redo.put(IN_USAGE, name.as_bytes(), &number.to_le_bytes());
        table.insert(name, number)?;
    }
    Ok(())
}

pub(super) fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafile::testing::Faults;
    use files::StorageRefusal;

    use super::*;
    use crate::BlobError;

    #[test]
    fn where_the_index_has_no_room_that_is_said_and_what_was_put_is_there() {
        let root = tempfile::tempdir().unwrap();
        let faults = Arc::<Faults>::default();
        let settings = faults.settings(&FORM, Duration::ZERO);
        let index = Index::open_with(&root.path().join("index.redb"), &settings).unwrap();
        let put = |name: u32| {
            let blob = Blob {
                path: format!("{name}").parse().unwrap(),
                size: 1,
                etag: String::new(),
                content_type: None,
                owner: "x".repeat(1000),
                modified: crate::now(),
            };
            let content = ContentId::new();
            index.put(Entry { blob, content }, None)
        };
        put(0).unwrap();
        faults.fill(true);
        // What has its place already takes some more.
        let (failed, error) = (1..100_000)
            .find_map(|name| Some((name, put(name).err()?)))
            .unwrap();
        let error = BlobError::from(error);
        assert!(matches!(error, BlobError::Full(_)), "{error:?}");
        assert_eq!(error.refusal(), StorageRefusal::NoRoom);
        assert!(error.to_string().contains("make room"), "{error}");
        faults.fill(false);
        put(failed).unwrap();
        for name in 0..=failed {
            assert!(
                index.look(&format!("{name}").parse().unwrap()).unwrap().is_some(),
                "{name}"
            );
        }
    }
}
