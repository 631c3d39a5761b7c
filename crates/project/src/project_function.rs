//! One cloud function of the project: how it is to be run, and what only its repository says of it.

use std::{collections::BTreeSet, path::PathBuf};

use function::Function;

use crate::{Trigger, files::FileFault, permissions};

/// A cloud function of a project: a folder below `cloudfunctionRoot` with what was configured for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProjectFunction {
    /// How it is to be run.
    pub function: Function,
    /// The cloud calls that it may make: `permissions.openapi` of its `config.json`, name by name as written there, without `openapi.`
    /// before it, also one that no interface has. A call is allowed when its name, as the SDK sends it, is among them. Empty when there is
    /// no [`config_json`](Self::config_json), or none that can be read.
    pub permissions: BTreeSet<String>,
    /// What is wrong with its `config.json` as far as permissions go: a name that stands there all the same is not
    /// absent, but without effect.
    pub permission_faults: Vec<FileFault>,
    /// Whether its `config.json` has `triggers`, right or wrong: then those of `cloudbaserc.json` do not count.
    pub(crate) has_triggers_of_its_own: bool,
    /// Its timers: `triggers` of its `config.json`, else of its entry in `cloudbaserc.json`, less what is not as it should
    /// be.
    pub triggers: Vec<Trigger>,
    /// What is wrong with its timers: those that it tells of do not fire, but are not absent.
    pub trigger_faults: Vec<FileFault>,
}

impl ProjectFunction {
    /// The file whose `permissions.openapi` gives [`Self::permissions`], whether or not it is there: where its author
    /// adds a permission.
    #[must_use]
    pub fn config_json(&self) -> PathBuf {
        self.function.dir.join(permissions::FILE)
    }
}
