//! What a client asks of the database by itself: a query of 20 documents through `/v1/database`, beside a function that asks for the
//! same. What it costs to judge a query by a rule, `cargo bench -p yunqiao-rules` says.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{
    admin::{NEWEST, SDK},
    http,
    load::{self, Expected, Run, Target},
    median::median,
    ours::{Function, Ours},
    rounds::Plan,
    table::Line,
};

/// The function that asks for the same.
const FUNCTION: &str = "const cloud = require('wx-server-sdk')
cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })
const notes = cloud.database().collection('notes')
exports.main = async () => {
  const { OPENID } = cloud.getWXContext()
  const { data } = await notes.where({ _openid: OPENID, done: false }).orderBy('n', 'asc').limit(20).get()
  return data
}
";
const NAME: &str = "page";
const DOCUMENTS: usize = 200;
const CONNECTIONS: usize = 32;
/// Calls per second of a client's query, to those of the function.
const LEAST: f64 = 0.9;

/// Asks a gateway that `binary` serves.
pub(crate) fn measure(binary: &Path, dir: &Path, plan: Plan) -> Result<Vec<Line>> {
    fs::create_dir_all(dir)?;
    let function = Function {
        name: NAME.to_owned(),
        source: FUNCTION,
        concurrency: 64,
        max_instances: 1,
        manifest: Some(json!({"dependencies": {SDK: NEWEST}}).to_string()),
        config: None,
        timeout: None,
    };
    let settings = "\n[database.collections.notes]\nindexes = [[\"_openid\", \"done\", \"n\"]]\n";
    let ours = Ours::start_with(binary, dir, &[function], settings)?;
    fill(&ours)?;
    let by_client = json!({
        "action": "database.getDocument", "collectionName": "notes",
        "query": json!({"done": false}).to_string(), "order": json!({"n": 1}).to_string(), "limit": 20,
    });
    let client = target(&ours, "/v1/database", &by_client, |reply| {
        reply["data"]["list"].as_array().map(Vec::len)
    })?;
    let called = target(
        &ours,
        &format!("/v1/functions/{NAME}"),
        &json!({"data": {}}),
        |reply| reply["result"].as_array().map(Vec::len),
    )?;
    let run = Run {
        connections: CONNECTIONS,
        warm_up: plan.measure / 4,
        measure: plan.measure,
    };
    let mut samples: [Vec<f64>; 2] = Default::default();
    // Round 0 does not count: after it, everybody's code is compiled.
    for number in 0..=plan.rounds {
        for turn in 0..2 {
            let index = (number + turn) % 2;
            let measured = load::run([&client, &called][index], run, || {})?;
            if number > 0 {
                samples[index].push(measured.per_second);
            }
        }
    }
    let [client, called] = &samples;
    let ratio = median(client.iter().zip(called).map(|(client, called)| client / called)).value;
    let figure = |of: &[f64]| format!("{:.0}/s", median(of.iter().copied()).value);
    Ok(vec![
        Line {
            what: "a function that asks for 20 documents, concurrency = 64".to_owned(),
            figure: figure(called),
            ..Line::default()
        },
        Line {
            what: "a client that asks for them, /v1/database".to_owned(),
            figure: format!("{}, {ratio:.2} × the function's", figure(client)),
            goal: format!("≥ {LEAST} × the function's"),
            met: Some(ratio >= LEAST),
            ..Line::default()
        },
    ])
}

/// Alice's documents.
fn fill(ours: &Ours) -> Result<()> {
    let documents: Vec<String> = (0..DOCUMENTS)
        .map(|n| {
            json!({"n": n, "done": n % 2 == 1, "title": format!("note {n}"), "text": "x".repeat(200)})
                .to_string()
        })
        .collect();
    let body = json!({"action": "database.insertDocument", "collectionName": "notes", "data": documents});
    let added = http::json(ours.gateway, "/v1/database", Some(&ours.token), &body)?;
    ensure!(added["data"]["insertedIds"].is_array(), "not added: {added}");
    Ok(())
}

/// A request that is answered with 20 documents.
fn target(ours: &Ours, path: &str, body: &Value, count: fn(&Value) -> Option<usize>) -> Result<Target> {
    let request = http::post(ours.gateway, path, Some(&ours.token), &body.to_string());
    let (status, reply) = http::exchange(ours.gateway, &request)?;
    let text = String::from_utf8_lossy(&reply).into_owned();
    let parsed: Value = serde_json::from_str(&text).context("a reply that is not JSON")?;
    ensure!(
        status == 200 && count(&parsed) == Some(20),
        "{path} answers {status} {text}"
    );
    Ok(Target {
        addr: ours.gateway,
        request,
        expected: Expected {
            prefix: b"{\"re".to_vec(),
            length: reply.len(),
            thorough: |body| {
                serde_json::from_slice::<Value>(body)?;
                Ok(())
            },
        },
    })
}
