//! What clients may do with documents, files and functions: the four permission levels, and the rule language of the platform.
//!
//! A [`Permission`] is a [`Level`] or a set of [`Rules`]. A level adds a condition to what a client asks; rules judge it. A query is
//! never judged by reading documents: what it can meet must lie within what the rule lets through, and that is
//! proved from the two texts (`proof`). One document, where it is known, is judged as it stands. Both go the same way: the rule
//! is reduced to conditions on fields (`reduce`), which mean what the query commands of the same name mean: `doc.tags == 'a'` holds
//! for a list that has `'a'` in it, and a field that is not there is null.
//!
//! A rule may name other documents (`get()`). Judging does no I/O: it says which documents it [wants](Verdict::Wanted), and is
//! asked again with them.
//!
//! Functions and the operator are never restricted: nobody asks here for them.

mod caller;
mod denial;
mod expression;
mod formula;
mod invoke;
mod judge;
mod level;
mod parse;
mod proof;
mod query;
mod reduce;
mod rule;
mod set;
#[cfg(test)]
mod tests;
mod write;

pub use caller::Caller;
pub use denial::Denial;
pub use invoke::{FunctionRules, InvokeRule};
pub use judge::{DocumentRef, Documents, Guard, Request, Subject, Verdict};
pub use level::{Level, LevelScope, Permission, StoragePermission};
pub use parse::{MOST_CHARACTERS, RuleError};
pub use query::with_identity;
pub use rule::{Operation, Rule, Rules, StorageRules};
pub use write::WrittenData;
