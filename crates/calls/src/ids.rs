//! Random names: the `requestID` of a reply and the `WX_API_TOKEN` of a call.

use base16ct::lower::encode_string;
use rand::RngExt;

/// A fresh UUID (version 4), as WeChat's request ids are.
#[must_use]
pub fn request_id() -> String {
    let mut bytes: [u8; 16] = rand::rng().random();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = encode_string(&bytes);
    for hyphen in [8, 13, 18, 23] {
        text.insert(hyphen, '-');
    }
    text
}

/// 128 random bits: the credential of one call, worthless once the call has ended.
#[must_use]
pub fn api_token() -> String {
    let bytes: [u8; 16] = rand::rng().random();
    encode_string(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_a_version_4_uuid_and_never_the_same() {
        let (one, two) = (request_id(), request_id());
        assert_ne!(one, two);
        assert_eq!(one.len(), 36);
        assert_eq!(one.as_bytes()[14], b'4');
        assert!(matches!(one.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
        assert_eq!(one.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    }

    #[test]
    fn an_api_token_has_128_bits() {
        assert_eq!(api_token().len(), 32);
        assert_ne!(api_token(), api_token());
    }
}
