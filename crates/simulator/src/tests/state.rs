//! The state file: what it keeps from one start to the next, and what it refuses.

use std::fs;

use axum::http::Method;
use serde_json::{Value, json};

use super::Sim;
use crate::{Declared, DeclaredPart, DeclaredSubscription, NewTemplate, UserChange};

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

    drop(sim);
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
    drop(again);
    let last = Sim::kept(&file).unwrap();
    assert_eq!(
        all(&last, "/sim/templates").await["templates"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(last.api(SEND, message("once")).await.errcode(), 43101);
    let mut left: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["state.json", "state.json.lock"], "nothing half-written");
}

#[tokio::test]
async fn the_outbox_and_its_images_outlive_the_simulator() {
    let folder = tempfile::tempdir().unwrap();
    let (file, outbox) = (
        folder.path().join("state.json"),
        folder.path().join("outbox.jsonl"),
    );
    let kept = || Sim::kept_with(&file, Some(&outbox)).unwrap();
    let items = async |sim: &Sim| sim.sim(Method::GET, "/sim/outbox", Value::Null).await.json();

    let sim = kept();
    assert_eq!(
        sim.api("/wxa/getwxacode", json!({ "path": "pages/index" }))
            .await
            .status,
        200
    );
    sim.api(
        "/cgi-bin/message/custom/business/typing",
        json!({ "touser": "oA", "command": "Typing" }),
    )
    .await;
    let before = items(&sim).await;
    assert_eq!(before["items"].as_array().unwrap().len(), 2, "{before}");
    let image = sim
        .sim(Method::GET, "/sim/outbox/images/1", Value::Null)
        .await
        .bytes;
    assert!(image.starts_with(b"\x89PNG"));
    drop(sim);

    // Its writer was killed in the middle of a line, or of a character in it; or a disk without power has left zeros.
    let whole = fs::read(&outbox).unwrap();
    let line = "{\"api\":\"有".as_bytes();
    let tails = [
        &line[..line.len() - 3],
        &line[..line.len() - 2],
        &line[..line.len() - 1],
        line,
        b"\0\0\0",
        b"{\"api\":\"\0\0",
    ];
    for tail in tails {
        fs::write(&outbox, [&whole, tail].concat()).unwrap();
        assert_eq!(items(&kept()).await, before, "{tail:?}");
    }
    let again = kept();
    let path = "/sim/outbox/images/1";
    assert_eq!(again.sim(Method::GET, path, Value::Null).await.bytes, image);
    again
        .api(
            "/cgi-bin/message/custom/business/typing",
            json!({ "touser": "oB", "command": "Typing" }),
        )
        .await;
    let three = items(&again).await;
    assert_eq!(three["items"].as_array().unwrap().len(), 3);
    drop(again);
    let third = kept();
    assert_eq!(items(&third).await, three);
    third.sim(Method::DELETE, "/sim/outbox", Value::Null).await;
    drop(third);
    assert_eq!(items(&kept()).await["items"], json!([]));

    let good = fs::read_to_string(&outbox).unwrap();
    for (text, why) in [
        (format!("{good}{{}}\n"), "outbox.jsonl:2"),
        (good.replace('1', "99"), "later yunqiao (version 99"),
    ] {
        fs::write(&outbox, &text).unwrap();
        let error = Sim::kept_with(&file, Some(&outbox)).err().unwrap().to_string();
        assert!(error.contains(why), "{error}");
        assert_eq!(fs::read_to_string(&outbox).unwrap(), text);
    }
}

#[tokio::test]
async fn a_file_belongs_to_one_simulator_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.json");
    let first = Sim::kept(&file).unwrap();
    let error = Sim::kept(&file).err().unwrap().to_string();
    assert!(error.contains("open in another process"), "{error}");
    drop(first);
    Sim::kept(&file).unwrap();
}

fn declared() -> Declared {
    let user = |text: &str| serde_json::from_str::<UserChange>(text).unwrap();
    Declared {
        users: vec![user(
            r#"{"name":"carol","phone":"13800138000","profile":{"nickName":"卡罗"}}"#,
        )],
        templates: vec![NewTemplate {
            pri_tmpl_id: Some("paid".to_owned()),
            content: "{{thing1.DATA}}".to_owned(),
            ..NewTemplate::default()
        }],
        subscriptions: vec![DeclaredSubscription {
            user: "carol".to_owned(),
            template: "paid".to_owned(),
            left: 2,
        }],
    }
}

