//! The Token of the console's push settings, and the two signatures that are made with it.
//!
//! Both are the SHA-1, in lowercase hexadecimal, of several texts sorted by their bytes and joined without a separator
//! (WeChat's document "消息推送"). So the signature does not cover where one text ends and the next begins; therefore the
//! timestamp must also be checked to be a number close to the present.

use std::fmt;

use sha1::{Digest as _, Sha1};
use subtle::ConstantTimeEq as _;
use wording::{Wording, wording};
use zeroize::Zeroizing;

/// What WeChat and a server share in order to know each other's pushes. Redacted in `Debug`, wiped when dropped, compared in
/// constant time.
#[derive(Clone)]
pub struct PushToken(Zeroizing<String>);

impl PushToken {
    /// Reads a Token as the console takes it: 3 to 32 letters and digits.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        if !(3..=32).contains(&text.len()) {
            return Err(TokenError::Length(text.chars().count()));
        }
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(TokenError::Character);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The text: for a console or a store, never for a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The `signature` in the URL of a verification or a push: of Token, timestamp and nonce. It says nothing about the body.
    #[must_use]
    pub fn sign(&self, timestamp: &str, nonce: &str) -> String {
        hash([self.0.as_str(), timestamp, nonce])
    }

    /// Whether `signature` is the one of these. In constant time.
    #[must_use]
    pub fn verify(&self, timestamp: &str, nonce: &str, signature: &str) -> bool {
        same(&self.sign(timestamp, nonce), signature)
    }

    /// The `msg_signature` in the URL of an encrypted push, or the `MsgSignature` in an encrypted reply: `encrypt` is signed too.
    #[must_use]
    pub fn sign_message(&self, timestamp: &str, nonce: &str, encrypt: &str) -> String {
        hash([self.0.as_str(), timestamp, nonce, encrypt])
    }

    /// Whether `signature` is the message signature of these. In constant time.
    #[must_use]
    pub fn verify_message(&self, timestamp: &str, nonce: &str, encrypt: &str, signature: &str) -> bool {
        same(&self.sign_message(timestamp, nonce, encrypt), signature)
    }
}

impl PartialEq for PushToken {
    fn eq(&self, other: &Self) -> bool {
        same(&self.0, &other.0)
    }
}

impl Eq for PushToken {}

impl fmt::Debug for PushToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Why a text is no Token. It never quotes the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// So many characters.
    Length(usize),
    /// Another character.
    Character,
}

impl TokenError {
    /// What is wrong and the mend.
    #[must_use]
    pub fn wording(&self) -> Wording {
        match self {
            Self::Length(count) => wording!(
                "a Token is 3 to 32 letters and digits, and this is {count} characters: copy it from the console's push settings (消息推送配置)",
                "Token 是 3 到 32 位字母和数字，而这里有 {count} 个字符：请从控制台的消息推送配置里复制"
            ),
            Self::Character => wording!(
                "a Token is 3 to 32 letters and digits, and this has another character (a blank, perhaps): copy it from the console's push settings (消息推送配置)",
                "Token 是 3 到 32 位字母和数字，而这里有别的字符（也许是空格）：请从控制台的消息推送配置里复制"
            ),
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wording().fmt(f)
    }
}

impl std::error::Error for TokenError {}

fn hash<const N: usize>(mut parts: [&str; N]) -> String {
    parts.sort_unstable();
    let mut sha1 = Sha1::new();
    parts.iter().for_each(|part| sha1.update(part));
    base16ct::lower::encode_string(&sha1.finalize())
}

/// Compares without telling by the time taken how far the two agree.
fn same(ours: &str, theirs: &str) -> bool {
    ours.as_bytes().ct_eq(theirs.as_bytes()).into()
}
