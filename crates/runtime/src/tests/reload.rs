//! Loading again: what changed is replaced, what did not stays, and nothing that runs is lost.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;

const PID: &str = "exports.main = () => process.pid;";

#[tokio::test]
async fn what_did_not_change_keeps_its_workers() {
    let mut bench = Bench::new().await;
    bench.function("same", PID);
    bench.function("other", PID);
    bench.load().await;
    let (same, other) = (
        bench.result("same", "{}").await.unwrap(),
        bench.result("other", "{}").await.unwrap(),
    );
    // Longer than the file was before: a file system's clock may be too coarse to see it otherwise.
    bench.function("other", &format!("{PID}   "));
    let reports = bench.load().await;
    let changed: Vec<bool> = reports.iter().map(|report| report.changed).collect();
    assert_eq!(changed, [false, true]);
    assert_eq!(bench.result("same", "{}").await.unwrap(), same);
    assert_ne!(bench.result("other", "{}").await.unwrap(), other);
    bench.end().await;
}

#[tokio::test]
async fn a_setting_is_a_change() {
    let mut bench = Bench::new().await;
    bench.function("f", PID);
    bench.load().await;
    let before = bench.result("f", "{}").await.unwrap();
    bench.function("f", PID).timeout = Duration::from_secs(7);
    assert!(bench.load().await[0].changed);
    assert_ne!(bench.result("f", "{}").await.unwrap(), before);
    bench.end().await;
}

#[tokio::test]
async fn a_call_under_way_ends_on_the_old_code() {
    let mut bench = Bench::new().await;
    bench.function("f", WAITING).timeout = Duration::from_secs(60);
    bench.load().await;
    let before = bench.result("f", "{}").await.unwrap();
    let held = Held::new(&bench, "held");
    let (runtime, under_way) = (bench.runtime.clone(), call("f", &held.event()));
    let under_way = tokio::spawn(async move { runtime.invoke(under_way).await });
    held.running().await;
    bench.function("f", "exports.main = () => 'new';");
    bench.load().await;
    assert_eq!(bench.result("f", "{}").await.unwrap(), "\"new\"");
    held.release();
    assert_eq!(under_way.await.unwrap().result.unwrap().json.unwrap(), before);
    bench.end().await;
}

#[tokio::test]
async fn no_call_is_lost_while_code_changes() {
    const CALLERS: usize = 4;
    let mut bench = Bench::new().await;
    let source = |n: usize| {
        format!(
            "exports.main = async (event) => {{ await null; return [{n}, event.n]; }};{}",
            " ".repeat(n)
        )
    };
    bench.function("f", &source(0)).concurrency = 4;
    bench.load().await;
    let stop = Arc::new(AtomicBool::new(false));
    // For each caller: the version that answered last, and how many calls it made.
    let seen: Arc<[[AtomicUsize; 2]; CALLERS]> = Arc::default();
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (runtime, stop, seen) = (bench.runtime.clone(), Arc::clone(&stop), Arc::clone(&seen));
            tokio::spawn(async move {
                let [last, calls] = &seen[caller];
                while !stop.load(Ordering::Relaxed) {
                    let outcome = runtime.invoke(call("f", &format!(r#"{{"n":{caller}}}"#))).await;
                    let json = outcome.result.expect("a result").json.unwrap();
                    let [version, n]: [usize; 2] = serde_json::from_slice(&json).unwrap();
                    assert!(version >= last.load(Ordering::Relaxed) && n == caller);
                    last.store(version, Ordering::Relaxed);
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for n in 1..=6 {
        bench.function("f", &source(n)).concurrency = 4;
        bench.load().await;
        // Some calls on each version.
        let before: Vec<usize> = seen.iter().map(|it| it[1].load(Ordering::Relaxed)).collect();
        eventually("calls of the new version", || {
            seen.iter().zip(&before).all(|([last, calls], before)| {
                last.load(Ordering::Relaxed) == n && calls.load(Ordering::Relaxed) > before + 3
            })
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    bench.end().await;
}

#[tokio::test]
async fn a_function_that_is_gone_is_not_found() {
    let mut bench = Bench::new().await;
    bench.function("f", PID);
    bench.function("g", PID);
    bench.load().await;
    bench.result("f", "{}").await.unwrap();
    bench.functions.retain(|function| function.name.as_str() == "g");
    bench.load().await;
    assert_eq!(bench.result("f", "{}").await, Err(CallError::NotFound));
    eventually("the end of its worker", || bench.processes().is_empty()).await;
    assert!(bench.result("g", "{}").await.is_ok());
    bench.end().await;
}
