//! Which documents of a collection somebody looks at, and reading them by pages.
//!
//! In the order of `_id`, a page begins behind the last document of the one before, however far in that is. In any other order the
//! documents before a page are skipped, up to a bound, because an engine walks along all that it skips. A comparison finds values of
//! its own type alone, and `_id`s may be of several types, which follow one another in a fixed order: behind the last of one type, a
//! page goes on with the types that come later.

use std::time::Duration;

use bson::{Bson, Document, RawDocumentBuf, doc};
use database::{Database, DatabaseError, Find, Looked, id_kind, id_kind_of};
use ejson::shell;

use super::now;
use crate::{
    lang::Lang,
    web::{self, Fields},
};

/// Documents on a page.
pub(super) const PAGE: u64 = 20;
/// Where documents are so large that a page of them is too much, fewer are shown.
const SMALLER: [u64; 2] = [4, 1];
/// Documents that are skipped at most.
const MOST_SKIPPED: u64 = 10_000;
/// How long reading a page may take.
const WITHIN: Duration = Duration::from_secs(20);

/// What somebody looks at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    /// The collection.
    pub(crate) name: String,
    /// As it was typed.
    pub(super) filter: String,
    pub(super) sort: String,
    pub(super) place: Place,
}

/// Where a page begins.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Place {
    #[default]
    Start,
    /// Behind the document of this `_id`, or before it; as the shell writes it.
    After(String),
    Before(String),
    /// Behind so many documents.
    Skip(u64),
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookError {
    #[error("{0}")]
    Filter(ejson::Error),
    #[error("{0}")]
    Sort(ejson::Error),
    #[error("{0}")]
    Place(ejson::Error),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("it took longer than {} seconds", WITHIN.as_secs())]
    TooLong,
    #[error("only {MOST_SKIPPED} documents are skipped")]
    TooFar,
}

/// A page.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) documents: Vec<RawDocumentBuf>,
    /// What it took, where the engine says.
    pub(super) looked: Option<Looked>,
    /// Where the pages around it begin, where there are some.
    pub(super) before: Option<Place>,
    pub(super) after: Option<Place>,
}

impl Look {
    pub(crate) fn of(fields: &Fields) -> Self {
        let place = match (fields.get("after"), fields.get("before"), fields.get("skip")) {
            ("", "", "") => Place::Start,
            ("", "", skip) => Place::Skip(skip.parse().unwrap_or(0)),
            ("", before, _) => Place::Before(before.to_owned()),
            (after, ..) => Place::After(after.to_owned()),
        };
        Self {
            name: fields.get("name").to_owned(),
            filter: fields.get("filter").replace("\r\n", "\n").trim().to_owned(),
            sort: fields.get("sort").replace("\r\n", "\n").trim().to_owned(),
            place,
        }
    }

    /// The same at `path`.
    pub(super) fn link(&self, path: &str) -> String {
        self.link_to(path, &self.place)
    }

    /// Another page of the same at `path`.
    pub(super) fn link_to(&self, path: &str, place: &Place) -> String {
        let skip;
        let at = match place {
            Place::Start => ("skip", ""),
            Place::After(id) => ("after", id.as_str()),
            Place::Before(id) => ("before", id.as_str()),
            Place::Skip(count) => {
                skip = count.to_string();
                ("skip", skip.as_str())
            }
        };
        web::link(
            path,
            &[
                ("name", &self.name),
                ("filter", &self.filter),
                ("sort", &self.sort),
                at,
            ],
        )
    }

    pub(super) fn filter(&self) -> Result<Document, LookError> {
        read_filter(&self.filter).map_err(LookError::Filter)
    }

    pub(super) fn sort(&self) -> Result<Option<Document>, LookError> {
        read_sort(&self.sort).map_err(LookError::Sort)
    }

    /// Reads the page.
    pub(super) async fn read(&self, database: &dyn Database) -> Result<Shown, LookError> {
        let query = Query {
            name: &self.name,
            filter: self.filter()?,
            sort: self.sort()?,
        };
        let reading = async {
            for size in [PAGE].into_iter().chain(SMALLER) {
                match query.page(database, &self.place, size).await {
                    Err(LookError::Database(DatabaseError::AnswerTooLarge(_))) => {}
                    read => return read,
                }
            }
            query.page(database, &self.place, 1).await
        };
        tokio::time::timeout(WITHIN, reading)
            .await
            .unwrap_or(Err(LookError::TooLong))
    }
}

