//! Codes that stand for a user: valid once, and for five minutes. There are two kinds: codes of `wx.login`, and codes of
//! the phone number button.

use std::time::Duration;

use clock::Timestamp;

use crate::recent::Recent;

/// How long a code can be exchanged, the last millisecond included.
pub(crate) const CODE_LIFE: Duration = Duration::from_secs(300);

/// The codes of one kind.
#[derive(Debug, Default)]
pub(crate) struct Codes(Recent<Code>);

#[derive(Debug)]
struct Code {
    user: String,
    issued_at: Timestamp,
    used: bool,
}

/// Why a code is worth nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CodeError {
    /// This WeChat never issued it (or not lately).
    Foreign,
    /// It was exchanged before.
    Used,
    /// Its five minutes are over.
    Expired,
}

impl Codes {
    pub(crate) fn issue(&mut self, text: String, user: &str, now: Timestamp) -> String {
        let code = Code {
            user: user.to_owned(),
            issued_at: now,
            used: false,
        };
        self.0.put(text.clone(), code);
        text
    }

    /// Whose it is; from now on it is used.
    pub(crate) fn redeem(&mut self, text: &str, now: Timestamp) -> Result<&str, CodeError> {
        let code = self.0.get_mut(text).ok_or(CodeError::Foreign)?;
        if code.used {
            return Err(CodeError::Used);
        }
        if now.saturating_since(code.issued_at) > CODE_LIFE {
            return Err(CodeError::Expired);
        }
        code.used = true;
        Ok(&code.user)
    }

    /// Whether it was issued here, whatever has become of it.
    pub(crate) fn knows(&self, text: &str) -> bool {
        self.user(text).is_some()
    }

    /// Whom it was issued to, whatever has become of it.
    pub(crate) fn user(&self, text: &str) -> Option<&str> {
        self.0.get(text).map(|code| code.user.as_str())
    }
}
