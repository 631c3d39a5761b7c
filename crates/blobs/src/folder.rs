//! Files in a folder of this machine.
//!
//! ```text
//! index.redb     path -> what is known of the file, and the number under which its content lies
//! content/ab/…   contents, by number: no name of a user's ever becomes one of the file system's
//! coming/…       large contents that are still being written
//! lost/…         contents that the index did not name after a crash
//! ```
//!
//! A large file is written in `coming` and moved to `content`, a small one written there in one go; it is synced, and then entered in the
//! index: that one commit is what makes it visible, and what puts away the one that was there before. So a crash at any moment leaves contents that no entry names. Those are
//! put aside at the next start, and not removed: a journal of the index that lost its end looks as one that never had it. Whoever reads has the content open, and keeps it.

mod allocated;
mod at_once;
mod etag;
mod index;
mod reading;
mod small;
mod temporary;
mod writing;

use std::{
    collections::HashSet,
    fmt,
    fs::{self, DirBuilder, File},
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use files::CloudPath;
use tokio::sync::Semaphore;

use crate::{
    Blob, BlobError, Blobs, BoxFuture, ListBounds, ListEntry, NewBlob, OpenBlob, Quota, Removal, Reservation,
    Result, Usage, Writing, error::Cause,
};
use index::{ContentId, Entry, Index};
use temporary::TemporaryFolder;

const INDEX: &str = "index.redb";
const CONTENT: &str = "content";
const COMING: &str = "coming";
const LOST: &str = "lost";

/// How a folder is kept.
#[derive(Clone, Debug, Default)]
pub struct FolderOptions {
    /// Bytes of all files together at most.
    pub quota: Option<u64>,
}

/// Files in a folder. Clones share it. It wants a Tokio runtime.
#[derive(Clone)]
pub struct Folder(Arc<Inner>);

struct Inner {
    root: PathBuf,
    index: Index,
    /// What is read of the folder `content` without waiting for the disk.
    in_memory: at_once::Contents,
    small: small::SmallContents,
    quota: Quota,
    /// Room of readers that read ahead.
    ahead: Arc<Semaphore>,
    /// The folder, where it goes with the process.
    temporary: Option<TemporaryFolder>,
}

impl fmt::Debug for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Folder")
            .field("root", &self.0.root)
            .finish_non_exhaustive()
    }
}

impl Folder {
    /// Opens the folder, or makes it, and sweeps away what uploads that died have left.
    ///
    /// # Errors
    /// It cannot be made or read, another process has it, or its index is not valid.
    pub fn open(root: &Path, options: FolderOptions) -> Result<Self> {
        Ok(Self(Arc::new(Inner::open(root, options)?)))
    }

    /// Whether there are files in this folder that [`open`](Self::open) would find.
    #[must_use]
    pub fn is_at(root: &Path) -> bool {
        root.join(INDEX).is_file()
    }

    /// Files that go with the process, in a folder of the machine's for such.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn temporary(options: FolderOptions) -> Result<Self> {
        let not_opened = |cause: io::Error| BlobError::Open {
            place: std::env::temp_dir().display().to_string(),
            cause: cause.into(),
        };
        let root = TemporaryFolder::make(&std::env::temp_dir()).map_err(not_opened)?;
        let mut inner = Inner::open(root.path(), options)?;
        inner.temporary = Some(root);
        Ok(Self(Arc::new(inner)))
    }

    /// Runs `work` where it may block. It runs to its end even if nobody waits for the answer any more.
    async fn run<T, W>(&self, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: FnOnce(&Inner) -> Result<T> + Send + 'static,
    {
        let inner = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.unwrap_or_else(|ended| Err(BlobError::failed(ended)))
    }
}

