//! What makes a browser show a page anew while it is developed: a script in each document, from the page's own origin, so that a policy of
//! the page's for scripts (`script-src 'self'`) lets it run. vite and miniflare do the same.

use bytes::Bytes;

/// The document with one more script, before the end of its body where that is marked. One in UTF-16 stays as it is: there the script
/// would be other letters.
pub(crate) fn with_script(document: &Bytes, script: &str) -> Bytes {
    const END: &[u8] = b"</body";
    if document.starts_with(b"\xff\xfe") || document.starts_with(b"\xfe\xff") {
        return document.clone();
    }
    let at = document
        .windows(END.len())
        .rposition(|window| window.eq_ignore_ascii_case(END))
        .unwrap_or(document.len());
    let (before, after) = document.split_at(at);
    [before, script.as_bytes(), after].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_stands_in_the_body() {
        for (document, expected) in [
            ("<body>a</BODY></html>", "<body>a<s></BODY></html>"),
            ("<body>'</body>' </body >", "<body>'</body>' <s></body >"),
            ("no body", "no body<s>"),
            ("", "<s>"),
        ] {
            let found = with_script(&Bytes::from_static(document.as_bytes()), "<s>");
            assert_eq!(found, expected.as_bytes());
        }
        let utf16 = Bytes::from_static(b"\xff\xfe<\0p\0>\0");
        assert_eq!(with_script(&utf16, "<s>"), utf16);
    }
}
