//! Why a signature does not match its rawData. Most often the text was changed in transit in one of a few ways; this
//! finds out which, by signing what the text was before.

use std::{borrow::Cow, fmt};

use percent_encoding::percent_decode_str;

use crate::SessionKey;

/// What seems to have happened to rawData, or to its signature, on the way. `Display` names it and the mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RawDataDamage {
    /// The signature is in upper case, or has blanks around it.
    SignatureForm,
    /// A line end was added, as an editor or `echo` does.
    LineEnd,
    /// Blanks around it were added.
    Blanks,
    /// A byte order mark was added.
    ByteOrderMark,
    /// Line feeds became carriage return and line feed.
    CarriageReturns,
    /// Carriage return and line feed became line feeds.
    LineFeeds,
    /// Characters became `\uXXXX`.
    Escaped,
    /// `\uXXXX` became characters.
    Unescaped,
    /// `/` became `\/`.
    EscapedSlashes,
    /// Quotes became `&quot;`, and the like.
    Html,
    /// It was written as a JSON string once more.
    Quoted,
    /// It is still percent-encoded.
    PercentEncoded,
    /// It was parsed and written again, with blanks after commas and colons.
    Spaced,
}

impl fmt::Display for RawDataDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SignatureForm => {
                "it is right but for upper case or blanks around it: compare in lower case, and trim it"
            }
            Self::LineEnd => "it is that of rawData without the line end behind it: an editor or `echo` added one; `printf %s` adds none",
            Self::Blanks => "it is that of rawData without the blanks around it: hand it over as the client API gave it",
            Self::ByteOrderMark => "it is that of rawData without the byte order mark before it: save the file without one",
            Self::CarriageReturns => "it is that of rawData with plain line feeds: something on the way made CRLF of them",
            Self::LineFeeds => "it is that of rawData with CRLF: something on the way made plain line feeds of them",
            Self::Escaped => {
                r"it is that of rawData with characters in the place of its `\u` escapes: it was parsed and written again; hand over the text itself"
            }
            Self::Unescaped => {
                r"it is that of rawData with `\u` escapes in the place of its characters: it was parsed and written again; hand over the text itself"
            }
            Self::EscapedSlashes => {
                r"it is that of rawData with `/` where it has `\/`: it was parsed and written again; hand over the text itself"
            }
            Self::Html => "it is that of rawData with quotes where it has `&quot;`: a page or template escaped it; hand over the text itself",
            Self::Quoted => "it is that of the text within: rawData was written as a JSON string once more; parse it once",
            Self::PercentEncoded => "it is that of rawData decoded: it is percent-encoded still; decode it once",
            Self::Spaced => {
                "it is that of rawData without blanks after commas and colons: it was parsed and written again; hand over the text itself"
            }
        })
    }
}

impl SessionKey {
    /// Where `signature` is not that of `raw_data`: what must have happened to them, so that it is; `None` if nothing that is
    /// known explains it, and most likely the session_key is another.
    ///
    /// For people who look for a fault. A server must not take what is nearly right: it asks [`verify`](Self::verify).
    #[must_use]
    pub fn explain(&self, raw_data: &str, signature: &str) -> Option<RawDataDamage> {
        let signature = signature.trim().to_ascii_lowercase();
        let is_it = |text: &str| self.verify(text, &signature);
        if is_it(raw_data) {
            return Some(RawDataDamage::SignatureForm);
        }
        let line = raw_data.trim_end_matches(['\r', '\n']);
        // A pipe adds a line end to whatever else has happened.
        for text in [raw_data, line] {
            let found = BEFORE.iter().find(|(_, before)| is_it(&before(text)));
            if let Some((damage, _)) = found {
                return Some(*damage);
            }
        }
        None
    }
}

/// What rawData may have been before each damage.
type Before = fn(&str) -> Cow<'_, str>;

const BEFORE: [(RawDataDamage, Before); 13] = [
    (RawDataDamage::LineEnd, |text| {
        text.trim_end_matches(['\r', '\n']).into()
    }),
    (RawDataDamage::ByteOrderMark, |text| {
        text.trim_start_matches('\u{feff}').into()
    }),
    (RawDataDamage::Blanks, |text| text.trim().into()),
    (RawDataDamage::CarriageReturns, |text| {
        text.replace("\r\n", "\n").into()
    }),
    (RawDataDamage::LineFeeds, |text| text.replace('\n', "\r\n").into()),
    (RawDataDamage::EscapedSlashes, |text| {
        text.replace("\\/", "/").into()
    }),
    (RawDataDamage::Escaped, |text| with_characters(text).into()),
    (RawDataDamage::Unescaped, |text| with_escapes(text, false).into()),
    (RawDataDamage::Unescaped, |text| with_escapes(text, true).into()),
    (RawDataDamage::Html, |text| without_entities(text).into()),
    (RawDataDamage::Quoted, |text| {
        json::unescape(text).unwrap_or(Cow::Borrowed(text))
    }),
    (RawDataDamage::PercentEncoded, |text| {
        percent_decode_str(text).decode_utf8_lossy()
    }),
    (RawDataDamage::Spaced, |text| compact(text).into()),
];

/// `\u4e91` to `云`; escapes of what JSON must escape stay.
fn with_characters(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = &rest[at..];
        // Two in a row may be one character.
        let length = [12, 6].into_iter().find(|length| {
            escape.get(..*length).is_some_and(|pair| {
                pair.split("\\u").skip(1).all(|unit| unit.len() == 4)
                    && pair.starts_with("\\u")
                    && unescaped(pair)
                        .is_some_and(|text| text.chars().all(|it| it >= ' ' && !"\"\\".contains(it)))
            })
        });
        match length.and_then(|length| Some((length, unescaped(&escape[..length])?))) {
            Some((length, text)) => {
                out.push_str(&text);
                rest = &escape[length..];
            }
            None => {
                let length = 1 + escape[1..].chars().next().map_or(0, char::len_utf8);
                out.push_str(&escape[..length]);
                rest = &escape[length..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn unescaped(inner: &str) -> Option<String> {
    json::unescape(&format!("\"{inner}\"")).map(Cow::into_owned)
}

/// `云` to `\u4e91`, or `\u4E91`.
fn with_escapes(text: &str, in_upper_case: bool) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for character in text.chars() {
        if character.is_ascii() {
            out.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            out.push_str(&match in_upper_case {
                true => format!("\\u{unit:04X}"),
                false => format!("\\u{unit:04x}"),
            });
        }
    }
    out
}

fn without_entities(text: &str) -> String {
    let quotes = text
        .replace("&quot;", "\"")
        .replace("&#34;", "\"")
        .replace("&#39;", "'");
    quotes
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

/// Without blanks outside of strings.
fn compact(text: &str) -> String {
    let (mut in_string, mut is_escaped) = (false, false);
    let keep = |character: &char| {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if in_string => is_escaped = true,
            '"' => in_string = !in_string,
            _ => {}
        }
        in_string || !matches!(character, ' ' | '\n' | '\r' | '\t')
    };
    text.chars().filter(keep).collect()
}
