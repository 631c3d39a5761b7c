//! The door of files: where they are sent and fetched by plain HTTP. A worker reaches it by its own socket, and everybody else by
//! the gateway's listener; it is the same for both.
//!
//! | address | what it allows |
//! |---|---|
//! | `/v1/files/<sealed>` | `PUT` or `POST` one file, until a moment: the path, the writer and the bound stand in the seal |
//! | `/v1/files/<sealed>/<name>` | `GET` or `HEAD` one file, until a moment: the path and the client that asked for it stand in the seal; the name is for people |
//! | `/v1/files/refused/<path>` | nothing: it says why to an SDK that looks at no refusal before |
//! | `/v1/files/public/<path>` | `GET` or `HEAD` any file, where everybody may read all of them |
//!
//! A path is not a file: whoever was allowed a path may find another's file there later. So an address that a client asked for is judged
//! again by what lies there when it is used; one that a function gave out is good for whoever has it.
//!
//! What a user uploaded may be anything. So nothing that a browser would run is shown as what it is, and no script of it ever
//! has an origin of its own to speak from.

use std::{
    error::Error,
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use blobs::{Blob, BlobError, Blobs, MayReplace, NewBlob, Opened, Reading, Writing};
use bytes::Bytes;
use clock::Clock;
use files::{
    Client, CloudPath, Download, Entity, FileHead, Part, Rights, Showing, Storage, StorageRefusal, TELLING,
    Upload, is_text, name_in_address, path_of_address, plain_path, showing, shown_type,
};
use futures_util::{Stream, stream};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{
        ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
        X_CONTENT_TYPE_OPTIONS,
    },
    request::Parts,
};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Frame};
use multer::Multipart;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rules::{Caller, Denial, Operation, StoragePermission};
use tokio::time::Instant;

use crate::{CloudAnswerBody, cdn};

/// What every address of a file begins with.
pub const FILES: &str = "/v1/files/";
/// Behind it, where no right is needed.
const PUBLIC: &str = "public/";
/// Behind it, where an upload is only told why it cannot be.
const REFUSED: &str = "refused/";

/// How long an address to upload to is good for.
const UPLOAD_LIFE: Duration = Duration::from_secs(60 * 60);
/// How long an address is good for at most that a client asks for.
const CLIENTS_LONGEST: u64 = 7 * 24 * 3600;
/// The same where the place itself is asked, and not everybody may read all that lies there: as long as the platform's own addresses of
/// private files.
const CLIENTS_AT_THE_PLACE: u64 = 10 * 60;
/// How long a file may take to come, whatever its size...
const UPLOAD_BASE: Duration = Duration::from_secs(60);
/// ...and so many bytes of it more in each second beyond that.
const UPLOAD_LEAST: u64 = 16 << 10;
/// A body that is not wanted is read and dropped up to here, so that whoever sends it sees the answer.
const DRAIN_LIMIT: usize = 32 << 20;
/// Nor is it read for longer than this.
const DRAIN_WITHIN: Duration = Duration::from_secs(30);
/// A field of a form that is no file is at most so many bytes.
const LONGEST_FIELD: usize = 8 << 10;

/// What the cloud's storage is made of.
#[derive(Clone)]
pub struct StorageAccess {
    /// Where files are kept.
    pub blobs: Arc<dyn Blobs>,
    /// Which environment's they are.
    pub storage: Storage,
    /// Seals and opens addresses.
    pub rights: Rights,
    /// Decides when an address expires.
    pub clock: Clock,
    /// How clients reach the gateway: `http://127.0.0.1:8787`.
    pub public_url: String,
    /// Whether files are read at the place itself, by the addresses that it signs; the gateway's door has them all the same.
    pub at_the_place: bool,
    /// What clients may do. Where everybody may read all files, an address needs no seal, and does not expire.
    pub permission: Arc<ArcSwap<StoragePermission>>,
    /// How long an address is good for where nobody says.
    pub url_life: Duration,
    /// The largest file, in bytes.
    pub most: u64,
}

