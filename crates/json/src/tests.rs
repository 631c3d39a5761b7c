//! The grammar is checked against `serde_json`, which accepts and refuses the same. Where it must keep what it reads it
//! also refuses numbers beyond `f64`, lone surrogates and more than 128 levels, but not where it may ignore it, as here.
//! `IgnoredAny` does not look at UTF-8, so the standard library does.

#![allow(clippy::unwrap_used)]

use std::borrow::Cow;

use proptest::{collection::vec, prelude::*, sample::select};
use serde::de::IgnoredAny;

use crate::{
    JsonReason, Object, array_of_strings, escape_controls, is_string, string_length, unescape,
    unescape_lossy, validate, write_string, write_string_within,
};

fn accepted_by_serde(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

#[track_caller]
fn agree(text: &[u8]) {
    assert_eq!(
        validate(text).is_ok(),
        accepted_by_serde(text),
        "{:?}",
        String::from_utf8_lossy(text)
    );
}

fn refusal(text: &[u8]) -> (JsonReason, usize) {
    let error = validate(text).unwrap_err();
    (error.reason, error.offset)
}

/// Any JSON value as text, with blanks, escapes and numbers of every shape.
fn json() -> impl Strategy<Value = String> {
    let blank = || select(vec!["", "", "", " ", "\n", "\t\r ", "        "]);
    let literal = prop_oneof![
        Just(r#""""#.to_owned()),
        r#""([ -!#-\[\]-~éㄅ-中😀\u{80}\u{7ff}\u{ffff}]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}){0,20}""#,
    ];
    let leaf = prop_oneof![
        literal.clone(),
        "-?(0|[1-9][0-9]{0,22})([.][0-9]{1,12})?([eE][-+]?[0-9]{1,4})?",
        select(vec!["true", "false", "null"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        let member = (blank(), literal.clone(), blank(), blank(), inner.clone(), blank())
            .prop_map(|(a, key, b, c, value, d)| format!("{a}{key}{b}:{c}{value}{d}"));
        let element = (blank(), inner, blank()).prop_map(|(a, value, b)| format!("{a}{value}{b}"));
        prop_oneof![
            vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(","))),
            vec(element, 0..6).prop_map(|elements| format!("[{}]", elements.join(","))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn json_is_accepted(text in json()) {
        prop_assert!(accepted_by_serde(text.as_bytes()), "the generator is wrong: {text}");
        prop_assert_eq!(validate(text.as_bytes()), Ok(text.as_str()));
    }

    #[test]
    fn a_text_cut_off_ends_too_early(text in json(), at in any::<prop::sample::Index>()) {
        let cut = &text.as_bytes()[..at.index(text.len())];
        agree(cut);
        if let (Err(error), Ok(_)) = (validate(cut), std::str::from_utf8(cut)) {
            prop_assert_eq!((error.reason, error.offset), (JsonReason::UnexpectedEnd, cut.len()));
        }
    }

    #[test]
    fn one_byte_changed_is_judged_as_by_serde(text in json(), at in any::<prop::sample::Index>(), put in any::<u8>()) {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = put;
        agree(&bytes);
        bytes.insert(at, put);
        agree(&bytes);
        bytes.drain(at..at + 2);
        agree(&bytes);
    }

    #[test]
    fn tokens_in_any_order_are_judged_as_by_serde(
        tokens in vec(select(vec![
            "{", "}", "[", "]", ",", ":", " ", "\n", "\u{b}", "\u{feff}", "\"", "\"a\"", "\"\\u0077\"", "\\", "\\u", "\\ud800",
            "\u{1}", "é", "-", "+", ".", "0", "00", "1", "12345678", "1234567890", "e", "E5", "1e", "true", "tru", "null", "nul",
            "false", "/", "'", "NaN", "Infinity", "/**/",
        ]), 0..12),
    ) {
        agree(tokens.concat().as_bytes());
    }

    #[test]
    fn any_bytes_are_judged_as_by_serde(mut bytes in vec(any::<u8>(), 0..24)) {
        agree(&bytes);
        bytes.insert(0, b'"');
        bytes.push(b'"');
        agree(&bytes);
    }

    /// Slices of the source, put together again, are the source.
    #[test]
    fn members_are_slices_of_the_source(members in vec((json(), json()), 0..20)) {
        let quoted: Vec<_> = members.iter().map(|(key, value)| (serde_json::to_string(key).unwrap(), value)).collect();
        let text = format!("{{{}}}", quoted.iter().map(|(k, v)| format!(" {k} :\n{v}\t")).collect::<Vec<_>>().join(","));
        let object = Object::parse(text.as_bytes()).unwrap();
        let found: Vec<_> = object.members().iter().map(|member| (member.raw_key.to_owned(), member.value)).collect();
        prop_assert_eq!(found, quoted.iter().map(|(k, v)| (k.clone(), v.as_str())).collect::<Vec<_>>());
        for (key, _) in &members {
            let last = members.iter().rev().find(|(other, _)| other == key).unwrap();
            prop_assert_eq!(object.get(key), Some(last.1.as_str()));
        }
    }

    #[test]
    fn a_string_survives_writing_and_reading(text in any::<String>()) {
        let mut literal = Vec::new();
        write_string(&mut literal, &text);
        prop_assert_eq!(string_length(&text), literal.len());
        prop_assert_eq!(serde_json::from_slice::<String>(&literal).unwrap(), &*text);
        prop_assert_eq!(&literal, &serde_json::to_vec(&text).unwrap());
        let mut within = Vec::new();
        write_string_within(&mut within, &text);
        let whole = serde_json::to_string(std::str::from_utf8(&literal).unwrap()).unwrap();
        prop_assert_eq!(String::from_utf8(within).unwrap(), &whole[1..whole.len() - 1]);
        let literal = validate(&literal).unwrap();
        prop_assert!(is_string(literal));
        prop_assert_eq!(unescape(literal).unwrap(), text);
    }

    #[test]
    fn literals_are_read_as_by_serde(literal in r#""([ -!#-\[\]-~中😀]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}|\\ud[89a-f][0-9]{2}){0,8}""#) {
        prop_assert_eq!(unescape(&literal).map(Cow::into_owned), serde_json::from_str::<String>(&literal).ok());
    }

    #[test]
    fn duplicates_are_found_by_meaning(
        keys in vec((select(vec!["w", "ww", "é", "😀", "\"", "a/b"]), 0..3usize), 0..5),
        others in 0..40usize,
    ) {
        let spell = |key: &str, how| match how {
            0 => serde_json::to_string(key).unwrap(),
            1 => format!("\"{}\"", key.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<String>()),
            _ => serde_json::to_string(key).unwrap().replace('/', "\\/"),
        };
        let mut members: Vec<_> = (0..others).map(|i| format!("\"other {i}\":{i}")).collect();
        members.extend(keys.iter().map(|(key, how)| format!("{}:0", spell(key, *how))));
        let text = format!("{{{}}}", members.join(","));
        let twice = keys.iter().enumerate().find(|(at, (key, _))| keys[..*at].iter().any(|(before, _)| before == key));
        let object = Object::parse(text.as_bytes()).unwrap();
        let found = object.duplicate();
        prop_assert_eq!(found.as_deref(), twice.map(|(_, (key, _))| *key));
    }
}

#[test]
fn the_corners_of_the_grammar() {
    for accepted in [
        "0",
        "-0",
        "-0.0e-0",
        "1E+99999",
        "12345678901234567890",
        "\"\"",
        " [ ] ",
        "{ }",
        "\t\n\r null",
        "[[],{}]",
        "{\"\":{\"\":0}}",
        r#""\ud800""#,
        r#""\udc00\ud800""#,
        "\"\u{7f}\u{2028}\u{feff}\"",
        "\"中\\u0000😀\"",
    ] {
        assert_eq!(validate(accepted.as_bytes()), Ok(accepted));
        assert!(accepted_by_serde(accepted.as_bytes()), "{accepted}");
    }
    for (refused, reason, offset) in [
        (&b""[..], JsonReason::UnexpectedEnd, 0),
        (b" ", JsonReason::UnexpectedEnd, 1),
        (b"\xef\xbb\xbf{}", JsonReason::ExpectedValue, 0),
        (b"\x0b1", JsonReason::ExpectedValue, 0),
        (b"undefined", JsonReason::ExpectedValue, 0),
        (b"nulL", JsonReason::ExpectedValue, 3),
        (b"1 1", JsonReason::ExpectedEnd, 2),
        (b"01", JsonReason::ExpectedEnd, 1),
        (b"+1", JsonReason::ExpectedValue, 0),
        (b".5", JsonReason::ExpectedValue, 0),
        (b"-", JsonReason::UnexpectedEnd, 1),
        (b"-a", JsonReason::ExpectedDigit, 1),
        (b"[1.]", JsonReason::ExpectedDigit, 3),
        (b"[1e+]", JsonReason::ExpectedDigit, 4),
        (b"0x1f", JsonReason::ExpectedEnd, 1),
        (b"\"a\nb\"", JsonReason::ControlCharacter, 2),
        (b"\"\\x\"", JsonReason::InvalidEscape, 1),
        (b"\"\\u12g4\"", JsonReason::InvalidEscape, 1),
        (b"\"\\u12\"", JsonReason::InvalidEscape, 1),
        (b"\"\\u12", JsonReason::UnexpectedEnd, 5),
        (b"\"ab", JsonReason::UnexpectedEnd, 3),
        (b"[1 2]", JsonReason::ExpectedCommaOrBracket, 3),
        (b"[1,]", JsonReason::ExpectedValue, 3),
        (b"[,1]", JsonReason::ExpectedValue, 1),
        (b"[1}", JsonReason::ExpectedCommaOrBracket, 2),
        (b"{\"a\" 1}", JsonReason::ExpectedColon, 5),
        (b"{\"a\":1,}", JsonReason::ExpectedKey, 7),
        (b"{a:1}", JsonReason::ExpectedKey, 1),
        (b"{\"a\":1]", JsonReason::ExpectedCommaOrBrace, 6),
        (b"{\"a\":}", JsonReason::ExpectedValue, 5),
        (b"[1]]", JsonReason::ExpectedEnd, 3),
        (b"'a'", JsonReason::ExpectedValue, 0),
        (b"{} // why", JsonReason::ExpectedEnd, 3),
        (b"\"\xed\xa0\x80\"", JsonReason::NotUtf8, 1),
        (b"\"\xc0\x80\"", JsonReason::NotUtf8, 1),
    ] {
        assert_eq!(
            refusal(refused),
            (reason, offset),
            "{}",
            String::from_utf8_lossy(refused)
        );
        assert!(
            !accepted_by_serde(refused),
            "{}",
            String::from_utf8_lossy(refused)
        );
    }
    assert_eq!(
        validate(b"[1,]").unwrap_err().to_string(),
        "expected a value at byte 3"
    );
    assert_eq!(
        validate(b"{\"a\":1").unwrap_err().to_string(),
        "the text ends too early at byte 6"
    );
}

/// The looks at eight bytes at a time see a special byte in whichever place it stands, and whatever stands beside it.
#[test]
fn every_byte_in_every_place_of_a_string_and_of_a_number() {
    for place in 0..20 {
        for byte in 0..=255u8 {
            for (fill, open, close) in [
                (b'a', "\"", "\""),
                (b'\x7f', "[\"", "\"]"),
                (b'9', "[", "]"),
                (b'1', "", ""),
            ] {
                let mut text = open.as_bytes().to_vec();
                text.extend([fill; 20]);
                text[open.len() + place] = byte;
                text.extend(close.as_bytes());
                agree(&text);
            }
        }
    }
}

/// With anything quadratic in the depth this would take hours.
#[test]
fn a_million_brackets_do_not_overflow() {
    const DEPTH: usize = 1_000_000;
    let mut text = Vec::with_capacity(16 * DEPTH);
    for level in 0..DEPTH {
        text.extend_from_slice(if level % 3 == 0 { b"{\"a\":" } else { b"[" });
    }
    assert_eq!(refusal(&text), (JsonReason::UnexpectedEnd, text.len()));
    text.push(b'1');
    for level in (0..DEPTH).rev() {
        text.push(if level % 3 == 0 { b'}' } else { b']' });
    }
    assert!(validate(&text).is_ok() && accepted_by_serde(&text));
    let object = Object::parse(&text).unwrap();
    assert_eq!(object.members()[0].value.len(), text.len() - "{\"a\":}".len());
}

#[test]
fn brackets_are_matched_at_every_depth() {
    for depth in 1..200 {
        let kinds: Vec<bool> = (0..depth).map(|level| level * level % 7 < 3).collect();
        let mut text: String = kinds
            .iter()
            .map(|&object| if object { "{\"a\":" } else { "[" })
            .collect();
        text.push('0');
        text.extend(kinds.iter().rev().map(|&object| if object { '}' } else { ']' }));
        assert!(validate(text.as_bytes()).is_ok(), "{depth}");
        for level in 0..depth {
            let mut wrong = text.clone().into_bytes();
            let at = wrong.len() - 1 - level;
            wrong[at] ^= b'}' ^ b']';
            assert_eq!(refusal(&wrong).1, at);
        }
    }
}

#[test]
fn an_object_keeps_what_was_written() {
    let text = r#" { "b" : 12345678901234567890 , "a\u0062" :[ 1 , 2 ], "b":"x, }" } "#;
    let object = Object::parse(text.as_bytes()).unwrap();
    let members: Vec<_> = object
        .members()
        .iter()
        .map(|member| (member.raw_key, member.value))
        .collect();
    assert_eq!(
        members,
        [
            (r#""b""#, "12345678901234567890"),
            (r#""a\u0062""#, "[ 1 , 2 ]"),
            (r#""b""#, r#""x, }""#)
        ]
    );
    assert_eq!(object.members()[1].key(), "ab");
    assert!(object.members()[1].key_is("ab") && !object.members()[1].key_is("a\\u0062"));
    assert_eq!(object.get("ab"), Some("[ 1 , 2 ]"));
    assert_eq!(
        object.get("b"),
        Some(r#""x, }""#),
        "the last, as JSON.parse has it"
    );
    assert_eq!(object.get("c"), None);
    assert_eq!(object.duplicate().unwrap(), "b");
}

#[test]
fn only_an_object_is_an_object_and_the_whole_text_is_checked() {
    let refused = |text: &str| Object::parse(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(refused(" [1]"), "expected an object at byte 1");
    assert_eq!(refused("\"1151_x\""), "expected an object at byte 0");
    assert_eq!(refused("[1"), "the text ends too early at byte 2");
    assert_eq!(refused(""), "the text ends too early at byte 0");
    assert_eq!(refused("{} {}"), "expected the end of the text at byte 3");
    assert_eq!(refused("{\"a\":{\"b\":[tru]}}"), "expected a value at byte 14");
    assert_eq!(refused("{\"a\":1 \"b\":2}"), "expected ',' or '}' at byte 7");
    assert!(Object::parse(b" {\n} ").unwrap().members().is_empty());

    let mut members = Object::parse(b"{\"old\":1}").unwrap().members().to_vec();
    Object::parse_into(b"{\"new\":1}", &mut members).unwrap();
    assert_eq!(members.len(), 1);
    assert!(members[0].key_is("new"));
}

#[test]
fn keys_are_compared_as_what_they_are() {
    let duplicate = |text: &str| {
        Object::parse(text.as_bytes())
            .unwrap()
            .duplicate()
            .map(Cow::into_owned)
    };
    assert_eq!(
        duplicate(r#"{"weRunData":1,"\u0077eRunData":2}"#).as_deref(),
        Some("weRunData")
    );
    assert_eq!(duplicate(r#"{"😀":1,"\ud83d\uDE00":2}"#).as_deref(), Some("😀"));
    assert_eq!(duplicate(r#"{"a":1,"A":2,"":3," ":4}"#), None);
    // Two different lone surrogates are two keys, though neither is a text; the same one twice is one.
    assert_eq!(
        duplicate(r#"{"\ud800":1,"\ud801":2,"\udc00":3,"\ufffd":4}"#),
        None
    );
    assert_eq!(
        duplicate(r#"{"\ud800":1,"\uD800":2}"#).as_deref(),
        Some("\u{fffd}")
    );

    let object = Object::parse(br#"{"x\ud800\u0041\udfff\ud83d\ude00":1}"#).unwrap();
    assert_eq!(object.members()[0].key(), "x\u{fffd}A\u{fffd}😀");
    assert!(!object.members()[0].key_is("x\u{fffd}A\u{fffd}😀"));
}

#[test]
fn a_literal_is_read_as_its_text() {
    assert_eq!(unescape("\"中\\u0000😀\"").unwrap(), "中\0😀");
    assert!(matches!(unescape("\"plain\""), Some(Cow::Borrowed("plain"))));
    for none in [
        "",
        "\"",
        "a",
        "1",
        "\"a",
        "a\"",
        "\"a\"b\"",
        "\"a\" ",
        " \"a\"",
        r#""\ud800""#,
        r#""\q""#,
        r#""\u00""#,
        r#""a\""#,
    ] {
        assert_eq!(unescape(none), None, "{none}");
    }
}

/// Every code unit alone, every low one behind the first and the last high one, and every character that may need an
/// escape.
#[test]
fn each_code_unit_is_read_and_each_character_written_as_by_serde() {
    let same = |literal: &str| {
        assert_eq!(
            unescape(literal).map(Cow::into_owned),
            serde_json::from_str(literal).ok(),
            "{literal}"
        );
    };
    for unit in 0..=0xffffu32 {
        same(&format!("\"\\u{unit:04x}\""));
        if unit >= 0xd000 {
            for high in [0xd7ff, 0xd800, 0xdbff, 0xdc00] {
                same(&format!("\"\\u{high:04X}\\u{unit:04X}\""));
            }
        }
    }
    for char in '\0'..='\u{ff}' {
        let text = format!("{char}{char}a{char}");
        let mut literal = Vec::new();
        write_string(&mut literal, &text);
        assert_eq!(string_length(&text), literal.len());
        assert_eq!(literal, serde_json::to_vec(&text).unwrap());
        let mut within = vec![b'"'];
        write_string_within(&mut within, &text);
        within.push(b'"');
        let literal = String::from_utf8(literal).unwrap();
        assert_eq!(within, serde_json::to_vec(&literal).unwrap());
    }
}

#[test]
fn an_array_of_strings_and_nothing_else() {
    assert_eq!(
        array_of_strings(r#" [ "a" , "\u0062\n" ] "#, 2).unwrap(),
        ["a", "b\n"]
    );
    assert!(array_of_strings(" [ ] ", 0).unwrap().is_empty());
    assert_eq!(
        array_of_strings(r#"["a","b"]"#, 1).unwrap_err().to_string(),
        "too many elements at byte 5"
    );
    for (refused, why) in [
        (r#"["a",1]"#, "expected a string at byte 5"),
        (r#"[["a"]]"#, "expected a string at byte 1"),
        (r#"["a",]"#, "expected a value at byte 5"),
        (r#"["a" "b"]"#, "expected ',' or ']' at byte 5"),
        (r#"["a"] 1"#, "expected the end of the text at byte 6"),
        (r#"["a""#, "the text ends too early at byte 4"),
        (r#"["\udead"]"#, "lone surrogate in a string at byte 1"),
        (r#" "a""#, "expected an array at byte 1"),
        (r#"{"a":"b"}"#, "expected an array at byte 0"),
        (r#"{"a":"b"#, "the text ends too early at byte 7"),
        ("", "the text ends too early at byte 0"),
    ] {
        assert_eq!(
            array_of_strings(refused, 9).unwrap_err().to_string(),
            why,
            "{refused}"
        );
    }
}

#[test]
fn the_elements_of_an_array_are_as_they_were_written() {
    assert_eq!(
        crate::array(r#" [ {"a": 1.0} ,"b", [ ] ] "#).unwrap(),
        [r#"{"a": 1.0}"#, r#""b""#, "[ ]"]
    );
    assert!(crate::array("[]").unwrap().is_empty());
    for refused in ["{}", "[1", "[1,]", "[1] x", ""] {
        assert!(crate::array(refused).is_err(), "{refused}");
    }
}

#[test]
fn a_lone_surrogate_becomes_the_replacement_character() {
    for (raw, text) in [
        (r#""""#, ""),
        (r#""plain 中""#, "plain 中"),
        (r#""a\ud83d\ude00b""#, "a😀b"),
        (r#""a\ud83d""#, "a\u{fffd}"),
        (r#""\ude00\ud83d\ud83d\ude00\n""#, "\u{fffd}\u{fffd}😀\n"),
        (r#""\\ud800\ud800\\""#, "\\ud800\u{fffd}\\"),
        (r#""\uDBFF\u0041\uDFFF中""#, "\u{fffd}A\u{fffd}中"),
    ] {
        assert_eq!(unescape_lossy(raw), text, "{raw}");
    }
    for no_string in ["", "1", "\"a", "\"a\" "] {
        assert_eq!(unescape_lossy(no_string), "");
    }
}

#[test]
fn controls_in_strings_are_escaped_and_nothing_else_is_changed() {
    let escaped = |text: &str| String::from_utf8(escape_controls(text.as_bytes()).into_owned()).unwrap();
    for (text, expected) in [
        ("{\"a\":\"x\u{2}y\0\"}", r#"{"a":"x\u0002y\u0000"}"#),
        ("[\"\n\t\r\u{1f}\"]", r#"["\u000a\u0009\u000d\u001f"]"#),
        // Outside of strings they are blanks, or faults.
        ("{\n\t\"a\":\u{1}1}", "{\n\t\"a\":\u{1}1}"),
        ("[\"\\\"\u{1}\",\"\\\\\"\n]", "[\"\\\"\\u0001\",\"\\\\\"\n]"),
        ("\"cut\u{1}", "\"cut\\u0001"),
    ] {
        assert_eq!(escaped(text), expected);
    }
    assert!(matches!(escape_controls(b"{\"a\":1}"), Cow::Borrowed(_)));
}

proptest! {
    /// What is valid stays as it is, whatever blanks it has.
    #[test]
    fn valid_texts_are_left_alone_by_escape_controls(text in "[ \\[\\]\\{\\}:,\"\\\\/abftnu0123\n\t]{0,40}") {
        if validate(text.as_bytes()).is_ok() {
            prop_assert_eq!(&*escape_controls(text.as_bytes()), text.as_bytes());
        }
    }

    /// A string with controls in it is, escaped, the string that it was.
    #[test]
    fn escaped_controls_mean_themselves(text in "[^\"\\\\]{0,40}") {
        let raw = format!("\"{text}\"");
        let escaped = String::from_utf8(escape_controls(raw.as_bytes()).into_owned()).unwrap();
        prop_assert_eq!(unescape(&escaped).unwrap(), text);
    }
}
