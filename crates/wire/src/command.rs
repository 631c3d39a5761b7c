//! A command and its fields: each is taken out with the type that it must have, and what is left over at the end is unknown. So nothing
//! that a client asks for is passed over in silence.

use std::{collections::BTreeSet, time::Duration};

use bson::{Bson, Document};
use docdb::order::Number;

use crate::failure::{Failure, Result, code};

/// Fields that any command may have and that change nothing here: hints of routing, and comments.
const ANYWHERE: [&str; 12] = [
    "$readPreference",
    "$clusterTime",
    "$client",
    "$audit",
    "apiDeprecationErrors",
    "apiStrict",
    "apiVersion",
    "comment",
    "stmtId",
    "stmtIds",
    "mayBypassWriteBlocking",
    "rawData",
];

/// How fresh and how sure a read may be asked to be: one server with one order of writes gives all of them.
const READ_CONCERNS: [&str; 5] = ["local", "available", "majority", "linearizable", "snapshot"];

/// A command.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) name: String,
    /// The database that it is sent to.
    pub(crate) database: String,
    /// Where it belongs to a session.
    pub(crate) session: Option<SessionId>,
    /// The session's number for its transaction, or for this write.
    pub(crate) number: Option<i64>,
    /// Whether it is part of a transaction, and begins it.
    pub(crate) transaction: Option<Part>,
    /// Why a write, though it is done, is not kept by as many as it asks for.
    pub(crate) unkept: Option<Failure>,
    /// How long a read may take.
    pub(crate) patience: Option<Duration>,
    /// Where in an insert's `documents` those stand that were sent with more than one `_id`.
    pub(crate) two_ids: BTreeSet<usize>,
    /// Its own fields; the first one has its name.
    pub(crate) fields: Fields,
}

/// The UUID that a driver gave a session.
pub(crate) type SessionId = [u8; 16];

/// A command's place in a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Begins,
    GoesOn,
}

impl Command {
    pub(crate) fn read(mut document: Document) -> Result<Self> {
        let Some(name) = document.keys().next().cloned() else {
            return Err(Failure::failed_to_parse("the command is empty"));
        };
        for field in ANYWHERE {
            document.remove(field);
        }
        let mut fields = Fields {
            of: name.clone(),
            document,
        };
        if let Some(concern) = fields.document("readConcern")? {
            check_read_concern(concern)?;
        }
        let unkept = match fields.document("writeConcern")? {
            Some(concern) => unkept(&concern)?,
            None => None,
        };
        let database = fields.text("$db")?.unwrap_or_else(|| "admin".to_owned());
        let session = fields.document("lsid")?.map(|id| session_id(&id)).transpose()?;
        let number = fields.integer("txnNumber")?;
        let autocommit = fields.boolean("autocommit")?;
        let begins = fields.boolean("startTransaction")?.unwrap_or(false);
        let transaction = match (autocommit, begins) {
            (Some(false), true) => Some(Part::Begins),
            (Some(false), false) => Some(Part::GoesOn),
            (None, false) => None,
            _ => {
                return Err(Failure::new(
                    code::INVALID_OPTIONS,
                    "a transaction is begun with autocommit: false",
                ));
            }
        };
        if (transaction.is_some() || number.is_some()) && !(session.is_some() && number.is_some()) {
            return Err(Failure::new(
                code::INVALID_OPTIONS,
                "a transaction number needs a session, and a transaction both",
            ));
        }
        let patience = match fields.integer("maxTimeMS")? {
            None | Some(0) => None,
            Some(millis) => Some(Duration::from_millis(u64::try_from(millis).map_err(|_| {
                Failure::bad_value(format!("{millis} value for maxTimeMS is out of range"))
            })?)),
        };
        Ok(Self {
            name,
            database,
            session,
            number,
            transaction,
            unkept,
            patience,
            two_ids: BTreeSet::new(),
            fields,
        })
    }

    /// The collection that the command names, where it is one.
    pub(crate) fn collection(&mut self) -> Result<Namespace> {
        let name = self.name.clone();
        match self.fields.document.remove(&name) {
            Some(Bson::String(collection)) => Namespace::new(&self.database, collection),
            other => Err(Failure::new(
                code::INVALID_NAMESPACE,
                format!("collection name has invalid type {}", kind(other.as_ref())),
            )),
        }
    }

    /// The collection that the command is about, and what `read` takes of its fields. What it leaves is judged: `unread` says what is
    /// known of that, and the rest is unknown.
    pub(crate) fn about<T>(
        &mut self,
        unread: UnreadFields,
        read: impl FnOnce(&mut Fields) -> Result<T>,
    ) -> Result<(Namespace, T)> {
        let namespace = self.collection()?;
        Ok((namespace, self.fields.read(unread, read)?))
    }

