//! The server API: codes, tokens, cloudIDs, session checks, phone numbers, and every refusal.

use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use serde_json::{Value, json};

use super::{Sim, code2session, credentials, first_user, plain_token, stable_token};
use crate::SimulatorSettings;

#[tokio::test]
async fn a_login_code_is_good_once_and_for_five_minutes() {
    let sim = Sim::new();
    let code = sim.login("alice").await;
    sim.advance(300).await;
    let answer = sim.exchange(&code).await;
    assert_eq!(answer.content_type, "text/plain");
    let session = answer.json();
    assert_eq!(session.get("errcode"), None);
    let users = sim.sim(Method::GET, "/sim/users", Value::Null).await.json();
    assert_eq!(session["openid"], users["users"][0]["openid"]);
    assert_eq!(session["unionid"], users["users"][0]["unionid"]);

    let again = sim.exchange(&code).await;
    assert_eq!(again.errcode(), 40163);
    assert!(again.text.contains("code been used, rid: "), "{}", again.text);

    let late = sim.login("alice").await;
    sim.advance(301).await;
    assert_eq!(sim.exchange(&late).await.errcode(), 40029);
    assert!(sim.heard("older than five minutes"));
}

#[tokio::test]
async fn slashes_are_escaped_under_sns() {
    let sim = Sim::new();
    for _ in 0..200 {
        let answer = sim
            .client(json!({ "user": "alice", "api": "login", "rotate": true }))
            .await;
        let answer = sim.exchange(answer["code"].as_str().unwrap()).await;
        if answer.json()["session_key"].as_str().unwrap().contains('/') {
            assert!(answer.text.contains("\\/"), "{}", answer.text);
            return;
        }
    }
    panic!("200 random keys without a slash");
}

#[tokio::test]
async fn what_jscode2session_misses_is_said_in_wechats_order() {
    let sim = Sim::new();
    let good = code2session("x");
    for (spoiled, errcode) in [
        ("/sns/jscode2session".to_owned(), 41002),
        (good.replace("appid=wx", "appid=wz"), 40013),
        (good.replace("&secret=", "&secrets="), 41004),
        (good.replace("&secret=", "&secret=0"), 40125),
        (good.replace("js_code=x", "js_code="), 41008),
        (good.replace("authorization_code", "client_credential"), 40002),
        (good.clone(), 40029),
    ] {
        assert_eq!(sim.get(&spoiled).await.errcode(), errcode, "{spoiled}");
    }
    assert_eq!(
        sim.wechat(Method::POST, &good, Body::empty()).await.errcode(),
        43001
    );
    assert!(sim.heard("AppSecret"));
}

#[tokio::test]
async fn functions_ask_with_the_real_apps_secret_and_even_with_anothers_appid() {
    let sim = Sim::new();
    let ask = async |uri: &str| {
        let request = Request::get(uri).header("x-yunqiao-function", "1");
        sim.send(request.body(Body::empty()).unwrap()).await
    };
    let token = "/cgi-bin/token?grant_type=client_credential&appid=APPID&secret=SECRET";
    let own = token.replace("APPID", &SimulatorSettings::default().appid);
    assert!(ask(&own).await.json()["access_token"].is_string());
    assert!(!sim.heard("a function asks"));
    assert!(ask(&token.replace("APPID", "wx0000000000000001")).await.json()["access_token"].is_string());
    assert!(sim.heard("a function asks /cgi-bin/token as the appid \"wx0000000000000001\""));
    let code = sim.login("alice").await;
    let session = ask(&code2session(&code).replace("&secret=", "&secret=0")).await;
    let users = sim.sim(Method::GET, "/sim/users", Value::Null).await.json();
    assert_eq!(session.json()["openid"], users["users"][0]["openid"]);
    // What WeChat asks of everybody, it asks of functions.
    for (spoiled, errcode) in [
        (own.replace("SECRET", ""), 41004),
        (token.replace("APPID", ""), 41002),
        (code2session(&code), 40163),
    ] {
        assert_eq!(ask(&spoiled).await.errcode(), errcode, "{spoiled}");
    }
    assert_eq!(sim.get(&own).await.errcode(), 40125);
}

