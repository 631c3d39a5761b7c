//! `yunqiao doctor`: what is wrong with a project, the mend, and with `--fix` the cure.

use std::{path::Path, process::ExitCode};

use anstream::println;
use doctor::{CuredFile, Diagnosis, DoctorReport};
use project::Project;
use serde_json::json;

use crate::{
    args, paths,
    print::{self, BAD, DIM, GOOD, WARN},
};

/// Exits with 1 while something is wrong.
pub(crate) fn run(args: &args::Doctor, json: bool) -> anyhow::Result<ExitCode> {
    let mut project = paths::project(&args.dir)?;
    let mut report = examine(&project);
    let mut cured = Vec::new();
    if args.fix {
        cured = doctor::cure(&report)?;
        project = paths::project(&args.dir)?;
        report = examine(&project);
    }
    if json {
        print::json(&as_json(&report, &cured));
    } else {
        show(&report, &cured, &project, args.fix);
    }
    Ok(if report.diagnoses.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What the doctor finds, and what Node finds, where there is a Node.
fn examine(project: &Project) -> DoctorReport {
    let mut report = doctor::examine(project);
    let runnable = || {
        let functions = project.functions.values().map(|listed| &listed.function);
        functions.filter(|function| function.problem.is_none())
    };
    let parsed = paths::node().and_then(|node| Ok(runtime::source_faults(&node, runnable())?));
    match parsed {
        Ok(faults) => {
            for (function, fault) in runnable()
                .zip(faults)
                .flat_map(|(function, faults)| faults.into_iter().map(move |fault| (function, fault)))
            {
                let mut what = format!("it {}", fault.message);
                if !fault.text.is_empty() {
                    what.push_str(&format!("\n{}", fault.text));
                }
                report.add_fault_of_source(function.name.clone(), &fault.file, fault.line, what);
            }
        }
        Err(error) => print::warning(format_args!("the source was not parsed: {error:#}"), ""),
    }
    report
}

fn as_json(report: &DoctorReport, cured: &[CuredFile]) -> serde_json::Value {
    let found = |found: &Diagnosis| {
        json!({
            "function": found.function.as_ref().map(AsRef::<str>::as_ref),
            "file": found.file,
            "line": found.line,
            "what": found.what,
            "mend": found.mend,
            "curable": found.is_curable(),
        })
    };
    let cured = cured
        .iter()
        .map(|cured| json!({ "file": cured.file, "what": cured.what }));
    let unseen = report.unseen.iter().map(|unseen| {
        json!({ "function": unseen.function.as_ref() as &str, "file": unseen.file, "line": unseen.line })
    });
    json!({
        "diagnoses": report.diagnoses.iter().map(found).collect::<Vec<_>>(),
        "hints": report.hints.iter().map(found).collect::<Vec<_>>(),
        "cured": cured.collect::<Vec<_>>(),
        "unseen": unseen.collect::<Vec<_>>(),
    })
}

fn show(report: &DoctorReport, cured: &[CuredFile], project: &Project, fixed: bool) {
    for cured in cured {
        println!("{GOOD}✓{GOOD:#} {}: {}", place(&cured.file, None), cured.what);
    }
    for found in &report.diagnoses {
        println!("{BAD}✗{BAD:#} {}: {}", place(&found.file, found.line), found.what);
        let cure = if found.is_curable() {
            " (--fix does it)"
        } else {
            ""
        };
        if !found.mend.is_empty() {
            println!("  {DIM}{}{cure}{DIM:#}", found.mend);
        }
    }
    for hint in &report.hints {
        println!("{DIM}·{DIM:#} {}: {}", place(&hint.file, hint.line), hint.what);
        let cure = if hint.is_curable() { " (--fix does it)" } else { "" };
        println!("  {DIM}{}{cure}{DIM:#}", hint.mend);
    }
    for unseen in &report.unseen {
        let why = match unseen.line {
            Some(_) => "what is called from here cannot be seen in the text",
            None => "it was not looked at: it cannot be read, or is larger than 2 MB",
        };
        println!("{WARN}?{WARN:#} {}: {why}", place(&unseen.file, unseen.line));
    }
    let count = report.diagnoses.len();
    let curable = report.diagnoses.iter().filter(|found| found.is_curable()).count();
    match (count, fixed) {
        (0, _) => println!(
            "{GOOD}✓{GOOD:#} nothing to mend in {}",
            print::counted(project.functions.len(), "function")
        ),
        (_, true) => println!("{count} left for you"),
        (_, false) => println!("{count} to mend, {curable} of them by --fix"),
    }
}

/// `file:line`, as an editor opens it.
fn place(file: &Path, line: Option<usize>) -> String {
    let file = file.strip_prefix(".").unwrap_or(file).display();
    match line {
        Some(line) => format!("{file}:{line}"),
        None => file.to_string(),
    }
}
