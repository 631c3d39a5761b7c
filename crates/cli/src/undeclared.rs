//! Packages that functions require and do not declare. On its author's machine such a function has run: its `node_modules` was
//! uploaded with it, or the platform's runtime had the package built in. So `dev` and `exec` supply what is vouched for, and
//! say which line is missing; `serve` only says it.

use std::collections::BTreeMap;

use doctor::UndeclaredPackage;
use project::{Finding, Project, Undeclared};
use wording::{Wording, wording};

/// How many functions are named in one message.
const MOST_NAMED: usize = 5;

/// Notes at each function what is to be supplied to it, as the project's settings say, else as is `usual`. Gives what its
/// author should know.
pub(crate) fn supply(project: &mut Project, usual: Undeclared) -> Vec<Finding> {
    let policy = project.settings.undeclared.unwrap_or(usual);
    for listed in project.functions.values_mut() {
        listed.function.supplies_what_is_missing = policy == Undeclared::Supply;
    }
    let mut by_package: BTreeMap<(String, String), Vec<UndeclaredPackage>> = BTreeMap::new();
    for missing in doctor::undeclared(project) {
        if policy == Undeclared::Supply
            && missing.is_known
            && !missing.is_above
            && let Some(listed) = project.functions.get_mut(&missing.function)
        {
            let supplied = &mut listed.function.supplied;
            supplied.insert(missing.name.clone(), missing.version.clone());
        }
        let key = (missing.name.clone(), missing.version.clone());
        by_package.entry(key).or_default().push(missing);
    }
    let packages = by_package.into_values();
    packages.filter_map(|missing| finding(&missing, policy)).collect()
}

