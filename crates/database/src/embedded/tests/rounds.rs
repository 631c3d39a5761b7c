//! Large writes, which are made a round at a time: others write between their rounds, and of each document it is as if it had been written at
//! one moment.

use proptest::prelude::*;

use super::*;

/// A database whose rounds have so many documents.
fn by_rounds_of(documents: usize) -> Embedded {
    let options = Options::default();
    let disk = file::in_memory(&options).unwrap();
    let round = RoundSize {
        documents,
        ..RoundSize::DEFAULT
    };
    Embedded::start_with(disk, options, Box::new(Instant::now), None, round).unwrap()
}

async fn numbered(rounds_of: usize, numbers: &[i32]) -> Embedded {
    let database = by_rounds_of(rounds_of);
    database.create_collection("c").await.unwrap();
    database
        .create_index("c", index("n", IndexKind::Ascending))
        .await
        .unwrap();
    let documents = numbers.iter().zip(0_i32..);
    let documents = documents.map(|(n, id)| doc! { "_id": id, "n": n });
    database.insert("c", documents.collect(), None).await.unwrap();
    database
}

fn change_all(filter: Document, operators: Document) -> Update {
    Update {
        many: true,
        ..change(filter, operators)
    }
}

async fn by_id(database: &Embedded) -> BTreeMap<i32, i32> {
    let found = documents(database, "c", None).await.unwrap();
    let number = |document: &Document, name| document.get_i32(name).unwrap();
    found
        .iter()
        .map(|document| (number(document, "_id"), number(document, "n")))
        .collect()
}

/// Until a write waits for a lock.
async fn one_waits(database: &Embedded) {
    let waits = async {
        while database.handle.shared.parked.load(Ordering::SeqCst) == 0 {
            database.write(Work::Probe, None).await.unwrap();
        }
    };
    in_time(waits).await;
}

/// What others do meanwhile.
#[derive(Clone, Copy, Debug)]
enum Step {
    Put(i32, i32),
    Remove(i32),
    /// In a transaction, which has the document locked for a while.
    PutInTransaction(i32, i32),
}

impl Step {
    const fn id(self) -> i32 {
        let (Self::Put(id, _) | Self::Remove(id) | Self::PutInTransaction(id, _)) = self;
        id
    }

    /// What stands there after it.
    const fn after(self) -> Option<i32> {
        match self {
            Self::Put(_, n) | Self::PutInTransaction(_, n) => Some(n),
            Self::Remove(_) => None,
        }
    }

    async fn take(self, database: &Embedded) {
        let put = |id: i32, n: i32| Update {
            upsert: Some(id.into()),
            ..change(doc! { "_id": id }, doc! { "$set": { "n": n } })
        };
        match self {
            Self::Put(id, n) => drop(database.update("c", put(id, n), None).await.unwrap()),
            Self::Remove(id) => drop(
                database
                    .remove("c", doc! { "_id": id }, false, None)
                    .await
                    .unwrap(),
            ),
            Self::PutInTransaction(id, n) => loop {
                let transaction = database.begin().await.unwrap();
                match database.update("c", put(id, n), Some(transaction)).await {
                    Ok(_) => {
                        database.health().await.unwrap();
                        break database.commit(transaction).await.unwrap();
                    }
                    Err(DatabaseError::TransactionConflict) => {}
                    Err(error) => panic!("{error}"),
                }
            },
        }
    }
}

const DOCUMENTS: i32 = 9;

fn step() -> impl Strategy<Value = Step> {
    let id = 0..DOCUMENTS;
    prop_oneof![
        3 => (id.clone(), 0..4_i32).prop_map(|(id, n)| Step::Put(id, n)),
        1 => id.clone().prop_map(Step::Remove),
        2 => (id, 0..4_i32).prop_map(|(id, n)| Step::PutInTransaction(id, n)),
    ]
}

