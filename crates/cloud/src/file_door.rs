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

mod body;
mod display;
mod given;
mod refusal;

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use blobs::{BlobError, Blobs, NewBlob, OpenBlob, Writing};
use bytes::Bytes;
use causes::with_causes;
use files::{CloudPath, CloudPathError, Storage, StorageRefusal, Upload, path_of_address, path_of_picture};
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{ALLOW, CONTENT_LENGTH},
    request::Parts,
};
use hyper::body::Body;
use md5::{Digest as _, Md5};
use multer::Multipart;
use rules::{Caller, Operation};

use crate::{
    CloudAnswerBody,
    storage::{FILES, PUBLIC, REFUSED, StorageAccess, caller_of, path_of_refused},
};

use body::UploadBody;
use display::file_response;
use given::{Given, Md5Digest, bounded};
use refusal::{FileRefusal, refused};

/// How often a file is opened that is written anew each time before it is read.
const READ_ATTEMPTS: u32 = 10;
/// What a form may be larger than the file in it.
const FORM: u64 = 64 << 10;
/// A field of a form that is no file is at most so many bytes.
const LONGEST_FIELD: usize = 8 << 10;

/// The door. Clones share everything.
#[derive(Clone)]
pub struct FileDoor(Arc<StorageAccess>);

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
        checked.map_err(|error| with_causes(&error).to_string())
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
    /// of any size. What is left of the body is as [`FileDoor::answer`] has it.
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
            Method::PUT if path.is_own() => Err(FileRefusal::openly(
                StorageRefusal::Malformed,
                CloudPathError::Own,
            )),
            Method::PUT => {
                let right = Upload {
                    path,
                    writer: None,
                    until: self.0.clock.now(),
                    most: u64::MAX,
                };
                let mut coming = UploadBody::new(body);
                let done = match Given::read(head) {
                    Ok(given) => {
                        let new = new_blob(&right, owner, given.content_type);
                        self.take_bare(&right, new, given.md5, &mut coming).await
                    }
                    Err(refused) => Err(refused),
                };
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

    async fn download(&self, place: &str, head: &Parts) -> Result<Response<CloudAnswerBody>, FileRefusal> {
        let (path, reader) = match place.strip_prefix(PUBLIC) {
            Some(path) => {
                if !self.0.permission.load().lets_all_read() {
                    return Err(FileRefusal::new(
                        StorageRefusal::NoRight,
                        "[storage] permission lets nobody read files without an address that was made for them",
                    ));
                }
                let path = path_of_address(path)
                    .ok_or_else(|| FileRefusal::new(StorageRefusal::NoFile, "the address names no path"))?;
                (path, None)
            }
            None => {
                let sealed = place.split('/').next().unwrap_or_default();
                let now = self.0.clock.now();
                let right = self.0.rights.open_download(sealed, now);
                let right = right.map_err(|error| FileRefusal::new(StorageRefusal::NoRight, error))?;
                (right.path, right.reader)
            }
        };
        let given = self.give(&path, reader.as_ref().map(caller_of), head).await;
        // Pictures are not made smaller here. That they are seen is better than nothing.
        match (given, path_of_picture(&path)) {
            (Err(missing), Some(picture)) if missing.refusal == StorageRefusal::NoFile => {
                self.give(&picture, reader.as_ref().map(caller_of), head).await
            }
            (given, _) => given,
        }
    }

    /// Gives a file, to this client if it may read what lies there.
    async fn give(
        &self,
        path: &CloudPath,
        reader: Option<Caller>,
        head: &Parts,
    ) -> Result<Response<CloudAnswerBody>, FileRefusal> {
        let mut attempts = READ_ATTEMPTS;
        loop {
            let OpenBlob { blob, content } = self.0.blobs.open(path).await?.ok_or_else(|| {
                FileRefusal::new(StorageRefusal::NoFile, format_args!("there is no file {path}"))
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
                        FileRefusal::new(refusal, denial)
                    })?;
            }
            attempts -= 1;
            match file_response(&*self.0.blobs, head, &blob, content).await {
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
    ) -> Result<Response<CloudAnswerBody>, FileRefusal>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: Error + Send + Sync,
    {
        let done = self.take(place, head, &mut UploadBody::new(body)).await;
        done.map(answered)
    }

    /// Takes a file in.
    async fn take<B>(
        &self,
        place: &str,
        head: &Parts,
        coming: &mut UploadBody<B>,
    ) -> Result<StatusCode, FileRefusal>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: Error + Send + Sync,
    {
        if let Some(path) = place.strip_prefix(REFUSED) {
            let path = path_of_refused(path)
                .ok_or_else(|| FileRefusal::openly(StorageRefusal::Malformed, "there is no such path"))?;
            return Err(match CloudPath::to_write(&path) {
                Ok(_) => FileRefusal::new(
                    StorageRefusal::NoRight,
                    format_args!("its sender may not write {path}, and was told so before"),
                ),
                Err(error) => FileRefusal::openly(StorageRefusal::Malformed, error),
            });
        }
        let sealed = place.split('/').next().unwrap_or_default();
        let now = self.0.clock.now();
        let right = self
            .0
            .rights
            .open_upload(sealed, now)
            .map_err(|error| FileRefusal::new(StorageRefusal::NoRight, error))?;
        self.still_allowed(&right).await?;
        let announced = length(&head.headers);
        if announced.is_some_and(|length| length > right.most.saturating_add(FORM)) {
            return Err(too_large(&right));
        }
        let given = Given::read(head)?;
        let form = given
            .content_type
            .filter(|given| head.method == Method::POST && is_form(given));
        match form.map(multer::parse_boundary) {
            Some(Ok(boundary)) => self.take_form(&right, boundary, coming).await,
            // Its text is no file.
            Some(Err(_)) => Err(FileRefusal::openly(
                StorageRefusal::Malformed,
                "the form's Content-Type has no boundary: leave that header to what makes the form",
            )),
            None => {
                let new = new_blob(&right, right.owner(), given.content_type);
                self.take_bare(&right, new, given.md5, coming).await
            }
        }
    }

    /// Takes a file that comes by itself; with `md5` it is this content or none.
    async fn take_bare<B>(
        &self,
        right: &Upload,
        new: NewBlob,
        md5: Option<Md5Digest>,
        coming: &mut UploadBody<B>,
    ) -> Result<StatusCode, FileRefusal>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: Error + Send + Sync,
    {
        let mut writing = self.0.blobs.write(new).await?;
        let mut size = 0;
        let mut came = md5.map(|_| Md5::new());
        while let Some(bytes) = coming.next().await? {
            size += bytes.len() as u64;
            if size > right.most {
                return Err(too_large(right));
            }
            if let Some(came) = &mut came {
                came.update(&bytes);
            }
            writing.push(bytes).await?;
        }
        if came.map(|came| came.finalize().into()) != md5 {
            let refusal = StorageRefusal::WrongDigest;
            return Err(FileRefusal::openly(refusal, refusal.text()));
        }
        self.put(right, writing).await?;
        Ok(StatusCode::OK)
    }

    /// Has a file take its place, if its writer may still write there: another may have put a file of theirs there meanwhile.
    async fn put(&self, right: &Upload, writing: Box<dyn Writing>) -> Result<(), FileRefusal> {
        let Some(writer) = &right.writer else {
            return Ok(writing.finish().await.map(drop)?);
        };
        let may = self.0.may_replace(&right.path, &caller_of(writer));
        match writing.finish_if(may).await? {
            Some(_) => Ok(()),
            None => Err(FileRefusal::new(
                StorageRefusal::NoRight,
                "what lies there now may not be replaced by its sender",
            )),
        }
    }

    /// A client's address is good for an hour, in which another may have put a file of theirs there.
    async fn still_allowed(&self, right: &Upload) -> Result<(), FileRefusal> {
        let Some(writer) = &right.writer else {
            return Ok(());
        };
        let judged = self.0.may_write(&right.path, &caller_of(writer)).await?;
        judged.map_err(|denial| FileRefusal::new(StorageRefusal::NoRight, denial))
    }

    /// Takes the file of a form. The fields before it are the SDK's, and of them only that counts by which a page says
    /// what status it wants to see.
    async fn take_form<B>(
        &self,
        right: &Upload,
        boundary: String,
        coming: &mut UploadBody<B>,
    ) -> Result<StatusCode, FileRefusal>
    where
        B: Body<Data = Bytes> + Send + Unpin,
        B::Error: Error + Send + Sync,
    {
        let malformed = |error: multer::Error| match error {
            multer::Error::StreamReadFailed(error) => FileRefusal::new(StorageRefusal::Incomplete, error),
            error => FileRefusal::openly(
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
                        return Err(FileRefusal::openly(
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
        Err(FileRefusal::openly(
            StorageRefusal::Malformed,
            "the form has no field \"file\": in wx.uploadFile it is `name`",
        ))
    }
}

fn new_blob(right: &Upload, owner: &str, given: Option<&str>) -> NewBlob {
    NewBlob {
        path: right.path.clone(),
        owner: owner.to_owned(),
        content_type: given.and_then(bounded).map(str::to_owned),
    }
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

fn settled(answered: Result<Response<CloudAnswerBody>, FileRefusal>, request_id: &str) -> FileReply {
    match answered {
        Ok(response) => FileReply { response, why: None },
        Err(FileRefusal { refusal, told, why }) => FileReply {
            response: refused(refusal, told.as_deref().unwrap_or(refusal.text()), request_id),
            why: Some(why),
        },
    }
}

fn too_large(right: &Upload) -> FileRefusal {
    FileRefusal::openly(
        StorageRefusal::TooLarge,
        format_args!("the file is over {} bytes ([storage] max_size)", right.most),
    )
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
