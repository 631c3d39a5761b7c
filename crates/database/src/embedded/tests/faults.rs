use std::{sync::atomic::AtomicU64, time::Duration};

use datafile::{DataFile, FileSettings, testing::Faults};
use tempfile::TempDir;

use super::*;

/// A database on a disk that can fail.
fn on_failing(path: &Path, first_wait: Duration) -> (Embedded, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    // Little is kept in memory, so that reads need the disk too.
    let options = Options {
        cache: 64 << 10,
        ..Options::default()
    };
    let settings = FileSettings {
        cache: options.cache,
        ..faults.settings(&file::FORM, first_wait)
    };
    let file = DataFile::open_with(path, &file::FORM, &file::bring_up, &settings).unwrap();
    let clock = Box::new(Instant::now);
    let database = Embedded::start_with(Disk::new(file), options, clock, None, RoundSize::DEFAULT).unwrap();
    (database, faults)
}

fn large(id: i64) -> Document {
    doc! { "_id": id, "u": id, "text": "x".repeat(20_000) }
}

/// The thread that writes would look without a pause whether the disk works again.
#[tokio::test]
async fn a_disk_in_trouble_lets_the_thread_that_writes_sleep() {
    let folder = TempDir::new().unwrap();
    let (database, faults) = on_failing(&folder.path().join("database.redb"), Duration::from_secs(60));
    database.create_collection("c").await.unwrap();
    faults.fill(true);
    let mut id = 0;
    while database.insert("c", vec![large(id)], None).await.is_ok() {
        id += 1;
    }
    let shared = Arc::clone(&database.handle.shared);
    assert!(shared.disk.is_in_trouble());
    let (_writes, queue) = mpsc::channel();
    let mut writer = Writer::new(shared, queue, Some(Duration::from_secs(60)));
    writer.restless_since = Instant::now().checked_sub(Duration::from_secs(60));
    assert_eq!(writer.until_rest(), Some(Duration::ZERO));
    writer.rest();
    assert!(writer.until_rest() > Some(Duration::ZERO));
}

#[tokio::test]
async fn a_disk_that_is_full_and_freed_or_gone_and_back_loses_nothing_that_was_answered() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("database.redb");
    let (database, faults) = on_failing(&path, Duration::ZERO);
    let mut feed = database.changes(None).await.unwrap();
    let mut mirror = Mirror::default();
    database.create_collection("c").await.unwrap();
    database.create_index("c", super::unique("u")).await.unwrap();
    let mut next = 0_i64;
    let mut answered = 0;
    let mut insert = async || {
        next += 1;
        let result = database.insert("c", vec![large(next)], None).await;
        answered += usize::from(result.is_ok());
        (next, result)
    };
    insert().await.1.unwrap();
    for round in 0..4 {
        // A transaction has locked a document, and a write waits for it.
        let transaction = database.begin().await.unwrap();
        let note = |text: &str| change(doc! { "_id": 1 }, doc! { "$set": { "note": text } });
        database
            .update("c", note("lost"), Some(transaction))
            .await
            .unwrap();
        let mut waiting = database.update("c", note("after"), None);
        assert!(queued(&mut waiting).await.is_none());

        faults.fill(true);
        for _ in 0..3 {
            let error = loop {
                if let (_, Err(error)) = insert().await {
                    break error.to_string();
                }
            };
            assert!(
                error.contains("database.redb failed")
                    && error.contains("no storage space")
                    && error.contains("tried again by itself"),
                "{error}"
            );
            // Who reads is served, and another process does not come between.
            assert!(!documents(&database, "c", None).await.unwrap().is_empty());
            assert!(open(&path).unwrap_err().is_in_use());
        }
        faults.take_away(true);
        let (gone, error) = insert().await;
        assert!(error.unwrap_err().to_string().contains("the disk is gone"));
        documents(&database, "c", None).await.unwrap_err();
        let unhealthy = database.health().await.unwrap_err();
        assert!(unhealthy.to_string().contains("the disk is gone"), "{unhealthy}");
        faults.take_away(false);
        faults.fill(false);

        // By itself: whoever asks next.
        if round % 2 == 0 {
            database.health().await.unwrap();
        } else {
            insert().await.1.unwrap();
        }
        database.health().await.unwrap();
        // The transaction ended with the file that its snapshot was of, and with it its lock.
        for result in [
            documents(&database, "c", Some(transaction)).await.map(drop),
            database.commit(transaction).await,
        ] {
            assert!(matches!(result, Err(DatabaseError::TransactionMissing)));
        }
        // What waited was refused with the rest, or done since.
        let waited = waiting.await;
        let first = &documents(&database, "c", None).await.unwrap()[0];
        if waited.is_ok() {
            assert_eq!(first.get_str("note").unwrap(), "after");
        }
        assert_ne!(first.get("note"), Some(&Bson::from("lost")));
        let count = database
            .count("c", doc! { "_id": gone }, None)
            .await
            .unwrap()
            .count;
        assert_eq!(count, 0, "what was refused as the disk was gone is not there");
        verify(&database);
        mirror.hold(&mut feed, &database, "c").await;
    }
    let stands = documents(&database, "c", None).await.unwrap().len();
    assert!(stands >= answered, "{stands} of {answered}");
    drop(database);
    let database = open_again(&path);
    assert_eq!(documents(&database, "c", None).await.unwrap().len(), stands);
    verify(&database);
}

