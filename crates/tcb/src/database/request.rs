//! Requests of any SDK as one operation: what is missing gets the service's defaults, what is too large its bounds, and a server's date
//! the time of the request.

use bson::{Bson, DateTime, Document, Regex};

use super::{DatabaseAction, DatabaseRefusal, place, plain};
use crate::{Envelope, FieldValue};

/// Documents of a `get` that says no limit: what the SDK sends then.
pub const FIND_DEFAULT: u64 = 100;
/// Documents of one `get` at most; the SDK cuts larger limits itself.
pub const FIND_MOST: u64 = 1000;
/// Documents of one `get` of a client, at most and where it says no limit; it is not told of a larger limit that is cut.
pub const CLIENT_FIND_MOST: u64 = 20;
/// Documents of an aggregate without a `$limit` stage: the service adds one to its end.
pub const AGGREGATE_DEFAULT: i64 = 20;
/// Documents of an aggregate at most.
pub const AGGREGATE_MOST: i64 = 10_000;

/// Documents of one insert at most: a choice, far beyond what 5 MB of one request hold on the platform.
const INSERT_MOST: usize = 100_000;

/// What others call a query.
const NO_QUERIES: [&str; 3] = ["where", "filter", "condition"];
const NULL_QUERY: &str = "query is null: all documents are meant by {}, or where it is left out";

/// A database action with its fields, whatever dialect it came in.
#[derive(Clone, Debug, PartialEq)]
pub struct DatabaseRequest {
    /// By which name it was asked, and so in which form it is answered.
    pub action: DatabaseAction,
    /// The collection; empty for the three actions that end or begin a transaction.
    pub collection: String,
    /// The transaction that it is part of.
    pub transaction: Option<String>,
    /// What is to be done.
    pub operation: DatabaseOperation,
}

/// What is to be done with a collection.
#[derive(Clone, Debug, PartialEq)]
pub enum DatabaseOperation {
    /// Make the collection.
    CreateCollection,
    /// Add documents, in this order. One without `_id` gets one.
    Insert(Vec<Document>),
    /// Read documents.
    Find(Find),
    /// Count documents that match the filter.
    Count(Document),
    /// Change documents that match.
    Update {
        /// Which.
        filter: Document,
        /// How.
        change: Change,
        /// All that match, or one.
        many: bool,
        /// Add one if none matches.
        upsert: bool,
        /// Whether the changed document is wanted.
        returns: bool,
    },
    /// Remove documents that match.
    Remove {
        /// Which.
        filter: Document,
        /// All that match, or one.
        many: bool,
    },
    /// Run a pipeline, which ends in a `$limit`.
    Aggregate(Vec<Document>),
    /// Begin a transaction.
    Begin,
    /// Make a transaction's writes final.
    Commit,
    /// Drop a transaction's writes.
    Abort,
}

/// What is to be read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Find {
    /// Which documents.
    pub filter: Document,
    /// In which order, `{field: 1 or -1}`.
    pub sort: Option<Document>,
    /// Which fields of them.
    pub projection: Option<Document>,
    /// How many to leave out first.
    pub skip: u64,
    /// How many to give.
    pub limit: u64,
}

/// How a document is changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// By update operators: `{$set: …}`.
    Operators(Document),
    /// By another document in its place; it keeps its `_id`.
    Replacement(Document),
    /// Not at all: `update({data: {a: undefined}})` sends an empty object.
    Nothing,
}

