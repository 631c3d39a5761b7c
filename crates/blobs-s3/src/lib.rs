//! Files in a bucket of an object store that speaks S3: Amazon's, Tencent's COS, Alibaba's OSS, MinIO, and others. [`S3`] is a place for
//! files as the folder is one, and held to the same contract.
//!
//! | of a file | where it lies |
//! |---|---|
//! | its path | the object's key, as it is: whoever looks into the bucket finds files by their names |
//! | content, size, time, ETag | the object's own |
//! | type | the object's `Content-Type`; beside it `x-amz-meta-typed-by: name` where nobody said one |
//! | owner | `x-amz-meta-owner`, percent-encoded |
//!
//! So there is no index beside the bucket: several gateways may share it, and what other tools put there are files without an owner. A
//! list knows no owners and types, so each file of it is asked for; how much there is, is counted by listing all of it.
//!
//! A small file is sent by one request once it is whole. A large one goes in parts, which become a file together when the last has
//! arrived; what is left of an upload that died is swept away after a day.

mod error;
mod listing;
mod reading;
mod sweep;
mod writing;
mod xml;

use std::{
    fmt,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant, SystemTime},
};

use blobs::{
    Blob, BlobError, Blobs, BoxFuture, ListBounds, ListEntry, NewBlob, OpenBlob, Quota, Removal, Result,
    Usage, Writing,
};
use files::{CloudPath, Showing, content_type, plain_path, showing};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::{
    Attribute, Attributes, BackoffConfig, ClientOptions, GetOptions, ObjectMeta, ObjectStoreExt as _,
    RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    client::{HttpClient, HttpConnector},
    path::Path,
    signer::{SignedUrlOptions, Signer},
};
use reqwest::{Method, StatusCode, header::IF_MATCH};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;

pub use error::S3Error;
use writing::Memory;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a server may say nothing where nobody says: it takes a part of a large file in that time, over a line that is slow.
pub const SILENCE: Duration = Duration::from_secs(60);
/// A request that failed is sent again so often, as long as the first was not sent longer ago than [`RETRY_WITHIN`].
const RETRIES: usize = 4;
const RETRY_WITHIN: Duration = Duration::from_secs(30);
/// How long it waits before the second time, and twice as long before each that follows.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Requests at once, where one answer takes several.
const AT_ONCE: usize = 32;
/// How long a signed address can be good for: S3 signs none for longer.
const LONGEST_SIGNED: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long a count of what lies in the bucket is good for: other gateways change it too.
const COUNT_LASTS: Duration = Duration::from_secs(60);
/// For how long the address of a request is signed that is made at once.
const SIGNED: Duration = Duration::from_secs(60);
/// Bytes of uploads that are in memory together, where nobody says.
pub const MEMORY: usize = 128 << 20;

/// Where a bucket is, and what opens it.
#[derive(Clone, Debug)]
pub struct S3Settings {
    /// The server, `https://cos.ap-guangzhou.myqcloud.com`; one whose host begins with the bucket's name and a dot is the bucket's own.
    pub endpoint: String,
    /// The bucket, which has to be there.
    pub bucket: String,
    /// The region, which is signed; servers that have none take any.
    pub region: String,
    /// What opens it.
    pub access_key: SecretString,
    /// What proves the first.
    pub secret_key: SecretString,
    /// Bytes of all files together at most.
    pub quota: Option<u64>,
    /// How long the server may say nothing: [`SILENCE`].
    pub silence: Duration,
    /// Bytes that uploads may have in memory together: [`MEMORY`]. Fewer than a part's, 5 MB, count as those.
    pub memory: usize,
}

/// Files in a bucket. Clones share it. It wants a Tokio runtime, and a TLS provider that was installed.
#[derive(Clone)]
pub struct S3(Arc<Inner>);

struct Inner {
    store: AmazonS3,
    place: Place,
    /// What every object's address begins with, without `/` at its end.
    base: String,
    /// For the requests that the client of object stores has not.
    http: reqwest::Client,
    quota: Quota,
    /// How much there is, and when that was counted.
    counted: Mutex<Option<(Instant, Usage)>>,
    memory: Memory,
    /// Whether it was told that there are keys that no file has.
    told_of_other_keys: AtomicBool,
    /// Whether the server has said that it knows no conditions for what is put at once.
    lacks_conditions: AtomicBool,
    /// The same for what came in parts.
    lacks_conditions_of_parts: AtomicBool,
}

