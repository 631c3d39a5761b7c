//! How reading a project fails, and what is merely worth telling. Each error's text contains its cause, so `source()`
//! does not return the cause again: otherwise a report of the whole chain would print it twice.

use std::{fmt, io, path::PathBuf};

use function::FunctionName;
use wording::{Wording, wording};

use crate::files;

/// Something in the project that does not stop it, but that its author should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The function that it is about, if it is about one.
    pub function: Option<FunctionName>,
    /// The file or folder to look at.
    pub file: PathBuf,
    /// What is odd there.
    pub what: Wording,
    /// What to do about it.
    pub mend: Wording,
}

impl Finding {
    /// The whole: `FUNCTION: FILE: WHAT`. The mend is told apart.
    #[must_use]
    pub fn wording(&self) -> Wording {
        // One file goes by one name, however the project's folder was given.
        let (file, what) = (files::tidy(&self.file), &self.what);
        let file = file.display();
        match &self.function {
            Some(function) => wording!("{function}: {file}: {what}", "{function}: {file}: {what}"; what),
            None => wording!("{file}: {what}", "{file}: {what}"; what),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} — {}", self.file.display(), self.what, self.mend)
    }
}

/// Why a project cannot be opened at all. What is wrong and its mend are the last of each.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProjectError {
    /// Neither `project.config.json` nor `yunqiao.toml` is in the folder.
    NotAProject {
        /// The folder that was looked into.
        dir: PathBuf,
        /// The files that would have made it a project.
        looked_for: Vec<&'static str>,
        /// A folder below it that is one.
        nearby: Option<PathBuf>,
    },
    /// A file or folder that has to be read cannot be.
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        cause: io::Error,
    },
    /// `project.config.json` or `cloudbaserc.json` is not what it should be.
    Json {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong there.
        what: Wording,
        /// What to do about it.
        mend: Wording,
    },
    /// `yunqiao.toml` is not what it should be: no TOML, an unknown key, a value that cannot be.
    Setting {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong there.
        what: Wording,
        /// What to do about it.
        mend: Wording,
    },
    /// An environment variable is not what it should be.
    Variable {
        /// Its name.
        name: &'static str,
        /// What is wrong with its value, which may be a secret and is not quoted.
        what: Wording,
        /// What to do about it.
        mend: Wording,
    },
    /// The folder that should hold the cloud functions is not there.
    NoFunctionsFolder {
        /// The project's folder.
        root: PathBuf,
        /// The folder that is missing.
        folder: PathBuf,
        /// The file that names it.
        file: &'static str,
        /// The key that names it there.
        key: &'static str,
    },
    /// Several of these, in the order of their lines.
    Several(Vec<Self>),
}

impl ProjectError {
    /// One error of at least one.
    pub(crate) fn of(mut faults: Vec<Self>) -> Self {
        faults.sort_by_key(|fault| match fault {
            Self::Setting { line, .. } => *line,
            _ => 0,
        });
        match faults.len() {
            1 => faults.remove(0),
            _ => Self::Several(faults),
        }
    }

    /// Each of several errors, or the one that this is.
    #[must_use]
    pub fn each(&self) -> &[Self] {
        match self {
            Self::Several(faults) => faults,
            one => std::slice::from_ref(one),
        }
    }

    /// Where, what and the mend; a line for each of several.
    #[must_use]
    pub fn wording(&self) -> Wording {
        match self {
            Self::NotAProject {
                dir,
                looked_for,
                nearby,
            } => {
                let (dir, files) = (dir.display(), looked_for);
                let (files_en, files_zh) = (files.join(" nor "), files.join("，也没有 "));
                let mend = match nearby {
                    Some(nearby) => {
                        let nearby = nearby.display();
                        wording!("give {nearby}, which is one", "{nearby} 是一个项目，请改用它")
                    }
                    None => wording!(
                        "give the folder that holds project.config.json, or make a new project with `yunqiao init DIR`",
                        "请指定 project.config.json 所在的目录，或用 `yunqiao init DIR` 新建一个项目"
                    ),
                };
                wording!(
                    "{dir} is no Mini Program project: neither {files_en} is there — {mend}",
                    "{dir} 不是小程序项目：这里没有 {files_zh} —— {mend}"; mend
                )
            }
            Self::Read { path, cause } => {
                let path = path.display();
                wording!("cannot read {path}: {cause}", "无法读取 {path}：{cause}")
            }
            Self::Json {
                path,
                line,
                column,
                what,
                mend,
            } => {
                let (path, told) = (path.display(), Wording::with_mend(what, mend));
                wording!("{path}:{line}:{column}: {told}", "{path}:{line}:{column}: {told}"; told)
            }
            Self::Setting {
                path,
                line,
                what,
                mend,
            } => {
                let (path, told) = (path.display(), Wording::with_mend(what, mend));
                wording!("{path}:{line}: {told}", "{path}:{line}: {told}"; told)
            }
            Self::Variable { name, what, mend } => wording!(
                "the environment variable {name} {what} — {mend}",
                "环境变量 {name} {what} —— {mend}"; what, mend
            ),
            Self::NoFunctionsFolder {
                root,
                folder,
                file,
                key,
            } => {
                let (root, folder) = (root.display(), folder.display());
                wording!(
                    "{root} has no folder {folder}, which `{key}` in {file} names — create it, or name the right one there",
                    "{root} 下没有 {file} 中 `{key}` 所指的目录 {folder} —— 请新建它，或在那里改成正确的目录"
                )
            }
            Self::Several(faults) => Wording::lines(faults.iter().map(Self::wording)),
        }
    }
}

impl fmt::Display for ProjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wording().fmt(f)
    }
}

impl std::error::Error for ProjectError {}
