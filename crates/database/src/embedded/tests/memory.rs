//! What an operation on many documents needs of memory: no more than `docs/operations.md` says.

use std::{env, fs, path::PathBuf, process::Command};

use tempfile::TempDir;

use super::*;

const CHILD: &str = "YUNQIAO_DATABASE_TEST_MEMORY";

/// Kilobytes that this process has had at most since [`forget`].
fn most_kilobytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn forget() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// What the child of the tests below does, with a database of so many documents of 450 bytes: it prints after each operation how much
/// more memory than before that needed.
#[tokio::test]
#[ignore = "a part of the tests below, which run it in a process of its own"]
async fn work_on_many() {
    let Some(count) = env::var(CHILD).ok().and_then(|count| count.parse::<i64>().ok()) else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let path: PathBuf = folder.path().join("database.redb");
    let database = open(&path).unwrap();
    database.create_collection("c").await.unwrap();
    database
        .create_index("c", super::index("shop", IndexKind::Ascending))
        .await
        .unwrap();
    let mut feed = database.changes(None).await.unwrap();
    for part in 0..count / 1000 {
        let documents = (part * 1000..part * 1000 + 1000)
            .map(|n| {
                doc! { "_id": format!("{n:032x}"), "n": n, "shop": n % 100, "price": n % 777, "text": "x".repeat(340) }
            })
            .collect();
        database.insert("c", documents, None).await.unwrap();
    }
    let aggregate = |stages: Vec<Document>| database.aggregate("c", Aggregate { stages }, None);
    let grouped = doc! { "$group": { "_id": "$shop", "sum": { "$sum": "$price" }, "n": { "$sum": 1 } } };
    let everything = Update {
        many: true,
        ..change(doc! {}, doc! { "$inc": { "price": 1 } })
    };
    for what in [
        "point",
        "group",
        "sort",
        "top",
        "answer",
        "update",
        "transaction",
        "remove",
    ] {
        forget();
        let before = most_kilobytes();
        match what {
            "point" => {
                for n in (0..count).step_by(97) {
                    let filter = doc! { "_id": format!("{n:032x}") };
                    assert_eq!(database.count("c", filter, None).await.unwrap().count, 1);
                }
            }
            "group" => {
                let found = aggregate(vec![grouped.clone()]).await.unwrap();
                assert_eq!(found.documents.len(), 100);
            }
            "sort" => {
                // All of them in another order: more than a stage may hold is refused, and less is not.
                let sorted = aggregate(vec![doc! { "$sort": { "price": -1 } }, doc! { "$count": "n" }]).await;
                println!("sorted {}", sorted.is_ok());
            }
            "top" => {
                let top = vec![doc! { "$sort": { "price": -1, "n": 1 } }, doc! { "$limit": 100 }];
                assert_eq!(aggregate(top).await.unwrap().documents.len(), 100);
            }
            "answer" => {
                let all = database.find("c", Find::default(), None).await;
                println!("answered {}", all.is_ok());
            }
            "update" => {
                let updated = database.update("c", everything.clone(), None).await.unwrap();
                assert_eq!(updated.modified, count as u64);
            }
            "transaction" => {
                let transaction = database.begin().await.unwrap();
                let refused = database.update("c", everything.clone(), Some(transaction)).await;
                assert!(refused.is_err());
            }
            _ => {
                let half = doc! { "n": { "$mod": [2, 0] } };
                let removed = database.remove("c", half, true, None).await.unwrap().count;
                assert_eq!(removed, (count / 2) as u64);
            }
        }
        println!("used {what} {}", most_kilobytes().saturating_sub(before));
    }
    // Who listened was not kept all of it.
    let missed = loop {
        match in_time(feed.next()).await.unwrap() {
            Ok(_) => {}
            Err(missed) => break missed,
        }
    };
    println!("missed after {}", missed.after);
}

/// Has a child work on so many documents; gives what each operation needed, in kilobytes.
fn used(count: u64) -> BTreeMap<String, u64> {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "embedded::tests::memory::work_on_many"])
        .args(["--ignored", "--nocapture", "--test-threads=1"])
        .env(CHILD, count.to_string())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{text}");
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text.lines()
        .filter_map(|line| {
            let (_, line) = line.split_once("used ")?;
            let (what, kilobytes) = line.split_once(' ')?;
            Some((what.to_owned(), kilobytes.parse().ok()?))
        })
        .collect()
}

/// Megabytes that may be needed: for the caches, and for what is kept of each of a million documents.
fn hold(count: u64) {
    let used = used(count);
    let millions = count as f64 / 1e6;
    for (what, fixed, for_a_million) in [
        ("point", 40.0, 0.0),
        ("group", 40.0, 0.0),
        // What one stage may hold, and as much again for what holds it.
        ("sort", 300.0, 0.0),
        ("top", 60.0, 0.0),
        ("answer", 120.0, 0.0),
        ("update", 90.0, 150.0),
        ("transaction", 160.0, 150.0),
        ("remove", 90.0, 150.0),
    ] {
        let megabytes = used[what] as f64 / 1024.0;
        let bound = fixed + for_a_million * millions;
        assert!(
            megabytes <= bound,
            "{what}: {megabytes:.0} MB of {bound:.0}: {used:?}"
        );
    }
}

#[test]
fn work_on_many_documents_needs_little_memory() {
    hold(60_000);
}

#[test]
#[ignore = "a million documents take minutes; 60,000 are always tried"]
fn work_on_a_million_documents_needs_little_memory() {
    hold(1_000_000);
}
