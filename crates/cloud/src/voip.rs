//! `cloud.getVoIPSign`: the signature with which a user joins a real-time voice room. WeChat makes it, by an API that the
//! SDK also offers as `openapi.cloudbase.getVoIPSign`; asked for in this way it needs no permission.

use std::sync::Arc;

use openapi::{ApiParam, code};
use serde::Deserialize;
use tcb::{
    Action, SdkRequest, VOIP_SERVICE,
    protobuf::{ApiData, CommOpenApiResp, VoipSignRequest, voip_sign_response},
    reply,
};
use wording::{Wording, wording};

use crate::{
    Answering, Capability, CloudRequest, Proof,
    capability::at_once,
    open_api::{ApiFailure, WeChatApis, make_request},
};

const WHAT: &str = "getVoIPSign";
/// The API that makes it.
const API: &str = "cloudbase.getVoIPSign";

#[derive(Deserialize)]
struct VoipAnswer {
    #[serde(default)]
    errcode: i64,
    #[serde(default)]
    errmsg: String,
    signature: Option<String>,
}

/// Has WeChat make the signature.
pub(crate) struct VoipSign(pub(crate) Arc<WeChatApis>);

impl Capability for VoipSign {
    fn proof(&self, action: &Action<'_>) -> Option<Proof> {
        (*action == Action::Service(VOIP_SERVICE)).then_some(Proof::Call)
    }

    fn answer(&self, request: &SdkRequest<'_>, mut asked: CloudRequest) -> Answering {
        let Some(ApiData::Svrkit(service)) = request.message.as_ref().map(|message| &message.data) else {
            return at_once(asked.malformed("requestData asks for no signature"));
        };
        let made = match VoipSignRequest::decode(service.req_data) {
            Ok(request) => make(&asked, &request),
            Err(error) => Err(ApiFailure::Params(error.to_string())),
        };
        let apis = Arc::clone(&self.0);
        Box::pin(async move {
            let signed = match made {
                Ok(request) => sign(&apis, &mut asked, request).await,
                Err(failed) => Err(failed),
            };
            let reply = match signed {
                Ok(signature) => {
                    asked.record(WHAT, 0, "");
                    reply::message(&CommOpenApiResp::svrkit(voip_sign_response(&signature)))
                }
                Err(ApiFailure::Params(text)) => asked.malformed(&text),
                Err(ApiFailure::Platform(code, why)) => {
                    asked.refused(WHAT, code, code::text(code).unwrap_or_default(), &why);
                    reply::message(&CommOpenApiResp::error(code))
                }
            };
            reply.into()
        })
    }
}

/// The API and its request.
type SignRequest = (&'static openapi::Api, openapi::ApiRequest);

fn failed(why: &str) -> ApiFailure {
    ApiFailure::Platform(code::SYSTEM_ERROR, Wording::as_is(why))
}

fn make(asked: &CloudRequest, request: &VoipSignRequest<'_>) -> Result<SignRequest, ApiFailure> {
    if asked.openid().is_none() {
        let why = wording!(
            "a user joins a room, and the function was called for none",
            "加入房间的是用户，而这次调用没有用户"
        );
        return Err(ApiFailure::Platform(code::ILLEGAL_SOURCE, why));
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
    let pairs = params.map(|(key, value)| ApiParam {
        key,
        value: value.as_bytes(),
        filename: None,
    });
    Ok((api, make_request(api, &pairs)?))
}

async fn sign(
    apis: &WeChatApis,
    asked: &mut CloudRequest,
    (api, request): SignRequest,
) -> Result<String, ApiFailure> {
    let answer = apis.send(asked, api, &apis.wechat, request).await?;
    let answer: VoipAnswer = serde_json::from_slice(&answer.body)
        .map_err(|error| failed(&format!("WeChat's answer cannot be read: {error}")))?;
    match answer.signature {
        Some(signature) if answer.errcode == 0 => Ok(signature),
        _ => Err(failed(&format!(
            "WeChat refused: {} {}",
            answer.errcode, answer.errmsg
        ))),
    }
}
