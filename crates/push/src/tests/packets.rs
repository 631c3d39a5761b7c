//! What a packet says of itself, and by what it is known again.

use super::*;

/// WeChat's example of what a function receives ("云函数接收消息推送").
const FUNCTION: &str = r#"{"FromUserName":"ohl4L0Rnhq7vmmbT_DaNQa4ePaz0","ToUserName":"wx3d289323f5900f8e","Content":"测试","CreateTime":1555684067,"MsgId":"49d72d67b16d115e7935ac386f2f0fa41535298877_1555684067","MsgType":"text"}"#;

#[test]
fn fields_are_read_in_both_documented_forms() {
    let text = packet(TEXT);
    assert_eq!(
        (text.to_user(), text.from_user(), text.msg_type(), text.event()),
        ("toUser", "fromUser", "text", "")
    );
    assert_eq!(
        (text.msg_id(), text.create_time()),
        (Some("1234567890123456"), Some(1_482_048_670))
    );
    assert_eq!((text.appid(), text.as_json()), (APPID, TEXT));
    let text = packet(FUNCTION);
    assert_eq!(
        text.msg_id(),
        Some("49d72d67b16d115e7935ac386f2f0fa41535298877_1555684067")
    );
    assert_eq!(text.create_time(), Some(1_555_684_067));
    let popup =
        packet(r#"{"CreateTime":"1620973045","MsgType":"event","Event":"subscribe_msg_popup_event"}"#);
    assert_eq!((popup.create_time(), popup.msg_id()), (Some(1_620_973_045), None));
    // More than a double holds, and more than a u64: text all the same.
    for id in ["23533248665819413", "18446744073709551616"] {
        assert_eq!(packet(&format!(r#"{{"MsgId":{id}}}"#)).msg_id(), Some(id));
    }
    for odd in [
        "{}",
        r#"{"MsgId":null,"CreateTime":[1]}"#,
        r#"{"MsgId":"","CreateTime":"soon"}"#,
    ] {
        let odd = packet(odd);
        assert_eq!(
            (odd.msg_id(), odd.create_time(), odd.msg_type()),
            (None, None, "")
        );
    }
}

#[test]
fn only_what_a_user_did_has_a_user() {
    let of = |msg_type: &str, event: &str| {
        packet(&format!(
            r#"{{"FromUserName":"o1","MsgType":"{msg_type}","Event":"{event}"}}"#
        ))
    };
    for (msg_type, event, user) in [
        ("text", "", true),
        ("event", "user_enter_tempsession", true),
        ("event", "subscribe_msg_popup_event", true),
        ("event", "wxa_novel_chapter_permission", true),
        ("event", "xpay_goods_deliver_notify", false),
        ("event", "wxa_media_check", false),
        ("event", "subscribe_msg_sent_event", false),
        ("event", "something_new", false),
        ("some_message", "", true),
        ("", "", false),
    ] {
        assert_eq!(
            of(msg_type, event).user(),
            user.then_some("o1"),
            "{msg_type} {event}"
        );
    }
    assert_eq!(packet(r#"{"MsgType":"text"}"#).user(), None);
}

#[test]
fn a_message_is_known_by_app_user_and_id() {
    let key = |appid, json: &str| Packet::parse(appid, Format::Json, json.as_bytes()).unwrap().key();
    let text = |from, id, content| {
        format!(r#"{{"FromUserName":"{from}","MsgType":"text","MsgId":{id},"Content":"{content}"}}"#)
    };
    let first = key("wx1", &text("o1", "7", "a"));
    assert_eq!(
        first,
        PacketKey::Message {
            appid: "wx1".to_owned(),
            from_user: "o1".to_owned(),
            msg_id: "7".to_owned()
        }
    );
    assert_eq!(first.to_string(), r#"["wx1","o1","7"]"#);
    assert_eq!(
        key("wx1", &text("o1", "\"7\"", "b")),
        first,
        "whatever else it says"
    );
    for other in [
        key("wx2", &text("o1", "7", "a")),
        key("wx1", &text("o2", "7", "a")),
        key("wx1", &text("o1", "8", "a")),
    ] {
        assert_ne!(other, first);
    }
    // Without an id, a message is known by all that it says.
    let without = |content| {
        key(
            "wx1",
            &format!(r#"{{"FromUserName":"o1","MsgType":"text","Content":"{content}"}}"#),
        )
    };
    assert_ne!(without("a"), without("b"));
}

#[test]
fn an_event_is_known_by_all_but_the_number_of_its_attempts() {
    let key = |json: &str| packet(json).key();
    let refund = |id, retry| {
        format!(
            r#"{{"FromUserName":"oWeChat","CreateTime":1,"MsgType":"event","Event":"xpay_refund_notify","WxRefundId":"{id}"{retry}}}"#
        )
    };
    let first = key(&refund("r1", r#","RetryTimes":0"#));
    for again in [r#","RetryTimes":1"#, r#", "Retry\u0054imes" : 14"#, ""] {
        assert_eq!(key(&refund("r1", again)), first, "{again}");
    }
    // Two in one second from the same sender are two.
    assert_ne!(key(&refund("r2", r#","RetryTimes":0"#)), first);
    // What lies deeper is no counter.
    assert_ne!(
        key(&refund("r1", r#","a":{"RetryTimes":1}"#)),
        key(&refund("r1", r#","a":{"RetryTimes":2}"#))
    );
    // Where a name ends and its value begins counts.
    assert_ne!(key(r#"{"a":"b","c":1}"#), key(r#"{"a":"b\",\"c","c":1}"#));
    let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(key("{}").to_string(), format!(r#"["{APPID}","{digest}"]"#));
    // An event may have an id that is not its own.
    let with_id = |time| {
        key(&format!(
            r#"{{"MsgType":"event","Event":"subscribe_msg_sent_event","MsgId":1,"CreateTime":{time}}}"#
        ))
    };
    assert_ne!(with_id(1), with_id(2));
}

#[test]
fn an_event_in_xml_is_known_in_the_same_way() {
    let xml = |retry| {
        format!(
            "<xml><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[xpay_refund_notify]]></Event>\
             <WxRefundId><![CDATA[r1]]></WxRefundId><RetryTimes>{retry}</RetryTimes></xml>"
        )
    };
    let key = |text: String| Packet::parse(APPID, Format::Xml, text.as_bytes()).unwrap().key();
    assert_eq!(key(xml(0)), key(xml(3)));
    assert_ne!(key(xml(0)), key(xml(0).replace("r1", "r2")));
}

#[test]
fn a_number_that_javascript_rounds_has_its_exact_text_beside_it() {
    let read = |format, text: &str| -> serde_json::Value {
        let packet = Packet::parse(APPID, format, text.as_bytes()).unwrap();
        serde_json::from_str(packet.as_json()).unwrap()
    };
    let xml =
        "<xml><FromUserName>o</FromUserName><MsgType>text</MsgType><MsgId>24012983745612093847</MsgId></xml>";
    let json = r#"{"FromUserName":"o","MsgType":"text","MsgId":24012983745612093847 }"#;
    for (format, text) in [(Format::Xml, xml), (Format::Json, json)] {
        assert_eq!(read(format, text)["MsgIdStr"], "24012983745612093847");
    }
    let edge = read(
        Format::Json,
        r#"{"MsgId":9007199254740992,"MsgID":-9007199254740993,"Least":9007199254740991}"#,
    );
    assert_eq!(
        (&edge["MsgIdStr"], &edge["MsgIDStr"], edge.get("LeastStr")),
        (&"9007199254740992".into(), &"-9007199254740993".into(), None)
    );
    // What is there stays, and text needs none.
    let kept = read(Format::Json, r#"{"MsgId":9007199254740992,"MsgIdStr":"mine"}"#);
    assert_eq!(kept["MsgIdStr"], "mine");
    let text = read(
        Format::Json,
        r#"{"MsgId":"9007199254740992","Big":9007199254740992.5}"#,
    );
    assert_eq!(text.as_object().unwrap().len(), 2);
    // The key is the same with and without.
    let key = Packet::parse(APPID, Format::Json, json.as_bytes()).unwrap().key();
    assert!(key.to_string().contains("24012983745612093847"), "{key}");
}

#[test]
fn a_key_is_known_before_the_packet_is_sent() {
    let payment = r#"{"ToUserName":"gh_1","FromUserName":"o1","CreateTime":1700000000,"MsgType":"event","Event":"xpay_goods_deliver_notify","OpenId":"o1","OutTradeNo":"1","Env":0,"WeChatPayInfo":{"MchOrderNo":"2","PaidTime":1700000000},"RetryTimes":0}"#;
    let other = payment.replace(r#""OutTradeNo":"1""#, r#""OutTradeNo":"3""#);
    let again = payment.replace(r#""RetryTimes":0"#, r#""RetryTimes":2"#);
    for mode in MODES {
        for format in FORMATS {
            let received = |text: &str| {
                let request = sender(mode, format).push(text, NOW, NONCE, [7; 16]).unwrap();
                let query = PushQuery::parse(&request.query).unwrap();
                let received = receiver(mode, format).receive(&query, request.body.as_bytes(), NOW);
                received.unwrap().key()
            };
            let known = |text: &str| PacketKey::as_received(APPID, format, text).unwrap();
            for text in [TEXT, FUNCTION, payment, &other] {
                assert_eq!(known(text), received(text), "{mode:?} {format:?} {text}");
            }
            assert_eq!(known(payment), received(&again));
            assert_ne!(
                known(payment),
                known(&other),
                "two payments of one second are two"
            );
        }
    }
    assert_eq!(PacketKey::as_received(APPID, Format::Xml, "[]"), None);
}
