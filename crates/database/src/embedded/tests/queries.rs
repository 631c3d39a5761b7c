//! Any query finds through any set of indexes what it finds through none.

use proptest::{prelude::*, test_runner::TestRunner};

use super::*;

fn value() -> impl Strategy<Value = Bson> {
    let scalar = prop_oneof![
        4 => (0..6_i32).prop_map(Bson::Int32),
        1 => (0..6_i64).prop_map(Bson::Int64),
        1 => (0..6_i32).prop_map(|n| Bson::Double(f64::from(n) + 0.5)),
        2 => prop_oneof![Just("a"), Just("ab"), Just("b"), Just("")].prop_map(Bson::from),
        1 => Just(Bson::Null),
        1 => any::<bool>().prop_map(Bson::from),
        1 => (0..3_i64).prop_map(|n| Bson::DateTime(DateTime::from_millis(n))),
    ];
    prop_oneof![
        6 => scalar.clone(),
        1 => proptest::collection::vec(scalar.clone(), 0..3).prop_map(Bson::Array),
        1 => scalar.clone().prop_map(|value| Bson::Document(doc! { "x": value })),
        1 => proptest::collection::vec(scalar.prop_map(|value| Bson::Document(doc! { "x": value })), 0..3)
            .prop_map(Bson::Array),
    ]
}

/// Some of them near to each other, some on the other side of the earth, at the poles, at the edge of the map.
fn point() -> impl Strategy<Value = [f64; 2]> {
    prop_oneof![
        (0..40_i32, 0..40_i32).prop_map(|(x, y)| [f64::from(x) * 0.003, f64::from(y) * 0.003]),
        (-180..=180_i32, -90..=90_i32).prop_map(|(x, y)| [f64::from(x), f64::from(y)]),
        (0..3_i32).prop_map(|x| [179.9 + 0.05 * f64::from(x), 0.0]),
    ]
}

fn place() -> impl Strategy<Value = Bson> {
    let geometry =
        |kind: &'static str, coordinates: Bson| bson::bson!({ "type": kind, "coordinates": coordinates });
    prop_oneof![
        6 => point().prop_map(move |at| geometry("Point", bson::bson!([at[0], at[1]]))),
        1 => (0..20_i32, 0..20_i32).prop_map(move |(x, y)| {
            let (x, y) = (f64::from(x), f64::from(y));
            geometry("LineString", bson::bson!([[x, y], [x + 3.0, y + 2.0]]))
        }),
        1 => Just(Bson::Null),
    ]
}

fn document() -> impl Strategy<Value = Document> {
    let field = || proptest::option::weighted(0.8, value());
    (
        field(),
        field(),
        field(),
        proptest::option::weighted(0.8, place()),
    )
        .prop_map(|(a, b, c, at)| {
            let mut document = Document::new();
            for (name, value) in [("a", a), ("b", b), ("c", c), ("at", at)] {
                document.extend(value.map(|value| (name.to_owned(), value)));
            }
            document
        })
}

fn path() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => Just("a"), 2 => Just("b"), 1 => Just("c"), 1 => Just("a.x"), 1 => Just("_id")]
}

fn condition() -> impl Strategy<Value = Document> {
    let on = |path: &'static str, value: Bson| doc! { path: value };
    prop_oneof![
        4 => (path(), value()).prop_map(move |(path, value)| on(path, value)),
        3 => (path(), value(), prop_oneof![Just("$gt"), Just("$gte"), Just("$lt"), Just("$lte"), Just("$ne")])
            .prop_map(move |(path, value, operator)| on(path, bson::bson!({ operator: value }))),
        1 => (path(), value(), value())
            .prop_map(move |(path, low, high)| on(path, bson::bson!({ "$gte": low, "$lt": high }))),
        2 => (path(), proptest::collection::vec(value(), 0..4))
            .prop_map(move |(path, values)| on(path, bson::bson!({ "$in": values }))),
        1 => (path(), prop_oneof![Just("^a"), Just("^ab$"), Just("b"), Just("^")])
            .prop_map(move |(path, regex)| on(path, bson::bson!({ "$regex": regex }))),
        1 => (path(), any::<bool>()).prop_map(move |(path, is)| on(path, bson::bson!({ "$exists": is }))),
        1 => (path(), value()).prop_map(move |(path, value)| on(path, bson::bson!({ "$all": [value] }))),
        1 => (path(), value(), value())
            .prop_map(move |(path, low, high)| on(path, bson::bson!({ "$elemMatch": { "$gte": low, "$lte": high } }))),
        1 => point().prop_map(move |at| on("at", bson::bson!({ "$geoWithin": { "$centerSphere": [[at[0], at[1]], 0.05] } }))),
    ]
}

