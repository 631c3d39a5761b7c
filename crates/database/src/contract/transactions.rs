//! Transactions as the platform has them: one snapshot, a write that locks its document, a conflict that shows at the write.
//!
//! What an error other than a conflict leaves of a transaction is the engine's own: MongoDB ends it, the embedded engine does not.

use super::*;

/// Each reads the documents as they were when its first operation came, with its own writes above.
pub async fn one_sees_its_snapshot_and_its_own_writes(database: Engine) {
    holding(
        &database,
        vec![doc! { "_id": 1, "n": 1 }, doc! { "_id": 2, "n": 2 }],
    )
    .await;
    let transaction = database.begin().await.unwrap();
    let t = Some(transaction);
    assert_eq!(ids(&read(&database, all(), t).await), [1.into(), 2.into()]);
    // What others do from now on it does not see.
    database
        .insert("c", vec![doc! { "_id": 9, "n": 9 }], None)
        .await
        .unwrap();
    let inc = change(doc! { "_id": 1 }, doc! { "$inc": { "n": 1 } });
    database.update("c", inc, t).await.unwrap();
    database
        .insert("c", vec![doc! { "_id": 3, "n": 3 }], t)
        .await
        .unwrap();
    assert_eq!(
        database
            .remove("c", doc! { "_id": 2 }, false, t)
            .await
            .unwrap()
            .count,
        1
    );
    let upsert = Update {
        upsert: Some(4.into()),
        ..change(doc! { "_id": 4 }, doc! { "$set": { "n": 4 } })
    };
    let updated = database.update("c", upsert, t).await.unwrap();
    assert_eq!(updated.upserted, Some(4.into()));
    let returned = Update {
        returns: Some(ReturnedDocument::After),
        ..change(doc! { "_id": 4 }, doc! { "$inc": { "n": 10 } })
    };
    let updated = database.update("c", returned, t).await.unwrap();
    assert_eq!(updated.document, Some(doc! { "_id": 4, "n": 14 }));
    let own = [
        doc! { "_id": 1, "n": 2 },
        doc! { "_id": 3, "n": 3 },
        doc! { "_id": 4, "n": 14 },
    ];
    assert_eq!(read(&database, all(), t).await, own);
    let filter = doc! { "n": { "$gte": 3 } };
    assert_eq!(database.count("c", filter.clone(), t).await.unwrap().count, 2);
    let aggregate = Aggregate {
        stages: vec![doc! { "$match": filter }, doc! { "$sort": { "_id": 1 } }],
    };
    let found = database.aggregate("c", aggregate, t).await.unwrap();
    assert_eq!(decoded(&found), own[1..]);
    // Nobody else sees any of it.
    let mut others = vec![
        doc! { "_id": 1, "n": 1 },
        doc! { "_id": 2, "n": 2 },
        doc! { "_id": 9, "n": 9 },
    ];
    assert_eq!(read(&database, all(), None).await, others);
    database.commit(transaction).await.unwrap();
    others.splice(..2, own);
    assert_eq!(read(&database, all(), None).await, others);

    let transaction = database.begin().await.unwrap();
    database
        .remove("c", doc! {}, true, Some(transaction))
        .await
        .unwrap();
    database.abort(transaction).await.unwrap();
    assert_eq!(database.count("c", doc! {}, None).await.unwrap().count, 4);
    // One that did nothing can be committed too.
    let idle = database.begin().await.unwrap();
    database.commit(idle).await.unwrap();
}

