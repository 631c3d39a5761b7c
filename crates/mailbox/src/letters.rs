//! What was given up: shown to the operator, sent through again, dropped.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use push::{Format, Packet};
use store::{DeadPage, PageBounds, StoreError, StoredPush};

use crate::{Inner, Mailbox, delivery, kind_of, machine_time};

/// A dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The push, which is dead.
    pub push: StoredPush,
    /// Its kind as a route names it; empty if the store holds no packet.
    pub kind: String,
    /// Its `FromUserName`.
    pub from_user: String,
}

/// Some of the dead letters, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterPage {
    /// The letters.
    pub letters: Vec<Letter>,
    /// What to ask for as [`PageBounds::before`] for the next page, if there is one.
    pub next: Option<u64>,
    /// How many letters there are in all.
    pub total: u64,
    /// Bytes of all their packets and errors.
    pub bytes: u64,
}

impl Mailbox {
    /// A page of the dead letters.
    ///
    /// # Errors
    /// The store failed.
    pub async fn letters(&self, bounds: PageBounds) -> Result<LetterPage, StoreError> {
        let DeadPage {
            letters,
            more,
            total,
            bytes,
        } = self.0.store.dead_pushes(bounds).await?;
        Ok(LetterPage {
            next: letters.last().filter(|_| more).map(|push| push.id),
            letters: letters.into_iter().map(|push| self.0.letter(push)).collect(),
            total,
            bytes,
        })
    }

    /// Sends a dead letter through again, with as many attempts as a new push has. Answers whether there was one.
    ///
    /// # Errors
    /// The store failed.
    pub async fn replay(&self, id: u64) -> Result<bool, StoreError> {
        let inner = &self.0;
        let Some(push) = inner.store.revive_push(id, true, machine_time()).await? else {
            return Ok(false);
        };
        if inner.table.visit(&push.lane) {
            tokio::spawn(delivery::walk(Arc::clone(inner), push.lane));
        } else {
            inner.table.wake(&push.lane);
        }
        Ok(true)
    }

    /// Drops a dead letter: WeChat's duplicates of it are acknowledged from then on. Answers whether there was one.
    ///
    /// # Errors
    /// The store failed.
    pub async fn dismiss(&self, id: u64) -> Result<bool, StoreError> {
        self.0.store.dismiss_push(id, machine_time()).await
    }
}

impl Inner {
    fn letter(&self, push: StoredPush) -> Letter {
        let packet = Packet::parse(&self.appid, Format::Json, push.packet.as_bytes()).ok();
        let packet = packet.as_ref();
        Letter {
            kind: packet.map(kind_of).unwrap_or_default(),
            from_user: packet
                .map(|packet| packet.from_user().to_owned())
                .unwrap_or_default(),
            push,
        }
    }

    /// Notes a letter of so many bytes; after some, has it looked whether there are too many.
    pub(crate) fn letter_came(&self, bytes: u64) {
        if self.letters.add(bytes) {
            self.crowded.notify_one();
        }
    }
}

/// Letters that came since it was looked last whether there are too many.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    letters: AtomicU64,
    bytes: AtomicU64,
}

impl Growth {
    /// So many letters may come before somebody looks.
    const LETTERS: u64 = 100;
    /// So many bytes of them may come.
    const BYTES: u64 = 4 << 20;

    /// Adds a letter. Answers whether it is time to look.
    fn add(&self, bytes: u64) -> bool {
        let letters = self.letters.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let is_time = letters >= Self::LETTERS || bytes >= Self::BYTES;
        if is_time {
            self.letters.store(0, Ordering::Relaxed);
            self.bytes.store(0, Ordering::Relaxed);
        }
        is_time
    }
}
