//! The APIs that lean on a user's session_key: with some the app proves that it knows the key, by a signature made with
//! it; with others WeChat uses the key on the app's behalf.
//!
//! A signature is `hmac_sha256(session_key, body)` in hex, the key as its base64 text (WeChat's documents "checkSessionKey" and
//! "用户登录态签名"). With a key that is void or never was, the signature of those that are documented with 87009 alone is invalid.

use axum::{Router, http::Method};
use opendata::SessionKey;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wording::wording;

use crate::{
    Simulator,
    people::userkeys::KeyInfo,
    server::{
        ApiCall, api, check_token,
        errors::{ApiRefusal, Family},
    },
};

/// The paths that are served. `storage.*` also wants a signature; it changes something, and is `catalogued`.
pub(crate) fn routes() -> Router<Simulator> {
    Router::new()
        .route("/wxa/checksession", api(Family::Wxa, check_session))
        .route(
            "/wxa/resetusersessionkey",
            api(Family::Wxa, reset_user_session_key),
        )
        .route("/wxa/getvoipsign", api(Family::Wxa, get_voip_sign))
        .route(
            "/wxa/business/getuserencryptkey",
            api(Family::Wxa, get_user_encrypt_key),
        )
}

/// The name of the user in the query, whose session_key the call's `signature` of `body` was made with. The order in which
/// WeChat looks at the three params is not known: a choice.
pub(crate) fn signed_user(sim: &Simulator, ask: &ApiCall, body: &[u8]) -> Result<String, ApiRefusal> {
    let world = sim.world();
    let user = world
        .users
        .by_openid(ask.query("openid"))
        .ok_or(ApiRefusal::InvalidOpenid)?;
    if ask.query("sig_method") != "hmac_sha256" {
        return Err(ApiRefusal::InvalidSigMethod);
    }
    let valid = |key: &SessionKey| key.verify_session_signature(body, ask.query("signature"));
    match world.sessions.current(&user.name, sim.now()) {
        Some(key) if valid(key) => Ok(user.name.clone()),
        _ => Err(ApiRefusal::InvalidSignature),
    }
}

/// `{"errcode":0,"errmsg":"ok"}`
#[derive(Debug, Serialize)]
struct SessionChecked {
    errcode: i32,
    errmsg: &'static str,
}

/// `GET /wxa/checksession`
fn check_session(sim: &Simulator, ask: &ApiCall) -> Result<SessionChecked, ApiRefusal> {
    ask.is_get()?;
    check_token(sim, ask)?;
    signed_user(sim, ask, b"")?;
    Ok(SessionChecked {
        errcode: 0,
        errmsg: "ok",
    })
}

#[derive(Debug, Serialize)]
struct ResetSessionKey {
    errcode: i32,
    errmsg: &'static str,
    openid: String,
    session_key: String,
}

/// `GET /wxa/resetusersessionkey`
fn reset_user_session_key(sim: &Simulator, ask: &ApiCall) -> Result<ResetSessionKey, ApiRefusal> {
    ask.is_get()?;
    check_token(sim, ask)?;
    let name = signed_user(sim, ask, b"")?;
    let now = sim.now();
    let mut world = sim.world();
    let key = world
        .sessions
        .reset(&name, now)
        .ok_or(ApiRefusal::InvalidSignature)?;
    Ok(ResetSessionKey {
        errcode: 0,
        errmsg: "ok",
        openid: ask.query("openid").to_owned(),
        session_key: key.expose().to_owned(),
    })
}

/// The longest nonce is one character shorter than this ("长度应小于 128").
const NONCE_END: usize = 128;

#[derive(Deserialize)]
struct VoipParams {
    #[serde(default)]
    group_id: String,
    #[serde(default)]
    nonce: String,
    /// Documented as a number; a text is taken too.
    #[serde(default)]
    timestamp: Value,
}

#[derive(Debug, Serialize)]
struct VoipSign {
    errcode: i32,
    errmsg: &'static str,
    signature: String,
}

/// `POST /wxa/getvoipsign?openid=…`: what `wx.joinVoIPChat` wants, signed for the user (WeChat's documents "获取实时语音签名" and
/// "实时语音"). They know no errors but -1: 87007 without a session_key and 40097 for what is missing are choices, and so is
/// that use by the app does not extend the key's life.
fn get_voip_sign(sim: &Simulator, ask: &ApiCall) -> Result<VoipSign, ApiRefusal> {
    ask.is_post()?;
    let appid = check_token(sim, ask)?;
    let asked: VoipParams = ask.json(sim)?;
    let timestamp = match &asked.timestamp {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    let given = [&asked.group_id, &asked.nonce, &timestamp];
    if given.iter().any(|text| text.is_empty()) || asked.nonce.chars().count() >= NONCE_END {
        sim.tell(wording!(
            "getVoIPSign was refused with 40097: it wants group_id, timestamp, and a nonce shorter than 128",
            "getVoIPSign 被拒绝（40097）：需要 group_id、timestamp 和短于 128 的 nonce"
        ));
        return Err(ApiRefusal::InvalidArgs);
    }
    let world = sim.world();
    let user = world.users.by_openid(ask.query("openid"));
    let name = &user.ok_or(ApiRefusal::InvalidOpenid)?.name;
    let key = world.sessions.current(name, sim.now());
    let parts = [&appid, &asked.group_id, &asked.nonce, &timestamp].map(String::as_str);
    Ok(VoipSign {
        errcode: 0,
        errmsg: "ok",
        signature: voip_signature(key.ok_or(ApiRefusal::NoSessionKey)?, parts),
    })
}

/// `hmac_sha256([appId, groupId, nonceStr, timeStamp].sort().join(''), session_key)`
fn voip_signature(key: &SessionKey, mut parts: [&str; 4]) -> String {
    parts.sort_unstable();
    key.session_signature(parts.concat().as_bytes())
}

#[derive(Serialize)]
struct EncryptKeys {
    errcode: i32,
    errmsg: &'static str,
    key_info_list: Vec<KeyInfo>,
}

/// `GET /wxa/business/getuserencryptkey`; older versions of its document say POST, without a body.
fn get_user_encrypt_key(sim: &Simulator, ask: &ApiCall) -> Result<EncryptKeys, ApiRefusal> {
    if ask.method != Method::POST {
        ask.is_get()?;
    }
    check_token(sim, ask)?;
    let now = sim.now();
    {
        let world = sim.world();
        let user = world.users.by_openid(ask.query("openid"));
        let name = &user.ok_or(ApiRefusal::InvalidOpenid)?.name;
        if world.sessions.current(name, now).is_none() {
            return Err(ApiRefusal::NoSessionKey);
        }
    }
    let name = signed_user(sim, ask, b"")?;
    Ok(EncryptKeys {
        errcode: 0,
        errmsg: "ok",
        key_info_list: sim.world().user_keys.infos(&name, now),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_signature_is_the_documents() {
        let key = SessionKey::parse("gDyVgzwa0mFz9uUP7M6GQQ==").unwrap();
        let parts = [
            "wx20afc706a711eefc",
            "1559129713_672975982",
            "8AP6DT9ybtniUJfb",
            "1559129714",
        ];
        assert_eq!(
            voip_signature(&key, parts),
            "b002b824688dd8593a6079e11d8c5e8734fbcb39a6d5906eb347bfbcad79c617"
        );
    }
}
