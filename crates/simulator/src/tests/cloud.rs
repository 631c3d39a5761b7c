//! What a cloud function calls, as [`openapi`] makes the HTTPS request of it and a gateway completes it: the caller's openid
//! and signature, and an access_token.

use axum::{
    body::Body,
    http::{Method, Request, header},
};
use openapi::{ApiParam, Boundary, Identity};
use opendata::SessionKey;
use serde_json::{Value, json};

use super::{Answer, Sim};
use crate::{Secret, SimulatorSettings};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The user whose call of a function it is.
struct Caller {
    openid: String,
    key: SessionKey,
}

async fn caller(sim: &Sim, user: &str) -> Caller {
    let (openid, key) = sim.session(user).await;
    Caller { openid, key }
}

/// `cloud.openapi.NAME(params)`
async fn call(sim: &Sim, caller: &Caller, name: &str, params: Value) -> Answer {
    let token = sim.token().await;
    call_with(sim, caller, name, params, None, &token).await
}

async fn call_with(
    sim: &Sim,
    caller: &Caller,
    name: &str,
    params: Value,
    file: Option<&[u8]>,
    token: &str,
) -> Answer {
    let api = openapi::find(name).unwrap();
    let texts: Vec<(&String, String)> = params
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| (key, value.to_string()))
        .collect();
    let mut pairs: Vec<ApiParam<'_>> = texts
        .iter()
        .map(|(key, text)| ApiParam {
            key,
            value: text.as_bytes(),
            filename: None,
        })
        .collect();
    pairs.extend(file.map(|value| ApiParam {
        key: "media",
        value,
        filename: Some("media.png"),
    }));
    let made = api.request(&pairs, &Boundary::new(7)).unwrap();
    let mut query = made.query;
    query.push(("access_token".to_owned(), token.to_owned()));
    if api.identity != Identity::None && !query.iter().any(|(name, _)| name == "openid") {
        query.push(("openid".to_owned(), caller.openid.clone()));
    }
    if api.identity == Identity::Signature {
        let signature = caller.key.session_signature(made.body.bytes());
        query.push(("signature".to_owned(), signature));
        query.push(("sig_method".to_owned(), "hmac_sha256".to_owned()));
    }
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(query)
        .finish();
    let mut request = Request::builder()
        .method(Method::from_bytes(made.method.as_str().as_bytes()).unwrap())
        .uri(format!("{}?{query}", made.path));
    if let Some(kind) = made.body.content_type() {
        request = request.header(header::CONTENT_TYPE, kind);
    }
    let body = Body::from(made.body.bytes().to_vec());
    sim.send(request.body(body).unwrap()).await
}

#[tokio::test]
async fn subscribe_and_template_messages() {
    let sim = Sim::new();
    let alice = caller(&sim, "alice").await;
    // The document's sample.
    let message = json!({
        "touser": alice.openid,
        "page": "index",
        "lang": "zh_CN",
        "data": { "number01": { "value": "339208499" }, "date01": { "value": "2015年01月05日" } },
        "template_id": "TEMPLATE_ID",
        "miniprogram_state": "developer",
    });
    let send = "subscribeMessage.send";
    assert_eq!(call(&sim, &alice, send, message.clone()).await.errcode(), 40037);
    let template = json!({ "priTmplId": "TEMPLATE_ID", "content": "{{number01.DATA}}\n{{date01.DATA}}\n" });
    sim.sim(Method::POST, "/sim/templates", template).await;
    assert_eq!(call(&sim, &alice, send, message.clone()).await.errcode(), 43101);
    sim.client(json!({ "user": "alice", "api": "requestSubscribeMessage", "tmplIds": ["TEMPLATE_ID"] }))
        .await;
    assert_eq!(call(&sim, &alice, send, message.clone()).await.errcode(), 0);
    let item = sim.last_sent().await;
    assert_eq!((&item["api"], &item["body"]), (&json!(send), &message));

    let message = json!({ "touser": alice.openid, "template_id": "TEMPLATE_ID", "form_id": "FORMID" });
    let answer = call(&sim, &alice, "templateMessage.send", message).await;
    assert_eq!(answer.json(), json!({ "errcode": 0, "errmsg": "ok" }));
    assert_eq!(sim.last_sent().await["note"], "withdrawn: 45103 in production");
}

#[tokio::test]
async fn mini_program_codes() {
    let sim = Sim::new();
    let alice = caller(&sim, "alice").await;
    for (name, params) in [
        ("wxacode.get", json!({ "path": "page/index/index", "width": 430 })),
        (
            "wxacode.createQRCode",
            json!({ "path": "page/index/index", "width": 430 }),
        ),
        (
            "wxacode.getUnlimited",
            json!({ "scene": "a=1", "page": "page/index/index" }),
        ),
    ] {
        let answer = call(&sim, &alice, name, params).await;
        assert_eq!(answer.content_type, "image/png", "{name}");
        assert!(answer.bytes.starts_with(PNG), "{name}");
    }
    let refused = call(&sim, &alice, "wxacode.getUnlimited", json!({})).await;
    assert_eq!(refused.errcode(), 40169);
}