/// What is to be said about one package.
fn finding(missing: &[UndeclaredPackage], policy: Undeclared) -> Option<Finding> {
    let first = missing.first()?;
    let named: Vec<_> = missing
        .iter()
        .take(MOST_NAMED)
        .map(|one| one.function.as_str())
        .collect();
    let more = match missing.len() - named.len() {
        0 => Wording::default(),
        more => wording!(" and {more} more", " 等，另有 {more} 个"),
    };
    let (does_en, do_en) = match missing {
        [_] => ("requires", "does"),
        _ => ("require", "do"),
    };
    let (names, name, version) = (named.join(", "), &first.name, &first.version);
    let who = wording!("{names}{more} {does_en} `{name}`", "{names}{more} 用到依赖 `{name}`"; more);
    let what = if first.is_above {
        // Nothing is lacking here.
        wording!(
            "{who}, which is found only in a folder above the function's: it is not uploaded to the platform",
            "{who}，但只在云函数的上级目录里有：不会上传到平台"; who
        )
    } else if policy == Undeclared::Supply && first.is_known {
        wording!(
            "{who} and {do_en} not declare it: {version} is supplied",
            "{who}，但没有声明：已补上 {version}"; who
        )
    } else if policy == Undeclared::Supply {
        wording!(
            "{who} and {do_en} not declare it: it is missing, and not one of the packages that are supplied unasked",
            "{who}，但没有声明：缺少它，而它不在会自动补上的依赖之列"; who
        )
    } else {
        wording!(
            "{who} and {do_en} not declare it: it is missing",
            "{who}，但没有声明：缺少它"; who
        )
    };
    let mut mend = match &first.meant {
        Some(meant) => project::did_you_mean(meant),
        None => {
            let line = first.line_to_add();
            wording!(
                "add {line} to dependencies in package.json (`yunqiao doctor --fix` does it)",
                "请在 package.json 的 dependencies 里加上 {line}（`yunqiao doctor --fix` 会自动修改）"
            )
        }
    };
    if policy == Undeclared::Refuse && first.is_known && !first.is_above {
        mend = wording!(
            "{mend}, or have it supplied: undeclared = \"supply\" below [functions] in yunqiao.toml",
            "{mend}，或让它自动补上：在 yunqiao.toml 的 [functions] 下写 undeclared = \"supply\""; mend
        );
    }
    Some(Finding {
        function: None,
        file: first.file.clone(),
        what,
        mend,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    fn project(files: &[(&str, &str)]) -> (tempfile::TempDir, Project) {
        let folder = tempfile::tempdir().unwrap();
        let config = [("project.config.json", r#"{"appid":"wx0123456789abcdef"}"#)];
        for (file, text) in config.iter().chain(files) {
            let file = folder.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let project = Project::open(folder.path()).unwrap();
        (folder, project)
    }

    fn supplied(project: &Project, name: &str) -> Vec<String> {
        let function = &project.functions.get(name).unwrap().function;
        function.supplied.keys().cloned().collect()
    }

    #[test]
    fn what_is_vouched_for_is_supplied_and_the_rest_is_told() {
        let (_folder, mut project) = project(&[
            (
                "cloudfunctions/a/index.js",
                "require('lodash'); require('wx-server-sdk'); require('no-such-name')",
            ),
            (
                "cloudfunctions/b/index.js",
                "require('lodash'); require('../common/db')",
            ),
            (
                "cloudfunctions/common/db.js",
                "require('own-package'); require('uuid/v4')",
            ),
            ("cloudfunctions/c/index.js", "require('own-package')"),
            (
                "cloudfunctions/c/package.json",
                r#"{"dependencies":{"own-package":"1.2.3"}}"#,
            ),
            ("cloudfunctions/d/index.js", "require('above')"),
            ("node_modules/above/package.json", "{}"),
        ]);
        let found = supply(&mut project, Undeclared::Supply);
        assert_eq!(supplied(&project, "a"), ["lodash", "wx-server-sdk"]);
        assert_eq!(supplied(&project, "b"), ["lodash", "own-package", "uuid"]);
        assert!(supplied(&project, "c").is_empty() && supplied(&project, "d").is_empty());
        let told: Vec<_> = found.iter().map(|finding| finding.what.en.as_str()).collect();
        assert_eq!(
            told,
            [
                "d requires `above`, which is found only in a folder above the function's: it is not uploaded to the platform",
                "a, b require `lodash` and do not declare it: ^4.17.4 is supplied",
                "a requires `no-such-name` and does not declare it: it is missing, and not one of the packages that are supplied unasked",
                "b requires `own-package` and does not declare it: 1.2.3 is supplied",
                "b requires `uuid` and does not declare it: ^3.1.0 is supplied",
                "a requires `wx-server-sdk` and does not declare it: 4.0.2 is supplied",
            ]
        );
        assert!(
            found[1]
                .mend
                .en
                .starts_with("add \"lodash\": \"^4.17.4\" to dependencies")
        );
    }

    #[test]
    fn a_name_that_was_mistyped_is_told_with_the_one_that_was_meant() {
        let (_folder, mut project) = project(&[
            (
                "cloudfunctions/a/index.js",
                "require('reqeust'); require('own-packgae')",
            ),
            ("cloudfunctions/c/index.js", ""),
            (
                "cloudfunctions/c/package.json",
                r#"{"dependencies":{"own-package":"1.2.3"}}"#,
            ),
        ]);
        let found = supply(&mut project, Undeclared::Supply);
        assert!(supplied(&project, "a").is_empty());
        let mends: Vec<_> = found.iter().map(|finding| finding.mend.en.as_str()).collect();
        assert_eq!(mends, ["did you mean `own-package`?", "did you mean `request`?"]);
    }

    #[test]
    fn a_path_for_development_is_no_version() {
        let (_folder, mut project) = project(&[
            ("cloudfunctions/a/index.js", "require('lodash')"),
            (
                "cloudfunctions/a/package.json",
                r#"{"devDependencies":{"lodash":"file:../../lodash"}}"#,
            ),
        ]);
        supply(&mut project, Undeclared::Supply);
        let function = &project.functions.get("a").unwrap().function;
        assert_eq!(
            function.supplied.get("lodash").map(String::as_str),
            Some("^4.17.4")
        );
    }

    #[test]
    fn where_it_is_refused_nothing_is_supplied() {
        let files = [("cloudfunctions/a/index.js", "require('lodash')")];
        let (_folder, mut refused) = project(&files);
        let found = supply(&mut refused, Undeclared::Refuse);
        assert!(supplied(&refused, "a").is_empty());
        assert!(found[0].what.en.ends_with("it is missing"), "{found:?}");

        // The mend is taken.
        assert!(
            found[0]
                .mend
                .en
                .contains("undeclared = \"supply\" below [functions]")
        );
        let settings = ("yunqiao.toml", "[functions]\nundeclared = \"supply\"");
        let (_folder, mut allowed) = project(&[files[0], settings]);
        supply(&mut allowed, Undeclared::Refuse);
        assert_eq!(supplied(&allowed, "a"), ["lodash"]);
    }
}