fn filter() -> impl Strategy<Value = Document> {
    condition().prop_recursive(2, 8, 3, |inner| {
        let several = proptest::collection::vec(inner, 1..4);
        prop_oneof![
            2 => several.clone().prop_map(|all| doc! { "$and": all }),
            2 => several.clone().prop_map(|any| doc! { "$or": any }),
            1 => several.prop_map(|none| doc! { "$nor": none }),
        ]
    })
}

/// A condition of nearness, with others beside it.
fn near() -> impl Strategy<Value = Document> {
    let distance = || proptest::option::of(prop_oneof![Just(500.0), Just(20_000.0), Just(9e6)]);
    (point(), distance(), distance(), proptest::option::of(condition())).prop_map(
        |(at, least, most, more)| {
            let mut near = doc! { "$geometry": { "type": "Point", "coordinates": [at[0], at[1]] } };
            near.extend(least.map(|least: f64| ("$minDistance".to_owned(), Bson::Double(least / 10.0))));
            near.extend(most.map(|most: f64| ("$maxDistance".to_owned(), Bson::Double(most))));
            let mut filter = doc! { "at": { "$nearSphere": near } };
            if let Some(more) = more.filter(|more| !more.contains_key("at")) {
                filter.extend(more);
            }
            filter
        },
    )
}

fn sort() -> impl Strategy<Value = Option<Document>> {
    let field = || (path(), prop_oneof![Just(1), Just(-1)]);
    let fields = proptest::collection::vec(field(), 1..3);
    let whole = any::<bool>();
    proptest::option::of((fields, whole).prop_map(|(fields, whole)| {
        let mut sort: Document = fields
            .into_iter()
            .map(|(path, direction)| (path.to_owned(), Bson::Int32(direction)))
            .collect();
        // So that nothing is left open; without it an index can give the order.
        if whole && !sort.contains_key("_id") {
            sort.insert("_id", 1);
        }
        sort
    }))
}

fn some_index() -> impl Strategy<Value = IndexSpec> {
    let kind = || prop_oneof![Just(IndexKind::Ascending), Just(IndexKind::Descending)];
    let field = || (prop_oneof![Just("a"), Just("b"), Just("c"), Just("a.x")], kind());
    let fields = proptest::collection::vec(field(), 1..3);
    let with_place = proptest::option::weighted(0.4, Just(("at", IndexKind::Sphere)));
    (fields, with_place, any::<bool>(), any::<bool>()).prop_filter_map(
        "of one path twice",
        |(mut fields, place, first, sparse)| {
            if let Some(place) = place {
                fields.insert(if first { 0 } else { fields.len() }, place);
            }
            let paths: BTreeSet<&str> = fields.iter().map(|(path, _)| *path).collect();
            if paths.len() < fields.len() || (paths.contains("a") && paths.contains("a.x")) {
                return None;
            }
            let fields: Vec<IndexField> = fields
                .into_iter()
                .map(|(path, kind)| IndexField {
                    path: path.to_owned(),
                    kind,
                })
                .collect();
            Some(IndexSpec {
                name: IndexSpec::named_by_fields(&fields),
                fields,
                unique: false,
                sparse,
            })
        },
    )
}

#[derive(Clone, Debug)]
struct Query {
    filter: Document,
    sort: Option<Document>,
    skip: u64,
    limit: Option<u64>,
}