impl LookError {
    /// What is wrong, and where in what was typed.
    pub(super) fn text(&self, lang: Lang, look: &Look) -> String {
        match self {
            Self::Filter(error) => {
                format!("{}{}", lang.t("Filter, ", "筛选条件，"), super::fault(lang, error, &look.filter))
            }
            Self::Sort(error) => {
                format!("{}{}", lang.t("Order, ", "排序，"), super::fault(lang, error, &look.sort))
            }
            Self::TooFar => lang
                .t(
                    "So far in, pages are only shown in the order of _id: leave the order empty, or narrow the filter.",
                    "翻页过深：请清空排序（按 _id 顺序翻页没有限制），或收窄筛选条件。",
                )
                .to_owned(),
            Self::TooLong => lang
                .t(
                    "It took too long: narrow the filter, or add an index for it.",
                    "查询超时：请收窄筛选条件，或为它添加索引。",
                )
                .to_owned(),
            Self::Place(error) => lang.of_wording(&error.wording()).to_owned(),
            Self::Database(error) => lang.of_wording(&error.wording()).to_owned(),
        }
    }
}

/// A filter as it is typed: a document, or a value alone, which is an `_id`. Nothing is everything.
pub(super) fn read_filter(text: &str) -> Result<Document, ejson::Error> {
    if text.is_empty() {
        return Ok(Document::new());
    }
    Ok(match shell::read(text, now())? {
        Bson::Document(filter) => filter,
        id => doc! { "_id": id },
    })
}

/// An order as it is typed: `{createTime: -1}`, or `-createTime` and the like.
pub(super) fn read_sort(text: &str) -> Result<Option<Document>, ejson::Error> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.starts_with('{') {
        return shell::read_document(text, now()).map(|sort| Some(sort).filter(|sort| !sort.is_empty()));
    }
    let fields = text.split([',', ' ', '，']).filter(|field| !field.is_empty());
    let sort = fields.map(|field| match field.strip_prefix('-') {
        Some(path) => (path.to_owned(), Bson::Int32(-1)),
        None => (field.to_owned(), Bson::Int32(1)),
    });
    Ok(Some(sort.collect()))
}

/// What is read, page by page.
struct Query<'a> {
    name: &'a str,
    filter: Document,
    sort: Option<Document>,
}

impl Query<'_> {
    async fn page(&self, database: &dyn Database, place: &Place, size: u64) -> Result<Shown, LookError> {
        match (self.by_id(), place) {
            (Some(direction), Place::After(id)) => {
                let id = shell::read(id, now()).map_err(LookError::Place)?;
                self.beyond(database, &id, direction, size).await
            }
            (Some(direction), Place::Before(id)) => {
                let id = shell::read(id, now()).map_err(LookError::Place)?;
                let mut shown = self.beyond(database, &id, -direction, size).await?;
                shown.documents.reverse();
                std::mem::swap(&mut shown.before, &mut shown.after);
                Ok(shown)
            }
            (by_id, place) => {
                let skip = match place {
                    Place::Skip(count) => *count,
                    _ => 0,
                };
                if skip > MOST_SKIPPED {
                    return Err(LookError::TooFar);
                }
                let sort = match by_id {
                    Some(direction) => Some(doc! { "_id": direction }),
                    None => self.sort.clone(),
                };
                let find = Find {
                    filter: self.filter.clone(),
                    sort,
                    projection: None,
                    skip,
                    limit: Some(size + 1),
                    ..Find::default()
                };
                let found = database.find(self.name, find, None).await?;
                let mut shown = Shown {
                    documents: found.documents,
                    looked: found.looked,
                    before: (skip > 0).then(|| match skip.saturating_sub(PAGE) {
                        0 => Place::Start,
                        skip => Place::Skip(skip),
                    }),
                    after: None,
                };
                if shown.cut(size) {
                    let last = shown.documents.last().and_then(id_text);
                    shown.after = match (by_id, last) {
                        (Some(_), Some(last)) => Some(Place::After(last)),
                        _ => Some(Place::Skip(skip + size)),
                    };
                }
                Ok(shown)
            }
        }
    }

    /// The direction, where the order is that of `_id`. `$near` has an order of its own.
    fn by_id(&self) -> Option<i32> {
        match &self.sort {
            None => (!has_own_order(&self.filter)).then_some(1),
            Some(sort) => match (sort.len(), sort.get("_id")?) {
                (1, Bson::Int32(direction @ (1 | -1))) => Some(*direction),
                (1, Bson::Double(1.0)) => Some(1),
                (1, Bson::Double(-1.0)) => Some(-1),
                _ => None,
            },
        }
    }

    /// The page that begins beyond an `_id` in a direction; `after` leads on in that direction.
    async fn beyond(
        &self,
        database: &dyn Database,
        id: &Bson,
        direction: i32,
        size: u64,
    ) -> Result<Shown, LookError> {
        let (documents, looked) =
            batch(database, self.name, &self.filter, Some(id), direction, size + 1).await?;
        let mut shown = Shown {
            documents,
            looked,
            ..Shown::default()
        };
        let more = shown.cut(size);
        let end = |document: Option<&RawDocumentBuf>| document.and_then(id_text);
        let (first, last) = (end(shown.documents.first()), end(shown.documents.last()));
        let is_forward = direction == self.by_id().unwrap_or(1);
        let place = |id: String, forward: bool| {
            if forward {
                Place::After(id)
            } else {
                Place::Before(id)
            }
        };
        if more {
            shown.after = last.map(|id| place(id, is_forward));
        }
        // The reader came from the page before; where this page is empty, only the start of the collection is known.
        shown.before = Some(first.map_or(Place::Start, |id| place(id, !is_forward)));
        Ok(shown)
    }
}

