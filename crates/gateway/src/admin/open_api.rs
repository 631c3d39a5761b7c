//! `cloud.openapi.*` and `cloud.callOpenAPI`: an API of WeChat's, called without an access_token in sight.
//!
//! The order in which a call is judged is a choice, for WeChat documents none: is there such an API, may this function
//! call it, may it be called on behalf of what called the function, is the account ours. What speaks against it is told to
//! the function as a number, and to the operator in a sentence that ends with the mend.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use calls::{Exchange, shown};
use openapi::{Api, Boundary, Identity, Method, Pair, Request, code};
use tcb::protobuf::{ApiData, CommApiData, CommOpenApiResp, KeyValuePair};
use tcb::{Envelope, NotServed, Reply, SvrkitApi, codes, reply};
use wechat::{Called, Outgoing};

use super::{Asked, open_data, voip};

/// The longest that one cloud call may take, WeChat's pauses and retries included. The SDK itself gives up after 15 s.
const WITHIN: Duration = Duration::from_secs(12);
/// So long before the end of its call a function is told that WeChat did not answer, to be able to say so itself.
const AHEAD: Duration = Duration::from_millis(100);

/// An answer that WeChat gave.
pub(super) struct Answer {
    pub(super) content_type: String,
    pub(super) body: Bytes,
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The cloud's own code, -6041xx.
    Platform(i32),
    /// The params are none that an SDK sends.
    Params(String),
}

/// Answers `wx.openApi`.
pub(super) async fn answer(asked: &Asked<'_>, envelope: &Envelope<'_>) -> Reply {
    let malformed = |text: &str| reply::failure(asked.request_id, codes::INVALID_PARAM, text);
    let Some(message) = envelope.request_message() else {
        return malformed("requestData is missing, or is no file of the form");
    };
    let CommApiData { data, appid } = match CommApiData::decode(message) {
        Ok(message) => message,
        Err(error) => return malformed(&error.to_string()),
    };
    match data {
        ApiData::OpenApi(pairs) => {
            let name = envelope.api_name().unwrap_or_default();
            let pairs: Vec<Pair<'_>> = pairs.iter().map(pair).collect();
            match ask(asked, name, appid, &pairs).await {
                Ok(answer) => reply::message(&CommOpenApiResp::new(answer.content_type, answer.body.into())),
                Err(Refusal::Platform(code)) => reply::message(&CommOpenApiResp::error(code)),
                Err(Refusal::Params(text)) => malformed(&text),
            }
        }
        ApiData::Svrkit(service) => match SvrkitApi::of(service.api_name) {
            SvrkitApi::OpenData => open_data::get(asked, appid, service.req_data).await,
            SvrkitApi::VoipSign => voip::sign(asked, service.req_data).await,
            SvrkitApi::NotServed(what) => what.reply(asked.request_id),
            SvrkitApi::Unknown => reply::message(&CommOpenApiResp::error(code::API_NOT_FOUND)),
        },
        ApiData::Token(_) => NotServed::CrossAccount.reply(asked.request_id),
    }
}

/// Answers `wx.api`. The SDK hands the text of the answer on as it is, an errcode in it too, and has no way to say a code of
/// the cloud's own; so such a code is given as if WeChat had.
pub(super) async fn answer_text(asked: &Asked<'_>, envelope: &Envelope<'_>) -> Reply {
    let malformed = |text: &str| reply::failure(asked.request_id, codes::INVALID_PARAM, text);
    let name = envelope.api_name().unwrap_or_default();
    let data = envelope.request_text().unwrap_or("{}");
    let object = match json::Object::parse(data.as_bytes()) {
        Ok(object) => object,
        Err(error) => return malformed(&format!("requestData is not a JSON object: {error}")),
    };
    let keys: Vec<Cow<'_, str>> = object.members().iter().map(json::Member::key).collect();
    let pairs: Vec<Pair<'_>> = object
        .members()
        .iter()
        .zip(&keys)
        .map(|(member, key)| Pair {
            key,
            value: member.value.as_bytes(),
            filename: None,
        })
        .collect();
    match ask(asked, name, None, &pairs).await {
        Ok(answer) => reply::called(asked.request_id, &String::from_utf8_lossy(&answer.body)),
        Err(Refusal::Platform(code)) => {
            let text = code::text(code).unwrap_or_default();
            let refusal = serde_json::json!({ "errcode": code, "errmsg": text });
            reply::called(asked.request_id, &refusal.to_string())
        }
        Err(Refusal::Params(text)) => malformed(&text),
    }
}

