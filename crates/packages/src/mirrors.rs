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
    let packages = lock.get_mut("packages").and_then(Value::as_object_mut);
    let by_path = packages.map_or(0, |packages| {
        let each = packages.iter_mut().map(|(path, package)| {
            let name = path.rsplit_once("node_modules/").map_or(path.as_str(), |it| it.1);
            replace(name, package)
        });
        each.sum()
    });
    let tree = lock.get_mut("dependencies").and_then(Value::as_object_mut);
    by_path + tree.map_or(0, by_name)
}

/// The same for the tree that older locks have.
fn by_name(dependencies: &mut Map<String, Value>) -> usize {
    let each = dependencies.iter_mut().map(|(name, package)| {
        let inner = package.get_mut("dependencies").and_then(Value::as_object_mut);
        let inner = inner.map_or(0, by_name);
        inner + replace(name, package)
    });
    each.sum()
}

fn replace(name: &str, package: &mut Value) -> usize {
    // One that is installed under another name says its own.
    let name = package
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or(name)
        .to_owned();
    let version = package.get("version").and_then(Value::as_str).map(str::to_owned);
    let Some(Value::String(resolved)) = package.get_mut("resolved") else {
        return 0;
    };
    let Some((file, version)) = file_on_mirror(resolved).zip(version) else {
        return 0;
    };
    let own = name.rsplit_once('/').map_or(name.as_str(), |it| it.1);
    let expected = format!("{own}-{version}.tgz");
    if file != expected {
        return 0;
    }
    *resolved = format!("{CONFIGURED}/{name}/-/{expected}");
    1
}

/// The name of the file that an address names, if it is on a mirror.
fn file_on_mirror(address: &str) -> Option<&str> {
    let rest = address
        .strip_prefix("https://")
        .or_else(|| address.strip_prefix("http://"))?;
    let (host, path) = rest.split_once('/')?;
    let host = host.split_once(':').map_or(host, |it| it.0);
    if !MIRRORS.contains(&host) {
        return None;
    }
    let path = path.split(['?', '#']).next()?;
    path.rsplit('/').next()
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
}
