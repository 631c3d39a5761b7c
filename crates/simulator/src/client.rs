//! The WeChat client in a user's hand, as `POST /sim/client`: `wx.login`, and everything that hands out open data.
//!
//! An answer is what the `success` or `fail` callback gets, with its `errMsg`. Open data is encrypted with the user's
//! session_key at that moment; with Cloud Development opened and a base library that knows it, it carries a `cloudID` too.

use std::{collections::BTreeMap, time::Duration};

use opendata::EncryptedData;
use serde::{Deserialize, Serialize};
use serde_json::json;
use thiserror::Error;
use wording::wording;

use crate::{
    Simulator, UnknownTemplates, World,
    control::SimError,
    people::{
        payments::{self, Payment},
        shapes::{GroupEnterInfo, PhoneInfo, ShareInfo, UserInfo, UserProfile, Watermark, WeRunData},
        users::{Profile, User, derived_id},
    },
    platform::{
        packets::{self, Fields},
        pushes,
    },
    random,
    server::templates,
    settings::lib_at_least,
};

/// The base library from which open data carries a cloudID.
const CLOUD_ID_SINCE: [u32; 3] = [2, 7, 0];
/// The base library from which the phone number button gives a code.
const PHONE_CODE_SINCE: [u32; 3] = [2, 21, 2];
/// An ordinary group, in `getGroupEnterInfo`.
const ORDINARY_GROUP: u8 = 3;

/// `{"user","api"}` and those options of the API that matter here; others are taken and ignored, as they may be any that
/// `wx` knows.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClientCall {
    user: String,
    api: String,
    /// `login`: give a new session_key whatever the age of the present one. Ours, not WeChat's.
    #[serde(default)]
    rotate: bool,
    /// `getUserInfo`: `false` leaves out what needs a login.
    with_credentials: Option<bool>,
    /// `getUserProfile`: what for.
    desc: Option<String>,
    /// `getShareInfo`: which share.
    share_ticket: Option<String>,
    /// `getGroupEnterInfo`: with the user's id inside the group.
    #[serde(default, rename = "needGroupOpenID")]
    need_group_openid: bool,
    /// `requestSubscribeMessage`: for which templates.
    #[serde(default)]
    tmpl_ids: Vec<String>,
    /// `requestSubscribeMessage`: what the user says to all of them. Ours, not WeChat's.
    #[serde(default)]
    answer: Choice,
    /// `requestPayment`: what the payment is called; made up, or empty, where left out. Ours, not WeChat's.
    transaction_id: Option<String>,
    #[serde(default)]
    mch_id: String,
    #[serde(default)]
    out_trade_no: String,
    /// `sendMessage`: the text. Ours, not WeChat's.
    content: Option<String>,
    /// `enterSession`: the `session-from` of the button. Ours, not WeChat's.
    #[serde(default)]
    session_from: String,
}

/// What a user says to being sent messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Choice {
    #[default]
    Accept,
    Reject,
}

/// What the callback gets.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClientAnswer {
    err_msg: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_info: Option<Profile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypted_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iv: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", rename = "cloudID")]
    cloud_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypt_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    /// Of a user's key, Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_time: Option<u64>,
    /// `requestPayment`: ours, not WeChat's.
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    err_code: Option<i32>,
    /// `requestSubscribeMessage`: by template id.
    #[serde(flatten)]
    choices: BTreeMap<String, Choice>,
}

/// The APIs that are simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api {
    Login,
    CheckSession,
    GetUserInfo,
    GetUserProfile,
    GetWeRunData,
    GetPhoneNumber,
    GetShareInfo,
    GetGroupEnterInfo,
    RequestSubscribeMessage,
    GetLatestUserKey,
    SendMessage,
    EnterSession,
    RequestPayment,
}

/// `sendMessage` and `enterSession` are what a user does in a customer-service conversation, which no function of `wx` does,
/// and `getLatestUserKey` is one of `wx.getUserCryptoManager()`.
const APIS: [(&str, Api); 13] = [
    ("login", Api::Login),
    ("checkSession", Api::CheckSession),
    ("getUserInfo", Api::GetUserInfo),
    ("getUserProfile", Api::GetUserProfile),
    ("getWeRunData", Api::GetWeRunData),
    ("getPhoneNumber", Api::GetPhoneNumber),
    ("getShareInfo", Api::GetShareInfo),
    ("getGroupEnterInfo", Api::GetGroupEnterInfo),
    ("requestSubscribeMessage", Api::RequestSubscribeMessage),
    ("getLatestUserKey", Api::GetLatestUserKey),
    ("sendMessage", Api::SendMessage),
    ("enterSession", Api::EnterSession),
    ("requestPayment", Api::RequestPayment),
];

