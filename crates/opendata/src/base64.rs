//! The base64 that WeChat's clients hand over: the standard alphabet, padded, and nothing else, but for line breaks,
//! which some clients put into it. What went wrong on the way is told apart, because it is the server's developer who
//! has to find it: a `+` that a form or query turned into a space is one of the faults reported most.

use std::sync::LazyLock;

// base64 has its SIMD engine for these machines only.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use base64::engine::GeneralPurpose as Engine;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use base64::engine::Simd as Engine;
use base64::{Engine as _, engine::general_purpose::PAD};

use crate::Damage;

/// Kept, because making an engine means making its tables.
static STANDARD: LazyLock<Engine> = LazyLock::new(|| {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    return Engine::standard(PAD);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return Engine::new(&base64::alphabet::STANDARD, PAD);
});

pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Decodes one line.
pub(crate) fn decode_line(text: &str) -> Result<Vec<u8>, Damage> {
    STANDARD.decode(text).map_err(|_| damage(text))
}

/// Decodes text that may be broken into lines, the indentation of a line belonging to the break.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, Damage> {
    match STANDARD.decode(text) {
        Ok(bytes) => Ok(bytes),
        Err(_) if text.contains(['\r', '\n']) => {
            let joined: String = text
                .split(['\r', '\n'])
                .map(|line| line.trim_matches([' ', '\t']))
                .collect();
            STANDARD.decode(&joined).map_err(|_| damage(text))
        }
        Err(_) => Err(damage(text)),
    }
}

fn damage(text: &str) -> Damage {
    let core = text.trim();
    if text.starts_with('\u{feff}') {
        Damage::ByteOrderMark
    } else if core.starts_with(['"', '\'']) || core.ends_with(['"', '\'']) {
        Damage::Quoted
    } else if text.contains('\\') {
        Damage::Escaped
    } else if text.contains('%') {
        Damage::PercentEncoded
    } else if text.contains(['-', '_']) {
        Damage::UrlAlphabet
    } else if core.len() < text.len() && STANDARD.decode(core).is_ok() {
        Damage::BlanksAround
    } else if text.contains(' ') {
        Damage::PlusBecameSpace
    } else {
        Damage::Other
    }
}
