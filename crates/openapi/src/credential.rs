//! Which paths hand out credentials, and which params are credentials. Whoever forwards a request in an app's name must
//! let neither pass.

/// Whether the API at this path answers with an access_token or another credential of the account: whoever can call it
/// has the account in hand. In whatever case it is written. The paths are those of WeChat's documents "获取接口调用凭据", "网页授权" and "第三方平台".
#[must_use]
pub fn hands_out_credentials(path: &str) -> bool {
    const PATHS: [&str; 7] = [
        "/cgi-bin/token",
        "/cgi-bin/stable_token",
        "/cgi-bin/gettoken",
        "/sns/oauth2/access_token",
        "/sns/oauth2/refresh_token",
        "/sns/jscode2session",
        "/sns/component/jscode2session",
    ];
    // Under it a third-party platform gets its own tokens, and those of the accounts that trust it.
    let path = path.to_ascii_lowercase();
    PATHS.contains(&path.as_str()) || path.starts_with("/cgi-bin/component/")
}

/// Whether a param of a query is a credential.
#[must_use]
pub fn is_credential(name: &str) -> bool {
    const NAMES: [&str; 4] = [
        "access_token",
        "component_access_token",
        "authorizer_access_token",
        "secret",
    ];
    NAMES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_sessions_are_credentials() {
        for path in [
            "/cgi-bin/token",
            "/cgi-bin/stable_token",
            "/sns/jscode2session",
            "/cgi-bin/component/api_authorizer_token",
            "/cgi-bin/Token",
        ] {
            assert!(hands_out_credentials(path), "{path}");
        }
        for path in [
            "/cgi-bin/message/subscribe/send",
            "/wxa/getwxacodeunlimit",
            "/cgi-bin/componentry",
            "/",
        ] {
            assert!(!hands_out_credentials(path), "{path}");
        }
        assert!(is_credential("access_token") && !is_credential("openid"));
    }
}
