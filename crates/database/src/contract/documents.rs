//! Collections, documents, indexes.

use bson::{Binary, DateTime, Timestamp, oid::ObjectId, spec::BinarySubtype};

use super::*;

/// See [`Database`].
pub async fn they_are_added_found_changed_and_removed(database: Engine) {
    database.create_collection("c").await.unwrap();
    let added = (0..30)
        .map(|n| doc! { "_id": n, "n": n % 7, "tags": ["a", n] })
        .collect();
    let added = database.insert("c", added, None).await.unwrap();
    assert_eq!(added, (0..30).map(Bson::Int32).collect::<Vec<_>>());

    let page = Find {
        filter: doc! { "n": { "$gt": 1 } },
        sort: Some(doc! { "n": -1, "_id": 1 }),
        skip: 2,
        limit: Some(3),
        ..Find::default()
    };
    let found = database.find("c", page.clone(), None).await.unwrap();
    let numbers: Vec<_> = decoded(&found)
        .iter()
        .map(|document| (document["n"].clone(), document["_id"].clone()))
        .collect();
    assert_eq!(
        numbers,
        [(6.into(), 20.into()), (6.into(), 27.into()), (5.into(), 5.into())]
    );
    // An engine that does not know how many it looked at says so; one that says it looked at what it found.
    assert!(found.looked.is_none_or(|looked| looked.documents >= 3));
    for (skip, limit, expected) in [
        (0, Some(0), 0),
        (1000, None, 0),
        (18, None, 2),
        (0, Some(1000), 20),
    ] {
        let page = Find {
            skip,
            limit,
            ..page.clone()
        };
        assert_eq!(
            read(&database, page, None).await.len(),
            expected,
            "{skip} {limit:?}"
        );
    }

    assert_eq!(database.count("c", doc! {}, None).await.unwrap().count, 30);
    assert_eq!(
        database.count("c", doc! { "tags": 3 }, None).await.unwrap().count,
        1
    );

    let many = Update {
        many: true,
        ..change(
            doc! { "n": 3 },
            doc! { "$inc": { "n": 10 }, "$push": { "tags": "x" } },
        )
    };
    let updated = database.update("c", many, None).await.unwrap();
    assert_eq!((updated.matched, updated.modified), (4, 4));
    let unchanged = change(doc! { "_id": 3 }, doc! { "$set": { "n": 13 } });
    let updated = database.update("c", unchanged, None).await.unwrap();
    assert_eq!((updated.matched, updated.modified), (1, 0));
    let nobody = change(doc! { "_id": 300 }, doc! { "$set": { "n": 13 } });
    let updated = database.update("c", nobody, None).await.unwrap();
    assert_eq!(
        (updated.matched, updated.modified, updated.upserted),
        (0, 0, None)
    );

    let replaced = Update {
        kind: UpdateKind::Replacement(doc! { "fresh": true }),
        ..change(doc! { "_id": 4 }, doc! {})
    };
    let updated = database.update("c", replaced, None).await.unwrap();
    assert_eq!((updated.matched, updated.modified), (1, 1));
    assert_eq!(
        read(&database, by(doc! { "_id": 4 }), None).await,
        [doc! { "_id": 4, "fresh": true }]
    );
    let returned = Update {
        returns: Some(ReturnedDocument::After),
        ..change(doc! { "_id": 4 }, doc! { "$set": { "fresh": 1 } })
    };
    let updated = database.update("c", returned, None).await.unwrap();
    assert_eq!(updated.document, Some(doc! { "_id": 4, "fresh": 1 }));
    assert_eq!(updated.matched, 1);

    let filter = doc! { "n": 13 };
    assert_eq!(
        database
            .remove("c", filter.clone(), false, None)
            .await
            .unwrap()
            .count,
        1
    );
    assert_eq!(
        database
            .remove("c", filter.clone(), true, None)
            .await
            .unwrap()
            .count,
        3
    );
    assert_eq!(database.remove("c", filter, true, None).await.unwrap().count, 0);
    assert_eq!(database.count("c", doc! {}, None).await.unwrap().count, 26);
    let status = database.collections().await.unwrap();
    assert_eq!(
        (status.len(), status[0].name.as_str(), status[0].documents),
        (1, "c", 26)
    );
}

