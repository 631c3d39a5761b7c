//! `/v1/files/…`: files, for everybody but the workers, who have a way of their own to the same door (`cloud`).

use calls::Note;
use http::request::Parts;
use wording::wording;

use crate::{
    Inner,
    body::UnreadBody,
    reply::{HttpReply, ReplyBody},
};

/// Answers a request. What goes wrong is answered as storage does: in XML, for the SDKs that upload.
pub(crate) async fn answer(
    inner: &Inner,
    request_id: &str,
    head: &Parts,
    body: &mut UnreadBody,
) -> HttpReply {
    let reply = inner.cloud.files().answer(head, &mut *body, request_id).await;
    if let Some(why) = reply.why {
        // Its sender may be anybody, and gives the connection up when another needs it.
        body.discard().await;
        let method = &head.method;
        inner.journal.note(&Note {
            request_id,
            openid: None,
            text: &wording!(
                "{method} of a file was refused: {why}",
                "文件的 {method} 请求被拒绝：{why}"
            ),
        });
    }
    reply.response.map(ReplyBody::from)
}
