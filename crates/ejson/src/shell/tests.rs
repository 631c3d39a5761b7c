#![allow(clippy::unwrap_used)]

use bson::{Binary, Bson, DateTime, Regex, Timestamp, doc, oid::ObjectId, spec::BinarySubtype};
use proptest::prelude::*;

use super::{quote, read, read_document, to_line, to_text, visible};
use crate::tests::any_value;

const NOW: DateTime = DateTime::from_millis(1_700_000_000_123);

fn regex(pattern: &str, options: &str) -> Bson {
    Bson::RegularExpression(Regex {
        pattern: pattern.try_into().unwrap(),
        options: options.try_into().unwrap(),
    })
}

fn at(text: &str) -> Bson {
    Bson::DateTime(DateTime::parse_rfc3339_str(text).unwrap())
}

#[test]
fn what_people_type_is_read() {
    let id = ObjectId::parse_str("65f0c0ffee65f0c0ffee65f0").unwrap();
    for (text, expected) in [
        ("{}", doc! {}),
        ("{age: {$gt: 5}}", doc! { "age": { "$gt": 5 } }),
        (
            "{ 'a.b': 'it\\'s', done: true, }",
            doc! { "a.b": "it's", "done": true },
        ),
        (
            "{a: [1, 2.5, -3, ], b: null};",
            doc! { "a": [1, 2.5, -3], "b": null },
        ),
        ("{标题: /^买/i}", doc! { "标题": regex("^买", "i") }),
        ("{a: /[/]x\\/y/gi}", doc! { "a": regex("[/]x\\/y", "i") }),
        ("{a: new RegExp('^a', 'mi')}", doc! { "a": regex("^a", "im") }),
        (
            "{at: ISODate(\"2026-01-31T08:00:00Z\")}",
            doc! { "at": at("2026-01-31T08:00:00Z") },
        ),
        (
            "{at: ISODate('2026-01-31')}",
            doc! { "at": at("2026-01-31T00:00:00Z") },
        ),
        (
            "{at: ISODate('2026-01-31 08:00')}",
            doc! { "at": at("2026-01-31T08:00:00Z") },
        ),
        (
            "{at: {$gte: new Date('2026-01-31T08:00:00.5+0800')}}",
            doc! { "at": { "$gte": at("2026-01-31T00:00:00.5Z") } },
        ),
        ("{at: new Date()}", doc! { "at": NOW }),
        ("{at: Date.now()}", doc! { "at": NOW.timestamp_millis() }),
        ("{at: new Date(5)}", doc! { "at": DateTime::from_millis(5) }),
        ("{_id: ObjectId('65f0c0ffee65f0c0ffee65f0')}", doc! { "_id": id }),
        (
            "{\"_id\": {\"$oid\": \"65f0c0ffee65f0c0ffee65f0\"}}",
            doc! { "_id": id },
        ),
        ("{at: {$date: 5}}", doc! { "at": DateTime::from_millis(5) }),
        (
            "{a: {$regex: '^a', $options: 'i'}}",
            doc! { "a": { "$regex": "^a", "$options": "i" } },
        ),
        ("{a: {$type: 'int'}}", doc! { "a": { "$type": "int" } }),
        (
            "{a: NumberLong(5), b: NumberLong(\"9007199254740993\")}",
            doc! { "a": 5_i64, "b": 9_007_199_254_740_993_i64 },
        ),
        (
            "{a: Long.fromString('5'), b: NumberInt(7)}",
            doc! { "a": 5_i64, "b": 7 },
        ),
        (
            "{a: 1700000000000, b: 1e3, c: 5.0, d: .5, e: 0x1F}",
            doc! { "a": 1_700_000_000_000_i64, "b": 1e3, "c": 5.0, "d": 0.5, "e": 31 },
        ),
        (
            "{a: -Infinity, b: Double(3)}",
            doc! { "a": f64::NEG_INFINITY, "b": 3.0 },
        ),
        (
            "{a: UUID('00112233-4455-6677-8899-aabbccddeeff')}",
            doc! { "a": Binary { subtype: BinarySubtype::Uuid, bytes: (0..16).map(|n| n * 17).collect() } },
        ),
        (
            "{a: BinData(0, 'AAE=')}",
            doc! { "a": Binary { subtype: BinarySubtype::Generic, bytes: vec![0, 1] } },
        ),
        (
            "{a: Timestamp({t: 1, i: 2}), b: MinKey, c: MaxKey()}",
            doc! { "a": Timestamp { time: 1, increment: 2 }, "b": Bson::MinKey, "c": Bson::MaxKey },
        ),
        (
            "// all\n{a: 1, /* b: 2 */ c: `x\ny`}",
            doc! { "a": 1, "c": "x\ny" },
        ),
        (
            "{a: \"\\u4e91\\x41\\u{1f600}\\ud83d\\ude00\"}",
            doc! { "a": "云A😀😀" },
        ),
        (
            "{$or: [{a: 1}, {b: {$in: ['x', null]}}]}",
            doc! { "$or": [{ "a": 1 }, { "b": { "$in": ["x", null] } }] },
        ),
    ] {
        assert_eq!(
            read_document(text, NOW).map_err(|error| error.to_string()),
            Ok(expected),
            "{text}"
        );
    }
}

