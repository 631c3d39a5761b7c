//! The line of queries that take long to judge. One is judged at a time. Of each caller one stands in the line, and the caller's others wait
//! behind it: whoever sends many waits for those, and nobody else does.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::DatabaseError;

/// So many of one caller's wait or are judged.
const MOST_OF_ONE: usize = 16;

pub(crate) struct Line {
    turn: Arc<Semaphore>,
    callers: Mutex<HashMap<String, Waiting>>,
}

/// What one caller has in it.
struct Waiting {
    many: usize,
    turn: Arc<Semaphore>,
}

/// A query's turn, which is over when this is dropped.
pub(crate) struct Turn {
    _turn: OwnedSemaphorePermit,
    _of_caller: OwnedSemaphorePermit,
    _place: Place,
}

/// A query's place among its caller's.
struct Place {
    line: &'static Line,
    caller: String,
    turn: Arc<Semaphore>,
}

impl Line {
    /// The line of this process, of whose processors one is taken at most.
    pub(crate) fn of_process() -> &'static Self {
        static LINE: LazyLock<Line> = LazyLock::new(Line::new);
        &LINE
    }

    fn new() -> Self {
        Self {
            turn: Arc::new(Semaphore::new(1)),
            callers: Mutex::default(),
        }
    }

    /// Waits for the turn of a query of this caller's.
    ///
    /// # Errors
    /// So many of theirs wait that it would take too long.
    pub(crate) async fn turn_of(&'static self, caller: &str) -> Result<Turn, DatabaseError> {
        let place = self.place_of(caller).ok_or(DatabaseError::TimedOut)?;
        let of_caller = Arc::clone(&place.turn).acquire_owned().await;
        let turn = Arc::clone(&self.turn);
        Ok(Turn {
            _of_caller: of_caller.map_err(DatabaseError::unavailable)?,
            _turn: turn.acquire_owned().await.map_err(DatabaseError::unavailable)?,
            _place: place,
        })
    }

    fn place_of(&'static self, caller: &str) -> Option<Place> {
        let mut callers = self.callers();
        let waiting = callers.entry(caller.to_owned()).or_insert_with(|| Waiting {
            many: 0,
            turn: Arc::new(Semaphore::new(1)),
        });
        if waiting.many == MOST_OF_ONE {
            return None;
        }
        waiting.many += 1;
        Some(Place {
            line: self,
            caller: caller.to_owned(),
            turn: Arc::clone(&waiting.turn),
        })
    }

    fn callers(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut callers = self.line.callers();
        if let Some(waiting) = callers.get_mut(&self.caller) {
            waiting.many -= 1;
            if waiting.many == 0 {
                callers.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::pin::pin;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn whoever_has_many_waits_for_those_and_nobody_else_does() {
        static LINE: LazyLock<Line> = LazyLock::new(Line::new);
        let line: &'static Line = &LINE;
        let first = line.turn_of("alice").await.unwrap();
        let mut others: Vec<_> = (1..MOST_OF_ONE)
            .map(|_| Box::pin(line.turn_of("alice")))
            .collect();
        for other in &mut others {
            assert!(other.as_mut().now_or_never().is_none());
        }
        let beyond = line.turn_of("alice").now_or_never().unwrap();
        assert!(matches!(beyond, Err(DatabaseError::TimedOut)));
        let mut bob = pin!(line.turn_of("bob"));
        assert!(bob.as_mut().now_or_never().is_none());
        drop(first);
        // Alice's next comes behind bob, who came later.
        assert!(others[0].as_mut().now_or_never().is_none());
        let bob = bob.now_or_never().unwrap().unwrap();
        assert!(others[0].as_mut().now_or_never().is_none());
        drop(bob);
        let second = others.remove(0).now_or_never().unwrap().unwrap();
        drop(second);
        // Who goes away leaves nothing behind.
        drop(others);
        assert!(line.callers().is_empty());
    }
}