/// See [`DatabaseError::TransactionConflict`].
pub async fn a_conflict_shows_at_the_write_and_ends_the_transaction(database: Engine) {
    holding(&database, vec![doc! { "_id": 1, "n": 1 }]).await;
    let inc = || change(doc! { "_id": 1 }, doc! { "$inc": { "n": 1 } });
    let [first, second] = [database.begin().await.unwrap(), database.begin().await.unwrap()];
    database.update("c", inc(), Some(first)).await.unwrap();
    let conflict = database.update("c", inc(), Some(second)).await;
    assert!(
        matches!(conflict, Err(DatabaseError::TransactionConflict)),
        "{conflict:?}"
    );
    let ended = database.update("c", inc(), Some(second)).await;
    assert!(
        matches!(ended, Err(DatabaseError::TransactionMissing)),
        "{ended:?}"
    );
    // A program's own loop aborts what has failed.
    database.abort(second).await.unwrap();
    database.commit(first).await.unwrap();
    assert_eq!(read(&database, all(), None).await, [doc! { "_id": 1, "n": 2 }]);

    // Changed since its snapshot was taken, by somebody who has ended.
    let late = database.begin().await.unwrap();
    database.find("c", all(), Some(late)).await.unwrap();
    database.update("c", inc(), None).await.unwrap();
    let conflict = database.update("c", inc(), Some(late)).await;
    assert!(
        matches!(conflict, Err(DatabaseError::TransactionConflict)),
        "{conflict:?}"
    );
    database.abort(late).await.unwrap();
    // Of two that insert the same `_id`, too; and where one removes what the other changes.
    let [first, second] = [database.begin().await.unwrap(), database.begin().await.unwrap()];
    database
        .insert("c", vec![doc! { "_id": 5 }], Some(first))
        .await
        .unwrap();
    let conflict = database.insert("c", vec![doc! { "_id": 5 }], Some(second)).await;
    assert!(
        matches!(conflict, Err(DatabaseError::TransactionConflict)),
        "{conflict:?}"
    );
    database.abort(second).await.unwrap();
    database
        .remove("c", doc! { "_id": 1 }, false, Some(first))
        .await
        .unwrap();
    let third = database.begin().await.unwrap();
    let conflict = database.update("c", inc(), Some(third)).await;
    assert!(
        matches!(conflict, Err(DatabaseError::TransactionConflict)),
        "{conflict:?}"
    );
    database.abort(third).await.unwrap();
    database.abort(first).await.unwrap();
}

/// A write outside of transactions is never refused for one: it comes after it.
pub async fn an_ordinary_write_waits_for_the_lock(database: Engine) {
    let documents = vec![doc! { "_id": 1, "n": 1 }, doc! { "_id": 2, "n": 1 }];
    holding(&database, documents).await;
    let transaction = database.begin().await.unwrap();
    let set = change(doc! { "_id": 1 }, doc! { "$set": { "n": 10 } });
    database.update("c", set, Some(transaction)).await.unwrap();
    let inc = |id: i32| change(doc! { "_id": id }, doc! { "$inc": { "n": 1 } });
    let waiting = {
        let database = Arc::clone(&database);
        tokio::spawn(async move { database.update("c", inc(1), None).await })
    };
    // Another document is not locked, and the queue goes on.
    for _ in 0..5 {
        assert_eq!(database.update("c", inc(2), None).await.unwrap().modified, 1);
    }
    assert!(!waiting.is_finished());
    database.commit(transaction).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().modified, 1);
    assert_eq!(
        read(&database, all(), None).await,
        [doc! { "_id": 1, "n": 11 }, doc! { "_id": 2, "n": 6 }]
    );
}

/// MongoDB and the embedded engine refuse the second at its write, as a conflict; an engine may do so at its commit, as a duplicate.
pub async fn of_two_that_add_one_unique_value_one_is_done_whole(database: Engine) {
    holding(&database, Vec::new()).await;
    database.create_index("c", unique("phone")).await.unwrap();
    let [first, second] = [database.begin().await.unwrap(), database.begin().await.unwrap()];
    let insert = |id: i32, phone: &str, transaction| {
        database.insert("c", vec![doc! { "_id": id, "phone": phone }], Some(transaction))
    };
    insert(1, "1", first).await.unwrap();
    insert(0, "0", second).await.unwrap();
    let late = insert(2, "1", second).await;
    database.commit(first).await.unwrap();
    let outcome = match late {
        Ok(_) => database.commit(second).await,
        Err(error) => {
            database.abort(second).await.unwrap();
            Err(error)
        }
    };
    assert!(
        matches!(
            outcome,
            Err(DatabaseError::Duplicate { .. } | DatabaseError::TransactionConflict)
        ),
        "{outcome:?}"
    );
    assert_eq!(ids(&read(&database, all(), None).await), [1.into()]);
    // What is there already is a duplicate, at the write.
    let third = database.begin().await.unwrap();
    let taken = insert(3, "1", third).await;
    assert!(matches!(taken, Err(DatabaseError::Duplicate { .. })), "{taken:?}");
    database.abort(third).await.unwrap();
    // Within one transaction a value may move.
    let transaction = database.begin().await.unwrap();
    let t = Some(transaction);
    database.remove("c", doc! { "_id": 1 }, false, t).await.unwrap();
    insert(4, "1", transaction).await.unwrap();
    database.commit(transaction).await.unwrap();
    assert_eq!(ids(&read(&database, all(), None).await), [4.into()]);
}

