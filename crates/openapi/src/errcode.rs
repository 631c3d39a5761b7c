//! What WeChat's HTTPS API answers as `errcode`: the codes that a client or a simulator must know, each with its text, once.
//!
//! The texts are those of the error tables in WeChat's documents, or what developers have printed where a table has Chinese;
//! the answer itself ends in a `rid`. Every API has codes of its own beside these.

/// Defines each code as a constant, and the table of their texts.
macro_rules! errcodes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $text:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: i32 = $code;)+

        const TABLE: &[(i32, &str)] = &[$(($name, $text)),+];
    };
}

errcodes! {
    /// WeChat is busy: try again a few times, each later than the last.
    SYSTEM_BUSY = -1, "system error";
    /// The access_token is not the latest, or none; of a request for a token, the AppSecret is wrong.
    INVALID_CREDENTIAL = 40001, "invalid credential, access_token is invalid or not latest, could get access_token by getStableAccessToken, more details at https://mmbizurl.cn/s/JtxxFh33r";
    /// A request for a token names another `grant_type`.
    INVALID_GRANT_TYPE = 40002, "invalid grant_type";
    /// No user of this app has this openid.
    INVALID_OPENID = 40003, "invalid openid";
    /// Not the kind of media that the API takes.
    INVALID_MEDIA_TYPE = 40004, "invalid media type";
    /// No media has this id, or has it any longer: temporary ones live for three days.
    INVALID_MEDIA_ID = 40007, "invalid media_id";
    /// No app has this appid.
    INVALID_APPID = 40013, "invalid appid";
    /// The access_token is invalid.
    INVALID_ACCESS_TOKEN = 40014, "invalid access_token";
    /// The code of `wx.login` or of a phone number is invalid or has expired.
    INVALID_CODE = 40029, "invalid code";
    /// The app has no template of this id.
    INVALID_TEMPLATE_ID = 40037, "invalid template_id";
    /// There is nothing at this path.
    INVALID_URL = 40066, "invalid url";
    /// A param is missing or not what the API takes.
    INVALID_ARGS = 40097, "invalid args";
    /// A required param is not there. The text is ours: the document has Chinese only.
    PARAMETER_MISSING = 40101, "missing parameter";
    /// The AppSecret is not that of the appid.
    INVALID_APPSECRET = 40125, "invalid appsecret";
    /// The code was exchanged before.
    CODE_BEEN_USED = 40163, "code been used";
    /// The address of this machine is not in the app's IP whitelist.
    IP_NOT_IN_WHITELIST = 40164, "invalid ip, not in whitelist";
    /// WeChat has blocked the user who has logged in.
    CODE_BLOCKED = 40226, "code blocked";
    /// The AppSecret was frozen by the app's administrator.
    APPSECRET_FROZEN = 40243, "appsecret is frozen";
    /// The query has no access_token.
    ACCESS_TOKEN_MISSING = 41001, "access_token missing";
    /// The query has no appid.
    APPID_MISSING = 41002, "appid missing";
    /// The query has no secret.
    APPSECRET_MISSING = 41004, "appsecret missing";
    /// The form has no file.
    MEDIA_DATA_MISSING = 41005, "media data missing";
    /// The query has no code.
    CODE_MISSING = 41008, "missing code";
    /// The app has no such page, as far as its published version goes.
    INVALID_PAGE = 41030, "invalid page";
    /// The access_token is over.
    ACCESS_TOKEN_EXPIRED = 42001, "access_token expired";
    /// A POST, where the API is a GET.
    REQUIRE_GET = 43001, "require GET method";
    /// A GET, where the API is a POST.
    REQUIRE_POST = 43002, "require POST method";
    /// The user did not subscribe to this template, or has no subscription left.
    USER_REFUSED = 43101, "user refuse to accept the msg";
    /// The body of a POST is empty.
    EMPTY_POST_DATA = 44002, "empty post data";
    /// The app's quota for the day is used up.
    DAILY_QUOTA = 45009, "reach max api daily quota limit";
    /// The app's quota for this minute is used up.
    MINUTE_QUOTA = 45011, "api minute-quota reach limit, must slower, retry next minute";
    /// The app has as many codes of this kind as it may have.
    QRCODE_COUNT = 45029, "qrcode count out of limit";
    /// Template messages were withdrawn on 2020-01-10. The text is ours: no source has WeChat's.
    TEMPLATE_MESSAGES_WITHDRAWN = 45103, "this api has been withdrawn";
    /// Uniform messages were withdrawn on 2023-09-20. The text is ours: no source has WeChat's.
    UNIFORM_MESSAGES_WITHDRAWN = 45109, "this api has been withdrawn";
    /// The body of a POST cannot be read as JSON.
    DATA_FORMAT = 47001, "data format error";
    /// A field of a message is missing, or not of the kind that its template says; WeChat goes on with which:
    /// `argument invalid! data.time2.value is empty`.
    ARGUMENT_INVALID = 47003, "argument invalid!";
    /// The app may not call this API.
    UNAUTHORIZED = 48001, "api unauthorized";
    /// WeChat has restricted the app's owner.
    USER_LIMITED = 50002, "user limited";
    /// The app may not fetch tokens. The text is ours: the document has Chinese only.
    TOKEN_FORBIDDEN = 50004, "access_token interface is forbidden";
    /// The app is frozen. The text is ours: the document has Chinese only.
    ACCOUNT_FROZEN = 50007, "account frozen";
    /// `sig_method` is not `hmac_sha256`.
    INVALID_SIG_METHOD = 87008, "invalid sig_method";
    /// `signature` is not that of the body under the user's session_key.
    INVALID_SIGNATURE = 87009, "invalid signature";
    /// A text or an image is not fit to be shown.
    RISKY_CONTENT = 87014, "risky content";
    /// This machine's address waits for the administrator's consent. The text is ours: the document has Chinese only.
    IP_WAITS_FOR_CONSENT = 89503, "this ip waits for the administrator's consent";
    /// The administrator refused this machine's address, for a day. The text is ours: the document has Chinese only.
    IP_REFUSED_FOR_A_DAY = 89506, "this ip was refused by the administrator, retry in 24 hours";
    /// The administrator refused this machine's address, for an hour. The text is ours: the document has Chinese only.
    IP_REFUSED_FOR_AN_HOUR = 89507, "this ip was refused by the administrator, retry in 1 hour";
}