#[tokio::test]
async fn checks_of_images_texts_and_media() {
    let sim = Sim::new();
    let alice = caller(&sim, "alice").await;
    let token = sim.token().await;
    let check = async |image: &[u8]| {
        let answer = call_with(
            &sim,
            &alice,
            "security.imgSecCheck",
            json!({}),
            Some(image),
            &token,
        );
        answer.await.errcode()
    };
    assert_eq!(check(PNG).await, 0);
    let file = sim.last_sent().await["body"]["media"].clone();
    assert_eq!(
        (&file["fileName"], &file["contentType"], &file["bytes"]),
        (&json!("media.png"), &json!("image/png"), &json!(PNG.len()))
    );
    let rule = json!({ "kind": "image", "sha256": file["sha256"], "suggest": "risky" });
    sim.sim(Method::POST, "/sim/verdicts", rule).await;
    assert_eq!(check(PNG).await, 87014);
    let missing = call(&sim, &alice, "security.imgSecCheck", json!({})).await;
    assert_eq!(missing.errcode(), 41005);

    let text = json!({ "openid": alice.openid, "scene": 2, "version": 2, "content": "hello world!" });
    let judged = call(&sim, &alice, "security.msgSecCheck", text).await.json();
    assert_eq!(judged["result"], json!({ "suggest": "pass", "label": 100 }));

    let media = json!({ "openid": alice.openid, "scene": 1, "version": 2, "media_type": 2, "media_url": "https://a" });
    let queued = call(&sim, &alice, "security.mediaCheckAsync", media).await.json();
    assert_eq!(queued["errcode"], 0);
    assert_eq!(queued["trace_id"].as_str().unwrap().len(), 26);
}

#[tokio::test]
async fn phone_numbers_by_code() {
    let sim = Sim::new();
    let alice = caller(&sim, "alice").await;
    let button = sim
        .client(json!({ "user": "alice", "api": "getPhoneNumber" }))
        .await;
    let name = "phonenumber.getPhoneNumber";
    let params = json!({ "code": button["code"] });
    let answer = call(&sim, &alice, name, params.clone()).await.json();
    assert_eq!(answer["phone_info"]["purePhoneNumber"], "12066600001");
    assert_eq!(call(&sim, &alice, name, params).await.errcode(), 40029);
}