/// The disk goes away at each step of a commit in turn: what was answered is there, what was not is there whole or not at all, and
/// the feed of changes tells what became of it.
#[tokio::test]
async fn a_disk_that_goes_away_at_any_step_of_a_commit() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("database.redb");
    let (database, faults) = on_failing(&path, Duration::ZERO);
    let mut feed = database.changes(None).await.unwrap();
    let mut mirror = Mirror::default();
    database.create_collection("c").await.unwrap();
    database.create_index("c", super::unique("u")).await.unwrap();
    database
        .create_index("c", super::index("n", IndexKind::Descending))
        .await
        .unwrap();
    let mut known = BTreeMap::new();
    let (mut refused, mut done_all_the_same) = (0, 0);
    for step in 1..120_i64 {
        faults.take_away_after(step as u64 % 4 + 1);
        let id = step % 7;
        let upsert = Update {
            upsert: Some(Bson::Int64(id)),
            ..change(
                doc! { "_id": id },
                doc! { "$set": { "u": step, "n": step, "text": "y".repeat(3000) } },
            )
        };
        let result = database.update("c", upsert, None).await;
        faults.take_away(false);
        database.health().await.unwrap();
        let stands = documents(&database, "c", None).await.unwrap();
        let n = stands
            .iter()
            .find(|document| document.get("_id") == Some(&Bson::Int64(id)))
            .map(|document| document.get_i64("n").unwrap());
        match result {
            Ok(_) => assert_eq!(n, Some(step)),
            Err(error) => {
                assert!(error.to_string().contains("the disk is gone"), "{error}");
                refused += 1;
                done_all_the_same += usize::from(n == Some(step));
                assert!(n == Some(step) || n == known.get(&id).copied(), "{n:?}");
            }
        }
        if let Some(n) = n {
            known.insert(id, n);
        }
        verify(&database);
        mirror.hold(&mut feed, &database, "c").await;
    }
    assert!(
        refused > 20,
        "{refused} refused, {done_all_the_same} of them done"
    );
}

/// Many at once while the disk comes and goes: each that was answered is there, and each that was refused may be tried again.
#[tokio::test]
async fn a_disk_that_comes_and_goes_under_load_loses_nothing() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("database.redb");
    let (database, faults) = on_failing(&path, Duration::from_millis(1));
    database.create_collection("c").await.unwrap();
    database.create_index("c", super::unique("u")).await.unwrap();
    let [refused, done] = [0, 0].map(|count| Arc::new(AtomicU64::new(count)));
    let writers: Vec<_> = (0..6_i64)
        .map(|writer| {
            let database = database.clone();
            let (refused, done) = (Arc::clone(&refused), Arc::clone(&done));
            tokio::spawn(async move {
                for number in 0..15 {
                    let id = writer * 100 + number;
                    loop {
                        match database.insert("c", vec![large(id)], None).await {
                            // It was done, though it was not answered.
                            Ok(_) | Err(DatabaseError::Duplicate { .. }) => {
                                done.fetch_add(1, Ordering::SeqCst);
                                break;
                            }
                            Err(_) => refused.fetch_add(1, Ordering::SeqCst),
                        };
                        documents(&database, "c", None).await.ok();
                    }
                }
            })
        })
        .collect::<Vec<_>>();
    let finished = || writers.iter().all(tokio::task::JoinHandle::is_finished);
    // Gone until somebody was refused, and back until somebody was served.
    while !finished() {
        for (gone, count) in [(true, &refused), (false, &done)] {
            let before = count.load(Ordering::SeqCst);
            faults.take_away(gone);
            while count.load(Ordering::SeqCst) == before && !finished() {
                tokio::task::yield_now().await;
            }
        }
    }
    faults.take_away(false);
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(refused.load(Ordering::SeqCst) > 0);
    while database.health().await.is_err() {
        tokio::task::yield_now().await;
    }
    let expected = |database: Embedded| async move {
        assert_eq!(documents(&database, "c", None).await.unwrap().len(), 90);
        verify(&database);
    };
    expected(database.clone()).await;
    drop(database);
    expected(open_again(&path)).await;
}

/// While the disk fails, only some of those who write try it.
#[tokio::test]
async fn a_disk_that_fails_is_not_hammered() {
    let folder = TempDir::new().unwrap();
    let (database, faults) = on_failing(&folder.path().join("database.redb"), Duration::from_secs(3600));
    database.create_collection("c").await.unwrap();
    faults.take_away(true);
    database.insert("c", vec![large(1)], None).await.unwrap_err();
    let asked = faults.asked();
    // It is not yet time.
    for _ in 0..100 {
        database.insert("c", vec![large(1)], None).await.unwrap_err();
        documents(&database, "c", None).await.unwrap_err();
        database.health().await.unwrap_err();
    }
    assert_eq!(faults.asked(), asked);
}
