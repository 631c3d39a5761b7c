//! What the wire front asks of an engine beyond `cloud.database()`: the outcome of each document, pages, and a document that is
//! removed and given.

use bson::{Bson, Document, doc};

use super::*;
use crate::{DatabaseError, Update, UpdateKind};

async fn holding(documents: Vec<Document>) -> Embedded {
    let database = Embedded::in_memory(Options::default()).unwrap();
    database.create_collection("c").await.unwrap();
    database.insert("c", documents, None).await.unwrap();
    database
}

#[tokio::test]
async fn each_document_of_an_insert_has_its_own_outcome() {
    let database = holding(vec![doc! { "_id": 1 }]).await;
    let several = || {
        vec![
            doc! { "_id": 2 },
            doc! { "_id": 1 },
            doc! { "_id": 3 },
            doc! { "_id": 2 },
        ]
    };
    let ordered = database.insert_each("c", several(), true, None).await.unwrap();
    assert_eq!(ordered.ids, [2.into()]);
    assert!(matches!(
        &ordered.refused[..],
        [(1, DatabaseError::Duplicate { .. })]
    ));
    database
        .remove("c", doc! { "_id": 2 }, false, None)
        .await
        .unwrap();
    let all = database.insert_each("c", several(), false, None).await.unwrap();
    assert_eq!(all.ids, [2.into(), 3.into()]);
    let places: Vec<usize> = all.refused.iter().map(|(at, _)| *at).collect();
    assert_eq!(places, [1, 3]);
    let missing = database.insert_each("no", several(), false, None).await;
    assert!(matches!(missing, Err(DatabaseError::CollectionMissing(_))));

    let transaction = database.begin().await.unwrap();
    let noted = database
        .insert_each(
            "c",
            vec![doc! { "_id": 3 }, doc! { "_id": 4 }],
            false,
            Some(transaction),
        )
        .await
        .unwrap();
    assert_eq!((noted.ids, noted.refused.len()), (vec![4.into()], 1));
    database.commit(transaction).await.unwrap();
    assert_eq!(database.count("c", doc! {}, None).await.unwrap(), 4);
}

#[tokio::test]
async fn pages_together_are_the_whole_in_the_order_of_ids() {
    let ids: [Bson; 7] = [
        Bson::Null,
        Bson::Int32(-1),
        Bson::Double(0.5),
        Bson::Int64(1 << 60),
        "a".into(),
        doc! { "a": 1 }.into(),
        true.into(),
    ];
    let documents = ids
        .iter()
        .rev()
        .map(|id| doc! { "_id": id.clone(), "n": 1, "m": 2 })
        .collect();
    let database = holding(documents).await;
    database
        .insert("c", vec![doc! { "_id": "b", "n": 2 }], None)
        .await
        .unwrap();
    for limit in 1..=8 {
        let (mut met, mut after) = (Vec::new(), None);
        loop {
            let page = database
                .page("c", doc! { "n": 1 }, Some(doc! { "m": 1 }), after.take(), limit)
                .await
                .unwrap();
            assert!(page.documents.len() <= limit);
            met.extend(
                page.documents
                    .iter()
                    .map(|raw| Document::try_from(raw.as_ref()).unwrap()),
            );
            match page.last {
                Some(last) => after = Some(last),
                None => break,
            }
        }
        let expected: Vec<Document> = ids.iter().map(|id| doc! { "_id": id.clone(), "m": 2 }).collect();
        assert_eq!(met, expected, "{limit}");
    }
    let large: Vec<Document> = (0..4)
        .map(|n| doc! { "_id": n + 10, "n": 3, "pad": "x".repeat(3 << 20) })
        .collect();
    database.insert("c", large, None).await.unwrap();
    let page = database
        .page("c", doc! { "n": 3 }, None, None, 100)
        .await
        .unwrap();
    assert_eq!(
        (page.documents.len(), page.last),
        (2, Some(11.into())),
        "a page has few bytes"
    );
}

#[tokio::test]
async fn a_document_is_removed_and_given_in_one_step() {
    let documents = (1..=3).map(|n| doc! { "_id": n, "n": -n }).collect();
    let database = holding(documents).await;
    let sort = Some(doc! { "n": 1 });
    let taken = database.take("c", doc! {}, sort.clone(), None).await.unwrap();
    assert_eq!(taken, Some(doc! { "_id": 3, "n": -3 }));
    assert_eq!(
        database.take("c", doc! { "_id": 3 }, None, None).await.unwrap(),
        None
    );
    let transaction = database.begin().await.unwrap();
    let taken = database
        .take("c", doc! {}, sort, Some(transaction))
        .await
        .unwrap();
    assert_eq!(taken, Some(doc! { "_id": 2, "n": -2 }));
    assert_eq!(database.count("c", doc! {}, None).await.unwrap(), 2);
    database.commit(transaction).await.unwrap();
    assert_eq!(database.count("c", doc! {}, None).await.unwrap(), 1);
}

#[tokio::test]
async fn an_update_gives_the_document_as_it_was_and_became() {
    let database = holding(vec![doc! { "_id": 1, "n": 1 }]).await;
    let update = |id: i32| Update {
        filter: doc! { "_id": id },
        kind: UpdateKind::Operators(doc! { "$inc": { "n": 1 } }),
        array_filters: Vec::new(),
        many: false,
        sort: None,
        upsert: Some(id.into()),
        returns: true,
    };
    let updated = database.update("c", update(1), None).await.unwrap();
    assert_eq!(updated.before, Some(doc! { "_id": 1, "n": 1 }));
    assert_eq!(updated.document, Some(doc! { "_id": 1, "n": 2 }));
    let added = database.update("c", update(2), None).await.unwrap();
    assert_eq!(
        (added.before, added.document),
        (None, Some(doc! { "_id": 2, "n": 1 }))
    );
}
