//! Database calls from inside a function: what the gateway adds to them. As for other cloud calls (`admin`), the peer is the same
//! function and SDK in a plain Node, given the answer that ours gave, at once.

use std::{path::Path, time::Duration};

use anyhow::{Result, ensure};
use bson::RawDocumentBuf;
use serde_json::{Value, json};
use tcb::{
    SdkReply,
    database::{DatabaseAction, DatabaseAnswer},
};

use super::documents;
use crate::{
    admin::{Answered, Both, LONGEST, NEWEST, SDK, figure, measured},
    median::median,
    ours::{Function, Ours},
    rounds::Plan,
    table::Line,
};

const SOURCE: &str = include_str!("../../peers/database/function.js");
const NAME: &str = "documents";
/// What the gateway may add at p50.
const MOST_MICROS: f64 = 150.0;

const CALLS: [(&str, &str); 3] = [
    ("id", "doc().get()"),
    ("page", "where().orderBy().limit(20).get()"),
    ("insert", "add()"),
];

pub(super) fn measure(
    binary: &Path,
    cache: &Path,
    dir: &Path,
    file: &Path,
    plan: Plan,
    count: u64,
) -> Result<Vec<Line>> {
    let home = dir.join("inside");
    std::fs::create_dir(&home)?;
    let function = Function {
        name: NAME.to_owned(),
        source: SOURCE,
        concurrency: 1,
        max_instances: 1,
        manifest: Some(json!({"dependencies": {SDK: NEWEST}}).to_string()),
        config: None,
        timeout: Some(LONGEST + Duration::from_secs(10)),
    };
    let settings = format!("\n[database]\npath = {:?}\n", file.display().to_string());
    let ours = Ours::start_with(binary, &home, &[function], &settings)?;
    let peer = Answered::start(&ours, NAME, SOURCE, NEWEST, cache, &home)?;
    let span = (plan.measure / 2).min(LONGEST);

    let mut rounds: [Vec<Both>; 3] = Default::default();
    for number in 0..=plan.rounds {
        for ((call, _), rounds) in CALLS.iter().zip(&mut rounds) {
            let event = |span: Duration| {
                json!({
                    "call": call,
                    "id": documents::id(count / 2),
                    "status": documents::STATUSES[0],
                    "document": without_id(documents::document(count)),
                    "millis": span.as_millis() as u64,
                })
            };
            let through_us = |span| measured(ours.call(NAME, &json!({"data": event(span)}))?);
            let at_once = |span| peer.measure(&event(span));

            // Short runs: what is the answer, and does the SDK make the same of the peer's?
            let instant = Duration::from_millis(1);
            let (_, answer) = through_us(instant)?;
            peer.server.answer_with(&reply(&answer)?);
            let (_, same) = at_once(instant)?;
            ensure!(same == answer, "{call} was answered {answer}, its peer {same}");

            let both = if number % 2 == 1 {
                let (peer, _) = at_once(span)?;
                let (ours, _) = through_us(span)?;
                Both { ours, peer }
            } else {
                let (ours, _) = through_us(span)?;
                let (peer, _) = at_once(span)?;
                Both { ours, peer }
            };
            println!(
                "{call} by SDK {NEWEST}: {:.0} µs, answered at once {:.0} µs",
                both.ours.p50, both.peer.p50
            );
            // Round 0 does not count: after it, everybody's code is compiled.
            if number > 0 {
                rounds.push(both);
            }
        }
    }
    Ok(CALLS
        .iter()
        .zip(&rounds)
        .flat_map(|((call, what), rounds)| lines(call, what, rounds))
        .collect())
}

fn lines(call: &str, what: &str, rounds: &[Both]) -> [Line; 2] {
    let more = median(rounds.iter().map(|both| both.ours.p50 - both.peer.p50)).value;
    let tail = median(rounds.iter().map(|both| both.ours.p99 - both.peer.p99)).value;
    // An insert waits for the disk: that is not the gateway's.
    let has_goal = call != "insert";
    [
        Line {
            what: format!("{what}, SDK {NEWEST}, answered at once"),
            figure: figure(rounds, |both| both.peer),
            ..Line::default()
        },
        Line {
            what: format!("{what}, SDK {NEWEST}, through us"),
            figure: format!("{}: {more:+.0} and {tail:+.0}", figure(rounds, |both| both.ours)),
            goal: if has_goal {
                format!("p50 at most {MOST_MICROS} µs more")
            } else {
                String::new()
            },
            met: has_goal.then_some(more <= MOST_MICROS),
            ..Line::default()
        },
    ]
}

fn without_id(mut document: Value) -> Value {
    if let Some(members) = document.as_object_mut() {
        members.remove("_id");
    }
    document
}

/// A reply of which the SDK makes `answer`.
fn reply(answer: &Value) -> Result<SdkReply> {
    let read = |value: &Value| -> Result<RawDocumentBuf> {
        let document = ejson::read_document(value.to_string().as_bytes())?;
        Ok(RawDocumentBuf::try_from(&document)?)
    };
    let (action, found) = match (&answer["_id"], &answer["data"]) {
        (id @ Value::String(_), _) => (
            DatabaseAction::InsertDocuments,
            DatabaseAnswer::Inserted(vec![ejson::read(id.to_string().as_bytes())?]),
        ),
        (_, Value::Array(list)) => (
            DatabaseAction::Get,
            DatabaseAnswer::Documents(list.iter().map(read).collect::<Result<_>>()?),
        ),
        (_, one) => (DatabaseAction::Get, DatabaseAnswer::Documents(vec![read(one)?])),
    };
    Ok(found.reply(action, "at-once"))
}
