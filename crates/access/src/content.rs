//! The body of a reply, as it lies in the function's result: a slice of JSON text, which is decoded piece by piece while it is sent. So a
//! large image is in memory once, and not a second time as what it is.

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use memchr::memchr;

/// About how much of the result is decoded at a time. It is a multiple of four, so that base64 can be cut there.
pub const PIECE: usize = 64 << 10;

/// Decodes base64 up to its last piece: there is no padding in it.
const INNER: GeneralPurpose = engine(DecodePaddingMode::RequireNone);
/// Decodes the last piece of base64, with padding or without.
const LAST: GeneralPurpose = engine(DecodePaddingMode::Indifferent);

const fn engine(padding: DecodePaddingMode) -> GeneralPurpose {
    // Bits beyond the last byte are of no account to Node, and so not to us.
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(padding)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&STANDARD, config)
}

/// A body that was checked: it will come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyContent {
    kind: Kind,
    length: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// The bytes themselves.
    Plain(Bytes),
    /// What stands between the quotes of a JSON string that has escapes.
    Escaped(Bytes),
    /// Base64.
    Base64(Bytes),
}

impl ReplyContent {
    /// Nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self::plain(Bytes::new())
    }

    /// These bytes.
    pub(crate) fn plain(bytes: Bytes) -> Self {
        Self {
            length: bytes.len() as u64,
            kind: Kind::Plain(bytes),
        }
    }

    /// The text of a JSON string, whose `literal` with its quotes is a part of `result`.
    pub(crate) fn text(result: &Bytes, literal: &str) -> Self {
        let inner = literal
            .get(1..literal.len().saturating_sub(1))
            .unwrap_or_default();
        let bytes = result.slice_ref(inner.as_bytes());
        if memchr(b'\\', &bytes).is_none() {
            return Self::plain(bytes);
        }
        let kind = Kind::Escaped(bytes);
        let length = Pieces(kind.clone()).map(|piece| piece.len() as u64).sum();
        Self { kind, length }
    }

    /// What a JSON string holds in base64. `None` where it is no base64.
    pub(crate) fn base64(result: &Bytes, literal: &str) -> Option<Self> {
        let text = Self::text(result, literal);
        let encoded = match text.kind {
            // Nobody escapes base64 but by hand.
            Kind::Escaped(_) => Bytes::from(Pieces(text.kind).flatten().collect::<Vec<_>>()),
            Kind::Plain(bytes) | Kind::Base64(bytes) => bytes,
        };
        let mut length = 0;
        let mut rest = &encoded[..];
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(PIECE.min(rest.len()));
            length += decode(piece, behind.is_empty())?.len() as u64;
            rest = behind;
        }
        Some(Self {
            kind: Kind::Base64(encoded),
            length,
        })
    }

    /// Its length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The body, piece by piece.
    #[must_use]
    pub fn into_pieces(self) -> Pieces {
        Pieces(self.kind)
    }
}

fn decode(piece: &[u8], last: bool) -> Option<Vec<u8>> {
    let engine = if last { LAST } else { INNER };
    engine.decode(piece).ok()
}

/// A body on its way out. None of its pieces is empty.
#[derive(Clone, Debug)]
pub struct Pieces(Kind);

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        match &mut self.0 {
            Kind::Plain(rest) => {
                let piece = rest.split_to(PIECE.min(rest.len()));
                (!piece.is_empty()).then_some(piece)
            }
            Kind::Escaped(rest) => {
                let end = cut(rest, PIECE);
                let piece = rest.split_to(end);
                let mut literal = Vec::with_capacity(piece.len() + 2);
                literal.push(b'"');
                literal.extend_from_slice(&piece);
                literal.push(b'"');
                // It is a part of a text that was checked, cut where no character and no escape is.
                let literal = String::from_utf8(literal).ok()?;
                let text = json::unescape_lossy(&literal).into_owned();
                (!text.is_empty()).then(|| Bytes::from(text))
            }
            Kind::Base64(rest) => {
                let piece = rest.split_to(PIECE.min(rest.len()));
                let decoded = decode(&piece, rest.is_empty())?;
                (!decoded.is_empty()).then(|| Bytes::from(decoded))
            }
        }
    }
}

