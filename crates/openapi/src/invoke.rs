//! WeChat's own HTTP API for calling cloud functions (document "触发云函数"), as a server of ours answers it: which paths it has, what
//! a request says, in which order it is judged, what is answered. Answers have HTTP status 200 and an `errcode`.
//!
//! Choices, where the documents are silent or where following them would help nobody: whatever `env` is named, there is one; a
//! call that returned nothing gives `null`.

use std::borrow::Cow;

use json::Object;

use crate::errcode;

/// How long an access_token holds, in seconds.
pub const TOKEN_LIFE: u64 = 7200;
const CLIENT_CREDENTIAL: &str = "client_credential";

/// A path of this API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvokePath {
    /// `/cgi-bin/token`: an access_token, by a query or a form.
    Token,
    /// `/cgi-bin/stable_token`: an access_token, by JSON.
    StableToken,
    /// `/tcb/invokecloudfunction`: a call.
    Invoke,
}

impl InvokePath {
    /// What a path asks for, if it is one of these.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        match path {
            "/cgi-bin/token" => Some(Self::Token),
            "/cgi-bin/stable_token" => Some(Self::StableToken),
            "/tcb/invokecloudfunction" => Some(Self::Invoke),
            _ => None,
        }
    }

    /// Whether it takes a method; if not, the errcode that says so.
    ///
    /// # Errors
    /// It takes another.
    pub fn takes(self, method: &str) -> Result<(), i32> {
        match (self, method) {
            (Self::Token, "GET") | (_, "POST") => Ok(()),
            (Self::Token, _) => Err(errcode::REQUIRE_GET),
            _ => Err(errcode::REQUIRE_POST),
        }
    }
}

/// What was refused, with WeChat's code and text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvokeRefusal {
    /// The `errcode`.
    pub code: i64,
    /// The `errmsg`, less the request's id.
    pub text: Cow<'static, str>,
    /// What the operator should know beyond that.
    pub why: Option<String>,
}

impl InvokeRefusal {
    /// The same, with more for the operator.
    #[must_use]
    pub fn because(self, why: impl Into<String>) -> Self {
        Self {
            why: Some(why.into()),
            ..self
        }
    }

    fn missing(what: &str) -> Self {
        let refusal = Self::from(errcode::PARAMETER_MISSING);
        let text = format!("{}: {what}", refusal.text).into();
        Self { text, ..refusal }
    }

    /// The answer.
    #[must_use]
    pub fn write(&self, request_id: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(96 + self.text.len());
        out.extend_from_slice(b"{\"errcode\":");
        out.extend_from_slice(self.code.to_string().as_bytes());
        out.extend_from_slice(b",\"errmsg\":");
        json::write_string(&mut out, &format!("{} rid: {request_id}", self.text));
        out.push(b'}');
        out
    }
}

impl From<i32> for InvokeRefusal {
    /// With the text of WeChat's table.
    fn from(code: i32) -> Self {
        Self {
            code: code.into(),
            text: errcode::text(code).unwrap_or_default().into(),
            why: None,
        }
    }
}

/// What a request for an access_token says. Its `Debug` would show the secret, so there is none.
#[derive(Default)]
pub struct TokenRequest {
    grant_type: String,
    appid: String,
    secret: String,
}

impl TokenRequest {
    /// From the query, else from a form that says the same.
    #[must_use]
    pub fn of_query(query: &str, form: &[u8]) -> Self {
        let find = |name: &str| {
            let mut query = form_urlencoded::parse(query.as_bytes()).chain(form_urlencoded::parse(form));
            query
                .find(|(key, value)| key == name && !value.is_empty())
                .map(|(_, value)| value.into_owned())
                .unwrap_or_default()
        };
        Self {
            grant_type: find("grant_type"),
            appid: find("appid"),
            secret: find("secret"),
        }
    }

    /// From a JSON body.
    ///
    /// # Errors
    /// There is none, or it is not an object whose members are strings.
    pub fn of_json(body: &[u8]) -> Result<Self, InvokeRefusal> {
        if body.is_empty() {
            return Err(errcode::EMPTY_POST_DATA.into());
        }
        let malformed = || InvokeRefusal::from(errcode::DATA_FORMAT);
        let body = Object::parse(body).map_err(|_| malformed())?;
        let find = |name: &str| match body.get(name) {
            Some(raw) => json::unescape(raw).map(Cow::into_owned).ok_or_else(malformed),
            None => Ok(String::new()),
        };
        Ok(Self {
            grant_type: find("grant_type")?,
            appid: find("appid")?,
            secret: find("secret")?,
        })
    }

