//! Dependencies: installed once, found from the function's folder, ready in spare workers. The packages are folders of
//! the test's own, so that npm needs no network.

use super::*;
use function::Manifest;

impl Bench {
    /// Writes a package that others can depend on.
    fn package(&self, name: &str, source: &str) {
        let dir = self.folder.path().join("packages").join(name);
        fs::create_dir_all(&dir).unwrap();
        fs::write(
            dir.join("package.json"),
            format!(r#"{{"name":"{name}","version":"1.0.0"}}"#),
        )
        .unwrap();
        fs::write(dir.join("index.js"), source).unwrap();
    }

    /// Gives a function a `package.json` with these dependencies.
    fn depends(&mut self, name: &str, dependencies: &str) {
        let function = self
            .functions
            .iter_mut()
            .find(|function| function.name.as_str() == name)
            .unwrap();
        let package = function.dir.join("package.json");
        fs::write(&package, format!(r#"{{"dependencies":{{{dependencies}}}}}"#)).unwrap();
        function.manifest = Some(Manifest {
            dir: function.dir.clone(),
            package,
            lock: None,
            has_dependencies: true,
            is_module: false,
            hash: dependencies.to_owned(),
        });
    }

    fn installs(&self) -> usize {
        let told = self.heard.progress.lock().unwrap();
        told.iter()
            .filter(|step| matches!(step, Progress::Installing { .. }))
            .count()
    }
}

const A: &str = r#""a":"file:../../packages/a""#;

#[tokio::test]
async fn functions_with_the_same_dependencies_share_a_tree() {
    let mut bench = Bench::new().await;
    bench.package("a", "exports.where = __dirname; exports.one = 1;");
    bench.function("f", "exports.main = () => require('a').where;");
    bench.function("g", "const a = require('a'); exports.main = () => a.where;");
    bench.function_at(
        "esm",
        "index.mjs",
        "import a from 'a'; export const main = () => a.where;",
    );
    bench.function("dynamic", "exports.main = async () => (await import('a')).where;");
    bench.function(
        "none",
        "exports.main = () => { try { return require('a'); } catch (error) { return error.code; } };",
    );
    for name in ["f", "g", "esm", "dynamic"] {
        bench.depends(name, A);
    }
    let reports = bench.load().await;
    assert!(
        reports.iter().all(|report| report.problem.is_none()),
        "{reports:?}"
    );
    assert_eq!(bench.installs(), 1);
    let told: Vec<String> = bench
        .heard
        .progress
        .lock()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(told[0], "installing dependencies 1 of 1: f, g, esm, dynamic");
    let place = bench.result("f", "{}").await.unwrap();
    assert!(
        place.contains("/cache/trees/") && place.ends_with("/node_modules/a\""),
        "{place}"
    );
    for name in ["g", "esm", "dynamic"] {
        assert_eq!(bench.result(name, "{}").await.unwrap(), place, "{name}");
    }
    assert_eq!(bench.result("none", "{}").await.unwrap(), "\"MODULE_NOT_FOUND\"");
    assert!(
        !bench.dir("f").join("node_modules").exists(),
        "nothing is written into the project"
    );

    bench.load().await;
    assert_eq!(bench.installs(), 1, "it is there by now");
    bench.end().await;
}

#[tokio::test]
async fn a_tree_changes_with_the_folders_it_was_made_of() {
    let mut bench = Bench::new().await;
    bench.package("a", "exports.one = 1;");
    bench.function("f", "exports.main = () => require('a').one;");
    bench.depends("f", A);
    bench.load().await;
    assert_eq!(bench.result("f", "{}").await.unwrap(), "1");
    bench.package("a", "exports.one = 'changed';");
    bench.load().await;
    assert_eq!(bench.result("f", "{}").await.unwrap(), "\"changed\"");
    bench.end().await;
}

#[tokio::test]
async fn what_the_function_brings_along_goes_first() {
    let mut bench = Bench::new().await;
    bench.package("a", "exports.one = 'tree';");
    bench.package("b", "exports.one = 'tree';");
    for name in ["whole", "half"] {
        bench.function(name, "exports.main = () => [require('a').one, require('b').one];");
        bench.depends(name, r#""a":"file:../../packages/a","b":"file:../../packages/b""#);
        let brought: &[&str] = if name == "whole" { &["a", "b"] } else { &["a"] };
        for package in brought {
            let own = bench.dir(name).join("node_modules").join(package);
            fs::create_dir_all(&own).unwrap();
            fs::write(own.join("package.json"), "{}").unwrap();
            fs::write(own.join("index.js"), "exports.one = 'own';").unwrap();
        }
    }
    bench.load().await;
    assert_eq!(bench.installs(), 1);
    assert_eq!(bench.result("whole", "{}").await.unwrap(), r#"["own","own"]"#);
    assert_eq!(bench.result("half", "{}").await.unwrap(), r#"["own","tree"]"#);
    bench.end().await;
}

#[tokio::test]
async fn what_cannot_be_installed_is_named_and_fails_alone() {
    let mut bench = Bench::new().await;
    bench.function("bad", "exports.main = () => 1;");
    bench.depends("bad", r#""gone":"file:../../packages/gone""#);
    bench.function("offline", "exports.main = () => 1;");
    bench.depends("offline", r#""yunqiao-no-such-package":"1.0.0""#);
    bench.function("good", "exports.main = () => 1;");
    let reports = bench.load().await;
    let problems: Vec<Option<&str>> = reports.iter().map(|report| report.problem.as_deref()).collect();
    let [Some(bad), Some(offline), None] = problems[..] else {
        panic!("{problems:?}")
    };
    assert!(
        bad.contains("dependencies of bad") && bad.contains("gone"),
        "{bad}"
    );
    assert!(
        offline.contains("dependencies of offline (yunqiao-no-such-package) are not all in npm's cache")
            && offline.contains("without --offline"),
        "{offline}"
    );
    let called = bench.result("bad", "{}").await;
    assert!(
        matches!(&called, Err(CallError::CannotRun { why }) if why == bad),
        "{called:?}"
    );
    assert_eq!(bench.result("good", "{}").await.unwrap(), "1");
    let trees = fs::read_dir(bench.folder.path().join("cache/trees"))
        .unwrap()
        .flatten();
    assert!(
        trees
            .into_iter()
            .all(|entry| entry.path().extension().is_some_and(|it| it == "lock")),
        "no draft is left"
    );
    bench.end().await;
}

#[tokio::test]
async fn two_processes_install_a_tree_once() {
    let mut first = Bench::new().await;
    let cache = first.folder.path().join("cache");
    let mut second = Bench::with(|options| options.cache_dir = cache).await;
    for bench in [&mut first, &mut second] {
        bench.function("f", "exports.main = () => require('a').made;");
    }
    first.package("a", "exports.made = 1;");
    let a = format!(
        r#""a":"file:{}""#,
        first.folder.path().join("packages/a").display()
    );
    first.depends("f", &a);
    second.depends("f", &a);
    tokio::join!(first.load(), second.load());
    assert_eq!(first.result("f", "{}").await.unwrap(), "1");
    assert_eq!(second.result("f", "{}").await.unwrap(), "1");
    let trees = fs::read_dir(first.folder.path().join("cache/trees"))
        .unwrap()
        .flatten();
    assert_eq!(trees.filter(|entry| entry.path().is_dir()).count(), 1);
    first.end().await;
    second.end().await;
}

/// An SDK that takes its time to load.
const SDK: &str = "const until = Date.now() + 400; while (Date.now() < until); exports.pid = process.pid; exports.env = { ...process.env };";

#[tokio::test]
async fn a_spare_has_loaded_the_sdk_before_the_first_call() {
    let mut bench = Bench::with(|options| options.spares = 1).await;
    bench.package("wx-server-sdk", SDK);
    for name in ["f", "g", "h"] {
        let source = "const sdk = require('wx-server-sdk'); exports.main = () => [sdk.pid, process.pid, __dirname, process.cwd()];";
        bench.function(name, source);
        bench.depends(name, r#""wx-server-sdk":"file:../../packages/wx-server-sdk""#);
    }
    bench.load().await;
    let mut pids = Vec::new();
    for name in ["f", "g", "h"] {
        bench
            .runtime
            .pool
            .wait_until(Duration::from_secs(10), |state| state.spares_ready())
            .await;
        let outcome = bench.call(name, "{}").await;
        assert!(
            outcome.waited < Duration::from_millis(200),
            "{:?}",
            outcome.waited
        );
        let result: (u32, u32, String, String) =
            serde_json::from_slice(&outcome.result.unwrap().json.unwrap()).unwrap();
        assert_eq!(result.0, result.1);
        assert!(result.2.ends_with(name) && result.2 == result.3);
        pids.push(result.0);
    }
    pids.dedup();
    assert_eq!(pids.len(), 3, "no spare serves two functions");
    bench.end().await;
}

#[tokio::test]
async fn a_spare_has_its_keys_and_serves_no_function() {
    let mut bench = Bench::with(|options| options.spares = 1).await;
    let sdk = "require('http').get('http://tcb.local/').on('error', () => {});
        exports.id = process.env.TENCENTCLOUD_SECRETID;";
    bench.package("wx-server-sdk", sdk);
    bench.function(
        "f",
        "const { id } = require('wx-server-sdk'); exports.main = () => id;",
    );
    bench.depends("f", r#""wx-server-sdk":"file:../../packages/wx-server-sdk""#);
    let mut connections = bench.runtime.connections().unwrap();
    bench.load().await;
    let spare = connections.recv().await.unwrap().worker;
    assert_eq!(spare.function(), None);
    let id = bench.result("f", "{}").await;
    assert_eq!(id, Ok(format!("\"{}\"", spare.key().id())));
    assert_eq!(spare.function(), Some("f".parse().unwrap()));
    bench.end().await;
}

#[tokio::test]
async fn spares_go_when_nothing_needs_them() {
    let mut bench = Bench::with(|options| options.spares = 1).await;
    bench.function("f", "exports.main = () => 1;");
    bench.load().await;
    assert!(!bench.processes().is_empty());
    bench.functions.clear();
    bench.load().await;
    eventually("the end of the spare", || bench.processes().is_empty()).await;
    bench.end().await;
}

#[tokio::test]
async fn a_pack_is_used_while_its_files_are_as_they_were() {
    let mut first = Bench::with(|options| options.spares = 1).await;
    let cache = first.folder.path().join("cache");
    let sdk = first.folder.path().join("packages/wx-server-sdk");
    first.package(
        "wx-server-sdk",
        "exports.data = require('./data'); exports.name = require('./lib/deep').name;\n  exports.fail = () => { throw new Error('here'); };",
    );
    fs::create_dir_all(sdk.join("lib")).unwrap();
    fs::write(sdk.join("data.json"), r#"{"b":"中"}"#).unwrap();
    fs::write(
        sdk.join("lib/deep.js"),
        "exports.name = 'first'; exports.self = require.resolve('./deep');",
    )
    .unwrap();
    let source = "const sdk = require('wx-server-sdk'); exports.main = () => {
        try { sdk.fail(); } catch (error) { return [sdk.name, sdk.data, error.stack.split('\\n')[1].trim(), require.resolve('wx-server-sdk')]; } };";
    let dependency = format!(r#""wx-server-sdk":"file:{}""#, sdk.display());
    first.function("f", source);
    first.depends("f", &dependency);
    first.load().await;
    let expected = first.result("f", "{}").await.unwrap();
    assert!(
        expected.starts_with(r#"["first",{"b":"中"},"at "#) && expected.contains("index.js:2:32"),
        "{expected}"
    );
    let pack = fs::read_dir(cache.join("packs"))
        .unwrap()
        .flatten()
        .next()
        .expect("a pack")
        .path();

    // Another content under the same size and time: only the pack still knows the old one.
    let modules = fs::read_dir(cache.join("trees"))
        .unwrap()
        .flatten()
        .find(|entry| entry.path().is_dir())
        .unwrap();
    let deep = modules.path().join("node_modules/wx-server-sdk/lib/deep.js");
    let time = deep.metadata().unwrap().modified().unwrap();
    let text = fs::read_to_string(&deep).unwrap().replace("first", "other");
    fs::write(&deep, &text).unwrap();
    fs::File::options()
        .write(true)
        .open(&deep)
        .unwrap()
        .set_modified(time)
        .unwrap();
    for spares in [0, 1] {
        let mut bench = Bench::with(|options| {
            options.cache_dir = cache.clone();
            options.spares = spares;
        })
        .await;
        bench.function("f", source);
        bench.depends("f", &dependency);
        bench.load().await;
        assert_eq!(
            bench.result("f", "{}").await.unwrap(),
            expected,
            "{spares} spares"
        );
        bench.end().await;
    }

    fs::write(&deep, format!("{text} ")).unwrap();
    for (name, spares) in [("a changed file", 0), ("a broken pack", 1), ("a new pack", 0)] {
        if name == "a broken pack" {
            fs::write(&pack, "\u{1}nonsense").unwrap();
        }
        let mut bench = Bench::with(|options| {
            options.cache_dir = cache.clone();
            options.spares = spares;
        })
        .await;
        bench.function("f", source);
        bench.depends("f", &dependency);
        bench.load().await;
        assert_eq!(
            bench.result("f", "{}").await.unwrap(),
            expected.replace("first", "other"),
            "{name}"
        );
        bench.end().await;
    }
    assert!(fs::read(&pack).unwrap().len() > 500, "it was written again");
    first.end().await;
}
