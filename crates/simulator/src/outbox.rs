//! What would have reached somebody had this been WeChat: messages sent, codes drawn. `/sim/outbox` shows it.
//!
//! Every call of a catalogued API that succeeds comes here, but for those that only hand out tokens, sessions and open data
//! (`server_api`), which reach nobody. An item's `note` says where the simulator does not behave as WeChat would.

use std::collections::VecDeque;

use serde::Serialize;
use serde_json::Value;

/// How many items are kept; older ones give way.
const CAPACITY: usize = 1000;

/// The newest items, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Outbox(VecDeque<Item>);

/// One of them.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Item {
    pub(crate) api: String,
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
        if self.0.len() == CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back(item);
    }

    pub(crate) fn items(&self) -> Vec<Item> {
        self.0.iter().cloned().collect()
    }

    pub(crate) fn empty(&mut self) {
        self.0.clear();
    }
}