/// See [`DatabaseError::CollectionMissing`]: the platform makes no collection on its own.
pub async fn a_collection_that_is_missing_is_an_error_of_every_operation(database: Engine) {
    let missing =
        |result: Result<()>| matches!(result, Err(DatabaseError::CollectionMissing(name)) if name == "c");
    for round in 0..2 {
        let added = vec![doc! { "_id": 1 }];
        assert!(missing(database.insert("c", added, None).await.map(drop)));
        assert!(missing(database.find("c", all(), None).await.map(drop)));
        assert!(missing(database.count("c", doc! {}, None).await.map(drop)));
        let set = change(doc! {}, doc! { "$set": { "a": 1 } });
        assert!(missing(database.update("c", set, None).await.map(drop)));
        let upsert = Update {
            upsert: Some(1.into()),
            ..change(doc! { "_id": 1 }, doc! { "$set": { "a": 1 } })
        };
        assert!(missing(database.update("c", upsert, None).await.map(drop)));
        assert!(missing(database.remove("c", doc! {}, true, None).await.map(drop)));
        let stages = Aggregate {
            stages: vec![doc! { "$match": {} }],
        };
        assert!(missing(database.aggregate("c", stages, None).await.map(drop)));
        assert!(missing(database.create_index("c", unique("a")).await));
        assert!(!database.drop_collection("c").await.unwrap());
        // None of them made it.
        assert!(database.collections().await.unwrap().is_empty());

        if round == 0 {
            database.create_collection("c").await.unwrap();
            let twice = database.create_collection("c").await.unwrap_err();
            assert!(matches!(twice, DatabaseError::CollectionExists(name) if name == "c"));
            database.insert("c", vec![doc! { "_id": 1 }], None).await.unwrap();
            assert!(database.drop_collection("c").await.unwrap());
        }
    }
    database.create_collection("c").await.unwrap();
    assert_eq!(database.count("c", doc! {}, None).await.unwrap().count, 0);
    assert!(read(&database, all(), None).await.is_empty());
}

/// What a program wrote wrong shows before it has data.
pub async fn what_is_refused_is_refused_on_an_empty_collection_too(database: Engine) {
    database.create_collection("c").await.unwrap();
    for filter in [
        doc! { "a": { "$gtt": 1 } },
        doc! { "$and": [] },
        doc! { "$nothing": [{ "a": 1 }] },
        doc! { "a": { "$in": "x" } },
        doc! { "a": { "$size": -1 } },
        doc! { "a": { "$regex": "(" } },
        doc! { "a": { "$mod": [0, 1] } },
        doc! { "$expr": { "$nothing": 1 } },
    ] {
        refused(database.find("c", by(filter.clone()), None).await, &filter);
        refused(database.count("c", filter.clone(), None).await, &filter);
        refused(database.remove("c", filter.clone(), true, None).await, &filter);
        let update = change(filter.clone(), doc! { "$set": { "a": 1 } });
        refused(database.update("c", update, None).await, &filter);
        refused(
            run(&database, vec![doc! { "$match": filter.clone() }]).await,
            &filter,
        );
    }
    for operators in [
        doc! { "$incc": { "a": 1 } },
        doc! { "$inc": { "a": "x" } },
        doc! { "$set": { "a": 1 }, "$inc": { "a": 1 } },
        doc! { "$set": { "a": 1, "a.b": 1 } },
        doc! { "$set": { "a..b": 1 } },
        doc! { "$push": { "a": { "$each": 1 } } },
    ] {
        let what = operators.clone();
        refused(
            database.update("c", change(doc! {}, operators), None).await,
            &what,
        );
    }
    for stage in [
        doc! { "$nothing": 1 },
        doc! { "$group": { "n": 1 } },
        doc! { "$limit": 0 },
        doc! { "$skip": -1 },
        doc! { "$project": {} },
        doc! { "$project": { "a": 1, "b": 0 } },
        doc! { "$project": { "a": { "$abs": [1, 2] } } },
        doc! { "$match": {}, "$limit": 1 },
        doc! { "$bucket": { "groupBy": "$a", "boundaries": [2, 1] } },
        doc! { "$unwind": "a" },
        doc! { "$sample": { "size": -1 } },
    ] {
        refused(run(&database, vec![stage.clone()]).await, &stage);
    }
    let sorted = Find {
        sort: Some(doc! { "a": 2 }),
        ..Find::default()
    };
    refused(database.find("c", sorted, None).await, &"sort");
    let projected = Find {
        projection: Some(doc! { "a": 1, "b": 0 }),
        ..Find::default()
    };
    refused(database.find("c", projected, None).await, &"projection");
}

fn duplicate<T: std::fmt::Debug>(result: Result<T>) -> (String, String) {
    match result {
        Err(DatabaseError::Duplicate { index, key, .. }) => (index, key),
        other => panic!("{other:?}"),
    }
}

