//! Cursors: what is left of an answer that did not fit into one batch. A read of a whole collection goes page by page, so that its size
//! does not matter; what a pipeline or a sort gave is held until it is fetched, and all that is held is bounded.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bson::{Bson, Document, RawArrayBuf, RawDocumentBuf, cstr};
use database::Database;

use crate::{
    changes::ChangeStream,
    command::Namespace,
    failure::{Failure, Result, code},
};

/// Documents of a first batch where the client does not say, as in MongoDB.
pub(crate) const FIRST_BATCH: usize = 101;
/// Bytes of a batch at most: those of the largest document. One document always fits.
const BATCH_BYTES: usize = 16 << 20;
/// Bytes of a document at most that is handed out, as in MongoDB: what a pipeline makes may have a little more than what is kept.
pub(crate) const LARGEST: usize = (16 << 20) + (16 << 10);
/// Documents of a page that is read ahead.
const PAGE: usize = 1000;
/// A cursor that nobody asks for so long is dropped, as in MongoDB.
const IDLE: Duration = Duration::from_secs(600);
/// Bytes that all cursors hold at most; beyond that, those that were used least recently are dropped.
const HELD: usize = 256 << 20;
/// Cursors that are open at most.
const MOST: usize = 10_000;

/// What is left of an answer.
#[derive(Debug)]
pub(crate) struct Cursor {
    pub(crate) namespace: Namespace,
    /// What is there to be fetched.
    ready: VecDeque<RawDocumentBuf>,
    bytes: usize,
    /// Where more comes from.
    more: Option<Pages>,
    /// Changes that are followed, which come to no end by themselves.
    changes: Option<ChangeStream>,
}

/// A read that goes page by page.
#[derive(Debug)]
pub(crate) struct Pages {
    pub(crate) filter: Document,
    pub(crate) projection: Option<Document>,
    /// Documents that are to be left out first.
    pub(crate) skip: u64,
    /// Documents that are still wanted.
    pub(crate) left: Option<u64>,
    /// The id behind which the next page begins.
    pub(crate) after: Option<Bson>,
}

impl Cursor {
    /// Over documents that are all there.
    pub(crate) fn of(namespace: Namespace, documents: Vec<RawDocumentBuf>) -> Self {
        Self {
            namespace,
            bytes: documents.iter().map(|document| document.as_bytes().len()).sum(),
            ready: documents.into(),
            more: None,
            changes: None,
        }
    }

    pub(crate) fn paged(namespace: Namespace, pages: Pages) -> Self {
        Self {
            more: Some(pages),
            ..Self::of(namespace, Vec::new())
        }
    }

    pub(crate) fn following(namespace: Namespace, changes: ChangeStream) -> Self {
        Self {
            changes: Some(changes),
            ..Self::of(namespace, Vec::new())
        }
    }

    /// The next documents: at most so many, and no more than fit into a message. Changes are waited for.
    pub(crate) async fn batch(
        &mut self,
        database: &dyn Database,
        most: Option<usize>,
        patience: Option<Duration>,
    ) -> Result<RawArrayBuf> {
        let (mut batch, mut count, mut size) = (RawArrayBuf::new(), 0, 0);
        let most = most.unwrap_or(usize::MAX);
        if let Some(changes) = &mut self.changes
            && self.ready.is_empty()
        {
            let told = changes.next(most.min(PAGE), patience).await?;
            self.bytes += told.iter().map(|change| change.as_bytes().len()).sum::<usize>();
            self.ready.extend(told);
        }
        while count < most {
            let Some(next) = self.ready.front() else {
                if !self.fetch(database, most - count).await? {
                    break;
                }
                continue;
            };
            let length = next.as_bytes().len();
            if length > LARGEST {
                return Err(Failure::new(
                    code::BSON_OBJECT_TOO_LARGE,
                    format!("BSONObj size: {length} is invalid. Size must be between 0 and {LARGEST}(16MB)"),
                ));
            }
            if count > 0 && size + length > BATCH_BYTES {
                break;
            }
            if let Some(next) = self.ready.pop_front() {
                self.bytes -= length;
                batch.push(next);
            }
            (count, size) = (count + 1, size + length);
        }
        if count == most && self.ready.is_empty() {
            // Whether that was all; drivers ask once more otherwise.
            self.fetch(database, 1).await?;
        }
        Ok(batch)
    }

