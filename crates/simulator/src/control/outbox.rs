//! What would have reached somebody had this been WeChat: messages sent, codes drawn. `/sim/outbox` shows it.
//!
//! Every call of a catalogued API that succeeds comes here, but for those that only hand out tokens, sessions and open data
//! (`server`), which reach nobody. An item's `note` says where the simulator does not behave as WeChat would.

use std::collections::VecDeque;

use axum::body::Bytes;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
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
    /// How many items were ever put here.
    put: u64,
    /// How often everything was taken away at once.
    emptied: u64,
}

/// How far somebody has seen what became of the outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OutboxMark {
    put: u64,
    emptied: u64,
}

/// An item with its size, and with the image that was drawn.
#[derive(Debug)]
struct StoredItem {
    item: Item,
    size: usize,
    image: Option<Bytes>,
}

/// An item whole, as it is kept and handed on: with its image, in base64.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WholeItem {
    #[serde(flatten)]
    item: Item,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "to_base64",
        deserialize_with = "from_base64"
    )]
    png: Option<Bytes>,
}

fn to_base64<S: Serializer>(png: &Option<Bytes>, to: S) -> Result<S::Ok, S::Error> {
    match png {
        Some(png) => to.serialize_str(&STANDARD.encode(png)),
        None => to.serialize_none(),
    }
}

fn from_base64<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Bytes>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| {
        let png = STANDARD.decode(text);
        png.map(Bytes::from)
            .map_err(|error| D::Error::custom(format!("png is not base64: {error}")))
    })
    .transpose()
}

/// One of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) api: String,
    /// Which app called, where it was not the main one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) appid: Option<String>,
    pub(crate) to: String,
    pub(crate) body: Value,
    /// Seconds of WeChat's time.
    pub(crate) at: u64,
    /// Always true: said so that nobody takes it for proof that WeChat delivered anything.
    pub(crate) simulated: bool,
    /// What was drawn is at `/sim/outbox/images/` and this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<u64>,
    /// What WeChat would have done that was not done here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
    /// The same in Chinese.
    #[serde(rename = "noteZh", default, skip_serializing_if = "Option::is_none")]
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
        item.image = image.is_some().then(|| {
            self.images += 1;
            self.images
        });
        self.bytes += size;
        self.put += 1;
        self.items.push_back(StoredItem { item, size, image });
    }

    /// What it has come to.
    pub(crate) fn mark(&self) -> OutboxMark {
        OutboxMark {
            put: self.put,
            emptied: self.emptied,
        }
    }

    /// The items that came since; `None` where others were taken away, so that all that are here are news.
    pub(crate) fn since(&self, mark: OutboxMark) -> Option<Vec<WholeItem>> {
        if self.emptied != mark.emptied {
            return None;
        }
        let new = usize::try_from(self.put - mark.put).unwrap_or(usize::MAX);
        let old = self.items.len().saturating_sub(new);
        Some(self.items.range(old..).map(StoredItem::whole).collect())
    }

    /// All items with their images.
    pub(crate) fn whole(&self) -> Vec<WholeItem> {
        self.items.iter().map(StoredItem::whole).collect()
    }

    /// Puts these in the place of those that there are. Images are numbered anew.
    pub(crate) fn restore(&mut self, items: Vec<WholeItem>) {
        self.empty();
        for item in items {
            self.put_whole(item);
        }
    }

    /// Keeps an item as it was kept. Its image is numbered anew.
    pub(crate) fn put_whole(&mut self, WholeItem { item, png }: WholeItem) {
        self.put(item, png);
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
        self.emptied += 1;
    }
}

impl StoredItem {
    fn whole(&self) -> WholeItem {
        WholeItem {
            item: self.item.clone(),
            png: self.image.clone(),
        }
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
