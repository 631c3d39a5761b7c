//! What a function's result means, and how it goes back.

use super::*;

const TRANSFER: &str = r#"{"MsgType":"transfer_customer_service","ToUserName":"o1","FromUserName":"gh_1","CreateTime":1399197672}"#;

fn event(name: &str) -> Packet {
    packet(&format!(r#"{{"MsgType":"event","Event":"{name}"}}"#))
}

fn object(text: &str) -> PushReply {
    PushReply::Object(text.to_owned())
}

#[test]
fn most_results_are_an_acknowledgement() {
    for result in [
        "",
        "null",
        r#""success""#,
        r#" "SUCCESS" "#,
        r#""""#,
        "{}",
        r#"{"errCode":0,"errMsg":"openapi.customerServiceMessage.send:ok"}"#,
        r#"{"errcode":0,"errmsg":"ok"}"#,
    ] {
        for packet in [
            packet(TEXT),
            event("user_enter_tempsession"),
            event("wxa_media_check"),
        ] {
            let verdict = Verdict::of(&packet, result);
            assert_eq!(
                (verdict.reply, verdict.error, verdict.remark),
                (PushReply::Success, None, None),
                "{result}"
            );
        }
    }
    for result in [r#""hello""#, "1", "[]", "true"] {
        let verdict = Verdict::of(&packet(TEXT), result);
        assert_eq!(verdict.reply, PushReply::Success);
        assert_eq!(
            verdict.remark,
            (result == r#""hello""#).then_some(Remark::Text),
            "{result}"
        );
    }
}

#[test]
fn objects_that_mean_something_are_passed_on() {
    let delivery = r#"{"ToUserName":"a","resultcode":0,"resultmsg":"ok"}"#;
    for (packet, result) in [
        (packet(TEXT), TRANSFER),
        (packet(TEXT), r#"{"MsgType":"text","Content":"hi"}"#),
        (event("xpay_refund_notify"), r#"{"ErrCode":0,"ErrMsg":"success"}"#),
        (
            event("wxa_novel_chapter_permission"),
            r#"{"ErrCode":0,"ErrMsg":"","ChapterPerms":[]}"#,
        ),
        (event("iot_voip_notify"), r#"{"errcode":0,"errmsg":"ok"}"#),
        (event("update_waybill_status"), delivery),
        (event("debug_demo"), r#"{"demo_resp":"good luck"}"#),
        (event("something_new"), r#"{"ErrCode":0}"#),
        (event("something_new"), delivery),
    ] {
        let verdict = Verdict::of(&packet, result);
        assert_eq!(
            (verdict.reply, verdict.error, verdict.remark),
            (object(result), None, None)
        );
    }
}

#[test]
fn what_was_not_passed_on_though_it_was_meant_is_remarked_on() {
    for (event_name, result, remark) in [
        ("user_enter_tempsession", TRANSFER, Remark::TransferOfEvent),
        ("xpay_refund_notify", "{}", Remark::Wants(PushReplyKind::ErrCode)),
        (
            "iot_voip_notify",
            r#"{"ErrCode":0}"#,
            Remark::Wants(PushReplyKind::Errcode),
        ),
        (
            "update_waybill_status",
            "null",
            Remark::Wants(PushReplyKind::Echo),
        ),
    ] {
        let verdict = Verdict::of(&event(event_name), result);
        assert_eq!(
            (verdict.reply, verdict.remark),
            (PushReply::Success, Some(remark))
        );
        assert!(remark.wording().en.contains("success"));
    }
}

#[test]
fn a_code_other_than_zero_says_that_it_failed() {
    for (result, error) in [
        (r#"{"ErrCode":1,"ErrMsg":"no"}"#, Some("1")),
        (r#"{"errcode":"40001"}"#, Some("40001")),
        (r#"{"ErrCode":0,"errcode":7}"#, None),
        (r#"{"ErrCode":"0"}"#, None),
        (r#"{"ErrCode":null}"#, None),
        (r#"{"errCode":-604101}"#, None),
    ] {
        for packet in [packet(TEXT), event("xpay_refund_notify"), event("something_new")] {
            assert_eq!(Verdict::of(&packet, result).error.as_deref(), error, "{result}");
        }
    }
}

#[test]
fn answers_go_back_as_the_mode_asks() {
    let query = PushQuery {
        nonce: Some(NONCE.to_owned()),
        ..PushQuery::default()
    };
    for mode in MODES {
        for format in FORMATS {
            let answer = |reply: &PushReply| {
                receiver(mode, format)
                    .answer(reply, &query, NOW, [7; 16])
                    .unwrap()
            };
            let success = answer(&PushReply::Success);
            assert_eq!(success.text, "success", "in every mode");
            assert_eq!(
                sender(mode, format).read_reply(b"success"),
                Ok(PushReply::Success)
            );

            let answer = answer(&object(TRANSFER));
            assert_eq!(answer.content_type, format.content_type());
            assert_eq!(
                answer.text.contains("transfer_customer_service"),
                mode != Mode::Secure
            );
            assert_eq!(answer.text.contains(NONCE), mode == Mode::Secure);
            assert_eq!(
                sender(mode, format).read_reply(answer.text.as_bytes()),
                Ok(object(TRANSFER))
            );
        }
    }
    let error = receiver(Mode::Secure, Format::Xml).answer(&object(r#"{"a b":1}"#), &query, NOW, [7; 16]);
    assert_eq!(error.unwrap_err().code(), codes::NOT_WRITTEN);
}

#[test]
fn replies_are_read_as_wechat_would() {
    let read = |mode, format, text: &str| sender(mode, format).read_reply(text.as_bytes());
    for text in ["", "success", "SUCCESS\n"] {
        for mode in MODES {
            assert_eq!(read(mode, Format::Json, text), Ok(PushReply::Success));
        }
    }
    let plain = r#"{"ErrCode":0,"ErrMsg":"success"}"#;
    assert_eq!(read(Mode::Plain, Format::Json, plain), Ok(object(plain)));
    assert_eq!(read(Mode::Compatible, Format::Json, plain), Ok(object(plain)));
    assert!(matches!(
        read(Mode::Secure, Format::Json, plain),
        Err(PushRefusal::NotEncrypted { .. })
    ));
    let xml = "<xml><ErrCode>0</ErrCode><ErrMsg><![CDATA[success]]></ErrMsg></xml>";
    assert_eq!(read(Mode::Plain, Format::Xml, xml), Ok(object(plain)));
    for wrong in ["ok", "[]", xml] {
        assert!(
            matches!(read(Mode::Plain, Format::Json, wrong), Err(PushRefusal::Body(_))),
            "{wrong}"
        );
    }
    // Altered after it was signed.
    let query = PushQuery::default();
    let answer = receiver(Mode::Secure, Format::Json)
        .answer(&object(plain), &query, NOW, [7; 16])
        .unwrap()
        .text;
    let altered = answer.replace("\"TimeStamp\":1", "\"TimeStamp\":2");
    assert_ne!(altered, answer);
    assert_eq!(
        read(Mode::Secure, Format::Json, &altered),
        Err(PushRefusal::BadMessageSignature)
    );
    // Some servers write the time as a string.
    let as_text = answer.replace("\"TimeStamp\":1714112445", "\"TimeStamp\":\"1714112445\"");
    assert_ne!(as_text, answer);
    assert_eq!(read(Mode::Secure, Format::Json, &as_text), Ok(object(plain)));
}