#[tokio::test]
async fn open_data_by_cloud_id() {
    let sim = Sim::new();
    let (alice, bob) = (caller(&sim, "alice").await, caller(&sim, "bob").await);
    let cloud_id = async |user: &str| {
        let answer = sim.client(json!({ "user": user, "api": "getWeRunData" })).await;
        answer["cloudID"].as_str().unwrap().to_owned()
    };
    let expired = cloud_id("alice").await;
    sim.advance(301).await;
    let (good, foreign) = (cloud_id("alice").await, cloud_id("bob").await);
    let params = json!({ "cloudid_list": [good, expired, foreign, "43_none"] });
    let answer = call(&sim, &alice, "cloudbase.getOpenData", params.clone())
        .await
        .json();
    assert_eq!((&answer["errcode"], &answer["errmsg"]), (&json!(0), &json!("ok")));
    let said: Vec<Value> = answer["data_list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| serde_json::from_str(item["json"].as_str().unwrap()).unwrap())
        .collect();
    assert_eq!(said[0]["cloudID"], good);
    assert_eq!(said[0]["data"]["stepInfoList"].as_array().unwrap().len(), 31);
    for (item, errcode, text) in [
        (&said[1], -601006, "cloudID expired."),
        (&said[2], -601007, "cloudID not belong to user."),
        (&said[3], -601005, "invalid cloudID."),
    ] {
        assert_eq!(
            (&item["errCode"], &item["errMsg"]),
            (&json!(errcode), &json!(text))
        );
    }
    // An openid that the function gives is the one that counts.
    let params = json!({ "openid": bob.openid, "cloudid_list": [foreign] });
    let answer = call(&sim, &alice, "cloudbase.getOpenData", params).await.json();
    assert!(
        answer["data_list"][0]["json"]
            .as_str()
            .unwrap()
            .contains("stepInfoList")
    );
}

#[tokio::test]
async fn a_voice_room_is_signed_with_the_callers_session_key() {
    let sim = Sim::new();
    let alice = caller(&sim, "alice").await;
    let name = "cloudbase.getVoIPSign";
    let params = json!({ "group_id": "1559129713_672975982", "nonce": "8AP6DT9ybtniUJfb", "timestamp": 1_559_129_714 });
    let answer = call(&sim, &alice, name, params.clone()).await;
    let appid = SimulatorSettings::default().appid;
    let signed = format!("1559129713_67297598215591297148AP6DT9ybtniUJfb{appid}");
    let signature = alice.key.session_signature(signed.as_bytes());
    assert_eq!(
        answer.text,
        format!(r#"{{"errcode":0,"errmsg":"ok","signature":"{signature}"}}"#)
    );

    for (field, wrong) in [
        ("group_id", json!("")),
        ("nonce", json!("n".repeat(128))),
        ("timestamp", Value::Null),
    ] {
        let mut params = params.clone();
        params[field] = wrong;
        assert_eq!(call(&sim, &alice, name, params).await.errcode(), 40097, "{field}");
    }
    let path = sim.with_token("/wxa/getvoipsign").await;
    assert_eq!(sim.post(&path, params.clone()).await.errcode(), 40003);
    assert_eq!(sim.get(&path).await.errcode(), 43002);
    sim.advance(SimulatorSettings::SESSION_IDLE.as_secs() + 1).await;
    assert_eq!(call(&sim, &alice, name, params).await.errcode(), 87007);
}

#[tokio::test]
async fn a_games_storage_wants_the_users_signature() {
    let sim = Sim::new();
    let alice = caller(&sim, "alice").await;
    let kv_list =
        json!({ "kv_list": [{ "key": "score", "value": "100" }, { "key": "gold", "value": "3000" }] });
    let calls = [
        ("storage.setUserStorage", kv_list.clone()),
        ("storage.setUserInteractiveData", kv_list),
        ("storage.removeUserStorage", json!({ "key": ["score", "gold"] })),
    ];
    for (name, params) in calls.clone() {
        let answer = call(&sim, &alice, name, params.clone()).await;
        assert_eq!(answer.json(), json!({ "errcode": 0, "errmsg": "ok" }), "{name}");
        let item = sim.last_sent().await;
        assert_eq!((&item["api"], &item["to"]), (&json!(name), &json!(alice.openid)));

        let path = openapi::find(name).unwrap().path;
        let signature = alice.key.session_signature(params.to_string().as_bytes());
        let signed = |openid: &str, method: &str| {
            format!("{path}?openid={openid}&signature={signature}&sig_method={method}")
        };
        let good = signed(&alice.openid, "hmac_sha256");
        assert_eq!(sim.api(&good, params.clone()).await.errcode(), 0, "{name}");
        for (path, body, errcode) in [
            (signed("", "hmac_sha256"), &params, 40003),
            (signed(&alice.openid, "md5"), &params, 87008),
            (good, &json!({}), 87009),
        ] {
            assert_eq!(sim.api(&path, body.clone()).await.errcode(), errcode, "{path}");
        }
    }
    // The key that signed is void.
    sim.client(json!({ "user": "alice", "api": "login", "rotate": true }))
        .await;
    for (name, params) in calls {
        assert_eq!(call(&sim, &alice, name, params).await.errcode(), 87009, "{name}");
    }
}

#[tokio::test]
async fn another_app_has_its_own_tokens_and_every_api() {
    let other = "wx0123456789abcdef";
    let sim = Sim::with(SimulatorSettings {
        other_apps: vec![(other.to_owned(), Secret::from("other's".to_owned()))],
        ..SimulatorSettings::default()
    });
    let alice = caller(&sim, "alice").await;
    let query = format!("appid={other}&secret=other%27s");
    let plain = format!("/cgi-bin/token?grant_type=client_credential&{query}");
    let stable = json!({ "grant_type": "client_credential", "appid": other, "secret": "other's" });
    let token = |answer: Answer| answer.json()["access_token"].as_str().unwrap().to_owned();
    let first = token(sim.post("/cgi-bin/stable_token", stable.clone()).await);
    let ours = token(
        sim.post("/cgi-bin/stable_token", super::stable_token(false))
            .await,
    );
    assert_ne!(first, ours);
    assert_eq!(token(sim.post("/cgi-bin/stable_token", stable).await), first);

    // A new one of one app does not outdate the other's.
    let theirs = token(sim.get(&plain).await);
    sim.token().await;
    sim.advance(600).await;
    let params = json!({ "group_id": "g", "nonce": "n", "timestamp": 1 });
    let signed = |answer: &Answer| answer.json()["signature"].clone();
    let as_other = call_with(
        &sim,
        &alice,
        "cloudbase.getVoIPSign",
        params.clone(),
        None,
        &theirs,
    )
    .await;
    let expected = alice.key.session_signature(format!("1gn{other}").as_bytes());
    assert_eq!(signed(&as_other), json!(expected));
    assert_ne!(
        signed(&call(&sim, &alice, "cloudbase.getVoIPSign", params).await),
        signed(&as_other)
    );

    let path = json!({ "path": "pages/index" });
    call_with(&sim, &alice, "wxacode.get", path, None, &first).await;
    let item = sim.last_sent().await;
    assert_eq!(item["appid"], other);
    assert!(item["note"].as_str().unwrap().contains(other), "{item}");
    call(&sim, &alice, "wxacode.get", json!({ "path": "pages/index" })).await;
    assert_eq!(sim.last_sent().await.get("appid"), None);

    for (path, errcode) in [
        (plain.replace("other%27s", "ours"), 40125),
        (plain.replace(other, "wx0123456789abcdee"), 40013),
        (
            format!("/sns/jscode2session?{query}&js_code=x&grant_type=authorization_code"),
            40029,
        ),
    ] {
        assert_eq!(sim.get(&path).await.errcode(), errcode, "{path}");
    }
    assert!(sim.heard(&format!(
        "knows {}, {other} alone",
        SimulatorSettings::default().appid
    )));
}
