//! The steps that take a runtime long.

use std::fmt;

use function::FunctionName;
use wording::{Wording, wording};

/// Something that happened. [`Progress::wording`] is a line for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// A tree is being installed: one of several trees of dependencies.
    Installing {
        /// Which one, from 1.
        number: usize,
        /// Of how many.
        of: usize,
        /// The one package that it is for, where the functions require and do not declare it.
        package: Option<String>,
        /// The functions that need it.
        functions: Vec<FunctionName>,
    },
    /// That has ended.
    Installed {
        /// Which one, from 1.
        number: usize,
        /// Of how many.
        of: usize,
        /// As when it began.
        package: Option<String>,
        /// The functions that need it.
        functions: Vec<FunctionName>,
        /// What is to be known about how it was done.
        note: Option<Wording>,
        /// Why it failed, and the mend.
        problem: Option<Wording>,
    },
    /// A function's worker starts under Node's inspector.
    Inspecting {
        /// Which function.
        function: FunctionName,
        /// The port on 127.0.0.1.
        port: u16,
    },
    /// A package is not there that something requires when a function runs, and that nothing declares.
    Missing {
        /// Which function.
        function: FunctionName,
        /// The package.
        package: String,
        /// The range of versions in which it is supplied; `None` where it is not.
        supplied: Option<String>,
    },
    /// A call gets the code that was loaded, though files have changed since.
    Outdated {
        /// Which function.
        function: FunctionName,
    },
}

impl Progress {
    /// Whether nothing is under way any more that this tells about: the opposite of a step that has begun.
    #[must_use]
    pub fn is_over(&self) -> bool {
        !matches!(self, Self::Installing { .. })
    }

    /// Whether somebody has something to do.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::Outdated { .. })
    }

    /// A line for a person.
    #[must_use]
    pub fn wording(&self) -> Wording {
        let list = |functions: &[FunctionName]| {
            let names: Vec<_> = functions.iter().map(FunctionName::as_str).collect();
            names.join(", ")
        };
        let kind = |package: &Option<String>| match package {
            Some(package) => wording!("{package}", " {package}"),
            None => wording!("dependencies", "依赖"),
        };
        match self {
            Self::Installing {
                number,
                of,
                package,
                functions,
            } => {
                let (what, whose) = (kind(package), list(functions));
                wording!(
                    "installing {what} {number} of {of}: {whose}",
                    "正在安装{what}（{number}/{of}）：{whose}"; what
                )
            }
            Self::Installed {
                number,
                of,
                package,
                functions,
                note,
                problem: None,
            } => {
                let (what, whose) = (kind(package), list(functions));
                let done = wording!(
                    "installed {what} {number} of {of}: {whose}",
                    "已安装{what}（{number}/{of}）：{whose}"; what
                );
                match note {
                    Some(note) => wording!("{done}; {note}", "{done}；{note}"; done, note),
                    None => done,
                }
            }
            Self::Installed {
                problem: Some(problem),
                ..
            } => problem.clone(),
            Self::Missing {
                function,
                package,
                supplied: Some(range),
            } => wording!(
                "{function}, or a package that it uses, requires `{package}`, and nothing declares it: {range} is supplied; add \"{package}\": \"{range}\" to dependencies in its package.json",
                "{function} 或它的依赖用到 `{package}`，但没有声明：已补上 {range}；请在 package.json 的 dependencies 里加上 \"{package}\": \"{range}\""
            ),
            Self::Missing {
                function,
                package,
                supplied: None,
            } => wording!(
                "{function}, or a package that it uses, requires `{package}`, and nothing declares it: if that is the name that is meant, add \"{package}\": \"latest\" to dependencies in its package.json",
                "{function} 或它的依赖用到 `{package}`，但没有声明：如果名字没写错，请在 package.json 的 dependencies 里加上 \"{package}\": \"latest\""
            ),
            Self::Outdated { function } => wording!(
                "{function} was called with its old code: files have changed, and nothing has loaded them yet",
                "{function} 运行的还是旧代码：文件已修改，但尚未重新加载"
            ),
            Self::Inspecting { function, port } => wording!(
                "{function}: debugger at 127.0.0.1:{port}",
                "{function}：调试器在 127.0.0.1:{port}"
            ),
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wording().fmt(f)
    }
}
