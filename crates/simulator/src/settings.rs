//! What a simulated WeChat is told before it starts: which app it plays for, and how it behaves where WeChat leaves
//! room.

use std::{fmt, time::Duration};

use push::{EncodingAesKey, Format, Mode, PushToken};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// How the simulator is set up. `Settings::default()` is an app of its own with everything opened; whoever has a
/// project puts the project's appid in.
#[derive(Clone, Debug)]
pub struct SimulatorSettings {
    /// The app whose users these are. An appid that is neither this one nor among `other_apps` is answered with 40013.
    pub appid: String,
    /// Its AppSecret, handed out by `GET /sim/app`.
    pub secret: Secret,
    /// Other apps, each with its appid and AppSecret, as `cloud.openapi({appid})` and an Official Account that shares a
    /// cloud environment need them. Each gets access_tokens of its own, and with them every API.
    ///
    /// Here they share what in WeChat each has for itself: users, whose openids stay those of the first app but where 网页授权 tells
    /// them, templates and subscriptions, cloudIDs. No Mini Program logs in to them, so that `jscode2session` answers their appid
    /// with 40029.
    pub other_apps: Vec<(String, Secret)>,
    /// What becomes of a login code or phone code that the simulator did not issue.
    pub foreign_codes: ForeignCodes,
    /// Whether the app has Cloud Development opened. Without it no open data carries a `cloudID`.
    pub cloud_opened: bool,
    /// The base library version that the simulated client has, as `3.15.3`; compared number by number. Below 2.7.0 open
    /// data carries no `cloudID`, below 2.21.2 a phone number carries no `code`.
    pub lib_version: String,
    /// Be as strict as the strictest client and server seen: `getUserProfile` wants its `desc`, `getShareInfo` its
    /// `shareTicket`, and a JSON body its content type.
    pub strict: bool,
    /// What becomes of a call to an API that WeChat has withdrawn: template messages and uniform messages.
    pub withdrawn: Withdrawn,
    /// What becomes of a subscribe message's template that the app does not have.
    pub unknown_templates: UnknownTemplates,
    /// A login gives the user a new session_key when the present one is at least this old. WeChat documents that a login
    /// *may* rotate the key, not at each call but with a shortest interval between two, and does not say which.
    pub session_rotation: Duration,
    /// A session_key that has not been used for longer than this is void. WeChat keeps the real span to itself, and says
    /// that use extends it.
    pub session_idle: Duration,
    /// Names, without port, under which `/sim/` may be asked for besides `localhost`, `127.0.0.1` and `[::1]`. Everything
    /// else is refused, so that no web page can reach the simulator through a name that it had point here. `0.0.0.0` and
    /// `[::]` stand for every IP address; an IPv6 address is written in brackets.
    pub allowed_hosts: Vec<String>,
    /// Where message pushes go, and how they look.
    pub push: PushSettings,
}

impl SimulatorSettings {
    /// The choice for `session_rotation`: short enough that an afternoon at the desk meets a rotated key, long enough that
    /// two logins in a row keep theirs.
    pub const SESSION_ROTATION: Duration = Duration::from_secs(10 * 60);
    /// The choice for `session_idle`: three days.
    pub const SESSION_IDLE: Duration = Duration::from_secs(3 * 24 * 3600);

    /// The app of this appid as it was set up, the main one or another, with its AppSecret.
    pub(crate) fn app(&self, appid: &str) -> Option<(&str, &Secret)> {
        let others = self
            .other_apps
            .iter()
            .map(|(appid, secret)| (appid.as_str(), secret));
        std::iter::once((self.appid.as_str(), &self.secret))
            .chain(others)
            .find(|(known, _)| *known == appid)
    }

    /// For a message that says which there are.
    pub(crate) fn appids(&self) -> String {
        let others = self.other_apps.iter().map(|(appid, _)| appid.as_str());
        let all: Vec<_> = std::iter::once(self.appid.as_str()).chain(others).collect();
        all.join(", ")
    }
}

