//! `yunqiao.toml`: every key that can be set, with its default.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use crate::Secret;

/// What `yunqiao.toml` says. A setting that it does not give is `None`, or its default where one is named here.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `listen`: where the gateway listens.
    pub listen: Option<SocketAddr>,
    /// `store`: the file of the store; relative to `yunqiao.toml`.
    pub store: Option<PathBuf>,
    /// `wechat`: the base URL of WeChat's API.
    pub wechat: Option<String>,
    /// The AppSecret: `YUNQIAO_APPSECRET`, else the content of `secret_file`.
    pub secret: Option<Secret>,
    /// `[keys] ring` or `[keys] file`: root keys in base64, newest first. Empty: the store makes and keeps one.
    pub keys: Vec<Secret>,
    /// `[login]`.
    pub login: Login,
    /// `[open_data] max_age`: how old a watermark may be; by default 5 minutes.
    pub open_data_max_age: Duration,
    /// `[cors] origins`: web origins that may call the gateway.
    pub cors_origins: Vec<String>,
    /// `[sim]`.
    pub sim: Sim,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: None,
            store: None,
            wechat: None,
            secret: None,
            keys: Vec::new(),
            login: Login::default(),
            open_data_max_age: Duration::from_secs(300),
            cors_origins: Vec::new(),
            sim: Sim::default(),
        }
    }
}

/// `[login]`: how long a bearer token holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// `ttl`.
    pub ttl: Ttl,
}

/// The life of a bearer token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// So long after the login; by default 2 hours.
    For(Duration),
    /// As long as WeChat's `checksession` says that the session_key holds.
    Session,
}

impl Default for Ttl {
    fn default() -> Self {
        Self::For(Duration::from_secs(2 * 3600))
    }
}

/// `[sim]`: how the simulated WeChat behaves. What is `None` is left to the simulator's own default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sim {
    /// What becomes of a login code or open data that the simulator did not issue.
    pub foreign_codes: Option<ForeignCodes>,
    /// Whether Cloud Development is opened; without it results carry no `cloudID`.
    pub cloud_opened: Option<bool>,
    /// The base library's version; below 2.7.0 results carry no `cloudID`.
    pub lib_version: Option<String>,
    /// Check what the real platform checks beyond need: that a page exists, scopes, content types.
    pub strict: Option<bool>,
    /// The shortest time after which a login rotates the session_key.
    pub session_rotation: Option<Duration>,
    /// How long an unused session_key lives.
    pub session_idle: Option<Duration>,
}

/// `[sim] foreign_codes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignCodes {
    /// It counts as the first simulated user's.
    FirstUser,
    /// It is refused, as WeChat would.
    Refuse,
}
