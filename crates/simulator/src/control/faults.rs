//! What goes wrong on purpose, so that a client of WeChat's can be tested for it. `/sim/faults` sets it.
//!
//! A fault is for the calls of one API, or of several, or of all of WeChat's server, or for what WeChat pushes; `/sim/` is never
//! touched. It strikes the
//! next so many of them, or each with a probability: then its dice are thrown once for each of its calls, and the same seed
//! gives the same sequence, call by call, at every start. Latencies add up and are machine time. Of faults that decide how a
//! call ends, the first that strikes wins, and those after it are not asked.

use std::{io, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, stream};
use openapi::Api;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;
use wording::wording;

use crate::{
    Simulator, World,
    server::{
        ApiCall,
        catalogued::LONGEST_BODY,
        errors::{ApiRefusal, Family},
        refuse,
    },
};

/// How many faults there may be, spent ones included.
const MOST: usize = 1000;
/// The longest that one latency can hold a call, in milliseconds.
const LONGEST_LATENCY: i64 = 600_000;
/// How long half an answer stands alone before the connection is cut, so that it is sent off first.
const PAUSE: Duration = Duration::from_millis(10);

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FaultKind {
    /// The call waits for `value` milliseconds before WeChat looks at it.
    Latency,
    /// The connection is closed before WeChat looks at the call.
    Cut,
    /// WeChat does what is asked, and the connection is closed in the middle of the answer.
    Half,
    /// WeChat does nothing, and answers with the errcode `value`.
    Errcode,
    /// Before WeChat looks at the call, the user whom it is about gets a new session_key; where none can be made out, all do.
    Rotate,
    /// A push is sent once more although it was acknowledged.
    Duplicate,
    /// A push is held back until the next one has gone out; never more than one is.
    Reorder,
}

impl FaultKind {
    /// Whether it can strike a call of WeChat's server, and a push.
    fn strikes(self) -> (bool, bool) {
        match self {
            Self::Latency => (true, true),
            Self::Cut | Self::Half | Self::Errcode | Self::Rotate => (true, false),
            Self::Duplicate | Self::Reorder => (false, true),
        }
    }
}

/// What `POST /sim/faults` brings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewFault {
    api: String,
    kind: FaultKind,
    value: Option<i64>,
    next: Option<u32>,
    probability: Option<f64>,
    seed: Option<u64>,
}

/// A fault, as `GET /sim/faults` shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Fault {
    api: String,
    kind: FaultKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<i64>,
    /// How many more calls it strikes.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    /// How many calls it has struck.
    fired: u64,
    #[serde(skip)]
    aim: Aim,
    #[serde(skip)]
    dice: Dice,
}

/// Why there can be no such fault.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum FaultError {
    #[error(
        "no API is called {api:?}{}: give a name (cloudbase.getOpenData), a path (/wxa/getopendata), the last part of one \
         (getopendata), * for all, or push for what WeChat pushes",
        .nearest.as_ref().map_or_else(String::new, |nearest| format!(", did you mean {nearest}"))
    )]
    Api { api: String, nearest: Option<String> },
    #[error("kind latency wants value, 1 to {LONGEST_LATENCY} milliseconds")]
    Latency,
    #[error("kind errcode wants value, the code to answer, such as -1, 40001, 42001 or 45009; 0 is none")]
    Errcode,
    #[error("kinds cut, half, rotate, duplicate and reorder take no value: leave it out")]
    Value,
    #[error("kinds duplicate and reorder are for pushes: give \"api\":\"push\"")]
    OfPushes,
    #[error("\"push\" is what WeChat sends, and knows the kinds latency, duplicate and reorder")]
    NotOfPushes,
    #[error("give either next (of how many calls) or probability (0 to 1, with a seed if you like)")]
    When,
    #[error("next is 1 or more, not 0")]
    Next,
    #[error("probability is more than 0 and at most 1")]
    Probability,
    #[error("there are {MOST} faults already: DELETE /sim/faults clears them")]
    Many,
}

impl FaultError {
    pub(crate) fn in_chinese(&self) -> String {
        match self {
            Self::Api { api, nearest } => format!(
                "没有接口 {api:?}{}：请填名称（cloudbase.getOpenData）、路径（/wxa/getopendata）、路径的最后一段（getopendata）、表示全部的 \
                 *，或表示微信推送的 push",
                nearest
                    .as_ref()
                    .map_or_else(String::new, |nearest| format!("，是不是想写 {nearest}"))
            ),
            Self::Latency => format!("latency 需要 value：1 到 {LONGEST_LATENCY} 毫秒"),
            Self::Errcode => {
                "errcode 需要 value：要返回的错误码，如 -1、40001、42001、45009；不能是 0".to_owned()
            }
            Self::Value => "cut、half、rotate、duplicate、reorder 不需要 value：请不填".to_owned(),
            Self::OfPushes => "duplicate 和 reorder 只用于推送：接口请填 push".to_owned(),
            Self::NotOfPushes => "push 是微信发来的推送，只支持 latency、duplicate 和 reorder".to_owned(),
            Self::When => "next（次数）与 probability（0 到 1，可加 seed）只能给一个".to_owned(),
            Self::Next => "next 应大于等于 1，不能是 0".to_owned(),
            Self::Probability => "probability 应大于 0 且不超过 1".to_owned(),
            Self::Many => format!("已有 {MOST} 条故障：DELETE /sim/faults 可清除"),
        }
    }
}

