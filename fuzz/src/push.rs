//! A push, three ways: the bytes as query and body, as the message within the envelope, and as an `Encrypt` that was signed
//! all the same.
//!
//! The first byte says which mode and format; the next three what to alter. The rest is a line with the query, and the body.

use clock::Timestamp;
use push::{
    ConsoleSettings, EncodingAesKey, Format, Mode, Packet, PushQuery, PushRefusal, PushToken, Receiver,
    Sender, WriteError, envelope,
};
use serde_json::{Map, Value};

const APPID: &str = "wxba5fad812f8e6fb9";
const NOW: Timestamp = Timestamp::from_secs(1_714_112_445);
const NONCE: &str = "415670741";
const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

pub(crate) fn target(data: &[u8]) {
    let Some((&[how, at_high, at_low, mask], rest)) = data.split_first_chunk() else {
        return;
    };
    let mode = [Mode::Plain, Mode::Compatible, Mode::Secure][usize::from(how % 3)];
    let format = if how & 0x80 == 0 {
        Format::Json
    } else {
        Format::Xml
    };
    let (Ok(token), Ok(key)) = (PushToken::parse("AAAAA"), EncodingAesKey::parse(KEY)) else {
        unreachable!("both are of the documented form")
    };
    let settings = ConsoleSettings::new(APPID, token.clone(), mode, format, vec![key.clone()]);
    let (Ok(receiver), Ok(sender)) = (Receiver::new(settings.clone()), Sender::new(settings)) else {
        unreachable!("there is a key")
    };
    let receive = |query: &PushQuery, body: &[u8]| judged(receiver.receive(query, body, NOW));

    // Raw.
    let end = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
    let (line, body) = (&rest[..end], rest.get(end + 1..).unwrap_or_default());
    if let Ok(query) = PushQuery::parse(&String::from_utf8_lossy(line)) {
        let _ = receive(&query, body);
        let _ = receiver.verify_url(&query, NOW);
    }
    let _ = sender.read_reply(body);

    // As a message, under every signature.
    let timestamp = NOW.secs().to_string();
    let signed = |encrypt: &str| PushQuery {
        signature: Some(token.sign(&timestamp, NONCE)),
        msg_signature: (mode != Mode::Plain).then(|| token.sign_message(&timestamp, NONCE, encrypt)),
        timestamp: Some(timestamp.clone()),
        nonce: Some(NONCE.to_owned()),
        ..PushQuery::default()
    };
    let plain = Packet::parse(APPID, format, body);
    let sealed = envelope::seal(&key, [mask; 16], body, APPID);
    if mode != Mode::Plain && sealed.len() < push::MAX_BODY / 2 {
        let received = receive(&signed(&sealed), wrapped(format, &sealed).as_bytes());
        assert_eq!(received.as_ref().ok(), plain.as_ref().ok());

        // Altered: as it is, it is refused; signed again, it is another message or none.
        let mut altered = sealed.clone().into_bytes();
        let at = usize::from(u16::from_be_bytes([at_high, at_low])) % altered.len();
        altered[at] = 32 + (altered[at] ^ mask) % 95;
        let altered = String::from_utf8_lossy(&altered).into_owned();
        if altered != sealed && !altered.contains(['"', '\\', '<', '&']) {
            let body = wrapped(format, &altered);
            assert_eq!(
                receive(&signed(&sealed), body.as_bytes()),
                Err(PushRefusal::BadMessageSignature)
            );
            let _ = receive(&signed(&altered), body.as_bytes());
        }
    }

    // What we send of it arrives.
    let Ok(packet) = plain else { return };
    match sender.push(packet.as_json(), NOW, NONCE, [mask; 16]) {
        Ok(request) => {
            let Ok(query) = PushQuery::parse(&request.query) else {
                unreachable!("no name stands there twice")
            };
            match receive(&query, request.body.as_bytes()) {
                Ok(received) => assert_eq!(object(received.as_json()), object(packet.as_json())),
                // A packet that says of itself that it is encrypted.
                Err(PushRefusal::Encrypted) => assert!(packet.as_json().contains("ncrypt")),
                Err(refusal) => assert!(
                    format == Format::Json || request.body.len() > push::MAX_BODY,
                    "{refusal}"
                ),
            }
        }
        Err(error) => assert!(!matches!(error, WriteError::NotAnObject(_) | WriteError::NoKey)),
    }
}

/// Whatever is refused is refused with a number and a text; whatever is believed is JSON.
fn judged(result: Result<Packet, PushRefusal>) -> Result<Packet, PushRefusal> {
    match &result {
        Ok(packet) => {
            assert!(json::Object::parse(packet.as_json().as_bytes()).is_ok());
            assert!(!packet.key().to_string().is_empty());
        }
        Err(refusal) => {
            assert!(push::codes::text(refusal.code()).is_some());
            assert!(refusal.to_string().len() < 1000, "{refusal}");
        }
    }
    result
}

fn wrapped(format: Format, encrypt: &str) -> String {
    match format {
        Format::Json => format!(r#"{{"ToUserName":"gh_1","Encrypt":"{encrypt}"}}"#),
        Format::Xml => {
            format!("<xml><ToUserName>gh_1</ToUserName><Encrypt><![CDATA[{encrypt}]]></Encrypt></xml>")
        }
    }
}

/// In whatever order. That reader gives up on some JSON: 128 levels, numbers beyond `f64`, lone surrogates.
fn object(json: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(json).ok()
}
