//! WeChat pushes: a packet goes out signed and encrypted as the push settings say, and what it is answered decides whether it goes
//! out again (WeChat's document "消息推送"). `/sim/push` sends any, and tells of those that were sent.
//!
//! An answer is waited for 5 seconds, and a push sent at most three times in all, with the same packet each time, but for a
//! `RetryTimes`, which counts. That much is documented. **Choices**: one attempt follows the other at once; whatever is
//! not an acknowledgement, a connection refused and a wrong answer among it, is an attempt that failed; `xpay` events are sent
//! three times as all others, not fifteen; no connection is used twice, and no redirection followed.
//!
//! Where a URL is configured, some of what happens here is pushed of itself ([`later`]), as in WeChat: `sendMessage` a `text`,
//! `enterSession` a `user_enter_tempsession`, `requestSubscribeMessage` a `subscribe_msg_popup_event`, `subscribeMessage.send`
//! a `subscribe_msg_sent_event`, and `security.mediaCheckAsync` a `wxa_media_check`. Where none is, nothing is.

use std::{
    collections::VecDeque,
    sync::OnceLock,
    time::{Duration, Instant},
};

use causes::with_causes;
use push::{
    Format, FormatError, MAX_BODY, Packet, PushReply, PushReplyKind, Sender, SettingError, WriteError,
};
use reqwest::{Client, RequestBuilder, Url, header::CONTENT_TYPE, redirect::Policy};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;
use wording::{Wording, wording};

use crate::{
    PushSettings, Simulator,
    people::users::User,
    platform::packets::{self, About, Fields},
    random,
};

/// How often a push is sent in all.
const ATTEMPTS: u32 = 3;
/// How many pushes are remembered.
const CAPACITY: usize = 100;
/// How much of an answer is told, in characters.
const TOLD: usize = 4000;
/// What a user reads whose message nobody took ("客服消息使用指南").
const FAULTY: &str = "该小程序提供的服务出现故障，请稍后再试";

/// What `POST /sim/push` brings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PushOrder {
    #[serde(rename = "type")]
    kind: String,
    /// Whose; the first, if left out.
    user: Option<String>,
    #[serde(default)]
    fields: Fields,
    /// Where to, if not to the configured URL.
    url: Option<String>,
}

