//! The cloud's storage from inside a function, and from a client by itself within what it may: `uploadFile`, `downloadFile`,
//! `getTempFileURL`, `deleteFile` of every SDK.
//!
//! What a request means and how it is answered stands in `tcb::storage`; what a name or an id may be, in `files`. Content goes
//! another way, by the door of files, to which the addresses lead that are given out here.

use std::{sync::Arc, time::Instant};

use blobs::{Blob, BlobError, NewBlob, Opened, Removal};
use bytes::Bytes;
use calls::shown;
use files::{CloudPath, FileIdError, StorageRefusal, path_of_platform_url};
use rules::{Caller, Denial, Operation};
use tcb::{
    Action, Envelope, SdkReply, SdkRequest, codes, reply,
    storage::{
        self, AskedAuthority, AskedCopy, AskedUrl, FileAuthority, FileFault, MadeUrl, OfFile, StorageAction,
        StorageRequest, UploadPlace,
    },
};
use wording::{Wording, wording};

use crate::{
    Answering, Capability, CloudRequest, Proof, StorageAccess,
    capability::at_once,
    cdn::{self, CDN_LIFE, CdnShares},
    files::with_causes,
};

/// How often a file is judged anew that becomes another before it is removed.
const ATTEMPTS: u32 = 10;

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
    /// Answers a client that asks by itself: where to send a file, addresses, deletion.
    pub(crate) async fn answer_client(
        &self,
        envelope: &Envelope<'_>,
        caller: &Caller,
        asked: CloudRequest,
        cdn: &CdnShares,
    ) -> SdkReply {
        let name = envelope.action_name();
        let Some(action) = StorageAction::of(name) else {
            return asked.malformed("there is no such action of storage");
        };
        match StorageRequest::read(action, envelope) {
            Ok(StorageRequest::UploadMetadata { path }) => {
                match self.client_place(path, caller, &asked).await {
                    Ok(place) => storage::upload_place(asked.request_id(), &place),
                    Err(fault) => reply::refused(asked.request_id(), fault.code, &fault.text),
                }
            }
            Ok(StorageRequest::DownloadUrls(files)) => {
                let files = self.made_urls(files, Some(caller), &asked).await;
                storage::download_urls(asked.request_id(), &files)
            }
            Ok(StorageRequest::Delete(files)) => {
                let files = self.deleted(files, Some(caller), &asked).await;
                storage::deleted(asked.request_id(), &files)
            }
            Ok(StorageRequest::CdnPlace) => self.cdn_place(caller, &asked, cdn),
            Ok(_) => asked.malformed("clients have no such action of storage: do it in a function"),
            Err(error) => asked.malformed(&error.to_string()),
        }
    }

    /// Where a client may send a file to.
    pub(crate) async fn client_place(
        &self,
        path: &str,
        caller: &Caller,
        asked: &CloudRequest,
    ) -> OfFile<UploadPlace> {
        let path = path.parse::<CloudPath>().map_err(|error| FileFault {
            code: StorageRefusal::Malformed.code(),
            text: error.to_string(),
        })?;
        match self.may_write(&path, caller).await {
            Ok(Ok(())) => {
                let download_url = self.own_address(&path, caller);
                Ok(UploadPlace {
                    file_id: self.storage.id(&path).to_string(),
                    object_id: self.storage.object_id(&path),
                    download_url,
                    url: self.client_upload_url(path, caller),
                })
            }
            Ok(Err(denial)) => Err(self.fault(Fault::Denied(denial), asked)),
            Err(error) => Err(self.fault(Fault::Place(error), asked)),
        }
    }

    /// Where a client may send what a `CDN` of its holds, and the address that a function gets for it.
    fn cdn_place(&self, caller: &Caller, asked: &CloudRequest, cdn: &CdnShares) -> SdkReply {
        let refused = |code, text| reply::failure(asked.request_id(), code, text);
        let Some(owner) = caller.owner().filter(|_| !caller.is_anybody()) else {
            let text = "a CDN value is for users who have logged in";
            return refused(codes::STORAGE_PERMISSION_DENIED, text);
        };
        if !cdn.take(owner, Instant::now()) {
            asked.note(&wording!(
                "{owner} has had as many places for CDN values as a user may have",
                "{owner} 的 CDN 值已达到每个用户的上限"
            ));
            let text = "too many CDN values of this user: there will be another one in half an hour";
            return refused(codes::EXCEED_REQUEST, text);
        }
        match cdn::path() {
            Ok(path) => storage::upload_place(
                asked.request_id(),
                &UploadPlace {
                    file_id: self.storage.id(&path).to_string(),
                    object_id: self.storage.object_id(&path),
                    download_url: self.download_url(&path, Some(CDN_LIFE.as_secs()), None).0,
                    url: self.cdn_upload_url(path),
                },
            ),
            Err(error) => asked.malformed(&error.to_string()),
        }
    }

    /// The address of a file that a client is about to write, if it may read its own. It is always the gateway's, which judges whose file
    /// it is when it is read: that may be another's, now or later.
    fn own_address(&self, path: &CloudPath, caller: &Caller) -> String {
        let judged = self
            .permission
            .load()
            .judge(Operation::Read, caller, path.as_str(), caller.owner());
        match judged {
            Ok(()) => self.download_url(path, None, Some(caller)).0,
            Err(_) => String::new(),
        }
    }

    /// Where to send a file. A refusal here is no use to the SDKs up to 3.0, which read the address out of it all the same: so a
    /// path that is not legal gets an address as well, and it is the upload that fails, with the reason.
    fn upload_place(&self, name: &str, path: &str, asked: &mut CloudRequest) -> SdkReply {
        let what = format!("{name} {path}");
        let place = match path.parse::<CloudPath>() {
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
        let path = match path.parse::<CloudPath>() {
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
        let files = self.made_urls(asked_urls, None, &asked).await;
        account(name, &files, &mut asked);
        let reply = storage::download_urls(asked.request_id(), &files);
        keep_answer(&mut asked, &reply);
        reply
    }

    /// Addresses to read files by: those that `client` may read, or any for a function.
    pub(crate) async fn made_urls(
        &self,
        asked_urls: Vec<AskedUrl>,
        client: Option<&Caller>,
        asked: &CloudRequest,
    ) -> Vec<(String, OfFile<MadeUrl>)> {
        let mut files = Vec::with_capacity(asked_urls.len());
        for AskedUrl { file_id, max_age } in asked_urls {
            let made = self.url(&file_id, max_age, client).await;
            files.push((file_id, made.map_err(|fault| self.fault(fault, asked))));
        }
        files
    }

    async fn url(&self, id: &str, max_age: Option<u64>, client: Option<&Caller>) -> Result<MadeUrl, Fault> {
        let path = self.named(id)?;
        match self.blobs.look(&path).await? {
            Some(blob) => {
                if let Some(caller) = client {
                    self.may(Operation::Read, &blob, caller)?;
                }
                let (url, max_age) = self.address(&path, max_age, client).await?;
                Ok(MadeUrl { url, max_age })
            }
            None => Err(Fault::Refused(StorageRefusal::NoFile)),
        }
    }

    /// The file that an id names, or an address that the platform had for one of this environment's: programs keep both in documents.
    fn named(&self, id: &str) -> Result<CloudPath, FileIdError> {
        match self.storage.path(id) {
            Err(FileIdError::Scheme) => path_of_platform_url(&self.storage, id),
            named => named,
        }
    }

    async fn delete(&self, name: &str, ids: Vec<String>, mut asked: CloudRequest) -> SdkReply {
        let files = self.deleted(ids, None, &asked).await;
        account(name, &files, &mut asked);
        let reply = storage::deleted(asked.request_id(), &files);
        keep_answer(&mut asked, &reply);
        reply
    }

    /// Removes files: those that `client` may remove, or any for a function.
    pub(crate) async fn deleted(
        &self,
        ids: Vec<String>,
        client: Option<&Caller>,
        asked: &CloudRequest,
    ) -> Vec<(String, OfFile<()>)> {
        let done = match client {
            None => self.delete_all(&ids, asked).await,
            Some(caller) => self.delete_each(&ids, caller).await,
        };
        ids.into_iter()
            .zip(done)
            .map(|(id, done)| (id, done.map_err(|fault| self.fault(fault, asked))))
            .collect()
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

    /// Removes files of a function, in one go.
    async fn delete_all(&self, ids: &[String], asked: &CloudRequest) -> Vec<Result<(), Fault>> {
        let paths: Vec<Result<CloudPath, FileIdError>> = ids.iter().map(|id| self.storage.path(id)).collect();
        let named: Vec<CloudPath> = paths.iter().flatten().cloned().collect();
        let mut removed = match self.blobs.remove(&named).await {
            Ok(removed) => removed.into_iter().map(was_there).collect::<Vec<_>>(),
            Err(error) => {
                let why = with_causes(&error);
                asked.note(&wording!(
                    "files could not be removed: {why}",
                    "无法删除文件：{why}"
                ));
                named
                    .iter()
                    .map(|_| Err(Fault::Refused(error.refusal())))
                    .collect()
            }
        }
        .into_iter();
        paths
            .into_iter()
            .map(|path| {
                path?;
                removed
                    .next()
                    .unwrap_or(Err(Fault::Refused(StorageRefusal::Failed)))
            })
            .collect()
    }

    /// Removes files of a client, each as it was judged: meanwhile somebody may put a file of their own there.
    async fn delete_each(&self, ids: &[String], caller: &Caller) -> Vec<Result<(), Fault>> {
        let mut done = Vec::with_capacity(ids.len());
        for id in ids {
            done.push(self.delete_of_client(id, caller).await);
        }
        done
    }

    async fn delete_of_client(&self, id: &str, caller: &Caller) -> Result<(), Fault> {
        let path = self.storage.path(id)?;
        for _ in 0..ATTEMPTS {
            let Some(blob) = self.blobs.look(&path).await? else {
                return Err(Fault::Refused(StorageRefusal::NoFile));
            };
            self.may(Operation::Delete, &blob, caller)?;
            match self.blobs.remove_this(&blob).await? {
                Removal::Done => return Ok(()),
                Removal::Missing => return Err(Fault::Refused(StorageRefusal::NoFile)),
                // Whose it is now is another question.
                Removal::Changed => {}
            }
        }
        Err(Fault::Refused(StorageRefusal::Failed))
    }

    async fn copy(&self, name: &str, copies: Vec<AskedCopy>, mut asked: CloudRequest) -> SdkReply {
        let files = self.copied(copies, None, &asked).await;
        account(name, &files, &mut asked);
        let reply = storage::copied(asked.request_id(), &files);
        keep_answer(&mut asked, &reply);
        reply
    }

    /// Copies files: those that `client` may read to where it may write, or any for a function. Gives the ids of the copies.
    pub(crate) async fn copied(
        &self,
        copies: Vec<AskedCopy>,
        client: Option<&Caller>,
        asked: &CloudRequest,
    ) -> Vec<(String, OfFile<()>)> {
        let mut files = Vec::with_capacity(copies.len());
        for copy in copies {
            let done = self.copy_one(&copy, client).await;
            let id = copy
                .to
                .parse()
                .map_or(copy.to, |path| self.storage.id(&path).to_string());
            files.push((id, done.map_err(|fault| self.fault(fault, asked))));
        }
        files
    }

    async fn copy_one(&self, copy: &AskedCopy, client: Option<&Caller>) -> Result<(), Fault> {
        let path = |text: &str| {
            text.trim_start_matches('/')
                .parse::<CloudPath>()
                .map_err(FileIdError::from)
        };
        let (from, to) = (path(&copy.from)?, path(&copy.to)?);
        let Some(Opened {
            blob: original,
            mut content,
        }) = self.blobs.open(&from).await?
        else {
            return Err(Fault::Refused(StorageRefusal::NoFile));
        };
        if let Some(caller) = client {
            self.may_copy(&original, &to, copy.remove_original, caller)
                .await?;
        }
        if from == to {
            return Ok(());
        }
        if !copy.overwrite && self.blobs.look(&to).await?.is_some() {
            return Err(Fault::Refused(StorageRefusal::Exists));
        }
        let mut writing = self
            .blobs
            .write(NewBlob {
                path: to.clone(),
                // A client's copy is the client's.
                owner: match client {
                    Some(caller) => caller.owner().unwrap_or_default().to_owned(),
                    None => original.owner.clone(),
                },
                content_type: original.content_type.clone(),
            })
            .await?;
        while let Some(bytes) = content.next().await? {
            writing.push(bytes).await?;
        }
        if let Some(caller) = client {
            // What is read may be forbidden meanwhile.
            self.may_copy(&original, &to, copy.remove_original, caller)
                .await?;
        }
        // Meanwhile somebody may have put a file of theirs there.
        let client_may = client.map(|caller| self.may_replace(&to, caller));
        let overwrite = copy.overwrite;
        let finished = writing.finish_if(Box::new(move |there| {
            (overwrite || there.is_none()) && client_may.as_ref().is_none_or(|may| may(there))
        }));
        if finished.await?.is_none() {
            return Err(Fault::Refused(match overwrite {
                true => StorageRefusal::NoRight,
                false => StorageRefusal::Exists,
            }));
        }
        if copy.remove_original {
            // What came in its place meanwhile was not copied, and stays.
            self.blobs.remove_this(&original).await?;
        }
        Ok(())
    }

    /// Whether a client may read the one file, write the other, and remove the first where that is wanted.
    async fn may_copy(
        &self,
        original: &Blob,
        to: &CloudPath,
        moves: bool,
        caller: &Caller,
    ) -> Result<(), Fault> {
        self.may(Operation::Read, original, caller)?;
        if moves {
            self.may(Operation::Delete, original, caller)?;
        }
        self.may_write(to, caller).await?.map_err(Fault::Denied)
    }

    /// Whether a client may do this with a file that is there.
    fn may(&self, operation: Operation, blob: &Blob, caller: &Caller) -> Result<(), Fault> {
        let permission = self.permission.load();
        let judge = |operation| {
            let (path, owner) = (blob.path.as_str(), Some(blob.owner.as_str()));
            permission.judge(operation, caller, path, owner)
        };
        judge(operation).map_err(
            |denial| match caller.is_anybody() && judge(Operation::Read).is_err() {
                true => Fault::Hidden(denial),
                false => Fault::Denied(denial),
            },
        )
    }

    /// As the function gets to see it; what it does not is for the operator.
    fn fault(&self, fault: Fault, asked: &CloudRequest) -> FileFault {
        let refusal = match &fault {
            Fault::Refused(refusal) => *refusal,
            // The platform's answer to an id of no form is not known: a file that is not there, which programs handle.
            Fault::Id(error) => {
                asked.note(&Wording::as_is(error));
                StorageRefusal::NoFile
            }
            Fault::Place(error) => {
                asked.note(&Wording::as_is(with_causes(error)));
                error.refusal()
            }
            Fault::Denied(denial) => {
                asked.note(&Wording::as_is(denial));
                StorageRefusal::NoRight
            }
            Fault::Hidden(denial) => {
                asked.note(&Wording::as_is(denial));
                StorageRefusal::NoFile
            }
        };
        FileFault {
            code: refusal.code(),
            text: refusal.text().to_owned(),
        }
    }
}

fn was_there(was: bool) -> Result<(), Fault> {
    match was {
        true => Ok(()),
        false => Err(Fault::Refused(StorageRefusal::NoFile)),
    }
}

/// Why nothing came of one file.
enum Fault {
    Refused(StorageRefusal),
    Id(FileIdError),
    Place(BlobError),
    Denied(Box<Denial>),
    /// To a client that anybody may be, of a file that it may not read: it is not to learn that there is one.
    Hidden(Box<Denial>),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use blobs::{Blobs, BoxFuture, Folder, FolderOptions, ListBounds, ListEntry, Usage, Writing};
    use files::Storage;

    use super::*;

    /// A place where bob writes `b.txt` right before anything is removed.
    struct Contested(Folder);

    async fn put(blobs: &dyn Blobs, path: &str, owner: &str) {
        let new = NewBlob {
            path: path.parse().unwrap(),
            owner: owner.to_owned(),
            content_type: None,
        };
        let writing = blobs.write(new).await.unwrap();
        writing.finish().await.unwrap();
    }

    impl Blobs for Contested {
        fn write(&self, new: NewBlob) -> BoxFuture<'_, blobs::Result<Box<dyn Writing>>> {
            self.0.write(new)
        }

        fn open<'a>(&'a self, path: &'a CloudPath) -> BoxFuture<'a, blobs::Result<Option<Opened>>> {
            self.0.open(path)
        }

        fn look<'a>(&'a self, path: &'a CloudPath) -> BoxFuture<'a, blobs::Result<Option<Blob>>> {
            self.0.look(path)
        }

        fn remove<'a>(&'a self, paths: &'a [CloudPath]) -> BoxFuture<'a, blobs::Result<Vec<bool>>> {
            Box::pin(async move {
                put(&self.0, "b.txt", "bob").await;
                self.0.remove(paths).await
            })
        }

        fn remove_this<'a>(&'a self, blob: &'a Blob) -> BoxFuture<'a, blobs::Result<Removal>> {
            Box::pin(async move {
                put(&self.0, "b.txt", "bob").await;
                self.0.remove_this(blob).await
            })
        }

        fn list<'a>(&'a self, bounds: ListBounds<'a>) -> BoxFuture<'a, blobs::Result<Vec<ListEntry>>> {
            self.0.list(bounds)
        }

        fn usage(&self) -> BoxFuture<'_, blobs::Result<Usage>> {
            self.0.usage()
        }

        fn check(&self) -> BoxFuture<'_, blobs::Result<()>> {
            self.0.check()
        }
    }

    #[tokio::test]
    async fn an_address_that_the_platform_had_names_its_file() {
        let place = Folder::temporary(FolderOptions::default()).unwrap();
        put(&place, "头像/a b.png", "alice").await;
        let mut access = StorageAccess::in_tests(place);
        let url = "https://656e-env-1259068995.tcb.qcloud.la/%E5%A4%B4%E5%83%8F/a%20b.png?sign=ab&t=1";
        let alice = Caller::of_openid("alice");
        assert!(access.url(url, None, Some(&alice)).await.is_ok());
        for other in [
            "https://656e-env-1259068995.tcb.qcloud.la/none.png",
            "https://example.com/%E5%A4%B4%E5%83%8F/a%20b.png",
        ] {
            assert!(access.url(other, None, None).await.is_err(), "{other}");
        }
        // Another environment's are here only where that is said.
        access.storage = Storage::new("here", "wx1", Some(Vec::new()));
        assert!(access.url(url, None, None).await.is_err());
        access.storage = Storage::new("here", "wx1", Some(vec!["env".to_owned()]));
        assert!(access.url(url, None, None).await.is_ok());
    }

    #[tokio::test]
    async fn a_client_removes_no_file_that_became_anothers_meanwhile() {
        let place = Contested(Folder::temporary(FolderOptions::default()).unwrap());
        put(&place, "a.txt", "alice").await;
        put(&place, "b.txt", "alice").await;
        let access = StorageAccess::in_tests(place);
        // What bob writes while the first goes would be seen in time, and what he writes while the second goes would not.
        let ids = ["b.txt", "a.txt"].map(|path| access.storage.id(&path.parse().unwrap()).to_string());
        let done = access.delete_each(&ids, &Caller::of_openid("alice")).await;
        assert!(matches!(done[..], [Err(Fault::Denied(_)), Ok(())]));
        let left = access.blobs.look(&"b.txt".parse().unwrap()).await.unwrap();
        assert_eq!(left.unwrap().owner, "bob");
    }
    #[tokio::test]
    async fn where_there_is_no_room_the_function_learns_that_and_the_log_the_mend() {
        let place = Folder::temporary(FolderOptions { quota: Some(10) }).unwrap();
        let access = StorageAccess::in_tests(place);
        let keep = |path: &str| access.keep(path.parse().unwrap(), Bytes::from_static(b"0123456"));
        keep("a.txt").await.unwrap();
        let copy = AskedCopy {
            from: "a.txt".to_owned(),
            to: "b.txt".to_owned(),
            overwrite: true,
            remove_original: false,
        };
        for error in [
            keep("b.txt").await.map(drop).map_err(Fault::from).unwrap_err(),
            access.copy_one(&copy, None).await.unwrap_err(),
        ] {
            let Fault::Place(error) = error else { panic!() };
            assert_eq!(error.refusal(), StorageRefusal::NoRoom);
            assert!(with_causes(&error).contains("raise [storage] quota"));
        }
    }
}
