//! What storage says where it refuses, in both ways: as XML, where a file is sent or fetched, and by the codes of its actions.

use std::fmt::Write;

/// Why storage refuses something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StorageRefusal {
    /// The address allows something else, or no longer.
    NoRight,
    /// There is no such file.
    NoFile,
    /// There is one already that is not to be written over.
    Exists,
    /// It is larger than files may be here.
    TooLarge,
    /// There is no more room: the disk is full, or the project's quota is used up.
    NoRoom,
    /// Storage does not know such a request.
    Malformed,
    /// The bytes did not come in time, or not as many as were announced.
    Incomplete,
    /// The request does not say how long it is.
    NoLength,
    /// The digest in the request is none.
    NoDigest,
    /// The bytes are not those of which the digest in the request is.
    WrongDigest,
    /// So much comes at once that it has to come later.
    Busy,
    /// Something failed here.
    Failed,
}

impl StorageRefusal {
    /// HTTP's status.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::NoRight => 403,
            Self::NoFile => 404,
            Self::Exists => 409,
            Self::TooLarge => 413,
            Self::Malformed | Self::Incomplete | Self::NoDigest | Self::WrongDigest => 400,
            Self::NoLength => 411,
            Self::NoRoom => 507,
            Self::Busy => 503,
            Self::Failed => 500,
        }
    }

    /// The code in the XML, as the object store below the platform's storage names it.
    #[must_use]
    pub fn xml_code(self) -> &'static str {
        match self {
            Self::NoRight => "AccessDenied",
            Self::NoFile => "NoSuchKey",
            Self::Exists => "FileAlreadyExists",
            Self::TooLarge => "EntityTooLarge",
            Self::NoRoom => "InsufficientStorage",
            Self::Malformed => "InvalidArgument",
            Self::Incomplete => "IncompleteBody",
            Self::NoLength => "MissingContentLength",
            Self::NoDigest => "InvalidDigest",
            Self::WrongDigest => "BadDigest",
            Self::Busy => "SlowDown",
            Self::Failed => "InternalError",
        }
    }

    /// The code of one file in the answer of a storage action.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NoRight => "STORAGE_EXCEED_AUTHORITY",
            Self::NoFile => "STORAGE_FILE_NONEXIST",
            Self::Malformed | Self::NoLength | Self::NoDigest => "INVALID_PARAM",
            Self::Exists
            | Self::TooLarge
            | Self::NoRoom
            | Self::Incomplete
            | Self::WrongDigest
            | Self::Busy
            | Self::Failed => "STORAGE_REQUEST_FAIL",
        }
    }

    /// The text that stands beside the code.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::NoRight => "Have no access right to the storage",
            Self::NoFile => "storage file not exists",
            Self::Exists => "there is a file of this name already",
            Self::TooLarge => "the file is larger than files may be here",
            Self::NoRoom => "there is no room left for this file",
            Self::Malformed => "the request is no upload and no download",
            Self::Incomplete => "the file did not come whole, or not in time",
            Self::NoLength => "a request with a file needs Content-Length or Transfer-Encoding",
            Self::NoDigest => "Content-MD5 is not the base64 of 16 bytes",
            Self::WrongDigest => "what came is not what Content-MD5 is of",
            Self::Busy => "storage has too much to do: send it again later",
            Self::Failed => "storage failed",
        }
    }

    /// The body of a reply. The SDKs want all four elements, and take whatever is not empty for a failure.
    #[must_use]
    pub fn xml(self, message: &str, request_id: &str) -> String {
        let mut xml = String::from("<?xml version='1.0' encoding='utf-8' ?>\n<Error>");
        for (name, text) in [
            ("Code", self.xml_code()),
            ("Message", message),
            ("RequestId", request_id),
            ("TraceId", request_id),
        ] {
            // Writing to a String cannot fail.
            let _ = write!(xml, "<{name}>");
            escape(&mut xml, text);
            let _ = write!(xml, "</{name}>");
        }
        xml.push_str("</Error>");
        xml
    }
}

/// Text between tags. XML has no way to write most control characters.
fn escape(xml: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            control if control.is_control() => xml.push('\u{fffd}'),
            other => xml.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_four_elements_stand_in_the_xml() {
        assert_eq!(
            StorageRefusal::NoFile.xml("no <a & b>\u{1}", "r1"),
            "<?xml version='1.0' encoding='utf-8' ?>\n<Error><Code>NoSuchKey</Code><Message>no &lt;a &amp; \
             b&gt;\u{fffd}</Message><RequestId>r1</RequestId><TraceId>r1</TraceId></Error>"
        );
    }
}
