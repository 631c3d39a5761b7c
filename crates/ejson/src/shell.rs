//! The syntax of MongoDB's shell, as a person types it: `{age: {$gt: 5}, at: ISODate("2026-01-31"), name: /^a/i}`.
//!
//! It is JavaScript's way to write values, and JSON and Extended JSON are part of it; nothing in it is computed or run. Keys need no quotes,
//! texts may have single ones, a comma may stand at the end, and comments are skipped. Types that JSON lacks are
//! written by the shell's functions, with or without `new`. A whole number is an int32 where it fits, else an int64 where that
//! does; a number with a point or an exponent is a double. What [`to_text`] and [`to_line`] write is read back as the same value.
//!
//! `ISODate()` and `new Date()` are the time that is handed in. A date without a zone is UTC.

mod error_text;
mod read;
mod write;

use bson::{Bson, DateTime, Document};

use crate::{Error, Reason};

pub use error_text::{in_error_text, value_in_error_text};
pub use write::{is_plain_key, quote, to_line, to_text, visible};

/// Reads one value, whitespace and comments around it allowed.
///
/// # Errors
/// Says what is wrong and at which byte; [`Error::place`] makes a line and a column of that.
pub fn read(text: &str, now: DateTime) -> Result<Bson, Error> {
    read::read(text, now)
}

/// Reads one document.
///
/// # Errors
/// As [`read`]; also where the value is not a document.
pub fn read_document(text: &str, now: DateTime) -> Result<Document, Error> {
    match read(text, now)? {
        Bson::Document(document) => Ok(document),
        _ => Err(Error {
            offset: 0,
            reason: Reason::ExpectedDocument,
        }),
    }
}

#[cfg(test)]
mod tests;
