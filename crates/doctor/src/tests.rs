//! Golden triples, `golden/NAME/`: a project as it is found (`broken`), what the doctor says (`diagnosis.txt` and
//! `diagnosis.zh.txt`, those that it cannot cure marked), and the project when it is cured (`cured`). With `YUNQIAO_BLESS=1`
//! in the environment what is said and done becomes what is expected: read the difference before you commit it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeMap, env, fmt::Write, fs};

use super::*;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/golden")
}

/// The files below a folder, with their content.
fn tree(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut tree = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                tree.insert(
                    path.strip_prefix(root).unwrap().to_owned(),
                    fs::read(&path).unwrap(),
                );
            }
        }
    }
    tree
}

fn lay(root: &Path, tree: &BTreeMap<PathBuf, Vec<u8>>) {
    for (path, content) in tree {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// What the doctor says, without the project's own folder.
fn told(root: &Path, report: &DoctorReport) -> String {
    told_in(root, report, |wording| wording.en)
}

/// The same in one of the languages.
fn told_in(root: &Path, report: &DoctorReport, language: fn(Wording) -> String) -> String {
    let mut told = String::new();
    let say = |found: &Diagnosis| {
        let line = found.line.map_or(String::new(), |line| format!(":{line}"));
        let text = language(Wording::with_mend(&found.what, &found.mend));
        format!("{}{line}: {text}", found.file.display())
    };
    for diagnosis in &report.diagnoses {
        let mark = if diagnosis.is_curable() {
            "curable"
        } else {
            "        "
        };
        writeln!(told, "{mark:8} {}", say(diagnosis)).unwrap();
    }
    for hint in &report.hints {
        writeln!(told, "hint     {}", say(hint)).unwrap();
    }
    for unseen in &report.unseen {
        let line = unseen.line.map_or(String::new(), |line| format!(":{line}"));
        writeln!(told, "unseen   {}{line}", unseen.file.display()).unwrap();
    }
    told.replace(&format!("{}/", root.display()), "")
}

fn text(tree: &BTreeMap<PathBuf, Vec<u8>>) -> String {
    tree.iter().fold(String::new(), |text, (path, content)| {
        format!(
            "{text}--- {}\n{}",
            path.display(),
            String::from_utf8_lossy(content)
        )
    })
}

#[test]
fn golden_triples() {
    let bless = env::var_os("YUNQIAO_BLESS").is_some();
    let mut names: Vec<_> = fs::read_dir(golden())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    assert!(names.len() >= 8, "{names:?}");
    for case in names {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        lay(root, &tree(&case.join("broken")));
        let report = examine(&Project::open(root).unwrap());
        let diagnosis = told(root, &report);
        let in_chinese = told_in(root, &report, |wording| wording.zh);
        let cured = cure(&report).unwrap();
        let after = tree(root);
        if bless {
            fs::write(case.join("diagnosis.txt"), &diagnosis).unwrap();
            fs::write(case.join("diagnosis.zh.txt"), &in_chinese).unwrap();
            _ = fs::remove_dir_all(case.join("cured"));
            lay(&case.join("cured"), &after);
        }
        let case_name = case.display();
        let expected = fs::read_to_string(case.join("diagnosis.txt")).unwrap();
        assert_eq!(diagnosis, expected, "{case_name}");
        let expected = fs::read_to_string(case.join("diagnosis.zh.txt")).unwrap();
        assert_eq!(in_chinese, expected, "{case_name}");
        assert_eq!(text(&after), text(&tree(&case.join("cured"))), "{case_name}");

        // Each cure says what it did, and none leaves anything for another.
        let curable = report.diagnoses.iter().filter(|found| found.is_curable()).count();
        assert!(cured.len() >= curable, "{case_name}: {cured:?}");
        let again = examine(&Project::open(root).unwrap());
        let left = again.diagnoses.iter().filter(|found| found.is_curable()).count();
        assert_eq!(left, 0, "{case_name}: {}", told(root, &again));
        assert!(cure(&again).unwrap().is_empty());
    }
}

fn function(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let project = [("project.config.json", r#"{"appid":"wx0123456789abcdef"}"#)];
    for (path, content) in project.iter().chain(files) {
        lay(
            dir.path(),
            &BTreeMap::from([(PathBuf::from(path), content.as_bytes().to_vec())]),
        );
    }
    dir
}

#[test]
fn what_is_installed_and_what_is_a_test_is_not_searched() {
    let call = "require('nowhere'); require('wx-server-sdk').openapi.wxacode.get({})";
    let dir = function(&[
        ("cloudfunctions/a/index.js", "exports.main = () => 1"),
        ("cloudfunctions/a/node_modules/x/index.js", call),
        ("cloudfunctions/a/.cache/index.js", call),
        ("cloudfunctions/a/test/index.js", call),
        ("cloudfunctions/a/lib/x.test.js", call),
        ("cloudfunctions/a/lib/x.d.ts", call),
        ("cloudfunctions/a/lib/x.py", call),
    ]);
    let report = examine(&Project::open(dir.path()).unwrap());
    assert_eq!(told(dir.path(), &report), "");
}

#[test]
fn a_package_that_lies_in_the_function_s_own_folder_is_not_missing() {
    let dir = function(&[
        ("cloudfunctions/a/index.js", "require('x'); require('@y/z/part')"),
        ("cloudfunctions/a/node_modules/x/package.json", "{}"),
        ("cloudfunctions/a/node_modules/@y/z/package.json", "{}"),
    ]);
    let report = examine(&Project::open(dir.path()).unwrap());
    assert_eq!(told(dir.path(), &report), "");
}

#[test]
fn another_library_s_openapi_is_none_of_ours() {
    let dir = function(&[(
        "cloudfunctions/a/index.js",
        "app.openapi(route, handler); spec.openapi.info.load()",
    )]);
    let report = examine(&Project::open(dir.path()).unwrap());
    assert_eq!(told(dir.path(), &report), "");
}

#[test]
fn a_source_that_cannot_be_read_is_told_and_nothing_is_called_superfluous() {
    let large = " ".repeat((2 << 20) + 1);
    let dir = function(&[
        ("cloudfunctions/a/index.js", &large),
        (
            "cloudfunctions/a/config.json",
            r#"{"permissions":{"openapi":["wxacode.get"]}}"#,
        ),
    ]);
    let report = examine(&Project::open(dir.path()).unwrap());
    assert_eq!(told(dir.path(), &report), "unseen   cloudfunctions/a/index.js\n");
}

#[test]
fn a_byte_order_mark_and_line_ends_stay() {
    let dir = function(&[
        ("cloudfunctions/a/index.js", "cloud.openapi.wxacode.get()"),
        (
            "cloudfunctions/a/config.json",
            "\u{feff}{\r\n\t\"permissions\": {\r\n\t\t\"openapi\": [\r\n\t\t\t\"wxacode.gett\"\r\n\t\t]\r\n\t}\r\n}\r\n",
        ),
    ]);
    cure(&examine(&Project::open(dir.path()).unwrap())).unwrap();
    assert_eq!(
        fs::read_to_string(dir.path().join("cloudfunctions/a/config.json")).unwrap(),
        "\u{feff}{\r\n\t\"permissions\": {\r\n\t\t\"openapi\": [\r\n\t\t\t\"wxacode.get\"\r\n\t\t]\r\n\t}\r\n}\r\n",
    );
}

#[test]
fn a_lock_file_that_a_cure_puts_out_of_date_is_told() {
    let dir = function(&[
        ("cloudfunctions/a/index.js", "require('axios')"),
        ("cloudfunctions/a/package.json", "{}"),
        ("cloudfunctions/a/package-lock.json", "{}"),
    ]);
    let cured = cure(&examine(&Project::open(dir.path()).unwrap())).unwrap();
    assert!(cured[1].what.en.contains("npm install"), "{cured:?}");
}

#[test]
fn a_file_that_changed_for_the_worse_is_left_alone() {
    let dir = function(&[("cloudfunctions/a/index.js", "cloud.openapi.wxacode.get()")]);
    let report = examine(&Project::open(dir.path()).unwrap());
    let config = dir.path().join("cloudfunctions/a/config.json");
    for text in ["{ half", r#"{"permissions":[]}"#] {
        fs::write(&config, text).unwrap();
        let error = cure(&report).unwrap_err().to_string();
        assert!(
            error.contains("config.json") && error.contains("examine again"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&config).unwrap(), text);
    }
}

/// What a mend quotes, in its order.
fn quoted(mend: &str, mark: char) -> Vec<&str> {
    mend.split(mark).skip(1).step_by(2).collect()
}

/// What is wrong on the second line of a `config.json` whose `triggers` are these.
fn of_triggers(triggers: &str) -> Vec<Diagnosis> {
    let config = format!("{{\"triggers\":\n{triggers}\n}}");
    let dir = function(&[
        ("cloudfunctions/a/index.js", ""),
        ("cloudfunctions/a/config.json", &config),
    ]);
    examine(&Project::open(dir.path()).unwrap()).diagnoses
}

#[test]
fn each_cron_expression_that_is_proposed_is_taken() {
    for wrong in [
        "0 0/30 * * * ?",
        "0 0 9 * * 7 *",
        "0 0 9 * * 1-7 *",
        "0 0 9 L * ? *",
        "0 */90 * * * * *",
        "0 0 10-8 * * * *",
        "30 8 * * 1-5",
        "0 0 2 * * *",
        "@daily",
        "every day",
    ] {
        let with = |config: &str| {
            let trigger = serde_json::json!([{ "name": "t", "type": "timer", "config": config }]);
            of_triggers(&trigger.to_string())
        };
        let found = with(wrong);
        let [never_fires] = &found[..] else {
            panic!("{wrong}: {found:?}")
        };
        let proposed = quoted(&never_fires.mend.en, '"');
        assert!(!proposed.is_empty(), "{never_fires}");
        for proposed in proposed {
            let found = with(proposed);
            assert!(found.is_empty(), "{wrong}: {proposed}: {found:?}");
        }
    }
}

#[test]
fn each_form_of_a_trigger_that_is_proposed_is_taken() {
    let daily = r#""name": "daily""#;
    let timer = r#""type": "timer""#;
    let at_two = r#""config": "0 0 2 1 * * *""#;
    let all = |members: [&str; 3]| format!("[{{{}}}]", members.join(","));
    for (wrong, mended) in [
        ("{}".to_owned(), None),
        ("[1]".to_owned(), None),
        (format!("[{{{daily},{at_two}}}]"), Some(timer)),
        (all([daily, at_two, r#""type": "cos""#]), Some("\"timer\"")),
        (format!("[{{{timer},{at_two}}}]"), Some(daily)),
        (format!("[{{{timer},{daily}}}]"), Some(at_two)),
    ] {
        let found = of_triggers(&wrong);
        let [fault] = &found[..] else {
            panic!("{wrong}: {found:?}")
        };
        // A member is proposed as it is to be written, or the whole as an example.
        let right = match mended {
            Some(mended) => {
                assert!(fault.mend.en.contains(mended), "{fault}");
                all([daily, timer, at_two])
            }
            None => {
                let example = fault.mend.en.split_once("write it as ").unwrap().1;
                let example = if example.starts_with('[') {
                    example.to_owned()
                } else {
                    format!("[{example}]")
                };
                example.replace('…', "daily")
            }
        };
        let found = of_triggers(&right);
        assert!(found.is_empty(), "{wrong}: {right}: {found:?}");
    }
}

#[test]
fn each_form_of_a_permission_that_is_proposed_is_taken() {
    let with = |permissions: &str| {
        let config = format!("{{\"permissions\": {permissions}}}");
        let dir = function(&[
            (
                "cloudfunctions/a/index.js",
                "require('wx-server-sdk').openapi.subscribeMessage.send({})",
            ),
            ("cloudfunctions/a/config.json", &config),
            (
                "cloudfunctions/a/package.json",
                r#"{"dependencies":{"wx-server-sdk":"4.0.2"}}"#,
            ),
        ]);
        examine(&Project::open(dir.path()).unwrap()).diagnoses
    };
    for (wrong, around) in [
        ("[]", ["", ""]),
        ("\"x\"", ["", ""]),
        (r#"{"openapi": "subscribeMessage.send"}"#, ["{\"openapi\": ", "}"]),
        (
            r#"{"openapi": {"subscribeMessage.send": true}}"#,
            ["{\"openapi\": ", "}"],
        ),
    ] {
        let found = with(wrong);
        let fault = found
            .iter()
            .find(|fault| fault.mend.en.contains("write it as "))
            .unwrap();
        let form = fault.mend.en.split_once("write it as ").unwrap().1;
        let form = form.replace(", …", "").replace('…', "subscribeMessage.send");
        let right = format!("{}{form}{}", around[0], around[1]);
        assert_eq!(with(&right).len(), 0, "{wrong}: {right}: {:?}", with(&right));
    }
    // The name in double quotes, where something else stands.
    let found = with(r#"{"openapi": [7]}"#);
    assert!(
        found
            .iter()
            .any(|fault| fault.mend.en.contains("in double quotes")),
        "{found:?}"
    );
    // What a call without permission is told to add, added where it says.
    let found = with(r#"{"openapi": []}"#);
    let [found] = &found[..] else { panic!("{found:?}") };
    let name = quoted(&found.mend.en, '"')[0];
    assert!(
        found.mend.en.ends_with("to permissions.openapi in config.json"),
        "{found}"
    );
    assert_eq!(with(&format!("{{\"openapi\": [\"{name}\"]}}")).len(), 0);
}

#[test]
fn each_name_that_is_proposed_for_a_permission_is_taken() {
    let with = |name: &str| {
        let config = serde_json::json!({ "permissions": { "openapi": [name] } }).to_string();
        let source = format!("require('wx-server-sdk').openapi.{name}({{}})");
        let dir = function(&[
            ("cloudfunctions/a/index.js", &source),
            ("cloudfunctions/a/config.json", &config),
            (
                "cloudfunctions/a/package.json",
                r#"{"dependencies":{"wx-server-sdk":"4.0.2"}}"#,
            ),
        ]);
        examine(&Project::open(dir.path()).unwrap()).diagnoses
    };
    for wrong in [
        "subscribMessage.send",
        "subscribeMessage.sent",
        "security.msgSecChek",
        "wxacode.getUnlimit",
        "phonenumber.getPhoneNumberk",
    ] {
        let found = with(wrong);
        assert!(!found.is_empty(), "{wrong}");
        for diagnosis in found {
            let [near] = quoted(&diagnosis.mend.en, '`')[..] else {
                panic!("{diagnosis}")
            };
            let found = with(near);
            assert!(found.is_empty(), "{wrong}: {near}: {found:?}");
        }
    }
}

#[test]
fn what_has_no_effect_is_told_as_that_and_not_as_absent() {
    let sdk = "const cloud = require('wx-server-sdk'); cloud.openapi.security.msgSecCheck({})";
    let dir = function(&[
        ("cloudfunctions/a/index.js", sdk),
        (
            "cloudfunctions/a/config.json",
            "{\n\"permissions\": { \"openapi\": \"security.msgSecCheck\" },\n\"timeout\": 20\n}",
        ),
        (
            "cloudfunctions/a/package.json",
            r#"{"dependencies":{"wx-server-sdk":"4.0.2"}}"#,
        ),
    ]);
    let report = examine(&Project::open(dir.path()).unwrap());
    assert_eq!(
        told(dir.path(), &report),
        "         cloudfunctions/a/config.json:2: `permissions.openapi` is no array, so nothing is permitted — write it as \
         [\"subscribeMessage.send\", …]\n         \
         cloudfunctions/a/config.json:3: `timeout` has no effect: the platform does not read it from config.json — set it in the \
         console, and for here as `timeout` below [functions.NAME] in yunqiao.toml, or in cloudbaserc.json\n"
    );
}

#[test]
fn what_a_package_inside_requires_is_its_own_affair() {
    let dir = function(&[
        (
            "cloudfunctions/a/index.js",
            "require('./vendor'); require('./esm/x.mjs'); exports.main = () => 1",
        ),
        ("cloudfunctions/a/package.json", "{}"),
        (
            "cloudfunctions/a/vendor/index.js",
            "require('left-pad'); require('react'); require('undeclared')",
        ),
        (
            "cloudfunctions/a/vendor/package.json",
            r#"{"name":"vendor","dependencies":{"left-pad":"1","react":"18"}}"#,
        ),
        ("cloudfunctions/a/vendor/deep/x.js", "require('undeclared-too')"),
        // No package: it only says what its files are.
        ("cloudfunctions/a/esm/x.mjs", "import 'dayjs'"),
        ("cloudfunctions/a/esm/package.json", r#"{"type":"module"}"#),
    ]);
    let report = examine(&Project::open(dir.path()).unwrap());
    assert_eq!(
        told(dir.path(), &report),
        "curable  cloudfunctions/a/esm/x.mjs:1: it requires `dayjs`, which is not in package.json — add \"dayjs\": \"^1.11.0\" to \
         dependencies\n"
    );
}

#[test]
fn what_a_package_inside_calls_is_called_by_the_function() {
    let dir = function(&[
        ("cloudfunctions/a/index.js", "require('./vendor')"),
        (
            "cloudfunctions/a/vendor/index.js",
            "require('wx-server-sdk').openapi.wxacode.get({})",
        ),
        ("cloudfunctions/a/vendor/package.json", r#"{"name":"vendor"}"#),
        (
            "cloudfunctions/a/config.json",
            r#"{"permissions":{"openapi":["wxacode.get"]}}"#,
        ),
    ]);
    let report = examine(&Project::open(dir.path()).unwrap());
    assert_eq!(told(dir.path(), &report), "");
}

#[test]
fn what_is_required_by_its_place_is_the_function_s_wherever_it_lies() {
    let dir = function(&[
        ("cloudfunctions/a/index.js", "require('../common/send')"),
        (
            "cloudfunctions/a/package.json",
            r#"{"dependencies":{"wx-server-sdk":"4.0.2"}}"#,
        ),
        (
            "cloudfunctions/a/config.json",
            r#"{"permissions":{"openapi":["wxacode.get"]}}"#,
        ),
        // Of these the function loads two; each leads to the other.
        (
            "cloudfunctions/common/send.js",
            "const cloud = require('wx-server-sdk'); require('./helper'); cloud.openapi.wxacode.get({})",
        ),
        (
            "cloudfunctions/common/helper/index.js",
            "require('../send'); require('lodash'); cloud.openapi.security.msgSecCheck({})",
        ),
        ("cloudfunctions/common/other.js", "require('axios')"),
    ]);
    let report = examine(&Project::open(dir.path()).unwrap());
    let root = dir.path().canonicalize().unwrap();
    let told = told(&root, &report).replace(&format!("{}/", dir.path().display()), "");
    assert_eq!(
        told,
        "curable  cloudfunctions/common/helper/index.js:1: it calls `security.msgSecCheck`, which is not permitted: it is answered with \
         -604101 — add \"security.msgSecCheck\" to permissions.openapi in config.json\n\
         curable  cloudfunctions/common/helper/index.js:1: it requires `lodash`, which is not in package.json — only the platform's runtimes \
         up to Node 12.16 bring it along: add \"lodash\": \"^4.17.4\" to dependencies\n"
    );
}

#[test]
fn a_package_whose_name_was_mistyped_is_not_added() {
    let dir = function(&[
        ("cloudfunctions/a/index.js", "require('lodahs')"),
        ("cloudfunctions/a/package.json", "{}"),
    ]);
    let report = examine(&Project::open(dir.path()).unwrap());
    let [found] = &report.diagnoses[..] else {
        panic!("{report:?}")
    };
    assert_eq!(
        (found.mend.en.as_str(), found.is_curable()),
        ("did you mean `lodash`?", false)
    );
    // One that only begins like another is what it is.
    for another in ["request-ip", "lodash.get", "moment-timezone", "koa"] {
        let source = format!("require('{another}')");
        let dir = function(&[("cloudfunctions/a/index.js", &source)]);
        let report = examine(&Project::open(dir.path()).unwrap());
        assert!(report.diagnoses[0].is_curable(), "{report:?}");
    }
    // And what is proposed is taken.
    let dir = function(&[
        ("cloudfunctions/a/index.js", "require('lodash')"),
        (
            "cloudfunctions/a/package.json",
            r#"{"dependencies":{"lodash":"^4.17.4"}}"#,
        ),
    ]);
    let report = examine(&Project::open(dir.path()).unwrap());
    assert_eq!(told(dir.path(), &report), "");
}

/// What the doctor proposes for a package, written where it says, leaves nothing to say.
#[test]
fn each_line_that_is_proposed_for_a_package_is_taken() {
    for required in [
        "lodash",
        "uuid/v4",
        "wx-server-sdk",
        "axios",
        "@scope/name/part",
        "no-such-name",
    ] {
        let source = format!("require('{required}')");
        let index = ("cloudfunctions/a/index.js", source.as_str());
        let missing = function(&[index]);
        let report = examine(&Project::open(missing.path()).unwrap());
        let [found] = &report.diagnoses[..] else {
            panic!("{required}: {report:?}")
        };
        let line = found
            .mend
            .en
            .split_once("with ")
            .or(found.mend.en.split_once("add "))
            .unwrap()
            .1;
        let line = line.split(" in dependencies").next().unwrap();
        let package = format!("{{\"dependencies\":{{{line}}}}}");
        let mended = function(&[index, ("cloudfunctions/a/package.json", &package)]);
        let report = examine(&Project::open(mended.path()).unwrap());
        assert_eq!(told(mended.path(), &report), "", "{required}: {line}");
    }
}

#[test]
fn the_function_s_own_folder_is_on_node_s_search_path() {
    let source = "require('common'); require('AccessToken'); require('lib/x'); require('table.json')";
    let dir = function(&[
        ("cloudfunctions/a/index.js", source),
        ("cloudfunctions/a/package.json", "{}"),
        ("cloudfunctions/a/common/index.js", ""),
        ("cloudfunctions/a/AccessToken.js", ""),
        ("cloudfunctions/a/lib/x.js", ""),
        ("cloudfunctions/a/table.json", "[]"),
    ]);
    let report = examine(&Project::open(dir.path()).unwrap());
    assert_eq!(told(dir.path(), &report), "");

    // Not for the modules of the standard.
    let dir = function(&[
        ("cloudfunctions/a/index.mjs", "import common from 'common'"),
        ("cloudfunctions/a/common.js", ""),
    ]);
    let report = examine(&Project::open(dir.path()).unwrap());
    let told = told(dir.path(), &report);
    assert!(
        told.contains("it imports `common`") && told.contains("`./common`"),
        "{told}"
    );
    assert!(cure(&report).unwrap().is_empty());
}

#[test]
fn a_cure_keeps_links_and_modes_and_leaves_nothing_behind() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    let dir = function(&[
        ("cloudfunctions/a/index.js", "cloud.openapi.wxacode.get()"),
        ("shared.json", "{}"),
    ]);
    let (shared, folder) = (
        dir.path().join("shared.json"),
        dir.path().join("cloudfunctions/a"),
    );
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o640)).unwrap();
    symlink(&shared, folder.join("config.json")).unwrap();
    cure(&examine(&Project::open(dir.path()).unwrap())).unwrap();
    assert!(folder.join("config.json").is_symlink());
    assert!(fs::read_to_string(&shared).unwrap().contains("wxacode.get"));
    assert_eq!(fs::metadata(&shared).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(tree(&folder).len(), 2, "{:?}", tree(&folder));
}

/// A project with one function, and this in its yunqiao.toml.
fn with_database(source: &str, settings: &str) -> tempfile::TempDir {
    let source = format!("const cloud = require('wx-server-sdk')\n{source}");
    function(&[
        ("cloudfunctions/a/index.js", &source),
        (
            "cloudfunctions/a/package.json",
            r#"{"dependencies":{"wx-server-sdk":"4.0.2"}}"#,
        ),
        ("yunqiao.toml", settings),
    ])
}

fn hints(source: &str, settings: &str) -> Vec<String> {
    let dir = with_database(source, settings);
    let report = examine(&Project::open(dir.path()).unwrap());
    assert!(report.diagnoses.is_empty(), "{}", told(dir.path(), &report));
    report
        .hints
        .iter()
        .map(|hint| format!("{}|{}", hint.what, hint.mend))
        .collect()
}

#[test]
fn each_index_that_is_proposed_is_taken_and_serves() {
    for (query, index) in [
        (
            "where({ status: 'open' }).orderBy('at', 'desc')",
            "[\"status\", \"-at\"]",
        ),
        (
            "where({ 'of.city': city, n: _.gt(5) })\n  // newest first\n  .orderBy(`at`, 'asc')\n  .limit(20)",
            "[\"of.city\", \"at\", \"n\"]",
        ),
        (
            "where({ a: { b: 1, c: { d } } }).orderBy('e', 'desc').orderBy('f', 'asc')",
            "[\"a.b\", \"a.c.d\", \"-e\", \"f\"]",
        ),
        (
            "where({ place: _.geoNear({ geometry: db.Geo.Point(1, 2) }) }).limit(3)",
            "{ fields = [\"place\"], kind = \"2dsphere\" }",
        ),
        (
            "where({ at: db.command.gte(1).and(db.command.lt(2)) }).orderBy('at', 'desc')",
            "[\"-at\"]",
        ),
    ] {
        for (name, key) in [("todos", "todos"), ("名 单", "\"名 单\"")] {
            for source in [
                format!("cloud.database().collection('{name}').{query}.get()"),
                format!("const T = '{name}'\nconst todos = db.collection(T)\ntodos.{query}.get()"),
                format!(
                    "const C = {{ T: \"{name}\" }}; const todos = () => db.collection(C.T); todos()\n.{query}.get()"
                ),
            ] {
                let found = hints(&source, "");
                let [found] = &found[..] else {
                    panic!("{source}: {found:?}")
                };
                let mend = format!("[database.collections.{key}] indexes = [{index}]");
                assert!(found.ends_with(&format!("|{mend}")), "{source}: {found}");
                let settings = mend.replacen("] ", "]\n", 1);
                assert_eq!(
                    hints(&source, &settings),
                    Vec::<String>::new(),
                    "{source}: {settings}"
                );
                let other = format!("[database.collections.{key}]\nindexes = [[\"other\"]]");
                let [added] = &hints(&source, &other)[..] else {
                    panic!("{source}")
                };
                assert!(
                    added.ends_with(&format!(
                        "add {index} to the indexes of [database.collections.{key}]"
                    )),
                    "{added}"
                );
            }
        }
    }
}

#[test]
fn what_is_found_quickly_or_not_seen_whole_has_no_hint() {
    for source in [
        "db.collection('todos').where({ status: 'open' }).get()",
        "db.collection('todos').orderBy('at', 'desc').get()",
        "db.collection('todos').where({ _openid: OPENID }).orderBy('at', 'desc').get()",
        "db.collection('todos').where({ _id: _.gt(last), done: false }).orderBy('_id', 'asc').get()",
        "db.collection('todos').where(query).orderBy('at', 'desc').get()",
        "db.collection('todos').where({ ...query, a: 1 }).orderBy('at', 'desc').get()",
        "db.collection('todos').where({ [field]: 1 }).orderBy('at', 'desc').get()",
        "db.collection('todos').where(_.or([{ a: 1 }, { b: 2 }])).orderBy('at', 'desc').get()",
        "db.collection('todos').where({ a: 1 }).orderBy(field, 'desc').get()",
        "db.collection(name).where({ a: 1 }).orderBy('at', 'desc').get()",
        "db.collection(`todos_${year}`).where({ a: 1 }).orderBy('at', 'desc').get()",
        "let n = 'todos'; n = 'other'; db.collection(n).where({ a: 1 }).orderBy('at', 'desc').get()",
        "db.collection('todos').skip((page - 1) * 20).limit(20).get()",
        "db.collection('todos').doc(id).get(); db.collection('todos').add({ data: {} })",
        "// db.collection('todos').where({ a: 1 }).orderBy('at', 'desc').get()",
        "db.collection('todos').where({ name: db.RegExp({ regexp: 'x' }) }).orderBy('at', 'desc').get()",
        "db.collection('todos').where({",
        "db.collection('todos').where({ a: 1 }).orderBy('at', 'desc').get(); require('mongodb')",
    ] {
        let dir = with_database(source, "");
        let report = examine(&Project::open(dir.path()).unwrap());
        assert!(report.hints.is_empty(), "{}", told(dir.path(), &report));
    }
}

#[test]
fn paging_by_skip_in_a_loop_is_told() {
    let loops = "for (let i = 0; i < times; i++) {\n  tasks.push(db.collection('todos').skip(i * MAX).limit(MAX).get())\n}";
    let [found] = &hints(loops, "")[..] else { panic!() };
    assert!(found.contains("it pages through \"todos\" by `skip`"), "{found}");
    let while_loop = "const todos = db.collection('todos'); while (true) { if (more) { await todos.skip(100 * page++).get() } }";
    assert_eq!(hints(while_loop, "").len(), 1);
}

#[test]
fn collections_that_nothing_makes_are_told_where_they_would_be_missed() {
    let source = "db.collection('todos').add({}); db.collection('todoz').get(); db.collection('made').get(); db.createCollection('made')";
    assert_eq!(hints(source, ""), Vec::<String>::new());
    let refuse = "[database]\nmissing = \"refuse\"\n[database.collections.todos]\n";
    let [found] = &hints(source, refuse)[..] else {
        panic!("{:?}", hints(source, refuse))
    };
    assert!(
        found.contains("\"todoz\"") && found.contains("did you mean \"todos\"?"),
        "{found}"
    );
    // Names that are computed: each text of the function may be one.
    let source = "const all = ['todos', 'users']; for (const one of all) db.createCollection(one); db.collection('users').get(); \
                  db.collection('others').get()";
    let [found] = &hints(source, refuse)[..] else {
        panic!("{:?}", hints(source, refuse))
    };
    assert!(found.contains("\"others\""), "{found}");
    let source = "db.collection('users').get(); const names = ['users']";
    assert_eq!(hints(source, refuse).len(), 1, "a text alone makes nothing");
}

#[test]
fn a_function_makes_the_collections_that_it_names_and_may_make_others_where_it_computes_names() {
    let makes = |source: &str, name: &str| {
        let dir = with_database(source, "");
        makes_collection(&dir.path().join("cloudfunctions/a"), name)
    };
    let locks = "const ALL = { meters: 'meters', locks: 'job_locks' }; db.collection(ALL.meters).get(); db.createCollection(ALL.locks)";
    assert!(makes(locks, "job_locks"));
    assert!(!makes(locks, "meters"), "the console has made that one");
    assert!(makes("db.createCollection(event.name)", "meters"));
    assert!(!makes("db.collection('meters').get()", "meters"));
}

#[test]
fn what_is_proposed_for_a_collection_is_taken_and_enough() {
    let source = "db.collection('todos').add({}); db.collection('todoz').get()";
    let refuse = "[database]\nmissing = \"refuse\"\n[database.collections.todos]\n";
    let [found] = &hints(source, refuse)[..] else {
        panic!("{:?}", hints(source, refuse))
    };
    let head = "[database.collections.todoz]";
    assert!(found.contains(head), "{found}");
    assert_eq!(hints(source, &format!("{refuse}{head}\n")), Vec::<String>::new());
}

#[test]
fn collections_that_pages_read_as_everybody_s_are_told_until_a_file_says_who_may() {
    let page = "const db = wx.cloud.database(); const NAME = 'posts'; const of = db.collection('news')\n\
        db.collection(NAME).where({ open: true }).orderBy('at', 'desc').get()\n\
        of.aggregate().match({ a: 1 }).end(); db.collection('watched').where(this.query).watch({})\n\
        db.collection('mine').where({ _openid: this.data.openid }).get(); db.collection('one').doc(id).get()\n\
        db.collection('added').add({ data: {} }); db.collection('said').count()\n";
    let settings = "[database.collections.said]\npermission = \"PRIVATE\"\n";
    let found = |settings: &str| {
        let dir = function(&[
            ("pages/index.js", page),
            ("miniprogram_npm/x/index.js", "db.collection('installed').get()"),
            ("cloudfunctions/a/index.js", "db.collection('function_s').get()"),
            ("yunqiao.toml", settings),
        ]);
        let found = unwritten_permissions(&Project::open(dir.path()).unwrap());
        let found = found.into_iter().map(|found| (found.collection, found.line));
        found.collect::<Vec<_>>()
    };
    let all = [("news", 3), ("posts", 2), ("watched", 3)];
    assert_eq!(found(settings), all.map(|(name, line)| (name.to_owned(), line)));
    let open = "[database]\ndefault_permission = \"READONLY\"\n";
    assert!(found(open).is_empty());
}
