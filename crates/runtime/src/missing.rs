//! Packages that turn out to be missing when a function runs. Its own source is searched beforehand for what it requires and
//! does not declare; that does not find what a package requires and does not declare, nor a name that is made up at run time.
//! What is vouched for ([`suppliable_package`]) is supplied then, once for each function, where the function asks for that;
//! the rest is told, with the line to add.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use function::{Function, FunctionName, suppliable_package};
use process::{WorkerAnswer, WorkerId, WorkerMessage};
use serde_json::Value;

use crate::{pool::Pool, progress::Progress};

/// How long a worker whose function did not load stands for the calls that wait for it, while something is installed.
const HELD_FOR: Duration = Duration::from_secs(200);

/// What was found missing, and what of it is supplied: name and range.
#[derive(Debug, Default)]
pub(crate) struct MissingPackages(Mutex<HashMap<FunctionName, PackageSupply>>);

#[derive(Debug, Default)]
struct PackageSupply {
    seen: BTreeSet<String>,
    supplied: BTreeMap<String, String>,
}

impl MissingPackages {
    /// Whether this is the first time that a function lacks this package.
    fn is_new(&self, function: &FunctionName, package: &str) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = all.entry(function.clone()).or_default();
        found.seen.insert(package.to_owned())
    }

    fn supply(&self, function: &FunctionName, package: &str, range: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = all.entry(function.clone()).or_default();
        found.supplied.insert(package.to_owned(), range.to_owned());
    }

    /// Adds to what is supplied to a function what it was found to lack.
    pub(crate) fn add_to(&self, function: &mut Function) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = all
            .get(&function.name)
            .filter(|_| function.supplies_what_is_missing)
        {
            for (package, range) in &found.supplied {
                let supplied = &mut function.supplied;
                supplied.entry(package.clone()).or_insert_with(|| range.clone());
            }
        }
    }
}

/// The package that a worker did not find, where that is why its function did not load or a call failed.
fn package_of(message: &WorkerMessage) -> Option<&str> {
    let thrown = match message {
        WorkerMessage::LoadFailed { thrown, .. } => thrown,
        WorkerMessage::Answered {
            answer: WorkerAnswer::Threw { thrown, .. },
            ..
        } => thrown,
        _ => return None,
    };
    // As Node words it for `require`, and for `import`.
    let rest = ["Cannot find module '", "Cannot find package '"]
        .iter()
        .find_map(|start| thrown.message.strip_prefix(start))?;
    let (wanted, _) = rest.split_once('\'')?;
    let is_path = wanted.starts_with(['.', '/', '#']) || wanted.contains([':', '\\']);
    if is_path || wanted.is_empty() {
        return None;
    }
    let parts = if wanted.starts_with('@') { 2 } else { 1 };
    let end = wanted.match_indices('/').nth(parts - 1).map(|(at, _)| at);
    wanted.get(..end.unwrap_or(wanted.len()))
}

impl Pool {
    /// Looks whether a worker says that a package is missing. `None` where the message is kept back, until it is known
    /// whether the package can be supplied.
    pub(crate) fn look_for_missing(
        self: &Arc<Self>,
        worker: WorkerId,
        message: WorkerMessage,
    ) -> Option<WorkerMessage> {
        let Some(package) = package_of(&message).map(str::to_owned) else {
            return Some(message);
        };
        let function = self.with(|state| state.function_of(worker));
        let Some(function) = function.filter(|function| self.missing.is_new(function, &package)) else {
            return Some(message);
        };
        if !matches!(message, WorkerMessage::LoadFailed { .. }) {
            tokio::spawn(Arc::clone(self).supply_missing(function, package));
            return Some(message);
        }
        // The calls that wait for this function need not fail.
        let until = Instant::now() + HELD_FOR;
        self.with(|state| state.hold(worker, until));
        let this = Arc::clone(self);
        tokio::spawn(async move {
            Arc::clone(&this).supply_missing(function, package).await;
            // If the function is loaded anew, this worker is on its way out, and what it has said is forgotten.
            this.with(|state| state.received(worker, message, Instant::now()));
        });
        None
    }

    /// Supplies a package, if that may be, and says what is to be done about it.
    async fn supply_missing(self: Arc<Self>, name: FunctionName, package: String) {
        let function = self.function(&name).await;
        let Some(function) = function.filter(|function| !declares(function, &package)) else {
            return;
        };
        let range = suppliable_package(&package).filter(|_| function.supplies_what_is_missing);
        self.observer.progress(Progress::Missing {
            function: name.clone(),
            package: package.clone(),
            supplied: range.map(str::to_owned),
        });
        if let Some(range) = range {
            self.missing.supply(&name, &package, range);
            self.changes.send_modify(|changes| changes.seen += 1);
            self.load(None).await;
        }
    }
}

/// Whether a function's manifest names a package: then it is there, or that it cannot be had was told.
fn declares(function: &Function, package: &str) -> bool {
    let manifest = || {
        let text = fs::read(&function.manifest.as_ref()?.package).ok()?;
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&text);
        serde_json::from_slice::<Value>(text).ok()
    };
    function.supplied.contains_key(package)
        || manifest().is_some_and(|manifest| !manifest["dependencies"][package].is_null())
}

#[cfg(test)]
mod tests {
    use process::Thrown;

    use super::*;

    #[test]
    fn the_package_that_node_did_not_find_is_known() {
        let package = |message: &str| {
            let thrown = Thrown {
                message: message.to_owned(),
                stack: String::new(),
            };
            package_of(&WorkerMessage::LoadFailed {
                thrown,
                lasting: true,
            })
            .map(str::to_owned)
        };
        for (message, expected) in [
            (
                "Cannot find module 'lodash'\nRequire stack:\n- /x.js",
                Some("lodash"),
            ),
            ("Cannot find module 'lodash/get'", Some("lodash")),
            ("Cannot find module '@a/b/c'", Some("@a/b")),
            (
                "Cannot find package 'axios' imported from /f/index.mjs",
                Some("axios"),
            ),
            ("Cannot find module './lib'\nRequire stack:", None),
            ("Cannot find module '/x/y'", None),
            ("Cannot find module 'node:nothing'", None),
            ("it cannot find module 'x'", None),
            ("", None),
        ] {
            assert_eq!(package(message).as_deref(), expected, "{message}");
        }
    }
}
