//! What the head of an upload says of the file, as far as it is kept or held against what comes.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use files::StorageRefusal;
use http::{
    Version,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, TRANSFER_ENCODING},
    request::Parts,
};

use super::refusal::FileRefusal;

/// A longer type is none: RFC 6838 §4.2 has 127 letters before the slash and 127 behind it. It is kept with the file and goes out with
/// each download, where many clients and proxies bear a head of 4 KB.
const LONGEST_TYPE: usize = 255;

pub(super) type Md5Digest = [u8; 16];

pub(super) struct Given<'a> {
    /// The type that its sender says that it has.
    pub(super) content_type: Option<&'a str>,
    /// The digest that it has to have.
    pub(super) md5: Option<Md5Digest>,
}

impl<'a> Given<'a> {
    /// What a head says.
    ///
    /// # Errors
    /// By such a head nothing is to be written: an object store answers it in the same way.
    pub(super) fn read(head: &'a Parts) -> Result<Self, FileRefusal> {
        let refused = |refusal: StorageRefusal| FileRefusal::openly(refusal, refusal.text());
        let headers = &head.headers;
        let is_delimited = headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING);
        if head.version < Version::HTTP_2 && !is_delimited {
            return Err(refused(StorageRefusal::NoLength));
        }
        // RFC 9110 §14.5: whoever knows no partial PUT takes no part for the whole.
        if headers.contains_key(CONTENT_RANGE) {
            return Err(FileRefusal::openly(
                StorageRefusal::Malformed,
                "a file is sent whole: Content-Range says that this is a part of one",
            ));
        }
        // An object store keeps it with the object and says it of each download. Here no coding is kept: without it the reader would take
        // the coded bytes for the file.
        let codings = headers.get_all(CONTENT_ENCODING).iter();
        if let Some(coding) = codings
            .map(|coding| String::from_utf8_lossy(coding.as_bytes()))
            .find(|coding| !coding.eq_ignore_ascii_case("identity"))
        {
            return Err(FileRefusal::openly(
                StorageRefusal::Malformed,
                format_args!(
                    "a file is sent as it is to be had: its Content-Encoding ({coding:?}) would not be said of its downloads"
                ),
            ));
        }
        let md5 = headers.get("content-md5").map(|given| {
            let digest = STANDARD.decode(given).ok();
            let digest = digest.and_then(|digest| digest.try_into().ok());
            digest.ok_or_else(|| refused(StorageRefusal::NoDigest))
        });
        Ok(Self {
            content_type: headers.get(CONTENT_TYPE).and_then(|given| given.to_str().ok()),
            md5: md5.transpose()?,
        })
    }
}

/// A type that can be kept.
pub(super) fn bounded(content_type: &str) -> Option<&str> {
    Some(content_type).filter(|given| given.len() <= LONGEST_TYPE)
}
