//! What `dev`, `exec`, `call` and `serve` have in common: the parts put together.

use std::{
    ffi::OsString,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use calls::{Invocations, TellingObserver};
use clock::Clock;
use console::{Console, Recorder, Simulated};
use gateway::{Admission, ClientPermissions, Gateway, Hosts, Operator, Origins, SignIns, TokenLife};
use project::{ExposeSecret, Project, Secret, Ttl};
use runtime::{Inspect, Runtime};
use rustix::process::Signal;
use seal::{KeyRing, RootKey};
use serde::Serialize;
use simulator::{Notice, Simulator};
use store::Store;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinHandle,
};
use wording::{Wording, wording};

use crate::{
    args,
    backlog::Room,
    calls_file::CallsFile,
    client,
    data::{self, Keeping, Opened},
    front::DatabaseFront,
    journal::{Calls, Journal},
    lang::{self, say, t},
    past::PastCalls,
    paths, print, progress,
    run_file::{self, Running},
    simulated, storage, web_auth,
};

/// The word after the binary's name by which it becomes a worker's supervisor.
pub(crate) const GUARD: &str = "__guard";

/// Bytes of output kept for one call.
const LOG_LIMIT: usize = 256 * 1024;

/// Starts the part that runs functions. What they print is told to `journal`, with the call that prints it, which is found in
/// `invocations`. `public_url` is what the addresses of files begin with, `wechat` where WeChat's server API is; `places` as in
/// [`runtime::RuntimeOptions::places`].
pub(crate) async fn runtime(
    node: &args::Node,
    inspect: Option<Inspect>,
    places: bool,
    invocations: &Arc<Invocations>,
    journal: &Arc<Journal>,
    public_url: &str,
    wechat: &str,
) -> anyhow::Result<Runtime> {
    // A limit on the size of files is then an error of whoever writes too much, and not the end of this process.
    let _ = signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))?;
    let me = std::env::current_exe()
        .with_context(|| say!("the path of this program is not known", "不知道本程序所在的路径"))?;
    let options = runtime::RuntimeOptions {
        node: paths::node()?,
        cache_dir: paths::cache()?,
        guard: vec![me.into_os_string(), OsString::from(GUARD)],
        offline: node.offline,
        spares: 1,
        max_workers: budget().workers,
        inspect,
        places,
        log_limit: LOG_LIMIT,
        key_variables: tcb::KEY_VARIABLES.map(str::to_owned),
        files_at: Some(format!("{}{}", public_url.trim_end_matches('/'), cloud::FILES)),
        wechat_at: (!is_of_wechat(wechat)).then(|| wechat.to_owned()),
    };
    let journal = Arc::clone(journal) as Arc<dyn gateway::Journal>;
    let observer = TellingObserver::new(Arc::clone(invocations), journal, progress::show());
    Ok(Runtime::start(options, Arc::new(observer)).await?)
}

/// Whether WeChat itself is at this address: at one of the hosts of its API, that is.
fn is_of_wechat(base: &str) -> bool {
    let host = base.split("://").nth(1).unwrap_or(base);
    let host = host.split(['/', ':']).next().unwrap_or(host);
    host.to_ascii_lowercase().ends_with(".weixin.qq.com")
}

/// Listens, and says what the mend is when the port is taken.
pub(crate) async fn listen(host: IpAddr, port: u16, flag: &str) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((host, port)).await.with_context(|| {
        say!(
            "{host}:{port} cannot be listened on; another `yunqiao` may have it (choose with {flag}, 0 picks a free one)",
            "无法监听 {host}:{port}；也许被另一个 `yunqiao` 占用（用 {flag} 另选，0 表示任选空闲端口）"
        )
    })?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// How many connections each listener may have at once.
pub(crate) struct Connections {
    /// The public one.
    pub(crate) public: usize,
    /// Sockets that began there.
    pub(crate) sockets: usize,
    /// That of HTTP access and the site.
    pub(crate) web: usize,
    /// The operator's.
    pub(crate) operator: usize,
    /// The database's.
    pub(crate) wire: usize,
}

/// What descriptors and memory allow of workers and connections together.
fn budget() -> process::Budget {
    process::Budget::of(process::raise_descriptors(), process::memory_mb())
}