/// Which calls a fault is for.
#[derive(Debug)]
enum Aim {
    /// Of WeChat's server.
    All,
    Paths(Vec<&'static str>),
    /// What WeChat pushes.
    Pushes,
}

/// What stands for pushes in `api`.
const PUSHES: &str = "push";

impl Aim {
    /// Of APIs that share a path, each name means all of them.
    fn at(api: &str) -> Result<Self, FaultError> {
        if api == "*" {
            return Ok(Self::All);
        }
        if api == PUSHES {
            return Ok(Self::Pushes);
        }
        let meant = |known: &&Api| known.name == api || known.path == api || last_part(known.path) == api;
        let mut paths: Vec<_> = openapi::all().iter().filter(meant).map(|api| api.path).collect();
        paths.dedup();
        if paths.is_empty() {
            return Err(FaultError::Api {
                api: api.to_owned(),
                nearest: nearest(api),
            });
        }
        Ok(Self::Paths(paths))
    }

    fn covers(&self, path: &str) -> bool {
        match self {
            Self::All => true,
            Self::Paths(paths) => paths.contains(&path),
            Self::Pushes => false,
        }
    }
}

fn last_part(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, last)| last)
}

/// What was most likely meant, in the same kind of words: up to a third of its letters may be wrong, or any be capital.
fn nearest(wrong: &str) -> Option<String> {
    let words = openapi::all()
        .iter()
        .flat_map(|api| [api.name, api.path, last_part(api.path)]);
    let lower = wrong.to_lowercase();
    words
        .map(|word| (strsim::osa_distance(&lower, &word.to_lowercase()), word))
        .filter(|(distance, word)| distance * 3 <= word.len())
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, word)| word.to_owned())
}

impl TryFrom<NewFault> for Fault {
    type Error = FaultError;

    fn try_from(given: NewFault) -> Result<Self, FaultError> {
        let aim = Aim::at(&given.api)?;
        match (given.kind.strikes(), &aim) {
            ((_, false), Aim::Pushes) => return Err(FaultError::NotOfPushes),
            ((false, _), Aim::All | Aim::Paths(_)) => return Err(FaultError::OfPushes),
            _ => {}
        }
        match (given.kind, given.value) {
            (FaultKind::Latency, Some(1..=LONGEST_LATENCY)) => {}
            (FaultKind::Latency, _) => return Err(FaultError::Latency),
            (FaultKind::Errcode, Some(code)) if code != 0 && i32::try_from(code).is_ok() => {}
            (FaultKind::Errcode, _) => return Err(FaultError::Errcode),
            (_, Some(_)) => return Err(FaultError::Value),
            (_, None) => {}
        }
        let mut seed = None;
        match (given.next, given.probability) {
            (Some(0), None) => return Err(FaultError::Next),
            (Some(_), None) if given.seed.is_none() => {}
            (None, Some(probability)) if probability > 0.0 && probability <= 1.0 => {
                seed = Some(given.seed.unwrap_or(0));
            }
            (None, Some(_)) => return Err(FaultError::Probability),
            _ => return Err(FaultError::When),
        }
        Ok(Self {
            api: given.api,
            kind: given.kind,
            value: given.value,
            next: given.next,
            probability: given.probability,
            seed,
            fired: 0,
            aim,
            dice: Dice(seed.unwrap_or(0)),
        })
    }
}

impl Fault {
    /// Whether it strikes this call, which is one of its.
    fn strikes(&mut self) -> bool {
        let strikes = match (&mut self.next, self.probability) {
            (Some(0), _) => false,
            (Some(next), _) => {
                *next -= 1;
                true
            }
            (None, probability) => self.dice.throw() < probability.unwrap_or(0.0),
        };
        self.fired += u64::from(strikes);
        strikes
    }
}

