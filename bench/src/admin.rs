//! Calls of the cloud from inside a function: what `/admin` adds. One function makes call after call with an unmodified
//! wx-server-sdk and times each, under the gateway with the simulator as its WeChat, and in a plain Node whose SDK is
//! given the same answer at once. The difference is what the gateway adds: signature, token, permission, catalogue, and
//! where WeChat is asked, its round trip, which is also measured by itself.

use std::{
    fmt, fs,
    os::unix::fs::symlink,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clock::Clock;
use openapi::{ApiParam, Boundary};
use serde_json::{Value, json};
use tcb::{
    SdkReply,
    protobuf::{CommOpenApiResp, OpenDataResponse},
    reply,
};
use wechat::OutgoingRequest;

use crate::{
    at_once::AtOnce,
    http,
    median::{median, micros},
    npm,
    ours::{Function, Ours},
    peers::{PLAIN, Peer},
    process::Process,
    rounds::Plan,
    table::Line,
};

const SOURCE: &str = include_str!("../peers/cloud-calls/index.js");
const REDIRECT: &str = include_str!("../peers/cloud-calls/redirect.js");
/// How requests leave one of our workers: `cloud.js`, and what it requires.
const CLOUD: [(&str, &str); 3] = [
    ("cloud.js", include_str!("../../js/worker/cloud.js")),
    ("call.js", include_str!("../../js/worker/call.js")),
    ("intrinsics.js", include_str!("../../js/worker/intrinsics.js")),
];
const PERMISSIONS: &str = r#"{"permissions":{"openapi":["security.msgSecCheck"]}}"#;
const EMPTY: &str = "exports.main = async () => null\n";

pub(crate) const SDK: &str = "wx-server-sdk";
pub(crate) const NEWEST: &str = "4.0.2";
/// The newest that is made on the library `request`.
const OLDER: &str = "2.6.3";
/// No call of the measured function may take longer, and so no measurement in it.
pub(crate) const LONGEST: Duration = Duration::from_secs(20);
/// What /admin may add at p50.
const MOST_MICROS: f64 = 500.0;

/// One of the APIs in `peers/cloud-calls/index.js`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Api {
    MsgSecCheck,
    CallFunction,
    GetOpenData,
}

impl Api {
    /// What the function knows it by.
    fn name(self) -> &'static str {
        match self {
            Self::MsgSecCheck => "msgSecCheck",
            Self::CallFunction => "callFunction",
            Self::GetOpenData => "getOpenData",
        }
    }

    /// A reply of which the SDK makes `answer`, which it gave to a question about the cloudID `id`.
    fn reply(self, id: &str, answer: &Value) -> Result<SdkReply> {
        Ok(match self {
            Self::MsgSecCheck => {
                let body = br#"{"errcode":0,"errmsg":"ok"}"#;
                reply::message(&CommOpenApiResp::new("application/json", body.to_vec()))
            }
            Self::CallFunction => {
                let request_id = answer["requestID"].as_str().context("no requestID")?;
                reply::invoked(request_id, &answer["result"].to_string())
            }
            Self::GetOpenData => {
                let mut items = OpenDataResponse::default();
                items.push(id, &answer["list"][0].to_string());
                reply::message(&CommOpenApiResp::svrkit(items.encode()))
            }
        })
    }
}

pub(crate) fn measure(binary: &Path, cache: &Path, dir: &Path, plan: Plan) -> Result<Vec<Line>> {
    let ours = Ours::start(binary, dir, &functions())?;
    let wechat = WeChat::new(&ours)?;
    let newest = Answered::start(&ours, &function(NEWEST), SOURCE, NEWEST, cache, dir)?;
    let older = Answered::start(&ours, &function(OLDER), SOURCE, OLDER, cache, dir)?;
    let mut subjects = [
        Subject::new(&newest, Api::MsgSecCheck),
        Subject::new(&older, Api::MsgSecCheck),
        Subject::new(&newest, Api::CallFunction),
        Subject::new(&newest, Api::GetOpenData),
    ];
    let span = (plan.measure / 2).min(LONGEST);

    let mut straight = Vec::new();
    // Round 0 does not count: after it, everybody's code is compiled.
    for number in 0..=plan.rounds {
        match number {
            0 => print!("cloud calls, warm-up:"),
            _ => print!("cloud calls, round {number} of {}:", plan.rounds),
        }
        let at_wechat = wechat.measure(span)?;
        print!(" WeChat {:.0} µs", at_wechat.p50);
        if number > 0 {
            straight.push(at_wechat);
        }
        for subject in &mut subjects {
            let both = subject.round(&ours, span, number % 2 == 1)?;
            print!(", {subject} {:.0} and {:.0}", both.peer.p50, both.ours.p50);
            if number > 0 {
                subject.rounds.push(both);
            }
        }
        println!();
    }

    let mut lines = vec![Line {
        what: "msgSecCheck, straight to the simulator".to_owned(),
        figure: figure(&straight, |sample| *sample),
        ..Line::default()
    }];
    lines.extend(subjects.iter().flat_map(|subject| subject.lines(&straight)));
    Ok(lines)
}

