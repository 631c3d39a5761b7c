//! What may stand in data that does decrypt, whoever got it encrypted: which of it is believed is judged a second time
//! with `serde_json`.

use clock::Timestamp;
use opendata::{DecryptError, Policy, SessionKey, decrypt, encrypt};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

pub(crate) const APPID: &str = "wx4f4bc4dec97d474b";
/// When the official sample's data was made.
pub(crate) const MADE: u64 = 1_477_314_187;

pub(crate) fn target(data: &[u8]) {
    let key = SessionKey::from_bytes(*b"0123456789abcdef");
    let sent = encrypt(&key, [7; 16], data);
    let opened = decrypt(&key, &sent.encrypted_data, &sent.iv);
    let text = std::str::from_utf8(data).ok();
    assert_eq!(opened.as_ref().ok().map(|opened| opened.as_str()), text);
    let (Ok(opened), Some(text)) = (opened, text) else {
        return;
    };

    // A control character that a user typed is escaped, as JSON demands.
    let escaped = json::escape_controls(text.as_bytes());
    let text = std::str::from_utf8(&escaped).unwrap_or(text);
    match opened.into_plaintext(&Policy::new(APPID), Timestamp::from_secs(MADE)) {
        Ok(plaintext) => {
            assert_eq!(plaintext.as_json(), text);
            assert_ne!(believable(text), Some(false));
        }
        // Ours refuses a watermark that stands there twice; theirs keeps the last one.
        Err(DecryptError::MalformedWatermark) => {}
        Err(error) => assert_ne!(believable(text), Some(true), "{error}"),
    }
}

/// Whether it is an object of this appid and moment, by another reader's lights. That reader gives up on some JSON: 128
/// levels, numbers beyond `f64`, lone surrogates.
pub(crate) fn believable(text: &str) -> Option<bool> {
    match serde_json::from_str::<Map<String, Value>>(text) {
        Ok(object) => {
            let watermark = &object.get("watermark").cloned().unwrap_or_default();
            let made = watermark["timestamp"].as_u64();
            Some(
                watermark["appid"] == APPID
                    && made.is_some_and(|made| made <= MADE + 60 && MADE <= made.saturating_add(300)),
            )
        }
        Err(_) if serde_json::from_str::<IgnoredAny>(text).is_ok() && text.trim_start().starts_with('{') => {
            None
        }
        Err(_) => Some(false),
    }
}
