//! Documents on lines, sent as each SDK sends them and answered as each reads them: what goes in by a dialect is what was meant,
//! and what comes out by one is what lies in the database, in a form that SDKs read.

use std::borrow::Cow;

use bson::{Bson, DateTime, Document, RawDocument, RawDocumentBuf};
use ejson::Style;
use serde_json::{Value, json};
use tcb::{
    Envelope,
    database::{DatabaseAction, DatabaseAnswer, DatabaseOperation, DatabaseRequest, readable},
};

pub(crate) fn target(data: &[u8]) {
    let documents = crate::ejson::lines(data);
    for document in &documents {
        modern(document);
        legacy(document);
    }
    let found: Vec<RawDocumentBuf> = documents
        .iter()
        .filter_map(|document| document.try_into().ok())
        .collect();
    if found.len() == documents.len() {
        listed(&documents, found);
    }
}

fn text(document: &Document) -> String {
    ejson::to_text(document, Style::Canonical)
}

fn operation(body: &Value) -> Option<DatabaseOperation> {
    let body = body.to_string();
    let envelope = Envelope::parse("application/json", body.as_bytes()).ok()?;
    let action = DatabaseAction::of(envelope.text("action")?)?;
    let request = DatabaseRequest::read(action, &envelope, DateTime::from_millis(0)).ok()?;
    Some(request.operation)
}

fn modern(document: &Document) {
    let sent = text(document);
    // What stands for the server's date becomes one; `each` without a dollar gets it.
    let dates = [
        "$tcb_server_date",
        "\"$date\":{}",
        "\"$date\":{\"offset\":",
        "\"each\":",
    ];
    if dates.iter().any(|form| sent.contains(form)) {
        return;
    }
    let insert = json!({"action": "database.insertDocument", "collectionName": "c", "data": [&sent]});
    if let Some(DatabaseOperation::Insert(read)) = operation(&insert) {
        let read: Vec<String> = read.iter().map(text).collect();
        assert_eq!(read, std::slice::from_ref(&sent));
    }
    // Of a query's regular expressions, flags that the engine does not have are taken out; and as SDKs of old send one among values, it
    // becomes one.
    if has_other_flags(&Bson::Document(document.clone())) {
        return;
    }
    let find = json!({
        "action": "database.getDocument", "collectionName": "c", "queryType": "WHERE", "query": &sent, "projection": &sent,
    });
    if let Some(DatabaseOperation::Find(find)) = operation(&find) {
        assert_eq!(text(&find.filter), sent);
        // An empty one shows all, as none does.
        assert_eq!(find.projection.as_ref().map_or("{}".to_owned(), text), sent);
    }
    let stage = json!({"stageKey": "$match", "stageValue": &sent});
    for action in ["database.aggregateDocuments", "database.aggregate"] {
        let aggregate = json!({"action": action, "collectionName": "c", "stages": [&stage]});
        if let Some(DatabaseOperation::Aggregate(stages)) = operation(&aggregate) {
            let matched = stages.first().and_then(|stage| stage.get_document("$match").ok());
            assert_eq!(matched.map(text), Some(sent.clone()));
        }
    }
}

/// Whether it is or has a regular expression with flags that the engine does not have, or a text that may stand for such flags; or an
/// object in a list that may stand for a regular expression.
fn has_other_flags(value: &Bson) -> bool {
    let others = |flags: &str| flags.contains(|flag| !matches!(flag, 'i' | 'm' | 's' | 'x'));
    match value {
        Bson::RegularExpression(regex) => others(regex.options.as_str()),
        Bson::Document(inner) => inner.iter().any(|(name, value)| {
            let is_pattern = |element: &Bson| {
                element
                    .as_document()
                    .is_some_and(|inner| inner.contains_key("$regex"))
            };
            has_other_flags(value)
                || name == "$options" && value.as_str().is_some_and(others)
                || value
                    .as_array()
                    .is_some_and(|elements| elements.iter().any(is_pattern))
        }),
        Bson::Array(elements) => elements.iter().any(has_other_flags),
        _ => false,
    }
}

/// What plain JSON can say, and says only in one way.
fn is_plain(value: &Bson) -> bool {
    match value {
        Bson::String(_) | Bson::Boolean(_) | Bson::Null | Bson::Int32(_) => true,
        Bson::Document(inner) => {
            inner.keys().all(|name| !name.starts_with('$') && name != "each")
                && inner.iter().all(|(_, value)| is_plain(value))
        }
        Bson::Array(elements) => elements.iter().all(is_plain),
        _ => false,
    }
}

fn legacy(document: &Document) {
    if !is_plain(&Bson::Document(document.clone())) {
        return;
    }
    let Ok(sent) = serde_json::from_str::<Value>(&ejson::to_text(document, Style::Relaxed)) else {
        return;
    };
    let insert = json!({"action": "database.addDocument", "collectionName": "c", "data": &sent});
    if let Some(DatabaseOperation::Insert(read)) = operation(&insert) {
        assert_eq!(read.iter().map(text).collect::<Vec<_>>(), [text(document)]);
    }
    let find = json!({"action": "database.queryDocument", "collectionName": "c", "query": &sent});
    if let Some(DatabaseOperation::Find(find)) = operation(&find) {
        assert_eq!(text(&find.filter), text(document));
    }
}

/// What is answered of a document: itself, in a form that SDKs read.
fn shown(document: &RawDocument) -> String {
    let shown = readable(document);
    assert!(
        matches!(readable(&shown), Cow::Borrowed(_)),
        "{shown:?} is not readable yet"
    );
    match Document::try_from(&*shown) {
        Ok(shown) => text(&shown),
        Err(error) => panic!("{error}: {shown:?}"),
    }
}

fn listed(documents: &[Document], found: Vec<RawDocumentBuf>) {
    let wanted: Vec<String> = found.iter().map(|document| shown(document)).collect();
    let answer = DatabaseAnswer::Documents(found);
    let answered = |action| -> Value {
        let reply = answer.reply(action, "r");
        match serde_json::from_slice(&reply.body) {
            Ok(value) => value,
            Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&reply.body)),
        }
    };
    // As text, and once more as text in a list: what reads back is written alike again.
    let again = |list: &Value| {
        let texts = list.as_array().into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect::<Vec<_>>()
    };
    for action in [DatabaseAction::Get, DatabaseAction::Aggregate] {
        assert_eq!(again(&answered(action)["data"]["list"]), wanted);
    }
    let list = answered(DatabaseAction::AggregateAsText)["data"]["list"].take();
    let list: Value = serde_json::from_str(list.as_str().unwrap_or_default()).unwrap_or_default();
    assert_eq!(again(&list), wanted);
    let plain = answered(DatabaseAction::Query)["data"]["list"].take();
    assert_eq!(plain.as_array().map(Vec::len), Some(documents.len()));
}
