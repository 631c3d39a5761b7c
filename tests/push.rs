//! Message push as WeChat's servers do it: every mode and format, duplicates, order, patience, failures, dead letters; and a
//! gateway that is killed again and again while pushes come in.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clock::Timestamp;
use futures_util::future::join_all;
use push::{ConsoleSettings, EncodingAesKey, Format, Mode, PushReply, PushToken, Sender};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::RwLock;

use crate::support::{APPID, Dev, Scratch, Server, eventually, text, yunqiao};

pub(crate) const TOKEN: &str = "AAAAAA";
pub(crate) const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
const OLD_KEY: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";

/// Notes each call in a file, one line in one write; then does what the message says.
pub(crate) const FUNCTION: &str = r"
const fs = require('fs');
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const note = (line) => fs.appendFileSync(process.env.LOG, JSON.stringify(line) + '\n');
exports.main = async (event, context) => {
  const { WX_OPENID: openid = null, TCB_SOURCE: source } = process.env;
  note({ event, openid, source, attempt: context.attempt });
  const [what, number] = String(event.Content || event.what || '').split(' ');
  if (what === 'sleep') await sleep(Number(number));
  if (what === 'hold') while (!fs.existsSync(`${process.env.LOG}.${number}`)) await sleep(10);
  if (what === 'fail' && context.attempt <= Number(number)) throw new Error('as asked for');
  if (what === 'broken' && !fs.existsSync(process.env.LOG + '.mended')) throw new Error('broken');
  if (what === 'odd') return { MsgType: 'text', 'no name': 1 };
  if (what === 'refuse') return { ErrCode: 7, ErrMsg: 'no goods' };
  if (event.MsgType === 'event') return { ErrCode: 0, ErrMsg: 'success' };
  note({ end: event.Content });
  return {
    ToUserName: event.FromUserName, FromUserName: event.ToUserName, CreateTime: 1700000000,
    MsgType: 'transfer_customer_service', Attempt: context.attempt,
  };
};
";

pub(crate) fn settings(appid: &str, token: &str, key: &str, mode: Mode, format: Format) -> ConsoleSettings {
    let key = EncodingAesKey::parse(key).unwrap();
    ConsoleSettings::new(appid, PushToken::parse(token).unwrap(), mode, format, vec![key])
}

fn now() -> Timestamp {
    clock::Clock::system().now()
}

fn random() -> [u8; 16] {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    u128::from(NEXT.fetch_add(1, Ordering::Relaxed))
        .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
        .to_be_bytes()
}

/// WeChat, with regard to one server.
pub(crate) struct Pusher {
    sender: Sender,
    url: String,
    client: reqwest::Client,
}

impl Pusher {
    pub(crate) fn new(url: &str, settings: ConsoleSettings) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            sender: Sender::new(settings).unwrap(),
            url: format!("{url}/v1/push"),
            // A server that was killed leaves connections behind that look usable.
            client: reqwest::Client::builder()
                .no_proxy()
                .pool_max_idle_per_host(0)
                .build()
                .unwrap(),
        }
    }

    pub(crate) fn request(&self, packet: &Value) -> push::PushRequest {
        let nonce = u64::from_be_bytes(random()[8..].try_into().unwrap()).to_string();
        self.sender
            .push(&packet.to_string(), now(), &nonce, random())
            .unwrap()
    }

    /// Sends a request: status and body, or nothing where nobody answers.
    pub(crate) async fn send(&self, request: &push::PushRequest) -> Option<(u16, String)> {
        let reply = self
            .client
            .post(format!("{}?{}", self.url, request.query))
            .header("content-type", request.content_type)
            .body(request.body.clone())
            .timeout(Duration::from_secs(5))
            .send()
            .await
            .ok()?;
        Some((reply.status().as_u16(), reply.text().await.ok()?))
    }

    /// Pushes a packet once.
    async fn push(&self, packet: &Value) -> (u16, String) {
        self.send(&self.request(packet)).await.unwrap()
    }

    /// Pushes a packet that is acknowledged, and gives what the function wants WeChat to know: `null` if nothing.
    pub(crate) async fn reply(&self, packet: &Value) -> Value {
        let (status, body) = self.push(packet).await;
        assert_eq!(status, 200, "{body}");
        self.read(&body)
    }

    fn read(&self, body: &str) -> Value {
        match self.sender.read_reply(body.as_bytes()).unwrap() {
            PushReply::Success => Value::Null,
            PushReply::Object(object) => serde_json::from_str(&object).unwrap(),
        }
    }
}

