//! `yunqiao api`: WeChat's server API as the catalogue has it.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::bail;
use openapi::{Api, CloudCallSupport, Standing};
use serde_json::{Value, json};

use crate::{
    args,
    lang::say,
    print::{self, DIM},
};

/// Prints what matches the word, the best first; without one, everything by name.
pub(crate) fn run(args: &args::Api, json: bool) -> anyhow::Result<ExitCode> {
    let found: Vec<&Api> = match &args.word {
        Some(word) => openapi::search(word),
        None => openapi::all().iter().collect(),
    };
    if let (Some(word), true) = (&args.word, found.is_empty()) {
        match openapi::nearest(word) {
            Some(near) => {
                let near = near.name;
                bail!(say!(
                    "no interface matches {word:?}; did you mean `{near}`?",
                    "没有接口符合 {word:?}；是不是想查 `{near}`？"
                ))
            }
            None => bail!(say!(
                "no interface matches {word:?}; try a part of its name, its path or its document's title",
                "没有接口符合 {word:?}；请试试名称、路径或文档标题的一部分"
            )),
        }
    }
    if json {
        print::json(&found.into_iter().map(describe).collect());
        return Ok(ExitCode::SUCCESS);
    }
    match table(&found) {
        // `yunqiao api | head` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        printed => Ok(printed.map(|()| ExitCode::SUCCESS)?),
    }
}

fn describe(api: &Api) -> Value {
    let withdrawn = match api.standing {
        Standing::Withdrawn(errcode) => Some(errcode),
        Standing::Current | Standing::Outdated => None,
    };
    json!({
        "name": api.name,
        "method": api.method.map(openapi::Method::as_str),
        "path": api.path,
        "cloudCall": cloud_call(api),
        "withdrawn": withdrawn,
        "title": api.title,
        "document": api.document,
        "note": api.note,
    })
}

fn table(found: &[&Api]) -> io::Result<()> {
    let head = ["name", "method", "path", "cloud call", "document"].map(str::to_owned);
    let rows: Vec<[String; 5]> = found.iter().map(|api| row(api)).collect();
    let mut widths = [0; 5];
    for row in rows.iter().chain([&head]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    let line = |row: &[String; 5]| {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut out = anstream::stdout().lock();
    writeln!(out, "{DIM}{}{DIM:#}", line(&head))?;
    for row in &rows {
        writeln!(out, "{}", line(row))?;
    }
    out.flush()
}

/// The cells of a row, all of them ASCII.
fn row(api: &Api) -> [String; 5] {
    let standing = match api.standing {
        Standing::Current => String::new(),
        Standing::Outdated => ", outdated".to_owned(),
        Standing::Withdrawn(errcode) => format!(", withdrawn: {errcode}"),
    };
    [
        api.name.to_owned(),
        api.method.map_or("?", openapi::Method::as_str).to_owned(),
        api.path.to_owned(),
        format!("{}{standing}", cloud_call(api)),
        api.document.unwrap_or_default().to_owned(),
    ]
}

/// As the documents have it; where they are silent, a call is let through.
fn cloud_call(api: &Api) -> &'static str {
    match api.cloud_call {
        CloudCallSupport::Yes => "yes",
        CloudCallSupport::No => "no",
        CloudCallSupport::Unknown => "unknown",
    }
}