/// The connections that fit beside the workers.
pub(crate) fn connections() -> Connections {
    let all = budget().connections;
    let few = (all / 16).clamp(4, 256);
    let open = all.saturating_sub(2 * few);
    let web = (open / 4).min(2048);
    let sockets = (open / 4).min(4096);
    Connections {
        public: (open - web - sockets).min(4096),
        sockets,
        web,
        operator: few,
        wire: few,
    }
}

/// An address as it stands in a URL and in a `Host` header.
pub(crate) fn host_name(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// The URL by which this machine reaches what listens at `address`.
pub(crate) fn url(address: SocketAddr) -> String {
    format!("http://{}", reachable(address))
}

/// The URL by which clients reach what listens at `address`: as the project says, else this machine's address in its network where
/// that is open to it, so that a phone can load a picture.
pub(crate) fn public_url(project: &Project, address: SocketAddr) -> String {
    if let Some(said) = &project.settings.storage.public_url {
        return said.clone();
    }
    network_url(address).unwrap_or_else(|| url(address))
}

/// The URL by which others in the network reach what listens at `address`, where they do.
fn network_url(address: SocketAddr) -> Option<String> {
    let ip = network_address(address.ip())?;
    Some(format!("http://{}", SocketAddr::new(ip, address.port())))
}

/// The address by which others reach what listens on this one. Where that is all of this machine's addresses, the system is asked from
/// which it would send something; nothing is sent.
fn network_address(listened: IpAddr) -> Option<IpAddr> {
    // Addresses that are kept for documents.
    let (from, to) = match listened {
        IpAddr::V4(ip) if ip.is_unspecified() => ("0.0.0.0:0", "192.0.2.1:9"),
        IpAddr::V6(ip) if ip.is_unspecified() => ("[::]:0", "[2001:db8::1]:9"),
        ip if ip.is_loopback() => return None,
        ip => return Some(ip),
    };
    let socket = std::net::UdpSocket::bind(from).ok()?;
    socket.connect(to).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified() && !ip.is_loopback()).then_some(ip)
}

/// The address by which this machine reaches what listens at `address`.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Where a project and its simulated WeChat are to be reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) host: IpAddr,
    pub(crate) port: u16,
    pub(crate) wechat_port: u16,
    pub(crate) operator_port: u16,
    pub(crate) web_port: WebPort,
    /// Where MongoDB's clients reach the database.
    pub(crate) wire: Option<SocketAddr>,
}

/// The port of HTTP access and of the site.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WebPort {
    /// This one; 0 is a free one.
    Of(u16),
    /// This one, or a free one where it is taken: nobody has asked for it.
    Usually(u16),
}

impl WebPort {
    /// The port that the project says, or is asked for, or the usual one.
    pub(crate) fn of(wanted: Option<u16>, gateway: u16, project: &Project) -> Self {
        let web = &project.settings.web;
        match (wanted, web.listen) {
            (Some(port), _) => Self::Of(port),
            (None, _) if gateway == 0 => Self::Of(0),
            (None, Some(listen)) => Self::Of(listen.port()),
            (None, None) if web.serves() => Self::Of(WEB),
            (None, None) => Self::Usually(WEB),
        }
    }

    async fn listen(self, host: IpAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
        match self {
            Self::Of(port) => listen(host, port, "--web-port").await,
            Self::Usually(port) => match listen(host, port, "--web-port").await {
                Err(_) => listen(host, 0, "--web-port").await,
                listening => listening,
            },
        }
    }
}

/// The usual port of HTTP access and of the site.
pub(crate) const WEB: u16 = 8786;

impl Place {
    /// Free ports that only this machine reaches.
    pub(crate) const FREE: Self = Self {
        host: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: 0,
        wechat_port: 0,
        operator_port: 0,
        web_port: WebPort::Of(0),
        wire: None,
    };
}

/// Who sees what happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visibility {
    /// What the terminal shows.
    pub(crate) calls: Calls,
    /// Whether it shows every request to the web listener, or those that ended by a fault of ours.
    pub(crate) requests: bool,
    /// Whether there is a console that shows the rest.
    pub(crate) console: bool,
    /// Whether `yunqiao logs` can show it.
    pub(crate) file: bool,
}

