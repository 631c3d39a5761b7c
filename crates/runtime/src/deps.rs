//! Dependencies of functions: installed before a function is served, once for each distinct set of them.
//!
//! A function whose own `node_modules` holds everything that its `package.json` names is left as it is. For the others
//! npm installs into `<cache>/trees/<hash>`, where the hash covers the manifest, the lock, and the major version of Node;
//! functions with the same hash share the tree, by one real path, so that Node's module cache knows its modules again. A
//! tree is installed under another name and renamed when it is whole; a file lock keeps other processes waiting.
//!
//! As the platform does, the lock file is taken first, straight where that can be (`straight`), else by npm; where it
//! does not fit the manifest, or names what the registry does not have, the manifest decides; and where that asks for a version of the SDK
//! that is not published, the nearest that is (`published`). What cannot be installed fails the functions that need it, and no others.
//!
//! A package that a function requires and does not declare ([`Function::supplied`]) has a tree of its own, at the end of the
//! function's search path: there the platform had its built-in packages, so that packages too find what they do not declare. One
//! tree for each, so that all functions share it, and one that cannot be had takes nothing else with it.

mod npm;
mod published;
mod straight;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ffi::OsStr,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use function::{Function, FunctionName, SDK};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::{sync::Semaphore, task::JoinSet};
use wording::{Wording, wording};

use crate::{observer::Observer, progress::Progress};
use npm::NpmError;
use straight::StraightInstaller;

pub(crate) use npm::Npm;

/// How many trees are installed side by side.
const AT_A_TIME: usize = 4;
/// What could not be installed is not tried again before this time has passed, however often functions are loaded.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Installs trees, and remembers which could not be.
#[derive(Debug)]
pub(crate) struct Installer {
    npm: Npm,
    straight: StraightInstaller,
    /// Where the trees are.
    trees: PathBuf,
    /// Of the trees that could not be installed: when that was, and why.
    failed: Mutex<HashMap<String, (Instant, Wording)>>,
}

/// Where a function finds what it needs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Supply {
    /// A `node_modules` folder outside of the function's own.
    pub(crate) tree: Option<PathBuf>,
    /// More of them, for what the function does not declare.
    pub(crate) undeclared: Vec<PathBuf>,
    /// The `node_modules` folder that holds [`SDK`].
    pub(crate) sdk_in: Option<PathBuf>,
    /// Why something is missing, and the mend.
    pub(crate) problem: Option<Wording>,
}

/// A tree that some functions share.
#[derive(Clone, Debug)]
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
    /// The package, where it is one that its functions do not declare.
    undeclared: Option<String>,
}

impl Installer {
    pub(crate) fn new(npm: Npm, trees: PathBuf) -> Self {
        Self {
            npm,
            straight: StraightInstaller::default(),
            trees,
            failed: Mutex::default(),
        }
    }

    /// Installs what is missing of what was planned for some functions.
    pub(crate) async fn supply<'a>(
        self: &Arc<Self>,
        observer: &Arc<dyn Observer>,
        plans: impl Iterator<Item = (&'a FunctionName, Plans)>,
    ) -> Vec<Supply> {
        let mut supplies = Vec::new();
        let mut trees: BTreeMap<String, Tree> = BTreeMap::new();
        let mut add = |name: &FunctionName, hash: &String, tree: Tree| {
            let tree = trees.entry(hash.clone()).or_insert(tree);
            tree.functions.push(name.clone());
        };
        let mut wanted: Vec<(Option<String>, Vec<String>)> = Vec::new();
        for (name, plans) in plans {
            let mut supply = Supply::default();
            let own = match plans.own {
                Ok(Plan::Own { sdk_in }) => {
                    supply.sdk_in = sdk_in;
                    None
                }
                Ok(Plan::Tree { hash, tree }) => {
                    add(name, &hash, *tree);
                    Some(hash)
                }
                Err(problem) => {
                    supply.problem = Some(problem);
                    None
                }
            };
            let hashes = plans.undeclared.iter().map(|(hash, _)| hash.clone()).collect();
            for (hash, tree) in plans.undeclared {
                add(name, &hash, tree);
            }
            wanted.push((own, hashes));
            supplies.push(supply);
        }

        let results = self.install_all(observer, trees).await;
        for (supply, (own, undeclared)) in supplies.iter_mut().zip(&wanted) {
            match own.as_ref().and_then(|hash| results.get(hash)) {
                Some(Ok(modules)) => supply.tree = Some(modules.clone()),
                Some(Err(problem)) => supply.problem = Some(problem.clone()),
                None => {}
            }
            // What cannot be had was told, and is missing when it is required.
            let there = undeclared
                .iter()
                .filter_map(|hash| results.get(hash)?.as_ref().ok());
            supply.undeclared = there.cloned().collect();
            let with_sdk = |modules: &&PathBuf| modules.join(SDK).is_dir();
            let sdk_in = supply
                .tree
                .iter()
                .chain(&supply.undeclared)
                .find(with_sdk)
                .cloned();
            supply.sdk_in = supply.sdk_in.take().or(sdk_in);
        }
        supplies
    }

