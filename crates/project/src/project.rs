//! The project as a whole: which files describe it, and which of them has the last word about what.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
    time::Duration,
};

use function::FunctionName;
use wording::{Wording, wording};

use crate::{
    Finding, ProjectError, ProjectFunction, ProjectSettings,
    client_permissions::ForeignPermissions,
    cloudbaserc::{self, Cloudbaserc},
    did_you_mean, discover, files, guess, http_function,
    miniprogram::{self, MiniProgram},
    settings::{self, Environment, FunctionSettings},
    table::nearest,
};

/// The environment's id where neither `yunqiao.toml` nor `cloudbaserc.json` gives one. WeChat leaves open what a
/// single environment is called, so this is a choice.
pub const DEFAULT_ENV_ID: &str = "yunqiao";
/// The folder that DevTools proposes for cloud functions.
const USUAL_FUNCTIONS_ROOT: &str = "cloudfunctions";

/// A Mini Program project, as its files describe it.
#[derive(Clone, Debug)]
pub struct Project {
    /// The folder that holds `project.config.json` or `yunqiao.toml`, or what stands for them.
    pub root: PathBuf,
    /// The Mini Program's appid: `appid` of `yunqiao.toml`, else of `project.config.json`, else of a uni-app's `manifest.json`.
    pub appid: Option<String>,
    /// The cloud environment's id: `env` of `yunqiao.toml`, else `envId` of `cloudbaserc.json`, else
    /// [`DEFAULT_ENV_ID`].
    pub env_id: String,
    /// The folder of the Mini Program's pages: `miniprogramRoot` of `project.config.json`, else [`root`](Self::root).
    pub miniprogram_root: PathBuf,
    /// The folder of the cloud functions, if there is one: what to watch for changes.
    pub functions_root: Option<PathBuf>,
    /// The cloud functions, by name.
    pub functions: BTreeMap<FunctionName, ProjectFunction>,
    /// What `yunqiao.toml` says, defaults where there is none.
    pub settings: ProjectSettings,
    /// What its author should know.
    pub findings: Vec<Finding>,
}

/// How much of a project is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    Whole,
    /// Where its data is kept, and by which listener a running server hands it out: for commands that look at nothing else. Functions are
    /// left out, and what is wrong with other parts of `yunqiao.toml` is a finding, the only kind that there is then.
    Data,
}

/// The parts of `yunqiao.toml` that have nothing to do with where data is kept. A key that nobody knows may be meant for one that has.
const OTHER_PARTS: [&str; 16] = [
    "secret_file",
    "redis",
    "functions",
    "listen",
    "wechat",
    "login",
    "open_data",
    "permissions",
    "cors",
    "auth",
    "apps",
    "web",
    "push",
    "sim",
    "timers",
    "keys",
];

impl Scope {
    /// Whether a part of `yunqiao.toml`, by its key at the top, is not of it.
    pub(crate) fn leaves_out(self, part: &str) -> bool {
        self == Self::Data && OTHER_PARTS.contains(&part)
    }
}

impl Project {
    /// Opens the project in the folder `dir`: its `project.config.json`, `cloudbaserc.json` and `yunqiao.toml`, of
    /// which one must be there, or else the `app.json` of a Mini Program. The AppSecret is taken from `YUNQIAO_APPSECRET` if that is set, and
    /// the operator's secret from `YUNQIAO_OPERATOR_SECRET`.
    ///
    /// # Errors
    /// No project there, a file that cannot be read or understood, or a setting or variable that cannot be.
    pub fn open(dir: &Path) -> Result<Self, ProjectError> {
        Self::open_in(dir, Scope::Whole)
    }

    /// The same, of so much of the project.
    ///
    /// # Errors
    /// As [`Project::open`], as far as that is concerned.
    pub fn open_in(dir: &Path, scope: Scope) -> Result<Self, ProjectError> {
        Files {
            root: dir,
            toml: dir.join(settings::FILE),
            toml_required: false,
            scope,
        }
        .read(Environment::of_process()?)
    }

