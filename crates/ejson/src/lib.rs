//! Extended JSON v2 to BSON and back, by bytes.
//!
//! BSON has types that JSON lacks; Extended JSON writes them as objects with one `$` name: `{"$date":{"$numberLong":"0"}}`.
//! The canonical form names every number's type, so that nothing is lost; the relaxed form writes plain numbers. Reading
//! takes both, and the older forms of v1, in one pass without a tree of JSON in between; writing starts from a document
//! or from its BSON bytes. Nesting is bounded ([`MAX_DEPTH`]).
//!
//! An object that opens with a name of an operator (`{"$regex":"a","$options":"i"}`, `{"$type":"int"}`, `{"$set":…}`)
//! stays a document: a query means the same by it. [`read_legacy`] takes `$regex` with `$options` as a regular
//! expression, as the oldest SDKs send one.
//!
//! [`shell`] reads and writes what a person types: the syntax of MongoDB's shell.

mod error;
pub mod raw;
mod read;
pub mod shell;
mod write;

use bson::{Bson, Document, RawDocument};

pub use error::{Error, Reason};
pub use raw::Malformed;
pub use write::Style;

/// Objects and arrays in one another: the 200 that MongoDB allows a document, and what stands around one.
pub const MAX_DEPTH: usize = 256;

/// Reads one value, whitespace around it allowed.
///
/// # Errors
/// Says what is wrong and at which byte.
pub fn read(text: &[u8]) -> Result<Bson, Error> {
    read::read(text, false)
}

/// Reads one value of the oldest SDKs: `{"$regex":"a","$options":"i"}` is a regular expression.
///
/// # Errors
/// As [`read`].
pub fn read_legacy(text: &[u8]) -> Result<Bson, Error> {
    read::read(text, true)
}

/// Reads one document.
///
/// # Errors
/// As [`read`]; also where the value is not a document.
pub fn read_document(text: &[u8]) -> Result<Document, Error> {
    match read(text)? {
        Bson::Document(document) => Ok(document),
        _ => Err(Error {
            offset: 0,
            reason: Reason::ExpectedDocument,
        }),
    }
}

/// Reads documents one after another, whitespace or commas between them: what WeChat's console exports. A name that stands
/// twice in a document is refused, as WeChat's import does, so that nothing is lost unseen.
pub fn read_documents(text: &[u8]) -> impl Iterator<Item = Result<Document, Error>> {
    read::Documents::new(text)
}

/// Appends `value` in `style`.
pub fn write(out: &mut Vec<u8>, value: &Bson, style: Style) {
    write::value(out, value, style);
}

/// Appends `document` in `style`.
pub fn write_document(out: &mut Vec<u8>, document: &Document, style: Style) {
    write::document(out, document, style);
}

/// Appends a document in `style` from its BSON bytes, without decoding it first.
///
/// # Errors
/// Where the bytes are no BSON; what was appended so far stays.
pub fn write_raw(out: &mut Vec<u8>, document: &RawDocument, style: Style) -> Result<(), Malformed> {
    write::raw_document(out, document.as_bytes(), style)
}

/// Appends a document in `style` from its BSON bytes as a string literal of JSON, in one pass: how the SDKs are answered.
///
/// # Errors
/// As [`write_raw`].
pub fn write_raw_as_string(out: &mut Vec<u8>, document: &RawDocument, style: Style) -> Result<(), Malformed> {
    out.push(b'"');
    write::raw_document_within(out, document.as_bytes(), style)?;
    out.push(b'"');
    Ok(())
}

/// A document as text.
#[must_use]
pub fn to_text(document: &Document, style: Style) -> String {
    let mut out = Vec::with_capacity(256);
    write_document(&mut out, document, style);
    // Everything that is written comes from text, or is ASCII.
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests;
