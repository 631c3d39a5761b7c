//! Reading a content: one piece ahead of whoever wants it, since the disk and the network are then busy at the same time. That takes
//! memory for as long as a reader takes, and anybody may read slowly; so there is room for some such readers, and all others read small
//! pieces, one after the other. What fits into one of those is read as it is opened.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    sync::Arc,
};

use bytes::Bytes;
use files::Part;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
};

use super::at_once;
use crate::{BlobError, BoxFuture, Reading, Result};

/// What is read at a time by those who read ahead, and twice of it is what such a reader costs.
const PIECE: u64 = 256 << 10;
/// How many there are of them.
pub(super) const READERS_AHEAD: usize = 64;
/// What all others read at a time.
const SMALL_PIECE: u64 = 32 << 10;

pub(super) struct FromDisk {
    state: State,
    /// The room of one who reads ahead.
    room: Option<OwnedSemaphorePermit>,
    /// Bytes that are still to be read from the disk.
    left: u64,
}

enum State {
    /// Nothing was asked for yet; with the byte to begin at.
    Closed(File, u64),
    /// All of it is here.
    Read(Bytes),
    /// The next piece is read when it is asked for.
    Idle(File),
    /// A piece is being read.
    Busy(JoinHandle<io::Result<(File, Vec<u8>)>>),
    Ended,
}

impl FromDisk {
    /// Blocks while a small one is read; a larger one takes its room of `ahead`, where there is some.
    pub(super) fn new(file: File, size: u64, ahead: &Arc<Semaphore>) -> io::Result<Self> {
        Ok(match size {
            0..=SMALL_PIECE => Self::of(piece(&file, size)?.into(), size),
            _ => Self::unread(file, size, ahead),
        })
    }

    /// The same without waiting for the disk; `None` where that would have to be waited for.
    pub(super) fn at_once(file: File, size: u64, ahead: &Arc<Semaphore>) -> Option<Self> {
        Some(match size {
            0..=SMALL_PIECE => Self::of(at_once::content(&file, usize::try_from(size).ok()?)?.into(), size),
            _ => Self::unread(file, size, ahead),
        })
    }

    /// One that is in memory already.
    pub(super) fn of(content: Bytes, size: u64) -> Self {
        Self {
            state: State::Read(content),
            room: None,
            left: size,
        }
    }

    /// The whole content, where it was read.
    pub(super) fn whole(&self) -> Option<&Bytes> {
        match &self.state {
            State::Read(content) if content.len() as u64 == self.left => Some(content),
            _ => None,
        }
    }

    fn unread(file: File, size: u64, ahead: &Arc<Semaphore>) -> Self {
        Self {
            state: State::Closed(file, 0),
            room: Arc::clone(ahead).try_acquire_owned().ok(),
            left: size,
        }
    }

    /// The length of the next piece.
    fn piece(&self) -> u64 {
        self.left.min(match self.room {
            Some(_) => PIECE,
            None => SMALL_PIECE,
        })
    }
}

fn piece(file: &File, length: u64) -> io::Result<Vec<u8>> {
    // Not zeroed beforehand, and of this size already: nothing is copied to make room.
    let mut piece = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(length).read_to_end(&mut piece)?;
    Ok(piece)
}

/// Reads the next piece, where waiting for the disk holds nobody up.
fn read(file: File, length: u64) -> JoinHandle<io::Result<(File, Vec<u8>)>> {
    tokio::task::spawn_blocking(move || {
        let piece = piece(&file, length)?;
        Ok((file, piece))
    })
}

impl Reading for FromDisk {
    fn seek(&mut self, part: Part) {
        match &mut self.state {
            State::Closed(_, first) => *first = part.first,
            State::Read(content) => {
                let from = usize::try_from(part.first).unwrap_or(usize::MAX);
                drop(content.split_to(from.min(content.len())));
                content.truncate(usize::try_from(part.length()).unwrap_or(usize::MAX));
            }
            State::Idle(_) | State::Busy(_) | State::Ended => return,
        }
        self.left = part.length();
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>>> {
        Box::pin(async move {
            let busy = match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Ok(None),
                State::Closed(_, _) | State::Read(_) | State::Idle(_) if self.left == 0 => return Ok(None),
                State::Read(content) => {
                    if content.len() as u64 != self.left {
                        return Err(shorter());
                    }
                    return Ok(Some(content));
                }
                State::Closed(mut file, first) => {
                    if first > 0 {
                        file.seek(SeekFrom::Start(first)).map_err(BlobError::of_disk)?;
                    }
                    read(file, self.piece())
                }
                State::Idle(file) => read(file, self.piece()),
                State::Busy(busy) => busy,
            };
            let (file, piece) = busy
                .await
                .map_err(BlobError::failed)?
                .map_err(BlobError::of_disk)?;
            let length = piece.len() as u64;
            if length == 0 {
                return Err(shorter());
            }
            self.left = self.left.saturating_sub(length);
            if self.left > 0 {
                self.state = match self.room {
                    Some(_) => State::Busy(read(file, self.piece())),
                    None => State::Idle(file),
                };
            }
            Ok(Some(piece.into()))
        })
    }
}

fn shorter() -> BlobError {
    BlobError::failed("the content of a file is shorter than it was")
}
