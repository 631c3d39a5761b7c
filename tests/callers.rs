//! The other callers of a function: timers, and servers that use WeChat's HTTP API.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    strangers::{CoWechatApi, NodeEasywechat, Stranger, Wechatpy},
    support::{APPID, Dev, Scratch, Server, eventually, run, text, yunqiao},
};

/// Writes down what it was called with, and what a cloud call came to.
const WITNESS: &str = r"
const fs = require('fs');
const cloud = require('wx-server-sdk');
cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV });
exports.main = async (event) => {
  const { WX_API_TOKEN, WX_TRIGGER_API_TOKEN_V0, TRIGGER_SRC, WX_OPENID, WITNESS } = process.env;
  const { errCode } = await cloud.openapi.security.msgSecCheck({ content: 'hello' });
  const seen = { event, wx: cloud.getWXContext(), errCode, WX_API_TOKEN, WX_TRIGGER_API_TOKEN_V0, TRIGGER_SRC, WX_OPENID };
  if (WITNESS) fs.appendFileSync(WITNESS, JSON.stringify(seen) + '\n');
  return seen;
};";

/// What a function wrote down, call by call.
struct Witness(PathBuf);

impl Witness {
    fn calls(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        // The last line may be half written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn sees(&self, calls: usize) -> Vec<Value> {
        eventually(
            || self.calls().len() >= calls,
            || format!("{calls} calls in {}", self.0.display()),
        );
        self.calls()
    }
}

/// A function that is a witness; `version` is that of its SDK.
fn witness(project: &Scratch, outside: &Path, name: &str, version: &str, triggers: &Value) -> Witness {
    let path = outside.join(name);
    project.write(&format!("cloudfunctions/{name}/index.js"), WITNESS);
    let manifest = json!({"name": name, "dependencies": {"wx-server-sdk": version}});
    project.write(
        &format!("cloudfunctions/{name}/package.json"),
        &manifest.to_string(),
    );
    configure(project, name, triggers);
    let before = fs::read_to_string(project.path().join("yunqiao.toml")).unwrap_or_default();
    let variable = format!(
        "{before}[functions.{name}.env]\nWITNESS = {:?}\n",
        path.display().to_string()
    );
    project.write("yunqiao.toml", &variable);
    Witness(path)
}

fn configure(project: &Scratch, name: &str, triggers: &Value) {
    let config = json!({"permissions": {"openapi": ["security.msgSecCheck"]}, "triggers": triggers});
    project.write(&format!("cloudfunctions/{name}/config.json"), &config.to_string());
}

fn timer(name: &str, config: &str) -> Value {
    json!({"name": name, "type": "timer", "config": config})
}

const EACH_SECOND: &str = "* * * * * * *";

#[tokio::test]
async fn a_timer_fires_each_second_makes_cloud_calls_and_follows_its_file() {
    let project = Scratch::new(&[]);
    // Outside: what is written in the project reloads it.
    let outside = TempDir::new().unwrap();
    let each = json!([timer("each-second", EACH_SECOND)]);
    let old = witness(&project, outside.path(), "old", "1.8.3", &each);
    let new = witness(&project, outside.path(), "new", "4.0.2", &each);
    let dev = Dev::start(project.path());
    for witness in [&old, &new] {
        let calls = witness.sees(3);
        let mut before = None;
        for call in calls {
            let event = call["event"].as_object().unwrap();
            assert_eq!(
                event.keys().collect::<Vec<_>>(),
                ["Type", "TriggerName", "Time", "Message"]
            );
            assert_eq!(
                (&event["Type"], &event["TriggerName"], &event["Message"]),
                (&json!("Timer"), &json!("each-second"), &json!(""))
            );
            // 2026-11-21T15:00:00Z: of one form, so they can be compared as text; each second comes once.
            let time = text(&event["Time"]);
            assert_eq!((time.len(), &time[10..11], &time[19..]), (20, "T", "Z"), "{time}");
            assert!(before.is_none_or(|before| before < time), "{time}");
            before = Some(time);

            assert_eq!(call["errCode"], 0, "a cloud call: {call}");
            assert_eq!(call["TRIGGER_SRC"], "timer");
            assert!(
                call.get("WX_OPENID").is_none() && call.get("WX_API_TOKEN").is_none(),
                "{call}"
            );
            assert_eq!(text(&call["WX_TRIGGER_API_TOKEN_V0"]).len(), 32);
            let wx = call["wx"].as_object().unwrap();
            assert_eq!(
                (&wx["SOURCE"], &wx["ENV"]),
                (&json!("wx_trigger"), &json!("yunqiao"))
            );
            for absent in ["OPENID", "UNIONID", "CLIENTIP", "TRIGGER_API_TOKEN_V0"] {
                assert!(!wx.contains_key(absent), "{absent} in {call}");
            }
        }
    }
    // Told as any call is.
    dev.server.prints("wx_trigger");

    // Taken away, it fires no more; the other goes on.
    configure(&project, "old", &json!([]));
    dev.server.prints("reloaded");
    // What was fired before has ended when the other fired twice; from then on only that one does.
    let there = new.calls().len();
    new.sees(there + 2);
    let gone = old.calls().len();
    new.sees(there + 5);
    assert_eq!(old.calls().len(), gone);

    // A config.json with a slip stops its timer, not its function.
    configure(&project, "new", &json!([timer("each-second", "* * * * *")]));
    dev.server.prints("it has 5 of seven fields");
    let alice = dev.login("alice").await;
    let called = alice.result("new", json!({}), &[]).await;
    assert_eq!(called["TRIGGER_SRC"], "tcb");
}

