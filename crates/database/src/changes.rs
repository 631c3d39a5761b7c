use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bson::{Bson, RawDocumentBuf};
use tokio::sync::broadcast;

/// Changes that are kept for whoever comes back after a pause, and that one who listens may lag behind.
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
}

impl BatchChanges {
    pub(crate) fn push(&mut self, change: Change) {
        self.last = change.sequence;
        self.bytes += size(&change);
        self.changes.push_back(change);
        while self.changes.len() > 1 && (self.changes.len() > KEPT || self.bytes > KEPT_BYTES) {
            if let Some(oldest) = self.changes.pop_front() {
                self.bytes -= size(&oldest);
            }
        }
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

/// The changes of a database, one after the other.
#[derive(Debug)]
pub struct Changes {
    replay: VecDeque<Arc<Change>>,
    live: broadcast::Receiver<Arc<Change>>,
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
        let change = loop {
            if let Some(change) = self.replay.pop_front() {
                break change;
            }
            match self.live.recv().await {
                Ok(change) => break change,
                // The next one shows the gap.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        };
        let after = self.last;
        if change.sequence > after + 1 {
            self.last = change.sequence - 1;
            self.replay.push_front(change);
            return Some(Err(MissedChanges { after }));
        }
        self.last = change.sequence;
        Some(Ok(change))
    }
}

/// Where an engine publishes what it committed, or heard of.
#[derive(Debug)]
pub struct Feed {
    live: broadcast::Sender<Arc<Change>>,
    recent: Mutex<Recent>,
}

#[derive(Debug)]
struct Recent {
    changes: VecDeque<Arc<Change>>,
    bytes: usize,
    /// The last change that is not among them.
    before: u64,
    last: u64,
}

impl Feed {
    /// Goes on after the change of number `last`.
    #[must_use]
    pub fn new(last: u64) -> Self {
        Self {
            live: broadcast::Sender::new(KEPT),
            recent: Mutex::new(Recent {
                changes: VecDeque::new(),
                bytes: 0,
                before: last,
                last,
            }),
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
        let mut recent = self.recent();
        if let Some(first) = changes.changes.front()
            && first.sequence > recent.last + 1
        {
            recent.changes.clear();
            recent.bytes = 0;
            recent.before = first.sequence - 1;
        }
        for change in changes.changes {
            let change = Arc::new(change);
            recent.last = change.sequence;
            recent.bytes += size(&change);
            recent.changes.push_back(Arc::clone(&change));
            while recent.changes.len() > KEPT || recent.bytes > KEPT_BYTES {
                let Some(oldest) = recent.changes.pop_front() else {
                    break;
                };
                recent.bytes -= size(&oldest);
                recent.before = oldest.sequence;
            }
            // That nobody listens is no error.
            let _ = self.live.send(change);
        }
    }

    /// See [`crate::Database::changes`].
    ///
    /// # Errors
    /// Where changes after that one are not kept any more.
    pub fn listen(&self, after: Option<u64>) -> Result<Changes, MissedChanges> {
        // Under the lock, so that no change falls between what is replayed and what is heard.
        let recent = self.recent();
        let replay = match after {
            None => VecDeque::new(),
            Some(after) if after < recent.before || after > recent.last => {
                return Err(MissedChanges { after });
            }
            Some(after) => {
                let behind = recent.changes.partition_point(|change| change.sequence <= after);
                recent.changes.range(behind..).cloned().collect()
            }
        };
        Ok(Changes {
            replay,
            live: self.live.subscribe(),
            last: after.unwrap_or(recent.last),
        })
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn size(change: &Change) -> usize {
    change
        .document
        .as_ref()
        .map_or(0, |document| document.as_bytes().len())
}