/// The text of a code, without the `rid`, if it is one of these.
#[must_use]
pub fn text(errcode: i32) -> Option<&'static str> {
    TABLE.iter().find(|row| row.0 == errcode).map(|row| row.1)
}

/// Whether an API refused the access_token itself: drop it, fetch another, and repeat the call once. Of a request for a token,
/// 40001 says that the AppSecret is wrong, and repeating it is of no use.
#[must_use]
pub fn refuses_token(errcode: i64) -> bool {
    [INVALID_CREDENTIAL, INVALID_ACCESS_TOKEN, ACCESS_TOKEN_EXPIRED]
        .iter()
        .any(|&code| i64::from(code) == errcode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_and_each_has_a_text() {
        assert!(TABLE.is_sorted_by(|a, b| a.0 < b.0));
        assert!(
            TABLE
                .iter()
                .all(|(code, words)| text(*code) == Some(*words) && !words.is_empty())
        );
        assert_eq!(text(0), None);
    }

    #[test]
    fn what_refuses_a_token_is_told_from_what_refuses_a_call() {
        let refusing: Vec<i32> = TABLE
            .iter()
            .map(|row| row.0)
            .filter(|&code| refuses_token(code.into()))
            .collect();
        assert_eq!(refusing, [40001, 40014, 42001]);
        assert!(!refuses_token(i64::from(u32::MAX) + 1 + 40001));
    }
}
