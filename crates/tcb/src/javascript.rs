//! Text as JavaScript sees it, where that differs from Rust: the SDK signs what JavaScript made of its fields.

use std::fmt::Write;

/// `String.prototype.trim`: it takes U+FEFF for a blank and U+0085 for none, `str::trim` the other way round.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(|char: char| char == '\u{feff}' || char.is_whitespace() && char != '\u{85}')
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
    fn encodes_as_the_old_sdk_does() {
        assert_eq!(
            encode_uri_component("aZ09-_.~ !'()*&=;/?:@+$,#%\"中😀\n"),
            "aZ09-_.~%20%21%27%28%29%2A%26%3D%3B%2F%3F%3A%40%2B%24%2C%23%25%22%E4%B8%AD%F0%9F%98%80%0A"
        );
    }
}
