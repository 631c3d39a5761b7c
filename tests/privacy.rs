//! What is one user's alone, and what others get who are after it: at every door that leads to documents or files, in every dialect, by
//! every operation. That a dialect is understood shows in what alice herself gets by it. Two words stand in alice's documents. `SECRET` is guessed: what is answered to the right guess has to be what is
//! answered to a wrong one. `TREASURE` is not, and has to stand in no answer at all. Afterwards all is as it was.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    cloudbase::{asked, auth},
    sockets::Socket,
    support::{APPID, Dev, Scratch, text},
};

const SECRET: &str = "swordfish";
/// A guess that is wrong, of the same length.
const OTHER: &str = "codfish99";
const TREASURE: &str = "under the old oak";
/// By each door and dialect, how many of the attempts tell alice something.
const TELLING: [((&str, Dialect), usize); 5] = [
    (("/v1/database", Dialect::Modern), 64),
    (("/v1/database", Dialect::Plain), 64),
    (("/web", Dialect::Modern), 64),
    (("/web", Dialect::Plain), 64),
    (("", Dialect::Rest), 64),
];
const ENV: &str = "private-1";

const SETTINGS: &str = r#"
[auth]
anonymous = true
passwords = "users.toml"
[storage]
permission = "PRIVATE"
[database.collections.level]
permission = "PRIVATE"
indexes = [{ fields = ["at"], kind = "2dsphere" }, { fields = ["phone"], unique = true }]
[database.collections.rule]
rule = { read = "doc._openid == auth.openid || doc._openid == auth.uid", write = "doc._openid == auth.openid || doc._openid == auth.uid" }
indexes = [{ fields = ["at"], kind = "2dsphere" }, { fields = ["phone"], unique = true }]
[database.collections.closed]
permission = "ADMINONLY"
"#;

/// In which words something is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Dialect {
    /// Extended JSON in texts, as wx-server-sdk and our own client.
    Modern,
    /// Plain JSON, as the older SDKs.
    Plain,
    /// Paths, as newer ones.
    Rest,
}

/// Who is after alice's documents, and through which door.
struct Thief {
    name: &'static str,
    dialect: Dialect,
    /// `/v1/database` or `/web`; of REST nothing.
    path: &'static str,
    token: Option<String>,
}