fn pair<'a>(pair: &KeyValuePair<'a>) -> Pair<'a> {
    Pair {
        key: pair.key,
        value: pair.value,
        filename: Some(pair.filename).filter(|name| !name.is_empty()),
    }
}

/// Calls an API, if the function may, and keeps what it came to.
async fn ask(
    asked: &Asked<'_>,
    name: &str,
    appid: Option<&str>,
    pairs: &[Pair<'_>],
) -> Result<Answer, Refusal> {
    let what = format!("openapi.{name}");
    let refused = |code: i32, why: &str| {
        asked.refused(&what, code, why);
        Refusal::Platform(code)
    };
    let api = permitted(asked, name).map_err(|(code, why)| refused(code, &why))?;
    let wechat = account(asked, appid).map_err(|(code, why)| refused(code, &why))?;
    let result = match open_data::tickets(asked, api, pairs) {
        Some(tickets) => tickets.ask(asked, api, wechat, pairs).await,
        None => send(asked, api, wechat, pairs).await,
    };
    match result {
        Ok(answer) => {
            let said = api.reply(Some(&answer.content_type), &answer.body);
            asked.record(what, said.errcode, said.errmsg);
            Ok(answer)
        }
        Err(Failed::Platform(code, why)) => Err(refused(code, &why)),
        Err(Failed::Params(text)) => {
            asked.record(what, codes::INVALID_PARAM, text.clone());
            Err(Refusal::Params(text))
        }
    }
}

/// Why a permitted call has no answer: a code with a sentence for the operator, or what is wrong with the params.
pub(super) enum Failed {
    Platform(i32, String),
    Params(String),
}

/// The API of this name, if it is there and the function that asks may call it. If not: the code, and why.
fn permitted(asked: &Asked<'_>, name: &str) -> Result<&'static Api, (i32, String)> {
    let Asked {
        inner, invocation, ..
    } = asked;
    let Some(api) = openapi::find(name) else {
        let meant =
            openapi::nearest(name).map_or_else(String::new, |api| format!(", did you mean {}", api.name));
        return Err((code::API_NOT_FOUND, format!("there is no such API{meant}?")));
    };
    if !api.is_callable() {
        let why = format!(
            "the API has no cloud call; it can be called over HTTPS only, at {}",
            api.path
        );
        return Err((code::API_NOT_FOUND, why));
    }
    let site = &invocation.site;
    if !inner
        .permissions
        .allow(inner.calls.sites(), site, api.name, inner.clock.now())
    {
        let why = format!(
            "the function has no permission for it: add \"{}\" to permissions.openapi in {}{}",
            api.name,
            site.config_json.display(),
            inner.permissions.delay()
        );
        return Err((code::NO_PERMISSION, why));
    }
    let source = &invocation.caller.source;
    if !source.may_call_cloud() {
        let why = format!("no cloud calls can be made where the function was called by {source}");
        return Err((code::ILLEGAL_SOURCE, why));
    }
    Ok(api)
}

/// The client of the account in whose name an API is called: the Mini Program itself, or another that the operator
/// has given the AppSecret of.
pub(super) fn account<'a>(
    asked: &Asked<'a>,
    appid: Option<&str>,
) -> Result<&'a wechat::Client, (i32, String)> {
    let inner = asked.inner;
    match appid {
        None => Ok(&inner.wechat),
        Some(appid) if appid == inner.appid => Ok(&inner.wechat),
        Some(appid) => inner.apps.get(appid).ok_or_else(|| {
            let why = format!(
                "the AppSecret of {appid} is not known: name the file that holds it, as `secret_file` in \
                 [apps.{appid}] of yunqiao.toml"
            );
            (code::NO_PERMISSION, why)
        }),
    }
}

