//! The shell's syntax: whatever is read is written in one line and in several, and both read back as what was written; JSON is part of it.

use bson::{Bson, DateTime};
use ejson::shell::{read, to_line, to_text};

const NOW: DateTime = DateTime::from_millis(1_700_000_000_000);

pub(crate) fn target(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let value = match read(&text, NOW) {
        Ok(value) => value,
        Err(error) => {
            assert!(error.offset <= text.len(), "{error}");
            let (line, column) = error.place(&text);
            assert!(line > 0 && column > 0);
            assert!(
                json::validate(data).is_err() || is_no_bson(data),
                "{error}: {text}"
            );
            return;
        }
    };
    let line = to_line(&value);
    assert!(!line.contains('\n'), "{line}");
    assert_eq!(to_line(&read_back(&line)), line);
    if let Bson::Document(document) = &value {
        assert_eq!(to_line(&read_back(&to_text(document))), line);
    }
}

fn read_back(text: &str) -> Bson {
    match read(text, NOW) {
        Ok(value) => value,
        Err(error) => panic!("{error}: {text}"),
    }
}

/// JSON that BSON cannot hold, or that is Extended JSON of no type.
fn is_no_bson(data: &[u8]) -> bool {
    ejson::read(data).is_err()
}
