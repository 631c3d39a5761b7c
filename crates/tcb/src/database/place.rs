//! Where a value that the SDK wrote is none: a program knows the fields of its documents, and not the bytes of what is sent.

use ejson::{Error, Reason};

/// What is told of text that cannot be read, which came as `name`.
pub(super) fn told(name: &str, text: &str, error: &Error) -> String {
    let field = field_at(text, error.offset);
    match (&error.reason, field) {
        // What the SDKs make of `new Date(NaN)`.
        (Reason::InvalidType("$numberLong" | "$date"), Some(At { path, in_date: true })) => {
            format!("{name}: the field {path:?} is an invalid Date")
        }
        (_, Some(At { path, .. })) => {
            format!("{name} is not Extended JSON: {error}, in the field {path:?}")
        }
        (_, None) => format!("{name} is not Extended JSON: {error}"),
    }
}

/// A place in a document.
#[derive(Debug, PartialEq)]
struct At {
    /// The field with those that it is in, as a path.
    path: String,
    /// Whether it is in what stands for a time.
    in_date: bool,
}

/// An object or a list that is open.
enum Open<'t> {
    Object { key: &'t str, key_is_next: bool },
    List(usize),
}

/// The field in whose value the text is at that byte; `None` outside of all.
fn field_at(text: &str, offset: usize) -> Option<At> {
    let bytes = text.as_bytes();
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut at = 0;
    while at < offset.min(bytes.len()) {
        match bytes[at] {
            b'{' => open.push(Open::Object {
                key: "",
                key_is_next: true,
            }),
            b'[' => open.push(Open::List(0)),
            b'}' | b']' => drop(open.pop()),
            b',' => match open.last_mut() {
                Some(Open::Object { key_is_next, .. }) => *key_is_next = true,
                Some(Open::List(index)) => *index += 1,
                None => {}
            },
            b'"' => {
                let from = at + 1;
                at = from;
                while bytes.get(at).is_some_and(|byte| *byte != b'"') {
                    at += 1 + usize::from(bytes[at] == b'\\');
                }
                if let Some(Open::Object { key, key_is_next }) = open.last_mut()
                    && *key_is_next
                {
                    (*key, *key_is_next) = (text.get(from..at).unwrap_or_default(), false);
                }
            }
            _ => {}
        }
        at += 1;
    }
    let mut path = String::new();
    let mut in_date = false;
    for open in &open {
        let step = match open {
            Open::Object { key, .. } if key.starts_with('$') => {
                in_date |= *key == "$date";
                continue;
            }
            Open::Object { key, .. } => (*key).to_owned(),
            Open::List(index) => index.to_string(),
        };
        if !path.is_empty() {
            path.push('.');
        }
        path += &step;
    }
    (!path.is_empty()).then_some(At { path, in_date })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn told(text: &str) -> String {
        let error = ejson::read(text.as_bytes()).unwrap_err();
        super::told("data", text, &error)
    }

    #[test]
    fn an_invalid_date_is_told_with_its_field() {
        for (text, path) in [
            (r#"{"at":{"$date":{"$numberLong":"NaN"}}}"#, "at"),
            (
                r#"{"s":"}\"{","list":[1,{"x":0},{"due":{"$date":{"$numberLong":"NaN"}}}]}"#,
                "list.2.due",
            ),
            (r#"{"$set":{"a.b":{"$date":{"$numberLong":"NaN"}}}}"#, "a.b"),
        ] {
            assert_eq!(told(text), format!("data: the field {path:?} is an invalid Date"));
        }
    }

    #[test]
    fn what_is_none_for_another_reason_is_told_with_its_field_and_place() {
        let text = r#"{"a":{"$oid":"5"},"b":1}"#;
        assert!(
            told(text).starts_with("data is not Extended JSON: invalid $oid at byte"),
            "{}",
            told(text)
        );
        assert!(told(text).ends_with(", in the field \"a\""), "{}", told(text));
        assert_eq!(told("x"), "data is not Extended JSON: expected a value at byte 0");
        for text in ["", "{", "[", "{\"a", "{\"a\\", "]}", "{\"a\":\"云"] {
            for offset in 0..=text.len() + 1 {
                let _ = field_at(text, offset);
            }
        }
    }
}
