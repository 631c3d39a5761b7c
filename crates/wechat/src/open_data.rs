//! `/wxa/getopendata`: cloudIDs for the data they stand for.

use std::collections::HashSet;

use opendata::OpenDataItem;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{WeChatClient, WeChatError, transport::Request};

const API: &str = "getopendata";

#[derive(Serialize)]
struct Body<'a> {
    cloudid_list: &'a [&'a str],
}

#[derive(Deserialize)]
struct Reply {
    data_list: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    cloud_id: String,
    /// The document types it as a string and prints it as an object; WeChat was observed to send a string.
    json: Box<RawValue>,
}

impl WeChatClient {
    /// Asks what the cloudIDs of one user stand for, in one request; an id given twice is asked for once. Gives what WeChat says,
    /// by id. An id may be missing: then WeChat said nothing that can be used about it.
    ///
    /// # Errors
    /// Refused as a whole with 40003 bad openid, -1 busy; an id that is refused is an item that says so.
    pub async fn get_open_data(
        &self,
        openid: &str,
        ids: &[&str],
    ) -> Result<Vec<(String, OpenDataItem)>, WeChatError> {
        let mut open = HashSet::with_capacity(ids.len());
        let asked: Vec<&str> = ids.iter().copied().filter(|id| open.insert(*id)).collect();
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let (query, body) = ([("openid", openid)], Body { cloudid_list: &asked });
        let request = Request::post(API, "/wxa/getopendata", &query, &body)?;
        let Reply { data_list } = self.send_authorized(request).await?.read()?;

        let mut items = Vec::with_capacity(asked.len());
        for Entry { cloud_id, json } in data_list {
            match item(&json) {
                Some(item) if open.remove(cloud_id.as_str()) => items.push((cloud_id, item)),
                Some(_) => tracing::warn!(
                    cloud_id,
                    "WeChat answered about a cloudID that was not asked for, or twice"
                ),
                None => tracing::warn!(cloud_id, "WeChat's item for this cloudID is no JSON object"),
            }
        }
        Ok(items)
    }
}

/// An object that was sent as such, or as a string that holds it.
fn item(json: &RawValue) -> Option<OpenDataItem> {
    let raw = json.get();
    if raw.starts_with('{') {
        return OpenDataItem::of_wechat(raw.to_owned());
    }
    OpenDataItem::of_wechat(serde_json::from_str(raw).ok()?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use crate::testing::{Server, reply, token};

    #[tokio::test]
    async fn items_are_texts_of_objects_however_they_came() {
        let server = Server::start(|request| {
            if request.is("stable_token") {
                return token("T", 7200);
            }
            reply(json!({"errcode": 0, "errmsg": "ok", "data_list": [
                {"cloud_id": "b", "json": {"cloudID": "b", "data": {"n": 1}}},
                {"cloud_id": "a", "json": "{ \"cloudID\":\"a\", \"data\":{\"n\":12345678901234567890} }"},
                {"cloud_id": "c", "json": "{\"cloudID\":\"c\",\"errCode\":-601007,\"errMsg\":\"cloudID not belong to user.\"}"},
                {"cloud_id": "d", "json": "no object"},
                {"cloud_id": "e", "json": "[]"},
                {"cloud_id": "a", "json": "{\"again\":true}"},
                {"cloud_id": "never asked", "json": "{}"},
            ]}))
        })
        .await;
        let items = server
            .client()
            .get_open_data("oABC", &["a", "b", "a", "c", "d", "e"])
            .await
            .unwrap();
        let items: Vec<_> = items
            .iter()
            .map(|(id, item)| (id.as_str(), std::str::from_utf8(item.as_json()).unwrap()))
            .collect();
        assert_eq!(
            items,
            [
                ("b", r#"{"cloudID":"b","data":{"n":1}}"#),
                // Number text and blanks are as they came.
                ("a", r#"{ "cloudID":"a", "data":{"n":12345678901234567890} }"#),
                (
                    "c",
                    r#"{"cloudID":"c","errCode":-601007,"errMsg":"cloudID not belong to user."}"#
                ),
            ]
        );
        let requests = server.received("getopendata");
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0].query["openid"], "oABC");
        assert_eq!(
            requests[0].json(),
            json!({"cloudid_list": ["a", "b", "c", "d", "e"]})
        );
    }

    #[tokio::test]
    async fn nothing_to_ask_is_not_asked() {
        let server = Server::start(|_| token("T", 7200)).await;
        assert_eq!(server.client().get_open_data("oABC", &[]).await.unwrap(), []);
        assert_eq!(server.connections(), 0);
    }
}
