//! The cloud's storage from inside a function: `uploadFile`, `downloadFile`, `getTempFileURL`, `deleteFile` of every SDK.
//!
//! What a request means and how it is answered stands in `tcb::storage`; what a name or an id may be, in `files`. Content goes
//! another way, by the door of files, to which the addresses lead that are given out here.

use std::sync::Arc;

use blobs::{Blob, BlobError, NewBlob};
use bytes::Bytes;
use calls::shown;
use files::{CloudPath, FileIdError, StorageRefusal};
use tcb::{
    Action, SdkReply, SdkRequest, codes, reply,
    storage::{
        self, AskedAuthority, AskedCopy, AskedUrl, FileAuthority, FileFault, MadeUrl, OfFile, StorageAction,
        StorageRequest, UploadPlace,
    },
};

use crate::{Answering, Capability, CloudRequest, FileReaders, Proof, StorageAccess, capability::at_once};

/// Answers `storage.*`.
pub(crate) struct Files(pub(crate) Arc<StorageAccess>);

impl Capability for Files {
    /// The oldest SDK sends no token with these.
    fn proof(&self, action: &Action<'_>) -> Option<Proof> {
        match action {
            Action::Named(name) => StorageAction::of(name).map(|_| Proof::Worker),
            _ => None,
        }
    }

    fn answer(&self, request: &SdkRequest<'_>, mut asked: CloudRequest) -> Answering {
        let name = request.envelope.action_name().to_owned();
        let Some(action) = StorageAction::of(&name) else {
            return at_once(asked.malformed("there is no such action"));
        };
        let read = match StorageRequest::read(action, request.envelope) {
            Ok(read) => read,
            Err(error) => {
                asked.refused(&name, error.code(), &error.to_string(), &error);
                return at_once(asked.malformed(&error.to_string()));
            }
        };
        let access = Arc::clone(&self.0);
        match read {
            StorageRequest::UploadMetadata { path } => {
                let reply = access.upload_place(&name, path, &mut asked);
                at_once(reply)
            }
            StorageRequest::Upload { path, content } => {
                let (path, content) = (path.to_owned(), Bytes::from(content.into_owned()));
                Box::pin(async move { access.upload(&name, &path, content, asked).await.into() })
            }
            StorageRequest::DownloadUrls(files) => {
                Box::pin(async move { access.urls(&name, files, asked).await.into() })
            }
            StorageRequest::Delete(files) => {
                Box::pin(async move { access.delete(&name, files, asked).await.into() })
            }
            StorageRequest::Copy(files) => {
                Box::pin(async move { access.copy(&name, files, asked).await.into() })
            }
            StorageRequest::Authority { user, files } => {
                let user = user.to_owned();
                Box::pin(async move { access.authority(&name, &user, files, asked).await.into() })
            }
            _ => at_once(asked.malformed("there is no such action")),
        }
    }
}

impl StorageAccess {
    /// Where to send a file. A refusal here is no use to the SDKs up to 3.0, which read the address out of it all the same: so a
    /// path that is not legal gets an address as well, and it is the upload that fails, with the reason.
    fn upload_place(&self, name: &str, path: &str, asked: &mut CloudRequest) -> SdkReply {
        let what = format!("{name} {path}");
        let place = match path.parse::<CloudPath>() {
            Ok(path) => {
                let place = UploadPlace {
                    file_id: self.storage.id(&path).to_string(),
                    object_id: self.storage.object_id(&path),
                    url: self.upload_url(path, ""),
                };
                asked.record(what, 0, place.file_id.clone());
                place
            }
            Err(error) => {
                asked.refused(&what, codes::INVALID_PARAM, &error.to_string(), error);
                UploadPlace {
                    file_id: String::new(),
                    object_id: String::new(),
                    url: Self::refused_url(path),
                }
            }
        };
        storage::upload_place(asked.request_id(), &place)
    }