fn query() -> impl Strategy<Value = Query> {
    let limit = || proptest::option::of(1..8_u64);
    let by_filter = (filter(), sort(), 0..4_u64, limit()).prop_map(|(filter, sort, skip, limit)| Query {
        filter,
        sort,
        skip,
        limit,
    });
    let by_distance = (near(), 0..4_u64, limit()).prop_map(|(filter, skip, limit)| Query {
        filter,
        sort: None,
        skip,
        limit,
    });
    prop_oneof![3 => by_filter, 1 => by_distance]
}

fn point_of(query: &Query) -> Option<&Document> {
    query
        .filter
        .get_document("at")
        .ok()?
        .get_document("$nearSphere")
        .ok()
}

type Answer = Result<Vec<Document>, String>;

fn answer(found: Result<Found>) -> Answer {
    let found = found.map_err(|error| error.to_string())?;
    let decode = |raw: &bson::RawDocumentBuf| Document::try_from(raw.as_ref()).unwrap();
    Ok(found.documents.iter().map(decode).collect())
}

async fn ask(database: &Embedded, query: &Query, t: Option<TransactionId>) -> [Answer; 2] {
    let find = Find {
        filter: query.filter.clone(),
        sort: query.sort.clone(),
        projection: None,
        skip: query.skip,
        limit: query.limit,
        ..Find::default()
    };
    let found = answer(database.find("c", find, t).await);
    // The same as a pipeline.
    let mut stages = match point_of(query) {
        Some(near) => {
            let mut rest = query.filter.clone();
            rest.remove("at");
            let mut stage = doc! {
                "near": near.get("$geometry").unwrap(),
                "spherical": true,
                "distanceField": "far",
                "key": "at",
                "query": rest,
            };
            for (from, to) in [("$minDistance", "minDistance"), ("$maxDistance", "maxDistance")] {
                stage.extend(near.get(from).map(|value| (to.to_owned(), value.clone())));
            }
            vec![doc! { "$geoNear": stage }, doc! { "$unset": "far" }]
        }
        None => vec![doc! { "$match": query.filter.clone() }],
    };
    stages.extend(query.sort.as_ref().map(|sort| doc! { "$sort": sort.clone() }));
    stages.push(doc! { "$skip": query.skip as i64 });
    stages.extend(query.limit.map(|limit| doc! { "$limit": limit as i64 }));
    let piped = answer(database.aggregate("c", Aggregate { stages }, t).await);
    [found, piped]
}

/// Distances from a point, so that documents of one distance may come in any order.
fn distances(documents: &[Document], query: &Query) -> Option<Vec<f64>> {
    let near = point_of(query)?.get_document("$geometry").unwrap();
    let near = docdb::geo::Near::of_point(&Bson::Document(near.clone()), true, None, None).unwrap();
    let path = docdb::path::Path::new("at");
    documents
        .iter()
        .map(|document| near.nearest(document, &path).map(|(distance, _)| distance))
        .collect()
}

fn same(plain: &Answer, indexed: &Answer, query: &Query) {
    let (expected, found) = match (plain, indexed) {
        (Ok(plain), Ok(indexed)) => (plain, indexed),
        (Err(plain), Err(indexed)) => return assert_eq!(plain, indexed, "{query:?}"),
        (plain, indexed) => panic!("{plain:?} {indexed:?} {query:?}"),
    };
    let by_id = |documents: &[Document]| {
        let mut documents = documents.to_vec();
        documents.sort_by_key(|document| document.get_i32("_id").unwrap());
        documents
    };
    match distances(expected, query) {
        Some(expected) => assert_eq!(Some(expected), distances(found, query), "{query:?}"),
        None if query.sort.as_ref().is_some_and(|sort| sort.contains_key("_id")) => {
            assert_eq!(expected, found, "{query:?}");
        }
        None if query.sort.is_some() => {
            let sort = docdb::sort::Sort::parse(query.sort.as_ref().unwrap()).unwrap();
            let context = Context::new(DateTime::from_millis(0), 0);
            let places = |documents: &[Document]| -> Vec<Vec<u8>> {
                documents
                    .iter()
                    .map(|document| sort.key(document, &context).unwrap())
                    .collect()
            };
            assert_eq!(places(expected), places(found), "{query:?}");
            if query.limit.is_none() && query.skip == 0 {
                assert_eq!(by_id(expected), by_id(found), "{query:?}");
            }
        }
        None if query.limit.is_none() && query.skip == 0 => {
            assert_eq!(by_id(expected), by_id(found), "{query:?}");
        }
        None => assert_eq!(expected.len(), found.len(), "{query:?}"),
    }
}