impl DatabaseRequest {
    /// Reads a request of the SDK. `now` stands where the program wrote `db.serverDate()`.
    ///
    /// # Errors
    /// [`DatabaseRefusal::Malformed`], with the field that is wrong.
    pub fn read(
        action: DatabaseAction,
        envelope: &Envelope<'_>,
        now: DateTime,
    ) -> Result<Self, DatabaseRefusal> {
        let fields = Fields { envelope, now };
        let transaction = envelope
            .text("transactionId")
            .filter(|id| !id.is_empty())
            .map(str::to_owned);
        let (operation, outside) = match action {
            DatabaseAction::Begin => (DatabaseOperation::Begin, true),
            DatabaseAction::Commit => (DatabaseOperation::Commit, true),
            DatabaseAction::Abort => (DatabaseOperation::Abort, true),
            _ => (fields.operation(action)?, false),
        };
        let collection = if outside {
            String::new()
        } else {
            match envelope.text("collectionName") {
                Some(name) if !name.is_empty() => name.to_owned(),
                _ => return Err(malformed("collectionName is missing")),
            }
        };
        let needs_transaction = matches!(
            action,
            DatabaseAction::Commit
                | DatabaseAction::Abort
                | DatabaseAction::GetInTransaction
                | DatabaseAction::InsertInTransaction
                | DatabaseAction::UpdateInTransaction
                | DatabaseAction::RemoveInTransaction
        );
        if needs_transaction && transaction.is_none() {
            return Err(malformed("transactionId is missing"));
        }
        Ok(Self {
            action,
            collection,
            transaction,
            operation,
        })
    }
}

/// Whether it says by a `query` which documents are meant. An empty text says nothing.
#[must_use]
pub fn says_query(envelope: &Envelope<'_>) -> bool {
    match envelope.get("query") {
        None => false,
        Some(FieldValue::Text(text)) => !text.trim().is_empty(),
        Some(_) => true,
    }
}

fn malformed(why: impl Into<String>) -> DatabaseRefusal {
    DatabaseRefusal::Malformed(why.into())
}

struct Fields<'a> {
    envelope: &'a Envelope<'a>,
    now: DateTime,
}

