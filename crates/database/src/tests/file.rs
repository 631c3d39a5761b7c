use std::fs;

use tempfile::TempDir;

use super::*;
use crate::OpenError;

fn open(path: &std::path::Path) -> Result<Embedded, OpenError> {
    Embedded::open(path, Options::default())
}

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
        assert!(matches!(another, OpenError::Locked { .. }), "{another}");
    }
    // The writer's thread lets go of the file when it has seen that nobody asks any more.
    let database = loop {
        match open(&path) {
            Ok(database) => break database,
            Err(OpenError::Locked { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    let found = database.find("c", all(), None).await.unwrap();
    assert_eq!(
        documents(&found),
        [doc! { "_id": 1, "at": bson::DateTime::from_millis(5) }]
    );
}

#[test]
fn a_file_that_is_no_database_is_said_to_be_none_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("database.redb");
    fs::write(&path, "").unwrap();
    assert!(matches!(open(&path), Err(OpenError::Empty { .. })));
    for content in [b"not a database".to_vec(), vec![0; 1 << 20], vec![7; 5000]] {
        fs::write(&path, &content).unwrap();
        let error = open(&path).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("database.redb"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), content);
    }
    assert!(matches!(open(folder.path()), Err(OpenError::NotAFile { .. })));
}

#[tokio::test]
async fn a_file_that_was_cut_is_said_to_be_damaged() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("database.redb");
    {
        let database = open(&path).unwrap();
        database.create_collection("c").await.unwrap();
        let many = (0..5000)
            .map(|n| doc! { "_id": n, "text": "x".repeat(200) })
            .collect();
        database.insert("c", many, None).await.unwrap();
    }
    let content = fs::read(&path).unwrap();
    let cut = folder.path().join("cut.redb");
    for length in [content.len() / 2, 5000, 100] {
        fs::write(&cut, &content[..length]).unwrap();
        let error = open(&cut).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{length}: {error}");
    }
}