/// Takes longer than the time between two ticks.
const SLOW: &str = r"
const fs = require('fs');
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
exports.main = async () => {
  fs.appendFileSync(process.env.WITNESS, 'b');
  await wait(1500);
  fs.appendFileSync(process.env.WITNESS, 'e');
};";

#[test]
fn a_tick_waits_for_no_other_and_is_not_cut_off_by_the_end() {
    let project = Scratch::new(&[("f", SLOW)]);
    let outside = TempDir::new().unwrap();
    let path = outside.path().join("ticks");
    let variable = format!("[functions.f.env]\nWITNESS = {:?}\n", path.display().to_string());
    project.write("yunqiao.toml", &variable);
    configure(&project, "f", &json!([timer("each-second", EACH_SECOND)]));
    let ticks = || fs::read_to_string(&path).unwrap_or_default();
    let dev = Dev::start(project.path());
    eventually(|| ticks().contains("bb") && ticks().ends_with('b'), ticks);
    drop(dev);
    let ticks = ticks();
    assert_eq!(ticks.matches('b').count(), ticks.matches('e').count(), "{ticks}");
}

#[test]
fn a_test_suite_is_not_disturbed_by_timers() {
    let project = Scratch::new(&[(
        "f",
        "exports.main = () => require('fs').writeFileSync(process.env.WITNESS, '1')",
    )]);
    let outside = TempDir::new().unwrap();
    let path = outside.path().join("fired");
    project.write(
        "yunqiao.toml",
        &format!("[functions.f.env]\nWITNESS = {:?}\n", path.display().to_string()),
    );
    configure(&project, "f", &json!([timer("each-second", EACH_SECOND)]));
    let (output, _, err) = run(yunqiao()
        .arg("exec")
        .arg(project.path())
        .args(["--", "sleep", "2.5"]));
    assert!(output.status.success(), "{err}");
    assert!(!path.exists());
}

/// Counts its calls: a worker of its own begins at 1.
const COUNTS: &str = "let calls = 0; exports.main = async (event) => ({ calls: ++calls, event })";

fn call(project: &Scratch, args: &[&str]) -> Command {
    let mut command = yunqiao();
    command.arg("call").args(args).arg("--dir").arg(project.path());
    command
}