impl Fields<'_> {
    fn operation(&self, action: DatabaseAction) -> Result<DatabaseOperation, DatabaseRefusal> {
        Ok(match action {
            DatabaseAction::AddCollection => DatabaseOperation::CreateCollection,
            DatabaseAction::InsertDocuments => DatabaseOperation::Insert(self.documents("data")?),
            DatabaseAction::AddDocument => DatabaseOperation::Insert(vec![self.new_document()?]),
            DatabaseAction::InsertInTransaction => {
                let mut document = self.new_document()?;
                // The one text that is itself, and no Extended JSON.
                match self.envelope.text("_id") {
                    Some(id) if !id.is_empty() => drop(document.insert("_id", id)),
                    Some(_) => {}
                    None => {
                        if let Some(id) = self.value("_id")? {
                            document.insert("_id", id);
                        }
                    }
                }
                DatabaseOperation::Insert(vec![document])
            }
            DatabaseAction::Get | DatabaseAction::Query | DatabaseAction::GetInTransaction => {
                DatabaseOperation::Find(self.find(action)?)
            }
            DatabaseAction::Count => DatabaseOperation::Count(self.filter()?),
            DatabaseAction::Modify
            | DatabaseAction::Update
            | DatabaseAction::ModifyAndReturn
            | DatabaseAction::UpdateInTransaction => self.update(action)?,
            DatabaseAction::Remove | DatabaseAction::RemoveInTransaction => DatabaseOperation::Remove {
                filter: self.filter_of_change()?,
                many: action == DatabaseAction::Remove && self.flag("multi")?.unwrap_or(false),
            },
            DatabaseAction::Aggregate | DatabaseAction::AggregateAsText => {
                DatabaseOperation::Aggregate(self.stages()?)
            }
            DatabaseAction::Begin => DatabaseOperation::Begin,
            DatabaseAction::Commit => DatabaseOperation::Commit,
            DatabaseAction::Abort => DatabaseOperation::Abort,
        })
    }

    fn find(&self, action: DatabaseAction) -> Result<Find, DatabaseRefusal> {
        let limit = if action == DatabaseAction::GetInTransaction {
            1
        } else {
            match self.number("limit")? {
                None | Some(0) => FIND_DEFAULT,
                Some(limit) => limit.min(FIND_MOST),
            }
        };
        Ok(Find {
            filter: self.filter()?,
            sort: self.order()?,
            projection: self
                .document("projection")?
                .filter(|projection| !projection.is_empty()),
            skip: self.number("offset")?.unwrap_or(0),
            limit,
        })
    }

    fn update(&self, action: DatabaseAction) -> Result<DatabaseOperation, DatabaseRefusal> {
        let data = self
            .document("data")?
            .map(with_patterns)
            .ok_or_else(|| malformed("data is missing"))?;
        // Only `doc().set()` says `merge: false`, and in a transaction `upsert`.
        let replaces = match self.flag("merge")? {
            Some(merge) => !merge,
            None => !data.keys().any(|name| name.starts_with('$')),
        };
        let change = if replaces {
            Change::Replacement(data)
        } else if data.is_empty() {
            Change::Nothing
        } else {
            Change::Operators(with_each(data))
        };
        Ok(DatabaseOperation::Update {
            filter: self.filter_of_change()?,
            change,
            many: self.flag("multi")?.unwrap_or(false),
            upsert: self.flag("upsert")?.unwrap_or(false),
            returns: action == DatabaseAction::ModifyAndReturn,
        })
    }

    /// The pipeline, closed by the limit that the service has.
    fn stages(&self) -> Result<Vec<Document>, DatabaseRefusal> {
        let Some(Bson::Array(stages)) = self.value("stages")? else {
            return Err(malformed("stages must be an array"));
        };
        let mut pipeline = Vec::with_capacity(stages.len() + 1);
        for (index, stage) in stages.into_iter().enumerate() {
            let Bson::Document(mut stage) = stage else {
                return Err(malformed(format!("stages[{index}] must be an object")));
            };
            let (Some(Bson::String(key)), Some(value)) =
                (stage.remove("stageKey"), stage.remove("stageValue"))
            else {
                return Err(malformed(format!(
                    "stages[{index}] must have stageKey and stageValue"
                )));
            };
            let value = match value {
                Bson::String(text) => {
                    let value = self.extended(&text, &format!("stages[{index}].stageValue"))?;
                    server_dates(value, self.now)
                }
                value => value,
            };
            let mut stage = Document::from_iter([(key, value)]);
            pass_over_flags(&mut stage);
            pipeline.push(stage);
        }
        let limits = pipeline.iter().any(|stage| stage.contains_key("$limit"));
        let most = if limits { AGGREGATE_MOST } else { AGGREGATE_DEFAULT };
        pipeline.push(Document::from_iter([("$limit".to_owned(), Bson::Int64(most))]));
        Ok(pipeline)
    }

    fn filter(&self) -> Result<Document, DatabaseRefusal> {
        let mut filter = self.document("query")?.unwrap_or_default();
        pass_over_flags(&mut filter);
        Ok(filter)
    }

    /// Which documents are changed or removed. SDKs leave the query out where all are meant: who says something else for it means something
    /// else.
    fn filter_of_change(&self) -> Result<Document, DatabaseRefusal> {
        match self.envelope.get("query") {
            None if NO_QUERIES.iter().any(|name| self.envelope.get(name).is_some()) => Err(malformed(
                "which documents are meant is said by `query`, and not by `where`, `filter` or `condition`",
            )),
            Some(FieldValue::Text(text)) if text.trim() == "null" => Err(malformed(NULL_QUERY)),
            Some(FieldValue::Json(raw)) if raw.trim() == "null" => Err(malformed(NULL_QUERY)),
            _ => self.filter(),
        }
    }

    /// `{field: 1, …}` as text; `[{field, direction}, …]` before 2.1.
    fn order(&self) -> Result<Option<Document>, DatabaseRefusal> {
        let Some(order) = self.value("order")? else {
            return Ok(None);
        };
        let order = match order {
            Bson::Document(order) => order,
            Bson::Array(keys) => {
                let mut order = Document::new();
                for key in keys {
                    let key = key.as_document();
                    let field = key.and_then(|key| key.get_str("field").ok());
                    let direction = key.and_then(|key| key.get_str("direction").ok());
                    let (Some(field), Some(direction)) = (field, direction) else {
                        return Err(malformed("order must be a list of {field, direction}"));
                    };
                    let direction = match direction {
                        "asc" => 1,
                        "desc" => -1,
                        other => {
                            return Err(malformed(format!(
                                "a direction of order is \"asc\" or \"desc\", and not {other:?}"
                            )));
                        }
                    };
                    order.insert(field, direction);
                }
                order
            }
            _ => return Err(malformed("order must be an object")),
        };
        Ok(Some(order).filter(|order| !order.is_empty()))
    }

    fn new_document(&self) -> Result<Document, DatabaseRefusal> {
        // `add({})` sends null.
        self.document("data")?
            .map(with_patterns)
            .ok_or_else(|| malformed("data must be an object: add({data: {…}})"))
    }

    /// A list of texts, each a document.
    fn documents(&self, name: &str) -> Result<Vec<Document>, DatabaseRefusal> {
        let wrong = || {
            malformed(format!(
                "{name} must be a list of documents: add({{data: {{…}}}})"
            ))
        };
        let texts = match self.envelope.get(name) {
            Some(FieldValue::Json(raw)) => json::array_of_strings(raw, INSERT_MOST).map_err(|_| wrong())?,
            Some(FieldValue::Text(text)) => vec![text.clone()],
            _ => return Err(wrong()),
        };
        texts
            .iter()
            .map(|text| match server_dates(self.extended(text, name)?, self.now) {
                Bson::Document(document) => Ok(with_patterns(document)),
                _ => Err(wrong()),
            })
            .collect()
    }

    fn document(&self, name: &str) -> Result<Option<Document>, DatabaseRefusal> {
        match self.value(name)? {
            None | Some(Bson::Null) => Ok(None),
            Some(Bson::Document(document)) => Ok(Some(document)),
            Some(_) => Err(malformed(format!("{name} must be an object"))),
        }
    }

    /// The value of a field in either dialect, its server dates filled in; `None` where it is absent or empty text.
    fn value(&self, name: &str) -> Result<Option<Bson>, DatabaseRefusal> {
        let value = match self.envelope.get(name) {
            None => return Ok(None),
            Some(FieldValue::Text(text)) if text.is_empty() => return Ok(None),
            Some(FieldValue::Text(text)) => self.extended(text, name)?,
            Some(FieldValue::Json(raw)) => plain::read(
                serde_json::from_str(raw)
                    .map_err(|error| malformed(format!("{name} is not JSON: {error}")))?,
            ),
            Some(FieldValue::Bytes(_)) => return Err(malformed(format!("{name} is a file"))),
        };
        Ok(Some(server_dates(value, self.now)))
    }

    fn extended(&self, text: &str, name: &str) -> Result<Bson, DatabaseRefusal> {
        ejson::read(text.as_bytes()).map_err(|error| malformed(place::told(name, text, &error)))
    }

    fn number(&self, name: &str) -> Result<Option<u64>, DatabaseRefusal> {
        let number = match self.raw(name) {
            None | Some("" | "null") => return Ok(None),
            Some(number) => number,
        };
        match number.parse::<f64>() {
            // A double up to 2^53 is exact, and nobody skips more.
            Ok(value) if value >= 0.0 && value.fract() == 0.0 && value <= 9_007_199_254_740_992.0 => {
                Ok(Some(value as u64))
            }
            _ => Err(malformed(format!(
                "{name} must be an integer of at least 0, and is {number}"
            ))),
        }
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, DatabaseRefusal> {
        match self.raw(name) {
            None | Some("" | "null") => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(malformed(format!("{name} must be true or false"))),
        }
    }

    fn raw(&self, name: &str) -> Option<&str> {
        match self.envelope.get(name)? {
            FieldValue::Text(text) => Some(text),
            FieldValue::Json(raw) => Some(raw),
            FieldValue::Bytes(_) => None,
        }
    }
}

