//! WeChat's own HTTP API for calling cloud functions, on the operator's listener: `POST /tcb/invokecloudfunction`, and the
//! tokens for it, `/cgi-bin/token` and `/cgi-bin/stable_token`. A server in any language, whose SDK knows nothing of us and
//! has its base URL changed, calls functions here as it did there (WeChat's document "触发云函数").
//!
//! Who comes in shows what WeChat asks for, appid and AppSecret, in place of the operator's secret. The token is ours, sealed,
//! and good for this API alone: WeChat's access_token never leaves by this way. Answers have HTTP status 200 and an
//! `errcode`, as WeChat's have.
//!
//! Choices, where the documents are silent or where following them would help nobody: every request for a token gives a new
//! one and ends none; whatever `env` is named, there is one; a function has its own time instead of 5 seconds; a failed call
//! is told with the code that a client would be told (-501000, -504002 …), and one that returned nothing gives `null`.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use calls::{CallFailure, Caller};
use clock::{Clock, Timestamp};
use http::Method;
use http::request::Parts;
use json::Object;
use openapi::errcode;
use seal::{KeyRing, Kind, Sealer};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use subtle::ConstantTimeEq;
use tcb::{Data, Event, Source};

use crate::body::{self, BodyPolicy, BodySender, Content, UnreadBody};
use crate::failure::Failure;
use crate::routes::CALL_BODY;
use crate::{Gateway, Inner, Note};

/// How long a token holds, as WeChat's does.
const LIFE: Duration = Duration::from_secs(7200);
/// The layout of what is sealed into a token: this byte, then the milliseconds of its end, little endian.
const LAYOUT: u8 = 1;
const CLIENT_CREDENTIAL: &str = "client_credential";
/// A request for a token, from anybody.
const SECRET_BODY: BodyPolicy = BodyPolicy {
    most: body::LARGEST_OF_STRANGER,
    within: Duration::from_secs(10),
    content: Content::Any,
};
/// An event, from whoever has a token. WeChat looks at no content type.
const EVENT_BODY: BodyPolicy = BodyPolicy {
    content: Content::Any,
    ..CALL_BODY
};

/// A path of WeChat's that is served here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Token,
    StableToken,
    Invoke,
}

impl Door {
    pub(crate) fn of(path: &str) -> Option<Door> {
        match path {
            "/cgi-bin/token" => Some(Door::Token),
            "/cgi-bin/stable_token" => Some(Door::StableToken),
            "/tcb/invokecloudfunction" => Some(Door::Invoke),
            _ => None,
        }
    }
}

/// Judges who comes in, by what WeChat would ask for.
pub(crate) struct HttpApi {
    appid: String,
    secret: SecretString,
    tokens: Sealer,
}

/// What was refused, with WeChat's code and text.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    code: i64,
    text: Cow<'static, str>,
    /// What the operator should know beyond that.
    why: Option<String>,
}

impl Refusal {
    fn why(self, why: impl Into<String>) -> Refusal {
        Refusal {
            why: Some(why.into()),
            ..self
        }
    }
}

impl From<i32> for Refusal {
    fn from(code: i32) -> Refusal {
        Refusal {
            code: code.into(),
            text: errcode::text(code).unwrap_or_default().into(),
            why: None,
        }
    }
}

impl From<CallFailure> for Refusal {
    fn from(failure: CallFailure) -> Refusal {
        Refusal {
            code: failure.code.into(),
            text: failure.text,
            why: None,
        }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        Refusal {
            code: failure.code,
            text: failure.text,
            why: None,
        }
    }
}

/// What a request for a token says.
#[derive(Debug, Default, Deserialize)]
struct Asked {
    #[serde(default)]
    grant_type: String,
    #[serde(default)]
    appid: String,
    #[serde(default)]
    secret: String,
}

impl Asked {
    /// From the query, else from a form that says the same.
    fn of_query(query: &str, form: &[u8]) -> Asked {
        let find = |name: &str| {
            let mut query = form_urlencoded::parse(query.as_bytes()).chain(form_urlencoded::parse(form));
            query
                .find(|(key, value)| key == name && !value.is_empty())
                .map(|(_, value)| value.into_owned())
                .unwrap_or_default()
        };
        Asked {
            grant_type: find("grant_type"),
            appid: find("appid"),
            secret: find("secret"),
        }
    }
}