/// What is asked for.
enum Asked {
    Find {
        query: Value,
        order: &'static str,
        offset: u64,
        limit: u64,
        projection: Value,
    },
    Count(Value),
    Update {
        query: Value,
        change: Value,
        many: bool,
    },
    Set {
        id: String,
        document: Value,
    },
    Remove {
        query: Value,
        many: bool,
    },
    Add(Value),
    Aggregate(Vec<Value>),
    /// An action by its name, in the modern dialect's words.
    Named(&'static str, Value),
}

fn find(query: Value) -> Asked {
    Asked::Find {
        query,
        order: "",
        offset: 0,
        limit: 100,
        projection: json!({}),
    }
}

/// Queries that find alice's document where the guess is right, if they find any of hers.
fn queries(guess: &str) -> Vec<Value> {
    let near = json!({"$geometry": {"type": "Point", "coordinates": [1.0, 2.0]}});
    let same = json!({"$eq": ["$secret", guess]});
    let fails = json!({"$divide": [1, {"$subtract": ["$n", "$n"]}]});
    vec![
        json!({"secret": guess}),
        json!({"secret": {"$gte": guess}, "n": {"$lt": 9}}),
        json!({"secret": {"$regex": format!("^{guess}")}}),
        json!({"secret": {"$ne": guess}}),
        json!({"$or": [{"secret": guess}, {"_openid": "nobody"}]}),
        json!({"$nor": [{"secret": {"$ne": guess}}]}),
        json!({"$expr": same}),
        json!({"$expr": {"$cond": [same, fails, true]}}),
        json!({"secret": guess, "tags": {"$elemMatch": {"$eq": "t"}}}),
        json!({"secret": guess, "at": {"$geoWithin": {"$centerSphere": [[1.0, 2.0], 0.1]}}}),
        json!({"secret": guess, "at": {"$nearSphere": near}}),
        json!({"secret": guess, "_openid": {"$exists": true}}),
        json!({"secret": guess, "_id": "1"}),
    ]
}

/// Everything that is tried, by a guess.
fn attempts(guess: &str) -> Vec<Asked> {
    let mut all = Vec::new();
    for query in queries(guess) {
        all.push(find(query.clone()));
        all.push(Asked::Count(query.clone()));
        for many in [false, true] {
            all.push(Asked::Update {
                query: query.clone(),
                change: json!({"$set": {"stolen": true}}),
                many,
            });
            all.push(Asked::Remove {
                query: query.clone(),
                many,
            });
        }
        all.push(Asked::Aggregate(vec![
            json!({"$match": query}),
            json!({"$count": "n"}),
        ]));
        all.push(Asked::Aggregate(vec![
            json!({"$sort": {"n": 1}}),
            json!({"$match": query}),
        ]));
    }
    for (order, offset, limit) in [
        ("secret", 0, 1),
        ("secret", 1, 1),
        ("treasure", 0, 100),
        ("n", 5, 1),
    ] {
        all.push(Asked::Find {
            query: json!({}),
            order,
            offset,
            limit,
            projection: json!({}),
        });
    }
    for projection in [
        json!({"treasure": 1}),
        json!({"treasure": true, "_id": false}),
        json!({"_openid": 1}),
        json!({"tags": {"$slice": 1}}),
        json!({"stolen": "$treasure"}),
    ] {
        all.push(Asked::Find {
            query: json!({}),
            order: "",
            offset: 0,
            limit: 100,
            projection,
        });
    }
    let same = json!({"$cond": [{"$eq": ["$secret", guess]}, 1, 0]});
    let near = json!({"near": {"type": "Point", "coordinates": [1.0, 2.0]}, "distanceField": "d", "spherical": true});
    for stages in [
        vec![json!({"$group": {"_id": null, "n": {"$sum": same}}})],
        vec![json!({"$group": {"_id": "$secret", "all": {"$push": "$treasure"}}})],
        vec![json!({"$project": {"treasure": 1, "is": same}})],
        vec![json!({"$addFields": {"is": same}}), json!({"$match": {"is": 1}})],
        vec![json!({"$sortByCount": "$secret"})],
        vec![json!({"$bucketAuto": {"groupBy": "$n", "buckets": 2}})],
        vec![json!({"$sample": {"size": 5}})],
        vec![json!({"$unwind": "$tags"})],
        vec![json!({"$replaceRoot": {"newRoot": {"is": same}}})],
        vec![json!({"$geoNear": near})],
        vec![json!({"$lookup": {"from": "level", "localField": "x", "foreignField": "y", "as": "all"}})],
        vec![json!({"$lookup": {"from": "rule", "pipeline": [{"$match": {"secret": guess}}], "as": "all"}})],
        vec![
            json!({"$graphLookup": {"from": "level", "startWith": "$n", "connectFromField": "n", "connectToField": "n", "as": "all"}}),
        ],
        vec![json!({"$unionWith": "level"})],
        vec![json!({"$facet": {"a": [{"$match": {"secret": guess}}]}})],
        vec![
            json!({"$match": {}}),
            json!({"$lookup": {"from": "level", "localField": "x", "foreignField": "y", "as": "all"}}),
        ],
        vec![json!({"$out": "stolen"})],
        vec![json!({"$merge": "stolen"})],
        vec![json!({"$collStats": {"count": {}}})],
        vec![json!({"$indexStats": {}})],
    ] {
        all.push(Asked::Aggregate(stages));
    }
    for (name, fields) in [
        (
            "modifyAndReturnDoc",
            json!({"query": {"secret": guess}, "data": {"$set": {"stolen": true}}}),
        ),
        ("startTransaction", json!({})),
        (
            "getInTransaction",
            json!({"transactionId": "t", "query": {"secret": guess}}),
        ),
        (
            "updateDocInTransaction",
            json!({"transactionId": "t", "query": {"secret": guess}, "data": {"$set": {"stolen": true}}}),
        ),
        (
            "deleteDocInTransaction",
            json!({"transactionId": "t", "query": {"secret": guess}}),
        ),
        (
            "insertDocInTransaction",
            json!({"transactionId": "t", "data": {"secret": guess}}),
        ),
        ("commitTransaction", json!({"transactionId": "t"})),
        ("addCollection", json!({})),
    ] {
        all.push(Asked::Named(name, fields));
    }
    all
}

/// What shows that an `_id` or a value of a unique index is taken, and may not show more.
fn takings() -> Vec<Asked> {
    vec![
        Asked::Add(json!({"_id": "1", "n": 1})),
        Asked::Add(json!({"phone": "12066600001"})),
        Asked::Add(json!({"_openid": "nobody"})),
        Asked::Set {
            id: "1".to_owned(),
            document: json!({"stolen": true}),
        },
        Asked::Update {
            query: json!({"_id": "1"}),
            change: json!({"$set": {"stolen": true}}),
            many: false,
        },
        Asked::Update {
            query: json!({"_id": "1"}),
            change: json!({"$rename": {"treasure": "phone"}}),
            many: false,
        },
        Asked::Update {
            query: json!({}),
            change: json!({"$set": {"_openid": "me"}}),
            many: true,
        },
        Asked::Remove {
            query: json!({"_id": "1"}),
            many: false,
        },
        find(json!({"_id": "1"})),
    ]
}

const REST: &str = "/v1/database/instances/(default)/databases/(default)";

impl Thief {
    /// What is answered, with HTTP's status.
    async fn asks(&self, dev: &Dev, collection: &str, what: &Asked) -> (u16, Value) {
        match self.dialect {
            Dialect::Rest => self.asks_by_path(dev, collection, what).await,
            _ => {
                let (action, mut body) = self.envelope(what);
                body["action"] = format!("database.{action}").into();
                body["collectionName"] = collection.into();
                body["env"] = ENV.into();
                if self.path == "/web" {
                    body["access_token"] = self.token.clone().unwrap_or_default().into();
                }
                let token = self.token.as_deref().filter(|_| self.path != "/web");
                asked(dev, "POST", self.path, token, Some(body)).await
            }
        }
    }

