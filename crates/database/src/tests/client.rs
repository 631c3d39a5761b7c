//! The database as clients have it: each level for every operation, rules, and what somebody does who is after another's documents.

use std::task::Poll;

use bson::{Bson, DateTime, Document, doc};
use docdb::{Context, expr::Variables, query::Filter};
use rules::{Caller, Documents, Level, Operation, Permission, Request, Subject};

use super::{documents, memory};
use crate::{
    Aggregate, ClientDatabase, ClientError, ClientRequest, Database, DatabaseError, Embedded, Find,
    IndexSpec, OWNER, Permissions,
};

const NOW: i64 = 1_700_000_000_000;

/// Alice has one document, bob has two, and a function made one; bob's secret is a thing to learn.
async fn notes() -> Embedded {
    let database = memory();
    for name in ["notes", "shops"] {
        database.create_collection(name).await.unwrap();
    }
    let stored = vec![
        doc! {"_id": "a1", OWNER: "alice", "n": 1, "public": true},
        doc! {"_id": "b1", OWNER: "bob", "n": 2, "secret": "swordfish", "public": false},
        doc! {"_id": "b2", OWNER: "bob", "n": 3, "public": true},
        doc! {"_id": "f1", "n": 4, "public": false},
    ];
    database.insert("notes", stored, None).await.unwrap();
    let shop = doc! {"_id": "s1", "owners": ["alice"]};
    database.insert("shops", vec![shop], None).await.unwrap();
    database
}

fn level(level: Level) -> Permissions {
    Permissions {
        default: Permission::Level(level),
        ..Permissions::default()
    }
}

fn rule(read: &str, write: &str) -> Permissions {
    let rules = format!(r#"{{"read": {read:?}, "write": {write:?}}}"#);
    Permissions {
        default: Permission::Rules(Box::new(rules.parse().unwrap())),
        ..Permissions::default()
    }
}

struct Client {
    database: Embedded,
    permissions: Permissions,
    caller: Caller,
}

impl Client {
    async fn new(name: &str, permissions: Permissions) -> Self {
        Self {
            database: notes().await,
            permissions,
            caller: Caller::of_openid(name),
        }
    }

    fn view(&self) -> ClientDatabase<'_> {
        ClientDatabase {
            database: &self.database,
            permissions: &self.permissions,
            caller: &self.caller,
            now: NOW,
        }
    }

    /// The ids that a query finds, or why not.
    async fn reads(&self, filter: Document) -> String {
        let find = Find {
            filter,
            sort: Some(doc! {"_id": 1}),
            ..Find::default()
        };
        told(
            self.view()
                .find("notes", find)
                .await
                .map(|found| ids(&documents(&found))),
        )
    }

    async fn counts(&self, filter: Document) -> String {
        told(self.view().count("notes", filter).await.map(|tally| tally.count))
    }

    async fn sums(&self, stages: Vec<Document>) -> String {
        let found = self.view().aggregate("notes", stages).await;
        told(found.map(|found| Bson::from(documents(&found)).to_string()))
    }

    async fn adds(&self, document: Document) -> String {
        told(
            self.view()
                .insert("notes", vec![document])
                .await
                .map(|ids| ids[0].to_string()),
        )
    }

    async fn updates(&self, filter: Document, operators: Document) -> String {
        let updated = self.view().update("notes", filter, operators, true).await;
        told(updated.map(|updated| updated.modified))
    }

    async fn sets(&self, id: &str, document: Document) -> String {
        let updated = self.view().set("notes", id.into(), document).await;
        told(updated.map(|updated| format!("{} {}", updated.modified, updated.upserted.is_some())))
    }

    async fn removes(&self, filter: Document) -> String {
        told(
            self.view()
                .remove("notes", filter, true)
                .await
                .map(|tally| tally.count),
        )
    }

    /// A document as it is kept.
    async fn kept(&self, id: &str) -> Option<Document> {
        let find = Find {
            filter: doc! {"_id": id},
            ..Find::default()
        };
        let found = self.database.find("notes", find, None).await.unwrap();
        documents(&found).into_iter().next()
    }
}