impl StorageAccess {
    /// An address to read a file by; with the seconds for which it is good. One for `client` is of a file that it may read now.
    ///
    /// # Errors
    /// The place cannot sign one.
    pub async fn address(
        &self,
        path: &CloudPath,
        max_age: Option<u64>,
        client: Option<&Caller>,
    ) -> Result<(String, u64), BlobError> {
        if self.at_the_place {
            let age = self.age_at_the_place(max_age, client);
            if let Some(address) = self.blobs.address(path, Duration::from_secs(age)).await? {
                return Ok((address, age));
            }
        }
        Ok(self.download_url(path, max_age, client))
    }

    /// For how many seconds an address of the place itself is good. The place judges nothing when it is used; where not everybody may read,
    /// another's file may lie there by then.
    fn age_at_the_place(&self, max_age: Option<u64>, client: Option<&Caller>) -> u64 {
        let url_life = self.url_life.as_secs();
        let age = max_age.unwrap_or(url_life);
        match client {
            None => age,
            Some(_) if self.permission.load().lets_all_read() => age.min(url_life),
            Some(_) => age.min(url_life).min(CLIENTS_AT_THE_PLACE),
        }
    }

    /// An address at the gateway.
    pub(crate) fn download_url(
        &self,
        path: &CloudPath,
        max_age: Option<u64>,
        client: Option<&Caller>,
    ) -> (String, u64) {
        let mut age = max_age.unwrap_or(self.url_life.as_secs());
        if client.is_some() {
            age = age.min(CLIENTS_LONGEST.max(self.url_life.as_secs()));
        }
        let base = self.public_url.trim_end_matches('/');
        let until = match self.permission.load().lets_all_read() {
            true => {
                if let Some(path) = plain_path(path) {
                    return (format!("{base}{FILES}{PUBLIC}{path}"), age);
                }
                None
            }
            false => Some(self.clock.now() + Duration::from_secs(age)),
        };
        let sealed = self.rights.seal_download(&Download {
            path: path.clone(),
            reader: client.map(client_of),
            until,
        });
        (format!("{base}{FILES}{sealed}/{}", name_in_address(path)), age)
    }

    /// An address for a function to send a file to, or for whomever it hands it on to.
    pub(crate) fn upload_url(&self, path: CloudPath) -> String {
        self.sealed_upload(path, None, self.most)
    }

    /// An address for a client to send a file to, which will be the client's.
    pub(crate) fn client_upload_url(&self, path: CloudPath, caller: &Caller) -> String {
        self.sealed_upload(path, Some(client_of(caller)), self.most)
    }

    /// An address to send what a `CDN` holds to, which will be nobody's.
    pub(crate) fn cdn_upload_url(&self, path: CloudPath) -> String {
        self.sealed_upload(path, None, self.most.min(cdn::LARGEST))
    }

    fn sealed_upload(&self, path: CloudPath, writer: Option<Client>, most: u64) -> String {
        let sealed = self.rights.seal_upload(&Upload {
            path,
            writer,
            until: self.clock.now() + UPLOAD_LIFE,
            most,
        });
        let base = self.public_url.trim_end_matches('/');
        format!("{base}{FILES}{sealed}")
    }

    /// Whether a client may write the file, as it lies there now. What a function uploads belongs to nobody.
    pub(crate) async fn may_write(
        &self,
        path: &CloudPath,
        caller: &Caller,
    ) -> Result<Result<(), Box<Denial>>, BlobError> {
        let there = self.blobs.look(path).await?;
        Ok(judge_write(&self.permission.load(), path, caller, there.as_ref()))
    }

    /// The same, for the moment in which the file takes its place.
    pub(crate) fn may_replace(&self, path: &CloudPath, caller: &Caller) -> MayReplace {
        let (permission, path, caller) = (Arc::clone(&self.permission), path.clone(), caller.clone());
        Box::new(move |there| judge_write(&permission.load(), &path, &caller, there).is_ok())
    }

