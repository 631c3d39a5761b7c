//! The simulated WeChat behind the project, by its own HTTP: its users, its outbox, its clock.

use bytes::Bytes;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use wording::{Wording, wording};

use crate::lang::Lang;

/// The simulator, as the console reaches it.
#[derive(Debug)]
pub struct Simulated {
    client: reqwest::Client,
    url: String,
}

/// Why the simulator did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the simulated WeChat does not answer: {0}")]
    Unreachable(#[from] reqwest::Error),
    /// Its own words.
    #[error("{0}")]
    Refused(Wording),
}

impl Error {
    /// In the language of whoever reads it.
    pub(crate) fn text(&self, lang: Lang) -> String {
        match self {
            Self::Unreachable(error) => {
                let said = wording!(
                    "the simulated WeChat does not answer: {error}",
                    "模拟微信没有响应：{error}"
                );
                lang.of_wording(&said).to_owned()
            }
            Self::Refused(said) => lang.of_wording(said).to_owned(),
        }
    }
}

/// A simulated person.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) openid: String,
    pub(crate) unionid: Option<String>,
    pub(crate) profile: Profile,
    pub(crate) phone: String,
    /// A day each, today's last.
    pub(crate) steps: Vec<u32>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Profile {
    pub(crate) nick_name: String,
}

/// Something that would have reached somebody.
#[derive(Debug, Deserialize)]
pub(crate) struct Item {
    pub(crate) api: String,
    pub(crate) to: String,
    pub(crate) body: Value,
    /// Seconds of WeChat's time.
    pub(crate) at: i64,
    /// The number of what was drawn.
    pub(crate) image: Option<u64>,
    pub(crate) note: Option<String>,
    #[serde(rename = "noteZh")]
    pub(crate) note_zh: Option<String>,
}

impl Item {
    /// What WeChat would have done that was not done.
    pub(crate) fn note(&self, lang: Lang) -> Option<&str> {
        let note = self.note.as_deref()?;
        Some(lang.either(note, self.note_zh.as_deref().unwrap_or_default()))
    }
}

/// A template of subscribe messages.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Template {
    pub(crate) pri_tmpl_id: String,
    pub(crate) title: String,
    /// Lines such as `会议时间:{{date2.DATA}}`.
    pub(crate) content: String,
}

/// Something that goes wrong on purpose.
#[derive(Debug, Deserialize)]
pub(crate) struct Fault {
    pub(crate) api: String,
    pub(crate) kind: String,
    pub(crate) value: Option<i64>,
    /// How many more calls it strikes.
    pub(crate) next: Option<u32>,
    pub(crate) probability: Option<f64>,
    pub(crate) fired: u64,
}

/// What a content check says.
#[derive(Debug, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) kind: String,
    pub(crate) contains: Option<String>,
    pub(crate) sha256: Option<String>,
    pub(crate) suggest: String,
    pub(crate) label: Option<u32>,
}

/// A push, and what became of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pushed {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) url: String,
    pub(crate) mode: String,
    pub(crate) format: String,
    pub(crate) packet: Value,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    warnings_zh: Vec<String>,
    #[serde(default)]
    pub(crate) held_back: bool,
    pub(crate) attempts: Vec<Attempt>,
}

/// One time that it was sent.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Attempt {
    pub(crate) ms: u64,
    #[serde(default)]
    pub(crate) duplicate: bool,
    pub(crate) status: Option<u16>,
    /// The body as it came.
    pub(crate) answer: Option<String>,
    /// What the body says, decrypted.
    pub(crate) reply: Option<Value>,
    pub(crate) acknowledged: bool,
    meaning: String,
    #[serde(default)]
    meaning_zh: String,
}

impl Pushed {
    /// What may be a mistake in what was asked for.
    pub(crate) fn warnings(&self, lang: Lang) -> impl Iterator<Item = &str> {
        let zh = self.warnings_zh.iter().map(String::as_str);
        let all = self.warnings.iter().zip(zh.chain(std::iter::repeat("")));
        all.map(move |(en, zh)| lang.either(en, zh))
    }
}

impl Attempt {
    /// What it came to.
    pub(crate) fn meaning(&self, lang: Lang) -> &str {
        lang.either(&self.meaning, &self.meaning_zh)
    }
}

impl Simulated {
    /// The simulator at `url`, asked with a client that goes straight to loopback.
    #[must_use]
    pub fn new(url: String, client: reqwest::Client) -> Self {
        Self { client, url }
    }

    pub(crate) async fn users(&self) -> Result<Vec<User>, Error> {
        #[derive(Deserialize)]
        struct Users {
            users: Vec<User>,
        }
        Ok(self.get::<Users>("users").await?.users)
    }

    pub(crate) async fn outbox(&self) -> Result<Vec<Item>, Error> {
        #[derive(Deserialize)]
        struct Outbox {
            items: Vec<Item>,
        }
        Ok(self.get::<Outbox>("outbox").await?.items)
    }

