//! What we serve in WeChat's place, judged by SDKs in other languages that know nothing of us: the simulated WeChat, what it pushes,
//! and the gateway's push (`callers` has its HTTP API); and the database, judged by MongoDB's drivers (`database`). They are
//! installed as they are, each behind a script in `strangers/` that does no more than hand on what it is told.

mod database;
pub(crate) mod install;
mod pushed;
mod pushing;

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};

use crate::support::{APPID, Server, client, text, yunqiao};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What an app without a backend of ours has: a simulated WeChat.
struct WeChat(Server);

impl WeChat {
    fn start() -> Self {
        Self::with(APPID, &[])
    }

    fn with(appid: &str, options: &[&str]) -> Self {
        let start = ["simulate", "--port", "0", "--appid", appid, "--secret", SECRET];
        Self(Server::start(yunqiao().args(start).args(options)))
    }

    async fn sim(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/sim/{path}", self.0.url);
        let reply = client().post(url).json(&body).send().await.unwrap();
        assert!(
            reply.status().is_success(),
            "{path} {body}: {}",
            reply.text().await.unwrap()
        );
        reply.json().await.unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        let url = format!("{}/sim/{path}", self.0.url);
        client().get(url).send().await.unwrap().json().await.unwrap()
    }

    async fn wx(&self, user: &str, api: &str) -> Value {
        let reply = self.sim("client", json!({"user": user, "api": api})).await;
        assert_eq!(reply["errMsg"], format!("{api}:ok"), "{reply}");
        reply
    }

    async fn login_code(&self, user: &str) -> Value {
        self.wx(user, "login").await["code"].take()
    }

    async fn openid(&self, user: &str) -> Value {
        let users = self.get("users").await["users"].take();
        let users = users.as_array().unwrap();
        users.iter().find(|known| known["name"] == user).unwrap()["openid"].clone()
    }

    async fn advance(&self, seconds: u64) {
        self.sim("clock", json!({"advance": seconds})).await;
    }
}

/// The SDKs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sdk {
    Wechatpy,
    CoWechatApi,
    NodeEasywechat,
}

pub(crate) use Sdk::{CoWechatApi, NodeEasywechat, Wechatpy};

const ALL: [Sdk; 3] = [Wechatpy, CoWechatApi, NodeEasywechat];

impl Sdk {
    pub(crate) fn script(self) -> &'static str {
        match self {
            Wechatpy => "with_wechatpy.py",
            CoWechatApi => "with_co_wechat_api.js",
            NodeEasywechat => "with_node_easywechat.js",
        }
    }
}

/// A running script that stands on somebody else's SDK.
pub(crate) struct Stranger {
    script: &'static str,
    child: Child,
    told: ChildStdin,
    says: BufReader<ChildStdout>,
}

impl Stranger {
    fn of(sdk: Sdk, wechat: &WeChat) -> Self {
        Self::as_app(sdk, wechat, APPID, SECRET)
    }

    fn as_app(sdk: Sdk, wechat: &WeChat, appid: &str, secret: &str) -> Self {
        let settings = json!({"wechat": wechat.0.url, "appid": appid, "secret": secret});
        Self::start(sdk.script(), &settings)
    }