/// Puts the time of the request where the program wrote `db.serverDate({offset})`, at any depth: the SDKs since 2.1 send
/// `{"$tcb_server_date":{"offset":ms}}`, older ones `{"$date":{"offset":ms}}`.
pub(super) fn server_dates(value: Bson, now: DateTime) -> Bson {
    match value {
        Bson::Array(values) => values.into_iter().map(|value| server_dates(value, now)).collect(),
        Bson::Document(document) => {
            let older = || plain::sole(&document, "$date").filter(|date| is_server_date(date));
            let server_date = plain::sole(&document, "$tcb_server_date").or_else(older);
            if let Some(Bson::Document(options)) = server_date {
                let offset = match options.get("offset") {
                    Some(Bson::Int32(offset)) => i64::from(*offset),
                    Some(Bson::Int64(offset)) => *offset,
                    Some(Bson::Double(offset)) => *offset as i64,
                    _ => 0,
                };
                return Bson::DateTime(DateTime::from_millis(
                    now.timestamp_millis().saturating_add(offset),
                ));
            }
            Bson::Document(
                document
                    .into_iter()
                    .map(|(name, value)| (name, server_dates(value, now)))
                    .collect(),
            )
        }
        value => value,
    }
}

/// Makes regular expressions of what SDKs write for them in the older dialects: `{"$regex": "x", "$options": "gi"}`. In a document that is
/// kept it is nothing else; and what an update finds by it, it finds by the other too.
fn with_patterns(mut document: Document) -> Document {
    document.iter_mut().for_each(|(_, value)| make_patterns(value));
    document
}

