//! What a push says: a packet of any kind whose fields [`push::kinds`] knows.
//!
//! Fields that are given go before those that are made up here, and null leaves one out. **Choice**: a value is made up by its field's name. Moments are
//! now, openids the user's, appids the app's, ids are random, what counts or measures is a small number, and a text with
//! nothing better to say is 测试. Where a document lists what a field may hold, it is the one that means success. Fields that
//! are there in some cases only (a team's purchase, Apple's subscriptions) are left out.
//!
//! `FromUserName` is the user's openid where a user is the cause, and else an openid of WeChat's own, which every app here sees
//! as the same nobody. `subscribe_msg_sent_event`, which WeChat causes, has the user's (its document's example).

use clock::Timestamp;
use push::{Actor, PacketField, PacketKind, kinds};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use wording::{Wording, wording};

use crate::{
    people::users::{User, derived_id},
    platform::pushes::PushError,
    random,
};

/// A packet's fields.
pub(crate) type Fields = Map<String, Value>;

/// The kind of this name: a message's, an event's on the wire, or the console's where it stands for one.
pub(crate) fn kind(name: &str) -> Result<&'static PacketKind, PushError> {
    let mut found = kinds::named(name);
    match (found.next(), found.next()) {
        (Some(kind), None) => Ok(kind),
        (None, _) => Err(PushError::Kind {
            name: name.to_owned(),
            nearest: kinds::nearest(name),
        }),
        (Some(_), Some(_)) => {
            let names: Vec<_> = kinds::named(name).map(PacketKind::name).collect();
            Err(PushError::Several {
                name: name.to_owned(),
                kinds: names.join(", "),
            })
        }
    }
}

/// The app's original id (原始ID), to which pushes are addressed.
pub(crate) fn original_id(appid: &str) -> String {
    let digest = Sha256::digest(["original_id", appid].join("\0"));
    let hex = base16ct::lower::encode_string(&digest);
    format!("gh_{}", &hex[..12])
}

/// Who a packet is about, and when.
pub(crate) struct About<'a> {
    pub(crate) appid: &'a str,
    pub(crate) user: &'a User,
    pub(crate) now: Timestamp,
}

/// A packet with these fields given.
///
/// # Errors
/// If no document says which fields its kind has, and none are given.
pub(crate) fn packet(
    kind: &'static PacketKind,
    about: &About<'_>,
    given: Fields,
) -> Result<Fields, PushError> {
    // An official account's `unsubscribe` has none.
    let unknown = kind.fields().next().is_none() && kind.audience != "official account";
    if unknown && given.is_empty() {
        return Err(PushError::NoFields(kind.name()));
    }
    let by_user = kind.actor == Actor::User || kind.event == "subscribe_msg_sent_event";
    let from = if by_user {
        about.user.openid.clone()
    } else {
        derived_id("o", &["wechat", about.appid])
    };
    let mut packet = Fields::new();
    packet.insert("ToUserName".into(), original_id(about.appid).into());
    packet.insert("FromUserName".into(), from.into());
    packet.insert("CreateTime".into(), about.now.secs().into());
    packet.insert("MsgType".into(), kind.msg_type.into());
    if !kind.event.is_empty() {
        packet.insert("Event".into(), kind.event.into());
    }
    for field in kind.fields() {
        if let Some(value) = value(kind, field, about) {
            packet.insert(field.name.into(), value);
        }
    }
    // Their JSON has no numbers, not even CreateTime.
    if kind.console == Some("subscribe_msg_event") {
        packet.values_mut().for_each(to_text);
    }
    packet.extend(given);
    packet.retain(|_, value| !value.is_null());
    Ok(packet)
}

/// The fields of every packet.
const HEADER: [&str; 5] = ["ToUserName", "FromUserName", "CreateTime", "MsgType", "Event"];

/// What is odd about the fields that were given: those that resemble a field of the kind without being one. They are sent all the same,
/// as WeChat may have fields that no document lists.
pub(crate) fn doubts(kind: &PacketKind, given: &Fields) -> Vec<Wording> {
    let known: Vec<_> = HEADER
        .into_iter()
        .chain(kind.fields().map(|field| field.name))
        .collect();
    let strange = given.keys().filter(|name| !known.contains(&name.as_str()));
    strange
        .filter_map(|name| {
            let distance = |known: &str| strsim::osa_distance(&name.to_lowercase(), &known.to_lowercase());
            let (distance, near) = known.iter().map(|known| (distance(known), known)).min()?;
            let kind = kind.name();
            (distance * 5 <= near.len()).then(|| {
                wording!(
                    "{kind} has no field {name:?}: did you mean {near}?",
                    "{kind} 没有字段 {name:?}：是不是 {near}？"
                )
            })
        })
        .collect()
}

/// In JSON, a list of one is the thing itself ("小程序订阅消息开发指南").
pub(crate) fn list(mut items: Vec<Value>) -> Value {
    match items.len() {
        1 => items.remove(0),
        _ => items.into(),
    }
}

