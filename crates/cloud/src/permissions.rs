//! Which cloud calls a function may make: `permissions.openapi` of its `config.json`, as it was loaded last.
//!
//! WeChat's platform keeps a function's list for ten minutes, so that one who adds a name has to wait; `[permissions]
//! cache` reproduces that. The time is WeChat's, so a test steps over it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use calls::{Site, Sites};
use clock::Timestamp;
use function::FunctionName;
use openapi::Api;
use wording::{Wording, wording};

/// Judges by the functions' lists.
#[derive(Debug)]
pub(crate) struct Permissions {
    cache: Duration,
    kept: Mutex<HashMap<FunctionName, CachedList>>,
}

/// A list that was looked at, and when.
#[derive(Debug)]
struct CachedList {
    since: Timestamp,
    known: Arc<Site>,
}

impl Permissions {
    /// With a `cache` of zero a change counts at once.
    pub(crate) fn new(cache: Duration) -> Self {
        Self {
            cache,
            kept: Mutex::default(),
        }
    }

    /// When a change counts, as the end of a sentence.
    fn delay(&self) -> Wording {
        match self.cache.as_secs() {
            0 => Wording::default(),
            seconds => wording!(
                " ([permissions] cache: it counts after {seconds} s at most)",
                "（[permissions] cache：最多 {seconds} 秒后生效）"
            ),
        }
    }

    /// Why the function has no permission for an API that it may not call, and the mend.
    pub(crate) fn why_not(&self, sites: &Sites, function: &Arc<Site>, api: &'static Api) -> Wording {
        let current = sites
            .get(function.name.as_str())
            .unwrap_or_else(|| Arc::clone(function));
        let config = current.config_json.display();
        let (delay, name) = (self.delay(), api.name);
        if let Some(fault) = current.permission_faults.first() {
            return wording!(
                "the function has no permission for it: mend {config}{delay}, {fault}; then see that permissions.openapi has \"{name}\"",
                "云函数没有这个权限：请先修正 {config}{delay}（{fault}），再确认 permissions.openapi 中有 \"{name}\"";
                delay
            );
        }
        let slip = Self::slip(&current, api);
        let slip = slip.map(|slip| {
            wording!(
                "; {slip:?}, which is there, is no API's name",
                "；其中的 {slip:?} 不是接口名"
            )
        });
        let slip = slip.unwrap_or_default();
        wording!(
            "the function has no permission for it: add \"{name}\" to permissions.openapi in {config}{delay}{slip}",
            "云函数没有这个权限：请在 {config}{delay} 的 permissions.openapi 中加上 \"{name}\"{slip}";
            delay, slip
        )
    }

    /// A name in the function's list that no API has and that comes near to this one's: a slip of the pen, likely.
    fn slip(function: &Site, api: &'static Api) -> Option<String> {
        let slip = function.permissions.iter().find(|name| {
            openapi::find(name).is_none() && openapi::nearest(name).is_some_and(|near| near.name == api.name)
        });
        slip.cloned()
    }

    /// Whether the function may call the API of this name now.
    pub(crate) fn allow(&self, sites: &Sites, function: &Arc<Site>, api: &str, now: Timestamp) -> bool {
        let current = || {
            sites
                .get(function.name.as_str())
                .unwrap_or_else(|| Arc::clone(function))
        };
        if self.cache.is_zero() {
            return current().permissions.contains(api);
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = kept.entry(function.name.clone()).or_insert_with(|| CachedList {
            since: now,
            known: current(),
        });
        if now.saturating_since(entry.since) >= self.cache {
            *entry = CachedList {
                since: now,
                known: current(),
            };
        }
        entry.known.permissions.contains(api)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use tcb::Environment;

    use super::*;

    fn site(permissions: &[&str]) -> Site {
        let environment = Environment::new(&tcb::SiteVariables {
            env_id: "env".to_owned(),
            region: "region".to_owned(),
            appid: "wx1".to_owned(),
            function_name: "f".to_owned(),
            memory_mb: 256,
            time_limit_ms: 3000,
            variables: BTreeMap::new(),
        });
        Site {
            name: "f".parse().unwrap(),
            environment,
            permissions: permissions.iter().map(|name| (*name).to_owned()).collect(),
            permission_faults: Vec::new(),
            config_json: "f/config.json".into(),
        }
    }

    #[test]
    fn a_change_counts_when_the_cache_has_run_out() {
        let sites = Sites::default();
        let api = "subscribeMessage.send";
        let now = Timestamp::from_secs(1_000);
        for (cache, later, allowed) in [(0, 0, true), (600, 599, false), (600, 600, true)] {
            let permissions = Permissions::new(Duration::from_secs(cache));
            sites.put([site(&[])]);
            let function = sites.get("f").unwrap();
            assert!(!permissions.allow(&sites, &function, api, now));
            sites.put([site(&[api])]);
            let then = now + Duration::from_secs(later);
            assert_eq!(
                permissions.allow(&sites, &function, api, then),
                allowed,
                "{cache} {later}"
            );
        }
    }

    #[test]
    fn a_name_that_was_meant_is_found() {
        let api = openapi::find("subscribeMessage.send").unwrap();
        for (listed, slip) in [
            (&["subscribeMessage.sent"][..], Some("subscribeMessage.sent")),
            // Another API's own name is no slip, however near it is.
            (&["wxacode.getUnlimited", "templateMessage.send"], None),
            (&[], None),
        ] {
            assert_eq!(Permissions::slip(&site(listed), api).as_deref(), slip);
        }
    }

    #[test]
    fn a_list_that_could_not_be_read_is_a_likelier_cause_than_a_missing_name() {
        let sites = Sites::default();
        let permissions = Permissions::new(Duration::ZERO);
        let api = openapi::find("subscribeMessage.send").unwrap();
        sites.put([site(&[])]);
        let function = sites.get("f").unwrap();
        let why = permissions.why_not(&sites, &function, api);
        assert!(
            why.en
                .contains("add \"subscribeMessage.send\" to permissions.openapi in f/config.json"),
            "{why}"
        );
        let fault = "line 3: `permissions.openapi` is no array — write it as [\"…\"]";
        sites.put([Site {
            permission_faults: vec![fault.to_owned()],
            ..site(&[])
        }]);
        let why = permissions.why_not(&sites, &function, api);
        assert!(
            why.en.contains(&format!("mend f/config.json, {fault}")) && !why.en.contains("add \""),
            "{why}"
        );
    }
}
