//! `/v1/database/instances/(default)/databases/(default)/…`

use std::collections::BTreeMap;

use bson::{Bson, DateTime, Document, RawDocumentBuf, doc};
use ejson::Style;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::{json, value::RawValue};
use tcb::{
    Envelope, FieldValue,
    database::{
        DatabaseAction, DatabaseAnswer, DatabaseOperation, DatabaseRefusal, DatabaseRequest, Find, readable,
    },
};

use crate::WebFault;

/// What every path begins with.
pub const DOCUMENTS: &str = "/v1/database/";

/// A request, and in which form it is answered.
#[derive(Debug)]
pub struct DocumentCall {
    /// What is to be done.
    pub request: DatabaseRequest,
    form: AnswerForm,
}

#[derive(Clone, Copy, Debug)]
enum AnswerForm {
    /// `{"list", "offset", "limit"}`
    List { offset: u64, limit: u64 },
    /// The document itself, or 404.
    One,
    /// What is common to all.
    Usual,
}

/// What a body may have; what else stands in it is nobody's.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Body<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "as_written")]
    query: Option<&'a RawValue>,
    /// What others call the query.
    #[serde(
        rename = "where",
        alias = "filter",
        alias = "condition",
        deserialize_with = "as_written"
    )]
    misnamed: Option<IgnoredAny>,
    multi: Option<bool>,
    upsert: Option<bool>,
    replace_mode: Option<bool>,
    #[serde(borrow)]
    pipeline: Option<Vec<BTreeMap<String, &'a RawValue>>>,
    transaction_id: Option<String>,
    collection_name: Option<String>,
}

/// The names of all that stands in a body.
type Names = BTreeMap<String, IgnoredAny>;

/// A member that is null is there.
fn as_written<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A field in the making: a text that is Extended JSON, or JSON as it is.
enum Made {
    Text(String),
    Json(String),
}