impl Visibility {
    /// What the gateway tells, and what the console shows of it.
    ///
    /// # Errors
    /// When there can be no thread that writes the file.
    pub(crate) fn journal(self, root: &Path) -> anyhow::Result<(Arc<Journal>, Option<Arc<Recorder>>)> {
        let recorder = self.console.then(|| Arc::new(Recorder::default()));
        let file = self
            .file
            .then(|| CallsFile::start(root, Room::USUAL))
            .transpose()?;
        let journal = Journal::new(self.calls, self.requests, recorder.clone(), file);
        Ok((Arc::new(journal), recorder))
    }

    /// What the console shows of the calls before.
    fn past(self, root: &Path) -> Option<Box<dyn console::PastCalls>> {
        self.file
            .then(|| Box::new(PastCalls::new(root)) as Box<dyn console::PastCalls>)
    }

    /// What a browser has that was let in: good for the next run too, where a console is looked at.
    fn sign_ins(self, root: &Path) -> anyhow::Result<SignIns> {
        let keys = match self.console {
            true => run_file::sign_in_keys(root)?,
            false => KeyRing::generate(),
        };
        Ok(SignIns::new(&keys))
    }
}

/// The console, as the operator's listener takes it.
pub(crate) fn pages(console: Option<&Console>) -> Option<Arc<dyn gateway::Pages>> {
    console.map(|console| Arc::new(console.clone()) as Arc<dyn gateway::Pages>)
}

/// A project that is served with a simulated WeChat behind it, both in this process.
pub(crate) struct Local {
    /// The gateway's address.
    pub(crate) url: String,
    /// The simulated WeChat's.
    pub(crate) wechat: String,
    /// That of HTTP access and of the site.
    pub(crate) web: String,
    /// The URLs by which others in the network reach the gateway, the web and the simulated WeChat, where they do.
    pub(crate) network: Option<[String; 3]>,
    /// The operator's listener's, which only this machine reaches.
    pub(crate) operator: String,
    /// What is to be shown there: the configured secret, else one made for this run.
    pub(crate) operator_secret: Secret,
    /// What opens the doors there that hand out no tokens.
    pass: Secret,
    /// What MongoDB's clients reach, if there is one.
    pub(crate) database: Option<DatabaseFront>,
    /// What opens the console in a browser, once.
    pub(crate) once: Secret,
    /// The console, if there is one.
    pub(crate) console: Option<Console>,
    /// The functions that can run.
    pub(crate) functions: Vec<String>,
    pub(crate) gateway: Gateway,
    pub(crate) simulator: Simulator,
    pub(crate) runtime: Runtime,
    pub(crate) kept: Kept,
    journal: Arc<Journal>,
    stop: watch::Sender<()>,
    serving: JoinHandle<()>,
    serving_web: JoinHandle<()>,
    operating: JoinHandle<()>,
    timers: Option<JoinHandle<()>>,
}

/// What of a project is there after this run.
#[derive(Serialize)]
pub(crate) struct Kept {
    documents: bool,
    files: bool,
    /// Of the simulated WeChat: users, templates, subscriptions and the outbox.
    wechat: bool,
}

