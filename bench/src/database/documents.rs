//! The documents that every engine gets: the same in each run, about 450 bytes of JSON each, as a Mini Program keeps them.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
};

use anyhow::Result;
use serde_json::{Value, json};
use tcb::database::DocumentId;

pub(super) const STATUSES: [&str; 5] = ["open", "paid", "sent", "done", "cancelled"];
pub(super) const CITIES: [&str; 12] = [
    "北京", "上海", "广州", "深圳", "杭州", "成都", "武汉", "西安", "南京", "重庆", "苏州", "长沙",
];
const WORDS: [&str; 8] = [
    "coffee",
    "books",
    "tickets",
    "flowers",
    "repairs",
    "lessons",
    "groceries",
    "gifts",
];
/// Amounts are below.
pub(super) const AMOUNTS: u64 = 100_000;
/// Priorities are below.
pub(super) const PRIORITIES: u64 = 10;
/// 2023-11-14
const FIRST_SECOND: u64 = 1_700_000_000;

/// The document of that number.
pub(super) fn document(number: u64) -> Value {
    let mut random = Random(number);
    let words: Vec<&str> = (0..18).map(|_| random.of(&WORDS)).collect();
    json!({
        "_id": id(number),
        "_openid": format!("o{:027x}", random.below(100_000)),
        "title": format!("{} for {}", random.of(&WORDS), random.of(&WORDS)),
        "status": random.of(&STATUSES),
        "priority": random.below(PRIORITIES),
        "amount": random.below(AMOUNTS),
        "weight": random.below(1000) as f64 + 0.5,
        "done": random.below(5) == 0,
        // No two at the same time, so that an order by it is one.
        "createTime": FIRST_SECOND * 1000 + number * 1000 + random.below(1000),
        "tags": [random.of(&WORDS), random.of(&WORDS)],
        "address": {
            "city": random.of(&CITIES),
            "street": format!("{} {}", random.of(&WORDS), random.below(500)),
            "zip": format!("{:06}", random.below(1_000_000)),
        },
        "note": words.join(" "),
    })
}

/// The `_id` of that document, laid out as the platform lays them out.
pub(super) fn id(number: u64) -> String {
    let mut random = Random(!number);
    DocumentId {
        node: 0x17e3_426e,
        seconds: (FIRST_SECOND + number / 50) as u32,
        counter: number as u32,
        random: random.next() as u32,
    }
    .to_string()
}

/// Writes the first `count` documents, one a line.
pub(super) fn write(path: &Path, count: u64) -> Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    for number in 0..count {
        serde_json::to_writer(&mut out, &document(number))?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

/// SplitMix64: enough to spread values.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(super) fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len() as u64) as usize]
    }
}
