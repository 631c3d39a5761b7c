use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::*;

#[tokio::test]
async fn what_was_answered_is_there_after_the_file_was_opened_anew() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("deep/database.redb");
    {
        let database = open(&path).unwrap();
        database.create_collection("c").await.unwrap();
        database
            .insert(
                "c",
                vec![doc! { "_id": 1, "at": bson::DateTime::from_millis(5) }],
                None,
            )
            .await
            .unwrap();
        let another = open(&path).unwrap_err();
        assert!(another.is_in_use(), "{another}");
    }
    let database = open_again(&path);
    assert_eq!(
        documents(&database, "c", None).await.unwrap(),
        [doc! { "_id": 1, "at": bson::DateTime::from_millis(5) }]
    );
}

#[tokio::test]
async fn a_file_is_closed_with_its_last_handle() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("database.redb");
    for count in 1..20 {
        // At once, as nobody has it any more.
        let database = open(&path).unwrap();
        if count == 1 {
            database.create_collection("c").await.unwrap();
        }
        database
            .insert("c", vec![doc! { "_id": count }], None)
            .await
            .unwrap();
        assert_eq!(
            documents(&database, "c", None).await.unwrap().len(),
            count as usize
        );
    }
}

/// A file and its journal as they would be left if the process were killed now.
fn left(path: &Path, name: &str) -> PathBuf {
    let left = path.with_file_name(name);
    fs::copy(path, &left).unwrap();
    let journal = path.with_extension("redb-journal");
    if journal.exists() {
        fs::copy(journal, left.with_extension("redb-journal")).unwrap();
    }
    left
}

#[tokio::test]
async fn a_file_is_not_repaired_after_a_crash_and_at_rest_it_needs_no_journal() {
    let folder = TempDir::new().unwrap();
    let count = async |path: &Path| {
        let (told, repaired) = std::sync::mpsc::channel();
        drop(
            redb::Builder::new()
                .set_repair_callback(move |_| told.send(()).unwrap())
                .open(path)
                .unwrap(),
        );
        assert!(repaired.try_recv().is_err(), "all of it was read");
        let database = open_again(path);
        verify(&database);
        let count = documents(&database, "c", None).await.unwrap().len();
        close(database, path);
        count
    };
    for rest_after in [None, Some(Duration::ZERO)] {
        let path = folder.path().join(format!("{}.redb", rest_after.is_some()));
        let options = Options::default();
        let disk = file::open(&path, &options).unwrap();
        let clock = Box::new(Instant::now);
        let database = Embedded::start_with(disk, options, clock, rest_after, RoundSize::DEFAULT).unwrap();
        database.create_collection("c").await.unwrap();
        for id in 0..3 {
            database
                .insert("c", vec![doc! { "_id": id }], None)
                .await
                .unwrap();
        }
        if rest_after.is_none() {
            assert!(database.handle.shared.disk.needs_journal());
        }
        // The writer puts it to rest when it has seen that nobody writes.
        wait_for("it is not put to rest", || {
            (rest_after.is_none() || !database.handle.shared.disk.needs_journal()).then_some(())
        });
        let left = left(&path, "left.redb");
        if rest_after.is_some() {
            let _ = fs::remove_file(left.with_extension("redb-journal"));
        }
        assert_eq!(count(&left).await, 3);
        // And goes on from there.
        database.insert("c", vec![doc! { "_id": 3 }], None).await.unwrap();
        assert_eq!(documents(&database, "c", None).await.unwrap().len(), 4);
        verify(&database);
    }
}

/// Everything that a commit can change comes back from the journal alone.
#[tokio::test]
async fn what_only_the_journal_has_is_done_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("database.redb");
    let options = Options::default();
    let disk = file::open(&path, &options).unwrap();
    let database =
        Embedded::start_with(disk, options, Box::new(Instant::now), None, RoundSize::DEFAULT).unwrap();
    // Before it the file names no journal.
    database.create_collection("first").await.unwrap();
    let alone = left(&path, "alone.redb");
    fill(&database).await;
    let transaction = database.begin().await.unwrap();
    let set = |id: i32| change(doc! { "_id": id }, doc! { "$set": { "tags": ["x", id], "n": 1 } });
    database.update("users", set(2), Some(transaction)).await.unwrap();
    database.commit(transaction).await.unwrap();
    assert!(database.drop_index("users", "phone_1").await.unwrap());
    assert!(database.drop_collection("first").await.unwrap());
    let left = left(&path, "left.redb");
    let lacking = open(&alone).unwrap();
    let names = lacking.collections().await.unwrap();
    assert_eq!(names.len(), 1, "the file has nothing of it");
    let again = open(&left).unwrap();
    verify(&again);
    let status = database.collections().await.unwrap();
    assert_eq!(again.collections().await.unwrap(), status);
    for CollectionStatus { name, .. } in status {
        assert_eq!(
            documents(&again, &name, None).await.unwrap(),
            documents(&database, &name, None).await.unwrap()
        );
    }
    // The numbers of changes go on, and those of collections and indexes are given to nobody else.
    let mut changes = [&database, &again].map(|database| Box::pin(database.changes(None)));
    let mut numbers = Vec::new();
    for (database, changes) in [&database, &again].into_iter().zip(&mut changes) {
        let mut changes = changes.await.unwrap();
        database.create_collection("next").await.unwrap();
        database
            .insert("next", vec![doc! { "_id": 1 }], None)
            .await
            .unwrap();
        numbers.push(in_time(changes.next()).await.unwrap().unwrap().sequence);
        verify(database);
    }
    assert_eq!(numbers[0], numbers[1]);
}

