//! What a cloud function is: a legal name, and what it takes to run it, with the platform's limits and defaults.
//!
//! [`Function`] holds only what the one who runs a function must know. What a repository says besides, such as its timers
//! and the cloud calls that it may make, belongs to the `project` crate. Nothing here reads a file.

mod manifest;
mod name;
mod packages;

use std::{collections::BTreeMap, ops::RangeInclusive, path::PathBuf, time::Duration};

use wording::Wording;

pub use manifest::{LOCKS, Manifest};
pub use name::{FunctionName, IllegalName};
pub use packages::{
    BUILT_IN_PACKAGES, SDK, SDK_VERSION, USUAL_PACKAGES, built_in_package, suppliable_package,
};

/// How long a function may be allowed to run, in seconds. The console offers up to 60; WeChat's API for third parties
/// (`uploadfuncconfig`) takes up to 300, and there are programs that rely on it.
pub const TIMEOUT_SECONDS: RangeInclusive<u64> = 1..=300;
/// How long a function may run where nothing is configured: the console gives a new function 3 seconds.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3);
/// How much memory a function may be given, in MB. The platform's tools offer 128 to 2048, its function service up to 3072.
pub const MEMORY_MB: RangeInclusive<u64> = 128..=3072;
/// How much memory a function has where nothing is configured, in MB: for long the only size that WeChat offered, and
/// still the default of CloudBase's command line.
pub const DEFAULT_MEMORY_MB: u32 = 256;
/// How many calls one worker may be allowed to serve at a time. The platform serves one; the upper end is a choice.
pub const CONCURRENCY: RangeInclusive<u64> = 1..=1000;
/// How many calls one worker serves at a time where nothing is configured: one, as on the platform, because functions
/// keep state in their modules.
pub const DEFAULT_CONCURRENCY: u32 = 1;
/// How many workers one function may be allowed to have. The platform counts them by plan; the upper end is a choice.
pub const MAX_INSTANCES: RangeInclusive<u64> = 1..=1000;
/// How many workers one function may have where nothing is configured: a choice.
pub const DEFAULT_MAX_INSTANCES: u32 = 10;

/// A cloud function as it is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name, which is its folder's.
    pub name: FunctionName,
    /// Its folder.
    pub dir: PathBuf,
    /// The file that exports `main`, inside [`Function::dir`].
    pub entry: PathBuf,
    /// How long one call may run: within [`TIMEOUT_SECONDS`], by default [`DEFAULT_TIMEOUT`].
    pub timeout: Duration,
    /// Memory of one worker in MB: within [`MEMORY_MB`], by default [`DEFAULT_MEMORY_MB`].
    pub memory_mb: u32,
    /// The environment variables configured for it.
    pub env: BTreeMap<String, String>,
    /// How many calls one worker serves at a time: within [`CONCURRENCY`], by default [`DEFAULT_CONCURRENCY`].
    pub concurrency: u32,
    /// How many workers it may have: within [`MAX_INSTANCES`], by default [`DEFAULT_MAX_INSTANCES`].
    pub max_instances: u32,
    /// Its `package.json` and lock file, if it has a `package.json`.
    pub manifest: Option<Manifest>,
    /// Packages that its source requires and its manifest does not name, with the range of versions in which they are to be
    /// supplied. One that cannot be had is missing when it is required, and not before.
    pub supplied: BTreeMap<String, String>,
    /// Whether a package that turns out to be missing when it runs is supplied too, where [`suppliable_package`] vouches for it.
    pub supplies_what_is_missing: bool,
    /// Why it cannot run, and the mend; `None` when nothing is known to prevent it.
    pub problem: Option<Wording>,
}

impl Function {
    /// A function with the platform's defaults.
    #[must_use]
    pub fn new(name: FunctionName, dir: PathBuf, entry: PathBuf) -> Self {
        Self {
            name,
            dir,
            entry,
            timeout: DEFAULT_TIMEOUT,
            memory_mb: DEFAULT_MEMORY_MB,
            env: BTreeMap::new(),
            concurrency: DEFAULT_CONCURRENCY,
            max_instances: DEFAULT_MAX_INSTANCES,
            manifest: None,
            supplied: BTreeMap::new(),
            supplies_what_is_missing: false,
            problem: None,
        }
    }

    /// Whether Node loads [`Function::entry`] as an ES module.
    #[must_use]
    pub fn is_module(&self) -> bool {
        match self.entry.extension().and_then(|extension| extension.to_str()) {
            Some("mjs") => true,
            Some("js") => self.manifest.as_ref().is_some_and(|manifest| manifest.is_module),
            _ => false,
        }
    }
}