    fn envelope(&self, what: &Asked) -> (&'static str, Value) {
        let is_modern = self.dialect == Dialect::Modern;
        // The modern dialect has texts of Extended JSON.
        let value = |value: &Value| match is_modern {
            true => json!(value.to_string()),
            false => value.clone(),
        };
        let named = |modern, plain| if is_modern { modern } else { plain };
        match what {
            Asked::Find {
                query,
                order,
                offset,
                limit,
                projection,
            } => {
                let order = match (order.is_empty(), is_modern) {
                    (true, true) => json!("{}"),
                    (true, false) => json!([]),
                    (false, true) => json!(json!({*order: 1}).to_string()),
                    (false, false) => json!([{"field": order, "direction": "asc"}]),
                };
                let body = json!({
                    "query": value(query), "order": order, "offset": offset, "limit": limit,
                    "projection": value(projection), "queryType": "WHERE",
                });
                (named("getDocument", "queryDocument"), body)
            }
            Asked::Count(query) => (
                named("calculateDocument", "countDocument"),
                json!({"query": value(query)}),
            ),
            Asked::Update { query, change, many } => (
                named("modifyDocument", "updateDocument"),
                json!({"query": value(query), "data": value(change), "multi": many, "merge": true, "upsert": false}),
            ),
            Asked::Set { id, document } => (
                named("modifyDocument", "updateDocument"),
                json!({"query": value(&json!({"_id": id})), "data": value(document), "multi": false, "merge": false, "upsert": true}),
            ),
            Asked::Remove { query, many } => (
                named("removeDocument", "deleteDocument"),
                json!({"query": value(query), "multi": many}),
            ),
            Asked::Add(document) => match is_modern {
                true => ("insertDocument", json!({"data": [document.to_string()]})),
                false => ("addDocument", json!({"data": document})),
            },
            Asked::Aggregate(stages) => {
                let stages = stages.iter().map(|stage| {
                    let (key, value) = stage.as_object().unwrap().iter().next().unwrap();
                    json!({"stageKey": key, "stageValue": value.to_string()})
                });
                let stages: Vec<Value> = stages.collect();
                (
                    named("aggregateDocuments", "aggregate"),
                    json!({"stages": stages}),
                )
            }
            Asked::Named(name, fields) => {
                let mut body = fields.clone();
                for field in ["query", "data"] {
                    if !body[field].is_null() {
                        body[field] = value(&body[field]);
                    }
                }
                (*name, body)
            }
        }
    }

