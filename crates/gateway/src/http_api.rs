//! WeChat's own HTTP API for calling cloud functions, on the operator's listener: `POST /tcb/invokecloudfunction`, and the
//! tokens for it, `/cgi-bin/token` and `/cgi-bin/stable_token`. A server in any language, whose SDK knows nothing of us and
//! has its base URL changed, calls functions here as it did there (WeChat's document "触发云函数").
//!
//! Who comes in shows what WeChat asks for, appid and AppSecret, in place of the operator's secret. The token is ours, sealed,
//! and good for this API alone: WeChat's access_token never leaves by this way. Answers have HTTP status 200 and an
//! `errcode`, as WeChat's have.
//!
//! What is asked and answered, `openapi::invoke` knows. Choices, where the documents are silent or where following them would
//! help nobody: every request for a token gives a new one and ends none; a function has its own time instead of 5 seconds; a
//! failed call is told with the code that a client would be told (-501000, -504002 …).

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use calls::{CallFailure, Caller};
use clock::{Clock, Timestamp};
use http::request::Parts;
use openapi::{
    errcode,
    invoke::{FunctionCall, InvokePath, InvokeRefusal, TOKEN_LIFE, TokenRequest, invoked},
};
use seal::{KeyRing, SealKind, Sealer};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use tcb::{CallData, CallSource, Event};
use wording::wording;

use crate::{
    Gateway, Inner, Note,
    body::{self, BodyPolicy, BodySender, Content, UnreadBody},
    failure::Failure,
    guesses::Guesses,
    routes::CALL_BODY,
    seats::network,
};

/// How long a token holds, as WeChat's does.
const LIFE: Duration = Duration::from_secs(TOKEN_LIFE);
/// The layout of what is sealed into a token: this byte, then the milliseconds of its end, little endian.
const LAYOUT: u8 = 1;
/// A request for a token, from anybody.
const SECRET_BODY: BodyPolicy = BodyPolicy {
    most: body::LARGEST_OF_STRANGER,
    within: Duration::from_secs(10),
    content: Content::Any,
    times: 1,
};
/// An event, from whoever has a token. WeChat looks at no content type.
const EVENT_BODY: BodyPolicy = BodyPolicy {
    content: Content::Any,
    ..CALL_BODY
};

/// Judges who comes in, by what WeChat would ask for.
pub(crate) struct HttpApi {
    appid: String,
    secret: SecretString,
    tokens: Sealer,
    /// Of the AppSecret.
    guesses: Guesses<IpAddr>,
}

/// What was refused, on its way to an answer.
struct Refusal(InvokeRefusal);

impl From<InvokeRefusal> for Refusal {
    fn from(refusal: InvokeRefusal) -> Self {
        Self(refusal)
    }
}

impl From<i32> for Refusal {
    fn from(code: i32) -> Self {
        Self(code.into())
    }
}

impl From<CallFailure> for Refusal {
    fn from(failure: CallFailure) -> Self {
        Self(InvokeRefusal {
            code: failure.code.into(),
            text: failure.text,
            why: None,
        })
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self(InvokeRefusal {
            code: failure.code,
            text: failure.text,
            why: None,
        })
    }
}

impl HttpApi {
    pub(crate) fn new(keys: &KeyRing, appid: &str, secret: SecretString) -> Self {
        Self {
            appid: appid.to_owned(),
            secret,
            tokens: Sealer::new(keys, SealKind::HttpApi, appid),
            guesses: Guesses::new(),
        }
    }

