//! `cloud.openapi.*` and `cloud.callOpenAPI`: an API of WeChat's, called without an access_token in sight.
//!
//! The order in which a call is judged is a choice, for WeChat documents none: is there such an API, may this function
//! call it, may it be called on behalf of what called the function, is the account ours. Why it is refused is told to
//! the function as a number, and to the operator in a sentence that ends with the mend.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use calls::{Calls, Invocation, shown};
use clock::Clock;
use openapi::{Api, ApiParam, ApiRequest, Boundary, Identity, JsonParams, Method, code};
use opendata::MixedList;
use tcb::{
    Action, CALL_OPEN_API, SdkReply, SdkRequest, codes,
    protobuf::{ApiData, CommOpenApiResp, KeyValuePair},
    reply,
};
use wechat::{ApiAnswer, OutgoingRequest, WeChatClient};
use wording::{Wording, wording};

use crate::{
    Answering, Capability, CloudRequest, Proof, Redeemer, SessionKeys, capability::at_once, open_data,
    permissions::Permissions,
};

/// The longest that one cloud call may take, WeChat's pauses and retries included. The SDK itself gives up after 15 s.
const WITHIN: Duration = Duration::from_secs(12);
/// So long before the end of its call a function is told that WeChat did not answer, to be able to say so itself.
const AHEAD: Duration = Duration::from_millis(100);

/// Calls APIs by name.
pub(crate) struct OpenApi(pub(crate) Arc<WeChatApis>);

/// WeChat's APIs, as functions may call them.
pub(crate) struct WeChatApis {
    pub(crate) calls: Calls,
    pub(crate) wechat: WeChatClient,
    pub(crate) apps: BTreeMap<String, WeChatClient>,
    pub(crate) permissions: Permissions,
    pub(crate) clock: Clock,
    pub(crate) session_keys: Arc<dyn SessionKeys>,
    pub(crate) redeemer: Redeemer,
}

/// An answer that WeChat gave.
pub(crate) struct WeChatAnswer {
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

/// Why there is none.
#[derive(Debug)]
pub(crate) enum ApiFailure {
    /// The cloud's own code, -6041xx, with a sentence for the operator.
    Platform(i32, Wording),
    /// The params are not what an SDK sends.
    Params(String),
}

/// A call that may be made.
struct PermittedCall {
    api: &'static Api,
    /// In whose name.
    client: WeChatClient,
    /// What is to be sent; nothing where all that is asked for is known here.
    request: Option<ApiRequest>,
    /// The list of cloudIDs, where there are tickets of ours in it, and whose they are.
    mixed: Option<(MixedList, String)>,
}

impl Capability for OpenApi {
    fn proof(&self, action: &Action<'_>) -> Option<Proof> {
        matches!(action, Action::OpenApi | Action::Named(CALL_OPEN_API)).then_some(Proof::Call)
    }

    fn answer(&self, request: &SdkRequest<'_>, asked: CloudRequest) -> Answering {
        let Some(call) = asked.call().cloned() else {
            return at_once(asked.without_call());
        };
        let name = request.envelope.api_name().unwrap_or_default();
        let apis = Arc::clone(&self.0);
        match &request.message {
            Some(message) => {
                let ApiData::OpenApi(pairs) = &message.data else {
                    return at_once(asked.malformed("requestData asks for another thing than an API"));
                };
                let pairs: Vec<ApiParam<'_>> = pairs.iter().map(pair).collect();
                let permitted = apis.permit(&call, name, message.appid, &pairs);
                answer(apis, asked, name, permitted, message_reply)
            }
            None => {
                let text = request.envelope.request_text().unwrap_or("{}");
                let params = match JsonParams::parse(text) {
                    Ok(params) => params,
                    Err(error) => {
                        let why = format!("requestData is not a JSON object: {error}");
                        return at_once(asked.malformed(&why));
                    }
                };
                let permitted = apis.permit(&call, name, None, &params.pairs());
                answer(apis, asked, name, permitted, text_reply)
            }
        }
    }
}

/// Makes the call, if it may be made, and enters what it came to.
fn answer(
    apis: Arc<WeChatApis>,
    mut asked: CloudRequest,
    name: &str,
    permitted: Result<PermittedCall, ApiFailure>,
    write: fn(&CloudRequest, Result<WeChatAnswer, i32>) -> SdkReply,
) -> Answering {
    let what = format!("openapi.{name}");
    Box::pin(async move {
        let answered = match permitted {
            Ok(permitted) => apis.make(&mut asked, permitted).await,
            Err(failed) => Err(failed),
        };
        let reply = match answered {
            Ok((api, answer)) => {
                let said = api.reply(Some(&answer.content_type), &answer.body);
                asked.record(what, said.errcode, said.errmsg);
                write(&asked, Ok(answer))
            }
            Err(ApiFailure::Platform(code, why)) => {
                asked.refused(&what, code, code::text(code).unwrap_or_default(), &why);
                write(&asked, Err(code))
            }
            Err(ApiFailure::Params(text)) => {
                asked.record(what, codes::INVALID_PARAM, text.as_str());
                asked.malformed(&text)
            }
        };
        reply.into()
    })
}

/// The answer to `cloud.openapi`.
fn message_reply(_: &CloudRequest, answer: Result<WeChatAnswer, i32>) -> SdkReply {
    reply::message(&match answer {
        Ok(answer) => CommOpenApiResp::new(answer.content_type, answer.body.into()),
        Err(code) => CommOpenApiResp::error(code),
    })
}

/// The answer to `cloud.callOpenAPI`. The SDK hands the text of the answer on as it is, an errcode in it too, and has no way to
/// say a code of the cloud's own; so such a code is given as if WeChat had.
fn text_reply(asked: &CloudRequest, answer: Result<WeChatAnswer, i32>) -> SdkReply {
    match answer {
        Ok(answer) => reply::called(asked.request_id(), &String::from_utf8_lossy(&answer.body)),
        Err(code) => {
            let text = code::text(code).unwrap_or_default();
            let refusal = serde_json::json!({ "errcode": code, "errmsg": text });
            reply::called(asked.request_id(), &refusal.to_string())
        }
    }
}

fn pair<'a>(pair: &KeyValuePair<'a>) -> ApiParam<'a> {
    ApiParam {
        key: pair.key,
        value: pair.value,
        filename: Some(pair.filename).filter(|name| !name.is_empty()),
    }
}

