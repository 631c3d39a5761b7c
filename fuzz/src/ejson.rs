//! Extended JSON: what is read can be written, and reads back as the same value, from a tree and from BSON bytes alike.

use bson::{Bson, Document, RawDocumentBuf};
use ejson::{Style, read, read_documents, read_legacy, write, write_raw, write_raw_as_string};

pub(crate) fn target(data: &[u8]) {
    for document in read_documents(data) {
        let _ = document.map_err(|error| assert!(error.offset <= data.len(), "{error}"));
    }
    let _ = read_legacy(data);
    let value = match read(data) {
        Ok(value) => value,
        Err(error) => {
            assert!(error.offset <= data.len(), "{error}");
            return;
        }
    };
    // What is no JSON is no Extended JSON; a byte order mark is allowed beyond it.
    let text = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data);
    assert!(json::validate(text).is_ok());

    let canonical = text_of(&value, Style::Canonical);
    // A document may hold what reads as another type: {"$date": {"offset": 0}} stays, {"$code": "x"} in it does not.
    match read(canonical.as_bytes()) {
        Ok(again) => assert_eq!(text_of(&again, Style::Canonical), canonical),
        Err(error) => panic!("{error}: {canonical}"),
    }
    let relaxed = text_of(&value, Style::Relaxed);
    match read(relaxed.as_bytes()) {
        Ok(again) => assert_eq!(text_of(&again, Style::Relaxed), relaxed),
        Err(error) => panic!("{error}: {relaxed}"),
    }
    if let Bson::Document(document) = &value {
        same_from_bytes(document, &canonical);
    }
}

fn same_from_bytes(document: &Document, canonical: &str) {
    let Ok(bytes) = RawDocumentBuf::try_from(document) else {
        return;
    };
    let mut out = Vec::new();
    let mut literal = Vec::new();
    if write_raw(&mut out, &bytes, Style::Canonical).is_ok() {
        assert_eq!(String::from_utf8_lossy(&out), canonical);
        assert!(write_raw_as_string(&mut literal, &bytes, Style::Canonical).is_ok());
        let mut wanted = Vec::new();
        json::write_string(&mut wanted, canonical);
        assert_eq!(
            String::from_utf8_lossy(&literal),
            String::from_utf8_lossy(&wanted)
        );
    }
}

fn text_of(value: &Bson, style: Style) -> String {
    let mut out = Vec::new();
    write(&mut out, value, style);
    match String::from_utf8(out) {
        Ok(text) => text,
        Err(error) => panic!("{error}"),
    }
}

/// The documents on the lines of an input; what is none is left out.
pub(crate) fn lines(data: &[u8]) -> Vec<Document> {
    data.split(|byte| *byte == b'\n')
        .take(16)
        .filter_map(|line| ejson::read_document(line).ok())
        .collect()
}
