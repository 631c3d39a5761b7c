//! Mailboxes that share a store, with functions that are Rust: what is lost, what runs twice, in which order.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
    path::Path,
    sync::atomic::AtomicUsize,
};

use push::{Format, PushReply};
use store::{BoxFuture, KnownPush, Memory, PageBounds};
use store_redb::Redb;
use tempfile::TempDir;

use super::*;

const APPID: &str = "wx0123456789abcdef";
/// Longer than any test runs.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// What happens, in order: `(sender, number, attempt, whether it ends)`.
type Log = Arc<Mutex<Vec<(String, u64, u32, bool)>>>;

/// What a function does with a push: given sender, number and attempt.
type Answer = dyn Fn(&str, u64, u32) -> BoxFuture<'static, FunctionAnswer> + Send + Sync;

/// Functions of one node.
struct Recorded {
    log: Log,
    notes: Arc<Mutex<String>>,
    /// How many calls ran here.
    calls: AtomicUsize,
    answer: Box<Answer>,
}

impl Functions for Recorded {
    fn call<'a>(
        &'a self,
        _: &'a FunctionName,
        packet: &'a Packet,
        attempt: u32,
    ) -> BoxFuture<'a, FunctionAnswer> {
        let (from, number) = (packet.from_user().to_owned(), number(packet));
        self.calls.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            let note = |ends| {
                self.log
                    .lock()
                    .unwrap()
                    .push((from.clone(), number, attempt, ends));
            };
            note(false);
            let called = (self.answer)(&from, number, attempt).await;
            note(true);
            called
        })
    }

    fn note(&self, note: &PushNote<'_>) {
        writeln!(self.notes.lock().unwrap(), "{}", note.text).unwrap();
    }
}

fn number(packet: &Packet) -> u64 {
    packet.msg_id().unwrap().parse().unwrap()
}