    /// An address at which the sender of a file is told that `path` is not legal, or not for them.
    pub(crate) fn refused_url(&self, path: &str) -> String {
        let base = self.public_url.trim_end_matches('/');
        format!("{base}{FILES}{REFUSED}{}", URL_SAFE_NO_PAD.encode(path))
    }
}

/// The door. Clones share everything.
#[derive(Clone)]
pub struct FileDoor(Arc<StorageAccess>);

/// Why a request at the door came to nothing: what the client is told, and what the log is.
struct Refused {
    refusal: StorageRefusal,
    /// For the client, where that is more than every refusal of the kind says.
    told: Option<String>,
    why: String,
}

impl Refused {
    fn new(refusal: StorageRefusal, why: impl Display) -> Self {
        Self {
            refusal,
            told: None,
            why: why.to_string(),
        }
    }

    /// The client and the log are told the same.
    fn openly(refusal: StorageRefusal, why: impl Display) -> Self {
        let why = why.to_string();
        Self {
            refusal,
            told: Some(why.clone()),
            why,
        }
    }
}

impl From<BlobError> for Refused {
    fn from(error: BlobError) -> Self {
        Self::new(error.refusal(), with_causes(&error))
    }
}

/// What went wrong, with all causes, for the log.
pub(crate) fn with_causes(error: &BlobError) -> String {
    let mut why = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        why = format!("{why}: {next}");
        cause = next.source();
    }
    why
}

/// What came of a request at the door.
#[derive(Debug)]
pub struct FileReply {
    /// What is answered.
    pub response: Response<CloudAnswerBody>,
    /// For the log: what the client is not told of a failure.
    pub why: Option<String>,
}

impl FileDoor {
    /// The door of this storage.
    #[must_use]
    pub fn new(access: Arc<StorageAccess>) -> Self {
        Self(access)
    }

    /// What is behind it.
    #[must_use]
    pub fn access(&self) -> &StorageAccess {
        &self.0
    }

    /// Whether a path leads here.
    #[must_use]
    pub fn takes(path: &str) -> bool {
        path.starts_with(FILES)
    }

    /// Whether files can be kept and read; if not, why, for the log.
    ///
    /// # Errors
    /// They cannot.
    pub async fn check(&self) -> Result<(), String> {
        let checked = self.0.blobs.check().await;
        checked.map_err(|error| with_causes(&error))
    }

    /// Where files are kept, for whoever may do everything with them.
    #[must_use]
    pub fn blobs(&self) -> &dyn Blobs {
        &*self.0.blobs
    }

    /// Which environment's files they are.
    #[must_use]
    pub fn storage(&self) -> &Storage {
        &self.0.storage
    }

    /// Answers the operator, who needs no right: `GET` or `HEAD` gives the file at this path, and `PUT` writes one that is `owner`'s,
    /// of any size.
    pub async fn answer_operator<B>(
        &self,
        path: CloudPath,
        owner: &str,
        head: &Parts,
        body: B,
        request_id: &str,
    ) -> FileReply
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: Error + Send + Sync,
    {
        let answered = match head.method {
            Method::PUT => {
                let right = Upload {
                    path,
                    writer: None,
                    until: self.0.clock.now(),
                    most: u64::MAX,
                };
                let mut coming = Coming::new(body);
                let new = new_blob(&right, owner, given_type(head));
                let done = self.take_bare(&right, new, &mut coming).await;
                if done.is_err() {
                    drain(&mut coming.body).await;
                }
                done.map(answered)
            }
            _ => self.give(&path, None, head).await,
        };
        settled(answered, request_id)
    }

