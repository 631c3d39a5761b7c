//! The messages of a socket: text, each one JSON object.

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{
    EventBatch, WatchRefusal, WatchRequest,
    query::{MOST_DOCUMENTS, QueryId},
};

/// Characters of the ids that a client makes, at most: its SDKs make them of a time and a random number.
const MOST_ID: usize = 128;

/// No event has a larger number: beyond that JavaScript counts no more.
const MOST_EVENT: i64 = 1 << 53;

/// What a client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientMessage {
    /// Is sent back with the answer.
    pub request_id: String,
    /// Which watch it is about; empty for the socket as a whole.
    pub watch_id: String,
    /// What it asks.
    pub body: ClientBody,
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientBody {
    /// To be let in.
    Login(Login),
    /// To begin a watch.
    Begin(WatchRequest),
    /// To go on with a watch that was begun earlier, perhaps on another socket.
    Rebuild {
        /// What was watched.
        query: QueryId,
        /// The text of that id.
        id: String,
        /// The last events that the client had.
        event: i64,
    },
    /// To be told the number of the last events.
    Check,
    /// To end a watch.
    Close,
    /// Whether anybody is there.
    Ping,
}

/// By what a client is let in: one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// What `auth.wsWebSign` gave, which CloudBase's SDKs show.
    pub signature: String,
    /// The bearer token of `/v1/login`, which our client shows.
    pub token: String,
    /// Which environment the client thinks it is in; it is sent back.
    pub env_id: String,
}

/// A message that is none of the protocol's: what is wrong, and what of it can be read, so that whoever sent it hears of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BadMessage {
    /// Empty where it cannot be read.
    pub request_id: String,
    /// Empty where it cannot be read.
    pub watch_id: String,
    /// Why.
    pub refusal: Option<WatchRefusal>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(default)]
    request_id: Option<String>,
    #[serde(default)]
    watch_id: Option<String>,
    msg_type: String,
    #[serde(borrow, default)]
    msg_data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    ex_msg_data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoginData {
    #[serde(default)]
    env_id: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExtraLoginData {
    #[serde(default)]
    sign_str: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BeginData {
    coll_name: String,
    #[serde(default)]
    query: Option<String>,
    #[serde(default)]
    limit: Option<f64>,
    #[serde(default)]
    order_by: Value,
}

#[derive(Deserialize)]
struct RebuildData {
    #[serde(rename = "queryID")]
    query_id: String,
    #[serde(rename = "eventID")]
    event_id: i64,
}

impl ClientMessage {
    /// Reads a message.
    ///
    /// # Errors
    /// [`BadMessage`].
    pub fn read(text: &str) -> Result<Self, BadMessage> {
        let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|error| BadMessage {
            refusal: Some(malformed(format!("the message is not one of realtime: {error}"))),
            ..BadMessage::default()
        })?;
        let id = |id: &Option<String>| id.clone().filter(|id| id.len() <= MOST_ID).unwrap_or_default();
        let (request_id, watch_id) = (id(&envelope.request_id), id(&envelope.watch_id));
        match envelope.body(&watch_id) {
            Ok(body) => Ok(Self {
                request_id,
                watch_id,
                body,
            }),
            Err(refusal) => Err(BadMessage {
                request_id,
                watch_id,
                refusal: Some(refusal),
            }),
        }
    }
}

impl Envelope<'_> {
    fn body(&self, watch_id: &str) -> Result<ClientBody, WatchRefusal> {
        let is_of_watch = !matches!(self.msg_type.as_str(), "LOGIN" | "PING");
        if is_of_watch && watch_id.is_empty() {
            return Err(malformed(format!(
                "watchId must be a text of 1 to {MOST_ID} characters"
            )));
        }
        Ok(match self.msg_type.as_str() {
            "LOGIN" => {
                let data: LoginData = data(self.msg_data)?;
                let extra: ExtraLoginData = match self.ex_msg_data {
                    Some(extra) => read(extra)?,
                    None => ExtraLoginData::default(),
                };
                ClientBody::Login(Login {
                    signature: extra.sign_str.unwrap_or_default(),
                    token: data.access_token.unwrap_or_default(),
                    env_id: data.env_id.unwrap_or_default(),
                })
            }
            "INIT_WATCH" => {
                let data: BeginData = data(self.msg_data)?;
                if data.coll_name.is_empty() {
                    return Err(malformed("collName is missing"));
                }
                ClientBody::Begin(WatchRequest {
                    collection: data.coll_name,
                    query: data.query.unwrap_or_default(),
                    order: WatchRequest::read_order(&data.order_by)?,
                    limit: data.limit.map(limit).transpose()?,
                })
            }
            "REBUILD_WATCH" => {
                let RebuildData { query_id, event_id } = data(self.msg_data)?;
                if !(0..=MOST_EVENT).contains(&event_id) {
                    return Err(malformed("eventID must be the number of an event"));
                }
                ClientBody::Rebuild {
                    query: QueryId::read(&query_id)?,
                    id: query_id,
                    event: event_id,
                }
            }
            "CHECK_LAST" => ClientBody::Check,
            "CLOSE_WATCH" => ClientBody::Close,
            "PING" => ClientBody::Ping,
            other => {
                return Err(malformed(format!(
                    "msgType {other:?} is none of LOGIN, INIT_WATCH, REBUILD_WATCH, CHECK_LAST, CLOSE_WATCH, PING"
                )));
            }
        })
    }
}