async fn compare(documents: Vec<Document>, indexes: Vec<IndexSpec>, queries: Vec<Query>) {
    let [plain, indexed] = [(); 2].map(|()| Embedded::in_memory(Options::default()).unwrap());
    for database in [&plain, &indexed] {
        database.create_collection("c").await.unwrap();
    }
    // Some of the indexes are there first, some are made over what is there.
    let (first, later) = indexes.split_at(indexes.len() / 2);
    for spec in first {
        indexed.create_index("c", spec.clone()).await.unwrap();
    }
    for (id, document) in documents.into_iter().enumerate() {
        let mut with_id = doc! { "_id": id as i32 };
        with_id.extend(document);
        let [expected, done] =
            [&plain, &indexed].map(|database| database.insert("c", vec![with_id.clone()], None));
        expected.await.unwrap();
        // Two arrays in one index are refused; then the document is in neither.
        if done.await.is_err() {
            plain
                .remove("c", doc! { "_id": id as i32 }, false, None)
                .await
                .unwrap();
        }
    }
    for spec in later {
        let _ = indexed.create_index("c", spec.clone()).await;
    }
    for query in &queries {
        let [expected, found] = [ask(&plain, query, None).await, ask(&indexed, query, None).await];
        for (expected, found) in expected.iter().zip(&found) {
            same(expected, found, query);
        }
        let mut counts = Vec::new();
        for database in [&plain, &indexed] {
            let counted = database.count("c", query.filter.clone(), None).await;
            counts.push(
                counted
                    .map(|counted| counted.count)
                    .map_err(|error| error.to_string()),
            );
        }
        assert_eq!(counts[0], counts[1], "{query:?}");
    }
    // Within a transaction that has written, too; and what it writes is what it would without indexes.
    let transactions = [plain.begin().await.unwrap(), indexed.begin().await.unwrap()];
    let mut kept = true;
    for (at, query) in queries
        .iter()
        .filter(|query| point_of(query).is_none())
        .enumerate()
    {
        let update = Update {
            many: true,
            ..change(
                query.filter.clone(),
                doc! { "$set": { "b": at as i32 }, "$unset": { "c": 1 } },
            )
        };
        let mut came = Vec::new();
        for (database, transaction) in [&plain, &indexed].into_iter().zip(transactions) {
            let done = if at % 3 == 2 {
                let removed = database.remove("c", query.filter.clone(), true, Some(transaction));
                removed
                    .await
                    .map(|removed| removed.count)
                    .map_err(|error| error.to_string())
            } else {
                let updated = database.update("c", update.clone(), Some(transaction)).await;
                updated
                    .map(|updated| updated.matched)
                    .map_err(|error| error.to_string())
            };
            came.push(done);
        }
        if came[1].as_ref().is_err_and(|error| error.contains("parallel")) {
            kept = false;
            break;
        }
        assert_eq!(came[0], came[1], "{query:?}");
        let [expected, found] = [
            ask(&plain, query, Some(transactions[0])).await,
            ask(&indexed, query, Some(transactions[1])).await,
        ];
        for (expected, found) in expected.iter().zip(&found) {
            same(expected, found, query);
        }
    }
    if kept {
        plain.commit(transactions[0]).await.unwrap();
        indexed.commit(transactions[1]).await.unwrap();
        assert_eq!(
            super::documents(&plain, "c", None).await.unwrap(),
            super::documents(&indexed, "c", None).await.unwrap()
        );
    }
    verify(&indexed);
}

