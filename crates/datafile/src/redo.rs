//! What a commit changes, as a journal has it: which entry of which table was set, and to what. Done a second time, or again
//! after others that came later and then together with those, it comes to the same.

use std::ops::Range;

use redb::WriteTransaction;

use crate::WorkError;

/// Does once more what a journal has of a commit.
pub type Replay = fn(&WriteTransaction, RedoSteps<'_>) -> Result<(), WorkError<RedoError>>;

/// Bytes of one that a journal takes.
pub(crate) const MOST: usize = 4 << 20;

const PUT: u8 = 0;
const REMOVE: u8 = 1;
const CLEAR: u8 = 2;

/// The changes of one commit, in their order. Tables go by numbers that their owner gives them and never gives to another.
#[derive(Debug, Default)]
pub struct Redo {
    bytes: Vec<u8>,
    /// It is done without the journal.
    is_too_large: bool,
}

/// One of them.
#[derive(Debug, PartialEq, Eq)]
pub enum RedoStep<'a> {
    /// An entry was set.
    Put {
        /// In which table.
        table: u8,
        /// The bytes of its key.
        key: &'a [u8],
        /// The bytes of its value.
        value: &'a [u8],
    },
    /// An entry was removed, if there was one.
    Remove {
        /// From which table.
        table: u8,
        /// The bytes of its key.
        key: &'a [u8],
    },
    /// All entries were removed whose keys lie there.
    Clear {
        /// From which table.
        table: u8,
        /// The bytes of the first key, and of the first that stays.
        keys: Range<&'a [u8]>,
    },
}

/// What should be a step of a change is none, or none of this table's.
#[derive(Debug, thiserror::Error)]
#[error("a change in the journal cannot be read")]
pub struct RedoError;

impl From<RedoError> for WorkError<RedoError> {
    fn from(error: RedoError) -> Self {
        Self::Own(error)
    }
}

impl Redo {
    /// An entry is set.
    pub fn put(&mut self, table: u8, key: &[u8], value: &[u8]) {
        self.push(PUT, table, [key, value]);
    }

    /// An entry is removed.
    pub fn remove(&mut self, table: u8, key: &[u8]) {
        self.push(REMOVE, table, [key]);
    }

    /// All entries are removed from the first key to the one that stays.
    pub fn clear(&mut self, table: u8, keys: Range<&[u8]>) {
        self.push(CLEAR, table, [keys.start, keys.end]);
    }

    /// With those of another one behind.
    pub fn append(&mut self, other: &Self) {
        self.is_too_large |= other.is_too_large;
        self.bytes.extend(&other.bytes);
        self.bound();
    }

    fn push<const N: usize>(&mut self, kind: u8, table: u8, parts: [&[u8]; N]) {
        if self.is_too_large {
            return;
        }
        self.bytes.extend([kind, table]);
        for part in parts {
            // A longer one is too large for a table of redb's as well.
            self.bytes.extend((part.len() as u32).to_le_bytes());
            self.bytes.extend(part);
        }
        self.bound();
    }

    fn bound(&mut self) {
        if self.is_too_large || self.bytes.len() > MOST {
            *self = Self {
                bytes: Vec::new(),
                is_too_large: true,
            };
        }
    }

    /// As the journal has it; `None` where it is too large for that.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        (!self.is_too_large).then_some(&self.bytes)
    }
}

/// The steps that a journal has of one commit.
pub struct RedoSteps<'a>(&'a [u8]);

impl<'a> RedoSteps<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self) -> Option<RedoStep<'a>> {
        let (&[kind, table], rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(match kind {
            PUT => RedoStep::Put {
                table,
                key: self.part()?,
                value: self.part()?,
            },
            REMOVE => RedoStep::Remove {
                table,
                key: self.part()?,
            },
            CLEAR => RedoStep::Clear {
                table,
                keys: self.part()?..self.part()?,
            },
            _ => return None,
        })
    }

    fn part(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk()?;
        let (part, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        self.0 = rest;
        Some(part)
    }
}

impl<'a> Iterator for RedoSteps<'a> {
    type Item = Result<RedoStep<'a>, RedoError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let step = self.take();
        if step.is_none() {
            self.0 = &[];
        }
        Some(step.ok_or(RedoError))
    }
}
