//! Which command does what, and what holds for all of them: sessions, transactions, and the names of databases.

use std::{net::SocketAddr, sync::Arc};

use bson::{Document, RawDocumentBuf, cstr, doc};
use database::{Asker, Database, DatabaseError, TransactionId};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use crate::{
    client::Guesses,
    command::{Command, Namespace, Part, SessionId},
    cursor::Cursors,
    failure::{Failure, Result, code},
    lobby::Lobby,
    message::HEAVIEST,
    scram::Credentials,
    session::{Last, Sessions, Stage, State},
};

/// The name by which a client proves the password.
pub const USER: &str = "yunqiao";
/// The database that shells and drivers take where none is named.
const UNNAMED: &str = "test";
/// Databases that every MongoDB has, and that are empty here.
const SYSTEM: [&str; 3] = ["admin", "config", "local"];
/// Bytes of large messages that are held at once.
const ROOM: usize = 4 * crate::message::LARGEST;
/// Clients that have proved nothing yet, at most; with few connections, a quarter of those.
const MOST_UNPROVED: usize = 64;
/// Room is counted in units of so many bytes.
pub(crate) const UNIT: usize = 1 << 10;

/// What a front is like.
#[derive(Debug)]
pub struct WireSettings {
    /// The database's name.
    pub name: String,
    /// What clients must prove to know, as [`USER`]; without one, everybody who reaches the port is let in.
    pub password: Option<SecretString>,
    /// How many may be connected at once; with a password, a quarter more while they prove it.
    pub connections: usize,
}

/// Without a password, this address would be open to a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is reached from other machines, and no password is set: whoever finds the port could read and change all documents"
)]
pub struct OpenToAll(pub SocketAddr);

impl WireSettings {
    /// Whether it may listen there.
    ///
    /// # Errors
    /// [`OpenToAll`].
    pub fn check(&self, address: SocketAddr) -> Result<(), OpenToAll> {
        if self.password.is_none() && !address.ip().is_loopback() {
            return Err(OpenToAll(address));
        }
        Ok(())
    }
}

/// The database as MongoDB's clients see it. Clones are the same.
#[derive(Clone)]
pub struct WireFront(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) database: Arc<dyn Database>,
    pub(crate) name: String,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) guesses: Guesses,
    pub(crate) cursors: Cursors,
    pub(crate) sessions: Sessions,
    pub(crate) connections: usize,
    pub(crate) seats: Arc<Semaphore>,
    pub(crate) room: Arc<Semaphore>,
    /// Room for what large messages are when they are read.
    pub(crate) decoded: Arc<Semaphore>,
    pub(crate) lobby: Lobby,
}

impl std::fmt::Debug for WireFront {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WireFront")
            .field("name", &self.0.name)
            .finish_non_exhaustive()
    }
}

impl WireFront {
    /// Puts MongoDB's protocol before a database.
    #[must_use]
    pub fn new(database: Arc<dyn Database>, settings: WireSettings) -> Self {
        let password = settings.password.as_ref();
        let connections = settings.connections.clamp(1, Semaphore::MAX_PERMITS);
        // Whatever they ask for, functions have places to read at.
        let database = database.for_asker(Asker::programs()).unwrap_or(database);
        Self(Arc::new(Inner {
            database,
            name: settings.name,
            credentials: password
                .map(|password| Credentials::new(USER, password.expose_secret(), rand::random())),
            guesses: Guesses::default(),
            cursors: Cursors::default(),
            sessions: Sessions::default(),
            connections,
            seats: Arc::new(Semaphore::new(connections)),
            room: Arc::new(Semaphore::new(ROOM / UNIT)),
            decoded: Arc::new(Semaphore::new(HEAVIEST / UNIT)),
            lobby: Lobby::new((connections / 4).min(MOST_UNPROVED)),
        }))
    }
}

/// Which database a command is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    Ours,
    /// One that every MongoDB has; it is empty.
    System,
}

/// Commands that may be part of a transaction.
const IN_TRANSACTIONS: [&str; 13] = [
    "find",
    "getMore",
    "killCursors",
    "aggregate",
    "count",
    "distinct",
    "insert",
    "update",
    "delete",
    "findAndModify",
    "findandmodify",
    "create",
    "createIndexes",
];
/// Writes that drivers send again when their answer was lost.
const RETRIED: [&str; 5] = ["insert", "update", "delete", "findAndModify", "findandmodify"];

