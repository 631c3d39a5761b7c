//! The doctor: what is wrong with a project before anybody runs it, how to mend it, and often the cure.
//!
//! [`examine`] compares what each function declares (`config.json`, `package.json`) with what its source calls and
//! requires, and with WeChat's catalogue. It runs nothing and uses no network. [`cure`] edits `config.json` and
//! `package.json` and leaves the rest of these files as their author wrote it; it never touches a function's source, and of markup only
//! a file that makes addresses of file ids already. The source
//! is searched as text. [`DoctorReport::unseen`] lists the places where such a search sees too little, and a function that has
//! such a place is never told that a permission is superfluous.

mod cloud_calls;
mod cure;
mod dependencies;
mod http_access;
mod markup;
mod pages;
mod permissions;
mod queries;
mod source;
mod storage;
mod timers;
mod tokens;
mod variables;

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use function::FunctionName;
use project::Project;
use wording::{Wording, wording};

use crate::{cure::Cure, source::Source};
pub use crate::{
    dependencies::UndeclaredPackage,
    permissions::{UnwrittenPermission, mend as permission_mend, unwritten_permissions, write_permission},
};

/// What the doctor found.
#[derive(Debug)]
#[non_exhaustive]
pub struct DoctorReport {
    /// What is wrong, by function, file and line; what concerns the whole project comes first.
    pub diagnoses: Vec<Diagnosis>,
    /// What may be worth a thought, and is not wrong: indexes, collections, paging, variables of the environment, logins that can be gone round,
    /// permissions that nothing uses, collections of which no file says who may read them. By function, file and line as well.
    pub hints: Vec<Diagnosis>,
    /// Where calls may hide that a search of the text does not see.
    pub unseen: Vec<UnseenPlace>,
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Diagnosis {
    /// The function that it is about, if it is about one.
    pub function: Option<FunctionName>,
    /// The file or folder to look at.
    pub file: PathBuf,
    /// The line to look at, from 1, where there is one.
    pub line: Option<usize>,
    /// What is wrong there.
    pub what: Wording,
    /// What to do about it; empty where [`what`](Self::what) says it.
    pub mend: Wording,
    cure: Option<Cure>,
}

/// A place in a function's source that the doctor cannot follow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnseenPlace {
    /// The function.
    pub function: FunctionName,
    /// The file or folder.
    pub file: PathBuf,
    /// The line, from 1; `None` if the whole file was left out, because it cannot be read or is larger than 2 MB.
    pub line: Option<usize>,
}

/// Something that was cured.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CuredFile {
    /// The file that was written.
    pub file: PathBuf,
    /// What was done in it.
    pub what: Wording,
}

/// A file could not be edited; those before it were.
#[derive(Debug)]
#[non_exhaustive]
pub enum CureError {
    /// It cannot be read or written.
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        cause: io::Error,
    },
    /// It changed since it was examined, and is no longer what it has to be.
    Changed {
        /// The file.
        path: PathBuf,
        /// What it is now.
        what: Wording,
    },
}

impl CureError {
    /// What is wrong, and the mend where there is one.
    #[must_use]
    pub fn wording(&self) -> Wording {
        match self {
            Self::File { path, cause } => {
                let path = path.display();
                wording!("cannot edit {path}: {cause}", "无法修改 {path}：{cause}")
            }
            Self::Changed { path, what } => {
                let path = path.display();
                wording!(
                    "cannot edit {path}: {what} — mend it, then examine again",
                    "无法修改 {path}：{what} —— 请先改正，再重新检查"; what
                )
            }
        }
    }
}

impl fmt::Display for CureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wording().fmt(f)
    }
}

impl std::error::Error for CureError {}

impl Diagnosis {
    fn new(file: &Path, line: Option<usize>, what: Wording, mend: Wording) -> Self {
        Self {
            function: None,
            file: file.to_owned(),
            line,
            what,
            mend,
            cure: None,
        }
    }

    fn cured_by(mut self, cure: Cure) -> Self {
        self.cure = Some(cure);
        self
    }

    /// Whether [`cure`] can mend it.
    #[must_use]
    pub fn is_curable(&self) -> bool {
        self.cure.is_some()
    }
}

impl fmt::Display for Diagnosis {
    /// `file:line: what — mend`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", Wording::with_mend(&self.what, &self.mend))
    }
}

impl UnseenPlace {
    /// Why what is there was not seen.
    #[must_use]
    pub fn wording(&self) -> Wording {
        match self.line {
            Some(_) => wording!(
                "what is called from here cannot be seen in the text",
                "从源码文本看不出这里调用了什么"
            ),
            None => wording!(
                "it was not looked at: it cannot be read, or is larger than 2 MB",
                "没有检查：无法读取，或超过 2 MB"
            ),
        }
    }
}

