//! What a cloud function is told about a cloudID ("开放数据校验与解密", second way): the data in its place, or why not.

use std::time::Duration;

use thiserror::Error;

use crate::code::{CLOUD_ID_EXPIRED, CLOUD_ID_NOT_OWNER, INVALID_CLOUD_ID};

/// How long a cloudID can be redeemed, this moment included: 5 minutes.
pub const CLOUD_ID_LIFE: Duration = Duration::from_secs(300);

/// How many fields of a call are replaced at most.
pub const MAX_CLOUD_IDS: usize = 5;

/// Why a cloudID is not replaced by its data. The call that carries it succeeds all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{}", self.text())]
#[non_exhaustive]
pub enum CloudIdError {
    /// No cloudID, or one of another app or installation.
    Invalid,
    /// Older than [`CLOUD_ID_LIFE`].
    Expired,
    /// Made for another user.
    NotOwner,
}

impl CloudIdError {
    /// `errCode` of the item.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Invalid => INVALID_CLOUD_ID,
            Self::Expired => CLOUD_ID_EXPIRED,
            Self::NotOwner => CLOUD_ID_NOT_OWNER,
        }
    }

    /// `errMsg` of the item: the texts WeChat's items have, which differ from the SDK's error table. That of
    /// [`Invalid`](Self::Invalid) has not been seen in public; it is ours, by analogy.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Invalid => "invalid cloudID.",
            Self::Expired => "cloudID expired.",
            Self::NotOwner => "cloudID not belong to user.",
        }
    }
}

/// Appends what stands in the field's place: `{"cloudID":…,"data":…}`, or `{"cloudID":…,"errCode":…,"errMsg":…}`.
///
/// `cloud_id_raw` is the id as the client wrote it, a JSON literal with its quotes; the data is a checked JSON value.
/// Both are copied as they are.
pub fn write_item(out: &mut Vec<u8>, cloud_id_raw: &str, result: Result<&str, (i32, &str)>) {
    out.extend_from_slice(b"{\"cloudID\":");
    out.extend_from_slice(cloud_id_raw.as_bytes());
    match result {
        Ok(data) => {
            out.extend_from_slice(b",\"data\":");
            out.extend_from_slice(data.as_bytes());
        }
        Err((code, text)) => {
            out.extend_from_slice(b",\"errCode\":");
            out.extend_from_slice(code.to_string().as_bytes());
            out.extend_from_slice(b",\"errMsg\":");
            json::write_string(out, text);
        }
    }
    out.push(b'}');
}