fn packet(from: &str, number: u64) -> Packet {
    let text = format!(r#"{{"FromUserName":"{from}","MsgType":"text","Content":"x","MsgId":{number}}}"#);
    Packet::parse(APPID, Format::Json, text.as_bytes()).unwrap()
}

/// An answer that WeChat does something with, and that is kept therefore.
fn answer_to(number: u64) -> String {
    format!(r#"{{"MsgType":"transfer_customer_service","n":{number}}}"#)
}

fn returned(json: &str) -> FunctionAnswer {
    FunctionAnswer::Returned {
        request_id: "r".to_owned(),
        json: json.to_owned(),
    }
}

/// A mailbox on a store, with its functions.
struct Node {
    mailbox: Mailbox,
    functions: Arc<Recorded>,
}

fn pace() -> Pace {
    Pace {
        back_off: [Duration::from_millis(20), Duration::from_millis(40)],
        lease: FOR_EVER,
        renew: Duration::from_millis(50),
        poll: Duration::from_millis(5),
        look: Duration::from_millis(20),
        store_again: Duration::from_millis(10),
        sweep: FOR_EVER,
    }
}

impl Node {
    fn new<F>(
        store: &Arc<dyn Store>,
        log: &Log,
        pace: Pace,
        answer: impl Fn(&str, u64, u32) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = FunctionAnswer> + Send + 'static,
    {
        let functions = Arc::new(Recorded {
            log: Arc::clone(log),
            notes: Arc::default(),
            calls: AtomicUsize::new(0),
            answer: Box::new(move |from, number, attempt| Box::pin(answer(from, number, attempt))),
        });
        let mailbox = Mailbox::new(MailboxConfig {
            appid: APPID.to_owned(),
            store: Arc::clone(store),
            functions: Arc::clone(&functions) as Arc<dyn Functions>,
            pace,
        });
        let rest = push::RoutePattern::parse("*").unwrap();
        let mut routes = Routes::default();
        routes.add(rest, "pushed".parse().unwrap()).unwrap();
        mailbox.route(routes);
        mailbox.start();
        Self { mailbox, functions }
    }

    async fn take(&self, from: &str, number: u64, within: Duration) -> Result<PushReply, NotTaken> {
        self.mailbox.take("r", packet(from, number), within).await
    }

    fn calls(&self) -> usize {
        self.functions.calls.load(Ordering::SeqCst)
    }

    fn notes(&self) -> String {
        self.functions.notes.lock().unwrap().clone()
    }
}

/// Every kind of store, with two handles of each.
fn every_kind() -> (TempDir, [[Arc<dyn Store>; 2]; 2]) {
    let dir = tempfile::tempdir().unwrap();
    let (memory, redb) = (Memory::new(), open(dir.path()));
    let kinds = [
        [Arc::new(memory.clone()) as Arc<dyn Store>, Arc::new(memory)],
        [Arc::new(redb.clone()), Arc::new(redb)],
    ];
    (dir, kinds)
}

fn open(dir: &Path) -> Redb {
    Redb::open(&dir.join("store.redb")).unwrap()
}

async fn eventually(what: impl AsyncFn() -> bool) {
    while !what().await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Holds that no push ran at once twice, that each was done, and that the order of each sender was kept.
fn judge(log: &Log, senders: u64, each: u64) {
    let log = log.lock().unwrap();
    let mut running: HashSet<&str> = HashSet::new();
    let mut last: HashMap<&str, u64> = HashMap::new();
    let mut done: HashSet<(&str, u64)> = HashSet::new();
    for (from, number, _, ends) in log.iter() {
        if *ends {
            assert!(running.remove(from.as_str()));
            done.insert((from, *number));
        } else {
            assert!(running.insert(from), "{from}: {number} runs beside another");
            let before = last.insert(from, *number).unwrap_or(0);
            assert!(
                *number == before || *number == before + 1,
                "{from}: {number} after {before}"
            );
        }
    }
    assert_eq!(done.len() as u64, senders * each, "some were lost");
}

/// Pushes of many senders, each message through one of two mailboxes at random and some through both; a part of the attempts
/// fails.
async fn storm(stores: [Arc<dyn Store>; 2], senders: u64, each: u64) {
    let log = Log::default();
    let nodes = stores.each_ref().map(|store| {
        Node::new(store, &log, pace(), |from, number, attempt| {
            let hash = from.len() as u64 * 7 + number * 31 + u64::from(attempt);
            async move {
                tokio::time::sleep(Duration::from_millis(hash % 4)).await;
                match hash % 10 {
                    0 if attempt < 3 => FunctionAnswer::Failed("as asked for".to_owned()),
                    1 if attempt < 3 => FunctionAnswer::Busy("no worker".to_owned()),
                    _ => returned(&answer_to(number)),
                }
            }
        })
    });
    let nodes = Arc::new(nodes);
    let sending: Vec<_> = (0..senders)
        .map(|sender| {
            let nodes = Arc::clone(&nodes);
            tokio::spawn(async move {
                let from = format!("o{sender}");
                for number in 1..=each {
                    let through = (sender * 31 + number * 17) % 8;
                    let one = &nodes[usize::from(through % 2 == 0)];
                    let other = &nodes[usize::from(through % 2 == 1)];
                    // Acknowledged, the next may come, as WeChat's do.
                    let (first, second) = match through {
                        0 => {
                            let both = tokio::join!(
                                one.take(&from, number, FOR_EVER),
                                other.take(&from, number, FOR_EVER)
                            );
                            (both.0, Some(both.1))
                        }
                        // Not waited for, and perhaps not even in the store: it is sent again.
                        1 | 2 => {
                            let mut taken = one.take(&from, number, Duration::from_millis(1)).await;
                            while taken.is_err() {
                                taken = other.take(&from, number, Duration::from_millis(30)).await;
                            }
                            (taken, None)
                        }
                        _ => (one.take(&from, number, FOR_EVER).await, None),
                    };
                    for reply in [Some(first), second].into_iter().flatten() {
                        match reply.unwrap() {
                            PushReply::Object(object) => assert_eq!(object, answer_to(number)),
                            PushReply::Success => {}
                        }
                    }
                }
            })
        })
        .collect();
    for sending in sending {
        sending.await.unwrap();
    }
    eventually(async || {
        stores[0]
            .free_lanes(machine_time() + FOR_EVER * 3, 1)
            .await
            .unwrap()
            .is_empty()
    })
    .await;
    eventually(async || nodes.iter().all(|node| node.mailbox.overview().open == 0)).await;
    judge(&log, senders, each);
    let [one, other] = [&nodes[0], &nodes[1]].map(Node::calls);
    assert!(one > 0 && other > 0, "one did it all: {one}, {other}");
    for sender in 0..senders {
        for number in 1..=each {
            let key = packet(&format!("o{sender}"), number).key().to_string();
            let found = stores[1].find_push(&key).await.unwrap();
            let answer = Some(answer_to(number));
            assert_eq!(found, Some(KnownPush::Done { answer }), "{sender} {number}");
        }
    }
    println!(
        "{} pushes: {one} attempts by one, {other} by the other",
        senders * each
    );
}

#[tokio::test]
async fn two_mailboxes_on_one_store_share_the_pushes_and_lose_and_double_none() {
    let (_dir, kinds) = every_kind();
    for stores in kinds {
        storm(stores, 20, 15).await;
    }
}

#[tokio::test]
#[ignore = "a storm: cargo test -- --ignored"]
async fn two_thousand_pushes_through_two_mailboxes() {
    let (_dir, kinds) = every_kind();
    for stores in kinds {
        storm(stores, 40, 50).await;
    }
}

/// A node that dies takes nothing with it: when its leases have ended, the other goes on.
#[tokio::test]
async fn what_a_node_that_died_had_is_done_by_the_other() {
    let (_dir, kinds) = every_kind();
    for [store, other] in kinds {
        let log = Log::default();
        let short = Pace {
            lease: Duration::from_millis(300),
            renew: Duration::from_millis(50),
            ..pace()
        };
        // Its attempts never end, and keep their lanes as long as it lives, which is as long as its runtime.
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let (die, dying) = tokio::sync::oneshot::channel::<()>();
        let thread = {
            let (store, log) = (Arc::clone(&store), Arc::clone(&log));
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    let node = Node::new(&store, &log, short, |_, _, _| std::future::pending());
                    for number in 1..=3 {
                        for from in ["o1", "o2"] {
                            while node.take(from, number, Duration::from_millis(20)).await.is_err() {}
                        }
                    }
                    eventually(async || node.calls() == 2).await;
                    ready.send(()).unwrap();
                    let _ = dying.await;
                });
            })
        };
        is_ready.await.unwrap();
        let living = Node::new(&other, &log, short, |_, _, _| async { returned("") });
        // One comes in here while the other still lives.
        let waiting = living.take("o1", 4, Duration::from_millis(50)).await;
        assert_eq!(waiting, Ok(PushReply::Success));
        drop(die);
        thread.join().unwrap();
        let done = async || {
            let log = log.lock().unwrap();
            log.iter().filter(|(.., ends)| *ends).count() == 7
        };
        eventually(done).await;
        let log = log.lock().unwrap();
        for from in ["o1", "o2"] {
            let ended: Vec<u64> = log
                .iter()
                .filter(|(of, _, _, ends)| of == from && *ends)
                .map(|(_, number, ..)| *number)
                .collect();
            let all = if from == "o1" {
                vec![1, 2, 3, 4]
            } else {
                vec![1, 2, 3]
            };
            assert_eq!(ended, all);
            // The attempt that died with the other node is counted.
            assert!(log.contains(&(from.to_owned(), 1, 2, true)));
        }
    }
}

