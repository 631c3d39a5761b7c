//! The key pair of one worker: what wx-server-sdk signs its requests with, so that the host knows whose they are.

use std::{fmt, io};

use zeroize::Zeroizing;

use crate::hex;

/// Random for each worker, and good as long as that lives. `Debug` shows the id alone; the secret is wiped.
pub struct KeyPair {
    id: String,
    secret: Zeroizing<String>,
}

impl KeyPair {
    /// 64 random bits of id, and 256 of secret.
    pub(crate) fn random() -> io::Result<Self> {
        let mut id = [0; 8];
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(&mut id)?;
        getrandom::fill(secret.as_mut_slice())?;
        Ok(Self {
            id: format!("yq{}", hex(&id)),
            secret: Zeroizing::new(hex(secret.as_slice())),
        })
    }

    /// The public part, `SecretId` in Tencent's words: `yq` and 16 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The secret part, `SecretKey`: 64 hexadecimal digits.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn pairs_differ_and_keep_their_secret() {
        let (one, other) = (KeyPair::random().unwrap(), KeyPair::random().unwrap());
        assert_eq!((one.id().len(), one.secret().len()), (18, 64));
        assert!(one.id() != other.id() && one.secret() != other.secret());
        let shown = format!("{one:?}");
        assert!(
            shown.contains(one.id()) && !shown.contains(one.secret()),
            "{shown}"
        );
    }
}
