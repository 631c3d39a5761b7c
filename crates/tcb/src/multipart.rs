//! `multipart/form-data`, over the whole body: the SDK sends `wx.openApi` and its like so, because they carry bytes.
//!
//! Strict where two readers could disagree (nothing before the first boundary or behind the last, each part named once),
//! and it looks at nothing that the SDK does not send. A part is borrowed from the body.

#[cfg(test)]
mod tests;

use memchr::memmem::{self, Finder};
use thiserror::Error;

/// The headers of one part are at most so many bytes.
const MAX_PART_HEAD: usize = 4096;

/// One part, as it stands in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    pub(crate) name: &'a str,
    pub(crate) filename: Option<&'a str>,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) bytes: &'a [u8],
}

/// Why a body is no multipart form, and the offset in bytes at which it showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the multipart body is malformed: {reason} at byte {offset}")]
pub struct MultipartError {
    /// How many bytes stand before the offending place.
    pub offset: usize,
    /// What is wrong there.
    pub reason: MultipartReason,
}

/// What can be wrong with a multipart body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MultipartReason {
    /// The content type has no `boundary` of 1 to 70 legal characters, or two.
    #[error("the content type names no boundary")]
    Boundary,
    /// A part must begin, or the form end, right there.
    #[error("expected the boundary")]
    ExpectedBoundary,
    /// Behind a boundary stands neither a line end nor `--`.
    #[error("expected a line end or \"--\" behind the boundary")]
    BrokenBoundary,
    /// The body stops inside a part.
    #[error("the body ends inside a part")]
    UnexpectedEnd,
    /// Something follows the last boundary.
    #[error("expected the end of the body")]
    ExpectedEnd,
    /// The part's headers are longer than 4096 bytes.
    #[error("the headers of a part are longer than {MAX_PART_HEAD} bytes")]
    LongHead,
    /// A line of the part's headers is not `Name: value` in UTF-8.
    #[error("expected a header \"Name: value\"")]
    Header,
    /// `Content-Disposition` or `Content-Type` stands there twice.
    #[error("a header of a part stands there twice")]
    HeaderTwice,
    /// The part has no `Content-Disposition: form-data; name="…"`, or an ambiguous one.
    #[error("a part needs one Content-Disposition: form-data; name=\"…\"")]
    Disposition,
    /// The form has more parts than are allowed.
    #[error("too many parts")]
    TooManyParts,
}

/// The parts of a body, at most `limit`; the boundary is in `parameters`, what follows `multipart/form-data`.
pub(crate) fn parts<'a>(
    parameters: &str,
    body: &'a [u8],
    limit: usize,
) -> Result<Vec<Part<'a>>, MultipartError> {
    let fail = |offset, reason| MultipartError { offset, reason };
    let boundary = boundary(parameters).ok_or(fail(0, MultipartReason::Boundary))?;
    let delimiter = format!("\r\n--{boundary}").into_bytes();
    let finder = Finder::new(&delimiter);

    let mut at = delimiter.len() - 2;
    if !body.starts_with(&delimiter[2..]) {
        return Err(fail(0, MultipartReason::ExpectedBoundary));
    }
    let mut parts = Vec::new();
    loop {
        // Behind a boundary.
        match body.get(at..at + 2) {
            Some(b"\r\n") => at += 2,
            Some(b"--") => break,
            _ => return Err(fail(at, MultipartReason::BrokenBoundary)),
        }
        if parts.len() == limit {
            return Err(fail(at, MultipartReason::TooManyParts));
        }
        let window = &body[at..body.len().min(at + MAX_PART_HEAD)];
        let head = memmem::find(window, b"\r\n\r\n").ok_or_else(|| {
            let reason = if window.len() == MAX_PART_HEAD {
                MultipartReason::LongHead
            } else {
                MultipartReason::UnexpectedEnd
            };
            fail(at, reason)
        })?;
        let start = at + head + 4;
        let length = finder
            .find(&body[start..])
            .ok_or(fail(body.len(), MultipartReason::UnexpectedEnd))?;
        let bytes = &body[start..start + length];
        parts.push(part(&window[..head], bytes).map_err(|reason| fail(at, reason))?);
        at = start + length + delimiter.len();
    }
    match &body[at + 2..] {
        b"" | b"\r\n" => Ok(parts),
        _ => Err(fail(at + 2, MultipartReason::ExpectedEnd)),
    }
}

