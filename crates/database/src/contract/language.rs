//! Filters, orders and projections: where MongoDB's language is not what one would guess.

use bson::DateTime;

use super::*;

/// Asserts which documents each filter finds, by `_id`.
async fn finds(database: &Engine, cases: Vec<(Document, Vec<i32>)>) {
    for (filter, expected) in cases {
        let found = read(database, by(filter.clone()), None).await;
        let expected: Vec<Bson> = expected.into_iter().map(Bson::Int32).collect();
        assert_eq!(ids(&found), expected, "{filter}");
        let count = database.count("c", filter.clone(), None).await.unwrap().count;
        assert_eq!(count, expected.len() as u64, "{filter}");
    }
}

/// Documents whose `_id`s count them.
fn numbered(documents: impl IntoIterator<Item = Document>) -> Vec<Document> {
    (0..)
        .zip(documents)
        .map(|(n, document): (i32, _)| {
            let mut numbered = doc! { "_id": n };
            numbered.extend(document);
            numbered
        })
        .collect()
}

/// One order over the values of all types.
pub async fn values_stand_in_one_order(database: Engine) {
    let values = [
        Some(Bson::MinKey),
        Some(Bson::Array(Vec::new())),
        None,
        Some(Bson::Null),
        Some(f64::NAN.into()),
        Some(f64::NEG_INFINITY.into()),
        Some((-1).into()),
        Some(Bson::Double(9_007_199_254_740_992.0)),
        Some(Bson::Int64(9_007_199_254_740_993)),
        Some(Bson::Int64(i64::MAX)),
        Some(Bson::Double(9_223_372_036_854_775_808.0)),
        Some(f64::INFINITY.into()),
        Some("".into()),
        Some("A".into()),
        Some("a".into()),
        Some("é".into()),
        Some("中".into()),
        Some(Bson::Document(doc! {})),
        Some(Bson::Document(doc! { "a": 1 })),
        Some(Bson::Document(doc! { "a": 1, "b": 1 })),
        Some(Bson::Document(doc! { "b": 1, "a": 1 })),
        Some(Bson::Document(doc! { "a": "1" })),
        Some(Bson::Array(vec![Bson::Array(vec![1.into()])])),
        Some(Bson::Binary(bson::Binary {
            subtype: bson::spec::BinarySubtype::Generic,
            bytes: vec![1],
        })),
        Some(Bson::ObjectId(bson::oid::ObjectId::from_bytes([1; 12]))),
        Some(false.into()),
        Some(true.into()),
        Some(DateTime::from_millis(-1).into()),
        Some(DateTime::from_millis(5).into()),
        Some(Bson::Timestamp(bson::Timestamp {
            time: 1,
            increment: 1,
        })),
        Some(regex("a", "")),
        Some(Bson::MaxKey),
    ];
    let documents = numbered(values.iter().map(|value| match value {
        Some(value) => doc! { "v": value.clone() },
        None => doc! {},
    }));
    let mut shuffled = documents.clone();
    shuffled.sort_by_key(|document| (document.get_i32("_id").unwrap() * 13) % 32);
    holding(&database, shuffled).await;
    for indexed in [false, true] {
        if indexed {
            database
                .create_index(
                    "c",
                    index(&[("v", IndexKind::Ascending), ("_id", IndexKind::Ascending)]),
                )
                .await
                .unwrap();
        }
        let expected: Vec<Bson> = (0..values.len() as i32).map(Bson::Int32).collect();
        let sorted = |direction: i32| Find {
            sort: Some(doc! { "v": direction, "_id": direction }),
            ..Find::default()
        };
        assert_eq!(ids(&read(&database, sorted(1), None).await), expected);
        let backwards: Vec<_> = expected.iter().rev().cloned().collect();
        assert_eq!(ids(&read(&database, sorted(-1), None).await), backwards);
        let piped = run(&database, vec![doc! { "$sort": { "v": 1, "_id": 1 } }]).await;
        assert_eq!(ids(&piped.unwrap()), expected);
    }
}

