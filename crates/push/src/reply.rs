//! What a function's result means to WeChat.
//!
//! Most packets want no more than an acknowledgement: `success`, or nothing. Some want an object (`{"ErrCode":0}` for payments, a
//! header with a result for deliveries), and a message may be passed on to a human with `transfer_customer_service`.
//! A function returns what it likes, often the result of the API that it called last. What the platform makes of that no
//! document says.
//!
//! **Choice**: an object is passed on where WeChat can mean something by it, and else the answer is `success`, as for a function
//! that returned nothing. For a kind in the table, its `reply` decides; for others, whether the object looks like one of
//! the known replies. What was not passed on though somebody may have meant it is remarked on.

use std::borrow::Cow;

use json::Object;
use wording::{Wording, wording};

use crate::{Packet, PushReplyKind};

/// An answer to a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushReply {
    /// `success`, never encrypted.
    Success,
    /// A JSON object, which goes out in the format and mode of the settings.
    Object(String),
}

/// What a function's result comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What WeChat is answered.
    pub reply: PushReply,
    /// The `ErrCode` or `errcode`, if it is not 0: by it the function says that it failed.
    pub error: Option<String>,
    /// What the function's author should know.
    pub remark: Option<Remark>,
}

/// What is odd about a function's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remark {
    /// An event was to be passed on to a human; WeChat does that with users' messages only.
    TransferOfEvent,
    /// This kind wants another object.
    Wants(PushReplyKind),
    /// A text other than `success`.
    Text,
}

impl Remark {
    /// What is odd, for the function's author.
    #[must_use]
    pub fn wording(self) -> Wording {
        match self {
            Self::TransferOfEvent => wording!(
                "transfer_customer_service passes on a user's message, not an event; WeChat was answered success",
                "transfer_customer_service 只能转发用户消息，不能转发事件；已向微信应答 success"
            ),
            Self::Wants(PushReplyKind::Echo) => wording!(
                "this event wants an object with the packet's header and a result (see its document); WeChat was answered success",
                "这个事件要求返回带消息头和处理结果的对象（见其文档）；已向微信应答 success"
            ),
            Self::Wants(PushReplyKind::Errcode) => wording!(
                "this event wants {{\"errcode\":0,\"errmsg\":\"ok\"}}; WeChat was answered success",
                "这个事件要求返回 {{\"errcode\":0,\"errmsg\":\"ok\"}}；已向微信应答 success"
            ),
            Self::Wants(_) => wording!(
                "this event wants {{\"ErrCode\":0,\"ErrMsg\":\"success\"}}; WeChat was answered success",
                "这个事件要求返回 {{\"ErrCode\":0,\"ErrMsg\":\"success\"}}；已向微信应答 success"
            ),
            Self::Text => wording!(
                "a text is no reply to a push: return nothing or \"success\", and answer users with customerServiceMessage.send",
                "返回一段文字不能回复用户：请不返回或返回 \"success\"，用 customerServiceMessage.send 回复"
            ),
        }
    }
}

impl Verdict {
    /// Judges what a function returned for a packet: the raw JSON of its result, or nothing.
    #[must_use]
    pub fn of(packet: &Packet, result: &str) -> Self {
        let kind = packet.kind().map(|kind| kind.reply);
        let Ok(object) = Object::parse(result.as_bytes()) else {
            return Self::of_text(kind, result);
        };
        let msg_type = object.get("MsgType").and_then(json::unescape);
        let error = error_of(&object);
        let has = |names: &[&str]| names.iter().any(|name| object.get(name).is_some());
        let (passes, remark) = match kind {
            _ if msg_type.as_deref() == Some(TRANSFER) && packet.is_event() => {
                (false, Some(Remark::TransferOfEvent))
            }
            Some(PushReplyKind::Any | PushReplyKind::Echo) => (true, None),
            Some(kind @ PushReplyKind::ErrCode) if !has(&["ErrCode"]) => (false, Some(Remark::Wants(kind))),
            Some(kind @ PushReplyKind::Errcode) if !has(&["errcode"]) => (false, Some(Remark::Wants(kind))),
            Some(PushReplyKind::ErrCode | PushReplyKind::Errcode) => (true, None),
            // An official account's passive reply is an object with a MsgType, too.
            Some(PushReplyKind::Acknowledge | PushReplyKind::Forward) => (msg_type.is_some(), None),
            None => {
                let known = has(&["ErrCode", "errcode", "ResultCode", "resultcode"]);
                (msg_type.is_some() || known, None)
            }
        };
        Self {
            reply: if passes {
                PushReply::Object(result.trim().to_owned())
            } else {
                PushReply::Success
            },
            error,
            remark,
        }
    }

    fn of_text(kind: Option<PushReplyKind>, result: &str) -> Self {
        let text = json::unescape(result.trim()).unwrap_or(Cow::Borrowed(""));
        let remark = match kind {
            Some(kind @ PushReplyKind::Echo) => Some(Remark::Wants(kind)),
            _ if text.is_empty() || text.eq_ignore_ascii_case("success") => None,
            _ => Some(Remark::Text),
        };
        Self {
            reply: PushReply::Success,
            error: None,
            remark,
        }
    }
}

/// Forwards a message to the customer-service staff ("转发消息").
const TRANSFER: &str = "transfer_customer_service";

fn error_of(object: &Object<'_>) -> Option<String> {
    let raw = object.get("ErrCode").or_else(|| object.get("errcode"))?;
    let code = json::unescape(raw).unwrap_or(Cow::Borrowed(raw));
    (!matches!(&*code, "0" | "" | "null")).then(|| code.into_owned())
}
