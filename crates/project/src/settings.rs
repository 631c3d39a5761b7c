//! `yunqiao.toml`: every key that can be set, with its default. An unknown key is refused, because a setting that is
//! silently without effect costs its author an evening.

mod auth;
mod database;
mod permission;
mod push;
mod redis;
mod simulated;
mod storage;
mod web;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::Duration,
};

use function::{CONCURRENCY, FunctionName, IllegalName, MAX_INSTANCES, MEMORY_MB, TIMEOUT_SECONDS};
use jiff::tz::{self, TimeZone};
use rules::{FunctionRules, InvokeRule};
use secrecy::{ExposeSecret, zeroize::Zeroizing};
use toml::de::DeTable;
use wording::{Wording, shell_word, wording};

use crate::{
    Finding, ProjectError, Secret,
    cloudbaserc::{form_of_variable_names, is_variable_name},
    files,
    project::{PrivatePath, Scope},
    reference,
    table::{self, Entry, Source, Table},
};

pub(crate) use self::simulated::LARGEST_NUMBER;
pub use self::{
    auth::AuthSection,
    database::{CollectionSetting, DatabaseSection, MissingCollection},
    push::{PushConsole, PushSection},
    redis::{RedisSection, StoreSetting},
    simulated::{SimSubscription, SimTemplate, SimUser},
    storage::{S3Setting, StorageSection},
    web::WebSection,
};

/// The file's name.
pub(crate) const FILE: &str = "yunqiao.toml";

/// What `yunqiao.toml` says. A setting that it does not give is `None`, or its default where one is named here.
#[derive(Clone, Debug)]
pub struct ProjectSettings {
    /// `listen`: where the gateway listens.
    pub listen: Option<SocketAddr>,
    /// `store`: the file or server that keeps it.
    pub store: Option<StoreSetting>,
    /// `[redis]`.
    pub redis: RedisSection,
    /// `wechat`: the base URL of WeChat's API.
    pub wechat: Option<String>,
    /// The AppSecret: `YUNQIAO_APPSECRET`, else the content of `secret_file`.
    pub secret: Option<Secret>,
    /// `[apps.APPID]`: the AppSecrets of other apps of the same owner, by appid, for
    /// `cloud.openapi({appid}).…`. The project's own appid is never among them.
    pub apps: BTreeMap<String, Secret>,
    /// `[keys] ring`, or the lines of `[keys] file`: root keys in base64, newest first. Empty: the store makes one and
    /// keeps it.
    pub keys: Vec<Secret>,
    /// `[login]`.
    pub login: LoginSection,
    /// `[open_data] max_age`: how old a watermark may be; by default 5 minutes.
    pub open_data_max_age: Duration,
    /// `[permissions] cache`: how long a function's `permissions.openapi` counts as it was read, whatever its file says
    /// by then; on the platform 10 minutes, by default none.
    pub permissions_cache: Duration,
    /// `[cors] origins`: web origins that may call the gateway.
    pub cors_origins: Vec<String>,
    /// `[operator]`.
    pub operator: OperatorSection,
    /// `[auth]`.
    pub auth: AuthSection,
    /// `[database]`.
    pub database: DatabaseSection,
    /// `[storage]`.
    pub storage: StorageSection,
    /// `[web]`, and what `cloudbaserc.json` says of it where that says nothing.
    pub web: WebSection,
    /// `[push]`.
    pub push: PushSection,
    /// `[sim]`.
    pub sim: SimSection,
    /// `[timers]`.
    pub timers: TimersSection,
    /// `[functions] undeclared`.
    pub undeclared: Option<Undeclared>,
    /// Who may call which function as a client: `invoke` of `[functions.NAME]`, else `aclRule` of the function in `cloudbaserc.json`, else
    /// `invoke` of `[functions."*"]`, else whoever has logged in.
    pub function_rules: FunctionRules,
    /// The functions of which `cloudbaserc.json` says that, and `yunqiao.toml` nothing.
    pub ruled_by_cloudbaserc: BTreeSet<String>,
}

impl Default for ProjectSettings {
    fn default() -> Self {
        Self {
            listen: None,
            store: None,
            redis: RedisSection::default(),
            wechat: None,
            secret: None,
            apps: BTreeMap::new(),
            keys: Vec::new(),
            login: LoginSection::default(),
            open_data_max_age: Duration::from_secs(300),
            permissions_cache: Duration::ZERO,
            cors_origins: Vec::new(),
            operator: OperatorSection::default(),
            auth: AuthSection::default(),
            database: DatabaseSection::default(),
            storage: StorageSection::default(),
            web: WebSection::default(),
            push: PushSection::default(),
            sim: SimSection::default(),
            timers: TimersSection::default(),
            undeclared: None,
            function_rules: FunctionRules::default(),
            ruled_by_cloudbaserc: BTreeSet::new(),
        }
    }
}

