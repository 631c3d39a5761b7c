//! `/wxa/getopendata`: cloudIDs for the data they stand for.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Client, Error, transport::Request};

const API: &str = "getopendata";

/// What WeChat says about one cloudID.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenDataItem {
    /// The cloudID, as it was asked for.
    pub cloud_id: String,
    /// The text of a JSON object: `{"cloudID","data":{…}}`, or `{"cloudID","errCode","errMsg"}` when WeChat refuses
    /// this one. It is WeChat's text as it came.
    pub json: String,
}

impl std::fmt::Debug for OpenDataItem {
    /// Without the data, which is personal.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenDataItem")
            .field("cloud_id", &self.cloud_id)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Body<'a> {
    cloudid_list: &'a [&'a str],
}

#[derive(Deserialize)]
struct Reply {
    data_list: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    cloud_id: String,
    /// The document types it as a string and prints it as an object; WeChat was observed to send a string.
    json: Box<RawValue>,
}

impl Client {
    /// Asks what the cloudIDs of one user stand for, in one request; an id given twice is asked for once. An answer
    /// may lack an id: then WeChat said nothing that can be used about it.
    ///
    /// # Errors
    /// Refused as a whole with 40003 bad openid, -1 busy; an id that is refused is an item that says so.
    pub async fn get_open_data(&self, openid: &str, ids: &[&str]) -> Result<Vec<OpenDataItem>, Error> {
        let mut asked: Vec<&str> = Vec::with_capacity(ids.len());
        for &id in ids {
            if !asked.contains(&id) {
                asked.push(id);
            }
        }
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let (query, body) = ([("openid", openid)], Body { cloudid_list: &asked });
        let request = Request::post(API, "/wxa/getopendata", &query, &body)?;
        let Reply { data_list } = self.send_authorized(request).await?.read()?;

        let mut items: Vec<OpenDataItem> = Vec::with_capacity(asked.len());
        for Item { cloud_id, json } in data_list {
            let known =
                asked.contains(&cloud_id.as_str()) && items.iter().all(|item| item.cloud_id != cloud_id);
            match object_text(&json) {
                Some(json) if known => items.push(OpenDataItem { cloud_id, json }),
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

/// The text of an object that was sent as such, or as a string that holds it.
fn object_text(json: &RawValue) -> Option<String> {
    let raw = json.get();
    if raw.starts_with('{') {
        return Some(raw.to_owned());
    }
    let text: String = serde_json::from_str(raw).ok()?;
    let object: &RawValue = serde_json::from_str(&text).ok()?;
    object.get().starts_with('{').then(|| object.get().to_owned())
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
            .map(|item| (item.cloud_id.as_str(), item.json.as_str()))
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