    /// Opens the project that a `yunqiao.toml` describes, wherever it is called; the other files are looked for
    /// beside it. The environment's secrets go first, as in [`Project::open`].
    ///
    /// # Errors
    /// As [`Project::open`]; also when the file is not there.
    pub fn from_config(path: &Path) -> Result<Self, ProjectError> {
        Self::from_config_in(path, Scope::Whole)
    }

    /// The same, of so much of the project.
    ///
    /// # Errors
    /// As [`Project::from_config`], as far as that is concerned.
    pub fn from_config_in(path: &Path, scope: Scope) -> Result<Self, ProjectError> {
        // `yunqiao.toml` alone has an empty parent, which no operating system takes for a folder.
        let root = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        Files {
            root,
            toml: path.to_owned(),
            toml_required: true,
            scope,
        }
        .read(Environment::of_process()?)
    }
}

/// Where the files of a project are looked for.
struct Files<'a> {
    root: &'a Path,
    toml: PathBuf,
    toml_required: bool,
    scope: Scope,
}

impl Files<'_> {
    fn read(&self, environment: Environment) -> Result<Project, ProjectError> {
        let cloudbaserc_path = self.root.join(cloudbaserc::FILE);
        let mut faults = Vec::new();
        let miniprogram = self.miniprogram().unwrap_or_else(|fault| {
            faults.push(fault);
            Some(MiniProgram::default())
        });
        let toml_bytes = files::read(&self.toml)?;
        if toml_bytes.is_none() && self.toml_required {
            let cause = std::io::ErrorKind::NotFound.into();
            return Err(ProjectError::Read {
                path: self.toml.clone(),
                cause,
            });
        }
        let is_described = toml_bytes.is_some() || miniprogram.is_some();
        let may_be_one = !is_described && !guess::is_inside_of_another(self.root);
        let bare = may_be_one.then(|| guess::mini_program(self.root)).flatten();
        let is_of_cloudbase = may_be_one && cloudbaserc::is_in(self.root);
        if !is_described && bare.is_none() && !is_of_cloudbase {
            let looked_for = vec![miniprogram::FILE, settings::FILE];
            return Err(ProjectError::NotAProject {
                dir: self.root.to_owned(),
                looked_for,
                nearby: below(self.root, 2, miniprogram::is_in)
                    .or_else(|| below(self.root, 2, guess::is_bare))
                    .map(|folder| files::tidy(&folder)),
            });
        }

        let is_bare = bare.is_some();
        let miniprogram = miniprogram.or(bare).unwrap_or_default();
        let cloudbaserc = match files::read(&cloudbaserc_path)? {
            Some(bytes) => Cloudbaserc::parse(&cloudbaserc_path, &bytes),
            None => Ok(Cloudbaserc::default()),
        };
        let toml = match &toml_bytes {
            Some(bytes) => settings::File::parse(&self.toml, bytes, environment, self.scope),
            None => Ok(settings::File::absent(environment)),
        };
        // Whoever mends one file should not have to come back for the next.
        let (mut toml, mut cloudbaserc) = match (toml, cloudbaserc) {
            (Ok(toml), Ok(cloudbaserc)) if faults.is_empty() => (toml, cloudbaserc),
            (toml, cloudbaserc) => {
                faults.extend(cloudbaserc.err());
                match toml.err() {
                    Some(ProjectError::Several(several)) => faults.extend(several),
                    other => faults.extend(other),
                }
                return Err(ProjectError::of(faults));
            }
        };

        let mut project = Project {
            root: self.root.to_owned(),
            miniprogram_root: match &miniprogram.pages_root {
                Some(folder) => files::tidy(&self.root.join(folder)),
                None => self.root.to_owned(),
            },
            appid: toml.appid.take().or_else(|| miniprogram.appid.clone()),
            env_id: toml
                .env_id
                .take()
                .or_else(|| cloudbaserc.env_id.take())
                .unwrap_or_else(|| DEFAULT_ENV_ID.to_owned()),
            functions_root: None,
            functions: BTreeMap::new(),
            settings: ProjectSettings::default(),
            findings: Vec::new(),
        };
        let permissions = ForeignPermissions::read(self.root)?;
        if self.scope == Scope::Data {
            // What other files say of collections is of its settings, and what is odd there is not told here.
            drop(permissions.add_to(&mut toml.settings.database));
            project.settings = toml.settings;
            project.findings = toml.passed_over;
            return Ok(project);
        }

        let mut findings = std::mem::take(&mut toml.findings);
        if is_bare {
            findings.push(Finding {
                function: None,
                file: self.root.to_owned(),
                what: wording!(
                    "there is no project.config.json: the appid is made up",
                    "没有 project.config.json：appid 是虚构的"
                ),
                mend: wording!(
                    "open the folder in WeChat DevTools once, or write appid = \"wx…\" in yunqiao.toml",
                    "请用微信开发者工具打开一次此目录，或在 yunqiao.toml 里写 appid = \"wx…\""
                ),
            });
        }
        if miniprogram.has_comments {
            findings.push(Finding {
                function: None,
                file: self.root.join(miniprogram::FILE),
                what: wording!(
                    "it has comments, which are passed over here",
                    "里面有注释，这里会忽略"
                ),
                mend: wording!(
                    "remove them before WeChat DevTools reads it: JSON knows no comments",
                    "用微信开发者工具打开之前请删掉：JSON 不支持注释"
                ),
            });
        }
        let functions_root = self.functions_root(&toml, &miniprogram, &cloudbaserc, &mut findings)?;
        findings.extend(cloudbaserc::not_read(self.root));
        let elsewhere = self.elsewhere(functions_root.as_deref(), &cloudbaserc);
        if functions_root.is_none() && elsewhere.is_empty() && miniprogram.functions_root.is_none() {
            let (file, key) = key_of_functions_root(&miniprogram);
            findings.push(Finding {
                function: None,
                file: self.root.to_owned(),
                what: wording!("there is no folder of cloud functions", "没有云函数目录"),
                mend: wording!(
                    "name it as {key} in {file}, or make {USUAL_FUNCTIONS_ROOT}/",
                    "请在 {file} 里用 {key} 写明，或新建 {USUAL_FUNCTIONS_ROOT}/"
                ),
            });
        }
        let mut functions = BTreeMap::new();
        for mut listed in discover::functions(functions_root.as_deref(), &elsewhere, &mut findings)? {
            let name = listed.function.name.clone();
            let configured = toml.functions.remove(name.as_str()).unwrap_or_default();
            let fallback = cloudbaserc.functions.remove(name.as_str()).unwrap_or_default();
            for (what, mend) in &fallback.oddities {
                findings.push(Finding {
                    function: Some(name.clone()),
                    file: cloudbaserc_path.clone(),
                    what: wording!("function {name}: {what}", "云函数 {name}：{what}"; what),
                    mend: mend.clone(),
                });
            }
            // Where its `scf_bootstrap` is there, that was told.
            if fallback.is_http && !http_function::is_in(&listed.function.dir) {
                findings.push(Finding {
                    function: Some(name.clone()),
                    file: cloudbaserc_path.clone(),
                    what: http_function::not_run(),
                    mend: http_function::written_otherwise(),
                });
            }
            if let Some(rule) = configured.invoke.clone().or_else(|| fallback.invoke.clone()) {
                let settings = &mut toml.settings;
                settings.function_rules.named.insert(name.to_string(), rule);
                if configured.invoke.is_none() {
                    settings.ruled_by_cloudbaserc.insert(name.to_string());
                }
            }
            configure(&mut listed, configured, fallback);
            functions.insert(name, listed);
        }
        for name in cloudbaserc.functions.keys() {
            let near = nearest(name, functions.keys().map(FunctionName::as_str));
            findings.push(Finding {
                function: None,
                file: cloudbaserc_path.clone(),
                what: wording!(
                    "it lists the function {name}, which has no folder with anything to run",
                    "里面列了云函数 {name}，但没有可以运行的目录"
                ),
                mend: match near {
                    Some(near) => did_you_mean(near),
                    None => wording!(
                        "add the folder, say where it is as `dir`, or remove the entry",
                        "请补上目录，或用 `dir` 写明它在哪里，或删掉这一项"
                    ),
                },
            });
        }
        faults.extend(toml.functions.into_iter().map(|(name, table)| {
            let near = nearest(name.as_str(), functions.keys().map(FunctionName::as_str));
            ProjectError::Setting {
                path: self.toml.clone(),
                line: table.line,
                what: wording!(
                    "[functions.{name}] configures a function that is not there",
                    "[functions.{name}] 所配置的云函数不存在"
                ),
                mend: match near {
                    Some(near) => did_you_mean(near),
                    None => wording!(
                        "name an existing function, or remove the table",
                        "请写已有的云函数，或删掉这一段"
                    ),
                },
            }
        }));

        findings.extend(permissions.add_to(&mut toml.settings.database));
        findings.extend(toml.settings.push.findings(&self.toml, functions.keys()));
        let web = &mut toml.settings.web;
        for (page, line) in web.site.pages.iter().zip(&toml.site_lines) {
            let shows = shows_too_much(self.root, functions_root.as_deref(), &toml.private, &page.folder);
            let Some(what) = shows else { continue };
            faults.push(ProjectError::Setting {
                path: self.toml.clone(),
                line: *line,
                what: wording!("the site's folder {what}", "网站目录{what}"; what),
                mend: wording!(
                    "name the folder that the build of the page writes, such as site = \"dist\"",
                    "请写明构建输出的目录，例如 site = \"dist\""
                ),
            });
        }
        let web_said_by = if web.serves() {
            &self.toml
        } else {
            &cloudbaserc_path
        };
        findings.extend(cloudbaserc.web.add_to(
            web,
            self.root,
            functions_root.as_deref(),
            &toml.private,
            &cloudbaserc_path,
        ));
        findings.extend(web.findings(web_said_by, functions.keys()));

        let own = project.appid.as_ref();
        if let Some((appid, line)) = own.and_then(|appid| toml.app_lines.get_key_value(appid)) {
            faults.push(ProjectError::Setting {
                path: self.toml.clone(),
                line: *line,
                what: wording!(
                    "[apps.{appid}] is the project's own app",
                    "[apps.{appid}] 就是本项目的小程序"
                ),
                mend: wording!(
                    "remove the table, and give its AppSecret as secret_file at the top of the file",
                    "请删掉这一段，并在文件开头用 secret_file 给出它的 AppSecret"
                ),
            });
        }
        if !faults.is_empty() {
            return Err(ProjectError::of(faults));
        }
        Ok(Project {
            functions_root,
            functions,
            settings: toml.settings,
            findings,
            ..project
        })
    }

    /// `project.config.json`, else a uni-app's `manifest.json`, if one is there.
    fn miniprogram(&self) -> Result<Option<MiniProgram>, ProjectError> {
        let path = self.root.join(miniprogram::FILE);
        if let Some(bytes) = files::read(&path)? {
            return MiniProgram::parse(&path, &bytes).map(Some);
        }
        let path = self.root.join(miniprogram::UNI_APP);
        let bytes = files::read(&path)?;
        let read = bytes.map(|bytes| MiniProgram::parse_uni_app(&path, &bytes));
        Ok(read.transpose()?.flatten())
    }

    /// The functions that `cloudbaserc.json` lists and that have no folder of their name in `functions_root`, where it says
    /// that they are: as `dir`, relative to the project or to its own `functionRoot`, else in that by name. The document
    /// leaves open what `dir` is relative to, so both is a choice.
    fn elsewhere(
        &self,
        functions_root: Option<&Path>,
        cloudbaserc: &Cloudbaserc,
    ) -> BTreeMap<FunctionName, PathBuf> {
        let their_root = cloudbaserc.functions_root.as_deref();
        let their_root = self
            .root
            .join(their_root.unwrap_or(cloudbaserc::USUAL_FUNCTIONS_ROOT));
        let folder = |(name, entry): (&String, &cloudbaserc::FunctionEntry)| {
            let name: FunctionName = name.parse().ok()?;
            let usual = functions_root.map(|root| root.join(name.as_str()));
            let given = entry
                .dir
                .iter()
                .flat_map(|dir| [self.root.join(dir), their_root.join(dir)]);
            let by_name = their_root.join(name.as_str());
            let mut candidates = given.chain(usual.clone()).chain([by_name]);
            let folder = candidates.find(|folder| folder.is_dir())?;
            (Some(&folder) != usual.as_ref()).then_some((name, folder))
        };
        cloudbaserc.functions.iter().filter_map(folder).collect()
    }

    /// The folder of the functions: the first that a file names, in the order of precedence; where none does, the usual one.
    ///
    /// What `yunqiao.toml` or `cloudbaserc.json` name must exist. DevTools' file may name a folder that git did not keep because
    /// it is empty, or that has another name by now.
    fn functions_root(
        &self,
        toml: &settings::File,
        miniprogram: &MiniProgram,
        cloudbaserc: &Cloudbaserc,
        findings: &mut Vec<Finding>,
    ) -> Result<Option<PathBuf>, ProjectError> {
        let (file, key) = key_of_functions_root(miniprogram);
        let named = [
            (&toml.functions_root, Some((settings::FILE, "functions"))),
            (&miniprogram.functions_root, None),
            (
                &cloudbaserc.functions_root,
                Some((cloudbaserc::FILE, "functionRoot")),
            ),
        ];
        for (folder, named_by) in named {
            let Some(folder) = folder else { continue };
            let path = files::tidy(&self.root.join(folder));
            if path.is_dir() {
                return Ok(Some(path));
            }
            if let Some((file, key)) = named_by {
                let (root, folder) = (self.root.to_owned(), folder.into());
                return Err(ProjectError::NoFunctionsFolder {
                    root,
                    folder,
                    file,
                    key,
                });
            }
            let found = guess::functions_root(self.root, Some(folder));
            let (what, mend) = match &found {
                Some(found) => {
                    let found = self.shown(found);
                    (
                        wording!(
                            "`{key}` names {folder}, which is not there: {found} is taken, which holds functions",
                            "`{key}` 所指的 {folder} 不存在：改用 {found}，里面有云函数"
                        ),
                        wording!("write {found} there", "请在那里写 {found}"),
                    )
                }
                None => (
                    wording!(
                        "`{key}` names {folder}, which is not there: the project has no functions",
                        "`{key}` 所指的 {folder} 不存在：项目没有云函数"
                    ),
                    wording!(
                        "create the folder, or name the right one there",
                        "请新建这个目录，或在那里改成正确的目录"
                    ),
                ),
            };
            findings.push(Finding {
                function: None,
                file: self.root.join(file),
                what,
                mend,
            });
            return Ok(found);
        }
        let usual = files::tidy(&self.root.join(USUAL_FUNCTIONS_ROOT));
        if usual.is_dir() {
            return Ok(Some(usual));
        }
        // Those that it lists lie where it says, or where CloudBase's tools look.
        if !cloudbaserc.functions.is_empty() {
            return Ok(None);
        }
        let found = guess::functions_root(self.root, None);
        if let Some(found) = &found {
            let found = self.shown(found);
            findings.push(Finding {
                function: None,
                file: self.root.to_owned(),
                what: wording!(
                    "no file names the folder of cloud functions: {found} is taken, which holds some",
                    "没有文件写明云函数目录：改用 {found}，里面有云函数"
                ),
                mend: wording!("name it as `{key}` in {file}", "请在 {file} 里用 `{key}` 写明"),
            });
        }
        Ok(found)
    }

    /// A folder below the project's, as people write it.
    fn shown(&self, folder: &Path) -> String {
        format!("{}/", folder.strip_prefix(self.root).unwrap_or(folder).display())
    }
}

