//! The people of the simulated WeChat.
//!
//! Alice and Bob are always there, the same at every start: an openid is derived from the appid and the name (another app
//! knows the same person by another openid, as in WeChat), a unionid from the name alone.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// How many days of steps WeRun tells.
pub(crate) const STEP_DAYS: usize = 31;

/// WeChat's numbers for tests that mock the phone number button: 12066600001 to 12066600004 (minitest, phone mock).
const MOCK_PHONES: [&str; 4] = ["12066600001", "12066600002", "12066600003", "12066600004"];

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) openid: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unionid: Option<String>,
    pub(crate) profile: Profile,
    pub(crate) phone: String,
    /// Steps a day, the oldest of the 31 days first, today's last.
    pub(crate) steps: Vec<u32>,
}

/// `userInfo`, in the order in which `rawData` writes it.
///
/// The default is what every user looks like since WeChat hides who they are (2021-04-28, and gender and region since
/// 2021-10).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Profile {
    pub(crate) nick_name: String,
    pub(crate) gender: u8,
    pub(crate) language: String,
    pub(crate) city: String,
    pub(crate) province: String,
    pub(crate) country: String,
    pub(crate) avatar_url: String,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            nick_name: "微信用户".to_owned(),
            gender: 0,
            language: String::new(),
            city: String::new(),
            province: String::new(),
            country: String::new(),
            avatar_url: "https://thirdwx.qlogo.cn/mmopen/vi_32/POgEwh4mIHO4nibH0KlMECNjjGxQUq24ZEaGT4poC6icRiccVGKSyXwibcPq4BWmiaIGuG1icwxaQX6grC9VemZoJ8rg/132".to_owned(),
        }
    }
}

/// What `POST /sim/users` brings, and what a project declares of a user: who, and what shall be different. A name that is not
/// there yet is a new user, for whom everything left out is made up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    /// By which everybody means the user here: 1 to 64 characters.
    pub name: String,
    /// 6 to 64 characters, as WeChat's ids are.
    pub openid: Option<String>,
    /// `null` takes it away: an app that is bound to no Open Platform account sees none.
    #[serde(default, deserialize_with = "given")]
    pub unionid: Option<Option<String>>,
    /// What of `userInfo` shall be different.
    #[serde(default)]
    pub profile: ProfileChange,
    /// Digits alone.
    pub phone: Option<String>,
    /// Steps a day, today's last.
    pub steps: Option<Vec<u32>>,
}

/// What of a user's `userInfo` shall be different.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProfileChange {
    /// `nickName`.
    pub nick_name: Option<String>,
    /// 0 (unknown), 1 or 2.
    pub gender: Option<u8>,
    /// Such as `zh_CN`.
    pub language: Option<String>,
    /// `city`.
    pub city: Option<String>,
    /// `province`.
    pub province: Option<String>,
    /// `country`.
    pub country: Option<String>,
    /// `avatarUrl`.
    pub avatar_url: Option<String>,
}

/// Tells a field that is `null` from one that is not there.
fn given<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(field).map(Some)
}

/// Why a user cannot be like that.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum UserError {
    #[error("a user's name is 1 to 64 characters of which none is a control character: {0:?} is not")]
    Name(String),
    #[error(
        "{0} {1:?} is no WeChat id: give 6 to 64 characters of [A-Za-z0-9_-] with a letter among them \
         (getWXContext() would turn digits alone into a number)"
    )]
    Id(&'static str, String),
    #[error("openid {openid} is {owner}'s: give another, or leave it out")]
    Taken { openid: String, owner: String },
    #[error("gender is 0 (unknown), 1 or 2, not {0}")]
    Gender(u8),
    #[error("phone {0:?} is no phone number: give 5 to 15 digits, such as 12066600001")]
    Phone(String),
    #[error("steps has {0} entries: give at most 31, today's last; earlier days count as 0")]
    Steps(usize),
    #[error("there is none: there must be one at least")]
    Nobody,
    #[error("{0} is there twice")]
    Twice(String),
}

impl UserError {
    pub(crate) fn in_chinese(&self) -> String {
        match self {
            Self::Name(name) => format!("用户名应为 1 到 64 个字符且不含控制字符：{name:?} 不符合"),
            Self::Id(what, id) => format!(
                "{what} {id:?} 不是微信的 ID：应为 6 到 64 个 [A-Za-z0-9_-] 字符，其中至少一个字母（纯数字会被 getWXContext() 变成数字）"
            ),
            Self::Taken { openid, owner } => format!("openid {openid} 已属于 {owner}：请换一个，或不填"),
            Self::Gender(gender) => format!("gender 应为 0（未知）、1 或 2，而不是 {gender}"),
            Self::Phone(phone) => format!("phone {phone:?} 不是手机号：应为 5 到 15 位数字，如 12066600001"),
            Self::Steps(count) => format!("steps 有 {count} 项：最多 31 项，今日在最后；更早的日子算 0"),
            Self::Nobody => "没有用户：至少要有一个".to_owned(),
            Self::Twice(what) => format!("{what} 出现了两次"),
        }
    }
}

