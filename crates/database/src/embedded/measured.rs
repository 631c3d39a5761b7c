//! A table that counts, as it is written to, by how many bytes its content grows. From that sum it is known as soon as a file
//! is opened whether much of it is free; to count its free pages, all pages would have to be read.

use std::ops::Deref;

use super::recorded::Recorded;
use crate::Result;

type OfBytes<'t> = Recorded<'t, &'static [u8], &'static [u8]>;

/// A table of bytes in the commit in the making.
pub(crate) struct Measured<'t> {
    recorded: OfBytes<'t>,
    grown: i64,
}

impl<'t> Deref for Measured<'t> {
    type Target = OfBytes<'t>;

    fn deref(&self) -> &Self::Target {
        &self.recorded
    }
}

impl<'t> Measured<'t> {
    pub(crate) const fn new(recorded: OfBytes<'t>) -> Self {
        Self { recorded, grown: 0 }
    }

    /// The bytes of keys and values by which it grew; less than zero where it shrank.
    pub(crate) const fn grown(&self) -> i64 {
        self.grown
    }

    pub(crate) fn insert(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let before = self.recorded.insert(key, value)?;
        self.grown += signed(value.len());
        self.grown += match before {
            Some(before) => -signed(before.value().len()),
            None => signed(key.len()),
        };
        Ok(())
    }

    pub(crate) fn remove(&mut self, key: &[u8]) -> Result<()> {
        if let Some(before) = self.recorded.remove(key)? {
            self.grown -= signed(key.len() + before.value().len());
        }
        Ok(())
    }

    /// Removes all from the first key to the one that stays.
    pub(crate) fn clear(&mut self, from: &[u8], to: &[u8]) -> Result<()> {
        let grown = &mut self.grown;
        self.recorded
            .clear(from, to, |key, value| *grown -= signed(key.len() + value.len()))
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
