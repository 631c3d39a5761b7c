//! What was done to documents on the page, kept for a while, so that it can be undone.

use std::{
    collections::{VecDeque, hash_map::DefaultHasher},
    hash::Hasher as _,
    sync::{Mutex, PoisonError},
};

use bson::{Bson, Document, RawDocumentBuf, doc};
use database::{Database, DatabaseError, Find, ID_INDEX, ReturnedDocument, Update, UpdateKind};
use gateway::ReplyBody;
use http::{Response, StatusCode};
use maud::{Markup, html};

use super::{CHANGED, failed, refused};
use crate::{
    Inner,
    lang::Lang,
    layout::Viewer,
    web::{self, Fields},
};

/// Deeds that are kept.
const KEPT: usize = 50;
/// Bytes of documents that are kept for them.
const KEPT_BYTES: usize = 32 << 20;

/// Something that was done to a document.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    /// It was added, and has become this.
    Added(RawDocumentBuf),
    /// It was changed from the first to the second.
    Changed(RawDocumentBuf, RawDocumentBuf),
    /// It was removed.
    Removed(RawDocumentBuf),
}

/// The last deeds.
#[derive(Debug, Default)]
pub(crate) struct UndoLog(Mutex<Log>);

#[derive(Debug, Default)]
struct Log {
    deeds: VecDeque<Entry>,
    bytes: usize,
    last: u64,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    collection: String,
    deed: Deed,
}

impl Deed {
    fn bytes(&self) -> usize {
        match self {
            Self::Added(document) | Self::Removed(document) => document.as_bytes().len(),
            Self::Changed(before, after) => before.as_bytes().len() + after.as_bytes().len(),
        }
    }
}

impl UndoLog {
    /// Keeps a deed; answers the button that undoes it.
    pub(super) fn keep(&self, lang: Lang, collection: &str, deed: Deed) -> Markup {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.last += 1;
        let number = log.last;
        log.bytes += deed.bytes();
        log.deeds.push_back(Entry {
            number,
            collection: collection.to_owned(),
            deed,
        });
        while log.deeds.len() > KEPT || (log.bytes > KEPT_BYTES && log.deeds.len() > 1) {
            let Some(oldest) = log.deeds.pop_front() else {
                break;
            };
            log.bytes -= oldest.deed.bytes();
        }
        html! {
            form .inline hx-post="/data/undo" hx-target="#said" {
                input type="hidden" name="number" value=(number);
                button { (lang.t("Undo", "撤销")) }
            }
        }
    }

    /// Takes a deed out, so that it is undone once.
    fn take(&self, number: u64) -> Option<(String, Deed)> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = log.deeds.iter().position(|entry| entry.number == number)?;
        let entry = log.deeds.remove(at)?;
        log.bytes -= entry.deed.bytes();
        Some((entry.collection, entry.deed))
    }

    /// Puts a deed back that could not be undone.
    fn put_back(&self, number: u64, collection: String, deed: Deed) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.bytes += deed.bytes();
        log.deeds.push_front(Entry {
            number,
            collection,
            deed,
        });
    }
}

/// Undoes what a button says.
pub(super) async fn answer(inner: &Inner, viewer: &Viewer, form: &Fields) -> Response<ReplyBody> {
    let lang = viewer.lang;
    let taken = form
        .get("number")
        .parse()
        .ok()
        .and_then(|number| Some((number, inner.undo.take(number)?)));
    let Some((number, (collection, deed))) = taken else {
        let text = lang.t("This cannot be undone any more.", "已无法撤销。");
        return web::html(StatusCode::OK, refused(text));
    };
    match undo(&*inner.database, &collection, deed.clone()).await {
        Ok(true) => {
            let said = html! { p .notice role="status" { (lang.t("Undone.", "已撤销。")) } };
            web::part(said, CHANGED.0, CHANGED.1)
        }
        Ok(false) => web::html(
            StatusCode::OK,
            refused(lang.t(
                "The document was changed since: it stays as it is.",
                "此后这条记录又被修改过，保持现状。",
            )),
        ),
        Err(error) => {
            inner.undo.put_back(number, collection, deed);
            web::html(StatusCode::OK, failed(lang, &error.wording()))
        }
    }
}

/// Undoes a deed; answers whether the document was still as the deed had left it.
async fn undo(database: &dyn Database, collection: &str, deed: Deed) -> Result<bool, DatabaseError> {
    match deed {
        Deed::Removed(document) => match database.insert(collection, vec![decoded(&document)?], None).await {
            Ok(_) => Ok(true),
            Err(DatabaseError::Duplicate { index, .. }) if index == ID_INDEX => Ok(false),
            Err(error) => Err(error),
        },
        Deed::Added(document) => remove(database, collection, &document).await,
        Deed::Changed(before, after) => {
            let before = decoded(&before)?;
            Ok(replace(database, collection, &after, before).await?.is_some())
        }
    }
}