impl HttpApi {
    pub(crate) fn new(keys: &KeyRing, appid: &str, secret: SecretString) -> HttpApi {
        HttpApi {
            appid: appid.to_owned(),
            secret,
            tokens: Sealer::new(keys, Kind::HttpApi, appid),
        }
    }

    /// Answers a request with JSON. Never fails: what goes wrong is an answer too.
    pub(crate) async fn answer(
        &self,
        gateway: &Gateway,
        door: Door,
        head: &Parts,
        body: &mut UnreadBody,
        request_id: &str,
    ) -> Bytes {
        let inner = &gateway.0;
        let answer = match door {
            Door::Token | Door::StableToken => self.issue(inner, door, head, body).await,
            Door::Invoke => self.invoke(gateway, head, body, request_id).await,
        };
        let mut out = Vec::new();
        match answer {
            Ok(body) => return body,
            Err(Refusal { code, text, why }) => {
                if let Some(why) = why {
                    inner.journal.note(&Note {
                        request_id,
                        openid: None,
                        text: &format_args!("{} was answered {code}: {why}", head.uri.path()),
                    });
                }
                out.extend_from_slice(b"{\"errcode\":");
                out.extend_from_slice(code.to_string().as_bytes());
                out.extend_from_slice(b",\"errmsg\":");
                json::write_string(&mut out, &format!("{text} rid: {request_id}"));
                out.push(b'}');
            }
        }
        out.into()
    }

    async fn issue(
        &self,
        inner: &Inner,
        door: Door,
        head: &Parts,
        body: &mut UnreadBody,
    ) -> Result<Bytes, Refusal> {
        match (door, &head.method) {
            (Door::Token, &Method::GET | &Method::POST) | (_, &Method::POST) => {}
            (Door::Token, _) => return Err(errcode::REQUIRE_GET.into()),
            _ => return Err(errcode::REQUIRE_POST.into()),
        }
        let body = body
            .read(&SECRET_BODY, BodySender::Stranger, &inner.budget)
            .await?
            .bytes;
        let asked = match door {
            Door::Token => Asked::of_query(head.uri.query().unwrap_or_default(), &body),
            _ if body.is_empty() => return Err(errcode::EMPTY_POST_DATA.into()),
            _ => serde_json::from_slice(&body).map_err(|_| Refusal::from(errcode::DATA_FORMAT))?,
        };
        self.check(&asked)?;
        let token = self.seal(inner.clock.now() + LIFE);
        let life = LIFE.as_secs();
        Ok(format!("{{\"access_token\":\"{token}\",\"expires_in\":{life}}}").into())
    }

    /// In the order in which WeChat looks.
    fn check(&self, asked: &Asked) -> Result<(), Refusal> {
        if asked.appid.is_empty() {
            return Err(errcode::APPID_MISSING.into());
        }
        if asked.appid != self.appid {
            let why = format!("this is {}, and {:?} was asked for", self.appid, asked.appid);
            return Err(Refusal::from(errcode::INVALID_APPID).why(why));
        }
        if asked.secret.is_empty() {
            return Err(errcode::APPSECRET_MISSING.into());
        }
        // The lengths may be compared in the open: all AppSecrets have the same.
        let ours = self.secret.expose_secret().as_bytes();
        if !bool::from(asked.secret.as_bytes().ct_eq(ours)) {
            return Err(Refusal::from(errcode::INVALID_APPSECRET).why("somebody showed another AppSecret"));
        }
        if asked.grant_type != CLIENT_CREDENTIAL {
            return Err(errcode::INVALID_GRANT_TYPE.into());
        }
        Ok(())
    }

    fn seal(&self, end: Timestamp) -> String {
        let mut plain = vec![LAYOUT];
        plain.extend_from_slice(&end.millis().to_le_bytes());
        self.tokens.seal(&plain)
    }