#[test]
fn a_timer_is_fired_by_hand() {
    let project = Scratch::new(&[("one", COUNTS), ("two", COUNTS), ("none", COUNTS)]);
    configure(&project, "one", &json!([timer("nightly", "0 0 2 * * * *")]));
    configure(
        &project,
        "two",
        &json!([
            timer("nightly", "0 0 2 * * * *"),
            timer("weekly", "0 0 2 * * MON *")
        ]),
    );
    let (output, out, err) = run(&mut call(&project, &["one", "--timer"]));
    assert!(output.status.success(), "{err}");
    let result: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&result["event"]["Type"], &result["event"]["TriggerName"]),
        (&json!("Timer"), &json!("nightly")),
        "{out}"
    );
    let (output, out, err) = run(call(&project, &["two", "--timer", "weekly"]).arg("--json"));
    assert!(output.status.success(), "{err}");
    let reply: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(reply["result"]["event"]["TriggerName"], "weekly", "{out}");
    for (args, said) in [
        (&["two", "--timer"][..], "name one of them: nightly, weekly"),
        (&["two", "--timer", "daily"], "it has: nightly, weekly"),
        (&["none", "--timer"], "`triggers` in its config.json"),
        (
            &["missing", "--timer"],
            "FunctionName parameter could not be found",
        ),
        (&["one", "--timer", "--as", "bob"], "cannot be used with"),
    ] {
        let (output, _, err) = run(&mut call(&project, args));
        assert!(!output.status.success());
        assert!(err.contains(said), "{args:?}: {err}");
    }
}

#[tokio::test]
async fn a_timer_is_fired_by_hand_in_a_running_dev() {
    let project = Scratch::new(&[("one", COUNTS)]);
    configure(&project, "one", &json!([timer("nightly", "0 0 2 * * * *")]));
    let dev = Dev::start(project.path());
    for calls in [1, 2] {
        let (output, out, err) = run(&mut call(&project, &["one", "--timer"]));
        assert!(output.status.success(), "{err}");
        assert_eq!(
            serde_json::from_str::<Value>(&out).unwrap()["calls"],
            calls,
            "{out}"
        );
    }
    dev.server.prints("wx_trigger");
}

#[test]
fn what_was_missed_while_the_service_was_down_is_made_up_for_once() {
    let project = Scratch::new(&[]);
    let outside = TempDir::new().unwrap();
    project.write("secret", "0123456789abcdef0123456789abcdef");
    let wechat = Server::start(yunqiao().args([
        "simulate",
        "--port",
        "0",
        "--appid",
        APPID,
        "--secret",
        "0123456789abcdef0123456789abcdef",
    ]));
    project.write(
        "yunqiao.toml",
        &format!(
            "secret_file = \"secret\"\nlisten = \"127.0.0.1:0\"\nwechat = \"{}\"\n[timers]\nzone = \"UTC\"\nmissed = \"run-once\"\n",
            wechat.url
        ),
    );
    let each = json!([timer("each-second", EACH_SECOND)]);
    let witness = witness(&project, outside.path(), "f", "4.0.2", &each);
    let other = self::witness(&project, outside.path(), "other", "4.0.2", &each);
    let serve = || {
        let config = project.path().join("yunqiao.toml");
        Server::start(yunqiao().arg("serve").arg("-c").arg(config))
    };
    let mut first = serve();
    witness.sees(1);
    first.kill();
    // A second that begins when nobody is there, and is over.
    let second = jiff::SignedDuration::from_secs(1);
    let tick = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() + 1).unwrap();
    eventually(|| jiff::Timestamp::now() > tick + second, || tick.to_string());
    let before = witness.calls().len();
    configure(
        &project,
        "f",
        &json!([timer("then", &tick.strftime("%S %M %H %d %m * %Y").to_string())]),
    );
    let second = serve();
    let calls = witness.sees(before + 1);
    let event = &calls[before]["event"];
    assert_eq!(
        (&event["TriggerName"], &event["Time"]),
        (
            &json!("then"),
            &json!(tick.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        ),
        "{}",
        second.printed()
    );
    drop(second);
    let third = serve();
    // While another timer fires as it should, nothing is made up for again.
    let ticks = other.calls().len();
    other.sees(ticks + 3);
    assert_eq!(witness.calls().len(), before + 1, "{}", third.printed());
}