    /// Sees to it that these trees are there, some at a time.
    async fn install_all(
        self: &Arc<Self>,
        observer: &Arc<dyn Observer>,
        trees: BTreeMap<String, Tree>,
    ) -> BTreeMap<String, Result<PathBuf, Wording>> {
        let missing = |hash: &String, tree: &Tree| !tree.is_whole(&self.trees.join(hash));
        let of = trees
            .iter()
            .filter(|(hash, tree)| missing(hash, tree) && self.known_failure(hash).is_none())
            .count();
        let mut results = BTreeMap::new();
        let (places, mut number) = (Arc::new(Semaphore::new(AT_A_TIME)), 0);
        let mut running = JoinSet::new();
        for (hash, tree) in trees {
            if !missing(&hash, &tree) {
                results.insert(hash.clone(), modules_of(&self.trees.join(&hash)));
                continue;
            }
            let known = self.known_failure(&hash);
            if let Some((at, problem)) = &known
                && at.elapsed() < TRY_AGAIN_AFTER
            {
                results.insert(hash, Err(problem.clone()));
                continue;
            }
            // What failed before is tried again without a word, and told when it comes out otherwise.
            number += usize::from(known.is_none());
            let steps = (number, of.max(number));
            let (installer, observer, places) = (Arc::clone(self), Arc::clone(observer), Arc::clone(&places));
            running.spawn(async move {
                let _place = places.acquire().await;
                let known = known.map(|(_, problem)| problem);
                let result = installer
                    .install_and_tell(&*observer, &hash, &tree, steps, known)
                    .await;
                (hash, result)
            });
        }
        while let Some(ended) = running.join_next().await {
            if let Ok((hash, result)) = ended {
                results.insert(hash, result);
            }
        }
        results
    }