impl WeChatApis {
    /// Judges a call, and makes the request of its params.
    fn permit(
        &self,
        call: &Arc<Invocation>,
        name: &str,
        appid: Option<&str>,
        pairs: &[ApiParam<'_>],
    ) -> Result<PermittedCall, ApiFailure> {
        let api = self.permitted(call, name)?;
        let client = self.account(appid)?.clone();
        let mixed = open_data::mixed_list(api, pairs, call.openid());
        let request = match &mixed {
            None => Some(make_request(api, pairs)?),
            Some((list, _)) => match list.of_wechat() {
                None => None,
                Some(rest) => Some(make_request(api, &open_data::with_list(pairs, &rest))?),
            },
        };
        Ok(PermittedCall {
            api,
            client,
            request,
            mixed,
        })
    }

    /// The API of this name, if it is there and the function that asks may call it.
    fn permitted(&self, call: &Arc<Invocation>, name: &str) -> Result<&'static Api, ApiFailure> {
        let refused = |code, why| Err(ApiFailure::Platform(code, why));
        let Some(api) = openapi::find(name) else {
            let why = match openapi::nearest(name).map(|api| api.name) {
                Some(near) => wording!(
                    "there is no such API, did you mean {near}?",
                    "没有这个接口，是不是想写 {near}？"
                ),
                None => wording!("there is no such API", "没有这个接口"),
            };
            return refused(code::API_NOT_FOUND, why);
        };
        if !api.is_callable() {
            let path = api.path;
            let why = wording!(
                "the API has no cloud call; it can be called over HTTPS only, at {path}",
                "这个接口不支持云调用，只能通过 HTTPS 调用：{path}"
            );
            return refused(code::API_NOT_FOUND, why);
        }
        let sites = self.calls.sites();
        if !self
            .permissions
            .allow(sites, &call.site, api.name, self.clock.now())
        {
            let why = self.permissions.why_not(sites, &call.site, api);
            return refused(code::NO_PERMISSION, why);
        }
        let source = &call.caller.source;
        if !source.may_call_cloud() {
            let why = wording!(
                "no cloud calls can be made where the function was called by {source}",
                "云函数由 {source} 调用时不能使用云调用"
            );
            return refused(code::ILLEGAL_SOURCE, why);
        }
        Ok(api)
    }

    /// The client of the account in whose name an API is called: the Mini Program itself, or another that the operator
    /// has given the AppSecret of.
    fn account(&self, appid: Option<&str>) -> Result<&WeChatClient, ApiFailure> {
        match appid {
            None => Ok(&self.wechat),
            Some(appid) if appid == self.wechat.appid() => Ok(&self.wechat),
            Some(appid) => self.apps.get(appid).ok_or_else(|| {
                let why = wording!(
                    "the AppSecret of {appid} is not known: name the file that holds it, as `secret_file` in \
                     [apps.{appid}] of yunqiao.toml",
                    "没有 {appid} 的 AppSecret：请在 yunqiao.toml 的 [apps.{appid}] 中用 `secret_file` 指定存放它的文件"
                );
                ApiFailure::Platform(code::NO_PERMISSION, why)
            }),
        }
    }

