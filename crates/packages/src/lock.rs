//! A lock file read as a list: which package is to be where, and what its content hashes to. Both layouts: `packages` by path,
//! as npm writes since version 7, and the tree of `dependencies` before that.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde_json::{Map, Value};

use crate::{PackageError, cache::Integrity, config::NpmConfig, manifest::Platform, range::admits};

/// The address by which a lock means "the registry that is configured".
const DEFAULT_REGISTRY: [&str; 2] = ["https://registry.npmjs.org/", "http://registry.npmjs.org/"];
/// The folder of packages.
const MODULES: &str = "node_modules/";
/// Members of a manifest by which npm installs otherwise than its lock alone says.
const UNUSUAL_MEMBERS: [&str; 4] = [
    "overrides",
    "workspaces",
    "bundleDependencies",
    "bundledDependencies",
];
/// Scripts of the manifest itself that `npm ci` runs.
const OWN_SCRIPTS: [&str; 7] = [
    "preinstall",
    "install",
    "postinstall",
    "prepublish",
    "preprepare",
    "prepare",
    "postprepare",
];

/// A package of a lock file that is to be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedPackage {
    /// Where, below the folder of the lock: `node_modules/a/node_modules/b`.
    pub(crate) path: String,
    pub(crate) url: String,
    pub(crate) integrity: Integrity,
    /// Whether it may be left out where it does not run.
    pub(crate) is_optional: bool,
}

/// What a lock says of one place.
#[derive(Debug)]
struct Entry<'a> {
    name: String,
    version: &'a str,
    package: &'a Map<String, Value>,
    is_optional: bool,
    /// It is not installed: only for development, part of another package's archive, or not for this platform.
    is_left_out: bool,
    /// What it requires: name and range, where that is known.
    requires: Vec<(&'a str, Option<&'a str>)>,
}

type Entries<'a> = BTreeMap<String, Entry<'a>>;

impl LockedPackage {
    /// The packages that `npm ci --omit=dev` installs for this manifest and lock.
    ///
    /// # Errors
    ///
    /// Where npm is to decide: see [`PackageError::Unusual`] and [`PackageError::DoesNotFit`].
    pub fn all(
        manifest: &Map<String, Value>,
        lock: &Value,
        config: &NpmConfig,
    ) -> Result<Vec<Self>, PackageError> {
        if let Some(name) = UNUSUAL_MEMBERS.iter().find(|name| manifest.contains_key(**name)) {
            return Err(PackageError::unusual(format!("the manifest has {name}")));
        }
        let scripts = manifest.get("scripts").and_then(Value::as_object);
        if OWN_SCRIPTS
            .iter()
            .any(|name| scripts.is_some_and(|scripts| scripts.contains_key(*name)))
        {
            return Err(PackageError::unusual("the manifest has a script of its own"));
        }
        let mut entries = Entries::new();
        if let Some(packages) = lock.get("packages").and_then(Value::as_object) {
            by_path(packages, &mut entries)?;
        } else if let Some(dependencies) = lock.get("dependencies").and_then(Value::as_object) {
            by_name("", dependencies, &mut entries)?;
        } else {
            return Err(PackageError::unusual("the lock names no packages"));
        }
        judge(manifest, &entries)?;

        let installed = entries.iter().filter(|(_, entry)| !entry.is_left_out);
        let locked = installed.map(|(path, entry)| {
            let integrity = entry.package.get("integrity").and_then(Value::as_str);
            let integrity = integrity
                .and_then(Integrity::read)
                .ok_or_else(|| PackageError::unusual(format!("{path} has no integrity")))?;
            Ok(Self {
                path: path.clone(),
                url: address(entry, config)?,
                integrity,
                is_optional: entry.is_optional,
            })
        });
        locked.collect()
    }

    /// Its name, for messages.
    pub(crate) fn name(&self) -> &str {
        name_in(&self.path)
    }

    /// The `node_modules` folder in which it is.
    pub(crate) fn modules(&self) -> &str {
        self.path.strip_suffix(self.name()).unwrap_or(&self.path)
    }

    /// Its place below a folder.
    pub(crate) fn in_folder(&self, folder: &std::path::Path) -> PathBuf {
        folder.join(&self.path)
    }
}

fn name_in(path: &str) -> &str {
    path.rsplit_once(MODULES).map_or(path, |it| it.1)
}

