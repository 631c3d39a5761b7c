//! The published vectors and examples, and what a hostile or unlucky sender may send.

#![allow(clippy::unwrap_used, clippy::panic)]

mod vectors;

use clock::Timestamp;

use crate::*;

const NOW: Timestamp = Timestamp::from_secs(1_714_112_445);

fn token() -> Token {
    Token::parse("AAAAA").unwrap()
}

fn key(text: &str) -> EncodingAesKey {
    EncodingAesKey::parse(text).unwrap()
}
