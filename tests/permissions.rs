//! Every permission for every operation, through the real door: the four levels, and the rules of the official documents.

use serde_json::{Value, json};

use crate::support::{Dev, Scratch, User};

/// A collection with the documents `own`, which its rule lets alice through to, and `other`, which it does not.
struct Example {
    collection: &'static str,
    /// One of the official documents. Where it has `auth.uid`, `auth.openid` stands here: a Mini Program's user has no uid.
    rule: &'static str,
    own: Value,
    other: Value,
    /// A query within the rule.
    within: Value,
    /// Queries that are not, though some find nothing but `own`.
    outside: Vec<Value>,
    /// Whether alice may not add what `other` is: a rule about `_openid` does not refuse it, since what she adds is hers.
    other_is_not_added: bool,
}

/// Where `alice` stands in a document or query, her openid comes.
fn examples() -> Vec<Example> {
    const LATE: i64 = 9_000_000_000_000;
    let example = |collection, rule, own, other, within, outside: &[Value]| Example {
        collection,
        rule,
        own,
        other,
        within,
        outside: outside.to_vec(),
        other_is_not_added: true,
    };
    vec![
        Example {
            other_is_not_added: false,
            ..example(
                "owner",
                "doc._openid == auth.openid",
                json!({"_openid": "alice", "n": 1}),
                json!({"_openid": "bob", "n": 2}),
                json!({"_openid": "{openid}"}),
                &[json!({}), json!({"n": 1}), json!({"_openid": {"$ne": "bob"}})],
            )
        },
        example(
            "published",
            "doc.published == true || doc.author == auth.openid",
            json!({"published": true}),
            json!({"published": false, "author": "bob"}),
            json!({"$or": [{"published": true}, {"author": "{openid}"}]}),
            &[
                json!({}),
                json!({"published": {"$ne": false}}),
                json!({"author": "bob"}),
            ],
        ),
        example(
            "shared",
            "auth.openid in doc.readers || auth.openid in doc.editors || doc.owner == auth.openid",
            json!({"readers": ["alice", "bob"]}),
            json!({"readers": ["bob"], "owner": "bob"}),
            json!({"readers": "{openid}"}),
            &[
                json!({}),
                json!({"readers": "bob"}),
                json!({"readers": {"$size": 2}}),
            ],
        ),
        example(
            "timed",
            "now >= doc.startTime && now <= doc.endTime",
            json!({"startTime": 0, "endTime": LATE}),
            json!({"startTime": LATE, "endTime": LATE}),
            json!({"startTime": {"$lte": 1}, "endTime": {"$gte": LATE}}),
            &[
                json!({}),
                json!({"startTime": {"$lte": 1}}),
                json!({"startTime": 0, "endTime": {"$lte": LATE}}),
            ],
        ),
        example(
            "by_shop",
            "auth.openid in get(`database.shops.${doc.shopId}`).owner",
            json!({"shopId": "hers"}),
            json!({"shopId": "his"}),
            json!({"shopId": "hers"}),
            &[
                json!({}),
                json!({"shopId": "his"}),
                json!({"shopId": {"$in": ["hers", "his"]}}),
            ],
        ),
        example(
            "roles",
            "doc.roles[auth.openid] === 'owner'",
            json!({"roles": {"alice": "owner"}}),
            json!({"roles": {"alice": "reader"}}),
            json!({"roles.alice": "owner"}),
            &[
                json!({}),
                json!({"roles.alice": {"$ne": "reader"}}),
                json!({"roles.bob": "owner"}),
            ],
        ),
        example(
            "prices",
            "auth.openid == doc.user_id && (doc.price == request.data.price || request.data.price == undefined)",
            json!({"user_id": "alice"}),
            json!({"user_id": "bob"}),
            json!({"user_id": "{openid}"}),
            &[json!({}), json!({"user_id": "bob"})],
        ),
        example(
            "ages",
            "doc.age > 10",
            json!({"age": 16}),
            json!({"age": 9}),
            json!({"age": {"$gt": 15}}),
            &[
                json!({}),
                json!({"age": {"$gt": 8}}),
                json!({"age": {"$in": [9, 16]}}),
            ],
        ),
        example(
            "statuses",
            "doc.status != 'deleted'",
            json!({"status": "open"}),
            json!({"status": "deleted"}),
            json!({"status": {"$nin": ["deleted", "hidden"]}}),
            &[json!({}), json!({"status": {"$in": ["open", "deleted"]}})],
        ),
    ]
}

