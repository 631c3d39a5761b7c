//! The database beside others: our engine, reached by its trait, and mingo, NeDB and better-sqlite3 in Node, each in a process of its
//! own, with the same documents and the same reads, whose answers are compared. Then what the gateway adds to an SDK's
//! database call, and, where it is asked for, a million documents.

mod documents;
pub(crate) mod engine;
mod inside;
mod million;
mod subject;

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use self::{documents::Random, subject::Subject};
use crate::{
    median::{Median, median},
    npm,
    rounds::Plan,
    table::Line,
};

const PEER: &str = include_str!("../peers/database/peer.js");

/// Who reads what.
const OURS: &str = "ours";
const SQLITE: Peer = Peer {
    name: "better-sqlite3",
    engine: "sqlite",
    package: "better-sqlite3",
    version: "12.6.2",
};
const NEDB: Peer = Peer {
    name: "NeDB",
    engine: "nedb",
    package: "@seald-io/nedb",
    version: "4.1.2",
};
const MINGO: Peer = Peer {
    name: "mingo",
    engine: "mingo",
    package: "mingo",
    version: "7.2.7",
};

/// One of the peers.
struct Peer {
    name: &'static str,
    /// What `peer.js` knows it by.
    engine: &'static str,
    package: &'static str,
    version: &'static str,
}

/// The argument by which this program becomes an engine of its own.
pub(crate) const ENGINE: &str = "__engine";
/// Documents that are inserted one after the other, in each round.
const INSERTS: u64 = 200;
/// Documents that are inserted by writers side by side, in each round.
const BY_WRITERS: u64 = 6400;
const WRITERS: u64 = 64;

/// How many documents there are.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) documents: u64,
    /// The scene with a million, too.
    pub(crate) million: Option<u64>,
}

/// A read that is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Read {
    Id,
    Page,
    Filter,
    Group,
}

impl Read {
    const ALL: [Self; 4] = [Self::Id, Self::Page, Self::Filter, Self::Group];

    /// What the engines know it by.
    fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Page => "page",
            Self::Filter => "filter",
            Self::Group => "group",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Id => "by _id",
            Self::Page => "a sorted page of 20 by index",
            Self::Filter => "filter without index",
            Self::Group => "match + group + sort over all",
        }
    }

    /// How many times better-sqlite3's time it may take.
    fn most(self) -> f64 {
        match self {
            Self::Id => 1.2,
            Self::Page => 1.0,
            Self::Filter | Self::Group => 1.5,
        }
    }

    /// Questions of this kind to a database with so many documents.
    fn cases(self, documents: u64, count: usize) -> Vec<Value> {
        let mut random = Random(7);
        (0..count)
            .map(|_| match self {
                Self::Id => json!(documents::id(random.below(documents))),
                Self::Page => json!(random.of(&documents::STATUSES)),
                // About one document in a thousand.
                Self::Filter => json!({
                    "city": random.of(&documents::CITIES),
                    "least": documents::AMOUNTS / 100 * 99 - random.below(100),
                }),
                // About two thirds of the documents.
                Self::Group => json!(2 + random.below(3)),
            })
            .collect()
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what())
    }
}

/// Medians of one round, in nanoseconds, in the order of the subjects.
type Round = Vec<Option<f64>>;