impl Dev {
    /// What the operator's listener answers by WeChat's HTTP API.
    async fn http_api(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> Value {
        let url = format!("{}{path}", self.operator);
        let reply = self.client.request(method, url).body(body).send().await.unwrap();
        assert_eq!(reply.status(), 200, "{path}");
        reply.json().await.unwrap()
    }

    async fn http_api_token(&self) -> String {
        let secret = text(&self.get_sim("app").await["secret"]);
        let path = format!("/cgi-bin/token?grant_type=client_credential&appid={APPID}&secret={secret}");
        let token = self.http_api(Method::GET, &path, "").await;
        assert_eq!(token["expires_in"], 7200, "{token}");
        text(&token["access_token"])
    }
}

#[tokio::test]
async fn other_servers_call_functions_as_they_called_wechat() {
    let project = Scratch::new(&[
        (
            "throws",
            "exports.main = async () => { throw new Error('no luck') }",
        ),
        ("silent", "exports.main = async () => {}"),
    ]);
    let outside = TempDir::new().unwrap();
    witness(&project, outside.path(), "f", "4.0.2", &json!([]));
    let dev = Dev::start(project.path());
    let token = dev.http_api_token().await;
    let invoke = async |query: &str, body: &str| {
        let path = format!("/tcb/invokecloudfunction?access_token={query}");
        dev.http_api(Method::POST, &path, body.to_owned()).await
    };

    // The older form: the body is the event.
    let sent = r#"{"a": 1.0e2, "userInfo": {"openId": "forged"}, "big": 12345678901234567890}"#;
    let reply = invoke(&format!("{token}&env=any&name=f"), sent).await;
    assert_eq!(
        (&reply["errcode"], &reply["errmsg"]),
        (&json!(0), &json!("ok")),
        "{reply}"
    );
    let result: Value = serde_json::from_str(reply["resp_data"].as_str().unwrap()).unwrap();
    assert_eq!(
        result["event"],
        json!({"a": 100, "big": 12345678901234567000_u64, "userInfo": {"appId": APPID}})
    );
    assert_eq!(
        (&result["wx"]["SOURCE"], &result["TRIGGER_SRC"]),
        (&json!("wx_http"), &json!("tcb"))
    );
    assert!(result["wx"].get("OPENID").is_none(), "{result}");
    assert_eq!(result["errCode"], 0, "a cloud call: {result}");
    // The newer form, with an object and with its text.
    for req_data in [json!({"a": 2}), json!(r#"{"a":2}"#)] {
        let body = json!({"env": "any", "name": "f", "req_data": req_data});
        let reply = invoke(&token, &body.to_string()).await;
        let result: Value = serde_json::from_str(reply["resp_data"].as_str().unwrap()).unwrap();
        assert_eq!(result["event"]["a"], 2, "{reply}");
    }
    assert_eq!(
        invoke(&format!("{token}&env=e&name=silent"), "{}").await["resp_data"],
        "null"
    );

    for (query, body, errcode, part) in [
        (
            format!("{token}&env=e&name=nowhere"),
            "{}",
            -501000,
            "FunctionName parameter could not be found",
        ),
        (format!("{token}&env=e&name=throws"), "{}", -504002, "no luck"),
        (format!("{token}&env=e&name=f"), "", 44002, "empty post data"),
        (
            format!("{token}&env=e&name=f"),
            "[1]",
            47001,
            "`data` must be an object",
        ),
        (format!("{token}&name=f"), "{}", 40101, "missing parameter: env"),
        (format!("{token}&env=e"), "{}", 40101, "missing parameter: name"),
        (String::new(), "{}", 41001, "access_token missing"),
        (
            "none-of-ours&env=e&name=f".to_owned(),
            "{}",
            40014,
            "invalid access_token",
        ),
    ] {
        let reply = invoke(&query, body).await;
        assert_eq!(reply["errcode"], errcode, "{reply}");
        assert!(reply["errmsg"].as_str().unwrap().contains(part), "{reply}");
    }
    let path = format!("/tcb/invokecloudfunction?access_token={token}&env=e&name=f");
    assert_eq!(dev.http_api(Method::GET, &path, "").await["errcode"], 43002);
    // The note says what the code does not.
    dev.server.prints("GET /cgi-bin/token of this listener gives one");

    // The token opens nothing else, and lapses by WeChat's time.
    for path in ["/operator/access-token", "/operator/wx/wxa/msg_sec_check"] {
        let url = format!("{}{path}", dev.operator);
        let reply = dev
            .client
            .post(url)
            .bearer_auth(&token)
            .body("{}")
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status(), 401, "{path}");
    }
    let at_wechat = format!("{}/wxa/msg_sec_check?access_token={token}", dev.wechat);
    let reply = dev
        .client
        .post(at_wechat)
        .body(r#"{"content":"x"}"#)
        .send()
        .await
        .unwrap();
    assert_eq!(reply.json::<Value>().await.unwrap()["errcode"], 40001);
    dev.sim("clock", json!({"advance": 7200})).await;
    assert_eq!(
        invoke(&format!("{token}&env=e&name=f"), "{}").await["errcode"],
        42001
    );
}

#[tokio::test]
async fn tokens_are_given_for_appid_and_appsecret_and_not_to_pages() {
    let project = Scratch::new(&[("f", "exports.main = async () => 1")]);
    let dev = Dev::start(project.path());
    let secret = text(&dev.get_sim("app").await["secret"]);
    let stable = async |body: Value| {
        dev.http_api(Method::POST, "/cgi-bin/stable_token", body.to_string())
            .await
    };
    let good =
        json!({"grant_type": "client_credential", "appid": APPID, "secret": secret, "force_refresh": true});
    let token = stable(good.clone()).await;
    assert_eq!(token["expires_in"], 7200, "{token}");
    let token = text(&token["access_token"]);
    let path = format!("/tcb/invokecloudfunction?access_token={token}&env=e&name=f");
    assert_eq!(dev.http_api(Method::POST, &path, "{}").await["resp_data"], "1");

    for (name, value, errcode) in [
        ("appid", "", 41002),
        ("appid", "wxfedcba9876543210", 40013),
        ("secret", "", 41004),
        ("secret", "fedcba9876543210fedcba9876543210", 40125),
        ("grant_type", "authorization_code", 40002),
    ] {
        let mut asked = good.clone();
        asked[name] = json!(value);
        let reply = stable(asked).await;
        assert_eq!(reply["errcode"], errcode, "{reply}");
        assert!(reply["errmsg"].as_str().unwrap().contains(" rid: "), "{reply}");
    }
    for (method, path, body, errcode) in [
        (Method::GET, "/cgi-bin/stable_token", "", 43002),
        (Method::POST, "/cgi-bin/stable_token", "", 44002),
        (Method::POST, "/cgi-bin/stable_token", "{", 47001),
        (Method::PUT, "/cgi-bin/token", "", 43001),
        (Method::GET, "/cgi-bin/token", "", 41002),
    ] {
        assert_eq!(
            dev.http_api(method, path, body).await["errcode"],
            errcode,
            "{path} {body}"
        );
    }
    let said = dev.server.printed();
    assert!(!said.contains(&secret) && !said.contains(&token), "{said}");
    for (header, value) in [("origin", "https://evil.example"), ("host", "evil.example")] {
        let request = dev
            .client
            .post(format!("{}{path}", dev.operator))
            .header(header, value);
        assert_eq!(request.body("{}").send().await.unwrap().status(), 403, "{header}");
    }
}

#[tokio::test]
async fn sdks_in_other_languages_call_functions_unmodified() {
    let project = Scratch::new(&[("f", "exports.main = async (event) => ({ event, 你: '好' })")]);
    let dev = Dev::start(project.path());
    let secret = text(&dev.get_sim("app").await["secret"]);
    let expected = json!({"event": {"a": 1, "userInfo": {"appId": APPID}}, "你": "好"});
    let settings = json!({"wechat": dev.operator, "appid": APPID, "secret": secret});
    let mut python = Stranger::start(Wechatpy.script(), &settings);
    assert_eq!(python.gets("invoke", json!(["env", "f", {"a": 1}])), expected);
    // It fetches another token by itself when one has lapsed.
    dev.sim("clock", json!({"advance": 7200})).await;
    assert_eq!(python.gets("invoke", json!(["env", "f", {"a": 1}])), expected);
    python.fails("invoke", json!(["env", "g", {}]), -501000);
    for sdk in [CoWechatApi, NodeEasywechat] {
        let mut node = Stranger::start(sdk.script(), &settings);
        let token = node.gets("token", json!([]));
        let asked = json!({"env": "env", "name": "f", "req_data": r#"{"a":1}"#});
        let reply = node.gets("call", json!(["/tcb/invokecloudfunction", token, asked]));
        let result: Value = serde_json::from_str(reply["resp_data"].as_str().unwrap()).unwrap();
        assert_eq!(result, expected);
    }
    let wrong = json!({"wechat": dev.operator, "appid": APPID, "secret": "fedcba9876543210fedcba9876543210"});
    Stranger::start(Wechatpy.script(), &wrong).fails("invoke", json!(["env", "f", {}]), 40125);
}
