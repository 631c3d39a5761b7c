//! The EncodingAESKey of the console's push settings.

use std::fmt;

use base64::{
    Engine as _, alphabet,
    engine::{GeneralPurpose, GeneralPurposeConfig, general_purpose::NO_PAD},
};
use subtle::ConstantTimeEq as _;
use wording::{Wording, wording};
use zeroize::Zeroizing;

/// 43 characters are 258 bits, two more than the key has. The console draws each character at random, so the two are often not
/// zero, which a strict decoder refuses; they are ignored, as the official sample does.
const KEY: GeneralPurpose = {
    const CONFIG: GeneralPurposeConfig = NO_PAD.with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&alphabet::STANDARD, CONFIG)
};

/// The key of the AES envelope: 43 letters and digits that stand for 32 bytes. Redacted in `Debug`, wiped when dropped, compared
/// in constant time by the bytes (two texts may stand for the same ones).
#[derive(Clone)]
pub struct EncodingAesKey {
    bytes: Zeroizing<[u8; 32]>,
    text: Zeroizing<String>,
}

impl EncodingAesKey {
    /// Reads a key as the console shows it.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if text.len() == 44 && text.ends_with('=') {
            return Err(KeyError::Padded);
        }
        if text.chars().count() != 43 {
            return Err(KeyError::Length(text.chars().count()));
        }
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(KeyError::Character);
        }
        let mut bytes = Zeroizing::new([0; 32]);
        // Nothing is left that could fail, and the decoder's own error would quote a byte of the secret.
        KEY.decode_slice(text, bytes.as_mut())
            .map_err(|_| KeyError::Character)?;
        Ok(Self {
            bytes,
            text: Zeroizing::new(text.to_owned()),
        })
    }

    /// The text: for a console or a store, never for a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The first half of the key: the official sample's way; no document says it.
    pub(crate) fn iv(&self) -> &[u8; 16] {
        let (iv, _) = self
            .bytes
            .split_first_chunk()
            .unwrap_or_else(|| unreachable!("32 bytes"));
        iv
    }
}

impl PartialEq for EncodingAesKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes.ct_eq(&*other.bytes).into()
    }
}

impl Eq for EncodingAesKey {}

impl fmt::Debug for EncodingAesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncodingAesKey(..)")
    }
}

/// Why a text is no EncodingAESKey. It never quotes the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// The padding that the official sample adds was added already.
    Padded,
    /// So many characters.
    Length(usize),
    /// Another character.
    Character,
}

impl KeyError {
    /// What is wrong and the mend.
    #[must_use]
    pub fn wording(&self) -> Wording {
        match self {
            Self::Padded => wording!(
                "an EncodingAESKey is 43 letters and digits, without the `=` at its end: leave that out",
                "EncodingAESKey 是 43 位字母和数字，末尾没有 `=`：请去掉"
            ),
            Self::Length(count) => wording!(
                "an EncodingAESKey is 43 letters and digits, and this is {count} characters: copy it from the console's push settings (消息推送配置)",
                "EncodingAESKey 是 43 位字母和数字，而这里有 {count} 个字符：请从控制台的消息推送配置里复制"
            ),
            Self::Character => wording!(
                "an EncodingAESKey is 43 letters and digits, and this has another character: copy it from the console's push settings (消息推送配置)",
                "EncodingAESKey 是 43 位字母和数字，而这里有别的字符：请从控制台的消息推送配置里复制"
            ),
        }
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wording().fmt(f)
    }
}

impl std::error::Error for KeyError {}

impl KeyError {
    /// The official sample's number.
    #[must_use]
    pub fn code(&self) -> i32 {
        crate::codes::ILLEGAL_AES_KEY
    }
}
