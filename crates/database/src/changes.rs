//! The feed of committed changes. Whoever listens is woken, and reads on from the number of the change that it had last; the newest are kept
//! for that, so that nobody who is slow holds up a write.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bson::{Bson, RawDocumentBuf};
use tokio::sync::watch;

/// Changes that are kept for whoever comes back after a pause, or listens slowly.
const KEPT: usize = 4096;
/// Bytes of documents that are kept for that.
const KEPT_BYTES: usize = 8 << 20;

/// The changes of one commit: no more of them than are kept anyway, so that a change of a million documents needs no room for all.
#[derive(Debug, Default)]
pub(crate) struct BatchChanges {
    changes: VecDeque<Change>,
    bytes: usize,
    /// The number of the last one.
    pub(crate) last: u64,
    /// Whether there were more.
    has_dropped: bool,
}

impl BatchChanges {
    pub(crate) fn push(&mut self, change: Change) {
        self.last = change.sequence;
        self.bytes += size(&change);
        self.changes.push_back(change);
        while self.changes.len() > 1 && (self.changes.len() > KEPT || self.bytes > KEPT_BYTES) {
            if let Some(oldest) = self.changes.pop_front() {
                self.bytes -= size(&oldest);
                self.has_dropped = true;
            }
        }
    }

    /// The ids of the documents of a collection that are among the changes; `None` where not all are known.
    pub(crate) fn ids(&self, collection: &str) -> Option<impl Iterator<Item = &Bson>> {
        let of_it = move |change: &&Change| &*change.collection == collection;
        (!self.has_dropped).then(|| self.changes.iter().filter(of_it).map(|change| &change.id))
    }
}

/// A change of a document that is committed.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its number: larger than that of each change before it, over restarts too.
    pub sequence: u64,
    /// Name of the collection.
    pub collection: Arc<str>,
    /// The `_id` of the document; null where a whole collection was dropped.
    pub id: Bson,
    /// What happened.
    pub kind: ChangeKind,
    /// The document as it became; `None` where it is gone.
    pub document: Option<RawDocumentBuf>,
}

/// What happened to a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was added.
    Insert,
    /// It was changed by operators.
    Update,
    /// Another one stands in its place.
    Replace,
    /// It was removed.
    Remove,
    /// The whole collection was dropped.
    Drop,
}

/// Changes were lost between the one that was asked for, or the last one that was heard, and now: read the data anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("changes after number {after} are not kept any more: read the data anew")]
pub struct MissedChanges {
    /// The last change that is known to have been heard.
    pub after: u64,
}

/// The changes of a database, one after the other. A listener holds none of them: what it has not asked for is kept for all
/// listeners together, and dropped in time.
#[derive(Debug)]
pub struct Changes {
    recent: Arc<Mutex<Recent>>,
    /// Is told that there is more.
    told: watch::Receiver<()>,
    last: u64,
}

impl Changes {
    /// The number of the last change that was heard, or behind which this one listens.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// The next change; `None` when there will be no other: the database is closed, or its server tells no more. Whoever goes
    /// on asks for changes anew.
    ///
    /// # Errors
    /// [`MissedChanges`] where this listener was so slow that changes were dropped.
    pub async fn next(&mut self) -> Option<Result<Arc<Change>, MissedChanges>> {
        loop {
            if let Some(next) = self.at_once() {
                return Some(next);
            }
            if self.told.changed().await.is_err() {
                // What was told last may have come in between.
                return self.at_once();
            }
        }
    }

    fn at_once(&mut self) -> Option<Result<Arc<Change>, MissedChanges>> {
        let recent = locked(&self.recent);
        let after = self.last;
        if after < recent.before {
            self.last = recent.before;
            return Some(Err(MissedChanges { after }));
        }
        let next = recent.behind(after).next()?;
        self.last = next.sequence;
        Some(Ok(Arc::clone(next)))
    }
}

/// Where an engine publishes what it committed, or heard of.
#[derive(Debug)]
pub struct Feed {
    recent: Arc<Mutex<Recent>>,
    told: watch::Sender<()>,
}

#[derive(Debug)]
struct Recent {
    changes: VecDeque<Arc<Change>>,
    bytes: usize,
    /// The last change that is not among them.
    before: u64,
    last: u64,
}

