//! Loading: from what the project says about its functions to what workers are told.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use function::{Function, FunctionName};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;
use wording::{Wording, wording};

use crate::{
    deps::{self, Plans, Supply},
    pool::Pool,
    progress::Progress,
    spec::{Kind, Spec},
    syntax::{SourceFault, source_faults},
};

/// How long loading waits for the first spares: they make the first calls quick, but nothing fails without them.
const SPARES_WITHIN: Duration = Duration::from_secs(5);

/// A function to be served.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the project says about it.
    pub function: Function,
    /// The members of its `context` that never change, as the text of a JSON object. A member `environment`, if it is an
    /// object, holds the variables that the function's modules see while they are loaded. What [`Function::env`] says is
    /// not added: which of it counts is the caller's to know.
    pub context: String,
}

/// What became of one function that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadReport {
    /// Which.
    pub name: FunctionName,
    /// Why it cannot run, and the mend.
    pub problem: Option<Wording>,
    /// Files of its source that cannot be parsed, or lack one that they require: it is called all the same, and fails when it
    /// loads one of them.
    pub faults: Vec<SourceFault>,
    /// Whether it, or anything about it, is new: then its workers are replaced.
    pub changed: bool,
}

/// What the disk says about a function.
struct Survey {
    function: Function,
    context: String,
    plans: Plans,
    /// Over its files.
    files: [u8; 32],
}

/// See [`crate::Runtime::load`].
pub(crate) async fn load(pool: &Arc<Pool>, mut loaded: Vec<Loaded>) -> Vec<LoadReport> {
    for one in &mut loaded {
        pool.missing.add_to(&mut one.function);
    }
    let node_major = pool.node_major;
    // Folders may be large, and calls are served meanwhile.
    let surveys = tokio::task::spawn_blocking(move || survey(loaded, node_major)).await;
    let Ok(surveys) = surveys else { return Vec::new() };
    let (surveys, plans): (Vec<_>, Vec<_>) = surveys
        .into_iter()
        .map(|survey| ((survey.function, survey.context, survey.files), survey.plans))
        .unzip();
    let parsing = parse(
        pool,
        surveys.iter().map(|(function, ..)| function.clone()).collect(),
    );
    let named = surveys.iter().map(|(function, ..)| &function.name).zip(plans);
    let supplies = pool.installer.supply(&pool.observer, named).await;
    let mut faults = parsing.await.unwrap_or_default();

    let mut next_port = pool.options.inspect.as_ref().map_or(0, |inspect| inspect.port);
    let mut specs = Vec::with_capacity(surveys.len());
    for ((function, context, files), supply) in surveys.into_iter().zip(supplies) {
        let wanted = pool.options.inspect.as_ref().is_some_and(|inspect| {
            inspect
                .function
                .as_ref()
                .is_none_or(|name| *name == function.name)
        });
        let inspect = wanted.then_some(next_port);
        if wanted {
            next_port = next_port.wrapping_add(1);
        }
        let changes = pool.modules.changes(&function.name);
        let mut hash = Sha256::new();
        hash.update(files);
        hash.update(changes.to_le_bytes());
        let files = hash.finalize().into();
        specs.push(Arc::new(spec(pool, &function, supply, &context, files, inspect)));
    }

    let reports: Vec<LoadReport> = pool.with(|state| {
        let mut report = |spec: &Arc<Spec>| LoadReport {
            name: spec.name.clone(),
            problem: spec.problem.clone(),
            faults: faults.remove(&spec.name).unwrap_or_default(),
            changed: !state.is_known(spec),
        };
        let reports = specs.iter().map(&mut report).collect();
        state.install(specs.clone(), Instant::now());
        reports
    });
    for (spec, report) in specs.iter().zip(&reports) {
        if let (Some(port), true) = (spec.kind.inspect, report.changed) {
            pool.observer.progress(Progress::Inspecting {
                function: spec.name.clone(),
                port,
            });
        }
    }
    pool.with(|state| state.fill_up(Instant::now()));
    pool.wait_until(SPARES_WITHIN, |state| state.spares_ready()).await;
    reports
}

