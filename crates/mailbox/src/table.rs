//! The pushes that were taken in here and are open: by key, so that a duplicate finds the one that it repeats; and by lane, with
//! whether somebody walks along it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use push::{Packet, PushReply};
use tokio::sync::{Notify, watch};

/// One open push.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) key: String,
    pub(crate) lane: String,
    /// The user whom it is about, if it is about one. The packet itself is in the store: what waits here must stay small.
    pub(crate) openid: Option<String>,
    pub(crate) stage: watch::Sender<Stage>,
    /// Its place in its lane, once the store has it; 0 before.
    turn: AtomicU64,
    /// A duplicate came: its next attempt is due at once.
    hurry: AtomicBool,
}

/// How far a push has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stage {
    /// The store has it: WeChat may be told so.
    pub(crate) stored: bool,
    /// Attempts that ended in this process.
    pub(crate) ended: u32,
    /// What the last of them came to; or of a push that was dealt with elsewhere or before, the answer from then.
    pub(crate) outcome: Option<Outcome>,
    /// Whether it waits for its next attempt.
    pub(crate) resting: bool,
    /// Nothing more will happen to it here.
    pub(crate) over: bool,
}

/// What WeChat can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// This.
    Answer(PushReply),
    /// That we do not have it, or have given it up.
    Failed,
}

impl Item {
    pub(crate) fn turn(&self) -> u64 {
        self.turn.load(Ordering::Relaxed)
    }

    /// The store has it, at this place.
    pub(crate) fn put_turn(&self, turn: u64) {
        self.turn.store(turn, Ordering::Relaxed);
        self.stage
            .send_if_modified(|stage| !std::mem::replace(&mut stage.stored, true));
    }

