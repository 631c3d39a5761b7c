//! What the simulator pushes, taken by strangers' push servers.

use serde_json::{Value, json};

use super::{Stranger, WeChat};
use crate::support::APPID;

pub(super) const SERVERS: [&str; 3] = [
    "pushed_to_wechatpy.py",
    "pushed_to_werobot.py",
    "pushed_to_node_easywechat.js",
];

fn pushing(appid: &str, mode: &str, format: &str) -> WeChat {
    WeChat::with(appid, &["--push-mode", mode, "--push-format", format])
}

/// What a push server is configured with, which is the same at every start.
async fn settings(wechat: &WeChat, mode: &str) -> Value {
    let mut app = wechat.get("app").await;
    app["mode"] = mode.into();
    app
}

fn server(script: &'static str, settings: &Value) -> (Stranger, Value) {
    let mut stranger = Stranger::start(script, settings);
    let url = stranger.gets("url", json!([]));
    (stranger, url)
}

/// Whether the stranger can read such pushes at all.
fn reads(script: &str, mode: &str, format: &str) -> bool {
    // node-easywechat takes what it decrypts for XML, WeRoBot everything.
    format == "xml" || script.contains("wechatpy") || (script.contains("easywechat") && mode == "plain")
}

/// In XML there are only texts.
fn as_text(value: &Value) -> Value {
    match value {
        Value::Number(number) => number.to_string().into(),
        other => other.clone(),
    }
}

#[tokio::test]
async fn strangers_take_what_the_simulator_pushes() {
    // What XML has to escape, what ends a CDATA section, and what takes four bytes.
    let content = "你好 <b>&amp; ]]> \" 😀";
    for mode in ["plain", "compatible", "secure"] {
        for format in ["json", "xml"] {
            let wechat = pushing(APPID, mode, format);
            for script in SERVERS {
                if !reads(script, mode, format) {
                    continue;
                }
                let said = format!("{script} {mode} {format}");
                let (mut stranger, url) = server(script, &settings(&wechat, mode).await);
                let text = json!({"type": "text", "user": "bob", "fields": {"Content": content}, "url": url});
                let told = wechat.sim("push", text).await;
                let attempts = told["attempts"].as_array().unwrap();
                assert_eq!(
                    (attempts.len(), &attempts[0]["acknowledged"]),
                    (1, &json!(true)),
                    "{said}: {told}"
                );
                let got = stranger.gets("received", json!([]));
                assert_eq!(got.as_array().unwrap().len(), 1, "{said}: {got}");
                for field in ["Content", "FromUserName", "ToUserName", "CreateTime"] {
                    let (got, sent) = (&got[0][field], &told["packet"][field]);
                    assert_eq!(as_text(got), as_text(sent), "{said}: {field}");
                }
                // What it answers is read, encrypted where it is.
                let passes_on = format == "xml" && !(script.contains("easywechat") && mode == "plain");
                if passes_on {
                    let reply = &attempts[0]["reply"];
                    assert_eq!(reply["MsgType"], "transfer_customer_service", "{said}: {told}");
                    let encrypted = attempts[0]["answer"].as_str().unwrap().contains("<Encrypt>");
                    assert_eq!(encrypted, mode != "plain", "{said}: {told}");
                }

                let event =
                    json!({"type": "user_enter_tempsession", "fields": {"SessionFrom": "a=1"}, "url": url});
                let told = wechat.sim("push", event).await;
                assert_eq!(told["attempts"][0]["acknowledged"], true, "{said}: {told}");
                let got = stranger.gets("received", json!([]));
                assert_eq!(got[0]["SessionFrom"], "a=1", "{said}: {got}");
            }
        }
    }
}

