//! Every push vector; what must fail fails with its number.

use std::{collections::HashSet, sync::LazyLock};

use serde_json::Value;

use super::*;

static VECTORS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let file: Value = serde_json::from_str(include_str!("../vectors.json")).unwrap();
    file["vectors"].as_array().unwrap().clone()
});

fn of_kind(kind: &str) -> Vec<&'static Value> {
    let found: Vec<_> = VECTORS.iter().filter(|vector| vector["kind"] == kind).collect();
    assert!(!found.is_empty(), "{kind}");
    found
}

fn text<'a>(vector: &'a Value, field: &str) -> &'a str {
    vector[field]
        .as_str()
        .unwrap_or_else(|| panic!("{} has no {field}", vector["id"]))
}

fn random(vector: &Value) -> [u8; 16] {
    text(vector, "random16_ascii").as_bytes().try_into().unwrap()
}

fn keys(vector: &Value) -> Vec<EncodingAesKey> {
    vec![key(text(vector, "encodingAESKey"))]
}

#[test]
fn every_kind_of_vector_is_tested() {
    let kinds: HashSet<&str> = VECTORS.iter().map(|vector| text(vector, "kind")).collect();
    let tested =
        "url_signature push_decrypt reply_encrypt derived_roundtrip negative encoding_aes_key_decode";
    assert_eq!(kinds, tested.split(' ').collect());
}

#[test]
fn url_signatures() {
    for vector in of_kind("url_signature") {
        let token = PushToken::parse(text(vector, "token")).unwrap();
        let (timestamp, nonce) = (text(vector, "timestamp"), text(vector, "nonce"));
        assert_eq!(
            token.sign(timestamp, nonce),
            text(vector, "signature"),
            "{}",
            vector["id"]
        );
        assert!(token.verify(timestamp, nonce, text(vector, "signature")));
        assert!(!token.verify(timestamp, nonce, &text(vector, "signature").to_uppercase()));
        assert!(!token.verify(timestamp, nonce, ""));
    }
    // Beside a published vector stands one that must fail.
    assert!(!PushToken::parse("test").unwrap().verify(
        "1410685589",
        "test",
        "f21891de399b4e33a1a93c9a7b8a8fffb5a443fe"
    ));
}

#[test]
fn keys_whose_last_bits_are_not_zero() {
    for vector in of_kind("encoding_aes_key_decode") {
        let key = key(text(vector, "encodingAESKey"));
        assert_eq!(
            base16ct::lower::encode_string(key.bytes()),
            text(vector, "aes_key_hex"),
            "{}",
            vector["id"]
        );
        assert_eq!(base16ct::lower::encode_string(key.iv()), text(vector, "iv_hex"));
        assert_eq!(key.expose(), text(vector, "encodingAESKey"));
    }
}

#[test]
fn pushes_open_and_are_sealed_to_the_same_text() {
    for vector in of_kind("push_decrypt") {
        let id = text(vector, "id");
        let (keys, encrypt, appid) = (keys(vector), text(vector, "Encrypt"), text(vector, "appid"));
        let message = envelope::open(&keys, encrypt, appid).unwrap();
        assert_eq!(
            std::str::from_utf8(&message).unwrap(),
            text(vector, "plaintext"),
            "{id}"
        );
        assert_eq!(
            envelope::seal(&keys[0], random(vector), &message, appid),
            encrypt,
            "{id}"
        );
        if vector["msg_signature"].is_string() {
            let token = PushToken::parse(text(vector, "token")).unwrap();
            let (timestamp, nonce) = (text(vector, "timestamp"), text(vector, "nonce"));
            let signature = text(vector, "msg_signature");
            assert!(token.verify_message(timestamp, nonce, encrypt, signature), "{id}");
            assert!(
                !token.verify_message(timestamp, &format!("{nonce}0"), encrypt, signature),
                "{id}"
            );
        }
    }
}

#[test]
fn pushes_come_through_the_door() {
    let mut through = 0;
    for vector in of_kind("push_decrypt") {
        let (Ok(format), true) = (
            text(vector, "format").parse(),
            vector["msg_signature"].is_string(),
        ) else {
            continue;
        };
        let mode: Mode = text(vector, "mode").parse().unwrap();
        let settings = ConsoleSettings::new(
            text(vector, "appid"),
            PushToken::parse(text(vector, "token")).unwrap(),
            mode,
            format,
            keys(vector),
        );
        let body = match (format, &vector["envelope"]) {
            (Format::Json, envelope) => {
                let to_user = envelope["ToUserName"].as_str().unwrap();
                format!(
                    r#"{{"ToUserName":"{to_user}","Encrypt":"{}"}}"#,
                    text(vector, "Encrypt")
                )
            }
            (Format::Xml, Value::String(envelope)) => {
                let (before, after) = envelope
                    .split_once("<![CDATA[...]]>")
                    .unwrap_or_else(|| panic!("{envelope}"));
                format!("{before}<![CDATA[{}]]>{after}", text(vector, "Encrypt"))
            }
            (Format::Xml, _) => format!("<xml><Encrypt>{}</Encrypt></xml>", text(vector, "Encrypt")),
        };
        let query = PushQuery::parse(&format!(
            "timestamp={}&nonce={}&openid=x&encrypt_type=aes&msg_signature={}",
            text(vector, "timestamp"),
            text(vector, "nonce"),
            text(vector, "msg_signature")
        ))
        .unwrap();
        let now = Timestamp::from_secs(text(vector, "timestamp").parse().unwrap());
        let packet = Receiver::new(settings)
            .unwrap()
            .receive(&query, body.as_bytes(), now)
            .unwrap();
        let expected = Packet::parse(
            text(vector, "appid"),
            format,
            text(vector, "plaintext").as_bytes(),
        )
        .unwrap();
        assert_eq!(packet, expected);
        assert!(!packet.msg_type().is_empty() && !packet.from_user().is_empty());
        through += 1;
    }
    assert_eq!(through, 5);
}

