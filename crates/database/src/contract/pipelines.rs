//! Aggregation: stages and accumulators.

use super::*;

/// What a shop's report is made of.
pub async fn they_join_group_and_sort(database: Engine) {
    database.create_collection("users").await.unwrap();
    let users = vec![
        doc! { "_id": "u1", "name": "Ann" },
        doc! { "_id": "u2", "name": "Bo" },
    ];
    database.insert("users", users, None).await.unwrap();
    let orders = (0..20)
        .map(|n| doc! { "_id": n, "user": if n % 3 == 0 { "u1" } else { "u2" }, "price": n, "note": "x".repeat(50) })
        .collect();
    holding(&database, orders).await;
    let stages = vec![
        doc! { "$match": { "price": { "$gte": 10 } } },
        doc! { "$group": { "_id": "$user", "total": { "$sum": "$price" }, "count": { "$sum": 1 } } },
        doc! { "$lookup": { "from": "users", "localField": "_id", "foreignField": "_id", "as": "user" } },
        doc! { "$unwind": "$user" },
        doc! { "$project": { "_id": 0, "name": "$user.name", "total": 1, "count": 1 } },
        doc! { "$sort": { "total": -1 } },
        doc! { "$limit": 20 },
    ];
    let expected = [
        doc! { "total": 100, "count": 7, "name": "Bo" },
        doc! { "total": 45, "count": 3, "name": "Ann" },
    ];
    assert_eq!(run(&database, stages.clone()).await.unwrap(), expected);
    let aggregate = Aggregate { stages };
    // The same within a transaction, with its own writes.
    let transaction = database.begin().await.unwrap();
    let t = Some(transaction);
    database
        .remove("c", doc! { "user": "u1" }, true, t)
        .await
        .unwrap();
    let found = database.aggregate("c", aggregate.clone(), t).await.unwrap();
    assert_eq!(decoded(&found), expected[..1]);
    database.abort(transaction).await.unwrap();
    assert!(matches!(
        database.aggregate("nothing", aggregate, None).await,
        Err(DatabaseError::CollectionMissing(_))
    ));
    // A pipeline reads, and writes nothing.
    for stage in [doc! { "$out": "made" }, doc! { "$merge": { "into": "made" } }] {
        refused(run(&database, vec![stage.clone()]).await, &stage);
    }
    assert_eq!(database.collections().await.unwrap().len(), 2);
}

/// Asserts what a pipeline gives, document by document.
async fn gives(database: &Engine, cases: Vec<(Vec<Document>, Vec<Document>)>) {
    for (stages, expected) in cases {
        let what = format!("{stages:?}");
        let found = run(database, stages).await;
        let Ok(found) = found else {
            panic!("{what}: {found:?}");
        };
        assert_eq!(found.len(), expected.len(), "{what}: {found:?}");
        for (found, expected) in found.iter().zip(&expected) {
            assert!(same(found, expected), "{what}: {found} and not {expected}");
        }
    }
}

