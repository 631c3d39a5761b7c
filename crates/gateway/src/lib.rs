//! The server that a Mini Program talks to: login, call, open data.
//!
//! A request walks through here in the order of the modules: [`serve`](Gateway::serve) accepts it and bounds
//! it, `routes` picks the door, `bearer` says who is calling, `event` takes the client's bytes apart without
//! building a tree, `redeem` exchanges the cloudIDs, and `runtime` runs the function. What WeChat's rules say
//! stands in the pure crates; this one is the plumbing between them. Whatever went wrong is told to the
//! client as a code that programs test for, and to the operator, through [`Journal`], with its cause.

#![forbid(unsafe_code)]

mod bearer;
mod body;
mod call;
mod cors;
mod event;
mod failure;
mod ids;
mod journal;
mod login;
mod open_data;
mod redeem;
mod routes;
mod sites;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use clock::Clock;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use opendata::Tickets;
use runtime::Runtime;
use seal::KeyRing;
use store::Store;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

pub use cors::Origins;
pub use journal::{CallRecord, Journal, Note, Silent};
pub use login::TokenLife;

/// A client has this long to send a whole request head; the same bounds an idle kept-alive connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections served at once; further ones wait in the listen queue.
const MAX_CONNECTIONS: usize = 4096;
/// How long running calls may go on after the server was told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// What a gateway is made of.
pub struct Config {
    /// The Mini Program that this gateway serves.
    pub appid: String,
    /// The environment id that functions see as `ENV`.
    pub env_id: String,
    /// Seals bearer tokens and tickets; every node of one service has the same.
    pub keys: KeyRing,
    /// How long a bearer token lives.
    pub token_life: TokenLife,
    /// The oldest watermark that `POST /v1/open-data` accepts.
    pub open_data_max_age: Duration,
    /// Which web pages may call.
    pub origins: Origins,
    /// Decides WeChat's expiries, and nothing else.
    pub clock: Clock,
    /// Sessions live here.
    pub store: Arc<dyn Store>,
    /// WeChat, or the simulator: only the base URL differs.
    pub wechat: wechat::Client,
    /// Runs the functions.
    pub runtime: Runtime,
    /// Is told of every call and of what an operator should know.
    pub journal: Arc<dyn Journal>,
}

/// The server. Clones share everything.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    appid: String,
    env_id: String,
    bearers: bearer::Bearers,
    tickets: Tickets,
    policy: opendata::Policy,
    origins: Origins,
    clock: Clock,
    store: Arc<dyn Store>,
    wechat: wechat::Client,
    runtime: Runtime,
    journal: Arc<dyn Journal>,
    sites: sites::Sites,
    sessions: login::Sessions,
    large_bodies: Semaphore,
}

impl Gateway {
    /// Puts the parts together; nothing is listened on yet, and no function is known before [`load`](Self::load).
    pub fn new(config: Config) -> Gateway {
        let mut policy = opendata::Policy::new(&config.appid);
        policy.max_age = config.open_data_max_age;
        Gateway(Arc::new(Inner {
            bearers: bearer::Bearers::new(&config.keys, &config.appid),
            tickets: Tickets::new(&config.keys, &config.appid),
            sessions: login::Sessions::new(config.token_life),
            appid: config.appid,
            env_id: config.env_id,
            policy,
            origins: config.origins,
            clock: config.clock,
            store: config.store,
            wechat: config.wechat,
            runtime: config.runtime,
            journal: config.journal,
            sites: sites::Sites::default(),
            large_bodies: Semaphore::new(body::LARGE_AT_ONCE),
        }))
    }

    /// Takes the project's functions, in place of those known so far: installs what they need, and replaces
    /// their workers where they changed. Calls under way finish as they began.
    pub async fn load(&self, project: &project::Project) -> Vec<runtime::LoadReport> {
        let mut sites = self.0.sites.prepare(&self.0, project);
        let reports = self.0.runtime.load(sites.loaded()).await;
        self.0.sites.put(sites);
        reports
    }

    /// Serves connections of `listener` until `stop` resolves, then lets running calls end.
    ///
    /// # Errors
    /// Only when the listener itself fails for good.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) -> io::Result<()> {
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let (stopping, stopped) = watch::channel(());
        tokio::pin!(stop);
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                break;
            };
            let (stream, peer) = tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    // Out of descriptors, or a client that was gone at once: the listener itself is well.
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                },
                () = &mut stop => break,
            };
            // Small replies leave at once; a failure here only costs speed.
            let _ = stream.set_nodelay(true);
            let gateway = self.clone();
            let mut stopped = stopped.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let gateway = gateway.clone();
                    async move { Ok::<_, std::convert::Infallible>(gateway.answer(request, peer.ip()).await) }
                });
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_TIMEOUT)
                    .serve_connection(TokioIo::new(stream), service);
                tokio::pin!(connection);
                tokio::select! {
                    _ = &mut connection => {}
                    _ = stopped.changed() => {
                        connection.as_mut().graceful_shutdown();
                        let _ = connection.await;
                    }
                }
                drop(slot);
            });
        }
        drop(listener);
        // Closing the channel wakes every connection task; all slots back means that all have ended.
        drop(stopping);
        let all = u32::try_from(MAX_CONNECTIONS).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(DRAIN, slots.acquire_many(all)).await;
        Ok(())
    }
}