#[test]
fn through_indexes_a_query_finds_what_it_finds_without() {
    let property = || {
        let mut runner = TestRunner::new(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(160)
        });
        let anything = (
            proptest::collection::vec(document(), 0..40),
            proptest::collection::vec(some_index(), 0..4),
            proptest::collection::vec(query(), 1..8),
        );
        let tried = runner.run(&anything, |(documents, indexes, queries)| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(compare(documents, indexes, queries));
            Ok(())
        });
        if let Err(error) = tried {
            panic!("{error}");
        }
    };
    // Values that are made of values of values take more stack than a test has.
    let run = std::thread::Builder::new().stack_size(64 << 20).spawn(property);
    run.unwrap().join().unwrap();
}

/// How many documents are looked at, by kind of query: what an index serves looks at what it finds, and little more.
#[tokio::test]
async fn each_kind_of_query_is_led_by_its_index() {
    let database = Embedded::in_memory(Options::default()).unwrap();
    database.create_collection("c").await.unwrap();
    for spec in [
        index("n", IndexKind::Ascending),
        index("m", IndexKind::Descending),
        index("name", IndexKind::Ascending),
        index("tags", IndexKind::Ascending),
        index("at", IndexKind::Sphere),
    ] {
        database.create_index("c", spec).await.unwrap();
    }
    let all = (0..2000_i32)
        .map(|n| {
            let at = [f64::from(n % 50) * 0.01, f64::from(n / 50) * 0.01];
            doc! {
                "_id": n, "n": n, "m": n, "name": format!("name {n:04}"), "tags": [n % 100, n % 7 + 1000],
                "at": { "type": "Point", "coordinates": [at[0], at[1]] }, "other": n % 3,
            }
        })
        .collect();
    database.insert("c", all, None).await.unwrap();
    let near = |rest: Document| {
        let mut near = doc! { "$geometry": { "type": "Point", "coordinates": [0.2, 0.2] } };
        near.extend(rest);
        doc! { "at": { "$near": near } }
    };
    let none = None::<Document>;
    for (filter, sort, limit, at_most) in [
        (doc! { "n": 7 }, none.clone(), None, 1),
        (doc! { "n": { "$in": [1, 5, 9, 5] } }, none.clone(), None, 3),
        (
            doc! { "n": { "$in": [9, 1, 5] } },
            Some(doc! { "n": -1 }),
            Some(2),
            2,
        ),
        (doc! { "n": { "$gte": 10, "$lt": 20 } }, none.clone(), None, 10),
        (doc! { "m": { "$gte": 10, "$lt": 20 } }, none.clone(), None, 10),
        (doc! { "n": { "$gt": 10 } }, Some(doc! { "n": 1 }), Some(5), 5),
        (doc! { "n": { "$gt": 10 } }, Some(doc! { "n": -1 }), Some(5), 5),
        (doc! { "m": { "$lt": 100 } }, Some(doc! { "m": -1 }), Some(5), 5),
        (doc! {}, Some(doc! { "m": -1 }), Some(5), 5),
        (
            doc! { "$or": [{ "n": 3 }, { "m": { "$gte": 1990 } }] },
            none.clone(),
            None,
            11,
        ),
        (
            doc! { "$or": [{ "n": 3 }, { "n": 4 }, { "name": "name 0009" }] },
            none.clone(),
            None,
            3,
        ),
        (doc! { "name": { "$regex": "^name 12" } }, none.clone(), None, 100),
        (doc! { "tags": 5 }, none.clone(), None, 20),
        (doc! { "tags": { "$all": [5, 1005] } }, none.clone(), None, 300),
        (doc! { "_id": { "$in": [1, 2] } }, none.clone(), None, 2),
        (doc! { "_id": { "$gt": 1990 } }, Some(doc! { "_id": -1 }), None, 9),
        (near(doc! { "$maxDistance": 2000 }), none.clone(), None, 60),
        (near(doc! {}), none.clone(), Some(10), 200),
        (near(doc! {}), none, Some(1), 100),
        (
            doc! { "at": { "$geoWithin": { "$centerSphere": [[0.2, 0.2], 0.0003] } } },
            None,
            None,
            60,
        ),
    ] {
        let find = Find {
            filter: filter.clone(),
            sort,
            limit,
            ..Find::default()
        };
        let found = database.find("c", find, None).await.unwrap();
        assert!(!found.documents.is_empty(), "{filter}");
        let looked = found.looked.unwrap();
        assert!(looked.index.is_some(), "{filter}");
        assert!(
            looked.documents <= at_most,
            "{filter}: {} looked at for {}",
            looked.documents,
            found.documents.len()
        );
    }
    // A pipeline is led as well, by conditions that stand one behind the other or behind what does not change them.
    let near = doc! { "near": { "type": "Point", "coordinates": [0.2, 0.2] }, "distanceField": "far", "spherical": true };
    for (stages, at_most) in [
        (
            vec![
                doc! { "$match": { "other": 1 } },
                doc! { "$match": { "n": { "$lt": 9 } } },
            ],
            9,
        ),
        (
            vec![doc! { "$sort": { "other": 1 } }, doc! { "$match": { "n": 4 } }],
            1,
        ),
        (
            vec![
                doc! { "$addFields": { "sum": { "$add": ["$n", "$m"] } } },
                doc! { "$match": { "n": 4 } },
            ],
            1,
        ),
        (
            vec![doc! { "$unwind": "$tags" }, doc! { "$match": { "n": 4 } }],
            1,
        ),
        (vec![doc! { "$geoNear": near.clone() }, doc! { "$limit": 3 }], 100),
        (
            vec![
                doc! { "$match": { "n": { "$gte": 5 } } },
                doc! { "$sort": { "n": 1 } },
                doc! { "$limit": 3 },
            ],
            3,
        ),
    ] {
        let found = database
            .aggregate(
                "c",
                Aggregate {
                    stages: stages.clone(),
                },
                None,
            )
            .await
            .unwrap();
        assert!(!found.documents.is_empty(), "{stages:?}");
        let looked = found.looked.unwrap();
        assert!(looked.documents <= at_most, "{stages:?}: {looked:?}");
    }
}