#[tokio::test]
async fn a_foreign_code_is_the_first_users_or_refused_and_the_developer_is_told() {
    let sim = Sim::with(first_user());
    let users = sim.sim(Method::GET, "/sim/users", Value::Null).await.json();
    for _ in 0..2 {
        let session = sim.exchange("the+code+is+a+mock+one").await.json();
        assert_eq!(session["openid"], users["users"][0]["openid"]);
    }
    assert!(sim.heard("a login code that the simulator did not issue: answered as alice"));
    // Somebody has logged in, so that checkSession and open data work.
    let answer = sim
        .client(json!({ "user": "alice", "api": "getWeRunData" }))
        .await;
    assert_eq!(answer["errMsg"], "getWeRunData:ok");
    // A code of ours is not foreign: once used it stays used.
    let code = sim.login("bob").await;
    assert_eq!(
        sim.exchange(&code).await.json()["openid"],
        users["users"][1]["openid"]
    );
    assert_eq!(sim.exchange(&code).await.errcode(), 40163);

    let strict = Sim::new();
    assert_eq!(strict.exchange("071abc").await.errcode(), 40029);
    assert!(strict.heard("did not issue was refused"));
}

#[tokio::test]
async fn an_ordinary_token_outlives_its_successor_by_five_minutes() {
    let sim = Sim::new();
    let use_it = async |token: String| {
        let path = format!("/wxa/checksession?access_token={token}&openid=o&sig_method=hmac_sha256");
        let answer = sim.get(&path).await;
        assert_eq!(answer.content_type, "application/json; encoding=utf-8");
        answer.errcode()
    };
    // 40003 says that the token was good.
    let first = sim.token().await;
    assert_eq!(use_it(first.clone()).await, 40003);
    let second = sim.token().await;
    assert_ne!(first, second);
    sim.advance(299).await;
    assert_eq!(use_it(first.clone()).await, 40003);
    sim.advance(1).await;
    assert_eq!(use_it(first.clone()).await, 40001);
    assert_eq!(use_it(second.clone()).await, 40003);
    sim.advance(7200 - 300).await;
    assert_eq!(use_it(second).await, 42001);
    assert_eq!(use_it(first).await, 42001);
    assert_eq!(use_it("nonsense".to_owned()).await, 40001);
    assert_eq!(use_it(String::new()).await, 41001);
}

#[tokio::test]
async fn a_stable_token_stays_until_five_minutes_before_its_end() {
    let sim = Sim::new();
    let fetch = async |force| {
        let answer = sim
            .post("/cgi-bin/stable_token", stable_token(force))
            .await
            .json();
        let token = answer["access_token"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer}"));
        (token.to_owned(), answer["expires_in"].as_u64().unwrap())
    };
    let works = async |token: &str| {
        let path = format!("/wxa/checksession?access_token={token}&openid=o&sig_method=hmac_sha256");
        sim.get(&path).await.errcode() == 40003
    };
    let (first, life) = fetch(false).await;
    assert_eq!(life, 7200);
    // The other kind does not know of it.
    let plain = sim.token().await;
    sim.advance(6900).await;
    assert_eq!(fetch(false).await, (first.clone(), 300));
    sim.advance(1).await;
    let (second, life) = fetch(false).await;
    assert_ne!(first, second);
    assert_eq!(life, 7200);
    assert!(works(&first).await && works(&second).await && works(&plain).await);
    sim.advance(299).await;
    assert!(!works(&first).await && works(&second).await);

    let (third, _) = fetch(true).await;
    assert_ne!(second, third);
    assert!(!works(&second).await && works(&third).await);
    // Too soon: not refreshed.
    sim.advance(29).await;
    assert_eq!(fetch(true).await.0, third);
    sim.advance(1).await;
    assert_ne!(fetch(true).await.0, third);
}

#[tokio::test]
async fn a_stable_token_can_be_forced_twenty_times_a_day() {
    let sim = Sim::new();
    for _ in 0..20 {
        let answer = sim.post("/cgi-bin/stable_token", stable_token(true)).await.json();
        assert!(answer["access_token"].is_string(), "{answer}");
        sim.advance(30).await;
    }
    assert_eq!(
        sim.post("/cgi-bin/stable_token", stable_token(true))
            .await
            .errcode(),
        45009
    );
    let answer = sim
        .post("/cgi-bin/stable_token", stable_token(false))
        .await
        .json();
    assert!(answer["access_token"].is_string(), "{answer}");
    sim.advance(24 * 3600).await;
    let answer = sim.post("/cgi-bin/stable_token", stable_token(true)).await.json();
    assert!(answer["access_token"].is_string(), "{answer}");
}

