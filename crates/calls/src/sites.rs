//! Which functions there are, and what the call path knows of each: its environment, rendered once.

use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use function::FunctionName;
use tcb::Environment;

/// One function as the call path needs it.
#[derive(Debug)]
pub struct Site {
    /// Its name.
    pub name: FunctionName,
    /// The variables that its calls see, as far as they never change.
    pub environment: Environment,
    /// Names of the cloud calls that it may make, as its `config.json` has them.
    pub permissions: BTreeSet<String>,
    /// What is wrong with that list, or with the whole of its `config.json`: where a name is missing, this is the likelier cause.
    pub permission_faults: Vec<String>,
    /// Its `config.json`, there or not: for whoever has to add a name.
    pub config_json: PathBuf,
}

/// All functions, by name.
#[derive(Debug, Default)]
pub struct Sites(RwLock<Option<HashMap<String, Arc<Site>>>>);

impl Sites {
    /// The function of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Site>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()?
            .get(name)
            .cloned()
    }

    /// All names, in order, for a person to read.
    #[must_use]
    pub fn names(&self) -> String {
        let sites = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<_> = sites.iter().flat_map(HashMap::keys).map(String::as_str).collect();
        names.sort_unstable();
        names.join(", ")
    }

    /// Whether functions were put at all.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Takes these functions in place of those known so far. Calls under way keep what they began with.
    pub fn put(&self, sites: impl IntoIterator<Item = Site>) {
        let sites = sites
            .into_iter()
            .map(|site| (site.name.to_string(), Arc::new(site)));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(sites.collect());
    }
}
