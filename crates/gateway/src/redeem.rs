//! Exchanging cloudIDs for what they stand for.
//!
//! A ticket of our own is opened in memory. Every other id is WeChat's, and all of them go to it in one
//! `getopendata` request, each once. An id that cannot be redeemed becomes an item with a code; the call
//! itself goes on.

use opendata::{CloudIdError, Tickets, WECHAT_UNREACHABLE, WECHAT_UNREACHABLE_TEXT};

use crate::{Inner, Note};

/// A cloudID as somebody handed it in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Id<'a> {
    /// As a JSON string literal, in the spelling that is given back.
    pub(crate) raw: &'a str,
    /// The id itself; `None` where it has a lone surrogate and so cannot be an id of anybody's.
    pub(crate) text: Option<&'a str>,
}

/// The texts `{"cloudID":…,"data":…}`, or with `errCode` and `errMsg`, one for each id, in their order.
pub(crate) async fn redeem(inner: &Inner, request_id: &str, openid: &str, ids: &[Id<'_>]) -> Vec<Vec<u8>> {
    let mut items = vec![Vec::new(); ids.len()];
    let mut foreign: Vec<&str> = Vec::new();
    for (id, item) in ids.iter().zip(&mut items) {
        match id.text {
            None | Some("") => opendata::write_item(item, id.raw, refused(CloudIdError::Invalid)),
            Some(text) if Tickets::is_ticket(text) => ticket(inner, openid, id.raw, text, item),
            Some(text) => {
                if !foreign.contains(&text) {
                    foreign.push(text);
                }
            }
        }
    }
    if foreign.is_empty() {
        return items;
    }
    let answer = inner.wechat.get_open_data(openid, &foreign).await;
    if let Err(error) = &answer {
        let text = format!("getopendata failed, so the cloudIDs of this call could not be redeemed: {error}");
        inner.journal.note(&Note {
            request_id,
            openid: Some(openid),
            text: &text,
        });
    }
    for (id, item) in ids.iter().zip(&mut items) {
        let Some(text) = id.text.filter(|text| foreign.contains(text)) else {
            continue;
        };
        let found = answer
            .as_ref()
            .ok()
            .and_then(|answer| answer.iter().find(|found| found.cloud_id == text));
        match found {
            // The text of an object, spliced as WeChat wrote it.
            Some(found) => item.extend_from_slice(found.json.as_bytes()),
            None => opendata::write_item(item, id.raw, Err((WECHAT_UNREACHABLE, WECHAT_UNREACHABLE_TEXT))),
        }
    }
    items
}

/// Appends what a ticket of our own stands for; `raw` is its spelling as a JSON string literal.
pub(crate) fn ticket(inner: &Inner, openid: &str, raw: &str, text: &str, item: &mut Vec<u8>) {
    match inner.tickets.redeem(text, openid, inner.clock.now()) {
        Ok(data) => opendata::write_item(item, raw, Ok(&data)),
        Err(error) => opendata::write_item(item, raw, refused(error)),
    }
}

fn refused<T>(error: CloudIdError) -> Result<T, (i32, &'static str)> {
    Err((error.code(), error.text()))
}
