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
pub(crate) enum ApiRefusal {
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
    DataFormat,
    InvalidSigMethod,
    InvalidSignature,
    RiskyContent,
    InvalidMessageType,
    InvalidScene,
    PathLength,
    InvalidPagePath,
    SceneLength,
    InvalidQuery,
    EmptyContent,
    ResponseTime,
    ResponseCount,
    ClearLimit,
    RidNotFound,
    RidMalformed,
    RidForeign,
    RidExpired,
    CgiPathNotFound,
    CgiPathForbidden,
    LinkLife,
    InvalidEnvVersion,
    LinkNotFound,
    PlainScheme,
    NoSessionKey,
    OpenNotExists,
    InvalidTrade,
    InvalidModelId,
    InvalidActivity,
    InvalidTargetState,
    InvalidVersionType,
    ActivityExpired,
    /// The API was withdrawn, and answers with this errcode alone.
    Withdrawn(i32),
    /// What is wrong with which field: `data.time2.value is empty`.
    Argument(String),
    /// What a fault was set to answer.
    Fault(i32),
}

impl ApiRefusal {
    /// The errcode, and what errmsg begins with: the text that [`errcode`] has, and here that of codes which one kind of API
    /// alone answers, from its document or from what developers have printed.
    fn code_and_text(&self) -> (i32, &'static str) {
        let known = |code| (code, errcode::text(code).unwrap_or("this api has been withdrawn"));
        match self {
            Self::SystemBusy => known(errcode::SYSTEM_BUSY),
            Self::InvalidCredential => known(errcode::INVALID_CREDENTIAL),
            Self::InvalidGrantType => known(errcode::INVALID_GRANT_TYPE),
            Self::InvalidOpenid => known(errcode::INVALID_OPENID),
            Self::InvalidMediaId => known(errcode::INVALID_MEDIA_ID),
            Self::InvalidAppid => known(errcode::INVALID_APPID),
            Self::InvalidCode => known(errcode::INVALID_CODE),
            Self::InvalidTemplateId => known(errcode::INVALID_TEMPLATE_ID),
            Self::InvalidUrl => known(errcode::INVALID_URL),
            Self::InvalidArgs => known(errcode::INVALID_ARGS),
            Self::InvalidAppsecret => known(errcode::INVALID_APPSECRET),
            Self::CodeBeenUsed => known(errcode::CODE_BEEN_USED),
            Self::TokenMissing => known(errcode::ACCESS_TOKEN_MISSING),
            Self::AppidMissing => known(errcode::APPID_MISSING),
            Self::AppsecretMissing => known(errcode::APPSECRET_MISSING),
            Self::MediaMissing => known(errcode::MEDIA_DATA_MISSING),
            Self::CodeMissing => known(errcode::CODE_MISSING),
            Self::InvalidPage => known(errcode::INVALID_PAGE),
            Self::TokenExpired => known(errcode::ACCESS_TOKEN_EXPIRED),
            Self::RequireGet => known(errcode::REQUIRE_GET),
            Self::RequirePost => known(errcode::REQUIRE_POST),
            Self::UserRefused => known(errcode::USER_REFUSED),
            Self::EmptyPostData => known(errcode::EMPTY_POST_DATA),
            Self::DailyQuota => known(errcode::DAILY_QUOTA),
            Self::DataFormat => known(errcode::DATA_FORMAT),
            Self::InvalidSigMethod => known(errcode::INVALID_SIG_METHOD),
            Self::InvalidSignature => known(errcode::INVALID_SIGNATURE),
            Self::RiskyContent => known(errcode::RISKY_CONTENT),
            Self::Argument(_) => known(errcode::ARGUMENT_INVALID),
            Self::Withdrawn(code) => known(*code),
            Self::Fault(code) => (*code, errcode::text(*code).unwrap_or("simulated fault")),
            Self::InvalidMessageType => (40008, "invalid message type"),
            Self::InvalidScene => (40129, "invalid scene"),
            Self::PathLength => (40159, "invalid length for path, or the data is not json string"),
            Self::InvalidPagePath => (40165, "invalid weapp pagepath"),
            Self::SceneLength => (40169, "invalid length for scene, or the data is not json string"),
            Self::InvalidQuery => (40212, "invalid query"),
            Self::EmptyContent => (44004, "empty content"),
            Self::ResponseTime => (45015, "response out of time limit or subscription is canceled"),
            Self::ResponseCount => (45047, "out of response count limit"),
            Self::ClearLimit => (48006, "forbid to clear quota because of reaching the limit"),
            Self::RidNotFound => (76001, "rid not found"),
            Self::RidMalformed => (76002, "rid is error"),
            Self::RidForeign => (76003, "could not query this rid,no permission"),
            Self::RidExpired => (76004, "rid time is error"),
            Self::CgiPathNotFound => (76021, "cgi_path not found, please check"),
            Self::CgiPathForbidden => (76022, "could not use this cgi_path，no permission"),
            Self::InvalidActivity => (47501, "activity_id error"),
            Self::InvalidTargetState => (47502, "target_state error"),
            Self::InvalidVersionType => (47503, "version_type error"),
            Self::ActivityExpired => (47504, "activity_id expired time"),
            Self::LinkLife => (85401, "time limit between 1min and 30days"),
            Self::InvalidEnvVersion => (85402, "invalid env_version"),
            Self::LinkNotFound => (85403, "not found"),
            Self::PlainScheme => (85405, "appid or path not support plain scheme"),
            Self::NoSessionKey => (87007, "session_key is not existd or expired"),
            Self::OpenNotExists => (89002, "open not exists"),
            Self::InvalidTrade => (89300, "invalid trade"),
            // The document has Chinese only: the text is ours.
            Self::InvalidModelId => (9_800_003, "invalid model_id"),
        }
    }

    /// The body of the answer with this `rid`, as the servers of `family` write it.
    pub(crate) fn body(&self, family: Family, rid: &str) -> ErrorBody {
        let (errcode, text) = self.code_and_text();
        let text = match self {
            Self::Argument(which) => format!("{text} {which}"),
            _ => text.to_owned(),
        };
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
        let said = |refusal: ApiRefusal, family| without_noise(&refusal.body(family, &rid(now)).errmsg);
        use ApiRefusal::*;
        use Family::{Cgi, Sns, Wxa};
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
        assert!(rid(now).starts_with("69a509f1-"));
    }
}