/// `[functions] undeclared`: what becomes of a package that a function requires and its `package.json` does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undeclared {
    /// It is installed, if its name is vouched for; the default of `dev` and `exec`.
    Supply,
    /// It is missing; the default of `serve`.
    Refuse,
}

/// `[login]`: how long a bearer token holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoginSection {
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

/// `[operator]`: the listener for the operator, and for other servers of the same app.
#[derive(Clone, Debug, Default)]
pub struct OperatorSection {
    /// `listen`: where it listens.
    pub listen: Option<SocketAddr>,
    /// `hosts`: further names by which it is reached, as they stand in a `Host` header.
    pub hosts: Vec<String>,
    /// What a request must show: `YUNQIAO_OPERATOR_SECRET`, else `secret`, else the content of `secret_file`. At least
    /// [`OPERATOR_SECRET_LENGTH`] characters, all of which an `Authorization` header can carry. Without one, the doors that
    /// hand out tokens stay shut.
    pub secret: Option<Secret>,
    /// `[operator.keys]`: the secretKey of each secretId, which stands in a file, for node-sdk of other servers of the owner's.
    pub keys: BTreeMap<String, Secret>,
}

/// How many characters the operator's secret has at least. A choice: what `openssl rand -hex 8` prints, beyond guessing
/// over a network.
pub const OPERATOR_SECRET_LENGTH: usize = 16;

/// `[timers]`: how the functions' timers are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimersSection {
    /// `zone`: whose clock time a timer's `config` means; by default UTC+8, as on the platform.
    pub zone: TimeZone,
    /// `missed`.
    pub missed: Missed,
}

impl Default for TimersSection {
    fn default() -> Self {
        Self {
            zone: TimeZone::fixed(tz::offset(8)),
            missed: Missed::Skip,
        }
    }
}

/// `[timers] missed`: what becomes of a tick for which nobody was awake, because the service was down or its machine
/// asleep. The platform is never down, so this is a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// Nothing, as with cron: the default, because a job that is meant for the night is not always welcome in the morning.
    Skip,
    /// The last one is made up for as soon as possible, whatever number was missed.
    RunOnce,
}

/// `[sim]`: how the simulated WeChat behaves. What is `None` is left to the simulator's own default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimSection {
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
    /// What becomes of calls to APIs that WeChat has withdrawn.
    pub withdrawn: Option<Withdrawn>,
    /// `[sim.users.NAME]`, by name.
    pub users: Vec<SimUser>,
    /// `[sim.templates.ID]`, by id.
    pub templates: Vec<SimTemplate>,
    /// `[sim.subscriptions]`.
    pub subscriptions: Vec<SimSubscription>,
    /// What becomes of templates of subscribe messages that the simulated app does not have.
    pub unknown_templates: Option<UnknownTemplates>,
}

/// `[sim] unknown_templates`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownTemplates {
    /// They are made at their first use.
    Make,
    /// They are refused, as WeChat refuses what an app does not have.
    Refuse,
}

/// `[sim] foreign_codes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignCodes {
    /// It counts as the first simulated user's.
    FirstUser,
    /// It is refused, as WeChat would.
    Refuse,
}

/// `[sim] withdrawn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawn {
    /// They succeed, as they did before they were withdrawn.
    Accept,
    /// They are answered with the errcode that they have in production, such as 45103.
    Refuse,
}

/// The secrets that the environment gives: each goes before what `yunqiao.toml` names, and a file named there need not exist
/// then.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    pub(crate) secret: Option<Secret>,
    pub(crate) operator_secret: Option<Secret>,
    pub(crate) database_url: Option<Secret>,
    pub(crate) store_url: Option<Secret>,
    pub(crate) s3_access_key: Option<Secret>,
    pub(crate) s3_secret_key: Option<Secret>,
}

/// The environment variable that goes before `secret_file`.
const SECRET_VARIABLE: &str = "YUNQIAO_APPSECRET";
/// The environment variable that goes before `[operator] secret` and `secret_file`.
const OPERATOR_SECRET_VARIABLE: &str = "YUNQIAO_OPERATOR_SECRET";
/// The environment variable that goes before `[database] url` and `url_file`.
const DATABASE_URL_VARIABLE: &str = "YUNQIAO_MONGODB_URL";
/// The environment variable that goes before `store`.
const STORE_URL_VARIABLE: &str = "YUNQIAO_REDIS_URL";
/// The environment variables that go before `access_key_file` and `secret_key_file` of `[storage] s3`.
const S3_ACCESS_KEY_VARIABLE: &str = "YUNQIAO_S3_ACCESS_KEY";
const S3_SECRET_KEY_VARIABLE: &str = "YUNQIAO_S3_SECRET_KEY";

