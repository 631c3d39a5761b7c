//! Answers as each generation of SDKs reads them: a list of Extended JSON texts, one text with such a list, or plain JSON; counts and ids
//! under the names that the action has.

use std::io::Write;

use bson::{Bson, RawDocumentBuf};

use super::{DatabaseAction, DatabaseRefusal, plain, readable};
use crate::{SdkReply, reply};

/// What came of a database action.
#[derive(Clone, Debug, PartialEq)]
pub enum DatabaseAnswer {
    /// The collection was made, the transaction has ended.
    Done,
    /// The ids of the documents that were added, in their order.
    Inserted(Vec<Bson>),
    /// Documents that were found or computed.
    Documents(Vec<RawDocumentBuf>),
    /// How many there are.
    Counted(u64),
    /// What an update did.
    Updated {
        /// How many documents it changed.
        updated: u64,
        /// The `_id` of the document that it added.
        upserted: Option<Bson>,
        /// The document as it became, where it was asked for.
        document: Option<RawDocumentBuf>,
    },
    /// How many were removed.
    Removed(u64),
    /// A transaction has begun, and has this id.
    Began(String),
}

type Written = Result<(), ejson::Malformed>;

impl DatabaseAnswer {
    /// Writes the answer as the SDK that sent `action` reads it.
    #[must_use]
    pub fn reply(&self, action: DatabaseAction, request_id: &str) -> SdkReply {
        // Only bytes that are no BSON cannot be written: the engine's file is damaged.
        self.write(action, request_id)
            .map_or_else(|_| DatabaseRefusal::Unavailable.reply(request_id), reply::json)
    }

    fn write(&self, action: DatabaseAction, request_id: &str) -> Result<Vec<u8>, ejson::Malformed> {
        let mut body = Vec::with_capacity(256);
        body.extend_from_slice(br#"{"requestId":"#);
        json::write_string(&mut body, request_id);
        match self {
            Self::Done => {}
            Self::Inserted(ids) => inserted(&mut body, action, ids),
            Self::Documents(documents) => listed(&mut body, action, documents)?,
            Self::Counted(total) => member(&mut body, "total", *total),
            Self::Updated {
                updated,
                upserted,
                document,
            } => modified(&mut body, action, *updated, upserted.as_ref(), document.as_ref())?,
            Self::Removed(deleted) if action == DatabaseAction::RemoveInTransaction => {
                number_text(&mut body, "deleted", *deleted);
            }
            Self::Removed(deleted) => member(&mut body, "deleted", *deleted),
            Self::Began(id) => {
                body.extend_from_slice(br#","transactionId":"#);
                json::write_string(&mut body, id);
            }
        }
        body.push(b'}');
        Ok(body)
    }
}

fn inserted(body: &mut Vec<u8>, action: DatabaseAction, ids: &[Bson]) {
    let first = ids.first().unwrap_or(&Bson::Null);
    match action {
        DatabaseAction::AddDocument => {
            body.extend_from_slice(br#","data":{"_id":"#);
            plain::write_value(body, first);
            body.push(b'}');
        }
        DatabaseAction::InsertInTransaction => {
            number_text(body, "inserted", 1);
            number_text(body, "ok", 1);
            body.extend_from_slice(br#","id":"#);
            plain::write_value(body, first);
        }
        _ => {
            body.extend_from_slice(br#","data":{"insertedIds":["#);
            for (index, id) in ids.iter().enumerate() {
                if index > 0 {
                    body.push(b',');
                }
                plain::write_value(body, id);
            }
            body.extend_from_slice(b"]}");
        }
    }
}

fn listed(body: &mut Vec<u8>, action: DatabaseAction, documents: &[RawDocumentBuf]) -> Written {
    match action {
        DatabaseAction::Query => {
            body.extend_from_slice(br#","data":{"list":["#);
            for (index, document) in documents.iter().enumerate() {
                if index > 0 {
                    body.push(b',');
                }
                plain::write_document(body, &readable(document));
            }
            body.extend_from_slice(b"]}");
        }
        DatabaseAction::GetInTransaction => {
            body.extend_from_slice(br#","data":"#);
            match documents.first() {
                Some(document) => extended(body, document)?,
                None => body.extend_from_slice(br#""null""#),
            }
        }
        DatabaseAction::AggregateAsText => {
            let mut list = Vec::new();
            texts(&mut list, documents)?;
            body.extend_from_slice(br#","data":{"list":"#);
            json::write_string(body, &String::from_utf8_lossy(&list));
            body.push(b'}');
        }
        _ => {
            body.extend_from_slice(br#","data":{"list":"#);
            texts(body, documents)?;
            body.push(b'}');
        }
    }
    Ok(())
}

fn modified(
    body: &mut Vec<u8>,
    action: DatabaseAction,
    updated: u64,
    upserted: Option<&Bson>,
    document: Option<&RawDocumentBuf>,
) -> Written {
    if action == DatabaseAction::UpdateInTransaction {
        number_text(body, "updated", updated);
        if let Some(id) = upserted {
            let mut list = br#"[{"_id":"#.to_vec();
            plain::write_value(&mut list, id);
            list.extend_from_slice(b"}]");
            body.extend_from_slice(br#","upserted":"#);
            json::write_string(body, &String::from_utf8_lossy(&list));
        }
        return Ok(());
    }
    // Writing to a Vec cannot fail.
    let _ = write!(body, r#","data":{{"updated":{updated}"#);
    if let Some(id) = upserted {
        let names: &[&str] = match action {
            // `doc().set()` reads the one, `where().update()` the other.
            DatabaseAction::Update => &["upserted_id", "upsert_id"],
            _ => &["upsert_id"],
        };
        for name in names {
            let _ = write!(body, r#","{name}":"#);
            plain::write_value(body, id);
        }
    }
    if let Some(document) = document {
        body.extend_from_slice(br#","doc":"#);
        extended(body, document)?;
    }
    body.push(b'}');
    Ok(())
}

/// A list of texts, each a document in Extended JSON.
fn texts(out: &mut Vec<u8>, documents: &[RawDocumentBuf]) -> Written {
    // Most of an answer is quotes and what stands before them.
    let size: usize = documents.iter().map(|document| document.as_bytes().len()).sum();
    out.reserve(size * 2);
    out.push(b'[');
    for (index, document) in documents.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        extended(out, document)?;
    }
    out.push(b']');
    Ok(())
}

/// A document in Extended JSON, as a text within the JSON.
fn extended(out: &mut Vec<u8>, document: &RawDocumentBuf) -> Written {
    ejson::write_raw_as_string(out, &readable(document), ejson::Style::Canonical)
}

/// `,"data":{"<name>":<number>}`
fn member(body: &mut Vec<u8>, name: &str, number: u64) {
    let _ = write!(body, r#","data":{{"{name}":{number}}}"#);
}

/// `,"<name>":"{\"$numberInt\":\"<number>\"}"`, as the transactions of 1.8 read it.
fn number_text(body: &mut Vec<u8>, name: &str, number: u64) {
    let _ = write!(body, r#","{name}":"{{\"$numberInt\":\"{number}\"}}""#);
}