type Fields = Vec<(&'static str, Made)>;

impl DocumentCall {
    /// Reads a request: its method, its path without [`DOCUMENTS`], its query and body. `now` stands where the program wrote
    /// `db.serverDate()`.
    ///
    /// # Errors
    /// There is no such path, or something in it is not of its form.
    pub fn read(
        method: &str,
        path: &str,
        query: Option<&str>,
        body: &[u8],
        now: DateTime,
    ) -> Result<Self, WebFault> {
        let segments: Vec<String> = path.trim_end_matches('/').split('/').map(decoded).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let ["instances", instance, "databases", database, rest @ ..] = &*segments else {
            return Err(no_path());
        };
        if [instance, database].iter().any(|name| **name != "(default)") {
            return Err(WebFault::malformed(
                "there is one database here: its instance and its name are (default)",
            ));
        }
        let query = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let query: Vec<(String, String)> = query
            .into_owned()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let wrong = |error: serde_json::Error| WebFault::malformed(format!("the request body: {error}"));
        let (body, names) = match body.trim_ascii() {
            [] => (Body::default(), Names::new()),
            // An object alone has names: what is read by place could be taken for a body that says nothing.
            body => {
                let names = serde_json::from_slice(body).map_err(wrong)?;
                (serde_json::from_slice(body).map_err(wrong)?, names)
            }
        };
        let asked = Asked {
            query: &query,
            body: &body,
            names: &names,
        };
        let (action, fields, form) = match (method, rest) {
            ("GET", ["collections", _, "documents"]) => asked.list()?,
            ("GET", ["collections", _, "documents", id]) => asked.one(id),
            ("POST", ["collections", _, "documents"]) => asked.insert()?,
            ("PATCH", ["collections", _, "documents"]) => asked.update(None)?,
            ("PATCH", ["collections", _, "documents", id]) => asked.update(Some(*id))?,
            ("POST", ["collections", _, "documents", "remove"]) => asked.remove()?,
            ("DELETE", ["collections", _, "documents", id]) => asked.remove_one(id),
            ("POST", ["collections", _, "documents", "aggregations"]) => asked.aggregate()?,
            ("POST", ["collections"]) => (DatabaseAction::AddCollection, Vec::new(), AnswerForm::Usual),
            ("POST", ["transactions"]) => (DatabaseAction::Begin, Vec::new(), AnswerForm::Usual),
            ("POST", ["transactions", id, end @ ("commit" | "rollback")]) => {
                let action = match *end {
                    "commit" => DatabaseAction::Commit,
                    _ => DatabaseAction::Abort,
                };
                let id = Made::Text((*id).to_owned());
                (action, vec![("transactionId", id)], AnswerForm::Usual)
            }
            ("POST", ["commands"]) => {
                return Err(WebFault::new(
                    403,
                    "DATABASE_INVALID_OPERRATOR",
                    "clients run no commands of the database: do it in a function",
                ));
            }
            _ => return Err(no_path()),
        };
        let collection = match rest {
            ["collections", name, ..] => (*name).to_owned(),
            _ => body.collection_name.clone().unwrap_or_default(),
        };
        let mut all = vec![("collectionName", Made::Text(collection))];
        all.extend(fields);
        if let Some(id) = asked.transaction() {
            all.push(("transactionId", Made::Text(id)));
        }
        let envelope = Envelope::of_fields(all.iter().map(|(name, made)| match made {
            Made::Text(text) => (*name, FieldValue::Text(text.as_str().into())),
            Made::Json(text) => (*name, FieldValue::Json(text)),
        }));
        let mut request = DatabaseRequest::read(action, &envelope, now).map_err(WebFault::from)?;
        match &mut request.operation {
            DatabaseOperation::Find(Find { filter, .. })
            | DatabaseOperation::Count(filter)
            | DatabaseOperation::Update { filter, .. }
            | DatabaseOperation::Remove { filter, .. } => drop_absent_distances(filter),
            _ => {}
        }
        Ok(Self { request, form })
    }

    /// Writes the answer.
    ///
    /// # Errors
    /// There is no such document.
    pub fn write(&self, answer: DatabaseAnswer) -> Result<Vec<u8>, WebFault> {
        let mut out = Vec::new();
        match answer {
            DatabaseAnswer::Documents(documents) => match self.form {
                AnswerForm::One => {
                    let first = documents.first();
                    write_document(&mut out, first.ok_or_else(no_document)?)?;
                }
                AnswerForm::List { offset, limit } => {
                    write_list(&mut out, &documents)?;
                    out.extend_from_slice(format!(r#","offset":{offset},"limit":{limit}}}"#).as_bytes());
                }
                AnswerForm::Usual => {
                    write_list(&mut out, &documents)?;
                    out.push(b'}');
                }
            },
            DatabaseAnswer::Inserted(ids) => {
                ejson::write_document(&mut out, &doc! {"insertedIds": ids}, Style::Relaxed)
            }
            DatabaseAnswer::Counted(total) => out = json!({"total": total}).to_string().into_bytes(),
            DatabaseAnswer::Updated {
                updated, upserted, ..
            } => {
                let mut answer = doc! {"updated": Bson::Int64(i64::try_from(updated).unwrap_or(i64::MAX))};
                if let Some(id) = upserted {
                    // `set` reads the one, `update` the other.
                    answer.insert("upserted_id", id.clone());
                    answer.insert("upsert_id", id);
                }
                ejson::write_document(&mut out, &answer, Style::Relaxed);
            }
            DatabaseAnswer::Removed(deleted) => out = json!({"deleted": deleted}).to_string().into_bytes(),
            DatabaseAnswer::Began(id) => out = json!({"transactionId": id}).to_string().into_bytes(),
            _ => out.extend_from_slice(b"{}"),
        }
        Ok(out)
    }
}

struct Asked<'a> {
    query: &'a [(String, String)],
    body: &'a Body<'a>,
    names: &'a Names,
}

type Read = (DatabaseAction, Fields, AnswerForm);

impl Asked<'_> {
    fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(given, _)| given == name);
        found.map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str, otherwise: u64) -> Result<u64, WebFault> {
        match self.parameter(name) {
            None => Ok(otherwise),
            Some(text) => text.parse().map_err(|_| {
                WebFault::malformed(format!("{name} must be an integer of at least 0, and is {text}"))
            }),
        }
    }

    fn transaction(&self) -> Option<String> {
        let parameter = self.parameter("transactionId").map(str::to_owned);
        self.body.transaction_id.clone().or(parameter)
    }

    fn filter(&self) -> Option<(&'static str, Made)> {
        let query = self.parameter("query")?;
        Some(("query", Made::Text(query.to_owned())))
    }

    fn projection(&self) -> Option<(&'static str, Made)> {
        let projection = self.parameter("projection")?;
        Some(("projection", Made::Text(projection.to_owned())))
    }

    fn list(&self) -> Result<Read, WebFault> {
        let mut fields: Fields = self.filter().into_iter().collect();
        if self.parameter("count") == Some("true") {
            return Ok((DatabaseAction::Count, fields, AnswerForm::Usual));
        }
        let offset = self.number("offset", 0)?;
        let limit = self.number("limit", tcb::database::FIND_DEFAULT)?;
        fields.extend(self.projection());
        if let Some(order) = self.parameter("order") {
            fields.push(("order", Made::Json(order.to_owned())));
        }
        fields.push(("offset", Made::Json(offset.to_string())));
        fields.push(("limit", Made::Json(limit.to_string())));
        Ok((DatabaseAction::Get, fields, AnswerForm::List { offset, limit }))
    }

    fn one(&self, id: &str) -> Read {
        let mut fields = vec![by_id(id), ("limit", Made::Json("1".to_owned()))];
        fields.extend(self.projection());
        (DatabaseAction::Get, fields, AnswerForm::One)
    }

    fn insert(&self) -> Result<Read, WebFault> {
        let data = self.body.data.map(RawValue::get).unwrap_or_default().trim();
        // One document is taken for a list of one.
        let documents: Vec<&RawValue> = match data.starts_with('[') {
            true => {
                serde_json::from_str(data).map_err(|error| WebFault::malformed(format!("data: {error}")))?
            }
            false => self.body.data.into_iter().collect(),
        };
        let texts: Vec<&str> = documents.iter().map(|document| document.get()).collect();
        if texts.is_empty() {
            return Err(WebFault::malformed("data must be a list of documents"));
        }
        let data = Made::Json(json!(texts).to_string());
        Ok((
            DatabaseAction::InsertDocuments,
            vec![("data", data)],
            AnswerForm::Usual,
        ))
    }

    fn update(&self, id: Option<&str>) -> Result<Read, WebFault> {
        let Some(data) = self.body.data else {
            return Err(WebFault::malformed("data is missing"));
        };
        let mut fields = vec![("data", Made::Text(data.get().to_owned()))];
        match id {
            Some(id) => fields.push(by_id(id)),
            None => fields.extend(self.body_filter(&["multi", "upsert", "replaceMode"])?),
        }
        for (name, flag) in [("multi", self.body.multi), ("upsert", self.body.upsert)] {
            fields.push((name, Made::Json(flag.unwrap_or(false).to_string())));
        }
        // `set` says that it inserts what is not there. Nothing else replaces: an update without a change comes as an empty object.
        let says = |flag: Option<bool>| flag == Some(true);
        if says(self.body.replace_mode) {
            fields.push(("merge", Made::Json("false".to_owned())));
        } else if !says(self.body.upsert) {
            fields.push(("merge", Made::Json("true".to_owned())));
        }
        Ok((DatabaseAction::Modify, fields, AnswerForm::Usual))
    }

    /// The query in the body. `collection.remove()` and `collection.update()` of SDKs leave it out where all documents are meant, and send
    /// the `flags` beside it: a body with others, or with fewer, has lost its query, or has it under another name.
    fn body_filter(&self, flags: &[&str]) -> Result<Option<(&'static str, Made)>, WebFault> {
        if self.body.misnamed.is_some() {
            return Err(WebFault::malformed(
                "which documents are meant is said by `query`, and not by `where`, `filter` or `condition`",
            ));
        }
        let Some(query) = self.body.query else {
            let is_of_sdk = |name: &String| {
                matches!(name.as_str(), "data" | "transactionId") || flags.contains(&name.as_str())
            };
            let sent = flags.iter().all(|flag| self.names.contains_key(*flag));
            if !sent || !self.names.keys().all(is_of_sdk) {
                return Err(DatabaseRefusal::no_query().into());
            }
            return Ok(None);
        };
        // A query is an object, or its text; one that is null is refused where it is read.
        let text = match serde_json::from_str::<String>(query.get()) {
            Ok(text) if text.trim().is_empty() => return Err(DatabaseRefusal::no_query().into()),
            Ok(text) => text,
            Err(_) => query.get().to_owned(),
        };
        Ok(Some(("query", Made::Text(text))))
    }

    fn remove(&self) -> Result<Read, WebFault> {
        let mut fields: Fields = self.body_filter(&["multi"])?.into_iter().collect();
        fields.push(("multi", Made::Json(self.body.multi.unwrap_or(false).to_string())));
        Ok((DatabaseAction::Remove, fields, AnswerForm::Usual))
    }

    fn remove_one(&self, id: &str) -> Read {
        (DatabaseAction::Remove, vec![by_id(id)], AnswerForm::Usual)
    }

    fn aggregate(&self) -> Result<Read, WebFault> {
        let Some(pipeline) = &self.body.pipeline else {
            return Err(WebFault::malformed("pipeline must be a list of stages"));
        };
        let mut stages = Vec::with_capacity(pipeline.len());
        for stage in pipeline {
            let mut members = stage.iter();
            let (Some((key, value)), None) = (members.next(), members.next()) else {
                return Err(WebFault::malformed(
                    "a stage of the pipeline is an object with one member",
                ));
            };
            stages.push(json!({"stageKey": key, "stageValue": value.get()}));
        }
        let stages = Made::Json(json!(stages).to_string());
        Ok((
            DatabaseAction::Aggregate,
            vec![("stages", stages)],
            AnswerForm::Usual,
        ))
    }
}

