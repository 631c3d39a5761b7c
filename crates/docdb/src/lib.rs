//! MongoDB's language over BSON documents, as far as WeChat's database documents it, and its raw `$` operators.
//!
//! Everything here is a function of what it is given: there is no clock, no chance, no I/O and no thread; the time and
//! the randomness of an operation stand in its [`Context`]. A filter, an update, a projection or a pipeline is parsed
//! once, before any document is looked at, so that what MongoDB refuses is refused on an empty collection too; then it is
//! applied to one document after the other. An [`Error`] carries MongoDB's number and a text that names operator and
//! field. Recursion, regexes and memory are bounded, each beyond a clear error.

pub mod accumulate;
pub mod collection;
mod context;
pub mod document;
pub mod error;
pub mod expr;
pub mod geo;
pub mod index;
pub mod key;
pub mod order;
pub mod path;
pub mod pipeline;
pub mod plan;
pub mod project;
pub mod query;
pub mod raw;
pub mod regex;
pub mod sort;
mod tuple;
pub mod update;

pub use context::{Context, TOO_MUCH_WORK};
pub use error::Error;
