//! A write whose documents were looked for beforehand does what it would do if they were looked for where it is made.

use proptest::prelude::*;

use super::*;
use crate::ReturnedDocument;

/// What is written between the look and the write, or what was looked for.
#[derive(Clone, Debug)]
enum Step {
    Put(i32, i32),
    Remove(i32),
    /// Documents of another collection are nobody's concern here.
    Elsewhere(i32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..6_i32, 0..4_i32).prop_map(|(id, n)| Step::Put(id, n)),
        1 => (0..6_i32).prop_map(Step::Remove),
        1 => (0..6_i32).prop_map(Step::Elsewhere),
    ]
}

async fn take_step(database: &Embedded, step: &Step) {
    let put = |id: &i32, n: i32| Update {
        upsert: Some(Bson::Int32(*id)),
        ..change(doc! {"_id": *id}, doc! {"$set": {"n": n, "l": [9, n]}})
    };
    match step {
        Step::Put(id, n) => drop(database.update("c", put(id, *n), None).await.unwrap()),
        Step::Elsewhere(id) => drop(database.update("d", put(id, 0), None).await.unwrap()),
        Step::Remove(id) => drop(
            database
                .remove("c", doc! {"_id": *id}, false, None)
                .await
                .unwrap(),
        ),
    }
}

/// Writes that have one outcome, whatever order documents are come by in.
fn write() -> impl Strategy<Value = DocumentWrite> {
    let filter = prop_oneof![
        (0..4_i32).prop_map(|n| doc! {"n": {"$gte": n}}),
        (0..4_i32).prop_map(|n| doc! {"l": n}),
        (0..4_i32).prop_map(|n| doc! {"$or": [{"n": n}, {"_id": n}]}),
        Just(doc! {"n": {"$not": {"$regex": "a"}}, "l": {"$gt": 0}}),
    ];
    let sort = doc! {"n": 1, "_id": 1};
    (filter, 0..5, any::<bool>()).prop_map(move |(filter, kind, upserts)| {
        let update = |many: bool| Update {
            many,
            sort: (!many).then(|| sort.clone()),
            upsert: upserts.then_some(Bson::Int32(77)),
            returns: (!many).then_some(ReturnedDocument::After),
            ..change(filter.clone(), doc! {"$inc": {"n": 1}, "$set": {"by": 1}})
        };
        match kind {
            0 => DocumentWrite::Update(Box::new(update(true))),
            1 => DocumentWrite::Update(Box::new(update(false))),
            2 => {
                let place = if filter.contains_key("l") { "l.$" } else { "n" };
                let positional = change(filter.clone(), doc! {"$set": {place: 7}});
                DocumentWrite::Update(Box::new(Update {
                    many: true,
                    ..positional
                }))
            }
            3 => DocumentWrite::Remove {
                filter: filter.clone(),
                many: true,
            },
            _ => DocumentWrite::Take {
                filter: filter.clone(),
                sort: Some(sort.clone()),
            },
        }
    })
}

async fn filled(steps: &[Step]) -> Embedded {
    let database = Embedded::in_memory(Options::default()).unwrap();
    for name in ["c", "d"] {
        database.create_collection(name).await.unwrap();
    }
    for step in steps {
        take_step(&database, step).await;
    }
    database
}

fn look(database: &Embedded, write: &DocumentWrite) -> Option<write::Seen> {
    let shared = &database.handle.shared;
    let seen = shared.with(|file| write::look(shared, file, &Bounds::default(), "c", write));
    seen.unwrap()
}

async fn make(database: &Embedded, write: &Arc<DocumentWrite>, seen: Option<write::Seen>) -> WriteDone {
    let work = Work::Documents("c".to_owned(), Arc::clone(write), seen.map(Arc::new));
    database.write(work, None).await.unwrap()
}

