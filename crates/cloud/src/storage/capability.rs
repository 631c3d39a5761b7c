//! How a function's requests of storage are answered, and entered in the account of its call.

use std::sync::Arc;

use blobs::BlobError;
use bytes::Bytes;
use calls::shown;
use causes::with_causes;
use files::CloudPath;
use rules::{Caller, Operation};
use tcb::{
    Action, SdkReply, SdkRequest, codes, reply,
    storage::{
        self, AskedAuthority, AskedCopy, AskedUrl, FileAuthority, FileFault, OfFile, StorageAction,
        StorageRequest, UploadPlace,
    },
};
use wording::Wording;

use super::StorageAccess;
use crate::{Answering, Capability, CloudRequest, Proof, capability::at_once};

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
                asked.refused(&name, error.code(), &error.to_string(), &Wording::as_is(&error));
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
            // A client's alone.
            StorageRequest::CdnPlace => at_once(asked.malformed("there is no such action")),
        }
    }
}

impl StorageAccess {
    /// Where to send a file. A refusal here is no use to the SDKs up to 3.0, which read the address out of it all the same: so a
    /// path that is not legal gets an address as well, and it is the upload that fails, with the reason.
    fn upload_place(&self, name: &str, path: &str, asked: &mut CloudRequest) -> SdkReply {
        let what = format!("{name} {path}");
        let place = match CloudPath::to_write(path) {
            Ok(path) => {
                let place = UploadPlace {
                    file_id: self.storage.id(&path).to_string(),
                    object_id: self.storage.object_id(&path),
                    download_url: String::new(),
                    url: self.upload_url(path),
                };
                asked.record(what, 0, place.file_id.clone());
                place
            }
            Err(error) => {
                asked.refused(
                    &what,
                    codes::INVALID_PARAM,
                    &error.to_string(),
                    &Wording::as_is(error),
                );
                UploadPlace {
                    file_id: String::new(),
                    object_id: String::new(),
                    download_url: String::new(),
                    url: self.refused_url(path),
                }
            }
        };
        storage::upload_place(asked.request_id(), &place)
    }

    async fn upload(&self, name: &str, path: &str, content: Bytes, mut asked: CloudRequest) -> SdkReply {
        let what = format!("{name} {path}");
        let path = match CloudPath::to_write(path) {
            Ok(path) => path,
            Err(error) => {
                asked.refused(
                    &what,
                    codes::INVALID_PARAM,
                    &error.to_string(),
                    &Wording::as_is(error),
                );
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
                let text = error.refusal().text();
                asked.refused(
                    &what,
                    codes::STORAGE_REQUEST_FAIL,
                    text,
                    &Wording::as_is(with_causes(&error)),
                );
                reply::failure(asked.request_id(), codes::STORAGE_REQUEST_FAIL, text)
            }
        }
    }

    async fn urls(&self, name: &str, asked_urls: Vec<AskedUrl>, mut asked: CloudRequest) -> SdkReply {
        let files = self.made_urls(asked_urls, None, &asked).await;
        account(name, &files, &mut asked);
        let reply = storage::download_urls(asked.request_id(), &files);
        keep_answer(&mut asked, &reply);
        reply
    }

    async fn delete(&self, name: &str, ids: Vec<String>, mut asked: CloudRequest) -> SdkReply {
        let files = self.deleted(ids, None, &asked).await;
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
                    let text = error.refusal().text();
                    asked.refused(
                        name,
                        codes::STORAGE_REQUEST_FAIL,
                        text,
                        &Wording::as_is(with_causes(&error)),
                    );
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
            let caller = match user {
                "" => Caller::default(),
                user => Caller::of_openid(user),
            };
            let there = self.blobs.look(&path).await?;
            let owner = there.as_ref().map(|blob| blob.owner.as_str());
            let judged = self
                .permission
                .load()
                .judge(Operation::Read, &caller, path.as_str(), owner);
            read = judged.is_ok();
            // Where no file is yet, whoever writes it will be its owner.
            write = self.may_write(&path, &caller).await?.is_ok();
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
        let files = self.copied(copies, None, &asked).await;
        account(name, &files, &mut asked);
        let reply = storage::copied(asked.request_id(), &files);
        keep_answer(&mut asked, &reply);
        reply
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
