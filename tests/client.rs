//! `js/client`, the drop-in for `wx.cloud`: its own tests against the real server, in each place where it runs.
//!
//! The scripts assert; here, that each of their tests ran, and that the command's exit status was theirs.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{quickstart, run, yunqiao};

fn client() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../js/client")
        .canonicalize()
        .unwrap()
}

/// Node with `project` behind it.
fn exec(project: &Path) -> Command {
    let mut command = yunqiao();
    command.arg("exec").arg(project).args(["--", "node"]);
    command
}

/// The number that Node's test runner gives at its end for `what`, such as `pass`.
fn count(tap: &str, what: &str) -> Option<u32> {
    tap.lines()
        .find_map(|line| line.strip_prefix("# ")?.strip_prefix(what)?.trim().parse().ok())
}

/// Has `node` run the tests of `script`: at least `tests` of them, every one of which passes.
#[track_caller]
fn passes(node: &mut Command, script: &str, tests: u32) {
    let script = client().join("test").join(script);
    let (output, out, err) = run(node.args(["--test", "--test-reporter=tap"]).arg(&script));
    assert!(output.status.success(), "{}: {out}{err}", script.display());
    let ran = count(&out, "tests").unwrap_or_default();
    assert!(ran >= tests, "{ran} tests ran, not {tests}: {out}{err}");
    assert_eq!(count(&out, "pass"), Some(ran), "{out}{err}");
    for what in ["fail", "cancelled", "skipped", "todo"] {
        assert_eq!(count(&out, what), Some(0), "{what}: {out}{err}");
    }
}

#[test]
fn it_calls_from_node() {
    passes(&mut exec(&client().join("test/opened")), "node.test.mjs", 25);
}

#[test]
fn it_calls_from_a_page_of_another_origin() {
    passes(&mut exec(&client().join("test/opened")), "browser.test.mjs", 2);
}

#[test]
fn it_calls_from_a_mini_program_without_cloud_development() {
    passes(
        &mut exec(&client().join("test/closed")),
        "mini-program.test.mjs",
        20,
    );
}

#[test]
fn it_reads_and_writes_documents_and_files() {
    passes(
        &mut exec(&client().join("test/documents")),
        "documents.test.mjs",
        15,
    );
}

#[test]
fn it_watches_documents() {
    passes(&mut exec(&client().join("test/watched")), "watch.test.mjs", 9);
}

#[test]
fn it_keeps_its_socket_for_minutes_and_over_bad_lines() {
    passes(&mut Command::new("node"), "sockets.test.mjs", 7);
}

#[test]
fn its_watches_outlive_their_server() {
    passes(
        Command::new("node").env("YUNQIAO_BIN", env!("CARGO_BIN_EXE_yunqiao")),
        "restart.test.mjs",
        1,
    );
}

/// By callbacks and by promises, two lines changed.
#[test]
fn mini_programs_as_people_write_them_run_with_it() {
    passes(&mut exec(&client().join("test/documents")), "apps.test.mjs", 3);
}

#[test]
fn the_chats_mini_program_watches_with_it_as_it_is() {
    let chat = quickstart().with_file_name("chat");
    passes(&mut exec(&chat), "chat.test.mjs", 1);
}

#[test]
fn the_quickstarts_mini_program_runs_with_it_as_it_is() {
    passes(&mut exec(&quickstart()), "quickstart.test.mjs", 3);
}

/// Size, types, and that the committed files are what the sources make.
#[test]
fn it_is_packed_small_and_typed() {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join("client-tools");
    passes(
        Command::new("node").env("CLIENT_TOOLS", tools),
        "package.test.mjs",
        8,
    );
}
