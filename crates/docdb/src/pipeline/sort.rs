//! `$sort`: by key bytes, which are computed once and compared as bytes.

use std::{cmp::Ordering, collections::BinaryHeap};

use bson::Document;

use super::{Documents, Held, lazily};
use crate::{Context, error::Result, expr::document_size, sort::Sort};

/// A `$sort`, and how many documents get through behind it.
#[derive(Clone, Debug)]
pub(super) struct SortStage {
    order: Sort,
    /// From the `$limit` and `$skip` that follow: only so many of the first are kept.
    pub(super) most: Option<usize>,
}

struct Entry {
    key: Vec<u8>,
    /// The place in the input: what is equal keeps its order.
    place: usize,
    document: Document,
}

impl Entry {
    fn order(&self) -> (&[u8], usize) {
        (&self.key, self.place)
    }

    fn weight(&self) -> usize {
        document_size(&self.document) + self.key.len() + size_of::<Self>()
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl SortStage {
    pub(super) const fn new(order: Sort) -> Self {
        Self { order, most: None }
    }

    pub(super) const fn order(&self) -> &Sort {
        &self.order
    }

    pub(super) fn run<'a>(
        &'a self,
        input: Documents<'a>,
        context: &'a Context,
        memory: usize,
    ) -> Documents<'a> {
        lazily(move || {
            let sorted = match self.most {
                Some(most) => self.first(most, input, context, memory)?,
                None => self.all(input, context, memory)?,
            };
            Ok(Box::new(sorted.into_iter().map(|entry| Ok(entry.document))))
        })
    }

    fn all(&self, input: Documents<'_>, context: &Context, memory: usize) -> Result<Vec<Entry>> {
        let mut held = Held::new("$sort", memory);
        let mut entries = Vec::new();
        for (place, document) in input.enumerate() {
            let document = document?;
            let key = self.order.key(&document, context)?;
            let entry = Entry { key, place, document };
            held.add_bytes(entry.weight())?;
            entries.push(entry);
        }
        entries.sort_unstable();
        Ok(entries)
    }

    fn first(
        &self,
        most: usize,
        input: Documents<'_>,
        context: &Context,
        memory: usize,
    ) -> Result<Vec<Entry>> {
        let mut heap: BinaryHeap<Entry> = BinaryHeap::new();
        let mut bytes = 0_usize;
        for (place, document) in input.enumerate() {
            let document = document?;
            let key = self.order.key(&document, context)?;
            // What comes later and is equal is behind.
            if heap.len() >= most && heap.peek().is_none_or(|last| last.key <= key) {
                continue;
            }
            let entry = Entry { key, place, document };
            bytes += entry.weight();
            heap.push(entry);
            if heap.len() > most
                && let Some(last) = heap.pop()
            {
                bytes -= last.weight();
            }
            Held::new("$sort", memory).add_bytes(bytes)?;
        }
        Ok(heap.into_sorted_vec())
    }
}
