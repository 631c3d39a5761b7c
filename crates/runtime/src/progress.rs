//! The steps that take a runtime long.

use std::fmt;

use function::FunctionName;

/// Something that happened. `Display` is a line for a person.
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
        note: Option<String>,
        /// Why it failed, and the mend.
        problem: Option<String>,
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
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |functions: &[FunctionName]| {
            functions
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        };
        match self {
            Self::Installing {
                number,
                of,
                package,
                functions,
            } => {
                let what = package.as_deref().unwrap_or("dependencies");
                write!(f, "installing {what} {number} of {of}: {}", list(functions))
            }
            Self::Installed {
                number,
                of,
                package,
                functions,
                note,
                problem: None,
            } => {
                let what = package.as_deref().unwrap_or("dependencies");
                write!(f, "installed {what} {number} of {of}: {}", list(functions))?;
                note.as_ref().map_or(Ok(()), |note| write!(f, "; {note}"))
            }
            Self::Installed {
                problem: Some(problem),
                ..
            } => f.write_str(problem),
            Self::Missing {
                function,
                package,
                supplied: Some(range),
            } => write!(
                f,
                "{function}, or a package that it uses, requires `{package}`, and nothing declares it: {range} is supplied; add \
                 \"{package}\": \"{range}\" to dependencies in its package.json"
            ),
            Self::Missing {
                function,
                package,
                supplied: None,
            } => write!(
                f,
                "{function}, or a package that it uses, requires `{package}`, and nothing declares it: if that is the name that is meant, \
                 add \"{package}\": \"latest\" to dependencies in its package.json"
            ),
            Self::Outdated { function } => write!(
                f,
                "{function} was called with its old code: files have changed, and nothing has loaded them yet"
            ),
            Self::Inspecting { function, port } => write!(f, "{function}: debugger at 127.0.0.1:{port}"),
        }
    }
}
