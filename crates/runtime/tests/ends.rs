//! What is left in this process of workers that have ended: nothing. A test binary of its own, because it counts the
//! descriptors of the whole process.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(target_os = "linux")]

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use function::Function;
use rustix::process::{Resource, Rlimit};
use yunqiao_runtime::{
    CallError, Frame, FunctionCall, Loaded, Observer, PrintedLine, Progress, Runtime, RuntimeOptions,
};

/// Calls are made on so many functions at a time.
const FUNCTIONS: usize = 4;

struct Deaf;

impl Observer for Deaf {
    fn progress(&self, _: Progress) {}
    fn printed(&self, _: PrintedLine) {}
}

fn guard() -> PathBuf {
    let me = std::env::current_exe().unwrap();
    me.ancestors().nth(2).unwrap().join("examples/guard")
}

fn node() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path)
        .map(|folder| folder.join("node"))
        .find(|node| node.is_file())
        .expect("Node on PATH")
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Ends workers, each by a call that ends its process, with only so many descriptors to spare.
async fn end_workers(ends: usize) {
    let folder = tempfile::tempdir().unwrap();
    let options = RuntimeOptions {
        node: node(),
        cache_dir: folder.path().join("cache"),
        guard: vec![guard().into_os_string()],
        offline: true,
        spares: 0,
        max_workers: FUNCTIONS,
        inspect: None,
        places: false,
        log_limit: 1024,
        key_variables: ["ID", "SECRET"].map(str::to_owned),
        files_at: None,
        wechat_at: None,
    };
    let runtime = Runtime::start(options, Arc::new(Deaf)).await.unwrap();
    let names: Vec<_> = (0..FUNCTIONS).map(|number| format!("f{number}")).collect();
    let functions = names.iter().map(|name| {
        let dir = folder.path().join(name);
        fs::create_dir(&dir).unwrap();
        let source = "exports.main = ({ how }) => { how === 'exit' ? process.exit(3) : process.kill(process.pid, 'SIGKILL'); };";
        fs::write(dir.join("index.js"), source).unwrap();
        Loaded {
            function: Function::new(name.parse().unwrap(), dir.clone(), dir.join("index.js")),
            context: "{}".to_owned(),
        }
    });
    runtime.load(functions.collect()).await;
    let round = async || {
        let mut calls = tokio::task::JoinSet::new();
        for (number, name) in names.iter().enumerate() {
            let mut frame = Frame::new();
            frame.head().extend_from_slice(b"{\"r\":\"r\",\"e\":{}}");
            let how = if number % 2 == 0 { "exit" } else { "kill" };
            frame
                .event()
                .extend_from_slice(format!("{{\"how\":\"{how}\"}}").as_bytes());
            let (runtime, call) = (runtime.clone(), FunctionCall::new(name.parse().unwrap(), frame));
            calls.spawn(async move { runtime.invoke(call).await.result });
        }
        while let Some(result) = calls.join_next().await {
            let result = result.unwrap();
            assert!(matches!(result, Err(CallError::Exited { .. })), "{result:?}");
        }
    };
    round().await;
    let before = settled(usize::MAX).await;
    for _ in 1..ends.div_ceil(FUNCTIONS) {
        round().await;
    }
    let after = settled(before).await;
    assert!(
        after <= before,
        "{before} descriptors before {ends} ends of workers, {after} after"
    );
    runtime.shutdown().await;
}

/// The number of descriptors, as soon as it is no more than `wanted`, or when that has not come about for long.
async fn settled(wanted: usize) -> usize {
    let since = Instant::now();
    while descriptors() > wanted && since.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    descriptors()
}

/// Far fewer descriptors than workers that end.
fn few_descriptors() {
    let limit = Rlimit {
        current: Some(256),
        maximum: rustix::process::getrlimit(Resource::Nofile).maximum,
    };
    rustix::process::setrlimit(Resource::Nofile, limit).unwrap();
}

#[tokio::test]
async fn nothing_is_left_of_workers_that_ended() {
    few_descriptors();
    end_workers(120).await;
}

#[tokio::test]
#[ignore = "a storm: cargo test -p yunqiao-runtime --test ends -- --ignored"]
async fn nothing_is_left_of_five_thousand_workers() {
    few_descriptors();
    end_workers(5000).await;
}
