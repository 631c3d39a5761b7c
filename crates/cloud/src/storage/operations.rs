//! What is done with files for whoever asks, a client within what it may.

use blobs::{Blob, BlobError, NewBlob, OpenBlob, Removal};
use bytes::Bytes;
use causes::with_causes;
use files::{CloudPath, CloudPathError, FileIdError, StorageRefusal, path_of_platform_url};
use rules::{Caller, Denial, Operation};
use tcb::storage::{AskedCopy, AskedUrl, FileFault, MadeUrl, OfFile};
use wording::{Wording, wording};

use super::StorageAccess;
use crate::CloudRequest;

/// How often a file is judged anew that becomes another before it is removed.
const DELETE_ATTEMPTS: u32 = 10;

impl StorageAccess {
    pub(super) async fn keep(&self, path: CloudPath, content: Bytes) -> Result<Blob, BlobError> {
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
        for _ in 0..DELETE_ATTEMPTS {
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
            let to = copy.to.trim_start_matches('/').parse();
            let id = to.map_or(copy.to, |path| self.storage.id(&path).to_string());
            files.push((id, done.map_err(|fault| self.fault(fault, asked))));
        }
        files
    }

    async fn copy_one(&self, copy: &AskedCopy, client: Option<&Caller>) -> Result<(), Fault> {
        let from = copy.from.trim_start_matches('/').parse::<CloudPath>();
        let from = from.map_err(FileIdError::from)?;
        let to = CloudPath::to_write(copy.to.trim_start_matches('/')).map_err(Fault::Path)?;
        let Some(OpenBlob {
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
    pub(super) fn fault(&self, fault: Fault, asked: &CloudRequest) -> FileFault {
        let refusal = match &fault {
            Fault::Refused(refusal) => *refusal,
            Fault::Path(error) => {
                return FileFault {
                    code: StorageRefusal::Malformed.code(),
                    text: error.to_string(),
                };
            }
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
pub(super) enum Fault {
    Refused(StorageRefusal),
    Id(FileIdError),
    /// Nothing can be written there.
    Path(CloudPathError),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use blobs::{
        BESIDE_CONTENT, Blobs, BoxFuture, Folder, FolderOptions, ListBounds, ListEntry, Usage, Writing,
    };
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

        fn open<'a>(&'a self, path: &'a CloudPath) -> BoxFuture<'a, blobs::Result<Option<OpenBlob>>> {
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
        let place = Folder::temporary(FolderOptions {
            quota: Some(BESIDE_CONTENT + 10),
        })
        .unwrap();
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
            assert!(with_causes(&error).to_string().contains("raise [storage] quota"));
        }
    }
}
