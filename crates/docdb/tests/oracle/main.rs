//! The language against MongoDB's own answers.
//!
//! The cases are not in the repository: `YUNQIAO_ORACLE` names the folder with `cases.jsonl.xz`. Each case makes
//! collections, runs commands, and says what MongoDB answered; numbers are compared by value, the fields of a document in
//! any order, and an error counts whatever its number. `floors.txt` holds how many are met in each family, which may
//! only rise; `missed.txt` names what is missed and why.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod compare;
mod engine;

use std::{
    collections::BTreeMap,
    env, fs,
    io::BufReader,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use bson::{Bson, Document};

use engine::Engine;

#[derive(Default)]
struct Tally {
    results: [usize; 2],
    errors: [usize; 2],
    codes: usize,
}

#[test]
fn oracle() {
    let Some(folder) = env::var_os("YUNQIAO_ORACLE").filter(|folder| !folder.is_empty()) else {
        println!("the oracle did not run: YUNQIAO_ORACLE does not name the folder with cases.jsonl.xz");
        return;
    };
    let cases = read_cases(&PathBuf::from(folder));
    let only = env::var("YUNQIAO_ORACLE_ONLY").ok();
    let verbose = env::var_os("YUNQIAO_ORACLE_VERBOSE").is_some();
    let reasons = reasons();
    let mut families: BTreeMap<String, Tally> = BTreeMap::new();
    let mut missed = Vec::new();
    for case in &cases {
        let operator = case.get_str("op").unwrap();
        let id = case.get_str("id").unwrap();
        if only
            .as_ref()
            .is_some_and(|only| !operator.contains(only) && !id.contains(only))
        {
            continue;
        }
        let tally = families.entry(family(operator, case)).or_default();
        let error = case.get_bool("err").unwrap();
        let counts = if error {
            &mut tally.errors
        } else {
            &mut tally.results
        };
        counts[1] += 1;
        let verdict =
            catch_unwind(AssertUnwindSafe(|| run(case))).unwrap_or_else(|_| Err("it panicked".to_owned()));
        match verdict {
            Ok(numbers) => {
                counts[0] += 1;
                tally.codes += usize::from(error && numbers.is_none());
                if let (true, Some((want, got))) = (verbose, numbers) {
                    println!("another number {operator} {id}: wanted {want}, got {got}");
                }
            }
            Err(why) => missed.push((operator.to_owned(), id.to_owned(), why)),
        }
    }
    for (operator, id, why) in &missed {
        let name = id.rsplit_once("/").map_or(id.as_str(), |parts| parts.1);
        let reason = reasons
            .get(name)
            .map_or("no reason is written down", String::as_str);
        println!("missed {operator} {name}: {reason}");
        if verbose {
            println!("    {why}");
        }
    }
    for (name, tally) in &families {
        println!(
            "oracle {name} results {}/{} errors {}/{}",
            tally.results[0], tally.results[1], tally.errors[0], tally.errors[1]
        );
        if tally.errors[1] > 0 {
            println!(
                "oracle {name} numbers of errors {}/{}",
                tally.codes, tally.errors[1]
            );
        }
    }
    if only.is_none() {
        check_floors(&families);
    }
}

fn read_cases(folder: &Path) -> Vec<Document> {
    let path = folder.join("cases.jsonl.xz");
    let file = fs::File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = Vec::new();
    lzma_rs::xz_decompress(&mut BufReader::new(file), &mut text).expect("cases.jsonl.xz is not xz");
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| ejson::read_document(line).expect("a case is a document"))
        .collect()
}

/// The folder of the operator; geo apart, and in it what only MongoDB's own clients send: flat shapes, flat indexes.
fn family(operator: &str, case: &Document) -> String {
    let (family, name) = operator.split_once('/').unwrap();
    let geo = [
        "geoIntersects",
        "geoWithin",
        "near",
        "nearSphere",
        "specifiers",
        "geoNear",
    ];
    if !geo.contains(&name) {
        return family.to_owned();
    }
    let text = case.to_string();
    let flat = ["\"2d\"", "$center\"", "$box", "$polygon", "$uniqueDocs"]
        .iter()
        .any(|word| text.contains(word))
        || ((text.contains("$near") || text.contains("$maxDistance") || text.contains("$minDistance"))
            && !text.contains("$geometry"));
    if flat { "geo-flat" } else { "geo" }.to_owned()
}

