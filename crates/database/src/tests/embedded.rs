//! What the embedded engine alone must do.

use super::*;
use crate::{
    Aggregate, DatabaseError, IndexField, IndexKind, IndexSpec, Tally, Update, UpdateKind, hold_to_contract,
};

hold_to_contract!(((), std::sync::Arc::new(memory())));

mod on_disk {
    use super::*;

    hold_to_contract!({
        let folder = tempfile::tempdir().unwrap();
        let database = Embedded::open(folder.path().join("database.redb"), Options::default()).unwrap();
        (folder, std::sync::Arc::new(database))
    });
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

#[tokio::test]
async fn places_of_what_is_sorted_have_a_bound() {
    let options = Options {
        pipeline_memory: 10_000,
        ..Options::default()
    };
    let database = Embedded::in_memory(options).unwrap();
    database.create_collection("c").await.unwrap();
    let texts = (0..40)
        .map(|n| doc! { "_id": n, "o": { "text": format!("{:02}{}", 40 - n, "x".repeat(500)) } })
        .collect();
    database.insert("c", texts, None).await.unwrap();
    // The same text twice.
    let mut find = Find {
        sort: Some(doc! { "o": 1, "o.text": 1 }),
        ..Find::default()
    };
    match database.find("c", find.clone(), None).await {
        Err(DatabaseError::Refused(error)) => assert_eq!(error.code, 292),
        other => panic!("{other:?}"),
    }
    find.limit = Some(5);
    let found = database.find("c", find, None).await.unwrap().documents;
    let ids: Vec<i32> = found.iter().map(|raw| raw.get_i32("_id").unwrap()).collect();
    assert_eq!(ids, [39, 38, 37, 36, 35]);
}

/// On the platform collections are made in the console: a transaction may meet one for the first time.
#[tokio::test]
async fn a_transaction_reaches_a_collection_that_was_made_after_it_began() {
    let database = with_collection("c").await;
    let transaction = database.begin().await.unwrap();
    let t = Some(transaction);
    assert_eq!(database.count("c", doc! {}, t).await.unwrap().count, 0);
    assert!(database.count("later", doc! {}, t).await.is_err());
    database.create_collection("later").await.unwrap();
    database
        .insert("later", vec![doc! { "_id": 1 }], t)
        .await
        .unwrap();
    assert_eq!(ids(&database.find("later", all(), t).await.unwrap()), [1.into()]);
    database.commit(transaction).await.unwrap();
    assert_eq!(database.count("later", doc! {}, None).await.unwrap().count, 1);
}

/// What is told of a query is what it took: by an index no more than was found.
#[tokio::test]
async fn an_index_spares_a_walk_through_the_collection() {
    let database = with_collection("c").await;
    let added = (0..600)
        .map(|n| doc! { "_id": n, "user": n % 10, "price": n, "tags": [n % 20, "x"] })
        .collect();
    database.insert("c", added, None).await.unwrap();
    let page = |filter: Document| Find {
        filter,
        ..Find::default()
    };
    let looked = |found: Found| {
        let looked = found.looked.unwrap();
        (looked.index, looked.documents, found.documents.len())
    };
    let scanned = database.find("c", page(doc! { "tags": 3 }), None).await;
    assert_eq!(looked(scanned.unwrap()), (None, 600, 30));
    database.create_index("c", index(&["tags"])).await.unwrap();
    let led = database.find("c", page(doc! { "tags": 3 }), None).await;
    assert_eq!(looked(led.unwrap()), (Some("tags_1".to_owned()), 30, 30));
    let by_id = database.find("c", page(doc! { "_id": 12 }), None).await;
    assert_eq!(looked(by_id.unwrap()), (Some("_id_".to_owned()), 1, 1));
    // A pipeline's first stages are led as well.
    database
        .create_index("c", index(&["user", "price"]))
        .await
        .unwrap();
    let stages = vec![
        doc! { "$match": { "user": 2 } },
        doc! { "$sort": { "price": -1 } },
        doc! { "$limit": 3 },
        doc! { "$project": { "_id": 0, "price": 1 } },
    ];
    let piped = database.aggregate("c", Aggregate { stages }, None).await.unwrap();
    let dearest = [592, 582, 572].map(|price| doc! { "price": price });
    assert_eq!(documents(&piped), dearest);
    assert_eq!(looked(piped).1, 3);
}

/// In a transaction of MongoDB's a refusal ends it; here what was refused is merely not in it.
#[tokio::test]
async fn within_a_transaction_too_each_document_has_its_own_outcome() {
    let database = with_collection("c").await;
    let several = |ids: [i32; 2]| ids.map(|id| doc! { "_id": id }).to_vec();
    database.insert("c", several([2, 3]), None).await.unwrap();
    let transaction = database.begin().await.unwrap();
    let noted = database
        .insert_each("c", several([3, 4]), false, Some(transaction))
        .await
        .unwrap();
    assert_eq!((noted.ids, noted.refused.len()), (vec![4.into()], 1));
    database.commit(transaction).await.unwrap();
    assert_eq!(database.count("c", doc! {}, None).await.unwrap().count, 3);
}

#[tokio::test]
async fn a_page_has_few_bytes() {
    let database = with_collection("c").await;
    let large = (0..4).map(|n| doc! { "_id": n, "pad": "x".repeat(3 << 20) });
    database.insert("c", large.collect(), None).await.unwrap();
    let page = database.page("c", doc! {}, None, None, 100).await.unwrap();
    assert_eq!((page.documents.len(), page.last), (2, Some(1.into())));
}

/// The ranges of several values, or of the branches of an `$or`, give one order of the next field.
#[tokio::test]
async fn an_order_behind_several_values_is_not_sorted_for() {
    let database = with_collection("c").await;
    let added = (0..1000).map(|n| doc! { "_id": n, "kind": n % 5, "shop": n % 2, "at": (n * 7) % 1000 });
    database.insert("c", added.collect(), None).await.unwrap();
    database.create_index("c", index(&["kind", "at"])).await.unwrap();
    let few = doc! { "kind": { "$in": [1, 3] } };
    let either =
        doc! { "$or": [{ "kind": 3 }, { "kind": 1 }, { "kind": { "$in": [1, 3] }, "at": { "$gt": 0 } }] };
    for (filter, limit, most) in [
        (few.clone(), 10, 10),
        // Each branch leads to some of the same.
        (either, 10, 20),
        (doc! { "kind": { "$in": [1, 3] }, "at": { "$gte": 0 } }, 10, 10),
        (doc! { "kind": { "$in": [1, 3] }, "shop": 1 }, 10, 30),
    ] {
        for direction in [1, -1] {
            let mut find = Find {
                filter: filter.clone(),
                sort: Some(doc! { "at": direction }),
                limit: Some(limit),
                skip: 2,
                ..Find::default()
            };
            let led = database.find("c", find.clone(), None).await.unwrap();
            let looked = led.looked.clone().unwrap();
            assert_eq!(looked.index.as_deref(), Some("kind_1_at_1"), "{filter}");
            assert!(looked.documents <= most + 4, "{filter} {looked:?}");
            let stages = vec![
                doc! { "$match": filter.clone() },
                doc! { "$sort": { "at": direction } },
                doc! { "$skip": 2 },
                doc! { "$limit": 10 },
            ];
            let piped = database.aggregate("c", Aggregate { stages }, None).await.unwrap();
            assert_eq!(documents(&piped), documents(&led), "{filter}");
            // Sorted, it is the same.
            find.sort = Some(doc! { "at": direction, "_id": 1 });
            let sorted = database.find("c", find, None).await.unwrap();
            assert_eq!(documents(&led), documents(&sorted), "{filter}");
        }
    }
    // What a sort begins with has to follow on what the values are of.
    let find = Find {
        filter: few,
        sort: Some(doc! { "shop": 1, "at": 1 }),
        limit: Some(1),
        ..Find::default()
    };
    let found = database.find("c", find, None).await.unwrap();
    assert_eq!(found.looked.unwrap().documents, 400);
}

/// A pipeline that takes the first few of those near to a point, after it has left some out, does not look at all of them.
#[tokio::test]
async fn the_nearest_are_read_as_far_as_they_are_asked_for() {
    let database = with_collection("c").await;
    let added = (0..2000_i32).map(|n| {
        let (x, y) = (f64::from(n % 50), f64::from(n / 50));
        doc! { "_id": n, "open": n % 3 == 0, "at": { "type": "Point", "coordinates": [x, y] } }
    });
    database.insert("c", added.collect(), None).await.unwrap();
    let near = |key: &str| {
        doc! { "$geoNear": {
            "near": { "type": "Point", "coordinates": [20.1, 20.2] }, "spherical": true, "distanceField": "far", "key": key,
        } }
    };
    let behind = [
        doc! { "$match": { "open": true } },
        doc! { "$skip": 1 },
        doc! { "$project": { "far": 1 } },
        doc! { "$limit": 5 },
    ];
    let stages = [&[near("at")][..], &behind].concat();
    let run = async |stages: &[Document]| {
        let stages = stages.to_vec();
        database.aggregate("c", Aggregate { stages }, None).await.unwrap()
    };
    let scanned = run(&stages).await;
    let mut all = stages.clone();
    all[4] = doc! { "$limit": 2000 };
    let every = run(&all).await;
    let places = IndexSpec::of_fields(&["at"], true).unwrap();
    database.create_index("c", places).await.unwrap();
    let led = run(&stages).await;
    assert_eq!(documents(&led), documents(&scanned));
    assert!(led.looked.unwrap().documents < 500, "of 2000");
    assert_eq!(
        documents(&run(&all).await),
        documents(&every),
        "all of them, in the same order"
    );
    assert_eq!(every.documents.len(), 666);
}

/// Whose documents are is asked with every query of a client's.
#[tokio::test]
async fn the_documents_of_an_owner_are_found_by_an_index_that_nobody_made() {
    let database = with_collection("c").await;
    let added = (0..100).map(|n| match n % 20 {
        0 => doc! { "_id": n, "_openid": "o1" },
        1 => doc! { "_id": n, "_openid": Bson::Null },
        _ => doc! { "_id": n },
    });
    database.insert("c", added.collect(), None).await.unwrap();
    let told = async |filter: Document| {
        let tally = database.count("c", filter, None).await.unwrap();
        let looked = tally.looked.unwrap();
        (tally.count, looked.documents, looked.index)
    };
    let by_owner = Some("_openid_1".to_owned());
    assert_eq!(told(doc! { "_openid": "o1" }).await, (5, 5, by_owner.clone()));
    // What has none has no entry.
    assert_eq!(told(doc! { "_openid": Bson::Null }).await, (95, 100, None));
    let taken_over = Update {
        filter: doc! { "_id": 1 },
        kind: UpdateKind::Operators(doc! { "$set": { "_openid": "o1" } }),
        array_filters: Vec::new(),
        many: false,
        sort: None,
        upsert: None,
        largest: None,
        returns: None,
    };
    database.update("c", taken_over, None).await.unwrap();
    database
        .remove("c", doc! { "_id": 0 }, false, None)
        .await
        .unwrap();
    assert_eq!(told(doc! { "_openid": "o1" }).await, (5, 5, by_owner));
    // It is not among those that somebody made, and one that somebody makes stands beside it.
    let shown = || async { database.collections().await.unwrap().remove(0).indexes };
    assert_eq!(shown().await, []);
    assert!(!database.drop_index("c", "_openid_1").await.unwrap());
    database.create_index("c", index(&["_openid"])).await.unwrap();
    assert_eq!(shown().await, [index(&["_openid"])]);
    assert!(database.drop_index("c", "_openid_1").await.unwrap());
}

/// What is told of a count and of a removal is what they took, as of a read.
#[tokio::test]
async fn counting_and_removing_tell_what_they_looked_at() {
    let database = with_collection("c").await;
    let added = (0..100).map(|n| doc! { "_id": n, "user": n % 10 });
    database.insert("c", added.collect(), None).await.unwrap();
    let told = |tally: Tally| {
        let looked = tally.looked.unwrap();
        (tally.count, looked.documents, looked.index)
    };
    let filter = || doc! { "user": 3 };
    let scanned = database.count("c", filter(), None).await.unwrap();
    assert_eq!(told(scanned), (10, 100, None));
    // How many there are is known without looking.
    let all = database.count("c", doc! {}, None).await.unwrap();
    assert_eq!(told(all), (100, 0, None));
    database.create_index("c", index(&["user"])).await.unwrap();
    let by_index = Some("user_1".to_owned());
    let led = database.count("c", filter(), None).await.unwrap();
    assert_eq!(told(led), (10, 10, by_index.clone()));
    let one = database.remove("c", filter(), false, None).await.unwrap();
    assert_eq!(told(one), (1, 1, by_index.clone()));
    let rest = database.remove("c", filter(), true, None).await.unwrap();
    assert_eq!(told(rest), (9, 9, by_index));
}

fn index(paths: &[&str]) -> IndexSpec {
    let fields: Vec<_> = paths
        .iter()
        .map(|path| IndexField {
            path: (*path).to_owned(),
            kind: IndexKind::Ascending,
        })
        .collect();
    IndexSpec {
        name: IndexSpec::named_by_fields(&fields),
        fields,
        unique: false,
        sparse: false,
    }
}