/// A repository may bring along a file and a journal in which anything stands.
#[test]
fn what_a_journal_has_for_a_table_that_it_does_not_fit_is_an_error() {
    const CATALOG: u8 = 0;
    const DOCUMENTS: u8 = 1;
    const COUNTS: u8 = 3;
    const META: u8 = 4;
    let folder = TempDir::new().unwrap();
    let mut bad = [(); 7].map(|()| datafile::Redo::default());
    bad[0].put(CATALOG, b"\xff", b"entry");
    bad[1].remove(CATALOG, b"\xff");
    bad[2].put(COUNTS, b"123", &[0; 8]);
    bad[3].put(COUNTS, b"1234", &[0; 7]);
    bad[4].put(META, b"\xc3", &[0; 8]);
    bad[5].clear(DOCUMENTS, b"b"..b"a");
    bad[6].put(9, b"", b"");
    for (number, redo) in bad.into_iter().enumerate() {
        let path = folder.path().join(format!("{number}.redb"));
        let file = datafile::DataFile::open(&path, &file::FORM, file::bring_up).unwrap();
        let write = |wrote| {
            let written: Result<(), datafile::Failure<()>> = file.write(|_| Ok(wrote));
            written.unwrap();
        };
        write(datafile::Wrote::Changed(()));
        write(datafile::Wrote::Journaled((), redo));
        let left = left(&path, &format!("{number}-left.redb"));
        let refused = open(&left).unwrap_err();
        let text = refused.report().to_string();
        assert!(
            text.contains("a change in the journal cannot be read"),
            "{number}: {text}"
        );
    }
}

/// A database with a few hundred documents, closed well; its file.
async fn small(folder: &TempDir, name: &str) -> PathBuf {
    let path = folder.path().join(name);
    let database = open(&path).unwrap();
    database.create_collection("c").await.unwrap();
    database.create_index("c", super::unique("u")).await.unwrap();
    for part in 0..5_i64 {
        let documents = (part * 60..part * 60 + 60)
            .map(|n| doc! { "_id": n, "u": n, "text": "x".repeat(100) })
            .collect();
        database.insert("c", documents, None).await.unwrap();
    }
    close(database, &path);
    path
}

/// Opens what is left of a database of 300 documents: they are all there, or it is said what is wrong and the file is as it was.
async fn whole_or_refused(path: &Path, what: &str) -> bool {
    let before = fs::read(path).unwrap();
    match open(path) {
        Ok(database) => {
            let stands = documents(&database, "c", None).await;
            let stands = stands.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(stands.len(), 300, "{what}");
            assert!(
                stands
                    .iter()
                    .all(|document| document.get_str("text").unwrap() == "x".repeat(100)),
                "{what}"
            );
            verify(&database);
            close(database, path);
            true
        }
        Err(error) => {
            let text = error.report().to_string();
            assert!(
                matches!(error, FileError::Damaged { .. } | FileError::Foreign { .. }),
                "{what}: {text}"
            );
            assert!(
                fs::read(path).unwrap() == before,
                "{what}: the file was changed: {text}"
            );
            false
        }
    }
}

