//! `yunqiao.toml`: every key that can be set, with its default. Keys of parts that are not served yet (`[push]`,
//! `[operator]`, `[permissions]`) are known by name and refused, because a setting that is silently without effect
//! costs its author an evening.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::{ExposeSecret, zeroize::Zeroizing};
use toml::de::DeTable;

use crate::{
    Finding, FunctionName, ProjectError, Secret,
    cloudbaserc::is_variable_name,
    files,
    function::{CONCURRENCY, MAX_INSTANCES, MEMORY_MB, TIMEOUT_SECONDS},
    table::{Entry, Source, Table},
};

/// The file's name.
pub(crate) const FILE: &str = "yunqiao.toml";

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
    /// `[keys] ring`, or the lines of `[keys] file`: root keys in base64, newest first. Empty: the store makes one and
    /// keeps it.
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

/// Everything that one `yunqiao.toml` gives.
#[derive(Debug, Default)]
pub(crate) struct File {
    pub(crate) appid: Option<String>,
    pub(crate) env_id: Option<String>,
    /// The folder of the functions, relative to the file.
    pub(crate) functions_root: Option<String>,
    /// `[functions.NAME]`, by name.
    pub(crate) functions: BTreeMap<FunctionName, FunctionSettings>,
    pub(crate) settings: Settings,
    pub(crate) findings: Vec<Finding>,
}

/// `[functions.NAME]`: what it gives goes before `cloudbaserc.json`.
#[derive(Debug, Default)]
pub(crate) struct FunctionSettings {
    pub(crate) timeout: Option<Duration>,
    pub(crate) memory_mb: Option<u64>,
    pub(crate) concurrency: Option<u64>,
    pub(crate) max_instances: Option<u64>,
    pub(crate) env: BTreeMap<String, String>,
    /// Line of the table, for a message about a function that does not exist.
    pub(crate) line: usize,
}

impl File {
    /// Reads the file's bytes. Paths in it are relative to the folder of `path`. A `secret` that the environment gave
    /// goes before `secret_file`, which need not exist then.
    pub(crate) fn parse(path: &Path, bytes: &[u8], secret: Option<Secret>) -> Result<Self, ProjectError> {
        let text = files::text(bytes).map_err(|fault| ProjectError::Setting {
            path: path.to_owned(),
            line: fault.line,
            what: fault.what,
            mend: fault.mend,
        })?;
        let source = Source { path, text };
        let tree = DeTable::parse(text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            source.refuse(
                &span,
                error.message().to_owned(),
                "mend the TOML there".to_owned(),
            )
        })?;
        let top = Table::top(&source, tree.get_ref());
        top.allow(
            &[
                "appid",
                "secret_file",
                "functions",
                "env",
                "listen",
                "store",
                "wechat",
                "keys",
                "login",
                "open_data",
                "cors",
                "sim",
            ],
            &["push", "operator", "permissions"],
        )?;

