//! `serve` against `simulate`, as two processes: the way to the real WeChat.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{APPID, Scratch, Server, client, run, text, yunqiao};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

pub(crate) fn project(wechat: &str) -> Scratch {
    let project = Scratch::new(&[("echo", "exports.main = async (event) => event")]);
    project.write("secret", SECRET);
    project.write(
        "yunqiao.toml",
        &format!("secret_file = \"secret\"\nlisten = \"127.0.0.1:0\"\nstore = \"yunqiao.redb\"\nwechat = \"{wechat}\"\n"),
    );
    set_private(&project);
    project
}

fn set_private(project: &Scratch) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(
        project.path().join("secret"),
        std::fs::Permissions::from_mode(0o600),
    )
    .unwrap();
}

pub(crate) fn simulate() -> Server {
    Server::start(yunqiao().args(["simulate", "--port", "0", "--appid", APPID, "--secret", SECRET]))
}

pub(crate) fn serve(project: &Scratch) -> Command {
    let mut command = yunqiao();
    command
        .arg("serve")
        .arg("-c")
        .arg(project.path().join("yunqiao.toml"));
    command
}

pub(crate) async fn post(url: String, token: Option<&str>, body: Value) -> (u16, Value) {
    let mut request = client().post(url).json(&body);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let reply = request.send().await.unwrap();
    (reply.status().as_u16(), reply.json().await.unwrap())
}

pub(crate) async fn wx(wechat: &str, user: &str, api: &str) -> Value {
    post(
        format!("{wechat}/sim/client"),
        None,
        json!({"user": user, "api": api}),
    )
    .await
    .1
}

#[tokio::test]
async fn the_production_path_does_the_main_job_and_outlives_a_kill() {
    let wechat = simulate();
    let project = project(&wechat.url);
    let mut gateway = Server::start(&mut serve(&project));

    let code = wx(&wechat.url, "alice", "login").await["code"].take();
    let (status, login) = post(format!("{}/v1/login", gateway.url), None, json!({"code": code})).await;
    assert_eq!(status, 200, "{login}");
    let token = text(&login["token"]);

    let steps = wx(&wechat.url, "alice", "getWeRunData").await;
    let call = async |gateway: &Server, id: &Value| {
        let body = json!({"data": {"f": id}, "cloudIDs": ["f"]});
        post(format!("{}/v1/functions/echo", gateway.url), Some(&token), body).await
    };
    let (status, reply) = call(&gateway, &steps["cloudID"]).await;
    assert_eq!(status, 200, "{reply}");
    assert_eq!(
        reply["result"]["f"]["data"]["stepInfoList"]
            .as_array()
            .unwrap()
            .len(),
        31
    );

    // Killed, it comes back with the same keys and sessions: nobody is logged out, and old data opens.
    let encrypted = json!({"encryptedData": steps["encryptedData"], "iv": steps["iv"]});
    let (_, answer) = post(
        format!("{}/v1/open-data", gateway.url),
        Some(&token),
        encrypted.clone(),
    )
    .await;
    let ticket = answer["cloudID"].clone();
    gateway.kill();
    let gateway = Server::start(&mut serve(&project));
    let (status, reply) = call(&gateway, &ticket).await;
    assert_eq!(
        (status, reply["result"]["f"]["data"]["stepInfoList"].is_array()),
        (200, true),
        "{reply}"
    );
    let (status, answer) = post(format!("{}/v1/open-data", gateway.url), Some(&token), encrypted).await;
    assert_eq!(status, 200, "{answer}");

    // Without [push] nobody pushes.
    let (status, reply) = post(format!("{}/v1/push", gateway.url), None, json!({})).await;
    assert_eq!((status, &reply["errCode"]), (404, &json!(-501007)), "{reply}");

    // Without WeChat: the call runs, its ids say so, and nobody can log in.
    drop(wechat);
    let (status, reply) = call(&gateway, &steps["cloudID"]).await;
    assert_eq!(
        (status, &reply["result"]["f"]["errCode"]),
        (200, &json!(-601003)),
        "{reply}"
    );
    let (status, reply) = post(format!("{}/v1/login", gateway.url), None, json!({"code": "x"})).await;
    assert_eq!((status, &reply["errCode"]), (502, &json!(-601003)), "{reply}");
}

#[test]
fn check_looks_and_starts_nothing() {
    let project = project("https://api.weixin.qq.com");
    let (output, _, err) = run(serve(&project).arg("--check"));
    assert!(output.status.success(), "{err}");
    assert!(!project.path().join("yunqiao.redb").exists());

    project.write("cloudfunctions/echo/package.json", "{ not json");
    let (output, _, err) = run(serve(&project).arg("--check"));
    assert!(!output.status.success());
    assert!(err.contains("package.json"), "{err}");

    project.write("yunqiao.toml", "secret_fiel = \"secret\"\n");
    let (output, _, err) = run(serve(&project).arg("--check"));
    assert!(!output.status.success());
    assert!(err.contains("secret_file"), "{err}");
}

