//! Exchanging cloudIDs for what they stand for.
//!
//! A ticket of our own is opened in memory. Every other id is WeChat's, and all of them go to it in one
//! `getopendata` request, each once. An id that cannot be redeemed becomes an item with a code; the call
//! itself goes on.

use opendata::{CloudIdError, Tickets, WECHAT_UNREACHABLE, WECHAT_UNREACHABLE_TEXT};

use crate::event::Marked;
use crate::{Inner, Note};

/// One JSON text for each marked field, in their order.
pub(crate) async fn redeem(
    inner: &Inner,
    request_id: &str,
    openid: &str,
    marked: &[Marked<'_>],
) -> Vec<Vec<u8>> {
    let mut items = vec![Vec::new(); marked.len()];
    let mut foreign: Vec<&str> = Vec::new();
    for (field, item) in marked.iter().zip(&mut items) {
        match field.id.as_deref() {
            None | Some("") => opendata::write_item(item, field.raw_id, refused(CloudIdError::Invalid)),
            Some(id) if Tickets::is_ticket(id) => match inner.tickets.redeem(id, openid, inner.clock.now()) {
                Ok(data) => opendata::write_item(item, field.raw_id, Ok(&data)),
                Err(error) => opendata::write_item(item, field.raw_id, refused(error)),
            },
            Some(id) => {
                if !foreign.contains(&id) {
                    foreign.push(id);
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
    for (field, item) in marked.iter().zip(&mut items) {
        let Some(id) = field.id.as_deref().filter(|id| foreign.contains(id)) else {
            continue;
        };
        let found = answer
            .as_ref()
            .ok()
            .and_then(|answer| answer.iter().find(|found| found.cloud_id == id));
        match found {
            // The text of an object, spliced as WeChat wrote it.
            Some(found) => item.extend_from_slice(found.json.as_bytes()),
            None => opendata::write_item(
                item,
                field.raw_id,
                Err((WECHAT_UNREACHABLE, WECHAT_UNREACHABLE_TEXT)),
            ),
        }
    }
    items
}

fn refused<T>(error: CloudIdError) -> Result<T, (i32, &'static str)> {
    Err((error.code(), error.text()))
}
