//! What stands in a journal: a head, and records behind it, each of which begins at a multiple of a block, so that writing one
//! never touches the one before.
//!
//! | head, in one sector | |
//! |---|---|
//! | 16 bytes | what it is |
//! | 16 bytes | the generation, drawn by lot: records of another one do not count, and nobody who has documents kept in the file can write what looks like one |
//! | u32, then as many u32 | what the head of the file may be |
//! | u32 | checksum of the above |
//!
//! | record | |
//! |---|---|
//! | 8 bytes | what it is |
//! | 16 bytes | the generation |
//! | u32 | checksum of all but itself |
//! | u32, u64 | its number in the generation, and the length of the file |
//! | u32 | how many blocks; their numbers, each a u64, with zeros up to a block; their content |
//!
//! All numbers are little-endian.

use std::io;

use redb::StorageBackend;

use super::{Block, JournalError};
use crate::blocks::{BLOCK, STEP};

const HEAD: &[u8; 16] = b"yunqiao journal\n";
const RECORD: &[u8; 8] = b"yunqrec\n";
/// Of a head: what a disk writes whole or not at all.
const SECTOR: usize = 512;
/// Heads of the file that fit into the journal's own.
const MOST_HEADS: usize = 100;
/// Bytes of a record before the numbers of its blocks.
const FIXED: usize = 44;
/// Where the checksum is in a record.
const CHECKSUM: std::ops::Range<usize> = 24..28;

/// The head of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    generation: u128,
    /// Checksums of what the file may begin with.
    heads: Vec<u32>,
}

impl Head {
    pub(super) fn new(head: u32) -> Self {
        Self {
            generation: rand::random(),
            heads: vec![head],
        }
    }

    /// With one more that the file may have; the oldest are forgotten.
    pub(super) fn with(&self, head: u32) -> Self {
        let from = (self.heads.len() + 1).saturating_sub(MOST_HEADS);
        let mut heads = self.heads.get(from..).unwrap_or_default().to_vec();
        heads.push(head);
        Self {
            generation: self.generation,
            heads,
        }
    }

    pub(super) fn allows(&self, head: u32) -> bool {
        self.heads.contains(&head)
    }

    pub(super) const fn generation(&self) -> u128 {
        self.generation
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = HEAD.to_vec();
        bytes.extend(self.generation.to_le_bytes());
        bytes.extend((self.heads.len() as u32).to_le_bytes());
        bytes.extend(self.heads.iter().flat_map(|head| head.to_le_bytes()));
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes.resize(SECTOR, 0);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(HEAD)?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (count, rest) = rest.split_first_chunk()?;
        let count = u32::from_le_bytes(*count) as usize;
        let heads = rest.get(..count.checked_mul(4)?)?;
        let checksum = rest.get(heads.len()..)?.first_chunk()?;
        let checked = HEAD.len() + 16 + 4 + heads.len();
        (crc32fast::hash(bytes.get(..checked)?) == u32::from_le_bytes(*checksum)).then(|| Self {
            generation: u128::from_le_bytes(*generation),
            heads: heads
                .as_chunks()
                .0
                .iter()
                .map(|head| u32::from_le_bytes(*head))
                .collect(),
        })
    }
}

/// Of the first sector of a file, in which redb has all that changes there.
pub(super) fn checksum_of_head(block: &[u8]) -> u32 {
    crc32fast::hash(block.get(..SECTOR).unwrap_or(block))
}

/// Bytes of a record of so many blocks.
pub(super) const fn length(blocks: usize) -> u64 {
    (prelude(blocks) + blocks * BLOCK) as u64
}

/// Bytes of it before the content.
const fn prelude(blocks: usize) -> usize {
    (FIXED + blocks * 8).next_multiple_of(BLOCK)
}

