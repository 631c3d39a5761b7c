//! Required against installed: the packages that a function's source requires against its `package.json`, and the SDK's
//! version against the first that had cloud calls.
//!
//! Node's search path on the platform begins with the function's own folder (the document "Node.js 环境说明": `NODE_PATH` is
//! `/var/user:/var/user/node_modules:…`), so `require('common')` finds `common.js` beside `index.js`.

use std::{collections::BTreeSet, fs, path::Path};

use function::{Function, built_in_package};
use project::{Project, files};
use serde_json::{Map, Value};

use crate::{
    Diagnosis,
    cure::{Cure, Edit},
    source::{SDK, Source},
};

/// The SDK's first version with `cloud.openapi`, as WeChat's document "云调用" says: 0.4.
const FIRST_WITH_CLOUD_CALLS: (u64, u64) = (0, 4);
/// What an SDK that is missing or too old is replaced with: the newest that was tried with Yunqiao.
const SDK_VERSION: &str = "4.0.2";
/// What a package of which no version is known is asked for with, as DevTools did in its own templates.
const ANY_VERSION: &str = "latest";
/// The fields of `package.json` whose packages are there when the function runs.
const INSTALLED: [&str; 3] = ["dependencies", "optionalDependencies", "peerDependencies"];

pub(crate) fn examine(function: &Function, source: &Source, project: &Project, found: &mut Vec<Diagnosis>) {
    let path = function.dir.join("package.json");
    let bytes = fs::read(&path).unwrap_or_default();
    let package = match files::json_object(&bytes) {
        Ok(package) => package,
        Err(_) if path.exists() => return, // told as the reason why it cannot run
        Err(_) => Map::new(),
    };
    let version = |field: &str, name: &str| Some(package.get(field)?.get(name)?.as_str()?.to_owned());
    let cure = |package: &str, version: String| Cure {
        edit: Edit::Depend {
            package: package.to_owned(),
            version,
        },
        file: path.clone(),
    };

    let mut seen = BTreeSet::new();
    for required in source
        .packages
        .iter()
        .filter(|required| seen.insert(&required.name))
    {
        let name = required.name.as_str();
        let is_there = INSTALLED.iter().any(|field| version(field, name).is_some())
            || package.get("name").and_then(Value::as_str) == Some(name)
            || function.dir.join("node_modules").join(name).is_dir();
        if is_there {
            continue;
        }
        if lies_in(&function.dir, name) {
            if function.is_module() {
                let what = format!(
                    "it imports `{name}`, which lies in its own folder: Node looks there for what `require` names, not for what `import` does"
                );
                let mend = format!("write `./{name}` with the ending of the file");
                found.push(Diagnosis::new(&required.file, Some(required.line), what, mend));
            }
            continue;
        }
        let built_in = built_in_package(name);
        let wanted = version("devDependencies", name)
            .or_else(|| used_by_another(project, name))
            .or_else(|| built_in.map(str::to_owned))
            .unwrap_or_else(|| if name == SDK { SDK_VERSION } else { ANY_VERSION }.to_owned());
        let line = format!("\"{name}\": \"{wanted}\"");
        let (what, mend) = if version("devDependencies", name).is_some() {
            (
                format!("it requires `{name}`, which is only among the devDependencies of package.json"),
                format!("they are not installed where it runs: move {line} to dependencies"),
            )
        } else if path.exists() {
            (
                format!("it requires `{name}`, which is not in package.json"),
                format!("add {line} to dependencies"),
            )
        } else {
            (
                format!("it requires `{name}`, and there is no package.json"),
                format!("make one with {line} in dependencies"),
            )
        };
        let mend = match built_in {
            Some(_) => format!("only the platform's runtimes up to Node 12.16 bring it along: {mend}"),
            None => mend,
        };
        found.push(
            Diagnosis::new(&required.file, Some(required.line), what, mend).cured_by(cure(name, wanted)),
        );
    }

    if let Some(range) =
        version("dependencies", SDK).filter(|range| ends_before(range, FIRST_WITH_CLOUD_CALLS))
    {
        let what = format!("{SDK} {range} is too old: cloud calls came with 0.4.0");
        let mend = format!("ask for \"{SDK}\": \"{SDK_VERSION}\"");
        found.push(
            Diagnosis::new(&path, line_of(&bytes, SDK), what, mend)
                .cured_by(cure(SDK, SDK_VERSION.to_owned())),
        );
    }
}

