//! Transactions: a session of the driver for each, with the platform's life, bound and rules. MongoDB ends a transaction with
//! the first error of the server's; what was refused here before it was sent leaves it as it is.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use bson::{Document, doc};
use database::{DatabaseError, MOST_TRANSACTIONS, Result, TRANSACTION_LIFE, TransactionId};
use mongodb::{
    ClientSession,
    error::UNKNOWN_TRANSACTION_COMMIT_RESULT,
    options::{ReadConcern, ReadPreference, SelectionCriteria, TransactionOptions},
};
use tokio::sync::OwnedMutexGuard;

use crate::{Inner, error};

/// Commits that are tried again where it is not known what came of the last one.
const COMMITS: usize = 3;
/// A collection that need not exist, read to see whether a transaction can be ended.
const PROBE: &str = "yunqiao.probe";

/// Of the servers the one that is written to, whatever the address prefers.
pub(crate) const PRIMARY: SelectionCriteria = SelectionCriteria::ReadPreference(ReadPreference::Primary);

/// The transactions that are open.
#[derive(Default)]
pub(crate) struct Transactions(Mutex<HashMap<TransactionId, Open>>);

struct Open {
    began: Instant,
    state: Arc<tokio::sync::Mutex<State>>,
}

/// What is kept of a transaction; whoever has locked it has its turn.
struct State {
    session: ClientSession,
    /// The server has ended it, or will not take its commit any more.
    doomed: bool,
}

impl Transactions {
    fn all(&self) -> MutexGuard<'_, HashMap<TransactionId, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, id: TransactionId, session: ClientSession) -> Result<()> {
        let mut all = self.all();
        if all.len() >= MOST_TRANSACTIONS {
            return Err(DatabaseError::TransactionsFull(MOST_TRANSACTIONS));
        }
        let state = State {
            session,
            doomed: false,
        };
        let open = Open {
            began: Instant::now(),
            state: Arc::new(tokio::sync::Mutex::new(state)),
        };
        all.insert(id, open);
        Ok(())
    }

    /// The turn of an operation: there is one at a time.
    fn turn(&self, id: TransactionId) -> Result<OwnedMutexGuard<State>> {
        let state = self.state(id)?;
        state.try_lock_owned().map_err(|_| DatabaseError::TransactionBusy)
    }

    fn state(&self, id: TransactionId) -> Result<Arc<tokio::sync::Mutex<State>>> {
        match self.all().get(&id) {
            Some(open) if open.began.elapsed() < TRANSACTION_LIFE => Ok(Arc::clone(&open.state)),
            _ => Err(DatabaseError::TransactionMissing),
        }
    }

    /// The turn of its last operation.
    fn end(&self, id: TransactionId) -> Result<OwnedMutexGuard<State>> {
        let turn = self.turn(id)?;
        self.all().remove(&id);
        Ok(turn)
    }
}

/// Begins a transaction; the server hears of it with its first operation, which takes the snapshot.
pub(crate) async fn begin(inner: &Arc<Inner>) -> Result<TransactionId> {
    inner.can_have_transactions().await?;
    let session = inner.start().await.map_err(|error| inner.failures.of(error))?;
    let id = TransactionId(rand::random());
    inner.transactions.open(id, session)?;
    // Whoever forgets it must not hold its locks for longer.
    let weak = Arc::downgrade(inner);
    tokio::spawn(async move {
        tokio::time::sleep(TRANSACTION_LIFE).await;
        if let Some(inner) = weak.upgrade() {
            inner.expire(id).await;
        }
    });
    Ok(id)
}

impl Inner {
    /// A session with a transaction that is begun.
    async fn start(&self) -> Result<ClientSession, mongodb::error::Error> {
        let options = TransactionOptions::builder()
            .read_concern(ReadConcern::snapshot())
            .selection_criteria(PRIMARY)
            .build();
        let mut session = self.client.start_session().await?;
        session.start_transaction().with_options(options).await?;
        Ok(session)
    }

    /// Does the work in a transaction's session, or in none.
    pub(crate) async fn in_session<T>(
        &self,
        collection: &str,
        transaction: Option<TransactionId>,
        work: impl AsyncFnOnce(Option<&mut ClientSession>) -> Result<T>,
    ) -> Result<T> {
        let Some(id) = transaction else {
            self.must_have(collection).await?;
            return work(None).await;
        };
        let mut turn = self.transactions.turn(id)?;
        if turn.doomed {
            return Err(DatabaseError::TransactionMissing);
        }
        // Seen outside of the transaction, in which no server tells it.
        self.must_have(collection).await?;
        // Where it fails, or nobody waits for it any more, nobody knows what of it was done.
        turn.doomed = true;
        let done = work(Some(&mut turn.session)).await?;
        turn.doomed = false;
        Ok(done)
    }

    pub(crate) async fn commit(&self, id: TransactionId) -> Result<()> {
        // Whatever comes of it, this was its end.
        let mut turn = self.transactions.end(id)?;
        if turn.doomed {
            // The server may still have it; that it does not changes nothing.
            let _ = turn.session.abort_transaction().await;
            return Err(DatabaseError::TransactionMissing);
        }
        let mut tries = 1;
        loop {
            match turn.session.commit_transaction().await {
                Ok(()) => return Ok(()),
                Err(error) if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) && tries < COMMITS => {
                    tries += 1;
                }
                Err(error) => return Err(self.failures.of(error)),
            }
        }
    }

    /// Aborts one after the operation that is under way in it.
    pub(crate) async fn abort(&self, id: TransactionId) -> Result<()> {
        let mut turn = self.transactions.state(id)?.lock_owned().await;
        self.transactions.all().remove(&id);
        let aborted = turn.session.abort_transaction().await;
        aborted.map_err(|error| self.failures.of(error))
    }

    /// Aborts one that is too old, after the operation that is under way in it.
    async fn expire(&self, id: TransactionId) {
        let Some(open) = self.transactions.all().remove(&id) else {
            return;
        };
        let mut state = open.state.lock().await;
        if let Err(error) = state.session.abort_transaction().await {
            tracing::debug!(%error, "a transaction that was too old could not be aborted");
        }
    }

    /// Whether the server has transactions, by an empty one: some take the first operation and know no commit.
    pub(crate) async fn can_have_transactions(&self) -> Result<()> {
        let able = self
            .able
            .get_or_try_init(|| async {
                match self.try_one().await {
                    Ok(()) => Ok(Ok(())),
                    // Anything else passes: it says nothing of what the server can do.
                    Err(error) => match self.failures.of(error) {
                        error @ (DatabaseError::Unsupported(_) | DatabaseError::Refused(_)) => {
                            Ok(Err(error.to_string()))
                        }
                        error => Err(error),
                    },
                }
            })
            .await?;
        able.clone().map_err(|why| {
            DatabaseError::Unsupported(format!(
                "this database server has no transactions ({why}): MongoDB has them as a replica set, which may be of one server"
            ))
        })
    }

    async fn try_one(&self) -> Result<(), mongodb::error::Error> {
        let mut session = self.start().await?;
        let read = self
            .database
            .collection::<Document>(PROBE)
            .find_one(doc! {})
            .session(&mut session)
            .await;
        if let Err(error) = read {
            if error::code(&error).is_none() {
                return Err(error);
            }
            let _ = session.abort_transaction().await;
            return Err(error);
        }
        session.commit_transaction().await
    }
}