/// Missing is left out, null is kept.
pub async fn missing_and_null_are_kept_apart(database: Engine) {
    let documents = vec![
        doc! { "_id": 1, "k": "a", "v": 0.1, "t": [1, 2] },
        doc! { "_id": 2, "k": "a", "v": 0.2, "t": [] },
        doc! { "_id": 3, "k": "a", "v": 0.3, "t": "x" },
        doc! { "_id": 4, "k": Bson::Null, "v": "text", "t": Bson::Null },
        doc! { "_id": 5, "v": Bson::Null },
    ];
    holding(&database, documents).await;
    database.create_collection("other").await.unwrap();
    let other = vec![doc! { "_id": 1, "k": "a" }, doc! { "_id": 2 }];
    database.insert("other", other, None).await.unwrap();
    let sort = || doc! { "$sort": { "_id": 1 } };
    let ids_only = || doc! { "$project": { "_id": 1 } };
    gives(
        &database,
        vec![
            (
                vec![
                    sort(),
                    doc! { "$group": {
                        "_id": "$k", "sum": { "$sum": "$v" }, "avg": { "$avg": "$v" }, "min": { "$min": "$v" }, "max": { "$max": "$v" },
                        "all": { "$push": "$k" }, "first": { "$first": "$v" }, "last": { "$last": "$v" }, "n": { "$sum": 1 },
                    } },
                    doc! { "$sort": { "_id": -1 } },
                ],
                vec![
                    doc! {
                        "_id": "a", "sum": 0.6, "avg": 0.6 / 3.0, "min": 0.1, "max": 0.3,
                        "all": ["a", "a", "a"], "first": 0.1, "last": 0.3, "n": 3,
                    },
                    // A missing key is null; `$push` leaves out what is missing; `$sum` ignores what is no number.
                    doc! {
                        "_id": Bson::Null, "sum": 0, "avg": Bson::Null, "min": "text", "max": "text",
                        "all": [Bson::Null], "first": "text", "last": Bson::Null, "n": 2,
                    },
                ],
            ),
            (
                vec![doc! { "$group": { "_id": Bson::Null, "sd": { "$stdDevPop": "$nothing" }, "s": { "$sum": "$nothing" } } }],
                vec![doc! { "_id": Bson::Null, "sd": Bson::Null, "s": 0 }],
            ),
            (
                vec![
                    sort(),
                    doc! { "$project": { "k": { "$ifNull": ["$k", "none"] }, "gone": "$nothing", "v": "$$REMOVE" } },
                    doc! { "$skip": 3 },
                ],
                vec![doc! { "_id": 4, "k": "none" }, doc! { "_id": 5, "k": "none" }],
            ),
            (
                vec![sort(), doc! { "$unwind": "$t" }, doc! { "$project": { "t": 1 } }],
                vec![
                    doc! { "_id": 1, "t": 1 },
                    doc! { "_id": 1, "t": 2 },
                    doc! { "_id": 3, "t": "x" },
                ],
            ),
            (
                vec![
                    sort(),
                    doc! { "$unwind": { "path": "$t", "includeArrayIndex": "at", "preserveNullAndEmptyArrays": true } },
                    doc! { "$project": { "t": 1, "at": 1 } },
                ],
                vec![
                    doc! { "_id": 1, "t": 1, "at": 0_i64 },
                    doc! { "_id": 1, "t": 2, "at": 1_i64 },
                    doc! { "_id": 2, "at": Bson::Null },
                    doc! { "_id": 3, "t": "x", "at": Bson::Null },
                    doc! { "_id": 4, "t": Bson::Null, "at": Bson::Null },
                    doc! { "_id": 5, "at": Bson::Null },
                ],
            ),
            // In a join missing is null.
            (
                vec![
                    sort(),
                    doc! { "$lookup": { "from": "other", "localField": "k", "foreignField": "k", "as": "j.o" } },
                    doc! { "$match": { "_id": { "$gte": 3 } } },
                    doc! { "$project": { "j": "$j.o._id" } },
                ],
                vec![
                    doc! { "_id": 3, "j": [1] },
                    doc! { "_id": 4, "j": [2] },
                    doc! { "_id": 5, "j": [2] },
                ],
            ),
            (
                vec![
                    doc! { "$match": { "_id": 1 } },
                    doc! { "$lookup": {
                        "from": "other", "let": { "mine": "$k" }, "as": "j",
                        "pipeline": [{ "$match": { "$expr": { "$eq": ["$k", "$$mine"] } } }],
                    } },
                    doc! { "$project": { "j": 1 } },
                ],
                vec![doc! { "_id": 1, "j": [{ "_id": 1, "k": "a" }] }],
            ),
            (
                vec![
                    doc! { "$match": { "_id": 1 } },
                    doc! { "$lookup": { "from": "nowhere", "localField": "k", "foreignField": "k", "as": "j" } },
                    doc! { "$project": { "j": 1 } },
                ],
                vec![doc! { "_id": 1, "j": [] }],
            ),
            (
                vec![
                    doc! { "$match": { "_id": { "$lte": 3 } } },
                    doc! { "$bucket": { "groupBy": "$v", "boundaries": [0, 0.15, 0.18, 1], "output": { "n": { "$sum": 1 } } } },
                ],
                vec![doc! { "_id": 0, "n": 1 }, doc! { "_id": 0.18, "n": 2 }],
            ),
            (
                vec![doc! { "$sortByCount": "$k" }],
                vec![
                    doc! { "_id": "a", "count": 3 },
                    doc! { "_id": Bson::Null, "count": 2 },
                ],
            ),
            (
                vec![doc! { "$match": { "_id": 99 } }, doc! { "$count": "n" }],
                vec![],
            ),
            (
                vec![
                    doc! { "$match": { "_id": 1 } },
                    doc! { "$replaceRoot": { "newRoot": { "$mergeObjects": [{ "z": 1 }, { "k": "$k" }] } } },
                ],
                vec![doc! { "z": 1, "k": "a" }],
            ),
            (
                vec![
                    doc! { "$match": { "_id": 1 } },
                    doc! { "$facet": { "a": [{ "$count": "n" }], "b": [{ "$match": { "_id": 2 } }] } },
                ],
                vec![doc! { "a": [{ "n": 1 }], "b": [] }],
            ),
            (
                vec![sort(), ids_only(), doc! { "$skip": 1 }, doc! { "$limit": 2 }],
                vec![doc! { "_id": 2 }, doc! { "_id": 3 }],
            ),
            (
                vec![sort(), doc! { "$limit": 2 }, doc! { "$skip": 1 }, ids_only()],
                vec![doc! { "_id": 2 }],
            ),
        ],
    )
    .await;
    // A set's order is open.
    let set = run(
        &database,
        vec![doc! { "$group": { "_id": Bson::Null, "set": { "$addToSet": "$k" } } }],
    )
    .await
    .unwrap();
    let mut set = set[0].get_array("set").unwrap().clone();
    set.sort_by_key(ToString::to_string);
    assert_eq!(set, ["a".into(), Bson::Null]);
    assert_eq!(
        run(&database, vec![doc! { "$sample": { "size": 3 } }])
            .await
            .unwrap()
            .len(),
        3
    );
    assert_eq!(
        run(&database, vec![doc! { "$sample": { "size": 30 } }])
            .await
            .unwrap()
            .len(),
        5
    );
}

