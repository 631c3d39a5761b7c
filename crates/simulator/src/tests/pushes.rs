//! Message pushes as a backend meets them: over a real connection, read by [`push::Receiver`].

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{RawQuery, State},
    http::{HeaderMap, Method, StatusCode, header},
};
use clock::Timestamp;
use push::{Format, Mode, Packet, PushQuery, PushReply, Receiver};
use serde_json::{Value, json};

use super::{NOW, Sim};
use crate::{PushSettings, SimulatorSettings};

/// What a backend does with a push.
#[derive(Clone)]
enum Answer {
    Text(u16, &'static str),
    /// An object, in mode and format of the settings.
    Object(&'static str),
    Never,
}

/// A backend: what it got, and what it will answer; `success` when nothing is left.
struct Backend {
    url: String,
    seen: Arc<Mutex<Vec<Packet>>>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    settings: PushSettings,
}

impl Backend {
    async fn start(mode: Mode, format: Format) -> Self {
        let settings = PushSettings {
            mode,
            format,
            patience: Duration::from_millis(300),
            ..PushSettings::default()
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/wechat?of=mine", listener.local_addr().unwrap());
        let (seen, answers) = (Arc::default(), Arc::default());
        let state = (receiver(&settings), Arc::clone(&seen), Arc::clone(&answers));
        let app = Router::new().fallback(answer).with_state(state);
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            settings: PushSettings {
                url: Some(url.clone()),
                ..settings
            },
            url,
            seen,
            answers,
        }
    }

    fn sim(&self) -> Sim {
        Sim::with(SimulatorSettings {
            push: self.settings.clone(),
            ..SimulatorSettings::default()
        })
    }

    fn answers(&self, answers: &[Answer]) {
        self.answers.lock().unwrap().extend(answers.iter().cloned());
    }

    fn seen(&self) -> Vec<Packet> {
        self.seen.lock().unwrap().clone()
    }

    fn contents(&self) -> Vec<Value> {
        let content = |packet: &Packet| parsed(packet)["Content"].clone();
        self.seen().iter().map(content).collect()
    }

    /// Waits for this many.
    async fn waits(&self, many: usize) -> Vec<Packet> {
        for _ in 0..500 {
            if self.seen().len() >= many {
                return self.seen();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{many} pushes did not come: {:?}", self.seen());
    }
}

fn parsed(packet: &Packet) -> Value {
    serde_json::from_str(packet.as_json()).unwrap()
}

fn receiver(settings: &PushSettings) -> Receiver {
    let keys = vec![settings.aes_key.clone()];
    let (appid, token) = (SimulatorSettings::default().appid, settings.token.clone());
    Receiver::new(push::ConsoleSettings::new(
        &appid,
        token,
        settings.mode,
        settings.format,
        keys,
    ))
    .unwrap()
}

type Shared = (Receiver, Arc<Mutex<Vec<Packet>>>, Arc<Mutex<VecDeque<Answer>>>);

async fn answer(
    State((receiver, seen, answers)): State<Shared>,
    method: Method,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> (StatusCode, String) {
    let query = query.unwrap();
    let now = Timestamp::from_secs(NOW);
    if method == Method::GET {
        let query = PushQuery::parse(&query).unwrap();
        return (
            StatusCode::OK,
            receiver.verify_url(&query, now).unwrap().to_owned(),
        );
    }
    assert_eq!(method, Method::POST);
    assert_eq!(
        headers[header::CONTENT_TYPE],
        receiver.settings().format.content_type()
    );
    assert!(query.starts_with("of=mine&signature="), "{query}");
    let query = PushQuery::parse(&query).unwrap();
    let packet = receiver.receive(&query, &body, now).unwrap();
    seen.lock().unwrap().push(packet);
    let answer = answers.lock().unwrap().pop_front();
    match answer {
        None => (StatusCode::OK, "success".to_owned()),
        Some(Answer::Text(status, text)) => (StatusCode::from_u16(status).unwrap(), text.to_owned()),
        Some(Answer::Object(object)) => {
            let reply = PushReply::Object(object.to_owned());
            let body = receiver.answer(&reply, &query, now, [7; 16]).unwrap();
            (StatusCode::OK, body.text)
        }
        Some(Answer::Never) => std::future::pending().await,
    }
}

async fn push(sim: &Sim, given: Value) -> Value {
    let answer = sim.sim(Method::POST, "/sim/push", given).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json()
}

async fn fault(sim: &Sim, given: Value) {
    let answer = sim.sim(Method::POST, "/sim/faults", given).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
}

#[tokio::test]
async fn every_mode_and_format_is_received_and_its_reply_understood() {
    for mode in [Mode::Plain, Mode::Compatible, Mode::Secure] {
        for format in [Format::Json, Format::Xml] {
            let backend = Backend::start(mode, format).await;
            let sim = backend.sim();
            let case = format!("{mode:?} {format:?}");
            backend.answers(&[Answer::Object(r#"{"ErrCode":0,"ErrMsg":"success"}"#)]);
            let told = push(
                &sim,
                json!({ "type": "xpay_goods_deliver_notify", "user": "bob", "fields": { "OutTradeNo": "T&<1>" } }),
            )
            .await;
            let [packet] = &backend.seen()[..] else {
                panic!("{case}")
            };
            assert_eq!(parsed(packet), told["packet"], "{case}");
            assert_eq!(parsed(packet)["OutTradeNo"], "T&<1>", "{case}");
            assert_eq!(packet.create_time(), Some(NOW), "{case}");
            let [attempt] = &told["attempts"].as_array().unwrap()[..] else {
                panic!("{told}")
            };
            assert_eq!(
                attempt["reply"],
                json!({ "ErrCode": 0, "ErrMsg": "success" }),
                "{case}"
            );
            assert_eq!(
                (&attempt["at"], &attempt["status"], &attempt["acknowledged"]),
                (&json!(NOW), &json!(200), &json!(true))
            );
            let raw = attempt["answer"].as_str().unwrap();
            assert_eq!(raw.contains("Encrypt"), mode == Mode::Secure, "{case} {raw}");
            assert_eq!(
                (&told["mode"], &told["format"], &told["url"]),
                (
                    &json!(mode.as_str()),
                    &json!(format.as_str()),
                    &json!(backend.url)
                )
            );
        }
    }
}

#[tokio::test]
async fn a_message_is_the_users_and_opens_the_window() {
    let backend = Backend::start(Mode::Secure, Format::Json).await;
    let sim = backend.sim();
    let (openid, _) = sim.session("bob").await;
    let reply = json!({ "touser": openid, "msgtype": "text", "text": { "content": "在" } });
    let write = async || {
        sim.api("/cgi-bin/message/custom/send", reply.clone())
            .await
            .errcode()
    };
    assert_eq!(write().await, 45015);
    let told = push(
        &sim,
        json!({ "type": "text", "user": "bob", "fields": { "Content": "在吗" } }),
    )
    .await;
    assert_eq!(told["attempts"][0]["meaning"], "acknowledged");
    let packet = backend.seen()[0].clone();
    assert_eq!(packet.user(), Some(openid.as_str()));
    assert!(packet.msg_id().is_some_and(|id| id.len() >= 17));
    let app = sim.sim(Method::GET, "/sim/app", Value::Null).await.json();
    assert_eq!(packet.to_user(), app["originalID"]);
    for errcode in [0, 0, 0, 0, 0, 45047] {
        assert_eq!(write().await, errcode);
    }
    push(&sim, json!({ "type": "user_enter_tempsession", "user": "bob" })).await;
    for errcode in [0, 0, 45047] {
        assert_eq!(write().await, errcode);
    }
    // What the platform does says nothing of the user.
    push(&sim, json!({ "type": "wxa_media_check", "user": "bob" })).await;
    assert_eq!(write().await, 45047);
    assert_eq!(backend.seen()[2].user(), None);
}

#[tokio::test]
async fn what_is_not_acknowledged_is_sent_three_times() {
    let backend = Backend::start(Mode::Secure, Format::Json).await;
    let sim = backend.sim();
    backend.answers(&[
        Answer::Never,
        Answer::Text(500, "no"),
        Answer::Text(200, "Success"),
    ]);
    let told = push(&sim, json!({ "type": "text" })).await;
    let attempts = told["attempts"].as_array().unwrap();
    let meanings: Vec<_> = attempts
        .iter()
        .map(|attempt| attempt["meaning"].as_str().unwrap())
        .collect();
    assert_eq!(
        meanings,
        [
            "there was no answer within 0.3 s; WeChat sends it again",
            "HTTP 500 is no acknowledgement; WeChat sends it again",
            "acknowledged",
        ]
    );
    assert!(attempts[0]["ms"].as_u64().unwrap() >= 300, "{told}");
    assert!(attempts[0].get("status").is_none());
    assert_eq!(
        (&attempts[1]["status"], &attempts[1]["answer"]),
        (&json!(500), &json!("no"))
    );
    // It is the same message each time.
    let seen = backend.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|packet| packet.key() == seen[0].key()));

    // An object must be encrypted in secure mode, and a message wants none.
    backend.answers(&[
        Answer::Text(200, "{\"errcode\":0}"),
        Answer::Object("{\"errcode\":0}"),
        Answer::Text(200, "ok"),
    ]);
    let told = push(&sim, json!({ "type": "text" })).await;
    let meaning = |nth: usize| told["attempts"][nth]["meaning"].as_str().unwrap().to_owned();
    assert!(meaning(0).starts_with("the answer cannot be read: "), "{told}");
    assert!(
        meaning(1).starts_with("an object is no acknowledgement"),
        "{told}"
    );
    assert!(meaning(2).starts_with("the answer cannot be read: "), "{told}");
    assert!(
        meaning(2).ends_with("WeChat gives up, and the user reads 该小程序提供的服务出现故障，请稍后再试")
    );
    assert_eq!(told["attempts"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn retry_times_counts_where_the_event_has_it() {
    let backend = Backend::start(Mode::Plain, Format::Xml).await;
    let sim = backend.sim();
    let failed = Answer::Object(r#"{"ErrCode":99,"ErrMsg":"no stock"}"#);
    backend.answers(&[failed.clone(), failed.clone(), failed]);
    let told = push(&sim, json!({ "type": "xpay_refund_notify" })).await;
    assert_eq!(
        told["attempts"][2]["meaning"],
        "ErrCode 99 says that it failed; WeChat gives up"
    );
    let seen = backend.seen();
    let times: Vec<_> = seen
        .iter()
        .map(|packet| parsed(packet)["RetryTimes"].clone())
        .collect();
    assert_eq!(times, [json!(0), json!(1), json!(2)]);
    assert!(seen.iter().all(|packet| packet.key() == seen[0].key()));
}

#[tokio::test]
async fn where_nobody_listens_each_attempt_says_so() {
    let sim = Sim::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let told = push(&sim, json!({ "type": "image", "url": url })).await;
    let attempts = told["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 3);
    for attempt in attempts {
        assert!(
            attempt["meaning"].as_str().unwrap().contains("refused"),
            "{attempt}"
        );
    }
}

#[tokio::test]
async fn a_url_is_verified_on_demand() {
    let backend = Backend::start(Mode::Secure, Format::Xml).await;
    let sim = backend.sim();
    let verify = async |given: Value| sim.sim(Method::POST, "/sim/push/verify", given).await.json();
    let told = verify(json!({})).await;
    assert_eq!(
        (&told["verified"], &told["meaning"]),
        (&json!(true), &json!("verified"))
    );
    assert_eq!(
        (&told["url"], &told["status"]),
        (&json!(backend.url), &json!(200))
    );
    assert_eq!(told["answer"].as_str().map(str::len), Some(19));
    let told = verify(json!({ "url": "http://127.0.0.1:1/" })).await;
    assert_eq!(told["verified"], false);
    assert!(told["meaning"].as_str().unwrap().contains("refused"), "{told}");
}

#[tokio::test]
async fn what_cannot_be_pushed_is_refused_with_the_mend() {
    let sim = Sim::new();
    let url = "http://127.0.0.1:1/";
    for (given, words) in [
        (json!({ "type": "text" }), "no URL to push to: give url"),
        (
            json!({ "type": "text", "url": "localhost:3000/push" }),
            "is no URL to push to",
        ),
        (
            json!({ "type": "wxa_media_chek", "url": url }),
            "did you mean wxa_media_check",
        ),
        (
            json!({ "type": "subscribe_msg_event", "url": url }),
            "push one of subscribe_msg_popup_event",
        ),
        (
            json!({ "type": "wx_verify_dispatch", "url": url }),
            "no document says which fields",
        ),
        (
            json!({ "type": "text", "user": "carl", "url": url }),
            "there is no user \"carl\": there are alice, bob",
        ),
        (
            json!({ "type": "text", "url": url, "fields": { "FromUserName": 1 } }),
            "the field FromUserName is not text",
        ),
        (
            json!({ "type": "text", "Content": "?" }),
            "unknown field `Content`",
        ),
    ] {
        let answer = sim.sim(Method::POST, "/sim/push", given.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{given}");
        assert!(
            answer.text.contains(&words.replace('"', "\\\"")),
            "{given} {}",
            answer.text
        );
    }
    let xml = Sim::with(SimulatorSettings {
        push: PushSettings {
            format: Format::Xml,
            ..PushSettings::default()
        },
        ..SimulatorSettings::default()
    });
    let given = json!({ "type": "text", "url": url, "fields": { "a b": 1 } });
    let answer = xml.sim(Method::POST, "/sim/push", given).await;
    assert!(
        answer.text.contains("cannot be an XML element"),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn a_push_is_duplicated_reordered_and_delayed_by_faults() {
    let backend = Backend::start(Mode::Secure, Format::Json).await;
    let sim = backend.sim();
    let say = async |text: &str| push(&sim, json!({ "type": "text", "fields": { "Content": text } })).await;
    fault(&sim, json!({ "api": "push", "kind": "duplicate", "next": 1 })).await;
    let told = say("1").await;
    assert_eq!(told["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(
        (
            told["attempts"][0].get("duplicate"),
            &told["attempts"][1]["duplicate"]
        ),
        (None, &json!(true))
    );
    let seen = backend.seen();
    assert_eq!(seen[0].key(), seen[1].key());

    // Two of the next four, as none can be held back while another is.
    fault(
        &sim,
        json!({ "api": "push", "kind": "reorder", "probability": 1 }),
    )
    .await;
    let held = say("2").await;
    assert_eq!((&held["heldBack"], &held["attempts"]), (&json!(true), &json!([])));
    for text in ["3", "4", "5"] {
        say(text).await;
    }
    assert_eq!(backend.contents(), ["1", "1", "3", "2", "5", "4"]);
    let shown = sim.sim(Method::GET, "/sim/push", Value::Null).await.json();
    let shown: Vec<_> = shown["pushes"].as_array().unwrap().iter().collect();
    assert_eq!(shown.len(), 5);
    assert_eq!(
        (
            &shown[2]["packet"]["Content"],
            &shown[2]["attempts"][0]["meaning"]
        ),
        (&json!("2"), &json!("acknowledged"))
    );
    assert!(sim.heard("fault: text is held back"));

    sim.sim(Method::DELETE, "/sim/faults", Value::Null).await;
    fault(
        &sim,
        json!({ "api": "push", "kind": "latency", "value": 60, "next": 1 }),
    )
    .await;
    let began = std::time::Instant::now();
    say("6").await;
    assert!(began.elapsed() >= Duration::from_millis(60));
    // A fault of all calls is none of pushes.
    fault(
        &sim,
        json!({ "api": "*", "kind": "latency", "value": 5, "next": 1 }),
    )
    .await;
    say("7").await;
    assert_eq!(
        sim.sim(Method::GET, "/sim/faults", Value::Null).await.json()["faults"][1]["fired"],
        0
    );
    for (api, kind, words) in [
        ("push", "cut", "knows the kinds latency, duplicate and reorder"),
        ("*", "duplicate", "for pushes: give"),
        ("token", "reorder", "for pushes: give"),
    ] {
        let given = json!({ "api": api, "kind": kind, "next": 1 });
        let answer = sim.sim(Method::POST, "/sim/faults", given).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.text.contains(words), "{}", answer.text);
    }
}

#[tokio::test]
async fn what_users_do_is_pushed_where_there_is_a_url() {
    let backend = Backend::start(Mode::Secure, Format::Xml).await;
    let sim = backend.sim();
    let (openid, _) = sim.session("alice").await;
    sim.client(json!({ "user": "alice", "api": "enterSession", "sessionFrom": "help" }))
        .await;
    let packet = backend.waits(1).await.remove(0);
    assert_eq!(
        (packet.event(), packet.user()),
        ("user_enter_tempsession", Some(openid.as_str()))
    );
    assert_eq!(parsed(&packet)["SessionFrom"], "help");

    sim.client(json!({ "user": "alice", "api": "sendMessage", "content": "在吗" }))
        .await;
    let packet = backend.waits(2).await.remove(1);
    assert_eq!(
        (packet.msg_type(), &parsed(&packet)["Content"]),
        ("text", &json!("在吗"))
    );

    for id in ["a", "b"] {
        let template = json!({ "priTmplId": id });
        sim.sim(Method::POST, "/sim/templates", template).await;
    }
    let ask = json!({ "user": "alice", "api": "requestSubscribeMessage", "tmplIds": ["a", "b"] });
    sim.client(ask).await;
    let packet = backend.waits(3).await.remove(2);
    assert_eq!(
        (packet.event(), packet.from_user()),
        ("subscribe_msg_popup_event", openid.as_str())
    );
    assert_eq!(
        parsed(&packet)["List"],
        json!([
            { "TemplateId": "a", "SubscribeStatusString": "accept", "PopupScene": "2" },
            { "TemplateId": "b", "SubscribeStatusString": "accept", "PopupScene": "2" },
        ])
    );
    let message = json!({ "touser": openid, "template_id": "a", "data": {} });
    assert_eq!(
        sim.api("/cgi-bin/message/subscribe/send", message)
            .await
            .errcode(),
        0
    );
    let packet = parsed(&backend.waits(4).await.remove(3));
    assert_eq!(
        (&packet["Event"], &packet["FromUserName"]),
        (&json!("subscribe_msg_sent_event"), &json!(openid))
    );
    assert_eq!(
        (&packet["List"]["TemplateId"], &packet["List"]["ErrorStatus"]),
        (&json!("a"), &json!("success"))
    );
}

#[tokio::test]
async fn a_check_of_media_ends_with_a_push() {
    let backend = Backend::start(Mode::Secure, Format::Json).await;
    let sim = backend.sim();
    let rule = json!({ "kind": "media", "contains": "bad", "suggest": "risky", "label": 20002 });
    sim.sim(Method::POST, "/sim/verdicts", rule).await;
    let mut checks = Vec::new();
    for (url, version) in [
        ("https://example.com/bad.png", 2),
        ("https://example.com/good.png", 2),
        ("https://example.com/bad.mp3", 1),
    ] {
        let asked = json!({ "media_url": url, "media_type": 2, "version": version });
        let answer = sim.api("/wxa/media_check_async", asked).await.json();
        checks.push(answer["trace_id"].clone());
    }
    let mut packets: Vec<_> = backend.waits(3).await.iter().map(parsed).collect();
    let of = |packet: &Value| {
        checks
            .iter()
            .position(|trace| *trace == packet["trace_id"])
            .unwrap()
    };
    packets.sort_by_key(of);
    assert_eq!(
        packets[0]["result"],
        json!({ "suggest": "risky", "label": 20002 })
    );
    assert_eq!(packets[0]["detail"][0]["strategy"], "content_model");
    assert_eq!(packets[1]["result"], json!({ "suggest": "pass", "label": 100 }));
    assert_eq!(
        (&packets[2]["isrisky"], packets[2].get("result")),
        (&json!(1), None)
    );

    let alone = Sim::new();
    alone
        .api(
            "/wxa/media_check_async",
            json!({ "media_url": "https://example.com/" }),
        )
        .await;
    assert!(alone.heard("there is no URL to push the verdict to"));
}

#[tokio::test]
async fn a_push_of_itself_that_fails_is_told() {
    let backend = Backend::start(Mode::Secure, Format::Json).await;
    let sim = backend.sim();
    backend.answers(&[
        Answer::Text(404, ""),
        Answer::Text(404, ""),
        Answer::Text(404, ""),
    ]);
    sim.client(json!({ "user": "alice", "api": "enterSession" }))
        .await;
    backend.waits(3).await;
    for _ in 0..500 {
        if sim.heard("HTTP 404 is no acknowledgement; WeChat gives up") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", sim.notices);
}

#[tokio::test]
async fn which_message_goes_to_which_function_is_remembered() {
    let sim = Sim::new();
    let get = async || sim.api("/tcb/getcallbackconfig", json!({})).await.json();
    let nothing = json!({
        "errcode": 0,
        "errmsg": "ok",
        "data": {
            "function_config": { "enable": false, "callbacks": [] },
            "container_config": { "enable": false, "qbase_env": "", "qbase_container_path": "", "text_mode": 1 },
        },
    });
    assert_eq!(get().await, nothing);
    let row =
        json!({ "msgType": "text", "event": "", "env": "prod-1", "functionName": "kefu", "enable": true });
    let functions = json!({ "enable": true, "callbacks": [row] });
    let set = async |body: Value| sim.api("/tcb/setcallbackconfig", body).await;
    let answer = set(json!({ "function_config": functions })).await.json();
    assert_eq!(answer, json!({ "errcode": 0, "errmsg": "ok" }));
    let container = json!({ "enable": true, "qbase_env": "e", "qbase_container_path": "/p", "text_mode": 2 });
    set(json!({ "container_config": container })).await;
    let data = get().await["data"].clone();
    assert_eq!(
        data,
        json!({ "function_config": functions, "container_config": container })
    );

    let twice = json!({ "function_config": { "enable": true, "callbacks": [row, row] } });
    assert_eq!(set(twice).await.errcode(), 40097);
    let third = json!({ "container_config": { "enable": true, "text_mode": 3 } });
    assert_eq!(set(third).await.errcode(), 40097);
    assert_eq!(set(json!({ "function_config": 1 })).await.errcode(), 47001);
    assert_eq!(get().await["data"], data);
    assert_eq!(
        sim.get(&sim.with_token("/tcb/getcallbackconfig").await)
            .await
            .errcode(),
        43002
    );
    assert_eq!(
        sim.post("/tcb/setcallbackconfig", json!({})).await.errcode(),
        41001
    );
}