    /// Answers a request. What is left of the body where `why` says that it was refused is the caller's to read or to leave: how long
    /// a sender is waited for who has shown nothing is the listener's to say.
    pub async fn answer<B>(&self, head: &Parts, body: B, request_id: &str) -> FileReply
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: Error + Send + Sync,
    {
        let place = head.uri.path().strip_prefix(FILES).unwrap_or_default();
        let answered = match head.method {
            Method::GET | Method::HEAD => self.download(place, head).await,
            Method::PUT | Method::POST => self.upload(place, head, body).await,
            _ => {
                let mut response = answered(StatusCode::METHOD_NOT_ALLOWED);
                let allowed = HeaderValue::from_static("GET, HEAD, PUT, POST");
                response.headers_mut().insert(ALLOW, allowed);
                Ok(response)
            }
        };
        settled(answered, request_id)
    }

    async fn download(&self, place: &str, head: &Parts) -> Result<Response<CloudAnswerBody>, Refused> {
        let (path, reader) = match place.strip_prefix(PUBLIC) {
            Some(path) => {
                if !self.0.permission.load().lets_all_read() {
                    return Err(Refused::new(
                        StorageRefusal::NoRight,
                        "[storage] permission lets nobody read files without an address that was made for them",
                    ));
                }
                let path = path_of_address(path)
                    .ok_or_else(|| Refused::new(StorageRefusal::NoFile, "the address names no path"))?;
                (path, None)
            }
            None => {
                let sealed = place.split('/').next().unwrap_or_default();
                let now = self.0.clock.now();
                let right = self.0.rights.open_download(sealed, now);
                let right = right.map_err(|error| Refused::new(StorageRefusal::NoRight, error))?;
                (right.path, right.reader)
            }
        };
        self.give(&path, reader.as_ref().map(caller_of), head).await
    }

    /// Gives a file, to this client if it may read what lies there.
    async fn give(
        &self,
        path: &CloudPath,
        reader: Option<Caller>,
        head: &Parts,
    ) -> Result<Response<CloudAnswerBody>, Refused> {
        let mut attempts = ATTEMPTS;
        loop {
            let Opened { blob, content } = self.0.blobs.open(path).await?.ok_or_else(|| {
                Refused::new(StorageRefusal::NoFile, format_args!("there is no file {path}"))
            })?;
            if let Some(reader) = &reader {
                let owner = Some(blob.owner.as_str());
                self.0
                    .permission
                    .load()
                    .judge(Operation::Read, reader, path.as_str(), owner)
                    .map_err(|denial| {
                        // Whoever anybody may be is not to learn that there is a file.
                        let refusal = match reader.is_anybody() {
                            true => StorageRefusal::NoFile,
                            false => StorageRefusal::NoRight,
                        };
                        Refused::new(refusal, denial)
                    })?;
            }
            attempts -= 1;
            match shown(&*self.0.blobs, head, &blob, content).await {
                Err(BlobError::Changed) if attempts > 0 => {}
                shown => return Ok(shown?),
            }
        }
    }

    async fn upload<B>(
        &self,
        place: &str,
        head: &Parts,
        body: B,
    ) -> Result<Response<CloudAnswerBody>, Refused>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: Error + Send + Sync,
    {
        let done = self.take(place, head, &mut Coming::new(body)).await;
        done.map(answered)
    }