/// The transfer between two accounts, in two collections.
pub async fn a_commit_is_whole_over_collections(database: Engine) {
    for name in ["from", "to"] {
        database.create_collection(name).await.unwrap();
        let account = vec![doc! { "_id": name, "amount": 100 }];
        database.insert(name, account, None).await.unwrap();
    }
    let amounts = async || {
        let mut amounts = Vec::new();
        for name in ["from", "to"] {
            let found = database.find(name, all(), None).await.unwrap();
            amounts.push(decoded(&found)[0].get_i32("amount").unwrap());
        }
        amounts
    };
    for (commits, expected) in [(false, [100, 100]), (true, [90, 110])] {
        let transaction = database.begin().await.unwrap();
        for (name, by) in [("from", -10), ("to", 10)] {
            let inc = change(doc! { "_id": name }, doc! { "$inc": { "amount": by } });
            database.update(name, inc, Some(transaction)).await.unwrap();
            assert_eq!(amounts().await, [100, 100]);
        }
        if commits {
            database.commit(transaction).await.unwrap();
        } else {
            database.abort(transaction).await.unwrap();
        }
        assert_eq!(amounts().await, expected);
    }
}

/// A lock is one document's.
pub async fn those_that_write_different_documents_both_commit(database: Engine) {
    let documents = (0..4).map(|n| doc! { "_id": n, "n": 0 }).collect();
    holding(&database, documents).await;
    let [first, second] = [database.begin().await.unwrap(), database.begin().await.unwrap()];
    for n in 0..4 {
        let transaction = if n % 2 == 0 { first } else { second };
        // Both have read all of them.
        assert_eq!(read(&database, all(), Some(transaction)).await.len(), 4);
        let inc = change(doc! { "_id": n }, doc! { "$inc": { "n": 1 } });
        let updated = database.update("c", inc, Some(transaction)).await.unwrap();
        assert_eq!(updated.modified, 1);
    }
    database.commit(second).await.unwrap();
    database.commit(first).await.unwrap();
    let done = doc! { "n": 1 };
    assert_eq!(database.count("c", done, None).await.unwrap().count, 4);
}

/// See [`DatabaseError::TransactionBusy`].
pub async fn two_operations_of_one_at_once_are_refused(database: Engine) {
    holding(&database, vec![doc! { "_id": 1 }]).await;
    let transaction = database.begin().await.unwrap();
    let t = Some(transaction);
    let (one, other) = tokio::join!(
        database.find("c", all(), t),
        database.insert("c", vec![doc! { "_id": 2 }], t)
    );
    assert_eq!(decoded(&one.unwrap()).len(), 1);
    assert!(matches!(other, Err(DatabaseError::TransactionBusy)), "{other:?}");
    // The transaction goes on.
    database.insert("c", vec![doc! { "_id": 3 }], t).await.unwrap();
    database.commit(transaction).await.unwrap();
    assert_eq!(ids(&read(&database, all(), None).await), [1.into(), 3.into()]);
}

/// See [`Database::abort`].
pub async fn one_is_aborted_behind_what_is_under_way(database: Engine) {
    holding(&database, vec![doc! { "_id": 1 }]).await;
    let transaction = database.begin().await.unwrap();
    let t = Some(transaction);
    let set = change(doc! { "_id": 1 }, doc! { "$set": { "n": 1 } });
    let (updated, aborted) = tokio::join!(database.update("c", set.clone(), t), database.abort(transaction));
    assert_eq!(updated.unwrap().matched, 1);
    aborted.unwrap();
    assert!(matches!(
        database.abort(transaction).await,
        Err(DatabaseError::TransactionMissing)
    ));
    // Nothing of it is there, and nothing is locked.
    assert_eq!(read(&database, all(), None).await, [doc! { "_id": 1 }]);
    assert_eq!(database.update("c", set, None).await.unwrap().modified, 1);
}

