//! Refused calls, found by their rid. The text of a refusal ends in a rid, and `/cgi-bin/openapi/rid/get` tells what the
//! call had asked for (WeChat's document "查询rid信息").

use std::time::Duration;

use clock::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    Simulator,
    recent::Recent,
    server::{
        ApiCall,
        errors::{ApiRefusal, ErrorBody},
    },
};

/// How long a rid can be looked up.
const LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How much is kept of what was asked, in bytes: a choice.
const LONGEST: usize = 2048;

/// Those of late.
#[derive(Debug, Default)]
pub(crate) struct Rids(Recent<Trace>);

/// One refused call.
#[derive(Debug)]
pub(crate) struct Trace {
    appid: String,
    at: Timestamp,
    request: RefusedCall,
}

/// What the API tells of it, as the document's sample has it.
#[derive(Clone, Debug, Serialize)]
struct RefusedCall {
    invoke_time: u64,
    cost_in_ms: u64,
    /// The query.
    request_url: String,
    request_body: String,
    response_body: String,
    client_ip: String,
}

impl Trace {
    /// A call that was refused with `answer`, on behalf of the app of this appid.
    pub(crate) fn new(appid: &str, ask: &ApiCall, answer: &ErrorBody, now: Timestamp) -> Self {
        let cost = ask.began.elapsed().as_millis();
        let request = RefusedCall {
            invoke_time: now.secs(),
            cost_in_ms: u64::try_from(cost).unwrap_or(u64::MAX),
            request_url: masked(ask.uri.query().unwrap_or("")),
            request_body: body(ask),
            response_body: json!(answer).to_string(),
            client_ip: ask.from.map_or_else(String::new, |from| from.to_string()),
        };
        Self {
            appid: appid.to_owned(),
            at: now,
            request,
        }
    }
}

/// A query whose secrets are cut short: `access_token=50_Im7xxxx` in the document's sample.
fn masked(query: &str) -> String {
    let query = cut(query);
    let parts = query.split('&').map(|part| match part.split_once('=') {
        Some((name @ ("access_token" | "secret"), text)) => {
            let shown: String = text.chars().take(6).collect();
            format!("{name}={shown}xxxx")
        }
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("&")
}

/// The body, if it is text and has no AppSecret in it.
fn body(ask: &ApiCall) -> String {
    let secret = [
        "/cgi-bin/token",
        "/cgi-bin/stable_token",
        "/cgi-bin/clear_quota/v2",
    ];
    match str::from_utf8(&ask.body) {
        Ok(text) if !secret.contains(&ask.uri.path()) => cut(text).to_owned(),
        _ => String::new(),
    }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

impl Rids {
    pub(crate) fn put(&mut self, rid: String, trace: Trace) {
        self.0.put(rid, trace);
    }

    fn get(&self, rid: &str, appid: &str, now: Timestamp) -> Result<&RefusedCall, ApiRefusal> {
        if !is_rid(rid) {
            return Err(ApiRefusal::RidMalformed);
        }
        let trace = self.0.get(rid).ok_or(ApiRefusal::RidNotFound)?;
        if trace.appid != appid {
            return Err(ApiRefusal::RidForeign);
        }
        if now.saturating_since(trace.at) > LIFE {
            return Err(ApiRefusal::RidExpired);
        }
        Ok(&trace.request)
    }
}

/// Three groups of eight hex digits.
fn is_rid(text: &str) -> bool {
    let group = |group: &str| group.len() == 8 && group.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split('-').count() == 3 && text.split('-').all(group)
}

/// `POST /cgi-bin/openapi/rid/get`
pub(crate) fn get(sim: &Simulator, appid: &str, params: &Map<String, Value>) -> Result<Value, ApiRefusal> {
    let rid = params.get("rid").and_then(Value::as_str).unwrap_or("");
    let world = sim.world();
    let request = world.rids.get(rid, appid, sim.now())?;
    Ok(json!({ "errcode": 0, "errmsg": "ok", "request": request }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rid_is_three_groups_of_hex() {
        for (text, is) in [
            ("61725984-6126f6f9-040f19c4", true),
            ("61725984-6126f6f9", false),
            ("61725984-6126f6f9-040f19c4-00000000", false),
            ("61725984-6126f6f9-040f19cg", false),
            ("", false),
        ] {
            assert_eq!(is_rid(text), is, "{text}");
        }
    }

    #[test]
    fn secrets_are_masked_and_long_texts_cut_between_characters() {
        assert_eq!(
            masked("openid=oA&access_token=50_Im7abcdef&secret=5f1c7a0e"),
            "openid=oA&access_token=50_Im7xxxx&secret=5f1c7axxxx"
        );
        assert_eq!(cut(&"云".repeat(1000)).len(), 2046);
    }
}