impl Inner {
    /// Answers a command of a client that may do everything.
    pub(crate) async fn run(&self, mut command: Command) -> Result<RawDocumentBuf> {
        let unkept = command.unkept.take();
        let mut answer = self.run_in_session(command).await?;
        if let Some(unkept) = unkept {
            answer.append(cstr!("writeConcernError"), unkept.into_concern_error());
        }
        Ok(answer)
    }

    async fn run_in_session(&self, command: Command) -> Result<RawDocumentBuf> {
        let (Some(id), Some(number)) = (command.session, command.number) else {
            if matches!(command.name.as_str(), "commitTransaction" | "abortTransaction") {
                return Err(Failure::new(
                    docdb::error::code::INVALID_OPTIONS,
                    format!("{} belongs to a transaction of a session", command.name),
                ));
            }
            return self.execute(command, None).await;
        };
        let session = self.sessions.get(id);
        let mut state = session.lock().await;
        if number < state.number {
            return Err(Failure::new(
                code::TRANSACTION_TOO_OLD,
                format!(
                    "Cannot start transaction {number} on this session because a newer transaction {} has already started.",
                    state.number
                ),
            ));
        }
        match command.transaction {
            Some(part) => self.in_transaction(command, part, number, &mut state).await,
            None => self.retryable(command, number, &mut state).await,
        }
    }

    /// A write that may have been sent before.
    async fn retryable(&self, command: Command, number: i64, state: &mut State) -> Result<RawDocumentBuf> {
        if !RETRIED.contains(&command.name.as_str()) {
            return Err(Failure::new(
                code::NOT_RETRYABLE,
                format!(
                    "txnNumber may only be given for writes that are retried, not for {}",
                    command.name
                ),
            ));
        }
        if number == state.number {
            match &state.last {
                Last::Write(Some(answer)) => return Ok(answer.clone()),
                Last::Write(None) => {
                    return Err(Failure::new(
                        code::INCOMPLETE_TRANSACTION_HISTORY,
                        "the write was done; its answer was too large to be kept for a second request",
                    ));
                }
                _ => {}
            }
        }
        self.end(state).await;
        let answer = self.execute(command, None).await?;
        state.keep(number, &answer);
        Ok(answer)
    }

    async fn in_transaction(
        &self,
        command: Command,
        part: Part,
        number: i64,
        state: &mut State,
    ) -> Result<RawDocumentBuf> {
        let ends = matches!(command.name.as_str(), "commitTransaction" | "abortTransaction");
        if part == Part::Begins {
            if number == state.number {
                return Err(Failure::new(
                    code::CONFLICTING_OPERATION_IN_PROGRESS,
                    format!("a transaction {number} was begun on this session already"),
                ));
            }
            if ends || !IN_TRANSACTIONS.contains(&command.name.as_str()) {
                return Err(not_in_transaction(&command.name));
            }
            self.end(state).await;
            let id = self.engine("", self.database.begin().await)?;
            state.number = number;
            state.last = Last::Transaction(id, Stage::Open);
        }
        let id = match &state.last {
            Last::Transaction(id, Stage::Open) if number == state.number => *id,
            Last::Transaction(_, Stage::Committed) if number == state.number => {
                // Its answer was lost, and it is sent again.
                return match command.name.as_str() {
                    "commitTransaction" => done(),
                    _ => Err(Failure::new(
                        code::TRANSACTION_COMMITTED,
                        format!("Transaction {number} has been committed."),
                    )),
                };
            }
            _ => {
                return Err(Failure::transient(
                    code::NO_SUCH_TRANSACTION,
                    format!(
                        "Given transaction number {number} does not match any in-progress transactions. The active transaction \
                         number is {}",
                        state.number
                    ),
                ));
            }
        };
        match command.name.as_str() {
            "commitTransaction" => {
                let committed = self.database.commit(id).await;
                let stage = if committed.is_ok() {
                    Stage::Committed
                } else {
                    Stage::Aborted
                };
                state.last = Last::Transaction(id, stage);
                match committed {
                    // Another write took a unique value meanwhile: begun anew, the transaction meets it where it writes.
                    Err(DatabaseError::Duplicate { .. }) => {
                        Err(Failure::of(DatabaseError::TransactionConflict, &self.name))
                    }
                    committed => self.engine(&self.name, committed).and_then(|()| done()),
                }
            }
            "abortTransaction" => {
                self.end(state).await;
                done()
            }
            name if !IN_TRANSACTIONS.contains(&name) => {
                let refused = not_in_transaction(name);
                self.end(state).await;
                Err(refused)
            }
            _ => {
                let answer = self.execute(command, Some(id)).await;
                // An error ends a transaction.
                let failed = answer
                    .as_ref()
                    .map_or(true, |answer| !matches!(answer.get("writeErrors"), Ok(None)));
                if failed {
                    self.end(state).await;
                }
                answer
            }
        }
    }

