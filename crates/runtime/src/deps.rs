//! Dependencies of functions: installed before a function is served, once for each distinct set of them.
//!
//! A function whose own `node_modules` holds everything that its `package.json` names is left as it is. For the others
//! npm installs into `<cache>/trees/<hash>`, where the hash covers the manifest, the lock, and the major version of Node;
//! functions with the same hash share the tree, by one real path, so that Node's module cache knows its modules again. A
//! tree is installed under another name and renamed when it is whole; a file lock keeps other processes waiting.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Stdio,
};

use function::{Function, FunctionName};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::{io::AsyncReadExt, process::Command};

use crate::{observer::Observer, progress::Progress};

/// The package that takes long to load and that nearly every function needs.
pub(crate) const SDK: &str = "wx-server-sdk";
/// Lines of npm's that are shown when it fails.
const LAST_LINES: usize = 12;

/// How npm is run.
#[derive(Debug)]
pub(crate) struct Npm<'a> {
    /// The Node for which packages are installed; npm is looked for beside it.
    pub(crate) node: &'a Path,
    /// The command that runs a guard.
    pub(crate) guard: &'a [OsString],
    /// Do not use the network.
    pub(crate) offline: bool,
    /// A folder for the guard, which has nothing to clear away.
    pub(crate) scratch: PathBuf,
    /// Where the trees are.
    pub(crate) trees: PathBuf,
}

/// Where a function finds what it needs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Supply {
    /// A `node_modules` folder outside of the function's own.
    pub(crate) tree: Option<PathBuf>,
    /// The `node_modules` folder that holds [`SDK`].
    pub(crate) sdk_in: Option<PathBuf>,
    /// Why something is missing, and the mend.
    pub(crate) problem: Option<String>,
}

/// A tree that some functions share.
#[derive(Debug)]
pub(crate) struct Tree {
    functions: Vec<FunctionName>,
    /// What goes into it.
    package: Map<String, Value>,
    lock: Option<(String, Vec<u8>)>,
    npmrc: Option<Vec<u8>>,
    /// `npm ci` takes the lock as it is; not possible where dependencies are folders of the project.
    exact: bool,
    /// The function's folder, for the mend.
    folder: PathBuf,
}

/// Installs what is missing of what was planned for some functions.
pub(crate) async fn supply<'a>(
    npm: &Npm<'_>,
    observer: &dyn Observer,
    plans: impl Iterator<Item = (&'a FunctionName, Result<Plan, String>)>,
) -> Vec<Supply> {
    let mut supplies = Vec::new();
    let mut trees: BTreeMap<String, Tree> = BTreeMap::new();
    let mut wanted: Vec<(usize, String)> = Vec::new();
    for (at, (name, plan)) in plans.enumerate() {
        let mut supply = Supply::default();
        match plan {
            Ok(Plan::Own { sdk_in }) => supply.sdk_in = sdk_in,
            Ok(Plan::Tree { hash, tree }) => {
                trees
                    .entry(hash.clone())
                    .or_insert(*tree)
                    .functions
                    .push(name.clone());
                wanted.push((at, hash));
            }
            Err(problem) => supply.problem = Some(problem),
        }
        supplies.push(supply);
    }

    let base = &npm.trees;
    let missing: Vec<&String> = trees.keys().filter(|hash| !base.join(hash).is_dir()).collect();
    let (mut number, of) = (0, missing.len());
    let mut results: BTreeMap<&String, Result<PathBuf, String>> = BTreeMap::new();
    for (hash, tree) in &trees {
        let functions = || tree.functions.clone();
        let installs = !base.join(hash).is_dir();
        if installs {
            number += 1;
            observer.progress(Progress::Installing {
                number,
                of,
                functions: functions(),
            });
        }
        let result = install(npm, hash, tree).await;
        if installs {
            let problem = result.as_ref().err().cloned();
            observer.progress(Progress::Installed {
                number,
                of,
                functions: functions(),
                problem,
            });
        }
        results.insert(hash, result);
    }
    for (at, hash) in &wanted {
        let (Some(supply), Some(result)) = (supplies.get_mut(*at), results.get(hash)) else {
            continue;
        };
        match result {
            Ok(modules) => {
                supply.sdk_in = modules.join(SDK).is_dir().then(|| modules.clone());
                supply.tree = Some(modules.clone());
            }
            Err(problem) => supply.problem = Some(problem.clone()),
        }
    }
    supplies
}

/// Where a function will find what it needs.
pub(crate) enum Plan {
    /// Its own folder has all it needs.
    Own { sdk_in: Option<PathBuf> },
    /// A tree in the cache has it, or will.
    Tree { hash: String, tree: Box<Tree> },
}

