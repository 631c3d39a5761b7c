//! Messages of realtime: the first line of the input is a message, the rest the text of a query that is watched.

use bson::{DateTime, Document};
use docdb::Context;
use realtime::{
    ClientBody, ClientMessage, Dialect, QueryId, WatchQuery, WatchRequest, events_head, events_tail, refused,
};

pub(crate) fn target(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (message, query) = text.split_once('\n').unwrap_or((&text, ""));
    match ClientMessage::read(message) {
        Ok(ClientMessage { body, watch_id, .. }) => match body {
            ClientBody::Begin(request) => watched(&request),
            ClientBody::Rebuild { query, id, event } => {
                assert_eq!(QueryId::read(&query.text()).as_ref(), Ok(&query));
                let answer = [events_head(&watch_id, "", false, &id), events_tail(event, [], 1)];
                is_json(&answer.concat());
                watched(&query.request);
            }
            _ => {}
        },
        Err(bad) => {
            assert!(bad.refusal.is_some(), "what is wrong is said");
            if let Some(refusal) = bad.refusal {
                is_json(&refused(&bad.watch_id, &bad.request_id, &refusal, false));
            }
        }
    }
    watched(&WatchRequest {
        collection: "c".to_owned(),
        query: query.to_owned(),
        ..WatchRequest::default()
    });
}

/// A request is known again by its id, and its query is refused or has a key and judges a document.
fn watched(request: &WatchRequest) {
    let id = QueryId {
        request: request.clone(),
        numbering: 7,
        watcher: 8,
    };
    assert_eq!(QueryId::read(&id.text()), Ok(id));
    let Ok(filter) = request.filter() else { return };
    let Ok(query) = WatchQuery::new(filter, request, Dialect::Plain) else {
        return;
    };
    assert!(!query.key().is_empty() && query.limit() <= query.depth());
    let _ = query.matches(&Document::new(), &Context::new(DateTime::from_millis(0), 1));
}

fn is_json(message: &[u8]) {
    let read = serde_json::from_slice::<serde_json::Value>(message);
    assert!(read.is_ok(), "{read:?}");
}
