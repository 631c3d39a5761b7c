//! Text as JavaScript sees it, where that differs from Rust: the SDK signs what JavaScript made of its fields.

use std::{borrow::Cow, fmt::Write};

/// `String.prototype.trim`: it takes U+FEFF for a blank and U+0085 for none, `str::trim` the other way round.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(|char: char| char == '\u{feff}' || char.is_whitespace() && char != '\u{85}')
}

/// The text of a checked JSON string literal as UTF-8 output would show it: a lone surrogate becomes U+FFFD.
pub(crate) fn unescape(raw: &str) -> Cow<'_, str> {
    json::unescape(raw)
        .or_else(|| json::unescape(&without_lone_surrogates(raw)).map(|text| Cow::Owned(text.into_owned())))
        .unwrap_or_default()
}

/// The same literal, with `\ufffd` for each escaped half of a surrogate pair that stands alone.
fn without_lone_surrogates(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match code_unit(rest) {
            Some(0xd800..0xdc00) if matches!(rest.get(6..).and_then(code_unit), Some(0xdc00..0xe000)) => 12,
            Some(0xd800..0xe000) => {
                out.push_str("\\ufffd");
                rest = &rest[6..];
                continue;
            }
            Some(_) => 6,
            // Behind the backslash stands one ASCII character: the literal was checked.
            None => 2,
        };
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

/// The number in the escape `\u…` that the text begins with, if it does.
fn code_unit(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

/// `encodeURIComponent`, and `!'()*` as well: all but letters, digits and `-_.~` becomes `%XX`.
pub(crate) fn encode_uri_component(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Node 20 answers to `s.trim()`.
    #[test]
    fn trims_what_javascript_trims() {
        let blanks =
            "\t\n\u{b}\u{c}\r \u{a0}\u{1680}\u{2000}\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}\u{feff}";
        assert_eq!(
            trim(&format!("{blanks}a{blanks}b{blanks}")),
            format!("a{blanks}b")
        );
        for kept in ["\u{85}", "\u{180e}", "\u{200b}", "\u{2060}", "\u{0}", "\u{1f}"] {
            assert_eq!(trim(kept), kept);
        }
    }

    #[test]
    fn a_lone_surrogate_becomes_the_replacement_character() {
        for (raw, text) in [
            (r#""""#, ""),
            (r#""plain 中""#, "plain 中"),
            (r#""a\ud83d\ude00b""#, "a😀b"),
            (r#""a\ud83d""#, "a\u{fffd}"),
            (r#""\ude00\ud83d\ud83d\ude00\n""#, "\u{fffd}\u{fffd}😀\n"),
            (r#""\\ud800\ud800\\""#, "\\ud800\u{fffd}\\"),
            (r#""\uDBFF\u0041\uDFFF中""#, "\u{fffd}A\u{fffd}中"),
        ] {
            assert_eq!(unescape(raw), text, "{raw}");
        }
    }

    #[test]
    fn encodes_as_the_old_sdk_does() {
        assert_eq!(
            encode_uri_component("aZ09-_.~ !'()*&=;/?:@+$,#%\"中😀\n"),
            "aZ09-_.~%20%21%27%28%29%2A%26%3D%3B%2F%3F%3A%40%2B%24%2C%23%25%22%E4%B8%AD%F0%9F%98%80%0A"
        );
    }
}
