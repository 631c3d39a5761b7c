//! What the engine keeps that no operation shows by itself: isolation against a model, a disk that fails, a process that is killed,
//! files that are no database.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod builds;
mod crash;
mod faults;
mod isolation;
#[cfg(target_os = "linux")]
mod memory;
mod opening;
mod queries;
mod rounds;
mod seen;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    task::Poll,
};

use bson::{Bson, Document, doc};

use super::*;
use crate::{IndexField, IndexKind, UpdateKind};

fn open(path: &Path) -> Result<Embedded, FileError> {
    Embedded::open(path, Options::default())
}

/// How long a test waits for what has to come: longer than that it would wait for ever.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits for what has to come.
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(came) = look() {
            return came;
        }
        assert!(began.elapsed() < PATIENCE, "{what}");
        thread::yield_now();
    }
}

/// The same of a future.
async fn in_time<T>(future: impl Future<Output = T>) -> T {
    let came = tokio::time::timeout(PATIENCE, future).await;
    came.expect("it comes to an end")
}

/// So many cases of a property; one that fails is not made smaller for ever.
fn cases(cases: u32) -> proptest::test_runner::Config {
    proptest::test_runner::Config {
        max_shrink_time: 60_000,
        ..proptest::test_runner::Config::with_cases(cases)
    }
}

/// Opens it once whoever had it before has let go: the writer's thread does when it has seen that nobody asks any more.
fn open_again(path: &Path) -> Embedded {
    wait_for("somebody has the file open", || match open(path) {
        Err(error) if error.is_in_use() => None,
        opened => Some(opened.unwrap()),
    })
}

/// Closes it, and waits until the file is let go of.
fn close(database: Embedded, path: &Path) {
    drop(database);
    let file = std::fs::File::open(path).unwrap();
    wait_for("it is not let go of", || file.try_lock().ok());
}

fn index(path: &str, kind: IndexKind) -> IndexSpec {
    let fields = vec![IndexField {
        path: path.to_owned(),
        kind,
    }];
    IndexSpec {
        name: IndexSpec::named_by_fields(&fields),
        fields,
        unique: false,
        sparse: false,
    }
}

fn unique(path: &str) -> IndexSpec {
    IndexSpec {
        unique: true,
        sparse: true,
        ..index(path, IndexKind::Ascending)
    }
}

fn change(filter: Document, operators: Document) -> Update {
    Update {
        filter,
        kind: UpdateKind::Operators(operators),
        array_filters: Vec::new(),
        many: false,
        sort: None,
        upsert: None,
        largest: None,
        returns: None,
    }
}

async fn documents(
    database: &Embedded,
    name: &str,
    transaction: Option<TransactionId>,
) -> Result<Vec<Document>> {
    let find = Find {
        sort: Some(doc! { "_id": 1 }),
        ..Find::default()
    };
    let found = database.find(name, find, transaction).await?;
    Ok(found
        .documents
        .iter()
        .map(|raw| Document::try_from(raw.as_ref()).unwrap())
        .collect())
}

/// Sees to it that an operation is in the writer's queue, or done, before the next one begins.
async fn queued<F: Future + Unpin>(operation: &mut F) -> Option<F::Output> {
    std::future::poll_fn(
        |context| match std::pin::Pin::new(&mut *operation).poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => Poll::Ready(None),
        },
    )
    .await
}

/// Holds every index against the documents, and the counts: an entry for each value of each document, and none else.
fn verify(database: &Embedded) {
    let checked = database.handle.shared.with(|file| {
        let read = file.begin_read().map_err(DatabaseError::unavailable)?;
        let catalog = read.open_table(CATALOG).unwrap();
        let documents = read.open_table(file::DOCUMENTS).unwrap();
        let indexes = read.open_table(file::INDEXES).unwrap();
        let counts = read.open_table(COUNTS).unwrap();
        let mut expected = BTreeMap::new();
        let mut known = BTreeSet::new();
        let mut total = 0;
        for entry in catalog.iter().unwrap() {
            let name = entry.unwrap().0.value().to_owned();
            let collection = CatalogCache::default().read(&catalog, &name)?.unwrap();
            known.insert(collection.id);
            let mut count = 0;
            for entry in batch::range(&documents, collection.id)? {
                let (key, bytes) = entry.unwrap();
                let document = batch::decode(bytes.value())?;
                let id = document.get("_id").unwrap();
                assert_eq!(key.value(), entries::document_key(collection.id, id));
                count += 1;
                for index in &collection.indexes {
                    let entries = entries::Entries::of(index, &document)?;
                    assert!(index.multikey || !entries.multikey, "{name} {document}");
                    for value in entries.values {
                        let entry = [&value, &key.value()[entries::ID_AT..]].concat();
                        let stood = expected.insert(entry, key.value().to_vec());
                        assert!(stood.is_none(), "{name} {document}");
                        if index.spec.unique {
                            let taken = batch::taken(&indexes, &value, |owner| owner != key.value())?;
                            assert!(!taken, "{name} {document}");
                        }
                    }
                }
            }
            assert_eq!(
                counts
                    .get(collection.id)
                    .unwrap()
                    .map_or(0, |count| count.value()),
                count
            );
            total += count;
        }
        let stored = indexes
            .iter()
            .unwrap()
            .map(|entry| {
                let (key, owner) = entry.unwrap();
                (key.value().to_vec(), owner.value().to_vec())
            })
            .collect::<BTreeMap<_, _>>();
        assert!(stored == expected, "the indexes are not those of the documents");
        assert_eq!(documents.iter().unwrap().count() as u64, total);
        Ok(())
    });
    checked.unwrap();
}

/// The documents as the feed of changes tells them.
#[derive(Default)]
struct Mirror(BTreeMap<String, Document>);

impl Mirror {
    fn take(&mut self, change: &crate::Change) {
        let id = change.id.to_string();
        match &change.document {
            Some(raw) => drop(self.0.insert(id, Document::try_from(raw.as_ref()).unwrap())),
            None => drop(self.0.remove(&id)),
        }
    }

    /// Takes in all that was told so far, and is held against what stands in the collection.
    async fn hold(&mut self, changes: &mut Changes, database: &Embedded, name: &str) {
        while let Some(next) = queued(&mut Box::pin(changes.next())).await {
            self.take(&next.unwrap().unwrap());
        }
        let stands = documents(database, name, None).await.unwrap();
        let stands = stands
            .into_iter()
            .map(|document| (document["_id"].to_string(), document));
        assert_eq!(self.0, stands.collect());
    }
}
