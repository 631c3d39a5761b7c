//! What the file is, and bringing an older one up.

use datafile::{Cause, Form};
use redb::{ReadableTable as _, WriteTransaction};
use serde::Deserialize;
use store::{LetterSize, record};

use crate::{
    KEYS, META, SESSIONS, TOKENS,
    pushes::{DEAD, KNOWN, LANES, OPEN},
};

/// Format 1 had pushes without lanes, or no pushes at all.
pub(crate) static FORM: Form = Form {
    noun: "the store",
    setting: "`store` in yunqiao.toml",
    loss: "with a new one, users log in again and pushes that were waiting are lost",
    format: 2,
    cache: 8 << 20,
    replay: None,
};

/// Makes the tables, and enters the pushes of format 1 in their lanes.
pub(crate) fn bring_up(transaction: &WriteTransaction, _: Option<u64>) -> Result<(), Cause> {
    // Reading transactions take for granted that the tables exist.
    transaction.open_table(META)?;
    for table in [KEYS, SESSIONS, TOKENS, KNOWN] {
        transaction.open_table(table)?;
    }
    enter_pushes(transaction)
}

/// What is read of a packet whose record has no lane: lanes are those of senders, and in format 1 the packet alone said
/// who that was.
#[derive(Deserialize)]
struct Sender {
    #[serde(rename = "FromUserName", default)]
    name: String,
}

fn enter_pushes(transaction: &WriteTransaction) -> Result<(), Cause> {
    let mut open = transaction.open_table(OPEN)?;
    let mut lanes = transaction.open_table(LANES)?;
    let mut dead = transaction.open_table(DEAD)?;
    let mut entered = Vec::new();
    for row in open.iter()? {
        let (id, bytes) = row?;
        // A record that cannot be read is left for the one who looks into it.
        let Ok(mut push) = record::to_push(id.value(), bytes.value()) else {
            continue;
        };
        match serde_json::from_str::<Sender>(&push.packet) {
            Ok(sender) if !sender.name.is_empty() => push.lane = sender.name,
            _ => {}
        }
        entered.push(push);
    }
    for push in entered {
        let record = record::of_push(&push)?;
        open.insert(push.id, record.as_slice())?;
        match LetterSize::of(&push) {
            Some(letter) => dead
                .insert(push.id, (letter.bytes, record::millis(letter.died_at)))?
                .is_some(),
            None => lanes.insert((push.lane.as_str(), push.turn), push.id)?.is_some(),
        };
    }
    Ok(())
}