/// Of one document, too: what its thread serves waits meanwhile.
#[tokio::test]
async fn a_query_that_is_much_work_is_not_run_where_it_is_asked() {
    let database = Embedded::in_memory(Options::default()).unwrap();
    let text = "a".repeat(100);
    let of = (0..100_i32).map(Bson::from).collect::<Vec<_>>();
    let document = doc! {"_id": "mine", "text": text, "of": of};
    database.create_collection("c").await.unwrap();
    database.insert("c", vec![document], None).await.unwrap();
    let rounds = |many: i32| {
        let range = doc! {"$range": [0, many]};
        let odd = doc! {"$mod": ["$$this", 2]};
        doc! {"$size": {"$filter": {"input": range, "cond": odd}}}
    };
    let asked = |filter: Document| {
        let mut filter = filter;
        filter.insert("_id", "mine");
        Find {
            filter,
            ..Find::default()
        }
    };
    let shown = |projection: Document| Find {
        projection: Some(projection),
        ..asked(doc! {})
    };
    let pattern = bson::Regex {
        pattern: "b".try_into().unwrap(),
        options: "".try_into().unwrap(),
    };
    let none_of = doc! {"of": {"$not": {"$in": [pattern]}}};
    let many: Vec<Document> = (0..1000).map(|n| doc! {"of": {"$lt": -n}}).collect();
    for (find, is_short) in [
        (asked(doc! {}), true),
        (asked(doc! {"$expr": {"$eq": [rounds(10), 5]}}), true),
        (asked(doc! {"of": {"$gt": 98}}), true),
        (shown(doc! {"n": rounds(10)}), true),
        (asked(doc! {"$expr": {"$eq": [rounds(100_000), 50_000]}}), false),
        (shown(doc! {"n": rounds(100_000)}), false),
        (asked(doc! {"text": {"$regex": "^(?=(a+)+b)"}}), false),
        (asked(none_of), false),
        (asked(doc! {"$nor": many}), false),
    ] {
        let shared = &database.handle.shared;
        let read = read::FindRead::new("c", &find).unwrap();
        let short = shared.with(|file| read.run_if_short(shared, file)).unwrap();
        assert_eq!(short.is_some(), is_short, "{find:?}");
        if let Some(short) = short {
            assert_eq!(short.documents.len(), 1, "{find:?}");
        }
        // Wherever it is run, it is answered; a pattern that takes too long is an error there.
        let found = database.find("c", find.clone(), None).await;
        assert!(
            found.is_ok_and(|found| found.documents.len() == 1) || find.filter.contains_key("text"),
            "{find:?}"
        );
    }
}

