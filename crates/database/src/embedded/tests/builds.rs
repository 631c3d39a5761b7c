//! Indexes that are made a round at a time while others write: in the end they have what they would have if they had been made at once, or
//! there is nothing of them.

use docdb::error::code;
use proptest::prelude::*;

use super::*;

/// A collection in which an index takes several rounds.
async fn filled(path: Option<&Path>, documents: Vec<Document>) -> Embedded {
    let options = Options::default();
    let disk = match path {
        Some(path) => file::open(path, &options),
        None => file::in_memory(&options),
    };
    let round = RoundSize {
        documents: 2,
        ..RoundSize::DEFAULT
    };
    let clock = Box::new(Instant::now);
    let database = Embedded::start_with(disk.unwrap(), options, clock, None, round).unwrap();
    database.create_collection("c").await.unwrap();
    database.insert("c", documents, None).await.unwrap();
    database
}

#[derive(Clone, Debug)]
enum Step {
    /// Some of these stand against a unique index over `u`, and some against one of places.
    Put(i32, Bson),
    PutInTransaction(i32, Bson),
    Remove(i32),
}

fn value() -> impl Strategy<Value = Bson> {
    prop_oneof![
        4 => (0..9_i32).prop_map(Bson::Int32),
        1 => Just(Bson::from(vec![20, 21])),
        1 => Just(Bson::from(doc! { "type": "Point", "coordinates": [1, 2] })),
        1 => Just(Bson::Null),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let id = 0..8_i32;
    prop_oneof![
        3 => (id.clone(), value()).prop_map(|(id, u)| Step::Put(id, u)),
        1 => (id.clone(), value()).prop_map(|(id, u)| Step::PutInTransaction(id, u)),
        1 => id.prop_map(Step::Remove),
    ]
}

impl Step {
    /// Takes it; answers whether it was refused for an index.
    async fn take(&self, database: &Embedded) -> bool {
        let put = |id: &i32, u: &Bson| Update {
            upsert: Some((*id).into()),
            ..change(
                doc! { "_id": id },
                doc! { "$set": { "u": u.clone(), "tags": [id, 1] } },
            )
        };
        let done = match self {
            Self::Put(id, u) => database.update("c", put(id, u), None).await.map(drop),
            Self::Remove(id) => {
                let removed = database.remove("c", doc! { "_id": id }, false, None).await;
                removed.map(drop)
            }
            Self::PutInTransaction(id, u) => {
                let transaction = database.begin().await.unwrap();
                match database.update("c", put(id, u), Some(transaction)).await {
                    Ok(_) => database.commit(transaction).await,
                    Err(error) => {
                        database.abort(transaction).await.unwrap();
                        Err(error)
                    }
                }
            }
        };
        match done {
            Ok(()) => false,
            Err(DatabaseError::Duplicate { .. } | DatabaseError::Refused(_)) => true,
            Err(error) => panic!("{error}"),
        }
    }
}

fn specs() -> impl Strategy<Value = IndexSpec> {
    prop_oneof![
        Just(index("u", IndexKind::Ascending)),
        Just(unique("u")),
        Just(index("u", IndexKind::Sphere)),
        Just(index("tags", IndexKind::Descending)),
        Just(index("_openid", IndexKind::Ascending)),
    ]
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn an_index_is_made_whole_or_not_at_all_while_others_write(
        before in proptest::collection::vec(step(), 3..12),
        during in proptest::collection::vec(step(), 0..12),
        spec in specs(),
        drops in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let database = filled(None, Vec::new()).await;
            for step in &before {
                step.take(&database).await;
            }
            // What the documents alone say, before and after.
            let admitted = async || database.try_index("c", spec.clone()).await.is_ok();
            let mut always_admitted = admitted().await;
            let making = {
                let (database, spec) = (database.clone(), spec.clone());
                tokio::spawn(async move { database.create_index("c", spec).await })
            };
            let mut refused = false;
            for step in &during {
                refused |= step.take(&database).await;
                always_admitted &= admitted().await;
            }
            let made = making.await.unwrap();
            let shown = database.collections().await.unwrap().remove(0).indexes;
            match made {
                Ok(()) => {
                    prop_assert_eq!(shown, std::slice::from_ref(&spec));
                    prop_assert!(admitted().await);
                }
                Err(DatabaseError::Duplicate { .. } | DatabaseError::Refused(_)) => {
                    prop_assert!(shown.is_empty());
                    prop_assert!(!always_admitted, "nothing stood against it");
                    prop_assert!(!refused, "a write was refused for an index that there is not");
                }
                Err(error) => panic!("{error}"),
            }
            verify(&database);
            if drops {
                let is_there = !database.collections().await.unwrap()[0].indexes.is_empty();
                prop_assert_eq!(database.drop_index("c", &spec.name).await.unwrap(), is_there);
                prop_assert!(database.collections().await.unwrap()[0].indexes.is_empty());
                verify(&database);
            }
            Ok(())
        })?;
    }
}

