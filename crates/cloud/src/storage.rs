//! The cloud's storage from inside a function, and from a client by itself within what it may: `uploadFile`, `downloadFile`,
//! `getTempFileURL`, `deleteFile` of every SDK.
//!
//! What a request means and how it is answered stands in `tcb::storage`; what a name or an id may be, in `files`. Content goes
//! another way, by the door of files (`file_door`), to which the addresses lead that are given out here.
//!
//! | module | what it has |
//! |---|---|
//! | `access` | what storage is made of, its addresses, who may write where |
//! | `capability` | how functions are answered |
//! | `client` | how clients are answered that ask by themselves |
//! | `operations` | what both do with files |

mod access;
mod capability;
mod client;
mod operations;

pub use access::{FILES, StorageAccess};
pub(crate) use access::{PUBLIC, REFUSED, caller_of, path_of_refused};
pub(crate) use capability::Files;
