//! What would have reached somebody had this been WeChat: messages sent, codes drawn. `/sim/outbox` shows it.
//!
//! Every call of a catalogued API that succeeds comes here, but for those that only hand out tokens, sessions and open data
//! (`server`), which reach nobody. An item's `note` says where the simulator does not behave as WeChat would.

use std::collections::VecDeque;

use axum::body::Bytes;
use serde::Serialize;
use serde_json::Value;

/// How many items are kept, and how many bytes of JSON and images they may be together; older ones give way, the newest stays.
const CAPACITY: usize = 1000;
const BYTES: usize = 16 * 1024 * 1024;

/// The newest items, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    items: VecDeque<StoredItem>,
    bytes: usize,
    /// The number of the last image.
    images: u64,
}

/// An item with its size, and with the image that was drawn.
#[derive(Debug)]
struct StoredItem {
    item: Item,
    size: usize,
    image: Option<Bytes>,
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
    /// What was drawn is at `/sim/outbox/images/` and this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<u64>,
    /// What WeChat would have done that was not done here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
    /// The same in Chinese.
    #[serde(rename = "noteZh", skip_serializing_if = "Option::is_none")]
    pub(crate) note_zh: Option<String>,
}

impl Outbox {
    /// Keeps an item, and the PNG that was drawn.
    pub(crate) fn put(&mut self, mut item: Item, image: Option<Bytes>) {
        let size = item.body.to_string().len() + image.as_ref().map_or(0, Bytes::len);
        while self.items.len() == CAPACITY || self.bytes + size > BYTES {
            let Some(oldest) = self.items.pop_front() else {
                break;
            };
            self.bytes -= oldest.size;
        }
        if image.is_some() {
            self.images += 1;
            item.image = Some(self.images);
        }
        self.bytes += size;
        self.items.push_back(StoredItem { item, size, image });
    }

    pub(crate) fn items(&self) -> Vec<Item> {
        self.items.iter().map(|kept| kept.item.clone()).collect()
    }

    /// The PNG of this number, while its item is kept.
    pub(crate) fn image(&self, number: u64) -> Option<Bytes> {
        let mut kept = self.items.iter();
        kept.find(|kept| kept.item.image == Some(number))?.image.clone()
    }

    pub(crate) fn empty(&mut self) {
        self.items.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn item(at: u64, length: usize) -> Item {
        Item {
            api: String::new(),
            appid: None,
            to: String::new(),
            body: Value::from("x".repeat(length)),
            at,
            simulated: true,
            image: None,
            note: None,
            note_zh: None,
        }
    }

    fn kept(outbox: &Outbox) -> Vec<u64> {
        outbox.items().iter().map(|item| item.at).collect()
    }

    #[test]
    fn older_items_give_way_by_number_and_by_size() {
        let mut outbox = Outbox::default();
        for at in 0..=CAPACITY as u64 {
            outbox.put(item(at, 1), None);
        }
        assert_eq!((outbox.items.len(), kept(&outbox)[0]), (CAPACITY, 1));
        for at in [5000, 5001] {
            outbox.put(item(at, BYTES / 2 - 2), None);
        }
        assert_eq!(kept(&outbox), [5000, 5001]);
        outbox.put(item(5002, BYTES * 2), None);
        assert_eq!(kept(&outbox), [5002]);
        outbox.put(item(5003, 1), None);
        assert_eq!(kept(&outbox), [5003]);
        outbox.empty();
        assert_eq!((kept(&outbox).len(), outbox.bytes), (0, 0));
    }

    #[test]
    fn an_image_is_there_as_long_as_its_item() {
        let mut outbox = Outbox::default();
        for byte in [1, 2] {
            outbox.put(item(0, 1), Some(Bytes::from(vec![byte; BYTES / 2 - 100])));
        }
        assert_eq!(outbox.image(2).unwrap()[0], 2);
        outbox.put(item(0, 1), Some(Bytes::from(vec![3; 1000])));
        assert!(outbox.image(1).is_none() && outbox.image(3).is_some());
        outbox.empty();
        outbox.put(item(0, 1), Some(Bytes::from_static(&[4])));
        assert!(outbox.image(3).is_none() && outbox.image(4).is_some());
    }
}
