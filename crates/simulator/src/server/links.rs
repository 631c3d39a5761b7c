//! Links that open the Mini Program from outside: URL scheme, URL link, short link (WeChat's documents "获取加密scheme码",
//! "查询scheme码", "获取NFC的小程序scheme", "获取加密URLLink", "查询加密URLLink", "获取ShortLink").
//!
//! What was generated can be queried until it expires, by WeChat's clock; then it is 85403, as one that never was: a choice.
//! Where a request leaves the life open, it is the longest, 30 days: a choice too. Nobody can open any of them, which is why
//! the visits that are left in a day never grow fewer. A short link has no query in WeChat.

use std::time::Duration;

use clock::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    Simulator, random,
    recent::Recent,
    server::{acode::SCENE_SIGNS, catalogued::typed, errors::ApiRefusal},
};

const DAY: Duration = Duration::from_secs(24 * 3600);
const SHORTEST_LIFE: Duration = Duration::from_secs(60);
const LONGEST_DAYS: u32 = 30;
const LONGEST_QUERY: usize = 1024;
/// How often schemes and links together may be opened in a day.
const VISITS: u64 = 3_000_000;
/// Characters of a title before it is cut.
const LONGEST_TITLE: usize = 20;

const SCHEME: &str = "weixin://dl/business/?";
const URL: &str = "https://wxaurl.cn/";

/// Those of late, by what they begin with: up to the query that whoever hands one on may have added.
#[derive(Debug, Default)]
pub(crate) struct Links(Recent<Link>);

#[derive(Clone, Debug)]
struct Link {
    appid: String,
    target: Target,
    created: Timestamp,
    /// `None`: never.
    expires: Option<Timestamp>,
    cloud_base: CloudBase,
}

/// Where in the app a link leads.
#[derive(Clone, Debug, Default, Deserialize)]
struct Target {
    #[serde(default)]
    path: String,
    #[serde(default)]
    query: String,
    #[serde(default)]
    env_version: String,
}

/// The page in between that an app has of its own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct CloudBase {
    env: String,
    domain: String,
    path: String,
    query: String,
    resource_appid: String,
}

/// How long a link is to live.
#[derive(Debug, Default, Deserialize)]
struct Life {
    #[serde(default)]
    expire_type: u8,
    /// Unix seconds, with type 0.
    expire_time: Option<u64>,
    /// Days, with type 1.
    expire_interval: Option<u32>,
}

impl Target {
    /// The rules of the documents; whether the page exists is not known here.
    fn check(&mut self) -> Result<(), ApiRefusal> {
        if self.path.contains('?') {
            return Err(ApiRefusal::InvalidPagePath);
        }
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || SCENE_SIGNS.contains(&byte) || byte == b'%';
        if self.query.len() > LONGEST_QUERY || !self.query.bytes().all(legal) {
            return Err(ApiRefusal::InvalidQuery);
        }
        match self.env_version.as_str() {
            "" => "release".clone_into(&mut self.env_version),
            "release" | "trial" | "develop" => {}
            _ => return Err(ApiRefusal::InvalidEnvVersion),
        }
        Ok(())
    }
}

impl Life {
    fn end(&self, now: Timestamp) -> Result<Timestamp, ApiRefusal> {
        let days = |days: u32| now + DAY * days;
        let end = match (self.expire_type, self.expire_time, self.expire_interval) {
            (0, Some(at), _) => Timestamp::from_secs(at),
            (1, _, Some(interval)) => days(interval.min(LONGEST_DAYS + 1)),
            (0, None, _) => days(LONGEST_DAYS),
            _ => return Err(ApiRefusal::LinkLife),
        };
        if end < now + SHORTEST_LIFE || end > days(LONGEST_DAYS) {
            return Err(ApiRefusal::LinkLife);
        }
        Ok(end)
    }
}

impl Links {
    fn get(&self, start: &str, appid: &str, now: Timestamp) -> Result<&Link, ApiRefusal> {
        let live = |link: &&Link| link.appid == appid && link.expires.is_none_or(|at| now < at);
        self.0.get(start).filter(live).ok_or(ApiRefusal::LinkNotFound)
    }
}

impl Link {
    /// `scheme_info`, and all but one member of `url_link_info`; `added` is what stands after `cq=`, and joins the link's
    /// own query: a choice.
    fn info(&self, added: &str) -> Value {
        let query = match (self.target.query.as_str(), added) {
            ("", query) | (query, "") => query.to_owned(),
            (query, added) => format!("{query}&{added}"),
        };
        json!({
            "appid": self.appid,
            "path": self.target.path,
            "query": query,
            "create_time": self.created.secs(),
            "expire_time": self.expires.map_or(0, Timestamp::secs),
            "env_version": self.target.env_version,
        })
    }
}

#[derive(Deserialize)]
struct SchemeParams {
    #[serde(default)]
    jump_wxa: Target,
    #[serde(flatten)]
    life: Life,
}

