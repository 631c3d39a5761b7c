//! Required against installed: the packages that a function's source requires against its `package.json`, and the SDK's
//! version against the first that had cloud calls.
//!
//! Node's search path on the platform begins with the function's own folder (the document "Node.js 环境说明": `NODE_PATH` is
//! `/var/user:/var/user/node_modules:…`), so `require('common')` finds `common.js` beside `index.js`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use function::{
    BUILT_IN_PACKAGES, Function, FunctionName, SDK, SDK_VERSION, USUAL_PACKAGES, built_in_package,
    suppliable_package,
};
use project::{Project, files};
use serde_json::{Map, Value};
use wording::{Wording, wording};

use crate::{
    Diagnosis,
    cure::{Cure, Edit},
    source::Source,
};

/// The SDK's first version with `cloud.openapi`, as WeChat's document "云调用" says: 0.4.
const FIRST_WITH_CLOUD_CALLS: (u64, u64) = (0, 4);
/// What a package of which no version is known is asked for with, as DevTools did in its own templates.
const ANY_VERSION: &str = "latest";
/// The fields of `package.json` whose packages are there when the function runs.
const INSTALLED: [&str; 3] = ["dependencies", "optionalDependencies", "peerDependencies"];

/// A package that a function's source requires and that its `package.json` does not bring along.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UndeclaredPackage {
    /// The function.
    pub function: FunctionName,
    /// The package's name.
    pub name: String,
    /// The file that requires it, and the line, from 1.
    pub file: PathBuf,
    /// See [`UndeclaredPackage::file`].
    pub line: usize,
    /// The range of versions to ask for: as the function's devDependencies or another function of the project have it, else a
    /// usual one.
    pub version: String,
    /// Whether the name is vouched for: by the project itself, or because it is one of
    /// [`suppliable_package`].
    pub is_known: bool,
    /// The package that is meant, where the name is none that is vouched for and comes near to one that is.
    pub meant: Option<String>,
    /// Whether the platform's runtimes up to Node 12.16 bring it along.
    pub is_built_in: bool,
    /// Whether Node finds it in a folder above the function's, which the platform does not have.
    pub is_above: bool,
    /// Whether the function's devDependencies name it.
    is_for_development: bool,
}

/// What `package.json` of a function says; nothing where there is none. `None` if it cannot be read, which is told as the
/// reason why the function cannot run.
fn package_of(function: &Function) -> Option<Map<String, Value>> {
    let path = function.dir.join("package.json");
    match files::json_object(&fs::read(&path).unwrap_or_default()) {
        Ok(package) => Some(package),
        Err(_) if path.exists() => None,
        Err(_) => Some(Map::new()),
    }
}

fn version(package: &Map<String, Value>, field: &str, name: &str) -> Option<String> {
    Some(package.get(field)?.get(name)?.as_str()?.to_owned())
}

/// The packages that a function requires and does not have, each where it is required first.
pub(crate) fn undeclared(function: &Function, source: &Source, project: &Project) -> Vec<UndeclaredPackage> {
    let Some(package) = package_of(function) else {
        return Vec::new();
    };
    let mut seen = BTreeSet::new();
    let first = source
        .packages
        .iter()
        .filter(|required| seen.insert(&required.name));
    let missing = first.filter(|required| {
        let name = required.name.as_str();
        let is_there = INSTALLED
            .iter()
            .any(|field| version(&package, field, name).is_some())
            || package.get("name").and_then(Value::as_str) == Some(name)
            || function.dir.join("node_modules").join(name).is_dir();
        !is_there && !lies_in(&function.dir, name)
    });
    missing
        .map(|required| {
            let name = required.name.as_str();
            let in_development = version(&package, "devDependencies", name);
            let is_for_development = in_development.is_some();
            let known = in_development
                .filter(|range| !is_path(range))
                .or_else(|| used_by_another(project, name))
                .or_else(|| suppliable_package(name).map(str::to_owned));
            let above = required.file.ancestors().skip(1);
            UndeclaredPackage {
                function: function.name.clone(),
                name: name.to_owned(),
                file: required.file.clone(),
                line: required.line,
                is_known: known.is_some(),
                meant: if known.is_some() {
                    None
                } else {
                    meant(&package, project, name)
                },
                version: known.unwrap_or_else(|| ANY_VERSION.to_owned()),
                is_built_in: built_in_package(name).is_some(),
                is_above: above
                    .map(|folder| folder.join("node_modules").join(name))
                    .any(|folder| folder.is_dir()),
                is_for_development,
            }
        })
        .collect()
}

