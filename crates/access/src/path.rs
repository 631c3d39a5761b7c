//! The path of a request, taken apart. Routes are judged by what the segments mean, since that is what a function's own router
//! judges by: an `/%61dmin` that is not `/admin` here and is there would go round the login that `/admin` asks for.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use thiserror::Error;

/// A path that every client may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestPath<'a> {
    raw: &'a str,
    segments: Vec<Segment<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Segment<'a> {
    /// Where its slash stands in the raw path.
    at: usize,
    /// What it means.
    meaning: Cow<'a, [u8]>,
}

/// Why a path is not taken. `Display` is the text for who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PathFault {
    /// It is an authority, or `*`.
    #[error("the request's target must be a path that begins with `/`")]
    NoPath,
    /// A segment is `.` or `..`, which every browser resolves before it sends a path.
    #[error("the path has a segment `.` or `..`: send it resolved")]
    Dots,
    /// A segment has a NUL in it.
    #[error("the path has a NUL character in it")]
    Nul,
}

impl<'a> RequestPath<'a> {
    /// Takes apart what stands between the host and the query.
    ///
    /// # Errors
    /// What no client has a reason to send.
    pub fn parse(raw: &'a str) -> Result<Self, PathFault> {
        let Some(inner) = raw.strip_prefix('/') else {
            return Err(PathFault::NoPath);
        };
        let mut at = 0;
        let mut segments = Vec::new();
        for text in inner.split('/') {
            let meaning = Cow::from(percent_decode_str(text));
            // Programs decode a path and resolve it then: an encoded slash leads as far as a plain one.
            let mut parts = meaning.split(|byte| matches!(byte, b'/' | b'\\'));
            if parts.any(|part| matches!(part, b"." | b"..")) {
                return Err(PathFault::Dots);
            }
            if meaning.contains(&0) {
                return Err(PathFault::Nul);
            }
            segments.push(Segment { at, meaning });
            at += 1 + text.len();
        }
        // The slash at the end begins no segment.
        if segments.last().is_some_and(|last| last.meaning.is_empty()) {
            segments.pop();
        }
        Ok(Self { raw, segments })
    }

    /// As it was sent.
    #[must_use]
    pub fn raw(&self) -> &'a str {
        self.raw
    }

    /// What its segments mean, from the first to the last; what follows a slash at the end is none.
    #[must_use]
    pub fn segments(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.segments.iter().map(|segment| &*segment.meaning)
    }

    /// Whether it ends in a slash, as the address of a folder does.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.raw.ends_with('/')
    }

    /// What is left behind the first segments, as it was sent; it begins with a slash.
    pub(crate) fn behind(&self, segments: usize) -> &'a str {
        let at = self.segments.get(segments).map(|segment| segment.at);
        at.map_or("/", |at| &self.raw[at..])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn segments(raw: &str) -> Vec<String> {
        let path = RequestPath::parse(raw).unwrap();
        path.segments()
            .map(|segment| String::from_utf8_lossy(segment).into_owned())
            .collect()
    }

    #[test]
    fn segments_are_what_they_mean() {
        assert_eq!(segments("/"), [""; 0]);
        assert_eq!(segments("/a/b"), ["a", "b"]);
        assert_eq!(segments("/a/b/"), ["a", "b"]);
        assert_eq!(segments("/%61/%E5%A4%B4%2Fx"), ["a", "头/x"]);
        assert_eq!(segments("//a//"), ["", "a", ""]);
        assert_eq!(segments("/%zz%4"), ["%zz%4"]);
    }

    #[test]
    fn what_no_browser_sends_is_refused() {
        for (raw, fault) in [
            ("", PathFault::NoPath),
            ("*", PathFault::NoPath),
            ("a/b", PathFault::NoPath),
            ("/a/../b", PathFault::Dots),
            ("/a/%2e%2E", PathFault::Dots),
            ("/.", PathFault::Dots),
            ("/.%2e/x", PathFault::Dots),
            ("/x%2F..%2Fadmin", PathFault::Dots),
            ("/%2e%2fadmin", PathFault::Dots),
            ("/x%5C..%5Cadmin", PathFault::Dots),
            ("/a%00.html", PathFault::Nul),
        ] {
            assert_eq!(RequestPath::parse(raw), Err(fault), "{raw}");
        }
        for raw in ["/...", "/..a", "/a..", "/.well-known/x"] {
            assert!(RequestPath::parse(raw).is_ok(), "{raw}");
        }
    }
}
