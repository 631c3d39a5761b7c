#![allow(clippy::unwrap_used, clippy::panic)]

use bson::{Bson, DateTime, Document, Timestamp, doc, oid::ObjectId};
use proptest::prelude::*;

use crate::{
    Reason, Style, raw, read, read_document, read_documents, read_legacy, to_text, write, write_raw,
    write_raw_as_string,
};

fn text(value: &Bson, style: Style) -> String {
    let mut out = Vec::new();
    write(&mut out, value, style);
    String::from_utf8(out).unwrap()
}

/// The writers for bytes write what the one for values writes.
fn same_from_bytes(document: &Document) {
    let raw = bson::RawDocumentBuf::try_from(document).unwrap();
    for style in [Style::Canonical, Style::Relaxed] {
        let text = to_text(document, style);
        let mut out = Vec::new();
        write_raw(&mut out, &raw, style).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), text);
        let mut within = Vec::new();
        write_raw_as_string(&mut within, &raw, style).unwrap();
        let mut literal = Vec::new();
        json::write_string(&mut literal, &text);
        assert_eq!(
            String::from_utf8(within).unwrap(),
            String::from_utf8(literal).unwrap()
        );
    }
    assert_eq!(
        format!("{:?}", raw::decode(raw.as_bytes()).unwrap()),
        format!("{document:?}")
    );
}

