//! The simulator's dice: bytes of the operating system, and the alphabets that WeChat writes its ids in.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// `N` random bytes.
///
/// # Panics
/// If the operating system has no randomness to give; nothing could be issued then.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        panic!("the operating system gives no random bytes: {error}");
    }
    bytes
}

/// `len` (at most 256) characters of `[A-Za-z0-9_-]`.
pub(crate) fn url_safe(len: usize) -> String {
    let mut text = URL_SAFE_NO_PAD.encode(bytes::<192>());
    text.truncate(len);
    text
}

/// `len` characters of `[A-Za-z0-9]`.
pub(crate) fn alphanumeric(len: usize) -> String {
    let mut text = String::with_capacity(len);
    while text.len() < len {
        let more = url_safe(256);
        let fit = more.chars().filter(char::is_ascii_alphanumeric);
        text.extend(fit.take(len - text.len()));
    }
    text
}

/// `2 * N` lower-case hex digits.
pub(crate) fn hex<const N: usize>() -> String {
    base16ct::lower::encode_string(&bytes::<N>())
}

/// Any number.
pub(crate) fn number() -> u32 {
    u32::from_be_bytes(bytes())
}

/// `len` decimal digits, the first no zero.
pub(crate) fn digits(len: usize) -> String {
    let mut text = String::with_capacity(len);
    while text.len() < len {
        let more = u64::from_be_bytes(bytes()).to_string();
        text.extend(more.chars().take(len - text.len()));
    }
    text
}
