//! The APIs that remember what was done before: links, customer-service messages, payments, keys, quotas, rids.

use std::net::SocketAddr;

use axum::{
    body::Body,
    extract::ConnectInfo,
    http::{Method, Request},
};
use serde_json::{Value, json};

use super::{NOW, Sim};
use crate::{Secret, SimulatorSettings};

const KF_SEND: &str = "/cgi-bin/message/custom/send";
const DAY: u64 = 86_400;

#[tokio::test]
async fn a_scheme_is_known_until_it_expires() {
    let sim = Sim::new();
    let target =
        json!({ "path": "/pages/publishHomework/publishHomework", "query": "a=1", "env_version": "trial" });
    let asked = json!({ "jump_wxa": target, "is_expire": true, "expire_type": 1, "expire_interval": 1 });
    let made = sim.api("/wxa/generatescheme", asked).await.json();
    let scheme = made["openlink"].as_str().unwrap().to_owned();
    assert!(scheme.starts_with("weixin://dl/business/?t="), "{scheme}");
    assert_eq!(scheme.len(), "weixin://dl/business/?t=XTSkBZlzqmn".len());
    let item = sim.last_sent().await;
    assert_eq!(item["api"], "urlscheme.generate");
    assert!(item["note"].as_str().unwrap().contains("cannot open"), "{item}");
    let query = async |scheme: &str| {
        sim.api("/wxa/queryscheme", json!({ "scheme": scheme, "query_type": 0 }))
            .await
    };
    let info = query(&scheme).await.json()["scheme_info"].clone();
    let expected = json!({
        "appid": SimulatorSettings::default().appid,
        "path": "/pages/publishHomework/publishHomework",
        "query": "a=1",
        "create_time": NOW,
        "expire_time": NOW + DAY,
        "env_version": "trial",
    });
    assert_eq!(info, expected);
    let added = query(&format!("{scheme}&cq=b=2")).await.json();
    assert_eq!(added["scheme_info"]["query"], "a=1&b=2");
    assert_eq!(
        query("weixin://dl/business/?t=XTSkBZlzqmn").await.errcode(),
        85403
    );
    assert_eq!(query("https://wxaurl.cn/BQZRrcFCPvg").await.errcode(), 40097);
    assert_eq!(
        query("weixin://dl/business/?appid=wx0&path=a").await.errcode(),
        85405
    );

    let thing = json!({ "jump_wxa": { "query": "a=hello" }, "model_id": "m" });
    let made = sim.api("/wxa/generatenfcscheme", thing).await.json();
    let lasting = made["openlink"].as_str().unwrap();
    assert_eq!(
        sim.api("/wxa/generatenfcscheme", json!({})).await.errcode(),
        9_800_003
    );

    sim.advance(DAY - 1).await;
    assert_eq!(query(&scheme).await.errcode(), 0);
    sim.advance(1).await;
    assert_eq!(query(&scheme).await.errcode(), 85403);
    let info = query(lasting).await.json()["scheme_info"].clone();
    assert_eq!(
        (&info["query"], &info["expire_time"]),
        (&json!("a=hello"), &json!(0))
    );

    for (jump_wxa, errcode) in [
        (json!({ "path": "pages/a?b=1" }), 40165),
        (json!({ "query": "a=中" }), 40212),
        (json!({ "query": "a".repeat(1025) }), 40212),
        (json!({ "env_version": "beta" }), 85402),
        (json!({ "path": 1 }), 47001),
    ] {
        let asked = json!({ "jump_wxa": jump_wxa });
        assert_eq!(
            sim.api("/wxa/generatescheme", asked).await.errcode(),
            errcode,
            "{jump_wxa}"
        );
    }
    let past = json!({ "is_expire": true, "expire_time": 1_606_737_600 });
    assert_eq!(sim.api("/wxa/generatescheme", past).await.errcode(), 85401);
}

