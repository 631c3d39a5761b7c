//! What is watched.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bson::{Bson, Document, RawDocument, doc};
use bytes::Bytes;
use docdb::{Context, TOO_MUCH_WORK, expr::Variables, key, query::Filter, regex::Asked, sort::Sort};
use ejson::Style;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tcb::database::DatabaseRefusal;

use crate::{WatchRefusal, window::Row};

/// Documents of one watch at most, as on the platform.
pub const MOST_DOCUMENTS: usize = 5000;
/// Characters of a query's text at most: as long as what the platform takes in an address.
const MOST_TEXT: usize = 16 << 10;
/// Regular expressions of one query at most, and what one is counted with in memory.
const MOST_PATTERNS: usize = 16;
const PATTERN: usize = 32 << 10;
/// Bytes of a document's place in the order at most: each query has a place of its own for each document.
pub(crate) const MOST_PLACE: usize = 16 << 10;
/// Beyond a limit so many more documents are known, so that one that leaves has a successor.
const SPARE: usize = 20;

/// How the documents of a watch are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Plain JSON, a date as `{"$date":ms}`: what CloudBase's SDKs hand to the program as it is.
    Plain,
    /// Extended JSON, of which our client makes dates and numbers.
    Extended,
}

/// What a client asks to watch, as it asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WatchRequest {
    /// The collection.
    #[serde(rename = "c")]
    pub collection: String,
    /// The text of the query: Extended JSON or plain, and perhaps encoded once more.
    #[serde(rename = "q", default, skip_serializing_if = "String::is_empty")]
    pub query: String,
    /// `{field: "asc" or "desc"}` in the order of weight; `None` where nothing is said.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Vec<(String, bool)>>,
    /// How many documents.
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// What a watcher is known by over connections: what it watches, so that any server that has the documents can go on with it, and by which
/// numbering of events. Nothing in it is believed: it is judged as a new watch is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryId {
    /// What is watched.
    pub request: WatchRequest,
    /// Who numbered the events.
    pub numbering: u64,
    /// Tells watchers of the same query apart; 0 in ids that do not.
    pub watcher: u64,
}

#[derive(Serialize, Deserialize)]
struct QueryIdText {
    #[serde(flatten)]
    request: WatchRequest,
    #[serde(rename = "n")]
    numbering: u64,
    #[serde(rename = "w", default)]
    watcher: u64,
}

/// The texts of one document as it is shown to watchers, each made when it is first wanted: however many queries find the document,
/// they have the same text of it.
#[derive(Debug, Default)]
pub struct Shown {
    id: Option<Bytes>,
    plain: Option<(Bytes, Bytes)>,
    extended: Option<(Bytes, Bytes)>,
}

/// A query that can be watched, parsed: a filter, an order that has a place for each document, and a limit.
#[derive(Clone, Debug)]
pub struct WatchQuery {
    filter: Document,
    sort: Document,
    limit: Option<usize>,
    dialect: Dialect,
    matcher: Filter,
    order: Sort,
}

impl QueryId {
    /// The text of the id.
    #[must_use]
    pub fn text(&self) -> String {
        let text = QueryIdText {
            request: self.request.clone(),
            numbering: self.numbering,
            watcher: self.watcher,
        };
        // A struct of texts and numbers has a text.
        BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&text).unwrap_or_default())
    }

    /// Reads an id.
    ///
    /// # Errors
    /// [`WatchRefusal::UnknownQuery`].
    pub fn read(text: &str) -> Result<Self, WatchRefusal> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        let read = bytes.and_then(|bytes| serde_json::from_slice::<QueryIdText>(&bytes).ok());
        let QueryIdText {
            request,
            numbering,
            watcher,
        } = read.ok_or(WatchRefusal::UnknownQuery)?;
        Ok(Self {
            request,
            numbering,
            watcher,
        })
    }
}

impl WatchRequest {
    /// Reads the order of `INIT_WATCH`.
    pub(crate) fn read_order(order: &Value) -> Result<Option<Vec<(String, bool)>>, WatchRefusal> {
        let wrong = || malformed("orderBy must be an object of fields with \"asc\" or \"desc\"");
        let fields = match order {
            Value::Null => return Ok(None),
            Value::Object(fields) => fields,
            _ => return Err(wrong()),
        };
        let mut keys = Vec::with_capacity(fields.len());
        for (field, direction) in fields {
            let ascends = match direction.as_str() {
                Some("asc") => true,
                Some("desc") => false,
                _ => return Err(wrong()),
            };
            keys.push((field.clone(), ascends));
        }
        Ok((!keys.is_empty()).then_some(keys))
    }

    /// The condition that the query's text stands for.
    ///
    /// # Errors
    /// [`WatchRefusal::Malformed`].
    pub fn filter(&self) -> Result<Document, WatchRefusal> {
        if self.query.len() > MOST_TEXT {
            return Err(malformed(format!(
                "the query is longer than {MOST_TEXT} bytes: write less into where()"
            )));
        }
        let mut text = self.query.clone();
        // `@cloudbase/database` 1.4.3 encodes the text once more.
        if let Ok(inner) = serde_json::from_str::<String>(&text) {
            text = inner;
        }
        if text.trim().is_empty() {
            return Ok(Document::new());
        }
        match ejson::read_legacy(text.as_bytes()) {
            Ok(Bson::Document(filter)) => {
                check_patterns(&filter)?;
                Ok(filter)
            }
            Ok(_) => Err(malformed("query must be the text of an object")),
            Err(error) => Err(malformed(format!("query is not Extended JSON: {error}"))),
        }
    }
}

