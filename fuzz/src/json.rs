//! Raw bytes against `serde_json`: what is accepted, where members begin and end, which keys are the same.

use std::collections::HashMap;

use json::{Object, array_of_strings, is_string, unescape, validate, write_string};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

pub(crate) fn target(data: &[u8]) {
    let text = std::str::from_utf8(data).ok();
    let theirs = text.filter(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
    assert_eq!(validate(data).ok(), theirs);
    let blank = [' ', '\t', '\r', '\n'];
    let object = Object::parse(data);
    assert_eq!(
        object.is_ok(),
        theirs.is_some_and(|text| text.trim_matches(blank).starts_with('{'))
    );
    if let Err(error) = validate(data) {
        assert!(error.offset <= data.len());
    }
    let Some(text) = text else { return };

    literal(text);
    assert_eq!(
        array_of_strings(text, usize::MAX).ok(),
        serde_json::from_str::<Vec<_>>(text).ok()
    );
    let Ok(object) = object else { return };
    for member in object.members() {
        assert_eq!(validate(member.value.as_bytes()), Ok(member.value));
        assert_eq!(member.value, member.value.trim_matches(blank));
        literal(member.raw_key);
        if is_string(member.value) {
            literal(member.value);
        }
    }
    // serde_json has no key with a lone surrogate, and no nesting beyond 128 where it keeps the value.
    if let Ok(theirs) = serde_json::from_str::<HashMap<String, &RawValue>>(text) {
        for (key, value) in &theirs {
            assert_eq!(object.get(key), Some(value.get()));
        }
        assert_eq!(
            object.duplicate().is_some(),
            theirs.len() < object.members().len()
        );
        if let Some(twice) = object.duplicate() {
            assert!(
                object
                    .members()
                    .iter()
                    .filter(|member| member.key_is(&twice))
                    .count()
                    > 1
            );
        }
    }
}

fn literal(raw: &str) {
    let ours = unescape(raw);
    let trimmed = raw.starts_with('"') && raw.ends_with('"');
    let theirs = serde_json::from_str::<String>(raw).ok().filter(|_| trimmed);
    assert_eq!(ours.as_deref(), theirs.as_deref());
    if let Some(text) = ours {
        let mut written = Vec::new();
        write_string(&mut written, &text);
        assert_eq!(
            serde_json::from_slice::<String>(&written).ok().as_deref(),
            Some(&*text)
        );
    }
}
