//! What would have reached somebody had this been WeChat: messages sent, codes drawn. `/sim/outbox` shows it.
//!
//! Every call of a catalogued API that succeeds comes here, but for those that only hand out tokens, sessions and open data
//! (`server_api`), which reach nobody. An item's `note` says where the simulator does not behave as WeChat would.

use std::collections::VecDeque;

use serde::Serialize;
use serde_json::Value;

/// How many items are kept, and how many bytes of JSON they may be together; older ones give way, the newest stays.
const CAPACITY: usize = 1000;
const BYTES: usize = 16 * 1024 * 1024;

/// The newest items, oldest first, each with its size.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    items: VecDeque<(usize, Item)>,
    bytes: usize,
}

/// One of them.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Item {
    pub(crate) api: String,
    /// Which app called, where it was not the main one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) appid: Option<String>,
    pub(crate) to: String,
    pub(crate) body: Value,
    /// Seconds of WeChat's time.
    pub(crate) at: u64,
    /// Always true: said so that nobody takes it for proof that WeChat delivered anything.
    pub(crate) simulated: bool,
    /// What WeChat would have done that was not done here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
}

impl Outbox {
    pub(crate) fn put(&mut self, item: Item) {
        let size = item.body.to_string().len();
        while self.items.len() == CAPACITY || self.bytes + size > BYTES {
            let Some((oldest, _)) = self.items.pop_front() else {
                break;
            };
            self.bytes -= oldest;
        }
        self.bytes += size;
        self.items.push_back((size, item));
    }

    pub(crate) fn items(&self) -> Vec<Item> {
        self.items.iter().map(|(_, item)| item.clone()).collect()
    }

    pub(crate) fn empty(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(at: u64, length: usize) -> Item {
        Item {
            api: String::new(),
            appid: None,
            to: String::new(),
            body: Value::from("x".repeat(length)),
            at,
            simulated: true,
            note: None,
        }
    }

    fn kept(outbox: &Outbox) -> Vec<u64> {
        outbox.items().iter().map(|item| item.at).collect()
    }

    #[test]
    fn older_items_give_way_by_number_and_by_size() {
        let mut outbox = Outbox::default();
        for at in 0..=CAPACITY as u64 {
            outbox.put(item(at, 1));
        }
        assert_eq!((outbox.items.len(), kept(&outbox)[0]), (CAPACITY, 1));
        for at in [5000, 5001] {
            outbox.put(item(at, BYTES / 2 - 2));
        }
        assert_eq!(kept(&outbox), [5000, 5001]);
        outbox.put(item(5002, BYTES * 2));
        assert_eq!(kept(&outbox), [5002]);
        outbox.put(item(5003, 1));
        assert_eq!(kept(&outbox), [5003]);
        outbox.empty();
        assert_eq!((kept(&outbox).len(), outbox.bytes), (0, 0));
    }
}
