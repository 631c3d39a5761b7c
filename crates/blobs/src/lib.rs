//! Where files are kept. [`Blobs`] is what the cloud's storage needs of a place for them; [`Folder`] is the one that needs nothing
//! but a disk.
//!
//! Content comes and goes as a stream, and is never held whole. What is written becomes visible at once and whole, when
//! [`Writing::finish`] answers, and it outlives a crash by then; whoever drops a [`Writing`] before leaves what was there. What a
//! reader gets is of one file: it never goes on in one that was written in between.

#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod error;
mod folder;
mod quota;

use std::{
    future::Future,
    pin::Pin,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use files::{CloudPath, Part};

pub use error::{BlobError, Cause};
pub use folder::{Folder, FolderOptions};
pub use quota::{Quota, Reservation};

/// A future on the heap, which a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What most methods answer.
pub type Result<T, E = BlobError> = std::result::Result<T, E>;

/// What is known of a file beside its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Where it lies.
    pub path: CloudPath,
    /// Bytes.
    pub size: u64,
    /// A text that differs for each content. As on the platform it is the MD5 in hexadecimal; of a large one, and in an object store of what came in
    /// parts, it is something else, with `-` and a number at its end.
    pub etag: String,
    /// Its type, as whoever uploaded it said; `None` where nobody did, and the name has to tell.
    pub content_type: Option<String>,
    /// Whose it is: an openid or a uid; empty for what a function uploaded.
    pub owner: String,
    /// When it was written, by the clock of the place: in milliseconds in a folder, and in seconds in an object store.
    pub modified: SystemTime,
}

/// A file that is about to be written.
#[derive(Clone, Debug)]
pub struct NewBlob {
    /// Where to.
    pub path: CloudPath,
    /// Whose it will be.
    pub owner: String,
    /// Its type, where somebody said.
    pub content_type: Option<String>,
}

/// A part of a list of files.
#[derive(Clone, Debug, Default)]
pub struct ListBounds<'a> {
    /// What their paths begin with.
    pub prefix: &'a str,
    /// The path after which the list goes on.
    pub after: Option<&'a str>,
    /// Whether names below a folder are drawn together into that folder.
    pub folders: bool,
    /// Entries at most.
    pub most: usize,
}

/// An entry of a list, in the order of paths' bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListEntry {
    /// A file.
    File(Blob),
    /// A folder, with `/` at its end.
    Folder(String),
}

impl ListEntry {
    /// The path of the file, or of the folder with `/` at its end.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::File(blob) => blob.path.as_str(),
            Self::Folder(folder) => folder,
        }
    }
}

/// What became of a file that was to be removed as it was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is removed.
    Done,
    /// There was none.
    Missing,
    /// There is another in its place, which stays.
    Changed,
}

/// What a file takes of a quota beside its content, whatever it is: its name of up to 850 bytes, its type and owner, and its place on the
/// disk are within that. So files of no bytes have a bound in number as well.
pub const BESIDE_CONTENT: u64 = 4096;

/// What lies in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Files.
    pub files: u64,
    /// Bytes of their contents.
    pub bytes: u64,
}

impl Usage {
    /// What it takes of a quota, without a file whose place is taken by another and which has so many bytes.
    #[must_use]
    pub fn of_quota(self, replaced: Option<u64>) -> u64 {
        let files = self.files.saturating_sub(u64::from(replaced.is_some()));
        let bytes = self.bytes.saturating_sub(replaced.unwrap_or_default());
        bytes.saturating_add(files.saturating_mul(BESIDE_CONTENT))
    }
}

