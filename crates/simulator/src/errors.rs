//! What WeChat says when its server refuses: each errcode with its text, once.
//!
//! The texts are those that developers have printed. Every one ends in a `rid`, three groups of eight hex digits of which
//! the first is the time in seconds; `/sns/` puts a comma before it and the rest of WeChat does not, and some answers of
//! `/wxa/` carry a hint as well.

use clock::Timestamp;
use serde::Serialize;

use crate::random;

/// Why WeChat refuses a call of its server API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    InvalidCredential,
    InvalidGrantType,
    InvalidOpenid,
    InvalidAppid,
    InvalidCode,
    InvalidUrl,
    InvalidAppsecret,
    CodeBeenUsed,
    TokenMissing,
    AppidMissing,
    AppsecretMissing,
    CodeMissing,
    TokenExpired,
    RequireGet,
    RequirePost,
    EmptyPostData,
    DataFormat,
    DailyQuota,
    InvalidSigMethod,
    InvalidSignature,
}

impl Refusal {
    /// errcode and errmsg.
    pub(crate) fn parts(self) -> (i32, &'static str) {
        match self {
            Self::InvalidCredential => (
                40001,
                "invalid credential, access_token is invalid or not latest, could get access_token by \
                 getStableAccessToken, more details at https://mmbizurl.cn/s/JtxxFh33r",
            ),
            Self::InvalidGrantType => (40002, "invalid grant_type"),
            Self::InvalidOpenid => (40003, "invalid openid"),
            Self::InvalidAppid => (40013, "invalid appid"),
            Self::InvalidCode => (40029, "invalid code"),
            Self::InvalidUrl => (40066, "invalid url"),
            Self::InvalidAppsecret => (40125, "invalid appsecret"),
            Self::CodeBeenUsed => (40163, "code been used"),
            Self::TokenMissing => (41001, "access_token missing"),
            Self::AppidMissing => (41002, "appid missing"),
            Self::AppsecretMissing => (41004, "appsecret missing"),
            Self::CodeMissing => (41008, "missing code"),
            Self::TokenExpired => (42001, "access_token expired"),
            Self::RequireGet => (43001, "require GET method"),
            Self::RequirePost => (43002, "require POST method"),
            Self::EmptyPostData => (44002, "empty post data"),
            Self::DailyQuota => (45009, "reach max api daily quota limit"),
            Self::DataFormat => (47001, "data format error"),
            Self::InvalidSigMethod => (87008, "invalid sig_method"),
            Self::InvalidSignature => (87009, "invalid signature"),
        }
    }

    /// The body of the answer, as the servers of `family` write it at `now`.
    pub(crate) fn body(self, family: Family, now: Timestamp) -> ErrorBody {
        let (errcode, text) = self.parts();
        let rid = rid(now);
        let errmsg = match family {
            Family::Sns => format!("{text}, rid: {rid}"),
            Family::Cgi => format!("{text} rid: {rid}"),
            // Observed with 40029 of getuserphonenumber and with 47001.
            Family::Wxa if matches!(self, Self::InvalidCode | Self::DataFormat) => {
                format!("{text} hint: [{}] rid: {rid}", random::url_safe(11))
            }
            Family::Wxa => format!("{text} rid: {rid}"),
        };
        ErrorBody { errcode, errmsg }
    }
}

/// Which of WeChat's servers speaks: they differ in how they write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// `/sns/…`
    Sns,
    /// `/cgi-bin/…`
    Cgi,
    /// `/wxa/…`
    Wxa,
}

/// `{"errcode","errmsg"}`.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorBody {
    pub(crate) errcode: i32,
    pub(crate) errmsg: String,
}

/// What WeChat numbers a request with: `69a509f1-0d6eaf0b-6d509ece`.
fn rid(now: Timestamp) -> String {
    let second = u32::from_be_bytes(random::bytes());
    let third = u32::from_be_bytes(random::bytes());
    format!("{:08x}-{second:08x}-{third:08x}", now.secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Swaps every rid and hint for a placeholder, after checking its form.
    fn without_noise(text: &str) -> String {
        let (text, rid) = text.split_once("rid: ").unwrap_or((text, ""));
        assert_eq!(rid.len(), 26, "{rid}");
        assert!(rid.split('-').all(|group| {
            group.len() == 8
                && group
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        }));
        match text.split_once("hint: [") {
            Some((head, hint)) => {
                assert_eq!(hint.len(), "[ohAeTVNre-9] ".len() - 1, "{hint}");
                format!("{head}hint: […] rid: …")
            }
            None => format!("{text}rid: …"),
        }
    }

    #[test]
    fn the_texts_are_the_ones_developers_print() {
        let now = Timestamp::from_secs(0x69a5_09f1);
        let said = |refusal: Refusal, family| without_noise(&refusal.body(family, now).errmsg);
        use Family::{Cgi, Sns, Wxa};
        use Refusal::*;
        assert_eq!(said(InvalidCode, Sns), "invalid code, rid: …");
        assert_eq!(said(InvalidCode, Wxa), "invalid code hint: […] rid: …");
        assert_eq!(said(CodeBeenUsed, Sns), "code been used, rid: …");
        assert_eq!(said(CodeMissing, Sns), "missing code, rid: …");
        assert_eq!(said(AppsecretMissing, Sns), "appsecret missing, rid: …");
        assert_eq!(said(InvalidAppid, Cgi), "invalid appid rid: …");
        assert_eq!(said(AppidMissing, Cgi), "appid missing rid: …");
        assert_eq!(said(InvalidGrantType, Cgi), "invalid grant_type rid: …");
        assert_eq!(said(TokenMissing, Wxa), "access_token missing rid: …");
        assert_eq!(said(TokenExpired, Wxa), "access_token expired rid: …");
        assert_eq!(said(DataFormat, Wxa), "data format error hint: […] rid: …");
        assert!(InvalidCode.body(Sns, now).errmsg.contains("rid: 69a509f1-"));
    }
}