/// What is wrong with the source, by function.
type Faults = HashMap<FunctionName, Vec<SourceFault>>;

/// Parses the source of the functions that can run, beside whatever else is done meanwhile.
fn parse(pool: &Pool, mut functions: Vec<Function>) -> JoinHandle<Faults> {
    functions.retain(|function| function.problem.is_none());
    let node = pool.options.node.clone();
    tokio::task::spawn_blocking(move || match source_faults(&node, functions.iter()) {
        Ok(faults) => functions
            .into_iter()
            .map(|function| function.name)
            .zip(faults)
            .collect(),
        Err(error) => {
            tracing::warn!(%error, "the functions' source could not be parsed beforehand");
            Faults::new()
        }
    })
}

fn survey(loaded: Vec<Loaded>, node_major: u32) -> Vec<Survey> {
    let survey = |Loaded { function, context }| {
        let function = real(function);
        let mut hash = Sha256::new();
        deps::stamp(&function.dir, &mut hash);
        // What npm leaves behind when it has changed the function's own node_modules.
        let installed = function.dir.join("node_modules/.package-lock.json");
        hash.update(format!(
            "{:?}",
            installed.metadata().and_then(|it| it.modified()).ok()
        ));
        Survey {
            plans: Plans::of(&function, node_major),
            files: hash.finalize().into(),
            function,
            context,
        }
    };
    loaded.into_iter().map(survey).collect()
}

/// Node knows modules by their real paths.
fn real(mut function: Function) -> Function {
    if let Ok(folder) = function.dir.canonicalize() {
        function.entry = match function.entry.strip_prefix(&function.dir) {
            Ok(inside) => folder.join(inside),
            Err(_) => function.entry.canonicalize().unwrap_or(function.entry),
        };
        function.dir = folder;
    }
    function
}

fn spec(
    pool: &Pool,
    function: &Function,
    supply: Supply,
    context: &str,
    files: [u8; 32],
    inspect: Option<u16>,
) -> Spec {
    let mut problem = function.problem.clone().or(supply.problem);
    let mut context: Map<String, Value> = serde_json::from_str(context).unwrap_or_else(|error| {
        problem.get_or_insert_with(|| {
            wording!(
                "its context is no JSON object: {error}",
                "它的 context 不是 JSON 对象：{error}"
            )
        });
        Map::new()
    });
    let variables = match context.remove("environment") {
        Some(Value::Object(variables)) => variables,
        _ => Map::new(),
    };
    let kind = Kind::new(
        supply.sdk_in,
        function.memory_mb,
        inspect,
        &pool.options.cache_dir,
    );
    let pack: Option<Value> = kind
        .pack
        .as_deref()
        .and_then(|pack| serde_json::from_str(pack).ok());
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    let order = json!({
        "dir": text(&function.dir),
        "entry": text(&function.entry),
        "isModule": function.is_module(),
        "tree": supply.tree.as_ref().map(text),
        "undeclared": supply.undeclared.iter().map(text).collect::<Vec<_>>(),
        "concurrency": function.concurrency,
        "pack": pack,
        "logLimit": pool.options.log_limit,
        "places": pool.options.places,
        "env": variables,
        "context": Value::Object(context).to_string(),
    })
    .to_string();

    // A debugger is attached to one process.
    let max_instances = if inspect.is_some() {
        1
    } else {
        function.max_instances
    };
    let mut hash = Sha256::new();
    hash.update(&order);
    hash.update(format!("{kind:?} {max_instances} {:?}", function.timeout));
    hash.update(files);
    Spec {
        name: function.name.clone(),
        timeout: function.timeout,
        concurrency: usize::try_from(function.concurrency.max(1)).unwrap_or(1),
        max_instances: usize::try_from(max_instances.max(1)).unwrap_or(1),
        kind,
        order,
        fingerprint: hash.finalize().into(),
        problem,
    }
}
