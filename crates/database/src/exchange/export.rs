//! A collection from one end to the other, a page at a time, in the order of `_id`. A page is asked for by the `_id` behind which it
//! begins, so none costs more than another; and so documents that come and go meanwhile are seen, or not.

use bson::{Bson, Document, RawDocumentBuf, doc};

use crate::{Database, DatabaseError, Find, id_kind};

/// Documents on a page at most.
const PAGE: u64 = 1000;
/// Documents on the first page, before it is known how large they are.
const FIRST_PAGE: u64 = 100;
/// Bytes that a page shall have.
const PAGE_BYTES: u64 = 2 << 20;

/// What is left of a collection to read, one kind of `_id`s after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct DocumentPages {
    filter: Document,
    /// The kind that is read.
    kind: usize,
    /// The last `_id` of it that was given.
    after: Option<Bson>,
    /// Documents on a page: fewer where they are large.
    most: u64,
}

impl DocumentPages {
    /// Of the documents that match `filter`.
    #[must_use]
    pub const fn new(filter: Document) -> Self {
        Self {
            filter,
            kind: 0,
            after: None,
            most: FIRST_PAGE,
        }
    }

    /// The next documents; `None` behind the last ones.
    ///
    /// # Errors
    /// Where the database cannot read it.
    pub async fn next(
        &mut self,
        database: &dyn Database,
        collection: &str,
    ) -> Result<Option<Vec<RawDocumentBuf>>, DatabaseError> {
        while let Some(kind) = id_kind(self.kind) {
            let alone = kind.contains_key("$eq");
            let by_id = match &self.after {
                Some(last) => doc! { "$gt": last.clone() },
                None => kind,
            };
            let mut filter = doc! { "_id": by_id };
            if !self.filter.is_empty() {
                filter = doc! { "$and": [filter, self.filter.clone()] };
            }
            let find = Find {
                filter,
                sort: Some(doc! { "_id": 1 }),
                limit: Some(self.most),
                ..Find::default()
            };
            let documents = match database.find(collection, find, None).await {
                Ok(found) => found.documents,
                Err(DatabaseError::AnswerTooLarge(_)) if self.most > 1 => {
                    self.most = self.most.div_ceil(4);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let full = documents.len() as u64 >= self.most;
            let last = documents.last().and_then(|last| last.get("_id").ok().flatten());
            self.after = last.and_then(|id| Bson::try_from(id).ok());
            if !full || self.after.is_none() || alone {
                self.kind += 1;
                self.after = None;
            }
            if !documents.is_empty() {
                self.adapt(&documents);
                return Ok(Some(documents));
            }
        }
        Ok(None)
    }

    /// Sets the number of documents of the next page by how large these were.
    fn adapt(&mut self, documents: &[RawDocumentBuf]) {
        let bytes: usize = documents.iter().map(|document| document.as_bytes().len()).sum();
        let each = (bytes / documents.len().max(1)).max(1) as u64;
        self.most = (PAGE_BYTES / each).clamp(1, PAGE);
    }

    /// Where the next page begins, as text by which [`DocumentPages::resumed`] goes on.
    #[must_use]
    pub fn bookmark(&self) -> String {
        let mut bookmark = doc! { "kind": self.kind as i64, "most": self.most as i64 };
        if let Some(after) = &self.after {
            bookmark.insert("after", after.clone());
        }
        ejson::to_text(&bookmark, ejson::Style::Canonical)
    }

    /// Goes on at a bookmark; `None` where it is none.
    #[must_use]
    pub fn resumed(filter: Document, bookmark: &str) -> Option<Self> {
        let bookmark = ejson::read_document(bookmark.as_bytes()).ok()?;
        let number = |name: &str| u64::try_from(bookmark.get_i64(name).ok()?).ok();
        Some(Self {
            filter,
            kind: usize::try_from(number("kind")?).ok()?,
            after: bookmark.get("after").cloned(),
            most: number("most")?.clamp(1, PAGE),
        })
    }
}
