#![allow(clippy::unwrap_used)]
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clock::Timestamp;
use opendata::SessionKey;
use rustix::process::{Pid, Signal, kill_process};
use store::{
    Ended, Intake, Keys as _, KnownPush, Mailbox as _, Owner, Sessions as _, Store as _, Ticks as _,
    contract::{arrival, key, machine},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{
    Durability, Redis, Settings,
    testing::{Cluster, Server, Watched},
};

const TERM: Duration = Duration::from_secs(30);

/// A server with nothing in it, and its settings.
fn server(options: &[&str]) -> (Server, TempDir, Settings) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), options);
    let settings = Settings::of(server.url());
    (server, folder, settings)
}

fn open(settings: &Settings) -> Redis {
    Redis::new(settings).unwrap()
}

async fn log_in(store: &Redis, user: &str, number: u8) -> Result<(), store::StoreError> {
    let now = Timestamp::from_secs(u64::from(number));
    store.put_session(user, key(number), now).await.map(drop)
}

async fn key_of(store: &Redis, user: &str) -> Option<SessionKey> {
    store.session(user).await.unwrap().map(|session| session.key)
}

/// Each handle has a connection of its own, as that of another process has.
mod one_server {
    use super::*;

    store::hold_to_contract!({
        let (server, folder, settings) = server(&[]);
        ((server, folder), move || Arc::new(open(&settings)))
    });
}

/// What each test keeps lies below a prefix of its own.
mod a_cluster {
    use super::*;

    static RUNNING: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    static STORES: AtomicU64 = AtomicU64::new(0);

    /// The cluster of all tests that run now.
    fn cluster() -> Arc<Cluster> {
        let mut running = RUNNING.lock().unwrap();
        running.upgrade().unwrap_or_else(|| {
            let cluster = Arc::new(Cluster::start());
            *running = Arc::downgrade(&cluster);
            cluster
        })
    }

    store::hold_to_contract!({
        let cluster = cluster();
        let (url, others) = cluster.addresses();
        let settings = Settings {
            cluster: others,
            prefix: format!("store{}", STORES.fetch_add(1, Ordering::Relaxed)),
            ..Settings::of(url)
        };
        (cluster, move || Arc::new(open(&settings)))
    });
}

fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testing").join(name)
}

#[tokio::test]
async fn a_server_that_wants_tls_and_a_user_s_password_is_served_and_nobody_else_is_let_in() {
    let [ca, server_pem, server_key] = ["ca.pem", "server.pem", "server.key"].map(certificate);
    let path = |path: &Path| path.display().to_string();
    let (server, _folder, _) = server(&[
        "--tls-port",
        "0",
        "--tls-cert-file",
        &path(&server_pem),
        "--tls-key-file",
        &path(&server_key),
        "--tls-ca-cert-file",
        &path(&ca),
        "--tls-auth-clients",
        "no",
        // All that the store needs, and no more.
        "--user",
        "yunqiao",
        "on",
        ">open-sesame",
        "~yunqiao:*",
        "+@read",
        "+@write",
        "+@scripting",
        "+@connection",
        "-@dangerous",
        "+info",
    ]);
    // The port for TLS is one that is free now; the other stays for the test.
    let port = crate::testing::free_port();
    assert_eq!(server.ask(&format!("CONFIG SET tls-port {port}")), "+OK");
    let settings = |user: &str, password: &str| Settings {
        password: Some(password.into()),
        authorities: Some(std::fs::read(&ca).unwrap()),
        ..Settings::of(format!("rediss://{user}@127.0.0.1:{port}"))
    };
    let store = open(&settings("yunqiao", "open-sesame"));
    log_in(&store, "alice", 1).await.unwrap();
    assert_eq!(key_of(&store, "alice").await, Some(key(1)));
    let taken = store.take_push(arrival("a", "a"), machine(0)).await.unwrap();
    assert_eq!(taken, Intake::New(1));
    store.check().await.unwrap();
    // It may not ask what the server keeps.
    assert_eq!(store.survey().await.unwrap().durability, Durability::Untold);

    for (settings, why) in [
        (settings("yunqiao", "open-barley"), "authentication failed"),
        (settings("nobody", "open-sesame"), "authentication failed"),
        (
            Settings {
                authorities: None,
                ..settings("yunqiao", "open-sesame")
            },
            "certificate",
        ),
    ] {
        let refused = open(&settings).check().await.unwrap_err().report().to_string();
        assert!(refused.contains(why), "{refused}");
        assert!(
            refused.contains(&format!("rediss://127.0.0.1:{port}")),
            "{refused}"
        );
        assert!(!refused.contains("open-"), "{refused}");
    }
}

