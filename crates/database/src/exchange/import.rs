//! Documents into a collection: of each document it is known whether it went in, and if not, why.

use std::io::Read;

use bson::{Bson, doc, oid::ObjectId};
use docdb::document::with_id;
use futures_util::{StreamExt as _, stream};
use wording::Wording;

use super::read::{DocumentReader, FileDocument, FileError};
use crate::{Database, DatabaseError, ID_INDEX, Update, UpdateKind};

/// Documents of one batch at most.
const BATCH: usize = 1000;
/// Bytes of one batch at most, as text; one document in any case.
const BATCH_BYTES: usize = 4 << 20;
/// Replacements under way at once.
const AT_ONCE: usize = 256;
/// Documents that were refused and are told in full.
const TOLD: usize = 20;

/// What becomes of a document whose `_id` another one has: the two modes of WeChat's import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConflictMode {
    /// It is refused, and the other one stays as it is.
    #[default]
    Insert,
    /// It takes the other one's place.
    Upsert,
}

/// What came of an import so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Documents that were added.
    pub added: u64,
    /// Documents that took another one's place.
    pub replaced: u64,
    /// Documents that did not go in.
    pub refused: u64,
    /// Of those, the ones whose `_id` another document has, which they would [replace](ConflictMode::Upsert).
    pub id_taken: u64,
    /// Documents of the file in which a name with a dot in it was taken for a path.
    pub with_paths: u64,
    /// The first of all that were refused.
    pub told: Vec<RefusedDocument>,
}

/// A document that did not go in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedDocument {
    /// Where it begins in its file.
    pub line: u64,
    /// Why it was refused.
    pub text: String,
}

impl ImportReport {
    /// Documents that went in.
    #[must_use]
    pub const fn went_in(&self) -> u64 {
        self.added + self.replaced
    }

    /// Adds what came of further documents.
    pub fn extend(&mut self, more: Self) {
        self.added += more.added;
        self.replaced += more.replaced;
        self.refused += more.refused;
        self.id_taken += more.id_taken;
        self.with_paths += more.with_paths;
        let room = TOLD.saturating_sub(self.told.len());
        self.told.extend(more.told.into_iter().take(room));
    }

    fn refuse(&mut self, line: u64, error: &DatabaseError) {
        self.refused += 1;
        if matches!(error, DatabaseError::Duplicate { index, .. } if index == ID_INDEX) {
            self.id_taken += 1;
        }
        if self.told.len() < TOLD {
            let text = error.to_string();
            self.told.push(RefusedDocument { line, text });
        }
    }
}

/// An import that ended before its file did. What went in stays in.
#[derive(Debug, thiserror::Error)]
#[error("{cause}; {} documents went in before", .imported.went_in())]
pub struct ImportError<E: std::error::Error + 'static> {
    /// What came of it up to there.
    pub imported: ImportReport,
    /// Why it ended.
    #[source]
    pub cause: ImportCause<E>,
}

/// Why an import ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportCause<E: std::error::Error + 'static> {
    /// The file cannot be read on.
    #[error(transparent)]
    Read(#[from] FileError),
    /// The documents cannot be put in.
    #[error(transparent)]
    Put(E),
}

impl ImportCause<DatabaseError> {
    /// What is said of it, in both languages.
    #[must_use]
    pub fn wording(&self) -> Wording {
        match self {
            Self::Read(error) => error.wording(),
            Self::Put(error) => error.wording(),
        }
    }
}

/// Puts all documents of a file into a collection; `progress` is told how far it is, after each thousand or so.
///
/// # Errors
/// Where the file cannot be read on, or the database fails; a document that is refused does not end it.
pub async fn import<R: Read>(
    database: &dyn Database,
    collection: &str,
    documents: &mut DocumentReader<R>,
    conflict: ConflictMode,
    progress: impl FnMut(&ImportReport),
) -> Result<ImportReport, ImportError<DatabaseError>> {
    let put = |batch| put(database, collection, batch, conflict);
    import_with(documents, put, progress).await
}