impl Inner {
    fn open(root: &Path, options: FolderOptions) -> Result<Self> {
        let not_opened = |cause: io::Error| BlobError::Open {
            place: root.display().to_string(),
            cause: cause.into(),
        };
        for folder in [root.to_owned(), root.join(CONTENT), root.join(COMING)] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)
                .map_err(not_opened)?;
        }
        let index = root.join(INDEX);
        let index_is_new = !index.exists();
        let index = Index::open(&index)?;
        let inner = Self {
            root: root.to_owned(),
            index,
            in_memory: at_once::Contents::open(&root.join(CONTENT)).map_err(not_opened)?,
            small: small::SmallContents::default(),
            quota: Quota::new(options.quota),
            ahead: Arc::new(Semaphore::new(reading::READERS_AHEAD)),
            temporary: None,
        };
        let place = || root.display().to_string();
        match inner.sweep(index_is_new) {
            Ok(true) => Ok(inner),
            Ok(false) => Err(BlobError::IndexLost { place: place() }),
            Err(cause) => Err(BlobError::Open {
                place: place(),
                cause,
            }),
        }
    }

    fn content(&self, id: ContentId) -> PathBuf {
        self.root.join(CONTENT).join(name_of_content(id))
    }

    fn coming(&self, id: ContentId) -> PathBuf {
        self.root.join(COMING).join(id.to_string())
    }

    /// Removes a content that no entry names any more. That it stays is no harm: the next start sweeps it away.
    fn drop_content(&self, id: ContentId) {
        self.small.forget(id);
        if let Err(error) = fs::remove_file(self.content(id)) {
            tracing::warn!(%error, content = %id, "the content of a file that is gone could not be removed");
        }
    }

    /// Removes what was still coming, and every content that no entry names; where the index was not closed, those contents are put
    /// aside, since it may lack its last entries. Only what is called as a content is looked at:
    /// whatever else lies there is somebody's own. Answers whether the index may be that of the contents: a new one is not.
    fn sweep(&self, index_is_new: bool) -> Result<bool, Cause> {
        let mut swept = 0;
        let mut lost = 0;
        for (id, path) in contents(&self.root.join(COMING), "")? {
            tracing::debug!(content = %id, "an upload was interrupted");
            fs::remove_file(path)?;
            swept += 1;
        }
        let named: HashSet<ContentId> = self.index.contents()?;
        for folder in fs::read_dir(self.root.join(CONTENT))? {
            let folder = folder?;
            let name = folder.file_name();
            let Some(first) = name.to_str().filter(|name| name.len() == 2) else {
                continue;
            };
            if !folder.file_type()?.is_dir() {
                continue;
            }
            for (id, path) in contents(&folder.path(), first)? {
                if named.contains(&id) {
                    continue;
                }
                if index_is_new {
                    return Ok(false);
                }
                if self.index.may_lack_the_last() {
                    let aside = self.root.join(LOST);
                    DirBuilder::new().recursive(true).mode(0o700).create(&aside)?;
                    fs::rename(path, aside.join(id.to_string()))?;
                    lost += 1;
                    continue;
                }
                fs::remove_file(path)?;
                swept += 1;
            }
        }
        if lost > 0 {
            tracing::warn!(
                lost, folder = %self.root.join(LOST).display(),
                "the index was not closed, and does not name these contents: they are kept there, since a journal that lost its end may have had them"
            );
        }
        if swept > 0 {
            tracing::info!(swept, folder = %self.root.display(), "swept away what interrupted uploads had left");
        }
        Ok(true)
    }

    /// Opens a file, if that takes no waiting for the disk.
    fn open_at_once(&self, path: &CloudPath) -> Option<OpenBlob> {
        let entry = self.index.recent(path)?;
        let size = entry.blob.size;
        if let Some(content) = self.small.get(entry.content) {
            let content = Box::new(reading::FromDisk::of(content, size));
            return Some(OpenBlob {
                content,
                blob: entry.blob,
            });
        }
        let file = self.in_memory.file(&name_of_content(entry.content))?;
        let content = reading::FromDisk::at_once(file, size, &self.ahead)?;
        Some(self.opened(entry, content))
    }

    fn opened(&self, entry: Entry, content: reading::FromDisk) -> OpenBlob {
        if let Some(whole) = content.whole() {
            self.small.keep(entry.content, whole.clone());
        }
        OpenBlob {
            content: Box::new(content),
            blob: entry.blob,
        }
    }

    /// Has an upload take so many bytes more of the quota.
    fn reserve(&self, reservation: &mut Reservation, more: u64, instead_of: &CloudPath) -> Result<()> {
        if !self.quota.is_bounded() {
            return Ok(());
        }
        let replaced = self.index.look(instead_of)?.map(|entry| entry.blob.size);
        reservation.grow(more, self.index.usage()?.of_quota(replaced))
    }

    /// Whether a content can be written: an index on a disk that is full, or that may only be read, works all the same.
    fn takes_files(&self) -> Result<()> {
        let id = ContentId::new();
        for (path, is_small) in [(self.coming(id), false), (self.content(id), true)] {
            let place = writing::Place(path);
            let mut file = match is_small {
                true => self.in_folder_of(&place.0, || writing::create(&place.0)),
                false => writing::create(&place.0),
            }
            .map_err(BlobError::of_disk)?;
            file.write_all(&[0; 4096]).map_err(BlobError::of_disk)?;
            file.sync_data().map_err(BlobError::of_disk)?;
        }
        Ok(())
    }
}

