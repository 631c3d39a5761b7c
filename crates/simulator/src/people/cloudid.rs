//! cloudIDs: names under which a client's open data can be asked for, for five minutes, by its own user.
//!
//! All cloudIDs of WeChat's that were ever published have 62 characters: two digits, an underscore and 59 of
//! `[A-Za-z0-9_-]`. The digits have risen with the years, as the beginning of an access_token does.

use clock::Timestamp;
use opendata::{CLOUD_ID_LIFE, CloudIdError};

use crate::{random, recent::Recent};

/// The number that new cloudIDs and access_tokens begin with.
pub(crate) const ID_PREFIX: &str = "97_";

/// What was minted, by cloudID.
#[derive(Debug, Default)]
pub(crate) struct CloudIds(Recent<MintedCloudId>);

#[derive(Debug)]
struct MintedCloudId {
    openid: String,
    data: String,
    at: Timestamp,
}

impl CloudIds {
    /// A new cloudID for `data`, the JSON text that the user's client got encrypted.
    pub(crate) fn mint(&mut self, openid: &str, data: &str, now: Timestamp) -> String {
        let id = format!("{ID_PREFIX}{}", random::url_safe(59));
        let minted = MintedCloudId {
            openid: openid.to_owned(),
            data: data.to_owned(),
            at: now,
        };
        self.0.put(id.clone(), minted);
        id
    }

    /// The JSON text behind `id`, as often as asked within 300 seconds (exactly 300 included). That it is another user's is
    /// said whether it has expired or not.
    pub(crate) fn redeem(&self, id: &str, openid: &str, now: Timestamp) -> Result<&str, CloudIdError> {
        let minted = self.0.get(id).ok_or(CloudIdError::Invalid)?;
        if minted.openid != openid {
            return Err(CloudIdError::NotOwner);
        }
        if now.saturating_since(minted.at) > CLOUD_ID_LIFE {
            return Err(CloudIdError::Expired);
        }
        Ok(&minted.data)
    }
}
