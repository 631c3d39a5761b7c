//! `yunqiao push`: has the simulated WeChat push a message or an event, and tells what it was answered.

use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr},
    process::ExitCode,
    time::Duration,
};

use anstream::println;
use anyhow::{anyhow, bail};
use clock::Clock;
use project::{ForeignCodes, Project, ProjectError, Undeclared};
use push::{Format, Packet, PacketField, PacketKind, kinds};
use serde_json::{Map, Value, json};
use simulator::Simulator;
use tokio::sync::oneshot;

use crate::{
    args,
    client::{client, post},
    lang::{say, t},
    paths,
    print::{self, BAD, DIM, GOOD},
    run_file, stack,
    stack::Local,
    undeclared,
};

/// How long a simulated WeChat may take to say that it is there.
const GREETING: Duration = Duration::from_secs(2);
/// Members of an answer that hold a text in English, and the same in Chinese.
const WARNINGS: [&str; 2] = ["warnings", "warningsZh"];
const MEANING: [&str; 2] = ["meaning", "meaningZh"];

pub(crate) async fn run(args: args::Push, as_json: bool) -> anyhow::Result<ExitCode> {
    let asked = match &args.kind {
        None if args.verify => PushRequest::verification(&args),
        Some(kind) if !args.list => PushRequest::push(kind, &args)?,
        word => return list(word.as_deref(), as_json),
    };
    let client = client()?;
    if let Some(wechat) = &args.wechat {
        return push(&client, wechat.trim_end_matches('/'), None, &asked, as_json).await;
    }
    let project = match paths::project(&args.dir) {
        Ok(project) => Some(project),
        // Nothing of a project's is called then.
        Err(ProjectError::NotAProject { .. }) if args.url.is_some() => None,
        Err(error) => return Err(error.into()),
    };
    if let Some(project) = &project
        && let Some(running) = run_file::running(&project.root)
        && is_there(&client, &running.wechat).await
    {
        let own = args.url.is_none().then_some(project);
        return push(&client, &running.wechat, own, &asked, as_json).await;
    }
    match project {
        Some(mut project) if args.url.is_none() => {
            print::step(t(
                "no `yunqiao dev` runs for this project: it is started for this push alone",
                "这个项目没有运行中的 `yunqiao dev`：只为这次推送启动",
            ));
            undeclared::supply(&mut project, Undeclared::Supply);
            let local = Local::headless(&project, &args.node, false).await?;
            let code = push(&client, &local.wechat, Some(&project), &asked, as_json).await;
            local.stop().await;
            code
        }
        project => alone(&client, project.as_ref(), &asked, as_json).await,
    }
}

async fn is_there(client: &reqwest::Client, wechat: &str) -> bool {
    let app = client.get(format!("{wechat}/sim/app")).timeout(GREETING);
    app.send().await.is_ok()
}

/// By a simulated WeChat that is there for this one push. Outside of a project it says how a backend is to know it; what
/// it says is no secret, but the same for everybody.
async fn alone(
    client: &reqwest::Client,
    project: Option<&Project>,
    asked: &PushRequest,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let (listener, address) = stack::listen(loopback, 0, "--wechat").await?;
    let settings = match project {
        Some(project) => stack::simulator_settings(project, ForeignCodes::Refuse),
        None => {
            let settings = simulator::SimulatorSettings::default();
            print::fact("appid", &settings.appid);
            print::fact("token", settings.push.token.expose());
            print::fact("aes key", settings.push.aes_key.expose());
            settings
        }
    };
    let simulator = Simulator::new(settings, Clock::system(), |notice| print::warning(notice, ""));
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(simulator.serve(listener, async { drop(stopped.await) }));
    let code = push(client, &stack::url(address), None, asked, as_json).await;
    drop(stop);
    serving.await??;
    code
}

/// What the simulated WeChat is asked.
struct PushRequest {
    path: &'static str,
    /// What is pushed, as it was named.
    kind: String,
    body: Value,
}

