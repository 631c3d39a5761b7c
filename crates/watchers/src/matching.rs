//! Changes, matched with the queries that are watched. That is work for as long as anybody has queries and documents for it, so it is done
//! beside the thread that serves, and nothing is locked meanwhile: what it comes to is applied afterwards, a little at a time.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use bson::Document;
use bytes::Bytes;
use database::{Change, ChangeKind, DatabaseError};
use docdb::{Context, TOO_MUCH_WORK, key};
use realtime::{DataType, Row, Shown, WatchQuery, WatchRefusal};
use tcb::database::DatabaseRefusal;

/// Steps within which a change is matched with a query: about a millisecond.
pub(crate) const STEPS: u64 = 20_000;
/// What takes fewer steps than that is not counted as its payer's.
const FEW_STEPS: u64 = 1_000;
/// After so long what was found is told, before other changes are matched.
pub(crate) const IN_ONE_GO: Duration = Duration::from_millis(20);
/// So many outcomes are held at once, and the bytes of so many documents.
const MOST_OUTCOMES: usize = 1 << 16;
const MOST_BYTES: usize = 4 << 20;

/// The queries of one collection, by the numbers of their entries.
pub(crate) type Queried = Vec<(u64, Arc<WatchQuery>)>;

/// Changes, and the queries that they are to be matched with.
pub(crate) struct Matching {
    pub(crate) changes: Vec<Arc<Change>>,
    pub(crate) queries: HashMap<Arc<str>, Arc<Queried>>,
}

/// What came of it.
#[derive(Default)]
pub(crate) struct Matched {
    /// How many of the changes were matched: the first ones.
    pub(crate) taken: usize,
    /// For each query the outcomes of its changes, in their order and with their numbers.
    pub(crate) outcomes: VecDeque<(u64, Vec<(u64, Outcome)>)>,
    /// For each change that was much work the queries that made it so, and their steps.
    pub(crate) work: Vec<Vec<(u64, u64)>>,
}

/// What a change is for a query.
pub(crate) enum Outcome {
    /// A document is other than it was.
    Changed(Changed),
    /// The collection was dropped.
    Dropped,
    /// It could not be matched.
    Failed(Box<WatchFault>),
}

/// Why a query is watched no more.
pub(crate) struct WatchFault {
    /// What its watchers are told.
    pub(crate) refusal: WatchRefusal,
    /// What the developer is told, where that is more.
    pub(crate) why: Option<String>,
}

impl From<WatchRefusal> for WatchFault {
    fn from(refusal: WatchRefusal) -> Self {
        Self { refusal, why: None }
    }
}

impl WatchFault {
    /// What an error of the engine's comes to where documents were looked at.
    pub(crate) fn of(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Refused(error) => Self::at_a_document(&error),
            error => crate::refusal(error).into(),
        }
    }

    /// A query that fails at a document. The text may tell what stands in one that is kept from the client: a server looks at the parts of
    /// a query in an order of its own.
    fn at_a_document(error: &docdb::Error) -> Self {
        let why = format!("the query fails at a document ({})", error.code_name());
        Self {
            refusal: WatchRefusal::Database(DatabaseRefusal::Query(why)),
            why: Some(format!("the query fails at a document: {error}")),
        }
    }
}

/// A document that is other than it was.
pub(crate) struct Changed {
    /// Key bytes of its `_id`.
    pub(crate) id: Bytes,
    /// What happened to it.
    pub(crate) data: DataType,
    /// The document where the query finds it.
    pub(crate) row: Option<Box<Row>>,
}

impl Outcome {
    /// Bytes that it holds.
    pub(crate) fn bytes(&self) -> usize {
        let row = match self {
            Self::Changed(changed) => changed.row.as_ref(),
            Self::Dropped | Self::Failed(_) => None,
        };
        size_of::<(u64, Self)>() + row.map_or(0, |row| size_of::<Row>() + row.bytes())
    }
}

