//! `yunqiao call`: one call as a simulated user would make it, by the public interfaces alone; or one as a timer makes it, by
//! the operator's.

use std::process::ExitCode;

use anyhow::{Context, bail};
use project::{Project, Undeclared};
use serde_json::{Map, Value, json};
use tcb::codes::{FUNCTION_NOT_FOUND, FUNCTION_NOT_FOUND_TEXT};

use crate::{
    args,
    client::{client, post},
    escape,
    lang::say,
    paths,
    print::{self, Coded},
    run_file::{self, Running},
    stack::Local,
    undeclared,
};

pub(crate) async fn run(args: args::Call, as_json: bool) -> anyhow::Result<ExitCode> {
    let data = data(&args)?;
    let mut project = paths::project(&args.dir)?;
    if !project.functions.keys().any(|name| name.as_str() == args.name) {
        return Err(no_function(&args.name, &project).into());
    }
    let client = client()?;
    if let Some(running) = running(&client, &project).await {
        return make(&client, &running, &args, data, as_json).await;
    }
    print::step(say!(
        "no `yunqiao dev` runs for this project: it is started for this call alone, without the documents and files that `dev` keeps",
        "这个项目没有运行中的 `yunqiao dev`：只为这次调用启动，看不到 `dev` 保存的数据和文件"
    ));
    print::findings(&undeclared::supply(&mut project, Undeclared::Supply), &[]);
    let local = Local::headless(&project, &args.node, false).await?;
    let code = make(&client, &local.running(), &args, data, as_json).await;
    local.stop().await;
    code
}

/// As the gateway would answer, and with what may have been meant.
fn no_function(name: &str, project: &Project) -> Coded {
    let names = || project.functions.keys().map(AsRef::<str>::as_ref);
    let meant = match project::nearest(name, names()) {
        Some(near) => say!("did you mean {near:?}?", "是不是想写 {near:?}？"),
        None => {
            let names = names().collect::<Vec<_>>().join(", ");
            say!("there are: {names}", "现有：{names}")
        }
    };
    let text = say!(
        "{FUNCTION_NOT_FOUND_TEXT}: there is no function {name:?}; {meant}",
        "{FUNCTION_NOT_FOUND_TEXT}：没有云函数 {name:?}；{meant}"
    );
    Coded::new(FUNCTION_NOT_FOUND, text)
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

fn data(args: &args::Call) -> anyhow::Result<Map<String, Value>> {
    match serde_json::from_str(&args.data) {
        Ok(Value::Object(data)) => Ok(data),
        Ok(_) => bail!(say!(
            "--data must be a JSON object, such as '{{\"a\":1}}'",
            "--data 应是 JSON 对象，例如 '{{\"a\":1}}'"
        )),
        Err(error) => bail!(say!("--data is not JSON: {error}", "--data 不是 JSON：{error}")),
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
        .with_context(|| say!("the login gave no token", "登录没有返回 token"))?
        .to_owned();
    let mut fields = Vec::new();
    for cloud_id in &args.cloud_ids {
        let api = cloud_id.kind.api();
        let mut answer = as_user(client, running, &args.user, api).await?;
        if answer["cloudID"].is_null() {
            bail!(say!(
                "{api} gave no cloudID; look at cloud_opened and lib_version under [sim] in yunqiao.toml",
                "{api} 没有返回 cloudID；请检查 yunqiao.toml 里 [sim] 的 cloud_opened 和 lib_version"
            ));
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
