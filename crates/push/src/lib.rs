//! Message push (消息推送): what WeChat sends to a server when a user writes, taps or pays, or when the platform has news.
//!
//! A [`Receiver`] takes a push apart: [`PushQuery`] and body in, a [`Packet`] out that is believed, or a [`PushRefusal`]. The packet is the
//! JSON object that a function receives, whatever was on the wire; its [`PacketKey`] tells it from others, [`Routes`] say whose
//! it is, and [`Verdict`] what a function's result means to WeChat. A [`Sender`] is the other side, for whoever plays
//! WeChat. Below them lie the [`PushToken`] with both signatures, the [`EncodingAesKey`] with its [`envelope`], and the table of
//! [`kinds`]. Random bytes and the time are given, not taken.
//!
//! The facts are from WeChat's documents "消息推送" (signatures, envelope, modes, replies), "接收消息和事件", "小程序订阅消息开发指南",
//! "云函数接收消息推送", and from the official sample WXBizMsgCrypt (iv, error numbers).

pub mod codes;
mod convert;
pub mod envelope;
mod format;
mod key;
mod kind;
mod packet;
mod query;
mod receiver;
mod reply;
mod route;
mod sender;
#[cfg(test)]
mod tests;
mod token;
mod xml;

/// The table of what WeChat pushes, and ways to find a row.
pub mod kinds {
    pub use crate::kind::{all, find, named, nearest};
}

pub use convert::WriteError;
pub use envelope::PushEnvelopeError;
pub use format::{Format, FormatError, MAX_BODY, Mode, SettingError, encrypt_of};
pub use key::{EncodingAesKey, KeyError};
pub use kind::{Actor, PacketField, PacketKind, PushReplyKind};
pub use packet::{Packet, PacketKey};
pub use query::{PushQuery, QueryError};
pub use receiver::{ConsoleSettings, FUTURE, MAX_AGE, PushRefusal, PushReplyBody, Receiver, Vouched};
pub use reply::{PushReply, Remark, Verdict};
pub use route::{RouteError, RoutePattern, Routes};
pub use sender::{PushRequest, Sender};
pub use token::{PushToken, TokenError};
pub use xml::{XmlError, XmlReason};

/// The beginning of a text from outside, for an error.
fn excerpt(text: &str) -> String {
    const LONG: usize = 100;
    match text.char_indices().nth(LONG) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
