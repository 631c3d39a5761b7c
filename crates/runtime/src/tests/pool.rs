//! How many workers there are, who gets them, and that no reply goes astray.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::OutputLine;

/// Numbers that look random and are the same each time.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Starts calls that run until they are released.
fn hold(bench: &Arc<Bench>, count: usize) -> Vec<(Held, tokio::task::JoinHandle<CallOutcome>)> {
    (0..count)
        .map(|number| {
            let held = Held::new(bench, &format!("held-{number}"));
            let (bench, event) = (Arc::clone(bench), held.event());
            (held, tokio::spawn(async move { bench.call("f", &event).await }))
        })
        .collect()
}

#[tokio::test]
async fn ten_callers_do_not_queue_behind_one_worker() {
    let mut bench = Bench::new().await;
    bench.function("f", WAITING).timeout = Duration::from_secs(60);
    bench.load().await;
    let bench = Arc::new(bench);
    let calls = hold(&bench, 10);
    for (held, _) in &calls {
        held.running().await;
    }
    assert_eq!(workers(&bench), 10);
    for (held, call) in calls {
        held.release();
        call.await.unwrap().result.unwrap();
    }
    Arc::into_inner(bench).unwrap().end().await;
}

fn workers(bench: &Bench) -> usize {
    bench
        .processes()
        .iter()
        .filter(|line| line.contains("bootstrap.js") && !line.contains("examples/guard"))
        .count()
}

#[tokio::test]
async fn no_more_workers_than_allowed() {
    let mut bench = Bench::new().await;
    let function = bench.function("f", WAITING);
    function.max_instances = 2;
    function.timeout = Duration::from_secs(60);
    bench.load().await;
    let bench = Arc::new(bench);
    let mut calls = hold(&bench, 6);
    let running = |calls: &[(Held, _)]| calls.iter().filter(|(held, _)| held.is_running()).count();
    while !calls.is_empty() {
        let expected = calls.len().min(2);
        eventually("two that run", || running(&calls) == expected).await;
        assert_eq!(workers(&bench), 2);
        let at = calls.iter().position(|(held, _)| held.is_running()).unwrap();
        let (held, call) = calls.remove(at);
        held.release();
        call.await.unwrap().result.unwrap();
    }
    Arc::into_inner(bench).unwrap().end().await;
}

