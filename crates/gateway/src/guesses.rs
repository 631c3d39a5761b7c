//! How often somebody may guess a secret: the operator's, the AppSecret, a user's password.
//!
//! Each peer, which is a network, or a name that is guessed at, has a few guesses, which come back one a second. Whoever has none left is refused before the secret is looked
//! at, so that a right one would not be found out either; the cookie of a browser that was let in goes on to count.

use std::{
    hash::Hash,
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use lru::LruCache;

/// Wrong guesses in a row, of a person or of a script that has last year's secret.
const AT_ONCE: u32 = 20;
/// How long it takes until there is one more.
const ONE_MORE: Duration = Duration::from_secs(1);
/// Peers that are remembered, those who guessed last.
const PEERS: NonZeroUsize = NonZeroUsize::new(1000).unwrap();

/// Wrong guesses, by peer.
#[derive(Debug)]
pub(crate) struct Guesses<K: Hash + Eq>(Mutex<LruCache<K, Peer>>);

#[derive(Clone, Copy, Debug)]
struct Peer {
    /// Guesses that are left.
    left: u32,
    /// Since when the next one is on its way.
    since: Instant,
    /// Requests that were refused unlooked at since the last guess.
    refused: u32,
}

/// A peer has no guess left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoneLeft {
    /// It is the first request that meets this, and worth a line in the log.
    pub(crate) is_first: bool,
}

impl<K: Hash + Eq + Clone> Guesses<K> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(LruCache::new(PEERS)))
    }

    /// Whether `peer` may guess now.
    pub(crate) fn check(&self, peer: &K, now: Instant) -> Result<(), NoneLeft> {
        match self.peers().get_mut(peer) {
            None => Ok(()),
            Some(known) => {
                known.refill(now);
                if known.left > 0 {
                    return Ok(());
                }
                known.refused = known.refused.saturating_add(1);
                Err(NoneLeft {
                    is_first: known.refused == 1,
                })
            }
        }
    }

    /// Notes that a guess was wrong; gives how many requests of that peer were refused before it.
    pub(crate) fn wrong(&self, peer: &K, now: Instant) -> u32 {
        let mut peers = self.peers();
        let peer = peers.get_or_insert_mut(peer.clone(), || Peer::rested(now));
        peer.refill(now);
        peer.left = peer.left.saturating_sub(1);
        std::mem::take(&mut peer.refused)
    }

    /// Takes a guess before it is looked at, so that many at one time are counted as many in a row.
    pub(crate) fn take(&self, peer: &K, now: Instant) -> Result<(), NoneLeft> {
        let mut peers = self.peers();
        let peer = peers.get_or_insert_mut(peer.clone(), || Peer::rested(now));
        peer.refill(now);
        if peer.left == 0 {
            peer.refused = peer.refused.saturating_add(1);
            return Err(NoneLeft {
                is_first: peer.refused == 1,
            });
        }
        peer.left -= 1;
        peer.refused = 0;
        Ok(())
    }

    /// Gives a guess back that was right.
    pub(crate) fn give_back(&self, peer: &K) {
        if let Some(peer) = self.peers().get_mut(peer) {
            peer.left = (peer.left + 1).min(AT_ONCE);
        }
    }

    fn peers(&self) -> MutexGuard<'_, LruCache<K, Peer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Peer {
    fn rested(now: Instant) -> Self {
        Self {
            left: AT_ONCE,
            since: now,
            refused: 0,
        }
    }

    fn refill(&mut self, now: Instant) {
        let more = now.saturating_duration_since(self.since).as_secs() / ONE_MORE.as_secs();
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(more).min(AT_ONCE);
        self.since += ONE_MORE * more;
        if self.left == AT_ONCE {
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_run_out_and_come_back() {
        let guesses = Guesses::new();
        let (peer, other) = (&"192.0.2.1", &"192.0.2.2");
        let now = Instant::now();
        for _ in 0..AT_ONCE {
            assert_eq!(guesses.check(peer, now), Ok(()));
            assert_eq!(guesses.wrong(peer, now), 0);
        }
        assert_eq!(guesses.check(peer, now), Err(NoneLeft { is_first: true }));
        assert_eq!(guesses.check(peer, now), Err(NoneLeft { is_first: false }));
        assert_eq!(guesses.check(other, now), Ok(()));

        let later = now + ONE_MORE;
        assert_eq!(guesses.check(peer, later), Ok(()));
        assert_eq!(guesses.wrong(peer, later), 2, "those that were refused are told");
        assert_eq!(guesses.check(peer, later), Err(NoneLeft { is_first: true }));
        let rested = later + ONE_MORE * AT_ONCE * 3;
        for _ in 0..AT_ONCE {
            assert_eq!(guesses.check(peer, rested), Ok(()));
            guesses.wrong(peer, rested);
        }
        assert!(guesses.check(peer, rested).is_err(), "they do not pile up");
    }
}
