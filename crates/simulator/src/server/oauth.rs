//! 网页授权: the page on which a user lets the page of an Official Account know them, and the exchange of the code that it gives
//! (WeChat's document "网页授权"). Official Accounts are the other apps; a person has another openid there.
//!
//! In WeChat the page is one of `open.weixin.qq.com`, which knows whose phone it is opened on. Here it asks who is to be logged in, or
//! takes `user=alice` of its address for the answer. **Choice**: the scope of every code is `snsapi_base`, whatever was asked for.

use std::{collections::HashMap, fmt::Write as _};

use axum::{
    Router,
    extract::{Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use wording::wording;

use crate::{
    ForeignCodes, Simulator,
    people::codes::CodeError,
    random,
    server::{
        ApiCall, api, check_app,
        errors::{ApiRefusal, Family},
    },
};

const AUTHORIZE: &str = "/connect/oauth2/authorize";
/// Of the tokens that come with the user's ids, which are for the user's profile and which nothing here takes.
const TOKEN_LIFE: u64 = 7200;

/// The paths that are served.
pub(crate) fn routes() -> Router<Simulator> {
    Router::new()
        .route(AUTHORIZE, get(authorize))
        .route("/sns/oauth2/access_token", api(Family::Sns, access_token))
}

type Params = HashMap<String, String>;

/// Leads back to the page with a code, or asks whose.
async fn authorize(State(sim): State<Simulator>, Query(params): Query<Params>) -> Response {
    let param = |name: &str| params.get(name).map_or("", String::as_str);
    let (appid, back) = (param("appid"), param("redirect_uri"));
    if let Err(why) = check(&sim, &params) {
        sim.tell(wording!(
            "an authorize page was not shown: {why}",
            "没有显示网页授权页：{why}"
        ));
        return page(StatusCode::BAD_REQUEST, &format!("<p>{}</p>", escaped(&why)));
    }
    let name = param("user");
    let code = {
        let now = sim.now();
        let world = &mut *sim.world();
        let known = world.users.named(name).map(|user| user.name.clone());
        known.map(|name| {
            let codes = world.oauth_codes.entry(appid.to_owned()).or_default();
            codes.issue(random::alphanumeric(32), &name, now)
        })
    };
    match code {
        Some(code) => {
            let to = with_code(back, &code, param("state"));
            (StatusCode::FOUND, [(header::LOCATION, to)]).into_response()
        }
        None => page(StatusCode::OK, &choices(&sim, &params)),
    }
}

/// Why there is no such page.
fn check(sim: &Simulator, params: &Params) -> Result<(), String> {
    let param = |name: &str| params.get(name).map_or("", String::as_str);
    let (appid, back) = (param("appid"), param("redirect_uri"));
    let main = &sim.settings().appid;
    if appid == main {
        return Err(format!(
            "{appid} is the Mini Program's; an Official Account has an appid of its own: name it as [apps.APPID] in yunqiao.toml"
        ));
    }
    if sim.settings().app(appid).is_none() {
        return Err(format!(
            "the appid {appid:?} is not known: name it as [apps.APPID] in yunqiao.toml"
        ));
    }
    if param("response_type") != "code" {
        return Err("response_type is not code".to_owned());
    }
    if !["snsapi_base", "snsapi_userinfo"].contains(&param("scope")) {
        return Err("scope is neither snsapi_base nor snsapi_userinfo".to_owned());
    }
    let is_web = back.starts_with("https://") || back.starts_with("http://");
    if !is_web || !back.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("redirect_uri is not the address of a page, encoded once".to_owned());
    }
    Ok(())
}

/// The page's address with the code in it, before what the page reads by itself.
fn with_code(back: &str, code: &str, state: &str) -> String {
    let (address, fragment) = match back.split_once('#') {
        Some((address, fragment)) => (address, format!("#{fragment}")),
        None => (back, String::new()),
    };
    let mark = if address.contains('?') { '&' } else { '?' };
    let state: String = form_urlencoded::byte_serialize(state.as_bytes()).collect();
    format!("{address}{mark}code={code}&state={state}{fragment}")
}

/// A link for each user.
fn choices(sim: &Simulator, params: &Params) -> String {
    let users: Vec<String> = sim
        .world()
        .users
        .all()
        .iter()
        .map(|user| user.name.clone())
        .collect();
    let appid = params.get("appid").map_or("", String::as_str);
    let mut text = format!(
        "<h1>网页授权</h1><p>Who opens the page of <code>{}</code>? 以谁的身份打开？</p><ul>",
        escaped(appid)
    );
    for user in users {
        let mut link = form_urlencoded::Serializer::new(String::new());
        let given = ["appid", "redirect_uri", "response_type", "scope", "state"];
        for name in given {
            link.append_pair(name, params.get(name).map_or("", String::as_str));
        }
        link.append_pair("user", &user);
        let _ = write!(
            text,
            "<li><a href=\"{AUTHORIZE}?{}\">{}</a></li>",
            escaped(&link.finish()),
            escaped(&user)
        );
    }
    text + "</ul>"
}

fn page(status: StatusCode, content: &str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    let text = format!(
        "<!doctype html><html lang=zh-CN><meta charset=utf-8><meta name=viewport content=width=device-width>\
         <title>Yunqiao 云桥</title>{content}</html>"
    );
    (status, headers, text).into_response()
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            char => escaped.push(char),
        }
    }
    escaped
}

