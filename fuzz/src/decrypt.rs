//! What a client hands over, twice: as bytes (an iv and a ciphertext), and as the text of the two fields.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use clock::Timestamp;
use opendata::{DecryptError, Policy, SessionKey, decrypt};

use crate::plaintext::{APPID, MADE, believable};

pub(crate) fn target(data: &[u8]) {
    let (iv, ciphertext) = data.split_at(data.len().min(16));
    let (iv, ciphertext) = (BASE64_STANDARD.encode(iv), BASE64_STANDARD.encode(ciphertext));
    let judged = judge(&ciphertext, &iv);
    // The same bytes in lines of seven are the same data.
    let lines = |text: &str| {
        text.as_bytes()
            .chunks(7)
            .map(String::from_utf8_lossy)
            .collect::<Vec<_>>()
            .join("\r\n ")
    };
    assert_eq!(judge(&lines(&ciphertext), &lines(&iv)), judged);

    if let Ok(text) = std::str::from_utf8(data) {
        let (iv, encrypted_data) = text.split_once('\n').unwrap_or((text, ""));
        // Whatever it says, it must answer.
        let _ = judge(encrypted_data, iv);
    }
}

fn judge(encrypted_data: &str, iv: &str) -> Result<String, DecryptError> {
    let now = Timestamp::from_secs(MADE);
    let key = SessionKey::from_bytes(*b"0123456789abcdef");
    let result =
        decrypt(&key, encrypted_data, iv).and_then(|text| text.into_plaintext(&Policy::new(APPID), now));
    match &result {
        Ok(plaintext) => assert_ne!(believable(plaintext.as_json()), Some(false)),
        Err(error) => {
            assert!(matches!(error.code(), -41002 | -41003), "{error}");
            assert!(!error.to_string().is_empty());
        }
    }
    result.map(|plaintext| plaintext.as_json().to_owned())
}