/// Begins an index that takes several rounds.
async fn begin(database: &Embedded, spec: IndexSpec) -> u32 {
    let begun = database
        .write(Work::CreateIndex("c".to_owned(), spec), None)
        .await;
    match begun {
        Ok(WriteDone::Building(id)) => id,
        other => panic!("{other:?}"),
    }
}

/// Makes one round of it; with where the next begins.
async fn build(database: &Embedded, id: u32, from: Option<Vec<u8>>) -> Option<Vec<u8>> {
    match database
        .write(Work::BuildIndex("c".to_owned(), id, from), None)
        .await
    {
        Ok(WriteDone::Reached(next)) => next,
        other => panic!("{other:?}"),
    }
}

async fn finish(database: &Embedded, id: u32) -> Result<WriteDone> {
    database.write(Work::FinishIndex("c".to_owned(), id), None).await
}

async fn give_up(database: &Embedded, id: u32) {
    let work = Work::GiveUpIndex("c".to_owned(), id);
    database.write(work, None).await.unwrap();
    database.handle.shared.builds.forget(id);
    database.sweep("c").await;
}

async fn set(database: &Embedded, id: i32, fields: Document) {
    let set = change(doc! { "_id": id }, doc! { "$set": fields });
    database.update("c", set, None).await.unwrap();
}

/// A value that two documents had for a while is no reason against an index; one that they have in the end is.
#[tokio::test]
async fn what_was_written_against_an_index_in_the_making_is_judged_at_its_end() {
    let numbered = (0..6_i32).map(|n| doc! { "_id": n, "u": n });
    let database = filled(None, numbered.collect()).await;
    for is_made in [false, true] {
        let id = begin(&database, unique("u")).await;
        let next = build(&database, id, None).await;
        // One that it has passed, and one that it has not come to: neither is refused for it.
        set(&database, 0, doc! { "u": 1 }).await;
        set(&database, 5, doc! { "u": 4 }).await;
        set(&database, 5, doc! { "u": 5 }).await;
        if is_made {
            set(&database, 0, doc! { "u": 0 }).await;
        }
        let next = build(&database, id, next).await;
        assert_eq!(build(&database, id, next).await, None);
        match (is_made, finish(&database, id).await) {
            (true, done) => assert!(matches!(done, Ok(WriteDone::Done)), "{done:?}"),
            (false, done) => {
                let text = done.unwrap_err().to_string();
                assert!(text.contains("index: u_1 dup key: { u: 1 }"), "{text}");
                give_up(&database, id).await;
                set(&database, 0, doc! { "u": 0 }).await;
            }
        }
        let shown = &database.collections().await.unwrap()[0].indexes;
        assert_eq!(shown.is_empty(), !is_made);
        verify(&database);
    }
    // From here on it refuses.
    let twice = change(doc! { "_id": 0 }, doc! { "$set": { "u": 1 } });
    let refused = database.update("c", twice, None).await;
    assert!(matches!(refused, Err(DatabaseError::Duplicate { .. })));
}

/// Two arrays beside each other are nothing that an index over both takes. It may be so for a while.
#[tokio::test]
async fn a_document_that_an_index_in_the_making_does_not_take_is_judged_at_its_end() {
    let numbered = (0..6_i32).map(|n| doc! { "_id": n, "a": 1, "b": n });
    let database = filled(None, numbered.collect()).await;
    let spec = IndexSpec::of_fields(&["a", "b"], false).unwrap();
    for is_made in [false, true] {
        let id = begin(&database, spec.clone()).await;
        let next = build(&database, id, None).await;
        set(&database, 0, doc! { "a": [1, 2], "b": [3, 4] }).await;
        if is_made {
            // Of what it has an entry for now, it would have had one then.
            set(&database, 0, doc! { "a": 1, "b": 3 }).await;
        }
        let next = build(&database, id, next).await;
        assert_eq!(build(&database, id, next).await, None);
        match (is_made, finish(&database, id).await) {
            (true, done) => assert!(matches!(done, Ok(WriteDone::Done)), "{done:?}"),
            (false, done) => {
                assert!(matches!(done, Err(DatabaseError::Refused(_))), "{done:?}");
                give_up(&database, id).await;
                set(&database, 0, doc! { "a": 1, "b": 0 }).await;
            }
        }
        verify(&database);
    }
}