#[tokio::test]
async fn a_url_link_is_known_until_it_expires_and_to_its_app_alone() {
    let other = "wx0123456789abcdef";
    let sim = Sim::with(SimulatorSettings {
        other_apps: vec![(other.to_owned(), Secret::from("s".to_owned()))],
        ..SimulatorSettings::default()
    });
    let asked = json!({
        "path": "/pages/a",
        "query": "",
        "expire_type": 0,
        "expire_time": NOW + 60,
        "cloud_base": { "env": "e", "domain": "xxx.xx", "path": "/jump-wxa.html", "query": "a=1&b=2" },
    });
    let made = sim.api("/wxa/generate_urllink", asked).await.json();
    let link = made["url_link"].as_str().unwrap().to_owned();
    assert_eq!(link.len(), "https://wxaurl.cn/BQZRrcFCPvg".len(), "{link}");
    let asked = json!({ "url_link": format!("{link}?cq=a=hello") });
    let info = sim.api("/wxa/query_urllink", asked.clone()).await.json()["url_link_info"].clone();
    assert_eq!(
        (&info["path"], &info["query"]),
        (&json!("/pages/a"), &json!("a=hello"))
    );
    assert_eq!(info["cloud_base"]["path"], "/jump-wxa.html");

    let token = format!("/cgi-bin/token?grant_type=client_credential&appid={other}&secret=s");
    let token = sim.get(&token).await.json()["access_token"].clone();
    let path = format!("/wxa/query_urllink?access_token={}", token.as_str().unwrap());
    assert_eq!(sim.post(&path, asked.clone()).await.errcode(), 85403);
    sim.advance(60).await;
    assert_eq!(sim.api("/wxa/query_urllink", asked).await.errcode(), 85403);

    let short =
        json!({ "page_url": "pages/a?b=1", "page_title": "一二三四五六七八九十一二三四五六七八九十一" });
    let made = sim.api("/wxa/genwxashortlink", short).await.json();
    let shown = made["link"].as_str().unwrap().rsplit_once('/').unwrap().0;
    assert_eq!(
        shown,
        format!(
            "#小程序://{}/一二三四五六七八九十一二三四五六七八九十...",
            SimulatorSettings::default().appid
        )
    );
    assert_eq!(sim.api("/wxa/genwxashortlink", json!({})).await.errcode(), 40066);
}

#[tokio::test]
async fn the_app_may_write_to_who_wrote_or_entered_of_late() {
    let sim = Sim::new();
    let (openid, _) = sim.session("alice").await;
    let message = json!({ "touser": openid, "msgtype": "text", "text": { "content": "你好" } });
    let send = async || sim.api(KF_SEND, message.clone()).await;
    let does = async |api: &str| {
        let answer = sim.client(json!({ "user": "alice", "api": api })).await;
        assert_eq!(answer, json!({ "errMsg": format!("{api}:ok") }));
    };
    let refused = send().await;
    assert_eq!(refused.errcode(), 45015);
    assert!(
        refused
            .text
            .contains("response out of time limit or subscription is canceled rid: "),
        "{refused:?}"
    );
    assert!(sim.heard("\"api\":\"sendMessage\""));

    does("enterSession").await;
    for errcode in [0, 0, 45047] {
        assert_eq!(send().await.errcode(), errcode);
    }
    let item = sim.last_sent().await;
    assert_eq!(
        (&item["api"], &item["to"]),
        (&json!("customerServiceMessage.send"), &json!(openid))
    );
    assert_eq!((&item["body"], item.get("note")), (&message, None));
    sim.advance(61).await;
    assert_eq!(send().await.errcode(), 45015);

    does("sendMessage").await;
    sim.advance(48 * 3600).await;
    for errcode in [0, 0, 0, 0, 0, 45047] {
        assert_eq!(send().await.errcode(), errcode);
    }
    sim.advance(1).await;
    assert_eq!(send().await.errcode(), 45015);

    does("sendMessage").await;
    for (field, wrong, errcode) in [
        ("touser", json!("oNobody"), 40003),
        ("msgtype", json!("image"), 40008),
        ("msgtype", json!(""), 40008),
        ("text", json!({ "content": "" }), 44004),
    ] {
        let mut message = message.clone();
        message[field] = wrong;
        assert_eq!(sim.api(KF_SEND, message).await.errcode(), errcode, "{field}");
    }
}

