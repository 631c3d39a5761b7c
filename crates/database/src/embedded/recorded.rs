//! Tables that note what is written to them, for the file's journal, and doing that once more.

use datafile::{Redo, RedoError, RedoStep, RedoSteps, WorkError};
use redb::{AccessGuard, Key, Table, TableDefinition, Value, WriteTransaction};

use super::file::{CATALOG, COUNTS, DOCUMENTS, INDEXES, META};
use crate::{Result, error::DatabaseError};

/// A table's number in the journal: no other table's, ever.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum TableNumber {
    Catalog = 0,
    Documents = 1,
    Indexes = 2,
    Counts = 3,
    Meta = 4,
}

impl TableNumber {
    const ALL: [Self; 5] = [
        Self::Catalog,
        Self::Documents,
        Self::Indexes,
        Self::Counts,
        Self::Meta,
    ];
}

/// A table in the commit in the making.
pub(crate) struct Recorded<'t, K: Key + 'static, V: Value + 'static> {
    /// To read from.
    pub(crate) table: Table<'t, K, V>,
    number: TableNumber,
    redo: Redo,
}

impl<'t, K: Key + 'static, V: Value + 'static> Recorded<'t, K, V> {
    pub(crate) fn open(
        write: &'t WriteTransaction,
        definition: TableDefinition<'static, K, V>,
        number: TableNumber,
    ) -> Result<Self> {
        Ok(Self {
            table: write.open_table(definition).map_err(DatabaseError::unavailable)?,
            number,
            redo: Redo::default(),
        })
    }

    /// What was written.
    pub(crate) const fn redo(&self) -> &Redo {
        &self.redo
    }

    pub(crate) fn insert(
        &mut self,
        key: K::SelfType<'_>,
        value: V::SelfType<'_>,
    ) -> Result<Option<AccessGuard<'_, V>>> {
        self.redo.put(
            self.number as u8,
            K::as_bytes(&key).as_ref(),
            V::as_bytes(&value).as_ref(),
        );
        self.table.insert(key, value).map_err(DatabaseError::unavailable)
    }

    pub(crate) fn remove(&mut self, key: K::SelfType<'_>) -> Result<Option<AccessGuard<'_, V>>> {
        self.redo.remove(self.number as u8, K::as_bytes(&key).as_ref());
        self.table.remove(key).map_err(DatabaseError::unavailable)
    }
}

impl Recorded<'_, &'static [u8], &'static [u8]> {
    /// Removes all from the first key to the one that stays, each of which is told.
    pub(crate) fn clear(&mut self, from: &[u8], to: &[u8], mut each: impl FnMut(&[u8], &[u8])) -> Result<()> {
        self.redo.clear(self.number as u8, from..to);
        self.table
            .retain_in::<&[u8], _>(from..to, |key, value| {
                each(key, value);
                false
            })
            .map_err(DatabaseError::unavailable)
    }
}

/// Does once more what the journal has of a commit.
pub(crate) fn replay(
    write: &WriteTransaction,
    steps: RedoSteps<'_>,
) -> std::result::Result<(), WorkError<RedoError>> {
    let mut catalog = write.open_table(CATALOG)?;
    let mut documents = write.open_table(DOCUMENTS)?;
    let mut indexes = write.open_table(INDEXES)?;
    let mut counts = write.open_table(COUNTS)?;
    let mut meta = write.open_table(META)?;
    for step in steps {
        let step = step?;
        let (RedoStep::Put { table, .. } | RedoStep::Remove { table, .. } | RedoStep::Clear { table, .. }) =
            step;
        let number = TableNumber::ALL
            .into_iter()
            .find(|number| *number as u8 == table)
            .ok_or(RedoError)?;
        match number {
            TableNumber::Catalog => replay_in(&mut catalog, &step)?,
            TableNumber::Documents => replay_in_bytes(&mut documents, &step)?,
            TableNumber::Indexes => replay_in_bytes(&mut indexes, &step)?,
            TableNumber::Counts => replay_in(&mut counts, &step)?,
            TableNumber::Meta => replay_in(&mut meta, &step)?,
        }
    }
    Ok(())
}

fn replay_in<K: Key, V: Value>(
    table: &mut Table<'_, K, V>,
    step: &RedoStep<'_>,
) -> std::result::Result<(), WorkError<RedoError>> {
    match step {
        RedoStep::Put { key, value, .. } => {
            table.insert(readable::<K>(key)?, readable::<V>(value)?)?;
        }
        RedoStep::Remove { key, .. } => {
            table.remove(readable::<K>(key)?)?;
        }
        RedoStep::Clear { .. } => return Err(RedoError.into()),
    }
    Ok(())
}

/// What the journal has of a key or a value. redb would panic at numbers of another length, and at texts that are not UTF-8.
fn readable<T: Value>(bytes: &[u8]) -> std::result::Result<T::SelfType<'_>, RedoError> {
    let has_length = T::fixed_width().is_none_or(|width| width == bytes.len());
    let is_text = T::type_name() == <&str>::type_name();
    match has_length && (!is_text || std::str::from_utf8(bytes).is_ok()) {
        true => Ok(T::from_bytes(bytes)),
        false => Err(RedoError),
    }
}

fn replay_in_bytes(
    table: &mut Table<'_, &'static [u8], &'static [u8]>,
    step: &RedoStep<'_>,
) -> std::result::Result<(), WorkError<RedoError>> {
    match step {
        RedoStep::Clear { keys, .. } if keys.start > keys.end => Err(RedoError.into()),
        RedoStep::Clear { keys, .. } => Ok(table.retain_in::<&[u8], _>(keys.start..keys.end, |_, _| false)?),
        step => replay_in(table, step),
    }
}