/// Why the `fail` callback is called, in the client's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
enum Failure {
    /// There is no session_key or it has lapsed. Seen with `checkSession`; that open data fails in the same words without
    /// a login is a choice.
    #[error("session time out, need relogin")]
    NoSession,
    /// An option is left out that must be there.
    #[error("parameter error: parameter.{0} should be String instead of Undefined;")]
    Missing(&'static str),
    /// `requestSubscribeMessage` without templates.
    #[error("TmplIds can't be empty")]
    NoTemplates,
    /// `requestSubscribeMessage` for a template that the app does not have.
    #[error("No template data return, verify the template id exist")]
    UnknownTemplate,
}

impl Failure {
    /// `errCode`, which is documented for `requestSubscribeMessage` alone.
    fn code(self) -> Option<i32> {
        match self {
            Self::NoSession | Self::Missing(_) => None,
            Self::NoTemplates => Some(10001),
            Self::UnknownTemplate => Some(20001),
        }
    }
}

/// Has the user's client call the API.
///
/// # Errors
/// If there is no such user or no such API. That the API fails is an answer.
pub(crate) fn call(sim: &Simulator, call: &ClientCall) -> Result<ClientAnswer, SimError> {
    let api = APIS.iter().find(|(name, _)| *name == call.api);
    let &(name, api) = api.ok_or_else(|| SimError::UnknownApi {
        api: call.api.clone(),
        known: APIS.map(|(name, _)| name).join(", "),
    })?;
    let (user, before, outcome, after, unknown) = {
        let world = &mut *sim.world();
        let user = match world.users.named(&call.user) {
            Some(user) => user.clone(),
            None => {
                return Err(SimError::UnknownUser {
                    user: call.user.clone(),
                    known: world.users.names(),
                });
            }
        };
        let key = |world: &World| world.sessions.current(&call.user, sim.now()).cloned();
        let before = key(world);
        let mut unknown: Vec<_> = call.tmpl_ids.clone();
        unknown.retain(|id| api == Api::RequestSubscribeMessage && !world.templates.knows(id));
        // The user is asked about all of them or about none.
        let can_be = unknown.iter().all(|id| templates::is_id(id));
        if sim.settings().unknown_templates == UnknownTemplates::Make && can_be {
            for id in &unknown {
                world.templates.make_up(id);
            }
        }
        let client = Client { sim, call, user };
        let outcome = client.run(api, world);
        (client.user, before, outcome, key(world), unknown)
    };
    for id in unknown {
        tell_of_template(sim, &id);
    }
    if outcome.is_ok() {
        tell_app(sim, call, api, &user);
    }
    match &outcome {
        Ok(_) if before.is_some() && before != after => {
            let user = &call.user;
            sim.tell(wording!(
                "{user}'s login gave a new session_key: open data taken before it can no longer be decrypted",
                "{user} 重新登录，session_key 已更换：此前取得的开放数据无法再解密"
            ));
        }
        Err(Failure::NoSession) if api != Api::CheckSession => {
            let user = &call.user;
            sim.tell(wording!(
                "{user}'s {name} failed because there is no session_key: no login yet, or unused for longer than session_idle",
                "{user} 的 {name} 失败，因为没有 session_key：尚未登录，或闲置超过 session_idle"
            ));
        }
        _ => {}
    }
    let (answer, outcome) = match outcome {
        Ok(answer) => (answer, "ok".to_owned()),
        Err(why) => {
            let answer = ClientAnswer {
                err_code: why.code(),
                ..ClientAnswer::default()
            };
            (answer, format!("fail {why}"))
        }
    };
    Ok(ClientAnswer {
        err_msg: format!("{name}:{outcome}"),
        ..answer
    })
}

/// That a user was asked about a template that the app does not have.
fn tell_of_template(sim: &Simulator, id: &str) {
    if !templates::is_id(id) {
        let id: String = id.chars().take(64).collect();
        sim.tell(wording!(
            "requestSubscribeMessage failed with 20001: {id:?} is no template's id, which has 1 to 64 characters of [A-Za-z0-9_-]; write \
             the id that the app's template has at WeChat",
            "requestSubscribeMessage 失败（20001）：{id:?} 不是模板 ID（应为 1 到 64 个 [A-Za-z0-9_-] 字符）；请改成小程序的模板在微信的 ID"
        ));
        return;
    }
    let declaration = templates::declaration(id, std::iter::once("thing1"));
    if sim.world().templates.knows(id) {
        sim.tell(wording!(
            "template {id} is taken for one of the app's, though the simulated app has none of this id; its fields are learned from its messages",
            "模板 {id} 视为小程序已有的模板（模拟的小程序并没有它）；它的字段从收到的消息得知"
        ));
        return;
    }
    sim.tell(wording!(
        "requestSubscribeMessage failed with 20001: the app has no template {id:?}; add it on the console's page WeChat, or by \
         POST /sim/templates, or declare it in yunqiao.toml with its fields, such as\n  {declaration}",
        "requestSubscribeMessage 失败（20001）：没有模板 {id:?}；请在控制台「模拟微信」添加，或 POST /sim/templates，\
         或在 yunqiao.toml 连同字段声明，例如\n  {declaration}"
    ));
}

/// What WeChat pushes to the app because of a call that went well.
fn tell_app(sim: &Simulator, call: &ClientCall, api: Api, user: &User) {
    let (kind, fields) = match api {
        Api::SendMessage => {
            // Left out, it is made up.
            let content = call
                .content
                .iter()
                .map(|text| ("Content".to_owned(), json!(text)));
            ("text", content.collect())
        }
        Api::EnterSession => (
            "user_enter_tempsession",
            Fields::from_iter([("SessionFrom".to_owned(), json!(call.session_from))]),
        ),
        Api::RequestSubscribeMessage => {
            let items = call
                .tmpl_ids
                .iter()
                .map(|id| {
                    json!({
                        "TemplateId": id,
                        "SubscribeStatusString": call.answer,
                        // Which numbers there are, and what each means, the document's examples do not say.
                        "PopupScene": "2",
                    })
                })
                .collect();
            (
                "subscribe_msg_popup_event",
                Fields::from_iter([("List".to_owned(), packets::list(items))]),
            )
        }
        _ => return,
    };
    pushes::later(sim, kind, user, fields, Duration::ZERO);
}

/// The user's client with one call to make.
struct Client<'a> {
    sim: &'a Simulator,
    call: &'a ClientCall,
    user: User,
}

