//! What a file is, by its name and by what it begins with; and how a browser may show it.

const UNKNOWN: &str = "application/octet-stream";

/// So many bytes of a file, from its beginning, tell in which encoding its text is.
pub const TELLING: usize = 16 << 10;
/// So many of those of a page may say it in words, as browsers read them.
const SAID: usize = 1024;

/// The type of a file by the ending of its name, as the platform's object store gives it: `application/octet-stream` for one that nobody
/// knows. Text is UTF-8, unless what it `begins` with (up to [`TELLING`] bytes) shows or says another encoding: a header goes before what a
/// page says of itself, so it is left out then. The platform says none of any text.
#[must_use]
pub fn content_type(name: &str, begins: &[u8]) -> String {
    if ending(name).is_some_and(|ending| ending.eq_ignore_ascii_case("amr")) {
        // What WeChat records.
        return "audio/amr".to_owned();
    }
    let guessed = mime_guess::from_path(name).first_or_octet_stream();
    match is_text(guessed.essence_str()) && guessed.get_param("charset").is_none() && is_utf8(begins) {
        true => format!("{guessed}; charset=utf-8"),
        false => guessed.to_string(),
    }
}

fn ending(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(_, ending)| ending)
}

/// What a file is shown as: the type by its name, else what whoever sent it said.
#[must_use]
pub fn shown_type(name: &str, given: Option<&str>, begins: &[u8]) -> String {
    match (content_type(name, begins), given) {
        (by_name, Some(given)) if by_name == UNKNOWN => given.to_owned(),
        (by_name, _) => by_name,
    }
}

/// Whether what a file of this type begins with has a say in how it is shown.
#[must_use]
pub fn is_text(content_type: &str) -> bool {
    content_type.starts_with("text/")
}

/// Whether text that begins so may be called UTF-8.
fn is_utf8(begins: &[u8]) -> bool {
    let begins = begins.get(..TELLING).unwrap_or(begins);
    if begins.is_ascii() {
        // UTF-16 has zeros.
        return !begins.contains(&0)
            && said_encoding(begins).is_none_or(|said| said == "utf-8" || said == "utf8");
    }
    match std::str::from_utf8(begins) {
        Ok(_) => true,
        // The last character goes on behind what was looked at; where there is none before it, only if something may follow.
        Err(error) => {
            let whole = begins.get(..error.valid_up_to()).unwrap_or_default();
            error.error_len().is_none() && (begins.len() == TELLING || !whole.is_ascii())
        }
    }
}

/// The encoding of which a page says that it has it: `<meta charset=gbk>`, `<meta … content="text/html; charset=gbk">`,
/// `<?xml … encoding="gbk"?>`, `@charset "gbk";`.
fn said_encoding(begins: &[u8]) -> Option<String> {
    let begins = begins.get(..SAID).unwrap_or(begins);
    let text = String::from_utf8_lossy(begins).to_ascii_lowercase();
    let behind = ["charset", "encoding"].iter().find_map(|word| {
        text.match_indices(word).find_map(|(at, word)| {
            let behind = text.get(at + word.len()..)?;
            let rest = behind.trim_start();
            let label = match rest.strip_prefix('=') {
                Some(rest) => rest.trim_start().trim_start_matches(['"', '\'']),
                // Of CSS; in words of a text it is no statement.
                None if text.starts_with("@charset \"") => rest.strip_prefix('"')?,
                None => return None,
            };
            Some(label)
        })
    })?;
    let label =
        behind.split(|character: char| !character.is_ascii_alphanumeric() && !"-_".contains(character));
    label.map(str::to_owned).next().filter(|label| !label.is_empty())
}

/// How a browser may show a file that anybody may have uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Showing {
    /// As what it is: nothing in it runs.
    Inline,
    /// It is only handed over to be kept: a browser would run what is in it.
    Attachment,
}

