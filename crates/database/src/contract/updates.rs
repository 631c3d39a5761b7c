//! What updates do to a document, and what of them is refused.

use docdb::error::code;

use super::*;

/// What an update makes of a document, in a collection of its own.
async fn made(
    database: &Engine,
    before: &Document,
    filter: Document,
    update: Document,
    array_filters: Vec<Document>,
) -> Result<Document> {
    let mut stored = doc! { "_id": 1 };
    stored.extend(before.clone());
    database.remove("c", doc! {}, true, None).await.unwrap();
    database.insert("c", vec![stored], None).await.unwrap();
    let update = Update {
        array_filters,
        ..change(filter, update)
    };
    let outcome = database.update("c", update, None).await;
    let mut after = read(database, all(), None).await.remove(0);
    after.remove("_id");
    match outcome {
        Ok(_) => Ok(after),
        Err(error) => {
            assert!(same(&after, before), "a refused update left {after} of {before}");
            Err(error)
        }
    }
}

/// Each of the operators that WeChat documents, where it is not what one would guess.
pub async fn each_operator_does_what_mongodb_s_does(database: Engine) {
    database.create_collection("c").await.unwrap();
    for (before, update, after) in [
        (
            doc! { "n": i32::MAX },
            doc! { "$inc": { "n": 1 } },
            doc! { "n": 2_147_483_648_i64 },
        ),
        (doc! { "n": 1 }, doc! { "$inc": { "n": 0.5 } }, doc! { "n": 1.5 }),
        (doc! {}, doc! { "$inc": { "a.b": -2 } }, doc! { "a": { "b": -2 } }),
        (doc! {}, doc! { "$mul": { "n": 5 } }, doc! { "n": 0 }),
        (doc! {}, doc! { "$mul": { "n": 5_i64 } }, doc! { "n": 0_i64 }),
        (doc! {}, doc! { "$mul": { "n": 2.5 } }, doc! { "n": 0.0 }),
        (
            doc! { "n": 3 },
            doc! { "$mul": { "n": 2_i64 } },
            doc! { "n": 6_i64 },
        ),
        (doc! { "a": "x" }, doc! { "$max": { "a": 5 } }, doc! { "a": "x" }),
        (doc! { "a": "x" }, doc! { "$min": { "a": 5 } }, doc! { "a": 5 }),
        (doc! {}, doc! { "$min": { "a": 5 } }, doc! { "a": 5 }),
        (
            doc! { "a": [1, 2, 3], "b": 1 },
            doc! { "$unset": { "a.1": "", "b": "", "nothing.at": "" } },
            doc! { "a": [1, Bson::Null, 3] },
        ),
        (doc! {}, doc! { "$set": { "a.0": 1 } }, doc! { "a": { "0": 1 } }),
        (
            doc! { "a": [1] },
            doc! { "$set": { "a.3": 9 } },
            doc! { "a": [1, Bson::Null, Bson::Null, 9] },
        ),
        (
            doc! { "a": [{ "b": 1 }] },
            doc! { "$set": { "a.0.c": 2 } },
            doc! { "a": [{ "b": 1, "c": 2 }] },
        ),
        (
            doc! { "a": { "b": 1 } },
            doc! { "$set": { "a": {} } },
            doc! { "a": {} },
        ),
        (
            doc! { "a": [1, 2, 3] },
            doc! { "$push": { "a": { "$each": [9], "$position": -1 } } },
            doc! { "a": [1, 2, 9, 3] },
        ),
        (
            doc! { "a": [1, 2, 3] },
            doc! { "$push": { "a": { "$each": [8, 9], "$position": 0 } } },
            doc! { "a": [8, 9, 1, 2, 3] },
        ),
        (
            doc! { "a": [1, 2, 3] },
            doc! { "$push": { "a": { "$each": [4], "$slice": -2 } } },
            doc! { "a": [3, 4] },
        ),
        (
            doc! { "a": [1] },
            doc! { "$push": { "a": { "$each": [4], "$slice": 0 } } },
            doc! { "a": [] },
        ),
        (
            doc! { "a": [{ "s": 2 }, { "s": 1 }] },
            doc! { "$push": { "a": { "$each": [{ "s": 0 }], "$sort": { "s": 1 }, "$slice": 2 } } },
            doc! { "a": [{ "s": 0 }, { "s": 1 }] },
        ),
        (
            doc! { "a": [3, 1] },
            doc! { "$push": { "a": { "$each": [2], "$sort": -1 } } },
            doc! { "a": [3, 2, 1] },
        ),
        (doc! {}, doc! { "$push": { "a": [1, 2] } }, doc! { "a": [[1, 2]] }),
        (
            doc! { "a": [{ "x": 1, "y": 2 }] },
            doc! { "$addToSet": { "a": { "y": 2, "x": 1 } } },
            doc! { "a": [{ "x": 1, "y": 2 }, { "y": 2, "x": 1 }] },
        ),
        (
            doc! { "a": [1] },
            doc! { "$addToSet": { "a": { "$each": [1.0, 2, 2] } } },
            doc! { "a": [1, 2] },
        ),
        (
            doc! { "a": [{ "x": 1, "y": 1 }, { "x": 2 }, 1] },
            doc! { "$pull": { "a": { "x": 1 } } },
            doc! { "a": [{ "x": 2 }, 1] },
        ),
        (
            doc! { "a": [1, 5, 9, "x"] },
            doc! { "$pull": { "a": { "$gt": 4 } } },
            doc! { "a": [1, "x"] },
        ),
        (
            doc! { "a": [1, 2, 1, 3] },
            doc! { "$pull": { "a": 1 } },
            doc! { "a": [2, 3] },
        ),
        (
            doc! { "a": [1, 2, 1, 3] },
            doc! { "$pullAll": { "a": [1, 3] } },
            doc! { "a": [2] },
        ),
        (
            doc! { "a": [1, 2, 3], "b": [1, 2] },
            doc! { "$pop": { "a": -1, "b": 1 } },
            doc! { "a": [2, 3], "b": [1] },
        ),
        (
            doc! { "a": 1, "c": { "d": 2 } },
            doc! { "$rename": { "a": "b", "c.d": "e", "nothing": "f" } },
            doc! { "c": {}, "b": 1, "e": 2 },
        ),
        (
            doc! { "n": 5 },
            doc! { "$bit": { "n": { "and": 4, "or": 2 } } },
            doc! { "n": 6 },
        ),
        (
            doc! { "n": 1 },
            doc! { "$setOnInsert": { "n": 2 }, "$set": { "m": 1 } },
            doc! { "n": 1, "m": 1 },
        ),
    ] {
        let what = format!("{before} {update}");
        match made(&database, &before, doc! {}, update, Vec::new()).await {
            Ok(found) => assert!(same(&found, &after), "{what}: {found}"),
            Err(error) => panic!("{what}: {error}"),
        }
    }
    let dated = made(
        &database,
        &doc! {},
        doc! {},
        doc! { "$currentDate": { "at": true } },
        Vec::new(),
    )
    .await
    .unwrap();
    assert!(dated.get_datetime("at").unwrap().timestamp_millis() > 1_700_000_000_000);
}

