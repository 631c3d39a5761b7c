//! Calls that functions make. Here the test plays the gateway's part: it makes the nested call on the function's behalf.

use std::pin::Pin;

use super::*;
use crate::{InvocationId, MAX_DEPTH};

/// How each call of a chain ended, the outermost first.
type Ended = Vec<Result<(), CallError>>;

/// Calls `names[0]`, and while it runs, `names[1]` from inside it, and so on. The functions wait for a file, which is
/// written when the call that they made has ended.
fn chain<'a>(
    bench: &'a Bench,
    names: &'a [&'a str],
    parent: Option<InvocationId>,
    depth: usize,
) -> Pin<Box<dyn Future<Output = Ended> + 'a>> {
    Box::pin(async move {
        let Some((name, rest)) = names.split_first() else {
            return Vec::new();
        };
        let done = bench.folder.path().join(format!("done-{depth}"));
        let event = format!(r#"{{"until":"{}"}}"#, done.display());
        let frame = frame("r", &event);
        let call = match parent {
            Some(parent) => Call::nested(name.parse().unwrap(), frame, parent),
            None => Call::new(name.parse().unwrap(), frame),
        };
        let id = call.id();
        let mine = bench.runtime.invoke(call);
        let inner = async {
            running(&done).await;
            let inner = chain(bench, rest, Some(id), depth + 1).await;
            fs::write(&done, "").unwrap();
            inner
        };
        let (outcome, inner) = tokio::join!(mine, inner);
        let mut all = vec![outcome.result.map(|_| ())];
        all.extend(inner);
        all
    })
}

const WAITING: &str = "const fs = require('fs');
    exports.main = async (event) => {
        fs.writeFileSync(event.until + '.running', '');
        while (!fs.existsSync(event.until)) await new Promise((ok) => setTimeout(ok, 5));
    };";