fn told<T: ToString>(answer: Result<T, ClientError>) -> String {
    match answer {
        Ok(value) => value.to_string(),
        Err(ClientError::Denied(_) | ClientError::NotForClients(_)) => "denied".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn ids(found: &[Document]) -> String {
    let ids: Vec<&str> = found
        .iter()
        .map(|document| document.get_str("_id").unwrap())
        .collect();
    ids.join(" ")
}

#[tokio::test]
async fn each_level_for_every_operation() {
    // What alice gets: all she may read, counted; an update of all and of bob's; a set of bob's and of a new one; an add; removals.
    for (of, read, count, update, update_bobs, set_bobs, set_new, add, remove_bobs, remove) in [
        (
            Level::ReadOnly,
            "a1 b1 b2 f1",
            "4",
            "1",
            "0",
            "denied",
            "0 true",
            "\"n1\"",
            "0",
            "3",
        ),
        (
            Level::Private,
            "a1",
            "1",
            "1",
            "0",
            "denied",
            "0 true",
            "\"n1\"",
            "0",
            "3",
        ),
        (
            Level::AdminWrite,
            "a1 b1 b2 f1",
            "4",
            "denied",
            "denied",
            "denied",
            "denied",
            "denied",
            "denied",
            "denied",
        ),
        (
            Level::AdminOnly,
            "denied",
            "denied",
            "denied",
            "denied",
            "denied",
            "denied",
            "denied",
            "denied",
            "denied",
        ),
    ] {
        let alice = Client::new("alice", level(of)).await;
        let name = of.name();
        assert_eq!(alice.reads(doc! {}).await, read, "{name}");
        assert_eq!(alice.counts(doc! {}).await, count, "{name}");
        let change = || doc! {"$set": {"changed": true}};
        assert_eq!(alice.updates(doc! {}, change()).await, update, "{name}");
        assert_eq!(
            alice.updates(doc! {"_id": "b1"}, change()).await,
            update_bobs,
            "{name}"
        );
        assert_eq!(alice.sets("b1", doc! {"mine": true}).await, set_bobs, "{name}");
        assert_eq!(alice.sets("a2", doc! {"n": 1}).await, set_new, "{name}");
        assert_eq!(alice.adds(doc! {"_id": "n1", "n": 5}).await, add, "{name}");
        assert_eq!(alice.removes(doc! {"_id": "b1"}).await, remove_bobs, "{name}");
        assert_eq!(alice.removes(doc! {}).await, remove, "{name}");
        // Whatever came of it, bob's are as they were.
        let bobs = alice.kept("b1").await.unwrap();
        assert_eq!(
            bobs,
            doc! {"_id": "b1", OWNER: "bob", "n": 2, "secret": "swordfish", "public": false},
            "{name}"
        );
        assert!(
            alice
                .kept("f1")
                .await
                .is_some_and(|kept| !kept.contains_key("changed")),
            "{name}"
        );
    }
}

#[tokio::test]
async fn what_a_client_adds_is_its_own_and_stays_it() {
    let alice = Client::new("alice", level(Level::Private)).await;
    alice.adds(doc! {"_id": "n1", "n": 1}).await;
    let kept = alice.kept("n1").await.unwrap();
    assert_eq!(kept, doc! {"_id": "n1", OWNER: "alice", "n": 1});
    assert_eq!(alice.sets("n1", doc! {"n": 2}).await, "1 false");
    assert_eq!(
        alice.kept("n1").await.unwrap(),
        doc! {"_id": "n1", OWNER: "alice", "n": 2}
    );
    let refused = "Invalid Key Name: _openid";
    assert_eq!(alice.adds(doc! {OWNER: "bob"}).await, refused);
    assert_eq!(alice.adds(doc! {OWNER: "alice"}).await, refused);
    assert_eq!(alice.sets("n1", doc! {OWNER: "bob"}).await, refused);
    for operators in [
        doc! {"$set": {OWNER: "bob"}},
        doc! {"$set": {"_openid.x": 1}},
        doc! {"$unset": {OWNER: ""}},
        doc! {"$rename": {"n": OWNER}},
        doc! {"$rename": {OWNER: "n"}},
        doc! {"$setOnInsert": {OWNER: "bob"}},
    ] {
        assert_eq!(
            alice.updates(doc! {}, operators.clone()).await,
            refused,
            "{operators}"
        );
    }
    assert_eq!(
        alice
            .updates(doc! {"_id": "n1"}, doc! {"$set": {"n": OWNER}})
            .await,
        "1"
    );
}

#[tokio::test]
async fn an_update_is_by_operators_and_a_set_by_a_document() {
    let rules = rule(
        "true",
        "doc._openid == auth.openid && request.data.role != 'admin'",
    );
    for permissions in [level(Level::Private), rules] {
        let alice = Client::new("alice", permissions).await;
        let stored = alice.kept("a1").await;
        for change in [
            doc! {OWNER: "bob", "role": "admin"},
            doc! {"role": "admin"},
            doc! {"role": "admin", "$set": {"n": 2}},
            doc! {"$set": {"n": 2}, "role": "admin"},
            doc! {"$set": {"n": 2}, OWNER: "bob"},
        ] {
            for many in [false, true] {
                let refused = alice
                    .view()
                    .update("notes", doc! {"_id": "a1"}, change.clone(), many)
                    .await;
                let is_refused = matches!(
                    refused,
                    Err(ClientError::WritesOwner | ClientError::Database(DatabaseError::Refused(_)))
                );
                assert!(is_refused, "{change}: {refused:?}");
            }
        }
        for document in [
            doc! {"$set": {OWNER: "bob"}},
            doc! {"n": 1, "$set": {"role": "admin"}},
        ] {
            let refused = alice.view().set("notes", "a1".into(), document.clone()).await;
            assert!(
                matches!(refused, Err(ClientError::Database(DatabaseError::Refused(_)))),
                "{document}: {refused:?}"
            );
        }
        assert_eq!(alice.kept("a1").await, stored);
    }
}

/// The update asks for the document whose owner was judged. Here it never finds it, as where others write it all the time: the owner
/// that stands in it is a condition.
#[tokio::test]
async fn a_set_that_is_not_done_says_so() {
    let alice = Client::new("alice", rule("true", "true")).await;
    let moving = doc! {"_id": "m1", OWNER: {"$exists": false}, "n": 1};
    alice
        .database
        .insert("notes", vec![moving.clone()], None)
        .await
        .unwrap();
    let set = alice.view().set("notes", "m1".into(), doc! {"n": 2}).await;
    assert!(
        matches!(
            set,
            Err(ClientError::Database(DatabaseError::TransactionConflict))
        ),
        "{set:?}"
    );
    assert_eq!(alice.kept("m1").await, Some(moving));
}

#[tokio::test]
async fn an_update_of_nothing_is_judged_and_writes_nothing() {
    let alice = Client::new("alice", level(Level::Private)).await;
    let stored = alice.kept("a1").await;
    assert_eq!(alice.updates(doc! {}, doc! {}).await, "0");
    assert_eq!(alice.updates(doc! {"_id": "a1"}, doc! {}).await, "0");
    assert_eq!(alice.kept("a1").await, stored);
    let alice = Client::new("alice", level(Level::AdminOnly)).await;
    assert_eq!(alice.updates(doc! {}, doc! {}).await, "denied");
}

#[tokio::test]
async fn nobody_learns_of_anothers_document_by_a_query() {
    let alice = Client::new("alice", level(Level::Private)).await;
    for filter in [
        doc! {"_id": "b1"},
        doc! {OWNER: "bob"},
        doc! {OWNER: {"$ne": "alice"}},
        doc! {"$or": [{OWNER: "bob"}, {"n": 2}]},
        doc! {"$nor": [{OWNER: "alice"}]},
        doc! {"$and": [{OWNER: "bob"}]},
        doc! {"secret": {"$exists": true}},
        doc! {"$expr": {"$eq": ["$_openid", "bob"]}},
    ] {
        assert_eq!(alice.reads(filter.clone()).await, "", "{filter}");
        assert_eq!(alice.counts(filter.clone()).await, "0", "{filter}");
        assert_eq!(
            alice.updates(filter.clone(), doc! {"$set": {"x": 1}}).await,
            "0",
            "{filter}"
        );
        assert_eq!(alice.removes(filter.clone()).await, "0", "{filter}");
    }
    // An expression that fails at bob's document would tell of it.
    let telling = |guess: &str| {
        let fails = doc! {"$divide": [1, {"$subtract": ["$n", "$n"]}]};
        doc! {"$expr": {"$cond": [{"$eq": ["$secret", guess]}, fails, true]}}
    };
    for guess in ["swordfish", "x"] {
        assert_eq!(alice.reads(telling(guess)).await, "a1");
        assert_eq!(alice.counts(telling(guess)).await, "1");
        assert_eq!(
            alice
                .sums(vec![doc! {"$match": telling(guess)}, doc! {"$count": "n"}])
                .await,
            "[{ \"n\": 1 }]"
        );
    }
}

/// A server looks at the parts of a query in an order of its own: each is tried by itself.
#[tokio::test]
async fn an_expression_is_not_tried_on_anothers_document_wherever_it_stands() {
    let fails = || doc! {"$expr": {"$divide": [1, {"$subtract": ["$n", "$n"]}]}};
    let bobs = doc! {"_id": "b1", OWNER: "bob", "n": 2};
    let context = Context::new(DateTime::from_millis(NOW), 0);
    let nested = [
        doc! {"$or": [fails(), {"n": 9}]},
        doc! {"$nor": [fails()]},
        doc! {"$and": [{"$or": [{"$and": [fails()]}]}]},
        doc! {"$or": [{"$nor": [{"$or": [fails()]}]}]},
    ];
    for mut filter in nested.iter().cloned().chain([fails(), doc! {"$and": [fails()]}]) {
        crate::client::guard_expressions(&mut filter, "alice");
        let parsed = Filter::parse(&filter).unwrap();
        parsed
            .matches(&bobs, &Variables::default(), &context)
            .unwrap_or_else(|error| panic!("{filter}: {error}"));
    }
    let alice = Client::new("alice", level(Level::Private)).await;
    let own = doc! {"$expr": {"$eq": ["$n", 1]}};
    assert_eq!(alice.reads(doc! {"$or": [own, {"n": 9}]}).await, "a1");
    for filter in nested {
        let later = vec![doc! {"$match": {}}, doc! {"$match": filter.clone()}];
        assert_eq!(alice.sums(later).await, "denied", "{filter}");
        let mut filter = filter;
        filter.insert(OWNER, "alice");
        let ruled = Client::new("alice", rule("doc._openid == auth.openid", "false")).await;
        assert_eq!(ruled.reads(filter.clone()).await, "denied", "{filter}");
    }
}

#[tokio::test]
async fn what_fails_at_a_document_is_told_apart_from_what_is_no_query() {
    let alice = Client::new("alice", level(Level::Private)).await;
    let find = |filter| Find {
        filter,
        ..Find::default()
    };
    let fails = doc! {"$expr": {"$toInt": {"$concat": ["x", {"$toString": "$n"}]}}};
    let failed = alice.view().find("notes", find(fails.clone())).await;
    assert!(matches!(failed, Err(ClientError::Fails(_))), "{failed:?}");
    let failed = alice
        .view()
        .aggregate("notes", vec![doc! {"$match": fails}])
        .await;
    assert!(matches!(failed, Err(ClientError::Fails(_))), "{failed:?}");
    let failed = alice
        .view()
        .update("notes", doc! {}, doc! {"$inc": {"public": 1}}, true)
        .await;
    assert!(matches!(failed, Err(ClientError::Fails(_))), "{failed:?}");
    let wrong = alice.view().find("notes", find(doc! {"n": {"$gtt": 1}})).await;
    assert!(
        matches!(wrong, Err(ClientError::Database(DatabaseError::Refused(_)))),
        "{wrong:?}"
    );
}

#[tokio::test]
async fn nobody_learns_of_anothers_document_by_a_pipeline() {
    let alice = Client::new("alice", level(Level::Private)).await;
    let count = doc! {"$count": "n"};
    assert_eq!(alice.sums(vec![count.clone()]).await, "[{ \"n\": 1 }]");
    assert_eq!(
        alice
            .sums(vec![doc! {"$match": {OWNER: "bob"}}, count.clone()])
            .await,
        "[]"
    );
    assert_eq!(
        alice
            .sums(vec![doc! {"$group": {"_id": null, "n": {"$sum": "$n"}}}])
            .await,
        "[{ \"_id\": null, \"n\": 1 }]"
    );
    assert_eq!(
        alice
            .sums(vec![doc! {"$sample": {"size": 9}}, count.clone()])
            .await,
        "[{ \"n\": 1 }]"
    );
    let from = doc! {"from": "notes", "localField": "x", "foreignField": "y", "as": "all"};
    for stage in [
        doc! {"$lookup": from},
        doc! {"$graphLookup": {"from": "notes", "startWith": "$n", "connectFromField": "n", "connectToField": "n", "as": "all"}},
        doc! {"$unionWith": "notes"},
        doc! {"$facet": {"a": [{"$lookup": {"from": "notes", "pipeline": [], "as": "all"}}]}},
        doc! {"$out": "shops"},
        doc! {"$merge": "shops"},
        doc! {"$match": {}, "$unionWith": "notes"},
        doc! {"$indexStats": {}},
        doc! {"$project": {"x": {"$function": {"body": "return 1", "args": [], "lang": "js"}}}},
    ] {
        assert_eq!(alice.sums(vec![stage.clone()]).await, "denied", "{stage}");
        assert_eq!(
            alice.sums(vec![doc! {"$match": {}}, stage.clone()]).await,
            "denied",
            "{stage}"
        );
    }
}

#[tokio::test]
async fn geo_near_finds_the_callers_own() {
    let alice = Client::new("alice", level(Level::Private)).await;
    let near =
        doc! {"$geoNear": {"near": {"type": "Point", "coordinates": [1.0, 0.0]}, "distanceField": "far"}};
    let found = alice.sums(vec![near]).await;
    assert_eq!(
        found, "unable to find index for $geoNear query",
        "no document is to blame"
    );
    let spec = IndexSpec::of_fields(&["at"], true).unwrap();
    alice.database.create_index("notes", spec).await.unwrap();
    let place = |at: f64| doc! {"type": "Point", "coordinates": [at, 0.0]};
    for (id, owner) in [("g1", "alice"), ("g2", "bob")] {
        let document = doc! {"_id": id, OWNER: owner, "at": place(1.0)};
        alice
            .database
            .insert("notes", vec![document], None)
            .await
            .unwrap();
    }
    let near = doc! {"$geoNear": {"near": place(1.0), "distanceField": "far", "query": {}}};
    let found = alice.sums(vec![near, doc! {"$project": {"_id": 1}}]).await;
    assert_eq!(found, "[{ \"_id\": \"g1\" }]");
    let near = doc! {"at": {"$nearSphere": {"$geometry": place(1.0)}}};
    let find = Find {
        filter: near,
        ..Find::default()
    };
    let found = alice.view().find("notes", find).await.unwrap();
    assert_eq!(ids(&documents(&found)), "g1");
}

#[tokio::test]
async fn a_rule_lets_through_what_lies_within_it() {
    let rules = rule(
        "doc.public == true || doc._openid == auth.openid",
        "doc._openid == auth.openid",
    );
    let alice = Client::new("alice", rules).await;
    assert_eq!(alice.reads(doc! {"public": true}).await, "a1 b2");
    assert_eq!(alice.reads(doc! {OWNER: "{openid}"}).await, "a1");
    assert_eq!(alice.counts(doc! {"public": true}).await, "2");
    for filter in [
        doc! {},
        doc! {"public": false},
        doc! {"n": {"$gt": 0}},
        doc! {OWNER: "bob"},
    ] {
        assert_eq!(alice.reads(filter.clone()).await, "denied", "{filter}");
        assert_eq!(alice.counts(filter.clone()).await, "denied", "{filter}");
        let stages = vec![doc! {"$match": filter.clone()}];
        assert_eq!(alice.sums(stages).await, "denied", "{filter}");
    }
    assert_eq!(alice.sums(vec![doc! {"$count": "n"}]).await, "denied");
    assert_eq!(
        alice
            .sums(vec![doc! {"$match": {"public": true}}, doc! {"$count": "n"}])
            .await,
        "[{ \"n\": 2 }]"
    );
    let change = || doc! {"$set": {"x": 1}};
    assert_eq!(alice.updates(doc! {OWNER: "{openid}"}, change()).await, "1");
    assert_eq!(alice.updates(doc! {"public": true}, change()).await, "denied");
    assert_eq!(alice.removes(doc! {"public": true}).await, "denied");
    assert_eq!(alice.adds(doc! {"_id": "n1"}).await, "\"n1\"");
}

#[tokio::test]
async fn a_document_by_its_id_is_judged_as_it_stands() {
    let alice = Client::new("alice", rule("doc.public == true", "doc._openid == auth.openid")).await;
    assert_eq!(alice.reads(doc! {"_id": "b2"}).await, "b2");
    // One that is not there is not told apart from one that is kept back.
    assert_eq!(alice.reads(doc! {"_id": "b1"}).await, "denied");
    assert_eq!(alice.reads(doc! {"_id": "gone"}).await, "denied");
    let text = |answer: Result<_, ClientError>| answer.unwrap_err().to_string();
    let by_id = |id: &str| Find {
        filter: doc! {"_id": id},
        ..Find::default()
    };
    let (kept_back, gone) = (
        text(alice.view().find("notes", by_id("b1")).await),
        text(alice.view().find("notes", by_id("gone")).await),
    );
    assert_eq!(kept_back, gone);
    let change = || doc! {"$set": {"x": 1}};
    assert_eq!(alice.updates(doc! {"_id": "a1"}, change()).await, "1");
    assert_eq!(alice.updates(doc! {"_id": "b2"}, change()).await, "denied");
    assert_eq!(alice.sets("a1", doc! {"n": 9}).await, "1 false");
    assert_eq!(
        alice.kept("a1").await.unwrap(),
        doc! {"_id": "a1", OWNER: "alice", "n": 9}
    );
    assert_eq!(alice.sets("b2", doc! {"n": 9}).await, "denied");
    assert_eq!(alice.sets("new", doc! {"n": 9}).await, "0 true");
    assert_eq!(alice.removes(doc! {"_id": "b2"}).await, "denied");
    assert_eq!(alice.removes(doc! {"_id": "a1"}).await, "1");
    // Several ids are not one.
    assert_eq!(alice.reads(doc! {"_id": {"$in": ["b2", "b1"]}}).await, "denied");
    assert_eq!(alice.reads(doc! {"_id": {"$gte": "b2"}}).await, "denied");
}

#[tokio::test]
async fn an_expression_that_fails_tells_nothing_of_what_a_rule_keeps_back() {
    let alice = Client::new("alice", rule("doc._openid == auth.openid", "false")).await;
    let fails = doc! {"$divide": [1, {"$subtract": ["$n", "$n"]}]};
    let telling = doc! {
        "$expr": {"$cond": [{"$eq": ["$secret", "swordfish"]}, fails, true]},
        OWNER: "alice",
    };
    assert_eq!(alice.reads(telling.clone()).await, "a1");
    assert_eq!(alice.counts(telling.clone()).await, "1");
    assert_eq!(
        alice
            .sums(vec![doc! {"$match": telling}, doc! {"$count": "n"}])
            .await,
        "[{ \"n\": 1 }]"
    );
}

/// Who may change a document, and not read it, has a hidden value moved to where it is told of.
#[tokio::test]
async fn a_value_that_is_taken_is_not_told_to_who_may_not_read_it() {
    let rules = r#"{"read": "doc._openid == auth.openid", "write": true}"#;
    let alice = Client::new(
        "alice",
        Permissions {
            default: Permission::Rules(Box::new(rules.parse().unwrap())),
            ..Permissions::default()
        },
    )
    .await;
    let mut phone = IndexSpec::of_fields(&["phone"], false).unwrap();
    phone.unique = true;
    phone.sparse = true;
    alice.database.create_index("notes", phone).await.unwrap();
    let taken = doc! {"_id": "b3", OWNER: "bob", "phone": "swordfish"};
    alice.database.insert("notes", vec![taken], None).await.unwrap();
    let moved = alice
        .updates(doc! {"_id": "b1"}, doc! {"$rename": {"secret": "phone"}})
        .await;
    assert!(
        moved.starts_with("E11000") && moved.ends_with("dup key: { phone: ? }"),
        "{moved}"
    );
    // What she writes herself she knows.
    let added = alice.adds(doc! {"_id": "n1", "phone": "swordfish"}).await;
    assert!(added.contains("swordfish"), "{added}");
}

/// Where a proof takes long it is made all the same, beside whoever serves.
#[tokio::test]
async fn a_query_that_takes_long_to_judge_is_judged() {
    let alice = Client::new("alice", rule("doc._openid == auth.openid", "false")).await;
    let mut choices: Vec<Document> = (0..10)
        .map(|at| doc! {"$or": [{format!("a{at}"): null}, {format!("b{at}"): 1}]})
        .collect();
    choices
        .push(doc! {"$or": [{OWNER: "alice", "n": 1}, {OWNER: "alice", "n": 2}, {OWNER: "alice", "n": 3}]});
    let asked = doc! {"$and": choices};
    let Permission::Rules(rules) = alice.permissions.of("notes") else {
        panic!("notes has rules");
    };
    let filter = Filter::parse(&asked).unwrap();
    let request = Request {
        caller: &alice.caller,
        now: NOW,
        data: None,
    };
    let at_once = rules.judge_at_once(
        Operation::Read,
        Subject::Query(&filter),
        &request,
        &Documents::new(),
    );
    assert_eq!(at_once, None, "it takes long");
    assert_eq!(alice.reads(asked.clone()).await, "a1");
    assert_eq!(
        alice
            .sums(vec![doc! {"$match": asked}, doc! {"$count": "n"}])
            .await,
        "[{ \"n\": 1 }]"
    );
}

#[tokio::test]
async fn a_list_does_not_pass_where_one_value_was_counted_with() {
    let alice = Client::new("alice", rule("doc.public != false", "false")).await;
    let listed = doc! {"_id": "l1", OWNER: "bob", "public": [true, false]};
    alice.database.insert("notes", vec![listed], None).await.unwrap();
    assert_eq!(alice.reads(doc! {"public": true}).await, "a1 b2");
}

#[tokio::test]
async fn a_rule_reads_the_documents_that_it_names() {
    let rules = rule("auth.openid in get(`database.shops.${doc.shop}`).owners", "false");
    let alice = Client::new("alice", rules.clone()).await;
    let of_shop = doc! {"_id": "o1", OWNER: "bob", "shop": "s1"};
    alice
        .database
        .insert("notes", vec![of_shop.clone()], None)
        .await
        .unwrap();
    assert_eq!(alice.reads(doc! {"shop": "s1"}).await, "o1");
    assert_eq!(alice.reads(doc! {"_id": "o1"}).await, "o1");
    assert_eq!(alice.reads(doc! {"shop": "s2"}).await, "denied");
    assert_eq!(alice.reads(doc! {"_id": "a1"}).await, "denied");
    let carol = Client::new("carol", rules).await;
    carol.database.insert("notes", vec![of_shop], None).await.unwrap();
    assert_eq!(carol.reads(doc! {"shop": "s1"}).await, "denied");
    assert_eq!(carol.reads(doc! {"_id": "o1"}).await, "denied");
}

#[tokio::test]
async fn who_has_not_logged_in_has_rules_alone() {
    let mut nobody = Client::new("alice", level(Level::ReadOnly)).await;
    nobody.caller = Caller::default();
    assert_eq!(nobody.reads(doc! {}).await, "denied");
    nobody.permissions = rule("true", "true");
    assert_eq!(nobody.reads(doc! {}).await, "a1 b1 b2 f1");
    assert_eq!(nobody.adds(doc! {"_id": "n1"}).await, "\"n1\"");
    assert!(!nobody.kept("n1").await.unwrap().contains_key(OWNER));
    nobody.permissions = rule("doc._openid == auth.openid", "doc._openid == auth.openid");
    for filter in [
        doc! {OWNER: null},
        doc! {OWNER: {"$exists": false}},
        doc! {"_id": "f1"},
        doc! {OWNER: "{openid}"},
    ] {
        assert_eq!(nobody.reads(filter.clone()).await, "denied", "{filter}");
        assert_eq!(nobody.removes(filter.clone()).await, "denied", "{filter}");
    }
}

#[tokio::test]
async fn collections_have_permissions_of_their_own() {
    let mut alice = Client::new("alice", level(Level::Private)).await;
    let admin = Permission::Level(Level::AdminOnly);
    alice.permissions.collections.insert("shops".to_owned(), admin);
    assert_eq!(
        told(
            alice
                .view()
                .count("shops", doc! {})
                .await
                .map(|tally| tally.count)
        ),
        "denied"
    );
    assert_eq!(alice.counts(doc! {}).await, "1");
    let missing = alice.view().count("none", doc! {}).await;
    assert!(matches!(
        missing,
        Err(ClientError::Database(DatabaseError::CollectionMissing(_)))
    ));
    // What functions have is not touched by any of it.
    let all = alice
        .database
        .aggregate("shops", Aggregate::default(), None)
        .await
        .unwrap();
    assert_eq!(all.documents.len(), 1);
}

/// A condition with so many patterns.
fn searches(count: usize, pattern: &str) -> Document {
    doc! {"$or": vec![Bson::from(doc! {"secret": {"$regex": pattern}}); count]}
}

#[tokio::test]
async fn patterns_of_a_client_are_counted_before_one_is_compiled() {
    let alice = Client::new("alice", level(Level::ReadOnly)).await;
    assert_eq!(alice.counts(searches(64, "swordfish")).await, "1");
    // One that is compiled would be refused as none.
    let many = "there are 65 regular expressions, and 64 are the most: write some of them as one, with |";
    let search = doc! {"$regexMatch": {"input": "$secret", "regex": "("}};
    let any = doc! {"$or": vec![Bson::from(search); 65]};
    assert_eq!(alice.reads(searches(65, "(")).await, many);
    assert_eq!(alice.reads(doc! {"$expr": any.clone()}).await, many);
    assert_eq!(
        alice.sums(vec![doc! {"$project": {"is": any.clone()}}]).await,
        many
    );
    assert_eq!(alice.sums(vec![doc! {"$match": searches(65, "(")}]).await, many);
    let shown = Find {
        projection: Some(doc! {"is": any}),
        ..Find::default()
    };
    assert_eq!(
        told(alice.view().find("notes", shown).await.map(|_| "found")),
        many
    );
    let own = doc! {"_id": "a1"};
    assert_eq!(
        alice
            .updates(own.clone(), doc! {"$pull": {"list": searches(65, "(")}})
            .await,
        many
    );
    // What is stored is not compiled.
    let stored = vec![Bson::from(doc! {"$regex": "("}); 65];
    assert_eq!(
        alice
            .updates(own, doc! {"$push": {"list": {"$each": stored}}})
            .await,
        "1"
    );
    // One alone may not be too large either.
    let large = alice.reads(searches(1, r"\pL{200}")).await;
    assert!(large.contains("Regular expression is invalid"), "{large}");
}

#[test]
fn what_takes_long_to_parse_is_parsed_beside_the_thread_that_serves() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .build();
    runtime.unwrap().block_on(async {
        let alice = Client::new("alice", level(Level::ReadOnly)).await;
        let view = alice.view();
        // The one other thread is busy.
        let (free, held) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || held.recv());
        let short = view
            .judge_request("notes", ClientRequest::Read(doc! {"n": 1}))
            .await;
        assert_eq!(short.unwrap(), doc! {"n": 1});
        let long = doc! {"n": {"$in": (0..10_000).collect::<Vec<i32>>()}};
        let mut judged = Vec::new();
        for filter in [searches(1, "x"), long] {
            let mut judging = Box::pin(view.judge_request("notes", ClientRequest::Read(filter)));
            let is_pending =
                std::future::poll_fn(|context| Poll::Ready(judging.as_mut().poll(context).is_pending()));
            assert!(is_pending.await);
            judged.push(judging);
        }
        drop(free);
        assert!(busy.await.unwrap().is_err());
        for judging in judged {
            judging.await.unwrap();
        }
    });
}

