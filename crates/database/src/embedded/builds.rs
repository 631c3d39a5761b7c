//! Indexes in the making: one at a time of a collection, made a round at a time while others write. Until it is whole nobody finds documents by
//! it and nobody is refused for it. What is written meanwhile has its entries; where such a write may stand against the index, that is
//! noted and judged at the end.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::OwnedMutexGuard;

/// Which are being made, and what is suspected of them. All of it ends with the process: an index that was not whole then is removed
/// when the file is opened.
#[derive(Debug, Default)]
pub(crate) struct Builds {
    turns: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
    suspects: Mutex<HashMap<u32, BTreeSet<Suspect>>>,
}

/// What was written while an index was made, and may stand against it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Suspect {
    /// A value of a unique index that another document had: with the number of the index.
    Value(Vec<u8>),
    /// The key of a document that the index does not admit.
    Document(Vec<u8>),
}

impl Builds {
    /// The turn of whoever makes or drops an index of that collection.
    pub(crate) async fn enter(&self, collection: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = locked(&self.turns);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let known = turns.get(collection).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let turn = Arc::default();
                turns.insert(collection.to_owned(), Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }

    /// An index of that number is being made.
    pub(crate) fn begin(&self, index: u32) {
        locked(&self.suspects).insert(index, BTreeSet::new());
    }

    /// Notes it of the index of that number, while it is being made.
    pub(crate) fn suspect(&self, index: u32, suspect: Suspect) {
        if let Some(suspects) = locked(&self.suspects).get_mut(&index) {
            suspects.insert(suspect);
        }
    }

    /// How much is suspected of it.
    pub(crate) fn count_suspects(&self, index: u32) -> usize {
        locked(&self.suspects).get(&index).map_or(0, BTreeSet::len)
    }

    /// What is suspected of it. Whatever stands against it after this is noted anew by whoever writes it.
    pub(crate) fn take_suspects(&self, index: u32) -> BTreeSet<Suspect> {
        locked(&self.suspects)
            .get_mut(&index)
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// It is whole, or given up.
    pub(crate) fn forget(&self, index: u32) {
        locked(&self.suspects).remove(&index);
    }
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