fn to_text(value: &mut Value) {
    match value {
        Value::Number(number) => *value = number.to_string().into(),
        Value::Object(fields) => fields.values_mut().for_each(to_text),
        _ => {}
    }
}

/// What a field holds; `None` if it is left out.
fn value(kind: &PacketKind, field: PacketField, about: &About<'_>) -> Option<Value> {
    if let Some(documented) = documented(kind, field.name) {
        return documented;
    }
    let inner: Fields = field
        .fields()
        .filter_map(|field| Some((field.name.to_owned(), value(kind, field, about)?)))
        .collect();
    if inner.is_empty() {
        return Some(made_up(field.name, about));
    }
    let list = ["detail", "Actions", "history", "material"].contains(&field.name);
    Some(if list { json!([inner]) } else { inner.into() })
}

/// What the kind's document says of the field; the inner `None` where it would not be there.
fn documented(kind: &PacketKind, field: &str) -> Option<Option<Value>> {
    let apple = kind.event.starts_with("xpay_apple_");
    let value = match (kind.name(), field) {
        (_, "TeamInfo") => return Some(None),
        (_, "AppleSubscriptionInfo") if !apple => return Some(None),
        // Of a settlement that is over.
        ("trade_manage_order_settlement", "estimated_settlement_time") => return Some(None),
        ("trade_manage_order_settlement", "confirm_receive_method") => json!(2),
        ("text", "Content") => json!("你好"),
        ("voice", "Format") => json!("amr"),
        ("location", "Location_X") => json!(23.134521),
        ("location", "Location_Y") => json!(113.358803),
        ("subscribe_msg_popup_event", "PopupScene") => json!("2"),
        // Only rejections are pushed.
        ("subscribe_msg_change_event", "SubscribeStatusString") => json!("reject"),
        (_, "SubscribeStatusString") => json!("accept"),
        (_, "ErrorStatus") => json!("success"),
        (_, "TemplateId") => json!(random::url_safe(43)),
        ("user_authorization_revoke", "RevokeInfo") => json!("1"),
        ("wxa_media_check", "version") => json!(2),
        ("wxa_media_check", "label") => json!(100),
        ("wxa_media_check", "prob") => json!(90),
        (_, "suggest") => json!("pass"),
        (_, "strategy") => json!("content_model"),
        ("wxa_punish_event", "detail") => json!("{}"),
        ("xpay_wxpay_callback_notify", "EventType") => json!("punishment"),
        ("xpay_subscribe_signing_result_notify", "Action") => json!("contract_notify"),
        ("xpay_apple_subscribe_unsigning_result_notify", "Action") => json!("unsubscribe"),
        ("iot_voip_notify", "Action") => json!("join_voip_room"),
        // All of its fields are texts.
        ("xpay_subscribe_ios_refund_query_notify", "p_count") => json!("1"),
        ("xpay_subscribe_ios_refund_query_notify", "provide_status") => json!("1"),
        ("xpay_subscribe_ios_refund_query_notify", "refund_time" | "order_time") => json!("1700000000"),
        ("retail_pay_notify", "pay_status") => json!("ORDER_PAY_SUCC"),
        (_, "currency") => json!("CNY"),
        ("wxalive_follow_notify", "action") => json!("add_follow"),
        ("wxalive_follow_notify", "live_status") => json!(101),
        ("wxainsurance_claim_result", "Status") => json!(5),
        ("charge_mp_service_quota_notify", "event_type") => json!(3),
        ("charge_mp_service_validity_notify", "event_type") => json!(4),
        ("minigame_coin_deliver_completed", "Payload") => json!("{}"),
        ("minigame_coin_deliver_completed", "IsMock") => json!(true),
        (_, "Sender" | "Receiver" | "Cargo" | "Insured" | "Service" | "GoodDetail") => json!({}),
        (_, "sender" | "receiver" | "cargo" | "order_info") => json!({}),
        _ => return None,
    };
    Some(Some(value))
}

