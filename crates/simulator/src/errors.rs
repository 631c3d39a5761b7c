//! What WeChat says when its server refuses. Codes and texts are those of [`openapi::errcode`].
//!
//! The texts are those that developers have printed. Every one ends in a `rid`, three groups of eight hex digits of which
//! the first is the time in seconds; `/sns/` puts a comma before it and the rest of WeChat does not, and some answers of
//! `/wxa/` carry a hint as well.

use clock::Timestamp;
use openapi::errcode;
use serde::Serialize;

use crate::random;

/// Why WeChat refuses a call of its server API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    SystemBusy,
    InvalidCredential,
    InvalidGrantType,
    InvalidOpenid,
    InvalidMediaId,
    InvalidAppid,
    InvalidCode,
    InvalidTemplateId,
    InvalidUrl,
    InvalidArgs,
    InvalidAppsecret,
    InvalidScene,
    PathLength,
    SceneLength,
    CodeBeenUsed,
    TokenMissing,
    AppidMissing,
    AppsecretMissing,
    MediaMissing,
    CodeMissing,
    InvalidPage,
    TokenExpired,
    RequireGet,
    RequirePost,
    UserRefused,
    EmptyPostData,
    DailyQuota,
    /// The API was withdrawn, and answers with this errcode alone.
    Withdrawn(i32),
    DataFormat,
    /// What is wrong with which field: `data.time2.value is empty`.
    Argument(String),
    InvalidSigMethod,
    InvalidSignature,
    RiskyContent,
}

impl Refusal {
    pub(crate) fn code(&self) -> i32 {
        match self {
            Self::SystemBusy => errcode::SYSTEM_BUSY,
            Self::InvalidCredential => errcode::INVALID_CREDENTIAL,
            Self::InvalidGrantType => errcode::INVALID_GRANT_TYPE,
            Self::InvalidOpenid => errcode::INVALID_OPENID,
            Self::InvalidMediaId => errcode::INVALID_MEDIA_ID,
            Self::InvalidAppid => errcode::INVALID_APPID,
            Self::InvalidCode => errcode::INVALID_CODE,
            Self::InvalidTemplateId => errcode::INVALID_TEMPLATE_ID,
            Self::InvalidUrl => errcode::INVALID_URL,
            Self::InvalidArgs => errcode::INVALID_ARGS,
            Self::InvalidAppsecret => errcode::INVALID_APPSECRET,
            Self::InvalidScene => 40129,
            Self::PathLength => 40159,
            Self::SceneLength => 40169,
            Self::CodeBeenUsed => errcode::CODE_BEEN_USED,
            Self::TokenMissing => errcode::ACCESS_TOKEN_MISSING,
            Self::AppidMissing => errcode::APPID_MISSING,
            Self::AppsecretMissing => errcode::APPSECRET_MISSING,
            Self::MediaMissing => errcode::MEDIA_DATA_MISSING,
            Self::CodeMissing => errcode::CODE_MISSING,
            Self::InvalidPage => errcode::INVALID_PAGE,
            Self::TokenExpired => errcode::ACCESS_TOKEN_EXPIRED,
            Self::RequireGet => errcode::REQUIRE_GET,
            Self::RequirePost => errcode::REQUIRE_POST,
            Self::UserRefused => errcode::USER_REFUSED,
            Self::EmptyPostData => errcode::EMPTY_POST_DATA,
            Self::DailyQuota => errcode::DAILY_QUOTA,
            Self::Withdrawn(code) => *code,
            Self::DataFormat => errcode::DATA_FORMAT,
            Self::Argument(_) => errcode::ARGUMENT_INVALID,
            Self::InvalidSigMethod => errcode::INVALID_SIG_METHOD,
            Self::InvalidSignature => errcode::INVALID_SIGNATURE,
            Self::RiskyContent => errcode::RISKY_CONTENT,
        }
    }

    /// What errmsg begins with: the text that [`errcode`] has, and here that of codes which one kind of API alone answers.
    fn text(&self) -> &'static str {
        match self {
            Self::InvalidScene => "invalid scene",
            Self::PathLength => "invalid length for path, or the data is not json string",
            Self::SceneLength => "invalid length for scene, or the data is not json string",
            // Only a code that the catalogue gives may be without a text there.
            known => errcode::text(known.code()).unwrap_or("this api has been withdrawn"),
        }
    }

    /// The body of the answer, as the servers of `family` write it at `now`.
    pub(crate) fn body(&self, family: Family, now: Timestamp) -> ErrorBody {
        let text = match self {
            Self::Argument(which) => format!("{} {which}", self.text()),
            _ => self.text().to_owned(),
        };
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
        ErrorBody {
            errcode: self.code(),
            errmsg,
        }
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

impl Family {
    /// Which one serves `path`. Of the rest too little was seen to tell it from `/wxa/`.
    pub(crate) fn of(path: &str) -> Self {
        match path.split('/').nth(1) {
            Some("sns") => Self::Sns,
            Some("cgi-bin") => Self::Cgi,
            _ => Self::Wxa,
        }
    }
}

/// `{"errcode","errmsg"}`.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorBody {
    pub(crate) errcode: i32,
    pub(crate) errmsg: String,
}

/// What WeChat numbers a request with: `69a509f1-0d6eaf0b-6d509ece`.
pub(crate) fn rid(now: Timestamp) -> String {
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
        assert_eq!(said(UserRefused, Cgi), "user refuse to accept the msg rid: …");
        assert_eq!(said(InvalidTemplateId, Cgi), "invalid template_id rid: …");
        assert_eq!(said(MediaMissing, Wxa), "media data missing rid: …");
        assert_eq!(
            said(Argument("data.time2.value is empty".to_owned()), Cgi),
            "argument invalid! data.time2.value is empty rid: …"
        );
        assert!(InvalidCode.body(Sns, now).errmsg.contains("rid: 69a509f1-"));
    }
}