/// The file and the key in it that say where the functions lie.
fn key_of_functions_root(miniprogram: &MiniProgram) -> (&'static str, &'static str) {
    match miniprogram.is_uni_app {
        true => (miniprogram::UNI_APP, "mp-weixin.cloudfunctionRoot"),
        false => (miniprogram::FILE, "cloudfunctionRoot"),
    }
}

/// The first folder below one, at most so deep, that holds a Mini Program: many a repository has it beside other things.
fn below(folder: &Path, depth: usize, is_one: fn(&Path) -> bool) -> Option<PathBuf> {
    let folders = guess::folders(folder);
    let found = folders.iter().find(|folder| is_one(folder));
    let deeper = || folders.iter().find_map(|folder| below(folder, depth - 1, is_one));
    found.cloned().or_else(|| if depth > 1 { deeper() } else { None })
}

/// A file or a folder that is not to be shown, and what it is called in a message.
#[derive(Clone, Debug)]
pub(crate) struct PrivatePath {
    pub(crate) what: Wording,
    pub(crate) path: PathBuf,
}

/// Where `dev` keeps what it keeps, within a project.
const OWN_FOLDER: &str = ".yunqiao";

/// Why a folder cannot be shown to everybody, if it cannot: the functions' source is in it, the project's settings, or what the server
/// keeps.
pub(crate) fn shows_too_much(
    root: &Path,
    functions_root: Option<&Path>,
    private: &[PrivatePath],
    site: &Path,
) -> Option<Wording> {
    let site = real(site);
    if real(root).starts_with(&site) {
        return Some(wording!(
            "is the project's own folder or one around it, and everything in it would be shown",
            "就是项目目录或它的上级目录，里面的一切都会公开"
        ));
    }
    let meets = |path: &Path| {
        let path = real(path);
        path.starts_with(&site) || site.starts_with(&path)
    };
    if functions_root.is_some_and(meets) {
        return Some(wording!(
            "has the functions' source in it, which would be shown",
            "里面有云函数的源码，会被公开"
        ));
    }
    if meets(&root.join(OWN_FOLDER)) {
        return Some(wording!(
            "has {OWN_FOLDER} in it, or lies there, and what `dev` keeps would be shown",
            "包含 {OWN_FOLDER} 或就在其中，`dev` 保存的数据会被公开"
        ));
    }
    let shown = private.iter().find(|private| meets(&private.path))?;
    let (what, path) = (&shown.what, shown.path.display());
    Some(wording!(
        "has {what} in it ({path}), which would be shown",
        "里面有 {what}（{path}），会被公开"; what
    ))
}