/// An API as one version of the SDK calls it.
struct Subject<'a> {
    peer: &'a Answered,
    api: Api,
    rounds: Vec<Both>,
}

impl<'a> Subject<'a> {
    fn new(peer: &'a Answered, api: Api) -> Self {
        Self {
            peer,
            api,
            rounds: Vec::new(),
        }
    }

    fn round(&self, ours: &Ours, span: Duration, peer_first: bool) -> Result<Both> {
        // A ticket lives 300 seconds, so each round has its own.
        let id = ours.mint()?;
        let event =
            |span: Duration| json!({"call": self.api.name(), "id": id, "millis": span.as_millis() as u64});
        let through_us = |span| {
            let body = json!({"data": event(span)});
            measured(ours.call(&function(self.peer.version), &body)?)
        };
        let at_once = |span| self.peer.measure(&event(span));

        // Short runs: what is the answer, and does the SDK make the same of the peer's?
        let instant = Duration::from_millis(1);
        let (_, answer) = through_us(instant)?;
        self.peer.server.answer_with(&self.api.reply(&id, &answer)?);
        let (_, same) = at_once(instant)?;
        ensure!(same == answer, "{self} was answered {answer}, its peer {same}");

        if peer_first {
            let (peer, _) = at_once(span)?;
            let (ours, _) = through_us(span)?;
            Ok(Both { ours, peer })
        } else {
            let (ours, _) = through_us(span)?;
            let (peer, _) = at_once(span)?;
            Ok(Both { ours, peer })
        }
    }

    fn lines(&self, straight: &[Quantiles]) -> [Line; 2] {
        let of = |value: &dyn Fn(&Both) -> f64| median(self.rounds.iter().map(value)).value;
        let more = of(&|both| both.ours.p50 - both.peer.p50);
        let tail = of(&|both| both.ours.p99 - both.peer.p99);
        let mut ours = format!(
            "{}: {more:+.0} and {tail:+.0}",
            figure(&self.rounds, |both| both.ours)
        );
        if self.api == Api::MsgSecCheck {
            let pairs = self.rounds.iter().zip(straight);
            let less = median(pairs.map(|(both, straight)| both.ours.p50 - both.peer.p50 - straight.p50));
            ours.push_str(&format!(", less WeChat's {:+.0} at p50", less.value));
        }
        [
            Line {
                what: format!("{self}, answered at once"),
                figure: figure(&self.rounds, |both| both.peer),
                ..Line::default()
            },
            Line {
                what: format!("{self}, through us"),
                figure: ours,
                goal: format!("p50 at most {MOST_MICROS} µs more"),
                met: Some(more <= MOST_MICROS),
                ..Line::default()
            },
        ]
    }
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, SDK {}", self.api.name(), self.peer.version)
    }
}

pub(crate) fn figure<T>(rounds: &[T], quantiles: impl Fn(&T) -> Quantiles) -> String {
    let of =
        |value: &dyn Fn(Quantiles) -> f64| median(rounds.iter().map(|round| value(quantiles(round)))).value;
    format!(
        "p50 {:.0}, p99 {:.0} µs",
        of(&|round| round.p50),
        of(&|round| round.p99)
    )
}

/// One call in one round.
pub(crate) struct Both {
    pub(crate) ours: Quantiles,
    pub(crate) peer: Quantiles,
}

/// In microseconds.
#[derive(Clone, Copy)]
pub(crate) struct Quantiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Quantiles {
    fn of(mut micros: Vec<f64>) -> Result<Self> {
        micros.sort_by(f64::total_cmp);
        let last = micros.len().checked_sub(1).context("nothing was measured")?;
        let at = |share: f64| micros[(last as f64 * share) as usize];
        Ok(Self {
            p50: at(0.5),
            p99: at(0.99),
        })
    }
}

/// What the measured function returned: how long its calls took, and what the last of them gave.
pub(crate) fn measured(mut result: Value) -> Result<(Quantiles, Value)> {
    let nanos = result["nanos"]
        .as_array()
        .context("the function returned no times")?;
    let micros = nanos
        .iter()
        .filter_map(Value::as_f64)
        .map(|nanos| nanos / 1e3)
        .collect();
    Ok((Quantiles::of(micros)?, result["answer"].take()))
}

