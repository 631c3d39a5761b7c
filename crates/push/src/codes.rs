//! The number space -400xx of the official message crypt sample (WXBizMsgCrypt), each number once, with its text.
//!
//! It is whole, though not every number can come up here: a hash does not fail, nor does writing base64.

/// `-40001` (`ValidateSignature`): the signature is missing, is of another moment, or is not that of the request.
pub const BAD_SIGNATURE: i32 = -40001;
/// `-40002` (`ParseXml`): the body, or what was decrypted, cannot be read. The sample knows XML only; JSON counts as well here.
pub const UNREADABLE: i32 = -40002;
/// `-40003` (`ComputeSignature`): no signature could be computed.
pub const SIGNATURE_NOT_COMPUTED: i32 = -40003;
/// `-40004` (`IllegalAesKey`): the EncodingAESKey is invalid.
pub const ILLEGAL_AES_KEY: i32 = -40004;
/// `-40005` (`ValidateAppid`): the message was encrypted for another app.
pub const OTHER_APPID: i32 = -40005;
/// `-40006` (`EncryptAES`): encryption failed.
pub const NOT_ENCRYPTED: i32 = -40006;
/// `-40007` (`DecryptAES`): decryption failed.
pub const NOT_DECRYPTED: i32 = -40007;
/// `-40008` (`IllegalBuffer`): what was decrypted is not a message with its length and appid.
pub const ILLEGAL_BUFFER: i32 = -40008;
/// `-40009` (`EncodeBase64`): base64 could not be written.
pub const BASE64_NOT_WRITTEN: i32 = -40009;
/// `-40010` (`DecodeBase64`): `Encrypt` is not base64.
pub const NOT_BASE64: i32 = -40010;
/// `-40011` (`GenReturnXml`): the reply could not be written.
pub const NOT_WRITTEN: i32 = -40011;

const TABLE: [(i32, &str); 11] = [
    (BAD_SIGNATURE, "signature verification failed"),
    (UNREADABLE, "the message cannot be parsed"),
    (SIGNATURE_NOT_COMPUTED, "sha1 signature computation failed"),
    (ILLEGAL_AES_KEY, "illegal EncodingAESKey"),
    (OTHER_APPID, "appid verification failed"),
    (NOT_ENCRYPTED, "AES encryption failed"),
    (NOT_DECRYPTED, "AES decryption failed"),
    (ILLEGAL_BUFFER, "illegal buffer after decryption"),
    (BASE64_NOT_WRITTEN, "base64 encoding failed"),
    (NOT_BASE64, "base64 decoding failed"),
    (NOT_WRITTEN, "the reply cannot be written"),
];

/// The text of a code, if it belongs to this space.
#[must_use]
pub fn text(code: i32) -> Option<&'static str> {
    TABLE.iter().find(|row| row.0 == code).map(|row| row.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_space_is_whole_and_each_number_stands_once() {
        let numbers: Vec<i32> = TABLE.iter().map(|row| row.0).collect();
        assert_eq!(numbers, (1..=11).map(|nth| -40000 - nth).collect::<Vec<_>>());
        assert_eq!(text(OTHER_APPID), Some("appid verification failed"));
        assert_eq!((text(0), text(-40012)), (None, None));
    }
}
