//! The database's wire front, judged by MongoDB's own drivers and by mongoose. Each script holds its checks and asserts; it is the command
//! of an `exec`, and finds the database where `exec` says it is.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
};

use serde_json::{Value, json};

use super::install;
use crate::support::{Dev, Scratch, run, yunqiao};

const ECHO: &str = "exports.main = async (event) => event";

/// Runs a script beside a project whose `[database]` has these lines; it must do all its checks.
fn passes(script: &str, settings: &str, checks: usize) {
    let project = Scratch::new(&[("echo", ECHO)]);
    // The port is another: `exec` takes free ones.
    let settings = format!("[database]\nwire = \"127.0.0.1:27017\"\n{settings}");
    project.write("yunqiao.toml", &settings);
    project.write("wire.password", "a/long:password@with%signs?");
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/strangers")
        .join(script);
    let mut command = yunqiao();
    command.arg("exec").arg(project.path()).arg("--");
    if script.ends_with(".py") {
        command.arg(install::python()).arg("-B");
    } else {
        command.arg("node").env("NODE_PATH", install::node_modules());
    }
    let (output, out, err) = run(command.arg(path));
    assert!(output.status.success(), "{script}:\n{out}{err}");
    let done = out.lines().filter(|line| line.starts_with("ok ")).count();
    assert_eq!(done, checks, "{script}:\n{out}{err}");
}

#[test]
fn pymongo_finds_what_it_relies_on() {
    passes("database_with_pymongo.py", "", 14);
}

#[test]
fn pymongo_proves_the_password() {
    passes(
        "database_with_pymongo.py",
        "wire_password_file = \"wire.password\"",
        14,
    );
}

/// The npm packages want a newer Node than functions do; on an older one they fail.
#[test]
#[ignore = "needs Node 20.19 or later"]
fn the_npm_driver_finds_what_it_relies_on() {
    passes("database_with_mongodb.js", "", 9);
    passes(
        "database_with_mongodb.js",
        "wire_password_file = \"wire.password\"",
        9,
    );
}

#[test]
#[ignore = "needs Node 20.19 or later"]
fn mongoose_keeps_its_models() {
    passes("database_with_mongoose.js", "", 3);
}

#[tokio::test]
async fn dev_says_where_it_is_and_a_web_page_is_cut_off() {
    let project = Scratch::new(&[("echo", ECHO)]);
    project.write("yunqiao.toml", "[database]\nwire = \"127.0.0.1:0\"\n");
    let dev = Dev::start(project.path());
    let said: Value =
        serde_json::from_slice(&fs::read(project.path().join(".yunqiao/run.json")).unwrap()).unwrap();
    let url = said["database"].as_str().unwrap();
    let address = url.strip_prefix("mongodb://").unwrap().split('/').next().unwrap();
    let mut page = TcpStream::connect(address).unwrap();
    page.write_all(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\n\r\n{}\r\n")
        .unwrap();
    let mut answer = Vec::new();
    // Cut off with bytes unread, a connection may end by a reset.
    let _ = page.read_to_end(&mut answer);
    assert_eq!(answer, b"");
    let alice = dev.login("alice").await;
    assert_eq!(alice.result("echo", json!({"n": 1}), &[]).await["n"], 1);
}

#[test]
fn it_is_not_opened_to_a_network_without_a_password() {
    let project = Scratch::new(&[("echo", ECHO)]);
    project.write("yunqiao.toml", "[database]\nwire = \"0.0.0.0:0\"\n");
    let (output, _, err) = run(yunqiao().arg("exec").arg(project.path()).args(["--", "true"]));
    assert!(!output.status.success());
    assert!(
        err.contains("wire_password_file") && err.contains("other machines"),
        "{err}"
    );
}