fn data<'a, T: Deserialize<'a>>(data: Option<&'a RawValue>) -> Result<T, WatchRefusal> {
    read(data.ok_or_else(|| malformed("msgData is missing"))?)
}

fn read<'a, T: Deserialize<'a>>(data: &'a RawValue) -> Result<T, WatchRefusal> {
    serde_json::from_str(data.get()).map_err(|error| malformed(error.to_string()))
}

fn limit(limit: f64) -> Result<usize, WatchRefusal> {
    if limit.fract() != 0.0 || limit < 1.0 {
        return Err(malformed("limit must be an integer of at least 1"));
    }
    Ok((limit as usize).min(MOST_DOCUMENTS))
}

fn malformed(why: impl Into<String>) -> WatchRefusal {
    WatchRefusal::Malformed(why.into())
}

/// `LOGIN_RES`: the client is let in.
#[must_use]
pub fn logged_in(request_id: &str, env_id: &str) -> Vec<u8> {
    let mut out = opening("", request_id, "LOGIN_RES");
    out.extend_from_slice(b"{\"envId\":");
    json::write_string(&mut out, env_id);
    out.extend_from_slice(b"}}");
    out
}

/// `PONG`: somebody is there.
#[must_use]
pub fn pong(request_id: &str) -> Vec<u8> {
    let mut out = opening("", request_id, "PONG");
    out.extend_from_slice(b"null}");
    out
}

/// `ERROR`. A refused `LOGIN` is answered by `LOGIN_RES` with the same in it, where `is_login` says so.
#[must_use]
pub fn refused(watch_id: &str, request_id: &str, refusal: &WatchRefusal, is_login: bool) -> Vec<u8> {
    let kind = if is_login { "LOGIN_RES" } else { "ERROR" };
    let mut out = opening(watch_id, request_id, kind);
    out.extend_from_slice(b"{\"code\":");
    json::write_string(&mut out, refusal.code());
    out.extend_from_slice(b",\"message\":");
    json::write_string(&mut out, &refusal.to_string());
    out.extend_from_slice(b"}}");
    out
}

/// What a message with events begins with: `INIT_EVENT` where the watch begins, `NEXT_EVENT` otherwise, with the request that it answers;
/// behind it goes an [`events_tail`].
#[must_use]
pub fn events_head(watch_id: &str, request_id: &str, begins: bool, query_id: &str) -> Vec<u8> {
    let kind = if begins { "INIT_EVENT" } else { "NEXT_EVENT" };
    let mut out = opening(watch_id, request_id, kind);
    out.extend_from_slice(b"{\"queryID\":");
    json::write_string(&mut out, query_id);
    out
}

/// What follows an [`events_head`], which is the same for all watchers of a query: the number of the last events, and the events.
/// `offset` is added to all numbers.
#[must_use]
pub fn events_tail<'a>(last: i64, batches: impl IntoIterator<Item = &'a EventBatch>, offset: i64) -> Vec<u8> {
    let mut out = format!(",\"currEvent\":{},\"events\":[", last + offset).into_bytes();
    for (place, batch) in batches.into_iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        batch.write(&mut out, offset);
    }
    out.extend_from_slice(b"]}}");
    out
}

/// `CHECK_EVENT`: the number of the last events.
#[must_use]
pub fn checked(watch_id: &str, request_id: &str, query_id: &str, last: i64) -> Vec<u8> {
    let mut out = opening(watch_id, request_id, "CHECK_EVENT");
    out.extend_from_slice(b"{\"queryID\":");
    json::write_string(&mut out, query_id);
    out.extend_from_slice(format!(",\"currEvent\":{last}}}}}").as_bytes());
    out
}

/// Up to `msgData`, which follows.
fn opening(watch_id: &str, request_id: &str, kind: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.push(b'{');
    if !watch_id.is_empty() {
        out.extend_from_slice(b"\"watchId\":");
        json::write_string(&mut out, watch_id);
        out.push(b',');
    }
    out.extend_from_slice(b"\"requestId\":");
    json::write_string(&mut out, request_id);
    out.extend_from_slice(b",\"msgType\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"msgData\":");
    out
}
