//! The project as a whole.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{Finding, Function, FunctionName, Settings};

/// A Mini Program project, as its files describe it.
#[derive(Clone, Debug)]
pub struct Project {
    /// The folder that holds `project.config.json` or `yunqiao.toml`.
    pub root: PathBuf,
    /// The Mini Program's appid, if a file gives one.
    pub appid: Option<String>,
    /// The cloud functions, by name.
    pub functions: BTreeMap<FunctionName, Function>,
    /// What `yunqiao.toml` says, defaults where there is none.
    pub settings: Settings,
    /// What its author should know.
    pub findings: Vec<Finding>,
}
