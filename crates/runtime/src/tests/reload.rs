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
async fn what_was_loaded_decides_what_is_a_change() {
    let mut bench = Bench::new().await;
    let source = "const shared = require('../_shared/c'); exports.main = (event) => [shared, require('own'), event.late ? require('../_shared/late') : 0];";
    bench.function("f", source);
    bench.function("other", PID);
    let shared = bench.folder.path().join("functions/_shared");
    let own = bench.dir("f").join("node_modules/own");
    for dir in [&shared, &own] {
        fs::create_dir_all(dir).unwrap();
    }
    let write = |file: PathBuf, text: &str| {
        // Longer each time: a file system's clock may be too coarse to see it otherwise.
        let before = fs::metadata(&file).map_or(0, |metadata| metadata.len());
        let pad = " ".repeat(usize::try_from(before).unwrap());
        fs::write(file, format!("module.exports = {text};{pad}")).unwrap();
    };
    write(shared.join("c.js"), "1");
    write(shared.join("late.js"), "1");
    write(own.join("index.js"), "1");
    bench.load().await;
    let call = async |late: bool| bench.result("f", &format!(r#"{{"late":{late}}}"#)).await.unwrap();
    assert_eq!(call(true).await, "[1,1,1]");
    let changed = async || -> Vec<bool> { bench.load().await.iter().map(|report| report.changed).collect() };
    assert_eq!(changed().await, [false, false]);
    assert!(
        bench
            .runtime
            .consists_of(&shared.canonicalize().unwrap().join("late.js"))
    );
    for (file, expected) in [
        (shared.join("c.js"), "[2,1,1]"),
        (own.join("index.js"), "[2,2,1]"),
        (shared.join("late.js"), "[2,2,2]"),
    ] {
        write(file, "2");
        assert_eq!(changed().await, [true, false], "{expected}");
        assert_eq!(call(true).await, expected);
        assert_eq!(changed().await, [false, false]);
    }
    // What is written all the time and never loaded is no change.
    fs::write(bench.dir("f").join("server.log"), "a line").unwrap();
    assert_eq!(changed().await, [false, false]);
    bench.end().await;
}

#[tokio::test]
async fn what_is_imported_decides_too() {
    let mut bench = Bench::new().await;
    let shared = bench.folder.path().join("functions/_shared");
    fs::create_dir_all(&shared).unwrap();
    let write = |name: &str, value: &str| {
        let file = shared.join(name);
        // Longer each time: a file system's clock may be too coarse to see it otherwise.
        let pad = " ".repeat(fs::metadata(&file).map_or(0, |it| usize::try_from(it.len()).unwrap()));
        fs::write(file, format!("export default {value};{pad}")).unwrap();
    };
    for name in ["static.mjs", "inner.mjs", "late.mjs"] {
        write(name, "1");
    }
    fs::write(shared.join("outer.mjs"), "export { default } from './inner.mjs';").unwrap();
    let esm = "import s from '../_shared/static.mjs'; import i from '../_shared/outer.mjs'; export const main = () => [s, i];";
    bench.function_at("esm", "index.mjs", esm);
    bench.function(
        "f",
        "exports.main = async () => (await import('../_shared/late.mjs?x=1')).default;",
    );
    bench.load().await;
    let changed = async || -> Vec<bool> { bench.load().await.iter().map(|report| report.changed).collect() };
    let both = async || {
        (
            bench.result("esm", "{}").await.unwrap(),
            bench.result("f", "{}").await.unwrap(),
        )
    };
    assert_eq!(both().await, ("[1,1]".to_owned(), "1".to_owned()));
    // What a call has loaded is told after it.
    let late = shared.canonicalize().unwrap().join("late.mjs");
    eventually("word of what was imported", || bench.runtime.consists_of(&late)).await;
    assert_eq!(changed().await, [false, false]);
    for (name, expected, who) in [
        ("static.mjs", "[2,1]", [true, false]),
        ("inner.mjs", "[2,2]", [true, false]),
        ("late.mjs", "[2,2]", [false, true]),
    ] {
        write(name, "2");
        assert_eq!(changed().await, who, "{name}");
        assert_eq!(both().await.0, expected, "{name}");
    }
    assert_eq!(both().await.1, "2");
    bench.end().await;
}

#[tokio::test]
async fn a_file_that_is_written_while_it_is_loaded_has_changed() {
    let mut bench = Bench::new().await;
    let shared = bench.folder.path().join("functions/_shared");
    fs::create_dir_all(&shared).unwrap();
    // It saves another version of itself while its first one runs.
    let source = "require('fs').writeFileSync(__filename, 'module.exports = \"the new one, and longer than the old one was, which is easily seen\"; // '.padEnd(400));
        module.exports = 'old';";
    fs::write(shared.join("c.js"), source).unwrap();
    bench.function("f", "const c = require('../_shared/c'); exports.main = () => c;");
    bench.load().await;
    assert_eq!(bench.result("f", "{}").await.unwrap(), "\"old\"");
    assert!(bench.load().await[0].changed);
    assert!(
        bench
            .result("f", "{}")
            .await
            .unwrap()
            .starts_with("\"the new one")
    );
    bench.end().await;
}

#[tokio::test]
async fn a_change_that_comes_during_a_load_is_waited_for() {
    let mut bench = Bench::new().await;
    bench.function("f", "exports.main = () => 'old';");
    bench.load().await;
    assert_eq!(bench.result("f", "{}").await.unwrap(), "\"old\"");
    // One change is being looked at when the next one comes.
    bench.runtime.expect_changes();
    let seen = bench.runtime.changes_seen();
    bench.runtime.expect_changes();
    bench.runtime.looked_at(seen);
    let runtime = bench.runtime.clone();
    let mut waiting = Box::pin(async move { runtime.invoke(call("f", "{}")).await });
    let first_look = tokio::time::timeout(Duration::ZERO, &mut waiting).await;
    assert!(first_look.is_err());
    bench.function("f", "exports.main = () => 'new code';");
    bench.load().await;
    let json = waiting.await.result.unwrap().json.unwrap();
    assert_eq!(json, "\"new code\"");
    bench.end().await;
}

#[tokio::test]
async fn what_cannot_be_parsed_is_told_when_it_is_loaded_and_is_called_all_the_same() {
    let mut bench = Bench::new().await;
    bench.function(
        "f",
        "exports.main = (event) => event.late ? require('./lib') : 1;",
    );
    fs::write(bench.dir("f").join("lib.js"), "exports.a = 1\nif (true {\n").unwrap();
    bench.function("g", "exports.main = () => 1;");
    let reports = bench.load().await;
    let [fault] = &reports[0].faults[..] else {
        panic!("{reports:?}")
    };
    assert!(
        fault.file.ends_with("lib.js") && fault.line == Some(2),
        "{fault:?}"
    );
    assert!(reports[1].faults.is_empty() && reports[0].problem.is_none());
    assert_eq!(bench.result("f", "{}").await.unwrap(), "1");
    let error = bench.result("f", r#"{"late":true}"#).await.unwrap_err();
    assert!(
        format!("{error:?}").contains(&fault.message.en["cannot be parsed: SyntaxError: ".len()..]),
        "{error:?}"
    );
    bench.end().await;
}

#[tokio::test]
async fn modules_are_found_in_the_functions_own_folder() {
    let mut bench = Bench::new().await;
    let source = "exports.main = () => [require('common'), require('lib/util'), require('both')];";
    bench.function("f", source);
    for (file, text) in [
        ("common.js", "'common'"),
        ("lib/util/index.js", "require('common') + '!'"),
        ("both.js", "'beside'"),
        ("node_modules/both/index.js", "'installed'"),
    ] {
        let file = bench.dir("f").join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, format!("module.exports = {text};")).unwrap();
    }
    bench.load().await;
    assert_eq!(
        bench.result("f", "{}").await.unwrap(),
        r#"["common","common!","installed"]"#
    );
    bench.end().await;
}

#[tokio::test]
async fn a_call_that_comes_after_a_change_waits_for_the_new_code() {
    let mut bench = Bench::new().await;
    bench.function("f", "exports.main = () => 'old';");
    bench.load().await;
    assert_eq!(bench.result("f", "{}").await.unwrap(), "\"old\"");
    bench.runtime.expect_changes();
    let runtime = bench.runtime.clone();
    let waiting = tokio::spawn(async move { runtime.invoke(call("f", "{}")).await });
    bench.function("f", "exports.main = () => 'new code';");
    bench.load().await;
    let json = waiting.await.unwrap().result.unwrap().json.unwrap();
    assert_eq!(json, "\"new code\"");
    bench.end().await;
}

/// A load takes as long as npm does: a call that comes meanwhile has no use for the old code, however long that is.
#[tokio::test]
async fn a_call_waits_for_a_load_as_long_as_it_takes() {
    let mut bench = Bench::new().await;
    bench.package("a", "exports.one = 'new code';");
    bench.function("f", "exports.main = () => require('a').one;");
    bench.depends("f", r#""a":"file:../../packages/a""#);
    bench.load().await;
    let trees = bench.folder.path().join("cache/trees");
    let lock = fs::read_dir(&trees)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|it| it == "lock"))
        .unwrap();
    // Another process installs what this one needs, and takes its time.
    fs::remove_dir_all(lock.with_extension("")).unwrap();
    bench.function("f", "exports.main = () => 'old code';");
    bench.load().await;
    assert_eq!(bench.result("f", "{}").await.unwrap(), "\"old code\"");
    let lock = fs::File::open(lock).unwrap();
    lock.lock().unwrap();
    bench.function("f", "exports.main = () => require('a').one;");
    bench.depends("f", r#""a":"file:../../packages/a""#);
    bench.runtime.expect_changes();
    let mut loading = Box::pin(bench.load());
    let pool = Arc::clone(&bench.runtime.pool);
    let begun = pool.changes.subscribe();
    let has_begun = async move { begun.clone().wait_for(|changes| changes.is_loading).await.is_ok() };
    tokio::select! {
        _ = &mut loading => panic!("it waits for the lock"),
        begun = has_begun => assert!(begun),
    }
    let mut waiting = Box::pin(pool.invoke_within(call("f", "{}"), Duration::ZERO));
    assert!(tokio::time::timeout(Duration::ZERO, &mut waiting).await.is_err());
    lock.unlock().unwrap();
    let (outcome, _) = tokio::join!(waiting, loading);
    assert_eq!(outcome.result.unwrap().json.unwrap(), "\"new code\"");
    bench.end().await;
}

#[tokio::test]
async fn old_code_that_answers_is_told() {
    let bench = Bench::one("exports.main = () => 'old';").await;
    bench.runtime.expect_changes();
    let outcome = bench
        .runtime
        .pool
        .invoke_within(call("f", "{}"), Duration::ZERO)
        .await;
    assert_eq!(outcome.result.unwrap().json.unwrap(), "\"old\"");
    let told = bench.steps();
    assert!(
        matches!(&told[..], [one] if one.starts_with("f was called with its old code")),
        "{told:?}"
    );
    bench.end().await;
}

#[cfg(unix)]
#[tokio::test]
async fn links_that_lead_in_circles_are_followed_once() {
    let mut bench = Bench::new().await;
    bench.function("f", PID);
    for name in ["one", "two"] {
        std::os::unix::fs::symlink(".", bench.dir("f").join(name)).unwrap();
    }
    bench.load().await;
    assert!(bench.result("f", "{}").await.is_ok());
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