/// A place for files.
pub trait Blobs: Send + Sync + 'static {
    /// Begins to write a file.
    ///
    /// # Errors
    /// The place cannot take one.
    fn write(&self, new: NewBlob) -> BoxFuture<'_, Result<Box<dyn Writing>>>;

    /// Opens a file to be read; `None` if there is none.
    ///
    /// # Errors
    /// The place fails. Where it keeps no file for its reader, the first [`Reading::next`] may say [`BlobError::Changed`]: then it is
    /// to be opened again.
    fn open<'a>(&'a self, path: &'a CloudPath) -> BoxFuture<'a, Result<Option<OpenBlob>>>;

    /// What is known of a file; `None` if there is none.
    ///
    /// # Errors
    /// The place fails.
    fn look<'a>(&'a self, path: &'a CloudPath) -> BoxFuture<'a, Result<Option<Blob>>>;

    /// Removes files; answers which of them there were, in their order.
    ///
    /// # Errors
    /// The place fails; some may be gone.
    fn remove<'a>(&'a self, paths: &'a [CloudPath]) -> BoxFuture<'a, Result<Vec<bool>>>;

    /// Removes a file if it is still this one, as [`look`](Self::look) or [`open`](Self::open) gave it: for whoever judged by that whether it
    /// may go. A place that cannot do both at once looks right before it removes.
    ///
    /// # Errors
    /// The place fails; it may be gone.
    fn remove_this<'a>(&'a self, blob: &'a Blob) -> BoxFuture<'a, Result<Removal>> {
        Box::pin(async move {
            let removed = match self.look(&blob.path).await? {
                Some(there) if there != *blob => return Ok(Removal::Changed),
                Some(_) => self.remove(std::slice::from_ref(&blob.path)).await?,
                None => Vec::new(),
            };
            Ok(match removed.contains(&true) {
                true => Removal::Done,
                false => Removal::Missing,
            })
        })
    }

    /// Lists files.
    ///
    /// # Errors
    /// The place fails.
    fn list<'a>(&'a self, bounds: ListBounds<'a>) -> BoxFuture<'a, Result<Vec<ListEntry>>>;

    /// How much there is.
    ///
    /// # Errors
    /// The place fails.
    fn usage(&self) -> BoxFuture<'_, Result<Usage>>;

    /// Whether it works. After a failed write this may be the write that tries the disk again.
    ///
    /// # Errors
    /// It does not.
    fn check(&self) -> BoxFuture<'_, Result<()>>;

    /// Removes what uploads have left that began so long ago and never ended; answers how much that was. A place that does so
    /// by itself when it is opened has nothing to remove.
    ///
    /// # Errors
    /// The place fails.
    fn sweep(&self, older_than: Duration) -> BoxFuture<'_, Result<u64>> {
        let _ = older_than;
        Box::pin(async { Ok(0) })
    }

    /// An address at the place itself, by which anybody can read the file for so long; `None` where the place has none for it. It has no
    /// `%` in it: the SDK encodes an address before it uses it.
    ///
    /// # Errors
    /// The place fails.
    fn address<'a>(&'a self, path: &'a CloudPath, life: Duration) -> BoxFuture<'a, Result<Option<String>>> {
        let _ = (path, life);
        Box::pin(async { Ok(None) })
    }
}

/// Judges what lies at a path, `None` where nothing does: whether a file may take its place.
pub type MayReplace = Box<dyn Fn(Option<&Blob>) -> bool + Send + Sync>;

/// A file that is being written.
pub trait Writing: Send {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// The place fails, or is full. Nothing else than dropping it makes sense then.
    fn push(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>>;

    /// Has it take the place of what was there.
    ///
    /// # Errors
    /// The place fails; what was there still is.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Blob>>;

    /// The same where `may` allows it of what lies there at that moment; `None` where it does not, and what lies there stays. It is asked
    /// again for whatever comes in between. A place that cannot do both at once asks right before.
    ///
    /// # Errors
    /// As of [`finish`](Self::finish); or the place takes files for an operator alone, whom nothing is refused.
    fn finish_if(self: Box<Self>, may: MayReplace) -> BoxFuture<'static, Result<Option<Blob>>>;
}

/// A file that is open.
pub struct OpenBlob {
    /// What is known of it.
    pub blob: Blob,
    /// Its content.
    pub content: Box<dyn Reading>,
}

/// The content of a file that is open.
pub trait Reading: Send {
    /// Begins at a part of it, where not all is wanted.
    fn seek(&mut self, part: Part);

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// The place fails.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>>>;
}

/// The machine's time in milliseconds, as files are dated by.
#[must_use]
pub fn now() -> SystemTime {
    #[expect(
        clippy::disallowed_methods,
        reason = "when a file was written is no time of WeChat's"
    )]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl std::fmt::Debug for OpenBlob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenBlob")
            .field("blob", &self.blob)
            .finish_non_exhaustive()
    }
}