/// Waits until a call that waits for this file is running.
async fn running(until: &Path) {
    let mark = until.with_added_extension("running");
    let since = Instant::now();
    while !mark.exists() && since.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_function_may_call_itself_with_one_worker() {
    let mut bench = Bench::new().await;
    let function = bench.function("f", WAITING);
    function.max_instances = 1;
    function.timeout = Duration::from_secs(20);
    bench.load().await;
    let all = chain(&bench, &["f"; 4], None, 0).await;
    assert_eq!(all, vec![Ok(()); 4]);
    bench.end().await;
}

#[tokio::test]
async fn two_functions_may_call_each_other_with_one_worker_each() {
    let mut bench = Bench::new().await;
    for name in ["f", "g"] {
        let function = bench.function(name, WAITING);
        function.max_instances = 1;
        function.timeout = Duration::from_secs(20);
    }
    bench.load().await;
    let all = chain(&bench, &["f", "g", "f", "g"], None, 0).await;
    assert_eq!(all, vec![Ok(()); 4]);
    bench.end().await;
}

#[tokio::test]
async fn calls_without_end_are_stopped() {
    let mut bench = Bench::new().await;
    let function = bench.function("f", WAITING);
    function.timeout = Duration::from_secs(60);
    bench.load().await;
    let depth = MAX_DEPTH as usize;
    let all = chain(&bench, &vec!["f"; depth + 2], None, 0).await;
    assert_eq!(all[..=depth], vec![Ok(()); depth + 1]);
    assert_eq!(all[depth + 1], Err(CallError::TooDeep));
    bench.end().await;
}

#[tokio::test]
async fn a_bush_of_calls_ends_with_a_clear_error() {
    let mut bench = Bench::new().await;
    let function = bench.function("f", WAITING);
    function.max_instances = 1;
    function.timeout = Duration::from_secs(20);
    bench.load().await;
    let done = bench.folder.path().join("done");
    let event = format!(r#"{{"until":"{}"}}"#, done.display());
    let outer = Call::new("f".parse().unwrap(), frame("r", &event));
    let id = outer.id();
    let outer = bench.runtime.invoke(outer);
    let inner = async {
        running(&done).await;
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..15 {
            let (runtime, frame) = (bench.runtime.clone(), frame("r", &event));
            calls.spawn(async move {
                runtime
                    .invoke(Call::nested("f".parse().unwrap(), frame, id))
                    .await
                    .result
            });
        }
        let mut entangled = 0;
        while let Some(result) = calls.join_next().await {
            match result.unwrap() {
                Err(CallError::Entangled { workers }) => {
                    assert_eq!(workers, 11);
                    entangled += 1;
                    if entangled == 5 {
                        fs::write(&done, "").unwrap();
                    }
                }
                // The others end when the outer one does, which does not wait for them.
                other => assert!(
                    matches!(other, Ok(_) | Err(CallError::AncestorEnded)),
                    "{other:?}"
                ),
            }
        }
        entangled
    };
    let (outer, entangled) = tokio::join!(outer, inner);
    assert!(outer.result.is_ok());
    assert_eq!(entangled, 5);
    bench.end().await;
}

#[tokio::test]
async fn a_nested_call_ends_with_its_ancestor() {
    let mut bench = Bench::new().await;
    bench.function(
        "outer",
        "exports.main = () => new Promise((ok) => setTimeout(ok, 300));",
    );
    bench
        .function("inner", "exports.main = () => new Promise(() => {});")
        .timeout = Duration::from_secs(20);
    bench.load().await;
    let outer = Call::new("outer".parse().unwrap(), frame("r", "{}"));
    let id = outer.id();
    let inner = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        bench
            .runtime
            .invoke(Call::nested("inner".parse().unwrap(), frame("r", "{}"), id))
            .await
    };
    let (outer, inner) = tokio::join!(bench.runtime.invoke(outer), inner);
    assert!(outer.result.is_ok());
    assert_eq!(inner.result, Err(CallError::AncestorEnded));
    assert!(inner.ran + inner.waited < Duration::from_secs(3));
    let late = bench
        .runtime
        .invoke(Call::nested("inner".parse().unwrap(), frame("r", "{}"), id))
        .await;
    assert_eq!(late.result, Err(CallError::AncestorEnded));
    bench.end().await;
}

#[tokio::test]
async fn a_nested_call_has_no_more_time_than_its_ancestor() {
    let mut bench = Bench::new().await;
    bench
        .function("outer", "exports.main = () => new Promise(() => {});")
        .timeout = Duration::from_secs(1);
    let source = "exports.main = async (event, context) => context.getRemainingTimeInMillis();";
    bench.function("inner", source).timeout = Duration::from_secs(20);
    bench.load().await;
    bench.result("inner", "{}").await.unwrap();
    let outer = Call::new("outer".parse().unwrap(), frame("r", "{}"));
    let id = outer.id();
    let inner = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        bench
            .runtime
            .invoke(Call::nested("inner".parse().unwrap(), frame("r", "{}"), id))
            .await
    };
    let (outer, inner) = tokio::join!(bench.runtime.invoke(outer), inner);
    assert!(matches!(outer.result, Err(CallError::TimedOut { .. })));
    let left: u64 = std::str::from_utf8(&inner.result.unwrap().json.unwrap())
        .unwrap()
        .parse()
        .unwrap();
    assert!(left < 1000, "{left}");
    bench.end().await;
}

#[tokio::test]
async fn where_calls_share_a_worker_one_without_ancestor_harms_nobody() {
    let mut bench = Bench::new().await;
    bench.function(
        "outer",
        "exports.main = () => new Promise((ok) => setTimeout(ok, 200));",
    );
    let source =
        "exports.main = (event) => new Promise((ok) => setTimeout(() => ok(process.pid), event.ms));";
    let inner = bench.function("inner", source);
    inner.concurrency = 4;
    inner.timeout = Duration::from_secs(2);
    bench.load().await;
    bench.result("outer", "{}").await.unwrap();
    let before = bench.result("inner", r#"{"ms":0}"#).await.unwrap();
    let outer = Call::new("outer".parse().unwrap(), frame("r", "{}"));
    let id = outer.id();
    let inner = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let nested = |ms| {
            let event = format!(r#"{{"ms":{ms}}}"#);
            bench
                .runtime
                .invoke(Call::nested("inner".parse().unwrap(), frame("r", &event), id))
        };
        tokio::join!(
            nested(500),
            nested(1_000_000),
            bench.result("inner", r#"{"ms":1000}"#)
        )
    };
    let (outer, (short, endless, beside)) = tokio::join!(bench.runtime.invoke(outer), inner);
    assert!(outer.result.is_ok());
    assert_eq!(short.result, Err(CallError::AncestorEnded));
    assert_eq!(endless.result, Err(CallError::AncestorEnded));
    assert_eq!(beside, Ok(before.clone()));
    assert_eq!(
        bench.result("inner", r#"{"ms":0}"#).await,
        Ok(before.clone()),
        "it is not replaced at once"
    );
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let after = bench.result("inner", r#"{"ms":0}"#).await.unwrap();
    assert_ne!(after, before, "but when the endless call is late");
    bench.end().await;
}
