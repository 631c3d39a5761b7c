//! The feed of changes, by a change stream over the whole database. It is opened when somebody first asks for changes, and
//! ends with the first error from which the driver cannot resume; whoever listens is then told the end, and asks anew.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bson::{Bson, Document, RawDocumentBuf, Timestamp, doc};
use database::{Change, ChangeKind, Changes, DatabaseError, Feed, Result};
use futures_util::TryStreamExt as _;
use mongodb::{
    change_stream::{
        ChangeStream,
        event::{ChangeStreamEvent, OperationType},
    },
    options::FullDocumentType,
};

use crate::{Inner, error};

type Stream = ChangeStream<ChangeStreamEvent<Document>>;

/// Refusals of servers that have no change streams: `$changeStream` on a standalone one, or a stage that is not known.
const NO_STREAMS: [i32; 5] = [40573, 40324, 20, 59, 238];

/// See [`database::Database::changes`].
pub(crate) async fn listen(inner: &Arc<Inner>, after: Option<u64>) -> Result<Changes> {
    let mut slot = inner.feed.lock().await;
    if let Some(feed) = &*slot {
        return Ok(feed.listen(after)?);
    }
    let opened = inner.timely(async {
        let opened = inner
            .database
            .watch()
            .full_document(FullDocumentType::UpdateLookup)
            .await;
        opened.map_err(|error| match error::code(&error) {
            Some(code) if NO_STREAMS.contains(&code) => DatabaseError::Unsupported(format!(
                "this database server tells no changes ({}): MongoDB does as a replica set, which may be of one server",
                error.kind
            )),
            _ => inner.failures.of(error),
        })
    });
    let stream = opened.await?;
    let start = inner.now().await?;
    let feed = Arc::new(Feed::new(start));
    let changes = feed.listen(after)?;
    *slot = Some(Arc::clone(&feed));
    drop(slot);
    let weak = Arc::downgrade(inner);
    tokio::spawn(async move {
        let ended = pump(stream, &feed, start).await;
        tracing::warn!(
            error = ended.map(|error| error.kind.to_string()),
            "the MongoDB server tells no more changes; who listens asks for them anew"
        );
        // The last handle, so that those who listen hear the end.
        drop(feed);
        if let Some(inner) = weak.upgrade() {
            *inner.feed.lock().await = None;
        }
    });
    Ok(changes)
}

/// Hands on what the stream tells, until it ends.
async fn pump(mut stream: Stream, feed: &Feed, start: u64) -> Option<mongodb::error::Error> {
    let mut last = start;
    loop {
        match stream.try_next().await {
            Ok(Some(event)) => {
                let ends = matches!(
                    event.operation_type,
                    OperationType::DropDatabase | OperationType::Invalidate | OperationType::Rename
                );
                if ends {
                    return None;
                }
                if let Some(change) = change(event, last + 1) {
                    last += 1;
                    feed.tell(change);
                }
            }
            Ok(None) => return None,
            Err(error) => return Some(error),
        }
    }
}

fn change(event: ChangeStreamEvent<Document>, sequence: u64) -> Option<Change> {
    let kind = match event.operation_type {
        OperationType::Insert => ChangeKind::Insert,
        OperationType::Update => ChangeKind::Update,
        OperationType::Replace => ChangeKind::Replace,
        OperationType::Delete => ChangeKind::Remove,
        OperationType::Drop => ChangeKind::Drop,
        _ => return None,
    };
    let id = event
        .document_key
        .and_then(|mut key| key.remove("_id"))
        .unwrap_or(Bson::Null);
    Some(Change {
        sequence,
        collection: event.ns?.coll?.into(),
        id,
        kind,
        document: event
            .full_document
            .and_then(|document| RawDocumentBuf::try_from(&document).ok()),
    })
}

/// A time of the server's as a number that grows with it.
fn number(time: Timestamp) -> u64 {
    u64::from(time.time) << 32
}

impl Inner {
    /// The server's time of now, after which changes are numbered; by our clock where it tells none. There are fewer than four billion
    /// in a second, and so a later start begins with a larger number.
    #[expect(
        clippy::disallowed_methods,
        reason = "the order of changes has nothing to do with WeChat's time"
    )]
    async fn now(&self) -> Result<u64> {
        let reply = self.database.run_command(doc! { "ping": 1 }).await;
        let reply = reply.map_err(|error| self.failures.of(error))?;
        Ok(reply.get_timestamp("operationTime").map_or_else(
            |_| {
                let since = SystemTime::now().duration_since(UNIX_EPOCH);
                since.unwrap_or_default().as_secs() << 32
            },
            number,
        ))
    }
}
