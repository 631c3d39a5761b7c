//! Measures Yunqiao and its peers in one run on one machine, and prints one table with ratios and goals.
//!
//! `cargo run --release -p yunqiao-bench` is all; `bench/README.md` says what is measured and how to read it.

mod admin;
mod at_once;
mod clients;
mod cold;
mod database;
mod decrypt;
mod files;
mod http;
mod load;
mod machine;
mod median;
mod npm;
mod ours;
mod peers;
mod process;
mod realtime;
mod rounds;
mod table;
mod workload;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use tempfile::TempDir;

use crate::{
    ours::{Function, Ours},
    peers::Peers,
    rounds::Plan,
};

/// Measure Yunqiao and its peers, in turn, on this machine
#[derive(Parser)]
struct Args {
    /// Rounds; figures are medians over them
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds for each target in each round
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Only see that everything works: the figures mean nothing
    #[arg(long)]
    quick: bool,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Also write the table into this file, as markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// The database with a million documents, too: about ten minutes more
    #[arg(long)]
    million: bool,
    /// Measure this `yunqiao` instead of the one that is built here
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Only compare: the same calls to this other `yunqiao` and to the one that is measured, in turn
    #[arg(long, value_name = "FILE", conflicts_with_all = ["only", "million"])]
    compare: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Calls per second, 32 connections
    Throughput,
    /// One connection
    Latency,
    /// The first call of a function
    Cold,
    /// Decryption of open data
    Decrypt,
    /// Memory of the gateway
    Memory,
    /// Calls of the cloud from inside a function
    Admin,
    /// A console that nobody watches
    Console,
    /// The database beside others, and its calls from inside a function
    Database,
    /// Files sent and fetched, beside nginx
    Files,
    /// The database as clients ask it
    Clients,
    /// A thousand watchers of one collection
    Realtime,
}

