//! The kinds of messages and events that are known: what each is called, who caused it, what its packet holds.
//!
//! The console, where a function is bound to a kind, has names of its own for some events ("云函数接收消息推送"): one stands for
//! several that differ on the wire. Which belong together no document says; it follows from the names.
//!
//! Notices to a third-party platform's authorization URL are not in the table: they have an `InfoType` instead of
//! `MsgType` and `Event`.

use std::sync::LazyLock;

/// A head line, then a row for each kind.
const TEXT: &str = include_str!("kinds.tsv");

static KINDS: LazyLock<Vec<PacketKind>> = LazyLock::new(|| {
    let read = |row| PacketKind::parse(row).unwrap_or_else(|| unreachable!("a test reads every row: {row}"));
    TEXT.lines().skip(1).map(read).collect()
});

/// A kind of message or event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PacketKind {
    /// `MsgType`: `event`, or the kind of message.
    pub msg_type: &'static str,
    /// `Event` as it stands in the packet; empty for a message.
    pub event: &'static str,
    /// What the console calls it where that is another name: `subscribe_msg_event` for three.
    pub console: Option<&'static str>,
    /// Who caused it, and so whose the OPENID in `FromUserName` is.
    pub actor: Actor,
    /// Whether the console's list for cloud functions has it. (A function here may get any kind.)
    pub for_functions: bool,
    /// To whom WeChat sends it: `mini program`, `official account`, `third-party platform`, `delivery company` …
    pub audience: &'static str,
    /// The element that holds its fields in XML, and is not there in JSON.
    pub wrapper: Option<&'static str>,
    /// What it is answered with.
    pub reply: PushReplyKind,
    /// Its title, in Chinese.
    pub title: &'static str,
    /// The document that describes it: a path in WeChat's table of contents, or an address.
    pub document: Option<&'static str>,
    fields: &'static str,
}

/// Who caused a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A user, whose openid is `FromUserName`.
    User,
    /// WeChat: `FromUserName` is an openid of its own, or whose it is, is not known.
    Platform,
}

/// What WeChat wants to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushReplyKind {
    /// `success` or nothing.
    Acknowledge,
    /// `success` or nothing, or that the message goes to a human: `transfer_customer_service`.
    Forward,
    /// `{"ErrCode":0,"ErrMsg":"success"}`; `success` or nothing mean the same.
    ErrCode,
    /// `{"errcode":0,"errmsg":"ok"}`
    Errcode,
    /// The packet's own header with a result added.
    Echo,
    /// Anything.
    Any,
}

impl PacketKind {
    fn parse(row: &'static str) -> Option<Self> {
        let mut cells = row.split('\t');
        let mut cell = || cells.next();
        let kind = Self {
            msg_type: cell()?,
            event: cell()?,
            console: some(cell()?),
            actor: match cell()? {
                "user" => Actor::User,
                "platform" => Actor::Platform,
                _ => return None,
            },
            for_functions: match cell()? {
                "yes" => true,
                "no" => false,
                _ => return None,
            },
            audience: cell()?,
            wrapper: some(cell()?),
            reply: match cell()? {
                "ack" => PushReplyKind::Acknowledge,
                "forward" => PushReplyKind::Forward,
                "ErrCode" => PushReplyKind::ErrCode,
                "errcode" => PushReplyKind::Errcode,
                "echo" => PushReplyKind::Echo,
                "any" => PushReplyKind::Any,
                _ => return None,
            },
            fields: cell()?,
            title: cell()?,
            document: some(cell()?),
        };
        cells.next().is_none().then_some(kind)
    }

    /// The name by which people know it: `Event`, or `MsgType` for a message.
    #[must_use]
    pub fn name(&self) -> &'static str {
        if self.event.is_empty() {
            self.msg_type
        } else {
            self.event
        }
    }

    /// The fields beside those of every packet; none if they are not known. (Each packet has `ToUserName`,
    /// `FromUserName`, `CreateTime`, `MsgType`, and an event's has `Event`.)
    pub fn fields(&self) -> impl Iterator<Item = PacketField> {
        let mut rest = self.fields;
        std::iter::from_fn(move || {
            let (field, after) = split_field(rest)?;
            rest = after;
            Some(field)
        })
    }

    /// Whether its JSON has no numbers, not even `CreateTime`.
    #[must_use]
    pub(crate) fn is_all_text(&self) -> bool {
        self.console == Some("subscribe_msg_event")
    }
}

/// A field of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketField {
    /// Its name.
    pub name: &'static str,
    inner: &'static str,
}

impl PacketField {
    /// The fields of the object, or of each object in the array, that it holds; none if it holds a text or a number.
    pub fn fields(&self) -> impl Iterator<Item = Self> {
        let mut rest = self.inner;
        std::iter::from_fn(move || {
            let (field, after) = split_field(rest)?;
            rest = after;
            Some(field)
        })
    }
}

/// The first field of `a{b,c},d`, and what follows it.
fn split_field(text: &'static str) -> Option<(PacketField, &'static str)> {
    let mut depth = 0usize;
    let end = text.find(|character| {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    });
    let (field, rest) = match end {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, ""),
    };
    let (name, inner) = match field.split_once('{') {
        Some((name, inner)) => (name, inner.strip_suffix('}')?),
        None => (field, ""),
    };
    (!name.is_empty()).then_some((PacketField { name, inner }, rest))
}

