//! The first call of a function that was never called and requires wx-server-sdk 4.0.2.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
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
/// After a spare was taken the next one boots and loads the SDK, in about a third of a second of CPU time.
const REFILL: Duration = Duration::from_secs(3);
