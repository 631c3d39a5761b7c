//! `yunqiao call`: one call as a simulated user would make it, by the public interfaces alone; or one as a timer makes it, by
//! the operator's.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use project::Project;
use serde_json::{Map, Value, json};

use crate::print::{self, Coded};
use crate::run_file::{self, Running};
use crate::{args, escape, exec};

/// Longer than any function may take, waiting and loading included.
const TIMEOUT: Duration = Duration::from_secs(150);

pub(crate) async fn run(args: args::Call, as_json: bool) -> anyhow::Result<ExitCode> {
    let data = data(&args)?;
    let project = Project::open(&args.dir)?;
    let client = client()?;
    if let Some(running) = running(&client, &project).await {
        return make(&client, &running, &args, data, as_json).await;
    }
    let local = exec::headless(&project, &args.node).await?;
    let code = make(&client, &local.running(), &args, data, as_json).await;
    local.stop().await;
    code
}

async fn make(
    client: &reqwest::Client,
    running: &Running,
    args: &args::Call,
    data: Map<String, Value>,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    match &args.timer {
        Some(trigger) => fire(client, running, &args.name, trigger, as_json).await,
        None => call(client, running, args, data, as_json).await,
    }
}

/// The project's running `dev`, if there is one and it answers.
async fn running(client: &reqwest::Client, project: &Project) -> Option<Running> {
    let running = run_file::running(&project.root)?;
    let asked = client.get(format!("{}/readyz", running.url)).send().await;
    asked.is_ok().then_some(running)
}

/// Fires a timer of the function.
async fn fire(
    client: &reqwest::Client,
    running: &Running,
    name: &str,
    trigger: &str,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let body = match trigger {
        "" => json!({}),
        trigger => json!({ "trigger": trigger }),
    };
    let url = format!("{}/operator/functions/{name}/timer", running.operator);
    let reply = post(client, &url, Some(&running.pass), &body).await?;
    show(reply, as_json);
    Ok(ExitCode::SUCCESS)
}

/// Both ends are on this machine: no proxy, no certificates.
pub(crate) fn client() -> anyhow::Result<reqwest::Client> {
    // Fails only where a provider is installed already, which will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .timeout(TIMEOUT)
        .build()?)
}

fn data(args: &args::Call) -> anyhow::Result<Map<String, Value>> {
    match serde_json::from_str(&args.data) {
        Ok(Value::Object(data)) => Ok(data),
        Ok(_) => bail!("--data must be a JSON object, such as '{{\"a\":1}}'"),
        Err(error) => bail!("--data is not JSON: {error}"),
    }
}

async fn call(
    client: &reqwest::Client,
    running: &Running,
    args: &args::Call,
    mut data: Map<String, Value>,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let code = as_user(client, running, &args.user, "login").await?["code"].take();
    let login = post(
        client,
        &format!("{}/v1/login", running.url),
        None,
        &json!({ "code": code }),
    )
    .await?;
    let token = login["token"]
        .as_str()
        .context("the login gave no token")?
        .to_owned();
    let mut fields = Vec::new();
    for cloud_id in &args.cloud_ids {
        let api = cloud_id.kind.api();
        let mut answer = as_user(client, running, &args.user, api).await?;
        if answer["cloudID"].is_null() {
            bail!("{api} gave no cloudID; look at cloud_opened and lib_version under [sim] in yunqiao.toml");
        }
        data.insert(cloud_id.field.clone(), answer["cloudID"].take());
        fields.push(cloud_id.field.clone());
    }
    let url = format!("{}/v1/functions/{}", running.url, args.name);
    let reply = post(
        client,
        &url,
        Some(&token),
        &json!({ "data": data, "cloudIDs": fields }),
    )
    .await?;
    for warning in reply["warnings"].as_array().into_iter().flatten() {
        print::warning(
            format_args!(
                "{}: {}",
                warning["field"],
                warning["errMsg"].as_str().unwrap_or_default()
            ),
            "",
        );
    }
    show(reply, as_json);
    Ok(ExitCode::SUCCESS)
}

fn show(mut reply: Value, as_json: bool) {
    if as_json {
        print::json(&reply);
    } else if !reply["result"].is_null() {
        let text = format!("{:#}", reply["result"].take());
        let lines: Vec<_> = escape::lines(&text).map(|line| line.to_string()).collect();
        print::result(lines.join("\n"));
    }
}

async fn as_user(
    client: &reqwest::Client,
    running: &Running,
    user: &str,
    api: &str,
) -> anyhow::Result<Value> {
    post(
        client,
        &format!("{}/sim/client", running.wechat),
        None,
        &json!({ "user": user, "api": api }),
    )
    .await
}

/// Posts JSON; an answer other than 200 is an error with its code.
pub(crate) async fn post(
    client: &reqwest::Client,
    url: &str,
    token: Option<&str>,
    body: &Value,
) -> anyhow::Result<Value> {
    let mut request = client.post(url).json(body);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let reply = request
        .send()
        .await
        .with_context(|| format!("{url} did not answer"))?;
    let good = reply.status().is_success();
    let answer: Value = reply
        .json()
        .await
        .with_context(|| format!("{url} answered something that is not JSON"))?;
    if good {
        return Ok(answer);
    }
    let text = answer["errMsg"]
        .as_str()
        .unwrap_or("it gave no reason")
        .to_owned();
    Err(Coded::new(answer["errCode"].as_i64().unwrap_or(-1), text).into())
}
