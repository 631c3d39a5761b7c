//! camelCase and snake_case, as wx-server-sdk 2.6.3 to 4.0.2 convert the keys of params and replies, and the way back for the
//! APIs whose params the conversion spoils.
//!
//! A function writes `{templateId}`, and the SDK sends `template_id`, which is what nearly all of WeChat's APIs want. Some
//! want `roomId`, and get `room_id` unless the function said `openapi({convertCase: false})`, as the documents' samples
//! for them do. Here such a key is turned back, at any depth, as the SDK had turned it. That WeChat's own cloud does the same
//! is not known: a choice, which costs a function that says `convertCase: false` nothing.

use std::borrow::Cow;

/// `templateId` to `template_id`: each capital to an underscore and its small letter, at the start without the underscore.
#[must_use]
pub fn snake(key: &str) -> Cow<'_, str> {
    if !key.contains(|char: char| char.is_ascii_uppercase()) {
        return Cow::Borrowed(key);
    }
    let mut out = String::with_capacity(key.len() + 4);
    for (at, char) in key.char_indices() {
        if char.is_ascii_uppercase() && at > 0 {
            out.push('_');
        }
        out.push(char.to_ascii_lowercase());
    }
    Cow::Owned(out)
}

/// `template_id` to `templateId`: each underscore before a small letter goes, and the letter becomes a capital.
#[must_use]
pub fn camel(key: &str) -> Cow<'_, str> {
    if !key.contains('_') {
        return Cow::Borrowed(key);
    }
    let mut out = String::with_capacity(key.len());
    let mut chars = key.chars().peekable();
    while let Some(char) = chars.next() {
        match chars.next_if(|next| char == '_' && next.is_ascii_lowercase()) {
            Some(letter) => out.push(letter.to_ascii_uppercase()),
            None => out.push(char),
        }
    }
    Cow::Owned(out)
}

/// The one of `spelled` that the SDK has turned into `key`, if there is one.
pub(crate) fn respelled(key: &str, mut spelled: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    spelled.find(|name| snake(name) == key)
}

/// Respells the keys of all objects in `text`, which is valid JSON. Everything else stays as it was written.
pub(crate) fn respell_keys<S: Iterator<Item = &'static str>>(text: &str, spelled: impl Fn() -> S) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(quote) = rest.find('"') {
        let (before, from_quote) = rest.split_at(quote);
        let (literal, after) = from_quote.split_at(literal_length(from_quote));
        out.push_str(before);
        // In JSON a colon follows a key, and nothing else.
        let is_key = after.trim_start_matches([' ', '\t', '\n', '\r']).starts_with(':');
        let key = json::unescape(literal).filter(|_| is_key);
        match key.and_then(|key| respelled(&key, spelled())) {
            // Names of WeChat's need no escapes.
            Some(name) => out.extend(["\"", name, "\""]),
            None => out.push_str(literal),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// How long the string literal is that `text` begins with, its quotes included.
fn literal_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_converted_as_the_sdk_does() {
        for (camel_case, snake_case) in [
            ("touser", "touser"),
            ("templateId", "template_id"),
            ("isHyaline", "is_hyaline"),
            ("cloudidList", "cloudid_list"),
            ("outTradeNO", "out_trade_n_o"),
            ("price2", "price2"),
            ("miniprogramState2Go", "miniprogram_state2_go"),
            ("地址Id", "地址_id"),
            ("", ""),
        ] {
            assert_eq!(snake(camel_case), snake_case);
            assert_eq!(camel(snake_case), camel_case);
        }
    }

    #[test]
    fn some_keys_do_not_survive_there_and_back() {
        // A capital at the start gets no underscore.
        assert_eq!(
            (snake("EnvId"), camel("env_id")),
            ("env_id".into(), "envId".into())
        );
        // An underscore goes only before a small letter.
        assert_eq!(camel("a_1__b_C_"), "a_1_B_C_");
        assert_eq!(camel("_id"), "Id");
    }

    #[test]
    fn spoilt_keys_are_put_right_at_any_depth_and_nothing_else_is_touched() {
        let spelled = || ["goodsId", "coverImgUrl", "PostData"].into_iter();
        for (sent, wanted) in [
            (r#"{"goods_id":1}"#, r#"{"goodsId":1}"#),
            (
                r#"{ "post_data" : [{"cover_img_url":"goods_id","goods_id" :["goods_id", 1e400]}] }"#,
                r#"{ "PostData" : [{"coverImgUrl":"goods_id","goodsId" :["goods_id", 1e400]}] }"#,
            ),
            (
                r#"{"goods\u005fid":12345678901234567890}"#,
                r#"{"goodsId":12345678901234567890}"#,
            ),
            (
                r#"{"n\u00e9":"\"goods_id\":","\ud800":"\\","b":"\\\""}"#,
                r#"{"n\u00e9":"\"goods_id\":","\ud800":"\\","b":"\\\""}"#,
            ),
            (r#"{"goodsId":0,"goods_ids":0}"#, r#"{"goodsId":0,"goods_ids":0}"#),
            ("null", "null"),
            ("\"goods_id\"", "\"goods_id\""),
        ] {
            assert_eq!(respell_keys(sent, spelled), wanted);
        }
    }
}