#[tokio::test]
async fn what_a_server_keeps_is_what_it_says() {
    for (options, expected) in [
        (&[][..], Durability::Nothing),
        (&["--save", "3600 1"], Durability::Snapshots),
        (&["--appendonly", "yes"], Durability::Soon),
        (
            &["--appendonly", "yes", "--appendfsync", "always"],
            Durability::Each,
        ),
    ] {
        let (_server, _folder, settings) = server(options);
        let found = open(&settings).survey().await.unwrap();
        assert_eq!((found.durability, found.evicts), (expected, None), "{options:?}");
        assert!(found.program.starts_with("Redis ") || found.program.starts_with("Valkey "));
    }
    let full = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];
    let (_server, _folder, settings) = server(&full);
    let found = open(&settings).survey().await.unwrap();
    assert_eq!(found.evicts.as_deref(), Some("allkeys-lru"));
}

/// The server starts again, again and again, while pushes come in and are dealt with.
#[tokio::test]
async fn nothing_that_was_answered_is_lost_when_the_server_starts_again() {
    let (mut server, _folder, settings) = server(&["--appendonly", "yes"]);
    let over = Arc::new(AtomicBool::new(false));
    let workers = (0..4).map(|worker| {
        let (store, over) = (open(&settings), Arc::clone(&over));
        tokio::spawn(async move {
            let (owner, lane) = (Owner::new(format!("n{worker}")), format!("l{worker}"));
            let (mut taken, mut refused) = (Vec::new(), 0);
            while !over.load(Ordering::Relaxed) {
                let key = format!("{worker}-{}", taken.len());
                let id = match store.take_push(arrival(&lane, &key), machine(0)).await {
                    Ok(Intake::New(id)) => id,
                    // Refused before, and taken in all the same.
                    Ok(Intake::Known(KnownPush::Open(push))) => push.id,
                    Ok(known) => panic!("{known:?}"),
                    Err(_) => {
                        refused += 1;
                        continue;
                    }
                };
                taken.push((key.clone(), false));
                if let Ok(Some(attempt)) = store.begin_push(id, &owner, machine(0), TERM).await {
                    assert_eq!(attempt.number, 1);
                    let answer = Some(key);
                    let ended = store.end_push(&attempt, Ended::Done { answer }, machine(0)).await;
                    taken.last_mut().unwrap().1 = ended.unwrap_or(false);
                }
            }
            (taken, refused)
        })
    });
    let workers: Vec<_> = workers.collect();
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        server = tokio::task::spawn_blocking(move || {
            server.shut_down();
            // Long enough that whoever asks meanwhile meets nobody.
            std::thread::sleep(Duration::from_millis(50));
            server.start_again();
            server
        })
        .await
        .unwrap();
    }
    tokio::time::sleep(Duration::from_millis(150)).await;
    over.store(true, Ordering::Relaxed);
    let (store, mut all) = (open(&settings), 0);
    for worker in workers {
        let (taken, refused) = worker.await.unwrap();
        // A short break is waited for.
        assert_eq!(refused, 0);
        all += taken.len();
        for (key, ended) in taken {
            match store.find_push(&key).await.unwrap() {
                Some(KnownPush::Done { answer }) => assert_eq!(answer, Some(key)),
                found => assert!(found.is_some() && !ended, "{key}: {found:?}"),
            }
        }
    }
    assert!(all > 20, "{all}");
}