/// All of an update or nothing of it, with MongoDB's number.
pub async fn what_cannot_be_done_changes_nothing(database: Engine) {
    database.create_collection("c").await.unwrap();
    for (before, update, code) in [
        (
            doc! { "a": 1, "s": "x" },
            doc! { "$set": { "a": 2 }, "$inc": { "s": 1 } },
            14,
        ),
        (doc! { "n": i64::MAX }, doc! { "$inc": { "n": 1 } }, 2),
        (doc! { "a": Bson::Null }, doc! { "$set": { "a.x": 1 } }, 28),
        (doc! { "a": 5 }, doc! { "$inc": { "a.x": 1 } }, 28),
        (doc! { "a": [1] }, doc! { "$set": { "a.x": 1 } }, 28),
        (doc! {}, doc! { "$set": { "a": 1 }, "$inc": { "a": 1 } }, 40),
        (doc! {}, doc! { "$set": { "a": 1, "a.b": 1 } }, 40),
        (doc! {}, doc! { "$set": { "_id": 9 } }, 66),
        (doc! {}, doc! { "$unset": { "_id": 1 } }, 66),
        (doc! { "a": 5 }, doc! { "$push": { "a": 1 } }, 2),
        (doc! { "a": 5 }, doc! { "$addToSet": { "a": 1 } }, 2),
        (doc! { "a": 5 }, doc! { "$pull": { "a": 1 } }, 2),
        (doc! { "a": 5 }, doc! { "$pop": { "a": 1 } }, 14),
        (
            doc! { "a": [{ "b": 1 }] },
            doc! { "$rename": { "a.0.b": "c" } },
            2,
        ),
        (doc! { "a": [1] }, doc! { "$set": { "a.$": 1 } }, 2),
        (doc! { "a": 1 }, doc! { "$incc": { "a": 1 } }, 9),
        (doc! { "a": "x" }, doc! { "$mul": { "a": 2 } }, 14),
    ] {
        let what = format!("{before} {update}");
        let outcome = made(&database, &before, doc! {}, update, Vec::new()).await;
        assert_eq!(refused(outcome, &what), code, "{what}");
    }
    // A replacement keeps the `_id`, and takes no other.
    let replacement = Update {
        kind: UpdateKind::Replacement(doc! { "_id": 9, "a": 1 }),
        ..change(doc! { "_id": 1 }, doc! {})
    };
    let outcome = database.update("c", replacement, None).await;
    assert_eq!(refused(outcome, &"another _id"), 66);
}

