//! Writing a content: pieces are gathered while those before are on their way to the disk and, beside that, into the digest. What of a
//! large one is written is synced while the rest still comes, so that little is left to wait for at the end. A small one is written in
//! one go.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, IoSlice, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use files::CloudPath;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
};

use super::{
    Inner,
    etag::EtagDigest,
    index::{ContentId, Entry, PutOutcome, lock},
    sync_folder,
};
use crate::{
    BESIDE_CONTENT, Blob, BlobError, BoxFuture, MayReplace, NewBlob, Reservation, Result, Writing, now,
};

/// What is gathered before it is written; three times it is what a writer costs.
const PIECE: usize = 256 << 10;

/// What is written before it is synced, unless the end comes first: a file has to be so large that one more trip to the disk is
/// little beside it.
const EARLY: u64 = if cfg!(test) { 1 << 20 } else { 64 << 20 };

pub(super) struct ToDisk {
    inner: Arc<Inner>,
    new: NewBlob,
    state: State,
    gathered: Vec<Bytes>,
    length: usize,
    /// A part of it is being synced. What the disk says of that it says once, so it is heard in any case.
    early: Option<JoinHandle<io::Result<()>>>,
}

enum State {
    /// All that came is still in memory: a small file is written in one go when it is whole.
    Unwritten(Reservation),
    /// What came before is on its way.
    Busy {
        writing: JoinHandle<Result<UnfinishedContent>>,
        /// Beside it, since it takes longer.
        hashing: Hashing,
    },
    /// A write has failed.
    Failed,
}

/// A content on its way.
struct UnfinishedContent {
    id: ContentId,
    file: File,
    size: u64,
    /// Bytes of it that nobody has begun to sync.
    unsynced: u64,
    place: Place,
    reservation: Reservation,
}

/// Where it is on its way; removed with it, unless it has arrived.
pub(super) struct Place(pub(super) PathBuf);

/// A file for a content, which only its owner reads.
pub(super) fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.0);
        }
    }
}

impl Place {
    /// It has arrived, and stays.
    fn arrived(mut self) {
        self.0.clear();
    }
}

impl UnfinishedContent {
    fn begin(reservation: Reservation, inner: &Inner) -> Result<Self> {
        let id = ContentId::new();
        let path = inner.coming(id);
        let file = create(&path).map_err(|error| inner.of_disk(error))?;
        Ok(Self::of(id, file, path, reservation))
    }

    /// Begins where it is to be. That is for one that is written in one go: no entry names it yet, so it may be there before it is whole.
    fn begin_in_place(reservation: Reservation, inner: &Inner) -> Result<Self> {
        let id = ContentId::new();
        let path = inner.content(id);
        let file = inner.in_folder_of(&path, || create(&path));
        let file = file.map_err(|error| inner.of_disk(error))?;
        Ok(Self::of(id, file, path, reservation))
    }

    fn of(id: ContentId, file: File, path: PathBuf, reservation: Reservation) -> Self {
        Self {
            id,
            file,
            size: 0,
            unsynced: 0,
            place: Place(path),
            reservation,
        }
    }

    fn take(mut self, pieces: &[Bytes], inner: &Inner, path: &CloudPath) -> Result<Self> {
        let length: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        inner.reserve(&mut self.reservation, length, path)?;
        write_all(&mut self.file, pieces).map_err(BlobError::of_disk)?;
        self.size += length;
        self.unsynced += length;
        Ok(self)
    }
}

