//! What an engine is asked for and what it answers, in MongoDB's terms: the parameters and results of [`Database`](crate::Database).

use std::{fmt, net::IpAddr};

use bson::{Bson, Document, RawDocumentBuf};
use docdb::{error::code, index::IndexSpec};

use crate::{DatabaseError, Result};

/// Names a transaction: what the SDK sends as `transactionId`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(pub u128);

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl std::str::FromStr for TransactionId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Self)
    }
}

/// One of those who ask a database, as far as what they get of it is bounded: see [`Database::for_asker`](crate::Database::for_asker).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asker {
    /// What this one belongs to, from the narrowest to the widest, each with the part that all who belong to it may have of the
    /// places for reads: 2 for a half, 4 for a quarter. They stand in one order everywhere, so that no two wait for each other.
    pub(crate) groups: Vec<(String, usize)>,
    /// How many steps of loops inside expressions one operation may take, where these are fewer than the engine lets anybody's.
    pub(crate) steps: Option<u64>,
}

impl Asker {
    /// Steps of loops in one operation of a client's: some hundredths of a second. A function has a hundred times as many.
    pub const CLIENT_STEPS: u64 = 1_000_000;

    /// A client by itself: all of them have half of the places, one user a quarter.
    #[must_use]
    pub fn client(user: &str) -> Self {
        Self::among_clients([(format!("client {user}"), 4), of_user(user)])
    }

    /// A client that may be anybody, and so as many as it likes: those of one network have a quarter.
    #[must_use]
    pub fn network(network: IpAddr) -> Self {
        Self::among_clients([(format!("network {network}"), 4)])
    }

    /// What is read for clients' watches: all of it has a quarter, so that half of what clients have is left to those who wait.
    #[must_use]
    pub fn watches() -> Self {
        Self::among_clients([("watches".to_owned(), 4)])
    }

    fn among_clients<const N: usize>(groups: [(String, usize); N]) -> Self {
        let mut groups = Vec::from(groups);
        groups.push(("clients".to_owned(), 2));
        Self {
            groups,
            steps: Some(Self::CLIENT_STEPS),
        }
    }

    /// Other programs, by MongoDB's wire: all of them have half of the places, and take as long as they wait.
    #[must_use]
    pub fn programs() -> Self {
        Self {
            groups: vec![("programs".to_owned(), 2)],
            steps: None,
        }
    }

    /// A function that was called for this user, if for any: one function has half of the places, and so has one user.
    #[must_use]
    pub fn function(name: &str, user: Option<&str>) -> Self {
        let mut groups = Vec::with_capacity(2);
        groups.extend(user.map(of_user));
        groups.push((format!("function {name}"), 2));
        Self { groups, steps: None }
    }
}

fn of_user(user: &str) -> (String, usize) {
    (format!("user {user}"), 2)
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
    /// How many to give; `None` for all.
    pub limit: Option<u64>,
    /// Whether somebody follows the changes of what is found: it is read where they come from, and not from a copy that may be behind, and says
    /// which of them it has.
    pub is_followed: bool,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// The documents.
    pub documents: Vec<RawDocumentBuf>,
    /// What it took; `None` where the engine does not know.
    pub looked: Option<Looked>,
    /// The number of the last change that was made before it was read; `None` where nobody follows them, or the engine does not know.
    pub sequence: Option<u64>,
}

/// What was added.
#[derive(Debug, Default)]
pub struct Inserted {
    /// The ids of the documents that were.
    pub ids: Vec<Bson>,
    /// Those that were not, by their place among all, and why.
    pub refused: Vec<(usize, DatabaseError)>,
}

impl Inserted {
    /// Notes what came of the document at place `at`; answers whether the next one is to be tried.
    ///
    /// # Errors
    /// An error that is not about this document alone, given back.
    pub fn note(&mut self, at: usize, id: Bson, outcome: Result<()>, ordered: bool) -> Result<bool> {
        match outcome {
            Ok(()) => {
                self.ids.push(id);
                Ok(true)
            }
            Err(error @ (DatabaseError::Duplicate { .. } | DatabaseError::Refused(_))) => {
                self.refused.push((at, error));
                Ok(!ordered)
            }
            Err(error) => Err(error),
        }
    }
}

/// Some documents of many.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The documents.
    pub documents: Vec<RawDocumentBuf>,
    /// The `_id` after which the next page begins; `None` where this is the last.
    pub last: Option<Bson>,
}

/// What it took to find documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// How many documents were looked at.
    pub documents: u64,
    /// The index that led to them; `None` where all of the collection was read.
    pub index: Option<String>,
}

/// A number of documents that were counted, or removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// What it took to find them; `None` where the engine does not know.
    pub looked: Option<Looked>,
}