/// What may come of one document that a large write is about, if others do this to it meanwhile: it was written between two of their
/// steps where it matched then, and left alone only if it did not match at some time.
fn outcomes(
    first: Option<i32>,
    steps: &[Option<i32>],
    least: i32,
    write: impl Fn(i32) -> Option<i32>,
) -> BTreeSet<Option<i32>> {
    let mut outcomes = BTreeSet::new();
    let last = steps.last().copied();
    for at in 0..=steps.len() {
        let stands = if at == 0 { first } else { steps[at - 1] };
        match stands.filter(|n| *n >= least) {
            // What was done behind it stands.
            Some(n) if at == steps.len() => drop(outcomes.insert(write(n))),
            Some(_) => drop(outcomes.insert(last.unwrap())),
            None => drop(outcomes.insert(last.unwrap_or(first))),
        }
    }
    outcomes
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn of_each_document_a_large_write_is_made_at_one_moment(
        rounds_of in 1..4_usize,
        numbers in proptest::collection::vec(0..4_i32, DOCUMENTS as usize),
        least in 0..3_i32,
        removes in any::<bool>(),
        steps in proptest::collection::vec(step(), 0..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let database = numbered(rounds_of, &numbers).await;
            let mut feed = database.changes(Some(0)).await.unwrap();
            let mut mirror = Mirror::default();
            let filter = doc! { "n": { "$gte": least } };
            let writing = {
                let (database, filter) = (database.clone(), filter.clone());
                tokio::spawn(async move {
                    if removes {
                        return database.remove("c", filter, true, None).await.unwrap().count;
                    }
                    let all = change_all(filter, doc! { "$inc": { "n": 100 } });
                    database.update("c", all, None).await.unwrap().matched
                })
            };
            for step in &steps {
                step.take(&database).await;
            }
            let count = writing.await.unwrap();
            let stands = by_id(&database).await;
            for (id, n) in (0..DOCUMENTS).zip(&numbers) {
                let own = steps.iter().filter(|step| step.id() == id);
                let own: Vec<_> = own.map(|step| step.after()).collect();
                let write = |n| (!removes).then_some(n + 100);
                let allowed = outcomes(Some(*n), &own, least, write);
                let came = stands.get(&id).copied();
                prop_assert!(allowed.contains(&came), "{id}: {came:?} of {allowed:?}");
            }
            let matching = numbers.iter().filter(|n| **n >= least).count() as u64;
            if steps.is_empty() {
                prop_assert_eq!(count, matching);
            }
            let seen = stands.values().filter(|n| **n >= 100).count() as u64;
            prop_assert!(seen <= count, "{seen} of {count}");
            verify(&database);
            mirror.hold(&mut feed, &database, "c").await;
            Ok(())
        })?;
    }
}

/// A large write that waits for a lock has done what it met before it, keeps nobody else waiting, and goes on.
#[tokio::test]
async fn a_large_write_waits_for_a_lock_where_it_has_come_to() {
    let database = numbered(2, &[1; 9]).await;
    let transaction = database.begin().await.unwrap();
    let lock = change(doc! { "_id": 4 }, doc! { "$inc": { "n": 10 } });
    database.update("c", lock, Some(transaction)).await.unwrap();
    let all = change_all(doc! { "n": { "$gte": 0 } }, doc! { "$inc": { "n": 1 } });
    let writing = {
        let database = database.clone();
        tokio::spawn(async move { database.update("c", all, None).await })
    };
    one_waits(&database).await;
    Step::Put(0, 7).take(&database).await;
    Step::Put(8, 7).take(&database).await;
    let stands = [7, 2, 2, 2, 1, 1, 1, 1, 7];
    assert!(by_id(&database).await.into_values().eq(stands));
    database.commit(transaction).await.unwrap();
    let updated = writing.await.unwrap().unwrap();
    assert_eq!((updated.matched, updated.modified), (9, 9));
    let stands = [7, 2, 2, 2, 12, 2, 2, 2, 8];
    assert!(by_id(&database).await.into_values().eq(stands));
    verify(&database);
}

/// However many large writes wait for a lock, others that need none of it go on: whoever holds the lock may be one of them.
#[tokio::test]
async fn large_writes_that_wait_for_a_lock_keep_no_place() {
    let database = numbered(2, &[1; 9]).await;
    database.create_collection("d").await.unwrap();
    let transaction = database.begin().await.unwrap();
    let lock = change(doc! { "_id": 4 }, doc! { "$inc": { "n": 10 } });
    database.update("c", lock, Some(transaction)).await.unwrap();
    let all = || change_all(doc! { "n": { "$gte": 0 } }, doc! { "$inc": { "n": 1 } });
    let waiting: Vec<_> = (0..LARGE + 1)
        .map(|_| {
            let (database, all) = (database.clone(), all());
            tokio::spawn(async move { database.update("c", all, None).await })
        })
        .collect();
    let all_wait = async {
        while database.handle.shared.parked.load(Ordering::SeqCst) <= LARGE {
            database.write(Work::Probe, None).await.unwrap();
        }
    };
    in_time(all_wait).await;
    let documents = (0..9_i32).map(|id| doc! { "_id": id, "n": 1 }).collect();
    in_time(database.insert("d", documents, None)).await.unwrap();
    let updated = in_time(database.update("d", all(), None)).await.unwrap();
    assert_eq!(updated.modified, 9);
    database.commit(transaction).await.unwrap();
    for write in waiting {
        assert_eq!(write.await.unwrap().unwrap().matched, 9);
    }
    let mut expected = vec![1 + LARGE as i32 + 1; 9];
    expected[4] += 10;
    assert!(by_id(&database).await.into_values().eq(expected));
    assert_eq!(database.handle.large.free(), LARGE);
    verify(&database);
}