/// Writes pieces by as few calls of the system as it takes.
fn write_all(file: &mut File, pieces: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut left = &mut slices[..];
    // Without those that are empty: nothing written means that nothing more can be.
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match file.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut left, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn hash(mut digest: EtagDigest, pieces: &[Bytes]) -> EtagDigest {
    pieces.iter().for_each(|piece| digest.update(piece));
    digest
}

/// The digest of what comes. One piece waits while the one before is hashed, so that there is always one to go on with; and whoever
/// hashes stops when there is none, since a sender may be slow.
struct Hashing {
    queue: Arc<Mutex<HashQueue>>,
    room: Arc<Semaphore>,
}

#[derive(Default)]
struct HashQueue {
    digest: EtagDigest,
    waiting: VecDeque<(Arc<[Bytes]>, OwnedSemaphorePermit)>,
    is_hashed: bool,
}

/// Pieces that wait or are hashed.
const HASHED_AT_ONCE: u32 = 2;

impl Default for Hashing {
    fn default() -> Self {
        Self {
            queue: Arc::default(),
            room: Arc::new(Semaphore::new(HASHED_AT_ONCE as usize)),
        }
    }
}

impl Hashing {
    /// Takes the next piece, once there is room for it.
    async fn take(&self, pieces: Arc<[Bytes]>) -> Result<()> {
        let room = Arc::clone(&self.room).acquire_owned();
        let room = room.await.map_err(BlobError::failed)?;
        let mut queue = lock(&self.queue);
        queue.waiting.push_back((pieces, room));
        if !std::mem::replace(&mut queue.is_hashed, true) {
            let queue = Arc::clone(&self.queue);
            tokio::task::spawn_blocking(move || hash_all(&queue));
        }
        Ok(())
    }

    /// What came of all of them.
    async fn digest(self) -> Result<EtagDigest> {
        let all = self.room.acquire_many(HASHED_AT_ONCE).await;
        drop(all.map_err(BlobError::failed)?);
        Ok(std::mem::take(&mut lock(&self.queue).digest))
    }
}

fn hash_all(queue: &Mutex<HashQueue>) {
    loop {
        let (digest, (pieces, room)) = {
            let mut queue = lock(queue);
            let Some(next) = queue.waiting.pop_front() else {
                queue.is_hashed = false;
                return;
            };
            (std::mem::take(&mut queue.digest), next)
        };
        let digest = hash(digest, &pieces);
        drop(pieces);
        lock(queue).digest = digest;
        // Whoever waits for this finds the digest.
        drop(room);
    }
}

impl ToDisk {
    /// Looks at the disk only where there is a quota.
    pub(super) fn begin(inner: Arc<Inner>, new: NewBlob) -> Result<Self> {
        let mut reservation = inner.quota.reservation();
        inner.reserve(&mut reservation, BESIDE_CONTENT, &new.path)?;
        Ok(Self {
            inner,
            new,
            state: State::Unwritten(reservation),
            gathered: Vec::new(),
            length: 0,
            early: None,
        })
    }

    /// Gives what was gathered to the disk, once that has what came before.
    async fn give(&mut self) -> Result<()> {
        let pieces: Arc<[Bytes]> = std::mem::take(&mut self.gathered).into();
        self.length = 0;
        let (inner, path) = (Arc::clone(&self.inner), self.new.path.clone());
        let (to_write, to_hash) = (Arc::clone(&pieces), pieces);
        let (writing, hashing) = match std::mem::replace(&mut self.state, State::Failed) {
            State::Unwritten(reservation) => {
                let begin =
                    move || UnfinishedContent::begin(reservation, &inner)?.take(&to_write, &inner, &path);
                (tokio::task::spawn_blocking(begin), Hashing::default())
            }
            State::Busy { writing, hashing } => {
                let mut coming = writing.await.map_err(BlobError::failed)??;
                self.sync_early(&mut coming).await?;
                let go_on = move || coming.take(&to_write, &inner, &path);
                (tokio::task::spawn_blocking(go_on), hashing)
            }
            State::Failed => return Err(written_on()),
        };
        hashing.take(to_hash).await?;
        self.state = State::Busy { writing, hashing };
        Ok(())
    }

    /// Begins to sync what is written, where that is much and nothing is being synced.
    async fn sync_early(&mut self, coming: &mut UnfinishedContent) -> Result<()> {
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
            Some(early) => early
                .await
                .map_err(BlobError::failed)?
                .map_err(BlobError::of_disk),
            None => Ok(()),
        }
    }

    /// Writes what is left, and enters it.
    async fn end(mut self: Box<Self>, may: Option<MayReplace>) -> Result<Option<Blob>> {
        let (begun, digest) = match std::mem::replace(&mut self.state, State::Failed) {
            State::Unwritten(reservation) => (Err(reservation), EtagDigest::default()),
            State::Busy { writing, hashing } => {
                let coming = writing.await.map_err(BlobError::failed)??;
                (Ok(coming), hashing.digest().await?)
            }
            State::Failed => return Err(written_on()),
        };
        self.synced().await?;
        let Self {
            inner, new, gathered, ..
        } = *self;
        let done = tokio::task::spawn_blocking(move || {
            let coming = match begun {
                Ok(coming) => coming,
                Err(reservation) => UnfinishedContent::begin_in_place(reservation, &inner)?,
            };
            let coming = coming.take(&gathered, &inner, &new.path)?;
            let digest = hash(digest, &gathered);
            drop(gathered);
            inner.settle(coming, digest, new, may)
        });
        done.await.map_err(BlobError::failed)?
    }
}