#[tokio::test]
async fn the_queue_is_bounded() {
    let mut bench = Bench::new().await;
    let function = bench.function("f", "exports.main = () => 1;");
    function.max_instances = 1;
    function.timeout = Duration::from_secs(60);
    bench.load().await;
    let bench = Arc::new(bench);
    let mut calls = Vec::new();
    for _ in 0..crate::queue::MAX_WAITING + 5 {
        let bench = Arc::clone(&bench);
        calls.push(tokio::spawn(
            async move { bench.result("f", r#"{"ms":0}"#).await },
        ));
    }
    let mut full = 0;
    for call in calls {
        match call.await.unwrap() {
            Err(CallError::QueueFull) => full += 1,
            other => drop(other.unwrap()),
        }
    }
    // They all came before the first worker was there.
    assert_eq!(full, 5);
    Arc::into_inner(bench).unwrap().end().await;
}

#[tokio::test]
async fn loading_is_not_the_callers_time() {
    let mut bench = Bench::new().await;
    let source = "const until = Date.now() + 1500; while (Date.now() < until); exports.main = () => 1;";
    bench.function("f", source).timeout = Duration::from_secs(1);
    bench.load().await;
    let outcome = bench.call("f", "{}").await;
    assert!(outcome.result.is_ok(), "{outcome:?}");
    assert!(outcome.waited >= Duration::from_millis(1500), "{outcome:?}");
    bench.end().await;
}

#[tokio::test]
async fn replies_do_not_cross_when_callers_leave() {
    for (concurrency, max_instances) in [(1, 1), (1, 2), (8, 1), (16, 2)] {
        let mut bench = Bench::new().await;
        let source = "exports.main = async (event, context) => {
            if (event.ms > 0) await new Promise((ok) => setTimeout(ok, event.ms));
            return { sum: event.a + event.b, id: context.request_id, who: process.env.WX_OPENID, pad: event.pad };
        };";
        let function = bench.function("f", source);
        function.concurrency = concurrency;
        function.max_instances = max_instances;
        function.timeout = Duration::from_secs(20);
        bench.load().await;
        let bench = Arc::new(bench);
        let (right, left) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let callers: Vec<_> = (0..6u64)
            .map(|caller| {
                let (bench, right, left) = (Arc::clone(&bench), Arc::clone(&right), Arc::clone(&left));
                tokio::spawn(async move {
                    let mut dice = Dice(caller + 1);
                    for number in 0..80u64 {
                        let (a, b) = (caller * 1_000_000 + number, dice.below(1_000_000_000));
                        let pad =
                            "x".repeat(dice.below(if number % 10 == 0 { 300_000 } else { 100 }) as usize);
                        let leaves = dice.below(3) == 0;
                        // Half of those who leave do so for certain, however fast the machine is; the others just about.
                        let ms = match (leaves, dice.below(4)) {
                            (true, 0 | 1) => 10,
                            (_, 0) => dice.below(4),
                            _ => 0,
                        };
                        let id = format!("r-{caller}-{number}");
                        let event = format!(r#"{{"a":{a},"b":{b},"ms":{ms},"pad":"{pad}"}}"#);
                        let call = bench
                            .runtime
                            .invoke(FunctionCall::new("f".parse().unwrap(), frame(&id, &event)));
                        let patience = if leaves {
                            Duration::from_micros(dice.below(3000))
                        } else {
                            Duration::MAX
                        };
                        match tokio::time::timeout(patience, call).await {
                            Err(_) => left.fetch_add(1, Ordering::Relaxed),
                            Ok(outcome) => {
                                let expected = format!(
                                    r#"{{"sum":{},"id":"{id}","who":"o-{id}","pad":"{pad}"}}"#,
                                    a + b
                                );
                                assert_eq!(outcome.result.unwrap().json.unwrap(), expected);
                                right.fetch_add(1, Ordering::Relaxed)
                            }
                        };
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
        assert!(right.load(Ordering::Relaxed) > 200, "{right:?}");
        assert!(
            left.load(Ordering::Relaxed) > 20,
            "{left:?} callers left: too few to see anything"
        );
        Arc::into_inner(bench).unwrap().end().await;
    }
}

#[tokio::test]
async fn a_worker_that_dies_half_way_through_a_reply_is_not_believed() {
    let mut bench = Bench::new().await;
    // The runtime's own socket, found among the descriptors by its type.
    let source = "const fs = require('fs');
        exports.main = async (event) => {
            if (!event.die) return event;
            const header = Buffer.alloc(24); header.writeUInt32LE(100, 0); header.writeUInt32LE(event.id, 4);
            header.writeUInt32LE(0x59510005, 12); header.write('{\"half\":', 16);
            for (let fd = 3; fd < 64; fd++) { try { if (fs.fstatSync(fd).isSocket()) fs.writeSync(fd, header); } catch {} }
            process.kill(process.pid, 'SIGKILL'); await new Promise(() => {});
        };";
    bench.function("f", source);
    bench.load().await;
    for id in 0..3 {
        let died = bench.result("f", &format!(r#"{{"die":true,"id":{id}}}"#)).await;
        assert_eq!(
            died,
            Err(CallError::Exited {
                how: "it was ended by SIGKILL".to_owned()
            })
        );
        assert_eq!(bench.result("f", r#"{"n":1}"#).await, Ok(r#"{"n":1}"#.to_owned()));
    }
    bench.end().await;
}

#[tokio::test]
async fn a_reply_to_another_call_ends_the_worker() {
    let source = "const fs = require('fs');
        exports.main = async (event) => {
            if (!event.forge) return event;
            const frame = Buffer.alloc(17); frame.writeUInt32LE(1, 0); frame.writeUInt32LE(77, 4);
            frame.writeUInt32LE(0x59510005, 12); frame.write('1', 16);
            for (let fd = 3; fd < 64; fd++) { try { if (fs.fstatSync(fd).isSocket()) fs.writeSync(fd, frame); } catch {} }
            await new Promise(() => {});
        };";
    let bench = Bench::one(source).await;
    let forged = bench.result("f", r#"{"forge":true}"#).await;
    assert!(
        matches!(&forged, Err(CallError::WorkerFailed { why }) if why.contains("own connection")),
        "{forged:?}"
    );
    assert_eq!(bench.result("f", r#"{"n":1}"#).await, Ok(r#"{"n":1}"#.to_owned()));
    bench.end().await;
}

#[tokio::test]
async fn several_calls_at_a_time_keep_their_own_identity() {
    let mut bench = Bench::new().await;
    let source = "exports.main = async (event, context) => {
            process.env.MINE = event.n; const before = process.env.WX_OPENID;
            await new Promise((ok) => setTimeout(ok, event.n % 7));
            console.log('line of ' + event.n);
            return { n: event.n, before, after: process.env.WX_OPENID, mine: process.env.MINE, pid: process.pid }; };";
    let function = bench.function("f", source);
    function.concurrency = 64;
    bench.load().await;
    let bench = Arc::new(bench);
    let calls: Vec<_> = (0..200)
        .map(|n| {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move {
                let call = FunctionCall::new(
                    "f".parse().unwrap(),
                    frame(&format!("r-{n}"), &format!(r#"{{"n":{n}}}"#)),
                );
                (n, bench.runtime.invoke(call).await)
            })
        })
        .collect();
    for call in calls {
        let (n, outcome) = call.await.unwrap();
        let result: serde_json::Value =
            serde_json::from_slice(&outcome.result.unwrap().json.unwrap()).unwrap();
        let who = format!("o-r-{n}");
        assert_eq!(
            (&result["before"], &result["after"]),
            (&who.as_str().into(), &who.as_str().into())
        );
        assert_eq!(result["mine"], n.to_string());
        let lines: Vec<&str> = outcome
            .logs
            .lines()
            .iter()
            .map(|line: &OutputLine| line.text.as_str())
            .collect();
        assert_eq!(lines, [format!("line of {n}")]);
    }
    Arc::into_inner(bench).unwrap().end().await;
}

#[tokio::test]
async fn with_several_calls_at_a_time_a_late_one_does_not_take_the_others_along() {
    let mut bench = Bench::new().await;
    let source = format!(
        "{WAITING}
        const waiting = exports.main;
        exports.main = async (event) => {{
            if (event.crash) {{ setTimeout(() => {{ throw new Error('crash'); }}, 1); await new Promise(() => {{}}); }}
            return waiting(event); }};"
    );
    let function = bench.function("f", &source);
    function.concurrency = 8;
    function.timeout = Duration::from_secs(60);
    bench.load().await;
    let before = bench.result("f", "{}").await.unwrap();
    let [late_held, other_held, last_held] = ["late", "other", "last"].map(|name| Held::new(&bench, name));

    let other_event = other_held.event();
    let other = bench.result("f", &other_event);
    let late = async {
        other_held.running().await;
        let mut late = call("f", &late_held.event());
        late.budget = Some(Duration::from_secs(1));
        let late = bench.runtime.invoke(late).await.result;
        other_held.release();
        late
    };
    let (late, other) = tokio::join!(late, other);
    assert_eq!(
        late,
        Err(CallError::TimedOut {
            after: Duration::from_secs(1)
        })
    );
    assert_eq!(other, Ok(before.clone()), "the other one finishes where it began");
    let after = bench.result("f", "{}").await.unwrap();
    assert_ne!(
        after, before,
        "the worker with the call that cannot be stopped gets no new ones"
    );
    eventually("its end", || workers(&bench) == 1).await;

    let last_event = last_held.event();
    let other = bench.result("f", &last_event);
    let crash = async {
        last_held.running().await;
        let crash = bench.result("f", r#"{"crash":true}"#).await;
        last_held.release();
        crash
    };
    let (crash, other) = tokio::join!(crash, other);
    assert!(
        matches!(&crash, Err(CallError::Threw { message, .. }) if message == "crash"),
        "{crash:?}"
    );
    assert_eq!(other, Ok(after.clone()));
    assert_ne!(bench.result("f", "{}").await.unwrap(), after);
    bench.end().await;
}

#[tokio::test]
async fn with_all_workers_dead_nobody_waits_for_ever() {
    let bench = Arc::new(Bench::one("process.exit(7);").await);
    let calls: Vec<_> = (0..15)
        .map(|_| {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move { bench.result("f", "{}").await })
        })
        .collect();
    for call in calls {
        let result = tokio::time::timeout(Duration::from_secs(20), call)
            .await
            .expect("an answer")
            .unwrap();
        assert_eq!(
            result,
            Err(CallError::Exited {
                how: "exit code 7".to_owned()
            })
        );
    }
    Arc::into_inner(bench).unwrap().end().await;
}

#[tokio::test]
async fn a_process_that_cannot_be_started_is_told() {
    let mut bench = Bench::with(|options| options.guard = vec!["/no/such/guard".into()]).await;
    bench.function("f", "exports.main = () => 1;");
    bench.load().await;
    let result = bench.result("f", "{}").await;
    assert!(
        matches!(&result, Err(CallError::WorkerFailed { why }) if why.contains("could not be started")),
        "{result:?}"
    );
    bench.end().await;
}

#[tokio::test]
async fn idle_workers_retire() {
    let bench = Bench::one("exports.main = () => process.pid;").await;
    bench.result("f", "{}").await.unwrap();
    let later = |seconds| Instant::now() + Duration::from_secs(seconds);
    let before = bench.result("f", "{}").await.unwrap();
    bench.runtime.pool.with(|state| state.retire_idle(later(59)));
    assert_eq!(bench.result("f", "{}").await.unwrap(), before);
    bench.runtime.pool.with(|state| state.retire_idle(later(61)));
    eventually("the end of the worker", || bench.processes().is_empty()).await;
    bench.result("f", "{}").await.unwrap();
    bench.end().await;
}

#[tokio::test]
async fn a_function_that_does_not_get_loaded_is_given_up() {
    let bench = Bench::one("for (;;);").await;
    let call = bench.result("f", "{}");
    let give_up = async {
        eventually("the worker", || workers(&bench) == 1).await;
        bench
            .runtime
            .pool
            .with(|state| state.end_stuck(Instant::now() + Duration::from_secs(31)));
    };
    let (result, ()) = tokio::join!(call, give_up);
    assert!(
        matches!(&result, Err(CallError::CannotRun { why }) if why.contains("did not load within 30 s")),
        "{result:?}"
    );
    bench.end().await;
}

#[tokio::test]
async fn an_inspected_function_has_a_debugger_and_no_timeout() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut bench = Bench::with(|options| {
        options.spares = 1;
        options.inspect = Some(crate::Inspect {
            function: Some("f".parse().unwrap()),
            port,
        });
    })
    .await;
    let source =
        "exports.main = () => new Promise((ok) => setTimeout(() => ok(process.execArgv.length), 1500));";
    for name in ["f", "g"] {
        bench.function(name, source).timeout = Duration::from_secs(1);
    }
    bench.load().await;
    eventually("the debugger", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    })
    .await;
    let told: Vec<String> = bench
        .heard
        .progress
        .lock()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(
        told.contains(&format!("f: debugger at 127.0.0.1:{port}")),
        "{told:?}"
    );
    assert_eq!(bench.result("f", "{}").await, Ok("2".to_owned()));
    assert_eq!(
        bench.result("g", "{}").await,
        Err(CallError::TimedOut {
            after: Duration::from_secs(1)
        })
    );
    bench.end().await;
}

#[tokio::test]
async fn an_abandoned_call_runs_on_and_harms_nobody() {
    let mut bench = Bench::new().await;
    let function = bench.function("f", WAITING);
    function.max_instances = 1;
    function.timeout = Duration::from_secs(60);
    bench.load().await;
    let bench = Arc::new(bench);
    let (held, abandoned) = hold(&bench, 1).remove(0);
    held.running().await;
    abandoned.abort();
    assert!(abandoned.await.unwrap_err().is_cancelled());
    let next = tokio::spawn({
        let bench = Arc::clone(&bench);
        async move { bench.result("f", "{}").await }
    });
    held.release();
    next.await.unwrap().unwrap();
    assert!(held.is_done());
    Arc::into_inner(bench).unwrap().end().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_killed_gateway_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("home");
    let mut gateway = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "tests::pool::a_gateway_to_be_killed",
            "--ignored",
            "--nocapture",
        ])
        .env("REPORT", &report)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    eventually("the gateway's first call", || {
        report.exists() && !fs::read_to_string(&report).unwrap().is_empty()
    })
    .await;
    let home = PathBuf::from(fs::read_to_string(&report).unwrap());
    assert!(
        processes_of(&home).iter().any(|line| line.contains("sleep 1000")),
        "{:?}",
        processes_of(&home)
    );
    gateway.kill().unwrap();
    gateway.wait().unwrap();
    eventually("the end of all processes", || processes_of(&home).is_empty()).await;
    assert!(!home.exists(), "the private folder is removed by the last guard");
}

/// Not a test: the process that `a_killed_gateway_leaves_nothing_behind` kills.
#[tokio::test]
#[ignore = "run by another test"]
async fn a_gateway_to_be_killed() {
    let source =
        "require('child_process').spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' }).unref();
        exports.main = async (event) => { if (event.hang) for (;;); };";
    let bench = Bench::one(source).await;
    bench.result("f", "{}").await.unwrap();
    let report = std::env::var_os("REPORT").unwrap();
    fs::write(report, bench.runtime.pool.workers.folder().to_str().unwrap()).unwrap();
    bench.call("f", r#"{"hang":true}"#).await.result.unwrap();
}
