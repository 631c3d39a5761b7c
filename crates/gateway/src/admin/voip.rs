//! `cloud.getVoIPSign`: the signature with which a user joins a real-time voice room. WeChat makes it, by an API that the
//! SDK also offers as `openapi.cloudbase.getVoIPSign`; asked for in this way it needs no permission.

use openapi::{Pair, code};
use serde::Deserialize;
use tcb::protobuf::{CommOpenApiResp, VoipSignRequest, voip_sign_response};
use tcb::{Reply, codes, reply};

use super::Asked;
use super::open_api::{Failed, send};

const WHAT: &str = "getVoIPSign";
/// The API that makes it.
const API: &str = "cloudbase.getVoIPSign";

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    errcode: i64,
    #[serde(default)]
    errmsg: String,
    signature: Option<String>,
}

/// Answers `cloud.getVoIPSign`.
pub(super) async fn sign(asked: &Asked<'_>, message: &[u8]) -> Reply {
    let request = match VoipSignRequest::decode(message) {
        Ok(request) => request,
        Err(error) => return reply::failure(asked.request_id, codes::INVALID_PARAM, &error.to_string()),
    };
    match ask(asked, &request).await {
        Ok(signature) => {
            asked.record(WHAT.to_owned(), 0, "");
            reply::message(&CommOpenApiResp::svrkit(voip_sign_response(&signature)))
        }
        Err(Failed::Params(text)) => reply::failure(asked.request_id, codes::INVALID_PARAM, &text),
        Err(Failed::Platform(code, why)) => {
            asked.refused(WHAT, code, &why);
            reply::message(&CommOpenApiResp::error(code))
        }
    }
}

async fn ask(asked: &Asked<'_>, request: &VoipSignRequest<'_>) -> Result<String, Failed> {
    let failed = |why: &str| Failed::Platform(code::SYSTEM_ERROR, why.to_owned());
    if asked.invocation.openid().is_none() {
        let why = "a user joins a room, and the function was called for none";
        return Err(Failed::Platform(code::ILLEGAL_SOURCE, why.to_owned()));
    }
    let api = openapi::find(API).ok_or_else(|| failed("the catalogue has no such API"))?;
    let text = |text: &str| serde_json::json!(text).to_string();
    let [group_id, timestamp, nonce] = [
        text(request.group_id),
        request.timestamp.to_string(),
        text(request.nonce),
    ];
    let params = [
        ("group_id", &group_id),
        ("timestamp", &timestamp),
        ("nonce", &nonce),
    ];
    let pairs = params.map(|(key, value)| Pair {
        key,
        value: value.as_bytes(),
        filename: None,
    });
    let answer = send(asked, api, &asked.inner.wechat, &pairs).await?;
    let answer: Answer = serde_json::from_slice(&answer.body)
        .map_err(|error| failed(&format!("WeChat's answer cannot be read: {error}")))?;
    match answer.signature {
        Some(signature) if answer.errcode == 0 => Ok(signature),
        _ => Err(failed(&format!(
            "WeChat refused: {} {}",
            answer.errcode, answer.errmsg
        ))),
    }
}
