//! A saved file is served at once, and no call in flight is lost.

use std::{pin::pin, sync::Arc};

use bytes::Bytes;
use futures_util::FutureExt as _;
use gateway::ClientPermissions;
use project::Project;
use serde_json::{Value, json};
use store::Memory;

use crate::{
    console::Tab,
    sockets::Socket,
    support::{Dev, PATIENCE, Scratch, User, run, soon, yunqiao},
    two_gateways::Serving,
};

/// A function of the first version, which ends when the file is there.
const FIRST: &str = "const { existsSync } = require('fs');
exports.main = async ({ go }) => {
  console.log('begun');
  while (go && !existsSync(go)) await new Promise((done) => setTimeout(done, 5));
  return 1;
};";

#[tokio::test]
async fn a_change_is_served_and_calls_in_flight_finish() {
    let project = Scratch::new(&[("f", FIRST)]);
    let outside = tempfile::TempDir::new().unwrap();
    let go = outside.path().join("go");
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    assert_eq!(alice.call("f", json!({})).await.1["result"], 1);

    let (old, new) = tokio::join!(alice.call("f", json!({ "go": go })), async {
        let begun = || dev.server.printed().matches("│ begun").count() == 2;
        soon(begun, || dev.server.printed()).await;
        project.write("cloudfunctions/f/index.js", "exports.main = () => 2");
        dev.server.prints_soon("reloaded").await;
        let new = alice.call("f", json!({})).await;
        std::fs::write(&go, "").unwrap();
        new
    });
    assert_eq!((old.0, &old.1["result"]), (200, &json!(1)), "{}", old.1);
    assert_eq!((new.0, &new.1["result"]), (200, &json!(2)), "{}", new.1);
}

#[tokio::test]
async fn functions_come_go_and_break_without_a_restart() {
    let project = Scratch::new(&[("f", "exports.main = () => 1"), ("g", "exports.main = () => 'g'")]);
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let reloads = || dev.server.printed().matches("reloaded").count();

    project.write("cloudfunctions/h/index.js", "exports.main = () => 'new'");
    crate::support::eventually(|| reloads() >= 1, || dev.server.printed());
    assert_eq!(alice.call("h", json!({})).await.1["result"], "new");

    project.write("cloudfunctions/f/index.js", "exports.main = () => {");
    crate::support::eventually(|| reloads() >= 2, || dev.server.printed());
    let (status, reply) = alice.call("f", json!({})).await;
    assert_eq!((status, &reply["errCode"]), (500, &json!(-504002)), "{reply}");
    assert!(
        reply["errMsg"].as_str().unwrap().contains("SyntaxError"),
        "{reply}"
    );
    assert_eq!(alice.call("g", json!({})).await.1["result"], "g");

    std::fs::remove_dir_all(project.path().join("cloudfunctions/f")).unwrap();
    crate::support::eventually(|| reloads() >= 3, || dev.server.printed());
    assert_eq!(alice.call("f", json!({})).await.0, 404);

    // A project file that cannot be read stops nothing that runs.
    project.write("project.config.json", "{");
    dev.server.prints("not reloaded");
    assert_eq!(alice.call("g", json!({})).await.1["result"], "g");
}

#[tokio::test]
async fn a_project_of_which_no_function_can_run_is_served_until_it_is_mended() {
    let project = Scratch::new(&[("f", "exports.main = () => 1")]);
    project.write("cloudfunctions/f/package.json", "{ none");
    let dev = Dev::start(project.path());
    dev.server.prints("f cannot run: ");
    dev.server.prints("none of the 1 functions can run");
    let alice = dev.login("alice").await;
    let (status, reply) = alice.call("f", json!({})).await;
    assert_eq!((status, &reply["errCode"]), (500, &json!(-504002)), "{reply}");
    let page = Tab::open(&dev).await.page("/").await;
    assert!(page.contains("key must be a string"), "{page}");

    project.write("cloudfunctions/f/package.json", "{}");
    dev.server.prints_soon("reloaded: 1 function").await;
    assert_eq!(alice.call("f", json!({})).await.1["result"], 1);

    // Where nobody looks at it, there is nothing to wait for.
    project.write("cloudfunctions/f/package.json", "{ none");
    let mut exec = yunqiao();
    exec.arg("exec").arg(project.path()).args(["--", "true"]);
    let (output, _, err) = run(&mut exec);
    assert!(!output.status.success());
    assert!(err.contains("none of the 1 functions can run"), "{err}");
}

