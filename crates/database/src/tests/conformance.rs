use std::{sync::Arc, time::Duration};

use bson::{Bson, doc};

use super::*;
use crate::{Aggregate, ChangeKind, DatabaseError, IndexField, IndexKind, IndexSpec, TransactionId};

fn unique(path: &str) -> IndexSpec {
    let fields = vec![IndexField {
        path: path.to_owned(),
        kind: IndexKind::Ascending,
    }];
    IndexSpec {
        name: IndexSpec::named_by_fields(&fields),
        fields,
        unique: true,
        sparse: false,
    }
}

#[tokio::test]
async fn documents_are_added_found_changed_and_removed() {
    let database = with_collection("c").await;
    let added = (0..30)
        .map(|n| doc! { "_id": n, "n": n % 7, "tags": ["a", n] })
        .collect();
    let ids_of = database.insert("c", added, None).await.unwrap();
    assert_eq!(ids_of, (0..30).map(Bson::Int32).collect::<Vec<_>>());

    let page = Find {
        filter: doc! { "n": { "$gt": 1 } },
        sort: Some(doc! { "n": -1, "_id": 1 }),
        skip: 2,
        limit: Some(3),
        ..Find::default()
    };
    let found = database.find("c", page, None).await.unwrap();
    let numbers: Vec<_> = documents(&found)
        .iter()
        .map(|document| (document["n"].clone(), document["_id"].clone()))
        .collect();
    assert_eq!(
        numbers,
        [(6.into(), 20.into()), (6.into(), 27.into()), (5.into(), 5.into())]
    );
    assert_eq!(found.looked.documents, 30);

    assert_eq!(database.count("c", doc! {}, None).await.unwrap(), 30);
    assert_eq!(database.count("c", doc! { "tags": 3 }, None).await.unwrap(), 1);

    let many = Update {
        many: true,
        ..set(
            doc! { "n": 3 },
            doc! { "$inc": { "n": 10 }, "$push": { "tags": "x" } },
        )
    };
    let updated = database.update("c", many, None).await.unwrap();
    assert_eq!((updated.matched, updated.modified), (4, 4));
    let unchanged = set(doc! { "_id": 3 }, doc! { "$set": { "n": 13 } });
    let updated = database.update("c", unchanged, None).await.unwrap();
    assert_eq!((updated.matched, updated.modified), (1, 0));

    let replaced = Update {
        kind: UpdateKind::Replacement(doc! { "fresh": true }),
        returns: true,
        ..set(doc! { "_id": 4 }, doc! {})
    };
    let updated = database.update("c", replaced, None).await.unwrap();
    assert_eq!(updated.document, Some(doc! { "_id": 4, "fresh": true }));

    let upsert = Update {
        upsert: Some("made".into()),
        ..set(doc! { "name": "new" }, doc! { "$set": { "n": 1 } })
    };
    let updated = database.update("c", upsert, None).await.unwrap();
    assert_eq!((updated.matched, updated.upserted), (0, Some("made".into())));
    let found = database
        .find("c", by(doc! { "name": "new" }), None)
        .await
        .unwrap();
    assert_eq!(documents(&found), [doc! { "_id": "made", "name": "new", "n": 1 }]);

    assert_eq!(
        database.remove("c", doc! { "n": 13 }, false, None).await.unwrap(),
        1
    );
    assert_eq!(
        database.remove("c", doc! { "n": 13 }, true, None).await.unwrap(),
        3
    );
    assert_eq!(database.count("c", doc! {}, None).await.unwrap(), 27);
    let status = database.collections().await.unwrap();
    assert_eq!(
        (status.len(), status[0].name.as_str(), status[0].documents),
        (1, "c", 27)
    );
}

