//! `js/wx`, the `wx` for tests: its own tests in real Node against the real simulator, and its types against WeChat's.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{Server, run, yunqiao};

const TYPESCRIPT: &str = "typescript@5.9.3";
const TYPINGS: &str = "miniprogram-api-typings@5.2.3";

fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../js/wx")
        .canonicalize()
        .unwrap()
}

/// What Node's test runner counted, from the last lines of its report.
fn counted(report: &str, what: &str) -> u32 {
    let mark = format!("# {what} ");
    let line = report.lines().find_map(|line| line.strip_prefix(&mark));
    let line = line.unwrap_or_else(|| panic!("no {mark:?} in {report}"));
    line.parse().unwrap()
}

#[test]
fn its_own_tests_pass_against_the_simulator() {
    let server = Server::start(yunqiao().args(["simulate", "--port", "0"]));
    let mut files: Vec<_> = fs::read_dir(package().join("test"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|file| file.to_string_lossy().ends_with(".test.js"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let mut node = Command::new("node");
        node.args(["--test", "--test-reporter=tap"])
            .arg(&file)
            .env("YUNQIAO_WECHAT_URL", &server.url);
        let (output, report, errors) = run(&mut node);
        assert!(output.status.success(), "{}: {report}{errors}", file.display());
        let tests = counted(&report, "tests");
        assert!(tests > 1, "{}: {report}", file.display());
        assert_eq!(counted(&report, "pass"), tests, "{report}");
        for undone in ["fail", "cancelled", "skipped", "todo"] {
            assert_eq!(counted(&report, undone), 0, "{report}");
        }
    }
}

#[test]
fn its_types_are_those_of_the_real_wx() {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wx-types");
    fs::create_dir_all(&tools).unwrap();
    fs::write(tools.join("package.json"), r#"{"private":true}"#).unwrap();
    let mut npm = Command::new("npm");
    npm.args([
        "install",
        "--no-audit",
        "--no-fund",
        "--prefer-offline",
        TYPESCRIPT,
        TYPINGS,
    ])
    .current_dir(&tools);
    let (output, _, errors) = run(&mut npm);
    assert!(output.status.success(), "{errors}");

    let mut compiler = Command::new("node");
    compiler
        .arg(tools.join("node_modules/typescript/bin/tsc"))
        .args([
            "--noEmit", "--strict", "--module", "node16", "--target", "es2022", "--lib", "es2022",
        ])
        .args(["--types", "miniprogram-api-typings", "--typeRoots"])
        .arg(tools.join("node_modules"))
        .arg(package().join("fixtures/types.ts"));
    let (output, report, errors) = run(&mut compiler);
    assert!(output.status.success(), "{report}{errors}");
}