    async fn asks_by_path(&self, dev: &Dev, collection: &str, what: &Asked) -> (u16, Value) {
        let documents = format!("{REST}/collections/{collection}/documents");
        let query = |pairs: &[(&str, String)]| {
            let mut text = form_urlencoded::Serializer::new(String::new());
            for (name, value) in pairs {
                text.append_pair(name, value);
            }
            text.finish()
        };
        let (method, path, body) = match what {
            Asked::Find {
                query: filter,
                order,
                offset,
                limit,
                projection,
            } => {
                let mut pairs = vec![
                    ("query", filter.to_string()),
                    ("offset", offset.to_string()),
                    ("limit", limit.to_string()),
                    ("projection", projection.to_string()),
                ];
                if !order.is_empty() {
                    pairs.push(("order", json!([{"field": order, "direction": "asc"}]).to_string()));
                }
                ("GET", format!("{documents}?{}&", query(&pairs)), None)
            }
            Asked::Count(filter) => {
                let pairs = [("count", "true".to_owned()), ("query", filter.to_string())];
                ("GET", format!("{documents}?{}&", query(&pairs)), None)
            }
            Asked::Update { query, change, many } => (
                "PATCH",
                documents,
                Some(json!({"query": query, "data": change, "multi": many, "upsert": false})),
            ),
            Asked::Set { id, document } => (
                "PATCH",
                format!("{documents}/{id}"),
                Some(json!({"data": document, "upsert": true})),
            ),
            Asked::Remove { query, many } => (
                "POST",
                format!("{documents}/remove"),
                Some(json!({"query": query, "multi": many})),
            ),
            Asked::Add(document) => ("POST", documents, Some(json!({"data": [document]}))),
            Asked::Aggregate(stages) => (
                "POST",
                format!("{documents}/aggregations"),
                Some(json!({"pipeline": stages})),
            ),
            Asked::Named("startTransaction", _) => ("POST", format!("{REST}/transactions"), None),
            Asked::Named("commitTransaction", _) => ("POST", format!("{REST}/transactions/t/commit"), None),
            Asked::Named("addCollection", _) => (
                "POST",
                format!("{REST}/collections"),
                Some(json!({"collectionName": "stolen"})),
            ),
            // What the other dialects have as actions, this one has as a field.
            Asked::Named(_, fields) => {
                let mut body = fields.clone();
                body["multi"] = false.into();
                if body["data"].is_null() {
                    ("POST", format!("{documents}/remove"), Some(body))
                } else {
                    ("PATCH", documents, Some(body))
                }
            }
        };
        asked(dev, method, &path, self.token.as_deref(), body).await
    }
}

/// The answer without what differs between any two, and with the guess told by what it is.
fn plain(answer: &(u16, Value), guess: &str) -> String {
    let mut value = answer.1.clone();
    for name in ["requestId", "requestID"] {
        if let Some(fields) = value.as_object_mut() {
            fields.remove(name);
        }
    }
    format!("{} {}", answer.0, value.to_string().replace(guess, "GUESS"))
}

/// The project, with alice's documents and files in it, and whoever else there is.
struct Stage {
    dev: Dev,
    /// Alice herself, by every dialect.
    alice: Vec<Thief>,
    thieves: Vec<Thief>,
    /// Of bob to the Mini Program; of somebody with a password and of an anonymous user to a web page.
    tokens: [String; 3],
    _project: Scratch,
}

impl Stage {
    async fn set() -> Self {
        let project = Scratch::new(&[]);
        let password = ::cloudbase::hash("correct horse").unwrap();
        project.write(
            "users.toml",
            &format!("[uma]\nuid = \"uid-of-uma\"\npassword = \"{password}\"\n"),
        );
        project.write("yunqiao.toml", &format!("env = \"{ENV}\"\n{SETTINGS}"));
        let dev = Dev::start(project.path());
        let alice = dev.login("alice").await;
        for collection in ["level", "rule"] {
            let document = |id: &str, n: i64| {
                json!({
                    "_id": id, "secret": SECRET, "treasure": TREASURE, "n": n, "tags": ["t"], "phone": format!("1206660000{n}"),
                    "at": {"type": "Point", "coordinates": [1.0, 2.0]},
                })
                .to_string()
            };
            let data = [document("1", 1), document("2", 2)];
            let body =
                json!({"action": "database.insertDocument", "collectionName": collection, "data": data});
            let (_, added) = dev
                .post("/v1/database", Some(&alice.token), body.to_string())
                .await;
            assert_eq!(added["data"]["insertedIds"], json!(["1", "2"]), "{added}");
        }
        let bob = dev.login("bob").await.token;
        let (_, uma) = auth(
            &dev,
            "signin",
            None,
            json!({"username": "uma", "password": "correct horse"}),
        )
        .await;
        let (_, anybody) = auth(&dev, "signin/anonymously", None, json!({})).await;
        let token = |answer: &Value| text(&answer["access_token"]);
        let web_bob = web_login(&dev, "bob").await;
        let mut thieves = of_mini_program("bob of the Mini Program", &bob);
        for (name, token) in [
            ("uma, with a password", Some(token(&uma))),
            ("an anonymous user", Some(token(&anybody))),
            ("bob by js-sdk", Some(web_bob)),
            ("nobody", None),
        ] {
            thieves.extend(of_web(name, token.as_deref()));
        }
        let mut by_all = of_mini_program("alice", &alice.token);
        by_all.extend(of_web("alice", Some(&web_login(&dev, "alice").await)));
        Self {
            tokens: [bob, token(&uma), token(&anybody)],
            alice: by_all,
            _project: project,
            dev,
            thieves,
        }
    }
}

/// Logs a user of the Mini Program in on a web page.
async fn web_login(dev: &Dev, user: &str) -> String {
    let code = dev.wx(user, "login").await["code"].take();
    let provider = json!({"provider_id": APPID, "provider_code": code, "provider_params": {"provider_code_type": "open_id"}});
    let (_, provider) = auth(dev, "provider/token", None, provider).await;
    let provider = json!({"provider_token": provider["provider_token"]});
    let (_, login) = auth(dev, "signin/with/provider", None, provider).await;
    text(&login["access_token"])
}

fn of_mini_program(name: &'static str, token: &str) -> Vec<Thief> {
    let dialects = [Dialect::Modern, Dialect::Plain].into_iter();
    let thieves = dialects.map(|dialect| Thief {
        name,
        dialect,
        path: "/v1/database",
        token: Some(token.to_owned()),
    });
    thieves.collect()
}

fn of_web(name: &'static str, token: Option<&str>) -> Vec<Thief> {
    let dialects = [
        (Dialect::Modern, "/web"),
        (Dialect::Plain, "/web"),
        (Dialect::Rest, ""),
    ];
    let thieves = dialects.into_iter().map(|(dialect, path)| Thief {
        name,
        dialect,
        path,
        token: token.map(str::to_owned),
    });
    thieves.collect()
}

#[tokio::test]
async fn nobody_learns_or_changes_what_is_anothers_at_any_door() {
    let stage = Stage::set().await;
    let dev = &stage.dev;
    let alice = dev.login("alice").await;
    let hers = async |collection: &str| {
        let body = json!({"action": "database.getDocument", "collectionName": collection, "query": "{\"_openid\":\"{openid}\"}"});
        dev.post("/v1/database", Some(&alice.token), body.to_string())
            .await
            .1["data"]
            .take()
    };
    let before = (hers("level").await, hers("rule").await);
    assert!(before.0.to_string().contains(TREASURE), "{}", before.0);
    // What is asked is understood in each dialect: to alice herself it tells.
    let tells = stage.alice.iter().map(async |alice| {
        let mut telling = 0;
        for (right, wrong) in attempts(SECRET).iter().zip(&attempts(OTHER)) {
            if matches!(right, Asked::Find { .. } | Asked::Count(_) | Asked::Aggregate(_)) {
                let right = plain(&alice.asks(dev, "level", right).await, SECRET);
                let wrong = plain(&alice.asks(dev, "level", wrong).await, OTHER);
                telling += usize::from(right != wrong || right.contains(TREASURE));
            }
        }
        ((alice.path, alice.dialect), telling)
    });
    let tells: BTreeMap<_, _> = join_all(tells).await.into_iter().collect();
    assert_eq!(tells, BTreeMap::from(TELLING));
    // They write nothing, so none of them is in another's way.
    let learnt = stage.thieves.iter().map(async |thief| {
        let mut wrong = Vec::new();
        for collection in ["level", "rule", "closed"] {
            for (number, (right, guessed)) in attempts(SECRET).iter().zip(&attempts(OTHER)).enumerate() {
                let right = plain(&thief.asks(dev, collection, right).await, SECRET);
                let guessed = plain(&thief.asks(dev, collection, guessed).await, OTHER);
                let told = right.contains(TREASURE) || right.contains("\"stolen\":");
                if told || right != guessed {
                    wrong.push(format!(
                        "{} by {:?} of {collection}, attempt {number}: {right} and {guessed}",
                        thief.name, thief.dialect
                    ));
                }
            }
        }
        wrong
    });
    let mut wrong = join_all(learnt).await.concat();
    for thief in &stage.thieves {
        for (number, attempt) in takings().iter().enumerate() {
            for collection in ["level", "rule"] {
                let (status, answer) = thief.asks(dev, collection, attempt).await;
                let answer = answer.to_string();
                if answer.contains(TREASURE) || answer.contains(SECRET) {
                    wrong.push(format!(
                        "{} by {:?}, taking {number}: {status} {answer}",
                        thief.name, thief.dialect
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} answers:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!((hers("level").await, hers("rule").await), before);
}

#[tokio::test]
async fn nobody_watches_what_is_anothers() {
    let stage = Stage::set().await;
    let dev = &stage.dev;
    let [bob, uma, _] = &stage.tokens;
    let mut watchers = vec![("bob", Some(bob), Socket::of_token(dev, bob).await)];
    for (name, token) in [("uma", Some(uma)), ("nobody", None)] {
        let sign =
            json!({"action": "auth.wsWebSign", "env": ENV, "access_token": token.map_or("", String::as_str)});
        let (_, signed) = asked(dev, "POST", "/web", None, Some(sign)).await;
        let grant = &signed["data"];
        let login = json!({
            "msgData": {"envId": ENV},
            "exMsgData": {"signStr": grant["signStr"], "secretVersion": grant["secretVersion"]},
        });
        watchers.push((name, token, Socket::open(&text(&grant["wsUrl"]), login).await));
    }
    let alice = dev.login("alice").await;
    let writes = async |collection: &str, action: &str, mut body: Value| {
        body["action"] = format!("database.{action}").into();
        body["collectionName"] = collection.into();
        dev.post("/v1/database", Some(&alice.token), body.to_string())
            .await
            .1
    };
    for (name, token, socket) in &mut watchers {
        let (mut begun, mut all) = (Vec::new(), String::new());
        for collection in ["level", "rule", "closed"] {
            for query in queries(SECRET).into_iter().chain([json!({"_id": "1"})]) {
                let answer = socket.watch(collection, &query).await;
                let refused = answer["msgType"] == "ERROR";
                let empty = answer["msgType"] == "INIT_EVENT" && answer["msgData"]["events"] == json!([]);
                assert!(refused || empty, "{name} {collection} {query}: {answer}");
                all += &answer.to_string();
            }
            // One that is let in goes on while alice adds, changes and removes what is hers.
            let answer = socket.watch(collection, &own(collection, name)).await;
            if answer["msgType"] == "INIT_EVENT" {
                begun.push(collection);
            }
            all += &answer.to_string();
            let query = json!({"query": json!({"_id": name}).to_string()});
            let mut change = query.clone();
            change["data"] = "{\"$set\":{\"n\":1}}".into();
            change["merge"] = true.into();
            let added =
                json!({"data": [json!({"_id": name, "phone": name, "treasure": TREASURE}).to_string()]});
            let done = [
                writes(collection, "insertDocument", added).await["data"]["insertedIds"].take(),
                writes(collection, "modifyDocument", change).await["data"]["updated"].take(),
                writes(collection, "removeDocument", query).await["data"]["deleted"].take(),
            ];
            match collection {
                "closed" => assert_eq!(done, [Value::Null, Value::Null, Value::Null]),
                _ => assert_eq!(done, [json!([name]), json!(1), json!(1)]),
            }
        }
        match token {
            None => assert!(begun.is_empty(), "{begun:?}"),
            Some(_) => assert_eq!(begun, ["level", "rule"], "{name}"),
        }
        // Whoever watches sees what is their own, which comes behind all of that.
        for collection in begun {
            let id = format!("of {name}");
            let data = json!([json!({"_id": id, "phone": id}).to_string()]);
            let mut body =
                json!({"action": "database.insertDocument", "collectionName": collection, "data": data});
            let (path, header) = match *name {
                "bob" => ("/v1/database", token.map(String::as_str)),
                _ => {
                    body["env"] = ENV.into();
                    body["access_token"] = json!(token);
                    ("/web", None)
                }
            };
            let (_, added) = asked(dev, "POST", path, header, Some(body)).await;
            assert_eq!(added["data"]["insertedIds"], json!([id]), "{added}");
            let event = socket.hear().await;
            assert_eq!(event["watchId"], collection, "{event}");
            assert_eq!(event["msgData"]["events"][0]["DocID"], id, "{event}");
            all += &event.to_string();
        }
        assert!(!all.contains(TREASURE) && !all.contains("alice"), "{name}: {all}");
    }
}

/// A query for what is one's own, which the rule lets through; at a level, everything.
fn own(collection: &str, name: &str) -> Value {
    match (collection, name) {
        ("rule", "bob") => json!({"_openid": "{openid}"}),
        ("rule", _) => json!({"_openid": "{uid}"}),
        _ => json!({}),
    }
}

#[tokio::test]
async fn nobody_learns_of_anothers_file_at_any_door() {
    let stage = Stage::set().await;
    let dev = &stage.dev;
    let alice = dev.login("alice").await;
    let web_alice = stage.alice.last().unwrap().token.clone().unwrap();
    let [bob, uma, anybody] = stage.tokens.clone();
    let storage = async |token: &str, action: &str, mut body: Value| {
        body["action"] = format!("storage.{action}").into();
        dev.post("/v1/storage", Some(token), body.to_string()).await.1
    };
    let by_web = async |token: &str, action: &str, mut body: Value| {
        body["action"] = format!("storage.{action}").into();
        body["access_token"] = token.into();
        body["env"] = ENV.into();
        asked(dev, "POST", "/web", None, Some(body)).await.1
    };
    let upload = async |name: &str| {
        let place = storage(&alice.token, "getUploadMetadata", json!({"path": name})).await;
        let put = dev.client.put(text(&place["data"]["url"])).body(TREASURE);
        assert_eq!(put.send().await.unwrap().status(), 200);
        text(&place["data"]["fileId"])
    };
    let there = upload("private/there.txt").await;
    let gone = there.replace("there", "gone!");
    // What is answered, of a file and by a user; what would change it last.
    let rows = async |token: &str, is_web: bool, id: &str, copy: &str, changes: bool| {
        let mut answers = Vec::new();
        let mut actions = vec![(
            "batchGetDownloadUrl",
            json!({"file_list": [{"fileid": id, "max_age": 60}]}),
        )];
        if changes {
            actions.push(("batchDeleteFile", json!({"fileid_list": [id]})));
        }
        for (action, body) in actions {
            let answer = match is_web {
                false => storage(token, action, body).await,
                true => by_web(token, action, body).await,
            };
            answers.push(plain(&(200, answer), id));
        }
        if is_web {
            let from = format!("private/{}", id.rsplit('/').next().unwrap());
            let mut doors = vec![
                ("get-objects-download-info", json!([{"cloudObjectId": id}])),
                ("copy-objects", json!([{"srcPath": from, "dstPath": copy}])),
            ];
            if changes {
                doors.push(("delete-objects", json!([{"cloudObjectId": id}])));
                doors.push((
                    "copy-objects",
                    json!([{"srcPath": from, "dstPath": copy, "removeOriginal": true}]),
                ));
            }
            for (door, body) in doors {
                let token = Some(token).filter(|token| !token.is_empty());
                let answer = asked(dev, "POST", &format!("/v1/storages/{door}"), token, Some(body)).await;
                answers.push(plain(&answer, &from).replace(id, "GUESS"));
            }
        }
        answers
    };
    // To alice herself each of them tells that it is there.
    for (token, is_web) in [(alice.token.as_str(), false), (web_alice.as_str(), true)] {
        let of_both = [
            rows(token, is_web, &there, "hers.txt", false).await,
            rows(token, is_web, &gone, "hers.txt", false).await,
        ];
        assert_eq!(of_both[0].len(), if is_web { 3 } else { 1 });
        for (there, gone) in of_both[0].iter().zip(&of_both[1]) {
            assert_ne!(there, gone);
        }
        // There are no more doors than those.
        let copy = json!({"file_list": [{"src_path": "private/there.txt", "dst_path": "hers.txt"}]});
        let authority = json!({"userId": "", "fileList": [{"path": there, "type": "READ"}]});
        for (action, body) in [("batchCopyFile", copy), ("getFileAuthority", authority)] {
            let answer = match is_web {
                false => storage(token, action, body).await,
                true => by_web(token, action, body).await,
            };
            assert!(answer.to_string().contains("no such action"), "{answer}");
        }
    }
    // Others read nothing. Those who are known learn that they may not, as on the platform; those whom anybody may be, not even that.
    for (name, token, is_web, is_known) in [
        ("bob", bob.as_str(), false, true),
        ("uma", uma.as_str(), true, true),
        ("an anonymous user", anybody.as_str(), true, false),
        ("nobody", "", true, false),
    ] {
        let of_there = rows(token, is_web, &there, "mine.txt", true).await;
        let of_gone = rows(token, is_web, &gone, "mine.txt", true).await;
        assert_eq!(of_there.len(), if is_web { 6 } else { 2 });
        for (there, gone) in of_there.iter().zip(&of_gone) {
            let refusal = match is_known {
                true => "STORAGE_EXCEED_AUTHORITY",
                false => "STORAGE_FILE_NONEXIST",
            };
            assert!(
                there.contains(refusal) && !there.contains("http"),
                "{name}: {there}"
            );
            assert!(gone.contains("STORAGE_FILE_NONEXIST"), "{name}: {gone}");
            assert!(is_known || there == gone, "{name}: {there} and {gone}");
        }
        for id in [&there, &gone] {
            let name = id.rsplit('/').next().unwrap();
            let address = format!("{}/v1/files/public/private/{name}", dev.server.url);
            assert_eq!(dev.client.get(address).send().await.unwrap().status(), 403);
        }
    }
    // An address that somebody is given for a path that is free reads nothing there later, and does not overwrite it.
    let later = json!({"path": "private/later.txt"});
    let free = [
        storage(&bob, "getUploadMetadata", later.clone()).await,
        by_web(&anybody, "getUploadMetadata", later.clone()).await,
    ];
    let status = async |place: &Value| {
        let address = text(&place["data"]["download_url"]);
        dev.client.get(address).send().await.unwrap().status().as_u16()
    };
    assert_eq!([status(&free[0]).await, status(&free[1]).await], [404, 404]);
    upload("private/later.txt").await;
    assert_eq!([status(&free[0]).await, status(&free[1]).await], [403, 404]);
    for place in &free {
        let overwrites = dev.client.put(text(&place["data"]["url"])).body("stolen");
        assert_eq!(overwrites.send().await.unwrap().status(), 403);
    }
    for (path, content) in [
        ("there.txt", Some(TREASURE)),
        ("later.txt", Some(TREASURE)),
        ("../mine.txt", None),
    ] {
        let id = there
            .replace("private/there.txt", &format!("private/{path}"))
            .replace("private/../", "");
        let own = storage(
            &alice.token,
            "batchGetDownloadUrl",
            json!({"file_list": [{"fileid": id}]}),
        )
        .await;
        let item = &own["data"]["download_list"][0];
        match content {
            None => assert_eq!(item["code"], "STORAGE_FILE_NONEXIST", "{own}"),
            Some(content) => {
                let kept = dev.client.get(text(&item["tempFileURL"])).send().await.unwrap();
                assert_eq!(kept.text().await.unwrap(), content);
            }
        }
    }
}