/// Why nothing is pushed.
#[derive(Debug, Error)]
pub(crate) enum PushError {
    #[error(
        "there is no message or event {name:?}{}: `yunqiao push --list` lists them",
        .nearest.map_or_else(String::new, |nearest| format!(", did you mean {nearest}"))
    )]
    Kind {
        name: String,
        nearest: Option<&'static str>,
    },
    #[error("{name} is the console's name for several: push one of {kinds}")]
    Several { name: String, kinds: String },
    #[error("no document says which fields {0} has: give them in fields")]
    NoFields(&'static str),
    #[error("there is no user {user:?}: there are {known}; POST /sim/users adds one")]
    User { user: String, known: String },
    #[error("there is no URL to push to: give url, or start the simulator with --push-url")]
    NoUrl,
    #[error("{url:?} is no URL to push to: {why}")]
    Url { url: String, why: String },
    #[error("the packet cannot be: {0}")]
    Packet(#[from] FormatError),
    #[error("the packet cannot be written: {0}")]
    Write(#[from] WriteError),
    #[error(transparent)]
    Settings(#[from] SettingError),
    #[error("there is no HTTP client to push with: {0}")]
    Client(#[source] reqwest::Error),
    #[error("the push did not come to its end: {0}")]
    Ended(#[from] tokio::task::JoinError),
}

impl PushError {
    pub(crate) fn in_chinese(&self) -> String {
        match self {
            Self::Kind { name, nearest } => format!(
                "没有消息或事件 {name:?}{}：`yunqiao push --list` 会列出全部",
                nearest.map_or_else(String::new, |nearest| format!("，是不是想写 {nearest}"))
            ),
            Self::Several { name, kinds } => {
                format!("{name} 是控制台里几种消息的统称：请选择其中之一：{kinds}")
            }
            Self::NoFields(name) => format!("文档没有说明 {name} 有哪些字段：请在 fields 中给出"),
            Self::User { user, known } => format!("没有用户 {user:?}；现有：{known}；POST /sim/users 可添加"),
            Self::NoUrl => "没有可推送的 URL：请给出 url，或启动模拟器时加 --push-url".to_owned(),
            Self::Url { url, why } => format!("{url:?} 不能用作推送的 URL：{why}"),
            Self::Packet(why) => format!("消息不成立：{why}"),
            Self::Write(why) => format!("无法写出消息：{why}"),
            Self::Settings(why) => why.wording().zh,
            Self::Client(why) => format!("没有可用的 HTTP 客户端：{why}"),
            Self::Ended(why) => format!("推送没有执行完：{why}"),
        }
    }
}

/// A push, and what became of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PushRecord {
    #[serde(rename = "type")]
    kind: String,
    url: String,
    mode: &'static str,
    format: &'static str,
    packet: Fields,
    /// What may be a mistake in what was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    /// The same in Chinese.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings_zh: Vec<String>,
    /// A fault keeps it until the next has gone out; `GET /sim/push` tells its attempts then.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    held_back: bool,
    attempts: Vec<Attempt>,
}

/// One time that a push was sent.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Attempt {
    /// Seconds of WeChat's time.
    at: u64,
    /// How long until the answer was there, in milliseconds of machine time.
    ms: u64,
    /// A fault had the push sent once more although it was done.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    duplicate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// The body as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    /// What the body says, decrypted: `"success"`, or an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<Value>,
    /// Whether WeChat takes it for done.
    acknowledged: bool,
    /// What that comes to.
    meaning: String,
    /// The same in Chinese.
    meaning_zh: String,
}

impl Attempt {
    fn wording(&self) -> Wording {
        Wording {
            en: self.meaning.clone(),
            zh: self.meaning_zh.clone(),
        }
    }

    fn means(&mut self, what: Wording) {
        (self.meaning, self.meaning_zh) = (what.en, what.zh);
    }

    fn adds(&mut self, what: &Wording) {
        self.meaning += &what.en;
        self.meaning_zh += &what.zh;
    }
}

/// The newest pushes, and the one that a fault keeps.
#[derive(Debug, Default)]
pub(crate) struct Pushes {
    told: VecDeque<PushRecord>,
    held: Option<Box<Push>>,
}

impl Pushes {
    /// Oldest first.
    pub(crate) fn all(&self) -> Vec<PushRecord> {
        self.told.iter().cloned().collect()
    }

    fn put(&mut self, told: PushRecord) {
        if self.told.len() == CAPACITY {
            self.told.pop_front();
        }
        self.told.push_back(told);
    }
}

/// What pushes go out by: http reaches what runs here or near, so that no proxy and no certificates matter.
#[derive(Default)]
pub(crate) struct Wire {
    http: OnceLock<Client>,
    https: OnceLock<Client>,
}

impl Wire {
    pub(crate) fn to(&self, url: &Url) -> Result<Client, PushError> {
        let tls = url.scheme() == "https";
        let place = if tls { &self.https } else { &self.http };
        if let Some(client) = place.get() {
            return Ok(client.clone());
        }
        // Fails only where one is installed already, which will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder()
            .redirect(Policy::none())
            .pool_max_idle_per_host(0)
            .user_agent(concat!("yunqiao-simulator/", env!("CARGO_PKG_VERSION")));
        if !tls {
            client = client.no_proxy().tls_certs_only([]);
        }
        let client = client.build().map_err(PushError::Client)?;
        Ok(place.get_or_init(|| client).clone())
    }
}

/// A push that can go out.
#[derive(Debug)]
struct Push {
    packet: Packet,
    fields: Fields,
    warnings: Vec<Wording>,
    url: Url,
    client: Client,
    sender: Sender,
    duplicate: bool,
}

impl Push {
    fn new(
        sim: &Simulator,
        name: &str,
        user: &User,
        given: Fields,
        url: Option<&str>,
    ) -> Result<Self, PushError> {
        let appid = &sim.settings().appid;
        let kind = packets::kind(name)?;
        let about = About {
            appid,
            user,
            now: sim.now(),
        };
        let warnings = packets::doubts(kind, &given);
        let fields = packets::packet(kind, &about, given)?;
        let text = serde_json::Value::Object(fields.clone()).to_string();
        let packet = Packet::parse(appid, Format::Json, text.as_bytes())?;
        let url = target(sim, url)?;
        let sender = sender(sim)?;
        // What cannot be written is said now, and not by each attempt.
        sender.push(&text, sim.now(), "0", [0; 16])?;
        Ok(Self {
            client: sim.0.wire.to(&url)?,
            packet,
            fields,
            warnings,
            url,
            sender,
            duplicate: false,
        })
    }

    fn name(&self) -> &str {
        match self.packet.event() {
            "" => self.packet.msg_type(),
            event => event,
        }
    }

    fn told(&self, sim: &Simulator, attempts: Vec<Attempt>) -> PushRecord {
        let settings = &sim.settings().push;
        PushRecord {
            kind: self.name().to_owned(),
            url: self.url.to_string(),
            mode: settings.mode.as_str(),
            format: settings.format.as_str(),
            packet: self.fields.clone(),
            warnings: self.warnings.iter().map(|doubt| doubt.en.clone()).collect(),
            warnings_zh: self.warnings.iter().map(|doubt| doubt.zh.clone()).collect(),
            held_back: false,
            attempts,
        }
    }

    /// Sends it until it is acknowledged, and again where a fault wants that.
    async fn deliver(&self, sim: &Simulator) -> PushRecord {
        let mut attempts = Vec::new();
        self.send(sim, &mut attempts).await;
        if self.duplicate {
            let name = self.name();
            sim.tell(wording!(
                "fault: {name} is pushed twice",
                "故障：{name} 推送了两次"
            ));
            let first = attempts.len();
            self.send(sim, &mut attempts).await;
            attempts[first..]
                .iter_mut()
                .for_each(|attempt| attempt.duplicate = true);
        }
        let told = self.told(sim, attempts);
        sim.world().pushes.put(told.clone());
        told
    }

    async fn send(&self, sim: &Simulator, attempts: &mut Vec<Attempt>) {
        for nth in 0..ATTEMPTS {
            let mut attempt = self.attempt(sim, nth).await;
            let done = attempt.acknowledged;
            if !done && nth + 1 < ATTEMPTS {
                attempt.adds(&wording!("; WeChat sends it again", "；微信会再次推送"));
            } else if !done && self.packet.user().is_some() && !self.packet.is_event() {
                attempt.adds(&wording!(
                    "; WeChat gives up, and the user reads {FAULTY}",
                    "；微信不再推送，用户会看到：{FAULTY}"
                ));
            } else if !done {
                attempt.adds(&wording!("; WeChat gives up", "；微信不再推送"));
            }
            attempts.push(attempt);
            if done {
                break;
            }
        }
    }

    async fn attempt(&self, sim: &Simulator, nth: u32) -> Attempt {
        let (at, began) = (sim.now(), Instant::now());
        let mut attempt = Attempt {
            at: at.secs(),
            ms: 0,
            duplicate: false,
            status: None,
            answer: None,
            reply: None,
            acknowledged: false,
            meaning: String::new(),
            meaning_zh: String::new(),
        };
        let nonce = random::number().to_string();
        let patience = sim.settings().push.patience;
        let sent = match self.sender.push(&self.text(nth), at, &nonce, random::bytes()) {
            Ok(request) => self.post(request, patience).await,
            Err(error) => Err(Wording::as_is(error)),
        };
        attempt.ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        match sent {
            Ok((status, body)) => {
                attempt.status = Some(status);
                attempt.answer = Some(excerpt(&body));
                let (acknowledged, meaning) = if (200..300).contains(&status) {
                    match self.sender.read_reply(&body) {
                        Ok(reply) => {
                            attempt.reply = Some(shown(&reply));
                            judge(&self.packet, &reply)
                        }
                        Err(refusal) => (
                            false,
                            wording!("the answer cannot be read: {refusal}", "无法读取应答：{refusal}"),
                        ),
                    }
                } else {
                    (
                        false,
                        wording!("HTTP {status} is no acknowledgement", "HTTP {status} 不是应答"),
                    )
                };
                attempt.acknowledged = acknowledged;
                attempt.means(meaning);
            }
            Err(why) => attempt.means(why),
        }
        attempt
    }

    /// The packet as this attempt has it.
    fn text(&self, nth: u32) -> String {
        let mut fields = self.fields.clone();
        if let Some(times) = fields.get_mut("RetryTimes")
            && let Some(first) = times.as_u64()
        {
            *times = first.saturating_add(u64::from(nth)).into();
        }
        Value::Object(fields).to_string()
    }

    /// Status and body, or why there is no answer.
    async fn post(&self, request: push::PushRequest, patience: Duration) -> Result<(u16, Vec<u8>), Wording> {
        let post = self
            .client
            .post(with_query(&self.url, &request.query))
            .header(CONTENT_TYPE, request.content_type)
            .body(request.body);
        exchange(post, patience).await
    }
}

/// The URL with more in its query.
pub(crate) fn with_query(url: &Url, more: &str) -> Url {
    let mut url = url.clone();
    let query = match url.query() {
        Some(own) if !own.is_empty() => format!("{own}&{more}"),
        _ => more.to_owned(),
    };
    url.set_query(Some(&query));
    url
}

/// Status and body, or why there is no answer.
pub(crate) async fn exchange(request: RequestBuilder, patience: Duration) -> Result<(u16, Vec<u8>), Wording> {
    let answer = async {
        let mut answer = request.send().await?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_BODY {
                break;
            }
        }
        Ok((answer.status().as_u16(), body))
    };
    match tokio::time::timeout(patience, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Wording::as_is(with_causes(&reqwest::Error::without_url(error)))),
        Err(_) => {
            let seconds = patience.as_secs_f64();
            Err(wording!(
                "there was no answer within {seconds} s",
                "{seconds} 秒内没有应答"
            ))
        }
    }
}

/// The beginning of an answer, to be told.
pub(crate) fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(TOLD).collect()
}

