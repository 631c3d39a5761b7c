//! How clients are answered that ask for files by themselves.

use std::time::Instant;

use files::{CloudPath, StorageRefusal};
use rules::{Caller, Operation};
use tcb::{
    Envelope, SdkReply, codes, reply,
    storage::{self, FileFault, OfFile, StorageAction, StorageRequest, UploadPlace},
};
use wording::wording;

use super::{StorageAccess, operations::Fault};
use crate::{
    CloudRequest,
    cdn::{self, CDN_LIFE, CdnShares},
};

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
        let path = CloudPath::to_write(path).map_err(|error| FileFault {
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
}
