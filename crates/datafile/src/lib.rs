//! A redb file that is kept open for as long as the process runs: what is looked at before it is taken for one of ours
//! (`file`, `trial`), how its commits are written (`journal`, `redo`), and how it comes back after an error of the disk (`guarded`). What is in it is its owner's business.

mod blocks;
mod error;
mod file;
mod guarded;
mod journal;
mod panics;
mod redo;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod trial;

pub use error::{Cause, Failure, FileError, WorkError};
pub use file::{Backend, BringUp, FileSettings, Form, OpenBackend, is_at};
pub use guarded::{DataFile, Wrote};
pub use panics::panics_are_caught;
pub use redo::{Redo, RedoError, RedoStep, RedoSteps, Replay};