/// Everyone, in the order in which they came.
#[derive(Debug)]
pub(crate) struct Users {
    appid: String,
    all: Vec<User>,
    /// Grows with each change.
    revision: u64,
}

impl Users {
    /// Alice and Bob, as `appid` knows them.
    pub(crate) fn new(appid: &str) -> Self {
        let mut users = Self {
            appid: appid.to_owned(),
            all: Vec::new(),
            revision: 0,
        };
        for name in ["alice", "bob"] {
            let user = users.made_up(name);
            users.all.push(user);
        }
        users
    }

    pub(crate) fn all(&self) -> &[User] {
        &self.all
    }

    /// Another number after each change.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// Who a code from elsewhere stands for.
    pub(crate) fn first(&self) -> &User {
        &self.all[0]
    }

    pub(crate) fn named(&self, name: &str) -> Option<&User> {
        self.all.iter().find(|user| user.name == name)
    }

    pub(crate) fn by_openid(&self, openid: &str) -> Option<&User> {
        self.all.iter().find(|user| user.openid == openid)
    }

    /// By what another app knows a user.
    pub(crate) fn openid_at(&self, appid: &str, user: &User) -> String {
        match appid == self.appid {
            true => user.openid.clone(),
            false => derived_id("o", &["openid", appid, &user.name]),
        }
    }

    /// For a message that says who there is.
    pub(crate) fn names(&self) -> String {
        let names: Vec<_> = self.all.iter().map(|user| user.name.as_str()).collect();
        names.join(", ")
    }

    /// Changes a user or adds one; nothing is changed if anything is wrong.
    pub(crate) fn change(&mut self, change: UserChange) -> Result<&User, UserError> {
        let at = self.all.iter().position(|user| user.name == change.name);
        let mut user = match at {
            Some(at) => self.all[at].clone(),
            None => self.made_up(&change.name),
        };
        change.apply(&mut user)?;
        if let Some(owner) = self
            .by_openid(&user.openid)
            .filter(|owner| owner.name != user.name)
        {
            return Err(UserError::Taken {
                openid: user.openid,
                owner: owner.name.clone(),
            });
        }
        self.revision += 1;
        let at = match at {
            Some(at) => {
                self.all[at] = user;
                at
            }
            None => {
                self.all.push(user);
                self.all.len() - 1
            }
        };
        Ok(&self.all[at])
    }

    /// Puts these in the place of those that there are, if they can be; else nothing is changed.
    pub(crate) fn restore(&mut self, kept: Vec<User>) -> Result<(), UserError> {
        if kept.is_empty() {
            return Err(UserError::Nobody);
        }
        let mut users = Self {
            appid: self.appid.clone(),
            all: Vec::new(),
            revision: self.revision,
        };
        for user in kept {
            if users.named(&user.name).is_some() {
                return Err(UserError::Twice(user.name));
            }
            // The same rules as for a change.
            users.change(user.into())?;
        }
        *self = users;
        Ok(())
    }

    fn made_up(&self, name: &str) -> User {
        let steps = Sha256::digest(name);
        User {
            name: name.to_owned(),
            openid: derived_id("o", &["openid", &self.appid, name]),
            unionid: Some(derived_id("o", &["unionid", name])),
            profile: Profile::default(),
            phone: MOCK_PHONES[self.all.len() % MOCK_PHONES.len()].to_owned(),
            steps: steps
                .iter()
                .take(STEP_DAYS)
                .map(|&byte| 1800 + u32::from(byte) * 53)
                .collect(),
        }
    }
}

impl From<User> for UserChange {
    fn from(user: User) -> Self {
        let profile = user.profile;
        Self {
            name: user.name,
            openid: Some(user.openid),
            unionid: Some(user.unionid),
            profile: ProfileChange {
                nick_name: Some(profile.nick_name),
                gender: Some(profile.gender),
                language: Some(profile.language),
                city: Some(profile.city),
                province: Some(profile.province),
                country: Some(profile.country),
                avatar_url: Some(profile.avatar_url),
            },
            phone: Some(user.phone),
            steps: Some(user.steps),
        }
    }
}

impl UserChange {
    fn apply(self, user: &mut User) -> Result<(), UserError> {
        let length = self.name.chars().count();
        if !(1..=64).contains(&length) || self.name.chars().any(char::is_control) {
            return Err(UserError::Name(self.name));
        }
        if let Some(openid) = self.openid {
            user.openid = legal_id("openid", openid)?;
        }
        if let Some(unionid) = self.unionid {
            user.unionid = unionid.map(|id| legal_id("unionid", id)).transpose()?;
        }
        self.profile.apply(&mut user.profile)?;
        if let Some(phone) = self.phone {
            if !(5..=15).contains(&phone.len()) || !phone.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(UserError::Phone(phone));
            }
            user.phone = phone;
        }
        if let Some(steps) = self.steps {
            if steps.len() > STEP_DAYS {
                return Err(UserError::Steps(steps.len()));
            }
            user.steps = vec![0; STEP_DAYS - steps.len()];
            user.steps.extend(steps);
        }
        Ok(())
    }
}