impl PushRequest {
    fn verification(args: &args::Push) -> Self {
        let url = args.url.iter().map(|url| ("url".to_owned(), json!(url)));
        Self {
            path: "/sim/push/verify",
            kind: String::new(),
            body: Value::Object(url.collect()),
        }
    }

    fn push(kind: &str, args: &args::Push) -> anyhow::Result<Self> {
        if kinds::named(kind).next().is_none() {
            return Err(no_kind(kind));
        }
        let mut fields = match args.data.as_deref().map(serde_json::from_str) {
            None => Map::new(),
            Some(Ok(Value::Object(fields))) => fields,
            Some(Ok(_)) => bail!(say!(
                "--data must be a JSON object, such as '{{\"Content\":\"hello\"}}'",
                "--data 应是 JSON 对象，例如 '{{\"Content\":\"你好\"}}'"
            )),
            Some(Err(error)) => bail!(say!("--data is not JSON: {error}", "--data 不是 JSON：{error}")),
        };
        if let Some(content) = &args.content {
            fields.insert("Content".to_owned(), json!(content));
        }
        for args::FieldGiven { name, value } in &args.fields {
            fields.insert(name.clone(), value.clone());
        }
        let mut body = json!({ "type": kind, "fields": fields });
        if let Some(user) = &args.user {
            body["user"] = json!(user);
        }
        if let Some(url) = &args.url {
            body["url"] = json!(url);
        }
        Ok(Self {
            path: "/sim/push",
            kind: kind.to_owned(),
            body,
        })
    }
}

/// `project` is the one whose functions are pushed to.
async fn push(
    client: &reqwest::Client,
    wechat: &str,
    project: Option<&Project>,
    asked: &PushRequest,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let told = post(client, &format!("{wechat}{}", asked.path), None, &asked.body).await?;
    let [en, zh] = WARNINGS;
    let warnings = &told[t(en, zh)];
    for warning in warnings.as_array().into_iter().flatten() {
        print::warning(warning.as_str().unwrap_or_default(), "");
    }
    let attempts = told["attempts"].as_array().map_or(&[][..], Vec::as_slice);
    if as_json {
        print::json(&told);
    } else if asked.path == "/sim/push" {
        show(&told, attempts);
    } else {
        let url = told["url"].as_str().unwrap_or_default();
        println!("{}", say!("verification → {url}", "URL 验证 → {url}"));
        outcome(&told, told["verified"] == true, "");
    }
    let done = attempts.iter().any(|attempt| attempt["acknowledged"] == true);
    let good = done || told["heldBack"] == true || told["verified"] == true;
    if let Some(project) = project.filter(|project| done && !is_routed(project, &told)) {
        // WeChat hears no more of it than that it has arrived.
        let kind = &asked.kind;
        // Which of several is for pushes nobody knows but their author.
        let mut functions = project.functions.keys();
        let function = match (functions.next(), functions.next()) {
            (Some(only), None) => only.as_ref(),
            _ => t("FUNCTION", "云函数名"),
        };
        print::warning(
            say!(
                "no function was called: none takes {kind}",
                "没有调用云函数：没有云函数接收 {kind}"
            ),
            &say!(
                "name one in yunqiao.toml, below [push.routes]: {kind} = \"{function}\"",
                "请在 yunqiao.toml 的 [push.routes] 下写明：{kind} = \"{function}\""
            ),
        );
    }
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Whether a function takes what was pushed.
fn is_routed(project: &Project, told: &Value) -> bool {
    let packet = told["packet"].to_string();
    Packet::parse("", Format::Json, packet.as_bytes())
        .is_ok_and(|packet| project.settings.push.routes.find(&packet).is_some())
}

/// One request that WeChat sent, and what came of it.
fn outcome(told: &Value, good: bool, note: &str) {
    let (style, mark) = if good { (GOOD, '✓') } else { (BAD, '✗') };
    let status = match told["status"].as_u64() {
        Some(status) => status.to_string(),
        None => t("no answer", "没有应答").to_owned(),
    };
    let [en, zh] = MEANING;
    let (took, meaning) = (&told["ms"], told[t(en, zh)].as_str().unwrap_or_default());
    let told_in_words = say!(
        "{status} in {took} ms{note}: {meaning}",
        "{status}，用时 {took} 毫秒{note}：{meaning}"
    );
    println!("{style}{mark}{style:#} {told_in_words}");
    match &told["reply"] {
        Value::Object(reply) => println!("  {}", json!(reply)),
        // What was said, where it was not what it should be.
        Value::Null if !good => {
            for line in told["answer"].as_str().unwrap_or_default().lines().take(5) {
                println!("  {DIM}{line}{DIM:#}");
            }
        }
        _ => {}
    }
}

fn show(told: &Value, attempts: &[Value]) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    println!(
        "{} → {} {DIM}({}, {}){DIM:#}",
        text(&told["type"]),
        text(&told["url"]),
        text(&told["mode"]),
        text(&told["format"])
    );
    for line in format!("{:#}", told["packet"]).lines() {
        println!("  {DIM}{line}{DIM:#}");
    }
    if told["heldBack"] == true {
        println!(
            "{}",
            t(
                "held back by a fault until the next push has gone out",
                "被故障拦住，要等下一次推送发出后再发"
            )
        );
    }
    for attempt in attempts {
        let again = match attempt["duplicate"] == true {
            true => t(" (sent twice by a fault)", "（因故障发送两次）"),
            false => "",
        };
        outcome(attempt, attempt["acknowledged"] == true, again);
    }
}