fn make_patterns(value: &mut Bson) {
    match value {
        // Without its flags a document is a document.
        Bson::Document(document) => match pattern(document, |_| true).filter(|_| document.len() == 2) {
            Some(regex) => *value = Bson::RegularExpression(regex),
            None => document.iter_mut().for_each(|(_, value)| make_patterns(value)),
        },
        Bson::Array(values) => values.iter_mut().for_each(make_patterns),
        _ => {}
    }
}

/// Whether what `$date` stands for is the server's time, and no time that cannot be read.
fn is_server_date(date: &Bson) -> bool {
    date.as_document()
        .is_some_and(|options| options.keys().all(|name| name == "offset"))
}

/// A regular expression as the older dialects have it, `{"$regex": "x", "$options": "gi"}` or without the second, and nothing beside it;
/// with those of its flags that are `kept`.
fn pattern(document: &Document, kept: impl Fn(char) -> bool) -> Option<Regex> {
    let pattern = document.get_str("$regex").ok()?;
    let options = match (document.get("$options"), document.len()) {
        (None, 1) => "",
        (Some(Bson::String(options)), 2) => options,
        _ => return None,
    };
    let mut flags: Vec<char> = options.chars().filter(|flag| kept(*flag)).collect();
    // BSON has them in this order.
    flags.sort_unstable();
    let flags: String = flags.into_iter().collect();
    Some(Regex {
        pattern: pattern.try_into().ok()?,
        options: flags.try_into().ok()?,
    })
}

/// Takes the flags that the engine does not have out of a query: programs write `db.RegExp({regexp, options: 'gi'})` and even
/// `options: '.'`, which the platform's engine passes over and a newer MongoDB refuses.
fn pass_over_flags(query: &mut Document) {
    let has_pattern = query.contains_key("$regex");
    for (name, value) in query.iter_mut() {
        match value {
            Bson::String(options) if has_pattern && name == "$options" => options.retain(matters),
            Bson::Array(elements) if matches!(name.as_str(), "$in" | "$nin" | "$all") => {
                for element in elements {
                    // SDKs before 2.1 send `_.in([/^a/])` so, which is no condition there and which no MongoDB takes.
                    match element.as_document().and_then(|among| pattern(among, matters)) {
                        Some(pattern) => *element = Bson::RegularExpression(pattern),
                        None => pass_over_flags_in(element),
                    }
                }
            }
            value => pass_over_flags_in(value),
        }
    }
}

fn pass_over_flags_in(value: &mut Bson) {
    match value {
        Bson::RegularExpression(regex) => {
            let options: String = regex
                .options
                .as_str()
                .chars()
                .filter(|flag| matters(*flag))
                .collect();
            if let Ok(options) = options.try_into() {
                regex.options = options;
            }
        }
        Bson::Document(inner) => pass_over_flags(inner),
        Bson::Array(values) => values.iter_mut().for_each(pass_over_flags_in),
        _ => {}
    }
}

/// Whether a flag of a regular expression decides what it matches.
fn matters(flag: char) -> bool {
    matches!(flag, 'i' | 'm' | 's' | 'x')
}

/// `_.addToSet({each: […]})` leaves the SDK as `{"each": […]}`, without the `$` of the others.
fn with_each(mut update: Document) -> Document {
    if let Some(Bson::Document(fields)) = update.get_mut("$addToSet") {
        for (_, value) in fields.iter_mut() {
            if let Bson::Document(options) = value
                && let Some(Bson::Array(_)) = plain::sole(options, "each")
                && let Some(each) = options.remove("each")
            {
                options.insert("$each", each);
            }
        }
    }
    update
}
