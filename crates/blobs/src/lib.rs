//! Where files are kept. [`Blobs`] is what the cloud's storage needs of a place for them; [`Folder`] is the one that comes with
//! the binary.
//!
//! Content comes and goes as a stream, and is never held whole. What is written becomes visible at once and whole, when
//! [`Writing::finish`] answers, and it is on the disk by then; whoever drops a [`Writing`] before leaves what was there. A file that is
//! being read stays what it was for its reader.

#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod error;
mod folder;

use std::{future::Future, pin::Pin, time::SystemTime};

use bytes::Bytes;
use files::{CloudPath, Part};

pub use error::BlobError;
pub use folder::{Folder, FolderOptions};

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
    /// The MD5 of its content in hexadecimal, as the platform's ETag.
    pub etag: String,
    /// Its type, as whoever uploaded it said; `None` where nobody did, and the name has to tell.
    pub content_type: Option<String>,
    /// Whose it is: an openid or a uid; empty for what a function uploaded.
    pub owner: String,
    /// When it was written, by the machine's clock; in milliseconds.
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

/// What lies in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
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
    /// The place fails.
    fn open<'a>(&'a self, path: &'a CloudPath) -> BoxFuture<'a, Result<Option<Opened>>>;

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

    /// Whether it works; where a write failed, the next one may be this.
    ///
    /// # Errors
    /// It does not.
    fn check(&self) -> BoxFuture<'_, Result<()>>;
}

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
}

/// A file that is open.
pub struct Opened {
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

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("blob", &self.blob)
            .finish_non_exhaustive()
    }
}
