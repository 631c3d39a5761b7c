//! Sessions: a driver names one by a UUID, and numbers its transactions and its writes in it. A write whose answer was lost is sent again
//! under its number, and gets the first answer; a transaction of the session is one of the engine's.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bson::RawDocumentBuf;
use database::TransactionId;

use crate::command::SessionId;

/// A session that nobody uses for so long is forgotten: what `hello` tells drivers.
pub(crate) const LIFE_MINUTES: i32 = 30;
const LIFE: Duration = Duration::from_secs(60 * LIFE_MINUTES as u64);
/// Sessions that are known at most; beyond that, the one that was used least recently is forgotten.
const MOST: usize = 2048;
/// A larger answer is not kept for a write that is sent again.
const KEPT: usize = 64 << 10;

/// What a session is at. Behind one lock: a driver uses a session for one thing at a time.
#[derive(Debug)]
pub(crate) struct State {
    /// The number of its last transaction, or of its last write.
    pub(crate) number: i64,
    pub(crate) last: Last,
}

/// What had that number.
#[derive(Debug)]
pub(crate) enum Last {
    Nothing,
    /// A write, and its answer; `None` where that was too large to be kept.
    Write(Option<RawDocumentBuf>),
    Transaction(TransactionId, Stage),
}

/// How far a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Open,
    Committed,
    Aborted,
}

impl State {
    /// Remembers the answer to a write.
    pub(crate) fn keep(&mut self, number: i64, answer: &RawDocumentBuf) {
        self.number = number;
        self.last = Last::Write((answer.as_bytes().len() <= KEPT).then(|| answer.clone()));
    }

    /// The transaction that is open, which ends by this.
    pub(crate) fn end(&mut self) -> Option<TransactionId> {
        match &mut self.last {
            Last::Transaction(id, stage @ Stage::Open) => {
                *stage = Stage::Aborted;
                Some(*id)
            }
            _ => None,
        }
    }
}

/// A session.
pub(crate) type Session = Arc<tokio::sync::Mutex<State>>;

/// The sessions that are known.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<SessionId, (Session, Instant)>>);

impl Sessions {
    /// A session, made where it is not known.
    pub(crate) fn get(&self, id: SessionId) -> Session {
        let now = Instant::now();
        let mut known = self.known();
        if let Some((session, used)) = known.get_mut(&id) {
            *used = now;
            return Arc::clone(session);
        }
        if known.len() >= MOST {
            known.retain(|_, (_, used)| now.saturating_duration_since(*used) < LIFE);
        }
        if known.len() >= MOST {
            // Its transaction, if it has one, ends by itself.
            let idle = known
                .iter()
                .filter(|(_, (session, _))| Arc::strong_count(session) == 1);
            let oldest = idle.min_by_key(|(_, (_, used))| *used).map(|(id, _)| *id);
            oldest.and_then(|id| known.remove(&id));
        }
        let session = Session::new(tokio::sync::Mutex::new(State {
            number: -1,
            last: Last::Nothing,
        }));
        known.insert(id, (Arc::clone(&session), now));
        session
    }

    /// Forgets a session.
    pub(crate) fn remove(&self, id: SessionId) -> Option<Session> {
        self.known().remove(&id).map(|(session, _)| session)
    }

    /// How many are known.
    pub(crate) fn count(&self) -> usize {
        self.known().len()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<SessionId, (Session, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
