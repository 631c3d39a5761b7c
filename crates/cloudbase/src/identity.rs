//! Who a user of CloudBase's SDKs is. A uid is derived from what the user proved, so that no table of users is needed: the same device,
//! ticket, password or WeChat account is the same user for as long as there are documents of theirs.

use rules::Caller;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// How a user logged in: `auth.loginType` of rules, `LOGINTYPE` of functions. The names are those of js-sdk and of the documents on
/// rules; that of WeChat's Mini Program login is a **choice**, since a Mini Program's own client has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoginType {
    /// As nobody in particular: one user for each device.
    #[serde(rename = "ANONYMOUS")]
    Anonymous,
    /// By a ticket that another server made.
    #[serde(rename = "CUSTOM")]
    Custom,
    /// By name and password.
    #[serde(rename = "USERNAME")]
    Username,
    /// By the login code of a Mini Program.
    #[serde(rename = "WECHAT")]
    WeChat,
}

impl LoginType {
    /// As rules and functions see it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "ANONYMOUS",
            Self::Custom => "CUSTOM",
            Self::Username => "USERNAME",
            Self::WeChat => "WECHAT",
        }
    }
}

/// What an anonymous user is known by: whoever has it is that user, so it is long enough that nobody guesses one.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceId(String);

impl DeviceId {
    /// Takes what an SDK sends as `x-device-id`, or keeps as `anonymous_uuid`: 16 to 128 letters, digits, `-` and `_`. `None` for another
    /// text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        ((16..=128).contains(&text.len()) && text.bytes().all(plain)).then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A user of CloudBase's SDKs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebUser {
    /// The user's id: 32 hex digits, or what the file of passwords says.
    pub uid: String,
    /// How they logged in.
    pub login: LoginType,
    /// Of WeChat's users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openid: Option<String>,
    /// Of WeChat's users, where WeChat says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unionid: Option<String>,
    /// Who they are to the server that made their ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_user_id: Option<String>,
    /// The name that goes with a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

impl WebUser {
    fn new(login: LoginType, uid: String) -> Self {
        Self {
            uid,
            login,
            openid: None,
            unionid: None,
            custom_user_id: None,
            username: None,
        }
    }

    /// The anonymous user of a device.
    #[must_use]
    pub fn anonymous(device: &DeviceId) -> Self {
        Self::new(LoginType::Anonymous, uid("anonymous", device.as_str()))
    }

    /// The user whom a ticket names.
    #[must_use]
    pub fn custom(custom_user_id: &str) -> Self {
        Self {
            custom_user_id: Some(custom_user_id.to_owned()),
            ..Self::new(LoginType::Custom, uid("custom", custom_user_id))
        }
    }

    /// The user of this name.
    #[must_use]
    pub fn named(username: &str, uid: String) -> Self {
        Self {
            username: Some(username.to_owned()),
            ..Self::new(LoginType::Username, uid)
        }
    }

    /// A user of WeChat.
    #[must_use]
    pub fn of_wechat(openid: String, unionid: Option<String>) -> Self {
        Self {
            unionid,
            ..Self {
                uid: uid("wechat", &openid),
                openid: Some(openid),
                ..Self::new(LoginType::WeChat, String::new())
            }
        }
    }

    /// Whether they are nobody in particular.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.login == LoginType::Anonymous
    }

    /// As rules see them.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller {
            openid: self.openid.clone(),
            uid: Some(self.uid.clone()),
            login_type: Some(self.login.name().to_owned()),
        }
    }
}

/// An anonymous user's uid stands in documents that others may read, and whoever has the device's id is that user: so the one does not
/// lead back to the other.
fn uid(kind: &str, id: &str) -> String {
    let mut digest = Sha256::new();
    for part in ["yunqiao uid", kind, id] {
        digest.update(part);
        digest.update([0_u8]);
    }
    digest
        .finalize()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_device_is_one_user_and_no_other_kind_of_user() {
        let device = DeviceId::parse("0123456789abcdef").unwrap();
        let user = WebUser::anonymous(&device);
        assert_eq!(user, WebUser::anonymous(&device));
        assert_eq!(user.uid.len(), 32);
        let others = [
            WebUser::custom(device.as_str()).uid,
            WebUser::of_wechat(device.as_str().to_owned(), None).uid,
            WebUser::anonymous(&DeviceId::parse("0123456789abcdeg").unwrap()).uid,
        ];
        assert!(!others.contains(&user.uid) && others[0] != others[1]);
    }

    #[test]
    fn what_anybody_could_guess_is_no_device() {
        for text in ["", "1", "0123456789abcde", "0123456789abcdef\n", "０１２３４５"] {
            assert!(DeviceId::parse(text).is_none(), "{text:?}");
        }
        assert!(DeviceId::parse(&"a".repeat(129)).is_none());
        assert!(DeviceId::parse("6b1f0a52-7c1e-4b57-8d1f-1c7c2d9f3a10").is_some());
    }

    #[test]
    fn documents_of_a_user_of_wechat_are_their_openid_s() {
        let alice = WebUser::of_wechat("oABC".to_owned(), None).caller();
        assert_eq!(alice.owner(), Some("oABC"));
        let custom = WebUser::custom("alice").caller();
        assert_eq!(
            (custom.owner(), custom.openid.as_deref()),
            (custom.uid.as_deref(), None)
        );
        assert_eq!(custom.login_type.as_deref(), Some("CUSTOM"));
    }
}