/// What came of it, but for how many were looked at.
fn outcome(done: WriteDone) -> String {
    match done {
        WriteDone::Updated(updated) => format!(
            "{:?}",
            Updated {
                looked: None,
                ..*updated
            }
        ),
        WriteDone::Removed(tally) => format!("{}", tally.count),
        done => format!("{done:?}"),
    }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn what_was_seen_is_written_as_if_it_were_looked_for_then(
        before in proptest::collection::vec(step(), 0..8),
        between in proptest::collection::vec(step(), 0..4),
        write in write(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (first, second) = (filled(&before).await, filled(&before).await);
            let seen = look(&first, &write);
            for step in &between {
                take_step(&first, step).await;
                take_step(&second, step).await;
            }
            let write = Arc::new(write);
            let mut came = make(&first, &write, seen).await;
            if matches!(came, WriteDone::Stale) {
                // Nothing of it was done, and a new look tells.
                assert_eq!(documents(&first, "c", None).await.unwrap(), documents(&second, "c", None).await.unwrap());
                assert!(!between.is_empty());
                came = make(&first, &write, look(&first, &write)).await;
            }
            let expected = make(&second, &write, None).await;
            assert_eq!(outcome(came), outcome(expected));
            assert_eq!(documents(&first, "c", None).await.unwrap(), documents(&second, "c", None).await.unwrap());
            verify(&first);
        });
    }
}

/// What becomes of a document is computed with the search, and on the thread that writes only for one that has changed since.
#[tokio::test]
async fn what_was_computed_beforehand_is_not_computed_where_it_is_written() {
    let set = |text: &str| {
        let all = Update {
            many: true,
            ..change(doc! {"n": {"$gte": 0}}, doc! {"$set": {"by": text}})
        };
        Arc::new(DocumentWrite::Update(Box::new(all)))
    };
    let by = async |database: &Embedded| {
        let found = documents(database, "c", None).await.unwrap();
        let text = |document: &Document| document.get_str("by").unwrap().to_owned();
        found.iter().map(text).collect::<Vec<_>>()
    };
    let database = filled(&[Step::Put(0, 1), Step::Put(1, 1), Step::Put(2, 1)]).await;
    let seen = look(&database, &set("ahead"));
    take_step(&database, &Step::Put(1, 2)).await;
    // No caller has another update made than that which it looked for: it shows which of the two was computed.
    let done = make(&database, &set("there"), seen).await;
    assert!(matches!(done, WriteDone::Updated(updated) if updated.modified == 3));
    assert_eq!(by(&database).await, ["ahead", "there", "ahead"]);
    verify(&database);
}

/// Where more has changed than is looked at again on the thread that writes, nothing is done; and a collection of the same name is
/// another one.
#[tokio::test]
async fn what_was_seen_too_long_ago_is_looked_for_anew() {
    let database = filled(&[Step::Put(0, 1)]).await;
    let write = DocumentWrite::Remove {
        filter: doc! {"n": 1},
        many: true,
    };
    let seen = look(&database, &write);
    let more = (1..200_i32).map(|id| doc! {"_id": id, "n": 2}).collect();
    database.insert("c", more, None).await.unwrap();
    let write = Arc::new(write);
    assert!(matches!(make(&database, &write, seen).await, WriteDone::Stale));
    let seen = look(&database, &write);
    database.drop_collection("c").await.unwrap();
    database.create_collection("c").await.unwrap();
    assert!(matches!(make(&database, &write, seen).await, WriteDone::Stale));
    // As it is asked for, it is done all the same.
    take_step(&database, &Step::Put(0, 1)).await;
    assert_eq!(
        database
            .remove("c", doc! {"n": 1}, true, None)
            .await
            .unwrap()
            .count,
        1
    );
}

/// Places for reads are what a search waits for; whoever writes meanwhile does not wait for the search.
#[tokio::test]
async fn a_search_for_what_to_write_keeps_nobody_from_writing() {
    let database = filled(&[Step::Put(0, 1)]).await;
    let reads = &database.handle.reads;
    let mut held = Vec::new();
    for _ in 0..READS {
        held.push(reads.enter(None).await.unwrap());
    }
    let mut searching = database.update(
        "c",
        Update {
            many: true,
            ..change(doc! {"n": {"$gte": 1}}, doc! {"$inc": {"n": 1}})
        },
        None,
    );
    assert!(queued(&mut searching).await.is_none());
    for step in [Step::Put(1, 5), Step::Elsewhere(1), Step::Remove(0)] {
        take_step(&database, &step).await;
    }
    drop(held);
    assert_eq!(searching.await.unwrap().matched, 1);
    let came = documents(&database, "c", None).await.unwrap();
    assert_eq!(came, [doc! {"_id": 1, "n": 6, "l": [9, 5]}]);
}