impl Recent {
    /// The changes behind that one.
    fn behind(&self, after: u64) -> impl Iterator<Item = &Arc<Change>> {
        let from = self.changes.partition_point(|change| change.sequence <= after);
        self.changes.range(from..)
    }
}

impl Feed {
    /// Goes on after the change of number `last`.
    #[must_use]
    pub fn new(last: u64) -> Self {
        let recent = Recent {
            changes: VecDeque::new(),
            bytes: 0,
            before: last,
            last,
        };
        Self {
            recent: Arc::new(Mutex::new(recent)),
            told: watch::Sender::new(()),
        }
    }

    /// Tells one change, whose number follows on that of the last one.
    pub fn tell(&self, change: Change) {
        let mut changes = BatchChanges::default();
        changes.push(change);
        self.publish(changes);
    }

    /// Tells the changes of one commit.
    pub(crate) fn publish(&self, changes: BatchChanges) {
        let mut recent = locked(&self.recent);
        if let Some(first) = changes.changes.front()
            && first.sequence > recent.last + 1
        {
            recent.changes.clear();
            recent.bytes = 0;
            recent.before = first.sequence - 1;
        }
        for change in changes.changes {
            recent.last = change.sequence;
            recent.bytes += size(&change);
            recent.changes.push_back(Arc::new(change));
            while recent.changes.len() > KEPT || recent.bytes > KEPT_BYTES {
                let Some(oldest) = recent.changes.pop_front() else {
                    break;
                };
                recent.bytes -= size(&oldest);
                recent.before = oldest.sequence;
            }
        }
        drop(recent);
        self.told.send_replace(());
    }

    /// The ids of the documents of a collection that were changed after the change of that number; `None` where not all are known.
    pub(crate) fn ids_after(&self, collection: &str, after: u64) -> Option<Vec<Bson>> {
        let recent = locked(&self.recent);
        let of_it = |change: &&Arc<Change>| &*change.collection == collection;
        (after >= recent.before).then(|| {
            let changes = recent.behind(after).filter(of_it);
            changes.map(|change| change.id.clone()).collect()
        })
    }

    /// See [`crate::Database::changes`].
    ///
    /// # Errors
    /// Where changes after that one are not kept any more.
    pub fn listen(&self, after: Option<u64>) -> Result<Changes, MissedChanges> {
        let told = self.told.subscribe();
        let recent = locked(&self.recent);
        let last = match after {
            Some(after) if after < recent.before || after > recent.last => {
                return Err(MissedChanges { after });
            }
            after => after.unwrap_or(recent.last),
        };
        Ok(Changes {
            recent: Arc::clone(&self.recent),
            told,
            last,
        })
    }
}

fn locked(recent: &Mutex<Recent>) -> MutexGuard<'_, Recent> {
    recent.lock().unwrap_or_else(PoisonError::into_inner)
}

fn size(change: &Change) -> usize {
    change
        .document
        .as_ref()
        .map_or(0, |document| document.as_bytes().len())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bson::doc;

    use super::*;

    fn change(sequence: u64, bytes: usize) -> Change {
        let document = doc! { "_id": 1, "text": "x".repeat(bytes) };
        Change {
            sequence,
            collection: "c".into(),
            id: 1.into(),
            kind: ChangeKind::Insert,
            document: Some(RawDocumentBuf::try_from(&document).unwrap()),
        }
    }

    #[tokio::test]
    async fn a_listener_that_asks_for_nothing_holds_nothing() {
        let feed = Feed::new(0);
        let mut idle = feed.listen(None).unwrap();
        feed.tell(change(1, 1 << 20));
        let held = Arc::downgrade(locked(&feed.recent).changes.front().unwrap());
        for sequence in 2..20 {
            feed.tell(change(sequence, 1 << 20));
        }
        assert!(held.upgrade().is_none());
        assert!(locked(&feed.recent).bytes <= KEPT_BYTES);
        let missed = idle.next().await.unwrap().unwrap_err();
        assert_eq!(missed.after, 0);
        // It goes on with what there is.
        let mut numbers = Vec::new();
        while numbers.last() != Some(&19) {
            numbers.push(idle.next().await.unwrap().unwrap().sequence);
        }
        assert!(
            numbers.len() > 1 && numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]),
            "{numbers:?}"
        );
        drop(feed);
        assert!(idle.next().await.is_none());
    }
}