    async fn make(
        &self,
        asked: &mut CloudRequest,
        permitted: PermittedCall,
    ) -> Result<(&'static Api, WeChatAnswer), ApiFailure> {
        let PermittedCall {
            api,
            client,
            request,
            mixed,
        } = permitted;
        let said = match request {
            Some(request) => Some(self.send(asked, api, &client, request).await?),
            None => None,
        };
        let Some((list, openid)) = mixed else {
            let nothing = || ApiFailure::Params("there is nothing to ask".to_owned());
            return Ok((api, said.ok_or_else(nothing)?));
        };
        let body = said.as_ref().map(|said| &*said.body);
        let merged = list.merge(self.redeemer.tickets(), &openid, self.clock.now(), body);
        let answer = match (merged, said) {
            (Some(body), _) => WeChatAnswer {
                content_type: "application/json".to_owned(),
                body: body.into(),
            },
            (None, Some(said)) => said,
            (None, None) => return Err(ApiFailure::Params("there is nothing to ask".to_owned())),
        };
        Ok((api, answer))
    }

    /// Adds who asks where the API wants to know, and sends the request.
    pub(crate) async fn send(
        &self,
        asked: &mut CloudRequest,
        api: &'static Api,
        client: &WeChatClient,
        mut request: ApiRequest,
    ) -> Result<WeChatAnswer, ApiFailure> {
        // Another app knows this one's users by other openids.
        if client.appid() == self.wechat.appid() {
            self.identify(asked, api, &mut request).await?;
        }
        let within = match asked.left() {
            Some(left) => left.saturating_sub(AHEAD).min(WITHIN),
            None => WITHIN,
        };
        let body = Bytes::from(request.body.take());
        let sent = asked.keeps().then(|| shown_request(&request, &body));
        let called = client
            .call(&OutgoingRequest::of(api.name, &request, body), within)
            .await;
        let ApiAnswer {
            status,
            content_type,
            body,
            ..
        } = called.map_err(|error| match error.is_timeout() {
            true => ApiFailure::Platform(code::TIMEOUT, Wording::as_is(error)),
            false => ApiFailure::Platform(code::SYSTEM_ERROR, Wording::as_is(error)),
        })?;
        if let Some(sent) = sent {
            asked.keep(sent, shown(content_type.as_deref().unwrap_or("no type"), &body));
        }
        if status != 200 {
            let path = api.path;
            let why = wording!(
                "WeChat answered with HTTP status {status} at {path}",
                "微信在 {path} 返回 HTTP {status}"
            );
            return Err(ApiFailure::Platform(code::SYSTEM_ERROR, why));
        }
        Ok(WeChatAnswer {
            content_type: api.reply(content_type.as_deref(), &body).content_type.to_owned(),
            body,
        })
    }

    /// Adds the calling user's `openid`, and the signature by the session_key, where the API wants them and the function gave
    /// none.
    async fn identify(
        &self,
        asked: &CloudRequest,
        api: &Api,
        request: &mut ApiRequest,
    ) -> Result<(), ApiFailure> {
        if api.identity == Identity::None {
            return Ok(());
        }
        if let Some(openid) = asked.openid() {
            request.identify(openid);
        }
        if api.identity != Identity::Signature || request.query_value("signature").is_some() {
            return Ok(());
        }
        let Some(openid) = request.query_value("openid") else {
            let why = wording!(
                "it is made in a user's session, and the function was called for no user and gives no openid",
                "它要在用户的会话中调用，而这次调用没有用户，也没有给出 openid"
            );
            return Err(ApiFailure::Platform(code::ILLEGAL_SOURCE, why));
        };
        let failed = |why| ApiFailure::Platform(code::SYSTEM_ERROR, why);
        let key = self.session_keys.session_key(openid).await;
        let key = key.map_err(|error| {
            failed(wording!(
                "the store could not be read: {error}",
                "无法读取存储：{error}"
            ))
        })?;
        let Some(key) = key else {
            let why = wording!(
                "it is signed with the user's session_key, and {openid} has not logged in here",
                "它要用用户的 session_key 签名，而 {openid} 没有在这里登录过"
            );
            return Err(failed(why));
        };
        request.sign(key.session_signature(request.body.bytes()));
        Ok(())
    }
}

/// The HTTPS request of these params.
pub(crate) fn make_request(api: &'static Api, pairs: &[ApiParam<'_>]) -> Result<ApiRequest, ApiFailure> {
    api.request(pairs, &Boundary::new(rand::random()))
        .map_err(|error| ApiFailure::Params(error.to_string()))
}

/// A request, to be read by a person.
fn shown_request(request: &ApiRequest, body: &[u8]) -> String {
    let method = match request.method {
        Method::Get => "GET",
        Method::Post => "POST",
    };
    let mut text = format!("{method} {}", request.path);
    for (at, (name, value)) in request.query.iter().enumerate() {
        let before = if at == 0 { '?' } else { '&' };
        text.extend([&before.to_string(), name, "=", value]);
    }
    if let Some(content_type) = request.body.content_type() {
        text.extend(["\n", &shown(content_type, body)]);
    }
    text
}