/// The package that comes nearest to a name, of those that the project depends on or functions use most.
fn meant(package: &Map<String, Value>, project: &Project, name: &str) -> Option<String> {
    let manifests = project.functions.values().filter_map(|listed| {
        let package = fs::read(&listed.function.manifest.as_ref()?.package).ok()?;
        files::json_object(&package).ok()
    });
    let declared: BTreeSet<String> = manifests
        .chain([package.clone()])
        .flat_map(|package| {
            let lists = INSTALLED.map(|field| package.get(field).and_then(Value::as_object).cloned());
            lists
                .into_iter()
                .flatten()
                .flat_map(|list| list.into_iter().map(|(name, _)| name))
        })
        .collect();
    let usual = BUILT_IN_PACKAGES
        .iter()
        .chain(&USUAL_PACKAGES)
        .map(|(name, _)| *name);
    // A slip or two: `request-ip` is another package than `request`.
    let slips = |candidate: &&str| strsim::osa_distance(name, candidate);
    let best = declared
        .iter()
        .map(String::as_str)
        .chain(usual)
        .min_by_key(slips)?;
    let few = slips(&best) <= 2 && slips(&best) * 4 <= name.len();
    few.then(|| best.to_owned())
}

impl UndeclaredPackage {
    /// The line that `package.json` lacks.
    #[must_use]
    pub fn line_to_add(&self) -> String {
        format!("\"{}\": \"{}\"", self.name, self.version)
    }
}

pub(crate) fn examine(function: &Function, source: &Source, project: &Project, found: &mut Vec<Diagnosis>) {
    let path = function.dir.join("package.json");
    let bytes = fs::read(&path).unwrap_or_default();
    let Some(package) = package_of(function) else {
        return;
    };
    let cure = |package: &str, version: String| Cure {
        edit: Edit::Depend {
            package: package.to_owned(),
            version,
        },
        file: path.clone(),
    };

    let mut seen = BTreeSet::new();
    let imported = source.packages.iter().filter(|_| function.is_module());
    for required in imported.filter(|required| seen.insert(&required.name)) {
        let name = required.name.as_str();
        let declared = INSTALLED
            .iter()
            .any(|field| version(&package, field, name).is_some());
        if !declared && lies_in(&function.dir, name) {
            let what = wording!(
                "it imports `{name}`, which lies in its own folder: Node looks there for what `require` names, not for what `import` does",
                "代码里 import 的 `{name}` 在云函数自己的目录里：Node 只为 `require` 在那里查找，`import` 不会"
            );
            let mend = wording!(
                "write `./{name}` with the ending of the file",
                "请写成 `./{name}`，并带上文件后缀"
            );
            found.push(Diagnosis::new(&required.file, Some(required.line), what, mend));
        }
    }
    for missing in undeclared(function, source, project) {
        let name = &missing.name;
        if let Some(meant) = &missing.meant {
            // What a stranger has published under a name that was mistyped is not what is wanted.
            let what = not_in_package(name);
            let mend = project::did_you_mean(meant);
            found.push(Diagnosis::new(&missing.file, Some(missing.line), what, mend));
            continue;
        }
        let line = missing.line_to_add();
        let (what, mend) = if missing.is_for_development {
            (
                wording!(
                    "it requires `{name}`, which is only among the devDependencies of package.json",
                    "代码里用到依赖 `{name}`，但它只在 package.json 的 devDependencies 里"
                ),
                wording!(
                    "they are not installed where it runs: move {line} to dependencies",
                    "运行时不会安装 devDependencies：请把 {line} 移到 dependencies"
                ),
            )
        } else if path.exists() {
            (
                not_in_package(name),
                wording!("add {line} to dependencies", "请在 dependencies 里加上 {line}"),
            )
        } else {
            (
                wording!(
                    "it requires `{name}`, and there is no package.json",
                    "代码里用到依赖 `{name}`，但没有 package.json"
                ),
                wording!(
                    "make one with {line} in dependencies",
                    "请新建 package.json，在 dependencies 里写 {line}"
                ),
            )
        };
        let mend = if missing.is_built_in {
            wording!(
                "only the platform's runtimes up to Node 12.16 bring it along: {mend}",
                "只有平台 Node 12.16 及以下的运行环境自带它：{mend}"; mend
            )
        } else {
            mend
        };
        found.push(
            Diagnosis::new(&missing.file, Some(missing.line), what, mend)
                .cured_by(cure(name, missing.version)),
        );
    }

    if let Some(range) =
        version(&package, "dependencies", SDK).filter(|range| ends_before(range, FIRST_WITH_CLOUD_CALLS))
    {
        let what = wording!(
            "{SDK} {range} is too old: cloud calls came with 0.4.0",
            "{SDK} {range} 太旧：0.4.0 起才支持云调用"
        );
        let mend = wording!(
            "ask for \"{SDK}\": \"{SDK_VERSION}\"",
            "请改为 \"{SDK}\": \"{SDK_VERSION}\""
        );
        found.push(
            Diagnosis::new(&path, line_of(&bytes, SDK), what, mend)
                .cured_by(cure(SDK, SDK_VERSION.to_owned())),
        );
    }
}

fn not_in_package(name: &str) -> Wording {
    wording!(
        "it requires `{name}`, which is not in package.json",
        "代码里用到依赖 `{name}`，但 package.json 里没有"
    )
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
        (is_usable && !is_path(range)).then(|| range.to_owned())
    })
}

/// Whether what is asked for is a folder or an archive of the project, and not a version.
fn is_path(range: &str) -> bool {
    ["file:", "link:", ".", "/", "~/"]
        .iter()
        .any(|start| range.starts_with(start))
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
