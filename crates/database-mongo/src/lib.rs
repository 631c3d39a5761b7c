//! Documents on a MongoDB server, or on one that speaks its language, by the official driver. [`Mongo`] is a
//! [`Database`] as the embedded engine is one, and held to the same contract.
//!
//! What the language refuses is refused here, by `docdb`, before anything is sent: a program gets one answer from either
//! engine, a pipeline cannot write, and no JavaScript runs on the server. What MongoDB does of its own accord and the
//! platform does not is undone here: a collection that does not exist is an error, not an empty one that is made.

mod changes;
mod collections;
mod error;
mod growth;
mod operations;
mod server;
mod transactions;

use std::{fmt, future::Future, sync::Arc, time::Duration};

use bson::{Bson, Document};
use database::{
    Aggregate, BoxFuture, Changes, CollectionStatus, Database, DatabaseError, Find, Found, IndexSpec, Page,
    Result, Tally, TransactionId, Update, Updated,
};
use mongodb::{
    Client,
    options::{Acknowledgment, ClientOptions, WriteConcern},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Mutex, OnceCell};

use crate::{collections::KnownCollections, error::Failures, transactions::Transactions};
pub use crate::{
    error::ConnectError,
    server::{Deployment, ServerReport, redacted},
};

/// The database of a server that is used where the URL names none.
const DEFAULT_DATABASE: &str = "yunqiao";
/// How long an operation may take. An ordinary write waits as long as a transaction lives for what that has locked.
const OPERATION: Duration = Duration::from_secs(40);
/// How long a server is looked for, where the URL does not say: a call of a function has three seconds by default, and the
/// driver's thirty would only hold it up.
const SELECTION: Duration = Duration::from_secs(5);
/// Connections at most, where the URL does not say. Writes that wait for a transaction's lock hold one each, and the
/// transaction needs another to end.
const CONNECTIONS: u32 = 100;
/// Bytes that the documents of one answer may have: the platform gives functions 50 MB.
const ANSWER: usize = 50 << 20;

/// A database of a MongoDB server. Clones share its connections.
#[derive(Clone)]
pub struct Mongo(Arc<Inner>);

struct Inner {
    client: Client,
    database: mongodb::Database,
    failures: Failures,
    known: KnownCollections,
    transactions: Transactions,
    /// Whether the server has transactions; why not, where it has none.
    able: OnceCell<Result<(), String>>,
    feed: Mutex<Option<Arc<database::Feed>>>,
}

impl fmt::Debug for Mongo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mongo").field(&self.0.failures.place).finish()
    }
}

impl Mongo {
    /// Takes the server's URL, `mongodb://…` or `mongodb+srv://…`. It connects when it is first asked for something:
    /// [`server`](Self::server) asks.
    ///
    /// What the URL does not say is: writes wait until a majority has them on disk, a server is looked for for five
    /// seconds, and there are up to a hundred connections; all else is the driver's default, with retries.
    ///
    /// # Errors
    /// Where the URL is not one, or names hosts that DNS does not know.
    pub async fn new(url: &SecretString) -> Result<Self, ConnectError> {
        let place = redacted(url.expose_secret());
        let mut options = ClientOptions::parse(url.expose_secret())
            .await
            .map_err(|error| ConnectError::of_url(url.expose_secret(), &error))?;
        options.app_name.get_or_insert_with(|| "yunqiao".to_owned());
        options.server_selection_timeout.get_or_insert(SELECTION);
        options.max_pool_size.get_or_insert(CONNECTIONS);
        if options.write_concern.is_none() {
            let durable = WriteConcern::builder()
                .w(Acknowledgment::Majority)
                .journal(true)
                .build();
            options.write_concern = Some(durable);
        }
        let name = options
            .default_database
            .clone()
            .unwrap_or_else(|| DEFAULT_DATABASE.to_owned());
        let client = Client::with_options(options)
            .map_err(|error| ConnectError::of_url(url.expose_secret(), &error))?;
        Ok(Self(Arc::new(Inner {
            database: client.database(&name),
            client,
            failures: Failures {
                place,
                database: name,
            },
            known: KnownCollections::default(),
            transactions: Transactions::default(),
            able: OnceCell::new(),
            feed: Mutex::default(),
        })))
    }

