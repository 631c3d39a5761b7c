//! Lock files as real projects have them: the addresses in them name a mirror that is gone, or one that only its author
//! reaches. What a package is, its integrity says; where it comes from is the business of whoever installs.

use serde_json::{Map, Value};

/// Hosts that give, or gave, copies of the public registry under its own names.
const MIRRORS: [&str; 17] = [
    "registry.npm.taobao.org",
    "npm.taobao.org",
    "cdn.npm.taobao.org",
    "registry.npmmirror.com",
    "cdn.npmmirror.com",
    "registry.nlark.com",
    "registry.cnpmjs.org",
    "r.cnpmjs.org",
    "r.cnpm.yuque.com",
    "registry.m.jd.com",
    "mirrors.cloud.tencent.com",
    "mirrors.tencent.com",
    "mirrors.tencentyun.com",
    "repo.huaweicloud.com",
    "mirrors.huaweicloud.com",
    "registry.yarnpkg.com",
    "registry.npm.alibaba-inc.com",
];
/// The address by which npm means "the registry that is configured".
const CONFIGURED: &str = "https://registry.npmjs.org";

/// Has packages that a lock fetches from a mirror fetched from the configured registry. Gives how many.
pub fn use_configured_registry(lock: &mut Value) -> usize {
    replace_in(lock, &|host, _| MIRRORS.contains(&host))
}

/// The same for packages from any other host: one that only the lock's author reaches. Those alone whose integrity the lock has: what
/// somebody else has published under the name of a private package is none of it.
pub fn use_configured_registry_instead_of_others(lock: &mut Value) -> usize {
    replace_in(lock, &|host, has_integrity| {
        has_integrity && !CONFIGURED.ends_with(host)
    })
}

/// Whether packages from this host are to be fetched from the configured registry, where the lock has their integrity or not.
type IsReplaced<'a> = &'a dyn Fn(&str, bool) -> bool;

fn replace_in(lock: &mut Value, is_replaced: IsReplaced<'_>) -> usize {
    let packages = lock.get_mut("packages").and_then(Value::as_object_mut);
    let by_path = packages.map_or(0, |packages| {
        let each = packages.iter_mut().map(|(path, package)| {
            let name = path.rsplit_once("node_modules/").map_or(path.as_str(), |it| it.1);
            replace(name, package, is_replaced)
        });
        each.sum()
    });
    let tree = lock.get_mut("dependencies").and_then(Value::as_object_mut);
    by_path + tree.map_or(0, |tree| by_name(tree, is_replaced))
}

/// The same for the tree that older locks have.
fn by_name(dependencies: &mut Map<String, Value>, is_replaced: IsReplaced<'_>) -> usize {
    let each = dependencies.iter_mut().map(|(name, package)| {
        let inner = package.get_mut("dependencies").and_then(Value::as_object_mut);
        let inner = inner.map_or(0, |inner| by_name(inner, is_replaced));
        inner + replace(name, package, is_replaced)
    });
    each.sum()
}

fn replace(name: &str, package: &mut Value, is_replaced: IsReplaced<'_>) -> usize {
    // One that is installed under another name says its own.
    let name = package
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or(name)
        .to_owned();
    let version = package.get("version").and_then(Value::as_str).map(str::to_owned);
    let has_integrity = package.get("integrity").is_some_and(Value::is_string);
    let Some(Value::String(resolved)) = package.get_mut("resolved") else {
        return 0;
    };
    let Some(((host, file), version)) = place(resolved).zip(version) else {
        return 0;
    };
    let own = name.rsplit_once('/').map_or(name.as_str(), |it| it.1);
    let expected = format!("{own}-{version}.tgz");
    if file != expected || !is_replaced(host, has_integrity) {
        return 0;
    }
    *resolved = format!("{CONFIGURED}/{name}/-/{expected}");
    1
}