/// A node that was taken for dead and is not: what its attempt comes to does not count, and it says so.
#[tokio::test]
async fn an_attempt_that_outlived_its_lease_changes_nothing() {
    let (_dir, kinds) = every_kind();
    for [store, other] in kinds {
        let log = Log::default();
        let never_renewed = Pace {
            lease: Duration::from_millis(100),
            renew: FOR_EVER,
            ..pace()
        };
        let (end, ended) = tokio::sync::watch::channel(false);
        let slow = Node::new(&store, &log, never_renewed, move |_, _, _| {
            let mut ended = ended.clone();
            async move {
                let _ = ended.wait_for(|ended| *ended).await;
                returned(&answer_to(1))
            }
        });
        let taken = slow.take("o1", 1, Duration::from_secs(2));
        let fast = async {
            eventually(async || slow.calls() == 1).await;
            let fast = Node::new(&other, &log, pace(), |_, _, _| async { returned(&answer_to(2)) });
            let reply = fast.take("o1", 1, FOR_EVER).await;
            end.send_replace(true);
            (reply, fast)
        };
        let (taken, (by_fast, _fast)) = tokio::join!(taken, fast);
        // Whoever waited at the slow one hears what counts.
        for reply in [by_fast, taken] {
            assert_eq!(reply, Ok(PushReply::Object(answer_to(2))));
        }
        assert!(
            slow.notes().contains("another node has taken it over"),
            "{}",
            slow.notes()
        );
        assert_eq!(slow.mailbox.overview().done, 0);
    }
}