#[tokio::test]
async fn a_collection_that_is_missing_is_an_error_of_every_operation() {
    let database = memory();
    let missing =
        |error: DatabaseError| matches!(error, DatabaseError::CollectionMissing(name) if name == "c");
    assert!(missing(
        database
            .insert("c", vec![doc! { "_id": 1 }], None)
            .await
            .unwrap_err()
    ));
    assert!(missing(database.find("c", all(), None).await.unwrap_err()));
    assert!(missing(database.count("c", doc! {}, None).await.unwrap_err()));
    assert!(missing(
        database
            .update("c", set(doc! {}, doc! { "$set": { "a": 1 } }), None)
            .await
            .unwrap_err()
    ));
    assert!(missing(
        database.remove("c", doc! {}, true, None).await.unwrap_err()
    ));
    assert!(missing(
        database.create_index("c", unique("a")).await.unwrap_err()
    ));
    assert!(!database.drop_collection("c").await.unwrap());

    database.create_collection("c").await.unwrap();
    let twice = database.create_collection("c").await.unwrap_err();
    assert!(matches!(twice, DatabaseError::CollectionExists(_)));
    database.insert("c", vec![doc! { "_id": 1 }], None).await.unwrap();
    assert!(database.drop_collection("c").await.unwrap());
    database.create_collection("c").await.unwrap();
    assert_eq!(database.count("c", doc! {}, None).await.unwrap(), 0);
    assert!(documents(&database.find("c", all(), None).await.unwrap()).is_empty());
}

#[tokio::test]
async fn what_is_refused_is_refused_on_an_empty_collection_too() {
    let database = with_collection("c").await;
    assert!(matches!(
        database.find("c", by(doc! { "a": { "$gtt": 1 } }), None).await,
        Err(DatabaseError::Refused(_))
    ));
    let update = set(doc! {}, doc! { "$incc": { "a": 1 } });
    assert!(matches!(
        database.update("c", update, None).await,
        Err(DatabaseError::Refused(_))
    ));
}