/// What a stage cannot do with the documents that it meets.
pub async fn each_stage_has_its_bounds(database: Engine) {
    holding(&database, vec![doc! { "_id": 1, "v": 1, "s": "x" }]).await;
    for stage in [
        doc! { "$bucket": { "groupBy": "$v", "boundaries": [5, 6] } },
        doc! { "$replaceRoot": { "newRoot": "$v" } },
        doc! { "$project": { "r": { "$divide": ["$v", 0] } } },
        doc! { "$project": { "r": { "$add": ["$v", "$s"] } } },
        doc! { "$group": { "_id": 1, "r": { "$sum": { "$size": "$v" } } } },
        doc! { "$match": { "$expr": { "$gt": [{ "$abs": "$s" }, 1] } } },
        doc! { "$lookup": { "from": "c", "as": "x" } },
        doc! { "$geoNear": { "near": { "type": "Point", "coordinates": [0, 0] }, "distanceField": "d" } },
    ] {
        refused(run(&database, vec![stage.clone()]).await, &stage);
    }
    // `$geoNear` comes first or not at all.
    let late = vec![
        doc! { "$match": {} },
        doc! { "$geoNear": { "near": { "type": "Point", "coordinates": [0, 0] }, "distanceField": "d" } },
    ];
    refused(run(&database, late).await, &"$geoNear second");
}