/// Whoever gives up a write was told nothing, and would do half of it a second time.
#[tokio::test]
async fn a_large_write_that_nobody_waits_for_any_more_is_made_to_its_end() {
    let database = numbered(2, &[1; 9]).await;
    let transaction = database.begin().await.unwrap();
    let lock = change(doc! { "_id": 4 }, doc! { "$set": { "n": 10 } });
    database.update("c", lock, Some(transaction)).await.unwrap();
    let all = change_all(doc! { "n": { "$gte": 0 } }, doc! { "$inc": { "n": 1 } });
    let mut writing = database.update("c", all, None);
    while database.handle.shared.parked.load(Ordering::SeqCst) == 0 {
        assert!(queued(&mut writing).await.is_none());
        database.write(Work::Probe, None).await.unwrap();
    }
    drop(writing);
    database.commit(transaction).await.unwrap();
    let ends = async {
        while by_id(&database).await[&8] == 1 {
            tokio::task::yield_now().await;
        }
    };
    in_time(ends).await;
    let stands = [2, 2, 2, 2, 11, 2, 2, 2, 2];
    assert!(by_id(&database).await.into_values().eq(stands));
}

/// What one document refuses ends a large write, and those before it are written.
#[tokio::test]
async fn what_a_document_refuses_ends_a_large_write_there() {
    for rounds_of in [2, 100] {
        let database = numbered(rounds_of, &[1; 9]).await;
        let no_number = change(doc! { "_id": 5 }, doc! { "$set": { "m": "text" } });
        database.update("c", no_number, None).await.unwrap();
        let all = change_all(doc! { "n": 1 }, doc! { "$inc": { "m": 1, "n": 1 } });
        let refused = database.update("c", all, None).await;
        assert!(matches!(refused, Err(DatabaseError::Refused(_))), "{refused:?}");
        let stands = [2, 2, 2, 2, 2, 1, 1, 1, 1];
        assert!(by_id(&database).await.into_values().eq(stands), "{rounds_of}");
        verify(&database);
    }
}

/// A document comes to be of which the filter cannot say whether it matches, and one behind it does not match any more.
#[tokio::test]
async fn a_document_that_cannot_be_judged_ends_a_large_removal_there() {
    let database = numbered(3, &[1; 9]).await;
    let transaction = database.begin().await.unwrap();
    let lock = change(doc! { "_id": 1 }, doc! { "$inc": { "m": 1 } });
    database.update("c", lock, Some(transaction)).await.unwrap();
    let removing = {
        let database = database.clone();
        let filter = doc! { "$expr": { "$gt": [{ "$divide": [1, "$n"] }, 0] } };
        tokio::spawn(async move { database.remove("c", filter, true, None).await })
    };
    one_waits(&database).await;
    Step::Put(4, 0).take(&database).await;
    Step::Put(5, -1).take(&database).await;
    database.commit(transaction).await.unwrap();
    let refused = removing.await.unwrap();
    assert!(matches!(refused, Err(DatabaseError::Refused(_))), "{refused:?}");
    let stands = [(4, 0), (5, -1), (6, 1), (7, 1), (8, 1)];
    assert_eq!(by_id(&database).await, BTreeMap::from(stands));
    verify(&database);
}

/// The last of many would become too large: none is changed.
#[tokio::test]
async fn the_growth_of_all_documents_is_judged_before_any_is_changed() {
    for rounds_of in [2, 100] {
        let database = numbered(rounds_of, &[1; 9]).await;
        let large = change(doc! { "_id": 8 }, doc! { "$set": { "text": "x".repeat(900) } });
        database.update("c", large, None).await.unwrap();
        let grow = |by: usize| Update {
            largest: Some(1000),
            ..change_all(doc! { "n": 1 }, doc! { "$set": { "more": "x".repeat(by) } })
        };
        let before = documents(&database, "c", None).await.unwrap();
        let refused = database.update("c", grow(200), None).await;
        assert!(matches!(refused, Err(DatabaseError::Refused(_))), "{refused:?}");
        assert!(
            documents(&database, "c", None).await.unwrap() == before,
            "{rounds_of}"
        );
        assert_eq!(database.update("c", grow(20), None).await.unwrap().modified, 9);
    }
}

