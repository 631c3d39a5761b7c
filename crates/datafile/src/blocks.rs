//! The blocks that files are kept in by those who hold a part of one in memory. No page of redb's is smaller.

use std::{iter, ops::Range};

/// Bytes of a block.
pub(crate) const BLOCK: usize = 4096;
/// The same, as a distance in a file.
pub(crate) const STEP: u64 = BLOCK as u64;

/// The parts of the blocks that `length` bytes at `offset` are in: number, where in it they begin, and which of the bytes they are.
pub(crate) fn parts(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, Range<usize>)> {
    let mut done = 0;
    iter::from_fn(move || {
        if done >= length {
            return None;
        }
        let at = offset + done as u64;
        let within = (at % STEP) as usize;
        let taken = (BLOCK - within).min(length - done);
        done += taken;
        Some((at / STEP, within, done - taken..done))
    })
}
