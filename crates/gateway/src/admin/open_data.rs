//! Open data asked for from inside a function: `cloud.getOpenData({list})`, and `openapi.cloudbase.getOpenData`, which is an
//! API like any other but for our own tickets in its list: WeChat does not know those.

use std::borrow::Cow;

use bytes::Bytes;
use calls::{Exchange, shown};
use openapi::{Api, Pair, code};
use opendata::{CloudId, Item as OpenDataItem, Tickets};
use serde::Deserialize;
use serde_json::value::RawValue;
use tcb::Reply;
use tcb::protobuf::{CommOpenApiResp, OpenDataRequest, OpenDataResponse};
use tcb::{codes, reply};

use super::Asked;
use super::open_api::{Answer, Failed, send};
use crate::redeem;

/// The API's name.
const API: &str = "cloudbase.getOpenData";
/// Its params.
const LIST: &str = "cloudid_list";
const OPENID: &str = "openid";

/// Answers `cloud.getOpenData`. What is wrong with one id stands in its item; the call succeeds.
pub(super) async fn get(asked: &Asked<'_>, appid: Option<&str>, message: &[u8]) -> Reply {
    const WHAT: &str = "getOpenData";
    let request = match OpenDataRequest::decode(message) {
        Ok(request) => request,
        Err(error) => {
            return reply::failure(asked.request_id, codes::INVALID_PARAM, &error.to_string());
        }
    };
    let refuse = |code: i32, why: &str| {
        asked.refused(WHAT, code, why);
        reply::message(&CommOpenApiResp::error(code))
    };
    let Some(openid) = asked.invocation.openid() else {
        return refuse(
            code::ILLEGAL_SOURCE,
            "open data is a user's, and the function was called for none",
        );
    };
    // Tickets and the user's openid are this Mini Program's.
    if appid.is_some_and(|appid| appid != asked.inner.appid) {
        return refuse(
            code::NO_PERMISSION,
            "open data of another appid's users cannot be redeemed here",
        );
    }
    let raw: Vec<String> = request.cloud_ids.iter().map(|id| literal(id)).collect();
    let ids: Vec<CloudId<'_>> = request
        .cloud_ids
        .iter()
        .zip(&raw)
        .map(|(text, raw)| CloudId {
            raw,
            text: Some(text),
        })
        .collect();
    let request_id = &asked.invocation.request_id;
    let items = redeem::redeem(asked.inner, request_id, openid, &ids).await;
    asked.keep(|| Exchange {
        request: shown("", format!("[{}]", raw.join(",")).as_bytes()),
        answer: shown(
            "",
            &items
                .iter()
                .map(OpenDataItem::as_json)
                .collect::<Vec<_>>()
                .join(&b'\n'),
        ),
    });
    let mut response = OpenDataResponse::default();
    for (id, item) in request.cloud_ids.iter().zip(&items) {
        response.push(id, &String::from_utf8_lossy(item.as_json()));
    }
    asked.record(WHAT.to_owned(), 0, "");
    reply::message(&CommOpenApiResp::svrkit(response.encode()))
}

/// A list with tickets of ours in it.
pub(super) struct WithTickets<'a> {
    ids: Vec<Cow<'a, str>>,
    openid: String,
}

/// What WeChat answers about the rest of the list.
#[derive(Deserialize)]
struct Told<'a> {
    #[serde(default)]
    errcode: i64,
    #[serde(borrow, default)]
    data_list: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    cloud_id: Cow<'a, str>,
}

/// The list of such a call, if there are tickets in it; everything else is WeChat's to judge.
pub(super) fn tickets<'a>(asked: &Asked<'_>, api: &Api, pairs: &[Pair<'a>]) -> Option<WithTickets<'a>> {
    if api.name != API {
        return None;
    }
    let list = std::str::from_utf8(value(pairs, LIST)?).ok()?;
    let ids = json::array_of_strings(list, usize::MAX).ok()?;
    if !ids.iter().any(|id| Tickets::is_ticket(id)) {
        return None;
    }
    let given = value(pairs, OPENID).and_then(|raw| serde_json::from_slice(raw).ok());
    let openid = given.or_else(|| asked.invocation.openid().map(str::to_owned))?;
    Some(WithTickets { ids, openid })
}

fn value<'a>(pairs: &[Pair<'a>], key: &str) -> Option<&'a [u8]> {
    pairs.iter().find(|pair| pair.key == key).map(|pair| pair.value)
}

impl WithTickets<'_> {
    /// Redeems the tickets here and has WeChat redeem the rest, in one answer of WeChat's shape.
    pub(super) async fn ask(
        &self,
        asked: &Asked<'_>,
        api: &'static Api,
        wechat: &wechat::Client,
        pairs: &[Pair<'_>],
    ) -> Result<Answer, Failed> {
        let rest: Vec<&str> = self
            .ids
            .iter()
            .map(AsRef::as_ref)
            .filter(|id| !Tickets::is_ticket(id))
            .collect();
        if rest.is_empty() {
            return Ok(self.merge(asked, &[]));
        }
        let list = serde_json::json!(rest).to_string();
        let pairs: Vec<Pair<'_>> = pairs
            .iter()
            .map(|pair| match pair.key {
                LIST => Pair {
                    value: list.as_bytes(),
                    ..*pair
                },
                _ => *pair,
            })
            .collect();
        let answer = send(asked, api, wechat, &pairs).await?;
        Ok(match serde_json::from_slice::<Told<'_>>(&answer.body) {
            Ok(told) if told.errcode == 0 => self.merge(asked, &told.data_list),
            // Refused as a whole, or no answer of this API's: the function should see it.
            _ => answer,
        })
    }

    fn merge(&self, asked: &Asked<'_>, items: &[&RawValue]) -> Answer {
        let mut body = br#"{"errcode":0,"errmsg":"ok","data_list":["#.to_vec();
        let mut first = true;
        for id in &self.ids {
            let mut own = Vec::new();
            let item = match Tickets::is_ticket(id) {
                true => {
                    let raw = literal(id);
                    let now = asked.inner.clock.now();
                    let item = OpenDataItem::of_ticket(&asked.inner.tickets, &self.openid, now, &raw, id);
                    own.extend_from_slice(b"{\"cloud_id\":");
                    own.extend_from_slice(raw.as_bytes());
                    own.extend_from_slice(b",\"json\":");
                    json::write_string(&mut own, &String::from_utf8_lossy(item.as_json()));
                    own.push(b'}');
                    own.as_slice()
                }
                false => match items.iter().find(|item| is_of(item, id)) {
                    Some(item) => item.get().as_bytes(),
                    None => continue,
                },
            };
            if !std::mem::take(&mut first) {
                body.push(b',');
            }
            body.extend_from_slice(item);
        }
        body.extend_from_slice(b"]}");
        Answer {
            content_type: "application/json".to_owned(),
            body: Bytes::from(body),
        }
    }
}

fn is_of(item: &RawValue, id: &str) -> bool {
    serde_json::from_str::<Item<'_>>(item.get()).is_ok_and(|item| item.cloud_id == id)
}

/// A JSON string literal.
fn literal(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    json::write_string(&mut out, text);
    String::from_utf8_lossy(&out).into_owned()
}