#[tokio::test]
async fn a_file_that_is_cut_anywhere_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let content = fs::read(small(&folder, "database.redb").await).unwrap();
    let cut = folder.path().join("cut.redb");
    let all = content.len();
    let mut lengths: Vec<usize> = (0..48).map(|part| all * part / 48).collect();
    lengths.extend([
        1,
        8,
        9,
        10,
        63,
        64,
        127,
        128,
        319,
        320,
        4095,
        4096,
        4097,
        all - 4096,
        all - 1,
    ]);
    for length in lengths {
        fs::write(&cut, &content[..length]).unwrap();
        assert!(
            !whole_or_refused(&cut, &format!("{length} of {all} bytes")).await,
            "{length} of {all} bytes"
        );
    }
    // With zeros in place of what was cut, as some file systems leave after a power cut.
    for part in [1, 5, 9] {
        let mut zeros = content.clone();
        zeros[all * part / 10..].fill(0);
        fs::write(&cut, &zeros).unwrap();
        whole_or_refused(&cut, &format!("zeros from {part} tenths on")).await;
    }
}

#[tokio::test]
async fn a_byte_that_flipped_is_seen_or_does_not_matter() {
    let folder = TempDir::new().unwrap();
    let content = fs::read(small(&folder, "database.redb").await).unwrap();
    let flipped = folder.path().join("flipped.redb");
    let random = RandomState::new();
    // Where pages hold something; the header, too.
    let used: Vec<usize> = (0..content.len()).filter(|at| content[*at] != 0).collect();
    let mut refused = 0;
    for round in 0..160_usize {
        let at = match round {
            0..40 => round * 8,
            _ => used[random.hash_one(round) as usize % used.len()],
        };
        let mut changed = content.clone();
        changed[at] ^= 1 << (random.hash_one((round, at)) % 8);
        fs::write(&flipped, &changed).unwrap();
        refused += usize::from(!whole_or_refused(&flipped, &format!("byte {at} flipped")).await);
    }
    assert!(refused > 40, "{refused}");
}

/// As a copy of the file and its journal that was made while they were in use, or what a power cut leaves.
#[tokio::test]
async fn a_file_that_was_never_closed_is_repaired() {
    let folder = TempDir::new().unwrap();
    let path = small(&folder, "database.redb").await;
    let database = open_again(&path);
    for id in 300..303_i64 {
        database
            .insert("c", vec![doc! { "_id": id }], None)
            .await
            .unwrap();
    }
    let left = left(&path, "left.redb");
    drop(database);
    let database = open(&left).unwrap();
    assert_eq!(documents(&database, "c", None).await.unwrap().len(), 303);
    verify(&database);
}

#[test]
fn what_cannot_be_opened_says_why() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    let said = |path: &Path| open(path).unwrap_err().report().to_string();
    let other = said(&file);
    assert!(
        other.contains("file is not the database") && other.contains("as [database] path in yunqiao.toml"),
        "{other}"
    );
    // In a place where there is none.
    let below = said(&file.join("database.redb"));
    assert!(
        below.contains("Not a directory") && below.contains("database.redb"),
        "{below}"
    );
}

/// The layout of this version, as it was when it was fixed: a change of it has to bring such files along. Format 2 is the same with a journal.
#[tokio::test]
async fn a_file_of_format_1_is_read() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/embedded/tests/format-1.redb");
    if std::env::var_os("YUNQIAO_BLESS").is_some() {
        let _ = fs::remove_file(&golden);
        let database = open(&golden).unwrap();
        fill(&database).await;
        close(database, &golden);
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("database.redb");
    fs::copy(&golden, &path).unwrap();
    let database = open_again(&path);
    verify(&database);
    // What was not in it then is made as it is opened.
    let owned = database
        .count("users", doc! { "_openid": "o1" }, None)
        .await
        .unwrap();
    assert_eq!(owned.looked.unwrap().index.as_deref(), Some("_openid_1"));
    let fresh = Embedded::in_memory(Options::default()).unwrap();
    fill(&fresh).await;
    let status = database.collections().await.unwrap();
    assert_eq!(status, fresh.collections().await.unwrap());
    for collection in ["places", "users"] {
        assert_eq!(
            documents(&database, collection, None).await.unwrap(),
            documents(&fresh, collection, None).await.unwrap()
        );
    }
    // The numbers of changes go on.
    let mut changes = database.changes(None).await.unwrap();
    database
        .insert("users", vec![doc! { "_id": 9 }], None)
        .await
        .unwrap();
    assert_eq!(in_time(changes.next()).await.unwrap().unwrap().sequence, 10);
    let found = database
        .find(
            "users",
            Find {
                filter: doc! { "phone": "2" },
                is_followed: true,
                ..Find::default()
            },
            None,
        )
        .await
        .unwrap();
    assert_eq!(found.sequence, Some(10));
    assert_eq!(
        (found.documents.len(), found.looked.unwrap().index.as_deref()),
        (1, Some("phone_1"))
    );
}

