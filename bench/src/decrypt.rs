//! Decryption: the server's own, with the watermark compared and the JSON validated in full, against the official demo's way
//! in Node; both on one core, in turn.

use std::{
    fmt::Write as _,
    fs,
    hint::black_box,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clock::Timestamp;
use opendata::{EncryptedData, Policy, SessionKey};
use serde_json::json;

use crate::{
    median::{Median, median},
    process,
    table::Line,
};

const NODE: &str = include_str!("../peers/wxbizdatacrypt.js");
const APPID: &str = "wx0123456789abcdef";
const NOW: u64 = 1_760_000_000;

pub(crate) fn measure(dir: &Path, rounds: usize, count: u32) -> Result<Vec<Line>> {
    let key = SessionKey::from_bytes(*b"a session's key.");
    let plain = we_run();
    let encrypted = opendata::encrypt(&key, *b"an iv, 16 bytes.", plain.as_bytes());
    let script = dir.join("wxbizdatacrypt.js");
    fs::write(&script, NODE)?;

    let mut ours = Vec::new();
    let mut node = Vec::new();
    for _ in 0..rounds {
        ours.push(decrypt(&key, &encrypted, count)?);
        node.push(decrypt_in_node(&script, &key, &encrypted, count)?);
    }
    let ratio = median(ours.iter().zip(&node).map(|(ours, node)| node / ours)).value;
    let figure = |nanos: Vec<f64>| {
        let Median { value, least, most } = median(nanos);
        format!("{value:.0} ns ({least:.0}–{most:.0}), {:.0}/s", 1e9 / value)
    };
    Ok(vec![
        Line {
            what: format!("decrypt {} bytes, Node's official demo", plain.len()),
            figure: figure(node),
            ..Line::default()
        },
        Line {
            what: "ours, with full JSON validation".to_owned(),
            figure: format!("{}: {ratio:.1} × the demo", figure(ours)),
            goal: "≥ 6 × the demo".to_owned(),
            met: Some(ratio >= 6.0),
            ..Line::default()
        },
    ])
}

/// 31 days of steps, as `wx.getWeRunData` encrypts them.
fn we_run() -> String {
    let mut text = String::from(r#"{"stepInfoList":["#);
    for day in 0..31 {
        let comma = if day > 0 { "," } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            r#"{comma}{{"timestamp":{},"step":{}}}"#,
            NOW - (31 - day) * 86_400,
            100 + day * 331
        );
    }
    let _ = write!(text, r#"],"watermark":{{"timestamp":{NOW},"appid":"{APPID}"}}}}"#);
    text
}

fn decrypt(key: &SessionKey, encrypted: &EncryptedData, count: u32) -> Result<f64> {
    let policy = Policy::new(APPID);
    let now = Timestamp::from_secs(NOW) + Duration::from_secs(1);
    let many = |times: u32| -> Result<()> {
        for _ in 0..times {
            let decrypted = opendata::decrypt(
                key,
                black_box(&encrypted.encrypted_data),
                black_box(&encrypted.iv),
            )?;
            black_box(decrypted.into_plaintext(&policy, now)?.as_json());
        }
        Ok(())
    };
    many(count / 10)?;
    let start = Instant::now();
    many(count)?;
    Ok(start.elapsed().as_nanos() as f64 / f64::from(count))
}

fn decrypt_in_node(script: &Path, key: &SessionKey, encrypted: &EncryptedData, count: u32) -> Result<f64> {
    let task = json!({
        "appId": APPID,
        "sessionKey": key.expose(),
        "encryptedData": encrypted.encrypted_data,
        "iv": encrypted.iv,
        "count": count,
    });
    let mut child = Command::new("node")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting node")?;
    let _registered = process::register(&child);
    // Closed when it is dropped, at the end of the statement.
    child
        .stdin
        .take()
        .context("no stdin")?
        .write_all(task.to_string().as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "Node's way failed");
    String::from_utf8(output.stdout)?
        .trim()
        .parse()
        .context("Node's way printed no number")
}
