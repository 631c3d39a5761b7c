//! Several walks along one table at once, merged into one order: that of the keys without what they begin with. So a query for
//! several values of one field has the order of the next one without being sorted.

use std::{cmp::Ordering, collections::BinaryHeap};

use redb::{AccessGuard, StorageError};

type FileEntry<'a> = (AccessGuard<'a, &'static [u8]>, AccessGuard<'a, &'static [u8]>);

/// A walk along a table.
pub(crate) type FileEntries<'a> = Box<dyn Iterator<Item = Result<FileEntry<'a>, StorageError>> + 'a>;

/// The walks, and the next entry of each.
pub(crate) struct Merged<'a> {
    walks: Vec<(FileEntries<'a>, usize)>,
    heads: BinaryHeap<Head<'a>>,
    /// Walks whose next entry is not among the heads yet.
    due: Vec<usize>,
    backward: bool,
}

struct Head<'a> {
    entry: FileEntry<'a>,
    /// Where in the key the order begins.
    begin: usize,
    walk: usize,
    backward: bool,
}

impl Head<'_> {
    fn place(&self) -> &[u8] {
        self.entry.0.value().get(self.begin..).unwrap_or_default()
    }
}

impl Ord for Head<'_> {
    /// The next one is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        let order = self.place().cmp(other.place()).then(self.walk.cmp(&other.walk));
        match self.backward {
            true => order,
            false => order.reverse(),
        }
    }
}

impl PartialOrd for Head<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head<'_> {}

impl<'a> Merged<'a> {
    /// Of walks, each with how many bytes of its keys come before what the order is of. With `backward` they go from great to
    /// small, and so does the order.
    pub(crate) fn new(walks: impl Iterator<Item = (FileEntries<'a>, usize)>, backward: bool) -> Self {
        let walks: Vec<_> = walks.collect();
        Self {
            due: (0..walks.len()).collect(),
            heads: BinaryHeap::with_capacity(walks.len()),
            walks,
            backward,
        }
    }
}

impl<'a> Iterator for Merged<'a> {
    type Item = Result<FileEntry<'a>, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(walk) = self.due.pop() {
            let (entries, begin) = self.walks.get_mut(walk)?;
            match entries.next() {
                None => {}
                Some(Err(error)) => return Some(Err(error)),
                Some(Ok(entry)) => self.heads.push(Head {
                    entry,
                    begin: *begin,
                    walk,
                    backward: self.backward,
                }),
            }
        }
        let head = self.heads.pop()?;
        self.due.push(head.walk);
        Some(Ok(head.entry))
    }
}