#[tokio::test]
async fn unique_values_and_ids() {
    let database = with_collection("c").await;
    database
        .insert("c", vec![doc! { "_id": 1, "phone": "1" }], None)
        .await
        .unwrap();
    database.create_index("c", unique("phone")).await.unwrap();
    database.create_index("c", unique("phone")).await.unwrap();
    let duplicate = |result: Result<Vec<Bson>, DatabaseError>| match result.unwrap_err() {
        DatabaseError::Duplicate { index, key, .. } => (index, key),
        error => panic!("{error}"),
    };
    let result = database
        .insert("c", vec![doc! { "_id": 2, "phone": "1" }], None)
        .await;
    assert_eq!(
        duplicate(result),
        ("phone_1".to_owned(), r#"{ phone: "1" }"#.to_owned())
    );
    let result = database.insert("c", vec![doc! { "_id": 1 }], None).await;
    assert_eq!(duplicate(result), ("_id_".to_owned(), "{ _id: 1 }".to_owned()));
    // A missing field is null, and there is one null.
    database.insert("c", vec![doc! { "_id": 3 }], None).await.unwrap();
    let result = database.insert("c", vec![doc! { "_id": 4 }], None).await;
    assert_eq!(duplicate(result).1, "{ phone: null }");
    // Those before the one that is refused stay.
    let several = vec![
        doc! { "_id": 5, "phone": "5" },
        doc! { "_id": 6, "phone": "1" },
        doc! { "_id": 7, "phone": "7" },
    ];
    assert!(database.insert("c", several, None).await.is_err());
    assert_eq!(
        ids(&database.find("c", all(), None).await.unwrap()),
        [1.into(), 3.into(), 5.into()]
    );
    // An update into a taken value, then one that frees it.
    let taken = set(doc! { "_id": 5 }, doc! { "$set": { "phone": "1" } });
    assert!(database.update("c", taken.clone(), None).await.is_err());
    database
        .remove("c", doc! { "_id": 1 }, false, None)
        .await
        .unwrap();
    database.update("c", taken, None).await.unwrap();
    assert!(database.drop_index("c", "phone_1").await.unwrap());
    assert!(!database.drop_index("c", "phone_1").await.unwrap());
    database
        .insert("c", vec![doc! { "_id": 8, "phone": "1" }], None)
        .await
        .unwrap();
    assert!(matches!(
        database.create_index("c", unique("phone")).await,
        Err(DatabaseError::Duplicate { .. })
    ));
    // Nothing of the index that could not be made is left.
    assert!(database.collections().await.unwrap()[0].indexes.is_empty());
    database
        .remove("c", doc! { "_id": 8 }, false, None)
        .await
        .unwrap();
    database.create_index("c", unique("phone")).await.unwrap();
}

#[tokio::test]
async fn a_transaction_sees_its_snapshot_and_its_own_writes() {
    let database = with_collection("c").await;
    database
        .insert(
            "c",
            vec![doc! { "_id": 1, "n": 1 }, doc! { "_id": 2, "n": 2 }],
            None,
        )
        .await
        .unwrap();
    let transaction = database.begin().await.unwrap();
    let t = Some(transaction);
    assert_eq!(
        ids(&database.find("c", all(), t).await.unwrap()),
        [1.into(), 2.into()]
    );
    // What others do from now on it does not see.
    database
        .insert("c", vec![doc! { "_id": 9, "n": 9 }], None)
        .await
        .unwrap();
    database
        .update("c", set(doc! { "_id": 1 }, doc! { "$inc": { "n": 1 } }), t)
        .await
        .unwrap();
    database
        .insert("c", vec![doc! { "_id": 3, "n": 3 }], t)
        .await
        .unwrap();
    assert_eq!(
        database.remove("c", doc! { "_id": 2 }, false, t).await.unwrap(),
        1
    );
    let seen = documents(&database.find("c", all(), t).await.unwrap());
    assert_eq!(seen, [doc! { "_id": 1, "n": 2 }, doc! { "_id": 3, "n": 3 }]);
    assert_eq!(
        database.count("c", doc! { "n": { "$gte": 2 } }, t).await.unwrap(),
        2
    );
    assert!(database.insert("c", vec![doc! { "_id": 3 }], t).await.is_err());
    // Nobody else sees any of it.
    let outside = documents(&database.find("c", all(), None).await.unwrap());
    assert_eq!(
        outside,
        [
            doc! { "_id": 1, "n": 1 },
            doc! { "_id": 2, "n": 2 },
            doc! { "_id": 9, "n": 9 }
        ]
    );
    database.commit(transaction).await.unwrap();
    let after = documents(&database.find("c", all(), None).await.unwrap());
    assert_eq!(
        after,
        [
            doc! { "_id": 1, "n": 2 },
            doc! { "_id": 3, "n": 3 },
            doc! { "_id": 9, "n": 9 }
        ]
    );
    for result in [
        database.commit(transaction).await,
        database.abort(transaction).await,
        database.find("c", all(), t).await.map(drop),
    ] {
        assert!(matches!(result, Err(DatabaseError::TransactionMissing)));
    }

    let transaction = database.begin().await.unwrap();
    database
        .remove("c", doc! {}, true, Some(transaction))
        .await
        .unwrap();
    database.abort(transaction).await.unwrap();
    assert_eq!(database.count("c", doc! {}, None).await.unwrap(), 3);
}

#[tokio::test]
async fn a_conflict_shows_at_the_write_and_ends_the_transaction() {
    let database = with_collection("c").await;
    database
        .insert("c", vec![doc! { "_id": 1, "n": 1 }], None)
        .await
        .unwrap();
    let inc = || set(doc! { "_id": 1 }, doc! { "$inc": { "n": 1 } });
    let [first, second] = [database.begin().await.unwrap(), database.begin().await.unwrap()];
    database.update("c", inc(), Some(first)).await.unwrap();
    let conflict = database.update("c", inc(), Some(second)).await;
    assert!(matches!(conflict, Err(DatabaseError::TransactionConflict)));
    assert!(matches!(
        database.update("c", inc(), Some(second)).await,
        Err(DatabaseError::TransactionMissing)
    ));
    database.abort(second).await.unwrap();
    database.commit(first).await.unwrap();
    assert_eq!(
        documents(&database.find("c", all(), None).await.unwrap()),
        [doc! { "_id": 1, "n": 2 }]
    );

    // Changed since its snapshot was taken, by somebody who has ended.
    let late = database.begin().await.unwrap();
    database.find("c", all(), Some(late)).await.unwrap();
    database.update("c", inc(), None).await.unwrap();
    let conflict = database.update("c", inc(), Some(late)).await;
    assert!(matches!(conflict, Err(DatabaseError::TransactionConflict)));
    // Of two that insert the same `_id`, too.
    let [first, second] = [database.begin().await.unwrap(), database.begin().await.unwrap()];
    database
        .insert("c", vec![doc! { "_id": 5 }], Some(first))
        .await
        .unwrap();
    let conflict = database.insert("c", vec![doc! { "_id": 5 }], Some(second)).await;
    assert!(matches!(conflict, Err(DatabaseError::TransactionConflict)));
}

#[tokio::test]
async fn an_ordinary_write_waits_for_the_lock() {
    let database = with_collection("c").await;
    database
        .insert(
            "c",
            vec![doc! { "_id": 1, "n": 1 }, doc! { "_id": 2, "n": 1 }],
            None,
        )
        .await
        .unwrap();
    let transaction = database.begin().await.unwrap();
    let change = set(doc! { "_id": 1 }, doc! { "$set": { "n": 10 } });
    database.update("c", change, Some(transaction)).await.unwrap();
    let inc = set(doc! { "_id": 1 }, doc! { "$inc": { "n": 1 } });
    let waiting = {
        let database = database.clone();
        tokio::spawn(async move { database.update("c", inc, None).await })
    };
    // Another document is not locked, and the queue goes on.
    let other = set(doc! { "_id": 2 }, doc! { "$inc": { "n": 1 } });
    assert_eq!(database.update("c", other, None).await.unwrap().modified, 1);
    assert!(!waiting.is_finished());
    database.commit(transaction).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().modified, 1);
    let found = documents(&database.find("c", all(), None).await.unwrap());
    assert_eq!(found, [doc! { "_id": 1, "n": 11 }, doc! { "_id": 2, "n": 2 }]);
}