#[tokio::test]
async fn the_token_apis_refuse_as_documented() {
    let sim = Sim::new();
    for (path, errcode) in [
        ("/cgi-bin/token".to_owned(), 41002),
        (plain_token().replace("client_credential", "x"), 40002),
        (plain_token().replace("appid=wx", "appid=wz"), 40013),
        (format!("{}0", plain_token()), 40125),
    ] {
        assert_eq!(sim.get(&path).await.errcode(), errcode, "{path}");
    }
    let answer = sim
        .wechat(Method::POST, &plain_token(), Body::empty())
        .await
        .json();
    assert!(answer["access_token"].is_string(), "{answer}");
    assert_eq!(
        sim.wechat(Method::PUT, &plain_token(), Body::empty())
            .await
            .errcode(),
        43001
    );

    let path = "/cgi-bin/stable_token";
    assert_eq!(sim.get(path).await.errcode(), 43002);
    assert_eq!(
        sim.wechat(Method::POST, path, Body::empty()).await.errcode(),
        44002
    );
    assert_eq!(
        sim.wechat(Method::POST, path, credentials()).await.errcode(),
        47001
    );
    assert_eq!(sim.post(path, json!({})).await.errcode(), 41002);
    assert_eq!(sim.post(path, json!({ "appid": 1 })).await.errcode(), 47001);
    let mut wrong = stable_token(false);
    wrong["secret"] = json!("0");
    assert_eq!(sim.post(path, wrong).await.errcode(), 40125);
}

#[tokio::test]
async fn a_cloud_id_is_its_users_for_five_minutes() {
    let sim = Sim::new();
    let (alice, _) = sim.session("alice").await;
    let (bob, _) = sim.session("bob").await;
    let answer = sim
        .client(json!({ "user": "alice", "api": "getWeRunData" }))
        .await;
    let id = answer["cloudID"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), 62);
    assert!(
        id[..2].bytes().all(|byte| byte.is_ascii_digit()) && id[2..].starts_with('_'),
        "{id}"
    );
    assert!(
        id[3..]
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)),
        "{id}"
    );

    let refused = |code: i64, text: &str, id: &str| json!({ "cloudID": id, "errCode": code, "errMsg": text });
    for _ in 0..2 {
        let item = sim.open_data(&alice, &id).await;
        assert_eq!(item["data"]["stepInfoList"].as_array().unwrap().len(), 31);
        assert_eq!(
            item["data"]["watermark"]["appid"],
            SimulatorSettings::default().appid
        );
    }
    assert_eq!(
        sim.open_data(&bob, &id).await,
        refused(-601007, "cloudID not belong to user.", &id)
    );
    assert_eq!(
        sim.open_data(&alice, "\"x\\").await,
        refused(-601005, "invalid cloudID.", "\"x\\")
    );
    sim.advance(300).await;
    assert!(sim.open_data(&alice, &id).await["data"].is_object());
    sim.advance(1).await;
    assert_eq!(
        sim.open_data(&alice, &id).await,
        refused(-601006, "cloudID expired.", &id)
    );
    assert_eq!(sim.open_data(&bob, &id).await["errCode"], -601007);
}

