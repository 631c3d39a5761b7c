//! What an object store says where it refuses, and what is to be done about it.

use std::error::Error;

use blobs::BlobError;
use reqwest::StatusCode;
use thiserror::Error as ThisError;

use crate::Place;

type Cause = Box<dyn Error + Send + Sync>;

/// Why a bucket could not be used. `Display` is for the operator, and names the setting of `[storage] s3` that is to be looked at.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum S3Error {
    /// Nobody answers.
    #[error(
        "{endpoint} does not answer: see that [storage] s3 endpoint is right, and that this machine reaches it"
    )]
    Unreachable {
        /// The server.
        endpoint: String,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// It answered, and then no more.
    #[error(
        "{endpoint} began to answer, and then said nothing more: see that nothing between it and this machine cuts connections off"
    )]
    Silent {
        /// The server.
        endpoint: String,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// There is no such bucket.
    #[error("{endpoint} has no bucket {bucket:?}: make it there, or name another as [storage] s3 bucket")]
    NoBucket {
        /// The server.
        endpoint: String,
        /// The bucket.
        bucket: String,
    },
    /// It does not know the access key.
    #[error("{endpoint} does not know the access key: see access_key_file of [storage] s3")]
    NoKey {
        /// The server.
        endpoint: String,
    },
    /// The secret key is another's.
    #[error("the secret key is not that of the access key: see secret_key_file of [storage] s3")]
    Signature,
    /// The key may not do it.
    #[error(
        "the access key may not use the bucket {bucket:?}: it wants the rights to list, read, write and remove objects, and to list and \
         abort uploads in parts"
    )]
    Denied {
        /// The bucket.
        bucket: String,
    },
    /// The bucket lies in another region.
    #[error(
        "the bucket {bucket:?} is not in region {region:?}: see region and endpoint of [storage] s3{said}"
    )]
    Region {
        /// The bucket.
        bucket: String,
        /// What was said.
        region: String,
        /// What the server says of it.
        said: String,
    },
    /// This machine's clock is wrong.
    #[error(
        "this machine's clock and that of {endpoint} are too far apart for a signature: set this machine's clock, best by NTP"
    )]
    Clock {
        /// The server.
        endpoint: String,
    },
    /// It has too much to do.
    #[error(
        "{endpoint} has too much to do ({code}): try again later, and have its operator raise its limits if it stays so"
    )]
    Overloaded {
        /// The server.
        endpoint: String,
        /// Its code.
        code: String,
    },
    /// Something else.
    #[error("{endpoint} answered {status}{code}: {message}")]
    Refused {
        /// The server.
        endpoint: String,
        /// Its HTTP status, where there was one.
        status: String,
        /// Its code, after a blank.
        code: String,
        /// Its text.
        message: String,
        /// Why.
        #[source]
        cause: Option<Cause>,
    },
}

impl From<S3Error> for BlobError {
    fn from(error: S3Error) -> Self {
        Self::Failed(error.into())
    }
}

impl S3Error {
    /// What the client of object stores says. It keeps status and text in errors that have no names, so these are found in its words.
    pub(crate) fn of(error: object_store::Error, place: &Place) -> Self {
        let denied = matches!(
            error,
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. }
        );
        let mut next: Option<&(dyn Error + 'static)> = Some(&error);
        let mut text = String::new();
        while let Some(cause) = next {
            if let Some(http) = cause.downcast_ref::<reqwest::Error>() {
                // A request that was sent and never answered fails as a request, too.
                let begun = http.is_body() || http.is_decode();
                return Self::unanswered(error.into(), begun, place);
            }
            text = cause.to_string();
            next = cause.source();
        }
        let status = match denied {
            true => Some(StatusCode::FORBIDDEN),
            false => status_in(&text),
        };
        Self::refused(status, &text, place, Some(error.into()))
    }

    /// What a request of our own says that came to nothing.
    pub(crate) fn failed(error: reqwest::Error, place: &Place) -> Self {
        let begun = error.is_body() || error.is_decode();
        Self::unanswered(error.into(), begun, place)
    }

    fn unanswered(cause: Cause, begun: bool, place: &Place) -> Self {
        let endpoint = place.endpoint.clone();
        match begun {
            true => Self::Silent { endpoint, cause },
            false => Self::Unreachable { endpoint, cause },
        }
    }

    /// Whether the server does not know what it was asked to do.
    pub(crate) fn is_not_implemented(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if status.starts_with("501"))
    }

    /// Whether the same may succeed a moment later.
    pub(crate) const fn is_of_the_moment(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Silent { .. } | Self::Overloaded { .. }
        )
    }

    /// Whether what was asked for may have been done all the same: its answer was lost, or it was asked for again since.
    pub(crate) fn may_be_of_a_lost_answer(&self) -> bool {
        let is_gone = matches!(self, Self::Refused { code, .. } if code == " NoSuchUpload");
        is_gone || self.is_of_the_moment()
    }

    /// What a server's refusal means.
    pub(crate) fn refused(
        status: Option<StatusCode>,
        text: &str,
        place: &Place,
        cause: Option<Cause>,
    ) -> Self {
        let (endpoint, bucket) = (place.endpoint.clone(), place.bucket.clone());
        let code = element(text, "Code");
        match code {
            "NoSuchBucket" => Self::NoBucket { endpoint, bucket },
            "InvalidAccessKeyId" => Self::NoKey { endpoint },
            "SignatureDoesNotMatch" => Self::Signature,
            "AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraintException" => {
                let region = element(text, "Region");
                Self::Region {
                    bucket,
                    region: place.region.clone(),
                    said: match region {
                        "" => String::new(),
                        region => format!("; the server says {region:?}"),
                    },
                }
            }
            "" if text.contains("incorrectly configured region") => Self::Region {
                bucket,
                region: place.region.clone(),
                said: String::new(),
            },
            "RequestTimeTooSkewed" => Self::Clock { endpoint },
            "SlowDown" | "ServiceUnavailable" | "Throttling" | "RequestLimitExceeded" => Self::Overloaded {
                endpoint,
                code: code.to_owned(),
            },
            "AccessDenied" => Self::Denied { bucket },
            "" if matches!(status, Some(StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED)) => {
                Self::Denied { bucket }
            }
            code => Self::Refused {
                endpoint,
                status: status.map_or_else(|| "something else".to_owned(), |status| status.to_string()),
                code: match code {
                    "" => String::new(),
                    code => format!(" {code}"),
                },
                message: match element(text, "Message") {
                    "" => shortened(text),
                    message => message.to_owned(),
                },
                cause,
            },
        }
    }
}

/// What stands in an element that has no other in it; nothing where there is none.
pub(crate) fn element<'a>(text: &'a str, name: &str) -> &'a str {
    let found = text
        .split_once(&format!("<{name}>"))
        .and_then(|(_, rest)| rest.split_once(&format!("</{name}>")));
    found.map_or("", |(content, _)| content.trim())
}

/// The status in `Server returned non-2xx status code: 503 Service Unavailable: …`.
fn status_in(text: &str) -> Option<StatusCode> {
    let (_, rest) = text.split_once("status code: ")?;
    StatusCode::from_bytes(rest.get(..3)?.as_bytes()).ok()
}

/// Whatever answers where no S3 is, may say much.
fn shortened(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
