//! Tests that start real Node, each worker under the guard of `examples/guard.rs`, as the product starts them under
//! itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod calls;
mod cloud;
mod deps;
mod hostile;
mod nested;
mod pool;
mod reload;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use function::{Function, FunctionName};
use tempfile::TempDir;

use crate::{
    CallError, CallOutcome, Frame, FunctionCall, LoadReport, Loaded, Observer, PrintedLine, Progress,
    Runtime, RuntimeOptions,
};

/// A project of small functions, and a runtime that serves them.
pub(super) struct Bench {
    pub(super) runtime: Runtime,
    pub(super) folder: TempDir,
    functions: Vec<Function>,
    pub(super) heard: Arc<Heard>,
}

/// All that the runtime told.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) progress: Mutex<Vec<Progress>>,
    pub(super) printed: Mutex<Vec<PrintedLine>>,
}

impl Observer for Heard {
    fn progress(&self, progress: Progress) {
        self.progress.lock().unwrap().push(progress);
    }

    fn printed(&self, printed: PrintedLine) {
        self.printed.lock().unwrap().push(printed);
    }
}

/// The guard as `cargo test` builds it: beside the folder of the test's own binary.
fn guard() -> PathBuf {
    let me = std::env::current_exe().unwrap();
    let guard = me.ancestors().nth(2).unwrap().join("examples/guard");
    assert!(
        guard.is_file(),
        "{} is missing: run `cargo test`, which builds examples too",
        guard.display()
    );
    guard
}

/// The Node to test with: another one than the first on PATH can be named.
pub(super) fn node() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    if let Some(node) = std::env::var_os("YUNQIAO_TEST_NODE") {
        return node.into();
    }
    std::env::split_paths(&path)
        .map(|folder| folder.join("node"))
        .find(|node| node.is_file())
        .expect("Node on PATH")
}

impl Bench {
    /// A runtime without spares: workers start when calls come.
    pub(super) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut RuntimeOptions)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = RuntimeOptions {
            node: node(),
            cache_dir: folder.path().join("cache"),
            guard: vec![guard().into_os_string()],
            offline: true,
            spares: 0,
            max_workers: 100,
            inspect: None,
            places: false,
            log_limit: 256 * 1024,
            key_variables: ["TENCENTCLOUD_SECRETID", "TENCENTCLOUD_SECRETKEY"].map(str::to_owned),
            files_at: None,
            wechat_at: None,
        };
        change(&mut options);
        let heard = Arc::new(Heard::default());
        let observer: Arc<dyn Observer> = heard.clone();
        let runtime = Runtime::start(options, observer).await.unwrap();
        Self {
            runtime,
            folder,
            functions: Vec::new(),
            heard,
        }
    }

    /// Writes `name/index.js` and adds the function; it is served after `load`.
    pub(super) fn function(&mut self, name: &str, source: &str) -> &mut Function {
        self.function_at(name, "index.js", source)
    }

    pub(super) fn function_at(&mut self, name: &str, file: &str, source: &str) -> &mut Function {
        let dir = self.folder.path().join("functions").join(name);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(file), source).unwrap();
        let name: FunctionName = name.parse().unwrap();
        self.functions.retain(|function| function.name != name);
        self.functions
            .push(Function::new(name, dir.clone(), dir.join(file)));
        self.functions.last_mut().unwrap()
    }

    pub(super) fn dir(&self, name: &str) -> PathBuf {
        self.folder.path().join("functions").join(name)
    }

    pub(super) async fn load(&self) -> Vec<LoadReport> {
        let loaded = self.functions.iter().map(|function| Loaded {
            function: function.clone(),
            context: {
                let mut environment = function.env.clone();
                environment.insert("TCB_ENV".to_owned(), "env-1".to_owned());
                serde_json::json!({ "function_name": function.name.as_str(), "memory_limit_in_mb": function.memory_mb,
                    "environment": environment })
                .to_string()
            },
        });
        self.runtime.load(loaded.collect()).await
    }

    /// One function, loaded.
    pub(super) async fn one(source: &str) -> Self {
        let mut bench = Self::new().await;
        bench.function("f", source);
        bench.load().await;
        bench
    }

    pub(super) async fn call(&self, name: &str, event: &str) -> CallOutcome {
        self.runtime.invoke(call(name, event)).await
    }

    /// The result's JSON text; an undefined one is empty.
    pub(super) async fn result(&self, name: &str, event: &str) -> Result<String, CallError> {
        let outcome = self.call(name, event).await;
        outcome
            .result
            .map(|reply| String::from_utf8(reply.json.unwrap_or_default().to_vec()).unwrap())
    }

    /// Shuts down and checks that nothing is left of any worker.
    pub(super) async fn end(self) {
        self.runtime.shutdown().await;
        let home = self.runtime.pool.workers.folder();
        assert!(
            processes_of(home).is_empty(),
            "left running: {:?}",
            processes_of(home)
        );
        assert!(!home.exists(), "the workers' folder is left behind");
    }

    /// What runs in the name of this runtime, functions' children included.
    pub(super) fn processes(&self) -> Vec<String> {
        processes_of(self.runtime.pool.workers.folder())
    }
}

