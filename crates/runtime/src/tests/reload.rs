//! Loading again: what changed is replaced, what did not stays, and nothing that runs is lost.

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
    bench.function(
        "f",
        "exports.main = () => new Promise((ok) => setTimeout(() => ok('old'), 400));",
    );
    bench.load().await;
    let runtime = bench.runtime.clone();
    let running = tokio::spawn(async move { runtime.invoke(call("f", "{}")).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    bench.function("f", "exports.main = () => 'new';");
    bench.load().await;
    assert_eq!(bench.result("f", "{}").await.unwrap(), "\"new\"");
    assert_eq!(running.await.unwrap().result.unwrap().json.unwrap(), "\"old\"");
    bench.end().await;
}

#[tokio::test]
async fn no_call_is_lost_while_code_changes() {
    let mut bench = Bench::new().await;
    let source = |n: usize| {
        format!(
            "exports.main = async (event) => {{ await null; return [{n}, event.n]; }};{}",
            " ".repeat(n)
        )
    };
    bench.function("f", &source(0)).concurrency = 4;
    bench.load().await;
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let callers: Vec<_> = (0..4)
        .map(|caller| {
            let (runtime, stop) = (bench.runtime.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut last = 0;
                let mut calls = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let outcome = runtime.invoke(call("f", &format!(r#"{{"n":{caller}}}"#))).await;
                    let json = outcome.result.expect("a result").json.unwrap();
                    let [version, n]: [usize; 2] = serde_json::from_slice(&json).unwrap();
                    assert!(version >= last && n == caller);
                    last = version;
                    calls += 1;
                }
                (last, calls)
            })
        })
        .collect();
    for n in 1..=6 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        bench.function("f", &source(n)).concurrency = 4;
        bench.load().await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for caller in callers {
        let (last, calls) = caller.await.unwrap();
        assert_eq!(last, 6);
        assert!(calls > 20);
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
