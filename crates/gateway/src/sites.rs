//! What the gateway knows of each function: its environment, rendered once.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use function::FunctionName;
use project::{Project, ProjectFunction};
use runtime::Loaded;
use tcb::{Environment, Site};

use crate::Inner;

/// The region that functions see; there is none, so it is the platform's most common one.
const REGION: &str = "ap-shanghai";

/// One function as the call path needs it.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) name: FunctionName,
    pub(crate) environment: Environment,
    /// Names of the cloud calls that it may make, as its `config.json` has them.
    pub(crate) permissions: BTreeSet<String>,
    /// Its `config.json`, there or not: for whoever has to add a name.
    pub(crate) config_json: PathBuf,
}

/// The functions of the project, by name.
#[derive(Debug, Default)]
pub(crate) struct Sites(RwLock<Option<HashMap<String, Arc<Known>>>>);

/// A set of functions about to be served.
pub(crate) struct Prepared {
    known: HashMap<String, Arc<Known>>,
    loaded: Vec<Loaded>,
}

impl Sites {
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Known>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()?
            .get(name)
            .cloned()
    }

    /// All names, in order, for a person to read.
    pub(crate) fn names(&self) -> String {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<_> = known.iter().flat_map(HashMap::keys).map(String::as_str).collect();
        names.sort_unstable();
        names.join(", ")
    }

    /// Whether functions were loaded at all.
    pub(crate) fn ready(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub(crate) fn prepare(&self, inner: &Inner, project: &Project) -> Prepared {
        let mut prepared = Prepared {
            known: HashMap::new(),
            loaded: Vec::new(),
        };
        for listed in project.functions.values() {
            let ProjectFunction {
                function,
                permissions,
                ..
            } = listed;
            let environment = Environment::new(&Site {
                env_id: inner.env_id.clone(),
                region: REGION.to_owned(),
                appid: inner.appid.clone(),
                function_name: function.name.to_string(),
                memory_mb: function.memory_mb,
                time_limit_ms: u32::try_from(function.timeout.as_millis()).unwrap_or(u32::MAX),
                variables: function.env.clone(),
            });
            for name in environment.overruled() {
                tracing::warn!(function = %function.name, %name, "this variable is the platform's; the function's own is not used");
            }
            prepared.loaded.push(Loaded {
                function: function.clone(),
                context: environment.constants(),
            });
            let known = Known {
                name: function.name.clone(),
                environment,
                permissions: permissions.clone(),
                config_json: listed.config_json(),
            };
            prepared.known.insert(function.name.to_string(), Arc::new(known));
        }
        prepared
    }

    pub(crate) fn put(&self, prepared: Prepared) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(prepared.known);
    }
}

impl Prepared {
    pub(crate) fn loaded(&mut self) -> Vec<Loaded> {
        std::mem::take(&mut self.loaded)
    }
}