/// Below the folder `content`.
fn name_of_content(id: ContentId) -> String {
    let mut name = id.to_string();
    name.insert(2, '/');
    name
}

/// The files of a folder that are called as contents are, whose names begin with `first`.
fn contents(folder: &Path, first: &str) -> io::Result<Vec<(ContentId, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{first}{}", entry.file_name().to_string_lossy());
        let is_name = name.len() == 32 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if let (true, Ok(id)) = (is_name, name.parse())
            && entry.file_type()?.is_file()
        {
            found.push((id, entry.path()));
        }
    }
    Ok(found)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

impl Blobs for Folder {
    fn write(&self, new: NewBlob) -> BoxFuture<'_, Result<Box<dyn Writing>>> {
        Box::pin(async move {
            let inner = Arc::clone(&self.0);
            let writing = match self.0.quota.is_bounded() {
                true => self.run(move |_| writing::ToDisk::begin(inner, new)).await?,
                false => writing::ToDisk::begin(inner, new)?,
            };
            Ok(Box::new(writing) as Box<dyn Writing>)
        })
    }

    fn open<'a>(&'a self, path: &'a CloudPath) -> BoxFuture<'a, Result<Option<OpenBlob>>> {
        if let Some(opened) = self.0.open_at_once(path) {
            return Box::pin(std::future::ready(Ok(Some(opened))));
        }
        let path = path.clone();
        Box::pin(self.run(move |inner| {
            // A file that is written anew in between has its content removed: then there is another entry.
            for _ in 0..OPEN_ATTEMPTS {
                let Some(entry) = inner.index.look(&path)? else {
                    return Ok(None);
                };
                match File::open(inner.content(entry.content)) {
                    Ok(file) => {
                        let content = reading::FromDisk::new(file, entry.blob.size, &inner.ahead);
                        let content = content.map_err(BlobError::of_disk)?;
                        return Ok(Some(inner.opened(entry, content)));
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(BlobError::of_disk(error)),
                }
            }
            Err(BlobError::failed(format!(
                "the content of {path} is gone from the folder"
            )))
        }))
    }

    fn look<'a>(&'a self, path: &'a CloudPath) -> BoxFuture<'a, Result<Option<Blob>>> {
        if let Some(entry) = self.0.index.recent(path) {
            return Box::pin(std::future::ready(Ok(Some(entry.blob))));
        }
        let path = path.clone();
        Box::pin(self.run(move |inner| Ok(inner.index.look(&path)?.map(|entry| entry.blob))))
    }

    fn remove<'a>(&'a self, paths: &'a [CloudPath]) -> BoxFuture<'a, Result<Vec<bool>>> {
        let paths = paths.to_vec();
        Box::pin(self.run(move |inner| {
            let removed = inner.index.remove(&paths)?;
            removed
                .iter()
                .flatten()
                .for_each(|content| inner.drop_content(*content));
            Ok(removed.iter().map(Option::is_some).collect())
        }))
    }

    fn remove_this<'a>(&'a self, blob: &'a Blob) -> BoxFuture<'a, Result<Removal>> {
        let blob = blob.clone();
        Box::pin(self.run(move |inner| {
            let (removal, content) = inner.index.remove_this(&blob)?;
            content
                .into_iter()
                .for_each(|content| inner.drop_content(content));
            Ok(removal)
        }))
    }

    fn list<'a>(&'a self, bounds: ListBounds<'a>) -> BoxFuture<'a, Result<Vec<ListEntry>>> {
        let (prefix, after) = (bounds.prefix.to_owned(), bounds.after.map(str::to_owned));
        let (folders, most) = (bounds.folders, bounds.most);
        Box::pin(self.run(move |inner| {
            Ok(inner.index.list(&ListBounds {
                prefix: &prefix,
                after: after.as_deref(),
                folders,
                most,
            })?)
        }))
    }

    fn usage(&self) -> BoxFuture<'_, Result<Usage>> {
        Box::pin(self.run(|inner| Ok(inner.index.usage()?)))
    }

    fn check(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.run(|inner| {
            inner.index.check()?;
            inner.takes_files()
        }))
    }
}

/// How often a file is looked up that is being written anew while it is opened.
const OPEN_ATTEMPTS: usize = 100;

#[cfg(test)]
mod tests;