impl Local {
    /// Puts it together and serves it. WeChat's time is one for both sides.
    pub(crate) async fn start(
        project: &Project,
        place: Place,
        foreign: project::ForeignCodes,
        node: &args::Node,
        inspect: Option<Inspect>,
        seen: Visibility,
        keeping: Keeping,
    ) -> anyhow::Result<Self> {
        let (gateway_listener, address) = listen(place.host, place.port, "--port").await?;
        let (web_listener, web_address) = place.web_port.listen(place.host).await?;
        let (wechat_listener, wechat_address) =
            listen(place.host, place.wechat_port, "--wechat-port").await?;
        // Whatever else is opened to the network: what is behind this one is the owner's alone.
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let (operator_listener, operator_address) =
            listen(loopback, place.operator_port, "--operator-port").await?;
        let wechat = url(wechat_address);
        let clock = Clock::system();
        let mut settings = simulator_settings(project, foreign);
        settings.allowed_hosts.push(host_name(place.host));
        settings.push.url = Some(format!("{}/v1/push", url(address)));
        let push = push_settings(project, &settings);
        let (appid, secret) = (settings.appid.clone(), Secret::from(settings.secret.expose()));
        let (journal, recorder) = seen.journal(&project.root)?;
        let (told, telling) = (Arc::clone(&journal), Arc::clone(&journal));
        let tell = move |notice: Notice| told.tell(notice.wording());
        let simulated = simulated::open(project, keeping, settings, clock.clone(), tell).await?;
        let simulator = simulated.access;
        let (stop, stopped) = watch::channel(());
        tokio::spawn(simulator.clone().serve(wechat_listener, closed(stopped.clone())));

        let invocations = Arc::default();
        let public_url = public_url(project, address);
        let runtime = runtime(node, inspect, true, &invocations, &journal, &public_url, &wechat).await?;
        let app_secret = secret.clone();
        let database = data::open(project, keeping).await?;
        let documents = Arc::clone(&database.access.database);
        let front = place
            .wire
            .map(|wire| DatabaseFront::open(project, wire, Arc::clone(&documents)))
            .transpose()?;
        let opened = gateway(Parts {
            project,
            appid,
            wechat: wechat.clone(),
            secret,
            push: Some(push),
            local_pages: true,
            simulated: true,
            // What somebody looks at while it is made.
            live_pages: seen.console,
            hosts: Hosts::Known(project.settings.operator.hosts.clone()),
            clock,
            store: Arc::new(store::Memory::new()),
            database: database.access,
            keeping,
            public_url,
            runtime: runtime.clone(),
            invocations,
            journal,
        })
        .await?;
        let gateway = opened.access;
        let kept = Kept {
            documents: database.lasts,
            files: opened.lasts,
            wechat: simulated.lasts,
        };
        let console = match recorder {
            Some(recorder) => {
                let simulated = Simulated::new(wechat.clone(), client::client()?);
                Some(Console::new(
                    gateway.clone(),
                    recorder,
                    seen.past(&project.root),
                    documents,
                    Some(simulated),
                ))
            }
            None => None,
        };
        let functions = match load(&gateway, project, console.as_ref()).await {
            // Whoever looks at it mends it meanwhile, and has data, files and the simulated WeChat at hand.
            Err(error) if seen.console => {
                let mend = t(
                    "the rest is served; what is mended is loaded when it is saved",
                    "其余照常提供；改好保存后会自动加载",
                );
                print::warning(lang::error(&error), mend);
                Vec::new()
            }
            loaded => loaded?,
        };
        let operator_secret = match &project.settings.operator.secret {
            Some(secret) => secret.clone(),
            None => one_time_secret()?,
        };
        let (once, pass) = (one_time_secret()?, one_time_secret()?);
        let operator = Operator {
            admission: Admission {
                secret: Some(operator_secret.clone()),
                pass: Some(pass.clone()),
                address: operator_address,
                hosts: project.settings.operator.hosts.clone(),
                once: console.is_some().then(|| once.clone()),
                sign_ins: seen.sign_ins(&project.root)?,
            },
            app_secret,
            server_keys: web_auth::server_keys(&project.settings.operator),
            pages: pages(console.as_ref()),
            connections: connections().operator,
        };
        let operating = gateway.clone();
        let operating = operating.serve_operator(operator_listener, operator, closed(stopped.clone()));
        let operating = tokio::spawn(operating);
        let serving_web = tokio::spawn(gateway.clone().serve_web(web_listener, closed(stopped.clone())));
        let serving = tokio::spawn(gateway.clone().serve(gateway_listener, closed(stopped)));
        Ok(Self {
            url: url(address),
            wechat,
            web: url(web_address),
            network: network_url(address)
                .zip(network_url(web_address))
                .zip(network_url(wechat_address))
                .map(|((gateway, web), wechat)| [gateway, web, wechat]),
            operator: url(operator_address),
            operator_secret,
            pass,
            database: front,
            once,
            console,
            functions,
            gateway,
            simulator,
            runtime,
            kept,
            journal: telling,
            stop,
            serving,
            serving_web,
            operating,
            timers: None,
        })
    }