/// SplitMix64: a seed gives the same sequence in every version of this program, which no crate promises.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    /// 0 to 1, without 1.
    fn throw(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        // The 53 bits that an f64 holds exactly.
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// All faults, in the order in which they were set.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn all(&self) -> &[Fault] {
        &self.0
    }

    pub(crate) fn put(&mut self, given: NewFault) -> Result<(), FaultError> {
        if self.0.len() == MOST {
            return Err(FaultError::Many);
        }
        self.0.push(given.try_into()?);
        Ok(())
    }

    /// What is to happen to a call of this path that begins now.
    fn strike(&mut self, path: &str) -> Plan {
        let mut plan = Plan::default();
        for fault in self.0.iter_mut().filter(|fault| fault.aim.covers(path)) {
            let ends = !matches!(fault.kind, FaultKind::Latency | FaultKind::Rotate);
            if (ends && plan.end.is_some()) || !fault.strikes() {
                continue;
            }
            let value = fault.value.unwrap_or(0);
            match fault.kind {
                FaultKind::Latency => plan.latency += Duration::from_millis(value.unsigned_abs()),
                FaultKind::Rotate => plan.rotate = true,
                FaultKind::Cut => plan.end = Some(End::Cut),
                FaultKind::Half => plan.end = Some(End::Half),
                FaultKind::Errcode => plan.end = i32::try_from(value).ok().map(End::Errcode),
                FaultKind::Duplicate | FaultKind::Reorder => {}
            }
        }
        plan
    }

    /// What is to happen to a push that begins now. While one is held back already, no other can be, and faults that would are
    /// not asked.
    pub(crate) fn strike_push(&mut self, may_hold: bool) -> PushPlan {
        let mut plan = PushPlan::default();
        for fault in self.0.iter_mut().filter(|fault| matches!(fault.aim, Aim::Pushes)) {
            let idle = match fault.kind {
                FaultKind::Duplicate => plan.duplicate,
                FaultKind::Reorder => plan.reorder || !may_hold,
                _ => false,
            };
            if idle || !fault.strikes() {
                continue;
            }
            match fault.kind {
                FaultKind::Duplicate => plan.duplicate = true,
                FaultKind::Reorder => plan.reorder = true,
                _ => plan.latency += Duration::from_millis(fault.value.unwrap_or(0).unsigned_abs()),
            }
        }
        plan
    }
}

/// What is to happen to one push.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct PushPlan {
    pub(crate) latency: Duration,
    pub(crate) duplicate: bool,
    pub(crate) reorder: bool,
}

/// What is to happen to one call.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    latency: Duration,
    rotate: bool,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Cut,
    Half,
    Errcode(i32),
}

/// Around every path of WeChat's server.
pub(crate) async fn around(State(sim): State<Simulator>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let plan = sim.world().faults.strike(&path);
    if plan == Plan::default() {
        return next.run(request).await;
    }
    if !plan.latency.is_zero() {
        let ms = plan.latency.as_millis();
        sim.tell(wording!(
            "fault: {path} waits for {ms} ms",
            "故障：{path} 延迟 {ms} 毫秒"
        ));
        tokio::time::sleep(plan.latency).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LONGEST_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let ask = match ApiCall::new(&parts, body.clone()) {
        Ok(ask) => ask,
        Err(refused) => return refused.into_response(),
    };
    if plan.rotate {
        let who = rotate(&sim, &ask);
        sim.tell(wording!(
            "fault: {path} finds a new session_key of {who}",
            "故障：{path} 之前更换了 {who} 的 session_key"
        ));
    }
    let request = Request::from_parts(parts, body.into());
    match plan.end {
        None => next.run(request).await,
        Some(End::Cut) => {
            sim.tell(wording!(
                "fault: {path} is cut before WeChat looks at it",
                "故障：{path} 在微信处理之前断开"
            ));
            Response::new(Body::from_stream(stream::once(async {
                Err::<Bytes, _>(broken())
            })))
        }
        Some(End::Half) => {
            sim.tell(wording!(
                "fault: {path} is cut in the middle of its answer",
                "故障：{path} 的应答中途断开"
            ));
            halve(next.run(request).await).await
        }
        Some(End::Errcode(code)) => {
            sim.tell(wording!(
                "fault: {path} answers with errcode {code}",
                "故障：{path} 返回 errcode {code}"
            ));
            refuse(&sim, Family::of(&path), &ask, &ApiRefusal::Fault(code))
        }
    }
}

/// The first half of an answer that says how long the whole is.
async fn halve(answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    let whole = match axum::body::to_bytes(body, usize::MAX).await {
        Ok(whole) => whole,
        Err(error) => {
            tracing::error!(%error, "an answer cannot be read");
            Bytes::new()
        }
    };
    parts
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let half = whole.slice(..whole.len() / 2);
    let end = async {
        tokio::time::sleep(PAUSE).await;
        Err(broken())
    };
    let body = stream::once(async { Ok(half) }).chain(stream::once(end));
    Response::from_parts(parts, Body::from_stream(body))
}

/// What a body ends with so that the server closes the connection; where it is all there is, before anything was sent.
fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "a fault cut it")
}