    /// Reads another page; answers whether there may be something in it.
    async fn fetch(&mut self, database: &dyn Database, wanted: usize) -> Result<bool> {
        let Some(mut pages) = self.more.take() else {
            return Ok(false);
        };
        if pages.left == Some(0) {
            return Ok(false);
        }
        let most = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let limit = match (pages.skip, pages.left) {
            (0, Some(left)) => most(left).min(wanted),
            (0, None) => wanted,
            (skip, _) => most(skip),
        };
        let page = database
            .page(
                &self.namespace.collection,
                pages.filter.clone(),
                pages.projection.clone(),
                pages.after.take(),
                limit.clamp(1, PAGE),
            )
            .await
            .map_err(|error| Failure::of(error, &self.namespace.database))?;
        for document in page.documents {
            if pages.skip > 0 {
                pages.skip -= 1;
                continue;
            }
            if let Some(left) = &mut pages.left {
                *left -= 1;
            }
            self.bytes += document.as_bytes().len();
            self.ready.push_back(document);
        }
        if page.last.is_some() && pages.left != Some(0) {
            pages.after = page.last;
            self.more = Some(pages);
        }
        Ok(true)
    }

    fn is_spent(&self) -> bool {
        let follows = self.changes.as_ref().is_some_and(|changes| !changes.has_ended());
        self.ready.is_empty() && self.more.is_none() && !follows
    }

    /// The resume token of a change stream; `None` for other cursors.
    pub(crate) fn token(&self) -> Option<Document> {
        self.changes.as_ref().map(ChangeStream::token)
    }
}

/// The cursors that are open.
#[derive(Debug, Default)]
pub(crate) struct Cursors(Mutex<HashMap<i64, OpenCursor>>);

#[derive(Debug)]
struct OpenCursor {
    cursor: Cursor,
    used: Instant,
}

impl Cursors {
    /// Keeps a cursor under a new number, or under its own; 0 where nothing is left of it.
    pub(crate) fn keep(&self, cursor: Cursor, id: Option<i64>) -> i64 {
        if cursor.is_spent() {
            return 0;
        }
        let now = Instant::now();
        let mut open = self.open();
        let mut held = open.values().map(|kept| kept.cursor.bytes).sum::<usize>() + cursor.bytes;
        while !open.is_empty() && (held > HELD || open.len() >= MOST) {
            let oldest = open.iter().min_by_key(|(_, kept)| kept.used).map(|(id, _)| *id);
            if let Some(dropped) = oldest.and_then(|id| open.remove(&id)) {
                held -= dropped.cursor.bytes;
            }
        }
        let id = id.unwrap_or_else(|| {
            loop {
                // Positive, and drawn from so many that a number is not soon used again.
                let id = i64::from_ne_bytes(rand::random()) & i64::MAX;
                if id != 0 && !open.contains_key(&id) {
                    break id;
                }
            }
        });
        open.insert(id, OpenCursor { cursor, used: now });
        id
    }

    /// Drops those that nobody has asked for in a while.
    pub(crate) fn sweep(&self) {
        self.drop_idle(Instant::now());
    }

    fn drop_idle(&self, now: Instant) {
        self.open()
            .retain(|_, kept| now.saturating_duration_since(kept.used) < IDLE);
    }

    /// Takes a cursor out, to be kept again when its next batch is made.
    pub(crate) fn take(&self, id: i64) -> Option<Cursor> {
        self.open().remove(&id).map(|kept| kept.cursor)
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.open().len()
    }

    fn open(&self) -> MutexGuard<'_, HashMap<i64, OpenCursor>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `{cursor: {firstBatch, id, ns}, ok: 1}`.
pub(crate) fn answer(which: Batch, batch: RawArrayBuf, id: i64, namespace: &str) -> RawDocumentBuf {
    answer_with(which, batch, id, namespace, None)
}

/// The same, with the token of a change stream.
pub(crate) fn answer_with(
    which: Batch,
    batch: RawArrayBuf,
    id: i64,
    namespace: &str,
    token: Option<RawDocumentBuf>,
) -> RawDocumentBuf {
    let mut cursor = RawDocumentBuf::new();
    match which {
        Batch::First => cursor.append(cstr!("firstBatch"), batch),
        Batch::Next => cursor.append(cstr!("nextBatch"), batch),
    }
    cursor.append(cstr!("id"), id);
    cursor.append(cstr!("ns"), namespace);
    if let Some(token) = token {
        cursor.append(cstr!("postBatchResumeToken"), token);
    }
    let mut answer = RawDocumentBuf::new();
    answer.append(cstr!("cursor"), cursor);
    answer.append(cstr!("ok"), 1.0);
    answer
}

/// Which batch of a cursor it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Batch {
    First,
    Next,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_that_nobody_asks_for_is_dropped_by_itself() {
        let cursors = Cursors::default();
        let namespace = Namespace {
            database: "d".to_owned(),
            collection: "c".to_owned(),
        };
        let cursor = Cursor::of(namespace, vec![RawDocumentBuf::new()]);
        let id = cursors.keep(cursor, None);
        let now = Instant::now();
        cursors.drop_idle(now + IDLE / 2);
        assert_eq!(cursors.count(), 1);
        cursors.drop_idle(now + IDLE);
        assert_eq!(cursors.count(), 0);
        assert!(cursors.take(id).is_none());
    }
}