    /// What kind of server it is, asked of it now.
    ///
    /// # Errors
    /// Where it cannot be reached, or lets the user do nothing; the text says how that is mended.
    pub async fn server(&self) -> Result<ServerReport, ConnectError> {
        server::report(&self.0).await
    }
}

impl Inner {
    /// Has it take no longer than an operation may.
    async fn timely<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::time::timeout(OPERATION, work)
            .await
            .unwrap_or(Err(DatabaseError::TimedOut))
    }

    fn collection(&self, name: &str) -> mongodb::Collection<Document> {
        self.database.collection(name)
    }
}

impl Database for Mongo {
    fn create_collection<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.0.timely(self.0.create_collection(name)))
    }

    fn drop_collection<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.0.timely(self.0.drop_collection(name)))
    }

    fn collections(&self) -> BoxFuture<'_, Result<Vec<CollectionStatus>>> {
        Box::pin(self.0.timely(self.0.list_collections()))
    }

    fn create_index<'a>(&'a self, collection: &'a str, index: IndexSpec) -> BoxFuture<'a, Result<()>> {
        // Over many documents it takes as long as it takes.
        Box::pin(self.0.create_index(collection, index))
    }

    fn drop_index<'a>(&'a self, collection: &'a str, name: &'a str) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.0.timely(self.0.drop_index(collection, name)))
    }

    fn insert<'a>(
        &'a self,
        collection: &'a str,
        documents: Vec<Document>,
        transaction: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Vec<Bson>>> {
        Box::pin(self.0.timely(self.0.insert(collection, documents, transaction)))
    }

    fn find<'a>(
        &'a self,
        collection: &'a str,
        find: Find,
        transaction: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Found>> {
        Box::pin(self.0.timely(self.0.find(collection, find, transaction)))
    }

    fn page<'a>(
        &'a self,
        collection: &'a str,
        filter: Document,
        projection: Option<Document>,
        after: Option<Bson>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page>> {
        Box::pin(
            self.0
                .timely(self.0.page(collection, filter, projection, after, limit)),
        )
    }

    fn count<'a>(
        &'a self,
        collection: &'a str,
        filter: Document,
        transaction: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Tally>> {
        Box::pin(self.0.timely(self.0.count(collection, filter, transaction)))
    }

    fn update<'a>(
        &'a self,
        collection: &'a str,
        update: Update,
        transaction: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Updated>> {
        Box::pin(self.0.timely(self.0.update(collection, update, transaction)))
    }

    fn remove<'a>(
        &'a self,
        collection: &'a str,
        filter: Document,
        many: bool,
        transaction: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Tally>> {
        Box::pin(
            self.0
                .timely(self.0.remove(collection, filter, many, transaction)),
        )
    }

    fn take<'a>(
        &'a self,
        collection: &'a str,
        filter: Document,
        sort: Option<Document>,
        transaction: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Option<Document>>> {
        Box::pin(self.0.timely(self.0.take(collection, filter, sort, transaction)))
    }

    fn aggregate<'a>(
        &'a self,
        collection: &'a str,
        aggregate: Aggregate,
        transaction: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Found>> {
        Box::pin(
            self.0
                .timely(self.0.aggregate(collection, aggregate, transaction)),
        )
    }

    fn begin(&self) -> BoxFuture<'_, Result<TransactionId>> {
        Box::pin(self.0.timely(transactions::begin(&self.0)))
    }

    fn commit(&self, transaction: TransactionId) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.0.timely(self.0.commit(transaction)))
    }

    fn abort(&self, transaction: TransactionId) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.0.timely(self.0.abort(transaction)))
    }

    fn changes(&self, after: Option<u64>) -> BoxFuture<'_, Result<Changes>> {
        Box::pin(changes::listen(&self.0, after))
    }

    fn health(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.0.timely(self.0.ping()))
    }
}

#[cfg(test)]
mod tests;
