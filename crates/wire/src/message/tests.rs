#![allow(clippy::unwrap_used, clippy::panic)]

use bson::{Bson, JavaScriptCodeWithScope, Regex, Timestamp, doc, oid::ObjectId, rawdoc};

use super::*;

/// A message of these sections.
fn message(flags: u32, sections: &[Vec<u8>]) -> ([u8; HEADER], Vec<u8>) {
    let mut body = flags.to_le_bytes().to_vec();
    body.extend(sections.concat());
    let checksum = flags & CHECKSUM_PRESENT != 0;
    let head = header(body.len() + if checksum { 4 } else { 0 }, OP_MSG);
    if checksum {
        let sum = CHECKSUM.checksum(&[&head[..], &body].concat());
        body.extend(sum.to_le_bytes());
    }
    (head, body)
}

fn header(body: usize, opcode: i32) -> [u8; HEADER] {
    let length = i32::try_from(body + HEADER).unwrap();
    let mut head = [0; HEADER];
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4..8].copy_from_slice(&7i32.to_le_bytes());
    head[12..].copy_from_slice(&opcode.to_le_bytes());
    head
}

fn body(document: &Document) -> Vec<u8> {
    [&[0], document.to_vec().unwrap().as_slice()].concat()
}

fn sequence(name: &str, documents: &[Document]) -> Vec<u8> {
    let mut rest = [name.as_bytes(), &[0]].concat();
    for document in documents {
        rest.extend(document.to_vec().unwrap());
    }
    let length = i32::try_from(rest.len() + 4).unwrap();
    [&[1], length.to_le_bytes().as_slice(), &rest].concat()
}

#[test]
fn a_command_comes_with_its_sequences_in_any_order() {
    let command = doc! { "insert": "todos", "$db": "yunqiao" };
    let documents = [doc! { "_id": 1 }, doc! { "_id": 2 }];
    let expected = doc! { "insert": "todos", "$db": "yunqiao", "documents": [{ "_id": 1 }, { "_id": 2 }] };
    for flags in [0, CHECKSUM_PRESENT, MORE_TO_COME, 1 << 16] {
        for sections in [
            [body(&command), sequence("documents", &documents)],
            [sequence("documents", &documents), body(&command)],
        ] {
            let (head, bytes) = message(flags, &sections);
            let request = WireRequest::read(&head, &bytes).unwrap();
            assert_eq!(request.command, expected);
            assert_eq!((request.id, request.silent), (7, flags == MORE_TO_COME));
        }
    }
}

#[test]
fn what_is_not_whole_or_twice_there_is_refused() {
    let command = doc! { "ping": 1 };
    let twice = [body(&command), body(&command)];
    let named_twice = [
        body(&doc! { "insert": "a", "documents": [] }),
        sequence("documents", &[]),
    ];
    for sections in [&twice[..], &named_twice, &[], &[sequence("documents", &[])]] {
        let (head, bytes) = message(0, sections);
        let refused = WireRequest::read(&head, &bytes).unwrap_err();
        assert!(matches!(refused, MalformedMessage::Sections), "{refused}");
    }
    let (head, mut bytes) = message(CHECKSUM_PRESENT, &[body(&command)]);
    bytes[10] ^= 1;
    assert!(matches!(
        WireRequest::read(&head, &bytes),
        Err(MalformedMessage::Checksum)
    ));
    let (head, bytes) = message(4, &[body(&command)]);
    assert!(matches!(
        WireRequest::read(&head, &bytes),
        Err(MalformedMessage::Flags(4))
    ));
    let (_, bytes) = message(0, &[body(&command)]);
    for length in 0..bytes.len() {
        let head = header(length, OP_MSG);
        assert!(WireRequest::read(&head, &bytes[..length]).is_err(), "{length}");
    }
}

#[test]
fn other_protocols_are_known_by_their_first_bytes() {
    for foreign in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"POST /a HTTP/1.1",
        b"PUT / HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n",
        // TLS
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaa",
        &[0; 16],
        &[255; 16],
    ] {
        let head = foreign.first_chunk().unwrap();
        assert!(
            matches!(MessageHeader::read(head), Err(MalformedMessage::Foreign)),
            "{foreign:?}"
        );
    }
    let compressed = header(100, OP_COMPRESSED);
    assert!(matches!(
        MessageHeader::read(&compressed),
        Err(MalformedMessage::Compressed)
    ));
    let mut large = header(0, OP_MSG);
    large[..4].copy_from_slice(&48_000_001i32.to_le_bytes());
    assert!(matches!(
        MessageHeader::read(&large),
        Err(MalformedMessage::Foreign)
    ));
}