/// `$`, `$[]` and `$[name]`.
pub async fn positions_are_those_that_the_filter_met(database: Engine) {
    database.create_collection("c").await.unwrap();
    for (before, filter, update, array_filters, after) in [
        (
            doc! { "a": [1, 2, 3] },
            doc! { "a": 2 },
            doc! { "$set": { "a.$": 20 } },
            vec![],
            doc! { "a": [1, 20, 3] },
        ),
        (
            doc! { "a": [{ "k": 1 }, { "k": 2, "n": 1 }] },
            doc! { "a.k": 2 },
            doc! { "$inc": { "a.$.n": 5 } },
            vec![],
            doc! { "a": [{ "k": 1 }, { "k": 2, "n": 6 }] },
        ),
        (
            doc! { "a": [{ "k": 1 }, { "k": 2 }] },
            doc! { "a": { "$elemMatch": { "k": { "$gt": 1 } } } },
            doc! { "$set": { "a.$.x": 1 } },
            vec![],
            doc! { "a": [{ "k": 1 }, { "k": 2, "x": 1 }] },
        ),
        (
            doc! { "a": [1, 2] },
            doc! {},
            doc! { "$inc": { "a.$[]": 1 } },
            vec![],
            doc! { "a": [2, 3] },
        ),
        (
            doc! { "a": [{ "k": 1 }, { "k": 5 }] },
            doc! {},
            doc! { "$set": { "a.$[big].x": 1 } },
            vec![doc! { "big.k": { "$gt": 3 } }],
            doc! { "a": [{ "k": 1 }, { "k": 5, "x": 1 }] },
        ),
    ] {
        let what = update.to_string();
        let found = made(&database, &before, filter, update, array_filters)
            .await
            .unwrap();
        assert!(same(&found, &after), "{what}: {found}");
    }
}

/// See [`Update::upsert`].
pub async fn an_upsert_starts_from_the_equalities_of_its_filter(database: Engine) {
    holding(&database, Vec::new()).await;
    for (filter, kind, upserted, after) in [
        (
            doc! { "name": "new", "n": { "$gt": 5 }, "$and": [{ "kind": { "$eq": "k" } }] },
            UpdateKind::Operators(doc! { "$set": { "m": 1 }, "$setOnInsert": { "o": 2 } }),
            Bson::from("made"),
            doc! { "_id": "made", "name": "new", "kind": "k", "m": 1, "o": 2 },
        ),
        (
            doc! { "_id": "own", "a.b": 1 },
            UpdateKind::Operators(doc! { "$inc": { "a.c": 1 } }),
            "own".into(),
            doc! { "_id": "own", "a": { "b": 1, "c": 1 } },
        ),
        (
            doc! { "_id": { "$eq": 7 } },
            UpdateKind::Operators(doc! { "$set": { "x": 1 } }),
            7.into(),
            doc! { "_id": 7, "x": 1 },
        ),
        (
            doc! { "$and": [{ "_id": 8 }] },
            UpdateKind::Operators(doc! { "$set": { "x": 1 } }),
            8.into(),
            doc! { "_id": 8, "x": 1 },
        ),
        (
            doc! { "never": 1 },
            UpdateKind::Operators(doc! { "$set": { "_id": "named", "x": 1 } }),
            "named".into(),
            doc! { "_id": "named", "never": 1, "x": 1 },
        ),
        (
            doc! { "_id": "set" },
            UpdateKind::Replacement(doc! { "z": 1, "a": 2 }),
            "set".into(),
            doc! { "_id": "set", "z": 1, "a": 2 },
        ),
        (
            doc! { "never": 2 },
            UpdateKind::Replacement(doc! { "z": 2 }),
            "made2".into(),
            doc! { "_id": "made2", "z": 2 },
        ),
    ] {
        let id = if upserted == Bson::from("made2") {
            "made2"
        } else {
            "made"
        };
        let update = Update {
            kind,
            upsert: Some(id.into()),
            ..change(filter.clone(), doc! {})
        };
        let updated = database.update("c", update.clone(), None).await.unwrap();
        assert_eq!(
            (updated.matched, updated.modified, updated.upserted.as_ref()),
            (0, 0, Some(&upserted)),
            "{filter}"
        );
        let found = read(&database, by(doc! { "_id": upserted }), None).await;
        assert!(same(&found[0], &after), "{filter}: {}", found[0]);
    }
    // The second time there is one already.
    let again = Update {
        upsert: Some("other".into()),
        ..change(doc! { "name": "new" }, doc! { "$inc": { "m": 1 } })
    };
    let updated = database.update("c", again, None).await.unwrap();
    assert_eq!((updated.matched, updated.upserted), (1, None));
    assert_eq!(database.count("c", doc! {}, None).await.unwrap().count, 7);
}

