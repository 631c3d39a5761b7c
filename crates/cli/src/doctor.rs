//! `yunqiao doctor`: what is wrong with a project, the mend, and with `--fix` the cure.

use std::{path::Path, process::ExitCode};

use anstream::println;
use doctor::{CuredFile, Diagnosis, DoctorReport};
use project::Project;
use serde_json::json;
use wording::{Wording, wording};

use crate::{
    args,
    data::{self, Keeping},
    lang::{self, say, t},
    paths,
    print::{self, BAD, DIM, GOOD, WARN},
};

/// Exits with 1 while something is wrong.
pub(crate) async fn run(args: &args::Doctor, json: bool) -> anyhow::Result<ExitCode> {
    let mut project = paths::project(&args.dir)?;
    let mut report = examine(&project).await;
    let mut cured = Vec::new();
    if args.fix {
        cured = doctor::cure(&report)?;
        project = paths::project(&args.dir)?;
        report = examine(&project).await;
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

/// What the doctor finds, what the database finds, and what Node finds, where there is a Node.
async fn examine(project: &Project) -> DoctorReport {
    let mut report = doctor::examine(project);
    match data::look_for_unmade(project, Keeping::InProject).await {
        Ok(unmade) => {
            for unmade in unmade {
                report.add_fault_of_settings(&project.root.join("yunqiao.toml"), unmade.what, unmade.mend);
            }
        }
        Err(error) => {
            let why = lang::error(&error);
            let what = say!("the database was not looked at: {why}", "没有检查数据库：{why}");
            print::warning(what, "");
        }
    }
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
                let message = &fault.message;
                let mut what = wording!("it {message}", "此文件{message}"; message);
                if !fault.text.is_empty() {
                    what = Wording::lines([what, Wording::as_is(&fault.text)]);
                }
                report.add_fault_of_source(function.name.clone(), &fault.file, fault.line, what);
            }
        }
        Err(error) => {
            let why = lang::error(&error);
            let what = say!("the source was not parsed: {why}", "没有检查源码的语法：{why}");
            print::warning(what, "");
        }
    }
    report
}

fn as_json(report: &DoctorReport, cured: &[CuredFile]) -> serde_json::Value {
    let found = |found: &Diagnosis| {
        json!({
            "function": found.function.as_ref().map(AsRef::<str>::as_ref),
            "file": found.file,
            "line": found.line,
            "what": lang::of(&found.what),
            "mend": lang::of(&found.mend),
            "curable": found.is_curable(),
        })
    };
    let cured = cured
        .iter()
        .map(|cured| json!({ "file": cured.file, "what": lang::of(&cured.what) }));
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
        println!(
            "{GOOD}✓{GOOD:#} {}: {}",
            place(&cured.file, None),
            lang::of(&cured.what)
        );
    }
    let diagnoses = report.diagnoses.iter().map(|found| (BAD, '✗', found));
    let hints = report.hints.iter().map(|hint| (DIM, '·', hint));
    for (style, mark, found) in diagnoses.chain(hints) {
        let (place, what) = (place(&found.file, found.line), lang::of(&found.what));
        println!("{style}{mark}{style:#} {place}: {what}");
        let cure = match found.is_curable() {
            true => t(" (--fix does it)", "（--fix 会自动修改）"),
            false => "",
        };
        if !found.mend.is_empty() {
            println!("  {DIM}{}{cure}{DIM:#}", lang::of(&found.mend));
        }
    }
    for unseen in &report.unseen {
        let (place, why) = (place(&unseen.file, unseen.line), unseen.wording());
        println!("{WARN}?{WARN:#} {place}: {}", lang::of(&why));
    }
    let count = report.diagnoses.len();
    let curable = report.diagnoses.iter().filter(|found| found.is_curable()).count();
    match (count, fixed) {
        (0, _) => {
            let functions_zh = project.functions.len();
            let functions_en = print::counted(functions_zh, "function");
            let fine = say!(
                "nothing to mend in {functions_en}",
                "检查了 {functions_zh} 个云函数，没有问题"
            );
            println!("{GOOD}✓{GOOD:#} {fine}");
        }
        (_, true) => println!("{}", say!("{count} left for you", "还有 {count} 处要你自己修改")),
        (_, false) => println!(
            "{}",
            say!(
                "{count} to mend, {curable} of them by --fix",
                "有 {count} 处要修改，其中 {curable} 处可以用 --fix 自动修改"
            )
        ),
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
