//! A request to the database as an SDK sends it, in whichever dialect: it is refused in words or becomes one operation within its
//! bounds, in which no date of the server's is left to fill in; and its answer is JSON.

use bson::{Bson, DateTime, Document};
use tcb::{
    Envelope,
    database::{
        AGGREGATE_MOST, Change, DatabaseAction, DatabaseAnswer, DatabaseOperation, DatabaseRefusal,
        DatabaseRequest, FIND_MOST,
    },
};

pub(crate) fn target(data: &[u8]) {
    let Ok(envelope) = Envelope::parse("application/json", data) else {
        return;
    };
    let Some(action) = DatabaseAction::of(envelope.text("action").unwrap_or_default()) else {
        return;
    };
    let request = match DatabaseRequest::read(action, &envelope, DateTime::from_millis(0)) {
        Ok(request) => request,
        Err(refusal) => {
            assert!(!refusal.text().is_empty());
            return is_json(&refusal.reply("r").body);
        }
    };
    let answer = match &request.operation {
        DatabaseOperation::Insert(documents) => {
            documents.iter().for_each(has_no_open_date);
            let ids = documents
                .iter()
                .filter_map(|document| document.get("_id").cloned());
            DatabaseAnswer::Inserted(ids.collect())
        }
        DatabaseOperation::Find(find) => {
            assert!(find.limit <= FIND_MOST, "{find:?}");
            has_no_open_date(&find.filter);
            let shown = [&find.filter]
                .into_iter()
                .chain(&find.sort)
                .chain(&find.projection);
            DatabaseAnswer::Documents(shown.filter_map(|document| document.try_into().ok()).collect())
        }
        DatabaseOperation::Count(filter) | DatabaseOperation::Remove { filter, .. } => {
            has_no_open_date(filter);
            DatabaseAnswer::Counted(1)
        }
        DatabaseOperation::Update { filter, change, .. } => {
            has_no_open_date(filter);
            let changed = match change {
                Change::Operators(changed) | Change::Replacement(changed) => changed.clone(),
                Change::Nothing => Document::new(),
            };
            has_no_open_date(&changed);
            DatabaseAnswer::Updated {
                updated: 1,
                upserted: filter.get("_id").cloned(),
                document: (&changed).try_into().ok(),
            }
        }
        DatabaseOperation::Aggregate(stages) => {
            stages.iter().for_each(has_no_open_date);
            let limit = stages.last().and_then(|stage| stage.get("$limit"));
            assert!(
                limit.is_some_and(|limit| number(limit).is_some_and(|limit| limit <= AGGREGATE_MOST)),
                "{stages:?}"
            );
            DatabaseAnswer::Documents(stages.iter().filter_map(|stage| stage.try_into().ok()).collect())
        }
        _ => DatabaseAnswer::Done,
    };
    is_json(&answer.reply(action, "r").body);
    is_json(
        &DatabaseRefusal::CollectionMissing(request.collection)
            .reply("r")
            .body,
    );
}

fn number(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        _ => None,
    }
}

fn is_json(body: &[u8]) {
    assert!(json::validate(body).is_ok(), "{}", String::from_utf8_lossy(body));
}

/// Both dialects write one as an object, which nobody but the server fills in.
fn has_no_open_date(document: &Document) {
    for (_, value) in document {
        inner(value);
    }
    fn inner(value: &Bson) {
        match value {
            Bson::Document(document) => {
                let date = document
                    .get_document("$tcb_server_date")
                    .ok()
                    .filter(|_| document.len() == 1);
                assert!(date.is_none(), "{document}");
                has_no_open_date(document);
            }
            Bson::Array(elements) => elements.iter().for_each(inner),
            _ => {}
        }
    }
}