#[tokio::test]
async fn a_unionid_is_told_after_a_payment() {
    let sim = Sim::new();
    let (openid, _) = sim.session("alice").await;
    let get = async |query: &str| {
        let path = sim.with_token(&format!("/wxa/getpaidunionid?{query}")).await;
        sim.get(&path).await
    };
    let of_alice = format!("openid={openid}");
    assert_eq!(get(&of_alice).await.errcode(), 89300);
    assert_eq!(get("openid=oNobody").await.errcode(), 40003);
    let paid = sim
        .client(json!({ "user": "alice", "api": "requestPayment", "mchId": "19000001", "outTradeNo": "n1" }))
        .await;
    let id = paid["transactionId"].as_str().unwrap();
    assert_eq!(id.len(), 28);
    for (query, errcode) in [
        (String::new(), 0),
        (format!("&transaction_id={id}"), 0),
        ("&transaction_id=4".to_owned(), 89300),
        ("&mch_id=19000001&out_trade_no=n1".to_owned(), 0),
        ("&out_trade_no=n1".to_owned(), 89300),
    ] {
        assert_eq!(
            get(&format!("{of_alice}{query}")).await.errcode(),
            errcode,
            "{query}"
        );
    }
    let users = sim.sim(Method::GET, "/sim/users", Value::Null).await.json();
    assert_eq!(
        get(&of_alice).await.json()["unionid"],
        users["users"][0]["unionid"]
    );
    sim.advance(301).await;
    assert_eq!(get(&of_alice).await.errcode(), 89300);

    sim.sim(
        Method::POST,
        "/sim/users",
        json!({ "name": "alice", "unionid": null }),
    )
    .await;
    sim.client(json!({ "user": "alice", "api": "requestPayment" }))
        .await;
    assert_eq!(get(&of_alice).await.errcode(), 89002);
}

#[tokio::test]
async fn client_and_server_are_told_the_same_keys() {
    let sim = Sim::new();
    let users = sim.sim(Method::GET, "/sim/users", Value::Null).await.json();
    let openid = users["users"][0]["openid"].as_str().unwrap();
    let get = async |signature: &str| {
        let path = format!(
            "/wxa/business/getuserencryptkey?openid={openid}&signature={signature}&sig_method=hmac_sha256"
        );
        let path = sim.with_token(&path).await;
        sim.get(&path).await
    };
    assert_eq!(get("").await.errcode(), 87007);
    let of_client = async || {
        sim.client(json!({ "user": "alice", "api": "getLatestUserKey" }))
            .await
    };
    assert_eq!(
        of_client().await["errMsg"],
        "getLatestUserKey:fail session time out, need relogin"
    );

    let (_, key) = sim.session("alice").await;
    let signature = key.session_signature(b"");
    assert_eq!(get("").await.errcode(), 87009);
    for version in 1..=4_u64 {
        let client = of_client().await;
        sim.advance(3).await;
        let list = get(&signature).await.json()["key_info_list"].clone();
        assert_eq!(list[0]["encrypt_key"], client["encryptKey"]);
        assert_eq!(list[0]["iv"], client["iv"]);
        assert_eq!(list[0]["iv"].as_str().unwrap().len(), 16);
        assert_eq!(
            (&list[0]["version"], &client["version"]),
            (&json!(version), &json!(version))
        );
        assert_eq!(list[0]["expire_in"], 3597);
        let created = list[0]["create_time"].as_u64().unwrap();
        assert_eq!(client["expireTime"], created + 3600);
        let shown = usize::try_from(version).unwrap().min(3);
        assert_eq!(list.as_array().unwrap().len(), shown);
        if version > 1 {
            assert_eq!(
                (&list[1]["version"], &list[1]["expire_in"]),
                (&json!(version - 1), &json!(0))
            );
        }
        sim.advance(3597).await;
    }
}