#[tokio::test]
async fn getopendata_as_a_whole_is_refused_only_for_what_is_wrong_with_the_call() {
    let sim = Sim::new();
    let (openid, _) = sim.session("alice").await;
    let path = format!(
        "/wxa/getopendata?access_token={}&openid={openid}",
        sim.token().await
    );
    let empty = sim.post(&path, json!({ "cloudid_list": [] })).await;
    assert_eq!(empty.text, r#"{"errcode":0,"errmsg":"ok","data_list":[]}"#);
    assert_eq!(sim.get(&path).await.errcode(), 43002);
    assert_eq!(
        sim.wechat(Method::POST, &path, Body::empty()).await.errcode(),
        44002
    );
    assert_eq!(sim.wechat(Method::POST, &path, "{").await.errcode(), 47001);
    assert_eq!(sim.post(&path, json!({})).await.errcode(), 47001);
    assert_eq!(
        sim.post(&path, json!({ "cloudid_list": [7] })).await.errcode(),
        47001
    );
    let list = json!({ "cloudid_list": ["x"] });
    assert_eq!(
        sim.post(&path.replace("&openid=o", "&openid=p"), list.clone())
            .await
            .errcode(),
        40003
    );
    assert_eq!(sim.post("/wxa/getopendata", list).await.errcode(), 41001);
}

#[tokio::test]
async fn checksession_knows_the_key_that_is_good_now() {
    let sim = Sim::new();
    let (openid, key) = sim.session("alice").await;
    let token = sim.token().await;
    let check = async |api: &str, signature: String, method: &str| {
        let query = format!("access_token={token}&openid={openid}&signature={signature}&sig_method={method}");
        sim.get(&format!("/wxa/{api}?{query}")).await.json()
    };
    let good = key.session_signature(b"");
    assert_eq!(
        check("checksession", good.clone(), "hmac_sha256").await["errcode"],
        0
    );
    assert_eq!(check("checksession", good.clone(), "md5").await["errcode"], 87008);
    assert_eq!(
        check("checksession", key.session_signature(b"x"), "hmac_sha256").await["errcode"],
        87009
    );
    assert_eq!(
        check("resetusersessionkey", String::new(), "hmac_sha256").await["errcode"],
        87009
    );

    let reset = check("resetusersessionkey", good.clone(), "hmac_sha256").await;
    assert_eq!(reset["openid"], openid);
    assert_eq!(check("checksession", good, "hmac_sha256").await["errcode"], 87009);
    let new = opendata::SessionKey::parse(reset["session_key"].as_str().unwrap()).unwrap();
    assert_eq!(
        check("checksession", new.session_signature(b""), "hmac_sha256").await["errcode"],
        0
    );

    sim.client(json!({ "user": "alice", "api": "login", "rotate": true }))
        .await;
    assert_eq!(
        check("checksession", new.session_signature(b""), "hmac_sha256").await["errcode"],
        87009
    );
}

#[tokio::test]
async fn a_phone_code_is_another_kind_than_a_login_code() {
    let sim = Sim::new();
    let (openid, _) = sim.session("alice").await;
    let token = sim.token().await;
    let exchange = async |body: Value| {
        let path = format!("/wxa/business/getuserphonenumber?access_token={token}");
        sim.post(&path, body).await
    };
    let code = async || {
        let answer = sim
            .client(json!({ "user": "alice", "api": "getPhoneNumber" }))
            .await;
        answer["code"].as_str().unwrap().to_owned()
    };
    let first = code().await;
    assert_eq!(sim.exchange(&first).await.errcode(), 40029);
    assert!(sim.heard("a phone number code was sent where a login code belongs"));
    let answer = exchange(json!({ "code": first, "openid": openid })).await.json();
    assert_eq!(answer["phone_info"]["purePhoneNumber"], "12066600001");
    let again = exchange(json!({ "code": first })).await;
    assert_eq!(again.errcode(), 40029);
    assert!(again.text.contains("invalid code hint: ["), "{}", again.text);

    let login = sim.login("alice").await;
    assert_eq!(exchange(json!({ "code": login })).await.errcode(), 40029);
    assert!(sim.heard("a login code was sent where a phone number code belongs"));
    assert!(sim.exchange(&login).await.json()["openid"].is_string());

    assert_eq!(
        exchange(json!({ "code": code().await, "openid": "oNobody" }))
            .await
            .errcode(),
        40003
    );
    let late = code().await;
    sim.advance(301).await;
    assert_eq!(exchange(json!({ "code": late })).await.errcode(), 40029);
    assert_eq!(exchange(json!({})).await.errcode(), 47001);

    let lenient = Sim::with(first_user());
    let path = format!(
        "/wxa/business/getuserphonenumber?access_token={}",
        lenient.token().await
    );
    let answer = lenient
        .post(&path, json!({ "code": "from-a-phone" }))
        .await
        .json();
    assert_eq!(answer["phone_info"]["phoneNumber"], "12066600001");
    assert!(lenient.heard("a phone number code that the simulator did not issue: answered as alice"));
}

#[tokio::test]
async fn a_token_is_given_for_a_form_too() {
    let sim = Sim::new();
    let form = format!("grant_type=client_credential&{}", credentials());
    for (path, body) in [
        ("/cgi-bin/token".to_owned(), form),
        (plain_token(), String::new()),
    ] {
        let answer = sim.wechat(Method::POST, &path, body).await.json();
        assert_eq!(answer["expires_in"], 7200, "{answer}");
    }
    assert_eq!(
        sim.wechat(Method::POST, "/cgi-bin/token", "grant_type=x")
            .await
            .errcode(),
        41002
    );
}

#[tokio::test]
async fn a_path_that_is_not_served_says_so() {
    let sim = Sim::new();
    let answer = sim.get("/wxa/getopendat").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.json()["errcode"], 40066);
    assert!(sim.heard("/wxa/getopendat is no API"));
}

#[tokio::test]
async fn a_strict_server_wants_the_content_type() {
    let sim = Sim::with(SimulatorSettings {
        strict: true,
        ..SimulatorSettings::default()
    });
    assert_eq!(
        sim.post("/cgi-bin/stable_token", stable_token(false))
            .await
            .errcode(),
        47001
    );
    assert!(sim.heard("content-type application/json"));
    let answer = sim
        .sim(Method::POST, "/cgi-bin/stable_token", stable_token(false))
        .await
        .json();
    assert!(answer["access_token"].is_string(), "{answer}");
}
