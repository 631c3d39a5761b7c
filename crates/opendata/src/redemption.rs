//! Exchanging the cloudIDs of one user for what they stand for.
//!
//! A ticket of our own is opened in memory. Every other id is WeChat's, and all of them go to it in one `getopendata` request,
//! each once. An id that cannot be redeemed becomes an item with a code; whatever carries it goes on. Sending the request is
//! the caller's business: a [`Redemption`] says what to ask for, and is finished with the answer.

use std::collections::{HashMap, HashSet};

use clock::Timestamp;
use json::Object;

use crate::{CloudIdError, Tickets, WECHAT_UNREACHABLE, WECHAT_UNREACHABLE_TEXT, write_item};

/// A cloudID as somebody handed it in.
#[derive(Clone, Copy, Debug)]
pub struct CloudId<'a> {
    /// As a JSON string literal, in the spelling that is given back.
    pub raw: &'a str,
    /// The id itself; `None` where it has a lone surrogate and so cannot be an id of anybody's.
    pub text: Option<&'a str>,
}

/// What a cloudID comes to. `Debug` does not show the data, which is personal.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenDataItem {
    json: Vec<u8>,
    code: i64,
}

impl OpenDataItem {
    /// The item of a ticket of ours; `raw` is its spelling as a JSON string literal.
    #[must_use]
    pub fn of_ticket(tickets: &Tickets, openid: &str, now: Timestamp, raw: &str, text: &str) -> Self {
        match tickets.redeem(text, openid, now) {
            Ok(data) => Self::new(raw, Ok(&data)),
            Err(error) => Self::refused(raw, error),
        }
    }

    /// What WeChat's servers answer about an id: the text of an object, kept as it came. `None` if it is something else.
    #[must_use]
    pub fn of_wechat(json: String) -> Option<Self> {
        let object = Object::parse(json.as_bytes()).ok()?;
        let code = object.get("errCode").and_then(|code| code.parse().ok());
        Some(Self {
            code: code.unwrap_or_default(),
            json: json.into_bytes(),
        })
    }

    fn refused(raw: &str, error: CloudIdError) -> Self {
        Self::new(raw, Err((error.code(), error.text())))
    }

    fn new(raw: &str, result: Result<&str, (i32, &str)>) -> Self {
        let mut json = Vec::with_capacity(raw.len() + result.map_or(48, str::len) + 32);
        write_item(&mut json, raw, result);
        Self {
            json,
            code: result.err().map_or(0, |(code, _)| code.into()),
        }
    }

    /// `{"cloudID":…,"data":…}`, or `{"cloudID":…,"errCode":…,"errMsg":…}`.
    #[must_use]
    pub fn as_json(&self) -> &[u8] {
        &self.json
    }

    /// The text of [`as_json`](Self::as_json), to be kept.
    #[must_use]
    pub fn into_json(self) -> Vec<u8> {
        self.json
    }

    /// 0, or the code with which the id was refused.
    #[must_use]
    pub fn code(&self) -> i64 {
        self.code
    }
}

impl std::fmt::Debug for OpenDataItem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenDataItem")
            .field("code", &self.code)
            .finish_non_exhaustive()
    }
}

/// An exchange that has begun: tickets are opened, WeChat's ids are still to be asked for.
#[derive(Debug)]
pub struct Redemption<'a> {
    ids: &'a [CloudId<'a>],
    /// Of each id; `None` where WeChat is to say it.
    items: Vec<Option<OpenDataItem>>,
    of_wechat: Vec<&'a str>,
}

