//! Finding the cloud functions below `cloudfunctionRoot`: each folder with an `index.js`, an `index.mjs` or a
//! `package.json` is one, and its file is chosen as Node would choose it. Some lie elsewhere, as `cloudbaserc.json` says.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Component, Path, PathBuf},
};

use function::{Function, FunctionName, Manifest};
use serde_json::{Map, Value};
use wording::{Wording, wording};

use crate::{
    Finding, ProjectError, ProjectFunction, files,
    files::FileFault,
    http_function, manifest,
    permissions::{self, Permissions},
    triggers::Triggers,
};

/// Bytes of a function's file at most in which `main` is looked for: what was bundled is larger, and has one.
const LARGEST_READ: u64 = 1 << 20;

/// The functions in the folder `root`, and those that lie in a folder of their own, by name, and what is odd about them. A
/// folder that was given to one function is not also a function of its own name.
pub(crate) fn functions(
    root: Option<&Path>,
    elsewhere: &BTreeMap<FunctionName, PathBuf>,
    findings: &mut Vec<Finding>,
) -> Result<Vec<ProjectFunction>, ProjectError> {
    let mut functions = Vec::new();
    let real = |dir: &Path| dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let taken: Vec<PathBuf> = elsewhere.values().map(|dir| real(dir)).collect();
    for (name, dir) in elsewhere {
        let plan = Plan::of(dir).unwrap_or_else(|| Plan::without_entry(dir));
        functions.push(plan.function(name.clone(), dir.clone(), findings));
    }
    for dir in root.map(folders).transpose()?.unwrap_or_default() {
        if taken.contains(&real(&dir)) {
            continue;
        }
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') || name == "node_modules" || !dir.is_dir() {
            continue;
        }
        let Some(plan) = Plan::of(&dir) else { continue };
        match name.parse::<FunctionName>() {
            Ok(name) if elsewhere.contains_key(&name) => {}
            Ok(name) => functions.push(plan.function(name, dir, findings)),
            Err(illegal) => {
                let why = illegal.wording();
                findings.push(Finding {
                    function: None,
                    file: dir,
                    what: wording!("the function is left out: {why}", "此云函数被忽略：{why}"; why),
                    mend: wording!("rename the folder", "请给目录改名"),
                });
            }
        }
    }
    // Folders come in no order; messages and tests want one.
    functions.sort_by(|a, b| a.function.name.cmp(&b.function.name));
    findings.sort_by(|a, b| (&a.file, &a.what).cmp(&(&b.file, &b.what)));
    Ok(functions)
}

/// What lies in a folder.
fn folders(root: &Path) -> Result<Vec<PathBuf>, ProjectError> {
    let paths = fs::read_dir(root).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    paths.map_err(|cause| ProjectError::Read {
        path: root.to_owned(),
        cause,
    })
}

/// What a folder says about being a function.
struct Plan {
    entry: PathBuf,
    manifest: Option<Manifest>,
    /// What is odd, with the mend.
    oddity: Option<(Wording, Wording)>,
    problem: Option<Wording>,
}

impl Plan {
    /// For a folder that is said to be a function, and has nothing to run.
    fn without_entry(dir: &Path) -> Self {
        Self {
            entry: dir.join("index.js"),
            manifest: None,
            oddity: None,
            problem: Some(no_entry(dir, None)),
        }
    }

