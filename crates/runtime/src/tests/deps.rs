//! Dependencies: installed once, found from the function's folder, ready in spare workers. The packages are folders of
//! the test's own, so that npm needs no network.

use super::*;
use function::Manifest;

impl Bench {
    /// Writes a package that others can depend on.
    pub(super) fn package(&self, name: &str, source: &str) {
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
    pub(super) fn depends(&mut self, name: &str, dependencies: &str) {
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

/// Whether the Node that runs the functions takes a `.js` file for an ES module by what stands in it.
fn detects_modules() -> bool {
    let print = "process.stdout.write(String(process.features.require_module === true))";
    let output = std::process::Command::new("node")
        .args(["-e", print])
        .output()
        .unwrap();
    output.stdout == b"true"
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
    // Node says whether it takes such a file for a module; where it does not, that is told when it is loaded.
    let detects = detects_modules();
    bench.function(
        "unmarked",
        "// a module\nimport a from 'a'; export const main = () => a.where;",
    );
    bench.function(
        "none",
        "exports.main = () => { try { return require('a'); } catch (error) { return error.code; } };",
    );
    for name in ["f", "g", "esm", "dynamic", "unmarked"] {
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
    assert_eq!(
        told[0],
        "installing dependencies 1 of 1: f, g, esm, dynamic, unmarked"
    );
    let place = bench.result("f", "{}").await.unwrap();
    assert!(
        place.contains("/cache/trees/") && place.ends_with("/node_modules/a\""),
        "{place}"
    );
    for name in ["g", "esm", "dynamic"] {
        assert_eq!(bench.result(name, "{}").await.unwrap(), place, "{name}");
    }
    let unmarked = bench.result("unmarked", "{}").await;
    let told = reports
        .iter()
        .find(|report| report.name.as_str() == "unmarked")
        .unwrap();
    match detects {
        true => assert_eq!(unmarked.unwrap(), place),
        false => {
            assert!(unmarked.is_err());
            assert!(
                told.faults[0].to_string().contains("is written as an ES module"),
                "{told:?}"
            );
        }
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
    let problems = reports.iter().map(|report| report.problem.as_ref());
    let problems: Vec<Option<&str>> = problems.map(|told| told.map(|told| &*told.en)).collect();
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

/// An SDK that leaves a file named by the process that loads it.
fn sdk(witness: &Path) -> String {
    let witness = witness.display().to_string();
    format!("require('fs').writeFileSync({witness:?} + '/' + process.pid, ''); exports.pid = process.pid;")
}

#[tokio::test]
async fn a_spare_has_loaded_the_sdk_before_the_first_call() {
    let mut bench = Bench::with(|options| options.spares = 1).await;
    let witness = bench.folder.path().join("loaded");
    fs::create_dir(&witness).unwrap();
    bench.package("wx-server-sdk", &sdk(&witness));
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
        let before: Vec<_> = fs::read_dir(&witness)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        let outcome = bench.call(name, "{}").await;
        let result: (u32, u32, String, String) =
            serde_json::from_slice(&outcome.result.unwrap().json.unwrap()).unwrap();
        assert_eq!(result.0, result.1);
        let pid = result.0.to_string();
        assert!(before.iter().any(|loaded| *loaded == *pid), "{pid} of {before:?}");
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

/// A registry on this machine that has the packages of a folder, each as version 1.0.0.
struct Registry {
    port: u16,
    /// What was asked for.
    asked: Arc<Mutex<Vec<String>>>,
    /// Integrity by name.
    integrity: std::collections::BTreeMap<String, String>,
}

impl Registry {
    /// Packs the packages with npm, and serves them.
    fn start(bench: &Bench) -> Self {
        use std::io::{BufRead, BufReader, Write};

        let packed = bench.folder.path().join("packed");
        fs::create_dir_all(&packed).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut files = std::collections::BTreeMap::new();
        let mut integrity = std::collections::BTreeMap::new();
        for package in fs::read_dir(bench.folder.path().join("packages"))
            .unwrap()
            .flatten()
        {
            let output = std::process::Command::new("npm")
                .args(["pack", "--json", "--silent", "--pack-destination"])
                .arg(&packed)
                .current_dir(package.path())
                .output()
                .unwrap();
            let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            let name = told[0]["name"].as_str().unwrap().to_owned();
            let sum = told[0]["integrity"].as_str().unwrap().to_owned();
            let tarball = fs::read(packed.join(told[0]["filename"].as_str().unwrap())).unwrap();
            let manifest = fs::read(package.path().join("package.json")).unwrap();
            let mut version: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
            if version["scripts"]["install"].is_string() {
                version["hasInstallScript"] = true.into();
            }
            version["dist"] = serde_json::json!({ "integrity": sum,
                "tarball": format!("http://127.0.0.1:{port}/{name}/-/{name}-1.0.0.tgz") });
            let about = serde_json::json!({ "name": name, "dist-tags": { "latest": "1.0.0" }, "versions": { "1.0.0": version } });
            files.insert(format!("/{name}"), about.to_string().into_bytes());
            files.insert(format!("/{name}/-/{name}-1.0.0.tgz"), tarball);
            integrity.insert(name, sum);
        }
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let first = lines.next().and_then(Result::ok).unwrap_or_default();
                while lines
                    .next()
                    .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
                {}
                let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
                let (status, body) = match files.get(&path) {
                    Some(body) => ("200 OK", body.as_slice()),
                    None => ("404 Not Found", b"{}".as_slice()),
                };
                heard.lock().unwrap().push(path);
                let head = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes());
                let _ = stream.write_all(body);
            }
        });
        Self {
            port,
            asked,
            integrity,
        }
    }

    /// An entry of a lock file, with an address at a mirror that is gone.
    fn locked(&self, name: &str) -> String {
        format!(
            r#""node_modules/{name}":{{"version":"1.0.0","resolved":"https://registry.npm.taobao.org/{name}/download/{name}-1.0.0.tgz?cache=0","integrity":"{}"}}"#,
            self.integrity[name]
        )
    }
}

impl Bench {
    async fn online() -> Self {
        Self::with(|options| options.offline = false).await
    }

    /// Gives a function dependencies from the registry, and a lock file with these entries.
    fn locks(
        &mut self,
        registry: &Registry,
        name: &str,
        dependencies: &str,
        entries: Option<&[String]>,
        npmrc: &str,
    ) {
        self.depends(name, dependencies);
        let dir = self.dir(name);
        let cache = self.folder.path().join("npm-cache");
        let text = format!(
            "registry=http://127.0.0.1:{}\ncache={}\n{npmrc}\n",
            registry.port,
            cache.display()
        );
        fs::write(dir.join(".npmrc"), text).unwrap();
        if let Some(entries) = entries {
            let lock = dir.join("package-lock.json");
            let mut packages = vec![format!(r#""":{{"dependencies":{{{dependencies}}}}}"#)];
            packages.extend_from_slice(entries);
            let text = format!(
                r#"{{"lockfileVersion":2,"requires":true,"packages":{{{}}}}}"#,
                packages.join(",")
            );
            fs::write(&lock, text).unwrap();
            let function = self
                .functions
                .iter_mut()
                .find(|it| it.name.as_str() == name)
                .unwrap();
            function.manifest.as_mut().unwrap().lock = Some(lock);
        }
    }

    pub(super) fn steps(&self) -> Vec<String> {
        let told = self.heard.progress.lock().unwrap();
        told.iter().map(ToString::to_string).collect()
    }
}

#[tokio::test]
async fn locks_of_real_projects_are_installed() {
    let mut bench = Bench::online().await;
    for name in ["a", "b"] {
        bench.package(name, &format!("module.exports = '{name}';"));
    }
    let registry = Registry::start(&bench);
    for name in ["mirror", "lacking", "unpublished", "nothing"] {
        bench.function(name, "exports.main = () => require('a') + (() => { try { return require('b'); } catch { return '-'; } })();");
    }
    let (a, ab) = (r#""a":"1.0.0""#, r#""a":"1.0.0","b":"1.0.0""#);
    bench.locks(&registry, "mirror", a, Some(&[registry.locked("a")]), "");
    bench.locks(&registry, "lacking", ab, Some(&[registry.locked("a")]), "");
    let gone =
        r#""node_modules/a":{"version":"1.0.7","resolved":"https://registry.npmjs.org/a/-/a-1.0.7.tgz"}"#;
    bench.locks(
        &registry,
        "unpublished",
        r#""a":"^1.0.0""#,
        Some(&[gone.to_owned()]),
        "",
    );
    bench.locks(&registry, "nothing", r#""a":"1.0.0","nowhere":"1.0.0""#, None, "");
    let reports = bench.load().await;
    assert_eq!(
        bench.result("mirror", "{}").await,
        Ok("\"a-\"".to_owned()),
        "{reports:?}"
    );
    assert_eq!(
        bench.result("lacking", "{}").await,
        Ok("\"ab\"".to_owned()),
        "{reports:?}"
    );
    assert_eq!(
        bench.result("unpublished", "{}").await,
        Ok("\"a-\"".to_owned()),
        "{reports:?}"
    );
    assert!(
        registry
            .asked
            .lock()
            .unwrap()
            .contains(&"/a/-/a-1.0.0.tgz".to_owned())
    );
    let steps = bench.steps();
    let note = |step: &&String| {
        step.contains("unpublished; package-lock.json names what the registry does not have")
            && step.contains("a-1.0.7.tgz")
    };
    assert_eq!(steps.iter().filter(note).count(), 1, "{steps:?}");
    let note = |step: &&String| {
        step.contains("lacking; the lock file does not fit package.json (Missing: b@1.0.0 from lock file)")
    };
    assert_eq!(steps.iter().filter(note).count(), 1, "{steps:?}");

    // One that cannot be installed says why, once, and stops no other.
    let problem = |reports: &[LoadReport]| {
        let report = reports.iter().find(|report| report.name.as_str() == "nothing");
        report.unwrap().problem.clone().unwrap_or_default().en
    };
    let told = problem(&reports);
    assert!(
        told.contains("code E404") && told.contains("`npm install --omit=dev` in "),
        "{told}"
    );
    let reports = bench.load().await;
    assert_eq!(problem(&reports), told);
    assert_eq!(bench.steps(), steps, "nothing is told or tried again");
    bench.end().await;
}

#[tokio::test]
async fn a_lock_may_name_a_registry_that_only_its_author_reaches() {
    let mut bench = Bench::online().await;
    bench.package("a", "module.exports = 'a';");
    let registry = Registry::start(&bench);
    for name in ["known", "changed"] {
        bench.function(name, "exports.main = () => require('a');");
    }
    // Nothing listens there any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let entry = |integrity: &str| {
        format!(
            r#""node_modules/a":{{"version":"1.0.0","resolved":"http://{gone}/a/download/a-1.0.0.tgz","integrity":"{integrity}"}}"#
        )
    };
    let a = r#""a":"1.0.0""#;
    bench.locks(
        &registry,
        "known",
        a,
        Some(&[entry(&registry.integrity["a"])]),
        "",
    );
    let other =
        "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==";
    // Written otherwise, so that the two share no tree.
    bench.locks(&registry, "changed", r#""a": "1.0.0""#, Some(&[entry(other)]), "");
    let reports = bench.load().await;
    assert_eq!(
        bench.result("known", "{}").await,
        Ok("\"a\"".to_owned()),
        "{reports:?}"
    );
    let steps = bench.steps();
    let note = |step: &&String| {
        step.contains("known; package-lock.json names a registry that cannot be reached from here")
    };
    assert_eq!(steps.iter().filter(note).count(), 1, "{steps:?}");
    // What is published under that name and is another thing is not taken for it.
    let changed = reports
        .iter()
        .find(|report| report.name.as_str() == "changed")
        .unwrap();
    assert!(changed.problem.is_some(), "{reports:?}");
    bench.end().await;
}

#[tokio::test]
async fn a_version_of_the_sdk_that_never_was_gives_way_to_the_nearest_and_nothing_else_does() {
    let mut bench = Bench::online().await;
    bench.package("a", "module.exports = 'a';");
    bench.package("wx-server-sdk", "module.exports = 'sdk';");
    let registry = Registry::start(&bench);
    for name in ["asks", "locked", "other"] {
        bench.function(
            name,
            "exports.main = () => require('a') + require('wx-server-sdk');",
        );
    }
    let sdk = r#""a":"1.0.0","wx-server-sdk":"^2.9.1""#;
    bench.locks(&registry, "asks", sdk, None, "");
    let gone =
        r#""node_modules/a":{"version":"1.0.7","resolved":"https://registry.npmjs.org/a/-/a-1.0.7.tgz"}"#;
    bench.locks(
        &registry,
        "locked",
        r#""a":"^1.0.0","wx-server-sdk":"~2.6.9""#,
        Some(&[gone.to_owned()]),
        "",
    );
    bench.locks(
        &registry,
        "other",
        r#""a":"^2.0.0","wx-server-sdk":"1.0.0""#,
        None,
        "",
    );
    let reports = bench.load().await;
    for name in ["asks", "locked"] {
        assert_eq!(
            bench.result(name, "{}").await,
            Ok("\"asdk\"".to_owned()),
            "{name}: {reports:?}"
        );
    }
    let steps = bench.steps();
    for (name, range) in [("asks", "^2.9.1"), ("locked", "~2.6.9")] {
        let told = format!(
            "the registry has no wx-server-sdk {range}, which package.json asks for: installed with 1.0.0"
        );
        let note = |step: &&String| step.contains(name) && step.contains(&told);
        assert_eq!(steps.iter().filter(note).count(), 1, "{name}: {steps:?}");
    }
    let other = reports
        .iter()
        .find(|report| report.name.as_str() == "other")
        .unwrap();
    let told = other.problem.clone().unwrap_or_default().en;
    assert!(told.contains("No matching version found for a@^2.0.0"), "{told}");
    let package = fs::read_to_string(bench.dir("asks").join("package.json")).unwrap();
    assert!(
        package.contains("^2.9.1"),
        "the project's own file is left alone: {package}"
    );
    bench.end().await;
}

/// Ten functions of different dependencies, whose locks all name a mirror that is gone.
async fn load_ten(bench: &mut Bench, registry: &Registry) -> Vec<LoadReport> {
    for number in 0..10 {
        let (name, package) = (format!("f{number}"), format!("p{number}"));
        bench.function(&name, &format!("exports.main = () => require('{package}');"));
        let dependencies = format!(r#""{package}":"1.0.0""#);
        bench.locks(
            registry,
            &name,
            &dependencies,
            Some(&[registry.locked(&package)]),
            "",
        );
    }
    let reports = bench.load().await;
    for number in 0..10 {
        let result = bench.result(&format!("f{number}"), "{}").await;
        assert_eq!(result, Ok(number.to_string()), "{reports:?}");
    }
    reports
}

#[tokio::test]
async fn trees_with_a_dead_mirror_are_installed_side_by_side_and_offline_again() {
    let mut bench = Bench::online().await;
    for number in 0..10 {
        bench.package(&format!("p{number}"), &format!("module.exports = {number};"));
    }
    let registry = Registry::start(&bench);
    load_ten(&mut bench, &registry).await;
    let steps = bench.steps();
    assert_eq!(bench.installs(), 10, "{steps:?}");
    // Several have begun before the first one has ended, and each is told.
    let first_end = steps
        .iter()
        .position(|step| step.starts_with("installed"))
        .unwrap();
    assert!(first_end > 1, "{steps:?}");
    assert_eq!(
        steps.iter().filter(|step| step.starts_with("installed")).count(),
        10
    );
    // They are made straight from their locks: npm notes in each tree what it has installed.
    let trees = fs::read_dir(bench.folder.path().join("cache/trees"))
        .unwrap()
        .flatten();
    let trees: Vec<_> = trees
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    assert_eq!(trees.len(), 10);
    for tree in trees {
        assert!(
            !tree.join("node_modules/.package-lock.json").exists(),
            "npm was run"
        );
    }
    let asked = registry.asked.lock().unwrap().len();

    // Another cache of trees, npm's own cache as it is, and no network.
    let mut offline = Bench::new().await;
    std::os::unix::fs::symlink(
        bench.folder.path().join("npm-cache"),
        offline.folder.path().join("npm-cache"),
    )
    .unwrap();
    load_ten(&mut offline, &registry).await;
    assert_eq!(offline.installs(), 10);
    assert_eq!(
        registry.asked.lock().unwrap().len(),
        asked,
        "the network was used"
    );
    bench.end().await;
    offline.end().await;
}

/// Ten trees of some 165 real packages each, from the registry that npm is configured for, into fresh caches; the short form is the
/// test before this one. `cargo test -p yunqiao-runtime --release -- --ignored --nocapture ten_trees` prints how long it took.
#[tokio::test]
#[ignore = "fetches some 175 packages from the public registry, and writes 60,000 files"]
async fn ten_trees_of_real_packages_with_a_dead_mirror() {
    const BESIDE: [&str; 10] = [
        r#""axios":"0.21.4""#,
        r#""lodash":"4.17.21""#,
        r#""moment":"2.29.4""#,
        r#""request":"2.88.2""#,
        r#""dayjs":"1.11.9""#,
        r#""qs":"6.11.0""#,
        r#""uuid":"3.4.0""#,
        r#""nodemailer":"6.9.8""#,
        r#""iconv-lite":"0.6.3""#,
        r#""xml2js":"0.4.23""#,
    ];
    let mut bench = Bench::online().await;
    let mut packages = 0;
    for (number, beside) in BESIDE.iter().enumerate() {
        let name = format!("f{number}");
        bench.function(&name, "require('wx-server-sdk'); exports.main = () => 1;");
        bench.depends(&name, &format!(r#""wx-server-sdk":"~2.6.3",{beside}"#));
        let dir = bench.dir(&name);
        let locked = std::process::Command::new("npm")
            .args([
                "install",
                "--package-lock-only",
                "--omit-lockfile-registry-resolved=false",
                "--no-audit",
            ])
            .current_dir(&dir)
            .output()
            .unwrap();
        assert!(
            locked.status.success(),
            "{}",
            String::from_utf8_lossy(&locked.stderr)
        );
        let file = dir.join("package-lock.json");
        let mut lock: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        for (path, package) in lock["packages"].as_object_mut().unwrap() {
            if let Some(name) = path.rsplit_once("node_modules/").map(|it| it.1) {
                let own = name.rsplit_once('/').map_or(name, |it| it.1);
                let version = package["version"].as_str().unwrap();
                let dead =
                    format!("https://registry.npm.taobao.org/{name}/download/{own}-{version}.tgz?cache=0");
                package["resolved"] = dead.into();
                packages += 1;
            }
        }
        fs::write(&file, lock.to_string()).unwrap();
        let cache = bench.folder.path().join("npm-cache");
        fs::write(dir.join(".npmrc"), format!("cache={}\n", cache.display())).unwrap();
        bench.functions[number].manifest.as_mut().unwrap().lock = Some(file);
    }
    let since = Instant::now();
    let reports = bench.load().await;
    println!(
        "{packages} packages in ten trees: {:.1} s",
        since.elapsed().as_secs_f64()
    );
    assert!(
        reports.iter().all(|report| report.problem.is_none()),
        "{reports:?}"
    );
    for number in 0..10 {
        assert_eq!(
            bench.result(&format!("f{number}"), "{}").await,
            Ok("1".to_owned())
        );
    }
    bench.end().await;
}

#[tokio::test]
async fn a_damaged_tree_is_installed_anew() {
    let mut bench = Bench::new().await;
    bench.package("a", "exports.one = 1;");
    bench.function("f", "exports.main = () => require('a').one;");
    bench.depends("f", A);
    bench.load().await;
    let trees = bench.folder.path().join("cache/trees");
    let tree = fs::read_dir(&trees)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.is_dir())
        .unwrap();
    fs::remove_dir_all(tree.join("node_modules/a")).unwrap();
    bench.load().await;
    assert_eq!(bench.result("f", "{}").await, Ok("1".to_owned()));
    assert_eq!(bench.installs(), 2);
    bench.end().await;
}

#[tokio::test]
async fn scripts_of_packages_see_little_of_this_process_and_run_only_if_they_may() {
    let mut bench = Bench::online().await;
    bench.package("s", "");
    let script = r#"node -e "require('fs').writeFileSync('env.json', JSON.stringify(process.env))""#;
    let manifest = serde_json::json!({ "name": "s", "version": "1.0.0", "scripts": { "install": script } });
    let package = bench.folder.path().join("packages/s/package.json");
    fs::write(package, manifest.to_string()).unwrap();
    let registry = Registry::start(&bench);
    let source = "const { readFileSync } = require('fs'), path = require('path');
        exports.main = () => { try { return JSON.parse(readFileSync(path.join(path.dirname(require.resolve('s')), 'env.json'))); } catch (error) { return error.code; } };";
    for name in ["runs", "not"] {
        bench.function(name, source);
    }
    bench.locks(&registry, "runs", r#""s":"1.0.0""#, None, "");
    bench.locks(&registry, "not", r#""s":"1.0.0""#, None, "ignore-scripts=true");
    let reports = bench.load().await;
    let seen = bench.result("runs", "{}").await.unwrap();
    let seen: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&seen).unwrap_or_else(|_| panic!("{reports:?}"));
    assert!(seen.contains_key("PATH"));
    // Cargo sets many for this process.
    assert!(std::env::var_os("CARGO_PKG_NAME").is_some());
    let strange: Vec<_> = seen.keys().filter(|name| name.starts_with("CARGO")).collect();
    assert!(strange.is_empty(), "{strange:?}");
    assert_eq!(bench.result("not", "{}").await, Ok("\"ENOENT\"".to_owned()));
    bench.end().await;
}

#[tokio::test]
async fn what_is_not_declared_is_supplied_to_the_function_and_to_what_it_loads() {
    let mut bench = Bench::new().await;
    bench.package("a", "module.exports = 'a';");
    bench.package("b", "module.exports = require('a') + 'b';");
    bench.package("wx-server-sdk", "module.exports = 'sdk';");
    let supplied = |bench: &mut Bench, names: &[&str]| {
        let folder = bench.folder.path().join("packages");
        let of = |name: &&str| {
            (
                (*name).to_owned(),
                format!("file:{}", folder.join(name).display()),
            )
        };
        bench.functions.last_mut().unwrap().supplied = names.iter().map(of).collect();
    };
    // In the function, in a package that does not declare it either, in a file outside of the folder.
    bench.function(
        "f",
        "const name = 'a'; exports.main = () => [require('a'), require('b'), require('../common/c'), require(name)];",
    );
    supplied(&mut bench, &["a"]);
    bench.depends("f", r#""b":"file:../../packages/b""#);
    let common = bench.folder.path().join("functions/common");
    fs::create_dir_all(&common).unwrap();
    // What the function depends on is there for that file too.
    fs::write(
        common.join("c.js"),
        "module.exports = require('a') + require('b');",
    )
    .unwrap();
    bench.function_at(
        "esm",
        "index.mjs",
        "import a from 'a'; export const main = async () => [a, (await import('wx-server-sdk')).default];",
    );
    supplied(&mut bench, &["a", "wx-server-sdk"]);
    bench.function(
        "bare",
        "exports.main = () => require('a') + require('wx-server-sdk');",
    );
    supplied(&mut bench, &["a", "wx-server-sdk"]);
    // A file of the function's own goes first.
    bench.function("own", "exports.main = () => require('a');");
    fs::write(bench.dir("own").join("a.js"), "module.exports = 'own';").unwrap();
    supplied(&mut bench, &["a"]);
    let reports = bench.load().await;
    assert!(
        reports.iter().all(|report| report.problem.is_none()),
        "{reports:?}"
    );
    assert_eq!(bench.result("f", "{}").await.unwrap(), r#"["a","ab","aab","a"]"#);
    assert_eq!(bench.result("esm", "{}").await.unwrap(), r#"["a","sdk"]"#);
    assert_eq!(bench.result("bare", "{}").await.unwrap(), r#""asdk""#);
    assert_eq!(bench.result("own", "{}").await.unwrap(), r#""own""#);
    // One tree for each package, whoever requires it.
    let steps = bench.steps();
    assert_eq!(bench.installs(), 3, "{steps:?}");
    assert!(
        steps
            .iter()
            .any(|step| step.contains("installed a ") && step.ends_with(": f, esm, bare, own")),
        "{steps:?}"
    );
    bench.end().await;
}

#[tokio::test]
async fn what_is_not_declared_and_cannot_be_had_is_missing_when_it_is_required() {
    let mut bench = Bench::new().await;
    let source = "exports.main = (event) => event.late ? require('yunqiao-no-such-package') : 1;";
    bench.function("f", source).supplied =
        [("yunqiao-no-such-package".to_owned(), "^1.0.0".to_owned())].into();
    let reports = bench.load().await;
    assert_eq!(reports[0].problem, None);
    let steps = bench.steps();
    let told = steps.last().unwrap();
    assert!(
        told.starts_with(
            "`yunqiao-no-such-package`, which f requires and does not declare, is not in npm's cache"
        ),
        "{told}"
    );
    assert_eq!(bench.result("f", "{}").await.unwrap(), "1");
    let missing = bench.result("f", r#"{"late":true}"#).await.unwrap_err();
    assert!(
        format!("{missing:?}").contains("Cannot find module"),
        "{missing:?}"
    );
    bench.end().await;
}

#[tokio::test]
async fn what_turns_out_to_be_missing_is_supplied_or_told() {
    let mut bench = Bench::online().await;
    // A name that is vouched for.
    bench.package("isarray", "module.exports = 'supplied';");
    bench.package("needs", "module.exports = require('isarray');");
    let registry = Registry::start(&bench);
    // A package requires what it does not declare: no call fails for that.
    bench.function(
        "package",
        "const needs = require('needs'); exports.main = () => needs;",
    );
    bench.locks(&registry, "package", r#""needs":"1.0.0""#, None, "");
    // A name that stands nowhere: the next call has it.
    bench.function("name", "exports.main = ({ name }) => require(name);");
    bench.locks(&registry, "name", r#""needs":"1.0.0""#, None, "");
    for function in &mut bench.functions {
        function.supplies_what_is_missing = true;
    }
    // Where it is not wanted it is only told.
    bench.function("refuses", "exports.main = () => require('isarray');");
    bench.load().await;
    assert_eq!(bench.result("package", "{}").await, Ok("\"supplied\"".to_owned()));
    let steps = bench.steps();
    let told = |function: &str, end: &str| {
        let start = format!("{function}, or a package that it uses, requires `");
        let found = |step: &&String| step.starts_with(&start) && step.contains(end);
        bench.steps().iter().filter(found).count()
    };
    assert_eq!(
        told(
            "package",
            "^1.0.0 is supplied; add \"isarray\": \"^1.0.0\" to dependencies"
        ),
        1,
        "{steps:?}"
    );

    let dynamic = r#"{"name":"isarray"}"#;
    let missing = bench.result("name", dynamic).await.unwrap_err();
    assert!(
        format!("{missing:?}").contains("Cannot find module 'isarray'"),
        "{missing:?}"
    );
    // Told before it is installed; calls that come after that wait.
    eventually("it is told", || told("name", "is supplied") == 1).await;
    assert_eq!(bench.result("name", dynamic).await, Ok("\"supplied\"".to_owned()));

    for _ in 0..2 {
        bench.result("refuses", "{}").await.unwrap_err();
        bench
            .result("name", r#"{"name":"of-a-stranger"}"#)
            .await
            .unwrap_err();
    }
    eventually("both are told", || {
        told("refuses", "add \"isarray\"") == 1 && told("name", "add \"of-a-stranger\"") == 1
    })
    .await;

    // A reload of the same functions keeps what was found.
    bench.load().await;
    assert_eq!(bench.result("package", "{}").await, Ok("\"supplied\"".to_owned()));
    bench.end().await;
}

#[tokio::test]
async fn a_manifest_and_a_lock_may_begin_with_a_byte_order_mark() {
    let mut bench = Bench::online().await;
    bench.package("a", "module.exports = 'a';");
    let registry = Registry::start(&bench);
    bench.function("f", "exports.main = () => require('a');");
    bench.locks(
        &registry,
        "f",
        r#""a":"1.0.0""#,
        Some(&[registry.locked("a")]),
        "",
    );
    for file in ["package.json", "package-lock.json"] {
        let file = bench.dir("f").join(file);
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("\u{feff}{text}")).unwrap();
    }
    let reports = bench.load().await;
    assert_eq!(
        bench.result("f", "{}").await,
        Ok("\"a\"".to_owned()),
        "{reports:?}"
    );
    bench.end().await;
}

#[tokio::test]
async fn a_folder_may_be_named_without_file() {
    let mut bench = Bench::new().await;
    bench.package("a", "exports.one = 1;");
    bench.function("f", "exports.main = () => require('a').one;");
    bench.depends("f", r#""a":"../../packages/a""#);
    let reports = bench.load().await;
    assert_eq!(bench.result("f", "{}").await, Ok("1".to_owned()), "{reports:?}");
    bench.end().await;
}

#[tokio::test]
async fn without_npm_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let npm = |path: &std::path::Path| crate::deps::Npm {
        node: folder.path().join("node"),
        guard: Vec::new(),
        offline: false,
        scratch: folder.path().join("scratch"),
        path: Some(path.as_os_str().to_owned()),
    };
    let bench = Bench::new().await;
    bench.package("a", "");
    let mut bench = bench;
    bench.function("f", "");
    bench.depends("f", A);
    let function = &bench.functions[0];
    let observer: Arc<dyn Observer> = bench.heard.clone();
    let installer = Arc::new(crate::deps::Installer::new(
        npm(folder.path()),
        folder.path().join("trees"),
    ));
    let plans = || [(&function.name, crate::deps::Plans::of(function, 24))].into_iter();
    let supplies = installer.supply(&observer, plans()).await;
    let problem = &supplies[0].problem.as_ref().unwrap().en;
    assert!(
        problem.starts_with("the dependencies of f: there is no npm to install this with")
            && problem.contains("on the PATH"),
        "{problem}"
    );
    assert!(!problem.contains("npm install"), "nobody could run it: {problem}");

    // It is looked for beside Node, then on the PATH.
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("npm"), "").unwrap();
    assert_eq!(npm(elsewhere.path()).find(), Some(elsewhere.path().join("npm")));
    fs::write(folder.path().join("npm"), "").unwrap();
    assert_eq!(npm(elsewhere.path()).find(), Some(folder.path().join("npm")));
    bench.end().await;
}