    /// Judges it in the order in which WeChat looks. `is_secret` says whether a text is the AppSecret of `appid`.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(&self, appid: &str, is_secret: impl FnOnce(&str) -> bool) -> Result<(), InvokeRefusal> {
        if self.appid.is_empty() {
            return Err(errcode::APPID_MISSING.into());
        }
        if self.appid != appid {
            let why = format!("this is {appid}, and {:?} was asked for", self.appid);
            return Err(InvokeRefusal::from(errcode::INVALID_APPID).because(why));
        }
        if self.secret.is_empty() {
            return Err(errcode::APPSECRET_MISSING.into());
        }
        if !is_secret(&self.secret) {
            return Err(
                InvokeRefusal::from(errcode::INVALID_APPSECRET).because("somebody showed another AppSecret")
            );
        }
        if self.grant_type != CLIENT_CREDENTIAL {
            return Err(errcode::INVALID_GRANT_TYPE.into());
        }
        Ok(())
    }
}

/// What is to be called, in either form of the documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionCall<'a> {
    /// The function's name.
    pub name: Cow<'a, str>,
    /// Its event, JSON text that nobody has checked.
    pub data: Cow<'a, str>,
}

impl<'a> FunctionCall<'a> {
    /// The older form has `env` and `name` in the query, and the body is the event; the newer has `env`, `name` and `req_data` in
    /// the body, where `req_data` is the event or its text. What is not in the query is empty here.
    ///
    /// # Errors
    /// Something is missing, or the body is not JSON.
    pub fn read(env: &'a str, name: &'a str, body: &'a [u8]) -> Result<Self, InvokeRefusal> {
        if body.is_empty() {
            return Err(errcode::EMPTY_POST_DATA.into());
        }
        let malformed = || InvokeRefusal::from(errcode::DATA_FORMAT);
        if !name.is_empty() {
            if env.is_empty() {
                return Err(InvokeRefusal::missing("env"));
            }
            let data = std::str::from_utf8(body).map_err(|_| malformed())?;
            return Ok(Self {
                name: name.into(),
                data: data.into(),
            });
        }
        let body = Object::parse(body).map_err(|_| malformed())?;
        let text = |name: &str| {
            let text = body.get(name).and_then(json::unescape);
            text.filter(|text| !text.is_empty())
        };
        if env.is_empty() && text("env").is_none() {
            return Err(InvokeRefusal::missing("env"));
        }
        let name = text("name").ok_or_else(|| InvokeRefusal::missing("name"))?;
        let data = match body.get("req_data") {
            Some(raw) if json::is_string(raw) => text("req_data"),
            raw => raw.map(Cow::Borrowed),
        };
        let data = data.ok_or_else(|| InvokeRefusal::missing("req_data"))?;
        Ok(Self { name, data })
    }
}