impl Client<'_> {
    fn run(&self, api: Api, world: &mut World) -> Result<ClientAnswer, Failure> {
        let now = self.sim.now();
        let name = self.user.name.as_str();
        match api {
            Api::Login => {
                world.sessions.login(name, now, self.call.rotate);
                let code = format!("0{}", random::alphanumeric(31));
                Ok(ClientAnswer {
                    code: Some(world.login_codes.issue(code, name, now)),
                    ..ClientAnswer::default()
                })
            }
            Api::CheckSession => match world.sessions.current(name, now) {
                Some(_) => Ok(ClientAnswer::default()),
                None => Err(Failure::NoSession),
            },
            Api::GetUserInfo => self.user_info(world),
            Api::GetUserProfile => self.user_profile(world),
            Api::GetWeRunData => {
                let data = WeRunData::new(&self.user, now, self.watermark());
                self.open_data(world, &data)
            }
            Api::GetPhoneNumber => self.phone_number(world),
            Api::GetShareInfo => {
                if self.sim.settings().strict && self.call.share_ticket.is_none() {
                    return Err(Failure::Missing("shareTicket"));
                }
                let data = ShareInfo {
                    open_gid: &self.group(),
                    watermark: self.watermark(),
                };
                self.open_data(world, &data)
            }
            Api::GetGroupEnterInfo => {
                let group = self.group();
                let in_group = self
                    .call
                    .need_group_openid
                    .then(|| derived_id("o", &["group_openid", &group, &self.user.openid]));
                let data = GroupEnterInfo {
                    opengid: &group,
                    group_openid: in_group.as_deref(),
                    chat_type: ORDINARY_GROUP,
                    watermark: self.watermark(),
                };
                self.open_data(world, &data)
            }
            Api::RequestSubscribeMessage => self.subscribe(world),
            Api::GetLatestUserKey => {
                world.sessions.take(name, now).ok_or(Failure::NoSession)?;
                let key = world.user_keys.latest(name, now);
                Ok(ClientAnswer {
                    encrypt_key: Some(key.encrypt_key.clone()),
                    iv: Some(key.iv.clone()),
                    version: Some(key.version),
                    expire_time: Some(key.expires().secs()),
                    ..ClientAnswer::default()
                })
            }
            Api::SendMessage => {
                world.conversations.user_wrote(&self.user.openid, now);
                Ok(ClientAnswer::default())
            }
            Api::EnterSession => {
                world.conversations.user_entered(&self.user.openid, now);
                Ok(ClientAnswer::default())
            }
            Api::RequestPayment => Ok(self.pay(world)),
        }
    }

    /// Says that the user has paid; nobody else learns of it.
    fn pay(&self, world: &mut World) -> ClientAnswer {
        let given = self.call.transaction_id.clone();
        let transaction_id = given.unwrap_or_else(payments::transaction_id);
        world.payments.put(Payment {
            openid: self.user.openid.clone(),
            transaction_id: transaction_id.clone(),
            mch_id: self.call.mch_id.clone(),
            out_trade_no: self.call.out_trade_no.clone(),
            at: self.sim.now(),
        });
        ClientAnswer {
            transaction_id: Some(transaction_id),
            ..ClientAnswer::default()
        }
    }

    fn subscribe(&self, world: &mut World) -> Result<ClientAnswer, Failure> {
        let ids = &self.call.tmpl_ids;
        if ids.is_empty() {
            return Err(Failure::NoTemplates);
        }
        if !ids.iter().all(|id| world.templates.knows(id)) {
            return Err(Failure::UnknownTemplate);
        }
        let answer = self.call.answer;
        for id in ids {
            world
                .templates
                .subscribe(&self.user.openid, id, answer == Choice::Accept);
        }
        Ok(ClientAnswer {
            choices: ids.iter().map(|id| (id.clone(), answer)).collect(),
            ..ClientAnswer::default()
        })
    }

    fn user_info(&self, world: &mut World) -> Result<ClientAnswer, Failure> {
        if self.call.with_credentials == Some(false) {
            return Ok(ClientAnswer {
                raw_data: Some(text(&self.user.profile)),
                user_info: Some(self.user.profile.clone()),
                ..ClientAnswer::default()
            });
        }
        let data = UserInfo {
            open_id: &self.user.openid,
            profile: &self.user.profile,
            union_id: self.user.unionid.as_deref(),
            watermark: self.watermark(),
        };
        let answer = self.open_data(world, &data)?;
        self.with_profile(world, answer)
    }

    fn user_profile(&self, world: &mut World) -> Result<ClientAnswer, Failure> {
        if self.sim.settings().strict && self.call.desc.as_deref().is_none_or(str::is_empty) {
            return Err(Failure::Missing("desc"));
        }
        let data = UserProfile {
            profile: &self.user.profile,
            watermark: self.watermark(),
        };
        let answer = self.open_data(world, &data)?;
        self.with_profile(world, answer)
    }

    /// The code of the phone number button has nothing to do with a login; what is encrypted has. Without a login there is
    /// the code alone, and nothing at all in a base library that has no code yet.
    fn phone_number(&self, world: &mut World) -> Result<ClientAnswer, Failure> {
        let data = PhoneInfo::new(&self.user, self.watermark());
        let opened = self.open_data(world, &data);
        if !lib_at_least(&self.sim.settings().lib_version, PHONE_CODE_SINCE) {
            return opened;
        }
        let code = random::hex::<32>();
        let code = world.phone_codes.issue(code, &self.user.name, self.sim.now());
        Ok(ClientAnswer {
            code: Some(code),
            ..opened.unwrap_or_default()
        })
    }

    /// Adds what is readable without decryption, signed with the session_key.
    fn with_profile(&self, world: &World, answer: ClientAnswer) -> Result<ClientAnswer, Failure> {
        let raw_data = text(&self.user.profile);
        let key = world.sessions.current(&self.user.name, self.sim.now());
        Ok(ClientAnswer {
            signature: Some(key.ok_or(Failure::NoSession)?.sign(&raw_data)),
            raw_data: Some(raw_data),
            user_info: Some(self.user.profile.clone()),
            ..answer
        })
    }

    /// `data` under the user's session_key, and as a cloudID where this client has them.
    fn open_data(&self, world: &mut World, data: &impl Serialize) -> Result<ClientAnswer, Failure> {
        let now = self.sim.now();
        let key = world
            .sessions
            .take(&self.user.name, now)
            .ok_or(Failure::NoSession)?;
        let data = text(data);
        let EncryptedData { encrypted_data, iv } = opendata::encrypt(key, random::bytes(), data.as_bytes());
        let settings = self.sim.settings();
        let with_cloud_id = settings.cloud_opened && lib_at_least(&settings.lib_version, CLOUD_ID_SINCE);
        Ok(ClientAnswer {
            encrypted_data: Some(encrypted_data),
            iv: Some(iv),
            cloud_id: with_cloud_id.then(|| world.cloud_ids.mint(&self.user.openid, &data, now)),
            ..ClientAnswer::default()
        })
    }

    fn watermark(&self) -> Watermark {
        Watermark::new(&self.sim.settings().appid, self.sim.now())
    }

    /// The one chat group in which every user is, as this app knows it.
    fn group(&self) -> String {
        derived_id("tG", &["group", &self.sim.settings().appid])
    }
}

/// The JSON text of one of our own shapes, all of which can be written.
fn text(shape: &impl Serialize) -> String {
    serde_json::to_string(shape).unwrap_or_else(|error| panic!("a shape cannot be written as JSON: {error}"))
}
