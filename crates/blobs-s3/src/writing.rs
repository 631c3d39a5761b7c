//! Writing an object: a part is gathered while the one before is on its way.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use blobs::{
    BESIDE_CONTENT, Blob, BlobError, BoxFuture, MayReplace, NewBlob, Reservation, Result, Writing, now,
};
use bytes::{Bytes, BytesMut};
use md5::{Digest, Md5};
use object_store::{
    ObjectStore as _, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, UpdateVersion,
    multipart::{MultipartStore as _, PartId},
    path::Path,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
};

use crate::{Inner, attributes, bare, error::S3Error, key};

/// A part, of which all but the last have this size: S3 takes none smaller, and some servers no unequal ones. 10,000 of them are 50 GB.
const PART: usize = 5 << 20;
/// What memory is counted in.
const ROOM_UNIT: usize = 64 << 10;
/// How often a file is judged anew whose place is taken by another meanwhile.
const ATTEMPTS: u32 = 10;
/// How long an upload waits for memory that others have.
const WAITS: Duration = Duration::from_secs(30);

pub(crate) struct ToS3 {
    inner: Arc<Inner>,
    new: NewBlob,
    key: Path,
    gathered: BytesMut,
    /// The memory that `gathered` may take.
    room: PartRoom,
    digest: Md5,
    size: u64,
    parts: Option<Parts>,
    reservation: Reservation,
    /// Bytes of the file that it replaces.
    replaced: Option<u64>,
}

/// What uploads may have in memory together.
///
/// Each takes as much as has come of its part, so that a slow one holds little. But parts of which none is whole must not wait for each
/// other once there is nothing left: then some, in their order, may have a whole one of what is set aside for that. A whole part is
/// sent, and gives back what it had.
pub(crate) struct Memory {
    shared: Arc<Semaphore>,
    aside: Arc<Semaphore>,
}

impl Memory {
    /// So many bytes, which are a part's at least.
    pub(crate) fn of(bytes: usize) -> Self {
        let aside = (bytes / PART / 4).max(1);
        let shared = bytes.saturating_sub(aside * PART) / ROOM_UNIT;
        Self {
            shared: Arc::new(Semaphore::new(shared)),
            aside: Arc::new(Semaphore::new(aside)),
        }
    }
}

/// The memory of one part, until it is dropped.
#[derive(Default)]
struct PartRoom {
    shared: Option<OwnedSemaphorePermit>,
    /// There is room for a whole part.
    whole: Option<OwnedSemaphorePermit>,
}

impl PartRoom {
    /// Has it take so many bytes, which a part has at most.
    async fn grow(&mut self, bytes: usize, memory: &Memory) -> Result<()> {
        let has = self.shared.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let (Ok(wanted @ 1..), None) = (
            u32::try_from(bytes.div_ceil(ROOM_UNIT).saturating_sub(has)),
            &self.whole,
        ) else {
            return Ok(());
        };
        let taken = tokio::time::timeout(WAITS, async {
            // Nobody closes them.
            tokio::select! {
                biased;
                Ok(more) = Arc::clone(&memory.shared).acquire_many_owned(wanted) => match &mut self.shared {
                    Some(had) => had.merge(more),
                    had => *had = Some(more),
                },
                Ok(whole) = Arc::clone(&memory.aside).acquire_owned() => self.whole = Some(whole),
                else => {}
            }
        });
        taken.await.map_err(|_| BlobError::Busy)
    }
}

/// An upload in parts.
struct Parts {
    inner: Arc<Inner>,
    key: Path,
    id: String,
    sent: Vec<PartId>,
    sending: Option<JoinHandle<object_store::Result<PartId>>>,
    ended: bool,
}

impl ToS3 {
    pub(crate) async fn begin(inner: Arc<Inner>, new: NewBlob) -> Result<Self> {
        let key = key(&new.path)?;
        let mut reservation = inner.quota.reservation();
        let mut replaced = None;
        if inner.quota.is_bounded() {
            replaced = inner.look(&new.path).await?.map(|blob| blob.size);
            reservation.grow(BESIDE_CONTENT, inner.usage().await?.of_quota(replaced))?;
        }
        Ok(Self {
            inner,
            new,
            key,
            gathered: BytesMut::new(),
            room: PartRoom::default(),
            digest: Md5::new(),
            size: 0,
            parts: None,
            reservation,
            replaced,
        })
    }