#[tokio::test]
async fn a_server_that_is_away_or_stalls_is_waited_for_so_long_and_no_longer() {
    let (mut server, _folder, settings) = server(&["--appendonly", "yes", "--appendfsync", "always"]);
    let store = open(&settings);
    log_in(&store, "alice", 1).await.unwrap();
    let pid = Pid::from_raw(server.pid().try_into().unwrap()).unwrap();
    let most = Duration::from_millis(4500);

    // It stalls: whoever asks waits, and for the rest of the process nothing does.
    kill_process(pid, Signal::STOP).unwrap();
    let began = Instant::now();
    let (asked, ticks) = tokio::join!(log_in(&store, "alice", 2), async {
        let mut ticks = 0;
        while began.elapsed() < Duration::from_secs(1) {
            tokio::time::sleep(Duration::from_millis(10)).await;
            ticks += 1;
        }
        ticks
    });
    assert!(began.elapsed() < most, "{:?}", began.elapsed());
    assert!(ticks > 30, "{ticks}");
    let told = asked.unwrap_err().report().to_string();
    assert!(told.contains(&settings_place(&settings)), "{told}");
    kill_process(pid, Signal::CONT).unwrap();
    log_in(&store, "alice", 3).await.unwrap();

    // It is gone: the first to ask waits for it, and those who come later do not.
    server.kill();
    let began = Instant::now();
    store.check().await.unwrap_err();
    assert!(began.elapsed() < most, "{:?}", began.elapsed());
    let began = Instant::now();
    for _ in 0..5 {
        store.check().await.unwrap_err();
    }
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    server.start_again();
    store.check().await.unwrap();
    assert_eq!(key_of(&store, "alice").await, Some(key(3)));
}

fn settings_place(settings: &Settings) -> String {
    open(settings).place().to_owned()
}

/// A way to a server on which an answer can be lost.
struct LossyWay {
    url: String,
    /// How many of the next answers are lost, with the connection.
    lose: Arc<AtomicU64>,
}

impl LossyWay {
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let lose = Arc::new(AtomicU64::new(0));
        let loses = Arc::clone(&lose);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(Self::carry(near, far, Arc::clone(&loses)));
            }
        });
        Self { url, lose }
    }

    async fn carry(near: TcpStream, far: TcpStream, lose: Arc<AtomicU64>) {
        let (mut from_near, mut to_near) = near.into_split();
        let (mut from_far, mut to_far) = far.into_split();
        let asking = tokio::spawn(async move { tokio::io::copy(&mut from_near, &mut to_far).await });
        let mut bytes = [0; 65536];
        while let Ok(length @ 1..) = from_far.read(&mut bytes).await {
            let lost = lose.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            if lost.is_ok() || to_near.write_all(&bytes[..length]).await.is_err() {
                break;
            }
        }
        asking.abort();
    }
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_made_once() {
    let (server, _folder, _) = server(&[]);
    let way = LossyWay::to(server.port()).await;
    let store = open(&Settings::of(way.url.clone()));
    store.check().await.unwrap();
    // The scripts are known, so that it is their answer that is lost.
    store.take_push(arrival("z", "z"), machine(0)).await.unwrap();
    store.claim_tick("f/other", machine(1), machine(1)).await.unwrap();
    let lose = || way.lose.store(1, Ordering::Relaxed);
    let lost = || assert_eq!(way.lose.load(Ordering::Relaxed), 0);
    let owner = Owner::new("n1");

    for (ended, again) in [
        (Ended::Failed { due: machine(0) }, true),
        (Ended::Deferred { due: machine(0) }, true),
        (Ended::Done { answer: None }, false),
    ] {
        lose();
        let taken = store.take_push(arrival("a", "a"), machine(0)).await.unwrap();
        lost();
        match taken {
            Intake::New(id) => assert_eq!(id, 2),
            Intake::Known(KnownPush::Open(push)) => assert_eq!(push.id, 2),
            taken => panic!("{taken:?}"),
        }
        lose();
        let attempt = store
            .begin_push(2, &owner, machine(0), TERM)
            .await
            .unwrap()
            .unwrap();
        lost();
        lose();
        assert!(store.end_push(&attempt, ended, machine(0)).await.unwrap());
        lost();
        let left = store.first_push("a").await.unwrap();
        assert_eq!(left.is_some(), again);
        if let Some(left) = left {
            assert_eq!((left.attempts, left.failures), (attempt.number, 1));
        }
    }

    let id = match store.take_push(arrival("b", "b"), machine(0)).await.unwrap() {
        Intake::New(id) => id,
        taken => panic!("{taken:?}"),
    };
    let attempt = store
        .begin_push(id, &owner, machine(0), TERM)
        .await
        .unwrap()
        .unwrap();
    let error = "no".to_owned();
    lose();
    assert!(
        store
            .end_push(&attempt, Ended::Dead { error }, machine(0))
            .await
            .unwrap()
    );
    lose();
    let revived = store.revive_push(id, true, machine(0)).await.unwrap().unwrap();
    lost();
    assert_eq!((revived.turn, revived.failures), (id + 1, 0));

    lose();
    assert!(store.claim_tick("f/each", machine(1), machine(1)).await.unwrap());
    lost();
    assert!(!store.claim_tick("f/each", machine(1), machine(1)).await.unwrap());
    lose();
    let ring = store.key_ring().await.unwrap();
    lost();
    let same = open(&Settings::of(server.url())).key_ring().await.unwrap();
    assert_eq!(*ring.keys()[0].to_base64(), *same.keys()[0].to_base64());
    lose();
    log_in(&store, "alice", 1).await.unwrap();
    lost();
    log_in(&store, "alice", 2).await.unwrap();
    let session = store.session("alice").await.unwrap().unwrap();
    assert_eq!(session.previous.unwrap().key, key(1));
}