/// `POST /wxa/generatescheme`
pub(crate) fn scheme(sim: &Simulator, appid: &str, params: &Map<String, Value>) -> Result<Value, ApiRefusal> {
    let asked: SchemeParams = typed(sim, params)?;
    let end = asked.life.end(sim.now())?;
    new_scheme(sim, appid, asked.jump_wxa, Some(end))
}

#[derive(Deserialize)]
struct NfcParams {
    #[serde(default)]
    jump_wxa: Target,
    #[serde(default)]
    model_id: String,
}

/// `POST /wxa/generatenfcscheme`: it never expires, for it is written onto a thing. Any `model_id` will do.
pub(crate) fn nfc_scheme(
    sim: &Simulator,
    appid: &str,
    params: &Map<String, Value>,
) -> Result<Value, ApiRefusal> {
    let asked: NfcParams = typed(sim, params)?;
    if asked.model_id.is_empty() {
        return Err(ApiRefusal::InvalidModelId);
    }
    new_scheme(sim, appid, asked.jump_wxa, None)
}

fn new_scheme(
    sim: &Simulator,
    appid: &str,
    mut target: Target,
    expires: Option<Timestamp>,
) -> Result<Value, ApiRefusal> {
    target.check()?;
    let link = Link {
        appid: appid.to_owned(),
        target,
        created: sim.now(),
        expires,
        cloud_base: CloudBase::default(),
    };
    let text = format!("{SCHEME}t={}", random::alphanumeric(11));
    sim.world().links.0.put(text.clone(), link);
    Ok(json!({ "errcode": 0, "errmsg": "ok", "openlink": text }))
}

#[derive(Deserialize)]
struct QueryParams {
    #[serde(default, alias = "url_link")]
    scheme: String,
    /// 1 asks how often links may still be opened today.
    #[serde(default)]
    query_type: u8,
}

impl QueryParams {
    /// The answer to the second kind of question.
    fn visits(&self) -> Option<Value> {
        (self.query_type == 1)
            .then(|| json!({ "errcode": 0, "errmsg": "ok", "quota_info": { "remain_visit_quota": VISITS } }))
    }
}

/// `POST /wxa/queryscheme`: of one that was generated, or of one in plain text.
pub(crate) fn query_scheme(
    sim: &Simulator,
    appid: &str,
    params: &Map<String, Value>,
) -> Result<Value, ApiRefusal> {
    let asked: QueryParams = typed(sim, params)?;
    if let Some(visits) = asked.visits() {
        return Ok(visits);
    }
    let rest = asked.scheme.strip_prefix(SCHEME).ok_or(ApiRefusal::InvalidArgs)?;
    let info = if rest.starts_with("t=") {
        let (start, added) = split(&asked.scheme, "&cq=");
        sim.world().links.get(start, appid, sim.now())?.info(added)
    } else {
        plain_scheme(appid, rest)?
    };
    Ok(json!({ "errcode": 0, "errmsg": "ok", "scheme_info": info }))
}

/// `appid=…&path=…&query=a=1&b=2&env_version=release`: the query is not escaped in the document's sample, and may be.
fn plain_scheme(appid: &str, text: &str) -> Result<Value, ApiRefusal> {
    let (head, env_version) = split(text, "&env_version=");
    let (head, query) = split(head, "&query=");
    let (head, path) = split(head, "&path=");
    if head.strip_prefix("appid=") != Some(appid) {
        return Err(ApiRefusal::PlainScheme);
    }
    let unescaped = |text: &str| {
        let whole = text.replace('&', "%26").replace('=', "%3D").replace('+', "%2B");
        form_urlencoded::parse(whole.as_bytes())
            .next()
            .map_or_else(String::new, |(text, _)| text.into_owned())
    };
    let mut target = Target {
        path: unescaped(path),
        query: unescaped(query),
        env_version: env_version.to_owned(),
    };
    target.check()?;
    Ok(json!({
        "appid": appid,
        "path": target.path,
        "query": target.query,
        "env_version": target.env_version,
    }))
}

/// What stands before and after `mark`; after it nothing if it is not there.
fn split<'a>(text: &'a str, mark: &str) -> (&'a str, &'a str) {
    text.split_once(mark).unwrap_or((text, ""))
}

#[derive(Deserialize)]
struct UrlParams {
    #[serde(flatten)]
    target: Target,
    #[serde(flatten)]
    life: Life,
    #[serde(default)]
    cloud_base: CloudBase,
}

/// `POST /wxa/generate_urllink`
pub(crate) fn url(sim: &Simulator, appid: &str, params: &Map<String, Value>) -> Result<Value, ApiRefusal> {
    let UrlParams {
        mut target,
        life,
        cloud_base,
    } = typed(sim, params)?;
    let now = sim.now();
    let expires = Some(life.end(now)?);
    target.check()?;
    let link = Link {
        appid: appid.to_owned(),
        target,
        created: now,
        expires,
        cloud_base,
    };
    let text = format!("{URL}{}", random::alphanumeric(11));
    sim.world().links.0.put(text.clone(), link);
    Ok(json!({ "errcode": 0, "errmsg": "ok", "url_link": text }))
}