    async fn take(&mut self, mut bytes: Bytes) -> Result<()> {
        if self.inner.quota.is_bounded() {
            let used = self.inner.usage().await?.of_quota(self.replaced);
            self.reservation.grow(bytes.len() as u64, used)?;
        }
        self.size += bytes.len() as u64;
        self.digest.update(&bytes);
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PART - self.gathered.len()));
            let length = self.gathered.len() + piece.len();
            self.room.grow(length, &self.inner.memory).await?;
            self.gathered.extend_from_slice(&piece);
            if self.gathered.len() == PART {
                self.send_part().await?;
            }
        }
        Ok(())
    }

    /// Sends what was gathered, once what was sent before has arrived.
    async fn send_part(&mut self) -> Result<()> {
        let inner = Arc::clone(&self.inner);
        let parts = match &mut self.parts {
            Some(parts) => parts,
            None => {
                let options = PutMultipartOptions {
                    attributes: attributes(&self.new, &self.gathered),
                    ..PutMultipartOptions::default()
                };
                let begun = inner.store.create_multipart_opts(&self.key, options).await;
                self.parts.insert(Parts {
                    id: begun.map_err(|error| inner.error(error))?,
                    inner: Arc::clone(&inner),
                    key: self.key.clone(),
                    sent: Vec::new(),
                    sending: None,
                    ended: false,
                })
            }
        };
        parts.arrived().await?;
        let (content, room) = (self.gathered.split().freeze(), std::mem::take(&mut self.room));
        let (key, id, number) = (parts.key.clone(), parts.id.clone(), parts.sent.len());
        parts.sending = Some(tokio::spawn(async move {
            let sent = inner.store.put_part(&key, &id, number, PutPayload::from(content));
            let sent = sent.await;
            drop(room);
            sent
        }));
        Ok(())
    }

    async fn put(&self, content: PutPayload, mode: PutMode) -> object_store::Result<PutResult> {
        let begins = content.iter().next().map_or(&b""[..], |bytes| bytes);
        let options = PutOptions {
            attributes: attributes(&self.new, begins),
            mode,
            ..PutOptions::default()
        };
        self.inner.store.put_opts(&self.key, content, options).await
    }

    /// Sends all of it at once, if it may take the place of what is there; `None` if not. S3's own condition knows the content alone:
    /// what else was judged is looked at right before.
    async fn put_if(&self, content: PutPayload, may: &MayReplace) -> Result<Option<PutResult>> {
        let mut last = BlobError::Changed;
        for _ in 0..ATTEMPTS {
            let there = self.inner.look(&self.new.path).await?;
            if !may(there.as_ref()) {
                return Ok(None);
            }
            let mode = match there {
                _ if self.inner.lacks_conditions.load(Ordering::Relaxed) => PutMode::Overwrite,
                None => PutMode::Create,
                Some(blob) => PutMode::Update(UpdateVersion {
                    e_tag: Some(format!("\"{}\"", blob.etag)),
                    version: None,
                }),
            };
            let error = match self.put(content.clone(), mode).await {
                Ok(put) => return Ok(Some(put)),
                // Another has come in between.
                Err(
                    object_store::Error::AlreadyExists { .. }
                    | object_store::Error::Precondition { .. }
                    | object_store::Error::NotFound { .. },
                ) => continue,
                Err(error) => S3Error::of(error, &self.inner.place),
            };
            match error {
                // A server without conditions, as Alibaba's OSS is.
                error if error.is_not_implemented() => {
                    self.inner.lacks_conditions.store(true, Ordering::Relaxed);
                }
                // The client of object stores sends what has no condition again by itself; here it is judged anew first.
                error if error.is_of_the_moment() => last = error.into(),
                error => return Err(error.into()),
            }
        }
        Err(last)
    }

    async fn end(mut self, may: Option<MayReplace>) -> Result<Option<Blob>> {
        let etag = match self.parts {
            None => {
                let content = PutPayload::from(self.gathered.split().freeze());
                let put = match &may {
                    None => {
                        let put = self.put(content, PutMode::Overwrite).await;
                        put.map_err(|error| self.inner.error(error))?
                    }
                    Some(may) => match self.put_if(content, may).await? {
                        Some(put) => put,
                        None => return Ok(None),
                    },
                };
                put.e_tag
            }
            Some(_) => {
                if !self.gathered.is_empty() {
                    self.send_part().await?;
                }
                // It is there: a part has been sent.
                let Some(parts) = &mut self.parts else {
                    return Err(BlobError::failed("an upload in parts has no parts"));
                };
                parts.arrived().await?;
                // What ends an upload in parts has no condition everywhere, and takes as long as one request does.
                if let Some(may) = &may
                    && !may(self.inner.look(&self.new.path).await?.as_ref())
                {
                    return Ok(None);
                }
                parts.complete().await?
            }
        };
        let (size, replaced) = (self.size, self.replaced);
        let count = |usage: &mut blobs::Usage| {
            usage.files += u64::from(replaced.is_none());
            usage.bytes = (usage.bytes + size).saturating_sub(replaced.unwrap_or_default());
        };
        self.inner.counts(count).await;
        let md5 = || base16ct::lower::encode_string(&self.digest.clone().finalize());
        Ok(Some(Blob {
            path: self.new.path.clone(),
            size,
            etag: etag.as_deref().map_or_else(md5, bare),
            content_type: self.new.content_type.clone(),
            owner: self.new.owner.clone(),
            modified: now(),
        }))
    }
}

impl Parts {
    /// Waits until what is on its way has arrived.
    async fn arrived(&mut self) -> Result<()> {
        if let Some(sending) = self.sending.take() {
            let sent = sending.await.map_err(BlobError::failed)?;
            self.sent.push(sent.map_err(|error| self.inner.error(error))?);
        }
        Ok(())
    }

    /// Makes a file of them.
    async fn complete(&mut self) -> Result<Option<String>> {
        self.arrived().await?;
        let sent = std::mem::take(&mut self.sent);
        let done = self
            .inner
            .store
            .complete_multipart(&self.key, &self.id, sent)
            .await;
        let done = done.map_err(|error| self.inner.error(error))?;
        self.ended = true;
        Ok(done.e_tag)
    }
}

impl Drop for Parts {
    /// What was never to be a file is removed, as far as the server can be reached; else the sweep removes it.
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let (inner, key, id) = (
            Arc::clone(&self.inner),
            self.key.clone(),
            std::mem::take(&mut self.id),
        );
        let sending = self.sending.take();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Some(sending) = sending {
                    sending.abort();
                    let _ = sending.await;
                }
                if let Err(error) = inner.store.abort_multipart(&key, &id).await {
                    tracing::warn!(%error, "the parts of an upload that was broken off could not be removed");
                }
            });
        }
    }
}

impl Writing for ToS3 {
    fn push(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.take(bytes))
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