/// Where a package is fetched from.
fn address(entry: &Entry<'_>, config: &NpmConfig) -> Result<String, PackageError> {
    let registry = &config.registry;
    let Some(resolved) = entry.package.get("resolved").and_then(Value::as_str) else {
        // npm can be told to leave the addresses of its registry out.
        let base = entry.name.rsplit_once('/').map_or(&*entry.name, |it| it.1);
        return Ok(format!(
            "{registry}/{}/-/{base}-{}.tgz",
            entry.name, entry.version
        ));
    };
    let default = DEFAULT_REGISTRY
        .iter()
        .find_map(|start| resolved.strip_prefix(start));
    if let Some(rest) = default {
        return Ok(format!("{registry}/{rest}"));
    }
    if resolved
        .strip_prefix(&**registry)
        .is_some_and(|rest| rest.starts_with('/'))
    {
        return Ok(resolved.to_owned());
    }
    Err(PackageError::unusual(format!(
        "{} comes from {resolved}",
        entry.name
    )))
}

fn is_set(package: &Map<String, Value>, flag: &str) -> bool {
    package.get(flag) == Some(&Value::Bool(true))
}

fn by_path<'a>(packages: &'a Map<String, Value>, entries: &mut Entries<'a>) -> Result<(), PackageError> {
    let mut left_out: Vec<String> = Vec::new();
    for (path, package) in packages.iter().filter(|(path, _)| !path.is_empty()) {
        let unusual = |what: &str| PackageError::unusual(format!("{path} {what}"));
        let package = package
            .as_object()
            .filter(|_| is_place(path))
            .ok_or_else(|| unusual("is no package in node_modules"))?;
        if is_set(package, "link") || is_set(package, "extraneous") {
            return Err(unusual("is a link"));
        }
        let version = package.get("version").and_then(Value::as_str);
        let version = version.ok_or_else(|| unusual("has no version"))?;
        let is_optional = is_set(package, "optional");
        let mut is_left_out = is_set(package, "dev") || is_set(package, "inBundle");
        if !is_left_out {
            match Platform::of(package) {
                Platform::This => {}
                Platform::Other if is_optional => {
                    left_out.push(format!("{path}/"));
                    is_left_out = true;
                }
                Platform::Other | Platform::Unknown => {
                    return Err(unusual("is not for every platform"));
                }
            }
        }
        let name = package.get("name").and_then(Value::as_str);
        let requires = package.get("dependencies").and_then(Value::as_object);
        let entry = Entry {
            name: name.unwrap_or_else(|| name_in(path)).to_owned(),
            version,
            package,
            is_optional,
            is_left_out,
            requires: pairs(requires),
        };
        entries.insert(path.clone(), entry);
    }
    for (path, entry) in entries.iter_mut() {
        entry.is_left_out |= left_out.iter().any(|start| path.starts_with(start));
    }
    Ok(())
}

fn by_name<'a>(
    inside: &str,
    dependencies: &'a Map<String, Value>,
    entries: &mut Entries<'a>,
) -> Result<(), PackageError> {
    for (name, package) in dependencies {
        let path = format!("{inside}{MODULES}{name}");
        let unusual = |what: &str| PackageError::unusual(format!("{path} {what}"));
        let package = package
            .as_object()
            .filter(|_| is_place(&path))
            .ok_or_else(|| unusual("is no package in node_modules"))?;
        let version = package
            .get("version")
            .and_then(Value::as_str)
            .filter(|version| semver::Version::parse(version).is_ok())
            .ok_or_else(|| unusual("is not a version of a package"))?;
        let requires = package.get("requires").and_then(Value::as_object);
        if let Some(inner) = package.get("dependencies").and_then(Value::as_object) {
            by_name(&format!("{path}/"), inner, entries)?;
        }
        let entry = Entry {
            name: name.clone(),
            version,
            package,
            is_optional: is_set(package, "optional"),
            is_left_out: is_set(package, "dev") || is_set(package, "bundled"),
            requires: pairs(requires),
        };
        entries.insert(path, entry);
    }
    Ok(())
}

fn pairs(requires: Option<&Map<String, Value>>) -> Vec<(&str, Option<&str>)> {
    let requires = requires.into_iter().flatten();
    requires
        .map(|(name, range)| (name.as_str(), range.as_str()))
        .collect()
}