#[test]
fn check_tells_all_that_is_wrong_at_once() {
    let project = Scratch::new(&[("echo", "exports.main = () => 1"), ("half", "")]);
    project.write("cloudfunctions/half/package.json", "{ not json");
    project.write(
        "yunqiao.toml",
        "[operator]\nlisten = \"127.0.0.1:0\"\n[push.routes]\ntext = \"echo\"\n\
         [keys]\nring = [\"short\"]\n[auth]\nticket_keys = \"nowhere.json\"\n\
         [[web.functions]]\npath = \"/a\"\nfunction = \"ehco\"\n",
    );
    // Where it stands is where it is given.
    let check = |json: &[&str]| {
        let mut command = yunqiao();
        command.args(["serve", "--check"]).args(json);
        run(command.current_dir(project.path()))
    };
    let (output, out, err) = check(&[]);
    assert_eq!(output.status.code(), Some(1));
    let wrong = [
        "others on this machine can read it",
        "did you mean `echo`?",
        "no AppSecret",
        "[keys]",
        "nowhere.json",
        "[operator] has no secret",
        "[push] has routes and no token",
        "half cannot run",
    ];
    for wrong in wrong {
        assert_eq!(err.matches(wrong).count(), 1, "{wrong}: {err}");
    }
    assert!(out.is_empty() && !err.contains('\u{1b}'), "{err}");
    let (output, out, _) = check(&["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told["functions"], 2);
    assert_eq!(
        told["faults"].as_array().map(Vec::len),
        Some(wrong.len()),
        "{told}"
    );
    // The faults of the file itself, too.
    project.write(
        "yunqiao.toml",
        "listn = \"127.0.0.1:0\"\n[login]\nttl = \"soon\"\n",
    );
    let (_, out, _) = check(&["--json"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told["faults"].as_array().map(Vec::len), Some(2), "{told}");
}

#[test]
fn it_says_what_it_serves_and_where_it_keeps_it() {
    let project = project("http://127.0.0.1:9");
    project.write("cloudfunctions/other/index.js", "exports.main = () => 1");
    project.write(
        "cloudfunctions/other/config.json",
        r#"{"triggers":[{"name":"daily","type":"timer","config":"0 0 7 * * * *"}]}"#,
    );
    let log = project.path().join("serve.err");
    let mut command = serve(&project);
    command
        .stdout(std::process::Stdio::piped())
        .stderr(std::fs::File::create(&log).unwrap());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    let url = line.trim().strip_prefix("ready ").unwrap();
    let said = std::fs::read_to_string(log).unwrap();
    for fact in [
        "2 functions of",
        "echo, other",
        url,
        "http://127.0.0.1:9",
        "yunqiao.redb",
        "database.redb",
        "daily of other",
    ] {
        assert!(said.contains(fact), "{fact}: {said}");
    }
    assert!(!said.contains('\u{1b}'), "no colours in a file: {said:?}");
}

#[test]
fn without_a_secret_it_says_where_one_goes() {
    let project = Scratch::new(&[("echo", "exports.main = () => 1")]);
    project.write("yunqiao.toml", "listen = \"127.0.0.1:0\"\n");
    let (output, _, err) = run(&mut serve(&project));
    assert!(!output.status.success());
    assert!(
        err.contains("secret_file") && err.contains("YUNQIAO_APPSECRET"),
        "{err}"
    );
}

/// In production a page is as it was built, and pages of this machine are strangers.
#[tokio::test]
async fn the_web_is_served_as_it_was_built() {
    let wechat = simulate();
    let project = project(&wechat.url);
    let settings = std::fs::read_to_string(project.path().join("yunqiao.toml")).unwrap();
    let web = "[web]\nlisten = \"127.0.0.1:0\"\nsite = \"dist\"\n[[web.functions]]\npath = \"/api\"\nfunction = \"echo\"\n";
    project.write("yunqiao.toml", &format!("{settings}{web}"));
    project.write("dist/index.html", "<body>home</body>");
    let gateway = Server::start(&mut serve(&project));
    gateway.prints("web ");
    let printed = gateway.printed();
    let line = printed.lines().find(|line| line.trim_start().starts_with("web"));
    let web = line
        .and_then(|line| line.split_whitespace().nth(1))
        .unwrap()
        .to_owned();
    let request = client().get(&web).header("origin", "http://localhost:5173");
    let home = request.send().await.unwrap();
    assert!(!home.headers().contains_key("access-control-allow-origin"));
    assert_eq!(home.text().await.unwrap(), "<body>home</body>");
    let lost = client()
        .get(format!("{web}/__yunqiao/reload.js"))
        .send()
        .await
        .unwrap();
    assert_eq!(lost.status(), 404);
    let told: Value = client()
        .get(format!("{web}/api/x"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        (&told["path"], &told["httpMethod"]),
        (&json!("/x"), &json!("GET"))
    );
    // A name that was made for it is as good as its address, behind a proxy.
    let named = client()
        .get(&web)
        .header("host", "shop.example")
        .send()
        .await
        .unwrap();
    assert_eq!(named.status(), 200);
}
