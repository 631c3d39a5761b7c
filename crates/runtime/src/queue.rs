//! The calls of one function that wait for a worker: first come, first served, but a nested call goes before the others,
//! because somebody who holds a worker waits for it.

use std::{collections::VecDeque, time::Duration};

/// How many calls of one function may wait. Each holds its event, so this bounds memory.
pub(crate) const MAX_WAITING: usize = 1000;
/// A call that waited this long gets another worker, even if the function is usually quick enough.
pub(crate) const PATIENCE: Duration = Duration::from_millis(20);

/// Keys of waiting calls.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    keys: VecDeque<usize>,
}

impl Queue {
    /// Whether one more call may wait.
    pub(crate) fn is_full(&self) -> bool {
        self.keys.len() >= MAX_WAITING
    }

    pub(crate) fn push(&mut self, key: usize, nested: bool) {
        if nested {
            self.keys.push_front(key);
        } else {
            self.keys.push_back(key);
        }
    }

    pub(crate) fn pop(&mut self) -> Option<usize> {
        self.keys.pop_front()
    }

    /// Takes a call out whose caller has gone or waited long enough.
    pub(crate) fn remove(&mut self, key: usize) {
        if let Some(at) = self.keys.iter().position(|waiting| *waiting == key) {
            self.keys.remove(at);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The next one.
    pub(crate) fn front(&self) -> Option<usize> {
        self.keys.front().copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        self.keys.iter().copied()
    }

    /// Takes all.
    pub(crate) fn drain(&mut self) -> Vec<usize> {
        self.keys.drain(..).collect()
    }
}
