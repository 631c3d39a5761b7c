//! What a file is, by its name; and how a browser may show it.

const UNKNOWN: &str = "application/octet-stream";

/// The type of a file by the ending of its name, as the platform's object store gives it: `application/octet-stream`
/// for one that nobody knows. Text is UTF-8.
#[must_use]
pub fn content_type(name: &str) -> String {
    let guessed = mime_guess::from_path(name).first_or_octet_stream();
    match guessed.type_() == mime_guess::mime::TEXT && guessed.get_param("charset").is_none() {
        true => format!("{guessed}; charset=utf-8"),
        false => guessed.to_string(),
    }
}

/// What a file is shown as: the type by its name, else what whoever sent it said.
#[must_use]
pub fn shown_type(name: &str, given: Option<&str>) -> String {
    match (content_type(name), given) {
        (by_name, Some(given)) if by_name == UNKNOWN => given.to_owned(),
        (by_name, _) => by_name,
    }
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
        ] {
            let found = content_type(name);
            assert_eq!(found, expected, "{name}");
            assert_eq!(showing(&found), how, "{name}");
        }
        assert_eq!(shown_type("a", Some("image/png")), "image/png");
        assert_eq!(
            shown_type("a.html", Some("image/png")),
            "text/html; charset=utf-8"
        );
        assert_eq!(shown_type("a", None), UNKNOWN);
        assert_eq!(showing("IMAGE/SVG+XML ; a=b"), Showing::Attachment);
        assert_eq!(showing(""), Showing::Attachment);
        assert_eq!(showing("image/x, text/html"), Showing::Attachment);
    }
}