    /// Takes a file in.
    async fn take<B>(&self, place: &str, head: &Parts, coming: &mut Coming<B>) -> Result<StatusCode, Refused>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: Error + Send + Sync,
    {
        if let Some(path) = place.strip_prefix(REFUSED) {
            let path = path_of_refused(path)
                .ok_or_else(|| Refused::openly(StorageRefusal::Malformed, "there is no such path"))?;
            return Err(match path.parse::<CloudPath>() {
                Ok(_) => Refused::new(
                    StorageRefusal::NoRight,
                    format_args!("its sender may not write {path}, and was told so before"),
                ),
                Err(error) => Refused::openly(StorageRefusal::Malformed, error),
            });
        }
        let sealed = place.split('/').next().unwrap_or_default();
        let now = self.0.clock.now();
        let right = self
            .0
            .rights
            .open_upload(sealed, now)
            .map_err(|error| Refused::new(StorageRefusal::NoRight, error))?;
        self.still_allowed(&right).await?;
        let announced = length(&head.headers);
        if announced.is_some_and(|length| length > right.most.saturating_add(FORM)) {
            return Err(too_large(&right));
        }
        let given = given_type(head);
        let form = given.filter(|given| head.method == Method::POST && is_form(given));
        match form.map(multer::parse_boundary) {
            Some(Ok(boundary)) => self.take_form(&right, boundary, coming).await,
            // Its text is no file.
            Some(Err(_)) => Err(Refused::openly(
                StorageRefusal::Malformed,
                "the form's Content-Type has no boundary: leave that header to what makes the form",
            )),
            None => {
                let new = new_blob(&right, right.owner(), given);
                self.take_bare(&right, new, coming).await
            }
        }
    }

    /// Takes a file that comes by itself.
    async fn take_bare<B>(
        &self,
        right: &Upload,
        new: NewBlob,
        coming: &mut Coming<B>,
    ) -> Result<StatusCode, Refused>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: Error + Send + Sync,
    {
        let mut writing = self.0.blobs.write(new).await?;
        let mut size = 0;
        while let Some(bytes) = coming.next().await? {
            size += bytes.len() as u64;
            if size > right.most {
                return Err(too_large(right));
            }
            writing.push(bytes).await?;
        }
        self.put(right, writing).await?;
        Ok(StatusCode::OK)
    }

    /// Has a file take its place, if its writer may still write there: another may have put a file of theirs there meanwhile.
    async fn put(&self, right: &Upload, writing: Box<dyn Writing>) -> Result<(), Refused> {
        let Some(writer) = &right.writer else {
            return Ok(writing.finish().await.map(drop)?);
        };
        let may = self.0.may_replace(&right.path, &caller_of(writer));
        match writing.finish_if(may).await? {
            Some(_) => Ok(()),
            None => Err(Refused::new(
                StorageRefusal::NoRight,
                "what lies there now may not be replaced by its sender",
            )),
        }
    }

    /// A client's address is good for an hour, in which another may have put a file of theirs there.
    async fn still_allowed(&self, right: &Upload) -> Result<(), Refused> {
        let Some(writer) = &right.writer else {
            return Ok(());
        };
        let judged = self.0.may_write(&right.path, &caller_of(writer)).await?;
        judged.map_err(|denial| Refused::new(StorageRefusal::NoRight, denial))
    }