fn main() -> ExitCode {
    let mut words = env::args_os().skip(1);
    let ended = if words.next().is_some_and(|word| word == database::ENGINE) {
        let file = words.next().map(PathBuf::from);
        file.context("no file")
            .and_then(|file| database::engine::run(&file))
    } else {
        run(&Args::parse())
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if process::interrupted() => ExitCode::from(process::INTERRUPT_STATUS),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let wanted = |part: Part| args.compare.is_none() && (args.only.is_empty() || args.only.contains(&part));
    ensure!(
        !cfg!(debug_assertions) || args.quick,
        "figures of a debug build mean nothing: cargo run --release -p yunqiao-bench"
    );
    process::end_on_interrupt()?;
    let target = target_dir()?;
    let cache = target.parent().context("no target folder")?.join("bench");
    fs::create_dir_all(&cache)?;
    let dir = tempfile::Builder::new().prefix("run-").tempdir_in(&cache)?;
    let machine = machine::describe();
    println!("{machine}");

    let (rounds, measure) = if args.quick {
        (1, Duration::from_millis(500))
    } else {
        (args.rounds.max(1), Duration::from_secs(args.seconds.max(1)))
    };
    let plan = Plan { rounds, measure };
    let mut lines = Vec::new();
    if let Some(other) = &args.compare {
        let other = Ours::start(&found(other)?, &folder(&dir, "other")?, &functions())?;
        let this = Ours::start(&binary(args, &target)?, &folder(&dir, "this")?, &functions())?;
        lines.extend(rounds::compare(&other, &this, plan)?);
    }
    if [Part::Throughput, Part::Latency, Part::Memory]
        .into_iter()
        .any(wanted)
    {
        let binary = binary(args, &target)?;
        let ours = Ours::start(&binary, &folder(&dir, "calls")?, &functions())?;
        // What starting took has been given back by then.
        thread::sleep(Duration::from_secs(2));
        let idle = ours.process.resident()?;
        let mut loaded = None;
        if wanted(Part::Throughput) || wanted(Part::Latency) {
            let peers = Peers::start(&cache.join("peers"), &folder(&dir, "peers")?)?;
            if wanted(Part::Throughput) {
                lines.extend(rounds::throughput(&ours, &peers, plan)?);
            }
            if wanted(Part::Latency) {
                lines.extend(rounds::latency(&ours, &peers, plan)?);
            }
            loaded = Some(ours.process.resident()?);
        }
        if wanted(Part::Memory) {
            lines.extend(rounds::memory(idle, loaded));
        }
    }
    if wanted(Part::Admin) {
        lines.extend(admin::measure(
            &binary(args, &target)?,
            &cache,
            &folder(&dir, "admin")?,
            plan,
        )?);
    }
    if wanted(Part::Console) {
        let binary = binary(args, &target)?;
        let without = Ours::start(&binary, &folder(&dir, "bare")?, &functions())?;
        let settings = "\n[operator]\nlisten = \"127.0.0.1:0\"\nsecret = \"known-to-the-bench-alone\"\n";
        let with = Ours::start_with(&binary, &folder(&dir, "console")?, &functions(), settings)?;
        lines.extend(rounds::console(&without, &with, plan)?);
    }
    if wanted(Part::Database) {
        let size = database::Size {
            documents: if args.quick { 2_000 } else { 100_000 },
            million: args
                .million
                .then_some(if args.quick { 20_000 } else { 1_000_000 }),
        };
        lines.extend(database::measure(
            &binary(args, &target)?,
            &cache,
            &folder(&dir, "database")?,
            plan,
            size,
        )?);
    }
    if wanted(Part::Files) {
        let large = if args.quick { 32 << 20 } else { 1 << 30 };
        lines.extend(files::measure(
            &binary(args, &target)?,
            &folder(&dir, "files")?,
            plan,
            large,
        )?);
    }
    if wanted(Part::Clients) {
        lines.extend(clients::measure(
            &binary(args, &target)?,
            &dir.path().join("clients"),
            plan,
        )?);
    }
    if wanted(Part::Realtime) {
        let many = if args.quick { 50 } else { 1_000 };
        lines.extend(realtime::measure(
            &binary(args, &target)?,
            &folder(&dir, "realtime")?,
            plan,
            many,
        )?);
    }
    if wanted(Part::Cold) {
        let count = if args.quick { 2 } else { 9 };
        lines.extend(cold::measure(
            &binary(args, &target)?,
            &folder(&dir, "cold")?,
            count,
        )?);
    }
    if wanted(Part::Decrypt) {
        let count = if args.quick { 2_000 } else { 100_000 };
        lines.extend(decrypt::measure(&folder(&dir, "decrypt")?, rounds, count)?);
    }

    if args.quick {
        for line in &mut lines {
            line.met = None;
        }
    }
    let table = table::render(&lines);
    println!("\n{table}");
    if let Some(path) = &args.markdown {
        fs::write(path, format!("{machine}\n\n{table}"))
            .with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// The project of the throughput runs.
fn functions() -> [Function; 3] {
    let function = |name: &str, source, concurrency, max_instances| Function {
        name: name.to_owned(),
        source,
        concurrency,
        max_instances,
        manifest: None,
        config: None,
        timeout: None,
    };
    [
        function(workload::SERIAL, workload::FUNCTION, 1, 2),
        function(workload::CONCURRENT, workload::FUNCTION, 64, 1),
        function(workload::ECHO_NAME, workload::ECHO, 1, 1),
    ]
}

fn folder(dir: &TempDir, name: &str) -> Result<PathBuf> {
    let path = dir.path().join(name);
    fs::create_dir(&path)?;
    Ok(path)
}

/// The folder that this program was built into: `target/release`.
fn target_dir() -> Result<PathBuf> {
    let own = env::current_exe()?;
    Ok(own.parent().context("the bench has no folder")?.to_owned())
}

/// The `yunqiao` that is measured.
fn binary(args: &Args, target: &Path) -> Result<PathBuf> {
    match &args.binary {
        Some(binary) => found(binary),
        None => build(target),
    }
}

/// A binary that somebody named, by its full path: it is started from other folders.
fn found(binary: &Path) -> Result<PathBuf> {
    fs::canonicalize(binary).with_context(|| format!("{} is not there", binary.display()))
}

/// Builds `yunqiao` beside this program, in its profile.
fn build(target: &Path) -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "-p", "yunqiao-cli", "--bin", "yunqiao"])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    ensure!(
        command.status().context("starting cargo")?.success(),
        "yunqiao does not build: see above"
    );
    let binary = target.join("yunqiao");
    ensure!(
        binary.is_file(),
        "{} is missing although it was built; name it with --binary",
        binary.display()
    );
    Ok(binary)
}