    /// Whether a duplicate came since this was asked last.
    pub(crate) fn take_hurry(&self) -> bool {
        self.hurry.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn hurry(&self) {
        self.hurry.store(true, Ordering::Relaxed);
    }

    /// Tells those who wait what an attempt came to, after which there will be another one.
    pub(crate) fn rest(&self, reply: PushReply) {
        self.stage.send_modify(|stage| {
            stage.ended += 1;
            stage.outcome = Some(Outcome::Answer(reply));
            stage.resting = true;
        });
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Table(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    items: HashMap<String, Arc<Item>>,
    /// The lanes that somebody walks along.
    lanes: HashMap<String, Lane>,
}

#[derive(Debug, Default)]
struct Lane {
    /// Those of its pushes that were taken in here and that the store has.
    items: Vec<Arc<Item>>,
    wake: Arc<Notify>,
}

/// An item, as it was found or entered.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) item: Arc<Item>,
    /// It was not there yet: somebody has to ask the store about it.
    pub(crate) is_new: bool,
}

impl Table {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a packet, unless it is there. `None` when there are `most` already.
    pub(crate) fn enter(&self, key: String, packet: &Packet, most: usize) -> Option<Entered> {
        let mut state = self.state();
        if let Some(item) = state.items.get(&key) {
            return Some(Entered {
                item: Arc::clone(item),
                is_new: false,
            });
        }
        if state.items.len() >= most {
            return None;
        }
        // What nobody sent has no order, and a lane of its own.
        let lane = match packet.from_user() {
            "" => key.clone(),
            sender => sender.to_owned(),
        };
        let item = Arc::new(Item {
            key: key.clone(),
            lane,
            openid: packet.user().map(str::to_owned),
            stage: watch::Sender::default(),
            turn: AtomicU64::new(0),
            hurry: AtomicBool::new(false),
        });
        state.items.insert(key, Arc::clone(&item));
        Some(Entered { item, is_new: true })
    }

    /// The item of a key.
    pub(crate) fn find(&self, key: &str) -> Option<Arc<Item>> {
        self.state().items.get(key).cloned()
    }

    /// Puts an item that the store has into its lane. Answers whether somebody has to begin to walk along it.
    pub(crate) fn join(&self, item: &Arc<Item>) -> bool {
        let mut state = self.state();
        let is_new = !state.lanes.contains_key(&item.lane);
        let lane = state.lanes.entry(item.lane.clone()).or_default();
        lane.items.push(Arc::clone(item));
        lane.wake.notify_one();
        is_new
    }

    /// Whether somebody has to begin to walk along a lane.
    pub(crate) fn visit(&self, lane: &str) -> bool {
        let mut state = self.state();
        if state.lanes.contains_key(lane) {
            return false;
        }
        state.lanes.insert(lane.to_owned(), Lane::default());
        true
    }

    /// What wakes whoever walks along a lane, while it waits.
    pub(crate) fn waking(&self, lane: &str) -> Arc<Notify> {
        let state = self.state();
        let lane = state.lanes.get(lane);
        lane.map(|lane| Arc::clone(&lane.wake)).unwrap_or_default()
    }

    /// Wakes whoever walks along a lane.
    pub(crate) fn wake(&self, lane: &str) {
        self.waking(lane).notify_one();
    }

    /// Wakes all who walk.
    pub(crate) fn wake_all(&self) {
        self.state()
            .lanes
            .values()
            .for_each(|lane| lane.wake.notify_one());
    }

    /// The items in a lane whose turn came before; all of them, without one.
    pub(crate) fn before(&self, lane: &str, turn: Option<u64>) -> Vec<Arc<Item>> {
        let state = self.state();
        let items = state.lanes.get(lane).into_iter().flat_map(|lane| &lane.items);
        let before = items.filter(|item| turn.is_none_or(|turn| item.turn() < turn));
        before.cloned().collect()
    }

    /// Ends the walk along a lane, if nothing is in it. Answers whether it has ended.
    pub(crate) fn leave(&self, lane: &str) -> bool {
        let mut state = self.state();
        let is_empty = state.lanes.get(lane).is_none_or(|lane| lane.items.is_empty());
        if is_empty {
            state.lanes.remove(lane);
        }
        is_empty
    }

    /// Nothing more happens to an item: from now on a duplicate finds in the store what became of it. Tells those who wait.
    pub(crate) fn end(&self, item: &Item, outcome: Outcome) {
        {
            let mut state = self.state();
            state.items.remove(&item.key);
            if let Some(lane) = state.lanes.get_mut(&item.lane) {
                lane.items.retain(|other| other.key != item.key);
            }
        }
        item.stage.send_modify(|stage| {
            stage.ended += 1;
            stage.outcome = Some(outcome);
            stage.resting = false;
            stage.over = true;
        });
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.state().items.len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use push::Format;

    use super::*;

    fn packet(from: &str, id: u64) -> Packet {
        let text = format!(r#"{{"FromUserName":"{from}","MsgType":"text","MsgId":{id}}}"#);
        Packet::parse("wx1", Format::Json, text.as_bytes()).unwrap()
    }

    fn enter(table: &Table, from: &str, id: u64) -> Entered {
        let packet = packet(from, id);
        table.enter(packet.key().to_string(), &packet, 10).unwrap()
    }

    #[test]
    fn a_duplicate_finds_the_one_that_it_repeats_as_long_as_it_is_open() {
        let table = Table::default();
        let first = enter(&table, "o1", 1);
        assert!(first.is_new);
        let again = enter(&table, "o1", 1);
        assert!(!again.is_new && Arc::ptr_eq(&first.item, &again.item));
        assert_eq!(table.len(), 1);

        table.end(&first.item, Outcome::Failed);
        let stage = first.item.stage.borrow().clone();
        assert_eq!((stage.over, stage.outcome), (true, Some(Outcome::Failed)));
        assert!(enter(&table, "o1", 1).is_new);
    }

    #[test]
    fn one_walks_along_each_lane_until_it_is_empty() {
        let table = Table::default();
        let [one, two, other] =
            [("o1", 1), ("o1", 2), ("o2", 3)].map(|(from, id)| enter(&table, from, id).item);
        for (turn, item) in [(1, &one), (2, &two), (3, &other)] {
            item.put_turn(turn);
        }
        assert!(table.join(&one) && !table.join(&two) && table.join(&other));
        assert!(!table.visit("o1") && table.visit("o3") && table.leave("o3"));
        let turns = |turn| -> Vec<u64> {
            let before = table.before("o1", turn);
            before.iter().map(|item| item.turn()).collect()
        };
        assert_eq!(
            (turns(None), turns(Some(2)), turns(Some(1))),
            (vec![1, 2], vec![1], vec![])
        );
        for item in [one, two] {
            assert!(!table.leave("o1"));
            table.end(&item, Outcome::Failed);
        }
        assert!(table.leave("o1") && table.visit("o1"));
    }

    #[test]
    fn without_a_sender_there_is_no_order() {
        let table = Table::default();
        let (one, two) = (enter(&table, "", 1), enter(&table, "", 2));
        assert_ne!(one.item.lane, two.item.lane);
    }

    #[test]
    fn there_are_not_more_than_so_many() {
        let table = Table::default();
        for id in 1..=4 {
            enter(&table, "o1", id);
        }
        let (known, more) = (packet("o1", 4), packet("o1", 5));
        assert!(table.enter(known.key().to_string(), &known, 4).is_some());
        assert!(table.enter(more.key().to_string(), &more, 4).is_none());
    }
}
