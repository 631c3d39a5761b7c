//! How reading a project fails, and what is merely worth telling. Each error's text contains its cause, so `source()`
//! does not return the cause again: otherwise a report of the whole chain would print it twice.

use std::{fmt, io, path::PathBuf};

use function::FunctionName;

/// Something in the project that does not stop it, but that its author should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The function that it is about, if it is about one.
    pub function: Option<FunctionName>,
    /// The file or folder to look at.
    pub file: PathBuf,
    /// What is odd there.
    pub what: String,
    /// What to do about it.
    pub mend: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} — {}", self.file.display(), self.what, self.mend)
    }
}

/// Why a project cannot be opened at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectError {
    /// Neither `project.config.json` nor `yunqiao.toml` is in the folder.
    #[error(
        "{} is no Mini Program project: neither {} is there — {}",
        dir.display(), looked_for.join(" nor "), match nearby {
            Some(nearby) => format!("give {}, which is one", nearby.display()),
            None => "give the folder that holds project.config.json, or make a new project with `yunqiao init DIR`".to_owned(),
        }
    )]
    NotAProject {
        /// The folder that was looked into.
        dir: PathBuf,
        /// The files that would have made it a project.
        looked_for: Vec<&'static str>,
        /// A folder below it that is one.
        nearby: Option<PathBuf>,
    },
    /// A file or folder that has to be read cannot be.
    #[error("cannot read {}: {cause}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        cause: io::Error,
    },
    /// `project.config.json` or `cloudbaserc.json` is not what it should be.
    #[error("{}:{line}:{column}: {what} — {mend}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong there.
        what: String,
        /// What to do about it.
        mend: String,
    },
    /// `yunqiao.toml` is not what it should be: no TOML, an unknown key, a value that cannot be.
    #[error("{}:{line}: {what} — {mend}", path.display())]
    Setting {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong there.
        what: String,
        /// What to do about it.
        mend: String,
    },
    /// An environment variable is not what it should be.
    #[error("the environment variable {name} {what} — {mend}")]
    Variable {
        /// Its name.
        name: &'static str,
        /// What is wrong with its value, which may be a secret and is not quoted.
        what: String,
        /// What to do about it.
        mend: String,
    },
    /// The folder that should hold the cloud functions is not there.
    #[error("{} has no folder {}, which {named_by} names — create it, or name the right one there", root.display(), folder.display())]
    NoFunctionsFolder {
        /// The project's folder.
        root: PathBuf,
        /// The folder that is missing.
        folder: PathBuf,
        /// The file and key that name it.
        named_by: &'static str,
    },
    /// Several of these, in the order of their lines.
    #[error("{}", texts(.0))]
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
}

/// A line for each.
fn texts(faults: &[ProjectError]) -> String {
    let texts: Vec<_> = faults.iter().map(ToString::to_string).collect();
    texts.join("\n")
}
