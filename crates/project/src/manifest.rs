//! A function's dependencies as its author wrote them down, with a hash that says when they must be installed anew.

use std::{fs, io, path::Path};

use function::{LOCKS, Manifest};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The fields of `package.json` that decide what npm installs.
const DECIDING: [&str; 7] = [
    "dependencies",
    "optionalDependencies",
    "peerDependencies",
    "bundleDependencies",
    "bundledDependencies",
    "overrides",
    "workspaces",
];
/// The scripts of `package.json` that npm runs while it installs.
const INSTALLING_SCRIPTS: [&str; 4] = ["preinstall", "install", "postinstall", "prepare"];

/// Describes the parsed `package.json` of `dir`. Fails when a lock file is there and cannot be read.
pub(crate) fn read(dir: &Path, package: &Map<String, Value>) -> io::Result<Manifest> {
    let mut hash = Sha256::new();
    let mut part = |name: &str, content: &[u8]| {
        // Lengths keep parts apart: no content can pass for the start of the next part.
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(content);
    };
    for field in DECIDING {
        if let Some(value) = package.get(field) {
            part(field, value.to_string().as_bytes());
        }
    }
    for script in INSTALLING_SCRIPTS {
        if let Some(value) = package.get("scripts").and_then(|scripts| scripts.get(script)) {
            part(script, value.to_string().as_bytes());
        }
    }
    let lock = LOCKS
        .map(|name| dir.join(name))
        .into_iter()
        .find(|path| path.is_file());
    if let Some(lock) = &lock {
        part("lock", &fs::read(lock)?);
    }

    let lists = |field: &&str| {
        package
            .get(*field)
            .and_then(Value::as_object)
            .is_some_and(|list| !list.is_empty())
    };
    Ok(Manifest {
        dir: dir.to_owned(),
        package: dir.join("package.json"),
        lock,
        has_dependencies: DECIDING[..3].iter().any(lists),
        is_module: package.get("type").and_then(Value::as_str) == Some("module"),
        hash: base16ct::lower::encode_string(&hash.finalize()),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn manifest(package: &str, lock: Option<(&str, &str)>) -> Manifest {
        let dir = tempfile::tempdir().unwrap();
        if let Some((name, text)) = lock {
            fs::write(dir.path().join(name), text).unwrap();
        }
        read(dir.path(), &serde_json::from_str(package).unwrap()).unwrap()
    }

    #[test]
    fn only_what_decides_the_installation_changes_the_hash() {
        let base = manifest(r#"{"name":"a","dependencies":{"wx-server-sdk":"~2.6.3"}}"#, None);
        let renamed = manifest(
            r#"{"name":"b","version":"2.0.0","main":"x.js","dependencies":{"wx-server-sdk":"~2.6.3"}}"#,
            None,
        );
        assert_eq!(base.hash, renamed.hash);
        assert_eq!(base.hash.len(), 64);

        for (package, lock) in [
            (r#"{"dependencies":{"wx-server-sdk":"~3.0.4"}}"#, None),
            (r#"{"peerDependencies":{"wx-server-sdk":"~2.6.3"}}"#, None),
            (
                r#"{"dependencies":{"wx-server-sdk":"~2.6.3"},"scripts":{"postinstall":"node x"}}"#,
                None,
            ),
            (
                r#"{"dependencies":{"wx-server-sdk":"~2.6.3"}}"#,
                Some(("package-lock.json", "{}")),
            ),
        ] {
            assert_ne!(base.hash, manifest(package, lock).hash, "{package}");
        }
    }

    #[test]
    fn knows_when_there_is_nothing_to_install() {
        assert!(!manifest("{}", None).has_dependencies);
        assert!(!manifest(r#"{"dependencies":{}}"#, None).has_dependencies);
        assert!(!manifest(r#"{"devDependencies":{"jest":"29"}}"#, None).has_dependencies);
        assert!(manifest(r#"{"optionalDependencies":{"x":"1"}}"#, None).has_dependencies);
    }

    #[test]
    fn a_shrinkwrap_goes_before_a_package_lock() {
        let dir = tempfile::tempdir().unwrap();
        for name in LOCKS {
            fs::write(dir.path().join(name), "{}").unwrap();
        }
        let manifest = read(dir.path(), &Map::new()).unwrap();
        assert_eq!(manifest.lock, Some(dir.path().join("npm-shrinkwrap.json")));
    }
}