pub(super) fn call(name: &str, event: &str) -> FunctionCall {
    FunctionCall::new(name.parse().unwrap(), frame("r-1", event))
}

pub(super) fn frame(request_id: &str, event: &str) -> Frame {
    let mut frame = Frame::new();
    let head = format!(r#"{{"r":"{request_id}","e":{{"WX_OPENID":"o-{request_id}","TCB_ENV":"env-1"}}}}"#);
    frame.head().extend_from_slice(head.as_bytes());
    frame.event().extend_from_slice(event.as_bytes());
    frame
}

/// Processes that have a path below `home` among their arguments or in their environment.
#[cfg(target_os = "linux")]
pub(super) fn processes_of(home: &Path) -> Vec<String> {
    let home = home.to_str().unwrap();
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| {
            entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.parse::<u32>().is_ok())
        })
        .filter_map(|entry| {
            let read = |name| fs::read(entry.path().join(name)).unwrap_or_default();
            let words = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
            let environment = String::from_utf8_lossy(&read("environ")).into_owned();
            (words.contains(home) || environment.contains(home))
                .then(|| format!("{} {words}", entry.file_name().to_string_lossy()))
        })
        .collect()
}

/// The same where there is no `/proc`: only arguments can be seen.
#[cfg(not(target_os = "linux"))]
pub(super) fn processes_of(home: &Path) -> Vec<String> {
    let output = std::process::Command::new("ps")
        .args(["-axww", "-o", "pid=,command="])
        .output()
        .unwrap();
    let home = home.to_str().unwrap();
    let all = String::from_utf8_lossy(&output.stdout).into_owned();
    all.lines()
        .filter(|line| line.contains(home))
        .map(str::to_owned)
        .collect()
}

/// A function that runs until a file is there, and gives its process. See [`Held`].
pub(super) const WAITING: &str = "const fs = require('fs');
    exports.main = async (event) => {
        if (!event.until) return process.pid;
        fs.writeFileSync(event.until + '.running', '');
        while (!fs.existsSync(event.until)) await new Promise((ok) => setTimeout(ok, 5));
        fs.writeFileSync(event.until + '.done', '');
        return process.pid;
    };";

/// The file on which a call of [`WAITING`] waits.
#[derive(Clone)]
pub(super) struct Held(PathBuf);

impl Held {
    pub(super) fn new(bench: &Bench, name: &str) -> Self {
        Self(bench.folder.path().join(name))
    }

    pub(super) fn event(&self) -> String {
        serde_json::json!({ "until": self.0 }).to_string()
    }

    pub(super) fn is_running(&self) -> bool {
        self.0.with_added_extension("running").exists() && !self.is_done()
    }

    pub(super) fn is_done(&self) -> bool {
        self.0.with_added_extension("done").exists()
    }

    pub(super) async fn running(&self) {
        eventually("a call that runs", || self.is_running()).await;
    }

    /// Lets the call end.
    pub(super) fn release(&self) {
        fs::write(&self.0, "").unwrap();
    }
}

/// Waits until something is so, for at most half a minute: a machine may be busy.
pub(super) async fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !so() {
        assert!(since.elapsed() < Duration::from_secs(30), "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
