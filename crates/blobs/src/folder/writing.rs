//! Writing a content: pieces are gathered while the one before is on its way to the disk. What of a large one is written is synced
//! while the rest still comes, so that little is left to wait for at the end.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use files::CloudPath;
use md5::{Digest, Md5};
use tokio::task::JoinHandle;

use super::{
    Inner,
    index::{ContentId, Entry},
    sync_folder,
};
use crate::{Blob, BlobError, BoxFuture, NewBlob, Reservation, Result, Writing, now};

/// What is gathered before it is written; twice of it is what a writer costs.
const PIECE: usize = 256 << 10;

/// What is written before it is synced, unless the end comes first: a file has to be so large that one more trip to the disk is
/// little beside it.
const EARLY: u64 = if cfg!(test) { 1 << 20 } else { 64 << 20 };

pub(super) struct ToDisk {
    inner: Arc<Inner>,
    new: NewBlob,
    /// `None` when a write has failed.
    state: Option<State>,
    gathered: Vec<Bytes>,
    length: usize,
    /// A part of it is being synced. What the disk says of that it says once, so it is heard in any case.
    early: Option<JoinHandle<io::Result<()>>>,
}

enum State {
    Idle(Coming),
    Busy(JoinHandle<Result<Coming>>),
}

/// A content on its way.
struct Coming {
    id: ContentId,
    file: File,
    digest: Md5,
    size: u64,
    /// Bytes of it that nobody has begun to sync.
    unsynced: u64,
    place: Place,
    reservation: Reservation,
}

/// Where it is on its way; removed with it, unless it has arrived.
pub(super) struct Place(pub(super) PathBuf);

/// A file for a content, which only its owner reads.
pub(super) fn create(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true).mode(0o600);
    options.open(path).map_err(BlobError::of_disk)
}

impl Drop for Place {
    fn drop(&mut self) {
        // Gone already, where it has arrived.
        let _ = fs::remove_file(&self.0);
    }
}

impl Coming {
    fn take(mut self, pieces: &[Bytes], inner: &Inner, path: &CloudPath) -> Result<Self> {
        let length: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        inner.reserve(&mut self.reservation, length, path)?;
        for piece in pieces {
            self.file.write_all(piece).map_err(BlobError::of_disk)?;
            self.digest.update(piece);
        }
        self.size += length;
        self.unsynced += length;
        Ok(self)
    }
}

impl ToDisk {
    pub(super) fn begin(inner: Arc<Inner>, new: NewBlob) -> Result<Self> {
        let mut reservation = inner.quota.reservation();
        inner.reserve(&mut reservation, 0, &new.path)?;
        let id = ContentId::new();
        let place = Place(inner.coming(id));
        let file = create(&place.0)?;
        let coming = Coming {
            id,
            file,
            digest: Md5::new(),
            size: 0,
            unsynced: 0,
            place,
            reservation,
        };
        Ok(Self {
            inner,
            new,
            state: Some(State::Idle(coming)),
            gathered: Vec::new(),
            length: 0,
            early: None,
        })
    }

    /// Begins to sync what is written, where that is much and nothing is being synced.
    async fn sync_early(&mut self, coming: &mut Coming) -> Result<()> {
        let is_syncing = self.early.as_ref().is_some_and(|early| !early.is_finished());
        if coming.unsynced < EARLY || is_syncing {
            return Ok(());
        }
        self.synced().await?;
        coming.unsynced = 0;
        let file = coming.file.try_clone().map_err(BlobError::of_disk)?;
        self.early = Some(tokio::task::spawn_blocking(move || file.sync_data()));
        Ok(())
    }

    /// Waits for what is being synced.
    async fn synced(&mut self) -> Result<()> {
        match self.early.take() {
            Some(early) => early.await.map_err(BlobError::ended)?.map_err(BlobError::of_disk),
            None => Ok(()),
        }
    }

    /// The content, when all that was given to the disk is there.
    async fn settled(&mut self) -> Result<Coming> {
        match self.state.take() {
            Some(State::Idle(coming)) => Ok(coming),
            Some(State::Busy(busy)) => busy.await.map_err(BlobError::ended)?,
            None => Err(BlobError::ended("a file was written on after an error")),
        }
    }
}

impl Writing for ToDisk {
    fn push(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        self.length += bytes.len();
        self.gathered.push(bytes);
        Box::pin(async move {
            if self.length < PIECE {
                return Ok(());
            }
            let mut coming = self.settled().await?;
            self.sync_early(&mut coming).await?;
            let pieces = std::mem::take(&mut self.gathered);
            self.length = 0;
            let (inner, path) = (Arc::clone(&self.inner), self.new.path.clone());
            self.state = Some(State::Busy(tokio::task::spawn_blocking(move || {
                coming.take(&pieces, &inner, &path)
            })));
            Ok(())
        })
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, Result<Blob>> {
        Box::pin(async move {
            let coming = self.settled().await?;
            self.synced().await?;
            let Self {
                inner, new, gathered, ..
            } = *self;
            let done = tokio::task::spawn_blocking(move || {
                let coming = coming.take(&gathered, &inner, &new.path)?;
                inner.settle(coming, new)
            });
            done.await.map_err(BlobError::ended)?
        })
    }
}

impl Inner {
    /// Puts a content where it belongs, and enters it.
    fn settle(&self, coming: Coming, new: NewBlob) -> Result<Blob> {
        let content = self.content(coming.id);
        if let Some(folder) = content.parent() {
            match fs::create_dir(folder) {
                Ok(()) => sync_folder(&self.root.join(super::CONTENT)).map_err(BlobError::of_disk)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(BlobError::of_disk(error)),
            }
            fs::rename(&coming.place.0, &content).map_err(BlobError::of_disk)?;
            // No entry names it yet, so it may be there before it is whole; and what writes down the content in a journal writes
            // down the name with it, so that the second one has little left to do.
            coming.file.sync_all().map_err(BlobError::of_disk)?;
            sync_folder(folder).map_err(BlobError::of_disk)?;
        }
        let entry = Entry {
            content: coming.id,
            blob: Blob {
                path: new.path,
                size: coming.size,
                etag: base16ct::lower::encode_string(&coming.digest.finalize()),
                content_type: new.content_type,
                owner: new.owner,
                modified: now(),
            },
        };
        // Where this fails it may have been entered all the same, so the content stays, for the next start to judge.
        let blob = entry.blob.clone();
        let before = self.index.put(entry)?;
        before.into_iter().for_each(|content| self.drop_content(content));
        Ok(blob)
    }
}