/// How much of the inner part of a JSON string may be taken by itself: about `wanted` bytes, and neither a part of a
/// character nor of an escape, nor one half of two that make one character.
fn cut(inner: &[u8], wanted: usize) -> usize {
    let mut at = 0;
    while at < wanted.min(inner.len()) {
        match memchr(b'\\', &inner[at..]).map(|found| at + found) {
            Some(escape) if escape < wanted => {
                at = escape + escape_length(inner, escape);
            }
            _ => {
                let mut end = wanted.min(inner.len());
                // A character has at most three bytes that do not begin it.
                while end < inner.len() && inner[end] & 0xc0 == 0x80 {
                    end += 1;
                }
                return end;
            }
        }
    }
    at.min(inner.len())
}

/// The length of the escape at `at`, with the second half of a surrogate pair.
fn escape_length(inner: &[u8], at: usize) -> usize {
    let unit = |at: usize| {
        let digits = inner.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    match (unit(at), unit(at + 6)) {
        (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
        (Some(_), _) => 6,
        (None, _) => 2,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use base64::prelude::BASE64_STANDARD;
    use proptest::prelude::*;

    use super::*;

    fn whole(content: ReplyContent) -> Vec<u8> {
        let length = content.length();
        let bytes: Vec<u8> = content.into_pieces().flatten().collect();
        assert_eq!(bytes.len() as u64, length);
        bytes
    }

    fn result(literal: &str) -> (Bytes, &str) {
        (Bytes::copy_from_slice(literal.as_bytes()), literal)
    }

    fn text(literal: &str) -> Vec<u8> {
        let bytes = Bytes::copy_from_slice(literal.as_bytes());
        let literal = std::str::from_utf8(&bytes).unwrap();
        whole(ReplyContent::text(&bytes, literal))
    }

    fn base64(literal: &str) -> Option<Vec<u8>> {
        let bytes = Bytes::copy_from_slice(literal.as_bytes());
        let literal = std::str::from_utf8(&bytes).unwrap();
        ReplyContent::base64(&bytes, literal).map(whole)
    }

    #[test]
    fn text_is_what_the_string_means() {
        assert_eq!(text(r#""""#), b"");
        assert_eq!(text(r#""a\n\"\\\u4e2d\ud83d\ude00""#), "a\n\"\\中😀".as_bytes());
        assert_eq!(text(r#""\ud83d\u0041\ude00""#), "\u{fffd}A\u{fffd}".as_bytes());
        let (bytes, literal) = result("\"plain\"");
        let inner = std::str::from_utf8(&bytes).unwrap();
        let content = ReplyContent::text(&bytes, inner);
        assert_eq!(
            content.kind,
            Kind::Plain(bytes.slice(1..literal.len() - 1)),
            "nothing is copied"
        );
    }

    #[test]
    fn base64_that_is_none_is_refused() {
        assert_eq!(base64("\"aGk=\"").unwrap(), b"hi");
        assert_eq!(base64("\"aGk\"").unwrap(), b"hi", "without padding");
        assert_eq!(base64("\"\"").unwrap(), b"");
        assert_eq!(base64(r#""\u0061Gk=""#).unwrap(), b"hi");
        assert_eq!(base64(r#""\/\/8=""#).unwrap(), b"\xff\xff");
        for literal in [
            "\"a\"",
            "\"a=bc\"",
            "\"aGk=aGk=\"",
            "\"data:image/png;base64,aGk=\"",
            "\"中文\"",
            "\"aG k=\"",
        ] {
            assert_eq!(base64(literal), None, "{literal}");
        }
        // Padding where one piece ends and another begins.
        let inside = format!("\"{}aGk={}\"", "A".repeat(PIECE - 4), "AAAA");
        assert_eq!(base64(&inside), None);
    }

    proptest! {
        #[test]
        fn pieces_are_the_whole(parts in prop::collection::vec("[a-z\u{4e2d}\u{1f600}\"\\\\\n\u{1}]{0,9}", 1..40), filler in 0..5_usize) {
            // Long enough to be cut, with what must not be cut around the place.
            let mut value = "x".repeat(PIECE - 40 + filler);
            value.extend(parts.iter().map(String::as_str));
            value.push_str(&"\u{1f600}\\".repeat(20));
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\u{1}', "\\u0001").replace('\u{1f600}', "\\ud83d\\ude00");
            prop_assert_eq!(text(&format!("\"{escaped}\"")), value.as_bytes());
        }

        #[test]
        fn bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..2 * PIECE)) {
            prop_assert_eq!(base64(&format!("\"{}\"", BASE64_STANDARD.encode(&bytes))).unwrap(), bytes);
        }
    }
}