impl<'a> Redemption<'a> {
    /// Opens what are tickets of ours, and lists the rest.
    #[must_use]
    pub fn begin(tickets: &Tickets, openid: &str, now: Timestamp, ids: &'a [CloudId<'a>]) -> Self {
        let mut listed = HashSet::new();
        let mut of_wechat = Vec::new();
        let items = ids.iter().map(|id| match id.text {
            None | Some("") => Some(OpenDataItem::refused(id.raw, CloudIdError::Invalid)),
            Some(text) if Tickets::is_ticket(text) => {
                Some(OpenDataItem::of_ticket(tickets, openid, now, id.raw, text))
            }
            Some(text) => {
                if listed.insert(text) {
                    of_wechat.push(text);
                }
                None
            }
        });
        Self {
            items: items.collect(),
            of_wechat,
            ids,
        }
    }

    /// The ids that only WeChat can redeem, each once, in their order. If there are none, nobody need be asked.
    #[must_use]
    pub fn of_wechat(&self) -> &[&'a str] {
        &self.of_wechat
    }

    /// One item for each id, in their order. `answers` are WeChat's, by id; about an id that they lack the item says that
    /// WeChat could not be reached.
    #[must_use]
    pub fn finish(self, answers: Vec<(String, OpenDataItem)>) -> Vec<OpenDataItem> {
        let answers: HashMap<String, OpenDataItem> = answers.into_iter().collect();
        let items = self.items.into_iter().zip(self.ids).map(|(item, id)| {
            item.or_else(|| answers.get(id.text?).cloned())
                .unwrap_or_else(|| {
                    OpenDataItem::new(id.raw, Err((WECHAT_UNREACHABLE, WECHAT_UNREACHABLE_TEXT)))
                })
        });
        items.collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use seal::KeyRing;

    use super::*;
    use crate::{Policy, SessionKey, decrypt, encrypt};

    const APPID: &str = "wx4f4bc4dec97d474b";
    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn ticket(tickets: &Tickets, openid: &str) -> String {
        let key = SessionKey::from_bytes(*b"0123456789abcdef");
        let data = format!(r#"{{"n":1,"watermark":{{"appid":"{APPID}","timestamp":1700000000}}}}"#);
        let sent = encrypt(&key, [0; 16], data.as_bytes());
        let plaintext = decrypt(&key, &sent.encrypted_data, &sent.iv).unwrap();
        tickets.mint(
            openid,
            NOW,
            &plaintext.into_plaintext(&Policy::new(APPID), NOW).unwrap(),
        )
    }

    #[test]
    fn each_id_gets_its_item_and_wechat_is_asked_for_its_own_once() {
        let tickets = Tickets::new(&KeyRing::generate(), APPID);
        let (mine, other) = (ticket(&tickets, "o1"), ticket(&tickets, "o2"));
        let texts = [
            Some(mine.as_str()),
            Some("b"),
            Some(""),
            None,
            Some("a"),
            Some("b"),
            Some(&other),
            Some("c"),
        ];
        let ids = texts.map(|text| CloudId { raw: "\"id\"", text });
        let redemption = Redemption::begin(&tickets, "o1", NOW, &ids);
        assert_eq!(redemption.of_wechat(), ["b", "a", "c"]);

        let told = |id: &str, code: &str| {
            let json = format!(r#"{{"cloudID":"{id}"{code}}}"#);
            (id.to_owned(), OpenDataItem::of_wechat(json).unwrap())
        };
        let items = redemption.finish(vec![told("a", ""), told("b", r#","errCode":-601007"#)]);
        let codes: Vec<i64> = items.iter().map(OpenDataItem::code).collect();
        assert_eq!(
            codes,
            [0, -601_007, -601_005, -601_005, 0, -601_007, -601_007, -601_003]
        );
        assert!(
            items[0]
                .as_json()
                .starts_with(br#"{"cloudID":"id","data":{"n":1,"#)
        );
        // WeChat's text, as it came.
        assert_eq!(items[1].as_json(), br#"{"cloudID":"b","errCode":-601007}"#);
        assert_eq!(
            items[7].as_json(),
            br#"{"cloudID":"id","errCode":-601003,"errMsg":"system network error"}"#
        );
    }

    #[test]
    fn what_wechat_says_is_an_object() {
        for text in ["", "[]", "no", "{", r#"{"a":1}x"#] {
            assert_eq!(OpenDataItem::of_wechat(text.to_owned()), None, "{text}");
        }
        let odd = OpenDataItem::of_wechat(r#"{"errCode":"x"}"#.to_owned()).unwrap();
        assert_eq!(odd.code(), 0);
    }
}