/// Takes out of a query the distances that are null: 3.x of js-sdk sends so what the program did not give to `_.geoNear`, and to the
/// database it would be no number.
fn drop_absent_distances(query: &mut Document) {
    if query.contains_key("$nearSphere") || query.contains_key("$near") {
        drop_nulls(query);
    }
    for (operator, value) in query.iter_mut() {
        match value {
            Bson::Document(inner) => {
                if matches!(operator.as_str(), "$nearSphere" | "$near") {
                    drop_nulls(inner);
                } else {
                    drop_absent_distances(inner);
                }
            }
            Bson::Array(parts) => {
                for part in parts.iter_mut().filter_map(Bson::as_document_mut) {
                    drop_absent_distances(part);
                }
            }
            _ => {}
        }
    }
}

fn drop_nulls(near: &mut Document) {
    for distance in ["$minDistance", "$maxDistance"] {
        if near.get(distance) == Some(&Bson::Null) {
            near.remove(distance);
        }
    }
}

fn by_id(id: &str) -> (&'static str, Made) {
    ("query", Made::Text(json!({"_id": id}).to_string()))
}

fn write_list(out: &mut Vec<u8>, documents: &[RawDocumentBuf]) -> Result<(), WebFault> {
    out.extend_from_slice(br#"{"list":["#);
    for (index, document) in documents.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_document(out, document)?;
    }
    out.push(b']');
    Ok(())
}

fn write_document(out: &mut Vec<u8>, document: &RawDocumentBuf) -> Result<(), WebFault> {
    // Only bytes that are no BSON cannot be written: the engine's file is damaged.
    ejson::write_raw(out, &readable(document), Style::Canonical)
        .map_err(|_| WebFault::from(DatabaseRefusal::Unavailable))
}

fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

fn no_path() -> WebFault {
    WebFault::new(404, "INVALID_PATH", "no such path of the database")
}

fn no_document() -> WebFault {
    WebFault::new(404, "DOCUMENT_NOT_FOUND", "document not found")
}

impl From<DatabaseRefusal> for WebFault {
    fn from(refusal: DatabaseRefusal) -> Self {
        let code = match &refusal {
            DatabaseRefusal::Duplicate { .. } => "DATABASE_DUPLICATE_WRITE",
            refusal => refusal.code(),
        };
        let status = match &refusal {
            // It failed by what was asked, and has the code of what failed here.
            DatabaseRefusal::ResultTooLarge(_) | DatabaseRefusal::Unsupported(_) => 400,
            _ => Self::status_of(code),
        };
        Self::new(status, code, refusal.text())
    }
}

#[cfg(test)]
mod tests;