pub(crate) fn measure(binary: &Path, cache: &Path, dir: &Path, plan: Plan, size: Size) -> Result<Vec<Line>> {
    let peers = Peers::install(cache)?;
    let lines_file = dir.join("documents.jsonl");
    documents::write(&lines_file, size.documents)?;
    println!(
        "database: {} documents of {} bytes on average",
        size.documents,
        fs::metadata(&lines_file)?.len() / size.documents.max(1)
    );
    let ours_file = dir.join("ours.redb");
    let mut subjects = vec![
        ours(&ours_file)?,
        peers.start(&SQLITE, &dir.join("peer.sqlite"))?,
        peers.start(&NEDB, &dir.join("peer.nedb"))?,
        peers.start(&MINGO, &dir.join("none"))?,
    ];
    for subject in &mut subjects {
        let took = subject.load(&lines_file)?;
        println!(
            "database: {} loaded {:.0} documents/s",
            subject.name,
            size.documents as f64 / took.as_secs_f64()
        );
    }
    for read in Read::ALL {
        compare(&mut subjects, read, &read.cases(size.documents, 8))?;
    }

    let mut reads: Vec<(Read, Vec<Round>)> = Read::ALL.map(|read| (read, Vec::new())).into();
    let mut decoded: Vec<(Read, Vec<f64>)> = Read::ALL.map(|read| (read, Vec::new())).into();
    let mut inserts: Vec<Round> = Vec::new();
    let mut writers: Vec<Round> = Vec::new();
    let mut next = size.documents;
    // Round 0 does not count: after it, everybody's code is compiled and caches are warm.
    for number in 0..=plan.rounds {
        let label = match number {
            0 => "warm-up".to_owned(),
            _ => format!("round {number} of {}", plan.rounds),
        };
        for ((read, rounds), (_, decoded)) in reads.iter_mut().zip(&mut decoded) {
            let mut command = json!({
                "command": "read",
                "read": read.name(),
                "cases": read.cases(size.documents, 512),
                "millis": span(plan.measure).as_millis() as u64,
            });
            let round = in_turn(&mut subjects, number, |subject| {
                let takes_part = *read != Read::Group || subject.name != NEDB.name;
                takes_part
                    .then(|| subject.nanos(&command).map(middle))
                    .transpose()
            })?;
            println!("database, {label}: {read}: {}", shown(&subjects, &round));
            command["decodes"] = json!(true);
            let taken = subjects[place(OURS)].nanos(&command).map(middle)?;
            if number > 0 {
                rounds.push(round);
                decoded.push(taken);
            }
        }
        for (kept, count, command) in [
            (&mut inserts, INSERTS, "insert"),
            (&mut writers, BY_WRITERS, "writers"),
        ] {
            let documents: Vec<Value> = (next..next + count).map(documents::document).collect();
            next += count;
            let command = json!({"command": command, "documents": documents, "writers": WRITERS});
            let round = in_turn(&mut subjects, number, |subject| {
                let takes_part = subject.name != MINGO.name;
                let took = takes_part
                    .then(|| subject.nanos(&command).map(middle))
                    .transpose()?;
                Ok(took.map(|nanos| {
                    if count == BY_WRITERS {
                        nanos / count as f64
                    } else {
                        nanos
                    }
                }))
            })?;
            println!(
                "database, {label}: {}: {}",
                command["command"],
                shown(&subjects, &round)
            );
            if number > 0 {
                kept.push(round);
            }
        }
    }
    // What was inserted is there.
    let added: Vec<Value> = (size.documents..next)
        .step_by(997)
        .map(|number| json!(documents::id(number)))
        .collect();
    subjects.retain(|subject| subject.name != MINGO.name);
    compare(&mut subjects, Read::Id, &added)?;
    for subject in subjects {
        subject.end()?;
    }

    let mut lines = Vec::new();
    for ((read, rounds), (_, decoded)) in reads.iter().zip(decoded) {
        let mut line = beside_sqlite(&read.to_string(), rounds, "≤", read.most());
        line.figure
            .push_str(&format!("; decoded {}", time(median(decoded).value)));
        lines.push(line);
    }
    lines.push(beside_mingo(&reads));
    lines.push(beside_sqlite("one durable insert", &inserts, "≤", 2.0));
    lines.push(beside_sqlite("64 writers, inserts a second", &writers, "≥", 3.0));
    lines.extend(inside::measure(
        binary,
        cache,
        dir,
        &ours_file,
        plan,
        size.documents,
    )?);
    if let Some(count) = size.million {
        lines.extend(million::measure(&peers, dir, count)?);
    }
    Ok(lines)
}

/// A scan takes as long as many point reads: half of what calls are given is enough for each.
fn span(measure: Duration) -> Duration {
    (measure / 4).max(Duration::from_millis(200))
}

/// Our own engine.
fn ours(file: &Path) -> Result<Subject> {
    let program = env::current_exe()?;
    Subject::start(OURS, Command::new(program).arg(ENGINE).arg(file))
}

/// The folder with the peers' packages, each in one of its own, and the program that drives them.
struct Peers(PathBuf);

impl Peers {
    fn install(cache: &Path) -> Result<Self> {
        for Peer { package, version, .. } in [SQLITE, NEDB, MINGO] {
            let folder = cache.join(folder_of(package));
            npm::install(&folder, package, version)?;
            fs::write(folder.join("peer.js"), PEER)?;
        }
        Ok(Self(cache.to_owned()))
    }

    fn start(&self, peer: &Peer, file: &Path) -> Result<Subject> {
        let program = self.0.join(folder_of(peer.package)).join("peer.js");
        let mut node = Command::new("node");
        Subject::start(peer.name, node.arg(program).arg(peer.engine).arg(file))
    }
}

fn folder_of(package: &str) -> String {
    package.trim_start_matches('@').replace('/', "-")
}

/// Everybody in turn, another one first in each round.
fn in_turn(
    subjects: &mut [Subject],
    number: usize,
    mut measure: impl FnMut(&mut Subject) -> Result<Option<f64>>,
) -> Result<Round> {
    let count = subjects.len();
    let mut round = vec![None; count];
    for turn in 0..count {
        let at = (number + turn) % count;
        round[at] = measure(&mut subjects[at])?;
    }
    Ok(round)
}