    /// Takes the file of a form. The fields before it are the SDK's, and of them only that counts by which a page says
    /// what status it wants to see.
    async fn take_form<B>(
        &self,
        right: &Upload,
        boundary: String,
        coming: &mut Coming<B>,
    ) -> Result<StatusCode, Refused>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: Error + Send + Sync,
    {
        let malformed = |error: multer::Error| match error {
            multer::Error::StreamReadFailed(error) => Refused::new(StorageRefusal::Incomplete, error),
            error => Refused::openly(
                StorageRefusal::Malformed,
                format_args!("the form is not whole, or not as RFC 7578 has it: {error}"),
            ),
        };
        // What has come since the form gave something: the reader of forms keeps a part's head whole, however long it is.
        let unread = Arc::new(AtomicUsize::new(0));
        let mut form = Multipart::new(coming.stream(Arc::clone(&unread)), boundary);
        let mut status = StatusCode::NO_CONTENT;
        while let Some(mut field) = form.next_field().await.map_err(malformed)? {
            unread.store(0, Ordering::Relaxed);
            let name = field.name().unwrap_or_default().to_ascii_lowercase();
            if name != "file" {
                let mut text = Vec::new();
                while let Some(bytes) = field.chunk().await.map_err(malformed)? {
                    unread.store(0, Ordering::Relaxed);
                    if text.len() + bytes.len() > LONGEST_FIELD {
                        return Err(Refused::openly(
                            StorageRefusal::Malformed,
                            format_args!("the field {name:?} of the form is over {LONGEST_FIELD} bytes"),
                        ));
                    }
                    text.extend_from_slice(&bytes);
                }
                if name == "success_action_status" {
                    status = match &*text {
                        b"200" => StatusCode::OK,
                        b"201" => StatusCode::CREATED,
                        _ => StatusCode::NO_CONTENT,
                    };
                }
                continue;
            }
            let given = field.content_type().map(ToString::to_string);
            let mut writing = self
                .0
                .blobs
                .write(new_blob(right, right.owner(), given.as_deref()))
                .await?;
            let mut size = 0;
            while let Some(bytes) = field.chunk().await.map_err(malformed)? {
                unread.store(0, Ordering::Relaxed);
                size += bytes.len() as u64;
                if size > right.most {
                    return Err(too_large(right));
                }
                writing.push(bytes).await?;
            }
            // The form has to be whole, or the file may not be.
            drop(field);
            while form.next_field().await.map_err(malformed)?.is_some() {}
            self.put(right, writing).await?;
            return Ok(status);
        }
        Err(Refused::openly(
            StorageRefusal::Malformed,
            "the form has no field \"file\": in wx.uploadFile it is `name`",
        ))
    }
}

/// How often a file is opened that is written anew each time before it is read.
const ATTEMPTS: u32 = 10;
/// What a form may be larger than the file in it.
const FORM: u64 = 64 << 10;
/// Bytes of a form that are read at a time, at least.
const FORM_PIECE: usize = 64 << 10;
/// Bytes of a form that may go by before a part of it begins.
const FORM_HEAD: usize = 1 << 20;

/// Whether a client may write a file to where this lies, or nothing.
fn judge_write(
    permission: &StoragePermission,
    path: &CloudPath,
    caller: &Caller,
    there: Option<&Blob>,
) -> Result<(), Box<Denial>> {
    let (operation, owner) = match there {
        Some(blob) => (Operation::Update, Some(blob.owner.as_str())),
        None => (Operation::Create, caller.owner()),
    };
    permission.judge(operation, caller, path.as_str(), owner)
}

/// A client as it is sealed into an address.
fn client_of(caller: &Caller) -> Client {
    match (&caller.uid, &caller.openid) {
        (Some(uid), openid) => Client::Web {
            uid: uid.clone(),
            login_type: caller.login_type.clone().unwrap_or_default(),
            openid: openid.clone(),
        },
        (None, Some(openid)) => Client::User(openid.clone()),
        (None, None) => Client::Visitor,
    }
}

/// The client again, as permissions see it.
fn caller_of(client: &Client) -> Caller {
    match client {
        Client::Visitor => Caller::default(),
        Client::User(openid) => Caller::of_openid(openid),
        Client::Web {
            uid,
            login_type,
            openid,
        } => Caller {
            openid: openid.clone(),
            uid: Some(uid.clone()),
            login_type: Some(login_type.clone()),
        },
    }
}

fn new_blob(right: &Upload, owner: &str, given: Option<&str>) -> NewBlob {
    NewBlob {
        path: right.path.clone(),
        owner: owner.to_owned(),
        content_type: given.map(str::to_owned),
    }
}

/// The type that whoever sends a file says that it has.
fn given_type(head: &Parts) -> Option<&str> {
    head.headers.get(CONTENT_TYPE)?.to_str().ok()
}

/// Whether a type is that of a form with a file in it.
fn is_form(given: &str) -> bool {
    let essence = given.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("multipart/form-data")
}

/// An answer without a body.
fn answered(status: StatusCode) -> Response<CloudAnswerBody> {
    let mut response = Response::new(CloudAnswerBody::default());
    *response.status_mut() = status;
    response
}