impl Environment {
    /// That of this process.
    pub(crate) fn of_process() -> Result<Self, ProjectError> {
        Self::read(|name| env::var(name).ok())
    }

    /// A variable that is empty counts as one that is not there.
    pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ProjectError> {
        let secret = |name| {
            let text = Zeroizing::new(variable(name)?);
            let text = files::one_value(&text);
            (!text.is_empty()).then(|| Secret::from(text))
        };
        let operator_secret = secret(OPERATOR_SECRET_VARIABLE);
        if let Some(weakness) = operator_secret.as_ref().and_then(weakness) {
            return Err(ProjectError::Variable {
                name: OPERATOR_SECRET_VARIABLE,
                what: weakness,
                mend: wording!(
                    "export {OPERATOR_SECRET_VARIABLE}=$(openssl rand -hex 32)",
                    "请执行 export {OPERATOR_SECRET_VARIABLE}=$(openssl rand -hex 32)"
                ),
            });
        }
        Ok(Self {
            secret: secret(SECRET_VARIABLE),
            operator_secret,
            database_url: secret(DATABASE_URL_VARIABLE),
            store_url: secret(STORE_URL_VARIABLE),
            s3_access_key: secret(S3_ACCESS_KEY_VARIABLE),
            s3_secret_key: secret(S3_SECRET_KEY_VARIABLE),
        })
    }
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
    /// Line of each `[apps.APPID]`, for a message about one that is the project's own.
    pub(crate) app_lines: BTreeMap<String, usize>,
    /// Line of the `site` of each page of `[web]`, for a message about a folder that cannot be one.
    pub(crate) site_lines: Vec<usize>,
    /// What it names that no site may show.
    pub(crate) private: Vec<PrivatePath>,
    pub(crate) settings: ProjectSettings,
    pub(crate) findings: Vec<Finding>,
    /// What is wrong with parts that were not to be read.
    pub(crate) passed_over: Vec<Finding>,
}

/// `[functions.NAME]`: what it gives goes before `cloudbaserc.json`.
#[derive(Debug, Default)]
pub(crate) struct FunctionSettings {
    pub(crate) timeout: Option<Duration>,
    pub(crate) memory_mb: Option<u64>,
    pub(crate) concurrency: Option<u64>,
    pub(crate) max_instances: Option<u64>,
    pub(crate) env: BTreeMap<String, String>,
    /// `invoke`: who may call it as a client.
    pub(crate) invoke: Option<InvokeRule>,
    /// Line of the table, for a message about a function that does not exist.
    pub(crate) line: usize,
}

impl File {
    /// What holds where there is no such file.
    pub(crate) fn absent(environment: Environment) -> Self {
        let mut file = Self::default();
        file.settings.secret = environment.secret;
        file.settings.operator.secret = environment.operator_secret;
        file.settings.database.url = environment.database_url;
        file.settings.store = environment.store_url.map(StoreSetting::Server);
        file
    }

