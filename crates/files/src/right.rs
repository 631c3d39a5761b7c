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
    /// The client that may read it, if whoever lies there then lets them: a file comes and goes while the right stays. `None` where a
    /// function gave the right, to whoever has it.
    pub reader: Option<Client>,
    /// When it ends, by WeChat's time; `None` for never, as with files that everybody may read.
    pub until: Option<Timestamp>,
}

/// The right to write a file once it is known who does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Where to.
    pub path: CloudPath,
    /// The client that writes it, if it still may by then, and whose it will be. `None` for a function, whose files are nobody's.
    pub writer: Option<Client>,
    /// When the right ends, by WeChat's time.
    pub until: Timestamp,
    /// Bytes at most.
    pub most: u64,
}

/// A client that a right is made for, as the permissions of storage see one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Client {
    /// Somebody who has not logged in.
    Visitor,
    /// A user of the Mini Program, by openid.
    User(String),
    /// A user of CloudBase's SDKs.
    Web {
        /// The user's id in the environment.
        uid: String,
        /// How they logged in.
        login_type: String,
        /// Who they are to the Mini Program, if anybody.
        openid: Option<String>,
    },
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
        if let Some(reader) = &right.reader {
            // No path has a control character in it, so it ends here.
            plain.push(0);
            reader.write(&mut plain);
        }
        self.downloads.seal(&plain)
    }

    /// Opens it.
    ///
    /// # Errors
    /// It is not one of ours, or has ended by `now`.
    pub fn open_download(&self, sealed: &str, now: Timestamp) -> Result<Download, RightsError> {
        let plain = self.downloads.open(sealed)?;
        let (until, rest) = opened(&plain, now)?;
        let text = text(rest)?;
        let (path, reader) = match text.split_once('\0') {
            None => (text, None),
            Some((path, reader)) => (path, Client::read(reader)?),
        };
        Ok(Download {
            path: path.parse()?,
            reader,
            until,
        })
    }

    /// Seals the right to write.
    #[must_use]
    pub fn seal_upload(&self, right: &Upload) -> String {
        let mut plain = head(Some(right.until));
        plain.extend_from_slice(&right.most.to_be_bytes());
        // No path has a control character in it, so it ends where the writer begins.
        plain.extend_from_slice(right.path.as_str().as_bytes());
        plain.push(0);
        if let Some(writer) = &right.writer {
            writer.write(&mut plain);
        }
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
        let (path, writer) = text(rest)?.split_once('\0').ok_or(RightsError::Unknown)?;
        Ok(Upload {
            path: path.parse()?,
            writer: Client::read(writer)?,
            until: until.ok_or(RightsError::Unknown)?,
            most: u64::from_be_bytes(*most),
        })
    }
}

impl Upload {
    /// Whose the file will be: an openid, or a CloudBase uid; empty for nobody's.
    #[must_use]
    pub fn owner(&self) -> &str {
        self.writer.as_ref().map_or("", Client::owner)
    }
}

impl Client {
    /// Whose a file is that this client writes: the openid, or the uid of a web page's user; empty for nobody's.
    #[must_use]
    pub fn owner(&self) -> &str {
        match self {
            Self::Visitor => "",
            Self::User(openid) => openid,
            Self::Web { uid, openid, .. } => openid.as_ref().unwrap_or(uid),
        }
    }

    /// An openid by itself, or what a user of CloudBase's SDKs is between zeros, which nothing of it has in it; a visitor is such a user
    /// without any of it. Nothing at all is a function.
    fn write(&self, plain: &mut Vec<u8>) {
        let (uid, login_type) = match self {
            Self::User(openid) => return plain.extend_from_slice(openid.as_bytes()),
            Self::Visitor => ("", ""),
            Self::Web { uid, login_type, .. } => (&**uid, &**login_type),
        };
        plain.extend_from_slice(format!("\0{uid}\0{login_type}\0{}", self.owner()).as_bytes());
    }

    fn read(text: &str) -> Result<Option<Self>, RightsError> {
        let Some(rest) = text.strip_prefix('\0') else {
            return Ok((!text.is_empty()).then(|| Self::User(text.to_owned())));
        };
        let mut parts = rest.splitn(3, '\0');
        let mut next = || parts.next().ok_or(RightsError::Unknown);
        let (uid, login_type, owner) = (next()?, next()?, next()?);
        Ok(Some(match (uid, owner) {
            ("", "") => Self::Visitor,
            _ => Self::Web {
                uid: uid.to_owned(),
                login_type: login_type.to_owned(),
                openid: (owner != uid).then(|| owner.to_owned()),
            },
        }))
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
            reader: None,
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
            reader: Some(Client::Visitor),
            until: None,
        };
        let sealed = rights.seal_download(&forever);
        assert_eq!(rights.open_download(&sealed, at(9_999_999_999)), Ok(forever));

        let upload = Upload {
            path,
            writer: Some(Client::User("oABC".to_owned())),
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
            reader: None,
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

    fn client() -> impl Strategy<Value = Option<Client>> {
        let web = ("[0-9a-f]{1,32}", proptest::option::of("[A-Z_-]{1,40}")).prop_map(|(uid, openid)| {
            Some(Client::Web {
                uid,
                login_type: "CUSTOM".to_owned(),
                openid,
            })
        });
        prop_oneof![
            Just(None),
            Just(Some(Client::Visitor)),
            "[^\u{0}]{1,40}".prop_map(|openid| Some(Client::User(openid))),
            web,
        ]
    }

    proptest! {
        #[test]
        fn whatever_is_sealed_opens_the_same(
            path in "[^\u{0}-\u{1f}\u{7f}/]{3,40}", client in client(),
            until in 1..u64::from(u32::MAX), most: u64,
        ) {
            let rights = rights();
            let path: CloudPath = path.parse().unwrap();
            let upload = Upload { path: path.clone(), writer: client.clone(), until: at(until), most };
            prop_assert_eq!(rights.open_upload(&rights.seal_upload(&upload), at(until - 1)), Ok(upload));
            let download = Download { path, reader: client, until: Some(at(until)) };
            prop_assert_eq!(rights.open_download(&rights.seal_download(&download), at(until - 1)), Ok(download));
        }
    }
}
