//! What an address allows: to read one file, or to write one, until a moment. It is sealed, so no store is asked, and nobody
//! can turn one right into another.

use clock::Timestamp;
use seal::{KeyRing, OpenError, SealKind, Sealer};
use thiserror::Error;

use crate::{CloudPath, CloudPathError};

const VERSION: u8 = 1;
/// The moment of a right that never ends.
const NEVER: u64 = u64::MAX;

/// The right to read a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// Which.
    pub path: CloudPath,
    /// When it ends, by WeChat's time; `None` for never, as with files that everybody may read.
    pub until: Option<Timestamp>,
}

/// The right to write a file once it is known who does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Where to.
    pub path: CloudPath,
    /// Whose it will be: an openid, or a CloudBase uid; empty for what a function uploads.
    pub owner: String,
    /// Who that is, where it is a user of CloudBase's SDKs.
    pub web: Option<WebOwner>,
    /// When the right ends, by WeChat's time.
    pub until: Timestamp,
    /// Bytes at most.
    pub most: u64,
}

/// A user of CloudBase's SDKs, as the permissions of storage see one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebOwner {
    /// The user's id in the environment.
    pub uid: String,
    /// How they logged in.
    pub login_type: String,
}

/// Seals and opens rights. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rights {
    downloads: Sealer,
    uploads: Sealer,
}