#[test]
fn both_styles_of_every_type() {
    for (canonical, relaxed) in [
        (r#"{"a":{"$numberInt":"-1"}}"#, r#"{"a":-1}"#),
        (
            r#"{"a":{"$numberLong":"9007199254740993"}}"#,
            r#"{"a":9007199254740993}"#,
        ),
        (r#"{"a":{"$numberDouble":"1.0"}}"#, r#"{"a":1.0}"#),
        (r#"{"a":{"$numberDouble":"1e21"}}"#, r#"{"a":1e21}"#),
        (r#"{"a":{"$numberDouble":"-0.0"}}"#, r#"{"a":-0.0}"#),
        (
            r#"{"a":{"$numberDouble":"NaN"}}"#,
            r#"{"a":{"$numberDouble":"NaN"}}"#,
        ),
        (
            r#"{"a":{"$numberDouble":"-Infinity"}}"#,
            r#"{"a":{"$numberDouble":"-Infinity"}}"#,
        ),
        (
            r#"{"a":{"$date":{"$numberLong":"1700000000000"}}}"#,
            r#"{"a":{"$date":"2023-11-14T22:13:20Z"}}"#,
        ),
        (
            r#"{"a":{"$date":{"$numberLong":"-1"}}}"#,
            r#"{"a":{"$date":{"$numberLong":"-1"}}}"#,
        ),
        (
            r#"{"a":{"$oid":"5fe06c4a7877e500019b7c59"}}"#,
            r#"{"a":{"$oid":"5fe06c4a7877e500019b7c59"}}"#,
        ),
        (
            r#"{"a":{"$binary":{"base64":"AAEC","subType":"05"}}}"#,
            r#"{"a":{"$binary":{"base64":"AAEC","subType":"05"}}}"#,
        ),
        (
            r#"{"a":{"$regularExpression":{"pattern":"a\\d","options":"im"}}}"#,
            r#"{"a":{"$regularExpression":{"pattern":"a\\d","options":"im"}}}"#,
        ),
        (
            r#"{"a":{"$timestamp":{"t":4294967295,"i":1}}}"#,
            r#"{"a":{"$timestamp":{"t":4294967295,"i":1}}}"#,
        ),
        (
            r#"{"a":{"$numberDecimal":"1.50"}}"#,
            r#"{"a":{"$numberDecimal":"1.50"}}"#,
        ),
        (
            r#"{"a":{"$code":"f","$scope":{"x":{"$numberInt":"1"}}}}"#,
            r#"{"a":{"$code":"f","$scope":{"x":1}}}"#,
        ),
        (r#"{"a":{"$code":"f"}}"#, r#"{"a":{"$code":"f"}}"#),
        (r#"{"a":{"$symbol":"s"}}"#, r#"{"a":{"$symbol":"s"}}"#),
        (r#"{"a":{"$undefined":true}}"#, r#"{"a":{"$undefined":true}}"#),
        (
            r#"{"a":[{"$minKey":1},{"$maxKey":1}]}"#,
            r#"{"a":[{"$minKey":1},{"$maxKey":1}]}"#,
        ),
        (
            r#"{"a":{"$dbPointer":{"$ref":"db.c, d","$id":{"$oid":"5fe06c4a7877e500019b7c59"}}}}"#,
            r#"{"a":{"$dbPointer":{"$ref":"db.c, d","$id":{"$oid":"5fe06c4a7877e500019b7c59"}}}}"#,
        ),
        (
            r#"{"a":[null,true,false,"\"\\\n\u0001é😀"]}"#,
            r#"{"a":[null,true,false,"\"\\\n\u0001é😀"]}"#,
        ),
    ] {
        let document = read_document(canonical.as_bytes()).unwrap();
        assert_eq!(to_text(&document, Style::Canonical), canonical);
        assert_eq!(to_text(&document, Style::Relaxed), relaxed);
        same_from_bytes(&document);
        let again = read_document(relaxed.as_bytes()).unwrap();
        assert_eq!(to_text(&again, Style::Relaxed), relaxed);
    }
}

#[test]
fn what_sdks_and_consoles_write() {
    let date = Bson::DateTime(DateTime::from_millis(1_700_000_000_000));
    for text in [
        r#"{"$date":1700000000000}"#,
        r#"{"$date":{"$numberLong":"1700000000000"}}"#,
        r#"{"$date":{"$numberDouble":"1700000000000.0"}}"#,
        r#"{"$date":"2023-11-14T22:13:20.000Z"}"#,
        r#"{"$date":"2023-11-15T06:13:20+08:00"}"#,
    ] {
        assert_eq!(read(text.as_bytes()).unwrap(), date, "{text}");
    }
    let stays = [
        r#"{"$date":{"offset":0}}"#,
        r#"{"$regex":"a","$options":"i"}"#,
        r#"{"$type":"int"}"#,
        r#"{"$tcb_server_date":{"offset":0}}"#,
        r#"{"$set":{"a":1}}"#,
        r#"{"$in":[]}"#,
        r#"{"$regex":{"$regularExpression":{"pattern":"a","options":"i"}}}"#,
    ];
    for stays in stays {
        assert_eq!(text(&read(stays.as_bytes()).unwrap(), Style::Relaxed), stays);
    }
    assert!(matches!(
        read_legacy(br#"{"$regex":"a","$options":"i"}"#).unwrap(),
        Bson::RegularExpression(_)
    ));
    assert_eq!(
        read(br#"{"$binary":"AAEC","$type":"00"}"#).unwrap(),
        read(br#"{"$binary":{"base64":"AAEC","subType":"0"}}"#).unwrap()
    );
    assert_eq!(
        read(br#"{"$timestamp":{"t":1,"i":2}}"#).unwrap(),
        Bson::Timestamp(Timestamp {
            time: 1,
            increment: 2
        })
    );
    assert!(matches!(
        read(br#"{"$uuid":"73ffd264-44b3-4c69-90e8-e7d1dfc035d4"}"#).unwrap(),
        Bson::Binary(_)
    ));
    assert_eq!(read(b"12345678901").unwrap(), Bson::Int64(12_345_678_901));
    assert_eq!(
        read(b"123456789012345678901").unwrap(),
        Bson::Double(123_456_789_012_345_678_901.0)
    );
    assert_eq!(read(b"1.0").unwrap(), Bson::Double(1.0));
    let lines = b"\xef\xbb\xbf{\"a\":1}\n{\"a\":\n2}, {\"a\":3}\n";
    let documents: Vec<Document> = read_documents(lines).collect::<Result<_, _>>().unwrap();
    assert_eq!(documents, [doc! {"a": 1}, doc! {"a": 2}, doc! {"a": 3}]);
    assert_eq!(read_documents(b"{} 5").filter(Result::is_err).count(), 1);
    let twice = read_documents(br#"{"a":{"b":1,"b":2}}"#)
        .next()
        .unwrap()
        .unwrap_err();
    assert_eq!((twice.offset, twice.reason), (12, Reason::NameTwice));
}

#[test]
fn refused_with_the_place() {
    for (text, offset, reason) in [
        (&br#"{"a":}"#[..], 5, Reason::ExpectedValue),
        (br#"{"a":1"#, 6, Reason::UnexpectedEnd),
        (br#"{"a" 1}"#, 5, Reason::Expected(':')),
        (br#"{a:1}"#, 1, Reason::ExpectedKey),
        (br#"[1,]"#, 3, Reason::ExpectedValue),
        (br#"1 2"#, 2, Reason::ExpectedEnd),
        (br#""\ud800""#, 1, Reason::LoneSurrogate),
        (br#""\x""#, 1, Reason::InvalidEscape),
        (br#"{"a\u0000":1}"#, 1, Reason::ZeroCharacter),
        (b"\"\x01\"", 1, Reason::ControlCharacter),
        (b"\"\xff\"", 1, Reason::NotUtf8),
        (br#"{"$oid":"xyz"}"#, 8, Reason::InvalidType("$oid")),
        (
            br#"{"$numberInt":"2147483648"}"#,
            14,
            Reason::InvalidType("$numberInt"),
        ),
        (
            br#"{"$numberDouble":"inf"}"#,
            17,
            Reason::InvalidType("$numberDouble"),
        ),
        (b"-", 1, Reason::UnexpectedEnd),
        (b"01", 1, Reason::ExpectedEnd),
    ] {
        let error = read(text).unwrap_err();
        assert_eq!(
            (error.offset, &error.reason),
            (offset, &reason),
            "{}",
            String::from_utf8_lossy(text)
        );
    }
    let deep = [vec![b'['; 257], vec![b']'; 257]].concat();
    assert_eq!(read(&deep).unwrap_err().reason, Reason::TooDeep);
    assert!(read(&deep[1..513]).is_ok());
    assert!(read(&[b'['; 100_000]).is_err());
    assert!(read(&br#"{"$date":"#.repeat(100_000)).is_err());
}

pub(crate) fn any_value() -> impl Strategy<Value = Bson> {
    let leaf = prop_oneof![
        Just(Bson::Null),
        any::<bool>().prop_map(Bson::Boolean),
        any::<i32>().prop_map(Bson::Int32),
        any::<i64>().prop_map(Bson::Int64),
        any::<f64>().prop_map(Bson::Double),
        ".{0,8}".prop_map(Bson::String),
        any::<i64>().prop_map(|millis| Bson::DateTime(DateTime::from_millis(millis))),
        any::<[u8; 12]>().prop_map(|bytes| Bson::ObjectId(ObjectId::from_bytes(bytes))),
        proptest::collection::vec(any::<u8>(), 0..8).prop_map(|bytes| Bson::Binary(bson::Binary {
            subtype: bson::spec::BinarySubtype::Generic,
            bytes
        })),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Bson::Array),
            proptest::collection::vec(("[a-z.]{0,3}", inner), 0..4)
                .prop_map(|members| Bson::Document(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn canonical_text_reads_back_as_the_same_value(value in any_value()) {
        let written = text(&value, Style::Canonical);
        let read_back = read(written.as_bytes()).unwrap();
        // Debug tells NaN from nothing, and types apart.
        prop_assert_eq!(format!("{:?}", read_back), format!("{:?}", value));
    }

    #[test]
    fn relaxed_text_keeps_what_it_writes(value in any_value()) {
        let written = text(&value, Style::Relaxed);
        let read_back = read(written.as_bytes()).unwrap();
        prop_assert_eq!(text(&read_back, Style::Relaxed), written);
    }

    #[test]
    fn bytes_are_written_as_the_document_is(value in any_value()) {
        same_from_bytes(&doc! { "a": value });
    }

    #[test]
    fn dates_are_written_as_the_library_writes_them(millis in 0..=253_402_300_799_999_i64) {
        let date = DateTime::from_millis(millis);
        let wanted = format!(r#"{{"$date":"{}"}}"#, date.try_to_rfc3339_string().unwrap());
        prop_assert_eq!(text(&Bson::DateTime(date), Style::Relaxed), wanted);
    }

    #[test]
    fn doubles_are_written_as_rust_writes_them(whole in any::<i64>(), number in any::<f64>()) {
        for number in [whole as f64, (whole % 1_000_000) as f64, number] {
            if number.is_finite() {
                prop_assert_eq!(text(&Bson::Double(number), Style::Relaxed), format!("{number:?}"));
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(value in any_value(), at in any::<usize>(), byte in any::<u8>()) {
        let mut bytes = doc! { "a": value }.to_vec().unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(raw) = bson::RawDocument::from_bytes(&bytes) {
            let _ = write_raw(&mut Vec::new(), raw, Style::Canonical);
        }
        let _ = raw::decode(&bytes);
        // What the library reads, this reads as well and alike.
        if let Ok(document) = Document::from_reader(bytes.as_slice())
            && let Ok(decoded) = raw::decode(&bytes)
        {
            prop_assert_eq!(format!("{decoded:?}"), format!("{document:?}"));
        }
    }

    #[test]
    fn no_text_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = read(&bytes);
    }
}
