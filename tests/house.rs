//! The house as ARCHITECTURE.md draws it, held against what Cargo builds: who may import whom, and which crates are pure. And its docs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod docs;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use serde_json::Value;

/// What a pure crate has no use for: it reads and writes nothing, and waits for nothing.
const IMPURE: &[&str] = &["axum", "hyper", "notify", "redb", "reqwest", "rustix", "tokio"];

type Nouns = BTreeSet<String>;

/// Which crates of the workspace a crate imports, and which its tests import besides.
#[derive(Debug, Default, PartialEq)]
struct Imports {
    code: Nouns,
    tests: Nouns,
}

/// A crate of the workspace as Cargo sees it.
#[derive(Debug, Default)]
struct Built {
    ours: Imports,
    /// The packages of others, for code alone.
    others: Nouns,
}

/// Both tables of ARCHITECTURE.md.
#[derive(Debug, Default)]
struct Drawn {
    /// Whether the room is pure, by its noun.
    rooms: BTreeMap<String, bool>,
    arrows: BTreeMap<String, Imports>,
}

impl Drawn {
    /// Reads the tables below `## Rooms` and `## Who may import whom`.
    fn read(text: &str) -> Self {
        let mut drawn = Self::default();
        for [noun, _, pure] in rows(text, "Rooms") {
            drawn.rooms.insert(only_noun(noun), pure == "yes");
        }
        let rows: Vec<_> = rows(text, "Who may import whom").collect();
        let all: Nouns = rows.iter().map(|[noun, ..]| only_noun(noun)).collect();
        let named = |cell: &str| if cell == "*" { all.clone() } else { nouns(cell) };
        for [noun, code, tests] in rows {
            let imports = Imports {
                code: named(code),
                tests: named(tests),
            };
            let before = drawn.arrows.insert(only_noun(noun), imports);
            assert!(before.is_none(), "two rows for {noun}");
        }
        drawn
    }

    /// Everything in which the table and the workspace differ, each in a sentence.
    fn faults(&self, built: &BTreeMap<String, Built>) -> Vec<String> {
        let mut faults = Vec::new();
        let crates: Nouns = built.keys().cloned().collect();
        for (table, rows) in [
            ("Rooms", self.rooms.keys().cloned().collect::<Nouns>()),
            ("Who may import whom", self.arrows.keys().cloned().collect()),
        ] {
            faults.extend(
                crates
                    .difference(&rows)
                    .map(|noun| format!("{noun} has no row in \"{table}\"")),
            );
            faults.extend(
                rows.difference(&crates)
                    .map(|noun| format!("\"{table}\" has a row for {noun}, which is no crate")),
            );
        }
        for (noun, Imports { code, tests }) in &self.arrows {
            let Some(Built { ours, others }) = built.get(noun) else {
                continue;
            };
            faults.extend(
                ours.code
                    .difference(code)
                    .map(|other| format!("{noun} may not import {other}")),
            );
            let tests: Nouns = code | tests;
            faults.extend(
                ours.tests
                    .difference(&tests)
                    .map(|other| format!("the tests of {noun} may not import {other}")),
            );
            if self.rooms.get(noun) != Some(&true) {
                continue;
            }
            let impure = code.iter().filter(|other| self.rooms.get(*other) != Some(&true));
            faults.extend(impure.map(|other| format!("{noun} is pure, and {other} is not")));
            let impure = others.iter().filter(|other| IMPURE.contains(&other.as_str()));
            faults.extend(impure.map(|other| format!("{noun} is pure, and {other} is not")));
        }
        faults
    }
}

/// The rows of the one table of three columns below this heading.
fn rows<'a>(text: &'a str, heading: &str) -> impl Iterator<Item = [&'a str; 3]> + use<'a> {
    let (_, below) = text
        .split_once(&format!("\n## {heading}\n"))
        .expect("the heading is there");
    let section = below.split("\n## ").next().unwrap_or_default();
    let lines = section.lines().skip_while(|line| !line.starts_with("|---"));
    lines
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            cells
                .try_into()
                .unwrap_or_else(|cells| panic!("a row has three cells: {cells:?}"))
        })
}

/// What stands between backticks.
fn nouns(cell: &str) -> Nouns {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn only_noun(cell: &str) -> String {
    let mut nouns = nouns(cell).into_iter();
    let (Some(noun), None) = (nouns.next(), nouns.next()) else {
        panic!("{cell:?} does not name one crate in backticks");
    };
    noun
}

/// The workspace's crates by their nouns.
fn workspace() -> BTreeMap<String, Built> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| (noun(&package["name"]).unwrap(), built(package)))
        .collect()
}

fn built(package: &Value) -> Built {
    let mut built = Built::default();
    for dependency in package["dependencies"].as_array().unwrap() {
        let name = &dependency["name"];
        let for_tests = dependency["kind"] == "dev";
        match noun(name) {
            Some(noun) if for_tests => built.ours.tests.insert(noun),
            Some(noun) => built.ours.code.insert(noun),
            None if for_tests => false,
            None => built.others.insert(name.as_str().unwrap().to_owned()),
        };
    }
    built
}

/// The noun of a package, if it is one of ours.
fn noun(package: &Value) -> Option<String> {
    package.as_str()?.strip_prefix("yunqiao-").map(str::to_owned)
}

#[test]
fn the_house_is_as_it_is_drawn() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ARCHITECTURE.md");
    let drawn = Drawn::read(&fs::read_to_string(page).unwrap());
    let faults = drawn.faults(&workspace());
    assert!(
        faults.is_empty(),
        "ARCHITECTURE.md and the workspace differ:\n{}",
        faults.join("\n")
    );
}

/// The check itself: each kind of fault is found.
#[test]
fn every_fault_of_a_house_is_found() {
    let page = "\n## Rooms\n\n| crate | owns | pure |\n|---|---|---|\n| `a` | x | yes |\n| `b` | y | |\n| `gone` | z | |\n\n\
        ## Who may import whom\n\n| crate | imports | its tests also |\n|---|---|---|\n| `a` | `b` | |\n| `b` | | `a` |\n| `cli` | * | |\n\nText.\n";
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Nouns>();
    let crates = [
        ("a", &["b"][..], &[][..], &["tokio"][..]),
        ("b", &["cli"], &["a", "cli"], &[]),
        ("cli", &["a", "b"], &[], &["tokio"]),
    ];
    let built = crates.map(|(noun, code, tests, others)| {
        let ours = Imports {
            code: set(code),
            tests: set(tests),
        };
        (
            noun.to_owned(),
            Built {
                ours,
                others: set(others),
            },
        )
    });
    assert_eq!(
        Drawn::read(page).faults(&BTreeMap::from(built)),
        [
            "cli has no row in \"Rooms\"",
            "\"Rooms\" has a row for gone, which is no crate",
            "a is pure, and b is not",
            "a is pure, and tokio is not",
            "b may not import cli",
            "the tests of b may not import cli",
        ]
    );
}