/// See [`DatabaseError::TransactionMissing`].
pub async fn what_has_ended_is_missing(database: Engine) {
    holding(&database, vec![doc! { "_id": 1 }]).await;
    let committed = database.begin().await.unwrap();
    database
        .insert("c", vec![doc! { "_id": 2 }], Some(committed))
        .await
        .unwrap();
    database.commit(committed).await.unwrap();
    let aborted = database.begin().await.unwrap();
    database.abort(aborted).await.unwrap();
    let unknown = TransactionId(aborted.0 ^ 1);
    for transaction in [committed, aborted, unknown] {
        let t = Some(transaction);
        let set = change(doc! { "_id": 1 }, doc! { "$set": { "n": 1 } });
        for result in [
            database.find("c", all(), t).await.map(drop),
            database.count("c", doc! {}, t).await.map(drop),
            database.insert("c", vec![doc! { "_id": 3 }], t).await.map(drop),
            database.update("c", set, t).await.map(drop),
            database.remove("c", doc! {}, true, t).await.map(drop),
            database.aggregate("c", Aggregate::default(), t).await.map(drop),
            database.commit(transaction).await,
            database.abort(transaction).await,
        ] {
            assert!(
                matches!(result, Err(DatabaseError::TransactionMissing)),
                "{result:?}"
            );
        }
    }
    assert_eq!(
        read(&database, all(), None).await,
        [doc! { "_id": 1 }, doc! { "_id": 2 }]
    );
}

/// See [`DatabaseError::TransactionsFull`].
pub async fn no_more_are_open_than_may_be(database: Engine) {
    holding(&database, vec![doc! { "_id": 1 }]).await;
    let mut open = Vec::new();
    let most = loop {
        match database.begin().await {
            Ok(transaction) => open.push(transaction),
            Err(DatabaseError::TransactionsFull(most)) => break most,
            Err(error) => panic!("{error}"),
        }
        assert!(open.len() <= 5000, "there is no bound");
    };
    assert_eq!(open.len(), most);
    // One that ends makes room for one.
    database.abort(open.remove(0)).await.unwrap();
    let one = database.begin().await.unwrap();
    assert_eq!(read(&database, all(), Some(one)).await.len(), 1);
    assert!(database.begin().await.is_err());
    for transaction in open {
        database.abort(transaction).await.unwrap();
    }
    database.commit(one).await.unwrap();
    database.begin().await.unwrap();
}

/// What was measured on the platform.
pub async fn of_six_on_one_document_one_wins_each_round(database: Engine) {
    holding(&database, vec![doc! { "_id": 1, "n": 0 }]).await;
    for round in 1..=5 {
        let mut transactions = Vec::new();
        for _ in 0..6 {
            let transaction = database.begin().await.unwrap();
            assert_eq!(
                read(&database, all(), Some(transaction)).await,
                [doc! { "_id": 1, "n": round - 1 }]
            );
            transactions.push(transaction);
        }
        let mut won = 0;
        for transaction in transactions {
            let inc = change(doc! { "_id": 1 }, doc! { "$inc": { "n": 1 } });
            match database.update("c", inc, Some(transaction)).await {
                Ok(_) => {
                    database.commit(transaction).await.unwrap();
                    won += 1;
                }
                Err(DatabaseError::TransactionConflict) => database.abort(transaction).await.unwrap(),
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(won, 1);
        assert_eq!(
            read(&database, all(), None).await,
            [doc! { "_id": 1, "n": round }]
        );
    }
}

/// Programs keep a loop of their own around a conflict: none of their increments is lost.
pub async fn contended_increments_lose_none(database: Engine) {
    holding(&database, vec![doc! { "_id": "counter", "n": 0 }]).await;
    let mut tasks = Vec::new();
    for task in 0..8 {
        let database = Arc::clone(&database);
        tasks.push(tokio::spawn(async move {
            for _ in 0..25 {
                // Every third one outside of transactions.
                if task % 3 == 2 {
                    let inc = change(doc! { "_id": "counter" }, doc! { "$inc": { "n": 1 } });
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
    assert_eq!(
        read(&database, all(), None).await,
        [doc! { "_id": "counter", "n": 200 }]
    );
}

async fn increment(database: &Engine, transaction: TransactionId) -> Result<()> {
    let t = Some(transaction);
    let found = database.find("c", by(doc! { "_id": "counter" }), t).await?;
    let n = decoded(&found)[0].get_i32("n").unwrap();
    tokio::task::yield_now().await;
    let set = change(doc! { "_id": "counter" }, doc! { "$set": { "n": n + 1 } });
    database.update("c", set, t).await?;
    database.commit(transaction).await
}