/// By its name alone.
fn made_up(name: &str, about: &About<'_>) -> Value {
    let lower = name.to_ascii_lowercase();
    let ends = |ends: &[&str]| ends.iter().any(|end| lower.ends_with(end));
    match lower.as_str() {
        "msgid" if name == "MsgId" => json!(random::digits(17).parse::<u64>().unwrap_or_default()),
        "retrytimes" | "errcode" | "errorcode" | "retcode" | "fail_ret" | "ret" => json!(0),
        "errmsg" | "retmsg" => json!("ok"),
        _ if lower.contains("openid") || lower == "open_id" => json!(about.user.openid),
        _ if ends(&["appid"]) => json!(about.appid),
        _ if ends(&["id_list", "material_id"]) => json!([]),
        _ if ends(&["phone", "phone_number"]) => json!(about.user.phone),
        _ if ends(&["url"]) => json!("https://example.com/yunqiao"),
        _ if ends(&["path"]) => json!("pages/index/index"),
        _ if ends(&["time", "timestamp", "date"]) => json!(about.now.secs()),
        "env" | "version" | "scale" | "scene" | "lat" | "lng" | "time_type" | "tips" => json!(1),
        _ if ends(&[
            "count",
            "quantity",
            "price",
            "fee",
            "amount",
            "quota",
            "total_cost",
        ]) =>
        {
            json!(1)
        }
        _ if ends(&["status", "type", "index", "score", "days"]) => json!(1),
        _ if ends(&["id", "no", "sn", "code"]) => json!(random::digits(20)),
        _ => json!("测试"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use push::Format;

    use super::*;
    use crate::people::users::Users;

    fn made(name: &str, given: Value) -> Result<Fields, PushError> {
        let users = Users::new("wx5e1fb0a7c3d24968");
        let about = About {
            appid: "wx5e1fb0a7c3d24968",
            user: users.first(),
            now: Timestamp::from_secs(1_795_263_000),
        };
        packet(kind(name)?, &about, given.as_object().unwrap().clone())
    }

    #[test]
    fn every_kind_whose_fields_are_known_has_a_packet_of_its_kind() {
        let mut unknown = Vec::new();
        for kind in kinds::all() {
            let packet = match made(kind.name(), json!({})) {
                Ok(packet) => Value::Object(packet).to_string(),
                Err(PushError::NoFields(name)) => {
                    unknown.push(name);
                    continue;
                }
                Err(error) => panic!("{}: {error}", kind.name()),
            };
            let read = push::Packet::parse("wx", Format::Json, packet.as_bytes()).unwrap();
            assert_eq!(read.kind(), Some(kind), "{packet}");
            assert_eq!(read.user().is_some(), kind.actor == Actor::User, "{packet}");
            assert_eq!(read.msg_id().is_some(), kind.event.is_empty(), "{packet}");
            assert_eq!(read.create_time(), Some(1_795_263_000));
            assert_eq!(read.to_user(), original_id("wx5e1fb0a7c3d24968"));
        }
        assert_eq!(
            unknown,
            [
                "wxa_illegal_record",
                "transport_add_order",
                "transport_readd_order",
                "add_nearby_poi_audit_info",
                "wx_verify_pay_succ",
                "wx_verify_dispatch",
                "betaapp_verify_apply_event",
                "betaapp_authorization_apply_event",
            ]
        );
    }

    #[test]
    fn what_is_given_goes_before_what_is_made_up() {
        let packet = made(
            "TEXT",
            json!({ "Content": "在吗", "MsgId": "m1", "Event": null, "Extra": [1] }),
        )
        .unwrap();
        let names: Vec<_> = packet.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "ToUserName",
                "FromUserName",
                "CreateTime",
                "MsgType",
                "Content",
                "MsgId",
                "Extra"
            ]
        );
        assert_eq!(
            (&packet["Content"], &packet["MsgId"]),
            (&json!("在吗"), &json!("m1"))
        );
        assert!(made("wx_verify_dispatch", json!({ "a": 1 })).is_ok());
        let doubts = |given: Value| {
            let doubts = doubts(kind("text").unwrap(), given.as_object().unwrap());
            doubts.into_iter().map(|doubt| doubt.en).collect::<Vec<_>>()
        };
        assert_eq!(
            doubts(json!({ "content": "", "Content": "", "fromUserNam": "", "Extra": 1 })),
            [
                "text has no field \"content\": did you mean Content?",
                "text has no field \"fromUserNam\": did you mean FromUserName?",
            ]
        );
    }

    #[test]
    fn values_have_the_types_that_the_documents_show() {
        let popup = made("subscribe_msg_popup_event", json!({})).unwrap();
        assert_eq!(popup["CreateTime"], "1795263000");
        assert_eq!(popup["List"]["PopupScene"], "2");
        let change = made("subscribe_msg_change_event", json!({})).unwrap();
        assert_eq!(change["List"]["SubscribeStatusString"], "reject");
        let checked = made("wxa_media_check", json!({})).unwrap();
        assert_eq!(checked["result"], json!({ "suggest": "pass", "label": 100 }));
        assert_eq!(checked["detail"][0]["prob"], 90);
        let paid = made("xpay_goods_deliver_notify", json!({})).unwrap();
        assert!(!paid.contains_key("TeamInfo") && !paid.contains_key("AppleSubscriptionInfo"));
        assert_eq!(paid["GoodsInfo"]["Quantity"], 1);
        assert_eq!(paid["WeChatPayInfo"]["PaidTime"], 1_795_263_000);
        assert_ne!(paid["OpenId"], paid["FromUserName"]);
        assert_eq!(made("xpay_refund_notify", json!({})).unwrap()["RetryTimes"], 0);
    }

    #[test]
    fn a_name_that_is_none_or_several_is_refused() {
        let said = |name: &str| kind(name).unwrap_err().to_string();
        assert!(said("user_enter_tempsesion").contains("did you mean user_enter_tempsession"));
        assert!(
            said("subscribe_msg_event").contains("subscribe_msg_popup_event, subscribe_msg_change_event")
        );
        assert_eq!(kind("express_add_path").unwrap().event, "add_express_path");
        assert!(!said("zzzzzzzz").contains("did you mean"));
    }
}
