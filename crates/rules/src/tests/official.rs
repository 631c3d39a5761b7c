//! The rules of the official documents, for every operation.

use bson::{Bson, DateTime, doc};

use super::{NOW, alice, by, creates, denial, query, reads, rules, uma, updates};
use crate::{Caller, DocumentRef, Documents, Verdict, with_identity};

#[test]
fn the_owner_alone_reads_and_writes() {
    let rules = by("doc._openid == auth.openid");
    let mut own = doc! {"_openid": "{openid}", "done": false};
    with_identity(&mut own, &alice());
    assert!(reads(&rules, &alice(), own));
    for (asked, passes) in [
        (doc! {"_openid": "alice"}, true),
        (doc! {"_openid": {"$eq": "alice"}}, true),
        (doc! {"_openid": {"$in": ["alice"]}}, true),
        (doc! {"$and": [{"done": true}, {"_openid": "alice"}]}, true),
        (
            doc! {"$or": [{"_openid": "alice", "a": 1}, {"_openid": "alice", "a": 2}]},
            true,
        ),
        (doc! {"_openid": "bob"}, false),
        (doc! {"_openid": {"$in": ["alice", "bob"]}}, false),
        (doc! {"_openid": {"$ne": "bob"}}, false),
        (doc! {"_openid": {"$gte": "alice"}}, false),
        (doc! {"$or": [{"_openid": "alice"}, {"public": true}]}, false),
        (doc! {"$nor": [{"_openid": "alice"}]}, false),
        (doc! {"_openid": {"$not": {"$eq": "alice"}}}, false),
        (doc! {"_id": "1"}, false),
        (doc! {}, false),
    ] {
        assert_eq!(reads(&rules, &alice(), asked.clone()), passes, "{asked}");
    }
    let (hers, his) = (doc! {"_openid": "alice"}, doc! {"_openid": "bob"});
    assert!(creates(&rules, &alice(), &hers) && !creates(&rules, &alice(), &his));
    let change = doc! {"$set": {"a": 1}};
    assert!(updates(&rules, &alice(), &hers, &change) && !updates(&rules, &alice(), &his, &change));
    // Who has no openid does not own what has none.
    let stranger = Caller::default();
    assert!(!reads(&rules, &stranger, doc! {"_openid": Bson::Null}));
    assert!(!updates(&rules, &stranger, &doc! {"a": 1}, &change));
    assert!(!updates(&rules, &uma(), &doc! {"a": 1}, &change));
}