    /// Reads the file's bytes. Paths in it are relative to the folder of `path`.
    ///
    /// # Errors
    /// Everything that is wrong with it: what was refused is taken out, and the rest read again, until nothing is.
    pub(crate) fn parse(
        path: &Path,
        bytes: &[u8],
        environment: Environment,
        scope: Scope,
    ) -> Result<Self, ProjectError> {
        let text = files::text(bytes).map_err(|fault| ProjectError::Setting {
            path: path.to_owned(),
            line: fault.line,
            what: fault.what,
            mend: fault.mend,
        })?;
        let source = Source::new(path, text);
        let tree = DeTable::parse(text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            let what = error.message();
            source.refuse(
                &span,
                wording!("{what}", "TOML 语法错误（{what}）"),
                wording!("mend the TOML there", "请改正此处的 TOML"),
            )
        })?;
        let mut tree = tree.into_inner();
        let (mut faults, mut removed) = (Vec::new(), Vec::<Vec<String>>::new());
        let mut passed_over = Vec::new();
        loop {
            match Self::read(&source, &tree, environment.clone()) {
                Ok(file) if faults.is_empty() => {
                    return Ok(Self { passed_over, ..file });
                }
                Ok(_) => break,
                Err(fault) => {
                    let refused = source
                        .refused()
                        .filter(|_| matches!(fault, ProjectError::Setting { .. }));
                    let place = refused.and_then(|span| table::remove(&mut tree, &span));
                    // A table that is refused after something of it was taken out may lack just that.
                    let follows =
                        |place: &Vec<String>| removed.iter().any(|removed| removed.starts_with(place));
                    let is_other =
                        |place: &Vec<String>| place.first().is_some_and(|part| scope.leaves_out(part));
                    match (place.as_ref(), fault) {
                        (Some(place), _) if follows(place) => {}
                        (
                            Some(place),
                            ProjectError::Setting {
                                path,
                                line,
                                what,
                                mend,
                            },
                        ) if is_other(place) => {
                            passed_over.push(Finding {
                                function: None,
                                file: path,
                                what: wording!("line {line}: {what}", "第 {line} 行：{what}"; what),
                                mend,
                            });
                        }
                        (_, fault) => faults.push(fault),
                    }
                    match place {
                        Some(place) => removed.push(place),
                        None => break,
                    }
                }
            }
        }
        Err(ProjectError::of(faults))
    }

    fn read(source: &Source<'_>, tree: &DeTable<'_>, environment: Environment) -> Result<Self, ProjectError> {
        let path = source.path;
        let top = Table::top(source, tree);
        top.allow(&reference::TOP)?;

        let dir = path.parent().unwrap_or(Path::new("."));
        let s3_keys = (
            environment.s3_access_key.clone(),
            environment.s3_secret_key.clone(),
        );
        let mut file = Self::absent(environment);
        let text = |key| {
            top.get(key)
                .map(|entry| entry.text().map(str::to_owned))
                .transpose()
        };
        file.appid = text("appid")?;
        file.env_id = text("env")?;
        let mut holds_secret = false;
        if let Some(entry) = top.get("store") {
            let (store, holds_password) = StoreSetting::read(&entry, dir)?;
            holds_secret |= holds_password;
            file.settings.store.get_or_insert(store);
        }
        if let Some(entry) = top.get("redis") {
            file.settings.redis = RedisSection::read(&entry, dir, &mut file.findings)?;
        }
        if let Some(entry) = top.get("listen") {
            file.settings.listen = Some(address(&entry, "127.0.0.1:8787")?);
        }
        if let Some(entry) = top.get("wechat") {
            file.settings.wechat = Some(web_address(&entry, "https://api.weixin.qq.com")?);
        }
        if let (None, Some(entry)) = (&file.settings.secret, top.get("secret_file")) {
            file.settings.secret = Some(read_secret_file(&entry, dir, &mut file.findings)?);
        }
        if let Some(entry) = top.get("functions") {
            file.read_functions(source, &entry)?;
        }
        if let Some(entry) = top.get("apps") {
            file.read_apps(source, &entry, dir)?;
        }
        holds_secret |= file.read_operator(&top, dir)? | file.read_keys(&top, dir)?;
        if let Some(entry) = top.get("database") {
            let url = file.settings.database.url.take();
            let (database, holds_password) = DatabaseSection::read(&entry, dir, url, &mut file.findings)?;
            file.settings.database = database;
            holds_secret |= holds_password;
        }
        if let Some(entry) = top.get("auth") {
            file.settings.auth = AuthSection::read(&entry, dir)?;
        }
        if let Some(entry) = top.get("storage") {
            file.settings.storage = StorageSection::read(&entry, dir, s3_keys, &mut file.findings)?;
        }
        if let Some(entry) = top.get("web") {
            file.settings.web = WebSection::read(&entry, dir, &mut file.site_lines)?;
        }
        if let Some(entry) = top.get("push") {
            let (push, holds_push_secret) = PushSection::read(source, &entry, dir, &mut file.findings)?;
            file.settings.push = push;
            holds_secret |= holds_push_secret;
        }
        if holds_secret {
            file.findings.extend(readable_by_others(path));
        }
        file.read_tables(&top)?;
        file.private = file.settings.private_paths(path);
        secret_files(&top, dir, &mut file.private);
        // What was looked at there and is of another kind was refused by nobody.
        source.refused();
        Ok(file)
    }

    /// `functions = "folder"`, or `[functions]` with `root`, `undeclared`, a table for each function and one for `*`, which is all others. TOML lets one key be
    /// only one of the two, which is why the folder has its second place.
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
            if key.text == "undeclared" && !entry.is_table() {
                self.settings.undeclared = Some(match entry.text()? {
                    "supply" => Undeclared::Supply,
                    "refuse" => Undeclared::Refuse,
                    _ => return Err(entry.is_neither("supply", "refuse")),
                });
                continue;
            }
            if key.text == "*" {
                let table = entry.table()?;
                table.allow(&reference::OTHER_FUNCTIONS)?;
                self.settings.function_rules.others = permission::of_function(&table)?.unwrap_or_default();
                continue;
            }
            let name: FunctionName = key.text.parse().map_err(|illegal: IllegalName| {
                source.refuse(
                    &key.span,
                    illegal.wording(),
                    wording!("name an existing function", "请写已有的云函数"),
                )
            })?;
            let table = entry.table()?;
            table.allow(&reference::FUNCTION)?;
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
                invoke: permission::of_function(&table)?,
                line: files::position(source.text.as_bytes(), key.span.start).0,
            };
            if let Some(entry) = table.get("env") {
                for (key, value) in entry.table()?.entries() {
                    if !is_variable_name(key.text) {
                        let name = key.text;
                        let what = wording!("illegal variable name {name:?}", "变量名 {name:?} 不合法");
                        return Err(source.refuse(&key.span, what, form_of_variable_names()));
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

    /// `[apps.APPID]`, a table for each.
    fn read_apps(&mut self, source: &Source<'_>, apps: &Entry<'_>, dir: &Path) -> Result<(), ProjectError> {
        for (key, entry) in apps.table()?.entries() {
            if key.text.is_empty() || !key.text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                let appid = key.text;
                let what = wording!("{appid:?} is no appid", "{appid:?} 不是 appid");
                let mend = wording!(
                    "name another app of the same owner, such as [apps.wx0123456789abcdef]",
                    "请写同一主体下的另一个小程序，例如 [apps.wx0123456789abcdef]"
                );
                return Err(source.refuse(&key.span, what, mend));
            }
            let app = entry.table()?;
            app.allow(&reference::APP)?;
            let Some(secret_file) = app.get("secret_file") else {
                return Err(entry.refuse(
                    wording!("has no secret_file", "缺少 secret_file"),
                    wording!(
                        "name a file that holds its AppSecret, such as secret_file = \"other.secret\"",
                        "请写明存放 AppSecret 的文件，例如 secret_file = \"other.secret\""
                    ),
                ));
            };
            let secret = read_secret_file(&secret_file, dir, &mut self.findings)?;
            let line = files::position(source.text.as_bytes(), key.span.start).0;
            self.app_lines.insert(key.text.to_owned(), line);
            self.settings.apps.insert(key.text.to_owned(), secret);
        }
        Ok(())
    }

    /// `[operator]`; gives whether the file itself holds a secret there.
    fn read_operator(&mut self, top: &Table<'_>, dir: &Path) -> Result<bool, ProjectError> {
        let Some(operator) = top.get("operator") else {
            return Ok(false);
        };
        let operator = operator.table()?;
        operator.allow(&reference::OPERATOR)?;
        if let Some(keys) = operator.get("keys") {
            for (id, entry) in keys.table()?.entries() {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
                if id.text.is_empty() || id.text.len() > 64 || !id.text.bytes().all(plain) {
                    let id = id.text;
                    return Err(entry.refuse(
                        wording!("has the id {id:?}", "的 id 是 {id:?}"),
                        wording!(
                            "a secretId is 1 to 64 letters, digits, - and _",
                            "secretId 是 1 到 64 位字母、数字、- 和 _"
                        ),
                    ));
                }
                let secret = read_secret_file(&entry, dir, &mut self.findings)?;
                if let Some(weakness) = weakness(&secret) {
                    return Err(weak_file(&entry, &weakness)?);
                }
                self.settings.operator.keys.insert(id.text.to_owned(), secret);
            }
        }
        let settings = &mut self.settings.operator;
        if let Some(hosts) = operator.get("hosts") {
            for host in hosts.texts()? {
                settings.hosts.push(host_header(&host)?);
            }
        }
        if let Some(entry) = operator.get("listen") {
            settings.listen = Some(address(&entry, "127.0.0.1:8789")?);
        }
        let (inline, file) = (operator.get("secret"), operator.get("secret_file"));
        if let (Some(_), Some(entry)) = (&inline, &file) {
            return Err(entry.stands_beside("operator.secret"));
        }
        let from_environment = settings.secret.is_some();
        let holds_secret = inline.is_some();
        if let Some(entry) = inline {
            let secret = Secret::from(entry.text()?);
            if let Some(weakness) = weakness(&secret) {
                return Err(entry.refuse(
                    weakness,
                    wording!(
                        "make one with `openssl rand -hex 32`, or keep it in a file and name that as secret_file",
                        "请用 `openssl rand -hex 32` 生成一个；也可以存在文件里，用 secret_file 写明"
                    ),
                ));
            }
            settings.secret.get_or_insert(secret);
        }
        if let Some(entry) = file
            && !from_environment
        {
            let secret = read_secret_file(&entry, dir, &mut self.findings)?;
            if let Some(weakness) = weakness(&secret) {
                return Err(weak_file(&entry, &weakness)?);
            }
            settings.secret = Some(secret);
        }
        Ok(holds_secret)
    }

    /// `[keys]`; gives whether the file itself holds keys.
    fn read_keys(&mut self, top: &Table<'_>, dir: &Path) -> Result<bool, ProjectError> {
        let Some(keys) = top.get("keys") else {
            return Ok(false);
        };
        let keys = keys.table()?;
        keys.allow(&reference::KEYS)?;
        let ring = &mut self.settings.keys;
        if let Some(entry) = keys.get("ring") {
            for key in entry.texts()? {
                ring.push(Secret::from(key.text()?));
            }
        }
        let holds_keys = !ring.is_empty();
        if let Some(entry) = keys.get("file") {
            if holds_keys {
                return Err(entry.stands_beside("keys.ring"));
            }
            let lines = read_secret_file(&entry, dir, &mut self.findings)?;
            let lines = lines.expose_secret().lines().map(str::trim);
            ring.extend(lines.filter(|line| !line.is_empty()).map(Secret::from));
        }
        Ok(holds_keys)
    }

    fn read_tables(&mut self, top: &Table<'_>) -> Result<(), ProjectError> {
        let table = |key| top.get(key).map(|entry| entry.table()).transpose();
        let settings = &mut self.settings;

        if let Some(login) = table("login")? {
            login.allow(&reference::LOGIN)?;
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
            open_data.allow(&reference::OPEN_DATA)?;
            if let Some(entry) = open_data.get("max_age") {
                settings.open_data_max_age = entry.duration()?;
            }
        }
        if let Some(permissions) = table("permissions")? {
            permissions.allow(&reference::PERMISSIONS)?;
            if let Some(entry) = permissions.get("cache") {
                settings.permissions_cache = entry.duration()?;
            }
        }
        if let Some(cors) = table("cors")? {
            cors.allow(&reference::CORS)?;
            if let Some(entry) = cors.get("origins") {
                for origin in entry.texts()? {
                    settings.cors_origins.push(web_origin(&origin)?);
                }
            }
        }
        if let Some(timers) = table("timers")? {
            settings.timers = TimersSection::read(&timers)?;
        }
        if let Some(sim) = table("sim")? {
            settings.sim = SimSection::read(&sim)?;
        }
        Ok(())
    }
}

impl TimersSection {
    fn read(timers: &Table<'_>) -> Result<Self, ProjectError> {
        timers.allow(&reference::TIMERS)?;
        let mut settings = Self::default();
        if let Some(entry) = timers.get("zone") {
            settings.zone = TimeZone::get(entry.text()?).map_err(|_| {
                entry.refuse(
                    wording!("is no time zone", "不是时区"),
                    wording!(
                        "write a name such as \"Asia/Shanghai\", \"Europe/Berlin\" or \"UTC\"",
                        "请写时区名，例如 \"Asia/Shanghai\"、\"Europe/Berlin\" 或 \"UTC\""
                    ),
                )
            })?;
        }
        if let Some(entry) = timers.get("missed") {
            settings.missed = match entry.text()? {
                "skip" => Missed::Skip,
                "run-once" => Missed::RunOnce,
                _ => return Err(entry.is_neither("skip", "run-once")),
            };
        }
        Ok(settings)
    }
}

impl SimSection {
    fn read(sim: &Table<'_>) -> Result<Self, ProjectError> {
        sim.allow(&reference::SIM)?;
        let boolean = |key| sim.get(key).map(|entry| entry.boolean()).transpose();
        let duration = |key| sim.get(key).map(|entry| entry.duration()).transpose();
        let foreign_codes = sim.get("foreign_codes").map(|entry| match entry.text()? {
            "first-user" => Ok(ForeignCodes::FirstUser),
            "refuse" => Ok(ForeignCodes::Refuse),
            _ => Err(entry.is_neither("first-user", "refuse")),
        });
        let withdrawn = sim.get("withdrawn").map(|entry| match entry.text()? {
            "accept" => Ok(Withdrawn::Accept),
            "refuse" => Ok(Withdrawn::Refuse),
            _ => Err(entry.is_neither("accept", "refuse")),
        });
        let unknown_templates = sim.get("unknown_templates").map(|entry| match entry.text()? {
            "make" => Ok(UnknownTemplates::Make),
            "refuse" => Ok(UnknownTemplates::Refuse),
            _ => Err(entry.is_neither("make", "refuse")),
        });
        let lib_version = sim.get("lib_version").map(|entry| {
            let text = entry.text()?;
            let parts: Vec<&str> = text.split('.').collect();
            if parts.len() == 3 && parts.iter().all(|part| part.parse::<u32>().is_ok()) {
                Ok(text.to_owned())
            } else {
                Err(entry.refuse(
                    wording!("is no base library version", "不是基础库版本"),
                    wording!(
                        "write three numbers, such as \"2.27.0\"",
                        "请写三个数，例如 \"2.27.0\""
                    ),
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
            withdrawn: withdrawn.transpose()?,
            users: simulated::users(sim)?,
            templates: simulated::templates(sim)?,
            subscriptions: simulated::subscriptions(sim)?,
            unknown_templates: unknown_templates.transpose()?,
        })
    }
}

/// An address to listen at. `localhost` is the machine itself, as in most programs; other names may be of several addresses.
fn address(entry: &Entry<'_>, example: &str) -> Result<SocketAddr, ProjectError> {
    let text = entry.text()?;
    let numbered = text
        .strip_prefix("localhost:")
        .map(|port| format!("127.0.0.1:{port}"));
    numbered.as_deref().unwrap_or(text).parse().map_err(|_| {
        entry.refuse(
            wording!("is no address", "不是地址"),
            wording!(
                "write an address and a port, such as \"{example}\"",
                "请写地址和端口，例如 \"{example}\""
            ),
        )
    })
}

/// What speaks against a secret that opens a listener.
fn weakness(secret: &Secret) -> Option<Wording> {
    let secret = secret.expose_secret();
    if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        // Nobody could send it.
        Some(wording!(
            "has characters that an Authorization header cannot carry",
            "含有 Authorization 请求头无法容纳的字符"
        ))
    } else if secret.len() < OPERATOR_SECRET_LENGTH {
        Some(wording!(
            "has fewer than {OPERATOR_SECRET_LENGTH} characters",
            "不足 {OPERATOR_SECRET_LENGTH} 个字符"
        ))
    } else {
        None
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
            wording!("is no web address", "不是网址"),
            wording!(
                "write it with http:// or https://, such as \"{example}\"",
                "请以 http:// 或 https:// 开头，例如 \"{example}\""
            ),
        )),
    }
}

/// A web origin as browsers send it: scheme, host, port, and no path.
fn web_origin(entry: &Entry<'_>) -> Result<String, ProjectError> {
    const EXAMPLE: &str = "https://app.example.com";
    let text = web_address(entry, EXAMPLE)?;
    let host = text.split_once("://").map_or("", |(_, host)| host);
    if host.contains(['/', '?', '#', '@']) || host.chars().any(char::is_whitespace) {
        return Err(entry.refuse(
            wording!(
                "has {text:?}, which no browser sends as an origin",
                "里的 {text:?} 不是浏览器会发送的来源（Origin）"
            ),
            wording!(
                "browsers send scheme, host and port only; write \"{EXAMPLE}\", without a path or a slash at the end",
                "浏览器只发送协议、域名和端口；请写成 \"{EXAMPLE}\"，不带路径，末尾不带 /"
            ),
        ));
    }
    Ok(text.to_lowercase())
}

/// A name as it stands in a `Host` header: a name or address, and the port unless it is the scheme's own.
fn host_header(entry: &Entry<'_>) -> Result<String, ProjectError> {
    let text = entry.text()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    if text.is_empty() || !text.bytes().all(plain) {
        return Err(entry.refuse(
            wording!("has what no Host header holds", "不能作为 Host 请求头"),
            wording!(
                "write the name as callers do, without a scheme or a path, such as \"ops.example.com:8789\"",
                "请按调用方的写法写域名，不带协议和路径，例如 \"ops.example.com:8789\""
            ),
        ));
    }
    Ok(text.to_owned())
}

impl ProjectSettings {
    /// What the server keeps and reads, and shows nobody. `toml` is the file of these settings.
    fn private_paths(&self, toml: &Path) -> Vec<PrivatePath> {
        let database = || wording!("the database", "数据库文件");
        let files = || wording!("the folder of files", "云存储的文件目录");
        let mut paths = vec![(wording!("the settings", "配置文件"), toml.to_owned())];
        if let Some(StoreSetting::File(store)) = &self.store {
            paths.push((wording!("the store", "状态文件"), store.clone()));
            // Where nothing else is said, these are beside it.
            paths.push((database(), store.with_file_name("database.redb")));
            paths.push((files(), store.with_file_name("files")));
        }
        let given = [
            (database(), &self.database.path),
            (files(), &self.storage.folder),
            (Wording::as_is("auth.ticket_keys"), &self.auth.ticket_keys),
            (Wording::as_is("auth.passwords"), &self.auth.passwords),
        ];
        paths.extend(
            given
                .into_iter()
                .filter_map(|(what, path)| Some((what, path.clone()?))),
        );
        let private = paths.into_iter().map(|(what, path)| PrivatePath { what, path });
        private.collect()
    }
}

/// Every file that is named by a key such as `secret_file`, wherever that stands, and those of `[operator.keys]`.
fn secret_files(table: &Table<'_>, dir: &Path, found: &mut Vec<PrivatePath>) {
    for (key, entry) in table.entries() {
        // The variables of a function have names of their own.
        if key.text == "env" {
            continue;
        }
        if let Ok(inner) = entry.table() {
            secret_files(&inner, dir, found);
        } else if key.text.ends_with("_file")
            && let Ok(text) = entry.text()
        {
            found.push(PrivatePath {
                what: Wording::as_is(key.text),
                path: dir.join(text),
            });
        }
    }
    let pairs = table
        .get("operator")
        .and_then(|operator| operator.table().ok()?.get("keys"));
    for (id, file) in pairs
        .iter()
        .filter_map(|pairs| pairs.table().ok())
        .flat_map(|pairs| pairs.entries())
    {
        if let Ok(text) = file.text() {
            found.push(PrivatePath {
                what: Wording::as_is(format_args!("operator.keys.{}", id.text)),
                path: dir.join(text),
            });
        }
    }
    if let Some(Ok(text)) = table
        .get("keys")
        .and_then(|keys| Some(keys.table().ok()?.get("file")?.text()))
    {
        found.push(PrivatePath {
            what: Wording::as_is("keys.file"),
            path: dir.join(text),
        });
    }
}

/// The content of a file that holds a secret, without a byte order mark and blanks around it.
fn read_secret_file(
    entry: &Entry<'_>,
    dir: &Path,
    findings: &mut Vec<Finding>,
) -> Result<Secret, ProjectError> {
    let path = dir.join(entry.text()?);
    let shown = path.display();
    let bytes = match fs::read(&path) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) => {
            return Err(entry.refuse(
                wording!(
                    "names {shown}, which cannot be read: {error}",
                    "所指的 {shown} 无法读取：{error}"
                ),
                wording!("name a file that can be", "请写一个可以读取的文件"),
            ));
        }
    };
    let text = files::text(&bytes).map_err(|fault| {
        let what = &fault.what;
        let what = wording!("names {shown}, and {what}", "所指的 {shown}：{what}"; what);
        entry.refuse(what, fault.mend)
    })?;
    let text = files::one_value(text);
    if text.is_empty() {
        return Err(entry.refuse(
            wording!("names {shown}, which is empty", "所指的 {shown} 是空的"),
            wording!("put the secret into that file", "请把密钥写进这个文件"),
        ));
    }
    findings.extend(readable_by_others(&path));
    Ok(Secret::from(text))
}