/// How a file of a type may be shown. HTML, SVG and whatever is XML can hold a script, and PDF and Flash have had their own.
#[must_use]
pub fn showing(content_type: &str) -> Showing {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    let (kind, of_kind) = essence.split_once('/').unwrap_or((&essence, ""));
    let shown = match kind {
        // Of several types in one header browsers take the last.
        _ if content_type.contains(',') => false,
        "image" | "audio" | "video" | "font" => !of_kind.ends_with("xml"),
        "text" => matches!(of_kind, "plain" | "csv" | "markdown" | "css"),
        "application" => matches!(of_kind, "json" | "ogg" | "octet-stream"),
        _ => false,
    };
    match shown {
        true => Showing::Inline,
        false => Showing::Attachment,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_by_name() {
        for (name, expected, how) in [
            ("a.png", "image/png", Showing::Inline),
            ("A.JPG", "image/jpeg", Showing::Inline),
            ("a.webp", "image/webp", Showing::Inline),
            ("a.mp4", "video/mp4", Showing::Inline),
            ("a.txt", "text/plain; charset=utf-8", Showing::Inline),
            ("a.json", "application/json", Showing::Inline),
            ("a.html", "text/html; charset=utf-8", Showing::Attachment),
            ("a.xhtml", "application/xhtml+xml", Showing::Attachment),
            ("a.svg", "image/svg+xml", Showing::Attachment),
            ("a.xml", "text/xml; charset=utf-8", Showing::Attachment),
            ("a.js", "text/javascript; charset=utf-8", Showing::Attachment),
            ("a.pdf", "application/pdf", Showing::Attachment),
            ("a.unknown-ending", "application/octet-stream", Showing::Inline),
            ("no ending", "application/octet-stream", Showing::Inline),
            (".html", "application/octet-stream", Showing::Inline),
            ("voice.AMR", "audio/amr", Showing::Inline),
        ] {
            let found = content_type(name, b"");
            assert_eq!(found, expected, "{name}");
            assert_eq!(showing(&found), how, "{name}");
        }
        assert_eq!(shown_type("a", Some("image/png"), b""), "image/png");
        assert_eq!(
            shown_type("a.html", Some("image/png"), b""),
            "text/html; charset=utf-8"
        );
        assert_eq!(shown_type("a", None, b""), UNKNOWN);
        assert_eq!(showing("IMAGE/SVG+XML ; a=b"), Showing::Attachment);
        assert_eq!(showing(""), Showing::Attachment);
        assert_eq!(showing("image/x, text/html"), Showing::Attachment);
    }
    #[test]
    fn text_is_called_utf8_where_it_may_be() {
        let cut = [&vec![b'a'; TELLING - 1][..], "你".as_bytes()].concat();
        let far = [&vec![b'a'; TELLING][..], b"\xc4\xe3"].concat();
        for (begins, is) in [
            (&b""[..], true),
            (b"<p>plain</p>", true),
            ("<p>你好</p>".as_bytes(), true),
            (&cut, true),
            (&far, true),
            // GBK, Latin-1, UTF-16 with its mark and without.
            (b"\xc4\xe3\xba\xc3,1", false),
            (b"caf\xe9", false),
            (b"\xff\xfea\0", false),
            (b"a\0b\0", false),
            (b"\xe4\xbd\xa0 cut in the middle \xe4\xbd", true),
            // Said, in ASCII.
            (b"<html><head><META Charset=GBK>", false),
            (b"<meta charset='gb2312' />", false),
            (
                b"<meta http-equiv=Content-Type content=\"text/html; charset = gbk\">",
                false,
            ),
            (b"<?xml version=\"1.0\" encoding=\"GB18030\"?>", false),
            (b"@charset \"gbk\"; p {}", false),
            (b"<meta charset=\"UTF-8\">", true),
            (b"<meta charset=utf8>", true),
            (b"the charset of this text, its encoding", true),
            (b"charset=", true),
            ("<meta charset=gbk>你好".as_bytes(), true),
        ] {
            let shown = String::from_utf8_lossy(begins.get(..40).unwrap_or(begins));
            for name in ["a.html", "a.csv"] {
                let kind = content_type(name, begins);
                assert_eq!(kind.ends_with("; charset=utf-8"), is, "{name} {shown:?}");
                assert!(is_text(&kind));
            }
            assert_eq!(content_type("a.json", begins), "application/json");
        }
    }
}