fn some(cell: &'static str) -> Option<&'static str> {
    (!cell.is_empty()).then_some(cell)
}

/// All kinds, messages first.
#[must_use]
pub fn all() -> &'static [PacketKind] {
    &KINDS
}

/// The kind that a packet with this `MsgType` and `Event` is of. The case of letters does not count: a document says so of one
/// event ("即时配送 配送状态更新"), and no two names differ in it alone.
#[must_use]
pub fn find(msg_type: &str, event: &str) -> Option<&'static PacketKind> {
    KINDS
        .iter()
        .find(|kind| kind.msg_type.eq_ignore_ascii_case(msg_type) && kind.event.eq_ignore_ascii_case(event))
}

/// The kinds of this name: a message's, an event's on the wire, or the console's, which may stand for several.
pub fn named(name: &str) -> impl Iterator<Item = &'static PacketKind> {
    KINDS.iter().filter(move |kind| {
        kind.name().eq_ignore_ascii_case(name)
            || kind
                .console
                .is_some_and(|console| console.eq_ignore_ascii_case(name))
    })
}

/// The name that was most likely meant by an unknown one: one that differs by a letter, or by up to a fifth of its letters.
#[must_use]
pub fn nearest(name: &str) -> Option<&'static str> {
    let wanted = name.to_ascii_lowercase();
    KINDS
        .iter()
        .flat_map(|kind| [Some(kind.name()), kind.console])
        .flatten()
        .map(|known| (strsim::osa_distance(&wanted, &known.to_ascii_lowercase()), known))
        .filter(|(distance, known)| *distance <= (known.len() / 5).max(1))
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_is_a_kind_of_its_own() {
        let mut seen = HashSet::new();
        for row in TEXT.lines().skip(1) {
            let kind = PacketKind::parse(row).unwrap_or_else(|| panic!("{row}"));
            assert!(
                seen.insert((kind.msg_type.to_lowercase(), kind.event.to_lowercase())),
                "{row}"
            );
            assert_eq!(kind.msg_type == "event", !kind.event.is_empty(), "{row}");
            assert!(!kind.title.is_empty() && !kind.audience.is_empty(), "{row}");
            // What the iterator gives, written again, is the cell.
            fn written(fields: impl Iterator<Item = PacketField>) -> String {
                let cells = fields.map(|field| match written_boxed(field) {
                    inner if inner.is_empty() => field.name.to_owned(),
                    inner => format!("{}{{{inner}}}", field.name),
                });
                cells.collect::<Vec<_>>().join(",")
            }
            fn written_boxed(field: PacketField) -> String {
                let inner: Vec<PacketField> = field.fields().collect();
                if inner.is_empty() {
                    String::new()
                } else {
                    written(inner.into_iter())
                }
            }
            assert_eq!(written(kind.fields()), kind.fields, "{row}");
        }
        assert_eq!(all().len(), seen.len());
    }

    #[test]
    fn names_lead_to_kinds() {
        assert_eq!(
            find("event", "SUBSCRIBE_msg_popup_event").unwrap().console,
            Some("subscribe_msg_event")
        );
        assert_eq!(find("text", "").unwrap().actor, Actor::User);
        assert_eq!(
            find("event", "xpay_refund_notify").unwrap().actor,
            Actor::Platform
        );
        assert_eq!((find("event", ""), find("text", "text")), (None, None));
        let names = |name| named(name).map(PacketKind::name).collect::<Vec<_>>();
        assert_eq!(
            names("subscribe_msg_event"),
            [
                "subscribe_msg_popup_event",
                "subscribe_msg_change_event",
                "subscribe_msg_sent_event"
            ]
        );
        assert_eq!(names("express_add_path"), ["add_express_path"]);
        assert_eq!(names("subscribe_and_unsubscribe"), ["subscribe", "unsubscribe"]);
        assert_eq!(names("qr_scan_scene"), ["SCAN"]);
        assert_eq!(names("scan"), ["SCAN"]);
        assert_eq!(names("express_path"), [""; 0]);
    }

    #[test]
    fn misnomers_have_the_nearest() {
        for (typed, meant) in [
            ("user_enter_tempsesion", Some("user_enter_tempsession")),
            ("Subscribe_Msg_Evnt", Some("subscribe_msg_event")),
            ("subscribe_msg_popup", None),
            ("txet", Some("text")),
            ("txte1", None),
            ("imag", Some("image")),
            ("", None),
        ] {
            assert_eq!(nearest(typed), meant, "{typed}");
        }
    }

    #[test]
    fn the_consoles_list_for_functions_is_whole() {
        let names: HashSet<&str> = all()
            .iter()
            .filter(|kind| kind.for_functions)
            .map(|kind| kind.console.unwrap_or(kind.name()))
            .collect();
        let listed = "text image miniprogrampage user_enter_tempsession express_add_path wxa_media_check \
            subscribe_and_unsubscribe qr_scan_scene subscribe_msg_event xpay_goods_deliver_notify xpay_coin_pay_notify \
            xpay_complaint_notify xpay_subscribe_signing_result_notify xpay_subscribe_pay_fail_notify \
            xpay_subscribe_ios_refund_query_notify xpay_refund_notify";
        assert_eq!(names, listed.split_whitespace().collect());
    }
}
