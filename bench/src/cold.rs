//! The first call of a function that was never called and requires wx-server-sdk 4.0.2: with a spare worker that has the SDK
//! loaded, and, right after it has been taken, without one.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::json;

use crate::{
    median::{Median, median, millis},
    ours::{Function, Ours},
    table::Line,
};

const SOURCE: &str = "const cloud = require('wx-server-sdk')\n\
                      cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })\n\
                      exports.main = async () => cloud.getWXContext().OPENID\n";
const MANIFEST: &str = r#"{"dependencies":{"wx-server-sdk":"4.0.2"}}"#;
/// Within it, the next spare has booted and loaded the SDK: about a third of a second of CPU time.
const REFILL: Duration = Duration::from_secs(3);

pub(crate) fn measure(binary: &Path, dir: &Path, count: usize) -> Result<Vec<Line>> {
    let names: Vec<String> = (0..2 * count).map(|number| format!("cold-{number}")).collect();
    let functions: Vec<Function> = names
        .iter()
        .map(|name| Function {
            name: name.clone(),
            source: SOURCE,
            concurrency: 1,
            max_instances: 1,
            manifest: Some(MANIFEST.to_owned()),
            config: None,
            timeout: None,
        })
        .collect();
    let ours = Ours::start(binary, dir, &functions)?;
    let first_call = |name: &String| -> Result<f64> {
        let start = Instant::now();
        let result = ours.call(name, &json!({}))?;
        let took = millis(start.elapsed());
        ensure!(result.is_string(), "{name} returned {result}");
        Ok(took)
    };

    let mut with = Vec::new();
    let mut without = Vec::new();
    for pair in names.chunks_exact(2) {
        thread::sleep(REFILL);
        with.push(first_call(&pair[0])?);
        without.push(first_call(&pair[1])?);
    }
    let line = |what: &str, took: Vec<f64>, most_allowed: f64| {
        let Median { value, least, most } = median(took);
        Line {
            what: what.to_owned(),
            figure: format!("{value:.1} ms ({least:.1}–{most:.1})"),
            goal: format!("≤ {most_allowed} ms"),
            met: Some(value <= most_allowed),
            ..Line::default()
        }
    };
    Ok(vec![
        line("first call, wx-server-sdk 4.0.2, a spare", with, 15.0),
        line("first call, wx-server-sdk 4.0.2, no spare", without, 200.0),
    ])
}