    /// The PNG of this number; `None` where there is none, or none any more.
    pub(crate) async fn image(&self, number: u64) -> Result<Option<Bytes>, Error> {
        let request = self
            .client
            .get(format!("{}/sim/outbox/images/{number}", self.url));
        let reply = request.send().await?;
        if !reply.status().is_success() {
            return Ok(None);
        }
        Ok(Some(reply.bytes().await?))
    }

    pub(crate) async fn templates(&self) -> Result<Vec<Template>, Error> {
        #[derive(Deserialize)]
        struct Templates {
            templates: Vec<Template>,
        }
        Ok(self.get::<Templates>("templates").await?.templates)
    }

    pub(crate) async fn faults(&self) -> Result<Vec<Fault>, Error> {
        #[derive(Deserialize)]
        struct Faults {
            faults: Vec<Fault>,
        }
        Ok(self.get::<Faults>("faults").await?.faults)
    }

    pub(crate) async fn verdicts(&self) -> Result<Vec<Verdict>, Error> {
        #[derive(Deserialize)]
        struct Verdicts {
            verdicts: Vec<Verdict>,
        }
        Ok(self.get::<Verdicts>("verdicts").await?.verdicts)
    }

    /// Posts to one of its paths; what it answers.
    pub(crate) async fn tell(&self, path: &str, body: &Value) -> Result<Value, Error> {
        self.post(path, body).await
    }

    /// Empties one of its lists, or brings it back to what it was at the start.
    pub(crate) async fn clear(&self, path: &str) -> Result<(), Error> {
        read::<Value>(self.client.delete(format!("{}/sim/{path}", self.url)))
            .await
            .map(drop)
    }

    /// Seconds of WeChat's time.
    pub(crate) async fn now(&self) -> Result<i64, Error> {
        Ok(self.get::<Now>("clock").await?.now)
    }

    /// Adds a user, or changes one.
    pub(crate) async fn change_user(&self, change: &Value) -> Result<(), Error> {
        self.post::<Value>("users", change).await.map(drop)
    }

    pub(crate) async fn advance(&self, seconds: u64) -> Result<(), Error> {
        self.post::<Now>("clock", &json!({ "advance": seconds }))
            .await
            .map(drop)
    }

    pub(crate) async fn empty_outbox(&self) -> Result<(), Error> {
        self.clear("outbox").await
    }

    /// Pushes a message or an event, and waits for the end of its attempts.
    pub(crate) async fn push(&self, ask: &Value) -> Result<Pushed, Error> {
        self.post("push", ask).await
    }

    /// The last pushes, the oldest first.
    pub(crate) async fn pushes(&self) -> Result<Vec<Pushed>, Error> {
        #[derive(Deserialize)]
        struct Pushes {
            pushes: Vec<Pushed>,
        }
        Ok(self.get::<Pushes>("push").await?.pushes)
    }

    /// Logs the user in; with a new session_key if `rotate` says so.
    pub(crate) async fn login(&self, user: &str, rotate: bool) -> Result<(), Error> {
        let ask = json!({ "user": user, "api": "login", "rotate": rotate });
        self.post::<Value>("client", &ask).await.map(drop)
    }

    /// A cloudID of what `api` gives. Somebody who is not logged in is, first.
    pub(crate) async fn cloud_id(&self, user: &str, api: &str) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(rename = "errMsg")]
            err_msg: String,
            #[serde(rename = "cloudID")]
            cloud_id: Option<String>,
        }
        let session: Answer = self
            .post("client", &json!({ "user": user, "api": "checkSession" }))
            .await?;
        if !session.err_msg.ends_with(":ok") {
            self.login(user, false).await?;
        }
        let answer: Answer = self.post("client", &json!({ "user": user, "api": api })).await?;
        if !answer.err_msg.ends_with(":ok") {
            return Err(Error::Refused(Wording::as_is(answer.err_msg)));
        }
        answer.cloud_id.ok_or_else(|| {
            Error::Refused(wording!(
                "{api} gave no cloudID; look at cloud_opened and lib_version under [sim] in yunqiao.toml",
                "{api} 没有返回 cloudID；请检查 yunqiao.toml 里 [sim] 的 cloud_opened 和 lib_version"
            ))
        })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        read(self.client.get(format!("{}/sim/{path}", self.url))).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Error> {
        read(self.client.post(format!("{}/sim/{path}", self.url)).json(body)).await
    }
}

#[derive(Deserialize)]
struct Now {
    now: i64,
}

async fn read<T: DeserializeOwned>(request: reqwest::RequestBuilder) -> Result<T, Error> {
    let reply = request.send().await?;
    if reply.status().is_success() {
        return Ok(reply.json().await?);
    }
    let status = reply.status();
    let answer: Value = reply.json().await.unwrap_or_default();
    let Some(en) = answer["errMsg"].as_str() else {
        return Err(Error::Refused(Wording::as_is(status)));
    };
    Err(Error::Refused(Wording {
        en: en.to_owned(),
        zh: answer["errMsgZh"].as_str().unwrap_or(en).to_owned(),
    }))
}
