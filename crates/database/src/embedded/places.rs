//! The places for reads, of which nobody gets all: a read that goes through a whole collection holds one for seconds, and whoever
//! has many of them made at once would keep everybody else from reading.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Asker, Result, error::DatabaseError};

/// Groups that are remembered before those of which nobody reads are forgotten.
const REMEMBERED: usize = 64;

/// All of them.
#[derive(Debug)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    count: usize,
    groups: Mutex<Groups>,
}

/// The places of those who belong together and read now.
#[derive(Debug)]
struct Groups {
    known: HashMap<String, Weak<Semaphore>>,
    /// With so many of them it is time to look which are still needed.
    look_at: usize,
}

/// A place, as long as it is held.
#[derive(Debug)]
pub(super) struct Place {
    _held: Vec<OwnedSemaphorePermit>,
}

/// A place that is given back while its holder waits for somebody else, and not for work to be done.
#[derive(Clone, Debug)]
pub(super) struct LentPlace(Arc<Mutex<Option<Place>>>);

impl LentPlace {
    pub(super) fn new(place: Place) -> Self {
        Self(Arc::new(Mutex::new(Some(place))))
    }

    pub(super) fn give_back(&self) {
        drop(self.held().take());
    }

    /// Waits for one again, where it was given back.
    pub(super) async fn take_again(&self, places: &Places, asker: Option<&Asker>) -> Result<()> {
        let is_given_back = self.held().is_none();
        if is_given_back {
            let place = places.enter(asker).await?;
            *self.held() = Some(place);
        }
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, Option<Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    pub(super) fn new(count: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(count)),
            count,
            groups: Mutex::new(Groups {
                known: HashMap::new(),
                look_at: REMEMBERED,
            }),
        }
    }

    /// Waits for one: first among those of the narrowest group, so that whoever has many reads made holds up nobody but themselves.
    pub(super) async fn enter(&self, asker: Option<&Asker>) -> Result<Place> {
        let groups = asker.map_or(&[][..], |asker| &asker.groups);
        let mut held = Vec::with_capacity(groups.len() + 1);
        for (name, part) in groups {
            held.push(acquire(self.of_group(name, *part)).await?);
        }
        held.push(acquire(Arc::clone(&self.all)).await?);
        Ok(Place { _held: held })
    }

    fn of_group(&self, name: &str, part: usize) -> Arc<Semaphore> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = groups.known.get(name).and_then(Weak::upgrade) {
            return known;
        }
        if groups.known.len() >= groups.look_at {
            groups.known.retain(|_, places| places.strong_count() > 0);
            groups.look_at = (2 * groups.known.len()).max(REMEMBERED);
        }
        let places = Arc::new(Semaphore::new((self.count / part.max(1)).max(1)));
        groups.known.insert(name.to_owned(), Arc::downgrade(&places));
        places
    }

    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.all.available_permits()
    }
}

async fn acquire(places: Arc<Semaphore>) -> Result<OwnedSemaphorePermit> {
    places.acquire_owned().await.map_err(DatabaseError::unavailable)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn nobody_gets_more_than_their_part_and_holds_up_nobody_else() {
        let places = Places::new(8);
        let [ann, bob, eve] = ["ann", "bob", "eve"].map(Asker::client);
        let function = Asker::function("list", None);
        let mut held: Vec<Place> = Vec::new();
        for who in [&bob, &bob, &ann] {
            held.push(places.enter(Some(who)).now_or_never().unwrap().unwrap());
        }
        // Bob's third waits for one of his own, and takes none of all clients'.
        let mut third = Box::pin(places.enter(Some(&bob)));
        assert!(third.as_mut().now_or_never().is_none());
        held.push(places.enter(Some(&eve)).now_or_never().unwrap().unwrap());
        // All clients have half of them.
        let mut fifth = Box::pin(places.enter(Some(&eve)));
        assert!(fifth.as_mut().now_or_never().is_none());
        for _ in 0..4 {
            held.push(places.enter(Some(&function)).now_or_never().unwrap().unwrap());
        }
        assert_eq!(places.free(), 0);
        let mut operator = Box::pin(places.enter(None));
        assert!(operator.as_mut().now_or_never().is_none());
        // The function's are for whoever comes next; bob's for bob, and a client's for a client.
        drop(held.pop());
        drop(operator.now_or_never().unwrap().unwrap());
        assert!(third.as_mut().now_or_never().is_none());
        drop(held.remove(0));
        drop(fifth.now_or_never().unwrap().unwrap());
        drop(third.now_or_never().unwrap().unwrap());
    }

    #[tokio::test]
    async fn watches_and_strangers_of_one_network_leave_room_to_other_clients() {
        let places = Places::new(8);
        let enter = |who: &Asker| places.enter(Some(who)).now_or_never().transpose().unwrap();
        let networks = [1, 2].map(|n| Asker::network([192, 0, 2, n].into()));
        let first = [enter(&networks[0]), enter(&networks[0])];
        assert!(first.iter().all(Option::is_some) && enter(&networks[0]).is_none());
        assert!(enter(&networks[1]).is_some());
        drop(first);
        let watches = [enter(&Asker::watches()), enter(&Asker::watches())];
        assert!(watches.iter().all(Option::is_some) && enter(&Asker::watches()).is_none());
        assert!(enter(&networks[0]).is_some() && enter(&Asker::client("ann")).is_some());
    }

    #[tokio::test]
    async fn groups_of_which_nobody_reads_are_forgotten() {
        let places = Places::new(8);
        let known = || places.groups.lock().unwrap().known.len();
        let stays = places.enter(Some(&Asker::function("stays", None))).await.unwrap();
        for n in 0..10 * REMEMBERED {
            let passes = Asker::function(&n.to_string(), None);
            drop(places.enter(Some(&passes)).await.unwrap());
        }
        assert!(known() <= REMEMBERED, "{}", known());
        let groups = places.groups.lock().unwrap();
        assert!(groups.known["function stays"].strong_count() > 0);
        drop(groups);
        drop(stays);
    }

    #[tokio::test]
    async fn a_user_has_half_by_whatever_way_they_come() {
        let places = Places::new(8);
        let by = ["one", "two"].map(|name| Asker::function(name, Some("bob")));
        let mut held: Vec<Place> = Vec::new();
        for who in [&by[0], &by[1], &by[0], &by[1]] {
            held.push(places.enter(Some(who)).now_or_never().unwrap().unwrap());
        }
        for who in [&by[0], &by[1], &Asker::client("bob")] {
            assert!(places.enter(Some(who)).now_or_never().is_none());
        }
        for who in [
            &Asker::function("one", Some("ann")),
            &Asker::network([127, 0, 0, 1].into()),
        ] {
            held.push(places.enter(Some(who)).now_or_never().unwrap().unwrap());
        }
    }
}