/// Of an index that a process began and did not end, nothing is left when the file is opened.
#[tokio::test]
async fn of_an_index_that_was_not_whole_a_later_process_finds_nothing() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("database.redb");
    let numbered = (0..6_i32).map(|n| doc! { "_id": n, "u": n });
    let database = filled(Some(&path), numbered.collect()).await;
    database
        .create_index("c", index("u", IndexKind::Descending))
        .await
        .unwrap();
    let id = begin(&database, unique("u")).await;
    assert!(build(&database, id, None).await.is_some());
    // And of one that was being removed.
    let dropped = Work::DropIndex("c".to_owned(), "u_-1".to_owned());
    assert!(matches!(
        database.write(dropped, None).await,
        Ok(WriteDone::Was(true))
    ));
    close(database, &path);
    let database = open_again(&path);
    assert!(database.collections().await.unwrap()[0].indexes.is_empty());
    verify(&database);
    database.create_index("c", unique("u")).await.unwrap();
    verify(&database);
}

/// Programs may make names by the thousand.
#[tokio::test]
async fn a_collection_that_is_dropped_is_not_remembered() {
    let database = Embedded::in_memory(Options::default()).unwrap();
    for n in 0..3 {
        let name = format!("c{n}");
        database.create_collection(&name).await.unwrap();
        database
            .insert(&name, vec![doc! { "_id": 1 }], None)
            .await
            .unwrap();
        assert!(database.drop_collection(&name).await.unwrap());
    }
    assert!(database.handle.shared.catalog.entries().is_empty());
}

/// A collection that goes takes its index in the making with it.
#[tokio::test]
async fn a_collection_that_is_dropped_leaves_nothing_of_an_index_in_the_making() {
    let numbered = (0..6_i32).map(|n| doc! { "_id": n, "u": n });
    let database = filled(None, numbered.collect()).await;
    let id = begin(&database, unique("u")).await;
    let next = build(&database, id, None).await;
    database.drop_collection("c").await.unwrap();
    verify(&database);
    database.create_collection("c").await.unwrap();
    let gone = database
        .write(Work::BuildIndex("c".to_owned(), id, next), None)
        .await;
    assert!(
        matches!(&gone, Err(DatabaseError::Refused(error)) if error.code == code::INDEX_BUILD_ABORTED),
        "{gone:?}"
    );
    verify(&database);
}

/// What is suspected of an index in the making has a bound: it is judged before the end where it is much.
#[tokio::test]
async fn many_suspects_are_judged_before_the_end() {
    for stand in [false, true] {
        let numbered = (0..30_i32).map(|n| doc! { "_id": n, "u": n });
        let database = filled(None, numbered.collect()).await;
        let id = begin(&database, unique("u")).await;
        let builds = &database.handle.shared.builds;
        let mut next = None;
        for _ in 0..10 {
            next = build(&database, id, next).await;
        }
        let put = |n: i32, u: i32| change(doc! { "_id": n }, doc! { "$set": { "u": u } });
        for n in 0..10_i32 {
            database.update("c", put(n, n + 10), None).await.unwrap();
        }
        assert_eq!(builds.count_suspects(id), 10);
        if !stand {
            for n in 0..10_i32 {
                database.update("c", put(n, n), None).await.unwrap();
            }
        }
        let work = Work::BuildIndex("c".to_owned(), id, next);
        let built = database.write(work, None).await;
        assert_eq!(builds.count_suspects(id), 0);
        match built {
            Ok(WriteDone::Reached(_)) => assert!(!stand),
            Err(DatabaseError::Duplicate { .. }) => assert!(stand),
            other => panic!("{other:?}"),
        }
    }
}

/// An index that nobody makes any more has nobody note what stands against it.
#[tokio::test]
async fn what_stands_against_an_index_is_noted_only_while_it_is_made() {
    let numbered = (0..6_i32).map(|n| doc! { "_id": n, "u": n });
    let database = filled(None, numbered.collect()).await;
    let id = begin(&database, unique("u")).await;
    build(&database, id, None).await;
    let builds = &database.handle.shared.builds;
    builds.forget(id);
    let same = change(doc! { "_id": 5 }, doc! { "$set": { "u": 0 } });
    database.update("c", same, None).await.unwrap();
    assert_eq!(builds.count_suspects(id), 0);
}

/// Two that make the same index do it once, and one that is dropped is made before.
#[tokio::test]
async fn indexes_of_a_collection_are_made_one_after_the_other() {
    let numbered = (0..9_i32).map(|n| doc! { "_id": n, "u": n });
    let database = filled(None, numbered.collect()).await;
    let make = || database.create_index("c", unique("u"));
    let (first, second, third) = (make(), make(), database.drop_index("c", "u_1"));
    let (first, second, third) = tokio::join!(first, second, third);
    first.unwrap();
    second.unwrap();
    assert!(third.unwrap());
    assert!(database.collections().await.unwrap()[0].indexes.is_empty());
    verify(&database);
}
