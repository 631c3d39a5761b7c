//! XML as a packet: what is read is JSON, to another reader too, and written again it says the same.

use clock::Timestamp;
use push::{ConsoleSettings, Format, FormatError, Mode, Packet, PushToken, Sender, WriteError, XmlReason};
use serde_json::{Map, Value};

pub(crate) fn target(data: &[u8]) {
    let packet = match Packet::parse("wx1", Format::Xml, data) {
        Ok(packet) => packet,
        Err(error) => {
            assert!(error.to_string().len() < 1000, "{error}");
            if let FormatError::Xml(error) = error {
                assert!(error.offset <= data.len() || error.reason == XmlReason::UnexpectedEnd);
            }
            return;
        }
    };
    let text = String::from_utf8_lossy(data);
    assert!(!text.contains("<!DOCTYPE") || text.contains("<![CDATA["));
    let read = object(packet.as_json());

    let Ok(token) = PushToken::parse("AAAAA") else {
        unreachable!("letters")
    };
    let Ok(sender) = Sender::new(ConsoleSettings::new(
        "wx1",
        token,
        Mode::Plain,
        Format::Xml,
        Vec::new(),
    )) else {
        unreachable!("plain mode needs no key")
    };
    match sender.push(packet.as_json(), Timestamp::from_secs(1), "1", [0; 16]) {
        Ok(request) => {
            // Escapes may make it longer than is read.
            if request.body.len() <= push::MAX_BODY {
                let Ok(again) = Packet::parse("wx1", Format::Xml, request.body.as_bytes()) else {
                    panic!("{} became {}", packet.as_json(), request.body)
                };
                assert_eq!(object(again.as_json()), read);
            }
        }
        // One level more, where an event's own element was missing.
        Err(error) => assert_eq!(error, WriteError::Deep),
    }
}

fn object(json: &str) -> Map<String, Value> {
    match serde_json::from_str(json) {
        Ok(object) => object,
        Err(error) => panic!("{error}: {json}"),
    }
}