/// The answer to a call: `resp_data` is text, the JSON of what the function returned as a JSON string.
#[must_use]
pub fn invoked(result: Option<&[u8]>) -> Vec<u8> {
    let result = String::from_utf8_lossy(result.unwrap_or(b"null"));
    let mut out = Vec::with_capacity(result.len() + result.len() / 8 + 64);
    out.extend_from_slice(b"{\"errcode\":0,\"errmsg\":\"ok\",\"resp_data\":");
    json::write_string(&mut out, &result);
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const APPID: &str = "wx0123456789abcdef";
    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn judged(request: &TokenRequest) -> Result<(), i64> {
        let checked = request.check(APPID, |secret| secret == SECRET);
        checked.map_err(|refusal| refusal.code)
    }

    #[test]
    fn who_asks_for_a_token_shows_appid_and_appsecret() {
        let asked = |query: &str, form: &str| judged(&TokenRequest::of_query(query, form.as_bytes()));
        let good = format!("grant_type=client_credential&appid={APPID}&secret={SECRET}");
        assert_eq!(asked(&good, ""), Ok(()));
        assert_eq!(asked("", &good), Ok(()));
        for (query, code) in [
            (String::new(), 41002),
            ("appid=wx0".to_owned(), 40013),
            (format!("appid={APPID}"), 41004),
            (format!("appid={APPID}&secret={SECRET}0"), 40125),
            (format!("appid={APPID}&secret={SECRET}"), 40002),
            (
                format!("appid={APPID}&secret={SECRET}&grant_type=authorization_code"),
                40002,
            ),
        ] {
            assert_eq!(asked(&query, ""), Err(code), "{query}");
        }
    }

    #[test]
    fn a_stable_token_is_asked_for_by_json() {
        let asked = |body: &str| {
            let request = TokenRequest::of_json(body.as_bytes()).map_err(|refusal| refusal.code)?;
            judged(&request)
        };
        let good = format!(
            r#"{{"grant_type":"client_credential","appid":"{APPID}","secret":"{SECRET}","force_refresh":true}}"#
        );
        assert_eq!(asked(&good), Ok(()));
        for (body, code) in [
            ("", 44002),
            ("[]", 47001),
            ("{}", 41002),
            (r#"{"appid":1}"#, 47001),
        ] {
            assert_eq!(asked(body), Err(code), "{body}");
        }
    }

    #[test]
    fn each_path_takes_its_method() {
        for (path, method, taken) in [
            ("/cgi-bin/token", "GET", Ok(())),
            ("/cgi-bin/token", "POST", Ok(())),
            ("/cgi-bin/token", "PUT", Err(errcode::REQUIRE_GET)),
            ("/cgi-bin/stable_token", "GET", Err(errcode::REQUIRE_POST)),
            ("/cgi-bin/stable_token", "POST", Ok(())),
            ("/tcb/invokecloudfunction", "GET", Err(errcode::REQUIRE_POST)),
            ("/tcb/invokecloudfunction", "POST", Ok(())),
        ] {
            assert_eq!(
                InvokePath::of(path).unwrap().takes(method),
                taken,
                "{method} {path}"
            );
        }
        assert_eq!(InvokePath::of("/cgi-bin/token/"), None);
    }

    #[test]
    fn both_forms_of_the_documents_are_read() {
        let read = |env, name, body: &'static str| {
            let read = FunctionCall::read(env, name, body.as_bytes());
            read.map(|read| (read.name.into_owned(), read.data.into_owned()))
                .map_err(|refusal| refusal.code)
        };
        let good = |data: &str| Ok(("f".to_owned(), data.to_owned()));
        // The body is the event, whatever it is made of.
        assert_eq!(read("e", "f", r#"{"req_data":1}"#), good(r#"{"req_data":1}"#));
        assert_eq!(
            read("", "", r#"{"env":"e","name":"f","req_data":{"a":1}}"#),
            good(r#"{"a":1}"#)
        );
        assert_eq!(
            read("", "", r#"{"env":"e","name":"f","req_data":"{\"a\":1}"}"#),
            good(r#"{"a":1}"#)
        );
        assert_eq!(read("e", "", r#"{"name":"f","req_data":{}}"#), good("{}"));
        for (env, name, body, code) in [
            ("e", "f", "", 44002),
            ("", "f", "{}", 40101),
            ("", "", "{}", 40101),
            ("", "", "[]", 47001),
            ("", "", r#"{"env":"e","req_data":{}}"#, 40101),
            ("", "", r#"{"env":"e","name":"f"}"#, 40101),
            ("", "", r#"{"env":1,"name":"f","req_data":{}}"#, 40101),
        ] {
            assert_eq!(read(env, name, body), Err(code), "{body}");
        }
    }

    #[test]
    fn the_result_is_text() {
        let text = |result| String::from_utf8(invoked(result)).unwrap();
        assert_eq!(
            text(Some(r#"{"a":"\"你"}"#.as_bytes())),
            r#"{"errcode":0,"errmsg":"ok","resp_data":"{\"a\":\"\\\"你\"}"}"#
        );
        assert_eq!(text(None), r#"{"errcode":0,"errmsg":"ok","resp_data":"null"}"#);
        let refusal = InvokeRefusal::from(errcode::INVALID_APPID);
        assert_eq!(
            refusal.write("r1"),
            br#"{"errcode":40013,"errmsg":"invalid appid rid: r1"}"#
        );
    }
}
