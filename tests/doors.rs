//! The doors of the listeners: what HTTP asks of them, what each answers, and that strangers hold nothing that others need.

use std::{collections::BTreeMap, fmt::Write as _, os::unix::fs::MetadataExt, time::Duration};

use futures_util::future::join_all;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{APPID, Dev, OPERATOR_SECRET, Scratch, Server, client, text, yunqiao};

const ECHO: &str = "exports.main = async (event) => event";

/// Sends a request as it is, and gives all that comes until the server closes.
async fn raw(url: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap())
        .await
        .unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn what_http_asks_of_every_server() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let dev = Dev::start(project.path());
    for url in [&dev.server.url, &dev.operator] {
        let host = url.strip_prefix("http://").unwrap();
        for (head, status) in [
            ("GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n", "400"),
            (
                "GET /healthz HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n",
                "400",
            ),
        ] {
            let answer = raw(url, head).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
            assert!(answer.contains("one Host header"), "{answer}");
        }
        let large = format!(
            "GET / HTTP/1.1\r\nhost: {host}\r\nx-large: {}\r\n\r\n",
            "x".repeat(20_000)
        );
        assert!(raw(url, &large).await.starts_with("HTTP/1.1 431"));
    }
    // HTTP/1.0 had none.
    let old = raw(&dev.server.url, "GET /healthz HTTP/1.0\r\n\r\n").await;
    assert!(old.starts_with("HTTP/1.0 200"), "{old}");

    for path in ["/healthz", "/readyz"] {
        let url = format!("{}{path}", dev.server.url);
        let (head, get) = (dev.client.head(&url), dev.client.get(&url));
        let (head, get) = (head.send().await.unwrap(), get.send().await.unwrap());
        assert_eq!((head.status(), get.status()), (StatusCode::OK, StatusCode::OK));
        assert_eq!(head.headers()["content-length"], get.headers()["content-length"]);
        assert!(head.bytes().await.unwrap().is_empty());
    }
    for path in ["", "operator/access-token", "operator/push", "assets/console.js"] {
        let head = dev.client.head(format!("{}/{path}", dev.operator));
        let head = head.bearer_auth(OPERATOR_SECRET).send().await.unwrap();
        assert_eq!(head.status(), 200, "{path}");
    }
    for (url, method, path, allow) in [
        (&dev.server.url, Method::POST, "healthz", "GET, HEAD"),
        (&dev.server.url, Method::GET, "v1/login", "POST"),
        (&dev.server.url, Method::DELETE, "v1/functions/echo", "POST"),
        (&dev.server.url, Method::PUT, "v1/push", "GET, HEAD, POST"),
        (&dev.operator, Method::GET, "operator/enter", "POST"),
        (&dev.operator, Method::GET, "operator/functions/echo", "POST"),
        (
            &dev.operator,
            Method::PUT,
            "operator/access-token",
            "GET, HEAD, POST",
        ),
        (
            &dev.operator,
            Method::PUT,
            "operator/wx/wxa/msg_sec_check",
            "GET, HEAD, POST",
        ),
        (&dev.operator, Method::DELETE, "operator/push", "GET"),
    ] {
        let request = dev.client.request(method, format!("{url}/{path}"));
        let reply = request.bearer_auth(OPERATOR_SECRET).send().await.unwrap();
        assert_eq!(reply.status(), 405, "{path}");
        assert_eq!(reply.headers()["allow"], allow, "{path}");
    }
}

#[tokio::test]
async fn a_page_under_a_rebound_name_calls_nothing() {
    let project = Scratch::new(&[("echo", ECHO)]);
    project.write("yunqiao.toml", "[operator]\nhosts = [\"cloud.example\"]\n");
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let ask = async |host: &str, path: &str| {
        let request = dev
            .client
            .post(format!("{}{path}", dev.server.url))
            .header("host", host);
        let request = request
            .header("content-type", "application/json")
            .bearer_auth(&alice.token);
        let request = request.header("origin", format!("http://{host}"));
        request.body("{\"code\":\"any\"}").send().await.unwrap()
    };
    for path in [
        "/v1/login",
        "/v1/functions/echo",
        "/v1/open-data",
        "/v1/database",
        "/v1/storage",
    ] {
        for host in ["evil.example:8787", "evil.example", "127.0.0.1.evil.example"] {
            let reply = ask(host, path).await;
            assert_eq!(reply.status(), 403, "{host} {path}");
            let reply: Value = reply.json().await.unwrap();
            assert_eq!(reply["errCode"], -501008, "{reply}");
        }
    }
    dev.server.prints("add it to [operator] hosts");
    for host in ["localhost:1", "192.168.1.7:8787", "[::1]", "cloud.example:8787"] {
        assert_eq!(ask(host, "/v1/login").await.status(), 200, "{host}");
    }
}

