//! Tickets: our own cloudIDs. Where the client has `encryptedData` and no cloudID of WeChat's, the server decrypts, and
//! gives back a ticket that the client passes on as if it were one.
//!
//! A ticket *is* the data, sealed: no node has to remember it. The appid is bound by the key that seals it. Inside is
//!
//! ```text
//! data (JSON) | openid | when it was minted, ms, 8 B | length of openid, 4 B        numbers big-endian
//! ```
//!
//! with the data first, so that what is behind it can be cut off and nothing is moved. The data was checked when it
//! became a [`Plaintext`], and nobody without the key can have changed it since, so it is not checked again.

use std::time::Duration;

use clock::Timestamp;
use seal::{KeyRing, SealKind, Sealer};

use crate::{CLOUD_ID_LIFE, CloudIdError, Plaintext};

/// What tells a ticket from WeChat's cloudIDs, which begin with two digits.
const PREFIX: &str = "yq_";

/// How far a ticket may have been minted in the future: nodes share the key ring, and not quite the time.
const FUTURE: Duration = Duration::from_secs(60);

/// Mints and redeems the tickets of one appid. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tickets(Sealer);

impl Tickets {
    /// Tickets under the keys of this ring.
    #[must_use]
    pub fn new(ring: &KeyRing, appid: &str) -> Self {
        Self(Sealer::new(ring, SealKind::Ticket, appid))
    }

    /// A ticket for `data`, to be redeemed by `openid` until [`CLOUD_ID_LIFE`] from `now`.
    #[must_use]
    pub fn mint(&self, openid: &str, now: Timestamp, data: &Plaintext) -> String {
        let mut inside = Vec::with_capacity(data.as_json().len() + openid.len() + TAIL);
        inside.extend_from_slice(data.as_json().as_bytes());
        inside.extend_from_slice(openid.as_bytes());
        inside.extend_from_slice(&now.millis().to_be_bytes());
        inside.extend_from_slice(&u32::try_from(openid.len()).unwrap_or(u32::MAX).to_be_bytes());
        [PREFIX, &self.0.seal(&inside)].concat()
    }

    /// The data (JSON) that a ticket carries, if `openid` is whom it was minted for and its time has not run out.
    ///
    /// The owner is looked at before the age: a ticket that fell into other hands stays wrong however old it is, and its
    /// finder has no business knowing whether it is alive.
    pub fn redeem(&self, text: &str, openid: &str, now: Timestamp) -> Result<String, CloudIdError> {
        let token = text.strip_prefix(PREFIX).ok_or(CloudIdError::Invalid)?;
        let mut inside = self.0.open(token).map_err(|_| CloudIdError::Invalid)?;
        let (data, owner, minted) = split(&inside).ok_or(CloudIdError::Invalid)?;
        if owner != openid.as_bytes() {
            return Err(CloudIdError::NotOwner);
        }
        if now.saturating_since(minted) > CLOUD_ID_LIFE {
            return Err(CloudIdError::Expired);
        }
        if minted.saturating_since(now) > FUTURE {
            return Err(CloudIdError::Invalid);
        }
        let length = data.len();
        inside.truncate(length);
        String::from_utf8(inside).map_err(|_| CloudIdError::Invalid)
    }

    /// Whether a cloudID is one of ours, valid or not, and not one of WeChat's.
    #[must_use]
    pub fn is_ticket(text: &str) -> bool {
        text.starts_with(PREFIX)
    }
}

const TAIL: usize = 8 + 4;

/// Data, openid and time of minting.
fn split(inside: &[u8]) -> Option<(&[u8], &[u8], Timestamp)> {
    let (rest, length) = inside.split_last_chunk()?;
    let (rest, minted) = rest.split_last_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (data, owner) = rest.split_at_checked(rest.len().checked_sub(length)?)?;
    Some((data, owner, Timestamp::from_millis(u64::from_be_bytes(*minted))))
}
