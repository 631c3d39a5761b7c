//! The server that a Mini Program talks to: login, call, open data, documents, files; and that WeChat talks to: message push.
//!
//! A request walks through here in the order of the modules: [`serve`](Gateway::serve) accepts it and bounds
//! it, `routes` picks the door, `bearer` says who is calling, `call` takes the client's bytes apart without building a tree,
//! and the `calls` crate calls the function. What functions ask in turn is the `cloud` crate's business. What WeChat's rules say stands in the pure
//! crates; this one is the plumbing between them. Whatever went wrong is told to the
//! client as a code that programs test for, and to the operator, through [`Journal`], with its cause.

mod bearer;
mod body;
mod call;
mod cloudbase;
mod cors;
mod documents;
mod failure;
mod files;
mod guesses;
mod heads;
mod hosts;
mod http_api;
mod listen;
mod login;
mod open_data;
mod operator;
mod permissions;
mod push;
mod readiness;
mod reply;
mod routes;
mod seats;
mod site;
mod sockets;
mod stored;
mod timers;
mod web;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use calls::{Calls, Invocations, ids};
use clock::Clock;
use cloud::Cloud;
use opendata::Tickets;
use rules::FunctionRules;
use runtime::Runtime;
use seal::KeyRing;
use store::Store;
use tokio::net::TcpListener;

pub use calls::{
    CallRecord, CloudCall, DatabaseCall, Exchange, Journal, Note, PrintedLine, RedeemedFields, Silent,
    UNANSWERED, WantedIndex, WebRecord,
};
pub use cloudbase::{WebAuth, WebLogin};
pub use cors::Origins;
pub use hosts::Hosts;
pub use login::TokenLife;
pub use operator::{Admission, Operator, Pages, SignIns};
pub use permissions::ClientPermissions;
pub use reply::{BodyError, ReplyBody};
pub use stored::StoredTokens;
pub use watchers::LiveWatch;

/// What a gateway is made of.
pub struct GatewayConfig {
    /// The Mini Program that this gateway serves.
    pub appid: String,
    /// The environment id that functions see as `ENV`.
    pub env_id: String,
    /// Seals bearer tokens and tickets; every node of one service has the same.
    pub keys: KeyRing,
    /// How long a bearer token lives.
    pub token_life: TokenLife,
    /// Who may log in by CloudBase's own SDKs.
    pub web_auth: WebAuth,
    /// The oldest watermark that `POST /v1/open-data` accepts.
    pub open_data_max_age: Duration,
    /// Which web pages may call.
    pub origins: Origins,
    /// Under which names the public listener is known.
    pub hosts: Hosts,
    /// Whether the site's documents show themselves anew when its files [have changed](Gateway::site_changed).
    pub live_pages: bool,
    /// How many connections the public listener has at once.
    pub connections: usize,
    /// How many sockets of realtime there are, beside those.
    pub sockets: usize,
    /// Bytes that all watches may have in memory together.
    pub watch_memory: usize,
    /// How many the web listener has.
    pub web_connections: usize,
    /// Decides WeChat's expiries, and nothing else.
    pub clock: Clock,
    /// Sessions live here.
    pub store: Arc<dyn Store>,
    /// WeChat, or the simulator: only the base URL differs.
    pub wechat: wechat::WeChatClient,
    /// Other accounts of the same owner, by appid: for `cloud.openapi({appid})`, and for users of an Official Account who log in.
    pub apps: BTreeMap<String, wechat::WeChatClient>,
    /// How long a function's permissions are kept before a change of them counts.
    pub permissions_cache: Duration,
    /// What clients may do at first.
    pub permissions: ClientPermissions,
    /// Where functions' documents are kept.
    pub database: cloud::DatabaseAccess,
    /// Where their files are kept.
    pub storage: cloud::StorageAccess,
    /// Knows WeChat's message pushes; without it there is no `/v1/push`. Which function gets which, the project says that is
    /// [loaded](Gateway::load).
    pub push: Option<::push::Receiver>,
    /// Runs the functions.
    pub runtime: Runtime,
    /// Where running calls are entered: whoever observes the runtime finds them there.
    pub invocations: Arc<Invocations>,
    /// Is told of every call and of what an operator should know.
    pub journal: Arc<dyn Journal>,
}

/// The server. Clones share everything.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    appid: String,
    env_id: String,
    keys: KeyRing,
    bearers: bearer::Bearers,
    web_clients: cloudbase::WebClients,
    tickets: Tickets,
    policy: opendata::Policy,
    origins: Origins,
    hosts: Hosts,
    connections: usize,
    sockets: sockets::Sockets,
    web_connections: usize,
    web: web::Web,
    clock: Clock,
    store: Arc<dyn Store>,
    wechat: wechat::WeChatClient,
    apps: BTreeMap<String, wechat::WeChatClient>,
    database: cloud::DatabaseAccess,
    /// Who may call which function as a client.
    function_rules: ArcSwap<FunctionRules>,
    push: Option<push::Pushes>,
    runtime: Runtime,
    calls: Calls,
    cloud: Cloud,
    journal: Arc<dyn Journal>,
    timers: timers::Plans,
    sessions: login::Sessions,
    budget: body::Budget,
    readiness: readiness::Readiness,
}