/// Where to: the URL that is given, else the configured one.
pub(crate) fn target(sim: &Simulator, given: Option<&str>) -> Result<Url, PushError> {
    let url = given.or(sim.settings().push.url.as_deref());
    parse_url(url.ok_or(PushError::NoUrl)?)
}

/// Who signs and encrypts, as the push settings say.
pub(crate) fn sender(sim: &Simulator) -> Result<Sender, PushError> {
    let PushSettings {
        token,
        mode,
        format,
        aes_key,
        ..
    } = sim.settings().push.clone();
    let settings = push::ConsoleSettings::new(&sim.settings().appid, token, mode, format, vec![aes_key]);
    Ok(Sender::new(settings)?)
}

fn parse_url(text: &str) -> Result<Url, PushError> {
    let error = |why: String| PushError::Url {
        url: text.to_owned(),
        why,
    };
    let url = Url::parse(text).map_err(|why| error(why.to_string()))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err(error("it must begin with http:// or https://".to_owned())),
    }
}

fn shown(reply: &PushReply) -> Value {
    match reply {
        PushReply::Success => "success".into(),
        PushReply::Object(text) => serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into()),
    }
}

/// Whether WeChat takes this reply for an acknowledgement, and what it means.
fn judge(packet: &Packet, reply: &PushReply) -> (bool, Wording) {
    let wants = packet.kind().map_or(PushReplyKind::Any, |kind| kind.reply);
    let acknowledged = || wording!("acknowledged", "已应答");
    let PushReply::Object(object) = reply else {
        return match wants {
            PushReplyKind::Echo => (
                true,
                wording!(
                    "acknowledged, but this event wants an object with the packet's header and a result",
                    "已应答，但这个事件要求返回带消息头和处理结果的对象"
                ),
            ),
            PushReplyKind::Errcode => (
                true,
                wording!(
                    "acknowledged, but this event wants {{\"errcode\":0,\"errmsg\":\"ok\"}}",
                    "已应答，但这个事件要求返回 {{\"errcode\":0,\"errmsg\":\"ok\"}}"
                ),
            ),
            _ => (true, acknowledged()),
        };
    };
    let object: Fields = serde_json::from_str(object).unwrap_or_default();
    let text = |name: &str| match object.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let by_code = |name: &str| match text(name).as_deref() {
        Some("0") => (true, acknowledged()),
        Some(code) => (
            false,
            wording!("{name} {code} says that it failed", "{name} {code} 表示处理失败"),
        ),
        None => (
            false,
            wording!(
                "the answer has no {name}, which this event wants",
                "应答缺少这个事件要求的 {name}"
            ),
        ),
    };
    let transfer = text("MsgType").is_some_and(|kind| kind == "transfer_customer_service");
    match wants {
        PushReplyKind::ErrCode => by_code("ErrCode"),
        PushReplyKind::Errcode => by_code("errcode"),
        PushReplyKind::Echo | PushReplyKind::Any => (
            true,
            wording!("acknowledged with an object", "已应答，返回了对象"),
        ),
        _ if transfer && packet.is_event() => (
            false,
            wording!(
                "transfer_customer_service passes on a user's message, not an event",
                "transfer_customer_service 只能转发用户消息，不能转发事件"
            ),
        ),
        _ if transfer => (
            true,
            wording!("passed on to the customer-service staff", "已转给人工客服"),
        ),
        _ if object.contains_key("MsgType") => (
            true,
            wording!(
                "a reply to an official account's user; a Mini Program's user sees nothing: answer with \
                 customerServiceMessage.send",
                "这是对公众号用户的回复，小程序用户看不到：请用 customerServiceMessage.send 回复"
            ),
        ),
        PushReplyKind::Acknowledge | PushReplyKind::Forward => (
            false,
            wording!(
                "an object is no acknowledgement of this: answer success, or nothing",
                "对象不能作为这类推送的应答：请返回 success，或不返回"
            ),
        ),
    }
}