/// Whatever a client writes, others have to read: no document of one grows beyond 512 KB, however it is grown.
#[tokio::test]
async fn what_a_client_writes_has_its_size() {
    const REFUSED: &str = "what a client writes may have 512 KB, and so may the document that comes of it";
    let alice = Client::new("alice", level(Level::ReadOnly)).await;
    let text = |kib: usize| "x".repeat(kib << 10);
    assert_eq!(alice.adds(doc! {"_id": "large", "t": text(512)}).await, REFUSED);
    assert_eq!(alice.sets("large", doc! {"t": text(512)}).await, REFUSED);
    assert_eq!(alice.sets("a1", doc! {"t": text(512)}).await, REFUSED);
    assert!(alice.kept("large").await.is_none());
    // Many small fields are counted as what they are.
    let numbers: Vec<i32> = (0..40_000).collect();
    assert_eq!(alice.adds(doc! {"_id": "n1", "list": numbers}).await, "\"n1\"");
    let own = doc! {"_id": "a1"};
    let by = |operators: Document| alice.updates(doc! {"_id": "a1"}, operators);
    assert_eq!(by(doc! {"$set": {"t": text(512)}}).await, REFUSED);
    assert_eq!(by(doc! {"$set": {"t": text(300), "list": [0, 0, 0]}}).await, "1");
    // The same again, in its place; and another such beside it, in each way that there is.
    assert_eq!(by(doc! {"$set": {"t": text(301)}}).await, "1");
    for more in [
        doc! {"$set": {"u": text(300)}},
        doc! {"$push": {"list": {"$each": [text(300)]}}},
        doc! {"$addToSet": {"other": text(300)}},
        doc! {"$set": {"list.$[]": text(100)}},
        doc! {"$set": {"list.100000": 1}},
    ] {
        assert_eq!(by(more.clone()).await, REFUSED, "{}", more.keys().next().unwrap());
        assert_eq!(alice.updates(doc! {}, more).await, REFUSED);
    }
    assert_eq!(by(doc! {"$set": {"list.1": text(100)}}).await, "1");
    // What a function has made larger may be changed, and grows no more.
    let larger = crate::Update {
        filter: own,
        kind: crate::UpdateKind::Operators(doc! {"$set": {"u": text(600)}}),
        array_filters: Vec::new(),
        many: false,
        sort: None,
        upsert: None,
        largest: None,
        returns: None,
    };
    alice.database.update("notes", larger, None).await.unwrap();
    assert_eq!(by(doc! {"$set": {"n": 5}}).await, "1");
    assert_eq!(by(doc! {"$set": {"v": "more"}}).await, REFUSED);
    assert_eq!(by(doc! {"$unset": {"u": ""}}).await, "1");
}