fn part<'a>(head: &'a [u8], bytes: &'a [u8]) -> Result<Part<'a>, MultipartReason> {
    let head = std::str::from_utf8(head).map_err(|_| MultipartReason::Header)?;
    let (mut disposition, mut content_type) = (None, None);
    for line in head.split("\r\n") {
        let (name, value) = line.split_once(':').ok_or(MultipartReason::Header)?;
        let slot = if name.eq_ignore_ascii_case("content-disposition") {
            &mut disposition
        } else if name.eq_ignore_ascii_case("content-type") {
            &mut content_type
        } else {
            continue;
        };
        if slot.replace(value.trim_matches([' ', '\t'])).is_some() {
            return Err(MultipartReason::HeaderTwice);
        }
    }
    let (mut part_name, mut filename) = (None, None);
    let parameters = disposition
        .and_then(|value| value.strip_prefix("form-data"))
        .ok_or(MultipartReason::Disposition)?;
    for parameter in Parameters(parameters) {
        let (name, value) = parameter.ok_or(MultipartReason::Disposition)?;
        let slot = if name.eq_ignore_ascii_case("name") {
            &mut part_name
        } else if name.eq_ignore_ascii_case("filename") {
            &mut filename
        } else {
            continue;
        };
        if slot.replace(value).is_some() {
            return Err(MultipartReason::Disposition);
        }
    }
    Ok(Part {
        name: part_name.ok_or(MultipartReason::Disposition)?,
        filename,
        content_type,
        bytes,
    })
}

/// RFC 2046: 1 to 70 characters of a small set, of which a blank may not be the last.
fn boundary(parameters: &str) -> Option<&str> {
    let mut boundary = None;
    for parameter in Parameters(parameters) {
        let (name, value) = parameter?;
        if name.eq_ignore_ascii_case("boundary") && boundary.replace(value).is_some() {
            return None;
        }
    }
    boundary.filter(|text| {
        (1..=70).contains(&text.len())
            && !text.ends_with(' ')
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte))
    })
}

/// `; name=value; name="value"`. Nothing is an escape within quotes: the SDKs escape nothing there, not even the quotes of a file's name.
/// The one that ends a value has nothing behind it, or the next parameter.
struct Parameters<'a>(&'a str);

impl<'a> Iterator for Parameters<'a> {
    /// `None` in place of a parameter that is malformed; it is the last item then.
    type Item = Option<(&'a str, &'a str)>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = std::mem::take(&mut self.0).trim_matches([' ', '\t']);
        if text.is_empty() {
            return None;
        }
        Some(self.parameter(text))
    }
}

impl<'a> Parameters<'a> {
    fn parameter(&mut self, text: &'a str) -> Option<(&'a str, &'a str)> {
        let (name, rest) = text.strip_prefix(';')?.split_once('=')?;
        let name = name.trim_matches([' ', '\t']);
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let mut quotes = quoted.match_indices('"').map(|(at, _)| at);
                let is_end = |at: &usize| {
                    let behind = quoted[at + 1..].trim_start_matches([' ', '\t']);
                    behind.is_empty() || behind.starts_with(';')
                };
                let end = quotes.find(is_end)?;
                (&quoted[..end], &quoted[end + 1..])
            }
            None => {
                let (token, rest) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
                (token.trim_end_matches([' ', '\t']), rest)
            }
        };
        self.0 = rest;
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_*".contains(&byte);
        (!name.is_empty() && name.bytes().all(token)).then_some((name, value))
    }
}
