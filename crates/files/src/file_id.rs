//! File ids: `cloud://<environment>.<bucket>/<path>`.

use std::{fmt, fmt::Write};

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{CloudPath, CloudPathError};

const SCHEME: &str = "cloud://";

/// The name of the place in which an environment's files lie.
///
/// On the platform it is the first two characters of the environment's name in hexadecimal, the name, and the number of the
/// account that pays, with `-` between them: `7765-webtestjimmy-5328c3-1251059088`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket(String);

impl Bucket {
    /// The bucket of an environment of ours. The account's number is no fact that anybody has here, so ten digits are drawn
    /// from the appid: the same for one Mini Program always, and as long as the platform's.
    #[must_use]
    pub fn of(environment: &str, appid: &str) -> Self {
        let mut text = String::new();
        for character in environment.chars().take(2) {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a String cannot fail.
                let _ = write!(text, "{byte:02x}");
            }
        }
        let digest = Sha256::digest(appid);
        let drawn = digest
            .iter()
            .take(8)
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let _ = write!(text, "-{environment}-1{:09}", drawn % 1_000_000_000);
        Self(text)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A file id, taken apart. Which environment it names is not judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileId {
    /// The environment.
    pub environment: String,
    /// The bucket; ids that programs put together by hand have anything here, or nothing.
    pub bucket: String,
    /// The file.
    pub path: CloudPath,
}

/// Why a text is no file id. `Display` is for whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FileIdError {
    /// It does not begin with `cloud://`.
    #[error("a file id begins with {SCHEME}")]
    Scheme,
    /// There is no path in it.
    #[error("a file id is {SCHEME}<environment>.<bucket>/<path>, and this one has no path")]
    NoPath,
    /// Its path is not legal.
    #[error(transparent)]
    Path(#[from] CloudPathError),
    /// It names another environment, whose files are not here.
    #[error(
        "this file id is of environment {0:?}, whose files are not here: name it in [storage] aliases if they are"
    )]
    Elsewhere(String),
}

impl FileId {
    /// Reads a file id.
    ///
    /// # Errors
    /// It is not a file id.
    pub fn parse(text: &str) -> Result<Self, FileIdError> {
        let rest = text.strip_prefix(SCHEME).ok_or(FileIdError::Scheme)?;
        let (host, path) = rest.split_once('/').ok_or(FileIdError::NoPath)?;
        let (environment, bucket) = host.split_once('.').unwrap_or((host, ""));
        Ok(Self {
            environment: environment.to_owned(),
            bucket: bucket.to_owned(),
            path: path.parse()?,
        })
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.environment)?;
        if !self.bucket.is_empty() {
            write!(f, ".{}", self.bucket)?;
        }
        write!(f, "/{}", self.path)
    }
}

/// Whose files are here: the environment, and the others whose ids are taken for its own.
#[derive(Clone, Debug)]
pub struct Storage {
    environment: String,
    bucket: Bucket,
    aliases: Option<Vec<String>>,
}

impl Storage {
    /// The files of `environment`. `aliases` are environments whose ids are taken for ours, so that imported data works; `None`
    /// takes those of any.
    #[must_use]
    pub fn new(environment: &str, appid: &str, aliases: Option<Vec<String>>) -> Self {
        Self {
            environment: environment.to_owned(),
            bucket: Bucket::of(environment, appid),
            aliases,
        }
    }

    /// The id of a file that lies here.
    #[must_use]
    pub fn id(&self, path: &CloudPath) -> FileId {
        FileId {
            environment: self.environment.clone(),
            bucket: self.bucket.to_string(),
            path: path.clone(),
        }
    }

    /// What the platform's object store calls the file. The SDKs send it along with an upload, 4.0.2 in a header, so it is ASCII;
    /// it means nothing to anybody.
    #[must_use]
    pub fn object_id(&self, path: &CloudPath) -> String {
        let digest = Sha256::digest(self.id(path).to_string());
        digest.iter().take(16).fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Where the file lies that an id names.
    ///
    /// # Errors
    /// It is no file id, or one of an environment whose files are not here.
    pub fn path(&self, id: &str) -> Result<CloudPath, FileIdError> {
        let id = FileId::parse(id)?;
        let here = id.environment == self.environment
            || match &self.aliases {
                None => true,
                Some(aliases) => aliases.contains(&id.environment),
            };
        match here {
            true => Ok(id.path),
            false => Err(FileIdError::Elsewhere(id.environment)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_bucket_is_made_as_the_platforms_is() {
        let bucket = Bucket::of("webtestjimmy-5328c3", "wx1");
        let number = bucket.as_str().strip_prefix("7765-webtestjimmy-5328c3-").unwrap();
        assert!(
            number.len() == 10 && number.bytes().all(|byte| byte.is_ascii_digit()),
            "{bucket}"
        );
        assert_eq!(bucket, Bucket::of("webtestjimmy-5328c3", "wx1"));
        assert_ne!(bucket, Bucket::of("webtestjimmy-5328c3", "wx2"));
        assert!(Bucket::of("x", "wx1").as_str().starts_with("78-x-1"));
    }

    #[test]
    fn official_ids_are_read_and_written() {
        for (text, environment, bucket, path) in [
            (
                "cloud://webtestjimmy-5328c3.7765-webtestjimmy-5328c3-1251059088/腾讯云.png",
                "webtestjimmy-5328c3",
                "7765-webtestjimmy-5328c3-1251059088",
                "腾讯云.png",
            ),
            ("cloud://env/a/b c%20.txt", "env", "", "a/b c%20.txt"),
        ] {
            let id = FileId::parse(text).unwrap();
            assert_eq!(
                (&*id.environment, &*id.bucket, id.path.as_str()),
                (environment, bucket, path)
            );
            assert_eq!(id.to_string(), text);
        }
        for (text, error) in [
            ("https://a/b", FileIdError::Scheme),
            ("cloud://a.b", FileIdError::NoPath),
            ("cloud://a.b/", FileIdError::Path(CloudPathError::Empty)),
            ("cloud://a.b/../c", FileIdError::Path(CloudPathError::Dots)),
        ] {
            assert_eq!(FileId::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn ids_of_other_environments_are_ours_where_that_is_said() {
        let path: CloudPath = "a.png".parse().unwrap();
        let (any, some, none) = (
            Storage::new("here", "wx1", None),
            Storage::new("here", "wx1", Some(vec!["old".to_owned()])),
            Storage::new("here", "wx1", Some(Vec::new())),
        );
        let ours = any.id(&path).to_string();
        for storage in [&any, &some, &none] {
            assert_eq!(storage.path(&ours).as_ref(), Ok(&path));
        }
        let old = "cloud://old.6f6c-old-1/a.png";
        assert_eq!(any.path(old).as_ref(), Ok(&path));
        assert_eq!(some.path(old).as_ref(), Ok(&path));
        assert_eq!(none.path(old), Err(FileIdError::Elsewhere("old".to_owned())));
    }
}
