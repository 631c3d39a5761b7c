//! From what lies in a project to what `calls` and `runtime` must know of each function.

use calls::Site;
use project::Project;
use runtime::Loaded;
use tcb::Environment;

use crate::Inner;

/// The region that functions see; there is none, so it is the platform's most common one.
const REGION: &str = "ap-shanghai";

/// The functions of a project, in its order.
pub(crate) fn of_project(inner: &Inner, project: &Project) -> Vec<Site> {
    let sites = project.functions.values().map(|listed| {
        let function = &listed.function;
        let environment = Environment::new(&tcb::SiteVariables {
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
        Site {
            name: function.name.clone(),
            environment,
            permissions: listed.permissions.clone(),
            permission_faults: listed.permission_faults.iter().map(ToString::to_string).collect(),
            config_json: listed.config_json(),
        }
    });
    sites.collect()
}

/// The same functions, as the runtime loads them.
pub(crate) fn loaded(project: &Project, sites: &[Site]) -> Vec<Loaded> {
    let functions = project.functions.values().zip(sites);
    functions
        .map(|(listed, site)| Loaded {
            function: listed.function.clone(),
            context: site.environment.constants(),
        })
        .collect()
}