#[tokio::test]
async fn calls_are_counted_by_day_and_forgotten_ten_times_a_month() {
    let sim = Sim::new();
    let used = async || {
        let asked = json!({ "cgi_path": "/wxa/getwxacode" });
        let quota = sim.api("/cgi-bin/openapi/quota/get", asked).await.json()["quota"].clone();
        let number = |name: &str| quota[name].as_u64().unwrap();
        assert_eq!(number("daily_limit"), number("used") + number("remain"));
        number("used")
    };
    let call = async || sim.api("/wxa/getwxacode", json!({ "path": "a" })).await;
    call().await;
    call().await;
    assert_eq!(used().await, 2);
    sim.advance(DAY).await;
    assert_eq!(used().await, 0);
    call().await;
    let one = json!({ "cgi_path": "/wxa/getwxacode" });
    assert_eq!(sim.api("/cgi-bin/openapi/quota/clear", one).await.errcode(), 0);
    assert_eq!(used().await, 0);

    let appid = SimulatorSettings::default().appid;
    for (asked, errcode) in [(json!({}), 40013), (json!({ "appid": "wx0" }), 40013)] {
        assert_eq!(sim.api("/cgi-bin/clear_quota", asked).await.errcode(), errcode);
    }
    let by_secret = json!({ "appid": appid, "appsecret": SimulatorSettings::default().secret.expose() });
    for time in 0..11 {
        call().await;
        let cleared = if time % 2 == 0 {
            sim.api("/cgi-bin/clear_quota", json!({ "appid": appid })).await
        } else {
            sim.post("/cgi-bin/clear_quota/v2", by_secret.clone()).await
        };
        let (errcode, left) = if time < 10 { (0, 0) } else { (48006, 1) };
        assert_eq!((cleared.errcode(), used().await), (errcode, left), "{time}");
    }
    sim.advance(30 * DAY).await;
    assert_eq!(
        sim.api("/cgi-bin/clear_quota", json!({ "appid": appid }))
            .await
            .errcode(),
        0
    );
    for (path, errcode) in [
        ("/sns/jscode2session", 76022),
        ("wxa/getwxacode", 76021),
        ("", 76021),
    ] {
        let asked = json!({ "cgi_path": path });
        assert_eq!(
            sim.api("/cgi-bin/openapi/quota/get", asked).await.errcode(),
            errcode,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_refusal_is_looked_up_by_its_rid_for_a_week() {
    let other = "wx0123456789abcdef";
    let sim = Sim::with(SimulatorSettings {
        other_apps: vec![(other.to_owned(), Secret::from("s".to_owned()))],
        ..SimulatorSettings::default()
    });
    let rid_of = |refused: &super::Answer| {
        let text = refused.json()["errmsg"].as_str().unwrap().to_owned();
        text.split_once("rid: ").unwrap().1.to_owned()
    };
    let look = async |rid: &str| sim.api("/cgi-bin/openapi/rid/get", json!({ "rid": rid })).await;
    let path = sim.with_token(&format!("{KF_SEND}?x=1")).await;
    let request = Request::builder()
        .method(Method::POST)
        .uri(&path)
        // As a listener tells it.
        .extension(ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 50_000))))
        .body(Body::from(r#"{"touser":"oNobody"}"#));
    let refused = sim.send(request.unwrap()).await;
    let rid = rid_of(&refused);
    let request = look(&rid).await.json()["request"].clone();
    assert_eq!(request["invoke_time"], NOW);
    assert_eq!(request["request_body"], r#"{"touser":"oNobody"}"#);
    assert_eq!(request["response_body"], refused.text);
    assert_eq!(request["client_ip"], "192.0.2.7");
    let url = request["request_url"].as_str().unwrap();
    assert!(
        url.starts_with("x=1&access_token=97_") && url.ends_with("xxxx") && url.len() < 40,
        "{url}"
    );

    // Of another server, without a token, and with the AppSecret in it.
    let secret = SimulatorSettings::default().secret.expose().to_owned();
    let wrong = super::code2session("none");
    let login = rid_of(&sim.get(&wrong).await);
    let token = json!({ "appid": SimulatorSettings::default().appid, "secret": secret, "grant_type": "x" });
    let token = rid_of(&sim.post("/cgi-bin/stable_token", token).await);
    let unknown = rid_of(&sim.get("/wxa/none").await);
    for rid in [&login, &token, &unknown] {
        let found = look(rid).await;
        assert_eq!(found.errcode(), 0, "{rid}");
        assert!(!found.text.contains(&secret), "{found:?}");
    }

    let theirs = format!("/cgi-bin/token?grant_type=client_credential&appid={other}&secret=s");
    let theirs = sim.get(&theirs).await.json()["access_token"].clone();
    let theirs = theirs.as_str().unwrap();
    let foreign = rid_of(
        &sim.post(&format!("{KF_SEND}?access_token={theirs}"), json!({}))
            .await,
    );
    for (rid, errcode) in [
        (foreign.as_str(), 76003),
        ("61725984-6126f6f9-040f19c4", 76001),
        ("61725984", 76002),
        ("", 76002),
    ] {
        assert_eq!(look(rid).await.errcode(), errcode, "{rid}");
    }
    sim.advance(7 * DAY).await;
    assert_eq!(look(&rid).await.errcode(), 0);
    sim.advance(1).await;
    assert_eq!(look(&rid).await.errcode(), 76004);
}
