//! The list of ids that a function gives to WeChat's own API for them, `/wxa/getopendata`, as `openapi.cloudbase.getOpenData`.
//! It may hold tickets of ours, which WeChat does not know: those are redeemed here, and WeChat is asked about the rest.

use std::{borrow::Cow, collections::HashMap};

use clock::Timestamp;
use json::Object;

use crate::{OpenDataItem, Tickets};

/// A list with tickets of ours in it.
#[derive(Clone, Debug)]
pub struct MixedList {
    ids: Vec<String>,
}

impl MixedList {
    /// Reads the list, a JSON array of strings. `None` if there is no ticket in it: everything else is WeChat's to judge.
    #[must_use]
    pub fn read(list: &[u8]) -> Option<Self> {
        let ids = json::array_of_strings(std::str::from_utf8(list).ok()?, usize::MAX).ok()?;
        ids.iter().any(|id| Tickets::is_ticket(id)).then(|| Self {
            ids: ids.into_iter().map(Cow::into_owned).collect(),
        })
    }

    /// The list for WeChat, as JSON; `None` if there are only tickets in it.
    #[must_use]
    pub fn of_wechat(&self) -> Option<Vec<u8>> {
        let mut list = vec![b'['];
        for id in self.ids.iter().filter(|id| !Tickets::is_ticket(id)) {
            if list.len() > 1 {
                list.push(b',');
            }
            json::write_string(&mut list, id);
        }
        list.push(b']');
        (list.len() > 2).then_some(list)
    }

    /// One answer of WeChat's shape about the whole list, in its order: the tickets redeemed for `openid`, and what WeChat said
    /// about the rest. `None` if WeChat refused as a whole, or said something else: the function should see that.
    #[must_use]
    pub fn merge(
        &self,
        tickets: &Tickets,
        openid: &str,
        now: Timestamp,
        said: Option<&[u8]>,
    ) -> Option<Vec<u8>> {
        let told = match said {
            Some(said) => Object::parse(said).ok()?,
            None => Object::default(),
        };
        if told.get("errcode").is_some_and(|errcode| errcode != "0") {
            return None;
        }
        let items = told.get("data_list").map_or(Ok(Vec::new()), json::array).ok()?;
        let mut of_wechat = HashMap::with_capacity(items.len());
        for item in items {
            let id = Object::parse(item.as_bytes())
                .ok()
                .and_then(|item| item.get("cloud_id"));
            if let Some(id) = id.and_then(json::unescape) {
                of_wechat.entry(id).or_insert(item);
            }
        }
        let mut body = br#"{"errcode":0,"errmsg":"ok","data_list":["#.to_vec();
        let empty = body.len();
        for id in &self.ids {
            let begun = body.len();
            if begun > empty {
                body.push(b',');
            }
            if Tickets::is_ticket(id) {
                let mut raw = Vec::with_capacity(id.len() + 2);
                json::write_string(&mut raw, id);
                let raw = String::from_utf8_lossy(&raw);
                let item = OpenDataItem::of_ticket(tickets, openid, now, &raw, id);
                body.extend_from_slice(b"{\"cloud_id\":");
                body.extend_from_slice(raw.as_bytes());
                body.extend_from_slice(b",\"json\":");
                json::write_string(&mut body, &String::from_utf8_lossy(item.as_json()));
                body.push(b'}');
            } else if let Some(item) = of_wechat.get(id.as_str()) {
                body.extend_from_slice(item.as_bytes());
            } else {
                body.truncate(begun);
            }
        }
        body.extend_from_slice(b"]}");
        Some(body)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use seal::KeyRing;

    use super::*;

    #[test]
    fn tickets_are_redeemed_here_and_the_rest_by_wechat() {
        assert!(MixedList::read(br#"["a","b"]"#).is_none());
        assert!(MixedList::read(br#"["yq_x",1]"#).is_none());
        assert!(MixedList::read(b"yq_x").is_none());
        let list = MixedList::read(br#"["b","yq_x","a","c"]"#).unwrap();
        assert_eq!(list.of_wechat().unwrap(), br#"["b","a","c"]"#);
        assert_eq!(MixedList::read(br#"["yq_x"]"#).unwrap().of_wechat(), None);

        let tickets = Tickets::new(&KeyRing::generate(), "wx1");
        let merge = |said: Option<&str>| {
            let said = said.map(str::as_bytes);
            let body = list.merge(&tickets, "o1", Timestamp::from_secs(1), said)?;
            Some(String::from_utf8(body).unwrap())
        };
        let ours = r#"{"cloud_id":"yq_x","json":"{\"cloudID\":\"yq_x\",\"errCode\":-601005,\"errMsg\":\"invalid cloudID.\"}"}"#;
        let said = r#"{"errcode":0,"errmsg":"ok","data_list":[{"cloud_id":"a","json":"{}"},{"cloud_id":"b","json":{"n": 1.0}}]}"#;
        assert_eq!(
            merge(Some(said)).unwrap(),
            format!(
                r#"{{"errcode":0,"errmsg":"ok","data_list":[{{"cloud_id":"b","json":{{"n": 1.0}}}},{ours},{{"cloud_id":"a","json":"{{}}"}}]}}"#
            )
        );
        assert_eq!(
            merge(None).unwrap(),
            format!(r#"{{"errcode":0,"errmsg":"ok","data_list":[{ours}]}}"#)
        );
        for refused in [
            r#"{"errcode":40003,"errmsg":"invalid openid"}"#,
            "<html>",
            r#"{"data_list":{}}"#,
        ] {
            assert_eq!(merge(Some(refused)), None, "{refused}");
        }
    }
}
