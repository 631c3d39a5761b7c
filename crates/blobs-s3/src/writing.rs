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
    signer::{SignedUrlOptions, Signer as _},
};
use quick_xml::escape::escape;
use reqwest::{
    Method,
    header::{IF_MATCH, IF_NONE_MATCH},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
};

use crate::{
    Inner, SIGNED, attributes, bare,
    error::{S3Error, element},
    key,
    xml::each_element,
};

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

/// What came, when it is whole.
enum Whole {
    AtOnce(PutPayload),
    InParts(Parts),
}

/// What has to lie at a path so that a file takes its place.
enum Condition {
    /// Nothing.
    Unused,
    /// What has this ETag, with its quotes.
    Still(String),
}

/// What became of a file that was to take a place under a condition.
enum Attempt {
    /// It lies there, and has this ETag.
    Done(String),
    /// Another has come in between, or what was there has gone.
    Beaten,
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

    /// Has what came take its place, whatever is there; answers its ETag.
    async fn place(&self, whole: &mut Whole) -> Result<String, S3Error> {
        let put = match whole {
            Whole::AtOnce(content) => self.put(content.clone(), PutMode::Overwrite).await,
            Whole::InParts(parts) => parts.complete().await,
        };
        let error = match put {
            Ok(put) => return Ok(self.etag(put)),
            Err(error) => S3Error::of(error, &self.inner.place),
        };
        if let Whole::InParts(_) = whole
            && error.may_be_of_a_lost_answer()
            && let Ok(Some(there)) = self.inner.look(&self.new.path).await
            && self.is_done(&there, whole)
        {
            return Ok(there.etag);
        }
        Err(error)
    }

    /// Whether what lies there is what came: then it is done, though the answer was lost, and nothing of it is to be broken off.
    fn is_done(&self, there: &Blob, whole: &mut Whole) -> bool {
        let etag = match whole {
            Whole::AtOnce(_) => Some(base16ct::lower::encode_string(&self.digest.clone().finalize())),
            Whole::InParts(parts) => parts.etag(),
        };
        let is_done =
            there.size == self.size && there.owner == self.new.owner && Some(&there.etag) == etag.as_ref();
        if is_done && let Whole::InParts(parts) = whole {
            parts.ended = true;
        }
        is_done
    }

    /// The ETag of what was put; of what was put at once it is the MD5, where the server does not say.
    fn etag(&self, put: PutResult) -> String {
        let md5 = || base16ct::lower::encode_string(&self.digest.clone().finalize());
        put.e_tag.as_deref().map_or_else(md5, bare)
    }

