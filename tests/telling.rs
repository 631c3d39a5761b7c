//! Telling never holds up serving: with a terminal that nobody reads and a disk that is full, calls are answered, and what could
//! not be told is counted.

use std::{fs, io::Read as _, path::Path, process::ChildStderr};

use serde_json::{Value, json};

use crate::support::{Dev, Scratch, Server, run, yunqiao, yunqiao_on_a_small_disk};

/// Prints 20 KB in as many lines.
const LOUD: &str =
    "exports.main = async () => { for (let i = 0; i < 20; i++) console.log('x'.repeat(1024)) }";

/// What is told of one call of it: the lines, and the headline.
const LINES: usize = 21;

/// Lines at most that are told beside those of calls.
const OTHERS: usize = 5;

/// Kilobytes that a file may have on the small disk.
const SMALL: u32 = 4096;

async fn is_well(dev: &Dev) {
    let url = format!("{}/healthz", dev.server.url);
    assert_eq!(dev.client.get(url).send().await.unwrap().status(), 200);
}

/// The sum of the numbers that stand before this text.
fn counted(told: &str, text: &str) -> usize {
    let numbers = told.lines().filter_map(|line| {
        let (before, _) = line.split_once(text)?;
        before.split_whitespace().last()?.parse::<usize>().ok()
    });
    numbers.sum()
}

/// How many lines of [`LOUD`] stand in the file.
fn kept(project: &Path) -> usize {
    let file = fs::read_to_string(project.join(".yunqiao/calls.jsonl")).unwrap();
    let entries = file
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let lines = |entry: Value| match &entry["linesNotKept"] {
        Value::Null => 1 + entry["logs"].as_array().map_or(0, Vec::len),
        lines => usize::try_from(lines.as_u64().unwrap()).unwrap(),
    };
    entries.map(lines).sum()
}

/// Calls a loud function so often, while nobody reads standard error and the disk becomes full, and sees that every line was told or
/// counted.
async fn storm(least: usize) {
    let project = Scratch::new(&[("loud", LOUD)]);
    // Room for the database, which is there before any call, and for less than the calls tell: a new file begins later.
    let mut command = Dev::command(yunqiao_on_a_small_disk(SMALL), project.path());
    let (server, mut stderr) = Server::start_unread(&mut command);
    let dev = Dev::of(server, project.path());
    let alice = dev.login("alice").await;
    let file = project.path().join(".yunqiao/calls.jsonl");
    let is_full = || fs::metadata(&file).is_ok_and(|file| file.len() == u64::from(SMALL) << 10);
    let mut calls = 0;
    // A writer that is kept waiting loses lines on the way, and fills the disk later.
    while calls < least || !is_full() {
        alice.result("loud", json!({}), &[]).await;
        calls += 1;
        if calls % 100 == 0 {
            is_well(&dev).await;
        }
        assert!(calls < least + 3000, "the disk does not become full");
    }
    alice.result("loud", json!({}), &[]).await;
    calls += 1;
    is_well(&dev).await;
    let reading = std::thread::spawn(move || read(&mut stderr));
    drop(dev);
    let told = reading.join().unwrap();
    let lines = told
        .lines()
        .filter(|line| line.contains("✓ loud ") || line.contains("│ xxx"));
    // What is not a call's, a note say, may be among the lines that were not kept.
    let account = lines.count() + counted(&told, " lines were not kept");
    assert!(
        (calls * LINES..=calls * LINES + OTHERS).contains(&account),
        "the terminal: {account} of {}",
        calls * LINES
    );
    assert!(
        told.contains("calls cannot be written to .yunqiao/calls.jsonl"),
        "{told:.2000}"
    );
    let lost = counted(&told, " lines could not be written to .yunqiao/calls.jsonl");
    assert!(lost > 0);
    assert_eq!(kept(project.path()) + lost, calls * LINES, "the file");
    println!(
        "{calls} calls; terminal: {}; file: {lost}",
        counted(&told, " lines were not kept")
    );
}

fn read(stderr: &mut ChildStderr) -> String {
    let mut told = String::new();
    stderr.read_to_string(&mut told).unwrap();
    told
}

#[tokio::test]
async fn calls_are_answered_though_nobody_reads_and_the_disk_is_full() {
    storm(300).await;
}

/// The same as a storm, more than is kept in memory: minutes, and hundreds of megabytes of output.
#[tokio::test]
#[ignore = "takes minutes"]
async fn ten_thousand_calls_are_answered_though_nobody_reads_and_the_disk_is_full() {
    storm(10_000).await;
}

#[tokio::test]
async fn a_terminal_that_stopped_loses_nothing_of_the_file() {
    let project = Scratch::new(&[("loud", LOUD)]);
    let (server, stderr) = Server::start_unread(&mut Dev::command(yunqiao(), project.path()));
    let dev = Dev::of(server, project.path());
    let alice = dev.login("alice").await;
    for _ in 0..20 {
        alice.result("loud", json!({}), &[]).await;
    }
    drop(dev);
    assert_eq!(kept(project.path()), 20 * LINES);
    drop(stderr);
}

#[tokio::test]
async fn what_a_client_sends_forges_no_line() {
    let project = Scratch::new(&[(
        "echo",
        "exports.main = async (event) => { console.log(event.word); throw new Error(event.word) }",
    )]);
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let (forged, title) = ("x\n✓ payment 1 ms", "\u{1b}]0;owned\u{7}\u{9b}2J");
    alice
        .call("echo", json!({ "word": format!("{forged}{title}") }))
        .await;
    let named = json!({ "data": { forged: "no id", title: "no id" }, "cloudIDs": [forged, title] });
    alice.call_raw("echo", named.to_string()).await;
    dev.server.prints("its cloudID was refused");
    let told = dev.server.printed();
    drop(dev);
    let (_, out, _) = run(yunqiao()
        .args(["logs", "--no-follow", "--dir"])
        .arg(project.path()));
    for told in [told, out] {
        assert!(told.contains(r"x\n✓ payment 1 ms: its cloudID"), "{told}");
        assert!(told.contains(r"\u{1b}]0;owned\u{7}\u{9b}2J"), "{told}");
        assert!(!told.lines().any(|line| line.starts_with("✓ payment")), "{told}");
        assert!(
            !told.contains(|acts: char| acts.is_control() && acts != '\n'),
            "{told:?}"
        );
    }
}

#[tokio::test]
async fn links_that_a_repository_brings_along_are_not_followed() {
    let project = Scratch::new(&[("one", "exports.main = () => 1")]);
    let victim = project.path().join("victim");
    fs::write(&victim, "mine").unwrap();
    project.write(".yunqiao/.gitignore", "");
    for name in ["calls.jsonl", "run.json"] {
        std::os::unix::fs::symlink(&victim, project.path().join(".yunqiao").join(name)).unwrap();
    }
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    assert_eq!(alice.result("one", json!({}), &[]).await, 1);
    dev.server
        .prints("calls.jsonl is a link, and may lead anywhere: remove it");
    drop(dev);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");

    let elsewhere = Scratch::new(&[]);
    fs::remove_dir_all(project.path().join(".yunqiao")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), project.path().join(".yunqiao")).unwrap();
    let (output, _, err) = run(&mut Dev::command(yunqiao(), project.path()));
    assert_eq!(output.status.code(), Some(1));
    assert!(err.contains(".yunqiao is a link"), "{err}");
    assert!(!elsewhere.path().join("run.json").exists() && !elsewhere.path().join(".gitignore").exists());
}
