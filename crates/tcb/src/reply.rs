//! What a request is answered with. HTTP's status is 200 in any case: the SDK throws the body of every other one away.
//!
//! For `wx.openApi` the content type decides whether a body is a failure or a message, down to the byte; for all other
//! actions it decides nothing. So a failure always has the one that is a failure, and a message never has it.

use std::io::Write;

use crate::{codes, protobuf::CommOpenApiResp};

/// With exactly this content type, one blank and no capital, the body of a `wx.openApi` is a failure.
const JSON: &str = "application/json; charset=utf-8";
const OCTETS: &str = "application/octet-stream";

/// A reply, to be sent with status 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SdkReply {
    /// The header `content-type`, to be sent as it is.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

/// `functions.invokeFunction`: what the callee returned, as JSON text.
#[must_use]
pub fn invoked(request_id: &str, result: &str) -> SdkReply {
    data(request_id, "response_data", result)
}

/// `wx.api`: the text of WeChat's reply. The SDK hands on what it parses to, and an `errcode` in it is no failure.
#[must_use]
pub fn called(request_id: &str, response: &str) -> SdkReply {
    data(request_id, "responseData", response)
}

/// `wx.openApi`: a message, also one that says that the platform refused.
#[must_use]
pub fn message(response: &CommOpenApiResp) -> SdkReply {
    SdkReply {
        content_type: OCTETS,
        body: response.encode(),
    }
}

/// Any action: a failure of the space -50xxxx. The SDK turns the string that stands for `code` into the number again, and
/// shows `text` after its own text for it.
///
/// Codes without a string go out as `SYS_ERR`, but for `FUNCTION_NOT_FOUND`: the SDK takes that for -501001 as well, and
/// from 4.0.2 on shows the string.
#[must_use]
pub fn failure(request_id: &str, code: i32, text: &str) -> SdkReply {
    refused(request_id, codes::sent(code), text)
}

/// Any action: a failure by its string code, for those that the table of numbers does not have.
#[must_use]
pub fn refused(request_id: &str, code: &str, text: &str) -> SdkReply {
    let mut body = Vec::with_capacity(request_id.len() + code.len() + text.len() + 48);
    body.extend_from_slice(br#"{"code":"#);
    json::write_string(&mut body, code);
    body.extend_from_slice(br#","message":"#);
    json::write_string(&mut body, text);
    body.extend_from_slice(br#","requestId":"#);
    json::write_string(&mut body, request_id);
    body.push(b'}');
    json(body)
}

/// `wx.openApi`: a failure of any number and text, where [`CommOpenApiResp::error`] would leave the text to the SDK.
#[must_use]
pub fn refusal(errcode: i32, errmsg: &str) -> SdkReply {
    let mut body = Vec::with_capacity(errmsg.len() + 40);
    // Writing to a Vec cannot fail.
    let _ = write!(body, r#"{{"errcode":{errcode},"errmsg":"#);
    json::write_string(&mut body, errmsg);
    body.push(b'}');
    json(body)
}

/// `{"requestId":…,"data":{"<name>":"<text>"}}`
fn data(request_id: &str, name: &str, text: &str) -> SdkReply {
    // JSON within a string has many quotes to escape.
    let mut body = Vec::with_capacity(request_id.len() + text.len() + text.len() / 4 + 64);
    body.extend_from_slice(br#"{"requestId":"#);
    json::write_string(&mut body, request_id);
    body.extend_from_slice(br#","data":{"#);
    json::write_string(&mut body, name);
    body.push(b':');
    json::write_string(&mut body, text);
    body.extend_from_slice(b"}}");
    json(body)
}

pub(crate) fn json(body: Vec<u8>) -> SdkReply {
    SdkReply {
        content_type: JSON,
        body,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;
    use crate::NotServed;

    fn object(reply: &SdkReply) -> Value {
        assert_eq!(reply.content_type, "application/json; charset=utf-8");
        serde_json::from_slice(&reply.body).unwrap()
    }

    #[test]
    fn successes() {
        assert_eq!(
            object(&invoked("r\"1", r#"{"x":"中\n"}"#)),
            json!({"requestId": "r\"1", "data": {"response_data": "{\"x\":\"中\\n\"}"}})
        );
        assert_eq!(
            object(&called("r1", "plain text")),
            json!({"requestId": "r1", "data": {"responseData": "plain text"}})
        );
    }

    #[test]
    fn failures() {
        for (code, string) in [
            (codes::EXECUTE_FAIL, "FUNCTIONS_EXECUTE_FAIL"),
            (codes::INVALID_ENV, "INVALIID_ENV"),
            (codes::FUNCTION_NOT_FOUND, "FUNCTION_NOT_FOUND"),
            (codes::RESULT_TOO_LARGE, "SYS_ERR"),
            (-604_101, "SYS_ERR"),
        ] {
            assert_eq!(
                object(&failure("r1", code, "why \"not\"")),
                json!({"code": string, "message": "why \"not\"", "requestId": "r1"})
            );
        }
        assert_eq!(
            object(&refusal(-604_101, "no permission")),
            json!({"errcode": -604_101, "errmsg": "no permission"})
        );
    }

    /// Also one that refuses, or holds JSON: with the other content type the SDK would read it as JSON.
    #[test]
    fn a_message_never_looks_like_a_failure() {
        for response in [
            CommOpenApiResp::error(-604_101),
            CommOpenApiResp::new("application/json", b"{}".to_vec()),
            CommOpenApiResp::default(),
        ] {
            let reply = message(&response);
            assert_eq!(
                (reply.content_type, reply.body),
                ("application/octet-stream", response.encode())
            );
        }
    }

    #[test]
    fn what_is_not_served_fails_in_its_own_space() {
        for (not_served, code) in [
            (NotServed::CloudPay, -501_009),
            (NotServed::CloudCallSign, -501_009),
            (NotServed::CrossAccount, -501_009),
        ] {
            let reply = object(&not_served.reply("r1"));
            assert_eq!(codes::number(reply["code"].as_str().unwrap()), code);
            assert!(reply["message"].as_str().unwrap().contains(" not served yet"));
            assert_eq!(reply["requestId"], "r1");
        }
    }
}