    fn known_failure(&self, hash: &str) -> Option<(Instant, Wording)> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get(hash).cloned()
    }

    async fn install_and_tell(
        &self,
        observer: &dyn Observer,
        hash: &str,
        tree: &Tree,
        (number, of): (usize, usize),
        known: Option<Wording>,
    ) -> Result<PathBuf, Wording> {
        let functions = || tree.functions.clone();
        if known.is_none() {
            observer.progress(Progress::Installing {
                number,
                of,
                package: tree.undeclared.clone(),
                functions: functions(),
            });
        }
        let result = self.install(hash, tree).await;
        let problem = result.as_ref().err().cloned();
        {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            match &problem {
                Some(problem) => failed.insert(hash.to_owned(), (Instant::now(), problem.clone())),
                None => failed.remove(hash),
            };
        }
        if known.is_none() || known != problem {
            observer.progress(Progress::Installed {
                number,
                of,
                package: tree.undeclared.clone(),
                functions: functions(),
                note: result.as_ref().ok().and_then(|(_, note)| note.clone()),
                problem,
            });
        }
        result.map(|(modules, _)| modules)
    }

    /// The `node_modules` folder of a tree, installed if it is not there, and what is to be said about it.
    async fn install(&self, hash: &str, tree: &Tree) -> Result<(PathBuf, Option<Wording>), Wording> {
        let base = &self.trees;
        let place = base.join(hash);
        let io = |error: io::Error| {
            let base = base.display();
            wording!("{base} cannot be written: {error}", "{base} 无法写入：{error}")
        };
        fs::create_dir_all(base).map_err(io)?;
        let lock = File::create(base.join(format!("{hash}.lock"))).map_err(io)?;
        // Another process may be installing the same: waiting for it must not stop this one.
        let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock))
            .await
            .map_err(Wording::as_is)?
            .map_err(io)?;
        let mut note = None;
        if !tree.is_whole(&place) {
            if place.exists() {
                // Something was removed from it. What uses it goes on with what it has loaded.
                let broken = tempfile::Builder::new()
                    .prefix(".broken-")
                    .tempdir_in(base)
                    .map_err(io)?;
                fs::rename(&place, broken.path().join("tree")).map_err(io)?;
            }
            let draft = tempfile::Builder::new()
                .prefix(".draft-")
                .tempdir_in(base)
                .map_err(io)?;
            note = self.fill(draft.path(), tree).await?;
            fs::rename(draft.path(), &place).map_err(io)?;
            let _ = draft.keep();
        }
        drop(lock);
        Ok((modules_of(&place)?, note))
    }

    /// Installs a tree into an empty folder. Gives what is to be said about it.
    async fn fill(&self, draft: &Path, tree: &Tree) -> Result<Option<Wording>, Wording> {
        let who = tree
            .functions
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        let folder = tree.folder.display();
        let (what, mend) = match &tree.undeclared {
            None => (
                wording!("the dependencies of {who}", "{who} 的依赖"),
                wording!(
                    "`npm install --omit=dev` in {folder} shows what is wrong; a complete node_modules there is used as it is",
                    "在 {folder} 执行 `npm install --omit=dev` 可以看到原因；那里如果有完整的 node_modules，会直接使用"
                ),
            ),
            Some(package) => (
                wording!(
                    "`{package}`, which {who} requires and does not declare",
                    "{who} 用到但没有声明的依赖 `{package}`"
                ),
                wording!(
                    "add it to package.json in the version that is meant",
                    "请在 package.json 里写上它和想要的版本"
                ),
            ),
        };
        let (what, mend) = (&what, &mend);
        let io = |error: io::Error| {
            wording!(
                "{what}: it cannot be installed: {error}; {mend}",
                "{what}：无法安装：{error}；{mend}"; what, mend
            )
        };
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
        let npmrc = String::from_utf8_lossy(tree.npmrc.as_deref().unwrap_or_default());

        if tree.exact {
            match self.straight.install(&self.npm, draft, tree, &npmrc).await {
                Ok(()) => return Ok(None),
                Err(error) => {
                    tracing::debug!(%error, "the dependencies of {who} are npm's to install");
                    let _ = fs::remove_dir_all(draft.join("node_modules"));
                }
            }
        }
        let mut notes = Vec::new();
        let mut ended = self.npm.install(draft, &npmrc, tree.exact).await;
        if let (Err(NpmError::Unreachable(_)), Some((name, text))) = (&ended, &tree.lock)
            && let Ok(mut lock) = serde_json::from_slice::<Value>(text)
            && packages::use_configured_registry_instead_of_others(&mut lock) > 0
        {
            notes.push(wording!(
                "{name} names a registry that cannot be reached from here: what it names was fetched from the configured one, and compared with the lock's integrity",
                "{name} 里写的 npm 源从这里访问不到：已改从当前配置的源下载，并按其中的 integrity 校验"
            ));
            fs::write(draft.join(name), lock.to_string()).map_err(io)?;
            let _ = fs::remove_dir_all(draft.join("node_modules"));
            ended = self.npm.install(draft, &npmrc, tree.exact).await;
        }
        if let Err(NpmError::LockDoesNotFit(misfit)) = &ended {
            notes.push(wording!(
                "the lock file does not fit package.json ({misfit}): installed as `npm install` does, which keeps what fits; run it in {folder} to mend the lock",
                "lock 文件与 package.json 不一致（{misfit}）：已按 `npm install` 的方式安装，能沿用的沿用；请在 {folder} 执行它来更新 lock 文件"
            ));
            ended = self.install_anew(draft, &npmrc).await;
        }
        let mut sdk = tree
            .package
            .get("dependencies")
            .and_then(|list| list[SDK].as_str());
        let mut lock = tree.lock.as_ref().map(|(name, _)| name);
        while let Err(NpmError::NotThere(said)) = &ended {
            if let Some(range) = sdk.filter(|_| published::lacks_sdk(said)) {
                sdk = None;
                let versions = self.npm.versions(draft, &npmrc, SDK).await.unwrap_or_default();
                let Some(version) = published::nearest(range, &versions) else {
                    break;
                };
                let mut package = Value::Object(tree.package.clone());
                package["dependencies"][SDK] = Value::from(&*version);
                fs::write(draft.join("package.json"), package.to_string()).map_err(io)?;
                notes.push(wording!(
                    "the registry has no {SDK} {range}, which package.json asks for: installed with {version}, the nearest there is. On the platform one was there before anything was installed; write a version that `npm view {SDK} versions` lists",
                    "npm 源上没有 package.json 要求的 {SDK} {range}：已改装最接近的 {version}。平台上预装了 SDK，所以没有出错；请改写成 `npm view {SDK} versions` 列出的版本"
                ));
            } else if let Some(name) = lock.take() {
                notes.push(wording!(
                    "{name} names what the registry does not have: installed without it, as package.json says; remove it in {folder}, and `npm install` writes one that can be followed\n  {said}",
                    "{name} 里写了 npm 源上没有的包：已不用它，按 package.json 安装；请在 {folder} 里删掉它，再用 `npm install` 重新生成\n  {said}"
                ));
                fs::remove_file(draft.join(name)).map_err(io)?;
            } else {
                break;
            }
            ended = self.install_anew(draft, &npmrc).await;
        }
        let said = match ended {
            Ok(()) => return Ok((!notes.is_empty()).then(|| Wording::lines(notes))),
            Err(NpmError::Missing) => {
                let node = self.npm.node.display();
                return Err(wording!(
                    "{what}: there is no npm to install this with, neither beside {node} nor on the PATH; install it (it comes with Node from nodejs.org; on Debian it is the package `npm`)",
                    "{what}：没有 npm，无法安装；{node} 旁边和 PATH 里都没有。请先安装 npm（nodejs.org 的 Node 自带；Debian 上是软件包 `npm`）"; what
                ));
            }
            Err(NpmError::Io(error)) => return Err(io(error)),
            Err(NpmError::Late) => {
                return Err(wording!(
                    "{what}: npm has not installed this within three minutes; {mend}",
                    "{what}：npm 三分钟内没有装完；{mend}"; what, mend
                ));
            }
            Err(
                NpmError::LockDoesNotFit(said)
                | NpmError::NotThere(said)
                | NpmError::Unreachable(said)
                | NpmError::Failed(said),
            ) => said,
        };
        Err(match (&tree.undeclared, self.npm.offline) {
            (None, true) => {
                let missing = names(&tree.package, &["dependencies"])
                    .cloned()
                    .collect::<Vec<_>>()
                    .join(", ");
                wording!(
                    "{what} ({missing}) are not all in npm's cache, and nothing is fetched offline; run once without --offline\n  {said}",
                    "{what}（{missing}）不全在 npm 缓存里，而离线时不会下载；请先不带 --offline 运行一次\n  {said}"; what
                )
            }
            (Some(_), true) => {
                wording!(
                    "{what}, is not in npm's cache, and nothing is fetched offline; run once without --offline\n  {said}",
                    "{what} 不在 npm 缓存里，而离线时不会下载；请先不带 --offline 运行一次\n  {said}"; what
                )
            }
            (_, false) => wording!(
                "npm could not install {what}; {mend}\n  {said}",
                "npm 无法安装 {what}；{mend}\n  {said}"; what, mend
            ),
        })
    }

    /// Installs once more where an attempt has failed, as `npm install` does.
    async fn install_anew(&self, draft: &Path, npmrc: &str) -> Result<(), NpmError> {
        let _ = fs::remove_dir_all(draft.join("node_modules"));
        self.npm.install(draft, npmrc, false).await
    }
}