pub(crate) fn message(from: &str, id: u64, content: &str) -> Value {
    json!({
        "ToUserName": "gh_0123456789ab", "FromUserName": from, "CreateTime": 1_700_000_000, "MsgType": "text",
        "Content": content, "MsgId": id,
    })
}

fn payment(number: u64, what: &str) -> Value {
    json!({
        "ToUserName": "gh_0123456789ab", "FromUserName": "oSystem", "CreateTime": 1_700_000_000, "MsgType": "event",
        "Event": "xpay_goods_deliver_notify", "OutTradeNo": format!("trade-{number}"), "what": what, "RetryTimes": 0,
    })
}

/// A project whose function gets all pushes, and the file that it notes them in.
pub(crate) struct Place {
    pub(crate) project: Scratch,
    log: PathBuf,
}

impl Place {
    pub(crate) fn new(function: &str, push: &str, toml: &str) -> Self {
        let project = Scratch::new(&[("pushed", function)]);
        let log = project.path().join("log");
        fs::write(&log, "").unwrap();
        let mut text = format!("{toml}\n[push.routes]\n\"*\" = \"pushed\"\n");
        if !push.is_empty() {
            write!(
                text,
                "[push]\ntoken = \"{TOKEN}\"\naes_keys = [\"{KEY}\", \"{OLD_KEY}\"]\n{push}\n"
            )
            .unwrap();
        }
        write!(text, "[functions.pushed]\ntimeout = 20\nconcurrency = 32\nmax_instances = 1\nenv = {{ LOG = {log:?} }}\n").unwrap();
        project.write("yunqiao.toml", &text);
        Self { project, log }
    }

    /// Lets calls go on that a message "hold NAME" made wait.
    pub(crate) fn let_go(&self, name: &str) {
        fs::write(self.log.with_extension(name), "").unwrap();
    }