    /// Steps over a value that says nothing: `{ping: 1}`.
    pub(crate) fn skip_name(&mut self) {
        let name = self.name.clone();
        self.fields.document.remove(name);
    }
}

fn check_read_concern(concern: Document) -> Result<()> {
    let level = Fields::new("readConcern", concern).text("level")?;
    match level {
        Some(level) if !READ_CONCERNS.contains(&level.as_str()) => Err(Failure::failed_to_parse(format!(
            "readConcern.level is one of {}, and not '{level}'",
            READ_CONCERNS.join(", ")
        ))),
        _ => Ok(()),
    }
}

/// Why what a write asks for is not kept, with this one server; it is done all the same, as in MongoDB.
fn unkept(concern: &Document) -> Result<Option<Failure>> {
    match concern.get("w") {
        None | Some(Bson::Null) => Ok(None),
        Some(Bson::String(mode)) if mode == "majority" => Ok(None),
        Some(Bson::String(mode)) => Ok(Some(Failure::new(
            code::UNKNOWN_REPL_WRITE_CONCERN,
            format!("No write concern mode named '{mode}' found in replica set configuration"),
        ))),
        Some(number) => match Number::of(number).and_then(Number::to_i64_exact) {
            Some(0 | 1) => Ok(None),
            Some(2..=50) => Ok(Some(Failure::new(
                code::UNSATISFIABLE_WRITE_CONCERN,
                "Not enough data-bearing nodes",
            ))),
            _ => Err(Failure::failed_to_parse(
                "w has to be a non-negative number and not greater than 50, or 'majority'",
            )),
        },
    }
}

/// The name of a session: `{id: UUID}`.
pub(crate) fn session_id(id: &Document) -> Result<SessionId> {
    match id.get("id") {
        Some(Bson::Binary(binary)) => binary.bytes.as_slice().try_into().ok(),
        _ => None,
    }
    .ok_or_else(|| Failure::new(code::TYPE_MISMATCH, "lsid is {id: UUID}"))
}

/// A collection in a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Namespace {
    pub(crate) database: String,
    pub(crate) collection: String,
}

impl Namespace {
    pub(crate) fn new(database: &str, collection: String) -> Result<Self> {
        // One that is longer than a new one may be may have been made elsewhere; whatever makes one bounds it.
        if let Err(bad) = docdb::collection::check_characters(&collection) {
            return Err(Failure::bad_name(&bad));
        }
        Ok(Self {
            database: database.to_owned(),
            collection,
        })
    }

    pub(crate) fn full(&self) -> String {
        format!("{}.{}", self.database, self.collection)
    }
}

/// What is known of fields that nobody reads.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UnreadFields {
    /// MongoDB has them, and here they are refused.
    pub(crate) not_served: &'static [&'static str],
    /// They change nothing here.
    pub(crate) passed_over: &'static [&'static str],
}

/// Fields of a command, or of a part of it.
#[derive(Debug)]
pub(crate) struct Fields {
    /// What they belong to, for messages.
    of: String,
    pub(crate) document: Document,
}

impl Fields {
    pub(crate) fn new(of: &str, document: Document) -> Self {
        Self {
            of: of.to_owned(),
            document,
        }
    }

    /// What `read` takes; of what it leaves `unread` says what is known, and the rest is unknown.
    pub(crate) fn read<T>(
        &mut self,
        unread: UnreadFields,
        read: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let taken = read(self)?;
        self.not_served(unread.not_served)?;
        self.pass_over(unread.passed_over);
        self.finish()?;
        Ok(taken)
    }

    fn wrong(&self, field: &str, value: &Bson, expected: &str) -> Failure {
        Failure::new(
            code::TYPE_MISMATCH,
            format!(
                "BSON field '{}.{field}' is the wrong type '{}', expected type '{expected}'",
                self.of,
                kind(Some(value))
            ),
        )
    }

    fn missing(&self, field: &str) -> Failure {
        Failure::new(
            code::IDL_FAILED_TO_PARSE,
            format!("BSON field '{}.{field}' is missing but a required field", self.of),
        )
    }

    pub(crate) fn value(&mut self, field: &str) -> Option<Bson> {
        self.document
            .remove(field)
            .filter(|value| !matches!(value, Bson::Null | Bson::Undefined))
    }

    pub(crate) fn document(&mut self, field: &str) -> Result<Option<Document>> {
        match self.value(field) {
            None => Ok(None),
            Some(Bson::Document(document)) => Ok(Some(document)),
            Some(other) => Err(self.wrong(field, &other, "object")),
        }
    }

    pub(crate) fn needed_document(&mut self, field: &str) -> Result<Document> {
        self.document(field)?.ok_or_else(|| self.missing(field))
    }

