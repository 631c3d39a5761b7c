//! What the embedded engine alone must do.

use super::*;
use crate::{Aggregate, DatabaseError, IndexField, IndexKind, IndexSpec, hold_to_contract};

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
