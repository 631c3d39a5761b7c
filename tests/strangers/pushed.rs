//! What the simulator pushes, taken by strangers' push servers.

use std::time::Duration;

use ::push::{EncodingAesKey, Format, Mode, Token};
use clock::Clock;
use serde_json::{Value, json};
use simulator::{PushSettings, Secret, Settings, Simulator};

use super::{SECRET, Stranger};
use crate::support::{APPID, client};

pub(super) const TOKEN: &str = "strangersToken";
pub(super) const AES_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
pub(super) const SERVERS: [&str; 3] = [
    "pushed_to_wechatpy.py",
    "pushed_to_werobot.py",
    "pushed_to_node_easywechat.js",
];

/// A simulator with these push settings, in this process.
struct Platform(String);

impl Platform {
    async fn start(appid: &str, token: &str, aes_key: &str, mode: Mode, format: Format) -> Platform {
        let push = PushSettings {
            mode,
            format,
            token: Token::parse(token).unwrap(),
            aes_key: EncodingAesKey::parse(aes_key).unwrap(),
            // A busy machine is no reason to push again.
            patience: Duration::from_secs(30),
            ..PushSettings::default()
        };
        let settings = Settings {
            appid: appid.to_owned(),
            secret: Secret::from(SECRET.to_owned()),
            push,
            ..Settings::default()
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/sim/push", listener.local_addr().unwrap());
        let simulator = Simulator::new(settings, Clock::system(), |_| {});
        tokio::spawn(simulator.serve(listener, std::future::pending()));
        Platform(url)
    }

    /// What became of a push, or why there was none.
    async fn pushes(&self, what: Value) -> Value {
        let reply = client().post(&self.0).json(&what).send().await.unwrap();
        reply.json().await.unwrap()
    }
}

fn server(script: &'static str, mode: Mode) -> (Stranger, Value) {
    let settings = json!({
        "appid": APPID, "secret": SECRET, "token": TOKEN, "aesKey": AES_KEY, "mode": mode.as_str(),
    });
    let mut stranger = Stranger::start(script, &settings);
    let url = stranger.gets("url", json!([]));
    (stranger, url)
}

/// Whether the stranger can read such pushes at all.
fn reads(script: &str, mode: Mode, format: Format) -> bool {
    match format {
        Format::Xml => true,
        // node-easywechat takes what it decrypts for XML, WeRoBot everything.
        Format::Json => script.contains("wechatpy") || (script.contains("easywechat") && mode == Mode::Plain),
    }
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
    for script in SERVERS {
        for mode in [Mode::Plain, Mode::Compatible, Mode::Secure] {
            let (mut stranger, url) = server(script, mode);
            for format in [Format::Json, Format::Xml] {
                if !reads(script, mode, format) {
                    continue;
                }
                let said = format!("{script} {} {}", mode.as_str(), format.as_str());
                let platform = Platform::start(APPID, TOKEN, AES_KEY, mode, format).await;
                let text = json!({"type": "text", "user": "bob", "fields": {"Content": content}, "url": url});
                let told = platform.pushes(text).await;
                let attempts = told["attempts"]
                    .as_array()
                    .unwrap_or_else(|| panic!("{said}: {told}"));
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
                let passes_on =
                    format == Format::Xml && !(script.contains("easywechat") && mode == Mode::Plain);
                if passes_on {
                    let reply = &attempts[0]["reply"];
                    assert_eq!(reply["MsgType"], "transfer_customer_service", "{said}: {told}");
                    let encrypted = attempts[0]["answer"].as_str().unwrap().contains("<Encrypt>");
                    assert_eq!(encrypted, mode != Mode::Plain, "{said}: {told}");
                }

                let event =
                    json!({"type": "user_enter_tempsession", "fields": {"SessionFrom": "a=1"}, "url": url});
                let told = platform.pushes(event).await;
                assert_eq!(told["attempts"][0]["acknowledged"], true, "{said}: {told}");
                let got = stranger.gets("received", json!([]));
                assert_eq!(got[0]["SessionFrom"], "a=1", "{said}: {got}");
            }
        }
    }
}

#[tokio::test]
async fn every_kind_arrives_at_a_stranger_as_it_was_sent() {
    let (mut stranger, url) = server(SERVERS[0], Mode::Secure);
    let json = Platform::start(APPID, TOKEN, AES_KEY, Mode::Secure, Format::Json).await;
    let xml = Platform::start(APPID, TOKEN, AES_KEY, Mode::Secure, Format::Xml).await;
    let mut sent = 0;
    for kind in ::push::kinds::all() {
        let what = json!({"type": kind.name(), "url": url, "fields": {"Said": "云桥"}});
        let told = json.pushes(what.clone()).await;
        let got = stranger.gets("received", json!([]));
        assert_eq!(got[0], told["packet"], "{}: {told}", kind.name());
        let told = xml.pushes(what).await;
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
async fn a_stranger_refuses_pushes_that_are_not_its_apps() {
    let (mut stranger, url) = server(SERVERS[0], Mode::Secure);
    let text = json!({"type": "text", "url": url});
    let other_key = AES_KEY.replace('a', "b");
    for (appid, token, aes_key, why) in [
        (APPID, "anotherToken", AES_KEY, "InvalidSignatureException"),
        ("wxfedcba9876543210", TOKEN, AES_KEY, "InvalidAppIdException"),
        (APPID, TOKEN, other_key.as_str(), ""),
    ] {
        let platform = Platform::start(appid, token, aes_key, Mode::Secure, Format::Xml).await;
        let told = platform.pushes(text.clone()).await;
        let attempts = told["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), 3, "{told}");
        for attempt in attempts {
            assert_eq!(
                (&attempt["status"], &attempt["acknowledged"]),
                (&json!(403), &json!(false)),
                "{told}"
            );
            assert!(attempt["answer"].as_str().unwrap().contains(why), "{told}");
        }
    }
    assert_eq!(stranger.gets("received", json!([])), json!([]));
}