impl ProfileChange {
    fn apply(self, profile: &mut Profile) -> Result<(), UserError> {
        if let Some(gender) = self.gender {
            if gender > 2 {
                return Err(UserError::Gender(gender));
            }
            profile.gender = gender;
        }
        for (new, field) in [
            (self.nick_name, &mut profile.nick_name),
            (self.language, &mut profile.language),
            (self.city, &mut profile.city),
            (self.province, &mut profile.province),
            (self.country, &mut profile.country),
            (self.avatar_url, &mut profile.avatar_url),
        ] {
            if let Some(new) = new {
                *field = new;
            }
        }
        Ok(())
    }
}

fn legal_id(which: &'static str, id: String) -> Result<String, UserError> {
    let legal = (6..=64).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        && id.bytes().any(|byte| byte.is_ascii_alphabetic());
    if legal {
        Ok(id)
    } else {
        Err(UserError::Id(which, id))
    }
}

/// 28 characters as WeChat's ids have them, `head` first, always the same for the same `parts`.
pub(crate) fn derived_id(head: &str, parts: &[&str]) -> String {
    let digest = Sha256::digest(parts.join("\0"));
    let mut id = head.to_owned();
    id.push_str(&URL_SAFE_NO_PAD.encode(digest));
    id.truncate(28);
    id
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn change(text: &str) -> UserChange {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn alice_and_bob_are_the_same_at_every_start_and_others_to_another_app() {
        let users = Users::new("wx5e1fb0a7c3d24968");
        assert_eq!(users.all(), Users::new("wx5e1fb0a7c3d24968").all());
        assert_eq!(users.names(), "alice, bob");
        let (alice, bob) = (users.named("alice").unwrap(), users.named("bob").unwrap());
        assert_ne!(alice.openid, bob.openid);
        assert_ne!(alice.steps, bob.steps);
        assert_eq!(
            (alice.phone.as_str(), bob.phone.as_str()),
            ("12066600001", "12066600002")
        );
        for user in users.all() {
            assert_eq!(user.openid.len(), 28);
            assert!(user.openid.starts_with('o'));
            assert_eq!(user.unionid.as_deref().unwrap().len(), 28);
            assert_eq!(user.steps.len(), STEP_DAYS);
            assert_eq!(user.profile, Profile::default());
        }
        let elsewhere = Users::new("wx0000000000000000");
        let same = elsewhere.named("alice").unwrap();
        assert_ne!(same.openid, alice.openid);
        assert_eq!(same.unionid, alice.unionid);
    }

    #[test]
    fn a_change_touches_what_it_names_and_nothing_else() {
        let mut users = Users::new("wx5e1fb0a7c3d24968");
        let before = users.named("alice").unwrap().clone();
        let after = users
            .change(change(
                r#"{"name":"alice","unionid":null,"profile":{"nickName":"爱丽丝"},"steps":[7,8]}"#,
            ))
            .unwrap()
            .clone();
        assert_eq!(after.unionid, None);
        assert_eq!(after.profile.nick_name, "爱丽丝");
        assert_eq!(after.profile.avatar_url, before.profile.avatar_url);
        assert_eq!(after.steps.len(), STEP_DAYS);
        assert_eq!(after.steps[28..], [0, 7, 8]);
        assert_eq!((after.openid, after.phone), (before.openid, before.phone));

        let carol = users.change(change(r#"{"name":"carol"}"#)).unwrap().clone();
        assert_eq!(carol.phone, "12066600003");
        assert_eq!(users.all().len(), 3);
        assert_eq!(users.by_openid(&carol.openid), Some(&carol));
    }

    #[test]
    fn what_cannot_be_is_refused_and_changes_nothing() {
        let mut users = Users::new("wx5e1fb0a7c3d24968");
        let before = users.all().to_vec();
        let taken = format!(r#"{{"name":"bob","openid":"{}"}}"#, before[0].openid);
        for (text, named) in [
            (r#"{"name":""}"#, "name"),
            (r#"{"name":"al\nice"}"#, "name"),
            (r#"{"name":"alice","openid":"12345678"}"#, "openid"),
            (r#"{"name":"alice","openid":"o/../x"}"#, "openid"),
            (r#"{"name":"alice","unionid":"x"}"#, "unionid"),
            (r#"{"name":"alice","profile":{"gender":3}}"#, "gender"),
            (r#"{"name":"alice","phone":"+8612066600001"}"#, "phone"),
            (taken.as_str(), "alice's"),
        ] {
            let error = users.change(change(text)).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
        let many = format!(r#"{{"name":"alice","steps":{:?}}}"#, vec![1; 32]);
        assert_eq!(users.change(change(&many)), Err(UserError::Steps(32)));
        assert_eq!(users.all(), before);
    }
}