impl Inner {
    /// Whether those may call a function who have not logged in.
    fn lets_everybody_call(&self, name: &str) -> bool {
        self.web_clients.lets_strangers_in() && self.function_rules.load().lets_all_call(name)
    }
}

impl Gateway {
    /// Puts the parts together; nothing is listened on yet, and no function is known before [`load`](Self::load). What
    /// functions ask of the cloud is served from here on. Must be called inside a Tokio runtime.
    #[must_use]
    pub fn new(config: GatewayConfig) -> Self {
        let mut policy = opendata::Policy::new(&config.appid);
        policy.max_age = config.open_data_max_age;
        let calls = Calls::new(
            config.appid.clone(),
            config.runtime.clone(),
            Arc::clone(&config.invocations),
            Arc::clone(&config.journal),
        );
        let tickets = Tickets::new(&config.keys, &config.appid);
        let cloud = Cloud::new(cloud::CloudConfig {
            calls: calls.clone(),
            tickets: tickets.clone(),
            clock: config.clock.clone(),
            wechat: config.wechat.clone(),
            apps: config.apps.clone(),
            permissions_cache: config.permissions_cache,
            session_keys: Arc::new(stored::StoredKeys(Arc::clone(&config.store))),
            database: config.database.clone(),
            storage: config.storage.clone(),
        });
        let sockets = sockets::Sockets::new(&config, &cloud);
        if let Some(connections) = config.runtime.connections() {
            cloud.serve(connections);
        }
        let push = config
            .push
            .map(|receiver| push::Pushes::new(receiver, &config.store, &calls));
        let inner = Arc::new(Inner {
            sockets,
            bearers: bearer::Bearers::new(&config.keys, &config.appid),
            web_clients: cloudbase::WebClients::new(
                config.web_auth,
                &config.keys,
                &config.appid,
                &config.env_id,
            ),
            tickets,
            sessions: login::Sessions::new(config.token_life),
            keys: config.keys,
            env_id: config.env_id,
            policy,
            origins: config.origins,
            hosts: config.hosts,
            connections: config.connections,
            web_connections: config.web_connections,
            web: web::Web::new(config.live_pages),
            clock: config.clock,
            store: config.store,
            wechat: config.wechat,
            apps: config.apps,
            database: config.database,
            function_rules: ArcSwap::default(),
            push,
            calls,
            cloud,
            runtime: config.runtime,
            journal: config.journal,
            appid: config.appid,
            timers: timers::Plans::default(),
            budget: body::Budget::default(),
            readiness: readiness::Readiness::default(),
        });
        let gateway = Self(inner);
        gateway.permit(&config.permissions);
        gateway
    }