/// `POST /wxa/query_urllink`
pub(crate) fn query_url(
    sim: &Simulator,
    appid: &str,
    params: &Map<String, Value>,
) -> Result<Value, ApiRefusal> {
    let asked: QueryParams = typed(sim, params)?;
    if let Some(visits) = asked.visits() {
        return Ok(visits);
    }
    if !asked.scheme.starts_with(URL) {
        return Err(ApiRefusal::InvalidArgs);
    }
    let (start, added) = split(&asked.scheme, "?cq=");
    let world = sim.world();
    let link = world.links.get(start, appid, sim.now())?;
    let mut info = link.info(added);
    let CloudBase {
        env,
        domain,
        path,
        query,
        resource_appid,
    } = &link.cloud_base;
    // `doamin` in all samples of the document; its table is silent.
    info["cloud_base"] = json!({
        "env": env,
        "doamin": domain,
        "path": path,
        "query": query,
        "resource_appid": resource_appid,
    });
    Ok(json!({ "errcode": 0, "errmsg": "ok", "url_link_info": info }))
}

#[derive(Deserialize)]
struct ShortLinkParams {
    #[serde(default)]
    page_url: String,
    #[serde(default)]
    page_title: String,
}

/// `POST /wxa/genwxashortlink`: `#小程序://小程序示例/示例页面/9pZvnVw3KMCQpVp` (WeChat's document "获取 Short Link"), with the appid
/// where the app's name should be.
pub(crate) fn short(sim: &Simulator, appid: &str, params: &Map<String, Value>) -> Result<Value, ApiRefusal> {
    let asked: ShortLinkParams = typed(sim, params)?;
    if asked.page_url.is_empty() || asked.page_url.len() > LONGEST_QUERY {
        return Err(ApiRefusal::InvalidUrl);
    }
    let mut title = asked.page_title;
    if let Some((end, _)) = title.char_indices().nth(LONGEST_TITLE) {
        title.truncate(end);
        title.push_str("...");
    }
    let link = format!("#小程序://{appid}/{title}/{}", random::alphanumeric(15));
    Ok(json!({ "errcode": 0, "errmsg": "ok", "link": link }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_life_is_a_minute_to_thirty_days() {
        let now = Timestamp::from_secs(1_000_000);
        let end = |life: Value| {
            let life: Life = serde_json::from_value(life).unwrap();
            life.end(now).map(|end| end.secs() - now.secs())
        };
        let day = 86_400;
        for (life, lasts) in [
            (json!({}), Ok(30 * day)),
            (json!({ "expire_time": 1_000_060 }), Ok(60)),
            (json!({ "expire_time": 1_000_059 }), Err(ApiRefusal::LinkLife)),
            (json!({ "expire_time": 1_000_000 + 30 * day }), Ok(30 * day)),
            (
                json!({ "expire_time": 1_000_001 + 30 * day }),
                Err(ApiRefusal::LinkLife),
            ),
            (json!({ "expire_type": 1, "expire_interval": 1 }), Ok(day)),
            (json!({ "expire_type": 1, "expire_interval": 30 }), Ok(30 * day)),
            (
                json!({ "expire_type": 1, "expire_interval": 31 }),
                Err(ApiRefusal::LinkLife),
            ),
            (
                json!({ "expire_type": 1, "expire_interval": u32::MAX }),
                Err(ApiRefusal::LinkLife),
            ),
            (
                json!({ "expire_type": 1, "expire_interval": 0 }),
                Err(ApiRefusal::LinkLife),
            ),
            (
                json!({ "expire_type": 1, "expire_time": 1_000_060 }),
                Err(ApiRefusal::LinkLife),
            ),
            (json!({ "expire_type": 2 }), Err(ApiRefusal::LinkLife)),
        ] {
            assert_eq!(end(life.clone()), lasts, "{life}");
        }
    }

    #[test]
    fn a_plain_scheme_is_read_escaped_or_not() {
        let expected =
            json!({ "appid": "wx1", "path": "pages/a", "query": "a=1&b=2", "env_version": "trial" });
        for text in [
            "appid=wx1&path=pages/a&query=a=1&b=2&env_version=trial",
            "appid=wx1&path=pages%2Fa&query=a%3D1%26b%3D2&env_version=trial",
        ] {
            assert_eq!(plain_scheme("wx1", text), Ok(expected.clone()), "{text}");
        }
        assert_eq!(
            plain_scheme("wx1", "appid=wx1").unwrap(),
            json!({ "appid": "wx1", "path": "", "query": "", "env_version": "release" })
        );
        assert_eq!(
            plain_scheme("wx1", "appid=wx2&path=a"),
            Err(ApiRefusal::PlainScheme)
        );
    }
}