/// `GET /sns/oauth2/access_token`
#[derive(Debug, Serialize)]
struct OAuthToken {
    access_token: String,
    expires_in: u64,
    refresh_token: String,
    openid: String,
    scope: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unionid: Option<String>,
}

fn access_token(sim: &Simulator, ask: &ApiCall) -> Result<OAuthToken, ApiRefusal> {
    ask.is_get()?;
    let appid = check_app(sim, ask, ask.query("appid"), ask.query("secret"))?;
    let code = ask.query("code");
    if code.is_empty() {
        return Err(ApiRefusal::CodeMissing);
    }
    if ask.query("grant_type") != "authorization_code" {
        return Err(ApiRefusal::InvalidGrantType);
    }
    let name = redeem(sim, appid, code)?;
    let world = sim.world();
    let user = world.users.named(&name).ok_or(ApiRefusal::InvalidCode)?;
    Ok(OAuthToken {
        access_token: random::url_safe(110),
        expires_in: TOKEN_LIFE,
        refresh_token: random::url_safe(110),
        openid: world.users.openid_at(appid, user),
        scope: "snsapi_base",
        unionid: user.unionid.clone(),
    })
}

/// Whose code it is; the developer learns why it is nobody's.
fn redeem(sim: &Simulator, appid: &str, code: &str) -> Result<String, ApiRefusal> {
    let now = sim.now();
    let (redeemed, first) = {
        let world = &mut *sim.world();
        let codes = world.oauth_codes.get_mut(appid);
        let redeemed = codes.map_or(Err(CodeError::Foreign), |codes| {
            codes.redeem(code, now).map(str::to_owned)
        });
        (redeemed, world.users.first().name.clone())
    };
    let (told, refusal) = match redeemed {
        Ok(name) => return Ok(name),
        Err(CodeError::Used) => (
            wording!(
                "a code of an Official Account came a second time and was refused: each is good for one exchange",
                "公众号的 code 第二次使用，已拒绝：每个只能用一次"
            ),
            ApiRefusal::CodeBeenUsed,
        ),
        Err(CodeError::Expired) => (
            wording!(
                "a code of an Official Account was refused because it is older than five minutes",
                "公众号的 code 已超过五分钟，已拒绝"
            ),
            ApiRefusal::InvalidCode,
        ),
        Err(CodeError::Foreign)
            if sim.settings().foreign_codes == ForeignCodes::FirstUser && appid != sim.settings().appid =>
        {
            sim.tell(wording!(
                "a code of an Official Account that the simulator did not issue: answered as {first}",
                "不是模拟器签发的公众号 code：按用户 {first} 应答"
            ));
            return Ok(first);
        }
        Err(CodeError::Foreign) => (
            wording!(
                "a code of an Official Account that the simulator did not issue for this appid was refused",
                "公众号的 code 不是模拟器为这个 appid 签发的，已拒绝"
            ),
            ApiRefusal::InvalidCode,
        ),
    };
    sim.tell(told);
    Err(refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_stands_before_what_the_page_reads_by_itself() {
        for (back, to) in [
            ("http://a/", "http://a/?code=c&state=s+%26"),
            ("http://a/?b=1", "http://a/?b=1&code=c&state=s+%26"),
            ("http://a/#/todos", "http://a/?code=c&state=s+%26#/todos"),
        ] {
            assert_eq!(with_code(back, "c", "s &"), to);
        }
    }
}