/// `$gt: 5` never meets "6".
pub async fn ranges_stay_within_a_type(database: Engine) {
    let documents = numbered([
        doc! { "v": 1 },
        doc! { "v": "6" },
        doc! { "v": Bson::Null },
        doc! {},
        doc! { "v": [7] },
        doc! { "v": DateTime::from_millis(9) },
        doc! { "v": true },
        doc! { "v": f64::NAN },
        doc! { "v": { "a": 1 } },
    ]);
    holding(&database, documents).await;
    let cases = vec![
        (doc! { "v": { "$gt": 5 } }, vec![4]),
        (doc! { "v": { "$lt": 5 } }, vec![0]),
        (doc! { "v": { "$gte": Bson::Null } }, vec![2, 3]),
        (doc! { "v": { "$lt": "7" } }, vec![1]),
        (doc! { "v": { "$lte": f64::NAN } }, vec![7]),
        (doc! { "v": { "$gte": false } }, vec![6]),
        (doc! { "v": { "$gt": DateTime::from_millis(8) } }, vec![5]),
        (doc! { "v": { "$gt": { "a": 0 } } }, vec![8]),
        (doc! { "v": { "$gt": Bson::MinKey } }, (0..9).collect()),
        (doc! { "v": { "$ne": 1 } }, (1..9).collect()),
        (
            doc! { "v": { "$nin": [1, "6", Bson::Null] } },
            vec![4, 5, 6, 7, 8],
        ),
        (doc! { "v": { "$not": { "$gt": 0 } } }, vec![1, 2, 3, 5, 6, 7, 8]),
        (doc! { "v": { "$exists": true } }, vec![0, 1, 2, 4, 5, 6, 7, 8]),
        (doc! { "v": { "$exists": false } }, vec![3]),
        (doc! { "v": { "$type": "number" } }, vec![0, 4, 7]),
        (doc! { "v": { "$type": ["string", "array"] } }, vec![1, 4]),
        (doc! { "v": Bson::Null }, vec![2, 3]),
        (doc! { "v": { "$in": [Bson::Null, 7] } }, vec![2, 3, 4]),
        (doc! { "v": { "$mod": [2, 1] } }, vec![0, 4]),
        (doc! { "v": { "$size": 1 } }, vec![4]),
        (doc! { "v": 1.0 }, vec![0]),
        (doc! { "v": { "$gt": 0, "$lt": 9 } }, vec![0, 4]),
    ];
    finds(&database, cases.clone()).await;
    database
        .create_index("c", index(&[("v", IndexKind::Ascending)]))
        .await
        .unwrap();
    finds(&database, cases).await;
}