/// Gives a new session_key to the user whom the call is about, or to all; says to whom.
fn rotate(sim: &Simulator, ask: &ApiCall) -> String {
    let now = sim.now();
    let world = &mut *sim.world();
    match concerned(world, ask) {
        Some(name) => {
            world.sessions.reset(&name, now);
            name
        }
        None => {
            world.sessions.reset_all(now);
            "everybody".to_owned()
        }
    }
}

/// The name of the user whom a call is about: of its `openid` or `touser`, in the query or in a JSON body, or of its login
/// code.
fn concerned(world: &World, ask: &ApiCall) -> Option<String> {
    if let Some(name) = world.login_codes.user(ask.query("js_code")) {
        return Some(name.to_owned());
    }
    let body: Map<String, Value> = serde_json::from_slice(&ask.body).unwrap_or_default();
    let given = |name: &str| match ask.query(name) {
        "" => body.get(name).and_then(Value::as_str).unwrap_or(""),
        text => text,
    };
    let users = ["openid", "touser"].map(|name| world.users.by_openid(given(name)));
    let user = users.into_iter().flatten().next();
    user.map(|user| user.name.clone())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn faults(given: &[Value]) -> Faults {
        let mut faults = Faults::default();
        for given in given {
            faults
                .put(serde_json::from_value(given.clone()).unwrap())
                .unwrap();
        }
        faults
    }

    #[test]
    fn a_seed_gives_the_same_sequence_and_another_seed_another() {
        let sequence = |seed: u64| {
            let mut faults =
                faults(&[json!({ "api": "token", "kind": "cut", "probability": 0.25, "seed": seed })]);
            let struck: String = (0..64)
                .map(|_| {
                    if faults.strike("/cgi-bin/token").end.is_some() {
                        '1'
                    } else {
                        '0'
                    }
                })
                .collect();
            assert_eq!(faults.0[0].fired, struck.matches('1').count() as u64);
            struck
        };
        // Computed with another implementation of SplitMix64.
        assert_eq!(
            sequence(7),
            "0100010010100000000001000010000100001011000110000000100100000000"
        );
        assert_ne!(sequence(7), sequence(8));
    }

    #[test]
    fn a_fault_is_for_a_name_a_path_the_end_of_one_or_all() {
        for (api, struck) in [
            ("cloudbase.getOpenData", vec!["/wxa/getopendata"]),
            ("/wxa/getopendata", vec!["/wxa/getopendata"]),
            ("getopendata", vec!["/wxa/getopendata"]),
            ("*", vec!["/wxa/getopendata", "/sns/jscode2session", "/wxa/none"]),
        ] {
            let mut faults = faults(&[json!({ "api": api, "kind": "cut", "probability": 1 })]);
            for path in ["/wxa/getopendata", "/sns/jscode2session", "/wxa/none"] {
                let cut = faults.strike(path).end == Some(End::Cut);
                assert_eq!(cut, struck.contains(&path), "{api} {path}");
            }
        }
        let at = |api: &str| Aim::at(api).unwrap_err().to_string();
        assert!(
            at("getopendat").contains("did you mean getopendata"),
            "{}",
            at("getopendat")
        );
        assert!(at("cloudbase.getopendata").contains("did you mean cloudbase.getOpenData"));
        assert!(at("/wxa/getopendat").contains("did you mean /wxa/getopendata"));
        assert!(!at("zzzzzzzzzz").contains("did you mean"));
    }

    #[test]
    fn latencies_add_up_and_the_first_end_wins() {
        let mut faults = faults(&[
            json!({ "api": "*", "kind": "latency", "value": 20, "next": 2 }),
            json!({ "api": "token", "kind": "latency", "value": 5, "next": 1 }),
            json!({ "api": "token", "kind": "errcode", "value": -1, "next": 1 }),
            json!({ "api": "token", "kind": "half", "next": 1 }),
            json!({ "api": "token", "kind": "rotate", "next": 2 }),
        ]);
        let plan = |millis, rotate, end| Plan {
            latency: Duration::from_millis(millis),
            rotate,
            end,
        };
        assert_eq!(
            faults.strike("/cgi-bin/token"),
            plan(25, true, Some(End::Errcode(-1)))
        );
        assert_eq!(faults.strike("/cgi-bin/token"), plan(20, true, Some(End::Half)));
        assert_eq!(faults.strike("/cgi-bin/token"), Plan::default());
        let fired: Vec<u64> = faults.all().iter().map(|fault| fault.fired).collect();
        assert_eq!(fired, [2, 1, 1, 1, 2]);
    }
}