#[tokio::test]
async fn a_login_code_has_a_length() {
    let project = Scratch::new(&[]);
    let dev = Dev::start(project.path());
    for code in [
        "",
        "a\nb",
        &"x".repeat(257),
        &"x".repeat(100 << 10),
        &"x".repeat(2 << 20),
    ] {
        let body = json!({"code": code}).to_string();
        let (status, reply) = dev.post("/v1/login", None, body).await;
        assert_eq!((status, &reply["errCode"]), (400, &json!(-501007)), "{reply}");
    }
    // Whatever nobody could mean has a status of its own.
    let body = json!({"code": "x".repeat(7 << 20)}).to_string();
    assert_eq!(dev.post("/v1/login", None, body).await.0, 413);
}

#[tokio::test]
async fn readiness_is_what_the_next_call_and_login_need() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let dev = Dev::start(project.path());
    let ready = async || {
        let reply = dev.client.get(format!("{}/readyz", dev.server.url));
        let reply = reply.send().await.unwrap();
        (reply.status().as_u16(), reply.json::<Value>().await.unwrap())
    };
    assert_eq!(ready().await, (200, json!({"status": "ready"})));
    dev.sim(
        "faults",
        json!({"api": "jscode2session", "kind": "cut", "next": 1}),
    )
    .await;
    let login = json!({"code": "any"}).to_string();
    assert_eq!(dev.post("/v1/login", None, login).await.0, 502);
    let (status, reply) = ready().await;
    assert_eq!(
        (status, &reply["errMsg"]),
        (503, &json!("not ready: WeChat does not answer"))
    );
    dev.server.prints("WeChat gave no answer");
    // Whoever logs in all the same finds that WeChat is back, and so does everybody.
    dev.login("alice").await;
    assert_eq!(ready().await.0, 200);

    // A project of whose functions none can run.
    project.write("cloudfunctions/echo/package.json", "{ none");
    crate::support::eventually(
        || dev.server.printed().contains("none of the 1 functions can run"),
        || dev.server.printed(),
    );
    assert_eq!(ready().await.1["errMsg"], "not ready: no function can run");
}

#[tokio::test]
async fn a_machine_that_starts_no_process_is_not_ready() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let place = TempDir::new().unwrap();
    let (node, away) = (place.path().join("node"), place.path().join("away"));
    let path = std::env::var("PATH").unwrap();
    let real = std::env::split_paths(&path).map(|folder| folder.join("node"));
    std::os::unix::fs::symlink(real.into_iter().find(|file| file.is_file()).unwrap(), &node).unwrap();
    let mut command = Dev::command(yunqiao(), project.path());
    command.env("PATH", format!("{}:{path}", place.path().display()));
    let dev = Dev::of(Server::start(&mut command), project.path());
    let status = async || {
        let reply = dev.client.get(format!("{}/readyz", dev.server.url));
        let reply = reply.send().await.unwrap();
        (
            reply.status().as_u16(),
            reply.json::<Value>().await.unwrap()["errMsg"].take(),
        )
    };
    assert_eq!(status().await.0, 200);
    std::fs::rename(&node, &away).unwrap();
    // The worker that waits is taken, and no other one can take its place.
    let alice = dev.login("alice").await;
    alice.call("echo", json!({})).await;
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    while status().await != (503, json!("not ready: no process can be started")) {
        assert!(std::time::Instant::now() < deadline, "{}", dev.server.printed());
    }
    dev.server.prints("not ready: no process can be started: ");
    // It tries by itself, and finds that all is well again.
    std::fs::rename(&away, &node).unwrap();
    while status().await.0 != 200 {
        assert!(std::time::Instant::now() < deadline, "{}", dev.server.printed());
    }
}