/// Any element or the whole array; an index or a field of that name.
pub async fn paths_lead_through_arrays(database: Engine) {
    let documents = numbered([
        doc! { "a": [{ "b": 1 }, { "b": 2 }] },
        doc! { "a": { "b": 3 } },
        doc! { "a": [[{ "b": 1 }]] },
        doc! { "a": 5 },
        doc! { "a": [] },
        doc! {},
        doc! { "a": [1, [2, 3]] },
        doc! { "a": { "0": "zero" } },
        doc! { "a": [{ "b": [1, 5] }, { "b": Bson::Null }] },
    ]);
    holding(&database, documents).await;
    let cases = vec![
        (doc! { "a.b": 1 }, vec![0, 8]),
        (
            doc! { "a.b": Bson::Null, "_id": { "$nin": [2, 6] } },
            vec![3, 5, 7, 8],
        ),
        (doc! { "a.0.b": 1 }, vec![0, 2, 8]),
        (doc! { "a.0": { "b": 1 } }, vec![0, 2]),
        (doc! { "a.0": "zero" }, vec![7]),
        (doc! { "a.1.0": 2 }, vec![6]),
        (doc! { "a": { "$elemMatch": { "b": 2 } } }, vec![0]),
        (doc! { "a.b": { "$gt": 4 } }, vec![8]),
        (doc! { "a": [1, [2, 3]] }, vec![6]),
        (doc! { "a": [2, 3] }, vec![6]),
        (doc! { "a": 2 }, vec![]),
        (doc! { "a": { "b": 3 } }, vec![1]),
        (doc! { "a": { "$size": 0 } }, vec![4]),
        (doc! { "a": [] }, vec![4]),
        (doc! { "a": { "$all": [[2, 3], 1] } }, vec![6]),
        (
            doc! { "a": { "$all": [{ "$elemMatch": { "b": 1 } }, { "$elemMatch": { "b": 2 } }] } },
            vec![0],
        ),
        // Two conditions may meet different elements, `$elemMatch` one.
        (doc! { "a.b": { "$gt": 1, "$lt": 2 } }, vec![0, 8]),
        (
            doc! { "a": { "$elemMatch": { "b": { "$gt": 1, "$lt": 2 } } } },
            vec![8],
        ),
        (doc! { "a.b": { "$elemMatch": { "$gt": 4 } } }, vec![8]),
        (doc! { "a.b": { "$elemMatch": { "$gt": 1, "$lt": 2 } } }, vec![]),
        // A negation is one of the whole.
        (doc! { "a.b": { "$ne": 1 } }, vec![1, 2, 3, 4, 5, 6, 7]),
        (doc! { "a.b": { "$not": { "$gt": 1 } } }, vec![2, 3, 4, 5, 6, 7]),
        (doc! { "$nor": [{ "a": { "$exists": true } }] }, vec![5]),
        (doc! { "a": { "$in": [5, []] } }, vec![3, 4]),
        (doc! { "a": { "$in": [{ "b": 2, "c": 1 }] } }, vec![]),
        (doc! { "$expr": { "$eq": ["$a.b", 3] } }, vec![1]),
        (doc! { "$expr": { "$eq": ["$a.b", [1, 2]] } }, vec![0]),
        (
            doc! { "$or": [{ "a": 5 }, { "$and": [{ "a.b": 1 }, { "a.b": 2 }] }] },
            vec![0, 3],
        ),
    ];
    finds(&database, cases).await;
    // Two objects are one only with their fields in one order.
    database
        .insert("c", vec![doc! { "_id": 9, "o": { "a": 1, "b": 2 } }], None)
        .await
        .unwrap();
    let cases = vec![
        (doc! { "o": { "a": 1, "b": 2 } }, vec![9]),
        (doc! { "o": { "b": 2, "a": 1 } }, vec![]),
        (doc! { "o": { "$in": [{ "b": 2, "a": 1 }] } }, vec![]),
        (doc! { "o.b": 2, "o.a": 1 }, vec![9]),
    ];
    finds(&database, cases).await;
}