/// `POST /sim/push`. It goes on if whoever asked has gone.
pub(crate) async fn push(sim: &Simulator, given: PushOrder) -> Result<PushRecord, PushError> {
    let user = {
        let world = sim.world();
        let user = match &given.user {
            None => world.users.first(),
            Some(name) => world.users.named(name).ok_or_else(|| PushError::User {
                user: name.clone(),
                known: world.users.names(),
            })?,
        };
        user.clone()
    };
    let push = Push::new(sim, &given.kind, &user, given.fields, given.url.as_deref())?;
    open_window(sim, &push.packet);
    let sim = sim.clone();
    Ok(tokio::spawn(async move { go(&sim, push).await }).await?)
}

/// What a user did opens a window for customer-service messages.
fn open_window(sim: &Simulator, packet: &Packet) {
    let Some(openid) = packet.user() else { return };
    let now = sim.now();
    let world = &mut *sim.world();
    if !packet.is_event() {
        world.conversations.user_wrote(openid, now);
    } else if packet.event().eq_ignore_ascii_case("user_enter_tempsession") {
        world.conversations.user_entered(openid, now);
    }
}

/// Sends it as the faults say.
async fn go(sim: &Simulator, mut push: Push) -> PushRecord {
    let plan = {
        let world = &mut *sim.world();
        world.faults.strike_push(world.pushes.held.is_none())
    };
    if !plan.latency.is_zero() {
        let (name, ms) = (push.name(), plan.latency.as_millis());
        sim.tell(wording!(
            "fault: the push of {name} waits for {ms} ms",
            "故障：{name} 的推送延迟 {ms} 毫秒"
        ));
        tokio::time::sleep(plan.latency).await;
    }
    push.duplicate = plan.duplicate;
    if plan.reorder {
        let name = push.name();
        sim.tell(wording!(
            "fault: {name} is held back until the next push has gone out",
            "故障：{name} 暂扣，待下一次推送之后发出"
        ));
        let told = PushRecord {
            held_back: true,
            ..push.told(sim, Vec::new())
        };
        let before = sim.world().pushes.held.replace(Box::new(push));
        if let Some(before) = before {
            before.deliver(sim).await;
        }
        return told;
    }
    let told = push.deliver(sim).await;
    let held = sim.world().pushes.held.take();
    if let Some(held) = held {
        held.deliver(sim).await;
    }
    told
}

