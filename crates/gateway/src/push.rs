//! Message push over HTTP: the door that WeChat calls, and what the operator sees. What becomes of a push once it was let in
//! is the `mailbox` crate's.

mod door;
mod letters;

use std::sync::Arc;
use std::time::Duration;

use calls::Calls;
use http::StatusCode;
use mailbox::{Mailbox, Pace};
use push::Receiver;
use store::Store;
use tcb::codes;
use wording::wording;

use crate::failure::Failure;

pub(crate) use self::door::{PATH, answer};
pub(crate) use self::letters::{BELOW_OPERATOR, OPERATOR, answer as answer_operator};

/// WeChat waits 5 seconds from when it begins to send; what is on the way has half a second.
const ANSWER_WITHIN: Duration = Duration::from_millis(4500);

/// Message push for one app.
pub(crate) struct Pushes {
    pub(crate) receiver: Receiver,
    pub(crate) mailbox: Mailbox,
}

impl Pushes {
    pub(crate) fn new(receiver: Receiver, store: &Arc<dyn Store>, calls: &Calls) -> Self {
        let mailbox = Mailbox::new(mailbox::MailboxConfig {
            appid: receiver.settings().appid.clone(),
            store: Arc::clone(store),
            functions: Arc::new(calls.clone()),
            pace: Pace::default(),
        });
        Self { receiver, mailbox }
    }
}

/// What is answered where there is no message push.
fn not_set_up() -> Failure {
    Failure::told(
        StatusCode::NOT_FOUND,
        codes::INVALID_PARAM,
        wording!(
            "message push is not set up here: [push] in yunqiao.toml does that",
            "这里没有配置消息推送：请在 yunqiao.toml 里填写 [push]"
        ),
    )
}