fn written_on() -> BlobError {
    BlobError::failed("a file was written on after an error")
}

impl Writing for ToDisk {
    fn push(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        self.length += bytes.len();
        self.gathered.push(bytes);
        Box::pin(async move {
            match self.length < PIECE {
                true => Ok(()),
                false => self.give().await,
            }
        })
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Blob>> {
        Box::pin(async move {
            let finished = self.end(None).await?;
            // Nobody was asked.
            finished.ok_or_else(|| BlobError::failed("a file was refused its place by nobody"))
        })
    }

    fn finish_if(self: Box<Self>, may: MayReplace) -> BoxFuture<'static, Result<Option<Blob>>> {
        Box::pin(self.end(Some(may)))
    }
}

impl Inner {
    /// Puts a content where it belongs, and enters it if it may be.
    fn settle(
        &self,
        coming: UnfinishedContent,
        digest: EtagDigest,
        new: NewBlob,
        may: Option<MayReplace>,
    ) -> Result<Option<Blob>> {
        let content = self.content(coming.id);
        if let Some(folder) = content.parent() {
            if coming.place.0 != content {
                let moved = self.in_folder_of(&content, || fs::rename(&coming.place.0, &content));
                moved.map_err(BlobError::of_disk)?;
            }
            coming.place.arrived();
            // What writes down the content in a journal writes down the name with it, so that the second one has little left to do.
            coming.file.sync_all().map_err(BlobError::of_disk)?;
            sync_folder(folder).map_err(BlobError::of_disk)?;
        }
        let entry = Entry {
            content: coming.id,
            blob: Blob {
                path: new.path,
                size: coming.size,
                etag: digest.finish(),
                content_type: new.content_type,
                owner: new.owner,
                modified: now(),
            },
        };
        // Where this fails it may have been entered all the same, so the content stays, for the next start to judge.
        let blob = entry.blob.clone();
        let content = entry.content;
        match self.index.put(entry, may)? {
            PutOutcome::Done(before) => {
                before.into_iter().for_each(|content| self.drop_content(content));
                Ok(Some(blob))
            }
            PutOutcome::Refused => {
                self.drop_content(content);
                Ok(None)
            }
        }
    }

    /// What the disk said where a file was made.
    fn of_disk(&self, error: io::Error) -> BlobError {
        match error.kind() {
            io::ErrorKind::NotFound if !self.root.exists() => BlobError::Removed {
                place: self.root.display().to_string(),
            },
            _ => BlobError::of_disk(error),
        }
    }

    /// Puts a content into its folder, which is made where it is the first in it.
    pub(super) fn in_folder_of<T>(&self, content: &Path, put: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match (put(), content.parent()) {
            (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => {
                match fs::create_dir(folder) {
                    Ok(()) => sync_folder(&self.root.join(super::CONTENT))?,
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(error),
                }
                put()
            }
            (put, _) => put,
        }
    }
}
