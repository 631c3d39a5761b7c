//! The head of a reply that shows a file, whatever it is kept in: status, validators, ranges.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{
        ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
        IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
    },
};

use crate::{ConditionOutcome, Conditions, Entity, Part};

/// What a request for a file is answered, but for its content and for what is said of its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileHead {
    /// 200, 206, 304, 412 or 416.
    pub status: StatusCode,
    /// Validators, the range, and where something is shown its length.
    pub headers: HeaderMap,
    /// What is shown: the whole file where it is `None`.
    pub part: Option<Part>,
}

impl FileHead {
    /// What `entity` is answered to a request of this method with these headers.
    #[must_use]
    pub fn of(method: &Method, sent: &HeaderMap, entity: Entity<'_>) -> Self {
        let header = |name: HeaderName| sent.get(name).and_then(|value| value.to_str().ok());
        let conditions = Conditions {
            range: header(RANGE).filter(|_| *method == Method::GET),
            if_range: header(IF_RANGE),
            if_match: header(IF_MATCH),
            if_none_match: header(IF_NONE_MATCH),
            if_modified_since: header(IF_MODIFIED_SINCE),
            if_unmodified_since: header(IF_UNMODIFIED_SINCE),
        };
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        let mut set = |name: HeaderName, value: String| {
            // None of these holds what no header can.
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        };
        set(ETAG, format!("\"{}\"", entity.etag));
        set(LAST_MODIFIED, httpdate::fmt_http_date(entity.modified));
        let (status, part) = match conditions.judge(entity) {
            ConditionOutcome::Whole => (StatusCode::OK, None),
            ConditionOutcome::Part(part) => {
                let range = format!("bytes {}-{}/{}", part.first, part.last, entity.length);
                set(CONTENT_RANGE, range);
                (StatusCode::PARTIAL_CONTENT, Some(part))
            }
            ConditionOutcome::Nothing => (StatusCode::NOT_MODIFIED, None),
            ConditionOutcome::NoSuchPart => {
                set(CONTENT_RANGE, format!("bytes */{}", entity.length));
                (StatusCode::RANGE_NOT_SATISFIABLE, None)
            }
            ConditionOutcome::Another => (StatusCode::PRECONDITION_FAILED, None),
        };
        if status.is_success() {
            let length = part.map_or(entity.length, Part::length);
            headers.insert(CONTENT_LENGTH, length.into());
        }
        Self {
            status,
            headers,
            part,
        }
    }
}
