//! Where connections wait that have proved nothing yet. There are few places; who comes when all are taken gets that of who waited
//! longest. So strangers take no seat from clients that know the password, however many they are and however long they wait.

use std::{
    collections::VecDeque,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// The places.
#[derive(Clone, Debug)]
pub(crate) struct Lobby(Arc<Places>);

#[derive(Debug)]
struct Places {
    most: usize,
    waiting: Mutex<PlacesByAge>,
}

#[derive(Debug, Default)]
struct PlacesByAge {
    entered: u64,
    /// By the order in which they came; dropping the sender expels one.
    places: VecDeque<(u64, oneshot::Sender<()>)>,
}

/// A place, which is free again when this is dropped.
pub(crate) struct Place {
    lobby: Lobby,
    number: u64,
}

/// The place was given to another.
pub(crate) struct Expelled;

impl Lobby {
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Places {
            most: most.max(1),
            waiting: Mutex::default(),
        }))
    }

    /// Takes a place, and gives what resolves when it is given to another.
    pub(crate) fn enter(&self) -> (Place, impl Future<Output = Expelled> + use<>) {
        let (stays, expelled) = oneshot::channel::<()>();
        let mut waiting = self.waiting();
        while waiting.places.len() >= self.0.most {
            waiting.places.pop_front();
        }
        waiting.entered += 1;
        let number = waiting.entered;
        waiting.places.push_back((number, stays));
        let place = Place {
            lobby: self.clone(),
            number,
        };
        (place, async {
            let _ = expelled.await;
            Expelled
        })
    }

    fn waiting(&self) -> MutexGuard<'_, PlacesByAge> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.lobby.waiting();
        waiting.places.retain(|(number, _)| *number != self.number);
    }
}
