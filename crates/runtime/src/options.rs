//! How a runtime is set up.

use std::{ffi::OsString, path::PathBuf};

use function::FunctionName;

/// How a runtime is set up.
#[derive(Clone, Debug)]
pub struct RuntimeOptions {
    /// The Node to run functions with.
    pub node: PathBuf,
    /// Where installed dependencies and the workers' program are kept between runs.
    pub cache_dir: PathBuf,
    /// The command that runs [`process::guard::main`]: what follows is its arguments.
    pub guard: Vec<OsString>,
    /// Do not let npm use the network.
    pub offline: bool,
    /// How many workers wait, of each kind, with dependencies loaded and no function.
    pub spares: usize,
    /// How many workers there may be, of all functions together, spares included; the one that has been idle longest goes
    /// first. Nested calls may start a few more. [`process::Budget`] says what a machine can bear.
    pub max_workers: usize,
    /// Start workers under Node's inspector.
    pub inspect: Option<Inspect>,
    /// Let workers remember at all times where in its code a function began what it does, for what is told of requests that
    /// come too late. It costs what a developer does not notice, and a busy server does.
    pub places: bool,
    /// Bytes of output kept of one call; at most 4 MB.
    pub log_limit: usize,
    /// Names of the two variables under which a worker's program finds its key pair: id, then secret.
    pub key_variables: [String; 2],
    /// What the addresses of files begin with that functions are given: see [`process::WorkerSettings::files_at`].
    pub files_at: Option<String>,
    /// Where functions' own requests to WeChat's server API go: see [`process::WorkerSettings::wechat_at`].
    pub wechat_at: Option<String>,
}

/// Functions to be debugged: one worker each, and no timeouts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspect {
    /// Which function; `None` for all.
    pub function: Option<FunctionName>,
    /// The port on 127.0.0.1 where the first one's inspector listens; further ones take the next ports.
    pub port: u16,
}
