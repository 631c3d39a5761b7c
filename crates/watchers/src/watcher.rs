//! One watch of one client.

use std::sync::Arc;

use bytes::Bytes;
use realtime::{WatchRefusal, WatchRequest, refused};
use rules::DocumentRef;

use crate::{Frame, session::Client};

/// A watcher that had events before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// Who numbered them.
    pub(crate) numbering: u64,
    /// The number of the last ones, as the client has it.
    pub(crate) event: i64,
    /// By which that differs from ours, where that is known.
    pub(crate) offset: Option<i64>,
}

/// One watch.
pub(crate) struct Watcher {
    pub(crate) token: u64,
    pub(crate) client: Arc<Client>,
    pub(crate) watch_id: String,
    /// The request that is to be answered; empty where none is.
    pub(crate) request_id: String,
    pub(crate) request: WatchRequest,
    /// By which the client knows what it watches.
    pub(crate) query_id: Option<String>,
    /// Tells that id from those of others who watch the same; 0 where it does not.
    pub(crate) mark: u64,
    pub(crate) asked: Option<Asked>,
    /// The documents by which it was judged beside its query.
    pub(crate) named: Vec<DocumentRef>,
    /// Whether time alone may change what comes of judging it.
    pub(crate) is_of_time: bool,
    /// Whether it has its documents, and is told of changes.
    pub(crate) is_told: bool,
    /// Is added to the numbers of events.
    pub(crate) offset: i64,
    /// What its messages begin with.
    pub(crate) head: Bytes,
    /// Events that it was told.
    pub(crate) told: u64,
}

/// What a watcher takes beside its texts.
const BESIDE: usize = 1 << 10;

impl Watcher {
    /// Bytes of memory that are its own: its request, the id that says the same, and the head of its messages, which has that id.
    pub(crate) fn memory(&self) -> usize {
        let WatchRequest {
            collection,
            query,
            order,
            ..
        } = &self.request;
        let order: usize = order.iter().flatten().map(|(field, _)| field.len() + 32).sum();
        BESIDE + 4 * (collection.len() + query.len() + order + self.watch_id.len())
    }

    /// Is to be judged anew, and told what it missed meanwhile: it has what was sent up to that number.
    pub(crate) fn rejoin(&mut self, numbering: u64, sent: i64) {
        if !std::mem::take(&mut self.is_told) {
            return;
        }
        self.request_id = String::new();
        self.asked = Some(Asked {
            numbering,
            event: sent + self.offset,
            offset: Some(self.offset),
        });
    }

    /// Sends events; `tail` may be sent to others too.
    pub(crate) fn send(&self, head: Bytes, tail: Bytes) {
        self.client.outbox.put(Frame { head, tail });
    }

    /// Ends the watch by an error.
    pub(crate) fn refuse(&self, refusal: &WatchRefusal) {
        let message = refused(&self.watch_id, &self.request_id, refusal, false);
        self.client.outbox.put(message);
    }
}
