//! The database as a client may use it: whatever is asked is judged by the permission of its collection first, and is asked in such a
//! way that it finds and changes nothing else.
//!
//! A level adds the caller to the query; a rule is proved from the query, or, where the query names one document, judged by
//! that. What a rule was found to say of the documents is then part of the query, so that a document which changes meanwhile
//! is not found either. Functions and the operator use a [`Database`] as it is.

use std::collections::BTreeMap;

use bson::{Bson, Document, doc};
use docdb::{
    TOO_MUCH_WORK,
    error::code,
    pipeline::Pipeline,
    project::Projection,
    query::Filter,
    regex::{Asked, refuse_large},
    sort::Sort,
};
use rules::{
    Caller, Denial, DocumentRef, Documents, Guard, Level, LevelScope, Operation, Permission, Request, Rules,
    Subject, Verdict, WrittenData, with_identity,
};
use tokio::sync::Semaphore;

use crate::{
    Aggregate, Database, DatabaseError, Find, Found, ID_INDEX, Tally, Update, UpdateKind, Updated,
    line::Line, of_either_kind,
};

/// The field that says whose a document is. The server writes it, and no client.
pub const OWNER: &str = "_openid";
/// Stages of a pipeline that a client may use: those of the Mini Program's `Aggregate`, which read no other collection.
const STAGES: [&str; 18] = [
    "$addFields",
    "$bucket",
    "$bucketAuto",
    "$count",
    "$geoNear",
    "$group",
    "$limit",
    "$match",
    "$project",
    "$replaceRoot",
    "$replaceWith",
    "$sample",
    "$set",
    "$skip",
    "$sort",
    "$sortByCount",
    "$unset",
    "$unwind",
];
/// Operators by which a MongoDB server would run a program.
const PROGRAMS: [&str; 3] = ["$where", "$function", "$accumulator"];
/// Regular expressions in what a client asks for at once, and bytes of their texts.
const MOST_PATTERNS: usize = 64;
const MOST_PATTERN_BYTES: usize = 16 << 10;
/// So many things that take long to parse are parsed at once.
static PARSING: Semaphore = Semaphore::const_new(4);
/// Bytes of a document that a client writes, or of what it writes to one: as measured on the platform. What one client adds, all others
/// who read the collection have to take.
const LARGEST: usize = 512 << 10;
/// A document that others write to all the time is set in so many tries, or not at all.
const TRIES: usize = 4;

/// What clients may do, by collection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Permissions {
    /// Of collections that are not named.
    pub default: Permission,
    /// Of those that are.
    pub collections: BTreeMap<String, Permission>,
}

impl Permissions {
    /// The permission of a collection.
    #[must_use]
    pub fn of(&self, collection: &str) -> &Permission {
        self.collections.get(collection).unwrap_or(&self.default)
    }
}

/// Why a client does not get what it asks for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Its permission: the client learns that, and the developer why.
    #[error("{0}")]
    Denied(Box<Denial>),
    /// Nobody may ask for that from a client.
    #[error("{0}")]
    NotForClients(String),
    /// It writes a field that only the server writes.
    #[error("Invalid Key Name: {OWNER}")]
    WritesOwner,
    /// It would make a document that is larger than a client's may be.
    #[error("what a client writes may have 512 KB, and so may the document that comes of it")]
    TooLarge,
    /// It fails at a document. The text may tell what stands in that document, and is for the log alone.
    #[error("it fails at a document: {0}")]
    Fails(docdb::Error),
    /// The engine.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

type Answer<T> = std::result::Result<T, ClientError>;

/// What a client might ask for, to be judged and not done.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientRequest {
    /// get, count or watch of this query.
    Read(Document),
    /// A pipeline that begins with this match.
    Aggregate(Document),
    /// add.
    Create(Document),
    /// update: a query, and operators or fields to set.
    Update(Document, Document),
    /// remove.
    Delete(Document),
}