/// As [`import`], where `put` puts a batch of documents to where they belong.
///
/// # Errors
/// Where the file cannot be read on, or `put` fails.
pub async fn import_with<R, F, E>(
    documents: &mut DocumentReader<R>,
    mut put: impl FnMut(Vec<FileDocument>) -> F,
    mut progress: impl FnMut(&ImportReport),
) -> Result<ImportReport, ImportError<E>>
where
    R: Read,
    F: Future<Output = Result<ImportReport, E>>,
    E: std::error::Error + 'static,
{
    let mut imported = ImportReport::default();
    loop {
        let (batch, failure) = batch(documents);
        let last = batch.is_empty();
        if !last {
            imported.with_paths += batch.iter().filter(|read| read.has_paths).count() as u64;
            match put(batch).await {
                Ok(more) => imported.extend(more),
                Err(error) => {
                    let cause = ImportCause::Put(error);
                    return Err(ImportError { imported, cause });
                }
            }
            progress(&imported);
        }
        if let Some(error) = failure {
            let cause = ImportCause::Read(error);
            return Err(ImportError { imported, cause });
        }
        if last {
            return Ok(imported);
        }
    }
}

/// The next documents, and why there are no more where the file is broken.
fn batch<R: Read>(documents: &mut DocumentReader<R>) -> (Vec<FileDocument>, Option<FileError>) {
    let mut batch = Vec::new();
    let mut bytes = 0;
    while batch.len() < BATCH && bytes < BATCH_BYTES {
        match documents.next() {
            None => break,
            Some(Ok(document)) => {
                bytes += document.bytes;
                batch.push(document);
            }
            Some(Err(error)) => return (batch, Some(error)),
        }
    }
    (batch, None)
}

/// Puts documents into a collection, in their order. One without an `_id` gets one of 24 hex digits, as the platform's import gives.
///
/// # Errors
/// Where the database fails, or the collection is not there; a document that is refused is counted.
pub async fn put(
    database: &dyn Database,
    collection: &str,
    documents: Vec<FileDocument>,
    conflict: ConflictMode,
) -> Result<ImportReport, DatabaseError> {
    let (to_replace, to_add): (Vec<_>, Vec<_>) = documents
        .into_iter()
        .partition(|read| conflict == ConflictMode::Upsert && read.document.contains_key("_id"));
    let mut report = add(database, collection, to_add).await?;
    report.extend(replace(database, collection, to_replace).await?);
    report.told.sort_by_key(|refused| refused.line);
    Ok(report)
}

async fn add(
    database: &dyn Database,
    collection: &str,
    documents: Vec<FileDocument>,
) -> Result<ImportReport, DatabaseError> {
    let lines: Vec<u64> = documents.iter().map(|read| read.line).collect();
    let id = || Bson::String(ObjectId::new().to_hex());
    let documents = documents.into_iter().map(|read| with_id(read.document, id));
    let inserted = database
        .insert_each(collection, documents.collect(), false, None)
        .await?;
    let mut report = ImportReport {
        added: inserted.ids.len() as u64,
        ..ImportReport::default()
    };
    for (at, error) in inserted.refused {
        report.refuse(lines.get(at).copied().unwrap_or_default(), &error);
    }
    Ok(report)
}

/// Has documents take the place of those that have their `_id`s. Many writes are under way at once, in their order, so that one
/// commit takes many of them.
async fn replace(
    database: &dyn Database,
    collection: &str,
    documents: Vec<FileDocument>,
) -> Result<ImportReport, DatabaseError> {
    let writes = documents.into_iter().map(|read| async move {
        let id = read.document.get("_id").cloned().unwrap_or(Bson::Null);
        let update = Update {
            filter: doc! { "_id": { "$eq": id.clone() } },
            kind: UpdateKind::Replacement(read.document),
            array_filters: Vec::new(),
            many: false,
            sort: None,
            upsert: Some(id),
            largest: None,
            returns: None,
        };
        (read.line, database.update(collection, update, None).await)
    });
    let mut writes = stream::iter(writes).buffered(AT_ONCE);
    let mut report = ImportReport::default();
    while let Some((line, written)) = writes.next().await {
        match written {
            Ok(updated) if updated.upserted.is_some() => report.added += 1,
            Ok(_) => report.replaced += 1,
            Err(error @ (DatabaseError::Duplicate { .. } | DatabaseError::Refused(_))) => {
                report.refuse(line, &error);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(report)
}