#[test]
fn what_was_said_is_not_said_again() {
    let project = Scratch::new(&[("f", "exports.main = () => 1")]);
    let permits = |names: &str| {
        let config = format!(r#"{{"permissions":{{"openapi":[{names}]}}}}"#);
        project.write("cloudfunctions/f/config.json", &config);
    };
    permits("\"no.such\"");
    let dev = Dev::start(project.path());
    dev.server.prints("no.such");
    project.write("cloudfunctions/f/index.js", "exports.main = () => 2");
    dev.server.prints("reloaded");
    permits("\"no.such\", \"no.other\"");
    dev.server.prints("no.other");
    let printed = dev.server.printed();
    assert_eq!(printed.matches("no.such").count(), 1, "{printed}");
}

#[tokio::test]
async fn what_cannot_be_parsed_is_said_when_it_is_loaded() {
    let project = Scratch::new(&[
        ("f", "require('./lib'); exports.main = () => 1"),
        ("g", "exports.main = () => 'g'"),
    ]);
    let broken = "exports.a = 1\nif (true {\n";
    project.write("cloudfunctions/f/lib.js", broken);
    let dev = Dev::start(project.path());
    dev.server.prints("lib.js:2 cannot be parsed: SyntaxError: ");
    dev.server.prints("if (true {");
    // f is not among those that can run.
    dev.server.prints("functions  g\n");

    let alice = dev.login("alice").await;
    project.write("cloudfunctions/f/lib.js", "exports.a = 1");
    dev.server.prints_soon("reloaded: 2 functions").await;
    assert_eq!(alice.call("f", json!({})).await.1["result"], 1);
    project.write("cloudfunctions/f/index.js", "exports.main = () => {");
    dev.server
        .prints_soon("index.js:1 cannot be parsed: SyntaxError: ")
        .await;
    dev.server.prints_soon("reloaded: 1 function").await;

    // The doctor too, and without running anything.
    let (output, out, err) = run(yunqiao().arg("doctor").arg(project.path()));
    assert!(!output.status.success(), "{out}{err}");
    assert!(
        out.contains("f/index.js:1: it cannot be parsed: SyntaxError: "),
        "{out}{err}"
    );

    // So it is with a file that is not there, wherever the doctor is called.
    project.write(
        "cloudfunctions/f/index.js",
        "exports.main = () => require('./Lib').a",
    );
    dev.server
        .prints_soon("index.js:1 requires './Lib', which is not there; './lib.js' is there")
        .await;
    let mut doctor = yunqiao();
    doctor.arg("doctor").current_dir(project.path());
    let (output, out, err) = run(&mut doctor);
    assert!(!output.status.success(), "{out}{err}");
    assert!(
        out.contains("cloudfunctions/f/index.js:1: it requires './Lib', which is not there"),
        "{out}{err}"
    );
}

#[tokio::test]
async fn a_function_that_lies_elsewhere_is_watched() {
    let elsewhere = tempfile::TempDir::new().unwrap();
    let far = elsewhere.path().join("far");
    std::fs::create_dir(&far).unwrap();
    std::fs::write(far.join("index.js"), "exports.main = () => 1").unwrap();
    let project = Scratch::new(&[("near", "exports.main = () => 1")]);
    let config = json!({"functions": [{"name": "far", "dir": far}]});
    project.write("cloudbaserc.json", &config.to_string());
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    assert_eq!(alice.call("far", json!({})).await.1["result"], 1);
    std::fs::write(far.join("index.js"), "exports.main = () => 'changed'").unwrap();
    dev.server.prints_soon("reloaded").await;
    assert_eq!(alice.call("far", json!({})).await.1["result"], "changed");
}

/// A call that comes after a change was noticed runs what is loaded then, and is judged by what is said there.
#[tokio::test]
async fn a_call_is_judged_by_the_rules_that_are_loaded_with_what_it_runs() {
    let project = Scratch::new(&[("f", "exports.main = () => 'before'")]);
    let before = Project::open(project.path()).unwrap();
    let serving = Serving::start(&before, Arc::new(Memory::default())).await;
    {
        let call = || {
            serving
                .gateway
                .call("f", "o-alice", None, Bytes::from_static(b"{}"))
        };
        assert_eq!(call().await.0, 200);
        project.write("cloudfunctions/f/index.js", "exports.main = () => 'after'");
        project.write("yunqiao.toml", "[functions.f]\ninvoke = false\n");
        let after = Project::open(project.path()).unwrap();
        // As whoever watches the files says.
        serving.runtime.expect_changes();
        let mut waiting = pin!(call());
        assert!(
            waiting.as_mut().now_or_never().is_none(),
            "it waits for the change"
        );
        serving.gateway.permit(&ClientPermissions::of(&after.settings));
        serving.gateway.load(&after).await;
        assert_eq!(waiting.await.0, 403);
    }
    serving.stop().await;
}

/// What clients may do is as the files of the project say by now, for those who watch as well.
#[tokio::test]
async fn what_clients_may_do_counts_as_soon_as_it_is_written() {
    let project = Scratch::new(&[("f", "exports.main = () => 1")]);
    project.write("database.rules.json", r#"{"notes": "READONLY"}"#);
    let dev = Dev::start(project.path());
    dev.server
        .prints("notes READONLY (database.rules.json); others PRIVATE");
    let (alice, bob) = (dev.login("alice").await, dev.login("bob").await);
    let asked = async |user: &User<'_>, action: &str, mut body: Value| {
        body["action"] = action.into();
        body["collectionName"] = "notes".into();
        let path = match action.starts_with("storage") {
            true => "/v1/storage",
            false => "/v1/database",
        };
        dev.post(path, Some(&user.token), body.to_string()).await.1
    };
    let note = json!({"_id": "1", "text": "of alice"}).to_string();
    let added = asked(&alice, "database.insertDocument", json!({"data": [note]})).await;
    assert_eq!(added["code"], Value::Null, "{added}");
    let count = async || {
        let counted = asked(&bob, "database.calculateDocument", json!({"query": "{}"})).await;
        counted["data"]["total"]
            .as_i64()
            .ok_or_else(|| counted["code"].clone())
    };
    assert_eq!(count().await, Ok(1));
    let mut bobs = Socket::of_token(&dev, &bob.token).await;
    let begun = bobs.watch("notes", &json!({})).await;
    assert!(begun.to_string().contains("of alice"), "{begun}");

    project.write("database.rules.json", r#"{"notes": "PRIVATE"}"#);
    dev.server
        .prints_soon("notes PRIVATE (database.rules.json)")
        .await;
    assert_eq!(count().await, Ok(0));
    let event = bobs.hear().await;
    // All that the watch had is gone: it begins anew, and the one document of that is taken away.
    let queued = [0, 1].map(|at| event["msgData"]["events"][at]["QueueType"].clone());
    assert_eq!(queued, ["init", "dequeue"], "{event}");
    assert!(!event.to_string().contains("of alice"), "{event}");
    project.write("database.rules.json", r#"{"notes": "ADMINONLY"}"#);
    dev.server
        .prints_soon("notes ADMINONLY (database.rules.json)")
        .await;
    assert_eq!(count().await, Err(json!("DATABASE_PERMISSION_DENIED")));
    let ended = bobs.hear().await;
    assert_eq!(ended["msgType"], "ERROR", "{ended}");

    // A file that is put aside takes nothing back of what it closes.
    std::fs::remove_file(project.path().join("database.rules.json")).unwrap();
    dev.server
        .prints_soon("database.rules.json is gone or empty: what it said of clients counts on")
        .await;
    assert_eq!(count().await, Err(json!("DATABASE_PERMISSION_DENIED")));
    // What another file says counts nevertheless, of the same collection and of others; and what is said nowhere else, on.
    let settings = |of_notes: &str, of_others: &str| {
        let of_notes = match of_notes {
            "" => String::new(),
            level => format!("[database.collections.notes]\npermission = \"{level}\"\n"),
        };
        let text = format!("[database]\ndefault_permission = \"{of_others}\"\n{of_notes}");
        project.write("yunqiao.toml", &text);
    };
    settings("", "ADMINONLY");
    dev.server.prints_soon("others ADMINONLY").await;
    assert_eq!(count().await, Err(json!("DATABASE_PERMISSION_DENIED")));
    settings("READONLY", "ADMINONLY");
    dev.server
        .prints_soon("notes READONLY (yunqiao.toml); others ADMINONLY")
        .await;
    assert_eq!(count().await, Ok(1));
    settings("PRIVATE", "ADMINONLY");
    dev.server
        .prints_soon("notes PRIVATE (yunqiao.toml); others ADMINONLY")
        .await;
    assert_eq!(count().await, Ok(0));
    let place = json!({"path": "a.txt"});
    let given = asked(&bob, "storage.getUploadMetadata", place.clone()).await;
    assert!(given["data"]["url"].is_string(), "{given}");
    project.write("database.rules.json", r#"{"notes": "ADMINONLY"}"#);
    project.write(
        "yunqiao.toml",
        "[database.collections.notes]\npermission = \"READONLY\"\n[storage]\npermission = \"ADMINONLY\"\n[functions.f]\ninvoke = false\n",
    );
    dev.server.prints_soon("files ADMINONLY; calls of f: false").await;
    assert_eq!(count().await, Ok(1));
    let refused = asked(&bob, "storage.getUploadMetadata", place).await;
    assert_eq!(refused["code"], "STORAGE_EXCEED_AUTHORITY", "{refused}");
    assert_eq!(alice.call("f", json!({})).await.0, 403);
}

/// What `cloudbaserc.json` said of functions counts on once it is gone; what `yunqiao.toml` said counts no longer than it stands there.
#[tokio::test]
async fn a_function_is_open_no_longer_than_a_file_says() {
    let source = "exports.main = () => 1";
    let project = Scratch::new(&[("closed", source), ("pay", source)]);
    let closes = r#"{"functions": [{"name": "closed", "aclRule": {"invoke": false}}]}"#;
    project.write("cloudbaserc.json", closes);
    project.write("yunqiao.toml", "[functions.pay]\ninvoke = true\n");
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    std::fs::remove_file(project.path().join("cloudbaserc.json")).unwrap();
    dev.server
        .prints_soon("cloudbaserc.json is gone or empty: what it said of clients counts on")
        .await;
    assert_eq!(alice.call("closed", json!({})).await.0, 403);
    assert_eq!(alice.call("pay", json!({})).await.0, 200);
    project.write("yunqiao.toml", "[functions.\"*\"]\ninvoke = false\n");
    dev.server
        .prints_soon("what clients may do has changed, and counts from now on")
        .await;
    assert_eq!(alice.call("pay", json!({})).await.0, 403);
    assert_eq!(alice.call("closed", json!({})).await.0, 403);
}

#[tokio::test]
async fn what_clients_may_do_counts_while_packages_are_installed() {
    let registry = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let project = Scratch::new(&[("f", "exports.main = () => 1")]);
    project.write("database.rules.json", r#"{"notes": "READONLY"}"#);
    let address = registry.local_addr().unwrap();
    project.write(
        "cloudfunctions/f/.npmrc",
        &format!("registry=http://{address}/\n"),
    );
    let dev = Dev::start(project.path());
    project.write(
        "cloudfunctions/f/package.json",
        r#"{"name": "f", "dependencies": {"is-never-answered": "1.0.0"}}"#,
    );
    // It is asked for the package, and answers nothing.
    let asked = tokio::time::timeout(PATIENCE, registry.accept()).await.unwrap();
    project.write("database.rules.json", r#"{"notes": "PRIVATE"}"#);
    dev.server
        .prints_soon("notes PRIVATE (database.rules.json)")
        .await;
    assert!(
        !dev.server.printed().contains("reloaded"),
        "{}",
        dev.server.printed()
    );
    drop(asked);
}