/// A path without links in it, as far as there is something.
fn real(path: &Path) -> PathBuf {
    let there = path
        .ancestors()
        .find_map(|there| Some((there, there.canonicalize().ok()?)));
    let Some((there, mut real)) = there else {
        return path.to_owned();
    };
    // Where nothing is, nothing is a link.
    for part in path.strip_prefix(there).into_iter().flat_map(Path::components) {
        match part {
            Component::ParentDir => drop(real.pop()),
            part => real.push(part),
        }
    }
    real
}

/// Gives a function what is configured for it: `yunqiao.toml`, else `cloudbaserc.json`, else what it has.
fn configure(listed: &mut ProjectFunction, toml: FunctionSettings, fallback: cloudbaserc::FunctionEntry) {
    if !listed.has_triggers_of_its_own {
        listed.triggers = fallback.triggers.triggers;
        listed.trigger_faults = fallback.triggers.faults;
    }
    let function = &mut listed.function;
    let mut problem = None;
    let mut or_fallback = |value: Option<u64>, fallback: Option<Result<u64, Wording>>| match (value, fallback)
    {
        (Some(value), _) | (None, Some(Ok(value))) => Some(value),
        (None, Some(Err(refusal))) => {
            problem.get_or_insert(refusal);
            None
        }
        (None, None) => None,
    };
    if let Some(seconds) = or_fallback(
        toml.timeout.map(|timeout| timeout.as_secs()),
        fallback.timeout_seconds,
    ) {
        function.timeout = Duration::from_secs(seconds);
    }
    if let Some(memory_mb) = or_fallback(toml.memory_mb, fallback.memory_mb) {
        function.memory_mb = narrow(memory_mb);
    }
    if let Some(concurrency) = toml.concurrency {
        function.concurrency = narrow(concurrency);
    }
    if let Some(max_instances) = toml.max_instances {
        function.max_instances = narrow(max_instances);
    }
    function.env = fallback.env;
    function.env.extend(toml.env);
    function.problem = function.problem.take().or(problem);
}

/// A number that was checked against a range far below 2³².
fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