/// The document of this `_id`.
pub(super) async fn find(
    database: &dyn Database,
    collection: &str,
    id: &Bson,
) -> Result<Option<RawDocumentBuf>, DatabaseError> {
    let find = Find {
        filter: doc! { "_id": { "$eq": id } },
        limit: Some(1),
        ..Find::default()
    };
    Ok(database.find(collection, find, None).await?.documents.pop())
}

/// Puts another document in the place of one, if it is still as it was; answers the document as it became.
pub(super) async fn replace(
    database: &dyn Database,
    collection: &str,
    was: &RawDocumentBuf,
    document: Document,
) -> Result<Option<RawDocumentBuf>, DatabaseError> {
    let update = Update {
        filter: still(was)?,
        kind: UpdateKind::Replacement(document),
        array_filters: Vec::new(),
        many: false,
        sort: None,
        upsert: None,
        largest: None,
        returns: Some(ReturnedDocument::After),
    };
    let updated = database.update(collection, update, None).await?;
    if updated.matched == 0 {
        return Ok(None);
    }
    let became = updated.document.unwrap_or_default();
    RawDocumentBuf::try_from(&became)
        .map(Some)
        .map_err(|error| DatabaseError::Unavailable(error.into()))
}

/// Removes a document, if it is still as it was.
pub(super) async fn remove(
    database: &dyn Database,
    collection: &str,
    was: &RawDocumentBuf,
) -> Result<bool, DatabaseError> {
    Ok(database.remove(collection, still(was)?, false, None).await?.count > 0)
}

/// Meets the document only as it was: the engine tests that in the write itself.
fn still(was: &RawDocumentBuf) -> Result<Document, DatabaseError> {
    let was = decoded(was)?;
    let id = was.get("_id").cloned().unwrap_or(Bson::Null);
    Ok(doc! {
        "_id": { "$eq": id },
        "$expr": { "$eq": ["$$ROOT", { "$literal": was }] },
    })
}

pub(super) fn decoded(document: &RawDocumentBuf) -> Result<Document, DatabaseError> {
    Document::try_from(document).map_err(|error| DatabaseError::Unavailable(error.into()))
}

/// What tells a document from another state of it.
pub(super) fn print(document: &RawDocumentBuf) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(document.as_bytes());
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use database::{Embedded, Options};

    use super::*;

    fn raw(document: &Document) -> RawDocumentBuf {
        RawDocumentBuf::try_from(document).unwrap()
    }

    #[tokio::test]
    async fn deeds_are_undone_only_where_nothing_happened_since() {
        let database = Embedded::in_memory(Options::default()).unwrap();
        database.create_collection("c").await.unwrap();
        let (one, two) = (
            doc! { "_id": "a", "n": 1, "odd": { "$x.y": f64::NAN } },
            doc! { "_id": "a", "n": 2 },
        );
        database.insert("c", vec![one.clone()], None).await.unwrap();
        let present = async || find(&database, "c", &Bson::String("a".to_owned())).await.unwrap();

        let changed = replace(&database, "c", &raw(&one), two.clone()).await.unwrap();
        assert_eq!(changed, Some(raw(&two)));
        assert_eq!(
            replace(&database, "c", &raw(&one), two.clone()).await.unwrap(),
            None,
            "it has changed"
        );
        assert!(
            undo(&database, "c", Deed::Changed(raw(&one), raw(&two)))
                .await
                .unwrap()
        );
        assert_eq!(present().await, Some(raw(&one)));
        assert!(
            !undo(&database, "c", Deed::Changed(raw(&one), raw(&two)))
                .await
                .unwrap()
        );

        assert!(
            !remove(&database, "c", &raw(&two)).await.unwrap(),
            "it is not that one"
        );
        assert!(remove(&database, "c", &raw(&one)).await.unwrap());
        assert!(undo(&database, "c", Deed::Removed(raw(&one))).await.unwrap());
        assert!(
            !undo(&database, "c", Deed::Removed(raw(&one))).await.unwrap(),
            "it is there"
        );
        assert!(undo(&database, "c", Deed::Added(raw(&one))).await.unwrap());
        assert_eq!(present().await, None);
    }

    #[test]
    fn memory_is_bounded() {
        let log = UndoLog::default();
        let large = raw(&doc! { "_id": 1, "text": "x".repeat(12 << 20) });
        for _ in 0..KEPT + 5 {
            log.keep(Lang::En, "c", Deed::Removed(large.clone()));
        }
        let (bytes, kept) = {
            let log = log.0.lock().unwrap();
            (log.bytes, log.deeds.len())
        };
        assert!(bytes <= KEPT_BYTES && kept == 2, "{bytes} {kept}");
        assert!(log.take(1).is_none());
        assert!(log.take(KEPT as u64 + 5).is_some());
        assert!(log.take(KEPT as u64 + 5).is_none(), "once");
    }
}