impl Default for SimulatorSettings {
    fn default() -> Self {
        Self {
            appid: "wx5e1fb0a7c3d24968".to_owned(),
            secret: Secret::from("5f1c7a0e93b84d26a1e0c4d97b3862fa".to_owned()),
            other_apps: Vec::new(),
            foreign_codes: ForeignCodes::Refuse,
            cloud_opened: true,
            lib_version: "3.15.3".to_owned(),
            strict: false,
            withdrawn: Withdrawn::Accept,
            unknown_templates: UnknownTemplates::Refuse,
            session_rotation: Self::SESSION_ROTATION,
            session_idle: Self::SESSION_IDLE,
            allowed_hosts: Vec::new(),
            push: PushSettings::default(),
        }
    }
}

/// The app's push settings (消息推送配置), as its console has them. `PushSettings::default()` has no URL, so that only
/// `POST /sim/push` with one of its own pushes anything; secure mode and JSON.
#[derive(Clone, Debug)]
pub struct PushSettings {
    /// Where pushes go: http or https.
    pub url: Option<String>,
    /// 消息加解密方式
    pub mode: Mode,
    /// 数据格式
    pub format: Format,
    /// Token; handed out by `GET /sim/app`.
    pub token: PushToken,
    /// EncodingAESKey; handed out by `GET /sim/app`.
    pub aes_key: EncodingAesKey,
    /// How long an answer is waited for before the push is sent again.
    pub patience: Duration,
}

impl PushSettings {
    /// WeChat's `patience`: 5 seconds.
    pub const PATIENCE: Duration = Duration::from_secs(5);

    /// Made up, and the same everywhere: it guards nothing.
    const TOKEN: &str = "yunqiaoPushToken";
    /// 43 characters that any base64 decoder takes for 32 bytes.
    const AES_KEY: &str = "YunqiaoSimulatorEncodingAESKey0123456789abc";
}

impl Default for PushSettings {
    fn default() -> Self {
        let made_up = "a test makes these settings";
        Self {
            url: None,
            mode: Mode::Secure,
            format: Format::Json,
            token: PushToken::parse(Self::TOKEN).unwrap_or_else(|error| unreachable!("{made_up}: {error}")),
            aes_key: EncodingAesKey::parse(Self::AES_KEY)
                .unwrap_or_else(|error| unreachable!("{made_up}: {error}")),
            patience: Self::PATIENCE,
        }
    }
}

/// What becomes of a code that the simulator did not issue: one from WeChat's DevTools or from a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignCodes {
    /// It stands for the first user, and the developer is told. It may come again and again: DevTools without an appid
    /// hand out one constant code.
    FirstUser,
    /// 40029 `invalid code`.
    Refuse,
}

/// What becomes of a template that the simulated app does not have: the id in a project's source is most likely a good one of
/// that app at WeChat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownTemplates {
    /// It is made at its first use, with the fields of the messages that come; the developer is told.
    Make,
    /// 20001 for who subscribes, 40037 for who sends.
    Refuse,
}

/// What becomes of a call to an API that WeChat has withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawn {
    /// It succeeds as its document's sample prints, and the outbox says what WeChat answers today: old examples run.
    Accept,
    /// What WeChat answers: 45103, 45109.
    Refuse,
}

/// An AppSecret: not shown by `Debug`, wiped when dropped, compared in constant time.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The text, for the one place that must say it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub(crate) fn is(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Whether the base library `version` is `floor` or later; both are numbers with dots between, and a part that is missing
/// or no number counts as 0.
pub(crate) fn lib_at_least(version: &str, floor: [u32; 3]) -> bool {
    let mut parts = version.trim().split('.').map(|part| part.parse().unwrap_or(0));
    let version: [u32; 3] = std::array::from_fn(|_| parts.next().unwrap_or(0));
    version >= floor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number_and_not_by_letter() {
        for (version, floor, reached) in [
            ("2.21.2", [2, 21, 2], true),
            ("2.7.0", [2, 21, 2], false),
            ("2.10.4", [2, 7, 0], true),
            ("2.6.9", [2, 7, 0], false),
            ("3", [2, 21, 2], true),
            ("3.7", [3, 7, 8], false),
            ("10.0.0", [9, 9, 9], true),
            ("2.7.0.1", [2, 7, 0], true),
            ("", [0, 0, 1], false),
        ] {
            assert_eq!(lib_at_least(version, floor), reached, "{version} {floor:?}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let settings = SimulatorSettings::default();
        let shown = format!("{settings:?}");
        assert!(!shown.contains(settings.secret.expose()), "{shown}");
    }
}