/// See [`DatabaseError::Duplicate`] and [`IndexSpec::unique`].
pub async fn no_two_have_one_id_or_one_unique_value(database: Engine) {
    holding(&database, vec![doc! { "_id": 1, "phone": "1" }]).await;
    database.create_index("c", unique("phone")).await.unwrap();
    database.create_index("c", unique("phone")).await.unwrap();
    let insert = |document: Document| database.insert("c", vec![document], None);
    assert_eq!(
        duplicate(insert(doc! { "_id": 2, "phone": "1" }).await),
        ("phone_1".to_owned(), r#"{ phone: "1" }"#.to_owned())
    );
    assert_eq!(
        duplicate(insert(doc! { "_id": 1 }).await),
        ("_id_".to_owned(), "{ _id: 1 }".to_owned())
    );
    let id = ObjectId::from_bytes([1; 12]);
    insert(doc! { "_id": id, "phone": "2" }).await.unwrap();
    assert_eq!(
        duplicate(insert(doc! { "_id": id, "phone": "2" }).await).1,
        "{ _id: ObjectId('010101010101010101010101') }"
    );
    database
        .remove("c", doc! { "_id": id }, false, None)
        .await
        .unwrap();
    // Numbers of one value are one `_id`, whatever their types.
    assert_eq!(duplicate(insert(doc! { "_id": 1.0 }).await).0, "_id_");
    // A missing field is null, and there is one null.
    insert(doc! { "_id": 3 }).await.unwrap();
    assert_eq!(duplicate(insert(doc! { "_id": 4 }).await).1, "{ phone: null }");
    // Those before the one that is refused stay.
    let several = vec![
        doc! { "_id": 5, "phone": "5" },
        doc! { "_id": 6, "phone": "1" },
        doc! { "_id": 7, "phone": "7" },
    ];
    duplicate(database.insert("c", several, None).await);
    assert_eq!(
        ids(&read(&database, all(), None).await),
        [1.into(), 3.into(), 5.into()]
    );
    // An update into a taken value, then one that frees it.
    let taken = change(doc! { "_id": 5 }, doc! { "$set": { "phone": "1" } });
    duplicate(database.update("c", taken.clone(), None).await);
    let upsert = Update {
        upsert: Some(9.into()),
        ..change(doc! { "_id": 9 }, doc! { "$set": { "phone": "1" } })
    };
    duplicate(database.update("c", upsert, None).await);
    database
        .remove("c", doc! { "_id": 1 }, false, None)
        .await
        .unwrap();
    database.update("c", taken, None).await.unwrap();
    assert!(database.drop_index("c", "phone_1").await.unwrap());
    assert!(!database.drop_index("c", "phone_1").await.unwrap());
    insert(doc! { "_id": 8, "phone": "1" }).await.unwrap();
    duplicate(database.create_index("c", unique("phone")).await);
    // Nothing of the index that could not be made is left.
    assert!(database.collections().await.unwrap()[0].indexes.is_empty());
    database
        .remove("c", doc! { "_id": 8 }, false, None)
        .await
        .unwrap();
    database.create_index("c", unique("phone")).await.unwrap();
    // One of its name that is another.
    let other = IndexSpec {
        name: "phone_1".to_owned(),
        ..index(&[("mail", IndexKind::Ascending)])
    };
    refused(
        database.create_index("c", other).await,
        &"another index of that name",
    );
}

/// See [`IndexSpec::sparse`].
pub async fn a_sparse_index_leaves_out_what_has_none_of_its_fields(database: Engine) {
    holding(&database, Vec::new()).await;
    let sparse = IndexSpec {
        sparse: true,
        ..unique("phone")
    };
    database.create_index("c", sparse).await.unwrap();
    let insert = |document: Document| database.insert("c", vec![document], None);
    insert(doc! { "_id": 1 }).await.unwrap();
    insert(doc! { "_id": 2 }).await.unwrap();
    insert(doc! { "_id": 3, "phone": Bson::Null }).await.unwrap();
    assert_eq!(
        duplicate(insert(doc! { "_id": 4, "phone": Bson::Null }).await).1,
        "{ phone: null }"
    );
    // What the index does not have is found all the same.
    let missing = by(doc! { "phone": Bson::Null });
    assert_eq!(
        ids(&read(&database, missing, None).await),
        [1.into(), 2.into(), 3.into()]
    );
    let sorted = Find {
        sort: Some(doc! { "phone": 1, "_id": 1 }),
        ..Find::default()
    };
    assert_eq!(read(&database, sorted, None).await.len(), 3);
}

/// An index over an array has an entry for each of its elements.
pub async fn a_unique_index_holds_each_element_of_an_array(database: Engine) {
    holding(&database, vec![doc! { "_id": 1, "tags": ["a", "b", "a"] }]).await;
    database.create_index("c", unique("tags")).await.unwrap();
    let insert = |document: Document| database.insert("c", vec![document], None);
    assert_eq!(
        duplicate(insert(doc! { "_id": 2, "tags": ["c", "b"] }).await),
        ("tags_1".to_owned(), r#"{ tags: "b" }"#.to_owned())
    );
    insert(doc! { "_id": 3, "tags": ["c", "c"] }).await.unwrap();
    insert(doc! { "_id": 4, "tags": [] }).await.unwrap();
    duplicate(insert(doc! { "_id": 5, "tags": "c" }).await);
}

/// See [`CollectionStatus`](crate::CollectionStatus).
pub async fn indexes_are_listed_as_they_were_made(database: Engine) {
    use IndexKind::{Ascending, Descending, Sphere};
    for name in ["orders", "用户", "a.b"] {
        database.create_collection(name).await.unwrap();
    }
    let specs = [
        index(&[("status", Ascending), ("at", Descending)]),
        unique("phone"),
        index(&[("place", Sphere)]),
        IndexSpec {
            sparse: true,
            name: "own".to_owned(),
            ..index(&[("a.b.c", Descending)])
        },
    ];
    for spec in &specs {
        database.create_index("orders", spec.clone()).await.unwrap();
    }
    let mut collections = database.collections().await.unwrap();
    let names: Vec<_> = collections
        .iter()
        .map(|collection| collection.name.as_str())
        .collect();
    assert_eq!(names, ["a.b", "orders", "用户"]);
    let listed = &mut collections[1].indexes;
    let by_name = |left: &IndexSpec, right: &IndexSpec| left.name.cmp(&right.name);
    let mut expected = specs.to_vec();
    expected.sort_by(by_name);
    listed.sort_by(by_name);
    assert_eq!(*listed, expected);
    assert!(collections[0].indexes.is_empty());
    database
        .insert("用户", vec![doc! { "_id": 1 }], None)
        .await
        .unwrap();
    assert_eq!(database.collections().await.unwrap()[2].documents, 1);
}

/// Programs print and compare what they read.
pub async fn fields_stand_in_their_order(database: Engine) {
    let stored = doc! { "z": 1, "_id": 1, "a": { "y": 1, "b": [{ "q": 1, "c": 2 }] }, "m": 2 };
    holding(&database, vec![stored]).await;
    let first = || async { read(&database, all(), None).await.remove(0) };
    // `_id` comes first, everything else stays where it was.
    let expected = doc! { "_id": 1, "z": 1, "a": { "y": 1, "b": [{ "q": 1, "c": 2 }] }, "m": 2 };
    assert!(same(&first().await, &expected), "{}", first().await);
    // What is set stays in its place; what is new comes in the order of names, numbers by their value.
    let update = change(
        doc! {},
        doc! { "$set": { "new.10": 1, "new.9": 1, "z": 5, "last": 1, "a.a": 1 }, "$inc": { "early": 1 } },
    );
    database.update("c", update, None).await.unwrap();
    let expected = doc! {
        "_id": 1, "z": 5, "a": { "y": 1, "b": [{ "q": 1, "c": 2 }], "a": 1 }, "m": 2,
        "early": 1, "last": 1, "new": { "9": 1, "10": 1 },
    };
    assert!(same(&first().await, &expected), "{}", first().await);
    // A projection shows them in the document's order, a replacement in its own.
    let shown = Find {
        projection: Some(doc! { "m": 1, "a.y": 1, "z": 1 }),
        ..Find::default()
    };
    let shown = read(&database, shown, None).await.remove(0);
    assert!(
        same(&shown, &doc! { "_id": 1, "z": 5, "a": { "y": 1 }, "m": 2 }),
        "{shown}"
    );
    let replacement = Update {
        kind: UpdateKind::Replacement(doc! { "b": 1, "a": 2 }),
        ..change(doc! {}, doc! {})
    };
    database.update("c", replacement, None).await.unwrap();
    assert!(
        same(&first().await, &doc! { "_id": 1, "b": 1, "a": 2 }),
        "{}",
        first().await
    );
    let stages = vec![
        doc! { "$addFields": { "x": 1, "b": { "$literal": 9 }, "c": 3 } },
        doc! { "$project": { "c": 1, "fresh": "$x", "a": 1, "b": 1 } },
    ];
    let piped = run(&database, stages).await.unwrap().remove(0);
    let expected = doc! { "_id": 1, "b": 9, "a": 2, "c": 3, "fresh": 1 };
    assert!(same(&piped, &expected), "{piped}");
}

/// Nothing is rounded, converted or dropped on the way.
pub async fn values_of_every_type_come_back_as_they_were(database: Engine) {
    let id = ObjectId::from_bytes([7; 12]);
    let values = vec![
        Bson::Double(0.1),
        Bson::Double(-0.0),
        Bson::Double(f64::INFINITY),
        Bson::Double(5.0),
        Bson::String("中文 \u{0} \u{1f600}".to_owned()),
        Bson::String(String::new()),
        Bson::Array(vec![Bson::Array(vec![]), Bson::Null, 1.into()]),
        Bson::Document(doc! { "a": {}, "$ref": "x", "": 1 }),
        Bson::Boolean(false),
        Bson::Null,
        regex("^a/b\\u4e2d", "im"),
        Bson::JavaScriptCode("function () { return 1; }".to_owned()),
        Bson::Int32(i32::MIN),
        Bson::Int64(i64::MIN),
        Bson::Int64(5),
        Bson::Timestamp(Timestamp {
            time: 5,
            increment: 7,
        }),
        Bson::Binary(Binary {
            subtype: BinarySubtype::Generic,
            bytes: vec![0, 1, 255],
        }),
        Bson::Binary(Binary {
            subtype: BinarySubtype::Uuid,
            bytes: vec![3; 16],
        }),
        Bson::ObjectId(id),
        Bson::DateTime(DateTime::from_millis(-62_135_596_800_001)),
        Bson::DateTime(DateTime::from_millis(4_102_444_800_000)),
        Bson::Decimal128("12345678901234567890.123456789".parse().unwrap()),
        Bson::MinKey,
        Bson::MaxKey,
    ];
    let stored: Vec<_> = values
        .iter()
        .enumerate()
        .map(|(n, value)| doc! { "_id": n as i32, "v": value.clone(), "in": { "it": [value.clone()] } })
        .collect();
    holding(&database, stored.clone()).await;
    let found = read(&database, all(), None).await;
    assert_eq!(found.len(), stored.len());
    for (found, stored) in found.iter().zip(&stored) {
        assert!(same(found, stored), "{found} {stored}");
    }
    for (found, stored) in run(&database, vec![doc! { "$sort": { "_id": 1 } }])
        .await
        .unwrap()
        .iter()
        .zip(&stored)
    {
        assert!(same(found, stored), "{found} {stored}");
    }
    // `_id`s of other types than text, each found by itself.
    let named = vec![
        Bson::ObjectId(id),
        Bson::DateTime(DateTime::from_millis(5)),
        Bson::Document(doc! { "a": 1, "b": 2 }),
        Bson::Boolean(true),
        Bson::Double(0.5),
        Bson::Int64(1 << 60),
        Bson::String("0".to_owned()),
    ];
    database.create_collection("named").await.unwrap();
    let documents = named.iter().map(|id| doc! { "_id": id.clone() }).collect();
    assert_eq!(database.insert("named", documents, None).await.unwrap(), named);
    for id in named {
        let found = database.find("named", by(doc! { "_id": id.clone() }), None).await;
        assert_eq!(decoded(&found.unwrap()), [doc! { "_id": id }]);
    }
    // An array cannot be one.
    let array = database.insert("named", vec![doc! { "_id": [1] }], None).await;
    refused(array, &"an array as _id");
}

/// A double has 53 bits; an int64 has all of its 64.
pub async fn numbers_beyond_2_53_are_exact(database: Engine) {
    let base = 1_i64 << 53;
    let documents = (0..5).map(|n| doc! { "_id": base + n, "n": base + n }).collect();
    holding(&database, documents).await;
    database
        .create_index("c", index(&[("n", IndexKind::Ascending)]))
        .await
        .unwrap();
    for n in 0..5 {
        for field in ["_id", "n"] {
            let found = read(&database, by(doc! { field: base + n }), None).await;
            assert_eq!(ids(&found), [Bson::Int64(base + n)]);
            let above = read(&database, by(doc! { field: { "$gt": base + n } }), None).await;
            assert_eq!(above.len() as i64, 4 - n, "{field} {n}");
        }
    }
    // As a double, 2^53 is 2^53 and not its neighbour.
    let found = read(&database, by(doc! { "n": base as f64 }), None).await;
    assert_eq!(ids(&found), [Bson::Int64(base)]);
    let update = change(doc! { "_id": base + 1 }, doc! { "$inc": { "n": 1 } });
    database.update("c", update, None).await.unwrap();
    let found = read(&database, by(doc! { "_id": base + 1 }), None).await;
    assert!(same(&found[0], &doc! { "_id": base + 1, "n": base + 2 }));
    let sum =
        vec![doc! { "$group": { "_id": Bson::Null, "sum": { "$sum": "$n" }, "max": { "$max": "$n" } } }];
    let sum = run(&database, sum).await.unwrap().remove(0);
    let expected = doc! { "_id": Bson::Null, "sum": base * 5 + 11, "max": base + 4 };
    assert!(same(&sum, &expected), "{sum}");
}

/// More than one message of a server's holds: the documents come in several.
pub async fn many_and_large_ones_are_read_whole(database: Engine) {
    holding(&database, Vec::new()).await;
    for from in (0..3000).step_by(1000) {
        let part = (from..from + 1000).map(|n| doc! { "_id": n, "n": n }).collect();
        database.insert("c", part, None).await.unwrap();
    }
    let found = read(&database, all(), None).await;
    assert_eq!(ids(&found), (0..3000).map(Bson::Int32).collect::<Vec<_>>());
    let stages = vec![
        doc! { "$match": { "n": { "$gte": 500 } } },
        doc! { "$sort": { "n": -1 } },
    ];
    let found = run(&database, stages).await.unwrap();
    assert_eq!((found.len(), found[0]["_id"].clone()), (2500, 2999.into()));
    let page = Find {
        skip: 2990,
        limit: Some(1000),
        ..all()
    };
    assert_eq!(read(&database, page, None).await.len(), 10);
    database.create_collection("large").await.unwrap();
    let text = "中".repeat(1 << 20);
    for n in 0..8 {
        let document = doc! { "_id": n, "text": &text };
        database.insert("large", vec![document], None).await.unwrap();
    }
    let found = database.find("large", all(), None).await.unwrap();
    assert_eq!(found.documents.len(), 8);
    for document in decoded(&found) {
        assert_eq!(document.get_str("text").unwrap(), text);
    }
}

/// 16 MB are the most that a document may have.
pub async fn one_that_is_too_large_is_refused(database: Engine) {
    holding(&database, vec![doc! { "_id": 1 }]).await;
    let large = "x".repeat(17 << 20);
    refused(
        database
            .insert("c", vec![doc! { "_id": 2, "text": &large }], None)
            .await,
        &"insert",
    );
    let half = "x".repeat(9 << 20);
    let set = |field: &str| change(doc! { "_id": 1 }, doc! { "$set": { field: &half } });
    database.update("c", set("a"), None).await.unwrap();
    refused(database.update("c", set("b"), None).await, &"update");
    assert!(!read(&database, all(), None).await[0].contains_key("b"));
}

/// See [`Database::update`]: MongoDB undoes nothing of a write to many.
pub async fn a_write_to_many_that_fails_midway_keeps_what_came_before(database: Engine) {
    let documents = (0..6)
        .map(|n| doc! { "_id": n, "n": if n == 3 { Bson::from("text") } else { n.into() } })
        .collect();
    holding(&database, documents).await;
    // Along an index, so that every engine meets them in one order.
    let many = Update {
        many: true,
        ..change(doc! { "_id": { "$gte": 1 } }, doc! { "$inc": { "n": 10 } })
    };
    assert_eq!(
        refused(database.update("c", many, None).await, &"$inc of a text"),
        14
    );
    let numbers: Vec<_> = read(&database, all(), None)
        .await
        .iter()
        .map(|document| document["n"].clone())
        .collect();
    let expected: [Bson; 6] = [0.into(), 11.into(), 12.into(), "text".into(), 4.into(), 5.into()];
    assert_eq!(numbers, expected);
    // A unique value stands in the way of the second.
    database.create_index("c", unique("u")).await.unwrap_err();
    for n in 0..6 {
        let set = change(doc! { "_id": n }, doc! { "$set": { "u": n } });
        database.update("c", set, None).await.unwrap();
    }
    database.create_index("c", unique("u")).await.unwrap();
    let many = Update {
        many: true,
        ..change(doc! { "_id": { "$gte": 1 } }, doc! { "$set": { "u": 100 } })
    };
    duplicate(database.update("c", many, None).await);
    let changed = database.count("c", doc! { "u": 100 }, None).await.unwrap().count;
    assert_eq!(changed, 1);
}

/// What an index leads to is what a walk through the whole collection finds, in the same order.
pub async fn indexes_lead_to_what_a_scan_finds(database: Engine) {
    use IndexKind::{Ascending, Descending};
    for name in ["plain", "indexed"] {
        database.create_collection(name).await.unwrap();
    }
    for fields in [
        &[("status", Ascending), ("at", Descending)][..],
        &[("tags", Ascending)],
    ] {
        database.create_index("indexed", index(fields)).await.unwrap();
    }
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
    for name in ["plain", "indexed"] {
        database
            .insert(name, (0..600).map(make).collect(), None)
            .await
            .unwrap();
        database
            .remove(name, doc! { "_id": { "$mod": [7, 0] } }, true, None)
            .await
            .unwrap();
        let many = Update {
            many: true,
            ..change(
                doc! { "_id": { "$mod": [5, 0] } },
                doc! { "$set": { "status": "open" }, "$push": { "tags": 3 } },
            )
        };
        database.update(name, many, None).await.unwrap();
    }
    let newest = doc! { "at": -1, "_id": 1 };
    let by_id = doc! { "_id": 1 };
    for (filter, sort, limit) in [
        (doc! { "_id": 12 }, &by_id, None),
        (doc! { "_id": { "$in": [5, 12, 11, 99999] } }, &by_id, None),
        (
            doc! { "_id": { "$gte": 10, "$lt": 20 } },
            &doc! { "_id": -1 },
            Some(5),
        ),
        (doc! { "status": "open" }, &newest, None),
        (
            doc! { "status": "open", "at": { "$gt": 10, "$lte": 20 } },
            &newest,
            Some(20),
        ),
        (
            doc! { "status": { "$in": ["open", "late"] }, "at": 7 },
            &newest,
            None,
        ),
        (doc! { "status": "done", "at": Bson::Null }, &newest, None),
        (doc! { "status": "done", "at": { "$ne": 3 } }, &newest, None),
        (doc! { "tags": 3 }, &newest, None),
        (doc! { "tags": { "$all": [3, "x"] } }, &newest, None),
        (doc! { "tags": { "$gt": 2, "$lt": 4 } }, &newest, None),
        (doc! { "tags": [3, "x"] }, &newest, None),
        (
            doc! { "$or": [{ "tags": 3 }, { "status": "late", "at": { "$gte": 40 } }] },
            &newest,
            None,
        ),
        (doc! { "status": { "$regex": "^op" } }, &newest, None),
        (doc! { "status": "nothing" }, &newest, None),
        (doc! {}, &newest, Some(30)),
    ] {
        let find = Find {
            filter: filter.clone(),
            sort: Some(sort.clone()),
            limit,
            ..Find::default()
        };
        let scanned = database.find("plain", find.clone(), None).await.unwrap();
        let led = database.find("indexed", find, None).await.unwrap();
        assert_eq!(ids(&decoded(&led)), ids(&decoded(&scanned)), "{filter}");
        let scanned = database.count("plain", filter.clone(), None).await.unwrap().count;
        let led = database
            .count("indexed", filter.clone(), None)
            .await
            .unwrap()
            .count;
        assert_eq!(led, scanned, "{filter}");
    }
}

/// Places on the sphere, by `$near` and its kin.
pub async fn places_are_found_by_their_distance(database: Engine) {
    let place = |x: f64| doc! { "type": "Point", "coordinates": [x, 0.0] };
    let added = vec![
        doc! { "_id": 1, "at": place(2.0) },
        doc! { "_id": 2, "at": place(1.0) },
        doc! { "_id": 3, "at": place(50.0) },
    ];
    holding(&database, added).await;
    let near = |far: i32| doc! { "at": { "$nearSphere": { "$geometry": place(0.0), "$maxDistance": far } } };
    let unsorted = |filter: Document| Find {
        filter,
        ..Find::default()
    };
    // MongoDB finds none of them without an index; the embedded engine does.
    database
        .create_index("c", index(&[("at", IndexKind::Sphere)]))
        .await
        .unwrap();
    let found = read(&database, unsorted(near(1_000_000)), None).await;
    assert_eq!(ids(&found), [2.into(), 1.into()]);
    assert_eq!(database.count("c", near(1_000_000), None).await.unwrap().count, 2);
    let box_of = |from: f64, to: f64| {
        let ring = [[from, -1.0], [to, -1.0], [to, 1.0], [from, 1.0], [from, -1.0]];
        let ring = ring
            .map(|point| Bson::from(point.map(Bson::from).to_vec()))
            .to_vec();
        doc! { "type": "Polygon", "coordinates": [ring] }
    };
    for (operator, from, to, expected) in [
        ("$geoWithin", 0.0, 1.5, vec![Bson::Int32(2)]),
        ("$geoIntersects", 0.0, 3.0, vec![1.into(), 2.into()]),
    ] {
        let filter = doc! { "at": { operator: { "$geometry": box_of(from, to) } } };
        assert_eq!(
            ids(&read(&database, by(filter), None).await),
            expected,
            "{operator}"
        );
    }
    let stage = doc! { "$geoNear": {
        "near": place(0.0), "spherical": true, "distanceField": "far.off", "maxDistance": 1_000_000, "query": { "_id": { "$ne": 9 } },
    } };
    let found = run(&database, vec![stage]).await.unwrap();
    assert_eq!(ids(&found), [2.into(), 1.into()]);
    let far = found[0].get_document("far").unwrap().get_f64("off").unwrap();
    assert!((far - 111_319.49).abs() < 1.0, "{far}");
}

/// See [`Database::page`].
pub async fn pages_lead_through_ids_of_every_type(database: Engine) {
    let ids_in_order = vec![
        Bson::MinKey,
        Bson::Null,
        f64::NAN.into(),
        f64::NEG_INFINITY.into(),
        (-1).into(),
        0.5.into(),
        Bson::Int64(1 << 40),
        "".into(),
        "a".into(),
        "b".into(),
        Bson::Document(doc! { "a": 1 }),
        Bson::Binary(Binary {
            subtype: BinarySubtype::Generic,
            bytes: vec![1, 2],
        }),
        Bson::ObjectId(ObjectId::from_bytes([1; 12])),
        false.into(),
        true.into(),
        DateTime::from_millis(5).into(),
        Bson::Timestamp(Timestamp {
            time: 5,
            increment: 1,
        }),
        Bson::MaxKey,
    ];
    let documents = ids_in_order
        .iter()
        .rev()
        .map(|id| doc! { "_id": id.clone(), "n": 1 });
    holding(&database, documents.collect()).await;
    for limit in [1, 3, 5, 100] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = database
                .page("c", doc! { "n": 1 }, Some(doc! { "_id": 1 }), after, limit)
                .await
                .unwrap();
            assert!(page.documents.len() <= limit);
            for document in &page.documents {
                found.push(Document::try_from(document.as_ref()).unwrap());
            }
            after = page.last;
            if after.is_none() {
                break;
            }
        }
        let expected: Vec<_> = ids_in_order.iter().map(|id| doc! { "_id": id.clone() }).collect();
        // NaN is not equal to itself.
        let are_same = found.len() == expected.len()
            && found
                .iter()
                .zip(&expected)
                .all(|(found, expected)| same(found, expected));
        assert!(are_same, "{limit}: {found:?}");
    }
}

