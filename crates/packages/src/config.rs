//! What npm's configuration says, as far as it matters here: `npm config ls -l --json` gives it, with the project's, the
//! user's and the machine's `.npmrc` and the environment taken together.

use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::PackageError;

/// Settings, and the values with which npm installs what the lock says and nothing else.
const USUAL: [(&str, &str); 12] = [
    ("bin-links", "true"),
    ("dry-run", "false"),
    ("engine-strict", "false"),
    ("force", "false"),
    ("global", "false"),
    ("include", "[]"),
    ("install-strategy", "\"hoisted\""),
    ("legacy-bundling", "false"),
    ("package-lock", "true"),
    ("package-lock-only", "false"),
    ("replace-registry-host", "\"npmjs\""),
    ("strict-ssl", "true"),
];

/// How packages are fetched, as npm would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NpmConfig {
    /// Where packages come from, without the last slash.
    pub(crate) registry: String,
    /// npm's cache.
    pub(crate) cache: PathBuf,
    /// Certificates to trust beside the machine's.
    pub(crate) cafile: Option<PathBuf>,
    /// Whether scripts of packages are not to be run.
    pub ignores_scripts: bool,
}

impl NpmConfig {
    /// Reads what npm prints.
    ///
    /// # Errors
    ///
    /// Where npm is told to install otherwise than the lock says, or in a way that is not known here.
    pub fn read(json: &[u8]) -> Result<Self, PackageError> {
        let unreadable = |_| PackageError::unusual("npm's configuration cannot be read");
        let settings: Map<String, Value> = serde_json::from_slice(json).map_err(unreadable)?;
        let set = |name: &str| settings.get(name).filter(|value| !value.is_null());
        let is_usual =
            |value: &Value, usual: &str| serde_json::to_string(value).is_ok_and(|text| text == usual);
        for (name, usual) in USUAL {
            if set(name).is_some_and(|value| !is_usual(value, usual)) {
                return Err(PackageError::unusual(format!("{name} is set")));
            }
        }
        let mut omitted = set("omit").and_then(Value::as_array).into_iter().flatten();
        if omitted.any(|kind| kind != "dev") {
            return Err(PackageError::unusual("omit is set"));
        }
        // Proxies that stand in the environment are obeyed; others, private certificates and registries by scope are npm's affair.
        let proxies = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"].map(std::env::var);
        let in_environment = |value: &Value| {
            let given = value.as_str().unwrap_or_default().trim_end_matches('/');
            proxies
                .iter()
                .flatten()
                .any(|proxy| proxy.trim_end_matches('/') == given)
        };
        for name in ["proxy", "https-proxy"] {
            if set(name).is_some_and(|value| *value != Value::Bool(false) && !in_environment(value)) {
                return Err(PackageError::unusual(format!("{name} is set")));
            }
        }
        for name in ["ca", "cert", "key", "local-address"] {
            if set(name).is_some() {
                return Err(PackageError::unusual(format!("{name} is set")));
            }
        }
        if let Some(name) = settings
            .keys()
            .find(|name| name.starts_with('@') || name.starts_with("//"))
        {
            return Err(PackageError::unusual(format!("{name} is set")));
        }
        let text = |name: &str| set(name).and_then(Value::as_str);
        let lacking = |name| PackageError::unusual(format!("npm has no {name}"));
        Ok(Self {
            registry: text("registry")
                .ok_or_else(|| lacking("registry"))?
                .trim_end_matches('/')
                .to_owned(),
            cache: text("cache").ok_or_else(|| lacking("cache"))?.into(),
            cafile: text("cafile").map(PathBuf::from),
            ignores_scripts: set("ignore-scripts") == Some(&Value::Bool(true)),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn what_changes_an_installation_is_left_to_npm() {
        let usual = json!({
            "registry": "https://registry.example.com/npm/", "cache": "/home/a/.npm", "ignore-scripts": false,
            "strict-ssl": true, "include": [], "install-strategy": "hoisted", "proxy": null, "ca": null, "audit": false,
        });
        let config = NpmConfig::read(usual.to_string().as_bytes()).unwrap();
        assert_eq!(config.registry, "https://registry.example.com/npm");
        assert_eq!(config.cache, PathBuf::from("/home/a/.npm"));
        assert!(!config.ignores_scripts);
        for (name, value) in [
            ("strict-ssl", json!(false)),
            ("include", json!(["dev"])),
            ("omit", json!(["dev", "optional"])),
            ("install-strategy", json!("linked")),
            ("proxy", json!("http://nowhere.example.com:1")),
            ("ca", json!(["-----BEGIN"])),
            ("@mine:registry", json!("https://npm.example.com/")),
            ("cache", json!(null)),
        ] {
            let mut unusual = usual.clone();
            unusual[name] = value;
            assert!(NpmConfig::read(unusual.to_string().as_bytes()).is_err(), "{name}");
        }
        assert!(NpmConfig::read(b"npm error").is_err());
    }
}
