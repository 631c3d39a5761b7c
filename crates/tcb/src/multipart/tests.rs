#![allow(clippy::unwrap_used)]

use super::{MultipartReason::*, *};

const TYPE: &str = "; boundary=b";

fn read(body: &[u8]) -> Result<Vec<Part<'_>>, MultipartError> {
    parts(TYPE, body, 4)
}

fn text<'a>(name: &'a str, bytes: &'a [u8]) -> Part<'a> {
    Part {
        name,
        filename: None,
        content_type: None,
        bytes,
    }
}

#[test]
fn parts_as_the_sdks_write_them() {
    let body = b"--b\r\nContent-Disposition: form-data; name=\"action\"\r\n\r\nwx.openApi\r\n\
        --b\r\ncontent-disposition:form-data;  filename=\"a \\\"b\"\".png\" ; name=media\r\nContent-Type: image/png\r\nX-More: a:b\r\n\r\n\
        \x00\r\n--c\xff\r\n\r\n\r\n--b\r\nContent-Disposition: form-data; name=\"empty\"\r\n\r\n\r\n--b--\r\n";
    let expected = [
        text("action", b"wx.openApi"),
        Part {
            name: "media",
            filename: Some("a \\\"b\"\".png"),
            content_type: Some("image/png"),
            bytes: b"\0\r\n--c\xff\r\n\r\n",
        },
        text("empty", b""),
    ];
    assert_eq!(read(body).unwrap(), expected);
    // Without the line end behind the last boundary.
    assert_eq!(read(&body[..body.len() - 2]).unwrap(), expected);
    assert_eq!(read(b"--b--").unwrap(), []);
}

#[test]
fn the_boundary_of_a_content_type() {
    let body = b"--a b'()+_,-./:=?c--";
    for (parameters, found) in [
        ("; boundary=\"a b'()+_,-./:=?c\"", true),
        (";charset=utf-8 ;\tBoundary=\"a b'()+_,-./:=?c\" ", true),
        ("; boundary=a b'()+_,-./:=?c; charset=x", true),
        ("; boundary=\"a", false),
        ("; boundary=\"a \"", false),
        ("; boundary=", false),
        ("; boundary", false),
        ("; boundary=a; boundary=a", false),
        ("; boundary=a\u{e9}", false),
        ("; boundary=a\"b", false),
        ("; =a", false),
        (" boundary=a", false),
        ("", false),
    ] {
        let read = parts(parameters, body, 4).map_err(|error| error.reason);
        assert_eq!(
            read,
            if found { Ok(vec![]) } else { Err(Boundary) },
            "{parameters}"
        );
    }
    let long = format!("; boundary={}", "a".repeat(70));
    let body = format!("--{}--", "a".repeat(70));
    assert!(parts(&long, body.as_bytes(), 4).is_ok());
    assert!(parts(&format!("{long}a"), body.as_bytes(), 4).is_err());
}

#[test]
fn what_is_malformed_is_told_with_its_place() {
    let long = format!("--b\r\nX: {}\r\n\r\n\r\n--b--", "x".repeat(MAX_PART_HEAD));
    let many = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n".repeat(5) + "--b--";
    let cases: [(&[u8], usize, MultipartReason); 22] = [
        (b"", 0, ExpectedBoundary),
        (b"preamble\r\n--b--", 0, ExpectedBoundary),
        (b"\r\n--b--", 0, ExpectedBoundary),
        (b"--b", 3, BrokenBoundary),
        (b"--bc\r\n", 3, BrokenBoundary),
        (b"--b\n", 3, BrokenBoundary),
        (b"--b--epilogue", 5, ExpectedEnd),
        (b"--b--\r\n\r\n", 5, ExpectedEnd),
        (b"--b\r\n", 5, UnexpectedEnd),
        (b"--b\r\n\r\n\r\n--b--", 14, UnexpectedEnd),
        (b"--b\r\n\r\n\r\n\r\n--b--", 5, Header),
        (b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\nab\r\n--", 53, UnexpectedEnd),
        (b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\na\r\n--bx", 53, BrokenBoundary),
        (long.as_bytes(), 5, LongHead),
        (b"--b\r\nContent-Disposition\r\n\r\n\r\n--b--", 5, Header),
        (b"--b\r\nX: \xff\r\n\r\n\r\n--b--", 5, Header),
        (b"--b\r\nX: y\r\n\r\n\r\n--b--", 5, Disposition),
        (b"--b\r\nContent-Disposition: attachment; name=a\r\n\r\n\r\n--b--", 5, Disposition),
        (b"--b\r\nContent-Disposition: form-data; filename=a\r\n\r\n\r\n--b--", 5, Disposition),
        (b"--b\r\nContent-Disposition: form-data; name=a; name=b\r\n\r\n\r\n--b--", 5, Disposition),
        (
            b"--b\r\nContent-Type: a\r\nContent-Disposition: form-data; name=a\r\nContent-type: b\r\n\r\n\r\n--b--",
            5,
            HeaderTwice,
        ),
        (many.as_bytes(), 201, TooManyParts),
    ];
    for (body, offset, reason) in cases {
        assert_eq!(
            read(body),
            Err(MultipartError { offset, reason }),
            "{}",
            String::from_utf8_lossy(body)
        );
    }
}