/// PCRE, over texts, elements of arrays, and regexes that are stored.
pub async fn regexes_are_perl_s(database: Engine) {
    let documents = numbered([
        doc! { "s": "Hello" },
        doc! { "s": ["x", "hello"] },
        doc! { "s": regex("hel", "i") },
        doc! { "s": "line1\nLine2" },
        doc! { "s": "中文" },
        doc! { "s": "a.b" },
        doc! { "s": 5 },
        doc! {},
    ]);
    holding(&database, documents).await;
    let cases = vec![
        (doc! { "s": { "$regex": "^hel", "$options": "i" } }, vec![0, 1]),
        (doc! { "s": regex("hel", "i") }, vec![0, 1, 2]),
        (doc! { "s": { "$regex": regex("^HEL", "i") } }, vec![0, 1]),
        (doc! { "s": { "$regex": "^Line2", "$options": "m" } }, vec![3]),
        (doc! { "s": { "$regex": "^Line2" } }, vec![]),
        (
            doc! { "s": { "$regex": "line1.Line2", "$options": "s" } },
            vec![3],
        ),
        (doc! { "s": { "$regex": "line1.Line2" } }, vec![]),
        (
            doc! { "s": { "$regex": "h e l # a note", "$options": "x" } },
            vec![1],
        ),
        (doc! { "s": { "$regex": "(?<!H)ello$" } }, vec![1]),
        (doc! { "s": { "$regex": "^(?=.*l)(?!h).*o$" } }, vec![0]),
        (doc! { "s": { "$regex": "(l)\\1" } }, vec![0, 1]),
        (doc! { "s": { "$regex": "^.文$" } }, vec![4]),
        (doc! { "s": { "$regex": "^a\\.b$" } }, vec![5]),
        (doc! { "s": { "$in": [regex("^a\\.", ""), 5] } }, vec![5, 6]),
        (doc! { "s": { "$not": regex("l", "") } }, vec![2, 4, 5, 6, 7]),
        (doc! { "s": { "$nin": [regex("l", "")] } }, vec![2, 4, 5, 6, 7]),
        (doc! { "s": { "$regex": "a.b", "$ne": "a.b" } }, vec![]),
    ];
    finds(&database, cases.clone()).await;
    database
        .create_index("c", index(&[("s", IndexKind::Ascending)]))
        .await
        .unwrap();
    finds(&database, cases).await;
}

/// Which fields a projection leaves.
pub async fn projections_show_what_they_name(database: Engine) {
    let stored = doc! { "_id": 1, "a": { "b": 1, "c": 2 }, "t": [{ "k": 1, "l": 1 }, { "k": 2 }, 3], "n": [1, 2, 3, 4] };
    holding(&database, vec![stored.clone()]).await;
    for (filter, projection, expected) in [
        (doc! {}, doc! {}, stored.clone()),
        (
            doc! {},
            doc! { "a": 1, "_id": 0 },
            doc! { "a": { "b": 1, "c": 2 } },
        ),
        (doc! {}, doc! { "a.b": true }, doc! { "_id": 1, "a": { "b": 1 } }),
        (
            doc! {},
            doc! { "a.b": 0, "t": false, "n": 0 },
            doc! { "_id": 1, "a": { "c": 2 } },
        ),
        (
            doc! {},
            doc! { "t.k": 1 },
            doc! { "_id": 1, "t": [{ "k": 1 }, { "k": 2 }] },
        ),
        (
            doc! {},
            doc! { "t.k": 0, "n": 0, "a": 0 },
            doc! { "_id": 1, "t": [{ "l": 1 }, {}, 3] },
        ),
        (
            doc! {},
            doc! { "n": { "$slice": -2 }, "a": 0, "t": 0 },
            doc! { "_id": 1, "n": [3, 4] },
        ),
        (
            doc! {},
            doc! { "n": { "$slice": [1, 2] }, "_id": 1 },
            doc! { "_id": 1, "n": [2, 3] },
        ),
        (
            doc! {},
            doc! { "t": { "$elemMatch": { "k": 2 } }, "_id": 0 },
            doc! { "t": [{ "k": 2 }] },
        ),
        (
            doc! {},
            doc! { "t": { "$elemMatch": { "k": 9 } }, "_id": 0 },
            doc! {},
        ),
        (
            doc! { "n": { "$gt": 2 } },
            doc! { "n.$": 1, "_id": 0 },
            doc! { "n": [3] },
        ),
        (
            doc! {},
            doc! { "_id": 0, "sum": { "$add": ["$a.b", "$a.c"] } },
            doc! { "sum": 3 },
        ),
        (doc! {}, doc! { "nothing": 1, "_id": 0 }, doc! {}),
        (doc! {}, doc! { "_id": 1 }, doc! { "_id": 1 }),
    ] {
        let find = Find {
            filter,
            projection: Some(projection.clone()),
            ..Find::default()
        };
        let shown = read(&database, find, None).await.remove(0);
        assert!(same(&shown, &expected), "{projection}: {shown}");
    }
}