    fn admit(&self, token: &str, clock: &Clock) -> Result<(), Refusal> {
        if token.is_empty() {
            return Err(errcode::ACCESS_TOKEN_MISSING.into());
        }
        let invalid = |why: &str| Refusal::from(errcode::INVALID_ACCESS_TOKEN).why(why);
        let plain = self.tokens.open(token).map_err(|_| {
            invalid("the access_token is none of ours: GET /cgi-bin/token of this listener gives one")
        })?;
        let end = match plain.split_first_chunk() {
            Some((&[LAYOUT], end)) => end.try_into().map(u64::from_le_bytes).ok(),
            _ => None,
        };
        let end = end.ok_or_else(|| invalid("the access_token is of another version"))?;
        if clock.now() >= Timestamp::from_millis(end) {
            return Err(errcode::ACCESS_TOKEN_EXPIRED.into());
        }
        Ok(())
    }

    async fn invoke(
        &self,
        gateway: &Gateway,
        head: &Parts,
        body: &mut UnreadBody,
        request_id: &str,
    ) -> Result<Bytes, Refusal> {
        let inner = &gateway.0;
        if head.method != Method::POST {
            return Err(errcode::REQUIRE_POST.into());
        }
        let query: Vec<_> = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).collect();
        let param = |name: &str| {
            let found = query.iter().find(|(key, _)| key == name);
            found.map_or("", |(_, value)| value.as_ref())
        };
        self.admit(param("access_token"), &inner.clock)?;
        let body = body
            .read(&EVENT_BODY, BodySender::Known("WeChat's HTTP API"), &inner.budget)
            .await?;
        let asked = Invocation::read(param("env"), param("name"), &body.bytes)?;
        let name = asked.name.as_ref();
        let site = inner.calls.find(name, request_id, None)?;
        let data = Data::parse(&asked.data).map_err(|error| Refusal {
            text: error.to_string().into(),
            ..errcode::DATA_FORMAT.into()
        })?;
        let caller = Caller::request(Source::HTTP, None);
        let call = inner
            .calls
            .prepare(site, caller, request_id, Event::HttpApi(data));
        let finished = call.run().await;
        Ok(success(finished.result?.json.as_deref().unwrap_or(b"null")))
    }
}

/// `resp_data` is text: the JSON of what the function returned, as a JSON string.
fn success(result: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(result.len() + result.len() / 8 + 64);
    out.extend_from_slice(b"{\"errcode\":0,\"errmsg\":\"ok\",\"resp_data\":");
    json::write_string(&mut out, &String::from_utf8_lossy(result));
    out.push(b'}');
    out.into()
}

/// What is to be called, in either form of the documents.
#[derive(Debug, PartialEq, Eq)]
struct Invocation<'a> {
    name: Cow<'a, str>,
    data: Cow<'a, str>,
}

impl<'a> Invocation<'a> {
    /// The older form has `env` and `name` in the query, and the body is the event; the newer has `env`, `name` and `req_data`
    /// in the body, where `req_data` is the event or its text.
    fn read(env: &'a str, name: &'a str, body: &'a [u8]) -> Result<Self, Refusal> {
        if body.is_empty() {
            return Err(errcode::EMPTY_POST_DATA.into());
        }
        if !name.is_empty() {
            if env.is_empty() {
                return Err(missing("env"));
            }
            let data = std::str::from_utf8(body).map_err(|_| Refusal::from(errcode::DATA_FORMAT))?;
            let (name, data) = (name.into(), data.into());
            return Ok(Invocation { name, data });
        }
        let body = Object::parse(body).map_err(|_| Refusal::from(errcode::DATA_FORMAT))?;
        let text = |name: &str| {
            let raw = body.get(name).filter(|raw| json::is_string(raw));
            raw.and_then(json::unescape).filter(|text| !text.is_empty())
        };
        if env.is_empty() && text("env").is_none() {
            return Err(missing("env"));
        }
        let name = text("name").ok_or_else(|| missing("name"))?;
        let data = match body.get("req_data") {
            Some(raw) if json::is_string(raw) => text("req_data"),
            raw => raw.map(Cow::Borrowed),
        };
        let data = data.ok_or_else(|| missing("req_data"))?;
        Ok(Invocation { name, data })
    }
}