    pub(crate) fn array(&mut self, field: &str) -> Result<Option<Vec<Bson>>> {
        match self.value(field) {
            None => Ok(None),
            Some(Bson::Array(elements)) => Ok(Some(elements)),
            Some(other) => Err(self.wrong(field, &other, "array")),
        }
    }

    /// An array of documents.
    pub(crate) fn documents(&mut self, field: &str) -> Result<Option<Vec<Document>>> {
        let Some(elements) = self.array(field)? else {
            return Ok(None);
        };
        elements
            .into_iter()
            .enumerate()
            .map(|(at, element)| match element {
                Bson::Document(document) => Ok(document),
                other => Err(self.wrong(&format!("{field}.{at}"), &other, "object")),
            })
            .collect::<Result<_>>()
            .map(Some)
    }

    pub(crate) fn needed_documents(&mut self, field: &str) -> Result<Vec<Document>> {
        self.documents(field)?.ok_or_else(|| self.missing(field))
    }

    pub(crate) fn text(&mut self, field: &str) -> Result<Option<String>> {
        match self.value(field) {
            None => Ok(None),
            Some(Bson::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(field, &other, "string")),
        }
    }

    pub(crate) fn needed_text(&mut self, field: &str) -> Result<String> {
        self.text(field)?.ok_or_else(|| self.missing(field))
    }

    /// A whole number of any type.
    pub(crate) fn integer(&mut self, field: &str) -> Result<Option<i64>> {
        let Some(value) = self.value(field) else {
            return Ok(None);
        };
        match Number::of(&value).and_then(Number::to_i64_exact) {
            Some(number) => Ok(Some(number)),
            None => Err(self.wrong(field, &value, "long")),
        }
    }

    /// How many of something; none where it is not given.
    pub(crate) fn count(&mut self, field: &str) -> Result<Option<u64>> {
        let Some(number) = self.integer(field)? else {
            return Ok(None);
        };
        u64::try_from(number).map(Some).map_err(|_| {
            Failure::new(
                code::NEGATIVE_COUNT,
                format!("BSON field '{field}' value must be >= 0, actual value '{number}'"),
            )
        })
    }

    /// True or false; a number that is not zero is true.
    pub(crate) fn boolean(&mut self, field: &str) -> Result<Option<bool>> {
        match self.value(field) {
            None => Ok(None),
            Some(Bson::Boolean(value)) => Ok(Some(value)),
            Some(other) => match Number::of(&other) {
                Some(number) => Ok(Some(number.to_i64_exact() != Some(0))),
                None => Err(self.wrong(field, &other, "bool")),
            },
        }
    }

    /// Takes out what may be asked for and changes nothing here.
    pub(crate) fn pass_over(&mut self, fields: &[&str]) {
        for field in fields {
            self.document.remove(field);
        }
    }

    /// Refuses fields that would change the answer and are not served. An empty or false one asks for nothing, and passes.
    pub(crate) fn not_served(&mut self, fields: &[&str]) -> Result<()> {
        for field in fields {
            match self.value(field) {
                None | Some(Bson::Boolean(false)) => {}
                Some(Bson::Document(document)) if document.is_empty() || is_simple_collation(&document) => {}
                Some(_) => {
                    return Err(Failure::unsupported(format!(
                        "'{field}' of {} is not served by this database: leave it out",
                        self.of
                    )));
                }
            }
        }
        Ok(())
    }

    /// Refuses a command of which a field is left that nobody took out.
    pub(crate) fn finish(&self) -> Result<()> {
        match self.document.keys().next() {
            None => Ok(()),
            Some(field) => Err(Failure::new(
                code::IDL_UNKNOWN_FIELD,
                format!("BSON field '{}.{field}' is an unknown field.", self.of),
            )),
        }
    }
}

/// The order of strings by their bytes, which is the one there is.
fn is_simple_collation(document: &Document) -> bool {
    document.len() == 1 && document.get_str("locale").is_ok_and(|locale| locale == "simple")
}

/// The name of a value's type, as MongoDB says it.
fn kind(value: Option<&Bson>) -> &'static str {
    match value {
        None => "missing",
        Some(Bson::Double(_)) => "double",
        Some(Bson::String(_)) => "string",
        Some(Bson::Document(_)) => "object",
        Some(Bson::Array(_)) => "array",
        Some(Bson::Binary(_)) => "binData",
        Some(Bson::ObjectId(_)) => "objectId",
        Some(Bson::Boolean(_)) => "bool",
        Some(Bson::DateTime(_)) => "date",
        Some(Bson::Null) => "null",
        Some(Bson::RegularExpression(_)) => "regex",
        Some(Bson::Int32(_)) => "int",
        Some(Bson::Int64(_)) => "long",
        Some(Bson::Timestamp(_)) => "timestamp",
        Some(Bson::Decimal128(_)) => "decimal",
        Some(_) => "another type",
    }
}