#[test]
fn replies_are_the_published_ones() {
    for vector in of_kind("reply_encrypt") {
        let (key, appid) = (&keys(vector)[0], text(vector, "appid"));
        let encrypt = envelope::seal(key, random(vector), text(vector, "plaintext").as_bytes(), appid);
        assert_eq!(encrypt, text(vector, "Encrypt"), "{}", vector["id"]);
    }
    let vector = of_kind("reply_encrypt")
        .into_iter()
        .find(|vector| vector["id"] == "official-mp-reply-json")
        .unwrap();
    let settings = ConsoleSettings::new(
        text(vector, "appid"),
        token(),
        Mode::Secure,
        Format::Json,
        keys(vector),
    );
    let reply = PushReply::Object(text(vector, "plaintext").to_owned());
    let query = PushQuery {
        nonce: Some(text(vector, "Nonce").to_owned()),
        ..PushQuery::default()
    };
    let now = Timestamp::from_secs(vector["TimeStamp"].as_u64().unwrap());
    let answer = |format| {
        let receiver = Receiver::new(ConsoleSettings {
            format,
            ..settings.clone()
        })
        .unwrap();
        receiver.answer(&reply, &query, now, random(vector)).unwrap()
    };
    let (encrypt, signature) = (text(vector, "Encrypt"), text(vector, "MsgSignature"));
    assert_eq!(
        answer(Format::Json),
        PushReplyBody {
            content_type: "application/json",
            text: format!(
                r#"{{"Encrypt":"{encrypt}","MsgSignature":"{signature}","TimeStamp":1713424427,"Nonce":"415670741"}}"#
            ),
        }
    );
    // The template of the document; what is encrypted there is XML, so it is not the published ciphertext.
    let answer = answer(Format::Xml);
    assert_eq!(answer.content_type, "text/xml");
    let parts: Vec<&str> = answer
        .text
        .split(['<', '>'])
        .filter(|part| !part.is_empty())
        .collect();
    assert_eq!(
        [&parts[..2], &parts[3..5], &parts[6..]].concat(),
        [
            "xml",
            "Encrypt",
            "/Encrypt",
            "MsgSignature",
            "/MsgSignature",
            "TimeStamp",
            "1713424427",
            "/TimeStamp",
            "Nonce",
            "![CDATA[415670741]]",
            "/Nonce",
            "/xml"
        ]
    );
    let sender = Sender::new(ConsoleSettings {
        format: Format::Xml,
        ..settings.clone()
    })
    .unwrap();
    assert_eq!(sender.read_reply(answer.text.as_bytes()).unwrap(), reply);
}

#[test]
fn derived_ones_go_both_ways() {
    for vector in of_kind("derived_roundtrip") {
        let (keys, appid) = (keys(vector), text(vector, "appid"));
        let (plain, encrypt) = (text(vector, "plaintext"), text(vector, "Encrypt"));
        assert_eq!(
            envelope::seal(&keys[0], random(vector), plain.as_bytes(), appid),
            encrypt
        );
        assert_eq!(envelope::open(&keys, encrypt, appid).unwrap(), plain.as_bytes());
        let token = PushToken::parse(text(vector, "token")).unwrap();
        let (timestamp, nonce) = (text(vector, "timestamp"), text(vector, "nonce"));
        assert_eq!(token.sign(timestamp, nonce), text(vector, "signature"));
        assert_eq!(
            token.sign_message(timestamp, nonce, encrypt),
            text(vector, "msg_signature")
        );
    }
}

#[test]
fn negative_ones_fail_with_their_numbers() {
    for vector in of_kind("negative") {
        let code = match EncodingAesKey::parse(text(vector, "encodingAESKey")) {
            Err(error) => error.code(),
            Ok(key) => {
                let token = PushToken::parse(text(vector, "token")).unwrap();
                let settings = ConsoleSettings::new(
                    text(vector, "appid"),
                    token,
                    Mode::Secure,
                    Format::Json,
                    vec![key],
                );
                let query = PushQuery {
                    timestamp: Some(text(vector, "timestamp").to_owned()),
                    nonce: Some(text(vector, "nonce").to_owned()),
                    msg_signature: Some(text(vector, "msg_signature").to_owned()),
                    ..PushQuery::default()
                };
                let body = format!(
                    r#"{{"ToUserName":"gh_1","Encrypt":"{}"}}"#,
                    text(vector, "Encrypt")
                );
                let refusal = Receiver::new(settings)
                    .unwrap()
                    .receive(&query, body.as_bytes(), NOW);
                refusal.unwrap_err().code()
            }
        };
        assert_eq!(code, vector["expected_error_code"], "{}", vector["id"]);
        assert!(codes::text(code).is_some());
    }
}