/// See [`Update::sort`] and [`Update::returns`].
pub async fn one_of_many_is_chosen_by_the_order(database: Engine) {
    let documents = (0..5)
        .map(|n| doc! { "_id": n, "rank": 10 - n, "open": true })
        .collect();
    holding(&database, documents).await;
    for expected in [4, 3] {
        let update = Update {
            sort: Some(doc! { "rank": 1 }),
            returns: Some(ReturnedDocument::After),
            ..change(doc! { "open": true }, doc! { "$set": { "open": false } })
        };
        let updated = database.update("c", update, None).await.unwrap();
        let document = doc! { "_id": expected, "rank": 10 - expected, "open": false };
        assert_eq!(updated.document, Some(document));
    }
    let nobody = Update {
        returns: Some(ReturnedDocument::After),
        ..change(doc! { "_id": 99 }, doc! { "$set": { "open": false } })
    };
    let updated = database.update("c", nobody, None).await.unwrap();
    assert_eq!((updated.matched, updated.document), (0, None));
    let added = Update {
        returns: Some(ReturnedDocument::After),
        upsert: Some(99.into()),
        ..change(doc! { "_id": 99 }, doc! { "$set": { "open": false } })
    };
    let updated = database.update("c", added, None).await.unwrap();
    assert_eq!(
        (updated.matched, updated.upserted, updated.document),
        (0, Some(99.into()), Some(doc! { "_id": 99, "open": false }))
    );
    let sorted = Update {
        sort: Some(doc! { "rank": -1 }),
        ..change(doc! { "open": true }, doc! { "$set": { "open": false } })
    };
    assert_eq!(database.update("c", sorted, None).await.unwrap().matched, 1);
    let left = read(&database, by(doc! { "open": true }), None).await;
    assert_eq!(ids(&left), [1.into(), 2.into()]);
}

/// See [`ReturnedDocument::Before`].
pub async fn a_document_is_given_as_it_was(database: Engine) {
    holding(&database, vec![doc! { "_id": 1, "n": 1 }]).await;
    let before = |kind: UpdateKind, upsert: Option<Bson>| Update {
        kind,
        upsert,
        returns: Some(ReturnedDocument::Before),
        ..change(doc! { "_id": 1 }, doc! {})
    };
    let inc = UpdateKind::Operators(doc! { "$inc": { "n": 1 } });
    for n in 1..4 {
        let upsert = (n > 1).then(|| 1.into());
        let updated = database
            .update("c", before(inc.clone(), upsert), None)
            .await
            .unwrap();
        assert_eq!(updated.document, Some(doc! { "_id": 1, "n": n }));
        assert_eq!((updated.matched, updated.upserted), (1, None));
    }
    let transaction = database.begin().await.unwrap();
    let replaced = before(UpdateKind::Replacement(doc! { "m": 1 }), None);
    let updated = database.update("c", replaced, Some(transaction)).await.unwrap();
    assert_eq!(updated.document, Some(doc! { "_id": 1, "n": 4 }));
    database.commit(transaction).await.unwrap();
    // There was nothing before it was added.
    let added = Update {
        filter: doc! { "_id": 2 },
        ..before(inc, Some(2.into()))
    };
    let updated = database.update("c", added, None).await.unwrap();
    assert_eq!((updated.upserted, updated.document), (Some(2.into()), None));
    let expected = [doc! { "_id": 1, "m": 1 }, doc! { "_id": 2, "n": 1 }];
    assert_eq!(read(&database, all(), None).await, expected);
}