    /// The project on free ports, telling of calls what is worth reading after a test; with `wire`, MongoDB's clients reach the
    /// database where `[database] wire` says, on a free port too.
    pub(crate) async fn headless(project: &Project, node: &args::Node, wire: bool) -> anyhow::Result<Self> {
        let mut place = Place::FREE;
        if wire {
            let set = project.settings.database.wire;
            place.wire = set.map(|wire| SocketAddr::new(wire.ip(), 0));
        }
        let seen = Visibility {
            calls: Calls::Telling,
            requests: false,
            console: false,
            file: false,
        };
        let foreign = project::ForeignCodes::Refuse;
        Self::start(project, place, foreign, node, None, seen, Keeping::InMemory).await
    }

    /// Where it is to be found.
    pub(crate) fn running(&self) -> Running {
        Running {
            url: self.url.clone(),
            wechat: self.wechat.clone(),
            web: self.web.clone(),
            operator: self.operator.clone(),
            database: self.database.as_ref().map(DatabaseFront::url),
            pass: self.pass.expose_secret().to_owned(),
            pid: std::process::id(),
            is_fresh: false,
        }
    }

    /// Fires the functions' timers from now on.
    pub(crate) fn fire_timers(&mut self) {
        let firing = self.gateway.clone().fire_timers(closed(self.stop.subscribe()));
        self.timers = Some(tokio::spawn(firing));
    }

    /// Takes no more calls, lets running ones end, and leaves nothing running.
    pub(crate) async fn stop(self) {
        drop((self.stop, self.database));
        let _ = self.serving.await;
        let _ = self.serving_web.await;
        let _ = self.operating.await;
        if let Some(timers) = self.timers {
            let _ = timers.await;
        }
        self.runtime.shutdown().await;
        self.journal.end();
    }
}

/// A secret for the time that this process runs.
fn one_time_secret() -> anyhow::Result<Secret> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .with_context(|| say!("no randomness for a secret", "取不到随机数，无法生成密钥"))?;
    Ok(Secret::from(format!("{:032x}", u128::from_ne_bytes(bytes))))
}

/// Resolves when the sender is gone.
pub(crate) async fn closed(mut channel: watch::Receiver<()>) {
    while channel.changed().await.is_ok() {}
}

/// What the simulated WeChat of a project is like.
pub(crate) fn simulator_settings(
    project: &Project,
    foreign: project::ForeignCodes,
) -> simulator::SimulatorSettings {
    let mut settings = simulator::SimulatorSettings::default();
    let sim = &project.settings.sim;
    if let Some(appid) = project.appid.as_deref().filter(|appid| appid.starts_with("wx")) {
        settings.appid = appid.to_owned();
    }
    settings.foreign_codes = match sim.foreign_codes.unwrap_or(foreign) {
        project::ForeignCodes::FirstUser => simulator::ForeignCodes::FirstUser,
        project::ForeignCodes::Refuse => simulator::ForeignCodes::Refuse,
    };
    if let Some(opened) = sim.cloud_opened {
        settings.cloud_opened = opened;
    }
    if let Some(version) = &sim.lib_version {
        settings.lib_version = version.clone();
    }
    if let Some(strict) = sim.strict {
        settings.strict = strict;
    }
    if let Some(rotation) = sim.session_rotation {
        settings.session_rotation = rotation;
    }
    if let Some(idle) = sim.session_idle {
        settings.session_idle = idle;
    }
    if let Some(withdrawn) = sim.withdrawn {
        settings.withdrawn = match withdrawn {
            project::Withdrawn::Accept => simulator::Withdrawn::Accept,
            project::Withdrawn::Refuse => simulator::Withdrawn::Refuse,
        };
    }
    // Who takes codes of elsewhere for good takes templates of elsewhere for good.
    let unknown = match foreign {
        project::ForeignCodes::FirstUser => project::UnknownTemplates::Make,
        project::ForeignCodes::Refuse => project::UnknownTemplates::Refuse,
    };
    settings.unknown_templates = match sim.unknown_templates.unwrap_or(unknown) {
        project::UnknownTemplates::Make => simulator::UnknownTemplates::Make,
        project::UnknownTemplates::Refuse => simulator::UnknownTemplates::Refuse,
    };
    if let Some(console) = &project.settings.push.console {
        settings.push.token = console.token.clone();
        settings.push.mode = console.mode;
        settings.push.format = console.format;
        if let Some(key) = console.keys.first() {
            settings.push.aes_key = key.clone();
        }
    }
    let others = project.settings.apps.iter();
    settings.other_apps = others
        .map(|(appid, secret)| (appid.clone(), secret.expose_secret().to_owned().into()))
        .collect();
    settings
}

