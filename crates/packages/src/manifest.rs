//! What a package's own manifest says about its installation.

use std::{fs, io, path::Path};

use serde_json::{Map, Value};

use crate::PackageError;

/// Scripts that are run when a package is installed.
const SCRIPTS: [&str; 3] = ["preinstall", "install", "postinstall"];

/// Whether a package is for the platform on which this runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Platform {
    This,
    Other,
    /// That cannot be told here: which C library Node uses, or which processor on a machine that emulates another.
    Unknown,
}

impl Platform {
    /// What `os`, `cpu` and `libc` say, in a manifest or in a lock.
    pub(crate) fn of(package: &Map<String, Value>) -> Self {
        let os = match std::env::consts::OS {
            "macos" => "darwin",
            other => other,
        };
        let cpu = match std::env::consts::ARCH {
            "x86_64" => "x64",
            "aarch64" => "arm64",
            other => other,
        };
        let admits = |field: &str, this: &str| package.get(field).is_none_or(|list| admits(list, this));
        if !admits("os", os) {
            return Self::Other;
        }
        if package.contains_key("cpu") && os == "darwin" {
            return Self::Unknown;
        }
        if !admits("cpu", cpu) {
            return Self::Other;
        }
        if package.contains_key("libc") {
            return Self::Unknown;
        }
        Self::This
    }
}

/// Whether a list such as `["linux"]` or `["!win32"]` has this one.
fn admits(list: &Value, this: &str) -> bool {
    let words: Vec<&str> = match list {
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        Value::String(one) => vec![one],
        _ => return true,
    };
    if words.iter().any(|word| word.strip_prefix('!') == Some(this)) {
        return false;
    }
    let mut named = words.iter().filter(|word| !word.starts_with('!')).peekable();
    named.peek().is_none() || named.any(|word| *word == this || *word == "any")
}

/// A package as it was unpacked.
#[derive(Debug)]
pub(crate) struct UnpackedPackage {
    pub(crate) platform: Platform,
    /// Whether something is to be run before it can be used.
    pub(crate) has_script: bool,
    /// Names of programs and their files.
    pub(crate) programs: Vec<(String, String)>,
}

impl UnpackedPackage {
    /// Reads the manifest of a package that was unpacked to `folder` under a name.
    pub(crate) fn read(folder: &Path, name: &str) -> Result<Self, PackageError> {
        let text = fs::read(folder.join("package.json"))?;
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&text);
        let package: Map<String, Value> = serde_json::from_slice(text).map_err(io::Error::from)?;
        let scripts = package.get("scripts").and_then(Value::as_object);
        let has_script = SCRIPTS
            .iter()
            .any(|script| scripts.is_some_and(|scripts| scripts.contains_key(*script)))
            || folder.join("binding.gyp").exists();
        let own = name.rsplit_once('/').map_or(name, |it| it.1);
        let directory = || package.get("directories")?.get("bin")?.as_str();
        let programs = match package.get("bin") {
            Some(Value::String(file)) => vec![(own.to_owned(), file.clone())],
            Some(Value::Object(list)) => list
                .iter()
                .filter_map(|(name, file)| Some((name.clone(), file.as_str()?.to_owned())))
                .collect(),
            _ => directory().map_or_else(Vec::new, |directory| files_in(folder, directory)),
        };
        Ok(Self {
            platform: Platform::of(&package),
            has_script,
            programs,
        })
    }
}

/// The files of a folder of a package, each a program by its own name.
fn files_in(package: &Path, directory: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(package.join(directory))
        .into_iter()
        .flatten()
        .flatten();
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let named = files.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let file = format!("{}/{name}", directory.trim_end_matches('/'));
        (!name.starts_with('.')).then_some((name, file))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_of_platforms_name_or_exclude() {
        for (list, admitted) in [
            (json!(["linux", "darwin"]), true),
            (json!(["win32"]), false),
            (json!(["!win32"]), true),
            (json!(["!linux"]), false),
            (json!([]), true),
            (json!("linux"), true),
            (json!(["any"]), true),
        ] {
            assert_eq!(admits(&list, "linux"), admitted, "{list}");
        }
    }
}