#[test]
fn all_read_and_the_owner_writes() {
    let rules = rules(r#"{"read": true, "write": "doc._openid == auth.openid"}"#);
    assert!(reads(&rules, &alice(), doc! {}) && reads(&rules, &Caller::default(), doc! {"a": 1}));
    assert!(updates(&rules, &alice(), &doc! {"_openid": "alice"}, &doc! {}));
    assert!(!updates(&rules, &alice(), &doc! {"_openid": "bob"}, &doc! {}));
}

#[test]
fn what_is_missing_of_the_rules_is_write_or_false() {
    let rules = rules(r#"{"write": true, "delete": false}"#);
    assert!(!reads(&rules, &alice(), doc! {}));
    assert!(creates(&rules, &alice(), &doc! {}) && updates(&rules, &alice(), &doc! {}, &doc! {}));
    assert_eq!(rules.rule(crate::Operation::Delete).text(), "false");
}

#[test]
fn what_is_published_and_what_is_ones_own_is_read() {
    let rules = by("doc.published == true || doc.author == auth.openid");
    for (asked, passes) in [
        (doc! {"published": true}, true),
        (doc! {"author": "alice"}, true),
        (doc! {"$or": [{"published": true}, {"author": "alice"}]}, true),
        (doc! {"published": false}, false),
        (doc! {"published": {"$ne": false}}, false),
        (doc! {"$or": [{"published": true}, {"author": "bob"}]}, false),
    ] {
        assert_eq!(reads(&rules, &alice(), asked.clone()), passes, "{asked}");
    }
}

#[test]
fn readers_editors_and_the_owner_pass() {
    let rules = by("auth.uid in doc.readers || auth.uid in doc.editors || doc.owner == auth.uid");
    assert!(reads(&rules, &uma(), doc! {"readers": "uma"}));
    assert!(reads(&rules, &uma(), doc! {"editors": "uma"}));
    assert!(reads(&rules, &uma(), doc! {"editors": {"$in": ["uma"]}}));
    assert!(reads(&rules, &uma(), doc! {"owner": "uma"}));
    assert!(!reads(&rules, &uma(), doc! {"readers": "alice"}));
    assert!(
        !reads(&rules, &alice(), doc! {"readers": "alice"}),
        "alice has no uid"
    );
    let stored = doc! {"readers": ["bob", "uma"], "owner": "bob"};
    assert!(updates(&rules, &uma(), &stored, &doc! {}));
    assert!(!updates(&rules, &alice(), &stored, &doc! {}));
    assert!(
        !updates(&rules, &alice(), &doc! {"title": 1}, &doc! {}),
        "nobody's is not hers"
    );
}

#[test]
fn a_document_is_let_through_within_its_time() {
    let rules = by("now >= doc.startTime && now <= doc.endTime");
    let asked = |start: Bson, end: Bson| doc! {"startTime": {"$lte": start}, "endTime": {"$gte": end}};
    assert!(reads(&rules, &alice(), asked(NOW.into(), NOW.into())));
    assert!(reads(&rules, &alice(), asked((NOW - 1).into(), (NOW + 1).into())));
    assert!(!reads(
        &rules,
        &alice(),
        asked((NOW + 1).into(), (NOW + 1).into())
    ));
    let date = |at: i64| Bson::DateTime(DateTime::from_millis(at));
    assert!(reads(&rules, &alice(), asked(date(NOW), date(NOW))));
    assert!(updates(
        &rules,
        &alice(),
        &doc! {"startTime": date(NOW), "endTime": NOW + 1},
        &doc! {}
    ));
    assert!(!updates(
        &rules,
        &alice(),
        &doc! {"startTime": date(NOW)},
        &doc! {}
    ));
}

#[test]
fn another_document_decides_for_all() {
    let rules = by("get('database.test.123')[auth.uid] in [1,2,3]");
    let named = DocumentRef {
        collection: "test".to_owned(),
        id: "123".to_owned(),
    };
    let empty = Documents::new();
    assert_eq!(
        query(&rules, &uma(), doc! {}, &empty),
        Verdict::Wanted(vec![named.clone()])
    );
    for (document, passes) in [
        (Some(doc! {"uma": 2}), true),
        (Some(doc! {"uma": 4}), false),
        (Some(doc! {}), false),
        (None, false),
    ] {
        let documents = Documents::from([(named.clone(), document)]);
        let verdict = query(&rules, &uma(), doc! {}, &documents);
        assert_eq!(matches!(verdict, Verdict::Allowed(_)), passes, "{verdict:?}");
    }
}

#[test]
fn a_document_that_the_query_names_decides() {
    let rules = by("auth.openid in get(`database.B.${doc.shopId}`).owner");
    let named = DocumentRef {
        collection: "B".to_owned(),
        id: "s1".to_owned(),
    };
    let asked = || doc! {"shopId": "s1"};
    assert_eq!(
        query(&rules, &alice(), asked(), &Documents::new()),
        Verdict::Wanted(vec![named.clone()])
    );
    let documents = Documents::from([(named.clone(), Some(doc! {"owner": ["alice"]}))]);
    assert!(matches!(
        query(&rules, &alice(), asked(), &documents),
        Verdict::Allowed(_)
    ));
    let bob = Caller::of_openid("bob");
    assert!(matches!(
        query(&rules, &bob, asked(), &documents),
        Verdict::Denied(_)
    ));
    let pinned = doc! {"shopId": {"$in": ["s1"]}};
    assert!(matches!(
        query(&rules, &alice(), pinned, &documents),
        Verdict::Allowed(_)
    ));
    let several = doc! {"shopId": {"$in": ["s1", "s2"]}};
    let why = denial(query(&rules, &alice(), several, &documents));
    assert!(why.contains("must give doc.shopId one value"), "{why}");
}

/// The real one fails where the sides are the other way round, which is no reason to.
#[test]
fn the_sides_of_a_comparison_do_not_matter() {
    let named = DocumentRef {
        collection: "t".to_owned(),
        id: "1".to_owned(),
    };
    let documents = Documents::from([(named, Some(doc! {"x": "alice"}))]);
    for rule in [
        "auth.openid == get('database.t.1').x",
        "get('database.t.1').x == auth.openid",
    ] {
        assert!(matches!(
            query(&by(rule), &alice(), doc! {}, &documents),
            Verdict::Allowed(_)
        ));
    }
}

#[test]
fn the_role_of_the_caller_decides() {
    let rules = by("doc.roles[auth.uid] === 'owner'");
    assert!(reads(&rules, &uma(), doc! {"roles.uma": "owner"}));
    assert!(reads(&rules, &uma(), doc! {"roles": {"uma": "owner"}}));
    assert!(!reads(&rules, &uma(), doc! {"roles.uma": "reader"}));
    assert!(!reads(&rules, &uma(), doc! {"roles.bob": "owner"}));
    let dotted = Caller {
        uid: Some("a.b".to_owned()),
        ..Caller::default()
    };
    assert!(!reads(&rules, &dotted, doc! {"roles.a.b": "owner"}));
}

#[test]
fn a_price_stays_as_it_is() {
    let rules =
        by("auth.uid == doc.user_id && (doc.price == request.data.price || request.data.price == undefined)");
    let stored = doc! {"user_id": "uma", "price": 5};
    for (change, passes) in [
        (doc! {"$set": {"name": "x"}}, true),
        (doc! {"$set": {"price": 5}}, true),
        (doc! {"$set": {"price": 1}}, false),
        (doc! {"$set": {"price": null}}, false),
        (doc! {"$set": {"price": Bson::Undefined}}, false),
        (doc! {"$inc": {"price": -4}}, false),
        (doc! {"$unset": {"price": ""}}, false),
        (doc! {"$rename": {"name": "price"}}, false),
        (doc! {"$set": {"price.x": 1}}, false),
        (doc! {"$set": {"name": "x"}, "$mul": {"price": 2}}, false),
    ] {
        assert_eq!(updates(&rules, &uma(), &stored, &change), passes, "{change}");
    }
    assert!(!updates(&rules, &alice(), &stored, &doc! {"$set": {"name": "x"}}));
}

/// Whoever writes null writes.
#[test]
fn what_is_undefined_is_not_written() {
    let stored = doc! {"user_id": "uma", "role": "guest"};
    for (rule, leaves_alone, writes_null, writes) in [
        ("request.data.role === undefined", true, false, false),
        ("undefined == request.data.role", true, false, false),
        ("request.data.role != undefined", false, true, true),
        ("!(request.data.role == undefined)", false, true, true),
        ("request.data.role in [undefined, 'guest']", true, false, true),
        ("request.data.role == null", true, true, false),
        ("request.data.role.name == undefined", true, true, true),
    ] {
        let rules = by(rule);
        for (change, passes) in [
            (doc! {"$set": {"name": "x"}}, leaves_alone),
            (doc! {"$set": {"role": null}}, writes_null),
            (doc! {"$set": {"role": "guest"}}, writes),
        ] {
            assert_eq!(
                updates(&rules, &uma(), &stored, &change),
                passes,
                "{rule}: {change}"
            );
        }
        let unknown = doc! {"$unset": {"role": ""}};
        assert!(!updates(&rules, &uma(), &stored, &unknown), "{rule}");
    }
}

/// What is added is written by the client too; what is stored is a document, of which a missing field is null.
#[test]
fn what_is_undefined_of_a_document_that_is_added_is_not_in_it() {
    for (rule, without, with_null, with) in [
        ("doc.role == undefined", true, false, false),
        ("undefined === doc.role", true, false, false),
        ("doc.role !== undefined", false, true, true),
        ("doc.role in [undefined, 'guest']", true, false, true),
        ("doc.of.role == undefined", true, true, true),
        ("doc.role == null", true, true, false),
        ("doc.role != null", false, false, true),
    ] {
        let rules = by(rule);
        for (document, passes) in [
            (doc! {"name": "x"}, without),
            (doc! {"role": null}, with_null),
            (doc! {"role": "guest"}, with),
        ] {
            assert_eq!(creates(&rules, &uma(), &document), passes, "{rule}: {document}");
        }
        let within = doc! {"of": {"role": null}};
        assert_eq!(
            creates(&rules, &uma(), &within),
            without && !rule.contains("of."),
            "{rule}"
        );
    }
    for document in [doc! {"of": [{"role": "guest"}]}, doc! {"of": [1]}] {
        assert!(
            !creates(&by("doc.of.role == undefined"), &uma(), &document),
            "{document}"
        );
    }
    let rules = by("doc.role == undefined");
    let change = doc! {"$set": {"name": "x"}};
    for stored in [doc! {}, doc! {"role": null}] {
        assert!(updates(&rules, &uma(), &stored, &change), "{stored}");
    }
}

#[test]
fn a_bound_holds_for_every_command() {
    let rules = by("doc.age > 10");
    for (asked, passes) in [
        (doc! {"age": {"$gt": 15}}, true),
        (doc! {"age": {"$gte": 10.5}}, true),
        (doc! {"age": 11}, true),
        (doc! {"age": {"$in": [11, 12]}}, true),
        (doc! {"age": {"$gt": 10, "$lt": 20}}, true),
        (doc! {"$or": [{"age": 11}, {"age": {"$gt": 12}}]}, true),
        (doc! {"age": {"$gt": 8}}, false),
        (doc! {"age": {"$gte": 10}}, false),
        (doc! {"age": {"$in": [9, 12]}}, false),
        (doc! {"age": {"$lt": 20}}, false),
        (doc! {"name": "x"}, false),
        (doc! {}, false),
    ] {
        assert_eq!(reads(&rules, &alice(), asked.clone()), passes, "{asked}");
    }
}

#[test]
fn what_is_deleted_is_not_found() {
    let rules = by("doc.status != 'deleted'");
    assert!(reads(&rules, &alice(), doc! {"status": {"$ne": "deleted"}}));
    assert!(reads(
        &rules,
        &alice(),
        doc! {"status": {"$nin": ["deleted", "hidden"]}}
    ));
    let Verdict::Allowed(guard) = query(&rules, &alice(), doc! {"status": "open"}, &Documents::new()) else {
        panic!("it is within the rule, where it is no list");
    };
    // A list is held to the rule itself.
    let no_list = doc! {"$nor": [{"status": {"$type": "array"}}]};
    let rule = doc! {"$nor": [{"status": {"$eq": "deleted"}}]};
    assert_eq!(guard.conditions(), Some(doc! {"$or": [no_list, rule]}));
    assert!(!reads(
        &rules,
        &alice(),
        doc! {"status": {"$in": ["open", "deleted"]}}
    ));
    assert!(!reads(&rules, &alice(), doc! {}));
}

/// A number means what the query command means by it; `now` alone means dates too.
#[test]
fn a_number_is_no_date() {
    let above = by("doc.age > 10");
    let date = |at: i64| Bson::DateTime(DateTime::from_millis(at));
    assert!(!updates(&above, &alice(), &doc! {"age": date(20)}, &doc! {}));
    assert!(updates(&above, &alice(), &doc! {"age": 20}, &doc! {}));
    assert!(!reads(&above, &alice(), doc! {"age": date(20)}));
    let not_above = by("!(doc.age > 10)");
    assert!(reads(&not_above, &alice(), doc! {"age": {"$not": {"$gt": 10}}}));
    assert!(reads(&not_above, &alice(), doc! {"$nor": [{"age": {"$gt": 10}}]}));
    assert!(!reads(&not_above, &alice(), doc! {"age": {"$not": {"$gt": 11}}}));
    let soon = by("doc.at <= now + 10");
    assert!(updates(&soon, &alice(), &doc! {"at": date(NOW + 10)}, &doc! {}));
    assert!(!updates(&soon, &alice(), &doc! {"at": date(NOW + 11)}, &doc! {}));
    // On either side, and of what is written too.
    for rule in ["request.data.at < now", "now > request.data.at"] {
        let rules = by(rule);
        assert!(creates(&rules, &alice(), &doc! {"at": date(NOW - 1)}), "{rule}");
        assert!(!creates(&rules, &alice(), &doc! {"at": date(NOW)}), "{rule}");
    }
}

#[test]
fn who_has_logged_in_passes() {
    let rules = by("auth != null");
    assert!(reads(&rules, &alice(), doc! {}) && reads(&rules, &uma(), doc! {}));
    assert!(!reads(&rules, &Caller::default(), doc! {}));
    let by_login = by("auth.loginType == 'CUSTOM'");
    assert!(reads(&by_login, &uma(), doc! {}) && !reads(&by_login, &alice(), doc! {}));
    let without = by("auth.uid == undefined");
    assert!(reads(&without, &alice(), doc! {}) && !reads(&without, &uma(), doc! {}));
}
