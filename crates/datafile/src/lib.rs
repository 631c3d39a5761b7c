//! A redb file that is kept open for as long as the process runs: what is looked at before it is taken for one of ours
//! (`file`), and how it comes back after an error of the disk (`guarded`). What is in it is its owner's business.

mod error;
mod file;
mod guarded;

pub use error::{Cause, Failure, FileError, WorkError};
pub use file::{Backend, Form};
pub use guarded::{DataFile, Wrote};
