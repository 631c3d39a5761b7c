//! Documents as files hold them: what WeChat's console exports and imports, one JSON array, and CSV.
//!
//! [`DocumentReader`] takes a file apart one document at a time and [`DocumentWriter`] writes one, so that the size of a file
//! does not matter. [`import`] puts what a reader gives into a collection and [`DocumentPages`] takes a collection out again; both work on
//! any [`Database`](crate::Database).
//!
//! *JSON* is Extended JSON (`{"$date": …}`, `{"$oid": …}`), objects one after another as WeChat's console has them, or one array of
//! them. Names are what WeChat's import takes: no dot at either end, no two dots in a row, none twice; a name with a dot in it,
//! `"a.b"`, is a path and makes an object in an object. What was written here may have such names, and is read [as it was
//! written](DocumentReader::as_written).
//!
//! No text can say of an object such as `{"$numberInt": "5"}` that it is one and no number (MongoDB's specification of
//! [Extended JSON](https://github.com/mongodb/specifications/blob/master/source/extended-json/extended-json.md), and so `mongoexport` and
//! `mongoimport`): whoever writes documents is told which [would be read as others](Misread).
//!
//! *CSV* has the paths of fields in its first line. No document of WeChat's says how the types of cells are guessed, so this is a
//! choice: an empty cell is a field that is not there; `true`, `false`, a number written as a program writes it, a
//! time such as `2018-08-31T17:30:00.882Z`, and Extended JSON in brackets are what they look like; everything else is text.
//! So `007`, `1.50` and `+1` stay text, and nothing of them is lost.

mod binary;
mod cell;
mod csv;
mod export;
mod import;
mod json;
mod names;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use self::{
    binary::bson_documents,
    export::DocumentPages,
    import::{
        ConflictMode, ImportCause, ImportError, ImportReport, RefusedDocument, import, import_with, put,
    },
    names::Misread,
    read::{DocumentReader, FileDocument, FileError, FileErrorReason, FileFormat},
    write::{CsvColumns, DocumentWriter, FileLayout, TooManyColumns},
};