/// A record, ready to be appended. It names its generation and its place in that, the length of the file, and its blocks by
/// number.
pub(super) fn write<'a>(
    (generation, index): (u128, u32),
    length: u64,
    blocks: impl Iterator<Item = (u64, &'a [u8])> + Clone,
) -> Vec<u8> {
    let count = blocks.clone().count();
    let mut bytes = Vec::with_capacity(prelude(count) + count * BLOCK);
    bytes.extend(RECORD);
    bytes.extend(generation.to_le_bytes());
    bytes.extend([0; CHECKSUM.end - CHECKSUM.start]);
    bytes.extend(index.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend((count as u32).to_le_bytes());
    bytes.extend(blocks.clone().flat_map(|(number, _)| number.to_le_bytes()));
    bytes.resize(prelude(count), 0);
    blocks.for_each(|(_, block)| bytes.extend_from_slice(block));
    let checksum = checksum(&bytes).to_le_bytes();
    if let Some(place) = bytes.get_mut(CHECKSUM) {
        place.copy_from_slice(&checksum);
    }
    bytes
}

/// Of all of a record but its checksum.
fn checksum(record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(record.get(..CHECKSUM.start).unwrap_or_default());
    hasher.update(record.get(CHECKSUM.end..).unwrap_or_default());
    hasher.finalize()
}

/// A record that was read.
pub(super) struct Record {
    pub(super) length: u64,
    pub(super) blocks: Vec<(u64, Block)>,
    index: u32,
    size: u64,
}

/// What a journal was found to be.
pub(super) struct Found {
    pub(super) head: Option<Head>,
    pub(super) records: u32,
    /// Behind the last of them.
    pub(super) end: u64,
}

/// Reads a journal, and hands on each record that counts, in their order.
///
/// # Errors
/// Of the disk; or it is damaged: its head is, or a record is missing or unreadable, and one behind it is there.
pub(super) fn read(log: &dyn StorageBackend, mut each: impl FnMut(Record)) -> Result<Found, JournalError> {
    let length = log.len()?;
    let mut found = Found {
        head: None,
        records: 0,
        end: STEP,
    };
    if length < STEP {
        return Ok(found);
    }
    let mut head = [0; SECTOR];
    log.read(0, &mut head)?;
    found.head = Head::from_bytes(&head);
    let Some(head) = &found.head else {
        // Nothing is written behind a head that is not on the disk.
        return match length > STEP {
            true => Err(JournalError::Damaged),
            false => Ok(found),
        };
    };
    while let Some(record) = record_at(log, head.generation, found.end, length)? {
        if record.index != found.records {
            break;
        }
        found.records += 1;
        found.end += record.size;
        each(record);
    }
    // The rest is what an earlier generation left, or a record that a crash cut off.
    let mut at = found.end;
    while at < length {
        if record_at(log, head.generation, at, length)?.is_some() {
            return Err(JournalError::Damaged);
        }
        at += STEP;
    }
    Ok(found)
}

/// The whole record of this generation that begins there, if one does.
fn record_at(log: &dyn StorageBackend, wanted: u128, at: u64, length: u64) -> io::Result<Option<Record>> {
    let mut fixed = [0; FIXED];
    if at + STEP > length {
        return Ok(None);
    }
    log.read(at, &mut fixed)?;
    let Some((generation, index, file, count)) = read_fixed(&fixed) else {
        return Ok(None);
    };
    if generation != wanted {
        return Ok(None);
    }
    let size = self::length(count);
    if at + size > length {
        return Ok(None);
    }
    let mut bytes = vec![0; size as usize];
    log.read(at, &mut bytes)?;
    let told = bytes.get(CHECKSUM).and_then(<[u8]>::first_chunk);
    if told.map(|told| u32::from_le_bytes(*told)) != Some(checksum(&bytes)) {
        return Ok(None);
    }
    let (numbers, content) = bytes.split_at(prelude(count));
    let numbers = numbers.get(FIXED..).unwrap_or_default().as_chunks().0;
    let blocks = numbers.iter().zip(content.as_chunks::<BLOCK>().0);
    Ok(Some(Record {
        length: file,
        blocks: blocks
            .map(|(number, block)| (u64::from_le_bytes(*number), Box::new(*block)))
            .collect(),
        index,
        size,
    }))
}

/// Generation, number, length of the file, and how many blocks.
fn read_fixed(fixed: &[u8; FIXED]) -> Option<(u128, u32, u64, usize)> {
    let rest = fixed.strip_prefix(RECORD)?;
    let (generation, rest) = rest.split_first_chunk()?;
    let (_checksum, rest) = rest.split_first_chunk::<4>()?;
    let (index, rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let count = rest.first_chunk()?;
    Some((
        u128::from_le_bytes(*generation),
        u32::from_le_bytes(*index),
        u64::from_le_bytes(*length),
        u32::from_le_bytes(*count) as usize,
    ))
}
