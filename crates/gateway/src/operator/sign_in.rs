//! The sign-in of a browser at the operator's listener: a cookie that is sealed and not kept.
//!
//! What it holds is its end. Whoever has the keys opens it, so it outlives a restart; and where it is bound to the operator's
//! secret, another secret ends it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use seal::{KeyRing, SealKind, Sealer};
use secrecy::{ExposeSecret, SecretString};

/// How long a browser stays signed in.
const LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// The layout of what is sealed: this byte, then the seconds of its end, little endian.
const LAYOUT: u8 = 1;

/// Seals and opens sign-ins.
pub struct SignIns(Sealer);

impl SignIns {
    /// Sign-ins that hold as long as these keys do.
    #[must_use]
    pub fn new(keys: &KeyRing) -> Self {
        Self(Sealer::new(keys, SealKind::SignIn, ""))
    }

    /// Sign-ins that hold as long as both these keys and the secret do.
    #[must_use]
    pub fn bound_to(keys: &KeyRing, secret: &SecretString) -> Self {
        Self(Sealer::new(keys, SealKind::SignIn, secret.expose_secret()))
    }

    /// A new one, as a cookie's value.
    pub(super) fn seal(&self) -> String {
        self.seal_until(now() + LIFE.as_secs())
    }

    fn seal_until(&self, end: u64) -> String {
        let mut plain = vec![LAYOUT];
        plain.extend_from_slice(&end.to_le_bytes());
        self.0.seal(&plain)
    }

    /// Whether a cookie's value is one that holds.
    pub(super) fn holds(&self, cookie: &str) -> bool {
        let Ok(plain) = self.0.open(cookie) else {
            return false;
        };
        match plain.split_first_chunk() {
            Some((&[LAYOUT], end)) => end.try_into().is_ok_and(|end| now() < u64::from_le_bytes(end)),
            _ => false,
        }
    }
}

/// Seconds of the machine's clock: WeChat's time, which a test steps, has no say here.
#[expect(
    clippy::disallowed_methods,
    reason = "a browser's sign-in outlives the process, and is not WeChat's"
)]
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_holds_after_a_restart_and_ends() {
        let keys = KeyRing::generate();
        let cookie = SignIns::new(&keys).seal();
        let again = SignIns::new(&keys);
        assert!(again.holds(&cookie));
        assert!(!again.holds(&again.seal_until(now())));
        assert!(!SignIns::new(&KeyRing::generate()).holds(&cookie));
        for odd in [
            "",
            "x",
            &again.0.seal(b""),
            &again.0.seal(b"\x02\0\0\0\0\0\0\0\xff"),
        ] {
            assert!(!again.holds(odd), "{odd}");
        }
    }

    #[test]
    fn another_secret_ends_it() {
        let keys = KeyRing::generate();
        let with = |secret: &str| SignIns::bound_to(&keys, &secret.to_owned().into());
        let cookie = with("last year's secret").seal();
        assert!(with("last year's secret").holds(&cookie));
        assert!(!with("this year's secret").holds(&cookie) && !SignIns::new(&keys).holds(&cookie));
    }
}