/// How a gateway knows the pushes of a simulated WeChat: as the project's console says, else as the simulator does.
fn push_settings(project: &Project, simulated: &simulator::SimulatorSettings) -> push::ConsoleSettings {
    match &project.settings.push.console {
        Some(console) => console.settings(&simulated.appid),
        None => {
            let simulator::PushSettings {
                token,
                aes_key,
                mode,
                format,
                ..
            } = simulated.push.clone();
            push::ConsoleSettings::new(&simulated.appid, token, mode, format, vec![aes_key])
        }
    }
}

/// What a gateway is made of, where its project does not say it.
pub(crate) struct Parts<'a> {
    pub(crate) project: &'a Project,
    pub(crate) appid: String,
    pub(crate) wechat: String,
    pub(crate) secret: Secret,
    /// How WeChat's pushes are known; without it none is received.
    pub(crate) push: Option<push::ConsoleSettings>,
    pub(crate) local_pages: bool,
    /// Whether it is a simulated WeChat's: then strangers may log in as nobody in particular, where the project does not say.
    pub(crate) simulated: bool,
    /// Whether the site's pages show themselves anew.
    pub(crate) live_pages: bool,
    pub(crate) hosts: Hosts,
    pub(crate) clock: Clock,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) database: cloud::DatabaseAccess,
    /// Where files are kept.
    pub(crate) keeping: Keeping,
    /// How clients reach the gateway.
    pub(crate) public_url: String,
    pub(crate) runtime: Runtime,
    pub(crate) invocations: Arc<Invocations>,
    pub(crate) journal: Arc<dyn gateway::Journal>,
}

/// How long a request to WeChat may take.
const WECHAT_TIMEOUT: Duration = Duration::from_secs(5);

/// A gateway without functions yet, and whether its files last.
pub(crate) async fn gateway(parts: Parts<'_>) -> anyhow::Result<Opened<Gateway>> {
    let settings = &parts.project.settings;
    let client = |appid: &str, secret: &Secret| {
        wechat::WeChatClient::new(wechat::WeChatConfig {
            base_url: parts.wechat.clone(),
            appid: appid.to_owned(),
            secret: secret.clone(),
            tokens: Arc::new(gateway::StoredTokens::new(Arc::clone(&parts.store))),
            clock: parts.clock.clone(),
            timeout: WECHAT_TIMEOUT,
        })
    };
    let wechat = client(&parts.appid, &parts.secret)?;
    let apps = settings
        .apps
        .iter()
        .map(|(appid, secret)| Ok((appid.clone(), client(appid, secret)?)))
        .collect::<Result<_, wechat::ConfigError>>()?;
    let keys = key_ring(settings, &*parts.store).await?;
    let Opened {
        access: storage,
        lasts,
    } = storage::open(
        parts.project,
        &parts.appid,
        &keys,
        &parts.clock,
        &parts.public_url,
        parts.keeping,
    )
    .await?;
    let gateway = Gateway::new(gateway::GatewayConfig {
        appid: parts.appid,
        env_id: parts.project.env_id.clone(),
        keys,
        storage,
        permissions: ClientPermissions::of(settings),
        token_life: match settings.login.ttl {
            Ttl::For(life) => TokenLife::For(life),
            Ttl::Session => TokenLife::Session,
        },
        web_auth: web_auth::of(parts.project, parts.simulated)?,
        open_data_max_age: settings.open_data_max_age,
        origins: Origins {
            listed: settings.cors_origins.clone(),
            local: parts.local_pages,
        },
        hosts: parts.hosts,
        live_pages: parts.live_pages,
        connections: connections().public,
        sockets: connections().sockets,
        watch_memory: usize::try_from(settings.database.watch_memory).unwrap_or(usize::MAX),
        web_connections: connections().web,
        clock: parts.clock,
        store: parts.store,
        database: parts.database,
        wechat,
        apps,
        permissions_cache: settings.permissions_cache,
        push: receiver(parts.push)?,
        runtime: parts.runtime,
        invocations: parts.invocations,
        journal: parts.journal,
    });
    gateway.recall_logouts().await.with_context(|| {
        say!(
            "who has logged out could not be read from the store",
            "无法从状态文件读取已退出登录的会话"
        )
    })?;
    Ok(Opened {
        access: gateway,
        lasts,
    })
}

