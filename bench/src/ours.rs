//! Ours: `yunqiao serve` against `yunqiao simulate`, two processes as in production, with a project that the bench writes.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{http, process::Process};

/// A cloud function of the project.
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) source: &'static str,
    pub(crate) concurrency: u32,
    pub(crate) max_instances: u32,
    /// Its `package.json`, if it has one.
    pub(crate) manifest: Option<String>,
    /// Its `config.json`, if it has one.
    pub(crate) config: Option<&'static str>,
    /// How long a call may take, where the usual 3 seconds are too little.
    pub(crate) timeout: Option<Duration>,
}

/// Both processes, and a user who is logged in.
pub(crate) struct Ours {
    pub(crate) gateway: SocketAddr,
    pub(crate) token: String,
    pub(crate) process: Process,
    pub(crate) wechat: SocketAddr,
    /// The Mini Program's, as the simulator made them.
    pub(crate) appid: String,
    pub(crate) secret: String,
    // Dropped after `process`: the gateway may still ask it something while it stops.
    _simulator: Process,
}

impl Ours {
    /// Writes a project with these functions into `dir` and starts. Dependencies are installed before it is ready.
    pub(crate) fn start(binary: &Path, dir: &Path, functions: &[Function]) -> Result<Self> {
        Self::start_with(binary, dir, functions, "")
    }

    /// The same, with further tables for its `yunqiao.toml`.
    pub(crate) fn start_with(
        binary: &Path,
        dir: &Path,
        functions: &[Function],
        settings: &str,
    ) -> Result<Self> {
        let mut simulator = Process::start(
            "simulate",
            Command::new(binary).args(["simulate", "--port", "0"]),
            dir,
        )?;
        let wechat = simulator.ready(Duration::from_secs(20))?;
        let (_, app) = http::exchange(wechat, &get(wechat, "/sim/app"))?;
        let app: Value = serde_json::from_slice(&app).context("/sim/app is not JSON")?;
        let appid = text(&app, "appid").context("/sim/app has no appid")?;
        let secret = text(&app, "secret").context("/sim/app has no secret")?;

        let config = write_project(dir, functions, &appid, wechat, settings)?;
        let mut command = Command::new(binary);
        command
            .args(["serve", "-c"])
            .arg(config)
            .env("YUNQIAO_APPSECRET", &secret);
        let mut process = Process::start("serve", &mut command, dir)?;
        let gateway = process.ready(Duration::from_secs(180))?;

        let code = http::json(
            wechat,
            "/sim/client",
            None,
            &json!({"user": "alice", "api": "login"}),
        )?;
        let login = http::json(gateway, "/v1/login", None, &json!({"code": code["code"]}))?;
        let token = text(&login, "token").context("no token after the login")?;
        Ok(Self {
            gateway,
            token,
            process,
            wechat,
            appid,
            secret,
            _simulator: simulator,
        })
    }

    /// A ticket for the user's WeRun steps: what the traditional way's `encryptedData` and `iv` become.
    pub(crate) fn mint(&self) -> Result<String> {
        let data = http::json(
            self.wechat,
            "/sim/client",
            None,
            &json!({"user": "alice", "api": "getWeRunData"}),
        )?;
        let body = json!({"encryptedData": data["encryptedData"], "iv": data["iv"]});
        let reply = http::json(self.gateway, "/v1/open-data", Some(&self.token), &body)?;
        text(&reply, "cloudID").context("no cloudID for the open data")
    }

    /// What a function returns.
    pub(crate) fn call(&self, function: &str, body: &Value) -> Result<Value> {
        let path = format!("/v1/functions/{function}");
        Ok(http::json(self.gateway, &path, Some(&self.token), body)?["result"].take())
    }
}

fn text(object: &Value, name: &str) -> Option<String> {
    object[name].as_str().map(str::to_owned)
}

fn get(addr: SocketAddr, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: {addr}\r\n\r\n").into_bytes()
}

fn write_project(
    dir: &Path,
    functions: &[Function],
    appid: &str,
    wechat: SocketAddr,
    settings: &str,
) -> Result<PathBuf> {
    let mut config = format!(
        "appid = \"{appid}\"\nlisten = \"127.0.0.1:0\"\nstore = \"store.redb\"\n\
         wechat = \"http://{wechat}\"\n{settings}"
    );
    for function in functions {
        let Function {
            name,
            concurrency,
            max_instances,
            ..
        } = function;
        write!(
            config,
            "\n[functions.{name}]\nconcurrency = {concurrency}\nmax_instances = {max_instances}\n"
        )?;
        if let Some(timeout) = function.timeout {
            writeln!(config, "timeout = \"{}s\"", timeout.as_secs())?;
        }
        let home = dir.join("cloudfunctions").join(name);
        fs::create_dir_all(&home)?;
        fs::write(home.join("index.js"), function.source)?;
        for (file, text) in [
            ("package.json", function.manifest.as_deref()),
            ("config.json", function.config),
        ] {
            if let Some(text) = text {
                fs::write(home.join(file), text)?;
            }
        }
    }
    let path = dir.join("yunqiao.toml");
    fs::write(&path, config)?;
    Ok(path)
}