    async fn upload(&self, name: &str, path: &str, content: Bytes, mut asked: CloudRequest) -> SdkReply {
        let what = format!("{name} {path}");
        let path = match path.parse::<CloudPath>() {
            Ok(path) => path,
            Err(error) => {
                asked.refused(&what, codes::INVALID_PARAM, &error.to_string(), error);
                return asked.malformed(&error.to_string());
            }
        };
        let id = self.storage.id(&path).to_string();
        match self.keep(path, content).await {
            Ok(_) => {
                asked.record(what, 0, id.clone());
                storage::uploaded(asked.request_id(), &id)
            }
            Err(error) => {
                let text = StorageRefusal::Failed.text();
                asked.refused(&what, codes::STORAGE_REQUEST_FAIL, text, &error);
                reply::failure(asked.request_id(), codes::STORAGE_REQUEST_FAIL, text)
            }
        }
    }

    async fn keep(&self, path: CloudPath, content: Bytes) -> Result<Blob, BlobError> {
        let mut writing = self
            .blobs
            .write(NewBlob {
                path,
                owner: String::new(),
                content_type: None,
            })
            .await?;
        writing.push(content).await?;
        writing.finish().await
    }

    async fn urls(&self, name: &str, asked_urls: Vec<AskedUrl>, mut asked: CloudRequest) -> SdkReply {
        let mut files = Vec::with_capacity(asked_urls.len());
        for AskedUrl { file_id, max_age } in asked_urls {
            let made = self.url(&file_id, max_age).await;
            files.push((file_id, made.map_err(|fault| self.fault(fault, &asked))));
        }
        account(name, &files, &mut asked);
        let reply = storage::download_urls(asked.request_id(), &files);
        keep_answer(&mut asked, &reply);
        reply
    }

    async fn url(&self, id: &str, max_age: Option<u64>) -> Result<MadeUrl, Fault> {
        let path = self.storage.path(id)?;
        match self.blobs.look(&path).await? {
            Some(_) => {
                let (url, max_age) = self.address(&path, max_age).await?;
                Ok(MadeUrl { url, max_age })
            }
            None => Err(Fault::Refused(StorageRefusal::NoFile)),
        }
    }

    async fn delete(&self, name: &str, ids: Vec<String>, mut asked: CloudRequest) -> SdkReply {
        let paths: Vec<Result<CloudPath, Fault>> = ids.iter().map(|id| Ok(self.storage.path(id)?)).collect();
        let named: Vec<CloudPath> = paths.iter().flatten().cloned().collect();
        let mut removed = match self.blobs.remove(&named).await {
            Ok(removed) => removed
                .into_iter()
                .map(|was| match was {
                    true => Ok(()),
                    false => Err(Fault::Refused(StorageRefusal::NoFile)),
                })
                .collect::<Vec<_>>(),
            Err(error) => {
                asked.note(format_args!("files could not be removed: {error}"));
                named
                    .iter()
                    .map(|_| Err(Fault::Refused(StorageRefusal::Failed)))
                    .collect()
            }
        }
        .into_iter();
        let of_each = paths.into_iter().map(|path| match path {
            Ok(_) => removed
                .next()
                .unwrap_or(Err(Fault::Refused(StorageRefusal::Failed))),
            Err(fault) => Err(fault),
        });
        let files: Vec<(String, OfFile<()>)> = ids
            .into_iter()
            .zip(of_each)
            .map(|(id, done)| (id, done.map_err(|fault| self.fault(fault, &asked))))
            .collect();
        account(name, &files, &mut asked);
        let reply = storage::deleted(asked.request_id(), &files);
        keep_answer(&mut asked, &reply);
        reply
    }

    /// What a user may do with files, as clients: what functions may is everything.
    async fn authority(
        &self,
        name: &str,
        user: &str,
        asked_files: Vec<AskedAuthority>,
        mut asked: CloudRequest,
    ) -> SdkReply {
        let mut files = Vec::with_capacity(asked_files.len());
        for file in &asked_files {
            match self.authority_over(user, file).await {
                Ok(authority) => files.push(authority),
                Err(error) => {
                    let text = StorageRefusal::Failed.text();
                    asked.refused(name, codes::STORAGE_REQUEST_FAIL, text, &error);
                    return reply::failure(asked.request_id(), codes::STORAGE_REQUEST_FAIL, text);
                }
            }
        }
        asked.record(format!("{name} of {} files", files.len()), 0, String::new());
        let reply = storage::authorities(asked.request_id(), &files);
        keep_answer(&mut asked, &reply);
        reply
    }

