//! One cloud function of the project: where it lies and how it is to be run.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

use crate::{FunctionName, Manifest, Trigger, permissions};

/// How long a function may be allowed to run, in seconds: what WeChat's console offers.
pub const TIMEOUT_SECONDS: RangeInclusive<u64> = 1..=60;
/// How much memory a function may be given, in MB.
pub const MEMORY_MB: RangeInclusive<u64> = 128..=3072;
/// How many calls one worker may be allowed to serve at a time.
pub const CONCURRENCY: RangeInclusive<u64> = 1..=1000;
/// How many workers one function may be allowed to have.
pub const MAX_INSTANCES: RangeInclusive<u64> = 1..=1000;

/// A cloud function: a folder below `cloudfunctionRoot` with what was configured for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name, which is its folder's.
    pub name: FunctionName,
    /// Its folder.
    pub dir: PathBuf,
    /// The file that exports `main`, inside [`Function::dir`].
    pub entry: PathBuf,
    /// How long one call may run: 1 to 60 seconds, by default 3 as on the platform.
    pub timeout: Duration,
    /// Memory of one worker in MB: 128 to 3072, by default 256.
    pub memory_mb: u32,
    /// The environment variables configured for it.
    pub env: BTreeMap<String, String>,
    /// How many calls one worker serves at a time; by default 1, because functions keep state in their modules.
    pub concurrency: u32,
    /// How many workers it may have; by default 10.
    pub max_instances: u32,
    /// The cloud calls that it may make: `permissions.openapi` of its `config.json`, name by name as written there, also
    /// one that no interface has. A call is allowed when its name, as the SDK sends it, is among them. Empty when there is
    /// no [`config_json`](Function::config_json), or none that can be read.
    pub permissions: BTreeSet<String>,
    /// Its timers: `triggers` of its `config.json`, less what is not as it should be.
    pub triggers: Vec<Trigger>,
    /// Its `package.json` and lock file, if it has a `package.json`.
    pub manifest: Option<Manifest>,
    /// Why it cannot run, and the mend; `None` when nothing speaks against it.
    pub problem: Option<String>,
}

impl Function {
    /// A function with the platform's defaults.
    #[must_use]
    pub fn new(name: FunctionName, dir: PathBuf, entry: PathBuf) -> Self {
        Self {
            name,
            dir,
            entry,
            timeout: Duration::from_secs(3),
            memory_mb: 256,
            env: BTreeMap::new(),
            concurrency: 1,
            max_instances: 10,
            permissions: BTreeSet::new(),
            triggers: Vec::new(),
            manifest: None,
            problem: None,
        }
    }

    /// The file whose `permissions.openapi` gives [`Function::permissions`], whether or not it is there: where its author
    /// adds a permission.
    #[must_use]
    pub fn config_json(&self) -> PathBuf {
        self.dir.join(permissions::FILE)
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