/// Why a right does not hold. `Display` is for the operator; a client is told only that it has no right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RightsError {
    /// It was not sealed here, or was altered.
    #[error(transparent)]
    Sealed(#[from] OpenError),
    /// It was sealed by a version that says it another way.
    #[error("the address says what it allows in a way that this version does not know")]
    Unknown,
    /// Its path is not legal.
    #[error(transparent)]
    Path(#[from] CloudPathError),
    /// Its time is over.
    #[error("the address has expired")]
    Expired,
}

impl Rights {
    /// Those of one Mini Program.
    #[must_use]
    pub fn new(ring: &KeyRing, appid: &str) -> Self {
        Self {
            downloads: Sealer::new(ring, SealKind::Download, appid),
            uploads: Sealer::new(ring, SealKind::Upload, appid),
        }
    }

    /// Seals the right to read; text without `%`, `/` or `.`.
    #[must_use]
    pub fn seal_download(&self, right: &Download) -> String {
        let mut plain = head(right.until);
        plain.extend_from_slice(right.path.as_str().as_bytes());
        self.downloads.seal(&plain)
    }

    /// Opens it.
    ///
    /// # Errors
    /// It is not one of ours, or has ended by `now`.
    pub fn open_download(&self, sealed: &str, now: Timestamp) -> Result<Download, RightsError> {
        let plain = self.downloads.open(sealed)?;
        let (until, path) = opened(&plain, now)?;
        Ok(Download {
            path: text(path)?.parse()?,
            until,
        })
    }

    /// Seals the right to write.
    #[must_use]
    pub fn seal_upload(&self, right: &Upload) -> String {
        let mut plain = head(Some(right.until));
        plain.extend_from_slice(&right.most.to_be_bytes());
        // No path has a control character in it, so it ends where the owner begins; nor has a uid, or a type of login.
        plain.extend_from_slice(right.path.as_str().as_bytes());
        plain.push(0);
        if let Some(web) = &right.web {
            plain.extend_from_slice(format!("\0{}\0{}\0", web.uid, web.login_type).as_bytes());
        }
        plain.extend_from_slice(right.owner.as_bytes());
        self.uploads.seal(&plain)
    }

    /// Opens it.
    ///
    /// # Errors
    /// It is not one of ours, or has ended by `now`.
    pub fn open_upload(&self, sealed: &str, now: Timestamp) -> Result<Upload, RightsError> {
        let plain = self.uploads.open(sealed)?;
        let (until, rest) = opened(&plain, now)?;
        let (most, rest) = rest.split_first_chunk().ok_or(RightsError::Unknown)?;
        let (path, owner) = text(rest)?.split_once('\0').ok_or(RightsError::Unknown)?;
        let (web, owner) = match owner.strip_prefix('\0') {
            None => (None, owner),
            Some(rest) => {
                let mut parts = rest.splitn(3, '\0');
                let mut next = || parts.next().ok_or(RightsError::Unknown);
                let (uid, login_type) = (next()?.to_owned(), next()?.to_owned());
                (Some(WebOwner { uid, login_type }), next()?)
            }
        };
        Ok(Upload {
            path: path.parse()?,
            owner: owner.to_owned(),
            web,
            until: until.ok_or(RightsError::Unknown)?,
            most: u64::from_be_bytes(*most),
        })
    }
}

fn head(until: Option<Timestamp>) -> Vec<u8> {
    let until = until.map_or(NEVER, |until| until.secs().min(NEVER - 1));
    let mut plain = vec![VERSION];
    plain.extend_from_slice(&until.to_be_bytes());
    plain
}

fn opened(plain: &[u8], now: Timestamp) -> Result<(Option<Timestamp>, &[u8]), RightsError> {
    let Some(([VERSION], rest)) = plain.split_first_chunk() else {
        return Err(RightsError::Unknown);
    };
    let (until, rest) = rest.split_first_chunk().ok_or(RightsError::Unknown)?;
    match u64::from_be_bytes(*until) {
        NEVER => Ok((None, rest)),
        seconds => match Timestamp::from_secs(seconds) {
            until if now < until => Ok((Some(until), rest)),
            _ => Err(RightsError::Expired),
        },
    }
}

fn text(bytes: &[u8]) -> Result<&str, RightsError> {
    std::str::from_utf8(bytes).map_err(|_| RightsError::Unknown)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use seal::RootKey;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    fn rights() -> Rights {
        Rights::new(&KeyRing::new(vec![RootKey::generate()]).unwrap(), "wx1")
    }

    #[test]
    fn rights_come_back_until_they_end() {
        let rights = rights();
        let path: CloudPath = "头像/a b%.png".parse().unwrap();
        let download = Download {
            path: path.clone(),
            until: Some(at(100)),
        };
        let sealed = rights.seal_download(&download);
        assert!(
            sealed
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
        assert_eq!(rights.open_download(&sealed, at(99)), Ok(download));
        assert_eq!(rights.open_download(&sealed, at(100)), Err(RightsError::Expired));

        let forever = Download {
            path: path.clone(),
            until: None,
        };
        let sealed = rights.seal_download(&forever);
        assert_eq!(rights.open_download(&sealed, at(9_999_999_999)), Ok(forever));

        let upload = Upload {
            path,
            owner: "oABC".to_owned(),
            web: None,
            until: at(100),
            most: 5,
        };
        let sealed = rights.seal_upload(&upload);
        assert_eq!(rights.open_upload(&sealed, at(99)), Ok(upload));
        assert_eq!(rights.open_upload(&sealed, at(101)), Err(RightsError::Expired));
    }

    #[test]
    fn one_right_is_not_another() {
        let rights = rights();
        let path: CloudPath = "a".parse().unwrap();
        let download = rights.seal_download(&Download {
            path: path.clone(),
            until: None,
        });
        assert_eq!(
            rights.open_upload(&download, at(1)),
            Err(RightsError::Sealed(OpenError::Forged))
        );
        assert!(super::tests::rights().open_download(&download, at(1)).is_err());
        assert!(rights.open_download("", at(1)).is_err());
        assert!(rights.open_download(&download[1..], at(1)).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_sealed_opens_the_same(
            path in "[^\u{0}-\u{1f}\u{7f}/]{3,40}", owner in "[^\u{0}]{0,40}", is_web: bool, uid in "[0-9a-f]{0,32}",
            until in 1..u64::from(u32::MAX), most: u64,
        ) {
            let rights = rights();
            let web = is_web.then(|| WebOwner { uid, login_type: "CUSTOM".to_owned() });
            let upload = Upload { path: path.parse().unwrap(), owner, web, until: at(until), most };
            prop_assert_eq!(rights.open_upload(&rights.seal_upload(&upload), at(until - 1)), Ok(upload));
        }
    }
}