/// The host that an address names, and the name of its file.
fn place(address: &str) -> Option<(&str, &str)> {
    let rest = address
        .strip_prefix("https://")
        .or_else(|| address.strip_prefix("http://"))?;
    let (host, path) = rest.split_once('/')?;
    let host = host.split_once(':').map_or(host, |it| it.0);
    let path = path.split(['?', '#']).next()?;
    Some((host, path.rsplit('/').next()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn mirrors_give_way_and_private_registries_stay() {
        let mut lock = json!({
            "lockfileVersion": 2,
            "packages": {
                "": { "dependencies": { "a": "1" } },
                "node_modules/a": { "version": "1.2.3", "integrity": "sha512-x",
                    "resolved": "https://registry.npm.taobao.org/a/download/a-1.2.3.tgz?cache=0&sync_timestamp=1" },
                "node_modules/a/node_modules/@s/n": { "version": "1.0.0-beta.1",
                    "resolved": "http://mirrors.cloud.tencent.com:80/npm/@s/n/-/n-1.0.0-beta.1.tgz" },
                "node_modules/other": { "name": "real", "version": "2.0.0",
                    "resolved": "https://r.cnpmjs.org/real/download/real-2.0.0.tgz" },
                "node_modules/private": { "version": "1.0.0", "resolved": "https://npm.example.com/private/-/private-1.0.0.tgz" },
                "node_modules/public": { "version": "1.0.0", "resolved": "https://registry.npmjs.org/public/-/public-1.0.0.tgz" },
                "node_modules/odd": { "version": "1.0.0", "resolved": "https://registry.npm.taobao.org/odd/download/else-1.0.0.tgz" },
                "node_modules/folder": { "resolved": "../folder", "link": true },
            },
            "dependencies": {
                "a": { "version": "1.2.3", "resolved": "https://registry.nlark.com/a/download/a-1.2.3.tgz",
                    "dependencies": { "@s/n": { "version": "1.0.0", "resolved": "https://registry.npm.taobao.org/@s/n/download/@s/n-1.0.0.tgz" } } },
            },
        });
        assert_eq!(use_configured_registry(&mut lock), 5);
        let resolved = |path: &str| lock["packages"][path]["resolved"].as_str().unwrap();
        assert_eq!(
            resolved("node_modules/a"),
            "https://registry.npmjs.org/a/-/a-1.2.3.tgz"
        );
        assert_eq!(
            resolved("node_modules/a/node_modules/@s/n"),
            "https://registry.npmjs.org/@s/n/-/n-1.0.0-beta.1.tgz"
        );
        assert_eq!(
            resolved("node_modules/other"),
            "https://registry.npmjs.org/real/-/real-2.0.0.tgz"
        );
        assert!(resolved("node_modules/private").starts_with("https://npm.example.com/"));
        assert!(resolved("node_modules/odd").contains("taobao"));
        assert_eq!(lock["packages"]["node_modules/a"]["integrity"], "sha512-x");
        assert_eq!(
            lock["dependencies"]["a"]["dependencies"]["@s/n"]["resolved"],
            "https://registry.npmjs.org/@s/n/-/n-1.0.0.tgz"
        );
        assert_eq!(use_configured_registry(&mut lock), 0);
        assert_eq!(use_configured_registry(&mut json!([1])), 0);
    }

    #[test]
    fn a_registry_that_only_the_author_reaches_gives_way_where_the_integrity_is_known() {
        let mut lock = json!({
            "lockfileVersion": 1,
            "dependencies": {
                "known": { "version": "0.1.3", "integrity": "sha1-x",
                    "resolved": "http://npm.example.com/known/download/known-0.1.3.tgz" },
                "unknown": { "version": "1.0.0", "resolved": "http://npm.example.com/unknown/-/unknown-1.0.0.tgz" },
                "public": { "version": "1.0.0", "integrity": "sha1-x",
                    "resolved": "https://registry.npmjs.org/public/-/public-1.0.0.tgz" },
                "git": { "version": "1.0.0", "integrity": "sha1-x", "resolved": "git+ssh://git@example.com/a/b.git#c" },
            },
        });
        assert_eq!(use_configured_registry(&mut lock), 0);
        assert_eq!(use_configured_registry_instead_of_others(&mut lock), 1);
        assert_eq!(
            lock["dependencies"]["known"]["resolved"],
            "https://registry.npmjs.org/known/-/known-0.1.3.tgz"
        );
    }
}
