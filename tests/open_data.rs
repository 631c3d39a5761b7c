//! The traditional way: `encryptedData` and `iv` become a cloudID of ours.

use serde_json::{Value, json};

use crate::support::{APPID, Dev, Scratch, text};

const ECHO: &str = "exports.main = async (event) => event";

fn refused(answer: &(u16, Value)) -> (u16, i64) {
    (answer.0, answer.1["errCode"].as_i64().unwrap())
}

#[tokio::test]
async fn encrypted_data_is_verified_decrypted_and_handed_over() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;

    let steps = dev.wx("alice", "getWeRunData").await;
    let body = json!({"encryptedData": steps["encryptedData"], "iv": steps["iv"]});
    let (status, answer) = alice.exchange(body.clone()).await;
    assert_eq!((status, &answer["expiresIn"]), (200, &json!(300)), "{answer}");
    let id = text(&answer["cloudID"]);
    let event = alice
        .result("echo", json!({"weRunData": id}), &["weRunData"])
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

    // The same as WeChat's own id gives.
    let theirs = alice.result("echo", json!({"f": steps["cloudID"]}), &["f"]).await;
    assert_eq!(theirs["f"]["data"], event["weRunData"]["data"]);

    // Another user's, another time's, and one that was altered.
    let bob = dev.login("bob").await;
    let event = bob.result("echo", json!({"f": id}), &["f"]).await;
    assert_eq!(event["f"]["errCode"], -601007);
    let altered = format!("{}A", &id[..id.len() - 1]);
    if altered != id {
        let event = alice.result("echo", json!({"f": altered}), &["f"]).await;
        assert_eq!(event["f"]["errCode"], -601005);
    }
    dev.sim("clock", json!({"advance": 301})).await;
    let event = alice.result("echo", json!({"f": id}), &["f"]).await;
    assert_eq!(
        event["f"],
        json!({"cloudID": id, "errCode": -601006, "errMsg": "cloudID expired."})
    );
    // Its watermark is too old by now, too.
    assert_eq!(refused(&alice.exchange(body).await), (400, -41003));
    dev.server.prints("old");
}

#[tokio::test]
async fn raw_data_is_checked_against_its_signature() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let info = dev.wx("alice", "getUserInfo").await;
    let mut body = json!({"encryptedData": info["encryptedData"], "iv": info["iv"],
        "rawData": info["rawData"], "signature": info["signature"]});
    assert_eq!(alice.exchange(body.clone()).await.0, 200);

    body["rawData"] = json!(text(&body["rawData"]) + " ");
    assert_eq!(refused(&alice.exchange(body.clone()).await), (400, -41003));
    dev.server.prints("sha1(rawData + session_key)");
    body.as_object_mut().unwrap().remove("signature");
    assert_eq!(refused(&alice.exchange(body).await), (400, -501007));
}

#[tokio::test]
async fn a_rotated_session_key_is_named_as_the_cause() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let dev = Dev::start(project.path());
    dev.login("alice").await;
    let old = dev.wx("alice", "getWeRunData").await;

    let code = dev
        .sim("client", json!({"user": "alice", "api": "login", "rotate": true}))
        .await["code"]
        .take();
    let (_, answer) = dev
        .post("/v1/login", None, json!({"code": code}).to_string())
        .await;
    let token = text(&answer["token"]);
    let body = json!({"encryptedData": old["encryptedData"], "iv": old["iv"]});
    let answer = dev.post("/v1/open-data", Some(&token), body.to_string()).await;
    assert_eq!(refused(&answer), (400, -41003), "{}", answer.1);
    // The client is not told which of its failures this was; the developer is.
    assert!(
        !answer.1["errMsg"].as_str().unwrap().contains("rotated"),
        "{}",
        answer.1
    );
    dev.server.prints("was rotated by a login");

    let fresh = dev.wx("alice", "getWeRunData").await;
    let body = json!({"encryptedData": fresh["encryptedData"], "iv": fresh["iv"]});
    assert_eq!(
        dev.post("/v1/open-data", Some(&token), body.to_string()).await.0,
        200
    );
}

#[tokio::test]
async fn every_way_of_being_unreadable_looks_the_same_from_outside() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let good = dev.wx("alice", "getWeRunData").await;
    let (data, iv) = (text(&good["encryptedData"]), text(&good["iv"]));
    let cut = data[..data.len() - 24].to_owned();
    let mut texts = Vec::new();
    for damaged in [cut, "AAAA".repeat(16), data.replacen(&data[..4], "AAAA", 1)] {
        let answer = alice.exchange(json!({"encryptedData": damaged, "iv": iv})).await;
        assert_eq!(refused(&answer), (400, -41003), "{}", answer.1);
        texts.push(text(&answer.1["errMsg"]));
    }
    assert!(texts.windows(2).all(|pair| pair[0] == pair[1]), "{texts:?}");
    let answer = alice
        .exchange(json!({"encryptedData": data, "iv": "c2hvcnQ="}))
        .await;
    assert_eq!(refused(&answer), (400, -41002));
    // A `+` that a form turned into a space is recognized for what it was.
    let mut spaced = data.clone();
    spaced.replace_range(10..11, " ");
    assert_eq!(
        refused(&alice.exchange(json!({"encryptedData": spaced, "iv": iv})).await),
        (400, -41003)
    );
    dev.server.prints("+");
}