impl Tree {
    /// Whether all that functions name lies in the tree at this place.
    fn is_whole(&self, place: &Path) -> bool {
        let modules = place.join("node_modules");
        place.is_dir()
            && names(&self.package, &["dependencies"])
                .filter(|name| !self.is_optional(name))
                .all(|name| modules.join(name).join("package.json").is_file())
    }

    /// npm has optional ones win over others of the same name.
    fn is_optional(&self, name: &str) -> bool {
        names(&self.package, &["optionalDependencies"]).any(|optional| optional == name)
    }
}

/// The `node_modules` folder of a tree. Nothing but optional packages, none of which could be installed, leave none.
fn modules_of(place: &Path) -> Result<PathBuf, Wording> {
    let modules = place.join("node_modules");
    fs::create_dir_all(&modules)
        .and_then(|()| modules.canonicalize())
        .map_err(Wording::as_is)
}

/// Where a function will find what it needs.
pub(crate) struct Plans {
    /// What it declares, or why that cannot be told.
    own: Result<Plan, Wording>,
    /// A tree for each package that it does not declare, with its hash.
    undeclared: Vec<(String, Tree)>,
}

impl Plans {
    /// Looks at a function's manifest, its own `node_modules`, and what is to be supplied to it.
    pub(crate) fn of(function: &Function, node_major: u32) -> Self {
        let undeclared = function.supplied.iter();
        Self {
            own: plan(function, node_major),
            undeclared: undeclared
                .map(|(name, range)| tree_of(name, range, function, node_major))
                .collect(),
        }
    }
}

