//! `database.*`: the database actions of every SDK generation, decoded into one neutral [`DatabaseRequest`], and its
//! answer, written in the dialect in which it was asked.
//!
//! There are two dialects of values. SDKs since 2.1 send Extended JSON as text within the JSON body; older ones send plain
//! JSON with `{"$date":…}`. Which one a field is in shows in the field itself: text or not. The dialects also differ in
//! the names of actions and in the shape of answers ([`DatabaseAction`]). What the engine refuses is worded here as the platform words
//! it ([`DatabaseRefusal`]), because programs search these texts.

mod action;
mod answer;
mod id;
mod place;
mod plain;
mod readable;
mod refusal;
mod request;
#[cfg(test)]
mod tests;

pub use action::DatabaseAction;
pub use answer::DatabaseAnswer;
pub use id::DocumentId;
pub use plain::{write_document as write_plain, write_value as write_plain_value};
pub use readable::readable;
pub use refusal::DatabaseRefusal;
pub use request::{
    AGGREGATE_DEFAULT, AGGREGATE_MOST, CLIENT_FIND_MOST, Change, DatabaseOperation, DatabaseRequest,
    FIND_DEFAULT, FIND_MOST, Find, says_query,
};