fn missing(what: &str) -> Refusal {
    let refusal = Refusal::from(errcode::PARAMETER_MISSING);
    let text = format!("{}: {what}", refusal.text).into();
    Refusal { text, ..refusal }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const APPID: &str = "wx0123456789abcdef";
    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn api() -> HttpApi {
        HttpApi::new(&KeyRing::generate(), APPID, SECRET.into())
    }

    fn asked(query: &str, form: &str) -> Result<(), i64> {
        let asked = Asked::of_query(query, form.as_bytes());
        api().check(&asked).map_err(|refusal| refusal.code)
    }

    #[test]
    fn who_asks_for_a_token_shows_appid_and_appsecret() {
        let good = format!("grant_type=client_credential&appid={APPID}&secret={SECRET}");
        assert_eq!(asked(&good, ""), Ok(()));
        assert_eq!(asked("", &good), Ok(()));
        for (query, code) in [
            (String::new(), 41002),
            ("appid=wx0".to_owned(), 40013),
            (format!("appid={APPID}"), 41004),
            (format!("appid={APPID}&secret={SECRET}0"), 40125),
            (
                format!("appid={APPID}&secret={}", SECRET.replace('0', "1")),
                40125,
            ),
            (format!("appid={APPID}&secret={SECRET}"), 40002),
            (
                format!("appid={APPID}&secret={SECRET}&grant_type=authorization_code"),
                40002,
            ),
        ] {
            assert_eq!(asked(&query, ""), Err(code), "{query}");
        }
    }

    #[test]
    fn a_token_holds_for_two_hours_of_wechats_time_and_is_nobody_elses() {
        let clock = Clock::fixed(Timestamp::from_secs(1_700_000_000));
        let (ours, theirs) = (api(), api());
        let admit = |token: &str| ours.admit(token, &clock).map_err(|refusal| refusal.code);
        let token = ours.seal(clock.now() + LIFE);
        assert_eq!(admit(&token), Ok(()));
        assert_eq!(admit(""), Err(41001));
        assert_eq!(admit("76_WeChats-own"), Err(40014));
        assert_eq!(admit(&theirs.seal(clock.now() + LIFE)), Err(40014));
        assert_eq!(admit(&ours.tokens.seal(b"\x02")), Err(40014));
        clock.advance(LIFE - Duration::from_millis(1));
        assert_eq!(admit(&token), Ok(()));
        clock.advance(Duration::from_millis(1));
        assert_eq!(admit(&token), Err(42001));
        // What lets a client in is of another kind.
        let ring = KeyRing::generate();
        let bearer = Sealer::new(&ring, Kind::Bearer, APPID).seal(b"\x01\xff\xff\xff\xff\xff\xff\xff\x7f");
        let api = HttpApi::new(&ring, APPID, SECRET.into());
        assert_eq!(api.admit(&bearer, &clock).unwrap_err().code, 40014);
    }

    #[test]
    fn both_forms_of_the_documents_are_read() {
        let read = |env, name, body: &'static str| {
            let read = Invocation::read(env, name, body.as_bytes());
            read.map(|read| (read.name.into_owned(), read.data.into_owned()))
                .map_err(|refusal| refusal.code)
        };
        let good = |data: &str| Ok(("f".to_owned(), data.to_owned()));
        // The body is the event, whatever it is made of.
        assert_eq!(read("e", "f", r#"{"req_data":1}"#), good(r#"{"req_data":1}"#));
        assert_eq!(
            read("", "", r#"{"env":"e","name":"f","req_data":{"a":1}}"#),
            good(r#"{"a":1}"#)
        );
        assert_eq!(
            read("", "", r#"{"env":"e","name":"f","req_data":"{\"a\":1}"}"#),
            good(r#"{"a":1}"#)
        );
        assert_eq!(read("e", "", r#"{"name":"f","req_data":{}}"#), good("{}"));
        for (env, name, body, code) in [
            ("e", "f", "", 44002),
            ("", "f", "{}", 40101),
            ("", "", "{}", 40101),
            ("", "", "[]", 47001),
            ("", "", r#"{"env":"e","req_data":{}}"#, 40101),
            ("", "", r#"{"env":"e","name":"f"}"#, 40101),
            ("", "", r#"{"env":1,"name":"f","req_data":{}}"#, 40101),
        ] {
            assert_eq!(read(env, name, body), Err(code), "{body}");
        }
    }

    #[test]
    fn the_result_is_text() {
        assert_eq!(
            success(r#"{"a":"\"你"}"#.as_bytes()),
            r#"{"errcode":0,"errmsg":"ok","resp_data":"{\"a\":\"\\\"你\"}"}"#
        );
    }
}