#[tokio::test]
async fn a_unique_value_that_two_transactions_add_fails_the_later_commit_whole() {
    let database = with_collection("c").await;
    database.create_index("c", unique("phone")).await.unwrap();
    let [first, second] = [database.begin().await.unwrap(), database.begin().await.unwrap()];
    database
        .insert("c", vec![doc! { "_id": 1, "phone": "1" }], Some(first))
        .await
        .unwrap();
    database
        .insert("c", vec![doc! { "_id": 0, "phone": "0" }], Some(second))
        .await
        .unwrap();
    database
        .insert("c", vec![doc! { "_id": 2, "phone": "1" }], Some(second))
        .await
        .unwrap();
    assert!(
        database
            .insert("c", vec![doc! { "_id": 3, "phone": "1" }], Some(second))
            .await
            .is_err()
    );
    database.commit(first).await.unwrap();
    assert!(matches!(
        database.commit(second).await,
        Err(DatabaseError::Duplicate { .. })
    ));
    assert_eq!(ids(&database.find("c", all(), None).await.unwrap()), [1.into()]);
    // Within one transaction a value may move.
    let transaction = database.begin().await.unwrap();
    let t = Some(transaction);
    database.remove("c", doc! { "_id": 1 }, false, t).await.unwrap();
    database
        .insert("c", vec![doc! { "_id": 4, "phone": "1" }], t)
        .await
        .unwrap();
    database.commit(transaction).await.unwrap();
    assert_eq!(ids(&database.find("c", all(), None).await.unwrap()), [4.into()]);
}