/// What an earlier process left is delivered without anybody sending it again.
#[tokio::test]
async fn what_an_earlier_process_left_is_delivered() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::default();
    for (round, store) in (0..2).map(|round| (round, Arc::new(open(dir.path())) as Arc<dyn Store>)) {
        if round == 0 {
            let left = store::Owner::new("left");
            for number in 1..=3 {
                let packet = packet("o1", number);
                let key = packet.key().to_string();
                let arrival = store::Arrival {
                    lane: "o1",
                    key: &key,
                    packet: packet.as_json(),
                };
                store.take_push(arrival, machine_time()).await.unwrap();
            }
            let begun = store.begin_push(1, &left, machine_time(), FOR_EVER).await;
            assert!(begun.unwrap().is_some());
            drop(store);
            continue;
        }
        let node = Node::new(&store, &log, pace(), |_, _, _| async { returned("") });
        eventually(async || node.mailbox.overview().done == 3).await;
        let begun: Vec<_> = log.lock().unwrap().iter().map(|(_, n, a, _)| (*n, *a)).collect();
        assert_eq!(begun, [(1, 2), (1, 2), (2, 1), (2, 1), (3, 1), (3, 1)]);
    }
}

/// Dead letters are shown in pages, sent through again and dropped; of too many, the operator hears.
#[tokio::test]
async fn dead_letters_are_bounded_and_told() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let log = Log::default();
    let node = Node::new(&store, &log, pace(), |_, number, attempt| async move {
        match number == 1 && attempt > 3 {
            true => returned(r#"{"MsgType":"text"}"#),
            false => FunctionAnswer::Failed("broken ".repeat(1000)),
        }
    });
    // More than may be kept: each has 2,000 characters of error.
    for number in 1..=MOST_DEAD + 150 {
        let from = format!("o{number}");
        for _ in 0..3 {
            let _ = node.take(&from, number, FOR_EVER).await;
        }
    }
    eventually(async || node.notes().contains("dead letters were dropped")).await;
    let page = |before, most| PageBounds {
        before,
        most,
        most_bytes: 1 << 20,
    };
    let newest = node.mailbox.letters(page(None, 10)).await.unwrap();
    assert!(
        newest.total < MOST_DEAD + 150 && newest.total >= MOST_DEAD,
        "{}",
        newest.total
    );
    assert_eq!(
        (
            newest.letters.len(),
            newest.letters[0].from_user.as_str(),
            newest.letters[0].kind.as_str()
        ),
        (10, format!("o{}", MOST_DEAD + 150).as_str(), "text")
    );
    let next = node.mailbox.letters(page(newest.next, 10)).await.unwrap();
    assert_eq!(next.letters[0].push.id, newest.letters[9].push.id - 1);
    let id = newest.letters[0].push.id;
    assert!(node.mailbox.dismiss(id).await.unwrap());
    assert!(!node.mailbox.dismiss(id).await.unwrap() && !node.mailbox.replay(id).await.unwrap());
    assert!(node.mailbox.replay(id - 1).await.unwrap());
    let attempts = format!("o{}", MOST_DEAD + 149);
    eventually(async || {
        let log = log.lock().unwrap();
        log.iter()
            .any(|(from, _, attempt, ends)| *from == attempts && *attempt == 6 && *ends)
    })
    .await;
}
