//! The simulator as its callers meet it: requests through the router, with a clock that stands until it is stepped.

#![allow(clippy::unwrap_used)]

mod behaving;
mod catalogued;
mod client;
mod cloud;
mod faults;
mod golden;
mod pushes;
mod server;
mod sim;
mod state;

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use clock::{Clock, Timestamp};
use http_body_util::BodyExt;
use opendata::SessionKey;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{ForeignCodes, Notice, Simulator, SimulatorSettings, StateError};

/// 2026-11-21 20:10 in Beijing.
const NOW: u64 = 1_795_263_000;

/// A simulator and what it told the developer.
struct Sim {
    simulator: Simulator,
    router: Router,
    notices: Arc<Mutex<Vec<String>>>,
}

/// An answer, whole.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    content_type: String,
    /// Of an image, empty.
    text: String,
    bytes: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The errcode of a refusal by WeChat's server.
    fn errcode(&self) -> i64 {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        self.json()["errcode"]
            .as_i64()
            .unwrap_or_else(|| panic!("{self:?}"))
    }
}

impl Sim {
    fn new() -> Self {
        Self::with(SimulatorSettings::default())
    }

    fn with(settings: SimulatorSettings) -> Self {
        let notices = Arc::default();
        let simulator = Simulator::new(settings, fixed_clock(), listener(&notices));
        Self {
            router: simulator.router(),
            simulator,
            notices,
        }
    }

    /// One that keeps its state in this file.
    fn kept(file: &Path) -> Result<Self, StateError> {
        Self::kept_with(file, None)
    }

    /// The same, which keeps its outbox too.
    fn kept_with(file: &Path, outbox: Option<&Path>) -> Result<Self, StateError> {
        let notices = Arc::default();
        let simulator = Simulator::with_state(
            file,
            outbox,
            SimulatorSettings::default(),
            fixed_clock(),
            listener(&notices),
        )?;
        Ok(Self {
            router: simulator.router(),
            simulator,
            notices,
        })
    }

    fn heard(&self, words: &str) -> bool {
        self.notices
            .lock()
            .unwrap()
            .iter()
            .any(|notice| notice.contains(words))
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let content_type = response.headers().get(header::CONTENT_TYPE);
        let content_type = content_type
            .map_or("", |value| value.to_str().unwrap())
            .to_owned();
        let bytes = response.into_body().collect().await.unwrap().to_bytes().to_vec();
        Answer {
            status,
            text: match content_type.as_str() {
                "image/png" => String::new(),
                _ => String::from_utf8(bytes.clone()).unwrap(),
            },
            content_type,
            bytes,
        }
    }

    /// As a server sends it: no content type to speak of.
    async fn wechat(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::builder().method(method).uri(path).body(body.into());
        self.send(request.unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.wechat(Method::GET, path, Body::empty()).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.wechat(Method::POST, path, body.to_string()).await
    }

    /// A call of `/sim/…`; `Value::Null` sends no body.
    async fn sim(&self, method: Method, path: &str, body: Value) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "127.0.0.1:8788");
        let mut bytes = Body::empty();
        if !body.is_null() {
            request = request.header(header::CONTENT_TYPE, "application/json");
            bytes = body.to_string().into();
        }
        self.send(request.body(bytes).unwrap()).await
    }

    async fn client(&self, call: Value) -> Value {
        let answer = self.sim(Method::POST, "/sim/client", call).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.json()
    }

    async fn advance(&self, seconds: u64) {
        let answer = self
            .sim(Method::POST, "/sim/clock", json!({ "advance": seconds }))
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }

    /// A login code of the user's.
    async fn login(&self, user: &str) -> String {
        let answer = self.client(json!({ "user": user, "api": "login" })).await;
        assert_eq!(answer["errMsg"], "login:ok");
        answer["code"].as_str().unwrap().to_owned()
    }

    async fn exchange(&self, code: &str) -> Answer {
        self.get(&code2session(code)).await
    }

    /// Logs the user in, as an app and its server do it together.
    async fn session(&self, user: &str) -> (String, SessionKey) {
        let code = self.login(user).await;
        let session = self.exchange(&code).await.json();
        let text = |name: &str| {
            session[name]
                .as_str()
                .unwrap_or_else(|| panic!("{session}"))
                .to_owned()
        };
        (text("openid"), SessionKey::parse(&text("session_key")).unwrap())
    }

    async fn token(&self) -> String {
        let answer = self.get(&plain_token()).await.json();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// A call of the path, which may have a query, with a token that is good.
    async fn api(&self, path: &str, body: Value) -> Answer {
        let path = self.with_token(path).await;
        self.post(&path, body).await
    }

    async fn with_token(&self, path: &str) -> String {
        let and = if path.contains('?') { '&' } else { '?' };
        format!("{path}{and}access_token={}", self.token().await)
    }

    /// What the outbox has got last.
    async fn last_sent(&self) -> Value {
        let outbox = self.sim(Method::GET, "/sim/outbox", Value::Null).await.json();
        outbox["items"]
            .as_array()
            .unwrap()
            .last()
            .cloned()
            .unwrap_or_default()
    }

    /// One item of `/wxa/getopendata`, parsed.
    async fn open_data(&self, openid: &str, id: &str) -> Value {
        let path = format!(
            "/wxa/getopendata?access_token={}&openid={openid}",
            self.token().await
        );
        let answer = self.post(&path, json!({ "cloudid_list": [id] })).await.json();
        assert_eq!(answer["errmsg"], "ok", "{answer}");
        assert_eq!(answer["data_list"][0]["cloud_id"], id);
        serde_json::from_str(answer["data_list"][0]["json"].as_str().unwrap()).unwrap()
    }
}

fn fixed_clock() -> Clock {
    Clock::fixed(Timestamp::from_secs(NOW))
}

fn listener(notices: &Arc<Mutex<Vec<String>>>) -> impl Fn(Notice) + Send + Sync + use<> {
    let heard = Arc::clone(notices);
    move |notice| heard.lock().unwrap().push(notice.to_string())
}

/// What the client's answer hides, opened with the key.
fn opened(key: &SessionKey, answer: &Value) -> String {
    let part = |name: &str| answer[name].as_str().unwrap_or_else(|| panic!("{answer}"));
    let decrypted = opendata::decrypt(key, part("encryptedData"), part("iv")).unwrap();
    decrypted.as_str().to_owned()
}

fn credentials() -> String {
    let settings = SimulatorSettings::default();
    format!("appid={}&secret={}", settings.appid, settings.secret.expose())
}

fn code2session(code: &str) -> String {
    format!(
        "/sns/jscode2session?{}&js_code={code}&grant_type=authorization_code",
        credentials()
    )
}

fn plain_token() -> String {
    format!("/cgi-bin/token?grant_type=client_credential&{}", credentials())
}

fn stable_token(force: bool) -> Value {
    let settings = SimulatorSettings::default();
    json!({
        "grant_type": "client_credential",
        "appid": settings.appid,
        "secret": settings.secret.expose(),
        "force_refresh": force,
    })
}

fn first_user() -> SimulatorSettings {
    SimulatorSettings {
        foreign_codes: ForeignCodes::FirstUser,
        ..SimulatorSettings::default()
    }
}
