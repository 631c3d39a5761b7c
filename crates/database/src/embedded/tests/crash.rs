//! A process that is killed at any moment: nothing that it acknowledged is lost, indexes are those of the documents, and
//! transactions and changes of many documents are there whole or not at all.

use std::{
    env,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use super::*;

const CHILD: &str = "YUNQIAO_DATABASE_TEST_CHILD";
const WRITERS: i64 = 64;
/// Documents that a change of many is about.
const GROUP: i64 = 12;

/// Small, so that indexes take many; and a change of a group goes into one.
const ROUND: RoundSize = RoundSize {
    documents: 16,
    ..RoundSize::DEFAULT
};

/// What one writer does again and again; each time with the next number, which it prints when it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Adds a document with a unique value, tags and a place.
    Insert,
    /// Sets the number of its one document.
    Update,
    /// Sets the number of a group of documents at once.
    UpdateMany,
    /// Moves money between two accounts and writes a line in the book, in a transaction.
    Transfer,
    /// Adds a document, and removes it the next time.
    Flip,
}

impl Kind {
    const fn of(writer: i64) -> Self {
        match writer % 5 {
            0 => Self::Insert,
            1 => Self::Update,
            2 => Self::UpdateMany,
            3 => Self::Transfer,
            _ => Self::Flip,
        }
    }
}

async fn prepare(database: &Embedded) {
    if !database.collections().await.unwrap().is_empty() {
        return;
    }
    database.create_collection("c").await.unwrap();
    database.create_index("c", super::unique("u")).await.unwrap();
    for (path, kind) in [
        ("tags", IndexKind::Ascending),
        ("n", IndexKind::Descending),
        ("at", IndexKind::Sphere),
    ] {
        database
            .create_index("c", super::index(path, kind))
            .await
            .unwrap();
    }
    let mut first = Vec::new();
    for writer in 0..WRITERS {
        let mut add = |name: String| {
            first.push(doc! { "_id": name, "writer": writer, "n": 0_i64, "tags": ["a", writer] });
        };
        match Kind::of(writer) {
            Kind::Insert | Kind::Flip => {}
            Kind::Update => add(format!("one {writer}")),
            Kind::UpdateMany => (0..GROUP).for_each(|at| add(format!("many {writer} {at}"))),
            Kind::Transfer => ["from", "to"]
                .into_iter()
                .for_each(|side| add(format!("{side} {writer}"))),
        }
    }
    database.insert("c", first, None).await.unwrap();
}

/// One step of a writer.
async fn step(database: &Embedded, writer: i64, number: i64) -> Result<()> {
    let set = |id: String| {
        change(
            doc! { "_id": id },
            doc! { "$set": { "n": number, "tags": [number, "b"] } },
        )
    };
    match Kind::of(writer) {
        Kind::Insert => {
            let place =
                doc! { "type": "Point", "coordinates": [(number % 180) as f64, (writer % 80) as f64] };
            let document = doc! {
                "_id": format!("new {writer} {number}"),
                "u": format!("{writer} {number}"),
                "tags": [number % 7, "a"],
                "at": place,
                "text": "x".repeat(number as usize % 700),
            };
            database.insert("c", vec![document], None).await.map(drop)
        }
        Kind::Update => database
            .update("c", set(format!("one {writer}")), None)
            .await
            .map(drop),
        Kind::UpdateMany => {
            let all = Update {
                many: true,
                ..change(doc! { "writer": writer }, doc! { "$set": { "n": number } })
            };
            database.update("c", all, None).await.map(drop)
        }
        Kind::Transfer => {
            let transaction = database.begin().await?;
            let t = Some(transaction);
            let move_to = |side: &str, by: i64| {
                change(
                    doc! { "_id": format!("{side} {writer}") },
                    doc! { "$inc": { "n": by } },
                )
            };
            database.update("c", move_to("from", -1), t).await?;
            let line = doc! { "_id": format!("line {writer} {number}"), "u": format!("{writer} {number}") };
            database.insert("c", vec![line], t).await?;
            database.update("c", move_to("to", 1), t).await?;
            database.commit(transaction).await
        }
        Kind::Flip if number % 2 == 1 => {
            let document =
                doc! { "_id": format!("flip {writer}"), "n": number, "u": format!("flip {writer}") };
            database.insert("c", vec![document], None).await.map(drop)
        }
        Kind::Flip => database
            .remove("c", doc! { "_id": format!("flip {writer}") }, false, None)
            .await
            .map(drop),
    }
}