impl Tally {
    /// So many, of which is not known what it took to find them.
    #[must_use]
    pub const fn of(count: u64) -> Self {
        Self { count, looked: None }
    }
}

/// A pipeline.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Aggregate {
    /// Its stages, `{$match: …}` and so on.
    pub stages: Vec<Document>,
}

/// A change of documents.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// Which documents.
    pub filter: Document,
    /// How.
    pub kind: UpdateKind,
    /// What `$[name]` in the update stands for.
    pub array_filters: Vec<Document>,
    /// All that match, or the first.
    pub many: bool,
    /// Bytes of BSON beyond which no document may grow by it: where one would, all is refused with
    /// [`code::BSON_OBJECT_TOO_LARGE`](docdb::error::code::BSON_OBJECT_TOO_LARGE), judged by what stands there before the first is changed. One that is larger already may be changed, as long as it
    /// grows no more. It is for updates by operators that have nothing of what follows, nor a transaction.
    pub largest: Option<usize>,
    /// In which order the first is looked for.
    pub sort: Option<Document>,
    /// The `_id` of a document that is added because none matches, where the filter and the update name none; without it
    /// none is added.
    pub upsert: Option<Bson>,
    /// Which state of the document is wanted.
    pub returns: Option<ReturnedDocument>,
}

/// Refuses that a document becomes larger than `largest` bytes, and than it was: [`Update::largest`].
///
/// # Errors
/// [`code::BSON_OBJECT_TOO_LARGE`](docdb::error::code::BSON_OBJECT_TOO_LARGE).
pub fn refuse_growth(before: usize, after: usize, largest: usize) -> Result<()> {
    if after <= largest || after <= before {
        return Ok(());
    }
    Err(DatabaseError::Refused(docdb::Error::new(
        code::BSON_OBJECT_TOO_LARGE,
        format!("the document would have {after} bytes, and may grow to {largest}"),
    )))
}

/// How a document is changed.
#[derive(Clone, Debug, PartialEq)]
pub enum UpdateKind {
    /// By operators: `{$set: …}`.
    Operators(Document),
    /// By another document in its place; it keeps its `_id`.
    Replacement(Document),
    /// By stages that make it of what stands in it: `[{$set: {total: {$add: ["$a", "$b"]}}}]`.
    Pipeline(Vec<Document>),
}

impl UpdateKind {
    /// Parses it. `array_filters` say what `$[name]` stands for.
    ///
    /// # Errors
    /// What MongoDB's language does not have; operators that are none, and a replacement with a name that begins with `$`.
    pub fn parse(&self, array_filters: &[Document]) -> Result<docdb::update::Update, docdb::Error> {
        // MongoDB's language tells the two apart by the first name alone, and an engine would do the one where the other was meant.
        match self {
            Self::Operators(change) => {
                if change.is_empty() {
                    return Err(docdb::Error::failed_to_parse(
                        "Update document requires atomic operators",
                    ));
                }
                if let Some(name) = change.keys().find(|name| !name.starts_with('$')) {
                    return Err(docdb::Error::failed_to_parse(format!(
                        "Unknown modifier: {name}. Expected a valid update modifier or pipeline-style update specified as an array"
                    )));
                }
                docdb::update::Update::parse(change, array_filters)
            }
            Self::Replacement(document) => {
                if let Some(name) = document.keys().find(|name| name.starts_with('$')) {
                    return Err(docdb::Error::new(
                        docdb::error::code::DOLLAR_PREFIXED_FIELD_NAME,
                        format!(
                            "The dollar ($) prefixed field '{name}' is not allowed in the context of an update's replacement \
                             document."
                        ),
                    ));
                }
                docdb::update::Update::parse(document, array_filters)
            }
            Self::Pipeline(stages) => docdb::update::Update::parse_pipeline(stages, array_filters),
        }
    }
}

/// Which state of a document that is changed is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnedDocument {
    /// As it was.
    Before,
    /// As it became.
    After,
}

/// What an update did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Updated {
    /// How many documents matched.
    pub matched: u64,
    /// How many of them are different now. An engine that gives back the document may count one that matched as different.
    pub modified: u64,
    /// The `_id` of the document that was added.
    pub upserted: Option<Bson>,
    /// The document in the state that was wanted; `None` where it was not there then.
    pub document: Option<Document>,
    /// What it took to find them; `None` where the engine does not know.
    pub looked: Option<Looked>,
}

/// A collection as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionStatus {
    /// Its name.
    pub name: String,
    /// How many documents it has.
    pub documents: u64,
    /// Its indexes, without the one of `_id`.
    pub indexes: Vec<IndexSpec>,
}