/// The configured ring, else the one that the store made at its first start and keeps.
pub(crate) async fn key_ring(
    settings: &project::ProjectSettings,
    store: &dyn Store,
) -> anyhow::Result<KeyRing> {
    match configured_keys(settings)? {
        Some(ring) => Ok(ring),
        None => store.key_ring().await.with_context(|| {
            say!(
                "the key ring could not be read from the store",
                "无法从状态文件读取密钥环"
            )
        }),
    }
}

/// The ring of `[keys]`, where there is one.
pub(crate) fn configured_keys(settings: &project::ProjectSettings) -> anyhow::Result<Option<KeyRing>> {
    if settings.keys.is_empty() {
        return Ok(None);
    }
    let keys = settings
        .keys
        .iter()
        .map(|key| RootKey::from_base64(key.expose_secret()));
    let keys = keys.collect::<Result<Vec<_>, _>>().with_context(|| {
        say!(
            "[keys]: a root key is 32 bytes in base64",
            "[keys]：根密钥是 base64 编码的 32 字节"
        )
    })?;
    Ok(Some(KeyRing::new(keys)?))
}

/// What takes pushes in, where the console's push settings are known.
pub(crate) fn receiver(settings: Option<push::ConsoleSettings>) -> anyhow::Result<Option<push::Receiver>> {
    settings.map(push::Receiver::new).transpose().context("[push]")
}

/// That functions cannot run, and why.
pub(crate) fn cannot_run(names: &str, problem: &Wording) -> Wording {
    wording!("{names} cannot run: {problem}", "{names} 无法运行：{problem}"; problem)
}

/// Loads the project's functions, says which cannot run or be parsed, and gives the others. `Err` when none can run.
pub(crate) async fn load(
    gateway: &Gateway,
    project: &Project,
    console: Option<&Console>,
) -> anyhow::Result<Vec<String>> {
    let reports = gateway.load(project).await;
    let mut good = Vec::new();
    let mut broken = 0;
    // Functions that share their dependencies share what is wrong with them.
    let mut problems = Vec::<(&Wording, Vec<&str>)>::new();
    for report in &reports {
        match &report.problem {
            None if report.faults.is_empty() => good.push(report.name.to_string()),
            None => {}
            Some(problem) => {
                broken += 1;
                // What has not changed since was told then.
                if report.changed {
                    match problems.iter_mut().find(|(told, _)| *told == problem) {
                        Some((_, names)) => names.push(report.name.as_str()),
                        None => problems.push((problem, vec![report.name.as_str()])),
                    }
                }
            }
        }
    }
    for (problem, names) in problems {
        print::warning(lang::of(&cannot_run(&names.join(", "), problem)), "");
    }
    for report in &reports {
        for fault in &report.faults {
            print::warning(
                format_args!("{}: {}", report.name, lang::of(&fault.wording())),
                "",
            );
        }
    }
    let all = reports.len();
    if let Some(console) = console {
        console.show(project.clone(), reports);
    }
    if broken == all && all > 0 {
        bail!(say!(
            "none of the {all} functions can run",
            "{all} 个云函数都无法运行"
        ));
    }
    Ok(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_open_to_the_network_has_an_address_in_it() {
        assert_eq!(network_address(IpAddr::V4(Ipv4Addr::LOCALHOST)), None);
        // A machine without a network has none.
        if let Some(ip) = network_address(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) {
            assert!(ip.is_ipv4() && !ip.is_loopback() && !ip.is_unspecified(), "{ip}");
        }
    }
}