/// The mend of a route to a function that is not there.
fn wrong_route() -> Wording {
    wording!(
        "name an existing function, or remove the route",
        "请写已有的云函数，或删掉这条路由"
    )
}

/// The refusal of a file whose secret is too weak.
fn weak_file(entry: &Entry<'_>, weakness: &Wording) -> Result<ProjectError, ProjectError> {
    let name = shell_word(entry.text()?);
    Ok(entry.refuse(
        wording!(
            "names a file whose text {weakness}",
            "所指文件的内容{weakness}"; weakness
        ),
        wording!(
            "make one with `openssl rand -hex 32 > {name}`",
            "请用 `openssl rand -hex 32 > {name}` 生成一个"
        ),
    ))
}

/// What to tell about a file with a secret that its owner is not alone with.
fn readable_by_others(path: &Path) -> Option<Finding> {
    let mode = fs::metadata(path).ok()?.permissions().mode();
    let shown = shell_word(&path.display().to_string());
    (mode & 0o077 != 0).then(|| Finding {
        function: None,
        file: path.to_owned(),
        what: wording!(
            "it holds a secret, and others on this machine can read it",
            "里面有密钥，而本机的其他用户也能读取"
        ),
        mend: wording!("chmod 600 {shown}", "请执行 chmod 600 {shown}"),
    })
}