/// A query as it may be watched: whatever meets it may be told to the caller, as long as what it was judged by stays as it is.
#[derive(Clone, Debug)]
pub struct WatchedQuery {
    /// What is to be watched.
    pub filter: Document,
    /// The documents that the rule names by `get()`.
    pub named: Vec<DocumentRef>,
    /// Whether the rule asks for the time: it may say something else later.
    pub is_of_time: bool,
}

/// One client's view of the database.
///
/// # Errors
/// Every method: [`ClientError::Denied`] where the permission does not let the caller do it; [`ClientError::NotForClients`] for what no
/// client may ask for, such as an operator that runs a program; [`ClientError::Fails`] where it fails at a document, which the client
/// learns nothing more of; [`ClientError::Database`] with what the engine says. What a method fails by besides stands with it.
#[derive(Clone, Copy)]
pub struct ClientDatabase<'a> {
    /// All of it.
    pub database: &'a dyn Database,
    /// What clients may do.
    pub permissions: &'a Permissions,
    /// Which client.
    pub caller: &'a Caller,
    /// What rules see as `now`: milliseconds since 1970.
    pub now: i64,
}

impl ClientDatabase<'_> {
    /// Reads documents.
    pub async fn find(&self, collection: &str, mut find: Find) -> Answer<Found> {
        if let Some(projection) = &find.projection {
            refuse_programs_in(projection)?;
        }
        let sort = find.sort.as_ref().filter(|sort| !sort.is_empty());
        sort.map(Sort::parse)
            .transpose()
            .map_err(DatabaseError::Refused)?;
        if let Some(projection) = find.projection.take_if(|fields| !fields.is_empty()) {
            let ([projection], _) = parsed([projection], |[fields]| Projection::parse(fields)).await?;
            find.projection = Some(projection);
        }
        let filter = self
            .within(collection, Operation::Read, find.filter.clone(), None)
            .await?;
        let find = Find {
            filter: of_either_kind(filter),
            ..find
        };
        ran(self.database.find(collection, find, None).await)
    }

    /// The query as it may be watched.
    pub async fn watched(&self, collection: &str, filter: Document) -> Answer<WatchedQuery> {
        let mut named = Documents::new();
        let filter = self
            .judged(collection, Operation::Read, filter, None, true, &mut named)
            .await?;
        Ok(WatchedQuery {
            filter,
            named: named.into_keys().collect(),
            is_of_time: match self.permissions.of(collection) {
                Permission::Rules(rules) => rules.asks_for_time(Operation::Read),
                Permission::Level(_) => false,
            },
        })
    }

    /// Counts documents.
    pub async fn count(&self, collection: &str, filter: Document) -> Answer<Tally> {
        let filter = self.within(collection, Operation::Read, filter, None).await?;
        ran(self
            .database
            .count(collection, of_either_kind(filter), None)
            .await)
    }

    /// Adds documents, each with an `_id`, as the caller's. All of them are judged before the first is added.
    ///
    /// # Errors
    /// [`ClientError::WritesOwner`], [`ClientError::TooLarge`].
    pub async fn insert(&self, collection: &str, documents: Vec<Document>) -> Answer<Vec<Bson>> {
        let mut owned = Vec::with_capacity(documents.len());
        for document in documents {
            if document.contains_key(OWNER) {
                return Err(ClientError::WritesOwner);
            }
            refuse_too_large(&document)?;
            let document = self.owned(document);
            self.may_create(collection, &document).await?;
            owned.push(document);
        }
        Ok(self.database.insert(collection, owned, None).await?)
    }

    /// Changes documents by operators; without any it is judged, and nothing is changed.
    ///
    /// # Errors
    /// [`ClientError::WritesOwner`], [`ClientError::TooLarge`]; what is no operator.
    pub async fn update(
        &self,
        collection: &str,
        filter: Document,
        operators: Document,
        many: bool,
    ) -> Answer<Updated> {
        let filter = self.within_update(collection, filter, &operators).await?;
        if operators.is_empty() {
            return Ok(Updated::default());
        }
        refuse_too_large(&operators)?;
        let update = Update {
            filter: of_either_kind(filter),
            kind: UpdateKind::Operators(operators),
            array_filters: Vec::new(),
            many,
            sort: None,
            upsert: None,
            // Judged where it is written: what is looked at before may have been changed since.
            largest: Some(LARGEST),
            returns: None,
        };
        match self.database.update(collection, update, None).await {
            Err(DatabaseError::Refused(error)) if error.code == code::BSON_OBJECT_TOO_LARGE => {
                Err(ClientError::TooLarge)
            }
            outcome => self.wrote(collection, ran(outcome)),
        }
    }

    /// Puts a document in the place of the one with this `_id`, or adds it. One that is there stays whose it is.
    ///
    /// # Errors
    /// [`ClientError::WritesOwner`], [`ClientError::TooLarge`]; [`DatabaseError::TransactionConflict`] where the document was never the one
    /// that had been judged: nothing was written, and the client may try again.
    pub async fn set(&self, collection: &str, id: Bson, document: Document) -> Answer<Updated> {
        if document.contains_key(OWNER) {
            return Err(ClientError::WritesOwner);
        }
        refuse_too_large(&document)?;
        UpdateKind::Replacement(document.clone())
            .parse(&[])
            .map_err(DatabaseError::Refused)?;
        for _ in 0..TRIES {
            let Some(stored) = self.by_filter(collection, doc! {"_id": id.clone()}).await? else {
                let mut new = doc! {"_id": id.clone()};
                new.extend(document.clone());
                let new = self.owned(new);
                self.may_create(collection, &new).await?;
                match self.database.insert(collection, vec![new], None).await {
                    Ok(ids) => {
                        return Ok(Updated {
                            upserted: ids.into_iter().next(),
                            ..Updated::default()
                        });
                    }
                    // Somebody else was quicker.
                    Err(DatabaseError::Duplicate { index, .. }) if index == ID_INDEX => continue,
                    Err(error) => return Err(error.into()),
                }
            };
            let data = WrittenData::document(&document);
            let guard = self.may_change(collection, &stored, &data).await?;
            let owner = stored.get(OWNER).cloned();
            let mut replacement = Document::new();
            replacement.extend(owner.clone().map(|owner| (OWNER.to_owned(), owner)));
            replacement.extend(document.clone());
            let theirs = doc! {"_id": id.clone(), OWNER: owner.unwrap_or(Bson::Null)};
            let update = Update {
                filter: guarded(theirs, &guard),
                kind: UpdateKind::Replacement(replacement),
                array_filters: Vec::new(),
                many: false,
                sort: None,
                upsert: None,
                largest: None,
                returns: None,
            };
            let outcome = self.database.update(collection, update, None).await;
            let updated = self.wrote(collection, outcome.map_err(ClientError::from))?;
            if updated.matched > 0 {
                return Ok(updated);
            }
        }
        Err(DatabaseError::TransactionConflict.into())
    }

    /// Removes documents.
    pub async fn remove(&self, collection: &str, filter: Document, many: bool) -> Answer<Tally> {
        let filter = self.within(collection, Operation::Delete, filter, None).await?;
        let filter = of_either_kind(filter);
        ran(self.database.remove(collection, filter, many, None).await)
    }

    /// Runs a pipeline. Its first `$match`, or the query of its `$geoNear`, is what a rule judges.
    ///
    /// # Errors
    /// [`ClientError::NotForClients`] for a stage that reads other collections.
    pub async fn aggregate(&self, collection: &str, mut stages: Vec<Document>) -> Answer<Found> {
        for stage in &stages {
            for name in stage.keys() {
                if !STAGES.contains(&name.as_str()) {
                    return Err(ClientError::NotForClients(format!(
                        "clients have no {name}: a stage that reads other collections would pass their permissions by. Do it in a \
                         function"
                    )));
                }
            }
        }
        for stage in &mut stages {
            match stage.iter_mut().next() {
                Some((name, Bson::Document(inner))) if name == "$match" => with_identity(inner, self.caller),
                Some((name, Bson::Document(inner))) if name == "$geoNear" => {
                    if let Ok(query) = inner.get_document_mut("query") {
                        with_identity(query, self.caller);
                    }
                }
                _ => {}
            }
        }
        stages.iter().try_for_each(refuse_programs_in)?;
        let (mut stages, _) = parsed(stages, |stages| {
            let all: Vec<Bson> = stages.iter().cloned().map(Bson::Document).collect();
            Pipeline::parse(&all)
        })
        .await?;
        let first = stages.first().and_then(|stage| stage.iter().next());
        let (place, asked) = match first {
            Some((name, Bson::Document(filter))) if name == "$match" => (Place::Match, filter.clone()),
            Some((name, Bson::Document(near))) if name == "$geoNear" => (
                Place::Near,
                near.get_document("query").cloned().unwrap_or_default(),
            ),
            _ => (Place::Before, Document::new()),
        };
        let within = self
            .within_query(collection, Operation::Read, asked.clone())
            .await?;
        let is_open = matches!(self.permissions.of(collection), Permission::Level(level) if level.scope(Operation::Read) == LevelScope::All);
        if !is_open {
            // A server may join a later match to the first one.
            for filter in stages
                .iter()
                .skip(1)
                .filter_map(|stage| stage.get_document("$match").ok())
            {
                refuse_choices_of_expressions(filter)?;
            }
        }
        if within != asked {
            match (place, stages.first_mut()) {
                (Place::Match, Some(first)) => *first = doc! {"$match": within},
                (Place::Near, Some(first)) => {
                    if let Ok(near) = first.get_document_mut("$geoNear") {
                        near.insert("query", within);
                    }
                }
                _ => stages.insert(0, doc! {"$match": within}),
            }
        }
        ran(self
            .database
            .aggregate(collection, Aggregate { stages }, None)
            .await)
    }

    /// Judges a request as it would be judged, and does nothing. Gives the query as it would be asked, with what the permission adds
    /// to it, or the document as it would be added.
    ///
    /// # Errors
    /// As the request itself would fail before anything is done.
    pub async fn judge_request(&self, collection: &str, request: ClientRequest) -> Answer<Document> {
        match request {
            ClientRequest::Read(filter) => self.within(collection, Operation::Read, filter, None).await,
            ClientRequest::Aggregate(filter) => self.within_query(collection, Operation::Read, filter).await,
            ClientRequest::Create(document) => {
                if document.contains_key(OWNER) {
                    return Err(ClientError::WritesOwner);
                }
                let document = self.owned(document);
                self.may_create(collection, &document).await?;
                Ok(document)
            }
            ClientRequest::Update(filter, change) => {
                let is_plain = change.keys().next().is_none_or(|name| !name.starts_with('$'));
                let operators = if is_plain && !change.is_empty() {
                    doc! {"$set": change}
                } else {
                    change
                };
                self.within_update(collection, filter, &operators).await
            }
            ClientRequest::Delete(filter) => self.within(collection, Operation::Delete, filter, None).await,
        }
    }

    /// The query as it may be asked.
    async fn within(
        &self,
        collection: &str,
        operation: Operation,
        filter: Document,
        data: Option<&WrittenData>,
    ) -> Answer<Document> {
        self.judged(collection, operation, filter, data, true, &mut Documents::new())
            .await
    }

    /// The query of an update as it may be asked.
    async fn within_update(
        &self,
        collection: &str,
        filter: Document,
        operators: &Document,
    ) -> Answer<Document> {
        if writes_owner(operators) {
            return Err(ClientError::WritesOwner);
        }
        // A rule sees what operators set: what is not all operators is not judged by it.
        if !operators.is_empty() {
            let kind = UpdateKind::Operators(operators.clone());
            // Of all operators, $pull alone has patterns; the others have values.
            let conditions = operators.get_document("$pull").cloned().unwrap_or_default();
            parsed([conditions], move |_| kind.parse(&[])).await?;
        }
        let data = WrittenData::operators(operators);
        self.within(collection, Operation::Update, filter, Some(&data))
            .await
    }

    /// As [`within`](Self::within), and no document is read to judge it.
    async fn within_query(
        &self,
        collection: &str,
        operation: Operation,
        filter: Document,
    ) -> Answer<Document> {
        self.judged(collection, operation, filter, None, false, &mut Documents::new())
            .await
    }

    async fn judged(
        &self,
        collection: &str,
        operation: Operation,
        mut filter: Document,
        data: Option<&WrittenData>,
        by_document: bool,
        named: &mut Documents,
    ) -> Answer<Document> {
        with_identity(&mut filter, self.caller);
        refuse_programs_in(&filter)?;
        let ([mut filter], parsed) = parsed([filter], |[filter]| Filter::parse(filter)).await?;
        let rules = match self.permissions.of(collection) {
            Permission::Level(level) => {
                return match self.scope(*level, operation)? {
                    None => Ok(filter),
                    Some(owner) => {
                        guard_expressions(&mut filter, owner);
                        Ok(first(doc! {OWNER: owner}, filter))
                    }
                };
            }
            Permission::Rules(rules) => rules,
        };
        refuse_choices_of_expressions(&filter)?;
        let denial = match self
            .judge(rules, operation, Subject::Query(&parsed), data, named)
            .await?
        {
            Ok(guard) => return Ok(guarded(filter, &guard)),
            Err(denial) => denial,
        };
        let names_one = filter.get("_id").is_some_and(|id| match id {
            Bson::Document(condition) => condition.len() == 1 && condition.contains_key("$eq"),
            Bson::RegularExpression(_) => false,
            _ => true,
        });
        if !by_document || !names_one {
            return Err(ClientError::Denied(denial));
        }
        // That there is none is not told apart from that it is another's.
        let id = doc! {"_id": filter.get("_id").cloned()};
        let Some(stored) = self.by_filter(collection, id).await? else {
            return Err(ClientError::Denied(denial));
        };
        match self
            .judge(rules, operation, Subject::Document(&stored), data, named)
            .await?
        {
            Ok(guard) => Ok(guarded(filter, &guard)),
            Err(_) => Err(ClientError::Denied(denial)),
        }
    }

    /// Whose documents are meant where a level lets clients do this; `None` for everybody's.
    fn scope(&self, level: Level, operation: Operation) -> Answer<Option<&str>> {
        let why = match (level.scope(operation), self.caller.owner()) {
            (LevelScope::All, Some(_)) => return Ok(None),
            (LevelScope::Own, Some(owner)) => return Ok(Some(owner)),
            (LevelScope::Nothing, _) => "it lets no client do this",
            (_, None) => "it lets nobody do anything who has not logged in",
        };
        Err(ClientError::Denied(Box::new(Denial {
            operation: operation.name(),
            rule: format!("the permission {}", level.name()),
            part: String::new(),
            why: why.to_owned(),
            mend: None,
        })))
    }

    async fn may_create(&self, collection: &str, document: &Document) -> Answer<()> {
        match self.permissions.of(collection) {
            Permission::Level(level) => self.scope(*level, Operation::Create).map(drop),
            Permission::Rules(rules) => {
                let data = WrittenData::document(document);
                let subject = Subject::Document(document);
                let named = &mut Documents::new();
                match self
                    .judge(rules, Operation::Create, subject, Some(&data), named)
                    .await?
                {
                    Ok(_) => Ok(()),
                    Err(denial) => Err(ClientError::Denied(denial)),
                }
            }
        }
    }

    async fn may_change(&self, collection: &str, stored: &Document, data: &WrittenData) -> Answer<Guard> {
        match self.permissions.of(collection) {
            Permission::Level(level) => {
                let owner = self.scope(*level, Operation::Update)?;
                if owner.is_none_or(|owner| stored.get_str(OWNER).ok() == Some(owner)) {
                    return Ok(Guard::default());
                }
                Err(ClientError::Denied(Box::new(Denial {
                    operation: Operation::Update.name(),
                    rule: format!("the permission {}", level.name()),
                    part: String::new(),
                    why: "the document is another's".to_owned(),
                    mend: None,
                })))
            }
            Permission::Rules(rules) => {
                let subject = Subject::Document(stored);
                let named = &mut Documents::new();
                let judged = self
                    .judge(rules, Operation::Update, subject, Some(data), named)
                    .await?;
                judged.map_err(ClientError::Denied)
            }
        }
    }

    /// Judges by rules, with the documents that they name, which are in `named` afterwards.
    async fn judge(
        &self,
        rules: &Rules,
        operation: Operation,
        subject: Subject<'_>,
        data: Option<&WrittenData>,
        named: &mut Documents,
    ) -> Answer<std::result::Result<Guard, Box<Denial>>> {
        let request = Request {
            caller: self.caller,
            now: self.now,
            data,
        };
        loop {
            let verdict = match (rules.judge_at_once(operation, subject, &request, named), subject) {
                (Some(verdict), _) => verdict,
                (None, Subject::Query(filter)) => {
                    self.judge_long(rules, operation, filter, data, named).await?
                }
                (None, Subject::Document(_)) => rules.judge(operation, subject, &request, named),
            };
            match verdict {
                Verdict::Allowed(guard) => return Ok(Ok(guard)),
                Verdict::Denied(denial) => return Ok(Err(denial)),
                Verdict::Wanted(wanted) => {
                    for reference in wanted {
                        let DocumentRef { collection, id } = &reference;
                        let document = self.by_filter(collection, doc! {"_id": id}).await?;
                        named.insert(reference, document);
                    }
                }
            }
        }
    }

    /// Judges what takes some tens of milliseconds, beside the thread that serves, when it is its [turn](Line).
    async fn judge_long(
        &self,
        rules: &Rules,
        operation: Operation,
        filter: &Filter,
        data: Option<&WrittenData>,
        named: &Documents,
    ) -> Answer<Verdict> {
        let turn = Line::of_process()
            .turn_of(self.caller.owner().unwrap_or_default())
            .await?;
        let (rules, filter, data) = (rules.clone(), filter.clone(), data.cloned());
        let (caller, now, documents) = (self.caller.clone(), self.now, named.clone());
        let judged = tokio::task::spawn_blocking(move || {
            // Whoever asked may be gone meanwhile: the turn is over when the work is.
            let _turn = turn;
            let request = Request {
                caller: &caller,
                now,
                data: data.as_ref(),
            };
            rules.judge(operation, Subject::Query(&filter), &request, &documents)
        });
        Ok(judged.await.map_err(DatabaseError::unavailable)?)
    }

    /// What came of a change. A rule may let the caller change what it does not let them read, so the value that is taken already may be
    /// one that they are not to know.
    fn wrote<T>(&self, collection: &str, outcome: Answer<T>) -> Answer<T> {
        let is_by_level = matches!(self.permissions.of(collection), Permission::Level(_));
        outcome.map_err(|error| match error {
            ClientError::Database(DatabaseError::Duplicate {
                collection,
                index,
                pattern,
                ..
            }) if !is_by_level => {
                let fields: Vec<String> = pattern.0.keys().map(|field| format!("{field}: ?")).collect();
                ClientError::Database(DatabaseError::Duplicate {
                    collection,
                    index,
                    key: format!("{{ {} }}", fields.join(", ")),
                    pattern,
                })
            }
            error => error,
        })
    }

    /// The document that a filter finds; there is none where there is no such collection.
    async fn by_filter(&self, collection: &str, filter: Document) -> Answer<Option<Document>> {
        let find = Find {
            filter,
            limit: Some(1),
            // What it says of a permission is judged again once it changes, and is not to be older than that change.
            is_followed: true,
            ..Find::default()
        };
        let found = match self.database.find(collection, find, None).await {
            Ok(found) => found,
            Err(DatabaseError::CollectionMissing(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let document = found
            .documents
            .first()
            .map(|raw| Document::try_from(raw.as_ref()));
        document
            .transpose()
            .map_err(|error| DatabaseError::unavailable(error).into())
    }

    /// The document as the caller's; the owner stands behind the `_id`.
    fn owned(&self, mut document: Document) -> Document {
        let Some(owner) = self.caller.owner() else {
            return document;
        };
        let id = document.remove("_id");
        let mut owned = Document::new();
        owned.extend(id.map(|id| ("_id".to_owned(), id)));
        owned.insert(OWNER, owner);
        owned.extend(document);
        owned
    }
}

/// Where the query of a pipeline stands.
enum Place {
    Match,
    Near,
    Before,
}

/// The query with what its guard wants: what the rule says stands before it, because a query may fail at a document.
fn guarded(filter: Document, guard: &Guard) -> Document {
    let filter = match guard.conditions() {
        Some(conditions) => first(conditions, filter),
        None => filter,
    };
    match guard.rule() {
        Some(rule) => first(rule.clone(), filter),
        None => filter,
    }
}

/// Has what a client wrote parsed, beside the thread that serves where that takes long. Patterns that would take much memory are refused:
/// who parses it again may rely on that.
async fn parsed<W, P>(
    written: W,
    parse: impl FnOnce(&W) -> docdb::error::Result<P> + Send + 'static,
) -> Answer<(W, P)>
where
    W: AsRef<[Document]> + Send + 'static,
    P: Send + 'static,
{
    let asked = Asked::of_all(written.as_ref()).within(MOST_PATTERNS, MOST_PATTERN_BYTES);
    let asked = asked.map_err(DatabaseError::Refused)?;
    let work = move || -> crate::Result<(W, P)> {
        if asked.patterns > 0 {
            written.as_ref().iter().try_for_each(refuse_large)?;
        }
        let parsed = parse(&written)?;
        Ok((written, parsed))
    };
    if !asked.is_much() {
        return Ok(work()?);
    }
    let permit = PARSING.acquire().await.map_err(DatabaseError::unavailable)?;
    let task = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(permit);
        done
    });
    Ok(task.await.map_err(DatabaseError::unavailable)??)
}