/// The bucket, as errors name it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) endpoint: String,
    pub(crate) bucket: String,
    pub(crate) region: String,
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("S3").field(&self.0.place).finish()
    }
}

impl S3 {
    /// Files in this bucket. Nothing is asked of the server yet: [`check`](Blobs::check) asks.
    ///
    /// # Errors
    /// The settings cannot be those of a bucket.
    pub fn new(settings: &S3Settings) -> Result<Self, S3Error> {
        let endpoint = settings.endpoint.trim_end_matches('/').to_owned();
        let place = Place {
            endpoint: endpoint.clone(),
            bucket: settings.bucket.clone(),
            region: settings.region.clone(),
        };
        let host = endpoint.split("://").nth(1).unwrap_or_default();
        let own_host = host
            .strip_prefix(&*settings.bucket)
            .is_some_and(|rest| rest.starts_with('.'));
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(settings.silence)
            .http1_only()
            // A signed request would be shown to whoever is named in it.
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(host) {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| S3Error::failed(error, &place))?;
        let retry = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: FIRST_PAUSE,
                max_backoff: Duration::from_secs(5),
                ..BackoffConfig::default()
            },
            max_retries: RETRIES,
            retry_timeout: RETRY_WITHIN,
        };
        let store = AmazonS3Builder::new()
            .with_endpoint(&endpoint)
            .with_bucket_name(&settings.bucket)
            .with_region(&settings.region)
            .with_virtual_hosted_style_request(own_host)
            .with_access_key_id(settings.access_key.expose_secret())
            .with_secret_access_key(settings.secret_key.expose_secret())
            .with_allow_http(true)
            .with_http_connector(Connector(http.clone()))
            .with_retry(retry)
            // Files are removed one by one anyway, and not every server removes many at once.
            .with_disable_bulk_delete(true)
            .with_disable_tagging(true)
            .build()
            .map_err(|error| S3Error::of(error, &place))?;
        Ok(Self(Arc::new(Inner {
            base: match own_host {
                true => endpoint,
                false => format!("{endpoint}/{}", settings.bucket),
            },
            store,
            place,
            http,
            quota: Quota::new(settings.quota),
            counted: Mutex::new(None),
            told_of_other_keys: AtomicBool::new(false),
            lacks_conditions: AtomicBool::new(false),
            lacks_conditions_of_parts: AtomicBool::new(false),
            memory: Memory::of(settings.memory),
        })))
    }
}

/// Has the client of object stores send by a client that was made here.
#[derive(Debug)]
struct Connector(reqwest::Client);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

/// Whether a server is on this machine.
fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let name = name.trim_matches(['[', ']']);
    name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// The key of a file.
fn key(path: &CloudPath) -> Result<Path> {
    // A cloudPath has nothing in it that a key has not.
    Path::parse(path.as_str()).map_err(BlobError::failed)
}

const OWNER: Attribute = Attribute::Metadata(std::borrow::Cow::Borrowed("owner"));
const TYPED_BY: Attribute = Attribute::Metadata(std::borrow::Cow::Borrowed("typed-by"));

/// What is kept of a file beside its content, which `begins` so.
fn attributes(new: &NewBlob, begins: &[u8]) -> Attributes {
    let mut attributes = Attributes::new();
    let given = new.content_type.as_deref().filter(|given| is_header(given));
    let kind = match given {
        Some(given) => given.to_owned(),
        None => {
            attributes.insert(TYPED_BY, "name".into());
            content_type(new.path.name(), begins)
        }
    };
    // Where the bucket itself is reached by browsers, they run no more of it than of what the gateway gives.
    if showing(&kind) == Showing::Attachment {
        attributes.insert(Attribute::ContentDisposition, "attachment".into());
    }
    attributes.insert(Attribute::ContentType, kind.into());
    if !new.owner.is_empty() {
        attributes.insert(OWNER, encoded(&new.owner).into());
    }
    attributes
}

