#![allow(clippy::unwrap_used)]

use bson::DateTime;

use super::*;
use crate::{
    Action, CALL_OPEN_API, INVOKE_FUNCTION, NotServed, SdkRequest, SdkRequestError,
    database::{DatabaseAction, DatabaseRequest},
    recorded,
    storage::{StorageAction, StorageRequest},
};

const JSON: &str = "application/json";

#[test]
fn fields_are_what_javascript_held() {
    let body = br#" {"action":"x.y", "n":1e21, "a" : [ 1, "\u0061" ],"s":"\u4e2d\"\ud800", "envName":"", "nothing":null} "#;
    let envelope = Envelope::parse("Application/JSON; charset=utf-8", body).unwrap();
    for (name, value) in [
        ("action", FieldValue::Text("x.y".into())),
        ("n", FieldValue::Json("1e21")),
        ("A", FieldValue::Json(r#"[ 1, "\u0061" ]"#)),
        ("s", FieldValue::Text("中\"\u{fffd}".into())),
        ("ENVNAME", FieldValue::Text("".into())),
        ("nothing", FieldValue::Json("null")),
    ] {
        assert!(envelope.get(name) == Some(&value), "{name}");
    }
    assert!(envelope.get("other").is_none());
    // Empty is as good as absent, and what is no text has none.
    assert_eq!((envelope.env_name(), envelope.text("n")), (None, None));
    assert_eq!(
        SdkRequest::read(&envelope).unwrap().action(),
        Action::Named("x.y")
    );
}

#[test]
fn a_form_holds_text_and_bytes() {
    let body = b"--b\r\nContent-Disposition: form-data; name=\"action\"\r\n\r\nwx.openApi\r\n\
        --b\r\nContent-Disposition: form-data; name=\"requestData\"\r\nContent-Type: application/octet-stream\r\n\r\n\xff\r\n\
        --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\ntext\r\n--b--\r\n";
    let envelope = Envelope::parse("multipart/form-data; boundary=b", body).unwrap();
    assert_eq!(envelope.request_message(), Some(b"\xff".as_slice()));
    assert!(matches!(
        SdkRequest::read(&envelope),
        Err(SdkRequestError::Message(_))
    ));
    assert_eq!(envelope.request_text(), None);
    assert!(envelope.get("file") == Some(&FieldValue::Bytes(b"text")));
}

/// What each action of the recorded SDKs carries, by the accessors that serve it.
#[test]
fn every_recorded_request_is_understood() {
    for request in recorded::all() {
        let envelope = request.envelope();
        let what = format!("{} {} {envelope:?}", request.version, request.call);
        assert!(envelope.env_name().is_some(), "{what}");
        // 0.5.1 sends it only where it is of use.
        let token = envelope.api_token();
        assert!(
            token == Some("T0ken") || request.version == "0.5.1" && token.is_none(),
            "{what}"
        );
        let asked = SdkRequest::read(&envelope).unwrap();
        if let Some(not_served) = NotServed::of(asked.action()) {
            assert!(
                match not_served {
                    NotServed::CloudPay => request.call == "cloudPay",
                    NotServed::CloudCallSign => request.call.contains("Sign"),
                    NotServed::CrossAccount => request.call.contains("cross"),
                },
                "{what}"
            );
            continue;
        }
        match asked.action() {
            Action::Named(INVOKE_FUNCTION) => {
                assert!(envelope.function_name().is_some(), "{what}");
                json::validate(envelope.function_data().unwrap().as_bytes()).unwrap();
            }
            Action::OpenApi | Action::Service(_) => assert!(envelope.api_name().is_some(), "{what}"),
            Action::Named(CALL_OPEN_API) => {
                assert_eq!(envelope.api_name(), Some("token.get"));
                assert_eq!(envelope.request_text(), Some(r#"{"a":1}"#));
            }
            Action::Named(name) if name.starts_with("storage.") => {
                assert!(
                    ["upload", "tempFileUrl"].contains(&request.call.as_str()),
                    "{what}"
                );
                StorageRequest::read(StorageAction::of(name).unwrap(), &envelope).unwrap();
            }
            Action::Named(name) => {
                let action = DatabaseAction::of(name).unwrap_or_else(|| panic!("{what}: {name}"));
                let read = DatabaseRequest::read(action, &envelope, DateTime::from_millis(0));
                assert!(read.is_ok(), "{what}: {read:?}");
            }
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn the_event_of_a_callee_comes_out_as_it_went_in() {
    let event = "{\"a\":1.5,\"s\":\" 中😀 \",\"q\":\"\\\"\\\\ \\ud800 &=%\\r\\n\",\"big\":1e+21,\"nested\":{\"list\":[1,null,true],\"o\":{}}}";
    for version in ["0.5.1", "1.8.3", "2.6.3", "4.0.2"] {
        let request = recorded::one(version, "invoke");
        assert_eq!(request.envelope().function_data(), Some(event));
        let nothing = recorded::one(version, "invokeNothing");
        assert_eq!(nothing.envelope().function_data(), Some("{}"));
    }
    let blanks = recorded::one("4.0.2", "invokeBlanks");
    let envelope = blanks.envelope();
    assert_eq!(envelope.env_name(), Some("other-env"));
    assert_eq!(envelope.function_name(), Some(" \u{a0}blanks\u{feff}\u{85} "));
    let surrogate = recorded::one("4.0.2", "invokeSurrogate");
    assert_eq!(surrogate.envelope().function_name(), Some("lone\u{fffd}"));
}

#[test]
fn what_is_no_request_is_refused() {
    let fields: String = (0..MAX_FIELDS).map(|at| format!(",\"f{at}\":1")).collect();
    let many = format!("{{\"action\":\"a\"{fields}}}");
    let cases: [(&str, &str, &str); 15] = [
        (
            "",
            "{}",
            "the content type \"\" is neither application/json nor multipart/form-data",
        ),
        (
            "text/plain",
            "{}",
            "the content type \"text/plain\" is neither application/json nor multipart/form-data",
        ),
        (
            JSON,
            "",
            "the request's body is not a JSON object: the text ends too early at byte 0",
        ),
        (
            JSON,
            "[]",
            "the request's body is not a JSON object: expected an object at byte 0",
        ),
        (
            JSON,
            "{\"action\":\"a\"} {}",
            "the request's body is not a JSON object: expected the end of the text at byte 15",
        ),
        (JSON, "{}", "the request has no text field `action`"),
        (JSON, "{\"action\":1}", "the request has no text field `action`"),
        (
            JSON,
            "{\"action\":\"\"}",
            "the request has no text field `action`",
        ),
        (
            JSON,
            "{\"action\":\"a\",\"\":1}",
            "the request has a field \"\": a name is 1 to 64 letters, digits, '_', '-' or '.'",
        ),
        (
            JSON,
            "{\"action\":\"a\",\"a&b\":1}",
            "the request has a field \"a&b\": a name is 1 to 64 letters, digits, '_', '-' or '.'",
        ),
        (
            JSON,
            "{\"action\":\"a\",\"\u{212a}\":1}",
            "the request has a field \"\u{212a}\": a name is 1 to 64 letters, digits, '_', '-' or '.'",
        ),
        (
            JSON,
            "{\"action\":\"a\",\"\\u0061ction\":\"a\"}",
            "the request has the field \"action\" twice (names are compared in lower case)",
        ),
        (
            JSON,
            "{\"action\":\"a\",\"Action\":\"b\"}",
            "the request has the field \"Action\" twice (names are compared in lower case)",
        ),
        (JSON, &many, "the request has 65 fields, and at most 64 are read"),
        (
            "multipart/form-data; boundary=b",
            "--b",
            "the multipart body is malformed: expected a line end or \"--\" behind the boundary at byte 3",
        ),
    ];
    for (content_type, body, text) in cases {
        let error = Envelope::parse(content_type, body.as_bytes()).unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.code()),
            (text, codes::INVALID_PARAM)
        );
    }
    let form = b"--b\r\nContent-Disposition: form-data; name=\"action\"\r\n\r\n\xff\r\n--b--";
    assert_eq!(
        Envelope::parse("multipart/form-data; boundary=b", form).unwrap_err(),
        EnvelopeError::NotUtf8("action".into())
    );
    let large = vec![b' '; MAX_BODY + 1];
    assert_eq!(
        Envelope::parse(JSON, &large).unwrap_err(),
        EnvelopeError::TooLarge(MAX_BODY + 1)
    );
}

#[test]
fn debug_shows_no_credential() {
    let body = br#"{"action":"a","wxCloudApiToken":"T0ken"}"#;
    let envelope = Envelope::parse(JSON, body).unwrap();
    let shown = format!("{envelope:?} {:?}", envelope.get("wxCloudApiToken"));
    assert_eq!(
        shown,
        r#"Envelope {"action", "wxCloudApiToken"} Some(Text(5 bytes))"#
    );
}
