//! The main job: a client sends a cloudID, the function receives what it stands for.

use serde_json::json;

use crate::support::{APPID, Dev, Scratch, quickstart, run, text, yunqiao};

const ECHO: &str = "exports.main = async (event) => event";

/// The README's own example: every line that it prints was asserted in the script.
#[test]
fn the_quickstart_does_its_main_job() {
    let script = quickstart().join("test/main-job.mjs");
    let (output, out, err) = run(yunqiao()
        .arg("exec")
        .arg(quickstart())
        .args(["--", "node"])
        .arg(script));
    assert!(output.status.success(), "{out}{err}");
    assert!(out.lines().count() >= 6, "{out}");
}

#[test]
fn exec_exits_with_the_commands_status_and_passes_its_streams_and_environment() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let script = "test -n \"$YUNQIAO_URL\" && test -n \"$YUNQIAO_WECHAT_URL\" && echo \"$GREETING\"; exit 7";
    let (output, out, _) = run(yunqiao()
        .arg("exec")
        .arg(project.path())
        .args(["--", "sh", "-c", script])
        .env("GREETING", "你好"));
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(out, "你好\n");
}

#[tokio::test]
async fn a_cloud_id_becomes_what_it_stands_for() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let id = text(&dev.wx("alice", "getWeRunData").await["cloudID"]);
    assert_eq!(id.len(), 62);

    let event = alice
        .result(
            "echo",
            json!({"weRunData": id, "obj": {"shareInfo": id}}),
            &["weRunData"],
        )
        .await;
    assert_eq!(event["weRunData"]["cloudID"], json!(id));
    assert_eq!(
        event["weRunData"]["data"]["stepInfoList"]
            .as_array()
            .unwrap()
            .len(),
        31
    );
    assert_eq!(event["weRunData"]["data"]["watermark"]["appid"], APPID);
    assert_eq!(event["obj"]["shareInfo"], json!(id));
    assert_eq!(event["userInfo"], json!({"appId": APPID, "openId": alice.openid}));
    assert_eq!(event["tcbContext"], json!({}));

    // The same id in two fields fills both; a string that was not marked stays one.
    let event = alice
        .result("echo", json!({"a": id, "b": id, "c": id}), &["a", "b"])
        .await;
    assert_eq!(event["a"], event["b"]);
    assert!(event["a"]["data"]["stepInfoList"].is_array());
    assert_eq!(event["c"], json!(id));

    let bob = dev.login("bob").await;
    let refused = |code: i64, text: &str| json!({"cloudID": id, "errCode": code, "errMsg": text});
    let event = bob.result("echo", json!({"f": id}), &["f"]).await;
    assert_eq!(event["f"], refused(-601007, "cloudID not belong to user."));
    let event = bob
        .result("echo", json!({"f": "nonsense", "g": ""}), &["f", "g"])
        .await;
    assert_eq!(
        event["f"],
        json!({"cloudID": "nonsense", "errCode": -601005, "errMsg": "invalid cloudID."})
    );
    assert_eq!(
        event["g"],
        json!({"cloudID": "", "errCode": -601005, "errMsg": "invalid cloudID."})
    );

    dev.sim("clock", json!({"advance": 301})).await;
    let event = alice.result("echo", json!({"f": id}), &["f"]).await;
    assert_eq!(event["f"], refused(-601006, "cloudID expired."));
}

#[tokio::test]
async fn five_are_replaced_and_the_sixth_stays_with_a_warning() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let id = text(&dev.wx("alice", "getWeRunData").await["cloudID"]);
    let body = json!({"data": {"a": id, "b": id, "c": id, "d": id, "e": id, "f": id}, "cloudIDs": ["f", "e", "d", "c", "b", "a"]});
    let (status, reply) = alice.call_raw("echo", body.to_string()).await;
    assert_eq!(status, 200);
    for field in ["a", "b", "c", "d", "e"] {
        assert!(
            reply["result"][field]["data"]["stepInfoList"].is_array(),
            "{field}"
        );
    }
    assert_eq!(reply["result"]["f"], json!(id));
    let warnings = reply["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0]["field"], "f");
}

#[tokio::test]
async fn what_the_client_wrote_arrives_as_it_was_written() {
    let project = Scratch::new(&[
        ("keys", "exports.main = (event) => Object.keys(event).join()"),
        ("echo", ECHO),
    ]);
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let (_, reply) = alice
        .call_raw("keys", r#"{"data":{"z":1,"a":2,"\u006d":3}}"#)
        .await;
    assert_eq!(reply["result"], "z,a,m,userInfo,tcbContext");
    let event = alice.result("echo", json!({"text": "中\u{0}😀"}), &[]).await;
    assert_eq!(event["text"], "中\u{0}😀");
    // A profile that a client sends as `userInfo` stays; what it says in the platform's name is dropped.
    let (_, reply) = alice
        .call(
            "echo",
            json!({"userInfo": {"nickName": "甲", "openId": "forged"}, "tcbContext": {"uid": "forged"}}),
        )
        .await;
    assert_eq!(
        reply["result"]["userInfo"],
        json!({"nickName": "甲", "appId": APPID, "openId": alice.openid})
    );
    assert_eq!(reply["result"]["tcbContext"], json!({}));
    assert_eq!(reply["warnings"].as_array().map(Vec::len), Some(1), "{reply}");
    assert_eq!(reply["warnings"][0]["field"], "tcbContext");
}