/// What came of what was parsed already: that it is refused is due to a document.
fn ran<T>(outcome: crate::Result<T>) -> Answer<T> {
    match outcome {
        // The server's text shows the query with its guard. No document is in it: what is missing is an index, for which MongoDB has
        // the one code or the other, by its version.
        Err(DatabaseError::Refused(error))
            if matches!(error.code, code::NO_QUERY_EXECUTION_PLANS | code::INDEX_NOT_FOUND) =>
        {
            let told = docdb::Error::new(error.code, "unable to find index for $geoNear query");
            Err(DatabaseError::Refused(told).into())
        }
        Err(DatabaseError::Refused(error)) if error.code == TOO_MUCH_WORK => {
            Err(DatabaseError::TimedOut.into())
        }
        Err(DatabaseError::Refused(error)) => Err(ClientError::Fails(error)),
        outcome => Ok(outcome?),
    }
}

/// Holds each expression of a query to the documents of `owner`. A server looks at the parts of a query in an order of its own, and
/// an expression that fails at another's document would tell of it.
pub(crate) fn guard_expressions(filter: &mut Document, owner: &str) {
    for (name, value) in filter.iter_mut() {
        match (name.as_str(), value) {
            ("$expr", value) => {
                let expression = std::mem::replace(value, Bson::Null);
                let is_own = doc! {"$eq": [format!("${OWNER}"), {"$literal": owner}]};
                *value = doc! {"$cond": [is_own, expression, false]}.into();
            }
            ("$and" | "$or" | "$nor", Bson::Array(parts)) => {
                for part in parts.iter_mut().filter_map(Bson::as_document_mut) {
                    guard_expressions(part, owner);
                }
            }
            _ => {}
        }
    }
}

