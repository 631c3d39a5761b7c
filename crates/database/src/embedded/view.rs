//! What an operation sees: the tables of a snapshot or of the commit in the making, and above them what its transaction wrote.

use std::collections::HashSet;

use bson::Document;
use docdb::{
    Context,
    expr::{Needs, Variables},
    query::Filter,
    raw,
};
use redb::{AccessGuard, ReadableTable};

use super::{
    batch::decode,
    merged::{FileEntries, Merged},
    route::{Route, Scan},
    transaction::Overlay,
};
use crate::{Looked, Result, error::DatabaseError};

/// Bytes that stand in the file, or in a transaction.
pub(crate) enum Bytes<'a> {
    File(AccessGuard<'a, &'static [u8]>),
    Own(Vec<u8>),
}

impl Bytes<'_> {
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::File(guard) => guard.value(),
            Self::Own(bytes) => bytes,
        }
    }
}

/// A document that has to be looked at.
pub(crate) struct Candidate<'a> {
    pub(crate) key: Bytes<'a>,
    pub(crate) document: Bytes<'a>,
}

/// What an operation sees.
pub(crate) struct View<'a, T> {
    pub(crate) documents: &'a T,
    pub(crate) indexes: &'a T,
    pub(crate) overlay: Option<&'a Overlay>,
}

impl<T> Clone for View<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for View<'_, T> {}

type Candidates<'a> = Box<dyn Iterator<Item = Result<Candidate<'a>>> + 'a>;

impl<'a, T: ReadableTable<&'static [u8], &'static [u8]>> View<'a, T> {
    /// The documents of collection `id` that a way leads to, in its order; each once.
    pub(crate) fn candidates(self, id: u32, route: &Route) -> Candidates<'a> {
        let file = route
            .scans
            .clone()
            .into_iter()
            .flat_map(move |scan| self.scan(scan));
        let file: Candidates<'a> = if route.repeats {
            let mut met = HashSet::new();
            Box::new(file.filter(move |candidate| {
                candidate
                    .as_ref()
                    .map_or(true, |candidate| met.insert(candidate.key.as_slice().to_vec()))
            }))
        } else {
            Box::new(file)
        };
        let Some(overlay) = self.overlay.filter(|overlay| !overlay.writes.is_empty()) else {
            return file;
        };
        let untouched = file.filter(move |candidate| {
            candidate.as_ref().map_or(true, |candidate| {
                !overlay.writes.contains_key(candidate.key.as_slice())
            })
        });
        let own = overlay
            .writes
            .range(id.to_be_bytes().to_vec()..)
            .take_while(move |(key, _)| key.starts_with(&id.to_be_bytes()))
            .filter_map(|(key, written)| {
                let document = written.after.as_ref()?;
                Some(
                    document
                        .to_vec()
                        .map_err(DatabaseError::unavailable)
                        .map(|document| Candidate {
                            key: Bytes::Own(key.clone()),
                            document: Bytes::Own(document),
                        }),
                )
            });
        Box::new(untouched.chain(own))
    }

    fn scan(self, scan: Scan) -> Candidates<'a> {
        let Scan {
            documents,
            ranges,
            points,
            backward,
            merge,
        } = scan;
        if documents && points && merge.is_none() {
            let keys = ranges.into_iter().map(|range| range.0);
            return Box::new(keys.filter_map(move |key| self.stored(Bytes::Own(key)).transpose()));
        }
        let table = if documents { self.documents } else { self.indexes };
        let walk = move |(from, to): (Vec<u8>, Vec<u8>)| -> FileEntries<'a> {
            match table.range::<&[u8]>(from.as_slice()..to.as_slice()) {
                Ok(entries) if backward => Box::new(entries.rev()),
                Ok(entries) => Box::new(entries),
                Err(error) => Box::new(std::iter::once(Err(error))),
            }
        };
        let entries: FileEntries<'a> = match merge {
            None => Box::new(ranges.into_iter().flat_map(walk)),
            Some(begins) => Box::new(Merged::new(ranges.into_iter().map(walk).zip(begins), backward)),
        };
        Box::new(entries.filter_map(move |entry| match entry {
            Err(error) => Some(Err(DatabaseError::unavailable(error))),
            Ok((key, document)) if documents => Some(Ok(Candidate {
                key: Bytes::File(key),
                document: Bytes::File(document),
            })),
            Ok((_, key)) => self.stored(Bytes::File(key)).transpose(),
        }))
    }

    /// The document of that key in the file.
    fn stored(self, key: Bytes<'a>) -> Result<Option<Candidate<'a>>> {
        let document = self
            .documents
            .get(key.as_slice())
            .map_err(DatabaseError::unavailable)?;
        Ok(document.map(|document| Candidate {
            key,
            document: Bytes::File(document),
        }))
    }

    /// The document of that key as this view sees it.
    pub(crate) fn get(self, key: &[u8]) -> Result<Option<Document>> {
        if let Some(written) = self.overlay.and_then(|overlay| overlay.writes.get(key)) {
            return Ok(written.after.clone());
        }
        let document = self.documents.get(key).map_err(DatabaseError::unavailable)?;
        document.map(|document| decode(document.value())).transpose()
    }
}

/// Finds documents by a filter and counts how many it looked at.
pub(crate) struct Search<'a> {
    pub(crate) filter: &'a Filter,
    needs: Needs,
    exact: bool,
    pub(crate) context: &'a Context,
    pub(crate) looked: Looked,
}

impl<'a> Search<'a> {
    pub(crate) fn new(filter: &'a Filter, context: &'a Context, route: &Route) -> Self {
        let mut needs = Needs::default();
        filter.needs(&mut needs);
        Self {
            filter,
            needs,
            exact: route.exact,
            context,
            looked: Looked {
                documents: 0,
                index: route.index.clone(),
            },
        }
    }

    /// Whether a document matches, by its bytes where they tell; else the fields that the filter names are decoded.
    pub(crate) fn matches(&mut self, bytes: &[u8]) -> Result<bool> {
        self.looked.documents += 1;
        self.context.is_wanted()?;
        if self.exact {
            return Ok(true);
        }
        if let Some(met) = self.filter.matches_raw(bytes, self.context) {
            return Ok(met);
        }
        let document = partly(bytes, &self.needs)?;
        Ok(self.filter.matches(&document, &Variables::none(), self.context)?)
    }
}

/// A document with the fields that are needed alone.
pub(crate) fn partly(bytes: &[u8], needs: &Needs) -> Result<Document> {
    raw::decode(bytes, needs).map_err(DatabaseError::unavailable)
}
