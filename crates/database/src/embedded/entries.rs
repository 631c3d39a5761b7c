//! Keys: of a document in its collection, and of its entries in the collection's indexes.

use bson::{Bson, Document};
use docdb::key::{self, Direction};

use super::catalog::Index;
use crate::Result;

/// The key of a document: its collection's id, and the key of its `_id`.
pub(crate) fn document_key(collection: u32, id: &Bson) -> Vec<u8> {
    let mut out = collection.to_be_bytes().to_vec();
    key::push(&mut out, id, Direction::Ascending);
    out
}

/// Where the key of the `_id` begins in a document's key.
pub(crate) const ID_AT: usize = size_of::<u32>();

/// The key under which an index has a value of the document of that key.
pub(crate) fn entry_key(value: &[u8], document_key: &[u8]) -> Vec<u8> {
    [value, &document_key[ID_AT..]].concat()
}

/// What stands in an index for one document: the bytes before the key of its `_id`, each once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Entries {
    pub(crate) values: Vec<Vec<u8>>,
    /// Whether an array makes them several, or could.
    pub(crate) multikey: bool,
}

impl Entries {
    /// Of a document that is to go into an index.
    pub(crate) fn to_add(index: &Index, document: &Document) -> Result<Self> {
        index.keys.admit(document)?;
        Self::of(index, document)
    }

    /// Of a document in an index.
    pub(crate) fn of(index: &Index, document: &Document) -> Result<Self> {
        let entries = index.keys.entries(document)?;
        let id = index.id.to_be_bytes();
        Ok(Self {
            values: entries
                .keys
                .iter()
                .map(|key| [&id, key.as_slice()].concat())
                .collect(),
            multikey: entries.multikey,
        })
    }
}