/// See [`Database::insert_each`].
pub async fn each_of_many_is_added_or_refused_by_itself(database: Engine) {
    holding(&database, vec![doc! { "_id": 2 }]).await;
    let several = || (1..=4).map(|n| doc! { "_id": n }).collect();
    let inserted = database.insert_each("c", several(), true, None).await.unwrap();
    assert_eq!(inserted.ids, [1.into()]);
    let places =
        |inserted: &crate::Inserted| -> Vec<usize> { inserted.refused.iter().map(|(at, _)| *at).collect() };
    assert_eq!(places(&inserted), [1]);
    let inserted = database.insert_each("c", several(), false, None).await.unwrap();
    assert_eq!(inserted.ids, [3.into(), 4.into()]);
    assert_eq!(places(&inserted), [0, 1]);
    for (_, error) in inserted.refused {
        assert!(matches!(error, DatabaseError::Duplicate { .. }), "{error}");
    }
}

/// See [`Database::take`].
pub async fn one_is_taken_out_by_the_order(database: Engine) {
    let documents = (0..4).map(|n| doc! { "_id": n, "rank": 10 - n }).collect();
    holding(&database, documents).await;
    let filter = doc! { "_id": { "$gt": 0 } };
    let taken = database
        .take("c", filter.clone(), Some(doc! { "rank": 1 }), None)
        .await;
    assert_eq!(taken.unwrap(), Some(doc! { "_id": 3, "rank": 7 }));
    let transaction = database.begin().await.unwrap();
    let taken = database
        .take("c", filter, Some(doc! { "rank": -1 }), Some(transaction))
        .await;
    assert_eq!(taken.unwrap(), Some(doc! { "_id": 1, "rank": 9 }));
    assert_eq!(database.count("c", doc! {}, None).await.unwrap().count, 3);
    database.commit(transaction).await.unwrap();
    assert_eq!(ids(&read(&database, all(), None).await), [0.into(), 2.into()]);
    let nobody = database.take("c", doc! { "_id": 9 }, None, None).await;
    assert_eq!(nobody.unwrap(), None);
}

