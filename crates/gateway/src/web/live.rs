//! Showing a page anew while it is developed: the script that each document of the site gets, and the events that it waits for. A page
//! that lost its server shows itself anew too, when that is there again.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use http::{
    HeaderValue, Method, StatusCode,
    header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS},
};
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::sync::watch;

use crate::reply::{self, HttpReply, ReplyBody};

/// Where the script is. No page of anybody's is at such a path.
pub(super) const SCRIPT_PATH: &str = "/__yunqiao/reload.js";
const EVENTS_PATH: &str = "/__yunqiao/reload";
const SCRIPT: &str = include_str!("reload.js");

/// Tells pages that they have changed.
#[derive(Debug, Default)]
pub(super) struct Live(watch::Sender<()>);

impl Live {
    pub(super) fn changed(&self) {
        self.0.send_replace(());
    }

    /// What is answered at its own paths.
    pub(super) fn answer(&self, method: &Method, path: &str) -> Option<HttpReply> {
        let (kind, body) = match path {
            _ if *method != Method::GET => return None,
            SCRIPT_PATH => (
                "text/javascript; charset=utf-8",
                Bytes::from_static(SCRIPT.as_bytes()).into(),
            ),
            EVENTS_PATH => ("text/event-stream", self.events()),
            _ => return None,
        };
        let mut reply = reply::typed(StatusCode::OK, HeaderValue::from_static(kind), body);
        reply
            .headers_mut()
            .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        reply
            .headers_mut()
            .insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Some(reply)
    }

    fn events(&self) -> ReplyBody {
        // What changed before is in the page already.
        let changes = self.0.subscribe();
        let events = stream::unfold((changes, false), |(mut changes, greeted)| async move {
            let text: &[u8] = match greeted {
                // A comment, so that a browser knows that it is connected.
                false => b"retry: 500\n: here\n\n",
                true => changes.changed().await.ok().map(|()| b"data: changed\n\n")?,
            };
            let frame = Frame::data(Bytes::from_static(text));
            Some((Ok::<_, Infallible>(frame), (changes, true)))
        });
        ReplyBody::events(StreamBody::new(events))
    }
}
