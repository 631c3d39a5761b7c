//! The gateway's REST, the dialect of SDKs since 3.3 and of whoever speaks plain HTTP: documents and files by path. Functions need
//! nothing of it: the body is their data, and the answer their result.
//!
//! Values of documents are Extended JSON, canonical in answers; requests may be relaxed, or as older SDKs wrote them. What is asked
//! becomes fields of the modern SDK, and is read as those are (`tcb::database`), limits and all.

mod documents;
mod storage;

pub use documents::{DOCUMENTS, DocumentCall};
pub use storage::{STORAGES, StorageCall, done, download_info, upload_info};
