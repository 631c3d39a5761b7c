//! AES-128-CBC with PKCS#7 padding, key and iv in base64: how WeChat wraps what it says about a user ("开放数据校验与解密").
//!
//! CBC hides and does not authenticate: who alters the ciphertext alters the text, without knowing it. So nothing is
//! believed until [`DecryptedText::into_plaintext`](DecryptedText::into_plaintext) has checked all of it.

use aes::{Aes128Dec, Aes128Enc};
use cbc::cipher::{
    BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _,
    block_padding::{NoPadding, Pkcs7},
};

use crate::{Damage, DecryptError, EncryptedField, SessionKey, base64};

/// What a client API hands to the page: both fields base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptedData {
    /// `encryptedData`
    pub encrypted_data: String,
    /// `iv`
    pub iv: String,
}

/// Wraps `plain` as WeChat does. An iv must be random and never used again with this key.
#[must_use]
pub fn encrypt(key: &SessionKey, iv: [u8; 16], plain: &[u8]) -> EncryptedData {
    let ciphertext =
        cbc::Encryptor::<Aes128Enc>::new(key.bytes().into(), &iv.into()).encrypt_padded_vec::<Pkcs7>(plain);
    EncryptedData {
        encrypted_data: base64::encode(&ciphertext),
        iv: base64::encode(&iv),
    }
}

/// Opens what a client handed over. Whether the text is to be believed is another question, which
/// [`DecryptedText::into_plaintext`] answers.
///
/// # Errors
/// The key, the iv or the padding does not fit, or what comes out is no text. What went wrong on the way to the server is told
/// apart as far as it can be.
pub fn decrypt(key: &SessionKey, encrypted_data: &str, iv: &str) -> Result<DecryptedText, DecryptError> {
    let iv = base64::decode(iv).map_err(|damage| DecryptError::NotBase64 {
        field: EncryptedField::Iv,
        damage,
    })?;
    let iv = <[u8; 16]>::try_from(iv.as_slice()).map_err(|_| {
        let is_other = |bytes: Vec<u8>| bytes.len() == 16 && iv.len() > 16 && iv.len().is_multiple_of(16);
        match base64::decode(encrypted_data).is_ok_and(is_other) {
            true => DecryptError::FieldsSwapped,
            false => DecryptError::IvLength(iv.len()),
        }
    })?;
    let cut_or = |bytes: &[u8], otherwise: DecryptError| {
        let blocks = &bytes[..bytes.len() / 16 * 16];
        match begins_like_json(&open(key.bytes(), &iv, blocks)) {
            true => DecryptError::Cut(blocks.len()),
            false => otherwise,
        }
    };
    let mut bytes = base64::decode(encrypted_data).map_err(|damage| {
        let not_base64 = DecryptError::NotBase64 {
            field: EncryptedField::EncryptedData,
            damage,
        };
        // A text that was cut need not end with a whole group of four characters.
        let groups = encrypted_data.get(..encrypted_data.len() / 4 * 4);
        let groups = groups.filter(|_| damage == Damage::Other);
        let kept = groups.and_then(|groups| base64::decode(groups).ok());
        cut_or(&kept.unwrap_or_default(), not_base64)
    })?;
    if bytes.is_empty() || !bytes.len().is_multiple_of(16) {
        return Err(cut_or(&bytes, DecryptError::CiphertextLength(bytes.len())));
    }
    let wrong_key = |otherwise: DecryptError| {
        let bytes = base64::decode(encrypted_data).unwrap_or_default();
        if begins_like_json(&open(&iv, key.bytes(), &bytes)) {
            DecryptError::KeyAndIvSwapped
        } else {
            cut_or(&bytes, otherwise)
        }
    };
    let length = cbc::Decryptor::<Aes128Dec>::new(key.bytes().into(), &iv.into())
        .decrypt_padded::<Pkcs7>(&mut bytes)
        .map_err(|_| wrong_key(DecryptError::BadPadding))?
        .len();
    bytes.truncate(length);
    String::from_utf8(bytes).map(DecryptedText).map_err(|error| {
        if is_text_after_first_block(error.as_bytes()) {
            DecryptError::WrongIv
        } else {
            wrong_key(DecryptError::NotUtf8)
        }
    })
}

/// Whole blocks under a key and an iv, their padding left as it is.
fn open(key: &[u8; 16], iv: &[u8; 16], blocks: &[u8]) -> Vec<u8> {
    let mut bytes = blocks.to_vec();
    let opened = cbc::Decryptor::<Aes128Dec>::new(key.into(), iv.into())
        .decrypt_padded::<NoPadding>(&mut bytes)
        .is_ok();
    if opened { bytes } else { Vec::new() }
}

/// Whether this is the beginning of an object, perhaps cut within a character. Noise hardly ever is.
fn begins_like_json(bytes: &[u8]) -> bool {
    let is_text = std::str::from_utf8(bytes).map_or_else(|error| error.error_len().is_none(), |_| true);
    bytes.first() == Some(&b'{') && is_text
}

/// In CBC the iv touches the first block only. Under a wrong key all is noise, and 16 bytes of noise are hardly ever UTF-8.
fn is_text_after_first_block(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.get(16..) else { return false };
    // A character may reach over the edge of the block.
    let start = rest
        .iter()
        .take(3)
        .take_while(|&&byte| byte & 0xc0 == 0x80)
        .count();
    rest.len() >= 16 && std::str::from_utf8(&rest[start..]).is_ok()
}

/// Text that came out of [`decrypt`], its bytes as they were. Nothing of it has been checked but that it is UTF-8.
///
/// Most open data is a JSON object with a watermark. `wx.authPrivateMessage` gives a bare string such as `1151_…`
/// (the activityId) with neither; there is nothing more to check about that, so it stays what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecryptedText(pub(crate) String);

impl DecryptedText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