    /// What the function noted so far.
    fn noted(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.log).unwrap();
        // The last line may be half written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Waits until an attempt for a message has begun.
    async fn begun(&self, packet: &Value) {
        while self.attempts(packet).is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The attempts for a message or event, in the order in which they began.
    pub(crate) fn attempts(&self, packet: &Value) -> Vec<u64> {
        let is_it = |line: &&Value| {
            let same = |name: &str| line["event"][name] == packet[name];
            same("FromUserName") && same("MsgId") && same("OutTradeNo")
        };
        let noted = self.noted();
        noted
            .iter()
            .filter(is_it)
            .map(|line| line["attempt"].as_u64().unwrap())
            .collect()
    }
}

pub(crate) const SECURE: &str = "mode = \"secure\"\nformat = \"json\"";

pub(crate) fn secure() -> ConsoleSettings {
    settings(APPID, TOKEN, KEY, Mode::Secure, Format::Json)
}

/// A project in `dev` with a console's settings.
fn dev() -> (Place, Dev, Pusher) {
    let place = Place::new(FUNCTION, SECURE, "");
    let dev = Dev::start(place.project.path());
    let pusher = Pusher::new(&dev.server.url, secure());
    (place, dev, pusher)
}

/// What the gateway counted.
async fn counts(dev: &Dev) -> Value {
    let reply = dev.operate(Method::GET, "push").send().await.unwrap();
    reply.json().await.unwrap()
}

/// Waits until the gateway counted so many.
async fn counted(dev: &Dev, what: &str, number: u64) {
    while counts(dev).await[what] != number {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The settings that `serve` wants besides.
fn production(project: &Scratch, listen: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    project.write("secret", "0123456789abcdef0123456789abcdef");
    let path = project.path().join("secret");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    format!("secret_file = \"secret\"\nlisten = \"{listen}\"\nwechat = \"http://127.0.0.1:9\"\n")
}

fn serve(place: &Place, listen: &str) -> Server {
    let toml = serve_settings(place, listen);
    Server::start(yunqiao().arg("serve").arg("-c").arg(&toml))
}

/// The file with the settings that `serve` wants.
pub(crate) fn serve_settings(place: &Place, listen: &str) -> PathBuf {
    let settings = production(&place.project, listen);
    let toml = place.project.path().join("yunqiao.toml");
    let text = fs::read_to_string(&toml).unwrap();
    if !text.contains("secret_file") {
        fs::write(&toml, settings + &text).unwrap();
    }
    toml
}

#[tokio::test]
async fn pushes_of_every_mode_and_format_reach_their_function_and_its_reply_goes_back() {
    for (mode, format) in [
        (Mode::Plain, Format::Json),
        (Mode::Plain, Format::Xml),
        (Mode::Compatible, Format::Json),
        (Mode::Compatible, Format::Xml),
        (Mode::Secure, Format::Json),
        (Mode::Secure, Format::Xml),
    ] {
        let (name, written) = (mode.as_str(), format.as_str());
        let place = Place::new(
            FUNCTION,
            &format!("mode = \"{name}\"\nformat = \"{written}\""),
            "",
        );
        let server = serve(&place, "127.0.0.1:0");
        let pusher = Pusher::new(&server.url, settings(APPID, TOKEN, KEY, mode, format));

        // The console asks first.
        let query = pusher
            .sender
            .verification("\"4375120948345356249\"", now(), "n0nce");
        let echo = pusher
            .client
            .get(format!("{}?{query}", pusher.url))
            .send()
            .await
            .unwrap();
        assert_eq!(echo.status(), 200);
        assert_eq!(echo.text().await.unwrap(), "\"4375120948345356249\"");

        let packet = message("oAlice", 235_332_486_658_194, "你好 <b> & ]]>");
        let (status, body) = pusher.push(&packet).await;
        assert_eq!(status, 200, "{name} {written}: {body}");
        assert_eq!(
            body.contains("transfer_customer_service"),
            mode != Mode::Secure,
            "{body}"
        );
        assert_eq!(
            pusher.read(&body),
            json!({
                "ToUserName": "oAlice", "FromUserName": "gh_0123456789ab", "CreateTime": 1_700_000_000,
                "MsgType": "transfer_customer_service", "Attempt": 1,
            })
        );
        let noted = place.noted();
        assert_eq!(
            noted[0],
            json!({"event": packet, "openid": "oAlice", "source": "wx_push", "attempt": 1})
        );
        // What the platform did, nobody did.
        let event = payment(1, "");
        assert_eq!(pusher.reply(&event).await["ErrCode"], 0);
        let seen = place.noted().pop().unwrap();
        assert_eq!(
            (&seen["openid"], &seen["event"]["OutTradeNo"]),
            (&Value::Null, &event["OutTradeNo"])
        );

        // In XML it fits, and as JSON it would not be read again after a restart.
        if (mode, format) == (Mode::Plain, Format::Xml) {
            let quotes = message("oAlice", 3, &"\"".repeat(600_000));
            assert_eq!(pusher.push(&quotes).await.0, 413);
            // A reply that XML cannot hold is not worth another attempt.
            assert_eq!(pusher.reply(&message("oAlice", 4, "odd")).await, Value::Null);
            server.prints("cannot be written in this format");
        }
        // With the key before this one.
        if mode != Mode::Plain {
            let old = Pusher::new(&server.url, settings(APPID, TOKEN, OLD_KEY, mode, format));
            let (status, _) = old.push(&message("oAlice", 2, "")).await;
            assert_eq!(status, 200);
        }
    }
}

#[tokio::test]
async fn what_is_not_from_wechat_is_refused_and_counted() {
    let (place, dev, pusher) = dev();
    let with = |settings| Pusher::new(&dev.server.url, settings);
    let packet = message("oMallory", 1, "");
    let refused = async |what: &str, request: push::PushRequest| {
        let (status, body) = pusher.send(&request).await.unwrap();
        assert_eq!(status, 403, "{what}: {body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (&body["errCode"], &body["errMsg"]),
            (&json!(-40001), &json!("the push is refused; the log says why"))
        );
    };
    let mut altered = pusher.request(&packet);
    altered.body = altered
        .body
        .replace("gh_0", "gh_1")
        .replacen("\"Encrypt\":\"", "\"Encrypt\":\"AAAA", 1);
    refused("altered", altered).await;
    let mut elsewhere = pusher.request(&packet);
    elsewhere.query = elsewhere.query.replace("timestamp=", "timestamp=1");
    refused("another moment", elsewhere).await;
    let plain = with(settings(APPID, TOKEN, KEY, Mode::Plain, Format::Json));
    refused("downgraded", plain.request(&packet)).await;
    let xml = with(settings(APPID, TOKEN, KEY, Mode::Secure, Format::Xml));
    refused("another format", xml.request(&packet)).await;
    let foreign = with(settings(
        "wxfedcba9876543210",
        TOKEN,
        KEY,
        Mode::Secure,
        Format::Json,
    ));
    refused("of another app", foreign.request(&packet)).await;
    let guessed = with(settings(APPID, "BBBBBB", KEY, Mode::Secure, Format::Json));
    refused("with another Token", guessed.request(&packet)).await;
    let other_key = with(settings(
        APPID,
        TOKEN,
        &"x".repeat(43),
        Mode::Secure,
        Format::Json,
    ));
    refused("with another key", other_key.request(&packet)).await;
    let old = now() - Duration::from_secs(2 * 3600);
    let replayed = pusher
        .sender
        .push(&packet.to_string(), old, "n", random())
        .unwrap();
    refused("replayed after hours", replayed).await;
    refused(
        "empty",
        push::PushRequest {
            query: String::new(),
            content_type: "text/xml",
            body: String::new(),
        },
    )
    .await;
    let guessed = guessed.sender.verification("echo", now(), "n");
    let verification = pusher
        .client
        .get(format!("{}?{guessed}", pusher.url))
        .send()
        .await
        .unwrap();
    assert_eq!(verification.status(), 403);
    assert!(!verification.text().await.unwrap().contains("echo"));
    assert_eq!(place.noted(), Vec::<Value>::new());

    // Replayed within the hour: known, answered, and not run again.
    let request = pusher.request(&packet);
    let first = pusher.send(&request).await.unwrap();
    assert_eq!(first.0, 200);
    assert_eq!(
        pusher.read(&pusher.send(&request).await.unwrap().1),
        pusher.read(&first.1)
    );
    assert_eq!(place.attempts(&packet), [1]);

    // A body that is too large is read, and not kept.
    let large = push::PushRequest {
        body: "x".repeat(7 << 20),
        ..pusher.request(&packet)
    };
    assert_eq!(pusher.send(&large).await.unwrap().0, 413);
    let put = pusher.client.put(&pusher.url).send().await.unwrap();
    assert_eq!(
        (put.status().as_u16(), put.headers()["allow"].to_str().unwrap()),
        (405, "GET, HEAD, POST")
    );

    let counts = counts(&dev).await;
    assert_eq!(
        (&counts["refused"], &counts["taken"], &counts["duplicates"]),
        (&json!(10), &json!(1), &json!(1)),
        "{counts}"
    );
    dev.server.prints("a push was refused (-40005)");
    dev.server
        .prints("wants encrypted pushes, and this one has no msg_signature");
}

#[tokio::test]
async fn without_settings_dev_takes_the_simulator_s_pushes_and_drops_what_no_route_takes() {
    let place = Place::new(FUNCTION, "", "");
    let toml = place.project.path().join("yunqiao.toml");
    let text = fs::read_to_string(&toml).unwrap().replace("\"*\"", "text");
    fs::write(&toml, &text).unwrap();
    let dev = Dev::start(place.project.path());
    let app = dev.get_sim("app").await;
    let field = |name: &str| crate::support::text(&app[name]);
    let simulated = settings(
        &field("appid"),
        &field("token"),
        &field("encodingAESKey"),
        Mode::Secure,
        Format::Json,
    );
    let pusher = Pusher::new(&dev.server.url, simulated);

    assert_eq!(pusher.reply(&message("oAlice", 1, "")).await["Attempt"], 1);
    for number in 1..=3 {
        assert_eq!(pusher.reply(&payment(number, "")).await, Value::Null);
    }
    assert_eq!(place.attempts(&payment(1, "")), [0; 0]);
    dev.server.prints("no route takes pushes");
    let printed = dev.server.printed();
    assert_eq!(
        printed
            .matches("no route takes pushes of the kind event/xpay_goods_deliver_notify")
            .count(),
        1,
        "{printed}"
    );
    let counts = counts(&dev).await;
    assert_eq!((&counts["unrouted"], &counts["done"]), (&json!(3), &json!(1)));

    // Routes follow the file, when it has been read.
    fs::write(&toml, text.replace("text = ", "\"*\" = ")).unwrap();
    for number in 4.. {
        match pusher.reply(&payment(number, "")).await {
            Value::Null => tokio::time::sleep(Duration::from_millis(50)).await,
            reply => {
                assert_eq!(reply["ErrCode"], 0);
                break;
            }
        }
    }
}

#[tokio::test]
async fn duplicates_are_answered_and_senders_kept_in_order() {
    let (place, dev, pusher) = dev();
    // Three at once, and one later: one run, one answer.
    let packet = message("oAlice", 1, "hold first");
    let (replies, ()) = tokio::join!(join_all((0..3).map(|_| pusher.reply(&packet))), async {
        counted(&dev, "duplicates", 2).await;
        place.let_go("first");
    });
    let later = pusher.reply(&packet).await;
    assert!(
        replies
            .iter()
            .all(|reply| *reply == later && reply["Attempt"] == 1),
        "{replies:?} {later}"
    );
    assert_eq!(place.attempts(&packet), [1]);
    // The same id of another user, and the same payment told once more, and another payment of the second.
    assert_eq!(pusher.reply(&message("oBob", 1, "")).await["Attempt"], 1);
    let mut again = payment(1, "");
    pusher.reply(&again).await;
    again["RetryTimes"] = json!(1);
    pusher.reply(&again).await;
    pusher.reply(&payment(2, "")).await;
    assert_eq!(
        (place.attempts(&payment(1, "")), place.attempts(&payment(2, ""))),
        (vec![1], vec![1])
    );

    // Five of each sender, taken in one after another while the first is held back: nobody waits for another sender, and each
    // sender's run in their order.
    const FROM: [&str; 3] = ["oCarol", "oDave", "oErin"];
    let pusher = Arc::new(pusher);
    let before = counts(&dev).await["taken"].as_u64().unwrap();
    let mut sent = Vec::new();
    for id in 10..15 {
        for from in FROM {
            let pusher = Arc::clone(&pusher);
            let packet = message(from, id, &format!("hold open {from} {id}"));
            sent.push(tokio::spawn(async move { pusher.push(&packet).await.0 }));
            counted(&dev, "taken", before + sent.len() as u64).await;
        }
    }
    for from in FROM {
        place.begun(&message(from, 10, "")).await;
    }
    let ends = || -> Vec<String> {
        let noted = place.noted();
        let ends = noted.iter().filter_map(|line| line["end"].as_str());
        ends.filter(|end| end.starts_with("hold open"))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(ends(), [""; 0]);
    place.let_go("open");
    for status in join_all(sent).await {
        assert_eq!(status.unwrap(), 200);
    }
    eventually(|| ends().len() == 15, || format!("{:?}", ends()));
    for from in FROM {
        let order: Vec<_> = ends()
            .iter()
            .filter_map(|end| end.split_once(from)?.1.trim().parse::<u64>().ok())
            .collect();
        assert_eq!(order, [10, 11, 12, 13, 14], "{from}");
    }
}

#[tokio::test]
async fn a_slow_function_is_acknowledged_in_time_and_goes_on() {
    let (place, dev, pusher) = dev();
    let packet = message("oAlice", 1, "hold back");
    let ends = || {
        place
            .noted()
            .iter()
            .filter(|line| line["end"].is_string())
            .count()
    };
    // The pusher waits 5 seconds, as WeChat does.
    assert_eq!(pusher.reply(&packet).await, Value::Null);
    assert_eq!(ends(), 0, "it was acknowledged while it runs");
    // WeChat asks again while it runs, and has the answer as soon as there is one.
    let (reply, ()) = tokio::join!(pusher.reply(&packet), async {
        counted(&dev, "duplicates", 1).await;
        place.let_go("back");
    });
    assert_eq!(reply["Attempt"], 1);
    assert_eq!((place.attempts(&packet), ends()), (vec![1], 1));
}

#[tokio::test]
async fn what_fails_is_tried_again_and_then_a_dead_letter() {
    let (place, dev, pusher) = dev();
    let dead = async || {
        let reply = dev.operate(Method::GET, "push/dead").send().await.unwrap();
        reply.json::<Value>().await.unwrap()["items"]
            .as_array()
            .unwrap()
            .clone()
    };
    let operate = async |method: Method, path: String| {
        let request = dev.operate(method, &format!("push/dead/{path}"));
        request
            .header("content-type", "application/json")
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    // By itself, after a second. Nobody but us knows that it failed.
    let packet = message("oAlice", 1, "fail 1");
    assert_eq!(pusher.reply(&packet).await, Value::Null);
    eventually(
        || place.attempts(&packet).len() == 2,
        || format!("{:?}", place.noted()),
    );
    assert_eq!(pusher.reply(&packet).await["Attempt"], 2);

    // Each duplicate is the next attempt, and at the third it is over.
    let broken = message("oAlice", 2, "broken");
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(pusher.push(&broken).await.0);
    }
    assert_eq!(
        (statuses, place.attempts(&broken)),
        (vec![200, 200, 500], vec![1, 2, 3])
    );
    let letters = dead().await;
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!(
        (
            &letter["kind"],
            &letter["fromUser"],
            &letter["attempts"],
            &letter["packet"]
        ),
        (&json!("text"), &json!("oAlice"), &json!(3), &broken)
    );
    assert!(text(&letter["error"]).contains("Error: broken"), "{letter}");
    dev.server.prints("is a dead letter");
    // The sender's next one does not wait for the dead.
    assert_eq!(pusher.reply(&message("oAlice", 3, "")).await["Attempt"], 1);
    // WeChat once more: one attempt more.
    assert_eq!(pusher.push(&broken).await.0, 500);
    assert_eq!(place.attempts(&broken), [1, 2, 3, 4]);

    fs::write(place.log.with_extension("mended"), "").unwrap();
    let id = dead().await[0]["id"].to_string();
    assert_eq!(operate(Method::POST, format!("{id}/replay")).await, 200);
    eventually(
        || place.attempts(&broken) == [1, 2, 3, 4, 5],
        || format!("{:?}", place.attempts(&broken)),
    );
    assert_eq!(pusher.reply(&broken).await["Attempt"], 5);
    assert_eq!(dead().await, Vec::<Value>::new());
    assert_eq!(operate(Method::POST, format!("{id}/replay")).await, 404);

    // A function that says so itself fails as well, and WeChat hears what it said.
    let refused = payment(1, "refuse");
    for attempt in 1..=3 {
        assert_eq!(
            pusher.reply(&refused).await,
            json!({"ErrCode": 7, "ErrMsg": "no goods"})
        );
        assert_eq!(place.attempts(&refused).len(), attempt);
    }
    let letters = dead().await;
    assert_eq!(letters[0]["error"], "the function answered with the error code 7");
    let id = letters[0]["id"].to_string();
    assert_eq!(operate(Method::DELETE, id.clone()).await, 200);
    assert_eq!(operate(Method::DELETE, id).await, 404);
    // Its duplicates are acknowledged from then on.
    assert_eq!(pusher.reply(&refused).await, Value::Null);
    assert_eq!(place.attempts(&refused).len(), 3);
    let counts = counts(&dev).await;
    assert_eq!(
        (&counts["dead"], &counts["open"], &counts["done"]),
        (&json!(3), &json!(0), &json!(3)),
        "{counts}"
    );
}

#[tokio::test]
async fn what_is_open_when_the_server_ends_is_delivered_after_a_restart() {
    let place = Place::new(FUNCTION, SECURE, "");
    let server = serve(&place, "127.0.0.1:0");
    let pusher = Pusher::new(&server.url, secure());
    // Of one push the attempt runs, one waits behind it, and one rests after a failure.
    let (running, waiting) = (message("oBob", 1, "hold back"), message("oBob", 2, ""));
    let (first, second) = tokio::join!(pusher.reply(&running), async {
        place.begun(&running).await;
        pusher.reply(&waiting).await
    });
    assert_eq!(
        (first, second),
        (Value::Null, Value::Null),
        "acknowledged, and not done"
    );
    let resting = message("oAlice", 1, "fail 1");
    assert_eq!(pusher.reply(&resting).await, Value::Null);
    assert_eq!(
        (place.attempts(&running), place.attempts(&waiting)),
        (vec![1], vec![])
    );
    let mut server = server;
    server.kill();
    place.let_go("back");

    let server = serve(&place, "127.0.0.1:0");
    let pusher = Pusher::new(&server.url, secure());
    assert_eq!(pusher.reply(&resting).await["Attempt"], 2);
    assert_eq!(pusher.reply(&waiting).await["Attempt"], 1);
    assert_eq!(pusher.reply(&running).await["Attempt"], 2);
    assert_eq!(
        (
            place.attempts(&resting),
            place.attempts(&running),
            place.attempts(&waiting)
        ),
        (vec![1, 2], vec![1, 2], vec![1])
    );
    // Asked to end, it lets an attempt end; what is through is known to the next.
    let last = message("oBob", 3, "sleep 1000");
    tokio::select! {
        answer = pusher.push(&last) => panic!("{answer:?} before it was ended"),
        () = place.begun(&last) => {}
    }
    drop(server);
    let server = serve(&place, "127.0.0.1:0");
    let pusher = Pusher::new(&server.url, secure());
    assert_eq!(pusher.reply(&last).await["Attempt"], 1);
    assert_eq!(place.attempts(&last), [1]);
}

/// `serve` on a disk that is full, and later not: here nothing may be written beyond the first pages of the store's file.
/// What was acknowledged is done, the rest is refused so that WeChat sends it again, and nobody starts anything anew.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_disk_that_was_full_ends_nothing() {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};

    let place = Place::new(FUNCTION, SECURE, "");
    let toml = serve_settings(&place, "127.0.0.1:0");
    // Without the trap, the signal of a file that is too large would end the process.
    let mut shell = yunqiao();
    let program = shell.get_program().to_owned();
    let environment: Vec<_> = shell
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    shell = std::process::Command::new("sh");
    shell
        .args(["-c", "trap '' XFSZ; exec \"$0\" serve -c \"$1\""])
        .arg(program)
        .arg(toml)
        .envs(environment)
        .env_remove("YUNQIAO_APPSECRET")
        .env_remove("YUNQIAO_LOG");
    let server = Server::start(&mut shell);
    let pusher = Pusher::new(&server.url, secure());
    assert_eq!(pusher.reply(&message("oAlice", 1, "")).await["Attempt"], 1);

    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap());
    let limit = |bytes| {
        let limit = Rlimit {
            current: bytes,
            maximum: None,
        };
        prlimit(pid, Resource::Fsize, limit).unwrap();
    };
    // Room for its head and no more.
    limit(Some(8192));
    let large = |number| message("oBob", number, &"x".repeat(100_000));
    let mut number = 0;
    let full = loop {
        number += 1;
        let (status, body) = pusher.push(&large(number)).await;
        if status != 200 {
            break (status, body);
        }
        assert!(number < 1000, "its file still grows");
    };
    assert_eq!(full.0, 500, "{}", full.1);
    server.prints("a push could not be kept, and was not taken: the store ");
    for again in 0..3 {
        assert_eq!(pusher.push(&large(number)).await.0, 500, "{again}");
    }
    assert_eq!(place.attempts(&large(number)), [0; 0]);
    let ready = async || {
        let reply = pusher.client.get(format!("{}/readyz", server.url)).send();
        let reply = reply.await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    };
    let (status, why) = ready().await;
    assert!(status == 503 && why.contains("store"), "{why}");

    limit(None);
    while pusher.push(&large(number)).await.0 != 200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for number in 1..=number {
        eventually(
            || !place.attempts(&large(number)).is_empty(),
            || format!("{number} is lost"),
        );
    }
    assert_eq!(pusher.reply(&message("oAlice", 2, "")).await["Attempt"], 1);
    assert_eq!(ready().await.0, 200);
}

/// Notes what it did when it has done it, in a line of its own, and says which attempt that was.
const COUNTED: &str = r"
const fs = require('fs');
exports.main = async (event, { attempt }) => {
  await new Promise((resolve) => setTimeout(resolve, 12));
  const number = event.MsgId || event.OutTradeNo.split('-')[1];
  fs.appendFileSync(process.env.LOG, JSON.stringify([event.FromUserName, Number(number), attempt]) + '\n');
  if (event.MsgType === 'event') return { ErrCode: 0, Attempt: attempt };
  return { MsgType: 'transfer_customer_service', Attempt: attempt };
};
";

/// Senders, and messages of each.
const SENDERS: u64 = 40;
const EACH: u64 = 50;
const PAYMENTS: u64 = 500;

/// `serve` is killed at random moments while 2,000 messages of 40 senders and 500 payments of one second are pushed. WeChat
/// tries three times, 5 seconds apart; here the pause is shorter, so that the test is. And as WeChat's patience would end
/// with a third try that meets a dead server (which no server can mend), the last try waits until one is there, and is not
/// killed under.
#[tokio::test]
async fn no_push_is_lost_or_done_twice_when_the_gateway_is_killed() {
    const PAUSE: Duration = Duration::from_millis(200);
    let place = Place::new(COUNTED, SECURE, "");
    let listen = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let place = Arc::new(place);
    let pusher = Arc::new(Pusher::new(&format!("http://{listen}"), secure()));
    let server = serve(&place, &listen);
    // Written to by whoever kills.
    let alive = Arc::new(RwLock::new(()));

    // The attempt that answered; none if it was a bare acknowledgement.
    let push = {
        let (pusher, alive) = (Arc::clone(&pusher), Arc::clone(&alive));
        async move |packet: Value| -> Option<u64> {
            for attempt in 1..=3 {
                let _safe = match attempt {
                    3 => Some(alive.read().await),
                    _ => None,
                };
                if let Some((200, body)) = pusher.send(&pusher.request(&packet)).await {
                    return pusher.read(&body)["Attempt"].as_u64();
                }
                tokio::time::sleep(PAUSE).await;
            }
            panic!("{packet} was not acknowledged");
        }
    };
    let push = Arc::new(push);
    let mut tasks = Vec::new();
    for sender in 0..=SENDERS {
        let push = Arc::clone(&push);
        tasks.push(tokio::spawn(async move {
            let mut answered = HashMap::new();
            let (from, packets) = match sender {
                SENDERS => ("oSystem".to_owned(), PAYMENTS),
                sender => (format!("o{sender}"), EACH),
            };
            for number in 1..=packets {
                let packet = match sender {
                    SENDERS => payment(number, ""),
                    _ => message(&from, number, "x"),
                };
                answered.insert((from.clone(), number), push(packet).await);
            }
            answered
        }));
    }
    let killing = {
        let (place, alive) = (Arc::clone(&place), Arc::clone(&alive));
        let mut server = server;
        tokio::spawn(async move {
            for kills in 0_u32.. {
                let moment = u64::from_be_bytes(random()[..8].try_into().unwrap()) % 1000;
                tokio::time::sleep(Duration::from_millis(100 + moment)).await;
                let _nobody = alive.write().await;
                if tasks.iter().all(tokio::task::JoinHandle::is_finished) {
                    let answered = join_all(tasks).await;
                    return (server, kills, answered);
                }
                server.kill();
                let (place, listen) = (Arc::clone(&place), listen.clone());
                server = tokio::task::spawn_blocking(move || serve(&place, &listen))
                    .await
                    .unwrap();
            }
            unreachable!("it counts for ever")
        })
    };
    let (server, kills, answered) = killing.await.unwrap();
    let answered: HashMap<(String, u64), Option<u64>> =
        answered.into_iter().flat_map(Result::unwrap).collect();
    let total = SENDERS * EACH + PAYMENTS;
    assert_eq!(answered.len() as u64, total);
    assert!(kills >= 3, "{kills} kills are too few to show anything");

    // What was acknowledged before it was done is done by and by.
    let done = || -> Vec<(String, u64, u64)> {
        let lines = place.noted().into_iter();
        lines.map(|line| serde_json::from_value(line).unwrap()).collect()
    };
    let distinct = || {
        let mut keys: Vec<_> = done()
            .into_iter()
            .map(|(from, number, _)| (from, number))
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys.len() as u64
    };
    eventually(
        || distinct() == total,
        || format!("{} of {total} were done", distinct()),
    );
    // It ends when what runs has ended: nothing comes after that.
    drop(server);

    let mut runs: HashMap<(String, u64), Vec<u64>> = HashMap::new();
    let mut last: HashMap<String, u64> = HashMap::new();
    for (from, number, attempt) in done() {
        let before = last.insert(from.clone(), number).unwrap_or(0);
        assert!(number >= before, "{from}: {number} after {before}");
        runs.entry((from, number)).or_default().push(attempt);
    }
    let mut twice = 0;
    for (key, attempts) in &runs {
        // Never the same attempt twice, and none after the one that WeChat was told of.
        assert!(
            attempts.windows(2).all(|pair| pair[0] < pair[1]),
            "{key:?}: {attempts:?}"
        );
        if let Some(answer) = answered[key] {
            assert_eq!(attempts.last(), Some(&answer), "{key:?}: {attempts:?}");
        }
        twice += attempts.len() - 1;
    }
    // An attempt that was cut off is one that ran when the server was killed: at most one of each sender.
    let senders = usize::try_from(SENDERS + 1).unwrap();
    assert!(
        twice <= kills as usize * senders,
        "{twice} twice with {kills} kills"
    );
    println!("{total} pushes, {kills} kills, {twice} done twice because they were cut off");
}