    /// The same, if what is there is still what was judged.
    async fn place_where(&self, whole: &mut Whole, condition: Condition) -> Result<Attempt, S3Error> {
        let content = match whole {
            Whole::AtOnce(content) => content.clone(),
            Whole::InParts(parts) => return parts.complete_where(&condition).await,
        };
        let mode = match condition {
            Condition::Unused => PutMode::Create,
            Condition::Still(etag) => PutMode::Update(UpdateVersion {
                e_tag: Some(etag),
                version: None,
            }),
        };
        match self.put(content, mode).await {
            Ok(put) => Ok(Attempt::Done(self.etag(put))),
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. }
                | object_store::Error::NotFound { .. },
            ) => Ok(Attempt::Beaten),
            Err(error) => Err(S3Error::of(error, &self.inner.place)),
        }
    }

    /// Has what came take its place if it may take that of what is there; `None` if not. S3's own condition knows the content alone:
    /// what else was judged is looked at right before.
    async fn place_if(&self, whole: &mut Whole, may: &MayReplace) -> Result<Option<String>> {
        let mut last = BlobError::Changed;
        for attempt in 0..ATTEMPTS {
            let there = self.inner.look(&self.new.path).await?;
            if attempt > 0
                && let Some(there) = &there
                && self.is_done(there, whole)
            {
                return Ok(Some(there.etag.clone()));
            }
            if !may(there.as_ref()) {
                return Ok(None);
            }
            let lacks_conditions = match whole {
                Whole::AtOnce(_) => &self.inner.lacks_conditions,
                Whole::InParts(_) => &self.inner.lacks_conditions_of_parts,
            };
            let condition = match there {
                None => Condition::Unused,
                Some(blob) => Condition::Still(format!("\"{}\"", blob.etag)),
            };
            let attempt = match lacks_conditions.load(Ordering::Relaxed) {
                true => self.place(whole).await.map(Attempt::Done),
                false => self.place_where(whole, condition).await,
            };
            match attempt {
                Ok(Attempt::Beaten) => {}
                Ok(Attempt::Done(etag)) => return Ok(Some(etag)),
                // A server without conditions, as Alibaba's OSS is.
                Err(error) if error.is_not_implemented() => lacks_conditions.store(true, Ordering::Relaxed),
                // The client of object stores sends what has no condition again by itself; here it is judged anew first.
                Err(error) if error.may_be_of_a_lost_answer() => last = error.into(),
                Err(error) => return Err(error.into()),
            }
        }
        Err(last)
    }

    async fn end(mut self, may: Option<MayReplace>) -> Result<Option<Blob>> {
        if self.parts.is_some() && !self.gathered.is_empty() {
            self.send_part().await?;
        }
        let mut whole = match self.parts.take() {
            None => Whole::AtOnce(PutPayload::from(self.gathered.split().freeze())),
            Some(mut parts) => {
                parts.arrived().await?;
                Whole::InParts(parts)
            }
        };
        let etag = match &may {
            None => self.place(&mut whole).await?,
            Some(may) => match self.place_if(&mut whole, may).await? {
                Some(etag) => etag,
                None => return Ok(None),
            },
        };
        let (size, replaced) = (self.size, self.replaced);
        let count = |usage: &mut blobs::Usage| {
            usage.files += u64::from(replaced.is_none());
            usage.bytes = (usage.bytes + size).saturating_sub(replaced.unwrap_or_default());
        };
        self.inner.counts(count).await;
        Ok(Some(Blob {
            path: self.new.path.clone(),
            size,
            etag,
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

    /// The ETag of the file that is made of them, where the server makes it as S3 does; `None` where theirs are no MD5.
    fn etag(&self) -> Option<String> {
        let mut digest = Md5::new();
        for part in &self.sent {
            let etag = bare(&part.content_id);
            digest.update(
                base16ct::mixed::decode_vec(etag)
                    .ok()
                    .filter(|md5| md5.len() == 16)?,
            );
        }
        let digest = base16ct::lower::encode_string(&digest.finalize());
        Some(format!("{digest}-{}", self.sent.len()))
    }

    /// Makes a file of them, once all have arrived.
    async fn complete(&mut self) -> object_store::Result<PutResult> {
        let sent = self.sent.clone();
        let done = self
            .inner
            .store
            .complete_multipart(&self.key, &self.id, sent)
            .await?;
        self.ended = true;
        Ok(done)
    }

    /// The same under a condition, which the client of object stores has not.
    async fn complete_where(&mut self, condition: &Condition) -> Result<Attempt, S3Error> {
        let inner = &self.inner;
        let options = SignedUrlOptions::new().with_query([("uploadId", self.id.as_str())]);
        let post = Method::POST;
        let url = inner.store.signed_url_opts(post, &self.key, SIGNED, &options);
        let url = url.await.map_err(|error| S3Error::of(error, &inner.place))?;
        let request = inner.http.post(url).body(named(&self.sent));
        let request = match condition {
            Condition::Unused => request.header(IF_NONE_MATCH, "*"),
            Condition::Still(etag) => request.header(IF_MATCH, etag),
        };
        let failed = |error: reqwest::Error| S3Error::failed(error.without_url(), &inner.place);
        let reply = request.send().await.map_err(failed)?;
        let status = reply.status();
        let text = reply.text().await.map_err(failed)?;
        // S3 may say 200 before it knows whether it succeeds: then its text tells.
        if let Some(etag) = completed(&text).filter(|_| status.is_success()) {
            self.ended = true;
            return Ok(Attempt::Done(bare(&etag)));
        }
        match element(&text, "Code") {
            "PreconditionFailed" | "ConditionalRequestConflict" | "NoSuchKey" => Ok(Attempt::Beaten),
            _ => Err(S3Error::refused(Some(status), &text, &inner.place, None)),
        }
    }
}

/// The parts by number and ETag, as S3 wants to be told them.
fn named(parts: &[PartId]) -> String {
    let parts = parts.iter().zip(1..).map(|(part, number)| {
        let etag = escape(part.content_id.as_str());
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
    });
    let parts: String = parts.collect();
    format!(
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{parts}</CompleteMultipartUpload>"
    )
}

/// The ETag in `CompleteMultipartUploadResult`; `None` where it is something else.
fn completed(text: &str) -> Option<String> {
    let (mut etag, mut is_result) = (None, false);
    each_element(text, |name, content| match name {
        "ETag" => etag = Some(content),
        "CompleteMultipartUploadResult" => is_result = true,
        _ => {}
    })
    .ok()?;
    etag.filter(|_| is_result)
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
