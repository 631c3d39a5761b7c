//! Starting the binary, making projects, and acting as a client.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Output, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const APPID: &str = "wx0123456789abcdef";

/// The binary, with a cache of its own and nothing of the machine's configuration.
pub(crate) fn yunqiao() -> Command {
    isolated(Command::new(env!("CARGO_BIN_EXE_yunqiao")))
}

/// The binary, kept by the shell from making files larger than so many kilobytes: like a disk that is full.
pub(crate) fn yunqiao_on_a_small_disk(kilobytes: u32) -> Command {
    let mut command = Command::new("bash");
    let script = format!("ulimit -f {kilobytes}; exec \"$0\" \"$@\"");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_yunqiao")]);
    isolated(command)
}

/// The command with nothing of the machine's configuration, where it starts the binary.
pub(crate) fn isolated(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("YUNQIAO_") {
            command.env_remove(name);
        }
    }
    command
        .env(
            "YUNQIAO_CACHE",
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"),
        )
        // English, whoever runs the tests.
        .env("LANG", "C.UTF-8")
        .env_remove("LC_ALL")
        .env_remove("LC_MESSAGES")
        .stdin(Stdio::null());
    command
}

pub(crate) fn run(command: &mut Command) -> (Output, String, String) {
    let output = command.output().unwrap();
    let (out, err) = (
        String::from_utf8(output.stdout.clone()).unwrap(),
        String::from_utf8(output.stderr.clone()).unwrap(),
    );
    (output, out, err)
}

pub(crate) fn quickstart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/quickstart")
        .canonicalize()
        .unwrap()
}

/// A project in a temporary folder.
pub(crate) struct Scratch(TempDir);

impl Scratch {
    /// A project of functions given as `(name, index.js)`.
    pub(crate) fn new(functions: &[(&str, &str)]) -> Self {
        let scratch = Self(TempDir::new().unwrap());
        scratch.write(
            "project.config.json",
            &json!({"appid": APPID, "cloudfunctionRoot": "cloudfunctions/"}).to_string(),
        );
        fs::create_dir_all(scratch.path().join("cloudfunctions")).unwrap();
        for (name, source) in functions {
            scratch.write(&format!("cloudfunctions/{name}/index.js"), source);
        }
        scratch
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// A running `yunqiao` that printed `ready`; ended with this value.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    errors: Arc<Mutex<String>>,
}

impl Server {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = spawn(command);
        let errors = Arc::new(Mutex::new(String::new()));
        let (kept, mut stderr) = (Arc::clone(&errors), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = stderr.read(&mut chunk) {
                kept.lock()
                    .unwrap()
                    .push_str(&String::from_utf8_lossy(&chunk[..read]));
            }
        });
        Self::ready(child, errors)
    }

    /// One whose standard error nobody reads until somebody reads what is given with it.
    pub(crate) fn start_unread(command: &mut Command) -> (Self, ChildStderr) {
        let mut child = spawn(command);
        let stderr = child.stderr.take().unwrap();
        (Self::ready(child, Arc::default()), stderr)
    }

    /// Waits until it says that it is.
    fn ready(mut child: Child, errors: Arc<Mutex<String>>) -> Self {
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let Some(url) = line.trim().strip_prefix("ready ") else {
            let status = child.wait();
            panic!("not ready but {line:?} ({status:?}): {}", errors.lock().unwrap());
        };
        Self {
            child,
            url: url.to_owned(),
            errors,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it printed to standard error so far.
    pub(crate) fn printed(&self) -> String {
        self.errors.lock().unwrap().clone()
    }

    /// Waits until it printed `text`.
    pub(crate) fn prints(&self, text: &str) {
        eventually(
            || self.printed().contains(text),
            || format!("{text:?} in {}", self.printed()),
        );
    }

    /// Asks it to end.
    pub(crate) fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// The same, while other things go on.
    pub(crate) async fn prints_soon(&self, text: &str) {
        let what = || format!("{text:?} in {}", self.printed());
        soon(|| self.printed().contains(text), what).await;
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn spawn(command: &mut Command) -> Child {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that was waited for is gone, and its number may be another's.
        if let Ok(Some(_)) = self.child.try_wait() {
            return;
        }
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !std::thread::panicking() {
            panic!("the server did not end when it was asked to");
        }
    }
}

/// An HTTP client that goes straight to loopback.
pub(crate) fn client() -> reqwest::Client {
    // Two tests may do this at once; the second finds it done.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // A connection that was idle for long may be closed by the server at the moment at which it is used again.
    let patience = Duration::from_secs(5);
    reqwest::Client::builder()
        .no_proxy()
        .pool_idle_timeout(patience)
        .build()
        .unwrap()
}

/// What the operator's listener says to every page.
pub(crate) const CSP: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// What the operator of a [`Dev`] shows.
pub(crate) const OPERATOR_SECRET: &str = "known-to-the-operator-alone";

/// A project served by `yunqiao dev` on free ports.
pub(crate) struct Dev {
    pub(crate) server: Server,
    pub(crate) wechat: String,
    pub(crate) operator: String,
    pub(crate) web: String,
    pub(crate) client: reqwest::Client,
}

impl Dev {
    pub(crate) fn start(project: &Path) -> Self {
        Self::of(Server::start(&mut Self::command(yunqiao(), project)), project)
    }

    /// What is to be added to the binary's name, on free ports.
    pub(crate) fn command(mut yunqiao: Command, project: &Path) -> Command {
        yunqiao
            .arg("dev")
            .arg(project)
            .args(["--port", "0"])
            .env("YUNQIAO_OPERATOR_SECRET", OPERATOR_SECRET);
        yunqiao
    }

    /// The one that was started in the project.
    pub(crate) fn of(server: Server, project: &Path) -> Self {
        let file = fs::read(project.join(".yunqiao/run.json")).unwrap();
        let running: Value = serde_json::from_slice(&file).unwrap();
        assert_eq!(running["url"], server.url);
        assert_eq!(running["pid"], server.pid());
        Self {
            wechat: text(&running["wechat"]),
            operator: text(&running["operator"]),
            web: text(&running["web"]),
            server,
            client: client(),
        }
    }

    /// What the simulated WeChat answers to its own path.
    pub(crate) async fn sim(&self, path: &str, body: Value) -> Value {
        let reply = self
            .client
            .post(format!("{}/sim/{path}", self.wechat))
            .json(&body)
            .send()
            .await
            .unwrap();
        assert!(
            reply.status().is_success(),
            "{path} {body}: {}",
            reply.text().await.unwrap()
        );
        reply.json().await.unwrap()
    }

    /// What the simulated WeChat tells of itself.
    pub(crate) async fn get_sim(&self, path: &str) -> Value {
        let url = format!("{}/sim/{path}", self.wechat);
        self.client.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// A request to the operator's listener, with the secret.
    pub(crate) fn operate(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client
            .request(method, format!("{}/operator/{path}", self.operator))
            .bearer_auth(OPERATOR_SECRET)
    }

    /// Calls a function as the operator can: from anywhere, for anybody.
    pub(crate) async fn invoke(&self, name: &str, body: Value) -> Value {
        let request = self.operate(reqwest::Method::POST, &format!("functions/{name}"));
        let mut reply: Value = request.json(&body).send().await.unwrap().json().await.unwrap();
        assert_eq!(reply["errMsg"], "cloud.callFunction:ok", "{reply}");
        reply["result"].take()
    }

    /// What a client API of `user`'s gives.
    pub(crate) async fn wx(&self, user: &str, api: &str) -> Value {
        self.sim("client", json!({"user": user, "api": api})).await
    }

    /// Logs `user` in.
    pub(crate) async fn login(&self, user: &str) -> User<'_> {
        let code = self.wx(user, "login").await["code"].take();
        let (status, answer) = self
            .post("/v1/login", None, json!({"code": code}).to_string())
            .await;
        assert_eq!(status, 200, "{answer}");
        User {
            dev: self,
            token: text(&answer["token"]),
            openid: text(&answer["openid"]),
        }
    }

    /// A raw request.
    pub(crate) async fn post(
        &self,
        path: &str,
        token: Option<&str>,
        body: impl Into<reqwest::Body>,
    ) -> (u16, Value) {
        let mut request = self
            .client
            .post(format!("{}{path}", self.server.url))
            .header("content-type", "application/json")
            .body(body);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let reply = request.send().await.unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap())
    }
}

/// Somebody who is logged in.
pub(crate) struct User<'a> {
    dev: &'a Dev,
    pub(crate) token: String,
    pub(crate) openid: String,
}