#[tokio::test]
async fn a_body_that_comes_drop_by_drop_is_given_up() {
    let project = Scratch::new(&[]);
    let dev = Dev::start(project.path());
    for (url, line, more) in [
        (
            &dev.server.url,
            "POST /v1/login",
            "content-type: application/json\r\n",
        ),
        (&dev.operator, "POST /operator/enter", ""),
    ] {
        let host = url.strip_prefix("http://").unwrap();
        let (mut from, mut to) = TcpStream::connect(host).await.unwrap().into_split();
        let head = format!("{line} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 1000\r\n{more}\r\n");
        to.write_all(head.as_bytes()).await.unwrap();
        let drips = async {
            // Never silent for long, and never done.
            while to.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            std::future::pending::<()>().await;
        };
        let mut answer = String::new();
        tokio::select! {
            read = from.read_to_string(&mut answer) => drop(read),
            () = drips => {}
        }
        assert!(answer.starts_with("HTTP/1.1 400"), "{line}: {answer}");
        assert!(
            answer.contains("was not there within 10 seconds"),
            "{line}: {answer}"
        );
    }
}

/// A browser's cookie after it gave the secret.
async fn enter(operator: &str, secret: &str) -> Response {
    let client = client_without_redirects();
    let request = client.post(format!("{operator}/operator/enter"));
    request.body(format!("secret={secret}")).send().await.unwrap()
}