/// Pushes of itself after `delay`, if there is a URL; what was not acknowledged is told to the developer.
pub(crate) fn later(sim: &Simulator, kind: &'static str, user: &User, fields: Fields, delay: Duration) {
    if sim.settings().push.url.is_none() {
        return;
    }
    let (sim, user) = (sim.clone(), user.clone());
    tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        match Push::new(&sim, kind, &user, fields, None) {
            Ok(push) => {
                let told = go(&sim, push).await;
                if let Some(last) = told.attempts.last().filter(|last| !last.acknowledged) {
                    let (url, meaning) = (&told.url, last.wording());
                    sim.tell(wording!(
                        "{kind} was pushed to {url}: {meaning}",
                        "{kind} 已推送到 {url}：{meaning}";
                        meaning
                    ));
                }
            }
            Err(error) => sim.tell(wording!(
                "{kind} is not pushed: {error}",
                "{kind} 没有推送：{error}"
            )),
        }
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn judged(kind: &str, reply: Value) -> (bool, Wording) {
        let kind = packets::kind(kind).unwrap();
        let packet = json!({ "MsgType": kind.msg_type, "Event": kind.event }).to_string();
        let packet = Packet::parse("wx", Format::Json, packet.as_bytes()).unwrap();
        let reply = match reply {
            Value::Null => PushReply::Success,
            object => PushReply::Object(object.to_string()),
        };
        judge(&packet, &reply)
    }

    #[test]
    fn what_acknowledges_depends_on_the_kind() {
        let transfer = json!({ "MsgType": "transfer_customer_service" });
        for (kind, reply, acknowledged, says) in [
            ("text", json!(null), true, "acknowledged"),
            ("text", transfer.clone(), true, "passed on"),
            ("text", json!({ "MsgType": "text" }), true, "official account"),
            ("text", json!({ "errcode": 0 }), false, "answer success"),
            ("user_enter_tempsession", transfer, false, "not an event"),
            ("xpay_goods_deliver_notify", json!(null), true, "acknowledged"),
            (
                "xpay_goods_deliver_notify",
                json!({ "ErrCode": 0 }),
                true,
                "acknowledged",
            ),
            (
                "xpay_goods_deliver_notify",
                json!({ "ErrCode": "1" }),
                false,
                "ErrCode 1",
            ),
            ("xpay_goods_deliver_notify", json!({}), false, "no ErrCode"),
            ("iot_voip_notify", json!({ "errcode": 0 }), true, "acknowledged"),
            ("iot_voip_notify", json!(null), true, "wants {\"errcode\":0"),
            ("update_waybill_status", json!(null), true, "header and a result"),
            (
                "debug_demo",
                json!({ "demo_resp": "good luck" }),
                true,
                "with an object",
            ),
        ] {
            let (taken, meaning) = judged(kind, reply);
            assert_eq!(taken, acknowledged, "{kind} {meaning}");
            assert!(meaning.en.contains(says), "{kind} {meaning}");
        }
    }

    #[test]
    fn only_http_can_be_pushed_to() {
        assert!(parse_url("https://example.com/a?b=c").is_ok());
        for url in ["localhost:3000", "example.com", "ftp://example.com", ""] {
            let said = parse_url(url).unwrap_err().to_string();
            assert!(said.contains("is no URL to push to"), "{said}");
        }
    }
}