/// The number that a writer has come to, as the documents say; all that belongs together says the same.
async fn reached(database: &Embedded, writer: i64) -> i64 {
    let stands = async |filter: Document| {
        let find = Find {
            filter,
            ..Find::default()
        };
        let found = database.find("c", find, None).await.unwrap();
        found
            .documents
            .iter()
            .map(|raw| Document::try_from(raw.as_ref()).unwrap())
            .collect::<Vec<_>>()
    };
    let n = |document: &Document| document.get_i64("n").unwrap();
    let counted = async |prefix: &str| {
        // One after the other, without a gap.
        let all = stands(doc! { "_id": { "$regex": format!("^{prefix} {writer} ") } }).await;
        let mut numbers: Vec<i64> = all
            .iter()
            .map(|document| {
                let (_, number) = document.get_str("_id").unwrap().rsplit_once(' ').unwrap();
                number.parse().unwrap()
            })
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>());
        numbers.len() as i64
    };
    match Kind::of(writer) {
        Kind::Insert => counted("new").await,
        Kind::Update => n(&stands(doc! { "_id": format!("one {writer}") }).await[0]),
        Kind::UpdateMany => {
            let all = stands(doc! { "writer": writer }).await;
            assert_eq!(all.len() as i64, GROUP);
            assert!(all.iter().all(|document| n(document) == n(&all[0])), "{all:?}");
            n(&all[0])
        }
        Kind::Transfer => {
            let lines = counted("line").await;
            for (side, expected) in [("from", -lines), ("to", lines)] {
                let account = stands(doc! { "_id": format!("{side} {writer}") }).await;
                assert_eq!(n(&account[0]), expected, "{side} {writer}");
            }
            lines
        }
        // Whether it is there; the number itself is not kept while it is not.
        Kind::Flip => stands(doc! { "_id": format!("flip {writer}") }).await.len() as i64,
    }
}

/// What the child of the tests below does: it writes, and prints what is acknowledged, until it is killed; or, where whoever is to kill it is
/// gone, for as long as a test waits.
#[tokio::test]
#[ignore = "a part of the tests below, which run it in a process of its own"]
async fn write_until_killed() {
    let Some(path) = env::var_os(CHILD).map(PathBuf::from) else {
        return;
    };
    let database = wait_for("somebody has the file open", || {
        let options = Options::default();
        match file::open(&path, &options) {
            Err(error) if error.is_in_use() => None,
            opened => {
                let clock = Box::new(Instant::now);
                Some(Embedded::start_with(opened.unwrap(), options, clock, Some(REST_AFTER), ROUND).unwrap())
            }
        }
    });
    prepare(&database).await;
    let mut writers = Vec::new();
    let making = database.clone();
    writers.push(tokio::spawn(async move {
        // They take many rounds, in most of which it is killed.
        let specs = ["writer", "text"].map(|path| super::index(path, IndexKind::Ascending));
        for spec in specs.iter().cycle() {
            making.create_index("c", spec.clone()).await.unwrap();
            making.drop_index("c", &spec.name).await.unwrap();
        }
    }));
    for writer in 0..WRITERS {
        let reached = reached(&database, writer).await;
        let database = database.clone();
        writers.push(tokio::spawn(async move {
            for number in reached + 1.. {
                step(&database, writer, number).await.unwrap();
                println!("done {writer} {number}");
            }
        }));
    }
    let all = async {
        for writer in writers {
            writer.await.unwrap();
        }
    };
    in_time(all).await;
}

fn spawn(path: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "embedded::tests::crash::write_until_killed"])
        .args(["--ignored", "--nocapture", "--test-threads=1"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// Kills a child that writes to the file, again and again, and looks each time at what it left. Says how much was acknowledged, and how
/// much was done without that.
async fn kill_rounds(rounds: u64) -> (u64, u64) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("database.redb");
    let random = RandomState::new();
    let (mut total, mut unheard) = (0, 0);
    // What each writer was last told.
    let mut told: BTreeMap<i64, i64> = BTreeMap::new();
    for round in 0..rounds {
        let mut child = spawn(&path);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // At a random moment: after so many acknowledgements, wherever the writers are then.
        let moment = 1 + random.hash_one(round) % 600;
        let mut take = |line: std::io::Result<String>| {
            let line = line.unwrap_or_default();
            let mut words = line.rsplit(' ');
            let (number, writer) = (words.next(), words.next());
            if line.contains("done ")
                && let (Some(number), Some(writer)) = (number, writer)
                && let (Ok(number), Ok(writer)) = (number.parse::<i64>(), writer.parse())
            {
                told.insert(writer, number);
                return 1;
            }
            0
        };
        let mut acknowledged = 0;
        while acknowledged < moment {
            acknowledged += take(lines.next().expect("the child writes until it is killed"));
        }
        child.kill().unwrap();
        for line in lines {
            acknowledged += take(line);
        }
        child.wait().unwrap();
        total += acknowledged;

        let database = open_again(&path);
        verify(&database);
        for writer in 0..WRITERS {
            let reached = reached(&database, writer).await;
            let told = told.entry(writer).or_default();
            if Kind::of(writer) == Kind::Flip {
                // As the last that was told says, or the one after that; the child goes on with what it finds.
                *told = reached;
                continue;
            }
            assert!(
                (*told..=*told + 1).contains(&reached),
                "{:?} {writer}: {reached} is there, {told} was acknowledged",
                Kind::of(writer)
            );
            unheard += (reached - *told) as u64;
            *told = reached;
        }
    }
    (total, unheard)
}

#[tokio::test]
async fn a_process_that_is_killed_has_lost_nothing_that_it_acknowledged() {
    let (acknowledged, _) = kill_rounds(3).await;
    assert!(acknowledged > 0);
}

#[tokio::test]
#[ignore = "fifty rounds; three are always run"]
async fn fifty_times_killed() {
    let (acknowledged, unheard) = kill_rounds(50).await;
    println!("50 kills: {acknowledged} acknowledged, none lost; {unheard} done and not acknowledged");
}