impl DoctorReport {
    /// Adds a file of a function's source that cannot be parsed or lacks another one, which a parser has found: the search of
    /// the text does not need to know the whole language.
    pub fn add_fault_of_source(
        &mut self,
        function: FunctionName,
        file: &Path,
        line: Option<usize>,
        what: Wording,
    ) {
        let diagnosis = Diagnosis {
            function: Some(function),
            ..Diagnosis::new(file, line, what, Wording::default())
        };
        self.diagnoses.push(diagnosis);
        self.sort();
    }

    /// Adds what `file`, the settings, says and what the project's data does not admit.
    pub fn add_fault_of_settings(&mut self, file: &Path, what: Wording, mend: Wording) {
        self.diagnoses.push(Diagnosis::new(file, None, what, mend));
        self.sort();
    }

    fn sort(&mut self) {
        for found in [&mut self.diagnoses, &mut self.hints] {
            found.sort_by(|a, b| (&a.function, &a.file, a.line).cmp(&(&b.function, &b.file, b.line)));
        }
    }
}

/// Examines a project and the source of its functions, which are read anew.
#[must_use]
pub fn examine(project: &Project) -> DoctorReport {
    let mut diagnoses = Vec::new();
    let mut unseen = Vec::new();
    let (mut uses, mut of_storage, mut of_variables) = (Vec::new(), Vec::new(), Vec::new());
    let mut of_permissions = Vec::new();
    for finding in &project.findings {
        // What stands in a function's config.json is told below, with its line.
        if finding.function.is_none() || !finding.file.ends_with(project::permissions::FILE) {
            diagnoses.push(Diagnosis {
                function: finding.function.clone(),
                ..Diagnosis::new(&finding.file, None, finding.what.clone(), finding.mend.clone())
            });
        }
    }
    for listed in project.functions.values() {
        let function = &listed.function;
        let mut source = Source::read(&function.dir);
        uses.push((&function.name, std::mem::take(&mut source.database)));
        of_storage.push((&function.name, std::mem::take(&mut source.storage)));
        of_variables.extend(variables::examine(function, &source.variables));
        let mut found = Vec::new();
        if let Some(problem) = &function.problem {
            let what = wording!("it cannot run: {problem}", "无法运行：{problem}"; problem);
            found.push(Diagnosis::new(&function.dir, None, what, Wording::default()));
        }
        let mut hints = Vec::new();
        cloud_calls::examine(function, &source, &mut found, &mut hints);
        timers::examine(listed, &mut found);
        dependencies::examine(function, &source, project, &mut found);
        let of_function = |diagnosis| Diagnosis {
            function: Some(function.name.clone()),
            ..diagnosis
        };
        diagnoses.extend(found.into_iter().map(of_function));
        of_permissions.extend(hints.into_iter().map(of_function));
        unseen.extend(source.unseen.into_iter().map(|(file, line)| UnseenPlace {
            function: function.name.clone(),
            file,
            line,
        }));
    }
    let mut hints = queries::examine(project, &uses);
    hints.extend(storage::examine(project, &of_storage));
    hints.extend(markup::examine(project));
    hints.extend(permissions::examine(project));
    hints.extend(http_access::examine(project));
    hints.extend(of_variables);
    hints.extend(of_permissions);
    let mut report = DoctorReport {
        diagnoses,
        hints,
        unseen,
    };
    report.sort();
    report
}

/// The packages that functions of a project require and do not declare, in the order of the functions. Their source is read anew.
#[must_use]
pub fn undeclared(project: &Project) -> Vec<UndeclaredPackage> {
    let functions = project.functions.values().map(|listed| &listed.function);
    functions
        .flat_map(|function| dependencies::undeclared(function, &Source::read(&function.dir), project))
        .collect()
}

/// Whether the function in this folder may make the collection of this name by itself: whether its source, which is read anew, calls
/// `createCollection` with that name, or with one that is computed.
#[must_use]
pub fn makes_collection(dir: &Path, name: &str) -> bool {
    Source::read(dir).database.may_create(name)
}

/// Cures what can be cured, and says what was done, file by file. Afterwards open and examine the project again: what one
/// cure uncovers, and what has none, is told then.
///
/// # Errors
/// A file cannot be read or written, or was changed for the worse since the report was made.
pub fn cure(report: &DoctorReport) -> Result<Vec<CuredFile>, CureError> {
    let found = report.diagnoses.iter().chain(&report.hints);
    let mut cures: Vec<&Cure> = found.filter_map(|diagnosis| diagnosis.cure.as_ref()).collect();
    // Those of one file together; otherwise they stay in order.
    cures.sort_by_key(|cure| &cure.file);
    let mut cured = Vec::new();
    for of_file in cures.chunk_by(|a, b| a.file == b.file) {
        let file = &of_file[0].file;
        let done = cure::edit(file, of_file.iter().map(|cure| &cure.edit))?;
        cured.extend(done.into_iter().map(|what| CuredFile {
            file: file.clone(),
            what,
        }));
    }
    Ok(cured)
}

#[cfg(test)]
mod tests;
