//! What stands in a journal: records, one behind the other, each of which begins at a multiple of a block, so that writing one never
//! touches the one before. Behind the last one lies what is left of earlier generations, or zeros.
//!
//! | record | |
//! |---|---|
//! | 8 bytes | what it is |
//! | 16 bytes | the generation, drawn by lot: records of another one do not count, and nobody who has documents kept in the file can write what looks like one |
//! | u32 | checksum of all that follows, and of the generation |
//! | u32 | its number in the generation |
//! | u32 | bytes of the change |
//! | | the change; zeros up to a block |
//!
//! All numbers are little-endian.

use std::io;

use redb::StorageBackend;

use super::{JournalError, ROOM};
use crate::redo::MOST;

/// Bytes that a record's place in the journal is a multiple of. No disk in use writes less than this in such a way that what is
/// beside it can be lost.
pub(super) const BLOCK: u64 = 4096;

const RECORD: &[u8; 8] = b"yunqrec\n";
/// Bytes of a record before the change.
const FIXED: usize = 36;
/// Where the checksum is in a record.
const CHECKSUM: std::ops::Range<usize> = 24..28;

/// Which record it is: its generation, and its number in that.
pub(super) type Place = (u128, u32);

/// Bytes of the record of a change that has so many.
pub(super) const fn length(change: usize) -> u64 {
    ((FIXED + change) as u64).next_multiple_of(BLOCK)
}

/// A record, ready to be written.
pub(super) fn write((generation, index): Place, change: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length(change.len()) as usize);
    bytes.extend(RECORD);
    bytes.extend(generation.to_le_bytes());
    bytes.extend([0; CHECKSUM.end - CHECKSUM.start]);
    bytes.extend(index.to_le_bytes());
    bytes.extend((change.len() as u32).to_le_bytes());
    bytes.extend(change);
    let checksum = checksum(&bytes).to_le_bytes();
    if let Some(place) = bytes.get_mut(CHECKSUM) {
        place.copy_from_slice(&checksum);
    }
    bytes.resize(length(change.len()) as usize, 0);
    bytes
}

/// Of all of a record but its checksum, what it is, and the zeros behind it.
fn checksum(record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(record.get(RECORD.len()..CHECKSUM.start).unwrap_or_default());
    hasher.update(record.get(CHECKSUM.end..).unwrap_or_default());
    hasher.finalize()
}

/// A record that was read.
pub(super) struct Record {
    generation: u128,
    pub(super) index: u32,
    pub(super) change: Vec<u8>,
}

/// The generation of the first record, if there is one that is whole.
///
/// # Errors
/// Of the disk; or what is there was written by nobody who writes journals.
pub(super) fn first(log: &dyn StorageBackend) -> Result<Option<u128>, JournalError> {
    let length = length_of(log)?;
    // Whoever was interrupted as he wrote it has left zeros or the beginning of a record: a disk writes that much whole.
    let mut begin = [0; RECORD.len()];
    let there = usize::try_from(length).map_or(RECORD.len(), |length| length.min(RECORD.len()));
    let begin = begin.get_mut(..there).unwrap_or_default();
    if !begin.is_empty() {
        log.read(0, begin)?;
    }
    if begin.iter().any(|byte| *byte != 0) && !RECORD.starts_with(begin) {
        return Err(JournalError::Damaged);
    }
    Ok(record_at(log, 0, length)?.map(|record| record.generation))
}

/// What a journal has of a generation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RecordRun {
    pub(super) records: u32,
    /// Behind the last of them.
    pub(super) end: u64,
}

/// Hands on the records of a generation in their order, at most so many.
///
/// # Errors
/// Of the disk, or what `each` gave.
pub(super) fn read(
    log: &dyn StorageBackend,
    generation: u128,
    most: u32,
    mut each: impl FnMut(&[u8]) -> Result<(), JournalError>,
) -> Result<RecordRun, JournalError> {
    let length = length_of(log)?;
    let mut found = RecordRun::default();
    while found.records < most
        && let Some(record) = record_at(log, found.end, length)?
        && (record.generation, record.index) == (generation, found.records)
    {
        each(&record.change)?;
        found.records += 1;
        found.end += self::length(record.change.len());
    }
    Ok(found)
}

/// Whether there is a record of that generation anywhere from `at` on that has this number or a later one.
///
/// # Errors
/// Of the disk.
pub(super) fn has_later(
    log: &dyn StorageBackend,
    (generation, index): Place,
    mut at: u64,
) -> io::Result<bool> {
    let length = length_of(log)?;
    while at < length {
        if record_at(log, at, length)?
            .is_some_and(|record| record.generation == generation && record.index >= index)
        {
            return Ok(true);
        }
        at += BLOCK;
    }
    Ok(false)
}

/// Bytes in which there may be records: somebody may have put a file there that has as many as he likes.
fn length_of(log: &dyn StorageBackend) -> io::Result<u64> {
    Ok(log.len()?.min(ROOM))
}

/// The whole record that begins there, if one does.
fn record_at(log: &dyn StorageBackend, at: u64, length: u64) -> io::Result<Option<Record>> {
    let mut fixed = [0; FIXED];
    if at + BLOCK > length {
        return Ok(None);
    }
    log.read(at, &mut fixed)?;
    let Some((generation, checksum, index, size)) = read_fixed(&fixed) else {
        return Ok(None);
    };
    if size > MOST || at + self::length(size) > length {
        return Ok(None);
    }
    let mut bytes = vec![0; FIXED + size];
    log.read(at, &mut bytes)?;
    Ok((self::checksum(&bytes) == checksum).then(|| Record {
        generation,
        index,
        change: bytes.split_off(FIXED),
    }))
}

/// Generation, checksum, number, and bytes of the change.
fn read_fixed(fixed: &[u8; FIXED]) -> Option<(u128, u32, u32, usize)> {
    let rest = fixed.strip_prefix(RECORD)?;
    let (generation, rest) = rest.split_first_chunk()?;
    let (checksum, rest) = rest.split_first_chunk()?;
    let (index, rest) = rest.split_first_chunk()?;
    let size = rest.first_chunk()?;
    Some((
        u128::from_le_bytes(*generation),
        u32::from_le_bytes(*checksum),
        u32::from_le_bytes(*index),
        u32::from_le_bytes(*size) as usize,
    ))
}