#[tokio::test]
async fn every_kind_arrives_at_a_stranger_as_it_was_sent() {
    let (json, xml) = (pushing(APPID, "secure", "json"), pushing(APPID, "secure", "xml"));
    let (mut stranger, url) = server(SERVERS[0], &settings(&json, "secure").await);
    let mut sent = 0;
    for kind in ::push::kinds::all() {
        let what = json!({"type": kind.name(), "url": url, "fields": {"Said": "云桥"}});
        let told = json.sim("push", what.clone()).await;
        let got = stranger.gets("received", json!([]));
        assert_eq!(got[0], told["packet"], "{}: {told}", kind.name());
        let told = xml.sim("push", what).await;
        assert_eq!(told["attempts"].as_array().unwrap().len(), 1, "{told}");
        let mut got = stranger.gets("received", json!([]))[0].take();
        let got = got.as_object_mut().unwrap();
        // In XML, subscribe events have their own fields one level down.
        let inner = got.values().find(|value| value["Said"].is_string());
        if let Some(Value::Object(inner)) = inner.cloned() {
            got.extend(inner);
        }
        for (field, value) in told["packet"].as_object().unwrap() {
            if value.is_string() || value.is_number() {
                let text = as_text(got.get(field).unwrap_or(&Value::Null));
                assert_eq!(text, as_text(value), "{} {field}: {got:?}", kind.name());
            }
        }
        sent += 1;
    }
    assert!(sent > 50, "{sent}");
}

#[tokio::test]
async fn a_stranger_refuses_what_another_app_is_pushed() {
    let wechat = pushing(APPID, "secure", "xml");
    let other = pushing("wxfedcba9876543210", "secure", "xml");
    let own = settings(&wechat, "secure").await;
    let with = |field: &str, value: &str| {
        let mut settings = own.clone();
        settings[field] = value.into();
        settings
    };
    for (wechat, settings, why) in [
        (
            &wechat,
            with("token", "anotherToken"),
            "InvalidSignatureException",
        ),
        (&wechat, with("encodingAESKey", &"x".repeat(43)), ""),
        (&other, own.clone(), "InvalidAppIdException"),
    ] {
        let (mut stranger, url) = server(SERVERS[0], &settings);
        let told = wechat.sim("push", json!({"type": "text", "url": url})).await;
        let attempts = told["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), 3, "{told}");
        for attempt in attempts {
            let (status, acknowledged) = (&attempt["status"], &attempt["acknowledged"]);
            assert_eq!((status, acknowledged), (&json!(403), &json!(false)), "{told}");
            assert!(attempt["answer"].as_str().unwrap().contains(why), "{told}");
        }
        assert_eq!(stranger.gets("received", json!([])), json!([]));
    }
}

#[tokio::test]
async fn what_a_user_does_is_pushed_to_a_stranger_who_answers() {
    let app = settings(&WeChat::start(), "secure").await;
    let (mut server, url) = server(SERVERS[0], &app);
    let url = url.as_str().unwrap();
    let wechat = WeChat::with(APPID, &["--push-url", url, "--push-format", "xml"]);
    let mut service = Stranger::of(super::Wechatpy, &wechat);
    let openid = wechat.openid("alice").await;

    let writes = json!({"user": "alice", "api": "sendMessage", "content": "在吗"});
    wechat.sim("client", writes).await;
    let got = waits(&mut server);
    assert_eq!((&got["Content"], &got["FromUserName"]), (&json!("在吗"), &openid));
    service.gets("text_message", json!([got["FromUserName"], "在"]));
    let outbox = wechat.get("outbox").await["items"].take();
    assert_eq!(
        (&outbox[0]["to"], &outbox[0]["body"]["text"]["content"]),
        (&openid, &json!("在"))
    );

    let template = wechat.sim("templates", json!({})).await["priTmplId"].take();
    let accepts = json!({"user": "alice", "api": "requestSubscribeMessage", "tmplIds": [template]});
    wechat.sim("client", accepts).await;
    let got = waits(&mut server);
    let asked = &got["SubscribeMsgPopupEvent"]["List"];
    assert_eq!(
        (&asked["TemplateId"], &asked["SubscribeStatusString"]),
        (&template, &json!("accept")),
        "{got}"
    );
    service.gets("subscribe_message", json!([openid, template, {}]));
    let got = waits(&mut server);
    let sent = &got["SubscribeMsgSentEvent"]["List"];
    assert_eq!(
        (&sent["TemplateId"], &sent["ErrorStatus"]),
        (&template, &json!("success")),
        "{got}"
    );
}

/// The one push that has to come.
fn waits(server: &mut Stranger) -> Value {
    for _ in 0..1000 {
        let mut got = server.gets("received", json!([]));
        if got[0].is_object() {
            return got[0].take();
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("nothing was pushed");
}
