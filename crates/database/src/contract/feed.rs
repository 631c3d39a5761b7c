//! The feed of changes.

use std::time::Duration;

use super::*;
use crate::{Change, ChangeKind, Changes};

/// The next change. The time is a bound on a test that hangs, and on nothing else.
async fn next(changes: &mut Changes) -> Arc<Change> {
    tokio::time::timeout(Duration::from_secs(60), changes.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap()
}

/// See [`Database::changes`].
pub async fn changes_are_told_in_their_order_and_replayed(database: Engine) {
    holding(&database, vec![doc! { "_id": 0 }]).await;
    let mut live = database.changes(None).await.unwrap();
    let insert = |document: Document, transaction| database.insert("c", vec![document], transaction);
    insert(doc! { "_id": 1, "n": 1 }, None).await.unwrap();
    let inc = change(doc! { "_id": 1 }, doc! { "$inc": { "n": 1 } });
    database.update("c", inc, None).await.unwrap();
    let replacement = Update {
        kind: UpdateKind::Replacement(doc! { "m": 1 }),
        ..change(doc! { "_id": 0 }, doc! {})
    };
    database.update("c", replacement, None).await.unwrap();
    // Nothing is different afterwards.
    let idle = change(doc! { "_id": 0 }, doc! { "$set": { "m": 1 } });
    database.update("c", idle, None).await.unwrap();
    let transaction = database.begin().await.unwrap();
    insert(doc! { "_id": 2 }, Some(transaction)).await.unwrap();
    database
        .remove("c", doc! { "_id": 1 }, false, Some(transaction))
        .await
        .unwrap();
    database.commit(transaction).await.unwrap();
    let mut told = Vec::new();
    for _ in 0..5 {
        told.push(next(&mut live).await);
    }
    let kinds = |told: &[Arc<Change>]| -> Vec<(ChangeKind, Bson)> {
        told.iter()
            .map(|change| (change.kind, change.id.clone()))
            .collect()
    };
    let expected = [
        (ChangeKind::Insert, 1.into()),
        (ChangeKind::Update, 1.into()),
        (ChangeKind::Replace, 0.into()),
    ];
    assert_eq!(kinds(&told[..3]), expected);
    // Within a transaction's commit the order is the engine's own.
    let committed = kinds(&told[3..]);
    assert!(
        committed.contains(&(ChangeKind::Remove, 1.into())),
        "{committed:?}"
    );
    assert!(
        committed.contains(&(ChangeKind::Insert, 2.into())),
        "{committed:?}"
    );
    assert!(told.is_sorted_by(|one, next| one.sequence < next.sequence));
    assert!(told.iter().all(|change| &*change.collection == "c"));
    let document = |change: &Change| Document::try_from(change.document.as_deref().unwrap()).unwrap();
    assert_eq!(document(&told[0]), doc! { "_id": 1, "n": 1 });
    assert_eq!(document(&told[2]), doc! { "_id": 0, "m": 1 });
    let removed = told.iter().find(|change| change.kind == ChangeKind::Remove);
    assert!(removed.unwrap().document.is_none());

    let mut again = database.changes(Some(told[1].sequence)).await.unwrap();
    assert_eq!(next(&mut again).await, told[2]);
    let mut last = database.changes(Some(told[4].sequence)).await.unwrap();
    insert(doc! { "_id": 3 }, None).await.unwrap();
    assert_eq!(next(&mut last).await.id, 3.into());
    let third = next(&mut live).await;
    assert_eq!(third.id, 3.into());
    // What is read afterwards has it.
    let followed = Find {
        is_followed: true,
        ..all()
    };
    let found = database.find("c", followed, None).await.unwrap();
    assert_eq!(found.documents.len(), 3);
    assert!(found.sequence.is_none_or(|sequence| sequence == third.sequence));
    // One that was never told.
    let never = database.changes(Some(u64::MAX)).await;
    assert!(matches!(never, Err(DatabaseError::ChangesMissed(_))));
}

/// Once for the whole collection, not for each of its documents.
pub async fn a_collection_that_is_dropped_is_told(database: Engine) {
    holding(&database, vec![doc! { "_id": 0 }, doc! { "_id": 1 }]).await;
    let mut live = database.changes(None).await.unwrap();
    database.drop_collection("c").await.unwrap();
    database.create_collection("d").await.unwrap();
    database.insert("d", vec![doc! { "_id": 5 }], None).await.unwrap();
    let dropped = next(&mut live).await;
    assert_eq!(
        (dropped.kind, &*dropped.collection, dropped.id.clone()),
        (ChangeKind::Drop, "c", Bson::Null)
    );
    let added = next(&mut live).await;
    assert_eq!(
        (added.kind, &*added.collection, added.id.clone()),
        (ChangeKind::Insert, "d", 5.into())
    );
}

/// What never became final is nobody's business.
pub async fn what_was_aborted_is_not_told(database: Engine) {
    holding(&database, vec![doc! { "_id": 0 }]).await;
    let mut live = database.changes(None).await.unwrap();
    let transaction = database.begin().await.unwrap();
    database
        .insert("c", vec![doc! { "_id": 1 }], Some(transaction))
        .await
        .unwrap();
    database.abort(transaction).await.unwrap();
    let refused = database.insert("c", vec![doc! { "_id": 0 }], None).await;
    assert!(refused.is_err());
    database.insert("c", vec![doc! { "_id": 2 }], None).await.unwrap();
    assert_eq!(next(&mut live).await.id, 2.into());
}