impl User<'_> {
    pub(crate) async fn call_raw(&self, name: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        self.dev
            .post(&format!("/v1/functions/{name}"), Some(&self.token), body)
            .await
    }

    /// Calls a function without cloudIDs.
    pub(crate) async fn call(&self, name: &str, data: Value) -> (u16, Value) {
        self.call_raw(name, json!({"data": data}).to_string()).await
    }

    /// Calls a function and gives its result.
    pub(crate) async fn result(&self, name: &str, data: Value, cloud_ids: &[&str]) -> Value {
        let (status, mut reply) = self
            .call_raw(name, json!({"data": data, "cloudIDs": cloud_ids}).to_string())
            .await;
        assert_eq!(
            (status, &reply["errMsg"]),
            (200, &json!("cloud.callFunction:ok")),
            "{reply}"
        );
        assert_eq!(reply["requestID"].as_str().map(str::len), Some(36));
        reply["result"].take()
    }

    pub(crate) async fn exchange(&self, body: Value) -> (u16, Value) {
        self.dev
            .post("/v1/open-data", Some(&self.token), body.to_string())
            .await
    }
}

pub(crate) fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is not a string"))
        .to_owned()
}

/// A port that was free a moment ago: it has to be known before the server that listens on it is started.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// How long something may take that has to happen; the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that has to happen, while other things go on.
pub(crate) async fn soon(happened: impl Fn() -> bool, what: impl Fn() -> String) {
    let deadline = Instant::now() + PATIENCE;
    while !happened() {
        assert!(Instant::now() < deadline, "it did not happen: {}", what());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits for something that has to happen.
pub(crate) fn eventually(happened: impl Fn() -> bool, what: impl Fn() -> String) {
    let deadline = Instant::now() + PATIENCE;
    while !happened() {
        assert!(Instant::now() < deadline, "it did not happen: {}", what());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// An npm package of `.ci/package.json`, which are installed where one is missing.
pub(crate) fn node_module(name: &str) -> PathBuf {
    static INSTALLED: Mutex<()> = Mutex::new(());
    let _one_at_a_time = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    let ci = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.ci");
    let module = ci.join("node_modules").join(name);
    if !module.exists() {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--prefix"]).arg(&ci);
        let (output, _, err) = run(&mut npm);
        assert!(output.status.success(), "{err}");
    }
    module.canonicalize().unwrap()
}