/// See [`IndexSpec::is_of_id`].
pub async fn that_of_the_id_is_always_there(database: Engine) {
    holding(&database, vec![doc! { "_id": 1 }]).await;
    for kind in [IndexKind::Ascending, IndexKind::Descending] {
        let by_id = index(&[("_id", kind)]);
        database.create_index("c", by_id).await.unwrap();
    }
    let collections = database.collections().await.unwrap();
    assert_eq!(collections[0].indexes, []);
    assert!(!database.drop_index("c", ID_INDEX).await.unwrap());
}

/// See [`IndexSpec::check`].
pub async fn one_that_cannot_be_is_not_made(database: Engine) {
    use IndexKind::{Ascending, Descending};
    holding(&database, vec![doc! { "_id": 1 }]).await;
    for fields in [
        &[][..],
        &[("a", Ascending), ("a", Descending)],
        &[("a..b", Ascending)],
        &[("$a", Ascending)],
    ] {
        let made = database.create_index("c", index(fields)).await;
        assert_eq!(refused(made, &format_args!("{fields:?}")), 67);
    }
    let collections = database.collections().await.unwrap();
    assert_eq!(collections[0].indexes, []);
}

/// See [`docdb::collection::check_name`].
pub async fn a_collection_has_a_name_that_mongodb_takes(database: Engine) {
    let long = "n".repeat(236);
    for bad in ["", "a$b", "a\0b", ".a", "system.users", &long] {
        let made = database.create_collection(bad).await;
        assert!(
            matches!(made, Err(DatabaseError::BadName(_))),
            "{bad:?}: {made:?}"
        );
    }
    let good = ["用户", "a.b", &long[..200]];
    for good in good {
        database.create_collection(good).await.unwrap();
        database
            .insert(good, vec![doc! { "_id": 1 }], None)
            .await
            .unwrap();
    }
    let collections = database.collections().await.unwrap();
    assert_eq!(collections.len(), good.len());
}