/// Something of everything that the layout has.
async fn fill(database: &Embedded) {
    database.create_collection("users").await.unwrap();
    database.create_collection("gone").await.unwrap();
    database.create_collection("places").await.unwrap();
    database
        .create_index("users", super::unique("phone"))
        .await
        .unwrap();
    database
        .create_index("users", super::index("tags", IndexKind::Descending))
        .await
        .unwrap();
    database
        .create_index("places", super::index("at", IndexKind::Sphere))
        .await
        .unwrap();
    let users = vec![
        doc! { "_id": 1, "phone": "1", "tags": ["a", "b"], "n": 9_007_199_254_740_993_i64 },
        doc! { "_id": 2_i64, "phone": "2", "tags": [], "n": 0.5, "at": bson::DateTime::from_millis(5) },
        doc! { "_id": "three", "n": Bson::Null, "deep": { "b": [1, { "c": true }] } },
        doc! { "_id": bson::oid::ObjectId::from_bytes([7; 12]), "phone": "4" },
    ];
    database.insert("users", users, None).await.unwrap();
    let places = [[0.0, 0.0], [179.9, 89.0], [-120.5, -45.25]]
        .into_iter()
        .zip(1..)
        .map(|(at, id)| doc! { "_id": id, "at": { "type": "Point", "coordinates": [at[0], at[1]] } })
        .collect();
    database.insert("places", places, None).await.unwrap();
    database
        .remove("users", doc! { "phone": "1" }, false, None)
        .await
        .unwrap();
    database.drop_collection("gone").await.unwrap();
}

/// Two that find whose a document is would each cost something with every write.
#[tokio::test]
async fn a_collection_has_one_index_of_owners() {
    let database = Embedded::in_memory(Options::default()).unwrap();
    let entries = || {
        let count = database.handle.shared.with(|file| {
            let read = file.begin_read().map_err(DatabaseError::unavailable)?;
            Ok(read.open_table(file::INDEXES).unwrap().iter().unwrap().count())
        });
        count.unwrap()
    };
    let looked = async || {
        let owned = database.count("c", doc! { "_openid": "o1" }, None).await.unwrap();
        assert_eq!(owned.count, 1);
        owned.looked.unwrap().index
    };
    database.create_collection("c").await.unwrap();
    let documents = (0..10).map(|id| doc! { "_id": id, "_openid": format!("o{id}") });
    database.insert("c", documents.collect(), None).await.unwrap();
    assert_eq!(entries(), 10);
    let own = super::index("_openid", IndexKind::Descending);
    database.create_index("c", own.clone()).await.unwrap();
    assert_eq!(entries(), 10);
    assert_eq!(looked().await, Some(own.name.clone()));
    // One that does not do the same stays beside it.
    let both = IndexSpec {
        name: "both".to_owned(),
        fields: [own.fields.clone(), super::index("n", IndexKind::Ascending).fields].concat(),
        ..own.clone()
    };
    database.create_index("c", both).await.unwrap();
    assert_eq!(entries(), 20);
    assert!(database.drop_index("c", &own.name).await.unwrap());
    assert_eq!(entries(), 20);
    verify(&database);
    assert!(database.drop_index("c", "both").await.unwrap());
    assert_eq!(looked().await.as_deref(), Some("_openid_1"));
    let status = database.collections().await.unwrap();
    assert!(status[0].indexes.is_empty());
    // Refused, it changes nothing.
    database
        .insert("c", vec![doc! { "_id": 10, "_openid": "o1" }], None)
        .await
        .unwrap();
    database
        .create_index("c", super::unique("_openid"))
        .await
        .unwrap_err();
    assert_eq!(entries(), 11);
    verify(&database);
}

#[tokio::test]
async fn a_file_that_is_mostly_free_is_made_smaller_at_the_start() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("database.redb");
    let database = open(&path).unwrap();
    database.create_collection("c").await.unwrap();
    for part in 0..20_i64 {
        let documents = (part * 10..part * 10 + 10)
            .map(|n| doc! { "_id": n, "text": "x".repeat(100_000) })
            .collect();
        database.insert("c", documents, None).await.unwrap();
    }
    let before = fs::metadata(&path).unwrap().len();
    let most = doc! { "_id": { "$gte": 5_i64 } };
    assert_eq!(database.remove("c", most, true, None).await.unwrap().count, 195);
    close(database, &path);
    let database = open(&path).unwrap();
    let after = fs::metadata(&path).unwrap().len();
    assert!(after < before / 4, "{before} {after}");
    assert_eq!(documents(&database, "c", None).await.unwrap().len(), 5);
    verify(&database);
}