impl Shown {
    /// Leaves out what is beyond a page; whether there was something.
    fn cut(&mut self, size: u64) -> bool {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let more = self.documents.len() > size;
        self.documents.truncate(size);
        more
    }
}

fn has_own_order(filter: &Document) -> bool {
    filter.iter().any(|(name, condition)| {
        let near =
            |condition: &Document| condition.contains_key("$near") || condition.contains_key("$nearSphere");
        match condition {
            Bson::Document(condition) => near(condition),
            Bson::Array(parts) if name == "$and" => {
                parts.iter().filter_map(Bson::as_document).any(has_own_order)
            }
            _ => false,
        }
    })
}

/// The `_id` of a document as the shell writes it.
pub(super) fn id_text(document: &RawDocumentBuf) -> Option<String> {
    id_of(document).map(|id| shell::to_line(&id))
}

pub(super) fn id_of(document: &RawDocumentBuf) -> Option<Bson> {
    document.get("_id").ok().flatten()?.try_into().ok()
}

/// The documents beyond an `_id` in the order of `_id`s, or from the first on; at most `size` of them.
pub(super) async fn batch(
    database: &dyn Database,
    name: &str,
    filter: &Document,
    beyond: Option<&Bson>,
    direction: i32,
    size: u64,
) -> Result<(Vec<RawDocumentBuf>, Option<Looked>), DatabaseError> {
    let read = async |condition: Option<Document>, limit: u64| {
        let filter = match condition {
            None => filter.clone(),
            Some(condition) if filter.is_empty() => condition,
            Some(condition) => doc! { "$and": [filter.clone(), condition] },
        };
        let find = Find {
            filter,
            sort: Some(doc! { "_id": direction }),
            projection: None,
            skip: 0,
            limit: Some(limit),
            ..Find::default()
        };
        database.find(name, find, None).await
    };
    let Some(id) = beyond else {
        let found = read(None, size).await?;
        return Ok((found.documents, found.looked));
    };
    let operator = if direction > 0 { "$gt" } else { "$lt" };
    let mut found = read(Some(doc! { "_id": { operator: id } }), size).await?;
    let left = size.saturating_sub(found.documents.len() as u64);
    let own = id_kind_of(id);
    let types = (0..).map_while(id_kind).enumerate();
    let later: Vec<Bson> = types
        .filter(|(at, _)| if direction > 0 { *at > own } else { *at < own })
        .map(|(_, condition)| Bson::Document(doc! { "_id": condition }))
        .collect();
    if left > 0 && !later.is_empty() {
        let rest = read(Some(doc! { "$or": later }), left).await?;
        found.documents.extend(rest.documents);
        if let (Some(looked), Some(rest)) = (&mut found.looked, rest.looked) {
            looked.documents += rest.documents;
        }
    }
    Ok((found.documents, found.looked))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use bson::{Binary, DateTime, Timestamp, oid::ObjectId, spec::BinarySubtype};
    use database::{Embedded, Options};

    use super::*;

    async fn database(ids: Vec<Bson>) -> Arc<dyn Database> {
        let database = Embedded::in_memory(Options::default()).unwrap();
        database.create_collection("c").await.unwrap();
        let documents = ids
            .into_iter()
            .enumerate()
            .map(|(n, id)| doc! { "_id": id, "n": n as i32 });
        database.insert("c", documents.collect(), None).await.unwrap();
        Arc::new(database)
    }

    fn of_every_type() -> Vec<Bson> {
        let mut ids = vec![
            Bson::MinKey,
            Bson::Null,
            Bson::Double(f64::NAN),
            Bson::Double(f64::NEG_INFINITY),
            Bson::Int64(i64::MIN),
            Bson::Boolean(false),
            Bson::Boolean(true),
            Bson::Document(Document::new()),
            Bson::Document(doc! { "a": 1 }),
            Bson::ObjectId(ObjectId::from_bytes([0; 12])),
            Bson::ObjectId(ObjectId::from_bytes([255; 12])),
            Bson::DateTime(DateTime::MIN),
            Bson::DateTime(DateTime::MAX),
            Bson::Timestamp(Timestamp {
                time: 0,
                increment: 0,
            }),
            Bson::Binary(Binary {
                subtype: BinarySubtype::Generic,
                bytes: vec![],
            }),
            Bson::Binary(Binary {
                subtype: BinarySubtype::Uuid,
                bytes: vec![1; 16],
            }),
            Bson::MaxKey,
        ];
        ids.extend((0..30).map(Bson::Int32));
        ids.extend((0..30).map(|n| Bson::String(format!("{n:02}"))));
        ids.push(Bson::String(String::new()));
        ids
    }

    async fn walk(database: &dyn Database, look: &mut Look, forward: bool) -> Vec<Vec<Bson>> {
        let mut pages = Vec::new();
        loop {
            let shown = look.read(database).await.unwrap();
            pages.push(
                shown
                    .documents
                    .iter()
                    .map(|document| id_of(document).unwrap())
                    .collect(),
            );
            let next = if forward { shown.after } else { shown.before };
            let Some(next) = next.filter(|next| *next != Place::Start) else {
                return pages;
            };
            look.place = next;
            assert!(pages.len() < 100);
        }
    }

    #[tokio::test]
    async fn pages_meet_every_document_once_whatever_the_type_of_its_id() {
        let database = database(of_every_type()).await;
        let everything = Find {
            sort: Some(doc! { "_id": 1 }),
            ..Find::default()
        };
        let expected = database.find("c", everything, None).await.unwrap().documents;
        let expected: Vec<String> = expected
            .iter()
            .map(|document| id_text(document).unwrap())
            .collect();
        for sort in ["", "{_id: 1}", "-_id", "n"] {
            let mut look = Look {
                name: "c".to_owned(),
                sort: sort.to_owned(),
                ..Look::default()
            };
            let pages = walk(&*database, &mut look, true).await;
            assert!(pages.iter().all(|page| page.len() <= PAGE as usize));
            let mut met: Vec<String> = pages.iter().flatten().map(shell::to_line).collect();
            match sort {
                "-_id" => met.reverse(),
                "n" => {
                    met.sort();
                    let mut expected = expected.clone();
                    expected.sort();
                    assert_eq!(met, expected, "{sort}");
                    continue;
                }
                _ => {}
            }
            assert_eq!(met, expected, "{sort}");
            // And back again, page by page.
            let mut back = walk(&*database, &mut look, false).await;
            back.reverse();
            let mut met: Vec<String> = back.iter().flatten().map(shell::to_line).collect();
            if sort == "-_id" {
                met.reverse();
            }
            assert_eq!(met, expected, "{sort} back");
        }
    }

    #[tokio::test]
    async fn a_filter_holds_on_every_page() {
        let database = database((0..100).map(Bson::Int32).collect()).await;
        let mut look = Look {
            name: "c".to_owned(),
            filter: "{n: {$mod: [2, 0]}}".to_owned(),
            ..Look::default()
        };
        let pages = walk(&*database, &mut look, true).await;
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [20, 20, 10]);
        look = Look {
            filter: "7".to_owned(),
            name: "c".to_owned(),
            ..Look::default()
        };
        assert_eq!(walk(&*database, &mut look, true).await, [[Bson::Int32(7)]]);
    }

    #[tokio::test]
    async fn what_is_wrong_says_where() {
        let database = database(vec![]).await;
        for (filter, sort, skip, expected) in [
            ("{a: }", "", 0, "Filter, line 1, column 5: expected a value"),
            (
                "{}",
                "{a: 1",
                0,
                "Order, line 1, column 6: the text ends too early",
            ),
            (
                "{}",
                "n",
                10_001,
                "So far in, pages are only shown in the order of _id: leave the order empty, or narrow the filter.",
            ),
        ] {
            let look = Look {
                name: "c".to_owned(),
                filter: filter.to_owned(),
                sort: sort.to_owned(),
                place: Place::Skip(skip),
            };
            let error = look.read(&*database).await.unwrap_err();
            assert_eq!(error.text(Lang::En, &look), expected);
        }
        let look = Look {
            name: "c".to_owned(),
            filter: "{a: {$foo: 1}}".to_owned(),
            ..Look::default()
        };
        assert!(
            look.read(&*database)
                .await
                .unwrap_err()
                .to_string()
                .contains("$foo")
        );
    }

    #[tokio::test]
    async fn large_documents_make_small_pages() {
        let database = Embedded::in_memory(Options {
            answer: 3000,
            ..Options::default()
        })
        .unwrap();
        database.create_collection("c").await.unwrap();
        let documents = (0..30).map(|n| doc! { "_id": n, "text": "x".repeat(500) });
        database.insert("c", documents.collect(), None).await.unwrap();
        let mut look = Look {
            name: "c".to_owned(),
            ..Look::default()
        };
        let pages = walk(&database, &mut look, true).await;
        assert_eq!(pages.iter().flatten().count(), 30);
        assert_eq!(pages[0].len(), 4);
    }
}
