//! The account of a database operation: what was asked, as a person reads it; what it took; and the index that would have served it.

use bson::{Bson, Document};
use calls::{DatabaseCall, WantedIndex};
use database::{IndexSpec, Looked, WrittenIndex, indexes_for};
use ejson::shell::to_line;
use tcb::database::{Change, DatabaseAnswer, DatabaseOperation, DatabaseRequest};

use super::Made;

/// A query that looks at more documents than this, for few, is slow.
const MANY: u64 = 1000;
/// Characters of a query's line.
const LINE: usize = 400;
/// Documents of an insert that are written down.
const INSERTED: usize = 5;

/// What was asked, before anything came of it.
pub(super) fn database_call(request: &DatabaseRequest) -> DatabaseCall {
    let operation = match &request.operation {
        DatabaseOperation::CreateCollection => "createCollection",
        DatabaseOperation::Insert(_) => "insert",
        DatabaseOperation::Find(_) => "find",
        DatabaseOperation::Count(_) => "count",
        DatabaseOperation::Update { .. } => "update",
        DatabaseOperation::Remove { .. } => "remove",
        DatabaseOperation::Aggregate(_) => "aggregate",
        DatabaseOperation::Begin => "startTransaction",
        DatabaseOperation::Commit => "commit",
        DatabaseOperation::Abort => "rollback",
    };
    DatabaseCall {
        collection: request.collection.clone(),
        operation,
        ..DatabaseCall::default()
    }
}

/// Whether it changes something, be it at the end of a transaction.
pub(super) fn writes(operation: &DatabaseOperation) -> bool {
    match operation {
        DatabaseOperation::Find(_)
        | DatabaseOperation::Count(_)
        | DatabaseOperation::Aggregate(_)
        | DatabaseOperation::Begin
        | DatabaseOperation::Abort => false,
        DatabaseOperation::Update { change, .. } => !matches!(change, Change::Nothing),
        _ => true,
    }
}

/// What was asked, in the syntax of MongoDB's shell.
pub(super) fn query(operation: &DatabaseOperation) -> String {
    match operation {
        DatabaseOperation::Insert(documents) => {
            let mut text: Vec<String> = documents.iter().take(INSERTED).map(line_of).collect();
            if documents.len() > INSERTED {
                text.push(format!("… {} documents", documents.len()));
            }
            text.join(", ")
        }
        DatabaseOperation::Find(find) => {
            let mut text = line_of(&find.filter);
            if let Some(sort) = &find.sort {
                text += &format!(" sort {}", line_of(sort));
            }
            if let Some(fields) = &find.projection {
                text += &format!(" fields {}", line_of(fields));
            }
            if find.skip > 0 {
                text += &format!(" skip {}", find.skip);
            }
            text + &format!(" limit {}", find.limit)
        }
        DatabaseOperation::Count(filter) => line_of(filter),
        DatabaseOperation::Update {
            filter,
            change,
            many,
            upsert,
            ..
        } => {
            let change = match change {
                Change::Operators(change) | Change::Replacement(change) => line_of(change),
                Change::Nothing => "{}".to_owned(),
            };
            let many = if *many { " many" } else { "" };
            let upsert = if *upsert { " upsert" } else { "" };
            format!("{} → {change}{many}{upsert}", line_of(filter))
        }
        DatabaseOperation::Remove { filter, many } => {
            format!("{}{}", line_of(filter), if *many { " many" } else { "" })
        }
        DatabaseOperation::Aggregate(stages) => {
            let stages: Vec<String> = stages.iter().map(line_of).collect();
            format!("[{}]", stages.join(", "))
        }
        _ => String::new(),
    }
}

fn line_of(document: &Document) -> String {
    to_line(&Bson::Document(document.clone()))
}

/// The beginning of a text, as long as a line may be.
pub(super) fn line(text: &str) -> String {
    let end = text.char_indices().nth(LINE).map_or(text.len(), |(at, _)| at);
    let more = if end < text.len() { " …" } else { "" };
    format!("{}{more}", &text[..end])
}

/// The indexes that would have served what was asked, where none did or the one that did was slow all the same.
pub(super) fn wanted_by(
    operation: &DatabaseOperation,
    answer: &DatabaseAnswer,
    looked: Option<&Looked>,
) -> Vec<IndexSpec> {
    let Some(looked) = looked.filter(|looked| looked.index.is_none() || is_slow(looked, answer)) else {
        return Vec::new();
    };
    let mut wanted = match operation {
        DatabaseOperation::Find(find) => indexes_for(&find.filter, find.sort.as_ref()),
        DatabaseOperation::Update { filter, .. } | DatabaseOperation::Remove { filter, .. } => {
            indexes_for(filter, None)
        }
        DatabaseOperation::Count(filter) => indexes_for(filter, None),
        DatabaseOperation::Aggregate(stages) => {
            let stage = |at: usize, name: &str| stages.get(at)?.get_document(name).ok();
            let filter = stage(0, "$match");
            let sort = stage(usize::from(filter.is_some()), "$sort");
            indexes_for(filter.unwrap_or(&Document::new()), sort)
        }
        _ => Vec::new(),
    };
    // An index that was used and was slow all the same is no mend.
    wanted.retain(|index| looked.index.as_ref() != Some(&index.name));
    wanted
}

/// Whether it looked at many documents, for few.
fn is_slow(looked: &Looked, answer: &DatabaseAnswer) -> bool {
    looked.documents > MANY && looked.documents / 10 >= found(answer).unwrap_or_default()
}

/// How many documents it found, added or changed.
fn found(answer: &DatabaseAnswer) -> Option<u64> {
    match answer {
        DatabaseAnswer::Inserted(ids) => Some(ids.len() as u64),
        DatabaseAnswer::Documents(documents) => Some(documents.len() as u64),
        DatabaseAnswer::Counted(count) => Some(*count),
        DatabaseAnswer::Updated { updated, .. } => Some(*updated),
        DatabaseAnswer::Removed(removed) => Some(*removed),
        _ => None,
    }
}

/// Enters what came of it.
pub(super) fn came_to(call: &mut DatabaseCall, made: &Made) {
    call.found = found(&made.answer);
    let Some(looked) = &made.looked else { return };
    call.slow = is_slow(looked, &made.answer);
    call.wanted = made.wanted.iter().map(wanted_index).collect();
    call.looked = Some(looked.documents);
    call.index.clone_from(&looked.index);
}

fn wanted_index(index: &IndexSpec) -> WantedIndex {
    let WrittenIndex { fields, sphere } = index.written();
    WantedIndex { fields, sphere }
}

/// What is told of it in a line: `12 looked at by list_1, 3 found`.
pub(super) fn text(call: &DatabaseCall) -> String {
    let Some(looked) = call.looked else {
        return String::new();
    };
    let by = call
        .index
        .as_ref()
        .map_or_else(String::new, |index| format!(" by {index}"));
    format!("{looked} looked at{by}, {} found", call.found.unwrap_or_default())
}
