//! The published vectors and examples, and what a hostile or unlucky sender may send.

#![allow(clippy::unwrap_used, clippy::panic)]

mod door;
mod golden;
mod packets;
mod replies;
mod routes;
mod vectors;
mod xml;

use clock::Timestamp;

use crate::*;

const APPID: &str = "wxba5fad812f8e6fb9";
const NOW: Timestamp = Timestamp::from_secs(1_714_112_445);
const NONCE: &str = "415670741";
const OLD_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const NEW_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

fn token() -> PushToken {
    PushToken::parse("AAAAA").unwrap()
}

fn key(text: &str) -> EncodingAesKey {
    EncodingAesKey::parse(text).unwrap()
}

fn settings(mode: Mode, format: Format) -> ConsoleSettings {
    ConsoleSettings::new(APPID, token(), mode, format, vec![key(NEW_KEY)])
}

fn receiver(mode: Mode, format: Format) -> Receiver {
    Receiver::new(settings(mode, format)).unwrap()
}

fn sender(mode: Mode, format: Format) -> Sender {
    Sender::new(settings(mode, format)).unwrap()
}

fn packet(json: &str) -> Packet {
    Packet::parse(APPID, Format::Json, json.as_bytes()).unwrap()
}

const MODES: [Mode; 3] = [Mode::Plain, Mode::Compatible, Mode::Secure];
const FORMATS: [Format; 2] = [Format::Json, Format::Xml];

/// WeChat's example of a text message ("接收消息和事件").
const TEXT: &str = r#"{"ToUserName":"toUser","FromUserName":"fromUser","CreateTime":1482048670,"MsgType":"text","Content":"this is a test","MsgId":1234567890123456}"#;