        let dir = path.parent().unwrap_or(Path::new("."));
        let mut file = Self::default();
        let text = |key| {
            top.get(key)
                .map(|entry| entry.text().map(str::to_owned))
                .transpose()
        };
        file.appid = text("appid")?;
        file.env_id = text("env")?;
        file.settings.store = text("store")?.map(|store| dir.join(store));
        if let Some(entry) = top.get("listen") {
            let mend = "write an address and a port, such as \"127.0.0.1:8787\"";
            let listen = entry
                .text()?
                .parse()
                .map_err(|_| entry.refuse("is no address", mend))?;
            file.settings.listen = Some(listen);
        }
        if let Some(entry) = top.get("wechat") {
            file.settings.wechat = Some(web_address(&entry, "https://api.weixin.qq.com")?);
        }
        file.settings.secret = match (secret, top.get("secret_file")) {
            (None, Some(entry)) => Some(read_secret_file(&entry, dir, &mut file.findings)?),
            (secret, _) => secret,
        };
        if let Some(entry) = top.get("functions") {
            file.read_functions(&source, &entry)?;
        }
        file.read_tables(&top, path, dir)?;
        Ok(file)
    }

    /// `functions = "folder"`, or `[functions]` with `root` and a table for each function. TOML lets one key be only
    /// one of the two, which is why the folder has its second place.
    fn read_functions(&mut self, source: &Source<'_>, entry: &Entry<'_>) -> Result<(), ProjectError> {
        if !entry.is_table() {
            self.functions_root = Some(entry.text()?.to_owned());
            return Ok(());
        }
        for (key, entry) in entry.table()?.entries() {
            if key.text == "root" && !entry.is_table() {
                self.functions_root = Some(entry.text()?.to_owned());
                continue;
            }
            let name: FunctionName = key.text.parse().map_err(|illegal: crate::IllegalName| {
                source.refuse(
                    &key.span,
                    illegal.to_string(),
                    "name an existing function".to_owned(),
                )
            })?;
            let table = entry.table()?;
            table.allow(&["timeout", "memory", "concurrency", "max_instances", "env"], &[])?;
            let whole = |key, range, unit| table.get(key).map(|entry| entry.whole(range, unit)).transpose();
            let timeout = table
                .get("timeout")
                .map(|entry| entry.duration_within(&TIMEOUT_SECONDS))
                .transpose()?;
            let mut settings = FunctionSettings {
                timeout,
                memory_mb: whole("memory", &MEMORY_MB, " (MB)")?,
                concurrency: whole("concurrency", &CONCURRENCY, "")?,
                max_instances: whole("max_instances", &MAX_INSTANCES, "")?,
                env: BTreeMap::new(),
                line: files::position(source.text.as_bytes(), key.span.start).0,
            };
            if let Some(entry) = table.get("env") {
                for (key, value) in entry.table()?.entries() {
                    if !is_variable_name(key.text) {
                        let mend = "use letters, digits and `_`, beginning with a letter or `_`".to_owned();
                        return Err(source.refuse(
                            &key.span,
                            format!("illegal variable name {:?}", key.text),
                            mend,
                        ));
                    }
                    settings
                        .env
                        .insert(key.text.to_owned(), value.variable()?.to_owned());
                }
            }
            self.functions.insert(name, settings);
        }
        Ok(())
    }

    fn read_tables(&mut self, top: &Table<'_>, path: &Path, dir: &Path) -> Result<(), ProjectError> {
        let table = |key| top.get(key).map(|entry| entry.table()).transpose();
        let settings = &mut self.settings;

        if let Some(keys) = table("keys")? {
            keys.allow(&["ring", "file"], &[])?;
            if let Some(ring) = keys.get("ring") {
                for key in ring.texts()? {
                    settings.keys.push(Secret::from(key.text()?));
                }
                if !settings.keys.is_empty() {
                    self.findings.extend(readable_by_others(path));
                }
            }
            if let Some(entry) = keys.get("file") {
                if !settings.keys.is_empty() {
                    return Err(entry.refuse("stands beside keys.ring", "give one of the two"));
                }
                let lines = read_secret_file(&entry, dir, &mut self.findings)?;
                let lines = lines.expose_secret().lines().map(str::trim);
                settings
                    .keys
                    .extend(lines.filter(|line| !line.is_empty()).map(Secret::from));
            }
        }
        if let Some(login) = table("login")? {
            login.allow(&["ttl"], &[])?;
            if let Some(entry) = login.get("ttl") {
                let session = entry.text().is_ok_and(|text| text == "session");
                settings.login.ttl = if session {
                    Ttl::Session
                } else {
                    Ttl::For(entry.duration()?)
                };
            }
        }
        if let Some(open_data) = table("open_data")? {
            open_data.allow(&["max_age"], &[])?;
            if let Some(entry) = open_data.get("max_age") {
                settings.open_data_max_age = entry.duration()?;
            }
        }
        if let Some(cors) = table("cors")? {
            cors.allow(&["origins"], &[])?;
            if let Some(entry) = cors.get("origins") {
                for origin in entry.texts()? {
                    settings.cors_origins.push(web_origin(&origin)?);
                }
            }
        }
        if let Some(sim) = table("sim")? {
            settings.sim = Sim::read(&sim)?;
        }
        Ok(())
    }
}