    /// Learns from the store who has logged out lately, so that no access token counts again that a logout had ended. To be called before
    /// anything is listened on.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn recall_logouts(&self) -> Result<(), store::StoreError> {
        let Inner {
            web_clients,
            store,
            clock,
            ..
        } = &*self.0;
        web_clients.recall(&**store, clock.now()).await
    }

    /// The Mini Program's appid.
    #[must_use]
    pub fn appid(&self) -> &str {
        &self.0.appid
    }

    /// Where documents are kept, and what clients may do with them.
    #[must_use]
    pub fn database(&self) -> &cloud::DatabaseAccess {
        &self.0.database
    }

    /// Collections with documents of which a client found nothing, because nobody has said who may read them.
    #[must_use]
    pub fn kept_back(&self) -> Vec<String> {
        self.0.cloud.kept_back()
    }

    /// Where functions' files are kept.
    #[must_use]
    pub fn storage(&self) -> &cloud::StorageAccess {
        self.0.cloud.files().access()
    }

    /// Takes the project's functions in place of those known so far: installs what they need, and replaces
    /// their workers where they changed. Calls under way finish as they began.
    pub async fn load(&self, project: &project::Project) -> Vec<runtime::LoadReport> {
        let sites = site::of_project(&self.0, project);
        let loaded = site::loaded(project, &sites);
        let known = self.0.calls.sites();
        // Before the first load there is nothing to serve. Later, a call of a function that is new waits in the runtime for the
        // load, and must find the function behind that.
        let later = match known.ready() {
            true => {
                known.put(sites);
                None
            }
            false => Some(sites),
        };
        let reports = self.0.runtime.load(loaded).await;
        self.0.readiness.loaded(&reports);
        if let Some(sites) = later {
            known.put(sites);
        }
        self.0.timers.put(project);
        self.0.web.put(&project.settings.web);
        if let Some(pushes) = &self.0.push {
            pushes.mailbox.route(project.settings.push.routes.clone());
            pushes.mailbox.start();
        }
        reports
    }

    /// Serves connections of `listener` until `stop` resolves, then lets running calls end.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) {
        let serving = self.clone();
        let connections = self.0.connections;
        let stopping = async {
            stop.await;
            self.0.sockets.close().await;
        };
        let largest_head = heads::LARGEST_READ;
        listen::serve(
            listener,
            connections,
            largest_head,
            stopping,
            move |request, peer| {
                let gateway = serving.clone();
                async move { gateway.answer(request, peer.ip()).await }
            },
        )
        .await;
        if let Some(pushes) = &self.0.push {
            pushes.mailbox.close().await;
        }
    }

    /// Serves HTTP access and the site at `listener` until `stop` resolves, then lets running calls end.
    pub async fn serve_web(self, listener: TcpListener, stop: impl Future<Output = ()>) {
        let connections = self.0.web_connections;
        if let Ok(address) = listener.local_addr() {
            // Whoever listens twice is found at the first place.
            let _ = self.0.web.address.set(address);
        }
        let largest_head = heads::LARGEST_HEAD;
        listen::serve(listener, connections, largest_head, stop, move |request, peer| {
            let gateway = self.clone();
            async move { gateway.answer_web(request, peer.ip()).await }
        })
        .await;
    }

    /// Where HTTP access and the site are served, if they are.
    #[must_use]
    pub fn web_address(&self) -> Option<std::net::SocketAddr> {
        self.0.web.address.get().copied()
    }

    /// What clients watch at this moment: how many watches there are, and `most` of them.
    #[must_use]
    pub fn live_watches(&self, most: usize) -> (usize, Vec<LiveWatch>) {
        self.0.sockets.watchers.live(most)
    }

    /// Who has logged in by CloudBase's SDKs since the server started, the last first; of many the last ones.
    #[must_use]
    pub fn web_logins(&self) -> Vec<WebLogin> {
        self.0.web_clients.logins()
    }

    /// The ways to log in by those SDKs beside WeChat's, by the keys of `[auth]`, and whether each is open.
    #[must_use]
    pub fn ways_to_log_in(&self) -> [(&'static str, bool); 3] {
        self.0.web_clients.ways()
    }

    /// Is told of watches that begin and end.
    #[must_use]
    pub fn look_at_watches(&self) -> tokio::sync::watch::Receiver<()> {
        self.0.sockets.watchers.look_on()
    }

    /// Has browsers show the site's pages anew, where they are told of changes.
    pub fn site_changed(&self) {
        self.0.web.changed();
    }

    /// Calls a function as a client does who is logged in as `user`, and answers as the client would be answered: the HTTP
    /// status and the body. `body` is that of `POST /v1/functions/{name}`. For the console, which shows what clients see.
    pub async fn call(
        &self,
        name: &str,
        openid: &str,
        unionid: Option<&str>,
        body: bytes::Bytes,
    ) -> (http::StatusCode, bytes::Bytes) {
        let inner = &self.0;
        let request_id = ids::request_id();
        let bearer = bearer::Bearer {
            openid: openid.to_owned(),
            unionid: unionid.map(str::to_owned),
            expires_at: inner.clock.now(),
            has_session: false,
        };
        let body = body::Whole {
            bytes: body,
            permit: None,
        };
        let here = std::net::Ipv4Addr::LOCALHOST.into();
        let answer = call::call(inner, name, &bearer, here, &request_id, body).await;
        reply::settle_json(&*inner.journal, &request_id, answer)
    }

    /// Calls a function as its timer of this name does, or its only one where none is named: the HTTP status and the body, as the
    /// operator's listener answers. For the console.
    pub async fn fire_timer(&self, name: &str, trigger: Option<&str>) -> (http::StatusCode, bytes::Bytes) {
        let request_id = ids::request_id();
        let answer = timers::fire_now(&self.0, name, trigger, &request_id).await;
        reply::settle_json(&*self.0.journal, &request_id, answer)
    }

    /// Answers what the operator asks of message push, at `/operator/push` or below, a query with it: the HTTP status and the
    /// body. For the console, which shows it.
    pub async fn operate_push(
        &self,
        method: &http::Method,
        target: &str,
    ) -> (http::StatusCode, bytes::Bytes) {
        let request_id = ids::request_id();
        let inner = &self.0;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let answer = push::answer_operator(inner, method, path, query).await;
        reply::settle_json(&*inner.journal, &request_id, answer)
    }

    /// Serves the operator's listener until `stop` resolves.
    pub async fn serve_operator(
        self,
        listener: TcpListener,
        operator: Operator,
        stop: impl Future<Output = ()>,
    ) {
        let connections = operator.connections;
        let doors = Arc::new(operator::Doors::new(self, operator));
        let largest_head = heads::LARGEST_HEAD;
        listen::serve(listener, connections, largest_head, stop, move |request, peer| {
            let doors = Arc::clone(&doors);
            async move { doors.answer(request, peer.ip()).await }
        })
        .await;
    }
}