/// See [`UpdateKind::Pipeline`].
pub async fn a_pipeline_makes_the_document_of_what_stands_in_it(database: Engine) {
    let documents = (1..=3).map(|n| doc! { "_id": n, "a": n, "b": [n, n + 1], "c": "x" });
    holding(&database, documents.collect()).await;
    let piped = |filter: Document, stages: &[Document]| Update {
        kind: UpdateKind::Pipeline(stages.to_vec()),
        many: true,
        ..change(filter, doc! {})
    };
    let stages = [
        doc! { "$set": { "sum": { "$add": ["$a", { "$sum": "$b" }] }, "a": { "$add": ["$a", 1] } } },
        doc! { "$addFields": { "twice": { "$multiply": ["$sum", 2] } } },
        doc! { "$unset": ["b", "c"] },
    ];
    let updated = database
        .update("c", piped(doc! { "_id": { "$gte": 2 } }, &stages), None)
        .await
        .unwrap();
    assert_eq!((updated.matched, updated.modified), (2, 2));
    let expected = [
        doc! { "_id": 1, "a": 1, "b": [1, 2], "c": "x" },
        doc! { "_id": 2, "a": 3, "sum": 7, "twice": 14 },
        doc! { "_id": 3, "a": 4, "sum": 10, "twice": 20 },
    ];
    assert_eq!(read(&database, all(), None).await, expected);
    // The `_id` stays, though nothing of the document does.
    let stages = [
        doc! { "$project": { "a": 1 } },
        doc! { "$replaceWith": { "only": "$a", "none": "$sum" } },
    ];
    database
        .update("c", piped(doc! { "_id": 2 }, &stages), None)
        .await
        .unwrap();
    let two = by(doc! { "_id": 2 });
    assert_eq!(
        read(&database, two.clone(), None).await,
        [doc! { "_id": 2, "only": 3 }]
    );
    // What is the same afterwards was not changed.
    let idle = [doc! { "$set": { "only": 3 } }];
    let updated = database
        .update("c", piped(doc! { "_id": 2 }, &idle), None)
        .await
        .unwrap();
    assert_eq!((updated.matched, updated.modified), (1, 0));
    // One that is added is made of what the filter says.
    let stages = [doc! { "$set": { "n": { "$add": [{ "$ifNull": ["$n", 10] }, 1] } } }];
    let upsert = |filter: Document| Update {
        upsert: Some("new".into()),
        returns: Some(ReturnedDocument::After),
        many: false,
        ..piped(filter, &stages)
    };
    let updated = database
        .update("c", upsert(doc! { "of": "filter" }), None)
        .await
        .unwrap();
    let added = doc! { "_id": "new", "of": "filter", "n": 11 };
    assert_eq!(
        (updated.upserted, updated.document),
        (Some("new".into()), Some(added))
    );
    let updated = database
        .update("c", upsert(doc! { "of": "filter" }), None)
        .await
        .unwrap();
    let again = doc! { "_id": "new", "of": "filter", "n": 12 };
    assert_eq!((updated.matched, updated.document), (1, Some(again)));
    // In a transaction too.
    let transaction = database.begin().await.unwrap();
    let t = Some(transaction);
    database
        .update("c", piped(doc! { "_id": 2 }, &[doc! { "$unset": "only" }]), t)
        .await
        .unwrap();
    assert_eq!(read(&database, two.clone(), t).await, [doc! { "_id": 2 }]);
    database.abort(transaction).await.unwrap();

    for (stages, code) in [
        (vec![doc! { "$match": { "a": 1 } }], 72),
        (vec![doc! { "$group": { "_id": "$a" } }], 72),
        (vec![doc! { "$set": { "a": 1 }, "$unset": "b" }], 40323),
        (vec![doc! { "$set": { "_id": 9 } }], 66),
        (vec![doc! { "$set": { "a": { "$divide": [1, 0] } } }], 2),
    ] {
        let result = database
            .update("c", piped(doc! { "_id": 1 }, &stages), None)
            .await;
        let told = refused(result, &format!("{stages:?}"));
        assert!(told == code || code == 2, "{stages:?}: {told}");
    }
    let filtered = Update {
        array_filters: vec![doc! { "x": 1 }],
        ..piped(doc! { "_id": 1 }, &[doc! { "$set": { "a": 1 } }])
    };
    assert_eq!(
        refused(database.update("c", filtered, None).await, &"array filters"),
        9
    );
    assert_eq!(read(&database, by(doc! { "_id": 1 }), None).await, expected[..1]);
}

