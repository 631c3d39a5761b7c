//! How an operation on a database fails, whatever engine it is asked of.

use std::error::Error as StdError;

use docdb::collection::BadCollectionName;
use wording::Wording;

use crate::MissedChanges;

/// Why an operation was not done. `Display` is for the log; what a client is told is worded by its dialect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// There is no such collection.
    #[error("there is no collection {0:?}")]
    CollectionMissing(String),
    /// There is such a collection.
    #[error("the collection {0:?} exists already")]
    CollectionExists(String),
    /// No collection can be called so.
    #[error(transparent)]
    BadName(#[from] BadCollectionName),
    /// Another document has this `_id`, or this value in a unique index.
    #[error("E11000 duplicate key error collection: {collection} index: {index} dup key: {key}")]
    Duplicate {
        /// Of the collection.
        collection: String,
        /// Name of the index.
        index: String,
        /// The value as MongoDB shows it: `{ phone: "1" }`.
        key: String,
        /// The index's fields, `{phone: 1}`, and the value, `{phone: "1"}`.
        pattern: Box<(bson::Document, bson::Document)>,
    },
    /// MongoDB's language refuses the filter, the update, the pipeline or the document.
    #[error(transparent)]
    Refused(#[from] docdb::Error),
    /// Another transaction has written the document since this one began, or is about to.
    #[error("another transaction wrote the document")]
    TransactionConflict,
    /// The transaction has ended, or was too old.
    #[error("there is no such transaction, or it has ended")]
    TransactionMissing,
    /// An operation of the transaction is under way.
    #[error("another operation of the transaction is under way")]
    TransactionBusy,
    /// As many transactions are open as may be.
    #[error("{0} transactions are open, and no more may be")]
    TransactionsFull(usize),
    /// An ordinary write waited for a document that a transaction had locked, for as long as writes wait.
    #[error("the document was locked by a transaction for too long")]
    Locked,
    /// It took longer than the engine lets an operation take.
    #[error("the operation took too long")]
    TimedOut,
    /// Changes that were asked for are not kept any more.
    #[error(transparent)]
    ChangesMissed(#[from] MissedChanges),
    /// The documents of the answer would have more bytes than one answer may.
    #[error("the answer would have more than {0} bytes")]
    AnswerTooLarge(usize),
    /// The engine cannot do it.
    #[error("{0}")]
    Unsupported(String),
    /// The disk or the server failed. The operation was not done, unless the connection to a server was lost meanwhile.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] Box<dyn StdError + Send + Sync>),
}

impl DatabaseError {
    /// What a person is told, in both languages. MongoDB's own words are the same in both, and so is what only programs meet.
    #[must_use]
    pub fn wording(&self) -> Wording {
        if let Self::BadName(bad) = self {
            return bad.wording();
        }
        let en = self.to_string();
        let zh = match self {
            Self::CollectionMissing(name) => format!("没有集合 {name:?}"),
            Self::CollectionExists(name) => format!("集合 {name:?} 已经存在"),
            Self::Locked => "这条记录被事务锁定，等待超时".to_owned(),
            Self::TimedOut => "操作超时".to_owned(),
            Self::AnswerTooLarge(most) => format!("结果会超过 {most} 字节"),
            Self::Unavailable(cause) => format!("数据库不可用：{cause}"),
            _ => en.clone(),
        };
        Wording { en, zh }
    }

    /// [`Unavailable`](Self::Unavailable), with its cause.
    pub fn unavailable(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unavailable(error.into())
    }
}