/// Programs keep a loop of their own around a conflict: none of their increments is lost.
#[tokio::test]
async fn contended_increments_lose_none() {
    let database = Arc::new(with_collection("c").await);
    database
        .insert("c", vec![doc! { "_id": "counter", "n": 0 }], None)
        .await
        .unwrap();
    let mut tasks = Vec::new();
    for task in 0..8 {
        let database = Arc::clone(&database);
        tasks.push(tokio::spawn(async move {
            for _ in 0..25 {
                // Every third one outside of transactions.
                if task % 3 == 2 {
                    let inc = set(doc! { "_id": "counter" }, doc! { "$inc": { "n": 1 } });
                    assert_eq!(database.update("c", inc, None).await.unwrap().modified, 1);
                    continue;
                }
                loop {
                    let transaction = database.begin().await.unwrap();
                    match increment(&database, transaction).await {
                        Ok(()) => break,
                        Err(DatabaseError::TransactionConflict) => database.abort(transaction).await.unwrap(),
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let found = documents(&database.find("c", all(), None).await.unwrap());
    assert_eq!(found, [doc! { "_id": "counter", "n": 200 }]);
}

async fn increment(database: &Embedded, transaction: TransactionId) -> Result<(), DatabaseError> {
    let t = Some(transaction);
    let read = database.find("c", by(doc! { "_id": "counter" }), t).await?;
    let n = documents(&read)[0].get_i32("n").unwrap();
    tokio::task::yield_now().await;
    database
        .update(
            "c",
            set(doc! { "_id": "counter" }, doc! { "$set": { "n": n + 1 } }),
            t,
        )
        .await?;
    database.commit(transaction).await
}

#[tokio::test]
async fn changes_are_told_in_their_order_and_replayed() {
    let database = with_collection("c").await;
    let mut live = database.changes(None).unwrap();
    database
        .insert("c", vec![doc! { "_id": 1, "n": 1 }], None)
        .await
        .unwrap();
    database
        .update("c", set(doc! { "_id": 1 }, doc! { "$inc": { "n": 1 } }), None)
        .await
        .unwrap();
    let transaction = database.begin().await.unwrap();
    database
        .insert("c", vec![doc! { "_id": 2 }], Some(transaction))
        .await
        .unwrap();
    database
        .remove("c", doc! { "_id": 1 }, false, Some(transaction))
        .await
        .unwrap();
    database.commit(transaction).await.unwrap();
    let mut told = Vec::new();
    for _ in 0..4 {
        let change = tokio::time::timeout(Duration::from_secs(30), live.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        told.push((
            change.kind,
            change.id.clone(),
            change.document.is_some(),
            change.sequence,
        ));
    }
    let kinds: Vec<_> = told.iter().map(|(kind, id, ..)| (*kind, id.clone())).collect();
    assert_eq!(
        kinds,
        [
            (ChangeKind::Insert, 1.into()),
            (ChangeKind::Update, 1.into()),
            (ChangeKind::Remove, 1.into()),
            (ChangeKind::Insert, 2.into()),
        ]
    );
    let mut again = database.changes(Some(told[1].3)).unwrap();
    assert_eq!(again.next().await.unwrap().unwrap().kind, ChangeKind::Remove);
    assert!(database.changes(Some(told[3].3 + 100)).is_err());
}

fn index(fields: &[(&str, IndexKind)]) -> IndexSpec {
    let fields: Vec<_> = fields
        .iter()
        .map(|(path, kind)| IndexField {
            path: (*path).to_owned(),
            kind: *kind,
        })
        .collect();
    IndexSpec {
        name: IndexSpec::named_by_fields(&fields),
        fields,
        unique: false,
        sparse: false,
    }
}

/// What an index leads to is what a walk through the whole collection finds, in the same order, with fewer documents looked at.
#[tokio::test]
async fn indexes_lead_to_what_a_scan_finds() {
    use IndexKind::{Ascending, Descending};
    let [plain, indexed] = [with_collection("c").await, with_collection("c").await];
    indexed
        .create_index("c", index(&[("status", Ascending), ("at", Descending)]))
        .await
        .unwrap();
    indexed
        .create_index("c", index(&[("tags", Ascending)]))
        .await
        .unwrap();
    let make = |n: i32| {
        let status = ["open", "done", "late"][n as usize % 3];
        let mut document = doc! { "_id": n, "status": status, "at": n % 50, "tags": [n % 10, "x"] };
        match n % 17 {
            0 => drop(document.remove("at")),
            1 => drop(document.insert("at", Bson::Null)),
            2 => drop(document.insert("at", f64::from(n % 50) + 0.5)),
            3 => drop(document.insert("at", "text")),
            4 => drop(document.insert("at", vec![n % 50, 7])),
            _ => {}
        }
        document
    };
    for database in [&plain, &indexed] {
        database
            .insert("c", (0..600).map(make).collect(), None)
            .await
            .unwrap();
        database
            .remove("c", doc! { "_id": { "$mod": [7, 0] } }, true, None)
            .await
            .unwrap();
        let many = Update {
            many: true,
            ..set(
                doc! { "_id": { "$mod": [5, 0] } },
                doc! { "$set": { "status": "open" }, "$push": { "tags": 3 } },
            )
        };
        database.update("c", many, None).await.unwrap();
    }
    let newest = Some(doc! { "at": -1, "_id": 1 });
    for (filter, sort, limit) in [
        (doc! { "_id": 12 }, None, None),
        (doc! { "_id": { "$in": [5, 12, 11, 99999] } }, None, None),
        (
            doc! { "_id": { "$gte": 10, "$lt": 20 } },
            Some(doc! { "_id": -1 }),
            Some(5),
        ),
        (doc! { "status": "open" }, Some(doc! { "at": -1 }), None),
        (
            doc! { "status": "open", "at": { "$gt": 10, "$lte": 20 } },
            newest.clone(),
            Some(20),
        ),
        (
            doc! { "status": { "$in": ["open", "late"] }, "at": 7 },
            newest.clone(),
            None,
        ),
        (doc! { "status": "done", "at": null }, newest.clone(), None),
        (
            doc! { "status": "done", "at": { "$ne": 3 } },
            newest.clone(),
            None,
        ),
        (doc! { "tags": 3 }, newest.clone(), None),
        (doc! { "tags": { "$all": [3, "x"] } }, newest.clone(), None),
        (doc! { "tags": { "$gt": 2, "$lt": 4 } }, newest.clone(), None),
        (doc! { "tags": [3, "x"] }, newest.clone(), None),
        (
            doc! { "$or": [{ "tags": 3 }, { "status": "late", "at": { "$gte": 40 } }] },
            newest.clone(),
            None,
        ),
        (doc! { "status": { "$regex": "^op" } }, newest.clone(), None),
        (doc! { "status": "nothing" }, newest.clone(), None),
        (doc! {}, newest, Some(30)),
    ] {
        let find = Find {
            filter: filter.clone(),
            // Where nothing tells two documents apart their order is open.
            sort: sort.or(Some(doc! { "_id": 1 })),
            limit,
            ..Find::default()
        };
        let ties = !find.sort.as_ref().unwrap().contains_key("_id");
        let [scanned, led] = [
            plain.find("c", find.clone(), None).await.unwrap(),
            indexed.find("c", find, None).await.unwrap(),
        ];
        let [mut expected, mut found] = [ids(&scanned), ids(&led)];
        if ties {
            for ids in [&mut expected, &mut found] {
                ids.sort_by_key(ToString::to_string);
            }
        }
        assert_eq!(found, expected, "{filter}");
        assert!(led.looked.documents <= scanned.looked.documents, "{filter}");
        let counts = [&plain, &indexed].map(|database| database.count("c", filter.clone(), None));
        let [expected, found] = counts;
        assert_eq!(found.await.unwrap(), expected.await.unwrap(), "{filter}");
    }
    let page = Find {
        filter: doc! { "tags": 3 },
        ..Find::default()
    };
    let led = indexed.find("c", page, None).await.unwrap();
    assert_eq!(
        (led.looked.index.as_deref(), led.looked.documents),
        (Some("tags_1"), led.documents.len() as u64)
    );
    let by_id = indexed.find("c", by(doc! { "_id": 12 }), None).await.unwrap();
    assert_eq!(
        (by_id.looked.index.as_deref(), by_id.looked.documents),
        (Some("_id_"), 1)
    );
}

#[tokio::test]
async fn pipelines_join_group_and_sort() {
    let database = with_collection("orders").await;
    database.create_collection("users").await.unwrap();
    let users = vec![
        doc! { "_id": "u1", "name": "Ann" },
        doc! { "_id": "u2", "name": "Bo" },
    ];
    database.insert("users", users, None).await.unwrap();
    let orders = (0..20)
        .map(|n| doc! { "_id": n, "user": if n % 3 == 0 { "u1" } else { "u2" }, "price": n, "note": "x".repeat(50) })
        .collect();
    database.insert("orders", orders, None).await.unwrap();
    let stages = vec![
        doc! { "$match": { "price": { "$gte": 10 } } },
        doc! { "$group": { "_id": "$user", "total": { "$sum": "$price" }, "count": { "$sum": 1 } } },
        doc! { "$lookup": { "from": "users", "localField": "_id", "foreignField": "_id", "as": "user" } },
        doc! { "$unwind": "$user" },
        doc! { "$project": { "_id": 0, "name": "$user.name", "total": 1, "count": 1 } },
        doc! { "$sort": { "total": -1 } },
        doc! { "$limit": 20 },
    ];
    let aggregate = Aggregate { stages };
    let expected = [
        doc! { "total": 100, "count": 7, "name": "Bo" },
        doc! { "total": 45, "count": 3, "name": "Ann" },
    ];
    let found = database
        .aggregate("orders", aggregate.clone(), None)
        .await
        .unwrap();
    assert_eq!(documents(&found), expected);
    // The same within a transaction, with its own writes.
    let transaction = database.begin().await.unwrap();
    let t = Some(transaction);
    database
        .remove("orders", doc! { "user": "u1" }, true, t)
        .await
        .unwrap();
    let found = database.aggregate("orders", aggregate.clone(), t).await.unwrap();
    assert_eq!(documents(&found), expected[..1]);
    database.abort(transaction).await.unwrap();

    // Along an index, no more is looked at than needed.
    database
        .create_index(
            "orders",
            index(&[("user", IndexKind::Ascending), ("price", IndexKind::Descending)]),
        )
        .await
        .unwrap();
    let stages = vec![
        doc! { "$match": { "user": "u2" } },
        doc! { "$sort": { "price": -1 } },
        doc! { "$limit": 3 },
        doc! { "$project": { "_id": 0, "price": 1 } },
    ];
    let found = database
        .aggregate("orders", Aggregate { stages }, None)
        .await
        .unwrap();
    assert_eq!(
        documents(&found),
        [doc! { "price": 19 }, doc! { "price": 17 }, doc! { "price": 16 }]
    );
    assert_eq!(found.looked.documents, 3);
    for stages in [vec![doc! { "$nothing": 1 }], vec![doc! { "$group": { "n": 1 } }]] {
        let refused = database.aggregate("orders", Aggregate { stages }, None).await;
        assert!(matches!(refused, Err(DatabaseError::Refused(_))));
    }
    assert!(matches!(
        database.aggregate("nothing", aggregate, None).await,
        Err(DatabaseError::CollectionMissing(_))
    ));
}

#[tokio::test]
async fn projections_and_places() {
    let database = with_collection("c").await;
    let place = |x: f64| doc! { "type": "Point", "coordinates": [x, 0.0] };
    let added = vec![
        doc! { "_id": 1, "at": place(2.0), "tags": [{ "k": 1 }, { "k": 2 }], "a": { "b": 1, "c": 2 } },
        doc! { "_id": 2, "at": place(1.0), "tags": [] },
        doc! { "_id": 3, "at": place(50.0) },
    ];
    database.insert("c", added, None).await.unwrap();
    database
        .create_index("c", index(&[("at", IndexKind::Sphere)]))
        .await
        .unwrap();
    let near = Find {
        filter: doc! { "at": { "$nearSphere": { "$geometry": place(0.0), "$maxDistance": 1_000_000 } } },
        projection: Some(doc! { "_id": 1 }),
        ..Find::default()
    };
    let found = database.find("c", near, None).await.unwrap();
    assert_eq!(documents(&found), [doc! { "_id": 2 }, doc! { "_id": 1 }]);
    let shown = Find {
        filter: doc! { "_id": 1 },
        projection: Some(doc! { "a.b": 1, "tags": { "$elemMatch": { "k": 2 } }, "_id": 0 }),
        ..Find::default()
    };
    let found = database.find("c", shown, None).await.unwrap();
    assert_eq!(
        documents(&found),
        [doc! { "a": { "b": 1 }, "tags": [{ "k": 2 }] }]
    );
    let stages = vec![
        doc! { "$geoNear": { "near": place(0.0), "spherical": true, "distanceField": "far", "maxDistance": 1_000_000 } },
    ];
    let found = database.aggregate("c", Aggregate { stages }, None).await.unwrap();
    assert_eq!(ids(&found), [2.into(), 1.into()]);
}

#[tokio::test]
async fn an_answer_has_a_bound() {
    let options = Options {
        answer: 10_000,
        ..Options::default()
    };
    let database = Embedded::in_memory(options).unwrap();
    database.create_collection("c").await.unwrap();
    let large = (0..40)
        .map(|n| doc! { "_id": n, "n": 40 - n, "text": "x".repeat(1000) })
        .collect();
    database.insert("c", large, None).await.unwrap();
    for sort in [None, Some(doc! { "n": 1 })] {
        let mut find = Find {
            sort,
            ..Find::default()
        };
        assert!(matches!(
            database.find("c", find.clone(), None).await,
            Err(DatabaseError::AnswerTooLarge(10_000))
        ));
        find.limit = Some(5);
        assert_eq!(database.find("c", find, None).await.unwrap().documents.len(), 5);
    }
    let all = Aggregate { stages: Vec::new() };
    assert!(matches!(
        database.aggregate("c", all, None).await,
        Err(DatabaseError::AnswerTooLarge(10_000))
    ));
}

/// On the platform collections are made in the console: a transaction may meet one for the first time.
#[tokio::test]
async fn a_transaction_reaches_a_collection_that_was_made_after_it_began() {
    let database = with_collection("c").await;
    let transaction = database.begin().await.unwrap();
    let t = Some(transaction);
    assert_eq!(database.count("c", doc! {}, t).await.unwrap(), 0);
    assert!(database.count("later", doc! {}, t).await.is_err());
    database.create_collection("later").await.unwrap();
    database
        .insert("later", vec![doc! { "_id": 1 }], t)
        .await
        .unwrap();
    assert_eq!(ids(&database.find("later", all(), t).await.unwrap()), [1.into()]);
    database.commit(transaction).await.unwrap();
    assert_eq!(database.count("later", doc! {}, None).await.unwrap(), 1);
}