#[test]
fn an_error_tells_what_and_where() {
    for (text, line, column, what) in [
        ("", 1, 1, "the text ends too early"),
        ("{a: 1", 1, 6, "the text ends too early"),
        ("{a 1}", 1, 4, "expected ':'"),
        ("{a: 1 b: 2}", 1, 7, "expected '}'"),
        ("{\n  a: 1,\n  b: ,\n}", 3, 6, "expected a value"),
        ("{a.b: 1}", 1, 2, "a key with a dot or a hyphen stands in quotes"),
        (
            "{a: done}",
            1,
            5,
            "\"done\" is not known here; a text stands in quotes",
        ),
        (
            "{中: 云}",
            1,
            5,
            "\"云\" is not known here; a text stands in quotes",
        ),
        (
            "{a: process.exit(1)}",
            1,
            5,
            "\"process\" is not known here; a text stands in quotes",
        ),
        (
            "{_id: ObjectId(5)}",
            1,
            7,
            "ObjectId is written ObjectId(\"<24 hexadecimal digits>\")",
        ),
        (
            "{at: ISODate('tomorrow')}",
            1,
            6,
            "ISODate is written ISODate(\"2026-01-31T08:00:00Z\")",
        ),
        ("{a: 'x}", 1, 8, "the text ends too early"),
        ("{a: 'x\n'}", 1, 7, "control character in a string"),
        ("{a: 12ab}", 1, 7, "expected a digit"),
        ("{a: -}", 1, 6, "expected a digit"),
        ("{a: {$oid: 5}}", 1, 5, "invalid $oid"),
        ("{} {}", 1, 4, "expected the end of the text"),
        ("[1]", 1, 1, "expected a document"),
        ("{a: `${b}`}", 1, 6, "a text with ${…} is not computed here"),
        ("{a: /x", 1, 7, "the text ends too early"),
        ("{a: 1} /* x", 1, 12, "the text ends too early"),
    ] {
        let error = read_document(text, NOW).unwrap_err();
        assert_eq!(error.place(text), (line, column), "{text}: {error}");
        assert_eq!(error.reason.to_string(), what, "{text}");
    }
}

#[test]
fn depth_is_bounded() {
    for (open, close) in [("[", "]"), ("{a:", "}"), ("Date(", ")"), ("[new Date(", ")]")] {
        for depth in [100_000, 300] {
            let text = open.repeat(depth) + "1" + &close.repeat(depth);
            assert!(read(&text, NOW).is_err());
        }
    }
}

#[test]
fn what_is_written_is_how_people_write() {
    let document = doc! {
        "_id": ObjectId::parse_str("65f0c0ffee65f0c0ffee65f0").unwrap(),
        "at": DateTime::from_millis(1_700_000_000_000),
        "n": 5_i64,
        "big": 1_700_000_000_000_i64,
        "x": 5.0,
        "name": regex("^a", "i"),
        "path": regex("a/b", ""),
        "a.b": [1, { "c": true }],
        "empty": {},
    };
    assert_eq!(
        to_line(&Bson::Document(document.clone())),
        "{_id: ObjectId(\"65f0c0ffee65f0c0ffee65f0\"), at: ISODate(\"2023-11-14T22:13:20Z\"), n: NumberLong(5), \
         big: 1700000000000, x: 5.0, name: /^a/i, path: RegExp(\"a/b\", \"\"), \"a.b\": [1, {c: true}], empty: {}}"
    );
    assert_eq!(
        to_text(&doc! { "a": [1, {}], "b": { "c": "x" } }),
        "{\n  a: [\n    1,\n    {}\n  ],\n  b: {\n    c: \"x\"\n  }\n}"
    );
}

#[test]
fn what_is_not_seen_is_escaped() {
    assert_eq!(
        quote("a\"\\\n\u{0}\u{202e}\u{200b}👨\u{200d}👩云\u{9b}"),
        "\"a\\\"\\\\\\n\\u0000\\u202e\\u200b👨\u{200d}👩云\\u009b\""
    );
}

#[test]
fn lines_stay_lines_where_text_is_shown() {
    assert_eq!(visible("a\n\tb\u{202e}\r"), "a\n\tb\\u202e\\u000d");
    assert_eq!(visible("云"), "云");
}

/// What shows the difference between types, and NaN.
fn shown(value: &Bson) -> String {
    format!("{value:?}")
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(value in any_value()) {
        let line = to_line(&value);
        prop_assert_eq!(shown(&read(&line, NOW).unwrap()), shown(&value), "{}", line);
        let document = doc! { "any key": value };
        let text = to_text(&document);
        prop_assert_eq!(shown(&Bson::Document(read_document(&text, NOW).unwrap())), shown(&Bson::Document(document)), "{}", text);
    }

    #[test]
    fn regexes_keep_their_ends(pattern in r"[a/\[\]\\*\n]{0,6}") {
        let value = regex(&pattern, "im");
        let line = to_line(&value);
        prop_assert_eq!(read(&line, NOW).unwrap(), value, "{}", line);
    }

    #[test]
    fn texts_keep_their_characters(text in any::<String>()) {
        prop_assert_eq!(read(&quote(&text), NOW).unwrap(), Bson::String(text));
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), pieces in proptest::collection::vec(
        prop_oneof![
            "[{}\\[\\](),:'\"`/\\\\*.$+-]", "[a-z0-9 \n_]{1,4}", Just("ISODate(".to_owned()), Just("new ".to_owned()),
            Just("Long.fromString('".to_owned()), Just("\\u{".to_owned()), Just("0x".to_owned()), Just("云".to_owned()),
            Just("{$date:".to_owned()), Just("T08:00+08".to_owned()),
        ],
        0..24,
    )) {
        for text in [text, pieces.concat()] {
            if let Err(error) = read(&text, NOW) {
                let (line, column) = error.place(&text);
                prop_assert!(error.offset <= text.len() && line > 0 && column > 0);
            }
        }
    }
}
