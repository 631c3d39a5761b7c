//! How often each API was called today, as `/cgi-bin/openapi/quota/get` tells and `clear_quota` forgets (WeChat's documents
//! "查询API调用额度", "重置API调用次数", "使用AppSecret重置API调用次数", "重置指定API调用次数").
//!
//! Only calls with a good access_token count. WeChat has a limit for each API and account, and publishes few; here it is the
//! same for all, and nobody is refused for it: 45009 is had by a fault (`/sim/faults`).

use std::collections::HashMap;

use clock::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    Simulator,
    people::shapes::{beijing_day, beijing_month},
    server::errors::ApiRefusal,
};

/// The choice for every API's limit a day.
const DAILY_LIMIT: u64 = 1_000_000;
/// How often a month `clear_quota` and `clear_quota/v2` together can be used.
const CLEARS: u32 = 10;
/// How often a month `openapi/quota/clear` can be used.
const API_CLEARS: u32 = 50;

/// The calls of a day and the clearings of a month, in Beijing.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    day: u64,
    /// By appid and path.
    used: HashMap<(String, String), u64>,
    month: u64,
    /// By appid: of everything, and of single APIs.
    clears: HashMap<String, (u32, u32)>,
}

impl Quotas {
    /// An app called an API.
    pub(crate) fn count(&mut self, appid: &str, path: &str, now: Timestamp) {
        self.turn(now);
        let used = self.used.entry((appid.to_owned(), path.to_owned()));
        *used.or_default() += 1;
    }

    fn used(&mut self, appid: &str, path: &str, now: Timestamp) -> u64 {
        self.turn(now);
        let used = self.used.get(&(appid.to_owned(), path.to_owned()));
        used.copied().unwrap_or_default()
    }

    /// Forgets an app's calls: of one path, or all.
    fn clear(&mut self, appid: &str, path: Option<&str>, now: Timestamp) -> Result<(), ApiRefusal> {
        self.turn(now);
        let clears = self.clears.entry(appid.to_owned()).or_default();
        let (cleared, limit) = match path {
            None => (&mut clears.0, CLEARS),
            Some(_) => (&mut clears.1, API_CLEARS),
        };
        if *cleared == limit {
            return Err(ApiRefusal::ClearLimit);
        }
        *cleared += 1;
        self.used
            .retain(|(app, at), _| app != appid || path.is_some_and(|path| path != at));
        Ok(())
    }

    /// Begins a new day and a new month where they have begun.
    fn turn(&mut self, now: Timestamp) {
        let (day, month) = (beijing_day(now), beijing_month(now));
        if self.day != day {
            self.day = day;
            self.used.clear();
        }
        if self.month != month {
            self.month = month;
            self.clears.clear();
        }
    }
}

/// The API that is asked about.
fn cgi_path(params: &Map<String, Value>) -> Result<&str, ApiRefusal> {
    let path = params.get("cgi_path").and_then(Value::as_str).unwrap_or("");
    if path.starts_with("/sns/") {
        return Err(ApiRefusal::CgiPathForbidden);
    }
    if openapi::at_path(path).is_empty() {
        return Err(ApiRefusal::CgiPathNotFound);
    }
    Ok(path)
}

/// `POST /cgi-bin/openapi/quota/get`
pub(crate) fn get(sim: &Simulator, appid: &str, params: &Map<String, Value>) -> Result<Value, ApiRefusal> {
    let path = cgi_path(params)?;
    let used = sim.world().quotas.used(appid, path, sim.now());
    Ok(json!({
        "errcode": 0,
        "errmsg": "ok",
        "quota": { "daily_limit": DAILY_LIMIT, "used": used, "remain": DAILY_LIMIT.saturating_sub(used) },
    }))
}

/// `POST /cgi-bin/clear_quota` and `/cgi-bin/clear_quota/v2`: of the calling app alone.
pub(crate) fn clear(sim: &Simulator, appid: &str, params: &Map<String, Value>) -> Result<(), ApiRefusal> {
    if params.get("appid").and_then(Value::as_str) != Some(appid) {
        return Err(ApiRefusal::InvalidAppid);
    }
    sim.world().quotas.clear(appid, None, sim.now())
}

/// `POST /cgi-bin/openapi/quota/clear`
pub(crate) fn clear_one(sim: &Simulator, appid: &str, params: &Map<String, Value>) -> Result<(), ApiRefusal> {
    let path = cgi_path(params)?;
    sim.world().quotas.clear(appid, Some(path), sim.now())
}