fn settled(answered: Result<Response<CloudAnswerBody>, Refused>, request_id: &str) -> FileReply {
    match answered {
        Ok(response) => FileReply { response, why: None },
        Err(Refused { refusal, told, why }) => FileReply {
            response: refused(refusal, told.as_deref().unwrap_or(refusal.text()), request_id),
            why: Some(why),
        },
    }
}

fn too_large(right: &Upload) -> Refused {
    Refused::openly(
        StorageRefusal::TooLarge,
        format_args!("the file is over {} bytes ([storage] max_size)", right.most),
    )
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn path_of_refused(encoded: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
}

/// A body on its way, within its time.
struct Coming<B> {
    body: B,
    since: Instant,
    read: u64,
}

impl<B> Coming<B>
where
    B: Body<Data = Bytes> + Send + Unpin,
    B::Error: Error + Send + Sync,
{
    fn new(body: B) -> Self {
        Self {
            body,
            since: Instant::now(),
            read: 0,
        }
    }

    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Refused> {
        let within = UPLOAD_BASE + Duration::from_secs(self.read / UPLOAD_LEAST);
        let until = self.since + within;
        loop {
            let frame = tokio::time::timeout_at(until, self.body.frame()).await;
            let frame = frame.map_err(|_| {
                Refused::new(
                    StorageRefusal::Incomplete,
                    format_args!(
                        "{} bytes came in {} seconds, and then no more",
                        self.read,
                        within.as_secs()
                    ),
                )
            })?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(Refused::new(StorageRefusal::Incomplete, error)),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        self.read += bytes.len() as u64;
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    /// The same as a stream, which breaks off when more than a form's head has gone by with nothing come of it.
    fn stream(&mut self, unread: Arc<AtomicUsize>) -> impl Stream<Item = Result<Bytes, Broken>> + Send {
        stream::try_unfold((self, unread), |(coming, unread)| async move {
            // It takes whatever is there, before it looks at any of it.
            if unread.load(Ordering::Relaxed) > FORM_PIECE {
                tokio::task::yield_now().await;
            }
            let bytes = coming.next().await.map_err(|refused| Broken(refused.why))?;
            let length = bytes.as_ref().map_or(0, Bytes::len);
            if unread.fetch_add(length, Ordering::Relaxed) > FORM_HEAD {
                return Err(Broken(format!(
                    "no part of the form begins within {FORM_HEAD} bytes"
                )));
            }
            Ok(bytes.map(|bytes| (bytes, (coming, unread))))
        })
    }
}

/// Reads what is left and drops it, so that a reply given early is seen.
async fn drain<B>(body: &mut B)
where
    B: Body<Data = Bytes> + Send + Unpin,
    B::Error: Error + Send + Sync,
{
    let drained = async {
        let mut left = DRAIN_LIMIT;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            let Some(less) = left.checked_sub(length) else {
                break;
            };
            left = less;
        }
    };
    let _ = tokio::time::timeout(DRAIN_WITHIN, drained).await;
}

/// A body that broke off inside a form.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Broken(String);

/// Of a file that a browser shows: nothing in it runs, and it has no origin.
const NOTHING_RUNS: &str =
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; media-src 'self'";

/// A file, or what was asked of it. Its first bytes are read before anything is answered: a place that fails can still say so then.
async fn shown(
    blobs: &dyn Blobs,
    head: &Parts,
    blob: &Blob,
    mut content: Box<dyn Reading>,
) -> Result<Response<CloudAnswerBody>, BlobError> {
    let entity = Entity {
        etag: &blob.etag,
        modified: blob.modified,
        length: blob.size,
    };
    let FileHead {
        status,
        headers,
        part,
    } = FileHead::of(&head.method, &head.headers, entity);
    let mut response = Response::new(CloudAnswerBody::default());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    let headers = response.headers_mut();
    // The file at an address may be written anew: whoever keeps it asks whether it was.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(NOTHING_RUNS));
    if status.is_success() {
        let mut set = |name: HeaderName, value: &str| {
            // What a type is said to be may hold what no header can.
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                headers.insert(name, value);
            }
        };
        let gives_all = head.method == Method::GET && part.is_none();
        let mut first = match gives_all {
            true => begun(&mut *content).await?,
            false => None,
        };
        let kind_of = |begins: &[u8]| shown_type(blob.path.name(), blob.content_type.as_deref(), begins);
        let kind = match &first {
            Some(first) => kind_of(first),
            None if is_text(&kind_of(b"")) => kind_of(&beginning(blobs, blob).await?),
            None => kind_of(b""),
        };
        set(CONTENT_TYPE, &kind);
        if showing(&kind) == Showing::Attachment {
            set(CONTENT_DISPOSITION, &attachment(blob.path.name()));
        }
        if head.method == Method::GET {
            let length = part.map_or(blob.size, Part::length);
            if let Some(part) = part {
                content.seek(part);
                first = content.next().await?;
            }
            *response.body_mut() = match first {
                // All of it: whoever sends it need not ask for more.
                Some(first) if first.len() as u64 == length => whole(first),
                first => streamed(first, content),
            };
        }
    }
    Ok(response)
}

/// What a file begins with of which not that is asked for. If it was written anew meanwhile, its type goes by its name.
async fn beginning(blobs: &dyn Blobs, blob: &Blob) -> Result<Bytes, BlobError> {
    let Some(last) = blob.size.min(TELLING as u64).checked_sub(1) else {
        return Ok(Bytes::new());
    };
    let Some(Opened {
        blob: there,
        mut content,
    }) = blobs.open(&blob.path).await?
    else {
        return Ok(Bytes::new());
    };
    if there != *blob {
        return Ok(Bytes::new());
    }
    content.seek(Part { first: 0, last });
    Ok(begun(&mut *content).await?.unwrap_or_default())
}

/// What content begins with, as far as its type is told by it: a network cuts where it likes, and the type is not to depend on that.
async fn begun(content: &mut dyn Reading) -> Result<Option<Bytes>, BlobError> {
    let Some(first) = content.next().await? else {
        return Ok(None);
    };
    if first.len() >= TELLING {
        return Ok(Some(first));
    }
    // A second piece is rare in a folder, where all that is asked for comes at once.
    let mut all = Vec::from(first);
    while all.len() < TELLING
        && let Some(more) = content.next().await?
    {
        all.extend_from_slice(&more);
    }
    Ok(Some(all.into()))
}

/// What does not stand for itself in a file's name there.
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_');

/// `attachment` with the file's name as RFC 6266 has it.
fn attachment(name: &str) -> String {
    format!("attachment; filename*=UTF-8''{}", utf8_percent_encode(name, NAME))
}

/// The content, as it comes. One that breaks off breaks the connection off: its reader sees that it is not whole.
fn streamed(first: Option<Bytes>, content: Box<dyn Reading>) -> CloudAnswerBody {
    let Some(first) = first else {
        return CloudAnswerBody::default();
    };
    let frames = stream::try_unfold((Some(first), content), |(first, mut content)| async move {
        let bytes = match first {
            None => content.next().await?,
            first => first,
        };
        Ok::<_, Box<dyn Error + Send + Sync>>(bytes.map(|bytes| (Frame::data(bytes), (None, content))))
    });
    StreamBody::new(frames).boxed_unsync()
}

/// A body that is there.
fn whole(bytes: Bytes) -> CloudAnswerBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

fn refused(refusal: StorageRefusal, text: &str, request_id: &str) -> Response<CloudAnswerBody> {
    let mut response = Response::new(whole(refusal.xml(text, request_id).into()));
    *response.status_mut() =
        StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = HeaderValue::from_static("application/xml");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests;