/// What a rule says cannot stand in an expression. A server looks at one that is joined by `$and` after all else, and at `$or` and
/// `$nor` before.
fn refuse_choices_of_expressions(filter: &Document) -> Answer<()> {
    for (name, value) in filter {
        let Bson::Array(parts) = value else { continue };
        for part in parts.iter().filter_map(Bson::as_document) {
            match name.as_str() {
                "$and" => refuse_choices_of_expressions(part)?,
                "$or" | "$nor" if has_expression(part) => {
                    return Err(ClientError::NotForClients(format!(
                        "clients have no $expr below {name} here: it could fail at a document that is kept back. Put the choice \
                         into the expression"
                    )));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn has_expression(filter: &Document) -> bool {
    filter.iter().any(|(name, value)| match value {
        _ if name == "$expr" => true,
        Bson::Array(parts) if name.starts_with('$') => {
            parts.iter().filter_map(Bson::as_document).any(has_expression)
        }
        _ => false,
    })
}

/// A query with a condition that is looked at before all others. What sorts by distance has to stay at the top.
fn first(condition: Document, filter: Document) -> Document {
    let plain = condition
        .keys()
        .all(|name| !name.starts_with('$') && !filter.contains_key(name));
    if plain {
        let mut query = condition;
        query.extend(filter);
        return query;
    }
    let mut all = vec![Bson::Document(condition)];
    let mut rest = Document::new();
    for (name, value) in filter {
        match (name.as_str(), value) {
            ("$and", Bson::Array(conditions)) => all.extend(conditions),
            (_, value) => drop(rest.insert(name, value)),
        }
    }
    let mut query = Document::new();
    match rest.remove("$and") {
        // It is no list, and the engine is to say so.
        Some(odd) => drop(query.insert("$and", odd)),
        None => drop(query.insert("$and", all)),
    }
    query.extend(rest);
    query
}

/// Whether an update touches the field that says whose the document is.
fn writes_owner(operators: &Document) -> bool {
    let is_owner = |path: &str| path.split('.').next() == Some(OWNER);
    operators.iter().any(|(operator, fields)| match fields {
        _ if is_owner(operator) => true,
        Bson::Document(fields) => fields.iter().any(|(path, value)| {
            is_owner(path) || operator == "$rename" && value.as_str().is_some_and(is_owner)
        }),
        _ => false,
    })
}

/// The bytes of a document as BSON; what cannot be written is refused by the engine, and has none.
fn size_of(document: &Document) -> usize {
    document.to_vec().map_or(0, |bytes| bytes.len())
}

fn refuse_too_large(written: &Document) -> Answer<()> {
    match size_of(written) > LARGEST {
        true => Err(ClientError::TooLarge),
        false => Ok(()),
    }
}

fn refuse_programs_in(filter: &Document) -> Answer<()> {
    for (name, value) in filter {
        if PROGRAMS.contains(&name.as_str()) {
            return Err(ClientError::NotForClients(format!("clients have no {name}")));
        }
        refuse_programs(value)?;
    }
    Ok(())
}

fn refuse_programs(value: &Bson) -> Answer<()> {
    match value {
        Bson::Document(inner) => refuse_programs_in(inner),
        Bson::Array(values) => values.iter().try_for_each(refuse_programs),
        _ => Ok(()),
    }
}