/// Whether a path leads into `node_modules`, and nowhere else.
fn is_place(path: &str) -> bool {
    path.split('/')
        .all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0', ':']))
        && path.starts_with(MODULES)
        && !name_in(path).starts_with('.')
}

/// Whether all that the manifest and each package require is in the lock, in a version that they take.
fn judge(manifest: &Map<String, Value>, entries: &Entries<'_>) -> Result<(), PackageError> {
    let list = |field: &str| pairs(manifest.get(field).and_then(Value::as_object));
    let optional: BTreeSet<&str> = list("optionalDependencies")
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    for (name, range) in list("dependencies") {
        if optional.contains(name) {
            continue;
        }
        let Some(entry) = entries.get(&format!("{MODULES}{name}")) else {
            return Err(PackageError::DoesNotFit(format!("{name} is missing")));
        };
        // What is said of the manifest's own wishes must be certain.
        match range.and_then(|range| admits(range, entry.version)) {
            Some(true) => {}
            Some(false) => {
                return Err(PackageError::DoesNotFit(format!("{name} is {}", entry.version)));
            }
            None => {
                return Err(PackageError::unusual(format!(
                    "{name} is asked for as {}",
                    range.unwrap_or_default()
                )));
            }
        }
    }
    for (path, entry) in entries.iter().filter(|(_, entry)| !entry.is_left_out) {
        for (name, range) in &entry.requires {
            let Some(found) = resolve(path, name, entries) else {
                return Err(PackageError::DoesNotFit(format!(
                    "{name} is missing, which {path} requires"
                )));
            };
            // One under another name, or of another place, is judged by its author.
            if range.and_then(|range| admits(range, found.version)) == Some(false) {
                return Err(PackageError::DoesNotFit(format!(
                    "{name} is {}, which {path} does not take",
                    found.version
                )));
            }
        }
    }
    Ok(())
}