#[tokio::test]
async fn of_very_many_documents_it_is_told_which_were_not_added() {
    let of = |ids: &[i32]| {
        ids.iter()
            .map(|id| doc! { "_id": id, "n": 0 })
            .collect::<Vec<_>>()
    };
    let ids = [1, 2, 1, 3, 4, 5, 2, 6];
    for (ordered, added, refused) in [
        (true, vec![1, 2], vec![2]),
        (false, vec![1, 2, 3, 4, 5, 6], vec![2, 6]),
    ] {
        let database = numbered(2, &[]).await;
        let inserted = database.insert_each("c", of(&ids), ordered, None).await.unwrap();
        let added: Vec<Bson> = added.into_iter().map(Bson::Int32).collect();
        assert_eq!(inserted.ids, added);
        let places: Vec<_> = inserted.refused.iter().map(|(at, _)| *at).collect();
        assert_eq!(places, refused);
        assert_eq!(by_id(&database).await.len(), added.len());
        verify(&database);
    }
}

/// Others come in between, also where documents are few and large.
#[tokio::test]
async fn very_many_documents_are_added_while_others_write() {
    let database = by_rounds_of(1000);
    database.create_collection("c").await.unwrap();
    let transaction = database.begin().await.unwrap();
    let locked = vec![doc! { "_id": 3, "n": 0 }];
    database.insert("c", locked, Some(transaction)).await.unwrap();
    let large = (0..6_i32).map(|id| doc! { "_id": id, "n": 1, "text": "x".repeat(RoundSize::DEFAULT.bytes) });
    let large = large.collect();
    let adding = {
        let database = database.clone();
        tokio::spawn(async move { database.insert_each("c", large, false, None).await })
    };
    one_waits(&database).await;
    Step::Put(9, 5).take(&database).await;
    let stands = BTreeMap::from([(0, 1), (1, 1), (2, 1), (9, 5)]);
    assert_eq!(by_id(&database).await, stands);
    database.commit(transaction).await.unwrap();
    let inserted = adding.await.unwrap().unwrap();
    assert_eq!((inserted.ids.len(), inserted.refused[0].0), (5, 3));
    assert_eq!(by_id(&database).await.len(), 7);
}

#[tokio::test]
async fn few_large_documents_are_removed_while_others_write() {
    let database = by_rounds_of(1000);
    database.create_collection("c").await.unwrap();
    let large = |id: i32| doc! { "_id": id, "n": 1, "text": "x".repeat(RoundSize::DEFAULT.bytes) };
    database
        .insert("c", (0..3).map(large).collect(), None)
        .await
        .unwrap();
    let transaction = database.begin().await.unwrap();
    let lock = change(doc! { "_id": 1 }, doc! { "$set": { "n": 2 } });
    database.update("c", lock, Some(transaction)).await.unwrap();
    let removing = {
        let database = database.clone();
        tokio::spawn(async move { database.remove("c", doc! { "n": 1 }, true, None).await })
    };
    one_waits(&database).await;
    Step::Put(9, 5).take(&database).await;
    assert_eq!(by_id(&database).await, BTreeMap::from([(1, 1), (2, 1), (9, 5)]));
    database.commit(transaction).await.unwrap();
    assert_eq!(removing.await.unwrap().unwrap().count, 2);
    assert_eq!(by_id(&database).await, BTreeMap::from([(1, 2), (9, 5)]));
}

/// One that matched is gone when its turn comes, and then none matches.
#[tokio::test]
async fn a_large_write_adds_a_document_where_in_the_end_none_matched() {
    let database = numbered(1, &[1, 1]).await;
    let transaction = database.begin().await.unwrap();
    for id in 0..2 {
        let gone = database.remove("c", doc! { "_id": id }, false, Some(transaction));
        gone.await.unwrap();
    }
    let writing = {
        let database = database.clone();
        let all = Update {
            upsert: Some(7.into()),
            ..change_all(doc! { "n": { "$gte": 1 } }, doc! { "$set": { "n": 5 } })
        };
        tokio::spawn(async move { database.update("c", all, None).await })
    };
    one_waits(&database).await;
    database.commit(transaction).await.unwrap();
    let updated = writing.await.unwrap().unwrap();
    assert_eq!((updated.matched, updated.upserted), (0, Some(7.into())));
    assert_eq!(by_id(&database).await, BTreeMap::from([(7, 5)]));
}
