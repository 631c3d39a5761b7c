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
        let held = Held::new(bench, &format!("held-{depth}"));
        let frame = frame("r", &held.event());
        let call = match parent {
            Some(parent) => FunctionCall::nested(name.parse().unwrap(), frame, parent),
            None => FunctionCall::new(name.parse().unwrap(), frame),
        };
        let id = call.id();
        let mine = bench.runtime.invoke(call);
        tokio::pin!(mine);
        tokio::select! {
            // It was refused.
            outcome = &mut mine => return vec![outcome.result.map(|_| ())],
            () = held.running() => {}
        }
        let inner = chain(bench, rest, Some(id), depth + 1).await;
        held.release();
        let mut all = vec![mine.await.result.map(|_| ())];
        all.extend(inner);
        all
    })
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
    let held = Held::new(&bench, "held");
    let event = held.event();
    let outer = FunctionCall::new("f".parse().unwrap(), frame("r", &event));
    let id = outer.id();
    let outer = bench.runtime.invoke(outer);
    let inner = async {
        held.running().await;
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..15 {
            let (runtime, frame) = (bench.runtime.clone(), frame("r", &event));
            calls.spawn(async move {
                runtime
                    .invoke(FunctionCall::nested("f".parse().unwrap(), frame, id))
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
                        held.release();
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
    for name in ["outer", "inner"] {
        bench.function(name, WAITING).timeout = Duration::from_secs(60);
    }
    bench.load().await;
    let [outer_held, inner_held] = ["outer", "inner"].map(|name| Held::new(&bench, name));
    let outer = FunctionCall::new("outer".parse().unwrap(), frame("r", &outer_held.event()));
    let id = outer.id();
    let nested = || FunctionCall::nested("inner".parse().unwrap(), frame("r", &inner_held.event()), id);
    let inner = async {
        outer_held.running().await;
        let release = async {
            inner_held.running().await;
            outer_held.release();
        };
        tokio::join!(bench.runtime.invoke(nested()), release).0
    };
    let (outer, inner) = tokio::join!(bench.runtime.invoke(outer), inner);
    assert!(outer.result.is_ok());
    assert_eq!(inner.result, Err(CallError::AncestorEnded));
    let late = bench.runtime.invoke(nested()).await;
    assert_eq!(late.result, Err(CallError::AncestorEnded));
    bench.end().await;
}

#[tokio::test]
async fn a_nested_call_has_no_more_time_than_its_ancestor() {
    let mut bench = Bench::new().await;
    bench.function("outer", WAITING).timeout = Duration::from_secs(30);
    let source = "exports.main = async (event, context) => context.getRemainingTimeInMillis();";
    bench.function("inner", source).timeout = Duration::from_secs(60);
    bench.load().await;
    let held = Held::new(&bench, "held");
    let outer = FunctionCall::new("outer".parse().unwrap(), frame("r", &held.event()));
    let id = outer.id();
    let inner = async {
        held.running().await;
        let nested = FunctionCall::nested("inner".parse().unwrap(), frame("r", "{}"), id);
        let outcome = bench.runtime.invoke(nested).await;
        held.release();
        outcome
    };
    let (outer, inner) = tokio::join!(bench.runtime.invoke(outer), inner);
    outer.result.unwrap();
    let left: u64 = std::str::from_utf8(&inner.result.unwrap().json.unwrap())
        .unwrap()
        .parse()
        .unwrap();
    assert!(left < 30_000, "{left}");
    bench.end().await;
}

#[tokio::test]
async fn where_calls_share_a_worker_one_without_ancestor_harms_nobody() {
    let mut bench = Bench::new().await;
    bench.function("outer", WAITING).timeout = Duration::from_secs(60);
    let inner = bench.function("inner", WAITING);
    inner.concurrency = 4;
    inner.timeout = Duration::from_secs(60);
    bench.load().await;
    let before = bench.result("inner", "{}").await.unwrap();
    let [outer_held, endless, beside] = ["outer", "endless", "beside"].map(|name| Held::new(&bench, name));
    let outer = FunctionCall::new("outer".parse().unwrap(), frame("r", &outer_held.event()));
    let id = outer.id();
    let calls = async {
        outer_held.running().await;
        let mut nested = FunctionCall::nested("inner".parse().unwrap(), frame("r", &endless.event()), id);
        nested.budget = Some(Duration::from_secs(10));
        let steps = async {
            endless.running().await;
            beside.running().await;
            outer_held.release();
        };
        let beside_event = beside.event();
        let beside_call = async {
            let call = bench.result("inner", &beside_event);
            tokio::pin!(call);
            // The outer call ends, and with it the endless one; this one runs on beside that.
            let stays = eventually("the end of the outer call", || outer_held.is_done());
            tokio::select! { result = &mut call => panic!("{result:?}"), () = stays => {} }
            assert_eq!(
                bench.result("inner", "{}").await,
                Ok(before.clone()),
                "the worker is not replaced at once"
            );
            beside.release();
            call.await
        };
        let (endless, (), beside) = tokio::join!(bench.runtime.invoke(nested), steps, beside_call);
        (endless.result, beside)
    };
    let (outer, (endless, beside)) = tokio::join!(bench.runtime.invoke(outer), calls);
    assert!(outer.result.is_ok());
    assert_eq!(endless, Err(CallError::AncestorEnded));
    assert_eq!(beside, Ok(before.clone()));
    // When the endless call is late, nothing but the end of the process can stop it.
    bench
        .runtime
        .pool
        .with(|state| state.tick(Instant::now() + Duration::from_secs(11)));
    assert_ne!(bench.result("inner", "{}").await.unwrap(), before);
    bench.end().await;
}