impl Sim {
    fn read(sim: &Table<'_>) -> Result<Self, ProjectError> {
        sim.allow(
            &[
                "foreign_codes",
                "cloud_opened",
                "lib_version",
                "strict",
                "session_rotation",
                "session_idle",
            ],
            &[],
        )?;
        let boolean = |key| sim.get(key).map(|entry| entry.boolean()).transpose();
        let duration = |key| sim.get(key).map(|entry| entry.duration()).transpose();
        let foreign_codes = sim.get("foreign_codes").map(|entry| match entry.text()? {
            "first-user" => Ok(ForeignCodes::FirstUser),
            "refuse" => Ok(ForeignCodes::Refuse),
            _ => Err(entry.refuse(
                "is neither of its two values",
                "write \"first-user\" or \"refuse\"",
            )),
        });
        let lib_version = sim.get("lib_version").map(|entry| {
            let text = entry.text()?;
            let parts: Vec<&str> = text.split('.').collect();
            if parts.len() == 3 && parts.iter().all(|part| part.parse::<u32>().is_ok()) {
                Ok(text.to_owned())
            } else {
                Err(entry.refuse(
                    "is no base library version",
                    "write three numbers, such as \"2.27.0\"",
                ))
            }
        });
        Ok(Self {
            foreign_codes: foreign_codes.transpose()?,
            cloud_opened: boolean("cloud_opened")?,
            lib_version: lib_version.transpose()?,
            strict: boolean("strict")?,
            session_rotation: duration("session_rotation")?,
            session_idle: duration("session_idle")?,
        })
    }
}

/// An `http` or `https` address; the rest of it is for the one who calls there to judge.
fn web_address(entry: &Entry<'_>, example: &str) -> Result<String, ProjectError> {
    let text = entry.text()?;
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') => Ok(text.to_owned()),
        _ => Err(entry.refuse(
            "is no web address",
            &format!("write it with http:// or https://, such as \"{example}\""),
        )),
    }
}

/// A web origin as browsers send it: scheme, host, port, and no path.
fn web_origin(entry: &Entry<'_>) -> Result<String, ProjectError> {
    const EXAMPLE: &str = "https://app.example.com";
    let text = web_address(entry, EXAMPLE)?;
    let host = text.split_once("://").map_or("", |(_, host)| host);
    if host.contains(['/', '?', '#', '@']) || host.chars().any(char::is_whitespace) {
        let mend = format!(
            "browsers send scheme, host and port only; write \"{EXAMPLE}\", without a path or a slash at the end"
        );
        return Err(entry.refuse(
            &format!("has {text:?}, which no browser sends as an origin"),
            &mend,
        ));
    }
    Ok(text.to_lowercase())
}

/// The trimmed content of a file that holds a secret.
fn read_secret_file(
    entry: &Entry<'_>,
    dir: &Path,
    findings: &mut Vec<Finding>,
) -> Result<Secret, ProjectError> {
    let path = dir.join(entry.text()?);
    let shown = path.display();
    let text = match fs::read_to_string(&path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) => {
            return Err(entry.refuse(
                &format!("names {shown}, which cannot be read: {error}"),
                "name a file that can be",
            ));
        }
    };
    if text.trim().is_empty() {
        return Err(entry.refuse(
            &format!("names {shown}, which is empty"),
            "put the secret into that file",
        ));
    }
    findings.extend(readable_by_others(&path));
    Ok(Secret::from(text.trim()))
}

/// What to tell about a file with a secret that its owner is not alone with.
fn readable_by_others(path: &Path) -> Option<Finding> {
    let mode = fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o077 != 0).then(|| Finding {
        function: None,
        file: path.to_owned(),
        what: "it holds a secret, and others on this machine can read it".to_owned(),
        mend: format!("chmod 600 {}", path.display()),
    })
}