    /// Answers a request with JSON. Never fails: what goes wrong is an answer too.
    pub(crate) async fn answer(
        &self,
        gateway: &Gateway,
        path: InvokePath,
        head: &Parts,
        body: &mut UnreadBody,
        peer: IpAddr,
        request_id: &str,
    ) -> Bytes {
        let inner = &gateway.0;
        if let Err(code) = path.takes(head.method.as_str()) {
            return InvokeRefusal::from(code).write(request_id).into();
        }
        let answer = match path {
            InvokePath::Invoke => self.invoke(gateway, head, body, request_id).await,
            _ => self.issue(inner, path, head, body, peer).await,
        };
        answer.unwrap_or_else(|Refusal(refusal)| {
            if let Some(why) = &refusal.why {
                let (path, code) = (head.uri.path(), refusal.code);
                inner.journal.note(&Note {
                    request_id,
                    openid: None,
                    text: &wording!("{path} was answered {code}: {why}", "{path} 返回 {code}：{why}"),
                });
            }
            refusal.write(request_id).into()
        })
    }

    async fn issue(
        &self,
        inner: &Inner,
        path: InvokePath,
        head: &Parts,
        body: &mut UnreadBody,
        peer: IpAddr,
    ) -> Result<Bytes, Refusal> {
        self.guesses
            .check(&network(peer), Instant::now())
            .map_err(|none| {
                let refusal = InvokeRefusal::from(errcode::MINUTE_QUOTA);
                match none.is_first {
                    true => refusal.because(format!("{peer} showed wrong AppSecrets too often")),
                    false => refusal,
                }
            })?;
        let body = body
            .read(&SECRET_BODY, BodySender::Stranger, &inner.budget)
            .await?
            .bytes;
        let asked = match path {
            InvokePath::StableToken => TokenRequest::of_json(&body)?,
            _ => TokenRequest::of_query(head.uri.query().unwrap_or_default(), &body),
        };
        // The lengths may be compared in the open: all AppSecrets have the same.
        let ours = self.secret.expose_secret().as_bytes();
        asked.check(&self.appid, |secret| {
            let same: bool = secret.as_bytes().ct_eq(ours).into();
            if !same {
                self.guesses.wrong(&network(peer), Instant::now());
            }
            same
        })?;
        let token = self.seal(inner.clock.now() + LIFE);
        Ok(format!("{{\"access_token\":\"{token}\",\"expires_in\":{TOKEN_LIFE}}}").into())
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
        let invalid = |why: &str| InvokeRefusal::from(errcode::INVALID_ACCESS_TOKEN).because(why);
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
        let query: Vec<_> = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).collect();
        let param = |name: &str| {
            let found = query.iter().find(|(key, _)| key == name);
            found.map_or("", |(_, value)| value.as_ref())
        };
        self.admit(param("access_token"), &inner.clock)?;
        let body = body
            .read(&EVENT_BODY, BodySender::Known("WeChat's HTTP API"), &inner.budget)
            .await?;
        let asked = FunctionCall::read(param("env"), param("name"), &body.bytes)?;
        let name = asked.name.as_ref();
        let site = inner.calls.find_soon(name, request_id, None).await?;
        let data = CallData::parse(&asked.data).map_err(|error| InvokeRefusal {
            text: error.to_string().into(),
            ..errcode::DATA_FORMAT.into()
        })?;
        let caller = Caller::request(CallSource::HTTP, None);
        let call = inner
            .calls
            .prepare(site, caller, request_id, Event::HttpApi(data));
        let finished = call.run().await;
        Ok(invoked(finished.result?.json.as_deref()).into())
    }
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

    #[test]
    fn a_token_holds_for_two_hours_of_wechats_time_and_is_nobody_elses() {
        let clock = Clock::fixed(Timestamp::from_secs(1_700_000_000));
        let (ours, theirs) = (api(), api());
        let admit = |token: &str| ours.admit(token, &clock).map_err(|Refusal(refusal)| refusal.code);
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
        let bearer =
            Sealer::new(&ring, SealKind::Bearer, APPID).seal(b"\x01\xff\xff\xff\xff\xff\xff\xff\x7f");
        let api = HttpApi::new(&ring, APPID, SECRET.into());
        assert_eq!(
            api.admit(&bearer, &clock)
                .map_err(|Refusal(refusal)| refusal.code),
            Err(40014)
        );
    }
}
