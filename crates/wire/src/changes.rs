//! Change streams: the engine's feed as `$changeStream` tells it. A resume token is the number of a change.

use std::time::Duration;

use bson::{Bson, DateTime, Document, RawDocumentBuf, Timestamp, doc};
use database::{Change, ChangeKind, Changes, DatabaseError};

use crate::{
    command::{Fields, Namespace},
    failure::{Failure, Result, code},
    front::{Inner, Space},
    read::{decoded, run_alone},
};

/// How long a client waits for a change where it does not say, as in MongoDB.
const PATIENCE: Duration = Duration::from_secs(1);
/// Stages that may follow `$changeStream`: each looks at one change alone.
const FOLLOWING: [&str; 8] = [
    "$match",
    "$project",
    "$addFields",
    "$set",
    "$unset",
    "$replaceRoot",
    "$replaceWith",
    "$redact",
];

/// Changes that a client follows.
#[derive(Debug)]
pub(crate) struct ChangeStream {
    changes: Changes,
    database: String,
    /// The one collection that is followed; all of them where there is none.
    collection: Option<String>,
    /// Whether the document is wanted with a change of its fields.
    looks_up: bool,
    stages: Vec<Document>,
    /// The number of the last change that was looked at.
    last: u64,
    /// The followed collection was dropped: nothing comes any more.
    ended: bool,
}

impl Inner {
    /// Opens the stream that a pipeline begins with.
    pub(crate) async fn open_changes(
        &self,
        namespace: &Namespace,
        whole: bool,
        mut stages: Vec<Document>,
    ) -> Result<ChangeStream> {
        let mut options = Fields::new("aggregate", stages.remove(0));
        let options = options.document("$changeStream")?.unwrap_or_default();
        let mut options = Fields::new("$changeStream", options);
        let everywhere = options.boolean("allChangesForCluster")?.unwrap_or(false);
        let looks_up = match options.text("fullDocument")?.as_deref() {
            None | Some("default") => false,
            Some("updateLookup" | "whenAvailable" | "required") => true,
            Some(other) => {
                return Err(Failure::bad_value(format!(
                    "fullDocument of $changeStream cannot be {other:?}"
                )));
            }
        };
        let token = match options.document("resumeAfter")? {
            None => options.document("startAfter")?,
            token => token,
        };
        if options
            .text("fullDocumentBeforeChange")?
            .is_some_and(|wanted| wanted != "off")
        {
            return Err(Failure::unsupported(
                "fullDocumentBeforeChange is not served: documents are not kept as they were",
            ));
        }
        if options.value("startAtOperationTime").is_some() {
            return Err(Failure::unsupported(
                "startAtOperationTime is not served: go on behind a resume token",
            ));
        }
        options.pass_over(&["showExpandedEvents"]);
        options.finish()?;
        if self.space(&namespace.database)? != Space::Ours && !everywhere {
            return Err(Failure::new(
                code::INVALID_OPTIONS,
                "$changeStream may not be opened on the internal databases",
            ));
        }
        if let Some(stage) = stages
            .iter()
            .filter_map(|stage| stage.keys().next())
            .find(|stage| !FOLLOWING.contains(&stage.as_str()))
        {
            return Err(Failure::new(
                code::ILLEGAL_OPERATION,
                format!("{stage} is not permitted in a $changeStream pipeline"),
            ));
        }
        // What is wrong with the stages is told now, and not with the first change.
        run_alone(Vec::new(), stages.clone())?;
        let after = token.as_ref().map(number).transpose()?;
        let changes = self.engine(&namespace.database, self.database.changes(after).await)?;
        let name = if everywhere {
            &self.name
        } else {
            &namespace.database
        };
        Ok(ChangeStream {
            last: changes.last(),
            changes,
            database: name.clone(),
            collection: (!whole).then(|| namespace.collection.clone()),
            looks_up,
            stages,
            ended: false,
        })
    }
}

impl ChangeStream {
    /// The changes that are there, at most so many; waits a while for the first.
    pub(crate) async fn next(
        &mut self,
        most: usize,
        patience: Option<Duration>,
    ) -> Result<Vec<RawDocumentBuf>> {
        let mut told = Vec::new();
        let deadline = tokio::time::Instant::now() + patience.unwrap_or(PATIENCE);
        while told.len() < most && !self.ended {
            // Once something is there, only what comes at once is waited for.
            let next = if told.is_empty() {
                tokio::time::timeout_at(deadline, self.changes.next()).await
            } else {
                tokio::time::timeout(Duration::ZERO, self.changes.next()).await
            };
            let change = match next {
                Err(_) => break,
                Ok(None) => {
                    self.ended = true;
                    break;
                }
                Ok(Some(Err(missed))) => {
                    return Err(Failure::of(DatabaseError::ChangesMissed(missed), &self.database));
                }
                Ok(Some(Ok(change))) => change,
            };
            self.last = change.sequence;
            if self
                .collection
                .as_ref()
                .is_some_and(|name| **name != *change.collection)
            {
                continue;
            }
            told.extend(run_alone(vec![self.event(&change)?], self.stages.clone())?);
            if self.collection.is_some() && change.kind == ChangeKind::Drop {
                self.ended = true;
                let end = doc! { "_id": self.token(), "operationType": "invalidate" };
                told.extend(run_alone(vec![end], self.stages.clone())?);
            }
        }
        Ok(told)
    }

    fn event(&self, change: &Change) -> Result<Document> {
        let kind = match change.kind {
            ChangeKind::Insert => "insert",
            ChangeKind::Update => "update",
            ChangeKind::Replace => "replace",
            ChangeKind::Remove => "delete",
            ChangeKind::Drop => "drop",
        };
        let now = DateTime::now();
        let seconds = u32::try_from(now.timestamp_millis() / 1000).unwrap_or(u32::MAX);
        let mut event = doc! {
            "_id": self.token(),
            "operationType": kind,
            "clusterTime": Timestamp { time: seconds, increment: 1 },
            "wallTime": now,
            "ns": { "db": &self.database, "coll": &*change.collection },
        };
        if change.kind != ChangeKind::Drop {
            event.insert("documentKey", doc! { "_id": change.id.clone() });
        }
        let document = change.document.as_ref().map(decoded).transpose()?;
        if change.kind == ChangeKind::Update {
            // Which fields differ is not kept, so all of them count as set.
            let mut fields = document.clone().unwrap_or_default();
            fields.remove("_id");
            event.insert(
                "updateDescription",
                doc! { "updatedFields": fields, "removedFields": [], "truncatedArrays": [] },
            );
        }
        if let Some(document) = document
            && (change.kind != ChangeKind::Update || self.looks_up)
        {
            event.insert("fullDocument", document);
        }
        Ok(event)
    }

    /// The resume token: a client may go on after the change that it names.
    pub(crate) fn token(&self) -> Document {
        doc! { "_data": format!("{:016X}", self.last) }
    }

    pub(crate) const fn has_ended(&self) -> bool {
        self.ended
    }
}

fn number(token: &Document) -> Result<u64> {
    let number = token.get("_data").and_then(Bson::as_str);
    number
        .and_then(|number| u64::from_str_radix(number, 16).ok())
        .ok_or_else(|| {
            Failure::new(
                code::INVALID_RESUME_TOKEN,
                "the resume token is not one of this server's",
            )
        })
}
