//! Two gateways in one process, with workers of their own, on one store: they share pushes and ticks of timers, and neither
//! lose nor double one. So it is on several machines, where the store is on a server: then each has a connection of its own.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use calls::{Invocations, TellingObserver};
use clock::Clock;
use gateway::{ClientPermissions, Gateway, Hosts, Journal, Origins, Silent, TokenLife};
use project::Project;
use push::{Format, Mode};
use runtime::Runtime;
use store::{Memory, Store};
use store_redb::Redb;
use store_redis::{Redis, Settings, testing::Server};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::push::{KEY, Pusher, TOKEN, message, settings};
use crate::support::{APPID, Scratch};

/// Notes when it begins and when it ends; a part of the attempts fails.
const FUNCTION: &str = r"
const fs = require('fs');
const note = (line) => fs.appendFileSync(process.env.LOG, JSON.stringify(line) + '\n');
exports.main = async (event, { attempt }) => {
  const line = [process.pid, event.FromUserName, Number(event.MsgId), attempt];
  note([...line, 'begins']);
  await new Promise((resolve) => setTimeout(resolve, (Number(event.MsgId) * 7) % 5));
  note([...line, 'ends']);
  if (Number(event.MsgId) % 10 === 3 && attempt === 1) throw new Error('as asked for');
  return { MsgType: 'transfer_customer_service', Attempt: attempt };
};
";

/// A gateway that serves.
pub(crate) struct Serving {
    pub(crate) gateway: Gateway,
    url: String,
    pub(crate) runtime: Runtime,
    stop: watch::Sender<()>,
    served: tokio::task::JoinHandle<()>,
    timers: tokio::task::JoinHandle<()>,
}