/// The tree of a package that a function does not declare.
fn tree_of(name: &str, range: &str, function: &Function, node_major: u32) -> (String, Tree) {
    let npmrc = fs::read(function.dir.join(".npmrc")).ok();
    let mut hash = Sha256::new();
    hash.update(format!("node {node_major}\nundeclared {name}\n{range}\n"));
    hash.update(npmrc.as_deref().unwrap_or_default());
    let package = json!({ "dependencies": { name: range } });
    let tree = Tree {
        functions: Vec::new(),
        package: package.as_object().cloned().unwrap_or_default(),
        lock: None,
        npmrc,
        exact: false,
        folder: function.dir.clone(),
        undeclared: Some(name.to_owned()),
    };
    (hex(&hash.finalize()), tree)
}

/// Where what a function declares is found.
enum Plan {
    /// Its own folder has all it needs.
    Own { sdk_in: Option<PathBuf> },
    /// A tree in the cache has it, or will.
    Tree { hash: String, tree: Box<Tree> },
}

/// Looks at a function's manifest and its own `node_modules`. The error says what is wrong with them.
fn plan(function: &Function, node_major: u32) -> Result<Plan, Wording> {
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
    let read = |path: &Path| {
        let bytes = fs::read(path).map_err(|error| {
            let path = path.display();
            wording!("{path} cannot be read: {error}", "无法读取 {path}：{error}")
        })?;
        // Editors on Windows begin a file with a byte order mark.
        Ok::<_, Wording>(match bytes.strip_prefix("\u{feff}".as_bytes()) {
            Some(rest) => rest.to_vec(),
            None => bytes,
        })
    };
    let package: Map<String, Value> = serde_json::from_slice(&read(&manifest.package)?).map_err(|error| {
        let path = manifest.package.display();
        wording!(
            "{path} is not a JSON object: {error}",
            "{path} 不是 JSON 对象：{error}"
        )
    })?;
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
        undeclared: None,
    };
    if let Some(lock) = &manifest.lock {
        let name = lock
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let mut text = read(lock)?;
        if let Ok(mut parsed) = serde_json::from_slice::<Value>(&text)
            && packages::use_configured_registry(&mut parsed) > 0
        {
            text = parsed.to_string().into_bytes();
        }
        tree.lock = Some((name, text));
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

/// The folder that a dependency's version names. As npm does, a relative path is taken for one without `file:` too.
fn folder_of(version: &str) -> Option<&str> {
    let named = version
        .strip_prefix("file:")
        .or_else(|| version.strip_prefix("link:"));
    named.or_else(|| {
        ["./", "../", "/"]
            .iter()
            .any(|start| version.starts_with(start))
            .then_some(version)
    })
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
            let Some(path) = version.as_str().and_then(folder_of).map(str::to_owned) else {
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
/// Nor do files that are written all the time and never loaded. A folder counts once, however many links lead to it.
pub(crate) fn stamp(folder: &Path, hash: &mut Sha256) {
    let mut folders = vec![folder.to_owned()];
    let mut seen = HashSet::new();
    while let Some(folder) = folders.pop() {
        if !folder.canonicalize().is_ok_and(|real| seen.insert(real)) {
            continue;
        }
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        let mut entries: Vec<_> = entries.flatten().collect();
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            if name == "node_modules" || name == ".git" || is_passing(&name) {
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

/// Whether a file is of a kind that comes and goes while a function stays the same.
fn is_passing(name: &OsStr) -> bool {
    let extension = Path::new(name).extension().and_then(OsStr::to_str);
    extension.is_some_and(|extension| ["log", "pid", "swp", "tmp"].contains(&extension))
}

/// The first half of a hash, in hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes.get(..16).unwrap_or(bytes))
}