    /// `None` if the folder is no function at all.
    fn of(dir: &Path) -> Option<Self> {
        let mut plan = Self {
            entry: dir.join("index.js"),
            manifest: None,
            oddity: None,
            problem: None,
        };
        let package = dir.join("package.json");
        match fs::read(&package) {
            Ok(bytes) => plan.read_package(dir, &package, &bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => match index_of(dir) {
                Some(entry) => plan.entry = entry,
                None if dir.join(permissions::FILE).is_file()
                    || dir.join("index.ts").is_file()
                    || index_in_capitals(dir).is_some()
                    || http_function::is_in(dir) =>
                {
                    plan.problem = Some(no_entry(dir, None));
                }
                None => return None,
            },
            Err(error) => {
                let package = package.display();
                plan.problem = Some(wording!(
                    "cannot read {package}: {error}",
                    "无法读取 {package}：{error}"
                ));
            }
        }
        Some(plan)
    }

    fn read_package(&mut self, dir: &Path, path: &Path, bytes: &[u8]) {
        let package = match files::json_object(bytes) {
            Ok(package) => package,
            Err(fault) => {
                self.problem = Some(fault.in_file(path).wording());
                return;
            }
        };
        match manifest::read(dir, &package) {
            Ok(manifest) => self.manifest = Some(manifest),
            Err(error) => {
                let path = path.display();
                self.problem = Some(wording!(
                    "cannot read the lock file beside {path}: {error}",
                    "无法读取 {path} 旁边的 lock 文件：{error}"
                ));
            }
        }
        let main = main_of(&package);
        match (main.and_then(|main| resolve(dir, main)), index_of(dir)) {
            (Some(entry), _) => self.entry = entry,
            (None, Some(index)) => {
                if let Some(main) = main {
                    let index = name_of(&index);
                    self.oddity = Some((
                        wording!(
                            "package.json names {main:?} as main, which is not there; {index} is run",
                            "package.json 的 main 是 {main:?}，但没有这个文件；改为运行 {index}"
                        ),
                        wording!("correct `main`, or remove it", "请改正 `main`，或删掉它"),
                    ));
                }
                self.entry = index;
            }
            (None, None) => {
                // The reason why nothing can be installed would hide behind this one, and matters less.
                self.problem = Some(no_entry(dir, main));
            }
        }
    }

    fn function(self, name: FunctionName, dir: PathBuf, findings: &mut Vec<Finding>) -> ProjectFunction {
        let mut find = |file: PathBuf, what: Wording, mend: Wording| {
            findings.push(Finding {
                function: Some(name.clone()),
                file,
                what,
                mend,
            });
        };
        if let Some((what, mend)) = self.oddity {
            find(dir.join("package.json"), what, mend);
        }
        let mut problem = self.problem;
        if http_function::is_in(&dir) {
            if problem.is_none() && http_function::exports_main(&self.entry) {
                let (what, mend) = http_function::not_started();
                find(dir.clone(), what, mend);
            } else {
                let (what, mend) = (http_function::not_run(), http_function::written_otherwise());
                problem = Some(wording!("{what}: {mend}", "{what}：{mend}"; what, mend));
            }
        }
        if problem.is_none() && exports_no_main(&self.entry) {
            find(
                self.entry.clone(),
                wording!(
                    "it exports no `main`, so that every call fails",
                    "没有导出 `main`，每次调用都会失败"
                ),
                wording!(
                    "write exports.main = async (event, context) => {{ … }}; what is no function may lie outside of this folder",
                    "请写 exports.main = async (event, context) => {{ … }}；不是云函数的代码请移到云函数目录之外"
                ),
            );
        }
        let config = dir.join(permissions::FILE);
        let mut triggers = Triggers::default();
        let mut without_effect = Vec::new();
        let mut permission_faults = Vec::new();
        let permissions = match fs::read(&config) {
            Ok(bytes) => match Permissions::parse(&bytes) {
                Ok(permissions) => {
                    triggers = Triggers::parse(&bytes);
                    without_effect = permissions::without_effect(&bytes);
                    permission_faults.clone_from(&permissions.malformed);
                    permissions
                }
                Err(mut fault) => {
                    fault.what = permissions::ignored(&fault.what);
                    let FileFault {
                        line,
                        column,
                        what,
                        mend,
                    } = &fault;
                    let what = wording!(
                        "line {line}, column {column}: {what}",
                        "第 {line} 行第 {column} 列：{what}"; what
                    );
                    find(config.clone(), what, mend.clone());
                    permission_faults.push(fault);
                    Permissions::default()
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Permissions::default(),
            Err(error) => {
                let fault = FileFault {
                    line: 1,
                    column: 1,
                    what: wording!("it cannot be read: {error}", "无法读取：{error}"),
                    mend: wording!("make it readable", "请检查它的读取权限"),
                };
                find(config.clone(), fault.what.clone(), fault.mend.clone());
                permission_faults.push(fault);
                Permissions::default()
            }
        };
        let told = permissions
            .faults()
            .into_iter()
            .chain(triggers.faults.clone())
            .chain(without_effect);
        for fault in told {
            find(config.clone(), fault.wording(), fault.mend);
        }
        let mut function = Function::new(name, dir, self.entry);
        function.manifest = self.manifest;
        function.problem = problem;
        ProjectFunction {
            function,
            permissions: permissions.names().map(str::to_owned).collect(),
            permission_faults,
            has_triggers_of_its_own: triggers.is_given,
            triggers: triggers.triggers,
            trigger_faults: triggers.faults,
        }
    }
}

/// `main`, if the manifest gives one.
fn main_of(package: &Map<String, Value>) -> Option<&str> {
    package
        .get("main")
        .and_then(Value::as_str)
        .map(str::trim)
        .filter(|main| !main.is_empty())
}

/// The file that Node takes for `main`, if it lies in the function's folder.
fn resolve(dir: &Path, main: &str) -> Option<PathBuf> {
    let inside = |component: Component<'_>| matches!(component, Component::Normal(_) | Component::CurDir);
    if !Path::new(main).components().all(inside) {
        return None;
    }
    let main = main.trim_start_matches("./").trim_end_matches('/');
    ["", ".js", ".json", ".mjs", ".cjs", "/index.js"]
        .into_iter()
        .map(|ending| dir.join(format!("{main}{ending}")))
        .find(|path| path.is_file())
}

/// The file that is taken where no `main` says otherwise.
fn index_of(dir: &Path) -> Option<PathBuf> {
    ["index.js", "index.mjs", "index.cjs"]
        .into_iter()
        .map(|name| dir.join(name))
        .find(|path| path.is_file())
}

/// `Index.js`, which a file system that tells capitals apart does not have as `index.js`.
fn index_in_capitals(dir: &Path) -> Option<String> {
    let names = fs::read_dir(dir).ok()?.flatten().map(|entry| entry.file_name());
    names
        .filter_map(|name| name.into_string().ok())
        .find(|name| name.eq_ignore_ascii_case("index.js"))
}

/// Whether a file exports something, and surely no `main`, by its text: it has not the word, and hands on what no other file exports.
fn exports_no_main(entry: &Path) -> bool {
    const HANDS_ON: [&str; 6] = [
        "module.exports = require",
        "...require",
        "export *",
        "__export",
        "Object.assign",
        "exports[",
    ];
    let is_small = fs::metadata(entry).is_ok_and(|file| file.len() <= LARGEST_READ);
    let Some(text) = fs::read_to_string(entry).ok().filter(|_| is_small) else {
        return false;
    };
    let mut words = text.split(|character: char| !character.is_alphanumeric() && character != '_');
    text.contains("export")
        && !words.any(|word| word == "main")
        && !HANDS_ON.iter().any(|mark| text.contains(mark))
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Why a folder that means to be a function has nothing to run.
fn no_entry(dir: &Path, main: Option<&str>) -> Wording {
    let shown = dir.display();
    if let (None, Some(index)) = (main, index_in_capitals(dir)) {
        return wording!(
            "{shown} has {index}, which is another file than index.js where names tell capitals apart, as on the platform: rename it",
            "{shown} 里有 {index}；区分大小写时（平台也是）它不是 index.js：请改名"
        );
    }
    match (typescript_of(dir, main), main) {
        (Some(source), Some(main)) => wording!(
            "{shown} has {source}, and what package.json names as main, {main:?}, is not there: compile it first",
            "{shown} 里有 {source}，但没有 package.json 的 main 所指的 {main:?}：请先编译"
        ),
        (Some(source), None) => wording!(
            "{shown} has {source} but no index.js: compile it first, or name the compiled file as `main` in package.json",
            "{shown} 里有 {source}，但没有 index.js：请先编译，或在 package.json 的 `main` 里写编译后的文件"
        ),
        (None, Some(main)) => wording!(
            "{shown}/package.json names {main:?} as main, which is not in the folder: correct `main`, or add the file",
            "{shown}/package.json 的 main 是 {main:?}，目录里没有这个文件：请改正 `main`，或补上文件"
        ),
        (None, None) => wording!(
            "{shown} has no index.js: add one that exports `main`, or name the file as `main` in package.json",
            "{shown} 里没有 index.js：请新建一个并导出 `main`，或在 package.json 的 `main` 里写明文件"
        ),
    }
}

/// The TypeScript from which the missing file would be compiled, relative to the folder.
fn typescript_of(dir: &Path, main: Option<&str>) -> Option<String> {
    let main = main.unwrap_or("index.js").trim_start_matches("./");
    let stem = main.rsplit_once('.').map_or(main, |(stem, _)| stem);
    let name = stem.rsplit('/').next().unwrap_or(stem);
    let candidates = [
        main.to_owned(),
        format!("{stem}.ts"),
        format!("{stem}.mts"),
        format!("{stem}.cts"),
        format!("src/{name}.ts"),
        format!("{name}.ts"),
        "index.ts".to_owned(),
        "src/index.ts".to_owned(),
        "tsconfig.json".to_owned(),
    ];
    let is_typescript = |path: &String| {
        ["ts", "mts", "cts", "json"]
            .iter()
            .any(|ending| path.ends_with(&format!(".{ending}")))
    };
    candidates
        .into_iter()
        .filter(is_typescript)
        .find(|path| dir.join(path).is_file())
}