/// Whatever an update does to it, and of however many: [`Update::largest`].
pub async fn no_document_grows_beyond_its_bound(database: Engine) {
    const MOST: usize = 10_000;
    let text = |length: usize| "x".repeat(length);
    let within = |filter: Document, operators: Document, many: bool| Update {
        many,
        largest: Some(MOST),
        ..change(filter, operators)
    };
    let small = |id: i32| doc! { "_id": id, "t": "", "n": 1, "list": [0, 0, 0] };
    holding(&database, vec![small(0), small(1)]).await;
    let stored = async || read(&database, all(), None).await;
    let update = async |update: Update| database.update("c", update, None).await;
    let one = doc! { "_id": 1 };
    for length in [6000, 6001, 9000] {
        let set = within(one.clone(), doc! { "$set": { "t": text(length) } }, false);
        assert_eq!(update(set).await.unwrap().modified, 1);
    }
    let before = stored().await;
    for operators in [
        doc! { "$set": { "u": text(6000) } },
        doc! { "$set": { "t": text(10_000) } },
        doc! { "$push": { "list": { "$each": [text(500), text(500)] } } },
        doc! { "$addToSet": { "other": text(1500) } },
        doc! { "$set": { "list.$[]": text(400) } },
        doc! { "$set": { "list.2000": 1 } },
    ] {
        for (filter, many) in [
            (one.clone(), false),
            (one.clone(), true),
            (doc! { "$and": [{ "t": { "$gt": "x" } }, { "n": 1 }] }, true),
            (doc! { "_id": 1, "$expr": { "$lt": ["$n", 2] } }, false),
            // Another one stays as it is too, though it would not become too large.
            (doc! { "n": 1 }, true),
        ] {
            let outcome = update(within(filter.clone(), operators.clone(), many)).await;
            assert_eq!(refused(outcome, &filter), code::BSON_OBJECT_TOO_LARGE);
            assert!(stored().await == before, "{filter}");
        }
    }
    // One is near to it and one far from it: what does not take them there is done to both, once.
    for (operators, n) in [
        (doc! { "$inc": { "n": 1 } }, 2),
        (doc! { "$inc": { "n": 1 }, "$set": { "list.$[]": 5 } }, 3),
        (
            doc! { "$inc": { "n": 1 }, "$push": { "list": 5 }, "$set": { "t": text(9400) } },
            4,
        ),
    ] {
        let updated = update(within(doc! {}, operators, true)).await.unwrap();
        assert_eq!((updated.matched, updated.modified), (2, 2));
        assert!(
            stored()
                .await
                .iter()
                .all(|document| document.get_i32("n").unwrap() == n)
        );
    }
    let positional = within(
        doc! { "_id": 1, "list": 5 },
        doc! { "$set": { "list.$": text(450) } },
        false,
    );
    assert_eq!(update(positional.clone()).await.unwrap().modified, 1);
    assert_eq!(
        refused(update(positional).await, &"a second"),
        code::BSON_OBJECT_TOO_LARGE
    );
    // What is larger already grows no more.
    update(change(one.clone(), doc! { "$set": { "t": text(20_000) } }))
        .await
        .unwrap();
    for (operators, may) in [
        (doc! { "$set": { "n": 7 } }, true),
        (doc! { "$set": { "t": text(19_999) } }, true),
        (doc! { "$set": { "v": 1 } }, false),
        (doc! { "$unset": { "t": "" } }, true),
    ] {
        let outcome = update(within(one.clone(), operators.clone(), false)).await;
        match may {
            true => assert_eq!(outcome.unwrap().modified, 1, "{operators}"),
            false => assert_eq!(refused(outcome, &operators), code::BSON_OBJECT_TOO_LARGE),
        }
    }
    let nobody = within(doc! { "_id": 9 }, doc! { "$set": { "t": text(20_000) } }, false);
    assert_eq!(update(nobody).await.unwrap().matched, 0);
}