impl Serving {
    pub(crate) async fn start(project: &Project, store: Arc<dyn Store>) -> Self {
        let cache_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
        let path = std::env::var_os("PATH").unwrap();
        let node = std::env::split_paths(&path)
            .map(|dir| dir.join("node"))
            .find(|node| node.is_file());
        let journal: Arc<dyn Journal> = Arc::new(Silent);
        let invocations = Arc::new(Invocations::default());
        let observer = TellingObserver::new(Arc::clone(&invocations), Arc::clone(&journal), |_| {});
        let options = runtime::RuntimeOptions {
            node: node.expect("Node is on the PATH"),
            cache_dir,
            guard: vec![env!("CARGO_BIN_EXE_yunqiao").into(), OsString::from("__guard")],
            offline: true,
            spares: 0,
            inspect: None,
            places: false,
            log_limit: 4096,
            max_workers: 4,
            key_variables: tcb::KEY_VARIABLES.map(str::to_owned),
            files_at: None,
            wechat_at: None,
        };
        let runtime = Runtime::start(options, Arc::new(observer)).await.unwrap();
        let wechat = wechat::WeChatClient::new(wechat::WeChatConfig {
            // Nobody is there, and nobody is asked.
            base_url: "http://127.0.0.1:9".to_owned(),
            appid: APPID.to_owned(),
            secret: "0123456789abcdef0123456789abcdef".to_owned().into(),
            tokens: Arc::new(gateway::StoredTokens::new(Arc::clone(&store))),
            clock: Clock::system(),
            timeout: Duration::from_secs(5),
        });
        let gateway = Gateway::new(gateway::GatewayConfig {
            appid: APPID.to_owned(),
            env_id: project.env_id.clone(),
            keys: store.key_ring().await.unwrap(),
            web_auth: gateway::WebAuth::default(),
            permissions: ClientPermissions::of(&project.settings),
            token_life: TokenLife::Session,
            open_data_max_age: Duration::from_secs(300),
            origins: Origins::default(),
            hosts: Hosts::Any,
            live_pages: false,
            sockets: 16,
            watch_memory: 1 << 20,
            web_connections: 16,
            connections: 100,
            clock: Clock::system(),
            store: Arc::clone(&store),
            wechat: wechat.unwrap(),
            apps: std::collections::BTreeMap::new(),
            permissions_cache: Duration::ZERO,
            database: cloud::DatabaseAccess {
                database: Arc::new(database::Embedded::in_memory(database::Options::default()).unwrap()),
                missing: cloud::MissingCollection::Refuse,
                makers: None,
                permissions: Arc::default(),
            },
            storage: cloud::StorageAccess {
                permission: Arc::default(),
                blobs: Arc::new(blobs::Folder::temporary(blobs::FolderOptions::default()).unwrap()),
                storage: files::Storage::new(&project.env_id, APPID, None),
                rights: files::Rights::new(&store.key_ring().await.unwrap(), APPID),
                clock: Clock::system(),
                public_url: "http://127.0.0.1:9".to_owned(),
                at_the_place: false,
                url_life: Duration::from_secs(60),
                most: 1 << 20,
                quota: None,
            },
            push: Some(push::Receiver::new(settings(APPID, TOKEN, KEY, Mode::Secure, Format::Json)).unwrap()),
            runtime: runtime.clone(),
            invocations,
            journal,
        });
        for report in gateway.load(project).await {
            assert_eq!(report.problem, None);
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = watch::channel(());
        let stopped = move || {
            let mut stopped = stopped.clone();
            async move { while stopped.changed().await.is_ok() {} }
        };
        let timers = tokio::spawn(gateway.clone().fire_timers(stopped()));
        let served = tokio::spawn(gateway.clone().serve(listener, stopped()));
        Self {
            gateway,
            url,
            runtime,
            stop,
            served,
            timers,
        }
    }

    pub(crate) async fn stop(self) {
        drop(self.gateway);
        drop(self.stop);
        self.served.await.unwrap();
        self.timers.await.unwrap();
        self.runtime.shutdown().await;
    }
}

/// Pushes as WeChat does, each through one of the two gateways or through both, again until it is acknowledged; then looks
/// at what the functions noted.
async fn storm(stores: [Arc<dyn Store>; 2], senders: u64, each: u64) {
    let project = Scratch::new(&[("pushed", FUNCTION)]);
    let log = project.path().join("log");
    fs::write(&log, "").unwrap();
    project.write(
        "yunqiao.toml",
        &format!(
            "[push.routes]\n\"*\" = \"pushed\"\n\
             [functions.pushed]\ntimeout = 20\nconcurrency = 16\nmax_instances = 1\nenv = {{ LOG = {log:?} }}\n"
        ),
    );
    let read = Project::open(project.path()).unwrap();
    let mut serving = Vec::new();
    for store in &stores {
        serving.push(Serving::start(&read, Arc::clone(store)).await);
    }
    let pushers: Arc<[Pusher; 2]> = Arc::new([0, 1].map(|one: usize| {
        Pusher::new(
            &serving[one].url,
            settings(APPID, TOKEN, KEY, Mode::Secure, Format::Json),
        )
    }));
    let sending = (0..senders).map(|sender| {
        let pushers = Arc::clone(&pushers);
        tokio::spawn(async move {
            for number in 1..=each {
                let packet = message(&format!("o{sender}"), number, "x");
                let through = usize::from((sender * 31 + number * 17) % 7 < 3);
                // Every tenth is sent through both at once, as WeChat does when an answer is late.
                let twice = async {
                    if number % 10 == 0 {
                        pushers[1 - through].send(&pushers[0].request(&packet)).await;
                    }
                };
                let once = async {
                    let mut tries = through;
                    while pushers[tries % 2]
                        .send(&pushers[0].request(&packet))
                        .await
                        .is_none_or(|(status, _)| status != 200)
                    {
                        tries += 1;
                    }
                };
                tokio::join!(once, twice);
            }
        })
    });
    for sender in sending.collect::<Vec<_>>() {
        sender.await.unwrap();
    }
    let noted = || -> Vec<(u32, String, u64, u64, String)> {
        let text = fs::read_to_string(&log).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    // What was acknowledged while it waits for another attempt is done by and by.
    let is_done = |number: u64, attempt: u64| number % 10 != 3 || attempt > 1;
    loop {
        let noted = noted();
        let done: HashSet<_> = noted
            .iter()
            .filter(|(_, _, number, attempt, what)| what == "ends" && is_done(*number, *attempt))
            .map(|(_, from, number, ..)| (from, number))
            .collect();
        if done.len() as u64 == senders * each {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for serving in serving {
        serving.stop().await;
    }

    let (mut running, mut last, mut ended) = (HashSet::new(), HashMap::new(), HashSet::new());
    let mut workers: HashMap<u32, u64> = HashMap::new();
    for (worker, from, number, attempt, what) in noted() {
        if what == "ends" {
            assert!(running.remove(&from));
            assert!(ended.insert((from.clone(), number, attempt)));
            *workers.entry(worker).or_default() += 1;
            continue;
        }
        assert!(
            running.insert(from.clone()),
            "{from}: {number} runs beside another"
        );
        let (number_before, attempt_before) = last.insert(from.clone(), (number, attempt)).unwrap_or((0, 0));
        if number == number_before {
            assert_eq!(attempt, attempt_before + 1, "{from}: {number}");
        } else {
            assert_eq!((number, attempt), (number_before + 1, 1), "{from}");
            assert!(number_before == 0 || is_done(number_before, attempt_before));
        }
    }
    assert!(running.is_empty());
    let failed = senders * (each / 10 + u64::from(each % 10 >= 3));
    assert_eq!(ended.len() as u64, senders * each + failed);
    assert_eq!(workers.len(), 2, "one did it all: {workers:?}");
    println!("{} pushes, attempts of each worker: {workers:?}", senders * each);
}

/// Every kind of store, with two handles of each.
async fn on_every_store(senders: u64, each: u64) {
    let memory = Memory::new();
    storm([Arc::new(memory.clone()), Arc::new(memory)], senders, each).await;
    let dir = tempfile::tempdir().unwrap();
    let redb = Redb::open(&dir.path().join("store.redb")).unwrap();
    storm([Arc::new(redb.clone()), Arc::new(redb)], senders, each).await;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--appendonly", "yes"]);
    storm(on_server(&server), senders, each).await;
}

/// Two handles of the store on a server.
fn on_server(server: &Server) -> [Arc<dyn Store>; 2] {
    let settings = Settings::of(server.url());
    [0, 1].map(|_| Arc::new(Redis::new(&settings).unwrap()) as Arc<dyn Store>)
}

#[tokio::test]
async fn two_gateways_on_one_store_share_the_pushes() {
    on_every_store(15, 12).await;
}

#[tokio::test]
#[ignore = "a storm: cargo test -- --ignored"]
async fn two_thousand_pushes_through_two_gateways() {
    on_every_store(40, 50).await;
}

/// Notes the tick that it is called for.
const TIMED: &str = r"
const fs = require('fs');
exports.main = async (event) => fs.appendFileSync(process.env.LOG, event.Time + '\n');
";

#[tokio::test]
async fn a_tick_is_fired_by_one_of_two_gateways() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    tick([Arc::clone(&store), store]).await;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    tick(on_server(&server)).await;
}

async fn tick([first, second]: [Arc<dyn Store>; 2]) {
    let project = Scratch::new(&[("timed", TIMED)]);
    project.write(
        "cloudfunctions/timed/config.json",
        r#"{"triggers": [{"name": "each", "type": "timer", "config": "* * * * * * *"}]}"#,
    );
    let log = project.path().join("log");
    fs::write(&log, "").unwrap();
    project.write(
        "yunqiao.toml",
        &format!("[functions.timed]\nenv = {{ LOG = {log:?} }}\n"),
    );
    let read = Project::open(project.path()).unwrap();
    let serving = [
        Serving::start(&read, first).await,
        Serving::start(&read, second).await,
    ];
    let ticks = || -> Vec<String> {
        let text = fs::read_to_string(&log).unwrap();
        text.lines().map(str::to_owned).collect()
    };
    while ticks().len() < 4 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // What runs has ended when this returns.
    for serving in serving {
        serving.stop().await;
    }
    let ticks = ticks();
    let once: HashSet<_> = ticks.iter().collect();
    assert_eq!(once.len(), ticks.len(), "{ticks:?}");
}

/// A folder that was made a moment ago is a function as soon as it is loaded: its calls wait as those of changed code do.
#[tokio::test]
async fn a_call_of_a_function_that_is_about_to_be_loaded_finds_it() {
    let project = Scratch::new(&[("old", "exports.main = () => 1;")]);
    let read = || Project::open(project.path()).unwrap();
    let serving = Serving::start(&read(), Arc::new(Memory::new())).await;
    let call = |name: &'static str| {
        let gateway = serving.gateway.clone();
        async move { gateway.call(name, "o1", None, r#"{"data":{}}"#.into()).await }
    };
    assert_eq!(call("new").await.0, 404);
    project.write("cloudfunctions/new/index.js", "exports.main = () => 2;");
    serving.runtime.expect_changes();
    let mut waiting = Box::pin(call("new"));
    let first_look = tokio::time::timeout(Duration::ZERO, &mut waiting).await;
    assert!(first_look.is_err(), "{first_look:?}");
    serving.gateway.load(&read()).await;
    let (status, body) = waiting.await;
    assert_eq!(status, 200, "{body:?}");
    assert!(body.starts_with(br#"{"result":2,"#), "{body:?}");
    serving.stop().await;
}