/// Parallel arrays in one index, and a value that is not a place in an index of places.
pub async fn what_an_index_does_not_take_is_refused(database: Engine) {
    holding(&database, vec![doc! { "_id": 0, "a": 1, "b": 2, "at": [1, 2] }]).await;
    database
        .create_index(
            "c",
            index(&[("a", IndexKind::Ascending), ("b", IndexKind::Descending)]),
        )
        .await
        .unwrap();
    database
        .create_index("c", index(&[("at", IndexKind::Sphere)]))
        .await
        .unwrap();
    let parallel = doc! { "_id": 1, "a": [1], "b": [2] };
    let nowhere = doc! { "_id": 1, "at": { "type": "Point", "coordinates": [200, 100] } };
    for (bad, code) in [(&parallel, 171), (&nowhere, 16755)] {
        let added = database.insert("c", vec![bad.clone()], None).await;
        assert_eq!(refused(added, bad), code);
        let mut fields = bad.clone();
        fields.remove("_id");
        let set = change(doc! { "_id": 0 }, doc! { "$set": fields });
        assert_eq!(refused(database.update("c", set.clone(), None).await, bad), code);
        let transaction = database.begin().await.unwrap();
        let in_it = database.update("c", set, Some(transaction)).await;
        assert_eq!(refused(in_it, bad), code);
        let _ = database.abort(transaction).await;
        // One that is there keeps such an index from being made.
        database.create_collection("other").await.unwrap();
        database.insert("other", vec![bad.clone()], None).await.unwrap();
        let specs = [
            index(&[("a", IndexKind::Ascending), ("b", IndexKind::Descending)]),
            index(&[("at", IndexKind::Sphere)]),
        ];
        let mut made = Vec::new();
        for spec in specs {
            made.push(database.create_index("other", spec).await);
        }
        let told: Vec<i32> = made
            .into_iter()
            .filter(std::result::Result::is_err)
            .map(|made| refused(made, bad))
            .collect();
        assert_eq!(told, [code]);
        database.drop_collection("other").await.unwrap();
    }
    let stands = read(&database, all(), None).await;
    assert_eq!(stands, [doc! { "_id": 0, "a": 1, "b": 2, "at": [1, 2] }]);
    let one = vec![doc! { "_id": 1, "a": [1, 2], "b": 1, "at": Bson::Null }];
    database.insert("c", one, None).await.unwrap();
}

/// One of them would stop every update and every pipeline over all of the collection.
pub async fn one_that_is_too_deep_is_refused(database: Engine) {
    holding(&database, Vec::new()).await;
    let deep = |id: i32, levels: usize| {
        let mut inner = doc! {};
        for _ in 2..levels {
            inner = doc! { "a": inner };
        }
        doc! { "_id": id, "a": inner }
    };
    for (id, levels) in [(1, 201), (2, 230)] {
        let added = database.insert("c", vec![deep(id, levels)], None).await;
        assert!(matches!(added, Err(DatabaseError::Refused(_))), "{added:?}");
    }
    database
        .insert("c", vec![deep(3, 150), doc! { "_id": 4 }], None)
        .await
        .unwrap();
    let all_of_them = Update {
        many: true,
        ..change(doc! {}, doc! { "$set": { "seen": true } })
    };
    assert_eq!(database.update("c", all_of_them, None).await.unwrap().modified, 2);
}