    pub(crate) fn start(script: &'static str, settings: &Value) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/strangers")
            .join(script);
        let mut command = if script.ends_with(".py") {
            let mut command = Command::new(install::python());
            command.arg("-B");
            command
        } else {
            let mut command = Command::new("node");
            command.env("NODE_PATH", install::node_modules());
            // Of what their authors should mend.
            command.env("NODE_NO_WARNINGS", "1");
            command
        };
        command.arg(path);
        let mut child = command
            .arg(settings.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stranger = Self {
            script,
            told: child.stdin.take().unwrap(),
            says: BufReader::new(child.stdout.take().unwrap()),
            child,
        };
        assert_eq!(stranger.answer(), json!({"ok": "ready"}), "{script}");
        stranger
    }

    /// What it says of a deed: `{"ok"}`, or, in the words of its own exception, `{"errcode","errmsg"}`.
    fn does(&mut self, deed: &str, with: Value) -> Value {
        writeln!(self.told, "{}", json!({"do": deed, "with": with})).unwrap();
        self.answer()
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{} said {line:?}", self.script))
    }

    /// What comes of a deed that succeeds.
    pub(crate) fn gets(&mut self, deed: &str, with: Value) -> Value {
        let mut said = self.does(deed, with.clone());
        assert!(said.get("ok").is_some(), "{} {deed} {with}: {said}", self.script);
        said["ok"].take()
    }

    /// Does what fails with WeChat's `errcode`, and says so.
    pub(crate) fn fails(&mut self, deed: &str, with: Value, errcode: i32) {
        let said = self.does(deed, with.clone());
        assert_eq!(said["errcode"], errcode, "{} {deed} {with}: {said}", self.script);
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a file is sent as: its name, its type, and its bytes.
fn picture() -> Value {
    json!(["a.png", "image/png", "iVBORw0KGgo="])
}

#[tokio::test]
async fn users_log_in_and_their_open_data_is_opened() {
    let wechat = WeChat::start();
    for sdk in ALL {
        let mut stranger = Stranger::of(sdk, &wechat);
        let code = wechat.login_code("alice").await;
        let session = stranger.gets("log_in", json!([code]));
        assert_eq!(session["openid"], wechat.openid("alice").await, "{sdk:?}");
        assert!(session["unionid"].is_string(), "{sdk:?}: {session}");
        stranger.fails("log_in", json!([code]), 40163); // each is good once
        stranger.fails("log_in", json!(["0no-such-code"]), 40029);
        let late = wechat.login_code("alice").await;
        wechat.advance(301).await;
        stranger.fails("log_in", json!([late]), 40029); // five minutes are over
        // The key may be another by now: open data is encrypted with the newest.
        let session = stranger.gets("log_in", json!([wechat.login_code("alice").await]));
        let key = &session["session_key"];
        if sdk == CoWechatApi {
            // It cannot decrypt.
            continue;
        }
        let steps = wechat.wx("alice", "getWeRunData").await;
        let opened = stranger.gets("decrypt", json!([key, steps["iv"], steps["encryptedData"]]));
        assert_eq!(opened["stepInfoList"].as_array().unwrap().len(), 31, "{sdk:?}");
        assert_eq!(opened["watermark"]["appid"], APPID, "{sdk:?}");
        let phone = wechat.wx("alice", "getPhoneNumber").await;
        let opened = stranger.gets("decrypt", json!([key, phone["iv"], phone["encryptedData"]]));
        assert_eq!(opened["purePhoneNumber"], "12066600001", "{sdk:?}");
        let said = stranger.does("decrypt", json!([key, steps["iv"], phone["encryptedData"]]));
        assert!(
            said.get("ok").is_none(),
            "{sdk:?}: another's iv opens nothing: {said}"
        );
        if sdk == Wechatpy {
            let profile = wechat.wx("alice", "getUserInfo").await;
            let (raw, signature) = (&profile["rawData"], &profile["signature"]);
            assert_eq!(stranger.gets("verify", json!([key, raw, signature])), true);
            let said = stranger.does("verify", json!([key, format!("{} ", text(raw)), signature]));
            assert_eq!(said["error"], "InvalidSignatureException", "{said}");
        } else {
            let got = stranger.gets("phone_number", json!([phone["code"]]));
            assert_eq!(got["phone_info"]["purePhoneNumber"], "12066600001");
            stranger.fails("phone_number", json!([phone["code"]]), 40029);
        }
    }
}

#[tokio::test]
async fn a_token_is_fetched_again_when_it_has_expired() {
    const ANY: &str = "/cgi-bin/message/custom/send";
    let wechat = WeChat::start();
    let openid = wechat.openid("alice").await;
    let hello = json!([openid, "你好"]);
    for sdk in ALL {
        let mut stranger = Stranger::of(sdk, &wechat);
        wechat.wx("alice", "sendMessage").await;
        stranger.gets("text_message", hello.clone());
        let token = stranger.gets("token", json!([]));
        wechat.advance(7201).await;
        let body = json!({"touser": openid, "msgtype": "text", "text": {"content": "你好"}});
        stranger.fails("call", json!([ANY, token, body]), 42001);
        if sdk == NodeEasywechat {
            // It goes by the machine's clock, and leaves what to do to the caller.
            stranger.fails("text_message", hello.clone(), 42001);
            stranger.gets("refresh", json!([]));
        }
        stranger.gets("text_message", hello.clone());
        let newer = stranger.gets("token", json!([]));
        assert_ne!(newer, token, "{sdk:?}");

        // A plain token outlives the next by five minutes, and a stable one is the same until it is forced.
        let newest = stranger.gets("refresh", json!([]));
        assert_eq!(newest == newer, sdk == NodeEasywechat, "{sdk:?}");
        stranger.gets("call", json!([ANY, newer, body]));
        if sdk == NodeEasywechat {
            assert_ne!(stranger.gets("force", json!([])), newer);
        } else {
            wechat.advance(301).await;
        }
        stranger.fails("call", json!([ANY, newer, body]), 40001);
    }
}

#[tokio::test]
async fn a_refusal_is_the_strangers_own_exception() {
    const ANY: &str = "/cgi-bin/openapi/quota/get";
    let wechat = WeChat::start();
    for sdk in ALL {
        let mut stranger = Stranger::of(sdk, &wechat);
        let asked = json!({"cgi_path": "/wxa/getwxacodeunlimit"});
        stranger.fails("call", json!([ANY, "", asked]), 41001);
        stranger.fails("call", json!([ANY, "no-such-token", asked]), 40001);
        let token = stranger.gets("token", json!([]));
        let quota = stranger.gets("call", json!([ANY, token, asked]));
        assert!(quota["quota"]["remain"].as_u64().unwrap() > 0, "{sdk:?}: {quota}");
        stranger.fails("call", json!([ANY, token, null]), 43002); // no GET
        for code in [-1, 45009, 48001] {
            let fault = json!({"api": ANY, "kind": "errcode", "value": code, "next": 1});
            wechat.sim("faults", fault).await;
            let said = stranger.does("call", json!([ANY, token, asked]));
            assert_eq!(said["errcode"], code, "{sdk:?}: {said}");
            if sdk == Wechatpy {
                let own = ["WeChatClientException", "APILimitedException"][usize::from(code == 45009)];
                assert_eq!(said["error"], own, "{said}");
            }
        }

        let mut foreign = Stranger::as_app(sdk, &wechat, "wx0000000000000000", SECRET);
        let code = wechat.login_code("alice").await;
        foreign.fails("log_in", json!([code]), 40013);
        foreign.fails("token", json!([]), 40013);
        let mut wrong = Stranger::as_app(sdk, &wechat, APPID, "fedcba9876543210fedcba9876543210");
        wrong.fails("log_in", json!([code]), 40125);
        wrong.fails("token", json!([]), 40125);
        stranger.gets("log_in", json!([code]));
    }
}

#[tokio::test]
async fn a_subscribe_message_reaches_who_subscribed() {
    let wechat = WeChat::start();
    let template = wechat
        .sim(
            "templates",
            json!({"content": "会议时间:{{date2.DATA}}\n会议地点:{{thing1.DATA}}\n"}),
        )
        .await["priTmplId"]
        .take();
    let openid = wechat.openid("alice").await;
    let data = json!({"date2": {"value": "2026年11月21日"}, "thing1": {"value": "云桥"}});
    for sdk in ALL {
        let mut stranger = Stranger::of(sdk, &wechat);
        let message = json!([openid, template, data]);
        stranger.fails("subscribe_message", message.clone(), 43101);
        let accepts = json!({"user": "alice", "api": "requestSubscribeMessage", "tmplIds": [template]});
        wechat.sim("client", accepts).await;
        for (wrong, code) in [
            (json!([openid, "no-such-template", data]), 40037),
            (json!(["no-such-user", template, data]), 40003),
            (
                json!([openid, template, {"date2": {"value": "2026年11月21日"}}]),
                47003,
            ),
        ] {
            stranger.fails("subscribe_message", wrong, code);
        }
        stranger.gets("subscribe_message", message.clone());
        stranger.fails("subscribe_message", message, 43101); // one each time
    }
    let outbox = wechat.get("outbox").await["items"].take();
    let sent = outbox.as_array().unwrap();
    assert_eq!(sent.len(), ALL.len(), "{outbox}");
    for item in sent {
        assert_eq!((&item["to"], &item["body"]["data"]), (&openid, &data));
    }
}

#[tokio::test]
async fn customer_service_answers_while_it_may() {
    let wechat = WeChat::start();
    let alice = json!([wechat.openid("alice").await, "你好"]);
    for sdk in ALL {
        let mut stranger = Stranger::of(sdk, &wechat);
        stranger.fails("text_message", alice.clone(), 45015); // not a word yet
        stranger.fails("text_message", json!(["no-such-user", "你好"]), 40003);
        wechat.wx("alice", "sendMessage").await;
        for _ in 0..5 {
            stranger.gets("text_message", alice.clone());
        }
        stranger.fails("text_message", alice.clone(), 45047); // five, and no more
        wechat.wx("alice", "sendMessage").await;
        wechat.advance(48 * 3600 + 1).await;
        // easywechat's token, which is as old, is not what is asked about.
        stranger.gets("refresh", json!([]));
        stranger.fails("text_message", alice.clone(), 45015); // two days are over
        wechat.wx("alice", "enterSession").await;
        stranger.gets("text_message", alice.clone());
        wechat.advance(61).await;
        stranger.fails("text_message", alice.clone(), 45015);
    }
}

#[tokio::test]
async fn files_go_both_ways() {
    /// What every PNG begins with, as base64.
    const PNG: &str = "iVBORw0KGgo";
    let wechat = WeChat::start();
    let openid = wechat.openid("alice").await;
    for sdk in ALL {
        let mut stranger = Stranger::of(sdk, &wechat);
        let code = text(&stranger.gets("code", json!(["a=1&b=2", "pages/index/index"])));
        assert!(code.starts_with(PNG) && code.len() > 200, "{sdk:?}: {code}");
        let uploaded = stranger.gets("upload", picture());
        assert_eq!(uploaded["type"], "image", "{sdk:?}: {uploaded}");
        assert_eq!(text(&uploaded["media_id"]).len(), 64, "{sdk:?}");
        let outbox = wechat.get("outbox").await["items"].take();
        let sent = &outbox.as_array().unwrap().last().unwrap()["body"]["media"];
        assert_eq!(
            (&sent["fileName"], &sent["contentType"], &sent["bytes"]),
            (&json!("a.png"), &json!("image/png"), &json!(8)),
            "{sdk:?}: {sent}"
        );
        if sdk == CoWechatApi {
            // It checks no content.
            continue;
        }
        stranger.gets("check_image", picture());
        let risky = "特3456书yuuo莞6543李zxcz蒜7782法fgnv级";
        if sdk == Wechatpy {
            stranger.gets("check_text", json!(["你好"]));
            stranger.fails("check_text", json!([risky]), 87014);
        } else {
            for (content, suggest) in [("你好", "pass"), (risky, "risky")] {
                let said = stranger.gets("check_text", json!([content, 2, 1, openid]));
                assert_eq!(said["result"]["suggest"], suggest, "{said}");
            }
        }
        wechat
            .sim("verdicts", json!({"kind": "image", "suggest": "risky"}))
            .await;
        stranger.fails("check_image", picture(), 87014);
        wechat
            .sim("verdicts", json!({"kind": "image", "suggest": "pass"}))
            .await;
    }
    let mut stranger = Stranger::of(Wechatpy, &wechat);
    stranger.fails("paid_unionid", json!([openid]), 89300);
    wechat.wx("alice", "requestPayment").await;
    assert!(stranger.gets("paid_unionid", json!([openid])).is_string());
}