#[test]
fn the_hello_of_old_is_read_and_answered() {
    let query = |collection: &str, document: Document| {
        let mut bytes = vec![0; 4];
        bytes.extend(collection.as_bytes());
        bytes.push(0);
        bytes.extend(0i32.to_le_bytes());
        bytes.extend((-1i32).to_le_bytes());
        bytes.extend(document.to_vec().unwrap());
        WireRequest::read(&header(bytes.len(), OP_QUERY), &bytes)
    };
    let expected = doc! { "isMaster": 1, "$db": "admin" };
    let request = query("admin.$cmd", doc! { "isMaster": 1 }).unwrap();
    assert_eq!(request.command, expected);
    let wrapped = doc! { "$query": { "isMaster": 1 }, "$readPreference": {} };
    assert_eq!(query("admin.$cmd", wrapped).unwrap().command, expected);
    assert!(matches!(
        query("a.todos", doc! {}),
        Err(MalformedMessage::OldQuery)
    ));
    let answer = request.answer(9, &rawdoc! { "ok": 1.0 });
    assert_eq!(
        answer.len(),
        i32::from_le_bytes(*answer.first_chunk().unwrap()) as usize
    );
    assert_eq!(answer[8..12], 7i32.to_le_bytes());
    assert_eq!(answer[12..16], OP_REPLY.to_le_bytes());
    assert_eq!(answer[32..36], 1i32.to_le_bytes());
    assert_eq!(answer[36..], rawdoc! { "ok": 1.0 }.into_bytes());
}

#[test]
fn every_kind_of_value_is_measured() {
    let document = doc! {
        "double": 1.5, "string": "中", "array": [1, [2, { "a": 3 }]], "binary": bson::Binary { subtype: 0.into(), bytes: vec![1, 2] },
        "undefined": Bson::Undefined, "oid": ObjectId::new(), "bool": true, "date": bson::DateTime::now(), "null": Bson::Null,
        "regex": Regex { pattern: bson::cstr!("a").into(), options: bson::cstr!("i").into() }, "code": Bson::JavaScriptCode("a".into()),
        "symbol": Bson::Symbol("s".into()), "scope": JavaScriptCodeWithScope { code: "a".into(), scope: doc! { "b": { "c": 1 } } },
        "int": 1, "timestamp": Timestamp { time: 1, increment: 2 }, "long": 1i64, "decimal": "1.5".parse::<bson::Decimal128>().unwrap(),
        "min": Bson::MinKey, "max": Bson::MaxKey, "empty": {},
    };
    let bytes = document.to_vec().unwrap();
    let more = [bytes.as_slice(), b"more"].concat();
    assert_eq!(measure::measure(&more).unwrap().length, bytes.len());
    for length in 0..bytes.len() {
        assert!(measure::measure(&bytes[..length]).is_err(), "{length}");
    }
}

#[test]
fn what_is_too_deep_is_refused_before_anything_recurses() {
    let nested = |levels: usize| {
        let mut bytes = vec![5, 0, 0, 0, 0];
        for _ in 1..levels {
            let length = i32::try_from(bytes.len() + 8).unwrap();
            bytes = [&length.to_le_bytes(), &b"\x03a\0"[..], &bytes, &[0]].concat();
        }
        bytes
    };
    assert_eq!(
        measure::measure(&nested(DEEPEST)).unwrap().length,
        nested(DEEPEST).len()
    );
    assert!(matches!(
        measure::measure(&nested(DEEPEST + 1)),
        Err(MalformedMessage::Depth)
    ));
    assert!(matches!(
        measure::measure(&nested(5_000)),
        Err(MalformedMessage::Depth)
    ));
}

/// Three bytes for a null, and thirty times as many when it is read.
#[test]
fn values_that_are_small_as_bytes_weigh_what_they_take() {
    let nulls = |count: usize| {
        let elements: Vec<u8> = (0..count).flat_map(|_| [0x0a, b'0', 0]).collect();
        let array = [
            &i32::try_from(4 + elements.len() + 1).unwrap().to_le_bytes()[..],
            &elements,
            &[0],
        ]
        .concat();
        let document = [
            &i32::try_from(4 + 3 + array.len() + 1).unwrap().to_le_bytes()[..],
            &[0x04, b'a', 0],
            &array,
            &[0],
        ]
        .concat();
        let mut body = vec![0; 5];
        body.extend(document);
        body
    };
    let header = |body: &[u8]| {
        let mut header = [0; HEADER];
        let length = i32::try_from(HEADER + body.len()).unwrap();
        header[..4].copy_from_slice(&length.to_le_bytes());
        header[12..].copy_from_slice(&OP_MSG.to_le_bytes());
        header
    };
    let few = nulls(1000);
    let weight = WireRequest::weigh(&header(&few), &few).unwrap();
    assert!(weight >= 1000 * size_of::<Bson>(), "{weight}");
    let read = WireRequest::read(&header(&few), &few).unwrap();
    assert_eq!(read.command.get_array("a").unwrap().len(), 1000);
    let many = nulls(10_000_000);
    assert!(HEADER + many.len() < LARGEST);
    assert!(matches!(
        WireRequest::read(&header(&many), &many),
        Err(MalformedMessage::Heavy)
    ));
}