/// The package that Node finds when the one at `path` requires `name`.
fn resolve<'e, 'a>(path: &str, name: &str, entries: &'e Entries<'a>) -> Option<&'e Entry<'a>> {
    let mut from = path;
    loop {
        if let Some(entry) = entries.get(&format!("{from}/{MODULES}{name}")) {
            return Some(entry);
        }
        match from.rsplit_once(&format!("/{MODULES}")) {
            Some((above, _)) => from = above,
            None => return entries.get(&format!("{MODULES}{name}")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    const SHA512: &str =
        "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==";

    fn config() -> NpmConfig {
        let text = r#"{"registry":"https://npm.example.com","cache":"/c"}"#;
        NpmConfig::read(text.as_bytes()).unwrap()
    }

    fn all(manifest: Value, lock: Value) -> Result<Vec<(String, String)>, PackageError> {
        let all = LockedPackage::all(manifest.as_object().unwrap(), &lock, &config())?;
        Ok(all
            .into_iter()
            .map(|package| (package.path, package.url))
            .collect())
    }

    /// A package of a lock, with what is particular to it.
    fn package(version: &str, other: Value) -> Value {
        let mut package = json!({ "version": version, "integrity": SHA512 });
        for (name, value) in other.as_object().unwrap() {
            package[name] = value.clone();
        }
        package
    }

    #[test]
    fn both_layouts_give_the_same_list() {
        let manifest =
            json!({ "dependencies": { "a": "^1.0.0", "@s/n": "~2.1.0" }, "devDependencies": { "d": "1" } });
        let resolved = |path: &str| json!({ "resolved": format!("https://registry.npmjs.org/{path}") });
        let a = |inner: Value| {
            let mut a = package("1.5.0", resolved("a/-/a-1.5.0.tgz"));
            for (name, value) in inner.as_object().unwrap() {
                a[name] = value.clone();
            }
            a
        };
        let by_path = json!({ "packages": {
            "": {},
            "node_modules/a": a(json!({ "dependencies": { "b": "^1.0.0", "@s/n": "*" } })),
            "node_modules/a/node_modules/b": package("1.0.0", resolved("b/-/b-1.0.0.tgz")),
            "node_modules/@s/n": package("2.1.3", json!({})),
            "node_modules/d": package("1.0.0", json!({ "dev": true })),
            "node_modules/a/node_modules/c": package("1.0.0", json!({ "inBundle": true })),
        } });
        let by_name = json!({ "lockfileVersion": 1, "dependencies": {
            "a": a(json!({
                "requires": { "b": "^1.0.0", "@s/n": "*" },
                "dependencies": {
                    "b": package("1.0.0", resolved("b/-/b-1.0.0.tgz")),
                    "c": package("1.0.0", json!({ "bundled": true })),
                },
            })),
            "@s/n": package("2.1.3", json!({})),
            "d": package("1.0.0", json!({ "dev": true })),
        } });
        let listed = all(manifest.clone(), by_path).unwrap();
        let expected = [
            ("node_modules/@s/n", "https://npm.example.com/@s/n/-/n-2.1.3.tgz"),
            ("node_modules/a", "https://npm.example.com/a/-/a-1.5.0.tgz"),
            (
                "node_modules/a/node_modules/b",
                "https://npm.example.com/b/-/b-1.0.0.tgz",
            ),
        ];
        assert_eq!(
            listed,
            expected.map(|(path, url)| (path.to_owned(), url.to_owned()))
        );
        assert_eq!(all(manifest, by_name).unwrap(), listed);
    }

    #[test]
    fn what_does_not_fit_or_is_not_plain_is_left_to_npm() {
        let one = |path: &str, package: Value| json!({ "packages": { path: package } });
        let wants = |range: &str| json!({ "dependencies": { "a": range } });
        let fits = |manifest: Value, lock: Value| match all(manifest, lock) {
            Ok(_) => "fits",
            Err(PackageError::DoesNotFit(_)) => "does not fit",
            Err(PackageError::Unusual(_)) => "unusual",
            Err(other) => panic!("{other}"),
        };
        let a = || package("1.0.0", json!({}));
        assert_eq!(fits(wants("^1.0.0"), one("node_modules/a", a())), "fits");
        assert_eq!(fits(wants("^2.0.0"), one("node_modules/a", a())), "does not fit");
        assert_eq!(fits(wants("^1.0.0"), one("node_modules/b", a())), "does not fit");
        let requires = package("1.0.0", json!({ "dependencies": { "b": "1" } }));
        assert_eq!(fits(wants("1"), one("node_modules/a", requires)), "does not fit");
        for range in ["next", "git+https://example.com/a", "file:../a", "npm:b@1"] {
            assert_eq!(
                fits(wants(range), one("node_modules/a", a())),
                "unusual",
                "{range}"
            );
        }
        for path in [
            "../a",
            "node_modules/../a",
            "node_modules/.bin",
            "a",
            "node_modules/a//b",
        ] {
            assert_eq!(fits(json!({}), one(path, a())), "unusual", "{path}");
        }
        for other in [
            json!({ "resolved": "git+ssh://git@example.com/a.git#1" }),
            json!({ "resolved": "https://elsewhere.example.com/a/-/a-1.0.0.tgz" }),
            json!({ "resolved": "https://npm.example.community/a/-/a-1.0.0.tgz" }),
            json!({ "link": true }),
            json!({ "integrity": "md5-x" }),
            json!({ "os": ["win32"] }),
            json!({ "libc": ["glibc"] }),
        ] {
            let lock = one("node_modules/a", package("1.0.0", other.clone()));
            assert_eq!(fits(wants("1.0.0"), lock), "unusual", "{other}");
        }
        for member in ["overrides", "workspaces"] {
            let manifest = json!({ member: {} });
            assert_eq!(fits(manifest, one("node_modules/a", a())), "unusual", "{member}");
        }
        let manifest = json!({ "scripts": { "postinstall": "x" } });
        assert_eq!(fits(manifest, one("node_modules/a", a())), "unusual");
        assert_eq!(fits(json!({}), json!({})), "unusual");
    }

    #[test]
    fn what_is_for_another_platform_is_left_out_with_all_below_it() {
        let lock = json!({ "packages": {
            "node_modules/a": package("1.0.0", json!({ "optional": true, "os": ["win32"] })),
            "node_modules/a/node_modules/b": package("1.0.0", json!({ "optional": true })),
            "node_modules/c": package("1.0.0", json!({ "optional": true, "os": ["!win32"] })),
        } });
        let listed = all(json!({ "optionalDependencies": { "a": "1" } }), lock).unwrap();
        let paths: Vec<_> = listed.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["node_modules/c"]);
    }
}