/// Nobody wins by answering wrong.
fn compare(subjects: &mut [Subject], read: Read, cases: &[Value]) -> Result<()> {
    let mut first: Option<(&'static str, Vec<Value>)> = None;
    for subject in subjects {
        if read == Read::Group && subject.name == NEDB.name {
            continue;
        }
        let mut answers = subject.check(read.name(), cases)?;
        for answer in &mut answers {
            *answer = same_numbers(answer);
            // Without an order, any is right.
            if read == Read::Filter
                && let Value::Array(documents) = answer
            {
                documents.sort_by_key(|document| document["_id"].to_string());
            }
        }
        let finds = |answer: &Value| answer.as_array().is_some_and(|found| !found.is_empty());
        let found = match read {
            // Of few documents, not all of the questions meet one.
            Read::Filter => answers.iter().any(finds),
            _ => answers.iter().all(finds),
        };
        ensure!(found, "{} found nothing: {read}", subject.name);
        match &first {
            None => first = Some((subject.name, answers)),
            Some((name, wanted)) => {
                ensure!(
                    answers == *wanted,
                    "{} and {name} answer otherwise: {read}",
                    subject.name
                );
            }
        }
    }
    Ok(())
}

/// 1 and 1.0 are one in JavaScript.
fn same_numbers(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(values) => values.iter().map(same_numbers).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), same_numbers(value)))
            .collect(),
        other => other.clone(),
    }
}

fn middle(nanos: Vec<f64>) -> f64 {
    median(nanos).value
}

fn shown(subjects: &[Subject], round: &Round) -> String {
    let parts: Vec<String> = subjects
        .iter()
        .zip(round)
        .filter_map(|(subject, nanos)| Some(format!("{} {}", subject.name, time((*nanos)?))))
        .collect();
    parts.join(", ")
}

/// A time as a person reads it.
fn time(nanos: f64) -> String {
    match nanos {
        nanos if nanos >= 1e7 => format!("{:.0} ms", nanos / 1e6),
        nanos if nanos >= 1e6 => format!("{:.1} ms", nanos / 1e6),
        nanos if nanos >= 1e5 => format!("{:.0} µs", nanos / 1e3),
        nanos => format!("{:.1} µs", nanos / 1e3),
    }
}

/// The places of the subjects in a round.
const PLACES: [&str; 4] = [OURS, SQLITE.name, NEDB.name, MINGO.name];

fn place(name: &str) -> usize {
    PLACES.iter().position(|place| *place == name).unwrap_or_default()
}

fn of(rounds: &[Round], name: &str) -> Option<f64> {
    let taken: Vec<f64> = rounds.iter().filter_map(|round| round[place(name)]).collect();
    (!taken.is_empty()).then(|| median(taken).value)
}

/// The ratios of the rounds: ours to that one's.
fn ratio(rounds: &[Round], name: &str) -> Median {
    median(
        rounds
            .iter()
            .filter_map(|round| Some(round[place(OURS)]? / round[place(name)]?)),
    )
}

fn beside_sqlite(what: &str, rounds: &[Round], relation: &str, goal: f64) -> Line {
    let by_rate = relation == "≥";
    let value = |nanos: f64| {
        if by_rate {
            format!("{:.0}/s", 1e9 / nanos)
        } else {
            time(nanos)
        }
    };
    let others: Vec<String> = PLACES[1..]
        .iter()
        .filter_map(|name| Some(format!("{name} {}", value(of(rounds, name)?))))
        .collect();
    let Median {
        value: ratio,
        least,
        most,
    } = ratio(rounds, SQLITE.name);
    let (ratio, least, most) = if by_rate {
        (1.0 / ratio, 1.0 / most, 1.0 / least)
    } else {
        (ratio, least, most)
    };
    Line {
        what: format!("database, {what}"),
        figure: format!(
            "{}; {}: {ratio:.2} ({least:.2}–{most:.2}) × better-sqlite3's",
            of(rounds, OURS).map(value).unwrap_or_default(),
            others.join(", ")
        ),
        goal: format!("{relation} {goal} ×"),
        met: Some(if by_rate { ratio >= goal } else { ratio <= goal }),
        ..Line::default()
    }
}

fn beside_mingo(reads: &[(Read, Vec<Round>)]) -> Line {
    let quicker: Vec<(Read, f64)> = reads
        .iter()
        .filter(|(read, _)| matches!(read, Read::Id | Read::Page))
        .map(|(read, rounds)| (*read, 1.0 / ratio(rounds, MINGO.name).value))
        .collect();
    let parts: Vec<String> = quicker
        .iter()
        .map(|(read, times)| format!("{read} {times:.0} × as quick"))
        .collect();
    Line {
        what: "database, indexed reads beside mingo".to_owned(),
        figure: parts.join(", "),
        goal: "≥ 100 ×".to_owned(),
        met: Some(quicker.iter().all(|(_, times)| *times >= 100.0)),
        ..Line::default()
    }
}

/// The reads that a database of a million is asked, for the one who measures there.
fn command(read: Read, documents: u64, millis: u64) -> Value {
    json!({
        "command": "read",
        "read": read.name(),
        "cases": read.cases(documents, 512),
        "millis": millis,
    })
}

fn started(subject: &Subject) -> Result<Duration> {
    let nanos = subject
        .ready
        .as_u64()
        .context("it did not say how long opening took")?;
    Ok(Duration::from_nanos(nanos))
}
