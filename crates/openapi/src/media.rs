//! Files on their way to WeChat: `multipart/form-data`, and the MIME type that the SDK forgets to send.

use std::fmt;

/// What separates the parts of a multipart body. It must not occur in a file, so take 128 random bits; a test takes a number
/// it knows, and gets the same body each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boundary(String);

impl Boundary {
    /// The boundary that holds these bits.
    #[must_use]
    pub fn new(bits: u128) -> Self {
        Self(format!("yunqiao-{bits:032x}"))
    }
}

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The MIME type of a file by the end of its name.
///
/// A function gives `{contentType, value}`; the SDK makes a file name of the type (`image/jpeg` to `media.jpeg`, by the first
/// extension in mime-db) and loses the type itself (observed with wx-server-sdk 0.5.1 to 4.0.2). Listed is what WeChat's APIs
/// take: images, voice, video, and what the documents of some ask for beside them.
#[must_use]
pub fn mime_type(file_name: &str) -> &'static str {
    let (_, extension) = file_name.rsplit_once('.').unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpeg" | "jpg" | "jpe" => "image/jpeg",
        "gif" => "image/gif",
        "bmp" => "image/bmp",
        "webp" => "image/webp",
        "tif" | "tiff" => "image/tiff",
        "svg" => "image/svg+xml",
        "amr" => "audio/amr",
        "mp3" => "audio/mp3",
        "mpga" => "audio/mpeg",
        "wav" => "audio/wav",
        "aac" | "adts" => "audio/aac",
        "m4a" => "audio/mp4",
        "mp4" => "video/mp4",
        "mpeg" => "video/mpeg",
        "mov" | "qt" => "video/quicktime",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "txt" => "text/plain",
        _ => "application/octet-stream",
    }
}

/// A multipart body being written.
pub(crate) struct Form {
    boundary: Boundary,
    out: Vec<u8>,
}

impl Form {
    pub(crate) fn new(boundary: Boundary) -> Self {
        Self {
            boundary,
            out: Vec::new(),
        }
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.part(&format!("name=\"{}\"", quoted(name)), None, text.as_bytes());
    }

    pub(crate) fn file(&mut self, name: &str, file_name: &str, bytes: &[u8]) {
        let disposition = format!("name=\"{}\"; filename=\"{}\"", quoted(name), quoted(file_name));
        self.part(&disposition, Some(mime_type(file_name)), bytes);
    }

    fn part(&mut self, disposition: &str, content_type: Option<&str>, bytes: &[u8]) {
        let Self { boundary, out } = self;
        let mut line = |text: &str| {
            out.extend_from_slice(text.as_bytes());
            out.extend_from_slice(b"\r\n");
        };
        line(&format!("--{boundary}"));
        line(&format!("Content-Disposition: form-data; {disposition}"));
        if let Some(content_type) = content_type {
            line(&format!("Content-Type: {content_type}"));
        }
        line("");
        out.reserve(bytes.len() + 64);
        out.extend_from_slice(bytes);
        out.extend_from_slice(b"\r\n");
    }

    /// The body, and its content type.
    pub(crate) fn finish(mut self) -> (Vec<u8>, String) {
        self.out
            .extend_from_slice(format!("--{}--\r\n", self.boundary).as_bytes());
        (
            self.out,
            format!("multipart/form-data; boundary={}", self.boundary),
        )
    }
}

/// A name between quotes, as browsers write it: what would end it, or the line, is percent-encoded.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_inferred_from_the_names_that_the_sdk_makes() {
        for (name, expected) in [
            ("media.png", "image/png"),
            ("media.jpeg", "image/jpeg"),
            ("photo.of.me.JPG", "image/jpeg"),
            ("voice.amr", "audio/amr"),
            ("media.mp4", "video/mp4"),
            ("media", "application/octet-stream"),
            ("png", "application/octet-stream"),
            ("", "application/octet-stream"),
        ] {
            assert_eq!(mime_type(name), expected, "{name}");
        }
    }

    #[test]
    fn a_form_is_written_as_browsers_write_it() {
        let mut form = Form::new(Boundary::new(0xfeed));
        form.text("ratios", "1,2.35");
        form.file("img", "the \"best\"\r\n一.png", b"\x89P\0\r\n");
        let (body, content_type) = form.finish();
        assert_eq!(
            content_type,
            "multipart/form-data; boundary=yunqiao-0000000000000000000000000000feed"
        );
        let expected: &[u8] = b"--yunqiao-0000000000000000000000000000feed\r\n\
            Content-Disposition: form-data; name=\"ratios\"\r\n\
            \r\n\
            1,2.35\r\n\
            --yunqiao-0000000000000000000000000000feed\r\n\
            Content-Disposition: form-data; name=\"img\"; filename=\"the %22best%22%0D%0A\xe4\xb8\x80.png\"\r\n\
            Content-Type: image/png\r\n\
            \r\n\
            \x89P\0\r\n\r\n\
            --yunqiao-0000000000000000000000000000feed--\r\n";
        assert_eq!(
            body.escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    }
}