impl WatchQuery {
    /// The query that `filter` stands for, which is that of the request [as it may be asked](WatchRequest::filter), in the
    /// request's order and within its limit.
    ///
    /// Without an order, the greatest `_id` is the first, as on the platform; that also decides between equals.
    ///
    /// # Errors
    /// [`WatchRefusal::Malformed`] where it cannot be watched.
    pub fn new(filter: Document, request: &WatchRequest, dialect: Dialect) -> Result<Self, WatchRefusal> {
        let refused = |error: docdb::Error| malformed(error.to_string());
        check_patterns(&filter)?;
        let matcher = Filter::parse(&filter).map_err(refused)?;
        if matcher.near().is_some() {
            return Err(malformed(
                "geoNear cannot be watched, since each change may move all distances: watch geoWithin",
            ));
        }
        let mut sort = Document::new();
        for (field, ascends) in request.order.iter().flatten() {
            sort.insert(field, if *ascends { 1 } else { -1 });
        }
        if !sort.contains_key("_id") {
            sort.insert("_id", -1);
        }
        let order = Sort::parse(&sort).map_err(refused)?;
        if request.limit == Some(0) {
            return Err(malformed("limit must be at least 1"));
        }
        Ok(Self {
            filter,
            sort,
            limit: request.limit.map(|limit| limit.min(MOST_DOCUMENTS)),
            dialect,
            matcher,
            order,
        })
    }

    /// The condition, for the database.
    #[must_use]
    pub const fn filter(&self) -> &Document {
        &self.filter
    }

    /// The order, for the database.
    #[must_use]
    pub const fn sort(&self) -> &Document {
        &self.sort
    }

    /// How many documents its watchers have at most.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(MOST_DOCUMENTS)
    }

    /// Whether it is an error if there are more documents than that.
    pub(crate) const fn is_whole(&self) -> bool {
        self.limit.is_none()
    }

    /// How many documents a [window](crate::Window) of it is loaded with; one more than that tells it that there are others.
    #[must_use]
    pub fn depth(&self) -> usize {
        match self.limit {
            None => MOST_DOCUMENTS,
            Some(limit) => (limit + limit.max(SPARE)).min(MOST_DOCUMENTS),
        }
    }

    /// Bytes that are equal for queries whose watchers are told the same.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        let limit = self.limit.map_or(0, |limit| limit as i64);
        let plain = self.dialect == Dialect::Plain;
        let all = doc! {"f": &self.filter, "s": &self.sort, "l": limit, "p": plain};
        // What was read as a document has bytes.
        all.to_vec().unwrap_or_default()
    }

    /// Bytes of memory that it takes, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        8 * self.key().len() + PATTERN * self.matcher.patterns()
    }

    /// Whether a document is among those that are asked for.
    ///
    /// # Errors
    /// What an expression meets in the document.
    pub fn matches(&self, document: &Document, context: &Context) -> docdb::error::Result<bool> {
        self.matcher.matches(document, &Variables::none(), context)
    }

    /// A document with its place and its text. `shown` is what other queries have made of the same document; a new one for each document.
    ///
    /// # Errors
    /// [`WatchRefusal::TooLongPlace`]; [`WatchRefusal::TooMuchWork`] in a strict context; [`DatabaseRefusal::Unavailable`] where the bytes are no BSON, or have no `_id`.
    pub fn row(
        &self,
        raw: &RawDocument,
        document: &Document,
        context: &Context,
        shown: &mut Shown,
    ) -> Result<Row, WatchRefusal> {
        let unreadable = || WatchRefusal::Database(DatabaseRefusal::Unavailable);
        let id = document.get("_id").ok_or_else(unreadable)?;
        let place = match self.order.key(document, context) {
            Ok(place) if place.len() <= MOST_PLACE => place,
            Err(error) if error.code == TOO_MUCH_WORK => return Err(WatchRefusal::TooMuchWork),
            _ => return Err(WatchRefusal::TooLongPlace),
        };
        let texts = match self.dialect {
            Dialect::Plain => &mut shown.plain,
            Dialect::Extended => &mut shown.extended,
        };
        let (name, text) = match texts {
            Some(texts) => texts.clone(),
            None => {
                let text = self.text(raw).ok_or_else(unreadable)?;
                texts.insert((self.name(id), text)).clone()
            }
        };
        Ok(Row {
            id: shown.id.get_or_insert_with(|| key::of(id).into()).clone(),
            place: place.into(),
            name,
            document: text,
        })
    }

    /// An `_id` as JSON.
    fn name(&self, id: &Bson) -> Bytes {
        let mut out = Vec::new();
        match self.dialect {
            Dialect::Plain => tcb::database::write_plain_value(&mut out, id),
            Dialect::Extended => ejson::write(&mut out, id, Style::Relaxed),
        }
        out.into()
    }

    /// A document as a string literal of JSON.
    fn text(&self, raw: &RawDocument) -> Option<Bytes> {
        let raw = &*tcb::database::readable(raw);
        let mut out = Vec::new();
        match self.dialect {
            Dialect::Plain => {
                let mut plain = Vec::new();
                tcb::database::write_plain(&mut plain, raw);
                json::write_string(&mut out, std::str::from_utf8(&plain).ok()?);
            }
            Dialect::Extended => ejson::write_raw_as_string(&mut out, raw, Style::Relaxed).ok()?,
        }
        out.shrink_to_fit();
        Some(out.into())
    }
}

/// Refuses more patterns than a watch may have, before one is compiled.
fn check_patterns(filter: &Document) -> Result<(), WatchRefusal> {
    if Asked::of(filter).patterns > MOST_PATTERNS {
        return Err(malformed(format!(
            "a watch may have {MOST_PATTERNS} regular expressions: write some of them as one, with |"
        )));
    }
    Ok(())
}

fn malformed(why: impl Into<String>) -> WatchRefusal {
    WatchRefusal::Malformed(why.into())
}
