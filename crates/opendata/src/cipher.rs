//! AES-128-CBC with PKCS#7 padding, key and iv in base64: how WeChat wraps what it says about a user ("开放数据校验与解密").
//!
//! CBC hides and does not authenticate: who alters the ciphertext alters the text, without knowing it. So nothing is
//! believed until [`DecryptedText::into_plaintext`](DecryptedText::into_plaintext) has checked all of it.

use aes::{Aes128Dec, Aes128Enc};
use cbc::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _, block_padding::Pkcs7};

use crate::{DecryptError, Field, SessionKey, base64};

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

/// Opens what a client handed over. Fails unless the key, the iv and the padding fit and text comes out; whether the
/// text is to be believed is another question, which [`DecryptedText::into_plaintext`] answers.
pub fn decrypt(key: &SessionKey, encrypted_data: &str, iv: &str) -> Result<DecryptedText, DecryptError> {
    let iv = base64::decode(iv).map_err(|damage| DecryptError::NotBase64 {
        field: Field::Iv,
        damage,
    })?;
    let iv = <[u8; 16]>::try_from(iv.as_slice()).map_err(|_| DecryptError::IvLength(iv.len()))?;
    let mut bytes = base64::decode(encrypted_data).map_err(|damage| DecryptError::NotBase64 {
        field: Field::EncryptedData,
        damage,
    })?;
    if bytes.is_empty() || !bytes.len().is_multiple_of(16) {
        return Err(DecryptError::CiphertextLength(bytes.len()));
    }
    let length = cbc::Decryptor::<Aes128Dec>::new(key.bytes().into(), &iv.into())
        .decrypt_padded::<Pkcs7>(&mut bytes)
        .map_err(|_| DecryptError::BadPadding)?
        .len();
    bytes.truncate(length);
    String::from_utf8(bytes).map(DecryptedText).map_err(|error| {
        if is_text_after_first_block(error.as_bytes()) {
            DecryptError::WrongIv
        } else {
            DecryptError::NotUtf8
        }
    })
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