fn is_header(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Text as a header can carry it, whatever is in it.
fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn decoded(text: &str) -> String {
    let pair = form_urlencoded::parse(text.as_bytes()).next();
    pair.map_or_else(String::new, |(text, _)| text.into_owned())
}

/// What an object says of itself.
fn blob(path: CloudPath, meta: &ObjectMeta, attributes: &Attributes) -> Blob {
    let by_name = attributes.get(&TYPED_BY).is_some();
    let content_type = attributes.get(&Attribute::ContentType).filter(|_| !by_name);
    Blob {
        path,
        size: meta.size,
        etag: meta.e_tag.as_deref().map_or_else(String::new, bare),
        content_type: content_type.map(|kind| kind.to_string()),
        owner: attributes
            .get(&OWNER)
            .map_or_else(String::new, |owner| decoded(owner)),
        modified: SystemTime::from(meta.last_modified),
    }
}

/// An ETag without its quotes.
fn bare(etag: &str) -> String {
    etag.trim_start_matches("W/").trim_matches('"').to_owned()
}

impl Inner {
    fn error(&self, error: object_store::Error) -> BlobError {
        S3Error::of(error, &self.place).into()
    }

    /// Asks the bucket itself something that changes nothing, and again where that may help.
    async fn ask(&self, query: Vec<(&str, &str)>) -> Result<String> {
        let options = SignedUrlOptions::new().with_query(query);
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        for left in (0..=RETRIES).rev() {
            let url = self
                .store
                .signed_url_opts(Method::GET, &Path::ROOT, SIGNED, &options)
                .await
                .map_err(|error| self.error(error))?;
            match self.ask_once(url).await {
                Err(error) if left > 0 && error.is_of_the_moment() && begun.elapsed() < RETRY_WITHIN => {}
                answered => return Ok(answered?),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Err(BlobError::failed("the bucket was asked in vain"))
    }

    async fn ask_once(&self, url: reqwest::Url) -> Result<String, S3Error> {
        let failed = |error: reqwest::Error| S3Error::failed(error.without_url(), &self.place);
        let reply = self.http.get(url).send().await.map_err(failed)?;
        let status = reply.status();
        let text = reply.text().await.map_err(failed)?;
        match status.is_success() {
            true => Ok(text),
            false => Err(S3Error::refused(Some(status), &text, &self.place, None)),
        }
    }

    /// An object's description, without its content; `None` if there is none.
    async fn head(&self, path: &CloudPath) -> Result<Option<(ObjectMeta, Attributes)>> {
        let options = GetOptions {
            head: true,
            ..GetOptions::default()
        };
        match object_store::ObjectStore::get_opts(&self.store, &key(path)?, options).await {
            Ok(found) => Ok(Some((found.meta, found.attributes))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error(error)),
        }
    }

    async fn look(&self, path: &CloudPath) -> Result<Option<Blob>> {
        let found = self.head(path).await?;
        Ok(found.map(|(meta, attributes)| blob(path.clone(), &meta, &attributes)))
    }

    /// How much there is, counted lately.
    async fn usage(&self) -> Result<Usage> {
        let mut counted = self.counted.lock().await;
        if let Some((at, usage)) = *counted
            && at.elapsed() < COUNT_LASTS
        {
            return Ok(usage);
        }
        let usage = self.count().await?;
        *counted = Some((Instant::now(), usage));
        Ok(usage)
    }

    /// Corrects what was counted by what was done here.
    async fn counts(&self, change: impl FnOnce(&mut Usage)) {
        if let Some((_, usage)) = &mut *self.counted.lock().await {
            change(usage);
        }
    }

    async fn remove_one(&self, path: &CloudPath) -> Result<bool> {
        let Some((meta, _)) = self.head(path).await? else {
            return Ok(false);
        };
        match self.store.delete(&key(path)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(self.error(error)),
        }
        self.uncount(&meta).await;
        Ok(true)
    }

    /// S3's own condition knows the content alone: what else was judged is looked at right before.
    async fn remove_this(&self, known: &Blob) -> Result<Removal> {
        let Some((meta, attributes)) = self.head(&known.path).await? else {
            return Ok(Removal::Missing);
        };
        if blob(known.path.clone(), &meta, &attributes) != *known {
            return Ok(Removal::Changed);
        }
        let options = SignedUrlOptions::new();
        let key = key(&known.path)?;
        let url = self.store.signed_url_opts(Method::DELETE, &key, SIGNED, &options);
        let url = url.await.map_err(|error| self.error(error))?;
        let mut request = self.http.delete(url);
        if let Some(etag) = &meta.e_tag {
            request = request.header(IF_MATCH, etag);
        }
        let failed =
            |error: reqwest::Error| BlobError::from(S3Error::failed(error.without_url(), &self.place));
        let reply = request.send().await.map_err(failed)?;
        match reply.status() {
            status if status.is_success() => {}
            StatusCode::NOT_FOUND => return Ok(Removal::Missing),
            StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT => return Ok(Removal::Changed),
            // A server without conditions.
            StatusCode::NOT_IMPLEMENTED => {
                let removed = self.store.delete(&key).await;
                removed.map_err(|error| self.error(error))?;
            }
            status => {
                let text = reply.text().await.map_err(failed)?;
                return Err(S3Error::refused(Some(status), &text, &self.place, None).into());
            }
        }
        self.uncount(&meta).await;
        Ok(Removal::Done)
    }

    /// It is removed, and counts no more.
    async fn uncount(&self, meta: &ObjectMeta) {
        self.counts(|usage| {
            usage.files = usage.files.saturating_sub(1);
            usage.bytes = usage.bytes.saturating_sub(meta.size);
        })
        .await;
    }
}

impl Blobs for S3 {
    fn write(&self, new: NewBlob) -> BoxFuture<'_, Result<Box<dyn Writing>>> {
        Box::pin(async move {
            let writing = writing::ToS3::begin(Arc::clone(&self.0), new).await?;
            Ok(Box::new(writing) as Box<dyn Writing>)
        })
    }

    fn open<'a>(&'a self, path: &'a CloudPath) -> BoxFuture<'a, Result<Option<OpenBlob>>> {
        Box::pin(async move {
            let Some((meta, attributes)) = self.0.head(path).await? else {
                return Ok(None);
            };
            Ok(Some(OpenBlob {
                blob: blob(path.clone(), &meta, &attributes),
                content: Box::new(reading::FromS3::new(Arc::clone(&self.0), meta)),
            }))
        })
    }

    fn look<'a>(&'a self, path: &'a CloudPath) -> BoxFuture<'a, Result<Option<Blob>>> {
        Box::pin(self.0.look(path))
    }

    /// S3 does not say whether there was what it removed, so each is looked for first: of two who remove one file at once, both
    /// may be told that it was they.
    fn remove<'a>(&'a self, paths: &'a [CloudPath]) -> BoxFuture<'a, Result<Vec<bool>>> {
        Box::pin(async move {
            let named = paths.iter().enumerate().map(|(at, path)| {
                let again = paths.iter().take(at).any(|before| before == path);
                (Arc::clone(&self.0), path.clone(), again)
            });
            let named: Vec<_> = named.collect();
            let removals = named.into_iter().map(|(inner, path, again)| async move {
                match again {
                    true => Ok(false),
                    false => inner.remove_one(&path).await,
                }
            });
            stream::iter(removals).buffered(AT_ONCE).try_collect().await
        })
    }

    fn remove_this<'a>(&'a self, blob: &'a Blob) -> BoxFuture<'a, Result<Removal>> {
        Box::pin(self.0.remove_this(blob))
    }

    fn list<'a>(&'a self, bounds: ListBounds<'a>) -> BoxFuture<'a, Result<Vec<ListEntry>>> {
        Box::pin(Arc::clone(&self.0).list(bounds))
    }

    fn usage(&self) -> BoxFuture<'_, Result<Usage>> {
        Box::pin(async {
            let usage = self.0.count().await?;
            *self.0.counted.lock().await = Some((Instant::now(), usage));
            Ok(usage)
        })
    }

    fn check(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { self.0.page(&[("max-keys", "1")]).await.map(drop) })
    }

    fn sweep(&self, older_than: Duration) -> BoxFuture<'_, Result<u64>> {
        Box::pin(self.0.sweep(older_than))
    }

    fn address<'a>(&'a self, path: &'a CloudPath, life: Duration) -> BoxFuture<'a, Result<Option<String>>> {
        Box::pin(async move {
            let Some(plain) = plain_path(path) else {
                return Ok(None);
            };
            let mut options = SignedUrlOptions::new();
            if showing(&content_type(path.name(), b"")) == Showing::Attachment {
                options = options.with_query([("response-content-disposition", "attachment")]);
            }
            let life = life.clamp(Duration::from_secs(1), LONGEST_SIGNED);
            let signed = self
                .0
                .store
                .signed_url_opts(Method::GET, &key(path)?, life, &options)
                .await
                .map_err(|error| self.0.error(error))?;
            let mut address = format!("{}/{plain}", self.0.base);
            for (at, (name, value)) in signed.query_pairs().enumerate() {
                // What would mean something else without its encoding cannot stand there.
                if value.contains(['%', '#', '&', '+', ' ']) {
                    return Ok(None);
                }
                address.push(if at == 0 { '?' } else { '&' });
                address.push_str(&name);
                address.push('=');
                address.push_str(&value);
            }
            Ok(Some(address))
        })
    }
}