/// The kinds whose name, in the packet or in the console, has this word in it; all without one.
fn list(word: Option<&str>, as_json: bool) -> anyhow::Result<ExitCode> {
    let word = word.unwrap_or_default().to_ascii_lowercase();
    let matches = |name: &str| name.to_ascii_lowercase().contains(&word);
    let found: Vec<&PacketKind> = kinds::all()
        .iter()
        .filter(|kind| matches(kind.name()) || kind.console.is_some_and(matches))
        .collect();
    if found.is_empty() {
        return Err(no_kind(&word));
    }
    if as_json {
        print::json(&found.into_iter().map(describe).collect());
        return Ok(ExitCode::SUCCESS);
    }
    match table(&found) {
        // `yunqiao push --list | head` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        printed => Ok(printed.map(|()| ExitCode::SUCCESS)?),
    }
}

fn no_kind(name: &str) -> anyhow::Error {
    match kinds::nearest(name) {
        Some(near) => anyhow!(say!(
            "there is no message or event {name:?}; did you mean `{near}`?",
            "没有消息或事件 {name:?}；是不是想写 `{near}`？"
        )),
        None => anyhow!(say!(
            "there is no message or event {name:?}; `yunqiao push --list` lists them all",
            "没有消息或事件 {name:?}；`yunqiao push --list` 会全部列出"
        )),
    }
}

fn describe(kind: &PacketKind) -> Value {
    json!({
        "name": kind.name(),
        "msgType": kind.msg_type,
        "event": kind.event,
        "console": kind.console,
        "audience": kind.audience,
        "title": kind.title,
        "fields": kind.fields().map(field).collect::<Vec<_>>(),
        "document": kind.document,
    })
}

/// `GoodsInfo{ProductId,Quantity}`
fn field(field: PacketField) -> String {
    let inner: Vec<_> = field.fields().map(self::field).collect();
    match inner.is_empty() {
        true => field.name.to_owned(),
        false => format!("{}{{{}}}", field.name, inner.join(",")),
    }
}

fn table(found: &[&PacketKind]) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    for kind in found {
        let console = kind.console.map_or_else(String::new, |console| {
            say!(" (in the console: {console})", "（控制台里叫 {console}）")
        });
        writeln!(
            out,
            "{}{console}  {DIM}{}, {}{DIM:#}",
            kind.name(),
            kind.title,
            kind.audience
        )?;
        let fields: Vec<_> = kind.fields().map(field).collect();
        if !fields.is_empty() {
            writeln!(out, "  {DIM}{}{DIM:#}", fields.join(" "))?;
        }
    }
    out.flush()
}
