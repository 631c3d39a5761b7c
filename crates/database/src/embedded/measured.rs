//! A table that counts, as it is written to, by how many bytes its content grows. From that sum it is known as soon as a file
//! is opened whether much of it is free; to count its free pages, all pages would have to be read.

use redb::Table;

use crate::{Result, error::DatabaseError};

/// A table of bytes in the commit in the making.
pub(crate) struct Measured<'t> {
    /// To read from.
    pub(crate) table: Table<'t, &'static [u8], &'static [u8]>,
    grown: i64,
}

impl<'t> Measured<'t> {
    pub(crate) const fn new(table: Table<'t, &'static [u8], &'static [u8]>) -> Self {
        Self { table, grown: 0 }
    }

    /// The bytes of keys and values by which it grew; less than zero where it shrank.
    pub(crate) const fn grown(&self) -> i64 {
        self.grown
    }

    pub(crate) fn insert(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let before = self
            .table
            .insert(key, value)
            .map_err(DatabaseError::unavailable)?;
        self.grown += signed(value.len());
        self.grown += match before {
            Some(before) => -signed(before.value().len()),
            None => signed(key.len()),
        };
        Ok(())
    }

    pub(crate) fn remove(&mut self, key: &[u8]) -> Result<()> {
        let before = self.table.remove(key).map_err(DatabaseError::unavailable)?;
        if let Some(before) = before {
            self.grown -= signed(key.len() + before.value().len());
        }
        Ok(())
    }

    /// Removes all from the first key to the one that stays.
    pub(crate) fn clear(&mut self, from: &[u8], to: &[u8]) -> Result<()> {
        let grown = &mut self.grown;
        self.table
            .retain_in::<&[u8], _>(from..to, |key, value| {
                *grown -= signed(key.len() + value.len());
                false
            })
            .map_err(DatabaseError::unavailable)
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