/// Looks at a function's manifest and its own `node_modules`. The error says what is wrong with them.
pub(crate) fn plan(function: &Function, node_major: u32) -> Result<Plan, String> {
    let own = function.dir.join("node_modules");
    let own = own.canonicalize().unwrap_or(own);
    let sdk_in = || own.join(SDK).is_dir().then(|| own.clone());
    let Some(manifest) = function
        .manifest
        .as_ref()
        .filter(|manifest| manifest.has_dependencies && function.problem.is_none())
    else {
        return Ok(Plan::Own { sdk_in: sdk_in() });
    };
    let read =
        |path: &Path| fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()));
    let package: Map<String, Value> = serde_json::from_slice(&read(&manifest.package)?)
        .map_err(|error| format!("{} is not a JSON object: {error}", manifest.package.display()))?;
    if names(&package, &["dependencies"]).all(|name| own.join(name).join("package.json").is_file()) {
        return Ok(Plan::Own { sdk_in: sdk_in() });
    }

    let npmrc = manifest.dir.join(".npmrc");
    let mut tree = Tree {
        functions: Vec::new(),
        package,
        lock: None,
        npmrc: npmrc.is_file().then(|| read(&npmrc)).transpose()?,
        exact: manifest.lock.is_some(),
        folder: manifest.dir.clone(),
    };
    if let Some(lock) = &manifest.lock {
        let name = lock
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        tree.lock = Some((name, read(lock)?));
    }
    let mut hash = Sha256::new();
    hash.update(format!("node {node_major}\n{}\n", manifest.hash));
    hash.update(tree.npmrc.as_deref().unwrap_or_default());
    for folder in absolute_folders(&mut tree, &manifest.dir) {
        hash.update(folder.as_os_str().as_encoded_bytes());
        stamp(&folder, &mut hash);
    }
    Ok(Plan::Tree {
        hash: hex(&hash.finalize()),
        tree: Box::new(tree),
    })
}

fn names<'a>(package: &'a Map<String, Value>, fields: &'a [&str]) -> impl Iterator<Item = &'a String> {
    fields
        .iter()
        .filter_map(|field| package.get(*field)?.as_object())
        .flat_map(|list| list.keys())
}

/// Dependencies may be folders, relative to the function's: from the cache they must be named in full. They are copied
/// into the tree, so that it does not change under the functions that use it.
fn absolute_folders(tree: &mut Tree, from: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    let mut renamed = Vec::new();
    for field in ["dependencies", "optionalDependencies"] {
        let Some(list) = tree.package.get_mut(field).and_then(Value::as_object_mut) else {
            continue;
        };
        for (name, version) in list {
            let Some(path) = version.as_str().and_then(|text| {
                text.strip_prefix("file:")
                    .or_else(|| text.strip_prefix("link:"))
                    .map(str::to_owned)
            }) else {
                continue;
            };
            let folder = from.join(&path);
            let folder = folder.canonicalize().unwrap_or(folder);
            *version = Value::String(format!("file:{}", folder.display()));
            renamed.push((name.clone(), path));
            folders.push(folder);
        }
    }
    if renamed.is_empty() {
        return folders;
    }
    tree.exact = false;
    // The lock speaks of the folders by their old names; npm finds out again what it no longer says.
    if let Some((_, text)) = &mut tree.lock
        && let Ok(mut lock) = serde_json::from_slice::<Value>(text)
        && let Some(packages) = lock.get_mut("packages").and_then(Value::as_object_mut)
    {
        for (name, path) in &renamed {
            packages.remove(path.trim_start_matches("./"));
            packages.remove(&format!("node_modules/{name}"));
        }
        if let Some(root) = packages.get_mut("").and_then(Value::as_object_mut) {
            for field in ["dependencies", "optionalDependencies"] {
                if let Some(list) = tree.package.get(field) {
                    root.insert(field.to_owned(), list.clone());
                }
            }
        }
        *text = lock.to_string().into_bytes();
    }
    folders
}

/// Adds names, sizes and times of a folder's files to a hash; what was installed there does not count.
pub(crate) fn stamp(folder: &Path, hash: &mut Sha256) {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        let mut entries: Vec<_> = entries.flatten().collect();
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            if name == "node_modules" || name == ".git" {
                continue;
            }
            let Ok(metadata) = fs::metadata(entry.path()) else {
                continue;
            };
            if metadata.is_dir() {
                folders.push(entry.path());
                continue;
            }
            hash.update(entry.path().as_os_str().as_encoded_bytes());
            hash.update(metadata.len().to_le_bytes());
            if let Some(modified) = metadata
                .modified()
                .ok()
                .and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok())
            {
                hash.update(modified.as_nanos().to_le_bytes());
            }
        }
    }
}

