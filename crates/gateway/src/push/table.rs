//! The pushes that are open in this process: by key, so that a duplicate finds the one it repeats, and in lanes, one for each
//! sender, so that each sender's pushes run in their order.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use push::{Packet, Reply};
use tokio::sync::{Notify, watch};

/// One open push.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) key: String,
    pub(super) packet: Packet,
    pub(super) stage: watch::Sender<Stage>,
    /// Wakes it out of waiting for its next attempt.
    pub(super) hurry: Notify,
}

/// How far a push has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Stage {
    /// What the store says of it, once it has it.
    pub(super) stored: Option<Stored>,
    /// Attempts that ended in this process.
    pub(super) ended: u32,
    /// What the last of them came to; or of a push that was dealt with before, the answer from then.
    pub(super) outcome: Option<Outcome>,
    /// Whether it waits for its next attempt.
    pub(super) resting: bool,
    /// Nothing more will happen to it.
    pub(super) over: bool,
}

/// What the store says of an open push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) id: u64,
    /// Attempts that were begun, ever.
    pub(super) attempts: u32,
    /// Those of them that do not count any more.
    pub(super) earlier: u32,
    pub(super) failures: u32,
}

/// What WeChat can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// This.
    Answer(Reply),
    /// That we do not have it, or have given it up.
    Failed,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Table(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    items: HashMap<String, Arc<Item>>,
    lanes: HashMap<String, VecDeque<Arc<Item>>>,
}

/// An item, and what is to be done for it by the one who entered it.
#[derive(Debug)]
pub(super) struct Entered {
    pub(super) item: Arc<Item>,
    /// It was not there yet: somebody has to ask the store about it.
    pub(super) is_new: bool,
    /// Its lane, if nobody walks along it yet.
    pub(super) lane: Option<String>,
}

impl Table {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a packet at the end of its sender's lane, unless it is there. `None` when there are `most` already.
    pub(super) fn enter(&self, key: String, packet: Packet, most: usize) -> Option<Entered> {
        let mut state = self.state();
        if let Some(item) = state.items.get(&key) {
            return Some(Entered {
                item: Arc::clone(item),
                is_new: false,
                lane: None,
            });
        }
        if state.items.len() >= most {
            return None;
        }
        // What nobody sent has no order, and a lane of its own.
        let sender = match packet.from_user() {
            "" => key.clone(),
            sender => sender.to_owned(),
        };
        let item = Arc::new(Item {
            key: key.clone(),
            packet,
            stage: watch::Sender::default(),
            hurry: Notify::new(),
        });
        state.items.insert(key, Arc::clone(&item));
        let lane = match state.lanes.get_mut(&sender) {
            Some(lane) => {
                lane.push_back(Arc::clone(&item));
                None
            }
            None => {
                state
                    .lanes
                    .insert(sender.clone(), VecDeque::from([Arc::clone(&item)]));
                Some(sender)
            }
        };
        Some(Entered {
            item,
            is_new: true,
            lane,
        })
    }

    /// The first item of a lane. Without one the lane ends, and whoever walked along it may go.
    pub(super) fn first(&self, lane: &str) -> Option<Arc<Item>> {
        let mut state = self.state();
        let first = state.lanes.get(lane).and_then(VecDeque::front).cloned();
        if first.is_none() {
            state.lanes.remove(lane);
        }
        first
    }

    /// Takes the first item out of its lane.
    pub(super) fn advance(&self, lane: &str) {
        if let Some(lane) = self.state().lanes.get_mut(lane) {
            lane.pop_front();
        }
    }

    /// Nothing more happens to an item: from now on a duplicate finds in the store what became of it. Tells those who wait.
    pub(super) fn end(&self, item: &Item, outcome: Outcome) {
        self.state().items.remove(&item.key);
        item.stage.send_modify(|stage| {
            stage.ended += 1;
            stage.outcome = Some(outcome);
            stage.resting = false;
            stage.over = true;
        });
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
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
        table.enter(packet.key().to_string(), packet, 4).unwrap()
    }

    #[test]
    fn a_duplicate_finds_the_one_it_repeats_until_that_is_over() {
        let table = Table::default();
        let first = enter(&table, "o1", 1);
        assert!(first.is_new);
        let again = enter(&table, "o1", 1);
        assert!(!again.is_new && again.lane.is_none());
        assert!(Arc::ptr_eq(&first.item, &again.item));
        assert_eq!(table.len(), 1);

        table.end(&first.item, Outcome::Failed);
        let stage = first.item.stage.borrow().clone();
        assert_eq!((stage.over, stage.outcome), (true, Some(Outcome::Failed)));
        assert!(enter(&table, "o1", 1).is_new);
    }

    #[test]
    fn a_sender_s_pushes_stand_in_one_lane_in_their_order() {
        let table = Table::default();
        assert_eq!(enter(&table, "o1", 1).lane.as_deref(), Some("o1"));
        assert_eq!(enter(&table, "o1", 2).lane, None);
        assert_eq!(enter(&table, "o2", 3).lane.as_deref(), Some("o2"));
        // The same walker goes on for as long as there is something to walk to.
        for id in ["1", "2"] {
            assert_eq!(table.first("o1").unwrap().packet.msg_id(), Some(id));
            table.advance("o1");
        }
        assert!(table.first("o1").is_none());
        assert_eq!(enter(&table, "o1", 4).lane.as_deref(), Some("o1"));
    }

    #[test]
    fn without_a_sender_there_is_no_order() {
        let table = Table::default();
        let (one, two) = (enter(&table, "", 1), enter(&table, "", 2));
        assert!(one.lane.is_some() && two.lane.is_some() && one.lane != two.lane);
    }

    #[test]
    fn there_are_not_more_than_so_many() {
        let table = Table::default();
        for id in 1..=4 {
            enter(&table, "o1", id);
        }
        let (known, more) = (packet("o1", 4), packet("o1", 5));
        assert!(table.enter(known.key().to_string(), known, 4).is_some());
        assert!(table.enter(more.key().to_string(), more, 4).is_none());
    }
}