/// The master dies, and the Sentinel makes its replica the master.
#[tokio::test]
async fn behind_a_sentinel_the_replica_takes_over() {
    let mut watched = Watched::start();
    let settings = Settings {
        sentinels: vec![watched.sentinel()],
        ..Settings::of("redis://main")
    };
    let store = open(&settings);
    assert_eq!(store.place(), "redis://main");
    log_in(&store, "alice", 1).await.unwrap();
    store.take_push(arrival("a", "a"), machine(0)).await.unwrap();
    assert_eq!(store.survey().await.unwrap().durability, Durability::Replicas);
    watched.replicated();
    watched.kill_master();
    let began = Instant::now();
    let mut refused = 0;
    while log_in(&store, "bob", 2).await.is_err() {
        refused += 1;
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "refused {refused} times"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(key_of(&store, "alice").await, Some(key(1)));
    assert!(store.find_push("a").await.unwrap().is_some());
    let taken = store.take_push(arrival("a", "b"), machine(0)).await.unwrap();
    assert_eq!(taken, Intake::New(2));
}

#[tokio::test]
async fn projects_that_share_a_server_see_nothing_of_each_other() {
    let (server, _folder, settings) = server(&[]);
    let other = Settings {
        prefix: "other".to_owned(),
        ..settings.clone()
    };
    let (one, other) = (open(&settings), open(&other));
    log_in(&one, "alice", 1).await.unwrap();
    one.take_push(arrival("a", "a"), machine(0)).await.unwrap();
    assert!(other.session("alice").await.unwrap().is_none());
    assert!(other.find_push("a").await.unwrap().is_none());
    let taken = other.take_push(arrival("a", "a"), machine(0)).await.unwrap();
    assert_eq!(taken, Intake::New(1));
    assert!(one.claim_tick("f/t", machine(1), machine(1)).await.unwrap());
    assert!(other.claim_tick("f/t", machine(1), machine(1)).await.unwrap());
    let rings = [one.key_ring().await.unwrap(), other.key_ring().await.unwrap()];
    assert_ne!(*rings[0].keys()[0].to_base64(), *rings[1].keys()[0].to_base64());
    // Whatever is kept is below the prefixes.
    let keys = server.ask_all("KEYS *");
    assert!(keys.len() > 10, "{keys:?}");
    for key in keys {
        assert!(key.starts_with("yunqiao:") || key.starts_with("other:"), "{key}");
    }
}
