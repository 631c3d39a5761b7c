//! The state file: what it keeps from one start to the next, and what it refuses.

use std::fs;

use axum::http::Method;
use serde_json::{Value, json};

use super::Sim;

const SEND: &str = "/cgi-bin/message/subscribe/send";

#[tokio::test]
async fn users_templates_and_subscriptions_outlive_the_simulator() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.json");
    let sim = Sim::kept(&file).unwrap();
    let carol = json!({ "name": "carol", "unionid": null, "phone": "12066600099", "profile": { "nickName": "卡罗" } });
    sim.sim(Method::POST, "/sim/users", carol).await;
    for template in [
        json!({ "priTmplId": "once" }),
        json!({ "priTmplId": "always", "type": 3 }),
    ] {
        sim.sim(Method::POST, "/sim/templates", template).await;
    }
    let ask = json!({ "user": "carol", "api": "requestSubscribeMessage", "tmplIds": ["once", "always"] });
    sim.client(ask.clone()).await;
    sim.client(ask).await;
    let all = async |sim: &Sim, path: &str| sim.sim(Method::GET, path, Value::Null).await.json();
    let users = all(&sim, "/sim/users").await;
    let templates = all(&sim, "/sim/templates").await;
    let openid = users["users"][2]["openid"].as_str().unwrap().to_owned();
    let message = |id: &str| json!({ "touser": openid, "template_id": id, "data": {} });
    assert_eq!(sim.api(SEND, message("once")).await.errcode(), 0);

    let again = Sim::kept(&file).unwrap();
    assert_eq!(all(&again, "/sim/users").await, users);
    assert_eq!(all(&again, "/sim/templates").await, templates);
    for (id, errcode) in [("once", 0), ("once", 43101), ("always", 0), ("always", 0)] {
        assert_eq!(again.api(SEND, message(id)).await.errcode(), errcode, "{id}");
    }
    assert_eq!(
        again
            .api("/wxaapi/newtmpl/deltemplate", json!({ "priTmplId": "always" }))
            .await
            .errcode(),
        0
    );
    let last = Sim::kept(&file).unwrap();
    assert_eq!(
        all(&last, "/sim/templates").await["templates"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(last.api(SEND, message("once")).await.errcode(), 43101);
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "the file alone: {left:?}");
}

#[tokio::test]
async fn a_file_that_cannot_be_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.json");
    let sim = Sim::kept(&file).unwrap();
    sim.get("/wxa/none").await;
    let good: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let but = |change: &dyn Fn(&mut Value)| {
        let mut changed = good.clone();
        change(&mut changed);
        changed.to_string()
    };
    for (text, why) in [
        ("{".to_owned(), "not what was written"),
        (but(&|kept| kept["extra"] = json!(1)), "unknown field `extra`"),
        (but(&|kept| kept["appid"] = json!("wx0")), "of the app wx0"),
        (but(&|kept| kept["users"] = json!([])), "users: there is none"),
        (
            but(&|kept| kept["users"][1]["name"] = json!("alice")),
            "alice is there twice",
        ),
        (
            but(&|kept| kept["users"][1]["openid"] = kept["users"][0]["openid"].clone()),
            "alice's",
        ),
        (but(&|kept| kept["users"][0]["phone"] = json!("x")), "phone"),
        (
            but(&|kept| kept["subscriptions"] = json!([{ "openid": "oA", "priTmplId": "none", "left": 1 }])),
            "no such template",
        ),
    ] {
        fs::write(&file, &text).unwrap();
        let error = Sim::kept(&file).err().unwrap().to_string();
        assert!(error.contains(why) && error.contains("state.json"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
    let error = Sim::kept(folder.path()).err().unwrap().to_string();
    assert!(error.contains("cannot be read"), "{error}");
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_told_and_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("none").join("state.json");
    let sim = Sim::kept(&file).unwrap();
    assert!(sim.get("/wxa/none").await.text.contains("40066"));
    assert!(sim.heard("cannot be written"));
}
