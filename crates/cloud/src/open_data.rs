//! Open data asked for from inside a function: `cloud.getOpenData({list})`. And what `openapi.cloudbase.getOpenData` needs, which is
//! an API like any other but for our own tickets in its list: WeChat does not know those.

use std::borrow::Cow;

use calls::shown;
use openapi::{Api, ApiParam, code};
use opendata::{CloudId, MixedList, OpenDataItem};
use tcb::{
    Action, OPEN_DATA_SERVICE, SdkRequest,
    protobuf::{ApiData, CommOpenApiResp, OpenDataRequest, OpenDataResponse},
    reply,
};
use wording::{Wording, wording};

use crate::{Answering, Capability, CloudRequest, Proof, Redeemer, capability::at_once};

/// What the record of a call says.
const WHAT: &str = "getOpenData";
/// The API's name.
const API: &str = "cloudbase.getOpenData";
/// Its params.
const LIST: &str = "cloudid_list";
const OPENID: &str = "openid";

/// Exchanges the cloudIDs of a list. What is wrong with one id stands in its item; the call succeeds.
pub(crate) struct OpenData(pub(crate) Redeemer);

impl Capability for OpenData {
    fn proof(&self, action: &Action<'_>) -> Option<Proof> {
        (*action == Action::Service(OPEN_DATA_SERVICE)).then_some(Proof::Call)
    }

    fn answer(&self, request: &SdkRequest<'_>, mut asked: CloudRequest) -> Answering {
        let Some(call) = asked.call().cloned() else {
            return at_once(asked.without_call());
        };
        let Some((message, ApiData::Svrkit(service))) =
            request.message.as_ref().map(|message| (message, &message.data))
        else {
            return at_once(asked.malformed("requestData asks for no open data"));
        };
        let list = match OpenDataRequest::decode(service.req_data) {
            Ok(list) => list,
            Err(error) => return at_once(asked.malformed(&error.to_string())),
        };
        let mut refuse = |code: i32, why: &Wording| {
            asked.refused(WHAT, code, code::text(code).unwrap_or_default(), why);
            at_once(reply::message(&CommOpenApiResp::error(code)))
        };
        let Some(openid) = call.openid() else {
            return refuse(
                code::ILLEGAL_SOURCE,
                &wording!(
                    "open data is a user's, and the function was called for none",
                    "开放数据属于用户，而这次调用没有用户"
                ),
            );
        };
        // Tickets and the user's openid are this Mini Program's.
        if message.appid.is_some_and(|appid| appid != self.0.appid()) {
            return refuse(
                code::NO_PERMISSION,
                &wording!(
                    "open data of another appid's users cannot be redeemed here",
                    "这里不能换取另一个 appid 的用户的开放数据"
                ),
            );
        }
        let (redeemer, openid) = (self.0.clone(), openid.to_owned());
        let ids: Vec<(String, String)> = list
            .cloud_ids
            .iter()
            .map(|id| (literal(id), (*id).to_owned()))
            .collect();
        Box::pin(async move {
            let of_user: Vec<CloudId<'_>> = ids.iter().map(cloud_id).collect();
            let items = redeemer.redeem(&call.request_id, &openid, &of_user).await;
            if asked.keeps() {
                let sent: Vec<&str> = ids.iter().map(|(raw, _)| raw.as_str()).collect();
                let answered: Vec<&[u8]> = items.iter().map(OpenDataItem::as_json).collect();
                asked.keep(
                    shown("", format!("[{}]", sent.join(",")).as_bytes()),
                    shown("", &answered.join(&b'\n')),
                );
            }
            let mut response = OpenDataResponse::default();
            for ((_, id), item) in ids.iter().zip(&items) {
                response.push(id, &String::from_utf8_lossy(item.as_json()));
            }
            asked.record(WHAT, 0, "");
            reply::message(&CommOpenApiResp::svrkit(response.encode())).into()
        })
    }
}

fn cloud_id((raw, text): &(String, String)) -> CloudId<'_> {
    CloudId {
        raw,
        text: Some(text),
    }
}

/// The list of a call of [`API`] that has tickets of ours in it, and the user whose they are said to be.
pub(crate) fn mixed_list(
    api: &Api,
    pairs: &[ApiParam<'_>],
    openid: Option<&str>,
) -> Option<(MixedList, String)> {
    if api.name != API {
        return None;
    }
    let value = |key: &str| pairs.iter().find(|pair| pair.key == key).map(|pair| pair.value);
    let list = MixedList::read(value(LIST)?)?;
    let given = value(OPENID)
        .and_then(|raw| std::str::from_utf8(raw).ok())
        .and_then(json::unescape);
    let openid = given.map(Cow::into_owned).or_else(|| openid.map(str::to_owned))?;
    Some((list, openid))
}

/// The same params, with another list.
pub(crate) fn with_list<'a>(pairs: &[ApiParam<'a>], list: &'a [u8]) -> Vec<ApiParam<'a>> {
    let pairs = pairs.iter().map(|pair| match pair.key {
        LIST => ApiParam { value: list, ..*pair },
        _ => *pair,
    });
    pairs.collect()
}

/// A JSON string literal.
fn literal(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    json::write_string(&mut out, text);
    String::from_utf8_lossy(&out).into_owned()
}