    async fn authority_over(&self, user: &str, asked: &AskedAuthority) -> Result<FileAuthority, BlobError> {
        // A path stands for itself here.
        let path = self.storage.path(&asked.file).or_else(|_| asked.file.parse());
        let (mut read, mut write, mut object_id) = (false, false, String::new());
        if let Ok(path) = path {
            let owner = self.blobs.look(&path).await?.map(|blob| blob.owner);
            let owns = !user.is_empty() && owner.as_deref() == Some(user);
            read = self.readers == FileReaders::Everybody || (owns && self.owners.read);
            // Where no file is yet, whoever writes it will be its owner.
            write = self.owners.write && (owns || owner.is_none());
            object_id = self.storage.object_id(&path);
        }
        Ok(FileAuthority {
            file: asked.file.clone(),
            object_id,
            read: asked.read.then_some(read),
            write: asked.write.then_some(write),
        })
    }

    async fn copy(&self, name: &str, copies: Vec<AskedCopy>, mut asked: CloudRequest) -> SdkReply {
        let mut files = Vec::with_capacity(copies.len());
        for copy in copies {
            let done = self.copy_one(&copy).await;
            let id = copy
                .to
                .parse()
                .map_or(copy.to, |path| self.storage.id(&path).to_string());
            files.push((id, done.map_err(|fault| self.fault(fault, &asked))));
        }
        account(name, &files, &mut asked);
        let reply = storage::copied(asked.request_id(), &files);
        keep_answer(&mut asked, &reply);
        reply
    }

    async fn copy_one(&self, copy: &AskedCopy) -> Result<(), Fault> {
        let path = |text: &str| {
            text.trim_start_matches('/')
                .parse::<CloudPath>()
                .map_err(FileIdError::from)
        };
        let (from, to) = (path(&copy.from)?, path(&copy.to)?);
        let Some(mut opened) = self.blobs.open(&from).await? else {
            return Err(Fault::Refused(StorageRefusal::NoFile));
        };
        if from == to {
            return Ok(());
        }
        if !copy.overwrite && self.blobs.look(&to).await?.is_some() {
            return Err(Fault::Refused(StorageRefusal::Exists));
        }
        let mut writing = self
            .blobs
            .write(NewBlob {
                path: to,
                owner: opened.blob.owner,
                content_type: opened.blob.content_type,
            })
            .await?;
        while let Some(bytes) = opened.content.next().await? {
            writing.push(bytes).await?;
        }
        writing.finish().await?;
        if copy.remove_original {
            self.blobs.remove(&[from]).await?;
        }
        Ok(())
    }

    /// As the function gets to see it; what it does not is for the operator.
    fn fault(&self, fault: Fault, asked: &CloudRequest) -> FileFault {
        let refusal = match &fault {
            Fault::Refused(refusal) => *refusal,
            // The platform's answer to an id of no form is not known: a file that is not there, which programs handle.
            Fault::Id(error) => {
                asked.note(error);
                StorageRefusal::NoFile
            }
            Fault::Place(error) => {
                asked.note(error);
                StorageRefusal::Failed
            }
        };
        FileFault {
            code: refusal.code(),
            text: refusal.text().to_owned(),
        }
    }
}

/// Why nothing came of one file.
enum Fault {
    Refused(StorageRefusal),
    Id(FileIdError),
    Place(BlobError),
}

impl From<FileIdError> for Fault {
    fn from(error: FileIdError) -> Self {
        Self::Id(error)
    }
}

impl From<BlobError> for Fault {
    fn from(error: BlobError) -> Self {
        Self::Place(error)
    }
}

/// Enters what came of several files: the first that failed stands for all that did.
fn account<T>(name: &str, files: &[(String, OfFile<T>)], asked: &mut CloudRequest) {
    let failed: Vec<&FileFault> = files.iter().filter_map(|(_, done)| done.as_ref().err()).collect();
    let what = match files {
        [(id, _)] => format!("{name} {id}"),
        files => format!("{name} of {} files", files.len()),
    };
    match failed.first() {
        None => asked.record(what, 0, String::new()),
        Some(first) => asked.record(
            what,
            codes::number(first.code),
            format!("{} of {} files: {}", failed.len(), files.len(), first.text),
        ),
    }
}

fn keep_answer(asked: &mut CloudRequest, reply: &SdkReply) {
    if asked.keeps() {
        asked.keep(String::new(), shown("application/json", &reply.body));
    }
}