    /// Ends the transaction that a session has open, if it has one.
    async fn end(&self, state: &mut State) {
        if let Some(id) = state.end() {
            // One that has ended by itself is as good.
            let _ = self.database.abort(id).await;
        }
    }

    /// Forgets sessions; what they have open ends.
    pub(crate) async fn end_sessions(&self, ids: &[SessionId]) {
        for id in ids {
            if let Some(session) = self.sessions.remove(*id) {
                self.end(&mut *session.lock().await).await;
            }
        }
    }

    async fn execute(&self, command: Command, transaction: Option<TransactionId>) -> Result<RawDocumentBuf> {
        match command.name.as_str() {
            "find" => self.find(command, transaction).await,
            "getMore" => self.get_more(command).await,
            "killCursors" => self.kill_cursors(command),
            "aggregate" => self.aggregate(command, transaction).await,
            "count" => self.count(command, transaction).await,
            "distinct" => self.distinct(command, transaction).await,
            "explain" => self.explain(command).await,
            "insert" => self.insert(command, transaction).await,
            "update" => self.update(command, transaction).await,
            "delete" => self.delete(command, transaction).await,
            "findAndModify" | "findandmodify" => self.find_and_modify(command, transaction).await,
            "create" => self.create(command).await,
            "drop" => self.drop_collection(command).await,
            "dropDatabase" => self.drop_database(command).await,
            "createIndexes" => self.create_indexes(command).await,
            "dropIndexes" | "deleteIndexes" => self.drop_indexes(command).await,
            "listIndexes" => self.list_indexes(command).await,
            "listCollections" => self.list_collections(command).await,
            "listDatabases" => self.list_databases(command).await,
            "collStats" | "collstats" => self.collection_statistics(command).await,
            "dbStats" | "dbstats" => self.database_statistics(command).await,
            "endSessions" | "killSessions" => {
                let ids = session_ids(command)?;
                self.end_sessions(&ids).await;
                done()
            }
            name => Err(Failure::new(
                code::COMMAND_NOT_FOUND,
                format!("no such command: '{name}'"),
            )),
        }
    }

    /// What the engine gave, or what the client is told of why not.
    #[expect(clippy::unused_self, reason = "it stands where it is called: self.engine(…)")]
    pub(crate) fn engine<T>(&self, database: &str, result: database::Result<T>) -> Result<T> {
        result.map_err(|error| Failure::of(error, database))
    }

    /// Which database that is.
    pub(crate) fn space(&self, database: &str) -> Result<Space> {
        if database == self.name || database == UNNAMED {
            Ok(Space::Ours)
        } else if SYSTEM.contains(&database) {
            Ok(Space::System)
        } else {
            Err(Failure::new(
                code::INVALID_NAMESPACE,
                format!(
                    "there is one database here, and it is called {:?}, not {database:?}: put its name into the connection string",
                    self.name
                ),
            ))
        }
    }

    /// Whether a collection to be read can have documents.
    pub(crate) fn is_ours(&self, namespace: &Namespace) -> Result<bool> {
        Ok(self.space(&namespace.database)? == Space::Ours)
    }

    /// That a collection can be written to.
    pub(crate) fn writable(&self, namespace: &Namespace) -> Result<()> {
        if self.is_ours(namespace)? {
            return Ok(());
        }
        Err(Failure::new(
            code::UNAUTHORIZED,
            format!(
                "nothing is kept in the database {:?}: the one that is here is called {:?}",
                namespace.database, self.name
            ),
        ))
    }
}

fn session_ids(mut command: Command) -> Result<Vec<SessionId>> {
    let name = command.name.clone();
    let ids = command.fields.documents(&name)?.unwrap_or_default();
    command.fields.finish()?;
    ids.iter().map(crate::command::session_id).collect()
}

fn not_in_transaction(name: &str) -> Failure {
    Failure::new(
        code::OPERATION_NOT_SUPPORTED_IN_TRANSACTION,
        format!("Cannot run '{name}' in a multi-document transaction."),
    )
}

/// `{ok: 1}`.
pub(crate) fn done() -> Result<RawDocumentBuf> {
    raw(&doc! { "ok": 1.0 })
}

/// An answer as bytes.
pub(crate) fn raw(answer: &Document) -> Result<RawDocumentBuf> {
    RawDocumentBuf::try_from(answer).map_err(|error| Failure::new(code::INTERNAL_ERROR, error.to_string()))
}