#[tokio::test]
async fn what_is_declared_is_as_declared_at_each_start_and_the_rest_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.json");
    let sim = Sim::kept(&file).unwrap();
    sim.simulator.declare(&declared()).unwrap();
    let users = sim.sim(Method::GET, "/sim/users", Value::Null).await.json();
    let carol = users["users"][2].clone();
    assert_eq!(carol["profile"]["nickName"], "卡罗");
    let changed = json!({ "name": "carol", "phone": "1", "steps": [7], "profile": { "city": "广州" } });
    assert_eq!(sim.sim(Method::POST, "/sim/users", changed).await.status, 400);
    let changed =
        json!({ "name": "carol", "phone": "12066600009", "steps": [7], "profile": { "city": "广州" } });
    sim.sim(Method::POST, "/sim/users", changed).await;
    sim.sim(Method::POST, "/sim/users", json!({ "name": "dave" }))
        .await;
    sim.sim(Method::POST, "/sim/templates", json!({ "priTmplId": "byhand" }))
        .await;
    let message =
        json!({ "touser": carol["openid"], "template_id": "paid", "data": { "thing1": { "value": "x" } } });
    for _ in 0..2 {
        assert_eq!(sim.api(SEND, message.clone()).await.errcode(), 0);
    }
    assert_eq!(sim.api(SEND, message.clone()).await.errcode(), 43101);
    drop(sim);

    let again = Sim::kept(&file).unwrap();
    again.simulator.declare(&declared()).unwrap();
    let users = again.sim(Method::GET, "/sim/users", Value::Null).await.json();
    let (carol, dave) = (&users["users"][2], &users["users"][3]);
    assert_eq!(
        (carol["phone"].as_str(), dave["name"].as_str()),
        (Some("13800138000"), Some("dave"))
    );
    assert_eq!(
        (&carol["profile"]["city"], &carol["steps"][30]),
        (&json!("广州"), &json!(7))
    );
    let templates = again.sim(Method::GET, "/sim/templates", Value::Null).await.json();
    assert_eq!(templates["templates"].as_array().unwrap().len(), 2);
    // Those who subscribed by hand stay so; those who were declared may be written to again.
    for errcode in [0, 0, 43101] {
        assert_eq!(again.api(SEND, message.clone()).await.errcode(), errcode);
    }
}

#[tokio::test]
async fn what_cannot_be_declared_is_told_part_by_part() {
    let sim = Sim::new();
    let mut wrong = declared();
    wrong.users[0].phone = Some("x".to_owned());
    wrong.templates[0].kind = Some(7);
    wrong.subscriptions[0].user = "nobody".to_owned();
    let faults = sim.simulator.declare(&wrong).unwrap_err();
    let parts: Vec<_> = faults.iter().map(|fault| fault.part).collect();
    use DeclaredPart::{Subscription, Template, User};
    assert_eq!(parts, [User(0), Template(0), Subscription(0)]);
    assert!(faults[2].why.en.contains("[sim.users.nobody]"), "{faults:?}");
    let users = sim.sim(Method::GET, "/sim/users", Value::Null).await.json();
    assert_eq!(users["users"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_file_that_cannot_be_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.json");
    let sim = Sim::kept(&file).unwrap();
    sim.get("/wxa/none").await;
    let good: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    drop(sim);
    let mut unversioned = good.clone();
    unversioned.as_object_mut().unwrap().remove("version");
    fs::write(&file, unversioned.to_string()).unwrap();
    Sim::kept(&file).unwrap();
    let but = |change: &dyn Fn(&mut Value)| {
        let mut changed = good.clone();
        change(&mut changed);
        changed.to_string()
    };
    for (text, why) in [
        ("{".to_owned(), "not what was written"),
        (but(&|kept| kept["extra"] = json!(1)), "unknown field `extra`"),
        (
            but(&|kept| {
                kept["version"] = json!(9);
                kept["extra"] = json!(1);
            }),
            "later yunqiao (version 9",
        ),
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

#[tokio::test]
async fn a_state_goes_from_one_simulator_to_another_without_secrets_and_whole_or_not_at_all() {
    let sim = Sim::new();
    sim.sim(Method::POST, "/sim/users", json!({ "name": "carol" }))
        .await;
    sim.sim(Method::POST, "/sim/templates", json!({ "priTmplId": "once" }))
        .await;
    sim.client(json!({ "user": "carol", "api": "requestSubscribeMessage", "tmplIds": ["once"] }))
        .await;
    sim.sim(Method::POST, "/sim/clock", json!({ "advance": 301 }))
        .await;
    sim.api("/wxa/getwxacode", json!({ "path": "pages/index" })).await;
    let typing = json!({ "touser": "oA", "command": "Typing", "session_key": "tiihtNczf5v6AKRyjwEUhQ==", "data": [{
        "sessionKey": "tiihtNczf5v6AKRyjwEUhQ==", "component_access_token": "tiihtNczf5v6AKRyjwEUhQ", "thing1": { "value": "书" },
    }] });
    sim.api("/cgi-bin/message/custom/business/typing", typing).await;
    sim.client(json!({ "user": "carol", "api": "login" })).await;
    let state = sim.sim(Method::GET, "/sim/state", Value::Null).await.json();
    assert_eq!(state["clockAhead"], 301);
    assert_eq!(state["outbox"][1]["body"]["session_key"], "…");
    let data = json!([{ "sessionKey": "…", "component_access_token": "…", "thing1": { "value": "书" } }]);
    assert_eq!(state["outbox"][1]["body"]["data"], data);
    assert!(!state.to_string().contains("tiihtNczf5v6AKRyjwEUhQ"));

    let other = Sim::new();
    other
        .sim(Method::POST, "/sim/users", json!({ "name": "dave" }))
        .await;
    let before = other.sim(Method::GET, "/sim/state", Value::Null).await.json();
    let mut wrong = state.clone();
    wrong["subscriptions"][0]["priTmplId"] = json!("none");
    let refused = other.sim(Method::POST, "/sim/state", wrong).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.text.contains("no such template"), "{refused:?}");
    assert_eq!(
        other.sim(Method::GET, "/sim/state", Value::Null).await.json(),
        before
    );

    assert_eq!(
        other.sim(Method::POST, "/sim/state", state.clone()).await.status,
        200
    );
    assert_eq!(
        other.sim(Method::GET, "/sim/state", Value::Null).await.json(),
        state
    );
    let image = "/sim/outbox/images/1";
    assert_eq!(
        other.sim(Method::GET, image, Value::Null).await.bytes,
        sim.sim(Method::GET, image, Value::Null).await.bytes
    );
}