/// Makes the request of the params, adds who asks where the API wants to know, and sends it.
pub(super) async fn send(
    asked: &Asked<'_>,
    api: &'static Api,
    wechat: &wechat::Client,
    pairs: &[Pair<'_>],
) -> Result<Answer, Failed> {
    let mut request = api
        .request(pairs, &Boundary::new(rand::random()))
        .map_err(|error| Failed::Params(error.to_string()))?;
    // Another app knows this one's users by other openids.
    if wechat.appid() == asked.inner.appid {
        identify(asked, api, &mut request).await?;
    }

    let within = match asked.left {
        Some(left) => left.saturating_sub(AHEAD).min(WITHIN),
        None => WITHIN,
    };
    let called = wechat.call(&Outgoing::of(api.name, &request), within).await;
    let Called {
        status,
        content_type,
        body,
        ..
    } = called.map_err(|error| match error.is_timeout() {
        true => Failed::Platform(code::TIMEOUT, error.to_string()),
        false => Failed::Platform(code::SYSTEM_ERROR, error.to_string()),
    })?;
    asked.keep(|| exchange(&request, content_type.as_deref(), &body));
    if status != 200 {
        let why = format!("WeChat answered with HTTP status {status} at {}", api.path);
        return Err(Failed::Platform(code::SYSTEM_ERROR, why));
    }
    Ok(Answer {
        content_type: api.reply(content_type.as_deref(), &body).content_type.to_owned(),
        body,
    })
}

/// A request and its answer, to be read by a person.
fn exchange(request: &Request, content_type: Option<&str>, answer: &[u8]) -> Exchange {
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
        text.extend(["\n", &shown(content_type, request.body.bytes())]);
    }
    Exchange {
        request: text,
        answer: shown(content_type.unwrap_or("no type"), answer),
    }
}

/// Adds the calling user's `openid`, and the signature by the session_key, where the API wants them and the function gave none.
async fn identify(asked: &Asked<'_>, api: &Api, request: &mut Request) -> Result<(), Failed> {
    let given = |request: &Request, name: &str| request.query.iter().any(|(key, _)| key == name);
    if api.identity == Identity::None {
        return Ok(());
    }
    if !given(request, "openid")
        && let Some(openid) = asked.invocation.openid()
    {
        request.query.push(("openid".to_owned(), openid.to_owned()));
    }
    if api.identity != Identity::Signature || given(request, "signature") {
        return Ok(());
    }
    let openid = request.query.iter().find(|(key, _)| key == "openid");
    let Some((_, openid)) = openid else {
        let why =
            "it is made in a user's session, and the function was called for no user and gives no openid";
        return Err(Failed::Platform(code::ILLEGAL_SOURCE, why.to_owned()));
    };
    let session = asked.inner.store.session(openid).await;
    let session = session.map_err(|error| {
        Failed::Platform(
            code::SYSTEM_ERROR,
            format!("the store could not be read: {error}"),
        )
    })?;
    let Some(session) = session else {
        let why = format!("it is signed with the user's session_key, and {openid} has not logged in here");
        return Err(Failed::Platform(code::SYSTEM_ERROR, why));
    };
    let signature = session.key.session_signature(request.body.bytes());
    request.query.push(("signature".to_owned(), signature));
    request
        .query
        .push(("sig_method".to_owned(), "hmac_sha256".to_owned()));
    Ok(())
}