/// What a query is matched with.
pub(crate) fn context() -> Context {
    Context::new(bson::DateTime::now(), rand::random())
}

impl Matching {
    /// Matches the first of the changes, as many as can be in `moment`; at least one.
    pub(crate) fn run(&self, moment: Duration) -> Matched {
        let began = Instant::now();
        let mut matched = Matched::default();
        let mut places: HashMap<u64, usize> = HashMap::new();
        let (mut count, mut bytes) = (0, 0);
        for change in &self.changes {
            let is_enough = count >= MOST_OUTCOMES || bytes >= MOST_BYTES || began.elapsed() >= moment;
            if is_enough && matched.taken > 0 {
                break;
            }
            matched.taken += 1;
            let Some(queries) = self.queries.get(&change.collection) else {
                continue;
            };
            count += queries.len();
            let size = change.document.as_ref().map(|raw| raw.as_bytes().len());
            bytes += size.unwrap_or_default();
            let mut look = Look::of(change);
            let mut work = Vec::new();
            for (number, query) in queries.iter() {
                let outcome = look.at(query);
                let steps = look.context.steps();
                if steps > FEW_STEPS {
                    work.push((*number, steps));
                }
                if let Outcome::Changed(changed) = &outcome {
                    bytes += changed.row.as_ref().map_or(0, |row| row.own_bytes());
                }
                let place = *places.entry(*number).or_insert_with(|| {
                    matched.outcomes.push_back((*number, Vec::new()));
                    matched.outcomes.len() - 1
                });
                if let Some((_, outcomes)) = matched.outcomes.get_mut(place) {
                    outcomes.push((change.sequence, outcome));
                }
            }
            if !work.is_empty() {
                matched.work.push(work);
            }
        }
        matched
    }
}

/// A change as it is looked at: its document is decoded once, and its texts are made once, for all queries.
struct Look<'a> {
    change: &'a Change,
    id: Bytes,
    data: DataType,
    document: Option<Option<Document>>,
    shown: Shown,
    /// Each query has one of its own: what one of them takes is not missing to another.
    context: Context,
}

impl<'a> Look<'a> {
    fn of(change: &'a Change) -> Self {
        Self {
            change,
            id: key::of(&change.id).into(),
            data: match change.kind {
                _ if change.document.is_none() => DataType::Remove,
                ChangeKind::Insert => DataType::Add,
                ChangeKind::Replace => DataType::Replace,
                ChangeKind::Update => DataType::Update,
                ChangeKind::Remove | ChangeKind::Drop => DataType::Remove,
            },
            document: None,
            shown: Shown::default(),
            context: context(),
        }
    }

    fn at(&mut self, query: &WatchQuery) -> Outcome {
        if self.change.kind == ChangeKind::Drop {
            return Outcome::Dropped;
        }
        match self.row(query) {
            Ok(row) => Outcome::Changed(Changed {
                id: self.id.clone(),
                data: self.data,
                row: row.map(Box::new),
            }),
            Err(fault) => Outcome::Failed(Box::new(fault)),
        }
    }

    fn row(&mut self, query: &WatchQuery) -> Result<Option<Row>, WatchFault> {
        let Some(raw) = &self.change.document else {
            return Ok(None);
        };
        let unreadable = || WatchFault::from(WatchRefusal::Database(DatabaseRefusal::Unavailable));
        let document = self
            .document
            .get_or_insert_with(|| Document::try_from(&**raw).ok())
            .as_ref()
            .ok_or_else(unreadable)?;
        self.context = Context::new(self.context.now, self.context.random()).strict(STEPS);
        let found = query.matches(document, &self.context).map_err(|error| {
            if error.code == TOO_MUCH_WORK {
                return WatchRefusal::TooMuchWork.into();
            }
            WatchFault::at_a_document(&error)
        })?;
        if !found {
            return Ok(None);
        }
        let row = query.row(raw, document, &self.context, &mut self.shown)?;
        Ok(Some(row))
    }
}