/// The first half of a hash, in hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes.get(..16).unwrap_or(bytes))
}

/// The `node_modules` folder of a tree, installed if it is not there.
async fn install(npm: &Npm<'_>, hash: &str, tree: &Tree) -> Result<PathBuf, String> {
    let base = &npm.trees;
    let place = base.join(hash);
    if !place.is_dir() {
        let io = |error: io::Error| format!("{} cannot be written: {error}", base.display());
        fs::create_dir_all(base).map_err(io)?;
        let lock = File::create(base.join(format!("{hash}.lock"))).map_err(io)?;
        // Another process may be installing the same: waiting for it must not stop this one.
        let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock))
            .await
            .map_err(|error| error.to_string())?
            .map_err(io)?;
        if !place.is_dir() {
            let draft = tempfile::Builder::new()
                .prefix(".draft-")
                .tempdir_in(base)
                .map_err(io)?;
            run(npm, draft.path(), tree).await?;
            fs::rename(draft.path(), &place).map_err(io)?;
            let _ = draft.keep();
        }
        drop(lock);
    }
    let modules = place.join("node_modules");
    // Nothing but optional ones, none of which could be installed, leave no folder.
    fs::create_dir_all(&modules)
        .and_then(|()| modules.canonicalize())
        .map_err(|error| error.to_string())
}

async fn run(options: &Npm<'_>, draft: &Path, tree: &Tree) -> Result<(), String> {
    let who = tree
        .functions
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    let mend = format!(
        "run `npm install` in {} to see what is wrong; a complete node_modules there is used as it is",
        tree.folder.display()
    );
    let io = |error: io::Error| format!("the dependencies of {who} cannot be installed: {error}; {mend}");
    fs::write(
        draft.join("package.json"),
        Value::Object(tree.package.clone()).to_string(),
    )
    .map_err(io)?;
    if let Some((name, text)) = &tree.lock {
        fs::write(draft.join(name), text).map_err(io)?;
    }
    if let Some(text) = &tree.npmrc {
        fs::write(draft.join(".npmrc"), text).map_err(io)?;
    }

    let beside = options.node.with_file_name("npm");
    let npm = if beside.is_file() {
        beside
    } else {
        PathBuf::from("npm")
    };
    let mut words = options.guard.iter();
    let program = words
        .next()
        .ok_or_else(|| "no command for the guard is configured".to_owned())?;
    // Under a guard, as workers are: nothing goes on when this process has gone.
    let mut command = Command::new(program);
    command.args(words).arg(&options.scratch).arg(npm);
    command.arg(if tree.exact { "ci" } else { "install" });
    command.args([
        "--omit=dev",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts=false",
        "--loglevel=error",
    ]);
    if !tree.exact {
        command.arg("--install-links");
    }
    if options.offline {
        command.arg("--offline");
    }
    let mut child = command
        .current_dir(draft)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(io)?;
    // Held until npm has ended: its end is the guard's sign to kill it.
    let _control = child.stdin.take();
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let read = async {
        tokio::join!(
            async {
                if let Some(pipe) = &mut stdout {
                    let _ = pipe.read_to_end(&mut out).await;
                }
            },
            async {
                if let Some(pipe) = &mut stderr {
                    let _ = pipe.read_to_end(&mut errors).await;
                }
            }
        )
    };
    let (status, _) = tokio::join!(child.wait(), read);
    if status.map_err(io)?.success() {
        return Ok(());
    }
    out.extend_from_slice(&errors);
    let said = String::from_utf8_lossy(&out).into_owned();
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| !line.trim().is_empty() && !is_noise(line))
        .collect();
    let last = lines
        .get(lines.len().saturating_sub(LAST_LINES)..)
        .unwrap_or_default()
        .join("\n  ");
    Err(if options.offline {
        let missing = names(&tree.package, &["dependencies"])
            .cloned()
            .collect::<Vec<_>>()
            .join(", ");
        format!(
            "the dependencies of {who} ({missing}) are not all in npm's cache, and nothing is fetched offline; run once \
             without --offline\n  {last}"
        )
    } else {
        format!("npm could not install the dependencies of {who}; {mend}\n  {last}")
    })
}

/// Lines of npm's that say nothing about the cause.
fn is_noise(line: &str) -> bool {
    line.contains("A complete log of this run can be found in") || line.contains("npm warn")
}