/// If what was expected came; for an error with another number than MongoDB's, both.
fn run(case: &Document) -> Result<Option<(i64, i32)>, String> {
    let mut engine = Engine::default();
    let expects: Vec<&Document> = case
        .get_array("expects")
        .unwrap()
        .iter()
        .map(|expect| expect.as_document().unwrap())
        .collect();
    let mut numbers = None;
    for (at, step) in case.get_array("steps").unwrap().iter().enumerate() {
        let answer = engine.step(step.as_document().unwrap());
        let mut expected = false;
        for expect in expects
            .iter()
            .filter(|expect| number(expect, "step") == at as i64)
        {
            expected = true;
            if expect.contains_key("code") {
                match &answer {
                    Ok(answer) => return Err(format!("no error, but {answer}")),
                    Err(error) if i64::from(error.code) != number(expect, "code") => {
                        numbers = Some((number(expect, "code"), error.code));
                    }
                    Err(_) => {}
                }
                continue;
            }
            let answer = answer
                .as_ref()
                .map_err(|error| format!("{} {error}", error.code))?;
            check(expect, answer)?;
        }
        if !expected {
            answer.map_err(|error| format!("step {at}: {} {error}", error.code))?;
        }
    }
    Ok(numbers)
}

fn number(document: &Document, name: &str) -> i64 {
    match document.get(name) {
        Some(Bson::Int32(number)) => i64::from(*number),
        Some(Bson::Int64(number)) => *number,
        _ => panic!("{name} is no number"),
    }
}

fn check(expect: &Document, answer: &Bson) -> Result<(), String> {
    let differs = |want: &Bson, got: &Bson| Err(format!("wanted {want}, got {got}"));
    if let Some(want) = expect.get("partial") {
        let got = answer.as_document().unwrap();
        for (name, value) in want.as_document().unwrap() {
            if !got.get(name).is_some_and(|got| compare::same(value, got)) {
                return differs(want, answer);
            }
        }
        return Ok(());
    }
    let Some(want) = expect.get("want") else {
        return Ok(());
    };
    let (Bson::Array(want), Bson::Array(got)) = (want, answer) else {
        return if compare::same(want, answer) {
            Ok(())
        } else {
            differs(want, answer)
        };
    };
    let loose: Vec<&str> = expect
        .get_array("anyOrderIn")
        .map(|names| names.iter().filter_map(Bson::as_str).collect())
        .unwrap_or_default();
    let (mut want, mut got) = (want.clone(), got.clone());
    for document in want.iter_mut().chain(&mut got) {
        for name in &loose {
            if let Some(Bson::Array(elements)) = document
                .as_document_mut()
                .and_then(|document| document.get_mut(name))
            {
                compare::sort(elements);
            }
        }
    }
    if expect.get_bool("anyOrder").unwrap_or(false) {
        compare::sort(&mut want);
        compare::sort(&mut got);
    }
    if want.len() == got.len() && want.iter().zip(&got).all(|(want, got)| compare::same(want, got)) {
        return Ok(());
    }
    differs(&Bson::Array(want), &Bson::Array(got))
}

/// Floors are shares, so that they hold for other cases too.
fn check_floors(families: &BTreeMap<String, Tally>) {
    let share = |met: [usize; 2]| {
        if met[1] == 0 {
            100.0
        } else {
            100.0 * met[0] as f64 / met[1] as f64
        }
    };
    let floors = include_str!("floors.txt");
    for line in floors
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, "results", results, "errors", errors] = words.as_slice() else {
            panic!("floors.txt: {line}");
        };
        let Some(tally) = families.get(*name) else {
            continue;
        };
        let floors: [f64; 2] = [results.parse().unwrap(), errors.parse().unwrap()];
        let shares = [share(tally.results), share(tally.errors)];
        assert!(
            shares[0] >= floors[0] && shares[1] >= floors[1],
            "{name} fell below its floor: {shares:?} of {floors:?} per cent"
        );
        if shares[0] >= floors[0] + 0.01 || shares[1] >= floors[1] + 0.01 {
            println!(
                "the floor may rise: {name} results {:.3} errors {:.3}",
                shares[0], shares[1]
            );
        }
    }
}

/// What is known to be missed: the end of a case's name, and why.
fn reasons() -> BTreeMap<String, String> {
    include_str!("missed.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, reason)| (name.to_owned(), reason.to_owned()))
        .collect()
}