fn client_without_redirects() -> reqwest::Client {
    drop(client());
    let client = reqwest::Client::builder().no_proxy();
    client
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

fn cookie(reply: &Response) -> String {
    let cookie = reply.headers()["set-cookie"].to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

async fn page(operator: &str, cookies: &str) -> u16 {
    let request = client()
        .get(format!("{operator}/calls"))
        .header("cookie", cookies);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_sign_in_outlives_a_restart_and_another_dev() {
    let (one, two) = (Scratch::new(&[("echo", ECHO)]), Scratch::new(&[("echo", ECHO)]));
    let dev = Dev::start(one.path());
    let first = cookie(&enter(&dev.operator, OPERATOR_SECRET).await);
    let other = Dev::start(two.path());
    let second = cookie(&enter(&other.operator, OPERATOR_SECRET).await);
    // A browser sends the cookies of all ports of a host.
    let both = format!("{first}; {second}");
    assert_eq!(page(&dev.operator, &both).await, 200);
    assert_eq!(page(&other.operator, &both).await, 200);
    assert_eq!(page(&other.operator, &first).await, 401);

    let port = dev.operator.rsplit(':').next().unwrap().to_owned();
    drop(dev);
    let mut command = yunqiao();
    let again = command.arg("dev").arg(one.path()).args(["--port", "0"]);
    let again = again
        .args(["--operator-port", &port])
        .env("YUNQIAO_OPERATOR_SECRET", OPERATOR_SECRET);
    let again = Server::start(again);
    let operator = format!("http://127.0.0.1:{port}");
    assert_eq!(page(&operator, &first).await, 200);
    drop(again);

    // What a repository could bring along is not taken for the key that this machine made.
    let key = one.path().join(".yunqiao/sign-in.key");
    let made = std::fs::metadata(&key).unwrap();
    assert_eq!(made.mode() & 0o777, 0o600);
    let text = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    one.write(".yunqiao/sign-in.key", std::str::from_utf8(&text).unwrap());
    let dev = Dev::start(one.path());
    let port = dev.operator.rsplit(':').next().unwrap();
    let (_, value) = first.split_once('=').unwrap();
    assert_eq!(page(&dev.operator, &format!("yunqiao-{port}={value}")).await, 401);
}

#[tokio::test]
async fn guesses_of_the_secret_are_limited_and_logged() {
    let project = Scratch::new(&[]);
    let dev = Dev::start(project.path());
    let mine = cookie(&enter(&dev.operator, OPERATOR_SECRET).await);
    let mut counts = BTreeMap::new();
    for _ in 0..200 {
        let reply = enter(&dev.operator, "a-guess-of-the-secret").await;
        *counts.entry(reply.status().as_u16()).or_insert(0) += 1;
        if reply.status() == 429 {
            assert_eq!(reply.headers()["retry-after"], "1");
        }
    }
    assert_eq!(
        counts.keys().copied().collect::<Vec<_>>(),
        [401, 429],
        "{counts:?}"
    );
    assert!(counts[&429] > counts[&401], "{counts:?}");
    dev.server.prints("127.0.0.1 showed a wrong operator's secret");
    dev.server.prints("too often");
    // And so are those of the AppSecret.
    let mut answers = BTreeMap::new();
    for _ in 0..200 {
        let url = format!("{}/cgi-bin/stable_token", dev.operator);
        let body = json!({"grant_type": "client_credential", "appid": APPID, "secret": "0".repeat(32)});
        let reply = dev.client.post(url).json(&body).send().await.unwrap();
        let reply: Value = reply.json().await.unwrap();
        *answers.entry(reply["errcode"].as_i64().unwrap()).or_insert(0) += 1;
    }
    assert_eq!(
        answers.keys().copied().collect::<Vec<_>>(),
        [40125, 45011],
        "{answers:?}"
    );
    assert!(answers[&45011] > answers[&40125], "{answers:?}");
    // Whoever is in stays in.
    assert_eq!(page(&dev.operator, &mine).await, 200);
}

#[tokio::test]
async fn events_end_with_the_server() {
    let project = Scratch::new(&[]);
    let dev = Dev::start(project.path());
    let live = dev.client.get(format!("{}/live/calls", dev.operator));
    let mut live = live.bearer_auth(OPERATOR_SECRET).send().await.unwrap();
    assert_eq!(live.status(), 200);
    dev.server.interrupt();
    // To its end, and not broken off.
    while live.chunk().await.unwrap().is_some() {}
}

/// Nobody else of the same user reads what is in the server's memory: the kernel gives its `/proc` entries to root.
#[cfg(target_os = "linux")]
#[test]
fn the_servers_memory_is_its_own() {
    use std::os::unix::{fs::PermissionsExt, process::CommandExt};

    let folder = tempfile::tempdir().unwrap();
    let mut command = yunqiao();
    if rustix::process::geteuid().is_root() {
        // As root it would be root's in any case.
        let copy = folder.path().join("yunqiao");
        std::fs::copy(command.get_program(), &copy).unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        command = std::process::Command::new(copy);
        command.uid(65534).gid(65534).current_dir("/");
    }
    let server = Server::start(command.args(["simulate", "--port", "0"]));
    let entry = std::fs::metadata(format!("/proc/{}/mem", server.pid())).unwrap();
    assert_eq!(entry.uid(), 0);
}

/// Senders at one door in the short form; `YUNQIAO_TEST_SENDERS=500` for the long one.
fn senders() -> usize {
    let given = std::env::var("YUNQIAO_TEST_SENDERS").ok();
    given.map_or(150, |given| given.parse().unwrap())
}

/// Opens connections that each send `request` and then nothing, and keeps them.
async fn hold(url: &str, request: &[u8]) -> Vec<TcpStream> {
    let address = url.strip_prefix("http://").unwrap();
    let open = (0..senders()).map(|_| async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // It may be closed for another while it sends.
        let _ = stream.write_all(request).await;
        stream
    });
    join_all(open).await
}

#[tokio::test]
async fn slow_strangers_hold_nothing_that_others_need() {
    let project = Scratch::new(&[("echo", ECHO)]);
    // Fewer places than there are strangers: what 256 descriptors leave beside the workers.
    let mut limited = std::process::Command::new("sh");
    let command = yunqiao();
    limited
        .args(["-c", "ulimit -n 256 && exec \"$0\" \"$@\""])
        .arg(command.get_program());
    limited.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let dev = Dev::of(
        Server::start(&mut Dev::command(limited, project.path())),
        project.path(),
    );
    let alice = dev.login("alice").await;
    let large = json!({"text": "x".repeat(300_000)});
    assert_eq!(alice.call("echo", large.clone()).await.0, 200);

    let (gateway, operator) = (dev.server.url.clone(), dev.operator.clone());
    let hosts = [&gateway, &operator].map(|url| url.strip_prefix("http://").unwrap().to_owned());
    let head = |host: &str| {
        format!(
            "POST /v1/login HTTP/1.1\r\nhost: {host}\r\nx-slow: {}",
            "x".repeat(12_000)
        )
    };
    let body = |line: &str, host: &str, more: &str, sent: usize| {
        let head = format!("{line} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 16000000\r\n{more}\r\n");
        head + &"x".repeat(sent)
    };
    let small = |line: &str, host: &str, more: &str| {
        format!(
            "{line} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 16000\r\n{more}\r\n{{\"code\":\"{}",
            "x".repeat(12_000)
        )
    };
    let json = "content-type: application/json\r\n";
    let forged = format!("{json}authorization: Bearer forged\r\n");
    let [public, own] = &hosts;
    let doors = [
        ("slow heads", &gateway, head(public)),
        ("slow heads at the operator's", &operator, head(own)),
        ("/v1/login", &gateway, small("POST /v1/login", public, json)),
        (
            "/v1/login, too large",
            &gateway,
            body("POST /v1/login", public, json, 500_000),
        ),
        (
            "/v1/files, without a right",
            &gateway,
            body("PUT /v1/files/none", public, "", 100_000),
        ),
        (
            "/v1/functions",
            &gateway,
            body("POST /v1/functions/echo", public, json, 500_000),
        ),
        (
            "/v1/functions, forged",
            &gateway,
            body("POST /v1/functions/echo", public, &forged, 500_000),
        ),
        (
            "/v1/open-data",
            &gateway,
            body("POST /v1/open-data", public, &forged, 500_000),
        ),
        (
            "/v1/database",
            &gateway,
            body("POST /v1/database", public, &forged, 500_000),
        ),
        (
            "/v1/push",
            &gateway,
            body(
                "POST /v1/push?timestamp=1&nonce=1&signature=1",
                public,
                "",
                500_000,
            ),
        ),
        ("no path", &gateway, body("POST /v1/none", public, "", 500_000)),
        (
            "/operator/enter",
            &operator,
            small("POST /operator/enter", own, ""),
        ),
        (
            "/operator/enter, too large",
            &operator,
            body("POST /operator/enter", own, "", 500_000),
        ),
        (
            "/cgi-bin/stable_token",
            &operator,
            small("POST /cgi-bin/stable_token", own, ""),
        ),
    ];
    let before = resident(dev.server.pid());
    for (door, url, request) in &doors {
        let held = hold(url, request.as_bytes()).await;
        // Whoever is logged in, whoever logs in, and the operator go on.
        let fresh = client();
        let call = fresh
            .post(format!("{gateway}/v1/functions/echo"))
            .bearer_auth(&alice.token);
        let call = call.json(&json!({"data": large})).send().await.unwrap();
        assert_eq!(call.status(), 200, "a call beside {door}");
        let code = text(&dev.wx("bob", "login").await["code"]);
        let login = fresh
            .post(format!("{gateway}/v1/login"))
            .json(&json!({"code": code}));
        assert_eq!(login.send().await.unwrap().status(), 200, "a login beside {door}");
        let token = client().get(format!("{operator}/operator/access-token"));
        let token = token.bearer_auth(OPERATOR_SECRET).send().await.unwrap();
        assert_eq!(token.status(), 200, "the operator beside {door}");
        let after = resident(dev.server.pid());
        // What docs/security.md says of each place, of which there are no more than 144, and what the calls beside them take.
        let most = before + 144 * (96 << 10) + (4 << 20);
        assert!(after < most, "{door}: {before} -> {after}");
        drop(held);
    }
}

#[cfg(target_os = "linux")]
fn resident(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// The HTTP contract, as `doors/contract.txt` has it: each request with status, headers and body of its answer.
/// `YUNQIAO_BLESS=1` writes it anew.
#[tokio::test]
async fn the_contract_is_what_it_was() {
    const FUNCTIONS: &str = "
Error.stackTraceLimit = 0;
exports.main = async ({ what }) => {
  if (what === 'throws') throw new Error('the cause');
  if (what === 'rejects') return Promise.reject('a reason');
  if (what === 'exits') process.exit(3);
  if (what === 'bigint') return { number: 1n };
  if (what === 'large') return 'x'.repeat(1100000);
  if (what === 'slow') await new Promise(() => setTimeout(() => {}, 60000));
  return { what };
};";
    // Two gateways of one ring: a token of either is good at both, a session is where its login was.
    let keys = "[keys]\nring = [\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"]\n";
    let elsewhere = Scratch::new(&[]);
    elsewhere.write("yunqiao.toml", keys);
    let other = Dev::start(elsewhere.path());
    let unknown = other.login("bob").await.token;
    let project = Scratch::new(&[("f", FUNCTIONS), ("one", FUNCTIONS)]);
    let functions = "[functions.f]\ntimeout = 2\n[functions.one]\ntimeout = 60\nmax_instances = 1\n";
    project.write(
        "yunqiao.toml",
        &format!("[sim]\nforeign_codes = \"refuse\"\n{keys}{functions}"),
    );
    let dev = Dev::start(project.path());
    let mut contract = Contract::new(&dev);
    let alice = dev.login("alice").await;
    let token = Some(alice.token.as_str());
    let code = text(&dev.wx("alice", "login").await["code"]);
    let login = |code: &str| json!({"code": code}).to_string();
    let what = |what: &str| json!({"data": {"what": what}}).to_string();

    contract.post("a login", "/v1/login", None, login(&code)).await;
    contract
        .post("a call", "/v1/functions/f", token, what("nothing"))
        .await;
    let body = json!({"data": {"tcbContext": {}, "run": "none"}, "cloudIDs": ["run"]}).to_string();
    contract
        .post("a call with warnings", "/v1/functions/f", token, body)
        .await;
    let steps = dev.wx("alice", "getWeRunData").await;
    let (data, iv) = (text(&steps["encryptedData"]), text(&steps["iv"]));
    let open_data = |data: &str, iv: &str| json!({"encryptedData": data, "iv": iv}).to_string();
    contract
        .post("open data", "/v1/open-data", token, open_data(&data, &iv))
        .await;
    for (name, path, action) in [
        ("documents: counted", "/v1/database", "database.calculateDocument"),
        (
            "documents: not for clients",
            "/v1/database",
            "database.addCollection",
        ),
        ("documents: no such action", "/v1/database", "database.drop"),
        (
            "documents: another door's action",
            "/v1/database",
            "storage.batchDeleteFile",
        ),
        ("files: removed", "/v1/storage", "storage.batchDeleteFile"),
        ("files: not for clients", "/v1/storage", "storage.batchCopyFile"),
    ] {
        let body = json!({"action": action, "collectionName": "notes", "fileid_list": ["cloud://e.b/none"], "file_list": []});
        contract.post(name, path, token, body.to_string()).await;
    }
    for path in ["/healthz", "/readyz"] {
        contract
            .send("health", Method::GET, path, None, String::new())
            .await;
    }

    contract
        .post("malformed", "/v1/functions/f", token, "{".to_owned())
        .await;
    contract
        .send(
            "another method",
            Method::GET,
            "/v1/functions/f",
            token,
            String::new(),
        )
        .await;
    contract
        .post("another path", "/v2/login", token, String::new())
        .await;
    contract
        .post("a code that was used", "/v1/login", None, login(&code))
        .await;
    contract
        .post("a code that is none", "/v1/login", None, login("none"))
        .await;
    contract
        .post(
            "a code that cannot be one",
            "/v1/login",
            None,
            login(&"x".repeat(1000)),
        )
        .await;
    contract
        .post("no token", "/v1/functions/f", None, what("nothing"))
        .await;
    contract
        .post(
            "a forged token",
            "/v1/functions/f",
            Some("forged"),
            what("nothing"),
        )
        .await;
    contract
        .post(
            "open data: padding",
            "/v1/open-data",
            token,
            open_data(&"AAAA".repeat(16), &iv),
        )
        .await;
    contract
        .post(
            "open data: iv",
            "/v1/open-data",
            token,
            open_data(&data, "c2hvcnQ="),
        )
        .await;
    contract
        .post(
            "open data: no session",
            "/v1/open-data",
            Some(&unknown),
            open_data(&data, &iv),
        )
        .await;
    let nobody = dev.login("bob").await.token;
    contract
        .post(
            "open data: of another",
            "/v1/open-data",
            Some(&nobody),
            open_data(&data, &iv),
        )
        .await;
    contract
        .post("no such function", "/v1/functions/absent", token, what("nothing"))
        .await;
    let large = json!({"data": {"text": "x".repeat(7 << 20)}}).to_string();
    contract.post("over 6 MB", "/v1/functions/f", token, large).await;
    for name in ["throws", "rejects", "exits", "bigint", "large", "slow"] {
        contract
            .post(
                &format!("the function: {name}"),
                "/v1/functions/f",
                token,
                what(name),
            )
            .await;
    }
    contract
        .post(
            "a push that is none",
            "/v1/push?signature=1&timestamp=1&nonce=1",
            None,
            String::new(),
        )
        .await;

    // As many as may wait, and one more.
    let full = {
        let ask = &contract;
        let calls = (0..1100).map(|_| {
            Box::pin(async move {
                let reply = ask
                    .ask(Method::POST, "/v1/functions/one", token, what("slow"))
                    .await;
                (reply.status() == 429).then_some(reply).ok_or(())
            })
        });
        futures_util::future::select_ok(calls).await.unwrap().0
    };
    contract
        .note("queue full", Method::POST, "/v1/functions/one", full)
        .await;
    let fault = json!({"api": "jscode2session", "kind": "cut", "next": 1});
    dev.sim("faults", fault).await;
    contract
        .post("WeChat is not there", "/v1/login", None, login("any"))
        .await;
    dev.sim("clock", json!({"advance": 7201})).await;
    contract
        .post("an expired token", "/v1/functions/f", token, what("nothing"))
        .await;

    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/doors/contract.txt");
    if std::env::var_os("YUNQIAO_BLESS").is_some() {
        std::fs::write(&golden, &contract.text).unwrap();
    }
    let expected = std::fs::read_to_string(golden).unwrap();
    assert_eq!(
        contract.text, expected,
        "the contract changed: YUNQIAO_BLESS=1 writes it anew"
    );
}

/// What was asked and answered, without what differs each time.
struct Contract {
    client: reqwest::Client,
    url: String,
    text: String,
}

impl Contract {
    fn new(dev: &Dev) -> Self {
        Self {
            client: client(),
            url: dev.server.url.clone(),
            text: String::new(),
        }
    }

    async fn ask(&self, method: Method, path: &str, token: Option<&str>, body: String) -> Response {
        let request = self
            .client
            .request(method, format!("{}{path}", self.url))
            .body(body);
        let request = request.header("content-type", "application/json");
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.send().await.unwrap()
    }

    async fn post(&mut self, name: &str, path: &str, token: Option<&str>, body: String) {
        self.send(name, Method::POST, path, token, body).await;
    }

    async fn send(&mut self, name: &str, method: Method, path: &str, token: Option<&str>, body: String) {
        let reply = self.ask(method.clone(), path, token, body).await;
        self.note(name, method, path, reply).await;
    }

    async fn note(&mut self, name: &str, method: Method, path: &str, reply: Response) {
        let out = &mut self.text;
        writeln!(out, "# {name}\n{method} {path}\n{}", reply.status()).unwrap();
        let mut headers: Vec<_> = reply.headers().iter().collect();
        headers.sort_by_key(|(name, _)| name.as_str());
        for (name, value) in headers {
            if !matches!(name.as_str(), "date" | "content-length") {
                writeln!(out, "{name}: {}", value.to_str().unwrap()).unwrap();
            }
        }
        let mut body: Value = reply.json().await.unwrap();
        for name in ["requestID", "requestId", "token", "openid", "unionid", "cloudID"] {
            if let Some(value) = body.get_mut(name) {
                *value = format!("<{name}>").into();
            }
        }
        let body = body.to_string();
        // WeChat ends its texts with the request's number.
        let body = match body.split_once(", rid: ") {
            Some((before, after)) => format!("{before}, rid: <rid>{}", &after[after.find('"').unwrap()..]),
            None => body,
        };
        writeln!(out, "{body}\n").unwrap();
    }
}
