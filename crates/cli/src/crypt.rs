//! `decrypt`, `sign`, `verify`: the traditional way, offline.

use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clock::Clock;
use opendata::{DecryptError, Policy, SessionKey};

use crate::args;
use crate::print::{self, Coded};

/// Prints the plaintext as it is.
pub(crate) fn decrypt(args: &args::Decrypt, json: bool) -> anyhow::Result<ExitCode> {
    let key = session_key(&args.key)?;
    let data = read(&args.data)?;
    let coded = |error: DecryptError| Coded::new(error.code(), error.to_string());
    let decrypted = opendata::decrypt(&key, data.trim_end(), &args.iv).map_err(coded)?;
    let text = decrypted.as_str().to_owned();
    if let Some(appid) = &args.appid {
        // Offline there is no telling how old data may be: only its app is checked.
        let mut policy = Policy::new(appid);
        policy.max_age = Duration::MAX;
        decrypted
            .into_plaintext(&policy, Clock::system().now())
            .map_err(coded)?;
    }
    if json {
        print::json(&serde_json::json!({ "data": text }));
    } else {
        println!("{text}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the signature.
pub(crate) fn sign(args: &args::Sign, json: bool) -> anyhow::Result<ExitCode> {
    let signature = session_key(&args.key)?.sign(&read(&args.raw_data)?);
    if json {
        print::json(&serde_json::json!({ "signature": signature }));
    } else {
        println!("{signature}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Exits with 0 when the signature is right, with 1 when it is not.
pub(crate) fn verify(args: &args::Verify, json: bool) -> anyhow::Result<ExitCode> {
    let right = session_key(&args.key)?.verify(&read(&args.raw_data)?, &args.signature);
    if json {
        print::json(&serde_json::json!({ "valid": right }));
    } else if right {
        println!("the signature is right");
    } else {
        println!("the signature is not that of this rawData with this session_key");
    }
    Ok(if right {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn session_key(args: &args::SessionKey) -> anyhow::Result<SessionKey> {
    let key = SessionKey::parse(&args.session_key);
    key.map_err(|error| Coded::new(opendata::ILLEGAL_SESSION_KEY, error.to_string()).into())
}

/// The argument itself, or standard input for `-`. Nothing is trimmed: rawData is signed to the byte.
fn read(argument: &str) -> anyhow::Result<String> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .context("standard input could not be read as UTF-8 text")?;
    Ok(text)
}
