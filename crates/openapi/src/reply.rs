//! WeChat's answer, as the SDK is to see it.

use json::Object;

use crate::{Api, ApiReplyKind};

/// What an answer says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiReply<'a> {
    /// The content type to give the SDK (`CommOpenApiResp.contentType`), by which alone it decides whether the answer is JSON:
    /// WeChat's own, put right where it hides a JSON answer.
    pub content_type: &'a str,
    /// WeChat's code; 0 if all is well, and for a file.
    pub errcode: i64,
    /// WeChat's text; empty if it gave none.
    pub errmsg: String,
}

impl Api {
    /// Reads an answer of this API: its `content-type`, and its body.
    ///
    /// The SDK takes `application/json` and `text/plain` for JSON and hands anything else to the function as
    /// `{contentType, buffer}`, an `errcode` in it unseen (observed with wx-server-sdk 0.5.1 to 4.0.2). So a JSON answer of an
    /// API that answers JSON, and an object with an `errcode` of one that answers files, is called `application/json`, whatever
    /// WeChat's servers call it. What is called JSON but is not valid stays as it is: the SDK has its own error for that.
    pub fn reply<'a>(&self, content_type: Option<&'a str>, body: &[u8]) -> ApiReply<'a> {
        let content_type = content_type.unwrap_or_default().trim();
        let called_json = is_json_to_the_sdk(content_type);
        let as_it_came = ApiReply {
            content_type,
            errcode: 0,
            errmsg: String::new(),
        };
        let begins_like_json = matches!(body.trim_ascii_start().first(), Some(b'{' | b'['));
        if !begins_like_json {
            return as_it_came;
        }
        // An errmsg may quote what was sent, with the control characters that were in it: the errcode beside it counts all the same.
        let body = json::escape_controls(body);
        let body = body.as_ref();
        let Ok(object) = Object::parse(body) else {
            let is_list = self.reply == ApiReplyKind::Json && !called_json && json::validate(body).is_ok();
            return match is_list {
                true => ApiReply {
                    content_type: JSON,
                    ..as_it_came
                },
                false => as_it_came,
            };
        };
        let errcode = object.get("errcode");
        if !called_json && self.reply == ApiReplyKind::Binary && errcode.is_none() {
            return as_it_came;
        }
        ApiReply {
            content_type: if called_json { content_type } else { JSON },
            errcode: errcode.and_then(|raw| raw.parse().ok()).unwrap_or_default(),
            errmsg: object
                .get("errmsg")
                .and_then(json::unescape)
                .unwrap_or_default()
                .into_owned(),
        }
    }
}

const JSON: &str = "application/json";

fn is_json_to_the_sdk(content_type: &str) -> bool {
    content_type.contains(JSON) || content_type.contains("text/plain")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::find;

    fn reply<'a>(name: &str, content_type: &'a str, body: &str) -> (&'a str, i64, String) {
        let given = (!content_type.is_empty()).then_some(content_type);
        let reply = find(name).unwrap().reply(given, body.as_bytes());
        (reply.content_type, reply.errcode, reply.errmsg)
    }

    fn said<'a>(content_type: &'a str, errcode: i64, errmsg: &str) -> (&'a str, i64, String) {
        (content_type, errcode, errmsg.to_owned())
    }

    #[test]
    fn codes_and_texts_are_read() {
        let utf8 = "application/json; charset=UTF-8";
        for (body, errcode, errmsg) in [
            (r#"{"errcode":0,"errmsg":"ok"}"#, 0, "ok"),
            (
                r#" {"errmsg":"user refuse to accept the msg rid: 69a509f1-0d6eaf0b-6d509ece","errcode":43101}"#,
                43101,
                "user refuse to accept the msg rid: 69a509f1-0d6eaf0b-6d509ece",
            ),
            (r#"{"errcode":-1}"#, -1, ""),
            (r#"{"data":{"errcode":40001}}"#, 0, ""),
            (
                r#"{"errcode":99999999999,"errmsg":"\u4e91"}"#,
                99_999_999_999,
                "云",
            ),
            ("[]", 0, ""),
        ] {
            assert_eq!(
                reply("subscribeMessage.send", utf8, body),
                said(utf8, errcode, errmsg)
            );
            // The SDK would hand these to the function as a Buffer.
            for hidden in ["", "application/octet-stream", "text/html"] {
                assert_eq!(
                    reply("subscribeMessage.send", hidden, body),
                    said(JSON, errcode, errmsg)
                );
            }
        }
    }

    #[test]
    fn a_control_character_in_the_text_hides_no_code() {
        let body = "{\"errcode\":87014,\"errmsg\":\"risky content \u{2}\u{1d} rid: 1-2-3\"}";
        assert_eq!(
            reply("security.msgSecCheck", "application/json", body),
            said("application/json", 87014, "risky content \u{2}\u{1d} rid: 1-2-3")
        );
        assert_eq!(
            reply("wxacode.getUnlimited", "image/jpeg", body),
            said(JSON, 87014, "risky content \u{2}\u{1d} rid: 1-2-3")
        );
    }

    #[test]
    fn files_stay_files() {
        for (content_type, body) in [
            ("image/jpeg", "\u{fffd}PNG\r\n"),
            ("", ""),
            ("image/png", "{ not JSON"),
            ("application/octet-stream", r#"{"a":"file of JSON"}"#),
        ] {
            assert_eq!(
                reply("wxacode.getUnlimited", content_type, body),
                said(content_type, 0, "")
            );
        }
        assert_eq!(
            reply(
                "customerServiceMessage.getTempMedia",
                "text/plain",
                r#"{"video_url":"u"}"#
            ),
            said("text/plain", 0, "")
        );
    }

    #[test]
    fn an_error_in_place_of_a_file_is_seen() {
        let body = r#"{"errcode":41030,"errmsg":"invalid page rid: 1-2-3"}"#;
        for (given, expected) in [
            (
                "application/json; encoding=utf-8",
                "application/json; encoding=utf-8",
            ),
            ("text/plain", "text/plain"),
            ("image/jpeg", JSON),
            ("", JSON),
        ] {
            assert_eq!(
                reply("wxacode.getUnlimited", given, body),
                said(expected, 41030, "invalid page rid: 1-2-3")
            );
        }
    }

    #[test]
    fn what_is_no_json_is_left_to_the_sdk() {
        for content_type in ["application/json", "text/plain", "text/html"] {
            for body in ["<html>", "{\"errcode\":40001", "{}x", "[1"] {
                assert_eq!(
                    reply("subscribeMessage.send", content_type, body),
                    said(content_type, 0, "")
                );
            }
        }
    }
}