/// The size is judged of what is written: neither by many updates at once nor by a query that says something else each time does a document
/// grow beyond it.
#[tokio::test]
async fn no_way_leads_round_the_size() {
    let alice = Client::new("alice", level(Level::ReadOnly)).await;
    let text = "x".repeat(100 << 10);
    let size = async || alice.kept("a1").await.unwrap().to_vec().unwrap().len();
    let view = alice.view();
    let updates = (0..30).map(|at| {
        let operators = doc! {"$set": {format!("f{at}"): text.as_str()}};
        view.update("notes", doc! {"_id": "a1"}, operators, at % 2 == 0)
    });
    let done = futures_util::future::join_all(updates).await;
    let refused = done
        .iter()
        .filter(|one| matches!(one, Err(ClientError::TooLarge)))
        .count();
    let changed = done.iter().flatten().map(|one| one.modified).sum::<u64>();
    assert_eq!((refused, changed), (25, 5));
    assert!(size().await <= 512 << 10);
    let by_chance = doc! {"_id": "a1", "$expr": {"$lt": [{"$rand": {}}, 0.5]}};
    for at in 0..60 {
        let operators = doc! {"$set": {format!("g{at}"): text.as_str()}};
        let outcome = view.update("notes", by_chance.clone(), operators, false).await;
        assert!(
            matches!(&outcome, Ok(done) if done.matched == 0)
                || matches!(outcome, Err(ClientError::TooLarge)),
            "{outcome:?}"
        );
    }
    assert!(size().await <= 512 << 10);
}

/// Nobody asked for the documents: more of them are changed than an answer holds.
#[tokio::test]
async fn an_update_of_many_is_no_result() {
    let alice = Client::new("alice", level(Level::ReadOnly)).await;
    let text = "x".repeat(500 << 10);
    for at in 0..110 {
        let large = doc! {"_id": format!("l{at}"), OWNER: "alice", "t": text.as_str(), "items": [{"n": 1}]};
        alice.database.insert("notes", vec![large], None).await.unwrap();
    }
    let read = doc! {"$set": {"items.$[].read": true}};
    let updated = alice.updates(doc! {"t": {"$exists": true}}, read).await;
    assert_eq!(updated, "110");
}