/// The text with the users' openids.
fn of_users(value: &Value, alice: &str, bob: &str) -> Value {
    let text = value.to_string();
    let text = text
        .replace("\"alice\"", &format!("\"{alice}\""))
        .replace("roles.alice", &format!("roles.{alice}"))
        .replace("\"bob\"", &format!("\"{bob}\""));
    serde_json::from_str(&text).unwrap()
}

/// Puts documents into a collection, as the operator.
async fn keep(dev: &Dev, collection: &str, documents: &[Value]) {
    let lines: Vec<String> = documents.iter().map(Value::to_string).collect();
    let request = dev.operate(
        reqwest::Method::POST,
        &format!("database/import?collection={collection}&conflict=upsert"),
    );
    let request = request.header("content-type", "application/x-ndjson");
    let reply = request.body(lines.join("\n")).send().await.unwrap();
    assert_eq!(reply.status(), 200, "{}", reply.text().await.unwrap());
}

/// What a client's action comes to: `denied`, or the number or ids that it gives.
async fn act(
    dev: &Dev,
    user: &User<'_>,
    collection: &str,
    what: &str,
    query: &Value,
    data: &Value,
) -> String {
    let (query, data) = (query.to_string(), data.to_string());
    let fields = match what {
        "get" => json!({"action": "getDocument", "query": query, "order": "{\"_id\":1}"}),
        "count" => json!({"action": "calculateDocument", "query": query}),
        "aggregate" => json!({"action": "aggregateDocuments", "stages": [
            {"stageKey": "$match", "stageValue": query}, {"stageKey": "$sort", "stageValue": "{\"_id\":1}"}]}),
        "add" => json!({"action": "insertDocument", "data": [data]}),
        "update" => {
            json!({"action": "modifyDocument", "query": query, "data": data, "multi": true, "merge": true})
        }
        "set" => {
            json!({"action": "modifyDocument", "query": query, "data": data, "merge": false, "upsert": true})
        }
        "remove" => json!({"action": "removeDocument", "query": query, "multi": true}),
        other => panic!("{other}"),
    };
    let mut body = fields;
    body["action"] = json!(format!("database.{}", body["action"].as_str().unwrap()));
    body["collectionName"] = json!(collection);
    let (status, answer) = dev
        .post("/v1/database", Some(&user.token), body.to_string())
        .await;
    assert_eq!(status, 200, "{body}: {answer}");
    match answer["code"].as_str() {
        Some("DATABASE_PERMISSION_DENIED") => {
            assert_eq!(answer["message"], "Permission denied", "{body}");
            return "denied".to_owned();
        }
        Some(_) => panic!("{body}: {answer}"),
        None => {}
    }
    let data = &answer["data"];
    match what {
        "get" | "aggregate" => {
            let found = data["list"]
                .as_array()
                .unwrap_or_else(|| panic!("{answer}"))
                .iter();
            let ids = found.map(|text| {
                let document: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
                document["_id"].as_str().unwrap().to_owned()
            });
            ids.collect::<Vec<_>>().join(" ")
        }
        "count" => data["total"].to_string(),
        "add" => data["insertedIds"].as_array().unwrap().len().to_string(),
        "set" => match data["upsert_id"].is_string() {
            true => "added".to_owned(),
            false => data["updated"].to_string(),
        },
        "update" => data["updated"].to_string(),
        "remove" => data["deleted"].to_string(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn each_level_lets_each_operation_do_what_the_platform_says() {
    let project = Scratch::new(&[]);
    let levels = ["READONLY", "PRIVATE", "ADMINWRITE", "ADMINONLY"];
    let settings = levels.map(|level| format!("[database.collections.{level}]\npermission = \"{level}\"\n"));
    project.write("yunqiao.toml", &settings.concat());
    let dev = Dev::start(project.path());
    let (alice, bob) = (dev.login("alice").await, dev.login("bob").await);
    let stored = json!([{"_id": "a", "_openid": "alice"}, {"_id": "b", "_openid": "bob"}, {"_id": "f"}]);
    let stored = of_users(&stored, &alice.openid, &bob.openid);
    let (all, b) = (json!({}), json!({"_id": "b"}));
    let (nothing, change) = (json!({}), json!({"$set": {"n": 1}}));
    // In this order: the removals come last.
    for (what, query, data, expected) in [
        ("get", &all, &nothing, ["a b f", "a", "a b f", "denied"]),
        ("get", &b, &nothing, ["b", "", "b", "denied"]),
        ("count", &all, &nothing, ["3", "1", "3", "denied"]),
        ("count", &b, &nothing, ["1", "0", "1", "denied"]),
        ("aggregate", &all, &nothing, ["a b f", "a", "a b f", "denied"]),
        ("aggregate", &b, &nothing, ["b", "", "b", "denied"]),
        ("update", &all, &change, ["1", "1", "denied", "denied"]),
        ("update", &b, &change, ["0", "0", "denied", "denied"]),
        (
            "set",
            &b,
            &json!({"n": 2}),
            ["denied", "denied", "denied", "denied"],
        ),
        (
            "set",
            &json!({"_id": "a"}),
            &json!({"n": 2}),
            ["1", "1", "denied", "denied"],
        ),
        (
            "set",
            &json!({"_id": "new"}),
            &json!({"n": 2}),
            ["added", "added", "denied", "denied"],
        ),
        ("add", &nothing, &json!({"n": 3}), ["1", "1", "denied", "denied"]),
        ("remove", &b, &nothing, ["0", "0", "denied", "denied"]),
        ("remove", &all, &nothing, ["3", "3", "denied", "denied"]),
    ] {
        for (level, expected) in levels.iter().zip(expected) {
            if what == "get" && query == &all {
                keep(&dev, level, stored.as_array().unwrap()).await;
            }
            let came = act(&dev, &alice, level, what, query, data).await;
            assert_eq!(came, expected, "{level}: {what} {query} {data}");
        }
    }
    // What is bob's was never touched.
    for level in ["READONLY", "PRIVATE"] {
        let untouched = json!({"n": {"$exists": false}});
        let found = act(&dev, &bob, level, "get", &untouched, &nothing).await;
        assert!(found.split(' ').any(|id| id == "b"), "{level}: {found}");
    }
}

#[tokio::test]
async fn each_official_rule_holds_for_each_operation() {
    let project = Scratch::new(&[]);
    let examples = examples();
    let mut settings = String::from("[database.collections.shops]\npermission = \"ADMINONLY\"\n");
    for example in &examples {
        let rule = example.rule;
        settings.push_str(&format!(
            "[database.collections.{}]\nrule = {{ read = {rule:?}, write = {rule:?} }}\n",
            example.collection
        ));
    }
    project.write("yunqiao.toml", &settings);
    let dev = Dev::start(project.path());
    let (alice, bob) = (dev.login("alice").await, dev.login("bob").await);
    let of_users = |value: &Value| of_users(value, &alice.openid, &bob.openid);
    let shops = json!([{"_id": "hers", "owner": ["alice"]}, {"_id": "his", "owner": ["bob"]}]);
    keep(&dev, "shops", of_users(&shops).as_array().unwrap()).await;
    for example in &examples {
        let name = example.collection;
        let with_id = |id: &str, document: &Value| {
            let mut document = of_users(document);
            document["_id"] = json!(id);
            document
        };
        let stored = [with_id("other", &example.other), with_id("own", &example.own)];
        keep(&dev, name, &stored).await;
        let without_owner = |document: &Value| {
            let mut document = of_users(document);
            document.as_object_mut().unwrap().remove("_openid");
            document
        };
        let (own, other) = (without_owner(&example.own), without_owner(&example.other));
        let within = of_users(&example.within);
        let (by_id, of_other) = (json!({"_id": "own"}), json!({"_id": "other"}));
        let (nothing, change) = (json!({}), json!({"$set": {"seen": true}}));
        let act =
            async |what: &str, query: &Value, data: &Value| act(&dev, &alice, name, what, query, data).await;
        let place = |what: &str| format!("{}: {what}", example.rule);

        for (what, data, expected) in [
            ("get", &nothing, "own"),
            ("count", &nothing, "1"),
            ("aggregate", &nothing, "own"),
            ("update", &change, "1"),
        ] {
            assert_eq!(act(what, &within, data).await, expected, "{} within", place(what));
            for outside in &example.outside {
                let outside = of_users(outside);
                let came = act(what, &outside, data).await;
                assert_eq!(came, "denied", "{} {outside}", place(what));
            }
        }
        // A document by its id: judged as it stands, but in an aggregate and a count of several.
        for (what, data, expected) in [
            ("get", &nothing, "own"),
            ("count", &nothing, "1"),
            ("aggregate", &nothing, "denied"),
            ("update", &json!({"$set": {"seen": false}}), "1"),
            ("set", &own, "1"),
        ] {
            assert_eq!(act(what, &by_id, data).await, expected, "{} own", place(what));
            assert_eq!(
                act(what, &of_other, data).await,
                "denied",
                "{} other",
                place(what)
            );
        }
        let missing = json!({"_id": "missing"});
        assert_eq!(
            act("get", &missing, &nothing).await,
            "denied",
            "{}",
            place("what is not there")
        );
        assert_eq!(
            act("set", &json!({"_id": "set"}), &own).await,
            "added",
            "{}",
            place("set")
        );
        assert_eq!(act("add", &nothing, &own).await, "1", "{}", place("add"));
        if example.other_is_not_added {
            assert_eq!(act("add", &nothing, &other).await, "denied", "{}", place("add"));
            assert_eq!(
                act("set", &json!({"_id": "x"}), &other).await,
                "denied",
                "{}",
                place("set")
            );
        }
        for outside in example.outside.iter().map(of_users) {
            assert_eq!(
                act("remove", &outside, &nothing).await,
                "denied",
                "{} {outside}",
                place("remove")
            );
        }
        assert_eq!(
            act("remove", &of_other, &nothing).await,
            "denied",
            "{}",
            place("remove")
        );
        assert_eq!(act("remove", &by_id, &nothing).await, "1", "{}", place("remove"));
        // What was set and what was added are all that is left of hers.
        assert_eq!(act("remove", &within, &nothing).await, "2", "{}", place("remove"));
        let left = dev.operate(
            reqwest::Method::GET,
            &format!("database/export?collection={name}"),
        );
        let left = left.send().await.unwrap().text().await.unwrap();
        let left: Vec<Value> = left
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(left.len(), 1, "{}: {left:?}", example.rule);
        assert_eq!(left[0]["_id"], "other", "{}", example.rule);
        assert!(left[0].get("seen").is_none(), "{}", example.rule);
    }
}

#[tokio::test]
async fn a_document_that_the_rule_names_decides_for_each_operation() {
    let project = Scratch::new(&[]);
    let rule = "get('database.ranks.all')[auth.openid] in [1,2,3]";
    project.write(
        "yunqiao.toml",
        &format!("[database.collections.ranks]\npermission = \"ADMINONLY\"\n[database.collections.notes]\nrule = {{ read = {rule:?}, write = {rule:?} }}\n"),
    );
    let dev = Dev::start(project.path());
    let (alice, bob) = (dev.login("alice").await, dev.login("bob").await);
    let ranks = json!({"_id": "all", (alice.openid.as_str()): 2, (bob.openid.as_str()): 4});
    keep(&dev, "ranks", &[ranks]).await;
    keep(&dev, "notes", &[json!({"_id": "a"})]).await;
    let (all, one, nothing) = (json!({}), json!({"_id": "a"}), json!({}));
    for (what, query, data, expected) in [
        ("get", &all, &nothing, "a"),
        ("get", &one, &nothing, "a"),
        ("count", &all, &nothing, "1"),
        ("aggregate", &all, &nothing, "a"),
        ("update", &all, &json!({"$set": {"n": 1}}), "1"),
        ("set", &one, &json!({"n": 2}), "1"),
        ("add", &nothing, &json!({"n": 3}), "1"),
        ("remove", &all, &nothing, "2"),
    ] {
        let refused = act(&dev, &bob, "notes", what, query, data).await;
        assert_eq!(refused, "denied", "{what} {query}");
        assert_eq!(
            act(&dev, &alice, "notes", what, query, data).await,
            expected,
            "{what} {query}"
        );
    }
}
