//! Customer-service conversations: when, and how often, the app may write to a user (WeChat's documents "发送客服消息" and
//! "客服消息下发条件说明").
//!
//! A message of the user's opens a window of 48 hours and 5 messages, entering the conversation one of a minute and 2. They do
//! not add up: what comes later raises the number that is left to its own, and the end to its own, and lowers neither.

use std::{collections::HashMap, time::Duration};

use clock::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use wording::wording;

use crate::{
    Simulator,
    server::{catalogued::typed, errors::ApiRefusal},
};

const WROTE: (u32, Duration) = (5, Duration::from_secs(48 * 3600));
const ENTERED: (u32, Duration) = (2, Duration::from_secs(60));

/// What may be sent to whom, by openid.
#[derive(Debug, Default)]
pub(crate) struct Conversations(HashMap<String, Window>);

#[derive(Clone, Copy, Debug)]
struct Window {
    left: u32,
    /// Its last moment is still good.
    until: Timestamp,
}

impl Conversations {
    /// The user wrote to the app.
    pub(crate) fn user_wrote(&mut self, openid: &str, at: Timestamp) {
        self.open(openid, WROTE, at);
    }

    /// The user entered the conversation.
    pub(crate) fn user_entered(&mut self, openid: &str, at: Timestamp) {
        self.open(openid, ENTERED, at);
    }

    fn open(&mut self, openid: &str, (left, life): (u32, Duration), at: Timestamp) {
        let new = Window {
            left,
            until: at + life,
        };
        let window = self.0.entry(openid.to_owned()).or_insert(new);
        // One that is over has nothing to hand on.
        *window = if window.until < at {
            new
        } else {
            Window {
                left: window.left.max(new.left),
                until: window.until.max(new.until),
            }
        };
    }

    /// The app writes to a user that there is.
    fn send(&mut self, openid: &str, now: Timestamp) -> Result<(), ApiRefusal> {
        let window = self.0.get_mut(openid).filter(|window| now <= window.until);
        let window = window.ok_or(ApiRefusal::ResponseTime)?;
        window.left = window.left.checked_sub(1).ok_or(ApiRefusal::ResponseCount)?;
        Ok(())
    }
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    touser: String,
    #[serde(default)]
    msgtype: String,
    text: Option<Text>,
}

#[derive(Deserialize)]
struct Text {
    #[serde(default)]
    content: String,
}

/// `POST /cgi-bin/message/custom/send`. Of the message itself only what every kind must have is checked: the part that its
/// `msgtype` names, and a text's content.
pub(crate) fn send(sim: &Simulator, params: &Map<String, Value>) -> Result<(), ApiRefusal> {
    let message: Message = typed(sim, params)?;
    if !params.get(&message.msgtype).is_some_and(Value::is_object) {
        return Err(ApiRefusal::InvalidMessageType);
    }
    let empty = message.text.is_none_or(|text| text.content.is_empty());
    if message.msgtype == "text" && empty {
        return Err(ApiRefusal::EmptyContent);
    }
    let sent = {
        let world = &mut *sim.world();
        match world.users.by_openid(&message.touser) {
            Some(_) => world.conversations.send(&message.touser, sim.now()),
            None => Err(ApiRefusal::InvalidOpenid),
        }
    };
    match sent {
        Err(ApiRefusal::ResponseTime) => sim.tell(wording!(
            "a customer-service message was refused with 45015: the user has neither written within 48 hours nor entered the \
             conversation within a minute; POST /sim/client {{\"user\":…,\"api\":\"sendMessage\"}} writes",
            "客服消息被拒绝（45015）：用户 48 小时内没有发过消息，1 分钟内也没有进入会话；\
             POST /sim/client {{\"user\":…,\"api\":\"sendMessage\"}} 可模拟用户发消息"
        )),
        Err(ApiRefusal::ResponseCount) => sim.tell(wording!(
            "a customer-service message was refused with 45047: 5 may follow a user's message, 2 their entering; POST \
             /sim/client {{\"user\":…,\"api\":\"sendMessage\"}} writes again",
            "客服消息被拒绝（45047）：用户发一条消息后最多回 5 条，进入会话后最多 2 条；\
             POST /sim/client {{\"user\":…,\"api\":\"sendMessage\"}} 可模拟用户再发一条"
        )),
        _ => {}
    }
    sent
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(conversations: &mut Conversations, secs: u64) -> u32 {
        let mut count = 0;
        while conversations.send("oA", Timestamp::from_secs(secs)).is_ok() {
            count += 1;
        }
        count
    }

    #[test]
    fn a_window_has_a_number_and_an_end() {
        let at = Timestamp::from_secs;
        let mut to = Conversations::default();
        assert_eq!(to.send("oA", at(0)), Err(ApiRefusal::ResponseTime));
        to.user_entered("oA", at(0));
        assert_eq!(to.send("oA", at(60)), Ok(()));
        assert_eq!(to.send("oA", at(61)), Err(ApiRefusal::ResponseTime));
        to.user_wrote("oA", at(100));
        assert_eq!(to.send("oB", at(100)), Err(ApiRefusal::ResponseTime));
        assert_eq!(sent(&mut to, 100 + 48 * 3600), 5);
        assert_eq!(to.send("oA", at(100 + 48 * 3600)), Err(ApiRefusal::ResponseCount));
        assert_eq!(to.send("oA", at(101 + 48 * 3600)), Err(ApiRefusal::ResponseTime));
    }

    #[test]
    fn windows_do_not_add_up_and_take_nothing_away() {
        let at = Timestamp::from_secs;
        let mut to = Conversations::default();
        to.user_wrote("oA", at(0));
        to.user_wrote("oA", at(1));
        to.user_entered("oA", at(2));
        assert_eq!(sent(&mut to, 3), 5);
        // Entering gives two more, until the end of what the message opened.
        to.user_entered("oA", at(4));
        assert_eq!(sent(&mut to, 48 * 3600), 2);
        // Of a window that is over nothing is left.
        to.user_wrote("oB", at(0));
        to.user_entered("oB", at(49 * 3600));
        to.0.retain(|openid, _| openid == "oB");
        assert_eq!(to.0["oB"].left, 2);
    }
}