/// More rounds than anybody waits for, within the bound of one operation.
fn endless() -> Document {
    let range = || doc! {"$range": [0, 99]};
    let mut sum = doc! {"$size": range()};
    for _ in 0..4 {
        let added = vec![Bson::from("$$value"), Bson::Document(sum)];
        sum = doc! {"$reduce": {"input": range(), "initialValue": 0, "in": {"$add": added}}};
    }
    sum
}

#[tokio::test]
async fn a_query_for_which_nobody_waits_keeps_nobody_from_reading() {
    let database = Arc::new(Embedded::in_memory(Options::default()).unwrap());
    let many: Vec<Bson> = (0..2000_i32).map(Bson::from).collect();
    let document = doc! {"_id": 1, "a": many.clone(), "b": many.clone(), "c": many};
    database.create_collection("c").await.unwrap();
    database.insert("c", vec![document], None).await.unwrap();
    // Eight billion documents, which take any build longer than is waited for below.
    let unwound = ["$a", "$b", "$c"].map(|field| doc! {"$unwind": field});
    let stages: Vec<Document> = unwound.into_iter().chain([doc! {"$count": "n"}]).collect();
    let reads = &database.handle.reads;
    for _ in 0..READS {
        let database = Arc::clone(&database);
        let stages = stages.clone();
        let query = tokio::spawn(async move { database.aggregate("c", Aggregate { stages }, None).await });
        while reads.free() == READS {
            tokio::task::yield_now().await;
        }
        // Whoever asked hangs up.
        query.abort();
        assert!(query.await.unwrap_err().is_cancelled());
        let ends = async {
            while reads.free() < READS {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), ends)
            .await
            .expect("it goes on");
    }
}

#[tokio::test]
async fn a_write_for_which_nobody_waits_keeps_nobody_from_writing() {
    let database = Arc::new(Embedded::in_memory(Options::default()).unwrap());
    database.create_collection("c").await.unwrap();
    database.insert("c", vec![doc! {"_id": 1}], None).await.unwrap();
    let writer = Arc::clone(&database);
    // It meets the document: were it run to its end, the document would be gone, however fast that was. Named by its id, it is looked
    // for where it is written.
    let filter = doc! {"_id": 1, "$expr": {"$gt": [endless(), 0]}};
    let write = tokio::spawn(async move { writer.remove("c", filter, true, None).await });
    while database.handle.waiting.available_permits() == WRITES {
        tokio::task::yield_now().await;
    }
    // An insert stands behind it, of somebody who hangs up as well.
    let inserter = Arc::clone(&database);
    let insert = tokio::spawn(async move { inserter.insert("c", vec![doc! {"_id": 2}], None).await });
    while database.handle.waiting.available_permits() > WRITES - 2 {
        tokio::task::yield_now().await;
    }
    insert.abort();
    assert!(insert.await.unwrap_err().is_cancelled());
    write.abort();
    assert!(write.await.unwrap_err().is_cancelled());
    let insert = database.insert("c", vec![doc! {"_id": 3}], None);
    let inserted = tokio::time::timeout(Duration::from_secs(20), insert).await;
    assert!(inserted.expect("it goes on").is_ok());
    let found = database.find("c", Find::default(), None).await.unwrap();
    let ids: Vec<i32> = found
        .documents
        .iter()
        .map(|document| document.get_i32("_id").unwrap())
        .collect();
    assert_eq!(
        ids,
        [1, 3],
        "what was given up is not done to its end, and not later"
    );
}