/// The name of the function with this SDK.
fn function(version: &str) -> String {
    format!("sdk-{}", version.replace('.', "-"))
}

fn functions() -> [Function; 3] {
    let with = |version: &str| Function {
        name: function(version),
        source: SOURCE,
        concurrency: 1,
        max_instances: 1,
        manifest: Some(json!({"dependencies": {SDK: version}}).to_string()),
        config: Some(PERMISSIONS),
        timeout: Some(LONGEST + Duration::from_secs(10)),
    };
    let empty = Function {
        name: "empty".to_owned(),
        source: EMPTY,
        manifest: None,
        config: None,
        timeout: None,
        ..with(NEWEST)
    };
    [with(NEWEST), with(OLDER), empty]
}

/// The peer: the same function and SDK in a plain Node, with the environment that ours has.
pub(crate) struct Answered {
    version: &'static str,
    node: Peer,
    pub(crate) server: AtOnce,
}

impl Answered {
    /// The peer of the function `name`, whose source this is.
    pub(crate) fn start(
        ours: &Ours,
        name: &str,
        source: &str,
        version: &'static str,
        cache: &Path,
        dir: &Path,
    ) -> Result<Self> {
        let packages = cache.join(function(version));
        npm::install(&packages, SDK, version)?;
        let home = dir.join(format!("at-once-{version}"));
        fs::create_dir_all(home.join("function"))?;
        fs::write(home.join("function/index.js"), source)?;
        fs::write(home.join("plain.js"), PLAIN)?;
        fs::write(home.join("redirect.js"), REDIRECT)?;
        for (name, source) in CLOUD {
            fs::write(home.join(name), source)?;
        }
        symlink(packages.join("node_modules"), home.join("node_modules"))?;

        let socket = home.join("socket");
        let server = AtOnce::start(&socket)?;
        let environment = ours.call(name, &json!({"data": {"call": "environment"}}))?;
        let environment = environment.as_object().context("no environment")?;
        let mut command = Command::new("node");
        command
            .args(["--require", "./redirect.js", "plain.js"])
            .arg(&socket)
            .env_clear()
            .envs(
                environment
                    .iter()
                    .filter_map(|(name, value)| Some((name, value.as_str()?))),
            );
        let mut process = Process::start(&format!("at-once-{version}"), &mut command, &home)?;
        let addr = process.ready(Duration::from_secs(20))?;
        Ok(Self {
            version,
            node: Peer { addr, process },
            server,
        })
    }

    pub(crate) fn measure(&self, event: &Value) -> Result<(Quantiles, Value)> {
        let result =
            http::json(self.node.addr, "/", None, event).with_context(|| self.node.process.last_words())?;
        measured(result)
    }
}

/// The client that the gateway has, straight to the simulator.
struct WeChat {
    client: wechat::WeChatClient,
    runtime: tokio::runtime::Runtime,
    request: openapi::ApiRequest,
}

impl WeChat {
    const API: &str = "security.msgSecCheck";

    fn new(ours: &Ours) -> Result<Self> {
        let client = wechat::WeChatClient::new(wechat::WeChatConfig {
            base_url: format!("http://{}", ours.wechat),
            appid: ours.appid.clone(),
            secret: ours.secret.clone().into(),
            tokens: Arc::new(wechat::MemoryTokens::default()),
            clock: Clock::system(),
            timeout: Duration::from_secs(5),
        })?;
        let content = ApiParam {
            key: "content",
            value: br#""hello world!""#,
            filename: None,
        };
        let api = openapi::find(Self::API).context("the catalogue lacks the API")?;
        Ok(Self {
            client,
            // The gateway, too, has one thread.
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
            request: api.request(&[content], &Boundary::new(0))?,
        })
    }

    fn measure(&self, span: Duration) -> Result<Quantiles> {
        self.runtime.block_on(async {
            let end = Instant::now() + span;
            let mut took = Vec::new();
            loop {
                let since = Instant::now();
                if since >= end {
                    return Quantiles::of(took);
                }
                let outgoing = OutgoingRequest::of(
                    Self::API,
                    &self.request,
                    self.request.body.bytes().to_vec().into(),
                );
                let called = self.client.call(&outgoing, Duration::from_secs(5)).await?;
                took.push(micros(since.elapsed()));
                ensure!(
                    called.body.starts_with(br#"{"errcode":0,"#),
                    "WeChat answered {}",
                    String::from_utf8_lossy(&called.body)
                );
            }
        })
    }
}
