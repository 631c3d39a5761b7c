//! The calls of one function that wait for a worker. First come, first served, but nested calls go before the others,
//! because somebody who holds a worker waits for them.

use std::collections::VecDeque;

/// How many calls of one function may wait. Each holds its event, so this bounds memory.
pub(crate) const MAX_WAITING: usize = 1000;

/// Keys of waiting calls.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    nested: VecDeque<usize>,
    roots: VecDeque<usize>,
}

impl Queue {
    /// Whether one more call may wait.
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= MAX_WAITING
    }

    pub(crate) fn push(&mut self, key: usize, nested: bool) {
        let keys = if nested { &mut self.nested } else { &mut self.roots };
        keys.push_back(key);
    }

    pub(crate) fn pop(&mut self) -> Option<usize> {
        self.nested.pop_front().or_else(|| self.roots.pop_front())
    }

    /// Takes a call out whose caller has gone or waited long enough.
    pub(crate) fn remove(&mut self, key: usize) {
        for keys in [&mut self.nested, &mut self.roots] {
            if let Some(at) = keys.iter().position(|waiting| *waiting == key) {
                keys.remove(at);
                return;
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.nested.len() + self.roots.len()
    }

    pub(crate) fn nested(&self) -> usize {
        self.nested.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next one.
    pub(crate) fn front(&self) -> Option<usize> {
        self.nested.front().or_else(|| self.roots.front()).copied()
    }

    /// The nested one that came last.
    pub(crate) fn last_nested(&self) -> Option<usize> {
        self.nested.back().copied()
    }

    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        self.nested.iter().chain(&self.roots).copied()
    }

    /// Takes all.
    pub(crate) fn drain(&mut self) -> Vec<usize> {
        self.nested.drain(..).chain(self.roots.drain(..)).collect()
    }
}
