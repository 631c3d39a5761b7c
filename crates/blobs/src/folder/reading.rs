//! Reading a content: one piece ahead of whoever wants it, since the disk and the network are then busy at the same time.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

use bytes::Bytes;
use files::Part;
use tokio::task::JoinHandle;

use crate::{BlobError, BoxFuture, Reading, Result};

/// What is read at a time, and twice of it is what a reader costs.
const PIECE: u64 = 256 << 10;

pub(super) struct FromDisk {
    state: State,
    /// Bytes that are still to be read from the disk.
    left: u64,
}

enum State {
    /// Nothing was asked for yet; with the byte to begin at.
    Closed(File, u64),
    /// A piece is being read.
    Busy(JoinHandle<io::Result<(File, Vec<u8>)>>),
    Ended,
}

impl FromDisk {
    pub(super) fn new(file: File, size: u64) -> Self {
        Self {
            state: State::Closed(file, 0),
            left: size,
        }
    }
}

/// Reads the next piece, where waiting for the disk holds nobody up.
fn read(mut file: File, length: u64) -> JoinHandle<io::Result<(File, Vec<u8>)>> {
    tokio::task::spawn_blocking(move || {
        let mut piece = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        (&mut file).take(length).read_to_end(&mut piece)?;
        Ok((file, piece))
    })
}

impl Reading for FromDisk {
    fn seek(&mut self, part: Part) {
        if let State::Closed(_, first) = &mut self.state {
            *first = part.first;
            self.left = part.length();
        }
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>>> {
        Box::pin(async move {
            let busy = match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Ok(None),
                State::Closed(_, _) if self.left == 0 => return Ok(None),
                State::Closed(mut file, first) => {
                    if first > 0 {
                        file.seek(SeekFrom::Start(first)).map_err(BlobError::of_disk)?;
                    }
                    read(file, self.left.min(PIECE))
                }
                State::Busy(busy) => busy,
            };
            let (file, piece) = busy
                .await
                .map_err(BlobError::ended)?
                .map_err(BlobError::of_disk)?;
            let length = piece.len() as u64;
            if length == 0 {
                return Err(BlobError::ended("the content of a file is shorter than it was"));
            }
            self.left = self.left.saturating_sub(length);
            if self.left > 0 {
                self.state = State::Busy(read(file, self.left.min(PIECE)));
            }
            Ok(Some(piece.into()))
        })
    }
}