/// Whether `require('NAME')` finds a file or folder of the function's own, as far as its first part goes.
fn lies_in(dir: &Path, name: &str) -> bool {
    let is_file = |ending: &str| dir.join(format!("{name}{ending}")).is_file();
    ["", ".js", ".json", ".node"].iter().any(|ending| is_file(ending)) || dir.join(name).is_dir()
}

/// The version with which another function of the project depends on a package.
fn used_by_another(project: &Project, name: &str) -> Option<String> {
    project.functions.values().find_map(|listed| {
        let package = fs::read(&listed.function.manifest.as_ref()?.package).ok()?;
        let package = files::json_object(&package).ok()?;
        let range = package.get("dependencies")?.get(name)?.as_str()?;
        let is_usable = name != SDK || !ends_before(range, FIRST_WITH_CLOUD_CALLS);
        // A path in that function's folder leads nowhere from this one.
        (is_usable && !range.starts_with("file:")).then(|| range.to_owned())
    })
}

/// The line on which a key stands; good enough for a message.
fn line_of(bytes: &[u8], key: &str) -> Option<usize> {
    let quoted = format!("\"{key}\"");
    let lines = bytes.split(|byte| *byte == b'\n');
    let holds = |line: &[u8]| {
        line.windows(quoted.len())
            .any(|window| window == quoted.as_bytes())
    };
    lines
        .zip(1..)
        .find(|(line, _)| holds(line))
        .map(|(_, number)| number)
}

/// Whether every version that an npm range admits is older than `major.minor.0`. Tags, addresses and what cannot be read
/// are not.
fn ends_before(range: &str, first: (u64, u64)) -> bool {
    range.split("||").all(|alternative| {
        let mut upper_bound_follows = false;
        let mut words = alternative.split_whitespace().peekable();
        let mut is_bounded = false;
        while let Some(word) = words.next() {
            if word == "-" {
                upper_bound_follows = true;
                continue;
            }
            let digits = word.find(|char: char| char.is_ascii_digit() || "xX*".contains(char));
            let (operator, version) = word.split_at(digits.unwrap_or(word.len()));
            // `>= 1.0` is `>=1.0`.
            let (operator, version) = match (operator, version) {
                (operator, "") => (operator, words.next().unwrap_or_default()),
                whole => whole,
            };
            let Some((version, is_start)) = version_of(version.trim_start_matches('v')) else {
                continue;
            };
            // The lower end of `1.0 - 2.0` bounds nothing.
            let is_lower_end = words.peek() == Some(&"-") && !upper_bound_follows;
            is_bounded |= match operator.trim_end_matches('v') {
                _ if is_lower_end => false,
                "" | "=" | "^" | "~" | "<=" => version < first,
                "<" => version < first || (version == first && is_start),
                _ => false,
            };
        }
        is_bounded
    })
}

/// Major and minor, and whether it is their very first version; `None` where these are left open.
fn version_of(text: &str) -> Option<((u64, u64), bool)> {
    let core = text.split(['-', '+']).next()?;
    let mut parts = core.split('.');
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?.parse().ok()?;
    let is_start = matches!(parts.next(), None | Some("0"));
    Some(((major, minor), is_start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_end_before_what_they_do_not_admit() {
        for old in [
            "0.3.0",
            "=0.3.1",
            "v0.3.1",
            "^0.3.0",
            "~0.3",
            "0.2.x",
            "<0.4.0",
            "< 0.4",
            "<=0.3.9",
            ">=0.1.0 <0.4.0",
            "0.1.0 - 0.3.2",
            "0.2.0 || ~0.3.1",
            "0.3.0-beta.1",
        ] {
            assert!(ends_before(old, FIRST_WITH_CLOUD_CALLS), "{old}");
        }
        for young in [
            "0.4.0",
            "~2.6.3",
            "^0.8.1",
            "latest",
            "*",
            "",
            "0",
            "0.x",
            ">=0.2.0",
            "> 0.3.0",
            "<=0.4.0",
            "<0.4.1",
            "0.1.0 - 2.0.0",
            "0.3.0 || 2.6.3",
            "file:../sdk-0.3.0",
            "git+https://example.com/sdk.git#0.3.0",
            "npm:other@0.3.0",
        ] {
            assert!(!ends_before(young, FIRST_WITH_CLOUD_CALLS), "{young}");
        }
    }
}
