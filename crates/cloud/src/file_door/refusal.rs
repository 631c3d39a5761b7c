//! Why a request at the door of files came to nothing, and how that is answered.

use std::fmt::Display;

use blobs::BlobError;
use causes::with_causes;
use files::StorageRefusal;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CONNECTION, CONTENT_TYPE},
};

use super::display::whole;
use crate::CloudAnswerBody;

/// Why a request at the door came to nothing: what the client is told, and what the log is.
pub(super) struct FileRefusal {
    pub(super) refusal: StorageRefusal,
    /// For the client, where that is more than every refusal of the kind says.
    pub(super) told: Option<String>,
    pub(super) why: String,
}

impl FileRefusal {
    pub(super) fn new(refusal: StorageRefusal, why: impl Display) -> Self {
        Self {
            refusal,
            told: None,
            why: why.to_string(),
        }
    }

    /// The client and the log are told the same.
    pub(super) fn openly(refusal: StorageRefusal, why: impl Display) -> Self {
        let why = why.to_string();
        Self {
            refusal,
            told: Some(why.clone()),
            why,
        }
    }
}

impl From<BlobError> for FileRefusal {
    fn from(error: BlobError) -> Self {
        Self::new(error.refusal(), with_causes(&error))
    }
}

pub(super) fn refused(refusal: StorageRefusal, text: &str, request_id: &str) -> Response<CloudAnswerBody> {
    let mut response = Response::new(whole(refusal.xml(text, request_id).into()));
    *response.status_mut() =
        StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = HeaderValue::from_static("application/xml");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    if refusal == StorageRefusal::NoLength {
        // A body that follows all the same is no other request.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}
