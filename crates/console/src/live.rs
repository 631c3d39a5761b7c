//! A page that follows what happens: a stream of server-sent events, each the part of the page that changed, as HTML.
//!
//! However much happens, a viewer is sent the newest state a few times a second and no more: nothing queues up behind a slow
//! one. The stream ends with its connection, which a comment now and then finds out about.

use std::{convert::Infallible, future::Future, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use gateway::ReplyBody;
use http::{HeaderValue, Response, header::CONTENT_TYPE};
use http_body_util::StreamBody;
use hyper::body::Frame;
use maud::Markup;
use tokio::{sync::watch, time::Instant};

/// Between two events.
const PACE: Duration = Duration::from_millis(400);
/// What is dear to show is shown less often: so many times as long as it took lies between two events.
const REST: u32 = 4;
/// Between two comments.
const SILENCE: Duration = Duration::from_secs(15);

/// Sends what `render` gives: now, and again when `changed` tells.
pub(crate) fn follow<Render, Rendered>(
    mut changed: watch::Receiver<()>,
    render: Render,
) -> Response<ReplyBody>
where
    Render: Fn() -> Rendered + Send + 'static,
    Rendered: Future<Output = Markup> + Send,
{
    changed.mark_changed();
    let events = stream::unfold((changed, render, None), async |(mut changed, render, pause)| {
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
        let mut pause = PACE;
        let text = match tokio::time::timeout(SILENCE, changed.changed()).await {
            Ok(Ok(())) => {
                let began = Instant::now();
                let text = event(&render().await.into_string());
                pause = pause.max(began.elapsed() * REST);
                text
            }
            // Whoever told is gone.
            Ok(Err(_)) => return None,
            Err(_) => ":\n\n".to_owned(),
        };
        let frame: Result<Frame<Bytes>, Infallible> = Ok(Frame::data(Bytes::from(text)));
        Some((frame, (changed, render, Some(pause))))
    });
    let mut reply = Response::new(ReplyBody::events(StreamBody::new(events)));
    let content_type = HeaderValue::from_static("text/event-stream");
    reply.headers_mut().insert(CONTENT_TYPE, content_type);
    reply
}

/// One event. Whatever ends a line to a reader of events must not end the event's.
fn event(html: &str) -> String {
    let mut text = String::with_capacity(html.len() + 64);
    text.push_str("event: page\n");
    for line in html.replace("\r\n", "\n").split(['\n', '\r']) {
        text.push_str("data: ");
        text.push_str(line);
        text.push('\n');
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use http_body_util::BodyExt;
    use maud::html;

    use super::*;

    #[test]
    fn no_text_makes_an_event_of_its_own() {
        assert_eq!(
            event("a\n\nevent: x\rdata: y\r\nb"),
            "event: page\ndata: a\ndata: \ndata: event: x\ndata: data: y\ndata: b\n\n"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn many_changes_are_few_events_and_none_after_the_viewer_left() {
        let changed = watch::Sender::new(());
        let rendered = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&rendered);
        let reply = follow(changed.subscribe(), move || {
            let count = counted.fetch_add(1, Ordering::Relaxed);
            async move {
                html! { (count) }
            }
        });
        let mut body = reply.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "event: page\ndata: 0\n\n");
        for _ in 0..1000 {
            changed.send_replace(());
        }
        let second = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(second, "event: page\ndata: 1\n\n");
        let third = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(third, ":\n\n");
        drop(body);
        assert_eq!(changed.receiver_count(), 0);
        assert_eq!(rendered.load(Ordering::Relaxed), 2);
    }
}
